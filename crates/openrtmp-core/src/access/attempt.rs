//! One decision for everything that somebody wants.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openrtmp_protocol::StreamName;
use openrtmp_protocol::session::RejectReason;

use super::request::{AccessAction, AccessRequest, Protocol, Responder};
use crate::id::ConnectionId;
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
    pub(crate) app: String,
    /// Empty for `connect`.
    pub(crate) stream: StreamName,
    /// Query parameters, without `?`: they may carry credentials.
    pub(crate) query: String,
    /// The limit beyond which it came.
    pub(crate) over_limit: Option<&'static str>,
}

/// What is decided of an attempt.
pub(crate) enum Decision {
    /// It may.
    Granted,
    /// It may not.
    Refused(RejectReason),
    /// The host was asked.
    Pending,
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
        if let Err(reason) = self.check(attempt) {
            return Decision::Refused(reason);
        }
        if self.access.is_none() {
            return Decision::Granted;
        }
        let app = match attempt.action {
            AccessAction::Connect => attempt.app.clone(),
            AccessAction::Publish | AccessAction::Play => attempt.stream.app().to_owned(),
        };
        // A full queue drops the question, which answers it.
        self.access.send(AccessRequest {
            protocol: attempt.protocol,
            action: attempt.action,
            connection: attempt.connection,
            peer: attempt.peer,
            app,
            stream: attempt.stream.as_str().to_owned(),
            query: attempt.query.clone(),
            timeout,
            responder: Some(answer),
        });
        Decision::Pending
    }

    /// The rules that need nobody's answer, each a step, in order.
    pub(crate) fn check(&self, attempt: &Attempt) -> Result<(), RejectReason> {
        check_room(attempt)?;
        self.check_name(attempt)?;
        self.check_keys(attempt)?;
        self.check_means(attempt)
    }

    /// A stream has a name.
    fn check_name(&self, attempt: &Attempt) -> Result<(), RejectReason> {
        let nameless = attempt.stream.as_str().is_empty();
        match attempt.action {
            AccessAction::Publish if nameless => {
                Err(RejectReason::BadName("the stream has no name".into()))
            }
            _ => Ok(()),
        }
    }

    fn check_keys(&self, attempt: &Attempt) -> Result<(), RejectReason> {
        let ring = match attempt.action {
            AccessAction::Connect => return Ok(()),
            AccessAction::Publish => &self.publish_keys,
            AccessAction::Play => &self.play_keys,
        };
        match ring.allows(&attempt.stream, &attempt.query) {
            true => Ok(()),
            false => Err(RejectReason::Unauthorized("the key is not valid".into())),
        }
    }

    /// The server can take on more.
    fn check_means(&self, attempt: &Attempt) -> Result<(), RejectReason> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(RejectReason::Unavailable("the server is stopping".into()));
        }
        if self.budget.is_exhausted() {
            self.report_limit(
                "limits.memory",
                self.budget.limit() as u64,
                attempt.connection,
            );
            return Err(RejectReason::Unavailable(
                "the server is out of memory".into(),
            ));
        }
        Ok(())
    }
}

/// It came within the limits of connections.
fn check_room(attempt: &Attempt) -> Result<(), RejectReason> {
    let text = match attempt.over_limit {
        None => return Ok(()),
        Some("limits.connections") => "the server has as many connections as it allows",
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
