//! The host publishes frames of its own, in process.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use openrtmp_protocol::amf::{Encoder, Encoding, Object, Value};
use openrtmp_protocol::chunk::MAX_MESSAGE_LENGTH;
use openrtmp_protocol::chunk::Payload;
use openrtmp_protocol::media::{
    AudioCodec, AudioPacketKind, FrameType, VideoCodec, VideoPacketKind, audio_header, video_header,
};
use openrtmp_protocol::session::MediaKind;

use crate::credit::{Allowance, Credit, InFlight, Level};
use crate::id::{PublisherId, StreamId};
use crate::inbox::Command;
use crate::shared::Shared;
use crate::stream::directory::{Claim, ClaimRules, Standing, Tenure};
use crate::stream::message::{Departure, PublisherMessage};
use crate::stream::pulse::Pulse;

/// What may be on its way to the worker. More means that it cannot keep up, and the
/// host should know rather than fill memory.
const IN_FLIGHT: Allowance = Allowance {
    bytes: 16 << 20,
    messages: 16_384,
};

/// Publishes a stream from inside the process. Made by
/// [`Server::publish`](crate::Server::publish); dropping it ends the stream.
/// Frames are handed to the stream's worker without waiting; any thread may own it.
pub struct Publisher {
    shared: Arc<Shared>,
    stream: StreamId,
    epoch: u32,
    home: usize,
    tenure: Arc<Tenure>,
    in_flight: Arc<InFlight>,
    pulse: Arc<Pulse>,
}

/// A packet of video, for [`Publisher::write_video`]. Closed on purpose: whoever publishes says
/// each part.
#[derive(Clone, Copy, Debug)]
pub struct VideoPacket<'a> {
    /// The codec of the track.
    pub codec: VideoCodec,
    /// The track; 0 is the one that every player knows.
    pub track: u8,
    /// What the frame depends on; without meaning in a configuration.
    pub frame_type: FrameType,
    /// Configuration, frame or end.
    pub kind: VideoPacketKind,
    /// When it is decoded, milliseconds.
    pub timestamp: u32,
    /// How much later it is shown, milliseconds; 0 without B-frames.
    pub composition_time: i32,
    /// As the codec's RTMP mapping has it: of H.264 the AVCDecoderConfigurationRecord,
    /// then NAL units with their lengths before them.
    pub body: &'a [u8],
}

/// A packet of audio, for [`Publisher::write_audio`]. Closed on purpose: whoever publishes says
/// each part.
#[derive(Clone, Copy, Debug)]
pub struct AudioPacket<'a> {
    /// The codec of the track.
    pub codec: AudioCodec,
    /// The track; 0 is the one that every player knows.
    pub track: u8,
    /// Configuration, frame or end.
    pub kind: AudioPacketKind,
    /// When it is heard, milliseconds.
    pub timestamp: u32,
    /// As the codec's RTMP mapping has it: of AAC the AudioSpecificConfig, then raw
    /// frames.
    pub body: &'a [u8],
}

/// Room for one message on its way, see [`Publisher::admit`].
#[derive(Debug)]
#[must_use]
pub struct Admission(Credit);

/// Why the host cannot publish.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The stream has a publisher.
    #[error("the stream has a publisher already")]
    Busy,
    /// `limits.publishers` is reached.
    #[error("as many publishers as limits.publishers allows")]
    Limit,
    /// The server is stopping, or has stopped.
    #[error("the server is stopping")]
    Stopping,
    /// The stream's name is empty.
    #[error("the stream's name is empty")]
    EmptyName,
    /// A message holds at most 16 MiB - 1 bytes.
    #[error("longer than an RTMP message can be: 16 MiB - 1")]
    TooLong,
    /// Another publisher has the stream now (`streams.second_publisher`).
    #[error("another publisher took over the stream")]
    TakenOver,
    /// The stream was ended: [`Server::end_stream`](crate::Server::end_stream),
    /// or a worker that failed.
    #[error("the stream was ended")]
    Ended,
    /// The system has no memory for a copy.
    #[error("out of memory")]
    Memory,
    /// 16 MiB or 16,384 messages are on their way and not yet taken: write again later.
    #[error("frames come faster than they can be taken")]
    Full,
}

impl Publisher {
    pub(crate) fn open(shared: &Arc<Shared>, name: &str) -> Result<Publisher, PublishError> {
        let name = shared.host_name(name);
        if name.is_empty() {
            return Err(PublishError::EmptyName);
        }
        if shared.stopping.load(Ordering::Acquire) {
            return Err(PublishError::Stopping);
        }
        let number = shared.next_host_publisher.fetch_add(1, Ordering::Relaxed);
        let id = PublisherId::Host(number);
        let worker = shared.placement.of_host(number);
        // Sent with the lock held: nobody can join at the home before it knows.
        let rules = ClaimRules::of(&shared.config());
        let mut directory = shared.directory.lock();
        match directory.claim(&name, id, worker, &rules, shared.now()) {
            Claim::Busy => Err(PublishError::Busy),
            Claim::Full => Err(PublishError::Limit),
            Claim::Granted(grant) => {
                let (stream, epoch, home) = (grant.id, grant.epoch, grant.home);
                let (replaced, tenure) = (grant.replaced, grant.tenure.clone());
                let (evicted, pulse) = (grant.evicted, grant.pulse.clone());
                shared.inboxes[home].send(Command::Publish(grant));
                drop(directory);
                shared.notify_replaced(replaced);
                shared.notify_evicted(evicted);
                Ok(Publisher {
                    shared: shared.clone(),
                    stream,
                    epoch,
                    home,
                    tenure,
                    in_flight: InFlight::new(IN_FLIGHT),
                    pulse,
                })
            }
        }
    }

