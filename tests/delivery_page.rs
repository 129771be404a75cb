//! The pages that people see, and what they are told of streams: as bytes, without a browser.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use openrtmp_core::{Config, HttpList, HttpListen};
use openrtmp_live::Delivery;
use openrtmp_tests::{Answer, Delivered, FrameHashes, Media, Process, Tool, Web};
use serde_json::Value;

/// Nothing takes longer to be listed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const BETWEEN: Duration = Duration::from_millis(50);

/// A list without any.
fn nothing() -> Value {
    serde_json::json!({ "streams": [], "more": 0 })
}

/// A stream for as long as a test takes.
fn looped(delivered: &Delivered, path: &str) -> Process {
    let mut command = Tool::Ffmpeg.command();
    command.args(["-nostdin", "-v", "error", "-re", "-stream_loop", "20", "-i"]);
    command.arg(Media::H264Aac.file());
    command.args(["-c", "copy", "-f", "flv", &delivered.server().url(path)]);
    Process::start("ffmpeg publishing", command)
}

fn json(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    serde_json::from_slice(&answer.body).unwrap()
}

/// What is listed, once it is so much.
fn listed(address: SocketAddr, query: &str, streams: usize) -> Vec<Value> {
    let mut web = Web::connect(address);
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < PATIENCE, "{query}");
        let told = json(&web.get(&format!("/api/streams{query}"), &[]));
        assert_eq!(told["more"], 0);
        let told = told["streams"].as_array().unwrap();
        let is_there = |it: &Value| it["playable"] == true && it["picture"].is_string();
        if told.len() == streams && told.iter().all(is_there) {
            return told.clone();
        }
        // It is told anew once a second; who asks all the time only has less of the machine.
        thread::sleep(BETWEEN);
    }
}

/// The files that a text names, by what stands in front of and behind each.
fn named<'a>(text: &'a str, before: &str, behind: char) -> Vec<&'a str> {
    let rest = text.split(before).skip(1);
    rest.filter_map(|rest| rest.split(behind).next()).collect()
}

