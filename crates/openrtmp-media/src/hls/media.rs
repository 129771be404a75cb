//! Media playlists.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;

use super::{Edge, Names};
use crate::cues::CueKind;
use crate::date::date;
use crate::mp4::TrackName;
use crate::packager::{Part, Rendition, Segment, Targets, Window};

/// Parts are listed of segments that end less than so many target durations before the end.
const PARTS_FOR: u32 = 3;
/// So many target durations before the end, and further, segments can be skipped.
const SKIP_BOUNDARY: u32 = 6;
/// The least version of the protocol that has `EXT-X-SKIP`.
const VERSION: u32 = 9;

/// How much a playlist tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Everything.
    Full,
    /// Without old segments, for who read them before. It is [`Form::Full`] if there are
    /// none to be left out.
    Delta,
}

/// The media playlist of a track. `None` if there is no such track, nothing complete of it,
/// or nothing may be listed yet.
pub fn media_playlist(
    window: &Window,
    track: TrackName,
    names: &Names,
    form: Form,
) -> Option<String> {
    let mut writer = PlaylistWriter::default();
    let (settled, rest) = writer.write(window, track, names, form, Bytes::from)?;
    let mut text = String::from_utf8_lossy(&settled).into_owned();
    text.push_str(&rest);
    Some(text)
}

/// Writes the playlist of one track in one form, of each state of a stream in turn. The text
/// of what is settled, most of a long playlist, is made when something settles and kept until
/// then: a new part of this or of another track costs no more in a long playlist than in a
/// short one.
#[derive(Clone, Debug, Default)]
pub struct PlaylistWriter(Option<(Settled, Bytes)>);

/// Which segments are settled: they are complete, and their parts are listed no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Settled {
    /// The sequence number of the first that is listed.
    first: u64,
    /// Places of those that are told of, behind those that are left out.
    from: usize,
    to: usize,
    has_ended: bool,
    /// The init segment that the last of them needs.
    init: Option<u32>,
    /// The number of the oldest that is said in them: it leaves before its segment if much is
    /// said later.
    cue: Option<u32>,
}

impl PlaylistWriter {
    /// The playlist as [`media_playlist`] has it, in two pieces, one behind the other: what is
    /// settled, the very same as long as nothing else is, and the rest. `keep` is given the
    /// text of the former when that is another, and makes what is kept of it.
    pub fn write(
        &mut self,
        window: &Window,
        track: TrackName,
        names: &Names,
        form: Form,
        keep: impl FnOnce(String) -> Bytes,
    ) -> Option<(Bytes, String)> {
        let (targets, rendition) = (window.targets()?, window.rendition(track)?);
        let segments = &rendition.segments;
        let first = segments.front().filter(|segment| segment.is_complete)?;
        let target = Duration::from_secs(u64::from(targets.segment));
        let count_far = |times: u32| segments.len() - count_near(rendition, target * times);
        let from = match form {
            Form::Full => 0,
            Form::Delta => count_far(SKIP_BOUNDARY),
        };
        let to = match window.has_ended() {
            true => segments.len(),
            false => count_far(PARTS_FOR),
        };
        let whole = segments.iter().take(to);
        let to = from + whole.skip(from).take_while(|is| is.is_complete).count();
        let told = |from: usize, to: usize| {
            let told = segments.range(from..to);
            told.filter(|segment| !segment.parts.is_empty())
        };
        let last = segments
            .range(from..to)
            .rfind(|segment| !segment.parts.is_empty());
        let settled = Settled {
            first: first.beginning.msn,
            from,
            to,
            has_ended: window.has_ended(),
            init: last.map(|segment| segment.beginning.init),
            cue: segments
                .range(..to)
                .find_map(|segment| segment.cues.first())
                .map(|oldest| oldest.number),
        };
        let known = self.0.take().filter(|(is, _)| *is == settled);
        let (_, kept) = self.0.insert(known.unwrap_or_else(|| {
            let mut out = String::from("#EXTM3U\n");
            put_header(&mut out, &targets);
            put_beginning(&mut out, first, from);
            // Date ranges are not left out with their segments (4.4.5.2).
            for skipped in segments.range(..from) {
                put_cues(&mut out, skipped, names);
            }
            let mut init = None;
            for segment in told(from, to) {
                put_segment(&mut out, segment, track, names, &mut init, false);
            }
            (settled, keep(out))
        }));
        let mut rest = String::new();
        let mut init = settled.init;
        for segment in told(to, segments.len()) {
            let has_parts = !window.has_ended();
            put_segment(&mut rest, segment, track, names, &mut init, has_parts);
        }
        match window.has_ended() {
            true => rest.push_str("#EXT-X-ENDLIST\n"),
            false => put_edge(&mut rest, window, rendition, names),
        }
        Some((kept.clone(), rest))
    }
}

