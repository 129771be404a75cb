//! Attackers beside a stream that is played and watched over HTTP, and what they cost.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use openrtmp_core::Config;
use openrtmp_core::client::{Client, ClientConfig, Deadline};
use openrtmp_core::protocol::RtmpUrl;
use openrtmp_core::protocol::session::{ClientMode, MediaKind};

use crate::h2::{H2, SETTINGS};
use crate::innocents::{HEADER, Innocents, PATH, playlist};
use crate::journal::Journal;
use crate::wire::{Place, Spoken, Wire};
use crate::{Delivered, Web, found_at_last};

/// Attackers at once.
const ATTACKERS: usize = 4;
/// As many parts come meanwhile.
const PARTS: usize = 6;
/// An attacker waits so long for an answer, or to be heard.
const PATIENCE: Duration = Duration::from_secs(1);
/// What the server may hold: three eighths of it are for streams over HTTP, one for answers
/// that nobody takes.
pub const MEMORY: usize = 64 << 20;
/// What allocators and sockets take beside that, attackers included: they are in this process.
const BESIDE: u64 = 64 << 20;
/// Lines of each kind in a second (`limits.log_lines`), of so few kinds.
pub const LINES: usize = 10;
const KINDS: usize = 4;

/// One siege at a time: what it takes of memory, and says in the log, is its own.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The most that is held, looked at now and then.
#[derive(Debug)]
pub struct Held<'a> {
    delivered: &'a Delivered,
    /// Resident memory at the beginning, where the system tells it.
    resident: Option<u64>,
    streams: AtomicU64,
    answers: AtomicU64,
    grown: AtomicU64,
}

impl Held<'_> {
    /// Looks for the first time.
    pub fn of(delivered: &Delivered) -> Held<'_> {
        Held {
            delivered,
            resident: resident(),
            streams: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            grown: AtomicU64::new(0),
        }
    }

    /// Looks once more.
    pub fn look(&self) {
        let held = self.delivered.delivery().held();
        self.streams.fetch_max(held.streams, Ordering::Relaxed);
        self.answers.fetch_max(held.answers, Ordering::Relaxed);
        if let (Some(first), Some(now)) = (self.resident, resident()) {
            let grown = now.saturating_sub(first);
            self.grown.fetch_max(grown, Ordering::Relaxed);
        }
    }

    /// Looks as long as it goes on.
    fn watch(&self, goes_on: impl Fn() -> bool) {
        while goes_on() {
            self.look();
            thread::sleep(Duration::from_millis(10));
        }
        self.look();
    }

    /// Prints what was held: figures for the documentation.
    ///
    /// # Panics
    /// If it was more than there may be.
    pub fn expect_bounded(&self) {
        let [streams, answers, grown] =
            [&self.streams, &self.answers, &self.grown].map(|it| it.load(Ordering::Relaxed));
        let name = thread::current().name().unwrap_or_default().to_owned();
        eprintln!(
            "{name}: {} KiB held for viewers, {} KiB by answers, {} KiB of memory more",
            streams >> 10,
            answers >> 10,
            grown >> 10,
        );
        let all = MEMORY as u64 / 2;
        // What is too much goes a moment after it came: with the next segment, or connection.
        let late = 2 << 20;
        assert!(
            streams <= all - all / 4 + late,
            "{streams} bytes of streams"
        );
        assert!(answers <= all / 4 + late, "{answers} bytes of answers");
        assert!(grown <= MEMORY as u64 + BESIDE, "{grown} bytes of memory");
    }
}

/// Resident memory of this process, bytes.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib << 10)
}

/// Nobody fills a disk with what is said of him.
///
/// # Panics
/// If there are more lines than there may be in that time.
pub fn expect_few(what: &str, lines: &[String], took: Duration) {
    // Of the second that goes on there may be as many, and of each what tells of the others.
    let seconds = took.as_secs() as usize + 2;
    let most = seconds * (LINES + 1) * KINDS;
    assert!(lines.len() <= most, "{what}: {} lines", lines.len());
}

/// Where to attack.
#[derive(Debug)]
pub struct Target {
    /// Where it is.
    pub place: Place,
    /// The media playlist of the stream.
    pub playlist: String,
    /// That of one of 8 Mbit/s.
    pub heavy: String,
    over: AtomicBool,
    /// How often something was said that the server heard: an attack that does not come
    /// about harms nobody.
    heard: AtomicUsize,
}

