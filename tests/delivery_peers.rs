//! What peers send that no player would, to the delivery of streams over HTTP.

use openrtmp_core::{Event, HttpList, Limit, PullRule};
use openrtmp_tests::{Delivered, Media, Process, Publisher, Publishing, Tool, Web};

/// A stream for as long as a test takes.
fn looped(delivered: &Delivered, path: &str, media: Media) -> Process {
    let mut command = Tool::Ffmpeg.command();
    command.args(["-nostdin", "-v", "error", "-re", "-stream_loop", "20", "-i"]);
    command.arg(media.file());
    command.args(["-c", "copy", "-f", "flv", &delivered.server().url(path)]);
    Process::start("ffmpeg publishing", command)
}

/// Waits until it is told that a limit was reached.
fn wait_until_reached(delivered: &Delivered, wanted: Limit) {
    let is_it =
        |event: &Event| matches!(event, Event::LimitReached { limit, .. } if *limit == wanted);
    delivered.server().wait_until_told(wanted.path(), is_it);
}

/// A stream that is being delivered, and one of its media playlists.
fn playing(delivered: &Delivered) -> (Publishing, String) {
    let publishing = Publisher::Ffmpeg.start(Media::H264Aac, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    let master = delivered.master("live/cam");
    let playlist = master.lines().last().unwrap();
    (publishing, format!("/live/cam/{playlist}"))
}

#[test]
fn odd_paths_are_refused_and_nothing_is_kept_of_that() {
    let delivered = Delivered::start(|_| ());
    let mut web = Web::connect(delivered.address());
    for (path, status) in [
        ("/live/../cam/index.m3u8", 400),
        ("/live/%2e%2e/index.m3u8", 400),
        ("/live/%2E/index.m3u8", 400),
        ("/live/cam%00/index.m3u8", 400),
        ("/live/%c0%ae%c0%ae/index.m3u8", 400),
        ("/live/%e0%80%af/index.m3u8", 400),
        ("/live/a%2fb/index.m3u8", 400),
        ("/live//index.m3u8", 400),
        ("/live/cam/index.m3u8", 404),
        ("/live/cam.flv", 404),
        ("/live/cam/0-0/v0.m3u8", 404),
        ("/live/cam/0-0/v0/1.m4s", 404),
        ("/play/cam/index.m3u8", 404),
        ("/metrics", 404),
        ("//", 400),
        ("/v/token/live/cam/index.m3u8", 403),
        ("/time", 200),
    ] {
        let answer = web.get(path, &[]);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
    for (method, status) in [
        ("POST", 405),
        ("DELETE", 405),
        ("OPTIONS", 204),
        ("HEAD", 404),
    ] {
        let answer = web.ask(method, "/live/cam/index.m3u8", &[]);
        assert_eq!(answer.status, status, "{method}");
    }
}

#[test]
fn bodies_are_not_taken_however_they_are_told() {
    let delivered = Delivered::start(|_| ());
    let smuggled = "0\r\n\r\nGET /time HTTP/1.1\r\nHost: x\r\n\r\n";
    for head in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Transfer-Encoding: identity\r\n",
        "Content-Length: +5\r\n",
    ] {
        let mut web = Web::connect(delivered.address());
        let request = format!("GET /time HTTP/1.1\r\nHost: x\r\n{head}\r\n{smuggled}");
        web.send(request.as_bytes()).unwrap();
        let answer = web.answer(false).unwrap();
        assert_eq!(answer.status, 400, "{head}");
        // Nothing behind it is taken for a request.
        let rest = web.rest().unwrap_or_default();
        assert!(!rest.windows(6).any(|bytes| bytes == b"200 OK"), "{head}");
    }
}

#[test]
fn directives_that_are_wrong_are_refused_and_those_of_before_answered_at_once() {
    let delivered = Delivered::start(|_| ());
    let (publishing, playlist) = playing(&delivered);
    let mut web = Web::connect(delivered.address());
    for query in [
        "_HLS_msn=a",
        "_HLS_msn=",
        "_HLS_msn=-1",
        "_HLS_msn=+1",
        "_HLS_msn=1.5",
        "_HLS_msn=0x10",
        "_HLS_msn=%31",
        "_HLS_msn=18446744073709551616",
        "_HLS_part=1",
        "_HLS_msn=1&_HLS_part=a",
        "_HLS_msn=1&_HLS_msn=1",
        "_HLS_skip=NO",
        "_HLS_skip=yes",
        "_HLS_skip",
    ] {
        let answer = web.get(&format!("{playlist}?{query}"), &[]);
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let stale = web.get(&format!("{playlist}?_HLS_msn=0&_HLS_part=99"), &[]);
    assert_eq!(stale.status, 200);
    publishing.kill();
    // What comes too far from now is not waited for, as long as the stream may go on.
    let far = web.get(&format!("{playlist}?_HLS_msn=99"), &[]);
    assert_eq!(far.status, 400, "{}", far.text());
}

#[test]
fn ranges_cost_no_more_than_the_whole() {
    let delivered = Delivered::start(|_| ());
    let (publishing, playlist) = playing(&delivered);
    let mut web = Web::connect(delivered.address());
    let list = web.get(&playlist, &[]);
    let folder = playlist.rsplit_once('/').unwrap().0;
    let segment = list
        .text()
        .lines()
        .find(|line| line.ends_with(".m4s"))
        .unwrap();
    let segment = format!("{folder}/{segment}");
    let whole = web.get(&segment, &[]);
    assert_eq!(
        (whole.status, whole.header("accept-ranges")),
        (200, Some("bytes"))
    );
    let length = whole.body.len();
    let head = web.ask("HEAD", &segment, &[("Range", "bytes=0-3")]);
    let told = head.header("content-length").map(str::to_owned);
    assert_eq!((head.status, told), (200, Some(length.to_string())));
    let bomb = format!("bytes={}0-", "0-,".repeat(1300));
    for (range, status, expected) in [
        ("bytes=0-3", 206, &whole.body[..4]),
        ("bytes=-4", 206, &whole.body[length - 4..]),
        ("bytes=5-99999999999999999999", 206, &whole.body[5..]),
        ("bytes=0-0,2-2", 200, &whole.body[..]),
        (bomb.as_str(), 200, &whole.body[..]),
        ("bytes=9-1", 200, &whole.body[..]),
    ] {
        let answer = web.get(&segment, &[("Range", range)]);
        assert_eq!(answer.status, status, "{range}");
        assert!(answer.body == expected, "{range}");
    }
    let beyond = web.get(&segment, &[("Range", &format!("bytes={length}-"))]);
    assert_eq!(beyond.status, 416);
    assert_eq!(
        beyond.header("content-range"),
        Some(format!("bytes */{length}").as_str())
    );
    let tag = whole.header("etag").unwrap();
    let known = web.get(&segment, &[("If-None-Match", tag)]);
    assert_eq!((known.status, known.body.len()), (304, 0));
    let head = web.ask("HEAD", &segment, &[]);
    assert_eq!(head.status, 200);
    assert_eq!(
        head.header("content-length"),
        Some(length.to_string().as_str())
    );
    publishing.kill();
}

#[test]
fn so_many_wait_and_no_more_and_half_of_them_are_for_others() {
    let delivered = Delivered::start(|config| {
        config.access.trusted_proxies = vec!["127.0.0.1".to_owned()];
        config.http.viewers.waiting_per_stream = 16;
    });
    let publishing = looped(&delivered, "live/cam", Media::H264Aac);
    delivered.server().wait_until_published("live/cam");
    let master = delivered.master("live/cam");
    let playlist = format!("/live/cam/{}", master.lines().last().unwrap());
    let listed = Web::fetch(delivered.address(), &playlist);
    let hint = listed.text().lines();
    let mut hint = hint.filter_map(|line| line.split_once("TYPE=PART,URI=\"v0/"));
    let (msn, _) = hint.next().unwrap().1.split_once('.').unwrap();
    // The segment behind the one that is open: it takes seconds to be whole.
    let next = format!("{playlist}?_HLS_msn={}", msn.parse::<u64>().unwrap() + 1);
    let mut waiting: Vec<Web> = Vec::new();
    let request = format!("GET {next} HTTP/1.1\r\nHost: x\r\n\r\n");
    for _ in 0..200 {
        let mut web = Web::connect(delivered.address());
        web.send(request.as_bytes()).unwrap();
        waiting.push(web);
    }
    // Who is elsewhere has places still.
    let elsewhere = [("X-Forwarded-For", "192.0.2.1")];
    let answer = Web::connect(delivered.address()).get(&next, &elsewhere);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let statuses: Vec<u16> = waiting
        .iter_mut()
        .map(|web| web.answer(false).unwrap().status)
        .collect();
    let of = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    // One that was answered leaves its place to another.
    assert!(of(200) >= 8 && of(503) > 0, "{statuses:?}");
    assert_eq!(of(200) + of(503), 200, "{statuses:?}");
    wait_until_reached(&delivered, Limit::ViewersWaitingPerStream);
    publishing.kill();
}

#[test]
fn heads_that_are_slow_or_long_end_their_connections() {
    let delivered = Delivered::start(|config| {
        config.http.request_timeout = std::time::Duration::from_millis(300);
        // No other rule ends them before the test gives up.
        config.http.idle_timeout = std::time::Duration::from_secs(600);
        config.http.answer_timeout = std::time::Duration::from_secs(600);
    });
    let mut slow = Web::connect(delivered.address());
    slow.send(b"GET /time HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        .unwrap();
    assert!(slow.rest().is_ok(), "it is closed");
    let mut silent = Web::connect(delivered.address());
    assert_eq!(silent.rest().unwrap(), b"", "it is closed");
    // What is within the limits is answered: 8 KiB, of 64 fields.
    let head = |fields: &str| format!("GET /time HTTP/1.1\r\n{fields}\r\n");
    let status = |text: &str| {
        let mut web = Web::connect(delivered.address());
        web.send(text.as_bytes()).unwrap();
        web.answer(false).unwrap().status
    };
    assert_eq!(status(&head(&format!("X: {}\r\n", "x".repeat(8000)))), 200);
    assert_eq!(status(&head(&"X: y\r\n".repeat(64))), 200);
    assert_eq!(status(&head(&"X: y\r\n".repeat(65))), 431);
    // One without an end, all of which is read: no reset overtakes the answer.
    let mut long = head(&format!("X: {}", "x".repeat(8192)));
    long.truncate(8192);
    assert_eq!(status(&long), 431);
}

#[test]
fn who_takes_nothing_is_cut_off_and_others_are_served() {
    let delivered = Delivered::start(|config| {
        config.http.answer_timeout = std::time::Duration::from_secs(1);
    });
    let publishing = looped(&delivered, "live/noise", Media::TwentyMegabits);
    delivered.server().wait_until_published("live/noise");
    delivered.master("live/noise");
    // Reads the head and nothing more.
    let mut slow = Web::connect(delivered.address());
    slow.send(b"GET /live/noise.flv HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    assert_eq!(slow.answer(true).unwrap().status, 200);
    while delivered.delivery().connections() > 0 {
        std::thread::yield_now();
    }
    assert_eq!(
        Web::fetch(delivered.address(), "/live/noise/index.m3u8").status,
        200
    );
    publishing.kill();
}

#[test]
fn a_full_memory_takes_no_more_streams() {
    let delivered = Delivered::start(|config| config.http.memory = 16 << 20);
    let publishing = looped(&delivered, "live/large", Media::TwentyMegabits);
    delivered.server().wait_until_published("live/large");
    let master = delivered.master("live/large");
    let playlist = format!("/live/large/{}", master.lines().last().unwrap());
    // At 20 Mbit/s the fourth segment makes it more.
    let mut web = Web::connect(delivered.address());
    for msn in 2..=5 {
        let answer = web.get(&format!("{playlist}?_HLS_msn={msn}&_HLS_part=0"), &[]);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let next = Publisher::Ffmpeg.start(Media::H264Aac, &delivered.server().url("live/next"));
    wait_until_reached(&delivered, Limit::Memory);
    next.wait();
    assert_eq!(web.get("/live/next/index.m3u8", &[]).status, 404);
    assert_eq!(
        web.get(&playlist, &[]).status,
        200,
        "what is there is served"
    );
    publishing.kill();
}

#[test]
fn connections_and_streams_that_are_wanted_have_a_limit_which_is_told() {
    let delivered = Delivered::start(|config| {
        config.http.viewers.connections = 2;
        config.http.viewers.connections_per_address = 2;
        // Nobody serves there: they are wanted and do not come.
        let nowhere = "rtmp://127.0.0.1:1/{app}/{name}";
        config.relay.pull = vec![PullRule::new("wanted/*", nowhere)];
        config.http.viewers.wanted = 1;
    });
    let mut web = Web::connect(delivered.address());
    web.send(b"GET /wanted/a/index.m3u8 HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    // It may be the first that is asked for second.
    let mut other = Web::connect(delivered.address());
    other
        .send(b"GET /wanted/b/index.m3u8 HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    wait_until_reached(&delivered, Limit::ViewersWanted);
    // Both places are taken.
    let mut third = Web::connect(delivered.address());
    assert!(third.ask_if_taken("GET", "/time", &[]).is_none());
    wait_until_reached(&delivered, Limit::ViewersConnections);
}

/// The streams that are listed.
fn listed(delivered: &Delivered) -> Vec<String> {
    let listed = Web::fetch(delivered.address(), "/api/streams");
    let listed: serde_json::Value = serde_json::from_slice(&listed.body).unwrap();
    let listed = listed["streams"].as_array().unwrap().iter();
    let name = |stream: &serde_json::Value| stream["name"].as_str().unwrap().to_owned();
    listed.map(name).collect()
}

#[test]
fn an_app_with_a_reserved_name_is_not_delivered() {
    let delivered = Delivered::start(|config| config.http.list = HttpList::All);
    let reserved = looped(&delivered, "play/cam", Media::H264Aac);
    let usual = looped(&delivered, "plays/cam", Media::H264Aac);
    delivered.server().wait_until_published("play/cam");
    // The other one is: both have been seen when a third one is.
    delivered.master("plays/cam");
    let third = looped(&delivered, "live/cam", Media::H264Aac);
    delivered.master("live/cam");
    assert_eq!(listed(&delivered), ["live/cam", "plays/cam"]);
    for path in ["/play/cam/index.m3u8", "/play/cam.flv"] {
        assert_eq!(Web::fetch(delivered.address(), path).status, 404);
    }
    for publishing in [reserved, usual, third] {
        publishing.kill();
    }
}

/// What opens a WebSocket, with the key of RFC 6455, 1.3.
const WEBSOCKET: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[test]
fn websockets_count_as_long_as_they_last_and_pages_of_others_open_none() {
    let delivered = Delivered::start(|config| {
        config.http.viewers.connections_per_address = 2;
        config.http.cors.origins = vec!["https://own.example".to_owned()];
    });
    let publishing = looped(&delivered, "live/cam", Media::H264Aac);
    delivered.server().wait_until_published("live/cam");
    let open = |origin| {
        let mut web = Web::connect(delivered.address());
        let headers = [&WEBSOCKET[..], &[("Origin", origin)]].concat();
        let status = web.get("/live/cam.flv", &headers).status;
        (web, status)
    };
    let (mut refused, status) = open("https://other.example");
    assert_eq!(status, 403);
    // It is the same connection's still.
    assert_eq!(refused.get("/time", &[]).status, 200);
    drop(refused);
    let mut sockets = Vec::new();
    while sockets.len() < 2 {
        // The place of the one before is free when its end was seen.
        let mut web = Web::connect(delivered.address());
        let headers = [&WEBSOCKET[..], &[("Origin", "https://own.example")]].concat();
        match web.ask_if_taken("GET", "/live/cam.flv", &headers) {
            Some(answer) => {
                assert_eq!(answer.status, 101);
                sockets.push(web);
            }
            None => continue,
        }
    }
    let mut third = Web::connect(delivered.address());
    assert!(third.ask_if_taken("GET", "/time", &[]).is_none());
    wait_until_reached(&delivered, Limit::ViewersConnectionsPerAddress);
    sockets.pop();
    loop {
        let mut third = Web::connect(delivered.address());
        if let Some(answer) = third.ask_if_taken("GET", "/time", &[]) {
            break assert_eq!(answer.status, 200);
        }
    }
    publishing.kill();
}

#[test]
fn flv_comes_over_a_websocket_too() {
    let delivered = Delivered::start(|_| ());
    let (publishing, _) = playing(&delivered);
    let mut web = Web::connect(delivered.address());
    let answer = web.get("/live/cam.flv", &WEBSOCKET);
    assert_eq!(answer.status, 101, "{}", answer.text());
    let accepted = answer.header("sec-websocket-accept");
    assert_eq!(accepted, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    let frames = web.rest().unwrap();
    assert_eq!(frames[0], 0x82, "a whole binary message");
    let header = match frames[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    assert_eq!(&frames[header..header + 4], b"FLV\x01");
    // The stream ended, and so did this.
    assert_eq!(&frames[frames.len() - 2..], b"\x88\0");
    publishing.wait();
}

#[test]
fn a_stream_with_keys_is_played_by_who_has_one_as_long_as_it_is_one() {
    let delivered = Delivered::start(|config| {
        config.access.play_keys = vec!["first-key".to_owned(), "other-key".to_owned()];
        // Of what is asked here these are the guesses.
        config.access.failed_attempts.limit = 5;
    });
    let publishing = looped(&delivered, "live/cam", Media::H264Aac);
    delivered.server().wait_until_published("live/cam");
    for query in ["", "", "", "", "", "", "?key=wrong", "?key="] {
        let refused = Web::fetch(delivered.address(), &format!("/live/cam/index.m3u8{query}"));
        assert_eq!(refused.status, 403, "{query}");
        let refused = Web::fetch(delivered.address(), &format!("/live/cam.flv{query}"));
        assert_eq!(refused.status, 403, "{query}");
    }
    let master = delivered.master_for("live/cam", "?key=first-key");
    let playlist = master.lines().last().unwrap();
    assert!(
        playlist.starts_with("/v/") && !master.contains("first-key"),
        "{master}"
    );
    let audio = master
        .lines()
        .find_map(|line| line.split_once(",URI=\""))
        .unwrap()
        .1;
    assert!(audio.starts_with("/v/"), "{master}");
    let mut web = Web::connect(delivered.address());
    let listed = web.get(playlist, &[]);
    assert_eq!(listed.status, 200);
    assert!(
        listed
            .header("cache-control")
            .unwrap()
            .starts_with("private")
    );
    let token = playlist.split('/').nth(2).unwrap();
    let open = playlist.replace(&format!("/v/{token}"), "");
    assert_eq!(web.get(&open, &[]).status, 403, "without the token");
    let elsewhere = playlist.replace("live/cam", "live/other");
    assert_eq!(web.get(&elsewhere, &[]).status, 403, "for another stream");
    let forged = playlist.replacen(token, &token.to_uppercase(), 1);
    assert_eq!(web.get(&forged, &[]).status, 403);
    let mut flv = Web::connect(delivered.address());
    let head = flv.ask("HEAD", "/live/cam.flv?key=first-key", &[]);
    assert_eq!((head.status, head.header("content-length")), (200, None));
    flv.send(
        b"GET /live/cam.flv?key=first-key HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n",
    )
    .unwrap();
    // It plays before its key goes: else it would be refused.
    flv.read_until(b"FLV\x01").unwrap();
    let core = delivered.server().core();
    core.play_keys().remove("other-key");
    assert!(matches!(web.get(playlist, &[]).status, 200));
    core.play_keys().remove("first-key");
    // What keys there are is looked at once in a second.
    while web.get(playlist, &[]).status == 200 {}
    assert_eq!(web.get(playlist, &[]).status, 403);
    // It goes on while its publisher does, and ends with its key.
    let media = flv.rest().unwrap();
    assert!(media.ends_with(b"0\r\n\r\n"), "ended as it should");
    publishing.kill();
}
