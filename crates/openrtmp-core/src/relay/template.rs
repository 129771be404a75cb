//! Where a rule leads: a URL with places for the stream's name.

use std::fmt;

use openrtmp_protocol::{RtmpUrl, StreamName, UrlError};

/// An RTMP URL in which `{app}` and `{name}` stand for the parts of a stream's path. It
/// may hold keys: its text forms show neither the stream's name nor queries, nor a user
/// and the password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct UrlTemplate(String);

/// Why a text is no such URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TemplateError {
    Url(UrlError),
    /// A placeholder stands where the host is.
    Host,
    /// A placeholder that there is not; or a brace alone.
    Placeholder,
}

impl UrlTemplate {
    pub(crate) fn parse(text: &str) -> Result<UrlTemplate, TemplateError> {
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.contains(['{', '}']) {
            return Err(TemplateError::Host);
        }
        if text
            .replace("{app}", "")
            .replace("{name}", "")
            .contains(['{', '}'])
        {
            return Err(TemplateError::Placeholder);
        }
        let template = UrlTemplate(text.to_owned());
        template.of("app/name").map_err(TemplateError::Url)?;
        Ok(template)
    }

    /// It leads to a server over TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.of("app/name").is_ok_and(|url| url.tls)
    }

    /// The URL for a stream. What is put in cannot change host, path or query: it is
    /// percent-encoded.
    pub(crate) fn of(&self, path: &str) -> Result<RtmpUrl, UrlError> {
        let (app, name) = path.rsplit_once('/').unwrap_or(("", path));
        let app: Vec<String> = app.split('/').map(encoded).collect();
        // Filled in one pass: what is put in may itself look like a placeholder.
        let mut url = String::with_capacity(self.0.len() + path.len());
        let mut rest = self.0.as_str();
        while let Some(at) = rest.find('{') {
            url.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix("{app}") {
                url.push_str(&app.join("/"));
                rest = after;
            } else if let Some(after) = rest.strip_prefix("{name}") {
                url.push_str(&encoded(name));
                rest = after;
            } else {
                url.push('{');
                rest = &rest[1..];
            }
        }
        url.push_str(rest);
        RtmpUrl::parse(&url)
    }
}

/// As RFC 3986 section 2.1 has it, but for `%`: what a name keeps of escapes (`%25`, `%3F`)
/// stays what it is. With escapes that stand for no text (`%8A`) no other is undone where
/// the name is read: one that holds them goes as it is, but for what ends a segment.
fn encoded(text: &str) -> String {
    let all = with_escapes(text, |b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b));
    match !text.contains('%') || StreamName::join("", &all).reveal() == text {
        true => all,
        false => with_escapes(text, |b| !b"/?".contains(&b)),
    }
}

/// A text in which all bytes but these are escaped.
fn with_escapes(text: &str, stays: impl Fn(u8) -> bool) -> String {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text.as_bytes() {
        match stays(byte) {
            true => out.push(byte),
            false => out.extend(format!("%{byte:02X}").bytes()),
        }
    }
    // Whole characters stay or are escaped, byte by byte.
    String::from_utf8_lossy(&out).into_owned()
}

/// A URL as people may see it: its stream's name, which may be a key, and all queries
/// are left out.
pub(super) fn shown(url: &RtmpUrl) -> String {
    let tc_url = url.tc_url();
    let tc_url = tc_url.split_once('?').map_or(&*tc_url, |(url, _)| url);
    format!("{tc_url}/***")
}

impl fmt::Display for UrlTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.split_once('?').map_or(&*self.0, |(url, _)| url);
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        // Without a user and the password.
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let text = &format!("{scheme}://{host}/{path}");
        match text.rsplit_once('/') {
            Some((front, "{name}")) => write!(f, "{front}/{{name}}"),
            Some((front, _)) => write!(f, "{front}/***"),
            None => f.write_str("***"),
        }
    }
}

impl fmt::Debug for UrlTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TemplateError::Url(error) => error.fmt(f),
            TemplateError::Host => f.write_str("the host may not depend on the stream"),
            TemplateError::Placeholder => f.write_str("only {app} and {name} may stand in braces"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn template(text: &str) -> UrlTemplate {
        UrlTemplate::parse(text).expect("a template")
    }

    #[test]
    fn places_are_filled() {
        for (text, path, app, stream) in [
            ("rtmp://h/{app}/{name}", "live/cam", "live", "cam"),
            ("rtmp://h/{app}/{name}", "a/b/cam", "a/b", "cam"),
            (
                "rtmp://h/out/{app}-{name}?k=1",
                "live/cam",
                "out",
                "live-cam?k=1",
            ),
            ("rtmp://h/live/KEY", "live/cam", "live", "KEY"),
            (
                "rtmp://h/live/{name}",
                "live/a?b=c&d#e",
                "live",
                "a%3Fb%3Dc%26d%23e",
            ),
            ("rtmp://h/live/{name}", "live/{app}", "live", "%7Bapp%7D"),
            ("rtmp://h/live/{name}", "live/%8A é", "live", "%8A é"),
            (
                "rtmp://a:%7Bname%7D@h/live/{name}",
                "live/cam",
                "live",
                "cam",
            ),
        ] {
            let url = template(text).of(path).expect("a URL");
            assert_eq!((&*url.app, &*url.stream), (app, stream), "{text} {path}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, error) in [
            ("rtmp://{app}/live/{name}", TemplateError::Host),
            ("rtmp://h:{name}/live/x", TemplateError::Host),
            ("rtmp://a:{name}@h/live/x", TemplateError::Host),
            ("rtmp://h/live/{key}", TemplateError::Placeholder),
            ("rtmp://h/live/{name", TemplateError::Placeholder),
            ("http://h/live/{name}", TemplateError::Url(UrlError::Scheme)),
            ("rtmp://h", TemplateError::Url(UrlError::Stream)),
        ] {
            assert_eq!(UrlTemplate::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn keys_are_not_shown() {
        for (text, expected) in [
            ("rtmp://h/live/KEY", "rtmp://h/live/***"),
            ("rtmp://h/live/{name}?key=KEY", "rtmp://h/live/{name}"),
            ("rtmp://h/live/KEY-{name}", "rtmp://h/live/***"),
            ("rtmp://ANN:KEY@h:1/live/{name}", "rtmp://h:1/live/{name}"),
            ("rtmps://ANN:KEY@x@h/KEY", "rtmps://h/***"),
        ] {
            assert_eq!(
                format!("{0} {0:?}", template(text)),
                format!("{expected} {expected}")
            );
        }
        let url = RtmpUrl::parse("rtmp://h:1/live?key=A/KEY?b=C").expect("a URL");
        assert!(!shown(&url).contains(['A', 'K', 'C']), "{}", shown(&url));
    }

    proptest! {
        /// Whatever a stream is called: the other server is the same, the app is the
        /// same, and it reads the name that it has here.
        #[test]
        fn a_name_stays_a_name(name in "(%[0-9A-F]{2})?\\PC{1,12}") {
            let local = StreamName::join("live", &name).reveal().to_owned();
            prop_assume!(local.starts_with("live/") && local.len() > 5);
            prop_assume!(!local["live/".len()..].contains('/'));
            let url = template("rtmp://host:1936/{app}/{name}?token=1").of(&local).expect("a URL");
            prop_assert_eq!((&*url.host, url.port, &*url.app), ("host", 1936, "live"));
            let (stream, query) = url.stream.split_once('?').expect("the query");
            prop_assert_eq!(query, "token=1");
            let read = StreamName::join("live", stream);
            prop_assert_eq!(read.reveal(), local);
        }
    }
}
