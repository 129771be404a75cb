//! What a player is told of a stream as time goes on, held against the rules.
//!
//! A [`Session`] is given every answer to a request for a playlist, in the order of a player,
//! and says what was broken. It asks nothing itself: whoever does, over HTTP or out of a
//! folder of answers that were kept, tells it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::check::{Broken, Checker, aligned};
use super::contents::{self, Held, Untrue};
use super::read::{Listed, ListedSegment};

/// Renditions whose segments begin further apart than these seconds are not aligned: a frame
/// of audio, and rounding.
const APART: f64 = 0.1;
/// Parts may come so much later than they are to: for the way to who looks.
pub const TOLERANCE: Duration = Duration::from_millis(500);

/// One rendition of a master playlist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variant {
    /// Where its media playlist is, as it is written.
    pub uri: String,
    /// `AUDIO`, `VIDEO`, `SUBTITLES` of `EXT-X-MEDIA`; empty for a variant.
    pub kind: String,
    /// The attributes of its tag.
    pub attributes: BTreeMap<String, String>,
}

/// A master playlist, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Master {
    /// What it names, in its order, each media playlist once.
    pub variants: Vec<Variant>,
}

/// A rule of master playlists, or one that answers break.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Wrong {
    /// It is no master playlist.
    #[error("it is no master playlist")]
    NoMaster,
    /// A variant lacks an attribute (4.4.6.2; CODECS, RESOLUTION and FRAME-RATE are Apple's,
    /// 9.2, 9.15 and 9.16).
    #[error("{0} of the master playlist has no {1}")]
    Attribute(String, &'static str),
    /// It is coded as parameter sets in the frames (Apple, 1.10).
    #[error("{0} is coded as {1}")]
    SampleEntry(String, &'static str),
    /// A media playlist breaks a rule.
    #[error("{0}: {1}")]
    Media(String, Broken),
    /// An answer that should have been another.
    #[error("{0}: answered with {1}")]
    Status(String, u16),
    /// Delivery directives were answered in another way than they are to be (6.2.5.2).
    #[error("{0}?{1}: answered with {2}, not {3}")]
    Directives(String, String, u16, u16),
    /// It is not said to be a playlist (section 4).
    #[error("{0} is said to be {1}")]
    ContentType(String, String),
    /// It is not sent compressed to who takes it so (Apple, 10.1).
    #[error("{0} is not compressed")]
    Plain(String),
    /// Two media playlists have other target durations (Apple, 8.2).
    #[error("{0} and {1} have other target durations")]
    Targets(String, String),
    /// Parts did not come within a part target of those before them (6.2.2); by how many
    /// seconds at worst.
    #[error("{0}: parts are {1} s late")]
    Late(String, f64),
    /// Caches may keep an answer longer than it is good for, or not at all what is good for
    /// long (Apple, B.1): what is said, and what is wrong with it.
    #[error("{0} is answered with {1}: {2}")]
    Cached(String, String, &'static str),
    /// Media are not what a playlist says.
    #[error("{0}: {1}")]
    Untrue(String, Untrue),
}

/// What somebody asked for, as far as caches are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The newest state of a playlist.
    Newest,
    /// A state of it that was named.
    Named,
    /// An init segment, a segment, or a part.
    Media,
    /// What was refused, or is not there.
    Refused,
}

/// A playlist that names others.
pub fn is_master(text: &str) -> bool {
    text.lines()
        .any(|line| line.starts_with("#EXT-X-STREAM-INF"))
}

impl Master {
    /// Reads one. `None`: it is none.
    pub fn parse(text: &str) -> Option<Master> {
        let mut master = Master::default();
        let mut next = None;
        if text.lines().next()?.trim_end() != "#EXTM3U" {
            return None;
        }
        for line in text.lines().map(str::trim_end) {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            match tag {
                "#EXT-X-STREAM-INF" => next = Some(super::read::attributes(value)?),
                "#EXT-X-MEDIA" => {
                    let attributes = super::read::attributes(value)?;
                    if let Some(uri) = attributes.get("URI").cloned() {
                        let kind = attributes.get("TYPE").cloned().unwrap_or_default();
                        master.name(uri, kind, attributes);
                    }
                }
                _ if !line.is_empty() && !line.starts_with('#') => {
                    master.name(line.to_owned(), String::new(), next.take()?);
                }
                _ => {}
            }
        }
        (!master.variants.is_empty()).then_some(master)
    }

    fn name(
        &mut self,
        uri: String,
        kind: String,
        attributes: std::collections::HashMap<String, String>,
    ) {
        if self.variants.iter().all(|known| known.uri != uri) {
            let attributes = attributes.into_iter().collect();
            self.variants.push(Variant {
                uri,
                kind,
                attributes,
            });
        }
    }

    /// The codecs that it tells of what is played with one of its renditions.
    pub fn codecs(&self, of: &Variant) -> Vec<String> {
        let group = of.attributes.get("GROUP-ID");
        let plays = |variant: &&Variant| match of.kind.as_str() {
            "" => *variant == of,
            kind => variant.kind.is_empty() && variant.attributes.get(kind) == group,
        };
        let told = self.variants.iter().filter(plays);
        let told = told.filter_map(|it| it.attributes.get("CODECS"));
        let codecs = told.flat_map(|codecs| codecs.split(','));
        codecs.map(|codec| codec.trim().to_owned()).collect()
    }

    /// The rules that it breaks by itself.
    pub fn wrong(&self) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        for variant in self.variants.iter().filter(|it| it.kind.is_empty()) {
            let has = |name: &str| variant.attributes.contains_key(name);
            let is_video = has("RESOLUTION");
            let needed = ["BANDWIDTH", "AVERAGE-BANDWIDTH", "CODECS"];
            let of_video = ["FRAME-RATE"];
            let needed = needed.iter().chain(of_video.iter().filter(|_| is_video));
            for name in needed.filter(|name| !has(name)) {
                wrong.push(Wrong::Attribute(variant.uri.clone(), name));
            }
            let codecs = variant
                .attributes
                .get("CODECS")
                .map_or("", |it| it.as_str());
            for entry in ["hev1", "avc3"] {
                if codecs
                    .split(',')
                    .any(|codec| codec.trim().starts_with(entry))
                {
                    wrong.push(Wrong::SampleEntry(variant.uri.clone(), entry));
                }
            }
        }
        wrong
    }
}

