//! Settings as variables of an environment: `OPENRTMP_` and the path of a setting in
//! capitals, `__` for each dot.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::Config;
use super::document::{self, Change, DocumentError};
use super::schema::{Kind, kind_of};
use super::settings::SETTINGS;

/// What the names of variables begin with.
const PREFIX: &str = "OPENRTMP_";

/// What a variable's name ends with whose value is the name of a file.
const FILE: &str = "_FILE";

/// A variable that names no setting.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownVariable {
    /// Its name.
    pub name: String,
    /// That of the nearest setting, if one is like it.
    pub hint: Option<String>,
}

impl fmt::Display for UnknownVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: no such setting", self.name)?;
        match &self.hint {
            Some(hint) => write!(f, "; did you mean {hint}?"),
            None => Ok(()),
        }
    }
}

/// Why the variables of an environment were not taken. The settings are as before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VariableError {
    /// A value is no text.
    #[error("{name}: not UTF-8")]
    Encoding {
        /// The variable.
        name: String,
    },
    /// A value may not stand there.
    #[error("{name}: {source}")]
    Value {
        /// The variable.
        name: String,
        /// What is wrong.
        source: DocumentError,
    },
    /// The file that a variable names cannot be read.
    #[error("{name}: {}: {source}", file.display())]
    File {
        /// The variable.
        name: String,
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing stands in the value, or in the file with it, of a setting that keeps somebody
    /// out.
    #[error("{name}: empty; for none, take the variable away or say []")]
    Empty {
        /// The variable.
        name: String,
    },
    /// A setting has two values.
    #[error("{name}: {name}_FILE is there as well")]
    Twice {
        /// The variable with the value itself.
        name: String,
    },
}

impl Config {
    /// Takes over what the variables of an environment name, for example
    /// `std::env::vars_os()`: `OPENRTMP_STREAMS__REPUBLISH_GRACE` is
    /// `streams.republish_grace`. Values are as [`Config::set`] takes them. With `_FILE`
    /// behind its name a variable names the file in which the value stands, as secrets of
    /// containers do; an end of line behind it does not count.
    ///
    /// An empty value is none where it may be, but for secrets and what stands below `access`,
    /// `tls.client_auth` and `tls.client`, and in files: a variable that was not filled in, or
    /// a file on a full disk, opens nothing.
    ///
    /// The library reads no environment of its own accord: what is not passed here has
    /// no effect.
    ///
    /// Returns the variables that begin with `OPENRTMP_` and name no setting, but for
    /// those by which Kubernetes and Docker tell of a service of that name
    /// (`OPENRTMP_PORT=tcp://...`).
    ///
    /// # Errors
    /// The first value, by name, that is not allowed.
    pub fn merge_environment(
        &mut self,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Vec<UnknownVariable>, VariableError> {
        let mut own: Vec<(String, OsString)> = variables
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name.starts_with(PREFIX))
            .collect();
        own.sort();
        let (mut change, mut unknown) = (Change::new(self), Vec::new());
        let mut names = Vec::new();
        for (name, value) in &own {
            let Some((path, is_file)) = path_of(name) else {
                if !is_of_a_service(name) {
                    unknown.push(UnknownVariable {
                        name: name.clone(),
                        hint: nearest(name),
                    });
                }
                continue;
            };
            let text = match value.to_str() {
                None => return Err(VariableError::Encoding { name: name.clone() }),
                Some(file) if is_file => {
                    if let Some(plain) = own.iter().find(|(other, _)| *other == variable(path)) {
                        let name = plain.0.clone();
                        return Err(VariableError::Twice { name });
                    }
                    read(name, Path::new(file))?
                }
                Some(text) => text.to_owned(),
            };
            if is_empty(path, &text) && (is_file || keeps_out(path)) {
                return Err(VariableError::Empty { name: name.clone() });
            }
            let wrong = |source| VariableError::Value {
                name: name.clone(),
                source,
            };
            change.apply_text(path, &text).map_err(wrong)?;
            names.push((path, name));
        }
        *self = change.finish().map_err(|source| {
            let named = |path: &str| names.iter().find(|(of, _)| *of == path);
            let name = match &source {
                DocumentError::Value { path, .. } => named(path).map(|(_, name)| *name),
                _ => None,
            };
            let name = name.cloned().unwrap_or_else(|| PREFIX.to_owned());
            VariableError::Value { name, source }
        })?;
        Ok(unknown)
    }

