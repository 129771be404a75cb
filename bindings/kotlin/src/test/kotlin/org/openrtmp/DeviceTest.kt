package org.openrtmp

import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelChildren
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.joinAll
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.net.ConnectException
import java.net.Socket
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit
import kotlin.random.Random

/** The life of a phone, on real sockets and with a real publisher. */
class DeviceTest {
    private class Orders : OrderListener {
        val all = LinkedBlockingQueue<HostOrder>()

        override fun onOrder(order: HostOrder) {
            all.add(order)
        }

        /** The next that fits. */
        fun until(fits: (HostOrder) -> Boolean): HostOrder {
            val seen = ArrayList<HostOrder>()
            while (true) {
                val order = all.poll(PATIENCE, TimeUnit.MILLISECONDS) ?: throw AssertionError("only $seen")
                if (fits(order)) return order
                seen.add(order)
            }
        }
    }

    private fun ordered(vararg settings: Pair<String, Any>): Pair<OpenRtmpServer, Orders> {
        val builder = builder()
        settings.forEach { (path, value) -> builder.set(path, value) }
        val orders = Orders()
        return builder.build().apply { orderListener = orders } to orders
    }

    @Test
    fun `a suspended server refuses, and its publisher continues the stream afterwards`() = served { server ->
        val told = Channel<ServerEvent>(Channel.UNLIMITED)
        collecting(server.events) { told.send(it) }.await()
        suspend fun until(kind: ServerEvent.Kind): ServerEvent {
            while (true) told.receive().let { if (it.kind == kind) return it }
        }
        val port = server.port
        Ffmpeg.publishing(server.url("live/cam"), 60).use {
            val stream = until(ServerEvent.Kind.STREAM_PUBLISHED).streamId
            server.device.background(30_000)
            until(ServerEvent.Kind.BACKGROUND)
            server.device.remainingTime(20_000)
            assertEquals(mapOf("secs" to 20L, "nanos" to 0L), until(ServerEvent.Kind.REMAINING_TIME).details["left"])
            val suspended = server.device.suspendWithin()
            assertEquals(1, suspended.listeners)
            assertEquals(1, suspended.closed)
            assertTrue(suspended.inTime)
            assertThrows(ConnectException::class.java) { Socket("127.0.0.1", port) }
            // It is known still, and waits for its publisher.
            assertEquals("live/cam", server.streamName(stream!!))
            val resumed = server.device.resumeAfter(5_000)
            assertEquals(Pair(1, 0), Pair(resumed.remade, resumed.failed))
            server.device.foreground()
            until(ServerEvent.Kind.FOREGROUND)
            assertEquals(port, server.port)
            Ffmpeg.publishing(server.url("live/cam"), 60).use {
                assertEquals(stream, until(ServerEvent.Kind.STREAM_PUBLISHED).streamId)
            }
        }
    }

    @Test
    fun `orders come as something is streamed, and are obeyed in their callback`() {
        val (server, orders) = ordered("mobile.background" to "service", "mobile.advertise" to true)
        server.use {
            server.start()
            server.device.foreground()
            val start = orders.until { it is HostOrder.Service } as HostOrder.Service
            assertEquals(ServiceAction.START, start.action)
            server.device.service(ServiceState.STARTED)
            Ffmpeg.publishing(server.url("live/cam"), 60).use {
                assertEquals(HostOrder.KeepAwake(cpu = true, wifi = true), orders.until { it is HostOrder.KeepAwake })
                orders.until { it is HostOrder.Service && it.streams == 1 && it.action == ServiceAction.UPDATE }
                server.endStream("live/cam")
            }
            assertEquals(HostOrder.KeepAwake(cpu = false, wifi = false), orders.until { it is HostOrder.KeepAwake })
            val done = LinkedBlockingQueue<SuspendReport>()
            server.orderListener = OrderListener {
                if (it == HostOrder.SuspendNow) done.add(server.device.suspendWithin())
            }
            server.device.service(ServiceState.STOPPED)
            server.reconfigure { it.set("mobile.background", "stop") }
            server.device.background()
            assertEquals(1, done.poll(PATIENCE, TimeUnit.MILLISECONDS)?.listeners)
        }
    }

    @Test
    fun `a server is advertised where it listens`() {
        val (server, orders) = ordered("mobile.advertise" to true)
        server.use {
            server.start()
            val begin = orders.until { it is HostOrder.Advertise } as HostOrder.Advertise
            assertEquals(server.port, begin.port)
            assertTrue(begin.txt.startsWith("v=1"), begin.txt)
        }
    }

    @Test
    fun `permissions are asked for one at a time, and one that is refused is a reason`() {
        val (server, orders) = ordered()
        server.use {
            server.start()
            server.device.permission(Permission.LOCAL_NETWORK, PermissionState.UNKNOWN)
            assertEquals(HostOrder.AskPermission(Permission.LOCAL_NETWORK), orders.until { it is HostOrder.AskPermission })
            server.device.permission(Permission.LOCAL_NETWORK, PermissionState.DENIED)
            assertFalse(server.health().isReady)
            assertTrue(server.health().reasons.any { "permission" in it }, "${server.health()}")
            server.device.permission(Permission.LOCAL_NETWORK, PermissionState.GRANTED)
            assertTrue(server.health().isReady)
        }
    }

