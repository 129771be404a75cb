package org.openrtmp.android

import android.app.NotificationManager
import android.app.PendingIntent
import android.app.Service
import android.content.Context
import android.content.Intent
import android.content.pm.ServiceInfo
import android.os.Build
import android.os.IBinder
import org.openrtmp.ServiceState

/**
 * Keeps the app running in the background while its servers want it, visibly: of the type
 * `connectedDevice`. Started and stopped by [DeviceLink], by no one else.
 */
public class OpenRtmpService : Service() {
    private var isForeground = false

    override fun onBind(intent: Intent?): IBinder? = null

    override fun onStartCommand(intent: Intent?, flags: Int, startId: Int): Int {
        // First of all: the system ends an app whose service does not show itself in time.
        if (!showNotice()) {
            ServiceBoard.tell(ServiceState.REFUSED)
            stopSelf()
        } else if (intent?.action == ACTION_STOP) {
            ServiceBoard.tell(ServiceState.STOPPED)
            leave()
        } else if (ServiceBoard.isEmpty()) {
            leave()
        } else {
            running = this
            ServiceBoard.tell(ServiceState.STARTED)
        }
        // One that the system starts again in the background would be refused, again and again.
        return START_NOT_STICKY
    }

    /** The time for a type of service is over (Android 14: `shortService`). */
    override fun onTimeout(startId: Int): Unit = timedOut()

    /** The same of the others that have one (Android 15); an app may change the type. */
    override fun onTimeout(startId: Int, fgsType: Int): Unit = timedOut()

    override fun onDestroy() {
        if (running === this) running = null
        super.onDestroy()
    }

    private fun timedOut() {
        ServiceBoard.tell(ServiceState.TIMED_OUT)
        leave()
    }

    private fun leave() {
        @Suppress("DEPRECATION")
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.N) stopForeground(STOP_FOREGROUND_REMOVE) else stopForeground(true)
        isForeground = false
        if (running === this) running = null
        stopSelf()
    }

    private fun notice() = ServiceBoard.totals().let { (streams, connections) ->
        ServiceBoard.notice().notice(this, streams, connections, stopIntent())
    }

    private fun stopIntent(): PendingIntent {
        val stop = Intent(this, OpenRtmpService::class.java).setAction(ACTION_STOP)
        return PendingIntent.getService(this, 0, stop, PendingIntent.FLAG_IMMUTABLE)
    }

    /** False if the system does not let it be in the foreground. */
    private fun showNotice(): Boolean {
        // ForegroundServiceStartNotAllowedException, and what permissions that lack throw.
        @Suppress("TooGenericExceptionCaught")
        try {
            if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q) {
                startForeground(NOTICE, notice(), ServiceInfo.FOREGROUND_SERVICE_TYPE_CONNECTED_DEVICE)
            } else {
                startForeground(NOTICE, notice())
            }
            isForeground = true
        } catch (refused: RuntimeException) {
            logger.log(java.util.logging.Level.WARNING, "the service was refused", refused)
        }
        return isForeground
    }

    internal fun update() {
        if (isForeground) getSystemService(NotificationManager::class.java)?.notify(NOTICE, notice())
    }

    internal companion object {
        const val NOTICE = 1935
        const val ACTION_STOP = "org.openrtmp.android.STOP"

        /** The one that runs; on the main thread. */
        var running: OpenRtmpService? = null

        /** False if the system refuses at once. */
        fun start(context: Context): Boolean {
            val intent = Intent(context, OpenRtmpService::class.java)
            @Suppress("TooGenericExceptionCaught")
            return try {
                if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.O) {
                    context.startForegroundService(intent)
                } else {
                    context.startService(intent)
                }
                true
            } catch (refused: RuntimeException) {
                logger.log(java.util.logging.Level.WARNING, "the service was refused", refused)
                false
            }
        }
    }
}
