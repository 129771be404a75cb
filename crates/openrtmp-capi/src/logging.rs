//! Log records, for the whole process and for each server.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};
use openrtmp_core::{SystemLog, SystemLogError, current_server, spawn_thread};
use serde_json::Map;

use crate::boundary;
use crate::callback::{self, Call, UserData};
use crate::convert::{OpenrtmpStr, Versioned, borrow, versioned};
use crate::error::{Failure, OPENRTMP_ERROR_TIMEOUT};
use crate::server::{OpenrtmpServer, required};

/// Something failed that should not.
pub const OPENRTMP_LOG_ERROR: u32 = 1;
/// Something to look at.
pub const OPENRTMP_LOG_WARN: u32 = 2;
/// What goes on.
pub const OPENRTMP_LOG_INFO: u32 = 3;
/// For finding faults.
pub const OPENRTMP_LOG_DEBUG: u32 = 4;
/// Everything.
pub const OPENRTMP_LOG_TRACE: u32 = 5;

/// Records that may wait for a slow callback.
const QUEUE: usize = 1024;

/// One log record. Lives as long as the callback.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpLogRecord {
    /// Size of the struct that the library fills.
    pub struct_size: u32,
    /// OPENRTMP_LOG_*.
    pub level: u32,
    /// The part of the library.
    pub target: OpenrtmpStr,
    /// The message.
    pub message: OpenrtmpStr,
    /// What it is about (peer, stream, ...), as a JSON object of texts; empty if
    /// nothing.
    pub fields: OpenrtmpStr,
    /// Records lost before this one because the callback was too slow.
    pub lost: u64,
    /// The server that it is of, as openrtmp_server_id() tells; 0: none, or not known.
    pub server_id: u64,
}

/// Who takes log records.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OpenrtmpLogCallbacks {
    /// sizeof(openrtmp_log_callbacks).
    pub struct_size: u32,
    /// The least important level wanted (OPENRTMP_LOG_*).
    pub max_level: u32,
    /// Handed to each callback.
    pub user_data: *mut c_void,
    /// A record. Must not be NULL.
    pub on_record:
        Option<unsafe extern "C" fn(user_data: *mut c_void, record: *const OpenrtmpLogRecord)>,
    /// The last call. May be NULL.
    pub on_closed: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
}

// SAFETY: pointers, nullable functions and integers without padding.
unsafe impl Versioned for OpenrtmpLogCallbacks {
    const FIRST: usize = size_of::<OpenrtmpLogCallbacks>();
}

/// Sends the log records of all servers of the process to a callback, on a thread of
/// its own, in place of the one before; NULL: to nobody. Waits at most 1 s until the one
/// before is done with what it has, and has had its on_closed: OPENRTMP_ERROR_TIMEOUT if
/// that is still to come, the new one being in place. OPENRTMP_ERROR_RECURSIVE inside
/// a log callback; OPENRTMP_ERROR_STATE if the program, written in Rust, has a logger.
/// After another failure the one before stays, and on_closed of the new one is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_log_set(callbacks: *const OpenrtmpLogCallbacks) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        unsafe { set(ALL, callbacks) }
    })
}

/// Sends the log records of one server, those of its start and stop included, to a
/// callback of its own, besides that of openrtmp_log_set(), until the server is freed.
/// Works and fails as openrtmp_log_set().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_log_set(
    server: *mut OpenrtmpServer,
    callbacks: *const OpenrtmpLogCallbacks,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        unsafe { set(borrow(server)?.live_id()?, callbacks) }
    })
}

/// Sends the log records of all servers of the process to the system's log, up to a level
/// (OPENRTMP_LOG_*; 0: none from now on), besides any callback: os_log on Apple's systems, in
/// the subsystem "org.openrtmp" and all of it public, Logcat on Android's, under the tag
/// "OpenRTMP". OPENRTMP_ERROR_STATE if there is none on this system, if the library was built
/// without it (features "oslog" and "android_logger"), or if the program, written in Rust, has
/// a logger.
#[unsafe(no_mangle)]
pub extern "C" fn openrtmp_log_to_system(max_level: u32) -> i32 {
    boundary::status(|| {
        let level = match max_level {
            0 => None,
            level => Some(filter(level)?),
        };
        let system = level.map(|level| Ok::<_, SystemLogError>((level, SystemLog::open()?)));
        let system = system.transpose()?;
        LOGGER.install()?;
        let mut sinks = LOGGER.lock();
        sinks.system = system;
        sinks.follow();
        Ok(())
    })
}

