//! Who may play: asked once for each viewer, and carried on in the path.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, Response, StatusCode};
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

/// The tokens that somebody shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// One in the path: nothing else can be meant.
    InPath(String),
    /// Those of headers, of which any may be for somebody else on the way here.
    InHeaders(Vec<String>),
}

impl Shown {
    /// That of the path, or those of headers; of the cookie where that counts.
    pub(super) fn of(
        in_path: Option<String>,
        headers: &HeaderMap,
        takes_cookies: bool,
    ) -> Option<Shown> {
        if let Some(token) = in_path {
            return Some(Shown::InPath(token));
        }
        let cookie = takes_cookies.then(|| cookie(headers)).flatten();
        let tokens = bearer(headers).into_iter().chain(cookie);
        let tokens: Vec<String> = tokens.map(str::to_owned).collect();
        (!tokens.is_empty()).then_some(Shown::InHeaders(tokens))
    }
}

/// A token that opens what is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admitted<'a> {
    pub(super) token: &'a str,
    /// It stands in the path, and may in others that the answer leads to. What came in a header
    /// is told in no answer: scripts of a page cannot read every cookie that they are sent with.
    pub(super) is_in_path: bool,
}

/// The lines of a header that are text.
fn texts(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let all = headers.get_all(name).into_iter();
    all.filter_map(|it| it.to_str().ok())
}

/// A token in `Authorization: Bearer` (RFC 6750, 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    texts(headers, AUTHORIZATION).find_map(|said| {
        let (scheme, token) = said.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    })
}

/// A token in the cookie.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let mut cookies = texts(headers, COOKIE).flat_map(|said| said.split(';'));
    cookies.find_map(|cookie| {
        let (name, token) = cookie.split_once('=')?;
        (name.trim() == COOKIE_NAME).then(|| token.trim())
    })
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
        let expires = (now.unwrap_or_default() + tokens.life).as_secs();
        let mut pass = Pass::new("", expires);
        granted.stream.reveal().clone_into(&mut pass.path);
        pass.from = tokens.same_address.then(|| network_of(from)).flatten();
        pass.viewer = u64::from_be_bytes(viewer);
        pass.key = granted.tag(self.secrets.naming());
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

    /// The token that opens this stream, if one is shown; see [`Access::opens`]. Those in headers
    /// that do not are passed over.
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
    ) -> Result<Option<Admitted<'a>>, Response<Body>> {
        let (tokens, is_in_path) = match shown {
            None => return Ok(None),
            Some(Shown::InPath(token)) => (std::slice::from_ref(token), true),
            Some(Shown::InHeaders(tokens)) => (tokens.as_slice(), false),
        };
        let opens = |token: &&String| self.opens(server, token, path, from, late);
        match tokens.iter().find(opens) {
            Some(token) => Ok(Some(Admitted { token, is_in_path })),
            None if is_in_path => Err(forbidden()),
            None => Ok(None),
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
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_token_may_stand_in_a_header() {
        let headers = |fields: &[(HeaderName, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, text) in fields {
                headers.append(name.clone(), HeaderValue::from_static(text));
            }
            headers
        };
        let in_headers = |tokens: &[&str]| {
            let tokens = tokens.iter().map(|&token| token.to_owned());
            Some(Shown::InHeaders(tokens.collect()))
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
            let shown = Shown::of(None, &headers(&[(name, text)]), true);
            let expected = expected.and_then(|token| in_headers(&[token]));
            assert_eq!(shown, expected, "{text}");
        }
        let both = [
            (COOKIE, "__Host-openrtmp=cookie"),
            (AUTHORIZATION, "Basic YTpi"),
            (AUTHORIZATION, "Bearer header"),
        ];
        let both = headers(&both);
        let shown = Shown::of(None, &both, true);
        assert_eq!(shown, in_headers(&["header", "cookie"]));
        let shown = Shown::of(None, &both, false);
        assert_eq!(shown, in_headers(&["header"]));
        let cookie = headers(&[(COOKIE, "__Host-openrtmp=cookie")]);
        assert_eq!(Shown::of(None, &cookie, false), None);
        // What a path says is meant.
        let shown = Shown::of(Some("path".to_owned()), &both, true);
        assert_eq!(shown, Some(Shown::InPath("path".to_owned())));
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
