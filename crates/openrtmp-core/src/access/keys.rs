use std::sync::{PoisonError, RwLock};

use openrtmp_protocol::StreamName;
use subtle::ConstantTimeEq;

/// Query parameters that may carry a key: `cam?key=SECRET`.
const PARAMETERS: [&str; 2] = ["key", "token"];

/// An allow list of keys (A1). One that never had a key allows everybody; one
/// whose last key was removed allows nobody.
///
/// A key comes as a query parameter (`cam?key=SECRET`, or `token=`), or is
/// itself the last segment of the stream's name, as encoders call their
/// "stream key". Keys are compared in constant time and never logged.
#[derive(Debug, Default)]
pub struct KeyRing {
    keys: RwLock<Option<Vec<Key>>>,
}

struct Key(String);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
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
        self.keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none()
    }

    /// Adds a key, in force at once.
    pub fn add(&self, key: String) {
        self.keys
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_default()
            .push(Key(key));
    }

    /// Removes a key. True if it was there. Removing the last one does not let
    /// everybody in.
    pub fn remove(&self, key: &str) -> bool {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let Some(keys) = keys.as_mut() else {
            return false;
        };
        let before = keys.len();
        keys.retain(|k| k.0 != key);
        keys.len() != before
    }

    /// The settings named the keys `before` and name those `after` from now on:
    /// what they no longer name goes, what they name anew comes, and what was added
    /// or removed at run time stays so. A ring that has no key left because the
    /// settings name none any more is open, as after a start with them. Tells the
    /// keys that are no longer valid.
    pub(crate) fn reconfigure(&self, before: &[String], after: &[String]) -> Vec<String> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let present = keys.get_or_insert_default();
        let mut gone = Vec::new();
        present.retain(|Key(key)| {
            let goes = before.contains(key) && !after.contains(key);
            if goes {
                gone.push(key.clone());
            }
            !goes
        });
        for key in after.iter().filter(|key| !before.contains(key)) {
            if !present.iter().any(|k| k.0 == *key) {
                present.push(Key(key.clone()));
            }
        }
        if present.is_empty() && after.is_empty() {
            *keys = None;
        }
        gone
    }

    /// The keys, in the order they were added. They are secrets.
    pub fn list(&self) -> Vec<String> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().flatten().map(|key| key.0.clone()).collect()
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

    /// True if the name or the query carries one of the keys, or there never was one.
    pub fn allows(&self, name: &StreamName, query: &str) -> bool {
        self.is_open() || self.matches(name, query, |_| true)
    }

    /// True if the name or the query carries this very key.
    pub(crate) fn carries(name: &StreamName, query: &str, key: &str) -> bool {
        candidates(name, query).any(|c| equal(c, key))
    }

    fn matches(&self, name: &StreamName, query: &str, accept: impl Fn(&str) -> bool) -> bool {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let mut found = false;
        // Every candidate meets every key, so that time tells nothing.
        for candidate in candidates(name, query) {
            for key in keys.iter().flatten() {
                found |= equal(candidate, &key.0) && accept(&key.0);
            }
        }
        found
    }

    /// The name as it may be logged: a key in it is masked.
    pub(crate) fn masked(&self, name: &StreamName) -> String {
        if !self.is_open() && self.matches(name, "", |_| true) {
            let app = name.app();
            return if app.is_empty() {
                "***".to_owned()
            } else {
                format!("{app}/***")
            };
        }
        name.as_str().to_owned()
    }
}

fn candidates<'a>(name: &'a StreamName, query: &'a str) -> impl Iterator<Item = &'a str> {
    let parameters = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(k, _)| PARAMETERS.contains(k))
        .map(|(_, value)| value);
    std::iter::once(name.name()).chain(parameters)
}

fn equal(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> StreamName {
        StreamName::join("", text)
    }

    #[test]
    fn an_empty_ring_is_open() {
        assert!(KeyRing::default().allows(&name("live/cam"), ""));
    }

    #[test]
    fn a_key_comes_in_the_query_or_as_the_name() {
        let ring = KeyRing::new(["s3cret".to_owned()]);
        assert!(ring.allows(&name("live/cam"), "key=s3cret"));
        assert!(ring.allows(&name("live/cam"), "a=b&token=s3cret"));
        assert!(ring.allows(&name("live/s3cret"), ""));
        assert!(!ring.allows(&name("live/cam"), ""));
        assert!(!ring.allows(&name("live/cam"), "key=s3cre"));
        assert!(!ring.allows(&name("live/cam"), "other=s3cret"));
        assert!(!ring.allows(&name("s3cret/cam"), ""));
    }

    #[test]
    fn keys_come_and_go() {
        let ring = KeyRing::new(["a".to_owned()]);
        ring.add("b".to_owned());
        assert!(ring.remove("a"));
        assert!(!ring.remove("a"));
        assert!(ring.allows(&name("live/x"), "key=b"));
        assert!(!ring.allows(&name("live/x"), "key=a"));
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
        assert!(!ring.allows(&name("live/cam"), ""));
        assert!(!ring.allows(&name("live/cam"), "key=a"));
    }

    #[test]
    fn settings_change_the_keys_they_named_and_no_others() {
        let keys = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let ring = KeyRing::new(keys(&["a", "b", "c"]));
        ring.add("live".to_owned());
        ring.remove("c");
        let gone = ring.reconfigure(&keys(&["a", "b", "c"]), &keys(&["b", "c", "d", "live"]));
        assert_eq!(gone, ["a"]);
        assert_eq!(ring.list(), ["b", "live", "d"], "c stays revoked");
        assert_eq!(ring.reconfigure(&keys(&["b", "d"]), &[]), ["b", "d"]);
        assert!(!ring.is_open(), "a key of the host is left");
        let ring = KeyRing::new(keys(&["a"]));
        ring.reconfigure(&keys(&["a"]), &[]);
        assert!(ring.is_open());
    }

    #[test]
    fn keys_are_not_shown() {
        let ring = KeyRing::new(["s3cret".to_owned()]);
        assert_eq!(ring.masked(&name("live/s3cret")), "live/***");
        assert_eq!(ring.masked(&name("live/cam")), "live/cam");
        assert!(!format!("{ring:?}").contains("s3cret"));
    }
}