#[test]
fn pages_are_whole_without_anything_from_elsewhere() {
    let delivered = Delivered::start(|_| ());
    let mut web = Web::connect(delivered.address());
    let mut files = BTreeSet::new();
    for path in ["/", "/play/live/cam", "/play/a/b/c?embed=1&key=s3cret"] {
        let page = web.get(path, &[]);
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(
            page.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("cache-control"), Some("public, max-age=0"));
        let policy = page.header("content-security-policy").unwrap();
        let rules: Vec<&str> = policy.split("; ").map(str::trim).collect();
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "media-src 'self' blob:",
            "base-uri 'none'",
            "frame-ancestors 'self' *",
        ] {
            assert!(rules.contains(&rule), "{rule} in {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        let text = page.text();
        assert!(!text.contains("://"), "{path} is whole");
        assert!(!text.contains("s3cret"), "{path}");
        files.extend(
            named(text, "\"/assets/", '"')
                .into_iter()
                .map(str::to_owned),
        );
        // It is told to be the same, and sent once.
        let tag = page.header("etag").unwrap().to_owned();
        let again = web.get(path, &[("If-None-Match", &tag)]);
        assert_eq!(
            (again.status, again.header("content-security-policy")),
            (304, Some(policy))
        );
    }
    let digest = files.first().unwrap().split('/').next().unwrap().to_owned();
    // What scripts fetch beside.
    let mut waiting: Vec<String> = files.iter().cloned().collect();
    for player in ["hls", "mpegts", "dash"] {
        waiting.push(format!("{digest}/vendor/{player}.min.js"));
    }
    let mut seen = BTreeSet::new();
    while let Some(file) = waiting.pop() {
        if !seen.insert(file.clone()) {
            continue;
        }
        let path = format!("/assets/{file}");
        let plain = web.get(&path, &[("Accept-Encoding", "identity")]);
        assert_eq!(plain.status, 200, "{path}");
        let kept = "public, max-age=31536000, immutable";
        assert_eq!(plain.header("cache-control"), Some(kept), "{path}");
        assert_eq!(plain.header("x-content-type-options"), Some("nosniff"));
        let gzip = web.get(&path, &[("Accept-Encoding", "gzip")]);
        assert_eq!(gzip.header("content-encoding"), Some("gzip"), "{path}");
        assert!(gzip.body.len() < plain.body.len() || plain.body.len() < 1000);
        assert_ne!(gzip.header("etag"), plain.header("etag"), "{path}");
        let tag = plain.header("etag").unwrap();
        let same = [("Accept-Encoding", "identity"), ("If-None-Match", tag)];
        let again = web.get(&path, &same);
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        assert_eq!(again.header("cache-control"), Some(kept), "{path}");
        if file.ends_with(".js") && !file.contains("/vendor/") {
            let folder = file.rsplit_once('/').unwrap().0;
            let imports = named(plain.text(), "from './", '\'');
            waiting.extend(imports.iter().map(|name| format!("{folder}/{name}")));
        }
    }
    assert!(seen.len() > 12, "{seen:?}");
    for path in [
        "/assets/0000000000000000/page.css".to_owned(),
        format!("/assets/{digest}/other.js"),
        format!("/assets/{digest}/js"),
        // Pages have one place each.
        format!("/assets/{digest}/player.html"),
    ] {
        let missing = web.get(&path, &[]);
        assert_eq!(missing.status, 404, "{path}");
        assert_eq!(missing.header("cache-control"), Some("no-store"));
    }
    let outside = web.get(&format!("/assets/{digest}/..%2fbuild.rs"), &[]);
    assert_eq!(outside.status, 400);
}

#[test]
fn everybody_is_told_of_streams_that_everybody_may_play() {
    let delivered = Delivered::start(|_| ());
    let publishing = looped(&delivered, "live/cam");
    let stream = &listed(delivered.address(), "", 1)[0];
    assert_eq!(stream["name"], "live/cam");
    assert_eq!(stream["page"], "/play/live/cam");
    assert_eq!(stream["hls"], "/live/cam/index.m3u8");
    assert_eq!(stream["flv"], "/live/cam.flv");
    assert_eq!(stream["live"], true);
    assert_eq!(
        (&stream["video"], &stream["audio"]),
        (&true.into(), &true.into())
    );
    assert!(stream["seconds"].as_u64().unwrap() < 60);
    let mut web = Web::connect(delivered.address());
    let one = json(&web.get("/api/streams/live/cam", &[]));
    assert_eq!(
        (&one["name"], &one["live"]),
        (&stream["name"], &true.into())
    );
    let other = json(&web.get("/api/streams/live/other", &[]));
    assert_eq!(
        (&other["live"], &other["hls"]),
        (&false.into(), &"/live/other/index.m3u8".into())
    );
    publishing.kill();
}

#[test]
fn a_stream_s_picture_is_its_newest_key_frame() {
    let delivered = Delivered::start(|_| ());
    let publishing = looped(&delivered, "live/cam");
    let stream = &listed(delivered.address(), "", 1)[0];
    let picture = stream["picture"].as_str().unwrap();
    let answer = Web::fetch(delivered.address(), picture);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("video/mp4"));
    let part = Web::connect(delivered.address()).get(picture, &[("Range", "bytes=4-7")]);
    assert_eq!((part.status, &part.body[..]), (206, &b"ftyp"[..]));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("picture.mp4");
    fs::write(&file, &answer.body).unwrap();
    let hashes = FrameHashes::of(&file);
    assert_eq!(hashes.stream_names().count(), 1);
    let [shown] = hashes.stream("video 0") else {
        panic!("{hashes:?}");
    };
    let source = Media::H264Aac.hashes();
    let mut keys = Media::H264Aac.keyframes().into_iter();
    assert!(keys.any(|key| source.stream("video 0")[key].hash == shown.hash));
    let none = Web::fetch(delivered.address(), "/live/other/picture.mp4");
    assert_eq!(none.status, 404);
    publishing.kill();
}

#[test]
fn with_keys_nobody_is_told_of_what_it_may_not_play() {
    let delivered = Delivered::start(|config| {
        config.access.play_keys = vec!["s3cret-key".to_owned()];
        config.access.failed_attempts.limit = 3;
    });
    let publishing = looped(&delivered, "live/cam");
    let address = delivered.address();
    let stream = &listed(address, "?key=s3cret-key", 1)[0];
    let mut web = Web::connect(address);
    let nothing = json(&web.get("/api/streams", &[]));
    assert_eq!(nothing, self::nothing());
    for path in [
        "/live/cam/picture.mp4",
        "/api/streams/live/cam",
        "/api/streams/live/other",
    ] {
        assert_eq!(web.get(path, &[]).status, 403, "{path}");
    }
    // Each of its forms opens without the key, which is told to nobody.
    let told = stream.to_string();
    assert!(!told.contains("s3cret"), "{told}");
    let one = json(&web.get("/api/streams/live/cam?key=s3cret-key", &[]));
    assert!(!one.to_string().contains("s3cret"), "{one}");
    for it in [stream, &one] {
        for form in ["hls", "picture", "self"] {
            let path = it[form].as_str().unwrap();
            assert!(path.starts_with("/v/"), "{path}");
            let answer = web.get(path, &[]);
            assert_eq!(answer.status, 200, "{path}");
            let kept = answer.header("cache-control").unwrap();
            assert!(!kept.contains("public"), "{path}: {kept}");
        }
    }
    let elsewhere = one["self"].as_str().unwrap().replace("cam", "other");
    assert_eq!(web.get(&elsewhere, &[]).status, 403);
    // Guesses are counted here as they are everywhere.
    let wrong = "/api/streams?key=wrong";
    let is_blocked = |_| web.get(wrong, &[]).text().trim() != "the key is not valid";
    assert!((0..8).any(is_blocked), "as often as one likes");
    let blocked = web.get("/api/streams?key=s3cret-key", &[]);
    assert_eq!(blocked.status, 403);
    assert!(blocked.text().contains("blocked"), "{}", blocked.text());
    publishing.kill();
}

