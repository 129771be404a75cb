//! What each attack can cost, in memory, work and log lines. Beside every one a
//! publisher and a player go on, and lose nothing.

use std::time::Duration;

use bytes::BytesMut;
use openrtmp_protocol::chunk::ChunkWriter;
use openrtmp_protocol::command::code;
use openrtmp_protocol::message::kind;
use openrtmp_protocol::session::{ClientMode, MediaKind};

use super::hostile::connect_command;
use super::lines::Lines;
use super::media::{self, assert_whole};
use super::world::{Setup, Who, World, ms};
use crate::config::Config;
use crate::events::{CloseReason, Event};
use crate::platform::sim::{Episode, Faults};
use crate::tap::TapEvent;

/// A server with a stream that plays, under attack.
struct Siege {
    w: World,
    publisher: Who,
    player: Who,
    frames: u32,
    memory: usize,
    turns: u64,
    lines: Lines,
}

impl Siege {
    fn new(change: impl FnOnce(&mut Config)) -> Siege {
        Siege::of(Setup::new(2), change)
    }

    fn of(mut setup: Setup, change: impl FnOnce(&mut Config)) -> Siege {
        // The stream is looked at now and then only, and what an attack leaves at once.
        let streams = &mut setup.config.streams;
        (streams.media_timeout, streams.message_timeout) = (ms(0), ms(0));
        streams.republish_grace = ms(0);
        change(&mut setup.config);
        // The cache would move the sums by whole GOPs.
        setup.config.gop.max_frames = 0;
        let host_decides = setup.host_decides;
        let mut w = setup.build();
        let [publisher, player] = [ClientMode::Publish, ClientMode::Play].map(|mode| {
            let who = w.client(mode, "live/healthy");
            // Connect, then publish or play.
            for _ in 0..2 {
                w.run(ms(20));
                if host_decides {
                    w.requests().into_iter().for_each(|r| assert!(r.accept()));
                }
            }
            w.run(ms(20));
            who
        });
        w.headers(publisher);
        w.stream(publisher, 0..5);
        w.run(ms(200));
        let lines = Lines::capture();
        let memory = w.shared.budget.used();
        let turns = turns(&mut w);
        Siege {
            w,
            publisher,
            player,
            frames: 5,
            memory,
            turns,
            lines,
        }
    }

    /// The stream goes on for so many frames of 40 ms.
    fn stream(&mut self, frames: u32) {
        let end = self.frames + frames;
        self.w.stream(self.publisher, self.frames..end);
        self.frames = end;
    }

    /// Bytes that the attack makes the server hold.
    fn memory(&self) -> usize {
        self.w.shared.budget.used().saturating_sub(self.memory)
    }

    /// Turns since the last call; a frame of the stream takes up to three.
    fn turns(&mut self) -> u64 {
        let now = turns(&mut self.w);
        now - std::mem::replace(&mut self.turns, now)
    }

    /// A client that shook hands and connected.
    fn connected(&mut self) -> Who {
        let who = self.w.shaken();
        self.w[who].say(&connect_command());
        self.w.until("_result", |w| w[who].received.len() > 100);
        who
    }

    /// One that publishes on message stream 1.
    fn publishing(&mut self, name: &str) -> Who {
        let who = self.connected();
        self.w[who].command_on(1, "publish", &[name.into(), "live".into()]);
        self.w.run(ms(20));
        who
    }

    /// Whether the server has closed a client that did not read so far.
    fn is_gone(&mut self, who: Who) -> bool {
        self.w[who].reading = true;
        self.w.run(ms(100));
        self.w[who].is_closed()
    }

    /// The attack is over: nobody noticed, nothing is left.
    fn end(mut self) {
        self.stream(5);
        self.w.run(ms(100));
        assert!(
            !self.w[self.publisher].is_closed(),
            "{:?}",
            self.w.close_reasons()
        );
        assert_whole(&self.w[self.player].media, &self.w[self.publisher].sent);
        assert_eq!(self.w.metrics().errors.internal, 0);
        self.w.end();
    }
}

