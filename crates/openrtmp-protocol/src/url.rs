use std::fmt;
use std::net::Ipv6Addr;

use crate::Credentials;
use crate::name::unquoted;
use crate::secret::MASK;

/// A parsed `rtmp://` or `rtmps://` URL. Its stream may be a key, and its query hold one:
/// `Debug` masks both. Closed on purpose: whoever makes one says each part.
#[derive(Clone, PartialEq, Eq)]
pub struct RtmpUrl {
    /// True for `rtmps`.
    pub tls: bool,
    /// Who connects, from `USER:PASSWORD@` before the host: said only to a server that
    /// asks for it (`authmod=adobe`).
    pub credentials: Option<Credentials>,
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
    /// stays as it is, as most clients send it; [`StreamName`](crate::StreamName) decodes it.
    ///
    /// # Errors
    /// Says which part is missing or wrong.
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
        let (credentials, authority) = match authority.rsplit_once('@') {
            None => (None, authority),
            Some((userinfo, host)) => {
                let credentials = Credentials::from_userinfo(userinfo);
                (Some(credentials.ok_or(UrlError::Credentials)?), host)
            }
        };
        let (host, port) = split_authority(authority)?;
        let (path, query) = split_query(path);
        let (app, stream) = path.rsplit_once('/').unwrap_or(("", ""));
        if stream.is_empty() {
            return Err(UrlError::Stream);
        }
        Ok(RtmpUrl {
            tls,
            credentials,
            host: host.to_owned(),
            port: match port {
                "" => default_port(tls),
                digits => parse_port(digits)?,
            },
            app: plain_path(app),
            stream: format!("{stream}{query}"),
        })
    }

    /// The same stream at another `tcUrl`, to which a server sends its client: a URL, or
    /// what of one is to be different (`//host/app`, `/app`), with or without the stream's
    /// name behind it.
    ///
    /// A user, a password and a query that it names itself are used. Those of this URL go
    /// along to [the same server](RtmpUrl::is_same_server) alone: they were given for it,
    /// and no server can have them taken to another. The stream's name goes along in any
    /// case, for without it nothing is to be had there.
    ///
    /// # Errors
    /// If it is no RTMP URL, or leads from `rtmps` to `rtmp`: a redirect does not undo
    /// what the client chose.
    pub fn redirected(&self, tc_url: &str) -> Result<RtmpUrl, UrlError> {
        let scheme = if self.tls { "rtmps" } else { "rtmp" };
        let text = unquoted(tc_url);
        let text = if text.starts_with("//") {
            format!("{scheme}:{text}")
        } else if text.starts_with('/') {
            let own = RtmpUrl {
                app: String::new(),
                ..self.clone()
            };
            format!("{}{}", own.tc_url().trim_end_matches('/'), text)
        } else {
            text.to_owned()
        };
        let (name, own_query) = split_query(&self.stream);
        let (place, query) = split_query(&text);
        let place = place.trim_end_matches('/');
        let named = place
            .strip_suffix(name)
            .filter(|front| front.ends_with('/') && !front.ends_with("://"));
        let front = named.map_or(place, |front| front.trim_end_matches('/'));
        let mut url = RtmpUrl::parse(&format!("{front}/{name}{query}"))?;
        if self.tls && !url.tls {
            return Err(UrlError::Downgrade);
        }
        let is_same = self.is_same_server(&url);
        if is_same && url.credentials.is_none() {
            url.credentials.clone_from(&self.credentials);
        }
        let query = match is_same && query.is_empty() {
            true => own_query,
            false => query,
        };
        // As it is here: what ends a URL may have been taken off.
        url.stream = format!("{name}{query}");
        Ok(url)
    }

    /// Whether what was given for the server of this URL may be shown to that of another:
    /// host and port are the same, and TLS is not lost. From `rtmp` to `rtmps` the ports
    /// may be the usual ones of both.
    pub fn is_same_server(&self, other: &RtmpUrl) -> bool {
        let host = |url: &RtmpUrl| url.host.trim_end_matches('.').to_ascii_lowercase();
        let are_usual = [self, other].iter().all(|u| u.port == default_port(u.tls));
        host(self) == host(other)
            && (other.tls || !self.tls)
            && (self.port == other.port || are_usual)
    }

    /// A text about this URL, such as a status of the server it leads to, with the
    /// stream's name, the values of its query and the password masked: any of the former
    /// may be a key.
    pub fn masked_in(&self, text: &str) -> String {
        let (name, query) = self.stream.split_once('?').unwrap_or((&self.stream, ""));
        let values = query
            .split('&')
            .map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
        let password = self.credentials.as_ref().map(|c| c.password.reveal());
        let mut secrets: Vec<&str> = values.chain([name, query]).chain(password).collect();
        secrets.retain(|secret| !secret.is_empty());
        // One may be a part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
            .iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
    }

    /// The `tcUrl` of this URL: scheme, host, port if not the default, app.
    pub fn tc_url(&self) -> String {
        self.with_userinfo("")
    }

    /// The URL as [`RtmpUrl::parse`] reads it, with all that it must not be shown with.
    pub fn reveal(&self) -> String {
        let credentials = self.credentials.as_ref();
        let userinfo = credentials.map(|c| format!("{}@", c.to_userinfo()));
        let front = self.with_userinfo(&userinfo.unwrap_or_default());
        format!("{}/{}", front.trim_end_matches('/'), self.stream)
    }

    fn with_userinfo(&self, userinfo: &str) -> String {
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
        format!("{scheme}://{userinfo}{host}{port}/{app}")
    }
}

