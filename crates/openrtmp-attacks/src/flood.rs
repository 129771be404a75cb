use openrtmp_protocol::message::kind;

use crate::script::{Script, command};

/// What an attacker does at full speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Arrays of references to arrays, before `connect` and after.
    References {
        /// After `connect`.
        connected: bool,
    },
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
    /// Publishes many tiny key frames to players that take nothing.
    StuckPlayers,
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
    /// Messages of 16 MiB on many chunk streams at once, none of which ends.
    HalfMessages,
    /// Publishes large aggregates of which a little is to be kept.
    KeptParts,
    /// Publishes large key frames to players that take nothing.
    LargeFrames,
    /// Publishes large headers, again and again another, to players that take nothing.
    LargeHeaders,
}

/// What one attacker says.
#[derive(Clone, Debug)]
pub struct Flood {
    /// Said at once.
    pub first: Vec<u8>,
    /// Said over and over from then on; empty if nothing is.
    pub again: Vec<u8>,
    /// Who plays what it publishes: each says this.
    pub players: Vec<Vec<u8>>,
    /// It reads what it is answered.
    pub reads: bool,
    /// Its players read.
    pub players_read: bool,
    /// It goes as soon as it was heard, and comes again.
    pub leaves: bool,
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
    match again.len() {
        0 => Vec::new(),
        length => again.repeat((16 * 1024 / length).max(1)),
    }
}

/// An aggregate of parts of a type (section 7.1.6).
fn aggregate(parts: &[(u8, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, payload) in parts {
        let length = payload.len() as u32;
        body.push(*kind);
        body.extend_from_slice(&length.to_be_bytes()[1..]);
        body.extend([0; 7]);
        body.extend_from_slice(payload);
        body.extend_from_slice(&(length + 11).to_be_bytes());
    }
    body
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
    /// All of them.
    pub const ALL: [Kind; 21] = [
        Kind::References { connected: false },
        Kind::References { connected: true },
        Kind::EmptyMessages,
        Kind::Questions,
        Kind::Pings,
        Kind::PlayAndStop,
        Kind::PlayAgain,
        Kind::PublishAndStop,
        Kind::TinyMessages,
        Kind::Aggregates,
        Kind::WaitingMessages,
        Kind::StuckPlayers,
        Kind::Joins,
        Kind::Comings,
        Kind::SlowHandshakes,
        Kind::Guesses,
        Kind::TinyChunks,
        Kind::HalfMessages,
        Kind::KeptParts,
        Kind::LargeFrames,
        Kind::LargeHeaders,
    ];

    /// What one attacker of this kind says beside a stream `live/VICTIM`; `number` is its
    /// own.
    pub fn flood(self, number: u32, victim: &str) -> Flood {
        let own = format!("own{number}");
        let (first, again) = self.script(&own, victim);
        let mut player = Script::default();
        player.connect();
        player.command(1, "play", &[own.into()]);
        let players = match self {
            Kind::TinyMessages | Kind::Aggregates => 20,
            Kind::StuckPlayers | Kind::LargeFrames | Kind::LargeHeaders => 1,
            _ => 0,
        };
        Flood {
            first,
            again: many(&again),
            players: vec![player.0; players],
            reads: self != Kind::PlayAgain,
            players_read: matches!(self, Kind::TinyMessages | Kind::Aggregates),
            leaves: self == Kind::Comings,
        }
    }

    /// What is said first, and what then again and again.
    fn script(self, own: &str, victim: &str) -> (Vec<u8>, Vec<u8>) {
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
            Kind::PlayAgain => commands(&[(1, "play", victim)]),
            Kind::PublishAndStop => commands(&[(1, "publish", own), (1, "closeStream", "")]),
            Kind::TinyMessages | Kind::StuckPlayers => {
                script.command(1, "publish", &[own.into()]);
                let (message, body) = match self {
                    Kind::TinyMessages => (kind::AUDIO, &b"\xaf"[..]),
                    _ => (kind::VIDEO, &b"\x12"[..]),
                };
                let (first, again) = repeated(1, message, body);
                script.0.extend(first);
                again
            }
            Kind::Aggregates => {
                script.command(1, "publish", &[own.into()]);
                let part: (u8, &[u8]) = (kind::AUDIO, b"\xaf");
                let (first, again) = repeated(1, kind::AGGREGATE, &aggregate(&[part; 4000]));
                script.0.extend(first);
                again
            }
            Kind::WaitingMessages => {
                script.command(1, "publish", &[victim.into()]);
                let (first, again) = repeated(1, kind::AUDIO, &[]);
                script.0.extend(first);
                script.0.extend(again.repeat(8000));
                commands(&[(2, "publish", own), (2, "closeStream", "")])
            }
            Kind::Joins => {
                script.command(1, "publish", &[own.into()]);
                let (first, again) = repeated(1, kind::AUDIO, b"\xaf");
                script.0.extend(first);
                script.0.extend(again.repeat(4000));
                commands(&[(2, "play", own), (2, "closeStream", "")])
            }
            Kind::Guesses => {
                let keys = "key=a&".repeat(310);
                commands(&[(1, "play", &format!("{victim}?{keys}"))])
            }
            Kind::TinyChunks => {
                script.message(kind::SET_CHUNK_SIZE, 0, &[0, 0, 0, 1]);
                b"\x05\0\0\0\0\0\x04\x63\0\0\0\0a\xc5a\xc5a\xc5a".to_vec()
            }
            Kind::HalfMessages => {
                let body = [0x17; 1 << 16];
                let mut again = Vec::new();
                for chunk_stream in 5..20 {
                    let header = [chunk_stream, 0, 0, 0, 0xFF, 0xFF, 0xFF, kind::VIDEO];
                    script.0.extend(header);
                    script.0.extend([1, 0, 0, 0]);
                    script.0.extend(body);
                    again.push(0xC0 | chunk_stream);
                    again.extend(body);
                }
                again
            }
            Kind::KeptParts => {
                script.command(1, "publish", &[own.into()]);
                let filling = [0xAF; 48_000];
                let data = command("@setDataFrame", &["onMetaData".into()]);
                let parts: [(u8, &[u8]); 2] = [(kind::AUDIO, &filling), (kind::DATA_AMF0, &data)];
                let (first, again) = repeated(1, kind::AGGREGATE, &aggregate(&parts));
                script.0.extend(first);
                again
            }
            Kind::LargeFrames => {
                script.command(1, "publish", &[own.into()]);
                let mut picture = vec![0x17, 1, 0, 0, 0];
                picture.resize(60_000, 0);
                let (first, again) = repeated(1, kind::VIDEO, &picture);
                script.0.extend(first);
                again
            }
            Kind::LargeHeaders => {
                script.command(1, "publish", &[own.into()]);
                let mut again = Vec::new();
                for number in 0..4 {
                    // An AVCDecoderConfigurationRecord (ISO/IEC 14496-15 section 5.3.3.1).
                    let mut header = vec![0x17, 0, 0, 0, 0, 1, 100, 0, 31, 0xFF, 0xE0, 0];
                    header.resize(50_000, number);
                    again.extend(repeated(1, kind::VIDEO, &header).0);
                }
                again
            }
            Kind::Comings | Kind::SlowHandshakes => Vec::new(),
        };
        (script.0, again)
    }
}
