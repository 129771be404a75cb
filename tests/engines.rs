//! Players of others, each by itself, play what is delivered for a minute; and those that the
//! page has go on, whatever becomes of the stream.

#![expect(clippy::print_stdout, reason = "figures, for people")]

use std::env;
use std::time::Duration;

use openrtmp_tests::browsing::Browser::{self, Chromium, Firefox};
use openrtmp_tests::browsing::{Live, PATIENCE, judge, own_stops, times};
use openrtmp_tests::flv::{self, Tag};
use openrtmp_tests::followed::Looks;
use openrtmp_tests::{Delivered, Encoder, Late, Media, Process, Pulse, Tool, Web};

/// For so long each plays, unless `ENGINE_SECONDS` says otherwise.
const SECONDS: f64 = 60.0;
const HLS: &str = "/live/cam/index.m3u8";
const DASH: &str = "/live/cam/manifest.mpd";
const FLV: &str = "/live/cam.flv";

/// Of HLS whoever comes finds as many complete segments as players without low latency stay
/// behind: with fewer they stop, and Shaka Player 5.2 fails, for it looks for captions in the
/// segment that is not complete.
const SEGMENTS: u64 = 3;

fn play(browser: Browser, player: &str, path: &str) {
    let told = env::var("ENGINE_SECONDS").ok();
    let seconds = told.and_then(|it| it.parse().ok()).unwrap_or(SECONDS);
    let live = Live::start(|_| ());
    // What they play is there when they begin.
    match path {
        DASH => drop(live.delivered.manifest("live/cam")),
        HLS => await_segments(&live.delivered),
        _ => drop(live.delivered.master("live/cam")),
    }
    let (long, base) = (seconds.to_string(), live.base.to_string());
    // Shaka Player begins nearer to what is newest than it can stay, and stops until it is not.
    let settle = if (player, path) == ("shaka", HLS) {
        "20"
    } else {
        "8"
    };
    let options = [
        ("player", player),
        ("seconds", &long),
        ("base", &base),
        ("settle", settle),
    ];
    let patience = Duration::from_secs_f64(seconds) + Duration::from_secs(120);
    let pulse = Pulse::of(&live.delivered, "live/cam");
    let scene = browser.begin_within(patience, "bare", &live.url(path), &options);
    let played = scene.outcome();
    judge(
        &format!("{browser:?}, {player}, {path}"),
        &played,
        seconds,
        &pulse.late(),
    );
    live.publishing.kill();
}

