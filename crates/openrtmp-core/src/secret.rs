//! Texts that may hold a key, as types that cannot print it.
//!
//! Encoders put keys where their users type them: into the name of a stream, its query
//! or the app. [`StreamName`] has one text form, for `Display`, `Debug` and serialization
//! alike, and it masks what is or may be a key; [`Secret`](openrtmp_protocol::Secret),
//! for queries, masks all. Only `reveal` gives the whole text.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{self, AtomicU8};
use std::sync::{Arc, OnceLock};

use hmac::{Hmac, KeyInit, Mac};
use openrtmp_protocol::text;
use serde::{Serialize, Serializer};
use sha2::Sha256;

/// What stands for a key.
const MASK: &str = "***";

/// The path of a stream (`live/cam`), or of an app, any part of which may be a key.
///
/// Its text form ([`shown`](StreamName::shown), `Display`, `Debug`, serialized) is the
/// path, with each part that is or may be a key replaced by three asterisks and a short
/// hash, as in `live/***1f3a`. The hash is the same wherever a server shows that key,
/// as long as it runs, and tells nothing of it. A part is masked if it is, or ever was,
/// a key of this server; the last part also if it came where a key is asked for and
/// none was given beside it, or if the host says so.
///
/// Clones are one name: what is learned of one holds for all.
///
/// It has the name of [`openrtmp_protocol::StreamName`] because it is the same to a host: that
/// one says which spellings are one stream, this one what of them may be seen.
#[derive(Clone)]
pub struct StreamName(Arc<Inner>);

struct Inner {
    path: Box<str>,
    /// The path with known keys masked.
    public: Box<str>,
    /// The same with the last part masked, made when it is first shown.
    masked: OnceLock<Box<str>>,
    masks: Masks,
    secrecy: AtomicU8,
}

/// What is known of the last part of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// It is a name.
    Public,
    /// It came where a key may stand. A publisher who gives a key beside it says that
    /// it is a name.
    Suspected,
    /// It is a key.
    Secret,
}

impl StreamName {
    /// `is_key` tells known keys.
    pub(crate) fn new(
        path: &str,
        secrecy: Secrecy,
        masks: &Masks,
        is_key: impl Fn(&str) -> bool,
    ) -> StreamName {
        let shown = path.split('/').map(|part| match holds_key(part, &is_key) {
            true => Cow::Owned(masks.of(part)),
            false => Cow::Borrowed(part),
        });
        let mut public = String::with_capacity(path.len());
        for (index, part) in shown.enumerate() {
            if index > 0 {
                public.push('/');
            }
            public.push_str(&part);
        }
        StreamName(Arc::new(Inner {
            path: path.into(),
            public: public.into(),
            masked: OnceLock::new(),
            masks: masks.clone(),
            secrecy: AtomicU8::new(secrecy as u8),
        }))
    }

    /// The path without the keys that are known to be some, whatever is suspected of the rest.
    pub(crate) fn without_keys(&self) -> &str {
        &self.0.public
    }

    fn masked(&self) -> &str {
        self.0.masked.get_or_init(|| {
            let (public, part) = (&self.0.public, self.name());
            if part.is_empty() {
                return public.clone();
            }
            let kept = public.rfind('/').map_or(0, |slash| slash + 1);
            format!("{}{}", &public[..kept], self.0.masks.of(part)).into()
        })
    }

    /// The whole path. It may hold a key: not for logs, files or anything else that
    /// stays.
    pub fn reveal(&self) -> &str {
        &self.0.path
    }

    /// Bytes that a name takes, all its texts included.
    pub(crate) fn held_bytes(&self) -> usize {
        size_of::<Inner>() + 3 * self.0.path.len().max(self.0.public.len())
    }

    /// The path as it may be shown, every character of it.
    pub fn shown(&self) -> &str {
        match self.is_secret() {
            true => self.masked(),
            false => &self.0.public,
        }
    }

    /// True if the last part of the path is masked, known keys aside.
    pub fn is_secret(&self) -> bool {
        self.secrecy() != Secrecy::Public
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.path.is_empty()
    }

    /// Everything before the last part of the whole path: `live`.
    pub(crate) fn app(&self) -> &str {
        split(&self.0.path).0
    }

    /// App and last part as they may be shown.
    pub(crate) fn shown_parts(&self) -> (&str, &str) {
        split(self.shown())
    }

    /// The last part of the whole path.
    pub(crate) fn name(&self) -> &str {
        split(&self.0.path).1
    }

    pub(crate) fn secrecy(&self) -> Secrecy {
        match self.0.secrecy.load(atomic::Ordering::Relaxed) {
            0 => Secrecy::Public,
            1 => Secrecy::Suspected,
            _ => Secrecy::Secret,
        }
    }

    /// Whoever comes with this name says so much of it. What is known to be a key
    /// stays one.
    pub(crate) fn learn(&self, secrecy: Secrecy) {
        let new = secrecy as u8;
        self.0.secrecy.fetch_max(new, atomic::Ordering::Relaxed);
    }

    /// A publisher publishes it: the last part is a key, or it is none.
    pub(crate) fn declare(&self, secrecy: Secrecy) {
        if secrecy != Secrecy::Public {
            return self.learn(Secrecy::Secret);
        }
        // Only a suspicion is dispelled.
        let (old, new) = (Secrecy::Suspected as u8, Secrecy::Public as u8);
        let order = atomic::Ordering::Relaxed;
        let _ = self.0.secrecy.compare_exchange(old, new, order, order);
    }

