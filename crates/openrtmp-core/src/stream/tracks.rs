//! What a stream consists of, found from its packets: metadata is not trusted.

use openrtmp_protocol::amf::{Encoder, Encoding, Object, Value};
use openrtmp_protocol::media::codec::{self, AudioFormat, VideoFormat};
use openrtmp_protocol::media::{
    AudioCodec, AudioPacketKind, AudioTag, FourCc, FrameType, VideoPacketKind, VideoTag,
};
use openrtmp_protocol::session::MediaKind;
use serde::Serialize;

use super::class::{Class, Classified, HeaderSlot, plain};

/// One track of a stream.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Track {
    /// True for video, false for audio.
    pub video: bool,
    /// Track id; 0 is the default track.
    pub id: u8,
    /// FourCC, for example `avc1` or `mp4a`.
    pub codec: String,
    /// RFC 6381 codec string, for example `avc1.64001f`, once known.
    pub codec_string: Option<String>,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Frames per second that the configuration promises.
    pub frame_rate: Option<f64>,
    /// Samples per second.
    pub sample_rate: Option<u32>,
    /// Channels.
    pub channels: Option<u32>,
}

/// The tracks of a stream.
#[derive(Debug, Default)]
pub(crate) struct Tracks {
    list: Vec<Track>,
    /// Tracks that are told of; those of more are passed on unseen.
    limit: usize,
    /// One of more came.
    overflow: bool,
}

impl Tracks {
    pub(crate) fn list(&self) -> &[Track] {
        &self.list
    }

    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Whether a track came beyond the limit since this was last asked.
    pub(crate) fn take_overflow(&mut self) -> bool {
        std::mem::take(&mut self.overflow)
    }

    pub(crate) fn has_video(&self) -> bool {
        self.list.iter().any(|t| t.video)
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
    }

    /// Classifies a video message and learns from it. A header that cannot be read
    /// makes a frame of unknown content: it is passed on, not judged.
    pub(crate) fn video(&mut self, payload: &[u8]) -> Classified {
        let Ok(tag) = VideoTag::parse(payload) else {
            return plain(Class::Inter);
        };
        let mut class = Class::Inter;
        let mut header = None;
        let mut first_track = None;
        for packet in tag.packets() {
            let track = *first_track.get_or_insert(packet.track);
            let body = payload.get(packet.body.clone()).unwrap_or_default();
            let slot = |refinement| HeaderSlot {
                kind: MediaKind::Video,
                track,
                refinement,
            };
            match packet.kind {
                VideoPacketKind::SequenceStart | VideoPacketKind::Mpeg2TsSequenceStart => {
                    class = Class::Header;
                    // Some encoders send an empty one before or after the real
                    // one: it must not stand in the real one's place.
                    header = codec::is_video_config(packet.codec, body).then(|| slot(false));
                    let format = codec::video_format(packet.codec, body);
                    self.learn_video(packet.track, packet.codec.fourcc(), format);
                }
                VideoPacketKind::Metadata => {
                    class = Class::Header;
                    header = Some(slot(true));
                }
                VideoPacketKind::SequenceEnd | VideoPacketKind::Command => class = Class::Header,
                VideoPacketKind::Frame => {
                    let tagged = matches!(tag.frame_type, FrameType::Key | FrameType::GeneratedKey);
                    if tagged || codec::is_keyframe(packet.codec, body) == Some(true) {
                        class = Class::Key;
                        let format = codec::video_format_of_keyframe(packet.codec, body);
                        self.learn_video(packet.track, packet.codec.fourcc(), format);
                    }
                }
            }
        }
        Classified {
            class,
            track: first_track.unwrap_or(0),
            slot: header,
        }
    }

    /// The same for an audio message.
    pub(crate) fn audio(&mut self, payload: &[u8]) -> Classified {
        let Ok(tag) = AudioTag::parse(payload) else {
            return plain(Class::Audio);
        };
        let mut class = Class::Audio;
        let mut header = None;
        let mut first_track = None;
        for packet in tag.packets() {
            let track = *first_track.get_or_insert(packet.track);
            let body = payload.get(packet.body.clone()).unwrap_or_default();
            let slot = |refinement| HeaderSlot {
                kind: MediaKind::Audio,
                track,
                refinement,
            };
            let mut format = None;
            match packet.kind {
                AudioPacketKind::SequenceStart => {
                    class = Class::Header;
                    header = codec::is_audio_config(packet.codec, body).then(|| slot(false));
                    format = codec::audio_format(packet.codec, body);
                }
                AudioPacketKind::MultichannelConfig => {
                    class = Class::Header;
                    header = Some(slot(true));
                }
                AudioPacketKind::SequenceEnd => class = Class::Header,
                AudioPacketKind::Frame => {
                    let rate = self.find(false, packet.track).and_then(|t| t.sample_rate);
                    if rate.is_none() {
                        format = codec::audio_format_of_frame(packet.codec, body)
                            .or_else(|| legacy_format(&tag, payload));
                    }
                }
            }
            self.learn_audio(packet.track, packet.codec.fourcc(), format);
        }
        Classified {
            class,
            track: first_track.unwrap_or(0),
            slot: header,
        }
    }

