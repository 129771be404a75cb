//! Targets, by what the frames are like.

use std::time::Duration;

/// Steps in which a part target is looked for, in microseconds.
const STEP: u64 = 5000;
/// A part target is looked for up to here.
const LONGEST_PART: u64 = 2_000_000;
/// Parts are at least so many hundredths of the part target.
pub(crate) const LEAST_FILL: u64 = 85;
/// Hold-backs are told in steps of 10 ms.
const HOLD_BACK_STEP: u64 = 10_000;

/// The part target: the smallest from `least` on that whole frames of each of these
/// lengths, in microseconds, fill to 85 % without exceeding it. If there is none, one that
/// the longest frame fits.
pub(super) fn part_target(least: Duration, frames: &[u64]) -> Duration {
    let least = least.as_micros() as u64;
    let fits = |target: u64, frame: u64| {
        let filled = target / frame.max(1) * frame;
        filled > 0 && filled * 100 >= target * LEAST_FILL
    };
    let found = (least..=LONGEST_PART.max(least))
        .step_by(STEP as usize)
        .find(|&target| frames.iter().all(|&frame| fits(target, frame)));
    let longest = frames.iter().copied().max().unwrap_or(0);
    let for_longest = longest.div_ceil(STEP) * STEP;
    Duration::from_micros(found.unwrap_or(for_longest.clamp(least, LONGEST_PART.max(least))))
}

/// Where parts of sound end, in ticks: behind so many whole frames of this length, within what
/// parts may be, that the last part of a segment of this length, or of one of a frame more or
/// less, is the longest. A short one comes so soon behind the one before it that players
/// (hls.js 1.7) are still busy with that when it is listed, and never fetch it.
pub(super) fn sound_part(target: u64, frame: u64, segment: u64) -> u64 {
    let frame = frame.max(1);
    let most = (target / frame).max(1);
    let least = (target * LEAST_FILL).div_ceil(100 * frame).min(most);
    let frames = segment.div_ceil(frame).max(2);
    let last = |count: &u64| (frames - 2..=frames).map(|is| is % count + 1).min();
    (least..=most).max_by_key(last).unwrap_or(most) * frame
}

/// The hold-back: three part targets at least (HLS Authoring Specification, 14.3).
pub(super) fn part_hold_back(least: Duration, part: Duration) -> Duration {
    let three = (part.as_micros() as u64 * 3).div_ceil(HOLD_BACK_STEP) * HOLD_BACK_STEP;
    least.max(Duration::from_micros(three))
}

/// The target duration in seconds, by the first segment's length. A tenth of a second above
/// a whole second is no reason for the next: lengths are rounded to the nearest, and frame
/// rates below a whole number make a GOP a little longer.
pub(super) fn target_duration(segment: Duration, first: Duration) -> u32 {
    const SLACK: Duration = Duration::from_millis(100);
    let longest = segment.max(first.saturating_sub(SLACK));
    let seconds = longest.as_micros().div_ceil(1_000_000);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_rates_fit_into_the_default_and_a_lan_is_served_as_near_as_they_let() {
        // Pictures at these per thousand seconds; AAC at 48 and 44.1 kHz, Opus.
        let rates = [
            60_000, 50_000, 30_000, 29_970, 25_000, 24_000, 23_976, 20_000, 12_500,
        ];
        let ms = Duration::from_millis;
        for rate in rates {
            let frame = 1_000_000_000 / rate;
            for audio in [21_333, 23_220, 20_000] {
                assert_eq!(
                    part_target(ms(334), &[frame, audio]),
                    ms(334),
                    "{rate} {audio}"
                );
            }
        }
        assert_eq!(part_target(ms(200), &[33_333, 21_333]), ms(200));
        // Six frames of 41.7 ms are 250 ms; four are 167, 83 % of 200, and 86 of 195.
        assert_eq!(part_target(ms(200), &[41_667]), ms(210));
        assert_eq!(part_target(ms(334), &[200_000]), ms(404));
        assert_eq!(part_target(ms(334), &[5_000_000]), ms(2000));
        assert_eq!(part_target(ms(334), &[]), ms(334));
    }

    #[test]
    fn the_last_part_of_a_segment_of_sound_is_no_crumb() {
        // AAC at 48 and 44.1 kHz, and Opus.
        for (frame, scale) in [(1024, 48_000), (1024, 44_100), (960, 48_000)] {
            let target = 334 * scale / 1000;
            // As encoders are set up; with others there is not always a choice.
            for seconds in [1, 2, 3, 4, 5, 6, 8, 10, 12] {
                let part = sound_part(target, frame, seconds * scale);
                assert!(part <= target && part * 100 >= target * LEAST_FILL);
                // What is cut where pictures are has a frame more or less.
                let frames = (seconds * scale).div_ceil(frame);
                for frames in frames - 1..=frames + 1 {
                    let last = (frames - 1) * frame % part + frame;
                    assert!(last * 5 >= part, "{frame} {scale} {seconds}: {last}");
                }
            }
        }
        // Of a LAN, with what there is to choose from.
        assert_eq!(sound_part(9600, 1024, 96_000), 8 * 1024);
        assert_eq!(sound_part(9600, 1024, 144_000), 9 * 1024);
        // Frames that no part is full of.
        assert_eq!(sound_part(100, 300, 1000), 300);
        assert_eq!(sound_part(100, 0, 0), 100);
    }

    #[test]
    fn hold_back_is_three_parts_and_the_target_duration_a_gop() {
        let ms = Duration::from_millis;
        assert_eq!(part_hold_back(ms(1010), ms(334)), ms(1010));
        assert_eq!(part_hold_back(ms(600), ms(215)), ms(650));
        for (first, target) in [
            (1000, 2),
            (2000, 2),
            (2002, 2),
            (2400, 3),
            (3000, 3),
            (8333, 9),
        ] {
            assert_eq!(target_duration(ms(2000), ms(first)), target, "{first}");
        }
    }
}
