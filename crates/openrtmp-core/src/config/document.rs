//! Settings as documents: JSON and YAML in and out, and single values by dotted
//! path.
//!
//! A document changes what it names and leaves the rest as it is. It is applied
//! value by value, so that an error names the path it is about; a document with
//! an error changes nothing. No error shows more of a document than the value it is
//! about, and of a key nothing.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use openrtmp_protocol::text;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::schema;
use super::settings::SETTINGS;
use super::{Config, RecordConfig, validate};
use crate::regular_file;

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// JSON.
    Json,
    /// YAML; of a library that was built without the feature `yaml` JSON, which is YAML too.
    Yaml,
}

impl Format {
    /// What a file of this name is written in: YAML if it ends with `.yaml` or
    /// `.yml`, otherwise JSON.
    pub fn of(file: &Path) -> Format {
        let yaml = file
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("yaml") || e.eq_ignore_ascii_case("yml"));
        if yaml { Format::Yaml } else { Format::Json }
    }

    pub(crate) fn write(self, tree: &Value) -> String {
        // A tree of plain values can always be written.
        match self {
            Format::Json => serde_json::to_string_pretty(tree).unwrap_or_default(),
            #[cfg(feature = "yaml")]
            Format::Yaml => serde_saphyr::to_string(tree).unwrap_or_default(),
            // Which is YAML.
            #[cfg(not(feature = "yaml"))]
            Format::Yaml => Format::Json.write(tree),
        }
    }
}

/// Why a document or a value was not taken. The settings are as before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// It is not JSON, or not YAML.
    #[error("{}{what}", Line(*line))]
    Syntax {
        /// Where, from 1, if that is known.
        line: Option<usize>,
        /// What is wrong; nothing of the document stands in it.
        what: String,
    },
    /// There is no such setting.
    #[error("{}{path}: no such setting{}", Line(*line), hint.as_ref().map_or(String::new(), |h| format!("; did you mean {h}?")))]
    Unknown {
        /// Dotted path.
        path: String,
        /// The nearest that there is.
        hint: Option<String>,
        /// Where in the document, from 1.
        line: Option<usize>,
    },
    /// The value may not stand there.
    #[error("{}{path} = {value}: expected {allowed}", Line(*line))]
    Value {
        /// Dotted path.
        path: String,
        /// The value found; keys are not shown.
        value: String,
        /// What may stand there.
        allowed: String,
        /// Where in the document, from 1.
        line: Option<usize>,
    },
}

/// Why a file's settings were not taken. The settings are as before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It cannot be read.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What stands in it is not right.
    #[error("{}: {source}", file.display())]
    Document {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: DocumentError,
    },
}

/// "line 3: ", where that is known.
struct Line(Option<usize>);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, "line {line}: "))
    }
}

/// Bytes of a document. All settings, with a thousand keys, are a tenth of it.
pub const MAX_DOCUMENT: usize = 1 << 20;

/// Values that aliases of a YAML document may stand for: more than there are settings,
/// and a bound on what a short document can unfold to.
#[cfg(feature = "yaml")]
const ALIAS_EVENTS: usize = 4096;

impl Config {
    /// Takes over what a document names, for example `{"rtmp": {"chunk_size": 4096}}`. A
    /// value that is null, and an empty group, name nothing; `"record": null` records
    /// nothing. Durations are milliseconds or texts such as `"10s"`, sizes bytes or texts
    /// such as `"64KiB"`.
    ///
    /// # Errors
    /// The first value that may not stand where it does, and if each may, the first that
    /// does not go with the others. What it clashes with may be named later: a value that
    /// the document does not name is left to [`Config::validate`].
    pub fn merge(&mut self, text: &str, format: Format) -> Result<(), DocumentError> {
        let document = parse(text, format)?;
        let members = match &document {
            // Empty YAML.
            Value::Null => return Ok(()),
            Value::Object(members) => members,
            other => {
                let what = format!("expected a map of names and values, not {}", kind(other));
                return Err(DocumentError::Syntax { line: None, what });
            }
        };
        let mut change = Change::new(self);
        for (name, member) in members {
            change.apply(name, member).map_err(|e| e.at(text))?;
        }
        *self = change.finish().map_err(|e| e.at(text))?;
        Ok(())
    }

