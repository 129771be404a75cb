//! The rules that playlists break.
//!
//! A [`Checker`] reads what one media playlist says as time goes on, in the order in which a
//! player would; [`aligned`] compares the playlists of a stream's tracks. Sections are of
//! draft-pantos-hls-rfc8216bis-22 unless told otherwise; rules marked as Apple's are of the
//! HLS Authoring Specification for Apple Devices.

mod ranges;

use super::read::{Listed, ListedPart, ListedSegment, Unreadable, bare};

/// Texts have five decimals.
const ROUNDING: f64 = 0.000_02;
/// Parts are at least this much of the part target.
const LEAST_FILL: f64 = 0.85;
/// So many segments are listed at least, once there are as many.
const LEAST_SEGMENTS: usize = 6;
/// Lists that are longer, in seconds, have deltas.
const SKIPPED_FROM: f64 = 120.0;

/// A rule of HLS.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// A tag is missing that is to be there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// What is promised for the life of a playlist became something else.
    #[error("{0} changed")]
    Changed(&'static str),
    /// PART-HOLD-BACK is less than three part targets (4.4.3.8; three are Apple's, 14.3).
    #[error("PART-HOLD-BACK of {0} s for parts of {1} s")]
    PartHoldBack(f64, f64),
    /// HOLD-BACK is less than three target durations (4.4.3.8).
    #[error("HOLD-BACK of {0} s")]
    HoldBack(f64),
    /// CAN-SKIP-UNTIL is less than six target durations (4.4.3.8).
    #[error("CAN-SKIP-UNTIL of {0} s")]
    SkipBoundary(f64),
    /// Parts without blocking reload (players stall).
    #[error("parts without CAN-BLOCK-RELOAD")]
    NoBlocking,
    /// A tag needs a higher EXT-X-VERSION (section 8).
    #[error("version {0} is too low")]
    Version(u64),
    /// A part is longer than the part target (4.4.4.9).
    #[error("part {1} of segment {0} has {2} s")]
    LongPart(u64, usize, f64),
    /// A part is shorter than 85 % of the part target, and none of those that may be
    /// (4.4.4.9).
    #[error("part {1} of segment {0} has {2} s only")]
    ShortPart(u64, usize, f64),
    /// A segment is longer than the target duration, rounded (4.4.3.1).
    #[error("segment {0} has {1} s")]
    LongSegment(u64, f64),
    /// Parts of a segment do not add up to it.
    #[error("the parts of segment {0} do not add up to it")]
    Sum(u64),
    /// A sequence number went back (6.2.2).
    #[error("EXT-X-MEDIA-SEQUENCE went back to {0}")]
    WentBack(u64),
    /// What was listed is another now, or is gone (6.2.1).
    #[error("segment {0} is not what it was")]
    Rewritten(u64),
    /// EXT-X-DISCONTINUITY-SEQUENCE does not count the tags that left (6.2.2).
    #[error("EXT-X-DISCONTINUITY-SEQUENCE is {0}, not {1}")]
    DiscontinuitySequence(u64, u64),
    /// Segments left although the rest is not as long as three target durations (6.2.2).
    #[error("the playlist is {0} s long")]
    Short(f64),
    /// Segments left although no six are left (Apple, 8.22).
    #[error("{0} segments are listed")]
    Few(usize),
    /// More than two minutes are listed, and nothing of it can be left out (Apple, 14.4).
    #[error("{0} s are listed without CAN-SKIP-UNTIL")]
    NoSkipping(f64),
    /// Parts are listed too far from the end (6.2.2).
    #[error("parts of segment {0} are listed, {1} s before the end")]
    OldParts(u64, f64),
    /// No preload hint, or more than one of a type (4.4.5.3).
    #[error("{0} preload hints")]
    Hints(usize),
    /// A hinted part came by another name (6.2.6).
    #[error("{} was announced, {} came", bare(.0), bare(.1))]
    Hint(String, String),
    /// There is to be one rendition report for each other playlist (Apple, B.1), and may be
    /// others, of what the master playlist named once or will.
    #[error("{0} rendition reports")]
    Reports(usize),
    /// A report without its segment or part.
    #[error("an incomplete rendition report")]
    Report,
    /// A report's URI is not relative to the playlist (4.4.5.4).
    #[error("a rendition report names {}, which is not relative", bare(.0))]
    ReportUri(String),
    /// A report that says what another does.
    #[error("more than one rendition report of {}", bare(.0))]
    ReportTwice(String),
    /// A report of the playlist that it is in (4.4.5.4: of another rendition).
    #[error("a rendition report of the playlist itself")]
    ReportOfItself,
    /// What comes behind the end.
    #[error("the playlist went on behind its end")]
    BehindEnd,
    /// A delta leaves out what is not older than the skip boundary (6.2.5.1).
    #[error("a delta leaves out segments {0} s before the end")]
    SkipsNew(f64),
    /// A delta and what the player had are not the whole.
    #[error("a delta does not add up to the playlist")]
    Delta,
    /// A date range breaks a rule of its own (4.4.5.1): its ID, and what is wrong.
    #[error("date range {0:?}: {1}")]
    DateRange(String, &'static str),
    /// Two tracks have another discontinuity, or time, in a segment (Apple, 8.14 and 8.15).
    #[error("tracks differ in segment {0}")]
    Unaligned(u64),
}

/// Follows one media playlist.
#[derive(Clone, Debug, Default)]
pub struct Checker {
    last: Option<Listed>,
    /// Other media playlists of the stream.
    others: Option<usize>,
}

impl Checker {
    /// A checker of a playlist of a stream that has so many others, if that is known.
    pub fn new(others: Option<usize>) -> Checker {
        Checker { last: None, others }
    }

    /// The playlist that is known.
    pub fn last(&self) -> Option<&Listed> {
        self.last.as_ref()
    }

    /// Reads a whole playlist; which rules it breaks, by itself and behind what was read
    /// before.
    pub fn full(&mut self, text: &str) -> Vec<Broken> {
        match Listed::parse(text) {
            Ok(listed) if listed.skipped > 0 => vec![Broken::Delta],
            Ok(listed) => self.read(listed),
            Err(error) => vec![error.into()],
        }
    }

    /// Reads a delta update instead.
    pub fn delta(&mut self, text: &str) -> Vec<Broken> {
        let delta = match Listed::parse(text) {
            Ok(listed) => listed,
            Err(error) => return vec![error.into()],
        };
        let Some(merged) = self.last.as_ref().and_then(|last| delta.merged(last)) else {
            return vec![Broken::Delta];
        };
        let mut broken = Vec::new();
        if delta.skipped > 0 && delta.version < 9 {
            broken.push(Broken::Version(delta.version));
        }
        let boundary = attribute(&delta, "CAN-SKIP-UNTIL").unwrap_or(f64::INFINITY);
        let kept: f64 = delta.segments.iter().map(length).sum();
        if delta.skipped > 0 && kept < boundary - ROUNDING * delta.segments.len() as f64 {
            broken.push(Broken::SkipsNew(kept));
        }
        broken.extend(self.read(merged));
        broken
    }

    fn read(&mut self, listed: Listed) -> Vec<Broken> {
        let mut broken = Vec::new();
        check_promises(&listed, &mut broken);
        check_segments(&listed, &mut broken);
        check_end(&listed, self.others, &mut broken);
        ranges::check(&listed, &mut broken);
        if let Some(last) = &self.last {
            check_change(last, &listed, &mut broken);
            ranges::check_change(last, &listed, &mut broken);
        }
        self.last = Some(listed);
        broken
    }
}

fn attribute(listed: &Listed, name: &str) -> Option<f64> {
    listed.control.get(name)?.parse().ok()
}

fn has_parts(listed: &Listed) -> bool {
    listed
        .segments
        .iter()
        .any(|segment| !segment.parts.is_empty())
}

/// A segment's length, that of its parts as long as it is open.
fn length(segment: &ListedSegment) -> f64 {
    let parts = segment.parts.iter().map(|part| part.duration);
    segment.duration.unwrap_or_else(|| parts.sum())
}

/// What is told for the life of the playlist.
fn check_promises(listed: &Listed, broken: &mut Vec<Broken>) {
    let Some(target) = listed.target else {
        return broken.push(Broken::Missing("EXT-X-TARGETDURATION"));
    };
    let target = target as f64;
    if let Some(hold_back) = attribute(listed, "HOLD-BACK")
        && hold_back < 3.0 * target
    {
        broken.push(Broken::HoldBack(hold_back));
    }
    if let Some(boundary) = attribute(listed, "CAN-SKIP-UNTIL")
        && boundary < 6.0 * target
    {
        broken.push(Broken::SkipBoundary(boundary));
    }
    let long: f64 = listed.segments.iter().map(length).sum();
    // Of what has ended nothing is read again.
    if long > SKIPPED_FROM && !listed.has_ended && !listed.control.contains_key("CAN-SKIP-UNTIL") {
        broken.push(Broken::NoSkipping(long.round()));
    }
    if listed.segments.iter().any(|segment| segment.map.is_some()) && listed.version < 6 {
        broken.push(Broken::Version(listed.version));
    }
    match (listed.part_target, attribute(listed, "PART-HOLD-BACK")) {
        (Some(part), Some(hold_back)) if hold_back < 3.0 * part - ROUNDING => {
            broken.push(Broken::PartHoldBack(hold_back, part));
        }
        (Some(_), None) => broken.push(Broken::Missing("PART-HOLD-BACK")),
        (None, _) if has_parts(listed) => broken.push(Broken::Missing("EXT-X-PART-INF")),
        _ => {}
    }
    let can_block = listed.control.get("CAN-BLOCK-RELOAD");
    if has_parts(listed) && can_block.is_none_or(|can| can != "YES") {
        broken.push(Broken::NoBlocking);
    }
}

fn check_segments(listed: &Listed, broken: &mut Vec<Broken>) {
    let target = listed.target.unwrap_or(0) as f64;
    let mut after = listed.segments.iter().map(length).sum::<f64>();
    for (msn, segment) in listed.numbered() {
        after -= length(segment);
        if segment.map.is_none() && segment.uri.is_some() {
            broken.push(Broken::Missing("EXT-X-MAP"));
        }
        if segment.date.is_none() {
            broken.push(Broken::Missing("EXT-X-PROGRAM-DATE-TIME"));
        }
        if let Some(length) = segment.duration {
            if length.round() > target {
                broken.push(Broken::LongSegment(msn, length));
            }
            let sum: f64 = segment.parts.iter().map(|part| part.duration).sum();
            let tolerance = ROUNDING * (segment.parts.len() + 1) as f64;
            if !segment.parts.is_empty() && (sum - length).abs() > tolerance {
                broken.push(Broken::Sum(msn));
            }
            // Each length is rounded.
            let rounded = ROUNDING * listed.segments.len() as f64;
            if !segment.parts.is_empty() && after > 3.0 * target + rounded {
                broken.push(Broken::OldParts(msn, after));
            }
        }
        let part_target = listed.part_target.unwrap_or(f64::INFINITY);
        for (number, part) in segment.parts.iter().enumerate() {
            if part.duration > part_target + ROUNDING {
                broken.push(Broken::LongPart(msn, number, part.duration));
            }
            let next = segment.parts.get(number + 1);
            if part.duration < part_target * LEAST_FILL - ROUNDING && !may_be_short(part, next) {
                broken.push(Broken::ShortPart(msn, number, part.duration));
            }
        }
    }
}

/// Those at which decoding can start, those that are missing, those before one that is, and
/// the last of a segment.
fn may_be_short(part: &ListedPart, next: Option<&ListedPart>) -> bool {
    part.is_independent || part.is_gap || next.is_none_or(|next| next.is_gap)
}

fn check_end(listed: &Listed, others: Option<usize>, broken: &mut Vec<Broken>) {
    let hints = usize::from(!listed.has_ended && has_parts(listed));
    if listed.hints.len() != hints {
        broken.push(Broken::Hints(listed.hints.len()));
    }
    if listed.map_hints.len() > hints {
        broken.push(Broken::Hints(listed.map_hints.len()));
    }
    if let Some(others) = others
        && listed.reports.len() < others
        && !listed.has_ended
    {
        broken.push(Broken::Reports(listed.reports.len()));
    }
    let is_whole = |(_, msn, part): &(String, Option<u64>, Option<u64>)| {
        msn.is_some() && (part.is_some() || !has_parts(listed))
    };
    if !listed.reports.iter().all(is_whole) {
        broken.push(Broken::Report);
    }
    for (uri, ..) in &listed.reports {
        if uri.contains("://") || uri.starts_with('/') {
            broken.push(Broken::ReportUri(uri.clone()));
        }
    }
    let mut uris: Vec<&str> = listed.reports.iter().map(|(uri, ..)| &uri[..]).collect();
    uris.sort_unstable();
    for same in uris.chunk_by(|a, b| a == b).filter(|same| same.len() > 1) {
        broken.push(Broken::ReportTwice(same[0].to_owned()));
    }
    if listed.discontinuity_sequence.is_none() {
        broken.push(Broken::Missing("EXT-X-DISCONTINUITY-SEQUENCE"));
    }
}

/// What became of a playlist.
fn check_change(before: &Listed, now: &Listed, broken: &mut Vec<Broken>) {
    if before.has_ended {
        if before != now {
            broken.push(Broken::BehindEnd);
        }
        return;
    }
    for (name, is_same) in [
        ("EXT-X-TARGETDURATION", before.target == now.target),
        ("PART-TARGET", before.part_target == now.part_target),
        ("EXT-X-SERVER-CONTROL", before.control == now.control),
        ("EXT-X-VERSION", before.version == now.version),
    ] {
        if !is_same {
            broken.push(Broken::Changed(name));
        }
    }
    let Some(gone) = now.msn.checked_sub(before.msn) else {
        return broken.push(Broken::WentBack(now.msn));
    };
    let gone = usize::try_from(gone).unwrap_or(usize::MAX);
    if gone > before.segments.len() {
        // Too much came in between to be compared.
        return;
    }
    let left = &before.segments[..gone];
    let tags = left
        .iter()
        .filter(|segment| segment.is_discontinuity)
        .count() as u64;
    let due = before.discontinuity_sequence.unwrap_or(0) + tags;
    let is = now.discontinuity_sequence.unwrap_or(0);
    if is != due {
        broken.push(Broken::DiscontinuitySequence(is, due));
    }
    let rest: f64 = now.segments.iter().map(length).sum();
    if gone > 0 && rest < 3.0 * now.target.unwrap_or(0) as f64 {
        broken.push(Broken::Short(rest));
    }
    let complete = now.segments.iter().filter(|segment| segment.uri.is_some());
    let complete = complete.count();
    if gone > 0 && complete < LEAST_SEGMENTS {
        broken.push(Broken::Few(complete));
    }
    let known = before.segments.iter().skip(gone);
    let mut present = now.numbered().map(Some).chain(std::iter::repeat(None));
    for segment in known {
        match present.next().flatten() {
            Some((msn, same)) if !went_on(segment, same) => broken.push(Broken::Rewritten(msn)),
            Some(_) => {}
            None => broken.push(Broken::Rewritten(now.msn)),
        }
    }
    if let Some(hint) = before.hints.first() {
        check_hint(before, now, hint, broken);
    }
}

/// The same segment, with more parts, or complete, or without its parts.
fn went_on(before: &ListedSegment, now: &ListedSegment) -> bool {
    let is_same_place = before.is_discontinuity == now.is_discontinuity
        && before.date == now.date
        && before.map == now.map;
    let is_same_end = before.uri.is_none()
        || (&before.uri, before.duration, before.is_gap) == (&now.uri, now.duration, now.is_gap);
    let has_same_parts =
        now.parts.starts_with(&before.parts) || (now.parts.is_empty() && now.uri.is_some());
    is_same_place && is_same_end && has_same_parts
}

/// The part that came where one was announced.
fn check_hint(before: &Listed, now: &Listed, hint: &str, broken: &mut Vec<Broken>) {
    let Some((msn, newest)) = before.numbered().last() else {
        return;
    };
    let (msn, part) = match newest.uri {
        Some(_) => (msn + 1, 0),
        None => (msn, newest.parts.len()),
    };
    let segment = now.numbered().find(|(number, _)| *number == msn);
    if let Some(came) = segment.and_then(|(_, segment)| segment.parts.get(part))
        && came.uri != hint
    {
        broken.push(Broken::Hint(hint.to_owned(), came.uri.clone()));
    }
}

/// Whether a list has what a request with these directives waits for (6.2.5.2): a part of a
/// segment, or something of a segment, or what comes behind it. Where a segment has no such
/// part that is the first of the next.
pub fn reaches(listed: &Listed, msn: u64, part: Option<u64>) -> bool {
    let has = |segment: &ListedSegment| match part {
        Some(part) => (segment.parts.len() as u64) > part,
        None => true,
    };
    let mut segments = listed.numbered();
    listed.has_ended || segments.any(|(is, segment)| is > msn || (is == msn && has(segment)))
}

/// Which segments of two tracks of a stream, both complete, are not the same: one has a
/// discontinuity and the other none, or they begin further apart than these seconds.
pub fn aligned(one: &Listed, other: &Listed, tolerance: f64) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut apart: f64 = 0.0;
    // Where a stream ends each track ends where it ends, which may be in another segment.
    let last = |listed: &Listed| listed.numbered().last().map(|(msn, _)| msn);
    let lasts = [one, other].map(|listed| last(listed).filter(|_| listed.has_ended));
    let complete = one.numbered().filter(|(_, segment)| segment.uri.is_some());
    let first = other.msn + other.skipped;
    let same = |msn: u64| {
        let place = usize::try_from(msn.checked_sub(first)?).ok()?;
        other.segments.get(place)
    };
    for (msn, segment) in complete.filter(|(msn, _)| !lasts.contains(&Some(*msn))) {
        let Some(same) = same(msn).filter(|segment| segment.uri.is_some()) else {
            continue;
        };
        if segment.is_discontinuity != same.is_discontinuity {
            broken.push(Broken::Unaligned(msn));
        }
        if segment.is_discontinuity {
            apart = 0.0;
        }
        apart += length(segment) - length(same);
        if apart.abs() > tolerance {
            broken.push(Broken::Unaligned(msn));
            apart = 0.0;
        }
    }
    broken
}
