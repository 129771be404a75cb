package org.openrtmp

import java.nio.ByteBuffer
import java.util.concurrent.ConcurrentHashMap
import java.util.logging.Level
import java.util.logging.Logger

/** Where the library and its listeners' failures are logged: on Android, in Logcat. */
internal val logger: Logger = Logger.getLogger("org.openrtmp")

/**
 * The functions of `libopenrtmp_jni`, which registers them when it is loaded. They throw
 * [OpenRtmpException]. Servers, taps and publishers are numbers that are never used twice; a
 * frame's is given back once.
 */
@Suppress("LongParameterList", "TooManyFunctions")
internal object Native {
    init {
        NativeLibrary.load()
    }

    private val taps = ConcurrentHashMap<Long, Tap>()

    fun listen(handle: Long, tap: Tap) {
        taps[handle] = tap
    }

    fun forget(handle: Long) {
        taps.remove(handle)
    }

    /** Called by the library, on a thread of its own: there is something in a tap. */
    @JvmStatic
    fun wake(tap: Long) {
        taps[tap]?.wake()
    }

    /** Called by the library, on a thread of its own, with a record of its log. */
    @JvmStatic
    fun log(level: Int, target: String, message: String) {
        val javaLevel = when (level) {
            1 -> Level.SEVERE
            2 -> Level.WARNING
            3 -> Level.INFO
            4 -> Level.FINE
            else -> Level.FINER
        }
        logger.logp(javaLevel, target, null, message)
    }

    @JvmStatic external fun version(): String
    @JvmStatic external fun logLevel(level: Int)

    @JvmStatic external fun serverNew(mobile: Boolean, steps: Array<String>, callbacks: Any, asks: Boolean): Long
    @JvmStatic external fun serverClose(server: Long)
    @JvmStatic external fun serverStart(server: Long)
    @JvmStatic external fun serverStop(server: Long, graceMs: Long): String
    @JvmStatic external fun serverDrain(server: Long, graceMs: Long, to: String): String
    @JvmStatic external fun serverState(server: Long): Int
    @JvmStatic external fun serverId(server: Long): Long
    @JvmStatic external fun serverReconfigure(server: Long, steps: Array<String>): String
    @JvmStatic external fun serverConfig(server: Long, path: String): String
    @JvmStatic external fun serverListeners(server: Long): String
    @JvmStatic external fun serverUrls(server: Long, stream: String): String
    @JvmStatic external fun serverHealth(server: Long): String
    @JvmStatic external fun serverMetrics(server: Long): String
    @JvmStatic external fun serverMetricsText(server: Long): String
    @JvmStatic external fun serverSnapshot(server: Long): String
    @JvmStatic external fun serverTaps(server: Long): String
    @JvmStatic external fun serverPublishers(server: Long): String
    @JvmStatic external fun setBackground(server: Long, on: Boolean)
    @JvmStatic external fun disconnect(server: Long, connection: Long, reason: String): Boolean
    @JvmStatic external fun setWriteCoalesce(server: Long, connection: Long, millis: Long): Boolean
    @JvmStatic external fun endStream(server: Long, stream: String, reason: String): Boolean
    @JvmStatic external fun endStreamId(server: Long, stream: Long, reason: String): Boolean
    @JvmStatic external fun streamName(server: Long, stream: Long): String?
    @JvmStatic external fun answer(server: Long, request: Long, kind: Int, text: String): Boolean

    @JvmStatic external fun hostBackground(server: Long, remainingMs: Long)
    @JvmStatic external fun hostRemainingTime(server: Long, remainingMs: Long)
    @JvmStatic external fun hostSuspend(server: Long, withinMs: Long): String
    @JvmStatic external fun hostResume(server: Long, awayMs: Long): String
    @JvmStatic external fun hostForeground(server: Long)
    @JvmStatic external fun hostNetwork(server: Long, words: Array<String>)
    @JvmStatic external fun hostPermission(server: Long, permission: Int, state: Int)
    @JvmStatic external fun hostPower(server: Long, lowPower: Boolean, deviceIdle: Boolean, thermal: Int)
    @JvmStatic external fun hostMemory(server: Long, level: Int)
    @JvmStatic external fun hostAudio(server: Long, active: Boolean)
    @JvmStatic external fun hostService(server: Long, state: Int)
    @JvmStatic external fun checkListeners(server: Long): String
    @JvmStatic external fun powerStats(server: Long): String

    @JvmStatic external fun reachable(
        server: Long, stream: String, cellular: Boolean, vpn: Boolean, loopback: Boolean,
    ): String

    @JvmStatic external fun keyAdd(server: Long, publish: Boolean, key: String)
    @JvmStatic external fun keyRevoke(server: Long, publish: Boolean, key: String): Boolean
    @JvmStatic external fun keyList(server: Long, publish: Boolean): String
    @JvmStatic external fun keyGenerate(): String

    @JvmStatic external fun relayAdd(server: Long, kind: Int, pattern: String, url: String, idleMs: Long): Long
    @JvmStatic external fun relayRemove(server: Long, relay: Long): Boolean
    @JvmStatic external fun relayList(server: Long): String
    @JvmStatic external fun recordStart(server: Long, stream: String, folder: String)
    @JvmStatic external fun recordStop(server: Long, stream: String): String
    @JvmStatic external fun recordList(server: Long): String
    @JvmStatic external fun tlsSetCertificate(server: Long, chain: String, key: String)
    @JvmStatic external fun tlsSetChallenge(server: Long, name: String, chain: String, key: String)
    @JvmStatic external fun tlsReload(server: Long)
    @JvmStatic external fun tlsPin(server: Long): String

    @JvmStatic external fun tapOpen(
        server: Long, kind: Int, name: String, index: Int, count: Int, maxBytes: Long, maxDelayMs: Long,
    ): Long

    @JvmStatic external fun tapNext(tap: Long, timeoutMs: Long): Any?
    @JvmStatic external fun tapPoll(tap: Long): Any?
    @JvmStatic external fun tapClose(tap: Long)
    @JvmStatic external fun frameRetain(frame: Long): Long
    @JvmStatic external fun frameClose(frame: Long)

    @JvmStatic external fun publisherOpen(server: Long, stream: String): Long
    @JvmStatic external fun publisherClose(publisher: Long)

    @JvmStatic external fun publisherConfigure(
        publisher: Long, video: Boolean, track: Int, codec: Int, config: ByteArray, dts: Long,
    )

    @JvmStatic external fun publisherWrite(
        publisher: Long, video: Boolean, track: Int, key: Boolean, dts: Long, pts: Long,
        buffer: ByteBuffer?, array: ByteArray?, offset: Int, length: Int, annexB: Boolean,
    )

    @JvmStatic external fun publisherMessage(
        publisher: Long, kind: Int, timestampMs: Long,
        buffer: ByteBuffer?, array: ByteArray?, offset: Int, length: Int,
    )

    @JvmStatic external fun toAnnexB(
        buffer: ByteBuffer?, array: ByteArray?, offset: Int, length: Int, lengthSize: Int,
    ): ByteArray

    @JvmStatic external fun fromAnnexB(buffer: ByteBuffer?, array: ByteArray?, offset: Int, length: Int): ByteArray
    @JvmStatic external fun decoderParts(video: Boolean, codec: Int, config: ByteArray): Array<ByteArray>
    @JvmStatic external fun mediaFormat(video: Boolean, codec: Int, config: ByteArray): String
    @JvmStatic external fun configOfSets(codec: Int, sets: ByteArray): ByteArray
}
