//! Keys on record, and the file in which they stand.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Datelike as _, NaiveDate, SecondsFormat, Utc};
use openrtmp_protocol::StreamName;
use serde_json::{Map, Value, json};

use crate::config::{DocumentError, Format, parse_document, read_document};
use crate::private_file;

/// What a key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyKind {
    /// Publishing.
    Publish,
    /// Playing.
    Play,
}

impl KeyKind {
    /// `publish` or `play`.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyKind::Publish => "publish",
            KeyKind::Play => "play",
        }
    }
}

/// A key of one app: who comes with it may publish or play there.
///
/// Whoever gives it as the name of a stream (`live/KEY`), as encoders ask for a "stream
/// key", gets the stream of the record, `live/cam1`, or one that is called as the record's
/// `id`. That name alone is shown, to players, in lists, logs and files.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyRecord {
    /// Names the record among all: letters, digits, `.`, `_` and `-`, 64 at most.
    pub id: String,
    /// What it is good for.
    pub kind: KeyKind,
    /// The app, as in `live/cam1` or `tv/live/cam1`.
    pub app: String,
    /// The one stream, without its app; `None`: every stream of the app.
    pub stream: Option<String>,
    /// The key, a secret.
    pub key: String,
    /// When it is no longer good. What began before goes on.
    pub expires: Option<SystemTime>,
}

/// Why a file of keys was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// It cannot be read or written.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not JSON, or not YAML.
    #[error("{}: {source}", file.display())]
    Document {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: DocumentError,
    },
    /// A record is not right.
    #[error("{}: record {number}: {what}", file.display())]
    Record {
        /// The file.
        file: PathBuf,
        /// Which one, from 1.
        number: usize,
        /// What is wrong; no key stands in it.
        what: String,
    },
}

/// The key is not shown.
impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRecord")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("app", &self.app)
            .field("stream", &self.stream)
            .field("key", &"***")
            .field("expires", &self.expires)
            .finish()
    }
}

impl KeyRecord {
    /// For every stream of an app, without an end. The id names the record among all.
    pub fn new(
        id: impl Into<String>,
        kind: KeyKind,
        app: impl Into<String>,
        key: impl Into<String>,
    ) -> KeyRecord {
        KeyRecord {
            id: id.into(),
            kind,
            app: app.into(),
            stream: None,
            key: key.into(),
            expires: None,
        }
    }

    /// The path under which a stream is known whose publisher gave the key as its name.
    pub fn public_path(&self) -> String {
        let name = self.stream.as_ref().unwrap_or(&self.id);
        format!("{}/{name}", self.app)
    }

    /// The records of a file: a list in YAML if its name ends with `.yaml` or `.yml`, else
    /// in JSON, of `{id, kind: publish|play, app, stream: NAME|*, key, expires}`. `stream`
    /// and `expires`, a date or a time of RFC 3339, may be missing. At most 1 MiB. No keys are
    /// `[]`: a file in which nothing stands, as a full disk leaves it, is an error.
    ///
    /// # Errors
    /// What is wrong with the first record that is not right, or that has the id of
    /// another, or its key for the same kind and app.
    pub fn read_file(file: &Path) -> Result<Vec<KeyRecord>, KeyFileError> {
        let text = read_document(file).map_err(|source| KeyFileError::Io {
            file: file.to_owned(),
            source,
        })?;
        KeyRecord::parse(file, &text)
    }

    /// What stands in a file.
    fn parse(file: &Path, text: &str) -> Result<Vec<KeyRecord>, KeyFileError> {
        let document = parse_document(text, Format::of(file));
        let document = document.map_err(|source| KeyFileError::Document {
            file: file.to_owned(),
            source,
        })?;
        let wrong = |number, what| KeyFileError::Record {
            file: file.to_owned(),
            number,
            what,
        };
        let list = match document {
            Value::Array(list) => list,
            Value::Null => {
                let what = "expected a list of records, [] for none; the file is empty";
                return Err(wrong(1, what.to_owned()));
            }
            _ => return Err(wrong(1, "expected a list of records".to_owned())),
        };
        let (mut records, mut ids, mut keys) = (Vec::new(), HashSet::new(), HashSet::new());
        for (value, number) in list.iter().zip(1..) {
            let record = KeyRecord::read(value).map_err(|what| wrong(number, what))?;
            if !ids.insert(record.id.clone()) {
                return Err(wrong(number, format!("the id {} stands twice", record.id)));
            }
            if !keys.insert((record.kind, record.app.clone(), record.key.clone())) {
                let what = "its key stands twice for the same kind and app".to_owned();
                return Err(wrong(number, what));
            }
            records.push(record);
        }
        Ok(records)
    }

