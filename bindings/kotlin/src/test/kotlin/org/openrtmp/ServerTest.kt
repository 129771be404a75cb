package org.openrtmp

import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.cancel
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.nio.ByteBuffer
import java.util.concurrent.Executor
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.RejectedExecutionException
import java.util.concurrent.TimeUnit

class ServerTest {
    private fun code(body: () -> Unit): ErrorCode =
        assertThrows(OpenRtmpException::class.java, body).code

    @Test
    fun `a server starts, tells of itself, stops and starts again`() {
        builder().set("limits.connections", 7).yaml("streams: {republish_grace: 3s}").build().use { server ->
            assertEquals(ServerState.STOPPED, server.state)
            assertEquals("7", server.setting("limits.connections"))
            assertEquals(ErrorCode.STATE, code { server.metrics() })
            for (round in 1..2) {
                server.start()
                assertEquals(ServerState.RUNNING, server.state)
                assertEquals(ErrorCode.STATE, code { server.start() })
                assertTrue(server.port in 1..65535)
                assertEquals(listOf("rtmp://127.0.0.1:${server.port}/live/cam"), server.urls("live/cam"))
                assertTrue(server.health().isReady)
                assertEquals(0, server.metrics().connections)
                assertEquals(0, server.snapshot().streams.size)
                assertTrue(server.metricsText().contains("openrtmp_"))
                assertEquals(emptyList<String>(), server.checkListeners())
                server.setBackground(true)
                assertEquals(0, server.stop(0).connections)
            }
        }
    }

    @Test
    fun `what is closed is told so`() {
        val server = builder().build()
        server.start()
        val tap = server.tap("live/cam")
        val publisher = server.publisher("live/cam")
        server.close()
        server.close()
        assertEquals(ErrorCode.STATE, code { server.start() })
        assertEquals(ErrorCode.STATE, code { server.state })
        while (!tap.isClosed) tap.next(PATIENCE)
        assertNull(tap.next(PATIENCE))
        tap.close()
        val config = DecoderConfiguration(MediaKind.AUDIO, Codec.AAC, byteArrayOf(0x12, 0x10))
        assertEquals(ErrorCode.STATE, code { publisher.configure(config) })
        publisher.close()
        assertEquals(ErrorCode.STATE, code { publisher.configure(config) })
    }

    @Test
    fun `a setting that is not right is named`() {
        val failure = assertThrows(OpenRtmpException::class.java) { builder().set("limits.conections", 7).build() }
        assertEquals(ErrorCode.CONFIG, failure.code)
        assertTrue(failure.message!!.contains("limits.conections"), failure.message)
        assertEquals(ErrorCode.CONFIG, code { builder().json("{").build() })
        assertEquals(ErrorCode.IO, code { builder().file(File("/no/such/file")).build() })
        served { server ->
            val other = OpenRtmpServer.Builder().set("listen", "127.0.0.1:${server.port}").build()
            other.use { assertEquals(ErrorCode.LISTEN, code { it.start() }) }
        }
    }

    @Test
    fun `settings change while it runs`() = served { server ->
        assertEquals(listOf("limits.connections"), server.reconfigure { it.set("limits.connections", 9) })
        assertEquals("9", server.setting("limits.connections"))
        assertEquals(ErrorCode.NEEDS_RESTART, code { server.reconfigure { it.set("workers", 3) } })
        assertTrue(server.setting().contains("\"connections\""))
    }

    @Test
    fun `keys come and go`() = served { server ->
        val key = OpenRtmp.generateKey()
        assertEquals(32, key.length)
        server.publishKeys.add(key)
        server.playKeys.add("other")
        assertEquals(listOf(key), server.publishKeys.list())
        assertEquals(listOf("other"), server.playKeys.list())
        assertTrue(server.publishKeys.revoke(key))
        assertFalse(server.publishKeys.revoke(key))
        assertEquals(ErrorCode.INVALID_ARGUMENT, code { server.playKeys.add("a b") })
    }

