package org.openrtmp

/**
 * What the program on a phone tells a running server of its system: `docs/mobile.md` says
 * what follows from it. Signals may come in any order, more than once, and from any thread.
 * All return at once but [suspendWithin], [resumeAfter] and [powerStats]. What the server
 * wants in return comes as a [HostOrder].
 */
public class Device internal constructor(private val server: Long) {
    /**
     * The program goes to the background, where the system lets it run for so long; `null`: it
     * did not say. `mobile.background` says what happens.
     */
    @JvmOverloads
    public fun background(remainingMillis: Long? = null) {
        require(remainingMillis == null || remainingMillis >= 0) { "a time is not below 0" }
        Native.hostBackground(server, remainingMillis ?: -1)
    }

    /** So much of that time is left. */
    public fun remainingTime(millis: Long): Unit = Native.hostRemainingTime(server, millis)

    /**
     * The program is about to be frozen: nobody can connect any more, peers are told and
     * closed, recordings synced; streams stay. Waits at most [millis], of which 700 are enough,
     * and 10,000 the most.
     */
    @JvmOverloads
    public fun suspendWithin(millis: Long = SUSPEND): SuspendReport =
        SuspendReport(Json.fields(Native.hostSuspend(server, millis)))

    /**
     * The program runs again, after it was away for so long by the clock on the wall: after
     * [suspendWithin], and, since systems suspend without a word, whenever it comes to the
     * front. Waits at most 2 s for its ports.
     */
    public fun resumeAfter(awayMillis: Long): ResumeReport =
        ResumeReport(Json.fields(Native.hostResume(server, awayMillis)))

    /** The program is in front. */
    public fun foreground(): Unit = Native.hostForeground(server)

    /** The networks that the system says there are, all of them each time; 256 at most. */
    public fun networks(networks: List<DeviceNetwork>): Unit =
        Native.hostNetwork(server, networks.flatMap { it.words() }.toTypedArray())

    /** What the user says about a permission. */
    public fun permission(permission: Permission, state: PermissionState): Unit =
        Native.hostPermission(server, permission.number, state.ordinal)

    /** How the device is off for power: the user saves it, the device rests (Doze), its heat. */
    public fun power(lowPower: Boolean, deviceIdle: Boolean, thermal: ThermalState): Unit =
        Native.hostPower(server, lowPower, deviceIdle, thermal.ordinal)

    /** How the device is off for memory. */
    public fun memory(level: MemoryLevel): Unit = Native.hostMemory(server, level.ordinal)

    /** The program plays audible sound, or no longer. */
    public fun audio(active: Boolean): Unit = Native.hostAudio(server, active)

    /** What became of the service that was ordered. */
    public fun service(state: ServiceState): Unit = Native.hostService(server, state.number)

    /** What the server cost in power since its start. Waits at most a second for its workers. */
    public fun powerStats(): PowerStats = PowerStats(Json.fields(Native.powerStats(server)))

    private companion object {
        const val SUSPEND = 700L
    }
}

/** What the host of a server on a phone is to do; `docs/mobile.md` has when. */
public sealed interface HostOrder {
    /** Something is streamed: hold the locks that keep processor and Wi-Fi awake, or let them go. */
    public data class KeepAwake internal constructor(val cpu: Boolean, val wifi: Boolean) : HostOrder

    /** About the service that keeps the program running; the numbers are to be shown. */
    public data class Service internal constructor(
        val action: ServiceAction,
        val streams: Int,
        val connections: Int,
    ) : HostOrder

    /** Ask the system for time in the background, or give it back: nothing on Android. */
    public data class Task internal constructor(val begin: Boolean) : HostOrder

    /** Tell the local network where the server is, and of it ([txt]); `null`: stop that. */
    public data class Advertise internal constructor(val port: Int?, val txt: String) : HostOrder

    /** The user was not asked for this yet, and it is needed. When to ask is the program's to say. */
    public data class AskPermission internal constructor(val permission: Permission) : HostOrder

    /** Call [Device.suspendWithin] now. */
    public object SuspendNow : HostOrder {
        override fun toString(): String = "SuspendNow"
    }

    /** Something that a newer library wants. */
    public data class Other internal constructor(val text: String) : HostOrder
}

/** Does what a server on a phone wants. */
public fun interface OrderListener {
    /** An order, in order, on a thread of the library; what this throws is logged. */
    public fun onOrder(order: HostOrder)
}

internal fun orderOf(fields: Fields): HostOrder = when (fields.text("order")) {
    "keep_awake" -> HostOrder.KeepAwake(fields.flag("cpu"), fields.flag("wifi"))
    "service" -> {
        val action = named<ServiceAction>(fields.text("action")) ?: ServiceAction.STOP
        HostOrder.Service(action, fields.int("streams"), fields.int("connections"))
    }
    "task" -> HostOrder.Task(fields.flag("begin"))
    "advertise" -> HostOrder.Advertise(fields.intOrNull("port"), fields.text("txt"))
    "ask_permission" ->
        named<Permission>(fields.text("permission"))?.let { HostOrder.AskPermission(it) } ?: other(fields)
    "suspend_now" -> HostOrder.SuspendNow
    else -> other(fields)
}

private fun other(fields: Fields) = HostOrder.Other(fields.map.toString())

internal inline fun <reified E : Enum<E>> named(name: String): E? =
    enumValues<E>().firstOrNull { it.name.lowercase() == name }

