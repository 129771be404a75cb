//! The server.

use std::ffi::{c_char, c_void};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use openrtmp_core::{Config, Server, reachable_hosts};

use crate::access::{OpenrtmpAccessRequest, Pending};
use crate::boundary;
use crate::callback::{self, UserData};
use crate::config::OpenrtmpConfig;
use crate::convert::{
    OpenrtmpStr, Versioned, borrow, copy_out, fill, fillable, output, text, versioned,
};
use crate::error::Failure;
use crate::event::{self, OpenrtmpEvent};

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
    /// The last call of all, exactly once, after openrtmp_server_free(): before that
    /// returns, or, if a callback is still running then, when that is done.
    pub on_closed: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
}

// SAFETY: pointers, nullable functions and integers without padding.
unsafe impl Versioned for OpenrtmpCallbacks {
    const FIRST: usize = size_of::<OpenrtmpCallbacks>();
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
}

// SAFETY: integers without padding.
unsafe impl Versioned for OpenrtmpSummary {
    const FIRST: usize = size_of::<OpenrtmpSummary>();
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

/// A server. Several may live in one process.
pub struct OpenrtmpServer {
    host: Arc<Host>,
    /// For the next start.
    config: Mutex<Config>,
    state: Mutex<State>,
}

enum State {
    Stopped,
    Running(Arc<Server>),
    Stopping(Arc<Server>),
}

/// The host's side: shared by the handle and the threads that call back. The last
/// of them to let go tells the host that nothing more will come.
pub(crate) struct Host {
    callbacks: OpenrtmpCallbacks,
    user_data: UserData,
    pub(crate) pending: Pending,
}

// SAFETY: the functions are the host's, who is told which threads call them;
// user_data is only handed on.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

impl Host {
    fn identity(self: &Arc<Host>) -> usize {
        Arc::as_ptr(self) as usize
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(on_closed) = self.callbacks.on_closed {
            // SAFETY: the host's function with the host's pointer, for the last time.
            unsafe { on_closed(self.user_data.0) };
        }
    }
}

impl OpenrtmpServer {
    /// The server while it runs, its stop included.
    pub(crate) fn running(&self) -> Result<Arc<Server>, Failure> {
        match &*self.state() {
            State::Running(server) | State::Stopping(server) => Ok(server.clone()),
            State::Stopped => Err(Failure::state("the server is not running")),
        }
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn config(&self) -> MutexGuard<'_, Config> {
        lock(&self.config)
    }

    /// The real address for one of "listen".
    fn address(&self, index: u32) -> Result<SocketAddr, Failure> {
        let addresses = self.running()?.addresses();
        let address = addresses.get(index as usize).copied();
        address.ok_or_else(|| Failure::not_found(format!("no address {index}")))
    }

    fn start(&self) -> Result<(), Failure> {
        let mut state = self.state();
        if !matches!(*state, State::Stopped) {
            return Err(Failure::state("the server is running"));
        }
        let mut builder = Server::builder(self.config().clone());
        if let Some(on_event) = self.host.callbacks.on_event {
            let host = self.host.clone();
            builder = builder.on_event(move |event| {
                event::lend(event, |event| {
                    callback::inside(host.identity(), || {
                        // SAFETY: the host's function; the event outlives the call.
                        unsafe { on_event(host.user_data.0, event) };
                    });
                });
            });
        }
        if let Some(on_access) = self.host.callbacks.on_access {
            let host = self.host.clone();
            builder = builder.on_access(move |request| {
                host.pending.lend(request, |request| {
                    callback::inside(host.identity(), || {
                        // SAFETY: the host's function; the request outlives the call.
                        unsafe { on_access(host.user_data.0, request) };
                    });
                });
            });
        }
        let server = Arc::new(builder.start()?);
        let mut running = lock(&RUNNING);
        running.retain(|server| server.strong_count() > 0);
        running.push(Arc::downgrade(&server));
        *state = State::Running(server);
        Ok(())
    }

    /// Tells the settings that changed.
    fn reconfigure(&self, config: &Config) -> Result<Vec<String>, Failure> {
        let state = self.state();
        let server = match &*state {
            State::Running(server) => server.clone(),
            State::Stopping(_) => return Err(Failure::state("the server is being stopped")),
            State::Stopped => {
                config.validate()?;
                let changed = self.config().changes(config);
                *self.config() = config.clone();
                return Ok(changed);
            }
        };
        drop(state);
        let done = server.reconfigure(config.clone())?;
        self.config().clone_from(&server.config());
        Ok(done.changed)
    }

    fn stop(&self, grace: Duration) -> Result<openrtmp_core::Summary, Failure> {
        callback::refuse_inside(self.host.identity(), "stopping the server")?;
        let mut state = self.state();
        let server = match &*state {
            State::Running(server) => server.clone(),
            State::Stopping(server) if grace.is_zero() => {
                server.force();
                return Ok(openrtmp_core::Summary::default());
            }
            State::Stopping(_) => return Err(Failure::state("the server is being stopped")),
            State::Stopped => return Err(Failure::state("the server is not running")),
        };
        *state = State::Stopping(server.clone());
        drop(state);
        let summary = server.stop(grace);
        self.host.pending.clear();
        *self.state() = State::Stopped;
        Ok(summary)
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
            }
        } else {
            // SAFETY: the contract of the header.
            unsafe { versioned(callbacks)? }
        };
        out.write(Box::into_raw(Box::new(OpenrtmpServer {
            host: Arc::new(Host {
                callbacks,
                user_data: UserData(callbacks.user_data),
                pending: Pending::default(),
            }),
            config: Mutex::new(config.0.clone()),
            state: Mutex::new(State::Stopped),
        })));
        Ok(())
    })
}

