package org.openrtmp.android

import android.media.MediaCodec
import android.media.MediaFormat
import org.openrtmp.Codec
import org.openrtmp.DecoderConfiguration
import org.openrtmp.MediaKind
import org.openrtmp.StreamPublisher
import org.openrtmp.Track
import java.nio.ByteBuffer

/** What a decoder is configured with for a track; `null` while too little is known of it. */
public fun Track.mediaFormat(): MediaFormat? = format(kind, codec, width, height, sampleRate, channels)

/** The same with the codec's own data (`csd-0` and so on): all that a decoder needs. */
public fun DecoderConfiguration.mediaFormat(): MediaFormat? =
    format(kind, codec, width, height, sampleRate, channels)?.also { format ->
        codecSpecificData.forEachIndexed { index, data -> format.setByteBuffer("csd-$index", ByteBuffer.wrap(data)) }
    }

private fun format(
    kind: MediaKind,
    codec: Codec,
    width: Int?,
    height: Int?,
    sampleRate: Int?,
    channels: Int?,
): MediaFormat? {
    val mime = codec.mime ?: return null
    return when (kind) {
        MediaKind.VIDEO -> MediaFormat.createVideoFormat(mime, width ?: return null, height ?: return null)
        MediaKind.AUDIO -> MediaFormat.createAudioFormat(mime, sampleRate ?: return null, channels ?: return null)
        MediaKind.DATA -> null
    }
}

/**
 * Publishes what a MediaCodec encoder puts out as a track: H.264, H.265 and AAC, with their
 * configuration as the encoder tells it, in a buffer with `BUFFER_FLAG_CODEC_CONFIG` or in
 * its output format.
 */
public class EncoderTrack @JvmOverloads constructor(
    private val publisher: StreamPublisher,
    private val codec: Codec,
    private val track: Int = 0,
) {
    private val isVideo = codec == Codec.AVC || codec == Codec.HEVC
    private var configuration: DecoderConfiguration? = null

    init {
        require(isVideo || codec == Codec.AAC) { "$codec is not H.264, H.265 or AAC" }
    }

    /** Takes the configuration from `MediaCodec.getOutputFormat`, if it is there. */
    public fun format(format: MediaFormat) {
        val parts = generateSequence(0) { it + 1 }
            .map { format.getByteBuffer("csd-$it") }
            .takeWhile { it != null }
            .map { bytes(it!!.duplicate()) }
            .toList()
        if (parts.isNotEmpty()) configure(parts.reduce { all, part -> all + part }, 0)
    }

    /**
     * Writes an output buffer, between the offset and the end that its info tells; the
     * caller releases it. A copy is made, two of video: encoders put out start codes.
     */
    public fun write(buffer: ByteBuffer, info: MediaCodec.BufferInfo) {
        if (info.size == 0) return
        val data = buffer.duplicate()
        data.limit(info.offset + info.size).position(info.offset)
        val time = info.presentationTimeUs
        when {
            info.flags and MediaCodec.BUFFER_FLAG_CODEC_CONFIG != 0 -> configure(bytes(data), time)
            isVideo -> {
                val isKey = info.flags and MediaCodec.BUFFER_FLAG_KEY_FRAME != 0
                publisher.writeVideo(data, time, time, isKey, track, annexB = true)
            }
            else -> publisher.writeAudio(data, time, track)
        }
    }

    private fun configure(data: ByteArray, dtsMicros: Long) {
        val told = when {
            isVideo -> DecoderConfiguration.ofParameterSets(codec, data)
            else -> DecoderConfiguration(MediaKind.AUDIO, codec, data)
        }
        // Encoders tell it in both ways.
        if (told == configuration) return
        publisher.configure(told, track, dtsMicros)
        configuration = told
    }

    private fun bytes(data: ByteBuffer) = ByteArray(data.remaining()).also { data.get(it) }
}