fn await_segments(delivered: &Delivered) {
    let mut web = Web::connect(delivered.address());
    for playlist in delivered.playlists("live/cam") {
        // The answer is held back until it begins, when those before it are complete.
        for msn in 1..=SEGMENTS + 1 {
            let answer = web.get(&format!("{playlist}?_HLS_msn={msn}"), &[]);
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
}

#[test]
fn hls_js_plays() {
    play(Chromium, "hls.js", HLS);
    play(Firefox, "hls.js", HLS);
}

#[test]
fn shaka_plays() {
    play(Chromium, "shaka", HLS);
    play(Chromium, "shaka", DASH);
}

#[test]
fn video_js_plays() {
    play(Chromium, "video.js", HLS);
}

#[test]
fn dash_js_plays() {
    play(Chromium, "dash.js", DASH);
}

#[test]
fn rx_player_plays() {
    play(Chromium, "rx-player", DASH);
}

#[test]
fn mpegts_js_plays() {
    play(Chromium, "mpegts.js", FLV);
}

/// A stream of one size, then of another, each ready to go round.
fn sizes() -> [Vec<Tag>; 2] {
    let tags = flv::read(&Media::ResolutionChange.file());
    let is_header = |tag: &Tag| tag.kind == flv::VIDEO && tag.is_sequence_header();
    let mut headers = tags.iter().enumerate().filter(|(_, tag)| is_header(tag));
    let (second, _) = headers.next_back().expect("two sizes");
    let at = tags[second].time;
    // With what stands before it at its time.
    let begins = tags.iter().position(|tag| tag.time >= at).expect("it");
    let (small, large) = tags.split_at(begins);
    let moved = |tag: &Tag| Tag {
        time: tag.time.saturating_sub(at),
        ..tag.clone()
    };
    [small.to_vec(), large.iter().map(moved).collect()]
}

/// What becomes of a stream while it is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// The pictures have another size.
    Size,
    /// Nothing comes for three seconds, which its clock shows.
    Gap,
    /// Sound comes where there was none.
    Sound,
}

/// The page goes on with an engine.
fn survive(engine: &str, change: Change) {
    let delivered = Delivered::start(|_| ());
    let whole = flv::read(&Media::H264Aac.file());
    let [small, large] = sizes();
    let silent: Vec<Tag> = whole
        .iter()
        .filter(|tag| tag.kind != flv::AUDIO)
        .cloned()
        .collect();
    let (before, after, gap, width) = match change {
        Change::Size => (small, large, 0, "640"),
        Change::Gap => (whole.clone(), whole, 3, "320"),
        Change::Sound => (silent, whole, 0, "320"),
    };
    let encoder = Encoder::start(&delivered.server().url("live/cam"), before);
    delivered.master("live/cam");
    delivered.manifest("live/cam");
    let url = delivered.url(&format!("/play/live/cam?muted=1&engine={engine}"));
    // Of what is still to be shown when it changes, and of what comes after it.
    let options = [("frames", "420"), ("wide", width)];
    let mut scene = Chromium.begin("survive", &url, &options);
    scene.wait_for("playing");
    encoder.change(after, Duration::from_secs(gap));
    scene.go_on();
    let state = scene.outcome();
    assert_eq!(state["engine"], engine, "{change:?}: {state}");
    assert_eq!(
        state["cover"],
        serde_json::Value::Null,
        "{change:?}: {state}"
    );
}

#[test]
fn pictures_of_another_size_are_gone_on_with() {
    for engine in ["hls", "dash", "flv"] {
        survive(engine, Change::Size);
    }
}

#[test]
fn a_gap_is_gone_on_behind() {
    for engine in ["hls", "dash", "flv"] {
        survive(engine, Change::Gap);
    }
}

#[test]
fn sound_that_comes_late_stops_nothing() {
    for engine in ["hls", "dash", "flv"] {
        survive(engine, Change::Sound);
    }
}

/// Widths of the pictures that are published in two sizes.
const WIDTHS: [&str; 2] = ["640", "320"];
/// Bits a second that have no room for the large ones, and room for the small ones.
const SQUEEZED: &str = "1700000";

/// One encoder with an output for each size, of 2.5 and 1 Mbit/s throughout.
fn publish_sizes(delivered: &Delivered) -> Process {
    let mut command = Tool::Ffmpeg.command();
    let mut arguments = String::from(
        "-nostdin -v error -re -f lavfi -i testsrc2=size=640x360:rate=30 -re -f lavfi -i \
         sine=frequency=440:sample_rate=48000 -filter_complex [0:v]split=2[large][b];\
         [b]scale=320:180[small]",
    );
    for (name, pictures, rate) in [("cam", "large", "2500k"), ("cam_low", "small", "1000k")] {
        let url = delivered.server().url(&format!("live/{name}"));
        arguments += &format!(
            " -map [{pictures}] -map 1:a -t 150 -c:v libx264 -preset ultrafast -tune zerolatency \
             -g 30 -sc_threshold 0 -pix_fmt yuv420p -b:v {rate} -maxrate {rate} -bufsize {rate} \
             -x264-params nal-hrd=cbr -c:a aac -b:a 96k -flush_packets 1 -f flv {url}"
        );
    }
    command.args(arguments.split_whitespace());
    Process::start_within("ffmpeg publishing two sizes", command, PATIENCE * 2)
}

/// The page takes what the network has room for, and does not stop for it.
fn squeeze(engine: &str) {
    let delivered = Delivered::start(|config| config.http.variants = vec!["_low".to_owned()]);
    let publishing = publish_sizes(&delivered);
    let master = delivered.master("live/cam");
    assert_eq!(master.matches("RESOLUTION=").count(), 2, "{master}");
    delivered.manifest("live/cam");
    let pulses = ["live/cam", "live/cam_low"].map(|path| Pulse::of(&delivered, path));
    let url = delivered.url(&format!("/play/live/cam?muted=1&engine={engine}"));
    let [large, small] = WIDTHS;
    let options = [("large", large), ("small", small), ("bits", SQUEEZED)];
    let seen = Chromium.run("squeezed", &url, &options);
    let late: Vec<Late> = pulses.into_iter().flat_map(Pulse::late).collect();
    let ended = seen["ended"].as_f64().unwrap();
    let (stops, away) = (times(&seen["stops"], ended), times(&seen["away"], ended));
    println!("{engine}: {} stops; {}", stops.len(), seen["times"]);
    assert_eq!(own_stops(&stops, &away, &late), [], "{engine}: {seen}");
    assert_eq!(seen["state"]["engine"], engine, "{seen}");
    publishing.kill();
}

#[test]
fn less_room_in_the_network_makes_hls_smaller_for_as_long() {
    squeeze("hls");
}

#[test]
fn less_room_in_the_network_makes_dash_smaller_for_as_long() {
    squeeze("dash");
}

/// A long way is no narrow one: with each part there only after longer than it plays, on a network
/// with room for all, the large pictures stay.
#[test]
fn a_long_way_does_not_make_hls_smaller() {
    let delivered = Delivered::start(|config| config.http.variants = vec!["_low".to_owned()]);
    let publishing = publish_sizes(&delivered);
    let master = delivered.master("live/cam");
    assert_eq!(master.matches("RESOLUTION=").count(), 2, "{master}");
    let url = delivered.url("/play/live/cam?muted=1&engine=hls");
    let [large, _] = WIDTHS;
    let options = [("large", large), ("latency", "400"), ("frames", "150")];
    let seen = Chromium.run("distant", &url, &options);
    println!("{seen}");
    // The way is as long as it was to be.
    assert!(seen["waited"].as_f64().unwrap() >= 400.0, "{seen}");
    let widths: Vec<&String> = seen["widths"].as_object().unwrap().keys().collect();
    assert_eq!(widths, [large], "{seen}");
    assert_eq!(seen["state"]["engine"], "hls", "{seen}");
    publishing.kill();
}
