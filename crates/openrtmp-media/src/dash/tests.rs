//! Manifests of random streams keep the rules, and say of segments what is in them.

use std::time::Duration;

use proptest::prelude::*;

use super::check::Checker;
use super::read::{Listed, Representation};
use super::*;
use crate::hls::{self, Form, Names, media_playlist};
use crate::mp4::TrackName;
use crate::mp4::tests::at;
use crate::packager::timelines::{self, AUDIO, Input, SMALL, Timeline, VIDEO, frame};
use crate::packager::{Addressing, Event, Packager, Preset, Rendition, Settings, Window};

/// What tracks may be apart, in seconds: a frame, and what it is stretched by.
const APART: f64 = 0.3;
const CLOCK: Clock<'_> = Clock {
    published: 1_795_970_900_000,
    url: "/time",
};

fn names() -> Names {
    Names {
        epoch: "e".to_owned(),
    }
}

/// Follows the manifest of a stream; how many there were.
fn follow(timeline: &Timeline, low_latency_dash: bool) -> Result<usize, TestCaseError> {
    let settings = Settings {
        low_latency_dash,
        ..timeline.settings()
    };
    follow_inputs(settings, &timeline.inputs())
}

fn follow_inputs(settings: Settings, inputs: &[Input]) -> Result<usize, TestCaseError> {
    let mut window = Window::new(settings.clone());
    let mut checker = Checker::default();
    let (mut parts, mut seen) = (0u32, 0);
    let mut result = Ok(());
    timelines::run(settings, inputs, |_, events| {
        let mut is_due = false;
        for event in events {
            parts += u32::from(matches!(event, Event::Part { .. }));
            // Now and then, between segments.
            is_due |= parts.is_multiple_of(5) || !matches!(event, Event::Part { .. });
            window.apply(event);
        }
        let text = is_due
            .then(|| manifest(&window, &names(), &CLOCK))
            .flatten();
        if let Some(text) = text.filter(|_| result.is_ok()) {
            seen += 1;
            let broken = checker.read(&text);
            result = match (broken.is_empty(), checker.last()) {
                (true, Some(listed)) => compare(&window, listed),
                _ => Err(TestCaseError::fail(format!("{broken:?}\n{text}"))),
            };
        }
    });
    result.map(|()| seen)
}

/// What is listed of a track, period by period.
fn of_track<'a>(listed: &'a Listed, id: &str) -> Vec<&'a Representation> {
    let periods = listed.periods.iter();
    let all = periods.flat_map(|period| &period.representations);
    all.filter(|is| is.id == id).collect()
}

/// The manifest lists what the window has, and what playlists list.
fn compare(window: &Window, listed: &Listed) -> Result<(), TestCaseError> {
    for rendition in window.renditions() {
        let track = rendition.track;
        let (mut found, mut before) = (0, None);
        numbered(window, rendition, listed)?;
        for representation in of_track(listed, &track.to_string()) {
            let template = representation.template.as_ref().unwrap();
            let scale = u128::from(template.timescale);
            for &(start, length) in template.timeline.iter().flatten() {
                let segment = rendition.segment_at(start);
                let segment = segment.filter(|segment| segment.is_complete);
                prop_assert!(segment.is_some(), "{track:?} at {start}");
                let segment = segment.unwrap();
                let first = segment.parts.iter().find(|part| !part.is_gap).unwrap();
                let tfdt = &at(&first.bytes, "moof/traf/tfdt")[4..];
                prop_assert_eq!(u64::from_be_bytes(tfdt.try_into().unwrap()), start);
                let number = segment.beginning.init;
                let init = names().init(track, number);
                prop_assert_eq!(template.init(representation), Some(init));
                let mut inits = rendition.inits.iter();
                let codec = inits.find(|(is, ..)| *is == number);
                let codec = codec.map(|(_, is, _)| is.codec_string.as_str());
                prop_assert_eq!(representation.codecs.as_deref(), codec);
                let name = template.name(representation, 0, start);
                prop_assert_eq!(name, Some(names().segment_at(track, start)));
                // Also where ticks become others.
                let at = u128::from(start) * 1_000_000 / scale;
                prop_assert!(before.is_none_or(|end| at + 1 >= end), "{at} {before:?}");
                before = Some(u128::from(start + length) * 1_000_000 / scale);
                found += 1;
            }
        }
        let list = media_playlist(window, track, &names(), Form::Full);
        let list = list.map(|list| hls::read::Listed::parse(&list).unwrap());
        let oldest = listed.periods[0].id.as_deref().unwrap();
        let is_present = |msn: u64| {
            let period = window.periods().iter().rfind(|period| period.msn <= msn);
            let period = period.unwrap();
            let is_listed = !matches!(period.addressing, Addressing::Numbers(_))
                && period.number >= oldest.parse().unwrap();
            is_listed && !rendition.is_absent(period.number)
        };
        let complete = list.iter().flat_map(|list| list.numbered());
        let complete = complete
            .filter(|(msn, segment)| segment.uri.is_some() && !segment.is_gap && is_present(*msn));
        let (complete, last) = (complete.count(), window.periods().last().unwrap());
        let is_all = listed.periods.last().unwrap().id.as_deref() == Some(&last.number.to_string());
        prop_assert!(
            found == complete || (!is_all && found < complete),
            "{found} {complete}"
        );
    }
    Ok(())
}

