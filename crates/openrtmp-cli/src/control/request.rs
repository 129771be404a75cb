//! Everything that an operator can ask for: the one list of verbs.

use std::path::PathBuf;

use openrtmp_core::{
    Config, Format, KeyKind, PullRule, PushRule, RelayConfig, StreamId, StreamSelector,
};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Value, json};

use super::answer::{Code, Refusal};

/// A request: an object whose member `verb` says what is wanted, and the others about what.
/// Keys and URLs in it may be secrets: it is not shown.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// The streams there are.
    Streams {},
    /// The connections there are.
    Connections {},
    /// Ends a connection, or what is published as a stream: one of the two.
    Kick {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        connection: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stream: Option<StreamRef>,
        /// What the log and the events say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Puts a key on record.
    KeysAdd(NewKey),
    /// Takes keys away; what was begun with them ends.
    KeysRevoke { ids: Vec<String> },
    /// The records, without their keys.
    KeysList {},
    /// Relays streams from now on: `push` or `pull`, as in the settings.
    RelayAdd {
        #[serde(
            default,
            deserialize_with = "push",
            skip_serializing_if = "Option::is_none"
        )]
        push: Option<PushRule>,
        #[serde(
            default,
            deserialize_with = "pull",
            skip_serializing_if = "Option::is_none"
        )]
        pull: Option<PullRule>,
    },
    /// Ends a rule that was added.
    RelayRemove { relay: u64 },
    /// The rules and what becomes of each stream.
    RelayList {},
    /// Records a stream, live or still to come.
    RecordStart {
        stream: StreamRef,
        /// The folder; that of `record.directory` if nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        directory: Option<PathBuf>,
        /// As `record.template`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        template: Option<String>,
    },
    /// Completes such a recording.
    RecordStop { stream: StreamRef },
    /// The streams that are recorded so.
    RecordList {},
    /// Reads settings, keys and certificates again.
    Reload {},
    /// Takes nobody new, and stops when all have left.
    Drain {
        /// Where those go that can be asked to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        /// How long they may take, in milliseconds.
        #[serde(default = "half_a_minute")]
        grace_ms: u64,
    },
    /// Whether the server works.
    Health {},
}

fn half_a_minute() -> u64 {
    30_000
}

/// A key to be put on record.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    /// What it is good for.
    pub(crate) kind: Kind,
    /// In which app.
    pub(crate) app: String,
    /// Of which stream; every stream of the app if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stream: Option<String>,
    /// What names the record; made of the kind and the stream or the app if nothing is
    /// said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// The key; a random one if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// When it is no longer good: a date or a time of RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<String>,
}

/// What a key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Publish,
    Play,
}

impl From<Kind> for KeyKind {
    fn from(kind: Kind) -> KeyKind {
        match kind {
            Kind::Publish => KeyKind::Publish,
            Kind::Play => KeyKind::Play,
        }
    }
}

/// A stream, by the id that lists tell or by its path (`app/name`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a stream's id, or its path as a text")]
pub(crate) enum StreamRef {
    Id(u64),
    Path(String),
}

impl StreamRef {
    /// As people write it: digits alone are an id.
    pub(crate) fn parse(text: &str) -> StreamRef {
        match text.parse() {
            Ok(id) => StreamRef::Id(id),
            Err(_) => StreamRef::Path(text.to_owned()),
        }
    }

    pub(super) fn selector(&self) -> StreamSelector {
        match self {
            StreamRef::Id(id) => StreamId::from_u64(*id).into(),
            StreamRef::Path(path) => path.into(),
        }
    }
}

impl Request {
    /// Every verb, in the order of the enum.
    pub(crate) const VERBS: [&'static str; 15] = [
        "streams",
        "connections",
        "kick",
        "keys_add",
        "keys_revoke",
        "keys_list",
        "relay_add",
        "relay_remove",
        "relay_list",
        "record_start",
        "record_stop",
        "record_list",
        "reload",
        "drain",
        "health",
    ];

    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Request, Refusal> {
        let wrong = |what: &dyn std::fmt::Display| Refusal::new(Code::BadRequest, what);
        let value: Value = serde_json::from_str(text).map_err(|e| wrong(&e))?;
        let verb = value.get("verb").and_then(Value::as_str);
        let verb = verb.ok_or_else(|| {
            wrong(&"expected an object with a member verb, such as {\"verb\": \"streams\"}")
        })?;
        if !Request::VERBS.contains(&verb) {
            let known = Request::VERBS.join(", ");
            let what = format!("no such verb; there are {known}");
            return Err(Refusal::new(Code::UnknownVerb, what));
        }
        // From the text again: a member that stands twice is told.
        serde_json::from_str(text).map_err(|e| wrong(&e))
    }

