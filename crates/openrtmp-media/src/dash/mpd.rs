//! The manifest (MPD).

use std::time::Duration;

use super::xml::{Xml, escaped};
use crate::captions::Captions;
use crate::codecs::family;
use crate::cues::CueKind;
use crate::date::date;
use crate::hls::Names;
use crate::mp4::{Description, Media, TrackName};
use crate::packager::{Addressing, Period, Rendition, Segment, Targets, Window};

const NAMESPACE: &str = "urn:mpeg:dash:schema:mpd:2011";
const PROFILES: &str = "urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019";
/// Rates are told with so many hundredths more than were measured.
const HEADROOM: u64 = 110;
/// What a manifest with low latency keeps to besides (DASH-IF IOP, part 6).
const LOW_LATENCY_PROFILE: &str = "http://www.dashif.org/guidelines/low-latency-live-v5";
/// The one reference between media and wall time, in all sets.
const REFERENCE: u32 = 0;
/// Players are not asked to be nearer than this: they stall.
const LEAST_LATENCY: Duration = Duration::from_millis(1500);
const HTTP_XSDATE: &str = "urn:mpeg:dash:utc:http-xsdate:2014";
const HTTP_ISO: &str = "urn:mpeg:dash:utc:http-iso:2014";
/// Players read the manifest again after so many seconds: so much later they know of a segment,
/// at worst.
const UPDATE: u8 = 1;
/// What HLS calls sound for people who do not see the pictures.
const DESCRIBES_VIDEO: &str = "public.accessibility.describes-video";
/// Players stay so many target durations behind.
const DELAY: u32 = 3;

/// What time it is, and who tells.
#[derive(Clone, Copy, Debug)]
pub struct Clock<'a> {
    /// When the stream became what it is now, in milliseconds since 1970.
    pub published: i64,
    /// Where a player asks for the time: an answer of one line, as ISO 8601 has it, which is
    /// a date of XML Schema too.
    pub url: &'a str,
}

/// The manifest of a stream, with every complete segment that is listed. `None` as long as
/// not every rendition can be played, or it is not known yet how segments are to be told of
/// ([`Addressing`]), or whoever begins with the oldest would have to wait for what comes next.
///
/// Times of its media are as old as the clock of the publisher that counted them:
/// `availabilityStartTime` is when the first frame came, and does not change.
pub fn manifest(window: &Window, names: &Names, clock: &Clock<'_>) -> Option<String> {
    let (targets, length) = (window.targets()?, window.length()?);
    if !window.is_playable() {
        return None;
    }
    let periods = listed(window);
    let (first, last) = (periods.first()?, periods.last()?);
    if last.period.addressing == Addressing::Undecided {
        return None;
    }
    let writing = Writing {
        window,
        targets,
        has_ended: window.has_ended(),
        names,
        clock,
    };
    let target = targets.segment;
    if !window.has_ended() && !is_enough(window) {
        return None;
    }
    let is_low_latency = matches!(last.period.addressing, Addressing::Numbers(_));
    let latency = (targets.part_hold_back * 2).max(LEAST_LATENCY);
    let mut xml = Xml::new();
    xml.open("MPD");
    xml.attribute("xmlns", NAMESPACE);
    match is_low_latency {
        true => xml.attribute("profiles", format_args!("{PROFILES},{LOW_LATENCY_PROFILE}")),
        false => xml.attribute("profiles", PROFILES),
    }
    let kind = if window.has_ended() {
        "static"
    } else {
        "dynamic"
    };
    xml.attribute("type", kind);
    xml.attribute("availabilityStartTime", date(first.period.origin));
    xml.attribute("publishTime", date(clock.published));
    if window.has_ended() {
        let end = periods.iter().map(Listed::end).max()?;
        xml.attribute("mediaPresentationDuration", span(end));
    } else {
        xml.attribute("minimumUpdatePeriod", format_args!("PT{UPDATE}S"));
        let depth = depth(window, micros(length), target);
        xml.attribute("timeShiftBufferDepth", span(depth));
        let delay = match is_low_latency {
            true => micros(latency),
            false => i64::from(target.saturating_mul(DELAY)) * 1_000_000,
        };
        xml.attribute("suggestedPresentationDelay", span(delay));
    }
    let buffer = match is_low_latency {
        true => micros(targets.part_hold_back),
        false => i64::from(target) * 1_000_000,
    };
    xml.attribute("minBufferTime", span(buffer));
    // Lengths are rounded to the target duration.
    xml.attribute("maxSegmentDuration", format_args!("PT{target}.5S"));
    if is_low_latency {
        put_service(&mut xml, latency);
    }
    for (number, listed) in periods.iter().enumerate() {
        let before = number.checked_sub(1).map(|before| &periods[before]);
        listed.put(&mut xml, before, &writing)?;
    }
    if !window.has_ended() {
        put_clock(&mut xml, HTTP_XSDATE, clock.url);
        put_clock(&mut xml, HTTP_ISO, clock.url);
    }
    Some(xml.finish())
}

