//! MP4 made of what encoders send is what others read, ffmpeg, ffprobe, GStreamer: made by
//! the writer, by a server that records, and by the command.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use openrtmp_core::{RecordConfig, RecordFormat};
use openrtmp_media::mp4::{
    Access, Codec, Content, Description, Frame, Mp4Writer, Piece, Run, Sample, Track, TrackName,
    fragment_header, init_segment,
};
use openrtmp_protocol::media::{
    AudioCodec, AudioPacketKind, AudioTag, FrameType, VideoCodec, VideoPacketKind, VideoTag,
};
use openrtmp_tests::{
    FrameHashes, Media, Packet, Process, Publisher, Server, ServerProcess, Tool, duration_ms, flv,
    openrtmp,
};

/// What encoders at hand make, and the codec strings of it: those that ffprobe's profile,
/// level, bit depth and colors of the same file come to.
const ENCODED: [(Media, &[&str]); 15] = [
    (Media::H264Aac, &["avc1.42c00d", "mp4a.40.2"]),
    (Media::BFrames, &["avc1.64000d", "mp4a.40.2"]),
    (Media::AudioOnly, &["mp4a.40.2"]),
    (Media::Hevc, &["hvc1.1.6.L60.90", "mp4a.40.2"]),
    (Media::Av1Opus, &["av01.0.00M.08", "opus"]),
    (Media::Vp9, &["vp09.00.11.08", "mp4a.40.2"]),
    (
        Media::TwoAudioTracks,
        &["avc1.42c00d", "mp4a.40.2", "mp4a.40.2"],
    ),
    (Media::SixChannels, &["avc1.42c00d", "mp4a.40.2"]),
    (Media::Ac3, &["avc1.42c00d", "ac-3"]),
    (Media::Eac3, &["ec-3"]),
    (Media::Mp3, &["mp4a.40.34"]),
    (Media::LowMp3, &["mp4a.40.34"]),
    (Media::Flac, &["fLaC"]),
    (Media::Hdr, &["hvc1.2.4.L60.90"]),
    (Media::Av1Hdr, &["av01.0.00M.10.0.110.09.16.09.0"]),
];

#[test]
fn what_encoders_make_reads_back_unaltered() {
    let folder = tempfile::tempdir().unwrap();
    for (media, strings) in ENCODED {
        let file = made(media, folder.path());
        assert_eq!(file.codec_strings, strings, "{media:?}");
        assert_same(media, &file.path);
        let duration = duration_ms(&file.path);
        assert!(
            (2990.0..3100.0).contains(&duration),
            "{media:?}: {duration} ms"
        );
    }
}

/// Sizes, shapes of pixels and colors are what ffprobe reads in the file, not only in the
/// decoder configuration: MP4 has boxes of its own for them.
#[test]
fn players_are_told_of_key_frames_and_of_colors_and_the_shape_of_pixels() {
    let folder = tempfile::tempdir().unwrap();
    for media in [Media::Hdr, Media::Av1Hdr] {
        let file = made(media, folder.path()).path;
        let shown = "stream=width,height,color_space,color_transfer,color_primaries";
        assert_eq!(
            probed(&file, shown),
            ["320|180|bt2020nc|smpte2084|bt2020"],
            "{media:?}"
        );
        let flags = probed(&file, "packet=flags");
        let keys = (0..)
            .zip(&flags)
            .filter(|(_, flags)| flags.starts_with('K'));
        let keys: Vec<usize> = keys.map(|(place, _)| place).collect();
        assert_eq!(keys, media.keyframes(), "{media:?}");
        assert!(keys.len() >= 6, "{media:?}");
    }
    let file = folder.path().join("Hdr.mp4");
    assert_eq!(probed(&file, "stream=sample_aspect_ratio"), ["4:3"]);
    let bytes = fs::read(&file).unwrap();
    let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(has(b"pasp\0\0\0\x04\0\0\0\x03"));
    assert!(has(b"colrnclx\0\x09\0\x10\0\x09\0"));
}

