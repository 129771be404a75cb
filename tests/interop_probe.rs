//! `openrtmp probe` of what is delivered over HTTP: by our own server, and what nginx serves
//! that no player should get.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;

use openrtmp_tests::tls::file;
use openrtmp_tests::{
    Answer, Delivered, Media, Process, Tool, Web, found_at_last, free_ports, live, openrtmp,
};

/// Runs `openrtmp probe`.
fn probe(arguments: &[&str]) -> Output {
    let mut command = openrtmp();
    command.arg("probe").args(arguments);
    command.output().expect("it runs")
}

/// What it found.
fn report(output: &Output) -> serde_json::Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| {
        let told = String::from_utf8_lossy(&output.stderr);
        panic!("{error}: {text}\n{told}")
    })
}

#[test]
fn our_own_playlists_break_no_rule_and_kept_ones_can_be_looked_at_again() {
    // Building it may take longer than the stream lasts.
    openrtmp();
    let delivered = Delivered::start(|config| {
        config.access.play_keys = vec!["watch-key".to_owned()];
    });
    let mut command = Tool::Ffmpeg.command();
    command.args(["-nostdin", "-v", "error", "-re", "-stream_loop", "20", "-i"]);
    command.arg(Media::H264Aac.file());
    let url = delivered.server().url("live/cam");
    command.args(["-c", "copy", "-f", "flv", &url]);
    let publishing = Process::start("ffmpeg publishing", command);
    delivered.server().wait_until_published("live/cam");
    delivered.master_for("live/cam", "?key=watch-key");
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().to_str().unwrap();
    let url = delivered.url("/live/cam/index.m3u8?key=watch-key");
    let probed = probe(&[
        "--json",
        "--check",
        "--duration",
        "4s",
        // Who looks has little time on a busy machine.
        "--late",
        "30s",
        "--save",
        kept,
        &url,
    ]);
    let found = report(&probed);
    assert!(probed.status.success(), "{found:#}");
    assert_eq!(found["violations"], serde_json::json!([]), "{found:#}");
    assert!(
        !found.to_string().contains("/v/"),
        "no token is shown: {found:#}"
    );
    let renditions = found["renditions"].as_array().unwrap();
    assert_eq!(renditions.len(), 2, "{found:#}");
    for rendition in renditions {
        assert_eq!(rendition["is_low_latency"], true, "{rendition:#}");
        assert_eq!(rendition["part_target_s"], 0.334, "{rendition:#}");
        assert!(rendition["parts"].as_u64() > Some(8), "{rendition:#}");
        // On one machine the end of the list is what came just now.
        let behind = rendition["behind_s"][1].as_f64().unwrap();
        assert!((0.0..3.0).contains(&behind), "{rendition:#}");
    }
    let video = renditions.iter().find(|it| it["kind"] == "").unwrap();
    assert!(video["codecs"].as_str().unwrap().starts_with("avc1."));
    assert!(video["bit_rate"].as_f64() > Some(0.0), "{video:#}");
    publishing.kill();
    // The same again, without anybody to ask.
    let again = probe(&["--check", "--late", "30s", kept]);
    let told = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(
        again.status.success() && told.contains("no rule is broken"),
        "{told}"
    );
    for (change, expected) in CHANGES {
        let changed = tempfile::tempdir().unwrap();
        for file in fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), changed.path().join(file.file_name())).unwrap();
        }
        change(changed.path());
        let again = probe(&["--check", "--late", "30s", changed.path().to_str().unwrap()]);
        let told = String::from_utf8_lossy(&again.stdout).into_owned();
        assert_eq!(again.status.code(), Some(1), "{expected}: {told}");
        assert!(
            told.contains("broken: ") && told.contains(expected),
            "{expected}: {told}"
        );
    }
}