/// # Safety
/// `callbacks` is NULL or a table.
unsafe fn set(server: u64, callbacks: *const OpenrtmpLogCallbacks) -> Result<(), Failure> {
    callback::refuse_inside(LOGGER.identity(), "changing the log callback")?;
    // First: a callback that was handed over and then refused would still have
    // its on_closed, after the failure was told.
    LOGGER.install()?;
    let sink = match callbacks.is_null() {
        true => None,
        // SAFETY: the caller's promise.
        false => Some(LogSink::spawn(server, unsafe { versioned(callbacks)? })?),
    };
    LOGGER.replace(server, sink, PATIENCE)
}

/// No server has more to log: its callback, if it has one, is told so, and waited for.
pub(crate) fn forget_server(server: u64, patience: Duration) {
    // One that hangs is told of to whoever waits for it.
    let _ = LOGGER.replace(server, None, patience);
}

/// Stands for every server.
const ALL: u64 = 0;

/// How long a callback that goes is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

static LOGGER: Logger = Logger {
    sinks: Mutex::new(Sinks {
        callbacks: Vec::new(),
        system: None,
    }),
    process: AtomicU32::new(0),
};

struct Logger {
    sinks: Mutex<Sinks>,
    /// That has the threads of the sinks; 0: there was none yet.
    process: AtomicU32,
}

/// Who takes records.
#[derive(Default)]
struct Sinks {
    callbacks: Vec<LogSink>,
    /// The system's log, and up to which level.
    system: Option<(LevelFilter, SystemLog)>,
}

impl Sinks {
    /// No record is made that nobody takes.
    fn follow(&self) {
        let of_callbacks = self.callbacks.iter().map(|sink| sink.level);
        let of_system = self.system.iter().map(|(level, _)| *level);
        let level = of_callbacks.chain(of_system).max();
        log::set_max_level(level.unwrap_or(LevelFilter::Off));
    }
}

struct LogSink {
    /// [`ALL`], or the one that it is for.
    server: u64,
    sender: SyncSender<(Arc<Owned>, u64)>,
    level: LevelFilter,
    /// Records that found the queue full, since the last that did not.
    lost: u64,
    /// Ends once on_closed has returned.
    ended: Receiver<()>,
}

struct Owned {
    level: Level,
    target: String,
    message: String,
    fields: String,
    server: u64,
}

