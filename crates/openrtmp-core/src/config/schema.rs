//! What may stand at a setting: read, checked, told, masked.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use openrtmp_protocol::text;
use serde_json::Value;

use super::settings::SETTINGS;
use super::{HttpListen, Listen, Pem, callback, relay, units};

/// What stands for a key.
const MASK: &str = "***";

/// What a setting holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// True or false.
    Flag,
    /// A whole number.
    Number(Range),
    /// Bytes.
    Bytes(Range),
    /// Milliseconds.
    Duration(Range),
    /// A text.
    Text,
    /// A text, of which `off` means nothing.
    TextOrOff,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// Texts.
    List,
    /// A program and its arguments; nobody is shown the latter.
    Command,
    /// Texts that nobody is shown.
    Keys,
    /// A text that nobody is shown: a key as PEM, or its file.
    Key,
    /// A text that is a secret, whatever stands in it.
    Secret,
    /// A URL with a key in it, or without.
    Url,
    /// The same of HTTP.
    WebUrl,
    /// Addresses with ports to listen on for RTMP.
    Addresses,
    /// Addresses with ports to deliver streams on.
    WebAddresses,
    /// Addresses with ports.
    Sockets,
    /// Groups of settings of their own, that may hold keys.
    Groups(&'static [Member]),
}

/// A setting of each group of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    name: &'static str,
    kind: Kind,
    required: bool,
}

impl Member {
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn is_required(&self) -> bool {
        self.required
    }
}

pub(super) const fn required(name: &'static str, kind: Kind) -> Member {
    Member {
        name,
        kind,
        required: true,
    }
}

pub(super) const fn optional(name: &'static str, kind: Kind) -> Member {
    Member {
        name,
        kind,
        required: false,
    }
}

/// From the least to the most, and 0 where that stands for "off".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) least: u64,
    pub(super) most: u64,
    pub(super) or_zero: bool,
}

/// What a setting holds.
pub(super) fn kind_of(path: &str) -> Option<Kind> {
    let setting = SETTINGS.iter().find(|known| known.path() == path)?;
    Some(setting.kind)
}

impl Kind {
    pub(super) fn is_secret(self) -> bool {
        matches!(
            self,
            Kind::Keys
                | Kind::Command
                | Kind::Key
                | Kind::Secret
                | Kind::Url
                | Kind::WebUrl
                | Kind::Groups(_)
        )
    }

    /// Whether `off` is a value.
    fn may_be_off(self) -> bool {
        match self {
            Kind::Choice(texts) => texts.contains(&"off"),
            kind => kind == Kind::TextOrOff,
        }
    }

    /// Whether it has elements.
    pub(super) fn is_list(self) -> bool {
        matches!(
            self,
            Kind::List
                | Kind::Command
                | Kind::Keys
                | Kind::Addresses
                | Kind::WebAddresses
                | Kind::Sockets
                | Kind::Groups(_)
        )
    }

    /// The range of what is a number in documents.
    pub(super) fn range(self) -> Option<Range> {
        match self {
            Kind::Number(range) | Kind::Bytes(range) | Kind::Duration(range) => Some(range),
            _ => None,
        }
    }

    /// A value of a document as the settings have it, if it may stand here.
    pub(super) fn read(self, value: &Value) -> Option<Value> {
        // YAML takes `off` for false.
        let off = Value::from("off");
        let value = match value {
            Value::Bool(false) if self.may_be_off() => &off,
            value => value,
        };
        let fits = match self {
            Kind::Flag => value.is_boolean(),
            Kind::Text | Kind::TextOrOff | Kind::Key | Kind::Secret | Kind::Url | Kind::WebUrl => {
                value.is_string()
            }
            Kind::Choice(texts) => {
                // YAML takes a version for a number.
                let number = value.as_number().map(ToString::to_string);
                let text = value.as_str().or(number.as_deref());
                return text.filter(|text| texts.contains(text)).map(Value::from);
            }
            Kind::List | Kind::Keys | Kind::Command => {
                let items = value.as_array();
                items.is_some_and(|items| items.iter().all(Value::is_string))
            }
            Kind::Sockets => {
                let items = value.as_array()?.iter();
                let read = |item: &Value| item.as_str()?.parse::<SocketAddr>().ok();
                items.map(read).all(|socket| socket.is_some())
            }
            Kind::Addresses => serde_json::from_value::<Vec<Listen>>(value.clone()).is_ok(),
            Kind::WebAddresses => serde_json::from_value::<Vec<HttpListen>>(value.clone()).is_ok(),
            Kind::Groups(members) => {
                let groups = value.as_array()?.iter();
                return groups.map(|group| read_group(members, group)).collect();
            }
            Kind::Number(range) | Kind::Bytes(range) | Kind::Duration(range) => {
                let number = match (self, value.as_str()) {
                    (Kind::Bytes(_), Some(text)) => units::bytes(text),
                    (Kind::Duration(_), Some(text)) => units::milliseconds(text),
                    _ => value.as_u64(),
                };
                return number.filter(|n| range.holds(*n)).map(Value::from);
            }
        };
        fits.then(|| value.clone())
    }

