//! Pictures in several sizes.

use super::*;
use crate::dash::{Clock, manifest};
use crate::hls::{Names, master_playlist};

/// The same in another size, at the same times.
fn small(inputs: &[Input], moved: impl Fn(i64, bool) -> Option<(i64, bool)>) -> Vec<Input> {
    let mut all = Vec::new();
    for input in inputs {
        all.push(input.clone());
        match input {
            Input::Configure(VIDEO, ..) => all.push(config_of(SMALL, 1)),
            Input::Push(picture) if picture.track == VIDEO => {
                let is_key = picture.content == Content::Key;
                if let Some((time, is_key)) = moved(picture.dts / 1000, is_key) {
                    all.push(frame(SMALL, time, 0, is_key));
                }
            }
            _ => {}
        }
    }
    all
}

/// Where segments of a track begin, in milliseconds, and whether at a key frame.
fn starts(segments: &[Segment]) -> Vec<(i64, bool)> {
    let mut starts = Vec::new();
    for segment in segments {
        let first = segment.parts.iter().find(|part| !part.is_gap);
        let first = first.expect("a part with something in it");
        starts.push((first.start as i64 / 90 - 10_000, first.is_independent));
    }
    starts
}

fn names() -> Names {
    Names {
        epoch: "e".to_owned(),
    }
}

fn variants(window: &Window) -> Option<Vec<String>> {
    let master = master_playlist(window, &names())?;
    let uris = master.lines().filter(|line| line.starts_with("e/v"));
    Some(uris.map(str::to_owned).collect())
}

/// What the master playlist names as time goes on: each change, with the number of the
/// newest segment.
fn masters(inputs: &[Input]) -> Vec<(u64, Vec<String>)> {
    let mut window = Window::new(Settings::default());
    let (mut msn, mut found) = (0, Vec::<(u64, Vec<String>)>::new());
    run(Settings::default(), inputs, |_, events| {
        for event in events {
            if let Event::Opened { beginning, .. } = &event {
                msn = msn.max(beginning.msn);
            }
            window.apply(event);
        }
        if let Some(variants) = variants(&window)
            && found.last().is_none_or(|(_, last)| *last != variants)
        {
            found.push((msn, variants));
        }
    });
    found
}

fn window_of(settings: Settings, inputs: &[Input]) -> Window {
    let mut window = Window::new(settings.clone());
    for event in events(settings, inputs) {
        window.apply(event);
    }
    window
}

fn manifest_of(inputs: &[Input]) -> String {
    let window = window_of(Settings::default(), inputs);
    let clock = Clock {
        published: 0,
        url: "/time",
    };
    manifest(&window, &names(), &clock).expect("a manifest")
}

const BOTH: [&str; 2] = ["e/v0.m3u8", "e/v1.m3u8"];

#[test]
fn all_sizes_are_cut_at_the_same_key_frames() {
    // One encoder rounds times to the next millisecond, one to the one before.
    for by in [-1, 0, 1] {
        let inputs = configured(stream(500, 10_000, 1000));
        let inputs = small(&inputs, |time, is_key| Some((time + by, is_key)));
        let (large, small) = (segments(&inputs, VIDEO), segments(&inputs, SMALL));
        let expected = [0, 2000, 4000, 6000, 8000].map(|time| (time, true));
        assert_eq!(starts(&large), expected);
        assert_eq!(starts(&small), expected, "{by}");
        // They are shown when they are to be all the same.
        let first = |segment: &Segment| shown(&segment.parts[0], 90_000)[0];
        let apart = large.iter().zip(&small);
        let apart: Vec<i64> = apart
            .map(|(one, other)| first(other) - first(one))
            .collect();
        assert_eq!(apart, [by * 1000; 5]);
        let msns = |segments: &[Segment]| -> Vec<u64> {
            segments.iter().map(|is| is.beginning.msn).collect()
        };
        assert_eq!(msns(&large), msns(&small));
        // Each picture of both is there once.
        for segments in [&large, &small] {
            let parts = segments.iter().flat_map(|segment| &segment.parts);
            assert!(parts.clone().all(|part| !part.is_gap));
            assert_eq!(parts.map(|part| part.frames).sum::<u32>(), 250);
        }
        let found = masters(&inputs);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].1, BOTH);
        let manifest = manifest_of(&inputs);
        assert_eq!(manifest.matches("contentType=\"video\"").count(), 1);
        assert_eq!(manifest.matches("<Representation id=\"v").count(), 2);
        assert!(!manifest.contains("segmentAlignment=\"false\""));
        assert_eq!(manifest.matches("<Period").count(), 1);
    }
}

