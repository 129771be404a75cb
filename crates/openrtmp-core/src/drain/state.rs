//! Whether a server goes out of service, and who is there still.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Instant;

use super::target::Target;
use crate::sync::{lock, unpoisoned};

/// How a server stands with those who came to it. Sequentially consistent: either the last
/// to leave sees that somebody waits for that, or who waits sees that nobody is left.
#[derive(Default)]
pub(crate) struct Drain {
    /// Nobody new is taken.
    is_on: AtomicBool,
    /// Where everybody is sent; said before it is on for anybody who asks for it.
    to: Mutex<Option<Target>>,
    /// Connections that peers made.
    guests: AtomicUsize,
    /// Of who waits for them to leave: do not wait any longer.
    cut: Mutex<bool>,
    changed: Condvar,
}

impl Drain {
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::SeqCst)
    }

    /// Begins. False if it has begun before.
    pub(super) fn begin(&self, to: Option<Target>) -> bool {
        let mut told = lock(&self.to);
        if self.is_on.swap(true, Ordering::SeqCst) {
            return false;
        }
        *told = to;
        true
    }

    /// The `tcUrl` for somebody who comes and wants into this app.
    pub(crate) fn tc_url(&self, app: &str) -> Option<String> {
        let to = lock(&self.to).clone();
        to.and_then(|to| to.tc_url(app))
    }

    /// A peer has connected.
    pub(crate) fn came(&self) {
        self.guests.fetch_add(1, Ordering::SeqCst);
    }

    /// So many connections of peers are over.
    pub(crate) fn left(&self, count: usize) {
        let before = self.guests.fetch_sub(count, Ordering::SeqCst);
        if before == count && self.is_on() {
            // With the lock held: who waits has looked, or will.
            let _cut = lock(&self.cut);
            self.changed.notify_all();
        }
    }

    /// Nobody waits any longer.
    pub(crate) fn cut(&self) {
        *lock(&self.cut) = true;
        self.changed.notify_all();
    }

    /// Waits until there is nobody any more, or it is cut, or that moment has come.
    pub(super) fn wait(&self, until: Instant) {
        let mut cut = lock(&self.cut);
        while !*cut && self.guests.load(Ordering::SeqCst) > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            cut = unpoisoned(self.changed.wait_timeout(cut, left)).0;
        }
    }

    /// Connections of peers that there are.
    pub(crate) fn guests(&self) -> usize {
        self.guests.load(Ordering::SeqCst)
    }
}
