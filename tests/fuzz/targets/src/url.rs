//! RTMP URLs and stream names.
//!
//! - A URL that was read has a host and a stream, and reads back from its parts.
//! - A stream name has no empty segments and no query, and is the same wherever its
//!   path is split.

use arbitrary::Unstructured;
use openrtmp_protocol::{RtmpUrl, StreamName};

use crate::input::{Piece, take};

/// An app, then a URL, which is a stream's name too.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let app = take::<Piece<'_>>(&mut input).text();
    let text = String::from_utf8_lossy(input.take_rest()).into_owned();
    url(&text);
    name(&app, &text);
}

fn url(text: &str) {
    let Ok(url) = RtmpUrl::parse(text) else {
        return;
    };
    assert!(!url.host.is_empty() && !url.stream.is_empty() && url.port > 0);
    let again = url.reveal();
    assert!(!url.tc_url().contains('@') || url.host.contains('@') || url.app.contains('@'));
    assert_eq!(RtmpUrl::parse(&again).as_ref(), Ok(&url), "{again:?}");
}

fn name(app: &str, name: &str) {
    let joined = StreamName::join(app, name);
    let path = joined.reveal();
    assert!(!path.contains('?') && !path.contains("//"));
    assert!(!path.starts_with('/') && !path.ends_with('/'));
    assert_eq!(StreamName::join(path, ""), joined);
    assert_eq!(StreamName::join("", path), joined);
    assert_eq!(StreamName::join(joined.app(), joined.name()), joined);
    for (at, _) in path.match_indices('/') {
        assert_eq!(StreamName::join(&path[..at], &path[at..]), joined);
    }
}
