//! Times of audio counted in samples.
//!
//! RTMP's times are whole milliseconds. Audio whose frames are put where those say has gaps
//! and overlaps of a fraction of a millisecond between all of them, which some players let
//! be heard as a tick. A frame's length in samples is known, so they are laid end to end, as
//! long as the times agree.

/// Where a frame is, as opposed to where its time says, at most: in milliseconds.
const TOLERANCE: i64 = 60;

/// A track's clock.
#[derive(Clone, Copy, Debug)]
pub struct SampleClock {
    rate: u32,
    /// The end of the last frame, in samples.
    end: Option<i64>,
}

impl SampleClock {
    /// A clock of so many samples per second.
    pub fn new(rate: u32) -> SampleClock {
        SampleClock { rate, end: None }
    }

    /// The place of a frame in samples, by its time in microseconds and its length in
    /// samples, if that is known: behind the last frame if the time is within 60 ms of it,
    /// or where the time says.
    pub fn place(&mut self, micros: i64, samples: Option<u32>) -> i64 {
        let rate = i128::from(self.rate);
        let told = (i128::from(micros) * rate + 500_000).div_euclid(1_000_000);
        let told = i64::try_from(told).unwrap_or(i64::MAX);
        let tolerance = i64::from(self.rate) * TOLERANCE / 1000;
        let place = match self.end {
            Some(end) if told.saturating_sub(end).saturating_abs() <= tolerance => end,
            _ => told,
        };
        self.end = samples.map(|samples| place.saturating_add(i64::from(samples)));
        place
    }
}

/// Samples in an Opus packet, at 48 kHz (RFC 6716, 3.1 and 3.2). `None` if it is none.
pub(crate) fn opus_samples(packet: &[u8]) -> Option<u32> {
    /// A packet has 120 ms at most.
    const MOST: u32 = 5760;
    // 2.5, 5, 10, 20, 40 and 60 ms.
    let [a, b, c, d, e, f] = [120, 240, 480, 960, 1920, 2880];
    let (&toc, rest) = packet.split_first()?;
    let frame = match toc >> 3 {
        config @ 0..=11 => [c, d, e, f][usize::from(config & 3)],
        config @ 12..=15 => [c, d][usize::from(config & 1)],
        config => [a, b, c, d][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(rest.first()? & 0x3F),
    };
    Some(frame * frames).filter(|samples| (1..=MOST).contains(samples))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places of AAC frames whose times are these milliseconds.
    fn places(times: &[i64]) -> Vec<i64> {
        let mut clock = SampleClock::new(44_100);
        times
            .iter()
            .map(|time| clock.place(time * 1000, Some(1024)))
            .collect()
    }

    #[test]
    fn frames_are_laid_end_to_end_whatever_their_times_were_rounded_to() {
        // 1024 samples are 23.22 ms.
        assert_eq!(places(&[0, 23, 46, 70, 93]), [0, 1024, 2048, 3072, 4096]);
        assert_eq!(places(&[10, 40, 50, 90]), [441, 1465, 2489, 3513]);
    }

    #[test]
    fn a_gap_or_a_jump_is_one() {
        // 23 ms late is drift yet; 77 is none.
        assert_eq!(places(&[0, 46, 123]), [0, 1024, 5424]);
        assert_eq!(places(&[1000, 0]), [44_100, 0]);
        assert_eq!(places(&[-100, -77]), [-4410, -3386]);
    }

    #[test]
    fn without_a_length_every_frame_is_where_its_time_says() {
        let mut clock = SampleClock::new(48_000);
        assert_eq!(clock.place(1000, None), 48);
        assert_eq!(clock.place(2000, None), 96);
        // 48 samples in a thousand microseconds, to the nearest.
        let most = 442_721_857_769_029_239;
        assert_eq!(clock.place(i64::MAX, Some(u32::MAX)), most);
        assert_eq!(clock.place(i64::MIN, Some(0)), -most);
    }

    #[test]
    fn an_opus_packet_tells_its_length() {
        // RFC 6716, table 2: configurations 31 (CELT, 20 ms), 16 (2.5 ms), 3 (SILK, 60 ms),
        // 13 (hybrid, 20 ms); codes for one, two and any number of frames.
        for (packet, samples) in [
            (&[31 << 3][..], Some(960)),
            (&[31 << 3 | 1], Some(1920)),
            (&[16 << 3], Some(120)),
            (&[3 << 3], Some(2880)),
            (&[13 << 3], Some(960)),
            (&[31 << 3 | 3, 0x43], Some(2880)),
            (&[31 << 3 | 3], None),
            (&[3 << 3 | 3, 3], None),
            (&[31 << 3 | 3, 0], None),
            (&[], None),
        ] {
            assert_eq!(opus_samples(packet), samples, "{packet:?}");
        }
    }
}
