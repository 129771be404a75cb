//! Who may play: asked once for each viewer, and carried on in the path.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use http::{HeaderMap, Response, StatusCode};
use openrtmp_core::{PlayGranted, PlayRefused, PlayRequest, Protocol, Server};
use tokio::sync::oneshot;

use super::answer::status;
use super::token::{KEY_TAG, Pass, Secrets};

/// So long what keys there are is taken to be so: less than a segment.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// Bytes of what a viewer says that it is that are told on.
const LONGEST_CLIENT: usize = 256;

/// What decides about viewers.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) secrets: Secrets,
    standing: Mutex<Option<(Instant, Standing)>>,
}

/// What names the keys that still open what they opened; `None`: all do.
type Standing = Option<HashSet<[u8; KEY_TAG]>>;

impl Access {
    pub(super) fn new(secrets: Secrets) -> Access {
        Access {
            secrets,
            standing: Mutex::default(),
        }
    }

    /// The token of a viewer that was granted a stream.
    pub(super) fn token(&self, granted: &PlayGranted, life: Duration) -> String {
        let mut viewer = [0; 8];
        // Without randomness viewers have one name; nothing depends on it.
        let _ = getrandom::fill(&mut viewer);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let pass = Pass {
            path: granted.stream.reveal().to_owned(),
            expires: (now.unwrap_or_default() + life).as_secs(),
            viewer: u64::from_be_bytes(viewer),
            key: granted.tag(self.secrets.naming()),
        };
        self.secrets.sign(&pass)
    }

    /// Whether this token opens this stream now; one that is over opens what has been listed
    /// for `late` more.
    pub(super) fn opens(&self, server: &Server, token: &str, path: &str, late: Duration) -> bool {
        let pass = self.secrets.check(token, SystemTime::now(), late);
        let Some(pass) = pass.filter(|pass| pass.path == path) else {
            return false;
        };
        self.is_open(server, pass.key)
    }

    /// What somebody who was granted a stream plays it by.
    pub(super) fn right(&self, granted: &PlayGranted) -> Right {
        Right::Granted(granted.tag(self.secrets.naming()))
    }

    /// Whether somebody may go on to play a stream.
    pub(super) fn holds(&self, server: &Server, right: &Right, path: &str) -> bool {
        match right {
            Right::Token(token) => self.opens(server, token, path, Duration::ZERO),
            Right::Granted(key) => self.is_open(server, *key),
        }
    }

    /// Whether who came with this key may go on, or none was asked for. The rule is the
    /// server's; what it says is good for a moment.
    fn is_open(&self, server: &Server, key: Option<[u8; KEY_TAG]>) -> bool {
        let Some(key) = key else {
            return true;
        };
        let standing = || self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let opens = |keys: &Standing| keys.as_ref().is_none_or(|keys| keys.contains(&key));
        if let Some((at, keys)) = &mut *standing() {
            let is_fresh = now.duration_since(*at) < GOOD_FOR;
            // Of many keys it takes a while: the others go by what was, meanwhile.
            *at = if is_fresh { *at } else { now };
            if is_fresh {
                return opens(keys);
            }
        }
        // As tokens of each of the secrets name them.
        let each = self.secrets.all().map(|it| server.standing_grants(it));
        let keys = each.collect::<Option<Vec<_>>>();
        let keys = keys.map(|keys| keys.into_iter().flatten().collect());
        opens(&standing().insert((now, keys)).1)
    }
}

/// What somebody plays by, for as long as it does.
pub(super) enum Right {
    /// A token.
    Token(String),
    /// What was decided when it came, and the key that it came with.
    Granted(Option<[u8; KEY_TAG]>),
}

/// What somebody who wants to play says of itself.
pub(super) struct Asking<'a> {
    pub(super) protocol: Protocol,
    pub(super) address: SocketAddr,
    pub(super) is_tls: bool,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
}

/// Asks the server whether somebody may play.
///
/// # Errors
/// The answer to who may not.
pub(super) async fn ask(
    server: &Server,
    asking: Asking<'_>,
) -> Result<PlayGranted, Response<Body>> {
    let header = |name| asking.headers.get(name).and_then(|it| it.to_str().ok());
    let mut client = header(http::header::USER_AGENT).unwrap_or("").to_owned();
    client.truncate(LONGEST_CLIENT);
    let scheme = if asking.is_tls { "https" } else { "http" };
    let host = header(http::header::HOST).unwrap_or("");
    let request = PlayRequest {
        protocol: asking.protocol,
        peer: asking.address,
        path: asking.path.to_owned(),
        query: asking.query.to_owned(),
        url: format!("{scheme}://{host}/{}", asking.path),
        client,
    };
    let (sender, answer) = oneshot::channel();
    let question = server.decide_play(request, move |decision| drop(sender.send(decision)));
    let patience = server.config().access.patience();
    let decision = tokio::time::timeout(patience, answer).await;
    drop(question);
    match decision {
        Ok(Ok(Ok(granted))) => Ok(granted),
        Ok(Ok(Err(PlayRefused { reason, is_passing }))) => Err(match is_passing {
            true => status(StatusCode::SERVICE_UNAVAILABLE, &reason),
            false => status(StatusCode::FORBIDDEN, &reason),
        }),
        Ok(Err(_)) | Err(_) => Err(status(
            StatusCode::SERVICE_UNAVAILABLE,
            "it was not decided in time",
        )),
    }
}
