package org.openrtmp.android

import android.content.Context
import org.openrtmp.HostOrder
import org.openrtmp.ServiceState
import java.util.logging.Logger

internal val logger: Logger = Logger.getLogger("org.openrtmp")

/** The links whose servers want the one service, with what it shows of each. */
internal object ServiceBoard {
    private val wanting = LinkedHashMap<DeviceLink, HostOrder.Service>()

    @Synchronized
    fun isEmpty(): Boolean = wanting.isEmpty()

    /** On the main thread: wants the service, or changes what it shows. */
    fun want(link: DeviceLink, context: Context, order: HostOrder.Service) {
        val isNew = synchronized(this) { wanting.put(link, order) == null }
        val service = OpenRtmpService.running
        when {
            service != null -> {
                service.update()
                if (isNew) link.onService(ServiceState.STARTED)
            }
            !isNew -> {}
            !OpenRtmpService.start(context) -> {
                synchronized(this) { wanting.remove(link) }
                link.onService(ServiceState.REFUSED)
            }
        }
    }

    /** On the main thread: does not want it any more; without anybody it ends. */
    fun leave(link: DeviceLink, context: Context) {
        val isLast = synchronized(this) { wanting.remove(link) != null && wanting.isEmpty() }
        if (isLast) context.stopService(android.content.Intent(context, OpenRtmpService::class.java))
        else OpenRtmpService.running?.update()
    }

    /** Tells all of them; those whose service is over do not want it any more. */
    fun tell(state: ServiceState) {
        val links = synchronized(this) {
            wanting.keys.toList().also { if (state != ServiceState.STARTED) wanting.clear() }
        }
        links.forEach { it.onService(state) }
    }

    @Synchronized
    fun totals(): Pair<Int, Int> = wanting.values.sumOf { it.streams } to wanting.values.sumOf { it.connections }

    @Synchronized
    fun notice(): NoticeFactory = wanting.keys.firstOrNull()?.options?.notice ?: DefaultNotice()
}
