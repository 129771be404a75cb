//! Streams that encoders publish are delivered over HTTP: to FFmpeg, GStreamer and curl, and
//! to a player by hand that checks everything it is told.

use std::path::Path;
use std::process::Command;
use std::thread;

use openrtmp_core::PullRule;
use openrtmp_media::hls::check::{Checker, aligned};
use openrtmp_media::hls::read::Listed;
use openrtmp_tests::followed::{Looks, follow};
use openrtmp_tests::played::assert_end_played;
use openrtmp_tests::{
    Delivered, Encoder, FrameHashes, Media, Process, Publisher, Server, Tool, Web, flv, live,
};

#[test]
fn a_session_of_blocking_reloads_breaks_no_rule() {
    let delivered = Delivered::start(|_| ());
    let publishing = live(12, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    let playlists = delivered.playlists("live/cam");
    assert_eq!(playlists.len(), 2);
    let address = delivered.address();
    let players: Vec<_> = playlists
        .into_iter()
        .map(|playlist| thread::spawn(move || follow(address, &playlist, Some(1))))
        .collect();
    let followed: Vec<(Checker, usize)> = players
        .into_iter()
        .map(|player| player.join().unwrap())
        .collect();
    publishing.wait().expect_success();
    for (_, reloads) in &followed {
        // Parts of a third of a second, for most of twelve seconds.
        assert!(*reloads >= 20, "{reloads}");
    }
    let lists: Vec<&Listed> = followed.iter().filter_map(|(is, _)| is.last()).collect();
    assert_eq!(aligned(lists[0], lists[1], 0.1), []);
    assert!(lists[0].has_ended);
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
        let playlists = delivered.playlists("live/cam");
        for playlist in &playlists {
            assert!(delivered.ended(playlist).has_ended);
        }
        publishing.wait();
        let url = delivered.url("/live/cam/index.m3u8");
        assert_end_played(media, &FrameHashes::of(Path::new(&url)));
    }
}

#[test]
fn flv_over_http_is_what_was_published() {
    for (media, publisher) in [
        (Media::H264Aac, Publisher::Ffmpeg),
        (Media::AudioOnly, Publisher::Ffmpeg),
        (Media::Hevc, Publisher::FfmpegCurrent),
        (Media::Av1Opus, Publisher::FfmpegCurrent),
    ] {
        let delivered = Delivered::start(|_| ());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("played.flv");
        let publishing = publisher.start(media, &delivered.server().url("live/cam"));
        delivered.server().wait_until_published("live/cam");
        let mut command = Tool::Curl.command();
        // The stream may begin a moment after its publisher.
        command.args(["-sS", "--fail", "--retry", "20", "--retry-delay", "0"]);
        command.args(["--retry-all-errors", "--output"]).arg(&file);
        command.arg(delivered.url("/live/cam.flv"));
        Process::start("curl playing", command)
            .wait()
            .expect_success();
        publishing.wait();
        let (source, played) = (media.hashes(), FrameHashes::of(&file));
        // Nor does metadata become a track of its own.
        assert!(played.stream_names().eq(source.stream_names()), "{media:?}");
        for name in source.stream_names() {
            let hashes = |hashes: &FrameHashes| -> Vec<String> {
                let packets = hashes.stream(name).iter();
                packets.map(|packet| packet.hash.clone()).collect()
            };
            let (sent, got) = (hashes(&source), hashes(&played));
            assert!(
                got.len() * 2 > sent.len(),
                "{media:?} {name}: {}",
                got.len()
            );
            assert!(
                sent.ends_with(&got),
                "{media:?} {name}: {} of {}",
                got.len(),
                sent.len()
            );
        }
    }
}

/// The beginning of a stream as FLV: thirty pictures, and what comes with them.
fn beginning(delivered: &Delivered, path: &str) -> Vec<flv::Tag> {
    let mut web = Web::connect(delivered.address());
    assert_eq!(web.begin(path).status, 200);
    let mut bytes = Vec::new();
    loop {
        bytes.extend(web.chunk().unwrap().expect("it goes on"));
        let tags = flv::tags(&bytes);
        if tags.iter().filter(|tag| tag.is_video_frame()).count() == 30 {
            return tags;
        }
    }
}

#[test]
fn colors_and_channels_are_left_out_of_flv_for_who_says_so() {
    for media in [Media::Hdr, Media::SixChannels] {
        let delivered = Delivered::start(|_| ());
        let url = delivered.server().url("live/cam");
        let _encoder = Encoder::start(&url, flv::read(&media.file()));
        delivered.master("live/cam");
        for (query, is_told) in [("", true), ("?plain=1", false), ("?key=x&plain=1", false)] {
            let tags = beginning(&delivered, &format!("/live/cam.flv{query}"));
            let has = |is: fn(&flv::Tag) -> bool| tags.iter().any(is);
            assert_eq!(has(flv::Tag::is_hint), is_told, "{media:?}, {query}");
            assert!(has(flv::Tag::is_sequence_header), "{media:?}, {query}");
        }
    }
}