#[test]
fn gstreamer_reads_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let written = made(Media::H264Aac, folder.path()).path;
    let recorded = record(
        Publisher::Ffmpeg,
        Media::BFrames,
        &folder.path().join("recorded"),
    );
    for (media, file) in [(Media::H264Aac, written), (Media::BFrames, recorded)] {
        let read = folder.path().join("read.flv");
        let mut command = Tool::GstLaunch.command();
        command.args(["-q", "flvmux", "name=mux", "!", "filesink"]);
        command.arg(format!("location={}", read.display()));
        command
            .arg("filesrc")
            .arg(format!("location={}", file.display()));
        command.args(["!", "qtdemux", "name=demux"]);
        for (track, parser) in [("video_0", "h264parse"), ("audio_0", "aacparse")] {
            command.args([
                &format!("demux.{track}"),
                "!",
                "queue",
                "!",
                parser,
                "!",
                "mux.",
            ]);
        }
        Process::start("GStreamer reading MP4", command)
            .wait()
            .expect_success();
        let (source, read) = (media.hashes(), FrameHashes::of(&read));
        for name in ["video 0", "audio 0"] {
            let hashes = |file: &FrameHashes| -> Vec<String> {
                file.stream(name)
                    .iter()
                    .map(|packet| packet.hash.clone())
                    .collect()
            };
            assert_eq!(hashes(&source), hashes(&read), "{media:?} {name}");
        }
    }
}

