//! Messages to a worker, from other workers and from the host.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use openrtmp_protocol::Time;
use openrtmp_protocol::chunk::Payload;
use openrtmp_protocol::session::{MediaKind, RejectReason, RequestId};

use crate::config::Config;
use crate::id::{ConnectionId, StreamId};
use crate::metrics::WorkerReport;
use crate::platform::Wake;
use crate::publisher::Credit;
use crate::stream::directory::Grant;
use crate::stream::packet::SharedPacket;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::mpsc;
use crate::tap::Tapped;

/// A wake-up that fails is tried again at once: without it a command waits for
/// the next.
const WAKE_TRIES: usize = 3;

/// A message to a worker.
pub(crate) enum Command {
    /// Sockets were handed over.
    Adopt,
    /// A publish was granted, this worker is the stream's home.
    Publish(Box<Grant>),
    /// A frame of a publisher that lives elsewhere.
    Media {
        stream: StreamId,
        epoch: u32,
        kind: MediaKind,
        timestamp: u32,
        payload: Payload,
        credit: Option<Credit>,
    },
    /// That publisher is gone.
    Unpublish { stream: StreamId, epoch: u32 },
    /// A connection here no longer publishes: another took over, a key was revoked.
    EndPublish {
        connection: ConnectionId,
        stream: u32,
        reason: String,
    },
    /// The publisher that a request here waited for is gone.
    RetryPublish {
        connection: ConnectionId,
        request: RequestId,
        stream: StreamId,
    },
    /// A subscriber on `worker` wants to join a stream that lives here.
    Join {
        stream: StreamId,
        worker: usize,
        join: JoinId,
    },
    /// `worker` has no subscribers any more, or had none a moment ago.
    Leave { stream: StreamId, worker: usize },
    /// The answer to Join: frames follow from here on.
    Snapshot {
        stream: StreamId,
        join: JoinId,
        has_video: bool,
        packets: Vec<SharedPacket>,
    },
    /// A packet for the subscribers here.
    Feed {
        stream: StreamId,
        packet: SharedPacket,
    },
    /// A stream that subscribers here wait for has a publisher.
    StreamUp { stream: StreamId },
    /// Another publisher continues the stream.
    StreamRestart { stream: StreamId },
    /// A stream is over.
    StreamDown { stream: StreamId },
    /// A tap on a stream that lives here.
    Tap { stream: StreamId, tap: Arc<Tapped> },
    /// The host's answer to an access request.
    Decide {
        connection: ConnectionId,
        request: RequestId,
        decision: Result<(), RejectReason>,
    },
    /// The host wants a connection gone.
    Disconnect {
        connection: ConnectionId,
        reason: String,
        /// Whether it was there.
        answer: Option<Sender<bool>>,
    },
    /// How long to collect packets for a player; `None`: as configured.
    SetWriteCoalesce {
        connection: ConnectionId,
        window: Option<Duration>,
        /// Whether it was there.
        answer: Sender<bool>,
    },
    /// The host goes to the background, or comes back.
    SetBackground(bool),
    /// The host wants whoever publishes a stream that lives here gone.
    EndStream { stream: StreamId, reason: String },
    /// A key is no longer valid: end what it opened.
    Revoke { key: String },
    /// Other settings. The sender's drop tells that they are in force here.
    Configure(Arc<Config>, Sender<()>),
    /// Other addresses to listen on, to worker 0. The answer is those it got, or
    /// the one it could not have.
    Listen {
        addresses: Vec<SocketAddr>,
        answer: Sender<Result<Vec<SocketAddr>, (SocketAddr, io::Error)>>,
    },
    /// The host wants numbers.
    Inspect(Sender<WorkerReport>),
    /// No new connections; tell those that are there; at the deadline close them.
    Drain { deadline: Time },
}

/// Names one subscription of a worker: a connection may end one and begin another
/// on the same message stream before the first is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JoinId(pub(crate) u64);

/// The sending end of a worker's queue. Wake-ups are coalesced: one is enough
/// until the worker has looked.
pub(crate) struct Inbox {
    queue: mpsc::Sender<Command>,
    pending: Arc<AtomicBool>,
    waker: Box<dyn Wake>,
}

/// The worker's end.
pub(crate) struct Outlet {
    queue: mpsc::Receiver<Command>,
    pending: Arc<AtomicBool>,
}

impl Inbox {
    pub(crate) fn new(waker: Box<dyn Wake>) -> (Inbox, Outlet) {
        let (sender, receiver) = mpsc::channel();
        let pending = Arc::new(AtomicBool::new(false));
        (
            Inbox {
                queue: sender,
                pending: pending.clone(),
                waker,
            },
            Outlet {
                queue: receiver,
                pending,
            },
        )
    }

    /// Sends and wakes. A worker that is gone takes nothing: that is how stopping
    /// looks from here.
    pub(crate) fn send(&self, command: Command) {
        if self.queue.send(command).is_ok() {
            self.wake();
        }
    }

    fn wake(&self) {
        // AcqRel pairs with `Outlet::begin`: either the worker sees the command in
        // this round, or it sees the flag lowered and we wake it.
        if self.pending.swap(true, Ordering::AcqRel) {
            return;
        }
        for attempt in 1.. {
            match self.waker.wake() {
                Ok(()) => return,
                Err(_) if attempt < WAKE_TRIES => {}
                Err(e) => {
                    // Whoever sends next tries again.
                    self.pending.store(false, Ordering::Release);
                    return log::error!("a worker could not be woken: {e}");
                }
            }
        }
    }
}

impl Outlet {
    /// To be called before draining: whoever sends from now on wakes again.
    pub(crate) fn begin(&self) {
        self.pending.swap(false, Ordering::AcqRel);
    }

    pub(crate) fn next(&self) -> Option<Command> {
        self.queue.try_recv().ok()
    }
}
