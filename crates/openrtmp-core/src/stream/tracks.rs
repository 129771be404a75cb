//! What a stream consists of, found from its packets: metadata is not trusted, and
//! neither are tags where the codec's own bytes tell.

use openrtmp_protocol::amf::{Encoder, Encoding, Object, Value};
use openrtmp_protocol::media::codec::{self, AudioFormat, Picture, VideoFormat};
use openrtmp_protocol::media::{
    AudioCodec, AudioPacketKind, AudioTag, FourCc, FrameType, PlainForm, TrackPacket, VideoCodec,
    VideoPacketKind, VideoTag, plain_audio_form, plain_video_form,
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
    /// What else is known of each.
    known: Vec<Known>,
    /// Tracks that are told of; those of more are passed on unseen.
    limit: usize,
    /// One of more came.
    overflow: bool,
    /// The video track that joiners begin with and players of one track get: 0, or
    /// what sent the first frame.
    video: Option<u8>,
    /// The same for audio.
    audio: Option<u8>,
    /// Something to be told of key frames.
    doubt: Option<Doubt>,
}

/// What a track's messages need to be understood.
#[derive(Debug)]
struct Known {
    /// FLV's number of the codec, if its messages name it so.
    legacy_id: Option<u8>,
    /// Bytes of the length in front of each NAL unit.
    length_size: usize,
    /// A frame came whose own bytes make it a random access point.
    shown_access: bool,
    /// What was told of it.
    told: Option<bool>,
}