    @Test
    fun `streams are relayed, ended and named`() = served { target ->
        served { server ->
            val arrived = target.tap("far/cam")
            val relay = server.addRelay(RelayKind.PUSH, "live/*", "rtmp://127.0.0.1:${target.port}/far/{name}")
            assertEquals(ErrorCode.INVALID_ARGUMENT, code { server.addRelay(RelayKind.PULL, "", "rtmp://h/a/b") })
            server.publisher("live/cam").use { publisher ->
                publisher.configure(DecoderConfiguration(MediaKind.AUDIO, Codec.AAC, byteArrayOf(0x12, 0x10)))
                val writing = launch {
                    var millis = 0L
                    while (true) {
                        publisher.writeAudio(ByteBuffer.wrap(byteArrayOf(1)), 1000 * millis++)
                        delay(1)
                    }
                }
                val header = arrived.frames.first { it.content == Content.HEADER }
                writing.cancelAndJoin()
                assertEquals(Codec.AAC, header.codec)
                assertEquals(listOf(relay), server.relays().filter { it.isPush }.map { it.id })
                val stream = server.publishers().single()
                assertNull(stream.connectionId)
                assertEquals("live/cam", server.streamName(stream.streamId))
                assertFalse(server.disconnect(1L shl 50))
                assertTrue(server.endStream(stream.streamId))
                assertFalse(server.endStream("live/none"))
                // Told once the stream's worker has ended it.
                val failure = generateSequence {
                    runCatching { publisher.writeAudio(ByteBuffer.wrap(byteArrayOf(1)), 1000) }
                }.first { it.isFailure }.exceptionOrNull() as OpenRtmpException
                assertEquals(ErrorCode.GONE, failure.code)
            }
            assertTrue(server.removeRelay(relay))
            assertFalse(server.removeRelay(relay))
        }
    }

    @Test
    fun `recordings are made`(@TempDir folder: File) = served { server ->
        server.startRecording("live/cam", folder)
        assertEquals(ErrorCode.BUSY, code { server.startRecording("live/cam", folder) })
        assertEquals(listOf("live/cam"), server.recordings())
        val begun = CompletableDeferred<Unit>()
        collecting(server.events) {
            if (it.kind == ServerEvent.Kind.RECORDING_STARTED) begun.complete(Unit)
        }.await()
        server.publisher("live/cam").use { publisher ->
            publisher.configure(DecoderConfiguration(MediaKind.AUDIO, Codec.AAC, byteArrayOf(0x12, 0x10)))
            publisher.writeAudio(ByteBuffer.wrap(byteArrayOf(1, 2, 3)), 0)
            begun.await()
        }
        val recording = server.stopRecording("live/cam")
        assertEquals(1, recording.files, "$recording")
        assertTrue(File(recording.last!!).length() > 0)
        assertEquals(ErrorCode.NOT_FOUND, code { server.stopRecording("live/cam") })
    }

    @Test
    fun `listeners that throw and executors that refuse end nothing`() {
        val told = LinkedBlockingQueue<ServerEvent>()
        val builder = builder()
            .eventListener(Executor { it.run() }) { throw IllegalStateException("a listener of a test") }
            .eventListener(Executor { throw RejectedExecutionException("an executor of a test") }) { }
            .eventListener(Executor { it.run() }) { throw StackOverflowError("a listener of a test") }
            .eventListener(Executor { it.run() }) { told.add(it) }
        builder.build().use { server ->
            server.start()
            assertEquals(ServerEvent.Kind.SERVER_STARTED, told.poll(PATIENCE, TimeUnit.MILLISECONDS)?.kind)
            server.stop(0)
            assertEquals(ServerEvent.Kind.SERVER_STOPPING, told.poll(PATIENCE, TimeUnit.MILLISECONDS)?.kind)
        }
    }

    @Test
    fun `a listener may stop and close its server`() {
        for (end in listOf<(OpenRtmpServer) -> Unit>({ it.stop(0) }, { it.close() })) {
            val done = LinkedBlockingQueue<String>()
            lateinit var server: OpenRtmpServer
            server = builder().eventListener(Executor { it.run() }) {
                if (it.kind == ServerEvent.Kind.SERVER_STARTED) {
                    // Not before start() has returned.
                    while (server.state != ServerState.RUNNING) Thread.yield()
                    end(server)
                    done.add("done")
                }
            }.build()
            server.start()
            assertEquals("done", done.poll(PATIENCE, TimeUnit.MILLISECONDS))
            server.close()
        }
    }

