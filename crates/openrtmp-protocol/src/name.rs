use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::secret::MASK;

/// The identity of a stream: its app and name joined into one path, without
/// leading, trailing or doubled slashes, without query.
///
/// The same URL typed into a publisher and a player gives the same identity, though
/// clients make different things of it:
///
/// - They split it in different places: `app = "live/room", name = "cam"` and
///   `app = "live", name = "room/cam"` are the same stream.
/// - Some put a file type before the name and cut or keep its extension: of
///   `live/cam.mp4` FFmpeg and VLC make `mp4:cam.mp4`, rtmpdump `mp4:cam`, others
///   `cam.mp4`. The prefixes `mp4:`, `flv:`, `f4v:` and `mp3:`, and those extensions at
///   the end of the path, are no part of the identity.
/// - Some decode percent-encoding and some do not: it is decoded here, segment by
///   segment, where the result is text. `%25` and `%3F` stay as they are, as do
///   control characters.
/// - White space and quotes around a segment, which some encoders leave in, go.
///
/// Its last segment may be a key: it has no `Display`, and `Debug` shows the app only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName(Arc<str>);

/// File types that clients write before names (`mp4:`) and behind them (`.mp4`).
const FILE_TYPES: [&str; 4] = ["mp4", "flv", "f4v", "mp3"];

impl StreamName {
    /// Joins an app and a stream name; either may hold slashes, be empty, or
    /// carry a query (everything from `?`), which is left out.
    pub fn join(app: &str, name: &str) -> StreamName {
        let mut path = String::with_capacity(app.len() + 1 + name.len());
        // Where the last segment begins.
        let mut last = 0;
        for part in [app, name] {
            let part = part.split_once('?').map_or(part, |(path, _)| path);
            for raw in part.split('/') {
                let decoded = decoded(raw);
                for segment in decoded.split('/').map(plain) {
                    if segment.is_empty() {
                        continue;
                    }
                    if !path.is_empty() {
                        path.push('/');
                    }
                    last = path.len();
                    path.push_str(segment);
                }
            }
        }
        path.truncate(last + without_extension(&path[last..]).len());
        StreamName(path.into())
    }

    /// The whole path, for example `live/room/cam`. Its last segment may be a key.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Everything before the last segment: `live/room`; empty if there is one
    /// segment only.
    pub fn app(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(app, _)| app)
    }

    /// The last segment: `cam`.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }
}

/// The last segment may be a key.
impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.app() {
            "" => f.write_str(MASK),
            app => write!(f, "{app:?}/{MASK}"),
        }
    }
}

/// Without white space and quotes around it.
pub(crate) fn unquoted(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'')
}

/// A segment without what is around it: quotes, white space, file types in front.
fn plain(segment: &str) -> &str {
    let mut segment = unquoted(segment);
    while let Some((kind, rest)) = segment.split_once(':')
        && is_file_type(kind)
    {
        segment = unquoted(rest);
    }
    segment
}

/// The last segment without file types behind it, unless nothing else is in it.
fn without_extension(mut segment: &str) -> &str {
    while let Some((rest, kind)) = segment.rsplit_once('.')
        && is_file_type(kind)
        && !rest.is_empty()
    {
        segment = unquoted(rest);
    }
    segment
}

fn is_file_type(text: &str) -> bool {
    FILE_TYPES
        .iter()
        .any(|kind| text.eq_ignore_ascii_case(kind))
}

