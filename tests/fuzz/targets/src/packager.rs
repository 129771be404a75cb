//! Streams cut for HLS and DASH: any tracks, configurations, frames and times.
//!
//! - A part is whole boxes, `moof` and `mdat` behind what is said, or a gap of nothing.
//! - The same steps make the same events.
//! - Every playlist and manifest on the way keeps the rules that the checkers know, and a delta
//!   is the whole for who read the one before.
//! - What has a place in a transport stream is whole packets there, each element's in sixteens.
//! - What waits is bounded.

use std::collections::BTreeMap;

use arbitrary::Unstructured;
use bytes::Bytes;
use openrtmp_media::cues::{Cue, CueKind};
use openrtmp_media::dash;
use openrtmp_media::hls::check::Checker;
use openrtmp_media::hls::read::Listed;
use openrtmp_media::hls::{Form, Names, master_playlist, media_playlist, transport_tracks};
use openrtmp_media::mp4::{Codec, Content, Frame, TrackName};
use openrtmp_media::packager::{Event, Packager, Rendition, Settings, Window};
use openrtmp_media::ts;

use crate::input::{self, take};
use crate::media::{AUDIO, VIDEO};

/// Steps: what to do, a track and its codec, a time, a configuration or frame.
pub fn run(data: &[u8]) {
    let made = package(data, |_, _| {});
    let mut window = Window::new(Settings::default());
    let mut seen = Playlists::default();
    let again = package(data, |packager, events| {
        assert!(packager.held_bytes() <= data.len() + (64 << 10));
        for event in events {
            window.apply(event.clone());
        }
        if events
            .iter()
            .any(|event| matches!(event, Event::Closed { .. }))
        {
            seen.look(&window);
        }
    });
    assert_eq!(made, again);
    transport(&window);
    for event in made {
        if let Event::Part { part, .. } = event {
            check_part(&part.bytes, part.is_gap);
        }
    }
}

fn package(data: &[u8], mut seen: impl FnMut(&Packager<Vec<u8>>, &[Event])) -> Vec<Event> {
    let mut input = Unstructured::new(data);
    let mut packager = Packager::new(Settings::default());
    let mut time = i64::from(take::<i32>(&mut input)) * 1000;
    let mut all = Vec::new();
    while !input.is_empty() {
        let step: u8 = take(&mut input);
        let number: u8 = take(&mut input);
        let kind: u8 = take(&mut input);
        time = time.saturating_add(i64::from(take::<i16>(&mut input)) * 1000);
        let composition = i64::from(take::<i16>(&mut input)) * 1000;
        let body = take::<input::Piece<'_>>(&mut input).0;
        let (track, codec) = match number & 1 {
            0 => {
                let codec = VIDEO[usize::from(kind) % VIDEO.len()];
                (TrackName::Video(number >> 1), Codec::Video(codec))
            }
            _ => {
                let codec = AUDIO[usize::from(kind) % AUDIO.len()];
                (TrackName::Audio(number >> 1), Codec::Audio(codec))
            }
        };
        let frame = |content| Frame {
            track,
            codec,
            dts: time,
            pts: time.saturating_add(composition),
            content,
            data: body.to_vec(),
        };
        let mut events = Vec::new();
        match step % 16 {
            0 | 8 => packager.configure(track, codec, body),
            1 => packager.stall(&mut events),
            9 => packager.restart(&mut events),
            13 => packager.tell(cue(kind, body), time),
            5 => packager.push(frame(Content::Prelude), time / 1000, &mut events),
            2..=4 | 10..=12 => packager.push(frame(Content::Key), time / 1000, &mut events),
            _ => packager.push(frame(Content::Inter), time / 1000, &mut events),
        }
        seen(&packager, &events);
        all.extend(events);
    }
    let mut events = Vec::new();
    packager.end(&mut events);
    seen(&packager, &events);
    all.extend(events);
    all
}

/// Something that is said, in few bytes.
fn cue(kind: u8, body: &[u8]) -> Cue {
    Cue {
        kind: CueKind::ALL[usize::from(kind) % CueKind::ALL.len()],
        json: String::from_utf8_lossy(body).into_owned(),
    }
}

#[derive(Default)]
struct Playlists {
    checkers: BTreeMap<TrackName, Checker>,
    manifests: dash::check::Checker,
}

impl Playlists {
    fn look(&mut self, window: &Window) {
        let names = Names {
            epoch: "e".to_owned(),
        };
        assert_eq!(
            master_playlist(window, &names).is_some(),
            window.is_playable()
        );
        let clock = dash::Clock {
            published: 0,
            url: "/time",
        };
        if let Some(manifest) = dash::manifest(window, &names, &clock) {
            let broken = self.manifests.read(&manifest);
            assert!(broken.is_empty(), "{broken:?}\n{manifest}");
        }
        for rendition in window.renditions() {
            let list = |form| media_playlist(window, rendition.track, &names, form);
            let (Some(full), Some(delta)) = (list(Form::Full), list(Form::Delta)) else {
                continue;
            };
            let checker = self.checkers.entry(rendition.track).or_default();
            let broken = checker.full(&full);
            assert!(broken.is_empty(), "{broken:?}\n{full}");
            let delta = Listed::parse(&delta).expect("ours");
            let merged = checker.last().and_then(|last| delta.merged(last));
            let merged = merged.expect("what is left out is in the whole");
            assert_eq!(
                merged.segments.len(),
                checker.last().expect("read").segments.len()
            );
        }
    }
}

/// Every segment as a transport stream, if there is one.
fn transport(window: &Window) {
    let tracks = transport_tracks(window);
    let renditions = tracks.iter().filter_map(|track| window.rendition(*track));
    let renditions: Vec<&Rendition> = renditions.collect();
    let Some(leading) = renditions.first() else {
        return;
    };
    for segment in leading.segments.iter().filter(|is| is.is_complete) {
        let msn = segment.beginning.msn;
        let kept = renditions.iter().filter_map(|rendition| {
            let segment = rendition.segment(msn)?;
            let parts: Vec<Bytes> = segment.parts.iter().map(|it| it.bytes.clone()).collect();
            Some((rendition.init(segment.beginning.init)?, parts))
        });
        let kept: Vec<(&Bytes, Vec<Bytes>)> = kept.collect();
        let sources = kept.iter().map(|(init, parts)| ts::Source {
            init,
            parts,
            reorder: 0,
        });
        let sources: Vec<ts::Source<'_>> = sources.collect();
        let Ok(made) = ts::segment(&sources, 0) else {
            continue;
        };
        let mut counts: BTreeMap<[u8; 2], u32> = BTreeMap::new();
        for packet in made.chunks(188) {
            assert_eq!((packet.len(), packet[0]), (188, 0x47));
            let pid = [packet[1] & 0x1F, packet[2]];
            *counts.entry(pid).or_default() += u32::from(packet[3] >> 4 & 1);
        }
        assert!(counts.values().all(|count| count % 16 == 0));
    }
}

fn check_part(bytes: &[u8], is_gap: bool) {
    let mut rest = bytes;
    let mut kinds = Vec::new();
    while let Some(&size) = rest.first_chunk() {
        let (this, behind) = rest.split_at(u32::from_be_bytes(size) as usize);
        kinds.push(&this[4..8]);
        rest = behind;
    }
    assert!(rest.is_empty());
    // What is said stands in front.
    kinds.retain(|kind| *kind != b"emsg");
    let expected: &[&[u8]] = if is_gap { &[] } else { &[b"moof", b"mdat"] };
    assert_eq!(kinds, expected);
}
