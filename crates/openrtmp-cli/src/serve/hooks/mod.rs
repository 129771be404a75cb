//! Programs that are run when something happens (`hooks`): one thread starts and ends
//! them, so that nobody else waits for any.

mod environment;
mod output;
mod places;
mod process;
mod running;
mod supervisor;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use openrtmp_core::Server;

use self::supervisor::{Supervisor, Word};
use super::lives::Notice;

/// How long after the last program should have ended its thread is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// What happened and waits for the thread. With more it looks what there is.
const QUEUE: usize = 4096;

/// Who runs programs.
pub(super) struct Hooks {
    words: SyncSender<Word>,
    /// Something happened that it was not told.
    missed: Arc<AtomicBool>,
    over: Mutex<Receiver<()>>,
}

impl Hooks {
    pub(super) fn start() -> io::Result<Hooks> {
        let (words, heard) = sync_channel(QUEUE);
        let missed = Arc::new(AtomicBool::new(false));
        let (alive, over) = channel();
        let supervisor = Supervisor::new(heard, words.clone(), missed.clone());
        let thread = thread::Builder::new().name("hooks".to_owned());
        thread.spawn(move || {
            supervisor.run();
            drop(alive);
        })?;
        Ok(Hooks {
            words,
            missed,
            over: Mutex::new(over),
        })
    }

    /// From now on the settings of this server hold: before, none is run.
    pub(super) fn follow(&self, server: &Arc<Server>) {
        self.say(Word::Server(Arc::downgrade(server)));
        // What has happened since it began was told to nobody.
        self.missed();
    }

    /// Something happened.
    pub(super) fn tell(&self, notice: Notice) {
        // Events do not wait for programs.
        if let Err(TrySendError::Full(_)) = self.words.try_send(Word::Happened(notice)) {
            self.missed();
        }
    }

    /// Some of what happened was not told.
    pub(super) fn missed(&self) {
        self.missed.store(true, Ordering::Release);
        // With a full queue it looks by itself; once it is over nobody listens.
        let _ = self.words.try_send(Word::Look);
    }

    /// The server has stopped: what runs is asked to end, and killed after
    /// `hooks.stop_timeout`.
    pub(super) fn finish(&self, stop_timeout: Duration) {
        let until = Instant::now() + stop_timeout + PATIENCE;
        self.say(Word::End);
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let left = until.saturating_duration_since(Instant::now());
        // Never a message: its end is the sender's.
        if let Err(RecvTimeoutError::Timeout) = over.recv_timeout(left) {
            log::warn!("programs of hooks that do not end are left to themselves");
        }
    }

    fn say(&self, word: Word) {
        // Once it is over nobody listens.
        let _ = self.words.send(word);
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        // The thread has a sender of its own, for those that wait for processes.
        self.say(Word::End);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_thread_ends_with_it() {
        let hooks = Hooks::start().expect("a thread");
        let (_, none) = channel();
        let over = std::mem::replace(&mut *hooks.over.lock().expect("it is whole"), none);
        drop(hooks);
        // Never a message: its end is the sender's.
        assert!(over.recv().is_err());
    }
}
