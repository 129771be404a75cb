//! What a recording is made of: when fragments end, and what is told of their frames.

use std::time::Duration;

use super::tests::{AAC, AVC, at, boxes};
use super::*;
use openrtmp_protocol::media::{AudioCodec, VideoCodec};

const VIDEO: TrackName = TrackName::Video(0);
const AUDIO: TrackName = TrackName::Audio(0);
const H264: Codec = Codec::Video(VideoCodec::Avc);
const PLAIN_AAC: Codec = Codec::Audio(AudioCodec::Aac);

fn writer() -> Mp4Writer<Vec<u8>> {
    let mut writer = Mp4Writer::new(0);
    writer.configure(VIDEO, H264, &AVC).unwrap();
    writer.configure(AUDIO, PLAIN_AAC, &AAC).unwrap();
    writer
}

/// A picture at this millisecond, so many bytes of it.
fn picture(time: i64, content: Content, bytes: usize) -> Frame<Vec<u8>> {
    Frame {
        track: VIDEO,
        codec: H264,
        dts: time * 1000,
        pts: time * 1000,
        content,
        data: vec![7; bytes],
    }
}

fn sound(time: i64) -> Frame<Vec<u8>> {
    Frame {
        track: AUDIO,
        codec: PLAIN_AAC,
        dts: time * 1000,
        pts: time * 1000,
        content: Content::Key,
        data: vec![8; 10],
    }
}

/// A run in a fragment, as its boxes tell.
#[derive(Debug, PartialEq)]
struct Told {
    track: u32,
    decode_time: u64,
    samples: u32,
}

fn told(piece: &Piece<Vec<u8>>) -> Vec<Told> {
    let word = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    // The head of `mdat` ends the header, without its content.
    let whole = &piece.header[..piece.header.len() - 8];
    let moof = at(whole, "moof");
    let runs = boxes(moof).into_iter().filter(|(kind, _)| *kind == b"traf");
    runs.map(|(_, run)| Told {
        track: word(at(run, "tfhd"), 4),
        decode_time: u64::from_be_bytes(at(run, "tfdt")[4..].try_into().unwrap()),
        samples: word(at(run, "trun"), 4),
    })
    .collect()
}

/// The pieces that frames lead to.
fn pieces(
    writer: &mut Mp4Writer<Vec<u8>>,
    frames: impl IntoIterator<Item = Frame<Vec<u8>>>,
) -> Vec<Piece<Vec<u8>>> {
    let mut pieces = Vec::new();
    for frame in frames {
        pieces.extend(writer.push(frame).unwrap());
    }
    pieces
}

fn starts_with_init(piece: &Piece<Vec<u8>>) -> bool {
    piece.header[4..8] == *b"ftyp"
}

#[test]
fn fragments_are_of_a_second_at_most_without_a_key_frame() {
    let mut writer = writer();
    let picture = |n: i64| match n {
        0 => picture(0, Content::Key, 100),
        n => picture(n * 40, Content::Inter, 100),
    };
    let made = pieces(&mut writer, (0..100).map(picture));
    assert!(starts_with_init(&made[0]) && !starts_with_init(&made[1]));
    // The frame 920 ms behind the first ends it: 23 frames of 40 ms.
    let lengths: Vec<u32> = made.iter().map(|piece| told(piece)[0].samples).collect();
    assert_eq!(lengths, [23, 23, 23, 23]);
    let times: Vec<u64> = made
        .iter()
        .map(|piece| told(piece)[0].decode_time)
        .collect();
    assert_eq!(times, [0, 82_800, 165_600, 248_400]);
    let rest = writer.flush().unwrap().unwrap();
    assert_eq!(told(&rest)[0].samples, 100 - 4 * 23);
    assert_eq!(rest.data.len(), 8);
    assert!(writer.flush().unwrap().is_none());
    assert_eq!(writer.duration(), Duration::from_millis(99 * 40));
}

