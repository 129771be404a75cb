package org.openrtmp.android

import android.content.Context
import android.net.nsd.NsdManager
import android.net.nsd.NsdServiceInfo

/** Tells the local network where the server is, as `_rtmp._tcp`, while it is ordered to. */
internal class Advertiser(context: Context, private val name: String, private val failed: (Int) -> Unit) {
    private val manager = context.getSystemService(NsdManager::class.java)

    /** What is told now. */
    @Volatile
    internal var current: NsdManager.RegistrationListener? = null
        private set

    @Synchronized
    fun begin(port: Int, txt: String) {
        end()
        val info = NsdServiceInfo().apply {
            serviceName = name
            serviceType = TYPE
            setPort(port)
            txt.split(' ').filter { '=' in it }
                .forEach { setAttribute(it.substringBefore('='), it.substringAfter('=')) }
        }
        val registration = Registration()
        current = registration
        manager?.registerService(info, NsdManager.PROTOCOL_DNS_SD, registration)
    }

    @Synchronized
    fun end() {
        current?.let { manager?.unregisterService(it) }
        current = null
    }

    private inner class Registration : NsdManager.RegistrationListener {
        override fun onRegistrationFailed(info: NsdServiceInfo, error: Int) {
            // Nothing is registered that could be taken back.
            synchronized(this@Advertiser) { if (current === this) current = null }
            failed(error)
        }

        override fun onUnregistrationFailed(info: NsdServiceInfo, error: Int) = failed(error)

        override fun onServiceRegistered(info: NsdServiceInfo) = Unit

        override fun onServiceUnregistered(info: NsdServiceInfo) = Unit
    }

    private companion object {
        const val TYPE = "_rtmp._tcp"
    }
}
