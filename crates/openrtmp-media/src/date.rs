//! Dates as playlists have them.

/// Milliseconds since 1970 as ISO 8601 has them, in UTC: `2026-11-29T16:45:00.000Z`.
pub fn date(wall: i64) -> String {
    const DAY: i64 = 86_400_000;
    // Years begin in March, so that a leap day is their last: eras of 400 years, from
    // March 1 of year 0 on.
    const ERA_DAYS: i64 = 146_097;
    const TO_1970: i64 = 719_468;
    // Four digits are there for a year.
    const LAST: i64 = 253_402_300_799_999;
    let wall = wall.clamp(0, LAST);
    let days = wall / DAY + TO_1970;
    let (era, day) = (days / ERA_DAYS, days % ERA_DAYS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months of 31, 30, 31, 30 and 31 days, again and again.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + i64::from(month <= 2);
    let ms = wall % DAY;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        ms / 3_600_000,
        ms / 60_000 % 60,
        ms / 1000 % 60,
        ms % 1000
    )
}

/// Milliseconds since 1970 of a date with a time zone, with or without a fraction: what [`date`]
/// makes, and what others do.
#[cfg(any(test, feature = "check"))]
pub fn parse(text: &str) -> Option<i64> {
    let (text, zone) = match text.strip_suffix('Z') {
        Some(text) => (text, 0),
        None => {
            let (text, zone) = text.split_at_checked(text.len().checked_sub("+00:00".len())?)?;
            let is_number = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
            let number = |text: Option<&str>| text.filter(is_number)?.parse::<i64>().ok();
            let minutes = number(zone.get(1..3))? * 60 + number(zone.get(4..6))?;
            match (zone.get(..1)?, zone.get(3..4)?) {
                ("+", ":") => (text, minutes),
                ("-", ":") => (text, -minutes),
                _ => return None,
            }
        }
    };
    let (day, time) = text.split_once('T')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let numbers = |text: &str, mark: char| -> Option<[i64; 3]> {
        let mut parts = text.split(mark).map(|part| {
            let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| part.parse().ok()).flatten()
        });
        let found = [parts.next()??, parts.next()??, parts.next()??];
        parts.next().is_none().then_some(found)
    };
    let ([year, month, day], [hour, minute, second]) = (numbers(day, '-')?, numbers(time, ':')?);
    let is_in_range = (0..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (hour < 24 && minute < 60 && second <= 60);
    if !is_in_range || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Years begin in March, so that a leap day is their last.
    let (year, month) = match month {
        1 | 2 => (year - 1, month + 9),
        later => (year, later - 3),
    };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days = year * 365 + leaps + (153 * month + 2) / 5 + day - 1 - 719_468;
    let digits = fraction.bytes().chain(*b"000").take(3);
    let ms = digits.fold(0, |ms, digit| ms * 10 + i64::from(digit - b'0'));
    Some((((days * 24 + hour) * 60 + minute - zone) * 60 + second) * 1000 + ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // Of `date -u -d @... +%FT%T`.
        for (wall, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (1_795_970_700_000, "2026-11-29T16:45:00.000Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (-1, "1970-01-01T00:00:00.000Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(date(wall), text);
            let read = parse(text).unwrap();
            assert!(
                read == wall || !(0..=253_402_300_799_999).contains(&wall),
                "{text}"
            );
        }
        assert_eq!(parse("2026-11-29T16:45:00Z"), Some(1_795_970_700_000));
        assert_eq!(parse("2026-11-29T16:45:00.5Z"), Some(1_795_970_700_500));
        assert_eq!(parse("2026-11-29T18:15:00+01:30"), Some(1_795_970_700_000));
        assert_eq!(parse("2026-11-29T11:45:00-05:00"), Some(1_795_970_700_000));
        for text in [
            "",
            "2026-11-29T16:45:00+0100",
            "2026-11-29T16:45:00+01-00",
            "2026-11-29T16:45:00*01:00",
            "2026-11-29T16:45:00++1:00",
            "2026-11-29",
            "2026-11-29T16:45:00",
            "2026-13-29T16:45:00Z",
            "-1-1-1T0:0:0Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
