//! Messages to a worker, from other workers and from the host.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use openrtmp_protocol::Time;
use openrtmp_protocol::session::RequestId;

use crate::access::Answer;
use crate::budget::Charge;
use crate::config::{Config, Listen};
use crate::credit::{COMMAND_BYTES, Credit};
use crate::drain::target::Target;
use crate::errand::Errand;
use crate::events::CloseReason;
use crate::id::{ConnectionId, StreamId};
use crate::metrics::WorkerReport;
use crate::mobile::{Conditions, Resumed, Suspended};
use crate::platform::Wake;
use crate::stream::directory::Grant;
use crate::stream::message::{Departure, PublisherMessage, StreamNews};
use crate::stream::packet::SharedPacket;
use crate::stream::tap_queue::TapQueue;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::mpsc;

/// A wake-up that fails is tried again at once: without it a command waits for
/// the next.
const WAKE_TRIES: usize = 3;

/// A message to a worker.
pub(crate) enum Command {
    /// Sockets were accepted for it, or connections were handed over.
    Adopt,
    /// Relays have something to do, for worker 0.
    Relays,
    /// A connection to another server is wanted.
    GoOut {
        connection: ConnectionId,
        errand: Box<Errand>,
    },
    /// What the look-up of its host gave.
    Resolved {
        connection: ConnectionId,
        addresses: io::Result<Vec<SocketAddr>>,
    },
    /// A publish was granted, this worker is the stream's home.
    Publish(Box<Grant>),
    /// A message of a publisher that is elsewhere.
    Media {
        message: PublisherMessage,
        credit: Credit,
        /// The connection that publishes, if one does: told when it may be read on.
        publisher: Option<ConnectionId>,
    },
    /// That publisher is gone.
    PublisherLeft {
        stream: StreamId,
        epoch: u32,
        departure: Departure,
    },
    /// A subscriber on `worker` wants to join a stream that lives here.
    Join {
        stream: StreamId,
        worker: usize,
        join: JoinId,
    },
    /// `worker` has no subscribers any more, or had none a moment ago.
    Leave { stream: StreamId, worker: usize },
    /// The answer to Join: packets follow from here on.
    Snapshot {
        stream: StreamId,
        join: JoinId,
        packets: Vec<SharedPacket>,
        /// For the list of them.
        charge: Charge,
    },
    /// A packet for the subscribers here.
    Packet {
        stream: StreamId,
        packet: SharedPacket,
        credit: Credit,
    },
    /// What became of a stream that has subscribers here.
    StreamNews { stream: StreamId, news: StreamNews },
    /// Memory is short: the cached frames of a stream that lives here are to go.
    ForgetCache(StreamId),
    /// A tap on a stream that lives here.
    Tap {
        stream: StreamId,
        tap: Arc<TapQueue>,
    },
    /// Something for one connection.
    Connection(ConnectionId, ConnectionCommand),
    /// The device, or the host's program, is in another state.
    SetConditions(Arc<Conditions>),
    /// Nobody is let in any more, and all are told; they have until then. The answer comes
    /// once all are gone; its drop says that the server stops, or was resumed first.
    Suspend {
        deadline: Time,
        answer: Sender<Suspended>,
    },
    /// Serve again, or look after what the system may have taken. The answer comes once
    /// the listeners are settled; its drop says that it came to something else.
    Resume(Sender<Resumed>),
    /// What the host told is to be looked at again then. For worker 0.
    HostDue(Time),
    /// List this device's addresses, and look at the listeners. For worker 0.
    LookAround,
    /// The host wants whoever publishes a stream that lives here gone.
    EndStream { stream: StreamId, reason: String },
    /// Keys are others: end what was begun with those that are gone.
    Revoke,
    /// A user is none any more, or has another password: its connections end.
    EndUser { user: Arc<str> },
    /// Other settings. The sender's drop tells that they are in force here.
    Configure(Arc<Config>, Sender<()>),
    /// Other addresses to listen on, to worker 0, unless the order was taken back. The
    /// answer is those it got, or the one it could not have.
    Listen {
        addresses: Vec<Listen>,
        order: Revocable,
        answer: Sender<Result<Vec<SocketAddr>, (SocketAddr, io::Error)>>,
    },
    /// Whether the listening sockets are there still, to worker 0; those that are not
    /// are bound again. The answer is the addresses of those.
    /// Other certificates are shown: who is told of their end begins anew. For worker 0.
    #[cfg(feature = "tls")]
    LookAtCertificates,
    /// Are the listening sockets still there? For worker 0.
    CheckListeners(Sender<Vec<SocketAddr>>),
    /// The host wants numbers.
    Inspect(Sender<WorkerReport>),
    /// Nobody new is taken: those that are there are asked to leave, to there if they can.
    AskToLeave { to: Option<Target> },
    /// No new connections; tell those that are there; at the deadline close them.
    Stop { deadline: Time },
    /// A test wants this worker to panic.
    #[cfg(test)]
    Panic,
}

