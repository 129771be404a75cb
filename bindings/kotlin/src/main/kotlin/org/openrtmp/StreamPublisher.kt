package org.openrtmp

import java.nio.ByteBuffer

/**
 * Publishes a stream from inside the process; made by [OpenRtmpServer.publisher]. [close]
 * ends the stream. Nothing waits; any thread may call, one after the other.
 *
 * Calls fail with [ErrorCode.WOULD_BLOCK] if 16 MiB wait: drop the frame, or try again later;
 * with [ErrorCode.GONE] once another publisher has the stream, or it was ended: close it;
 * with [ErrorCode.STATE] if the track was not configured, or the server has stopped.
 */
public class StreamPublisher internal constructor(server: Long, stream: String) : AutoCloseable {
    private val handle = Native.publisherOpen(server, stream)

    /**
     * Adds a track, 0 to 255, or changes its configuration, before its first frame. Tracks
     * other than 0 are known to players of Enhanced RTMP only.
     */
    @JvmOverloads
    public fun configure(configuration: DecoderConfiguration, track: Int = 0, dtsMicros: Long = 0) {
        val video = configuration.kind == MediaKind.VIDEO
        require(video || configuration.kind == MediaKind.AUDIO) { "a track is of audio or video" }
        Native.publisherConfigure(handle, video, track, configuration.codec.fourCc, configuration.bytes, dtsMicros)
    }

    /**
     * Writes a picture: H.264 and H.265 as NAL units behind lengths, or, if [annexB], behind
     * start codes. What is between position and limit is copied once, or twice if it has
     * start codes or the buffer is no direct one; the position stays.
     */
    @JvmOverloads
    public fun writeVideo(
        data: ByteBuffer,
        dtsMicros: Long,
        ptsMicros: Long,
        isKey: Boolean,
        track: Int = 0,
        annexB: Boolean = false,
    ): Unit = write(true, data, dtsMicros, ptsMicros, isKey, track, annexB)

    /** Writes a frame of sound: AAC without ADTS. */
    @JvmOverloads
    public fun writeAudio(data: ByteBuffer, dtsMicros: Long, track: Int = 0): Unit =
        write(false, data, dtsMicros, dtsMicros, true, track, false)

    /**
     * Writes the body of an RTMP message as it is: an FLV or Enhanced RTMP tag body, or AMF0
     * values, the name first. Needs no configured track.
     */
    public fun writeMessage(kind: MediaKind, timestampMillis: Long, body: ByteBuffer): Unit =
        withBytes(body) { buffer, array, offset, length ->
            Native.publisherMessage(handle, kind.number, timestampMillis, buffer, array, offset, length)
        }

    /** Ends the stream. When it returns the name may be published again. */
    override fun close(): Unit = Native.publisherClose(handle)

    private fun write(
        video: Boolean,
        data: ByteBuffer,
        dtsMicros: Long,
        ptsMicros: Long,
        isKey: Boolean,
        track: Int,
        annexB: Boolean,
    ) = withBytes(data) { buffer, array, offset, length ->
        Native.publisherWrite(
            handle, video, track, isKey, dtsMicros, ptsMicros, buffer, array, offset, length, annexB,
        )
    }

    private inline fun withBytes(data: ByteBuffer, body: (ByteBuffer?, ByteArray?, Int, Int) -> Unit) {
        val (position, length) = data.position() to data.remaining()
        when {
            data.isDirect -> body(data, null, position, length)
            data.hasArray() -> body(null, data.array(), data.arrayOffset() + position, length)
            else -> body(null, ByteArray(length).also { data.duplicate().get(it) }, 0, length)
        }
    }
}