/// A manifest as it is in another place than what it names: `base` is where that is, and
/// `location` where the manifest is to be read again. Either may be relative to where it is
/// now; an empty one is left out.
pub fn relocated(manifest: &str, base: &str, location: &str) -> String {
    let (mut elements, names) = (String::new(), [("BaseURL", base), ("Location", location)]);
    for (name, url) in names.into_iter().filter(|(_, url)| !url.is_empty()) {
        elements.push_str(&format!("  <{name}>{}</{name}>\n", escaped(url)));
    }
    // They are the first in the root (5.3.1.2), which has more in it.
    let root = manifest.find("<MPD ").unwrap_or(0);
    let place = manifest[root..].find(">\n").map_or(0, |end| root + end + 2);
    let (start, rest) = manifest.split_at(place);
    [start, &elements, rest].concat()
}

/// Who begins with the oldest segment has something to play until it is told of the next one:
/// as much of that is there already as it may be told of it late.
fn is_enough(window: &Window) -> bool {
    let late = Duration::from_secs(UPDATE.into());
    let mut lists = window.renditions().iter().map(|is| &is.segments);
    // A rendition that comes later than others keeps nothing from those who play already.
    lists.any(|segments| {
        segments
            .iter()
            .skip(1)
            .map(Segment::duration)
            .sum::<Duration>()
            >= late
    })
}

/// What all of a manifest's elements go by.
struct Writing<'a> {
    window: &'a Window,
    targets: Targets,
    has_ended: bool,
    names: &'a Names,
    clock: &'a Clock<'a>,
}

fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

fn put_clock(xml: &mut Xml, scheme: &str, value: &str) {
    xml.empty("UTCTiming", &[("schemeIdUri", &scheme), ("value", &value)]);
}

