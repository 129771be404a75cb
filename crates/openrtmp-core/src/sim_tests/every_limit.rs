//! Reaching a limit is told, whichever it is.

use std::collections::BTreeSet;

use openrtmp_protocol::command::code;
use openrtmp_protocol::message::kind;
use openrtmp_protocol::session::{ClientMode, MediaKind};

use super::hostile::connect_command;
use super::lines::Lines;
use super::media;
use super::users;
use super::world::{Setup, Who, World, ms};
use crate::config::{Config, PushRule, RecordConfig, UserConfig};
use crate::events::Event;
use crate::limit::Limit;
use crate::{RecordError, RelayError, RelayRule};

/// A limit, the settings that make it small, and what runs into it.
type Case = (Limit, fn(&mut Setup), fn(&mut World));

/// Told otherwise: by `Event::AcceptFailed` and `Event::RelayFailed`, by the line that counts what was held back,
/// with the limit that it adds to, and those of viewers by the delivery over HTTP.
const OTHERS: [Limit; 9] = [
    Limit::AcceptRetry,
    Limit::LogLines,
    Limit::AmfValuesBase,
    Limit::RelayRedirects,
    Limit::ViewersConnections,
    Limit::ViewersConnectionsPerAddress,
    Limit::ViewersWaiting,
    Limit::ViewersWaitingPerStream,
    Limit::ViewersWanted,
];

/// Settings that bound something and of which no event tells. What they bound is the
/// command's own, which tells its operator in the log or with an answer; or the text beside
/// says who tells it.
const NO_EVENT: &[&str] = &[
    // Of the command's servers, and of its operator's socket.
    "control.clients",
    "control.request_bytes",
    "control.timeout",
    "http.answer_bytes",
    "http.answer_timeout",
    "http.connections",
    "http.header_bytes",
    "http.headers",
    "http.idle_timeout",
    "http.request_timeout",
    "http.requests",
    // What is kept of streams is kept so long, and in so much, by design. Streams that do not
    // fit into the memory are told of as `limits.memory`.
    "http.dvr.bytes",
    "http.dvr.duration",
    "http.memory",
    "http.window",
    // HTTP/2 says so to the viewer; a line tells of those that are too slow.
    "http.viewers.least_rate",
    "http.viewers.requests",
    "http.tokens.life",
    "http.tokens.same_address",
];

/// Settings that are called as if they bounded something: after the one others may have the
/// name of a publisher that is silent, the other says when a picture counts as stopped.
const NO_BOUND: [&str; 2] = ["streams.publisher_timeout", "streams.video_timeout"];

/// By what RTMP tells a peer that it is refused something, or stopped.
const REFUSALS: [&str; 7] = [
    code::CONNECT_REJECTED,
    code::CONNECT_LOOP,
    code::CONNECT_CLOSED,
    code::CALL_FAILED,
    code::PUBLISH_BAD_NAME,
    code::PLAY_FAILED,
    code::PLAY_STREAM_NOT_FOUND,
];

/// Limits of which the peer is told by a status, with its code. Of the others it sees no more
/// than that its connection ends, or nothing at all.
const STATUSES: &[(Limit, &str)] = &[
    (Limit::Connections, code::CONNECT_REJECTED),
    (Limit::ConnectionsPerAddress, code::CONNECT_REJECTED),
    (Limit::MessageRate, code::CONNECT_CLOSED),
    (Limit::PublishersPerConnection, code::PUBLISH_BAD_NAME),
    (Limit::PublishersPerAddress, code::PUBLISH_BAD_NAME),
    (Limit::MediaTimeout, code::PUBLISH_BAD_NAME),
    (Limit::MessageTimeout, code::PUBLISH_BAD_NAME),
    (Limit::Publishers, code::PUBLISH_BAD_NAME),
    (Limit::RelayHops, code::CONNECT_LOOP),
    (Limit::MessageBytes, code::CONNECT_CLOSED),
    (Limit::PartialBytes, code::CONNECT_CLOSED),
    (Limit::MessageStreams, code::CALL_FAILED),
    (Limit::NameBytes, code::PUBLISH_BAD_NAME),
    (Limit::IdleTimeout, code::CONNECT_CLOSED),
    (Limit::DecisionTimeout, code::CONNECT_REJECTED),
];

