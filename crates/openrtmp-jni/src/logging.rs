//! Log records for Java's loggers, from a thread of their own.

use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};

use jni::objects::JClass;
use jni::sys::jint;
use jni::{Env, NativeMethod, native_method};
use log::{Level, LevelFilter, Log, Metadata, Record};
use openrtmp_core::spawn_thread;

use crate::failure::{Failure, Throw};
use crate::jvm;

/// Records that may wait; of more, those that came last are dropped.
const WAITING: usize = 1024;

pub(crate) const METHODS: &[NativeMethod] = &[native_method! {
    static fn log_level(level: jint), fn = log_level, error_policy = Throw
}];

/// Takes records to the thread that tells Java.
struct ToJava(SyncSender<(Level, String, String)>);

impl Log for ToJava {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        // The crate `jni` speaks of its own work, which is that of this thread, too.
        if self.enabled(record.metadata()) && record.target() != "jni" {
            let target = record.target().to_owned();
            let text = record.args().to_string();
            // Full: nobody is to wait for a logger.
            let _ = self.0.try_send((record.level(), target, text));
        }
    }

    fn flush(&self) {}
}

/// Levels up to this are told: 0 nothing, 1 errors, ..., 5 everything.
fn log_level<'l>(_: &mut Env<'l>, _: JClass<'l>, level: jint) -> Result<(), Failure> {
    static STARTED: OnceLock<bool> = OnceLock::new();
    let filter = match level {
        0 => LevelFilter::Off,
        1 => LevelFilter::Error,
        2 => LevelFilter::Warn,
        3 => LevelFilter::Info,
        4 => LevelFilter::Debug,
        5 => LevelFilter::Trace,
        other => return Err(Failure::argument(format!("no level {other}"))),
    };
    // Should there be another logger in the process, it is that one's to tell.
    STARTED.get_or_init(|| start().is_ok());
    log::set_max_level(filter);
    Ok(())
}

fn start() -> Result<(), Failure> {
    let (sender, receiver) = sync_channel::<(Level, String, String)>(WAITING);
    let tell = move || {
        for (level, target, message) in receiver {
            jvm::log(level, &target, &message);
        }
    };
    spawn_thread("openrtmp-log", Box::new(tell))?;
    log::set_boxed_logger(Box::new(ToJava(sender)))
        .map_err(|_| Failure::state("the process has a logger"))
}
