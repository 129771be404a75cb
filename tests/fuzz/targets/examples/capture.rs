//! Records what real programs send and are sent, for `seeds`:
//! `cargo run -p openrtmp-fuzz-targets --example capture`.
//!
//! Each program talks to a server of ours through a proxy on the loopback interface,
//! which keeps the first kilobytes of both directions in `captures/NAME.client` and
//! `captures/NAME.server`. The programs are those of the interop tests; `cargo xtask
//! test --only interop` brings them.
#![allow(
    clippy::print_stdout,
    reason = "a program to be run by hand reports on standard output"
)]

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use openrtmp_tests::{Media, Player, Publisher, Server};

/// What is kept of each direction: the handshake's 3 KiB, the commands, and the
/// first frames.
const KEPT: usize = 6000;

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../captures");
    fs::create_dir_all(&folder)?;
    for (publisher, media) in [
        (Publisher::Ffmpeg, Media::BFrames),
        (Publisher::Ffmpeg, Media::AudioOnly),
        (Publisher::FfmpegCurrent, Media::Hevc),
        (Publisher::FfmpegCurrent, Media::Av1Opus),
        (Publisher::FfmpegCurrent, Media::TwoAudioTracks),
        (Publisher::Gstreamer, Media::H264Aac),
        (Publisher::Openrtmp, Media::Vp9),
    ] {
        let proxy = Proxy::start(
            Server::start(),
            &folder,
            &format!("{publisher:?}-{media:?}"),
        )?;
        publisher.start(media, &proxy.url).wait();
        proxy.finish()?;
    }
    for player in [
        Player::Ffmpeg,
        Player::FfmpegCurrent,
        Player::Rtmpdump,
        Player::Gstreamer,
        Player::Openrtmp,
    ] {
        let server = Server::start();
        let direct = server.url("live/cam");
        let publishing = Publisher::Ffmpeg.start(Media::H264Aac, &direct);
        server.wait_until_published("live/cam");
        let proxy = Proxy::start(server, &folder, &format!("{player:?}-plays"))?;
        let played = tempfile::tempdir()?;
        let playing = player.start(&proxy.url, played.path());
        publishing.wait();
        playing.wait();
        proxy.finish()?;
    }
    Ok(())
}

/// Stands between one client and the server.
struct Proxy {
    url: String,
    thread: JoinHandle<io::Result<()>>,
}

impl Proxy {
    fn start(server: Server, folder: &Path, name: &str) -> io::Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("rtmp://{}/live/cam", listener.local_addr()?);
        let [sent, answered] = ["client", "server"].map(|end| folder.join(format!("{name}.{end}")));
        let name = name.to_owned();
        let thread = thread::spawn(move || {
            let address = server.url("");
            let address = address.trim_start_matches("rtmp://").trim_end_matches('/');
            let (client, _) = listener.accept()?;
            let upstream = TcpStream::connect(address)?;
            let (from, to) = (client.try_clone()?, upstream.try_clone()?);
            let there = thread::spawn(move || tee(from, to, sent));
            let back = tee(upstream, client, answered);
            there.join().expect("copying does not panic")?;
            println!("{name}");
            back
        });
        Ok(Proxy { url, thread })
    }

    fn finish(self) -> io::Result<()> {
        self.thread.join().expect("a proxy does not panic")
    }
}

/// Copies until the end, and keeps the beginning.
fn tee(mut from: TcpStream, mut to: TcpStream, file: PathBuf) -> io::Result<()> {
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        // A reset is an end as good as any.
        let count = from.read(&mut buffer).unwrap_or(0);
        let room = KEPT - kept.len();
        kept.extend_from_slice(&buffer[..count.min(room)]);
        if count == 0 || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // The other direction may be over already.
    let _ = to.shutdown(Shutdown::Write);
    fs::write(file, kept)
}