    /// [`Config::merge`] of a file: YAML if its name ends with `.yaml` or `.yml`, else JSON.
    pub fn merge_file(&mut self, file: &Path) -> Result<(), FileError> {
        let file = file.to_owned();
        let text = match read(&file) {
            Ok(text) => text,
            Err(source) => return Err(FileError::Io { file, source }),
        };
        self.merge(&text, Format::of(&file))
            .map_err(|source| FileError::Document { file, source })
    }

    /// Sets one value by its dotted path, for example `rtmp.chunk_size`. The text
    /// is a JSON value, or, where a text stands, that text as it is, and where a
    /// list stands, its elements with commas between them; durations and sizes are as in
    /// [`Config::merge`], without quotes too.
    pub fn set(&mut self, path: &str, text: &str) -> Result<(), DocumentError> {
        let mut change = Change::new(self);
        change.apply_text(path, text)?;
        *self = change.finish()?;
        Ok(())
    }

    /// A value or a group by its dotted path, as [`Config::set`] takes it; the
    /// empty path is everything.
    pub fn get(&self, path: &str) -> Result<String, DocumentError> {
        let tree = self.plain_tree();
        // What recording would be set to is known even while it is off.
        lookup(&self.tree(), path)?;
        Ok(match lookup(&tree, path).unwrap_or(&Value::Null) {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }

    /// All settings as a document that [`Config::merge`] takes. It holds the keys.
    pub fn dump(&self, format: Format) -> String {
        format.write(&self.plain_tree())
    }

    /// Dotted paths of what is not the same in `other`. A group that one of them
    /// does not have at all (`record`) is one path.
    pub fn changes(&self, other: &Config) -> Vec<String> {
        let mut paths = Vec::new();
        compare("", &self.plain_tree(), &other.plain_tree(), &mut paths);
        paths
    }

    /// A document of what is another than in `base`: [`Config::merge`] into that gives these
    /// settings. It holds the keys.
    pub fn dump_changes(&self, base: &Config, format: Format) -> String {
        let mut tree = self.plain_tree();
        if self.record.is_none()
            && base.record.is_none()
            && let Some(members) = tree.as_object_mut()
        {
            members.remove("record");
        }
        without(&mut tree, &base.tree());
        format.write(&tree)
    }

    pub(super) fn plain_tree(&self) -> Value {
        // Only maps with other keys than text and failing implementations can
        // fail; there are none.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The settings, and what there is to set where a group is off.
    fn tree(&self) -> Value {
        let mut config = self.clone();
        config.record.get_or_insert_with(|| RecordConfig::new(""));
        config.plain_tree()
    }
}

/// Takes out of a tree what is the same in another.
fn without(tree: &mut Value, other: &Value) {
    let (Value::Object(members), Value::Object(others)) = (tree, other) else {
        return;
    };
    members.retain(|name, member| match others.get(name) {
        Some(other) if member == other => false,
        Some(other) => {
            without(member, other);
            true
        }
        None => true,
    });
}

fn compare(path: &str, a: &Value, b: &Value, paths: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(members), Value::Object(others)) => {
            for (name, member) in members {
                let other = others.get(name).unwrap_or(&Value::Null);
                compare(&join(path, name), member, other, paths);
            }
        }
        _ if a == b => {}
        _ => paths.push(path.to_owned()),
    }
}

fn join(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        _ => format!("{path}.{name}"),
    }
}

/// Settings on their way to others.
pub(super) struct Change {
    tree: Value,
    records: bool,
    /// What was named.
    paths: Vec<String>,
}

impl Change {
    pub(super) fn new(config: &Config) -> Change {
        Change {
            tree: config.tree(),
            records: config.record.is_some(),
            paths: Vec::new(),
        }
    }

    /// A value as [`Config::set`] takes it.
    pub(super) fn apply_text(&mut self, path: &str, text: &str) -> Result<(), DocumentError> {
        let old = lookup(&self.tree, path)?;
        let json = serde_json::from_str(text);
        let plain = || Value::String(text.to_owned());
        let value = match (old, json) {
            (Value::String(_), Ok(json @ Value::String(_))) => json,
            (Value::String(_), _) => plain(),
            (Value::Array(_), Ok(json @ Value::Array(_))) => json,
            (Value::Array(_), _) => text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(Value::from)
                .collect(),
            (_, Ok(json)) => json,
            (_, Err(_)) => plain(),
        };
        self.apply(path, &value)
    }

