//! Who streams, plays and watches beside an attack, and loses nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use openrtmp_core::client::{Client, ClientConfig, Deadline};
use openrtmp_core::protocol::session::{ClientEvent, ClientMode, MediaKind};
use openrtmp_media::hls::check::Checker;
use openrtmp_media::hls::read::Listed;
use openrtmp_protocol::RtmpUrl;

use crate::wire::Place;
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
    player: JoinHandle<Played>,
    viewer: JoinHandle<Duration>,
}

/// What the player got.
#[derive(Debug)]
struct Played {
    /// The number of the first picture, and of the one that would come next.
    first: u32,
    next: u32,
    /// The longest that a picture took.
    late: Duration,
}

impl Innocents {
    /// Begins to stream.
    ///
    /// # Panics
    /// If that cannot be begun.
    pub fn of(delivered: &Delivered) -> Innocents {
        Innocents::asking(delivered, "")
    }

    /// The same of a stream that players ask for with this query, the key of one that is not
    /// public.
    ///
    /// # Panics
    /// If that cannot be begun.
    pub fn asking(delivered: &Delivered, query: &str) -> Innocents {
        let (over, parts) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let url = delivered.server().url(PATH);
        let clock = Instant::now();
        let publisher = {
            let (client, over) = (client(&url, ClientMode::Publish), over.clone());
            thread::spawn(move || publish(client, clock, &over))
        };
        delivered.server().wait_until_published(PATH);
        let player = client(&format!("{url}{query}"), ClientMode::Play);
        let player = thread::spawn(move || play(player, clock));
        let playlist = playlist(delivered, PATH, query);
        let (place, counted) = (delivered.place().clone(), Arc::clone(&parts));
        let viewer = thread::spawn(move || watch(&place, &playlist, clock, &counted));
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

    /// The stream ends. Prints how long they waited at most: a figure for the documentation,
    /// since what a machine with other work takes proves nothing.
    ///
    /// # Panics
    /// If any of them lost anything: a frame, or a part, or was refused, or told what breaks a
    /// rule.
    pub fn expect_unharmed(self) {
        self.over.store(true, Ordering::Relaxed);
        let sent = self.publisher.join().expect("it is published to its end");
        let played = self.player.join().expect("all of it is played");
        assert_eq!(played.next, sent, "from {} on", played.first);
        let late = self.viewer.join().expect("all of it is watched");
        let parts = self.parts.load(Ordering::Relaxed);
        let name = thread::current().name().unwrap_or_default().to_owned();
        eprintln!(
            "{name}: of {sent} pictures one was {} ms late over RTMP, of {parts} parts one {} ms",
            played.late.as_millis(),
            late.as_millis(),
        );
    }
}

/// The path of the media playlist of a stream, once there is one.
///
/// # Panics
/// If it is refused.
pub fn playlist(delivered: &Delivered, path: &str, query: &str) -> String {
    let master = delivered.master_for(path, query);
    let uri = master.lines().last().expect("a variant");
    match uri.starts_with('/') {
        true => uri.to_owned(),
        false => format!("/{path}/{uri}"),
    }
}

fn client(url: &str, mode: ClientMode) -> Client {
    let url = RtmpUrl::parse(url).expect("a URL");
    Client::connect(ClientConfig::new(url, mode)).expect("the server takes it")
}

/// How long ago a picture was sent. It ends with the time, in microseconds, and its number.
fn since_sent(picture: &[u8], clock: Instant) -> Option<(Duration, u32)> {
    let (rest, number) = picture.split_last_chunk()?;
    let sent = Duration::from_micros(u64::from_be_bytes(*rest.last_chunk()?));
    let late = clock.elapsed().saturating_sub(sent);
    Some((late, u32::from_be_bytes(*number)))
}

/// Pictures in their time, as [`since_sent`] reads them, until it is over: how many.
fn publish(mut client: Client, clock: Instant, over: &AtomicBool) -> u32 {
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
        let mut picture = vec![kind, 1, 0, 0, 0, 0, 0, 0, 13, unit];
        let now = clock.elapsed().as_micros() as u64;
        picture.extend_from_slice(&now.to_be_bytes());
        picture.extend_from_slice(&number.to_be_bytes());
        let sent = client.send(MediaKind::Video, time, &picture);
        sent.expect("it is taken");
        number += 1;
    }
    let closed = client.close(Deadline::after(PATIENCE));
    closed.expect("it is taken to the end");
    number
}

/// Plays to the end.
fn play(mut client: Client, clock: Instant) -> Played {
    let mut played: Option<Played> = None;
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
        let (late, number) = since_sent(payload, clock).expect("a picture of ours");
        // The first ones were kept for whoever joins.
        let played = played.get_or_insert(Played {
            first: number,
            next: number,
            late: Duration::ZERO,
        });
        assert_eq!(number, played.next, "pictures were lost");
        played.next += 1;
        if number >= played.first + 2 * GOP {
            played.late = played.late.max(late);
        }
    }
    played.expect("something was played")
}

/// Watches to the end, each part before it is listed: the longest that one took behind its
/// last picture, the next of which tells that the part is whole.
fn watch(place: &Place, playlist: &str, clock: Instant, parts: &AtomicUsize) -> Duration {
    let mut longest = Duration::ZERO;
    let folder = playlist.rsplit_once('/').expect("a folder").0;
    let mut web = Web::at(place);
    let mut checker = Checker::new(Some(0));
    let first = web.get(playlist, &[]);
    let broken = checker.full(first.text());
    assert!(broken.is_empty(), "{broken:?}\n{}", first.text());
    let last = |checker: &Checker| checker.last().expect("it was read").clone();
    loop {
        let listed = last(&checker);
        if listed.has_ended {
            return longest;
        }
        let (msn, part) = beyond(&listed);
        let hint = listed.hints.first().expect("what comes");
        let hinted = web.get(&format!("{folder}/{hint}"), &[]);
        if let Some((late, _)) = since_sent(&hinted.body, clock).filter(|_| hinted.status == 200) {
            longest = longest.max(late);
        }
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