#[test]
fn an_encoder_that_reorders_pictures_is_cut_where_they_are_shown() {
    // Key frames are shown two pictures after they are decoded, in one of the two.
    let mut inputs = vec![video_config(0), config_of(SMALL, 1)];
    for number in 0..250 {
        let later = [80, 160, 40, 0][number as usize % 4];
        let is_key = number % 25 == 0;
        let later = if is_key { 80 } else { later };
        inputs.push(frame(VIDEO, number * 40, later, is_key));
        inputs.push(frame(SMALL, number * 40 + 80, 0, is_key));
    }
    let expected = [0, 2000, 4000, 6000, 8000].map(|time| (time, true));
    assert_eq!(starts(&segments(&inputs, VIDEO)), expected);
    assert_eq!(starts(&segments(&inputs, SMALL)), expected);
}

#[test]
fn key_frames_that_are_elsewhere_begin_segments_where_they_are() {
    let inputs = configured(stream(0, 12_000, 2000));
    let later = |time: i64, _: bool| Some((time, time % 2000 == 400));
    let inputs = small(&inputs, later);
    let small = segments(&inputs, SMALL);
    let expected = [400, 2400, 4400, 6400, 8400, 10_400].map(|time| (time, true));
    assert_eq!(starts(&small), expected);
    // What is not there before the first is told, and each is told to be when it is.
    assert!(small[0].parts[0].is_gap && small[0].duration() == ms(2400));
    let wall = |segments: &[Segment]| segments[2].beginning.wall;
    let large = segments(&inputs, VIDEO);
    assert_eq!(wall(&small) - wall(&large), 400);
    assert_eq!(
        starts(&large),
        [0, 2000, 4000, 6000, 8000, 10_000].map(|time| (time, true))
    );
    assert!(
        manifest_of(&inputs)
            .contains("contentType=\"video\" mimeType=\"video/mp4\" segmentAlignment=\"false\"")
    );
}

#[test]
fn segments_that_begin_elsewhere_are_told_of_by_their_times() {
    // With low latency: a number would mean another time in each of them.
    let settings = Settings {
        low_latency_dash: true,
        ..Settings::default()
    };
    let addressing = |from: i64, to: i64| -> Vec<(u64, Addressing)> {
        let inputs = configured(stream(0, 40_000, 2000));
        let inputs = small(&inputs, |time, is_key| {
            let is_elsewhere = (from..to).contains(&time);
            let own = time % 2000 == 400;
            Some((time, if is_elsewhere { own } else { is_key }))
        });
        let mut window = Window::new(settings.clone());
        let mut found: Vec<(u64, Addressing)> = Vec::new();
        let mut events = events(settings.clone(), &inputs);
        // What is decided when a stream ends is of no use to who plays it live.
        events.retain(|event| *event != Event::End);
        for event in events {
            window.apply(event);
            let known = window.periods().iter().rev();
            let mut known = known.filter(|period| period.addressing != Addressing::Undecided);
            let newest = known.next().map(|period| (period.msn, period.addressing));
            if let Some(newest) = newest.filter(|newest| found.last() != Some(newest)) {
                found.push(newest);
            }
        }
        found
    };
    let numbers = Addressing::Numbers(ms(2000));
    assert_eq!(addressing(0, 0), [(1, numbers)]);
    assert_eq!(addressing(0, 40_000), [(1, Addressing::Timeline)]);
    // The eighth segment begins later, and the one before it is longer: that is known before
    // the ninth.
    let found = addressing(10_000, 40_000);
    assert_eq!(found, [(1, numbers), (9, Addressing::Timeline)]);
    // It is as the others again, and has been for a while.
    let found = addressing(0, 10_000);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[1].1, numbers);
}

#[test]
fn key_frames_that_would_come_too_late_are_not_waited_for() {
    // Half a segment is a second.
    let inputs = configured(stream(0, 12_000, 2000));
    let inputs = small(&inputs, |time, _| Some((time, time % 2000 == 1400)));
    let found = starts(&segments(&inputs, SMALL));
    assert_eq!(found[0], (3400, true));
    let expected = [4000, 6000, 8000, 10_000].map(|time| (time, false));
    assert!(found.ends_with(&expected), "{found:?}");
}