    @Test
    fun `networks, power and memory are taken in`() = served { server ->
        val cellular = CompletableDeferred<Unit>()
        collecting(server.events) {
            if (it.kind == ServerEvent.Kind.CELLULAR_USED) cellular.complete(Unit)
        }.await()
        val wifi = DeviceNetwork("wlan0", NetworkKind.WIFI, listOf("192.168.7.9", "fe80::1%wlan0"))
        val mobile = DeviceNetwork("rmnet0", NetworkKind.CELLULAR, isMetered = true, isDefault = true)
        server.device.networks(listOf(wifi, mobile))
        cellular.await()
        val wrong = DeviceNetwork("wlan0", NetworkKind.WIFI, listOf("somewhere"))
        val failure = assertThrows(OpenRtmpException::class.java) { server.device.networks(listOf(wrong)) }
        assertEquals(ErrorCode.INVALID_ARGUMENT, failure.code)
        val kinds = listOf(ServerEvent.Kind.POWER, ServerEvent.Kind.MEMORY)
        val told = kinds.associateWith { CompletableDeferred<Unit>() }
        collecting(server.events) { told[it.kind]?.complete(Unit) }.await()
        server.device.power(lowPower = true, deviceIdle = false, thermal = ThermalState.SERIOUS)
        server.device.memory(MemoryLevel.CRITICAL)
        told.values.forEach { it.await() }
        server.device.audio(true)
        assertTrue(server.device.powerStats().systemCalls > 0)
        val own = server.reachableUrls("live/cam").single()
        assertEquals("rtmp://127.0.0.1:${server.port}/live/cam", own.url)
        assertEquals(0, own.rank)
    }

    @Test
    fun `a server that is drained lets its publisher finish, and takes nobody new`() {
        builder().build().use { server ->
            server.start()
            inTime {
                val published = CompletableDeferred<Unit>()
                val left = CompletableDeferred<ServerEvent>()
                collecting(server.events) {
                    when (it.kind) {
                        ServerEvent.Kind.STREAM_PUBLISHED -> published.complete(Unit)
                        ServerEvent.Kind.STREAM_ENDED -> left.complete(it)
                        else -> {}
                    }
                }.await()
                val wrong = assertThrows(OpenRtmpException::class.java) { server.drain(1_000, "http://elsewhere") }
                assertEquals(ErrorCode.INVALID_ARGUMENT, wrong.code)
                assertEquals(ServerState.RUNNING, server.state)
                val url = server.url("live/cam")
                val other = server.url("live/other")
                val feeding = Ffmpeg.publishing(url, 2)
                published.await()
                val summary = feeding.use { server.awaitDrain(PATIENCE).also { feeding.output() } }
                assertEquals(1, summary.accepted)
                assertEquals(0, summary.forced)
                assertEquals(ServerState.STOPPED, server.state)
                assertNotNull(left.await())
                assertThrows(IllegalStateException::class.java) { Ffmpeg.publishing(other, 1).use { it.output() } }
                coroutineContext.cancelChildren()
            }
        }
    }

    /** Says one of all that there is to say, or stops or starts the server meanwhile. */
    private fun OpenRtmpServer.signal(random: Random) = when (random.nextInt(12)) {
        0 -> device.suspendWithin(random.nextLong(100))
        1, 2 -> device.resumeAfter(random.nextLong(10_000))
        3 -> device.background(random.nextLong(10_000))
        4 -> device.foreground()
        5 -> device.networks(emptyList())
        6 -> device.networks(listOf(DeviceNetwork("lo", NetworkKind.WIFI, isDefault = true)))
        7 -> device.remainingTime(random.nextLong(5_000))
        8 -> device.power(random.nextBoolean(), random.nextBoolean(), ThermalState.entries.random(random))
        9 -> device.memory(MemoryLevel.entries.random(random))
        10 -> stop(0)
        else -> start()
    }

    @Test
    fun `signals in any order, from any thread, leave a server that serves`() {
        for (seed in 1..6) {
            builder().build().use { server ->
                inTime {
                    server.start()
                    val refused = LinkedBlockingQueue<ErrorCode>()
                    val telling = (1..4).map { number ->
                        launch(Dispatchers.IO) {
                            val random = Random(100 * seed + number)
                            repeat(25) {
                                try {
                                    server.signal(random)
                                } catch (failure: OpenRtmpException) {
                                    refused.add(failure.code)
                                }
                            }
                        }
                    }
                    telling.joinAll()
                    // Of one that is stopped, or is being stopped, nothing can be wanted.
                    assertEquals(emptySet<ErrorCode>(), refused.toSet() - ErrorCode.STATE, "seed $seed")
                    if (server.state == ServerState.STOPPED) server.start()
                    server.device.memory(MemoryLevel.NORMAL)
                    server.device.resumeAfter(0)
                    server.device.foreground()
                    Ffmpeg.publishing(server.url("live/cam"), 1).use { it.output() }
                }
            }
        }
    }

    @Test
    fun `a server may be closed by who is given an order`() {
        val (server, _) = ordered("mobile.background" to "stop")
        val done = LinkedBlockingQueue<HostOrder>()
        server.orderListener = OrderListener {
            if (it == HostOrder.SuspendNow) {
                server.close()
                done.add(it)
            }
        }
        server.start()
        server.device.background()
        assertEquals(HostOrder.SuspendNow, done.poll(PATIENCE, TimeUnit.MILLISECONDS))
        val failure = assertThrows(OpenRtmpException::class.java) { server.start() }
        assertEquals(ErrorCode.STATE, failure.code)
    }
}
