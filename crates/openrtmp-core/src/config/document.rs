//! Settings as documents: JSON and YAML in and out, and single values by dotted
//! path.
//!
//! A document changes what it names and leaves the rest as it is. It is applied
//! value by value, so that an error names the path it is about; a document with
//! an error changes nothing. Durations are whole milliseconds.

use std::path::Path;

use serde_json::Value;

use super::{Config, RecordConfig};

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// YAML.
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
}

/// Why a document or a value was not taken. The settings are as before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// It is not JSON, or not YAML.
    #[error("{0}")]
    Syntax(String),
    /// There is no such setting.
    #[error("{path}: no such setting{}", hint.as_ref().map_or(String::new(), |h| format!("; did you mean {h}?")))]
    Unknown {
        /// Dotted path.
        path: String,
        /// The nearest that there is.
        hint: Option<String>,
    },
    /// The value is of another kind.
    #[error("{path} = {value}: {allowed}")]
    Value {
        /// Dotted path.
        path: String,
        /// The value found; keys are not shown.
        value: String,
        /// What may stand there.
        allowed: String,
    },
}

/// Values that aliases of a YAML document may stand for: more than there are settings,
/// and a bound on what a short document can unfold to.
const ALIAS_EVENTS: usize = 4096;

impl Config {
    /// Takes over what a document names, for example `{"rtmp": {"chunk_size": 4096}}`.
    pub fn merge(&mut self, text: &str, format: Format) -> Result<(), DocumentError> {
        let syntax = |e: &dyn std::fmt::Display| DocumentError::Syntax(e.to_string());
        let document: Value = match format {
            Format::Json => serde_json::from_str(text).map_err(|e| syntax(&e))?,
            Format::Yaml => serde_saphyr::from_str_with_options(
                text,
                serde_saphyr::options! {
                    // The lines around an error may hold keys.
                    with_snippet: false,
                    alias_limits: serde_saphyr::alias_limits! {
                        max_total_replayed_events: ALIAS_EVENTS,
                    },
                },
            )
            .map_err(|e| syntax(&e))?,
        };
        match document {
            // An empty YAML file.
            Value::Null => Ok(()),
            Value::Object(_) => self.apply("", &document),
            other => Err(DocumentError::Syntax(format!(
                "settings are a map of names and values, not {}",
                kind(&other)
            ))),
        }
    }

    /// Sets one value by its dotted path, for example `rtmp.chunk_size`. The text
    /// is a JSON value, or, where a text stands, that text as it is, and where a
    /// list stands, its elements with commas between them.
    pub fn set(&mut self, path: &str, text: &str) -> Result<(), DocumentError> {
        let tree = self.tree();
        let old = lookup(&tree, path)?;
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
        let tree = self.plain_tree();
        // A tree of plain values can always be written.
        match format {
            Format::Json => serde_json::to_string_pretty(&tree).unwrap_or_default(),
            Format::Yaml => serde_saphyr::to_string(&tree).unwrap_or_default(),
        }
    }

    /// Dotted paths of what is not the same in `other`. A group that one of them
    /// does not have at all (`record`) is one path.
    pub fn changes(&self, other: &Config) -> Vec<String> {
        let mut paths = Vec::new();
        compare("", &self.plain_tree(), &other.plain_tree(), &mut paths);
        paths
    }

    /// Applies every value of `document` below `path`, or nothing.
    fn apply(&mut self, path: &str, document: &Value) -> Result<(), DocumentError> {
        let mut config = self.clone();
        apply(&mut config, path, document)?;
        *self = config;
        Ok(())
    }

