use super::*;
use MediaKind::{Audio, Video};

fn at(ms: u64) -> Time {
    Time::from_micros(ms * 1000)
}

/// A stream whose publisher sends in real time, unless it is told otherwise.
struct Encoder {
    clock: StreamClock,
    odd: Vec<Oddity>,
    /// Of video and audio.
    out: [Vec<u32>; 2],
}

impl Encoder {
    fn new() -> Encoder {
        Encoder {
            clock: StreamClock::new(),
            odd: Vec::new(),
            out: [Vec::new(), Vec::new()],
        }
    }

    fn send(&mut self, kind: MediaKind, timestamp: i64, now: u64) -> u32 {
        let (out, odd) = self.clock.stamp(kind, 0, timestamp as u32, false, at(now));
        self.odd.extend(odd.map(|odd| odd.what));
        let place = usize::from(kind == Audio);
        // One that is late by the others is no fault; one track never goes back.
        if let Some(last) = self.out[place].last() {
            assert!((out.wrapping_sub(*last) as i32) >= 0, "{last} then {out}");
        }
        self.out[place].push(out);
        out
    }

    /// So many milliseconds of pictures at 25 a second and audio every 23 ms, each at
    /// the time that `change` makes of it, in real time.
    fn play(&mut self, span: std::ops::Range<u64>, change: impl Fn(MediaKind, i64) -> i64) {
        for now in span {
            for (kind, every) in [(Video, 40), (Audio, 23)] {
                if now.is_multiple_of(every) {
                    self.send(kind, change(kind, now as i64), now);
                }
            }
        }
    }

    fn length(&self, kind: MediaKind) -> u32 {
        let out = &self.out[usize::from(kind == Audio)];
        out.last().unwrap().wrapping_sub(out[0])
    }

    /// Both tracks took as long as they were sent, and no two frames left at one time.
    fn assert_took(&self, expected: u32, tolerance: u32) {
        for kind in [Video, Audio] {
            let length = self.length(kind);
            assert!(
                length.abs_diff(expected) <= tolerance,
                "{kind:?} took {length}, not {expected}: {:?}",
                self.odd
            );
            let out = &self.out[usize::from(kind == Audio)];
            assert!(out.windows(2).all(|w| w[0] != w[1]), "{out:?}");
        }
    }
}

#[test]
fn ordinary_timestamps_pass_unchanged() {
    let mut encoder = Encoder::new();
    encoder.play(0..5000, |_, t| t);
    assert_eq!(encoder.odd, []);
    let expected: Vec<u32> = (0..5000).step_by(40).collect();
    assert_eq!(encoder.out[0], expected);
}

#[test]
fn times_pass_unchanged_however_fast_they_come() {
    let mut encoder = Encoder::new();
    for n in 0..1000 {
        assert_eq!(encoder.send(Video, n * 40, 0), n as u32 * 40);
        assert_eq!(encoder.send(Audio, n * 40 + 5, 0), n as u32 * 40 + 5);
    }
    assert_eq!(encoder.odd, []);
}

#[test]
fn the_distance_between_tracks_is_kept_up_to_ten_seconds() {
    for distance in [-9_900, -3_200, -400, 3_200, 9_900] {
        let mut encoder = Encoder::new();
        let start = 20_000;
        let ahead = |kind, t| if kind == Audio { t + distance } else { t };
        encoder.play(0..10_000, |kind, t| start + ahead(kind, t));
        encoder.assert_took(9_970, 40);
        assert_eq!(encoder.odd, []);
        let apart = i64::from(encoder.out[1][0]) - i64::from(encoder.out[0][0]);
        assert_eq!(apart, distance);
    }
}

#[test]
fn an_absurd_distance_is_taken_out_once_and_told() {
    for distance in [-40_000_000, -10_100, 10_100, 60_000, 14_400_000] {
        let mut encoder = Encoder::new();
        let ahead = |kind, t| if kind == Audio { t + distance } else { t };
        encoder.play(0..10_000, |kind, t| 50_000_000 + ahead(kind, t));
        encoder.assert_took(9_970, 40);
        assert_eq!(encoder.odd, [Oddity::Apart(distance)]);
        assert_eq!(encoder.out[0][0], encoder.out[1][0]);
    }
}

#[test]
fn a_negative_start_becomes_zero_for_all_kinds() {
    let mut encoder = Encoder::new();
    assert_eq!(encoder.send(Video, -265, 0), 0);
    assert_eq!(encoder.send(Audio, -255, 0), 10);
    assert_eq!(encoder.send(Video, 35, 300), 300);
    assert_eq!(encoder.odd, []);
}

