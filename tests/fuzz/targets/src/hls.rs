//! What a request adds to a playlist's name, and playlists of others.
//!
//! - Directives that are taken are written as specified.
//! - What is answered does not depend on what else is in the query.
//! - A playlist that is read is the same as a delta of itself, and checked without a panic.
//! - So are media, whatever they are, in little memory.

use std::time::Duration;

use openrtmp_media::hls::check::Checker;
use openrtmp_media::hls::read::Listed;
use openrtmp_media::hls::session::{Master, Session};
use openrtmp_media::hls::{Answer, Directives, Edge};

use crate::memory;

/// Bytes of media that are looked at.
const MEDIA: usize = 4096;
/// What the playlist is called.
const NAME: &str = "v0.m3u8";

/// A query, up to the first line's end; a playlist behind it; what its media are behind a zero.
pub fn run(data: &[u8]) {
    let mut pieces = data.splitn(2, |byte| *byte == 0);
    let text = String::from_utf8_lossy(pieces.next().unwrap_or_default());
    let media = pieces.next().unwrap_or_default();
    let media = &media[..media.len().min(MEDIA)];
    let (query, list) = text.split_once('\n').unwrap_or((&text, ""));
    if let Ok(directives) = Directives::parse(query) {
        let alone = Directives::parse(&format!("token=x&{query}&v"));
        assert_eq!(alone, Ok(directives));
        let edge = Edge {
            msn: 10,
            parts: 2,
            is_complete: false,
            has_ended: false,
            has_parts: true,
            advance_part_limit: 9,
        };
        match (directives.msn, directives.answer(&edge)) {
            (None, answer) => assert_eq!(answer, Ok(Answer::Now)),
            (Some(msn), Ok(Answer::Wait)) => assert!((10..=12).contains(&msn)),
            (Some(msn), Ok(Answer::Now)) => assert!(msn <= 10),
            (Some(msn), Err(_)) => assert!(msn >= 10),
        }
        let ended = Edge {
            has_ended: true,
            ..edge
        };
        assert_eq!(directives.answer(&ended), Ok(Answer::Now));
    }
    if let Ok(listed) = Listed::parse(list) {
        if listed.skipped == 0 {
            assert!(listed.merged(&listed).is_some());
        }
        let mut checker = Checker::new(Some(1));
        checker.full(list);
        checker.delta(list);
        judge(query, list, media);
    }
}

/// Holds what a server answers against the rules, where all of its media are these bytes.
fn judge(query: &str, list: &str, media: &[u8]) {
    let mut session = Session::new(Master::parse(list).as_ref());
    for came in [0, 1].map(Duration::from_secs) {
        session.playlist(NAME, list, came);
        session.answered(NAME, query, list);
        session.reports(NAME, came, came);
    }
    let listed = session.last(NAME).cloned().unwrap_or_default();
    for segment in &listed.segments {
        let parts = segment.parts.iter().map(|part| &part.uri);
        for uri in parts.chain(&segment.uri).chain(&segment.map) {
            session.media(NAME, uri, media.to_vec());
        }
    }
    memory::within((1 << 20) + 512 * (list.len() + media.len()), || {
        session.wrong()
    });
}
