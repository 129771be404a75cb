//! Received streams as fragmented MP4.

use bytes::BytesMut;
use openrtmp_core::client::{Media, MediaKind};
use openrtmp_media::mp4::{Codec, Content, Frame, Mp4Writer, Piece, Refused, TrackName};
use openrtmp_protocol::media::codec::{LENGTH_SIZE, Picture, picture};
use openrtmp_protocol::media::{AudioPacketKind, AudioTag, FrameType, VideoPacketKind, VideoTag};

use super::Written;
use super::output::Output;
use crate::console::say;
use crate::exit::Failure;

/// An MP4 being written, a fragment of a second at most at a time.
pub(crate) struct Mp4File {
    output: Output,
    writer: Mp4Writer<Vec<u8>>,
    /// Tracks that began too late, told of.
    left_out: Vec<TrackName>,
    buffer: BytesMut,
}

impl Mp4File {
    pub(super) fn new(output: Output) -> Mp4File {
        Mp4File {
            output,
            writer: Mp4Writer::new(0),
            left_out: Vec::new(),
            buffer: BytesMut::new(),
        }
    }

    /// Writes a message at `position`, milliseconds since the first frame. What cannot be
    /// read is left out.
    pub(super) fn write(&mut self, media: &Media, position: u64) -> Result<Written, Failure> {
        let micros = i64::try_from(position)
            .unwrap_or(i64::MAX)
            .saturating_mul(1000);
        match media.kind {
            MediaKind::Video => self.write_video(&media.payload, micros),
            MediaKind::Audio => self.write_audio(&media.payload, micros),
            MediaKind::Data => Ok(Written::Done),
        }
    }

    fn write_video(&mut self, payload: &[u8], dts: i64) -> Result<Written, Failure> {
        let Ok(tag) = VideoTag::parse(payload) else {
            return Ok(Written::Done);
        };
        let nanos = i64::from(tag.nanos) / 1000;
        for packet in tag.packets() {
            let track = TrackName::Video(packet.track);
            let codec = Codec::Video(packet.codec);
            let body = &payload[packet.body.clone()];
            let written = match packet.kind {
                VideoPacketKind::SequenceStart => self.configure(track, codec, body),
                VideoPacketKind::Frame => {
                    let content = match picture(packet.codec, body, LENGTH_SIZE) {
                        Picture::Access => Content::Key,
                        Picture::Inter => Content::Inter,
                        Picture::Absent => Content::Prelude,
                        Picture::Unknown if tag.frame_type == FrameType::Key => Content::Key,
                        Picture::Unknown => Content::Inter,
                    };
                    self.push(Frame {
                        track,
                        codec,
                        dts,
                        pts: dts + i64::from(packet.composition_time) * 1000 + nanos,
                        content,
                        data: body.to_vec(),
                    })
                }
                _ => continue,
            }?;
            if written == Written::NoReader {
                return Ok(written);
            }
        }
        Ok(Written::Done)
    }

    fn write_audio(&mut self, payload: &[u8], dts: i64) -> Result<Written, Failure> {
        let Ok(tag) = AudioTag::parse(payload) else {
            return Ok(Written::Done);
        };
        let time = dts + i64::from(tag.nanos) / 1000;
        for packet in tag.packets() {
            let track = TrackName::Audio(packet.track);
            let codec = Codec::Audio(packet.codec);
            let body = &payload[packet.body.clone()];
            let written = match packet.kind {
                AudioPacketKind::SequenceStart => self.configure(track, codec, body),
                AudioPacketKind::Frame => self.push(Frame {
                    track,
                    codec,
                    dts: time,
                    pts: time,
                    content: Content::Key,
                    data: body.to_vec(),
                }),
                _ => continue,
            }?;
            if written == Written::NoReader {
                return Ok(written);
            }
        }
        Ok(Written::Done)
    }

    fn configure(
        &mut self,
        track: TrackName,
        codec: Codec,
        config: &[u8],
    ) -> Result<Written, Failure> {
        match self.writer.configure(track, codec, config) {
            Ok(()) => Ok(Written::Done),
            Err(why) => self.refused(track, &why),
        }
    }

    fn push(&mut self, frame: Frame<Vec<u8>>) -> Result<Written, Failure> {
        let track = frame.track;
        match self.writer.push(frame) {
            Ok(Some(piece)) => self.append(piece),
            Ok(None) => Ok(Written::Done),
            Err(why) => self.refused(track, &why),
        }
    }

