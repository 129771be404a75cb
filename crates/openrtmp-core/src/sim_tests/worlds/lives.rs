//! What publishers of a world send: each message names the life (one publisher
//! from its start to its end) and its place in it, so that whoever gets it can
//! tell which one it is.

use std::time::Duration;

use bytes::Bytes;
use openrtmp_protocol::Time;
use openrtmp_protocol::media::{
    AudioCodec, AudioPacketKind, FrameType, VideoCodec, VideoPacketKind, write_audio, write_video,
};
use openrtmp_protocol::session::MediaKind;

use super::plan::{FETCHED_PLACE, Source};

/// A step back of less is taken for messages out of order, in milliseconds: frames are
/// then as close together as can be.
const CLOCK_TOLERANCE: i32 = 500;

/// The longest step from frame to frame, in milliseconds.
const LONGEST_STEP: i32 = 2_000;

/// How far ahead audio is of an encoder that has it so, and how far off the timestamps
/// are that are, in milliseconds.
const AHEAD: u32 = 3_200;
const OFF: u32 = 3_600_000;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Class {
    Metadata,
    VideoHeader,
    AudioHeader,
    Key,
    Inter,
    /// Parameter sets in a message of their own.
    Prelude,
    Audio,
    Data,
}

impl Class {
    /// Of a message body, by the legacy headers of FLV 10.1, annex E.4.2 and
    /// E.4.3, and the type of the NAL unit in it.
    pub(super) fn of(kind: MediaKind, payload: &[u8]) -> Option<Class> {
        Some(match kind {
            MediaKind::Data if payload.starts_with(ON_METADATA) => Class::Metadata,
            MediaKind::Data => Class::Data,
            MediaKind::Video => match (payload.first()?, payload.get(1)?) {
                (_, 0) => Class::VideoHeader,
                _ => match payload.get(9)? & 0x1F {
                    5 => Class::Key,
                    7 => Class::Prelude,
                    _ => Class::Inter,
                },
            },
            MediaKind::Audio => match payload.get(1)? {
                0 => Class::AudioHeader,
                _ => Class::Audio,
            },
        })
    }

    pub(super) fn is_frame(self) -> bool {
        matches!(self, Class::Key | Class::Inter | Class::Audio)
    }

    /// Bytes in front of what the codec makes, which a tap does not hand out.
    pub(super) fn tag_header(self) -> usize {
        match self {
            Class::VideoHeader | Class::Key | Class::Inter | Class::Prelude => 5,
            Class::AudioHeader | Class::Audio => 2,
            Class::Metadata | Class::Data => 0,
        }
    }

    /// The number in a body without its tag header.
    fn number(self, body: &[u8]) -> Option<u32> {
        let integer = |at: usize| -> Option<u32> {
            let bytes = body.get(at..at.checked_add(4)?)?;
            Some(u32::from_be_bytes(bytes.try_into().ok()?))
        };
        let double = |from_end: usize| -> Option<u32> {
            let at = body.len().checked_sub(from_end)?;
            let bytes = body.get(at..at + 8)?;
            Some(f64::from_be_bytes(bytes.try_into().ok()?) as u32)
        };
        match self {
            Class::Key | Class::Inter | Class::Prelude => integer(6),
            Class::Audio => integer(0),
            Class::VideoHeader | Class::AudioHeader => integer(body.len().checked_sub(4)?),
            Class::Metadata => double(11),
            Class::Data => double(8),
        }
    }
}

const ON_METADATA: &[u8] = b"\x02\x00\x0aonMetaData";

