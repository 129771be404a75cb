package org.openrtmp.android

import android.Manifest
import android.app.Application
import android.content.Context
import android.content.Intent
import android.net.ConnectivityManager
import android.net.InetAddresses
import android.net.LinkAddress
import android.net.LinkProperties
import android.net.NetworkCapabilities
import android.net.nsd.NsdManager
import android.os.PowerManager
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.openrtmp.DeviceNetwork
import org.openrtmp.LogLevel
import org.openrtmp.NetworkKind
import org.openrtmp.ServerEvent
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.shadows.ShadowLog
import org.robolectric.shadows.ShadowNetwork
import org.robolectric.shadows.ShadowNetworkCapabilities
import java.util.concurrent.CopyOnWriteArrayList

/** What Android tells, as it comes to a real server. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35])
class SignalsTest {
    private val app: Application get() = RuntimeEnvironment.getApplication()
    private val asked = CopyOnWriteArrayList<String>()
    private lateinit var served: Served
    private lateinit var link: DeviceLink

    @Before
    fun attach() {
        served = Served("mobile.advertise" to true)
        link = OpenRtmpAndroid.attach(app, served.server, DeviceLinkOptions().name("a phone").asker { asked.add(it) })
        served.server.start()
    }

    @After
    fun close() {
        link.close()
        served.close()
        val manager = app.getSystemService(ConnectivityManager::class.java)
        assertTrue(shadowOf(manager).networkCallbacks.none { it.javaClass.name.startsWith("org.openrtmp") })
    }

    private fun link(name: String, address: String) = LinkProperties().apply {
        interfaceName = name
        setLinkAddresses(listOf(LinkAddress(InetAddresses.parseNumericAddress(address), 24)))
    }

    private fun capabilities(vararg transports: Int): NetworkCapabilities =
        ShadowNetworkCapabilities.newInstance().also { made -> transports.forEach { shadowOf(made).addTransportType(it) } }

    @Test
    fun `networks are told with kinds and addresses, and are gone when they are lost`() {
        val lists = CopyOnWriteArrayList<List<DeviceNetwork>>()
        val manager = app.getSystemService(ConnectivityManager::class.java)
        val before = shadowOf(manager).networkCallbacks.toSet()
        val watch = NetworkWatch(app) { lists.add(it) }
        watch.open()
        val callbacks = shadowOf(manager).networkCallbacks - before
        assertEquals(2, callbacks.size)
        val (wifi, mobile) = ShadowNetwork.newInstance(7) to ShadowNetwork.newInstance(8)
        callbacks.forEach { it.onAvailable(mobile) }
        callbacks.forEach { it.onAvailable(wifi) }
        val all = callbacks.first { it.javaClass.declaredMethods.any { method -> method.name == "onLinkPropertiesChanged" } }
        all.onCapabilitiesChanged(wifi, capabilities(NetworkCapabilities.TRANSPORT_WIFI))
        all.onLinkPropertiesChanged(wifi, link("wlan0", "192.168.7.9"))
        all.onCapabilitiesChanged(mobile, capabilities(NetworkCapabilities.TRANSPORT_CELLULAR, NetworkCapabilities.TRANSPORT_VPN))
        all.onLinkPropertiesChanged(mobile, link("tun0", "10.8.0.2"))
        val told = lists.last().associateBy { it.name }
        assertEquals(NetworkKind.WIFI, told["wlan0"]?.kind)
        assertEquals(listOf("192.168.7.9"), told["wlan0"]?.addresses)
        assertEquals(NetworkKind.VPN, told["tun0"]?.kind)
        assertTrue(told["wlan0"]!!.isDefault && !told["tun0"]!!.isDefault)
        all.onLost(wifi)
        assertEquals(listOf("tun0"), lists.last().map { it.name })
        watch.close()
        assertEquals(before, shadowOf(manager).networkCallbacks.toSet())
    }

    @Test
    fun `a mobile network comes to the server`() {
        val manager = app.getSystemService(ConnectivityManager::class.java)
        val callbacks = shadowOf(manager).networkCallbacks.filter { it.javaClass.name.startsWith("org.openrtmp") }
        val mobile = ShadowNetwork.newInstance(9)
        callbacks.forEach { it.onAvailable(mobile) }
        callbacks.forEach { it.onCapabilitiesChanged(mobile, capabilities(NetworkCapabilities.TRANSPORT_CELLULAR)) }
        callbacks.forEach { it.onLinkPropertiesChanged(mobile, link("rmnet0", "100.64.1.2")) }
        served.until(ServerEvent.Kind.CELLULAR_USED)
    }

    @Test
    fun `the battery saver, and little memory, come to the server`() {
        val power = app.getSystemService(PowerManager::class.java)
        shadowOf(power).setIsPowerSaveMode(true)
        app.sendBroadcast(Intent(PowerManager.ACTION_POWER_SAVE_MODE_CHANGED))
        served.until { it.kind == ServerEvent.Kind.POWER && it.details["low_power"] == true }
        shadowOf(power).setCurrentThermalStatus(PowerManager.THERMAL_STATUS_SEVERE)
        served.until { it.kind == ServerEvent.Kind.POWER && it.details["thermal"] == "serious" }
        app.onLowMemory()
        served.until { it.kind == ServerEvent.Kind.MEMORY && it.details["level"] == "critical" }
    }

    @Test
    fun `permissions are asked for in their order, and the answer is told`() {
        assertEquals(listOf(Permissions.NOTIFICATIONS), OpenRtmpAndroid.missingPermissions(app))
        assertEquals(Manifest.permission.POST_NOTIFICATIONS, Permissions.NOTIFICATIONS)
        assertEquals(listOf(Permissions.LOCAL_NETWORK, Permissions.NOTIFICATIONS), Permissions.needed(37, 37))
        assertEquals(listOf(Permissions.NOTIFICATIONS), Permissions.needed(37, 36))
        assertEquals(emptyList<String>(), Permissions.needed(32, 37))
        eventually("the app is asked to ask") { asked.isNotEmpty() }
        assertEquals(listOf(Permissions.NOTIFICATIONS), asked.toList())
        link.onPermissionsResult(arrayOf(Permissions.NOTIFICATIONS), intArrayOf(-1))
        served.until { it.kind == ServerEvent.Kind.PERMISSION && it.details["state"] == "denied" }
        shadowOf(app).grantPermissions(Permissions.NOTIFICATIONS)
        link.onPermissionsResult(arrayOf(Permissions.NOTIFICATIONS), intArrayOf(0))
        served.until { it.kind == ServerEvent.Kind.PERMISSION && it.details["state"] == "granted" }
        assertEquals(emptyList<String>(), OpenRtmpAndroid.missingPermissions(app))
    }

    @Test
    fun `the local network is told where the server is`() {
        val manager = app.getSystemService(Context.NSD_SERVICE) as NsdManager
        eventually("it is registered") { link.advertiser.current != null }
        val told = shadowOf(manager).getRegisteredServiceInfo(link.advertiser.current!!)!!
        assertEquals("a phone", told.serviceName)
        assertEquals("_rtmp._tcp", told.serviceType.trim('.'))
        assertEquals(served.server.port, told.port)
        assertEquals("1", told.attributes["v"]?.decodeToString())
        served.server.stop(0)
        eventually("it is taken back") { link.advertiser.current == null }
    }

    @Test
    fun `the log is in Logcat, in lines that fit`() {
        OpenRtmpAndroid.logToLogcat(LogLevel.INFO)
        try {
            served.server.stop(0)
            served.server.start()
            eventually("it is logged") { ShadowLog.getLogsForTag("OpenRTMP").any { "127.0.0.1" in it.msg } }
            logger.warning("x".repeat(3_000))
            val long = ShadowLog.getLogsForTag("OpenRTMP").filter { it.msg.startsWith("xxx") }
            assertEquals(3_000, long.sumOf { it.msg.length })
            assertTrue(long.all { it.msg.length <= 1_300 && it.type == android.util.Log.WARN })
        } finally {
            OpenRtmpAndroid.logToLogcat(LogLevel.OFF)
        }
    }
}