    fn find(&mut self, video: bool, id: u8) -> Option<&mut Track> {
        self.list
            .iter_mut()
            .find(|t| t.video == video && t.id == id)
    }

    fn entry(&mut self, video: bool, id: u8, codec: FourCc) -> Option<&mut Track> {
        let index = match self
            .list
            .iter()
            .position(|t| t.video == video && t.id == id)
        {
            Some(index) => index,
            None if self.list.len() >= self.limit => {
                self.overflow = true;
                return None;
            }
            None => {
                self.list.push(Track {
                    video,
                    id,
                    codec: String::new(),
                    codec_string: None,
                    width: None,
                    height: None,
                    frame_rate: None,
                    sample_rate: None,
                    channels: None,
                });
                self.list.len() - 1
            }
        };
        let track = &mut self.list[index];
        if track.codec.as_bytes() != codec.0 {
            track.codec = codec.as_string();
        }
        Some(track)
    }

    fn learn_video(&mut self, id: u8, codec: FourCc, format: Option<VideoFormat>) {
        if let (Some(track), Some(format)) = (self.entry(true, id, codec), format) {
            track.codec_string = format.codec_string.or(track.codec_string.take());
            track.width = format.width.or(track.width);
            track.height = format.height.or(track.height);
            track.frame_rate = format.frame_rate.or(track.frame_rate);
        }
    }

    fn learn_audio(&mut self, id: u8, codec: FourCc, format: Option<AudioFormat>) {
        if let (Some(track), Some(format)) = (self.entry(false, id, codec), format) {
            track.codec_string = format.codec_string.or(track.codec_string.take());
            track.sample_rate = format.sample_rate.or(track.sample_rate);
            track.channels = format.channels.or(track.channels);
        }
    }

    /// An onMetaData payload that says what the packets showed, for streams whose
    /// publisher sent none.
    pub(crate) fn synthesised_metadata(&self) -> Vec<u8> {
        let mut object = Object::new();
        let number = |value: Option<f64>| value.filter(|v| v.is_finite());
        if let Some(video) = self.list.iter().find(|t| t.video && t.id == 0) {
            for (name, value) in [
                ("width", number(video.width.map(f64::from))),
                ("height", number(video.height.map(f64::from))),
                ("framerate", number(video.frame_rate)),
                ("videocodecid", Some(codec_id(&video.codec))),
            ] {
                if let Some(value) = value {
                    object = object.with(name, value);
                }
            }
        }
        if let Some(audio) = self.list.iter().find(|t| !t.video && t.id == 0) {
            object = object.with("audiocodecid", codec_id(&audio.codec));
            if let Some(rate) = audio.sample_rate {
                object = object.with("audiosamplerate", f64::from(rate));
            }
            if let Some(channels) = audio.channels {
                object = object
                    .with("stereo", channels > 1)
                    .with("audiochannels", f64::from(channels));
            }
        }
        let mut encoder = Encoder::new(Encoding::Amf0);
        encoder.value(&Value::from("onMetaData"));
        encoder.value(&Value::EcmaArray(object));
        encoder.finish()
    }
}

/// What the first byte says, for codecs that have nothing better: AAC's lies by
/// definition (FLV 10.1, E.4.2.1).
fn legacy_format(tag: &AudioTag, payload: &[u8]) -> Option<AudioFormat> {
    let is_aac = tag.first().is_some_and(|p| p.codec == AudioCodec::Aac);
    let &first = payload.first().filter(|_| !tag.enhanced && !is_aac)?;
    Some(codec::legacy_audio_format(first))
}

/// FLV's own number of a codec where it has one, else the FourCC as a number
/// (Enhanced RTMP v2, "onMetaData").
fn codec_id(fourcc: &str) -> f64 {
    match fourcc {
        "avc1" => 7.0,
        "mp4a" => 10.0,
        ".mp3" => 2.0,
        other => {
            let mut bytes = [0; 4];
            for (to, from) in bytes.iter_mut().zip(other.bytes()) {
                *to = from;
            }
            f64::from(u32::from_be_bytes(bytes))
        }
    }
}