/// The refusals that peers of a world were told.
fn refusals(w: &World) -> BTreeSet<&'static str> {
    let is_told = |code: &&&str| w.peers().iter().any(|peer| peer.heard(code));
    REFUSALS.iter().filter(is_told).copied().collect()
}

/// A raw client that said `connect`.
fn connected(w: &mut World) -> Who {
    let who = w.shaken();
    w[who].say(&connect_command());
    w.until("_result", |w| w[who].received.len() > 100);
    who
}

/// A raw client that was refused and neither reads on nor closes.
fn refused(w: &mut World) -> Who {
    let who = connected(w);
    w[who].reading = false;
    w[who].command_on(0, "createStream", &[]);
    w[who].command_on(1, "publish", &["cam".into(), "live".into()]);
    w.run(ms(20));
    who
}

/// `connect` with such a command object.
fn connect_with(w: &mut World, object: &[u8]) {
    let who = w.shaken();
    let head = b"\x02\0\x07connect\0\x3f\xf0\0\0\0\0\0\0";
    w[who].message(kind::COMMAND_AMF0, 0, &[head, object].concat());
    w.run(ms(50));
}

/// A stream, and a player of it that takes nothing.
fn stuck(w: &mut World, frames: u32, size: usize) {
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w[player].reading = false;
    w.stream_of(publisher, 0..frames, size);
}

/// A stream, and a worker with a player of it that stands still for a while.
fn behind(w: &mut World, size: usize) {
    let publisher = w.live("live/cam");
    w.player("live/cam");
    for n in 0..60 {
        w[publisher].frame(n, size);
        w.run_without(1, ms(40));
    }
}

fn small_buffers(s: &mut Setup) {
    s.network.send_buffer = 4096;
    s.network.receive_buffer = 4096;
}

/// The head of a message of 1 MiB and its first chunks.
fn begin_message(w: &mut World, who: Who, chunks: usize) {
    w[who].say(&[0x06, 0, 0, 0, 0x10, 0, 0, 9, 1, 0, 0, 0]);
    for _ in 0..chunks {
        w[who].say(&[0; 128]);
        w[who].say(&[0xC6]);
    }
    w.run(ms(50));
}

fn stream(w: &mut World) {
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..60);
}