    /// Writes a file that [`KeyRecord::read_file`] reads, in place of what is there: whoever
    /// reads sees the one or the other. On Unix it belongs to whom the other belonged to,
    /// who alone can read it: a server that runs as its own user goes on reading it.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::InvalidData`] for what could not be read again,
    /// as records that are together longer than a file may be. The file is as before then.
    pub fn write_file(file: &Path, records: &[KeyRecord]) -> io::Result<()> {
        let list: Value = records.iter().map(KeyRecord::written).collect();
        let text = format!("{}\n", Format::of(file).write(&list));
        KeyRecord::parse(file, &text).map_err(|error| {
            let what = match error {
                KeyFileError::Record { number, what, .. } => format!("record {number}: {what}"),
                KeyFileError::Document { source, .. } => source.to_string(),
                other => other.to_string(),
            };
            io::Error::new(io::ErrorKind::InvalidData, what)
        })?;
        private_file::replace(file, text.as_bytes())
    }

    /// Checks it, as reading a file does.
    ///
    /// # Errors
    /// What is wrong; the key does not stand in it.
    pub fn check(&self) -> Result<(), String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let unfit = |text: &str| text.is_empty() || StreamName::join("", text).reveal() != text;
        let special = ['&', '?', '#', ' '];
        if self.id.is_empty() || self.id.len() > 64 || !self.id.chars().all(plain) {
            return Err("id: expected 1 to 64 letters, digits, and . _ -".to_owned());
        }
        if unfit(&self.app) || self.app.contains(special) {
            return Err("app: expected the name of an app, such as live".to_owned());
        }
        let name = self.stream.as_deref().unwrap_or(&self.id);
        if unfit(name) || name.contains(special) || name.contains('/') {
            return Err("stream: expected the name of one stream without its app, or *".to_owned());
        }
        if unfit(&self.key) || self.key.contains(special) || self.key.contains('/') {
            let what = "key: expected a text without spaces and without & ? / #, escapes (%41) \
                        and file types (.mp4)";
            return Err(what.to_owned());
        }
        Ok(())
    }

    fn read(value: &Value) -> Result<KeyRecord, String> {
        const MEMBERS: [&str; 6] = ["id", "kind", "app", "stream", "key", "expires"];
        let Value::Object(members) = value else {
            return Err(format!("expected a group of {}", MEMBERS.join(", ")));
        };
        if members.keys().any(|name| !MEMBERS.contains(&name.as_str())) {
            return Err(format!("expected nothing but {}", MEMBERS.join(", ")));
        }
        let text = |name: &str| match members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            // YAML takes digits for a number, which may be another text then.
            Some(_) => Err(format!("{name}: expected a text, in quotation marks")),
        };
        let required = |name: &str| text(name)?.ok_or_else(|| format!("{name} is missing"));
        let kind = match required("kind")?.as_str() {
            "publish" => KeyKind::Publish,
            "play" => KeyKind::Play,
            _ => return Err("kind: expected publish or play".to_owned()),
        };
        let expires = text("expires")?.map(|text| {
            moment(&text).ok_or_else(|| {
                "expires: expected such as 2027-01-31 or 2027-01-31T12:00:00Z".to_owned()
            })
        });
        let record = KeyRecord {
            id: required("id")?,
            kind,
            app: required("app")?,
            stream: text("stream")?.filter(|name| name != "*"),
            key: required("key")?,
            expires: expires.transpose()?,
        };
        record.check()?;
        Ok(record)
    }

    fn written(&self) -> Value {
        let mut members = Map::new();
        let stream = self.stream.as_deref().unwrap_or("*");
        for (name, text) in [
            ("id", self.id.as_str()),
            ("kind", self.kind.as_str()),
            ("app", &self.app),
            ("stream", stream),
            ("key", &self.key),
        ] {
            members.insert(name.to_owned(), json!(text));
        }
        if let Some(expires) = self.expires_text() {
            members.insert("expires".to_owned(), expires.into());
        }
        members.into()
    }

    /// [`KeyRecord::expires`] as RFC 3339 has it, in UTC.
    pub fn expires_text(&self) -> Option<String> {
        let at = DateTime::<Utc>::from(self.expires?);
        Some(at.to_rfc3339_opts(SecondsFormat::Secs, true))
    }

    /// Reads a date (its beginning, in UTC) or a time, as [`KeyRecord::expires`] is written.
    pub fn parse_expires(text: &str) -> Option<SystemTime> {
        moment(text)
    }
}

