//! One stream in several sizes over HTTP: of one publisher with several tracks of video, and of
//! publishers that are joined; and what tracks are called.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use openrtmp_core::AccessAction;
use openrtmp_media::dash;
use openrtmp_media::hls::check::{Checker, aligned};
use openrtmp_media::hls::read::Listed;
use openrtmp_protocol::amf::{Encoder, Encoding, Object, Value};
use openrtmp_tests::followed::{Looks, follow};
use openrtmp_tests::{
    Delivered, FrameHashes, Media, Process, Publisher, Tool, Web, flv, found_at_last, live,
    openrtmp,
};

/// The sizes of what is published, the largest first.
const SIZES: [&str; 3] = ["320x180", "160x90", "80x46"];

fn joined() -> Delivered {
    Delivered::start(|config| {
        config.http.variants = vec!["_mid".to_owned(), "_low".to_owned()];
    })
}

/// One encoder with an output for each size.
fn encoder(seconds: u32, delivered: &Delivered) -> Process {
    let mut command = Tool::Ffmpeg.command();
    let mut arguments = String::from(
        "-nostdin -v error -re -f lavfi -i testsrc2=size=320x180:rate=30 -f lavfi -i \
         sine=frequency=440:sample_rate=48000 -filter_complex \
         [0:v]split=3[a][b][c];[b]scale=160:90[d];[c]scale=80:46[e]",
    );
    for (name, pictures) in [("cam", "a"), ("cam_mid", "d"), ("cam_low", "e")] {
        let url = delivered.server().url(&format!("live/{name}"));
        arguments += &format!(
            " -map [{pictures}] -map 1:a -t {seconds} -c:v libx264 -preset ultrafast -g 30 \
             -sc_threshold 0 -pix_fmt yuv420p -c:a aac -b:a 64k -f flv {url}"
        );
    }
    command.args(arguments.split(' ').filter(|word| !word.is_empty()));
    Process::start("ffmpeg publishing three sizes", command)
}

/// The `RESOLUTION`s of a master playlist, the largest first.
fn sizes(master: &str) -> Vec<&str> {
    let told = master.split("RESOLUTION=").skip(1);
    let mut found: Vec<&str> = told.filter_map(|rest| rest.split(',').next()).collect();
    found.sort_by_key(|size| SIZES.iter().position(|is| is == size));
    found
}

/// Every playlist of a stream is followed to its end, and breaks no rule; all are cut at the
/// same times.
fn assert_aligned(delivered: &Delivered, publishing: impl FnOnce()) {
    let master = delivered.master("live/cam");
    assert_eq!(sizes(&master), SIZES, "{master}");
    assert_eq!(master.matches("#EXT-X-MEDIA:TYPE=AUDIO").count(), 1);
    assert_eq!(master.matches(",AUDIO=\"audio\"").count(), 3, "{master}");
    let playlists = delivered.playlists("live/cam");
    assert_eq!(playlists.len(), 4, "{playlists:?}");
    let address = delivered.address();
    let followers: Vec<_> = playlists
        .iter()
        .cloned()
        .map(|playlist| thread::spawn(move || follow(address, &playlist, Some(3))))
        .collect();
    let probed = probe(delivered, "index.m3u8");
    let followed: Vec<(Checker, usize)> = followers
        .into_iter()
        .map(|follower| follower.join().unwrap())
        .collect();
    publishing();
    assert_eq!(probed["violations"], serde_json::json!([]), "{probed:#}");
    let lists: Vec<&Listed> = followed.iter().filter_map(|(is, _)| is.last()).collect();
    assert!(followed.iter().all(|(_, reloads)| *reloads >= 8));
    for (place, one) in lists.iter().enumerate() {
        for other in &lists[place + 1..] {
            assert_eq!(one.target, other.target);
            assert_eq!(one.part_target, other.part_target);
            assert_eq!(one.control, other.control);
            assert_eq!(aligned(one, other, 0.1), []);
        }
    }
    // Pictures are cut at the very same times, each at a key frame.
    let cuts = |listed: &Listed| -> Vec<(Option<String>, Option<String>)> {
        let segments = listed.segments.iter().rev().skip(1);
        segments
            .map(|is| {
                (
                    is.date.clone(),
                    is.duration.map(|length| format!("{length:.5}")),
                )
            })
            .collect()
    };
    let pictures: Vec<&&Listed> = lists
        .iter()
        .filter(|listed| {
            let map = listed.segments.last().and_then(|is| is.map.clone());
            map.is_some_and(|map| map.starts_with('v'))
        })
        .collect();
    assert_eq!(pictures.len(), 3);
    for other in &pictures[1..] {
        assert_eq!(cuts(pictures[0]), cuts(other));
    }
}