    fn plain_tree(&self) -> Value {
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

fn apply(config: &mut Config, path: &str, value: &Value) -> Result<(), DocumentError> {
    let mut tree = config.tree();
    let old = lookup(&tree, path)?;
    let optional = path == "record" && value.is_null();
    match (old, value) {
        (Value::Object(_), Value::Object(members)) => {
            for (name, member) in members {
                apply(config, &join(path, name), member)?;
            }
            return Ok(());
        }
        // A document that was dumped names groups that are off.
        _ if optional => {
            config.record = None;
            return Ok(());
        }
        _ if std::mem::discriminant(old) != std::mem::discriminant(value) => {
            return Err(wrong(path, value, kind(old).to_owned()));
        }
        _ => {}
    }
    let record = config.record.is_some() || path.starts_with("record");
    if let Some(slot) = tree.pointer_mut(&pointer(path)) {
        *slot = value.clone();
    }
    if !record && let Some(slot) = tree.get_mut("record") {
        *slot = Value::Null;
    }
    *config = serde_json::from_value(tree).map_err(|e| {
        let allowed = match is_secret(path) {
            true => "a list of keys".to_owned(),
            false => e.to_string(),
        };
        wrong(path, value, allowed)
    })?;
    Ok(())
}

fn wrong(path: &str, value: &Value, allowed: String) -> DocumentError {
    let value = match is_secret(path) {
        true => "***".to_owned(),
        false => value.to_string(),
    };
    DocumentError::Value {
        path: path.to_owned(),
        value,
        allowed,
    }
}

/// Whether what stands at a path, or below it, is keys.
fn is_secret(path: &str) -> bool {
    path == "access" || (path.starts_with("access.") && path.ends_with("_keys"))
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
    let hint = paths
        .into_iter()
        .map(|candidate| (distance(path, &candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len() / 2)
        .map(|(_, candidate)| candidate);
    Err(DocumentError::Unknown {
        path: path.to_owned(),
        hint,
    })
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
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limit::Limit;

    fn path_of(error: DocumentError) -> String {
        match error {
            DocumentError::Unknown { path, .. } | DocumentError::Value { path, .. } => path,
            DocumentError::Syntax(text) => panic!("{text}"),
        }
    }

    #[test]
    fn a_document_changes_what_it_names() {
        let mut config = Config::mobile();
        let text = r#"{"listen": ["127.0.0.1:0"], "rtmp": {"idle_timeout": 1500}}"#;
        config.merge(text, Format::Json).unwrap();
        assert_eq!(config.listen, ["127.0.0.1:0".parse().unwrap()]);
        assert_eq!(config.rtmp.idle_timeout, Duration::from_millis(1500));
        assert_eq!(config.limits.connections, 100);
        assert_eq!(config.record, None);
    }

    #[test]
    fn yaml_says_the_same() {
        let mut config = Config::desktop();
        let text = "rtmp:\n  strict_handshake: true\nstreams:\n  second_publisher: takeover\n";
        config.merge(text, Format::Yaml).unwrap();
        assert!(config.rtmp.strict_handshake);
        assert_eq!(
            config.streams.second_publisher,
            crate::config::SecondPublisher::Takeover
        );
        config.merge("", Format::Yaml).unwrap();
    }

    #[test]
    fn aliases_stand_for_values_but_not_for_any_number_of_them() {
        let mut config = Config::desktop();
        let text = "rtmp:\n  handshake_timeout: &t 1500\n  connect_timeout: *t\n";
        config.merge(text, Format::Yaml).unwrap();
        assert_eq!(config.rtmp.connect_timeout, Duration::from_millis(1500));

        let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for (name, before) in ('b'..='e').zip('a'..) {
            let ten = vec![format!("*{before}"); 10].join(", ");
            bomb.push_str(&format!("{name}: &{name} [{ten}]\n"));
        }
        let error = config.merge(&bomb, Format::Yaml).unwrap_err();
        assert!(matches!(error, DocumentError::Syntax(_)), "{error}");
    }

    #[test]
    fn what_is_dumped_is_read_again() {
        let mut original = Config::mobile();
        original.access.publish_keys = vec!["a".into()];
        original.record = Some(RecordConfig::new("recordings"));
        for format in [Format::Json, Format::Yaml] {
            let mut read = Config::desktop();
            read.merge(&original.dump(format), format).unwrap();
            assert_eq!(read, original);
        }
        let mut off = original.clone();
        off.merge(&Config::desktop().dump(Format::Json), Format::Json)
            .unwrap();
        assert_eq!(off.record, None);
    }

    #[test]
    fn an_unknown_setting_is_an_error_with_the_nearest_name() {
        let mut config = Config::desktop();
        let error = config
            .merge(r#"{"rtmp": {"chunk_sise": 4096}}"#, Format::Json)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "rtmp.chunk_sise: no such setting; did you mean rtmp.chunk_size?"
        );
        assert!(config.set("listen.0", "x").is_err());
        assert!(config.get("rtmp/chunk_size").is_err());
    }

    #[test]
    fn an_error_names_the_path_and_changes_nothing() {
        let mut config = Config::desktop();
        let before = config.clone();
        let text = r#"{"workers": 3, "rtmp": {"chunk_size": "big"}}"#;
        let error = config.merge(text, Format::Json).unwrap_err();
        assert_eq!(error.to_string(), "rtmp.chunk_size = \"big\": a number");
        let error = config.set("listen", "nowhere").unwrap_err();
        assert_eq!(path_of(error), "listen");
        let error = config.set("workers", "-1").unwrap_err();
        assert_eq!(path_of(error), "workers");
        assert_eq!(config, before);
        assert!(config.merge("[]", Format::Json).is_err());
        assert!(config.merge("{", Format::Json).is_err());
    }

    #[test]
    fn values_are_set_and_told_by_path() {
        let mut config = Config::desktop();
        config.set("listen", "127.0.0.1:0, [::1]:0").unwrap();
        assert_eq!(config.listen.len(), 2);
        config.set("access.publish_keys", "12345").unwrap();
        assert_eq!(config.access.publish_keys, ["12345"]);
        config.set("record.directory", "/recordings").unwrap();
        assert_eq!(config.get("record.directory").unwrap(), "/recordings");
        config.set("record", "null").unwrap();
        assert_eq!(config.get("record.directory").unwrap(), "null");
        config.set("limits.session.amf.depth", "7").unwrap();
        assert_eq!(config.limits.session.amf.depth, 7);
        assert_eq!(config.get("queue.max_delay").unwrap(), "5000");
    }

    #[test]
    fn changes_are_told_by_their_paths() {
        let before = Config::desktop();
        assert!(before.changes(&before).is_empty());
        let mut after = before.clone();
        after.listen.pop();
        after.rtmp.chunk_size = 4096;
        after.limits.session.amf.depth = 7;
        after.record = Some(RecordConfig::new("recordings"));
        let mut paths = before.changes(&after);
        paths.sort();
        let all = [
            "limits.session.amf.depth",
            "listen",
            "record",
            "rtmp.chunk_size",
        ];
        assert_eq!(paths, all);
        let mut other = after.clone();
        other.record = Some(RecordConfig::new("elsewhere"));
        assert_eq!(after.changes(&other), ["record.directory"]);
    }

    #[test]
    fn security_md_tells_of_every_limit_and_of_nothing_else() {
        let text = include_str!("../../../../SECURITY.md");
        let tree = Config::desktop().tree();
        // The first column of the table below "## Limits".
        let section = text
            .split("\n## ")
            .find(|s| s.starts_with("Limits"))
            .unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
        let column = rows.filter_map(|row| row.split('|').next());
        let told: Vec<&str> = column
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .collect();
        for limit in Limit::ALL {
            let count = told.iter().filter(|path| **path == limit.path()).count();
            assert_eq!(count, 1, "{limit}");
        }
        assert_eq!(told.len(), Limit::ALL.len(), "{told:?}");
        // What is set below `limits` is a limit, or says what comes of one.
        let mut paths = Vec::new();
        collect(&tree, "", &mut paths);
        let is_leaf = |path: &&String| !lookup(&tree, path).is_ok_and(Value::is_object);
        let settings = paths.iter().filter(|path| path.starts_with("limits."));
        for path in settings.filter(is_leaf) {
            let known = path == "limits.disconnect_over_bitrate" || told.contains(&path.as_str());
            assert!(known, "{path} is not told of");
        }
        // Elsewhere too, what looks like a setting is one.
        let groups = ["limits.", "rtmp.", "streams.", "queue.", "gop.", "access."];
        let quoted = text.split('`').skip(1).step_by(2);
        for path in quoted.filter(|word| groups.iter().any(|group| word.starts_with(group))) {
            assert!(lookup(&tree, path).is_ok(), "{path} is no setting");
        }
    }

    #[test]
    fn a_limit_has_the_value_of_its_setting() {
        for config in [Config::desktop(), Config::mobile()] {
            for limit in Limit::ALL {
                let value = limit.value(&config).to_string();
                assert_eq!(config.get(limit.path()).unwrap(), value, "{limit}");
            }
        }
    }

    #[test]
    fn a_key_in_an_error_is_not_shown() {
        let json = [
            r#"{"access": {"publish_keys": "1234567"}}"#,
            r#"{"access": {"play_keys": [1234567]}}"#,
            r#"{"access": {"play_keys": ["1234567", null]}}"#,
            r#"{"access": "1234567"}"#,
            r#"{"access": ["1234567"]}"#,
            r#"{"access": {"publish_keys": ["1234567"#,
        ];
        let yaml = [
            "access:\n  publish_keys: 1234567\n",
            "access:\n  publish_keys: [1234567]\n",
            "access:\n  publish_keys: [\"1234567\"\n  play_keys: []\n",
            "access:\n  publish_keys:\n   - 1234567\n  - [\n",
            "access:\n  publish_keys: ['1234567', *x]\n",
        ];
        let json = json.map(|text| (text, Format::Json));
        let yaml = yaml.map(|text| (text, Format::Yaml));
        for (text, format) in json.into_iter().chain(yaml) {
            let mut config = Config::desktop();
            let error = config.merge(text, format).unwrap_err();
            assert!(!error.to_string().contains("12345"), "{error}");
            assert!(!format!("{error:?}").contains("12345"), "{error:?}");
        }
    }

    #[test]
    fn settings_are_printed_without_their_keys() {
        let mut config = Config::desktop();
        config.access.publish_keys = vec!["s3cret".into()];
        config.access.play_keys = vec!["s3cret".into()];
        let shown = format!("{config:?}");
        assert!(
            shown.contains("***") && !shown.contains("s3cret"),
            "{shown}"
        );
    }
}
