package org.openrtmp

import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.TimeoutCancellationException
import kotlinx.coroutines.cancelChildren
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.onStart
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import java.io.File

/** Longer than anything takes here: a test that hangs fails. */
internal const val PATIENCE = 60_000L

/** A server on a port of its own, on this machine only. */
internal fun builder(): OpenRtmpServer.Builder =
    OpenRtmpServer.Builder().set("listen", "127.0.0.1:0")

internal fun <T> served(builder: OpenRtmpServer.Builder = builder(), body: suspend CoroutineScope.(OpenRtmpServer) -> T): T =
    builder.build().use { server ->
        server.start()
        // What still collects would be waited for.
        inTime { body(server).also { coroutineContext.cancelChildren() } }
    }

internal fun <T> inTime(body: suspend CoroutineScope.() -> T): T = runBlocking(Dispatchers.Default) {
    try {
        withTimeout(PATIENCE) { body() }
    } catch (late: TimeoutCancellationException) {
        throw AssertionError("nothing came in time", late)
    }
}

internal fun OpenRtmpServer.url(stream: String): String = "rtmp://127.0.0.1:$port/$stream"

/** The ffmpeg that publishes and plays. */
internal class Ffmpeg(vararg arguments: String) : AutoCloseable {
    private val errors = File.createTempFile("ffmpeg", ".log").apply { deleteOnExit() }
    private val process = ProcessBuilder(
        listOf(System.getProperty("openrtmp.ffmpeg"), "-nostdin", "-v", "error", "-y") + arguments,
    ).redirectError(errors).redirectOutput(ProcessBuilder.Redirect.PIPE).start()

    /** What it writes to its output, once it is done, well. */
    fun output(): ByteArray {
        val output = process.inputStream.readBytes()
        check(process.waitFor() == 0) { "ffmpeg failed: ${errors.readText()}" }
        return output
    }

    override fun close() {
        // A player that waits for its server takes no notice of less.
        process.destroyForcibly()
        process.waitFor()
    }

    companion object {
        /** Publishes a test picture and tone, so many seconds of it, as fast as time goes. */
        fun publishing(url: String, seconds: Int) = Ffmpeg(
            "-re", "-f", "lavfi", "-i", "testsrc2=size=192x108:rate=25:duration=$seconds",
            "-f", "lavfi", "-i", "sine=sample_rate=44100:duration=$seconds",
            "-c:v", "libx264", "-preset", "ultrafast", "-g", "12", "-bf", "0", "-pix_fmt", "yuv420p",
            "-c:a", "aac", "-f", "flv", url,
        )

        /** A sum for each decoded picture of something. */
        fun pictures(vararg input: String): List<String> =
            Ffmpeg(*input, "-an", "-f", "framemd5", "-").use { it.output() }
                .decodeToString().lines()
                .filter { it.isNotBlank() && !it.startsWith("#") }
                .map { it.substringAfterLast(',').trim() }
    }
}

/** Collects in the background; [ready] is done once the collection has begun. */
internal fun <T> CoroutineScope.collecting(flow: Flow<T>, body: suspend (T) -> Unit): CompletableDeferred<Unit> {
    val ready = CompletableDeferred<Unit>()
    launch { flow.onStart { ready.complete(Unit) }.collect { body(it) } }
    return ready
}