#[test]
fn our_own_manifests_break_no_rule_and_how_late_they_are_is_told() {
    openrtmp();
    for is_low_latency in [false, true] {
        let delivered = Delivered::start(|config| {
            config.http.dash.low_latency = is_low_latency;
        });
        let publishing = live(60, &delivered.server().url("live/cam"));
        delivered.server().wait_until_published("live/cam");
        delivered.manifest("live/cam");
        let url = delivered.url("/live/cam/manifest.mpd");
        let probed = probe(&["--json", "--check", "--duration", "3s", &url]);
        let found = report(&probed);
        assert!(probed.status.success(), "{found:#}");
        assert_eq!(found["kind"], "dash");
        assert_eq!(found["violations"], serde_json::json!([]), "{found:#}");
        let renditions = found["renditions"].as_array().unwrap();
        assert_eq!(renditions.len(), 2, "{found:#}");
        for rendition in renditions {
            assert_eq!(rendition["is_low_latency"], is_low_latency, "{rendition:#}");
            assert!(rendition["reloads"].as_u64() > Some(1), "{rendition:#}");
            let seconds = |place: &serde_json::Value| place.as_f64().unwrap();
            let (latency, behind) = (&rendition["latency_s"], &rendition["behind_s"]);
            let (least, most) = (seconds(&behind[0]), seconds(&behind[1]));
            // One machine, one clock, segments of 2 s: complete ones, or a part of them.
            // The end of what is listed lies ahead of the clock by as much as the frame that
            // the stream's clock was set by came late, which a busy machine does.
            let most_expected = if is_low_latency { 1.0 } else { 10.0 };
            assert!(-0.5 < least && most < most_expected, "{rendition:#}");
            assert!(seconds(latency) > least, "{rendition:#}");
            let listed = rendition["segments"].as_u64().unwrap();
            assert_eq!(listed > 0, !is_low_latency, "{rendition:#}");
        }
        publishing.kill();
        let text = probe(&["--duration", "1s", &url]);
        let told = String::from_utf8_lossy(&text.stdout).into_owned();
        assert!(told.contains("s behind the clock"), "{told}");
    }
}

