//! Who may play over HTTP: tokens that the server gives and those that others write, until when
//! and from where they are good, and what is asked about viewers.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openrtmp_core::{AccessAction, Event, Network, Protocol};
use openrtmp_live::Pass;
use openrtmp_media::hls::read::Listed;
use openrtmp_tests::tls::file;
use openrtmp_tests::{Delivered, Process, Tool, Web, found_at_last, live, openrtmp};

const SECRET: &str = "sixteen-and-more-bytes";
const KEY: &str = "opensesame";

/// A server whose streams take a key, and whose tokens are signed with [`SECRET`].
fn private() -> Delivered {
    Delivered::start(|config| {
        config.access.play_keys = vec![KEY.to_owned()];
        config.http.tokens.keys = vec![SECRET.to_owned()];
        config.access.trusted_proxies = vec!["127.0.0.1".to_owned()];
    })
}

/// A stream at this path that can be played.
fn playable(delivered: &Delivered, path: &str) -> Process {
    let publishing = live(50, &delivered.server().url(path));
    delivered.server().wait_until_published(path);
    delivered.master_for(path, &format!("?key={KEY}"));
    publishing
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// An hour for this path.
fn pass(path: &str) -> Pass {
    Pass::new(path, now() + 3600)
}

fn signed(pass: &Pass) -> String {
    pass.sign(SECRET).unwrap()
}

/// The video playlist that a master playlist names, from its own folder.
fn video(master: &str) -> &str {
    let uri = |line: &&str| !line.starts_with('#');
    master.lines().find(uri).expect("a variant")
}

#[test]
fn a_token_for_a_prefix_opens_all_below_and_nothing_beside() {
    let delivered = private();
    let paths = ["live/a", "live/ab", "live/a/b"];
    let _publishing = paths.map(|path| playable(&delivered, path));
    let mut web = Web::connect(delivered.address());
    let mut below = pass("live/a");
    below.is_prefix = true;
    let mut app = pass("live");
    app.is_prefix = true;
    for (pass, opened) in [
        (pass("live/a"), [true, false, false]),
        (below, [true, false, true]),
        (app, [true, true, true]),
        (pass("live"), [false, false, false]),
    ] {
        let token = signed(&pass);
        for (path, is_open) in paths.into_iter().zip(opened) {
            let master = web.get(&format!("/v/{token}/{path}/index.m3u8"), &[]);
            let expected = if is_open { 200 } else { 403 };
            assert_eq!(master.status, expected, "{pass:?} {path}");
            let flv = web.ask("HEAD", &format!("/v/{token}/{path}.flv"), &[]);
            assert_eq!(flv.status, expected, "{pass:?} {path}");
            let told = web.get(&format!("/v/{token}/api/streams/{path}"), &[]);
            assert_eq!(told.status, expected, "{pass:?} {path}");
            if is_open {
                // What it leads to is behind the same token, and is read to the media.
                let uri = video(master.text());
                let playlist = format!("/v/{token}/{path}/{uri}");
                let listed = web.get(&playlist, &[]);
                assert_eq!(listed.status, 200, "{playlist}");
                let listed = Listed::parse(listed.text()).unwrap();
                let segment = listed.segments.iter().find_map(|it| it.uri.as_ref());
                let folder = playlist.rsplit_once('/').unwrap().0;
                let segment = web.get(&format!("{folder}/{}", segment.unwrap()), &[]);
                assert_eq!(segment.status, 200);
                assert!(segment.body.len() > 1000);
                let cached = segment.header("cache-control").unwrap();
                assert!(cached.starts_with("private"), "{cached}");
            }
        }
    }
}

#[test]
fn a_token_for_an_address_opens_for_who_is_there_behind_proxies_too() {
    let delivered = private();
    let _publishing = playable(&delivered, "live/cam");
    let mut web = Web::connect(delivered.address());
    for (network, peers) in [
        ("127.0.0.1", [(None, 200), (Some("192.0.2.7"), 403)]),
        ("192.0.2.0/24", [(None, 403), (Some("192.0.2.7"), 200)]),
        (
            "2001:db8::/64",
            [(Some("192.0.2.7"), 403), (Some("2001:db8::9"), 200)],
        ),
    ] {
        let mut pass = pass("live/cam");
        pass.from = Network::parse(network);
        let token = signed(&pass);
        for (peer, status) in peers {
            let forwarded = peer.map(|peer| ("X-Forwarded-For", peer));
            let path = format!("/v/{token}/live/cam/index.m3u8");
            let answer = web.get(&path, forwarded.as_slice());
            assert_eq!(answer.status, status, "{network} from {peer:?}");
            let flv = web.ask(
                "HEAD",
                &format!("/v/{token}/live/cam.flv"),
                forwarded.as_slice(),
            );
            assert_eq!(flv.status, status, "{network} from {peer:?}");
        }
    }
}

#[test]
fn tokens_of_the_server_are_bound_to_addresses_where_that_is_set() {
    for is_bound in [false, true] {
        let delivered = Delivered::start(|config| {
            config.access.play_keys = vec![KEY.to_owned()];
            config.access.trusted_proxies = vec!["127.0.0.1".to_owned()];
            config.http.tokens.same_address = is_bound;
        });
        let _publishing = playable(&delivered, "live/cam");
        let mut web = Web::connect(delivered.address());
        let from = |address| [("X-Forwarded-For", address)];
        let entry = format!("/live/cam/index.m3u8?key={KEY}");
        let master = web.get(&entry, &from("2001:db8::1"));
        let playlist = video(master.text());
        // Another address of the same /64, as browsers take them by turns; and one of another.
        for (address, is_same) in [
            ("2001:db8::1", true),
            ("2001:db8::2", true),
            ("2001:db8:0:1::1", false),
            ("192.0.2.7", false),
        ] {
            let status = web.get(playlist, &from(address)).status;
            let expected = if is_same || !is_bound { 200 } else { 403 };
            assert_eq!(status, expected, "{address}, bound: {is_bound}");
        }
    }
}

#[test]
fn a_token_in_a_header_or_the_cookie_opens_as_one_in_the_path_does() {
    let delivered = private();
    let _publishing = playable(&delivered, "live/cam");
    let mut web = Web::connect(delivered.address());
    let token = signed(&pass("live/cam"));
    let (bearer, cookie) = (
        format!("Bearer {token}"),
        format!("theme=dark; __Host-openrtmp={token}"),
    );
    for header in [
        ("Authorization", bearer.as_str()),
        ("Cookie", cookie.as_str()),
    ] {
        let header = [header];
        for entry in ["/live/cam/index.m3u8", "/live/cam/ts/index.m3u8"] {
            assert_eq!(web.get(entry, &[]).status, 403, "{entry}");
            assert_eq!(web.get(entry, &header).status, 200, "{entry}");
        }
        let manifest = web.get("/live/cam/manifest.mpd", &header);
        assert_eq!(manifest.status, 200);
        let master = web.get("/live/cam/index.m3u8", &header);
        // Nothing is carried on in paths: it comes with each request.
        assert!(!master.text().contains("/v/"), "{}", master.text());
        let cached = master.header("cache-control").unwrap();
        assert!(cached.starts_with("private"), "{cached}");
        let playlist = format!("/live/cam/{}", video(master.text()));
        assert_eq!(web.get(&playlist, &[]).status, 403);
        let listed = web.get(&playlist, &header);
        assert_eq!(listed.status, 200);
        let cached = listed.header("cache-control").unwrap();
        assert!(cached.starts_with("private"), "{cached}");
        let flv = web.ask("HEAD", "/live/cam.flv", &header);
        assert_eq!(flv.status, 200);
        let told = web.get("/api/streams/live/cam", &header);
        assert_eq!(told.status, 200, "{}", told.text());
    }
    // One that somebody on the way here means hides none that is meant.
    let cookie = ("Cookie", cookie.as_str());
    for other in ["Bearer x.y", "Basic YTpi"] {
        let both = [("Authorization", other), cookie];
        assert_eq!(web.get("/live/cam/index.m3u8", &both).status, 200);
    }
    // One that is for something else is as if it were not there.
    let other = format!("Bearer {}", signed(&pass("live/other")));
    for said in [other.as_str(), "Bearer x.y", "Basic YTpi"] {
        let header = [("Authorization", said)];
        assert_eq!(web.get("/live/cam/index.m3u8", &header).status, 403);
        let with_key = format!("/live/cam/index.m3u8?key={KEY}");
        assert_eq!(web.get(&with_key, &header).status, 200);
    }
}

#[test]
fn no_answer_tells_a_token_that_came_in_a_header() {
    let delivered = Delivered::start(|config| {
        config.access.play_keys = vec![KEY.to_owned()];
        config.http.tokens.keys = vec![SECRET.to_owned()];
        config.http.base_url = "https://cdn.example".to_owned();
    });
    let publishing = live(50, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    let mut web = Web::connect(delivered.address());
    let token = signed(&pass("live/cam"));
    let (bearer, cookie) = (
        format!("Bearer {token}"),
        format!("__Host-openrtmp={token}"),
    );
    for header in [
        ("Authorization", bearer.as_str()),
        ("Cookie", cookie.as_str()),
    ] {
        found_at_last("a picture", || {
            let told = web.get("/api/streams/live/cam", &[header]);
            assert_eq!(told.status, 200, "{}", told.text());
            assert!(!told.text().contains(&token), "{}", told.text());
            assert!(told.text().contains("\"/live/cam/index.m3u8\""));
            told.text().contains("/live/cam/picture.mp4").then_some(())
        });
        // Nor does it lead to where it would not be sent.
        for entry in ["index.m3u8", "ts/index.m3u8", "manifest.mpd"] {
            let answer = web.get(&format!("/live/cam/{entry}"), &[header]);
            assert_eq!(answer.status, 200, "{entry}: {}", answer.text());
            assert!(!answer.text().contains(&token), "{}", answer.text());
            assert!(!answer.text().contains("cdn.example"), "{}", answer.text());
        }
    }
    // One of a path leads on, as it did.
    let master = web.get(&format!("/v/{token}/live/cam/index.m3u8"), &[]);
    let folder = format!("https://cdn.example/v/{token}/live/cam/");
    assert!(video(master.text()).starts_with(&folder));
    drop(publishing);
}

/// The status of a WebSocket to the host `test` that a page of this origin opens for FLV, with
/// these fields.
fn opened(delivered: &Delivered, path: &str, origin: Option<&str>, fields: &[(&str, &str)]) -> u16 {
    let opens = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let origin = origin.map(|it| ("Origin", it));
    let all = [&opens[..], origin.as_slice(), fields].concat();
    Web::connect(delivered.address()).get(path, &all).status
}

#[test]
fn a_page_of_another_site_opens_no_websocket_with_its_viewers_cookie() {
    const NAMED: &str = "https://named.example";
    for origins in [vec!["*"], vec!["*", NAMED], vec![NAMED], vec![]] {
        let delivered = Delivered::start(|config| {
            config.access.play_keys = vec![KEY.to_owned()];
            config.http.tokens.keys = vec![SECRET.to_owned()];
            config.http.cors.origins = origins.iter().map(|&it| it.to_owned()).collect();
        });
        let publishing = playable(&delivered, "live/cam");
        let token = signed(&pass("live/cam"));
        let cookie = format!("__Host-openrtmp={token}");
        let cookie = [("Cookie", cookie.as_str())];
        let named = if origins.contains(&NAMED) { 101 } else { 403 };
        for (origin, expected) in [
            (None, 101),
            (Some("https://test"), 101),
            (Some(NAMED), named),
            (Some("http://test"), 403),
            (Some("https://evil.example"), 403),
            (Some("https://named.example.evil"), 403),
            (Some("null"), 403),
        ] {
            let status = opened(&delivered, "/live/cam.flv", origin, &cookie);
            assert_eq!(status, expected, "{origins:?}: {origin:?}");
        }
        // What such a page itself shows is its own, where pages of all sites may.
        let all = if origins.contains(&"*") { 101 } else { 403 };
        let evil = Some("https://evil.example");
        for path in [
            format!("/v/{token}/live/cam.flv"),
            format!("/live/cam.flv?key={KEY}"),
        ] {
            let status = opened(&delivered, &path, evil, &[]);
            assert_eq!(status, all, "{origins:?}: {path}");
        }
        drop(publishing);
    }
}

#[test]
fn who_has_a_token_that_is_over_is_asked_about_again() {
    let delivered = private();
    let _publishing = playable(&delivered, "live/cam");
    let mut web = Web::connect(delivered.address());
    let good = signed(&pass("live/cam"));
    let master = web.get(&format!("/v/{good}/live/cam/index.m3u8"), &[]);
    let uri = video(master.text()).to_owned();
    let listed = web.get(&format!("/v/{good}/live/cam/{uri}"), &[]);
    let listed = Listed::parse(listed.text()).unwrap();
    let late = listed.target.unwrap() * 3;
    let folder = uri.rsplit_once('/').map_or("", |(folder, _)| folder);
    let media = |token: &str, name: &str| format!("/v/{token}/live/cam/{folder}/{name}");
    let segment = listed.segments.iter().find_map(|it| it.uri.as_ref());
    let segment = segment.unwrap();

    // What was listed can be fetched for three target durations more.
    let over = |seconds: u64| signed(&Pass::new("live/cam", now() - seconds));
    let status = |web: &mut Web, path: &str| web.get(path, &[]).status;
    let token = over(0);
    assert_eq!(status(&mut web, &media(&token, segment)), 200);
    for path in [
        format!("/v/{token}/live/cam/{uri}"),
        format!("/v/{token}/live/cam/index.m3u8"),
        format!("/v/{token}/live/cam/manifest.mpd"),
        format!("/v/{token}/live/cam.flv"),
        format!("/v/{token}/api/streams/live/cam"),
    ] {
        let answer = web.get(&path, &[]);
        assert_eq!(answer.status, 403, "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let token = over(late + 1);
    assert_eq!(status(&mut web, &media(&token, segment)), 403);
    // One by another secret, or changed, opens nothing at any time.
    let forged = pass("live/cam").sign("another-secret-of-ours").unwrap();
    let (payload, signature) = good.split_once('.').unwrap();
    let later = signed(&Pass::new("live/cam", now() + 7200));
    let swapped = format!("{}.{signature}", later.split_once('.').unwrap().0);
    assert_ne!(swapped, format!("{payload}.{signature}"));
    for token in [forged, swapped] {
        assert_eq!(status(&mut web, &media(&token, segment)), 403);
        let path = format!("/v/{token}/live/cam/{uri}");
        assert_eq!(status(&mut web, &path), 403);
    }

    // Who begins again is asked about again, and gets another.
    let from = "192.0.2.77";
    let entry = format!("/live/cam/index.m3u8?key={KEY}");
    let again = web.get(&entry, &[("X-Forwarded-For", from)]);
    assert_eq!(again.status, 200);
    assert_eq!(status(&mut web, video(again.text())), 200);
    let asked = || {
        let granted = delivered.server().granted_from(AccessAction::Play);
        granted.iter().filter(|it| it.to_string() == from).count()
    };
    found_at_last("an access event", || (asked() > 0).then_some(()));
    assert_eq!(asked(), 1);
}

#[test]
fn a_token_of_the_command_lets_play_what_it_is_for_until_it_is_over() {
    let delivered = private();
    let publishing = playable(&delivered, "live/cam");
    let folder = tempfile::tempdir().unwrap();
    let token = |secret: &str, more: &[&str]| {
        let file = file(folder.path(), "secret", secret);
        let mut command = openrtmp();
        command.args(["token", "--key-file"]).arg(file).args(more);
        command.output().unwrap()
    };
    let base = delivered.url("");
    let line = |secret: &str, more: &[&str]| {
        let output = token(secret, more);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let url = |secret: &str, more: &[&str]| {
        let url = line(secret, &[more, &["--url", &base]].concat());
        url.strip_prefix(&base).unwrap().to_owned()
    };
    // Anew each time: other programs take longer than a connection waits.
    let status = |path: &str| Web::connect(delivered.address()).get(path, &[]).status;
    let here = [
        "--stream",
        "live/cam",
        "--for",
        "1h",
        "--address",
        "127.0.0.1",
    ];
    let good = url(SECRET, &here);
    assert_eq!(status(&good), 200, "{good}");
    let mut command = Tool::Ffprobe.command();
    command.args(["-v", "error", "-show_entries", "stream=codec_name"]);
    let played = Process::start("ffprobe", {
        command.arg(format!("{base}{good}"));
        command
    });
    let played = played.wait().expect_success().output.join("\n");
    assert!(played.contains("codec_name=h264"), "{played}");
    // Alone it is one for a header.
    let alone = line(SECRET, &here);
    let bearer = format!("Bearer {alone}");
    let asked = Web::connect(delivered.address())
        .get("/live/cam/index.m3u8", &[("Authorization", &bearer)])
        .status;
    assert_eq!(asked, 200);
    let below = url(SECRET, &["--stream", "live", "--prefix", "--for", "1h"]);
    assert_eq!(status(&format!("{below}cam/index.m3u8")), 200, "{below}");
    for (secret, more) in [
        (SECRET, &["--stream", "live/other", "--for", "1h"][..]),
        (
            "another-secret-of-ours",
            &["--stream", "live/cam", "--for", "1h"],
        ),
        (
            SECRET,
            &[
                "--stream",
                "live/cam",
                "--for",
                "1h",
                "--address",
                "192.0.2.7",
            ],
        ),
    ] {
        let path = url(secret, more).replace("other", "cam");
        assert_eq!(status(&path), 403, "{more:?}");
    }
    // It is good for all of the second in which it ends.
    let brief = url(SECRET, &["--stream", "live/cam", "--for", "1ms"]);
    found_at_last("an end of a token", || {
        (status(&brief) == 403).then_some(())
    });
    let short = token("a-short-one", &here);
    assert_eq!(short.status.code(), Some(2));
    let told = String::from_utf8_lossy(&short.stderr);
    assert!(
        told.contains("16 bytes") && !told.contains("a-short-one"),
        "{told}"
    );
    publishing.kill();
}

#[test]
fn flv_ends_with_its_token() {
    let delivered = private();
    let publishing = playable(&delivered, "live/cam");
    let token = signed(&Pass::new("live/cam", now() + 8));
    let mut web = Web::connect(delivered.address());
    let mut flv = web.begin(&format!("/v/{token}/live/cam.flv"));
    assert_eq!(flv.status, 200);
    web.take_body(&mut flv).unwrap();
    assert!(flv.body.starts_with(b"FLV\x01"));
    // The publisher goes on.
    let over = web.get(&format!("/v/{token}/live/cam.flv"), &[]);
    assert_eq!(over.status, 403);
    drop(publishing);
}

/// A server whose host is asked, and what it is asked.
fn asking() -> (Delivered, Receiver<(Protocol, String)>) {
    let (asked, questions) = channel();
    let delivered = Delivered::start_as(
        "http://127.0.0.1:0",
        |_| (),
        |builder| {
            builder.on_access(move |request| {
                if request.action == AccessAction::Play {
                    let stream = request.stream.reveal().to_owned();
                    drop(asked.send((request.protocol, stream)));
                }
                request.accept();
            })
        },
    );
    (delivered, questions)
}

#[test]
fn the_host_is_told_what_each_viewer_comes_over_and_once_of_each() {
    let (delivered, questions) = asking();
    let publishing = live(50, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    let mut web = Web::connect(delivered.address());
    delivered.begun("/live/cam/index.m3u8");
    while questions.try_recv().is_ok() {}
    for (path, protocol) in [
        ("/live/cam/index.m3u8", Protocol::Hls),
        ("/live/cam/ts/index.m3u8", Protocol::Hls),
        ("/live/cam/manifest.mpd", Protocol::Dash),
        ("/live/cam.flv", Protocol::Flv),
        ("/api/streams/live/cam", Protocol::Hls),
    ] {
        let method = if path.ends_with("flv") { "HEAD" } else { "GET" };
        let answer = web.ask(method, path, &[]);
        assert_eq!(answer.status, 200, "{path}");
        let asked = questions.try_recv().expect("it was asked");
        assert_eq!(asked, (protocol, "live/cam".to_owned()), "{path}");
        if protocol == Protocol::Hls && path.ends_with("m3u8") {
            // What follows goes by the token.
            let playlist = video(answer.text());
            assert_eq!(web.get(playlist, &[]).status, 200, "{playlist}");
        }
        assert!(questions.try_recv().is_err(), "{path}");
    }
    delivered.server().wait_until_told("DASH", |event| {
        let is_dash = |protocol| protocol == Protocol::Dash;
        matches!(event, Event::Access { protocol, granted: true, .. } if is_dash(*protocol))
    });
    drop(publishing);
}

#[test]
fn who_brings_no_key_has_guessed_nothing_over_any_protocol() {
    let delivered = Delivered::start(|config| {
        config.access.play_keys = vec![KEY.to_owned()];
        config.access.failed_attempts.limit = 3;
        config.access.failed_attempts.block = Duration::from_secs(3600);
    });
    let mut web = Web::connect(delivered.address());
    for path in [
        "live/cam/index.m3u8",
        "live/cam/manifest.mpd",
        "live/cam.flv",
    ] {
        // Nor is the name of a stream a key, as it is over RTMP.
        let named = path.replace("cam", KEY);
        for path in [path, &named] {
            for _ in 0..4 {
                assert_eq!(web.get(&format!("/{path}"), &[]).status, 403, "{path}");
            }
        }
        let begun = web.get(&format!("/{path}?key={KEY}"), &[]);
        assert_eq!(begun.status, 404, "it may, but there is none: {path}");
    }
    for _ in 0..3 {
        web.get("/live/cam/manifest.mpd?key=guessed", &[]);
    }
    let blocked = web.get(&format!("/live/cam/manifest.mpd?key={KEY}"), &[]);
    assert_eq!(blocked.status, 403);
    assert!(blocked.text().contains("blocked"), "{}", blocked.text());
}