/// The captions inside the pictures of these (ANSI/SCTE 214-1, 7.2.4 and 7.2.5). Those of CTA-708 are told of
/// where there are no others.
fn put_captions(xml: &mut Xml, set: &[&Part<'_>]) {
    let captions = set.iter().map(|part| part.rendition.captions());
    let captions = captions.fold(Captions::default(), Captions::or);
    let channels = captions.channels().map(|channel| format!("{channel}=und"));
    let channels = channels.collect::<Vec<String>>().join(";");
    let (scheme, value) = match (captions.services, channels.is_empty()) {
        (_, false) => ("urn:scte:dash:cc:cea-608:2015", channels.as_str()),
        (true, true) => ("urn:scte:dash:cc:cea-708:2015", "1=lang:und"),
        (false, true) => return,
    };
    xml.empty(
        "Accessibility",
        &[("schemeIdUri", &scheme), ("value", &value)],
    );
}

/// How far behind players are to be, and how much faster and slower they may play to get there.
fn put_service(xml: &mut Xml, latency: Duration) {
    let target = latency.as_millis();
    xml.open("ServiceDescription");
    xml.attribute("id", 0);
    xml.empty(
        "Latency",
        &[
            ("referenceId", &REFERENCE),
            ("target", &target),
            ("min", &(target * 3 / 4)),
            ("max", &(target * 2)),
        ],
    );
    xml.empty("PlaybackRate", &[("min", &"0.96"), ("max", &"1.04")]);
    xml.close();
}

/// Microseconds as XML Schema has durations, in seconds.
fn span(micros: i64) -> String {
    let micros = micros.max(0);
    let text = format!("PT{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let short = text.trim_end_matches('0').trim_end_matches('.');
    format!("{short}S")
}

/// How far back players may go, in microseconds: as far as lists are long, less a segment,
/// which may have left when it is asked for. Less where lists are kept shorter.
fn depth(window: &Window, length: i64, target: u32) -> i64 {
    let least = window.renditions().iter().filter(|is| is.has_forgotten());
    let least = least.map(|is| is.segments.iter().map(Segment::duration).sum());
    let least = least
        .min()
        .map(|least: std::time::Duration| least.as_micros());
    let least = least.map_or(i64::MAX, |least| i64::try_from(least).unwrap_or(i64::MAX));
    length.min(least) - i64::from(target) * 1_000_000
}

/// A period with what is listed of it.
struct Listed<'a> {
    period: &'a Period,
    /// Where the next begins.
    next: Option<&'a Period>,
    renditions: Vec<Part<'a>>,
}

/// What is listed of a rendition in a period, one segment at least.
struct Part<'a> {
    rendition: &'a Rendition,
    init: u32,
    description: &'a Description,
    segments: Vec<(u64, u64)>,
}

/// Those of which every track has something, and that something can be fetched of.
fn listed(window: &Window) -> Vec<Listed<'_>> {
    let periods = window.periods();
    let mut found = Vec::new();
    for (number, period) in periods.iter().enumerate() {
        let next = periods.get(number + 1);
        // One that is not complete in every track would have less in it than later.
        let takes_part = |rendition: &&Rendition| {
            let oldest = rendition.oldest();
            oldest.is_some_and(|oldest| next.is_none_or(|next| oldest < next.msn))
        };
        let mut renditions = window.renditions().iter().filter(takes_part);
        let has_begun = |rendition: &Rendition| {
            let mut segments = rendition.segments.iter();
            segments.any(|is| {
                let is_there = is.is_complete && !is.parts.is_empty();
                is_there && is.beginning.msn >= period.msn
            })
        };
        if !window.has_ended() && !renditions.clone().all(has_begun) {
            break;
        }
        let is_in = |segment: &&Segment| {
            let msn = segment.beginning.msn;
            msn >= period.msn && next.is_none_or(|next| msn < next.msn)
        };
        let is_present = |rendition: &&Rendition| !rendition.is_absent(period.number);
        let present: Vec<&Rendition> = renditions.by_ref().filter(is_present).collect();
        let parts = present
            .iter()
            .filter_map(|rendition| Part::of(rendition, is_in));
        let renditions: Vec<Part<'_>> = parts.collect();
        // All that there was of it has left, for gaps: nothing older is left without it.
        if renditions.is_empty() && !present.is_empty() {
            found.clear();
        }
        if !renditions.is_empty() {
            found.push(Listed {
                period,
                next,
                renditions,
            });
        }
    }
    found
}

impl<'a> Part<'a> {
    fn of(rendition: &'a Rendition, is_in: impl Fn(&&Segment) -> bool) -> Option<Part<'a>> {
        let complete = rendition.segments.iter().filter(|is| is.is_complete);
        let mut segments = complete.filter(is_in).peekable();
        let init = segments.peek()?.beginning.init;
        let segments: Vec<(u64, u64)> = segments.filter_map(Segment::span).collect();
        let description = rendition.inits.iter().find(|(number, ..)| *number == init);
        let (_, description, _) = description.filter(|_| !segments.is_empty())?;
        Some(Part {
            rendition,
            init,
            description,
            segments,
        })
    }

    /// The tick of the track at which the period begins.
    fn offset(&self, period: &Period) -> u64 {
        let ticks = i128::from(period.time) * i128::from(self.description.timescale());
        u64::try_from(ticks.div_euclid(1_000_000)).unwrap_or(0)
    }

    /// Where both have segments, none of this one begins within one of the other.
    fn is_aligned_with(&self, other: &Part<'_>) -> bool {
        let micros = |part: &Part<'_>, ticks: u64| {
            u128::from(ticks) * 1_000_000 / u128::from(part.description.timescale().max(1))
        };
        self.segments.iter().all(|&(start, _)| {
            let start = micros(self, start);
            let before = other
                .segments
                .partition_point(|&(begin, _)| micros(other, begin) < start);
            let before = before.checked_sub(1).and_then(|at| other.segments.get(at));
            before.is_none_or(|&(_, end)| micros(other, end) <= start)
        })
    }

