//! The handle a host holds.

mod builder;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

pub use builder::ServerBuilder;
pub(crate) use builder::check_recordable;
use builder::check_writable;

use crate::access::KeyRing;
use crate::config::{Config, ConfigError, Listen, RecordConfig, write_coalesce};
use crate::dispatch::AwaitedThread;
use crate::error::{RecordError, StartError};
use crate::events::{CloseReason, Event};
use crate::id::{ConnectionId, Ids, StreamId};
use crate::inbox::{Command, ConnectionCommand};
use crate::limit::Limit;
use crate::log_limit::Cause;
use crate::metrics::{Metrics, WorkerReport};
use crate::mobile::Signal;
use crate::platform::Platform;
use crate::platform::native::{self, Native};
use crate::publisher::{PublishError, Publisher};
use crate::record::{Recorder, RecorderTap, RecordingSummary};
use crate::secret::StreamName;
use crate::shared::Shared;
use crate::stream::tap_queue::{Selection, StreamSelector, TapStreams};
use crate::sync::lock;
use crate::tap::{Tap, TapOptions};
use crate::threads::WorksFor;

/// How long after its grace [`Server::stop`] returns at the latest: what has not ended by
/// then is left to itself.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long any other call waits for a worker. In a simulated world the test answers, on
/// a machine that may be busy.
const ANSWER_PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 1 });

/// Of that, what is kept for the host's callbacks, after workers and recordings.
const CALLBACK_PATIENCE: Duration = Duration::from_millis(300);

/// Name of the threads that record.
const RECORDER_THREAD: &str = "openrtmp-record";

/// A grace that no clock can count is this long.
pub(crate) const LONGEST_GRACE: Duration = Duration::from_secs(86_400 * 365);

/// How long completing a recording may take while the server goes on.
const RECORDER_PATIENCE: Duration = Duration::from_secs(5);

/// A running server. All methods may be called from any thread; dropping it
/// stops the server by force.
pub struct Server {
    pub(crate) shared: Arc<Shared>,
    pub(crate) running: Mutex<Option<Running>>,
    recordings: Mutex<HashMap<StreamName, Recording>>,
    /// One at a time.
    pub(crate) reconfiguring: Mutex<()>,
    /// Its threads have been stopped, or it has none.
    ended: Mutex<bool>,
    has_ended: Condvar,
}

/// A worker did not answer within a second. What it was asked for it may still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a worker did not answer in time")]
pub struct Unanswered;

/// Why [`Server::set_write_coalesce`] set nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CoalesceError {
    /// The time is not allowed.
    #[error(transparent)]
    Window(#[from] ConfigError),
    /// The connection's worker is busy.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

/// A worker's answer; `None` if it has none.
pub(crate) fn answer_in_time<T>(receiver: &Receiver<T>) -> Result<Option<T>, Unanswered> {
    match receiver.recv_timeout(ANSWER_PATIENCE) {
        Ok(answer) => Ok(Some(answer)),
        Err(RecvTimeoutError::Disconnected) => Ok(None),
        Err(RecvTimeoutError::Timeout) => Err(Unanswered),
    }
}

/// A recorder's thread and its tap.
pub(crate) struct Recording {
    tap: Arc<RecorderTap>,
    thread: AwaitedThread,
}

/// The threads of a running server.
#[derive(Default)]
pub(crate) struct Running {
    pub(crate) workers: Vec<AwaitedThread>,
    /// Of `config.record`.
    pub(crate) recorder: Option<Recording>,
    pub(crate) events: Option<AwaitedThread>,
    pub(crate) access: Option<AwaitedThread>,
    pub(crate) orders: Option<AwaitedThread>,
}

/// What was going on when a server was stopped.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// Time since the start.
    pub uptime: Duration,
    /// Connections when the stop began.
    pub connections: usize,
    /// Publishers when the stop began.
    pub publishers: usize,
    /// Streams when the stop began, those within their grace included.
    pub streams: usize,
    /// Players when the stop began.
    pub subscribers: usize,
    /// Connections that were still there at the deadline and were closed by force.
    pub forced: usize,
    /// Threads that did not end in time and were left to themselves: frozen workers,
    /// recordings on a disk that hangs, callbacks of the host that do. They end as soon
    /// as they can.
    pub left_behind: usize,
    /// Connections accepted since the start.
    pub accepted: u64,
    /// Bytes read from sockets until the stop began.
    pub bytes_in: u64,
    /// Bytes written to sockets until the stop began.
    pub bytes_out: u64,
}

