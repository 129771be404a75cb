//! Bytes that are kept for viewers, of all streams together.
//!
//! Streams keep what can be fetched and what comes to be. What has been given to viewers lives
//! on until the last of them has taken it, listed or not: each buffer is counted once, for as
//! long as it is there, whoever holds it. The difference is what only answers hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use openrtmp_core::Config;
use tokio::sync::Notify;

/// What is kept, of all streams together.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// Buffers that there are.
    alive: AtomicU64,
    /// Those of them that can be fetched.
    listed: AtomicU64,
    /// What comes to be.
    frames: AtomicU64,
    /// Those that can be fetched and are older than the window (`http.window`), and how many
    /// streams have such.
    past: AtomicU64,
    having_past: AtomicU64,
    /// There is more than there should be of what answers hold.
    pressed: Notify,
}

/// How `http.memory` is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    /// What streams may keep: three quarters.
    pub(crate) streams: u64,
    /// What is listed no longer and answers hold: a quarter.
    pub(crate) answers: u64,
}

impl Shares {
    pub(crate) fn of(config: &Config) -> Shares {
        let all = match config.http.memory {
            0 => config.limits.memory as u64 / 2,
            bytes => bytes,
        };
        Shares {
            streams: all - all / 4,
            answers: all / 4,
        }
    }
}

impl Budget {
    /// Bytes that streams keep.
    pub(crate) fn held(&self) -> u64 {
        self.listed.load(Ordering::Relaxed) + self.frames.load(Ordering::Relaxed)
    }

    /// The same without what is older than the window, which leaves where there is no room.
    pub(crate) fn live(&self) -> u64 {
        let past = self.past.load(Ordering::Relaxed);
        self.held().saturating_sub(past)
    }

    /// How many bytes that are older than the window a stream may keep, if it is to keep less
    /// than it might: all together half of what streams may, and no more than is left by what
    /// is not. Of what is too much those let go who have more than an equal share.
    pub(crate) fn past_share(&self, shares: Shares) -> Option<u64> {
        let most = (shares.streams / 2).min(shares.streams.saturating_sub(self.live()));
        let is_over = self.past.load(Ordering::Relaxed) > most;
        is_over.then(|| most / self.having_past.load(Ordering::Relaxed).max(1))
    }

    /// Bytes that are there only for answers that have not been taken. A text that was
    /// compressed for somebody is among them.
    pub(crate) fn outlived(&self) -> u64 {
        let alive = self.alive.load(Ordering::Relaxed);
        alive.saturating_sub(self.listed.load(Ordering::Relaxed))
    }

    /// The same bytes, counted until the last who holds any of them lets go. `size`: what
    /// they take.
    pub(crate) fn counted(self: &Arc<Budget>, bytes: Bytes, size: usize) -> Bytes {
        self.alive.fetch_add(size as u64, Ordering::Relaxed);
        Bytes::from_owner(Counted {
            bytes,
            size: size as u64,
            budget: self.clone(),
        })
    }

    /// Looks whether answers hold so much that some are to end: more than half of their share.
    pub(crate) fn look(&self, shares: Shares) {
        if self.outlived() > shares.answers / 2 {
            self.pressed.notify_one();
        }
    }

    /// Waits until somebody saw that they do.
    pub(crate) async fn pressed(&self) {
        self.pressed.notified().await;
    }
}

/// Bytes that are counted.
struct Counted {
    bytes: Bytes,
    size: u64,
    budget: Arc<Budget>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.budget.alive.fetch_sub(self.size, Ordering::Relaxed);
    }
}

/// A stream's part of what is kept, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    listed: u64,
    frames: u64,
    past: u64,
}

impl Charge {
    pub(crate) fn new(budget: &Arc<Budget>) -> Charge {
        Charge {
            budget: budget.clone(),
            listed: 0,
            frames: 0,
            past: 0,
        }
    }

    /// So much can be fetched now, in buffers that are counted, and so much comes to be.
    pub(crate) fn set(&mut self, listed: u64, frames: u64) {
        change(&self.budget.listed, &mut self.listed, listed);
        change(&self.budget.frames, &mut self.frames, frames);
    }

    /// So much of what can be fetched is older than the window.
    pub(crate) fn set_past(&mut self, past: u64) {
        let (had_any, has_any) = (u64::from(self.past > 0), u64::from(past > 0));
        change(&self.budget.past, &mut self.past, past);
        change(&self.budget.having_past, &mut { had_any }, has_any);
    }
}

fn change(all: &AtomicU64, of_one: &mut u64, to: u64) {
    match to >= *of_one {
        true => all.fetch_add(to - *of_one, Ordering::Relaxed),
        false => all.fetch_sub(*of_one - to, Ordering::Relaxed),
    };
    *of_one = to;
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0, 0);
        self.set_past(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_counted_until_it_is_given_back() {
        let budget = Arc::new(Budget::default());
        let (mut one, mut other) = (Charge::new(&budget), Charge::new(&budget));
        one.set(8, 2);
        other.set(5, 0);
        one.set(6, 1);
        assert_eq!(budget.held(), 12);
        drop(one);
        assert_eq!(budget.held(), 5);
        drop(other);
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn what_is_old_leaves_where_there_is_no_room_and_of_who_has_most_first() {
        let shares = Shares {
            streams: 1000,
            answers: 0,
        };
        let budget = Arc::new(Budget::default());
        let (mut one, mut other) = (Charge::new(&budget), Charge::new(&budget));
        one.set(500, 0);
        one.set_past(450);
        assert_eq!((budget.held(), budget.live()), (500, 50));
        assert_eq!(budget.past_share(shares), None);
        other.set(100, 0);
        other.set_past(60);
        assert_eq!(budget.past_share(shares), Some(250), "half of it, for two");
        other.set_past(0);
        assert_eq!(budget.past_share(shares), None);
        // What is live has room first.
        other.set(900, 0);
        assert_eq!(budget.live(), 950);
        assert_eq!(budget.past_share(shares), Some(50));
        drop(one);
        assert_eq!(budget.past_share(shares), None);
    }

    #[test]
    fn what_answers_hold_is_counted_once_until_the_last_is_taken() {
        let budget = Arc::new(Budget::default());
        let mut charge = Charge::new(&budget);
        charge.set(1000, 7);
        let part = budget.counted(Bytes::from(vec![1; 1000]), 1000);
        assert_eq!(budget.outlived(), 0, "it is listed");
        let (one, other) = (part.clone(), part.slice(10..20));
        charge.set(0, 7);
        drop(part);
        assert_eq!(budget.outlived(), 1000);
        drop(one);
        assert_eq!(budget.outlived(), 1000, "a slice holds the whole");
        drop(other);
        assert_eq!((budget.outlived(), budget.held()), (0, 7));
    }
}