    fn apply(&mut self, path: &str, value: &Value) -> Result<(), DocumentError> {
        let old = lookup(&self.tree, path)?;
        match (old, value) {
            // A document that was dumped names groups that are off.
            (_, Value::Null) => {
                if path == "record" {
                    self.records = false;
                }
                return Ok(());
            }
            (Value::Object(_), Value::Object(members)) => {
                for (name, member) in members {
                    self.apply(&join(path, name), member)?;
                }
                return Ok(());
            }
            (Value::Object(_), _) => {
                let shown = match holds_secrets(path) {
                    true => "***".to_owned(),
                    false => text::shown(&value.to_string()).to_string(),
                };
                return Err(wrong(path, shown, kind(old).to_owned()));
            }
            _ => {}
        }
        let read = match schema::kind_of(path) {
            Some(of) => of
                .read(value)
                .ok_or_else(|| wrong(path, of.show(value), of.to_string()))?,
            None => value.clone(),
        };
        self.records |= path.starts_with("record.");
        if let Some(slot) = self.tree.pointer_mut(&pointer(path)) {
            *slot = read;
        }
        self.paths.push(path.to_owned());
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Config, DocumentError> {
        if !self.records
            && let Some(slot) = self.tree.get_mut("record")
        {
            *slot = Value::Null;
        }
        let config: Config = serde_json::from_value(self.tree).map_err(|_| {
            // Each value was looked at: what is left is too large for this machine.
            let what = "a number is too large".to_owned();
            DocumentError::Syntax { line: None, what }
        })?;
        let mut faults = validate::faults(&config).into_iter();
        match faults.find(|fault| self.paths.iter().any(|path| path == fault.path)) {
            Some(fault) => Err(wrong(fault.path, fault.value, fault.allowed)),
            None => Ok(config),
        }
    }
}

fn wrong(path: &str, value: String, allowed: String) -> DocumentError {
    DocumentError::Value {
        path: path.to_owned(),
        value,
        allowed,
        line: None,
    }
}

/// Whether what stands below a path may be keys.
fn holds_secrets(group: &str) -> bool {
    let below = |path: &str| path.strip_prefix(group).is_some_and(|p| p.starts_with('.'));
    let mut settings = SETTINGS.iter();
    settings.any(|setting| setting.kind.is_secret() && below(setting.path()))
}

impl DocumentError {
    /// With the line of the document that it is about.
    fn at(mut self, text: &str) -> DocumentError {
        if let DocumentError::Unknown { path, line, .. } | DocumentError::Value { path, line, .. } =
            &mut self
        {
            *line = line_of(text, path);
        }
        self
    }
}

/// The line, from 1, on which a document names a setting: its group's name, and behind
/// that its own.
fn line_of(text: &str, path: &str) -> Option<usize> {
    let mut at = 0;
    for name in path.split('.') {
        at += name_in(&text[at..], name)?;
    }
    Some(1 + text[..at].matches('\n').count())
}

/// Where the first use of a name as a key ends.
fn name_in(text: &str, name: &str) -> Option<usize> {
    let mut uses = text.match_indices(name).filter(|(at, _)| {
        let (before, after) = (&text[..*at], &text[at + name.len()..]);
        let line = before.rsplit('\n').next().unwrap_or_default();
        let quoted = line.ends_with(['"', '\'']);
        let after = match quoted {
            true => after.get(1..).unwrap_or_default(),
            false => after,
        };
        let begins = quoted || line.is_empty() || line.ends_with([' ', '{', ',', '\t']);
        begins && !line.trim_start().starts_with('#') && after.trim_start().starts_with(':')
    });
    uses.next().map(|(at, _)| at + name.len())
}

/// Reads a file that is no larger than a document may be.
pub(crate) fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = regular_file::open(file)?;
    file.take(MAX_DOCUMENT as u64 + 1)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// The tree of a document that is no larger than one may be, each name once in its group.
pub(crate) fn parse(text: &str, format: Format) -> Result<Value, DocumentError> {
    if text.len() > MAX_DOCUMENT {
        let what = format!("longer than {MAX_DOCUMENT} bytes");
        return Err(DocumentError::Syntax { line: None, what });
    }
    let (line, what) = match format {
        #[cfg(not(feature = "yaml"))]
        Format::Yaml => {
            return parse(text, Format::Json).map_err(|error| match error {
                DocumentError::Syntax { line, what } => {
                    let what = format!("{what} (no other YAML is read: it was built without it)");
                    DocumentError::Syntax { line, what }
                }
                error => error,
            });
        }
        Format::Json => match serde_json::from_str::<Unique>(text) {
            Ok(document) => return Ok(document.0),
            Err(e) if e.is_data() => (Some(e.line()), TWICE.to_owned()),
            Err(e) => {
                let what = e.to_string();
                // Its own place is told in front.
                let what = what.split(" at line ").next().unwrap_or_default();
                (Some(e.line()), format!("not JSON: {what}"))
            }
        },
        #[cfg(feature = "yaml")]
        Format::Yaml => match serde_saphyr::from_str_with_options::<Value>(
            text,
            serde_saphyr::options! {
                with_snippet: false,
                alias_limits: serde_saphyr::alias_limits! {
                    max_total_replayed_events: ALIAS_EVENTS,
                },
            },
        ) {
            Ok(document) => return Ok(document),
            // What it says itself may quote the document, which holds keys.
            Err(e) => {
                let what = match &e {
                    serde_saphyr::Error::DuplicateMappingKey { .. } => TWICE,
                    serde_saphyr::Error::UnknownAnchor { .. }
                    | serde_saphyr::Error::AliasError { .. }
                    | serde_saphyr::Error::AliasReplayLimitExceeded { .. } => ALIAS,
                    serde_saphyr::Error::MultipleDocuments { .. } => "more than one document",
                    _ => "not YAML",
                };
                let line = e.location().map(|l| l.line() as usize);
                (line.filter(|line| *line > 0), what.to_owned())
            }
        },
    };
    Err(DocumentError::Syntax { line, what })
}

#[cfg(feature = "yaml")]
const ALIAS: &str = "an alias that stands for nothing, or for too much";
const TWICE: &str = "the same name twice in one group";

/// A JSON value whose objects have each name once.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Unique, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
                let mut list = Vec::new();
                while let Some(Unique(item)) = items.next_element()? {
                    list.push(item);
                }
                Ok(list.into())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
                let mut group = serde_json::Map::new();
                while let Some((name, Unique(member))) = members.next_entry::<String, _>()? {
                    if group.insert(name, member).is_some() {
                        return Err(de::Error::custom(TWICE));
                    }
                }
                Ok(group.into())
            }
        }
        from.deserialize_any(Read).map(Unique)
    }
}