/// What `openrtmp probe` finds in four seconds.
fn probe(delivered: &Delivered, file: &str) -> serde_json::Value {
    let mut command: Command = openrtmp();
    command.args(["probe", "--json", "--duration", "4s"]);
    command.arg(delivered.url(&format!("/live/cam/{file}")));
    let output = command.output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// FFmpeg and GStreamer play each of the sizes.
fn assert_played(delivered: &Delivered, pictures: usize) {
    for (kind, file) in [("HLS", "index.m3u8"), ("DASH", "manifest.mpd")] {
        let url = delivered.url(&format!("/live/cam/{file}"));
        let played = FrameHashes::of(Path::new(&url));
        let shown: Vec<Vec<i64>> = (0..3)
            .map(|number| {
                let packets = played.stream(&format!("video {number}")).iter();
                packets.map(|packet| packet.pts).collect()
            })
            .collect();
        assert!(shown[0].len() >= pictures, "{kind}: {}", shown[0].len());
        assert!(shown.iter().all(|times| *times == shown[0]), "{kind}");
        let sounds = played.stream("audio 0").len();
        assert!(sounds >= pictures * 3 / 2, "{kind}: {sounds}");
    }
    // One program of HLS by itself, as a player that chose a size has it.
    for number in 0..3 {
        let mut command = Tool::Ffprobe.command();
        command.args(["-v", "error", "-of", "csv=p=0", "-show_entries"]);
        command.args(["program_stream=width,height", "-select_streams"]);
        command.arg(format!("p:{number}:v"));
        command.arg(delivered.url("/live/cam/index.m3u8"));
        let finished = Process::start("ffprobe", command).wait().expect_success();
        let told = finished.output.join(" ");
        let found = SIZES
            .iter()
            .filter(|size| told.contains(&size.replace('x', ",")));
        assert_eq!(found.count(), 1, "{told}");
    }
}

#[test]
fn sizes_of_separate_publishers_are_one_stream() {
    // Building it may take longer than the stream lasts.
    openrtmp();
    let delivered = joined();
    let publishing = encoder(14, &delivered);
    for name in ["live/cam", "live/cam_mid", "live/cam_low"] {
        delivered.server().wait_until_published(name);
    }
    assert_aligned(&delivered, || drop(publishing.wait().expect_success()));
    assert_played(&delivered, 300);
    // Each is there by itself too, but for the one that has the name of all.
    let alone = delivered.master("live/cam_low");
    assert_eq!(sizes(&alone), SIZES[2..], "{alone}");
    let manifest = delivered.manifest("live/cam");
    let listed = dash::read::Listed::parse(&manifest).unwrap();
    assert_eq!(manifest.matches("contentType=\"video\"").count(), 1);
    assert!(manifest.contains("segmentAlignment=\"true\""), "{manifest}");
    assert_eq!(listed.periods.len(), 1, "{manifest}");
    assert_eq!(listed.periods[0].representations.len(), 4, "{manifest}");
}

#[test]
fn sizes_of_one_publisher_are_one_stream() {
    openrtmp();
    let delivered = Delivered::start(|_| ());
    let publishing =
        Publisher::FfmpegCurrent.start(Media::ThreeSizes, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    assert_aligned(&delivered, || drop(publishing.wait()));
    assert_played(&delivered, 300);
}

#[test]
fn a_size_that_joins_is_listed_when_it_can_be_played_and_no_longer_when_it_stops() {
    let delivered = joined();
    let first = live(60, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    assert_eq!(delivered.playlists("live/cam").len(), 2);
    // Another encoder, with a clock of its own and key frames where it has them.
    let second = live(60, &delivered.server().url("live/cam_low"));
    let both = master_with(&delivered, 2);
    let playlists: Vec<String> = both
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|uri| format!("/live/cam/{uri}"))
        .collect();
    let address = delivered.address();
    let kept = playlists.clone();
    let followers: Vec<_> = kept
        .into_iter()
        .map(|playlist| thread::spawn(move || follow(address, &playlist, None)))
        .collect();
    // All that is listed can be had at once.
    for playlist in &playlists {
        let answer = Web::fetch(delivered.address(), playlist);
        assert_eq!(answer.status, 200, "{playlist}");
        let listed = Listed::parse(answer.text()).unwrap();
        assert!(
            listed.segments.iter().any(|is| is.uri.is_some()),
            "{playlist}"
        );
    }
    second.kill();
    master_with(&delivered, 1);
    // It is back, and so is what is listed.
    let third = live(60, &delivered.server().url("live/cam_low"));
    master_with(&delivered, 2);
    // The other one stops now: what came later leads, and is cut at its own key frames.
    first.kill();
    master_with(&delivered, 1);
    let master = delivered.master("live/cam");
    assert!(!master.contains("/v0.m3u8"), "{master}");
    let newest = Listed::parse(Web::fetch(address, &playlists[1]).text()).unwrap();
    let complete = newest
        .segments
        .iter()
        .rev()
        .find(|is| is.uri.is_some())
        .unwrap();
    assert!(!complete.is_gap, "{newest:#?}");
    third.kill();
    for follower in followers {
        let (checker, _) = follower.join().unwrap();
        assert!(checker.last().is_some_and(|last| last.has_ended));
    }
}

/// The master playlist once it has so many sizes.
fn master_with(delivered: &Delivered, count: usize) -> String {
    found_at_last(&format!("master playlist of {count} sizes"), || {
        let master = delivered.master("live/cam");
        let is_it = master.matches("#EXT-X-STREAM-INF").count() == count;
        is_it.then_some(master)
    })
}

/// Who may play is decided by names: what is joined has one, and each of its sizes another.
#[test]
fn who_may_play_what_is_joined_plays_its_sizes_by_that_name_alone() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    // The key to a stream is its own path.
    let decide = move |request: openrtmp_core::AccessRequest| {
        if request.action != AccessAction::Play {
            request.accept();
            return;
        }
        let path = request.stream.reveal().to_owned();
        let is_key = request.query.reveal() == format!("key={path}");
        noted.lock().unwrap().push(path);
        match is_key {
            true => request.accept(),
            false => request.reject("this key opens something else"),
        };
    };
    let change = |config: &mut openrtmp_core::Config| {
        config.http.variants = vec!["_low".to_owned()];
        config.access.failed_attempts.limit = 0;
    };
    let host = |builder: openrtmp_core::ServerBuilder| builder.on_access(decide);
    let delivered = Delivered::start_as("http://127.0.0.1:0", change, host);
    // The last two only look as if they were sizes of the first.
    let names = [
        "live/cam",
        "live/cam_low",
        "live/cam_lower",
        "live/webcam_low",
    ];
    let publishing = names.map(|name| live(60, &delivered.server().url(name)));
    for name in names {
        delivered.server().wait_until_published(name);
    }
    let master_of = |name: &str| delivered.master_for(name, &format!("?key={name}"));
    let joined = found_at_last("both sizes", || {
        let master = master_of("live/cam");
        (master.matches("#EXT-X-STREAM-INF").count() > 1).then_some(master)
    });
    let small = master_of("live/cam_low");
    for name in &names[2..] {
        master_of(name);
    }
    let (joined, small) = (Uris::of(&joined), Uris::of(&small));
    assert_eq!(joined.playlists, ["v0.m3u8", "v16.m3u8", "a0.m3u8"]);
    assert_eq!(small.playlists, ["v0.m3u8", "a0.m3u8"]);

    // Nobody is asked about who has a token.
    let is_decided = |name: &str| names.contains(&name);
    let decided = std::mem::take(&mut *asked.lock().unwrap());
    assert!(decided.iter().all(|name| is_decided(name)), "{decided:?}");
    let mut web = Web::connect(delivered.address());
    let mut status = |path: &str| web.get(path, &[]).status;
    for uris in [&joined, &small] {
        let folder = format!("/v/{}/{}", uris.token, uris.folder);
        assert_eq!(status(&format!("{folder}/v0/init0.mp4")), 200);
        for playlist in &uris.playlists {
            assert_eq!(status(&format!("{folder}/{playlist}")), 200, "{playlist}");
        }
    }
    let init = format!("{}/v16/init0.mp4", joined.folder);
    assert_eq!(status(&format!("/v/{}/{init}", joined.token)), 200);
    // What is there by another name is not there by this.
    let beside = format!("/v/{}/{}/v16.m3u8", small.token, small.folder);
    assert_eq!(status(&beside), 404);
    let foreign = format!("/v/{}/live/cam_low/{}", small.token, joined.epoch());
    assert_eq!(status(&format!("{foreign}/v0.m3u8")), 404);
    // One token opens nothing of the other, whatever of it is asked for; nor does either of
    // what is called nearly the same.
    for (token, name, folder) in [
        (&joined.token, "live/cam_low", &small.folder),
        (&small.token, "live/cam", &joined.folder),
    ] {
        for path in [
            format!("{name}/index.m3u8"),
            format!("{name}/manifest.mpd"),
            format!("{name}/ts/index.m3u8"),
            format!("{name}.flv"),
            format!("{folder}/v0.m3u8"),
            format!("{folder}/v16.m3u8"),
            format!("{folder}/v0/init0.mp4"),
        ] {
            assert_eq!(status(&format!("/v/{token}/{path}")), 403, "{path}");
        }
        for other in &names[2..] {
            let path = format!("/v/{token}/{other}/index.m3u8");
            assert_eq!(status(&path), 403, "{path}");
        }
    }
    assert_eq!(*asked.lock().unwrap(), [""; 0]);
    // Nor does a key.
    for (name, key) in [("live/cam_low", "live/cam"), ("live/cam", "live/cam_low")] {
        for file in ["/index.m3u8", "/manifest.mpd", ".flv"] {
            assert_eq!(status(&format!("/{name}{file}?key={key}")), 403, "{name}");
        }
        assert_eq!(std::mem::take(&mut *asked.lock().unwrap()), [name; 3]);
    }
    for publishing in publishing {
        publishing.kill();
    }
}

/// Where a master playlist of who came with a key leads.
struct Uris {
    token: String,
    /// With the name of this run of the stream, without the token.
    folder: String,
    /// The media playlists, those of pictures first.
    playlists: Vec<String>,
}

impl Uris {
    fn of(master: &str) -> Uris {
        let sounds = master.split(",URI=\"").skip(1);
        let sounds = sounds.filter_map(|rest| rest.split('"').next());
        let pictures = master.lines().filter(|line| !line.starts_with('#'));
        let mut found = Uris {
            token: String::new(),
            folder: String::new(),
            playlists: Vec::new(),
        };
        for uri in pictures.chain(sounds) {
            let rest = uri.strip_prefix("/v/").expect("a token");
            let (token, path) = rest.split_once('/').expect("a path");
            let (folder, playlist) = path.rsplit_once('/').expect("a playlist");
            (found.token, found.folder) = (token.to_owned(), folder.to_owned());
            found.playlists.push(playlist.to_owned());
        }
        found
    }

    fn epoch(&self) -> &str {
        self.folder.rsplit('/').next().unwrap_or_default()
    }
}

/// What a publisher says of its tracks is what people choose by.
#[test]
fn tracks_of_sound_are_called_what_their_publisher_says() {
    let delivered = Delivered::start(|_| ());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("told.flv");
    flv::write(&file, &told(&Media::TwoAudioTracks.file()));
    let mut command: Command = openrtmp();
    command.arg("publish").arg(&file);
    command.arg(delivered.server().url("live/cam"));
    let publishing = Process::start("openrtmp publishing", command);
    delivered.server().wait_until_published("live/cam");
    let master = delivered.master("live/cam");
    publishing.wait().expect_success();
    for expected in [
        "NAME=\"Deutsch ,URI= x\",LANGUAGE=\"de\",DEFAULT=YES,",
        "NAME=\"a1\",LANGUAGE=\"en-GB\",DEFAULT=NO,",
        "CHARACTERISTICS=\"public.accessibility.describes-video\"",
    ] {
        assert!(master.contains(expected), "{master}");
    }
    let manifest = delivered.manifest("live/cam");
    for expected in [
        "lang=\"de\">",
        "<Label>Deutsch ,URI= x</Label>",
        "lang=\"en-GB\">",
        "<Accessibility schemeIdUri=\"urn:tva:metadata:cs:AudioPurposeCS:2007\" value=\"1\"/>",
    ] {
        assert!(manifest.contains(expected), "{manifest}");
    }
    // FFmpeg reads them there.
    for (playlist, languages) in [
        ("index.m3u8", ["de", "en-GB"]),
        ("manifest.mpd", ["de", "en-GB"]),
    ] {
        let mut command = Tool::Ffprobe.command();
        command.args(["-v", "error", "-of", "csv=p=0", "-select_streams", "a"]);
        command.args(["-show_entries", "stream_tags=language"]);
        command.arg(delivered.url(&format!("/live/cam/{playlist}")));
        let told = Process::start("ffprobe", command).wait().expect_success();
        let told: Vec<String> = told
            .output
            .iter()
            .map(|line| line.trim().to_owned())
            .collect();
        let mut told: Vec<&str> = told
            .iter()
            .map(String::as_str)
            .filter(|it| !it.is_empty())
            .collect();
        told.sort_unstable();
        told.dedup();
        assert_eq!(told, languages, "{playlist}");
    }
}

/// The tags of a file, whose metadata says more.
fn told(file: &Path) -> Vec<flv::Tag> {
    let track = |name: &str, language: &str| {
        Object::new()
            .with("name", name)
            .with("language", language)
            .with("characteristics", "public.accessibility.describes-video")
    };
    let tracks = Object::new()
        .with("0", track("Deutsch\",URI=\"x", "de"))
        // Two cannot be called the same.
        .with("1", track("Deutsch\",URI=\"x", "en-GB"));
    let mut encoder = Encoder::new(Encoding::Amf0);
    encoder.value(&Value::from("onMetaData"));
    encoder.value(&Value::from(
        Object::new().with("audioTrackIdInfoMap", tracks),
    ));
    let told = encoder.finish();
    let mut tags = flv::read(file);
    let metadata = tags
        .iter_mut()
        .find(|tag| tag.script_name() == Some("onMetaData"));
    metadata.expect("metadata").body = told;
    tags
}