/// Where a list begins, and what is left out of it.
fn put_beginning(out: &mut String, first: &Segment, skipped: usize) {
    let msn = first.beginning.msn;
    let _ = writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{msn}");
    // Of what is listed the first segment's own tag counts one more.
    let before = first.beginning.discontinuities - u64::from(first.beginning.is_discontinuity);
    let _ = writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{before}");
    if skipped > 0 {
        let _ = writeln!(out, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
    }
}

fn put_header(out: &mut String, targets: &Targets) {
    let target = targets.segment;
    let _ = writeln!(
        out,
        "#EXT-X-VERSION:{VERSION}\n#EXT-X-TARGETDURATION:{target}"
    );
    let (hold_back, part) = (seconds(targets.part_hold_back), seconds(targets.part));
    let skip = target * SKIP_BOUNDARY;
    let _ = writeln!(
        out,
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={hold_back},\
         HOLD-BACK={}.0,CAN-SKIP-UNTIL={skip}.0",
        target * 3
    );
    let _ = writeln!(out, "#EXT-X-PART-INF:PART-TARGET={part}");
}

/// How many segments end less than this before the end of the playlist.
fn count_near(rendition: &Rendition, within: Duration) -> usize {
    let newest = rendition.segments.iter().rev();
    let ends = newest.scan(Duration::ZERO, |behind, segment| {
        let end = *behind;
        *behind += segment.duration();
        Some(end)
    });
    ends.take_while(|end| *end < within).count()
}

fn put_segment(
    out: &mut String,
    segment: &Segment,
    track: TrackName,
    names: &Names,
    init: &mut Option<u32>,
    has_parts: bool,
) {
    let beginning = segment.beginning;
    if beginning.is_discontinuity {
        out.push_str("#EXT-X-DISCONTINUITY\n");
    }
    if init.replace(beginning.init) != Some(beginning.init) {
        let uri = names.init(track, beginning.init);
        let uri = names.in_playlist(&uri);
        let _ = writeln!(out, "#EXT-X-MAP:URI=\"{uri}\"");
    }
    let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", date(beginning.wall));
    put_cues(out, segment, names);
    if (has_parts && !segment.is_released) || !segment.is_complete {
        for (number, part) in segment.parts.iter().enumerate() {
            let uri = names.part(track, beginning.msn, number);
            put_part(out, part, names.in_playlist(&uri));
        }
    }
    if segment.is_complete {
        if segment.is_gap() {
            out.push_str("#EXT-X-GAP\n");
        }
        let length = seconds(segment.duration());
        let uri = names.segment(track, beginning.msn);
        let uri = names.in_playlist(&uri);
        let _ = writeln!(out, "#EXTINF:{length},\n{uri}");
    }
}

/// What is said in a segment, as far as the window has it.
fn put_cues(out: &mut String, segment: &Segment, names: &Names) {
    let run = names.epoch.rsplit('/').next().unwrap_or_default();
    for said in &segment.cues {
        let (number, start) = (said.number, date(said.wall));
        let (scheme, name) = (CueKind::SCHEME, said.cue.kind.name());
        let _ = write!(
            out,
            "#EXT-X-DATERANGE:ID=\"{run}-{number}\",CLASS=\"{scheme}:{name}\",\
             START-DATE=\"{start}\",X-DATA=\""
        );
        said.cue.put_encoded(out);
        out.push_str("\"\n");
    }
}

fn put_part(out: &mut String, part: &Part, uri: &str) {
    let length = seconds(part.duration);
    let _ = write!(out, "#EXT-X-PART:DURATION={length},URI=\"{uri}\"");
    if part.is_independent {
        out.push_str(",INDEPENDENT=YES");
    }
    out.push_str(if part.is_gap { ",GAP=YES\n" } else { "\n" });
}

/// What comes next, and how far the other tracks are.
fn put_edge(out: &mut String, window: &Window, rendition: &Rendition, names: &Names) {
    let edge = Edge::of(rendition, window);
    let (msn, part) = match edge.is_complete {
        true => (edge.msn + 1, 0),
        false => (edge.msn, edge.parts as usize),
    };
    // The init segment of what began and has no part yet: players can have it by then.
    let listed = rendition
        .segments
        .iter()
        .rfind(|segment| !segment.parts.is_empty());
    let began = rendition
        .segments
        .back()
        .map(|segment| segment.beginning.init);
    if let Some(init) = began
        && listed.is_some_and(|listed| listed.beginning.init != init)
    {
        let uri = names.init(rendition.track, init);
        let uri = names.in_playlist(&uri);
        let _ = writeln!(out, "#EXT-X-PRELOAD-HINT:TYPE=MAP,URI=\"{uri}\"");
    }
    let uri = names.part(rendition.track, msn, part);
    let uri = names.in_playlist(&uri);
    let _ = writeln!(out, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{uri}\"");
    // Also of what new master playlists do not name any longer: who plays knows it.
    for other in window.renditions() {
        let edge = Edge::of(other, window);
        if other.track != rendition.track && edge.parts > 0 {
            let _ = writeln!(
                out,
                "#EXT-X-RENDITION-REPORT:URI=\"{}\",LAST-MSN={},LAST-PART={}",
                names.in_playlist(&names.playlist(other.track)),
                edge.msn,
                edge.parts - 1
            );
        }
    }
}

/// Seconds with five decimals, to the nearest, without the zeros at the end.
pub(super) fn seconds(duration: Duration) -> String {
    let units = (duration.as_nanos() + 5000) / 10_000;
    let text = format!("{}.{:05}", units / 100_000, units % 100_000);
    let short = text.trim_end_matches('0');
    match short.ends_with('.') {
        true => format!("{short}0"),
        false => short.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_the_decimals_that_they_need() {
        for (nanos, text) in [
            (334_000_000, "0.334"),
            (333_666_666, "0.33367"),
            (2_000_000_000, "2.0"),
            (4_999, "0.0"),
        ] {
            assert_eq!(seconds(Duration::from_nanos(nanos)), text);
        }
    }
}