/// What is told of by numbers is where those have it.
fn numbered(window: &Window, rendition: &Rendition, listed: &Listed) -> Result<(), TestCaseError> {
    for (number, period) in window.periods().iter().enumerate() {
        let Addressing::Numbers(length) = period.addressing else {
            continue;
        };
        let id = period.number.to_string();
        let found = listed.periods.iter().find(|is| is.id.as_ref() == Some(&id));
        let mut found = found.iter().flat_map(|found| &found.representations);
        let Some(found) = found.find(|is| is.id == rendition.track.to_string()) else {
            continue;
        };
        let template = found.template.as_ref().unwrap();
        prop_assert_eq!(template.duration, Some(length.as_micros() as u64));
        prop_assert_eq!(template.start_number, period.msn);
        let next = window.periods().get(number + 1);
        let ends = next.map_or(u64::MAX, |next| next.msn);
        let segments = rendition.segments.iter().filter(|is| is.is_complete);
        let inside = segments.filter(|is| (period.msn..ends).contains(&is.beginning.msn));
        for segment in inside {
            let msn = segment.beginning.msn;
            let name = template.name(found, msn, 0);
            prop_assert_eq!(name, Some(names().segment(rendition.track, msn)));
            // The last one may be what another period begins for.
            let Some(first) = segment.parts.first().filter(|_| msn + 2 < ends) else {
                continue;
            };
            let init = segment.beginning.init;
            let mut inits = rendition.inits.iter();
            let (_, description, _) = inits.find(|(number, ..)| *number == init).unwrap();
            let at = first.start as f64 / f64::from(description.timescale());
            let told = period.nominal(msn, length) as f64 / 1_000_000.0;
            // A frame, and what tracks are apart.
            let tolerance = segment.frame().as_secs_f64() + APART;
            prop_assert!((at - told).abs() < tolerance, "{msn}: {at} {told}");
            prop_assert!(first.is_gap || at_box(&first.bytes, b"prft"));
        }
    }
    Ok(())
}

/// The first box is of this kind.
fn at_box(bytes: &[u8], kind: &[u8; 4]) -> bool {
    bytes.get(4..8) == Some(kind)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(
        text in "(<\\?xml version=\"1.0\"\\?>)?<MPD( (type|publishTime|minBufferTime)=\"(dynamic|PT[0-9.]{1,3}S|2026-11-29T16:45:00Z)\"){0,3}>(<(/)?(Period|AdaptationSet|Representation|SegmentTemplate|SegmentTimeline|S)( (id|t|d|r|start|timescale)=\"[0-9PTS-]{1,4}\"){0,3}(/)?>){0,12}(</MPD>)?",
    ) {
        let mut checker = Checker::default();
        checker.read(&text);
        checker.read(&text);
    }

    /// `PROPTEST_CASES` says how many; the default is 256.
    #[test]
    fn rules_hold_for_any_stream(timeline in timelines::timeline(), is_near in any::<bool>()) {
        follow(&timeline, is_near)?;
    }

    #[test]
    fn rules_hold_for_sizes_that_go_on(timeline in timelines::steady_sizes(), is_near in any::<bool>()) {
        follow(&timeline, is_near)?;
    }

    #[test]
    fn rules_hold_for_sizes_whatever_happens(timeline in timelines::sizes(), is_near in any::<bool>()) {
        follow(&timeline, is_near)?;
    }
}