/// What a probe of health wants to know.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Health {
    /// Every worker answers.
    pub live: bool,
    /// It takes new connections.
    pub ready: bool,
    /// Why it is not live or not ready.
    pub reasons: Vec<String>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &*lock(&self.shared.listening))
            .field("running", &lock(&self.running).is_some())
            .finish_non_exhaustive()
    }
}

impl Server {
    /// The handle of what was put together; `running`: unless the host moves it itself.
    pub(crate) fn of(shared: Arc<Shared>, running: Option<Running>) -> Server {
        Server {
            shared,
            ended: Mutex::new(running.is_none()),
            running: Mutex::new(running),
            recordings: Mutex::default(),
            reconfiguring: Mutex::default(),
            has_ended: Condvar::new(),
        }
    }

    /// Starts a server without callbacks.
    pub fn start(config: Config) -> Result<Server, StartError> {
        Server::builder(config).start()
    }

    /// Starts building a server with callbacks.
    pub fn builder(config: Config) -> ServerBuilder {
        ServerBuilder {
            config,
            on_event: None,
            on_access: None,
            on_order: None,
            id: None,
            sockets: Vec::new(),
            ids: Ids::of_process(),
        }
    }

    /// What names it among the servers of the process: no other has it, but for one that
    /// was built with it. [`current_server`](crate::current_server) tells it to loggers.
    pub fn id(&self) -> u64 {
        self.shared.id
    }

    /// The calling thread does something for this server.
    #[doc(hidden)]
    pub fn works_for(&self) -> WorksFor {
        WorksFor::server(self.shared.id)
    }

