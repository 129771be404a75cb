//! Attacks at full speed, on a server whose work takes time.
//!
//! A worker has a processor that does so much work in a microsecond, of what code says
//! it costs and of the steps it takes, whichever is more. Beside the attackers a stream
//! goes on, and its frames have to arrive in time: a path that is quadratic, or a cost
//! that nobody counts, delays them.

use std::collections::HashMap;
use std::fmt;

use openrtmp_protocol::Time;
use openrtmp_protocol::message::kind;
use openrtmp_protocol::session::{ClientMode, MediaKind};

use super::super::media::{self, assert_whole};
use super::super::world::{Processor, Setup, Who, World, ms};
use super::attack::Script;
use crate::config::{Config, SecondPublisher};

/// Frames that the stream goes on for: a second and a half.
const FRAMES: u32 = 45;

/// What attackers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Arrays of references to arrays, before `connect` and after.
    References { connected: bool },
    /// Messages without a body, of media that nobody publishes.
    EmptyMessages,
    /// Commands that are answered.
    Questions,
    /// Pings.
    Pings,
    /// Plays and stops.
    PlayAndStop,
    /// Plays the innocent stream again and again, and reads nothing.
    PlayAgain,
    /// Publishes and ends it.
    PublishAndStop,
    /// Publishes tiny messages, to players that read them.
    TinyMessages,
    /// The same in aggregates.
    Aggregates,
    /// Waits for the innocent stream's name, with media that wait too, and publishes and
    /// ends another name meanwhile.
    WaitingMessages,
    /// Joins a stream of many tiny frames again and again.
    Joins,
    /// Comes, and goes as soon as it is heard.
    Comings,
    /// Shakes hands slowly.
    SlowHandshakes,
    /// Asks with many keys.
    Guesses,
    /// Chunks of one byte.
    TinyChunks,
}

/// A connection that attacks.
struct Attacker {
    who: Who,
    /// Said over and over.
    repeat: Vec<u8>,
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

/// A message of a type on a chunk stream, and what repeats it: a header of type 3 and the
/// body again (section 5.3.1.2.4).
fn repeated(stream: u32, message_kind: u8, body: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut first = vec![5, 0, 0, 0];
    first.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
    first.push(message_kind);
    first.extend_from_slice(&stream.to_le_bytes());
    first.extend_from_slice(body);
    let again = [&[0xC5], body].concat();
    (first, again)
}

/// Many copies, so that a turn's worth is there.
fn many(again: &[u8]) -> Vec<u8> {
    again.repeat((16 * 1024 / again.len()).max(1))
}

fn references() -> Vec<u8> {
    let array = |count: u8, element: &[u8]| {
        let mut bytes = vec![0x09, count << 1 | 1, 1];
        bytes.extend(element.repeat(count.into()));
        bytes
    };
    let mut body = b"\x02\0\x07_result\0\0\0\0\0\0\0\0\0\x11".to_vec();
    body.extend(array(30, &[1]));
    body.push(0x11);
    body.extend(array(15, &[9, 0]));
    body.push(0x11);
    body.extend(array(32, &[9, 2]));
    body
}

fn commands(commands: &[(u32, &str, &str)]) -> Vec<u8> {
    let mut script = Script::default();
    for &(stream, name, argument) in commands {
        match argument {
            "" => script.command(stream, name, &[]),
            argument => script.command(stream, name, &[argument.into()]),
        }
    }
    script.0
}

impl Kind {
    /// What is said first, and what then again and again.
    fn script(self, number: u32) -> (Vec<u8>, Vec<u8>) {
        let mut script = Script::default();
        match self {
            Kind::References { connected: false } | Kind::Comings => script.handshake(),
            Kind::SlowHandshakes => {
                script.0.extend([3; 100]);
                return (script.0, Vec::new());
            }
            _ => script.connect(),
        }
        // Chunks large enough for any message here.
        script.message(kind::SET_CHUNK_SIZE, 0, &[0, 1, 0, 0]);
        let own = format!("own{number}");
        let again = match self {
            Kind::References { .. } => {
                let (first, again) = repeated(0, kind::COMMAND_AMF0, &references());
                script.0.extend(first);
                again
            }
            Kind::EmptyMessages => {
                let (first, again) = repeated(1, kind::AUDIO, &[]);
                script.0.extend(first);
                again
            }
            Kind::Questions => commands(&[(0, "createStream", ""), (0, "deleteStream", "")]),
            Kind::Pings => {
                let ping = [0, 6, 0, 0, 0, 1];
                let (first, again) = repeated(0, kind::USER_CONTROL, &ping);
                script.0.extend(first);
                again
            }
            Kind::PlayAndStop => commands(&[(1, "play", "nowhere"), (1, "closeStream", "")]),
            Kind::PlayAgain => commands(&[(1, "play", "cam")]),
            Kind::PublishAndStop => commands(&[(1, "publish", &own), (1, "closeStream", "")]),
            Kind::TinyMessages => {
                script.command(1, "publish", &[own.as_str().into()]);
                let (first, again) = repeated(1, kind::AUDIO, b"\xaf");
                script.0.extend(first);
                again
            }
            Kind::Aggregates => {
                script.command(1, "publish", &[own.as_str().into()]);
                let part = [&[8, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xAF][..], &[0, 0, 0, 12]].concat();
                let (first, again) = repeated(1, kind::AGGREGATE, &part.repeat(4000));
                script.0.extend(first);
                again
            }
            Kind::WaitingMessages => {
                script.command(1, "publish", &["cam".into()]);
                let (first, again) = repeated(1, kind::AUDIO, &[]);
                script.0.extend(first);
                script.0.extend(again.repeat(8000));
                commands(&[(2, "publish", &own), (2, "closeStream", "")])
            }
            Kind::Joins => {
                script.command(1, "publish", &[own.as_str().into()]);
                let (first, again) = repeated(1, kind::AUDIO, b"\xaf");
                script.0.extend(first);
                script.0.extend(again.repeat(4000));
                commands(&[(2, "play", &own), (2, "closeStream", "")])
            }
            Kind::Guesses => {
                let keys = "key=a&".repeat(310);
                commands(&[(1, "play", &format!("cam?{keys}"))])
            }
            Kind::TinyChunks => {
                script.message(kind::SET_CHUNK_SIZE, 0, &[0, 0, 0, 1]);
                b"\x05\0\0\0\0\0\x04\x63\0\0\0\0a\xc5a\xc5a\xc5a".to_vec()
            }
            Kind::Comings | Kind::SlowHandshakes => Vec::new(),
        };
        (script.0, many_or_none(&again))
    }