#[test]
fn a_size_that_comes_late_is_in_the_next_master_playlist() {
    let inputs = configured(stream(0, 14_000, 2000));
    let inputs = small(&inputs, |time, is_key| {
        (time >= 5000).then_some((time, is_key))
    });
    let small = segments(&inputs, SMALL);
    assert_eq!(starts(&small)[0], (8000, true));
    assert_eq!(small[0].beginning.msn, 5);
    let found = masters(&inputs);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0].1, BOTH[..1]);
    assert_eq!(found[1], (6, BOTH.map(str::to_owned).to_vec()));
    // What it consists of is another period.
    assert_eq!(manifest_of(&inputs).matches("<Period").count(), 2);
}

#[test]
fn a_size_that_stops_has_gaps_and_leaves_until_it_is_back() {
    let inputs = configured(stream(0, 24_000, 2000));
    let there = |time: i64| !(5000..13_000).contains(&time);
    let inputs = small(&inputs, |time, is_key| {
        there(time).then_some((time, is_key))
    });
    let small = segments(&inputs, SMALL);
    assert_eq!(lengths(&small), lengths(&segments(&inputs, VIDEO)));
    let gaps: Vec<u64> = small
        .iter()
        .filter(|segment| segment.is_gap())
        .map(|segment| segment.beginning.msn)
        .collect();
    // It is back in the middle of a GOP: pictures begin with the next.
    assert_eq!(gaps, [4, 5, 6, 7]);
    let found: Vec<Vec<String>> = masters(&inputs).into_iter().map(|(_, is)| is).collect();
    assert_eq!(found, [&BOTH[..], &BOTH[..1], &BOTH[..]]);
    let manifest = manifest_of(&inputs);
    let periods: Vec<bool> = manifest
        .split("<Period")
        .skip(1)
        .map(|period| period.contains("id=\"v1\""))
        .collect();
    assert_eq!(periods, [true, false, true], "{manifest}");
}

#[test]
fn pictures_that_pause_take_no_time_from_who_goes_on() {
    // The one that leads comes back with a key frame while the other sends none.
    let all = configured(stream(0, 16_000, 2000));
    let both = small(&all, |time, is_key| Some((time, is_key && time < 5000)));
    let is_there = |input: &Input| match input {
        Input::Push(frame) => frame.track != VIDEO || !(5_000_000..8_000_000).contains(&frame.dts),
        _ => true,
    };
    let inputs: Vec<Input> = both.into_iter().filter(is_there).collect();
    let large = segments(&inputs, VIDEO);
    let there: Vec<Segment> = large.iter().filter(|is| !is.is_gap()).cloned().collect();
    let expected = [0, 2000, 4000, 8000, 10_000, 12_000, 14_000].map(|time| (time, true));
    assert_eq!(starts(&there), expected);
    // Of the sound nothing is missing.
    let sounds = segments(&inputs, AUDIO);
    let parts = || sounds.iter().flat_map(|segment| &segment.parts);
    assert!(parts().all(|part| !part.is_gap));
    assert_eq!(parts().map(|part| part.frames).sum::<u32>(), 750);
}

#[test]
fn another_size_leads_when_the_first_stops() {
    let all = configured(stream(0, 24_000, 2000));
    let both = small(&all, |time, is_key| Some((time, is_key)));
    let is_there = |input: &Input| match input {
        Input::Push(frame) => frame.track != VIDEO || !(5_000_000..13_000_000).contains(&frame.dts),
        _ => true,
    };
    let inputs: Vec<Input> = both.into_iter().filter(is_there).collect();
    // All of it is cut at key frames still, and so is what is back.
    let expected: Vec<_> = (0..12).map(|number| (number * 2000, true)).collect();
    assert_eq!(starts(&segments(&inputs, SMALL)), expected);
    let large = segments(&inputs, VIDEO);
    let there: Vec<Segment> = large.iter().filter(|is| !is.is_gap()).cloned().collect();
    let is_there = |(time, _): &(i64, bool)| !(6000..14_000).contains(time);
    let expected: Vec<_> = expected.into_iter().filter(is_there).collect();
    assert_eq!(starts(&there), expected);
    let found: Vec<Vec<String>> = masters(&inputs).into_iter().map(|(_, is)| is).collect();
    assert_eq!(found, [&BOTH[..], &BOTH[1..], &BOTH[..]]);
    let is_long = |event: &Event| matches!(event, Event::LongGop { .. });
    assert!(!events(Settings::default(), &inputs).iter().any(is_long));
}

