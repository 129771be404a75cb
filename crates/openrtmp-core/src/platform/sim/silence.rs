//! Peers whose machine or network vanished: nothing comes from them, what is sent to
//! them is lost, and only time tells.

use std::io::{self, ErrorKind};
use std::time::Duration;

use super::network::{SocketId, gone};
use super::world::{Event, World};

/// Silence after which keep-alive ends a connection: 15 s + 3 * 5 s.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How long a system sends unacknowledged bytes again by its own choice: that of
/// Linux, 15 times.
pub(super) const RETRANSMISSION: Duration = Duration::from_millis(924_600);

impl World {
    /// Its machine is gone, without a word. The peer's keep-alive finds out, or the
    /// bytes it sends and nobody acknowledges.
    pub(super) fn vanish(&mut self, id: SocketId) {
        self.note("vanish", [id.0, 0]);
        if let Some(end) = self.network.ends.remove(&id) {
            self.network.vanished.insert(id);
            let socket = end.peer;
            self.schedule(self.now + KEEP_ALIVE, Event::KeepAliveEnd { socket });
        }
    }

    pub(super) fn set_unacknowledged_limit(
        &mut self,
        id: SocketId,
        limit: Duration,
    ) -> io::Result<()> {
        let end = self.network.ends.get_mut(&id).ok_or_else(gone)?;
        end.out.unacknowledged_limit = limit;
        if let Some(since) = end.out.unacknowledged_since {
            self.schedule(self.now.max(since + limit), Event::GiveUp { socket: id });
        }
        Ok(())
    }

    /// What a socket sent is never acknowledged.
    pub(super) fn lose_bytes(&mut self, from: SocketId) {
        let now = self.now;
        if let Some(end) = self.network.ends.get_mut(&from)
            && end.out.unacknowledged_since.is_none()
        {
            end.out.unacknowledged_since = Some(now);
            let due = now + end.out.unacknowledged_limit;
            self.schedule(due, Event::GiveUp { socket: from });
        }
    }

    pub(super) fn give_up(&mut self, socket: SocketId) {
        let now = self.now;
        let overdue = self.network.ends.get(&socket).is_some_and(|end| {
            let out = &end.out;
            let since = out.unacknowledged_since;
            since.is_some_and(|since| since + out.unacknowledged_limit <= now)
        });
        if overdue {
            self.receive_reset(socket, ErrorKind::TimedOut);
        }
    }

    /// While bytes wait for their acknowledgement, only [`World::give_up`] counts.
    pub(super) fn end_keep_alive(&mut self, socket: SocketId) {
        let silent = self.network.ends.get(&socket);
        if silent.is_some_and(|end| end.out.unacknowledged_since.is_none()) {
            self.receive_reset(socket, ErrorKind::TimedOut);
        }
    }
}
