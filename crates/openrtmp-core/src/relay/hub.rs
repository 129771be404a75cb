//! The relays of a server, as all its threads know them.

use openrtmp_protocol::Time;

use super::machine::Relays;
use super::settings::Settings;
use super::told::Ending;
use crate::events::{CloseReason, Event};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, MutexGuard, unpoisoned};

/// The relays of a server. Whoever locks them may lock the directory then, not the other
/// way round.
pub(crate) struct RelayHub {
    /// Names this server among those that a stream comes through.
    pub(crate) id: u64,
    machine: Mutex<Relays>,
    /// False as long as nothing that happens concerns them: who tells of it need not lock
    /// them.
    active: AtomicBool,
}

impl RelayHub {
    /// `id` and `seed`: random.
    pub(crate) fn new(id: u64, seed: u64, settings: Settings) -> RelayHub {
        RelayHub {
            id,
            machine: Mutex::new(Relays::new(id, seed, settings)),
            active: AtomicBool::new(false),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Relays> {
        unpoisoned(self.machine.lock())
    }

    /// Changes something about them, or tells them what happened. True if worker 0 has to carry something out.
    ///
    /// A change that looks something up in the directory misses nothing: what is entered
    /// there after that is told of by somebody who has locked the directory since, and so
    /// sees that they are active, and waits.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Relays)) -> bool {
        let mut relays = self.lock();
        self.active.store(true, Ordering::Relaxed);
        change(&mut relays);
        self.active.store(!relays.is_idle(), Ordering::Relaxed);
        relays.wants_turn()
    }

    /// Whether anything that happens concerns them.
    pub(crate) fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed)
    }

    /// As [`RelayHub::tell`], of what the host hears of too.
    pub(crate) fn hears(&self, event: &Event, now: impl FnOnce() -> Time) -> bool {
        if !self.is_active() {
            return false;
        }
        let concerns = matches!(
            event,
            Event::StreamPublished { .. }
                | Event::StreamTracks { .. }
                | Event::StreamUnpublished { .. }
                | Event::StreamEnded { .. }
                | Event::SubscriberJoined { .. }
                | Event::SubscriberLeft { .. }
                | Event::ConnectionClosed { .. }
                | Event::OutgoingFailed { .. }
        );
        concerns && self.update(|relays| hear(relays, event, now()))
    }
}

fn hear(relays: &mut Relays, event: &Event, now: Time) {
    match event {
        Event::StreamPublished {
            name, connection, ..
        } => relays.published(now, name, *connection),
        Event::StreamTracks { name, .. } => relays.carries(now, name),
        Event::StreamUnpublished { name, .. } => relays.unpublished(now, name),
        Event::StreamEnded { name, .. } => relays.ended(name),
        Event::SubscriberJoined { connection, name } => relays.played(now, name, *connection),
        Event::SubscriberLeft {
            name, connection, ..
        } => relays.left(now, name, *connection),
        Event::ConnectionClosed {
            connection, reason, ..
        } => {
            let ending = Ending {
                reason: reason.to_string(),
                is_done: *reason == CloseReason::StreamEnded,
            };
            relays.closed(now, *connection, ending);
        }
        Event::OutgoingFailed {
            connection, error, ..
        } => {
            let ending = Ending {
                reason: error.clone(),
                is_done: false,
            };
            relays.closed(now, *connection, ending);
        }
        _ => {}
    }
}
