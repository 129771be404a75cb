//! A stream's frames for the host: one more subscriber, with a queue and a drop
//! policy of its own.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use openrtmp_protocol::media::{
    AudioPacketKind, AudioTag, FourCc, FrameType, VideoPacketKind, VideoTag,
};
use openrtmp_protocol::session::MediaKind;
use openrtmp_protocol::{StreamName, Time};

use crate::config::QueueConfig;
use crate::id::StreamId;
use crate::shared::Shared;
use crate::stream::gate::Gate;
use crate::stream::packet::{Class, SharedPacket};
use crate::stream::queue::{Entry, SendQueue};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// Streams that are over and of which a tap keeps what its owner did not take.
const ENDED_FEEDS: usize = 64;

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

/// The stream a frame belongs to.
#[derive(Debug, PartialEq, Eq)]
pub struct TapStream {
    /// Which.
    pub id: StreamId,
    /// Its path.
    pub name: StreamName,
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

/// The queue between the workers and a tap.
pub(crate) struct Tapped {
    feeds: Mutex<Feeds>,
    signal: Arc<Signal>,
    wants: Box<dyn Fn(&StreamName) -> bool + Send + Sync>,
    closed: AtomicBool,
}

#[derive(Default)]
struct Feeds {
    list: Vec<Feed>,
    /// Where to look first: each has its turn.
    next: usize,
}

struct Feed {
    stream: Arc<TapStream>,
    queue: SendQueue,
    /// Stream time of the last frame taken, in milliseconds: the 32 bits of the
    /// next one are near it.
    clock: i64,
    dropped: u64,
    /// The owner was told that it started.
    announced: bool,
    ended: bool,
}

/// What a tap's owner takes.
pub(crate) enum TapItem {
    Started(Arc<TapStream>),
    Packet {
        stream: Arc<TapStream>,
        packet: SharedPacket,
        /// The packet's time with the bits that the wire does not carry.
        time: i64,
        dropped: u64,
    },
    Ended(Arc<TapStream>),
}

impl Tapped {
    pub(crate) fn new(
        signal: Arc<Signal>,
        wants: Box<dyn Fn(&StreamName) -> bool + Send + Sync>,
    ) -> Arc<Tapped> {
        Arc::new(Tapped {
            feeds: Mutex::default(),
            signal,
            wants,
            closed: AtomicBool::new(false),
        })
    }

    pub(crate) fn wants(&self, name: &StreamName) -> bool {
        !self.closed.load(Ordering::Acquire) && (self.wants)(name)
    }

    /// Takes what comes next, of each stream that has something in turn.
    pub(crate) fn take(&self) -> Option<TapItem> {
        let mut feeds = self.lock();
        let (count, first) = (feeds.list.len(), feeds.next);
        for index in (0..count).map(|step| (first + step) % count) {
            let (earlier, rest) = feeds.list.split_at_mut(index);
            let feed = &mut rest[0];
            // A stream that came back: first the end of what it was.
            if earlier.iter().any(|f| f.stream.id == feed.stream.id) {
                continue;
            }
            let Some(item) = feed.take() else { continue };
            feeds.next = index + 1;
            if matches!(item, TapItem::Ended(_)) {
                feeds.list.remove(index);
                feeds.next = index;
            }
            return Some(item);
        }
        None
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Nothing more will come, or be taken.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.signal.notify();
    }

    fn lock(&self) -> MutexGuard<'_, Feeds> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feeds {
    fn of(&mut self, stream: &Arc<TapStream>) -> Option<&mut Feed> {
        let mut list = self.list.iter_mut();
        list.rfind(|feed| Arc::ptr_eq(&feed.stream, stream))
    }
}

impl Feed {
    fn take(&mut self) -> Option<TapItem> {
        if !self.announced {
            self.announced = true;
            return Some(TapItem::Started(self.stream.clone()));
        }
        while let Some(entry) = self.queue.pop() {
            if let Entry::Media(queued) = entry {
                // On the wire onMetaData is always at 0.
                if queued.packet.class != Class::Metadata {
                    self.clock = near(self.clock, queued.packet.timestamp);
                }
                return Some(TapItem::Packet {
                    stream: self.stream.clone(),
                    packet: queued.packet,
                    time: self.clock,
                    dropped: self.dropped,
                });
            }
        }
        self.ended.then(|| TapItem::Ended(self.stream.clone()))
    }
}

/// The time nearest to `clock` of which these are the low 32 bits.
fn near(clock: i64, timestamp: u32) -> i64 {
    clock + i64::from(timestamp.wrapping_sub(clock as u32) as i32)
}

/// A stream's end of a tap, on the stream's home worker.
pub(crate) struct TapSink {
    tapped: Arc<Tapped>,
    stream: Arc<TapStream>,
    gate: Gate,
}

/// What a tap gets at once when it is attached.
pub(crate) struct TapStart<'a> {
    pub(crate) stream: TapStream,
    pub(crate) has_video: bool,
    /// What a joiner gets.
    pub(crate) snapshot: &'a [SharedPacket],
    /// The stream's newest time in milliseconds.
    pub(crate) clock: i64,
}