impl Target {
    /// What was said was heard.
    pub fn is_heard(&self) {
        self.heard.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether more is to be done.
    pub fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    /// How often.
    pub fn heard(&self) -> usize {
        self.heard.load(Ordering::Relaxed)
    }

    /// A connection on which nothing is waited for for long.
    pub fn raw(&self) -> Option<Wire> {
        let stream = self.place.connect(Spoken::Http1).ok()?;
        stream.set_patience(PATIENCE).ok()?;
        Some(stream)
    }

    /// Says something on a connection of its own, and is heard if anything is said to that.
    pub fn say(&self, text: impl AsRef<[u8]>) {
        if !self.answer(text).is_empty() {
            self.is_heard();
        }
    }

    /// What is said to something, in so long.
    pub fn answer(&self, text: impl AsRef<[u8]>) -> Vec<u8> {
        let mut said = Vec::new();
        let Some(mut stream) = self.raw() else {
            return said;
        };
        if stream.write_all(text.as_ref()).is_ok() {
            let mut buffer = [0; 16 << 10];
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                said.extend_from_slice(&buffer[..length]);
                if said.len() > 1 << 20 {
                    break;
                }
            }
        }
        said
    }

    /// The same of a request with GET.
    pub fn get(&self, path: &str, headers: &str) {
        self.say(format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"
        ));
    }

    /// It is heard if this is how an answer begins that comes as long as the server waits.
    pub fn begins_with(&self, stream: &mut Wire, expected: &[u8; 12]) {
        let mut answer = [0; 12];
        let _ = stream.set_patience(Duration::from_secs(15));
        if stream.read_exact(&mut answer).is_ok() && answer == *expected {
            self.is_heard();
        }
    }

    /// Over HTTP/2, until the server has had enough; nothing of what it says is read.
    pub fn h2(&self, mut frames: impl FnMut(&mut H2, u32) -> std::io::Result<()>) {
        let Ok(mut peer) = H2::at(&self.place) else {
            return;
        };
        // Its settings, and nothing more: it is there.
        if peer.next(SETTINGS).is_none() {
            return;
        }
        let mut stream = 1;
        while self.goes_on() && frames(&mut peer, stream).is_ok() {
            self.is_heard();
            stream += 2;
        }
    }

    /// The same, and all that it says is read meanwhile.
    pub fn h2_heard(&self, frames: impl Fn(u32) -> Vec<u8>) {
        let Ok(mut out) = self.place.connect(Spoken::Http2) else {
            return;
        };
        let Ok(mut answers) = out.try_clone() else {
            return;
        };
        let reading = thread::spawn(move || {
            let (mut buffer, mut is_heard) = ([0; 16 << 10], false);
            while let Ok(1..) = answers.read(&mut buffer) {
                is_heard = true;
            }
            is_heard
        });
        let mut all = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
        let mut stream = 1;
        while self.goes_on() && out.write_all(&all).is_ok() {
            all = frames(stream);
            stream += 2;
        }
        out.shut_down();
        if reading.join().unwrap_or(false) && stream > 3 {
            self.is_heard();
        }
    }

    /// A WebSocket with the stream; what comes is not read.
    pub fn socket(&self) -> Option<Wire> {
        let mut stream = self.raw()?;
        let upgrade = format!(
            "GET /{PATH}.flv HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(upgrade.as_bytes()).ok()?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).ok()?;
        let is_open = answer == *b"HTTP/1.1 101";
        is_open.then(|| {
            self.is_heard();
            stream
        })
    }
}

/// A picture; at which decoding can start, or not.
pub fn picture(is_key: bool, body: &[u8]) -> Vec<u8> {
    let kind = if is_key { 0x17 } else { 0x27 };
    [&[kind, 1, 0, 0, 0], body].concat()
}

