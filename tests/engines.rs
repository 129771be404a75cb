//! Players of others, each by itself, play what is delivered for a minute; and those that the
//! page has go on, whatever becomes of the stream.

use std::env;
use std::time::Duration;

use openrtmp_tests::browsing::Browser::{self, Chromium, Firefox};
use openrtmp_tests::browsing::{Live, judge};
use openrtmp_tests::flv::{self, Tag};
use openrtmp_tests::{Delivered, Encoder, Media, Pulse};

/// For so long each plays, unless `ENGINE_SECONDS` says otherwise.
const SECONDS: f64 = 60.0;
const HLS: &str = "/live/cam/index.m3u8";
const DASH: &str = "/live/cam/manifest.mpd";
const FLV: &str = "/live/cam.flv";

fn play(browser: Browser, player: &str, path: &str) {
    let told = env::var("ENGINE_SECONDS").ok();
    let seconds = told.and_then(|it| it.parse().ok()).unwrap_or(SECONDS);
    let live = Live::start(|_| ());
    // What they play is there when they begin.
    live.delivered.master("live/cam");
    live.delivered.manifest("live/cam");
    let (long, base) = (seconds.to_string(), live.base.to_string());
    let options = [
        ("player", player),
        ("seconds", &long),
        ("base", &base),
        ("settle", "8"),
    ];
    let patience = Duration::from_secs_f64(seconds) + Duration::from_secs(120);
    let pulse = Pulse::of(&live.delivered, "live/cam");
    let scene = browser.begin_within(patience, "bare", &live.url(path), &options);
    let played = scene.outcome();
    judge(
        &format!("{browser:?}, {player}, {path}"),
        &played,
        seconds,
        pulse.late(),
    );
    live.publishing.kill();
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