/// What a player was told of a stream.
#[derive(Debug)]
pub struct Session {
    /// By the name of the media playlist.
    playlists: BTreeMap<String, Followed>,
    others: Option<usize>,
    wrong: Vec<(Wrong, u64)>,
    tolerance: f64,
}

/// What is known of a media playlist.
#[derive(Debug, Default)]
struct Followed {
    checker: Checker,
    /// Codecs that the master playlist tells of.
    codecs: Vec<String>,
    /// Media that came, by their URIs.
    media: BTreeMap<String, Vec<u8>>,
    /// When the newest part came, in seconds.
    progress: Option<f64>,
    /// How often parts were late, and by how many seconds at worst.
    late: Option<(u64, f64)>,
}

impl Followed {
    /// Something came of the playlist that was `before`.
    fn progress(&mut self, before: Option<&Listed>, came: f64, tolerance: f64) {
        let (Some(now), Some(before)) = (self.checker.last(), before) else {
            self.progress = Some(came);
            return;
        };
        let added = added(before, now);
        let Some(target) = now.part_target.filter(|_| added > 0.0) else {
            return;
        };
        let since = came - self.progress.replace(came).unwrap_or(came);
        // Of several that came at once each has its time.
        let late = since - (added / target).ceil() * target - tolerance;
        if late > 0.001 && !now.has_ended {
            let (times, worst) = self.late.unwrap_or_default();
            self.late = Some((times + 1, worst.max(late + tolerance)));
        }
    }

    /// What media that came are not, of what is told of them.
    fn untrue(&self) -> Vec<Untrue> {
        let Some(listed) = self.checker.last() else {
            return Vec::new();
        };
        let codecs: Vec<&str> = self.codecs.iter().map(String::as_str).collect();
        let mut untrue = Vec::new();
        // Those that follow each other, and have the same init segment.
        let is_there = |segment: &ListedSegment| self.of(segment).is_some();
        let is_next = |a: &ListedSegment, b: &ListedSegment| {
            a.map == b.map && is_there(a) == is_there(b) && !b.is_gap
        };
        for run in listed.segments.chunk_by(is_next) {
            let init = run[0].map.as_ref();
            let Some((uri, init)) = init.and_then(|uri| Some((uri, self.media.get(uri)?))) else {
                continue;
            };
            let parts: Vec<Option<Vec<&[u8]>>> = run.iter().map(|it| self.parts(it)).collect();
            let held = run.iter().zip(&parts).filter_map(|(told, parts)| {
                Some(Held {
                    told,
                    bytes: self.of(told)?,
                    parts: parts.as_deref(),
                })
            });
            let held: Vec<Held<'_>> = held.collect();
            if !held.is_empty() {
                untrue.extend(contents::check(uri, init, &codecs, &held));
            }
        }
        untrue
    }