/// Stops a server by force if it runs, and frees it. Taps and publishers of it stay
/// valid, and are closed. OPENRTMP_ERROR_RECURSIVE inside a callback of this server,
/// and then nothing is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_free(server: *mut OpenrtmpServer) -> i32 {
    boundary::status(|| {
        if server.is_null() {
            return Ok(());
        }
        // SAFETY: the contract of the header.
        let identity = unsafe { borrow(server)? }.host.identity();
        callback::refuse_inside(identity, "freeing the server")?;
        // SAFETY: from openrtmp_server_new and not freed, the header demands.
        let server = unsafe { Box::from_raw(server) };
        if server.running().is_ok() {
            server.stop(Duration::ZERO)?;
        }
        Ok(())
    })
}

/// Checks the settings, binds, starts the threads, and returns once peers can
/// connect. After a failure nothing is left running, and it may be tried again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_start(server: *mut OpenrtmpServer) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        unsafe { borrow(server)? }.start()
    })
}

/// Puts other settings in force, all of them or, after a failure, none; validates
/// first. Visits the paths of the settings that changed; the visitor may be NULL. On a
/// stopped server they are for its next start. On a running one they hold when it
/// returns, and OPENRTMP_EVENT_CONFIG_CHANGED tells:
/// - "workers" needs a restart: OPENRTMP_ERROR_NEEDS_RESTART names it.
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
        let config = server.config().clone();
        out.write(Box::into_raw(Box::new(OpenrtmpConfig(config))));
        Ok(())
    })
}

/// Stops: no new connections from now on; peers are told and have grace_ms to leave;
/// then they are closed; recordings are completed. 0 forces at once, and cuts short a
/// stop that another thread waits in. Returns when it is done; then
/// openrtmp_server_start() may start it again. The summary may be NULL.
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
        let summary = server.stop(Duration::from_millis(grace_ms.min(MAX_GRACE_MS)))?;
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
        };
        // SAFETY: the contract of the header.
        unsafe { fill(out_summary, &summary) }
    })
}

/// A day: longer is forever, and must not overflow a clock.
const MAX_GRACE_MS: u64 = 86_400_000;

/// Tells that the program goes to the background (1), or comes back (0). There writes to
/// players are collected for at least "queue.background_coalesce", to save power. Holds
/// until the server is stopped.
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

/// Writes the state (OPENRTMP_STATE_*).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_state(
    server: *const OpenrtmpServer,
    out_state: *mut u32,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, out) = unsafe { (borrow(server)?, output(out_state)?) };
        out.write(match &*server.state() {
            State::Stopped => OPENRTMP_STATE_STOPPED,
            State::Running(_) => OPENRTMP_STATE_RUNNING,
            State::Stopping(_) => OPENRTMP_STATE_STOPPING,
        });
        Ok(())
    })
}

/// Writes the port of the address at an index of "listen", the real one where 0 was
/// asked for. OPENRTMP_ERROR_NOT_FOUND beyond the last, OPENRTMP_ERROR_STATE while it is
/// stopped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_port(
    server: *const OpenrtmpServer,
    index: u32,
    out_port: *mut u32,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, out) = unsafe { (borrow(server)?, output(out_port)?) };
        out.write(server.address(index)?.port().into());
        Ok(())
    })
}

/// Writes the address and port at an index of "listen", for example "0.0.0.0:1935".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_address(
    server: *const OpenrtmpServer,
    index: u32,
    buffer: *mut c_char,
    capacity: usize,
    out_length: *mut usize,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let address = unsafe { borrow(server)? }.address(index)?;
        // SAFETY: the contract of the header.
        unsafe { copy_out(&address.to_string(), buffer, capacity, out_length) }
    })
}

/// Visits the URLs under which other devices, then this one, reach a stream
/// ("app/name", or empty for the server itself): one for each address of each network
/// interface that it listens on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_urls(
    server: *const OpenrtmpServer,
    stream: OpenrtmpStr,
    visit: OpenrtmpVisitText,
    user_data: *mut c_void,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, stream) = unsafe { (borrow(server)?.running()?, text(stream)?) };
        let visit = required(visit)?;
        for address in server.addresses() {
            for host in reachable_hosts(address) {
                let url = format!("rtmp://{host}:{}/{stream}", address.port());
                // SAFETY: the host's function; the text outlives the call.
                unsafe { visit(user_data, OpenrtmpStr::new(&url)) };
            }
        }
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

/// A function that must not be NULL.
pub(crate) fn required<F>(function: Option<F>) -> Result<F, Failure> {
    function.ok_or_else(|| Failure::argument("a function is NULL"))
}
