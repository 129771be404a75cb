package org.openrtmp

/** What was going on when a server was stopped. */
public class StopSummary internal constructor(fields: Fields) {
    /** Since the start. */
    public val uptimeMillis: Long = fields.long("uptime_ms")

    /** Connections when the stop began. */
    public val connections: Int = fields.int("connections")

    /** Publishers when the stop began. */
    public val publishers: Int = fields.int("publishers")

    /** Streams when the stop began. */
    public val streams: Int = fields.int("streams")

    /** Players when the stop began. */
    public val subscribers: Int = fields.int("subscribers")

    /** Connections that were there at the deadline and were closed by force. */
    public val forced: Int = fields.int("forced")

    /** Threads that did not end in time, and do so by themselves. */
    public val leftBehind: Int = fields.int("left_behind")

    /** Connections accepted since the start. */
    public val accepted: Long = fields.long("accepted")

    /** Bytes read from sockets. */
    public val bytesIn: Long = fields.long("bytes_in")

    /** Bytes written to sockets. */
    public val bytesOut: Long = fields.long("bytes_out")
}

/** Where a server listens. */
public data class Listener internal constructor(
    /** The address. */
    val host: String,
    /** The real port. */
    val port: Int,
    /** TLS is spoken there. */
    val isTls: Boolean,
) {
    internal constructor(fields: Fields) : this(fields.text("host"), fields.int("port"), fields.flag("tls"))
}

/** Whether a server works. */
public data class Health internal constructor(
    /** Every worker answers. */
    val isLive: Boolean,
    /** It takes new connections. */
    val isReady: Boolean,
    /** Why it is not live or not ready. */
    val reasons: List<String>,
) {
    internal constructor(fields: Fields) : this(fields.flag("live"), fields.flag("ready"), fields.texts("reasons"))
}

/** Numbers of one moment. Counters grow from the server's start. */
public class Metrics internal constructor(
    /** All of them, as JSON: `docs/schema/metrics.json`. */
    public val json: String,
) {
    private val fields = Json.fields(json)

    /** All of them, by the names of the schema. */
    public val details: Map<String, Any?> get() = fields.map

    /** Connections now. */
    public val connections: Int get() = fields.int("connections")

    /** Publishers now, those of the program included. */
    public val publishers: Int get() = fields.int("publishers")

    /** Players now. */
    public val subscribers: Int get() = fields.int("subscribers")

    /** Connections accepted. */
    public val accepted: Long get() = fields.long("accepted")

    /** Bytes read from sockets. */
    public val bytesIn: Long get() = fields.long("bytes_in")

    /** Bytes written to sockets. */
    public val bytesOut: Long get() = fields.long("bytes_out")

    /** Frames that slow players did not get. */
    public val droppedFrames: Long get() = fields.long("dropped_frames")

    /** Bytes held for peers. */
    public val memory: Long get() = fields.long("memory")

    /** Streams. */
    public val streams: List<StreamInfo> get() = fields.list("streams_list").map { StreamInfo(it) }

    /** Connections, one by one. */
    public val connectionList: List<ConnectionInfo>
        get() = fields.list("connections_list").map { ConnectionInfo(it) }
}

/** A stream. */
public class StreamInfo internal constructor(private val fields: Fields) {
    /** Its number. */
    public val id: Long get() = fields.long("stream_id")

    /** Its path, keys masked. */
    public val name: String get() = fields.text("name")

    /** False within the grace after a publisher left. */
    public val isLive: Boolean get() = fields.flag("live")

    /** Bytes published. */
    public val bytes: Long get() = fields.long("bytes")

    /** Bit/s published. */
    public val bitrate: Long get() = fields.long("bitrate")

    /** Video frames. */
    public val videoFrames: Long get() = fields.long("video_frames")

    /** Audio frames. */
    public val audioFrames: Long get() = fields.long("audio_frames")

    /** What it consists of. */
    public val tracks: List<Track> get() = fields.list("tracks").map { Track(it) }

    /** Connections that play it. */
    public val players: List<Long> get() = fields.list("subscribers_list").map { it.long("connection_id") }