fn moment(text: &str) -> Option<SystemTime> {
    let time = match DateTime::parse_from_rfc3339(text) {
        Ok(time) => time.to_utc(),
        Err(_) => {
            let day = text.parse::<NaiveDate>().ok()?;
            day.and_hms_opt(0, 0, 0)?.and_utc()
        }
    };
    // A year of RFC 3339 has four digits (section 5.6).
    let seconds = Some(time.timestamp()).filter(|_| time.year() <= 9999)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Vec<KeyRecord>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("it is written");
        KeyRecord::read_file(&file).map_err(|e| e.to_string())
    }

    #[test]
    fn records_are_read_and_written() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["keys.yaml", "keys.json"] {
            let text = r#"[{"id": "studio", "kind": "publish", "app": "live", "stream": "cam1",
                "key": "SECRET", "expires": "2027-01-31"},
                {"id": "guests", "kind": "play", "app": "tv/live", "stream": "*", "key": "12"}]"#;
            let records = read(name, text).expect("records");
            assert_eq!(records[0].public_path(), "live/cam1");
            assert_eq!(
                records[0].expires_text().as_deref(),
                Some("2027-01-31T00:00:00Z")
            );
            assert_eq!(records[1].public_path(), "tv/live/guests");
            assert_eq!(records[1].stream, None);
            assert!(!format!("{records:?}").contains("SECRET"));
            let file = folder.path().join(name);
            KeyRecord::write_file(&file, &records).expect("it is written");
            assert_eq!(KeyRecord::read_file(&file).expect("records"), records);
            KeyRecord::write_file(&file, &records[..1]).expect("it is written");
            assert_eq!(KeyRecord::read_file(&file).expect("records"), records[..1]);
        }
        let left = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(left, 2, "nothing else is left behind");
        assert_eq!(read("empty.yaml", "[]\n").expect("none"), []);
    }

    #[test]
    fn what_could_not_be_read_again_is_not_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let record = |id: String, expires| KeyRecord {
            key: format!("{id}{}", "x".repeat(1000)),
            id,
            kind: KeyKind::Publish,
            app: "live".to_owned(),
            stream: None,
            expires,
        };
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_800);
        for name in ["keys.yaml", "keys.json"] {
            let file = folder.path().join(name);
            let before = [record("a".to_owned(), None)];
            KeyRecord::write_file(&file, &before).expect("it is written");
            let many: Vec<_> = (0..1100).map(|n| record(n.to_string(), None)).collect();
            let late = vec![record("b".to_owned(), Some(far))];
            let twice = vec![before[0].clone(), before[0].clone()];
            for (records, expected) in [
                (many, "longer than 1048576 bytes"),
                (late, "record 1: expires"),
                (twice, "record 2: the id a stands twice"),
            ] {
                let error = KeyRecord::write_file(&file, &records).expect_err(expected);
                assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                assert!(error.to_string().contains(expected), "{error}");
                assert_eq!(KeyRecord::read_file(&file).expect("as before"), before);
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_the_key() {
        let good = "{id: a, kind: publish, app: live, key: SECRET}";
        for (text, expected) in [
            ("{a: SECRET}", "expected a list"),
            ("[SECRET]", "record 1: expected a group"),
            ("[{id: a, SECRET: b}]", "record 1: expected nothing but"),
            (
                "[{id: a, kind: publish, app: live}]",
                "record 1: key is missing",
            ),
            (
                "[{id: a, kind: SECRET, app: live, key: a}]",
                "record 1: kind",
            ),
            (
                "[{id: a b, kind: play, app: live, key: SECRET}]",
                "record 1: id",
            ),
            (
                "[{id: a, kind: play, app: '', key: SECRET}]",
                "record 1: app",
            ),
            (
                "[{id: a, kind: play, app: a, stream: b/c, key: SECRET}]",
                "record 1: stream",
            ),
            (
                "[{id: a, kind: play, app: a, key: SECRET/}]",
                "record 1: key",
            ),
            (
                "[{id: a, kind: play, app: a, key: 12345}]",
                "record 1: key: expected a text",
            ),
            (
                "[{id: a, kind: play, app: a, key: SECRET, expires: soon}]",
                "record 1: expires",
            ),
            (
                "[{id: a, kind: play, app: a, key: SECRET, expires: +10000-01-01}]",
                "expires",
            ),
            (
                "[{id: a, kind: play, app: a, key: SECRET, expires: 9999-12-31T23:59:59-01:00}]",
                "expires",
            ),
            (
                "[{id: a, kind: play, app: a, key: SECRET, expires: 1899-01-01}]",
                "expires",
            ),
            (
                &format!("[{good}, {good}]"),
                "record 2: the id a stands twice",
            ),
            (
                &format!("[{good}, {}]", good.replace("id: a", "id: b")),
                "record 2: its key stands twice",
            ),
            ("[*x]", "an alias"),
            ("# SECRET\n", "[] for none; the file is empty"),
            ("", "the file is empty"),
        ] {
            let error = read("keys.yaml", text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
            assert!(
                !error.contains("SECRET") && !error.contains("12345"),
                "{error}"
            );
        }
        assert!(KeyRecord::read_file(Path::new("no/such/file")).is_err());
    }
}