    /// A value of the settings without the keys in it.
    pub(super) fn masked(self, value: &Value) -> Value {
        let each = |masked: &dyn Fn(&Value) -> Value| -> Value {
            value.as_array().into_iter().flatten().map(masked).collect()
        };
        match (self, value.as_str()) {
            (Kind::Key, Some(text)) if Pem::from(text).is_text() => MASK.into(),
            (Kind::Secret, Some(text)) if !text.is_empty() => MASK.into(),
            (Kind::WebUrl, Some(url)) if !url.is_empty() => callback::shown(url).into(),
            (Kind::Url, Some(url)) => relay::shown(url).into(),
            (Kind::Keys, _) => each(&|_| MASK.into()),
            (Kind::Command, _) => {
                let words = value.as_array().into_iter().flatten();
                let shown = |(index, word): (usize, &Value)| match index {
                    0 => word.clone(),
                    _ => MASK.into(),
                };
                words.enumerate().map(shown).collect()
            }
            (Kind::Groups(members), _) => each(&|group| {
                let mut group = group.clone();
                for member in members {
                    if let Some(value) = group.get_mut(member.name) {
                        *value = member.kind.masked(value);
                    }
                }
                group
            }),
            _ => value.clone(),
        }
    }

    /// A value as people are told of it.
    pub(super) fn show(self, value: &Value) -> String {
        match (self, value.as_u64()) {
            (kind, _) if kind.is_secret() => MASK.to_owned(),
            (Kind::Duration(_), Some(ms)) => format!("{:?}", Duration::from_millis(ms)),
            // A document may be one large value.
            _ => text::shown(&value.to_string()).to_string(),
        }
    }
}

impl Range {
    pub(super) fn holds(self, number: u64) -> bool {
        (self.least..=self.most).contains(&number) || (self.or_zero && number == 0)
    }

    fn describe(self, f: &mut fmt::Formatter<'_>, show: impl Fn(u64) -> String) -> fmt::Result {
        // What no machine can hold is no bound worth telling.
        match (self.least, self.most >= u64::from(u32::MAX)) {
            (0, true) => f.write_str(", 0 or more")?,
            (_, true) => write!(f, " of at least {}", show(self.least))?,
            _ => write!(f, " from {} to {}", show(self.least), show(self.most))?,
        }
        match self.or_zero {
            true => f.write_str(" or 0"),
            false => Ok(()),
        }
    }
}

/// A group of a list as the settings have it, if it may stand there.
fn read_group(members: &[Member], group: &Value) -> Option<Value> {
    let group = group.as_object()?;
    let known = |name: &String| members.iter().any(|member| member.name == name);
    if !group.keys().all(known) {
        return None;
    }
    let mut read = serde_json::Map::new();
    for member in members {
        match group.get(member.name).filter(|value| !value.is_null()) {
            Some(value) => {
                read.insert(member.name.to_owned(), member.kind.read(value)?);
            }
            None if member.required => return None,
            None => {}
        }
    }
    Some(read.into())
}

/// What may stand there, as what follows "expected".
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Flag => f.write_str("true or false"),
            Kind::Text | Kind::TextOrOff => f.write_str("a text"),
            Kind::Choice(texts) => write!(f, "one of {}", texts.join(", ")),
            Kind::List => f.write_str("a list of texts"),
            Kind::Command => f.write_str("a list of texts, a program and its arguments"),
            Kind::Keys => f.write_str("a list of keys, each a text"),
            Kind::Url => f.write_str("a URL"),
            Kind::WebUrl => f.write_str("a URL such as https://host/path"),
            Kind::Key => f.write_str("a file's name or a key as PEM, a text"),
            Kind::Secret => f.write_str("a text that is kept secret"),
            Kind::Sockets => f.write_str("a list of addresses such as 0.0.0.0:80"),
            Kind::Addresses => {
                f.write_str("a list of addresses such as 0.0.0.0:1935 or rtmps://0.0.0.0:1936")
            }
            Kind::WebAddresses => f.write_str(
                "a list of addresses such as http://0.0.0.0:8080 or https://0.0.0.0:8443, or auto",
            ),
            Kind::Groups(members) => {
                f.write_str("a list of groups")?;
                for (index, member) in members.iter().enumerate() {
                    let join = if index == 0 { ", each with" } else { "," };
                    let whether = if member.required { "" } else { "perhaps " };
                    write!(f, "{join} {whether}{} ({})", member.name, member.kind)?;
                }
                Ok(())
            }
            Kind::Number(range) => {
                f.write_str("a whole number")?;
                range.describe(f, |number| number.to_string())
            }
            Kind::Bytes(range) => {
                f.write_str("bytes")?;
                range.describe(f, |number| number.to_string())?;
                f.write_str(", as a number or such as 64KiB")
            }
            Kind::Duration(range) => {
                f.write_str("a duration")?;
                range.describe(f, |ms| format!("{:?}", Duration::from_millis(ms)))?;
                f.write_str(", as milliseconds or such as 10s")
            }
        }
    }
}