/// What ffprobe says, a line for each stream or packet.
fn probed(file: &Path, entries: &str) -> Vec<String> {
    let mut command = Tool::Ffprobe.command();
    command.args([
        "-v",
        "error",
        "-of",
        "compact=p=0:nk=1",
        "-show_entries",
        entries,
    ]);
    command.arg(file);
    let finished = Process::start("ffprobe", command).wait().expect_success();
    let lines = finished
        .output
        .iter()
        .map(|line| line.trim_end_matches('|').to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

/// Everything that was published, by who reads MP4 and who plays it, with an index.
#[test]
fn a_recording_holds_the_whole_stream() {
    let folder = tempfile::tempdir().unwrap();
    for (publisher, media) in [
        (Publisher::Ffmpeg, Media::BFrames),
        (Publisher::Ffmpeg, Media::AudioOnly),
        (Publisher::Ffmpeg, Media::VideoOnly),
        (Publisher::FfmpegCurrent, Media::Hevc),
        (Publisher::FfmpegCurrent, Media::Av1Opus),
        (Publisher::FfmpegCurrent, Media::TwoAudioTracks),
        (Publisher::FfmpegCurrent, Media::Ac3),
        (Publisher::Openrtmp, Media::Vp9),
        (Publisher::Openrtmp, Media::Mp3),
        (Publisher::Openrtmp, Media::Eac3),
    ] {
        let file = record(publisher, media, &folder.path().join(format!("{media:?}")));
        assert_same(media, &file);
        let duration = duration_ms(&file);
        assert!(
            (2950.0..3150.0).contains(&duration),
            "{media:?}: {duration} ms"
        );
        let fragments = boxes(&fs::read(&file).unwrap());
        assert_eq!(
            fragments.last().map(|(kind, ..)| *kind),
            Some(*b"mfra"),
            "{media:?}"
        );
    }
}

#[test]
fn a_recording_can_be_sought() {
    let folder = tempfile::tempdir().unwrap();
    let media = Media::BFrames;
    let file = record(Publisher::Ffmpeg, media, folder.path());
    let (keyframes, published) = (media.keyframes(), media.hashes());
    // A key frame every half second: the last one before 1.7 s is the fourth.
    let expected = &published.stream("video 0")[keyframes[3]].hash;
    for tool in [Tool::Ffmpeg, Tool::FfmpegCurrent] {
        assert_eq!(
            &sought(tool, &file, "1.7", folder.path()),
            expected,
            "{tool:?}"
        );
    }
    // To and fro, in one go.
    let mut command = Command::new("/usr/bin/python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/readers/seek.py"));
    command.arg(&file).args(["1.7", "0.2", "2.7", "1.3"]);
    let finished = Process::start("seeking GStreamer", command)
        .wait()
        .expect_success();
    let expected = [3, 0, 5, 2].map(|place| &published.stream("video 0")[keyframes[place]].hash);
    assert_eq!(finished.output.iter().collect::<Vec<_>>(), expected);
}

/// Hash of the first picture that `tool` finds when it seeks to so many seconds.
fn sought(tool: Tool, file: &Path, seconds: &str, folder: &Path) -> String {
    let found = folder.join(format!("{tool:?}-{seconds}.found"));
    let mut command = tool.command();
    command
        .args(["-nostdin", "-v", "error", "-ss", seconds, "-i"])
        .arg(file);
    command
        .args(["-map", "0:v", "-c", "copy", "-frames:v", "1", "-f", "flv"])
        .arg(&found);
    let finished = Process::start("seeking ffmpeg", command)
        .wait()
        .expect_success();
    assert!(
        finished.output.is_empty(),
        "{tool:?} complains: {:?}",
        finished.output
    );
    FrameHashes::of(&found).stream("video 0")[0].hash.clone()
}

/// A file is what it holds up to its last whole fragment, wherever it breaks off.
#[test]
fn a_recording_that_breaks_off_plays_up_to_there() {
    let folder = tempfile::tempdir().unwrap();
    let media = Media::H264Aac;
    let whole = fs::read(record(Publisher::Ffmpeg, media, folder.path())).unwrap();
    let file = folder.path().join("cut.mp4");
    let fragments: Vec<(usize, usize)> = boxes(&whole)
        .windows(2)
        .filter(|pair| pair[0].0 == *b"moof")
        .map(|pair| (pair[0].1, pair[1].2))
        .collect();
    assert!(
        fragments.len() >= 4,
        "fragments of a second at most: {fragments:?}"
    );
    let mut played = Vec::new();
    for (start, end) in fragments {
        // Behind the fragment, and in the middle of its samples: what a crash leaves.
        fs::write(&file, &whole[..end]).unwrap();
        let after = FrameHashes::of(&file);
        for (before, after) in media
            .hashes()
            .stream("video 0")
            .iter()
            .zip(after.stream("video 0"))
        {
            assert_eq!(before, after);
        }
        let count = after.stream("video 0").len();
        played.push(count);
        fs::write(&file, &whole[..start + (end - start) / 2]).unwrap();
        if played.len() > 1 {
            let cut = FrameHashes::of(&file).stream("video 0").len();
            assert!(
                cut >= played[played.len() - 2] && cut < count,
                "{played:?} {cut}"
            );
        }
    }
    assert!(
        played.is_sorted_by(|before, after| before < after),
        "{played:?}"
    );
    assert_eq!(played.last(), Some(&90));
}

/// A clock that jumps by twenty seconds, as it does over a break of the publisher's line.
#[test]
fn a_gap_is_played_and_sought_over() {
    const GAP: u32 = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let media = Media::BFrames;
    let mut tags = flv::read(&media.file());
    for tag in tags.iter_mut().filter(|tag| tag.time >= 1500) {
        tag.time += GAP;
    }
    let file = folder.path().join("gap.mp4");
    fs::write(&file, recorded(&tags)).unwrap();
    let (source, made) = (media.hashes(), FrameHashes::of(&file));
    // FFmpeg counts from where it takes the file to begin.
    let [begins, made_begins] = [&source, &made].map(|file| file.stream("video 0")[0].dts);
    let jumped = |packet: &Packet| match packet.dts - begins {
        time @ ..1500 => time,
        time => time + i64::from(GAP),
    };
    for name in ["video 0", "audio 0"] {
        assert_eq!(source.stream(name).len(), made.stream(name).len());
        for (before, after) in source.stream(name).iter().zip(made.stream(name)) {
            assert_eq!(before.hash, after.hash);
            let apart = jumped(before) - (after.dts - made_begins);
            assert!(apart.abs() <= 1, "{name} {before:?} {after:?}");
        }
    }
    // The first key frame behind it, and the last before.
    let keyframes = media.keyframes();
    for (at, place) in [("21.7", 3), ("10", 2)] {
        let found = sought(Tool::FfmpegCurrent, &file, at, folder.path());
        assert_eq!(
            found,
            source.stream("video 0")[keyframes[place]].hash,
            "{at} s"
        );
    }
}

/// A recording of these tags.
fn recorded(tags: &[flv::Tag]) -> Vec<u8> {
    let mut writer = Mp4Writer::new(0);
    let mut file = Vec::new();
    let mut append = |piece: Option<Piece<Vec<u8>>>| {
        if let Some(Piece { header, data }) = piece {
            file.extend(header);
            file.extend(data.concat());
        }
    };
    for tag in tags {
        let dts = i64::from(tag.time) * 1000;
        match tag.kind {
            flv::VIDEO => {
                let video = VideoTag::parse(&tag.body).unwrap();
                let packet = video.first();
                let (track, codec) = (TrackName::Video(0), Codec::Video(packet.codec));
                let body = &tag.body[packet.body.clone()];
                match packet.kind {
                    VideoPacketKind::SequenceStart => writer.configure(track, codec, body).unwrap(),
                    VideoPacketKind::Frame => append(
                        writer
                            .push(Frame {
                                track,
                                codec,
                                dts,
                                pts: dts + i64::from(packet.composition_time) * 1000,
                                content: match video.frame_type {
                                    FrameType::Key => Content::Key,
                                    _ => Content::Inter,
                                },
                                data: body.to_vec(),
                            })
                            .unwrap(),
                    ),
                    _ => {}
                }
            }
            flv::AUDIO => {
                let audio = AudioTag::parse(&tag.body).unwrap();
                let packet = audio.first().unwrap();
                let (track, codec) = (TrackName::Audio(0), Codec::Audio(packet.codec));
                let body = &tag.body[packet.body.clone()];
                match packet.kind {
                    AudioPacketKind::SequenceStart => writer.configure(track, codec, body).unwrap(),
                    _ => append(
                        writer
                            .push(Frame {
                                track,
                                codec,
                                dts,
                                pts: dts,
                                content: Content::Key,
                                data: body.to_vec(),
                            })
                            .unwrap(),
                    ),
                }
            }
            _ => {}
        }
    }
    append(writer.flush().unwrap());
    let closing = writer.closing().unwrap();
    let at = closing.duration_at as usize;
    file[at..at + 8].copy_from_slice(&closing.duration);
    file.extend(closing.index);
    file
}

/// A file tells of one configuration: where another comes a file ends, and nothing is lost.
#[test]
fn another_resolution_begins_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let media = Media::ResolutionChange;
    publish_to_recorder(Publisher::Ffmpeg, media, folder.path());
    let files = files(folder.path());
    let sizes: Vec<String> = files
        .iter()
        .flat_map(|file| probed(file, "stream=width,height"))
        .collect();
    let sizes: Vec<&str> = sizes
        .iter()
        .map(String::as_str)
        .filter(|s| s.contains('|'))
        .collect();
    assert_eq!(sizes, ["320|180", "640|360"]);
    let source = media.hashes();
    for name in ["video 0", "audio 0"] {
        let recorded: Vec<String> = files
            .iter()
            .flat_map(|file| FrameHashes::of(file).stream(name).to_vec())
            .map(|packet| packet.hash)
            .collect();
        let sent: Vec<String> = source
            .stream(name)
            .iter()
            .map(|packet| packet.hash.clone())
            .collect();
        assert_eq!(recorded, sent, "{name}");
    }
}