    /** All that is known, by the names of `docs/schema/metrics.json`. */
    public val details: Map<String, Any?> get() = fields.map
}

/** A connection. */
public class ConnectionInfo internal constructor(private val fields: Fields) {
    /** Its number. */
    public val id: Long get() = fields.long("connection_id")

    /** Address and port. */
    public val peer: String get() = fields.text("peer")

    /** How far it has come: handshake, connect, connected, publishing, playing. */
    public val stage: String get() = fields.text("stage")

    /** All that is known, by the names of `docs/schema/metrics.json`. */
    public val details: Map<String, Any?> get() = fields.map
}

/** A tap that is open. */
public data class TapInfo internal constructor(
    /** The stream's path, keys masked; `null`: several, or all. */
    val stream: String?,
    /** Streams that are live for it. */
    val live: Int,
    /** A recorder's. */
    val isRecording: Boolean,
    /** Bytes that wait to be read. */
    val waitingBytes: Long,
) {
    internal constructor(fields: Fields) : this(
        fields.textOrNull("stream"), fields.int("live"), fields.flag("recording"), fields.long("waiting_bytes"),
    )
}

/** A publisher at work. */
public data class PublisherInfo internal constructor(
    /** The stream. */
    val streamId: Long,
    /** Its path, keys masked. */
    val name: String,
    /** Who publishes it; `null`: a [StreamPublisher]. */
    val connectionId: Long?,
    /** How long nothing has come from it, once that is `streams.publisher_timeout`. */
    val silenceMillis: Long,
) {
    internal constructor(fields: Fields) : this(
        fields.long("stream"), fields.text("name"), fields.longOrNull("connection"), fields.long("silence_ms"),
    )
}

/** Which way a relay's streams go. */
public enum class RelayKind {
    /** From this server to another. */
    PUSH,

    /** From another server to this one, while somebody plays a stream that nobody publishes. */
    PULL,

    /** From another server to this one, always; the pattern names one stream. */
    PULL_ALWAYS,
}

/** A rule by which streams are relayed. */
public data class Relay internal constructor(
    /** Its number. */
    val id: Long,
    /** To another server; otherwise from it. */
    val isPush: Boolean,
    /** Which streams, by their paths here. */
    val pattern: String,
    /** The other server, without names of streams and queries. */
    val url: String,
    /** The settings name it. */
    val isConfigured: Boolean,
    /** Its streams. */
    val links: List<RelayLink>,
) {
    internal constructor(fields: Fields) : this(
        fields.long("id"), fields.flag("push"), fields.text("pattern"), fields.text("url"),
        fields.flag("configured"), fields.list("links").map { RelayLink(it) },
    )
}

/** One stream of a relay. */
public data class RelayLink internal constructor(
    /** Its path here, keys masked. */
    val stream: String,
    /** `waiting`, `connecting`, `running` or `parked`. */
    val state: String,
    /** Until it is tried again. */
    val waitMillis: Long,
    /** The connection, while there is one. */
    val connectionId: Long?,
    /** Connections that were tried. */
    val attempts: Long,
    /** Those that failed or broke. */
    val failures: Long,
    /** What the last failure was; empty if there was none. */
    val lastError: String,
) {
    internal constructor(fields: Fields) : this(
        fields.text("stream"), fields.text("state"), fields.long("wait_ms"), fields.longOrNull("connection"),
        fields.long("attempts"), fields.long("failures"), fields.text("last_error"),
    )
}

/** What a recording has made. */
public data class Recording internal constructor(
    /** Files that are complete. */
    val files: Long,
    /** The last of them. */
    val last: String?,
    /** Time in them. */
    val durationMillis: Long,
    /** Bytes in them. */
    val bytes: Long,
    /** Frames that are missing because the disk was too slow. */
    val lostFrames: Long,
    /** Why the last file that failed did, if one did. */
    val error: String?,
) {
    internal constructor(fields: Fields) : this(
        fields.long("files"), fields.textOrNull("last"), fields.long("duration_ms"), fields.long("bytes"),
        fields.long("lost_frames"), fields.textOrNull("error"),
    )
}