fn turns(w: &mut World) -> u64 {
    w.metrics().workers.iter().map(|worker| worker.turns).sum()
}

/// A message in chunks of 128 bytes.
fn message(chunk_stream: u32, kind: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    ChunkWriter::new().write(chunk_stream, kind, stream, 0, body, &mut bytes);
    bytes.to_vec()
}

fn ping() -> Vec<u8> {
    message(2, kind::USER_CONTROL, 0, &[0, 6, 1, 2, 3, 4])
}

fn limits_told(w: &World, name: &str) -> usize {
    w.count(|e| matches!(e, Event::LimitReached { limit, .. } if limit.path() == name))
}

// Connections.

#[test]
fn slow_handshakes_cost_a_turn_for_each_byte_and_end_in_time() {
    let mut s = Siege::new(|_| {});
    let slow: Vec<_> = (0..100).map(|_| s.w.raw()).collect();
    s.w.run(ms(100));
    s.turns();
    for second in 0..12 {
        for &who in &slow {
            s.w[who].say(&[if second == 0 { 3 } else { 0 }]);
        }
        s.w.run(ms(1000));
    }
    assert!(s.memory() < 100 * 64, "{}", s.memory());
    let bytes = 100 * 12;
    let turns = s.turns();
    assert!(turns < bytes + 200, "{turns} turns for {bytes} bytes");
    assert!(
        slow.iter().all(|&who| s.w[who].is_closed()),
        "10 s are over"
    );
    s.end();
}

#[test]
fn a_flood_beyond_the_limit_costs_an_accept_and_a_close_each() {
    let mut s = Siege::new(|c| c.limits.connections = 20);
    s.turns();
    let started = s.w.now();
    for _ in 0..40 {
        for _ in 0..100 {
            let who = s.w.raw();
            s.w[who].say(&[3]);
        }
        s.w.run(ms(25));
        assert!(s.w.sim.open_sockets() <= 20 + 16);
    }
    let seconds = 1 + s.w.now().since(started).as_secs() as usize;
    let turns = s.turns();
    assert!(turns < 4000, "{turns} turns for 4,000 connections");
    assert!(limits_told(&s.w, "limits.connections") <= 20 * seconds);
    let lines = s.lines.take();
    assert!(lines.len() < 90 * seconds, "{} lines", lines.len());
    assert!(s.w.metrics().refused > 3900);
    s.end();
}

#[test]
fn connections_that_wait_are_accepted_by_and_by() {
    let mut s = Siege::new(|c| c.limits.connections = 2000);
    for _ in 0..1000 {
        s.w.raw();
    }
    s.turns();
    s.w.run(ms(50));
    assert_eq!(s.w.sim.waiting_connections(), 0, "all of them, in the end");
    assert!(s.turns() >= 4, "not all in one turn");
    s.end();
}

#[test]
fn without_descriptors_accepting_is_tried_now_and_then() {
    let mut s = Siege::new(|c| c.limits.accept_retry = ms(500));
    s.w.sim.set_faults(Faults {
        exhaustion: Episode {
            chance: 1.0,
            up_to: Duration::from_secs(3600),
        },
        ..Faults::default()
    });
    for _ in 0..50 {
        s.w.raw();
    }
    s.w.run(ms(10));
    s.turns();
    s.lines.take();
    s.w.run(ms(10_000));
    let turns = s.turns();
    // Two polls each: the second finds nothing and sleeps.
    assert!(turns <= 3 * 20, "{turns} turns in 10 s");
    let lines = s.lines.take();
    assert!(
        (15..=25).contains(&Lines::count(&lines, "accepting failed")),
        "{lines:?}"
    );
    s.w.sim.set_faults(Faults::default());
    s.end();
}

