//! A stream's frames for the host: one more subscriber, with a queue and a drop
//! policy of its own.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use openrtmp_protocol::media::{
    AudioPacketKind, AudioTag, FourCc, FrameType, VideoPacketKind, VideoTag,
};
use openrtmp_protocol::session::MediaKind;

use crate::shared::Shared;
use crate::stream::packet::SharedPacket;
use crate::stream::tap_queue::{TapItem, TapStream, Tapped};

/// Receives the frames of one stream or of all. Made by
/// [`Server::tap`](crate::Server::tap) and [`Server::tap_all`](crate::Server::tap_all);
/// dropping it ends it. The host brings the thread: it calls [`Tap::recv`], and
/// a host that is slow loses video up to the next key frame, never time of others.
pub struct Tap {
    tapped: Arc<Tapped>,
    shared: Arc<Shared>,
    /// Frames of a multitrack message that were not handed out yet.
    pending: VecDeque<TapEvent>,
}

/// Closes a [`Tap`] that another thread waits in.
#[derive(Clone)]
pub struct TapCloser(Arc<Tapped>);

impl TapCloser {
    /// Closes it: [`Tap::recv`] yields what is there and then nothing more.
    pub fn close(&self) {
        self.0.close();
    }
}

/// What a tap tells.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TapEvent {
    /// A stream has a publisher; its headers and frames follow.
    Started(Arc<TapStream>),
    /// A frame, or a header.
    Frame(Frame),
    /// The stream is over. It may start again.
    Ended(Arc<TapStream>),
}

/// One frame of one track.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The stream.
    pub stream: Arc<TapStream>,
    /// Audio, video or data.
    pub kind: MediaKind,
    /// Track id; 0 is the default track.
    pub track: u8,
    /// Codec; `None` for data.
    pub codec: Option<FourCc>,
    /// What the payload is.
    pub content: FrameContent,
    /// Decoding time in microseconds on the stream's clock, which does not wrap as
    /// RTMP's does after 49.7 days.
    pub dts_micros: i64,
    /// Presentation time in microseconds: decoding time plus composition time.
    pub pts_micros: i64,
    /// The codec's bytes, by reference: a configuration record, a frame (AVC and
    /// HEVC: NAL units with length prefixes), or AMF0 values for data.
    pub payload: Bytes,
    /// Frames this tap lost so far because it was too slow.
    pub dropped: u64,
}

/// What a frame's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameContent {
    /// Decoder configuration (sequence header).
    Header,
    /// A frame that decoding can start at; every audio frame is one.
    Key,
    /// A frame that needs earlier ones.
    Inter,
    /// onMetaData, other data messages, HDR metadata, channel layouts.
    Metadata,
    /// The end of a sequence.
    End,
}

impl Tap {
    pub(crate) fn new(tapped: Arc<Tapped>, shared: Arc<Shared>) -> Tap {
        Tap {
            tapped,
            shared,
            pending: VecDeque::new(),
        }
    }

    /// Waits up to `timeout` for what comes next. `None`: nothing came, or the
    /// server stopped ([`Tap::is_closed`] tells).
    pub fn recv(&mut self, timeout: Duration) -> Option<TapEvent> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(event) = self.try_recv() {
                return Some(event);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if self.is_closed() || left.is_zero() {
                return None;
            }
            self.tapped.signal.wait(Some(left));
        }
    }

    /// What comes next, if it is there.
    pub fn try_recv(&mut self) -> Option<TapEvent> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            match self.tapped.take()? {
                TapItem::Started(stream) => return Some(TapEvent::Started(stream)),
                TapItem::Ended(stream) => return Some(TapEvent::Ended(stream)),
                TapItem::Packet {
                    stream,
                    packet,
                    time,
                    dropped,
                } => {
                    frames(&stream, &packet, time, dropped, &mut self.pending);
                }
            }
        }
    }

    /// What closes this tap from another thread.
    pub fn closer(&self) -> TapCloser {
        TapCloser(self.tapped.clone())
    }

    /// True once it was closed or the server stopped: nothing more will come.
    pub fn is_closed(&self) -> bool {
        self.tapped.is_closed()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.tapped.close();
        self.shared.directory.lock().untap(&self.tapped);
    }
}

fn frames(
    stream: &Arc<TapStream>,
    packet: &SharedPacket,
    time: i64,
    dropped: u64,
    frames: &mut VecDeque<TapEvent>,
) {
    let dts = time * 1000;
    let mut push = |track, codec, content, pts, payload| {
        frames.push_back(TapEvent::Frame(Frame {
            stream: stream.clone(),
            kind: packet.kind,
            track,
            codec,
            content,
            dts_micros: dts,
            pts_micros: pts,
            payload,
            dropped,
        }));
    };
    match packet.kind {
        MediaKind::Data => push(
            0,
            None,
            FrameContent::Metadata,
            dts,
            packet.message.payload_slice(0..packet.len()),
        ),
        MediaKind::Video => {
            let Ok(tag) = VideoTag::parse(packet.payload()) else {
                return;
            };
            let base = dts + i64::from(tag.nanos) / 1000;
            for p in tag.packets() {
                let content = match p.kind {
                    VideoPacketKind::SequenceStart | VideoPacketKind::Mpeg2TsSequenceStart => {
                        FrameContent::Header
                    }
                    VideoPacketKind::Metadata => FrameContent::Metadata,
                    VideoPacketKind::SequenceEnd => FrameContent::End,
                    VideoPacketKind::Command => continue,
                    VideoPacketKind::Frame => match tag.frame_type {
                        FrameType::Key | FrameType::GeneratedKey => FrameContent::Key,
                        _ => FrameContent::Inter,
                    },
                };
                let pts = base + i64::from(p.composition_time) * 1000;
                let payload = packet.message.payload_slice(p.body.clone());
                push(p.track, Some(p.codec.fourcc()), content, pts, payload);
            }
        }
        MediaKind::Audio => {
            let Ok(tag) = AudioTag::parse(packet.payload()) else {
                return;
            };
            let pts = dts + i64::from(tag.nanos) / 1000;
            for p in tag.packets() {
                let content = match p.kind {
                    AudioPacketKind::SequenceStart => FrameContent::Header,
                    AudioPacketKind::MultichannelConfig => FrameContent::Metadata,
                    AudioPacketKind::SequenceEnd => FrameContent::End,
                    AudioPacketKind::Frame => FrameContent::Key,
                };
                let payload = packet.message.payload_slice(p.body.clone());
                push(p.track, Some(p.codec.fourcc()), content, pts, payload);
            }
        }
    }
}
