//! What becomes of streams of all kinds.

use std::time::Duration;

mod properties;
mod renditions;
mod sound;

use super::timelines::*;
use super::*;
use crate::mp4::tests::at;
use crate::mp4::{Content, Frame};

const fn ms(length: u64) -> Duration {
    Duration::from_millis(length)
}

/// Pictures every 40 ms, a key frame every `gop`, with AAC, for so many milliseconds from
/// `start` on.
fn stream(start: i64, length: i64, gop: i64) -> Vec<Input> {
    let pictures = (0..length / 40).map(|number| {
        let time = start + number * 40;
        (time, frame(VIDEO, time, 0, number % (gop / 40) == 0))
    });
    let sounds = (0..length * 3 / 64).map(|number| {
        let time = start + number * 64 / 3;
        (time, frame(AUDIO, time, 0, true))
    });
    let mut frames: Vec<(i64, Input)> = pictures.chain(sounds).collect();
    frames.sort_by_key(|(time, _)| *time);
    frames.into_iter().map(|(_, input)| input).collect()
}

fn configured(frames: Vec<Input>) -> Vec<Input> {
    [vec![video_config(0), audio_config(0)], frames].concat()
}

/// Segments of a track as a window that forgets nothing has them.
fn segments(inputs: &[Input], track: TrackName) -> Vec<Segment> {
    let settings = Settings {
        window: Duration::from_secs(3600),
        ..Settings::default()
    };
    let mut window = Window::new(settings.clone());
    for event in events(settings, inputs) {
        window.apply(event);
    }
    let rendition = window.rendition(track).expect("the track");
    rendition.segments.iter().cloned().collect()
}

fn lengths(segments: &[Segment]) -> Vec<u64> {
    segments
        .iter()
        .map(|segment| (segment.duration().as_micros() as u64 + 500) / 1000)
        .collect()
}

fn targets(inputs: &[Input]) -> Option<Targets> {
    events(Settings::default(), inputs)
        .into_iter()
        .find_map(|event| match event {
            Event::Targets(targets) => Some(targets),
            _ => None,
        })
}

/// Start and samples of the first run of a part.
fn run_of(part: &Part) -> (u64, u32) {
    let moof = at(&part.bytes, "moof/traf");
    let time = u64::from_be_bytes(at(moof, "tfdt")[4..].try_into().unwrap());
    let count = u32::from_be_bytes(at(moof, "trun")[4..8].try_into().unwrap());
    (time, count)
}

#[test]
fn segments_end_at_key_frames_and_sound_follows_the_picture() {
    let inputs = configured(stream(500, 10_000, 1000));
    let video = segments(&inputs, VIDEO);
    assert_eq!(lengths(&video), [2000; 5]);
    assert_eq!(
        targets(&inputs),
        Some(Targets {
            part: ms(334),
            part_hold_back: ms(1010),
            segment: 2
        })
    );
    let msns: Vec<u64> = video.iter().map(|segment| segment.beginning.msn).collect();
    assert_eq!(msns, [1, 2, 3, 4, 5]);
    for segment in &video {
        // Eight pictures are 320 ms; the last two are 80.
        let parts: Vec<u32> = segment.parts.iter().map(|part| part.frames).collect();
        assert_eq!(parts, [8, 8, 8, 8, 8, 8, 2]);
        let independent = segment.parts.iter().map(|part| part.is_independent);
        assert_eq!(independent.filter(|is| *is).count(), 1);
        assert!(segment.parts[0].is_independent);
    }
    // 2 s are 93.75 frames of AAC: each segment ends at the first frame from the cut on.
    let audio = segments(&inputs, AUDIO);
    let frames = |segment: &Segment| segment.parts.iter().map(|part| part.frames).sum::<u32>();
    let frames: Vec<u32> = audio.iter().map(frames).collect();
    assert_eq!(frames, [94, 94, 94, 93, 93]);
    // Decoding times go on without holes, in both.
    for (segments, scale) in [(&video, 90_000), (&audio, 48_000)] {
        let mut end = None;
        for part in segments.iter().flat_map(|segment| &segment.parts) {
            let (start, count) = run_of(part);
            assert_eq!(count, part.frames);
            assert!(end.is_none_or(|end| end == start));
            let ticks = part.duration.as_nanos() * scale;
            end = Some(start + ((ticks + 500_000_000) / 1_000_000_000) as u64);
        }
    }
}