#[test]
fn a_key_opens_the_same_however_a_url_has_it_escaped() {
    let delivered = Delivered::start(|config| {
        config.access.play_keys = vec!["a+b=@:,c".to_owned()];
        config.access.failed_attempts.limit = 0;
    });
    let publishing = looped(&delivered, "live/cam");
    let mut web = Web::connect(delivered.address());
    let escaped = "?x=1&key=a%2Bb%3D%40%3A%2Cc";
    listed(delivered.address(), escaped, 1);
    for path in ["/api/streams/live/cam", "/live/cam/index.m3u8"] {
        assert_eq!(
            web.get(&format!("{path}{escaped}"), &[]).status,
            200,
            "{path}"
        );
        let twice = escaped.replace('%', "%25");
        assert_eq!(
            web.get(&format!("{path}{twice}"), &[]).status,
            403,
            "{path}"
        );
    }
    publishing.kill();
}

#[test]
fn a_head_tells_the_same_of_everything_and_sends_nothing() {
    let delivered = Delivered::start(|_| ());
    let mut web = Web::connect(delivered.address());
    let page = web.get("/", &[]);
    let style = named(page.text(), "\"/assets/", '"');
    let style = style.iter().find(|it| it.ends_with(".css")).unwrap();
    for path in [
        "/",
        "/play/live/cam",
        &format!("/assets/{style}"),
        "/api/qr?text=http%3A%2F%2Fa.example%2F",
        "/api/streams",
        "/api/streams/live/cam",
    ] {
        let whole = web.get(path, &[]);
        let head = web.ask("HEAD", path, &[]);
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        let length = whole.body.len().to_string();
        assert_eq!(
            head.header("content-length"),
            Some(length.as_str()),
            "{path}"
        );
        for name in [
            "content-type",
            "content-security-policy",
            "cache-control",
            "etag",
        ] {
            assert_eq!(head.header(name), whole.header(name), "{path}: {name}");
        }
    }
}

#[test]
fn another_policy_is_another_page() {
    let usual = Delivered::start(|_| ());
    let strict = Delivered::start(|config| {
        config.http.cors.origins = vec!["https://own.example".to_owned()];
    });
    for path in ["/", "/play/live/cam"] {
        let kept = Web::fetch(usual.address(), path);
        let tag = kept.header("etag").unwrap();
        let answer = Web::connect(strict.address()).get(path, &[("If-None-Match", tag)]);
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.ends_with("frame-ancestors 'self' https://own.example"));
    }
}

#[test]
fn a_list_is_compressed_for_who_takes_it() {
    let delivered = Delivered::start(|_| ());
    let publishing = looped(&delivered, "live/cam");
    listed(delivered.address(), "", 1);
    let mut web = Web::connect(delivered.address());
    for path in ["/api/streams", "/api/streams/live/cam"] {
        let answer = web.get(path, &[("Accept-Encoding", "gzip")]);
        assert_eq!(answer.header("content-encoding"), Some("gzip"), "{path}");
        assert_eq!(&answer.body[..2], [0x1f, 0x8b], "{path}");
    }
    publishing.kill();
}