    /// A segment that came; where it is a piece of something, that came and not it.
    fn of(&self, segment: &ListedSegment) -> Option<&[u8]> {
        let uri = segment.uri.as_ref().filter(|_| !segment.is_piece)?;
        Some(self.media.get(uri)?.as_slice())
    }

    /// The parts of a segment, if there are any and all came.
    fn parts(&self, segment: &ListedSegment) -> Option<Vec<&[u8]>> {
        let parts = segment.parts.iter();
        let parts: Option<Vec<&[u8]>> = parts
            .map(|part| {
                let came = self.media.get(&part.uri).filter(|_| !part.is_piece);
                Some(came?.as_slice())
            })
            .collect();
        parts.filter(|parts| !parts.is_empty())
    }
}

/// Seconds that are listed now and were not before.
fn added(before: &Listed, now: &Listed) -> f64 {
    let Some((last, known)) = before.numbered().last() else {
        return 0.0;
    };
    let length = |segment: &ListedSegment| {
        let parts = segment.parts.iter().map(|part| part.duration);
        segment.duration.unwrap_or_else(|| parts.sum())
    };
    let new = now.numbered().filter(|(msn, _)| *msn >= last);
    new.map(|(_, segment)| length(segment)).sum::<f64>() - length(known)
}

impl Session {
    /// One of a stream whose master playlist is this; `None`: it has none.
    pub fn new(master: Option<&Master>) -> Session {
        let mut session = Session {
            playlists: BTreeMap::new(),
            others: master.map(|master| master.variants.len() - 1),
            wrong: Vec::new(),
            tolerance: TOLERANCE.as_secs_f64(),
        };
        for wrong in master.map(Master::wrong).unwrap_or_default() {
            session.note(wrong);
        }
        session
    }

    /// Parts may come so much later than they are to, in place of [`TOLERANCE`].
    pub fn tolerate(&mut self, late: Duration) {
        self.tolerance = late.as_secs_f64();
    }

    /// A media playlist came, so long after another moment: the whole, or what is new of it.
    pub fn playlist(&mut self, name: &str, text: &str, came: Duration) {
        let tolerance = self.tolerance;
        let followed = self.followed(name);
        let before = followed.checker.last().cloned();
        let broken = match text.contains("#EXT-X-SKIP") {
            true => followed.checker.delta(text),
            false => followed.checker.full(text),
        };
        followed.progress(before.as_ref(), came.as_secs_f64(), tolerance);
        // Beside what it is in nothing has its name.
        let own = name.rsplit('/').next().unwrap_or(name);
        let reports = followed.checker.last().map_or(&[][..], |it| &it.reports);
        let of_itself = reports.iter().any(|(uri, ..)| uri == own);
        let of_itself = of_itself.then_some(Broken::ReportOfItself);
        for broken in broken.into_iter().chain(of_itself) {
            self.note(Wrong::Media(name.to_owned(), broken));
        }
    }

    /// The codecs that a master playlist tells of a media playlist.
    pub fn codecs(&mut self, name: &str, codecs: Vec<String>) {
        self.followed(name).codecs = codecs;
    }

    /// Media came that a media playlist names by this URI.
    pub fn media(&mut self, name: &str, uri: &str, bytes: Vec<u8>) {
        self.followed(name).media.insert(uri.to_owned(), bytes);
    }

    fn followed(&mut self, name: &str) -> &mut Followed {
        let others = self.others;
        let new = || Followed {
            checker: Checker::new(others),
            ..Followed::default()
        };
        self.playlists.entry(name.to_owned()).or_insert_with(new)
    }

