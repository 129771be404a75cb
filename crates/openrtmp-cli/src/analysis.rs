//! What a stream is made of, found from its messages.
//!
//! Rates come from the stream's own timestamps, never from the time of arrival: a
//! server sends a whole group of pictures at once to whoever joins.

use std::collections::BTreeMap;
use std::time::Duration;

use openrtmp_core::client::MediaKind;
use openrtmp_protocol::AmfLimits;
use openrtmp_protocol::amf::{Decoder, Object, Value};
use openrtmp_protocol::media::codec::{
    AudioFormat, VideoFormat, audio_format, legacy_audio_format, video_format,
    video_format_of_keyframe,
};
use openrtmp_protocol::media::{
    AudioCodec, AudioPacketKind, AudioTag, FrameType, VideoCodec, VideoPacketKind, VideoTag,
};

use crate::receive::Received;

/// Everything seen so far.
#[derive(Debug, Default)]
pub(crate) struct Analysis {
    pub(crate) first_media: Option<Duration>,
    pub(crate) first_keyframe: Option<Duration>,
    /// Payloads of all messages.
    pub(crate) bytes: u64,
    /// Messages whose headers could not be read.
    pub(crate) unreadable: u64,
    pub(crate) metadata: Option<Object>,
    pub(crate) video: BTreeMap<u8, VideoTrack>,
    pub(crate) audio: BTreeMap<u8, AudioTrack>,
    /// Of the last frame, milliseconds since the first.
    position: u64,
}

#[derive(Debug)]
pub(crate) struct VideoTrack {
    pub(crate) codec: VideoCodec,
    pub(crate) enhanced: bool,
    pub(crate) format: VideoFormat,
    pub(crate) frames: Frames,
    pub(crate) keyframes: u64,
    /// Some frame is shown at another time than it is decoded.
    pub(crate) reordered: bool,
    pub(crate) gops: Gops,
}

#[derive(Debug)]
pub(crate) struct AudioTrack {
    pub(crate) codec: AudioCodec,
    pub(crate) enhanced: bool,
    pub(crate) format: AudioFormat,
    pub(crate) frames: Frames,
}

/// The frames of one track.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    pub(crate) count: u64,
    bytes: u64,
    span: Option<(u64, u64)>,
}

/// The groups of pictures seen from keyframe to keyframe.
#[derive(Debug, Default)]
pub(crate) struct Gops {
    pub(crate) count: u64,
    /// Milliseconds.
    pub(crate) shortest: u64,
    pub(crate) longest: u64,
    total: u64,
    frames: u64,
    /// Position and frame number of the latest keyframe.
    open: Option<(u64, u64)>,
}

impl Analysis {
    /// Takes one message into account.
    pub(crate) fn add(&mut self, received: &Received<'_>) {
        self.first_media.get_or_insert(received.arrived);
        self.bytes += received.media.payload.len() as u64;
        if received.frame {
            self.position = self.position.max(received.position);
        }
        let payload = &received.media.payload[..];
        let readable = match received.media.kind {
            MediaKind::Video => self.add_video(received, payload),
            MediaKind::Audio => self.add_audio(received, payload),
            MediaKind::Data => {
                self.add_data(payload);
                true
            }
        };
        self.unreadable += u64::from(!readable);
    }

    /// The media seen so far.
    pub(crate) fn length(&self) -> Duration {
        Duration::from_millis(self.position)
    }

    /// Time from the start of the connection to the first picture that can be
    /// shown, or sound where there are no pictures.
    pub(crate) fn join_time(&self) -> Option<Duration> {
        if self.video.is_empty() {
            self.first_media
        } else {
            self.first_keyframe
        }
    }

    /// Whether a probe without a duration of its own has seen enough: two groups
    /// of pictures and two seconds, or five seconds with one, or twelve.
    pub(crate) fn is_enough(&self) -> bool {
        let gops = self.video.values().map(|track| track.gops.count).min();
        let least = match gops {
            Some(0) => 12_000,
            None | Some(1) => 5_000,
            Some(_) => 2_000,
        };
        self.position >= least
    }

    fn add_video(&mut self, received: &Received<'_>, payload: &[u8]) -> bool {
        let Ok(tag) = VideoTag::parse(payload) else {
            return false;
        };
        let key = tag.frame_type == FrameType::Key;
        for packet in tag.packets() {
            if packet.kind == VideoPacketKind::Command {
                continue;
            }
            let track = self
                .video
                .entry(packet.track)
                .or_insert_with(|| VideoTrack::new(packet.codec));
            let body = payload.get(packet.body.clone()).unwrap_or_default();
            track.codec = packet.codec;
            track.enhanced |= tag.enhanced;
            match packet.kind {
                VideoPacketKind::SequenceStart => {
                    if let Some(format) = video_format(packet.codec, body) {
                        track.format = format;
                    }
                }
                VideoPacketKind::Frame => {
                    track.reordered |= packet.composition_time != 0;
                    track.frame(received.position, body, key);
                    if key {
                        self.first_keyframe.get_or_insert(received.arrived);
                    }
                }
                _ => {}
            }
        }
        true
    }

