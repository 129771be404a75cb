use std::fmt;
use std::net::Ipv6Addr;
use std::sync::Arc;

/// The identity of a stream: its app and name joined into one path, without
/// leading, trailing or doubled slashes, without query.
///
/// `app = "live/room", name = "cam"` and `app = "live", name = "room/cam"` are
/// the same stream, because clients split the same URL in different places.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName(Arc<str>);

impl StreamName {
    /// Joins an app and a stream name; either may hold slashes, be empty, or
    /// carry a query (everything from `?`), which is left out. White space and
    /// quotes around a segment, which some encoders leave in, go too.
    pub fn join(app: &str, name: &str) -> StreamName {
        let mut path = String::with_capacity(app.len() + 1 + name.len());
        for segment in [app, name].into_iter().flat_map(segments) {
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(segment);
        }
        StreamName(path.into())
    }

    /// The whole path, for example `live/room/cam`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Everything before the last segment: `live/room`; empty if there is one
    /// segment only.
    pub fn app(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(app, _)| app)
    }

    /// The last segment: `cam`.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// The segments of a path without its query. Each is trimmed, not only the
/// ends of the path, so that it does not matter where a client splits it.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    path.split('/')
        .map(unquoted)
        .filter(|segment| !segment.is_empty())
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'')
}

/// A parsed `rtmp://` or `rtmps://` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtmpUrl {
    /// True for `rtmps`.
    pub tls: bool,
    /// Host name or address as written, IPv6 without brackets.
    pub host: String,
    /// Port; 1935 or, with TLS, 443 when the URL names none.
    pub port: u16,
    /// The app that `connect` names.
    pub app: String,
    /// The stream that `publish` or `play` names, with its query.
    pub stream: String,
}

impl RtmpUrl {
    /// Parses a URL. The last path segment is the stream, all before it the
    /// app; a single segment is a stream in the empty app. Percent-encoding
    /// stays as it is, as RTMP peers compare names undecoded.
    ///
    /// # Errors
    /// Says which part is missing or wrong. Credentials before the host are
    /// refused, because RTMP has no place to send them and dropping them
    /// would hide that.
    pub fn parse(text: &str) -> Result<RtmpUrl, UrlError> {
        let (scheme, rest) = unquoted(text).split_once("://").ok_or(UrlError::Scheme)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "rtmp" => false,
            "rtmps" => true,
            _ => return Err(UrlError::Scheme),
        };
        let (authority, path) = match rest.find(['/', '?']) {
            Some(end) => rest.split_at(end),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err(UrlError::Credentials);
        }
        let (host, port) = split_authority(authority)?;
        let (path, query) = match path.find('?') {
            Some(start) => path.split_at(start),
            None => (path, ""),
        };
        let (app, stream) = path.rsplit_once('/').unwrap_or(("", ""));
        if stream.is_empty() {
            return Err(UrlError::Stream);
        }
        Ok(RtmpUrl {
            tls,
            host: host.to_owned(),
            port: match port {
                "" => default_port(tls),
                digits => parse_port(digits)?,
            },
            app: StreamName::join(app, "").0.to_string(),
            stream: format!("{stream}{query}"),
        })
    }

    /// The `tcUrl` of this URL: scheme, host, port if not the default, app.
    pub fn tc_url(&self) -> String {
        let scheme = if self.tls { "rtmps" } else { "rtmp" };
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        let app = &self.app;
        let port = match self.port == default_port(self.tls) {
            true => String::new(),
            false => format!(":{}", self.port),
        };
        format!("{scheme}://{host}{port}/{app}")
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 1935 }
}

/// Host and port, the latter empty if there is none.
fn split_authority(authority: &str) -> Result<(&str, &str), UrlError> {
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, after) = bracketed.split_once(']').ok_or(UrlError::Host)?;
        // A zone (`%eth0`, as `%25eth0` in a URL) may follow the address.
        let address = host.split_once('%').map_or(host, |(address, _)| address);
        if address.parse::<Ipv6Addr>().is_err() {
            return Err(UrlError::Host);
        }
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, port)),
            None if after.is_empty() => Ok((host, "")),
            None => Err(UrlError::Host),
        };
    }
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(UrlError::Host);
    }
    // A second colon means an IPv6 address without its brackets.
    match port.contains(':') {
        true => Err(UrlError::Host),
        false => Ok((host, port)),
    }
}