    /// The same samples as there, which can be appended without another init segment.
    fn goes_on(&self, before: &Listed<'_>) -> bool {
        let track = self.rendition.track;
        let mut parts = before.renditions.iter();
        parts.any(|part| part.rendition.track == track && part.init == self.init)
    }

    /// Codec without profile and level: what can be switched between.
    fn family(&self) -> (&str, Option<u8>) {
        let codec = self.description.codec_string.as_str();
        match self.rendition.track {
            TrackName::Video(_) => (family(codec), None),
            TrackName::Audio(id) => (codec, Some(id)),
        }
    }
}

impl Listed<'_> {
    /// Where the last of it ends, since the first frame of the stream, in microseconds.
    fn end(&self) -> i64 {
        let ends = self.renditions.iter().map(|part| {
            let end = part.segments.last().map_or(0, |(_, end)| *end);
            let scale = u128::from(part.description.timescale().max(1));
            i64::try_from((u128::from(end) * 1_000_000).div_ceil(scale)).unwrap_or(i64::MAX)
        });
        let end = ends.max().unwrap_or(0).saturating_sub(self.period.time);
        self.period.start.saturating_add(end)
    }

    /// How long it is on the timeline, if that is known: to the next, or to the end.
    fn length(&self, has_ended: bool) -> Option<i64> {
        match self.next {
            Some(next) => Some(next.time.saturating_sub(self.period.time)),
            None => has_ended.then(|| self.end() - self.period.start),
        }
    }

    fn put(&self, xml: &mut Xml, before: Option<&Listed<'_>>, writing: &Writing<'_>) -> Option<()> {
        xml.open("Period");
        xml.attribute("id", self.period.number);
        xml.attribute("start", span(self.period.start));
        if let Some(length) = self.length(writing.has_ended) {
            xml.attribute("duration", span(length));
        }
        let mut rest: Vec<&Part<'_>> = self.renditions.iter().collect();
        while let Some(first) = rest.first() {
            let family = first.family();
            let (set, others) = rest.into_iter().partition(|part| part.family() == family);
            rest = others;
            self.put_set(xml, &set, before, writing)?;
        }
        xml.close();
        Some(())
    }

    /// Renditions that a player can switch between.
    fn put_set(
        &self,
        xml: &mut Xml,
        set: &[&Part<'_>],
        before: Option<&Listed<'_>>,
        writing: &Writing<'_>,
    ) -> Option<()> {
        let first = set.first()?;
        // The same whichever of its renditions are there.
        let (id, kind) = match (first.rendition.track, first.family().0) {
            (TrackName::Audio(id), _) => (u32::from(id) * 2 + 2, "audio"),
            (_, "avc1") => (1, "video"),
            (_, "hvc1") => (3, "video"),
            (_, "av01") => (5, "video"),
            (_, "vp09") => (7, "video"),
            _ => (9, "video"),
        };
        xml.open("AdaptationSet");
        xml.attribute("id", id);
        xml.attribute("contentType", kind);
        xml.attribute("mimeType", format_args!("{kind}/mp4"));
        let is_aligned = set.iter().all(|part| part.is_aligned_with(first));
        xml.attribute("segmentAlignment", is_aligned);
        let label = writing.window.label_of(first.rendition.track);
        if kind == "audio" {
            xml.attribute("lang", label.language.as_deref().unwrap_or("und"));
        }
        if let Some(before) = before.filter(|before| set.iter().all(|is| is.goes_on(before))) {
            // Nothing lies between them, or something does (5.3.2.4 of the specification).
            let scheme = match before.continues_in(self.period) {
                true => "urn:mpeg:dash:period-continuity:2015",
                false => "urn:mpeg:dash:period-connectivity:2015",
            };
            let value = before.period.number;
            xml.empty(
                "SupplementalProperty",
                &[("schemeIdUri", &scheme), ("value", &value)],
            );
        }
        // Said in front of parts of pictures, or of sound where there are none.
        let is_video = |part: &Part<'_>| part.rendition.track.is_video();
        if kind == "video" || !self.renditions.iter().any(is_video) {
            for cue in CueKind::ALL {
                let (scheme, value) = (CueKind::SCHEME, cue.name());
                xml.empty(
                    "InbandEventStream",
                    &[("schemeIdUri", &scheme), ("value", &value)],
                );
            }
        }
        if let Some(name) = &label.name {
            xml.text("Label", name);
        }
        if let Addressing::Numbers(length) = self.period.addressing {
            self.put_reference(xml, writing.clock);
            // Decoding can start at each segment of pictures, and at each part of sound.
            let apart = match first.rendition.track {
                TrackName::Video(_) => length,
                TrackName::Audio(_) => writing.targets.part,
            };
            xml.empty("Resync", &[("type", &2), ("dT", &apart.as_micros())]);
        }
        let characteristics = label.characteristics.as_deref().unwrap_or("");
        if characteristics.split(',').any(|is| is == DESCRIBES_VIDEO) {
            let scheme = "urn:tva:metadata:cs:AudioPurposeCS:2007";
            xml.empty("Accessibility", &[("schemeIdUri", &scheme), ("value", &1)]);
        }
        put_captions(xml, set);
        let is_first = self.is_first_of_its_kind(first.rendition.track);
        let role = if is_first { "main" } else { "alternate" };
        let scheme = "urn:mpeg:dash:role:2011";
        xml.empty("Role", &[("schemeIdUri", &scheme), ("value", &role)]);
        for part in set {
            self.put_representation(xml, part, writing);
        }
        xml.close();
        Some(())
    }

    /// The wall time of the beginning, which `prft` tells in each part too.
    fn put_reference(&self, xml: &mut Xml, clock: &Clock<'_>) {
        let wall = self.period.origin.saturating_add(self.period.start / 1000);
        xml.open("ProducerReferenceTime");
        xml.attribute("id", REFERENCE);
        xml.attribute("inband", "true");
        xml.attribute("type", "encoder");
        xml.attribute("wallClockTime", date(wall));
        xml.attribute("presentationTime", self.period.time.max(0));
        put_clock(xml, HTTP_ISO, clock.url);
        xml.close();
    }

    /// This is the period before, and media and wall time go on.
    fn continues_in(&self, period: &Period) -> bool {
        let lasts = period.time.saturating_sub(self.period.time);
        self.period.number + 1 == period.number
            && self.period.start.saturating_add(lasts) == period.start
    }

    fn is_first_of_its_kind(&self, track: TrackName) -> bool {
        let is_alike = |other: &&Part<'_>| other.rendition.track.is_video() == track.is_video();
        let mut alike = self.renditions.iter().filter(is_alike);
        alike
            .next()
            .is_some_and(|first| first.rendition.track == track)
    }

    fn put_representation(&self, xml: &mut Xml, part: &Part<'_>, writing: &Writing<'_>) {
        let (track, description) = (part.rendition.track, part.description);
        let rates = part.rendition.rates();
        let bandwidth = rates.peak.max(rates.average).saturating_mul(HEADROOM) / 100;
        xml.open("Representation");
        xml.attribute("id", track);
        xml.attribute("bandwidth", bandwidth.clamp(1, u64::from(u32::MAX)));
        xml.attribute("codecs", &description.codec_string);
        match description.media {
            Media::Video {
                width,
                height,
                pixel_aspect: (across, down),
            } => {
                xml.attribute("width", width);
                xml.attribute("height", height);
                xml.attribute("frameRate", frame_rate(part.rendition.frame_rate()));
                xml.attribute("sar", format_args!("{across}:{down}"));
            }
            Media::Audio {
                sample_rate,
                channels,
            } => {
                xml.attribute("audioSamplingRate", sample_rate);
                // ChannelConfiguration of ISO/IEC 23001-8: eight are 7.1.
                let value = if channels == 8 { 7 } else { channels };
                let scheme = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011";
                xml.empty(
                    "AudioChannelConfiguration",
                    &[("schemeIdUri", &scheme), ("value", &value)],
                );
            }
        }
        xml.open("SegmentTemplate");
        let init = writing.names.init(track, part.init);
        match self.period.addressing {
            Addressing::Numbers(length) => {
                // In microseconds, which lengths are in.
                xml.attribute("timescale", 1_000_000);
                xml.attribute("presentationTimeOffset", self.period.time.max(0));
                xml.attribute("initialization", init);
                xml.attribute("media", writing.names.number_template(track));
                xml.attribute("startNumber", self.period.msn);
                xml.attribute("duration", length.as_micros());
                // As soon as its first part is there.
                let early = micros(length.saturating_sub(writing.targets.part));
                let early = format!("{}.{:06}", early / 1_000_000, early % 1_000_000);
                xml.attribute("availabilityTimeOffset", early);
                xml.attribute("availabilityTimeComplete", "false");
            }
            Addressing::Timeline | Addressing::Undecided => {
                xml.attribute("timescale", description.timescale());
                xml.attribute("presentationTimeOffset", part.offset(self.period));
                xml.attribute("initialization", init);
                xml.attribute("media", writing.names.time_template(track));
                put_timeline(xml, &part.segments);
            }
        }
        xml.close();
        xml.close();
    }
}

