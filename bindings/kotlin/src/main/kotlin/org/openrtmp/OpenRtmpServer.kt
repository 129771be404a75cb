package org.openrtmp

import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.emitAll
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.withContext
import java.io.File
import java.util.concurrent.Executor

/** With which defaults settings begin. */
public enum class Profile {
    /** A desktop or server machine. */
    DESKTOP,

    /** A phone or tablet: one worker thread, smaller limits. */
    MOBILE,
}

/** The state of a server. */
public enum class ServerState {
    /** Made, or stopped: it can be started. */
    STOPPED,

    /** It listens. */
    RUNNING,

    /** A stop is on its way. */
    STOPPING,
}

/**
 * An RTMP server. It runs on threads of its own from [start] to [stop], and can be started
 * again; [close] ends it for good. Several may live in one process. Any thread may call
 * anything; calls fail with [OpenRtmpException], whose [OpenRtmpException.code] is
 * [ErrorCode.STATE] where a server has to run and does not.
 */
public class OpenRtmpServer private constructor(builder: Builder) : AutoCloseable {
    private val hub = builder.hub
    private val handle: Long
    private val callbacks = ServerCallbacks(hub, builder.handler)

    /** Where the program of a phone tells what its system tells it. */
    public val device: Device

    /**
     * Does what the server wants of a phone's program; the shell of Android sets it. Orders
     * that come while there is none are lost.
     */
    public var orderListener: OrderListener?
        get() = callbacks.orders
        set(listener) {
            callbacks.orders = listener
        }

    /** Keys that may publish. */
    public val publishKeys: KeyRing

    /** Keys that may play. */
    public val playKeys: KeyRing

    init {
        val mobile = builder.profile == Profile.MOBILE
        handle = Native.serverNew(mobile, builder.steps.toTypedArray(), callbacks, builder.handler != null)
        callbacks.server = handle
        device = Device(handle)
        publishKeys = KeyRing(handle, true)
        playKeys = KeyRing(handle, false)
    }

    /** Where it listens, with the real ports. */
    public val listeners: List<Listener>
        get() = Json.list(Native.serverListeners(handle)).map { Listener(it) }

    /** The real port of the first address of `listen`. */
    public val port: Int
        get() = listeners.first().port

    /** How it stands. */
    public val state: ServerState
        get() = ServerState.entries[Native.serverState(handle)]

    /** What names it in log records: of no other server in this process. */
    public val id: Long
        get() = Native.serverId(handle)

    /**
     * What happens from the beginning of a collection on, until [close]; each collector has
     * a queue of 256. One that is slower loses events, and gets [ServerEvent.Kind.LOST].
     */
    public val events: Flow<ServerEvent> = hub.events(EVENT_QUEUE)

    /** Tells a listener of events from now on, until what this returns is closed. */
    public fun addEventListener(executor: Executor, listener: EventListener): AutoCloseable =
        hub.add(executor, listener)

    /** Binds, and starts its threads. On failure nothing is left running. */
    public fun start(): Unit = Native.serverStart(handle)

    /**
     * Stops: publishers and players are told and have [graceMillis] to leave, then they are
     * closed; recordings are completed. Returns at the latest a second after the grace. A
     * second call with a grace of 0 cuts the first short. From a listener it does not wait
     * for that listener.
     */
    @JvmOverloads
    public fun stop(graceMillis: Long = DEFAULT_GRACE): StopSummary =
        StopSummary(Json.fields(Native.serverStop(handle, graceMillis)))

    /** [stop], on a thread that may wait. Cancelled, it is finished all the same. */
    public suspend fun awaitStop(graceMillis: Long = DEFAULT_GRACE): StopSummary =
        withContext(Dispatchers.IO) { stop(graceMillis) }

    /**
     * Goes out of service and stops, without cutting anybody off before [graceMillis] are
     * over: nobody new is taken, and peers that announced that they know it are asked to
     * connect again, where [to] says: the URL of an app (`rtmp://host/app`, in which `{app}`
     * stands for the app that a peer is in) or of a server; empty: the address that they
     * know. Returns when all have left, at the latest a second after the grace; [stop] with
     * 0 from another thread cuts it short.
     */
    @JvmOverloads
    public fun drain(graceMillis: Long, to: String = ""): StopSummary =
        StopSummary(Json.fields(Native.serverDrain(handle, graceMillis, to)))

    /** [drain], on a thread that may wait. Cancelled, it is finished all the same. */
    public suspend fun awaitDrain(graceMillis: Long, to: String = ""): StopSummary =
        withContext(Dispatchers.IO) { drain(graceMillis, to) }

    /** Stops at once, and frees everything. A second time does nothing. */
    override fun close() {
        Native.serverClose(handle)
        hub.close()
    }

    /**
     * Puts other settings in force, all of them or none, and tells the paths of those that
     * changed. While it is stopped they are kept for the next start.
     */
    public fun reconfigure(change: SettingsChange): List<String> {
        val settings = Settings()
        change.apply(settings)
        return Json.texts(Native.serverReconfigure(handle, settings.steps.toTypedArray()))
    }

