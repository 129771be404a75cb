//! The settings told: a reference, a JSON Schema, what is in force without its keys.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::schema::Kind;
use super::settings::{Applies, SETTINGS, Setting};
use super::{Config, Format, RecordConfig};

/// What a reference begins with.
const PREFACE: &str = "\
# Settings of an OpenRTMP server: each with its default, what may stand there, and from
# when on a change of it holds on a running server. A file names those that are to be
# others. Sizes may be texts such as 64KiB, durations texts such as 10s.
";

/// Off unless it is named: what there is to set is shown behind comment signs.
const OFF: &str = "record";

impl Config {
    /// All settings with their defaults and what there is to say about each, as a YAML
    /// document that [`Config::merge`] takes.
    pub fn reference() -> String {
        let mut text = PREFACE.to_owned();
        let (desktop, mobile) = (whole(Config::desktop()), whole(Config::mobile()));
        let mut groups: Vec<&str> = Vec::new();
        for setting in SETTINGS {
            let names: Vec<&str> = setting.path().split('.').collect();
            let Some((name, parents)) = names.split_last() else {
                continue;
            };
            let off = if parents.first() == Some(&OFF) {
                "# "
            } else {
                ""
            };
            let shared = parents.iter().zip(&groups).take_while(|(a, b)| a == b);
            let shared = shared.count();
            groups = parents.to_vec();
            // Writing to a String cannot fail.
            let mut line = |depth: usize, line: std::fmt::Arguments<'_>| {
                let line = format!("{off}{:1$}{line}", "", 2 * depth);
                let _ = writeln!(text, "{}", line.trim_end());
            };
            line(0, format_args!(""));
            for (depth, group) in parents.iter().enumerate().skip(shared) {
                line(depth, format_args!("{group}:"));
            }
            let depth = parents.len();
            for told in told(setting, &mobile) {
                line(depth, format_args!("# {told}"));
            }
            line(depth, format_args!("{name}: {}", at(&desktop, setting)));
        }
        text
    }

    /// What a document of settings may hold, as a JSON Schema (draft 2020-12), with which
    /// editors complete and check one.
    pub fn json_schema() -> String {
        let mut schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Settings of an OpenRTMP server",
        });
        let (desktop, mobile) = (whole(Config::desktop()), whole(Config::mobile()));
        make_group(&mut schema, false);
        for setting in SETTINGS {
            let mut member = schema_of(setting.kind);
            member["description"] = setting.description().into();
            member["default"] = at(&desktop, setting);
            let of_mobile = at(&mobile, setting);
            if of_mobile != member["default"] {
                member["mobile_default"] = of_mobile;
            }
            if setting.applies() == Applies::Restart {
                member["needs_restart"] = true.into();
            }
            let (mut group, mut rest) = (&mut schema, setting.path());
            while let Some((name, inner)) = rest.split_once('.') {
                let groups = &mut group["properties"];
                if groups[name].is_null() {
                    make_group(&mut groups[name], name == OFF);
                }
                (group, rest) = (&mut groups[name], inner);
            }
            group["properties"][rest] = member;
        }
        // A tree of plain values can always be written.
        serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
    }

    /// [`Config::dump`] without the keys: three asterisks stand for each.
    pub fn dump_masked(&self, format: Format) -> String {
        format.write(&self.masked_tree())
    }

    /// The settings that are others than those of `default`, as `path = value`, keys
    /// masked.
    pub fn differences(&self, default: &Config) -> Vec<String> {
        let (own, masked) = (self.plain_tree(), self.masked_tree());
        let default = whole(default.clone());
        let told = |setting: &Setting| {
            let value = own.pointer(&pointer(setting))?;
            let shown = masked.pointer(&pointer(setting))?;
            let differs = *value != at(&default, setting);
            differs.then(|| match setting.kind {
                // However many there are.
                Kind::Keys => format!("{} = ***", setting.path()),
                _ => format!("{} = {shown}", setting.path()),
            })
        };
        SETTINGS.iter().filter_map(told).collect()
    }

    /// All settings, a line for each group, keys masked.
    pub(crate) fn masked_lines(&self) -> Vec<String> {
        let tree = self.masked_tree();
        let groups = tree.as_object().into_iter().flatten();
        groups
            .map(|(name, group)| format!("{name} = {group}"))
            .collect()
    }

    fn masked_tree(&self) -> Value {
        let mut tree = self.plain_tree();
        for setting in SETTINGS {
            if let Some(value) = tree.pointer_mut(&pointer(setting)) {
                *value = setting.kind.masked(value);
            }
        }
        tree
    }
}

/// The values of settings, with what there is to set where a group is off.
fn whole(mut config: Config) -> Value {
    config.record.get_or_insert_with(|| RecordConfig::new(""));
    config.plain_tree()
}

fn pointer(setting: &Setting) -> String {
    format!("/{}", setting.path().replace('.', "/"))
}

fn at(tree: &Value, setting: &Setting) -> Value {
    let value = tree.pointer(&pointer(setting));
    value.cloned().unwrap_or_default()
}

