//! Who may play: asked once for each viewer, and carried on in the path.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, Response, StatusCode};
use openrtmp_core::{Network, PlayGranted, PlayRefused, PlayRequest, Protocol, Server, counted_as};
use tokio::sync::oneshot;

use super::answer::status;
use super::entrance::forbidden;
use super::token::{KEY_TAG, Pass, Secrets};

/// So long what keys there are is taken to be so: less than a segment.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// Bytes of what a viewer says that it is that are told on.
const LONGEST_CLIENT: usize = 256;

/// The cookie that a token may stand in. By its prefix browsers take it over TLS alone, for all
/// paths of this host and for no other host (RFC 6265bis, 4.1.3.2).
const COOKIE_NAME: &str = "__Host-openrtmp";
/// Bits of an IPv6 address that are one viewer's network.
const NETWORK_BITS: u8 = 64;

/// A token that somebody shows.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) token: String,
    /// It stands in the path, so that nothing else can be meant.
    is_in_path: bool,
}

impl Shown {
    /// That of the path, or of a header.
    pub(super) fn of(in_path: Option<String>, headers: &HeaderMap) -> Option<Shown> {
        let is_in_path = in_path.is_some();
        let token = in_path.or_else(|| in_headers(headers).map(str::to_owned))?;
        Some(Shown { token, is_in_path })
    }
}

