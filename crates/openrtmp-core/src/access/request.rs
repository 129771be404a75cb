use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openrtmp_protocol::Secret;
use openrtmp_protocol::session::RejectReason;

use super::action::{AccessAction, Protocol};
use super::certificate::PeerCertificate;
use crate::id::ConnectionId;
use crate::secret::{Secrecy, StreamName};

/// A question to the host. Answer it with [`accept`](AccessRequest::accept)
/// or [`reject`](AccessRequest::reject), in the callback or later, from any
/// thread. Dropped unanswered, it is refused.
pub struct AccessRequest {
    /// How the peer came.
    pub protocol: Protocol,
    /// What the peer wants.
    pub action: AccessAction,
    /// Which connection asks; `None` for somebody who came without one, over HTTP.
    pub connection: Option<ConnectionId>,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// The app: what `connect` named, or the stream's path without its last segment.
    pub app: StreamName,
    /// The stream's path; empty for `connect`. [`StreamName::reveal`] gives the whole.
    pub stream: StreamName,
    /// Query parameters of the URL, without `?`. [`Secret::reveal`] gives them.
    pub query: Secret,
    /// What the peer showed of itself, if it was asked to (`tls.client_auth`).
    pub certificate: Option<Arc<PeerCertificate>>,
    /// The user that the peer showed to be (`access.users`).
    pub user: Option<Arc<str>>,
    /// `tcUrl` of `connect`: the URL of the app as the peer has it, query included. Empty if
    /// it said none, or one longer than `limits.session.name_bytes` twice.
    pub tc_url: Arc<Secret>,
    /// What the peer said that it is (`flashVer`), fit to be shown; empty if nothing.
    pub client: Arc<str>,
    /// How long the answer is waited for (`access.decision_timeout`); then it is
    /// refused.
    pub timeout: Duration,
    pub(crate) responder: Option<Responder>,
    pub(crate) question: Question,
}

/// Whether an answer still counts: settled once, by the answer or by whoever asked and
/// waits no longer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Question(Arc<AtomicBool>);

impl Question {
    /// True for the one who settles it.
    pub(crate) fn settle(&self) -> bool {
        // What the answer is, is sent after this: nothing is published by it.
        !self.0.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The end of a question that waits for the answer. Once it is dropped none counts.
#[derive(Debug)]
pub(crate) struct Asked(pub(crate) Question);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.settle();
    }
}

/// Takes the answer to where the question came from.
pub(crate) type Responder = Box<dyn FnOnce(Answer) + Send>;

/// What the host says.
pub(crate) type Answer = Result<Granted, RejectReason>;

/// A grant of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Granted {
    /// Under another path.
    pub(crate) path: Option<String>,
    /// It was looked at, and not left to the rules.
    pub(crate) decided: bool,
}

impl AccessRequest {
    /// The last segment of the name is a key: it is not shown, in logs, events, numbers
    /// and file names, as long as the server knows of the stream. To be called before
    /// the answer, whatever that is.
    ///
    /// `access.secret_names` says so of every name.
    pub fn mark_secret(&self) {
        let name = match self.action {
            AccessAction::Connect => &self.app,
            AccessAction::Publish | AccessAction::Play => &self.stream,
        };
        name.learn(Secrecy::Secret);
    }

    /// Grants it. False if it comes too late: it was refused, or the peer has left.
    pub fn accept(mut self) -> bool {
        self.answer(Ok(Granted {
            path: None,
            decided: true,
        }))
    }

    /// Leaves it to the rules, which have nothing against it: it is granted, and says
    /// nothing of who asks (`access.failed_attempts`). False if it comes too late.
    pub fn pass(mut self) -> bool {
        self.answer(Ok(Granted::default()))
    }

    /// Grants it under another name: who asked to publish or play this stream has that of
    /// this path (`app/name`), under which it is known from now on. The path that was asked
    /// for is shown no more; it may have been a key. The same as [`AccessRequest::accept`]
    /// for `connect`. False if it comes too late.
    pub fn accept_as(mut self, path: impl Into<String>) -> bool {
        self.answer(Ok(Granted {
            path: Some(path.into()),
            decided: true,
        }))
    }

    /// Refuses it; the peer sees the text. False if it comes too late.
    pub fn reject(mut self, reason: impl Into<String>) -> bool {
        self.answer(Err(RejectReason::Unauthorized(reason.into())))
    }

    /// Refuses it because it cannot be decided at the moment, which is not held against who
    /// asks (`access.failed_attempts`); the peer sees the text. False if it comes too late.
    pub fn fail(mut self, reason: impl Into<String>) -> bool {
        self.answer(Err(RejectReason::Unavailable(reason.into())))
    }

    fn answer(&mut self, decision: Answer) -> bool {
        let respond = self.responder.take();
        let counts = self.question.settle();
        if counts && let Some(respond) = respond {
            respond(decision);
        }
        counts
    }
}

impl Drop for AccessRequest {
    fn drop(&mut self) {
        if self.responder.is_some() {
            self.answer(Err(RejectReason::Unavailable("not decided".into())));
        }
    }
}

impl fmt::Debug for AccessRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessRequest")
            .field("protocol", &self.protocol)
            .field("action", &self.action)
            .field("connection", &self.connection)
            .field("peer", &self.peer)
            .field("app", &self.app)
            .field("stream", &self.stream)
            .field("query", &self.query)
            .field("certificate", &self.certificate)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}