#[test]
fn what_would_be_before_zero_moves_the_others_on() {
    let mut encoder = Encoder::new();
    assert_eq!(encoder.send(Video, 10, 0), 10);
    assert_eq!(encoder.send(Audio, -13, 0), 0);
    assert_eq!(encoder.send(Audio, 10, 23), 23);
    assert_eq!(encoder.send(Video, 50, 40), 63);
}

#[test]
fn a_stream_may_begin_at_zero() {
    let mut clock = StreamClock::new();
    let hours = 18_000_000;
    assert_eq!(clock.stamp(Video, 0, hours, true, at(0)).0, 0);
    assert_eq!(clock.stamp(Audio, 0, hours - 400, true, at(0)).0, 0);
    assert_eq!(clock.stamp(Video, 0, hours + 40, true, at(40)).0, 440);
    assert_eq!(clock.stamp(Audio, 0, hours - 377, true, at(23)).0, 23);
}

#[test]
fn the_32_bit_wrap_is_a_step_like_any_other() {
    for start in [0x7FFF_FF00_u32, 0xFFFF_FF00] {
        let mut clock = StreamClock::new();
        let mut last = None;
        for n in 0..100 {
            let time = start.wrapping_add(n * 40);
            let (out, odd) = clock.stamp(Video, 0, time, false, at(u64::from(n) * 40));
            assert_eq!(odd, None);
            let step = last.replace(out).map_or(40, |last| out.wrapping_sub(last));
            assert_eq!(step, 40);
        }
    }
}

#[test]
fn one_message_off_gets_the_time_that_was_its_turn() {
    for off in [3_600_000, 1 << 31, -3_600_000, 2_147_480_630, 7_000, -2_000] {
        for kind in [Video, Audio] {
            let mut encoder = Encoder::new();
            let at = if kind == Video { 3000 } else { 2990 };
            encoder.play(0..6000, |k, t| {
                100_000 + t + if (k, t) == (kind, at) { off } else { 0 }
            });
            encoder.assert_took(5_960, 40);
            let [Oddity::Stray(told)] = encoder.odd[..] else {
                panic!("{off}: {:?}", encoder.odd);
            };
            assert!((told as u32).abs_diff(off as u32) <= 23, "{told} not {off}");
            let times = &encoder.out[usize::from(kind == Audio)];
            let steps = times.windows(2).map(|w| w[1] - w[0]);
            assert!(steps.max() <= Some(40), "{times:?}");
        }
    }
}

#[test]
fn the_last_message_off_gets_the_time_that_was_its_turn() {
    let mut encoder = Encoder::new();
    encoder.play(0..6000, |k, t| {
        if (k, t) == (Video, 5960) {
            2_147_483_630
        } else {
            t
        }
    });
    encoder.assert_took(5_960, 40);
}

#[test]
fn a_clock_that_is_set_goes_on_for_both_tracks_with_their_distance() {
    let hour = 3_600_000;
    for by in [
        hour,
        -hour,
        2_500,
        -2_500,
        1_700_000_000_000,
        -1_000,
        -700,
        12_345,
    ] {
        for distance in [0, 3_200, -3_200] {
            let mut encoder = Encoder::new();
            encoder.play(0..6000, |kind, t| {
                let set = if t >= 3000 { by } else { 0 };
                2 * hour + t + set + if kind == Audio { distance } else { 0 }
            });
            encoder.assert_took(5_960, 60);
            let rebases = encoder
                .odd
                .iter()
                .filter(|o| matches!(o, Oddity::Rebased(_)));
            assert_eq!(rebases.count(), 1, "{by}: {:?}", encoder.odd);
            let apart = |place: fn(&[u32]) -> Option<&u32>| {
                i64::from(*place(&encoder.out[1]).unwrap())
                    - i64::from(*place(&encoder.out[0]).unwrap())
            };
            let (before, after) = (apart(<[u32]>::first), apart(<[u32]>::last));
            // The last of both are not at one moment.
            assert!((after - before).abs() <= 40, "{by}: {before} then {after}");
        }
    }
}

#[test]
fn a_step_back_of_less_leaves_no_two_frames_at_one_time() {
    for by in [-41, -100, -200, -499] {
        let mut encoder = Encoder::new();
        encoder.play(0..6000, |_, t| 100_000 + t + if t >= 3000 { by } else { 0 });
        encoder.assert_took(5_960, 500);
    }
}

