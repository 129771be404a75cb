package org.openrtmp.android

import android.content.Context
import android.content.pm.PackageManager
import android.os.Build
import org.openrtmp.Permission

/** What the user may refuse, by Android's names. */
internal object Permissions {
    const val LOCAL_NETWORK = "android.permission.ACCESS_LOCAL_NETWORK"
    const val NOTIFICATIONS = "android.permission.POST_NOTIFICATIONS"

    private const val ANDROID_13 = 33
    private const val ANDROID_17 = 37

    /** Those that this system has for this app: without the first nobody reaches the server. */
    fun needed(context: Context): List<String> = needed(Build.VERSION.SDK_INT, context.applicationInfo.targetSdkVersion)

    fun needed(system: Int, target: Int): List<String> = listOfNotNull(
        LOCAL_NETWORK.takeIf { system >= ANDROID_17 && target >= ANDROID_17 },
        NOTIFICATIONS.takeIf { system >= ANDROID_13 },
    )

    fun isGranted(context: Context, name: String): Boolean =
        context.checkSelfPermission(name) == PackageManager.PERMISSION_GRANTED

    /** `null`: not one of ours. */
    fun of(name: String): Permission? = when (name) {
        LOCAL_NETWORK -> Permission.LOCAL_NETWORK
        NOTIFICATIONS -> Permission.NOTIFICATIONS
        else -> null
    }

    fun name(permission: Permission): String = when (permission) {
        Permission.LOCAL_NETWORK -> LOCAL_NETWORK
        Permission.NOTIFICATIONS -> NOTIFICATIONS
    }
}
