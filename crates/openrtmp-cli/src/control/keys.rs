//! Keys on record, in the file that a server reads.

use std::collections::HashSet;
use std::path::PathBuf;

use openrtmp_core::{KeyRecord, KeyRing};
use serde_json::{Value, json};

use super::answer::{Code, Refusal};
use super::request::NewKey;

/// The file that `access.keys_file` names.
pub(crate) struct KeyFile(pub(crate) PathBuf);

impl KeyFile {
    /// Puts a key on record. What comes back is the one place where the key stands.
    pub(crate) fn add(&self, wanted: &NewKey) -> Result<Value, Refusal> {
        let mut records = match self.0.exists() {
            true => self.read()?,
            false => Vec::new(),
        };
        let record = new_record(wanted, &records)?;
        if records.iter().any(|other| other.id == record.id) {
            let what = format!("{}: a record has this id already", record.id);
            return Err(Refusal::new(Code::Conflict, what));
        }
        let same = |other: &KeyRecord| {
            other.kind == record.kind && other.app == record.app && other.key == record.key
        };
        if records.iter().any(same) {
            return Err(Refusal::new(
                Code::Conflict,
                "a record has this key already",
            ));
        }
        let mut told = shown(&record);
        told["key"] = record.key.as_str().into();
        told["path"] = record.public_path().into();
        records.push(record);
        self.write(&records)?;
        Ok(told)
    }

    /// Takes keys away: all of these, or none.
    pub(crate) fn revoke(&self, ids: &[String]) -> Result<Value, Refusal> {
        let mut records = self.read()?;
        let there: HashSet<&str> = records.iter().map(|record| record.id.as_str()).collect();
        if let Some(id) = ids.iter().find(|id| !there.contains(id.as_str())) {
            let what = format!("{id}: no record has this id");
            return Err(Refusal::new(Code::NotFound, what));
        }
        records.retain(|record| !ids.contains(&record.id));
        self.write(&records)?;
        Ok(json!({ "revoked": ids }))
    }

    /// The records, without their keys.
    pub(crate) fn list(&self) -> Result<Value, Refusal> {
        let records = self.read()?;
        Ok(json!({ "keys": records.iter().map(shown).collect::<Value>() }))
    }

    fn read(&self) -> Result<Vec<KeyRecord>, Refusal> {
        KeyRecord::read_file(&self.0).map_err(|e| Refusal::new(Code::Invalid, e))
    }

    fn write(&self, records: &[KeyRecord]) -> Result<(), Refusal> {
        let wrong = |e| Refusal::new(Code::Failed, format!("{}: {e}", self.0.display()));
        KeyRecord::write_file(&self.0, records).map_err(wrong)
    }
}

fn new_record(wanted: &NewKey, records: &[KeyRecord]) -> Result<KeyRecord, Refusal> {
    let key = match &wanted.key {
        Some(key) => key.clone(),
        None => KeyRing::generate().map_err(|e| Refusal::new(Code::Failed, e))?,
    };
    let expires = wanted.expires.as_deref().map(|text| {
        KeyRecord::parse_expires(text).ok_or_else(|| {
            let what = "a time is such as 2027-01-31 or 2027-01-31T12:00:00Z";
            Refusal::new(Code::Invalid, what)
        })
    });
    let id = wanted.id.clone();
    let id = id.unwrap_or_else(|| free_id(wanted, records));
    let mut record = KeyRecord::new(id, wanted.kind.into(), &wanted.app, key);
    record.stream = wanted.stream.clone().filter(|stream| stream != "*");
    record.expires = expires.transpose()?;
    record.check().map_err(|e| Refusal::new(Code::Invalid, e))?;
    Ok(record)
}

/// A name for a record that none has.
fn free_id(wanted: &NewKey, records: &[KeyRecord]) -> String {
    let of = wanted.stream.as_ref().filter(|stream| *stream != "*");
    let of = of.unwrap_or(&wanted.app);
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' {
            c
        } else {
            '-'
        }
    };
    let name: String = of.chars().map(plain).take(40).collect();
    let kind = openrtmp_core::KeyKind::from(wanted.kind);
    let name = format!("{}-{name}", kind.as_str());
    let is_free = |id: &String| records.iter().all(|record| record.id != *id);
    let others = (2_usize..).map(|n| format!("{name}-{n}"));
    let mut ids = std::iter::once(name.clone()).chain(others);
    ids.find(is_free).unwrap_or(name)
}

fn shown(record: &KeyRecord) -> Value {
    json!({
        "id": record.id,
        "kind": record.kind.as_str(),
        "app": record.app,
        "stream": record.stream.as_deref().unwrap_or("*"),
        "expires": record.expires_text(),
    })
}
