//! What requests are answered with.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, LAST_MODIFIED, RANGE, RETRY_AFTER, VARY,
};
use http::{Response, StatusCode};

use super::body::{Reading, Rope};
use super::range::{Wanted, wanted};
use crate::store::{Media, Text};

/// The last moment that dates of HTTP can tell, in milliseconds since 1970.
const LAST: i64 = 253_402_300_799_999;

/// For how long something may be kept, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Keep {
    /// Seconds; `None`: not at all.
    pub(super) seconds: Option<u64>,
    /// Only by who asked.
    pub(super) is_private: bool,
    /// It never becomes another.
    pub(super) is_immutable: bool,
}

impl Keep {
    pub(super) const NOT: Keep = Keep {
        seconds: None,
        is_private: false,
        is_immutable: false,
    };

    pub(super) fn for_seconds(seconds: u64, is_private: bool) -> Keep {
        Keep {
            seconds: Some(seconds),
            is_private,
            is_immutable: false,
        }
    }

    /// For ever.
    pub(super) fn always(is_private: bool) -> Keep {
        Keep {
            seconds: Some(31_536_000),
            is_private,
            is_immutable: true,
        }
    }

    pub(super) fn value(self) -> HeaderValue {
        let Some(seconds) = self.seconds else {
            return HeaderValue::from_static("no-store");
        };
        let who = if self.is_private { "private" } else { "public" };
        let last = if self.is_immutable { ", immutable" } else { "" };
        value(&format!("{who}, max-age={seconds}{last}"))
    }
}

/// A header's value, of text without control characters.
pub(super) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A refusal, or what else there is nothing more to say about. Nobody keeps it.
pub(super) fn status(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, plain);
    headers.insert(CACHE_CONTROL, Keep::NOT.value());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// A text that others are told too. `tag`: what names this state of it.
pub(super) fn text(
    request: &HeaderMap,
    text: &Text,
    content_type: &'static str,
    tag: &str,
    keep: Keep,
) -> Response<Body> {
    let is_gzip = accepts_gzip(request);
    let tag = match is_gzip {
        true => format!("\"{tag}-gz\""),
        false => format!("\"{tag}\""),
    };
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, keep.value());
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.insert(ETAG, value(&tag));
    if matches(request, &tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let body = match is_gzip {
        true => {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            Rope::whole(&[text.gzip()])
        }
        false => Rope::whole(text.pieces()),
    };
    headers.insert(CONTENT_LENGTH, body.len().into());
    *response.body_mut() = body.into();
    response
}

/// What names a state of something.
pub(super) struct State {
    /// The text of its entity tag, without quotation marks.
    pub(super) tag: String,
    /// Since when it is so; none: it changes more often than dates can tell.
    pub(super) since: Option<SystemTime>,
}

impl State {
    /// What has been so since a wall time, in milliseconds since 1970.
    pub(super) fn since(tag: String, wall: i64) -> State {
        let since = Duration::from_millis(wall.clamp(0, LAST).unsigned_abs());
        State {
            tag,
            since: Some(UNIX_EPOCH + since),
        }
    }
}

