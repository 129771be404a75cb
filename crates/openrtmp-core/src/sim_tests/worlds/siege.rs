//! Attacks at full speed, on a server whose work takes time.
//!
//! A worker has a processor that does so much work in a microsecond, of what code says
//! it costs and of the steps it takes, whichever is more. Beside the attackers a stream
//! goes on, and its frames have to arrive in time: a path that is quadratic, or a cost
//! that nobody counts, delays them.

use std::collections::HashMap;
use std::fmt;

use openrtmp_attacks::{Flood, Kind};
use openrtmp_protocol::Time;
use openrtmp_protocol::session::{ClientMode, MediaKind};

use super::super::media::{self, assert_whole};
use super::super::world::{Processor, Setup, Who, World, ms};
use crate::config::{Config, SecondPublisher};

/// Frames that the stream goes on for: a second and a half.
const FRAMES: u32 = 45;

/// Work of a turn: two milliseconds of each of five kinds, and what was begun before.
const HEAVIEST: u64 = 14_000_000;

/// What a turn may cost beyond the work that its code counted.
const UNCOUNTED: u64 = 500_000;

/// A connection that attacks.
struct Attacker {
    who: Who,
    flood: Flood,
    /// Not before then.
    starts: Time,
}

/// How late the innocent stream's messages were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Delay {
    p99_ms: u64,
    most_ms: u64,
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p99 {} ms, most {} ms", self.p99_ms, self.most_ms)
    }
}

/// A server under attack.
struct Siege {
    w: World,
    kind: Kind,
    attackers: Vec<Attacker>,
    /// When each message of the stream was sent.
    sent: HashMap<Vec<u8>, Time>,
    publisher: Who,
    player: Who,
    came: u32,
    held: usize,
}

impl Siege {
    fn new(seed: u64, kind: Kind, count: u32, workers: usize) -> Siege {
        let mut setup = Setup::new(workers);
        let listen = setup.config.listen.clone();
        setup.seed = seed;
        setup.processor = Some(Processor { speed: 1000 });
        setup.config = Config::mobile();
        setup.config.listen = listen;
        setup.config.workers = workers;
        setup.config.limits.connections = match kind {
            Kind::SlowHandshakes => 60,
            _ => 400,
        };
        setup.config.limits.publishers = 30;
        if kind == Kind::WaitingMessages {
            setup.config.streams.second_publisher = SecondPublisher::Wait;
        }
        let mut w = setup.build();
        let publisher = w.live("live/cam");
        let player = w.player("live/cam");
        let mut siege = Siege {
            w,
            kind,
            attackers: Vec::new(),
            sent: HashMap::new(),
            publisher,
            player,
            came: 0,
            held: 0,
        };
        for _ in 0..count {
            siege.come();
        }
        siege
    }

    /// Another attacker.
    fn come(&mut self) {
        let number = self.came;
        self.came += 1;
        let flood = self.kind.flood(number, "cam");
        let who = self.w.raw();
        self.w[who].say(&flood.first);
        self.w[who].reading = flood.reads;
        for script in &flood.players {
            let player = self.w.raw();
            self.w[player].say(script);
            self.w[player].reading = flood.players_read;
        }
        let starts = self.w.now() + ms(100);
        self.attackers.push(Attacker { who, flood, starts });
    }

    /// Everybody says what the network takes; who was sent away comes back.
    fn press(&mut self) {
        let now = self.w.now();
        let mut gone = 0;
        let w = &mut self.w;
        self.attackers.retain(|attacker| {
            let who = attacker.who;
            if w[who].is_closed() {
                gone += 1;
                return false;
            }
            if attacker.flood.leaves && attacker.starts <= now + ms(90) {
                w.kill(who);
                gone += 1;
                return false;
            }
            if attacker.starts <= now && !attacker.flood.again.is_empty() {
                while w[who].unsent() < 64 * 1024 {
                    w[who].say(&attacker.flood.again);
                }
            }
            true
        });
        for _ in 0..gone.min(10) {
            self.come();
        }
        self.held = self.held.max(self.w.shared.budget.used());
    }

