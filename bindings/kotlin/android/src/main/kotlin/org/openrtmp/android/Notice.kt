package org.openrtmp.android

import android.app.Notification
import android.app.NotificationChannel
import android.app.NotificationManager
import android.app.PendingIntent
import android.content.Context
import android.content.Intent
import android.os.Build

/** Makes the notice that the user sees while the service runs. */
public fun interface NoticeFactory {
    /** `stop` ends the service when it is sent. Called on the main thread. */
    public fun notice(context: Context, streams: Int, connections: Int, stop: PendingIntent): Notification
}

/** A notice with the numbers of streams and connections, that opens the app. */
public class DefaultNotice : NoticeFactory {
    override fun notice(context: Context, streams: Int, connections: Int, stop: PendingIntent): Notification {
        val builder = builder(context)
            .setContentTitle(context.getString(R.string.openrtmp_title))
            .setContentText(context.getString(R.string.openrtmp_text, streams, connections))
            .setSmallIcon(R.drawable.openrtmp_notice)
            .setOngoing(true)
            .setOnlyAlertOnce(true)
            .addAction(Notification.Action.Builder(null, context.getString(R.string.openrtmp_stop), stop).build())
        context.packageManager.getLaunchIntentForPackage(context.packageName)?.let { open ->
            open.addFlags(Intent.FLAG_ACTIVITY_SINGLE_TOP)
            builder.setContentIntent(PendingIntent.getActivity(context, 0, open, PendingIntent.FLAG_IMMUTABLE))
        }
        return builder.build()
    }

    private fun builder(context: Context): Notification.Builder {
        if (Build.VERSION.SDK_INT < Build.VERSION_CODES.O) {
            @Suppress("DEPRECATION")
            return Notification.Builder(context)
        }
        val name = context.getString(R.string.openrtmp_channel)
        val channel = NotificationChannel(CHANNEL, name, NotificationManager.IMPORTANCE_LOW)
        context.getSystemService(NotificationManager::class.java)?.createNotificationChannel(channel)
        return Notification.Builder(context, CHANNEL)
    }

    public companion object {
        /** The channel that it is shown in. */
        public const val CHANNEL: String = "openrtmp"
    }
}
