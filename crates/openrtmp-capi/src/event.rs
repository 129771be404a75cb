//! What happened, for C.

use std::sync::Arc;

use openrtmp_core::{CloseReason, Event, StreamName};

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
/// A player was attached to a stream. connection_id, stream.
pub const OPENRTMP_EVENT_SUBSCRIBER_JOINED: u32 = 11;
/// A player left a stream. connection_id, stream, number: frames it did not get.
pub const OPENRTMP_EVENT_SUBSCRIBER_LEFT: u32 = 12;
/// A player is too slow. connection_id, stream, number: frames dropped just now.
pub const OPENRTMP_EVENT_SUBSCRIBER_DROPPING: u32 = 13;
/// A request was decided. connection_id, peer, stream: the app or the stream, text: why
/// not, flag: granted, number: OPENRTMP_ACCESS_*.
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
/// A stream's publisher vanished without a goodbye; OPENRTMP_EVENT_STREAM_UNPUBLISHED
/// follows. stream_id, stream, number: ms that players wait for the next.
pub const OPENRTMP_EVENT_PUBLISHER_LOST: u32 = 40;
/// A recording misses frames, since the disk is too slow. stream, text: the file, number:
/// frames; the JSON has bytes and span.
pub const OPENRTMP_EVENT_RECORDING_LOST: u32 = 30;
/// A recorder failed and goes on with new files. The JSON has the pause.
pub const OPENRTMP_EVENT_RECORDER_RESTARTED: u32 = 31;

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
    _texts: [String; 4],
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
            _texts: texts,
        })
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
        Event::WorkerRestarted { worker } => Parts {
            number: worker as u64,
            ..of(OPENRTMP_EVENT_WORKER_RESTARTED)
        },
        Event::AcceptFailed { error } => Parts {
            text: error,
            ..of(OPENRTMP_EVENT_ACCEPT_FAILED)
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
        } => Parts {
            peer: peer.to_string(),
            flag: granted,
            text: reason,
            ..of_player(
                OPENRTMP_EVENT_ACCESS,
                connection,
                target,
                access::action(action).into(),
            )
        },
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
        _ => of(OPENRTMP_EVENT_OTHER),
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