#[test]
fn a_key_frame_begins_a_fragment_once_the_file_has_begun() {
    let mut writer = writer();
    let picture = |n: i64| match n % 15 {
        0 => picture(n * 40, Content::Key, 100),
        _ => picture(n * 40, Content::Inter, 100),
    };
    let made = pieces(&mut writer, (0..61).map(picture));
    let lengths: Vec<u32> = made.iter().map(|piece| told(piece)[0].samples).collect();
    // 23 by time; then to the keys at 30, 45 and 60, the first of which is too near.
    assert_eq!(lengths, [23, 22, 15]);
}

#[test]
fn audio_is_counted_in_samples_and_the_rest_follows_its_times() {
    let mut writer = writer();
    let frames = (0..60).map(|n| sound(n * 64 / 3));
    let made = pieces(&mut writer, frames);
    let run = &told(&made[0])[0];
    // The video track is told of though no picture came.
    assert_eq!((run.track, run.decode_time, run.samples), (2, 0, 43));
    let traf = boxes(at(&made[0].header[..made[0].header.len() - 8], "moof"))[1].1;
    // All durations alike, 1024, whatever the milliseconds were rounded to.
    assert_eq!(at(traf, "tfhd")[8..12], [0, 0, 4, 0]);
}

#[test]
fn a_track_that_began_earlier_moves_the_beginning() {
    let mut writer = writer();
    writer.push(picture(100, Content::Key, 9)).unwrap();
    writer
        .push(Frame {
            dts: -50_000,
            pts: -50_000,
            ..sound(0)
        })
        .unwrap();
    let piece = writer.flush().unwrap().unwrap();
    let times: Vec<u64> = told(&piece).iter().map(|run| run.decode_time).collect();
    assert_eq!(times, [13_500, 0]);
    // Once the file has begun there is nothing before it.
    writer
        .push(Frame {
            dts: -90_000,
            pts: -90_000,
            ..sound(0)
        })
        .unwrap();
    let piece = writer.flush().unwrap().unwrap();
    assert_eq!(told(&piece)[0].decode_time, 1);
}

#[test]
fn a_gap_is_filled_by_the_frame_before_it_and_times_never_go_back() {
    let mut writer = writer();
    let made = pieces(
        &mut writer,
        [
            picture(0, Content::Key, 9),
            picture(40, Content::Inter, 9),
            picture(3_600_040, Content::Key, 9),
            picture(3_600_000, Content::Inter, 9),
        ],
    );
    let [gap] = &made[..] else {
        panic!("one fragment")
    };
    let traf = boxes(at(&gap.header[..gap.header.len() - 8], "moof"))[1].1;
    let run = at(traf, "trun");
    // An hour, 90,000 ticks a second.
    assert!(
        run.windows(4)
            .any(|word| word == 324_000_000u32.to_be_bytes())
    );
    let rest = told(&writer.flush().unwrap().unwrap());
    assert_eq!((rest[0].decode_time, rest[0].samples), (324_003_600, 2));
}

#[test]
fn composition_offsets_keep_their_sign() {
    let mut writer = writer();
    let frame = |dts: i64, pts: i64| Frame {
        pts: pts * 1000,
        ..picture(dts, Content::Key, 9)
    };
    pieces(&mut writer, [frame(0, 80), frame(40, 0)]);
    let piece = writer.flush().unwrap().unwrap();
    let traf = boxes(at(&piece.header[..piece.header.len() - 8], "moof"))[1].1;
    let offsets = [7200i32.to_be_bytes(), (-3600i32).to_be_bytes()].concat();
    assert_eq!(at(traf, "trun")[12..], offsets);
}

#[test]
fn what_comes_before_a_picture_in_messages_of_its_own_is_part_of_its_sample() {
    let mut writer = writer();
    let made = pieces(
        &mut writer,
        [
            picture(0, Content::Prelude, 5),
            picture(0, Content::Key, 9),
            picture(40, Content::Inter, 0),
        ],
    );
    assert!(made.is_empty());
    let piece = writer.flush().unwrap().unwrap();
    assert_eq!(told(&piece)[0].samples, 1);
    assert_eq!(piece.data.iter().map(Vec::len).collect::<Vec<_>>(), [5, 9]);
}