    /// How long caches may keep an answer about a playlist, or about `what` of it: its
    /// `Cache-Control`.
    pub fn cached(&mut self, name: &str, what: &str, kind: Kind, control: Option<&str>) {
        let Some(listed) = self.last(name) else {
            return;
        };
        let target = listed.target.unwrap_or(1).max(1);
        let seconds = control.and_then(freshness);
        let wrong = match (kind, seconds) {
            // It is another state by then.
            (Kind::Newest, Some(most)) if listed.has_ended || most <= (target / 2).max(1) => None,
            (Kind::Newest, Some(_)) => Some("too long for what is new soon"),
            // Caches guess then (RFC 9111, 4.2.2).
            (Kind::Newest | Kind::Refused, None) => Some("no time is told"),
            (Kind::Refused, Some(most)) if most <= 4 * target => None,
            (Kind::Refused, Some(_)) => Some("too long for what may be there soon"),
            // Each viewer would ask the server itself.
            (Kind::Named | Kind::Media, Some(most)) if most >= target => None,
            (Kind::Named | Kind::Media, _) => Some("too short for what stays as it is"),
        };
        if let Some(wrong) = wrong {
            let said = control.map_or("no Cache-Control".to_owned(), str::to_owned);
            self.note(Wrong::Cached(what.to_owned(), said, wrong));
        }
    }

    /// Something that was to be there was not.
    pub fn status(&mut self, name: &str, status: u16) {
        self.note(Wrong::Status(name.to_owned(), status));
    }

    /// What a playlist is said to be, and how it is sent to who takes gzip.
    pub fn sent(&mut self, name: &str, content_type: &str, is_compressed: bool) {
        // Parameters do not matter.
        let kind = content_type.split(';').next().unwrap_or("").trim();
        let kind = kind.to_ascii_lowercase();
        if !matches!(&*kind, "application/vnd.apple.mpegurl" | "audio/mpegurl") {
            self.note(Wrong::ContentType(name.to_owned(), kind));
        }
        if !is_compressed {
            self.note(Wrong::Plain(name.to_owned()));
        }
    }

    /// Directives that are to be answered with a status were answered with another.
    pub fn directives(&mut self, name: &str, directives: &str, status: u16, due: u16) {
        if status != due {
            let (name, directives) = (name.to_owned(), directives.to_owned());
            self.note(Wrong::Directives(name, directives, status, due));
        }
    }

    /// What is known of a playlist.
    pub fn last(&self, name: &str) -> Option<&Listed> {
        self.playlists.get(name)?.checker.last()
    }

    /// All that was wrong, each rule that was broken in the same way once, with how often.
    /// Whether renditions are aligned is looked at by what is listed last.
    pub fn wrong(&self) -> Vec<(Wrong, u64)> {
        let mut wrong = self.wrong.clone();
        for (name, followed) in &self.playlists {
            if let Some((times, worst)) = followed.late {
                let worst = (worst * 100.0).round() / 100.0;
                wrong.push((Wrong::Late(name.clone(), worst), times));
            }
            let untrue = followed.untrue().into_iter();
            wrong.extend(untrue.map(|it| (Wrong::Untrue(name.clone(), it), 1)));
        }
        let lists = self.playlists.iter();
        let mut lists = lists.filter_map(|(name, followed)| Some((name, followed.checker.last()?)));
        let Some((first, one)) = lists.next() else {
            return wrong;
        };
        for (name, other) in lists {
            if one.target != other.target {
                wrong.push((Wrong::Targets(first.clone(), name.clone()), 1));
            }
            for broken in aligned(one, other, APART) {
                wrong.push((Wrong::Media(name.clone(), broken), 1));
            }
        }
        wrong
    }

    fn note(&mut self, wrong: Wrong) {
        match self.wrong.iter_mut().find(|(known, _)| *known == wrong) {
            Some((_, count)) => *count += 1,
            None => self.wrong.push((wrong, 1)),
        }
    }
}

