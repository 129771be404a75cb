//! What happened, for C.

use std::sync::Arc;
use std::time::Duration;

use openrtmp_core::{
    CloseReason, Event, Numbered, PermissionState, RelayId, StreamName, ThermalState,
};

use crate::access;
use crate::convert::OpenrtmpStr;

/// An event of a newer library; its JSON tells.
pub const OPENRTMP_EVENT_OTHER: u32 = 0;
/// The server listens. text: its addresses, with commas between them.
pub const OPENRTMP_EVENT_SERVER_STARTED: u32 = 1;
/// The server is going away.
pub const OPENRTMP_EVENT_SERVER_STOPPING: u32 = 2;
/// A worker thread failed and was started again. number: which.
pub const OPENRTMP_EVENT_WORKER_RESTARTED: u32 = 3;
/// Accepting failed and is tried again. text: what the system said.
pub const OPENRTMP_EVENT_ACCEPT_FAILED: u32 = 4;
/// A connection was accepted. connection_id, peer.
pub const OPENRTMP_EVENT_CONNECTION_OPENED: u32 = 5;
/// A connection is over. connection_id, peer, reason, text: why.
pub const OPENRTMP_EVENT_CONNECTION_CLOSED: u32 = 6;
/// A stream has a publisher. stream_id, stream, flag: it replaced another, connection_id: who
/// it is; 0: an openrtmp_publisher.
pub const OPENRTMP_EVENT_STREAM_PUBLISHED: u32 = 7;
/// A stream's tracks became known or changed. stream_id, stream, text: codec
/// strings with commas between them; the JSON has the rest.
pub const OPENRTMP_EVENT_STREAM_TRACKS: u32 = 8;
/// A stream's publisher left; it may come back. stream_id, stream.
pub const OPENRTMP_EVENT_STREAM_UNPUBLISHED: u32 = 9;
/// A stream is over and its players were told. stream_id, stream.
pub const OPENRTMP_EVENT_STREAM_ENDED: u32 = 10;
/// A player was attached to a stream. connection_id, stream. All who want a stream over HTTP
/// that may be begun for them are one, whose id no connection has.
pub const OPENRTMP_EVENT_SUBSCRIBER_JOINED: u32 = 11;
/// A player left a stream. connection_id, stream, number: frames it did not get.
pub const OPENRTMP_EVENT_SUBSCRIBER_LEFT: u32 = 12;
/// A player is too slow. connection_id, stream, number: frames dropped just now.
pub const OPENRTMP_EVENT_SUBSCRIBER_DROPPING: u32 = 13;
/// A request was decided. connection_id (0 over HTTP), peer, stream: the app or the stream,
/// text: why not, flag: granted, number: OPENRTMP_ACCESS_*; in json also "user"
/// ("access.users") and "protocol".
pub const OPENRTMP_EVENT_ACCESS: u32 = 14;
/// A limit was reached. connection_id if it is one connection's, text: which, by its
/// setting's path, number: its value, durations in ms.
pub const OPENRTMP_EVENT_LIMIT_REACHED: u32 = 15;
/// A recording was begun. stream, text: the file.
pub const OPENRTMP_EVENT_RECORDING_STARTED: u32 = 16;
/// A recording is complete. stream, text: the file, number: its bytes.
pub const OPENRTMP_EVENT_RECORDING_FINISHED: u32 = 17;
/// A recording ended early. stream, text: what the system said.
pub const OPENRTMP_EVENT_RECORDING_FAILED: u32 = 18;
/// The callback, or who fetches, was too slow. number: events that are missing here, before
/// the next one. To catch up, list what there is (openrtmp_server_streams(),
/// _connections(), _subscribers()) and go on: see EVENTS.
pub const OPENRTMP_EVENT_LOST: u32 = 19;
/// Other settings are in force. text: their paths, with commas between them.
pub const OPENRTMP_EVENT_CONFIG_CHANGED: u32 = 20;
/// A bug in this library was caught in a call of this process, which returned
/// OPENRTMP_ERROR_PANIC or nothing. Each running server tells. text: what is known.
pub const OPENRTMP_EVENT_INTERNAL_ERROR: u32 = 21;
/// The server is gone; nothing follows. number: connections that were closed by force; the
/// JSON has connections accepted, and bytes.
pub const OPENRTMP_EVENT_SERVER_STOPPED: u32 = 22;
/// A stream's publisher vanished without a goodbye; OPENRTMP_EVENT_STREAM_UNPUBLISHED
/// follows. stream_id, stream, number: ms that players wait for the next.
pub const OPENRTMP_EVENT_PUBLISHER_LOST: u32 = 40;
/// A stream's picture has stopped while its sound goes on ("streams.video_timeout").
/// stream_id, stream, number: ms that the sound is beyond the last picture.
pub const OPENRTMP_EVENT_VIDEO_STOPPED: u32 = 70;
/// A picture is there again. stream_id, stream, number: ms from the last one before.
pub const OPENRTMP_EVENT_VIDEO_RESUMED: u32 = 71;
/// No connection to another server came about that was asked for. connection_id: which it
/// would have been, text: why. The JSON has host and port.
pub const OPENRTMP_EVENT_OUTGOING_FAILED: u32 = 41;
/// A relayed stream runs. connection_id: the one to the other server, stream, number: the
/// relay, text: the other server's URL without names of streams and queries.
pub const OPENRTMP_EVENT_RELAY_STARTED: u32 = 42;
/// A connection for a relayed stream came to nothing, or broke. stream, number: the relay,
/// text: what happened, flag: 1 if it is tried again. The JSON has the URL, the status code
/// that the other server refused with, and the pause.
pub const OPENRTMP_EVENT_RELAY_FAILED: u32 = 43;
/// A stream is relayed no longer: it is over, nobody plays it any more, or the rule is gone.
/// stream, number: the relay.
pub const OPENRTMP_EVENT_RELAY_ENDED: u32 = 44;
/// A certificate of the server comes to its end: told 30, 7 and 1 days before, as far as it
/// lives more than four times as long, else when a sixth of its life is left; and when it has
/// expired. text: what it is for, number: ms from now on, 0 if it has expired; the JSON tells
/// where it comes from.
pub const OPENRTMP_EVENT_CERTIFICATE_EXPIRES: u32 = 50;
/// An address made too many failed attempts (access.failed_attempts). text: the address,
/// number: ms for which it is blocked.
pub const OPENRTMP_EVENT_ADDRESS_BLOCKED: u32 = 60;
/// A recording misses frames, since the disk is too slow. stream, text: the file, number:
/// frames; the JSON has bytes and span.
pub const OPENRTMP_EVENT_RECORDING_LOST: u32 = 30;
/// A recorder failed and goes on with new files. The JSON has the pause.
pub const OPENRTMP_EVENT_RECORDER_RESTARTED: u32 = 31;

