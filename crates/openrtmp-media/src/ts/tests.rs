//! Transport streams read back, and compared with what they were made of.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::mp4::TrackName;
use crate::packager::timelines::{self, AUDIO, Timeline, VIDEO};
use crate::packager::{Segment, Window};

/// What is in the packets of one program element.
#[derive(Debug, Default)]
struct Stream {
    /// What was sent together, heads included.
    sent: Vec<Vec<u8>>,
    counters: Vec<u8>,
    clocks: Vec<u64>,
}

/// Takes packets apart.
fn streams(bytes: &[u8]) -> BTreeMap<u16, Stream> {
    assert_eq!(bytes.len() % 188, 0);
    let mut streams: BTreeMap<u16, Stream> = BTreeMap::new();
    for packet in bytes.chunks(188) {
        assert_eq!(packet[0], 0x47);
        let pid = u16::from_be_bytes([packet[1] & 0x1F, packet[2]]);
        let stream = streams.entry(pid).or_default();
        let control = packet[3] >> 4 & 3;
        let mut payload = &packet[4..];
        if control & 2 != 0 {
            let (field, rest) = payload[1..].split_at(payload[0].into());
            payload = rest;
            if field.first().is_some_and(|flags| flags & 0x10 != 0) {
                let base = u32::from_be_bytes(field[1..5].try_into().unwrap());
                stream
                    .clocks
                    .push(u64::from(base) << 1 | u64::from(field[5] >> 7));
            }
        }
        if control & 1 == 0 {
            assert!(payload.is_empty());
            continue;
        }
        assert!(!payload.is_empty());
        stream.counters.push(packet[3] & 15);
        match packet[1] & 0x40 != 0 {
            true => stream.sent.push(payload.to_vec()),
            false => stream.sent.last_mut().unwrap().extend(payload),
        }
    }
    streams
}

/// A time of a head.
fn time(bytes: &[u8]) -> u64 {
    let of = |at: usize| u64::from(bytes[at]);
    assert!(of(0) & 1 == 1 && of(2) & 1 == 1 && of(4) & 1 == 1);
    (of(0) >> 1 & 7) << 30 | of(1) << 22 | (of(2) >> 1) << 15 | of(3) << 7 | of(4) >> 1
}

/// Presentation and decoding time, and what is behind the head.
fn opened(pes: &[u8]) -> (u64, u64, &[u8]) {
    assert_eq!(&pes[..3], [0, 0, 1]);
    let told = usize::from(u16::from_be_bytes([pes[4], pes[5]]));
    assert!(
        told == 0 || told + 6 == pes.len(),
        "{told} of {}",
        pes.len()
    );
    let pts = time(&pes[9..]);
    let dts = if pes[7] & 0x40 != 0 {
        time(&pes[14..])
    } else {
        pts
    };
    (pts, dts, &pes[9 + usize::from(pes[8])..])
}

fn source<'a>(
    window: &'a Window,
    track: TrackName,
    parts: &'a [Bytes],
    is: &Segment,
) -> Source<'a> {
    let rendition = window.rendition(track).unwrap();
    Source {
        init: rendition.init(is.beginning.init).unwrap(),
        parts,
        reorder: is.parts.iter().map(|part| part.reorder).max().unwrap_or(0),
    }
}

fn parts(segment: &Segment) -> Vec<Bytes> {
    segment
        .parts
        .iter()
        .map(|part| part.bytes.clone())
        .collect()
}

/// The samples of a segment: times, and bytes.
fn frames(parts: &[Bytes]) -> Vec<(Located, Vec<u8>)> {
    let parts = parts.iter().filter(|part| !part.is_empty());
    let frames = parts.flat_map(|part| {
        let samples = read::samples(part).unwrap();
        samples.into_iter().map(|is| {
            let bytes = part[is.range.clone()].to_vec();
            (is, bytes)
        })
    });
    frames.collect()
}

