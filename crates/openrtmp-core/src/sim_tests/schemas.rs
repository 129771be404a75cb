//! The JSON schemas in `docs/schema`: made here, and compared with what is really
//! written. With `OPENRTMP_BLESS` set they are written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openrtmp_protocol::session::ClientMode;
use serde_json::{Map, Value, json};

use super::world::World;
use crate::access::{AccessAction, Protocol};
use crate::config::BackgroundPolicy;
use crate::events::{CloseReason, Event};
use crate::id::{ConnectionId, RelayId, StreamId};
use crate::limit::Limit;
use crate::mobile::{
    MemoryLevel, Permission, PermissionState, Power, ResumeReport, ServiceState, SuspendReport,
};
use crate::secret::StreamName;
use crate::stream::tracks::Track;

/// JSON Schema, draft 2020-12.
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("crates/openrtmp-core")
        .to_owned()
}

/// The schema that is committed, which has to be this one.
#[track_caller]
fn committed(name: &str, title: &str, schema: Value) -> Value {
    let mut whole = json!({"$schema": DRAFT, "title": title});
    let members = whole.as_object_mut().expect("an object");
    let Value::Object(schema) = schema else {
        panic!("a schema is an object")
    };
    members.extend(schema);
    let file = root().join("docs/schema").join(name);
    let made = serde_json::to_string_pretty(&whole).expect("plain values") + "\n";
    if std::env::var_os("OPENRTMP_BLESS").is_some() {
        fs::write(&file, &made).expect("a folder that can be written");
    }
    // Git may have given it the line ends of the machine.
    let there = fs::read_to_string(&file)
        .expect("it is committed")
        .replace('\r', "");
    assert!(
        there == made,
        "{name} is another: run the test with OPENRTMP_BLESS=1"
    );
    whole
}

/// What values like these are.
fn shape(values: &[&Value]) -> Value {
    let mut kinds = BTreeSet::new();
    let (mut members, mut items): (BTreeMap<&str, Vec<&Value>>, Vec<&Value>) = Default::default();
    let mut objects = 0;
    for value in values {
        kinds.insert(match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(n) if n.is_u64() => "integer",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(list) => {
                items.extend(list);
                "array"
            }
            Value::Object(group) => {
                objects += 1;
                for (name, member) in group {
                    members.entry(name).or_default().push(member);
                }
                "object"
            }
        });
    }
    let kinds: Vec<&str> = kinds.into_iter().collect();
    let mut schema = Map::new();
    match kinds.as_slice() {
        [one] => schema.insert("type".into(), json!(one)),
        several => schema.insert("type".into(), json!(several)),
    };
    if kinds.contains(&"array") && !items.is_empty() {
        schema.insert("items".into(), shape(&items));
    }
    if kinds.contains(&"object") {
        let required: Vec<&str> = members
            .iter()
            .filter(|(_, values)| values.len() == objects)
            .map(|(name, _)| *name)
            .collect();
        let shapes = members
            .iter()
            .map(|(name, of)| ((*name).to_owned(), shape(of)));
        let properties: Map<String, Value> = shapes.collect();
        schema.insert("properties".into(), properties.into());
        schema.insert("required".into(), json!(required));
        schema.insert("additionalProperties".into(), json!(false));
    }
    schema.into()
}

/// Why a value is not what a schema of [`shape`] says, if it is not.
fn misfit(schema: &Value, value: &Value, path: &str) -> Option<String> {
    if let Some(choices) = schema["oneOf"].as_array() {
        let mut fits = choices
            .iter()
            .filter(|of| misfit(of, value, path).is_none());
        return match fits.next() {
            Some(_) => None,
            None => Some(format!("{path}: none of the choices: {value}")),
        };
    }
    if let Some(constant) = schema.get("const") {
        return (constant != value).then(|| format!("{path} is {value}, not {constant}"));
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.clone(),
        one => vec![one.clone()],
    };
    let fits = kinds.iter().any(|kind| match (kind.as_str(), value) {
        (Some("null"), Value::Null)
        | (Some("boolean"), Value::Bool(_))
        | (Some("number"), Value::Number(_))
        | (Some("string"), Value::String(_))
        | (Some("array"), Value::Array(_))
        | (Some("object"), Value::Object(_)) => true,
        (Some("integer"), Value::Number(n)) => n.is_u64(),
        _ => false,
    });
    if !fits {
        return Some(format!("{path} is {value}, not {}", schema["type"]));
    }
    match value {
        Value::Array(list) => match schema.get("items") {
            Some(of) => list.iter().find_map(|item| misfit(of, item, path)),
            None => None,
        },
        Value::Object(group) => {
            let required = schema["required"].as_array().into_iter().flatten();
            let mut missing = required.filter_map(Value::as_str);
            if let Some(name) = missing.find(|name| !group.contains_key(*name)) {
                return Some(format!("{path}.{name} is missing"));
            }
            group.iter().find_map(|(name, member)| {
                let path = format!("{path}.{name}");
                match schema["properties"].get(name) {
                    Some(of) => misfit(of, member, &path),
                    None => Some(format!("{path} is not told of")),
                }
            })
        }
        _ => None,
    }
}