/// When the frames of a part are shown, in microseconds: decoding times and composition
/// offsets added up (ISO/IEC 14496-12, 8.8.8 and 8.8.12).
fn shown(part: &Part, scale: i64) -> Vec<i64> {
    let moof = at(&part.bytes, "moof/traf");
    let word = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let (tfhd, trun) = (at(moof, "tfhd"), at(moof, "trun"));
    let flags = word(trun, 0);
    let for_all = (word(tfhd, 0) & 8 != 0).then(|| word(tfhd, 8));
    let (mut time, mut from) = (i64::try_from(run_of(part).0).unwrap(), 12);
    let mut times = Vec::new();
    for _ in 0..word(trun, 4) {
        let mut next = |flag: u32| {
            let found = (flags & flag != 0).then(|| word(trun, from));
            from += if found.is_some() { 4 } else { 0 };
            found
        };
        let length = next(0x100).or(for_all).unwrap();
        let (_size, _flags) = (next(0x200), next(0x400));
        let offset = next(0x800).unwrap_or(0) as i32;
        times.push((time + i64::from(offset)) * 1_000_000 / scale);
        time += i64::from(length);
    }
    times
}

#[test]
fn pictures_out_of_order_stay_with_the_sound_of_their_time() {
    // Shown two pictures later, then four, one and none: what x264 makes of three B-frames.
    let later = |number: i64| match number % 4 {
        _ if number % 48 == 0 => 80,
        1 => 160,
        2 => 80,
        3 => 0,
        _ => 40,
    };
    let mut frames: Vec<(i64, Input)> = Vec::new();
    for number in 0..150 {
        let time = number * 40;
        frames.push((time, frame(VIDEO, time, later(number), number % 48 == 0)));
    }
    // 21.3 ms as RTMP rounds it.
    for number in 0..281 {
        let time = number * 64 / 3;
        frames.push((time, frame(AUDIO, time, 0, true)));
    }
    frames.sort_by_key(|(time, _)| *time);
    let sent = frames.clone();
    let inputs = configured(frames.into_iter().map(|(_, input)| input).collect());
    let all = |track, scale| -> Vec<i64> {
        let segments = segments(&inputs, track);
        let parts = segments.iter().flat_map(|segment| &segment.parts);
        let parts = parts.filter(|part| !part.is_gap);
        parts.flat_map(|part| shown(part, scale)).collect()
    };
    let (video, audio) = (all(VIDEO, 90_000), all(AUDIO, 48_000));
    let pts = |track| -> Vec<i64> {
        let of_track = sent.iter().filter_map(|(_, input)| match input {
            Input::Push(frame) if frame.track == track => Some(frame.pts),
            _ => None,
        });
        of_track.collect()
    };
    // The first picture is shown where the timeline begins, at 10 s; sound of before is left
    // out, and counted in samples, a third of a millisecond from where its times are.
    let moved = 10_000_000 - 80_000;
    let pictures: Vec<i64> = pts(VIDEO).iter().map(|pts| pts + moved).collect();
    assert_eq!(video, pictures);
    let sounds = pts(AUDIO);
    let sounds = &sounds[sounds.len() - audio.len()..];
    assert!(audio.len() >= 276, "{}", audio.len());
    for (told, found) in sounds.iter().zip(&audio) {
        let apart = (told + moved).abs_diff(*found);
        assert!(apart < 1000, "{told} {found}");
    }
    // A segment begins to be shown where it is said to.
    for segment in segments(&inputs, VIDEO) {
        let times = segment.parts.iter().flat_map(|part| shown(part, 90_000));
        let first = segment.parts[0].start as i64 * 100 / 9;
        assert!(times.min().unwrap() >= first);
    }
}