/// The program went to the background. number: ms that the system lets it run, UINT64_MAX if
/// it did not say; text: the policy ("mobile.background") that holds; flag: 1 if live streams
/// end, or lose their video, by that: another policy keeps them.
pub const OPENRTMP_EVENT_BACKGROUND: u32 = 90;
/// The program came to the front.
pub const OPENRTMP_EVENT_FOREGROUND: u32 = 91;
/// The system lets the program run for so long only. number: ms.
pub const OPENRTMP_EVENT_REMAINING_TIME: u32 = 92;
/// The server was suspended. number: connections that were closed; flag: 1 if all was done
/// in time. The JSON has the report.
pub const OPENRTMP_EVENT_SUSPENDED: u32 = 93;
/// The server is back. number: ms that the program was away; flag: 1 if no listener is
/// missing. The JSON has the report.
pub const OPENRTMP_EVENT_RESUMED: u32 = 94;
/// The server is reached under other URLs. text: all of them, the best first, with commas
/// between them.
pub const OPENRTMP_EVENT_URLS_CHANGED: u32 = 95;
/// There is no network. number: ms that streams are kept.
pub const OPENRTMP_EVENT_NETWORK_LOST: u32 = 96;
/// There is a network again.
pub const OPENRTMP_EVENT_NETWORK_BACK: u32 = 97;
/// What goes to the internet goes through a mobile operator's network now.
pub const OPENRTMP_EVENT_CELLULAR_USED: u32 = 98;
/// What the user says about a permission. number: OPENRTMP_PERMISSION_UNKNOWN and so on;
/// flag: 1 if it was granted; text: "local_network" or "notifications".
pub const OPENRTMP_EVENT_PERMISSION: u32 = 99;
/// How the device is off for power. flag: 1 if it is short of it. The JSON has all.
pub const OPENRTMP_EVENT_POWER: u32 = 100;
/// How the device is off for memory. number: OPENRTMP_MEMORY_*.
pub const OPENRTMP_EVENT_MEMORY: u32 = 101;
/// What became of the service. number: OPENRTMP_SERVICE_STARTED and so on.
pub const OPENRTMP_EVENT_SERVICE: u32 = 102;
/// A listening socket was taken by the system, and is bound again as soon as may be. text:
/// where it listened.
pub const OPENRTMP_EVENT_LISTENER_LOST: u32 = 103;
/// The server listens again where a listening socket was lost. text: where.
pub const OPENRTMP_EVENT_LISTENER_RESTORED: u32 = 104;

