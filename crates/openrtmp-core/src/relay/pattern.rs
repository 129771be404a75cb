//! Which streams a rule is about.

use std::fmt;

/// A path of streams (`app/name`) in which each `*` stands for any characters, none and
/// slashes among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(String);

impl Pattern {
    pub(crate) fn new(text: &str) -> Pattern {
        Pattern(text.to_owned())
    }

    /// Whether one stream is all it can be about.
    pub(crate) fn is_one_stream(&self) -> bool {
        !self.0.contains('*')
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes time in proportion to both lengths multiplied, whatever the pattern.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let (pattern, path) = (self.0.as_bytes(), path.as_bytes());
        let (mut p, mut n) = (0, 0);
        // The latest star, and how much of the path it stands for so far.
        let mut star = None;
        while n < path.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    star = Some((p, n));
                    p += 1;
                }
                Some(byte) if *byte == path[n] => {
                    p += 1;
                    n += 1;
                }
                _ => {
                    let Some((at, taken)) = star else {
                        return false;
                    };
                    star = Some((at, taken + 1));
                    p = at + 1;
                    n = taken + 1;
                }
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, path, fits) in [
            ("live/cam", "live/cam", true),
            ("live/cam", "live/cam2", false),
            ("live/*", "live/cam", true),
            ("live/*", "live/room/cam", true),
            ("live/*", "live/", true),
            ("live/*", "vod/cam", false),
            ("*", "", true),
            ("*/cam", "a/b/cam", true),
            ("l*e/c*m", "live/cam", true),
            ("l*e/c*m", "live/cams", false),
            ("a*b*c", "aXbYbZc", true),
            ("", "live", false),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(path),
                fits,
                "{pattern} {path}"
            );
        }
    }

    fn slow(pattern: &[u8], path: &[u8]) -> bool {
        match pattern.split_first() {
            None => path.is_empty(),
            Some((b'*', rest)) => (0..=path.len()).any(|n| slow(rest, &path[n..])),
            Some((byte, rest)) => path.first() == Some(byte) && slow(rest, &path[1..]),
        }
    }

    proptest! {
        #[test]
        fn as_by_trying_everything(pattern in "[ab*/]{0,7}", path in "[ab/]{0,8}") {
            let expected = slow(pattern.as_bytes(), path.as_bytes());
            prop_assert_eq!(Pattern::new(&pattern).matches(&path), expected);
        }
    }
}
