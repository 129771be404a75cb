//! Durations and rates as people write and read them.

use std::time::Duration;

/// Reads `10`, `10s`, `500ms`, `1m30s`, `2h`. A bare number is seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration such as 10, 10s, 1m30s or 500ms");
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(seconds.into()));
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut smallest = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let number: u32 = number.parse().map_err(|_| wrong())?;
        let letters = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit: u64 = match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => return Err(wrong()),
        };
        if unit >= smallest {
            return Err(wrong());
        }
        smallest = unit;
        total += Duration::from_millis(u64::from(number) * unit);
        rest = tail;
    }
    if text.is_empty() {
        Err(wrong())
    } else {
        Ok(total)
    }
}

/// The same, but not zero.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("nothing fits into no time: it must be longer than 0".to_owned()),
        span => Ok(span),
    }
}

/// `1:02:03.4`, without the hours when there are none.
pub(crate) fn clock(duration: Duration) -> String {
    let tenths = duration.as_millis() / 100;
    let (seconds, tenths) = (tenths / 10, tenths % 10);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes}:{seconds:02}.{tenths}"),
        (hours, minutes) => format!("{hours}:{minutes:02}:{seconds:02}.{tenths}"),
    }
}

/// `2.53 Mbit/s`.
pub(crate) fn bit_rate(bits_per_second: f64) -> String {
    if bits_per_second >= 1e6 {
        format!("{:.2} Mbit/s", bits_per_second / 1e6)
    } else {
        format!("{:.0} kbit/s", bits_per_second / 1e3)
    }
}

/// `12.3 MB`.
pub(crate) fn size(bytes: u64) -> String {
    let bytes = bytes as f64;
    if bytes >= 1e9 {
        format!("{:.2} GB", bytes / 1e9)
    } else if bytes >= 1e6 {
        format!("{:.1} MB", bytes / 1e6)
    } else {
        format!("{:.1} kB", bytes / 1e3)
    }
}

/// Bits per second of `bytes` over a time; 0 over no time.
pub(crate) fn bits_per_second(bytes: u64, time: Duration) -> f64 {
    if time.is_zero() {
        0.0
    } else {
        bytes as f64 * 8.0 / time.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let cases = [
            ("10", 10_000),
            ("0", 0),
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("1s500ms", 1_500),
            ("2h", 7_200_000),
            ("1h2m3s4ms", 3_723_004),
        ];
        for (text, millis) in cases {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
    }

    #[test]
    fn nonsense_is_not_a_duration() {
        for text in [
            "",
            "s",
            "-1",
            "1x",
            "10s5",
            "5s1m",
            "1m1m",
            "1.5",
            "99999999999",
            "1 s",
        ] {
            let error = parse_duration(text).unwrap_err();
            assert!(error.contains("is not a duration"), "{text}: {error}");
        }
    }

    #[test]
    fn a_span_is_longer_than_nothing() {
        assert_eq!(parse_span("1ms"), Ok(Duration::from_millis(1)));
        for text in ["0", "0ms", "0h0s"] {
            let error = parse_span(text).unwrap_err();
            assert!(error.contains("longer than 0"), "{text}: {error}");
        }
    }

    #[test]
    fn figures_are_written_for_people() {
        assert_eq!(clock(Duration::from_millis(0)), "0:00.0");
        assert_eq!(clock(Duration::from_millis(83_450)), "1:23.4");
        assert_eq!(clock(Duration::from_millis(3_723_000)), "1:02:03.0");
        assert_eq!(bit_rate(128_400.0), "128 kbit/s");
        assert_eq!(bit_rate(2_531_000.0), "2.53 Mbit/s");
        assert_eq!(size(1_500), "1.5 kB");
        assert_eq!(size(12_345_678), "12.3 MB");
        assert_eq!(bits_per_second(1_000, Duration::from_millis(500)), 16_000.0);
        assert_eq!(bits_per_second(1_000, Duration::ZERO), 0.0);
    }
}