// Whoever sends a message is charged for it before there is a command.
const _: () = assert!(size_of::<Command>() <= COMMAND_BYTES);

/// Something for one connection, wherever it is when it arrives.
pub(crate) enum ConnectionCommand {
    /// It no longer publishes: another took over, or a key was revoked.
    EndPublication {
        message_stream: u32,
        reason: CloseReason,
    },
    /// The publisher that a request of it waited for is gone.
    RetryPublish {
        request: RequestId,
        stream: StreamId,
    },
    /// The host's answer to an access request.
    Decide {
        request: RequestId,
        decision: Answer,
    },
    /// It is slow to shake hands, and others wait.
    MakeRoom,
    /// It is to go.
    Disconnect {
        reason: CloseReason,
        /// Whether it was there.
        answer: Option<Sender<bool>>,
    },
    /// Its stream's home has taken what was on its way: it may be read on.
    ReadOn,
    /// Memory is short, and it holds much and gets rid of nothing: it is to go.
    GiveWay,
    /// How long to collect packets for it; `None`: as configured.
    SetWriteCoalesce {
        window: Option<Duration>,
        /// Whether it was there.
        answer: Sender<bool>,
    },
}

/// An order that is carried out, or taken back, whichever is first.
#[derive(Clone, Default)]
pub(crate) struct Revocable(Arc<AtomicBool>);

impl Revocable {
    /// True for the first who asks, whichever side that is: the order is its to carry out,
    /// or to drop.
    pub(crate) fn claim(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

/// Names one subscription of a worker: a connection may end one and begin another
/// on the same message stream before the first is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct JoinId(pub(crate) u64);

/// The sending end of a worker's queue. Wake-ups are coalesced: one is enough
/// until the worker has looked.
pub(crate) struct Inbox {
    queue: mpsc::Sender<Command>,
    pending: Arc<AtomicBool>,
    waker: Box<dyn Wake>,
}

/// The worker's end.
pub(crate) struct InboxReceiver {
    queue: mpsc::Receiver<Command>,
    pending: Arc<AtomicBool>,
}

impl Inbox {
    pub(crate) fn new(waker: Box<dyn Wake>) -> (Inbox, InboxReceiver) {
        let (sender, receiver) = mpsc::channel();
        let pending = Arc::new(AtomicBool::new(false));
        (
            Inbox {
                queue: sender,
                pending: pending.clone(),
                waker,
            },
            InboxReceiver {
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
        // AcqRel pairs with `InboxReceiver::begin`: either the worker sees the command in
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

impl InboxReceiver {
    /// To be called before draining: whoever sends from now on wakes again.
    pub(crate) fn begin(&self) {
        self.pending.swap(false, Ordering::AcqRel);
    }

    pub(crate) fn next(&self) -> Option<Command> {
        self.queue.try_recv().ok()
    }
}
