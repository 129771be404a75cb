//! The server.

use std::ffi::c_void;
use std::mem::offset_of;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use openrtmp_core::{Config, Pem, Server, Summary, next_server_id, spawn_thread};

use crate::access::{OpenrtmpAccessRequest, Pending};
use crate::boundary;
use crate::callback::{self, Call, UserData};
use crate::config::OpenrtmpConfig;
use crate::convert::{
    OpenrtmpStr, Versioned, borrow, fill, fillable, must_be_zero, output, versioned,
};
use crate::error::Failure;
use crate::event::{OpenrtmpEvent, Record};
use crate::events::EventQueue;
use crate::host::OpenrtmpOrder;
use crate::http::{self, Delivering};
use crate::logging;
use crate::process::Process;

/// Made, or stopped: it can be started.
pub const OPENRTMP_STATE_STOPPED: u32 = 0;
/// It listens.
pub const OPENRTMP_STATE_RUNNING: u32 = 1;
/// A stop is on its way.
pub const OPENRTMP_STATE_STOPPING: u32 = 2;

/// What a server calls back. Any member may be NULL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OpenrtmpCallbacks {
    /// sizeof(openrtmp_callbacks).
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Handed to each callback.
    pub user_data: *mut c_void,
    /// Something happened. A callback that falls 4,096 events behind loses some and
    /// is told how many (OPENRTMP_EVENT_LOST).
    pub on_event: Option<unsafe extern "C" fn(user_data: *mut c_void, event: *const OpenrtmpEvent)>,
    /// A peer asks to connect, publish or play, and the keys allow it. Answer with
    /// openrtmp_request_accept() or openrtmp_request_reject(), here or later, from
    /// any thread, within "access.decision_timeout"; then it is refused. Without
    /// this callback the keys alone decide.
    pub on_access:
        Option<unsafe extern "C" fn(user_data: *mut c_void, request: *const OpenrtmpAccessRequest)>,
    /// The last call of all, exactly once, after openrtmp_server_free() and after every
    /// other callback of this server has returned. On a thread that calls nothing else.
    pub on_closed: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    /// The host of a server on a phone is to do something, see openrtmp_host_background()
    /// and its kin. One that falls 4,096 orders behind loses some.
    pub on_order: Option<unsafe extern "C" fn(user_data: *mut c_void, order: *const OpenrtmpOrder)>,
}

// SAFETY: pointers, nullable functions and integers without padding.
unsafe impl Versioned for OpenrtmpCallbacks {
    const FIRST: usize = offset_of!(OpenrtmpCallbacks, on_order);
}

/// What was going on when a server was stopped.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpSummary {
    /// sizeof(openrtmp_summary).
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Since the start.
    pub uptime_ms: u64,
    /// Connections when the stop began.
    pub connections: u64,
    /// Publishers when the stop began.
    pub publishers: u64,
    /// Players when the stop began.
    pub subscribers: u64,
    /// Connections that were there at the deadline and were closed by force.
    pub forced: u64,
    /// Connections accepted since the start.
    pub accepted: u64,
    /// Bytes read from sockets.
    pub bytes_in: u64,
    /// Bytes written to sockets.
    pub bytes_out: u64,
    /// Threads that did not end in time, and do so by themselves: callbacks that hang,
    /// recordings on a disk that does.
    pub left_behind: u64,
    /// Streams when the stop began, those within their grace included.
    pub streams: u64,
}

// SAFETY: integers without padding.
unsafe impl Versioned for OpenrtmpSummary {
    const FIRST: usize = offset_of!(OpenrtmpSummary, left_behind);
}

/// Whether a server works.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpHealth {
    /// sizeof(openrtmp_health).
    pub struct_size: u32,
    /// 1 if every worker thread answers.
    pub live: u32,
    /// 1 if it takes new connections.
    pub ready: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: integers without padding.
unsafe impl Versioned for OpenrtmpHealth {
    const FIRST: usize = size_of::<OpenrtmpHealth>();
}

/// Takes texts one by one, on the thread that asked, before the call returns.
pub type OpenrtmpVisitText =
    Option<unsafe extern "C" fn(user_data: *mut c_void, text: OpenrtmpStr)>;