/// Streams that come and go while the owner takes nothing: of those that are over
/// the newest are kept, so that they cost no more than that.
fn forget_ended(feeds: &mut Vec<Feed>) {
    let ended = feeds.iter().filter(|feed| feed.ended).count();
    let mut surplus = ended.saturating_sub(ENDED_FEEDS);
    feeds.retain_mut(|feed| {
        if surplus == 0 || !feed.ended {
            return true;
        }
        surplus -= 1;
        // Whoever was told of the start is told of the end.
        feed.queue = SendQueue::default();
        feed.announced
    });
}

impl TapSink {
    /// Attaches a tap to a stream.
    pub(crate) fn attach(
        tapped: Arc<Tapped>,
        start: TapStart<'_>,
        now: Time,
        config: &QueueConfig,
    ) -> TapSink {
        let stream = Arc::new(start.stream);
        let first = start.snapshot.iter().find(|p| p.class != Class::Metadata);
        let mut feeds = tapped.lock();
        forget_ended(&mut feeds.list);
        feeds.list.push(Feed {
            stream: stream.clone(),
            queue: SendQueue::default(),
            clock: first.map_or(start.clock, |p| near(start.clock, p.timestamp)),
            dropped: 0,
            announced: false,
            ended: false,
        });
        drop(feeds);
        let mut sink = TapSink {
            tapped,
            stream,
            gate: Gate::joining(start.has_video),
        };
        for packet in start.snapshot {
            sink.push(packet, now, config);
        }
        sink.tapped.signal.notify();
        sink
    }

    /// False once the host closed the tap.
    pub(crate) fn push(&mut self, packet: &SharedPacket, now: Time, config: &QueueConfig) -> bool {
        if self.tapped.closed.load(Ordering::Acquire) {
            return false;
        }
        let mut feeds = self.tapped.lock();
        let Some(feed) = feeds.of(&self.stream) else {
            return false;
        };
        if !feed.queue.reserve() {
            // For want of memory a frame is lost as for want of time.
            feed.dropped += 1;
            return true;
        }
        feed.queue
            .push_through(&mut self.gate, packet, 1, now, config);
        // What stays when video is dropped is bounded too: audio of a host that
        // never comes back.
        if feed.queue.footprint() > config.max_bytes.saturating_mul(2) {
            let frames = feed.queue.drop_frames();
            self.gate.shed(frames, true);
        }
        feed.dropped = self.gate.dropped();
        drop(feeds);
        self.tapped.signal.notify();
        true
    }

    pub(crate) fn is_of(&self, tapped: &Arc<Tapped>) -> bool {
        Arc::ptr_eq(&self.tapped, tapped)
    }

    /// Another publisher's frames follow.
    pub(crate) fn restart(&mut self) {
        self.gate.restart();
    }
}

impl Drop for TapSink {
    fn drop(&mut self) {
        if let Some(feed) = self.tapped.lock().of(&self.stream) {
            feed.ended = true;
        }
        self.tapped.signal.notify();
    }
}

/// Wakes the owner of one or several taps.
#[derive(Default)]
pub(crate) struct Signal {
    raised: Mutex<bool>,
    condition: Condvar,
}

impl Signal {
    pub(crate) fn notify(&self) {
        let mut raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        if !*raised {
            *raised = true;
            self.condition.notify_one();
        }
    }

    /// Waits until notified, at most `timeout`.
    pub(crate) fn wait(&self, timeout: Option<Duration>) {
        let raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        let mut raised = match timeout {
            Some(timeout) => {
                self.condition
                    .wait_timeout_while(raised, timeout, |r| !*r)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
            None => self
                .condition
                .wait_while(raised, |r| !*r)
                .unwrap_or_else(PoisonError::into_inner),
        };
        *raised = false;
    }
}
