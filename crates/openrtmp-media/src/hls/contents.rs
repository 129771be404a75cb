//! What media hold, held against what a playlist says of them.
//!
//! Only media of one track are looked into: of several in one file a playlist says too little.

use openrtmp_protocol::media::{AudioCodec, VideoCodec};

use super::read::{ListedSegment, bare};
use crate::codecs::{MP3, audio_string, video_string};
use crate::mp4::Access;
use crate::mp4::read::{
    Located, TrackHeader, decoder, fragments, track_count, track_header, units,
};

/// Texts have five decimals.
const ROUNDING: f64 = 0.000_02;

/// Frames are of another rate if their lengths differ by so much: those of an encoder that
/// leaves some out, and milliseconds, do by less.
const OTHER_RATE: f64 = 1.15;
/// And by more than whole milliseconds make of equal ones.
const TIMESTAMP: f64 = 0.0015;

/// What is not as the playlist says. Each tells of which URI.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Untrue {
    /// It cannot be read.
    #[error("{} cannot be read", bare(.0))]
    Unreadable(String),
    /// Its codec is none of those that the master playlist tells of (RFC 8216bis, 4.4.6.2).
    #[error("{} is {}, and CODECS says {}", bare(.0), .1, .2)]
    Codec(String, String, String),
    /// It is longer or shorter than the playlist says, by more than a frame (Apple, 7.7).
    #[error("{} has {} s, and is said to have {} s", bare(.0), .1, .2)]
    Length(String, f64, f64),
    /// It begins elsewhere than where those before it end, by more than a frame (Apple, 7.3).
    #[error("{} begins {} s from the end of what is before it", bare(.0), .1)]
    Time(String, f64),
    /// It is said to be independent, and decoding cannot start with it (4.4.4.9).
    #[error("{} is said to be independent, and begins with no key frame", bare(.0))]
    NotIndependent(String),
    /// Its parameter sets are in the frames, and not where a player reads them first (Apple,
    /// 1.10).
    #[error("{} has {} for a sample entry", bare(.0), .1)]
    SampleEntry(String, &'static str),
    /// Frames are longer or shorter than those before, without a discontinuity (Apple, 8.15):
    /// how many there were in a second, and are.
    #[error("{} goes on with {} frames per second behind {}", bare(.0), .2, .1)]
    FrameRate(String, f64, f64),
    /// A segment is not what its parts are, one after the other (3.1).
    #[error("{} is not its parts", bare(.0))]
    Parts(String),
}

/// A segment that came.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// What the playlist says of it.
    pub told: &'a ListedSegment,
    /// What it is.
    pub bytes: &'a [u8],
    /// Its parts, if all of them came.
    pub parts: Option<&'a [&'a [u8]]>,
}