#[test]
fn a_recording_survives_kill_9_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let media = Media::H264Aac;
    let settings = folder.path().join("settings.yaml");
    fs::write(&settings, "record: {format: mp4}\n").unwrap();
    let (settings, directory) = (settings.to_str().unwrap(), folder.path().to_str().unwrap());
    let record = ["--config", settings, "--record", directory];
    let server = ServerProcess::start(&record);
    let mut publishing = Publisher::Ffmpeg.start(media, &server.url("live/crash"));
    publishing.wait_until_sent(2500);
    server.kill();
    publishing.kill();
    let recorded = FrameHashes::of(&only_file(folder.path()));
    let last = recorded.stream("video 0").last().unwrap().dts;
    assert!(last > 1500 - 100, "at most the last second is lost: {last}");
}

/// By the file's name, and where it is told.
#[test]
fn the_command_writes_what_comes() {
    let folder = tempfile::tempdir().unwrap();
    // Building it may take longer than the stream lasts.
    openrtmp();
    let server = Server::start();
    for (media, arguments, file) in [
        (Media::BFrames, &["record"][..], "a.mp4"),
        (
            Media::Av1Opus,
            &["play", "--format", "mp4", "--output"],
            "b",
        ),
        (Media::TwoAudioTracks, &["play", "--output"], "c.m4v"),
    ] {
        let file = folder.path().join(file);
        let path = format!("live/{media:?}");
        let url = server.url(&path);
        let publishing = Publisher::FfmpegCurrent.start(media, &url);
        server.wait_until_published(&path);
        let mut command = openrtmp();
        command
            .arg(arguments[0])
            .arg(&url)
            .args(&arguments[1..])
            .arg(&file);
        let receiving = Process::start(format!("openrtmp {arguments:?}"), command);
        publishing.wait();
        receiving.wait().expect_success();
        assert_end_of(media, &file);
        let fragments = boxes(&fs::read(&file).unwrap());
        assert_eq!(
            fragments.last().map(|(kind, ..)| *kind),
            Some(*b"mfra"),
            "{media:?}"
        );
    }
}

