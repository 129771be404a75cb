package org.openrtmp

import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.cancelChildren
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.security.KeyStore
import java.util.Base64

/** TLS, relays and recordings, with ffmpeg at the other end. */
class PeersTest {
    /** A certificate for this machine and its key, as PEM, made by the JDK's own tool. */
    private fun certificate(folder: File): Pair<String, String> {
        val store = File(folder, "store.p12")
        val tool = File(System.getProperty("java.home"), "bin/keytool").path
        val made = ProcessBuilder(
            tool, "-genkeypair", "-alias", "a", "-keyalg", "RSA", "-keysize", "2048", "-dname", "CN=localhost",
            "-ext", "san=dns:localhost,ip:127.0.0.1", "-validity", "30", "-storetype", "PKCS12",
            "-keystore", store.path, "-storepass", "changeit",
        ).redirectErrorStream(true).start()
        val said = made.inputStream.readBytes().decodeToString()
        assertEquals(0, made.waitFor(), said)
        val password = "changeit".toCharArray()
        val keys = KeyStore.getInstance("PKCS12").apply { store.inputStream().use { load(it, password) } }
        return pem("CERTIFICATE", keys.getCertificate("a").encoded) to
            pem("PRIVATE KEY", keys.getKey("a", password).encoded)
    }

    private fun pem(what: String, bytes: ByteArray): String {
        val text = Base64.getMimeEncoder(64, "\n".toByteArray()).encodeToString(bytes)
        return "-----BEGIN $what-----\n$text\n-----END $what-----\n"
    }

    @Test
    fun `a certificate from memory serves ffmpeg over TLS`(@TempDir folder: File) {
        val (chain, key) = certificate(folder)
        val server = builder().set("listen", "rtmps://127.0.0.1:0").build()
        val failure = assertThrows(OpenRtmpException::class.java) { server.setCertificate("no-such-file.pem", key) }
        assertEquals(ErrorCode.INVALID_ARGUMENT, failure.code)
        server.setCertificate(chain, key)
        server.use {
            server.start()
            inTime {
                assertTrue(server.listeners.single().isTls)
                val opened = CompletableDeferred<ServerEvent>()
                val tracks = CompletableDeferred<List<Track>>()
                val collection = collecting(server.events) {
                    if (it.kind == ServerEvent.Kind.STREAM_TRACKS && it.tracks.size == 2) tracks.complete(it.tracks)
                    if (it.kind == ServerEvent.Kind.STREAM_PUBLISHED) opened.complete(it)
                }
                collection.await()
                val pin = server.certificatePin
                assertTrue(pin.isNotEmpty())
                Ffmpeg.publishing("rtmps://127.0.0.1:${server.port}/live/cam", 60).use {
                    assertEquals("live/cam", opened.await().streamName)
                    assertEquals(setOf(Codec.AVC, Codec.AAC), tracks.await().map { it.codec }.toSet())
                }
                // Another, while it runs.
                val (otherChain, otherKey) = certificate(File(folder, "other").apply { mkdir() })
                server.setCertificate(otherChain, otherKey)
                assertTrue(server.certificatePin != pin)
                server.setChallenge("localhost", otherChain, otherKey)
                server.setChallenge("localhost", "", "")
                server.reloadCertificates()
                coroutineContext.cancelChildren()
            }
        }
    }

    @Test
    fun `a stream is pushed to one server and pulled by another`(@TempDir folder: File) {
        val servers = List(3) { builder().build().apply { start() } }
        val (origin, second, third) = servers
        try {
            inTime {
                val relay = origin.addRelay(RelayKind.PUSH, "live/*", "rtmp://127.0.0.1:${second.port}/live/{name}")
                third.addRelay(RelayKind.PULL, "live/*", "rtmp://127.0.0.1:${second.port}/live/{name}")
                val arrived = CompletableDeferred<String>()
                val pulled = CompletableDeferred<Unit>()
                collecting(second.events) {
                    if (it.kind == ServerEvent.Kind.STREAM_PUBLISHED) arrived.complete(it.streamName)
                }.await()
                collecting(third.events) {
                    if (it.kind == ServerEvent.Kind.RELAY_STARTED) pulled.complete(Unit)
                }.await()
                val copy = File(folder, "copy.flv")
                Ffmpeg.publishing(origin.url("live/cam"), 60).use {
                    assertEquals("live/cam", arrived.await())
                    val link = origin.relays().single { it.id == relay }.links.single()
                    assertEquals(Pair("running", 0L), Pair(link.state, link.failures))
                    Ffmpeg("-i", third.url("live/cam"), "-t", "1", "-c", "copy", "-f", "flv", copy.path)
                        .use { it.output() }
                    pulled.await()
                }
                assertTrue(Ffmpeg.pictures("-i", copy.path).size > 10)
                coroutineContext.cancelChildren()
            }
        } finally {
            servers.forEach { it.close() }
        }
    }

    @Test
    fun `a recording is an MP4 file where the settings say so`(@TempDir folder: File) {
        val builder = builder().set("record.directory", folder.path).set("record.format", "mp4").set("record.apps", "none")
        served(builder) { server ->
            server.startRecording("live/cam", folder)
            val finished = CompletableDeferred<Unit>()
            collecting(server.events) {
                if (it.kind == ServerEvent.Kind.STREAM_ENDED) finished.complete(Unit)
            }.await()
            Ffmpeg.publishing(server.url("live/cam"), 2).use { it.output() }
            finished.await()
            val recording = server.stopRecording("live/cam")
            val file = File(recording.last!!)
            assertEquals("mp4", file.extension, "$recording")
            assertEquals("ftyp", file.readBytes().decodeToString(4, 8))
            assertEquals(50, Ffmpeg.pictures("-i", file.path).size)
        }
    }
}
