//! Which pages of other sites may read answers (the Fetch standard, 3.2).

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HOST,
    HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY,
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

/// Whether a WebSocket may be opened by who asks for it: by no page, by one of the same host,
/// or by one of a site that may read answers (RFC 6455, 10.2).
pub(super) fn may_open(config: &CorsConfig, request: &HeaderMap) -> bool {
    let host = request.get(HOST).map(HeaderValue::as_bytes);
    let may = |origin: &HeaderValue| {
        let schemes = [&b"http://"[..], b"https://"];
        let mut of_host = schemes.iter().map(|it| origin.as_bytes().strip_prefix(*it));
        if host.is_some() && of_host.any(|it| it == host) {
            return true;
        }
        let named = config.origins.iter();
        let mut named = named.filter(|it| *it == "*" || it.as_bytes() == origin.as_bytes());
        named.next().is_some()
    };
    request.get(ORIGIN).is_none_or(may)
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
    fn a_page_of_another_site_opens_no_websocket() {
        let may = |origins: &[&str], origin: Option<&'static str>| {
            let mut config = CorsConfig::default();
            config.origins = origins.iter().map(|&origin| origin.to_owned()).collect();
            let mut request = HeaderMap::new();
            request.extend(origin.map(|it| (ORIGIN, HeaderValue::from_static(it))));
            request.insert(HOST, HeaderValue::from_static("own.example:8080"));
            may_open(&config, &request)
        };
        assert!(may(&["*"], Some("https://a.example")));
        assert!(may(&["https://a.example"], Some("https://a.example")));
        assert!(!may(&["https://a.example"], Some("https://b.example")));
        assert!(!may(&[], Some("null")));
        assert!(may(&[], Some("http://own.example:8080")), "its own");
        assert!(!may(&[], Some("http://own.example")));
        assert!(may(&[], None), "no page");
    }
}