const CASES: &[Case] = &[
    (
        Limit::Connections,
        |s| s.config.limits.connections = 1,
        |w| {
            w.player("live/cam");
            w.client(ClientMode::Play, "live/cam");
        },
    ),
    (
        Limit::ConnectionsPerAddress,
        |s| s.config.limits.connections_per_address = 1,
        |w| {
            w.player("live/cam");
            w.client(ClientMode::Play, "live/cam");
        },
    ),
    (
        Limit::HandshakeGrace,
        |s| {
            s.config.limits.connections = 1;
            s.config.limits.handshake_grace = ms(0);
        },
        |w| {
            w.raw();
            w.run(ms(10));
            w.raw();
        },
    ),
    (
        Limit::ConnectionWork,
        |s| s.config.limits.connection_work = ms(1),
        |w| {
            let who = connected(w);
            for _ in 0..4000 {
                w[who].command_on(0, "releaseStream", &["cam".into()]);
            }
        },
    ),
    (
        Limit::MessageRate,
        |s| s.config.limits.message_rate = 10,
        |w| {
            let who = connected(w);
            for _ in 0..101 {
                w[who].message(kind::AUDIO, 1, &[]);
            }
        },
    ),
    (
        Limit::PublishersPerConnection,
        |s| s.config.limits.publishers_per_connection = 1,
        |w| {
            let who = connected(w);
            for (stream, name) in [(1, "a"), (2, "b")] {
                w[who].command_on(0, "createStream", &[]);
                w[who].command_on(stream, "publish", &[name.into(), "live".into()]);
            }
        },
    ),
    (
        Limit::PublishersPerAddress,
        |s| s.config.limits.publishers_per_address = 1,
        |w| {
            w.publisher("live/a");
            w.client(ClientMode::Publish, "live/b");
        },
    ),
    (
        Limit::MediaTimeout,
        |s| s.config.streams.media_timeout = ms(100),
        |w| {
            w.publisher("live/a");
        },
    ),
    (
        Limit::MessageTimeout,
        |s| s.config.streams.message_timeout = ms(100),
        |w| {
            w.publisher("live/a");
        },
    ),
    (
        Limit::Publishers,
        |s| s.config.limits.publishers = 1,
        |w| {
            w.publisher("live/a");
            w.client(ClientMode::Publish, "live/b");
        },
    ),
    (
        Limit::PublisherBitrate,
        |s| s.config.limits.publisher_bitrate = 1000,
        stream,
    ),
    (
        Limit::OutgoingBitrate,
        |s| s.config.limits.outgoing_bitrate = 1000,
        |w| {
            w.player("live/cam");
            stream(w);
        },
    ),
    (
        Limit::Memory,
        |s| {
            small_buffers(s);
            s.config.limits.memory = 1 << 20;
        },
        |w| {
            let publisher = w.live("live/cam");
            let player = w.player("live/cam");
            w[player].reading = false;
            // Key frames wait for the player; there is nothing to drop.
            for n in 0..30 {
                let picture = media::video(true, n, 100_000);
                w.send(publisher, MediaKind::Video, n * 40, picture);
                w.run(ms(200));
            }
            w.client(ClientMode::Play, "live/cam");
        },
    ),
    (
        Limit::AnswerBytes,
        |s| {
            small_buffers(s);
            s.config.limits.answer_bytes = 64 << 10;
        },
        |w| {
            let who = connected(w);
            w[who].reading = false;
            for _ in 0..4000 {
                w[who].command_on(0, "releaseStream", &["cam".into()]);
            }
            w.run(ms(1000));
        },
    ),
    (
        Limit::HeaderBytes,
        |s| s.config.limits.header_bytes = 100,
        stream,
    ),
    (Limit::Tracks, |s| s.config.limits.tracks = 1, stream),
    (
        Limit::Challenges,
        |s| {
            s.config.access.users = vec![UserConfig::new("ann", "s3cret")];
            s.config.limits.challenges = 64;
        },
        |w| {
            let answer = users::challenged(w, "ann:s3cret");
            for _ in 0..70 {
                users::challenged(w, "ann:s3cret");
            }
            w.client_with(answer);
        },
    ),
    (
        Limit::Recordings,
        |s| s.config.limits.recordings = 0,
        |w| {
            let record = RecordConfig::new(std::env::temp_dir());
            let refused = w.server.record("live/cam", record);
            assert!(matches!(refused, Err(RecordError::Full(0))));
        },
    ),
    (
        Limit::RelayRules,
        |s| s.config.limits.relay_rules = 1,
        |w| {
            let rule = |to: &str| RelayRule::Push(PushRule::new("live/*", to));
            let first = w.server.add_relay(&rule("rtmp://127.0.0.2/a/{name}"));
            assert!(first.is_ok());
            let second = w.server.add_relay(&rule("rtmp://127.0.0.2/b/{name}"));
            assert_eq!(second, Err(RelayError::Full(1)));
        },
    ),
    (
        Limit::RelayHops,
        |s| s.config.limits.relay_hops = 1,
        |w| {
            let who = w.shaken();
            let via = "00000000000000aa,00000000000000bb";
            w[who].command_object("connect", 1.0, &[("app", "live"), ("openrtmpVia", via)]);
            w.until("the refusal", |w| w[who].is_closed());
        },
    ),
    (
        Limit::ChallengeTimeout,
        |s| s.config.access.users = vec![UserConfig::new("ann", "s3cret")],
        |w| {
            let answer = users::challenged(w, "ann:s3cret");
            w.run(ms(31_000));
            w.client_with(answer);
        },
    ),
    (
        Limit::Linger,
        |s| {
            s.config.access.publish_keys = vec!["s3cret".into()];
            s.config.limits.linger = ms(100);
        },
        |w| {
            refused(w);
            w.run(ms(500));
        },
    ),
    (
        Limit::LingerBytes,
        |s| {
            s.config.access.publish_keys = vec!["s3cret".into()];
            s.config.limits.linger_bytes = 1000;
        },
        |w| {
            let who = refused(w);
            w[who].say(&[0; 10_000]);
        },
    ),
    (
        Limit::MessageBytes,
        |s| s.config.limits.session.message_bytes = 1024,
        |w| {
            let publisher = w.publisher("live/cam");
            let picture = media::video(true, 0, 5000);
            w.send(publisher, MediaKind::Video, 0, picture);
        },
    ),
    (
        Limit::PartialBytes,
        |s| s.config.limits.session.partial_bytes = 4096,
        |w| {
            let who = connected(w);
            w[who].command_on(0, "createStream", &[]);
            w[who].command_on(1, "publish", &["cam".into(), "live".into()]);
            w.run(ms(20));
            begin_message(w, who, 100);
        },
    ),
    (
        Limit::CommandBytes,
        |s| s.config.limits.session.command_bytes = 4096,
        |w| {
            let who = w.shaken();
            begin_message(w, who, 100);
        },
    ),
    (
        Limit::ChunkStreams,
        |s| s.config.limits.session.chunk_streams = 4,
        |w| {
            let who = w.shaken();
            for id in 10..20 {
                w[who].say(&[id, 0, 0, 0, 0, 2, 0, 9, 1, 0, 0, 0]);
                w[who].say(&[0; 128]);
            }
        },
    ),
    (
        Limit::MessageStreams,
        |s| s.config.limits.session.message_streams = 1,
        |w| {
            let who = connected(w);
            for _ in 0..3 {
                w[who].command_on(0, "createStream", &[]);
            }
        },
    ),
    (
        Limit::PendingRequests,
        |s| {
            s.host_decides = true;
            s.config.limits.session.pending_requests = 1;
        },
        |w| {
            let who = w.shaken();
            w[who].say(&connect_command());
            for _ in 0..3 {
                w[who].command_on(0, "createStream", &[]);
            }
        },
    ),
    (
        Limit::WaitingMessages,
        |s| {
            s.host_decides = true;
            s.config.limits.session.waiting_messages = 16;
        },
        |w| {
            let who = w.shaken();
            w[who].say(&connect_command());
            for _ in 0..20 {
                w[who].message(kind::VIDEO, 1, &[0; 10]);
            }
        },
    ),
    (
        Limit::NameBytes,
        |s| s.config.limits.session.name_bytes = 100,
        |w| {
            let who = connected(w);
            let long = "x".repeat(200);
            w[who].command_on(1, "publish", &[long.as_str().into(), "live".into()]);
        },
    ),
    (
        Limit::AmfDepth,
        |s| s.config.limits.session.amf.depth = 2,
        |w| connect_with(w, &b"\x03\0\x01a".repeat(5)),
    ),
    (
        Limit::AmfStringBytes,
        |s| s.config.limits.session.amf.string_bytes = 64,
        |w| {
            connect_with(
                w,
                &[&b"\x03\0\x03app\x02\0\x64"[..], &[b'x'; 100], b"\0\0\x09"].concat(),
            )
        },
    ),
    (
        Limit::AmfElements,
        |s| s.config.limits.session.amf.elements = 16,
        |w| connect_with(w, &[&b"\x03"[..], &b"\0\x01a\x05".repeat(20)].concat()),
    ),
    (
        Limit::AmfDecodedBytes,
        |s| s.config.limits.session.amf.decoded_bytes = 1024,
        |w| connect_with(w, &[&b"\x03"[..], &b"\0\x01a\x05".repeat(100)].concat()),
    ),
    (
        Limit::AmfValuesPerByte,
        |s| s.config.limits.session.amf.values_base = 0,
        |w| {
            // An array of 50 values, then 40 references to it.
            let mut object = b"\x03\0\x01a\x0a\0\0\0\x32".to_vec();
            object.extend([5; 50]);
            object.extend(b"\0\x01b\x07\0\x01".repeat(40));
            object.extend(b"\0\0\x09");
            connect_with(w, &object);
        },
    ),
    (
        Limit::HandshakeTimeout,
        |s| s.config.rtmp.handshake_timeout = ms(100),
        |w| {
            w.raw();
        },
    ),
    #[cfg(feature = "tls")]
    (
        Limit::TlsHandshakeTimeout,
        |s| {
            super::tls::with_tls(s);
            s.config.tls.handshake_timeout = ms(100);
        },
        |w| {
            w.raw();
        },
    ),
    (
        Limit::ConnectTimeout,
        |s| s.config.rtmp.connect_timeout = ms(100),
        |w| {
            w.shaken();
        },
    ),
    (
        Limit::IdleTimeout,
        |s| s.config.rtmp.idle_timeout = ms(100),
        |w| {
            connected(w);
        },
    ),
    (
        Limit::FailedAttempts,
        |s| {
            s.config.access.publish_keys = vec!["s3cret".into()];
            s.config.access.failed_attempts.limit = 1;
        },
        |w| {
            refused(w);
        },
    ),
    (
        Limit::DecisionTimeout,
        |s| {
            s.host_decides = true;
            s.config.access.decision_timeout = ms(100);
        },
        |w| {
            w.client(ClientMode::Play, "live/cam");
        },
    ),
    (
        Limit::QueueDelay,
        |s| {
            small_buffers(s);
            s.config.queue.max_delay = ms(200);
        },
        |w| stuck(w, 30, 1000),
    ),
    (
        Limit::QueueBytes,
        |s| {
            small_buffers(s);
            s.config.queue.max_bytes = 64 << 10;
        },
        |w| stuck(w, 30, 10_000),
    ),
    (
        Limit::StallTimeout,
        |s| {
            small_buffers(s);
            s.config.queue.stall_timeout = ms(200);
        },
        |w| stuck(w, 30, 1000),
    ),
    (
        Limit::WorkerBytes,
        |s| {
            s.config.workers = 2;
            s.config.queue.worker_bytes = 64 << 10;
        },
        |w| behind(w, 10_000),
    ),
    (
        Limit::WorkerMessages,
        |s| {
            s.config.workers = 2;
            s.config.queue.worker_messages = 16;
        },
        |w| behind(w, 100),
    ),
    (Limit::GopBytes, |s| s.config.gop.max_bytes = 2500, stream),
    (Limit::GopFrames, |s| s.config.gop.max_frames = 3, stream),
    (
        Limit::GopDuration,
        |s| s.config.gop.max_duration = ms(100),
        stream,
    ),
];

