//! Durations and sizes as people write them.

/// `10s`, `500ms`, `1m30s`, `2h`, `1d`: milliseconds.
pub(super) fn milliseconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let (mut total, mut smallest) = (0u64, u64::MAX);
    while !rest.is_empty() {
        let (number, unit, tail) = number_and_unit(rest)?;
        let unit = match unit {
            "d" => 86_400_000,
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1000,
            "ms" => 1,
            _ => return None,
        };
        // From the largest to the smallest, each once.
        if unit >= smallest {
            return None;
        }
        smallest = unit;
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// `1GiB`, `64KiB`, `500kB`, `10MB`, `4096B`: bytes.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let (number, unit, rest) = number_and_unit(text)?;
    let unit = match unit {
        "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit).filter(|_| rest.is_empty())
}

/// A number, the letters behind it, and what follows them.
fn number_and_unit(text: &str) -> Option<(u64, &str, &str)> {
    let (number, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let rest = rest.trim_start_matches(' ');
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic());
    let (unit, rest) = rest.split_at(letters.unwrap_or(rest.len()));
    Some((number.parse().ok()?, unit, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_as_people_write_them() {
        for (text, expected) in [
            ("10s", Some(10_000)),
            ("500ms", Some(500)),
            ("1m30s", Some(90_000)),
            ("2h", Some(7_200_000)),
            ("1 d", Some(86_400_000)),
            ("", None),
            ("10", None),
            ("s", None),
            ("1s1m", None),
            ("1s1s", None),
            ("-1s", None),
            ("1.5s", None),
            ("99999999999999999d", None),
        ] {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
        for (text, expected) in [
            ("1GiB", Some(1 << 30)),
            ("64 KiB", Some(65_536)),
            ("500kB", Some(500_000)),
            ("10MB", Some(10_000_000)),
            ("3B", Some(3)),
            ("", None),
            ("10", None),
            ("1gib", None),
            ("1GiB2", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