#[test]
fn an_encoder_that_comes_back_goes_on_with_the_same_playlist() {
    let delivered = Delivered::start(|_| ());
    let first = live(60, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    let playlist = delivered.playlists("live/cam").pop().unwrap();
    let before = Web::fetch(delivered.address(), &playlist);
    let before = Listed::parse(before.text()).unwrap();
    let (address, followed) = (delivered.address(), playlist.clone());
    let player = thread::spawn(move || follow(address, &followed, Some(1)));
    first.kill();
    let again = live(6, &delivered.server().url("live/cam"));
    let after = delivered.ended(&playlist);
    again.wait().expect_success();
    // Gaps and discontinuity break no rule either.
    let (checker, _) = player.join().unwrap();
    assert!(checker.last().is_some_and(|last| last.has_ended));
    assert!(after.msn >= before.msn);
    let (last, _) = after.numbered().last().unwrap();
    let (was, _) = before.numbered().last().unwrap();
    assert!(last > was + 1, "{was} to {last}");
    let discontinuities = after.segments.iter().filter(|is| is.is_discontinuity);
    assert_eq!(discontinuities.count(), 1, "{after:#?}");
    // One that has ended begins anew, elsewhere.
    let later = live(6, &delivered.server().url("live/cam"));
    let other = loop {
        let found = delivered.playlists("live/cam").pop().unwrap();
        if found != playlist {
            break found;
        }
    };
    assert!(delivered.ended(&other).has_ended);
    later.wait().expect_success();
    let gone = Web::fetch(delivered.address(), &playlist);
    assert_eq!(gone.status, 200, "who plays it is behind");
}

#[test]
fn gstreamer_plays_it() {
    let delivered = Delivered::start(|_| ());
    let publishing = live(12, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    // GStreamer 1.22 loses its place in a list of one segment, and begins anew in the middle.
    let mut web = Web::connect(delivered.address());
    for playlist in delivered.playlists("live/cam") {
        // What is asked for may be two segments ahead at most.
        for msn in 2..=4 {
            let answer = web.get(&format!("{playlist}?_HLS_msn={msn}"), &[]);
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("played.flv");
    let mut command = Tool::GstLaunch.command();
    command.args([
        "-q",
        "flvmux",
        "name=mux",
        "streamable=true",
        "!",
        "filesink",
    ]);
    command.arg(format!("location={}", file.display()));
    command.arg("uridecodebin3");
    command.arg(format!("uri={}", delivered.url("/live/cam/index.m3u8")));
    command.args(["caps=video/x-h264;audio/mpeg", "name=streams"]);
    command.args([
        "streams.video_0",
        "!",
        "queue",
        // One kind may come seconds before the other.
        "max-size-time=0",
        "max-size-bytes=0",
        "max-size-buffers=0",
        "!",
        "h264parse",
        "!",
        "mux.",
    ]);
    command.args([
        "streams.audio_0",
        "!",
        "queue",
        // One kind may come seconds before the other.
        "max-size-time=0",
        "max-size-bytes=0",
        "max-size-buffers=0",
        "!",
        "aacparse",
        "!",
        "mux.",
    ]);
    Process::start("GStreamer playing", command)
        .wait()
        .expect_success();
    publishing.wait().expect_success();
    let played = FrameHashes::of(&file);
    // From where it began, which is what lies three segments back or less, to the end.
    assert!(
        played.stream("video 0").len() >= 150,
        "{}",
        played.stream("video 0").len()
    );
    assert!(
        played.stream("audio 0").len() >= 230,
        "{}",
        played.stream("audio 0").len()
    );
}

#[test]
fn curl_has_it_over_http_2_compressed_once_and_not_twice() {
    let delivered = Delivered::speaking("https://127.0.0.1:0", |config| {
        config.tls.self_signed = true;
    });
    let publishing = live(8, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    let url = format!("https://{}/live/cam/index.m3u8", delivered.address());
    let curl = |arguments: &[&str], url: &str| -> Vec<String> {
        let mut command: Command = Tool::Curl.command();
        command.args([
            "-sSk",
            "--retry",
            "20",
            "--retry-delay",
            "0",
            "--retry-all-errors",
        ]);
        command.args(["--fail", "-D", "-"]).args(arguments).arg(url);
        let finished = Process::start("curl", command).wait().expect_success();
        finished.output
    };
    let has = |lines: &[String], text: &str| {
        assert!(
            lines.iter().any(|line| line.trim_end() == text),
            "{text} in {lines:#?}"
        );
    };
    let plain = curl(&[], &url);
    has(&plain, "HTTP/2 200");
    has(&plain, "cache-control: public, max-age=1");
    has(&plain, "content-type: application/vnd.apple.mpegurl");
    has(&plain, "access-control-allow-origin: *");
    let media = plain.iter().rfind(|line| line.ends_with(".m3u8")).unwrap();
    let media = url.replace("index.m3u8", media);
    let compressed = curl(&["--compressed"], &media);
    has(&compressed, "HTTP/2 200");
    has(&compressed, "content-encoding: gzip");
    has(&compressed, "vary: Accept-Encoding");
    has(&compressed, "#EXTM3U");
    let directed = curl(
        &["--compressed"],
        &format!("{media}?_HLS_msn=1&_HLS_skip=YES"),
    );
    has(&directed, "cache-control: public, max-age=12");
    let old = curl(&["--http1.1", "-I"], &media);
    has(&old, "HTTP/1.1 200 OK");
    let map = compressed
        .iter()
        .find(|line| line.starts_with("#EXT-X-MAP"))
        .unwrap();
    let init = map.split('"').nth(1).unwrap();
    let init = format!("{}/{init}", media.rsplit_once('/').unwrap().0);
    let part = curl(&["-r", "4-7", "-o", "/dev/null"], &init);
    has(&part, "HTTP/2 206");
    has(&part, "content-length: 4");
    has(&part, "cache-control: public, max-age=31536000, immutable");
    publishing.wait().expect_success();
    assert!(delivered.delivery().connections() < 10);
}

#[test]
fn an_encoder_that_comes_back_without_pictures_goes_on_with_its_sound() {
    let delivered = Delivered::start(|_| ());
    let first = live(60, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    let playlists = delivered.playlists("live/cam");
    let [sound, pictures] = &playlists[..] else {
        panic!("{playlists:?}");
    };
    assert!(sound.ends_with("a0.m3u8") && pictures.ends_with("v0.m3u8"));
    let address = delivered.address();
    let players = [sound.clone(), pictures.clone()];
    let players =
        players.map(|playlist| thread::spawn(move || follow(address, &playlist, Some(1))));
    first.kill();
    let mut command = Tool::Ffmpeg.command();
    let arguments = format!(
        "-nostdin -v error -re -f lavfi -i sine=frequency=440:sample_rate=48000 -t 8 -c:a aac \
         -b:a 64k -f flv {}",
        delivered.server().url("live/cam")
    );
    command.args(arguments.split(' '));
    let again = Process::start("ffmpeg publishing", command);
    // Neither breaks a rule, to the end.
    let [sound, pictures] = players.map(|player| player.join().unwrap().0);
    again.wait().expect_success();
    let (sound, pictures) = (sound.last().unwrap(), pictures.last().unwrap());
    assert!(sound.has_ended && pictures.has_ended);
    // What came behind the discontinuity can be heard, and there is nothing to be seen.
    let behind = |listed: &Listed| {
        let segments = listed.segments.iter();
        let behind = segments.skip_while(|segment| !segment.is_discontinuity);
        behind.cloned().collect::<Vec<_>>()
    };
    let (heard, seen) = (behind(sound), behind(pictures));
    let length: f64 = heard
        .iter()
        .filter(|is| !is.is_gap)
        .filter_map(|is| is.duration)
        .sum();
    assert!(length > 6.0, "{heard:#?}");
    assert!(seen.iter().all(|segment| segment.is_gap), "{seen:#?}");
    assert_eq!(aligned(sound, pictures, 0.1), []);
}

#[test]
fn what_somebody_asks_for_over_http_is_fetched() {
    let origin = Server::start();
    let from = origin.url("");
    let from = format!("{}/{{app}}/{{name}}", from.trim_end_matches('/'));
    let delivered = Delivered::start(|config| {
        config.relay.pull = vec![PullRule::new("live/*", from)];
    });
    let publishing = live(40, &origin.url("live/cam"));
    origin.wait_until_published("live/cam");
    let mut web = Web::connect(delivered.address());
    // No rule is about it.
    assert_eq!(web.get("/other/cam/index.m3u8", &[]).status, 404);
    assert!(delivered.server().core().visits().is_empty());
    // The answer is one that can be played, and the first.
    let master = web.get("/live/cam/index.m3u8", &[]);
    assert_eq!(master.status, 200, "{}", master.text());
    assert!(master.text().contains("v0.m3u8"), "{}", master.text());
    let publishers = delivered.server().core().publishers();
    assert_eq!(publishers.len(), 1, "{publishers:?}");
    // What the other server has not either is waited for, and then is not there.
    let begun = std::time::Instant::now();
    assert_eq!(web.get("/live/nothing.flv", &[]).status, 404);
    assert!(begun.elapsed() > std::time::Duration::from_secs(5));
    publishing.kill();
}
