//! What may stand at each setting: one table, for reading documents, for checking and for
//! telling.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::units;

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
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// Texts.
    List,
    /// Texts that nobody is shown.
    Keys,
    /// Addresses with ports.
    Addresses,
}

/// From the least to the most, and 0 where that stands for "off".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) least: u64,
    pub(super) most: u64,
    pub(super) or_zero: bool,
}

const fn range(least: u64, most: u64) -> Range {
    Range {
        least,
        most,
        or_zero: false,
    }
}

const fn off_or(least: u64, most: u64) -> Range {
    Range {
        least,
        most,
        or_zero: true,
    }
}

const ANY: Range = range(0, usize::MAX as u64);
const LONG: u64 = u64::MAX;
const MINUTE: u64 = 60_000;
const DAY: u64 = 86_400_000;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// At least so much, as far as memory can hold it.
const fn least(least: u64) -> Range {
    range(least, usize::MAX as u64)
}

use Kind::{Addresses, Bytes, Choice, Duration as Time, Flag, Keys, List, Number, Text};

/// Every setting, by its path.
pub(super) const SETTINGS: &[(&str, Kind)] = &[
    ("listen", Addresses),
    ("workers", Number(range(0, 64))),
    ("rtmp.chunk_size", Bytes(range(128, 65_536))),
    ("rtmp.window_ack_size", Bytes(range(KIB, u32::MAX as u64))),
    ("rtmp.strict_handshake", Flag),
    ("rtmp.handshake_timeout", Time(range(100, 10 * MINUTE))),
    ("rtmp.connect_timeout", Time(range(100, 10 * MINUTE))),
    ("rtmp.idle_timeout", Time(range(100, DAY))),
    ("rtmp.ping_interval", Time(off_or(1000, DAY))),
    (
        "streams.second_publisher",
        Choice(&["reject", "takeover", "wait"]),
    ),
    ("streams.publisher_timeout", Time(range(100, DAY))),
    ("streams.media_timeout", Time(off_or(100, DAY))),
    ("streams.message_timeout", Time(off_or(100, DAY))),
    ("streams.goodbye_grace", Time(range(0, DAY))),
    ("streams.start_at_zero", Flag),
    ("streams.all_tracks", Flag),
    ("streams.republish_grace", Time(range(0, DAY))),
    ("streams.wait_for_publisher", Flag),
    ("gop.min_duration", Time(range(0, MINUTE))),
    ("gop.max_duration", Time(range(0, 10 * MINUTE))),
    ("gop.max_frames", Number(ANY)),
    ("gop.max_bytes", Bytes(ANY)),
    ("queue.max_delay", Time(range(10, 10 * MINUTE))),
    ("queue.max_bytes", Bytes(least(64 * KIB))),
    ("queue.worker_bytes", Bytes(least(64 * KIB))),
    ("queue.worker_messages", Number(least(16))),
    ("queue.stall_timeout", Time(range(100, DAY))),
    ("queue.write_coalesce", Time(range(0, 350))),
    ("queue.coalesce_bytes", Bytes(ANY)),
    ("queue.background_coalesce", Time(range(0, 350))),
    (
        "queue.unsent_bytes",
        Bytes(off_or(16 * KIB, u32::MAX as u64)),
    ),
    ("access.publish_keys", Keys),
    ("access.play_keys", Keys),
    ("access.secret_names", Flag),
    ("access.decision_timeout", Time(off_or(100, 10 * MINUTE))),
    ("record.directory", Text),
    ("record.template", Text),
    ("record.apps", List),
    ("record.split_duration", Time(range(0, LONG))),
    ("record.split_bytes", Bytes(range(0, LONG))),
    ("record.queue_bytes", Bytes(least(MIB))),
    ("limits.connections", Number(range(1, 1 << 24))),
    ("limits.connections_per_address", Number(ANY)),
    ("limits.handshake_grace", Time(range(0, 10 * MINUTE))),
    ("limits.publishers", Number(range(1, 1 << 24))),
    ("limits.publishers_per_connection", Number(range(1, 65_536))),
    ("limits.publishers_per_address", Number(ANY)),
    ("limits.connection_work", Time(off_or(1, 1000))),
    ("limits.message_rate", Number(range(0, u32::MAX as u64))),
    ("limits.publisher_bitrate", Number(range(0, LONG))),
    ("limits.disconnect_over_bitrate", Flag),
    ("limits.outgoing_bitrate", Number(range(0, LONG))),
    ("limits.memory", Bytes(least(MIB))),
    ("limits.answer_bytes", Bytes(least(64 * KIB))),
    ("limits.header_bytes", Bytes(ANY)),
    ("limits.tracks", Number(ANY)),
    ("limits.linger", Time(range(0, MINUTE))),
    ("limits.linger_bytes", Bytes(ANY)),
    ("limits.accept_retry", Time(range(10, MINUTE))),
    ("limits.log_lines", Number(range(0, u32::MAX as u64))),
    ("limits.session.message_bytes", Bytes(range(KIB, 0xFF_FFFF))),
    ("limits.session.partial_bytes", Bytes(least(KIB))),
    ("limits.session.command_bytes", Bytes(ANY)),
    ("limits.session.chunk_streams", Number(range(4, 65_598))),
    ("limits.session.message_streams", Number(range(1, 65_536))),
    ("limits.session.name_bytes", Bytes(ANY)),
    ("limits.session.pending_requests", Number(range(1, 65_536))),
    ("limits.session.waiting_messages", Number(range(16, MIB))),
    ("limits.session.amf.depth", Number(range(1, 64))),
    ("limits.session.amf.string_bytes", Bytes(ANY)),
    ("limits.session.amf.elements", Number(ANY)),
    ("limits.session.amf.decoded_bytes", Bytes(ANY)),
    ("limits.session.amf.values_per_byte", Number(range(2, KIB))),
    ("limits.session.amf.values_base", Number(ANY)),
];