/// Every complete segment of a stream as a transport stream; how many there were.
fn follow(timeline: &Timeline) -> Result<usize, TestCaseError> {
    let mut window = Window::new(timeline.settings());
    timelines::run(timeline.settings(), &timeline.inputs(), |_, events| {
        for event in events {
            window.apply(event);
        }
    });
    let mut seen = 0;
    let Some(video) = window.rendition(VIDEO) else {
        return Ok(0);
    };
    for segment in video.segments.iter().filter(|is| is.is_complete) {
        let init = video.init(segment.beginning.init).unwrap();
        // AV1 has no place in it.
        if super::fits(init).is_err() {
            let parts = parts(segment);
            let refused = super::segment(&[source(&window, VIDEO, &parts, segment)], 1);
            prop_assert_eq!(refused, Err(NoStream::Coding(*b"av01")));
            continue;
        }
        let is_avc = read::track_header(init).unwrap().coding == *b"avc1";
        let delimiter: &[u8] = match is_avc {
            true => &[0, 0, 0, 1, 9, 0xF0],
            false => &[0, 0, 0, 1, 35 << 1, 1, 0x50],
        };
        let msn = segment.beginning.msn;
        let audio = window.rendition(AUDIO);
        // Opus has no place in it.
        let fits = |is: &&Segment| {
            let init = window
                .rendition(AUDIO)
                .and_then(|all| all.init(is.beginning.init));
            super::fits(init.unwrap()).is_ok()
        };
        let audio = audio.and_then(|audio| audio.segment(msn).filter(|is| is.is_complete));
        let audio = audio.filter(fits);
        let (pictures, sound) = (parts(segment), audio.map(parts).unwrap_or_default());
        let mut sources = vec![source(&window, VIDEO, &pictures, segment)];
        sources.extend(audio.map(|audio| source(&window, AUDIO, &sound, audio)));
        let made = super::segment(&sources, 1).expect("what encoders send");
        let streams = streams(&made);
        for (pid, stream) in &streams {
            prop_assert_eq!(stream.counters.len() % 16, 0, "{}", pid);
            for (place, counter) in stream.counters.iter().enumerate() {
                prop_assert_eq!(usize::from(*counter), place % 16, "{}", pid);
            }
        }
        for table in [0, 0x100] {
            for section in &streams[&table].sent {
                let length = usize::from(u16::from_be_bytes([section[2] & 0xF, section[3]]));
                prop_assert_eq!(packets::checksum(&section[1..4 + length]), 0);
            }
        }
        let frames = frames(&pictures);
        let sent = streams.get(&0x101).map_or(&[][..], |stream| &stream.sent);
        prop_assert_eq!(sent.len(), frames.len());
        let mut last = 0;
        for (pes, (sample, _)) in sent.iter().zip(&frames) {
            let (pts, dts, units) = opened(pes);
            let shown = sample
                .decode_time
                .saturating_add_signed(sample.composition_offset.into());
            prop_assert!(pts == shown || pts == dts, "{} {}", pts, shown);
            prop_assert!(dts <= pts && dts >= last, "{} {} {}", last, dts, pts);
            last = dts;
            prop_assert_eq!(&units[..delimiter.len()], delimiter);
        }
        // Sound is there frame by frame, each behind a head that tells how long it is.
        let sent = streams.get(&0x102).map_or(&[][..], |stream| &stream.sent);
        let mut heard = self::frames(&sound).into_iter();
        for pes in sent {
            let (pts, _, mut rest) = opened(pes);
            let mut is_first = true;
            while !rest.is_empty() {
                let length = usize::from(rest[3] & 3) << 11
                    | usize::from(rest[4]) << 3
                    | usize::from(rest[5] >> 5);
                let (frame, behind) = rest.split_at(length);
                let (sample, bytes) = heard.next().expect("as many as there were");
                prop_assert_eq!(&frame[..2], [0xFF, 0xF1]);
                prop_assert_eq!(&frame[7..], &bytes);
                let rate = [48_000, 44_100][usize::from(rest[2] >> 2 & 15) - 3];
                let at = sample.decode_time * TICKS / rate;
                prop_assert!(
                    !std::mem::take(&mut is_first) || at == pts,
                    "{} {}",
                    at,
                    pts
                );
                rest = behind;
            }
        }
        prop_assert!(heard.next().is_none());
        let clocks = streams.get(&0x101).map_or(&[][..], |stream| &stream.clocks);
        for pair in clocks.windows(2) {
            prop_assert!(
                pair[0] <= pair[1] && pair[1] - pair[0] <= 9000,
                "{:?}",
                pair
            );
        }
        seen += 1;
    }
    Ok(seen)
}

