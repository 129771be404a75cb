package org.openrtmp

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.util.concurrent.TimeUnit

/** The example, as a program of its own. */
class ExampleTest {
    @Test
    fun `the example serves, copies a stream and stops`(@TempDir folder: File) {
        val java = File(System.getProperty("java.home"), "bin/java").path
        val program = ProcessBuilder(
            java, "-Xcheck:jni", "-Djava.library.path=" + System.getProperty("java.library.path"),
            "-cp", System.getProperty("java.class.path"), "example.ServerKt", "127.0.0.1:0",
        ).redirectError(File(folder, "errors")).start()
        try {
            val lines = program.inputStream.bufferedReader().lineSequence().iterator()
            val before = ArrayList<String>()
            fun lineWith(text: String): String {
                while (lines.hasNext()) {
                    val line = lines.next()
                    before.add(line)
                    if (text in line) return line
                }
                throw AssertionError("no line with $text: $before")
            }
            val url = lineWith("publish to ").substringAfter("publish to ")
            val played = File(folder, "played.flv")
            val copy = url.replace("live/cam", "live/copy")
            Ffmpeg("-i", copy, "-c", "copy", "-f", "flv", played.path).use { player ->
                lineWith("SUBSCRIBER_JOINED")
                Ffmpeg.publishing(url, 2).use { it.output() }
                assertTrue(lineWith("avc1: ").endsWith("192x108"))
                lineWith("STREAM_ENDED")
                program.outputStream.close()
                lineWith("accepted 2 connections")
                player.output()
            }
            // What -Xcheck:jni has to say.
            assertEquals(emptyList<String>(), before.filter { "native method" in it })
            assertTrue(program.waitFor(PATIENCE, TimeUnit.MILLISECONDS))
            assertEquals(0, program.exitValue(), File(folder, "errors").readText())
            assertEquals(50, Ffmpeg.pictures("-i", played.path).size)
        } finally {
            program.destroyForcibly()
        }
    }
}