    /// Addresses it listens on, with the real ports.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        lock(&self.shared.listening).clone()
    }

    /// The same, with what is spoken there.
    pub fn listeners(&self) -> Vec<Listen> {
        self.shared.listeners()
    }

    /// The settings in force. Keys that were added or revoked at run time are not
    /// in them.
    pub fn config(&self) -> Arc<Config> {
        self.shared.config()
    }

    /// Numbers of this moment. Asks each worker; waits at most a second for those
    /// that are busy, and goes without them then.
    pub fn metrics(&self) -> Metrics {
        self.collect(&self.inspect(), ANSWER_PATIENCE)
    }

    /// Asks each worker what it has.
    pub(crate) fn inspect(&self) -> Receiver<WorkerReport> {
        let (sender, receiver) = channel();
        for inbox in &self.shared.inboxes {
            inbox.send(Command::Inspect(sender.clone()));
        }
        receiver
    }

    /// What the workers answer in time.
    fn collect(&self, reports: &Receiver<WorkerReport>, patience: Duration) -> Metrics {
        let until = Instant::now() + patience;
        let in_time = || {
            let left = until.saturating_duration_since(Instant::now());
            reports.recv_timeout(left).ok()
        };
        self.shared.base_metrics().with(std::iter::from_fn(in_time))
    }

    /// The streams, connections and players there are, complete: everything that an event
    /// told of before this is called, less what is over. For a host that missed events
    /// ([`Event::Lost`]), or begins to listen: it asks, and goes on with the events that
    /// follow. One of something that it knows already, or that it does not know and that
    /// is over, changes nothing then. Waits at most a second for busy workers.
    pub fn snapshot(&self) -> Result<Metrics, Unanswered> {
        let deadline = Instant::now() + ANSWER_PATIENCE;
        let mut missing_before = Vec::new();
        loop {
            let metrics = self.metrics();
            if metrics.workers.len() < self.shared.inboxes.len() {
                return Err(Unanswered);
            }
            let listed = metrics.connections_list.iter().map(|c| c.id);
            let missing = self.shared.locations.others(&listed.collect());
            // One that was on its way from one worker to another is there when they are
            // asked again. What is missing then too is not connected yet.
            if missing.iter().all(|id| missing_before.contains(id)) {
                return Ok(metrics);
            }
            if Instant::now() >= deadline {
                return Err(Unanswered);
            }
            missing_before = missing;
        }
    }

    /// A text with three asterisks in place of each word that is or was a key of this server:
    /// for texts that come from where nobody knew what is in them.
    pub fn masked(&self, text: &str) -> String {
        self.shared.masked(text)
    }

    /// Tells that a limit was reached which is looked after outside of this crate.
    #[doc(hidden)]
    pub fn report_limit(&self, limit: Limit) {
        let _here = self.works_for();
        self.shared.report_limit(limit, None);
    }

    /// The same of a limit that was reached at another value than its setting's: at a share of
    /// it, say.
    #[doc(hidden)]
    pub fn report_limit_at(&self, limit: Limit, value: u64) {
        let _here = self.works_for();
        self.shared.report_limit_at(limit, value, None);
    }

    /// Whether somebody publishes a stream.
    #[doc(hidden)]
    pub fn is_live(&self, stream: &StreamName) -> bool {
        self.shared.directory.lock().is_live(stream)
    }

    /// Whether a line about a stream that is delivered over HTTP may be written to the log now
    /// (`limits.log_lines`). To be asked only if its level is on.
    #[doc(hidden)]
    pub fn admits_delivery_line(&self) -> bool {
        self.admits(Cause::Delivery)
    }

    /// The same of a line about what a viewer did.
    #[doc(hidden)]
    pub fn admits_viewer_line(&self) -> bool {
        self.admits(Cause::Viewer)
    }

    /// The same of a line about a viewer who comes, goes, or asks in vain.
    #[doc(hidden)]
    pub fn admits_connection_line(&self) -> bool {
        self.admits(Cause::Connection)
    }

    fn admits(&self, cause: Cause) -> bool {
        self.shared.log_limit.admits(cause, self.shared.now())
    }

    /// Whether it works, and whether it would take another peer now. Asks
    /// each worker, as [`Server::metrics`] does.
    pub fn health(&self) -> Health {
        let metrics = self.metrics();
        let config = self.config();
        let limits = &config.limits;
        let stopping = self.shared.stopping.load(Ordering::Acquire);
        let mut health = Health {
            // Of a server that stops, those workers have ended that have nothing left.
            live: stopping || metrics.workers.len() == self.shared.inboxes.len(),
            ready: false,
            reasons: Vec::new(),
        };
        let mut check = |wrong: bool, reason: &str| {
            if wrong {
                health.reasons.push(reason.to_owned());
            }
        };
        check(stopping, "the server is stopping");
        let draining = self.shared.drain.is_on() && !stopping;
        check(draining, "the server is being drained");
        check(!health.live && !stopping, "a worker does not answer");
        let full = metrics.connections >= limits.connections;
        check(full, "limits.connections is reached");
        let exhausted = self.shared.budget.is_exhausted();
        check(exhausted, "limits.memory is reached");
        for complaint in lock(&self.shared.mobile).complaints() {
            check(true, complaint);
        }
        for address in lock(&self.shared.lost_listeners).iter() {
            check(true, &format!("not listening on {address}"));
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = &*lock(&self.shared.tls) {
            for notice in tls.expired(self.shared.time_of_day()) {
                check(true, &notice.to_string());
            }
        }
        if let Some(error) = &*lock(&self.shared.accept_failure) {
            check(true, &format!("accepting fails: {error}"));
        } else if let Err(error) = native::spare_descriptor() {
            check(true, &format!("accepting would fail: {error}"));
        }
        health.ready = health.reasons.is_empty();
        health
    }

    /// Asks the system whether the listening sockets are still there, without any
    /// traffic, and binds those again that are not, on the same ports. For hosts on
    /// systems that take sockets from programs without a word, as iOS does while one is
    /// suspended; a loss that `accept` tells of is mended without being asked.
    ///
    /// Returns the addresses of those that were lost; events tell of each, and
    /// [`Server::health`] of those that cannot be had yet.
    pub fn check_listeners(&self) -> Result<Vec<SocketAddr>, Unanswered> {
        let (sender, receiver) = channel();
        self.shared.inboxes[0].send(Command::CheckListeners(sender));
        Ok(answer_in_time(&receiver)?.unwrap_or_default())
    }

    /// Receives the frames of one stream, live or still to come: by its path
    /// (`app/name`) or by its id. An id that no stream has makes a tap that is closed.
    pub fn tap(&self, stream: impl Into<StreamSelector>) -> Tap {
        self.tap_with(TapOptions::new(stream))
    }

    /// Receives the frames of every stream.
    pub fn tap_all(&self) -> Tap {
        self.tap_with(TapOptions::new(TapStreams::All))
    }

    /// Receives what the options say.
    pub fn tap_with(&self, options: TapOptions) -> Tap {
        Tap::new(options, self.shared.clone())
    }

    /// Publishes a stream (`app/name`) from inside this process.
    pub fn publish(&self, name: &str) -> Result<Publisher, PublishError> {
        Publisher::open(&self.shared, name)
    }

    /// Records a stream, live or still to come, until [`Server::stop_recording`] or the
    /// end of the server, whatever `config.record` says: by its path (`app/name`) or by
    /// its id. What is recorded is the path: its next stream is recorded too, and has the
    /// same id, since the recording waits for it. An id that no stream has any more is
    /// [`RecordError::NoSuchStream`]. Of `record`, `apps` and `streams` have no meaning here. Events tell what becomes of it.
    pub fn record(
        &self,
        stream: impl Into<StreamSelector>,
        record: RecordConfig,
    ) -> Result<(), RecordError> {
        let _here = self.works_for();
        let name = self.shared.find(stream.into());
        let name = name.ok_or(RecordError::NoSuchStream)?;
        if name.is_empty() {
            return Err(RecordError::EmptyName);
        }
        let mut config = Config::clone(&self.config());
        config.record = Some(record.clone());
        config.validate()?;
        check_writable(&record.directory)?;
        let mut recordings = self.recordings();
        if self.shared.stopping.load(Ordering::Acquire) {
            return Err(RecordError::Stopping);
        }
        if recordings.contains_key(&name) {
            return Err(RecordError::Busy);
        }
        let limit = config.limits.recordings;
        if recordings.len() >= limit {
            self.shared.report_limit(Limit::Recordings, None);
            return Err(RecordError::Full(limit));
        }
        let selection = Selection::Stream(name.clone());
        let recording = self.spawn_recorder(record, selection)?;
        recording.tap.attach(&self.shared);
        recordings.insert(name, recording);
        Ok(())
    }

    /// A recorder at work; nothing comes before its tap is attached.
    pub(crate) fn spawn_recorder(
        &self,
        record: RecordConfig,
        selection: Selection,
    ) -> io::Result<Recording> {
        let platform = Arc::new(Native::new());
        let recorder = Recorder::new(platform, record, selection, self.shared.clone());
        Recording::spawn(recorder)
    }

    /// Completes a recording begun by [`Server::record`], by the stream's path
    /// (`app/name`) or its id, and tells what became of it; waits at most 5 s for its
    /// file. `None` if there is none.
    pub fn stop_recording(&self, stream: impl Into<StreamSelector>) -> Option<RecordingSummary> {
        let _here = self.works_for();
        let name = self.shared.find(stream.into())?;
        let recording = self.recordings().remove(&name)?;
        recording.tap.detach(&self.shared);
        Some(recording.complete())
    }

    /// The streams that [`Server::record`] records.
    pub fn recorded(&self) -> Vec<StreamName> {
        self.recordings().keys().cloned().collect()
    }

    fn recordings(&self) -> MutexGuard<'_, HashMap<StreamName, Recording>> {
        lock(&self.recordings)
    }

    /// Ends a connection. Asks its worker: false if there is no such connection,
    /// or no longer.
    pub fn disconnect(&self, connection: ConnectionId, reason: &str) -> Result<bool, Unanswered> {
        self.ask(connection, |answer| ConnectionCommand::Disconnect {
            reason: CloseReason::Host(reason.to_owned()),
            answer: Some(answer),
        })
    }

    /// Puts a question to a connection's worker. False if there is no such connection:
    /// a worker that finds none, or is gone, drops the sender.
    fn ask(
        &self,
        connection: ConnectionId,
        question: impl FnOnce(Sender<bool>) -> ConnectionCommand,
    ) -> Result<bool, Unanswered> {
        let (sender, receiver) = channel();
        self.shared.send_to(connection, question(sender));
        Ok(answer_in_time(&receiver)?.unwrap_or(false))
    }

    /// Whether an address is blocked for failed attempts (`access.failed_attempts`): for who
    /// serves people over other protocols than RTMP.
    pub fn is_blocked(&self, address: IpAddr) -> bool {
        self.shared.is_blocked(address)
    }

    /// Whether this is the address of a proxy that may say for whom it asks
    /// (`access.trusted_proxies`): what it takes is not one person's.
    pub fn is_trusted_proxy(&self, address: IpAddr) -> bool {
        self.shared.address_rules.trusts(address.to_canonical())
    }

    /// Who asks over HTTP: the peer itself, or who it asks for, if that is a proxy that may
    /// say so (`access.trusted_proxies`); see [`Proxies::origin`](crate::Proxies::origin).
    pub fn origin<'a>(
        &self,
        peer: IpAddr,
        fields: impl DoubleEndedIterator<Item = &'a [u8]>,
    ) -> IpAddr {
        self.shared.address_rules.origin(peer, fields)
    }

    /// How long to collect packets for one player before writing them together, 0
    /// to 350 ms, in place of [`QueueConfig::write_coalesce`](crate::config::QueueConfig);
    /// `None` goes back to that. It may be set as soon as the connection is there,
    /// in answer to its access request for example. False if there is no such
    /// connection, or no longer.
    pub fn set_write_coalesce(
        &self,
        connection: ConnectionId,
        window: Option<Duration>,
    ) -> Result<bool, CoalesceError> {
        if let Some(window) = window {
            write_coalesce(window)?;
        }
        let set = |answer| ConnectionCommand::SetWriteCoalesce { window, answer };
        Ok(self.ask(connection, set)?)
    }

    /// Tells that the host program goes to the background, or comes back. There
    /// writes to players are collected for at least
    /// [`QueueConfig::background_coalesce`](crate::config::QueueConfig), and publishers are
    /// read as rarely, to save power.
    pub fn set_background(&self, on: bool) {
        self.shared.notify_mobile(Signal::Collect(on));
    }

    /// Ends what is published as a stream, by its path (`app/name`) or its id: a
    /// connection is closed, a [`Publisher`] of the host is told so when it next writes.
    /// False if there is no such stream.
    pub fn end_stream(&self, stream: impl Into<StreamSelector>, reason: &str) -> bool {
        let name = self.shared.find(stream.into());
        let home = name.and_then(|name| self.shared.directory.lock().home(&name));
        if let Some((stream, home)) = home {
            let reason = reason.to_owned();
            self.shared.inboxes[home].send(Command::EndStream { stream, reason });
        }
        home.is_some()
    }

    /// The name of a stream that anybody publishes, plays, taps or waits for.
    pub fn stream_name(&self, stream: StreamId) -> Option<StreamName> {
        self.shared.directory.lock().name_of(stream)
    }

    /// The name of what a stream is shown in, under a path made from its own: as secret as its
    /// name is.
    pub fn name_beside(&self, stream: &StreamName, path: &str) -> StreamName {
        self.shared.host_name_beside(stream, path)
    }

    /// Keys that may publish. Adding the first one closes an open server to
    /// everybody else; see [`Server::revoke_publish_key`] for taking one away.
    pub fn publish_keys(&self) -> &KeyRing {
        &self.shared.publish_keys
    }

    /// Keys that may play; see [`Server::revoke_play_key`] for taking one away.
    pub fn play_keys(&self) -> &KeyRing {
        &self.shared.play_keys
    }

    /// Removes a publish key and ends what is being published that it opened. False if it was
    /// not there.
    pub fn revoke_publish_key(&self, key: &str) -> bool {
        let removed = self.shared.publish_keys.remove(key);
        if removed {
            self.end_what_nothing_opens();
        }
        removed
    }

    /// Removes a play key and, unless `access.revoke_ends_play` is false, ends what is being
    /// played that it opened, whatever the protocol: over HTTP within a second. False if it
    /// was not there.
    pub fn revoke_play_key(&self, key: &str) -> bool {
        let removed = self.shared.play_keys.remove(key);
        if removed {
            self.end_what_nothing_opens();
        }
        removed
    }

    /// Keys are others: whoever came with one that is gone may not go on.
    pub(crate) fn end_what_nothing_opens(&self) {
        for inbox in &self.shared.inboxes {
            inbox.send(Command::Revoke);
        }
    }

    /// Tells the event callback of a bug that a layer over this one caught.
    pub fn report_internal_error(&self, message: &str) {
        self.shared.events.send(Event::InternalError {
            message: message.to_owned(),
        });
    }

    /// Stops: no new connections from now on; publishers and players are told and
    /// have `grace` to leave; then they are closed; recordings are completed. Zero
    /// forces at once. A second call returns at once; without a grace it cuts the first
    /// short, and returns when that has, within a second and unless called from inside a
    /// callback.
    ///
    /// Returns when it is done, at the latest a second after the grace: a thread that
    /// has not ended by then is left to itself, see [`Summary::left_behind`]. Events that
    /// wait are delivered for half of what is left of that second and then dropped. When
    /// it returns no callback begins any more, and one that runs is the last. From inside
    /// a callback it does not wait for that callback.
    pub fn stop(&self, grace: Duration) -> Summary {
        let running = lock(&self.running).take();
        let Some(running) = running else {
            if grace.is_zero() {
                self.force();
                self.wait_for_end();
            }
            return Summary::default();
        };
        let _here = self.works_for();
        let begun = Instant::now();
        let after_grace = |patience| {
            let deadline = begun.checked_add(grace.saturating_add(patience));
            deadline.unwrap_or_else(|| begun + LONGEST_GRACE)
        };
        let (workers_end, deadline) = (
            after_grace(PATIENCE - CALLBACK_PATIENCE),
            after_grace(PATIENCE),
        );
        let shared = &self.shared;
        let (base, reports) = (shared.base_metrics(), self.inspect());
        self.begin_stop(grace);
        let mut left_behind = 0;
        let mut leave_behind = |what: &str| {
            log::error!("{what} did not end in time and is left to itself");
            left_behind += 1;
        };
        for (index, worker) in running.workers.into_iter().enumerate() {
            // A worker's panic was reported where it happened.
            if worker.wait_until(workers_end).is_err() {
                leave_behind(&format!("worker {index}"));
            }
        }
        // Asked before they were told to end, and answered unless one is frozen.
        let before = base.with(reports.try_iter());
        shared.stopped.store(true, Ordering::Release);
        shared.close_taps();
        let others = self
            .recordings()
            .drain()
            .map(|(_, r)| r)
            .collect::<Vec<_>>();
        let recordings: Vec<Recording> = running.recorder.into_iter().chain(others).collect();
        recordings
            .iter()
            .for_each(|recording| recording.tap.close());
        for recording in recordings {
            if recording.thread.wait_until(workers_end).is_err() {
                leave_behind("a recording");
            }
        }
        shared.log_limit.finish();
        let now = Instant::now();
        let delivery = now + deadline.saturating_duration_since(now) / 2;
        if let Some(thread) = running.access
            && !shared.access.finish(thread, now, deadline)
        {
            leave_behind("a callback of the host");
        }
        if let Some(thread) = running.orders
            && !shared.orders.finish(thread, delivery, deadline)
        {
            leave_behind("a callback of the host");
        }
        let forced = shared.forced.load(Ordering::Acquire);
        let (accepted, bytes_in, bytes_out) = (before.accepted, before.bytes_in, before.bytes_out);
        shared.events.send(Event::ServerStopped {
            forced,
            accepted,
            bytes_in,
            bytes_out,
        });
        if let Some(thread) = running.events
            && !shared.events.finish(thread, delivery, deadline)
        {
            leave_behind("a callback of the host");
        }
        let summary = Summary {
            uptime: Duration::from_secs_f64(before.uptime_seconds),
            connections: before.connections,
            publishers: before.publishers,
            streams: before.stream_count,
            subscribers: before.subscribers,
            forced,
            left_behind,
            accepted: before.accepted,
            bytes_in: before.bytes_in,
            bytes_out: before.bytes_out,
        };
        summary.log();
        *lock(&self.ended) = true;
        self.has_ended.notify_all();
        summary
    }

    /// Waits for a stop in another thread, unless that waits for this one's callback.
    fn wait_for_end(&self) {
        let shared = &self.shared;
        if shared.events.is_current_thread()
            || shared.access.is_current_thread()
            || shared.orders.is_current_thread()
        {
            return;
        }
        let ended = lock(&self.ended);
        let over = self
            .has_ended
            .wait_timeout_while(ended, PATIENCE, |ended| !*ended);
        drop(over);
    }

    /// Cuts a running [`Server::stop`] or [`Server::drain`] short: its deadline is now.
    /// From another thread, or a second Ctrl-C.
    pub fn force(&self) {
        if self.shared.stopping.load(Ordering::Acquire) {
            self.stop_workers(Duration::ZERO);
        } else if self.shared.drain.is_on() {
            self.shared.drain.cut();
        }
    }

    /// The part of [`Server::stop`] that does not wait.
    pub(crate) fn begin_stop(&self, grace: Duration) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.events.send(Event::ServerStopping);
        self.shared.notify_mobile(Signal::Stop);
        self.shared.drain.cut();
        self.stop_workers(grace);
    }

    fn stop_workers(&self, grace: Duration) {
        let deadline = self.shared.now() + grace;
        for inbox in &self.shared.inboxes {
            inbox.send(Command::Stop { deadline });
        }
    }
}

