//! What a player is told of a stream as time goes on, held against the rules.
//!
//! A [`Session`] is given every answer to a request for a playlist, in the order of a player,
//! and says what was broken. It asks nothing itself: whoever does, over HTTP or out of a
//! folder of answers that were kept, tells it.

mod answers;
mod master;
mod reports;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use self::reports::Edges;
use super::check::{Broken, Checker, aligned};
use super::contents::{self, Held, Untrue};
use super::read::{Listed, ListedSegment, bare};
use crate::codecs::family;

pub use master::{Master, Variant, is_master};

/// Renditions whose segments begin further apart than these seconds are not aligned: a frame
/// of audio, and rounding.
const APART: f64 = 0.1;
/// Measured rates are at most so many hundredths of those that are told (Apple, 1.28 and 1.29).
const PEAK: f64 = 1.25;
const AVERAGE: f64 = 1.10;
/// An average is one of so many segments at least.
const AVERAGED: usize = 6;
/// Parts that left the list are there for so many target durations more.
const GRACE: f64 = 3.0;
/// So many ways in which rules are broken are told, and so many parts that left are known.
const KNOWN: usize = 1000;
/// Parts may come so much later than they are to: for the way to who looks.
pub const TOLERANCE: Duration = Duration::from_millis(500);

/// A rule of master playlists, or one that answers break.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Wrong {
    /// It is no master playlist.
    #[error("it is no master playlist")]
    NoMaster,
    /// A variant lacks an attribute (4.4.6.2; CODECS, RESOLUTION and FRAME-RATE are Apple's,
    /// 9.2, 9.15 and 9.16), or audio its LANGUAGE (Apple, 8.10).
    #[error("{} of the master playlist has no {}", bare(.0), .1)]
    Attribute(String, &'static str),
    /// The bit rate that was measured is far above the one that is told (Apple, 1.28 and 1.29):
    /// of a variant with the largest of what is played with it, what was measured, and told.
    #[error("{} has a {} of {}, and was measured with {} bits per second", bare(.0), .1, .2, .3)]
    Rate(String, &'static str, u64, u64),
    /// VIDEO-RANGE is not that of the pictures (4.4.6.2): it is what is told, and then what is
    /// in the media.
    #[error("{} is told to be {}, and is {}", bare(.0), .1, .2)]
    Range(String, String, &'static str),
    /// It is coded as parameter sets in the frames (Apple, 1.10).
    #[error("{} is coded as {}", bare(.0), .1)]
    SampleEntry(String, &'static str),
    /// A variant is played with a group of sound that is not there (4.4.6.2).
    #[error("{} is played with the group {}, which is not there", bare(.0), .1)]
    NoGroup(String, String),
    /// Two members of a group have one name (4.4.6.1.1).
    #[error("two of the group {0} are called {1}")]
    GroupName(String, String),
    /// A group has more than one default (4.4.6.1.1).
    #[error("the group {0} has more than one default")]
    GroupDefault(String),
    /// A variant tells of another codec of sound than another one that is played with the same
    /// group, all of which CODECS is to name (4.4.6.2).
    #[error("{} tells of other codecs of the group {} than others do", bare(.0), .1)]
    GroupCodecs(String, String),
    /// A variant tells of sound that is not in what it is played with (4.4.6.2).
    #[error("{} is told to have {}, and the group {} has none of it", bare(.0), .1, .2)]
    NoCodec(String, String, String),
    /// A group has sound of several codecs: all of them are in CODECS of what is played with it
    /// (4.4.6.2), and who has no decoder for one of them plays none. Encodings of one sound are
    /// to be in a group each (4.4.6.1.1).
    #[error("the group {0} has sound of {1}")]
    Mixed(String, String),
    /// A media playlist breaks a rule.
    #[error("{0}: {1}")]
    Media(String, Broken),
    /// An answer that should have been another.
    #[error("{0}: answered with {1}")]
    Status(String, u16),
    /// Delivery directives were answered in another way than they are to be (6.2.5.2).
    #[error("{0}?{1}: answered with {2}, not {3}")]
    Directives(String, String, u16, u16),
    /// What came is without what was asked for (6.2.5.2).
    #[error("{0}: an answer is without the part or segment that was asked for")]
    TooSoon(String),
    /// A delta came to who did not ask for one (6.2.5.1).
    #[error("{0}: something is left out of an answer to who asked for the whole")]
    Skipped(String),
    /// There is no rendition report of another playlist of the stream (Apple, B.1).
    #[error("{0}: no rendition report of {1}")]
    Unreported(String, String),
    /// What was asked for is elsewhere (Apple, B.1).
    #[error("{0} is redirected")]
    Redirected(String),
    /// The same name had other bytes (6.2.1, 6.2.6).
    #[error("{}: {} is not what it was", .0, bare(.1))]
    OtherBytes(String, String),
    /// It is not said to be a playlist (section 4).
    #[error("{0} is said to be {1}")]
    ContentType(String, String),
    /// It is not sent compressed to who takes it so (Apple, 10.1).
    #[error("{0} is not compressed")]
    Plain(String),
    /// A rendition report is of what the other playlist was before it was asked for (4.4.5.4).
    #[error("{0}: the rendition report of {1} is of what was before")]
    Outdated(String, String),
    /// A rendition report is of what the other playlist does not have (4.4.5.4).
    #[error("{0}: the rendition report of {1} is of what is not there")]
    Unfounded(String, String),
    /// What was announced came, and was refused to who asked for it before (6.2.6).
    #[error("{}: {} was announced, and answered with {}", .0, bare(.1), .2)]
    Unhinted(String, String, u16),
    /// Some bytes of something are not those (RFC 9110, 14.2 to 14.4), or what is told of it
    /// without sending it is not so (RFC 9110, 8.6).
    #[error("{0}: {1}")]
    Bytes(String, &'static str),
    /// Pages that may read a playlist may not read what it names (the Fetch standard, 3.2).
    #[error("{0} is not for the pages that may read the playlist")]
    Closed(String),
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

/// What a player was told of a stream.
#[derive(Debug)]
pub struct Session {
    /// By the name of the media playlist.
    playlists: BTreeMap<String, Followed>,
    master: Option<Master>,
    /// The first one.
    first: Option<Master>,
    /// The encoder said what its rates are.
    is_announced: bool,
    /// The last one came after lists did: what it says of rates is said of what was listed.
    is_master_late: bool,
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
    /// How long segments are that were listed, in seconds, by their URIs.
    lengths: BTreeMap<String, f64>,
    /// Parts that left the list, and when, in seconds.
    left: Vec<(String, f64)>,
    /// When the newest part came, in seconds.
    progress: Option<f64>,
    /// How often parts were late, and by how many seconds at worst.
    late: Option<(u64, f64)>,
    /// What it was when, and what others say of it.
    edges: Edges,
    /// Pages of other sites may read it.
    is_open: bool,
    /// What was refused to who asked for it by a hint: URI and status.
    refused: Vec<(String, u16)>,
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

    /// What was listed and is not, and what is.
    fn list(&mut self, before: Option<&Listed>, came: f64) {
        let Some(now) = self.checker.last() else {
            return;
        };
        // Of what is not listed those are of use that came.
        self.lengths.retain(|uri, _| self.media.contains_key(uri));
        for segment in &now.segments {
            if let (Some(uri), Some(length)) = (&segment.uri, segment.duration) {
                self.lengths.insert(uri.clone(), length);
            }
        }
        let parts = |listed: &Listed| -> Vec<String> {
            let all = listed.segments.iter().flat_map(|segment| &segment.parts);
            let there = all.filter(|part| !part.is_gap && !part.is_piece);
            there.map(|part| part.uri.clone()).collect()
        };
        let is: HashSet<String> = parts(now).into_iter().collect();
        let was = before.map(parts).unwrap_or_default().into_iter();
        let left = was.filter(|uri| !is.contains(uri));
        let grace = GRACE * now.target.unwrap_or(0) as f64;
        self.left.retain(|(_, when)| came - when < grace);
        self.left.extend(left.map(|uri| (uri, came)));
        self.left.drain(..self.left.len().saturating_sub(KNOWN));
    }

    /// The rates of the segments that came, in bits per second: of the one that has most, of
    /// those that last half a target duration or more, and of all if they are enough to tell.
    fn rates(&self) -> (f64, Option<f64>) {
        let target = self.checker.last().and_then(|listed| listed.target);
        let least = target.unwrap_or(0) as f64 / 2.0;
        let came = self.lengths.iter();
        let came = came.filter_map(|(uri, length)| Some((self.media.get(uri)?.len(), *length)));
        let came = came.filter(|(_, length)| *length > 0.0);
        let (mut peak, mut all) = (0.0f64, (0.0, 0.0, 0));
        for (bytes, length) in came {
            let bits = bytes as f64 * 8.0;
            if length >= least {
                peak = peak.max(bits / length);
            }
            all = (all.0 + bits, all.1 + length, all.2 + 1);
        }
        (peak, (all.2 >= AVERAGED).then(|| all.0 / all.1))
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

    /// The init segments that came of what is listed, in its order.
    fn inits(&self) -> impl Iterator<Item = &[u8]> {
        let listed = self.checker.last().into_iter();
        let segments = listed.flat_map(|listed| &listed.segments);
        segments.filter_map(|it| Some(self.media.get(it.map.as_ref()?)?.as_slice()))
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
            master: None,
            first: None,
            is_master_late: false,
            is_announced: false,
            wrong: Vec::new(),
            tolerance: TOLERANCE.as_secs_f64(),
        };
        if let Some(master) = master {
            session.master(master);
        }
        session
    }

    /// The master playlist came again. Rates are held against one that came after lists did:
    /// what is told before is all that anybody knew then.
    pub fn master(&mut self, master: &Master) {
        self.first.get_or_insert_with(|| master.clone());
        for wrong in master.wrong() {
            self.note_once(wrong);
        }
        self.master = Some(master.clone());
        self.is_master_late = !self.playlists.is_empty();
    }

    /// The encoder said what its rates are: those of the master playlist that was the first to
    /// come are held against what comes too.
    pub fn rates_are_announced(&mut self) {
        self.is_announced = true;
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
        followed.list(before.as_ref(), came.as_secs_f64());
        // Beside what it is in nothing has its name.
        let own = name.rsplit('/').next().unwrap_or(name);
        let reports = followed.checker.last().map_or(&[][..], |it| &it.reports);
        let of_itself = reports.iter().any(|(uri, ..)| uri == own);
        let of_itself = of_itself.then_some(Broken::ReportOfItself);
        for broken in broken.into_iter().chain(of_itself) {
            self.note(Wrong::Media(name.to_owned(), broken));
        }
        self.look_at_reports(name);
        self.look_at_others(name);
    }

    /// Each of the other playlists that the master playlist names is reported of.
    fn look_at_reports(&mut self, name: &str) {
        let Some(listed) = self.last(name).filter(|it| !it.has_ended) else {
            return;
        };
        let Some(master) = self.master.as_ref().filter(|it| it.of_name(name).is_some()) else {
            return;
        };
        let others = master.variants.iter().map(|variant| named(&variant.uri));
        let others: Vec<String> = others.filter(|other| *other != named(name)).collect();
        // Fewer of them are told of as such.
        if listed.reports.len() < others.len() {
            return;
        }
        let reports = listed.reports.iter();
        let told: Vec<String> = reports.map(|(uri, ..)| beside(name, uri)).collect();
        for other in others.into_iter().filter(|other| !told.contains(other)) {
            self.note(Wrong::Unreported(name.to_owned(), other));
        }
    }

    /// Holds a playlist that came against what is known of the others.
    fn look_at_others(&mut self, name: &str) {
        let Some(listed) = self.last(name) else {
            return;
        };
        let mut wrong = Vec::new();
        for (other, followed) in self.playlists.iter().filter(|(other, _)| *other != name) {
            let Some(last) = followed.checker.last() else {
                continue;
            };
            let (first, second) = if *name < **other {
                (name, &**other)
            } else {
                (&**other, name)
            };
            if last.target != listed.target {
                wrong.push(Wrong::Targets(first.to_owned(), second.to_owned()));
            }
            let broken = aligned(listed, last, APART).into_iter();
            wrong.extend(broken.map(|broken| Wrong::Media(second.to_owned(), broken)));
        }
        for wrong in wrong {
            self.note_once(wrong);
        }
    }

    /// Media of a playlist that left its list so short a time before this moment that they are
    /// still to be there (6.2.2), by their URIs.
    pub fn due(&self, name: &str, now: Duration) -> Vec<&str> {
        let Some(followed) = self.playlists.get(name) else {
            return Vec::new();
        };
        let target = followed.checker.last().and_then(|listed| listed.target);
        let grace = GRACE * target.unwrap_or(0) as f64;
        let left = followed.left.iter();
        let due = left.filter(|(_, when)| now.as_secs_f64() - when < grace);
        due.map(|(uri, _)| uri.as_str()).collect()
    }

    /// The codecs that a master playlist tells of a media playlist.
    pub fn codecs(&mut self, name: &str, codecs: Vec<String>) {
        self.followed(name).codecs = codecs;
    }

    /// Media came that a media playlist names by this URI.
    pub fn media(&mut self, name: &str, uri: &str, bytes: Vec<u8>) {
        let media = &mut self.followed(name).media;
        let is_other = media.get(uri).is_some_and(|known| *known != bytes);
        media.insert(uri.to_owned(), bytes);
        if is_other {
            self.note(Wrong::OtherBytes(name.to_owned(), uri.to_owned()));
        }
    }

    fn followed(&mut self, name: &str) -> &mut Followed {
        let others = self.master.as_ref().map(|it| it.variants.len().max(1) - 1);
        let new = || Followed {
            checker: Checker::new(others),
            ..Followed::default()
        };
        self.playlists.entry(name.to_owned()).or_insert_with(new)
    }

    /// What is known of a playlist.
    pub fn last(&self, name: &str) -> Option<&Listed> {
        self.playlists.get(name)?.checker.last()
    }

    /// All that was wrong, each rule that was broken in the same way once, with how often.
    pub fn wrong(&self) -> Vec<(Wrong, u64)> {
        let mut wrong = self.wrong.clone();
        for (name, followed) in &self.playlists {
            if let Some((times, worst)) = followed.late {
                let worst = (worst * 100.0).round() / 100.0;
                wrong.push((Wrong::Late(name.clone(), worst), times));
            }
            let untrue = followed.untrue().into_iter();
            wrong.extend(untrue.map(|it| (Wrong::Untrue(name.clone(), it), 1)));
            let refused = followed.refused_and_listed();
            let unhinted =
                |(uri, status): (&str, u16)| Wrong::Unhinted(name.clone(), uri.to_owned(), status);
            wrong.extend(refused.map(|it| (unhinted(it), 1)));
        }
        let last = self.master.iter();
        let told = last.clone().filter(|_| self.is_master_late);
        let told = told.chain(self.first.iter().filter(|_| self.is_announced));
        let rates = told.flat_map(|master| {
            let variants = master.streams();
            variants.flat_map(|variant| self.exceeded(master, variant))
        });
        let others = last.flat_map(|master| {
            let variants = master.streams();
            variants.flat_map(|variant| self.mistold(master, variant))
        });
        // Pictures are there once for each group.
        for told in rates.chain(others) {
            if wrong.iter().all(|(known, _)| *known != told) {
                wrong.push((told, 1));
            }
        }
        wrong
    }

    /// What is known of the media playlist of a variant.
    fn of(&self, variant: &Variant) -> Option<&Followed> {
        let mut all = self.playlists.iter();
        let found = all.find(|(name, _)| named(name) == named(&variant.uri));
        found.map(|(_, followed)| followed)
    }

    /// Whether the sound that a variant is played with is of one codec, and that which it tells.
    fn look_at_sound(&self, master: &Master, variant: &Variant, wrong: &mut Vec<Wrong>) {
        let Some(group) = variant.attributes.get("AUDIO") else {
            return;
        };
        let sounds = master.sounds(variant).map(|sound| {
            let codings = self.of(sound)?.inits().filter_map(contents::coding);
            let codings: Vec<String> = codings.collect();
            (!codings.is_empty()).then_some(codings)
        });
        let sounds: Vec<Option<Vec<String>>> = sounds.collect();
        let came = sounds.iter().flatten();
        // What one of them was coded as before is listed for a while.
        let newest: BTreeSet<&str> = came
            .clone()
            .filter_map(|codings| codings.last().map(String::as_str))
            .collect();
        if newest.len() > 1 {
            let codecs: Vec<&str> = newest.into_iter().collect();
            wrong.push(Wrong::Mixed(group.clone(), codecs.join(" and ")));
        }
        if sounds.is_empty() || sounds.iter().any(Option::is_none) {
            return;
        }
        for told in variant.sound() {
            let coding = family(told).to_ascii_lowercase();
            if !came.clone().flatten().any(|is| *is == coding) {
                let (uri, told) = (variant.uri.clone(), told.to_owned());
                wrong.push(Wrong::NoCodec(uri, told, group.clone()));
            }
        }
    }

    /// The rates of a variant that are less than those of the media that came of it and of what
    /// is played with it.
    fn exceeded(&self, master: &Master, variant: &Variant) -> Vec<Wrong> {
        let Some(own) = self.of(variant) else {
            return Vec::new();
        };
        let mut wrong = Vec::new();
        let others = master.sounds(variant).filter_map(|other| self.of(other));
        let others: Vec<_> = others.map(Followed::rates).collect();
        let (peak, average) = own.rates();
        let most = |rates: &mut dyn Iterator<Item = f64>| rates.fold(0.0, f64::max);
        let peak = peak + most(&mut others.iter().map(|it| it.0));
        let average = average.map(|it| it + most(&mut others.iter().filter_map(|it| it.1)));
        for (name, measured, most) in [
            ("BANDWIDTH", Some(peak), PEAK),
            ("AVERAGE-BANDWIDTH", average, AVERAGE),
        ] {
            let told = variant.attributes.get(name).and_then(|it| it.parse().ok());
            if let (Some(told), Some(measured)) = (told, measured)
                && measured > told as f64 * most
            {
                let uri = variant.uri.clone();
                wrong.push(Wrong::Rate(uri, name, told, measured as u64));
            }
        }
        wrong
    }

    /// What else a variant is told to be and is not, by the media that came of it and of what is
    /// played with it.
    fn mistold(&self, master: &Master, variant: &Variant) -> Vec<Wrong> {
        let Some(own) = self.of(variant) else {
            return Vec::new();
        };
        let mut wrong = Vec::new();
        self.look_at_sound(master, variant, &mut wrong);
        let told = variant.attributes.get("VIDEO-RANGE");
        let told = told.map_or("SDR", String::as_str);
        let range = own.inits().filter_map(contents::video_range).next();
        if let Some(is) = range.filter(|is| *is != told) {
            wrong.push(Wrong::Range(variant.uri.clone(), told.to_owned(), is));
        }
        wrong
    }

    /// What would be found again and again in what is listed for long.
    fn note_once(&mut self, wrong: Wrong) {
        if self.wrong.iter().all(|(known, _)| *known != wrong) {
            self.note(wrong);
        }
    }

    fn note(&mut self, wrong: Wrong) {
        if let Some((_, count)) = self.wrong.iter_mut().find(|it| it.0 == wrong) {
            *count += 1;
        } else if self.wrong.len() < KNOWN {
            self.wrong.push((wrong, 1));
        }
    }
}

/// What a name or a URI ends with, by which renditions are told apart: a file and its folder.
fn named(uri: &str) -> String {
    let path = uri.split(['?', '#']).next().unwrap_or("");
    let mut last: Vec<&str> = path.rsplit('/').take(2).collect();
    last.reverse();
    last.join("/")
}

/// What a URI in the playlist of this name is called.
fn beside(name: &str, uri: &str) -> String {
    let mut folders: Vec<&str> = name.split('/').collect();
    folders.pop();
    let mut rest = uri;
    while let Some(up) = rest.strip_prefix("../") {
        folders.pop();
        rest = up;
    }
    folders.push(rest);
    named(&folders.join("/"))
}

#[cfg(test)]
mod tests;
