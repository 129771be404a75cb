//! Sound whose times are not those of its samples.

use super::*;

/// Pictures and sound of so many milliseconds, or sound alone. The time that is told of the
/// frame of sound with this number, in milliseconds, is `time` of its own; `None`: it is lost.
fn sound(has_video: bool, length: i64, time: impl Fn(i64, i64) -> Option<i64>) -> Vec<Input> {
    let mut number = 0;
    let timed = stream(0, length, 2000).into_iter().filter_map(|input| {
        let Input::Push(mut frame) = input else {
            return Some(input);
        };
        if frame.track == AUDIO {
            let told = time(number, frame.dts / 1000);
            number += 1;
            frame.dts = told? * 1000;
            frame.pts = frame.dts;
        }
        (has_video || frame.track == AUDIO).then_some(Input::Push(frame))
    });
    let configs = [video_config(0), audio_config(0)];
    let configs = configs.into_iter().skip(usize::from(!has_video));
    configs.chain(timed).collect()
}

/// When the frames of sound are shown, in microseconds of the publisher's time; what is missing,
/// in milliseconds.
fn heard(inputs: &[Input]) -> (Vec<i64>, Vec<u128>) {
    let segments = segments(inputs, AUDIO);
    let parts = segments.iter().flat_map(|segment| &segment.parts);
    let gaps = parts.clone().filter(|part| part.is_gap);
    let gaps = gaps.map(|part| part.duration.as_millis()).collect();
    let times = parts
        .filter(|part| !part.is_gap)
        .flat_map(|part| shown(part, 48_000))
        .map(|time| time - 10_000_000);
    (times.collect(), gaps)
}

#[test]
fn a_frame_or_two_with_a_wrong_time_are_where_they_would_be_with_the_right_one() {
    for has_video in [true, false] {
        let right = sound(has_video, 8000, |_, time| Some(time));
        let right = segments(&right, AUDIO);
        let wrong: [&[i64]; 11] = [
            &[80],
            &[-80],
            &[61],
            &[-150],
            &[900],
            &[-900],
            &[80, 80],
            &[-80, -80],
            &[90, -90],
            &[-300, 300],
            &[400, 20],
        ];
        // In the middle, at the beginning of all, and at the end of it.
        for (wrong, at) in wrong.iter().zip([100, 150, 2, 187].iter().cycle()) {
            let inputs = sound(has_video, 8000, |number, time| {
                let place = usize::try_from(number - at);
                let off = place.ok().and_then(|place| wrong.get(place));
                Some(time + off.copied().unwrap_or(0))
            });
            let found = segments(&inputs, AUDIO);
            assert!(found == right, "{has_video} {at} {wrong:?}");
        }
    }
}

#[test]
fn frames_that_wait_for_time_to_catch_up_with_a_wrong_one_are_in_their_places() {
    let right = segments(&sound(true, 8000, |_, time| Some(time)), AUDIO);
    for off in [80, 300, 500, 900] {
        // A clock that never goes back.
        let late = std::cell::Cell::new(-1);
        let inputs = sound(true, 8000, |number, time| {
            let told = if number == 100 { time + off } else { time };
            late.set(told.max(late.get() + 1));
            Some(late.get())
        });
        assert!(segments(&inputs, AUDIO) == right, "{off}");
    }
}

#[test]
fn frames_that_are_lost_are_a_gap_and_those_behind_it_in_their_place() {
    for has_video in [true, false] {
        let lost = 100..105;
        let told = |number: i64, time| (!lost.contains(&number)).then_some(time);
        let (times, gaps) = heard(&sound(has_video, 8000, told));
        // Five frames of 21.3 ms.
        assert!(matches!(gaps[..], [105..=107]), "{has_video} {gaps:?}");
        assert_eq!(times.len(), 375 - 5);
        for (number, time) in (0..375).filter(|is| !lost.contains(is)).zip(times) {
            let apart = (number * 64_000 / 3 - time).abs();
            assert!(apart < 1500, "{has_video} {number} {time}");
        }
    }
}

#[test]
fn sound_whose_times_are_never_even_is_followed_in_the_end() {
    // Times of ten frames are told at once, and half a second is lost.
    let told = |number: i64, time: i64| {
        (!(100..124).contains(&number)).then(|| match number {
            0..100 => time,
            _ => time / 213 * 213,
        })
    };
    let (times, gaps) = heard(&sound(true, 12_000, told));
    assert!(!gaps.is_empty(), "{gaps:?}");
    let last = times.last().unwrap();
    assert!((11_600_000..12_200_000).contains(last), "{last}");
}

#[test]
fn a_clock_that_drifts_is_followed_without_a_hole_and_with_all_frames() {
    // A thousandth faster and slower: 180 ms in three minutes.
    for drift in [1, -1] {
        for has_video in [true, false] {
            let told = |_, time: i64| Some(time + drift * time / 1000);
            let (times, gaps) = heard(&sound(has_video, 180_000, told));
            // Where it ends before pictures do there is one.
            let ends = usize::from(has_video && drift < 0);
            assert_eq!(gaps.len(), ends, "{drift} {has_video} {gaps:?}");
            // All but the end, which pictures are not there for.
            let all = 180_000 * 3 / 64;
            assert!(times.len() + 10 >= all, "{drift} {has_video}");
            for (number, time) in (0..).zip(times) {
                let told = number * (64_000 + drift * 64) / 3;
                let apart = (told - time).abs();
                assert!(apart < 70_000, "{drift} {has_video} {number} {apart}");
            }
        }
    }
}