// Chunks.

#[test]
fn one_byte_chunks_hold_what_was_sent() {
    let mut s = Siege::new(|_| {});
    let who = s.connected();
    s.w[who].say(&message(2, kind::SET_CHUNK_SIZE, 0, &[0, 0, 0, 1]));
    s.w[who].say(&[3, 0, 0, 0, 0x00, 0xFF, 0xFF, kind::COMMAND_AMF0, 0, 0, 0, 0]);
    s.turns();
    for _ in 0..300 {
        s.w[who].say(&[2, 0xC3].repeat(100));
        s.w.run(ms(4));
    }
    // 30,000 bytes came; a buffer grows to twice that at most.
    assert!(s.memory() <= 2 * 30_100, "{}", s.memory());
    assert!(s.memory() >= 30_000, "what came is counted");
    let turns = s.turns();
    assert!(turns < 2 * 300 + 100, "{turns} turns");
    s.end();
}

#[test]
fn header_only_messages_fill_no_queue() {
    let mut setup = Setup::new(2);
    setup.network.send_buffer = 8 * 1024;
    setup.network.receive_buffer = 8 * 1024;
    let mut s = Siege::of(setup, |c| c.queue.max_bytes = 256 << 10);
    let flooder = s.publishing("empty");
    let slow = s.w.player("live/empty");
    let quick = s.w.player("live/empty");
    s.w[slow].reading = false;
    s.w[flooder].say(&message(4, kind::AUDIO, 1, &[]));
    let mut most = 0;
    for _ in 0..100 {
        // A byte each: fmt 3 on chunk stream 4.
        s.w[flooder].say(&[0xC4; 500]);
        s.w.run(ms(10));
        most = most.max(s.memory());
    }
    // An entry of a queue costs as well, though its payload is empty.
    assert!(s.is_gone(slow), "{most}");
    let reasons = s.w.close_reasons();
    assert!(
        matches!(&reasons[..], [CloseReason::TooSlow(_)]),
        "{reasons:?}"
    );
    assert!(most < 4 << 20, "{most} bytes");
    assert!(!s.w[quick].is_closed());
    s.end();
}

#[test]
fn many_chunk_streams_hold_no_more_than_one() {
    let mut s = Siege::new(|_| {});
    let who = s.connected();
    // On each of 60, a message of 16 MiB is begun, and 8 KiB of it come.
    for chunk_stream in 4..64u8 {
        let mut bytes = vec![chunk_stream, 0, 0, 0, 0xFF, 0xFF, 0xFF, 9, 1, 0, 0, 0];
        for part in 0..64 {
            if part > 0 {
                bytes.push(0xC0 | chunk_stream);
            }
            bytes.extend([7; 128]);
        }
        s.w[who].say(&bytes);
        s.w.run(ms(10));
        let limit = s.w.shared.config().limits.session.command_bytes;
        let read = bytes.len();
        assert!(s.memory() <= limit + read, "{}", s.memory());
    }
    assert!(s.w[who].is_closed(), "480 KiB are more than its share");
    let reason = s.w.close_reasons().remove(0).to_string();
    assert!(reason.contains("unfinished messages"), "{reason}");

    // More chunk streams than anybody needs.
    let who = s.connected();
    for id in 0..100u8 {
        s.w[who].say(&[0, id, 0, 0, 0, 0, 0, 0, 9, 1, 0, 0, 0]);
    }
    s.w.run(ms(50));
    let reason = s.w.close_reasons().remove(1).to_string();
    assert!(reason.contains("64 chunk streams"), "{reason}");
    s.end();
}