/// A body of this class with this number in it. What is `tagged` calls itself a key
/// frame, whatever it is.
fn body(class: Class, number: u32, size: usize, tagged: bool) -> Bytes {
    match class {
        Class::Metadata => {
            let mut bytes = ON_METADATA.to_vec();
            bytes.extend(b"\x08\x00\x00\x00\x01\x00\x05width\x00");
            bytes.extend(f64::from(number).to_be_bytes());
            bytes.extend(b"\x00\x00\x09");
            bytes.into()
        }
        Class::Data => {
            let mut bytes = b"\x02\x00\x0aonCuePoint\x00".to_vec();
            bytes.extend(f64::from(number).to_be_bytes());
            bytes.into()
        }
        Class::VideoHeader => {
            let sps = [0x67, 0x42, 0xC0, 30, 0xD9, 0x00, 0xA0, 0x47, 0xFE, 0xC8];
            let mut record = vec![1, 0x42, 0xC0, 30, 0xFF, 0xE1, 0, sps.len() as u8];
            record.extend(sps);
            record.extend([1, 0, 5, 0x68]);
            record.extend(number.to_be_bytes());
            let kind = VideoPacketKind::SequenceStart;
            write_video(VideoCodec::Avc, 0, FrameType::Key, kind, 0, &record)
        }
        Class::AudioHeader => {
            let mut config = vec![0x12, 0x10];
            config.extend(number.to_be_bytes());
            write_audio(AudioCodec::Aac, 0, AudioPacketKind::SequenceStart, &config)
        }
        Class::Key | Class::Inter | Class::Prelude => {
            let (frame, nal) = match class {
                Class::Key => (FrameType::Key, 0x65),
                Class::Prelude => (FrameType::Key, 0x67),
                _ if tagged => (FrameType::Key, 0x41),
                _ => (FrameType::Inter, 0x41),
            };
            let mut unit = vec![nal, 0x9A];
            unit.extend(number.to_be_bytes());
            unit.resize(size.max(8), number as u8 | 0x80);
            let mut body = (unit.len() as u32).to_be_bytes().to_vec();
            body.extend(unit);
            write_video(VideoCodec::Avc, 0, frame, VideoPacketKind::Frame, 0, &body)
        }
        Class::Audio => {
            let mut body = number.to_be_bytes().to_vec();
            body.resize(40, 0x21);
            write_audio(AudioCodec::Aac, 0, AudioPacketKind::Frame, &body)
        }
    }
}

/// A message that was sent.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) class: Class,
    pub(super) timestamp: u32,
    pub(super) payload: Bytes,
    /// Header of its kind that is in force for a frame, by its place.
    pub(super) header: Option<u32>,
    /// The same bytes as the header or metadata before it: not to be passed on.
    pub(super) repeated: bool,
    /// Timestamps are at a constant distance from the stream's within a stretch;
    /// `None` where the clock holds still.
    pub(super) stretch: Option<u32>,
}

/// One publisher, from its start to its end.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) stream: usize,
    /// It sends neither metadata nor headers.
    bare: bool,
    pub(super) sent: Vec<Sent>,
}

/// Every life of a world.
#[derive(Debug, Default)]
pub(super) struct Lives(Vec<Life>);

impl Lives {
    fn begin(&mut self, source: &Source) -> usize {
        self.0.push(Life {
            stream: source.stream as usize % (FETCHED_PLACE + 1),
            bare: source.bare,
            sent: Vec::new(),
        });
        self.0.len() - 1
    }

    pub(super) fn life(&self, index: usize) -> &Life {
        &self.0[index]
    }

    /// Bytes of the largest group of pictures: what a joiner may get at once.
    pub(super) fn largest_group(&self) -> usize {
        let mut largest = 0;
        for life in &self.0 {
            let mut group = None;
            for sent in &life.sent {
                group = match (sent.class, group) {
                    (Class::Key, _) => Some(sent.payload.len()),
                    (_, group) => group.map(|bytes| bytes + sent.payload.len()),
                };
                largest = largest.max(group.unwrap_or_default());
            }
        }
        largest
    }

    pub(super) fn has_bare(&self, stream: usize) -> bool {
        self.0.iter().any(|life| life.bare && life.stream == stream)
    }

    /// Metadata that a publisher may have sent.
    pub(super) fn is_ours(&self, body: &[u8]) -> bool {
        body.len() == self::body(Class::Metadata, 0, 0, false).len()
    }

    /// Which message this is, if it was ever sent. The body comes without the
    /// first `skipped` bytes.
    pub(super) fn find(&self, class: Class, body: &[u8], skipped: usize) -> Option<(usize, u32)> {
        let bare = body.get(class.tag_header() - skipped..)?;
        let number = class.number(bare)?;
        let (life, index) = ((number >> 16) as usize, number & 0xFFFF);
        let sent = self.0.get(life)?.sent.get(index as usize)?;
        (sent.class == class && sent.payload[skipped..] == *body).then_some((life, index))
    }
}

