//! Panics, told where entries of the log go: they are bugs of ours, and what is known of
//! one must not get lost with the process.

use std::backtrace::Backtrace;
use std::panic::{self, PanicHookInfo};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use log::Level;
use openrtmp_core::Server;

use super::{Entry, OURS, finish, read};

/// How long what was open may take to be told. It is asked of a server that has a bug, and
/// whoever is asked may hold what it needs.
const PATIENCE: Duration = Duration::from_secs(1);

/// A panic has a backtrace if so long went by since the last that had one: some bugs come
/// with every message of a peer.
const PAUSE: Duration = Duration::from_secs(1);

/// Streams that are named.
const NAMED: usize = 100;

/// From now on panics are entries of the log. Returns where to put the server once there is
/// one.
pub(crate) fn tell_panics() -> &'static OnceLock<Weak<Server>> {
    static SERVER: OnceLock<Weak<Server>> = OnceLock::new();
    panic::set_hook(Box::new(|panic| {
        let is_last = thread::current().name() == Some("main");
        tell(panic, SERVER.get(), is_last);
    }));
    &SERVER
}

/// `is_last`: the process ends with it.
fn tell(panic: &PanicHookInfo<'_>, server: Option<&Weak<Server>>, is_last: bool) {
    static TOLD: Mutex<Option<Instant>> = Mutex::new(None);
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let is_much = told.is_some_and(|at| at.elapsed() < PAUSE);
    if is_much && !is_last {
        // The server counts it, and says how many there were.
        return;
    }
    *told = Some(Instant::now());
    drop(told);
    let what = (panic.payload().downcast_ref::<&str>().copied())
        .or_else(|| panic.payload().downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
        .to_owned();
    let current = thread::current();
    let name = current.name().unwrap_or("without a name").to_owned();
    let place = panic.location().map(ToString::to_string);
    let place = place.unwrap_or_else(|| "an unknown place".to_owned());
    let backtrace = Backtrace::force_capture().to_string();
    let entry = Arc::new(move |what: &str| {
        let message = format!("a panic in thread {name} at {place}, a bug: {what}");
        Entry::new(Level::Error, OURS, message)
            .with("version", env!("CARGO_PKG_VERSION"))
            .with("thread", &*name)
            .with_backtrace(backtrace.clone())
    });
    let Some(server) = server.and_then(Weak::upgrade) else {
        read().write(&entry(&what));
        return finish_if(is_last);
    };
    // This thread may hold what the server needs to answer.
    let (done, wait) = channel::<()>();
    let told = entry.clone();
    let run = move || {
        read().write(&told(&server.masked(&what)));
        read().write(&Entry::new(Level::Error, OURS, open(&server)));
        drop(done);
    };
    let thread = thread::Builder::new().name("openrtmp-panic".to_owned());
    let is_told = thread.spawn(run).is_ok();
    // That the channel is closed is the answer.
    let in_time = || wait.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Disconnected);
    if !is_told || is_last && !in_time() {
        read().write(&entry("its text may hold a key and is not shown"));
    }
    finish_if(is_last);
}

fn finish_if(is_last: bool) {
    if is_last {
        finish();
    }
}

/// What is open, in words.
fn open(server: &Server) -> String {
    let publishers = server.publishers();
    let metrics = server.metrics();
    let names = publishers.iter().take(NAMED).map(|p| p.name.to_string());
    let mut names = names.collect::<Vec<_>>().join(", ");
    if publishers.len() > NAMED {
        names += ", ...";
    }
    format!(
        "open at the panic: {} connections, {} players, {} publishers: {names}",
        metrics.connections,
        metrics.subscribers,
        publishers.len(),
    )
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::Arc;
    use std::{env, fs, thread};

    use log::LevelFilter;
    use openrtmp_core::{Config, LogFormat, Server};
    use serde_json::Value;

    use super::super::{begin, follow};
    use super::tell_panics;

    /// Names the file of the log, in the process that ends.
    const LOG: &str = "LOG_OF_A_PANIC";

    #[test]
    fn the_last_words_are_in_the_file_with_what_was_open_and_no_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("a.log");
        let mut child = Command::new(env::current_exe().expect("this program"));
        child.args(["--exact", "logs::panics::tests::what_panics", "--ignored"]);
        let output = child.env(LOG, &log).output().expect("it starts");
        let text = fs::read_to_string(&log).unwrap_or_default();
        let last: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("an object"))
            .filter(|entry: &Value| entry["target"] == "openrtmp")
            .collect();
        let [panic, open] = &last[..] else {
            panic!("{text} {output:?}")
        };
        let message = panic["message"].as_str().expect("a text");
        let told = "a panic in thread main at ";
        assert!(message.starts_with(told), "{message}");
        assert!(
            message.ends_with("a bug: no \"***\" in live/***?key=***"),
            "{message}"
        );
        assert_eq!(panic["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(panic["level"], "error");
        let frames = panic["backtrace"].as_array().expect("a list");
        let is_here = |frame: &Value| frame.as_str().is_some_and(|f| f.contains("what_panics"));
        assert!(frames.iter().any(is_here), "{frames:?}");
        let message = open["message"].as_str().expect("a text");
        assert!(message.contains("1 publishers: live/cam"), "{message}");
        assert!(!text.contains("s3cret"), "{text}");
    }

    #[test]
    #[ignore = "the process that another test looks at"]
    fn what_panics() {
        let Some(log) = env::var_os(LOG) else {
            return;
        };
        begin(LevelFilter::Info);
        let mut config = Config::desktop();
        config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
        config.access.publish_keys = vec!["s3cret".to_owned()];
        (config.log.format, config.log.output) = (LogFormat::Json, vec!["file".to_owned()]);
        config.log.file.path = Some(log.into());
        follow(&config).expect("a file");
        let put = tell_panics();
        let server = Arc::new(Server::start(config).expect("it starts"));
        put.set(Arc::downgrade(&server)).expect("the first");
        let _publisher = server.publish("live/cam").expect("its own");
        let key = "s3cret";
        let main = thread::Builder::new().name("main".to_owned());
        let panics = main.spawn(move || panic!("no {key:?} in live/{key}?key={key}"));
        let _ = panics.expect("a thread").join();
    }
}
