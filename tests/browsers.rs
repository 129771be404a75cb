//! The page as people have it: in Chromium and in Firefox, played from a publisher that
//! paints the time in every frame, so that what is seen tells how late it is.
//!
//! How late, and how soon the first picture is there, is printed and judged by nobody here:
//! it is the machine's as much as ours. What is asserted is what happened.
#![expect(clippy::print_stdout, reason = "figures, for people")]

use std::fs;
use std::path::{Path, PathBuf};

use openrtmp_core::{HttpPreset, RecordConfig, RecordFormat};
use openrtmp_tests::browsing::Browser::{self, Chromium, Firefox};
use openrtmp_tests::browsing::{Live, PATIENCE, base, judge, publish};
use openrtmp_tests::{Delivered, Media, Process, Pulse, SECURE, Server, Tool, target_folder};
use serde_json::Value;

/// Plays the page's stream with an engine for so many seconds.
fn play(browser: Browser, preset: HttpPreset, engine: &str, seconds: u32) {
    let live = Live::start(|config| config.http.preset = preset);
    play_of(live, browser, &format!("{preset:?}"), engine, seconds);
}

/// The same over HTTPS, where all that the page asks for is answered over HTTP/2.
fn play_securely(browser: Browser, engine: &str, seconds: u32) {
    let live = Live::speaking(SECURE, 240, |_| ());
    let played = play_of(live, browser, "HTTPS", engine, seconds);
    assert_eq!(played["spoken"], serde_json::json!(["h2"]), "{played}");
}

fn play_of(live: Live, browser: Browser, how: &str, engine: &str, seconds: u32) -> Value {
    let url = live.url(&format!("/play/live/cam?muted=1&engine={engine}"));
    let (long, base) = (seconds.to_string(), live.base.to_string());
    let options = [
        ("seconds", long.as_str()),
        ("base", base.as_str()),
        ("settle", "6"),
    ];
    let pulse = Pulse::of(&live.delivered, "live/cam");
    let played = browser.run("play", &url, &options);
    let what = format!("{browser:?}, {engine}, {how}");
    let is_even = judge(&what, &played, f64::from(seconds), &pulse.late());
    assert_eq!(played["state"]["engine"], engine, "{what}");
    // What the page says is what is seen, but for FLV, whose buffer alone it knows.
    if engine == "hls" && is_even {
        let said = played["state"]["latency"].as_f64().unwrap() * 1000.0;
        let seen = played["p50"].as_f64().unwrap();
        assert!((said - seen).abs() < 400.0, "{what}: {said} {seen}");
    }
    // Three segments behind, as the manifest says, and not at its beginning.
    if engine == "dash" && is_even {
        assert!(played["p50"].as_f64().unwrap() < 8000.0, "{what}: {played}");
    }
    live.publishing.kill();
    played
}

#[test]
fn chromium_plays_hls() {
    play(Chromium, HttpPreset::Balanced, "hls", 30);
}

#[test]
fn chromium_plays_hls_on_a_network_of_one_s_own() {
    play(Chromium, HttpPreset::Lan, "hls", 30);
}

#[test]
fn chromium_plays_flv() {
    play(Chromium, HttpPreset::Balanced, "flv", 30);
}

#[test]
fn chromium_plays_dash() {
    play(Chromium, HttpPreset::Balanced, "dash", 30);
}

#[test]
fn firefox_plays_hls() {
    play(Firefox, HttpPreset::Balanced, "hls", 30);
}

#[test]
fn firefox_plays_flv() {
    play(Firefox, HttpPreset::Balanced, "flv", 30);
}

#[test]
fn chromium_plays_hls_over_https() {
    play_securely(Chromium, "hls", 30);
}

#[test]
fn chromium_plays_flv_over_https() {
    play_securely(Chromium, "flv", 20);
}

#[test]
fn chromium_plays_dash_over_https() {
    play_securely(Chromium, "dash", 20);
}

#[test]
fn firefox_plays_hls_over_https() {
    play_securely(Firefox, "hls", 20);
}

#[test]
fn firefox_plays_flv_over_https() {
    play_securely(Firefox, "flv", 20);
}

