//! Settings of other servers, made ours by `openrtmp config import`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use openrtmp_core::{Config, Format, PullStart, RecordFormat, SecondPublisher};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/import")
        .join(name)
}

fn openrtmp(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_openrtmp"))
        .arg("config")
        .args(arguments)
        .output()
        .expect("it runs")
}

/// The settings that come of a file, which are right, and what was told.
fn import(file: &Path, more: &[&str]) -> (Config, String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let made = folder.path().join("made.yaml");
    let (from, to) = (file.to_str().expect("text"), made.to_str().expect("text"));
    let mut arguments = vec!["import", from, "-o", to];
    arguments.extend(more);
    let output = openrtmp(&arguments);
    let told = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{told}");
    assert!(output.stdout.is_empty());
    let checked = openrtmp(&["check", to]);
    assert!(checked.status.success(), "{checked:?}");
    let text = std::fs::read_to_string(&made).expect("written");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&made)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "it may hold keys");
    }
    let mut config = Config::desktop();
    config.merge(&text, Format::Yaml).expect("settings");
    // Everything that is told stands in the file, too.
    for line in told.lines().filter(|line| line.contains(": line")) {
        let line = line.split_once(": ").expect("a file").1;
        assert!(text.contains(line), "{line}\n{text}");
    }
    (config, told, text)
}

fn listens(config: &Config) -> Vec<String> {
    config.listen.iter().map(ToString::to_string).collect()
}

fn rules(config: &Config) -> Vec<String> {
    let rules = serde_json::to_value(&config.access.rules).expect("JSON");
    let rules = rules.as_array().expect("a list").clone();
    let of = |rule: &serde_json::Value, name: &str| rule[name].as_str().unwrap_or("-").to_owned();
    let told = rules.iter().map(|rule| {
        let fields = ["allow", "deny", "app", "action"].map(|name| of(rule, name));
        fields.join(" ")
    });
    told.collect()
}

#[test]
fn nginx_becomes_settings_and_what_is_left_is_told() {
    let (config, told, text) = import(&sample("nginx.conf"), &[]);
    assert_eq!(
        listens(&config),
        ["0.0.0.0:1935", "[::]:1935", "10.0.0.5:1936"]
    );
    assert_eq!(config.workers, 2);
    assert_eq!(config.rtmp.chunk_size, 8192);
    assert_eq!(config.limits.session.message_bytes, 2 << 20);
    assert_eq!(config.queue.stall_timeout.as_secs(), 20);
    assert_eq!(config.rtmp.ping_interval.as_secs(), 90);
    assert_eq!(config.streams.media_timeout.as_secs(), 15);
    assert_eq!(config.relay.retry_min.as_secs(), 2);
    assert_eq!(
        rules(&config),
        [
            "10.0.0.0/8 - lessons publish",
            "- ::/0 lessons publish",
            "- 192.0.2.9 lessons publish",
            "- 192.0.2.9 small publish",
            "- 192.0.2.9 films publish",
            "::/0 - lessons -",
            "::/0 - small -",
            "- ::/0 - -",
        ]
    );
    let push: Vec<_> = config
        .relay
        .push
        .iter()
        .map(|r| (&*r.pattern, &*r.to))
        .collect();
    assert_eq!(
        push,
        [
            ("lessons/*", "rtmp://mirror.example.org/{app}/{name}"),
            ("lessons/maths", "rtmp://live.example.net/app/PUSHKEY"),
        ]
    );
    let pull: Vec<_> = config
        .relay
        .pull
        .iter()
        .map(|r| (&*r.pattern, &*r.from))
        .collect();
    assert_eq!(
        pull,
        [
            ("small/maths", "rtmp://origin.example.org/lessons/maths"),
            ("small/*", "rtmp://origin.example.org/{app}/{name}"),
        ]
    );
    assert_eq!(config.relay.pull[0].start, PullStart::Always);
    let callback = &config.access.callback;
    assert_eq!(callback.url.as_deref(), Some("http://127.0.0.1:8080/auth"));
    assert_eq!(callback.events, ["publish", "publish_done"]);
    let record = config.record.as_ref().expect("recording");
    assert_eq!(record.directory, Path::new("/srv/lessons"));
    assert_eq!(
        (&*record.template, &*record.apps),
        ("{name}-{date}-{time}", &["lessons".to_owned()][..])
    );
    assert_eq!(record.split_duration.as_secs(), 1800);
    for expected in [
        "line 3: error_log: ",
        "line 5: events: ",
        "line 17: proxy_protocol: proxy_protocol needs access.trusted_proxies",
        "line 31: on_play: one URL is asked",
        "line 36: exec: a hook is run for every app",
        "lines 37 to 39: hls, hls_path, hls_fragment: every stream is delivered in HLS",
        "line 45: pull pageUrl: ",
        "line 49: films: without \"live on\"",
        "line 50: play: files are not played",
        "line 55: http { ... }: ",
        "line 58: include: files that are included are not read",
    ] {
        assert!(told.contains(expected), "{expected}\n{told}");
    }
    assert!(!told.contains("PUSHKEY"), "{told}");
    assert!(
        text.contains("# hooks.on_publish: [\"ffmpeg\",\"-i\",\"rtmp://localhost/$app/${name}\"")
    );
}

