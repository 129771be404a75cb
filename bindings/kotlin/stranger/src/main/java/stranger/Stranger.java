package stranger;

import org.openrtmp.Frame;
import org.openrtmp.OpenRtmp;
import org.openrtmp.OpenRtmpServer;
import org.openrtmp.Tap;
import org.openrtmp.TapEvent;

/** Serves, lets ffmpeg publish, and taps a picture: Stranger FFMPEG. */
public final class Stranger {
    private Stranger() {}

    public static void main(String[] arguments) throws Exception {
        try (OpenRtmpServer server = new OpenRtmpServer.Builder().set("listen", "127.0.0.1:0").build()) {
            server.start();
            String url = "rtmp://127.0.0.1:" + server.getPort() + "/live/cam";
            Process publisher = new ProcessBuilder(
                arguments[0], "-nostdin", "-v", "error", "-re", "-f", "lavfi",
                "-i", "testsrc2=size=192x108:rate=25:duration=60", "-c:v", "libx264", "-preset", "ultrafast",
                "-g", "12", "-pix_fmt", "yuv420p", "-f", "flv", url).inheritIO().start();
            try (Tap tap = server.tap("live/cam")) {
                while (true) {
                    TapEvent event = tap.next(60_000);
                    if (event == null) throw new IllegalStateException("nothing was published");
                    if (!(event instanceof Frame)) continue;
                    try (Frame frame = (Frame) event) {
                        if (frame.isKey()) break;
                    }
                }
            } finally {
                publisher.destroyForcibly().waitFor();
            }
            System.out.println(OpenRtmp.getVersion());
        }
    }
}
