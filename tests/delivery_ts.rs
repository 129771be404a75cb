//! Streams that encoders publish are delivered as MPEG transport streams over HLS, to FFmpeg
//! and to who looks at every packet.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use openrtmp_tests::followed::Looks;
use openrtmp_tests::{Delivered, Media, Process, Publisher, Tool, Web, live};

/// Hashes of what ffmpeg makes of an input with these arguments.
fn hashes(input: &str, arguments: &[&str]) -> Vec<String> {
    let mut command = Tool::FfmpegCurrent.command();
    command.args(["-nostdin", "-v", "error", "-i", input]);
    command.args(arguments).args(["-f", "framehash", "-"]);
    let finished = Process::start("FFmpeg", command).wait().expect_success();
    let lines = finished.output.iter();
    let lines = lines.filter(|line| !line.starts_with('#') && line.contains(','));
    // Behind stream, times, duration and size; what else comes with a packet follows.
    let hashes = lines.filter_map(|line| line.split(", ").nth(5));
    hashes.map(|hash| hash.trim().to_owned()).collect()
}

/// Pictures as they are decoded: their bytes have another form.
fn pictures(input: &str) -> Vec<String> {
    hashes(input, &["-map", "0:v", "-fps_mode", "passthrough"])
}

/// Sound as it is coded, without the heads of AAC's frames.
fn sound(input: &str, media: Media) -> Vec<String> {
    let mut arguments = vec!["-map", "0:a", "-c", "copy"];
    if !matches!(media, Media::Mp3 | Media::Ac3 | Media::Eac3) {
        arguments.extend(["-bsf:a", "aac_adtstoasc"]);
    }
    hashes(input, &arguments)
}

