//! The rules that manifests are to keep, as far as they can be seen from outside.
//!
//! [`Checker`] follows a manifest as a stream goes on, in the order in which a player would.
//! Sections are of ISO/IEC 23009-1:2022 unless told otherwise.

use std::collections::HashSet;

use super::read::{Listed, ListedPeriod, Representation, Template, Unreadable};
use crate::codecs::family;

/// Segments of tracks that follow reach over the end of a period, or begin behind its start,
/// by a frame and what it is stretched by, in seconds.
const OVERLAP: f64 = 0.3;
/// And may begin so much before it, in seconds: publishers of several sizes round to
/// milliseconds, each by itself. Players leave out what is before a period (5.3.2.1).
const EARLY: f64 = 0.020_1;
/// Periods end where the next begins but for rounding, in seconds.
const ROUNDING: f64 = 0.000_1;

/// A rule of DASH.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// What is to be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// What is not to be there is.
    #[error("{0} is there")]
    Extra(&'static str),
    /// What is said for the life of the manifest, or of a period, became something else.
    #[error("{0} of {1} changed")]
    Changed(&'static str, String),
    /// A value of 0.
    #[error("{0} of {1} is 0")]
    Zero(&'static str, String),
    /// The same identifier twice.
    #[error("{0} is there twice")]
    Twice(String),
    /// `publishTime` went back.
    #[error("publishTime went back")]
    WentBack,
    /// There are to be two clocks: players that know neither have their own, or a stranger's.
    #[error("{0} UTCTiming")]
    Clocks(usize),
    /// A period begins before the one before ends.
    #[error("period {0} begins at {1} s, where the one before lasts to {2} s")]
    PeriodOverlap(String, f64, f64),
    /// A period came in front of others, or between two.
    #[error("period {0} came before others")]
    PeriodOrder(String),
    /// A segment begins before the one before ends (5.3.9.6.1).
    #[error("segment at {1} of {0} overlaps the one before")]
    SegmentOverlap(String, u64),
    /// A segment is before its period, by more than players leave out without a word.
    #[error("segment at {1} of {0} is before its period")]
    Early(String, u64),
    /// A segment reaches into the next period, or behind the end.
    #[error("segment at {1} of {0} reaches {2} s behind its period")]
    Late(String, u64, f64),
    /// A segment is longer than `maxSegmentDuration`.
    #[error("segment at {1} of {0} has {2} s")]
    Long(String, u64, f64),
    /// A segment that was listed is another now, or is gone though older ones are not.
    #[error("segment at {1} of {0} is not what it was")]
    Rewritten(String, u64),
    /// A segment came between others, or in front of them.
    #[error("segment at {1} of {0} came before others")]
    Inserted(String, u64),
    /// A segment is listed that is not to be had yet, or by this much too early.
    #[error("segment at {1} of {0} is {2} s ahead of its time")]
    Ahead(String, u64, f64),
    /// It is said to go on from what does not have the same samples, or is not there.
    #[error("{0} goes on from what it does not")]
    Continuity(String),
    /// It is in one set with another codec: players switch within a set (5.3.3.1), and a decoder
    /// that has begun with one codec does not go on with another.
    #[error("{0} is of another codec than others of its set")]
    SetCodec(String),
    /// A segment name that tells neither number nor time.
    #[error("segments of {0} have no names")]
    Names(String),
    /// Segments that can be had before they are complete, and not all that belongs to that
    /// (DASH-IF IOP, part 6): what is missing.
    #[error("low latency without {0}")]
    LowLatency(&'static str),
    /// What was at its end went on.
    #[error("the manifest went on behind its end")]
    BehindEnd,
}

/// Follows one manifest.
#[derive(Clone, Debug, Default)]
pub struct Checker {
    last: Option<Listed>,
}

impl Checker {
    /// The manifest that is known.
    pub fn last(&self) -> Option<&Listed> {
        self.last.as_ref()
    }

    /// Reads a manifest; which rules it breaks, by itself and behind what was read before.
    pub fn read(&mut self, text: &str) -> Vec<Broken> {
        let listed = match Listed::parse(text) {
            Ok(listed) => listed,
            Err(error) => return vec![error.into()],
        };
        let mut broken = Vec::new();
        check_head(&listed, &mut broken);
        check_periods(&listed, &mut broken);
        check_low_latency(&listed, &mut broken);
        if let Some(last) = &self.last {
            check_change(last, &listed, &mut broken);
        }
        self.last = Some(listed);
        broken
    }
}

fn check_head(listed: &Listed, broken: &mut Vec<Broken>) {
    let mut need = |name, is_there: bool| {
        if !is_there {
            broken.push(Broken::Missing(name));
        }
    };
    let profiles = listed.root.get("profiles");
    need("profiles", profiles.is_some_and(|told| !told.is_empty()));
    need("minBufferTime", listed.buffer.is_some());
    need("Period", !listed.periods.is_empty());
    if listed.is_dynamic {
        need("availabilityStartTime", listed.origin.is_some());
        need("publishTime", listed.published.is_some());
        // Without, it never changes (5.4.1): not what somebody wants who is live.
        need("minimumUpdatePeriod", listed.update.is_some());
        need("timeShiftBufferDepth", listed.depth.is_some());
        if listed.clocks.len() < 2 {
            broken.push(Broken::Clocks(listed.clocks.len()));
        }
    } else {
        let last = listed.periods.last().and_then(|period| period.duration);
        need(
            "mediaPresentationDuration",
            listed.duration.is_some() || last.is_some(),
        );
        if listed.update.is_some() {
            broken.push(Broken::Extra("minimumUpdatePeriod"));
        }
    }
}

fn check_periods(listed: &Listed, broken: &mut Vec<Broken>) {
    let mut ids = HashSet::new();
    for (place, period) in listed.periods.iter().enumerate() {
        let id = period.id.clone().unwrap_or_default();
        if period.id.is_none() && listed.is_dynamic {
            broken.push(Broken::Missing("Period@id"));
        }
        if !ids.insert(id.clone()) {
            broken.push(Broken::Twice(format!("period {id}")));
        }
        let Some(start) = period.start else {
            broken.push(Broken::Missing("Period@start"));
            continue;
        };
        let before = place.checked_sub(1).map(|before| &listed.periods[before]);
        if let Some(before) = before {
            let at = before.start.unwrap_or(0.0);
            let end = before.duration.map_or(at, |long| at + long);
            if start < end - ROUNDING {
                broken.push(Broken::PeriodOverlap(id.clone(), start, end));
            }
        }
        let next = listed.periods.get(place + 1).and_then(|next| next.start);
        let end = listed.duration.filter(|_| next.is_none());
        let end = next.or(end).map(|end| end - start);
        // What it says itself counts, if that is less.
        let length = match (period.duration, end) {
            (Some(told), Some(end)) => Some(told.min(end)),
            (told, end) => told.or(end),
        };
        if period.representations.is_empty() {
            broken.push(Broken::Missing("Representation"));
        }
        let mut names = HashSet::new();
        for representation in &period.representations {
            let name = format!("{} in period {id}", representation.id);
            if representation.id.is_empty() || !names.insert(&representation.id) {
                broken.push(Broken::Twice(name.clone()));
            }
            check_representation(representation, &name, broken);
            check_codec(representation, &name, &period.representations, broken);
            check_continuity(representation, &name, &listed.periods[..place], broken);
            if let Some(template) = &representation.template {
                check_template(template, &name, length, listed, broken);
            }
        }
    }
}

fn check_representation(found: &Representation, name: &str, broken: &mut Vec<Broken>) {
    match found.bandwidth {
        None => broken.push(Broken::Missing("Representation@bandwidth")),
        Some(0) => broken.push(Broken::Zero("bandwidth", name.to_owned())),
        Some(_) => {}
    }
    if found.mime.is_none() {
        broken.push(Broken::Missing("mimeType"));
    }
    if found.codecs.as_ref().is_none_or(String::is_empty) {
        broken.push(Broken::Missing("codecs"));
    }
    if found.template.is_none() {
        broken.push(Broken::Missing("SegmentTemplate"));
    }
    let is_video = found
        .mime
        .as_ref()
        .is_some_and(|is| is.starts_with("video"));
    if is_video && found.size.is_none() {
        broken.push(Broken::Missing("width and height"));
    }
}

/// Those of one set are of one codec.
fn check_codec(
    found: &Representation,
    name: &str,
    all: &[Representation],
    broken: &mut Vec<Broken>,
) {
    let codec = |is: &Representation| is.codecs.as_deref().map(family).map(str::to_owned);
    let first = all
        .iter()
        .find(|is| is.set.is_some() && is.set == found.set);
    if first.is_some_and(|first| codec(first) != codec(found)) {
        broken.push(Broken::SetCodec(name.to_owned()));
    }
}

/// An earlier period that is named has the same samples in the same set.
fn check_continuity(
    found: &Representation,
    name: &str,
    before: &[ListedPeriod],
    broken: &mut Vec<Broken>,
) {
    let Some((from, _)) = &found.goes_on_from else {
        return;
    };
    let period = before
        .iter()
        .find(|period| period.id.as_ref() == Some(from));
    let is_same = |other: &&Representation| {
        let init = |is: &Representation| is.template.as_ref().and_then(|it| it.init(is));
        other.set == found.set && other.codecs == found.codecs && init(other) == init(found)
    };
    let same = period.and_then(|period| period.representations.iter().find(is_same));
    if same.is_none() {
        broken.push(Broken::Continuity(name.to_owned()));
    }
}

fn check_template(
    template: &Template,
    name: &str,
    length: Option<f64>,
    listed: &Listed,
    broken: &mut Vec<Broken>,
) {
    let media = template.media.as_deref().unwrap_or("");
    if !media.contains("$Time") && !media.contains("$Number") {
        broken.push(Broken::Names(name.to_owned()));
    }
    if template.timescale == 0 {
        return broken.push(Broken::Zero("timescale", name.to_owned()));
    }
    let Some(timeline) = &template.timeline else {
        if template.duration.is_none_or(|long| long == 0) {
            broken.push(Broken::Missing("SegmentTimeline"));
        }
        return;
    };
    if timeline.is_empty() {
        broken.push(Broken::Missing("S"));
    }
    let seconds = |ticks: u64| ticks as f64 / template.timescale as f64;
    let mut reached = 0;
    for &(start, long) in timeline {
        let end = start.saturating_add(long);
        if start < reached {
            broken.push(Broken::SegmentOverlap(name.to_owned(), start));
        }
        reached = end;
        if long == 0 {
            broken.push(Broken::Zero("S@d", name.to_owned()));
        }
        if listed
            .longest
            .is_some_and(|longest| seconds(long) > longest)
        {
            broken.push(Broken::Long(name.to_owned(), start, seconds(long)));
        }
        if seconds(template.offset.saturating_sub(start)) > EARLY {
            broken.push(Broken::Early(name.to_owned(), start));
            continue;
        }
        let behind = length.map(|length| seconds(end - template.offset) - length);
        if let Some(behind) = behind.filter(|behind| *behind > OVERLAP) {
            broken.push(Broken::Late(name.to_owned(), start, behind));
        }
    }
}

/// Players that see half of it do without, or stall.
fn check_low_latency(listed: &Listed, broken: &mut Vec<Broken>) {
    let early = |is: &Representation| is.template.as_ref().is_some_and(|it| it.early.is_some());
    let Some(last) = listed.periods.last() else {
        return;
    };
    if !last.representations.iter().any(early) {
        return;
    }
    let mut need = |what, is_there: bool| {
        if !is_there && !broken.contains(&Broken::LowLatency(what)) {
            broken.push(Broken::LowLatency(what));
        }
    };
    let service = listed.root.all("ServiceDescription").next();
    let latency = service.and_then(|service| service.all("Latency").next());
    let number = |name| latency.and_then(|it| it.get(name)?.parse::<u64>().ok());
    need("Latency@target", number("target").is_some());
    let is_ordered = number("min") <= number("target") && number("target") <= number("max");
    need("Latency@min below and @max above @target", is_ordered);
    let rate = service.and_then(|service| service.all("PlaybackRate").next());
    need("PlaybackRate", rate.is_some());
    if let Some(period) = listed.root.all("Period").last() {
        for set in period.all("AdaptationSet") {
            let reference = set.all("ProducerReferenceTime").next();
            need("ProducerReferenceTime", reference.is_some());
            let clock = reference.and_then(|it| it.all("UTCTiming").next());
            need("a clock of ProducerReferenceTime", clock.is_some());
            let id = reference.and_then(|it| it.get("id"));
            let is_meant = latency.and_then(|it| it.get("referenceId")) == id;
            need("the reference that Latency means", is_meant);
            let mut points = set.all("Resync");
            let is_found = points.any(|point| matches!(point.get("type"), Some("1" | "2")));
            need("Resync of type 1 or 2", is_found);
        }
    }
    for template in last
        .representations
        .iter()
        .filter_map(|is| is.template.as_ref())
    {
        need("availabilityTimeOffset", template.early.is_some());
        let is_told = template.is_early_whole == Some(false);
        need("availabilityTimeComplete=\"false\"", is_told);
        let length = template.duration.unwrap_or(0) as f64 / template.timescale.max(1) as f64;
        let is_within = template.early.is_none_or(|early| early < length);
        need(
            "an availabilityTimeOffset below the segment's length",
            is_within,
        );
        let is_numbered = template
            .media
            .as_ref()
            .is_some_and(|it| it.contains("$Number"));
        need("segments by number", is_numbered);
    }
}

/// What became of a manifest.
fn check_change(before: &Listed, now: &Listed, broken: &mut Vec<Broken>) {
    let whole = || "the manifest".to_owned();
    if !before.is_dynamic {
        if before.periods != now.periods {
            broken.push(Broken::BehindEnd);
        }
        return;
    }
    if before.origin != now.origin {
        broken.push(Broken::Changed("availabilityStartTime", whole()));
    }
    if before.published > now.published {
        broken.push(Broken::WentBack);
    }
    let known = |id: &Option<String>| before.periods.iter().position(|period| period.id == *id);
    let mut is_behind = false;
    let mut place = None;
    for period in &now.periods {
        let id = period.id.clone().unwrap_or_default();
        let Some(found) = known(&period.id) else {
            is_behind = true;
            continue;
        };
        if is_behind || place.is_some_and(|place| found <= place) {
            broken.push(Broken::PeriodOrder(id.clone()));
        }
        place = Some(found);
        let old = &before.periods[found];
        if old.start != period.start {
            broken.push(Broken::Changed("start", format!("period {id}")));
        }
        if old.duration.is_some() && old.duration != period.duration && now.is_dynamic {
            broken.push(Broken::Changed("duration", format!("period {id}")));
        }
        for representation in &period.representations {
            let same = old.representations.iter();
            let Some(old) = same.clone().find(|old| old.id == representation.id) else {
                let whole = format!("representations of period {id}");
                broken.push(Broken::Changed("number", whole));
                continue;
            };
            let name = format!("{} in period {id}", representation.id);
            check_progress(old, representation, &name, broken);
        }
    }
    // Those that are left are the newest of before.
    if place.is_some_and(|place| place + 1 != before.periods.len()) {
        broken.push(Broken::Missing("a period of before"));
    }
}

fn check_progress(
    before: &Representation,
    now: &Representation,
    name: &str,
    broken: &mut Vec<Broken>,
) {
    for (what, is_same) in [
        ("set", before.set == now.set),
        ("codecs", before.codecs == now.codecs),
        ("mimeType", before.mime == now.mime),
        ("size", before.size == now.size),
        ("language", before.language == now.language),
    ] {
        if !is_same {
            broken.push(Broken::Changed(what, name.to_owned()));
        }
    }
    let (Some(before), Some(now)) = (&before.template, &now.template) else {
        return;
    };
    let rest = |template: &Template| Template {
        timeline: None,
        ..template.clone()
    };
    if rest(before) != rest(now) {
        broken.push(Broken::Changed("SegmentTemplate", name.to_owned()));
    }
    let (Some(before), Some(now)) = (&before.timeline, &now.timeline) else {
        return;
    };
    let Some(&(first, _)) = now.first() else {
        return;
    };
    let known: Vec<_> = before.iter().filter(|(start, _)| *start >= first).collect();
    if before.first().is_some_and(|(oldest, _)| first < *oldest) {
        broken.push(Broken::Inserted(name.to_owned(), first));
    }
    for (place, segment) in known.into_iter().enumerate() {
        if now.get(place) != Some(segment) {
            broken.push(Broken::Rewritten(name.to_owned(), segment.0));
        }
    }
}

/// Segments that are listed before they are to be had, by more than these seconds, at this
/// wall time in milliseconds.
pub fn availability(listed: &Listed, now: i64, tolerance: f64) -> Vec<Broken> {
    let mut broken = Vec::new();
    let Some(origin) = listed.origin.filter(|_| listed.is_dynamic) else {
        return broken;
    };
    let now = now.saturating_sub(origin) as f64 / 1000.0;
    for period in &listed.periods {
        for representation in &period.representations {
            let timeline = representation.template.as_ref();
            let timeline = timeline.and_then(|it| it.timeline.as_ref());
            let newest = timeline.and_then(|all| all.last());
            let (Some(&(start, _)), Some(end)) = (newest, period.end_of(representation)) else {
                continue;
            };
            if end - now > tolerance {
                broken.push(Broken::Ahead(representation.id.clone(), start, end - now));
            }
        }
    }
    broken
}