    /// Sends an RTMP message body as it is: an FLV or Enhanced RTMP audio or video
    /// tag body, or AMF0 values (the name first) for data. `timestamp` in
    /// milliseconds.
    ///
    /// # Errors
    /// After [`PublishError::TakenOver`] and [`PublishError::Ended`] nothing more
    /// will be taken: drop it, and publish again if that is wanted.
    pub fn write_message(
        &mut self,
        kind: MediaKind,
        timestamp: u32,
        payload: impl Into<Payload>,
    ) -> Result<(), PublishError> {
        let payload = payload.into();
        let admission = self.admit(payload.len())?;
        self.send(kind, timestamp, payload, admission);
        Ok(())
    }

    /// [`Publisher::write_message`] of a body that stands in parts, which are copied once
    /// it is known that it will be taken.
    ///
    /// # Errors
    /// [`PublishError::Memory`] besides.
    pub fn write_parts(
        &mut self,
        kind: MediaKind,
        timestamp: u32,
        parts: &[&[u8]],
    ) -> Result<(), PublishError> {
        // No part is larger than memory, but their sum may be.
        let bytes = parts
            .iter()
            .fold(0usize, |sum, p| sum.saturating_add(p.len()));
        let admission = self.admit(bytes)?;
        let mut body = Vec::new();
        if body.try_reserve_exact(bytes).is_err() {
            return Err(PublishError::Memory);
        }
        parts.iter().for_each(|part| body.extend_from_slice(part));
        self.send(kind, timestamp, Bytes::from(body).into(), admission);
        Ok(())
    }

    /// Whether a message of so many bytes is taken now: for who makes it after that, and
    /// hands it to [`Publisher::write_admitted`].
    pub fn admit(&self, bytes: usize) -> Result<Admission, PublishError> {
        if self.shared.stopped.load(Ordering::Acquire) {
            return Err(PublishError::Stopping);
        }
        match self.tenure.of(self.epoch) {
            Standing::Publishes => {}
            Standing::Ended => return Err(PublishError::Ended),
            Standing::Replaced => return Err(PublishError::TakenOver),
        }
        if bytes > MAX_MESSAGE_LENGTH {
            return Err(PublishError::TooLong);
        }
        if self.in_flight.level() > Level::Within {
            return Err(PublishError::Full);
        }
        // Room in front and the host's own bytes: what it takes until it is a packet.
        let credit = self.in_flight.take(bytes, bytes, &self.shared.budget);
        Ok(Admission(credit))
    }

    /// [`Publisher::write_message`] of what [`Publisher::admit`] has let in.
    pub fn write_admitted(
        &mut self,
        admission: Admission,
        kind: MediaKind,
        timestamp: u32,
        payload: impl Into<Payload>,
    ) {
        self.send(kind, timestamp, payload.into(), admission);
    }

    fn send(&self, kind: MediaKind, timestamp: u32, payload: Payload, admission: Admission) {
        self.pulse.fall_silent(self.shared.now());
        let message = PublisherMessage {
            stream: self.stream,
            epoch: self.epoch,
            kind,
            timestamp,
            payload,
        };
        self.shared.inboxes[self.home].send(Command::Media {
            message,
            credit: admission.0,
            publisher: None,
        });
    }

    /// Sends a video packet: its decoder configuration first
    /// ([`VideoPacketKind::SequenceStart`]), then frames. Errors are those of
    /// [`Publisher::write_message`].
    pub fn write_video(&mut self, packet: &VideoPacket<'_>) -> Result<(), PublishError> {
        let header = video_header(
            packet.codec,
            packet.track,
            packet.frame_type,
            packet.kind,
            packet.composition_time,
        );
        self.write_parts(MediaKind::Video, packet.timestamp, &[&header, packet.body])
    }

    /// Sends an audio packet: its configuration first, then frames. Errors are those of
    /// [`Publisher::write_message`].
    pub fn write_audio(&mut self, packet: &AudioPacket<'_>) -> Result<(), PublishError> {
        let header = audio_header(packet.codec, packet.track, packet.kind);
        self.write_parts(MediaKind::Audio, packet.timestamp, &[&header, packet.body])
    }

    /// Sends onMetaData. Without it players get what the packets tell.
    pub fn write_metadata(&mut self, metadata: Object) -> Result<(), PublishError> {
        let mut encoder = Encoder::new(Encoding::Amf0);
        encoder.value(&Value::from("onMetaData"));
        encoder.value(&Value::EcmaArray(metadata));
        self.write_message(MediaKind::Data, 0, encoder.finish())
    }

    /// The stream.
    pub fn stream(&self) -> StreamId {
        self.stream
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

impl Drop for Publisher {
    /// When it returns the name may be published again, and the seat is free.
    fn drop(&mut self) {
        self.shared
            .send_publisher_left(self.home, self.stream, self.epoch, Departure::Goodbye);
    }
}
