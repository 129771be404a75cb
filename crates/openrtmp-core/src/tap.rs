//! Streams for the host: their frames or messages, through a queue of the tap's own.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use openrtmp_protocol::session::MediaKind;

use crate::shared::Shared;
use crate::stream::class::Class;
use crate::stream::frame::{self, Frame, FrameContent};
use crate::stream::packet::SharedPacket;
use crate::stream::tap_queue::{Bound, Loss, TapItem, TapNews, TapQueue, TapStream, TapStreams};
use crate::stream::tracks::Track;

/// What a tap is on, what it yields and how much may wait in it.
///
/// ```
/// # use openrtmp_core::{TapOptions, TapStreams};
/// # use std::time::Duration;
/// let one = TapOptions::new("live/cam").max_delay(Duration::from_secs(2));
/// let half = TapOptions::new(TapStreams::Shard { index: 0, count: 2 }).messages();
/// # assert_ne!(one, half);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TapOptions {
    /// Which streams.
    pub streams: TapStreams,
    /// Frames or messages.
    pub form: TapForm,
    /// Bytes of each stream that may wait. With more, video is dropped up to the next
    /// key frame; with twice as many everything is but what frames to come need.
    /// `None`: `queue.max_bytes` of the settings when the tap is opened.
    pub max_bytes: Option<usize>,
    /// The same for how long the oldest frame may wait. `None`: any time.
    pub max_delay: Option<Duration>,
}

/// What a tap yields of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TapForm {
    /// [`TapEvent::Frame`]: the frames of each track, without the headers that RTMP has.
    #[default]
    Frames,
    /// [`TapEvent::Message`]: messages as they were published.
    Messages,
}

impl TapOptions {
    /// Frames of these streams, bounded in bytes as players are.
    pub fn new(streams: impl Into<TapStreams>) -> TapOptions {
        TapOptions {
            streams: streams.into(),
            form: TapForm::Frames,
            max_bytes: None,
            max_delay: None,
        }
    }

    /// Messages in place of frames.
    pub fn messages(mut self) -> TapOptions {
        self.form = TapForm::Messages;
        self
    }

    /// Sets [`TapOptions::max_bytes`].
    pub fn max_bytes(mut self, bytes: usize) -> TapOptions {
        self.max_bytes = Some(bytes);
        self
    }

    /// Sets [`TapOptions::max_delay`].
    pub fn max_delay(mut self, delay: Duration) -> TapOptions {
        self.max_delay = Some(delay);
        self
    }
}

/// Receives streams. Made by [`Server::tap`](crate::Server::tap),
/// [`Server::tap_all`](crate::Server::tap_all) and
/// [`Server::tap_with`](crate::Server::tap_with); dropping it ends it.
///
/// The host brings the thread, which waits in [`Tap::recv`], or the task, which waits
/// with [`Tap::poll_recv`]. A host that is slow loses video up to the next key frame,
/// is told what it lost, and delays nobody.
pub struct Tap {
    queue: Arc<TapQueue>,
    shared: Arc<Shared>,
    form: TapForm,
    /// Frames of a multitrack message that were not handed out yet.
    pending: VecDeque<Frame>,
}

/// Closes a [`Tap`] that another thread waits in.
#[derive(Clone)]
pub struct TapCloser(Arc<TapQueue>);

impl TapCloser {
    /// Closes it: [`Tap::recv`] yields what is there, then the end of each stream that
    /// it told the start of, and then nothing more.
    pub fn close(&self) {
        self.0.close();
    }
}

impl fmt::Debug for TapCloser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let closed = self.0.is_closed();
        f.debug_struct("TapCloser")
            .field("closed", &closed)
            .finish()
    }
}

/// What a tap tells, in the order in which it happened to a stream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TapEvent {
    /// A stream has a publisher; its tracks, headers and frames follow.
    Started(Arc<TapStream>),
    /// What a stream consists of now. A tap on a live stream begins with it; then it
    /// comes before the message that changed it.
    Tracks {
        /// The stream.
        stream: Arc<TapStream>,
        /// All its tracks.
        tracks: Arc<[Track]>,
    },
    /// A frame, or a header.
    Frame(Frame),
    /// A message, of a tap with [`TapForm::Messages`].
    Message(Message),
    /// Frames that are not there because the tap was too slow. It comes where the gap
    /// ends: before the frame that follows it.
    Lost {
        /// The stream.
        stream: Arc<TapStream>,
        /// How much.
        loss: Loss,
    },
    /// A stream goes on with another publisher: one that took over, or came within
    /// `streams.republish_grace`. Its own headers come, and video starts at a key frame;
    /// time goes on.
    Republished(Arc<TapStream>),
    /// The stream is over. It may start again.
    Ended(Arc<TapStream>),
}