/// What is not as it is told of these segments, which follow each other and have this init
/// segment. `codecs` is what the master playlist has, or nothing if there is none.
pub fn check(uri: &str, init: &[u8], codecs: &[&str], segments: &[Held<'_>]) -> Vec<Untrue> {
    if track_count(init) > 1 {
        return Vec::new();
    }
    let Some(header) = track_header(init) else {
        return vec![Untrue::Unreadable(uri.to_owned())];
    };
    let mut untrue = Vec::new();
    for (coding, entry) in [(b"avc3", "avc3"), (b"hev1", "hev1")] {
        if header.coding == *coding {
            untrue.push(Untrue::SampleEntry(uri.to_owned(), entry));
        }
    }
    let (mut before, mut usual) = (None, None);
    for held in segments {
        let told = held.told;
        let name = told.uri.clone().unwrap_or_default();
        if let Some(parts) = held.parts
            && parts.concat() != held.bytes
        {
            untrue.push(Untrue::Parts(name.clone()));
        }
        let Some(samples) = fragments(held.bytes).filter(|samples| !samples.is_empty()) else {
            untrue.push(Untrue::Unreadable(name));
            before = None;
            continue;
        };
        if before.is_none()
            && let Some(is) = codec(&header, &held.bytes[samples[0].range.clone()])
            && !codecs.is_empty()
            && !codecs.contains(&is.as_str())
        {
            let (uri, all) = (uri.to_owned(), codecs.join(","));
            untrue.push(Untrue::Codec(uri, is, all));
        }
        let clock = Clock::of(&header, &samples);
        let said = told.duration.unwrap_or(0.0);
        check_length(&name, &clock, said, &mut untrue);
        // Where it was to begin: by what was told of those before, whose differences add up.
        let due = match before {
            Some(due) if !told.is_discontinuity => due,
            _ => clock.start,
        };
        let apart = clock.start - due;
        if apart.abs() > clock.frame + ROUNDING {
            untrue.push(Untrue::Time(name.clone(), rounded(apart)));
        }
        let frame = usual.replace(clock.usual);
        if let Some(frame) = frame.filter(|_| before.is_some() && !told.is_discontinuity)
            && !(1.0 / OTHER_RATE..=OTHER_RATE).contains(&(clock.usual / frame))
            && (clock.usual - frame).abs() > TIMESTAMP
        {
            let rates = (rounded(1.0 / frame), rounded(1.0 / clock.usual));
            untrue.push(Untrue::FrameRate(name.clone(), rates.0, rates.1));
        }
        before = Some(due + said);
        for (part, bytes) in told.parts.iter().zip(held.parts.unwrap_or(&[])) {
            check_part(&header, part, bytes, &mut untrue);
        }
    }
    untrue
}

fn check_part(
    header: &TrackHeader<'_>,
    told: &super::read::ListedPart,
    bytes: &[u8],
    untrue: &mut Vec<Untrue>,
) {
    let Some(samples) = fragments(bytes).filter(|samples| !samples.is_empty()) else {
        return untrue.push(Untrue::Unreadable(told.uri.clone()));
    };
    let clock = Clock::of(header, &samples);
    check_length(&told.uri, &clock, told.duration, untrue);
    let first = &samples[0];
    let is_key = first.access == Access::Sync && is_key(header, &bytes[first.range.clone()]);
    if told.is_independent && !is_key {
        untrue.push(Untrue::NotIndependent(told.uri.clone()));
    }
}

fn check_length(name: &str, clock: &Clock, said: f64, untrue: &mut Vec<Untrue>) {
    if (clock.long - said).abs() > clock.frame + ROUNDING {
        let name = name.to_owned();
        untrue.push(Untrue::Length(name, rounded(clock.long), said));
    }
}

/// As it is shown.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// Times in seconds.
struct Clock {
    start: f64,
    long: f64,
    /// The longest sample.
    frame: f64,
    /// One of medium length.
    usual: f64,
}

impl Clock {
    fn of(header: &TrackHeader<'_>, samples: &[Located]) -> Clock {
        let seconds = |ticks: u64| ticks as f64 / f64::from(header.timescale);
        let durations = samples.iter().map(|sample| u64::from(sample.duration));
        let mut sorted: Vec<u64> = durations.clone().collect();
        sorted.sort_unstable();
        Clock {
            start: seconds(samples.first().map_or(0, |first| first.decode_time)),
            long: seconds(durations.sum()),
            frame: seconds(sorted.last().copied().unwrap_or(0)),
            usual: seconds(sorted.get(sorted.len() / 2).copied().unwrap_or(1).max(1)),
        }
    }
}

/// What `VIDEO-RANGE` is to say of a track with this init segment, where its colors are told in
/// the file (ISO/IEC 14496-12, 12.1.5; transfer characteristics of ISO/IEC 23091-2).
pub fn video_range(init: &[u8]) -> Option<&'static str> {
    let colors = init.windows(8).position(|it| it == b"colrnclx")?;
    // Behind the primaries.
    let transfer = init.get(colors + 10..colors + 12)?;
    Some(match transfer {
        [0, 16] => "PQ",
        [0, 18] => "HLG",
        _ => "SDR",
    })
}

/// The codec of a track with this init segment, as [`family`](crate::codecs::family) has it but in small letters.
pub(super) fn coding(init: &[u8]) -> Option<String> {
    let header = track_header(init)?;
    let coding = match &header.coding {
        b"mp4a" if decoder(header.configuration)?.0 != 0x40 => MP3,
        coding => std::str::from_utf8(coding).ok()?,
    };
    Some(coding.to_ascii_lowercase())
}