#[test]
fn chunk_sizes_may_change_all_the_time() {
    let mut s = Siege::new(|_| {});
    let who = s.connected();
    s.turns();
    for round in 0..1000u32 {
        // Every size is obeyed at once, also that of the message that changes it.
        let size = [128u32, 0x7FFF_FFFF, 4096][round as usize % 3];
        s.w[who].say(&message(2, kind::SET_CHUNK_SIZE, 0, &size.to_be_bytes()));
    }
    s.w[who].say(&ping());
    s.w[who].received.clear();
    s.w.run(ms(50));
    assert!(!s.w[who].received.is_empty(), "it is still understood");
    assert_eq!(s.memory(), 0);
    let turns = s.turns();
    assert!(turns < 50, "{turns} turns");
    s.end();
}

#[test]
fn messages_begun_and_aborted_leave_nothing() {
    let mut s = Siege::new(|_| {});
    let who = s.connected();
    let mut most = 0;
    for _ in 0..500 {
        s.w[who].say(&[6, 0, 0, 0, 0xFF, 0xFF, 0xFF, 9, 1, 0, 0, 0]);
        s.w[who].say(&[7; 128]);
        s.w[who].say(&message(2, kind::ABORT, 0, &6u32.to_be_bytes()));
        s.w.run(ms(2));
        most = most.max(s.memory());
    }
    assert!(most <= 1024, "{most}");
    assert_eq!(s.memory(), 0);
    s.end();
}

// Acknowledgements.

#[test]
fn who_never_acknowledges_is_served_all_the_same() {
    let mut s = Siege::new(|c| c.rtmp.window_ack_size = 1024);
    let silent = s.connected();
    s.w[silent].command_on(0, "createStream", &[]);
    s.w[silent].command_on(1, "play", &["healthy".into()]);
    s.w.run(ms(50));
    s.w[silent].received.clear();
    s.stream(250);
    let got = s.w[silent].received.len();
    assert!(got > 250 * 1000, "{got} bytes");
    assert!(!s.w[silent].is_closed());
    assert!(s.memory() < 10_000, "{}", s.memory());
    s.end();
}

#[test]
fn a_window_of_one_byte_costs_an_answer_a_read() {
    let mut s = Siege::new(|_| {});
    let who = s.connected();
    s.w[who].say(&message(2, kind::WINDOW_ACK_SIZE, 0, &1u32.to_be_bytes()));
    s.w.run(ms(20));
    s.w[who].received.clear();
    let asked = message(3, 99, 0, &[0; 100]).repeat(1000);
    s.w[who].say(&asked);
    s.w.run(ms(100));
    let answered = s.w[who].received.len();
    assert!(answered > 0 && answered < asked.len() / 100, "{answered}");
    s.end();
}

// Commands.

#[test]
fn command_floods_are_answered_or_ended() {
    type Flood = fn(&mut World, Who);
    let floods: [(&str, Flood); 4] = [
        ("createStream", |w, who| {
            w[who].command_on(0, "createStream", &[])
        }),
        ("an unknown one", |w, who| {
            w[who].command_on(0, "whoKnows", &[])
        }),
        ("FCPublish", |w, who| {
            w[who].command_on(0, "FCPublish", &["x".repeat(4000).as_str().into()]);
        }),
        ("ping", |w, who| w[who].say(&ping())),
    ];
    for (what, flood) in floods {
        let mut s = Siege::new(|c| c.limits.answer_bytes = 64 << 10);
        let who = s.connected();
        s.w[who].reading = false;
        let mut most = 0;
        for _ in 0..100 {
            for _ in 0..300 {
                flood(&mut s.w, who);
            }
            s.w.run(ms(10));
            most = most.max(s.memory());
        }
        // What one read of a full receive buffer makes comes on top.
        assert!(most < 4 * (64 << 10) + (64 << 10), "{what}: {most}");
        assert!(s.is_gone(who), "{what}");
        let reason = s.w.close_reasons().remove(0).to_string();
        assert!(reason.contains("answers not taken"), "{what}: {reason}");
        let lines = s.lines.take();
        assert!(lines.len() < 200, "{what}: {} lines", lines.len());
        s.end();
    }
}