/// Takes a message; false if it is not sent.
pub(super) type Send<'a> = &'a mut dyn FnMut(MediaKind, u32, &Bytes) -> bool;

/// What makes a publisher's messages as time goes on.
#[derive(Debug)]
pub(super) struct Feeder {
    source: Source,
    pub(super) life: usize,
    pub(super) silent: bool,
    frames: u32,
    next: Time,
    /// Milliseconds added to its timestamps.
    shift: i32,
    stretch: u32,
    odd: bool,
    video_header: Option<u32>,
    audio_header: Option<u32>,
    metadata: Option<u32>,
}

impl Feeder {
    pub(super) fn new(source: &Source, lives: &mut Lives, now: Time) -> Feeder {
        Feeder {
            source: source.clone(),
            life: lives.begin(source),
            silent: false,
            frames: 0,
            next: now,
            shift: 0,
            stretch: 0,
            odd: false,
            video_header: None,
            audio_header: None,
            metadata: None,
        }
    }

    fn interval(&self) -> u32 {
        match self.source.interval {
            0 => 40,
            interval => interval.clamp(5, 2000),
        }
    }

    /// When its next frame is due.
    pub(super) fn due(&self) -> Option<Time> {
        (!self.silent).then_some(self.next)
    }

    /// Sends what is due; headers come first.
    pub(super) fn act(&mut self, lives: &mut Lives, now: Time, send: Send<'_>) {
        if self.silent {
            return;
        }
        // After a pause it goes on with the present, as a camera does.
        let late = now.since(self.next).as_millis() as u32;
        if late > 10 * self.interval() {
            self.frames += late / self.interval();
            self.next = now;
        }
        while self.next <= now {
            self.next = self.next + Duration::from_millis(self.interval().into());
            self.frame(lives, send);
        }
    }

    pub(super) fn go_on(&mut self, now: Time) {
        self.silent = false;
        self.next = self.next.max(now);
    }

    pub(super) fn burst(&mut self, count: u32, lives: &mut Lives, send: Send<'_>) {
        for _ in 0..count.min(500) {
            self.frame(lives, send);
        }
    }

    fn has_video(&self) -> bool {
        match self.source.tracks {
            1 => false,
            3 => self.frames >= 20,
            _ => true,
        }
    }

    fn has_audio(&self) -> bool {
        self.source.tracks != 2
    }

    fn frame(&mut self, lives: &mut Lives, send: Send<'_>) {
        if !self.source.bare {
            if self.metadata.is_none() {
                self.metadata(lives, send);
            }
            self.headers(false, lives, send);
        }
        let group = match self.source.group {
            0 => 10,
            group => group,
        };
        let size = match self.source.size {
            0 => 200,
            size => size.min(1 << 20),
        };
        let time = self.frames * self.interval();
        if self.source.lies == 6 && !self.source.bare && self.frames.is_multiple_of(7) {
            // Whoever got it would be told that it was never sent.
            let kind = VideoPacketKind::SequenceStart;
            let empty = write_video(VideoCodec::Avc, 0, FrameType::Key, kind, 0, &[]);
            send(MediaKind::Video, self.stamp(time), &empty);
        }
        if self.has_video() && self.source.lies != 2 {
            if self.source.lies == 3 {
                self.put(Class::Prelude, time, 0, lives, send);
            }
            let start = if self.source.tracks == 3 { 20 } else { 0 };
            if start > 0 && self.frames == start && self.source.lies == 4 {
                // It begins behind the audio that was there alone. If that began at zero,
                // as what has a negative time does, the audio is moved on, once.
                self.stretch += 1;
            }
            let class = match (self.frames - start).is_multiple_of(group) {
                true => Class::Key,
                false => Class::Inter,
            };
            self.put(class, time, size as usize, lives, send);
        }
        if self.has_audio() {
            let ahead = if self.source.lies == 4 { AHEAD } else { 0 };
            let time = time + self.interval() / 8 + ahead;
            self.put(Class::Audio, time, 0, lives, send);
        }
        self.frames += 1;
    }

