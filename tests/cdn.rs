//! Caches in front of the delivery: nginx and Varnish with the very files that operators are
//! given (`platforms/cdn`). Hundreds of viewers follow a stream with low latency through each;
//! what reaches the server is read on the way to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use openrtmp_core::Network;
use openrtmp_live::Pass;
use openrtmp_media::hls::read::Listed;
use openrtmp_tests::{Delivered, Process, Web, found_at_last, free_ports, live};

/// Viewers of one stream at once.
const VIEWERS: usize = 200;
/// Segments that each follows to their end, and before them of the sound.
const SEGMENTS: u64 = 5;
const OF_SOUND: u64 = 2;

/// What a playlist was is kept for longer than this: a target duration is 2 s, and it is six.
const KEPT: Duration = Duration::from_secs(8);

/// What tokens are signed with.
const SECRET: &str = "sixteen-and-more-bytes";

/// What stands before the server.
#[derive(Clone, Copy, Debug)]
enum Edge {
    Nginx,
    Varnish,
}

/// A cache that runs, and what it asked the server for.
struct Cache {
    address: SocketAddr,
    asked: Asked,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Cache {
    /// One at this address, before the server at `origin`.
    fn start(edge: Edge, address: SocketAddr, origin: SocketAddr) -> Cache {
        Cache::with(edge, address, origin, &[])
    }

    /// The same with these other changes to its file.
    fn with(
        edge: Edge,
        address: SocketAddr,
        origin: SocketAddr,
        changes: &[(&str, &str)],
    ) -> Cache {
        let asked = Asked::default();
        let counted = asked.listen_before(origin);
        let folder = tempfile::tempdir().unwrap();
        let mut process = match edge {
            Edge::Nginx => nginx(folder.path(), address, counted, changes),
            Edge::Varnish => varnish(folder.path(), address, counted, changes),
        };
        found_at_last("cache that listens", || {
            process.expect_running();
            TcpStream::connect(address).ok()
        });
        Cache {
            address,
            asked,
            _process: process,
            _folder: folder,
        }
    }
}

fn any_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_ports::<1>()[0]))
}

/// A file of `platforms/cdn` with other places in it, each of which has to be there.
fn adapted(name: &str, changes: &[(&str, &str)]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut text = fs::read_to_string(root.join("platforms/cdn").join(name)).unwrap();
    for (from, to) in changes {
        assert_eq!(text.matches(from).count(), 1, "{from} in {name}");
        text = text.replace(from, to);
    }
    text
}

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn nginx(
    folder: &Path,
    address: SocketAddr,
    origin: SocketAddr,
    changes: &[(&str, &str)],
) -> Process {
    let cache = folder.join("cache").display().to_string();
    let (server, listen) = (format!("server {origin};"), format!("listen {address};"));
    let own = [
        ("server 127.0.0.1:8080;", &server[..]),
        ("/var/cache/openrtmp", &cache),
        ("listen 80;", &listen),
    ];
    let site = adapted("nginx.conf", &[&own[..], changes].concat());
    let site = file(folder, "site.conf", &site);
    let config = format!(
        "daemon off; master_process off; pid {0}/pid; error_log stderr;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; client_body_temp_path {0}/body; proxy_temp_path {0}/proxy;\n\
         fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;\n\
         include {1}; }}\n",
        folder.display(),
        site.display(),
    );
    let config = file(folder, "nginx.conf", &config);
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).arg("-c").arg(config);
    Process::start("nginx", command)
}

fn varnish(
    folder: &Path,
    address: SocketAddr,
    origin: SocketAddr,
    changes: &[(&str, &str)],
) -> Process {
    let port = format!(".port = \"{}\";", origin.port());
    let own = [(".port = \"8080\";", &port[..])];
    let text = adapted("varnish.vcl", &[&own[..], changes].concat());
    let file = file(folder, "openrtmp.vcl", &text);
    let mut command = Command::new("varnishd");
    command.arg("-F").arg("-f").arg(file);
    command.args(["-a", &address.to_string(), "-s", "default,64m"]);
    command.arg("-n").arg(folder.join("run"));
    Process::start("varnishd", command)
}

/// What came to the server: how often each path with its query was asked for.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<BTreeMap<String, usize>>>);

