package org.openrtmp

import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.takeWhile
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.nio.ByteBuffer

/** Pictures and sound, from and to a real encoder and decoder. */
class MediaTest {
    @Test
    fun `what ffmpeg publishes is tapped, and fits decoders`(@TempDir folder: File) = served { server ->
        val stream = File(folder, "stream.h264")
        val events = ArrayList<TapEvent>()
        var audio: DecoderConfiguration? = null
        var pictures = 0
        val ready = CompletableDeferred<Unit>()
        val tap = server.tap("live/cam")
        val reading = launch {
            stream.outputStream().use { out ->
                ready.complete(Unit)
                tap.events.collect { event ->
                    if (event !is Frame) {
                        events.add(event)
                        if (event is TapEvent.Ended) tap.close()
                        return@collect
                    }
                    assertTrue(event.data.isDirect && event.data.isReadOnly)
                    assertEquals(event.size, event.data.remaining())
                    val configuration = event.configuration()
                    if (event.kind == MediaKind.AUDIO) audio = configuration ?: audio
                    if (event.codec != Codec.AVC) return@collect
                    if (configuration != null) {
                        assertEquals(Pair(192, 108), Pair(configuration.width, configuration.height))
                        assertEquals(4, configuration.lengthSize)
                        val parts = configuration.codecSpecificData
                        assertEquals(listOf(7, 8), parts.map { it[4].toInt() and 0x1F })
                        parts.forEach { out.write(it) }
                        val again = DecoderConfiguration.ofParameterSets(Codec.AVC, parts[1] + parts[0])
                        assertEquals(configuration, again)
                    } else if (event.content == Content.KEY || event.content == Content.INTER) {
                        assertNotNull(tap.configuration(event))
                        val annexB = event.annexB()
                        out.write(annexB)
                        assertArrayEquals(event.toByteArray(), NalUnits.fromAnnexB(annexB))
                        pictures++
                    }
                }
            }
        }
        ready.await()
        Ffmpeg.publishing(server.url("live/cam"), 2).use { it.output() }
        reading.join()
        // A bare H.264 decoder shows every picture of what the tap gave.
        assertEquals(50, pictures)
        val shown = Ffmpeg.pictures("-f", "h264", "-i", stream.path)
        assertEquals(50, shown.size)
        val source = Ffmpeg.pictures("-f", "lavfi", "-i", "testsrc2=size=192x108:rate=25:duration=2")
        assertEquals(source.size, shown.size)
        assertEquals(44_100, audio?.sampleRate)
        assertEquals("mp4a.40.2", audio?.codecString)
        assertArrayEquals(audio?.bytes, audio?.codecSpecificData?.single())
        assertTrue(events.first() is TapEvent.Started, "$events")
        assertTrue(events.last() is TapEvent.Ended, "$events")
        val tracks = events.filterIsInstance<TapEvent.Tracks>().last().tracks
        assertEquals(setOf(Codec.AVC, Codec.AAC), tracks.map { it.codec }.toSet())
        assertEquals(192, tracks.first { it.kind == MediaKind.VIDEO }.width)
    }

    /** Where a direct buffer's bytes begin. */
    private fun address(buffer: ByteBuffer): Long {
        val unsafe = Class.forName("sun.misc.Unsafe")
        val it = unsafe.getDeclaredField("theUnsafe").apply { isAccessible = true }.get(null)
        val field = java.nio.Buffer::class.java.getDeclaredField("address")
        val offset = unsafe.getMethod("objectFieldOffset", java.lang.reflect.Field::class.java).invoke(it, field)
        val base = unsafe.getMethod("getLong", Any::class.java, java.lang.Long.TYPE).invoke(it, buffer, offset)
        return base as Long + buffer.position()
    }

    /** Of so many pictures, by their times: where they lie, for the reader and who keeps them. */
    private suspend fun addresses(tap: Tap, count: Int): Map<Long, Set<Long>> {
        val found = HashMap<Long, Set<Long>>()
        tap.frames.takeWhile { found.size < count }.collect { frame ->
            if (frame.kind != MediaKind.VIDEO || frame.content == Content.HEADER) return@collect
            found[frame.dtsMicros] = frame.retain().use { setOf(address(frame.data), address(it.data)) }
        }
        return found
    }

    @Test
    fun `nothing of a frame is copied for a tap, nor for who keeps it`() = served { server ->
        val taps = List(2) { server.tap("live/cam") }
        Ffmpeg.publishing(server.url("live/cam"), 2).use { it.output() }
        // While the second has not read them no memory is used again.
        val (first, second) = taps.map { addresses(it, 40) }
        assertEquals(first, second)
        assertEquals(40, first.values.flatten().toSet().size)
    }