/// Another reason, or none.
pub const OPENRTMP_CLOSE_OTHER: u32 = 0;
/// The peer closed it.
pub const OPENRTMP_CLOSE_PEER: u32 = 1;
/// The network failed.
pub const OPENRTMP_CLOSE_NETWORK: u32 = 2;
/// The peer broke the protocol, or did not get on in time.
pub const OPENRTMP_CLOSE_PROTOCOL: u32 = 3;
/// The peer was refused.
pub const OPENRTMP_CLOSE_REFUSED: u32 = 4;
/// The peer took nothing of what it asked for.
pub const OPENRTMP_CLOSE_TOO_SLOW: u32 = 5;
/// A limit of the server.
pub const OPENRTMP_CLOSE_LIMIT: u32 = 6;
/// The host asked for it.
pub const OPENRTMP_CLOSE_HOST: u32 = 7;
/// The server stopped.
pub const OPENRTMP_CLOSE_SERVER_STOPPED: u32 = 8;
/// A bug in this library, caught.
pub const OPENRTMP_CLOSE_INTERNAL: u32 = 9;
/// The server was suspended.
pub const OPENRTMP_CLOSE_SUSPENDED: u32 = 10;
/// The system took its socket while the program was suspended.
pub const OPENRTMP_CLOSE_SOCKET_LOST: u32 = 11;

/// Something that happened. Which members mean something stands at each kind; the
/// others are 0 or empty. Lives as long as the callback.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpEvent {
    /// Size of the struct that the library fills.
    pub struct_size: u32,
    /// OPENRTMP_EVENT_*.
    pub kind: u32,
    /// The connection.
    pub connection_id: u64,
    /// The stream.
    pub stream_id: u64,
    /// See the kind.
    pub number: u64,
    /// OPENRTMP_CLOSE_*.
    pub reason: u32,
    /// 0 or 1, see the kind.
    pub flag: u32,
    /// The stream's path, for example "live/cam", keys masked, as in "live/***1f3a";
    /// openrtmp_server_stream_name() tells the whole.
    pub stream: OpenrtmpStr,
    /// The peer's address and port.
    pub peer: OpenrtmpStr,
    /// See the kind.
    pub text: OpenrtmpStr,
    /// The whole event as a JSON object.
    pub json: OpenrtmpStr,
}

/// An event's texts, which the struct borrows.
#[derive(Default)]
struct Parts {
    kind: u32,
    connection_id: u64,
    stream_id: u64,
    number: u64,
    reason: u32,
    flag: bool,
    stream: String,
    peer: String,
    text: String,
}

/// An event for C, with what its struct borrows.
pub(crate) struct Record {
    head: OpenrtmpEvent,
    /// On the heap: moving them leaves them in place.
    texts: [String; 4],
}

// SAFETY: the head's pointers go to the texts, which are never changed.
unsafe impl Send for Record {}
// SAFETY: as above.
unsafe impl Sync for Record {}

impl Record {
    pub(crate) fn new(event: Event) -> Arc<Record> {
        let json = serde_json::to_string(&event).unwrap_or_default();
        let parts = parts(event);
        let texts = [parts.stream, parts.peer, parts.text, json];
        let [stream, peer, text, json] = [0, 1, 2, 3].map(|n: usize| OpenrtmpStr::new(&texts[n]));
        Arc::new(Record {
            head: OpenrtmpEvent {
                struct_size: size_of::<OpenrtmpEvent>() as u32,
                kind: parts.kind,
                connection_id: parts.connection_id,
                stream_id: parts.stream_id,
                number: parts.number,
                reason: parts.reason,
                flag: parts.flag.into(),
                stream,
                peer,
                text,
                json,
            },
            texts,
        })
    }