#[test]
fn each_limit_is_told_as_an_event_and_in_the_log() {
    let mut statuses = Vec::new();
    for &(limit, change, run_into) in CASES {
        let lines = Lines::capture();
        let mut setup = Setup::new(1);
        change(&mut setup);
        let value = limit.value(&setup.config);
        let mut w = setup.build();
        run_into(&mut w);
        w.run(ms(1000));
        let told = |e: &Event| matches!(e, Event::LimitReached { limit: l, value: v, .. } if (*l, *v) == (limit, value));
        assert!(w.count(told) > 0, "no event of {limit}: {:?}", w.events());
        let line = format!("{limit} is reached: {value}");
        assert!(Lines::count(&lines.take(), &line) > 0, "no line of {limit}");
        statuses.extend(refusals(&w).into_iter().map(|code| (limit, code)));
    }
    assert_eq!(statuses, STATUSES, "what peers are told");
}

#[test]
fn there_is_no_other_limit() {
    let cases = CASES.iter().map(|(limit, ..)| *limit);
    let told: BTreeSet<Limit> = cases.chain(OTHERS).collect();
    assert_eq!(told, Limit::ALL.iter().copied().collect());
    let limits: BTreeSet<&str> = Limit::ALL.iter().map(|limit| limit.path()).collect();
    // Each is in the tables that say what happens beyond, and nothing else is that a server
    // tells of.
    let listed = listed_in_security_md();
    assert!(
        limits.is_subset(&listed),
        "{:?}",
        limits.difference(&listed)
    );
    let others: BTreeSet<&str> = NO_EVENT.iter().copied().collect();
    let expected: BTreeSet<&str> = limits.union(&others).copied().collect();
    assert_eq!(listed, expected);
    // A setting that is one by its name is in them.
    let settings = Config::settings().iter();
    let bounds = settings.filter(|it| is_a_limit_by_name(it.path(), &it.expected()));
    let unlisted = bounds.map(|it| it.path()).filter(|it| !listed.contains(it));
    assert_eq!(unlisted.collect::<Vec<_>>(), NO_BOUND);
}