impl Summary {
    fn log(&self) {
        log::info!(
            connections = self.connections, publishers = self.publishers,
            streams = self.streams, subscribers = self.subscribers, forced = self.forced,
            accepted = self.accepted, bytes_in = self.bytes_in, bytes_out = self.bytes_out;
            "stopped after {:.1?}: {} connections, {} streams and {} players were there, \
             {} connections closed by force; {} bytes in, {} out",
            self.uptime, self.connections, self.streams, self.subscribers, self.forced,
            self.bytes_in, self.bytes_out
        );
    }
}

impl Recording {
    pub(crate) fn spawn<P: Platform>(mut recorder: Recorder<P>) -> io::Result<Recording> {
        let tap = recorder.tap();
        let thread = AwaitedThread::spawn(RECORDER_THREAD, move || recorder.run())?;
        Ok(Recording { tap, thread })
    }

    /// The recorder's way to its streams.
    pub(crate) fn tap(&self) -> &RecorderTap {
        &self.tap
    }

    /// Completes its files, and waits for that.
    pub(crate) fn complete(self) -> RecordingSummary {
        self.tap.close();
        let in_time = self.thread.wait(RECORDER_PATIENCE).is_ok();
        let mut summary = self.tap.summary();
        if !in_time {
            let error = format!("it could not be completed in {RECORDER_PATIENCE:?}");
            log::error!("a recording: {error}");
            summary.error = Some(error);
        }
        summary
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::System { what, source }
}
