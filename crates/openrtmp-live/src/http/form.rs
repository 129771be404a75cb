//! Where each form of a stream is, for hosts that show it.

use openrtmp_protocol::StreamName;

use super::path::{encoded, is_reserved};

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
    /// The path of a stream's form. `stream` is its `app/name`, as publishers and players may
    /// write it (see [`StreamName`]). Of no stream, which is the empty path, there is the page
    /// that lists all. `None` of what is not delivered: other forms of no stream, and apps whose
    /// names mean something else in a URL, such as `play`.
    pub fn path(self, stream: &str) -> Option<String> {
        let stream = StreamName::join("", stream);
        let stream = stream.reveal();
        if is_reserved(stream) {
            return None;
        }
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
        let plain = Form::Hls.path("live/cam").unwrap();
        for written in ["/live//cam/", "live/cam?key=x", "live/mp4:cam"] {
            assert_eq!(Form::Hls.path(written).as_ref(), Some(&plain), "{written}");
        }
        for reserved in ["play/x", "api/x", "metrics"] {
            assert_eq!(Form::Page.path(reserved), None, "{reserved}");
        }
        assert_eq!(Form::Page.path("a/b c").as_deref(), Some("/play/a/b%20c"));
    }
}