#[track_caller]
fn assert_fits(schema: &Value, value: &Value) {
    assert_eq!(misfit(schema, value, ""), None);
}

/// One event of each kind, of those with parts that may be missing several.
fn samples() -> Vec<Event> {
    let (connection, stream) = (ConnectionId::from_u64(1), StreamId::from_u64(2));
    let relay = RelayId::from_u64(3);
    let peer = SocketAddr::from(([127, 0, 0, 1], 1935));
    let name = || StreamName::plain("live/cam");
    let text = || "text".to_owned();
    let path = || PathBuf::from("cam.flv");
    let whole = Track {
        video: true,
        id: 0,
        codec: text(),
        codec_string: Some(text()),
        width: Some(1),
        height: Some(1),
        frame_rate: Some(0.5),
        sample_rate: Some(1),
        channels: Some(1),
    };
    let bare = Track {
        codec_string: None,
        width: None,
        height: None,
        frame_rate: None,
        sample_rate: None,
        channels: None,
        ..whole.clone()
    };
    let published = |connection| Event::StreamPublished {
        stream,
        name: name(),
        takeover: false,
        connection,
    };
    let access = |connection, user| Event::Access {
        protocol: Protocol::Rtmp,
        action: AccessAction::Publish,
        connection,
        peer,
        target: name(),
        user,
        granted: true,
        reason: text(),
    };
    let limit = |connection| Event::LimitReached {
        limit: Limit::Memory,
        value: 1,
        connection,
    };
    let closed = |reason| Event::ConnectionClosed {
        connection,
        peer,
        reason,
    };
    let background = |remaining| Event::Background {
        policy: BackgroundPolicy::Grace,
        remaining,
        ending: 1,
    };
    let relay_failed = |retry_in| Event::RelayFailed {
        relay,
        name: name(),
        url: text(),
        code: text(),
        reason: text(),
        retry_in,
    };
    let player = |of: fn(ConnectionId, StreamName, u64) -> Event| of(connection, name(), 1);
    vec![
        Event::ServerStarted { listen: vec![peer] },
        Event::ServerStopping,
        Event::ServerStopped {
            forced: 0,
            accepted: 1,
            bytes_in: 1,
            bytes_out: 1,
        },
        Event::ConfigChanged {
            paths: vec![text()],
            listen: vec![peer],
        },
        Event::InternalError { message: text() },
        Event::WorkerRestarted { worker: 0 },
        Event::AcceptFailed { error: text() },
        Event::AddressBlocked {
            address: peer.ip(),
            block: Duration::ZERO,
        },
        Event::ListenerLost {
            address: peer,
            error: text(),
        },
        Event::ListenerRestored { address: peer },
        Event::ConnectionOpened { connection, peer },
        closed(CloseReason::Peer),
        closed(CloseReason::Host(text())),
        Event::OutgoingFailed {
            connection,
            host: text(),
            port: 1935,
            error: text(),
        },
        published(None),
        published(Some(connection)),
        Event::StreamTracks {
            stream,
            name: name(),
            tracks: vec![whole, bare],
        },
        Event::VideoStopped {
            stream,
            name: name(),
            silence: Duration::ZERO,
        },
        Event::VideoResumed {
            stream,
            name: name(),
            silence: Duration::ZERO,
        },
        Event::PublisherLost {
            stream,
            name: name(),
            grace: Duration::ZERO,
        },
        Event::StreamUnpublished {
            stream,
            name: name(),
        },
        Event::StreamEnded {
            stream,
            name: name(),
        },
        player(|connection, name, _| Event::SubscriberJoined { connection, name }),
        player(|connection, name, dropped| Event::SubscriberLeft {
            connection,
            name,
            dropped,
        }),
        player(|connection, name, dropped| Event::SubscriberDropping {
            connection,
            name,
            dropped,
        }),
        access(None, None),
        access(Some(connection), Some(text())),
        Event::RelayStarted {
            relay,
            connection,
            name: name(),
            url: text(),
        },
        relay_failed(Some(Duration::ZERO)),
        relay_failed(None),
        Event::RelayEnded {
            relay,
            name: name(),
        },
        limit(None),
        limit(Some(connection)),
        Event::RecordingStarted {
            name: name(),
            path: path(),
        },
        Event::RecordingFinished {
            name: name(),
            path: path(),
            duration: Duration::ZERO,
            bytes: 1,
        },
        Event::RecordingFailed {
            name: name(),
            path: path(),
            error: text(),
        },
        Event::RecordingLost {
            name: name(),
            path: path(),
            frames: 1,
            bytes: 1,
            span: Duration::ZERO,
        },
        Event::RecorderRestarted {
            pause: Duration::ZERO,
        },
        Event::CertificateExpires {
            certificate: "example.org".to_owned(),
            source: "server.pem".to_owned(),
            left: Duration::ZERO,
        },
        background(None),
        background(Some(Duration::ZERO)),
        Event::Foreground,
        Event::RemainingTime {
            left: Duration::ZERO,
        },
        Event::Suspended {
            report: SuspendReport::default(),
        },
        Event::Resumed {
            away: Duration::ZERO,
            report: ResumeReport::default(),
        },
        Event::UrlsChanged { urls: vec![text()] },
        Event::NetworkLost {
            grace: Duration::ZERO,
        },
        Event::NetworkBack,
        Event::CellularUsed,
        Event::Permission {
            permission: Permission::LocalNetwork,
            state: PermissionState::Denied,
        },
        Event::Power {
            power: Power::default(),
        },
        Event::Memory {
            level: MemoryLevel::Normal,
        },
        Event::Service {
            state: ServiceState::Started,
        },
        Event::Lost { count: 1 },
    ]
}

