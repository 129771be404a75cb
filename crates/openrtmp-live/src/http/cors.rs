//! Which pages of other sites may read answers (the Fetch standard, 3.2).

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HOST,
    HeaderMap, HeaderName, HeaderValue, ORIGIN, UPGRADE, VARY,
};
use openrtmp_core::CorsConfig;

const TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");

/// Says in an answer to a request from this origin who may read it.
pub(super) fn allow(config: &CorsConfig, origin: Option<HeaderValue>, answer: &mut HeaderMap) {
    let is_for_all = config.origins.iter().any(|origin| origin == "*");
    let allowed = match is_for_all {
        true => Some(HeaderValue::from_static("*")),
        false => {
            // Another origin is told something else.
            answer.append(VARY, HeaderValue::from_static("Origin"));
            let is_named = |text: &str| config.origins.iter().any(|origin| origin == text);
            origin.filter(|origin| origin.to_str().is_ok_and(&is_named))
        }
    };
    let Some(allowed) = allowed else { return };
    if !is_for_all {
        // With the cookie that a token may stand in: not to whoever asks.
        let yes = HeaderValue::from_static("true");
        answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
    }
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed.clone());
    answer.insert(TIMING_ALLOW_ORIGIN, allowed);
    let exposed = "Content-Length, Content-Range, Date, Age, ETag, Server-Timing";
    let exposed = HeaderValue::from_static(exposed);
    answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
}

/// What who opens a WebSocket may do with it. Browsers hold no answer back from the page that
/// opens one, and send the cookies of this host with it, whichever site the page is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opener {
    /// No page, one of this host, or one of a site that is named: its cookies count.
    Trusted,
    /// A page of whichever site, where all may use streams: as somebody without cookies.
    Anybody,
    /// A page of a site that may not open one.
    Refused,
}

/// Whether a request is to become a WebSocket. To what else somebody would change is passed over
/// (RFC 9110, 7.8).
pub(super) fn is_socket(request: &HeaderMap) -> bool {
    let to = request.get(UPGRADE).map(HeaderValue::as_bytes);
    to.is_some_and(|to| to.eq_ignore_ascii_case(b"websocket"))
}

/// Who opens a WebSocket, by the page's origin (RFC 6455, 10.2).
pub(super) fn opener(config: &CorsConfig, request: &HeaderMap, is_tls: bool) -> Opener {
    let Some(origin) = request.get(ORIGIN).map(HeaderValue::as_bytes) else {
        return Opener::Trusted;
    };
    let host = request.get(HOST).map(HeaderValue::as_bytes);
    let is_own = |scheme: &[u8]| host.is_some() && origin.strip_prefix(scheme) == host;
    let is_named = |name: &[u8]| config.origins.iter().any(|it| it.as_bytes() == name);
    if is_own(b"https://") || is_named(origin) {
        return Opener::Trusted;
    }
    // Whoever is on the way can write a page of this host without TLS, and a cookie that counts
    // is one of pages with it. In front of a server without TLS there may be a proxy with it.
    let is_own_without_tls = !is_tls && is_own(b"http://");
    match is_named(b"*") || is_own_without_tls {
        true => Opener::Anybody,
        false => Opener::Refused,
    }
}

/// Whether the cookies of a request are what its viewer means by it.
pub(super) fn takes_cookies(config: &CorsConfig, request: &HeaderMap, is_tls: bool) -> bool {
    !is_socket(request) || opener(config, request, is_tls) == Opener::Trusted
}

/// Says what may be asked for, to who asks that.
pub(super) fn preflight(answer: &mut HeaderMap) {
    let allowed = "Range, Authorization, Content-Type, If-Modified-Since, If-None-Match, \
                   If-Range, CMCD-Object, CMCD-Request, CMCD-Session, CMCD-Status";
    for (name, text) in [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, OPTIONS"),
        (ACCESS_CONTROL_ALLOW_HEADERS, allowed),
        (ACCESS_CONTROL_MAX_AGE, "7200"),
    ] {
        answer.insert(name, HeaderValue::from_static(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_a_named_site_may_read_and_no_other() {
        let allowed = |origins: &[&str], origin: &'static str| {
            let mut config = CorsConfig::default();
            config.origins = origins.iter().map(|&origin| origin.to_owned()).collect();
            let mut answer = HeaderMap::new();
            allow(&config, Some(HeaderValue::from_static(origin)), &mut answer);
            let varies = answer.get(VARY).is_some_and(|vary| vary == "Origin");
            let origin = answer.get(ACCESS_CONTROL_ALLOW_ORIGIN);
            (origin.map(|is| is.to_str().unwrap().to_owned()), varies)
        };
        let (own, other) = ("https://own.example", "https://own.example.other");
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(allowed(&["*"], other), (some("*"), false));
        assert_eq!(allowed(&[own], own), (some(own), true));
        assert_eq!(allowed(&[own], other), (None, true));
        assert_eq!(allowed(&[own], "null"), (None, true));
        assert_eq!(allowed(&[], own), (None, true));
    }

    #[test]
    fn a_page_of_another_site_opens_no_websocket_or_one_without_its_cookies() {
        const A: &str = "https://a.example";
        let (own, plain) = ("https://own.example:8080", "http://own.example:8080");
        for (origins, origin, without_tls, with_tls) in [
            (&["*"][..], Some(A), Opener::Anybody, Opener::Anybody),
            (&["*"], Some("null"), Opener::Anybody, Opener::Anybody),
            (&["*", A], Some(A), Opener::Trusted, Opener::Trusted),
            (&[A], Some(A), Opener::Trusted, Opener::Trusted),
            (
                &[A],
                Some("https://a.example.b"),
                Opener::Refused,
                Opener::Refused,
            ),
            (
                &[A],
                Some("http://a.example"),
                Opener::Refused,
                Opener::Refused,
            ),
            (&[], Some("null"), Opener::Refused, Opener::Refused),
            (&[], Some(own), Opener::Trusted, Opener::Trusted),
            (&["*"], Some(own), Opener::Trusted, Opener::Trusted),
            (&[], Some(plain), Opener::Anybody, Opener::Refused),
            (&["*"], Some(plain), Opener::Anybody, Opener::Anybody),
            (
                &[],
                Some("https://own.example"),
                Opener::Refused,
                Opener::Refused,
            ),
            (&[], None, Opener::Trusted, Opener::Trusted),
        ] {
            let mut config = CorsConfig::default();
            config.origins = origins.iter().map(|&origin| origin.to_owned()).collect();
            let mut request = HeaderMap::new();
            request.extend(origin.map(|it| (ORIGIN, HeaderValue::from_static(it))));
            request.insert(HOST, HeaderValue::from_static("own.example:8080"));
            for (is_tls, expected) in [(false, without_tls), (true, with_tls)] {
                let opener = opener(&config, &request, is_tls);
                assert_eq!(opener, expected, "{origins:?} {origin:?} {is_tls}");
                // What becomes no WebSocket is read by who may.
                request.insert(UPGRADE, HeaderValue::from_static("h2c"));
                assert!(takes_cookies(&config, &request, is_tls));
                request.insert(UPGRADE, HeaderValue::from_static("WebSocket"));
                let takes = takes_cookies(&config, &request, is_tls);
                assert_eq!(takes, expected == Opener::Trusted);
            }
        }
    }
}
