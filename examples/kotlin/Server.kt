// An RTMP server in Kotlin: Server [ADDRESS:PORT]; Enter, or the end of input, stops it.
// It publishes what it receives as live/cam once more, as live/copy.
package example

import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.openrtmp.AccessAction
import org.openrtmp.AccessDecision
import org.openrtmp.AccessRequest
import org.openrtmp.Content
import org.openrtmp.Frame
import org.openrtmp.MediaKind
import org.openrtmp.OpenRtmpServer
import org.openrtmp.StreamPublisher

/** Publishing is for the app "live". */
private fun decide(request: AccessRequest): AccessDecision = when {
    request.action == AccessAction.PUBLISH && request.app != "live" -> AccessDecision.Reject("use the app live")
    else -> AccessDecision.Accept
}

/** A frame is lent until this returns; writing it copies it. */
private fun StreamPublisher.write(frame: Frame) {
    val configuration = frame.configuration()
    val isFrame = frame.content == Content.KEY || frame.content == Content.INTER
    when {
        configuration != null -> {
            println("${frame.codec}: ${configuration.codecString} ${configuration.width}x${configuration.height}")
            configure(configuration, frame.track, frame.dtsMicros)
        }
        !isFrame -> {}
        frame.kind == MediaKind.VIDEO ->
            writeVideo(frame.data, frame.dtsMicros, frame.ptsMicros, frame.isKey, frame.track)
        frame.kind == MediaKind.AUDIO -> writeAudio(frame.data, frame.dtsMicros, frame.track)
    }
}

/** Until the server stops. */
private suspend fun copy(server: OpenRtmpServer) = server.publisher("live/copy").use { copy ->
    server.frames("live/cam").collect { copy.write(it) }
}

private suspend fun serve(address: String) = coroutineScope {
    val builder = OpenRtmpServer.Builder().set("listen", address).access(this) { decide(it) }
    builder.build().use { server ->
        launch { server.events.collect { println(it) } }
        server.start()
        server.urls("live/cam").forEach { println("publish to $it") }
        launch { copy(server) }
        readlnOrNull()
        val summary = server.awaitStop(graceMillis = 2_000)
        println("accepted ${summary.accepted} connections")
    }
}

fun main(arguments: Array<String>): Unit = runBlocking(Dispatchers.Default) {
    serve(arguments.firstOrNull() ?: "0.0.0.0:1935")
}