/// What a setting holds.
pub(super) fn kind_of(path: &str) -> Option<Kind> {
    let (_, kind) = SETTINGS.iter().find(|(known, _)| *known == path)?;
    Some(*kind)
}

impl Kind {
    pub(super) fn is_secret(self) -> bool {
        self == Kind::Keys
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
        let fits = match self {
            Kind::Flag => value.is_boolean(),
            Kind::Text => value.is_string(),
            Kind::Choice(texts) => value.as_str().is_some_and(|text| texts.contains(&text)),
            Kind::List | Kind::Keys => {
                let items = value.as_array();
                items.is_some_and(|items| items.iter().all(Value::is_string))
            }
            Kind::Addresses => value.as_array().is_some_and(|items| {
                let address = |item: &Value| item.as_str()?.parse::<super::Listen>().ok();
                items.iter().all(|item| address(item).is_some())
            }),
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

    /// A value as people are told of it.
    pub(super) fn show(self, value: &Value) -> String {
        match (self, value.as_u64()) {
            (Kind::Keys, _) => "***".to_owned(),
            (Kind::Duration(_), Some(ms)) => format!("{:?}", Duration::from_millis(ms)),
            _ => value.to_string(),
        }
    }
}

impl Range {
    pub(super) fn holds(self, number: u64) -> bool {
        (self.least..=self.most).contains(&number) || (self.or_zero && number == 0)
    }

    fn tell(self, f: &mut fmt::Formatter<'_>, show: impl Fn(u64) -> String) -> fmt::Result {
        // What no machine can hold is no bound worth telling.
        match (self.least, self.most >= u64::from(u32::MAX)) {
            (0, true) => {}
            (_, true) => write!(f, " of at least {}", show(self.least))?,
            _ => write!(f, " from {} to {}", show(self.least), show(self.most))?,
        }
        match self.or_zero {
            true => f.write_str(" or 0"),
            false => Ok(()),
        }
    }
}

/// What may stand there, as what follows "expected".
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Flag => f.write_str("true or false"),
            Kind::Text => f.write_str("a text"),
            Kind::Choice(texts) => write!(f, "one of {}", texts.join(", ")),
            Kind::List => f.write_str("a list of texts"),
            Kind::Keys => f.write_str("a list of keys, each a text"),
            Kind::Addresses => f.write_str("a list of addresses such as 0.0.0.0:1935"),
            Kind::Number(range) => {
                f.write_str("a whole number")?;
                range.tell(f, |number| number.to_string())
            }
            Kind::Bytes(range) => {
                f.write_str("bytes")?;
                range.tell(f, |number| number.to_string())?;
                f.write_str(", as a number or such as 64KiB")
            }
            Kind::Duration(range) => {
                f.write_str("a duration")?;
                range.tell(f, |ms| format!("{:?}", Duration::from_millis(ms)))?;
                f.write_str(", as milliseconds or such as 10s")
            }
        }
    }
}

/// The settings as a JSON Schema, with what `told` tells of each.
#[cfg(test)]
pub(crate) fn settings_schema(told: impl Fn(&str) -> String) -> Value {
    use serde_json::json;

    let mut schema = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let (desktop, mobile) = (super::Config::desktop(), super::Config::mobile());
    let default = |config: &super::Config, path: &str| {
        let mut config = config.clone();
        config.record = Some(super::RecordConfig::new(""));
        let tree = config.plain_tree();
        let value = path
            .split('.')
            .try_fold(&tree, |group, name| group.get(name));
        value.cloned().unwrap_or_default()
    };
    for &(path, kind) in SETTINGS {
        let mut setting = match kind {
            Kind::Flag => json!({"type": "boolean"}),
            Kind::Text => json!({"type": "string"}),
            Kind::Choice(texts) => json!({"type": "string", "enum": texts}),
            Kind::List | Kind::Keys | Kind::Addresses => {
                json!({"type": "array", "items": {"type": "string"}})
            }
            Kind::Number(_) => json!({"type": "integer"}),
            Kind::Bytes(_) | Kind::Duration(_) => json!({"type": ["integer", "string"]}),
        };
        match kind {
            Kind::Bytes(_) => {
                setting["unit"] = json!("bytes");
                setting["pattern"] = json!("^[0-9]+ *(B|[kK]B|MB|GB|KiB|MiB|GiB)$");
            }
            Kind::Duration(_) => {
                setting["unit"] = json!("milliseconds");
                setting["pattern"] = json!("^([0-9]+ *(d|h|m|s|ms))+$");
            }
            Kind::Keys => setting["writeOnly"] = json!(true),
            _ => {}
        }
        if let Some(range) = kind.range() {
            setting["minimum"] = json!(if range.or_zero { 0 } else { range.least });
            // Beyond that it is the machine's.
            if range.most <= u64::from(u32::MAX) {
                setting["maximum"] = json!(range.most);
            }
            if range.or_zero {
                setting["not"] = json!({"exclusiveMinimum": 0, "exclusiveMaximum": range.least});
            }
        }
        setting["description"] = json!(told(path));
        setting["default"] = default(&desktop, path);
        let of_mobile = default(&mobile, path);
        if of_mobile != setting["default"] {
            setting["mobile_default"] = of_mobile;
        }
        let (mut group, mut rest) = (&mut schema, path);
        while let Some((name, inner)) = rest.split_once('.') {
            let groups = &mut group["properties"];
            if groups[name].is_null() {
                groups[name] =
                    json!({"type": "object", "properties": {}, "additionalProperties": false});
            }
            (group, rest) = (&mut groups[name], inner);
        }
        group["properties"][rest] = setting;
    }
    schema
}
