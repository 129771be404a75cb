use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use subtle::ConstantTimeEq;

use crate::sync::{read, write};

/// Query parameters that carry a key: `cam?key=SECRET`.
const PARAMETERS: [&str; 2] = ["key", "token"];

/// Keys that are remembered as such after they were removed.
const REMEMBERED: usize = 65_536;

/// An allow list of keys. One that never had a key allows everybody; one whose last
/// key was removed allows nobody.
///
/// A request carries one credential: the first `key` or `token` of its query
/// (`cam?key=SECRET`, or that of the app), or, without one, the last segment of the
/// stream's name, as encoders call their "stream key". Keys are compared in constant
/// time and never logged.
#[derive(Debug, Default)]
pub struct KeyRing {
    keys: RwLock<Keys>,
}

#[derive(Default)]
struct Keys {
    /// `None`: there never was one.
    present: Option<Vec<String>>,
    ever: Remembered,
}

/// Hashes of all that was ever a key, up to [`REMEMBERED`]: what was one is not shown
/// afterwards either.
#[derive(Default)]
pub(super) struct Remembered {
    hasher: RandomState,
    hashes: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Remembered {
    pub(super) fn insert(&mut self, key: &str) {
        let hash = self.hasher.hash_one(key);
        if self.hashes.insert(hash) {
            self.order.push_back(hash);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.hashes.remove(&oldest);
        }
    }

    pub(super) fn contains(&self, text: &str) -> bool {
        !self.hashes.is_empty() && self.hashes.contains(&self.hasher.hash_one(text))
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self.present.as_ref().map(|keys| vec!["***"; keys.len()]);
        shown.fmt(f)
    }
}

impl Keys {
    fn add(&mut self, key: String) {
        self.ever.insert(&key);
        self.present.get_or_insert_default().push(key);
    }
}

impl KeyRing {
    /// A ring of these keys.
    pub fn new(keys: impl IntoIterator<Item = String>) -> KeyRing {
        let ring = KeyRing::default();
        for key in keys {
            ring.add(key);
        }
        ring
    }

    /// True if there never was a key: everybody may.
    pub fn is_open(&self) -> bool {
        self.read().present.is_none()
    }

    /// Adds a key, in force at once.
    pub fn add(&self, key: String) {
        self.write().add(key);
    }

    /// Removes a key. True if it was there. Removing the last one does not let
    /// everybody in. What it opened over RTMP goes on until keys are revoked next: see
    /// [`Server::revoke_publish_key`](crate::Server::revoke_publish_key) and
    /// [`Server::revoke_play_key`](crate::Server::revoke_play_key).
    pub fn remove(&self, key: &str) -> bool {
        let mut keys = self.write();
        let Some(present) = &mut keys.present else {
            return false;
        };
        let before = present.len();
        present.retain(|k| k != key);
        present.len() != before
    }

    /// The settings named the keys `before` and name those `after` from now on:
    /// what they no longer name goes, what they name anew comes, and what was added
    /// or removed at run time stays so. A ring that has no key left because the
    /// settings name none any more is open, as after a start with them.
    pub(crate) fn reconfigure(&self, before: &[String], after: &[String]) {
        if before == after {
            return;
        }
        let mut keys = self.write();
        // There may be as many as a document holds.
        let named_before: HashSet<&String> = before.iter().collect();
        let named_now: HashSet<&String> = after.iter().collect();
        let present = keys.present.get_or_insert_default();
        present.retain(|key| !named_before.contains(key) || named_now.contains(key));
        let mut there: HashSet<String> = present.iter().cloned().collect();
        for key in after.iter().filter(|key| !named_before.contains(key)) {
            if there.insert(key.clone()) {
                keys.add(key.clone());
            }
        }
        if after.is_empty() && keys.present.as_ref().is_some_and(Vec::is_empty) {
            keys.present = None;
        }
    }

    /// The keys, in the order they were added. They are secrets.
    pub fn list(&self) -> Vec<String> {
        self.read().present.clone().unwrap_or_default()
    }

    /// Makes a new key of 128 random bits, 32 characters that need no escaping,
    /// without adding it.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn generate() -> std::io::Result<String> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        Ok(format!("{:032x}", u128::from_be_bytes(random)))
    }

    /// True if this is one of the keys, or there never was one.
    pub fn allows(&self, credential: &str) -> bool {
        let keys = self.read();
        let Some(present) = &keys.present else {
            return true;
        };
        // It meets every key, so that time does not tell which it is like.
        present
            .iter()
            .fold(false, |found, key| found | is_equal(credential, key))
    }

