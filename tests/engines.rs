//! Players of others, each by itself, play what is delivered for a minute; and those that the
//! page has go on, whatever becomes of the stream.

#![expect(clippy::print_stdout, reason = "figures, for people")]

use std::env;
use std::time::Duration;

use openrtmp_core::{Config, HttpPreset};
use openrtmp_protocol::amf::{Encoder as AmfEncoder, Encoding, Object, Value as AmfValue};
use openrtmp_tests::browsing::Browser::{self, Chromium, Firefox};
use openrtmp_tests::browsing::{Live, PATIENCE, judge, own_stops, times};
use openrtmp_tests::flv::{self, Tag};
use openrtmp_tests::{Delivered, Encoder, Late, Media, PLAIN, Process, Pulse, SECURE, Tool};
use serde_json::{Value, json};

/// For so long each plays, unless `ENGINE_SECONDS` says otherwise.
const SECONDS: f64 = 60.0;
const HLS: &str = "/live/cam/index.m3u8";
const DASH: &str = "/live/cam/manifest.mpd";
const FLV: &str = "/live/cam.flv";

/// Seconds that a player and its browser take until it is looked at, at most.
const BEFORE: f64 = 120.0;

fn seconds() -> f64 {
    let told = env::var("ENGINE_SECONDS").ok();
    told.and_then(|it| it.parse().ok()).unwrap_or(SECONDS)
}

fn play(browser: Browser, player: &str, path: &str) {
    play_as(browser, player, path, |_| ());
}

/// Plays a stream that has just begun, with settings that `change` has changed.
fn play_as(browser: Browser, player: &str, path: &str, change: impl FnOnce(&mut Config)) {
    play_by("http", browser, player, path, change);
}