#[test]
fn a_period_that_is_nothing_but_gaps_now_leaves_no_older_one_behind() {
    let frames = |pictures: &[TrackName], from: i64, to: i64, gop: i64| {
        let mut frames = Vec::new();
        for at in 0..to - from {
            let is_key = at / 40 % gop == 0;
            let pictures = pictures.iter().filter(|_| at % 40 == 0);
            frames.extend(pictures.map(|track| frame(*track, from + at, 0, is_key)));
            if at * 3 % 64 < 3 {
                frames.push(frame(AUDIO, from + at, 0, true));
            }
        }
        frames
    };
    let configs = [
        timelines::video_config(0),
        timelines::config_of(SMALL, 0),
        timelines::audio_config(0),
    ];
    let inputs = [
        configs.to_vec(),
        frames(&[VIDEO, SMALL], 0, 513, 1),
        vec![Input::Restart],
        // One of them did not come back, and there is a long pause.
        frames(&[VIDEO], 0, 100, 1),
        vec![Input::Stall; 7],
        frames(&[VIDEO], 100, 2221, 13),
    ];
    let settings = Settings {
        segment: Duration::from_secs(1),
        longest_segment: Duration::from_secs(3),
        window: Duration::from_secs(8),
        ..Settings::new(Preset::Public)
    };
    assert!(follow_inputs(settings, &inputs.concat()).unwrap() > 0);
}

/// Thirteen seconds of pictures and sound in segments of 2 s. A clock jumps by so many
/// milliseconds at 4 s, which wall time has as `away`.
fn example_with(jump: i64, away: i64, has_ended: bool) -> Window {
    example_of(Settings::default(), 50, 13_200, jump, away, has_ended)
}

/// The same, of these settings and lengths: the third group of pictures is so long.
fn example_of(
    settings: Settings,
    gop: i64,
    length: i64,
    jump: i64,
    away: i64,
    has_ended: bool,
) -> Window {
    let is_key = |n: i64| n <= 100 && n % 50 == 0 || n > 100 && (n - 100 - gop) % 50 == 0;
    let mut inputs: Vec<(i64, Input)> = Vec::new();
    inputs.extend((0..length / 40).map(|n| (n * 40, frame(VIDEO, n * 40, 0, is_key(n)))));
    inputs.extend((0..length * 3 / 64).map(|n| (n * 64 / 3, frame(AUDIO, n * 64 / 3, 0, true))));
    inputs.sort_by_key(|(time, _)| *time);
    let mut packager = Packager::new(settings.clone());
    let mut window = Window::new(settings);
    let mut events = Vec::new();
    let configs = [timelines::video_config(0), timelines::audio_config(0)];
    for config in configs {
        if let Input::Configure(track, codec, config) = config {
            packager.configure(track, codec, &config);
        }
    }
    for (time, input) in inputs {
        let Input::Push(mut frame) = input else {
            unreachable!()
        };
        let (jump, away) = if time < 4000 { (0, 0) } else { (jump, away) };
        frame.dts += jump * 1000;
        frame.pts += jump * 1000;
        packager.push(frame, 1_795_970_700_000 + time + away, &mut events);
    }
    if has_ended {
        packager.end(&mut events);
    }
    events.into_iter().for_each(|event| window.apply(event));
    window
}

fn example() -> String {
    manifest(&example_with(0, 0, false), &names(), &CLOCK).unwrap()
}

