//! Real workers under a real load: once the one that a stream lives on is busy, another
//! serves who comes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use openrtmp_core::client::{Client, ClientConfig, ClientEvent, Deadline};
use openrtmp_core::protocol::RtmpUrl;
use openrtmp_core::protocol::session::{ClientMode, MediaKind};
use openrtmp_core::{Config, Server};

/// By then a worker that does nothing else has more than two thirds of its time to do.
const MOST_PLAYERS: usize = 64;

/// More than handshakes and answers to all players take.
const OF_A_STREAM: u64 = 4 * 1024 * 1024;

fn client(server: &Server, mode: ClientMode) -> Client {
    let url = format!("rtmp://{}/live/cam", server.addresses()[0]);
    let url = RtmpUrl::parse(&url).expect("a URL");
    Client::connect(ClientConfig::new(url, mode)).expect("the server accepts")
}

/// Publishes as fast as the server reads.
fn flood(mut publisher: Client, over: &AtomicBool) {
    let mut frame = vec![0x55; 128 * 1024];
    for time in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        // AVC NALU, a key frame every 30th (FLV, annex E.4.3.1).
        let first = if time % 30 == 0 { 0x17 } else { 0x27 };
        frame[..5].copy_from_slice(&[first, 1, 0, 0, 0]);
        publisher
            .send(MediaKind::Video, time * 33, &frame)
            .and_then(|()| publisher.flush())
            .expect("the server reads");
    }
}

/// Ends the flood, however its test ends: a scope waits for its threads.
struct End<'a>(&'a Server, &'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.1.store(true, Ordering::Relaxed);
        self.0.stop(Duration::ZERO);
    }
}

/// Takes all that it is given, until the server stops.
fn watch(mut player: Client) {
    while let Ok(Some(_)) = player.next_event(Deadline::after(Duration::from_secs(60))) {}
}

#[test]
fn a_second_worker_serves_players_once_the_streams_own_is_busy() {
    let mut config = Config::desktop();
    config.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()];
    config.workers = 2;
    config.limits.publisher_bitrate = 0;
    config.limits.message_rate = 0;
    let server = Server::builder(config).start().expect("it starts");
    let over = AtomicBool::new(false);
    let sent = || {
        let workers = server.metrics().workers;
        workers.iter().map(|w| w.bytes_out).collect::<Vec<_>>()
    };
    let served_by_both = || sent().iter().all(|&bytes| bytes > OF_A_STREAM);
    thread::scope(|scope| {
        let publisher = client(&server, ClientMode::Publish);
        let flood = scope.spawn(|| flood(publisher, &over));
        let _end = End(&server, &over);
        let mut players = 0;
        while !served_by_both() && players < MOST_PLAYERS {
            let mut player = client(&server, ClientMode::Play);
            // With its first frame it has its place, and what it costs is being measured.
            loop {
                match player.next_event(Deadline::after(Duration::from_secs(60))) {
                    Ok(Some(ClientEvent::Media(_))) => break,
                    Ok(Some(_)) => {}
                    other => panic!("a player got no frame: {other:?}"),
                }
            }
            scope.spawn(move || watch(player));
            players += 1;
        }
        over.store(true, Ordering::Relaxed);
        flood.join().expect("the server read to the end");
        let workers = sent();
        assert!(
            workers.iter().all(|&bytes| bytes > OF_A_STREAM),
            "{players} players, bytes by worker: {workers:?}"
        );
    });
}