    fn add_audio(&mut self, received: &Received<'_>, payload: &[u8]) -> bool {
        let Ok(tag) = AudioTag::parse(payload) else {
            return false;
        };
        for packet in tag.packets() {
            let track = self
                .audio
                .entry(packet.track)
                .or_insert_with(|| AudioTrack::new(packet.codec));
            let body = payload.get(packet.body.clone()).unwrap_or_default();
            track.codec = packet.codec;
            track.enhanced |= tag.enhanced;
            match packet.kind {
                AudioPacketKind::SequenceStart => {
                    if let Some(format) = audio_format(packet.codec, body) {
                        track.format = format;
                    }
                }
                AudioPacketKind::Frame => {
                    let tells = !tag.enhanced && packet.codec != AudioCodec::Aac;
                    if let (true, Some(&first)) = (tells, payload.first()) {
                        track.format = legacy_audio_format(first);
                    }
                    track.frames.add(received.position, body.len());
                }
                _ => {}
            }
        }
        true
    }

    fn add_data(&mut self, payload: &[u8]) {
        let mut decoder = Decoder::new(payload, &AmfLimits::default());
        let (Ok(name), Ok(value)) = (decoder.value(), decoder.value()) else {
            return;
        };
        if let (Some("onMetaData"), Some(object)) = (name.as_str(), value.as_object()) {
            self.metadata = Some(object.clone());
        }
    }
}

impl VideoTrack {
    fn new(codec: VideoCodec) -> VideoTrack {
        VideoTrack {
            codec,
            enhanced: false,
            format: VideoFormat::default(),
            frames: Frames::default(),
            keyframes: 0,
            reordered: false,
            gops: Gops::default(),
        }
    }

    fn frame(&mut self, position: u64, body: &[u8], key: bool) {
        if key {
            self.keyframes += 1;
            self.gops.keyframe(position, self.frames.count);
            if self.format.width.is_none()
                && let Some(format) = video_format_of_keyframe(self.codec, body)
            {
                self.format.width = format.width;
                self.format.height = format.height;
            }
        }
        self.frames.add(position, body.len());
    }
}

impl AudioTrack {
    fn new(codec: AudioCodec) -> AudioTrack {
        AudioTrack {
            codec,
            enhanced: false,
            format: AudioFormat::default(),
            frames: Frames::default(),
        }
    }
}

impl Frames {
    fn add(&mut self, position: u64, bytes: usize) {
        self.count += 1;
        self.bytes += bytes as u64;
        let (first, last) = self.span.unwrap_or((position, position));
        self.span = Some((first.min(position), last.max(position)));
    }

    /// Frames per second; `None` until two frames stand apart.
    pub(crate) fn rate(&self) -> Option<f64> {
        let (first, last) = self.span?;
        let intervals = self.count.checked_sub(1)?;
        (last > first).then(|| intervals as f64 * 1_000.0 / (last - first) as f64)
    }

    /// Bits per second, the last frame taken to last as long as the others.
    pub(crate) fn bit_rate(&self) -> Option<f64> {
        let per_frame = self.bytes as f64 * 8.0 / self.count as f64;
        self.rate().map(|rate| per_frame * rate)
    }
}

impl Gops {
    fn keyframe(&mut self, position: u64, frame: u64) {
        if let Some((from, first)) = self.open {
            let length = position.saturating_sub(from);
            self.shortest = if self.count == 0 {
                length
            } else {
                self.shortest.min(length)
            };
            self.longest = self.longest.max(length);
            self.total += length;
            self.frames += frame - first;
            self.count += 1;
        }
        self.open = Some((position, frame));
    }

    /// Mean length in milliseconds; `None` until one was seen whole.
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.total as f64 / self.count as f64)
    }

    /// Mean length in frames.
    pub(crate) fn mean_frames(&self) -> Option<f64> {
        (self.count > 0).then(|| self.frames as f64 / self.count as f64)
    }
}

/// A number that the metadata declares.
pub(crate) fn declared(metadata: Option<&Object>, name: &str) -> Option<f64> {
    metadata?.get(name).and_then(Value::as_f64)
}

#[cfg(test)]
mod tests;
