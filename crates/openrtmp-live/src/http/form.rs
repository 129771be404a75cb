//! Where each form of a stream is, for hosts that show it.

use super::path::encoded;

/// What there is of a stream over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// A page with a player.
    Page,
    /// HLS, with low latency for players that know it.
    Hls,
    /// DASH.
    Dash,
    /// HLS of MPEG-TS.
    TransportStream,
    /// FLV over HTTP, and over a WebSocket.
    Flv,
}

impl Form {
    /// The path of a stream's form, `app/name` being that of the stream. Of no stream, which is
    /// the empty path, there is the page that lists all.
    pub fn path(self, stream: &str) -> Option<String> {
        let path = encoded(stream);
        Some(match self {
            Form::Page if path.is_empty() => "/".to_owned(),
            _ if path.is_empty() => return None,
            Form::Page => format!("/play/{path}"),
            Form::Hls => format!("/{path}/index.m3u8"),
            Form::Dash => format!("/{path}/manifest.mpd"),
            Form::TransportStream => format!("/{path}/ts/index.m3u8"),
            Form::Flv => format!("/{path}.flv"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_where_it_is_asked_for() {
        use crate::http::path::{Route, What};

        let forms = [
            (Form::Hls, What::Master),
            (Form::Dash, What::Manifest),
            (Form::TransportStream, What::Transport),
            (Form::Flv, What::Flv),
        ];
        for (form, what) in forms {
            let path = form.path("live/c%äm").unwrap();
            let expected = Route::Stream {
                token: None,
                path: "live/c%äm".to_owned(),
                what,
            };
            assert_eq!(Route::parse(&path).unwrap(), expected, "{path}");
            assert_eq!(form.path(""), None);
        }
        assert_eq!(Form::Page.path("").as_deref(), Some("/"));
        assert_eq!(Form::Page.path("a/b c").as_deref(), Some("/play/a/b%20c"));
    }
}
