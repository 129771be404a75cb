package org.openrtmp.android

import android.app.Application
import android.content.Context
import org.openrtmp.LogLevel
import org.openrtmp.OpenRtmp
import org.openrtmp.OpenRtmpServer

/** What an app of Android needs around a server. */
public object OpenRtmpAndroid {
    /**
     * Ties a server to the life of an app, until the link is closed: to be called before the
     * server is started, while the app is visible, on the main thread.
     */
    @JvmStatic
    @JvmOverloads
    public fun attach(
        app: Application,
        server: OpenRtmpServer,
        options: DeviceLinkOptions = DeviceLinkOptions(),
    ): DeviceLink = DeviceLink(app, server, options).apply { open() }

    /** What is still to be asked of the user, in the order in which it matters; one at a time. */
    @JvmStatic
    public fun missingPermissions(context: Context): List<String> =
        Permissions.needed(context).filter { !Permissions.isGranted(context, it) }

    /** Logs to Logcat under the tag `OpenRTMP`, up to a level; [LogLevel.OFF] ends that. */
    @JvmStatic
    public fun logToLogcat(level: LogLevel) {
        LogcatHandler.install(level)
        OpenRtmp.setLogLevel(level)
    }
}