fn pointer(path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    format!("/{}", path.replace('.', "/"))
}

fn lookup<'a>(tree: &'a Value, path: &str) -> Result<&'a Value, DocumentError> {
    let known = |value: &&Value| !path.contains(['/', '~']) && !value.is_null();
    if let Some(value) = tree.pointer(&pointer(path)).filter(known)
        && !in_a_list(tree, path)
    {
        return Ok(value);
    }
    let mut paths = Vec::new();
    collect(tree, "", &mut paths);
    Err(DocumentError::Unknown {
        path: text::shown(path).to_string(),
        hint: nearest(path, paths),
        line: None,
    })
}

/// The name that was most likely meant, if one is like it.
pub(super) fn nearest(name: &str, names: impl IntoIterator<Item = String>) -> Option<String> {
    names
        .into_iter()
        // What differs by more than half of it is not like it; and a document may name
        // what is as long as the document.
        .filter(|candidate| name.len().abs_diff(candidate.len()) <= candidate.len() / 2)
        .map(|candidate| (distance(name, &candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len() / 2)
        .map(|(_, candidate)| candidate)
}

/// `listen.0` is not a setting of its own.
fn in_a_list(tree: &Value, path: &str) -> bool {
    path.rsplit_once('.')
        .and_then(|(parent, _)| tree.pointer(&pointer(parent)))
        .is_some_and(Value::is_array)
}

fn collect(tree: &Value, path: &str, paths: &mut Vec<String>) {
    let Value::Object(members) = tree else { return };
    for (name, member) in members {
        let path = join(path, name);
        collect(member, &path, paths);
        paths.push(path);
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a group of settings",
    }
}

/// Edits that make one text of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Durations in documents are whole milliseconds.
pub(super) mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Duration, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_u64(u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests;