/// An attack: its name, whether it breaks a rule or meets a limit so that the log tells of it,
/// and what is done again and again.
pub type Attack = (&'static str, bool, fn(&Target));

/// Attackers do this again and again while the others go on.
pub fn besieged(change: impl FnOnce(&mut Config), attacks: &[Attack]) {
    siege(|| Delivered::start(small(change)), "", attacks);
}

/// The same with TLS: attackers and the others speak it.
pub fn besieged_over_tls(change: impl FnOnce(&mut Config), attacks: &[Attack]) {
    siege(|| Delivered::secure(small(change)), "", attacks);
}

/// The same of a stream that is asked for with a query.
pub fn besieged_asking(query: &str, change: impl FnOnce(&mut Config), attacks: &[Attack]) {
    siege(|| Delivered::start(small(change)), query, attacks);
}

/// Settings of a server that has little.
fn small(change: impl FnOnce(&mut Config)) -> impl FnOnce(&mut Config) {
    move |config: &mut Config| {
        config.limits.memory = MEMORY;
        config.limits.log_lines = LINES as u32;
        // So that there is room for the heavy one, as in a server of a larger size.
        config.http.window = Duration::from_secs(10);
        change(config);
    }
}

fn siege(start: impl FnOnce() -> Delivered, query: &str, attacks: &[Attack]) {
    let _alone = alone();
    let journal = Journal::kept();
    let delivered = start();
    let innocents = Innocents::asking(&delivered, query);
    let heavy = Heavy::start(&delivered);
    let held = Held::of(&delivered);
    let target = Target {
        place: delivered.place().clone(),
        playlist: playlist(&delivered, PATH, query),
        heavy: playlist(&delivered, Heavy::PATH, query),
        over: AtomicBool::new(false),
        heard: AtomicUsize::new(0),
    };
    for (name, is_told, attack) in attacks {
        target.over.store(false, Ordering::Relaxed);
        target.heard.store(0, Ordering::Relaxed);
        journal.take();
        let begun = Instant::now();
        thread::scope(|scope| {
            for _ in 0..ATTACKERS {
                scope.spawn(|| {
                    while target.goes_on() {
                        attack(&target);
                    }
                });
            }
            scope.spawn(|| held.watch(|| target.goes_on()));
            innocents.go_on(PARTS);
            target.over.store(true, Ordering::Relaxed);
        });
        let heard = target.heard.load(Ordering::Relaxed);
        assert!(heard > 0, "{name} did not come about");
        let mut lines = journal.take();
        while *is_told && lines.is_empty() {
            let line = || journal.take().into_iter().next();
            lines.push(found_at_last(name, line));
        }
        expect_few(name, &lines, begun.elapsed());
    }
    // Whoever comes now is served, as soon as the connections of the last of them are gone.
    let answer = found_at_last("answer", || {
        Web::at(&target.place).ask_if_taken("GET", "/time", &[])
    });
    assert_eq!(answer.status, 200, "{}", answer.text());
    heavy.end();
    innocents.expect_unharmed();
    held.expect_bounded();
}

/// A stream whose segments are no small thing.
struct Heavy(Arc<AtomicBool>, JoinHandle<Result<(), String>>);

impl Heavy {
    const PATH: &str = "live/heavy";

    fn start(delivered: &Delivered) -> Heavy {
        let url = RtmpUrl::parse(&delivered.server().url(Heavy::PATH)).unwrap();
        let config = ClientConfig::new(url, ClientMode::Publish);
        let mut client = Client::connect(config).expect("it may publish");
        let over = Arc::new(AtomicBool::new(false));
        let told = over.clone();
        let publishing = thread::spawn(move || {
            let text = |error: openrtmp_core::client::ClientError| error.to_string();
            client.send(MediaKind::Video, 0, HEADER).map_err(text)?;
            let begun = Instant::now();
            for number in 0u32.. {
                if told.load(Ordering::Relaxed) {
                    break;
                }
                let due = begun + Duration::from_millis(u64::from(number) * 40);
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let kind = if number.is_multiple_of(25) {
                    0x65
                } else {
                    0x41
                };
                let mut body = vec![0, 0, 0x9c, 0x40, kind];
                body.resize(4 + 40_000, 0x55);
                let picture = picture(number.is_multiple_of(25), &body);
                client
                    .send(MediaKind::Video, number * 40, &picture)
                    .map_err(text)?;
            }
            let closed = client.close(Deadline::after(Duration::from_secs(30)));
            closed.map_err(text)
        });
        delivered.server().wait_until_published(Heavy::PATH);
        Heavy(over, publishing)
    }

    fn end(self) {
        self.0.store(true, Ordering::Relaxed);
        let published = self.1.join().expect("it is published to its end");
        published.expect("all of it is taken");
    }
}
