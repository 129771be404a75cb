package org.openrtmp.android

import android.media.MediaCodec
import android.media.MediaFormat
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.openrtmp.Codec
import org.openrtmp.DecoderConfiguration
import org.openrtmp.Frame
import org.openrtmp.MediaKind
import org.openrtmp.ServerEvent
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import java.io.File
import java.nio.ByteBuffer

/** What Android's encoders put out and its decoders take in, made and shown by ffmpeg. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35])
class CodecsTest {
    @get:Rule
    val folder = TemporaryFolder()

    /** Access units of H.264 with start codes, as an encoder puts them out: each begins with a delimiter. */
    private fun accessUnits(stream: ByteArray): List<ByteArray> {
        val starts = (0..stream.size - 5).filter {
            stream[it].toInt() == 0 && stream[it + 1].toInt() == 0 && stream[it + 2].toInt() == 0 &&
                stream[it + 3].toInt() == 1 && stream[it + 4].toInt() and 0x1F == 9
        }
        return (starts + stream.size).zipWithNext { from, to -> stream.copyOfRange(from, to) }
    }

    private fun info(size: Int, time: Long, flags: Int) = MediaCodec.BufferInfo().apply { set(3, size, time, flags) }

    /** As an encoder's buffer has it: behind an offset. */
    private fun output(data: ByteArray): ByteBuffer =
        ByteBuffer.allocateDirect(data.size + 8).apply { position(3); put(data); clear() }

    @Test
    fun `what an encoder puts out is published, its configuration included`() {
        val raw = File(folder.root, "raw.h264")
        Ffmpeg(
            "-f", "lavfi", "-i", "testsrc2=size=192x108:rate=25:duration=2", "-c:v", "libx264", "-preset", "ultrafast",
            "-bf", "0", "-g", "12", "-pix_fmt", "yuv420p", "-x264-params", "aud=1:repeat-headers=1:sliced-threads=0",
            "-f", "h264", raw.path,
        ).use { it.output() }
        val units = accessUnits(raw.readBytes())
        assertEquals(50, units.size)
        Served().use { served ->
            served.server.start()
            val copy = File(folder.root, "copy.flv")
            Ffmpeg("-i", served.url("live/own"), "-c", "copy", "-f", "flv", copy.path).use { player ->
                served.until(ServerEvent.Kind.SUBSCRIBER_JOINED)
                served.server.publisher("live/own").use { publisher ->
                    val track = EncoderTrack(publisher, Codec.AVC)
                    // The parameter sets alone first, as MediaCodec does.
                    val sets = parameterSets(units.first())
                    track.write(output(sets), info(sets.size, 0, MediaCodec.BUFFER_FLAG_CODEC_CONFIG))
                    units.forEachIndexed { index, unit ->
                        val flags = if (index % 12 == 0) MediaCodec.BUFFER_FLAG_KEY_FRAME else 0
                        track.write(output(unit), info(unit.size, index * 40_000L, flags))
                    }
                    track.write(ByteBuffer.allocateDirect(0), info(0, 0, MediaCodec.BUFFER_FLAG_END_OF_STREAM))
                    served.until { it.kind == ServerEvent.Kind.STREAM_TRACKS && it.tracks.single().width == 192 }
                }
                player.output()
            }
            assertEquals(pictures("-f", "h264", "-i", raw.path), pictures("-i", copy.path))
        }
    }

    private fun parameterSets(unit: ByteArray): ByteArray {
        val starts = (0..unit.size - 5).filter {
            unit[it].toInt() == 0 && unit[it + 1].toInt() == 0 && unit[it + 2].toInt() == 1
        }
        val nals = (starts + unit.size).zipWithNext { from, to -> unit.copyOfRange(from, to) }
        return nals.filter { (it[3].toInt() and 0x1F) in 7..8 }
            .fold(ByteArray(0)) { all, nal -> all + byteArrayOf(0) + nal.dropLastWhile { it.toInt() == 0 } }
    }

    /** A sum for each decoded picture of something. */
    private fun pictures(vararg input: String): List<String> =
        Ffmpeg(*input, "-an", "-f", "framemd5", "-").use { it.output() }
            .decodeToString().lines()
            .filter { it.isNotBlank() && !it.startsWith("#") }
            .map { it.substringAfterLast(',').trim() }
            .also { assertEquals(50, it.size) }

    @Test
    fun `tracks and configurations are what decoders are configured with`() {
        Served().use { served ->
            served.server.start()
            Ffmpeg.publishing(served.url("live/cam"), 60).use {
                val tracks = served.until { it.kind == ServerEvent.Kind.STREAM_TRACKS && it.tracks.size == 2 }.tracks
                val video = tracks.first { it.kind == MediaKind.VIDEO }.mediaFormat()!!
                assertEquals("video/avc", video.getString(MediaFormat.KEY_MIME))
                assertEquals(192, video.getInteger(MediaFormat.KEY_WIDTH))
                val audio = tracks.first { it.kind == MediaKind.AUDIO }.mediaFormat()!!
                assertEquals(44_100, audio.getInteger(MediaFormat.KEY_SAMPLE_RATE))
                served.server.tap("live/cam").use { tap ->
                    val configurations = HashMap<MediaKind, DecoderConfiguration>()
                    while (configurations.size < 2) {
                        val event = tap.next(PATIENCE)
                        (event as? Frame)?.use { frame -> frame.configuration()?.let { configurations[frame.kind] = it } }
                    }
                    val format = configurations.getValue(MediaKind.VIDEO).mediaFormat()!!
                    assertEquals(7, format.getByteBuffer("csd-0")!!.get(4).toInt() and 0x1F)
                    assertEquals(8, format.getByteBuffer("csd-1")!!.get(4).toInt() and 0x1F)
                    val sound = configurations.getValue(MediaKind.AUDIO).mediaFormat()!!.getByteBuffer("csd-0")!!
                    assertEquals(configurations.getValue(MediaKind.AUDIO).bytes.size, sound.remaining())
                }
            }
        }
        assertNull(DecoderConfiguration(MediaKind.VIDEO, Codec.AVC, ByteArray(0)).mediaFormat())
    }
}
