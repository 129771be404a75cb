//! What all threads of a server share.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use openrtmp_protocol::Time;

use crate::access::{AccessRequest, AddressRules, FailedAttempts, KeyRing, KeyStore, Users};
use crate::addresses::Addresses;
use crate::budget::{Budget, Holder};
#[cfg(feature = "tls")]
use crate::config::TlsClientConfig;
use crate::config::{Config, Listen};
use crate::dispatch::Dispatcher;
use crate::drain::state::Drain;
use crate::events::{CloseReason, Event};
use crate::id::{ConnectionId, Ids, PublisherId, StreamId};
use crate::inbox::{Command, ConnectionCommand, Inbox};
use crate::limit::Limit;
use crate::locations::Locations;
use crate::log_limit::{Cause, LogLimit};
use crate::metrics::{ErrorCounts, Metrics};
use crate::mobile::{LiveLoad, Machine, Order};
use crate::newcomers::Newcomers;
use crate::placement::Placement;
use crate::platform::Interface;
use crate::prometheus::Series;
use crate::rate::SharedRate;
use crate::record::losses::RecordingLosses;
use crate::relay::RelayHub;
use crate::secret::{Masks, StreamName};
use crate::stream::directory::Directory;
use crate::stream::message::Departure;
use crate::stream::tap_queue::{Bound, Selection, StreamSelector, TapQueue, TapStreams};
use crate::sync::lock;
#[cfg(feature = "tls")]
use crate::tls::{Challenges, ClientTls, ServerTls};

/// What all threads of a server share.
pub(crate) struct Shared {
    /// For the host's side; each worker has its own reference.
    pub(crate) config: Mutex<Arc<Config>>,
    /// Names the server in the log.
    pub(crate) id: u64,
    pub(crate) ids: Arc<Ids>,
    pub(crate) directory: Directory,
    /// For the listeners with TLS, if there are any.
    #[cfg(feature = "tls")]
    pub(crate) tls: Mutex<Option<Arc<ServerTls>>>,
    /// Answers to authorities that ask whether names lead here.
    #[cfg(feature = "tls")]
    pub(crate) challenges: Mutex<Challenges>,
    /// For connections to other servers, once there was one, and what it was made of: for
    /// those that are named here, and those that they send us to.
    #[cfg(feature = "tls")]
    pub(crate) client_tls: Mutex<Vec<(TlsClientConfig, ClientTls)>>,
    pub(crate) budget: Arc<Budget>,
    /// One per worker.
    pub(crate) inboxes: Vec<Inbox>,
    pub(crate) events: Dispatcher<Event>,
    pub(crate) access: Dispatcher<AccessRequest>,
    /// What the host of a server on a phone is to do.
    pub(crate) orders: Dispatcher<Order>,
    /// The life of a phone. Nothing else is locked while it is, but queues that take what
    /// comes of it.
    pub(crate) mobile: Mutex<Machine>,
    /// Streams that are live and players, for the orders.
    pub(crate) load: Mutex<LiveLoad>,
    /// Held while workers are sent to sleep, or woken: all hear it in the same order.
    pub(crate) turning: Mutex<()>,
    /// Addresses it listens on, with the real ports.
    pub(crate) listening: Mutex<Vec<SocketAddr>>,
    pub(crate) users: Users,
    pub(crate) publish_keys: KeyRing,
    pub(crate) play_keys: KeyRing,
    /// Of `access.keys_file`.
    pub(crate) key_records: KeyStore,
    pub(crate) address_rules: AddressRules,
    pub(crate) failed_attempts: FailedAttempts,
    /// `access.secret_names`
    pub(crate) secret_names: AtomicBool,
    pub(crate) masks: Masks,
    /// Requests refused for the key, or the password, they came with.
    pub(crate) wrong_keys: AtomicU64,
    /// What each worker sends.
    pub(crate) outgoing: SharedRate,
    pub(crate) log_limit: Arc<LogLimit>,
    /// Who has series of its own in the text for Prometheus.
    pub(crate) series: Mutex<Series>,
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) locations: Locations,
    pub(crate) newcomers: Newcomers,
    /// Publishers by the address they come from.
    pub(crate) publisher_addresses: Arc<Addresses>,
    pub(crate) placement: Placement,
    /// Addresses whose listening sockets were lost and cannot be had again yet.
    pub(crate) lost_listeners: Mutex<Vec<SocketAddr>>,
    /// What the system last said to accepting, while it fails.
    pub(crate) accept_failure: Mutex<Option<String>>,
    /// Connections that are open.
    pub(crate) connections: AtomicUsize,
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    /// Connections closed at the end of a stop's grace.
    pub(crate) forced: AtomicUsize,
    pub(crate) next_host_publisher: AtomicU64,
    pub(crate) recording_losses: RecordingLosses,
    pub(crate) relays: RelayHub,
    pub(crate) drain: Drain,
    pub(crate) stopping: AtomicBool,
    /// The workers are gone: nobody takes what is sent to them.
    pub(crate) stopped: AtomicBool,
    pub(crate) started: Time,
    /// The platform's monotonic clock.
    pub(crate) clock: Box<dyn Fn() -> Time + Send + Sync>,
    /// Addresses of this machine.
    pub(crate) interfaces: Box<dyn Fn() -> std::io::Result<Vec<Interface>> + Send + Sync>,
    /// Its time of day.
    pub(crate) wall_clock: Box<dyn Fn() -> SystemTime + Send + Sync>,
}