    /// The files that those variables name whose values stand in files: for who watches
    /// them, to merge again when one changes.
    pub fn environment_files(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Vec<PathBuf> {
        let files = variables.into_iter().filter(|(name, _)| {
            let setting = name.to_str().and_then(path_of);
            setting.is_some_and(|(_, is_file)| is_file)
        });
        files.map(|(_, file)| file.into()).collect()
    }
}

/// The variable of a setting.
fn variable(path: &str) -> String {
    let name = path.replace('.', "__").to_ascii_uppercase();
    format!("{PREFIX}{name}")
}

/// The variable that was most likely meant. What all have in common does not make names
/// alike.
fn nearest(name: &str) -> Option<String> {
    let variables = SETTINGS.iter().map(|s| variable(s.path()));
    let own = variables.map(|name| name[PREFIX.len()..].to_owned());
    let found = document::nearest(&name[PREFIX.len()..], own)?;
    Some(format!("{PREFIX}{found}"))
}

/// The setting of a variable, and whether its value stands in a file. A setting whose own
/// name ends like that of a file is meant itself.
fn path_of(name: &str) -> Option<(&'static str, bool)> {
    let find = |name: &str| SETTINGS.iter().find(|s| variable(s.path()) == name);
    if let Some(setting) = find(name) {
        return Some((setting.path(), false));
    }
    let setting = find(name.strip_suffix(FILE)?)?;
    Some((setting.path(), true))
}

/// Whether a text is nothing as the value of a setting: `[]` is a list without elements, and
/// somebody meant it.
fn is_empty(path: &str, text: &str) -> bool {
    let is_list = kind_of(path).is_some_and(Kind::is_list);
    text.chars()
        .all(|c| c.is_whitespace() || (is_list && c == ','))
}

/// Whether somebody may come in, or be believed, because nothing stands at this setting.
fn keeps_out(path: &str) -> bool {
    let groups = ["access.", "tls.client_auth.", "tls.client."];
    groups.iter().any(|group| path.starts_with(group))
        || matches!(kind_of(path), Some(Kind::Key | Kind::Secret))
}

fn read(name: &str, file: &Path) -> Result<String, VariableError> {
    let error = |source| VariableError::File {
        name: name.to_owned(),
        file: file.to_owned(),
        source,
    };
    let mut text = document::read(file).map_err(error)?;
    if text.len() > document::MAX_DOCUMENT {
        let what = format!("longer than {} bytes", document::MAX_DOCUMENT);
        return Err(error(io::Error::new(io::ErrorKind::InvalidData, what)));
    }
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

/// Whether a name is one of those that Kubernetes and Docker give to the variables about
/// a service whose own name begins like ours: `..._SERVICE_HOST`, `..._SERVICE_PORT_RTMP`,
/// `..._PORT`, `..._PORT_1935_TCP_ADDR` (Kubernetes documentation, "Accessing the
/// Service").
fn is_of_a_service(name: &str) -> bool {
    let name = &name[PREFIX.len() - 1..];
    let is_port = |rest: &str| {
        let mut parts = rest.split('_');
        let number = parts.next().unwrap_or_default();
        let protocol = parts.next().unwrap_or_default();
        let what = parts.next();
        let known = [None, Some("PROTO"), Some("PORT"), Some("ADDR")].contains(&what);
        let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        is_number && ["TCP", "UDP", "SCTP"].contains(&protocol) && known && parts.next().is_none()
    };
    let ports = name.match_indices("_PORT_");
    name.contains("_SERVICE_PORT")
        || name.ends_with("_SERVICE_HOST")
        || name.ends_with("_PORT")
        || ports
            .into_iter()
            .any(|(at, port)| is_port(&name[at + port.len()..]))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn merge(
        config: &mut Config,
        variables: &[(&str, &str)],
    ) -> Result<Vec<UnknownVariable>, VariableError> {
        let variables = variables.iter().map(|(n, v)| (n.into(), v.into()));
        config.merge_environment(variables)
    }

    #[test]
    fn every_setting_has_a_variable_of_its_own() {
        let mut names: Vec<String> = SETTINGS.iter().map(|s| variable(s.path())).collect();
        for (name, setting) in names.iter().zip(SETTINGS) {
            assert_eq!(path_of(name), Some((setting.path(), false)));
            let file = format!("{name}{FILE}");
            assert!(path_of(&file).is_some(), "{file}");
            assert!(!is_of_a_service(name), "{name} would be passed over");
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), SETTINGS.len());
    }

    #[test]
    fn variables_are_read_as_values_by_path() {
        let mut config = Config::desktop();
        let unknown = merge(
            &mut config,
            &[
                ("OPENRTMP_STREAMS__REPUBLISH_GRACE", "7s"),
                ("OPENRTMP_LISTEN", "127.0.0.1:0,[::1]:0"),
                ("OPENRTMP_RECORD__DIRECTORY", "films"),
                (
                    "OPENRTMP_RELAY__PUSH",
                    r#"[{"match": "a/*", "to": "rtmp://h/{app}/{name}"}]"#,
                ),
                ("OPENRTMP_RTMP__STRICT_HANDSHAKE", "true"),
                ("PATH", "/bin"),
            ],
        );
        assert_eq!(unknown.expect("values"), []);
        assert_eq!(config.streams.republish_grace, Duration::from_secs(7));
        assert_eq!(config.listen.len(), 2);
        assert_eq!(config.relay.push[0].pattern, "a/*");
        assert!(config.rtmp.strict_handshake);
        assert_eq!(
            config.record.expect("it records").directory,
            Path::new("films")
        );
    }

    #[test]
    fn a_secret_may_stand_in_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("keys");
        std::fs::write(&file, "one,two\r\n").expect("a file");
        let file = file.to_str().expect("UTF-8");
        let mut config = Config::desktop();
        let name = "OPENRTMP_ACCESS__PUBLISH_KEYS";
        let in_file = format!("{name}_FILE");
        merge(&mut config, &[(&in_file, file)]).expect("keys");
        let variables = [(in_file.as_str(), file), (name, "a"), ("X_FILE", "b")];
        let variables = variables.map(|(n, v)| (n.into(), v.into()));
        assert_eq!(Config::environment_files(variables), [Path::new(file)]);
        assert_eq!(config.access.publish_keys, ["one", "two"]);
        let error = merge(&mut config, &[(&in_file, file), (name, "a")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "OPENRTMP_ACCESS__PUBLISH_KEYS: OPENRTMP_ACCESS__PUBLISH_KEYS_FILE is there as well"
        );
        let error = merge(&mut config, &[(&in_file, "/nowhere/at/all")]).unwrap_err();
        assert!(matches!(error, VariableError::File { .. }), "{error}");
        std::fs::write(file, vec![b'x'; document::MAX_DOCUMENT + 1]).expect("a file");
        let error = merge(&mut config, &[(&in_file, file)]).unwrap_err();
        assert!(
            error.to_string().ends_with("longer than 1048576 bytes"),
            "{error}"
        );
    }

    #[test]
    fn what_is_empty_opens_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("secret");
        let in_file = file.to_str().expect("UTF-8");
        let mut config = Config::desktop();
        config.access.publish_keys = vec!["kept".to_owned()];
        config.metrics.listen = vec!["127.0.0.1:9090".parse().expect("an address")];
        let before = config.clone();
        for (name, text) in [
            ("OPENRTMP_ACCESS__PUBLISH_KEYS", ""),
            ("OPENRTMP_ACCESS__PUBLISH_KEYS", " , ,"),
            ("OPENRTMP_ACCESS__USERS", ""),
            ("OPENRTMP_ACCESS__RULES", "\t"),
            ("OPENRTMP_ACCESS__CALLBACK__URL", " "),
            ("OPENRTMP_ACCESS__KEYS_FILE", ""),
            ("OPENRTMP_TLS__CLIENT__PINS", ""),
            ("OPENRTMP_TLS__KEY", ""),
            ("OPENRTMP_METRICS__LISTEN_FILE", "\n"),
            ("OPENRTMP_ACCESS__PLAY_KEYS_FILE", "\r\n \n"),
            ("OPENRTMP_ACCESS__PLAY_KEYS_FILE", ",\n"),
        ] {
            std::fs::write(&file, text).expect("a file");
            let is_file = path_of(name).is_some_and(|(_, is_file)| is_file);
            let value = if is_file { in_file } else { text };
            let error = merge(&mut config, &[("OPENRTMP_WORKERS", "3"), (name, value)]);
            let error = error.expect_err(name).to_string();
            assert!(error.starts_with(&format!("{name}: empty")), "{error}");
            assert_eq!(config, before, "{name}");
        }
        let none = [
            ("OPENRTMP_ACCESS__PUBLISH_KEYS", "[]"),
            ("OPENRTMP_METRICS__LISTEN", ""),
        ];
        merge(&mut config, &none).expect("somebody meant it");
        assert!(config.access.publish_keys.is_empty() && config.metrics.listen.is_empty());
    }

