package org.openrtmp.android

import android.app.ActivityManager
import android.app.Application
import android.content.ComponentCallbacks2
import android.content.Context
import android.content.pm.PackageManager
import android.content.res.Configuration
import android.os.Handler
import android.os.Looper
import org.openrtmp.Device
import org.openrtmp.ErrorCode
import org.openrtmp.HostOrder
import org.openrtmp.MemoryLevel
import org.openrtmp.OpenRtmpException
import org.openrtmp.OpenRtmpServer
import org.openrtmp.OrderListener
import org.openrtmp.PermissionState
import org.openrtmp.ServerEvent
import org.openrtmp.ServiceAction
import org.openrtmp.ServiceState
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.Executor
import java.util.concurrent.Executors

/** What an app may change about a [DeviceLink]. */
public class DeviceLinkOptions {
    internal var notice: NoticeFactory = DefaultNotice()
    internal var name: String = android.os.Build.MODEL ?: "OpenRTMP"
    internal var asker: PermissionAsker? = null

    /** The notice of the service. */
    public fun notice(factory: NoticeFactory): DeviceLinkOptions = apply { notice = factory }

    /** Under which name the local network is told of the server, if `mobile.advertise` says so. */
    public fun name(name: String): DeviceLinkOptions = apply { this.name = name }

    /** Told when a permission is needed that the user was not asked for. */
    public fun asker(asker: PermissionAsker): DeviceLinkOptions = apply { this.asker = asker }
}

/** Asks the user, when it suits: `Activity.requestPermissions`, then [DeviceLink.onPermissionsResult]. */
public fun interface PermissionAsker {
    /** Called on the main thread, with Android's name of the permission. */
    public fun ask(permission: String)
}

/**
 * Tells a server what Android tells the app, and does what the server orders: the service,
 * the locks, the announcement in the local network. Made by [OpenRtmpAndroid.attach].
 */