/// What a reference says above a setting.
fn told(setting: &Setting, mobile: &Value) -> Vec<String> {
    let mut lines = vec![
        setting.description().to_owned(),
        format!(
            "{}; a change holds {}",
            setting.expected(),
            setting.applies()
        ),
    ];
    let of_mobile = at(mobile, setting);
    if of_mobile != at(&whole(Config::desktop()), setting) {
        lines.push(format!("on phones {of_mobile}"));
    }
    lines
}

fn make_group(place: &mut Value, may_be_off: bool) {
    let kind = match may_be_off {
        true => json!(["object", "null"]),
        false => json!("object"),
    };
    if !place.is_object() {
        *place = Map::new().into();
    }
    place["type"] = kind;
    place["properties"] = json!({});
    place["additionalProperties"] = json!(false);
}

/// What may stand where a setting of a kind is, as a JSON Schema.
fn schema_of(kind: Kind) -> Value {
    let mut setting = match kind {
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Text | Kind::TextOrOff | Kind::Key | Kind::Secret | Kind::Url | Kind::WebUrl => {
            json!({"type": "string"})
        }
        Kind::Choice(texts) => json!({"type": "string", "enum": texts}),
        Kind::List | Kind::Keys | Kind::Command | Kind::Sockets | Kind::WebAddresses => {
            json!({"type": "array", "items": {"type": "string"}})
        }
        Kind::Addresses => {
            let address = json!({"type": "string"});
            json!({"type": "array", "items": {"anyOf": [address, {
                "type": "object",
                "properties": {
                    "address": address,
                    "tls": {"type": "boolean"},
                    "proxy_protocol": {"type": "boolean"},
                },
                "required": ["address"],
                "additionalProperties": false,
            }]}})
        }
        Kind::Groups(members) => {
            let mut group =
                json!({"type": "object", "properties": {}, "additionalProperties": false});
            for member in members {
                group["properties"][member.name()] = schema_of(member.kind());
            }
            let required = members.iter().filter(|m| m.is_required()).map(|m| m.name());
            group["required"] = required.collect();
            json!({"type": "array", "items": group})
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
        Kind::Keys | Kind::Key | Kind::Secret => setting["writeOnly"] = json!(true),
        _ => {}
    }
    if let Some(range) = kind.range() {
        setting["minimum"] = json!(if range.or_zero { 0 } else { range.least });
        // Beyond that it is the machine's.
        if range.most <= u64::from(u32::MAX) {
            setting["maximum"] = json!(range.most);
        }
        if range.or_zero {
            setting["not"] = json!({
                "type": "integer",
                "exclusiveMinimum": 0,
                "exclusiveMaximum": range.least,
            });
        }
    }
    setting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_a_document_of_the_defaults() {
        let text = Config::reference();
        for setting in SETTINGS {
            assert!(text.contains(setting.description()), "{}", setting.path());
        }
        let mut config = Config::mobile();
        config.merge(&text, Format::Yaml).expect("a document");
        assert_eq!(config, Config::desktop());
        // What is off is there to be named.
        let with_record: String = text
            .lines()
            .skip_while(|line| *line != "# record:")
            .map_while(|line| line.strip_prefix('#'))
            .map(|line| {
                format!("{}\n", line.strip_prefix(' ').unwrap_or(line))
                    .replace("directory: \"\"", "directory: films")
            })
            .collect();
        config
            .merge(&with_record, Format::Yaml)
            .expect("a document");
        assert_eq!(config.record, Some(RecordConfig::new("films")));
    }

    #[test]
    fn no_key_is_in_what_is_dumped_for_people() {
        let mut config = Config::desktop();
        config
            .merge(
                r#"{"access": {"publish_keys": ["SECRET", "SECRET2"]},
                    "tls": {"certificate": "a.pem", "key": "-----BEGIN PRIVATE KEY-----\nSECRET",
                        "certificates": [{"certificate": "b.pem",
                            "key": "-----BEGIN PRIVATE KEY-----\nSECRET"}]},
                    "relay": {"push": [{"match": "live/*", "to": "rtmp://h/app/SECRET?key=SECRET"}]}}"#,
                Format::Json,
            )
            .expect("a document");
        let told = config.differences(&Config::desktop()).join(", ");
        for text in [
            config.dump_masked(Format::Json),
            config.dump_masked(Format::Yaml),
            told.clone(),
        ] {
            assert!(!text.contains("SECRET"), "{text}");
            assert!(
                text.contains("a.pem") && text.contains("rtmp://h"),
                "{text}"
            );
        }
        assert!(told.contains("access.publish_keys = ***"), "{told}");
        assert!(config.dump(Format::Json).contains("SECRET2"));
        config.tls.key = Some("key.pem".into());
        assert!(config.dump_masked(Format::Json).contains("key.pem"));
        assert!(Config::desktop().differences(&Config::desktop()).is_empty());
    }

    #[test]
    fn texts_of_units_are_within_what_the_schema_excludes_of_numbers() {
        let schema: Value = serde_json::from_str(&Config::json_schema()).expect("JSON");
        let ping = &schema["properties"]["rtmp"]["properties"]["ping_interval"];
        assert_eq!(ping["not"]["type"], "integer", "a text is in no range");
    }
}