/// A segment with its percent-encoding decoded, or as it is if that gives no text.
/// Decoding again changes nothing: `%25` stays, and so do `%3F`, which would begin a
/// query, and what stands for a control character.
fn decoded(segment: &str) -> Cow<'_, str> {
    if !segment.contains('%') {
        return Cow::Borrowed(segment);
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, after @ ..] = rest {
        let byte = match (first, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(h, l)| h << 4 | l),
            _ => None,
        };
        match byte {
            Some(byte) if !byte.is_ascii_control() && byte != b'%' && byte != b'?' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    // Those that stand there as they are may be trimmed away, and decide nothing.
    let controls = |text: &str| text.chars().filter(|c| c.is_control()).count();
    match String::from_utf8(bytes) {
        Ok(text) if controls(&text) <= controls(segment) => Cow::Owned(text),
        _ => Cow::Borrowed(segment),
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(app: &str, name: &str) -> String {
        StreamName::join(app, name).reveal().to_owned()
    }

    /// One that is trimmed away decides nothing about the escapes beside it.
    #[test]
    fn a_control_character_keeps_no_escape_from_being_undone() {
        assert_eq!(joined("live", "\tcam%40home"), "live/cam@home");
        assert_eq!(joined("live", "mp4:\tcam%40home"), "live/cam@home");
        assert_eq!(joined("live", "cam\u{7}%40home"), "live/cam\u{7}@home");
        assert_eq!(joined("live", "cam%07%40home"), "live/cam%07@home");
        assert_eq!(joined("live", "cam%C2%80%40"), "live/cam%C2%80%40");
    }

    #[test]
    fn a_stream_is_the_same_wherever_a_client_splits_its_path() {
        let expected = StreamName::join("live/room", "cam");
        assert_eq!(expected.reveal(), "live/room/cam");
        for (app, name) in [
            ("live", "room/cam"),
            ("", "live/room/cam"),
            ("live/room/cam", ""),
            ("/live/room/", "/cam/"),
            ("live//room", "//cam"),
            (" live/room ", "\"cam\""),
            ("'live/room'", "cam\n"),
        ] {
            assert_eq!(StreamName::join(app, name), expected, "{app:?} + {name:?}");
        }
    }

    #[test]
    fn queries_are_no_part_of_a_stream_name() {
        assert_eq!(joined("live?token=a/b", "cam?key=c"), "live/cam");
        assert_eq!(joined("live/?token=a", "cam?"), "live/cam");
        assert_eq!(joined("\"live?a\"", "?b"), "live");
        assert_eq!(joined("?a", "?b"), "");
    }

    #[test]
    fn a_stream_name_has_an_app_and_a_last_segment() {
        let parts = |path: &str| {
            let name = StreamName::join("", path);
            (name.app().to_owned(), name.name().to_owned())
        };
        assert_eq!(parts("live/room/cam"), ("live/room".into(), "cam".into()));
        assert_eq!(parts("cam"), (String::new(), "cam".into()));
        assert_eq!(parts(""), (String::new(), String::new()));
    }

    #[test]
    fn characters_inside_a_name_stay_as_they_are() {
        assert_eq!(joined("Live", "my cam's % é"), "Live/my cam's % é");
        assert_eq!(format!("{:?}", StreamName::join("a", "b")), "\"a\"/***");
    }

    #[test]
    fn file_types_that_clients_put_around_names_are_no_part_of_them() {
        let cam = StreamName::join("live", "cam");
        for name in [
            "cam.mp4",
            "mp4:cam.mp4",
            "mp4:cam",
            "cam.flv",
            "flv:cam",
            "mp3:cam",
            "MP4:cam",
            "f4v:cam.f4v",
            "flv:mp4:cam.flv",
            "\"mp4: cam\"",
            "cam .flv",
            "cam.mp4?token=a.b",
        ] {
            assert_eq!(StreamName::join("live", name), cam, "{name}");
        }
        // Wherever the client splits it.
        let room = StreamName::join("live/room", "cam");
        assert_eq!(StreamName::join("live", "mp4:room/cam.mp4"), room);
        assert_eq!(StreamName::join("live/room", "mp4:cam.mp4"), room);
        assert_eq!(joined("live/cam.mp4", ""), "live/cam");
        // Only those, and only there.
        assert_eq!(joined("live", "cam.mov"), "live/cam.mov");
        assert_eq!(joined("a.mp4", "cam:1"), "a.mp4/cam:1");
        assert_eq!(joined("live", ".flv"), "live/.flv");
        assert_eq!(joined("live", "mp4:"), "live");
    }

    #[test]
    fn escapes_are_decoded_where_they_give_text() {
        for (name, expected) in [
            ("my%20cam", "live/my cam"),
            ("x%2Fcam", "live/x/cam"),
            ("%D0%9A%D0%B0%D0%BC", "live/Кам"),
            ("mp4%3Acam%2emp4", "live/cam"),
            ("%20cam%22", "live/cam"),
            // No text, a query, an escape of an escape, no escape.
            ("%FFcam", "live/%FFcam"),
            ("a%0Ab%C2%85", "live/a%0Ab%C2%85"),
            ("a%3Fb", "live/a%3Fb"),
            ("a%2541", "live/a%2541"),
            ("100%", "live/100%"),
            ("%4", "live/%4"),
        ] {
            assert_eq!(joined("live", name), expected, "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn joining_is_idempotent_and_leaves_no_empty_segment(app in ".{0,20}", name in "([a/?\"' .%:]|%2[0F5e]|%3[Af]|%c3|%A9|mp4:|\\.flv){0,12}") {
            let once = StreamName::join(&app, &name);
            prop_assert!(!once.reveal().contains("//") && !once.reveal().contains('?'));
            prop_assert!(!once.reveal().starts_with('/') && !once.reveal().ends_with('/'));
            prop_assert_eq!(StreamName::join(once.app(), once.name()), once.clone());
            prop_assert_eq!(StreamName::join("", once.reveal()), once);
        }

        #[test]
        fn it_does_not_matter_where_a_path_is_split(
            segments in prop::collection::vec("([a\"' .%:]|%2[05Fe]|%3A|%c3|mp4:|\\.flv){0,6}", 0..4),
            at in 0usize..5,
        ) {
            let whole = StreamName::join("", &segments.join("/"));
            let (app, name) = segments.split_at(at.min(segments.len()));
            prop_assert_eq!(StreamName::join(&app.join("/"), &name.join("/")), whole);
        }
    }
}
