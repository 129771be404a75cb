//! Delivery directives: what a request for a media playlist adds to its name.

use std::time::Duration;

use crate::packager::{Rendition, Window};

/// A request may be so many segments ahead of the last that is listed.
const SEGMENTS_AHEAD: u64 = 2;
/// What a request that names a segment but no part waits for, where there are parts: the
/// draft says the whole segment, but Safari means its first part, and would starve.
const MSN_ALONE_IS_FIRST_PART: bool = true;

/// The directives of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `_HLS_msn`: the playlist is to have this segment.
    pub msn: Option<u64>,
    /// `_HLS_part`: and this part of it. Never without `msn`.
    pub part: Option<u64>,
    /// `_HLS_skip`: what the player knows may be left out.
    pub skip: bool,
}

/// Why a request is refused with status 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// A directive is there twice.
    #[error("a delivery directive is there twice")]
    Twice,
    /// `_HLS_msn` or `_HLS_part` is no decimal number below 2^64.
    #[error("a delivery directive is no decimal number")]
    Number,
    /// `_HLS_part` without `_HLS_msn`.
    #[error("_HLS_part needs _HLS_msn")]
    PartAlone,
    /// `_HLS_skip` is neither `YES` nor `v2`.
    #[error("_HLS_skip is neither YES nor v2")]
    Skip,
    /// What is asked for is too far ahead.
    #[error("what is asked for is too far ahead")]
    TooFar,
}

/// What to do about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Answer with the playlist as it is.
    Now,
    /// Wait for the playlist to change, and ask again.
    Wait,
}

impl Directives {
    /// The directives in the query of a URL, what is behind the `?`. Other parameters are
    /// not looked at.
    ///
    /// # Errors
    /// [`BadRequest`], for anything that is not as specified.
    pub fn parse(query: &str) -> Result<Directives, BadRequest> {
        let mut found = Directives::default();
        let mut skip = None;
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name {
                "_HLS_msn" => set(&mut found.msn, number(value)?)?,
                "_HLS_part" => set(&mut found.part, number(value)?)?,
                // Date ranges are never skipped, which v2 allows but does not demand.
                "_HLS_skip" if matches!(value, "YES" | "v2") => set(&mut skip, ())?,
                "_HLS_skip" => return Err(BadRequest::Skip),
                _ => {}
            }
        }
        found.skip = skip.is_some();
        match found {
            Directives {
                msn: None,
                part: Some(_),
                ..
            } => Err(BadRequest::PartAlone),
            found => Ok(found),
        }
    }

    /// What to do, where the playlist is up to this.
    ///
    /// # Errors
    /// [`BadRequest::TooFar`].
    pub fn answer(&self, edge: &Edge) -> Result<Answer, BadRequest> {
        let Some(msn) = self.msn.filter(|_| !edge.has_ended) else {
            return Ok(Answer::Now);
        };
        if msn > edge.msn.saturating_add(SEGMENTS_AHEAD) {
            return Err(BadRequest::TooFar);
        }
        let part = match self.part {
            Some(part) => part,
            None if edge.has_parts && MSN_ALONE_IS_FIRST_PART => 0,
            None => {
                let has_all = msn < edge.msn || (msn == edge.msn && edge.is_complete);
                return Ok(if has_all { Answer::Now } else { Answer::Wait });
            }
        };
        // Parts that are not there yet, of a segment that is: those counted, of one to
        // come all.
        let ahead = match msn.cmp(&edge.msn) {
            std::cmp::Ordering::Less => return Ok(Answer::Now),
            std::cmp::Ordering::Equal => part.saturating_add(1).saturating_sub(edge.parts),
            std::cmp::Ordering::Greater => part,
        };
        if ahead > edge.advance_part_limit {
            return Err(BadRequest::TooFar);
        }
        let is_there = msn == edge.msn && part < edge.parts;
        // A part past the last of its segment is the first of the next, which is not there.
        Ok(if is_there { Answer::Now } else { Answer::Wait })
    }
}

fn set<T>(place: &mut Option<T>, value: T) -> Result<(), BadRequest> {
    match place.replace(value) {
        Some(_) => Err(BadRequest::Twice),
        None => Ok(()),
    }
}

/// Decimal digits alone: no sign, which `parse` would take.
fn number(value: &str) -> Result<u64, BadRequest> {
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = is_number.then(|| value.parse().ok()).flatten();
    parsed.ok_or(BadRequest::Number)
}

/// How far a playlist is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The newest segment of which anything is listed; 0 if there is none.
    pub msn: u64,
    /// Parts of it that are listed.
    pub parts: u64,
    /// It is listed as a whole.
    pub is_complete: bool,
    /// Nothing more comes.
    pub has_ended: bool,
    /// The playlist lists parts.
    pub has_parts: bool,
    /// A request may be so many parts ahead: three, or as many as are in three seconds if a
    /// part is shorter than one.
    pub advance_part_limit: u64,
}