#[test]
fn srs_becomes_settings_and_what_is_left_is_told() {
    let (config, told, text) = import(&sample("srs.conf"), &[]);
    assert_eq!(listens(&config), ["0.0.0.0:1935", "[::]:1935", "[::]:1937"]);
    assert_eq!(config.limits.connections, 400);
    assert_eq!(
        config.metrics.listen,
        ["0.0.0.0:9972".parse().expect("one")]
    );
    assert_eq!(config.rtmp.chunk_size, 32_000);
    assert!(config.gop.max_duration.is_zero());
    assert_eq!(config.queue.max_delay.as_secs(), 8);
    assert_eq!(config.queue.write_coalesce.as_millis(), 100);
    assert_eq!(config.streams.media_timeout.as_secs(), 9);
    assert_eq!(
        rules(&config),
        [
            "- 10.9.0.0/16 - publish",
            "10.0.0.0/8 - - publish",
            "::/0 - - play",
            "- ::/0 - publish",
            "- ::/0 - play",
        ]
    );
    assert_eq!(
        config.access.callback.events,
        ["publish", "play", "publish_done"]
    );
    let push: Vec<_> = config.relay.push.iter().map(|r| &*r.to).collect();
    assert_eq!(
        push,
        [
            "rtmp://10.0.0.7:1935/{app}/{name}",
            "rtmp://10.0.0.8/{app}/{name}"
        ]
    );
    assert_eq!(
        config.relay.pull[0].from,
        "rtmp://10.0.0.9:1935/{app}/{name}"
    );
    let record = config.record.as_ref().expect("recording");
    assert_eq!(record.directory, Path::new("/srv/dvr"));
    assert_eq!(record.template, "{app}/{name}.{date}-{time}");
    assert_eq!(record.format, RecordFormat::Mp4);
    assert_eq!(record.split_duration.as_secs(), 60);
    assert_eq!(config.tls.certificate, None);
    for expected in [
        "line 4: daemon: ",
        "line 7: http_api: ",
        "line 10: key, cert: /nowhere/server.crt: ",
        "line 10: listen: there is no certificate: add \"rtmps://0.0.0.0:1443\" to listen",
        "line 19: firstpkt_timeout: ",
        "line 28: on_publish: one URL is asked",
        "line 31: on_hls: there is no such setting",
        "line 34: origin: a stream is fetched from one server",
        "line 43: exec: a hook is run for every app",
        "line 47: vhost other.example.org: there are no virtual hosts",
    ] {
        assert!(told.contains(expected), "{expected}\n{told}");
    }
    assert!(
        text.contains("# hooks.on_publish: [\"./ffmpeg\",\"-i\",\"[url]\""),
        "{text}"
    );
}

