//! Who may operate a running `openrtmp serve`.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::document::milliseconds;
use super::tls::Text;

/// The socket over which `openrtmp ctl` talks to `openrtmp serve`. The library has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ControlConfig {
    /// Where it is.
    pub listen: ControlListen,
    /// Connections to it at once, 1 to 256; one more is told so and closed.
    pub clients: usize,
    /// Bytes of one request, 1 KiB to 1 MiB; a longer one is refused and ends the
    /// connection.
    pub request_bytes: usize,
    /// For a request to come, and for an answer to be taken, 100 ms to 1 day; then the
    /// connection is closed.
    #[serde(with = "milliseconds")]
    pub timeout: Duration,
}

/// Where the socket is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlListen {
    /// [`ControlListen::DEFAULT`], if it can be had there: on Unix, if its folder is there
    /// and may be written to. Otherwise nowhere.
    #[default]
    Auto,
    /// Nowhere.
    Off,
    /// There, or the server does not start: the path of a Unix socket, on Windows the name
    /// of a pipe, `\\.\pipe\NAME`.
    At(PathBuf),
}

impl ControlListen {
    /// Where it is if nobody says where.
    pub const DEFAULT: &'static str = if cfg!(windows) {
        r"\\.\pipe\openrtmp"
    } else {
        "/run/openrtmp/ctl.sock"
    };
}

impl Default for ControlConfig {
    fn default() -> ControlConfig {
        ControlConfig {
            listen: ControlListen::Auto,
            clients: 8,
            request_bytes: 64 << 10,
            timeout: Duration::from_secs(30),
        }
    }
}

impl Text for ControlListen {
    fn read(text: &str) -> ControlListen {
        match text {
            "auto" => ControlListen::Auto,
            "" | "off" => ControlListen::Off,
            path => ControlListen::At(path.into()),
        }
    }

    fn written(&self) -> String {
        match self {
            ControlListen::Auto => "auto".to_owned(),
            ControlListen::Off => "off".to_owned(),
            ControlListen::At(path) => path.written(),
        }
    }
}

impl From<&str> for ControlListen {
    /// As in a document: `auto`, `off`, or a path.
    fn from(text: &str) -> ControlListen {
        ControlListen::read(text)
    }
}

impl Serialize for ControlListen {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&self.written())
    }
}

impl<'de> Deserialize<'de> for ControlListen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<ControlListen, D::Error> {
        String::deserialize(from).map(|text| ControlListen::read(&text))
    }
}