/// A server. Several may live in one process. A handle is a reference to it, as is
/// everything that calls back: what a late callback calls still finds it.
pub struct OpenrtmpServer {
    callbacks: OpenrtmpCallbacks,
    user_data: UserData,
    process: Process,
    /// Names it in log records.
    id: u64,
    pending: Pending,
    /// For the next start.
    config: Mutex<Config>,
    state: Mutex<State>,
    /// Of events, for the host to fetch.
    queues: Mutex<Vec<Weak<EventQueue>>>,
    end: Mutex<End>,
}

// SAFETY: the functions are the host's, who is told which threads call them;
// user_data is only handed on.
unsafe impl Send for OpenrtmpServer {}
// SAFETY: as above.
unsafe impl Sync for OpenrtmpServer {}

enum State {
    Stopped,
    Running(Running),
    Stopping(Running),
    /// Only callbacks that are late have it still.
    Freed,
}

/// A server that runs.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) server: Arc<Server>,
    pub(crate) delivery: Arc<Delivering>,
}

/// Who may call back: nobody has one any more once the last callback has returned.
#[derive(Clone)]
struct Presence(#[expect(dead_code, reason = "what counts is that it is there")] Sender<()>);

/// What there is of the end of a server.
struct End {
    /// The handle's own.
    presence: Option<Presence>,
    /// Ends once on_closed has returned.
    closed: Option<Receiver<()>>,
}

impl OpenrtmpServer {
    /// Made, with the thread that will tell of its end.
    fn new(config: Config, callbacks: OpenrtmpCallbacks) -> Result<Arc<OpenrtmpServer>, Failure> {
        let (presence, all_gone) = channel();
        let (closed, is_closed) = channel();
        let server = Arc::new(OpenrtmpServer {
            callbacks,
            user_data: UserData(callbacks.user_data),
            process: Process::this(),
            id: next_server_id(),
            pending: Pending::default(),
            config: Mutex::new(config),
            state: Mutex::new(State::Stopped),
            queues: Mutex::default(),
            end: Mutex::new(End {
                presence: Some(Presence(presence)),
                closed: Some(is_closed),
            }),
        });
        let Some(on_closed) = callbacks.on_closed else {
            return Ok(server);
        };
        let last = server.clone();
        let work = move || {
            // Never a message: the last to leave drops the last sender.
            let _ = all_gone.recv();
            callback::inside(last.identity(), Call::Closed, || {
                // SAFETY: the host's function with the host's pointer, for the last time.
                unsafe { on_closed(last.user_data.0) };
            });
            drop(last);
            drop(closed);
        };
        spawn_thread("openrtmp-closed", Box::new(work))?;
        Ok(server)
    }

    fn identity(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    /// The server while it runs, its stop included.
    pub(crate) fn running(&self) -> Result<Arc<Server>, Failure> {
        Ok(self.with_delivery()?.server)
    }

    /// The same with what belongs to it.
    pub(crate) fn with_delivery(&self) -> Result<Running, Failure> {
        match &*self.state()? {
            State::Running(running) | State::Stopping(running) => Ok(running.clone()),
            State::Stopped => Err(Failure::state("the server is not running")),
            State::Freed => Err(freed()),
        }
    }

    /// What names it in log records, until it is freed.
    pub(crate) fn live_id(&self) -> Result<u64, Failure> {
        match &*self.state()? {
            State::Freed => Err(freed()),
            _ => Ok(self.id),
        }
    }

    /// Requests that wait for the host.
    pub(crate) fn pending(&self) -> Result<&Pending, Failure> {
        self.process.check()?;
        Ok(&self.pending)
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, Failure> {
        self.process.check()?;
        Ok(lock(&self.state))
    }

    fn config(&self) -> MutexGuard<'_, Config> {
        lock(&self.config)
    }

    fn start(self: &Arc<OpenrtmpServer>) -> Result<(), Failure> {
        let mut state = self.state()?;
        match &*state {
            State::Stopped => {}
            State::Running(_) | State::Stopping(_) => {
                return Err(Failure::state("the server is running"));
            }
            State::Freed => return Err(freed()),
        }
        let presence = lock(&self.end).presence.clone();
        let config = self.config().clone();
        http::check(&config)?;
        let mut builder = Server::builder(config).id(self.id);
        let queues = self.open_queues();
        if self.callbacks.on_event.is_some() || !queues.is_empty() {
            let (host, presence) = (self.clone(), presence.clone());
            builder = builder.on_event(move |event| {
                let _present = &presence;
                host.tell(&Record::new(event), &queues);
            });
        }
        if let Some(on_order) = self.callbacks.on_order {
            let (host, presence) = (self.clone(), presence.clone());
            builder = builder.on_order(move |order| {
                let _present = &presence;
                OpenrtmpOrder::with(&order, |order| {
                    callback::inside(host.identity(), Call::Other, || {
                        // SAFETY: the host's function; the order outlives the call.
                        unsafe { on_order(host.user_data.0, order) };
                    });
                });
            });
        }
        if let Some(on_access) = self.callbacks.on_access {
            let (host, presence) = (self.clone(), presence);
            builder = builder.on_access(move |request| {
                let _present = &presence;
                host.pending.lend(request, |request| {
                    callback::inside(host.identity(), Call::Other, || {
                        // SAFETY: the host's function; the request outlives the call.
                        unsafe { on_access(host.user_data.0, request) };
                    });
                });
            });
        }
        let server = Arc::new(builder.start()?);
        let delivery = match Delivering::start(&server) {
            Ok(delivery) => Arc::new(delivery),
            Err(failure) => {
                // Callbacks that heard of the start may wait for the state.
                drop(state);
                server.stop(Duration::ZERO);
                return Err(failure);
            }
        };
        let mut running = lock(&RUNNING);
        running.retain(|server| server.strong_count() > 0);
        running.push(Arc::downgrade(&server));
        *state = State::Running(Running { server, delivery });
        Ok(())
    }

    /// The queues that the host has still.
    fn open_queues(&self) -> Vec<Weak<EventQueue>> {
        let mut queues = lock(&self.queues);
        queues.retain(|queue| queue.strong_count() > 0);
        queues.clone()
    }

    /// A queue that is told of events from the next start on.
    pub(crate) fn add_queue(&self, queue: &Arc<EventQueue>) -> Result<(), Failure> {
        match &*self.state()? {
            State::Stopped => lock(&self.queues).push(Arc::downgrade(queue)),
            State::Freed => return Err(freed()),
            State::Running(_) | State::Stopping(_) => {
                let message = "a queue of events is opened before the server is started";
                return Err(Failure::state(message));
            }
        }
        Ok(())
    }

    fn tell(&self, record: &Arc<Record>, queues: &[Weak<EventQueue>]) {
        for queue in queues.iter().filter_map(Weak::upgrade) {
            queue.push(record);
        }
        if let Some(on_event) = self.callbacks.on_event {
            callback::inside(self.identity(), Call::Other, || {
                // SAFETY: the host's function; the event outlives the call.
                unsafe { on_event(self.user_data.0, record.head()) };
            });
        }
    }

    /// Tells the settings that changed.
    fn reconfigure(&self, config: &Config) -> Result<Vec<String>, Failure> {
        http::check(config)?;
        let state = self.state()?;
        let server = match &*state {
            State::Running(running) => running.server.clone(),
            State::Stopping(_) => return Err(Failure::state("the server is being stopped")),
            State::Freed => return Err(freed()),
            State::Stopped => {
                config.validate()?;
                let changed = self.config().changes(config);
                *self.config() = config.clone();
                return Ok(changed);
            }
        };
        drop(state);
        let done = server.reconfigure(config.clone());
        self.config().clone_from(&server.config());
        Ok(done?.changed)
    }

    /// Puts a certificate in the settings.
    pub(crate) fn set_certificate(&self, chain: &str, key: &str) -> Result<(), Failure> {
        let (chain, key) = (Pem::from(chain), Pem::from(key));
        if matches!(chain, Pem::File(_)) || matches!(key, Pem::File(_)) {
            return Err(Failure::argument("a certificate and its key are PEM text"));
        }
        let mut config = self.config().clone();
        (config.tls.certificate, config.tls.key) = (Some(chain), Some(key));
        self.reconfigure(&config).map(drop)
    }

    fn stop(&self, grace: Duration) -> Result<Summary, Failure> {
        self.end(grace, |running| {
            running.delivery.begin_stop();
            Ok(running.server.stop(grace))
        })
    }

    /// Ends it as `how` says, after whose failure it goes on; its delivery has what is left of
    /// the grace. If it is ending, no grace cuts that short.
    pub(crate) fn end(
        &self,
        grace: Duration,
        how: impl FnOnce(&Running) -> Result<Summary, Failure>,
    ) -> Result<Summary, Failure> {
        callback::refuse_inside(self.identity(), "stopping the server")?;
        let mut state = self.state()?;
        let running = match &*state {
            State::Running(running) => running.clone(),
            State::Stopping(running) if grace.is_zero() => {
                running.server.force();
                running.delivery.force();
                return Ok(Summary::default());
            }
            State::Stopping(_) => return Err(Failure::state("the server is being stopped")),
            State::Stopped => return Err(Failure::state("the server is not running")),
            State::Freed => return Err(freed()),
        };
        *state = State::Stopping(running.clone());
        drop(state);
        let begun = Instant::now();
        let ended = how(&running);
        if ended.is_ok() {
            let left = grace.saturating_sub(begun.elapsed());
            running.delivery.stop(left);
            self.pending.clear();
        }
        let mut state = self.state()?;
        if let State::Stopping(_) = &*state {
            *state = match ended {
                Ok(_) => State::Stopped,
                Err(_) => State::Running(running),
            };
        }
        ended
    }

    /// Ends it for its host: what is late finds it freed.
    fn free(&self) -> Result<(), Failure> {
        let identity = self.identity();
        let inside = callback::inside_of(identity);
        if inside == Some(Call::Closed) {
            return Err(callback::recursive("freeing the server"));
        }
        let mut state = self.state()?;
        if let State::Freed = &*state {
            return Err(freed());
        }
        let before = std::mem::replace(&mut *state, State::Freed);
        drop(state);
        let deadline = Instant::now() + PATIENCE;
        if let State::Running(running) | State::Stopping(running) = before {
            running.server.stop(Duration::ZERO);
            running.delivery.force();
            running.delivery.stop(Duration::ZERO);
        }
        self.pending.clear();
        for queue in self.open_queues() {
            queue.upgrade().inspect(|queue| queue.close());
        }
        let mut end = lock(&self.end);
        end.presence = None;
        let closed = end.closed.take();
        drop(end);
        let left = || deadline.saturating_duration_since(Instant::now());
        logging::forget_server(self.id, left());
        if inside.is_none()
            && let Some(closed) = closed
        {
            let left = left();
            // Never a message: it ends when on_closed has returned, or the time is over.
            let _ = closed.recv_timeout(left);
        }
        Ok(())
    }
}

/// How long openrtmp_server_free() waits.
const PATIENCE: Duration = Duration::from_secs(1);

fn freed() -> Failure {
    Failure::state("the server was freed")
}

/// A reference of its own to the server behind a handle.
///
/// # Safety
/// `server` is NULL or a handle that was not freed, or was so while this thread is inside
/// a callback of it.
unsafe fn shared(server: *mut OpenrtmpServer) -> Result<Arc<OpenrtmpServer>, Failure> {
    // SAFETY: the caller's promise; it came from an `Arc`, which is there as long.
    unsafe {
        borrow(server)?;
        Arc::increment_strong_count(server);
        Ok(Arc::from_raw(server))
    }
}

/// Makes a server, not yet started. It copies the settings and the table of
/// callbacks, which may be NULL. Free it with openrtmp_server_free(). After a failure
/// on_closed is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_new(
    config: *const OpenrtmpConfig,
    callbacks: *const OpenrtmpCallbacks,
    out_server: *mut *mut OpenrtmpServer,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (config, out) = unsafe { (borrow(config)?, output(out_server)?) };
        let callbacks = if callbacks.is_null() {
            OpenrtmpCallbacks {
                struct_size: 0,
                reserved: 0,
                user_data: std::ptr::null_mut(),
                on_event: None,
                on_access: None,
                on_closed: None,
                on_order: None,
            }
        } else {
            // SAFETY: the contract of the header.
            unsafe { versioned(callbacks)? }
        };
        must_be_zero(callbacks.reserved)?;
        let server = OpenrtmpServer::new(config.0.clone(), callbacks)?;
        out.write(Arc::into_raw(server).cast_mut());
        Ok(())
    })
}