#[test]
fn a_live_manifest_says_what_it_is_to_say() {
    let text = example();
    let without_rates: Vec<String> = text
        .lines()
        .map(|line| match line.split_once("bandwidth=\"") {
            Some((before, rest)) => {
                let (rate, rest) = rest.split_once('"').unwrap();
                assert!(rate.parse::<u64>().unwrap() > 100);
                format!("{before}bandwidth=\"...\"{rest}")
            }
            None => line.to_owned(),
        })
        .collect();
    // Sound ends its segments at its first frame behind the picture's: of 94, 94, 94, 93, 94
    // and 94 frames.
    assert_eq!(
        without_rates.join("\n"),
        r#"<?xml version="1.0" encoding="UTF-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019" type="dynamic" availabilityStartTime="2026-11-29T16:45:00.000Z" publishTime="2026-11-29T16:48:20.000Z" minimumUpdatePeriod="PT1S" timeShiftBufferDepth="PT28S" suggestedPresentationDelay="PT6S" minBufferTime="PT2S" maxSegmentDuration="PT2.5S">
  <Period id="0" start="PT0S">
    <AdaptationSet id="1" contentType="video" mimeType="video/mp4" segmentAlignment="true">
      <InbandEventStream schemeIdUri="urn:openrtmp:data" value="onCuePoint"/>
      <InbandEventStream schemeIdUri="urn:openrtmp:data" value="onTextData"/>
      <Role schemeIdUri="urn:mpeg:dash:role:2011" value="main"/>
      <Representation id="v0" bandwidth="..." codecs="avc1.64000d" width="320" height="180" frameRate="25" sar="1:1">
        <SegmentTemplate timescale="90000" presentationTimeOffset="900000" initialization="e/v0/init0.mp4" media="e/v0/t$Time$.m4s">
          <SegmentTimeline>
            <S t="900000" d="180000" r="5"/>
          </SegmentTimeline>
        </SegmentTemplate>
      </Representation>
    </AdaptationSet>
    <AdaptationSet id="2" contentType="audio" mimeType="audio/mp4" segmentAlignment="true" lang="und">
      <Role schemeIdUri="urn:mpeg:dash:role:2011" value="main"/>
      <Representation id="a0" bandwidth="..." codecs="mp4a.40.2" audioSamplingRate="48000">
        <AudioChannelConfiguration schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011" value="1"/>
        <SegmentTemplate timescale="48000" presentationTimeOffset="480000" initialization="e/a0/init0.mp4" media="e/a0/t$Time$.m4s">
          <SegmentTimeline>
            <S t="480000" d="96256" r="2"/>
            <S t="768768" d="95232"/>
            <S t="864000" d="96256" r="1"/>
          </SegmentTimeline>
        </SegmentTemplate>
      </Representation>
    </AdaptationSet>
  </Period>
  <UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-xsdate:2014" value="/time"/>
  <UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-iso:2014" value="/time"/>
</MPD>"#
    );
    // The sixth segment ended at 12 s.
    let listed = Listed::parse(&text).unwrap();
    let at = |ms: i64| check::availability(&listed, 1_795_970_700_000 + ms, 0.02);
    assert_eq!(at(12_000), []);
    assert_eq!(at(11_970).len(), 2);
}

#[test]
fn what_a_publisher_was_away_for_lies_between_periods() {
    for (jump, away, scheme) in [
        (3_600_000, 30_000, "period-connectivity"),
        (-3_600_000, 0, "period-continuity"),
        // A wall clock that was set back: time is never twice.
        (3_600_000, -30_000, "period-continuity"),
    ] {
        let window = example_with(jump, away, false);
        let text = manifest(&window, &names(), &CLOCK).unwrap();
        assert_eq!(Checker::default().read(&text), []);
        let listed = Listed::parse(&text).unwrap();
        let starts: Vec<f64> = listed.periods.iter().filter_map(|is| is.start).collect();
        let away = away.max(0) as f64 / 1000.0;
        assert_eq!(starts, [0.0, 4.0 + away], "{text}");
        assert_eq!(listed.periods[0].duration, Some(4.0));
        assert_eq!(text.matches(scheme).count(), 2, "{text}");
        // Media time goes on.
        let second = &listed.periods[1].representations[0];
        let template = second.template.as_ref().unwrap();
        assert_eq!(template.offset, 14 * 90_000);
        assert_eq!(template.timeline.as_ref().unwrap()[0].0, 14 * 90_000);
    }
}

#[test]
fn an_ended_manifest_says_how_long_it_is_and_nothing_of_what_comes() {
    let window = example_with(0, 0, true);
    let text = manifest(&window, &names(), &CLOCK).unwrap();
    assert_eq!(Checker::default().read(&text), []);
    assert!(text.contains(" type=\"static\""), "{text}");
    // Sound is a little longer than the 13.2 s of pictures.
    let listed = Listed::parse(&text).unwrap();
    assert!((13.2..13.25).contains(&listed.duration.unwrap()), "{text}");
    assert_eq!(listed.periods[0].duration, listed.duration);
    assert!(
        !text.contains("UTCTiming") && !text.contains("Update"),
        "{text}"
    );
}