    @Test
    fun `a collector that is slow is told what it missed, others miss nothing`() {
        val hub = EventHub()
        val event = ServerEvent(Json.fields("{\"event\":\"server_stopping\"}"))
        inTime {
            val go = Channel<Unit>(Channel.UNLIMITED)
            val slow = ArrayList<ServerEvent>()
            val first = CompletableDeferred<Unit>()
            val job = launch {
                hub.events(4).collect {
                    slow.add(it)
                    first.complete(Unit)
                    go.receive()
                }
            }
            while (!first.isCompleted) {
                hub.tell(event)
                delay(1)
            }
            repeat(20) { hub.tell(event) }
            repeat(100) { go.send(Unit) }
            hub.close()
            job.join()
            val lost = slow.filter { it.kind == ServerEvent.Kind.LOST }
            assertTrue(lost.isNotEmpty() && lost.all { it.lost > 0 }, "$slow")
            assertTrue(slow.size < 20, "$slow")
        }
    }

    @Test
    fun `events end when the server is closed, and collectors may leave before`() {
        val server = builder().build()
        inTime {
            val all = ArrayList<ServerEvent.Kind>()
            val job = launch { server.events.toList().mapTo(all) { it.kind } }
            val left = CompletableDeferred<Unit>()
            collecting(server.events) {
                left.complete(Unit)
                throw CancellationException("enough")
            }.await()
            // The other collection has begun once it sees something.
            while (all.isEmpty() && !left.isCompleted) {
                server.start()
                server.stop(0)
                delay(1)
            }
            server.close()
            job.join()
            assertEquals(emptyList<ServerEvent>(), server.events.toList())
        }
    }

    @Test
    fun `access is decided later, and refused when nobody does`() {
        val scope = CoroutineScope(Dispatchers.Default + Job())
        val asked = LinkedBlockingQueue<AccessRequest>()
        val builder = builder().access(scope) { request ->
            asked.add(request)
            delay(1)
            when {
                request.action == AccessAction.CONNECT -> AccessDecision.Accept
                request.stream.endsWith("broken") -> throw IllegalStateException("a handler of a test")
                request.parameter("key") == "garden" -> AccessDecision.AcceptAs("live/renamed")
                else -> AccessDecision.Reject("no garden")
            }
        }
        served(builder) { server ->
            val refused = Channel<String>(Channel.UNLIMITED)
            val published = Channel<String>(Channel.UNLIMITED)
            collecting(server.events) {
                when (it.kind) {
                    ServerEvent.Kind.ACCESS -> if (it.details["granted"] == false) refused.send(it.reason)
                    ServerEvent.Kind.STREAM_PUBLISHED -> published.send(it.streamName)
                    else -> {}
                }
            }.await()
            Ffmpeg.publishing(server.url("live/cam?key=wrong"), 5).use {
                assertTrue(refused.receive().contains("no garden"))
            }
            Ffmpeg.publishing(server.url("live/broken?key=garden"), 5).use {
                assertTrue(refused.receive().contains("not decided"))
            }
            Ffmpeg.publishing(server.url("live/cam?key=garden"), 5).use {
                assertEquals("live/renamed", published.receive())
            }
            val first = asked.first { it.action == AccessAction.PUBLISH }
            assertTrue(first.peer.startsWith("127.0.0.1:"), first.peer)
            assertTrue(first.tcUrl.startsWith("rtmp://127.0.0.1:"), first.tcUrl)
            assertFalse(first.accept())
            assertFalse(first.markSecret())
            scope.cancel()
            Ffmpeg.publishing(server.url("live/cam?key=garden"), 5).use {
                assertTrue(refused.receive().contains("not decided"))
            }
        }
    }

    @Test
    fun `a handler that throws refuses`() {
        val builder = builder().access { throw IllegalStateException("a handler of a test") }
        served(builder) { server ->
            val refused = CompletableDeferred<String>()
            collecting(server.events) {
                if (it.kind == ServerEvent.Kind.ACCESS) refused.complete(it.reason)
            }.await()
            Ffmpeg.publishing(server.url("live/cam"), 5).use {
                assertTrue(refused.await().contains("not decided"))
            }
        }
    }
}