/// Seconds for which an answer may be kept by its `Cache-Control`, where that tells it.
fn freshness(control: &str) -> Option<u64> {
    let directives = control.split(',').map(str::trim);
    let forbids = |it: &str| matches!(it, "no-store" | "no-cache");
    if directives.clone().any(forbids) {
        return Some(0);
    }
    // What is for shared caches holds for these before all.
    let find = |name: &str| {
        let mut values = directives.clone().filter_map(|it| it.strip_prefix(name));
        values.next().and_then(|value| value.parse().ok())
    };
    find("s-maxage=").or_else(|| find("max-age="))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    const MASTER: &str = "#EXTM3U\n#EXT-X-VERSION:6\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a0\",URI=\"e/a0.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1000,AVERAGE-BANDWIDTH=900,CODECS=\"avc1.64001f,mp4a.40.2\",\
        RESOLUTION=320x180,FRAME-RATE=30.000,AUDIO=\"a\"\ne/v0.m3u8\n";

    #[test]
    fn a_master_playlist_names_each_rendition_once() {
        let master = Master::parse(MASTER).unwrap();
        let uris: Vec<&str> = master.variants.iter().map(|it| it.uri.as_str()).collect();
        assert_eq!(uris, ["e/a0.m3u8", "e/v0.m3u8"]);
        assert_eq!(master.wrong(), []);
        let twice = MASTER.to_owned() + "#EXT-X-STREAM-INF:BANDWIDTH=1\ne/v0.m3u8\n";
        assert_eq!(Master::parse(&twice).unwrap().variants.len(), 2);
        for variant in &master.variants {
            assert_eq!(master.codecs(variant), ["avc1.64001f", "mp4a.40.2"]);
        }
        let alone = MASTER.replace("AUDIO=\"a\"\n", "AUDIO=\"b\"\n");
        let alone = Master::parse(&alone).unwrap();
        assert_eq!(alone.codecs(&alone.variants[0]), [""; 0]);
        for none in ["", "#EXTM3U\n", "#EXTM3U\n#EXTINF:1,\na.ts\n", "x\ny\n"] {
            assert_eq!(Master::parse(none), None, "{none}");
        }
    }

    #[test]
    fn what_is_missing_in_a_master_playlist_is_told() {
        let bad = MASTER
            .replace("AVERAGE-BANDWIDTH=900,", "")
            .replace(",FRAME-RATE=30.000", "")
            .replace("avc1.64001f", "hev1.1.6.L93.B0");
        let told: Vec<String> = Master::parse(&bad)
            .unwrap()
            .wrong()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            told,
            [
                "e/v0.m3u8 of the master playlist has no AVERAGE-BANDWIDTH",
                "e/v0.m3u8 of the master playlist has no FRAME-RATE",
                "e/v0.m3u8 is coded as hev1",
            ]
        );
    }

    #[test]
    fn what_goes_wrong_again_and_again_is_told_once() {
        let list = |msn: u64| {
            format!(
                "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{msn}\n\
                 #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-MAP:URI=\"i.mp4\"\n\
                 #EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n#EXTINF:4.0,\n{msn}.m4s\n"
            )
        };
        let mut session = Session::new(None);
        session.playlist("v0.m3u8", &list(7), NOW);
        session.playlist("v0.m3u8", &list(7), NOW);
        session.status("7.m4s", 404);
        session.sent(
            "v0.m3u8",
            "application/vnd.apple.mpegurl; charset=utf-8",
            true,
        );
        session.directives("v0.m3u8", "_HLS_part=1", 400, 400);
        let wrong = session.wrong();
        assert_eq!(
            wrong,
            [
                (
                    Wrong::Media("v0.m3u8".into(), Broken::LongSegment(7, 4.0)),
                    2
                ),
                (Wrong::Status("7.m4s".into(), 404), 1),
            ]
        );
        assert_eq!(session.last("v0.m3u8").unwrap().msn, 7);
        session.sent("v0.m3u8", "text/plain", false);
        session.directives("v0.m3u8", "_HLS_part=1", 200, 400);
        session.playlist("a0.m3u8", &list(7).replace("DURATION:2", "DURATION:4"), NOW);
        let told: Vec<String> = session
            .wrong()
            .iter()
            .skip(2)
            .map(|(wrong, _)| wrong.to_string())
            .collect();
        assert_eq!(
            told,
            [
                "v0.m3u8 is said to be text/plain",
                "v0.m3u8 is not compressed",
                "v0.m3u8?_HLS_part=1: answered with 200, not 400",
                "a0.m3u8 and v0.m3u8 have other target durations",
            ]
        );
    }

    /// A playlist with so many parts of half a second in its open segment.
    fn parts(count: usize) -> String {
        let part = |number| format!("#EXT-X-PART:DURATION=0.5,URI=\"7.{number}.m4s\"\n");
        let parts: String = (0..count).map(part).collect();
        format!(
            "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:4\n\
             #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5\n\
             #EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-MEDIA-SEQUENCE:6\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-MAP:URI=\"i.mp4\"\n\
             #EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n#EXTINF:4.0,\n6.m4s\n\
             #EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:04.000Z\n{parts}\
             #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"7.{count}.m4s\"\n"
        )
    }

    #[test]
    fn parts_come_within_their_time() {
        let follow = |states: &[(usize, u64)], tolerance: Option<u64>| {
            let mut session = Session::new(None);
            if let Some(tolerance) = tolerance {
                session.tolerate(Duration::from_millis(tolerance));
            }
            for (count, came) in states {
                session.playlist("v0", &parts(*count), Duration::from_millis(*came));
            }
            session.wrong()
        };
        // One after the other, and two at once in the time of two; the same again says nothing.
        let even = [(1, 0), (2, 900), (2, 1300), (4, 2300), (5, 3300)];
        assert_eq!(follow(&even, None), []);
        let late = [(1, 0), (2, 1200), (4, 2700), (5, 5700)];
        let expected = |times, worst| [(Wrong::Late("v0".to_owned(), worst), times)];
        assert_eq!(follow(&late, None), expected(2, 2.5));
        assert_eq!(follow(&late, Some(2000)), expected(1, 2.5));
        assert_eq!(follow(&late, Some(3000)), []);
    }

    #[test]
    fn a_playlist_reports_of_others_alone() {
        let report = "#EXT-X-RENDITION-REPORT:URI=\"v0.m3u8\",LAST-MSN=7,LAST-PART=0\n";
        let told = |name| {
            let mut session = Session::new(None);
            session.playlist(name, &(parts(1) + report), NOW);
            session.wrong()
        };
        assert_eq!(told("/live/e/a0.m3u8"), []);
        let own = "/live/e/v0.m3u8";
        let wrong = Wrong::Media(own.to_owned(), Broken::ReportOfItself);
        assert_eq!(told(own), [(wrong, 1)]);
    }

    #[test]
    fn what_caches_are_told_is_looked_at() {
        let told = |kind, control: Option<&str>| {
            let mut session = Session::new(None);
            session.playlist("v0", &parts(1), NOW);
            session.cached("v0", "it", kind, control);
            let wrong = session.wrong();
            wrong.first().map(|(wrong, _)| wrong.to_string())
        };
        use Kind::{Media, Named, Newest, Refused};
        for (kind, control) in [
            (Newest, "public, max-age=2"),
            (Newest, "no-cache"),
            (Newest, "max-age=600, s-maxage=1"),
            (Named, "private, max-age=24"),
            (Media, "public, max-age=31536000, immutable"),
            (Refused, "no-store"),
            (Refused, "max-age=16"),
        ] {
            assert_eq!(told(kind, Some(control)), None, "{control}");
        }
        for (kind, control) in [
            (Newest, Some("max-age=3")),
            (Newest, None),
            (Named, Some("no-store")),
            (Named, None),
            (Media, Some("max-age=1")),
            (Media, Some("public, no-cache, max-age=600")),
            (Refused, Some("max-age=17")),
            (Refused, None),
        ] {
            assert!(told(kind, control).is_some(), "{kind:?} {control:?}");
        }
        assert_eq!(
            told(Newest, Some("max-age=3")).unwrap(),
            "it is answered with max-age=3: too long for what is new soon"
        );
    }

    #[test]
    fn media_that_came_are_held_against_what_is_told_of_them() {
        let mut session = Session::new(None);
        session.playlist("v0", &parts(1), NOW);
        session.media("v0", "6.m4s", b"no media".to_vec());
        assert_eq!(session.wrong(), []);
        session.media("v0", "i.mp4", b"no init".to_vec());
        let untrue = Untrue::Unreadable("i.mp4".to_owned());
        let expected = [(Wrong::Untrue("v0".to_owned(), untrue), 1)];
        assert_eq!(session.wrong(), expected);
        // All of a file is no piece of it.
        let pieces = parts(1).replace("#EXTINF:4.0,\n", "#EXTINF:4.0,\n#EXT-X-BYTERANGE:9@1\n");
        let mut session = Session::new(None);
        session.playlist("v0", &pieces, NOW);
        session.media("v0", "6.m4s", b"no media".to_vec());
        session.media("v0", "i.mp4", b"no init".to_vec());
        assert_eq!(session.wrong(), []);
    }
}
