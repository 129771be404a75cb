//! Fragmented MP4 as a kind of recording.
//!
//! The file is only ever appended to, whole fragments at a time, until it is complete: then
//! it gets an index, and its duration in place.

use std::collections::VecDeque;
use std::io::{self, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openrtmp_media::mp4::{Closing, Codec, Content, Frame, Mp4Writer, Piece, Refused, TrackName};
use openrtmp_protocol::media::{AudioCodec, VideoCodec};
use openrtmp_protocol::session::MediaKind;

use super::muxer::{Format, Item, Muxer, Start, Summary};
use crate::platform::File;
use crate::stream::class::Class;
use crate::stream::frame::{self, FrameContent, split};
use crate::stream::packet::SharedPacket;
use crate::stream::tap_queue::TapStream;

/// Bytes gathered before they go to the file.
const BUFFER_BYTES: usize = 256 * 1024;

/// Frames as players of browsers and phones take them.
pub(super) struct Mp4;

impl<F: File + Send + 'static> Format<F> for Mp4 {
    fn extension(&self) -> &'static str {
        "mp4"
    }

    fn begin(&self, file: F, start: &Start<'_>) -> io::Result<Box<dyn Muxer>> {
        let mut file = Mp4File {
            file,
            stream: start.stream.clone(),
            writer: Mp4Writer::new(start.time * 1000),
            frames: VecDeque::new(),
            stored: 0,
            failed: false,
        };
        for packet in start.headers {
            file.add(packet, start.time)?;
        }
        Ok(Box::new(file))
    }
}

/// A frame's bytes, and the message that they are part of: it is charged for as long as
/// they wait.
#[derive(Debug)]
struct Body {
    bytes: Bytes,
    _packet: SharedPacket,
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

struct Mp4File<F> {
    file: F,
    stream: Arc<TapStream>,
    writer: Mp4Writer<Body>,
    /// Of one message; empty between two.
    frames: VecDeque<frame::Frame>,
    /// Bytes of whole fragments in the file.
    stored: u64,
    /// Something could not be written: nothing can follow.
    failed: bool,
}

impl<F: File> Mp4File<F> {
    /// Adds the frames and headers of a message.
    fn add(&mut self, packet: &SharedPacket, time: i64) -> io::Result<()> {
        let mut frames = std::mem::take(&mut self.frames);
        split(&self.stream, packet, time, 0, &mut frames);
        let added = frames
            .drain(..)
            .try_for_each(|frame| self.add_frame(packet, frame));
        self.frames = frames;
        added
    }

    fn add_frame(&mut self, packet: &SharedPacket, frame: frame::Frame) -> io::Result<()> {
        let Some((track, codec)) = named(&frame) else {
            return Ok(());
        };
        let content = match frame.content {
            FrameContent::Header => {
                let configured = self.writer.configure(track, codec, &frame.payload);
                return configured.map_err(refused);
            }
            FrameContent::Key => Content::Key,
            FrameContent::Inter if packet.class == Class::Prelude => Content::Prelude,
            FrameContent::Inter => Content::Inter,
            FrameContent::Metadata | FrameContent::End | FrameContent::Other => return Ok(()),
        };
        let pushed = self.writer.push(Frame {
            track,
            codec,
            dts: frame.dts_micros,
            pts: frame.pts_micros,
            content,
            data: Body {
                bytes: frame.payload,
                _packet: packet.clone(),
            },
        });
        match pushed.map_err(refused)? {
            Some(piece) => self.append(piece),
            None => Ok(()),
        }
    }

    fn append(&mut self, piece: Piece<Body>) -> io::Result<()> {
        let Piece { mut header, data } = piece;
        let mut bytes = header.len() as u64;
        self.failed = true;
        for part in &data {
            let part = part.as_ref();
            bytes += part.len() as u64;
            if header.len() + part.len() > BUFFER_BYTES {
                self.file.write_all(&header)?;
                header.clear();
            }
            match part.len() {
                ..BUFFER_BYTES => header.extend_from_slice(part),
                _ => self.file.write_all(part)?,
            }
        }
        self.file.write_all(&header)?;
        self.file.flush()?;
        self.failed = false;
        self.stored += bytes;
        Ok(())
    }

    /// All that came goes to the file.
    fn write_out(&mut self) -> io::Result<()> {
        match self.writer.flush().map_err(refused)? {
            Some(piece) => self.append(piece),
            None => Ok(()),
        }
    }

    fn close(&mut self, closing: &Closing) -> io::Result<()> {
        self.failed = true;
        self.file.write_all(&closing.index)?;
        self.file.seek(SeekFrom::Start(closing.duration_at))?;
        self.file.write_all(&closing.duration)?;
        self.file.flush()?;
        self.failed = false;
        self.stored += closing.index.len() as u64;
        Ok(())
    }
}

impl<F: File + Send> Muxer for Mp4File<F> {
    fn write(&mut self, item: &Item<'_>) -> io::Result<()> {
        self.add(item.packet, item.time)
    }

    fn flush(&mut self) -> io::Result<()> {
        // Whole fragments are there already; smaller ones would be so many that players
        // had more of their headers than of frames.
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.write_out()?;
        self.file.sync()
    }

    fn duration(&self) -> Duration {
        self.writer.duration()
    }

    fn bytes(&self) -> u64 {
        self.writer.bytes()
    }

    /// Headers come before the frames of a track, and several in one message are rare: they
    /// are looked into, and of a message with frames the track it goes by tells.
    fn takes(&self, packet: &SharedPacket) -> bool {
        let track = match packet.kind {
            MediaKind::Video => TrackName::Video(packet.track),
            MediaKind::Audio => TrackName::Audio(packet.track),
            MediaKind::Data => return true,
        };
        if packet.class != Class::Header {
            return self.writer.takes(track);
        }
        let mut frames = VecDeque::new();
        split(&self.stream, packet, 0, 0, &mut frames);
        let mut tracks = frames.iter().filter_map(named);
        tracks.all(|(track, _)| self.writer.takes(track))
    }

    /// After a failed write what it left of a fragment is cut off. The fragments are synced
    /// before the index tells of them.
    fn finish(mut self: Box<Self>) -> (Summary, io::Result<()>) {
        let written = match self.failed {
            true => self.file.truncate(self.stored),
            false => self.write_out().and_then(|()| self.file.sync()),
        };
        let closing = self
            .writer
            .closing()
            .filter(|_| written.is_ok() && !self.failed);
        let closed = closing.map_or(Ok(()), |closing| self.close(&closing));
        let cut = match self.failed {
            true => self.file.truncate(self.stored),
            false => Ok(()),
        };
        let synced = self.file.sync();
        let summary = Summary {
            duration: self.writer.duration(),
            bytes: self.stored,
        };
        (summary, written.and(closed).and(cut).and(synced))
    }
}

/// Whose frame it is, and how it is coded; `None` of what is none of a track.
fn named(frame: &frame::Frame) -> Option<(TrackName, Codec)> {
    let codec = frame.codec?;
    match frame.kind {
        MediaKind::Video => {
            let codec = Codec::Video(VideoCodec::from(codec));
            Some((TrackName::Video(frame.track), codec))
        }
        MediaKind::Audio => {
            let codec = Codec::Audio(AudioCodec::from(codec));
            Some((TrackName::Audio(frame.track), codec))
        }
        MediaKind::Data => None,
    }
}

fn refused(why: Refused) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}
