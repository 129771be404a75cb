//! The keys on record of a server.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, RwLock, RwLockReadGuard};
use std::time::SystemTime;

use super::key_file::{KeyFileError, KeyKind, KeyRecord};
use super::keys::{Remembered, is_equal};
use crate::sync;

/// The records that are in force.
#[derive(Default)]
pub(crate) struct KeyStore(RwLock<Stored>);

#[derive(Default)]
struct Stored {
    /// By their ids.
    records: HashMap<String, Arc<KeyRecord>>,
    /// There is a file of keys: nobody publishes without one.
    has_file: bool,
    /// There is, or was, a key for playing: nobody plays without one.
    play_needs_key: bool,
    ever: Remembered,
}

/// What came of reading records again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replaced {
    pub(crate) added: usize,
    pub(crate) revoked: usize,
}

/// The records of a file, if there is to be one.
pub(crate) fn read(file: Option<&Path>) -> Result<Option<Vec<KeyRecord>>, KeyFileError> {
    file.map(KeyRecord::read_file).transpose()
}

impl KeyStore {
    pub(crate) fn new(records: Option<Vec<KeyRecord>>) -> KeyStore {
        let store = KeyStore::default();
        store.replace(records);
        store
    }

    /// Puts other records in force; `None`: there is no file of keys any more, and without
    /// it none is asked for.
    pub(crate) fn replace(&self, records: Option<Vec<KeyRecord>>) -> Replaced {
        let mut stored = sync::write(&self.0);
        stored.has_file = records.is_some();
        let plays = |record: &KeyRecord| record.kind == KeyKind::Play;
        let needs = records.iter().flatten().any(plays);
        stored.play_needs_key = stored.has_file && (needs || stored.play_needs_key);
        let before = std::mem::take(&mut stored.records);
        let mut added = 0;
        for record in records.into_iter().flatten() {
            stored.ever.insert(&record.key);
            // What is the same stays the same, for those who came with it.
            let kept = before.get(&record.id).filter(|old| ***old == record);
            added += usize::from(kept.is_none());
            let record = kept.cloned().unwrap_or_else(|| Arc::new(record));
            stored.records.insert(record.id.clone(), record);
        }
        let stays = |old: &&Arc<KeyRecord>| {
            let new = stored.records.get(&old.id);
            new.is_some_and(|new| opens_the_same(new, old))
        };
        let revoked = before.len() - before.values().filter(stays).count();
        Replaced { added, revoked }
    }

    /// The record that a key stands for in an app, if there is one. It meets every key,
    /// so that time does not tell which it is like.
    pub(crate) fn find(&self, kind: KeyKind, app: &str, key: &str) -> Option<Arc<KeyRecord>> {
        let stored = self.read();
        let mut found = None;
        for record in stored.records.values() {
            let is_it = is_equal(key, &record.key);
            if is_it & (record.kind == kind) & (record.app == app) {
                found = Some(record.clone());
            }
        }
        found
    }

    /// True if nobody may do so without a key.
    pub(crate) fn asks_for_key(&self, kind: KeyKind) -> bool {
        let stored = self.read();
        match kind {
            KeyKind::Publish => stored.has_file,
            KeyKind::Play => stored.play_needs_key,
        }
    }

    /// True if somebody who came with this record may go on.
    pub(crate) fn holds(&self, record: &KeyRecord) -> bool {
        let stored = self.read();
        let current = stored.records.get(&record.id);
        current.is_some_and(|current| opens_the_same(current, record))
    }

    /// True if it may begin something, at this time of day.
    pub(crate) fn opens(&self, record: &KeyRecord, now: SystemTime) -> bool {
        self.holds(record) && record.expires.is_none_or(|end| now < end)
    }

    /// The records with which somebody may go on that came for this.
    pub(crate) fn of_kind(&self, kind: KeyKind) -> Vec<Arc<KeyRecord>> {
        let stored = self.read();
        let records = stored.records.values();
        records.filter(|it| it.kind == kind).cloned().collect()
    }

    /// True if this is or was one of the keys.
    pub(crate) fn remembers(&self, text: &str) -> bool {
        self.read().ever.contains(text)
    }

    fn read(&self) -> RwLockReadGuard<'_, Stored> {
        sync::read(&self.0)
    }
}

/// Whether a record lets in whom the other did; when it ends is another matter.
pub(super) fn opens_the_same(record: &KeyRecord, other: &KeyRecord) -> bool {
    what_it_opens(record) == what_it_opens(other) && is_equal(&record.key, &other.key)
}

/// What has to stay the same beside the key for who came with a record to go on.
pub(super) fn what_it_opens(record: &KeyRecord) -> [&str; 3] {
    // No stream is called so: it has no slash.
    let stream = record.stream.as_deref().unwrap_or("/");
    [record.kind.as_str(), &record.app, stream]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn record(id: &str, kind: KeyKind, key: &str) -> KeyRecord {
        KeyRecord {
            id: id.to_owned(),
            kind,
            app: "live".to_owned(),
            stream: None,
            key: key.to_owned(),
            expires: None,
        }
    }

    #[test]
    fn a_key_is_good_for_its_kind_and_app_until_its_end() {
        let mut ends = record("b", KeyKind::Publish, "two");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        ends.expires = Some(now);
        let store = KeyStore::new(Some(vec![record("a", KeyKind::Publish, "one"), ends]));
        let find = |kind, app, key| store.find(kind, app, key).map(|found| found.id.clone());
        assert_eq!(find(KeyKind::Publish, "live", "one").as_deref(), Some("a"));
        assert_eq!(find(KeyKind::Play, "live", "one"), None);
        assert_eq!(find(KeyKind::Publish, "other", "one"), None);
        assert_eq!(find(KeyKind::Publish, "live", "on"), None);
        let ends = store
            .find(KeyKind::Publish, "live", "two")
            .expect("it is there");
        assert!(store.opens(&ends, now - Duration::from_secs(1)));
        assert!(!store.opens(&ends, now) && store.holds(&ends));
    }

    #[test]
    fn what_is_another_is_revoked_and_what_is_the_same_is_not() {
        let (a, b) = (
            record("a", KeyKind::Publish, "one"),
            record("b", KeyKind::Play, "two"),
        );
        let store = KeyStore::new(Some(vec![a.clone(), b.clone()]));
        let mut later = a.clone();
        later.expires = Some(SystemTime::UNIX_EPOCH);
        let replaced = store.replace(Some(vec![later, record("c", KeyKind::Publish, "three")]));
        assert_eq!(
            replaced,
            Replaced {
                added: 2,
                revoked: 1
            }
        );
        assert!(store.holds(&a) && !store.holds(&b));
        store.replace(Some(vec![record("a", KeyKind::Publish, "four")]));
        assert!(!store.holds(&a), "another key");
        assert!(
            ["one", "two", "three", "four"]
                .iter()
                .all(|key| store.remembers(key))
        );
    }

    #[test]
    fn taking_the_last_key_away_opens_nothing() {
        let asks = |store: &KeyStore| {
            [KeyKind::Publish, KeyKind::Play].map(|kind| store.asks_for_key(kind))
        };
        assert_eq!(asks(&KeyStore::new(None)), [false, false]);
        let store = KeyStore::new(Some(Vec::new()));
        assert_eq!(asks(&store), [true, false]);
        store.replace(Some(vec![record("a", KeyKind::Play, "one")]));
        assert_eq!(asks(&store), [true, true]);
        store.replace(Some(Vec::new()));
        assert_eq!(asks(&store), [true, true]);
        store.replace(None);
        assert_eq!(asks(&store), [false, false]);
    }
}