/// Bytes that never change, or a range of them.
pub(super) fn media(
    request: &HeaderMap,
    media: &Media,
    content_type: &'static str,
    state: &State,
    keep: Keep,
) -> Response<Body> {
    let tag = format!("\"{}\"", state.tag);
    // Wall time is the publisher's to a part: none is told that has not come
    // (RFC 9110, 8.8.2.1).
    let since = state.since.map(|since| since.min(SystemTime::now()));
    let length = media.len();
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, keep.value());
    headers.insert(ETAG, value(&tag));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let is_known = match request.contains_key(IF_NONE_MATCH) {
        true => matches(request, &tag),
        false => is_no_newer(request, since),
    };
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    let date = since.map(httpdate::fmt_http_date);
    if let Some(date) = &date {
        headers.insert(LAST_MODIFIED, value(date));
    }
    // Of something else nothing is wanted (RFC 9110, 13.1.5).
    let is_of_this =
        one(request, IF_RANGE).is_none_or(|of| of == tag || date.as_deref() == Some(of));
    let range = one(request, RANGE).filter(|_| is_of_this);
    let range = match wanted(range, length) {
        Wanted::All => 0..length,
        Wanted::Part(range) => {
            let shown = format!("bytes {}-{}/{length}", range.start, range.end - 1);
            headers.insert(CONTENT_RANGE, value(&shown));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            range
        }
        Wanted::Nothing => {
            let mut refusal = status(StatusCode::RANGE_NOT_SATISFIABLE, "no such bytes");
            let shown = value(&format!("bytes */{length}"));
            refusal.headers_mut().insert(CONTENT_RANGE, shown);
            return refusal;
        }
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_LENGTH, (range.end - range.start).into());
    *response.body_mut() = match media {
        Media::Memory(pieces) => Rope::new(pieces, range).into(),
        Media::Disk(stored) => Body::new(Reading::new(stored.clone(), range)),
    };
    response
}

/// A header that is there once, as text.
fn one(request: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut all = request.get_all(name).iter();
    let first = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(first)
}

/// Whether who asks has it already (RFC 9110, 13.1.2).
fn matches(request: &HeaderMap, tag: &str) -> bool {
    let all = request.get_all(IF_NONE_MATCH).iter();
    let mut named = all.filter_map(|header| header.to_str().ok());
    named.any(|header| {
        let mut tags = header.split(',').map(str::trim);
        tags.any(|is| is == "*" || is.strip_prefix("W/").unwrap_or(is) == tag)
    })
}

/// Whether who asks has what has been so since then, by the date that it says (RFC 9110, 13.1.3).
fn is_no_newer(request: &HeaderMap, since: Option<SystemTime>) -> bool {
    let date = one(request, IF_MODIFIED_SINCE).and_then(|it| httpdate::parse_http_date(it).ok());
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map(|it| it.as_secs());
    match (since.map(seconds), date.map(seconds)) {
        (Some(Ok(since)), Some(Ok(date))) => since <= date,
        _ => false,
    }
}

