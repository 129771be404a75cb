//! Those who want to play and come over another protocol than RTMP.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use openrtmp_protocol::Secret;
use openrtmp_protocol::session::RejectReason;

use super::action::{AccessAction, Protocol};
use super::attempt::{Attempt, Decision, Refusal};
use super::request::{Answer, Asked};
use super::standing::{OpenedBy, TAG};
use super::users::Login;
use super::{KeyKind, KeyRecord};
use crate::events::Event;
use crate::log_limit::Cause;
use crate::secret::StreamName;
use crate::server::Server;
use crate::shared::Shared;

/// What somebody wants to play.
#[derive(Clone)]
#[non_exhaustive]
pub struct PlayRequest {
    /// What it comes over.
    pub protocol: Protocol,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// The stream's path, as it was asked for.
    pub path: String,
    /// Query parameters, without `?`.
    pub query: String,
    /// The URL that it asked for, without the query.
    pub url: String,
    /// What it says that it is, as long as it says.
    pub client: String,
}

impl PlayRequest {
    /// Somebody came so from there; what it wants is to be added.
    pub fn new(protocol: Protocol, peer: SocketAddr) -> PlayRequest {
        PlayRequest {
            protocol,
            peer,
            path: String::new(),
            query: String::new(),
            url: String::new(),
            client: String::new(),
        }
    }
}

/// It may play.
#[derive(Clone)]
pub struct PlayGranted {
    /// The stream that it gets, which the host may have named.
    pub stream: StreamName,
    pub(super) by: OpenedBy,
}

/// It may not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlayRefused {
    /// Why, fit to be shown.
    pub reason: String,
    /// It is not its fault, and may be another answer later.
    pub is_passing: bool,
}

/// What is decided of a request. An answer of the host counts as long as this is there.
#[derive(Debug)]
pub struct PlayQuestion(#[expect(dead_code, reason = "dropped")] Option<Asked>);

/// What it asks for may hold a key.
impl fmt::Debug for PlayRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlayRequest")
            .field("protocol", &self.protocol)
            .field("peer", &self.peer)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

impl PlayGranted {
    /// What names the key that it was granted by without telling it, if there was one: among
    /// [`Server::standing_grants`] with the same secret as long as who came with it may go on.
    pub fn tag(&self, secret: &[u8]) -> Option<[u8; TAG]> {
        self.by.tag(secret)
    }
}

impl fmt::Debug for PlayGranted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlayGranted")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Whether somebody is asked who may play: keys, users, addresses, or the host. If not,
    /// everybody may.
    pub fn asks_players(&self) -> bool {
        let shared = &self.shared;
        let rules = !self.config().access.rules.is_empty();
        rules
            || shared.asks_for_key(KeyKind::Play)
            || shared.users.demands(false)
            || !shared.access.is_none()
    }

    /// Whether somebody new is taken: it is not being drained, nor stopped.
    pub fn takes_players(&self) -> bool {
        !self.shared.drain.is_on() && !self.shared.stopping.load(Ordering::Acquire)
    }

    /// Decides whether somebody may play who comes without an RTMP connection, by the same
    /// steps as for those who have one. `answer` is called once, perhaps before this
    /// returns, on any thread, unless the question is dropped before; a host that does not
    /// answer within `access.decision_timeout` is for the caller to see.
    ///
    /// The decision leaves a line in the log. Users cannot show a password over HTTP: where
    /// `access.authenticate` asks players, they are refused.
    pub fn decide_play(
        &self,
        request: PlayRequest,
        answer: impl FnOnce(Result<PlayGranted, PlayRefused>) + Send + 'static,
    ) -> PlayQuestion {
        let shared = &self.shared;
        let _here = self.works_for();
        let (path, query) = (request.path.as_str(), request.query.as_str());
        let protocol = request.protocol;
        let (stream, record) = shared.requested(protocol, AccessAction::Play, path, query);
        let attempt = attempt(shared, &request, stream, record);
        let answerer = Answerer {
            shared: Arc::downgrade(shared),
            attempt: attempt.clone(),
        };
        let (direct, late) = once(answer);
        let respond = {
            let answerer = answerer.clone();
            move |decision: Answer| {
                if let Some(answer) = late() {
                    answer(answerer.decided(decision));
                }
            }
        };
        let timeout = self.config().access.patience();
        let decision = match shared.decide(&attempt, timeout, Box::new(respond)) {
            Decision::Pending(asked) => return PlayQuestion(Some(asked)),
            Decision::Granted => Ok(answerer.granted()),
            Decision::Refused(refusal) => Err(answerer.refused(&refusal)),
        };
        if let Some(answer) = direct() {
            answer(decision);
        }
        PlayQuestion(None)
    }

    /// What names each of the keys with which somebody may go on who was granted to play by
    /// it ([`PlayGranted::tag`]); `None`: everybody may, whatever they came with. It is the rule
    /// of those who play over RTMP: a key on record that ended lets nobody begin and everybody
    /// go on, one that is gone or is for something else ends what it began, as does one of the
    /// settings or of the host that is gone (`access.revoke_ends_play`).
    pub fn standing_grants(&self, secret: &[u8]) -> Option<Vec<[u8; TAG]>> {
        let standing = self.shared.standing(KeyKind::Play)?;
        Some(standing.tags(secret))
    }
}