/// Does nothing but break when there is a kind of event without a sample.
fn has_a_sample(event: &Event) {
    match event {
        Event::ServerStarted { .. }
        | Event::ServerStopping
        | Event::ServerStopped { .. }
        | Event::ConfigChanged { .. }
        | Event::InternalError { .. }
        | Event::WorkerRestarted { .. }
        | Event::AcceptFailed { .. }
        | Event::AddressBlocked { .. }
        | Event::ListenerLost { .. }
        | Event::ListenerRestored { .. }
        | Event::CertificateExpires { .. }
        | Event::ConnectionOpened { .. }
        | Event::ConnectionClosed { .. }
        | Event::OutgoingFailed { .. }
        | Event::StreamPublished { .. }
        | Event::StreamTracks { .. }
        | Event::VideoStopped { .. }
        | Event::VideoResumed { .. }
        | Event::PublisherLost { .. }
        | Event::StreamUnpublished { .. }
        | Event::StreamEnded { .. }
        | Event::SubscriberJoined { .. }
        | Event::SubscriberLeft { .. }
        | Event::SubscriberDropping { .. }
        | Event::Access { .. }
        | Event::RelayStarted { .. }
        | Event::RelayFailed { .. }
        | Event::RelayEnded { .. }
        | Event::LimitReached { .. }
        | Event::RecordingStarted { .. }
        | Event::RecordingFinished { .. }
        | Event::RecordingFailed { .. }
        | Event::RecordingLost { .. }
        | Event::RecorderRestarted { .. }
        | Event::Background { .. }
        | Event::Foreground
        | Event::RemainingTime { .. }
        | Event::Suspended { .. }
        | Event::Resumed { .. }
        | Event::UrlsChanged { .. }
        | Event::NetworkLost { .. }
        | Event::NetworkBack
        | Event::CellularUsed
        | Event::Permission { .. }
        | Event::Power { .. }
        | Event::Memory { .. }
        | Event::Service { .. }
        | Event::Lost { .. } => {}
    }
}