#[test]
fn another_coding_of_one_size_begins_with_a_discontinuity_of_all() {
    let inputs = configured(stream(0, 8000, 2000));
    let mut inputs = small(&inputs, |time, is_key| Some((time, is_key)));
    let is_late = |input: &Input| matches!(input, Input::Push(frame) if frame.dts >= 4_000_000);
    let place = inputs.iter().position(is_late).unwrap();
    inputs.insert(place, config_of(SMALL, 2));
    for track in [VIDEO, SMALL] {
        let segments = segments(&inputs, track);
        let discontinuities: Vec<u64> = segments
            .iter()
            .filter(|segment| segment.beginning.is_discontinuity)
            .map(|segment| segment.beginning.msn)
            .collect();
        assert_eq!(discontinuities.len(), 1, "{track}");
        let first = segments.last().unwrap().beginning.init;
        assert_eq!(first, u32::from(track == SMALL));
        // No picture of the others is lost.
        let frames: u32 = segments
            .iter()
            .flat_map(|is| &is.parts)
            .map(|part| part.frames)
            .sum();
        assert_eq!(frames, 200, "{track}");
    }
}

#[test]
fn what_waits_for_a_key_frame_of_pictures_that_stopped_waits_for_one_of_those_that_lead() {
    // Pictures of one size end, and the sound is coded otherwise: whoever sent both left.
    let inputs = configured(stream(0, 12_000, 1000));
    let inputs = small(&inputs, |time, is_key| Some((time, is_key)));
    let is_there = |input: &Input| match input {
        Input::Push(frame) => frame.track != VIDEO || frame.dts < 5_000_000,
        _ => true,
    };
    let mut inputs: Vec<Input> = inputs.into_iter().filter(is_there).collect();
    let is_late = |input: &Input| matches!(input, Input::Push(frame) if frame.dts >= 5_000_000);
    let place = inputs.iter().position(is_late).unwrap();
    inputs.insert(place, audio_config(1));
    // Pictures go on, with a discontinuity where they have a key frame next.
    let pictures = segments(&inputs, SMALL);
    let parts = || pictures.iter().flat_map(|segment| &segment.parts);
    assert!(parts().all(|part| !part.is_gap));
    assert_eq!(parts().map(|part| part.frames).sum::<u32>(), 300);
    let sounds = segments(&inputs, AUDIO);
    let missing = |segments: &[Segment]| -> Duration {
        let parts = segments.iter().flat_map(|segment| &segment.parts);
        parts
            .filter(|part| part.is_gap)
            .map(|part| part.duration)
            .sum()
    };
    let discontinuities = |segments: &[Segment]| -> Vec<u64> {
        let all = segments.iter().filter(|is| is.beginning.is_discontinuity);
        all.map(|segment| segment.beginning.msn).collect()
    };
    assert_eq!(discontinuities(&pictures).len(), 1);
    assert_eq!(discontinuities(&pictures), discontinuities(&sounds));
    assert!(missing(&sounds) < ms(2500), "{:?}", missing(&sounds));
}

#[test]
fn a_header_that_tells_nothing_new_is_no_discontinuity() {
    let inputs = configured(stream(0, 12_000, 2000));
    let inputs = small(&inputs, |time, is_key| Some((time, is_key)));
    let is_late = |input: &Input| matches!(input, Input::Push(frame) if frame.dts >= 6_000_000);
    let place = inputs.iter().position(is_late).unwrap();
    for (headers, count) in [
        (vec![1, 2, 1], 0),
        (vec![1, 1], 0),
        (vec![2], 1),
        (vec![1, 2, 2], 1),
    ] {
        let mut inputs = inputs.clone();
        let headers = headers.iter().map(|number| config_of(SMALL, *number));
        inputs.splice(place..place, headers);
        for track in [VIDEO, SMALL] {
            let segments = segments(&inputs, track);
            let found = segments.iter().filter(|is| is.beginning.is_discontinuity);
            assert_eq!(found.count(), count, "{track}");
            let parts = segments.iter().flat_map(|is| &is.parts);
            assert_eq!(parts.map(|part| part.frames).sum::<u32>(), 300, "{track}");
        }
    }
}