    /// What it is called.
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            Request::Streams {} => "streams",
            Request::Connections {} => "connections",
            Request::Kick { .. } => "kick",
            Request::KeysAdd(_) => "keys_add",
            Request::KeysRevoke { .. } => "keys_revoke",
            Request::KeysList {} => "keys_list",
            Request::RelayAdd { .. } => "relay_add",
            Request::RelayRemove { .. } => "relay_remove",
            Request::RelayList {} => "relay_list",
            Request::RecordStart { .. } => "record_start",
            Request::RecordStop { .. } => "record_stop",
            Request::RecordList {} => "record_list",
            Request::Reload {} => "reload",
            Request::Drain { .. } => "drain",
            Request::Health {} => "health",
        }
    }

    /// Whether it changes anything.
    pub(crate) fn acts(&self) -> bool {
        !matches!(
            self,
            Request::Streams {}
                | Request::Connections {}
                | Request::KeysList {}
                | Request::RelayList {}
                | Request::RecordList {}
                | Request::Health {}
        )
    }
}

fn push<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PushRule>, D::Error> {
    Ok(relays(from, "push")?.push.into_iter().next())
}

fn pull<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PullRule>, D::Error> {
    Ok(relays(from, "pull")?.pull.into_iter().next())
}

/// A rule as an element of this list of the settings, read as they are: with durations that are
/// texts, and no others than may be.
fn relays<'de, D: Deserializer<'de>>(from: D, list: &str) -> Result<RelayConfig, D::Error> {
    let rule: Option<Value> = Option::deserialize(from)?;
    let document = json!({ "relay": { list: Vec::from_iter(rule) } });
    let mut config = Config::desktop();
    let merged = config.merge(&document.to_string(), Format::Json);
    merged.map_err(de::Error::custom)?;
    Ok(config.relay)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(text: &str) -> Refusal {
        match Request::parse(text) {
            Ok(_) => panic!("{text} is taken"),
            Err(refusal) => refusal,
        }
    }

    #[test]
    fn every_verb_is_known_by_its_name_and_nothing_else_is() {
        // What the enum itself says of a verb that it does not know.
        let error = serde_json::from_value::<Request>(json!({"verb": ""}));
        let told = error.err().expect("there is none").to_string();
        let listed = Request::VERBS.map(|verb| format!("`{verb}`")).join(", ");
        assert!(told.ends_with(&format!("one of {listed}")), "{told}");
        for verb in Request::VERBS {
            let parsed = Request::parse(&json!({ "verb": verb }).to_string());
            let name = parsed.as_ref().map_or(verb, Request::verb);
            assert_eq!(name, verb);
            let extra = refusal(&json!({"verb": verb, "surplus": 1}).to_string());
            assert_eq!(extra.code, Code::BadRequest);
            assert!(extra.message.contains("surplus"), "{}", extra.message);
        }
        let unknown = refusal(r#"{"verb": "stream"}"#);
        assert_eq!(unknown.code, Code::UnknownVerb);
        assert!(unknown.message.contains("streams"));
    }

    #[test]
    fn what_is_no_request_is_told() {
        for (text, what) in [
            ("", "EOF"),
            ("streams", "expected value"),
            ("[]", "a member verb"),
            ("{}", "a member verb"),
            (r#"{"verb": 1}"#, "a member verb"),
            (r#"{"verb": "kick", "connection": -1}"#, "-1"),
            (r#"{"verb": "kick", "connection": "1"}"#, "u64"),
            (
                r#"{"verb": "kick", "connection": 1, "connection": 2}"#,
                "duplicate",
            ),
            (
                r#"{"verb": "keys_add", "kind": "read", "app": "live"}"#,
                "publish",
            ),
            (r#"{"verb": "keys_revoke"}"#, "ids"),
            (r#"{"verb": "record_stop", "stream": [1]}"#, "a stream's id"),
            (r#"{"verb": "health"} {}"#, "trailing"),
        ] {
            let refusal = refusal(text);
            assert_eq!(refusal.code, Code::BadRequest, "{text}");
            assert!(
                refusal.message.contains(what),
                "{text}: {}",
                refusal.message
            );
        }
    }

    #[test]
    fn a_request_is_read_as_it_was_written() {
        for request in [
            Request::Kick {
                connection: None,
                stream: Some(StreamRef::parse("live/cam")),
                reason: Some("over".to_owned()),
            },
            Request::RelayAdd {
                push: None,
                pull: Some(PullRule::new("far/*", "rtmp://h/live/{name}")),
            },
            Request::RecordStop {
                stream: StreamRef::parse("17"),
            },
            Request::Drain {
                to: None,
                grace_ms: 5,
            },
        ] {
            let text = serde_json::to_string(&request).expect("it can be written");
            let read = Request::parse(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert!(read == request, "{text}");
        }
        let plain = Request::parse(r#"{"verb": "drain"}"#).ok();
        assert!(
            plain
                == Some(Request::Drain {
                    to: None,
                    grace_ms: 30_000
                })
        );
    }
}
