//! Who streams, plays and watches beside an attack, and loses nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use openrtmp_core::client::{Client, ClientConfig, Deadline};
use openrtmp_core::protocol::session::{ClientEvent, ClientMode, MediaKind};
use openrtmp_media::hls::check::Checker;
use openrtmp_media::hls::read::Listed;
use openrtmp_protocol::RtmpUrl;

use crate::followed::Looks;
use crate::{Delivered, Web, found_at_last};

/// The path of their stream.
pub const PATH: &str = "live/innocent";
/// From picture to picture, in milliseconds.
const PICTURE: u32 = 40;
/// Pictures from key frame to key frame.
const GOP: u32 = 25;
/// Nothing that they wait for takes longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// A sequence header of H.264, of a picture of 320x180.
pub const HEADER: &[u8] =
    b"\x17\0\0\0\0\x01\x64\0\x0d\xff\xe1\0\x1a\x67\x64\0\x0d\xac\xd9\x41\x41\x9f\x9f\
    \x01\x10\0\0\x03\0\x10\0\0\x03\x03\xc0\xf1\x42\x99\x60\x01\0\x04\x68\xef\x8f\xcb\xfd\xf8\xf8\0";

/// A publisher, a player over RTMP and a viewer with low latency.
#[derive(Debug)]
pub struct Innocents {
    over: Arc<AtomicBool>,
    parts: Arc<AtomicUsize>,
    publisher: JoinHandle<u32>,
    player: JoinHandle<(u32, u32)>,
    viewer: JoinHandle<()>,
}

impl Innocents {
    /// Begins to stream.
    ///
    /// # Panics
    /// If that cannot be begun.
    pub fn of(delivered: &Delivered) -> Innocents {
        let (over, parts) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let url = delivered.server().url(PATH);
        let publisher = {
            let (client, over) = (client(&url, ClientMode::Publish), over.clone());
            thread::spawn(move || publish(client, &over))
        };
        delivered.server().wait_until_published(PATH);
        let player = client(&url, ClientMode::Play);
        let player = thread::spawn(move || play(player));
        let playlist = delivered.playlists(PATH).pop().expect("a playlist");
        let (address, counted) = (delivered.address(), Arc::clone(&parts));
        let viewer = thread::spawn(move || watch(address, &playlist, &counted));
        Innocents {
            over,
            parts,
            publisher,
            player,
            viewer,
        }
    }

    /// Waits until the viewer has seen so many more parts.
    ///
    /// # Panics
    /// If it does not in a minute.
    pub fn go_on(&self, parts: usize) {
        let until = self.parts.load(Ordering::Relaxed) + parts;
        found_at_last("parts", || {
            thread::sleep(Duration::from_millis(10));
            // What went wrong is told where it is waited for.
            let is_over = self.viewer.is_finished() || self.player.is_finished();
            let parts = self.parts.load(Ordering::Relaxed);
            (is_over || parts >= until).then_some(())
        });
    }

    /// The stream ends.
    ///
    /// # Panics
    /// If any of them lost anything: a frame, or a part, or was refused, or told what breaks a
    /// rule.
    pub fn expect_unharmed(self) {
        self.over.store(true, Ordering::Relaxed);
        let sent = self.publisher.join().expect("it is published to its end");
        let (first, next) = self.player.join().expect("all of it is played");
        assert_eq!(next, sent, "from {first} on");
        self.viewer.join().expect("all of it is watched");
    }
}

fn client(url: &str, mode: ClientMode) -> Client {
    let url = RtmpUrl::parse(url).expect("a URL");
    Client::connect(ClientConfig::new(url, mode)).expect("the server takes it")
}

/// Pictures in their time, each with its number, until it is over: how many.
fn publish(mut client: Client, over: &AtomicBool) -> u32 {
    let begun = Instant::now();
    client
        .send(MediaKind::Video, 0, HEADER)
        .expect("it is taken");
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        let time = number * PICTURE;
        let due = begun + Duration::from_millis(time.into());
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let (kind, unit) = match number % GOP {
            0 => (0x17, 0x65),
            _ => (0x27, 0x41),
        };
        let mut picture = vec![kind, 1, 0, 0, 0, 0, 0, 0, 5, unit];
        picture.extend_from_slice(&number.to_be_bytes());
        let sent = client.send(MediaKind::Video, time, &picture);
        sent.expect("it is taken");
        number += 1;
    }
    let closed = client.close(Deadline::after(PATIENCE));
    closed.expect("it is taken to the end");
    number
}

/// Plays to the end: the numbers of the first picture and of the one that would come next.
fn play(mut client: Client) -> (u32, u32) {
    let mut played = None;
    loop {
        let event = client.next_event(Deadline::after(PATIENCE));
        let event = match event {
            Ok(Some(event)) => event,
            Ok(None) => panic!("nothing came for {PATIENCE:?}"),
            // The publisher is gone.
            Err(_) => break,
        };
        let media = match event {
            ClientEvent::Media(media) => media,
            ClientEvent::StreamEof => break,
            _ => continue,
        };
        let payload = &media.payload[..];
        if media.kind != MediaKind::Video || payload.get(1) != Some(&1) {
            continue;
        }
        let number = payload.last_chunk().map(|it| u32::from_be_bytes(*it));
        let number = number.expect("a number");
        let (first, next) = played.unwrap_or((number, number));
        assert_eq!(number, next, "pictures were lost");
        played = Some((first, next + 1));
    }
    played.expect("something was played")
}

/// Watches to the end: each part, before it is listed.
fn watch(address: SocketAddr, playlist: &str, parts: &AtomicUsize) {
    let folder = playlist.rsplit_once('/').expect("a folder").0;
    let mut web = Web::connect(address);
    let mut checker = Checker::new(Some(0));
    let first = web.get(playlist, &[]);
    let broken = checker.full(first.text());
    assert!(broken.is_empty(), "{broken:?}\n{}", first.text());
    let last = |checker: &Checker| checker.last().expect("it was read").clone();
    loop {
        let listed = last(&checker);
        if listed.has_ended {
            return;
        }
        let (msn, part) = beyond(&listed);
        let hint = listed.hints.first().expect("what comes");
        let hinted = web.get(&format!("{folder}/{hint}"), &[]);
        let reload = format!("{playlist}?_HLS_msn={msn}&_HLS_part={part}");
        let answer = web.get(&reload, &[]);
        assert_eq!(answer.status, 200, "{reload}: {}", answer.text());
        let broken = checker.full(answer.text());
        assert!(broken.is_empty(), "{broken:?}\n{}", answer.text());
        let listed = last(&checker);
        let gaps = listed.segments.iter().filter(|segment| segment.is_gap);
        assert_eq!(gaps.count(), 0, "{}", answer.text());
        // What is announced comes, unless the stream ends.
        let came = hinted.status == 200 && hinted.body.len() > 100;
        assert!(came || listed.has_ended, "{hint}: {}", hinted.status);
        parts.fetch_add(1, Ordering::Relaxed);
    }
}

/// What comes behind the last that is listed.
fn beyond(listed: &Listed) -> (u64, usize) {
    let (msn, last) = listed.numbered().last().expect("something is listed");
    match last.uri {
        Some(_) => (msn + 1, 0),
        None => (msn, last.parts.len()),
    }
}