#[test]
fn the_first_segment_decides_the_target_and_a_longer_gop_is_cut() {
    let mut inputs = configured(stream(0, 6000, 3000));
    inputs.extend(stream(6000, 8000, 8000));
    assert_eq!(targets(&inputs).unwrap().segment, 3);
    let events = events(Settings::default(), &inputs);
    let cut: Vec<u64> = events
        .iter()
        .filter_map(|event| match event {
            Event::LongGop { msn } => Some(*msn),
            _ => None,
        })
        .collect();
    assert_eq!(cut, [4, 5]);
    let video = segments(&inputs, VIDEO);
    // The last is open at the end.
    assert_eq!(lengths(&video), [3000, 3000, 3280, 3280, 1440]);
    assert!(!video[3].parts[0].is_independent);
}

#[test]
fn pictures_out_of_order_begin_where_they_are_shown() {
    let inputs: Vec<Input> = [video_config(0)]
        .into_iter()
        .chain((0..60).map(|number| {
            let later = [80, 200, 80, 0, 40][number as usize % 5];
            frame(VIDEO, number * 40, later, number % 25 == 0)
        }))
        .collect();
    let video = segments(&inputs, VIDEO);
    let first = &video[0].parts[0];
    // 10 s, where the timeline begins; shown then too.
    assert_eq!(run_of(first).0, 900_000);
    let run = at(&first.bytes, "moof/traf/trun");
    let offsets: Vec<i32> = run[12..]
        .chunks(8)
        .map(|sample| i32::from_be_bytes(sample[4..].try_into().unwrap()))
        .collect();
    // Flags and offsets; all are 40 ms long and eight bytes.
    assert_eq!(run[..4], [1, 0, 0x0C, 1]);
    let expected = [0, 10_800, 0, -7200, -3600, 0, 10_800, 0];
    assert_eq!(offsets, expected);
}

#[test]
fn sound_alone_is_cut_by_time_and_pictures_do_without_sound() {
    let sounds = (0..500).map(|number| frame(AUDIO, number * 64 / 3, 0, true));
    let inputs: Vec<Input> = [audio_config(0)].into_iter().chain(sounds).collect();
    let audio = segments(&inputs, AUDIO);
    // 93 frames are 1.984 s.
    assert_eq!(lengths(&audio)[..5], [1984; 5]);
    assert_eq!(targets(&inputs).unwrap().segment, 2);
    assert!(
        audio
            .iter()
            .flat_map(|segment| &segment.parts)
            .all(|part| part.is_independent)
    );

    let is_video = |input: &Input| match input {
        Input::Push(frame) => frame.track == VIDEO,
        Input::Configure(track, ..) => *track == VIDEO,
        _ => true,
    };
    let inputs = configured(stream(0, 6000, 2000))
        .into_iter()
        .filter(is_video)
        .collect::<Vec<_>>();
    assert_eq!(lengths(&segments(&inputs, VIDEO)), [2000; 3]);
    let tracks = events(Settings::default(), &inputs)
        .into_iter()
        .filter_map(|event| match event {
            Event::Init { track, .. } => Some(track),
            _ => None,
        });
    assert_eq!(tracks.collect::<Vec<_>>(), [VIDEO]);
}

#[test]
fn sound_that_comes_late_joins_at_a_segment() {
    let all = stream(0, 8000, 2000);
    let is_in_time = |input: &Input| match input {
        Input::Push(frame) => frame.track == VIDEO || frame.dts >= 3_000_000,
        _ => true,
    };
    let mut inputs = vec![video_config(0)];
    inputs.extend(all.into_iter().filter(is_in_time));
    let place = inputs
        .iter()
        .position(|input| matches!(input, Input::Push(frame) if frame.track == AUDIO))
        .unwrap();
    inputs.insert(place, audio_config(0));
    let audio = segments(&inputs, AUDIO);
    let msns: Vec<u64> = audio.iter().map(|segment| segment.beginning.msn).collect();
    assert_eq!(msns, [3, 4]);
    assert_eq!(lengths(&segments(&inputs, VIDEO)), [2000; 4]);
    assert!(
        audio
            .iter()
            .all(|segment| !segment.beginning.is_discontinuity)
    );
}