/// A token in `Authorization: Bearer` (RFC 6750, 2.1), or in the cookie.
fn in_headers(headers: &HeaderMap) -> Option<&str> {
    let texts = |name| {
        let all = headers.get_all(name).into_iter();
        all.filter_map(|it| it.to_str().ok())
    };
    let bearer = texts(AUTHORIZATION).find_map(|said| {
        let (scheme, token) = said.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let mut cookies = texts(COOKIE).flat_map(|said| said.split(';'));
    let cookie = || {
        cookies.find_map(|cookie| {
            let (name, token) = cookie.split_once('=')?;
            (name.trim() == COOKIE_NAME).then(|| token.trim())
        })
    };
    bearer.or_else(cookie)
}

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

    /// The token of a viewer that was granted a stream, and asks from there.
    pub(super) fn token(&self, server: &Server, granted: &PlayGranted, from: IpAddr) -> String {
        let config = server.config();
        let tokens = &config.http.tokens;
        let mut viewer = [0; 8];
        // Without randomness viewers have one name; nothing depends on it.
        let _ = getrandom::fill(&mut viewer);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let pass = Pass {
            path: granted.stream.reveal().to_owned(),
            is_prefix: false,
            expires: (now.unwrap_or_default() + tokens.life).as_secs(),
            from: tokens.same_address.then(|| network_of(from)).flatten(),
            viewer: u64::from_be_bytes(viewer),
            key: granted.tag(self.secrets.naming()),
        };
        self.secrets.sign(&pass)
    }

    /// Whether this token opens this stream now for who asks from there; one that is over opens
    /// what has been listed for `late` more.
    pub(super) fn opens(
        &self,
        server: &Server,
        token: &str,
        path: &str,
        from: IpAddr,
        late: Duration,
    ) -> bool {
        let pass = self.secrets.check(token, SystemTime::now(), late);
        let pass = pass.filter(|pass| pass.opens(path, from));
        pass.is_some_and(|pass| self.is_open(server, pass.key))
    }

    /// The token that opens this stream, if one is shown; see [`Access::opens`]. One in a header
    /// that does not is passed over: it may be for somebody else, on the way here.
    ///
    /// # Errors
    /// The answer to whom that of its path does not open it.
    pub(super) fn admit<'a>(
        &self,
        server: &Server,
        shown: Option<&'a Shown>,
        path: &str,
        from: IpAddr,
        late: Duration,
    ) -> Result<Option<&'a str>, Response<Body>> {
        let Some(shown) = shown else {
            return Ok(None);
        };
        match self.opens(server, &shown.token, path, from, late) {
            true => Ok(Some(&shown.token)),
            false if shown.is_in_path => Err(forbidden()),
            false => Ok(None),
        }
    }

    /// What somebody who was granted a stream plays it by.
    pub(super) fn right(&self, granted: &PlayGranted) -> Right {
        Right::Granted(granted.tag(self.secrets.naming()))
    }

    /// Whether somebody may go on to play a stream.
    pub(super) fn holds(&self, server: &Server, right: &Right, path: &str) -> bool {
        match right {
            Right::Token(token, from) => self.opens(server, token, path, *from, Duration::ZERO),
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

/// The network that an address is one viewer's of.
fn network_of(address: IpAddr) -> Option<Network> {
    let text = match counted_as(address) {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("{v6}/{NETWORK_BITS}"),
    };
    Network::parse(&text)
}

/// What somebody plays by, for as long as it does.
pub(super) enum Right {
    /// A token, shown from there.
    Token(String, IpAddr),
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
    let mut request = PlayRequest::new(asking.protocol, asking.address);
    asking.path.clone_into(&mut request.path);
    asking.query.clone_into(&mut request.query);
    request.url = format!("{scheme}://{host}/{}", asking.path);
    request.client = client;
    let (sender, answer) = oneshot::channel();
    let question = server.decide_play(request, move |decision| drop(sender.send(decision)));
    let patience = server.config().access.patience();
    let decision = tokio::time::timeout(patience, answer).await;
    drop(question);
    match decision {
        Ok(Ok(Ok(granted))) => Ok(granted),
        Ok(Ok(Err(PlayRefused {
            reason, is_passing, ..
        }))) => Err(match is_passing {
            true => status(StatusCode::SERVICE_UNAVAILABLE, &reason),
            false => status(StatusCode::FORBIDDEN, &reason),
        }),
        Ok(Err(_)) | Err(_) => Err(status(
            StatusCode::SERVICE_UNAVAILABLE,
            "it was not decided in time",
        )),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn a_token_may_stand_in_a_header() {
        let token = |fields: &[(HeaderName, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, text) in fields {
                headers.append(name.clone(), HeaderValue::from_static(text));
            }
            in_headers(&headers).map(str::to_owned)
        };
        for (name, text, expected) in [
            (AUTHORIZATION, "Bearer a.b", Some("a.b")),
            (AUTHORIZATION, "bearer  a.b ", Some("a.b")),
            (AUTHORIZATION, "Basic YTpi", None),
            (AUTHORIZATION, "a.b", None),
            (COOKIE, "x=1; __Host-openrtmp=a.b; y=2", Some("a.b")),
            (COOKIE, "__Host-openrtmp=a=b", Some("a=b")),
            (COOKIE, "openrtmp=a.b", None),
            (COOKIE, "x__Host-openrtmp=a.b", None),
        ] {
            assert_eq!(token(&[(name, text)]).as_deref(), expected, "{text}");
        }
        let both = [
            (COOKIE, "__Host-openrtmp=cookie"),
            (AUTHORIZATION, "Basic YTpi"),
            (AUTHORIZATION, "Bearer header"),
        ];
        assert_eq!(token(&both).as_deref(), Some("header"));
        // What a path says is meant.
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer header"));
        let shown = Shown::of(Some("path".to_owned()), &headers).unwrap();
        assert_eq!((shown.token.as_str(), shown.is_in_path), ("path", true));
        let shown = Shown::of(None, &headers).unwrap();
        assert_eq!((shown.token.as_str(), shown.is_in_path), ("header", false));
    }

    #[test]
    fn an_address_is_of_the_network_that_is_its_viewers() {
        for (address, inside, outside) in [
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("2001:db8::7", "2001:db8::8", "2001:db8:0:1::7"),
        ] {
            let network = network_of(address.parse().unwrap()).unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{address}");
            assert!(!network.contains(outside.parse().unwrap()), "{address}");
        }
    }
}
