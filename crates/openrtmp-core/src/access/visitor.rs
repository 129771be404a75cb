//! Those who want to play and come over another protocol than RTMP.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use openrtmp_protocol::Secret;
use openrtmp_protocol::session::RejectReason;
use sha2::Sha256;

use super::attempt::{Attempt, Decision, Refusal};
use super::keys::key_in;
use super::request::{AccessAction, Answer, Asked, Protocol};
use super::users::Login;
use super::{KeyKind, KeyRecord};
use crate::log_limit::Cause;
use crate::secret::StreamName;
use crate::server::Server;
use crate::shared::Shared;

/// Used when `access.decision_timeout` is zero.
const DECISION_TIMEOUT: Duration = Duration::from_secs(10);

/// What somebody wants to play.
#[derive(Clone, Debug)]
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

/// It may play.
#[derive(Clone)]
pub struct PlayGranted {
    /// The stream that it gets, which the host may have named.
    pub stream: StreamName,
    pub(super) key: Option<Secret>,
}

/// It may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayRefused {
    /// Why, fit to be shown.
    pub reason: String,
    /// It is not its fault, and may be another answer later.
    pub is_passing: bool,
}

/// What is decided of a request. An answer of the host counts as long as this is there.
#[derive(Debug)]
pub struct PlayQuestion(#[expect(dead_code, reason = "dropped")] Option<Asked>);

/// Bytes of [`PlayGranted::key_tag`].
const TAG: usize = 12;

impl PlayGranted {
    /// What names the key that it was granted by without telling it, if there was one; to
    /// be found among [`Server::play_key_tags`] with the same secret.
    pub fn key_tag(&self, secret: &[u8]) -> Option<[u8; TAG]> {
        self.key.as_ref().map(|key| tag(key.reveal(), secret))
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
        let keys = !shared.play_keys.is_open() || shared.key_records.asks_for_key(KeyKind::Play);
        rules || keys || shared.users.demands(false) || !shared.access.is_none()
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
        let (stream, record) = shared.requested(AccessAction::Play, path, query);
        let key = presented(shared, path, query, record.as_deref());
        let attempt = attempt(shared, &request, stream, record);
        let answerer = Answerer {
            shared: Arc::downgrade(shared),
            attempt: attempt.clone(),
            key,
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
        let timeout = match self.config().access.decision_timeout {
            Duration::ZERO => DECISION_TIMEOUT,
            timeout => timeout,
        };
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

    /// What names each of the keys that open streams for players now.
    pub fn play_key_tags(&self, secret: &[u8]) -> Vec<[u8; TAG]> {
        let shared = &self.shared;
        let mut keys = shared.play_keys.list();
        keys.extend(
            shared
                .key_records
                .open_keys(KeyKind::Play, shared.time_of_day()),
        );
        keys.iter().map(|key| tag(key, secret)).collect()
    }
}

fn tag(key: &str, secret: &[u8]) -> [u8; TAG] {
    let mut tag = [0; TAG];
    // Every length of key is one for HMAC.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) {
        mac.update(key.as_bytes());
        tag.copy_from_slice(&mac.finalize().into_bytes()[..TAG]);
    }
    tag
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

/// The key that somebody comes with, if keys are asked for.
pub(super) fn presented(
    shared: &Shared,
    path: &str,
    query: &str,
    record: Option<&KeyRecord>,
) -> Option<Secret> {
    let is_open = shared.play_keys.is_open() && !shared.key_records.asks_for_key(KeyKind::Play);
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let key = record.map_or_else(|| key_in(query).unwrap_or(name), |record| &record.key);
    (!is_open).then(|| Secret::from(key.to_owned()))
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
    key: Option<Secret>,
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
        if let Some(shared) = self.shared.upgrade() {
            shared.note_success(&self.attempt);
            if shared.log_limit.admits(Cause::Granted, shared.now()) {
                let (peer, client) = (self.attempt.peer, &*self.attempt.client);
                log::info!(
                    peer:%, action = "play", stream:%, software = client, outcome = "granted";
                    "play {stream}"
                );
            }
        }
        PlayGranted {
            stream,
            key: self.key.clone(),
        }
    }

    fn refused(&self, refusal: &Refusal) -> PlayRefused {
        let reason = refusal.text().to_owned();
        if let Some(shared) = self.shared.upgrade() {
            if refusal.is_guess {
                shared.note_failure(&self.attempt);
            }
            if shared.log_limit.admits(Cause::Refused, shared.now()) {
                let stream = shared.directory.lock().known(self.attempt.target());
                let (peer, client) = (self.attempt.peer, &*self.attempt.client);
                log::warn!(
                    peer:%, action = "play", stream:%, software = client, outcome = "refused",
                    reason = reason.as_str();
                    "play {stream} refused: {reason}"
                );
            }
        }
        PlayRefused {
            is_passing: matches!(refusal.reason, RejectReason::Unavailable(_)),
            reason,
        }
    }
}
