//! Recordings as MP4: any tracks, configurations, frames and times.
//!
//! - A file is whole boxes: `ftyp`, `moov`, then `moof` and `mdat` in turn, then `mfra`.
//! - Every frame that was taken is in it once, with all its bytes.
//! - The file's parts are as long as they say; decoding times of a track go up.
//! - What waits is bounded.

use std::collections::BTreeMap;

use arbitrary::Unstructured;
use openrtmp_media::mp4::{Codec, Content, Frame, Mp4Writer, Piece, TrackName};

use crate::input::{self, take};
use crate::media::{AUDIO, VIDEO};

/// Steps: what to do, a track and its codec, a time, a configuration or frame.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mut writer = Mp4Writer::new(i64::from(take::<i32>(&mut input)) * 1000);
    let mut file = File::default();
    let mut time = 0i64;
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
        let before = writer.bytes();
        let (made, taken) = match step % 8 {
            0 => (writer.configure(track, codec, body).map(|()| None), 0),
            1 => (writer.flush(), 0),
            2..=4 => (writer.push(frame(Content::Key)), body.len()),
            _ => (writer.push(frame(Content::Inter)), body.len()),
        };
        let Ok(piece) = made else {
            // Nothing can follow but the end.
            break;
        };
        if taken > 0 {
            assert!(writer.bytes() >= before + taken as u64);
            file.sent += taken as u64;
        }
        file.extend(piece);
        assert!(writer.bytes() - file.bytes.len() as u64 <= (4 << 20) + (1 << 16));
    }
    if let Ok(piece) = writer.flush() {
        file.extend(piece);
        assert_eq!(writer.bytes(), file.bytes.len() as u64);
        if let Some(closing) = writer.closing() {
            let at = closing.duration_at as usize;
            file.bytes[at..at + 8].copy_from_slice(&closing.duration);
            assert_eq!(file.samples(), file.sent);
            file.bytes.extend(closing.index);
        }
        file.check();
    }
}

#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    /// Of frames.
    sent: u64,
}

impl File {
    fn extend(&mut self, piece: Option<Piece<Vec<u8>>>) {
        if let Some(Piece { header, data }) = piece {
            self.bytes.extend(header);
            self.bytes.extend(data.concat());
        }
    }

    fn samples(&self) -> u64 {
        let data = boxes(&self.bytes)
            .into_iter()
            .filter(|(kind, _)| kind == b"mdat");
        data.map(|(_, data)| data.len() as u64).sum()
    }

    fn check(&self) {
        let mut times: BTreeMap<u32, u64> = BTreeMap::new();
        for (place, (kind, content)) in boxes(&self.bytes).into_iter().enumerate() {
            match (place, &kind) {
                (0, kind) => assert_eq!(kind, b"ftyp"),
                (1, kind) => assert_eq!(kind, b"moov"),
                (place, b"moof" | b"mdat") => {
                    let expected = if place % 2 == 0 { b"moof" } else { b"mdat" };
                    assert_eq!(&kind, expected);
                }
                (_, kind) => assert_eq!(kind, b"mfra"),
            }
            if kind != *b"moof" {
                continue;
            }
            for (_, run) in boxes(content)
                .into_iter()
                .filter(|(kind, _)| kind == b"traf")
            {
                let parts = boxes(run);
                let track = u32::from_be_bytes(*parts[0].1[4..].first_chunk().expect("an id"));
                let time = u64::from_be_bytes(*parts[1].1[4..].first_chunk().expect("a time"));
                if let Some(before) = times.insert(track, time) {
                    assert!(time > before, "track {track} goes back");
                }
            }
        }
    }
}

/// The boxes side by side in there, by type; they are whole.
fn boxes(mut bytes: &[u8]) -> Vec<([u8; 4], &[u8])> {
    let mut found = Vec::new();
    while let Some(&size) = bytes.first_chunk() {
        let (this, rest) = bytes.split_at(u32::from_be_bytes(size) as usize);
        found.push((*this[4..].first_chunk().expect("a type"), &this[8..]));
        bytes = rest;
    }
    assert!(bytes.is_empty());
    found
}
