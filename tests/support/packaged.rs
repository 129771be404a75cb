//! Media packaged into a folder, as a server would list it, and that folder served.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use openrtmp_media::dash;
use openrtmp_media::hls::check::{Checker, aligned};
use openrtmp_media::hls::session::{Master, Session};
use openrtmp_media::hls::{Form, Names, master_playlist, media_playlist};
use openrtmp_media::mp4::{Codec, Content, Frame, TrackName};
use openrtmp_media::packager::{Event, Packager, Settings, Window};
use openrtmp_protocol::media::{AudioPacketKind, AudioTag, FrameType, VideoPacketKind, VideoTag};

use crate::{Media, flv};

/// Media of every coding that ends in a folder unaltered.
pub const EVERY: [Media; 12] = [
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
];

/// Packages each into a folder of its own, which is looked at.
///
/// # Panics
/// If a rule is broken.
pub fn each(media: impl IntoIterator<Item = Media>, mut look: impl FnMut(Media, &Path)) {
    for media in media {
        let folder = tempfile::tempdir().expect("a folder");
        packaged(media, folder.path());
        look(media, folder.path());
    }
}

/// Packages `media` into `folder`, as if it were live, and checks every playlist and manifest
/// on the way. What is there at the end: `index.m3u8`, `index.mpd`, and what they name.
///
/// # Panics
/// If a rule is broken.
fn packaged(media: Media, folder: &Path) {
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
        manifests: dash::check::Checker::default(),
        now: 0,
    };
    let mut events = Vec::new();
    for tag in flv::read(&media.file()) {
        push(&mut packager, &tag, &mut events);
        stream.now = stream.now.max(wall(&tag));
        stream.happened(media, &mut events);
    }
    // What has ended lists no parts.
    stream.look_into(media);
    packager.end(&mut events);
    stream.happened(media, &mut events);
    stream.write(folder);
}

fn wall(tag: &flv::Tag) -> i64 {
    1_795_970_700_000 + i64::from(tag.time)
}

fn push(packager: &mut Packager<Vec<u8>>, tag: &flv::Tag, events: &mut Vec<Event>) {
    let dts = i64::from(tag.time) * 1000;
    let wall = wall(tag);
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
    manifests: dash::check::Checker,
    /// Of the last frame, in milliseconds since 1970.
    now: i64,
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
        // It is there somewhat later than lists are, and to the end.
        let Some(manifest) = self.manifest() else {
            assert!(self.manifests.last().is_none(), "{media:?}");
            assert!(!self.window.has_ended(), "{media:?}");
            return;
        };
        let broken = self.manifests.read(&manifest);
        assert!(broken.is_empty(), "{media:?}: {broken:?}\n{manifest}");
        let listed = self.manifests.last().unwrap();
        // Frames came when their times say, but for rounding.
        let early = dash::check::availability(listed, self.now, 0.1);
        assert_eq!(early, [], "{media:?}: {manifest}");
    }

    /// What is listed is what it is said to be.
    fn look_into(&self, media: Media) {
        let Some(master) = master_playlist(&self.window, &self.names) else {
            return;
        };
        let master = Master::parse(&master).unwrap();
        let mut session = Session::new(Some(&master));
        for variant in &master.variants {
            session.codecs(&variant.uri, master.codecs(variant));
        }
        for rendition in self.window.renditions() {
            let track = rendition.track;
            let (name, names) = (self.names.playlist(track), &self.names);
            let list = media_playlist(&self.window, track, names, Form::Full).unwrap();
            session.playlist(&name, &list, Duration::ZERO);
            let mut put = |file: String, bytes: Vec<u8>| {
                let (_epoch, uri) = file.split_once('/').unwrap();
                session.media(&name, uri, bytes);
            };
            for (number, _, bytes) in &rendition.inits {
                put(names.init(track, *number), bytes.to_vec());
            }
            for segment in &rendition.segments {
                let msn = segment.beginning.msn;
                let parts: Vec<Vec<u8>> =
                    segment.parts.iter().map(|it| it.bytes.to_vec()).collect();
                put(names.segment(track, msn), parts.concat());
                for (place, bytes) in parts.into_iter().enumerate() {
                    put(names.part(track, msn, place), bytes);
                }
            }
        }
        assert_eq!(session.wrong(), [], "{media:?}");
    }

    fn manifest(&self) -> Option<String> {
        let clock = dash::Clock {
            published: self.now,
            url: "/time",
        };
        dash::manifest(&self.window, &self.names, &clock)
    }

    /// Everything as files.
    fn write(&self, folder: &Path) {
        let put = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        for rendition in self.window.renditions() {
            let track = rendition.track;
            for (number, _, bytes) in &rendition.inits {
                put(&self.names.init(track, *number), bytes);
            }
            for segment in &rendition.segments {
                let parts: Vec<&[u8]> = segment.parts.iter().map(|part| &part.bytes[..]).collect();
                let bytes = parts.concat();
                put(&self.names.segment(track, segment.beginning.msn), &bytes);
                if let Some((start, _)) = segment.span() {
                    put(&self.names.segment_at(track, start), &bytes);
                }
            }
            let list = media_playlist(&self.window, track, &self.names, Form::Full).unwrap();
            put(&self.names.playlist(track), list.as_bytes());
        }
        let master = master_playlist(&self.window, &self.names).unwrap();
        put("index.m3u8", master.as_bytes());
        let manifest = self.manifest().expect("a manifest at the end");
        put("index.mpd", manifest.as_bytes());
    }
}

/// Serves the files of a folder over HTTP for as long as the test runs; the URL of the folder.
///
/// # Panics
/// If the system has no port.
pub fn serve(folder: &Path) -> String {
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
