//! Queries of URLs: the key in them.

use super::path::percent_decoded;

/// Parameters of which the first is the key of who asks.
const OF_KEYS: [&str; 2] = ["key", "token"];

/// A query with its key as it is: keys are compared as RTMP has them, without escapes, and
/// browsers and proxies escape what they like. All else stays as it came, and so does a key
/// with what would be no part of it any more, or no text.
pub(super) fn with_plain_key(query: &str) -> String {
    let plain = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let is_escaped = OF_KEYS.contains(&name) && value.contains('%');
        let value = is_escaped.then(|| percent_decoded(value))??;
        let is_whole = !value.contains(|it: char| it == '&' || it.is_control());
        is_whole.then(|| format!("{name}={value}"))
    };
    let pairs = query.split('&');
    let pairs = pairs.map(|pair| plain(pair).unwrap_or_else(|| pair.to_owned()));
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_what_it_was_before_it_was_escaped() {
        for (query, expected) in [
            ("key=a%2Bb%3D%40%3A%2C%2F", "key=a+b=@:,/"),
            ("x=%41&token=%41&y=%42", "x=%41&token=A&y=%42"),
            ("key=a+b=@", "key=a+b=@"),
            ("key=%2541", "key=%41"),
            ("key=%C3%A9", "key=é"),
            // What it would no longer be part of, or is no text.
            ("key=a%26token=b", "key=a%26token=b"),
            ("key=a%0Ab", "key=a%0Ab"),
            ("key=%ff", "key=%ff"),
            ("key=100%", "key=100%"),
            ("monkey=%41", "monkey=%41"),
            ("", ""),
        ] {
            assert_eq!(with_plain_key(query), expected, "{query}");
        }
    }
}