/// Settings in the first column of the tables of SECURITY.md that say what happens beyond.
fn listed_in_security_md() -> BTreeSet<&'static str> {
    let text = include_str!("../../../../SECURITY.md");
    let is_setting = |word: &&str| Config::settings().iter().any(|it| it.path() == *word);
    let tables = text
        .split("| path | default | what happens beyond |")
        .skip(1);
    let rows =
        tables.flat_map(|table| table.lines().skip(1).take_while(|row| row.starts_with('|')));
    let first = rows.filter_map(|row| row.split('|').nth(1));
    let words = first.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    words.filter(is_setting).collect()
}

/// Whether a setting is called as those are that bound what peers may do.
fn is_a_limit_by_name(path: &str, expected: &str) -> bool {
    const GROUPS: [&str; 6] = ["access", "gop", "queue", "rtmp", "streams", "tls"];
    let (group, name) = path.rsplit_once('.').unwrap_or(("", path));
    let first = group.split('.').next().unwrap_or(group);
    let is_called_so = name == "limit" || name.starts_with("max_") || name.ends_with("_timeout");
    let is_flag = expected.starts_with("true");
    let is_of_limits = first == "limits" && !is_flag || group == "http.viewers";
    is_of_limits || is_called_so && GROUPS.contains(&first)
}