/// Whether gzip is among what it takes (RFC 9110, 12.5.3).
fn accepts_gzip(request: &HeaderMap) -> bool {
    let all = request.get_all(ACCEPT_ENCODING).iter();
    let codings = all
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(','));
    let (mut named, mut any) = (None, None);
    for coding in codings {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight: String = weight.split_whitespace().collect();
        let weight = weight.to_ascii_lowercase();
        let weight = weight.strip_prefix("q=").unwrap_or("1");
        let is_wanted = weight.parse::<f32>().is_ok_and(|weight| weight > 0.0);
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => named = Some(is_wanted),
            "*" => any = Some(is_wanted),
            _ => {}
        }
    }
    named.or(any).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;

    use super::*;

    fn asked(name: HeaderName, text: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(text));
        headers
    }

    #[test]
    fn gzip_is_sent_to_who_takes_it() {
        for (text, takes) in [
            ("gzip", true),
            ("deflate, gzip;q=1.0, *;q=0.5", true),
            ("GZip", true),
            ("*", true),
            ("br, *;q=0", false),
            ("gzip;q=0", false),
            ("gzip; q=0.000, *", false),
            ("identity", false),
            ("", false),
            ("gzipx", false),
        ] {
            assert_eq!(accepts_gzip(&asked(ACCEPT_ENCODING, text)), takes, "{text}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn who_has_it_already_is_told_so() {
        for (text, has) in [
            ("\"a\"", true),
            ("\"b\", W/\"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
        ] {
            assert_eq!(matches(&asked(IF_NONE_MATCH, text), "\"a\""), has, "{text}");
        }
    }

    /// What has been so since 2001-09-09 01:46:40.250.
    fn state() -> State {
        State::since("tag".to_owned(), 1_000_000_000_250)
    }

    #[test]
    fn what_has_not_changed_since_a_date_is_not_sent_again() {
        let bytes = Media::from(Bytes::from_static(b"01234567"));
        let answer = |headers: &HeaderMap| {
            let state = state();
            media(headers, &bytes, "video/mp4", &state, Keep::always(false))
        };
        let plain = answer(&HeaderMap::new());
        let date = "Sun, 09 Sep 2001 01:46:40 GMT";
        assert_eq!(plain.headers()[LAST_MODIFIED], date);
        for (since, status) in [
            (date, StatusCode::NOT_MODIFIED),
            ("Sun, 09 Sep 2001 01:46:41 GMT", StatusCode::NOT_MODIFIED),
            ("Sunday, 09-Sep-01 01:46:40 GMT", StatusCode::NOT_MODIFIED),
            ("Sun, 09 Sep 2001 01:46:39 GMT", StatusCode::OK),
            ("yesterday", StatusCode::OK),
            ("", StatusCode::OK),
        ] {
            let answer = answer(&asked(IF_MODIFIED_SINCE, since));
            assert_eq!(answer.status(), status, "{since}");
        }
        // Whose tag is another has something else, whatever its date says, and the other way.
        for (tag, status) in [
            ("\"tag\"", StatusCode::NOT_MODIFIED),
            ("\"other\"", StatusCode::OK),
        ] {
            for since in [date, "Sun, 09 Sep 2001 01:46:39 GMT"] {
                let mut headers = asked(IF_MODIFIED_SINCE, since);
                headers.insert(IF_NONE_MATCH, HeaderValue::from_static(tag));
                assert_eq!(answer(&headers).status(), status, "{tag} {since}");
            }
        }
        // A publisher's clock that is ahead, or a time before all times.
        let told = |wall| {
            let state = State::since(String::new(), wall);
            let answer = media(
                &HeaderMap::new(),
                &bytes,
                "video/mp4",
                &state,
                Keep::always(false),
            );
            let date = answer.headers()[LAST_MODIFIED].to_str().unwrap().to_owned();
            httpdate::parse_http_date(&date).unwrap()
        };
        assert!(told(i64::MAX) <= SystemTime::now());
        assert_eq!(told(i64::MIN), UNIX_EPOCH);
        // What changes within a second has none, and no date is about it.
        let changing = State {
            tag: "tag".to_owned(),
            since: None,
        };
        let headers = asked(IF_MODIFIED_SINCE, "Sun, 29 Nov 2099 16:45:00 GMT");
        let answer = media(&headers, &bytes, "video/mp4", &changing, Keep::NOT);
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(!answer.headers().contains_key(LAST_MODIFIED));
    }

    #[test]
    fn a_range_of_something_else_is_not_taken() {
        let pieces = Media::Memory(vec![
            Bytes::from_static(b"0123"),
            Bytes::from_static(b"4567"),
        ]);
        let answer = |of: &'static str| {
            let mut headers = asked(RANGE, "bytes=3-4");
            headers.insert(IF_RANGE, HeaderValue::from_static(of));
            let state = state();
            media(&headers, &pieces, "video/mp4", &state, Keep::always(false))
        };
        let part = answer("\"tag\"");
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(part.headers()[CONTENT_RANGE], "bytes 3-4/8");
        assert_eq!(answer("\"other\"").status(), StatusCode::OK);
        assert_eq!(answer("W/\"tag\"").status(), StatusCode::OK);
        let part = answer("Sun, 09 Sep 2001 01:46:40 GMT");
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        let later = answer("Sun, 09 Sep 2001 01:46:41 GMT");
        assert_eq!(later.status(), StatusCode::OK);
        let mut none = asked(RANGE, "bytes=8-");
        let refused = media(&none, &pieces, "video/mp4", &state(), Keep::always(false));
        assert_eq!(refused.status(), StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(refused.headers()[CACHE_CONTROL], "no-store");
        // Which of two is meant nobody knows.
        none.append(RANGE, HeaderValue::from_static("bytes=0-0"));
        let both = media(&none, &pieces, "video/mp4", &state(), Keep::always(false));
        assert_eq!(both.status(), StatusCode::OK);
    }
}
