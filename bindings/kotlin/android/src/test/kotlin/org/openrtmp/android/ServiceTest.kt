package org.openrtmp.android

import android.app.Activity
import android.app.Application
import android.app.ForegroundServiceStartNotAllowedException
import android.app.NotificationManager
import android.content.Intent
import android.content.pm.ServiceInfo
import android.net.wifi.WifiManager
import android.os.PowerManager
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.openrtmp.HostOrder
import org.openrtmp.MemoryLevel
import org.openrtmp.ServerEvent
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ServiceController
import org.robolectric.annotation.Config
import org.robolectric.shadows.ShadowPowerManager

/** The service and the locks, ordered by a real server that a real ffmpeg publishes to. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35])
class ServiceTest {
    private val app: Application get() = RuntimeEnvironment.getApplication()
    private lateinit var served: Served
    private lateinit var link: DeviceLink
    private val controllers = ArrayList<ServiceController<OpenRtmpService>>()

    @Before
    fun attach() {
        ShadowPowerManager.clearWakeLocks()
        served = Served("mobile.background" to "service")
        link = OpenRtmpAndroid.attach(app, served.server)
        served.server.start()
    }

    @After
    fun close() {
        link.close()
        served.close()
        // As the system does with a service that was stopped.
        controllers.forEach { it.destroy() }
        assertTrue(ServiceBoard.isEmpty())
    }

    /** The service that the app was told to start, as the system would. */
    private fun started(): ServiceController<OpenRtmpService> {
        var intent: Intent? = null
        eventually("the service is started") {
            intent = shadowOf(app).nextStartedService
            intent != null
        }
        assertEquals(OpenRtmpService::class.java.name, intent!!.component!!.className)
        return Robolectric.buildService(OpenRtmpService::class.java, intent).create().also { controllers.add(it) }
    }

    private fun state(): ServerEvent = served.until(ServerEvent.Kind.SERVICE)

    @Test
    fun `the service shows what is streamed, and locks are held meanwhile`() {
        val controller = started()
        assertEquals(android.app.Service.START_NOT_STICKY, controller.get().onStartCommand(Intent(), 0, 1))
        assertEquals("started", state().details["state"])
        val shadow = shadowOf(controller.get())
        assertEquals(OpenRtmpService.NOTICE, shadow.lastForegroundNotificationId)
        assertEquals(ServiceInfo.FOREGROUND_SERVICE_TYPE_CONNECTED_DEVICE, controller.get().foregroundServiceType)
        val notices = shadowOf(app.getSystemService(NotificationManager::class.java))
        fun shown() = shadowOf(notices.getNotification(OpenRtmpService.NOTICE) ?: shadow.lastForegroundNotification)
        assertEquals("Streaming server", shown().contentTitle)
        assertEquals("0 streams, 0 connections", shown().contentText)
        assertEquals(DefaultNotice.CHANNEL, shadow.lastForegroundNotification.channelId)
        assertEquals(1, shadow.lastForegroundNotification.actions.size)

        val wifi = shadowOf(app.getSystemService(WifiManager::class.java))
        Ffmpeg.publishing(served.url("live/cam"), 60).use {
            eventually("the notice shows the stream") { shown().contentText == "1 streams, 1 connections" }
            eventually("the processor is kept awake") { ShadowPowerManager.getLatestWakeLock()?.isHeld == true }
            assertEquals("openrtmp:cpu", shadowOf(ShadowPowerManager.getLatestWakeLock()).tag)
            eventually("the Wi-Fi is kept awake") { wifi.activeLockCount == 1 }
            served.server.endStream("live/cam")
        }
        eventually("the locks are let go") {
            !ShadowPowerManager.getLatestWakeLock().isHeld && wifi.activeLockCount == 0
        }
        served.server.stop(0)
        eventually("the service is stopped") { shadowOf(app).nextStoppedService != null }
    }

    @Test
    fun `a service that the system refuses ends, and the server is told`() {
        val controller = started()
        shadowOf(controller.get()).setThrowInStartForeground(ForegroundServiceStartNotAllowedException("background"))
        controller.startCommand(0, 1)
        assertTrue(shadowOf(controller.get()).isStoppedBySelf)
        assertEquals("refused", state().details["state"])
    }

    @Test
    fun `a service whose time is over ends, and peers are told`() {
        val controller = started().startCommand(0, 1)
        assertEquals("started", state().details["state"])
        controller.get().onTimeout(1, ServiceInfo.FOREGROUND_SERVICE_TYPE_DATA_SYNC)
        assertTrue(shadowOf(controller.get()).isStoppedBySelf)
        assertEquals("timed_out", state().details["state"])
        served.until(ServerEvent.Kind.SUSPENDED)
    }

    @Test
    fun `the user ends the service by its notice`() {
        val controller = started().startCommand(0, 1)
        assertEquals("started", state().details["state"])
        val action = shadowOf(controller.get()).lastForegroundNotification.actions.single()
        assertEquals("Stop", action.title)
        val stop = shadowOf(action.actionIntent).savedIntent
        controller.get().onStartCommand(stop, 0, 2)
        assertTrue(shadowOf(controller.get()).isStoppedBySelf)
        assertEquals("stopped", state().details["state"])
    }

    @Test
    fun `a service that nobody wants any more ends`() {
        val controller = started()
        link.close()
        controller.startCommand(0, 1)
        // It showed itself, as it has to, and left.
        assertTrue(shadowOf(controller.get()).isForegroundStopped)
        assertTrue(shadowOf(controller.get()).isStoppedBySelf)
        assertNull(OpenRtmpService.running)
    }

    @Test
    fun `an app without activities is frozen, one that is back serves again`() {
        served.server.reconfigure { it.set("mobile.background", "stop") }
        val activity = Robolectric.buildActivity(Activity::class.java).create().start().resume()
        activity.pause().stop()
        // What orders the suspension is the setting; the server refuses at once.
        served.until(ServerEvent.Kind.SUSPENDED)
        val port = served.server.port
        activity.restart().start()
        served.until(ServerEvent.Kind.RESUMED)
        served.until(ServerEvent.Kind.FOREGROUND)
        // One that was given before the app was back, and comes late.
        link.onOrder(HostOrder.SuspendNow)
        served.server.device.memory(MemoryLevel.MODERATE)
        val next = served.until { it.kind in listOf(ServerEvent.Kind.SUSPENDED, ServerEvent.Kind.MEMORY) }
        assertEquals(ServerEvent.Kind.MEMORY, next.kind)
        assertEquals(port, served.server.port)
        java.net.Socket("127.0.0.1", port).close()
        assertFalse(served.server.health().reasons.any { "suspended" in it })
    }
}