/// How soon, from the start of the navigation, is printed; with the steps and what was asked for in
/// the middle one of all visits.
fn first_picture(browser: Browser, engine: &str) {
    let live = Live::start(|_| ());
    // Whoever comes finds a stream that goes on for a while.
    live.delivered.master("live/cam");
    let url = live.url(&format!("/play/live/cam?muted=1&engine={engine}"));
    let visits = browser.run("first", &url, &[("count", "10")]);
    let mut visits = visits.as_array().unwrap().clone();
    let picture = |visit: &Value| visit["picture"].as_f64().unwrap();
    visits.sort_by(|a, b| picture(a).total_cmp(&picture(b)));
    let pictures: Vec<i64> = visits.iter().map(|it| picture(it).round() as i64).collect();
    let middle = &visits[visits.len() / 2];
    println!(
        "{browser:?}, {engine}: first picture after {} ms, of {pictures:?}; the page was there after \
         {} ms",
        pictures[pictures.len() / 2],
        middle["page"]
    );
    println!("    {}", middle["steps"]);
    for asked in middle["asked"].as_array().unwrap() {
        println!(
            "    {:>5} {:>5} {:>5}  {}",
            asked["from"], asked["first"], asked["to"], asked["name"]
        );
    }
    live.publishing.kill();
}

#[test]
fn chromium_shows_the_first_picture_of_hls_soon() {
    first_picture(Chromium, "hls");
}

#[test]
fn chromium_shows_the_first_picture_of_flv_soon() {
    first_picture(Chromium, "flv");
}

#[test]
fn firefox_shows_the_first_picture_of_hls_soon() {
    first_picture(Firefox, "hls");
}

/// The first pictures need no player, and one that comes later goes on behind them: nothing stops, is
/// begun again, or gone to.
#[test]
fn pictures_come_before_the_player_that_goes_on_with_them() {
    for browser in [Chromium, Firefox] {
        let live = Live::start(|_| ());
        live.delivered.master("live/cam");
        let url = live.url("/play/live/cam?muted=1&engine=hls");
        let base = live.base.to_string();
        let options = [
            ("script", "/hls.min.js"),
            ("seconds", "10"),
            ("base", base.as_str()),
        ];
        let pulse = Pulse::of(&live.delivered, "live/cam");
        let played = browser.run("held", &url, &options);
        let what = format!("{browser:?}, a player that comes later");
        let before = serde_json::json!({ "hasPlayer": false, "isPlaying": false });
        assert_eq!(played["before"], before, "{what}: {played}");
        judge(&what, &played, 10.0, &pulse.late());
        assert_eq!(played["state"]["engine"], "hls", "{what}: {played}");
        assert_eq!(played["state"]["isPlaying"], true, "{what}: {played}");
        assert_eq!(played["state"]["turn"], 1, "{what}: {played}");
        assert_eq!(played["begunAgain"], 0, "{what}: {played}");
        live.publishing.kill();
    }
}

#[test]
fn streams_are_shown_with_their_pictures_and_their_names_as_they_are() {
    let odd = r#"live/<img/src=x/onerror=alert(1)>"'&"#;
    let live = Live::start(|_| ());
    let mut command = Tool::Ffmpeg.command();
    command.args(["-nostdin", "-v", "error", "-re", "-stream_loop", "60", "-i"]);
    command.arg(Media::H264Aac.file());
    command.args(["-c", "copy", "-f", "flv", &live.delivered.server().url(odd)]);
    let other = Process::start_within("ffmpeg publishing", command, PATIENCE);
    for browser in [Chromium, Firefox] {
        let seen = browser.run("streams", &live.url("/"), &[("count", "2")]);
        let titles = [&seen[0]["title"], &seen[1]["title"]];
        assert!(
            titles.contains(&&odd.into()) && titles.contains(&&"live/cam".into()),
            "{seen}"
        );
        for card in seen.as_array().unwrap() {
            assert_eq!(card["state"], "LIVE");
            assert!(card["href"].as_str().unwrap().starts_with("/play/live/"));
            // A picture, and no empty canvas.
            assert!(card["colours"].as_u64().unwrap() > 8, "{card}");
        }
        assert!(seen.to_string().contains("640×360"), "{seen}");
        // Its page plays it, and runs nothing of its name.
        let href = seen
            .as_array()
            .unwrap()
            .iter()
            .find(|card| card["title"] == odd);
        let href = href.unwrap()["href"].as_str().unwrap();
        let options = [("seconds", "2"), ("base", "0"), ("settle", "0")];
        let played = browser.run("play", &live.url(&format!("{href}?muted=1")), &options);
        assert!(played["frames"].as_u64().unwrap() > 20, "{played}");
    }
    other.kill();
    live.publishing.kill();
}