#[test]
fn pictures_that_come_late_lead_from_then_on() {
    let all = stream(0, 12_000, 2000);
    let is_in_time = |input: &Input| match input {
        Input::Push(frame) => frame.track == AUDIO || frame.dts >= 5_000_000,
        _ => true,
    };
    let mut inputs = vec![audio_config(0)];
    inputs.extend(all.into_iter().filter(is_in_time));
    let is_video = |input: &Input| matches!(input, Input::Push(frame) if frame.track == VIDEO);
    let place = inputs.iter().position(is_video).unwrap();
    inputs.insert(place, video_config(0));
    let (video, audio) = (segments(&inputs, VIDEO), segments(&inputs, AUDIO));
    // Sound is cut by itself, then where pictures begin, at 6 s, and their key frames are.
    assert_eq!(lengths(&video), [2000; 3]);
    let msns: Vec<u64> = video.iter().map(|segment| segment.beginning.msn).collect();
    assert_eq!(msns, [5, 6, 7]);
    assert_eq!(audio.len(), 7);
    assert_eq!(lengths(&audio)[..3], [1984; 3]);
    for (one, other) in video.iter().zip(&audio[4..]) {
        assert_eq!(one.beginning.msn, other.beginning.msn);
        let apart = one.duration().abs_diff(other.duration());
        assert!(apart < ms(60), "{apart:?}");
    }
}

#[test]
fn another_header_begins_with_a_discontinuity_of_all_tracks() {
    for config in [video_config(1), audio_config(1)] {
        let mut inputs = configured(stream(0, 4000, 2000));
        let is_video = matches!(config, Input::Configure(VIDEO, ..));
        inputs.push(config);
        inputs.extend(stream(4000, 4000, 2000));
        let (video, audio) = (segments(&inputs, VIDEO), segments(&inputs, AUDIO));
        for (track, has_changed) in [(&video, is_video), (&audio, !is_video)] {
            let tags: Vec<u64> = track
                .iter()
                .filter(|segment| segment.beginning.is_discontinuity)
                .map(|segment| segment.beginning.msn)
                .collect();
            assert_eq!(tags.len(), 1);
            let place = track
                .iter()
                .position(|segment| segment.beginning.is_discontinuity);
            let after = &track[place.unwrap()..];
            let init = u32::from(has_changed);
            assert!(after.iter().all(|segment| segment.beginning.init == init));
            assert!(
                track[..place.unwrap()]
                    .iter()
                    .all(|segment| segment.beginning.init == 0)
            );
        }
        // The picture begins anew with the key frame of its header at once; sound has to
        // wait for the next.
        let place = video
            .iter()
            .position(|segment| segment.beginning.is_discontinuity);
        assert_eq!(place, Some(if is_video { 2 } else { 3 }));
    }
}

#[test]
fn a_clock_that_jumps_goes_on_behind_a_discontinuity() {
    for jump in [-3_600_000, 3_600_000, 1500] {
        let mut inputs = configured(stream(4_000_000, 4000, 2000));
        inputs.extend(stream(4_004_000 + jump, 4000, 2000));
        let video = segments(&inputs, VIDEO);
        assert_eq!(lengths(&video), [2000; 4], "{jump}");
        let tags: Vec<bool> = video
            .iter()
            .map(|segment| segment.beginning.is_discontinuity)
            .collect();
        assert_eq!(tags, [false, false, true, false]);
        assert_eq!(run_of(&video[2].parts[0]).0, 14 * 90_000);
        let audio = segments(&inputs, AUDIO);
        assert!(audio[2].beginning.is_discontinuity);
        assert_eq!(audio.len(), 4);
        let lost: u32 = audio
            .iter()
            .flat_map(|segment| &segment.parts)
            .map(|p| p.frames)
            .sum();
        // But for a frame at the seam at most.
        assert!((373..=375).contains(&lost), "{lost}");
    }
}

