package org.openrtmp

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.File
import java.util.concurrent.Executor
import java.util.concurrent.atomic.AtomicInteger

/** A long life leaves nothing behind. */
class LifeTest {
    private fun status(name: String): Long =
        File("/proc/self/status").readLines().first { it.startsWith("$name:") }
            .filter { it.isDigit() }.toLong()

    private fun descriptors() = File("/proc/self/fd").list()!!.size

    private fun cycle(events: AtomicInteger) {
        val builder = builder().eventListener(Executor { it.run() }) { events.incrementAndGet() }
        builder.access { it.accept() }.build().use { server ->
            server.start()
            server.publisher("live/cam").use { publisher ->
                publisher.configure(DecoderConfiguration(MediaKind.AUDIO, Codec.AAC, byteArrayOf(0x12, 0x10)))
                server.tap("live/cam").use { tap -> (tap.next(PATIENCE) as? Frame)?.close() }
            }
            server.stop(0)
        }
    }

    @Test
    fun `a thousand servers come and go`() {
        val events = AtomicInteger()
        repeat(100) { cycle(events) }
        val before = Triple(status("Threads"), descriptors(), status("VmRSS"))
        repeat(1_000) { cycle(events) }
        System.gc()
        val after = Triple(status("Threads"), descriptors(), status("VmRSS"))
        assertTrue(events.get() >= 2 * 1_100, "${events.get()}")
        // The machine's own threads and files come and go; a leak would show a thousandfold.
        assertTrue(after.first < before.first + 50, "threads: $before, $after")
        assertTrue(after.second < before.second + 50, "files: $before, $after")
        // 100 KiB each would be 100 MiB.
        assertTrue(after.third < before.third + 64 * 1024, "KiB: $before, $after")
    }

    @Test
    fun `the version is that of the package`() {
        assertEquals("0.1.0", OpenRtmp.version)
    }

    @Test
    fun `the log comes to Java's logger`() {
        val records = java.util.concurrent.LinkedBlockingQueue<String>()
        val handler = object : java.util.logging.Handler() {
            override fun publish(record: java.util.logging.LogRecord) {
                if (record.sourceClassName.startsWith("openrtmp")) records.add(record.message)
            }

            override fun flush() = Unit

            override fun close() = Unit
        }
        logger.addHandler(handler)
        OpenRtmp.setLogLevel(LogLevel.INFO)
        try {
            served { }
            val told = generateSequence { records.poll(PATIENCE, java.util.concurrent.TimeUnit.MILLISECONDS) }
            assertTrue(told.any { it.contains("listening") || it.contains("127.0.0.1") })
        } finally {
            OpenRtmp.setLogLevel(LogLevel.OFF)
            logger.removeHandler(handler)
        }
    }
}