    /// Bytes that it keeps alive.
    pub(crate) fn held_bytes(&self) -> usize {
        size_of::<Record>() + self.texts.iter().map(String::capacity).sum::<usize>()
    }

    pub(crate) fn head(&self) -> &OpenrtmpEvent {
        &self.head
    }
}

fn parts(event: Event) -> Parts {
    let of = |kind| Parts {
        kind,
        ..Parts::default()
    };
    let of_stream = |kind, id: openrtmp_core::StreamId, stream: StreamName| Parts {
        stream_id: id.as_u64(),
        stream: stream.shown().to_owned(),
        ..of(kind)
    };
    let of_player = |kind, id: openrtmp_core::ConnectionId, stream: StreamName, number| Parts {
        connection_id: id.as_u64(),
        stream: stream.shown().to_owned(),
        number,
        ..of(kind)
    };
    match event {
        Event::ServerStarted { listen } => Parts {
            text: join(listen.iter().map(ToString::to_string)),
            ..of(OPENRTMP_EVENT_SERVER_STARTED)
        },
        Event::ConfigChanged { paths, .. } => Parts {
            text: join(paths.into_iter()),
            ..of(OPENRTMP_EVENT_CONFIG_CHANGED)
        },
        Event::InternalError { message } => Parts {
            text: message,
            ..of(OPENRTMP_EVENT_INTERNAL_ERROR)
        },
        Event::ServerStopping => of(OPENRTMP_EVENT_SERVER_STOPPING),
        Event::ServerStopped { forced, .. } => Parts {
            number: forced as u64,
            ..of(OPENRTMP_EVENT_SERVER_STOPPED)
        },
        Event::WorkerRestarted { worker } => Parts {
            number: worker as u64,
            ..of(OPENRTMP_EVENT_WORKER_RESTARTED)
        },
        Event::AcceptFailed { error } => Parts {
            text: error,
            ..of(OPENRTMP_EVENT_ACCEPT_FAILED)
        },
        Event::AddressBlocked { address, block } => Parts {
            number: u64::try_from(block.as_millis()).unwrap_or(u64::MAX),
            text: address.to_string(),
            ..of(OPENRTMP_EVENT_ADDRESS_BLOCKED)
        },
        Event::CertificateExpires {
            certificate, left, ..
        } => Parts {
            number: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            text: certificate,
            ..of(OPENRTMP_EVENT_CERTIFICATE_EXPIRES)
        },
        Event::ConnectionOpened { connection, peer } => Parts {
            connection_id: connection.as_u64(),
            peer: peer.to_string(),
            ..of(OPENRTMP_EVENT_CONNECTION_OPENED)
        },
        Event::ConnectionClosed {
            connection,
            peer,
            reason,
        } => Parts {
            connection_id: connection.as_u64(),
            peer: peer.to_string(),
            reason: close_reason(&reason),
            text: reason.to_string(),
            ..of(OPENRTMP_EVENT_CONNECTION_CLOSED)
        },
        Event::StreamPublished {
            stream,
            name,
            takeover,
            connection,
        } => Parts {
            flag: takeover,
            connection_id: connection.map_or(0, |id| id.as_u64()),
            ..of_stream(OPENRTMP_EVENT_STREAM_PUBLISHED, stream, name)
        },
        Event::StreamTracks {
            stream,
            name,
            tracks,
        } => Parts {
            text: codecs(&tracks),
            ..of_stream(OPENRTMP_EVENT_STREAM_TRACKS, stream, name)
        },
        Event::VideoStopped {
            stream,
            name,
            silence,
        } => Parts {
            number: u64::try_from(silence.as_millis()).unwrap_or(u64::MAX),
            ..of_stream(OPENRTMP_EVENT_VIDEO_STOPPED, stream, name)
        },
        Event::VideoResumed {
            stream,
            name,
            silence,
        } => Parts {
            number: u64::try_from(silence.as_millis()).unwrap_or(u64::MAX),
            ..of_stream(OPENRTMP_EVENT_VIDEO_RESUMED, stream, name)
        },
        Event::PublisherLost {
            stream,
            name,
            grace,
        } => Parts {
            number: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
            ..of_stream(OPENRTMP_EVENT_PUBLISHER_LOST, stream, name)
        },
        Event::StreamUnpublished { stream, name } => {
            of_stream(OPENRTMP_EVENT_STREAM_UNPUBLISHED, stream, name)
        }
        Event::StreamEnded { stream, name } => of_stream(OPENRTMP_EVENT_STREAM_ENDED, stream, name),
        Event::SubscriberJoined { connection, name } => {
            of_player(OPENRTMP_EVENT_SUBSCRIBER_JOINED, connection, name, 0)
        }
        Event::SubscriberLeft {
            connection,
            name,
            dropped,
        } => of_player(OPENRTMP_EVENT_SUBSCRIBER_LEFT, connection, name, dropped),
        Event::SubscriberDropping {
            connection,
            name,
            dropped,
        } => of_player(
            OPENRTMP_EVENT_SUBSCRIBER_DROPPING,
            connection,
            name,
            dropped,
        ),
        Event::Access {
            action,
            connection,
            peer,
            target,
            granted,
            reason,
            ..
        } => Parts {
            connection_id: connection.map_or(0, |connection| connection.as_u64()),
            stream: target.shown().to_owned(),
            peer: peer.to_string(),
            flag: granted,
            text: reason,
            number: access::action(action).into(),
            ..of(OPENRTMP_EVENT_ACCESS)
        },
        Event::OutgoingFailed {
            connection, error, ..
        } => Parts {
            connection_id: connection.as_u64(),
            text: error,
            ..of(OPENRTMP_EVENT_OUTGOING_FAILED)
        },
        Event::RelayStarted {
            relay,
            connection,
            name,
            url,
        } => Parts {
            connection_id: connection.as_u64(),
            text: url,
            ..of_relay(OPENRTMP_EVENT_RELAY_STARTED, relay, &name)
        },
        Event::RelayFailed {
            relay,
            name,
            reason,
            retry_in,
            ..
        } => Parts {
            text: reason,
            flag: retry_in.is_some(),
            ..of_relay(OPENRTMP_EVENT_RELAY_FAILED, relay, &name)
        },
        Event::RelayEnded { relay, name } => of_relay(OPENRTMP_EVENT_RELAY_ENDED, relay, &name),
        Event::LimitReached {
            limit,
            value,
            connection,
        } => Parts {
            connection_id: connection.map_or(0, |c| c.as_u64()),
            number: value,
            text: limit.to_string(),
            ..of(OPENRTMP_EVENT_LIMIT_REACHED)
        },
        Event::RecordingStarted { name, path } => Parts {
            stream: name.shown().to_owned(),
            text: path.to_string_lossy().into_owned(),
            ..of(OPENRTMP_EVENT_RECORDING_STARTED)
        },
        Event::RecordingFinished {
            name, path, bytes, ..
        } => Parts {
            stream: name.shown().to_owned(),
            number: bytes,
            text: path.to_string_lossy().into_owned(),
            ..of(OPENRTMP_EVENT_RECORDING_FINISHED)
        },
        Event::RecordingFailed { name, error, .. } => Parts {
            stream: name.shown().to_owned(),
            text: error,
            ..of(OPENRTMP_EVENT_RECORDING_FAILED)
        },
        Event::RecordingLost {
            name, path, frames, ..
        } => Parts {
            stream: name.shown().to_owned(),
            number: frames,
            text: path.to_string_lossy().into_owned(),
            ..of(OPENRTMP_EVENT_RECORDING_LOST)
        },
        Event::RecorderRestarted { .. } => of(OPENRTMP_EVENT_RECORDER_RESTARTED),
        Event::Lost { count } => Parts {
            number: count,
            ..of(OPENRTMP_EVENT_LOST)
        },
        Event::ListenerLost { address, .. } => Parts {
            text: address.to_string(),
            ..of(OPENRTMP_EVENT_LISTENER_LOST)
        },
        Event::ListenerRestored { address } => Parts {
            text: address.to_string(),
            ..of(OPENRTMP_EVENT_LISTENER_RESTORED)
        },
        other => of_phone(other),
    }
}