#[test]
fn a_hole_is_a_gap_and_a_small_one_a_longer_frame() {
    for (hole, gaps) in [(200, 0), (900, 3)] {
        let mut inputs = configured(stream(0, 4000, 2000));
        inputs.extend(stream(4000 + hole, 4000, 2000));
        let video = segments(&inputs, VIDEO);
        let missing = video
            .iter()
            .flat_map(|segment| &segment.parts)
            .filter(|part| part.is_gap);
        assert_eq!(missing.count(), gaps, "{hole}");
        assert!(
            video
                .iter()
                .all(|segment| !segment.beginning.is_discontinuity)
        );
        let whole: u64 = lengths(&video).iter().sum();
        assert_eq!(whole, 8000 + hole as u64);
    }
}

#[test]
fn a_track_without_frames_has_gaps_as_long_as_the_segments() {
    // Pictures of many lengths, so that cuts are anywhere.
    for picture in [33, 40, 47, 258] {
        let mut inputs = configured(stream(0, 4000, 2000));
        let rest = (0..20_000 / picture).map(|number| {
            let is_key = number % (2000 / picture) == 0;
            frame(VIDEO, 4000 + number * picture, 0, is_key)
        });
        inputs.extend(rest);
        let (video, audio) = (segments(&inputs, VIDEO), segments(&inputs, AUDIO));
        let mut missing = 0;
        for (one, other) in video.iter().zip(&audio).skip(3).take(6) {
            let apart = one.duration().abs_diff(other.duration());
            assert!(apart < ms(1), "{picture}: {one:?} {other:?}");
            assert!(other.is_gap());
            missing += 1;
        }
        assert_eq!(missing, 6);
    }
}

#[test]
fn a_stall_is_listed_and_what_comes_late_goes_on_behind_it() {
    let mut inputs = configured(stream(0, 5000, 1000));
    inputs.extend([Input::Stall, Input::Stall, Input::Stall]);
    // As if nothing had happened: the line was slow.
    inputs.extend(stream(5000, 3000, 1000));
    let video = segments(&inputs, VIDEO);
    let parts: Vec<&Part> = video.iter().flat_map(|segment| &segment.parts).collect();
    let gaps: Vec<Duration> = parts
        .iter()
        .filter(|part| part.is_gap)
        .map(|part| part.duration)
        .collect();
    assert_eq!(gaps, [ms(334); 3]);
    assert_eq!(parts.iter().map(|part| part.frames).sum::<u32>(), 200);
    assert_eq!(lengths(&video).iter().sum::<u64>(), 9002);
}

#[test]
fn another_encoder_goes_on_under_the_same_numbers() {
    let mut inputs = configured(stream(90_000, 4000, 2000));
    inputs.push(Input::Restart);
    inputs.extend([video_config(2), audio_config(0)]);
    inputs.extend(stream(0, 4000, 2000));
    for track in [VIDEO, AUDIO] {
        let segments = segments(&inputs, track);
        let told: Vec<(u64, bool, u64)> = segments
            .iter()
            .map(|segment| segment.beginning)
            .map(|is| (is.msn, is.is_discontinuity, is.discontinuities))
            .collect();
        assert_eq!(
            told,
            [(1, false, 0), (2, false, 0), (3, true, 1), (4, false, 1)]
        );
    }
}

/// Frames of a track with these times, as they come.
fn alone(track: TrackName, start: i64, length: i64) -> Vec<Input> {
    let is_it = |input: &Input| matches!(input, Input::Push(frame) if frame.track == track);
    let all = stream(start, length, 2000).into_iter();
    all.filter(is_it).collect()
}

/// Frames of sound in parts, from the `skip`th segment on.
fn sounds_from(inputs: &[Input], skip: usize) -> u32 {
    let audio = segments(inputs, AUDIO);
    let parts = audio.iter().skip(skip).flat_map(|segment| &segment.parts);
    parts.map(|part| part.frames).sum()
}

