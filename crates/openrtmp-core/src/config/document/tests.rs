//! Documents, right and wrong.

use std::time::Duration;

use super::*;
use crate::config::{ClientAuth, ControlListen, LogLevel, Setting};
use crate::limit::Limit;

fn path_of(error: DocumentError) -> String {
    match error {
        DocumentError::Unknown { path, .. } | DocumentError::Value { path, .. } => path,
        DocumentError::Syntax { what, .. } => panic!("{what}"),
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
    assert_eq!(
        error.to_string(),
        "line 4: an alias that stands for nothing, or for too much"
    );
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
        "line 1: rtmp.chunk_sise: no such setting; did you mean rtmp.chunk_size?"
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
    let text = "line 1: rtmp.chunk_size = \"big\": expected bytes from 128 to 65536, as a \
                number or such as 64KiB";
    assert_eq!(error.to_string(), text);
    let error = config.set("listen", "nowhere").unwrap_err();
    assert_eq!(path_of(error), "listen");
    let error = config.set("workers", "-1").unwrap_err();
    assert_eq!(path_of(error), "workers");
    assert_eq!(config, before);
    assert!(config.merge("[]", Format::Json).is_err());
    assert!(config.merge("{", Format::Json).is_err());
}

#[test]
fn what_is_out_of_range_is_refused_there_and_then() {
    let mut config = Config::desktop();
    let before = config.clone();
    for (path, value, expected) in [
        (
            "workers",
            "65",
            "workers = 65: expected a whole number from 0 to 64",
        ),
        (
            "workers",
            "-1",
            "workers = -1: expected a whole number from 0 to 64",
        ),
        (
            "workers",
            "1.5",
            "workers = 1.5: expected a whole number from 0 to 64",
        ),
        (
            "workers",
            "two",
            "workers = \"two\": expected a whole number from 0 to 64",
        ),
        (
            "rtmp.ping_interval",
            "5ms",
            "rtmp.ping_interval = \"5ms\": expected a duration \
         from 1s to 86400s or 0, as milliseconds or such as 10s",
        ),
        (
            "limits.memory",
            "1KiB",
            "limits.memory = \"1KiB\": expected bytes of at least \
         1048576, as a number or such as 64KiB",
        ),
        (
            "rtmp.strict_handshake",
            "yes",
            "rtmp.strict_handshake = \"yes\": expected true or \
         false",
        ),
        (
            "streams.second_publisher",
            "fight",
            "streams.second_publisher = \"fight\": \
         expected one of reject, takeover, wait",
        ),
        (
            "listen",
            "nowhere",
            "listen = [\"nowhere\"]: expected a list of addresses such as \
         0.0.0.0:1935 or rtmps://0.0.0.0:1936",
        ),
        (
            "listen",
            "[]",
            "listen = []: expected at least one address, for example \
         0.0.0.0:1935",
        ),
        (
            "access.publish_keys",
            "a b",
            "access.publish_keys = ***: expected keys without \
         spaces and without & ? / #, escapes (%41) and file types (.mp4)",
        ),
        (
            "record.template",
            "../x",
            "record.template = ../x: expected a relative file name \
         such as {app}/{name}-{date}-{time}, without ..",
        ),
        (
            "record.template",
            "{nmae}",
            "record.template = {nmae}: expected nothing but {app} {name} {date} {time} {index} \
         in braces, not {nmae}",
        ),
        (
            "gop.max_frames",
            "-1",
            "gop.max_frames = -1: expected a whole number, 0 or more",
        ),
        (
            "tls.min_version",
            "1.1",
            "tls.min_version = \"1.1\": expected one of 1.2, 1.3",
        ),
        (
            "tls.client.pins",
            "sha256//abc",
            "tls.client.pins = sha256//abc: expected pins such as sha256//BASE64, of 32 bytes",
        ),
        (
            "tls.key",
            "server.key",
            "tls.key = ***: expected nothing without its certificate",
        ),
        (
            "tls.client_auth.mode",
            "required",
            "tls.client_auth.mode = required: expected off, or tls.client_auth.ca or \
         tls.client_auth.pins beside it",
        ),
        ("rtmp", "5", "rtmp = 5: expected a group of settings"),
    ] {
        let error = config.set(path, value).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(config, before, "{path}");
    }
    // What goes with others only is told once both are there.
    config.set("queue.max_delay", "100ms").unwrap();
    let error = config.set("queue.write_coalesce", "80").unwrap_err();
    let text = "queue.write_coalesce = 80ms: expected at most three quarters of \
                queue.max_delay, 75ms";
    assert_eq!(error.to_string(), text);
    config.set("record.template", "{name}").unwrap();
    assert_eq!(config.validate().unwrap_err().path, "record.directory");
}

#[test]
fn durations_and_sizes_may_be_texts() {
    let mut config = Config::desktop();
    let text = "queue:\n  max_delay: 2s\n  max_bytes: 1GiB\nrtmp: {ping_interval: 1m30s}\n";
    config.merge(text, Format::Yaml).unwrap();
    let text = r#"{"limits": {"memory": "2GiB", "linger": "500ms"}}"#;
    config.merge(text, Format::Json).unwrap();
    assert_eq!(config.queue.max_delay, Duration::from_secs(2));
    assert_eq!(config.queue.max_bytes, 1 << 30);
    assert_eq!(config.rtmp.ping_interval, Duration::from_secs(90));
    assert_eq!(config.limits.memory as u64, 2 << 30);
    assert_eq!(config.limits.linger, Duration::from_millis(500));
}

#[test]
fn null_and_empty_groups_name_nothing() {
    let mut config = Config::desktop();
    let json = r#"{"rtmp": {}, "gop": null, "limits": {"memory": null, "session": {}}}"#;
    config.merge(json, Format::Json).unwrap();
    config.merge("{}", Format::Json).unwrap();
    let yaml = "rtmp:\nrecord:\nlimits:\n  memory:\n  connections: ~\n";
    config.merge(yaml, Format::Yaml).unwrap();
    config.set("rtmp.chunk_size", "null").unwrap();
    assert_eq!(config, Config::desktop());
}

#[test]
fn a_name_stands_once_in_a_group() {
    let mut config = Config::desktop();
    let json = "{\"rtmp\": {\"chunk_size\": 200,\n\"chunk_size\": 300}}";
    let yaml = "rtmp:\n  chunk_size: 200\n  chunk_size: 300\n";
    for (text, format, line) in [(json, Format::Json, 2), (yaml, Format::Yaml, 3)] {
        let error = config.merge(text, format).unwrap_err();
        let expected = format!("line {line}: the same name twice in one group");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn an_error_in_a_file_tells_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = "# rtmp: not this one\nqueue:\n  max_bytes: 100000\ngop:\n  max_bytes: 5\n\
                limits:\n  # memory: nor this\n  memory: 5\n";
    let json = "{\n  \"queue\": {\"max_bytes\": 100000},\n  \"limits\":\n  {\n  \"memory\" : 5}}";
    for (name, text, line) in [("a.yaml", yaml, 8), ("a.json", json, 5)] {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let mut config = Config::desktop();
        let error = config.merge_file(&file).unwrap_err().to_string();
        let expected = format!(
            "{}: line {line}: limits.memory = 5: expected bytes of at least 1048576, as a \
             number or such as 64KiB",
            file.display()
        );
        assert_eq!(error, expected);
        assert_eq!(config, Config::desktop());
    }
    let file = folder.path().join("large.json");
    std::fs::write(&file, " ".repeat(MAX_DOCUMENT + 1)).unwrap();
    let error = Config::desktop().merge_file(&file).unwrap_err().to_string();
    assert!(error.ends_with("longer than 1048576 bytes"), "{error}");
}

#[test]
fn off_needs_no_quotes() {
    let mut config = Config::desktop();
    let text = "control: {listen: off}\nlog: {level: off}\ntls: {client_auth: {mode: off}}\n";
    config.control.listen = ControlListen::Auto;
    config.merge(text, Format::Yaml).expect("off");
    assert_eq!(config.control.listen, ControlListen::Off);
    assert_eq!(config.log.level, LogLevel::Off);
    assert_eq!(config.tls.client_auth.mode, ClientAuth::Off);
    for wrong in [
        "control: {listen: on}",
        "log: {format: off}",
        "log: {file: {path: off}}",
    ] {
        assert!(config.merge(wrong, Format::Yaml).is_err(), "{wrong}");
    }
}

/// Such as the one that a package brings, all of it comments.
#[test]
fn a_file_may_name_no_setting() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("a.yaml", ""),
        ("a.yaml", "# access: {publish_keys: [a]}\n"),
        ("a.yaml", "access: {callback: {}}\n"),
        ("a.json", "{}"),
    ] {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let mut config = Config::desktop();
        config.merge_file(&file).unwrap();
        assert_eq!(config, Config::desktop(), "{text}");
    }
}

