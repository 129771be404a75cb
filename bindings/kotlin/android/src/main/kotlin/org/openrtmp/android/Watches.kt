package org.openrtmp.android

import android.app.Activity
import android.app.ActivityManager
import android.app.Application
import android.content.BroadcastReceiver
import android.content.Context
import android.content.Intent
import android.content.IntentFilter
import android.os.Build
import android.os.Bundle
import android.os.Handler
import android.os.PowerManager
import org.openrtmp.MemoryLevel
import org.openrtmp.ThermalState

/** Whether an activity of the app is on the screen; on the main thread. */
internal class Visibility(
    private val shown: (awayMillis: Long) -> Unit,
    private val hidden: () -> Unit,
) : Application.ActivityLifecycleCallbacks {
    private var started = 0
    private var since: Long? = null

    /** Unless told otherwise: a link is made while the app is visible. */
    @Volatile
    var isVisible = true
        private set

    override fun onActivityStarted(activity: Activity) {
        if (started++ > 0 || isVisible) return
        isVisible = true
        // By the clock on the wall: others stand still while some devices sleep.
        shown(since?.let { System.currentTimeMillis() - it }?.coerceAtLeast(0) ?: 0)
    }

    override fun onActivityStopped(activity: Activity) {
        // One that the link did not see start has been counted by nobody.
        started = (started - 1).coerceAtLeast(0)
        if (started > 0 || activity.isChangingConfigurations) return
        isVisible = false
        since = System.currentTimeMillis()
        hidden()
    }

    override fun onActivityCreated(activity: Activity, state: Bundle?) = Unit

    override fun onActivityResumed(activity: Activity) = Unit

    override fun onActivityPaused(activity: Activity) = Unit

    override fun onActivitySaveInstanceState(activity: Activity, state: Bundle) = Unit

    override fun onActivityDestroyed(activity: Activity) = Unit
}

/** How the device is off for power: the saver, Doze, heat. */
internal class PowerWatch(
    private val context: Context,
    private val told: (Triple<Boolean, Boolean, ThermalState>) -> Unit,
) {
    private val manager = context.getSystemService(PowerManager::class.java)
    private var heat: Any? = null

    @Volatile
    private var thermal = ThermalState.NOMINAL

    private val receiver = object : BroadcastReceiver() {
        override fun onReceive(context: Context, intent: Intent) = tell()
    }

    fun open() {
        val filter = IntentFilter(PowerManager.ACTION_POWER_SAVE_MODE_CHANGED)
        filter.addAction(PowerManager.ACTION_DEVICE_IDLE_MODE_CHANGED)
        context.registerReceiver(receiver, filter)
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q) {
            val listener = PowerManager.OnThermalStatusChangedListener {
                thermal = stateOf(it)
                tell()
            }
            manager?.addThermalStatusListener(listener)
            heat = listener
        }
    }

    fun close() {
        context.unregisterReceiver(receiver)
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q) {
            (heat as? PowerManager.OnThermalStatusChangedListener)?.let { manager?.removeThermalStatusListener(it) }
        }
    }

    fun tell() = told(Triple(manager?.isPowerSaveMode == true, manager?.isDeviceIdleMode == true, thermal))

    private fun stateOf(status: Int) = when {
        status >= PowerManager.THERMAL_STATUS_CRITICAL -> ThermalState.CRITICAL
        status >= PowerManager.THERMAL_STATUS_SEVERE -> ThermalState.SERIOUS
        status >= PowerManager.THERMAL_STATUS_LIGHT -> ThermalState.FAIR
        else -> ThermalState.NOMINAL
    }
}

/** Looks for how much memory there is, while something is streamed: no system tells of it. */
internal class MemoryPoll(
    private val manager: ActivityManager?,
    private val handler: Handler,
    private val told: (MemoryLevel) -> Unit,
) {
    private var last = MemoryLevel.NORMAL
    private var isRunning = false

    private val look = object : Runnable {
        override fun run() {
            val info = ActivityManager.MemoryInfo().also { manager?.getMemoryInfo(it) }
            val level = when {
                info.lowMemory -> MemoryLevel.CRITICAL
                info.availMem < 2 * info.threshold -> MemoryLevel.MODERATE
                else -> MemoryLevel.NORMAL
            }
            if (level != last) told(level)
            last = level
            handler.postDelayed(this, PERIOD)
        }
    }

    fun run(on: Boolean) {
        if (on == isRunning) return
        isRunning = on
        if (on) handler.post(look) else handler.removeCallbacks(look)
    }

    private companion object {
        const val PERIOD = 5_000L
    }
}