    /// A track that begins late is left out; with anything else the file ends.
    fn refused(&mut self, track: TrackName, why: &Refused) -> Result<Written, Failure> {
        if !matches!(why, Refused::Track(_)) {
            return Err(Failure::Runtime(format!("{why}; FLV can hold it")));
        }
        if !self.left_out.contains(&track) {
            self.left_out.push(track);
            say(&format!("openrtmp: {why}: it is left out"));
        }
        Ok(Written::Done)
    }

    fn append(&mut self, piece: Piece<Vec<u8>>) -> Result<Written, Failure> {
        self.buffer.extend_from_slice(&piece.header);
        for data in &piece.data {
            self.buffer.extend_from_slice(data);
        }
        let written = self.output.write(&mut self.buffer)?;
        self.output.flush()?;
        Ok(written)
    }

    /// Completes the file: what waits, and, if it is no pipe, its index and duration.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        let last = self.writer.flush();
        let last = last.map_err(|why| Failure::Runtime(format!("{why}; FLV can hold it")));
        let written = last.and_then(|piece| match piece {
            Some(piece) => self.append(piece),
            None => Ok(Written::Done),
        });
        let closing = self.writer.closing().filter(|_| self.output.is_file());
        let Some(closing) = closing.filter(|_| written.is_ok()) else {
            return written.and(self.output.finish(&[]));
        };
        self.buffer.extend_from_slice(&closing.index);
        self.output.write(&mut self.buffer)?;
        self.output
            .finish(&[(closing.duration_at, &closing.duration)])
    }
}

#[cfg(test)]
mod tests {
    use openrtmp_protocol::chunk::Payload;

    use super::*;
    use crate::signal::Stop;

    /// x264: High, level 1.3, 320x180.
    const AVC: &[u8] = b"\x17\0\0\0\0\x01\x64\0\x0D\xFF\xE1\0\x1A\x67\x64\0\x0D\xAC\xD9\x41\x41\
        \x9F\x9F\x01\x10\0\0\x03\0\x10\0\0\x03\x03\xC0\xF1\x42\x99\x60\x01\0\x04\x68\xEF\x8F\xCB";
    const KEY: &[u8] = b"\x17\x01\0\0\0\0\0\0\x04\x65\x88\x84\x21";
    const AAC: &[u8] = b"\xAF\0\x12\x10";
    const SOUND: &[u8] = b"\xAF\x01\x21\x22\x23";

    fn media(kind: MediaKind, payload: &[u8]) -> Media {
        Media {
            stream: 1,
            kind,
            timestamp: 0,
            payload: Payload::copy_from_slice(payload),
        }
    }

    fn file(path: &std::path::Path) -> Mp4File {
        let output = Output::open(path, false, &Stop::default());
        Mp4File::new(output.expect("a new file"))
    }

    fn has(file: &[u8], part: &[u8]) -> bool {
        file.windows(part.len()).any(|window| window == part)
    }

    #[test]
    fn what_came_is_in_the_file_with_its_duration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("camera.mp4");
        let mut file = file(&path);
        file.write(&media(MediaKind::Video, AVC), 0).unwrap();
        file.write(&media(MediaKind::Audio, AAC), 0).unwrap();
        assert!(!path.exists(), "nothing is left where nothing came");
        for position in [0, 500, 1000] {
            file.write(&media(MediaKind::Video, KEY), position).unwrap();
            file.write(&media(MediaKind::Audio, SOUND), position)
                .unwrap();
        }
        // A crash now leaves what plays.
        let so_far = std::fs::read(&path).unwrap();
        assert!(has(&so_far, b"moof") && has(&so_far, &KEY[5..]));
        file.finish().unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert!(has(&whole, b"mfra") && has(&whole, b"avc1") && has(&whole, b"mp4a"));
        // The third picture lasts as long as the second did.
        assert!(has(&whole, b"mehd\x01\0\0\0\0\0\0\0\0\0\x05\xDC"));
    }

    #[test]
    fn a_late_track_is_left_out_and_another_configuration_ends_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("camera.mp4");
        let mut file = file(&path);
        file.write(&media(MediaKind::Video, AVC), 0).unwrap();
        for position in [0, 1000] {
            file.write(&media(MediaKind::Video, KEY), position).unwrap();
        }
        file.write(&media(MediaKind::Audio, AAC), 1100).unwrap();
        file.write(&media(MediaKind::Audio, SOUND), 1100).unwrap();
        // The same again is no other.
        file.write(&media(MediaKind::Video, AVC), 1200).unwrap();
        let mut other = AVC.to_vec();
        other[8] = 0x1F;
        let changed = file.write(&media(MediaKind::Video, &other), 1200);
        assert!(matches!(changed, Err(Failure::Runtime(why)) if why.contains("H.264")));
        file.finish().unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert!(has(&whole, b"mfra") && !has(&whole, b"mp4a"));
    }
}