#[test]
fn an_encoder_that_is_started_again_is_gone_on_with() {
    for (browser, engine, most) in [
        (Chromium, "hls", 10_000.0),
        (Chromium, "flv", 10_000.0),
        (Chromium, "dash", 12_000.0),
        (Firefox, "hls", 10_000.0),
    ] {
        let live = Live::start(|_| ());
        let url = live.url(&format!("/play/live/cam?muted=1&engine={engine}"));
        let base = live.base.to_string();
        let options = [("seconds", "8"), ("base", base.as_str())];
        let mut scene = browser.begin("restart", &url, &options);
        scene.wait_for("playing");
        live.publishing.kill();
        let again = publish(&live.delivered.server().url("live/cam"), live.base, 60);
        scene.go_on();
        let played = scene.outcome();
        let what = format!("{browser:?}, {engine}, another encoder");
        let after = &played["after"];
        assert!(after["played"].as_f64().unwrap() > 6.0, "{what}: {played}");
        assert!(after["p50"].as_f64().unwrap() < most, "{what}: {played}");
        println!(
            "{what}: latency p50 {} ms before, {} after",
            played["before"]["p50"], after["p50"]
        );
        again.kill();
    }
}

#[test]
fn a_page_waits_for_its_stream_and_for_the_next_of_its_name() {
    for (browser, engine) in [(Chromium, "hls"), (Chromium, "flv")] {
        let delivered = Delivered::start(|_| ());
        let url = delivered.url(&format!("/play/live/cam?muted=1&engine={engine}"));
        let mut scene = browser.begin("wait", &url, &[]);
        scene.wait_for("waiting");
        let rtmp = delivered.server().url("live/cam");
        // It says goodbye at its end.
        let first = publish(&rtmp, base(), 14);
        scene.go_on();
        scene.wait_for("playing");
        first.wait().expect_success();
        scene.go_on();
        scene.wait_for("ended");
        let second = publish(&rtmp, base(), 60);
        scene.go_on();
        let state = scene.outcome();
        assert_eq!(state["engine"], engine, "{state}");
        second.kill();
    }
}

#[test]
fn sound_alone_is_played_and_shown_as_such() {
    let delivered = Delivered::start(|_| ());
    let mut command = Tool::Ffmpeg.command();
    command.args(["-nostdin", "-v", "error", "-re", "-stream_loop", "60", "-i"]);
    command.arg(Media::AudioOnly.file());
    command.args([
        "-c",
        "copy",
        "-f",
        "flv",
        &delivered.server().url("live/radio"),
    ]);
    let publishing = Process::start_within("ffmpeg publishing", command, PATIENCE);
    for (browser, engine) in [
        (Chromium, "hls"),
        (Chromium, "flv"),
        (Chromium, "dash"),
        (Firefox, "hls"),
        (Firefox, "dash"),
    ] {
        let url = delivered.url(&format!("/play/live/radio?muted=1&engine={engine}"));
        let heard = browser.run("sound", &url, &[]);
        assert_eq!(heard["shown"], true, "{browser:?} {engine}: {heard}");
        assert_eq!(heard["state"]["engine"], engine, "{browser:?}: {heard}");
    }
    publishing.kill();
}

#[test]
fn pages_of_others_can_have_it_within() {
    let live = Live::start(|_| ());
    let url = live.url("/play/live/cam?muted=1&embed=1");
    for browser in [Chromium, Firefox] {
        let seen = browser.run("embedded", &url, &[]);
        assert_eq!(seen["bar"], "none", "{seen}");
        assert_eq!(seen["out"], "/play/live/cam", "{seen}");
        assert_eq!(seen["height"], 360, "{seen}");
    }
    live.publishing.kill();
}