#[test]
fn a_clock_of_one_track_that_is_set_is_set_for_that_track() {
    let mut encoder = Encoder::new();
    encoder.play(0..6000, |kind, t| {
        t + if kind == Audio && t >= 3000 {
            3_600_000
        } else {
            0
        }
    });
    encoder.assert_took(5_960, 40);
    let [Oddity::Rebased(by)] = encoder.odd[..] else {
        panic!("{:?}", encoder.odd);
    };
    assert_eq!(by, 3_600_000);
}

#[test]
fn a_clock_may_be_set_again_and_again() {
    let mut encoder = Encoder::new();
    encoder.play(0..20_000, |_, t| t + 10_000_000 - (t / 2000) * 5_000);
    encoder.assert_took(19_960, 100);
    assert_eq!(encoder.odd.len(), 9);
}

#[test]
fn two_clocks_on_one_track_do_not_run_away() {
    for distance in [500, 1_500, 5_000, 3_600_000] {
        for run in [1, 2, 7] {
            let mut encoder = Encoder::new();
            for n in 0..500 {
                let other = if n / run % 2 == 1 { distance } else { 0 };
                encoder.send(Video, 100_000 + n * 20 + other, n as u64 * 20);
            }
            let length = encoder.length(Video);
            let expected = 499 * 20;
            assert!(
                length.abs_diff(expected) < 3_000,
                "{distance}, {run}: {length}"
            );
        }
    }
}

#[test]
fn times_at_random_do_not_run_away() {
    let mut encoder = Encoder::new();
    let mut noise = 1_u32;
    for n in 0..500 {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        encoder.send(Video, noise.into(), n * 40);
    }
    assert!(
        encoder.length(Video) < 500 * 60,
        "{}",
        encoder.length(Video)
    );
}

#[test]
fn pictures_that_carry_the_time_they_are_shown_at_keep_their_pace() {
    let mut encoder = Encoder::new();
    for group in 0..100 {
        for (n, shown) in [4, 2, 1, 3].into_iter().enumerate() {
            let now = (group * 4 + n as i64) * 40;
            encoder.send(Video, (group * 4 + shown) * 40, now as u64);
        }
    }
    assert_eq!(encoder.odd, []);
    assert!(encoder.length(Video).abs_diff(399 * 40) <= 160);
    assert!(encoder.out[0].windows(2).all(|w| w[0] < w[1]));
}

#[test]
fn a_gap_that_took_its_time_is_told_and_kept() {
    let mut encoder = Encoder::new();
    encoder.play(0..2000, |_, t| t);
    encoder.play(7000..9000, |_, t| t);
    encoder.assert_took(8_960, 40);
    let told = |odd: &Oddity| matches!(odd, Oddity::Gap(5000..5100));
    assert!(
        encoder.odd.len() == 2 && encoder.odd.iter().all(told),
        "{:?}",
        encoder.odd
    );
}

#[test]
fn a_gap_may_be_caught_up_with_in_a_burst() {
    let mut encoder = Encoder::new();
    encoder.play(0..2000, |_, t| t);
    // The network stood for eight seconds: what was sent before comes at once, then
    // what is sent now.
    for t in (2000..3000).step_by(40) {
        encoder.send(Video, t, 10_000);
    }
    assert_eq!(encoder.send(Video, 10_000, 10_000), 10_000);
    assert_eq!(encoder.odd, [Oddity::Gap(7_040)]);
}

#[test]
fn a_track_that_was_silent_comes_back_where_the_others_are() {
    let mut encoder = Encoder::new();
    encoder.send(Video, 0, 0);
    encoder.send(Video, 40, 0);
    for t in (0..35_000).step_by(23) {
        encoder.send(Audio, t, 0);
    }
    assert_eq!(encoder.send(Video, 35_000, 0), 35_000);
    assert_eq!(encoder.odd, [Oddity::Gap(34_960)]);
}

#[test]
fn a_track_that_was_behind_comes_to_where_the_others_are() {
    let mut encoder = Encoder::new();
    // As a server has it where another publisher follows one whose audio was ahead.
    let audio_ahead = |kind, t| t + if kind == Audio { 3_200 } else { 0 };
    encoder.play(0..4_000, audio_ahead);
    encoder.play(4_000..8_000, |_, t| t + 3_200);
    let [video, audio] = &encoder.out;
    assert_eq!(*video.last().unwrap(), 7_960 + 3_200);
    assert_eq!(*audio.last().unwrap(), 7_981 + 3_200);
    assert_eq!(encoder.odd, [Oddity::Gap(3_240)]);
}