#[test]
fn streams_played_and_stopped_without_end_leave_nothing() {
    let mut s = Siege::new(|_| {});
    let who = s.connected();
    let before = s.w.shared.directory.lock().len();
    let names = |n: u32| format!("nowhere{n}");
    for n in 0..1000 {
        s.w[who].command_on(1, "play", &[names(n).as_str().into()]);
        s.w[who].command_on(1, "closeStream", &[]);
        if n % 50 == 0 {
            s.w.run(ms(10));
        }
    }
    s.w.run(ms(50));
    assert_eq!(s.w.shared.directory.lock().len(), before);
    assert!(s.memory() < 10_000, "{}", s.memory());
    let lines = s.lines.take();
    assert!(lines.len() < 70, "{} lines", lines.len());
    s.end();
}

#[test]
fn playing_again_and_again_queues_no_second_gop() {
    let mut setup = Setup::new(2);
    setup.network.send_buffer = 8 * 1024;
    setup.network.receive_buffer = 8 * 1024;
    let mut s = Siege::of(setup, |c| {
        c.queue.max_bytes = 256 << 10;
        c.limits.answer_bytes = 1 << 20;
    });
    let who = s.connected();
    s.w[who].reading = false;
    s.w[who].command_on(1, "play", &["healthy".into()]);
    s.stream(30);
    for _ in 0..500 {
        s.w[who].command_on(1, "play", &["healthy".into()]);
    }
    s.stream(300);
    assert!(s.memory() < 2 << 20, "{}", s.memory());
    s.w.run(ms(20_000));
    assert!(s.is_gone(who), "it takes nothing");
    s.end();
}

#[test]
fn streams_published_and_ended_without_end_leave_nothing() {
    let mut s = Siege::new(|_| {});
    let who = s.connected();
    let before = s.w.shared.directory.lock().len();
    for n in 0..1000u32 {
        let name = format!("storm{n}");
        s.w[who].command_on(1, "publish", &[name.as_str().into(), "live".into()]);
        s.w[who].say(&message(6, kind::VIDEO, 1, &media::video_header(0)));
        s.w[who].say(&message(6, kind::VIDEO, 1, &media::video(true, n, 100)));
        s.w[who].command_on(1, "closeStream", &[]);
        if n % 20 == 0 {
            s.w.run(ms(10));
        }
    }
    s.w.run(ms(100));
    let published = s.w.count(|e| matches!(e, Event::StreamPublished { .. }));
    assert_eq!(published, 1001, "each was granted");
    assert_eq!(s.w.shared.directory.lock().len(), before);
    assert!(s.memory() < 10_000, "{}", s.memory());
    let lines = s.lines.take();
    // Two kinds: requests granted, streams published and unpublished.
    assert!(lines.len() < 2 * 2 * 22, "{} lines", lines.len());
    assert_eq!(s.w.metrics().streams.len(), 1);
    s.end();
}

#[test]
fn names_and_texts_are_no_longer_than_the_limit() {
    let mut s = Siege::new(|_| {});
    let long = "n".repeat(60_000);
    let who = s.connected();
    s.w[who].received.clear();
    s.w[who].command_on(1, "publish", &[long.as_str().into(), "live".into()]);
    s.w[who].command_on(2, "play", &[long.as_str().into()]);
    s.w[who].command_on(0, &long, &[]);
    s.w.run(ms(50));
    assert!(!s.w[who].received.is_empty(), "it is told");
    let answered = s.w[who].received.len();
    assert!(answered < 2000, "{answered} bytes of answers");
    let text = String::from_utf8_lossy(&s.w[who].received).into_owned();
    assert!(text.contains(code::PUBLISH_BAD_NAME) && text.contains(code::PLAY_FAILED));
    let lines = s.lines.take();
    assert!(
        lines.iter().all(|(_, line)| line.len() < 500),
        "a line is long"
    );
    assert!(s.memory() < 1000, "{}", s.memory());
    s.end();
}

