//! Streams that encoders publish are delivered in DASH: to FFmpeg and GStreamer, and to a
//! player by hand that checks everything it is told.

use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openrtmp_media::dash::check::{Checker, availability};
use openrtmp_media::dash::read::{Listed, Representation};
use openrtmp_tests::played::{assert_end_played, assert_played_by_gstreamer};
use openrtmp_tests::{Answer, Delivered, FrameHashes, Media, Process, Publisher, Tool, Web, live};

/// Between two looks at what nobody tells of.
const PAUSE: Duration = Duration::from_millis(50);

/// Milliseconds since 1970.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_millis() as i64
}

/// The path of the manifest that players read again, by the one where they begin.
fn location(path: &str, manifest: &str) -> String {
    let root = Listed::parse(manifest).unwrap().root;
    assert_eq!(root.all("Location").count(), 1, "{manifest}");
    let (_, rest) = manifest.split_once("<Location>").unwrap();
    let (url, _) = rest.split_once('<').unwrap();
    match url.starts_with('/') {
        true => url.to_owned(),
        false => format!("/{path}/{url}"),
    }
}

/// A player that reads a manifest again and again, to its end.
struct Player {
    web: Web,
    /// Where it begins.
    folder: String,
    manifest: String,
    checker: Checker,
    /// All states of the manifest.
    states: Vec<String>,
    /// The media that it has.
    fetched: Vec<String>,
}

impl Player {
    fn start(delivered: &Delivered, path: &str) -> Player {
        let first = delivered.manifest(path);
        Player {
            web: Web::connect(delivered.address()),
            folder: format!("/{path}"),
            manifest: location(path, &first),
            checker: Checker::default(),
            states: Vec::new(),
            fetched: Vec::new(),
        }
    }

