//! Viewers that take nothing of what they asked for, while the stream goes on.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use openrtmp_media::hls::read::Listed;
use openrtmp_tests::h2::{H2, SETTINGS};
use openrtmp_tests::{Delivered, Media, Process, Tool, Web};

/// Of which a quarter is for answers.
const MEMORY: u64 = 64 << 20;
/// So many segments go by.
const SEGMENTS: u64 = 24;

/// 20 Mbit/s, four times as fast as it would be.
fn hurried(delivered: &Delivered, path: &str) -> Process {
    let mut command = Tool::Ffmpeg.command();
    command.args(["-nostdin", "-v", "error", "-readrate", "4"]);
    command.args(["-stream_loop", "100", "-i"]);
    command.arg(Media::TwentyMegabits.file());
    command.args(["-c", "copy", "-f", "flv", &delivered.server().url(path)]);
    Process::start("ffmpeg publishing", command)
}

/// Asks for a path over HTTP/1.1 and reads nothing.
fn plain(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// The same four times over HTTP/2 (RFC 9113), with windows of one byte.
fn narrow(address: SocketAddr, path: &str) -> H2 {
    let mut peer = H2::plain(address).unwrap();
    // SETTINGS_INITIAL_WINDOW_SIZE (6.5.2).
    peer.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1]).unwrap();
    for stream in [1, 3, 5, 7] {
        peer.ask(stream, path).unwrap();
    }
    peer
}

#[test]
fn what_nobody_takes_is_not_kept_for_long_and_who_takes_it_is_served() {
    let delivered = Delivered::start(|config| {
        config.http.memory = MEMORY;
        config.http.window = std::time::Duration::from_secs(10);
        // No other rule ends them.
        config.http.answer_timeout = std::time::Duration::from_secs(600);
        config.http.viewers.least_rate = 0;
    });
    let publishing = hurried(&delivered, "live/noise");
    delivered.server().wait_until_published("live/noise");
    let master = delivered.master("live/noise");
    let playlist = format!("/live/noise/{}", master.lines().last().unwrap());
    let folder = playlist.rsplit_once('/').unwrap().0.to_owned();
    let mut innocent = Web::connect(delivered.address());
    let mut slow: Vec<Box<dyn Read>> = Vec::new();
    let first = innocent.get(&playlist, &[]);
    let mut msn = Listed::parse(first.text())
        .unwrap()
        .numbered()
        .last()
        .unwrap()
        .0;
    let (until, mut most, mut taken) = (msn + SEGMENTS, 0, 0);
    while msn < until {
        let whole = format!("{playlist}?_HLS_msn={}&_HLS_part=0", msn + 1);
        let listed = innocent.get(&whole, &[]);
        assert_eq!(listed.status, 200, "{}", listed.text());
        let listed = Listed::parse(listed.text()).unwrap();
        // The newest that is whole.
        let whole = listed
            .numbered()
            .filter(|(_, segment)| segment.uri.is_some());
        let (newest, segment) = whole.last().unwrap();
        let path = format!("{folder}/{}", segment.uri.as_ref().unwrap());
        for _ in 0..3 {
            slow.push(Box::new(plain(delivered.address(), &path)));
            slow.push(Box::new(narrow(delivered.address(), &path)));
        }
        let answer = innocent.get(&path, &[]);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        taken += answer.body.len();
        most = most.max(delivered.delivery().held().answers);
        assert!(most <= MEMORY / 4, "{most} bytes in segment {newest}");
        msn = newest + 1;
    }
    let whole = taken as u64 / SEGMENTS;
    assert!(whole > 1 << 20, "segments of {whole} bytes");
    // More went by than may be held: who began first was cut off.
    for mut cut in slow.drain(..4) {
        let mut got = Vec::new();
        // Its end, or a reset.
        let _ = cut.read_to_end(&mut got);
        assert!((got.len() as u64) < whole, "{} of {whole} bytes", got.len());
    }
    publishing.kill();
}
