package org.openrtmp.android

import org.openrtmp.OpenRtmpServer
import org.openrtmp.ServerEvent
import org.robolectric.shadows.ShadowLooper
import java.io.File
import java.util.concurrent.Executor
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit

/** Longer than anything takes here: a test that hangs fails. */
internal const val PATIENCE = 60_000L

/** A server on a port of its own, on this machine only, with what it tells. */
internal class Served(vararg settings: Pair<String, Any>) : AutoCloseable {
    private val told = LinkedBlockingQueue<ServerEvent>()
    val server: OpenRtmpServer = OpenRtmpServer.Builder()
        .set("listen", "127.0.0.1:0")
        .apply { settings.forEach { (path, value) -> set(path, value) } }
        .eventListener(Executor { it.run() }) { told.add(it) }
        .build()

    fun url(stream: String) = "rtmp://127.0.0.1:${server.port}/$stream"

    /** Waits for an event, on the main thread, which does its work meanwhile. */
    fun until(fits: (ServerEvent) -> Boolean): ServerEvent {
        val seen = ArrayList<ServerEvent>()
        val end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(PATIENCE)
        while (System.nanoTime() < end) {
            ShadowLooper.idleMainLooper()
            val event = told.poll(10, TimeUnit.MILLISECONDS) ?: continue
            if (fits(event)) return event
            seen.add(event)
        }
        throw AssertionError("only $seen")
    }

    fun until(kind: ServerEvent.Kind): ServerEvent = until { it.kind == kind }

    override fun close() = server.close()
}

/** Waits for something that other threads bring about, while the main thread does its work. */
internal fun eventually(what: String, isSo: () -> Boolean) {
    val end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(PATIENCE)
    while (!isSo()) {
        if (System.nanoTime() > end) throw AssertionError("not in time: $what")
        ShadowLooper.idleMainLooper()
        Thread.sleep(1)
    }
}

/** The ffmpeg that publishes and plays. */
internal class Ffmpeg(vararg arguments: String) : AutoCloseable {
    private val errors = File.createTempFile("ffmpeg", ".log").apply { deleteOnExit() }
    private val process = ProcessBuilder(
        listOf(System.getProperty("openrtmp.ffmpeg"), "-nostdin", "-v", "error", "-y") + arguments,
    ).redirectError(errors).redirectOutput(ProcessBuilder.Redirect.PIPE).start()

    fun output(): ByteArray {
        val output = process.inputStream.readBytes()
        check(process.waitFor() == 0) { "ffmpeg failed: ${errors.readText()}" }
        return output
    }

    override fun close() {
        // What it died of is why nothing came: it says nothing of signals.
        val code = if (process.isAlive) 0 else process.exitValue()
        if (code != 0) System.err.println("ffmpeg ended with $code: ${errors.readText()}")
        process.destroyForcibly()
        process.waitFor()
    }

    companion object {
        fun publishing(url: String, seconds: Int) = Ffmpeg(
            "-re", "-f", "lavfi", "-i", "testsrc2=size=192x108:rate=25:duration=$seconds",
            "-f", "lavfi", "-i", "sine=sample_rate=44100:duration=$seconds",
            "-c:v", "libx264", "-preset", "ultrafast", "-g", "12", "-bf", "0", "-pix_fmt", "yuv420p",
            "-c:a", "aac", "-f", "flv", url,
        )
    }
}
