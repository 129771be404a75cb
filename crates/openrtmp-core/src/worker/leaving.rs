//! Peers that are asked to leave while the server goes on: it is drained.

use super::Worker;
use super::connection::Connection;
use super::context::Context;
use crate::drain::target::Target;
use crate::events::CloseReason;
use crate::id::StreamId;
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
        if !connection.is_guest() || !connection.cold.session.is_connected() {
            return;
        }
        let to = to.and_then(|to| to.tc_url(connection.cold.app.reveal()));
        let is_asked = connection.cold.session.ask_to_leave(to.as_deref());
        match is_done(connection, &self.context) {
            true => self.see_off(slot, is_asked),
            false => self.settle(slot),
        }
    }

    /// Something that a peer did is over: while the server is drained nothing more comes
    /// of a connection that does nothing else.
    pub(super) fn leave_if_done(&mut self, slot: usize) {
        if !self.context.shared.drain.is_on() || self.context.is_stopping() {
            return;
        }
        if let Some(connection) = self.connections.get(slot)
            && connection.is_guest()
            && is_done(connection, &self.context)
        {
            self.see_off(slot, false);
        }
    }

    /// The same for those who played a stream that is over. Whoever ended it is another
    /// connection, or none: each has a guard of its own.
    pub(super) fn players_leave_if_done(&mut self, stream: StreamId) {
        if self.context.shared.drain.is_on() {
            for slot in self.players.slots_of(stream) {
                self.contained(slot, Self::leave_if_done);
            }
        }
    }

    fn see_off(&mut self, slot: usize, is_asked: bool) {
        #[cfg(test)]
        crate::sim_tests::panic_as_noted(crate::sim_tests::SEE_OFF);
        if let (false, Some(connection)) = (is_asked, self.connections.get_mut(slot)) {
            connection.cold.session.notify_drained();
        }
        self.end(slot, CloseReason::ServerStopped);
    }
}

/// True for one that publishes nothing and plays nothing that is there: nobody who is not
/// there already will publish it.
fn is_done<P: Platform>(connection: &Connection<P::Stream>, context: &Context<P>) -> bool {
    connection.cold.publishing.is_empty() && connection.cold.pending.is_empty() && {
        let directory = context.shared.directory.lock();
        let mut playing = connection.cold.playing.iter();
        playing.all(|playing| directory.home_of(playing.stream).is_none())
    }
}
