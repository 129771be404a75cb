//! What a player is told of a stream as time goes on, held against the rules.
//!
//! A [`Session`] is given every answer to a request for a playlist, in the order of a player,
//! and says what was broken. It asks nothing itself: whoever does, over HTTP or out of a
//! folder of answers that were kept, tells it.

use std::collections::BTreeMap;

use super::check::{Broken, Checker, aligned};
use super::read::Listed;

/// Renditions whose segments begin further apart than these seconds are not aligned: a frame
/// of audio, and rounding.
const APART: f64 = 0.1;

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
#[derive(Debug, Default)]
pub struct Session {
    /// By the name of the media playlist.
    playlists: BTreeMap<String, Checker>,
    others: Option<usize>,
    wrong: Vec<(Wrong, u64)>,
}

impl Session {
    /// One of a stream whose master playlist is this; `None`: it has none.
    pub fn new(master: Option<&Master>) -> Session {
        let mut session = Session {
            others: master.map(|master| master.variants.len() - 1),
            ..Session::default()
        };
        for wrong in master.map(Master::wrong).unwrap_or_default() {
            session.note(wrong);
        }
        session
    }

    /// A media playlist came: the whole, or what is new of it.
    pub fn playlist(&mut self, name: &str, text: &str) {
        let others = self.others;
        let checker = self
            .playlists
            .entry(name.to_owned())
            .or_insert_with(|| Checker::new(others));
        let broken = match text.contains("#EXT-X-SKIP") {
            true => checker.delta(text),
            false => checker.full(text),
        };
        for broken in broken {
            self.note(Wrong::Media(name.to_owned(), broken));
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
        self.playlists.get(name)?.last()
    }

    /// All that was wrong, each rule that was broken in the same way once, with how often.
    /// Whether renditions are aligned is looked at by what is listed last.
    pub fn wrong(&self) -> Vec<(Wrong, u64)> {
        let mut wrong = self.wrong.clone();
        let lists = self.playlists.iter();
        let mut lists = lists.filter_map(|(name, checker)| Some((name, checker.last()?)));
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

#[cfg(test)]
mod tests {
    use super::*;

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
        session.playlist("v0.m3u8", &list(7));
        session.playlist("v0.m3u8", &list(7));
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
        session.playlist("a0.m3u8", &list(7).replace("DURATION:2", "DURATION:4"));
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
}