    #[test]
    fn a_wrong_value_names_its_variable_and_changes_nothing() {
        let mut config = Config::desktop();
        let before = config.clone();
        let error = merge(
            &mut config,
            &[
                ("OPENRTMP_GOP__MAX_FRAMES", "7"),
                ("OPENRTMP_WORKERS", "65"),
            ],
        );
        assert_eq!(
            error.unwrap_err().to_string(),
            "OPENRTMP_WORKERS: workers = 65: expected a whole number from 0 to 64"
        );
        let keys = ("OPENRTMP_ACCESS__PLAY_KEYS", "SE CRET");
        let error = merge(&mut config, &[keys]).unwrap_err().to_string();
        assert!(
            error.starts_with("OPENRTMP_ACCESS__PLAY_KEYS: access.play_keys"),
            "{error}"
        );
        assert!(!error.contains("CRET"), "{error}");
        assert_eq!(config, before);
    }

    #[test]
    fn what_names_no_setting_is_told_and_services_are_passed_over() {
        let mut config = Config::desktop();
        let unknown = merge(
            &mut config,
            &[
                ("OPENRTMP_PORT", "tcp://10.0.0.1:1935"),
                ("OPENRTMP_PORT_1935_TCP", "tcp://10.0.0.1:1935"),
                ("OPENRTMP_PORT_1935_TCP_ADDR", "10.0.0.1"),
                ("OPENRTMP_SERVICE_HOST", "10.0.0.1"),
                ("OPENRTMP_SERVICE_PORT_RTMP", "1935"),
                ("OPENRTMP_EDGE_SERVICE_PORT", "1935"),
                ("OPENRTMP_EDGE_PORT_1935_TCP_PROTO", "tcp"),
                ("OPENRTMP_STREAMS__REPUBLISH_GRCE", "7s"),
                ("OPENRTMP_X", "1"),
            ],
        );
        let unknown: Vec<String> = unknown
            .expect("no values")
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            unknown,
            [
                "OPENRTMP_STREAMS__REPUBLISH_GRCE: no such setting; did you mean \
                 OPENRTMP_STREAMS__REPUBLISH_GRACE?",
                "OPENRTMP_X: no such setting"
            ]
        );
        assert_eq!(config, Config::desktop());
    }
}
