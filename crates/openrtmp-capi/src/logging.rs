//! Log records, for the whole process.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};
use serde_json::Map;

use crate::boundary;
use crate::callback::{self, UserData};
use crate::convert::{OpenrtmpStr, Versioned, versioned};
use crate::error::Failure;
use crate::server::required;

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
/// its own, in place of the one before; NULL: to nobody. Waits until the one before is
/// done with what it has, and has had its on_closed. OPENRTMP_ERROR_RECURSIVE inside
/// a log callback; OPENRTMP_ERROR_STATE if the program, written in Rust, has a logger.
/// After a failure the one before stays, and on_closed of the new one is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_log_set(callbacks: *const OpenrtmpLogCallbacks) -> i32 {
    boundary::status(|| {
        callback::refuse_inside(LOGGER.identity(), "changing the log callback")?;
        // First: a callback that was handed over and then refused would still have
        // its on_closed, after the failure was told.
        LOGGER.install()?;
        let outlet = if callbacks.is_null() {
            None
        } else {
            // SAFETY: the contract of the header.
            Some(Outlet::spawn(unsafe { versioned(callbacks)? })?)
        };
        LOGGER.replace(outlet);
        Ok(())
    })
}

static LOGGER: Logger = Logger {
    outlet: Mutex::new(None),
    lost: AtomicU64::new(0),
};

struct Logger {
    outlet: Mutex<Option<Outlet>>,
    lost: AtomicU64,
}

struct Outlet {
    sender: SyncSender<Owned>,
    level: LevelFilter,
    thread: JoinHandle<()>,
}

struct Owned {
    level: Level,
    target: String,
    message: String,
    fields: String,
    lost: u64,
}

impl Logger {
    fn identity(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    fn install(&self) -> Result<(), Failure> {
        static INSTALLED: Mutex<bool> = Mutex::new(false);
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if !*installed {
            log::set_logger(&LOGGER)
                .map_err(|_| Failure::state("the program has a logger of its own"))?;
            *installed = true;
        }
        Ok(())
    }

    fn replace(&self, outlet: Option<Outlet>) {
        let level = outlet.as_ref().map_or(LevelFilter::Off, |o| o.level);
        let old = std::mem::replace(&mut *self.lock(), outlet);
        log::set_max_level(level);
        if let Some(Outlet { sender, thread, .. }) = old {
            drop(sender);
            // A panic of it was caught and told.
            let _ = thread.join();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Outlet>> {
        self.outlet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut owned = Owned {
            level: record.level(),
            target: record.target().to_owned(),
            message: record.args().to_string(),
            fields: fields(record),
            lost: 0,
        };
        let outlet = self.lock();
        let Some(outlet) = &*outlet else { return };
        owned.lost = self.lost.swap(0, Ordering::Relaxed);
        // Never waits: this thread may be moving media.
        if let Err(TrySendError::Full(owned) | TrySendError::Disconnected(owned)) =
            outlet.sender.try_send(owned)
        {
            self.lost.fetch_add(owned.lost + 1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

impl Outlet {
    fn spawn(callbacks: OpenrtmpLogCallbacks) -> Result<Outlet, Failure> {
        let level = match callbacks.max_level {
            OPENRTMP_LOG_ERROR => LevelFilter::Error,
            OPENRTMP_LOG_WARN => LevelFilter::Warn,
            OPENRTMP_LOG_INFO => LevelFilter::Info,
            OPENRTMP_LOG_DEBUG => LevelFilter::Debug,
            OPENRTMP_LOG_TRACE => LevelFilter::Trace,
            other => return Err(Failure::argument(format!("no log level {other}"))),
        };
        let on_record = required(callbacks.on_record)?;
        let (user_data, on_closed) = (UserData(callbacks.user_data), callbacks.on_closed);
        let (sender, receiver) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("openrtmp-log".into())
            .spawn(move || {
                let user_data = user_data;
                callback::inside(LOGGER.identity(), || {
                    deliver(&receiver, |record| {
                        // SAFETY: the host's function; the record outlives the call.
                        unsafe { on_record(user_data.0, record) };
                    });
                    if let Some(on_closed) = on_closed {
                        // SAFETY: the host's function, for the last time.
                        unsafe { on_closed(user_data.0) };
                    }
                });
            })?;
        Ok(Outlet {
            sender,
            level,
            thread,
        })
    }
}

fn deliver(receiver: &Receiver<Owned>, mut call: impl FnMut(&OpenrtmpLogRecord)) {
    while let Ok(record) = receiver.recv() {
        call(&OpenrtmpLogRecord {
            struct_size: size_of::<OpenrtmpLogRecord>() as u32,
            level: record.level as u32,
            target: OpenrtmpStr::new(&record.target),
            message: OpenrtmpStr::new(&record.message),
            fields: OpenrtmpStr::new(&record.fields),
            lost: record.lost,
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