    /// A name without keys.
    #[cfg(test)]
    pub(crate) fn plain(path: &str) -> StreamName {
        StreamName::new(path, Secrecy::Public, &Masks::default(), |_| false)
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Whether a part of a path is a key, or holds one as `cam&key=KEY` does, which comes of
/// a `?` that was forgotten.
fn holds_key(part: &str, is_key: impl Fn(&str) -> bool) -> bool {
    let pieces = part.split('&');
    let values = pieces
        .clone()
        .filter_map(|piece| piece.split_once('='))
        .map(|(_, value)| value);
    std::iter::once(part)
        .chain(pieces)
        .chain(values)
        .any(is_key)
}

/// For people: also without what would forge a line or drive a terminal, and cut to 128
/// characters.
impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&text::shown(self.shown()), f)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.shown())
    }
}

impl Serialize for StreamName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.shown())
    }
}

/// Names are compared whole.
impl PartialEq for StreamName {
    fn eq(&self, other: &StreamName) -> bool {
        self.0.path == other.0.path
    }
}

impl Eq for StreamName {}

impl PartialEq<str> for StreamName {
    fn eq(&self, other: &str) -> bool {
        *self.0.path == *other
    }
}

impl PartialEq<&str> for StreamName {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl PartialOrd for StreamName {
    fn partial_cmp(&self, other: &StreamName) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for StreamName {
    fn cmp(&self, other: &StreamName) -> Ordering {
        self.0.path.cmp(&other.0.path)
    }
}

impl Hash for StreamName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.path.hash(state);
    }
}

/// Makes the short hashes that stand for keys: HMAC-SHA256 (RFC 2104) under a random key
/// of the server, cut to 16 bits. Who sees one can neither compute nor test guesses.
#[derive(Clone, Default)]
pub(crate) struct Masks {
    key: Arc<[u8; 32]>,
}

impl Masks {
    pub(crate) fn new(key: [u8; 32]) -> Masks {
        Masks { key: Arc::new(key) }
    }

    fn of(&self, text: &str) -> String {
        // A key of any length is allowed (RFC 2104 section 3).
        let Ok(mut hash) = Hmac::<Sha256>::new_from_slice(&*self.key) else {
            return MASK.to_owned();
        };
        hash.update(text.as_bytes());
        let hash = hash.finalize().into_bytes();
        format!("{MASK}{:02x}{:02x}", hash[0], hash[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(path: &str, secrecy: Secrecy) -> StreamName {
        let masks = Masks::new([7; 32]);
        StreamName::new(path, secrecy, &masks, |part| part == "s3cret")
    }

    /// What every form of it shows.
    #[track_caller]
    fn shown(name: &StreamName) -> String {
        let text = name.to_string();
        assert_eq!(format!("{name:?}"), format!("\"{text}\""));
        assert_eq!(serde_json::to_string(name).unwrap(), format!("\"{text}\""));
        text
    }

    #[test]
    fn a_name_is_shown_and_a_key_is_not() {
        assert_eq!(shown(&name("live/cam", Secrecy::Public)), "live/cam");
        assert_eq!(shown(&name("", Secrecy::Secret)), "");
        let key = name("live/room/cam", Secrecy::Secret);
        let text = shown(&key);
        let (app, hash) = text.rsplit_once('/').unwrap();
        assert_eq!(app, "live/room");
        assert!(hash.len() == 7 && hash.starts_with("***"), "{hash}");
        assert_eq!(key.reveal(), "live/room/cam");
        assert_eq!((key.app(), key.name()), ("live/room", "cam"));
        assert_eq!(key.shown_parts(), ("live/room", hash));
        // The same wherever it is shown, another for another key or server.
        assert_eq!(shown(&name("cam", Secrecy::Suspected)), hash);
        assert_ne!(shown(&name("cat", Secrecy::Secret)), hash);
        let other = Masks::new([8; 32]);
        let other = StreamName::new("cam", Secrecy::Secret, &other, |_| false);
        assert_ne!(shown(&other), hash);
    }

    #[test]
    fn known_keys_are_masked_wherever_they_stand() {
        for path in [
            "s3cret",
            "s3cret/cam",
            "live/s3cret",
            "a/s3cret/b",
            "cam&key=s3cret",
            "s3cret&a",
        ] {
            let text = shown(&name(path, Secrecy::Public));
            assert!(!text.contains("s3cret"), "{text}");
            assert!(text.contains("***"), "{text}");
        }
        assert_eq!(shown(&name("live/s3cre", Secrecy::Public)), "live/s3cre");
    }

    #[test]
    fn clones_learn_together_and_a_key_stays_a_key() {
        let (a, b) = (name("live/cam", Secrecy::Suspected), "live/cam");
        let clone = a.clone();
        assert!(clone.is_secret());
        a.declare(Secrecy::Public);
        assert_eq!(shown(&clone), b);
        a.learn(Secrecy::Suspected);
        assert!(clone.is_secret());
        clone.declare(Secrecy::Suspected);
        a.declare(Secrecy::Public);
        assert!(a.is_secret(), "a publisher said that it is a key");
        assert_eq!(a, name(b, Secrecy::Public), "compared whole");
        assert!(a == "live/cam");
    }
}
