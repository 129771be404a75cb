//! Streams of encoders, packaged into folders of segments and playlists, are what others
//! play: FFmpeg, ffprobe, GStreamer.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use openrtmp_media::hls::check::{Checker, aligned};
use openrtmp_media::hls::{Form, Names, master_playlist, media_playlist};
use openrtmp_media::mp4::{Codec, Content, Frame, TrackName};
use openrtmp_media::packager::{Event, Packager, Settings, Window};
use openrtmp_protocol::media::{AudioPacketKind, AudioTag, FrameType, VideoPacketKind, VideoTag};
use openrtmp_tests::{FrameHashes, Media, Packet, Process, Tool, flv};

#[test]
fn ffmpeg_plays_what_encoders_make() {
    for media in [
        Media::H264Aac,
        Media::BFrames,
        Media::AudioOnly,
        Media::VideoOnly,
        Media::Hevc,
        Media::Av1Opus,
        Media::Vp9,
        Media::TwoAudioTracks,
        Media::Ac3,
        Media::Flac,
        Media::Hdr,
        Media::Av1Hdr,
    ] {
        let folder = tempfile::tempdir().unwrap();
        let master = packaged(media, folder.path());
        let played = FrameHashes::of(&master);
        assert_played(media, &played);
        assert_eq!(complaints(&master), [""; 0], "{media:?}");
        let is_hdr = matches!(media, Media::Hdr | Media::Av1Hdr);
        let told = fs::read_to_string(&master).unwrap();
        assert_eq!(told.contains(",VIDEO-RANGE=PQ"), is_hdr, "{told}");
    }
}

/// Everything was played, unaltered, at its time to the millisecond that times were rounded
/// to. Only sound from before the first picture is left out.
///
/// FFmpeg shows pictures later by the largest offset that is below 0 (`dts_shift` in its
/// `mov.c`), so where there are such it says nothing of tracks together.
fn assert_played(media: Media, played: &FrameHashes) {
    let source = media.hashes();
    let names: Vec<&str> = source.stream_names().collect();
    assert_eq!(
        names,
        played.stream_names().collect::<Vec<_>>(),
        "{media:?}"
    );
    let first_picture = source
        .stream("video 0")
        .first()
        .map_or(0, |packet| packet.pts);
    let mut shifts = Vec::new();
    for name in names {
        let (sent, played) = (source.stream(name), played.stream(name));
        let left_out = sent.len().checked_sub(played.len()).expect("nothing twice");
        assert!(
            sent[..left_out]
                .iter()
                .all(|packet| packet.pts < first_picture),
            "{media:?} {name}: {left_out} of {} left out",
            sent.len()
        );
        let mut own = Vec::new();
        for (before, after) in sent[left_out..].iter().zip(played) {
            assert_eq!(
                before.hash, after.hash,
                "{media:?} {name} {before:?} {after:?}"
            );
            own.push(after.pts - before.pts);
        }
        assert_constant(media, &own);
        shifts.extend(own);
    }
    let is_in_order = |packet: &Packet| packet.pts == packet.dts;
    if source.stream("video 0").iter().all(is_in_order) {
        assert_constant(media, &shifts);
    }
}

/// To a millisecond on both sides.
fn assert_constant(media: Media, shifts: &[i64]) {
    let (least, most) = (shifts.iter().min().unwrap(), shifts.iter().max().unwrap());
    assert!(most - least <= 2, "{media:?}: {least} to {most} ms");
}

/// GStreamer knows playlists over HTTP alone. It puts H.264 from there into another form,
/// so what the encoder made is put into the same.
#[test]
fn gstreamer_plays_the_same() {
    for media in [Media::H264Aac, Media::BFrames] {
        let folder = tempfile::tempdir().unwrap();
        packaged(media, folder.path());
        let source = format!("file://{}", media.file().display());
        let source = read_by_gstreamer(&source, &folder.path().join("source.flv"));
        let playlist = format!("{}/index.m3u8", serve(folder.path()));
        let played = read_by_gstreamer(&playlist, &folder.path().join("played.flv"));
        // But for sound before the first picture; and that has its parameter sets in front of
        // it in one of the two.
        for (name, may_miss, skipped) in [("video 0", 0, 1), ("audio 0", 4, 0)] {
            let hashes = |file: &FrameHashes| -> Vec<String> {
                let packets = file.stream(name).iter().skip(skipped);
                packets.map(|packet| packet.hash.clone()).collect()
            };
            let (sent, played) = (hashes(&source), hashes(&played));
            assert!(sent.len() >= 89, "{media:?} {name}");
            assert!(sent.ends_with(&played), "{media:?} {name}");
            assert!(sent.len() - played.len() <= may_miss, "{media:?} {name}");
        }
    }
}

/// The packets that GStreamer finds there.
fn read_by_gstreamer(url: &str, file: &Path) -> FrameHashes {
    let mut command = Tool::GstLaunch.command();
    command.args(["-q", "flvmux", "name=mux", "!", "filesink"]);
    command.arg(format!("location={}", file.display()));
    command.arg("uridecodebin3").arg(format!("uri={url}"));
    command.args(["caps=video/x-h264;audio/mpeg", "name=streams"]);
    let form = "video/x-h264,stream-format=byte-stream,alignment=au";
    command.args(["streams.video_0", "!", "queue", "!", "h264parse", "!", form]);
    command.args(["!", "h264parse", "!", "mux."]);
    command.args([
        "streams.audio_0",
        "!",
        "queue",
        "!",
        "aacparse",
        "!",
        "mux.",
    ]);
    Process::start(format!("GStreamer reading {url}"), command)
        .wait()
        .expect_success();
    FrameHashes::of(file)
}

