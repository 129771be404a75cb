//! A delivery is stopped while a function of its host does not return.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use openrtmp_tests::Delivered;

/// Nothing here takes longer.
const DEADLINE: Duration = Duration::from_secs(30);

/// A host's logger that keeps whoever tells it of a reserved name.
struct Logger {
    heard: Mutex<Sender<String>>,
    release: Mutex<Receiver<()>>,
}

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = record.args().to_string();
        let keeps = line.contains("reserved");
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        drop(heard.send(line));
        drop(heard);
        if keeps {
            let release = self.release.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = release.recv();
        }
    }

    fn flush(&self) {}
}

/// Waits for a line with these words.
fn wait_for(lines: &Receiver<String>, words: &str) {
    while !lines.recv_timeout(DEADLINE).expect(words).contains(words) {}
}

#[test]
fn a_thread_that_the_host_keeps_is_left_to_itself() {
    let (heard, lines) = channel();
    let (let_go, release) = channel();
    let logger = Logger {
        heard: Mutex::new(heard),
        release: Mutex::new(release),
    };
    log::set_boxed_logger(Box::new(logger)).expect("the only one");
    log::set_max_level(log::LevelFilter::Warn);
    let delivered = Delivered::start(|_| ());
    let core = delivered.server().core();
    // Told from the thread that takes streams.
    let _publisher = core.publish("play/cam").expect("a name that is free");
    wait_for(&lines, "its app's name is reserved");
    let (end, ended) = channel();
    let stopping = thread::spawn(move || {
        delivered.delivery().stop(Duration::ZERO);
        drop(end.send(delivered));
    });
    wait_for(&lines, "did not end in time and is left to itself");
    let delivered = ended.recv_timeout(DEADLINE).expect("it stops all the same");
    stopping.join().expect("it stopped");
    let_go.send(()).expect("it is kept still");
    drop(delivered);
}