    /** Pictures of a file, as an encoder gives them: each with start codes. */
    private fun encoded(folder: File): List<ByteArray> {
        val file = File(folder, "source.h264")
        Ffmpeg(
            "-f", "lavfi", "-i", "testsrc2=size=192x108:rate=25:duration=2",
            "-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-bf", "0", "-pix_fmt", "yuv420p",
            "-x264-params", "aud=1:slices=1", "-f", "h264", file.path,
        ).use { it.output() }
        val bytes = file.readBytes()
        val delimiters = (0..bytes.size - 5).filter { bytes.unit(it) == 9 && bytes.startsAt(it) }
        return delimiters.mapIndexed { index, at ->
            bytes.copyOfRange(at, delimiters.getOrElse(index + 1) { bytes.size })
        }
    }

    private fun ByteArray.startsAt(at: Int) = this[at] + this[at + 1] + this[at + 2] == 0 && this[at + 3] == 1.toByte()

    private fun ByteArray.unit(at: Int) = this[at + 4].toInt() and 0x1F

    @Test
    fun `what is published from here ffmpeg plays, picture by picture`(@TempDir folder: File) = served { server ->
        val frames = encoded(folder)
        assertEquals(50, frames.size)
        val file = File(folder, "played.flv")
        val joined = CompletableDeferred<Unit>()
        collecting(server.events) {
            if (it.kind == ServerEvent.Kind.SUBSCRIBER_JOINED) joined.complete(Unit)
        }.await()
        Ffmpeg("-i", server.url("live/phone"), "-c", "copy", "-f", "flv", file.path).use { player ->
            joined.await()
            server.publisher("live/phone").use { publisher ->
                val first = frames.first()
                publisher.configure(DecoderConfiguration.ofParameterSets(Codec.AVC, first))
                frames.forEachIndexed { index, frame ->
                    val direct = ByteBuffer.allocateDirect(frame.size).put(frame)
                    direct.flip()
                    // In each of the forms a program may have.
                    val data = when (index % 3) {
                        0 -> direct
                        1 -> ByteBuffer.wrap(frame)
                        else -> ByteBuffer.wrap(frame).asReadOnlyBuffer()
                    }
                    val micros = index * 40_000L
                    publisher.writeVideo(data, micros, micros, index % 10 == 0, annexB = true)
                    assertEquals(frame.size, data.remaining())
                }
            }
            player.output()
        }
        val source = Ffmpeg.pictures("-i", File(folder, "source.h264").path)
        assertEquals(source, Ffmpeg.pictures("-i", file.path))
    }

    private fun StreamPublisher.sound(number: Int) =
        writeAudio(ByteBuffer.wrap(ByteArray(64) { number.toByte() }), number * 1000L)

    private val aac = DecoderConfiguration(MediaKind.AUDIO, Codec.AAC, byteArrayOf(0x12, 0x10))

    @Test
    fun `a frame lasts until it is closed, and a kept one longer`() = served { server ->
        val tap = server.tap("live/cam")
        server.publisher("live/cam").use { publisher ->
            publisher.configure(aac)
            publisher.sound(5)
            val frames = generateSequence { tap.next(PATIENCE) }.filterIsInstance<Frame>()
            val frame = frames.first { frame -> frame.isKey.also { if (!it) frame.close() } }
            val kept = frame.retain()
            assertEquals(5, frame.data.get(63))
            assertThrows(java.nio.ReadOnlyBufferException::class.java) { frame.data.put(0, 1) }
            assertThrows(IllegalStateException::class.java) { frame.annexB() }
            frame.close()
            frame.close()
            assertThrows(IllegalStateException::class.java) { frame.data }
            assertThrows(IllegalStateException::class.java) { frame.retain() }
            assertEquals(5, kept.toByteArray()[0])
            kept.close()
        }
        tap.close()
        assertNull(tap.next(PATIENCE))
        assertTrue(tap.isClosed)
    }

    @Test
    fun `ten thousand frames pass, and their memory comes back`() = served { server ->
        val tap = server.tap(TapOptions.stream("live/cam").maxBytes(1L shl 30))
        val seen = Channel<Int>(Channel.UNLIMITED)
        val count = 10_000
        val reading = launch {
            var next = 0
            tap.frames.collect { frame ->
                if (frame.content == Content.KEY) {
                    assertEquals(next.toByte(), frame.data.get(0))
                    seen.send(++next)
                    if (next == count) tap.close()
                }
            }
        }
        server.publisher("live/cam").use { publisher ->
            publisher.configure(aac)
            repeat(count) {
                publisher.sound(it)
                // What is on its way is bounded: the reader sets the pace.
                if (it % 100 == 99) while (seen.receive() != it + 1) Unit
            }
        }
        reading.join()
        assertEquals(emptyList<TapInfo>(), server.taps())
    }