/// The same by URLs of this scheme: `http` and `https`, or `ws` and `wss` for WebSockets.
fn play_by(
    scheme: &str,
    browser: Browser,
    player: &str,
    path: &str,
    change: impl FnOnce(&mut Config),
) {
    let seconds = seconds();
    let mut preset = HttpPreset::Balanced;
    let listen = match scheme {
        "https" | "wss" => SECURE,
        _ => PLAIN,
    };
    let live = Live::speaking(listen, (seconds + BEFORE) as u32, |config| {
        change(config);
        preset = config.http.preset;
    });
    // What they play is there when they begin.
    match path {
        DASH => drop(live.delivered.manifest("live/cam")),
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
    let patience = Duration::from_secs_f64(seconds + BEFORE);
    let pulse = Pulse::of(&live.delivered, "live/cam");
    let url = format!("{scheme}://{}{path}", live.delivered.address());
    let scene = browser.begin_within(patience, "bare", &url, &options);
    let played = scene.outcome();
    judge(
        &format!("{browser:?}, {player}, {scheme}, {path}, {preset:?}"),
        &played,
        seconds,
        &pulse.late(),
    );
    live.publishing.kill();
}

fn lan(config: &mut Config) {
    config.http.preset = HttpPreset::Lan;
}

fn low_latency(config: &mut Config) {
    config.http.dash.low_latency = true;
}

#[test]
fn hls_js_plays() {
    play(Chromium, "hls.js", HLS);
}

#[test]
fn hls_js_plays_on_a_network_of_one_s_own() {
    play_as(Chromium, "hls.js", HLS, lan);
}

#[test]
fn hls_js_plays_in_firefox() {
    play(Firefox, "hls.js", HLS);
}

#[test]
fn shaka_plays_hls() {
    play(Chromium, "shaka", HLS);
}

#[test]
fn shaka_plays_dash() {
    play(Chromium, "shaka", DASH);
}

#[test]
fn shaka_plays_dash_with_low_latency() {
    play_as(Chromium, "shaka", DASH, low_latency);
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
fn dash_js_plays_with_low_latency() {
    play_as(Chromium, "dash.js", DASH, low_latency);
}

#[test]
fn rx_player_plays() {
    play(Chromium, "rx-player", DASH);
}

#[test]
fn mpegts_js_plays() {
    play(Chromium, "mpegts.js", FLV);
}

#[test]
fn mpegts_js_plays_by_websocket() {
    play_by("ws", Chromium, "mpegts.js", FLV, |_| ());
}

#[test]
fn mpegts_js_plays_by_websocket_with_tls() {
    play_by("wss", Chromium, "mpegts.js", FLV, |_| ());
}

#[test]
fn mpegts_js_plays_by_websocket_with_tls_in_firefox() {
    play_by("wss", Firefox, "mpegts.js", FLV, |_| ());
}

#[test]
fn shaka_plays_hls_over_https() {
    play_by("https", Chromium, "shaka", HLS, |_| ());
}

#[test]
fn dash_js_plays_in_firefox() {
    play(Firefox, "dash.js", DASH);
}

#[test]
fn shaka_plays_hls_in_firefox() {
    play(Firefox, "shaka", HLS);
}

#[test]
fn shaka_plays_dash_in_firefox() {
    play(Firefox, "shaka", DASH);
}

#[test]
fn video_js_plays_in_firefox() {
    play(Firefox, "video.js", HLS);
}

#[test]
fn rx_player_plays_in_firefox() {
    play(Firefox, "rx-player", DASH);
}

#[test]
fn mpegts_js_plays_in_firefox() {
    play(Firefox, "mpegts.js", FLV);
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
    /// The encoder vanishes, and another one goes on.
    Restart,
}

/// Who plays while that becomes of it.
#[derive(Clone, Copy, Debug)]
enum Played {
    /// The page with an engine.
    Page(&'static str),
    /// A player of others by itself, at a path.
    Bare(&'static str, &'static str),
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
struct Survived {
    /// How often it stopped though neither machine nor publisher were late.
    stops: usize,
    /// How often the page gave up what played and began anew.
    torn: u64,
    /// How often the browser was given something else to play, by a player too.
    begun_again: u64,
    /// Whether it went on showing pictures.
    went_on: bool,
    /// Whether there is sound at the end.
    has_sound: bool,
}

/// Goes on, whatever becomes of the stream.
fn survive(played: Played, change: Change) -> Survived {
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
        Change::Restart => (whole.clone(), whole, 0, "320"),
    };
    let encoder = Encoder::start(&delivered.server().url("live/cam"), before);
    delivered.master("live/cam");
    delivered.manifest("live/cam");
    let (url, player) = match played {
        Played::Page(engine) => {
            let path = format!("/play/live/cam?muted=1&engine={engine}");
            (delivered.url(&path), None)
        }
        Played::Bare(player, path) => (delivered.url(path), Some(("player", player))),
    };
    let pulse = Pulse::of(&delivered, "live/cam");
    // Of what is still to be shown when it changes, and of what comes after it.
    let frames = if change == Change::Sound {
        "840"
    } else {
        "420"
    };
    let mut options = vec![("frames", frames), ("wide", width), ("settle", "8")];
    options.extend(player);
    let mut scene = Chromium.begin("survive", &url, &options);
    scene.wait_for("playing");
    match change {
        Change::Restart => encoder.restart(after),
        _ => encoder.change(after, Duration::from_secs(gap)),
    }
    scene.go_on();
    let state = scene.outcome();
    if let Played::Page(engine) = played {
        assert_eq!(state["engine"], engine, "{change:?}: {state}");
        assert_eq!(state["cover"], Value::Null, "{change:?}: {state}");
    }
    let (changed, ended) = (
        state["changed"].as_f64().unwrap(),
        state["ended"].as_f64().unwrap(),
    );
    let mut stops = times(&state["stops"], ended);
    // What was before is looked at elsewhere.
    stops.retain(|stop| stop.from >= changed);
    let away = times(&state["away"], ended);
    let own = own_stops(&stops, &away, &pulse.late());
    let survived = Survived {
        stops: own.len(),
        torn: state["torn"].as_u64().unwrap(),
        begun_again: state["begunAgain"].as_u64().unwrap(),
        went_on: state["wentOn"].as_bool().unwrap(),
        has_sound: state["hasSound"].as_bool().unwrap(),
    };
    let lengths: Vec<f64> = stops.iter().map(Late::length).collect();
    println!(
        "{played:?}, {change:?}: {survived:?}; stopped for {lengths:?} ms; {}",
        state["spoken"]
    );
    survived
}

/// All that are to go on.
const SURVIVORS: [Played; 7] = [
    Played::Page("hls"),
    Played::Page("dash"),
    Played::Page("flv"),
    Played::Bare("hls.js", HLS),
    Played::Bare("shaka", HLS),
    Played::Bare("dash.js", DASH),
    Played::Bare("mpegts.js", FLV),
];

/// What becomes of the others is printed, and told of in the documentation.
fn survive_all(change: Change, holds: impl Fn(&Survived) -> bool) {
    for played in SURVIVORS {
        let is = survive(played, change);
        if let Played::Page(engine) = played {
            assert!(holds(&is), "{engine}: {is:?}");
        }
    }
}

#[test]
fn pictures_of_another_size_are_gone_on_with() {
    survive_all(Change::Size, |is| is.went_on && is.torn == 0);
}

#[test]
fn a_gap_is_gone_on_behind() {
    survive_all(Change::Gap, |is| is.went_on && is.torn == 0 && is.has_sound);
}

/// The page looks for it, and begins anew for it once.
#[test]
fn sound_that_comes_late_is_gone_on_with() {
    survive_all(Change::Sound, |is| is.went_on && is.torn <= 1);
}

#[test]
fn sound_that_comes_late_is_heard() {
    for engine in ["dash", "hls"] {
        let is = survive(Played::Page(engine), Change::Sound);
        assert!(is.has_sound && is.torn == 1, "{engine}: {is:?}");
    }
}

/// All that is written otherwise in JSON, or on a playlist.
const ODD: &str = "\"é\", 100 % of $x {y} \\ <z>";

/// What is said in each round of a stream: at which millisecond, as what, and what it is.
fn said() -> [(u32, &'static str, AmfValue); 2] {
    let point = Object::new()
        .with("name", ODD)
        .with("time", 1.5)
        .with("parameters", Object::new().with("is", true));
    let text = Object::new().with("text", ODD);
    [
        (1000, "onCuePoint", point.into()),
        (2000, "onTextData", text.into()),
    ]
}

/// Cue points and text that a publisher sends are told by players to whoever listens, when their time
/// is played.
#[test]
fn what_a_publisher_says_is_told_when_it_is_played() {
    let mut tags = flv::read(&Media::H264Aac.file());
    for (time, name, value) in said() {
        let mut encoder = AmfEncoder::new(Encoding::Amf0);
        encoder.value(&AmfValue::from(name));
        encoder.value(&value);
        let body = encoder.finish();
        let place = tags.partition_point(|tag| tag.time <= time);
        let kind = flv::SCRIPT;
        tags.insert(place, Tag { kind, time, body });
    }
    let expected = [
        json!({ "name": ODD, "time": 1.5, "parameters": { "is": true } }),
        json!({ "text": ODD }),
    ];
    for (player, path) in [("hls.js", HLS), ("dash.js", DASH)] {
        let delivered = Delivered::start(|_| ());
        let encoder = Encoder::start(&delivered.server().url("live/cam"), tags.clone());
        delivered.master("live/cam");
        delivered.manifest("live/cam");
        let options = [("player", player), ("count", "7")];
        let seen = Chromium.run("events", &delivered.url(path), &options);
        drop(encoder);
        println!("{player}: {seen}");
        let events = seen.as_array().unwrap();
        let number = |event: &Value, name: &str| event[name].as_f64().unwrap();
        let kinds = said().map(|(_, name, _)| format!("urn:openrtmp:data:{name}"));
        let first = kinds.iter().position(|kind| events[0]["kind"] == **kind);
        let first = first.unwrap_or_else(|| panic!("{player}: {seen}"));
        let mut new = 0;
        for (place, event) in events.iter().enumerate() {
            let which = (first + place) % 2;
            assert_eq!(event["kind"], kinds[which], "{player}: {seen}");
            let data: Value = serde_json::from_str(event["data"].as_str().unwrap()).unwrap();
            assert_eq!(data, expected[which], "{player}: {seen}");
            // Players look for it a few times a second; of what was before they began they tell at once.
            let (at, start) = (number(event, "at"), number(event, "start"));
            let is_new = start > number(&events[0], "at");
            assert!(at > start - 0.01, "{player}: {seen}");
            assert!(!is_new || at < start + 1.0, "{player}: {seen}");
            new += usize::from(is_new);
            // Of one round.
            if which == 1 && place > 0 {
                let apart = number(event, "start") - number(&events[place - 1], "start");
                assert!((apart - 1.0).abs() < 0.002, "{player}: {apart} {seen}");
            }
        }
        assert!(new > 1, "{player}: {seen}");
    }
}

#[test]
fn another_encoder_is_gone_on_with() {
    survive_all(Change::Restart, |is| is.went_on && is.has_sound);
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

/// The quality that is chosen in the menu is what is shown, whatever there is room for.
fn choose_quality(engine: &str) {
    let delivered = Delivered::start(|config| config.http.variants = vec!["_low".to_owned()]);
    let publishing = publish_sizes(&delivered);
    let master = delivered.master("live/cam");
    assert_eq!(master.matches("RESOLUTION=").count(), 2, "{master}");
    delivered.manifest("live/cam");
    let url = delivered.url(&format!("/play/live/cam?muted=1&engine={engine}"));
    let options = [("choose", "180p:320+360p:640+180p:320")];
    let seen = Chromium.run("chosen", &url, &options);
    assert_eq!(seen["state"]["engine"], engine, "{seen}");
    publishing.kill();
}

#[test]
fn a_quality_that_is_chosen_is_shown() {
    for engine in ["hls", "dash"] {
        choose_quality(engine);
    }
}