fn events_schema() -> Value {
    let values: Vec<Value> = samples()
        .iter()
        .inspect(|event| has_a_sample(event))
        .map(|event| serde_json::to_value(event).expect("plain values"))
        .collect();
    let mut kinds: Vec<(&str, Vec<&Value>)> = Vec::new();
    for value in &values {
        let kind = value["event"].as_str().expect("a tag");
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, of)) => of.push(value),
            None => kinds.push((kind, vec![value])),
        }
    }
    let choices = kinds.into_iter().map(|(kind, of)| {
        let mut schema = shape(&of);
        schema["properties"]["event"] = json!({"const": kind});
        schema
    });
    json!({"oneOf": choices.collect::<Vec<_>>()})
}

/// A world in which something of everything has happened.
fn busy_world() -> World {
    let mut w = World::with(2, |c| c.access.play_keys = vec!["key".into()]);
    let publisher = w.live("live/cam");
    let _player = w.player("live/cam?key=key");
    let refused = w.client(ClientMode::Play, "live/cam?key=wrong");
    w.until("the refusal", |w| w[refused].failure.is_some());
    w.stream(publisher, 0..50);
    w
}

#[test]
fn events_are_what_their_schema_says() {
    let schema = committed("events.json", "An event of OpenRTMP", events_schema());
    let mut w = busy_world();
    w.stop(Duration::ZERO);
    let events = w.events();
    assert!(events.len() > 10, "{}", events.len());
    for event in events {
        assert_fits(&schema, &serde_json::to_value(event).expect("plain values"));
    }
    let unknown = json!({"event": "stream_ended", "stream": 1});
    assert!(misfit(&schema, &unknown, "").is_some());
}

#[test]
fn metrics_are_what_their_schema_says_with_the_names_of_the_header() {
    let mut w = busy_world();
    let metrics: Value = serde_json::from_str(&w.metrics().to_json()).expect("JSON");
    let busy = |list: &str| {
        metrics[list]
            .as_array()
            .is_some_and(|list| !list.is_empty())
    };
    for list in ["workers_list", "streams_list", "connections_list"] {
        assert!(busy(list), "{list}");
    }
    // A stream of the host's, and tracks that tell nothing, have the same members.
    let mut other = metrics.clone();
    other["streams_list"][0]["connection_id"] = Value::Null;
    let subscriber = &mut other["streams_list"][0]["subscribers_list"][0];
    assert!(subscriber.is_object(), "{metrics}");
    subscriber["join_ms"] = Value::Null;
    let whole = json!({"video": true, "id": 0, "codec": "", "codec_string": "", "width": 1,
        "height": 1, "frame_rate": 0.5, "sample_rate": 1, "channels": 1});
    let bare = json!({"video": true, "id": 0, "codec": "", "codec_string": null, "width": null,
        "height": null, "frame_rate": null, "sample_rate": null, "channels": null});
    other["streams_list"][0]["tracks"] = json!([whole, bare]);
    let mut third = metrics.clone();
    third["streams_list"][0]["subscribers_list"][0]["join_ms"] = json!(1);
    third["connections_list"][0]["publishes"] = json!([1]);
    third["connections_list"][0]["plays"] = json!([1]);
    let schema = shape(&[&metrics, &other, &third]);
    let schema = committed("metrics.json", "The numbers of an OpenRTMP server", schema);
    assert_fits(&schema, &metrics);

    let header = fs::read_to_string(root().join("include/openrtmp.h")).expect("it is there");
    let (_, members) = header
        .split_once("typedef struct openrtmp_metrics {")
        .expect("a struct");
    let (members, _) = members.split_once('}').expect("its end");
    let names = members
        .lines()
        .filter_map(|line| line.trim().strip_prefix("uint64_t "));
    let mut count = 0;
    for name in names.map(|name| name.trim_end_matches(';')) {
        assert!(metrics[name].is_u64(), "{name}: {}", metrics[name]);
        count += 1;
    }
    assert!(count > 20, "{count}");
    w.end();
}

#[test]
fn settings_are_what_their_schema_says() {
    let schema = crate::Config::json_schema();
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let title = schema["title"].as_str().expect("a text").to_owned();
    let schema = committed("settings.json", &title, schema);
    for config in [crate::Config::desktop(), crate::Config::mobile()] {
        let text = config.dump(crate::Format::Json);
        let mut document: Value = serde_json::from_str(&text).expect("JSON");
        document.as_object_mut().expect("a group").remove("record");
        assert_eq!(loose_misfit(&schema, &document, ""), None);
    }
    let unknown = json!({"rtmp": {"chunk_sise": 5}});
    assert!(loose_misfit(&schema, &unknown, "").is_some());
}