    /// Players of what an attacker publishes.
    fn players(self) -> usize {
        match self {
            Kind::TinyMessages | Kind::Aggregates => 20,
            _ => 0,
        }
    }

    fn reads(self) -> bool {
        !matches!(self, Kind::PlayAgain)
    }
}

fn many_or_none(again: &[u8]) -> Vec<u8> {
    match again.is_empty() {
        true => Vec::new(),
        false => many(again),
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
        let (first, repeat) = self.kind.script(number);
        let who = self.w.raw();
        self.w[who].say(&first);
        self.w[who].reading = self.kind.reads();
        for _ in 0..self.kind.players() {
            let player = self.w.raw();
            let mut script = Script::default();
            script.connect();
            script.command(1, "play", &[format!("own{number}").as_str().into()]);
            self.w[player].say(&script.0);
        }
        let starts = self.w.now() + ms(100);
        self.attackers.push(Attacker {
            who,
            repeat,
            starts,
        });
    }

    /// Everybody says what the network takes; who was sent away comes back.
    fn press(&mut self) {
        let now = self.w.now();
        let mut gone = 0;
        let w = &mut self.w;
        let comes_and_goes = self.kind == Kind::Comings;
        self.attackers.retain(|attacker| {
            let who = attacker.who;
            if w[who].is_closed() {
                gone += 1;
                return false;
            }
            if comes_and_goes && attacker.starts <= now + ms(90) {
                w.kill(who);
                gone += 1;
                return false;
            }
            if attacker.starts <= now && !attacker.repeat.is_empty() {
                while w[who].unsent() < 64 * 1024 {
                    w[who].say(&attacker.repeat);
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
    aggregates_of_tiny_messages: Kind::Aggregates;
    waiting_messages: Kind::WaitingMessages;
    joins_of_tiny_frames: Kind::Joins;
    comings_and_goings: Kind::Comings;
    slow_handshakes: Kind::SlowHandshakes;
    guesses_of_keys: Kind::Guesses;
    tiny_chunks: Kind::TinyChunks;
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