#[test]
fn every_setting_says_what_it_holds() {
    let tree = Config::desktop().tree();
    let mut paths = Vec::new();
    collect(&tree, "", &mut paths);
    paths.retain(|path| !lookup(&tree, path).is_ok_and(Value::is_object));
    paths.sort();
    let mut known: Vec<&str> = SETTINGS.iter().map(Setting::path).collect();
    known.sort_unstable();
    assert_eq!(paths, known);
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
    let text = include_str!("../../../../../SECURITY.md");
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
    let groups = [
        "limits.", "rtmp.", "streams.", "queue.", "gop.", "access.", "http.",
    ];
    let quoted = text.split('`').skip(1).step_by(2);
    for path in quoted.filter(|word| groups.iter().any(|group| word.starts_with(group))) {
        assert!(lookup(&tree, path).is_ok(), "{path} is no setting");
    }
}

#[test]
fn security_md_tells_of_every_limit_of_the_http_server() {
    let text = include_str!("../../../../../SECURITY.md");
    // Where, what and to whom are no limits.
    let others = [
        "http.listen",
        "http.preset",
        "http.dvr.directory",
        "http.dash.low_latency",
        "http.variants",
        "http.base_url",
        "http.cors.origins",
        "http.list",
        "http.tokens.keys",
    ];
    let paths = Config::settings().iter().map(|setting| setting.path());
    for path in paths.filter(|path| path.starts_with("http.") && !others.contains(path)) {
        let row = format!("\n| `{path}` | ");
        assert_eq!(text.matches(&row).count(), 1, "{path}");
    }
}