#[test]
fn sound_goes_on_if_the_next_encoder_has_no_pictures() {
    let mut inputs = configured(stream(90_000, 4000, 2000));
    inputs.extend([Input::Restart, audio_config(0)]);
    inputs.extend(alone(AUDIO, 0, 20_000));
    let (video, audio) = (segments(&inputs, VIDEO), segments(&inputs, AUDIO));
    let beginnings = |of: &[Segment]| -> Vec<(u64, bool, u64)> {
        let of = of.iter().map(|segment| segment.beginning);
        of.map(|is| (is.msn, is.is_discontinuity, is.discontinuities))
            .collect()
    };
    assert_eq!(beginnings(&video), beginnings(&audio));
    assert_eq!(beginnings(&video)[2], (3, true, 1));
    assert!(video[2..].iter().all(|segment| segment.is_gap()));
    // All of it but for the end, which pictures might have come for.
    let listed = sounds_from(&inputs, 2);
    assert!(listed >= 937 - 70, "{listed}");
    // Pictures of that encoder go on at their first key frame, with the sound of their time.
    inputs.extend([video_config(2)]);
    inputs.extend(stream(20_000, 8000, 2000));
    let video = segments(&inputs, VIDEO);
    let last = video.last().unwrap();
    assert_eq!((last.beginning.discontinuities, last.is_gap()), (2, false));
    assert_eq!(beginnings(&video), beginnings(&segments(&inputs, AUDIO)));
    let listed = sounds_from(&inputs, 2);
    assert!(listed >= 937 + 375 - 10, "{listed}");
}

#[test]
fn sound_of_another_header_waits_for_a_key_frame_no_longer_than_may_be() {
    // Pictures that stopped, and pictures without a key frame.
    for is_silent in [true, false] {
        let mut inputs = configured(stream(0, 4000, 2000));
        inputs.push(audio_config(1));
        match is_silent {
            true => inputs.extend(alone(AUDIO, 4000, 20_000)),
            false => inputs.extend(
                stream(4040, 20_000, 40_000)
                    .into_iter()
                    .filter(|input| !matches!(input, Input::Push(frame) if frame.track == VIDEO && frame.content == Content::Key)),
            ),
        }
        let audio = segments(&inputs, AUDIO);
        let begun = audio
            .iter()
            .position(|segment| segment.beginning.is_discontinuity);
        let begun = begun.expect("a discontinuity");
        assert_eq!(audio[begun].beginning.init, 1);
        let listed = sounds_from(&inputs, begun);
        let lost = if is_silent { 70 } else { 937 / 20 * 4 };
        assert!(listed >= 937 - lost, "{is_silent} {listed}");
    }
}

#[test]
fn sound_that_begins_anew_while_pictures_are_away_goes_on() {
    for jump in [-100_000, 100_000, 3000] {
        let mut inputs = configured(stream(200_000, 4000, 2000));
        inputs.extend(alone(AUDIO, 204_000, 6000));
        inputs.extend(alone(AUDIO, 210_000 + jump, 14_000));
        let listed = sounds_from(&inputs, 0);
        // But for what came while that was not known.
        assert!(listed >= 17 * 1000 * 3 / 64, "{jump} {listed}");
    }
}

#[test]
fn pictures_go_on_if_the_next_encoder_has_no_sound() {
    let mut inputs = configured(alone(AUDIO, 90_000, 4000));
    inputs.remove(0);
    inputs.extend([Input::Restart, video_config(0)]);
    inputs.extend(alone(VIDEO, 0, 8000));
    let video = segments(&inputs, VIDEO);
    let frames = video.iter().flat_map(|segment| &segment.parts);
    assert!(frames.map(|part| part.frames).sum::<u32>() >= 125);
}

#[test]
fn pictures_that_are_announced_and_never_come_are_not_waited_for() {
    // Of this encoder, and of one before it.
    let first = configured(stream(0, 200, 2000));
    for before in [vec![], [first, vec![Input::Restart]].concat()] {
        let mut inputs = before;
        if inputs.is_empty() {
            inputs.push(video_config(0));
        }
        inputs.push(audio_config(0));
        inputs.extend(alone(AUDIO, 0, 10_000));
        let listed = sounds_from(&inputs, 0);
        assert!(listed >= 6 * 1000 * 3 / 64, "{listed}");
    }
}