/// A track calls pictures key frames that are none by their own bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Doubt {
    pub(crate) track: u8,
    /// It never showed a better one, so its word is taken.
    pub(crate) believed: bool,
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

    /// What is to be told of a track's key frames, once.
    pub(crate) fn take_doubt(&mut self) -> Option<Doubt> {
        self.doubt.take()
    }

    /// Forgets all of them, for another publisher.
    pub(crate) fn clear(&mut self) {
        *self = Tracks {
            limit: self.limit,
            ..Tracks::default()
        };
    }

    /// The track that joiners begin with, or will by what was announced.
    pub(crate) fn default_track(&self, kind: MediaKind) -> u8 {
        let chosen = match kind {
            MediaKind::Video => self.video,
            _ => self.audio,
        };
        let of_kind = |t: &&Track| t.video == (kind == MediaKind::Video);
        let announced = self.list.iter().filter(of_kind).map(|t| t.id);
        let first = || announced.clone().next();
        chosen
            .or_else(|| announced.clone().find(|&id| id == 0).or_else(first))
            .unwrap_or(0)
    }

    /// Classifies a video message and learns from it. A header that cannot be read
    /// makes a frame of unknown content: it is passed on, not judged. `None` is for
    /// nobody: a configuration that is too short to be one.
    pub(crate) fn video(&mut self, payload: &[u8]) -> Option<Classified> {
        let Ok(tag) = VideoTag::parse(payload) else {
            return Some(plain(Class::Inter));
        };
        let legacy_id = (!tag.enhanced).then(|| payload[0] & 0x0F);
        let tagged = matches!(tag.frame_type, FrameType::Key | FrameType::GeneratedKey);
        let lead = lead(tag.packets(), self.video);
        let mut class = Class::Header;
        let mut slot = None;
        let mut is_void = true;
        for packet in tag.packets() {
            let body = payload.get(packet.body.clone()).unwrap_or_default();
            match packet.kind {
                VideoPacketKind::SequenceStart | VideoPacketKind::Mpeg2TsSequenceStart => {
                    // Some encoders send an empty one before or after the real
                    // one: it must not stand in the real one's place.
                    if codec::is_video_config(packet.codec, body) {
                        is_void = false;
                        slot = Some((MediaKind::Video, false));
                        self.configure_video(packet, legacy_id, body);
                    }
                }
                VideoPacketKind::Metadata => {
                    is_void = false;
                    slot = Some((MediaKind::Video, true));
                }
                VideoPacketKind::SequenceEnd | VideoPacketKind::Command => is_void = false,
                VideoPacketKind::Frame => {
                    is_void = false;
                    let of_this = self.picture(packet, legacy_id, tagged, body);
                    if packet.track == lead {
                        class = of_this;
                    }
                }
            }
        }
        if is_void {
            return None;
        }
        let first_of_all = self.video.is_none() && matches!(class, Class::Key | Class::Inter);
        if first_of_all || (lead == 0 && class == Class::Key) {
            self.video = Some(lead);
        }
        let track = self.default_track(MediaKind::Video);
        Some(Classified {
            class,
            track: lead,
            leads: lead == track,
            form: plain_video_form(&tag, payload, track),
            slot: slot.map(|of| header_slot(of, lead, tag.packets().map(|p| p.track))),
        })
    }

    /// The same for an audio message.
    pub(crate) fn audio(&mut self, payload: &[u8]) -> Option<Classified> {
        let Ok(tag) = AudioTag::parse(payload) else {
            return Some(plain(Class::Audio));
        };
        let legacy_id = (!tag.enhanced && !payload.is_empty()).then(|| payload[0] >> 4);
        let lead = lead(tag.packets(), self.audio);
        let mut class = Class::Audio;
        let mut slot = None;
        let mut is_void = tag.first().is_some();
        for packet in tag.packets() {
            let body = payload.get(packet.body.clone()).unwrap_or_default();
            let mut format = None;
            match packet.kind {
                AudioPacketKind::SequenceStart => {
                    class = Class::Header;
                    if !codec::is_audio_config(packet.codec, body) {
                        continue;
                    }
                    slot = Some((MediaKind::Audio, false));
                    format = codec::audio_format(packet.codec, body);
                }
                AudioPacketKind::MultichannelConfig => {
                    class = Class::Header;
                    slot = Some((MediaKind::Audio, true));
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
            is_void = false;
            self.learn_audio(packet.track, packet.codec.fourcc(), legacy_id, format);
        }
        if is_void {
            return None;
        }
        if class == Class::Audio && (self.audio.is_none() || lead == 0) && tag.first().is_some() {
            self.audio = Some(lead);
        }
        let track = self.default_track(MediaKind::Audio);
        Some(Classified {
            class,
            track: lead,
            leads: lead == track,
            form: plain_audio_form(&tag, payload, track),
            slot: slot.map(|of| header_slot(of, lead, tag.packets().map(|p| p.track))),
        })
    }

    /// How a header reads for who knows one track only, by what is known now.
    pub(crate) fn header_form(&self, kind: MediaKind, payload: &[u8]) -> PlainForm {
        let track = self.default_track(kind);
        let form = match kind {
            MediaKind::Video => {
                VideoTag::parse(payload).map(|tag| plain_video_form(&tag, payload, track))
            }
            _ => AudioTag::parse(payload).map(|tag| plain_audio_form(&tag, payload, track)),
        };
        form.unwrap_or(PlainForm::Same)
    }

    fn configure_video(
        &mut self,
        packet: &TrackPacket<VideoCodec, VideoPacketKind>,
        legacy_id: Option<u8>,
        config: &[u8],
    ) {
        let format = codec::video_format(packet.codec, config);
        let Some(index) = self.learn_video(packet.track, packet.codec.fourcc(), legacy_id, format)
        else {
            return;
        };
        if let Some(size) = codec::length_size(packet.codec, config) {
            self.known[index].length_size = size;
        }
    }

    /// What a picture is: its own bytes decide where they can. A tag that calls it a key
    /// frame is believed as long as the track has shown no true one.
    fn picture(
        &mut self,
        packet: &TrackPacket<VideoCodec, VideoPacketKind>,
        legacy_id: Option<u8>,
        tagged: bool,
        body: &[u8],
    ) -> Class {
        let known = self.index(true, packet.track).map(|at| &self.known[at]);
        let size = known.map_or(codec::LENGTH_SIZE, |known| known.length_size);
        let (is_key, shown) = match codec::picture(packet.codec, body, size) {
            Picture::Absent if tagged => return Class::Prelude,
            Picture::Absent => return Class::Inter,
            Picture::Access => (true, true),
            Picture::Unknown => (tagged, false),
            Picture::Inter if !tagged => return Class::Inter,
            Picture::Inter => {
                let believed = !known.is_some_and(|known| known.shown_access);
                self.doubt_track(packet.track, believed);
                (believed, false)
            }
        };
        if !is_key {
            return Class::Inter;
        }
        let format = codec::video_format_of_keyframe(packet.codec, body);
        let at = self.learn_video(packet.track, packet.codec.fourcc(), legacy_id, format);
        if let Some(at) = at {
            self.known[at].shown_access |= shown;
        }
        Class::Key
    }

    fn doubt_track(&mut self, track: u8, believed: bool) {
        let known = self.index(true, track).map(|at| &mut self.known[at]);
        if let Some(known) = known
            && known.told != Some(believed)
        {
            known.told = Some(believed);
            self.doubt = Some(Doubt { track, believed });
        }
    }

    fn index(&self, video: bool, id: u8) -> Option<usize> {
        let is_it = |t: &Track| t.video == video && t.id == id;
        self.list.iter().position(is_it)
    }

    fn find(&self, video: bool, id: u8) -> Option<&Track> {
        self.index(video, id).map(|at| &self.list[at])
    }

    /// The place of a track, a new one included.
    fn entry(
        &mut self,
        video: bool,
        id: u8,
        codec: FourCc,
        legacy_id: Option<u8>,
    ) -> Option<usize> {
        let index = match self.index(video, id) {
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
                self.known.push(Known::new(legacy_id));
                self.list.len() - 1
            }
        };
        let track = &mut self.list[index];
        if track.codec.as_bytes() != codec.0 {
            track.codec = codec.as_string();
            self.known[index] = Known::new(legacy_id);
        }
        Some(index)
    }

    fn learn_video(
        &mut self,
        id: u8,
        codec: FourCc,
        legacy_id: Option<u8>,
        format: Option<VideoFormat>,
    ) -> Option<usize> {
        let index = self.entry(true, id, codec, legacy_id)?;
        if let Some(format) = format {
            let track = &mut self.list[index];
            track.codec_string = format.codec_string.or(track.codec_string.take());
            track.width = format.width.or(track.width);
            track.height = format.height.or(track.height);
            track.frame_rate = format.frame_rate.or(track.frame_rate);
        }
        Some(index)
    }

    fn learn_audio(
        &mut self,
        id: u8,
        codec: FourCc,
        legacy_id: Option<u8>,
        format: Option<AudioFormat>,
    ) {
        if let (Some(index), Some(format)) = (self.entry(false, id, codec, legacy_id), format) {
            let track = &mut self.list[index];
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
        let default = |kind| self.index(kind == MediaKind::Video, self.default_track(kind));
        if let Some(at) = default(MediaKind::Video) {
            let (video, known) = (&self.list[at], &self.known[at]);
            for (name, value) in [
                ("width", number(video.width.map(f64::from))),
                ("height", number(video.height.map(f64::from))),
                ("framerate", number(video.frame_rate)),
                (
                    "videocodecid",
                    Some(codec_id(&video.codec, known.legacy_id)),
                ),
            ] {
                if let Some(value) = value {
                    object = object.with(name, value);
                }
            }
        }
        if let Some(at) = default(MediaKind::Audio) {
            let (audio, known) = (&self.list[at], &self.known[at]);
            object = object.with("audiocodecid", codec_id(&audio.codec, known.legacy_id));
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

/// FLV's own number of a codec where it has one, which a legacy message names itself,
/// else the FourCC as a number (Enhanced RTMP v2, "onMetaData").
fn codec_id(fourcc: &str, legacy_id: Option<u8>) -> f64 {
    let of_plain_form = match fourcc {
        "avc1" => Some(7),
        "mp4a" => Some(10),
        ".mp3" => Some(2),
        _ => None,
    };
    if let Some(id) = legacy_id.or(of_plain_form) {
        return f64::from(id);
    }
    let mut bytes = [0; 4];
    for (to, from) in bytes.iter_mut().zip(fourcc.bytes()) {
        *to = from;
    }
    f64::from(u32::from_be_bytes(bytes))
}

impl Known {
    fn new(legacy_id: Option<u8>) -> Known {
        Known {
            legacy_id,
            length_size: codec::LENGTH_SIZE,
            shown_access: false,
            told: None,
        }
    }
}

/// Of the tracks in a message the default one, else 0, else the first.
fn lead<'a, C: 'a, K: 'a>(
    packets: impl Iterator<Item = &'a TrackPacket<C, K>>,
    default: Option<u8>,
) -> u8 {
    let mut best = None;
    for packet in packets {
        if default == Some(packet.track) {
            return packet.track;
        }
        if best.is_none() || packet.track == 0 {
            best = Some(packet.track);
        }
    }
    best.unwrap_or(0)
}

fn header_slot(
    (kind, refinement): (MediaKind, bool),
    track: u8,
    tracks: impl Iterator<Item = u8>,
) -> HeaderSlot {
    // Whatever their order, the same tracks are the same sum.
    let mix = |id: u8| {
        (u32::from(id) + 1)
            .wrapping_mul(0x9E37_79B1)
            .rotate_left(u32::from(id) % 32)
    };
    let (count, sum) = tracks.fold((0, 0_u32), |(count, sum), id| {
        (count + 1, sum.wrapping_add(mix(id)))
    });
    HeaderSlot {
        kind,
        track,
        tracks: if count > 1 { sum } else { 0 },
        refinement,
    }
}

/// Ids of the tracks in a message.
pub(crate) fn track_ids(kind: MediaKind, payload: &[u8]) -> Vec<u8> {
    match kind {
        MediaKind::Video => VideoTag::parse(payload)
            .map_or(Vec::new(), |tag| tag.packets().map(|p| p.track).collect()),
        _ => AudioTag::parse(payload)
            .map_or(Vec::new(), |tag| tag.packets().map(|p| p.track).collect()),
    }
}
