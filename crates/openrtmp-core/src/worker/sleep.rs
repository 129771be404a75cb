//! A suspension, as one worker carries it out, and the way back: the system is about to
//! freeze the program, and takes its sockets then.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use openrtmp_protocol::Time;

use super::Worker;
use super::timers::Timer;
use crate::events::CloseReason;
use crate::mobile::{Conditions, Resumed, Suspended};
use crate::platform::Platform;

/// Who waits for what.
#[derive(Default)]
pub(super) struct Sleep {
    since: Time,
    /// What was done so far of a suspension.
    done: Suspended,
    /// Those who wait until all connections are closed.
    falling: Vec<Sender<Suspended>>,
    /// When those that are left are closed by force.
    deadline: Option<Time>,
    /// Those who wait until the listeners are settled.
    waking: Vec<Sender<Resumed>>,
    /// Listeners that were there, and connections that were not, when they began to.
    found: Resumed,
}

impl<P: Platform> Worker<P> {
    /// Nobody is let in from now on; those who are there are told, and have until
    /// `deadline`. Streams stay, for publishers to come back to.
    pub(super) fn fall_asleep(&mut self, deadline: Time, answer: Sender<Suspended>) {
        // The drop of the answer says that there is nothing to suspend.
        if self.context.is_stopping() {
            return;
        }
        self.sleep.waking.clear();
        if !std::mem::replace(&mut self.context.asleep, true) {
            self.sleep.since = self.context.now;
            let listeners = self.listeners.fall_asleep(&mut self.context);
            self.sleep.done = Suspended {
                listeners,
                ..Suspended::default()
            };
            for id in self.dialing.ids() {
                if let Some(slot) = self.dialing.slot_of(id) {
                    let why = "the server is suspended";
                    self.dialing.fail(&mut self.context, slot, why);
                }
            }
            self.adopt();
            self.send_all_away();
        } else if self.sleep.falling.is_empty() {
            // It has been asleep: nothing was done for this one.
            self.sleep.done = Suspended::default();
        }
        self.sleep.falling.push(answer);
        let deadline = self.sleep.deadline.map_or(deadline, |d| d.min(deadline));
        self.sleep.deadline = Some(deadline);
        self.context.timers.set(deadline, Timer::Sleep);
    }

    /// Tells all who are here, those too who came from another worker just now.
    pub(super) fn send_all_away(&mut self) {
        for slot in self.connections.all_slots() {
            if self.connections.get(slot).is_some_and(|c| !c.is_ending()) {
                self.sleep.done.told += 1;
                self.guarded(slot, Self::send_away);
            }
        }
    }

    fn send_away(&mut self, slot: usize) {
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        connection
            .cold
            .session
            .notify_stop("the server is suspended");
        for playing in &connection.cold.playing {
            connection
                .cold
                .session
                .notify_unpublished(playing.message_stream);
        }
        self.end(slot, CloseReason::Suspended);
    }

    /// The time for what connections still had to send and to read is over.
    pub(super) fn on_sleep_due(&mut self) {
        let is_due = |at: Time| at <= self.context.now;
        if self.sleep.deadline.is_some_and(is_due) {
            self.close_all_asleep();
        }
    }

    fn close_all_asleep(&mut self) {
        self.sleep.deadline = None;
        let now = self.context.now;
        for slot in self.connections.all_slots() {
            // What was said last may not be written yet.
            self.contained(slot, |worker, slot| {
                worker.connections.flush(&mut worker.context, slot, now);
            });
            self.close(slot, CloseReason::Suspended);
        }
    }

    /// At the end of a turn: tells who waits what has come about.
    pub(super) fn settle_sleep(&mut self) {
        if !self.sleep.falling.is_empty() && self.is_empty() {
            self.sleep.deadline = None;
            self.sleep.done.closed = self.sleep.done.told;
            for answer in self.sleep.falling.drain(..) {
                let _ = answer.send(self.sleep.done);
            }
        }
        if !self.sleep.waking.is_empty() && !self.listeners.is_waking() {
            let (remade, failed) = self.listeners.counts();
            let resumed = Resumed {
                remade: remade - self.sleep.found.alive.min(remade),
                failed,
                ..self.sleep.found
            };
            for answer in self.sleep.waking.drain(..) {
                let _ = answer.send(resumed);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.connections.is_empty()
            && self.dialing.is_empty()
            && self.handoff.moving_to(self.context.index) == 0
    }

    /// Serves again; or, where the program was frozen without a word, looks after what the
    /// system may have taken.
    pub(super) fn wake_up(&mut self, answer: Sender<Resumed>) {
        if self.context.is_stopping() {
            return;
        }
        self.sleep.found = Resumed::default();
        if std::mem::take(&mut self.context.asleep) {
            self.close_all_asleep();
            self.settle_sleep();
            let slept = self.context.now.since(self.sleep.since);
            self.streams.put_off_graces(&mut self.context, slept);
            self.listeners.wake_up(&mut self.context);
            let shared = self.context.shared.clone();
            shared.wake_relays(self.context.index == 0);
        } else {
            for slot in self.connections.all_slots() {
                let connection = self.connections.get(slot);
                if connection.is_some_and(|c| !c.is_ending() && !c.transport.is_connected()) {
                    self.sleep.found.connections_lost += 1;
                    self.guarded(slot, |worker, slot| {
                        worker.connections.doom(slot, CloseReason::SocketLost);
                    });
                }
            }
            let lost = self.listeners.check(&mut self.context).len();
            let (bound, failed) = self.listeners.counts();
            self.sleep.found.alive = (bound + failed).saturating_sub(lost);
        }
        self.sleep.waking.push(answer);
    }

    /// The device, or its host's program, is in another state.
    pub(super) fn set_conditions(&mut self, conditions: &Arc<Conditions>) {
        let before = std::mem::replace(&mut self.context.conditions, conditions.clone());
        self.context.config = conditions.applied_to(&self.settings);
        if before.collects() && !conditions.collects() {
            self.connections.rouse_all();
        }
        if conditions.memory > before.memory {
            self.streams.shrink_caches(conditions.memory);
        }
        if conditions.grace > before.grace {
            self.streams.keep(&mut self.context, conditions.grace);
        }
    }
}
