package org.openrtmp

/**
 * Something that happened to a server. Names of streams are shown without the keys that
 * are in some of them.
 */
public class ServerEvent internal constructor(private val fields: Fields) {
    /** What happened. */
    public val kind: Kind = Kind.of(fields.text("event"))

    /** All that is told, by the names of `docs/schema/events.json`. */
    public val details: Map<String, Any?> get() = fields.map

    /** The stream's path; empty if it is about none. */
    public val streamName: String get() = fields.text("name")

    /** The stream. */
    public val streamId: Long? get() = fields.longOrNull("stream")

    /** The connection. */
    public val connectionId: Long? get() = fields.longOrNull("connection")

    /** Address and port of the peer; empty if it is about none. */
    public val peer: String get() = fields.text("peer")

    /** What a stream consists of, of [Kind.STREAM_TRACKS]. */
    public val tracks: List<Track> get() = fields.list("tracks").map { Track(it) }

    /** Events that were lost before this one, of [Kind.LOST]. */
    public val lost: Long get() = fields.long("count")

    /** Why, where something ended or failed; else empty. */
    public val reason: String
        get() = when (val reason = fields.map["reason"]) {
            is String -> reason
            is Map<*, *> -> listOfNotNull(reason["kind"], reason["detail"]).joinToString(": ")
            else -> fields.text("error")
        }

    override fun toString(): String = "$kind ${fields.map - "event"}"

    /** What may happen; each is told of in `docs/schema/events.json`. */
    public enum class Kind {
        SERVER_STARTED,
        SERVER_STOPPING,
        SERVER_STOPPED,
        CONFIG_CHANGED,
        INTERNAL_ERROR,
        WORKER_RESTARTED,
        ACCEPT_FAILED,
        ADDRESS_BLOCKED,
        LISTENER_LOST,
        LISTENER_RESTORED,
        CERTIFICATE_EXPIRES,
        CONNECTION_OPENED,
        CONNECTION_CLOSED,
        OUTGOING_FAILED,
        STREAM_PUBLISHED,
        STREAM_TRACKS,
        VIDEO_STOPPED,
        VIDEO_RESUMED,
        PUBLISHER_LOST,
        STREAM_UNPUBLISHED,
        STREAM_ENDED,
        SUBSCRIBER_JOINED,
        SUBSCRIBER_LEFT,
        SUBSCRIBER_DROPPING,
        ACCESS,
        RELAY_STARTED,
        RELAY_FAILED,
        RELAY_ENDED,
        LIMIT_REACHED,
        RECORDING_STARTED,
        RECORDING_FINISHED,
        RECORDING_FAILED,
        RECORDING_LOST,
        RECORDER_RESTARTED,
        BACKGROUND,
        FOREGROUND,
        REMAINING_TIME,
        SUSPENDED,
        RESUMED,
        URLS_CHANGED,
        NETWORK_LOST,
        NETWORK_BACK,
        CELLULAR_USED,
        PERMISSION,
        POWER,
        MEMORY,
        SERVICE,

        /** Events were lost because a listener or collector was too slow: [lost]. */
        LOST,

        /** Something that a newer library tells: see [details]. */
        OTHER,
        ;

        internal companion object {
            private val byName = entries.associateBy { it.name.lowercase() }

            fun of(name: String): Kind = byName[name] ?: OTHER
        }
    }

    internal companion object {
        fun lost(count: Long) = ServerEvent(Fields(mapOf("event" to "lost", "count" to count)))
    }
}

/** Told of events, in order, by the executor that it was given with. */
public fun interface EventListener {
    /** Something happened. What this throws is logged. */
    public fun onEvent(event: ServerEvent)
}
