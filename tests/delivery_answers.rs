//! What answers say: since when media is as it is, which pages of other sites may read them, how
//! long they let a player wait, and what becomes of them at a stop.

use std::net::TcpStream;
use std::time::{Duration, Instant, UNIX_EPOCH};

use openrtmp_media::hls::read::Listed;
use openrtmp_media::parse_date;
use openrtmp_tests::h2::{GOAWAY, H2, HEADERS};
use openrtmp_tests::{Answer, Delivered, Process, Tool, Web, found_at_last, live};

/// A stream that can be played, for as long as a test takes, and its video playlist.
fn playing(delivered: &Delivered) -> (Process, String) {
    let publishing = live(60, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    let master = delivered.master("live/cam");
    let uri = master.lines().last().unwrap();
    (publishing, format!("/live/cam/{uri}"))
}

fn listed(web: &mut Web, playlist: &str) -> Listed {
    let answer = web.get(playlist, &[]);
    assert_eq!(answer.status, 200, "{playlist}");
    Listed::parse(answer.text()).unwrap()
}

/// The segment that is open, and the number of its next part.
fn open(listed: &Listed) -> (u64, usize) {
    let (msn, last) = listed.numbered().last().unwrap();
    match last.uri {
        Some(_) => (msn + 1, 0),
        None => (msn, last.parts.len()),
    }
}

/// Seconds since 1970 of a date of HTTP.
fn seconds(date: &str) -> u64 {
    let time = httpdate::parse_http_date(date).expect(date);
    time.duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn media_says_since_when_it_is_so() {
    let delivered = Delivered::start(|_| ());
    let (_publishing, playlist) = playing(&delivered);
    let mut web = Web::connect(delivered.address());
    let list = listed(&mut web, &playlist);
    let folder = playlist.rsplit_once('/').unwrap().0;
    let (msn, segment) = list.numbered().find(|(_, it)| it.uri.is_some()).unwrap();
    let part = segment.parts.first().unwrap_or_else(|| {
        let mut parts = list.segments.iter().flat_map(|it| &it.parts);
        parts.next().unwrap()
    });
    let transport = delivered.begun("/live/cam/ts/index.m3u8");
    let transport = transport.lines().last().unwrap().replace("../", "");
    let transport = transport.replace("ts.m3u8", &format!("ts/{msn}.ts"));
    let mut dates = Vec::new();
    for path in [
        format!("{folder}/{}", segment.map.as_ref().unwrap()),
        format!("{folder}/{}", segment.uri.as_ref().unwrap()),
        format!("{folder}/{}", part.uri),
        format!("/live/cam/{transport}"),
    ] {
        let whole = web.get(&path, &[]);
        assert_eq!(whole.status, 200, "{path}");
        let date = whole
            .header("last-modified")
            .unwrap_or_else(|| panic!("{path}"));
        let tag = whole.header("etag").unwrap();
        let sent = whole.header("date").unwrap();
        assert!(seconds(date) <= seconds(sent), "{path}: {date}, {sent}");
        // It is the same at each time, and of each answer.
        assert_eq!(web.get(&path, &[]).header("last-modified"), Some(date));
        let head = web.ask("HEAD", &path, &[]);
        assert_eq!(head.header("last-modified"), Some(date), "{path}");
        let piece = web.get(&path, &[("Range", "bytes=0-3"), ("If-Range", date)]);
        assert_eq!(
            (piece.status, piece.header("last-modified")),
            (206, Some(date))
        );
        let older = "Sun, 09 Sep 2001 01:46:40 GMT";
        for (fields, status) in [
            (vec![("If-Modified-Since", date)], 304),
            (vec![("If-Modified-Since", sent)], 304),
            (vec![("If-Modified-Since", older)], 200),
            (
                vec![("If-Modified-Since", older), ("If-None-Match", tag)],
                304,
            ),
            (
                vec![("If-Modified-Since", sent), ("If-None-Match", "\"other\"")],
                200,
            ),
            (vec![("Range", "bytes=0-3"), ("If-Range", older)], 200),
        ] {
            let answer = web.get(&path, &fields);
            assert_eq!(answer.status, status, "{path}: {fields:?}");
            if status == 304 {
                assert_eq!(answer.header("etag"), Some(tag));
            }
        }
        dates.push(seconds(date));
    }
    // What the list says of the segment is what its file does, in both forms.
    let told = parse_date(segment.date.as_ref().unwrap()).unwrap() / 1000;
    let told = u64::try_from(told).unwrap();
    assert_eq!((dates[1], dates[3]), (told, told));
    // The stream began before any of it.
    assert!(dates.iter().all(|date| dates[0] <= date + 1), "{dates:?}");
    // A list changes within a second.
    assert_eq!(web.get(&playlist, &[]).header("last-modified"), None);
}

/// What an answer says to pages of other sites.
fn cors(answer: &Answer) -> [Option<&str>; 3] {
    [
        "access-control-allow-origin",
        "timing-allow-origin",
        "access-control-allow-credentials",
    ]
    .map(|name| answer.header(name))
}

const PAGE: &str = "https://page.example";
const OTHER: &str = "https://other.example";

/// A question of a browser whether a page may ask so.
const PREFLIGHT: [(&str, &str); 3] = [
    ("Origin", PAGE),
    ("Access-Control-Request-Method", "GET"),
    ("Access-Control-Request-Headers", "authorization,range"),
];

#[test]
fn pages_of_other_sites_may_ask_and_read_and_measure() {
    let delivered = Delivered::start(|_| ());
    let (_publishing, playlist) = playing(&delivered);
    let mut web = Web::connect(delivered.address());
    let list = listed(&mut web, &playlist);
    let folder = playlist.rsplit_once('/').unwrap().0;
    let segment = list.segments.iter().find_map(|it| it.uri.as_ref());
    let segment = format!("{folder}/{}", segment.unwrap());
    for path in [&playlist, &segment, "/live/cam/index.m3u8", "/live/cam.flv"] {
        let asked = web.ask("OPTIONS", path, &PREFLIGHT);
        assert_eq!((asked.status, asked.body.len()), (204, 0), "{path}");
        assert_eq!(cors(&asked), [Some("*"), Some("*"), None], "{path}");
        let methods = asked.header("access-control-allow-methods");
        assert_eq!(methods, Some("GET, HEAD, OPTIONS"), "{path}");
        let headers = asked.header("access-control-allow-headers").unwrap();
        for name in ["Range", "Authorization", "Content-Type", "CMCD-Session"] {
            assert!(
                headers.split(", ").any(|it| it == name),
                "{name}: {headers}"
            );
        }
        let age = asked.header("access-control-max-age");
        assert_eq!(age, Some("7200"), "{path}");
    }
    let origin = ("Origin", PAGE);
    let tag = web.get(&segment, &[]).header("etag").unwrap().to_owned();
    let condition = ("If-None-Match", tag.as_str());
    for (path, fields, status) in [
        ("/live/cam/index.m3u8", vec![origin], 200),
        ("/live/cam/manifest.mpd", vec![origin], 200),
        (playlist.as_str(), vec![origin], 200),
        (segment.as_str(), vec![origin], 200),
        (segment.as_str(), vec![origin, ("Range", "bytes=0-3")], 206),
        (segment.as_str(), vec![origin, condition], 304),
        // Also what tells a player why.
        ("/live/none/index.m3u8", vec![origin], 404),
        (
            segment.as_str(),
            vec![origin, ("Range", "bytes=99999999-")],
            416,
        ),
        ("/time", vec![origin], 200),
    ] {
        let answer = web.get(path, &fields);
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(cors(&answer), [Some("*"), Some("*"), None], "{path}");
        let exposed = answer.header("access-control-expose-headers").unwrap();
        for name in ["Content-Length", "Content-Range", "Date", "Age", "ETag"] {
            assert!(
                exposed.split(", ").any(|it| it == name),
                "{name}: {exposed}"
            );
        }
    }
}

#[test]
fn of_sites_that_are_named_each_is_told_that_it_may_and_others_nothing() {
    let delivered = Delivered::start(|config| {
        config.http.cors.origins = vec![PAGE.to_owned(), "https://own.example".to_owned()];
        // A preflight has no key with it.
        config.access.play_keys = vec!["opensesame".to_owned()];
    });
    let mut web = Web::connect(delivered.address());
    let asked = web.ask("OPTIONS", "/live/cam/index.m3u8", &PREFLIGHT);
    assert_eq!(asked.status, 204);
    assert_eq!(cors(&asked), [Some(PAGE), Some(PAGE), Some("true")]);
    for (origin, told) in [
        (PAGE, [Some(PAGE), Some(PAGE), Some("true")]),
        (OTHER, [None; 3]),
        ("null", [None; 3]),
    ] {
        for path in ["/time", "/live/cam/index.m3u8"] {
            let answer = web.get(path, &[("Origin", origin)]);
            assert_eq!(cors(&answer), told, "{origin} {path}");
            // A cache keeps them apart.
            assert_eq!(answer.header("vary"), Some("Origin"), "{origin} {path}");
        }
    }
}

#[test]
fn a_reload_is_answered_at_its_part() {
    let delivered = Delivered::start(|_| ());
    let (_publishing, playlist) = playing(&delivered);
    let mut web = Web::connect(delivered.address());
    for _ in 0..6 {
        let (msn, part) = open(&listed(&mut web, &playlist));
        let reload = format!("{playlist}?_HLS_msn={msn}&_HLS_part={part}");
        let answer = web.get(&reload, &[]);
        assert_eq!(answer.status, 200, "{reload}");
        let list = Listed::parse(answer.text()).unwrap();
        let (_, segment) = list.numbered().find(|(it, _)| *it == msn).unwrap();
        // A segment may end without it.
        let has_it = segment.parts.len() > part || segment.uri.is_some();
        assert!(has_it, "{reload}: {}", answer.text());
    }
}

/// A stream with a key frame each twelve seconds, and so with segments and a target duration
/// of that length.
fn with_long_segments(url: &str) -> Process {
    let mut command = Tool::Ffmpeg.command();
    let arguments = format!(
        "-nostdin -v error -re -f lavfi -i testsrc2=size=320x180:rate=30 -t 90 -c:v libx264 \
         -preset ultrafast -g 360 -keyint_min 360 -pix_fmt yuv420p -f flv {url}"
    );
    command.args(arguments.split(' '));
    Process::start("ffmpeg publishing", command)
}

#[test]
fn what_does_not_come_is_waited_for_so_long_and_no_longer() {
    /// As long as players wait: three target durations are more here.
    const LONGEST: Duration = Duration::from_secs(9);
    let delivered = Delivered::start(|_| ());
    let publishing = with_long_segments(&delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    let master = delivered.master("live/cam");
    let playlist = format!("/live/cam/{}", master.lines().last().unwrap());
    let mut web = Web::connect(delivered.address());
    let list = listed(&mut web, &playlist);
    assert_eq!(list.target, Some(12));
    let before = open(&list);
    let folder = playlist.rsplit_once('/').unwrap().0;
    // What is two segments ahead, in a list, and by itself all of the next one.
    for is_list in [true, false] {
        let list = listed(&mut web, &playlist);
        let (last, _) = list.numbered().last().unwrap();
        let path = match is_list {
            true => format!("{playlist}?_HLS_msn={}", last + 2),
            false => format!("{folder}/v0/{}.m4s", last + 1),
        };
        let begun = Instant::now();
        let answer = web.get(&path, &[]);
        let waited = begun.elapsed();
        assert_eq!(answer.status, 503, "{path}");
        assert_eq!(answer.header("retry-after"), Some("1"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert!(answer.text().contains("in time"), "{}", answer.text());
        // No sooner. That it comes at all says that there is an end to it.
        assert!(waited >= LONGEST, "{path}: {waited:?}");
    }
    // The stream goes on, and its parts are answered as they come.
    let list = listed(&mut web, &playlist);
    let (msn, part) = open(&list);
    assert!((msn, part) > before);
    let reload = format!("{playlist}?_HLS_msn={msn}&_HLS_part={part}");
    assert_eq!(web.get(&reload, &[]).status, 200);
    publishing.kill();
}

#[test]
fn viewers_are_asked_to_leave_and_no_list_ends() {
    let delivered = Delivered::start(|_| ());
    let (publishing, playlist) = playing(&delivered);
    let mut web = Web::connect(delivered.address());
    let (msn, _) = open(&listed(&mut web, &playlist));
    let next = format!("{playlist}?_HLS_msn={}", msn + 1);
    // Over HTTP/1.1 and HTTP/2 somebody waits for the next segment but one, somebody takes
    // FLV, and somebody does nothing.
    web.send(format!("GET {next} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
        .unwrap();
    let mut flv = Web::connect(delivered.address());
    assert_eq!(flv.begin("/live/cam.flv").status, 200);
    let mut parked = H2::plain(delivered.address()).unwrap();
    parked.ask(1, "/time").unwrap();
    parked.head().expect("it is heard");
    parked.ask(3, &next).unwrap();
    let mut idle = H2::plain(delivered.address()).unwrap();
    idle.ask(1, "/time").unwrap();
    idle.head().expect("it is heard");
    let mut silent = Web::connect(delivered.address());
    assert_eq!(silent.get("/time", &[]).status, 200);

    delivered.delivery().begin_stop();
    publishing.kill();
    // What waits is told to come again, elsewhere; no list says that its stream is over.
    let answer = web.answer(false).unwrap();
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(!answer.text().contains("ENDLIST"));
    assert_eq!(web.rest().unwrap(), b"", "its connection is closed");
    let (mut goodbyes, mut heads, mut text) = (Vec::new(), 0, Vec::new());
    while let Some((kind, payload)) = parked.frame() {
        match kind {
            GOAWAY => goodbyes.push(payload[4..8].to_vec()),
            HEADERS => heads += 1,
            _ => text.extend(payload),
        }
    }
    assert_eq!(heads, 1, "the answer to what waited");
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("the server is stopping"), "{text}");
    assert!(!goodbyes.is_empty() && goodbyes.iter().all(|it| it == &[0; 4]));
    assert_eq!(idle.end(), Some(0), "a goodbye without an error");
    assert!(
        flv.rest().unwrap().ends_with(b"0\r\n\r\n"),
        "ended as it should"
    );
    assert_eq!(silent.rest().unwrap(), b"");
    // Nobody new is taken.
    let address = delivered.address();
    found_at_last("a closed port", || TcpStream::connect(address).err());
}

#[test]
fn who_does_not_leave_is_cut_off_at_the_end_of_the_grace() {
    let delivered = Delivered::start(|_| ());
    let (_publishing, playlist) = playing(&delivered);
    // Takes the head of FLV, and then nothing; the other never says that it heard of the end.
    let mut slow = Web::connect(delivered.address());
    assert_eq!(slow.begin("/live/cam.flv").status, 200);
    let mut half = TcpStream::connect(delivered.address()).unwrap();
    let head = format!("GET {playlist} HTTP/1.1\r\nHost: x\r\nX-Slow: ");
    std::io::Write::write_all(&mut half, head.as_bytes()).unwrap();
    while delivered.delivery().connections() < 2 {
        std::thread::yield_now();
    }
    // It returns, whatever they do.
    delivered.delivery().stop(Duration::from_secs(1));
    assert_eq!(delivered.delivery().connections(), 0);
}