    /// Reads the manifest, which is to keep the rules.
    fn read(&mut self) -> Listed {
        let answer = self.web.get(&self.manifest, &[]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let broken = self.checker.read(answer.text());
        assert!(broken.is_empty(), "{broken:?}\n{}", answer.text());
        self.states.push(answer.text().to_owned());
        let listed = self.checker.last().unwrap().clone();
        // Where the first frame came late, as on a machine with much to do, others do not.
        let early = availability(&listed, now(), 1.0);
        assert_eq!(early, [], "{}", answer.text());
        listed
    }

    /// Fetches a segment, or what else a manifest names.
    fn fetch(&mut self, name: &str) -> Answer {
        self.web.get(&format!("{}/{name}", self.folder), &[])
    }

    /// Fetches what it has not yet of what is listed by time; the tick behind the last.
    fn fetch_all(&mut self, listed: &Listed) -> Option<(Representation, u64)> {
        let mut last = None;
        for representation in listed.periods.iter().flat_map(|it| &it.representations) {
            let template = representation.template.as_ref().unwrap();
            let mut names = vec![template.init(representation).unwrap()];
            for &(start, long) in template.timeline.iter().flatten() {
                names.push(template.name(representation, 0, start).unwrap());
                last = Some((representation.clone(), start + long));
            }
            for name in names {
                if !self.fetched.contains(&name) {
                    let answer = self.fetch(&name);
                    assert_eq!(answer.status, 200, "{name}");
                    assert!(answer.body.len() > 100, "{name}");
                    self.fetched.push(name);
                }
            }
        }
        last
    }

    /// Follows it to its end.
    fn follow(mut self) -> Player {
        loop {
            let listed = self.read();
            let last = self.fetch_all(&listed);
            if !listed.is_dynamic {
                return self;
            }
            // What comes next is waited for, as far as it can be named.
            let next = last.map(|(representation, tick)| {
                let template = representation.template.as_ref().unwrap();
                template.name(&representation, 0, tick).unwrap()
            });
            let answer = next.map(|name| self.fetch(&name));
            if answer.is_none_or(|answer| answer.status != 200) {
                thread::sleep(PAUSE);
            }
        }
    }
}

#[test]
fn a_manifest_that_is_followed_breaks_no_rule() {
    let delivered = Delivered::start(|_| ());
    let publishing = live(12, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    let player = Player::start(&delivered, "live/cam");
    assert_served_as_playlists_are(&delivered, &player.manifest);
    let player = player.follow();
    publishing.wait().expect_success();
    // Six segments of both tracks.
    assert!(player.fetched.len() >= 12, "{:?}", player.fetched);
    assert!(player.states.len() >= 5, "{}", player.states.len());
    assert_mutations_are_refused(&player.states);
    // The same bytes have another name in HLS.
    let mut web = Web::connect(delivered.address());
    let listed = player.checker.last().unwrap();
    let representation = &listed.periods[0].representations[0];
    let template = representation.template.as_ref().unwrap();
    let second = template.timeline.as_ref().unwrap()[1].0;
    let by_time = format!(
        "/live/cam/{}",
        template.name(representation, 0, second).unwrap()
    );
    let by_number = format!("{}/2.m4s", by_time.rsplit_once('/').unwrap().0);
    let (one, other) = (web.get(&by_time, &[]), web.get(&by_number, &[]));
    assert_eq!(
        (one.status, one.header("etag")),
        (200, other.header("etag"))
    );
    assert!(one.body == other.body);
    let range = web.get(&by_time, &[("Range", "bytes=4-7")]);
    assert_eq!((range.status, &range.body[..]), (206, &one.body[4..8]));
    let none = by_time.replace(&format!("t{second}"), &format!("t{}", second + 1));
    let none = web.get(&none, &[]);
    assert_eq!(
        (none.status, none.header("cache-control")),
        (404, Some("no-store"))
    );
}

/// The headers of a manifest are those of a master playlist.
fn assert_served_as_playlists_are(delivered: &Delivered, run: &str) {
    let mut web = Web::connect(delivered.address());
    for path in ["/live/cam/manifest.mpd", run] {
        let plain = web.get(path, &[]);
        assert_eq!(plain.header("content-type"), Some("application/dash+xml"));
        assert_eq!(plain.header("cache-control"), Some("public, max-age=1"));
        assert_eq!(plain.header("vary"), Some("Accept-Encoding"));
        assert_eq!(plain.header("access-control-allow-origin"), Some("*"));
        let tag = plain.header("etag").unwrap().to_owned();
        let head = web.ask("HEAD", path, &[]);
        assert_eq!((head.status, head.header("etag")), (200, Some(&tag[..])));
        let again = web.get(path, &[("If-None-Match", &tag)]);
        // Another may have come.
        let is_other = again.header("etag") != Some(&tag);
        assert!(again.status == 304 || is_other, "{}", again.status);
        let compressed = web.get(path, &[("Accept-Encoding", "gzip")]);
        assert_eq!(compressed.header("content-encoding"), Some("gzip"));
        assert!(compressed.body.starts_with(b"\x1f\x8b"));
    }
    let time = web.get("/time", &[]);
    assert_eq!(time.header("cache-control"), Some("no-store"));
    let told = openrtmp_media::date(now());
    assert_eq!(time.text().len(), told.len(), "{} {told}", time.text());
}

/// A session with something in it that is not so is refused.
fn assert_mutations_are_refused(states: &[String]) {
    // The last one has an end.
    let (last, before) = states[..states.len() - 1].split_last().unwrap();
    for (from, to) in [
        ("availabilityStartTime=\"2", "availabilityStartTime=\"3"),
        ("publishTime=\"2", "publishTime=\"1"),
        ("timeShiftBufferDepth", "x"),
        ("<UTCTiming ", "<Other "),
        ("start=\"PT0S\"", "start=\"PT1S\""),
        (" d=\"180000\"", " d=\"179999\""),
        ("init0", "init1"),
        ("bandwidth=\"", "bandwidth=\"0\" x=\""),
    ] {
        let mut checker = Checker::default();
        for state in before {
            assert_eq!(checker.read(state), []);
        }
        assert!(last.contains(from), "{from}");
        let mutated = last.replacen(from, to, 1);
        assert!(!checker.read(&mutated).is_empty(), "{from}\n{mutated}");
    }
}

/// The manifest once nothing more comes.
fn ended(delivered: &Delivered, path: &str) -> Listed {
    let mut web = Web::connect(delivered.address());
    let run = location(path, &delivered.manifest(path));
    loop {
        let answer = web.get(&run, &[]);
        let listed = Listed::parse(answer.text()).unwrap();
        if !listed.is_dynamic {
            return listed;
        }
        thread::sleep(PAUSE);
    }
}

#[test]
fn what_encoders_publish_is_played_unaltered() {
    for media in [
        Media::H264Aac,
        Media::BFrames,
        Media::AudioOnly,
        Media::VideoOnly,
        Media::Hevc,
        Media::Av1Opus,
    ] {
        let publisher = match media {
            Media::Hevc | Media::Av1Opus => Publisher::FfmpegCurrent,
            _ => Publisher::Ffmpeg,
        };
        let delivered = Delivered::start(|_| ());
        let publishing = publisher.start(media, &delivered.server().url("live/cam"));
        delivered.server().wait_until_published("live/cam");
        let listed = ended(&delivered, "live/cam");
        publishing.wait();
        let kinds = listed.periods[0].representations.iter();
        let kinds: Vec<_> = kinds.map(|it| it.codecs.clone().unwrap()).collect();
        let expected: &[&str] = match media {
            Media::AudioOnly => &["mp4a.40.2"],
            Media::VideoOnly => &["avc1."],
            Media::Hevc => &["hvc1.", "mp4a.40.2"],
            Media::Av1Opus => &["av01.", "opus"],
            _ => &["avc1.", "mp4a.40.2"],
        };
        assert_eq!(kinds.len(), expected.len(), "{media:?}: {kinds:?}");
        let mut pairs = kinds.iter().zip(expected);
        assert!(
            pairs.all(|(is, begins)| is.starts_with(begins)),
            "{kinds:?}"
        );
        let url = delivered.url("/live/cam/manifest.mpd");
        assert_end_played(media, &FrameHashes::of(Path::new(&url)));
        if matches!(media, Media::H264Aac | Media::BFrames) {
            let folder = tempfile::tempdir().unwrap();
            assert_played_by_gstreamer(media, &url, folder.path());
        }
    }
}

/// What was played is a run of all that there was, as it was.
fn assert_run_of(whole: &FrameHashes, played: &FrameHashes, least: usize) {
    for name in ["video 0", "audio 0"] {
        let hashes = |from: &FrameHashes| -> Vec<String> {
            let packets = from.stream(name).iter();
            packets.map(|packet| packet.hash.clone()).collect()
        };
        let (all, got) = (hashes(whole), hashes(played));
        assert!(got.len() >= least, "{name}: {} of {}", got.len(), all.len());
        assert!(
            all.windows(got.len()).any(|run| run == got),
            "{name}: {} of {}",
            got.len(),
            all.len()
        );
    }
}

/// FFmpeg plays it while it is published, and what it plays is what there was.
fn assert_played_live(low_latency: bool) {
    let delivered = Delivered::start(|config| config.http.dash.low_latency = low_latency);
    let publishing = live(16, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    let manifest = delivered.manifest("live/cam");
    assert_eq!(manifest.contains("$Number$"), low_latency, "{manifest}");
    let folder = tempfile::tempdir().unwrap();
    let url = delivered.url("/live/cam/manifest.mpd");
    let mut ffmpeg = Tool::FfmpegCurrent.command();
    ffmpeg.args([
        "-nostdin", "-v", "error", "-i", &url, "-map", "0", "-c", "copy",
    ]);
    ffmpeg
        .args(["-t", "5"])
        .arg(folder.path().join("ffmpeg.mkv"));
    let ffmpeg = Process::start("FFmpeg playing", ffmpeg);
    ffmpeg.wait().expect_success();
    publishing.wait().expect_success();
    assert!(!ended(&delivered, "live/cam").is_dynamic);
    let whole = FrameHashes::of(Path::new(&url));
    assert!(whole.stream("video 0").len() >= 470);
    assert_run_of(
        &whole,
        &FrameHashes::of(&folder.path().join("ffmpeg.mkv")),
        140,
    );
}

#[test]
fn players_play_it_live() {
    assert_played_live(false);
}

#[test]
fn players_play_it_live_with_low_latency_too() {
    assert_played_live(true);
}

/// The segment under way, as a manifest names it, if it tells of any. Which one that is HLS
/// says, whatever time its publisher is late by.
fn under_way(player: &mut Player, listed: &Listed, number: usize) -> Option<(String, u64)> {
    let representation = &listed.periods.last()?.representations[number];
    let template = representation.template.as_ref()?;
    template.duration?;
    let init = template.init(representation)?;
    let playlist = format!("{}.m3u8", init.rsplit_once('/')?.0);
    let playlist = player.fetch(&playlist);
    // `v0/17.3.m4s`
    let (_, hint) = playlist.text().split_once("TYPE=PART,URI=\"")?;
    let msn = hint.split(['/', '.']).nth(1)?.parse().ok()?;
    Some((template.name(representation, msn, 0)?, msn))
}

/// A segment of which not all was there when it was asked for.
struct Taken {
    path: String,
    bytes: Vec<u8>,
}

/// Takes a segment as it comes. `None` if it is none that comes piece by piece.
fn take(web: &mut Web, path: String) -> Option<Taken> {
    let mut answer = web.begin(&path);
    // The stream may have ended before.
    assert!(
        matches!(answer.status, 200 | 404 | 503),
        "{path}: {}",
        answer.status
    );
    if answer.header("transfer-encoding") != Some("chunked") {
        web.take_body(&mut answer).unwrap();
        return None;
    }
    let keep = Some("public, max-age=31536000, immutable");
    assert_eq!(answer.header("cache-control"), keep);
    assert_eq!(
        (answer.header("content-length"), answer.header("etag")),
        (None, None)
    );
    answer.body = web.chunk().unwrap().unwrap();
    assert_eq!(
        &answer.body[4..8],
        b"prft",
        "each part tells what time it is of"
    );
    web.take_body(&mut answer).unwrap();
    Some(Taken {
        path,
        bytes: answer.body,
    })
}

#[test]
fn segments_under_way_are_sent_as_they_come() {
    let delivered = Delivered::start(|config| config.http.dash.low_latency = true);
    let publishing = live(16, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    let mut player = Player::start(&delivered, "live/cam");
    let mut taken = Vec::new();
    loop {
        let listed = player.read();
        if !listed.is_dynamic {
            break;
        }
        let tag = player.web.get(&player.manifest, &[]);
        let tag = tag.header("etag").unwrap().to_owned();
        for number in 0..2 {
            match under_way(&mut player, &listed, number) {
                Some((name, _)) => taken.extend(take(&mut player.web, format!("/live/cam/{name}"))),
                None => thread::sleep(PAUSE),
            }
        }
        // Nothing is new though segments were completed.
        let again = player.web.get(&player.manifest, &[("If-None-Match", &tag)]);
        let is_other = again.text() != player.states.last().unwrap();
        assert!(again.status == 304 || is_other);
    }
    publishing.wait().expect_success();
    assert!(taken.len() >= 4, "{}", taken.len());
    assert!(taken.iter().any(|it| it.path.contains("/a0/")));
    // What came piece by piece is what is there as a whole, and in parts.
    for Taken { path, bytes } in &taken {
        let whole = player.web.get(path, &[]);
        assert_eq!(whole.status, 200, "{path}");
        assert!(
            whole.body == *bytes,
            "{path}: {} {}",
            whole.body.len(),
            bytes.len()
        );
        let mut parts = Vec::new();
        for number in 0.. {
            let part = path.replace(".m4s", &format!(".{number}.m4s"));
            let part = player.web.get(&part, &[]);
            if part.status != 200 {
                break;
            }
            parts.extend_from_slice(&part.body);
        }
        assert!(parts == *bytes, "{path}");
    }
}

#[test]
fn a_segment_of_low_latency_begins_before_it_is_complete() {
    let delivered = Delivered::start(|config| config.http.dash.low_latency = true);
    let publishing = live(14, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    let mut player = Player::start(&delivered, "live/cam");
    // It may be asked for a little too early, and is waited for; or be complete by now.
    let (path, msn) = loop {
        let listed = player.read();
        assert!(listed.is_dynamic, "none was under way");
        let Some((name, msn)) = under_way(&mut player, &listed, 0) else {
            thread::sleep(PAUSE);
            continue;
        };
        let path = format!("/live/cam/{name}");
        let mut answer = player.web.begin(&path);
        assert!(matches!(answer.status, 200 | 404), "{}", answer.status);
        if answer.header("transfer-encoding").is_some() {
            break (path, msn);
        }
        player.web.take_body(&mut answer).unwrap();
        thread::sleep(PAUSE);
    };
    let first = player.web.chunk().unwrap().unwrap();
    // It has one part, or two by now, which HLS lists; and no end.
    let playlist = format!("{}.m3u8", path.rsplit_once('/').unwrap().0);
    let listed = Web::fetch(delivered.address(), &playlist);
    let whole = format!("v0/{msn}.m4s");
    assert!(
        !listed.text().lines().any(|line| line == whole),
        "{}",
        listed.text()
    );
    let part = Web::fetch(delivered.address(), &path.replace(".m4s", ".0.m4s"));
    assert!(part.body.starts_with(&first));
    let mut head = Web::connect(delivered.address());
    let head = head.ask("HEAD", &path, &[]);
    assert_eq!((head.status, head.header("content-length")), (200, None));
    publishing.kill();
}

#[test]
fn a_publisher_that_comes_back_is_in_another_period() {
    for low_latency in [false, true] {
        let delivered = Delivered::start(|config| {
            config.http.dash.low_latency = low_latency;
            config.streams.republish_grace = Duration::from_secs(30);
        });
        let first = live(60, &delivered.server().url("live/cam"));
        delivered.server().wait_until_published("live/cam");
        let player = Player::start(&delivered, "live/cam");
        let run = player.manifest.clone();
        let player = thread::spawn(move || player.follow());
        first.kill();
        let again = live(8, &delivered.server().url("live/cam"));
        again.wait().expect_success();
        let player = player.join().unwrap();
        let listed = player.checker.last().unwrap();
        assert_eq!(listed.periods.len(), 2, "{}", player.states.last().unwrap());
        let codecs = |number: usize| listed.periods[number].representations.len();
        assert_eq!((codecs(0), codecs(1)), (2, 2));
        // One that has ended begins anew, elsewhere; who plays the first one hears of its end.
        let later = live(8, &delivered.server().url("live/cam"));
        let other = loop {
            let found = location("live/cam", &delivered.manifest("live/cam"));
            if found != run {
                break found;
            }
            thread::sleep(PAUSE);
        };
        let mut web = Web::connect(delivered.address());
        let is_live = |answer: &Answer| Listed::parse(answer.text()).unwrap().is_dynamic;
        assert!(!is_live(&web.get(&run, &[])));
        assert!(is_live(&web.get(&other, &[])));
        later.wait().expect_success();
    }
}

#[test]
fn who_may_not_play_has_no_manifest_and_who_may_is_led_on() {
    let delivered = Delivered::start(|config| {
        config.access.play_keys = vec!["the-key".to_owned()];
        config.access.failed_attempts.limit = 0;
    });
    let publishing = live(60, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    let mut web = Web::connect(delivered.address());
    for query in ["", "?key=wrong"] {
        let refused = web.get(&format!("/live/cam/manifest.mpd{query}"), &[]);
        assert_eq!(refused.status, 403, "{query}");
        assert_eq!(refused.header("cache-control"), Some("no-store"));
    }
    let manifest = delivered.begun("/live/cam/manifest.mpd?key=the-key");
    let (_, base) = manifest.split_once("<BaseURL>").unwrap();
    let (base, _) = base.split_once('<').unwrap();
    assert!(
        base.starts_with("/v/") && !manifest.contains("the-key"),
        "{manifest}"
    );
    let run = location("live/cam", &manifest);
    assert!(run.starts_with(base), "{run} {base}");
    let again = web.get(&run, &[]);
    assert_eq!(
        (again.status, again.header("cache-control")),
        (200, Some("private, max-age=1"))
    );
    let listed = Listed::parse(again.text()).unwrap();
    let representation = &listed.periods[0].representations[0];
    let template = representation.template.as_ref().unwrap();
    let init = template.init(representation).unwrap();
    let media = web.get(&format!("{base}{init}"), &[]);
    assert_eq!(media.status, 200);
    assert!(
        media
            .header("cache-control")
            .unwrap()
            .starts_with("private")
    );
    assert_eq!(web.get(&format!("/live/cam/{init}"), &[]).status, 403);
    let token = base.split('/').nth(2).unwrap();
    let open = run.replace(&format!("/v/{token}"), "");
    assert_eq!(web.get(&open, &[]).status, 403, "without the token");
    // By a path with a token it is as it is without.
    let below = web.get(&format!("/v/{token}/live/cam/manifest.mpd"), &[]);
    assert_eq!(below.status, 200);
    assert!(!below.text().contains("BaseURL"), "{}", below.text());
    let url = delivered.url("/live/cam/manifest.mpd?key=the-key");
    let mut ffmpeg = Tool::Ffprobe.command();
    ffmpeg.args([
        "-v",
        "error",
        "-show_entries",
        "stream=codec_name",
        "-of",
        "csv",
        &url,
    ]);
    let told = Process::start("ffprobe", ffmpeg).wait().expect_success();
    for codec in ["stream,h264", "stream,aac"] {
        assert!(
            told.output.iter().any(|line| line == codec),
            "{:?}",
            told.output
        );
    }
    delivered.server().core().play_keys().remove("the-key");
    // What keys there are is looked at once in a second.
    while web.get(&run, &[]).status == 200 {
        thread::sleep(PAUSE);
    }
    assert_eq!(web.get(&run, &[]).status, 403);
    publishing.kill();
}

#[test]
fn media_can_be_fetched_elsewhere() {
    let delivered = Delivered::start(|config| {
        config.http.base_url = "https://cdn.example/".to_owned();
    });
    let publishing = live(60, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    let manifest = delivered.manifest("live/cam");
    let base = "<BaseURL>https://cdn.example/live/cam/</BaseURL>";
    assert!(manifest.contains(base), "{manifest}");
    let location = "<Location>https://cdn.example/live/cam/";
    assert!(manifest.contains(location), "{manifest}");
    assert_eq!(Checker::default().read(&manifest), []);
    publishing.kill();
}