/// Something wrong with a folder of answers that were kept, and what is said of it.
type Change = (fn(&Path), &'static str);

const CHANGES: [Change; 7] = [
    (
        |folder| {
            let first = file_of(folder, is_list);
            let text = fs::read_to_string(&first).unwrap();
            let changed = text.replace("PART-HOLD-BACK=1.0", "PART-HOLD-BACK=0.5");
            assert_ne!(text, changed, "{text}");
            fs::write(first, changed).unwrap();
        },
        "PART-HOLD-BACK of 0.5",
    ),
    (
        |folder| {
            let master = file_of(folder, |_| true);
            let text = fs::read_to_string(&master).unwrap();
            fs::write(master, text.replace("avc1.", "avc1.6")).unwrap();
        },
        ", and CODECS says avc1.6",
    ),
    (
        |folder| {
            let segment = file_of(folder, is_segment);
            let mut bytes = fs::read(&segment).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(segment, bytes).unwrap();
        },
        " is not its parts",
    ),
    // All that is known of a rendition came a minute late.
    (
        |folder| {
            let mut seen = 0;
            changed(folder, |it| {
                seen += usize::from(is_named(it));
                if seen > 1 {
                    it["ms"] = (it["ms"].as_u64().unwrap() + 60_000).into();
                }
            });
        },
        "parts are ",
    ),
    (
        |folder| {
            changed(folder, |it| {
                if is_segment(it) {
                    it["headers"]["cache-control"] = "no-cache".into();
                }
            });
        },
        "is answered with no-cache: too short for what stays as it is",
    ),
    (
        |folder| {
            changed(folder, |it| {
                if is_named(it) {
                    let headers = it["headers"].as_object_mut().unwrap();
                    headers.remove("cache-control").unwrap();
                }
            });
        },
        "with directives is answered with no Cache-Control: too short",
    ),
    (
        |folder| {
            changed(folder, |it| {
                if is_list(it) && !is_named(it) {
                    it["headers"]["cache-control"] = "max-age=60".into();
                }
            });
        },
        "is answered with max-age=60: too long for what is new soon",
    ),
];

/// The answers of a folder, in their order.
fn index(folder: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(folder.join("session.jsonl")).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn changed(folder: &Path, mut change: impl FnMut(&mut serde_json::Value)) {
    let mut answers = index(folder);
    answers.iter_mut().for_each(&mut change);
    let lines: Vec<String> = answers.iter().map(ToString::to_string).collect();
    fs::write(folder.join("session.jsonl"), lines.join("\n")).unwrap();
}

/// Where the first such answer is.
fn file_of(folder: &Path, is: impl Fn(&serde_json::Value) -> bool) -> std::path::PathBuf {
    let answers = index(folder);
    let found = answers.iter().find(|it| is(it)).expect("such an answer");
    folder.join(found["file"].as_str().unwrap())
}

/// A media playlist as players ask for it.
fn is_list(answer: &serde_json::Value) -> bool {
    answer["how"] == "plain" && answer["uri"].is_null() && answer["name"] != "the master playlist"
}

/// One of which a state was asked for.
fn is_named(answer: &serde_json::Value) -> bool {
    let query = answer["query"].as_str().unwrap_or("");
    is_list(answer) && query.contains("_HLS_msn=")
}

/// No init segment, and no part, whose names have two dots.
fn is_segment(answer: &serde_json::Value) -> bool {
    let name = answer["uri"]
        .as_str()
        .and_then(|uri| uri.rsplit('/').next());
    answer["how"] == "plain"
        && name.is_some_and(|name| !name.starts_with("init") && name.matches('.').count() == 1)
}

/// nginx with the files of a folder.
fn nginx(folder: &Path) -> (Process, String) {
    let address = format!("127.0.0.1:{}", free_ports::<1>()[0]);
    let config = format!(
        "daemon off; master_process off; pid {0}/pid; error_log stderr;\n\
         events {{}}\n\
         http {{ access_log off; client_body_temp_path {0}/body; proxy_temp_path {0}/proxy;\n\
         fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;\n\
         server {{ listen {address}; root {0}/root; }} }}\n",
        folder.display(),
    );
    let config = file(folder, "nginx.conf", &config);
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).arg("-c").arg(config);
    let process = Process::start("nginx", command);
    while TcpStream::connect(&address).is_err() {
        thread::yield_now();
    }
    (process, format!("http://{address}"))
}

#[test]
fn what_is_broken_at_another_server_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    let write = |name: &str, text: &str| fs::write(root.join(name), text).unwrap();
    write(
        "index.m3u8",
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000,CODECS=\"hev1.1.6.L93.B0\",\
         RESOLUTION=320x180,FRAME-RATE=30\nv0.m3u8\n",
    );
    write(
        "v0.m3u8",
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-MAP:URI=\"init.mp4\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n#EXTINF:2.0,\n7.m4s\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:02.000Z\n#EXTINF:3.7,\n8.m4s\n\
         #EXT-X-ENDLIST\n",
    );
    write("7.m4s", "there");
    write("8.m4s", "there");
    write(
        "manifest.mpd",
        "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" \
         mediaPresentationDuration=\"PT1S\" minBufferTime=\"PT1S\"></MPD>",
    );
    let (_nginx, base) = nginx(folder.path());
    let all = |path: &str| {
        let output = probe(&["--json", "--check", &format!("{base}/{path}")]);
        assert_eq!(output.status.code(), Some(1), "{}", report(&output));
        let report = report(&output);
        let violations = report["violations"].as_array().unwrap().clone();
        let what = |it: &serde_json::Value| it["what"].as_str().unwrap().to_owned();
        violations.iter().map(what).collect::<Vec<_>>()
    };
    assert_eq!(
        all("index.m3u8"),
        [
            "v0.m3u8 of the master playlist has no AVERAGE-BANDWIDTH",
            "v0.m3u8 is coded as hev1",
            "the master playlist is said to be text/plain",
            "the master playlist is not compressed",
            "v0.m3u8: segment 8 has 3.7 s",
            "v0.m3u8 is answered with no Cache-Control: no time is told",
            "v0.m3u8: init.mp4: answered with 404",
            "v0.m3u8: init.mp4 is answered with no Cache-Control: no time is told",
            "v0.m3u8: 7.m4s is answered with no Cache-Control: too short for what stays as it is",
            "v0.m3u8: 8.m4s is answered with no Cache-Control: too short for what stays as it is",
            "v0.m3u8 is said to be text/plain",
            "v0.m3u8 is not compressed",
        ]
    );
    let manifest = all("manifest.mpd");
    assert!(
        manifest.contains(&"profiles is missing".to_owned()),
        "{manifest:?}"
    );
    assert!(
        manifest.contains(&"Period is missing".to_owned()),
        "{manifest:?}"
    );
    // What is not there at all is no playlist that breaks rules.
    let nothing = probe(&[&format!("{base}/nothing.m3u8")]);
    assert_eq!(nothing.status.code(), Some(1));
    let told = String::from_utf8_lossy(&nothing.stderr);
    assert!(told.contains("nothing.m3u8: answered with 404"), "{told}");
}

/// A request that is passed on.
struct Request {
    method: String,
    path: String,
}

impl Request {
    /// The name of what is asked for: of a part it has two dots.
    fn name(&self) -> &str {
        let path = self.path.split('?').next().unwrap_or("");
        path.rsplit('/').next().unwrap_or("")
    }

    fn is_list(&self) -> bool {
        self.name().ends_with(".m3u8") && !self.is_master()
    }

    fn is_master(&self) -> bool {
        self.name() == "index.m3u8"
    }

    fn is_media(&self) -> bool {
        self.name().ends_with(".m4s")
    }