/// The last state of the media playlist, and where it is.
fn ended(delivered: &Delivered, path: &str) -> (String, String) {
    let master = delivered.begun(&format!("/{path}/ts/index.m3u8"));
    let uri = master.lines().last().unwrap();
    let uri = uri.strip_prefix("../").expect("in the stream's folder");
    let playlist = format!("/{path}/{uri}");
    let mut web = Web::connect(delivered.address());
    loop {
        let answer = web.get(&playlist, &[]);
        assert_eq!(answer.status, 200);
        if answer.text().contains("#EXT-X-ENDLIST") {
            return (playlist, answer.text().to_owned());
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn what_encoders_publish_is_played_unaltered() {
    for (media, codecs) in [
        (Media::H264Aac, "avc1.42c00c,mp4a.40.2"),
        (Media::BFrames, "avc1."),
        (Media::AudioOnly, "mp4a.40.2"),
        (Media::VideoOnly, "avc1."),
        (Media::Hevc, "hvc1."),
        (Media::Mp3, "mp4a.40.34"),
        (Media::Ac3, "avc1.42c00c,ac-3"),
        (Media::Eac3, "ec-3"),
    ] {
        let publisher = match media {
            Media::Hevc | Media::Ac3 | Media::Eac3 => Publisher::FfmpegCurrent,
            _ => Publisher::Ffmpeg,
        };
        let delivered = Delivered::start(|_| ());
        let publishing = publisher.start(media, &delivered.server().url("live/cam"));
        delivered.server().wait_until_published("live/cam");
        let master = delivered.begun("/live/cam/ts/index.m3u8");
        let codecs = codecs.get(..5).unwrap_or(codecs);
        assert!(master.contains(&format!("CODECS=\"{codecs}")), "{master}");
        let (_, list) = ended(&delivered, "live/cam");
        publishing.wait();
        assert!(list.starts_with("#EXTM3U\n#EXT-X-VERSION:3\n"), "{list}");
        let url = delivered.url("/live/cam/ts/index.m3u8");
        let file = media.file();
        let file = file.to_str().unwrap();
        if !matches!(media, Media::AudioOnly | Media::Mp3 | Media::Eac3) {
            assert_eq!(pictures(&url), pictures(file), "{media:?}");
        }
        if media != Media::VideoOnly {
            let (sent, got) = (sound(file, media), sound(&url, media));
            // But for what was before the first picture.
            let missing = sent.len() - got.len();
            assert!(missing <= 4, "{media:?}: {missing}");
            assert_eq!(sent[missing..], got, "{media:?}");
        }
    }
}

#[test]
fn what_has_no_place_is_refused() {
    let delivered = Delivered::start(|_| ());
    let url = delivered.server().url("live/cam");
    let publishing = Publisher::FfmpegCurrent.start(Media::Av1Opus, &url);
    delivered.server().wait_until_published("live/cam");
    delivered.master("live/cam");
    let refused = Web::fetch(delivered.address(), "/live/cam/ts/index.m3u8");
    assert_eq!(refused.status, 404);
    assert!(refused.text().contains("no place"), "{}", refused.text());
    publishing.wait();
}

/// Each packet with a payload is the one behind the one before (ISO/IEC 13818-1, 2.4.3.3).
fn assert_continuous(bytes: &[u8]) {
    let mut counters = BTreeMap::new();
    for packet in bytes.chunks(188) {
        assert_eq!((packet.len(), packet[0]), (188, 0x47));
        let pid = u16::from_be_bytes([packet[1] & 0x1F, packet[2]]);
        let counter = packet[3] & 15;
        if packet[3] & 0x10 != 0 {
            let before: Option<u8> = counters.insert(pid, counter);
            assert!(
                before.is_none_or(|before| (before + 1) % 16 == counter),
                "{pid}"
            );
        }
    }
    let pids: Vec<u16> = counters.into_keys().collect();
    assert_eq!(pids, [0, 0x100, 0x101, 0x102]);
}

/// Frames of each kind in a file, by ffprobe.
fn frames(file: &Path) -> BTreeMap<String, String> {
    let mut command = Tool::Ffprobe.command();
    command.args(["-v", "error", "-of", "csv=p=0", "-count_packets"]);
    command.args(["-show_entries", "stream=codec_type,nb_read_packets"]);
    command.arg(file);
    let told = Process::start("ffprobe", command).wait().expect_success();
    let lines = told.output.iter().filter_map(|line| line.split_once(','));
    lines
        .map(|(kind, count)| (kind.to_owned(), count.trim_matches([',', ' ']).to_owned()))
        .collect()
}

/// The lists and the segments are those of CMAF: times, lengths, and frames of each kind.
fn assert_cut_alike(delivered: &Delivered, list: &str, segments: &[Vec<u8>]) {
    let told = |list: &str| -> Vec<String> {
        let is_told = |line: &&str| {
            [
                "#EXTINF:",
                "#EXT-X-PROGRAM-DATE-TIME:",
                "#EXT-X-MEDIA-SEQUENCE:",
            ]
            .iter()
            .any(|tag| line.starts_with(tag))
        };
        list.lines().filter(is_told).map(str::to_owned).collect()
    };
    let folder = tempfile::tempdir().unwrap();
    let mut web = Web::connect(delivered.address());
    let mut cmaf: Vec<BTreeMap<String, String>> = vec![BTreeMap::new(); segments.len()];
    let playlists = delivered.playlists("live/cam");
    assert_eq!(playlists.len(), 2);
    for playlist in playlists {
        let media = web.get(&playlist, &[]).text().to_owned();
        let track = playlist.rsplit_once('/').unwrap();
        if track.1 == "v0.m3u8" {
            assert_eq!(told(&media), told(list));
        }
        let mut bytes = |name: &str| web.get(&format!("{}/{name}", track.0), &[]).body;
        let init = media.split("#EXT-X-MAP:URI=\"").nth(1).unwrap();
        let init = bytes(init.split('"').next().unwrap());
        let names: Vec<&str> = media
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        assert_eq!(names.len(), segments.len());
        for (name, counts) in names.iter().zip(&mut cmaf) {
            let file = folder.path().join("segment.mp4");
            fs::write(&file, [init.clone(), bytes(name)].concat()).unwrap();
            counts.extend(frames(&file));
        }
    }
    for (segment, counts) in segments.iter().zip(cmaf) {
        let file = folder.path().join("segment.ts");
        fs::write(&file, segment).unwrap();
        assert_eq!(frames(&file), counts);
        assert_eq!(counts.len(), 2);
    }
}

#[test]
fn packets_go_on_from_segment_to_segment() {
    let delivered = Delivered::start(|_| ());
    let publishing = live(10, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    let (playlist, list) = ended(&delivered, "live/cam");
    publishing.wait().expect_success();
    let folder = playlist.rsplit_once('/').unwrap().0;
    let mut web = Web::connect(delivered.address());
    let mut names: Vec<&str> = list.lines().filter(|line| line.ends_with(".ts")).collect();
    assert_eq!(names.len(), 5, "{list}");
    // In another order than that of time, and twice: they are the same.
    let mut segments = Vec::new();
    names.reverse();
    for name in &names {
        let answer = web.get(&format!("{folder}/{name}"), &[]);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("video/mp2t"));
        let keep = Some("public, max-age=31536000, immutable");
        assert_eq!(answer.header("cache-control"), keep);
        let again = web.get(&format!("{folder}/{name}"), &[("Range", "bytes=188-375")]);
        assert_eq!(
            (again.status, &again.body[..]),
            (206, &answer.body[188..376])
        );
        segments.push(answer.body);
    }
    segments.reverse();
    assert_cut_alike(&delivered, &list, &segments);
    let whole = tempfile::tempdir().unwrap();
    let file = whole.path().join("whole.ts");
    fs::write(&file, segments.concat()).unwrap();
    assert_continuous(&segments.concat());
    let mut command = Tool::Tsreport.command();
    command.arg("-buffering").arg(&file);
    let told = Process::start("tsreport", command).wait().expect_success();
    let has = |text: &str| {
        told.output
            .iter()
            .filter(|line| line.contains(text))
            .count()
    };
    assert_eq!(has("Bad (>.1s) gaps: 0,"), 1, "{:#?}", told.output);
    assert_eq!(
        has("CC: first: 0, last: 15; duplicate packets: 0"),
        2,
        "{:#?}",
        told.output
    );
    assert_eq!(has("PCR PID 0101"), 2, "{:#?}", told.output);
    let mut command = Tool::FfmpegCurrent.command();
    command.args(["-nostdin", "-v", "warning", "-i"]).arg(&file);
    command.args(["-c", "copy", "-f", "null", "-"]);
    let told = Process::start("FFmpeg", command).wait().expect_success();
    let complaints: Vec<&String> = told.output.iter().filter(|line| !line.is_empty()).collect();
    assert_eq!(complaints, [""; 0]);
    let gone = web.get(&format!("{folder}/ts/99.ts"), &[]);
    assert_eq!(
        (gone.status, gone.header("cache-control")),
        (404, Some("no-store"))
    );
}

#[test]
fn who_has_a_key_is_led_to_it() {
    let delivered = Delivered::start(|config| {
        config.access.play_keys = vec!["the-key".to_owned()];
        config.access.failed_attempts.limit = 0;
    });
    let publishing = live(60, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    let mut web = Web::connect(delivered.address());
    assert_eq!(web.get("/live/cam/ts/index.m3u8", &[]).status, 403);
    let master = delivered.begun("/live/cam/ts/index.m3u8?key=the-key");
    let playlist = master.lines().last().unwrap();
    assert!(playlist.starts_with("/v/"), "{master}");
    let list = web.get(playlist, &[]);
    assert_eq!(list.status, 200);
    assert!(list.header("cache-control").unwrap().starts_with("private"));
    let segment = list
        .text()
        .lines()
        .find(|line| line.ends_with(".ts"))
        .unwrap();
    let segment = format!("{}/{segment}", playlist.rsplit_once('/').unwrap().0);
    assert_eq!(web.get(&segment, &[]).status, 200);
    let token = playlist.split('/').nth(2).unwrap();
    let open = segment.replace(&format!("/v/{token}"), "");
    assert_eq!(web.get(&open, &[]).status, 403);
    publishing.kill();
}