/// Stops a server by force if it runs, and frees it. Taps and publishers of it stay
/// valid, and are closed. Events that wait are delivered or dropped before it returns, a
/// callback that runs is waited for, as is on_closed, for 1 s altogether. If that is not
/// enough, or if it is called inside a callback of this server, no other callback begins
/// after it, and on_closed follows when that one has returned; until then calls on the
/// handle are OPENRTMP_ERROR_STATE. OPENRTMP_ERROR_RECURSIVE inside its own on_closed,
/// where there is nothing left to free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_free(server: *mut OpenrtmpServer) -> i32 {
    boundary::status(|| {
        if server.is_null() {
            return Ok(());
        }
        // SAFETY: the contract of the header.
        unsafe { borrow(server)? }.free()?;
        // SAFETY: the handle's own reference, which is given back once: a second time
        // fails above.
        drop(unsafe { Arc::from_raw(server) });
        Ok(())
    })
}

/// Checks the settings, binds, starts the threads, and returns once peers can
/// connect. After a failure nothing is left running, and it may be tried again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_start(server: *mut OpenrtmpServer) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        unsafe { shared(server)? }.start()
    })
}

/// Puts other settings in force, all of them or, after a failure, none; validates
/// first. Visits the paths of the settings that changed; the visitor may be NULL. On a
/// stopped server they are for its next start. On a running one they hold when it
/// returns, and OPENRTMP_EVENT_CONFIG_CHANGED tells:
/// - "workers", "http.listen" and "http.tokens.keys" need a restart:
///   OPENRTMP_ERROR_NEEDS_RESTART names them.
/// - "listen": connections stay, whatever address goes. OPENRTMP_ERROR_LISTEN if one
///   cannot be had.
/// - "rtmp", but "ping_interval", and "limits.session": for connections that come from
///   now on; "queue.unsent_bytes": for players; "queue.worker_bytes" and
///   "queue.worker_messages": for publishers and streams.
/// - "access": keys that are no longer named are revoked, as by openrtmp_key_revoke();
///   those added or revoked at run time stay so.
/// - "record": what is being recorded is completed first, which may take 5 s.
/// - Everything else holds at once; lower limits close nobody.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_reconfigure(
    server: *mut OpenrtmpServer,
    config: *const OpenrtmpConfig,
    visit: OpenrtmpVisitText,
    user_data: *mut c_void,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, config) = unsafe { (borrow(server)?, borrow(config)?) };
        for path in server.reconfigure(&config.0)? {
            if let Some(visit) = visit {
                // SAFETY: the host's function; the text outlives the call.
                unsafe { visit(user_data, OpenrtmpStr::new(&path)) };
            }
        }
        Ok(())
    })
}