impl Asked {
    /// Listens, and passes on to the server what comes.
    fn listen_before(&self, origin: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = self.clone();
        thread::spawn(move || {
            for cache in listener.incoming().map_while(Result::ok) {
                // The server is gone at the end.
                let Ok(server) = TcpStream::connect(origin) else {
                    return;
                };
                let back = (server.try_clone().unwrap(), cache.try_clone().unwrap());
                thread::spawn(move || pass_on(back.0, back.1, |_| ()));
                let asked = asked.clone();
                let mut head = Vec::new();
                let read = move |bytes: &[u8]| asked.read(&mut head, bytes);
                thread::spawn(move || pass_on(cache, server, read));
            }
        });
        address
    }

    /// Reads heads of requests, none of which has a body.
    fn read(&self, head: &mut Vec<u8>, bytes: &[u8]) {
        head.extend_from_slice(bytes);
        while let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&head[..end]).into_owned();
            head.drain(..end + 4);
            let target = text.split(' ').nth(1).unwrap_or_default().to_owned();
            *self.0.lock().unwrap().entry(target).or_default() += 1;
        }
    }

    fn times(&self, target: &str) -> usize {
        self.0.lock().unwrap().get(target).copied().unwrap_or(0)
    }

    fn times_like(&self, fits: impl Fn(&str) -> bool) -> usize {
        let all = self.0.lock().unwrap();
        let fitting = all.iter().filter(|(target, _)| fits(target));
        fitting.map(|(_, times)| times).sum()
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, mut see: impl FnMut(&[u8])) {
    let mut buffer = [0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        see(&buffer[..length]);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    // Who is gone already has heard it.
    let _ = (to.shutdown(Shutdown::Write), from.shutdown(Shutdown::Read));
}

/// What comes behind the last that is listed.
fn beyond(listed: &Listed) -> (u64, usize) {
    let (msn, last) = listed.numbered().last().unwrap();
    match last.uri {
        Some(_) => (msn + 1, 0),
        None => (msn, last.parts.len()),
    }
}

/// As browsers write it, none of which gets a coding that this test cannot read.
const CODINGS: [&str; 3] = ["gzip;q=0", "identity", "br, gzip;q=0.0"];

/// A viewer with low latency: blocking reloads with directives, of which every second one wants
/// what is new alone, and each part before it is listed. Gives back what it asked for, and when
/// it had the answer.
fn follow(
    edge: SocketAddr,
    playlist: &str,
    coding: &str,
    segments: u64,
) -> BTreeMap<String, Instant> {
    let folder = playlist.rsplit_once('/').unwrap().0;
    let coding = [("Accept-Encoding", coding)];
    let mut web = Web::connect(edge);
    let mut asked = BTreeMap::new();
    let first = web.get(playlist, &coding);
    assert_eq!(first.status, 200, "{}", first.text());
    let mut listed = Listed::parse(first.text()).unwrap();
    let last = beyond(&listed).0 + segments;
    while beyond(&listed).0 <= last {
        let (msn, part) = beyond(&listed);
        let hint = format!("{folder}/{}", listed.hints.last().unwrap());
        let answer = web.get(&hint, &coding);
        assert_eq!(answer.status, 200, "{hint}");
        assert!(answer.body.len() > 100, "{hint}");
        asked.insert(hint, Instant::now());
        let skip = if part % 2 == 1 { "&_HLS_skip=YES" } else { "" };
        let reload = format!("{playlist}?_HLS_msn={msn}&_HLS_part={part}{skip}");
        let answer = web.get(&reload, &coding);
        assert_eq!(answer.status, 200, "{reload}: {}", answer.text());
        asked.insert(reload, Instant::now());
        listed = Listed::parse(answer.text()).unwrap();
        assert!(beyond(&listed) > (msn, part), "{}", answer.text());
    }
    asked
}

/// The video playlist of a master playlist.
fn video(master: &str) -> &str {
    let uri = |line: &&str| !line.starts_with('#');
    master.lines().find(uri).expect("a variant")
}

/// The first playlist of sound that a master playlist names.
fn sound(master: &str) -> &str {
    let uri = master.split_once(",URI=\"").expect("a track of sound").1;
    uri.split('"').next().expect("its end")
}

/// How much later others had what the first of all viewers had, to be read.
fn behind_the_first(had: &BTreeMap<String, Vec<Instant>>) -> String {
    let mut late: Vec<u128> = Vec::new();
    for times in had.values() {
        let first = *times.iter().min().unwrap();
        let others = times.iter().filter(|at| **at > first);
        late.extend(others.map(|at| (*at - first).as_millis()));
    }
    late.sort_unstable();
    let at = |of: usize| late.get(late.len() * of / 100).copied().unwrap_or(0);
    let (half, most) = (at(50), at(95));
    format!("others have it {half} ms (p50), {most} ms (p95) after the first viewer")
}

/// How often a cache may ask for what viewers had at these times: once, and of a playlist for
/// each of them that is so slow that caches keep it no longer.
fn most_asked(target: &str, had: &[Instant]) -> usize {
    let is_late = |at: &&Instant| had.iter().any(|first| **at - *first > KEPT);
    let is_kept = target.ends_with(".m4s");
    1 + had.iter().filter(|at| !is_kept && is_late(at)).count()
}

fn one_request_for_what_all_ask_for(edge: Edge) {
    let delivered = Delivered::start(|_| ());
    let publishing = live(50, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    let master = delivered.master("live/cam");
    let playlist = format!("/live/cam/{}", video(&master));
    let sound = format!("/live/cam/{}", sound(&master));
    let cache = Cache::start(edge, any_address(), delivered.address());
    let ready = Arc::new(Barrier::new(VIEWERS));
    let viewers: Vec<_> = (0..VIEWERS)
        .map(|n| {
            let (ready, edge) = (ready.clone(), cache.address);
            let (playlist, sound) = (playlist.clone(), sound.clone());
            thread::spawn(move || {
                let coding = CODINGS[n % CODINGS.len()];
                ready.wait();
                let mut had = follow(edge, &sound, coding, OF_SOUND);
                had.extend(follow(edge, &playlist, coding, SEGMENTS));
                had
            })
        })
        .collect();
    let mut had: BTreeMap<String, Vec<Instant>> = BTreeMap::new();
    for viewer in viewers {
        for (target, at) in viewer.join().unwrap() {
            had.entry(target).or_default().push(at);
        }
    }
    eprintln!("{edge:?}: {}", behind_the_first(&had));
    let all: BTreeSet<&String> = had.keys().collect();
    let least = usize::try_from(SEGMENTS + OF_SOUND).unwrap() * 3 * 2;
    assert!(all.len() >= least, "{}", all.len());
    // Parts and states of both, and of those states what is new alone.
    let like = |fits: &dyn Fn(&str) -> bool| all.iter().filter(|it| fits(it)).count();
    assert!(like(&|it| it.contains("/a0/") && it.ends_with(".m4s")) >= 6);
    assert!(like(&|it| it.starts_with(&sound) && it.contains("_HLS_skip")) >= 2);
    assert!(like(&|it| it.starts_with(&playlist) && it.contains("_HLS_skip")) >= 5);
    for (target, had) in &had {
        let (times, most) = (cache.asked.times(target), most_asked(target, had));
        assert!((1..=most).contains(&times), "{target}: {times}, not {most}");
    }

    // What the server says of each class of URLs is what viewers are told.
    let part = all.iter().find(|target| target.ends_with(".m4s")).unwrap();
    // The newest state: old ones are not kept for longer than six target durations.
    let directives = |target: &str| {
        let (msn, part) = target
            .split_once("?_HLS_msn=")?
            .1
            .split_once("&_HLS_part=")?;
        Some((msn.parse::<u64>().ok()?, part.parse::<u64>().ok()?))
    };
    let reloads = all.iter().filter(|target| target.starts_with(&playlist));
    let reload = reloads.max_by_key(|target| directives(target)).unwrap();
    for target in [part, reload, &playlist, &"/live/cam/index.m3u8".to_owned()] {
        let told = |address| {
            let answer = Web::fetch(address, target);
            assert_eq!(answer.status, 200, "{target}");
            answer.header("cache-control").unwrap().to_owned()
        };
        assert_eq!(told(cache.address), told(delivered.address()), "{target}");
    }
    // Both forms of a playlist, and neither in place of the other.
    let mut web = Web::connect(cache.address);
    for (coding, is_gzip) in [
        ("gzip, deflate, br", true),
        ("gzip;q=0", false),
        ("br, gzip", true),
    ] {
        let answer = web.get(reload, &[("Accept-Encoding", coding)]);
        assert_eq!(answer.header("content-encoding") == Some("gzip"), is_gzip);
        assert_eq!(answer.body.starts_with(&[0x1f, 0x8b]), is_gzip);
    }
    // A range of what is there.
    let answer = web.get(part, &[("Range", "bytes=4-7")]);
    assert_eq!((answer.status, &answer.body[..]), (206, &b"moof"[..]));
    assert_eq!(cache.asked.times(part), 1);

    // Errors are nobody's but of who asked.
    let folder = playlist.rsplit_once('/').unwrap().0;
    let missing = format!("{folder}/v0/999999.0.m4s");
    for times in 1..=3 {
        let answer = web.get(&missing, &[]);
        assert_eq!(answer.status, 404);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(cache.asked.times(&missing), times);
    }
    // Parameters that are not the server's make no other state of a playlist, and what only
    // looks like a directive is none.
    let newest = |query: &str| {
        let answer = Web::fetch(cache.address, &format!("{playlist}?{query}"));
        assert_eq!(answer.status, 200, "{query}");
        beyond(&Listed::parse(answer.text()).unwrap())
    };
    let directives = reload.split_once('?').unwrap().1;
    let (before, state) = (cache.asked.times_like(|_| true), newest(directives));
    assert_eq!(newest(&format!("session=7&{directives}&x=1")), state);
    assert_eq!(cache.asked.times_like(|_| true), before);
    let lower = directives.to_lowercase();
    // Meanwhile the stream has gone on: two segments are as far as one may ask.
    let later = format!("{playlist}?_HLS_msn={}", state.0 + 1);
    assert_eq!(Web::fetch(delivered.address(), &later).status, 200);
    assert!(newest(&lower) > state, "{lower}");
    assert_eq!(newest(directives), state);
    drop(publishing);
}

/// A token that is good for an hour, from these addresses.
fn bound(from: &str, path: &str) -> String {
    let hour = SystemTime::now() + Duration::from_secs(3600);
    let hour = hour.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut pass = Pass::new(path, hour);
    pass.from = Network::parse(from);
    pass.sign(SECRET).unwrap()
}

fn private_streams_stay_private(edge: Edge) {
    let address = any_address();
    let delivered = Delivered::start(|config| {
        config.access.play_keys = vec!["opensesame".to_owned()];
        config.access.trusted_proxies = vec!["127.0.0.1".to_owned()];
        config.http.base_url = format!("http://{address}");
        config.http.tokens.keys = vec![SECRET.to_owned()];
    });
    let publishing = live(50, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    let cache = Cache::start(edge, address, delivered.address());
    let base = format!("http://{address}");
    // Two viewers, of whom each has a token of its own; what it leads to is at the cache.
    let playlist = || {
        let master = delivered.master_for("live/cam", "?key=opensesame");
        let uri = video(&master).strip_prefix(&base).unwrap().to_owned();
        assert!(uri.starts_with("/v/"), "{uri}");
        uri
    };
    let (one, other) = (playlist(), playlist());
    assert_ne!(one, other);
    let viewers = [one.clone(), other.clone(), one.clone(), other.clone()];
    let viewers = viewers
        .map(|playlist| thread::spawn(move || follow(address, &playlist, CODINGS[0], SEGMENTS)));
    // By what is behind the token.
    let shared = |target: &str| {
        let (_, path) = target.strip_prefix("/v/").unwrap().split_once('/').unwrap();
        format!("/{path}")
    };
    let mut had: BTreeMap<String, Vec<Instant>> = BTreeMap::new();
    for viewer in viewers {
        for (target, at) in viewer.join().unwrap() {
            had.entry(shared(&target)).or_default().push(at);
        }
    }
    let all: BTreeSet<&String> = had.keys().collect();
    assert!(all.len() >= 20, "{}", all.len());
    for (path, had) in &had {
        let is_it = |target: &str| target.starts_with("/v/") && shared(target) == *path;
        let (times, most) = (cache.asked.times_like(is_it), most_asked(path, had));
        assert!((1..=most).contains(&times), "{path}: {times}, not {most}");
    }

    // Nobody else gets what is kept: neither without a token nor with one of another stream,
    // or one that nobody signed.
    let part = all.iter().find(|path| path.ends_with(".m4s")).unwrap();
    let reload = all.iter().find(|path| path.contains("_HLS_msn")).unwrap();
    // A token that is bound to an address is its owner's through the cache too.
    for (from, expected) in [("127.0.0.1", 200), ("192.0.2.0/24", 403)] {
        let token = bound(from, "live/cam");
        for path in [part, reload] {
            let path = format!("/v/{token}{path}");
            assert_eq!(Web::fetch(address, &path).status, expected, "{from} {path}");
        }
    }
    // So is one of somebody behind a proxy before the cache, while that is played: Varnish takes
    // the proxy's word for who it is, nginx would have to be told to.
    let bound = bound("192.0.2.7", "live/cam");
    let behind = match edge {
        Edge::Nginx => 403,
        Edge::Varnish => 200,
    };
    let mut web = Web::connect(address);
    for (from, expected) in [
        ("192.0.2.7", behind),
        ("198.51.100.1", 403),
        ("192.0.2.7", behind),
    ] {
        for path in [part, reload] {
            let answer = web.get(&format!("/v/{bound}{path}"), &[("X-Forwarded-For", from)]);
            assert_eq!(answer.status, expected, "{from} {path}");
        }
    }
    let token = one.split('/').nth(2).unwrap();
    let forged = format!("{}A", &token[..token.len() - 1]);
    let forged = if forged == token {
        token.replace('A', "B")
    } else {
        forged
    };
    let mut web = Web::connect(address);
    let mut status = |target: &str| web.get(target, &[]).status;
    for path in [part, reload] {
        assert_eq!(status(&format!("/v/{token}{path}")), 200, "{path}");
        assert_eq!(status(path), 403, "{path}");
        assert_eq!(status(&format!("/v/{forged}{path}")), 403, "{path}");
        let elsewhere = path.replace("/live/cam/", "/live/other/");
        assert_eq!(
            status(&format!("/v/{token}{elsewhere}")),
            403,
            "{elsewhere}"
        );
        for trick in [
            "/live/other/../cam/",
            "/live/cam/1-0/v0/%2e%2e/%2e%2e/",
            "//live/cam/",
        ] {
            let path = path.replace("/live/cam/", trick);
            let status = status(&format!("/v/{forged}{path}"));
            assert!(matches!(status, 400 | 403 | 404), "{path}: {status}");
        }
    }
    // Each viewer's own is nobody else's.
    let master = |query: &str| {
        let answer = Web::fetch(address, &format!("/live/cam/index.m3u8{query}"));
        (answer.status, answer.text().to_owned())
    };
    let (first, second) = (master("?key=opensesame"), master("?key=opensesame"));
    assert_eq!((first.0, second.0), (200, 200));
    assert_ne!(video(&first.1), video(&second.1));
    assert_eq!(master("").0, 403);
    drop(publishing);
}

/// Listens, and passes on to the server what comes once this many have asked for something.
fn together(origin: SocketAddr, count: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let ready = Arc::new(Barrier::new(count));
    thread::spawn(move || {
        for mut asking in listener.incoming().map_while(Result::ok).take(count) {
            let ready = ready.clone();
            thread::spawn(move || {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    asking.read_exact(&mut byte).unwrap();
                    head.extend_from_slice(&byte);
                }
                ready.wait();
                let mut server = TcpStream::connect(origin).unwrap();
                server.write_all(&head).unwrap();
                let back = (server.try_clone().unwrap(), asking.try_clone().unwrap());
                thread::spawn(move || pass_on(back.0, back.1, |_| ()));
                pass_on(asking, server, |_| ());
            });
        }
    });
    address
}

/// Of a token that is not in the path nothing is kept, and nobody waits for what is not.
fn viewers_with_a_token_in_a_header_wait_for_nobody(edge: Edge) {
    let delivered = Delivered::start(|config| {
        config.access.play_keys = vec!["opensesame".to_owned()];
        config.access.trusted_proxies = vec!["127.0.0.1".to_owned()];
        config.http.tokens.keys = vec![SECRET.to_owned()];
    });
    let publishing = live(50, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    delivered.master_for("live/cam", "?key=opensesame");
    let token = bound("127.0.0.1", "live/cam");
    let (bearer, cookie) = (
        format!("Bearer {token}"),
        format!("theme=dark; __Host-openrtmp={token}"),
    );
    for header in [
        ("Authorization", bearer.as_str()),
        ("Cookie", cookie.as_str()),
    ] {
        let master = Web::connect(delivered.address()).get("/live/cam/index.m3u8", &[header]);
        let playlist = format!("/live/cam/{}", video(master.text()));
        // Nobody is answered before all have asked. Who waited for another would for ever.
        let origin = together(delivered.address(), TOGETHER);
        let cache = Cache::with(edge, any_address(), origin, patience(edge));
        let address = cache.address;
        thread::scope(|scope| {
            let ask = || Web::connect(address).get(&playlist, &[header]);
            let viewers: Vec<_> = (0..TOGETHER).map(|_| scope.spawn(ask)).collect();
            for viewer in viewers {
                let answer = viewer.join().unwrap();
                assert_eq!(
                    answer.status,
                    200,
                    "{edge:?} {}: {}",
                    header.0,
                    answer.text()
                );
            }
        });
    }
    // And nobody else is given it.
    let cache = Cache::start(edge, any_address(), delivered.address());
    let mut web = Web::connect(cache.address);
    let header = [("Authorization", bearer.as_str())];
    let master = web.get("/live/cam/index.m3u8", &header);
    let playlist = format!("/live/cam/{}", video(master.text()));
    for path in ["/live/cam/index.m3u8", &playlist] {
        assert_eq!(web.get(path, &header).status, 200, "{path}");
        assert_eq!(web.get(path, &[]).status, 403, "{path}");
    }
    drop(publishing);
}

#[test]
fn nginx_lets_viewers_with_a_token_in_a_header_wait_for_nobody() {
    viewers_with_a_token_in_a_header_wait_for_nobody(Edge::Nginx);
}

#[test]
fn varnish_lets_viewers_with_a_token_in_a_header_wait_for_nobody() {
    viewers_with_a_token_in_a_header_wait_for_nobody(Edge::Varnish);
}

/// Viewers who ask for something together.
const TOGETHER: usize = 8;

/// What lets a cache wait for an answer for as long as it takes.
fn patience(edge: Edge) -> &'static [(&'static str, &'static str)] {
    match edge {
        Edge::Nginx => &[
            (
                "proxy_cache_lock_timeout 20s;",
                "proxy_cache_lock_timeout 1h;",
            ),
            ("proxy_cache_lock_age 20s;", "proxy_cache_lock_age 1h;"),
        ],
        Edge::Varnish => &[],
    }
}

#[test]
fn nginx_lets_private_viewers_begin_without_waiting_for_each_other() {
    let address = any_address();
    let delivered = Delivered::start(|config| {
        config.access.play_keys = vec!["opensesame".to_owned()];
        config.http.base_url = format!("http://{address}");
    });
    let publishing = live(50, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    delivered.master_for("live/cam", "?key=opensesame");
    // Nobody is answered before all have asked. Who waited for another would for ever.
    let origin = together(delivered.address(), TOGETHER);
    let patient = patience(Edge::Nginx);
    let _cache = Cache::with(Edge::Nginx, address, origin, patient);
    let viewers: Vec<_> = (0..TOGETHER)
        .map(|_| thread::spawn(move || Web::fetch(address, "/live/cam/index.m3u8?key=opensesame")))
        .collect();
    let tokens = viewers.into_iter().map(|viewer| {
        let answer = viewer.join().unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        video(answer.text()).to_owned()
    });
    // And each has a token of its own.
    assert_eq!(tokens.collect::<BTreeSet<_>>().len(), TOGETHER);
    drop(publishing);
}

#[test]
fn nginx_asks_once_for_what_all_viewers_ask_for() {
    one_request_for_what_all_ask_for(Edge::Nginx);
}

#[test]
fn varnish_asks_once_for_what_all_viewers_ask_for() {
    one_request_for_what_all_ask_for(Edge::Varnish);
}

#[test]
fn nginx_gives_private_streams_to_who_may_play_them() {
    private_streams_stay_private(Edge::Nginx);
}

#[test]
fn varnish_gives_private_streams_to_who_may_play_them() {
    private_streams_stay_private(Edge::Varnish);
}