impl Logger {
    fn identity(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    /// False in a child of the process that has the threads, where a lock may be held for
    /// ever.
    fn is_here(&self) -> bool {
        self.process.load(Ordering::Relaxed) == std::process::id()
    }

    fn install(&self) -> Result<(), Failure> {
        if !self.is_here() {
            let Ok(mut sinks) = self.sinks.try_lock() else {
                return Err(Failure::state(
                    "the parent process was logging when it forked",
                ));
            };
            // Their threads are the parent's.
            std::mem::forget(std::mem::take(&mut *sinks));
            self.process.store(std::process::id(), Ordering::Relaxed);
        }
        static INSTALLED: Mutex<bool> = Mutex::new(false);
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if !*installed {
            log::set_logger(&LOGGER)
                .map_err(|_| Failure::state("the program has a logger of its own"))?;
            *installed = true;
        }
        Ok(())
    }

    fn replace(
        &self,
        server: u64,
        sink: Option<LogSink>,
        patience: Duration,
    ) -> Result<(), Failure> {
        if !self.is_here() {
            return Ok(());
        }
        let mut sinks = self.lock();
        let place = sinks.callbacks.iter().position(|o| o.server == server);
        let old = place.map(|place| sinks.callbacks.swap_remove(place));
        sinks.callbacks.extend(sink);
        sinks.follow();
        drop(sinks);
        let Some(LogSink { sender, ended, .. }) = old else {
            return Ok(());
        };
        drop(sender);
        if callback::inside_of(self.identity()).is_some() {
            return Ok(());
        }
        match ended.recv_timeout(patience) {
            Err(RecvTimeoutError::Timeout) => {
                let message = "the log callback before this one has not returned";
                Err(Failure::new(OPENRTMP_ERROR_TIMEOUT, message))
            }
            _ => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sinks> {
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) || !self.is_here() {
            return;
        }
        let mut sinks = self.lock();
        if let Some((level, system)) = &sinks.system
            && record.level() <= *level
        {
            system.log(record);
        }
        if sinks.callbacks.is_empty() {
            return;
        }
        let owned = Arc::new(Owned {
            level: record.level(),
            target: record.target().to_owned(),
            message: record.args().to_string(),
            fields: fields(record),
            server: current_server(),
        });
        for sink in &mut sinks.callbacks {
            let wanted = sink.server == ALL || sink.server == owned.server;
            if !wanted || owned.level > sink.level {
                continue;
            }
            // Never waits: this thread may be moving media.
            match sink.sender.try_send((owned.clone(), sink.lost)) {
                Ok(()) => sink.lost = 0,
                Err(_) => sink.lost += 1,
            }
        }
    }

    fn flush(&self) {}
}

impl LogSink {
    fn spawn(server: u64, callbacks: OpenrtmpLogCallbacks) -> Result<LogSink, Failure> {
        let level = filter(callbacks.max_level)?;
        let on_record = required(callbacks.on_record)?;
        let (user_data, on_closed) = (UserData(callbacks.user_data), callbacks.on_closed);
        let (sender, receiver) = sync_channel(QUEUE);
        let (alive, ended) = channel();
        let work = move || {
            let user_data = user_data;
            callback::inside(LOGGER.identity(), Call::Other, || {
                deliver(&receiver, |record| {
                    // SAFETY: the host's function; the record outlives the call.
                    unsafe { on_record(user_data.0, record) };
                });
                if let Some(on_closed) = on_closed {
                    // SAFETY: the host's function, for the last time.
                    unsafe { on_closed(user_data.0) };
                }
            });
            drop::<Sender<()>>(alive);
        };
        spawn_thread("openrtmp-log", Box::new(work))?;
        Ok(LogSink {
            server,
            sender,
            level,
            lost: 0,
            ended,
        })
    }
}

/// OPENRTMP_LOG_*, as the log has it.
fn filter(level: u32) -> Result<LevelFilter, Failure> {
    Ok(match level {
        OPENRTMP_LOG_ERROR => LevelFilter::Error,
        OPENRTMP_LOG_WARN => LevelFilter::Warn,
        OPENRTMP_LOG_INFO => LevelFilter::Info,
        OPENRTMP_LOG_DEBUG => LevelFilter::Debug,
        OPENRTMP_LOG_TRACE => LevelFilter::Trace,
        other => return Err(Failure::argument(format!("no log level {other}"))),
    })
}

fn deliver(receiver: &Receiver<(Arc<Owned>, u64)>, mut call: impl FnMut(&OpenrtmpLogRecord)) {
    while let Ok((record, lost)) = receiver.recv() {
        call(&OpenrtmpLogRecord {
            struct_size: size_of::<OpenrtmpLogRecord>() as u32,
            level: record.level as u32,
            target: OpenrtmpStr::new(&record.target),
            message: OpenrtmpStr::new(&record.message),
            fields: OpenrtmpStr::new(&record.fields),
            lost,
            server_id: record.server,
        });
    }
}

fn fields(record: &Record<'_>) -> String {
    struct Fields(Map<String, serde_json::Value>);
    impl<'kvs> VisitSource<'kvs> for Fields {
        fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
            self.0.insert(key.to_string(), value.to_string().into());
            Ok(())
        }
    }
    let mut fields = Fields(Map::new());
    // The visitor never fails; a source that does has told what it could.
    let _ = record.key_values().visit(&mut fields);
    match fields.0.is_empty() {
        true => String::new(),
        false => serde_json::Value::Object(fields.0).to_string(),
    }
}