    @Test
    fun `collectors that leave half-way leave nothing behind`() = served { server ->
        server.publisher("live/cam").use { publisher ->
            publisher.configure(aac)
            val writing = launch {
                var number = 0
                while (true) {
                    publisher.sound(number++)
                    delay(1)
                }
            }
            repeat(50) {
                val two = server.frames("live/cam").take(2).toList()
                assertThrows(IllegalStateException::class.java) { two[0].data }
            }
            repeat(50) {
                val got = CompletableDeferred<Unit>()
                val job = launch { server.frames("live/cam").collect { got.complete(Unit) } }
                got.await()
                job.cancel()
                job.join()
            }
            val thrown = runCatching { server.frames("live/cam").collect { error("a collector of a test") } }
            assertTrue(thrown.exceptionOrNull()!!.message!!.contains("of a test"))
            assertEquals(emptyList<TapInfo>(), server.taps())
            writing.cancel()
        }
    }

    @Test
    fun `who waits for a frame is woken by a close and by the end of the server`() {
        builder().build().use { server ->
            server.start()
            inTime {
                val waiting = server.tap("live/none")
                val collector = launch { waiting.events.collect { } }
                val other = launch { server.frames("live/none").collect { } }
                val thread = kotlin.concurrent.thread {
                    server.tap("live/none").use { while (!it.isClosed) it.next(PATIENCE) }
                }
                while (server.taps().size < 3) delay(1)
                waiting.close()
                collector.join()
                server.stop(0)
                other.join()
                thread.join()
            }
        }
    }

    @Test
    fun `several threads publish and tap at once`() = served { server ->
        val threads = (1..8).map { number ->
            kotlin.concurrent.thread {
                val name = "live/cam$number"
                server.tap(name).use { tap ->
                    server.publisher(name).use { publisher ->
                        publisher.configure(aac)
                        repeat(200) { publisher.sound(it) }
                        var frames = 0
                        while (frames < 200) {
                            val frame = tap.next(PATIENCE) as? Frame ?: continue
                            frame.use { if (it.content == Content.KEY) frames++ }
                        }
                    }
                }
            }
        }
        threads.forEach { it.join() }
        assertEquals(emptyList<TapInfo>(), server.taps())
    }

    @Test
    fun `publishers tell what is wrong`() = served { server ->
        fun code(body: () -> Unit) = assertThrows(OpenRtmpException::class.java, body).code
        server.publisher("live/cam").use { publisher ->
            assertEquals(ErrorCode.BUSY, code { server.publisher("live/cam") })
            assertEquals(ErrorCode.STATE, code { publisher.sound(1) })
            assertEquals(ErrorCode.INVALID_ARGUMENT, code { publisher.configure(aac, track = 256) })
            publisher.configure(aac)
            assertEquals(ErrorCode.INVALID_ARGUMENT, code { publisher.writeAudio(ByteBuffer.allocate(1), -1) })
            publisher.configure(DecoderConfiguration(MediaKind.VIDEO, Codec.VP9, ByteArray(0)), track = 3)
            val noUnits = ByteBuffer.wrap(byteArrayOf(1, 2, 3))
            assertEquals(ErrorCode.INVALID_ARGUMENT, code { publisher.writeVideo(noUnits, 0, 0, true, 3, true) })
            publisher.writeMessage(MediaKind.AUDIO, 0, ByteBuffer.wrap(byteArrayOf(0xAF.toByte(), 1, 0)))
            val tooLong = ByteBuffer.allocateDirect(1 shl 24)
            assertEquals(ErrorCode.INVALID_ARGUMENT, code { publisher.writeMessage(MediaKind.DATA, 0, tooLong) })
        }
        assertEquals(ErrorCode.INVALID_ARGUMENT, code { server.publisher("") })
        assertEquals(ErrorCode.INVALID_ARGUMENT, code { server.tap("") })
        assertEquals(ErrorCode.INVALID_ARGUMENT, code { server.tap(TapOptions.shard(2, 2)) })
        assertThrows(OpenRtmpException::class.java) { NalUnits.toAnnexB(byteArrayOf(0, 0, 0, 9)) }
        assertThrows(OpenRtmpException::class.java) { DecoderConfiguration.ofParameterSets(Codec.AVC, ByteArray(4)) }
        assertEquals("hvc1", Codec.HEVC.toString())
        assertEquals("video/avc", Codec.AVC.mime)
        assertFalse(Codec.of("test") == Codec.AVC)
    }
}