    /// True if this is or was one of the keys.
    pub(crate) fn remembers(&self, text: &str) -> bool {
        self.read().ever.contains(text)
    }

    fn read(&self) -> RwLockReadGuard<'_, Keys> {
        read(&self.keys)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Keys> {
        write(&self.keys)
    }
}

/// The key that a query carries.
pub(crate) fn key_in(query: &str) -> Option<&str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| PARAMETERS.contains(name))?;
    Some(value)
}

/// Compared in a time that tells only whether the lengths are equal.
pub(crate) fn is_equal(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_ring_is_open() {
        assert!(KeyRing::default().allows("cam"));
    }

    #[test]
    fn a_query_carries_one_key() {
        assert_eq!(key_in("key=a"), Some("a"));
        assert_eq!(key_in("x=1&token=a&key=b"), Some("a"), "the first");
        assert_eq!(key_in("key=&key=b"), Some(""));
        assert_eq!(key_in("key=a=b"), Some("a=b"));
        for none in ["", "key", "Key=a", "other=a", "a&b"] {
            assert_eq!(key_in(none), None, "{none}");
        }
    }

    #[test]
    fn a_key_is_matched_whole() {
        let ring = KeyRing::new(["s3cret".to_owned(), "other".to_owned()]);
        assert!(ring.allows("s3cret") && ring.allows("other"));
        for wrong in ["", "s3cre", "s3cret1", "S3cret"] {
            assert!(!ring.allows(wrong), "{wrong}");
        }
    }

    #[test]
    fn keys_come_and_go() {
        let ring = KeyRing::new(["a".to_owned()]);
        ring.add("b".to_owned());
        assert!(ring.remove("a"));
        assert!(!ring.remove("a"));
        assert!(ring.allows("b"));
        assert!(!ring.allows("a"));
    }

    #[test]
    fn generated_keys_differ_and_are_allowed_as_settings() {
        let keys = [KeyRing::generate().unwrap(), KeyRing::generate().unwrap()];
        assert_ne!(keys[0], keys[1]);
        assert!(keys.iter().all(|key| key.len() == 32));
        assert_eq!(KeyRing::new(keys.clone()).list(), keys);
        let mut config = crate::Config::desktop();
        config.access.publish_keys = keys.to_vec();
        assert_eq!(config.validate(), Ok(()));
    }

    #[test]
    fn removing_the_last_key_does_not_let_everybody_in() {
        let ring = KeyRing::new(["a".to_owned()]);
        assert!(ring.remove("a"));
        assert!(!ring.is_open());
        assert!(!ring.allows("") && !ring.allows("a"));
    }

    #[test]
    fn settings_change_the_keys_they_named_and_no_others() {
        let keys = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let ring = KeyRing::new(keys(&["a", "b", "c"]));
        ring.add("live".to_owned());
        ring.remove("c");
        ring.reconfigure(&keys(&["a", "b", "c"]), &keys(&["b", "c", "d", "live"]));
        assert_eq!(ring.list(), ["b", "live", "d"], "c stays revoked");
        ring.reconfigure(&keys(&["b", "d"]), &[]);
        assert_eq!(ring.list(), ["live"], "a key of the host is left");
        let ring = KeyRing::new(keys(&["a"]));
        ring.reconfigure(&keys(&["a"]), &[]);
        assert!(ring.is_open());
    }

    #[test]
    fn what_was_a_key_is_remembered() {
        let ring = KeyRing::new(["a".to_owned()]);
        ring.add("b".to_owned());
        ring.remove("a");
        ring.reconfigure(&["b".to_owned()], &["c".to_owned()]);
        assert!(["a", "b", "c"].iter().all(|key| ring.remembers(key)));
        assert!(!ring.remembers("d"));
        // Not for ever: a host that makes a key for each stream fills no memory.
        for n in 0..REMEMBERED {
            ring.add(n.to_string());
            ring.remove(&n.to_string());
        }
        assert!(!ring.remembers("a") && ring.remembers("0"));
    }

    #[test]
    fn keys_are_not_shown() {
        let ring = KeyRing::new(["s3cret".to_owned()]);
        let shown = format!("{ring:?}");
        assert!(
            shown.contains("***") && !shown.contains("s3cret"),
            "{shown}"
        );
    }
}