#[test]
fn settings_say_who_is_told() {
    let none = Delivered::start(|config| config.http.list = HttpList::None);
    let all = Delivered::start(|config| {
        config.http.list = HttpList::All;
        config.access.play_keys = vec!["s3cret-key".to_owned()];
    });
    let publishing = [&none, &all].map(|delivered| looped(delivered, "live/cam"));
    let stream = &listed(all.address(), "", 1)[0];
    assert_eq!(stream["page"], "/play/live/cam");
    // To be told of it is not to play it.
    for form in ["hls", "picture", "flv"] {
        let path = stream[form].as_str().unwrap();
        assert_eq!(Web::fetch(all.address(), path).status, 403, "{path}");
    }
    none.server().wait_until_published("live/cam");
    none.master("live/cam");
    let refused = Web::fetch(none.address(), "/api/streams");
    assert_eq!(refused.status, 404);
    // Who knows its name plays it.
    let one = json(&Web::fetch(none.address(), "/api/streams/live/cam"));
    assert_eq!(one["live"], true);
    for publishing in publishing {
        publishing.kill();
    }
}

#[test]
fn a_host_is_asked_about_who_plays_and_not_about_lists() {
    let mut config = Config::desktop();
    config.listen = vec!["127.0.0.1:0".parse().unwrap()];
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = asked.clone();
    let server = openrtmp_core::Server::builder(config)
        .on_access(move |request| {
            noted
                .lock()
                .unwrap()
                .push(request.query.reveal().to_owned());
            request.accept();
        })
        .start()
        .unwrap();
    let server = Arc::new(server);
    let listen: HttpListen = "http://127.0.0.1:0".parse().unwrap();
    let delivery = Delivery::start(&server, &[listen]).unwrap();
    let HttpListen::At { address, .. } = delivery.listeners()[0] else {
        panic!("an address");
    };
    let mut web = Web::connect(address);
    assert_eq!(json(&web.get("/api/streams?x=1", &[])), nothing());
    let one = json(&web.get("/api/streams/live/cam?x=2", &[]));
    assert!(one["self"].as_str().unwrap().starts_with("/v/"));
    // By its token it is not asked again.
    json(&web.get(one["self"].as_str().unwrap(), &[]));
    assert_eq!(*asked.lock().unwrap(), ["x=2"]);
}

#[test]
fn names_that_are_secret_are_not_listed() {
    let delivered = Delivered::start(|config| config.access.secret_names = true);
    let publishing = looped(&delivered, "live/s3cret-name");
    delivered.server().wait_until_published("live/s3cret-name");
    delivered.master("live/s3cret-name");
    let told = Web::fetch(delivered.address(), "/api/streams");
    assert_eq!(json(&told), nothing());
    let one = Web::fetch(delivered.address(), "/api/streams/live/s3cret-name");
    assert_eq!(
        json(&one)["name"]
            .as_str()
            .filter(|it| it.contains("s3cret")),
        None
    );
    publishing.kill();
}

#[test]
fn no_name_of_a_stream_is_anything_but_a_name() {
    // To HTML a slash is as good as a space.
    let odd = r#"live/<img/src=x/onerror=alert(1)>"'&;}${{`"#;
    let delivered = Delivered::start(|_| ());
    let publishing = looped(&delivered, odd);
    let stream = &listed(delivered.address(), "", 1)[0];
    assert_eq!(stream["name"], odd);
    let mut web = Web::connect(delivered.address());
    let usual = web.get("/play/live/cam", &[]).body;
    for (form, of) in stream.as_object().unwrap() {
        let Some(path) = of.as_str().filter(|_| form != "name") else {
            continue;
        };
        assert!(!path.contains(['<', '>', '"', ' ', '#']), "{form}: {path}");
        match form.as_str() {
            // One page for all, whatever they are called.
            "page" => assert_eq!(web.get(path, &[]).body, usual, "{path}"),
            "hls" | "picture" | "self" => assert_eq!(web.get(path, &[]).status, 200, "{path}"),
            _ => {}
        }
    }
    publishing.kill();
}

#[test]
fn a_code_holds_the_url_that_it_is_asked_for_with() {
    let delivered = Delivered::start(|_| ());
    let mut web = Web::connect(delivered.address());
    let code = web.get("/api/qr?text=http%3A%2F%2Fa.example%2Fplay%2Fa", &[]);
    assert_eq!(code.status, 200);
    assert_eq!(code.header("content-type"), Some("image/svg+xml"));
    assert_eq!(
        code.header("content-security-policy"),
        Some("default-src 'none'")
    );
    assert!(code.text().starts_with("<svg ") && !code.text().contains("a.example"));
    for wrong in [
        "",
        "?text=",
        "?text=javascript:alert(1)",
        "?text=%3Cscript%3E",
    ] {
        assert_eq!(
            web.get(&format!("/api/qr{wrong}"), &[]).status,
            400,
            "{wrong}"
        );
    }
}