#[test]
fn amf_bombs_cost_no_more_than_their_limits() {
    // References multiply a string; nesting and counts are in `hostile`. Of a command
    // that nobody knows nothing would be read.
    let mut s = Siege::new(|_| {});
    let head = b"\x02\x00\x04play\x00\0\0\0\0\0\0\0\0";
    let mut object = head.to_vec();
    object.extend(b"\x0a\x00\x00\x03\xE9\x03\x00\x01a\x02\xFF\xF0");
    object.extend([b'x'; 0xFFF0]);
    object.extend(b"\x00\x00\x09");
    for _ in 0..1000 {
        object.extend(b"\x07\x00\x01");
    }
    // Arrays that hold nothing but references to the one before.
    let mut arrays = head.to_vec();
    arrays.extend(b"\x0a\x00\x00\x00\x10\x0a\x00\x00\x00\x01\x05");
    for level in 1..16 {
        arrays.extend(b"\x0a\x00\x00\x00\x08");
        arrays.extend([0x07, 0, level].repeat(8));
    }
    // A strict array of 16,385 numbers, then longer strings than are allowed.
    let mut many = head.to_vec();
    many.extend(b"\x0a\x00\x00\x40\x01");
    many.extend(b"\x00\0\0\0\0\0\0\0\0".repeat(0x4001));
    let mut long = head.to_vec();
    long.extend(b"\x0c\x00\x01\x00\x01");
    long.extend([b'x'; 0x1_0001]);
    // An AMF3 object of a class with 20,000 members, of which it sends none.
    let mut sealed = head.to_vec();
    sealed.extend(b"\x11\x0a\x93\xc4\x03\x01");
    for (what, body, expected) in [
        ("references", object, "when decoded"),
        (
            "references to references",
            arrays,
            "references stand for more",
        ),
        ("elements", many, "more than 16384 values"),
        ("a long string", long, "a string longer than 65536 bytes"),
        ("sealed members", sealed, "more than 16384 values"),
    ] {
        let who = s.connected();
        let before = s.w.close_reasons().len();
        s.w[who].say(&message(3, kind::COMMAND_AMF0, 0, &body));
        s.w.run(ms(200));
        assert!(s.w[who].is_closed(), "{what}");
        let reasons = s.w.close_reasons();
        let reason = reasons[before].to_string();
        assert!(reason.contains(expected), "{what}: {reason}");
        assert!(s.memory() < 1000, "{what}: {}", s.memory());
    }
    s.end();
}

// Media.

#[test]
fn metadata_and_header_floods_are_kept_once() {
    let mut s = Siege::new(|c| c.limits.header_bytes = 256 << 10);
    let flooder = s.publishing("flood");
    let player = s.w.player("live/flood");
    // Headers in front of the first frame wait for it.
    let picture = media::video(true, 0, 100);
    s.w[flooder].say(&message(6, kind::VIDEO, 1, &picture));
    let mut most = 0;
    for n in 0..200u32 {
        s.w[flooder].say(&message(
            5,
            kind::DATA_AMF0,
            1,
            &media::metadata(f64::from(n)),
        ));
        let mut header = media::video_header(n as u8).to_vec();
        header.resize(10_000, n as u8);
        s.w[flooder].say(&message(6, kind::VIDEO, 1, &header));
        s.w.run(ms(20));
        most = most.max(s.memory());
    }
    assert!(most < 100_000, "{most}");
    assert!(!s.w[player].is_closed());
    // Each changed and was passed on.
    assert!(s.w[player].media.len() > 390);

    // Of every track there can be, 10,000 bytes: a quarter of a MiB are kept.
    for track in 0..=255u8 {
        let mut header = vec![0x96, 0x00];
        header.extend(b"hvc1");
        header.push(track);
        header.resize(10_000, track);
        s.w[flooder].say(&message(6, kind::VIDEO, 1, &header));
        s.w.run(ms(20));
    }
    assert!(s.memory() < (256 << 10) + 50_000, "{}", s.memory());
    assert!(limits_told(&s.w, "limits.header_bytes") >= 1);
    let told = |e: &Event| matches!(e, Event::StreamTracks { tracks, .. } if tracks.len() > 32);
    assert_eq!(s.w.count(told), 0, "no more tracks than the limit");
    let late = s.w.player("live/flood");
    s.w.run(ms(100));
    let got: usize = s.w[late].media.iter().map(|p| p.payload.len()).sum();
    assert!(got <= 256 << 10, "{got}");
    s.end();
}