#[test]
fn nothing_is_said_before_everything_can_be_played() {
    let window = Window::new(Settings::default());
    assert_eq!(manifest(&window, &names(), &CLOCK), None);
}

/// Of a stream that is younger, whoever begins with its first segment is at its end before it
/// knows of the next.
#[test]
fn a_manifest_is_there_once_its_media_last_until_it_is_read_again() {
    for (length, has_ended, is_there) in [
        (2400, false, false),
        (2900, false, false),
        (3500, false, true),
        (2400, true, true),
    ] {
        let window = example_of(Settings::default(), 50, length, 0, 0, has_ended);
        assert!(window.is_playable());
        let text = manifest(&window, &names(), &CLOCK);
        assert_eq!(text.is_some(), is_there, "{length} {text:?}");
    }
}

/// Each rule is one that a manifest can break.
#[test]
fn what_is_wrong_is_found() {
    let good = example();
    assert_eq!(Checker::default().read(&good), []);
    for (from, to, found) in [
        ("</MPD>", "", "no XML"),
        ("<MPD ", "<MDP ", "no XML"),
        ("d=\"96256\" r=\"2\"", "d=\"x\"", "d is x"),
        ("profiles=", "x=", "profiles is missing"),
        ("minBufferTime=", "x=", "minBufferTime is missing"),
        ("publishTime=", "x=", "publishTime is missing"),
        (
            "availabilityStartTime=",
            "x=",
            "availabilityStartTime is missing",
        ),
        (
            "minimumUpdatePeriod=",
            "x=",
            "minimumUpdatePeriod is missing",
        ),
        (
            "timeShiftBufferDepth=",
            "x=",
            "timeShiftBufferDepth is missing",
        ),
        (
            "type=\"dynamic\"",
            "type=\"static\"",
            "minimumUpdatePeriod is there",
        ),
        (
            "type=\"dynamic\"",
            "",
            "mediaPresentationDuration is missing",
        ),
        (
            "<UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:http-iso:2014\" value=\"/time\"/>",
            "",
            "1 UTCTiming",
        ),
        ("Period id=\"0\"", "Period", "Period@id is missing"),
        ("id=\"a0\"", "id=\"v0\"", "v0 in period 0 is there twice"),
        (
            "bandwidth=\"",
            "bandwidth=\"0\" x=\"",
            "bandwidth of v0 in period 0 is 0",
        ),
        ("bandwidth=\"", "x=\"", "bandwidth is missing"),
        ("mimeType=", "x=", "mimeType is missing"),
        ("codecs=", "x=", "codecs is missing"),
        (" width=", " x=", "width and height is missing"),
        (
            "SegmentTemplate timescale=\"90000\"",
            "SegmentTemplate timescale=\"0\"",
            "timescale",
        ),
        ("t$Time$", "x", "have no names"),
        (
            "maxSegmentDuration=\"PT2.5S\"",
            "maxSegmentDuration=\"PT1.9S\"",
            "has 2 s",
        ),
        ("t=\"768768\"", "t=\"768767\"", "overlaps"),
        (
            "presentationTimeOffset=\"900000\"",
            "presentationTimeOffset=\"902000\"",
            "before its period",
        ),
        (
            "<Period id=\"0\"",
            "<Period duration=\"PT9S\" id=\"0\"",
            "behind its period",
        ),
        ("<S t=\"900000\" d=\"180000\" r=\"5\"/>", "", "S is missing"),
        ("d=\"180000\"", "d=\"0\"", "S@d of v0 in period 0 is 0"),
        (
            "<Role ",
            "<SupplementalProperty schemeIdUri=\"urn:mpeg:dash:period-continuity:2015\" value=\"x\"/><Role ",
            "goes on from",
        ),
    ] {
        assert!(good.contains(from), "{from}");
        let ends = from.starts_with("<MPD");
        let text = good.replacen(from, to, 1);
        let broken = Checker::default().read(&text);
        assert!(
            broken.iter().any(|is| is.to_string().contains(found)) || (ends && !broken.is_empty()),
            "{found}: {broken:?}"
        );
    }
    // Two periods that overlap.
    let text = manifest(&example_with(3_600_000, 0, false), &names(), &CLOCK).unwrap();
    let text = text.replacen("start=\"PT4S\"", "start=\"PT3S\"", 1);
    let broken = Checker::default().read(&text);
    assert!(
        broken
            .iter()
            .any(|is| is.to_string().contains("begins at 3 s")),
        "{broken:?}"
    );
}