/// Makes a copy of the settings in force, or, while it is stopped, of those for its
/// next start: to change some and hand it to openrtmp_server_reconfigure(). Keys that
/// were added or revoked at run time are not in it. Free it with
/// openrtmp_config_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_config(
    server: *const OpenrtmpServer,
    out_config: *mut *mut OpenrtmpConfig,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, out) = unsafe { (borrow(server)?, output(out_config)?) };
        server.live_id()?;
        let config = server.config().clone();
        out.write(Box::into_raw(Box::new(OpenrtmpConfig(config))));
        Ok(())
    })
}

/// Stops: no new connections from now on; peers are told and have grace_ms to leave; then they
/// are closed; recordings are completed; events are delivered. 0 forces at once, and cuts short
/// a stop that another thread waits in. Returns when it is done, at the latest 1 s after the
/// grace, 1.5 s if it delivers over HTTP, and up to 5 s more while the disk of
/// "http.dvr.directory" removes files: what has not ended then is counted in the summary, events
/// not delivered are dropped, and no callback begins any more. Then openrtmp_server_start() may
/// start it again. The summary may be NULL.
/// OPENRTMP_ERROR_RECURSIVE inside a callback of this server.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_stop(
    server: *mut OpenrtmpServer,
    grace_ms: u64,
    out_summary: *mut OpenrtmpSummary,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? };
        if !out_summary.is_null() {
            // SAFETY: the contract of the header.
            unsafe { fillable(out_summary)? };
        }
        let summary = server.stop(grace(grace_ms))?;
        // SAFETY: the contract of the header.
        unsafe { fill_summary(out_summary, &summary) }
    })
}