/** What to do about the service. */
public enum class ServiceAction(internal val number: Int) {
    /** Start it, while the program is in front. */
    START(1),

    /** Show other numbers. */
    UPDATE(2),

    /** It is not needed any more. */
    STOP(3),
}

/** What became of the service. */
public enum class ServiceState(internal val number: Int) {
    /** It runs. */
    STARTED(1),

    /** The system did not let it start. */
    REFUSED(2),

    /** The system's time for it is over. */
    TIMED_OUT(3),

    /** The user ended it. */
    STOPPED(4),
}

/** What carries a network. */
public enum class NetworkKind {
    /** Anything else, and what nothing is known of. */
    OTHER,

    /** A wireless network that this device has joined. */
    WIFI,

    /** A cable. */
    ETHERNET,

    /** A mobile operator's network. */
    CELLULAR,

    /** A wireless network that this device opened for others. */
    HOTSPOT,

    /** A cable to a computer or another phone (tethering). */
    USB,

    /** A tunnel. */
    VPN,
}

/** A network that the system says this device is connected to. */
public data class DeviceNetwork @JvmOverloads constructor(
    /** Its interface, such as `wlan0`. */
    val name: String,
    /** What carries it. */
    val kind: NetworkKind,
    /** This device's addresses there. */
    val addresses: List<String> = emptyList(),
    /** What is sent there costs money, or counts. */
    val isMetered: Boolean = false,
    /** The user asked programs to send little there. */
    val isConstrained: Boolean = false,
    /** Where the system sends what has no better way. */
    val isDefault: Boolean = false,
) {
    internal fun words(): List<String> {
        val flags = listOfNotNull(
            "metered".takeIf { isMetered },
            "constrained".takeIf { isConstrained },
            "default".takeIf { isDefault },
        )
        return listOf(name, kind.name.lowercase(), flags.joinToString(","), addresses.joinToString(","))
    }
}

/** What a user may refuse. */
public enum class Permission(internal val number: Int) {
    /** Devices of the local network reach the server (Android 17). */
    LOCAL_NETWORK(1),

    /** Showing notices (Android 13). */
    NOTIFICATIONS(2),
}

/** What the user said about it. */
public enum class PermissionState {
    /** Nothing yet, or the system does not tell. */
    UNKNOWN,

    /** Yes. */
    GRANTED,

    /** No. */
    DENIED,
}

/** How hot the device is. */
public enum class ThermalState {
    /** Not. */
    NOMINAL,

    /** A little. */
    FAIR,

    /** The system slows down: treated as little power. */
    SERIOUS,

    /** The system is about to stop things: the same. */
    CRITICAL,
}

/** How the device is off for memory. */
public enum class MemoryLevel {
    /** Well enough. */
    NORMAL,

    /** Of each stream one GOP is kept. */
    MODERATE,

    /** None is, queues are half as long, and nobody new is let in. */
    CRITICAL,
}

/** What [Device.suspendWithin] did. */
public data class SuspendReport internal constructor(
    /** Listening sockets that were closed. */
    val listeners: Int,
    /** Connections that were told. */
    val told: Int,
    /** Connections that are closed. */
    val closed: Int,
    /** Recorders whose files are on the disk as far as they were written. */
    val recordings: Int,
    /** All was done in time. */
    val inTime: Boolean,
) {
    internal constructor(fields: Fields) : this(
        fields.int("listeners"), fields.int("told"), fields.int("closed"), fields.int("recordings"),
        fields.flag("in_time"),
    )
}

/** What [Device.resumeAfter] found and did. */
public data class ResumeReport internal constructor(
    /** Listening sockets that were there still. */
    val alive: Int,
    /** Those that were bound again, on the same ports. */
    val remade: Int,
    /** Those that could not be had yet; they are tried again. */
    val failed: Int,
    /** Connections whose sockets the system had taken. */
    val connectionsLost: Int,
    /** All was done in time, and nothing came in between. */
    val inTime: Boolean,
) {
    internal constructor(fields: Fields) : this(
        fields.int("alive"), fields.int("remade"), fields.int("failed"), fields.int("connections_lost"),
        fields.flag("in_time"),
    )
}

/** A URL under which others reach a server. */
public data class ReachableUrl internal constructor(
    /** Such as `rtmp://192.168.1.5:1935/live/cam`. */
    val url: String,
    /** The interface that has its address; empty if that is not known. */
    val networkInterface: String,
    /** What carries it. */
    val kind: NetworkKind,
    /** What is sent there costs money, or counts. */
    val isMetered: Boolean,
    /** 0 for the one that others are most likely to reach, and so on. */
    val rank: Int,
) {
    internal constructor(fields: Fields) : this(
        fields.text("url"), fields.text("interface"), named<NetworkKind>(fields.text("kind")) ?: NetworkKind.OTHER,
        fields.flag("metered"), fields.int("rank"),
    )
}

/** What a server costs in power, since its start. */
public data class PowerStats internal constructor(
    /** How often a worker thread went on after waiting. */
    val wakeUps: Long,
    /** Calls of the system for sockets. */
    val systemCalls: Long,
    /** Time that worker threads did not wait, of all together. */
    val activeMicros: Long,
) {
    internal constructor(fields: Fields) : this(
        fields.long("wake_ups"), fields.long("system_calls"), fields.long("active_us"),
    )
}