    fn is_part(&self) -> bool {
        self.is_media() && self.name().matches('.').count() == 2
    }
}

/// What somebody does who stands between viewers and a server.
struct Meddler {
    /// With what is asked for.
    ask: fn(&mut Request),
    /// With the answer; whatever is remembered of what came before it is his.
    answer: Box<Answering>,
}

/// What becomes of an answer.
type Answering = dyn FnMut(&Request, &mut Answer) + Send;

impl Meddler {
    fn answering(answer: impl FnMut(&Request, &mut Answer) + Send + 'static) -> Meddler {
        Meddler {
            ask: |_| {},
            answer: Box::new(answer),
        }
    }
}

/// Where a server's answers can be had that somebody meddles with.
fn meddled(server: SocketAddr, meddler: Meddler) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let meddler = Arc::new(Mutex::new(meddler));
    thread::spawn(move || {
        for viewer in listener.incoming() {
            let meddler = meddler.clone();
            // Who left is not passed anything on.
            thread::spawn(move || viewer.and_then(|viewer| pass_on(viewer, server, &meddler)));
        }
    });
    address
}

fn pass_on(viewer: TcpStream, server: SocketAddr, meddler: &Mutex<Meddler>) -> io::Result<()> {
    let mut viewer = BufReader::new(viewer);
    let mut line = String::new();
    viewer.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let mut request = Request {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
    };
    let mut headers = Vec::new();
    loop {
        line.clear();
        viewer.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
            None => break,
        }
    }
    let headers = headers.iter().map(|(name, value)| (&**name, &**value));
    let headers: Vec<_> = headers
        .filter(|(name, _)| !name.eq_ignore_ascii_case("host"))
        .collect();
    (meddler.lock().unwrap().ask)(&mut request);
    let mut answer = Web::connect(server).ask(&request.method, &request.path, &headers);
    (meddler.lock().unwrap().answer)(&request, &mut answer);
    if request.method != "HEAD" {
        answer.set_header("transfer-encoding", None);
        answer.set_header("content-length", Some(&answer.body.len().to_string()));
    }
    answer.set_header("connection", Some("close"));
    let mut head = format!("HTTP/1.1 {} -\r\n", answer.status);
    for (name, value) in answer.headers() {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let viewer = viewer.get_mut();
    viewer.write_all(head.as_bytes())?;
    viewer.write_all(&answer.body)
}

/// Another number in each rendition report of a playlist.
fn reporting(text: &str, change: impl Fn(u64) -> u64) -> Vec<u8> {
    let mut changed = String::new();
    for line in text.lines() {
        match line.split_once(",LAST-MSN=") {
            Some((uri, rest)) => {
                let (msn, rest) = rest.split_once(',').unwrap();
                let msn = change(msn.parse().unwrap());
                changed.push_str(&format!("{uri},LAST-MSN={msn},{rest}\n"));
            }
            None => changed.push_str(&format!("{line}\n")),
        }
    }
    changed.into_bytes()
}