/// What happens to servers on phones.
fn of_phone(event: Event) -> Parts {
    let of = |kind| Parts {
        kind,
        ..Parts::default()
    };
    let text = word(&event);
    match event {
        Event::Background {
            remaining, ending, ..
        } => Parts {
            number: remaining.map_or(u64::MAX, milliseconds),
            flag: ending > 0,
            text,
            ..of(OPENRTMP_EVENT_BACKGROUND)
        },
        Event::Foreground => of(OPENRTMP_EVENT_FOREGROUND),
        Event::RemainingTime { left } => Parts {
            number: milliseconds(left),
            ..of(OPENRTMP_EVENT_REMAINING_TIME)
        },
        Event::Suspended { report } => Parts {
            number: report.closed as u64,
            flag: report.in_time,
            ..of(OPENRTMP_EVENT_SUSPENDED)
        },
        Event::Resumed { away, report } => Parts {
            number: milliseconds(away),
            flag: report.in_time && report.failed == 0,
            ..of(OPENRTMP_EVENT_RESUMED)
        },
        Event::UrlsChanged { urls } => Parts {
            text: join(urls.into_iter()),
            ..of(OPENRTMP_EVENT_URLS_CHANGED)
        },
        Event::NetworkLost { grace } => Parts {
            number: milliseconds(grace),
            ..of(OPENRTMP_EVENT_NETWORK_LOST)
        },
        Event::NetworkBack => of(OPENRTMP_EVENT_NETWORK_BACK),
        Event::CellularUsed => of(OPENRTMP_EVENT_CELLULAR_USED),
        Event::Permission { state, .. } => Parts {
            number: state.number().into(),
            flag: state == PermissionState::Granted,
            text,
            ..of(OPENRTMP_EVENT_PERMISSION)
        },
        Event::Power { power } => Parts {
            flag: power.low_power || power.thermal >= ThermalState::Serious,
            ..of(OPENRTMP_EVENT_POWER)
        },
        Event::Memory { level } => Parts {
            number: level.number().into(),
            ..of(OPENRTMP_EVENT_MEMORY)
        },
        Event::Service { state } => Parts {
            number: state.number().into(),
            ..of(OPENRTMP_EVENT_SERVICE)
        },
        _ => of(OPENRTMP_EVENT_OTHER),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The choice that an event tells, as it is written in settings and JSON.
fn word(event: &Event) -> String {
    let member = match event {
        Event::Background { .. } => "policy",
        Event::Permission { .. } => "permission",
        _ => return String::new(),
    };
    let value = serde_json::to_value(event).unwrap_or_default();
    value[member].as_str().unwrap_or_default().to_owned()
}

fn of_relay(kind: u32, relay: RelayId, name: &StreamName) -> Parts {
    Parts {
        kind,
        number: relay.as_u64(),
        stream: name.shown().to_owned(),
        ..Parts::default()
    }
}

fn close_reason(reason: &CloseReason) -> u32 {
    match reason {
        CloseReason::Peer => OPENRTMP_CLOSE_PEER,
        CloseReason::Network(_) => OPENRTMP_CLOSE_NETWORK,
        CloseReason::Protocol(_) => OPENRTMP_CLOSE_PROTOCOL,
        CloseReason::Refused(_) => OPENRTMP_CLOSE_REFUSED,
        CloseReason::TooSlow(_) => OPENRTMP_CLOSE_TOO_SLOW,
        CloseReason::Limit(_) => OPENRTMP_CLOSE_LIMIT,
        CloseReason::Host(_) => OPENRTMP_CLOSE_HOST,
        CloseReason::ServerStopped => OPENRTMP_CLOSE_SERVER_STOPPED,
        CloseReason::Internal => OPENRTMP_CLOSE_INTERNAL,
        CloseReason::Suspended => OPENRTMP_CLOSE_SUSPENDED,
        CloseReason::SocketLost => OPENRTMP_CLOSE_SOCKET_LOST,
        _ => OPENRTMP_CLOSE_OTHER,
    }
}

/// Codec strings of tracks, the FourCC where no more is known.
pub(crate) fn codecs(tracks: &[openrtmp_core::Track]) -> String {
    join(
        tracks
            .iter()
            .map(|t| t.codec_string.clone().unwrap_or_else(|| t.codec.clone())),
    )
}

fn join(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",")
}