/// A text and the query behind it, with its `?`.
fn split_query(text: &str) -> (&str, &str) {
    text.split_at(text.find('?').unwrap_or(text.len()))
}

/// Without leading, trailing and doubled slashes.
fn plain_path(path: &str) -> String {
    let segments = path.split('/').map(unquoted);
    let segments: Vec<_> = segments.filter(|segment| !segment.is_empty()).collect();
    segments.join("/")
}

impl fmt::Debug for RtmpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let app = self.app.split_once('?').map_or(&*self.app, |(app, _)| app);
        f.debug_struct("RtmpUrl")
            .field("tls", &self.tls)
            .field("credentials", &self.credentials)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("app", &app)
            .field("stream", &MASK)
            .finish()
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
        // What is no number may be a password with a slash in it.
        _ if !digits.bytes().all(|b| b.is_ascii_digit()) => Err(UrlError::Port(MASK.to_owned())),
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
    /// What stands before the host is not a user's name and a password.
    #[error("before the host stands USER:PASSWORD@, what is special in them as %40")]
    Credentials,
    /// The port is not a number from 1 to 65535; three asterisks if it is no number.
    #[error("the port {0} is not a number from 1 to 65535")]
    Port(String),
    /// A redirect from `rtmps` to `rtmp`.
    #[error("a redirect from rtmps to rtmp is not followed")]
    Downgrade,
    /// No stream name.
    #[error("the URL names no stream: rtmp://host/app/name")]
    Stream,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn url(tls: bool, host: &str, port: u16, app: &str, stream: &str) -> RtmpUrl {
        RtmpUrl {
            tls,
            credentials: None,
            host: host.to_owned(),
            port,
            app: app.to_owned(),
            stream: stream.to_owned(),
        }
    }

    #[test]
    fn a_redirect_leads_to_the_same_stream_elsewhere() {
        let from = RtmpUrl::parse("rtmp://a:1936/live/cam").unwrap();
        for (tc_url, host, port, app, stream) in [
            ("rtmp://b/edge", "b", 1935, "edge", "cam"),
            ("rtmp://b:7/edge/", "b", 7, "edge", "cam"),
            ("rtmp://b/edge/cam", "b", 1935, "edge", "cam"),
            ("rtmp://b/edge/cam?x=2", "b", 1935, "edge", "cam?x=2"),
            ("rtmp://b/edge?x=/2", "b", 1935, "edge", "cam?x=/2"),
            ("rtmp://b?x=2", "b", 1935, "", "cam?x=2"),
            ("//b/live", "b", 1935, "live", "cam"),
            ("/other/app", "a", 1936, "other/app", "cam"),
            ("rtmps://b/live", "b", 443, "live", "cam"),
            ("\"rtmp://cam/live\"", "cam", 1935, "live", "cam"),
            ("rtmp://cam", "cam", 1935, "", "cam"),
        ] {
            let to = from.redirected(tc_url).unwrap();
            assert_eq!(
                (&*to.host, to.port, &*to.app, &*to.stream),
                (host, port, app, stream),
                "{tc_url}"
            );
        }
        assert_eq!(from.redirected("http://b/live"), Err(UrlError::Scheme));
        assert_eq!(from.redirected(""), Err(UrlError::Scheme));
        let from = RtmpUrl::parse("rtmps://a/live/cam").unwrap();
        assert_eq!(from.redirected("rtmp://a/live"), Err(UrlError::Downgrade));
        assert!(from.redirected("//b/live").unwrap().tls);
    }

    #[test]
    fn what_was_given_for_one_server_is_taken_to_no_other() {
        let own = Some("ann:s3cret");
        for (from, tc_url, userinfo, stream) in [
            // The same server.
            ("rtmp://{}a/live/cam?k=1", "/edge", own, "cam?k=1"),
            (
                "rtmp://{}a/live/cam?k=1",
                "rtmp://A.:1935/x",
                own,
                "cam?k=1",
            ),
            ("rtmp://{}a:7/live/cam?k=1", "//a:7/edge", own, "cam?k=1"),
            ("rtmp://{}a/live/cam?k=1", "rtmps://a/edge", own, "cam?k=1"),
            ("rtmp://{}a:7/live/cam?k=1", "rtmps://a:7/x", own, "cam?k=1"),
            (
                "rtmps://{}a/live/cam?k=1",
                "rtmps://a:443/x",
                own,
                "cam?k=1",
            ),
            ("rtmps://{}[::1]/live/cam?k=1", "//[::1]/x", own, "cam?k=1"),
            // Another host, or another port.
            ("rtmp://{}a/live/cam?k=1", "rtmp://b/live", None, "cam"),
            ("rtmp://{}a/live/cam?k=1", "//a.b/live/cam", None, "cam"),
            ("rtmp://{}a/live/cam?k=1", "rtmp://a:7/live", None, "cam"),
            ("rtmp://{}a:7/live/cam?k=1", "rtmps://a/live", None, "cam"),
            ("rtmps://{}a/live/cam?k=1", "//a:444/live", None, "cam"),
            ("rtmps://{}a/live/cam?k=1", "//a@b/live", None, ""),
            // What it says itself.
            (
                "rtmp://{}a/live/cam?k=1",
                "//bob:x@b/x?j=2",
                Some("bob:x"),
                "cam?j=2",
            ),
            (
                "rtmp://{}a/live/cam?k=1",
                "//bob:x@a/x",
                Some("bob:x"),
                "cam?k=1",
            ),
            ("rtmp://{}a/live/cam?k=1", "/x?j=2", own, "cam?j=2"),
        ] {
            let from = RtmpUrl::parse(&from.replace("{}", "ann:s3cret@")).unwrap();
            let Ok(to) = from.redirected(tc_url) else {
                assert_eq!(stream, "", "{tc_url}");
                continue;
            };
            let found = to.credentials.map(|c| c.to_userinfo());
            assert_eq!(
                (found.as_deref(), &*to.stream),
                (userinfo, stream),
                "{tc_url}"
            );
        }
        let quoted = RtmpUrl::parse("rtmp://a/live/cam\"?k=1").unwrap();
        assert_eq!(quoted.redirected("//b/live").unwrap().stream, "cam\"");
        // Back at the first, it is another redirect that asks for it.
        let first = RtmpUrl::parse("rtmp://ann:s3cret@a/live/cam?k=1").unwrap();
        let back = first.redirected("//b/live").unwrap().redirected("//a/live");
        assert_eq!(back.unwrap().reveal(), "rtmp://a/live/cam");
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
            ("rtmp://user@host/live/cam", UrlError::Credentials),
            ("rtmp://user:@host/live/cam", UrlError::Credentials),
            ("rtmp://:pass@host/live/cam", UrlError::Credentials),
            ("rtmp://a%26b:pass@host/live/cam", UrlError::Credentials),
            ("rtmp://host:0/live/cam", port("0")),
            ("rtmp://host:65536/live/cam", port("65536")),
            ("rtmp://host:+80/live/cam", port("***")),
            ("rtmp://ann:s3cret/@host/live/cam", port("***")),
            ("rtmp://host:http/live/cam", port("***")),
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
    fn a_user_and_a_password_stand_before_the_host() {
        let text = "rtmps://ann:p%40ss%2F@host:1936/live/cam?k=1";
        let parsed = RtmpUrl::parse(text).unwrap();
        let credentials = parsed.credentials.clone().unwrap();
        assert_eq!(credentials.user, "ann");
        assert_eq!(credentials.password.reveal(), "p@ss/");
        assert_eq!((&*parsed.host, parsed.port), ("host", 1936));
        assert_eq!(parsed.tc_url(), "rtmps://host:1936/live");
        assert_eq!(parsed.reveal(), text);
        assert!(!format!("{parsed:?}").contains("p@ss"), "{parsed:?}");
        assert_eq!(parsed.masked_in("is it p@ss/?"), "is it ***?");
        // Others write it as it is.
        let plain = RtmpUrl::parse("rtmp://ann:p@ss@host/live/cam").unwrap();
        assert_eq!(plain.credentials.unwrap().password.reveal(), "p@ss");
        assert_eq!(plain.host, "host");
    }

    #[test]
    fn an_at_sign_after_the_host_is_no_credential() {
        let parsed = RtmpUrl::parse("rtmp://host/live/me@home?a=b@c");
        assert_eq!(
            parsed,
            Ok(url(false, "host", 1935, "live", "me@home?a=b@c"))
        );
    }

    #[test]
    fn a_url_is_printed_without_what_may_be_a_key() {
        let url = RtmpUrl::parse("rtmp://host/live/s3cret?user=ann&key=ann2").unwrap();
        let shown = format!("{url:?}");
        assert!(
            shown.contains("live") && !shown.contains("s3cret"),
            "{shown}"
        );
        assert!(!shown.contains("ann"), "{shown}");
        let text = "live/s3cret is not for ann2 (s3cret?user=ann&key=ann2)";
        assert_eq!(url.masked_in(text), "live/*** is not for *** (***?***)");
        assert_eq!(url.masked_in("no such stream"), "no such stream");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_a_url_or_an_error(text in "(rtmps?://)?[\\PC/:@?\\[\\]]{0,30}") {
            if let Ok(url) = RtmpUrl::parse(&text) {
                let again = RtmpUrl::parse(&url.reveal());
                prop_assert_eq!(again, Ok(url));
            }
        }

        /// However a redirect is written.
        #[test]
        fn no_redirect_takes_a_secret_to_another_server(
            text in "((rtmps?:)?//)?(bob:x@)?[aAb/.:@?cam1359\\[\\]]{0,30}",
            tls: bool,
        ) {
            let scheme = if tls { "rtmps" } else { "rtmp" };
            let from = format!("{scheme}://ann:s3cret@a/live/cam?key=t0ken");
            let from = RtmpUrl::parse(&from).unwrap();
            if let Ok(to) = from.redirected(&text) {
                let shown = to.reveal();
                let same = to.host.trim_end_matches('.').eq_ignore_ascii_case("a");
                let secret = shown.contains("s3cret") || shown.contains("t0ken");
                prop_assert!(same && (to.tls || !tls) || !secret, "{}", shown);
            }
        }
    }
}