/// Writes what was going on, unless nobody wants to know.
///
/// # Safety
/// `out_summary` is NULL or fit to be filled.
pub(crate) unsafe fn fill_summary(
    out_summary: *mut OpenrtmpSummary,
    summary: &Summary,
) -> Result<(), Failure> {
    if out_summary.is_null() {
        return Ok(());
    }
    let summary = OpenrtmpSummary {
        struct_size: 0,
        reserved: 0,
        uptime_ms: summary.uptime.as_millis() as u64,
        connections: summary.connections as u64,
        publishers: summary.publishers as u64,
        subscribers: summary.subscribers as u64,
        forced: summary.forced as u64,
        accepted: summary.accepted,
        bytes_in: summary.bytes_in,
        bytes_out: summary.bytes_out,
        left_behind: summary.left_behind as u64,
        streams: summary.streams as u64,
    };
    // SAFETY: the caller's promise.
    unsafe { fill(out_summary, &summary) }
}

/// What a grace is: a day is forever, and must not overflow a clock.
pub(crate) fn grace(grace_ms: u64) -> Duration {
    Duration::from_millis(grace_ms.min(86_400_000))
}

/// Tells that the program goes to the background (1), or comes back (0). There writes to
/// players are collected for at least "queue.background_coalesce", and publishers are read as
/// rarely, to save power. Holds until the server is stopped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_set_background(
    server: *mut OpenrtmpServer,
    background: u32,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? }.running()?;
        let background = match background {
            0 => false,
            1 => true,
            other => return Err(Failure::argument(format!("{other} is neither 0 nor 1"))),
        };
        server.set_background(background);
        Ok(())
    })
}