/// What was received is the end of what was sent, from a key frame on; times are shifted by
/// the same, to a millisecond.
fn assert_end_of(media: Media, received: &Path) {
    let (source, received) = (media.hashes(), FrameHashes::of(received));
    let names: Vec<&str> = source.stream_names().collect();
    assert_eq!(
        names,
        received.stream_names().collect::<Vec<_>>(),
        "{media:?}"
    );
    let shift = |name: &str| {
        let (source, received) = (source.stream(name), received.stream(name));
        let start = source
            .len()
            .checked_sub(received.len())
            .expect("not more than was sent");
        assert!(!received.is_empty(), "{media:?} {name}");
        if name.starts_with("video") {
            assert!(media.keyframes().contains(&start), "{media:?} {start}");
        }
        let apart = source[start].dts - received[0].dts;
        for (before, after) in source[start..].iter().zip(received) {
            assert_eq!(before.hash, after.hash, "{media:?} {name}");
            for apart_here in [before.dts - after.dts, before.pts - after.pts] {
                assert!(
                    (apart_here - apart).abs() <= 1,
                    "{media:?} {name} {before:?} {after:?}"
                );
            }
        }
        apart
    };
    let shifts: Vec<i64> = names.iter().map(|name| shift(name)).collect();
    let (least, most) = (shifts.iter().min().unwrap(), shifts.iter().max().unwrap());
    assert!(most - least <= 1, "{media:?} {shifts:?}");
}

/// A server that records `media` into `folder` as MP4; the recording.
fn record(publisher: Publisher, media: Media, folder: &Path) -> PathBuf {
    publish_to_recorder(publisher, media, folder);
    only_file(folder)
}

fn publish_to_recorder(publisher: Publisher, media: Media, folder: &Path) {
    let mut record = RecordConfig::new(folder);
    record.format = RecordFormat::Mp4;
    let server = Server::start_with(|config| config.record = Some(record));
    publisher.start(media, &server.url("live/recorded")).wait();
    server.wait_until_recorded();
}

fn only_file(folder: &Path) -> PathBuf {
    let mut files = files(folder);
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

/// The MP4 files in and below `folder`, in the order in which they were begun.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|is| is == "mp4") => files.push(path),
                false => {}
            }
        }
    }
    // Their names without the ending: a number comes behind the time.
    files.sort_by_key(|file| file.with_extension(""));
    files
}

/// The boxes of a file: type, start and end.
fn boxes(file: &[u8]) -> Vec<([u8; 4], usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < file.len() {
        let (size, rest) = file[at..].split_first_chunk().unwrap();
        let end = at + u32::from_be_bytes(*size) as usize;
        found.push((*rest.first_chunk().unwrap(), at, end));
        at = end;
    }
    assert_eq!(at, file.len());
    found
}

struct Made {
    path: PathBuf,
    codec_strings: Vec<String>,
}

/// The packets of both files are the same, at the same times: those of audio to a
/// millisecond, which is what they were rounded to.
fn assert_same(media: Media, made: &Path) {
    let (source, made) = (media.hashes(), FrameHashes::of(made));
    let names: Vec<&str> = source.stream_names().collect();
    assert_eq!(names, made.stream_names().collect::<Vec<_>>(), "{media:?}");
    for name in names {
        let (source, made) = (source.stream(name), made.stream(name));
        assert_eq!(source.len(), made.len(), "{media:?} {name}");
        let inexact = i64::from(name.starts_with("audio"));
        for (place, (before, after)) in source.iter().zip(made).enumerate() {
            let apart = (after.dts - before.dts)
                .abs()
                .max((after.pts - before.pts).abs());
            assert!(
                before.hash == after.hash && apart <= inexact,
                "{media:?} {name} {place}: {before:?} became {after:?}"
            );
        }
    }
}

/// One track of the source.
#[derive(Default)]
struct Source {
    video: Option<VideoCodec>,
    audio: Option<AudioCodec>,
    config: Vec<u8>,
    frames: Vec<Picture>,
}