#[test]
fn keys_do_what_buttons_do() {
    let live = Live::start(|_| ());
    let url = live.url("/play/live/cam?muted=1");
    for browser in [Chromium, Firefox] {
        let seen = browser.run("keyboard", &url, &[]);
        let steps = &seen["steps"];
        assert_eq!(steps["sound on"]["muted"], false, "{seen}");
        assert_eq!(steps["quieter"]["volume"], 0.9, "{seen}");
        assert_eq!(steps["sound off"]["muted"], true, "{seen}");
        assert_eq!(steps["pause"]["paused"], true, "{seen}");
        assert_eq!(steps["play"]["paused"], false, "{seen}");
        assert_eq!(steps["statistics"]["stats"], true, "{seen}");
        assert!(steps["statistics"]["lines"].as_u64().unwrap() > 8, "{seen}");
        assert_eq!(steps["help"]["help"], true, "{seen}");
        assert_eq!(steps["closed"]["help"], false, "{seen}");
        assert!(seen["wentBack"].as_f64().unwrap() > 3.0, "{seen}");
        assert!(seen["wentOn"].as_f64().unwrap() > 2.0, "{seen}");
        let order = ["play", "mute", "volume", "live"];
        assert_eq!(
            seen["order"].as_array().unwrap()[..4],
            order.map(Value::from),
            "{seen}"
        );
    }
    live.publishing.kill();
}

#[test]
fn a_page_asks_for_a_key_and_keeps_it_to_itself() {
    // Some of it has to be escaped in URLs.
    const KEY: &str = "s3cret+key=@";
    const ESCAPED: &str = "key=s3cret%2Bkey%3D%40";
    let live = Live::start(|config| {
        config.access.play_keys = vec![KEY.to_owned()];
        config.access.failed_attempts.limit = 0;
    });
    let options = [("key", KEY)];
    let seen = Chromium.run("key", &live.url("/play/live/cam?token=old"), &options);
    assert_eq!(seen["asked"], "This stream takes a key");
    assert_eq!(seen["type"], "password");
    assert!(seen["shown"].as_u64().unwrap() > 8, "{seen}");
    assert_eq!(seen["shows"], serde_json::json!([]), "{seen}");
    let nothing = Chromium.run("nothing", &live.url("/"), &[]);
    assert_eq!(
        (&nothing["cards"], &nothing["title"]),
        (&0.into(), &"Nothing is live".into())
    );
    let count = [("count", "1")];
    let some = Chromium.run("streams", &live.url(&format!("/?{ESCAPED}")), &count);
    assert_eq!(some[0]["href"], "/play/live/cam", "the tab has it");
    // Nor does a link have it, unless that is wanted.
    let url = live.url(&format!("/play/live/cam?{ESCAPED}"));
    let shared = Chromium.run("share", &url, &[]);
    let has_it = |state: &Value| state.to_string().contains("s3cret");
    let [without, ticked, wanted, again] =
        ["without", "ticked", "wanted", "again"].map(|state| &shared[state]);
    assert_eq!(without["link"], live.url("/play/live/cam"));
    assert!(!has_it(without) && !has_it(again), "{shared}");
    assert_eq!(ticked["link"], url.as_str());
    assert!(
        has_it(&ticked["frame"]) && ticked["code"].is_null(),
        "{shared}"
    );
    assert!(
        has_it(&wanted["code"]) && !has_it(&wanted["page"]),
        "{shared}"
    );
    live.publishing.kill();
}

#[test]
fn what_is_paused_stays_so_when_its_encoder_is_another() {
    for engine in ["hls", "flv"] {
        let live = Live::start(|_| ());
        let url = live.url(&format!("/play/live/cam?muted=1&engine={engine}"));
        let mut scene = Chromium.begin("paused", &url, &[]);
        scene.wait_for("paused");
        live.publishing.kill();
        let again = publish(&live.delivered.server().url("live/cam"), live.base, 60);
        scene.go_on();
        let seen = scene.outcome();
        assert_eq!(seen["stays"], true, "{engine}");
        again.kill();
    }
}

#[test]
fn a_codec_that_is_not_there_is_said_to_be_so() {
    let live = Live::start(|_| ());
    let url = live.url("/play/live/cam?muted=1&engine=hls");
    let seen = Chromium.run("undecoded", &url, &[]);
    let text = seen["text"].as_str().unwrap();
    assert!(text.contains("has no decoder"), "{seen}");
    assert_eq!(seen["retries"], true, "{seen}");
    live.publishing.kill();
}

#[test]
fn a_page_that_waits_outlives_its_token_and_a_torn_answer() {
    let delivered = Delivered::start(|config| {
        config.access.play_keys = vec!["s3cret-key".to_owned()];
    });
    let url = delivered.url("/play/live/cam?key=s3cret-key");
    let seen = Chromium.run("refused", &url, &[]);
    let expected = ["key", "token", "key", "token", "token", "token"];
    assert_eq!(seen["asked"], serde_json::json!(expected), "{seen}");
}