/// Serves the files of a folder for as long as the test runs; the URL of the folder.
fn serve(folder: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let folder = folder.to_owned();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let folder = folder.clone();
            // A client that goes away is no failure.
            std::thread::spawn(move || answer(connection?, &folder));
        }
    });
    url
}

fn answer(mut connection: TcpStream, folder: &Path) -> std::io::Result<()> {
    let mut lines = BufReader::new(connection.try_clone()?).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or("/");
    let (status, body) = match fs::read(folder.join(path.trim_start_matches('/'))) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    connection.write_all(head.as_bytes())?;
    connection.write_all(&body)
}

/// What ffprobe says is wrong when it reads every packet.
fn complaints(playlist: &Path) -> Vec<String> {
    let mut command = Tool::Ffprobe.command();
    command.args([
        "-v",
        "warning",
        "-of",
        "csv",
        "-show_entries",
        "format=nothing",
    ]);
    command.arg("-count_packets").arg(playlist);
    let finished = Process::start("ffprobe", command).wait().expect_success();
    let lines = finished
        .output
        .iter()
        .filter(|line| !line.starts_with("format"));
    lines.cloned().collect()
}

/// Packages `media` into `folder`, as if it were live, and checks every playlist on the way.
/// The master playlist.
fn packaged(media: Media, folder: &Path) -> PathBuf {
    let settings = Settings {
        segment: Duration::from_secs(1),
        window: Duration::from_secs(3600),
        ..Settings::default()
    };
    let names = Names {
        epoch: "run".to_owned(),
    };
    let mut packager = Packager::new(settings.clone());
    let mut stream = Stream {
        window: Window::new(settings),
        names,
        checkers: Vec::new(),
    };
    let mut events = Vec::new();
    for tag in flv::read(&media.file()) {
        push(&mut packager, &tag, &mut events);
        stream.happened(media, &mut events);
    }
    packager.end(&mut events);
    stream.happened(media, &mut events);
    stream.write(folder)
}

fn push(packager: &mut Packager<Vec<u8>>, tag: &flv::Tag, events: &mut Vec<Event>) {
    let dts = i64::from(tag.time) * 1000;
    let wall = 1_795_970_700_000 + i64::from(tag.time);
    match tag.kind {
        flv::VIDEO => {
            let video = VideoTag::parse(&tag.body).unwrap();
            for packet in video.packets() {
                let (track, codec) = (TrackName::Video(packet.track), Codec::Video(packet.codec));
                let body = &tag.body[packet.body.clone()];
                match packet.kind {
                    VideoPacketKind::SequenceStart => packager.configure(track, codec, body),
                    VideoPacketKind::Frame => {
                        let frame = Frame {
                            track,
                            codec,
                            dts,
                            pts: dts + i64::from(packet.composition_time) * 1000,
                            content: match video.frame_type {
                                FrameType::Key => Content::Key,
                                _ => Content::Inter,
                            },
                            data: body.to_vec(),
                        };
                        packager.push(frame, wall, events);
                    }
                    _ => {}
                }
            }
        }
        flv::AUDIO => {
            let audio = AudioTag::parse(&tag.body).unwrap();
            for packet in audio.packets() {
                let (track, codec) = (TrackName::Audio(packet.track), Codec::Audio(packet.codec));
                let data = tag.body[packet.body.clone()].to_vec();
                let content = Content::Key;
                match packet.kind {
                    AudioPacketKind::SequenceStart => packager.configure(track, codec, &data),
                    AudioPacketKind::Frame => packager.push(
                        Frame {
                            track,
                            codec,
                            dts,
                            pts: dts,
                            content,
                            data,
                        },
                        wall,
                        events,
                    ),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// A stream as a server would have it.
struct Stream {
    window: Window,
    names: Names,
    checkers: Vec<(TrackName, Checker)>,
}

impl Stream {
    fn happened(&mut self, media: Media, events: &mut Vec<Event>) {
        if events.is_empty() {
            return;
        }
        for event in events.drain(..) {
            self.window.apply(event);
        }
        if !self.window.is_playable() {
            return;
        }
        let tracks = self.window.renditions();
        for track in tracks.iter().map(|rendition| rendition.track) {
            let list = media_playlist(&self.window, track, &self.names, Form::Full).unwrap();
            let place = self.checkers.iter().position(|(name, _)| *name == track);
            let place = place.unwrap_or_else(|| {
                self.checkers
                    .push((track, Checker::new(Some(tracks.len() - 1))));
                self.checkers.len() - 1
            });
            let broken = self.checkers[place].1.full(&list);
            assert!(broken.is_empty(), "{media:?} {track:?}: {broken:?}\n{list}");
        }
        let lists: Vec<_> = self
            .checkers
            .iter()
            .filter_map(|(_, is)| is.last())
            .collect();
        for pair in lists.windows(2) {
            assert_eq!(aligned(pair[0], pair[1], 0.1), [], "{media:?}");
        }
    }

    /// Everything as files.
    fn write(&self, folder: &Path) -> PathBuf {
        let put = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
            path
        };
        for rendition in self.window.renditions() {
            let track = rendition.track;
            for (number, _, bytes) in &rendition.inits {
                put(&self.names.init(track, *number), bytes);
            }
            for segment in &rendition.segments {
                let parts: Vec<&[u8]> = segment.parts.iter().map(|part| &part.bytes[..]).collect();
                put(
                    &self.names.segment(track, segment.beginning.msn),
                    &parts.concat(),
                );
            }
            let list = media_playlist(&self.window, track, &self.names, Form::Full).unwrap();
            put(&self.names.playlist(track), list.as_bytes());
        }
        let master = master_playlist(&self.window, &self.names).unwrap();
        put("index.m3u8", master.as_bytes())
    }
}