/// Those who break one rule each, and what is said of it.
fn meddlers() -> Vec<(Meddler, &'static str)> {
    let reports = |change: fn(u64) -> u64| {
        Meddler::answering(move |request, answer| {
            if request.method == "GET" && request.is_list() && answer.status == 200 {
                answer.body = reporting(answer.text(), change);
            }
        })
    };
    let header = |is: fn(&Request) -> bool, name: &'static str, value: Option<&'static str>| {
        Meddler::answering(move |request, answer| {
            if is(request) {
                answer.set_header(name, value);
            }
        })
    };
    let mut seen = HashSet::new();
    let refuses_early = Meddler::answering(move |request, answer| {
        if request.is_part() && seen.insert(request.path.clone()) {
            answer.status = 404;
        }
    });
    let mut asked = HashSet::new();
    let changes_later = Meddler::answering(move |request, answer| {
        if request.is_part() && !asked.insert(request.path.clone()) {
            answer.body[0] ^= 1;
        }
    });
    let mut lists = HashMap::new();
    let forgets = Meddler::answering(move |request, answer| {
        if request.is_list() && request.method == "GET" {
            let text = answer.text().to_owned();
            lists.insert(request.name().to_owned(), text);
        }
        let is_listed = |text: &String| text.contains(request.name());
        if request.is_part() && !lists.values().any(is_listed) {
            answer.status = 404;
        }
    });
    let says_too_much = Meddler::answering(|request, answer| {
        if request.is_master() && request.method == "GET" {
            let text = answer.text().replace(":BANDWIDTH=", ":BANDWIDTH=1,X-WAS=");
            answer.body = text.into_bytes();
        }
    });
    let takes_others = Meddler::answering(|_, answer| {
        if answer.status == 206 {
            answer.body[0] ^= 1;
        }
    });
    let refuses = |status| {
        Meddler::answering(move |_, answer| {
            if answer.status == 400 {
                answer.status = status;
                answer.set_header("cache-control", Some("max-age=600"));
            }
        })
    };
    let redirects = Meddler::answering(|request, answer| {
        if request.is_media() {
            answer.status = 302;
        }
    });
    let asks = |ask: fn(&mut Request)| Meddler {
        ask,
        answer: Box::new(|_, _| {}),
    };
    let never_waits = asks(|request| {
        if request.is_list() && request.path.contains("_HLS_msn") {
            request.path.truncate(request.path.find('?').unwrap());
        }
    });
    let always_skips = asks(|request| {
        if request.is_list() && !request.path.contains("_HLS_skip") {
            let mark = if request.path.contains('?') { '&' } else { '?' };
            request.path.push_str(&format!("{mark}_HLS_skip=YES"));
        }
    });
    let is_list_s_head = |it: &Request| it.is_list() && it.method == "HEAD";
    let is_media_s_head = |it: &Request| it.is_media() && it.method == "HEAD";
    vec![
        (reports(|msn| msn - 2), " is of what was before"),
        (reports(|msn| msn + 5), " is of what is not there"),
        (
            never_waits,
            "an answer is without the part or segment that was asked for",
        ),
        (refuses_early, " was announced, and answered with 404"),
        (changes_later, " is not what it was"),
        (forgets, ": answered with 404"),
        (says_too_much, " has a BANDWIDTH of 1, and was measured"),
        (
            header(is_media_s_head, "content-length", Some("1")),
            ": HEAD tells another length",
        ),
        (takes_others, ": bytes that are asked for alone are others"),
        (
            header(Request::is_media, "access-control-allow-origin", None),
            " is not for the pages that may read the playlist",
        ),
        (
            header(is_list_s_head, "content-type", Some("text/plain")),
            " is said to be text/plain",
        ),
        (
            header(is_list_s_head, "content-encoding", None),
            " is not compressed",
        ),
        (refuses(200), "_HLS_part=0: answered with 200, not 400"),
        (
            refuses(400),
            "is answered with max-age=600: too long for what may be there soon",
        ),
        (redirects, " is redirected"),
        (
            always_skips,
            "something is left out of an answer to who asked for the whole",
        ),
    ]
}

#[test]
fn each_rule_that_one_between_breaks_is_told_and_so_it_is_of_what_was_kept() {
    openrtmp();
    let delivered = Delivered::start(|_| {});
    let publishing = live(600, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    delivered.master("live/cam");
    // Long enough that something can be left out.
    let list = delivered.begun("/live/cam/index.m3u8");
    let list = list.lines().find(|line| line.ends_with("v0.m3u8")).unwrap();
    let list = format!("/live/cam/{list}");
    let mut web = Web::connect(delivered.address());
    found_at_last("a delta", || {
        let answer = web.get(&format!("{list}?_HLS_skip=YES"), &[]);
        answer.text().contains("#EXT-X-SKIP").then_some(())
    });
    let look = |address: SocketAddr, folder: &str| {
        let url = format!("http://{address}/live/cam/index.m3u8");
        let looked = [
            "--json",
            "--duration",
            "3s",
            "--late",
            "800ms",
            "--save",
            folder,
            &url,
        ];
        let again = ["--json", "--late", "800ms", folder];
        [&looked[..], &again[..]].map(|arguments| {
            let report = report(&probe(arguments));
            let violations = report["violations"].as_array().unwrap().clone();
            let what = |it: &serde_json::Value| it["what"].as_str().unwrap().to_owned();
            violations.iter().map(what).collect::<Vec<_>>()
        })
    };
    let honest = Meddler::answering(|_, _| {});
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let address = meddled(delivered.address(), honest);
    // Who looks has little time on a busy machine.
    let is_in_time = |it: &String| !it.contains(" s late");
    for told in look(address, folder) {
        let told: Vec<_> = told.into_iter().filter(is_in_time).collect();
        assert_eq!(told, [""; 0]);
    }
    for (meddler, expected) in meddlers() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().to_str().unwrap();
        let address = meddled(delivered.address(), meddler);
        for told in look(address, folder) {
            let found = told.iter().any(|it| it.contains(expected));
            assert!(found, "{expected}: {told:#?}");
        }
    }
    publishing.kill();
}
