package org.openrtmp.android

import android.annotation.SuppressLint
import android.content.Context
import android.net.wifi.WifiManager
import android.os.Build
import android.os.PowerManager

/** What keeps processor and Wi-Fi awake, as ordered: while something is streamed. */
internal class Locks(context: Context) {
    private val wake = context.getSystemService(PowerManager::class.java)
        ?.newWakeLock(PowerManager.PARTIAL_WAKE_LOCK, "openrtmp:cpu")
        ?.apply { setReferenceCounted(false) }

    private val wifi = context.getSystemService(WifiManager::class.java)
        ?.createWifiLock(mode(), "openrtmp:wifi")
        ?.apply { setReferenceCounted(false) }

    // Without a time: the order to let go comes with the end of the last stream, and with close().
    @SuppressLint("WakelockTimeout")
    fun hold(cpu: Boolean, wifi: Boolean) {
        this.wake?.let { if (cpu) it.acquire() else if (it.isHeld) it.release() }
        this.wifi?.let { if (wifi) it.acquire() else if (it.isHeld) it.release() }
    }

    private companion object {
        const val ANDROID_14 = 34

        /** From Android 14 on the older mode does nothing; the newer works with the screen on. */
        @Suppress("DEPRECATION")
        fun mode() = when {
            Build.VERSION.SDK_INT >= ANDROID_14 -> WifiManager.WIFI_MODE_FULL_LOW_LATENCY
            else -> WifiManager.WIFI_MODE_FULL_HIGH_PERF
        }
    }
}