impl Shared {
    pub(crate) fn now(&self) -> Time {
        (self.clock)()
    }

    /// The platform's time of day.
    pub(crate) fn time_of_day(&self) -> SystemTime {
        (self.wall_clock)()
    }

    /// The settings in force.
    pub(crate) fn config(&self) -> Arc<Config> {
        lock(&self.config).clone()
    }

    /// Tells the relays and the host.
    pub(crate) fn emit(&self, event: Event) {
        self.wake_relays(self.relays.hears(&event, || self.now()));
        self.note_load(&event);
        if !self.events.is_none() {
            self.events.send(event);
        }
    }

    /// Where it listens, with the real ports, and what is spoken there.
    pub(crate) fn listeners(&self) -> Vec<Listen> {
        let config = self.config();
        let addresses = lock(&self.listening).clone();
        let listeners = addresses.into_iter().zip(&config.listen);
        let all = listeners.map(|(address, asked)| Listen { address, ..*asked });
        all.collect()
    }

    /// Sends something to a connection, wherever it is. One that is over gets nothing.
    pub(crate) fn send_to(&self, connection: ConnectionId, command: ConnectionCommand) {
        if let Some(worker) = self.locations.of(connection) {
            self.inboxes[worker].send(Command::Connection(connection, command));
        }
    }

    /// Ends a connection, without waiting for it.
    pub(crate) fn disconnect(&self, connection: ConnectionId, reason: CloseReason) {
        let command = ConnectionCommand::Disconnect {
            reason,
            answer: None,
        };
        self.send_to(connection, command);
    }

    /// Notifies a connection that its stream has another publisher now.
    pub(crate) fn notify_replaced(&self, replaced: Option<PublisherId>) {
        let reason = CloseReason::Refused("another publisher took over".to_owned());
        self.notify_publisher(replaced, reason);
    }

    /// Notifies a connection that its place among the publishers is another's now.
    pub(crate) fn notify_evicted(&self, evicted: Option<PublisherId>) {
        let reason = CloseReason::Network("silent, and others wanted to publish".to_owned());
        self.notify_publisher(evicted, reason);
    }

    /// Notifies a connection that it publishes no longer.
    pub(crate) fn notify_publisher(&self, publisher: Option<PublisherId>, reason: CloseReason) {
        if let Some(PublisherId::Connection(connection, message_stream)) = publisher {
            let command = ConnectionCommand::EndPublication {
                message_stream,
                reason,
            };
            self.send_to(connection, command);
        }
    }

    /// Tells the home of a stream that its publisher of this epoch, which is elsewhere,
    /// leaves. When this returns the name may be published again, and the seat is free: an
    /// encoder that comes back at once is not to wait for a home that is busy.
    pub(crate) fn send_publisher_left(
        &self,
        home: usize,
        stream: StreamId,
        epoch: u32,
        departure: Departure,
    ) {
        let mut directory = self.directory.lock();
        directory.release(stream, epoch);
        // With the lock held: the next publisher's grant must not overtake it.
        self.inboxes[home].send(Command::PublisherLeft {
            stream,
            epoch,
            departure,
        });
    }

