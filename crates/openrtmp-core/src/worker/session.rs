//! The protocol's part of a connection, whichever side began it.

use std::time::Duration;

use bytes::Bytes;
use openrtmp_protocol::command::{Level, Status, code};
use openrtmp_protocol::media::FourCc;
use openrtmp_protocol::session::{
    AuthRequest, Capabilities, ClientEvent, ClientSession, Media, MediaKind, PublishKind,
    RejectReason, RequestId, RequestKind, ServerEvent, ServerSession, SessionError, SessionLimit,
    Stage,
};
use openrtmp_protocol::{Secret, Time};

use crate::access::AccessAction;
use crate::errand::Errand;
use crate::metrics::IgnoredCounts;

/// The message stream of everything that an outgoing connection plays: it has one only,
/// whatever number the other server gave it.
pub(super) const PLAYED: u32 = 1;

/// Why a server that is drained wants nobody any more.
const DRAINED: &str = "the server is being drained";

/// A session of either side, with one face.
///
/// Which side takes one byte: what says that a place for a connection is taken is then in the
/// connection's `end`, which each frame to a player looks at, and not out here.
#[repr(u8)]
pub(super) enum Session {
    /// A peer connected to us.
    Server(Box<ServerSession>),
    /// We connected to another server.
    Client(Box<Client>),
}

/// A session that we began, and what for.
pub(super) struct Client {
    pub(super) session: ClientSession,
    pub(super) errand: Errand,
    /// When it was asked for.
    pub(super) began: Time,
}

/// What happened in a session.
pub(super) enum SessionEvent {
    /// A message of something that is published here.
    Media(Media),
    /// The handshake is over.
    HandshakeDone {
        /// C2 echoed S1, or S2 echoed C1.
        echo_matched: bool,
    },
    /// The peer asks for something; it is to be answered.
    Request {
        request: RequestId,
        message_stream: u32,
        wish: Box<Wish>,
    },
    /// A request is gone before it was answered.
    Withdrawn { request: RequestId },
    /// What was published on a message stream is over.
    PublishEnd { message_stream: u32 },
    /// What was played on a message stream is over.
    PlayEnd { message_stream: u32 },
    /// A player pauses or goes on.
    Pause { message_stream: u32, paused: bool },
    /// A player wants a kind of media, or no longer.
    Receive {
        message_stream: u32,
        kind: MediaKind,
        wanted: bool,
    },
    /// The other server granted what we connected for, or has the stream again.
    Ready,
    /// The other server asks to connect again, at this `tcUrl` if it names one.
    Reconnect(Option<String>),
    /// More than a limit was asked for, and refused.
    LimitReached(SessionLimit),
    /// The session has refused something.
    Refused(Box<Refused>),
    /// Something odd that is put up with.
    Tolerated(String),
}

/// What a session refused by itself, having told the peer.
pub(super) struct Refused {
    pub(super) action: AccessAction,
    /// The app of `connect`, or the stream.
    pub(super) name: openrtmp_protocol::StreamName,
    pub(super) query: Secret,
    /// The code of the status that the peer got.
    pub(super) code: &'static str,
    pub(super) reason: &'static str,
}

/// What a request asks for.
pub(super) struct Wish {
    pub(super) action: AccessAction,
    /// The app, of `connect`.
    pub(super) app: String,
    /// The stream, of `publish` and `play`.
    pub(super) name: Option<openrtmp_protocol::StreamName>,
    pub(super) query: Secret,
    /// Who the peer says it is, and the URL that it has, of `connect`.
    pub(super) software: String,
    pub(super) tc_url: Secret,
    /// How much of the stream is wanted, of `play`; `None`: all.
    pub(super) duration: Option<Duration>,
    /// The stream is to be recorded, of `publish`.
    pub(super) record: bool,
    /// The servers that a relay's stream has come through, of `connect`.
    pub(super) via: Vec<u64>,
    /// Who the peer says it is, and whether it will publish, of `connect`.
    pub(super) auth: Option<AuthRequest>,
    pub(super) will_publish: bool,
}