#[test]
fn a_slow_reader_is_closed_however_slowly_it_reads() {
    let mut setup = Setup::new(2);
    setup.network.send_buffer = 8 * 1024;
    setup.network.receive_buffer = 8 * 1024;
    let mut s = Siege::of(setup, |c| c.queue.stall_timeout = ms(5000));
    let slow = s.w.player("live/healthy");
    let started = s.w.now();
    s.w[slow].reading = false;
    while s.w.close_reasons().is_empty() {
        // It never takes nothing for long.
        s.w[slow].read_some(300);
        s.stream(10);
        let waited = s.w.now().since(started);
        assert!(waited < Duration::from_secs(60), "never closed");
    }
    let reasons = s.w.close_reasons();
    assert!(
        matches!(&reasons[..], [CloseReason::TooSlow(text)] if text.contains("behind")),
        "{reasons:?}"
    );
    s.w.run(ms(100));
    assert!(s.memory() < 100_000, "{}", s.memory());
    s.end();
}

#[test]
fn what_is_ended_is_over_however_slowly_it_is_read() {
    let mut setup = Setup::new(1);
    setup.network.send_buffer = 4 * 1024;
    setup.network.receive_buffer = 4 * 1024;
    let mut s = Siege::of(setup, |c| c.queue.stall_timeout = ms(5000));
    let slow = s.w.player("live/healthy");
    s.w[slow].reading = false;
    s.stream(50);
    // It breaks the protocol; its status stands behind 50 frames.
    let open = s.w.sim.open_sockets();
    s.w[slow].message(kind::SET_CHUNK_SIZE, 0, &[0, 0, 0, 0]);
    let mut waited = 0;
    while s.w.sim.open_sockets() == open {
        s.w[slow].read_some(100);
        s.w.run(ms(200));
        waited += 200;
        assert!(waited < 10_000, "still there");
    }
    assert!((4000..6000).contains(&waited), "{waited} ms");
    s.end();
}

// The host.

#[test]
fn a_tap_that_never_returns_holds_no_more_than_its_queue() {
    let mut s = Siege::new(|c| c.queue.max_bytes = 64 << 10);
    let mut tap = s.w.server.tap_all();
    let who = s.connected();
    let mut most = 0;
    for n in 0..500u32 {
        let name = format!("storm{n}");
        s.w[who].command_on(1, "publish", &[name.as_str().into(), "live".into()]);
        s.w[who].say(&message(6, kind::VIDEO, 1, &media::video(true, n, 1000)));
        s.w[who].command_on(1, "closeStream", &[]);
        if n % 10 == 0 {
            s.stream(1);
        }
        most = most.max(s.memory());
    }
    s.stream(200);
    // The healthy stream's queue, and 64 streams that are over.
    assert!(most < 2 * (64 << 10) + 66 * 2000, "{most}");
    // What is told is told in pairs.
    let events: Vec<_> = std::iter::from_fn(|| tap.try_recv()).collect();
    let count = |fits: fn(&TapEvent) -> bool| events.iter().filter(|e| fits(e)).count();
    let started = count(|e| matches!(e, TapEvent::Started(_)));
    let ended = count(|e| matches!(e, TapEvent::Ended(_)));
    assert!((2..=66).contains(&started), "{started} streams");
    assert_eq!(started, ended + 1, "the healthy one goes on");
    drop(tap);
    s.end();
}

