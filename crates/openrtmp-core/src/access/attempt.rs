//! One decision for everything that somebody wants.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openrtmp_protocol::Secret;
use openrtmp_protocol::session::{AuthDemand, RejectReason};

use super::action::{AccessAction, Protocol};
use super::certificate::PeerCertificate;
use super::key_file::{KeyKind, KeyRecord};
use super::keys::{is_equal, key_in};
use super::request::{AccessRequest, Asked, Question, Responder};
use super::standing::OpenedBy;
use super::users::{Login, Why};
use crate::config::FailedAttemptsConfig;
use crate::events::Event;
use crate::id::ConnectionId;
use crate::limit::Limit;
use crate::log_limit::Cause;
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
    /// The path that was asked for, where the stream has another by now.
    pub(crate) asked_as: Option<StreamName>,
    /// Query parameters of the name and of `connect`, in this order, without `?`.
    pub(crate) query: Secret,
    /// The record of the key that it comes with.
    pub(crate) record: Option<Arc<KeyRecord>>,
    /// What `connect` said beside.
    pub(crate) tc_url: Arc<Secret>,
    pub(crate) client: Arc<str>,
    /// What it showed of itself.
    pub(crate) certificate: Option<Arc<PeerCertificate>>,
    /// Who it is.
    pub(crate) login: Login,
    /// A `connect` that says that it will publish.
    pub(crate) will_publish: bool,
    /// The host decided it, and did not leave it to the rules.
    pub(crate) was_decided: bool,
    /// A relay's: it has come through this server before, or through too many.
    pub(crate) is_loop: bool,
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

    /// The app that it is about.
    fn app_asked_for(&self) -> &str {
        match self.action {
            AccessAction::Connect => self.app.reveal(),
            AccessAction::Publish | AccessAction::Play => self.asked_for().app(),
        }
    }

    /// The one credential it comes with. Over RTMP the name may be one, as encoders have it;
    /// over HTTP it is none.
    fn credential(&self) -> Option<&str> {
        let name = || {
            let is_one = !self.protocol.is_http();
            is_one.then(|| self.asked_for().name())
        };
        key_in(self.query.reveal()).or_else(name)
    }

    /// The stream as the peer called it.
    fn asked_for(&self) -> &StreamName {
        self.asked_as.as_ref().unwrap_or(&self.stream)
    }

    /// The host gives the stream that was asked for another path.
    pub(crate) fn rename(&mut self, stream: StreamName) {
        let before = std::mem::replace(&mut self.stream, stream);
        self.asked_as.get_or_insert(before);
    }

    /// Bytes that it holds: itself, and its names and query as if nobody shared them.
    pub(crate) fn held_bytes(&self) -> usize {
        let names = self.app.held_bytes() + self.stream.held_bytes();
        let certificate = self.certificate.as_ref().map_or(0, |c| c.held_bytes());
        let user = self.user().map_or(0, |user| user.len());
        let said = self.query.reveal().len() + self.tc_url.reveal().len() + self.client.len();
        size_of::<Attempt>() + certificate + user + names + said
    }

    /// The user that it is.
    pub(crate) fn user(&self) -> Option<&Arc<str>> {
        match &self.login {
            Login::User(user) => Some(user),
            Login::Unasked | Login::Asked(..) | Login::Wrong(_) => None,
        }
    }

    /// The user that it says it is, as far as it was looked at. Fit to be shown.
    pub(crate) fn claimed_user(&self) -> Option<&str> {
        match &self.login {
            Login::User(user) => Some(user),
            Login::Wrong(user) => Some(user),
            Login::Unasked | Login::Asked(..) => None,
        }
    }
}

/// Why an attempt is refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: RejectReason,
    /// Whoever came is not heard any more: guesses of keys cost a connection each.
    pub(crate) closes: bool,
    /// It may have been a guess, and counts for `access.failed_attempts`.
    pub(crate) is_guess: bool,
    /// The limit that leaves no room for it, to be reported.
    pub(crate) limit: Option<Limit>,
    /// What people read, where the peer's program is told something else.
    pub(crate) said: Option<String>,
    /// It is a question rather: whoever came is to come back with the answer.
    pub(crate) asks: bool,
}