#[test]
fn what_it_is_played_by_and_which_sound_can_be_chosen() {
    let delivered = Delivered::start(|_| ());
    let mut command = Tool::FfmpegCurrent.command();
    command.args(["-nostdin", "-v", "error", "-re", "-stream_loop", "60", "-i"]);
    command.arg(Media::TwoAudioTracks.file());
    command.args(["-map", "0", "-c", "copy", "-f", "flv"]);
    command.arg(delivered.server().url("live/two"));
    let publishing = Process::start_within("ffmpeg publishing", command, PATIENCE);
    let url = delivered.url("/play/live/two?muted=1");
    for browser in [Chromium, Firefox] {
        let seen = browser.run("menu", &url, &[("choose", "FLV")]);
        let groups = seen["groups"].as_array().unwrap();
        let sound = groups.iter().find(|group| group["title"] == "Sound");
        let items = sound.map(|group| group["items"].as_array().unwrap().len());
        assert_eq!(items, Some(2), "{seen}");
        assert_eq!(seen["chosen"], true, "{seen}");
        assert_eq!(seen["state"]["engine"], "flv", "{seen}");
    }
    publishing.kill();
}

/// Has the page play what was recorded by an engine, choose in its menu, and tell what it offers: a
/// list of titles and items.
fn choose(media: Media, engine: &str, choose: &str) -> Vec<(String, Vec<String>)> {
    let delivered = Delivered::start(|_| ());
    let mut command = Tool::FfmpegCurrent.command();
    command.args(["-nostdin", "-v", "error", "-re", "-stream_loop", "60", "-i"]);
    command.arg(media.file());
    command.args(["-map", "0", "-c", "copy", "-f", "flv"]);
    command.arg(delivered.server().url("live/two"));
    let publishing = Process::start_within("ffmpeg publishing", command, PATIENCE);
    // All that it sends is there.
    delivered.master("live/two");
    let url = delivered.url(&format!("/play/live/two?muted=1&engine={engine}"));
    let seen = Chromium.run("chosen", &url, &[("choose", choose)]);
    publishing.kill();
    assert_eq!(seen["state"]["engine"], engine, "{seen}");
    let text = |it: &Value| it.as_str().unwrap().to_owned();
    let groups = seen["groups"].as_array().unwrap().iter().map(|group| {
        let items = group["items"].as_array().unwrap().iter();
        (text(&group["title"]), items.map(text).collect())
    });
    groups.collect()
}

/// Tracks of sound of 440 and 880 hertz, of which the first is heard, and then the one that is
/// chosen.
#[test]
fn sound_that_is_chosen_is_heard() {
    for (engine, chosen) in [
        ("hls", "::440+a1::880+a0::440"),
        ("dash", "::440+Track 2::880+Track 1::440"),
    ] {
        choose(Media::TwoAudioTracks, engine, chosen);
    }
}

/// The same of AAC and Opus, with pictures in two sizes: HLS has each size for each of them, and who
/// chooses knows nothing of it. What is chosen of the one holds when the other is chosen.
#[test]
fn sound_of_another_codec_can_be_chosen() {
    for (engine, chosen) in [
        (
            "hls",
            "::440+a1::880+a0::440+90p:160+a1:160:880+180p:320:880+a0:320:440",
        ),
        ("dash", "::440+Track 2::880+Track 1::440"),
    ] {
        let groups = choose(Media::TwoCodecs, engine, chosen);
        let of = |title: &str| {
            let group = groups.iter().find(|(is, _)| is == title);
            group.map_or(0, |(_, items)| items.len())
        };
        // One of the qualities is that which is chosen by itself.
        assert_eq!((of("Quality"), of("Sound")), (3, 2), "{engine}: {groups:?}");
    }
}

/// Chromium has no decoder for HEVC here.
#[test]
fn a_picture_that_cannot_be_drawn_has_a_drawing_in_its_place() {
    let delivered = Delivered::start(|_| ());
    let mut command = Tool::FfmpegCurrent.command();
    command.args(["-nostdin", "-v", "error", "-re", "-stream_loop", "60", "-i"]);
    command.arg(Media::Hevc.file());
    command.args(["-c", "copy", "-f", "flv"]);
    command.arg(delivered.server().url("live/hevc"));
    let publishing = Process::start_within("ffmpeg publishing", command, PATIENCE);
    delivered.master("live/hevc");
    let seen = Chromium.run("blank", &delivered.url("/"), &[]);
    assert_eq!(seen["picture"], "none", "{seen}");
    assert_eq!(seen["isShown"], true, "{seen}");
    assert_eq!(seen["isOnTop"], true, "{seen}");
    publishing.kill();
}

