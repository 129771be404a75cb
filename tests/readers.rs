//! What is delivered, read by readers of others: MP4Box.js and Shaka Packager look at every
//! init segment and segment, of which our playlists and manifests say what is in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use openrtmp_media::dash;
use openrtmp_media::hls::read::Listed;
use openrtmp_media::hls::session::Master;
use openrtmp_tests::packaged::{EVERY, each};
use openrtmp_tests::{Media, Process, Tool, reader_packages, shaka_packager};
use serde::Deserialize;

/// Texts of playlists have five decimals.
const ROUNDING: f64 = 0.000_02;

/// A segment as MP4Box.js reads it.
#[derive(Debug, Deserialize)]
struct Read {
    failed: Option<String>,
    tracks: usize,
    codec: String,
    timescale: u64,
    samples: Vec<Sample>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
struct Sample {
    dts: u64,
    cts: u64,
    duration: u64,
    size: u64,
    is_sync: bool,
}

impl Read {
    fn begins(&self) -> u64 {
        self.samples[0].dts
    }

    fn long(&self) -> u64 {
        self.samples.iter().map(|sample| sample.duration).sum()
    }
}

/// A track as a playlist or a manifest tells of it.
#[derive(Debug)]
struct Told {
    codecs: BTreeSet<String>,
    is_video: bool,
    init: PathBuf,
    segments: Vec<PathBuf>,
    /// Ticks in a second, where each segment begins, and how long it is, if that is told.
    timeline: Option<(u64, Vec<(u64, u64)>)>,
    /// Seconds that each segment lasts.
    seconds: Vec<f64>,
}

fn mp4box(init: &Path, segments: &[PathBuf]) -> Vec<Read> {
    let mut command = Tool::Node.command();
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/readers/mp4box.mjs"));
    command
        .arg(init)
        .args(segments)
        .env("MODULES", reader_packages());
    let finished = Process::start("MP4Box.js", command).wait().expect_success();
    let lines = finished.output.iter();
    // It says itself what it does not understand, which no line of ours begins like.
    let read = lines.filter(|line| line.starts_with('{'));
    read.map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What Shaka Packager says of the codec, and its own copy of the samples.
fn shaka(init: &Path, segments: &[PathBuf], folder: &Path) -> (String, PathBuf) {
    let whole = folder.join("whole.mp4");
    let mut bytes = fs::read(init).unwrap();
    for segment in segments {
        bytes.extend(fs::read(segment).unwrap());
    }
    fs::write(&whole, bytes).unwrap();
    let copied = folder.join("copied.mp4");
    let (from, to) = (whole.display(), copied.display());
    let mut command = shaka_packager();
    command.arg(format!("in={from},stream=0,output={to}"));
    command.arg("--dump_stream_info");
    let finished = Process::start("Shaka Packager", command).wait();
    let finished = finished.expect_success();
    let said = finished.output.iter();
    // How it ended its wrapper does not pass on.
    let is_done = |line: &String| line.contains("Packaging completed successfully");
    assert!(said.clone().any(is_done), "{}", finished.output.join("\n"));
    let mut codecs = said.filter_map(|line| line.trim().strip_prefix("codec_string: "));
    let codec = codecs.next().expect("a codec").to_owned();
    (codec, copied)
}

/// One name for the same: Shaka Packager and we write `opus`, MP4Box.js `Opus`; for FLAC it is
/// the other way round. That nothing is told of colors stands there in Shaka Packager's.
fn plain(codec: &str) -> String {
    const UNTOLD: [&str; 2] = [".0.110.02.02.02.0", ".01.02.02.02.00"];
    let mut ends = UNTOLD.iter().filter_map(|end| codec.strip_suffix(end));
    ends.next().unwrap_or(codec).to_ascii_lowercase()
}

/// Both readers find what was told.
fn assert_read(media: Media, told: &Told, folder: &Path) {
    let what = format!("{media:?} {}", told.init.display());
    assert!(told.segments.len() > 1, "{what}");
    let read = mp4box(&told.init, &told.segments);
    assert_eq!(read.len(), told.segments.len(), "{what}");
    let codecs: BTreeSet<String> = told.codecs.iter().map(|it| plain(it)).collect();
    let mut end = None;
    for (place, segment) in read.iter().enumerate() {
        let what = format!("{what} {place}");
        assert_eq!(segment.failed, None, "{what}");
        assert_eq!(segment.tracks, 1, "{what}");
        if !UNKNOWN_TO_MP4BOX.contains(&media) {
            let codec = plain(&segment.codec);
            assert!(codecs.contains(&codec), "{what}: {codec} {codecs:?}");
        }
        let scale = segment.timescale as f64;
        let long = segment.long() as f64 / scale;
        assert!(
            (long - told.seconds[place]).abs() < ROUNDING,
            "{what}: {long} {}",
            told.seconds[place]
        );
        // One follows the other, and begins where players can.
        assert!(end.is_none_or(|end| end == segment.begins()), "{what}");
        end = Some(segment.begins() + segment.long());
        assert!(segment.samples[0].is_sync, "{what}");
        if !told.is_video {
            assert!(segment.samples.iter().all(|it| it.is_sync), "{what}");
        }
        let earliest = segment.samples.iter().map(|sample| sample.cts).min();
        // To the millisecond that times were rounded to.
        let apart = earliest.unwrap().abs_diff(segment.begins());
        assert!(apart * 1000 <= segment.timescale, "{what}: {apart}");
        if let Some((timescale, timeline)) = &told.timeline {
            assert_eq!(*timescale, segment.timescale, "{what}");
            assert_eq!(
                timeline[place],
                (segment.begins(), segment.long()),
                "{what}"
            );
        }
    }
    if UNKNOWN_TO_SHAKA.contains(&media) && !told.is_video {
        return;
    }
    let (codec, copied) = shaka(&told.init, &told.segments, folder);
    let codec = plain(&codec);
    assert!(codecs.contains(&codec), "{what}: {codec} {codecs:?}");
    let nothing = folder.join("nothing");
    fs::write(&nothing, []).unwrap();
    let copied = mp4box(&copied, &[nothing]);
    let sizes = |read: &[Read]| -> Vec<(bool, u64)> {
        let samples = read.iter().flat_map(|segment| &segment.samples);
        samples.map(|it| (it.is_sync, it.size)).collect()
    };
    assert_eq!(sizes(&copied), sizes(&read), "{what}");
}

/// MP4Box.js 2.4.1 reads no `av1C`, and MP3 is to it what MPEG-1 calls it.
const UNKNOWN_TO_MP4BOX: &[Media] = &[Media::Av1Opus, Media::Mp3];
/// Shaka Packager tells nothing of MP3.
const UNKNOWN_TO_SHAKA: &[Media] = &[Media::Mp3];

/// The tracks of a master playlist in this folder.
fn of_hls(folder: &Path) -> Vec<Told> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let master = Master::parse(&read("index.m3u8")).unwrap();
    let variants = master.variants.iter();
    let codecs = variants
        .clone()
        .filter_map(|it| it.attributes.get("CODECS"));
    let codecs = codecs.flat_map(|told| told.split(','));
    let codecs: BTreeSet<String> = codecs.map(str::to_owned).collect();
    let tracks = variants.map(|variant| {
        let listed = Listed::parse(&read(&variant.uri)).unwrap();
        let beside = |uri: &str| folder.join(&variant.uri).parent().unwrap().join(uri);
        let segments = listed.segments.iter();
        Told {
            codecs: codecs.clone(),
            is_video: variant.attributes.contains_key("RESOLUTION"),
            init: beside(listed.segments[0].map.as_ref().unwrap()),
            segments: segments
                .clone()
                .map(|it| beside(it.uri.as_ref().unwrap()))
                .collect(),
            timeline: None,
            seconds: segments.map(|it| it.duration.unwrap()).collect(),
        }
    });
    tracks.collect()
}

/// Those of a manifest.
fn of_dash(folder: &Path) -> Vec<Told> {
    let text = fs::read_to_string(folder.join("index.mpd")).unwrap();
    let listed = dash::read::Listed::parse(&text).unwrap();
    assert_eq!(listed.periods.len(), 1, "{text}");
    let tracks = listed.periods[0].representations.iter().map(|it| {
        let template = it.template.as_ref().unwrap();
        let timeline = template.timeline.clone().unwrap();
        let names = (template.start_number..).zip(&timeline);
        let names = names.map(|(number, (tick, _))| template.name(it, number, *tick).unwrap());
        let scale = template.timescale as f64;
        Told {
            codecs: it.codecs.iter().cloned().collect(),
            is_video: it.size.is_some(),
            init: folder.join(template.init(it).unwrap()),
            segments: names.map(|name| folder.join(name)).collect(),
            seconds: timeline
                .iter()
                .map(|(_, long)| *long as f64 / scale)
                .collect(),
            timeline: Some((template.timescale, timeline)),
        }
    });
    tracks.collect()
}

#[test]
fn others_read_every_segment_and_find_what_is_told_of_it() {
    // One of AV1 is enough: MP4Box.js tells little of it.
    let media = EVERY.into_iter().filter(|it| *it != Media::Av1Hdr);
    let others = [Media::Mp3, Media::Eac3, Media::HeAac, Media::HeAacV2];
    each(media.chain(others), |media, folder| {
        let (hls, dash) = (of_hls(folder), of_dash(folder));
        assert_eq!(hls.len(), dash.len(), "{media:?}");
        for told in hls.iter().chain(&dash) {
            assert_read(media, told, folder);
        }
        // All that is told of is there: a codec of nothing is as wrong as another.
        let of = |tracks: &[Told]| -> BTreeSet<String> {
            tracks.iter().flat_map(|it| it.codecs.clone()).collect()
        };
        assert_eq!(of(&hls), of(&dash), "{media:?}");
        // Both readers find the same, and it is what was made.
        let sound = match media {
            Media::HeAac => "mp4a.40.5",
            Media::HeAacV2 => "mp4a.40.29",
            Media::Ac3 => "ac-3",
            Media::Eac3 => "ec-3",
            _ => return,
        };
        assert!(of(&hls).contains(sound), "{media:?}: {:?}", of(&hls));
    });
}