#[test]
fn what_became_wrong_is_found() {
    let good = example();
    let jumped = manifest(&example_with(3_600_000, 0, false), &names(), &CLOCK).unwrap();
    let ended = manifest(&example_with(0, 0, true), &names(), &CLOCK).unwrap();
    for (first, from, to, found) in [
        (
            &good,
            "16:45:00.000Z",
            "16:45:00.001Z",
            "availabilityStartTime of the manifest changed",
        ),
        (
            &good,
            "publishTime=\"2026",
            "publishTime=\"2025",
            "publishTime went back",
        ),
        (
            &good,
            "start=\"PT0S\"",
            "start=\"PT1S\"",
            "start of period 0 changed",
        ),
        (&good, "id=\"v0\"", "id=\"v1\"", "number of representations"),
        (&good, "lang=\"und\"", "lang=\"en\"", "language of a0"),
        (&good, "init0.mp4", "init1.mp4", "SegmentTemplate of v0"),
        (
            &good,
            "t=\"768768\" d=\"95232\"",
            "t=\"768769\" d=\"95232\"",
            "768768 of a0 in period 0 is not what",
        ),
        (&good, "r=\"5\"", "r=\"4\"", "at 1800000 of v0"),
        (
            &good,
            "<S t=\"900000\"",
            "<S t=\"899000\" d=\"1000\"/><S t=\"900000\"",
            "came before others",
        ),
        (
            &jumped,
            "<Period id=\"1\"",
            "<Period id=\"2\"",
            "a period of before is missing",
        ),
        (
            &jumped,
            "<Period id=\"0\"",
            "<Period id=\"2\"",
            "period 1 came before others",
        ),
        (&ended, "r=\"5\"", "r=\"4\"", "went on behind its end"),
    ] {
        assert!(first.contains(from), "{from}");
        let mut checker = Checker::default();
        assert_eq!(checker.read(first), []);
        assert_eq!(checker.read(first), []);
        let broken = checker.read(&first.replacen(from, to, 1));
        assert!(
            broken.iter().any(|is| is.to_string().contains(found)),
            "{found}: {broken:?}"
        );
    }
    // It ends as it went on, and what is old leaves.
    let mut checker = Checker::default();
    assert_eq!(checker.read(&good), []);
    let shorter = good.replacen(
        "<S t=\"900000\" d=\"180000\" r=\"5\"/>",
        "<S t=\"1080000\" d=\"180000\" r=\"5\"/>",
        1,
    );
    assert_eq!(checker.read(&shorter), []);
}

fn near() -> Settings {
    Settings {
        low_latency_dash: true,
        ..Settings::default()
    }
}