/// Pictures of both pages in windows of a desktop and of a phone, light and dark, are put below the
/// target folder for people to look at. In each of them all that can be pressed is within the window,
/// and nothing has to be scrolled sideways.
#[test]
fn pages_fit_windows_of_desktops_and_phones() {
    let live = Live::start(|_| ());
    let odd = "live/a-stream-with-a-name-that-is-longer-than-a-phone-is-wide";
    let again = publish(&live.delivered.server().url(odd), live.base, 240);
    live.delivered.master("live/cam");
    let folder = target_folder().join("pictures");
    fs::create_dir_all(&folder).unwrap();
    for (width, height) in [("1440", "900"), ("390", "844")] {
        for (name, path, waits) in [
            ("streams", "/", ("cards", "2")),
            ("player", "/play/live/cam?muted=1", ("plays", "1")),
        ] {
            for dark in ["", "1"] {
                let shade = if dark.is_empty() { "light" } else { "dark" };
                let file = folder.join(format!("{name}-{width}-{shade}.png"));
                let options = [
                    waits,
                    ("width", width),
                    ("height", height),
                    ("dark", dark),
                    ("file", file.to_str().unwrap()),
                ];
                let seen = Chromium.run("picture", &live.url(path), &options);
                let what = format!("{}: {seen}", file.display());
                println!("{what}");
                assert_eq!(seen["out"], serde_json::json!([]), "{what}");
                assert_eq!(seen["small"], serde_json::json!([]), "{what}");
                assert!(seen["needed"].as_u64() <= seen["width"].as_u64(), "{what}");
                if name == "streams" {
                    assert_eq!(seen["bar"][0], seen["below"][0], "{what}");
                }
            }
        }
    }
    again.kill();
    live.publishing.kill();
}

/// A recording in MP4 plays from its beginning to its end, and what is shown where it is sought to is
/// what is shown there when it plays.
#[test]
fn chromium_plays_a_recording_and_seeks_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut record = RecordConfig::new(folder.path());
    record.format = RecordFormat::Mp4;
    let server = Server::start_with(|config| config.record = Some(record));
    publish(&server.url("live/recorded"), base(), 6)
        .wait()
        .expect_success();
    server.wait_until_recorded();
    let file = files_below(folder.path()).remove(0);
    let times = [4.5, 1.2, 5.5, 0.0, 3.1, 4.5];
    let told = times.map(|time| time.to_string()).join(",");
    let options = [("file", file.to_str().unwrap()), ("times", told.as_str())];
    let seen = Chromium.run("recording", "http://127.0.0.1/", &options);
    assert_eq!(seen["error"], Value::Null, "{seen}");
    let duration = seen["duration"].as_f64().unwrap();
    assert!((5.8..6.3).contains(&duration), "{seen}");
    let painted = |frame: &Value, time: usize| frame[time].as_f64().unwrap();
    let played = seen["played"].as_array().unwrap();
    // As often as a machine with other work paints.
    assert!(played.len() > 30, "{seen}");
    let last = painted(played.last().unwrap(), 0);
    assert!(last > duration - 0.2, "{seen}");
    for (frame, time) in seen["sought"].as_array().unwrap().iter().zip(times) {
        let shown = painted(frame, 1);
        // Sound begins before pictures: there the first one stands.
        let is_first = frame[1] == played[0][0];
        let is_there = (time - 0.05..=time + 0.001).contains(&shown);
        assert!(is_there || is_first && time < shown, "{frame}: {seen}");
        // What is seen is of that time: what was seen before and behind it stands before and behind it.
        let is = painted(frame, 2);
        for one in played {
            let (at, was) = (painted(one, 0), painted(one, 1));
            // What is drawn of a playing video may be its next frame.
            if (at - shown).abs() > 0.1 {
                assert_eq!(at < shown, was < is, "{one} {frame}");
            }
        }
    }
}

/// The files in and below a folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = entries.map(|path| match path.is_dir() {
        true => files_below(&path),
        false => vec![path],
    });
    files.flatten().collect()
}