public class DeviceLink internal constructor(
    private val app: Application,
    private val server: OpenRtmpServer,
    internal val options: DeviceLinkOptions,
) : AutoCloseable {
    private val main = Handler(Looper.getMainLooper())

    /** What waits, up to 2 s for ports: never on the main thread. In order. */
    private val worker = Executors.newSingleThreadExecutor { Thread(it, "openrtmp-device").apply { isDaemon = true } }
    private val locks = Locks(app)
    private val networks = NetworkWatch(app) { list -> tell { networks(list) } }
    private val power = PowerWatch(app) { (low, idle, heat) -> tell { power(low, idle, heat) } }
    private val memory = MemoryPoll(app.getSystemService(ActivityManager::class.java), main) { tell { memory(it) } }
    private val visibility = Visibility(::onForeground, ::onBackground)
    internal val advertiser = Advertiser(app, options.name) { logger.warning("the local network is not told: NSD error $it") }
    private val answers = ConcurrentHashMap<String, PermissionState>()
    private var events: AutoCloseable? = null

    @Volatile
    private var isClosed = false

    /** The app is in front again, and no service's time was over since. */
    @Volatile
    private var isBack = false

    internal fun open() {
        server.orderListener = OrderListener { onOrder(it) }
        events = server.addEventListener(Executor { it.run() }) { event ->
            if (event.kind == ServerEvent.Kind.SERVER_STARTED) worker.execute { tellAll() }
            if (event.kind == ServerEvent.Kind.SERVER_STOPPED) main.post { letGo() }
        }
        app.registerActivityLifecycleCallbacks(visibility)
        app.registerComponentCallbacks(memoryCallbacks)
        networks.open()
        power.open()
    }

    /** Lets go of the service, the locks and the announcement; the server goes on. */
    override fun close() {
        if (isClosed) return
        isClosed = true
        server.orderListener = null
        events?.close()
        app.unregisterActivityLifecycleCallbacks(visibility)
        app.unregisterComponentCallbacks(memoryCallbacks)
        networks.close()
        power.close()
        worker.shutdown()
        onMain { letGo() }
    }

    /** Hands on what `Activity.onRequestPermissionsResult` was told. */
    public fun onPermissionsResult(permissions: Array<String>, results: IntArray) {
        permissions.zip(results.toList()).forEach { (name, result) ->
            val isGranted = result == PackageManager.PERMISSION_GRANTED
            answers[name] = if (isGranted) PermissionState.GRANTED else PermissionState.DENIED
        }
        tellPermissions()
    }

    /** Tells the server; one that does not run, or not any more, is told with its start. */
    internal fun tell(signal: Device.() -> Unit) {
        try {
            worker.execute { tellNow(signal) }
        } catch (_: java.util.concurrent.RejectedExecutionException) {
            // Closed meanwhile.
        }
    }

    private fun tellNow(signal: Device.() -> Unit) {
        try {
            server.device.signal()
        } catch (failure: OpenRtmpException) {
            if (failure.code != ErrorCode.STATE) logger.log(java.util.logging.Level.WARNING, "telling the server", failure)
        }
    }

    /** What a server that was started does not know yet. */
    private fun tellAll() {
        networks.tell()
        power.tell()
        tellPermissions()
        if (visibility.isVisible) tell { foreground() } else tell { background() }
    }

    private fun tellPermissions() {
        for (name in Permissions.needed(app)) {
            val permission = Permissions.of(name) ?: continue
            // The user may have changed it in the settings since.
            val state = when {
                Permissions.isGranted(app, name) -> PermissionState.GRANTED
                answers[name] == PermissionState.DENIED -> PermissionState.DENIED
                else -> PermissionState.UNKNOWN
            }
            tell { permission(permission, state) }
        }
    }

    private fun onForeground(awayMillis: Long) {
        isBack = true
        tell { resumeAfter(awayMillis) }
        tell { foreground() }
        tellPermissions()
    }

    private fun onBackground() {
        isBack = false
        tell { background(FREEZE) }
    }

    internal fun onService(state: ServiceState) {
        if (state == ServiceState.TIMED_OUT) isBack = false
        tell { service(state) }
    }

    internal fun onOrder(order: HostOrder) {
        // At once, and on the library's thread: the time is short.
        if (order == HostOrder.SuspendNow) return suspendNow()
        onMain { if (!isClosed) obey(order) }
    }

    /**
     * As ordered, unless the app is back. A server that was suspended all the same, while the app
     * came back, is brought back: nobody would say it again.
     */
    private fun suspendNow() {
        if (isBack) return
        tellNow { suspendWithin() }
        // In order with what the system says meanwhile: the app may be left again.
        tell { if (isBack) resumeAfter(0) }
        tell { if (isBack) foreground() }
    }

    private fun obey(order: HostOrder) {
        when (order) {
            is HostOrder.KeepAwake -> {
                locks.hold(order.cpu, order.wifi)
                memory.run(order.cpu)
            }
            is HostOrder.Service -> when (order.action) {
                ServiceAction.STOP -> ServiceBoard.leave(this, app)
                else -> ServiceBoard.want(this, app, order)
            }
            is HostOrder.Advertise -> order.port?.let { advertiser.begin(it, order.txt) } ?: advertiser.end()
            is HostOrder.AskPermission -> options.asker?.ask(Permissions.name(order.permission))
            // Android gives no time that could be asked for.
            is HostOrder.Task, HostOrder.SuspendNow, is HostOrder.Other -> {}
        }
    }

    private fun letGo() {
        locks.hold(cpu = false, wifi = false)
        memory.run(false)
        advertiser.end()
        ServiceBoard.leave(this, app)
    }

    private fun onMain(body: () -> Unit) {
        if (Looper.myLooper() == Looper.getMainLooper()) body() else main.post { body() }
    }

    private val memoryCallbacks = object : ComponentCallbacks2 {
        override fun onConfigurationChanged(configuration: Configuration) = Unit

        @Deprecated("Android calls it all the same")
        override fun onLowMemory() = tell { memory(MemoryLevel.CRITICAL) }

        @Suppress("DEPRECATION")
        override fun onTrimMemory(level: Int) {
            // Older systems told more; Android 14 tells only that the app is not visible.
            when (level) {
                ComponentCallbacks2.TRIM_MEMORY_RUNNING_CRITICAL, ComponentCallbacks2.TRIM_MEMORY_COMPLETE ->
                    tell { memory(MemoryLevel.CRITICAL) }
                ComponentCallbacks2.TRIM_MEMORY_RUNNING_LOW, ComponentCallbacks2.TRIM_MEMORY_MODERATE ->
                    tell { memory(MemoryLevel.MODERATE) }
            }
        }
    }

    private companion object {
        /** An app without a service is frozen so long after it was left (Android 14). */
        const val FREEZE = 10_000L
    }
}