impl Session {
    pub(super) fn handle_input(&mut self, now: Time, bytes: &[u8]) -> Result<usize, SessionError> {
        match self {
            Session::Server(session) => session.handle_input(now, bytes),
            Session::Client(client) => client.session.handle_input(now, bytes),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Time) -> Result<(), SessionError> {
        match self {
            Session::Server(session) => session.handle_timeout(now),
            Session::Client(client) => client.session.handle_timeout(now),
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<SessionEvent> {
        match self {
            // What nobody here acts on is stepped over.
            Session::Server(session) => loop {
                if let Some(event) = of_server(session.poll_event()?) {
                    return Some(event);
                }
            },
            Session::Client(client) => loop {
                if let Some(event) = of_client(client.session.poll_event()?) {
                    return Some(event);
                }
            },
        }
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Bytes> {
        match self {
            Session::Server(session) => session.poll_transmit(),
            Session::Client(client) => client.session.poll_transmit(),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        match self {
            Session::Server(session) => session.poll_timeout(),
            Session::Client(client) => client.session.poll_timeout(),
        }
    }

    pub(super) fn stage(&self) -> Stage {
        match self {
            Session::Server(session) => session.stage(),
            Session::Client(client) => client.session.stage(),
        }
    }

    pub(super) fn chunk_size(&self) -> u32 {
        match self {
            Session::Server(session) => session.chunk_size(),
            Session::Client(client) => client.session.chunk_size(),
        }
    }

    pub(super) fn buffered_bytes(&self) -> usize {
        match self {
            Session::Server(session) => session.buffered_bytes(),
            Session::Client(client) => client.session.buffered_bytes(),
        }
    }

    /// What was done since this was last asked.
    pub(super) fn take_work(&mut self) -> u64 {
        match self {
            Session::Server(session) => session.take_work(),
            Session::Client(client) => client.session.take_work(),
        }
    }

    /// Messages that came so far.
    pub(super) fn messages_received(&self) -> u64 {
        match self {
            Session::Server(session) => session.messages_received(),
            Session::Client(client) => client.session.messages_received(),
        }
    }

    /// The message stream of the media of which the last bytes came, if the message is
    /// not complete.
    pub(super) fn media_under_way(&self) -> Option<u32> {
        match self {
            Session::Server(session) => session.media_under_way(),
            Session::Client(_) => None,
        }
    }

    /// Puts off the deadline of a peer that we did not read from. The other server of an
    /// outgoing connection has one for all stages.
    pub(super) fn postpone(&mut self, by: Duration) {
        if let Session::Server(session) = self {
            session.postpone(by);
        }
    }

    pub(super) fn ping(&mut self, timestamp: u32) {
        match self {
            Session::Server(session) => session.ping(timestamp),
            Session::Client(client) => client.session.ping(timestamp),
        }
    }

    /// Why the connection is there, if we made it.
    pub(super) fn errand(&self) -> Option<&Errand> {
        match self {
            Session::Server(_) => None,
            Session::Client(client) => Some(&client.errand),
        }
    }

    /// Whether what we send may hold several tracks, by what the peer announced.
    pub(super) fn knows_multitrack(&self) -> bool {
        let capabilities = match self {
            Session::Server(session) => session.capabilities(),
            Session::Client(client) => client.session.capabilities(),
        };
        capabilities.is_some_and(Capabilities::knows_multitrack)
    }

    /// Whether the peer takes a codec that only a FourCC names, by what it announced.
    pub(super) fn may_receive(&self, kind: MediaKind, codec: FourCc) -> bool {
        let capabilities = match self {
            Session::Server(session) => session.capabilities(),
            Session::Client(_) => None,
        };
        capabilities.is_none_or(|capabilities| match kind {
            MediaKind::Audio => capabilities.may_receive_audio(codec),
            MediaKind::Video => capabilities.may_receive_video(codec),
            MediaKind::Data => true,
        })
    }

    /// A player is told that it gets no audio, or no video, for it cannot take the codec.
    pub(super) fn notify_unsupported(&mut self, message_stream: u32, codec: FourCc) {
        if let Session::Server(session) = self {
            let status = Status {
                level: Level::Warning,
                code: code::PLAY_NO_SUPPORTED_TRACK.to_owned(),
                description: format!("{codec} is not among the codecs that were announced"),
            };
            session.send_status(message_stream, &status);
        }
    }

    /// The message stream that what we publish to the other server goes out on.
    pub(super) fn media_stream(&self) -> Option<u32> {
        match self {
            Session::Server(_) => None,
            Session::Client(client) => client.session.media_stream(),
        }
    }

    /// Grants a request of the peer. What is asked for on an errand needs no answer.
    pub(super) fn accept(&mut self, now: Time, request: RequestId) {
        if let Session::Server(session) = self {
            session.accept(now, request);
        }
    }

    /// Refuses a request of the peer.
    pub(super) fn reject(&mut self, now: Time, request: RequestId, reason: &RejectReason) {
        if let Session::Server(session) = self {
            session.reject(now, request, reason);
        }
    }

    /// What is played on a message stream has begun.
    pub(super) fn notify_published(&mut self, message_stream: u32) {
        if let Session::Server(session) = self {
            session.notify_published(message_stream);
        }
    }

    /// What is played on a message stream is over. An errand is, with it.
    pub(super) fn notify_unpublished(&mut self, message_stream: u32) {
        match self {
            Session::Server(session) => session.notify_unpublished(message_stream),
            Session::Client(client) => client.session.close(),
        }
    }

    /// What is played on a message stream was played as long as the peer asked for.
    pub(super) fn notify_complete(&mut self, message_stream: u32) {
        if let Session::Server(session) = self {
            session.notify_complete(message_stream);
        }
    }

    /// Messages that were put up with and came to nothing.
    pub(super) fn ignored(&self) -> IgnoredCounts {
        match self {
            Session::Server(session) => IgnoredCounts {
                unknown: session.unknown_messages(),
                unreadable: session.unreadable_messages(),
                dropped: session.dropped_media(),
            },
            Session::Client(client) => IgnoredCounts {
                unreadable: client.session.unreadable_messages(),
                ..IgnoredCounts::default()
            },
        }
    }

    /// The peer may no longer publish on a message stream.
    pub(super) fn end_publication(&mut self, message_stream: u32, reason: &str) {
        if let Session::Server(session) = self {
            let status = Status::error(code::PUBLISH_BAD_NAME, reason);
            session.end_publish(message_stream, &status);
        }
    }

    /// The server stops, or is suspended: whoever can is asked to connect again, the others are told.
    /// True for those who can: they leave by themselves.
    pub(super) fn notify_stop(&mut self, text: &str) -> bool {
        match self {
            Session::Server(session) => {
                let asked = session.request_reconnect(None, text);
                if !asked {
                    session.send_status(0, &Status::status(code::CONNECT_APP_SHUTDOWN, text));
                }
                asked
            }
            Session::Client(client) => {
                client.session.close();
                false
            }
        }
    }

    /// Whether `connect` was granted.
    pub(super) fn is_connected(&self) -> bool {
        matches!(
            self.stage(),
            Stage::Connected | Stage::Publishing | Stage::Playing
        )
    }

    /// The server is drained: whoever can is asked to connect again, there if that is
    /// said. False if it cannot be asked.
    pub(super) fn ask_to_leave(&mut self, to: Option<&str>) -> bool {
        match self {
            Session::Server(session) => session.request_reconnect(to, DRAINED),
            Session::Client(_) => false,
        }
    }

    /// The server is drained, and it is over for this peer.
    pub(super) fn notify_drained(&mut self) {
        if let Session::Server(session) = self {
            session.send_status(0, &Status::status(code::CONNECT_APP_SHUTDOWN, DRAINED));
        }
    }

    /// A limit ends the connection that the session does not know of.
    pub(super) fn end(&mut self, reason: &str) {
        match self {
            Session::Server(session) => session.end(reason),
            Session::Client(client) => client.session.close(),
        }
    }

    /// Says what is to be said before we end the connection.
    pub(super) fn notify_closing(&mut self) {
        if let Session::Client(client) = self {
            client.session.close();
        }
    }
}

fn of_client(event: ClientEvent) -> Option<SessionEvent> {
    Some(match event {
        ClientEvent::Media(media) => SessionEvent::Media(Media {
            stream: PLAYED,
            ..media
        }),
        ClientEvent::HandshakeDone(summary) => SessionEvent::HandshakeDone {
            echo_matched: summary.echo_matched,
        },
        ClientEvent::Ready => SessionEvent::Ready,
        ClientEvent::ReconnectRequest(tc_url) => SessionEvent::Reconnect(tc_url),
        ClientEvent::Status(status) => match status.code.as_str() {
            code::PLAY_PUBLISH_NOTIFY => SessionEvent::Ready,
            code::PLAY_UNPUBLISH_NOTIFY => SessionEvent::PublishEnd {
                message_stream: PLAYED,
            },
            _ => return None,
        },
        ClientEvent::StreamEof => SessionEvent::PublishEnd {
            message_stream: PLAYED,
        },
        _ => return None,
    })
}

fn of_server(event: ServerEvent) -> Option<SessionEvent> {
    let request = |request, message_stream, wish| SessionEvent::Request {
        request,
        message_stream,
        wish: Box::new(wish),
    };
    Some(match event {
        ServerEvent::Media(media) => SessionEvent::Media(media),
        ServerEvent::HandshakeDone(summary) => SessionEvent::HandshakeDone {
            echo_matched: summary.echo_matched,
        },
        ServerEvent::Connect {
            request: id,
            connect,
        } => {
            let wish = Wish {
                action: AccessAction::Connect,
                will_publish: connect.announces_publish(),
                auth: connect.auth,
                app: connect.app,
                name: None,
                query: connect.query,
                software: connect.flash_version,
                tc_url: connect.tc_url,
                duration: None,
                record: false,
                via: connect.via,
            };
            request(id, 0, wish)
        }
        ServerEvent::Publish {
            request: id,
            stream,
            name,
            query,
            kind,
        } => {
            let wish = Wish::of(AccessAction::Publish, name, query);
            let record = matches!(kind, PublishKind::Record | PublishKind::Append);
            request(id, stream, Wish { record, ..wish })
        }
        ServerEvent::Play {
            request: id,
            stream,
            name,
            query,
            duration,
        } => {
            let wish = Wish::of(AccessAction::Play, name, query);
            request(id, stream, Wish { duration, ..wish })
        }
        ServerEvent::PublishEnd { stream } => SessionEvent::PublishEnd {
            message_stream: stream,
        },
        ServerEvent::PlayEnd { stream } => SessionEvent::PlayEnd {
            message_stream: stream,
        },
        ServerEvent::Pause { stream, paused } => SessionEvent::Pause {
            message_stream: stream,
            paused,
        },
        // The session tells one of them at a time.
        ServerEvent::Receive {
            stream,
            audio,
            video,
        } => {
            let (kind, wanted) = match (audio, video) {
                (Some(wanted), _) => (MediaKind::Audio, wanted),
                (None, Some(wanted)) => (MediaKind::Video, wanted),
                (None, None) => return None,
            };
            SessionEvent::Receive {
                message_stream: stream,
                kind,
                wanted,
            }
        }
        ServerEvent::Withdrawn { request } => SessionEvent::Withdrawn { request },
        ServerEvent::LimitReached(limit) => SessionEvent::LimitReached(limit),
        ServerEvent::Refused {
            kind,
            name,
            query,
            code,
            reason,
        } => SessionEvent::Refused(Box::new(Refused {
            action: match kind {
                RequestKind::Connect => AccessAction::Connect,
                RequestKind::Publish => AccessAction::Publish,
                RequestKind::Play => AccessAction::Play,
            },
            name,
            query,
            code,
            reason,
        })),
        ServerEvent::Tolerated(what) => SessionEvent::Tolerated(what),
        _ => return None,
    })
}

impl Wish {
    fn of(action: AccessAction, name: openrtmp_protocol::StreamName, query: Secret) -> Wish {
        Wish {
            action,
            app: String::new(),
            name: Some(name),
            query,
            software: String::new(),
            tc_url: Secret::default(),
            duration: None,
            record: false,
            via: Vec::new(),
            auth: None,
            will_publish: false,
        }
    }
}
