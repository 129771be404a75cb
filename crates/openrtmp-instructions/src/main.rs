//! What instruction counts are taken of: the whole server on a platform of
//! memory, one worker moved by hand. `cargo xtask instructions` runs it under
//! callgrind, which counts inside the functions named `measured_*` only.

mod memory;

use std::error::Error;
use std::hint::black_box;
use std::process::ExitCode;

use openrtmp_core::internals::SteppedServer;
use openrtmp_core::protocol::amf::{AmfError, Encoder, Encoding, Object, Value};
use openrtmp_core::protocol::command::Command;
use openrtmp_core::protocol::session::{
    ClientConfig, ClientEvent, ClientMode, ClientSession, MediaKind,
};
use openrtmp_core::protocol::{AmfLimits, RtmpUrl, Time};
use openrtmp_core::{Config, Server};

use memory::{Memory, Socket};

/// Players of the fan-out.
const PLAYERS: usize = 100;
/// Frames that are counted; the sum is compared.
const FRAMES: u32 = 30;
/// Frames in the cache that a joining player gets.
const CACHED: u32 = 60;
/// A frame of 2.5 Mbit/s at 30 a second.
const FRAME_BYTES: usize = 10_400;
const FRAME_MICROS: u64 = 33_333;

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let result = match name.as_str() {
        "fan-out" => fan_out(),
        "connect" => connect(),
        "join" => join(),
        "amf" => amf(),
        _ => Err("name one of: fan-out, connect, join, amf".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Frames from the publisher's bytes to a write for each of 100 players.
fn fan_out() -> Result<(), Box<dyn Error>> {
    let mut rig = Rig::new()?;
    let mut publisher = rig.client(ClientMode::Publish)?;
    let players = (0..PLAYERS)
        .map(|_| rig.client(ClientMode::Play))
        .collect::<Result<Vec<_>, _>>()?;
    rig.frame(&mut publisher, 0)?;
    rig.server.turn()?;
    players.iter().for_each(|p| p.socket.count_only());
    let before: usize = players.iter().map(|p| p.socket.written()).sum();
    for n in 1..=FRAMES {
        rig.frame(&mut publisher, n)?;
        measured_turn(&mut rig.server)?;
    }
    let after: usize = players.iter().map(|p| p.socket.written()).sum();
    let least = PLAYERS * FRAMES as usize * FRAME_BYTES;
    check(after - before > least, "not every player got every frame")
}

/// Handshake and `connect` of a client, up to the answer.
fn connect() -> Result<(), Box<dyn Error>> {
    let mut rig = Rig::new()?;
    // The first one pays for what is made once.
    rig.client(ClientMode::Play)?;
    let mut client = rig.arrive(ClientMode::Play);
    let mut connected = false;
    while !connected {
        rig.say(&mut client);
        measured_turn(&mut rig.server)?;
        rig.hear(&mut client, |event| {
            connected |= matches!(event, ClientEvent::Connected(_));
        })?;
    }
    Ok(())
}

/// `play` of a stream with a cache, up to the last byte of it.
fn join() -> Result<(), Box<dyn Error>> {
    let mut rig = Rig::new()?;
    let mut publisher = rig.client(ClientMode::Publish)?;
    for n in 0..CACHED {
        rig.frame(&mut publisher, n)?;
        rig.server.turn()?;
    }
    let mut client = rig.arrive(ClientMode::Play);
    let mut connected = false;
    while !connected {
        rig.say(&mut client);
        rig.server.turn()?;
        rig.hear(&mut client, |event| {
            connected |= matches!(event, ClientEvent::Connected(_));
        })?;
    }
    let before = client.socket.written();
    let sent = |client: &Client| client.socket.written() - before;
    for _ in 0..100 {
        rig.say(&mut client);
        measured_turn(&mut rig.server)?;
        if sent(&client) >= CACHED as usize * FRAME_BYTES {
            return Ok(());
        }
        if sent(&client) < memory::KEPT {
            rig.hear(&mut client, |_| {})?;
        }
    }
    check(false, "the cache was not sent")
}

/// The `connect` command of an encoder with Enhanced RTMP.
fn amf() -> Result<(), Box<dyn Error>> {
    let mut encoder = Encoder::new(Encoding::Amf0);
    encoder.value(&Value::from("connect"));
    encoder.value(&Value::from(1.0));
    let codecs = ["hvc1", "av01", "vp09", "Opus", "fLaC"].map(Value::from);
    let mut object = Object::new();
    for name in ["app", "type", "flashVer", "swfUrl", "tcUrl"] {
        object = object.with(name, "rtmp://server.example.com/live");
    }
    for name in ["capabilities", "audioCodecs", "videoCodecs", "capsEx"] {
        object = object.with(name, 239.0);
    }
    object = object.with("fourCcList", Value::StrictArray(codecs.to_vec()));
    encoder.value(&Value::Object(object));
    let bytes = encoder.finish();
    for _ in 0..100 {
        measured_decode(&bytes)?;
    }
    Ok(())
}

#[inline(never)]
fn measured_decode(bytes: &[u8]) -> Result<(), AmfError> {
    Command::decode(bytes, &AmfLimits::default()).map(|command| drop(black_box(command)))
}

#[inline(never)]
fn measured_turn(server: &mut SteppedServer<Memory>) -> std::io::Result<()> {
    black_box(server.turn())
}

fn check(right: bool, complaint: &str) -> Result<(), Box<dyn Error>> {
    if right { Ok(()) } else { Err(complaint.into()) }
}

struct Rig {
    memory: Memory,
    server: SteppedServer<Memory>,
}

struct Client {
    socket: Socket,
    session: ClientSession,
}

impl Rig {
    fn new() -> Result<Rig, Box<dyn Error>> {
        let memory = Memory::default();
        let mut config = Config::desktop();
        config.workers = 1;
        config.limits.publisher_bitrate = 0;
        config.limits.outgoing_bitrate = 0;
        let server = SteppedServer::new(memory.clone(), Server::builder(config))?;
        Ok(Rig { memory, server })
    }

    /// A client that has connected to the socket and said nothing.
    fn arrive(&mut self, mode: ClientMode) -> Client {
        let url = RtmpUrl {
            tls: false,
            credentials: None,
            host: "localhost".to_owned(),
            port: 1935,
            app: "live".to_owned(),
            stream: "cam".to_owned(),
        };
        let mut config = ClientConfig::new(url, mode);
        config.chunk_size = 60_000;
        let mut fill = |bytes: &mut [u8]| bytes.fill(0x5A);
        Client {
            socket: self.memory.connect(),
            session: ClientSession::new(config, Time::ZERO, &mut fill),
        }
    }

    /// A client that publishes or plays.
    fn client(&mut self, mode: ClientMode) -> Result<Client, Box<dyn Error>> {
        let mut client = self.arrive(mode);
        let mut ready = false;
        for _ in 0..100 {
            self.say(&mut client);
            self.server.turn()?;
            self.hear(&mut client, |event| ready |= event == ClientEvent::Ready)?;
            if ready {
                self.say(&mut client);
                return Ok(client);
            }
        }
        Err("a client was not served".into())
    }

    fn say(&mut self, client: &mut Client) {
        while let Some(bytes) = client.session.poll_transmit() {
            self.memory.send(&client.socket, &bytes);
        }
    }

    fn hear(
        &mut self,
        client: &mut Client,
        mut on_event: impl FnMut(ClientEvent),
    ) -> Result<(), Box<dyn Error>> {
        let bytes = client.socket.take_output();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let used = client.session.handle_input(Time::ZERO, rest)?;
            rest = &rest[used..];
            while let Some(event) = client.session.poll_event() {
                on_event(event);
            }
        }
        Ok(())
    }

    /// Puts a frame on its way to the server. Every 60th is a key frame.
    fn frame(&mut self, publisher: &mut Client, n: u32) -> Result<(), Box<dyn Error>> {
        // AVC NALU, key or inter frame (FLV, annex E.4.3.1).
        let first = if n.is_multiple_of(60) { 0x17 } else { 0x27 };
        let mut body = vec![0x11; FRAME_BYTES];
        body[..5].copy_from_slice(&[first, 1, 0, 0, 0]);
        self.memory.advance(FRAME_MICROS);
        let sent = publisher.session.send(MediaKind::Video, n * 33, &body);
        self.say(publisher);
        check(sent, "the publish has ended")
    }
}