    /// The stream goes on for so many frames, at thirty a second.
    fn stream(&mut self, frames: std::ops::Range<u32>) {
        for n in frames {
            let now = self.w.now();
            let picture = media::video(n.is_multiple_of(30), n, 4000);
            let sound = media::audio(n);
            for payload in [&picture, &sound] {
                self.sent.insert(payload.to_vec(), now);
            }
            let publisher = self.publisher;
            self.w.send(publisher, MediaKind::Video, n * 33, picture);
            self.w.send(publisher, MediaKind::Audio, n * 33 + 5, sound);
            for _ in 0..11 {
                self.press();
                self.w.run(ms(3));
            }
        }
    }

    fn delay(&self) -> Delay {
        let player = &self.w[self.player];
        let came = player.media.iter().zip(&player.arrivals);
        let late = came.filter_map(|(piece, &at)| {
            let sent = self.sent.get(&piece.payload.to_vec())?;
            Some(at.since(*sent).as_millis() as u64)
        });
        let mut late: Vec<u64> = late.collect();
        late.sort_unstable();
        Delay {
            p99_ms: late[late.len() * 99 / 100],
            most_ms: late[late.len() - 1],
        }
    }

    /// What became of the stream, or of what was promised of it.
    fn run(mut self) -> Result<Delay, String> {
        self.stream(0..FRAMES);
        self.w.run(ms(300));
        if self.w[self.publisher].is_closed() || self.w[self.player].is_closed() {
            return Err(format!("it was closed: {:?}", self.w.close_reasons()));
        }
        let delay = self.delay();
        assert_whole(&self.w[self.player].media, &self.w[self.publisher].sent);
        if delay.p99_ms >= 50 || delay.most_ms >= 250 {
            return Err(format!("{delay}"));
        }
        let (heaviest, uncounted) = (self.w.heaviest_turn(), self.w.uncounted());
        if heaviest > HEAVIEST || uncounted > UNCOUNTED {
            return Err(format!(
                "a turn of {heaviest}, {uncounted} that nobody counted"
            ));
        }
        let limit = self.w.server.config().limits.memory;
        if self.held > limit {
            return Err(format!("{} bytes held of {limit}", self.held));
        }
        Ok(delay)
    }
}

/// One attacker and many, each with the server's one worker to themselves.
fn besiege(kind: Kind) {
    for count in [1, 8] {
        let outcome = Siege::new(1, kind, count, 1).run();
        assert!(outcome.is_ok(), "{kind:?} by {count}: {outcome:?}");
    }
}

/// A test for each kind of attack.
macro_rules! sieges {
    ($($name:ident: $kind:expr;)*) => {
        $(
            #[test]
            fn $name() {
                besiege($kind);
            }
        )*
    };
}

sieges! {
    references_before_connect: Kind::References { connected: false };
    references_after_connect: Kind::References { connected: true };
    empty_messages: Kind::EmptyMessages;
    questions: Kind::Questions;
    pings: Kind::Pings;
    plays_and_stops: Kind::PlayAndStop;
    plays_again_and_again: Kind::PlayAgain;
    publishes_and_stops: Kind::PublishAndStop;
    tiny_messages_to_players: Kind::TinyMessages;
    stuck_players_of_tiny_key_frames: Kind::StuckPlayers;
    aggregates_of_tiny_messages: Kind::Aggregates;
    waiting_messages: Kind::WaitingMessages;
    joins_of_tiny_frames: Kind::Joins;
    comings_and_goings: Kind::Comings;
    slow_handshakes: Kind::SlowHandshakes;
    guesses_of_keys: Kind::Guesses;
    tiny_chunks: Kind::TinyChunks;
    half_messages: Kind::HalfMessages;
    kept_parts: Kind::KeptParts;
    large_frames: Kind::LargeFrames;
    large_headers: Kind::LargeHeaders;
}

#[test]
fn newcomers_get_in_beside_slow_handshakes() {
    let mut siege = Siege::new(1, Kind::SlowHandshakes, 100, 1);
    let mut in_time = 0;
    for _ in 0..20 {
        siege.press();
        let newcomer = siege.w.client(ClientMode::Play, "live/cam");
        siege.w.run(ms(100));
        in_time += usize::from(siege.w[newcomer].is_ready());
        siege.w.leave(newcomer);
    }
    assert_eq!(in_time, 20);
}

#[test]
fn a_siege_comes_again_by_its_seed() {
    let [first, second] = [(); 2].map(|()| Siege::new(3, Kind::EmptyMessages, 3, 1).run());
    assert_eq!(first, second);
}