fn parse_port(digits: &str) -> Result<u16, UrlError> {
    match digits.parse() {
        Ok(port) if port > 0 && digits.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
        _ => Err(UrlError::Port(digits.to_owned())),
    }
}

/// Why a text is not an RTMP URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Neither `rtmp://` nor `rtmps://`.
    #[error("an RTMP URL starts with rtmp:// or rtmps://")]
    Scheme,
    /// No host, or not one.
    #[error("the URL names no host, or an IPv6 address without brackets")]
    Host,
    /// A user name or password before the host.
    #[error("credentials before the host are not supported: put a token in the query")]
    Credentials,
    /// The port is not a number from 1 to 65535.
    #[error("the port {0:?} is not a number from 1 to 65535")]
    Port(String),
    /// No stream name.
    #[error("the URL names no stream: rtmp://host/app/name")]
    Stream,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(app: &str, name: &str) -> String {
        StreamName::join(app, name).as_str().to_owned()
    }

    #[test]
    fn a_stream_is_the_same_wherever_a_client_splits_its_path() {
        let expected = StreamName::join("live/room", "cam");
        assert_eq!(expected.as_str(), "live/room/cam");
        for (app, name) in [
            ("live", "room/cam"),
            ("", "live/room/cam"),
            ("live/room/cam", ""),
            ("/live/room/", "/cam/"),
            ("live//room", "//cam"),
            (" live/room ", "\"cam\""),
            ("'live/room'", "cam\n"),
        ] {
            assert_eq!(StreamName::join(app, name), expected, "{app:?} + {name:?}");
        }
    }

    #[test]
    fn queries_are_no_part_of_a_stream_name() {
        assert_eq!(joined("live?token=a/b", "cam?key=c"), "live/cam");
        assert_eq!(joined("live/?token=a", "cam?"), "live/cam");
        assert_eq!(joined("\"live?a\"", "?b"), "live");
        assert_eq!(joined("?a", "?b"), "");
    }

    #[test]
    fn a_stream_name_has_an_app_and_a_last_segment() {
        let parts = |path: &str| {
            let name = StreamName::join("", path);
            (name.app().to_owned(), name.name().to_owned())
        };
        assert_eq!(parts("live/room/cam"), ("live/room".into(), "cam".into()));
        assert_eq!(parts("cam"), (String::new(), "cam".into()));
        assert_eq!(parts(""), (String::new(), String::new()));
    }

    #[test]
    fn characters_inside_a_name_stay_as_they_are() {
        assert_eq!(joined("Live", "my cam's %20 é"), "Live/my cam's %20 é");
        assert_eq!(StreamName::join("a", "b").to_string(), "a/b");
        assert_eq!(format!("{:?}", StreamName::join("a", "b")), "\"a/b\"");
    }

    fn url(tls: bool, host: &str, port: u16, app: &str, stream: &str) -> RtmpUrl {
        RtmpUrl {
            tls,
            host: host.to_owned(),
            port,
            app: app.to_owned(),
            stream: stream.to_owned(),
        }
    }

    #[test]
    fn urls_are_split_into_their_parts() {
        for (text, expected, tc_url) in [
            (
                "rtmp://host/live/cam",
                url(false, "host", 1935, "live", "cam"),
                "rtmp://host/live",
            ),
            (
                "RTMPS://host/live/cam",
                url(true, "host", 443, "live", "cam"),
                "rtmps://host/live",
            ),
            (
                "rtmp://host:1936/a/b/cam?token=x/y&z=1",
                url(false, "host", 1936, "a/b", "cam?token=x/y&z=1"),
                "rtmp://host:1936/a/b",
            ),
            (
                "rtmps://10.0.0.1:1935/live/c%20m",
                url(true, "10.0.0.1", 1935, "live", "c%20m"),
                "rtmps://10.0.0.1:1935/live",
            ),
            (
                "rtmp://[2001:db8::1]/live/cam",
                url(false, "2001:db8::1", 1935, "live", "cam"),
                "rtmp://[2001:db8::1]/live",
            ),
            (
                "rtmp://[fe80::1%25eth0]:80/live/cam",
                url(false, "fe80::1%25eth0", 80, "live", "cam"),
                "rtmp://[fe80::1%25eth0]:80/live",
            ),
            (
                "rtmp://host/key",
                url(false, "host", 1935, "", "key"),
                "rtmp://host/",
            ),
            (
                "rtmp://host:///live//room//cam",
                url(false, "host", 1935, "live/room", "cam"),
                "rtmp://host/live/room",
            ),
            (
                " \"rtmp://host/live/cam\"\n",
                url(false, "host", 1935, "live", "cam"),
                "rtmp://host/live",
            ),
        ] {
            let parsed = RtmpUrl::parse(text);
            assert_eq!(parsed.as_ref(), Ok(&expected), "{text}");
            assert_eq!(expected.tc_url(), tc_url, "{text}");
        }
    }

    #[test]
    fn texts_that_are_no_url_say_what_is_wrong() {
        let port = |text: &str| UrlError::Port(text.to_owned());
        for (text, error) in [
            ("", UrlError::Scheme),
            ("host/live/cam", UrlError::Scheme),
            ("http://host/live/cam", UrlError::Scheme),
            ("rtmpt://host/live/cam", UrlError::Scheme),
            ("rtmp:/host/live/cam", UrlError::Scheme),
            ("rtmp:///live/cam", UrlError::Host),
            ("rtmp://:1935/live/cam", UrlError::Host),
            ("rtmp://my host/live/cam", UrlError::Host),
            ("rtmp://2001:db8::1/live/cam", UrlError::Host),
            ("rtmp://[2001:db8::1/live/cam", UrlError::Host),
            ("rtmp://[host]/live/cam", UrlError::Host),
            ("rtmp://[::1]x/live/cam", UrlError::Host),
            ("rtmp://user:pass@host/live/cam", UrlError::Credentials),
            ("rtmp://host:0/live/cam", port("0")),
            ("rtmp://host:65536/live/cam", port("65536")),
            ("rtmp://host:+80/live/cam", port("+80")),
            ("rtmp://host:http/live/cam", port("http")),
            ("rtmp://host", UrlError::Stream),
            ("rtmp://host/", UrlError::Stream),
            ("rtmp://host/live/", UrlError::Stream),
            ("rtmp://host?key", UrlError::Stream),
            ("rtmp://host/live/?key", UrlError::Stream),
        ] {
            assert_eq!(RtmpUrl::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn an_at_sign_after_the_host_is_no_credential() {
        let parsed = RtmpUrl::parse("rtmp://host/live/me@home?a=b@c");
        assert_eq!(
            parsed,
            Ok(url(false, "host", 1935, "live", "me@home?a=b@c"))
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn joining_is_idempotent_and_leaves_no_empty_segment(app in ".{0,20}", name in "[a/?\"' .]{0,20}") {
            let once = StreamName::join(&app, &name);
            prop_assert!(!once.as_str().contains("//") && !once.as_str().contains('?'));
            prop_assert!(!once.as_str().starts_with('/') && !once.as_str().ends_with('/'));
            prop_assert_eq!(StreamName::join(once.app(), once.name()), once.clone());
            prop_assert_eq!(StreamName::join("", once.as_str()), once);
        }

        #[test]
        fn any_text_is_a_url_or_an_error(text in "(rtmps?://)?[\\PC/:@?\\[\\]]{0,30}") {
            if let Ok(url) = RtmpUrl::parse(&text) {
                let again = RtmpUrl::parse(&format!("{}/{}", url.tc_url(), url.stream));
                prop_assert_eq!(again, Ok(url));
            }
        }
    }
}