#[test]
fn a_host_that_never_answers_costs_what_waits_for_it() {
    let mut setup = Setup::new(2);
    setup.host_decides = true;
    let mut s = Siege::of(setup, |c| {
        c.access.decision_timeout = ms(2000);
        c.limits.memory = 4 << 20;
    });
    let asking: Vec<_> = (0..100).map(|_| s.w.shaken()).collect();
    let mut most = 0;
    for &who in &asking {
        s.w[who].say(&connect_command());
        // What waits for the answer is held.
        s.w[who].say(&message(6, kind::VIDEO, 1, &[7; 20_000]).repeat(10));
        s.w.run(ms(5));
        most = most.max(s.w.shared.budget.used());
    }
    // Beyond the limit only a share each, and what one read brings.
    assert!(most < (4 << 20) + 64 * 1024 + 300_000, "{most}");
    s.w.run(ms(4000));
    assert!(
        asking.iter().all(|&who| s.w[who].is_closed()),
        "all refused"
    );
    assert!(s.memory() < 1000, "{}", s.memory());
    // The requests come too late to be answered.
    for request in s.w.requests() {
        assert!(!request.accept());
    }
    s.w.run(ms(50));
    s.end();
}

// The log.

#[test]
fn a_log_flood_is_told_in_one_line() {
    let mut s = Siege::new(|_| {});
    for _ in 0..300 {
        let who = s.w.raw();
        s.w[who].say(&[9; 10]);
    }
    s.w.run(ms(50));
    let lines = s.lines.take();
    assert_eq!(Lines::count(&lines, "connection closed: handshake"), 20);
    assert_eq!(Lines::count(&lines, "suppressed"), 0, "not yet");
    s.w.run(ms(2000));
    let lines = s.lines.take();
    assert_eq!(
        Lines::count(
            &lines,
            "280 more lines suppressed: connections closed for what peers did"
        ),
        1,
        "{lines:?}"
    );
    s.turns();
    s.w.run(ms(60_000));
    assert_eq!(s.lines.take(), [], "and no more");
    let turns = s.turns();
    assert!(turns < 20, "{turns} turns: nothing is left to tell");
    s.end();
}

#[test]
fn oddities_are_told_a_few_times_only() {
    let mut s = Siege::new(|c| c.limits.log_lines = 5);
    let who = s.connected();
    s.w.run(ms(1000));
    s.lines.take();
    for kind in 23..223 {
        s.w[who].say(&message(3, kind, 0, b"what is this"));
    }
    s.w.run(ms(100));
    let lines = s.lines.take();
    assert_eq!(Lines::count(&lines, "unknown type"), 5);
    s.w.run(ms(2000));
    let lines = s.lines.take();
    assert_eq!(
        Lines::count(&lines, "195 more lines suppressed: oddities"),
        1,
        "{lines:?}"
    );
    s.end();
}

#[test]
fn timestamps_that_jump_are_told_a_few_times_only() {
    let mut s = Siege::new(|_| {});
    let who = s.publishing("jumps");
    s.w.run(ms(1000));
    s.lines.take();
    for n in 0..500u32 {
        let time = n % 2 * 10_000_000 + n;
        let mut bytes = BytesMut::new();
        let frame = media::video(true, n, 50);
        ChunkWriter::new().write(6, kind::VIDEO, 1, time, &frame, &mut bytes);
        s.w[who].say(&bytes);
    }
    s.w.run(ms(200));
    let lines = s.lines.take();
    let told = Lines::count(&lines, "timestamp is off");
    assert!((1..=20).contains(&told), "{told} lines");
    s.w.send(s.publisher, MediaKind::Data, 0, media::metadata(1.0));
    s.end();
}