/// The codec string of a track; `None`: of what is not known here.
fn codec(header: &TrackHeader<'_>, first: &[u8]) -> Option<String> {
    let config = header.configuration;
    match &header.coding {
        b"avc1" => video_string(VideoCodec::Avc, config, &[]),
        b"hvc1" => video_string(VideoCodec::Hevc, config, &[]),
        b"av01" => video_string(VideoCodec::Av1, config, first),
        b"vp09" => video_string(VideoCodec::Vp9, config, &[]),
        b"mp4a" => match decoder(config)? {
            (0x40, specific) => audio_string(AudioCodec::Aac, specific, &[]),
            (0x69 | 0x6B, _) => audio_string(AudioCodec::Mp3, &[], first),
            _ => None,
        },
        b"Opus" => Some("opus".to_owned()),
        b"fLaC" => Some("fLaC".to_owned()),
        b"ac-3" => Some("ac-3".to_owned()),
        b"ec-3" => Some("ec-3".to_owned()),
        _ => None,
    }
}

/// Whether decoding can start with a sample, by what is in it where that can be seen.
fn is_key(header: &TrackHeader<'_>, sample: &[u8]) -> bool {
    let config = header.configuration;
    // Bytes of the lengths of NAL units (ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1).
    let length = |at: usize| config.get(at).map_or(4, |byte| usize::from(byte & 3) + 1);
    match &header.coding {
        b"avc1" | b"avc3" => units(sample, length(4)).any(|unit| unit[0] & 0x1F == 5),
        // IRAP pictures.
        b"hvc1" | b"hev1" => {
            units(sample, length(21)).any(|unit| (16..24).contains(&(unit[0] >> 1 & 0x3F)))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hls::read::Listed;
    use crate::hls::{Form, Names, media_playlist};
    use crate::mp4::Frame;
    use crate::packager::timelines::{self, Input, VIDEO, video_config};
    use crate::packager::{Event, Settings, Window};

    /// Segments of a stream as they are delivered.
    struct Kept {
        init: Vec<u8>,
        told: Vec<ListedSegment>,
        parts: Vec<Vec<Vec<u8>>>,
    }

    impl Kept {
        /// Pictures for four segments, with a key frame each second.
        fn new() -> Kept {
            Kept::of(|number| number * 40)
        }

        /// Pictures at these milliseconds, of which every 25th is a key frame.
        fn of(time: impl Fn(i64) -> i64) -> Kept {
            Kept::made(time, |_| IDR)
        }

        /// The same; `key` is what the key frame with this number has for a NAL unit's header.
        fn made(time: impl Fn(i64) -> i64, key: impl Fn(i64) -> u8) -> Kept {
            let mut inputs = vec![video_config(0)];
            for number in 0..200 {
                let is_key = number % 25 == 0;
                let input = timelines::frame(VIDEO, time(number), 0, is_key);
                let Input::Push(frame) = input else {
                    panic!("a frame");
                };
                let kind = if is_key { key(number / 25) } else { 0x41 };
                let data = vec![0, 0, 0, 2, kind, number as u8];
                inputs.push(Input::Push(Frame { data, ..frame }));
            }
            let settings = Settings::default();
            let mut window = Window::new(settings.clone());
            // What has ended lists no parts.
            let events = timelines::events(settings, &inputs).into_iter();
            for event in events.filter(|event| *event != Event::End) {
                window.apply(event);
            }
            let names = Names {
                epoch: "e".to_owned(),
            };
            let list = media_playlist(&window, VIDEO, &names, Form::Full).unwrap();
            let told = Listed::parse(&list).unwrap().segments;
            let told: Vec<_> = told.into_iter().filter(|it| it.uri.is_some()).collect();
            let rendition = window.rendition(VIDEO).unwrap();
            let segments = rendition.segments.iter().take(told.len());
            let parts = segments.map(|segment| {
                let parts = segment.parts.iter();
                parts.map(|part| part.bytes.to_vec()).collect()
            });
            Kept {
                init: rendition.inits[0].2.to_vec(),
                parts: parts.collect(),
                told,
            }
        }

        fn whole(&self) -> Vec<Vec<u8>> {
            self.parts.iter().map(|parts| parts.concat()).collect()
        }

        /// What is wrong with it, where the segments are these bytes.
        fn untrue(&self, codecs: &[&str], whole: &[Vec<u8>]) -> Vec<Untrue> {
            let parts: Vec<Vec<&[u8]>> = self
                .parts
                .iter()
                .map(|parts| parts.iter().map(Vec::as_slice).collect())
                .collect();
            let held: Vec<Held<'_>> = self
                .told
                .iter()
                .enumerate()
                .map(|(place, told)| Held {
                    told,
                    bytes: &whole[place],
                    parts: (!told.parts.is_empty()).then_some(parts[place].as_slice()),
                })
                .collect();
            check("init", &self.init, codecs, &held)
        }
    }

    /// The header of an IDR picture, and of one that is none.
    const IDR: u8 = 0x65;
    const OTHER: u8 = 0x61;

    const CODECS: &[&str] = &["mp4a.40.2", "avc1.64000d"];

    fn told(untrue: &[Untrue]) -> Vec<String> {
        untrue.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_delivered_is_what_is_told() {
        let kept = Kept::new();
        assert!(kept.told.len() > 2 && kept.told.iter().any(|it| it.parts.len() > 2));
        let is_independent = |told: &ListedSegment| told.parts.iter().any(|it| it.is_independent);
        assert!(kept.told.iter().any(is_independent));
        assert_eq!(told(&kept.untrue(CODECS, &kept.whole())), [""; 0]);
        // Without a master playlist nothing is told of the codec.
        assert_eq!(kept.untrue(&[], &kept.whole()), []);
    }

    #[test]
    fn another_codec_is_told() {
        let kept = Kept::new();
        let untrue = kept.untrue(&["hvc1.1.6.L93.B0"], &kept.whole());
        assert_eq!(
            told(&untrue),
            ["init is avc1.64000d, and CODECS says hvc1.1.6.L93.B0"]
        );
    }

    #[test]
    fn a_segment_that_is_not_its_parts_is_told() {
        let kept = Kept::new();
        let mut whole = kept.whole();
        let last = whole.last_mut().unwrap();
        *last.last_mut().unwrap() ^= 1;
        let uri = kept.told.last().unwrap().uri.clone().unwrap();
        assert_eq!(kept.untrue(CODECS, &whole), [Untrue::Parts(uri)]);
    }

    #[test]
    fn lengths_and_times_that_are_not_those_of_the_media_are_told() {
        let mut kept = Kept::new();
        let said = &mut kept.told[0].duration;
        let is = said.replace(said.unwrap() + 0.5).unwrap();
        let uri = |kept: &Kept, place: usize| kept.told[place].uri.clone().unwrap();
        let untrue = kept.untrue(CODECS, &kept.whole());
        assert_eq!(
            untrue[..2],
            [
                Untrue::Length(uri(&kept, 0), is, is + 0.5),
                Untrue::Time(uri(&kept, 1), -0.5),
            ]
        );
        // A hole that no playlist tells of.
        let mut kept = Kept::new();
        kept.told.remove(1);
        kept.parts.remove(1);
        let untrue = kept.untrue(CODECS, &kept.whole());
        assert!(
            untrue.contains(&Untrue::Time(uri(&kept, 1), 2.0)),
            "{untrue:?}"
        );
        // With a discontinuity in front of it it may be anywhere.
        kept.told[1].is_discontinuity = true;
        assert_eq!(kept.untrue(CODECS, &kept.whole()), []);
    }

    #[test]
    fn a_part_that_says_so_begins_with_a_key_frame() {
        let kept = Kept::new();
        let segment = kept.told.iter().position(|told| !told.parts.is_empty());
        let segment = segment.unwrap();
        let other = kept.told[segment].parts.iter();
        let other = other.clone().position(|part| !part.is_independent).unwrap();
        // One that is not said to be one in the file.
        let mut said = Kept::new();
        said.told[segment].parts[other].is_independent = true;
        let uri = |place: usize| kept.told[segment].parts[place].uri.clone();
        let untrue = said.untrue(CODECS, &said.whole());
        assert_eq!(untrue, [Untrue::NotIndependent(uri(other))]);
        // One that is, and holds another picture.
        let mut held = Kept::new();
        let bytes = &mut held.parts[segment][0];
        let key = bytes.windows(5).position(|it| it == [0, 0, 0, 2, 0x65]);
        bytes[key.unwrap() + 4] = 0x41;
        let untrue = held.untrue(CODECS, &held.whole());
        assert_eq!(untrue, [Untrue::NotIndependent(uri(0))]);
    }

    #[test]
    fn a_picture_of_an_open_gop_begins_a_segment_and_is_not_said_to_be_independent() {
        // As x264 makes them: one IDR picture, then recovery points.
        let kept = Kept::made(
            |number| number * 40,
            |key| if key == 0 { IDR } else { OTHER },
        );
        let parts = kept.told.iter().flat_map(|told| &told.parts);
        assert!(parts.clone().count() > 2 && parts.clone().all(|part| !part.is_independent));
        assert_eq!(kept.untrue(CODECS, &kept.whole()), []);
        let begin = kept.parts.iter().map(|parts| {
            let first = &fragments(&parts[0]).unwrap()[0];
            (first.decode_time / 90_000, first.access)
        });
        let begin: Vec<_> = begin.collect();
        assert_eq!(begin[0], (10, Access::Sync));
        assert_eq!(begin[1..3], [(12, Access::Open), (14, Access::Open)]);
    }

    #[test]
    fn another_frame_rate_begins_behind_a_discontinuity() {
        let mut kept = Kept::of(|number| number * 40 + (number - 100).max(0) * 40);
        // Behind 4 s.
        let slow = 2;
        let uri = kept.told[slow].uri.clone().unwrap();
        let untrue = kept.untrue(CODECS, &kept.whole());
        assert_eq!(untrue, [Untrue::FrameRate(uri, 25.0, 12.5)]);
        kept.told[slow].is_discontinuity = true;
        assert_eq!(kept.untrue(CODECS, &kept.whole()), []);
    }

    #[test]
    fn parameter_sets_are_not_in_the_frames_alone() {
        let mut kept = Kept::new();
        let table = kept.init.windows(4).position(|it| it == b"stsd").unwrap();
        let entry = kept.init[table..].windows(4).position(|it| it == b"avc1");
        kept.init[table + entry.unwrap() + 3] = b'3';
        let untrue = kept.untrue(&[], &kept.whole());
        assert_eq!(untrue, [Untrue::SampleEntry("init".to_owned(), "avc3")]);
    }

    #[test]
    fn several_tracks_in_one_file_are_not_looked_into() {
        let mut kept = Kept::new();
        let whole = vec![b"nothing to read".to_vec(); kept.told.len()];
        kept.parts.iter_mut().for_each(Vec::clear);
        kept.told.iter_mut().for_each(|told| told.parts.clear());
        assert_eq!(kept.untrue(CODECS, &whole).len(), whole.len());
        // The same track once more.
        let size = |at: usize| u32::from_be_bytes(*kept.init[at..].first_chunk().unwrap());
        let place = |name: &[u8]| kept.init.windows(4).position(|it| it == name).unwrap() - 4;
        let (movie, track) = (place(b"moov"), place(b"trak"));
        let again = kept.init[track..][..size(track) as usize].to_vec();
        let grown = size(movie) + again.len() as u32;
        kept.init[movie..][..4].copy_from_slice(&grown.to_be_bytes());
        kept.init.splice(track..track, again);
        assert_eq!(kept.untrue(CODECS, &whole), []);
    }

    #[test]
    fn a_run_has_no_more_samples_than_there_is_room_for() {
        let boxed = |name: &[u8; 4], body: &[u8]| {
            let size = 8 + body.len() as u32;
            [&size.to_be_bytes()[..], name, body].concat()
        };
        let read = |count: u32| {
            let run = [&[0; 4][..], &count.to_be_bytes()].concat();
            let header = [boxed(b"tfhd", &[0; 8]), boxed(b"tfdt", &[0; 8])].concat();
            let track = [header, boxed(b"trun", &run)].concat();
            let fragment = boxed(b"moof", &boxed(b"traf", &track));
            fragments(&fragment).map(|samples| samples.len())
        };
        assert_eq!(read(3), Some(3));
        assert_eq!(read(u32::MAX), None);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let mut kept = Kept::new();
        let mut whole = kept.whole();
        let last = whole.last_mut().unwrap();
        last.truncate(last.len() - 1);
        kept.told.last_mut().unwrap().parts.clear();
        let uri = kept.told.last().unwrap().uri.clone().unwrap();
        assert_eq!(kept.untrue(CODECS, &whole), [Untrue::Unreadable(uri)]);
        kept.init.truncate(20);
        let untrue = kept.untrue(CODECS, &whole);
        assert_eq!(untrue, [Untrue::Unreadable("init".to_owned())]);
    }
}
