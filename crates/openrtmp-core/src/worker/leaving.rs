//! Peers that are asked to leave while the server goes on: it is drained.

use super::Worker;
use crate::drain::Target;
use crate::events::CloseReason;
use crate::platform::Platform;

impl<P: Platform> Worker<P> {
    /// Nobody new is taken. Peers are asked to go elsewhere if they can be.
    pub(super) fn ask_all_to_leave(&mut self, to: Option<&Target>) {
        for slot in self.connections.all_slots() {
            self.guarded(slot, |worker, slot| worker.ask_to_leave(slot, to));
        }
    }

    /// Who has not said `connect` yet is refused when it does.
    fn ask_to_leave(&mut self, slot: usize, to: Option<&Target>) {
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        if !connection.is_guest() || !connection.session.is_connected() {
            return;
        }
        let to = to.and_then(|to| to.tc_url(connection.app.reveal()));
        let does_nothing = connection.publishing.is_empty()
            && connection.playing.is_empty()
            && connection.pending.is_empty();
        connection.session.ask_to_leave(to.as_deref(), does_nothing);
        match does_nothing {
            true => self.end(slot, CloseReason::ServerStopped),
            false => self.connections.settle(&mut self.context, slot),
        }
    }
}