#[test]
fn mediamtx_becomes_settings_and_what_is_left_is_told() {
    let (config, told, text) = import(&sample("mediamtx.yml"), &[]);
    assert_eq!(listens(&config), ["0.0.0.0:1940", "[::]:1940"]);
    assert_eq!(config.streams.media_timeout.as_secs(), 12);
    assert_eq!(config.queue.stall_timeout.as_secs(), 7);
    assert_eq!(config.streams.second_publisher, SecondPublisher::Takeover);
    let users: Vec<_> = config.access.users.iter().map(|u| &*u.user).collect();
    assert_eq!(users, ["ann"]);
    assert_eq!(
        config.access.authenticate,
        openrtmp_core::Authenticate::Publishers
    );
    assert_eq!(config.relay.push.len(), 1);
    assert_eq!(
        config.relay.push[0].to,
        "rtmp://mirror.example.org/live/MIRRORKEY"
    );
    let pull = &config.relay.pull[0];
    assert_eq!(
        (&*pull.pattern, pull.start),
        ("live/hall", PullStart::Demand)
    );
    assert_eq!(pull.idle_timeout.as_secs(), 20);
    let record = config.record.as_ref().expect("recording");
    assert_eq!(record.directory, Path::new("/srv/rec"));
    assert_eq!(record.format, RecordFormat::Mp4);
    assert_eq!(record.split_duration.as_secs(), 1800);
    for expected in [
        "logLevel: what is logged, and where to, is set by log.level",
        "path: who may do something may do it with every stream",
        "user: a password is compared",
        "passwords are asked for with authmod=adobe",
        "rtsp: RTMP alone",
        "hls: every stream is delivered in HLS",
        "forward: RTMP alone",
        "runOnReady: a hook is run for every app",
        "hall: a stream has an app in front of its name",
        "source: streams are published here, or fetched over RTMP",
        "~^test/(.+)$: there are no patterns",
    ] {
        assert!(told.contains(expected), "{expected}\n{told}");
    }
    for secret in ["s3cret", "MIRRORKEY", "j1ts"] {
        assert!(!told.contains(secret), "{told}");
    }
    assert!(
        text.contains("# hooks.on_publish: [\"ffmpeg\",\"-i\""),
        "{text}"
    );
    // What is no setting of theirs is not theirs.
    let (again, ..) = import(&sample("mediamtx.yml"), &["--from", "mediamtx"]);
    assert_eq!(again, config);
}

#[test]
fn what_cannot_be_read_is_told_and_writes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let deep = "a {".repeat(100_000);
    let large = "a;".repeat(1 << 20);
    for (name, text, expected) in [
        ("a.conf", "user x;", "say --from nginx, srs or mediamtx"),
        (
            "b.conf",
            "rtmp { server {",
            "line 1: the block that begins there does not end",
        ),
        ("c.conf", &deep, "more than 32 blocks"),
        ("d.conf", &large, "longer than"),
        ("e.yml", "paths: [", "not YAML"),
        ("f.yml", "rtmp: yes\nrtmp: SECRET\n", "not YAML"),
        ("g.conf", "\u{0}\u{1}\u{2}", "no semicolon"),
    ] {
        std::fs::write(at(name), text).expect("written");
        let (from, to) = (at(name), at("made.yaml"));
        let (from, to) = (from.to_str().expect("text"), to.to_str().expect("text"));
        let output = openrtmp(&["import", from, "-o", to]);
        let told = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{name}: {told}");
        assert!(told.contains(expected), "{name}: {told}");
        assert!(!told.contains("SECRET"), "{told}");
        assert!(!at("made.yaml").exists());
    }
    std::fs::write(at("h.conf"), [0xff, 0xfe]).expect("written");
    let output = openrtmp(&["import", at("h.conf").to_str().expect("text")]);
    assert_eq!(output.status.code(), Some(2), "not text");
    // What is there already stays.
    std::fs::write(at("there.yaml"), "workers: 1\n").expect("written");
    let (from, to) = (sample("srs.conf"), at("there.yaml"));
    let arguments = [
        "import",
        from.to_str().expect("text"),
        "-o",
        to.to_str().expect("text"),
    ];
    assert_eq!(openrtmp(&arguments).status.code(), Some(2));
    assert_eq!(std::fs::read_to_string(&to).expect("there"), "workers: 1\n");
}

#[test]
fn many_lines_take_no_longer_than_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("many.conf");
    let many = "push rtmp://h/a/$x; allow 10.0.0.0/8; chunk_size 4k; record_path /x; exec a;\n";
    let text = format!(
        "rtmp {{ server {{ application a {{\n{}}} }} }}",
        many.repeat(10_000)
    );
    std::fs::write(&file, text).expect("written");
    let (config, told, _) = import(&file, &[]);
    assert!(config.relay.push.len() <= 1000 && config.access.rules.len() <= 1000);
    assert!(told.contains("chunk_size") || config.rtmp.chunk_size == 4096);
}