#[test]
fn what_waits_is_bounded_in_bytes_and_in_frames() {
    let mut writer = writer();
    let large = (0..4).map(|n| picture(n, Content::Key, 1 << 20));
    let made = pieces(&mut writer, large);
    assert_eq!(told(&made[0])[0].samples, 3);
    assert!(writer.bytes() > 4 << 20);
    let mut writer = self::writer();
    let many = (0..4096).map(|_| picture(0, Content::Key, 1));
    let made = pieces(&mut writer, many);
    assert_eq!(told(&made[0])[0].samples, 4095);
}

#[test]
fn a_frame_that_nothing_follows_waits_for_one_fragment_only() {
    let mut writer = writer();
    let made = pieces(&mut writer, [picture(0, Content::Key, 9)]);
    assert!(made.is_empty());
    let made = pieces(&mut writer, (0..100).map(|n| sound(n * 20)));
    let tracks: Vec<Vec<u32>> = made
        .iter()
        .map(|piece| told(piece).iter().map(|run| run.track).collect())
        .collect();
    assert_eq!(tracks, [vec![2], vec![1, 2]]);
}

#[test]
fn tracks_are_those_that_began_before_the_first_fragment() {
    let mut writer = writer();
    let second = TrackName::Audio(1);
    let added = writer.push(Frame {
        track: second,
        ..sound(0)
    });
    assert!(added.unwrap().is_none());
    assert!(writer.takes(second) && writer.takes(TrackName::Video(9)));
    // AAC without its configuration is nothing that can be told of.
    assert_eq!(
        writer
            .push(picture(0, Content::Key, 9))
            .and_then(|_| writer.flush())
            .unwrap_err(),
        Refused::Description("AAC")
    );
    assert_eq!(
        writer.configure(second, PLAIN_AAC, &AAC).unwrap_err(),
        Refused::Changed("AAC")
    );
    let mut writer = self::writer();
    writer.configure(second, PLAIN_AAC, &AAC).unwrap();
    writer.push(picture(0, Content::Key, 9)).unwrap();
    writer.flush().unwrap().unwrap();
    let third = TrackName::Audio(2);
    assert!(writer.takes(second) && !writer.takes(third));
    let late = Frame {
        track: third,
        ..sound(9)
    };
    assert_eq!(writer.push(late).unwrap_err(), Refused::Track("AAC"));
    let other = Frame {
        codec: Codec::Audio(AudioCodec::Opus),
        ..sound(9)
    };
    assert_eq!(writer.push(other).unwrap_err(), Refused::Changed("Opus"));
}

#[test]
fn a_complete_file_has_its_duration_and_an_index() {
    let mut writer = writer();
    assert_eq!(writer.closing(), None);
    let picture = |n: i64| match n % 15 {
        0 => picture(n * 40, Content::Key, 100),
        _ => picture(n * 40, Content::Inter, 100),
    };
    let mut made = pieces(&mut writer, (0..60).map(picture));
    made.extend(writer.flush().unwrap());
    let closing = writer.closing().unwrap();
    assert_eq!(u64::from_be_bytes(closing.duration), 60 * 40);
    let file: Vec<u8> = made
        .iter()
        .flat_map(|piece| [&piece.header[..], &piece.data.concat()].concat())
        .collect();
    assert_eq!(writer.bytes(), file.len() as u64);
    let place = closing.duration_at as usize;
    assert_eq!(
        file[place - 12..place],
        *b"\0\0\0\x14mehd\x01\0\0\0"[..].last_chunk::<12>().unwrap()
    );
    let table = at(&closing.index, "mfra/tfra");
    assert_eq!(table[8..16], [0, 0, 0, 0x3F, 0, 0, 0, 4]);
    let mut places = Vec::new();
    for entry in table[16..].chunks(28) {
        let fragment = u64::from_be_bytes(entry[8..16].try_into().unwrap()) as usize;
        assert_eq!(file[fragment + 4..fragment + 8], *b"moof");
        places.push((
            u64::from_be_bytes(entry[..8].try_into().unwrap()),
            entry[27],
        ));
    }
    assert_eq!(places, [(0, 1), (54_000, 16), (108_000, 8), (162_000, 1)]);
}