/// Writes a number that names the server in log records: of no other in this process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_id(
    server: *const OpenrtmpServer,
    out_id: *mut u64,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, out) = unsafe { (borrow(server)?, output(out_id)?) };
        out.write(server.live_id()?);
        Ok(())
    })
}

/// Writes the state (OPENRTMP_STATE_*).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_state(
    server: *const OpenrtmpServer,
    out_state: *mut u32,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, out) = unsafe { (borrow(server)?, output(out_state)?) };
        out.write(match &*server.state()? {
            State::Stopped => OPENRTMP_STATE_STOPPED,
            State::Running(_) => OPENRTMP_STATE_RUNNING,
            State::Stopping(_) => OPENRTMP_STATE_STOPPING,
            State::Freed => return Err(freed()),
        });
        Ok(())
    })
}

/// Tells whether the server works, and visits the reasons why not. The visitor may be
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_health(
    server: *const OpenrtmpServer,
    out_health: *mut OpenrtmpHealth,
    visit: OpenrtmpVisitText,
    user_data: *mut c_void,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe {
            fillable(out_health)?;
            borrow(server)?.running()?
        };
        let health = server.health();
        let filled = OpenrtmpHealth {
            struct_size: 0,
            live: health.live.into(),
            ready: health.ready.into(),
            reserved: 0,
        };
        // SAFETY: the contract of the header.
        unsafe { fill(out_health, &filled)? };
        if let Some(visit) = visit {
            for reason in &health.reasons {
                // SAFETY: the host's function; the text outlives the call.
                unsafe { visit(user_data, OpenrtmpStr::new(reason)) };
            }
        }
        Ok(())
    })
}

/// Servers that run, for [`report_bug`].
static RUNNING: Mutex<Vec<Weak<Server>>> = Mutex::new(Vec::new());

/// Tells every running server's events of a bug that was caught.
pub(crate) fn report_bug(message: &str) {
    let running: Vec<_> = lock(&RUNNING).iter().filter_map(Weak::upgrade).collect();
    for server in running {
        server.report_internal_error(message);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls a host's function with each text.
///
/// # Safety
/// The contract of the header for the function and what it is given.
pub(crate) unsafe fn visit_texts<T: AsRef<str>>(
    texts: impl IntoIterator<Item = T>,
    visit: unsafe extern "C" fn(*mut c_void, OpenrtmpStr),
    user_data: *mut c_void,
) {
    for text in texts {
        // SAFETY: the host's function; the text outlives the call.
        unsafe { visit(user_data, OpenrtmpStr::new(text.as_ref())) };
    }
}

/// A function that must not be NULL.
pub(crate) fn required<F>(function: Option<F>) -> Result<F, Failure> {
    function.ok_or_else(|| Failure::argument("a function is NULL"))
}