/// All of what low latency consists of, or nothing.
#[test]
fn segments_that_are_equally_long_can_be_had_before_they_are_complete() {
    // Two are not enough to know.
    let window = example_of(near(), 50, 5000, 0, 0, false);
    assert!(window.is_playable());
    assert_eq!(manifest(&window, &names(), &CLOCK), None);

    let window = example_of(near(), 50, 13_200, 0, 0, false);
    let text = manifest(&window, &names(), &CLOCK).unwrap();
    assert_eq!(Checker::default().read(&text), []);
    for part in [
        "low-latency-live-v5\"",
        "suggestedPresentationDelay=\"PT2.02S\"",
        "minBufferTime=\"PT1.01S\"",
        "<Latency referenceId=\"0\" target=\"2020\" min=\"1515\" max=\"4040\"/>",
        "<PlaybackRate min=\"0.96\" max=\"1.04\"/>",
        "<ProducerReferenceTime id=\"0\" inband=\"true\" type=\"encoder\" \
         wallClockTime=\"2026-11-29T16:45:00.000Z\" presentationTime=\"10000000\">",
        "<Resync type=\"2\" dT=\"2000000\"/>",
        "<Resync type=\"2\" dT=\"334000\"/>",
        "<SegmentTemplate timescale=\"1000000\" presentationTimeOffset=\"10000000\" \
         initialization=\"e/v0/init0.mp4\" media=\"e/v0/$Number$.m4s\" startNumber=\"1\" \
         duration=\"2000000\" availabilityTimeOffset=\"1.666000\" \
         availabilityTimeComplete=\"false\"/>",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    // What each part tells in front: 16:45:02 at the second segment.
    let segment = window.rendition(VIDEO).unwrap().segment(2).unwrap();
    let told = at(&segment.parts[0].bytes, "prft");
    let number = |from: usize| u64::from_be_bytes(told[from..from + 8].try_into().unwrap());
    assert_eq!(&told[..8], [1, 0, 0, 1, 0, 0, 0, 1]);
    assert_eq!(number(8), (1_795_970_702 + 2_208_988_800) << 32);
    assert_eq!(number(16), 12 * 90_000);

    for (from, to, found) in [
        ("<PlaybackRate", "<x", "without PlaybackRate"),
        ("<Latency", "<x", "without Latency@target"),
        ("max=\"4040\"", "max=\"1\"", "@max above"),
        ("<Resync", "<x", "without Resync"),
        (
            "referenceId=\"0\"",
            "referenceId=\"1\"",
            "the reference that Latency means",
        ),
        (
            "availabilityTimeComplete=\"false\"",
            "",
            "availabilityTimeComplete",
        ),
        (
            "availabilityTimeOffset=\"1.6",
            "availabilityTimeOffset=\"2.6",
            "below the segment",
        ),
        (
            "availabilityTimeOffset=\"1.666000\"",
            "",
            "without availabilityTimeOffset",
        ),
    ] {
        assert!(text.contains(from), "{from}");
        let broken = Checker::default().read(&text.replacen(from, to, 1));
        assert!(
            broken.iter().any(|is| is.to_string().contains(found)),
            "{found}: {broken:?}"
        );
    }
    let open = "<ProducerReferenceTime id=\"0\"";
    let other = text.replace(open, "<ProducerReferenceTime x=\"0\"");
    assert_eq!(Checker::default().read(&other).len(), 1);
}

#[test]
fn lengths_that_are_no_longer_equal_begin_another_period() {
    // The third is 2.4 s, which shows when it is complete.
    let window = example_of(near(), 60, 13_200, 0, 0, false);
    let text = manifest(&window, &names(), &CLOCK).unwrap();
    assert_eq!(Checker::default().read(&text), []);
    assert!(
        text.contains("$Time$") && !text.contains("availabilityTimeOffset"),
        "{text}"
    );
    // It was equal, then was not.
    let mut checker = Checker::default();
    let mut lengths = Vec::new();
    for length in [7000, 13_200, 26_000] {
        let window = example_with_late(length);
        let text = manifest(&window, &names(), &CLOCK).unwrap();
        assert_eq!(checker.read(&text), [], "{text}");
        let periods = &checker.last().unwrap().periods;
        let told = periods.iter().map(|is| {
            let template = is.representations[0].template.as_ref().unwrap();
            (template.start_number, template.duration, is.duration)
        });
        lengths.push(told.collect::<Vec<_>>());
    }
    assert_eq!(
        lengths,
        [
            vec![(1, Some(2_000_000), None)],
            vec![(1, Some(2_000_000), Some(8.28)), (1, None, None)],
            // It is again, and has been for a while.
            vec![
                (1, Some(2_000_000), Some(8.28)),
                (1, None, Some(14.12)),
                (12, Some(2_000_000), None)
            ],
        ]
    );
}

/// So long, the fifth group of pictures being of 2.4 s: its segment ends at 2.28, as none may
/// be longer than the target duration, rounded.
fn example_with_late(length: i64) -> Window {
    let mut window = Window::new(near());
    let mut packager = Packager::new(near());
    let mut events = Vec::new();
    for config in [timelines::video_config(0), timelines::audio_config(0)] {
        if let Input::Configure(track, codec, config) = config {
            packager.configure(track, codec, &config);
        }
    }
    for time in 0..length {
        let n = time / 40;
        let is_key = n % 50 == 0 && n < 200 || n >= 210 && (n - 210) % 50 == 0;
        let mut inputs = Vec::new();
        if time % 40 == 0 {
            inputs.push(frame(VIDEO, time, 0, is_key));
        }
        if time * 3 % 64 < 3 {
            inputs.push(frame(AUDIO, time, 0, true));
        }
        for input in inputs {
            if let Input::Push(frame) = input {
                packager.push(frame, 1_795_970_700_000 + time, &mut events);
            }
        }
    }
    events.into_iter().for_each(|event| window.apply(event));
    window
}
