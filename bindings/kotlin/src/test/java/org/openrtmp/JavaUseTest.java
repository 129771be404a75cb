package org.openrtmp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** The library as programs in Java use it. */
class JavaUseTest {
    @Test
    void javaStartsPublishesTapsAndStops() throws InterruptedException {
        ExecutorService executor = Executors.newSingleThreadExecutor();
        CountDownLatch published = new CountDownLatch(1);
        OpenRtmpServer.Builder builder = new OpenRtmpServer.Builder(Profile.DESKTOP)
            .set("listen", "127.0.0.1:0")
            .access(AccessRequest::accept)
            .eventListener(executor, event -> {
                if (event.getKind() == ServerEvent.Kind.STREAM_PUBLISHED) published.countDown();
            });
        try (OpenRtmpServer server = builder.build()) {
            server.start();
            byte[] config = {0x12, 0x10};
            try (Tap tap = server.tap("live/java"); StreamPublisher publisher = server.publisher("live/java")) {
                publisher.configure(new DecoderConfiguration(MediaKind.AUDIO, Codec.AAC, config));
                publisher.writeAudio(ByteBuffer.wrap(new byte[] {7}), 0);
                while (true) {
                    TapEvent event = tap.next(60_000);
                    if (!(event instanceof Frame)) continue;
                    try (Frame frame = (Frame) event) {
                        if (!frame.isKey()) continue;
                        assertEquals(7, frame.getData().get(0));
                        break;
                    }
                }
            }
            assertTrue(published.await(60, TimeUnit.SECONDS));
            assertEquals("127.0.0.1", server.getListeners().get(0).getHost());
            server.reconfigure(settings -> settings.set("limits.connections", 5));
            assertEquals("5", server.setting("limits.connections"));
            server.stop();
        } finally {
            executor.shutdown();
        }
    }
}
