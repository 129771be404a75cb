package org.openrtmp

import java.nio.ByteBuffer

/**
 * A frame of a stream, or a header, as the library holds it: nothing was copied.
 *
 * Its bytes are there until [close], which whoever got it from [Tap.next] calls; a
 * collector's frame is closed when the collector returns, and one that is to be kept longer
 * is [retain]ed. **A buffer that [data] gave must not be touched after that**: its memory is
 * gone. A frame that is kept holds the memory of its whole message.
 */
public class Frame internal constructor(
    private var handle: Long,
    private val buffer: ByteBuffer?,
    kind: Int,
    /** The track; 0 is the default one. */
    public val track: Int,
    codec: Int,
    content: Int,
    /** When it is decoded, microseconds on the stream's clock. */
    public val dtsMicros: Long,
    /** When it is shown or heard. */
    public val ptsMicros: Long,
    /** Frames of the stream that this tap lost so far because it was too slow. */
    public val dropped: Long,
    /** The stream. */
    public val streamId: Long,
    /** Bytes of the length before each NAL unit; 0 for codecs without. */
    public val lengthSize: Int,
) : TapEvent, AutoCloseable {
    /** Sound, pictures or data. */
    public val kind: MediaKind = MediaKind.of(kind)

    /** The codec; [Codec.fourCc] is 0 for data and for what cannot be read. */
    public val codec: Codec = Codec(codec)

    /** What the bytes are. */
    public val content: Content = Content.entries[content]

    /** A decoder can start here. */
    public val isKey: Boolean get() = content == Content.KEY

    /** Bytes. */
    public val size: Int get() = buffer?.capacity() ?: 0

    /**
     * The codec's bytes, without a copy: H.264 and H.265 as NAL units behind lengths, AAC
     * without ADTS. Direct and read-only, with a position of its own; valid until [close].
     */
    public val data: ByteBuffer
        get() = open { (buffer ?: NOTHING).asReadOnlyBuffer() }

    /** A copy of the bytes. */
    public fun toByteArray(): ByteArray = open { ByteArray(size).also { data.get(it) } }

    /** A copy with start codes in place of the lengths before NAL units, as MediaCodec takes it. */
    public fun annexB(): ByteArray = open {
        check(lengthSize != 0) { "$codec has no NAL units" }
        Native.toAnnexB(buffer, null, 0, size, lengthSize)
    }

    /** The configuration that a [Content.HEADER] is; `null` for anything else. */
    public fun configuration(): DecoderConfiguration? =
        if (content == Content.HEADER) DecoderConfiguration(kind, codec, toByteArray()) else null

    /** The same frame once more, to be closed by itself. Copies nothing. */
    public fun retain(): Frame = open {
        Frame(
            Native.frameRetain(handle), buffer, kind.number, track, codec.fourCc, content.ordinal,
            dtsMicros, ptsMicros, dropped, streamId, lengthSize,
        )
    }

    /** Gives the memory back; a second time does nothing. Any thread may. */
    override fun close() {
        synchronized(this) {
            if (handle != 0L) Native.frameClose(handle)
            handle = 0
        }
    }

    private inline fun <T> open(body: () -> T): T = synchronized(this) {
        check(handle != 0L) { "the frame was closed" }
        body()
    }

    override fun toString(): String = "Frame($kind, track $track, $codec, $content, $dtsMicros us, $size bytes)"

    private companion object {
        val NOTHING: ByteBuffer = ByteBuffer.allocateDirect(0)
    }
}