/// [`misfit`] for numbers that may be texts, too, and groups whose members may be missing.
fn loose_misfit(schema: &Value, value: &Value, path: &str) -> Option<String> {
    let Value::Object(group) = value else {
        let kinds = &schema["type"];
        let kind = match value {
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            _ => return Some(format!("{path} is {value}")),
        };
        let has = kinds == kind || kinds.as_array().is_some_and(|k| k.contains(&kind.into()));
        return (!has).then(|| format!("{path} is {value}, not {kinds}"));
    };
    group.iter().find_map(|(name, member)| {
        let path = format!("{path}.{name}");
        match schema["properties"].get(name) {
            Some(of) => loose_misfit(of, member, &path),
            None => Some(format!("{path} is not told of")),
        }
    })
}

/// What each field of a log record tells.
const FIELDS: [(&str, &str); 35] = [
    ("accepted", "Connections accepted since the start."),
    ("action", "What was asked for: connect, publish or play."),
    ("address", "An address that the server listens on."),
    ("app", "The app of a connect, keys masked."),
    ("bytes", "Bytes."),
    ("bytes_in", "Bytes that came, of a connection or of all."),
    (
        "bytes_out",
        "Bytes that were sent, to a connection or to all.",
    ),
    (
        "code",
        "What ended a connection, in a word, or the code of the status that a peer was refused with.",
    ),
    ("connection", "The number of a connection."),
    ("connections", "Connections when a stop began."),
    ("did", "What a connection did last."),
    ("duration_ms", "How long a connection or a stream lasted."),
    ("error", "What the system said."),
    ("forced", "Connections that a stop closed by force."),
    ("frames", "Frames."),
    (
        "handshake_ms",
        "From accepting a connection to the end of its handshakes.",
    ),
    ("kind", "Audio, video or data."),
    ("limit", "A limit, by its setting's path."),
    ("lines", "Lines that were held back."),
    ("milliseconds", "How long a gap in a recording is."),
    ("outcome", "What was decided: granted or refused."),
    ("path", "A file."),
    ("peer", "A peer's address and port."),
    ("publishers", "Publishers when a stop began."),
    ("reason", "Why something was refused or ended."),
    ("software", "What a peer says that it is."),
    ("stage", "How far a connection has come."),
    ("stream", "A stream's path, keys masked."),
    ("streams", "Streams when a stop began."),
    ("subscribers", "Players when a stop began."),
    ("tls", "The version of TLS."),
    ("track", "A track of a stream."),
    ("user", "The user that a peer is, or says it is."),
    ("value", "The value of a limit."),
    ("worker", "Which worker thread."),
];

#[test]
fn log_fields_are_those_of_their_schema() {
    let mut found = BTreeSet::new();
    let mut folders = vec![root().join("crates/openrtmp-core/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).expect("a source");
            if path.ends_with("worker/lives.rs") {
                let calls = [".field(", ".shown("].map(|call| text.split(call).skip(1));
                let names = calls.into_iter().flatten();
                let names = names.filter_map(|call| call.strip_prefix('"')?.split('"').next());
                found.extend(names.map(str::to_owned));
                found.extend(["app".to_owned(), "stream".to_owned()]);
            }
            for level in ["error", "warn", "info", "debug", "trace"] {
                for call in text.split(&format!("log::{level}!(")).skip(1) {
                    // Fields stand before a semicolon, in front of the message.
                    let head = call.split('"').next().unwrap_or_default();
                    let Some((fields, _)) = head.rsplit_once(';') else {
                        continue;
                    };
                    let names = fields.split(',').filter_map(|f| f.split([':', '=']).next());
                    found.extend(names.map(|name| name.trim().to_owned()));
                }
            }
        }
    }
    let properties: Map<String, Value> = found
        .iter()
        .map(|name| {
            let known = FIELDS.iter().find(|(field, _)| field == name);
            let (_, text) = known.unwrap_or_else(|| panic!("what is the log field {name}?"));
            (name.clone(), json!({"type": "string", "description": text}))
        })
        .collect();
    let told = FIELDS.iter().map(|(name, _)| (*name).to_owned());
    assert_eq!(told.collect::<BTreeSet<_>>(), found);
    let schema = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    committed(
        "log-fields.json",
        "Fields of a log record of OpenRTMP",
        schema,
    );
}
