package org.openrtmp

import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import java.util.concurrent.CopyOnWriteArrayList
import java.util.concurrent.Executor

/** Hands events to listeners and to collectors, each of which has a queue of its own. */
internal class EventHub {
    private val listeners = CopyOnWriteArrayList<Pair<Executor, EventListener>>()
    private val collectors = CopyOnWriteArrayList<Collector>()

    @Volatile
    private var closed = false

    /** Until what it returns is closed. */
    fun add(executor: Executor, listener: EventListener): AutoCloseable {
        val entry = executor to listener
        listeners.add(entry)
        return AutoCloseable { listeners.removeIf { it === entry } }
    }

    fun tell(event: ServerEvent) {
        collectors.forEach { it.offer(event) }
        for ((executor, listener) in listeners) {
            guarded("an event listener") {
                executor.execute { guarded("an event listener") { listener.onEvent(event) } }
            }
        }
    }

    /** Each collection sees what happens from its beginning on, until the hub is closed. */
    fun events(limit: Int): Flow<ServerEvent> = flow {
        val collector = Collector(limit)
        collectors.add(collector)
        if (closed) collector.queue.close()
        try {
            while (true) emit(collector.next() ?: break)
        } finally {
            collectors.remove(collector)
        }
    }

    fun close() {
        closed = true
        collectors.forEach { it.queue.close() }
    }

    private class Collector(limit: Int) {
        val queue = Channel<ServerEvent>(limit)
        private var lost = 0L

        /** What comes after a loss is lost as well, until the collector was told of it. */
        fun offer(event: ServerEvent) = synchronized(this) {
            if (lost > 0 || queue.trySend(event).isFailure) lost++
        }

        suspend fun next(): ServerEvent? =
            queue.tryReceive().getOrNull() ?: takeLost() ?: queue.receiveCatching().getOrNull()

        private fun takeLost(): ServerEvent? = synchronized(this) {
            lost.takeIf { it > 0 }?.let(ServerEvent::lost).also { lost = 0 }
        }
    }
}

/** Runs what a program gave; what it throws is logged, and ends nothing. */
internal inline fun guarded(what: String, body: () -> Unit) {
    @Suppress("TooGenericExceptionCaught")
    try {
        body()
    } catch (thrown: Throwable) {
        logger.log(java.util.logging.Level.WARNING, "$what threw", thrown)
    }
}