#[test]
fn a_slow_track_may_come_faster_than_it_is_shown() {
    let mut encoder = Encoder::new();
    let times: Vec<u32> = (0..20).map(|n| encoder.send(Video, n * 5_000, 0)).collect();
    assert_eq!(times[2..], (2..20).map(|n| n * 5_000).collect::<Vec<u32>>());
}

#[test]
fn a_republish_continues_with_the_time_that_passed() {
    let mut encoder = Encoder::new();
    encoder.send(Video, 5_000, 1_000);
    encoder.clock.restart();
    assert!(!encoder.clock.is_running());
    assert_eq!(encoder.send(Video, 77, 3_000), 7_000);
    assert_eq!(encoder.send(Audio, 87, 3_010), 7_010);
    assert_eq!(encoder.odd, []);
}

#[test]
fn a_takeover_never_goes_back_and_keeps_the_distance() {
    let mut encoder = Encoder::new();
    encoder.play(0..2000, |_, t| t);
    encoder.clock.restart();
    // Its audio is three seconds behind its video.
    let video = encoder.send(Video, 50_000, 2_000);
    let audio = encoder.send(Audio, 47_000, 2_000);
    assert!(audio > encoder.out[1][encoder.out[1].len() - 2]);
    assert_eq!(encoder.send(Video, 50_040, 2_040), audio + 3_040);
    assert!(video < audio + 3_040);
}

#[test]
fn headers_do_not_move_the_clock() {
    let mut encoder = Encoder::new();
    assert_eq!(encoder.clock.stamp_headers(9_000), 0);
    encoder.send(Video, 60_000, 0);
    encoder.send(Audio, 65_000, 0);
    assert_eq!(encoder.clock.stamp_headers(0), 65_000);
    assert_eq!(encoder.clock.stamp_headers(60_020), 60_020);
    assert_eq!(encoder.clock.stamp_headers(65_020), 65_020);
    assert_eq!(encoder.send(Video, 60_040, 40), 60_040);
    assert_eq!(encoder.odd, []);
}

#[test]
fn messages_at_one_time_stay_so_when_a_clock_is_set() {
    let mut encoder = Encoder::new();
    let times = [0, 0, 40, 40, -5_000, -5_000, -4_960, -4_960];
    let now = [0, 0, 40, 40, 80, 80, 120, 120];
    let out: Vec<u32> = std::iter::zip(times, now)
        .map(|(t, now)| encoder.send(Video, 100_000 + t, now) - 100_000)
        .collect();
    assert_eq!(out, [0, 0, 40, 40, 80, 80, 120, 120]);
    let strays = [0, 0, 40, 40, 3_600_000, 3_600_000, 120, 120];
    let mut encoder = Encoder::new();
    let out: Vec<u32> = std::iter::zip(strays, now)
        .map(|(t, now)| encoder.send(Video, t, now))
        .collect();
    assert_eq!(out, [0, 0, 40, 40, 80, 80, 120, 120]);
    assert!(
        matches!(encoder.odd[..], [Oddity::Stray(_)]),
        "{:?}",
        encoder.odd
    );
}

#[test]
fn frames_that_were_sent_at_one_time_stay_so() {
    let mut encoder = Encoder::new();
    let times = [0, 0, 40, 40, 40, 80].map(|t| encoder.send(Video, t, t as u64));
    assert_eq!(times, [0, 0, 40, 40, 40, 80]);
}

#[test]
fn a_clock_that_is_set_when_another_track_begins_keeps_them_together() {
    let steps = [1_000, 1_028, 1_500, 9_000, 30_000, -20_000];
    // The audio that is there alone is set so many messages before the video begins.
    let cases = steps.into_iter().flat_map(|by| [(by, 0), (by, 1), (by, 2)]);
    for (by, before) in cases {
        let mut encoder = Encoder::new();
        let time = |n: i64| 100_000 + n * 33 + if n < 20 - before { 0 } else { by };
        for n in 0..20 {
            encoder.send(Audio, time(n) + 4, n as u64 * 33);
        }
        let mut shifts = Vec::new();
        for n in 20..40 {
            let now = n as u64 * 33;
            shifts.push(i64::from(encoder.send(Video, time(n), now)) - time(n));
            shifts.push(i64::from(encoder.send(Audio, time(n) + 4, now)) - time(n) - 4);
        }
        let (odd, together) = (&encoder.odd, shifts.windows(2).all(|w| w[0] == w[1]));
        assert!(together, "{by}, {before} before: {shifts:?} {odd:?}");
    }
}
