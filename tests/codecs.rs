//! Media of every coding that encoders send, in Chromium: it is asked whether it has decoders for
//! just what playlists and manifests say, and where it has, pictures are seen and sound is heard.
#![expect(clippy::print_stdout, reason = "a table, for people")]

use openrtmp_tests::browsing::Browser::Chromium;
use openrtmp_tests::{Delivered, Encoder, Media, flv};
use serde_json::Value;

/// What is published; the engines of the page by which Chromium plays it wherever it
/// runs; and those by which it may. mpegts.js 1.8 reads neither VP9 nor AC-3 and E-AC-3,
/// throws at AV1 of SVT-AV1, and writes a `dfLa` for FLAC that Chromium refuses.
const CODED: [(Media, &[&str], &[&str]); 10] = [
    (Media::Av1Opus, &["hls", "dash", "flv"], &[]),
    (Media::Vp9, &["hls", "dash"], &[]),
    (Media::Hevc, &[], &["hls", "dash", "flv"]),
    (Media::Av1Hdr, &["hls", "dash"], &[]),
    (Media::Flac, &["hls", "dash"], &[]),
    (Media::Mp3, &["flv"], &["hls", "dash"]),
    (Media::LowMp3, &["flv"], &["hls", "dash"]),
    (Media::SixChannels, &["hls", "dash", "flv"], &[]),
    (Media::Ac3, &[], &["hls", "dash"]),
    (Media::Eac3, &[], &["hls", "dash"]),
];
/// Pictures have this width, or a little more where their pixels are wider than high.
const WIDTH: u64 = 320;
/// Sound has this frequency.
const HERTZ: &str = "440";

/// The types as a browser is asked for them, by what the master playlist says of the first size.
fn listed(delivered: &Delivered, path: &str) -> Vec<String> {
    let master = delivered.master(path);
    let (_, codecs) = master.split_once("CODECS=\"").expect("codecs");
    let (codecs, _) = codecs.split_once('"').expect("their end");
    let typed = |codec: &str| {
        let is_picture = ["avc1", "hvc1", "av01", "vp09"].contains(&&codec[..4]);
        let kind = if is_picture { "video" } else { "audio" };
        format!("{kind}/mp4;codecs=\"{codec}\"")
    };
    codecs.split(',').map(typed).collect()
}

/// The same by what the manifest says.
fn manifested(delivered: &Delivered, path: &str) -> Vec<String> {
    let manifest = delivered.manifest(path);
    let value = |text: &str, name: &str| {
        let (_, value) = text.split_once(&format!(" {name}=\"")).expect("it is said");
        value.split('"').next().unwrap_or_default().to_owned()
    };
    let sets = manifest.split("<AdaptationSet").skip(1);
    sets.map(|set| {
        let (kind, codec) = (value(set, "mimeType"), value(set, "codecs"));
        format!("{kind};codecs=\"{codec}\"")
    })
    .collect()
}

/// The types by which it is asked for with an engine.
fn types(delivered: &Delivered, media: Media, path: &str, engine: &str) -> Vec<String> {
    match (engine, media) {
        ("dash", _) => manifested(delivered, path),
        // As it came, and not in MP4.
        ("flv", Media::Mp3 | Media::LowMp3) => vec!["audio/mpeg".to_owned()],
        _ => listed(delivered, path),
    }
}

/// Whether it is seen and heard.
fn plays(types: &[String], seen: &Value) -> bool {
    let has = |kind: &str| types.iter().any(|it| it.starts_with(kind));
    let is_seen = seen["frames"].as_u64() >= Some(20)
        && seen["width"].as_u64() >= Some(WIDTH)
        && seen["colours"].as_u64() > Some(8);
    (!has("video") || is_seen) && (!has("audio") || seen["isHeard"] == true)
}

#[test]
fn chromium_plays_what_it_has_decoders_for() {
    let delivered = Delivered::start(|config| config.limits.publishers = CODED.len());
    let _encoders = CODED.map(|(media, ..)| {
        let url = delivered.server().url(&format!("live/{media:?}"));
        Encoder::start(&url, flv::read(&media.file()))
    });
    let mut wrong = Vec::new();
    for (media, known, others) in CODED {
        let path = format!("live/{media:?}");
        for engine in known.iter().chain(others) {
            let types = types(&delivered, media, &path, engine);
            let url = delivered.url(&format!("/play/{path}?muted=1&engine={engine}"));
            let asked = types.join("|");
            let options = [("types", asked.as_str()), ("hertz", HERTZ)];
            let seen = Chromium.run("decoded", &url, &options);
            let has_decoders = seen["lacks"] == serde_json::json!([]);
            let words = match (has_decoders, plays(&types, &seen)) {
                (true, true) => "plays",
                (true, false) => "DOES NOT PLAY",
                (false, true) => "unsupported, and plays",
                (false, false) => "unsupported",
            };
            let row = format!("Chromium, {media:?}, {engine}, {asked}: {words}; {seen}");
            println!("{row}");
            let is_known = known.contains(engine);
            if (has_decoders || is_known) && words != "plays" {
                wrong.push(row);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