#[test]
fn endings_of_names_are_such() {
    let long = "_".repeat(33);
    let nine = "_1,_2,_3,_4,_5,_6,_7,_8,_9";
    for bad in ["a/b", "a b", "_low,_low", long.as_str(), nine, "_a?"] {
        let mut config = Config::desktop();
        let set = config.set("http.variants", bad);
        let told = set.map_err(|error| error.to_string());
        let told = told.and_then(|()| config.validate().map_err(|error| format!("{error:?}")));
        assert!(told.unwrap_err().contains("http.variants"), "{bad}");
    }
    let mut config = Config::desktop();
    config.set("http.variants", "_low,-hi,_1").unwrap();
    config.validate().unwrap();
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
        r#"{"access": {"users": "ann:1234567"}}"#,
        r#"{"access": {"users": [{"user": "ann", "password": 1234567}]}}"#,
        r#"{"access": {"users": [{"user": "a b", "password": "1234567"}]}}"#,
        r#"{"access": {"users": [{"user": "ann", "pasword": "1234567"}]}}"#,
        r#"{"access": {"users": [{"user": "ann", "password": "1234567\u0000"}]}}"#,
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
fn users_are_read_as_they_are_written() {
    let mut config = Config::desktop();
    let text = "access:\n  users: [{user: ann, password: s3cret}]\n  authenticate: publishers\n";
    config.merge(text, Format::Yaml).unwrap();
    assert_eq!(config.access.users[0].password.reveal(), "s3cret");
    for format in [Format::Json, Format::Yaml] {
        let mut again = Config::desktop();
        again.merge(&config.dump(format), format).unwrap();
        assert_eq!(again, config);
    }
    let mut again = Config::desktop();
    let told = config.get("access.users").unwrap();
    again.set("access.users", &told).unwrap();
    again.set("access.authenticate", "publishers").unwrap();
    assert_eq!(again, config);
}

#[test]
fn settings_are_printed_without_their_keys() {
    let mut config = Config::desktop();
    config.access.publish_keys = vec!["s3cret".into()];
    config.access.play_keys = vec!["s3cret".into()];
    config.access.users = vec![crate::UserConfig::new("ann", "s3cret")];
    let shown = format!("{config:?}");
    assert!(
        shown.contains("***") && !shown.contains("s3cret"),
        "{shown}"
    );
}

#[test]
fn what_is_another_is_a_document_of_its_own() {
    let base = Config::desktop();
    let changed = [
        ("rtmp.chunk_size", "4096"),
        ("limits.session.amf.depth", "7"),
        ("access.publish_keys", "[\"a-key\"]"),
        ("record.directory", "films"),
    ];
    let mut config = base.clone();
    for (path, value) in changed {
        config.set(path, value).expect("allowed");
    }
    for format in [Format::Json, Format::Yaml] {
        let document = config.dump_changes(&base, format);
        assert!(!document.contains("window_ack_size"), "{document}");
        let mut read = base.clone();
        read.merge(&document, format).expect("a document");
        assert_eq!(read, config);
        // And back, recording off.
        let back = base.dump_changes(&config, format);
        let mut read = config.clone();
        read.merge(&back, format).expect("a document");
        assert_eq!(read, base);
    }
    let nothing = base.dump_changes(&base, Format::Json);
    assert_eq!(nothing, "{}");
}

#[test]
fn every_limit_of_a_session_is_a_setting_and_comes_where_it_belongs() {
    // Of types of another crate only their text tells all fields.
    let fields = |text: &str| -> Vec<(String, String)> {
        let text = text.replace("AmfLimits {", "").replace("Limits {", "");
        let pairs = text.split(',').filter_map(|pair| pair.split_once(':'));
        let last = |(names, value): (&str, &str)| match value.rsplit_once(':') {
            // The group, and what is first in it.
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (names.to_owned(), value.to_owned()),
        };
        let plain = |(name, value): (String, String)| {
            let trimmed = |text: &str| text.trim_matches([' ', '}']).to_owned();
            (trimmed(&name), trimmed(&value))
        };
        pairs.map(last).map(plain).collect()
    };
    let limits = Config::desktop().limits;
    let defaults = fields(&format!("{:?}", limits.session));
    assert!(defaults.len() >= 14, "{defaults:?}");
    let mut tree = serde_json::to_value(&limits).unwrap();
    for (place, (name, _)) in defaults.iter().enumerate() {
        let session = &mut tree["session"];
        let is_of_amf = session["amf"].get(name).is_some();
        let group = if is_of_amf {
            &mut session["amf"]
        } else {
            session
        };
        let setting = group
            .get_mut(name)
            .unwrap_or_else(|| panic!("{name} is no setting"));
        *setting = (1000 + place).into();
    }
    let read: crate::config::LimitsConfig = serde_json::from_value(tree).unwrap();
    for (place, (name, value)) in fields(&format!("{:?}", read.session)).iter().enumerate() {
        assert_eq!(*value, (1000 + place).to_string(), "{name}");
    }
}
