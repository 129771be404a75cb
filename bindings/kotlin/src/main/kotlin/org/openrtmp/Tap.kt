package org.openrtmp

import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.flow

/** What a [Tap] tells, in the order in which it happened to a stream. A [Frame] is one. */
public sealed interface TapEvent {
    /** A stream has a publisher; its tracks, headers and frames follow. */
    public data class Started internal constructor(val streamId: Long, val name: String) : TapEvent

    /** What a stream consists of now. A tap on a live stream begins with it. */
    public data class Tracks internal constructor(
        val streamId: Long,
        val name: String,
        val tracks: List<Track>,
    ) : TapEvent

    /** So much is not there, because the tap was too slow; the frame after the gap follows. */
    public data class Lost internal constructor(
        val streamId: Long,
        val name: String,
        val frames: Long,
        val bytes: Long,
        val fromMicros: Long,
        val toMicros: Long,
    ) : TapEvent

    /** A stream goes on with another publisher. */
    public data class Republished internal constructor(val streamId: Long, val name: String) : TapEvent

    /** A stream is over. It may start again. */
    public data class Ended internal constructor(val streamId: Long, val name: String) : TapEvent

    /** Something that a newer library tells. */
    public data class Other internal constructor(val text: String) : TapEvent
}

/** What a tap is on, and how much may wait in it. */
public class TapOptions private constructor(
    internal val kind: Int,
    internal val name: String,
    internal val index: Int,
    internal val count: Int,
) {
    internal var maxBytes = 0L
    internal var maxDelayMillis = -1L

    /**
     * Bytes of each stream that may wait; with more, video is dropped up to the next key frame.
     * Without this, `queue.max_bytes` of the settings.
     */
    public fun maxBytes(bytes: Long): TapOptions = apply { maxBytes = bytes }

    /** How long the oldest frame may wait. Without this, any time. */
    public fun maxDelay(millis: Long): TapOptions = apply { maxDelayMillis = millis }

    public companion object {
        /** Every stream. */
        @JvmStatic
        public fun all(): TapOptions = TapOptions(0, "", 0, 0)

        /** One stream (`app/name`), live or still to come. */
        @JvmStatic
        public fun stream(name: String): TapOptions = TapOptions(1, name, 0, 0)

        /** Every stream of an app. */
        @JvmStatic
        public fun app(app: String): TapOptions = TapOptions(2, app, 0, 0)

        /** One of `count` shares of all streams, 0 to `count` - 1. */
        @JvmStatic
        public fun shard(index: Int, count: Int): TapOptions = TapOptions(3, "", index, count)
    }
}

/**
 * Frames of streams, made by [OpenRtmpServer.tap]. What waits for a reader waits in the
 * library, bounded; a reader that is slow loses video up to the next key frame, is told
 * what it lost, and delays nobody. Read by one at a time: [next], or a collector of [events].
 */
public class Tap internal constructor(server: Long, options: TapOptions) : AutoCloseable {
    private val handle = Native.tapOpen(
        server, options.kind, options.name, options.index, options.count,
        options.maxBytes, options.maxDelayMillis,
    )
    private val wakeUps = Channel<Unit>(Channel.CONFLATED)
    private val configurations = HashMap<Triple<Long, MediaKind, Int>, DecoderConfiguration>()

    /** True once it was closed, or the server stopped, and everything was read. */
    @Volatile
    public var isClosed: Boolean = false
        private set

    init {
        Native.listen(handle, this)
    }

    /**
     * Waits for what comes next, so long at most. `null`: nothing came, or nothing will
     * ([isClosed] tells). A frame is the caller's to close.
     */
    public fun next(timeoutMillis: Long): TapEvent? = when (val item = Native.tapNext(handle, timeoutMillis)) {
        null -> null
        "" -> ended()
        else -> shown(item)
    }

    /**
     * Everything that comes, until the stream's server stops or the tap is closed; it is
     * closed, too, when the collector is done. A frame is closed when the collector
     * returns from it. No thread waits meanwhile. Operators that keep frames
     * (`buffer`, `toList`) have to [Frame.retain] them first.
     */
    public val events: Flow<TapEvent> = flow {
        use {
            while (true) {
                val event = receive() ?: break
                try {
                    emit(event)
                } finally {
                    (event as? Frame)?.close()
                }
            }
        }
    }

    /** The frames and headers among [events]. */
    public val frames: Flow<Frame> = events.filterIsInstance<Frame>()

    /**
     * The configuration that came last for the track of a frame, of those that were read
     * from this tap; `null` if none did. For the reader's thread.
     */
    public fun configuration(frame: Frame): DecoderConfiguration? =
        configurations[Triple(frame.streamId, frame.kind, frame.track)]

    /** Ends it; who waits in it returns. A second time does nothing. */
    override fun close() {
        Native.tapClose(handle)
        Native.forget(handle)
        wake()
    }

    internal fun wake() {
        wakeUps.trySend(Unit)
    }

    private suspend fun receive(): TapEvent? {
        while (true) {
            when (val item = Native.tapPoll(handle)) {
                null -> wakeUps.receive()
                "" -> return ended()
                else -> return shown(item)
            }
        }
    }

    private fun ended(): TapEvent? {
        isClosed = true
        return null
    }

    private fun shown(item: Any): TapEvent {
        if (item is Frame) {
            item.configuration()?.let { configurations[Triple(item.streamId, item.kind, item.track)] = it }
            return item
        }
        val text = item as String
        val fields = Json.fields(text)
        val (stream, name) = fields.long("stream") to fields.text("name")
        return when (fields.text("tap")) {
            "started" -> TapEvent.Started(stream, name)
            "tracks" -> TapEvent.Tracks(stream, name, fields.list("tracks").map { Track(it) })
            "republished" -> TapEvent.Republished(stream, name)
            "ended" -> {
                configurations.keys.removeAll { it.first == stream }
                TapEvent.Ended(stream, name)
            }
            "lost" -> {
                val loss = fields.fields("loss") ?: Fields(emptyMap())
                TapEvent.Lost(
                    stream, name, loss.long("frames"), loss.long("bytes"),
                    loss.long("from_us"), loss.long("to_us"),
                )
            }
            else -> TapEvent.Other(text)
        }
    }
}