/// A message of a stream, as published, on the stream's clock. As long as it is there, its
/// bytes count in `limits.memory`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Message {
    /// The stream.
    pub stream: Arc<TapStream>,
    /// Audio, video or data.
    pub kind: MediaKind,
    /// Track of its first packet; 0 is the default track.
    pub track: u8,
    /// What it is to players.
    pub content: FrameContent,
    /// Time in microseconds on the stream's clock, which does not wrap as RTMP's does
    /// after 49.7 days.
    pub time_micros: i64,
    /// The message's payload, by reference: the body of an FLV tag (Enhanced RTMP's
    /// headers included), or AMF0 values for data.
    pub payload: Bytes,
    /// How long it was in the tap.
    pub waited: Duration,
    /// As [`Frame::dropped`].
    pub dropped: u64,
    packet: SharedPacket,
}

impl Message {
    /// The frames in it, as a tap on frames yields them; one at least.
    pub fn frames(&self) -> impl Iterator<Item = Frame> + use<> {
        let (time, mut frames) = (self.time_micros / 1000, VecDeque::new());
        frame::split(&self.stream, &self.packet, time, self.dropped, &mut frames);
        frames.into_iter()
    }

    /// It is no picture, but what the next one needs: parameter sets in a message of their
    /// own. Its frame says that it needs earlier ones.
    pub fn is_prelude(&self) -> bool {
        self.packet.class == Class::Prelude
    }

    fn new(
        stream: Arc<TapStream>,
        packet: &SharedPacket,
        time: i64,
        waited: Duration,
        dropped: u64,
    ) -> Message {
        Message {
            stream,
            kind: packet.kind,
            track: packet.track,
            content: frame::content_of(packet),
            time_micros: time * 1000,
            payload: packet.message.payload_slice(0..packet.len()),
            waited,
            dropped,
            packet: packet.clone(),
        }
    }
}

impl Tap {
    /// A tap that is attached to nothing yet. An id that names no stream makes one that
    /// is closed.
    pub(crate) fn new(options: TapOptions, shared: Arc<Shared>) -> Tap {
        let bytes = options
            .max_bytes
            .unwrap_or_else(|| shared.config().queue.max_bytes);
        let bound = Bound {
            bytes,
            delay: options.max_delay,
        };
        let queue = shared.open_tap(options.streams, bound);
        Tap {
            queue,
            shared,
            form: options.form,
            pending: VecDeque::new(),
        }
    }

    /// Waits up to `timeout` for what comes next. `None`: nothing came, or the
    /// server stopped ([`Tap::is_closed`] tells).
    pub fn recv(&mut self, timeout: Duration) -> Option<TapEvent> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            // Before the look: what comes before the end was there then.
            let is_closed = self.is_closed();
            if let Some(event) = self.try_recv() {
                return Some(event);
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if is_closed || left.is_some_and(|left| left.is_zero()) {
                return None;
            }
            self.queue.wait(left);
        }
    }

    /// What comes next, for a task: has its waker called once there is something. The
    /// waker is called on a thread of the server, which it must not hold up; calls are
    /// coalesced, and its panics caught. `Ready(None)`: the tap is closed, and nothing
    /// more comes.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<TapEvent>> {
        loop {
            let is_closed = self.is_closed();
            if let Some(event) = self.try_recv() {
                return Poll::Ready(Some(event));
            }
            if is_closed {
                return Poll::Ready(None);
            }
            if !self.queue.register(context.waker()) {
                return Poll::Pending;
            }
        }
    }

    /// What comes next, if it is there.
    pub fn try_recv(&mut self) -> Option<TapEvent> {
        if let Some(frame) = self.pending.pop_front() {
            return Some(TapEvent::Frame(frame));
        }
        let TapItem { stream, news } = self.queue.take()?;
        Some(match news {
            TapNews::Started => TapEvent::Started(stream),
            TapNews::Tracks(tracks) => TapEvent::Tracks { stream, tracks },
            TapNews::Republished => TapEvent::Republished(stream),
            TapNews::Lost(loss) => TapEvent::Lost { stream, loss },
            TapNews::Ended => TapEvent::Ended(stream),
            TapNews::Packet {
                packet,
                time,
                queued,
                dropped,
            } => match self.form {
                TapForm::Messages => {
                    let waited = self.shared.now().since(queued);
                    TapEvent::Message(Message::new(stream, &packet, time, waited, dropped))
                }
                TapForm::Frames => {
                    frame::split(&stream, &packet, time, dropped, &mut self.pending);
                    return self.pending.pop_front().map(TapEvent::Frame);
                }
            },
        })
    }

    /// What closes this tap from another thread.
    pub fn closer(&self) -> TapCloser {
        TapCloser(self.queue.clone())
    }

    /// True once it was closed or the server stopped: what is there can still be taken,
    /// and nothing more will come.
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap")
            .field("form", &self.form)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.queue.abandon();
        self.shared.directory.lock().untap(&self.queue);
    }
}