/// What somebody wants who comes without a connection of RTMP.
pub(super) fn attempt(
    shared: &Shared,
    request: &PlayRequest,
    stream: StreamName,
    record: Option<Arc<KeyRecord>>,
) -> Attempt {
    Attempt {
        protocol: request.protocol,
        action: AccessAction::Play,
        peer: request.peer,
        connection: None,
        app: shared.host_name(""),
        stream,
        asked_as: Some(shared.peer_name(&request.path, &request.query)),
        query: Secret::from(request.query.clone()),
        record,
        tc_url: Arc::new(Secret::from(request.url.clone())),
        client: request.client.as_str().into(),
        certificate: None,
        login: Login::Unasked,
        will_publish: false,
        was_decided: false,
        is_loop: false,
        over_limit: None,
    }
}

/// One of two may take it, once.
fn once<T>(value: T) -> (impl FnOnce() -> Option<T>, impl FnOnce() -> Option<T>) {
    let place = Arc::new(std::sync::Mutex::new(Some(value)));
    let other = place.clone();
    let take = |place: Arc<std::sync::Mutex<Option<T>>>| crate::sync::lock(&place).take();
    (move || take(place), move || take(other))
}

/// What becomes of a decision: what is written and counted, and what is told.
#[derive(Clone)]
struct Answerer {
    shared: Weak<Shared>,
    attempt: Attempt,
}

impl Answerer {
    /// The host's.
    fn decided(mut self, decision: Answer) -> Result<PlayGranted, PlayRefused> {
        let Some(shared) = self.shared.upgrade() else {
            return Err(PlayRefused {
                reason: "the server has stopped".to_owned(),
                is_passing: true,
            });
        };
        let refusal = match decision {
            Ok(granted) => {
                self.attempt.was_decided = granted.decided;
                if let Some(path) = granted.path {
                    self.attempt.rename(shared.host_name(&path));
                }
                // It may have changed while the host was asked.
                match shared.check(&self.attempt) {
                    Ok(()) => return Ok(self.granted()),
                    Err(refusal) => refusal,
                }
            }
            Err(reason) => {
                // What is not decided in time is no guess.
                let is_guess = matches!(reason, RejectReason::Unauthorized(_));
                Refusal {
                    is_guess,
                    ..reason.into()
                }
            }
        };
        Err(self.refused(&refusal))
    }

    fn granted(&self) -> PlayGranted {
        let stream = self.attempt.stream.clone();
        let mut by = OpenedBy::Gone;
        if let Some(shared) = self.shared.upgrade() {
            by = shared.granted_by(&self.attempt);
            shared.note_success(&self.attempt);
            shared.emit(self.told(stream.clone(), ""));
            if shared.log_limit.admits(Cause::Granted, shared.now()) {
                let (peer, client) = (self.attempt.peer, &*self.attempt.client);
                log::info!(
                    peer:%, action = "play", stream:%, software = client, outcome = "granted";
                    "play {stream}"
                );
            }
        }
        PlayGranted { stream, by }
    }

    /// The event of a decision.
    fn told(&self, target: StreamName, reason: &str) -> Event {
        Event::Access {
            protocol: self.attempt.protocol,
            action: self.attempt.action,
            connection: None,
            peer: self.attempt.peer,
            target,
            user: self.attempt.claimed_user().map(str::to_owned),
            granted: reason.is_empty(),
            reason: reason.to_owned(),
        }
    }

    fn refused(&self, refusal: &Refusal) -> PlayRefused {
        let reason = refusal.text().to_owned();
        if let Some(shared) = self.shared.upgrade() {
            if refusal.is_guess {
                shared.note_failure(&self.attempt);
            }
            let stream = shared.directory.lock().known(self.attempt.target());
            shared.emit(self.told(stream.clone(), &reason));
            if shared.log_limit.admits(Cause::Refused, shared.now()) {
                let (peer, client) = (self.attempt.peer, &*self.attempt.client);
                log::warn!(
                    peer:%, action = "play", stream:%, software = client, outcome = "refused",
                    reason = reason.as_str();
                    "play {stream} refused: {reason}"
                );
            }
        }
        PlayRefused {
            is_passing: matches!(
                refusal.reason,
                RejectReason::Unavailable(_) | RejectReason::Moved { .. }
            ),
            reason,
        }
    }
}
