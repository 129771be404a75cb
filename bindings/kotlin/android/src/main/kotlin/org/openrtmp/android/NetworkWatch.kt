package org.openrtmp.android

import android.content.Context
import android.net.ConnectivityManager
import android.net.LinkProperties
import android.net.Network
import android.net.NetworkCapabilities
import android.net.NetworkRequest
import org.openrtmp.DeviceNetwork
import org.openrtmp.NetworkKind

/**
 * The networks that Android says there are: the whole list with each change. A hotspot of
 * this device is none of them; the server finds its address by itself.
 */
internal class NetworkWatch(context: Context, private val told: (List<DeviceNetwork>) -> Unit) {
    private val manager = context.getSystemService(ConnectivityManager::class.java)
    private val known = LinkedHashMap<Network, Known>()
    private var default: Network? = null

    private class Known(var capabilities: NetworkCapabilities? = null, var link: LinkProperties? = null)

    private val all = object : ConnectivityManager.NetworkCallback() {
        override fun onAvailable(network: Network) = change { known.getOrPut(network) { Known() } }

        override fun onCapabilitiesChanged(network: Network, capabilities: NetworkCapabilities) =
            change { known.getOrPut(network) { Known() }.capabilities = capabilities }

        override fun onLinkPropertiesChanged(network: Network, link: LinkProperties) =
            change { known.getOrPut(network) { Known() }.link = link }

        override fun onLost(network: Network) = change { known.remove(network) }
    }

    private val defaults = object : ConnectivityManager.NetworkCallback() {
        override fun onAvailable(network: Network) = change { default = network }

        override fun onLost(network: Network) = change { if (default == network) default = null }
    }

    fun open() {
        // Tunnels, too, which a request leaves out by itself.
        val request = NetworkRequest.Builder().removeCapability(NetworkCapabilities.NET_CAPABILITY_NOT_VPN).build()
        manager?.registerNetworkCallback(request, all)
        manager?.registerDefaultNetworkCallback(defaults)
    }

    fun close() {
        manager?.unregisterNetworkCallback(all)
        manager?.unregisterNetworkCallback(defaults)
    }

    /** Tells the list once more. */
    fun tell(): Unit = told(list())

    private fun change(body: () -> Unit) {
        synchronized(known) { body() }
        tell()
    }

    /** Those whose interface is known; the others follow when it is. */
    private fun list(): List<DeviceNetwork> = synchronized(known) {
        known.mapNotNull { (network, known) ->
            val link = known.link ?: return@mapNotNull null
            val name = link.interfaceName ?: return@mapNotNull null
            val capabilities = known.capabilities
            DeviceNetwork(
                name,
                kind(capabilities),
                link.linkAddresses.mapNotNull { it.address.hostAddress },
                isMetered = capabilities?.hasCapability(NetworkCapabilities.NET_CAPABILITY_NOT_METERED) == false,
                isDefault = network == default,
            )
        }
    }

    /** A tunnel has the transports of what carries it, too: it is asked for first. */
    private fun kind(capabilities: NetworkCapabilities?): NetworkKind = when {
        capabilities == null -> NetworkKind.OTHER
        capabilities.hasTransport(NetworkCapabilities.TRANSPORT_VPN) -> NetworkKind.VPN
        capabilities.hasTransport(NetworkCapabilities.TRANSPORT_WIFI) -> NetworkKind.WIFI
        capabilities.hasTransport(NetworkCapabilities.TRANSPORT_ETHERNET) -> NetworkKind.ETHERNET
        capabilities.hasTransport(NetworkCapabilities.TRANSPORT_CELLULAR) -> NetworkKind.CELLULAR
        capabilities.hasTransport(USB) -> NetworkKind.USB
        else -> NetworkKind.OTHER
    }

    private companion object {
        /** `TRANSPORT_USB`, since Android 12. */
        const val USB = 8
    }
}