/// What follows without a hole and is as long is told as a repetition.
fn put_timeline(xml: &mut Xml, segments: &[(u64, u64)]) {
    xml.open("SegmentTimeline");
    let mut rest = segments.iter().copied().peekable();
    while let Some((start, mut end)) = rest.next() {
        let length = end - start;
        let mut repeated = 0;
        while let Some(next) = rest.next_if(|(next, to)| *next == end && to - next == length) {
            end = next.1;
            repeated += 1;
        }
        match repeated {
            0 => xml.empty("S", &[("t", &start), ("d", &length)]),
            more => xml.empty("S", &[("t", &start), ("d", &length), ("r", &more)]),
        }
    }
    xml.close();
}

/// Pictures in a thousand seconds, as they were measured, as a rate: the nearest whole one, or
/// that of television with colour.
fn frame_rate(measured: u64) -> String {
    let whole = measured.saturating_add(500) / 1000;
    let colour = whole * 1_000_000 / 1001;
    if measured.abs_diff(colour) < measured.abs_diff(whole * 1000) {
        format!("{}/1001", whole * 1000)
    } else {
        whole.max(1).to_string()
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_manifest_can_be_elsewhere() {
        let plain = "<?xml version=\"1.0\"?>\n<MPD a=\"1&gt;\">\n  <Period/>\n</MPD>\n";
        assert_eq!(relocated(plain, "", ""), plain);
        assert_eq!(
            relocated(plain, "/a&b/", "x.mpd"),
            "<?xml version=\"1.0\"?>\n<MPD a=\"1&gt;\">\n  <BaseURL>/a&amp;b/</BaseURL>\n  \
             <Location>x.mpd</Location>\n  <Period/>\n</MPD>\n"
        );
    }

    #[test]
    fn rates_and_spans_are_as_they_are_told() {
        for (measured, told) in [
            (25_000, "25"),
            (29_970, "30000/1001"),
            (29_991, "30"),
            (23_976, "24000/1001"),
            (59_941, "60000/1001"),
            (12_400, "12"),
            (0, "1"),
        ] {
            assert_eq!(frame_rate(measured), told);
        }
        for (micros, told) in [
            (0, "PT0S"),
            (-5, "PT0S"),
            (10_000_000, "PT10S"),
            (12_345_600, "PT12.3456S"),
        ] {
            assert_eq!(span(micros), told);
        }
    }
}