    /// Asks those who hold most to give way, as long as memory is short.
    pub(crate) fn relieve(&self) {
        while let Some(holder) = self.budget.next_to_give_way() {
            match holder {
                Holder::Connection(id) => self.send_to(id, ConnectionCommand::GiveWay),
                Holder::Cache(stream) => {
                    let home = self.directory.lock().home_of(stream);
                    if let Some(home) = home {
                        self.inboxes[home].send(Command::ForgetCache(stream));
                    }
                }
                Holder::Tap => {}
            }
        }
    }

    /// Reports a limit that was reached, a few times a second at most: a flood must
    /// not push other events out of the host's queue.
    pub(crate) fn report_limit(&self, limit: Limit, connection: Option<ConnectionId>) {
        self.report_limit_at(limit, limit.value(&self.config()), connection);
    }

    /// The same of a limit that was reached at another value than its setting's.
    pub(crate) fn report_limit_at(
        &self,
        limit: Limit,
        value: u64,
        connection: Option<ConnectionId>,
    ) {
        if !self.log_limit.admits(Cause::Limit(limit), self.now()) {
            return;
        }
        match connection {
            Some(id) => {
                log::warn!(limit:% = limit, value = value, connection:% = id; "{limit} is reached: {value}");
            }
            None => log::warn!(limit:% = limit, value = value; "{limit} is reached: {value}"),
        }
        self.events.send(Event::LimitReached {
            limit,
            value,
            connection,
        });
    }

    /// The path of a stream that a caller named. `None`: no stream has this id.
    pub(crate) fn find(&self, stream: StreamSelector) -> Option<StreamName> {
        match stream {
            StreamSelector::Name(name) => Some(self.host_name(name.reveal())),
            StreamSelector::Id(id) => self.directory.lock().name_of(id),
        }
    }

    /// A tap, attached; closed if it is on a stream that there is not.
    pub(crate) fn open_tap(&self, streams: TapStreams, bound: Bound) -> Arc<TapQueue> {
        let selection = match streams {
            TapStreams::All => Some(Selection::ALL),
            TapStreams::App(app) => Some(Selection::Apps(vec![app])),
            TapStreams::Shard { index, count } => Some(Selection::Shard { index, count }),
            TapStreams::Groups {
                index,
                count,
                endings,
            } => Some(Selection::Groups {
                index,
                count,
                endings,
            }),
            TapStreams::Stream(stream) => self.find(stream).map(Selection::Stream),
        };
        let Some(selection) = selection else {
            let tap = TapQueue::new(Selection::ALL, bound, &self.budget);
            tap.close();
            return tap;
        };
        let tap = TapQueue::new(selection, bound, &self.budget);
        self.attach_tap(&tap);
        tap
    }

    /// Puts a tap on the streams that it selects, live or still to come.
    pub(crate) fn attach_tap(&self, tap: &Arc<TapQueue>) {
        // Sent with the lock held: no stream can move meanwhile.
        let mut directory = self.directory.lock();
        for (stream, home) in directory.tap(tap) {
            let tap = tap.clone();
            self.inboxes[home].send(Command::Tap { stream, tap });
        }
        // A server that has stopped closed the taps there were.
        if self.stopped.load(Ordering::Acquire) {
            tap.close();
        }
    }

    /// Nothing more comes out of any tap.
    pub(crate) fn close_taps(&self) {
        for tap in self.directory.lock().take_taps() {
            tap.close();
        }
    }

    /// What is known without asking the workers.
    pub(crate) fn base_metrics(&self) -> Metrics {
        Metrics {
            uptime_seconds: self.now().since(self.started).as_secs_f64(),
            publishers: self.directory.lock().publishers(),
            accepted: self.accepted.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            memory: self.budget.used(),
            relays: self.relays.lock().counts(),
            log_lines_suppressed: self.log_limit.suppressed(),
            #[cfg(feature = "tls")]
            certificates_list: lock(&self.tls)
                .as_ref()
                .map(|tls| tls.expiries())
                .unwrap_or_default(),
            recording_lost_frames: self.recording_losses.frames(),
            recording_lost_bytes: self.recording_losses.bytes(),
            errors: ErrorCounts {
                wrong_keys: self.wrong_keys.load(Ordering::Relaxed),
                ..ErrorCounts::default()
            },
            ..Metrics::default()
        }
    }
}