    /// Sends the headers that are missing, and, if it is to, all of them anew.
    pub(super) fn headers(&mut self, anew: bool, lives: &mut Lives, send: Send<'_>) {
        let time = self.frames * self.interval();
        if self.has_video() && (anew || self.video_header.is_none()) {
            self.put(Class::VideoHeader, time, 0, lives, send);
        }
        if self.has_audio() && (anew || self.audio_header.is_none()) {
            self.put(Class::AudioHeader, time, 0, lives, send);
        }
    }

    /// Sends headers and metadata as they are once more.
    pub(super) fn repeat(&mut self, lives: &mut Lives, send: Send<'_>) {
        for header in [self.metadata, self.video_header, self.audio_header] {
            let Some(index) = header else { continue };
            let old = &lives.0[self.life].sent[index as usize];
            let (class, payload) = (old.class, old.payload.clone());
            let time = self.stamp(self.frames * self.interval());
            self.log(class, time, payload, true, lives, send);
        }
    }

    pub(super) fn metadata(&mut self, lives: &mut Lives, send: Send<'_>) {
        self.put(Class::Metadata, 0, 0, lives, send);
    }

    pub(super) fn data(&mut self, lives: &mut Lives, send: Send<'_>) {
        let time = self.frames * self.interval();
        self.put(Class::Data, time, 0, lives, send);
    }

    pub(super) fn big(&mut self, key: bool, bytes: u32, lives: &mut Lives, send: Send<'_>) {
        if self.has_video() && self.frames > 0 && self.source.lies != 2 {
            let class = if key { Class::Key } else { Class::Inter };
            let time = self.frames * self.interval();
            let size = bytes.min(2 << 20) as usize;
            self.put(class, time, size, lives, send);
        }
    }

    pub(super) fn jump(&mut self, by: i32) {
        self.shift = self.shift.wrapping_add(by);
        self.stretch += 1;
        // A step back by less is none: the outcome hangs on how frames are interleaved.
        let least = -CLOCK_TOLERANCE - LONGEST_STEP;
        self.odd |= (least..0).contains(&by) || self.source.lies == 5;
    }

    fn stamp(&self, time: u32) -> u32 {
        let time = self.source.first.wrapping_add(time);
        time.wrapping_add(self.shift as u32)
    }

    fn put(&mut self, class: Class, time: u32, size: usize, lives: &mut Lives, send: Send<'_>) {
        let index = lives.0[self.life].sent.len() as u32;
        if index > 0xFFFF {
            return;
        }
        let number = (self.life as u32) << 16 | index;
        let payload = body(class, number, size, self.source.lies == 1);
        let is_off = self.source.lies == 5 && index % 23 == 22 && class.is_frame();
        let stamp = self.stamp(time).wrapping_add(if is_off { OFF } else { 0 });
        let stretch = (!self.odd && !is_off).then_some(self.stretch);
        if self.log(class, stamp, payload, false, lives, send) {
            if let Some(sent) = lives.0[self.life].sent.last_mut() {
                sent.stretch = stretch;
            }
            match class {
                Class::VideoHeader => self.video_header = Some(index),
                Class::AudioHeader => self.audio_header = Some(index),
                Class::Metadata => self.metadata = Some(index),
                _ => {}
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "each is a part of the message")]
    fn log(
        &mut self,
        class: Class,
        timestamp: u32,
        payload: Bytes,
        repeated: bool,
        lives: &mut Lives,
        send: Send<'_>,
    ) -> bool {
        let kind = match class {
            Class::Metadata | Class::Data => MediaKind::Data,
            Class::VideoHeader | Class::Key | Class::Inter | Class::Prelude => MediaKind::Video,
            Class::AudioHeader | Class::Audio => MediaKind::Audio,
        };
        if !send(kind, timestamp, &payload) {
            return false;
        }
        lives.0[self.life].sent.push(Sent {
            class,
            timestamp,
            payload,
            header: match class {
                Class::Key | Class::Inter => self.video_header,
                Class::Audio => self.audio_header,
                _ => None,
            },
            repeated,
            stretch: (!self.odd).then_some(self.stretch),
        });
        true
    }
}
