//! What a request adds to a playlist's name, and playlists of others.
//!
//! - Directives that are taken are written as specified.
//! - What is answered does not depend on what else is in the query.
//! - A playlist that is read is the same as a delta of itself, and checked without a panic.

use openrtmp_media::hls::check::Checker;
use openrtmp_media::hls::read::Listed;
use openrtmp_media::hls::{Answer, Directives, Edge};

/// A query, up to the first line's end; a playlist behind it.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
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
    }
}