struct Picture {
    dts: i64,
    composition_time: i32,
    is_key: bool,
    body: Vec<u8>,
}

fn made(media: Media, folder: &Path) -> Made {
    let sources = sources(&flv::read(&media.file()));
    let tracks: Vec<Track> = sources
        .iter()
        .zip(1..)
        .map(|(source, id)| described(source, id))
        .collect();
    let mut bytes = init_segment(&tracks).bytes;
    let mut sequence = 0;
    for start in (0..).step_by(30) {
        let mut runs = Vec::new();
        let mut data = Vec::new();
        for (source, track) in sources.iter().zip(&tracks) {
            runs.extend(run(source, track, start..start + 30, &mut data));
        }
        if runs.is_empty() {
            break;
        }
        sequence += 1;
        bytes.extend(fragment_header(sequence, &runs).expect("it is not that large"));
        bytes.extend(data);
    }
    let path = folder.join(format!("{media:?}.mp4"));
    fs::write(&path, bytes).unwrap();
    Made {
        path,
        codec_strings: tracks
            .iter()
            .map(|track| track.description.codec_string.clone())
            .collect(),
    }
}

fn sources(tags: &[flv::Tag]) -> Vec<Source> {
    let mut sources: BTreeMap<(u8, u8), Source> = BTreeMap::new();
    for tag in tags {
        let dts = i64::from(tag.time);
        match tag.kind {
            flv::VIDEO => {
                let video = VideoTag::parse(&tag.body).unwrap();
                for packet in video.packets() {
                    let source = sources.entry((0, packet.track)).or_default();
                    let body = tag.body[packet.body.clone()].to_vec();
                    match packet.kind {
                        VideoPacketKind::SequenceStart if !body.is_empty() => source.config = body,
                        VideoPacketKind::Frame => {
                            source.video = Some(packet.codec);
                            source.frames.push(Picture {
                                dts,
                                composition_time: packet.composition_time,
                                is_key: video.frame_type == FrameType::Key,
                                body,
                            });
                        }
                        _ => {}
                    }
                }
            }
            flv::AUDIO => {
                let audio = AudioTag::parse(&tag.body).unwrap();
                for packet in audio.packets() {
                    let source = sources.entry((1, packet.track)).or_default();
                    let body = tag.body[packet.body.clone()].to_vec();
                    match packet.kind {
                        AudioPacketKind::SequenceStart => source.config = body,
                        AudioPacketKind::Frame if !body.is_empty() => {
                            source.audio = Some(packet.codec);
                            source.frames.push(Picture {
                                dts,
                                composition_time: 0,
                                is_key: true,
                                body,
                            });
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    sources
        .into_values()
        .filter(|source| !source.frames.is_empty())
        .collect()
}

fn described(source: &Source, id: u32) -> Track {
    let first = &source.frames[0].body;
    let description = match (source.video, source.audio) {
        (Some(codec), _) => Description::video(codec, &source.config, first),
        (_, Some(codec)) => Description::audio(codec, &source.config, first),
        _ => None,
    };
    let description = description.expect("it can be described");
    Track {
        id,
        timescale: description.timescale(),
        description,
    }
}

fn run(
    source: &Source,
    track: &Track,
    range: std::ops::Range<usize>,
    data: &mut Vec<u8>,
) -> Option<Run> {
    let ticks = |milliseconds: i64| milliseconds * i64::from(track.timescale) / 1000;
    let frames = source
        .frames
        .get(range.start..range.end.min(source.frames.len()))?;
    let decode_time = ticks(frames.first()?.dts) as u64;
    let mut samples = Vec::new();
    for (place, frame) in (range.start..).zip(frames) {
        let next = source.frames.get(place + 1);
        let before = &source.frames[place.saturating_sub(1)];
        let duration = match next {
            Some(next) => ticks(next.dts) - ticks(frame.dts),
            None => ticks(frame.dts) - ticks(before.dts),
        };
        samples.push(Sample {
            duration: duration as u32,
            size: frame.body.len() as u32,
            composition_offset: ticks(frame.composition_time.into()) as i32,
            access: match frame.is_key {
                true => Access::Sync,
                false => Access::None,
            },
        });
        data.extend(&frame.body);
    }
    Some(Run {
        track: track.id,
        decode_time,
        samples,
    })
}
