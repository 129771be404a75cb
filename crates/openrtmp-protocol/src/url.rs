use std::fmt;
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
    /// carry a query (everything from `?`), which is left out.
    pub fn join(app: &str, name: &str) -> StreamName {
        let _ = (app, name);
        todo!()
    }

    /// The whole path, for example `live/room/cam`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Everything before the last segment: `live/room`; empty if there is one
    /// segment only.
    pub fn app(&self) -> &str {
        todo!()
    }

    /// The last segment: `cam`.
    pub fn name(&self) -> &str {
        todo!()
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

/// A parsed `rtmp://` or `rtmps://` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtmpUrl {
    /// True for `rtmps`.
    pub tls: bool,
    /// Host name or address, IPv6 without brackets.
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
    /// app; a single segment is a stream in the empty app.
    pub fn parse(text: &str) -> Result<RtmpUrl, UrlError> {
        let _ = text;
        todo!()
    }

    /// The `tcUrl` of this URL: scheme, host, port if not the default, app.
    pub fn tc_url(&self) -> String {
        todo!()
    }
}

/// Why a text is not an RTMP URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Neither `rtmp://` nor `rtmps://`.
    #[error("an RTMP URL starts with rtmp:// or rtmps://")]
    Scheme,
    /// No host.
    #[error("the URL names no host")]
    Host,
    /// The port is not a number from 1 to 65535.
    #[error("the port {0:?} is not a number from 1 to 65535")]
    Port(String),
    /// No stream name.
    #[error("the URL names no stream: rtmp://host/app/name")]
    Stream,
}
