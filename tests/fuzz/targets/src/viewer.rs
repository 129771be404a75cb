//! What viewers say over HTTP beside directives: paths, queries, ranges and tokens.
//!
//! - A path names a stream that no other reading of it could mean, and the stream's path as it
//!   is written in URLs names it again.
//! - What a range asks for is there.
//! - A token opens what it was signed for, and nothing if anything of it is another, or it was
//!   made up.

use openrtmp_live::internals::{Tokens, bytes_of, escaped, plain_query, stream_of};

/// Bytes of a path, at most.
const LONGEST: usize = 2048;
/// What tokens are signed with.
const SECRET: &str = "0123456789abcdef";

/// A path, a query, a range and a token, each on a line.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let mut next = || lines.next().unwrap_or("");
    let (path, query, range, token) = (next(), next(), next(), next());
    let stream = stream_of(path);
    if let Some(stream) = &stream {
        let is_plain = |segment: &str| !matches!(segment, "" | "." | "..");
        assert!(stream.split('/').all(is_plain), "{stream}");
        assert!(!stream.contains(|it: char| it.is_control() || it == '\\'));
        let written = format!("/{}.flv", escaped(stream));
        // Of names that are not too long for a URL.
        assert!(written.len() > LONGEST || stream_of(&written).as_ref() == Some(stream));
    }
    let plain = plain_query(query);
    assert_eq!(plain.split('&').count(), query.split('&').count());
    for length in [0, 1, 100, u64::MAX] {
        if let Some(range) = bytes_of(range, length) {
            assert!(range.start <= range.end && range.end <= length);
            assert!(range.start < range.end || length == 0, "{range:?}");
        }
    }
    let tokens = Tokens::new(SECRET).expect("a secret");
    assert_eq!(tokens.opens(token), None);
    let path = stream.unwrap_or_default();
    let key = data.first_chunk().copied();
    let signed = tokens.sign(&path, u64::MAX / 4, key);
    // One that is too long is believed by nobody.
    assert!(tokens.opens(&signed).is_none_or(|is| is == path));
    assert_eq!(tokens.opens(&signed).is_some(), signed.len() <= 1024);
    assert_eq!(tokens.opens(&tokens.sign(&path, 1, key)), None);
    if let Some(place) = data.last().map(|byte| usize::from(*byte) % signed.len()) {
        let mut changed = signed.into_bytes();
        changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).expect("letters");
        assert_eq!(tokens.opens(&changed), None);
    }
}