impl Refusal {
    /// Somebody may not come, and is not heard any more.
    fn unauthorized(words: impl Into<String>) -> Refusal {
        Refusal {
            closes: true,
            ..RejectReason::Unauthorized(words.into()).into()
        }
    }

    /// The text that people read.
    pub(crate) fn text(&self) -> &str {
        self.said.as_deref().unwrap_or(self.reason.text())
    }
}

impl From<RejectReason> for Refusal {
    fn from(reason: RejectReason) -> Refusal {
        Refusal {
            reason,
            closes: false,
            is_guess: false,
            limit: None,
            said: None,
            asks: false,
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
            certificate: attempt.certificate.clone(),
            user: attempt.user().cloned(),
            tc_url: attempt.tc_url.clone(),
            client: attempt.client.clone(),
            timeout,
            responder: Some(answer),
            question: question.clone(),
        });
        Decision::Pending(Asked(question))
    }

    /// The rules that need nobody's answer, each a step, in order. A guess is counted, and a
    /// limit that is reached reported.
    pub(crate) fn check(&self, attempt: &Attempt) -> Result<(), Refusal> {
        let Err(refusal) = self.would_grant(attempt) else {
            return Ok(());
        };
        if refusal.is_guess {
            self.wrong_keys.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(limit) = refusal.limit {
            self.report_limit(limit, attempt.connection);
        }
        Err(refusal)
    }

    /// The same for who does not ask for it yet: what would open it. Nothing is counted, and
    /// nothing reported.
    pub(crate) fn would_grant(&self, attempt: &Attempt) -> Result<OpenedBy, Refusal> {
        self.check_address(attempt)?;
        check_connection_limits(attempt)?;
        self.check_route(attempt)?;
        self.check_name(attempt)?;
        self.check_user(attempt)?;
        let opened_by = self.check_keys(attempt)?;
        self.check_draining(attempt)?;
        self.check_capacity()?;
        Ok(opened_by)
    }

    /// The name under which a peer asks for a stream or an app. Its last segment may be
    /// a key unless one came in the query.
    pub(crate) fn peer_name(&self, path: &str, query: &str) -> StreamName {
        let key = key_in(query);
        let secrecy = if self.secret_names.load(Ordering::Relaxed) {
            Secrecy::Secret
        } else if key.is_none() && self.asks_for_keys() {
            Secrecy::Suspected
        } else {
            Secrecy::Public
        };
        StreamName::new(path, secrecy, &self.masks, |part| {
            // Also where somebody gives it twice.
            key == Some(part) || self.is_key(part)
        })
    }

    /// The stream that a peer asks for, and the record of the key that it comes with. Where
    /// the key is the name, it stands for the stream of its record, which is all that
    /// anybody learns.
    pub(crate) fn requested(
        &self,
        protocol: Protocol,
        action: AccessAction,
        path: &str,
        query: &str,
    ) -> (StreamName, Option<Arc<KeyRecord>>) {
        let kind = match action {
            AccessAction::Publish => KeyKind::Publish,
            AccessAction::Play => KeyKind::Play,
            AccessAction::Connect => return (self.peer_name(path, query), None),
        };
        let (app, name) = path.rsplit_once('/').unwrap_or(("", path));
        let credential = match key_in(query) {
            None if protocol.is_http() => return (self.peer_name(path, query), None),
            credential => credential.unwrap_or(name),
        };
        let record = self.key_records.find(kind, app, credential);
        let stream = match &record {
            Some(record) if is_equal(name, &record.key) => {
                self.name(&record.public_path(), Secrecy::Public)
            }
            _ => self.peer_name(path, query),
        };
        (stream, record)
    }

    /// True if anybody needs a key for anything.
    fn asks_for_keys(&self) -> bool {
        self.asks_for_key(KeyKind::Publish) || self.asks_for_key(KeyKind::Play)
    }

    /// The name by which the host calls a stream.
    pub(crate) fn host_name(&self, path: &str) -> StreamName {
        let path = openrtmp_protocol::StreamName::join("", path);
        self.name(path.reveal(), Secrecy::Public)
    }

    /// The same of a path made from another stream's, as secret as that is.
    pub(crate) fn host_name_beside(&self, stream: &StreamName, path: &str) -> StreamName {
        let name = self.host_name(path);
        name.learn(match stream.without_keys() == stream.reveal() {
            true => stream.secrecy(),
            // Part of a key may be one to guess the rest of.
            false => Secrecy::Secret,
        });
        name
    }

    fn name(&self, path: &str, secrecy: Secrecy) -> StreamName {
        StreamName::new(path, secrecy, &self.masks, |part| self.is_key(part))
    }

    /// True for what is or was a key.
    fn is_key(&self, text: &str) -> bool {
        !text.is_empty()
            && (self.publish_keys.remembers(text)
                || self.play_keys.remembers(text)
                || self.key_records.remembers(text))
    }

    /// A text without what is or was a key.
    pub(crate) fn masked(&self, text: &str) -> String {
        // What stands around a key in a path, a query, or a text that quotes one.
        let ends =
            |c: char| c.is_whitespace() || c.is_control() || "/?&#'\"`,;()<>[]{}".contains(c);
        let mut masked = String::with_capacity(text.len());
        for piece in text.split_inclusive(ends) {
            let word = piece.trim_end_matches(ends);
            let value = word.split_once('=').map_or("", |(_, value)| value);
            let key = [word, value].into_iter().find(|text| self.is_key(text));
            match key {
                Some(key) => {
                    let before = word.len() - key.len();
                    masked.push_str(&piece[..before]);
                    masked.push_str("***");
                    masked.push_str(&piece[word.len()..]);
                }
                None => masked.push_str(piece),
            }
        }
        masked
    }

    /// Nothing is held against where it comes from.
    fn check_address(&self, attempt: &Attempt) -> Result<(), Refusal> {
        if attempt.protocol == Protocol::Outgoing {
            return Ok(());
        }
        let address = attempt.peer.ip();
        let reason = if self.is_blocked(address) {
            "your address is blocked for a while, after too many failed attempts"
        } else if !self
            .address_rules
            .allow(address, attempt.action, attempt.app_asked_for())
        {
            "your address may not do this"
        } else {
            return Ok(());
        };
        Err(Refusal::unauthorized(reason))
    }

    pub(crate) fn is_blocked(&self, address: IpAddr) -> bool {
        // Settings may have come since it was blocked.
        let is_exempt = self.address_rules.trusts(address);
        let blocks = self.config().access.failed_attempts.limit > 0;
        blocks && !is_exempt && self.failed_attempts.is_blocked(address, self.now())
    }

    /// An attempt failed that may have been a guess.
    pub(crate) fn note_failure(&self, attempt: &Attempt) {
        let address = attempt.peer.ip();
        if attempt.protocol == Protocol::Outgoing || self.address_rules.trusts(address) {
            return;
        }
        let (config, now) = (self.config(), self.now());
        let FailedAttemptsConfig {
            limit,
            window,
            block,
        } = config.access.failed_attempts;
        let blocks = self
            .failed_attempts
            .note(address, &config.access.failed_attempts, now);
        if !blocks {
            return;
        }
        self.report_limit(Limit::FailedAttempts, attempt.connection);
        if !self.log_limit.admits(Cause::Blocked, now) {
            return;
        }
        log::warn!(
            peer:% = attempt.peer;
            "{address} is blocked for {block:?}: {limit} failed attempts within {window:?}"
        );
        self.emit(Event::AddressBlocked { address, block });
    }

    /// An attempt succeeded: if somebody had to know something for it, what failed before
    /// was no guessing.
    pub(crate) fn note_success(&self, attempt: &Attempt) {
        let needs_key = match attempt.action {
            _ if attempt.protocol == Protocol::Outgoing => false,
            AccessAction::Connect => matches!(attempt.login, Login::User(_)),
            AccessAction::Publish => self.asks_for_key(KeyKind::Publish),
            AccessAction::Play => self.asks_for_key(KeyKind::Play),
        };
        if needs_key || attempt.was_decided && attempt.action != AccessAction::Connect {
            self.failed_attempts.clear(attempt.peer.ip());
        }
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

    /// It is a user, if it has to be one.
    fn check_user(&self, attempt: &Attempt) -> Result<(), Refusal> {
        let publishes = attempt.action == AccessAction::Publish || attempt.will_publish;
        // The host's own wish.
        if attempt.protocol == Protocol::Outgoing || !self.users.demands(publishes) {
            return Ok(());
        }
        let (words, said, why) = match &attempt.login {
            Login::User(user) if self.users.knows(user) => return Ok(()),
            Login::User(_) | Login::Unasked => {
                let words = Why::Name.to_string();
                (words.clone(), words, None)
            }
            Login::Asked(words, why) => (words.clone(), why.to_string(), Some(why)),
            Login::Wrong(_) => {
                let said = "the user name or the password is wrong".to_owned();
                (AuthDemand::Wrong.to_string(), said, None)
            }
        };
        let limit = match why {
            Some(Why::Again(limit)) => *limit,
            _ => None,
        };
        Err(Refusal {
            is_guess: matches!(attempt.login, Login::Wrong(_)),
            limit,
            said: Some(said),
            asks: why.is_some(),
            ..Refusal::unauthorized(words)
        })
    }

    /// A key opens it, if one is asked for.
    fn check_keys(&self, attempt: &Attempt) -> Result<OpenedBy, Refusal> {
        self.opened_by(attempt).map_err(|reason| Refusal {
            // Who brings nothing guesses nothing.
            is_guess: attempt.credential().is_some(),
            ..Refusal::unauthorized(reason)
        })
    }

    /// What of an attempt opens what is asked for; the error is why nothing does.
    pub(crate) fn opened_by(&self, attempt: &Attempt) -> Result<OpenedBy, &'static str> {
        let (ring, kind) = match attempt.action {
            // The host's own wish.
            _ if attempt.protocol == Protocol::Outgoing => return Ok(OpenedBy::Nobody),
            AccessAction::Connect => return Ok(OpenedBy::Nobody),
            AccessAction::Publish => (&self.publish_keys, KeyKind::Publish),
            AccessAction::Play => (&self.play_keys, KeyKind::Play),
        };
        let mut reason = "the key is not valid";
        if let Some(record) = &attempt.record {
            let stream = record.stream.as_deref();
            let is_for_it = stream.is_none_or(|stream| stream == attempt.asked_for().name());
            match self.key_records.opens(record, self.time_of_day()) {
                true if is_for_it => return Ok(OpenedBy::Record(record.clone())),
                true => reason = "the key is not for this stream",
                false if self.key_records.holds(record) => reason = "the key has expired",
                false => {}
            }
        }
        let credential = attempt.credential();
        match credential {
            _ if !self.asks_for_key(kind) => Ok(OpenedBy::Nobody),
            Some(key) if !ring.is_open() && ring.allows(key) => {
                Ok(OpenedBy::Key(Secret::from(key.to_owned())))
            }
            Some(_) => Err(reason),
            None => Err("a key is needed"),
        }
    }

    /// Somebody new is taken.
    fn check_draining(&self, attempt: &Attempt) -> Result<(), Refusal> {
        // The host's own wish.
        if attempt.protocol == Protocol::Outgoing || !self.drain.is_on() {
            return Ok(());
        }
        let text = "the server is being drained: it takes nobody new".to_owned();
        let reason = match self.drain.tc_url(attempt.app_asked_for()) {
            Some(to) => RejectReason::Moved { text, to },
            None => RejectReason::Unavailable(text),
        };
        Err(Refusal {
            closes: true,
            ..reason.into()
        })
    }

    /// It is not passed on in a circle.
    fn check_route(&self, attempt: &Attempt) -> Result<(), RejectReason> {
        let goes_round = |connection| {
            let (action, name) = (attempt.action, &attempt.stream);
            let relays = self.relays.is_active().then(|| self.relays.lock());
            relays.is_some_and(|relays| relays.goes_round(connection, action, name))
        };
        let is_guest = attempt.protocol != Protocol::Outgoing;
        match attempt.is_loop || is_guest && attempt.connection.is_some_and(goes_round) {
            false => Ok(()),
            true => Err(RejectReason::Loop("relayed in a circle".into())),
        }
    }

    /// The server can take on more.
    fn check_capacity(&self) -> Result<(), Refusal> {
        let no_room = |text: &str| Refusal::from(RejectReason::Unavailable(text.into()));
        if self.stopping.load(Ordering::Acquire) {
            return Err(no_room("the server is stopping"));
        }
        if self.budget.is_exhausted() {
            return Err(Refusal {
                limit: Some(Limit::Memory),
                ..no_room("the server is out of memory")
            });
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