#[test]
fn what_all_workers_send_is_judged_together() {
    // 25 frames of 10,000 bytes a second are 2 Mbit/s to each player.
    for (players, is_over) in [(1, false), (2, true)] {
        let lines = Lines::capture();
        let mut w = World::with(2, |c| c.limits.outgoing_bitrate = 3_000_000);
        let publisher = w.live("live/cam");
        let first = w.player("live/cam");
        for _ in 1..players {
            w.player("live/cam");
        }
        w.stream_of(publisher, 0..100, 10_000);
        let sending = w
            .metrics()
            .workers
            .iter()
            .filter(|w| w.bytes_out > 1_000_000)
            .count();
        assert_eq!(sending, players, "players are on workers of their own");
        let told = |e: &Event| {
            matches!(
                e,
                Event::LimitReached {
                    limit: Limit::OutgoingBitrate,
                    value: 3_000_000,
                    ..
                }
            )
        };
        assert_eq!(w.count(told) > 0, is_over, "{players}");
        let line = "limits.outgoing_bitrate is reached: 3000000";
        assert_eq!(Lines::count(&lines.take(), line) > 0, is_over);
        assert!(!w[first].is_closed(), "it is a warning");
        w.end();
    }
}

#[test]
fn a_publisher_that_is_closed_for_its_bit_rate_is_told_why() {
    let mut w = World::with(1, |c| {
        c.limits.publisher_bitrate = 1000;
        c.limits.disconnect_over_bitrate = true;
    });
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..60);
    assert!(w[publisher].is_closed());
    let code = openrtmp_protocol::command::code::PUBLISH_BAD_NAME;
    assert!(w[publisher].status(code).is_some() || w[publisher].refusal() == Some(code));
    let reasons = w.close_reasons();
    let text = reasons[0].to_string();
    assert!(
        text.starts_with("limit: ") && text.contains("limits.publisher_bitrate"),
        "{text}"
    );
    w.end();
}

#[test]
fn the_number_of_lines_changes_while_the_server_runs() {
    let lines = Lines::capture();
    let mut w = World::with(1, |c| c.limits.log_lines = 2);
    let count = |w: &mut World| {
        lines.take();
        for _ in 0..20 {
            w.raw();
        }
        w.run(ms(100));
        Lines::count(&lines.take(), "connection accepted")
    };
    assert_eq!(count(&mut w), 2);
    w.run(ms(2000));
    let before = w.server.config();
    let mut config = crate::config::Config::clone(&before);
    config.limits.log_lines = 15;
    drop(w.server.put_in_force(&before, &std::sync::Arc::new(config)));
    assert_eq!(count(&mut w), 15);
    w.end();
}
