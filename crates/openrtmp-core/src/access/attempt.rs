//! One decision for everything that somebody wants.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openrtmp_protocol::Secret;
use openrtmp_protocol::session::RejectReason;

use super::keys::{is_equal, key_in};
use super::request::{AccessAction, AccessRequest, Asked, Protocol, Question, Responder};
use crate::id::ConnectionId;
use crate::limit::Limit;
use crate::secret::{Secrecy, StreamName};
use crate::shared::Shared;

/// What somebody wants, as far as the decision about it goes.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) protocol: Protocol,
    pub(crate) action: AccessAction,
    pub(crate) peer: SocketAddr,
    /// Over RTMP.
    pub(crate) connection: Option<ConnectionId>,
    /// The app that `connect` names.
    pub(crate) app: StreamName,
    /// Empty for `connect`.
    pub(crate) stream: StreamName,
    /// Query parameters of the name and of `connect`, in this order, without `?`.
    pub(crate) query: Secret,
    /// The limit beyond which it came.
    pub(crate) over_limit: Option<Limit>,
}

impl Attempt {
    /// What is shown of what is asked for.
    pub(crate) fn target(&self) -> &StreamName {
        match self.action {
            AccessAction::Connect => &self.app,
            AccessAction::Publish | AccessAction::Play => &self.stream,
        }
    }

    /// The one credential it comes with.
    fn credential(&self) -> &str {
        key_in(self.query.reveal()).unwrap_or_else(|| self.stream.name())
    }

    /// Bytes that it holds: itself, and its names and query as if nobody shared them.
    pub(crate) fn held_bytes(&self) -> usize {
        let names = self.app.held_bytes() + self.stream.held_bytes();
        size_of::<Attempt>() + names + self.query.reveal().len()
    }

    /// True if it comes with this very key.
    pub(crate) fn carries(&self, key: &str) -> bool {
        is_equal(self.credential(), key)
    }
}

/// Why an attempt is refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: RejectReason,
    /// Whoever came is not heard any more: guesses of keys cost a connection each.
    pub(crate) closes: bool,
}

impl From<RejectReason> for Refusal {
    fn from(reason: RejectReason) -> Refusal {
        Refusal {
            reason,
            closes: false,
        }
    }
}

/// What is decided of an attempt.
pub(crate) enum Decision {
    /// It may.
    Granted,
    /// It may not.
    Refused(Refusal),
    /// The host was asked.
    Pending(Asked),
}

impl Shared {
    /// Decides what somebody may do: every rule that needs nobody's answer, then, if it
    /// has an access callback, the host. Then `answer` is called with its decision,
    /// from any thread, perhaps before this returns.
    ///
    /// Whoever carries out a granted attempt later than it was granted calls
    /// [`Shared::check`] again.
    pub(crate) fn decide(
        &self,
        attempt: &Attempt,
        timeout: Duration,
        answer: Responder,
    ) -> Decision {
        if let Err(refusal) = self.check(attempt) {
            return Decision::Refused(refusal);
        }
        if self.access.is_none() {
            return Decision::Granted;
        }
        let app = match attempt.action {
            AccessAction::Connect => attempt.app.clone(),
            AccessAction::Publish | AccessAction::Play => {
                self.name(attempt.stream.app(), Secrecy::Public)
            }
        };
        let question = Question::default();
        // A full queue drops the question, which answers it.
        self.access.send(AccessRequest {
            protocol: attempt.protocol,
            action: attempt.action,
            connection: attempt.connection,
            peer: attempt.peer,
            app,
            stream: attempt.stream.clone(),
            query: attempt.query.clone(),
            timeout,
            responder: Some(answer),
            question: question.clone(),
        });
        Decision::Pending(Asked(question))
    }

    /// The rules that need nobody's answer, each a step, in order.
    pub(crate) fn check(&self, attempt: &Attempt) -> Result<(), Refusal> {
        check_connection_limits(attempt)?;
        self.check_name(attempt)?;
        self.check_keys(attempt)?;
        Ok(self.check_capacity(attempt)?)
    }

    /// The name under which a peer asks for a stream or an app. Its last segment may be
    /// a key unless one came in the query.
    pub(crate) fn peer_name(&self, path: &str, query: &str) -> StreamName {
        let key = key_in(query);
        let secrecy = if self.secret_names.load(Ordering::Relaxed) {
            Secrecy::Secret
        } else if key.is_none() && !(self.publish_keys.is_open() && self.play_keys.is_open()) {
            Secrecy::Suspected
        } else {
            Secrecy::Public
        };
        StreamName::new(path, secrecy, &self.masks, |part| {
            // Also where somebody gives it twice.
            key == Some(part) || self.is_key(part)
        })
    }

    /// The name by which the host calls a stream.
    pub(crate) fn host_name(&self, path: &str) -> StreamName {
        let path = openrtmp_protocol::StreamName::join("", path);
        self.name(path.reveal(), Secrecy::Public)
    }

    fn name(&self, path: &str, secrecy: Secrecy) -> StreamName {
        StreamName::new(path, secrecy, &self.masks, |part| self.is_key(part))
    }

    /// True for what is or was a key.
    fn is_key(&self, text: &str) -> bool {
        !text.is_empty() && (self.publish_keys.remembers(text) || self.play_keys.remembers(text))
    }

    /// A stream has a name.
    fn check_name(&self, attempt: &Attempt) -> Result<(), RejectReason> {
        let nameless = attempt.stream.is_empty();
        match attempt.action {
            AccessAction::Publish if nameless => {
                Err(RejectReason::BadName("the stream has no name".into()))
            }
            _ => Ok(()),
        }
    }

    fn check_keys(&self, attempt: &Attempt) -> Result<(), Refusal> {
        let ring = match attempt.action {
            // The host's own wish.
            _ if attempt.protocol == Protocol::Outgoing => return Ok(()),
            AccessAction::Connect => return Ok(()),
            AccessAction::Publish => &self.publish_keys,
            AccessAction::Play => &self.play_keys,
        };
        if ring.allows(attempt.credential()) {
            return Ok(());
        }
        self.wrong_keys.fetch_add(1, Ordering::Relaxed);
        Err(Refusal {
            reason: RejectReason::Unauthorized("the key is not valid".into()),
            closes: true,
        })
    }

    /// The server can take on more.
    fn check_capacity(&self, attempt: &Attempt) -> Result<(), RejectReason> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(RejectReason::Unavailable("the server is stopping".into()));
        }
        if self.budget.is_exhausted() {
            self.report_limit(Limit::Memory, attempt.connection);
            return Err(RejectReason::Unavailable(
                "the server is out of memory".into(),
            ));
        }
        Ok(())
    }
}

/// It came within the limits of connections.
fn check_connection_limits(attempt: &Attempt) -> Result<(), RejectReason> {
    let text = match attempt.over_limit {
        None => return Ok(()),
        Some(Limit::Connections) => "the server has as many connections as it allows",
        Some(_) => "your address has as many connections as the server allows",
    };
    Err(RejectReason::Unavailable(text.into()))
}

/// The text of a refusal.
pub(crate) fn reason_text(reason: &RejectReason) -> &str {
    match reason {
        RejectReason::Unauthorized(text)
        | RejectReason::BadName(text)
        | RejectReason::NotFound(text)
        | RejectReason::InvalidApp(text)
        | RejectReason::Unavailable(text) => text,
    }
}
