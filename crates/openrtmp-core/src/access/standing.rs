//! What goes on of what a key opened, once keys are others.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use openrtmp_protocol::Secret;
use sha2::Sha256;

use super::key_store::{opens_the_same, what_it_opens};
use super::{Attempt, KeyKind, KeyRecord};
use crate::shared::Shared;

/// What of an attempt opens what is asked for.
#[derive(Clone, Debug)]
pub(crate) enum OpenedBy {
    /// Nothing: no key is asked for.
    Nobody,
    /// A key of the settings, or of the host.
    Key(Secret),
    /// A key on record.
    Record(Arc<KeyRecord>),
    /// Something that was taken away while what it opened began.
    Gone,
}

/// Bytes of a tag.
pub(crate) const TAG: usize = 12;

/// The keys with which one may go on who came with them.
pub(crate) struct Standing {
    keys: HashSet<String>,
    /// By their ids.
    records: HashMap<String, Arc<KeyRecord>>,
}

impl Shared {
    /// True if nobody may do so without a key.
    pub(crate) fn asks_for_key(&self, kind: KeyKind) -> bool {
        let ring = match kind {
            KeyKind::Publish => &self.publish_keys,
            KeyKind::Play => &self.play_keys,
        };
        !ring.is_open() || self.key_records.asks_for_key(kind)
    }

    /// What opened something that was granted a moment ago.
    pub(crate) fn granted_by(&self, attempt: &Attempt) -> OpenedBy {
        self.opened_by(attempt).unwrap_or(OpenedBy::Gone)
    }

    /// The one rule of who may go on, over whatever protocol: a key on record that ended lets
    /// nobody begin and everybody go on, one that is gone or is for something else ends what it
    /// began, as does a key of the settings or of the host that is gone. `None`: everybody
    /// goes on, whatever they came with, for no key is asked for any more or
    /// `access.revoke_ends_play` says so.
    pub(crate) fn standing(&self, kind: KeyKind) -> Option<Standing> {
        let (ring, may_end) = match kind {
            KeyKind::Publish => (&self.publish_keys, true),
            KeyKind::Play => (&self.play_keys, self.config().access.revoke_ends_play),
        };
        let records = self.key_records.of_kind(kind).into_iter();
        (may_end && self.asks_for_key(kind)).then(|| Standing {
            keys: ring.list().into_iter().collect(),
            records: records.map(|it| (it.id.clone(), it)).collect(),
        })
    }
}

impl Standing {
    /// True if what was opened so goes on.
    pub(crate) fn holds(&self, by: &OpenedBy) -> bool {
        match by {
            OpenedBy::Nobody => true,
            OpenedBy::Key(key) => self.keys.contains(key.reveal()),
            OpenedBy::Record(record) => {
                let current = self.records.get(&record.id);
                current.is_some_and(|current| opens_the_same(current, record))
            }
            OpenedBy::Gone => false,
        }
    }

    /// The same where nothing is kept of who came: what [`OpenedBy::tag`] tells of all that
    /// goes on.
    pub(crate) fn tags(self, secret: &[u8]) -> Vec<[u8; TAG]> {
        let keys = self.keys.into_iter().map(Secret::from).map(OpenedBy::Key);
        let records = self.records.into_values().map(OpenedBy::Record);
        let all = keys.chain(records);
        all.filter_map(|by| by.tag(secret)).collect()
    }
}

impl OpenedBy {
    /// Names a key without telling it, for who knows the secret.
    pub(crate) fn tag(&self, secret: &[u8]) -> Option<[u8; TAG]> {
        match self {
            OpenedBy::Nobody => None,
            OpenedBy::Key(key) => Some(tag(secret, &["key", key.reveal()])),
            OpenedBy::Record(record) => {
                let [kind, app, stream] = what_it_opens(record);
                let all = ["record", &record.id, kind, app, stream, &record.key];
                Some(tag(secret, &all))
            }
            OpenedBy::Gone => Some(tag(secret, &["gone"])),
        }
    }
}

/// Names something without telling it.
fn tag(secret: &[u8], texts: &[&str]) -> [u8; TAG] {
    let mut tag = [0; TAG];
    // Every length of key is one for HMAC.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) {
        for text in texts {
            mac.update(&(text.len() as u64).to_be_bytes());
            mac.update(text.as_bytes());
        }
        tag.copy_from_slice(&mac.finalize().into_bytes()[..TAG]);
    }
    tag
}