#[test]
fn units_have_start_codes_and_key_frames_their_parameter_sets() {
    let avc = Coding::Avc(4, b"\0\0\0\x01\x67s\0\0\0\x01\x68p".to_vec());
    let made = |frame: &[u8], is_key| {
        let mut out = Vec::new();
        avc.put(frame, is_key, &mut out).unwrap();
        out
    };
    let delimiter = b"\0\0\0\x01\x09\xF0";
    let key = b"\0\0\0\x02\x09\xF0\0\0\0\x03\x65ab\0\0\0\0\0\0\0\x02\x06z";
    let expected = b"\0\0\0\x01\x67s\0\0\0\x01\x68p\0\0\0\x01\x65ab\0\0\0\x01\x06z";
    assert_eq!(made(key, true), [&delimiter[..], expected].concat());
    // Those that come with the frame are in force.
    let own = b"\0\0\0\x02\x67t\0\0\0\x02\x65a";
    let expected = b"\0\0\0\x01\x67t\0\0\0\x01\x65a";
    assert_eq!(made(own, true), [&delimiter[..], expected].concat());
    // What is cut off is left out.
    let cut = b"\0\0\0\x02\x41a\0\0\0\x09\x41";
    assert_eq!(
        made(cut, false),
        [&delimiter[..], b"\0\0\0\x01\x41a"].concat()
    );
}

proptest! {
    #[test]
    fn segments_are_what_they_are_made_of(timeline in timelines::timeline()) {
        follow(&timeline)?;
    }

    #[test]
    fn whatever_is_given_is_refused_or_read(
        changes in proptest::collection::vec((any::<bool>(), any::<u16>(), any::<u8>()), 1..9),
        cut in any::<u16>(),
    ) {
        let (mut init, mut part) = CODED.with(Clone::clone);
        for (is_init, at, to) in changes {
            let bytes = if is_init { &mut init } else { &mut part };
            let at = usize::from(at) % bytes.len();
            bytes[at] = to;
        }
        part.truncate(usize::from(cut) % part.len() * 4);
        let parts = [Bytes::from(part)];
        let source = Source { init: &init, parts: &parts, reorder: 0 };
        if let Ok(made) = super::segment(&[source, source], 0) {
            prop_assert_eq!(made.len() % 188, 0);
        }
    }
}

thread_local! {
    /// An init segment and a part, as they should be.
    static CODED: (Vec<u8>, Vec<u8>) = coded();
}

fn coded() -> (Vec<u8>, Vec<u8>) {
    let mut inputs = vec![timelines::video_config(0)];
    inputs.extend((0..90).map(|at| timelines::frame(VIDEO, at * 33, 66, at % 30 == 0)));
    let mut window = Window::new(timelines::settings());
    for event in timelines::events(timelines::settings(), &inputs) {
        window.apply(event);
    }
    let segment = &window.rendition(VIDEO).unwrap().segments[0];
    let init = window.rendition(VIDEO).unwrap().init(0).unwrap();
    (init.to_vec(), segment.parts[0].bytes.to_vec())
}