    /** A setting in force by its dotted path, or a group of them as JSON; all without a path. */
    @JvmOverloads
    public fun setting(path: String = ""): String = Native.serverConfig(handle, path)

    /** URLs under which other devices, then this one, reach a stream, or the server itself. */
    @JvmOverloads
    public fun urls(stream: String = ""): List<String> = Json.texts(Native.serverUrls(handle, stream))

    /**
     * URLs under which others reach a stream, or the server itself, best first; with those of
     * mobile operators' networks, of tunnels and of this device itself only if they are
     * wanted. Lists addresses each time: ask again every few seconds while URLs are shown, for
     * nothing tells that a hotspot was opened.
     */
    @JvmOverloads
    public fun reachableUrls(
        stream: String = "",
        cellular: Boolean = false,
        vpn: Boolean = false,
        loopback: Boolean = false,
    ): List<ReachableUrl> = Json.list(Native.reachable(handle, stream, cellular, vpn, loopback)).map { ReachableUrl(it) }

    /** Whether it works. Waits at most a second for its workers. */
    public fun health(): Health = Health(Json.fields(Native.serverHealth(handle)))

    /** Numbers of this moment. Waits at most a second for its workers. */
    public fun metrics(): Metrics = Metrics(Native.serverMetrics(handle))

    /** [metrics], on a thread that may wait. */
    public suspend fun awaitMetrics(): Metrics = withContext(Dispatchers.IO) { metrics() }

    /**
     * The same, complete: everything that an event told of before this is called, less what
     * is over. For who missed events, or begins to listen.
     */
    public fun snapshot(): Metrics = Metrics(Native.serverSnapshot(handle))

    /** The numbers as text for Prometheus. */
    public fun metricsText(): String = Native.serverMetricsText(handle)

    /** The streams there are. */
    public fun streams(): List<StreamInfo> = metrics().streams

    /** The connections there are. */
    public fun connections(): List<ConnectionInfo> = metrics().connectionList

    /** The taps that are open, those of recorders included. */
    public fun taps(): List<TapInfo> = Json.list(Native.serverTaps(handle)).map { TapInfo(it) }

    /** The publishers at work. */
    public fun publishers(): List<PublisherInfo> =
        Json.list(Native.serverPublishers(handle)).map { PublisherInfo(it) }

    /** The whole path of a stream, keys included; `null` if there is no such stream. */
    public fun streamName(streamId: Long): String? = Native.streamName(handle, streamId)

    /** Tells that the program goes to the background: writes are collected, to save power. */
    public fun setBackground(background: Boolean): Unit = Native.setBackground(handle, background)

    /** Binds listening sockets again that the system took, and tells their addresses. */
    public fun checkListeners(): List<String> = Json.texts(Native.checkListeners(handle))

    /** Ends a connection. False if there is none of this number. */
    @JvmOverloads
    public fun disconnect(connectionId: Long, reason: String = "disconnected by the host"): Boolean =
        Native.disconnect(handle, connectionId, reason)

    /** How long to collect packets for one player, 0 to 350 ms; `null`: as the settings say. */
    public fun setWriteCoalesce(connectionId: Long, millis: Long?): Boolean {
        require(millis == null || millis >= 0) { "a time is not below 0" }
        return Native.setWriteCoalesce(handle, connectionId, millis ?: -1)
    }

    /** Ends what is published as a stream (`app/name`). False if there is no such stream. */
    @JvmOverloads
    public fun endStream(stream: String, reason: String = "ended by the host"): Boolean =
        Native.endStream(handle, stream, reason)

    /** The same by the stream's number. */
    @JvmOverloads
    public fun endStream(streamId: Long, reason: String = "ended by the host"): Boolean =
        Native.endStreamId(handle, streamId, reason)

    /** Receives what the options say; to be closed. */
    public fun tap(options: TapOptions): Tap = Tap(handle, options)

    /** Receives a stream (`app/name`), live or still to come; to be closed. */
    public fun tap(stream: String): Tap = tap(TapOptions.stream(stream))

    /**
     * The frames and headers of a stream (`app/name`), live or still to come, through a tap
     * for each collection, until the server stops: see [Tap.events] for how long a frame lasts.
     */
    public fun frames(stream: String): Flow<Frame> = flow { tap(stream).use { emitAll(it.frames) } }

    /** Publishes a stream (`app/name`); to be closed. [ErrorCode.BUSY] if it has a publisher. */
    public fun publisher(stream: String): StreamPublisher = StreamPublisher(handle, stream)

    /**
     * Relays streams from now on, beside what the settings say: those whose paths here fit
     * the pattern (`live/` and a star), to or from a URL in which `{app}` and `{name}` stand for the
     * stream's. Tells the rule's number.
     */
    @JvmOverloads
    public fun addRelay(kind: RelayKind, pattern: String, url: String, idleMillis: Long = RELAY_IDLE): Long =
        Native.relayAdd(handle, kind.ordinal, pattern, url, idleMillis)