#[test]
fn what_cannot_be_packaged_is_left_out_and_told_once() {
    let mut inputs = configured(stream(0, 4000, 2000));
    inputs[1] = Input::Configure(AUDIO, PLAIN_AAC, vec![0]);
    let events = events(Settings::default(), &inputs);
    let told = events
        .iter()
        .filter(|event| **event == Event::Unsupported { track: AUDIO });
    assert_eq!(told.count(), 1);
    assert_eq!(lengths(&segments(&inputs, VIDEO)), [2000; 2]);
    // No header, no key frame: nothing, and little memory.
    let inputs: Vec<Input> = [video_config(0)]
        .into_iter()
        .chain((0..5000).map(|number| frame(VIDEO, number * 40, 0, false)))
        .collect();
    run(Settings::default(), &inputs, |packager, events| {
        assert!(packager.held_bytes() < 1000);
        assert!(events.iter().all(|event| *event == Event::End));
    });
}

#[test]
fn a_part_has_an_end_whatever_the_clock_says() {
    let settings = Settings {
        part_bytes: 1000,
        ..Settings::default()
    };
    // A second of pictures, then a clock that stands still.
    let mut inputs = configured(stream(0, 2000, 1000));
    inputs.extend((0..5000).map(|_| frame(VIDEO, 2000, 0, false)));
    inputs.extend((0..5000).map(|_| frame(AUDIO, 2000, 0, true)));
    inputs.extend(stream(2000, 4000, 1000));
    let mut parts = Vec::new();
    run(settings, &inputs, |packager, events| {
        assert!(packager.held_bytes() < 10_000, "{}", packager.held_bytes());
        parts.extend(events.into_iter().filter_map(|event| match event {
            Event::Part { part, .. } => Some(part),
            _ => None,
        }));
    });
    let data = |part: &Part| part.bytes.len() - at_or_empty(part);
    assert!(parts.iter().all(|part| data(part) <= 1000));
    // It goes on at a key frame.
    assert!(parts.len() > 40, "{}", parts.len());
}

/// Bytes in front of the samples.
fn at_or_empty(part: &Part) -> usize {
    match part.is_gap {
        true => 0,
        false => 16 + at(&part.bytes, "moof").len(),
    }
}

#[test]
fn the_window_forgets_what_is_old_and_counts_what_it_keeps() {
    let settings = Settings {
        window: Duration::from_secs(14),
        ..Settings::default()
    };
    let mut window = Window::new(settings.clone());
    let mut inputs = configured(stream(0, 30_000, 2000));
    inputs.push(video_config(1));
    inputs.extend(stream(30_000, 30_000, 2000));
    let first = |window: &Window, track| {
        let listed = window.rendition(track)?.segments.front()?;
        Some(listed.beginning.msn)
    };
    for event in events(settings, &inputs) {
        window.apply(event);
        // Though seven segments of sound are a little less than 14 s here.
        if let Some(sound) = first(&window, AUDIO) {
            assert_eq!(first(&window, VIDEO), Some(sound));
        }
    }
    let video = window.rendition(VIDEO).unwrap();
    let msns: Vec<u64> = video
        .segments
        .iter()
        .map(|segment| segment.beginning.msn)
        .collect();
    assert_eq!(msns, [24, 25, 26, 27, 28, 29, 30]);
    // Three target durations longer.
    assert!(video.segment(20).is_none());
    assert!(video.segment(21).is_some());
    assert!(video.init(0).is_none() && video.init(1).is_some());
    let audio = window.rendition(AUDIO).unwrap();
    assert!(audio.segment(20).is_none());
    assert!(audio.segment(21).is_some());
    let kept: u64 = [video, audio]
        .iter()
        .flat_map(|track| (1..=30).filter_map(|msn| track.segment(msn)))
        .map(Segment::bytes)
        .sum();
    let inits = video.init(1).unwrap().len() + audio.init(0).unwrap().len();
    assert_eq!(window.held_bytes(), kept + inits as u64);
}