impl Edge {
    /// The edge of a rendition's playlist.
    pub fn of(rendition: &Rendition, window: &Window) -> Edge {
        let newest = rendition
            .segments
            .iter()
            .rfind(|segment| !segment.parts.is_empty());
        let part = window
            .targets()
            .map_or(Duration::from_secs(1), |targets| targets.part);
        let per_three = 3_000_000u128.div_ceil(part.as_micros().max(1));
        Edge {
            msn: newest.map_or(0, |segment| segment.beginning.msn),
            parts: newest.map_or(0, |segment| segment.parts.len() as u64),
            is_complete: newest.is_some_and(|segment| segment.is_complete),
            has_ended: window.has_ended(),
            has_parts: true,
            advance_part_limit: u64::try_from(per_three.max(3)).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_and_everything_wrong_is_refused() {
        let read = |msn, part, skip| Ok(Directives { msn, part, skip });
        for (query, expected) in [
            ("", read(None, None, false)),
            ("token=a&x", read(None, None, false)),
            ("_HLS_msn=17", read(Some(17), None, false)),
            ("_HLS_msn=17&_HLS_part=0", read(Some(17), Some(0), false)),
            (
                "_HLS_part=3&x=1&_HLS_msn=17&_HLS_skip=YES",
                read(Some(17), Some(3), true),
            ),
            ("_HLS_skip=v2", read(None, None, true)),
            (
                "_HLS_msn=18446744073709551615",
                read(Some(u64::MAX), None, false),
            ),
            ("_HLS_report=/other.m3u8", read(None, None, false)),
            ("_HLS_msn=18446744073709551616", Err(BadRequest::Number)),
            ("_HLS_msn=", Err(BadRequest::Number)),
            ("_HLS_msn", Err(BadRequest::Number)),
            ("_HLS_msn=-1", Err(BadRequest::Number)),
            ("_HLS_msn=+1", Err(BadRequest::Number)),
            ("_HLS_msn=1.5", Err(BadRequest::Number)),
            ("_HLS_msn=0x10", Err(BadRequest::Number)),
            ("_HLS_msn=%31", Err(BadRequest::Number)),
            ("_HLS_msn= 1", Err(BadRequest::Number)),
            ("_HLS_msn=1&_HLS_part=a", Err(BadRequest::Number)),
            ("_HLS_msn=1=2", Err(BadRequest::Number)),
            ("_HLS_part=1", Err(BadRequest::PartAlone)),
            ("_HLS_msn=1&_HLS_msn=1", Err(BadRequest::Twice)),
            ("_HLS_msn=1&_HLS_part=1&_HLS_part=2", Err(BadRequest::Twice)),
            ("_HLS_skip=YES&_HLS_skip=v2", Err(BadRequest::Twice)),
            ("_HLS_skip=NO", Err(BadRequest::Skip)),
            ("_HLS_skip=yes", Err(BadRequest::Skip)),
            ("_HLS_skip", Err(BadRequest::Skip)),
        ] {
            assert_eq!(Directives::parse(query), expected, "{query}");
        }
    }

    /// Segment 9 with parts 0 to 2, open; nine parts are 3 s.
    const OPEN: Edge = Edge {
        msn: 9,
        parts: 3,
        is_complete: false,
        has_ended: false,
        has_parts: true,
        advance_part_limit: 9,
    };

    fn answered(query: &str, edge: Edge) -> Result<Answer, BadRequest> {
        Directives::parse(query).unwrap().answer(&edge)
    }

    #[test]
    fn what_is_there_is_answered_what_is_near_waited_for_the_rest_refused() {
        let complete = Edge {
            is_complete: true,
            ..OPEN
        };
        for (edge, query, expected) in [
            (OPEN, "", Ok(Answer::Now)),
            (OPEN, "_HLS_skip=YES", Ok(Answer::Now)),
            // A stale number is answered at once, whatever the part.
            (OPEN, "_HLS_msn=0", Ok(Answer::Now)),
            (OPEN, "_HLS_msn=8&_HLS_part=99", Ok(Answer::Now)),
            (OPEN, "_HLS_msn=9&_HLS_part=2", Ok(Answer::Now)),
            (OPEN, "_HLS_msn=9&_HLS_part=3", Ok(Answer::Wait)),
            (OPEN, "_HLS_msn=9&_HLS_part=11", Ok(Answer::Wait)),
            (OPEN, "_HLS_msn=9&_HLS_part=12", Err(BadRequest::TooFar)),
            (
                OPEN,
                "_HLS_msn=9&_HLS_part=18446744073709551615",
                Err(BadRequest::TooFar),
            ),
            (OPEN, "_HLS_msn=10&_HLS_part=0", Ok(Answer::Wait)),
            (OPEN, "_HLS_msn=11", Ok(Answer::Wait)),
            (OPEN, "_HLS_msn=12", Err(BadRequest::TooFar)),
            (
                OPEN,
                "_HLS_msn=18446744073709551615",
                Err(BadRequest::TooFar),
            ),
            // Past the last part of a segment: the first of the next.
            (complete, "_HLS_msn=9&_HLS_part=3", Ok(Answer::Wait)),
            (complete, "_HLS_msn=9&_HLS_part=2", Ok(Answer::Now)),
        ] {
            assert_eq!(answered(query, edge), expected, "{query}");
        }
    }

    #[test]
    fn a_number_alone_means_its_first_part_where_there_are_parts() {
        assert_eq!(answered("_HLS_msn=9", OPEN), Ok(Answer::Now));
        assert_eq!(answered("_HLS_msn=10", OPEN), Ok(Answer::Wait));
    }

    #[test]
    fn a_number_alone_means_the_whole_segment_where_there_are_none() {
        let edge = Edge {
            has_parts: false,
            ..OPEN
        };
        assert_eq!(answered("_HLS_msn=9", edge), Ok(Answer::Wait));
        assert_eq!(answered("_HLS_msn=8", edge), Ok(Answer::Now));
        let complete = Edge {
            is_complete: true,
            ..edge
        };
        assert_eq!(answered("_HLS_msn=9", complete), Ok(Answer::Now));
    }

    #[test]
    fn what_ended_is_answered_whatever_is_asked() {
        let ended = Edge {
            has_ended: true,
            ..OPEN
        };
        assert_eq!(answered("_HLS_msn=99&_HLS_part=99", ended), Ok(Answer::Now));
    }
}