    /** Ends a rule of [addRelay], and its connections. False if there is none. */
    public fun removeRelay(relayId: Long): Boolean = Native.relayRemove(handle, relayId)

    /** The rules there are, those of the settings among them. */
    public fun relays(): List<Relay> = Json.list(Native.relayList(handle)).map { Relay(it) }

    /** Records a stream (`app/name`), live or still to come, to files in a folder. */
    public fun startRecording(stream: String, folder: File): Unit = Native.recordStart(handle, stream, folder.path)

    /** Completes a recording of [startRecording]; waits at most 5 s for its file. */
    public fun stopRecording(stream: String): Recording = Recording(Json.fields(Native.recordStop(handle, stream)))

    /** Streams that [startRecording] records, keys masked. */
    public fun recordings(): List<String> = Json.texts(Native.recordList(handle))

    /**
     * Gives a certificate, with those between it and its authority, and its key, as PEM text,
     * for who connects from now on; before a start, too.
     */
    public fun setCertificate(chain: String, key: String): Unit = Native.tlsSetCertificate(handle, chain, key)

    /** Shows a certificate for a name by TLS-ALPN-01 (RFC 8737); an empty chain ends it. */
    public fun setChallenge(name: String, chain: String, key: String): Unit =
        Native.tlsSetChallenge(handle, name, chain, key)

    /** Reads the certificate files of the settings again. */
    public fun reloadCertificates(): Unit = Native.tlsReload(handle)

    /** The pin of the certificate's key, as `tls.client.pins` takes it. */
    public val certificatePin: String
        get() = Native.tlsPin(handle)

    /** Makes a server: settings by their dotted paths, listeners, and who decides who may come. */
    public class Builder @JvmOverloads constructor(internal val profile: Profile = Profile.MOBILE) {
        private val settings = Settings()
        internal val steps get() = settings.steps
        internal val hub = EventHub()
        internal var handler: AccessHandler? = null

        /** [Settings.set]. */
        public fun set(path: String, value: Any): Builder = apply { settings.set(path, value) }

        /** [Settings.json]. */
        public fun json(document: String): Builder = apply { settings.json(document) }

        /** [Settings.yaml]. */
        public fun yaml(document: String): Builder = apply { settings.yaml(document) }

        /** [Settings.file]. */
        public fun file(file: File): Builder = apply { settings.file(file) }

        /** Decides who may come; without one, the keys alone do. */
        public fun access(handler: AccessHandler): Builder = apply { this.handler = handler }

        /**
         * The same by a function that suspends, in a scope. What it throws is logged, and the
         * request refused, as when the scope is cancelled.
         */
        public fun access(
            scope: CoroutineScope,
            handler: suspend (AccessRequest) -> AccessDecision,
        ): Builder = access(SuspendingAccess(scope, handler))

        /** Tells a listener of events, in order if the executor keeps it. */
        public fun eventListener(executor: Executor, listener: EventListener): Builder =
            apply { hub.add(executor, listener) }

        /** Checks the settings: [ErrorCode.CONFIG] tells which is not right. Not started yet. */
        public fun build(): OpenRtmpServer = OpenRtmpServer(this)
    }

    private companion object {
        const val DEFAULT_GRACE = 5_000L
        const val RELAY_IDLE = 30_000L
        const val EVENT_QUEUE = 256
    }
}

/** Changes to settings, in order; `docs/configuration.md` has all of them. */
public class Settings internal constructor() {
    internal val steps = ArrayList<String>()

    /**
     * Sets a value by its dotted path: a number, a flag, a text (durations such as `10s`, sizes
     * such as `64KiB`), a list of texts, or JSON as text.
     */
    public fun set(path: String, value: Any): Settings =
        step("set", path, if (value is Iterable<*>) value.joinToString(",") else value.toString())

    /** Takes over what a JSON document names, and leaves the rest. */
    public fun json(document: String): Settings = step("json", document, "")

    /**
     * The same of YAML. The library in the AAR for Android reads that only where it is JSON, too:
     * a whole parser would be a tenth of it.
     */
    public fun yaml(document: String): Settings = step("yaml", document, "")

    /** The same of a file: YAML if its name ends so, else JSON. */
    public fun file(file: File): Settings = step("file", file.path, "")

    private fun step(vararg words: String) = apply { steps.addAll(words) }
}

/** Changes settings, for [OpenRtmpServer.reconfigure]. */
public fun interface SettingsChange {
    /** Says what is to change. */
    public fun apply(settings: Settings)
}

/** Keys of a running server. Once there is one, peers without a key are refused. */
public class KeyRing internal constructor(private val server: Long, private val publish: Boolean) {
    /** Adds a key: no spaces, and none of `& ? / #`. */
    public fun add(key: String): Unit = Native.keyAdd(server, publish, key)

    /** Takes a key away, and ends what it opened. False if it was not there. */
    public fun revoke(key: String): Boolean = Native.keyRevoke(server, publish, key)

    /** The keys. They are secrets. */
    public fun list(): List<String> = Json.texts(Native.keyList(server, publish))
}
