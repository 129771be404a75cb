//! Publishers while power is to be saved: what they send is left with the system until the
//! next beat, and read then in one go.
//!
//! Beats are the multiples of `queue.background_coalesce`, and of its halves, quarters and
//! eighths, for all connections alike; collected writes go out at beats too. So a worker wakes
//! once for all of them, where it woke for every frame that came in.

use std::io;
use std::time::Duration;

use openrtmp_protocol::Time;

use super::connection::Connection;
use super::connections::Connections;
use super::context::Context;
use crate::events::CloseReason;
use crate::platform::{Platform, Poller, Stream, Token};

/// What a publisher may send from beat to beat, bytes, before beats come nearer: less than
/// the smallest receive buffer that a system begins with (Linux announces 64 KiB), so that
/// nobody who sends evenly is held up; a burst may wait for a beat.
const LEFT_WITH_THE_SYSTEM: u64 = 48 * 1024;

/// Beats come no nearer than this: about as often as pictures.
const SHORTEST: Duration = Duration::from_millis(30);

/// How a connection dozes.
#[derive(Debug)]
pub(super) struct Doze {
    /// The poller does not watch its socket.
    unwatched: bool,
    /// When it is read next.
    until: Option<Time>,
    /// So many beats are in a window.
    beats: u32,
    /// What had come in all when it was read last.
    bytes: u64,
    /// When something was written to it last while there were beats.
    pub(super) wrote: Time,
}

impl Default for Doze {
    fn default() -> Doze {
        Doze {
            unwatched: false,
            until: None,
            beats: 1,
            bytes: 0,
            wrote: Time::ZERO,
        }
    }
}

/// The first multiple of `window` after `at`. The window is not zero.
pub(super) fn next_beat(at: Time, window: Duration) -> Time {
    let window = window.as_micros() as u64;
    Time::from_micros((at.as_micros() / window + 1) * window)
}

impl Doze {
    /// When it is read next, if it dozes.
    pub(super) fn until(&self) -> Option<Time> {
        self.until
    }

    /// Whether it is time to read it, told once.
    pub(super) fn is_over(&mut self, now: Time) -> bool {
        self.until.take_if(|until| *until <= now).is_some()
    }

    /// The time from beat to beat, for one who sent so much since the last.
    fn step(&mut self, window: Duration, sent: u64) -> Duration {
        if sent > LEFT_WITH_THE_SYSTEM {
            self.beats *= 2;
        } else if sent < LEFT_WITH_THE_SYSTEM / 2 {
            self.beats = (self.beats / 2).max(1);
        }
        while self.beats > 1 && window / self.beats < SHORTEST {
            self.beats /= 2;
        }
        window / self.beats
    }
}

impl<S: Stream> Connection<S> {
    /// Has the poller watch the socket again, which tells of what came meanwhile.
    pub(super) fn wake(
        &mut self,
        poller: &mut impl Poller<Stream = S>,
        token: Token,
    ) -> io::Result<()> {
        if self.cold.doze.unwatched {
            self.transport.register(poller, token)?;
            self.cold.doze.unwatched = false;
            self.cold.doze.until = None;
        }
        Ok(())
    }
}

impl<S: Stream> Connections<S> {
    /// After a connection was read: whether it is watched, or looked at with the next beat.
    /// One that sends nothing is watched, so that nothing wakes for it; one whose beats are
    /// near has them come apart first, since there may be no frame in a short one.
    pub(super) fn doze<P: Platform<Stream = S>>(&mut self, context: &mut Context<P>, slot: usize) {
        let Some(connection) = self.get_mut(slot) else {
            return;
        };
        // Read again in the next turn, or after its pause, and not before.
        if connection.cold.reading.unread || connection.cold.reading.paused_until.is_some() {
            connection.cold.doze.until = None;
            return;
        }
        let queue = &context.config.queue;
        let window = queue.background_coalesce.min(queue.longest_window());
        let sent = connection.cold.bytes_in - connection.cold.doze.bytes;
        let may = context.conditions.collects()
            && !context.is_stopping()
            && window >= SHORTEST
            && (sent > 0 || connection.cold.doze.beats > 1)
            && !connection.cold.publishing.is_empty()
            && !connection.is_ending()
            && !connection.io.watching;
        if may && !connection.cold.doze.unwatched {
            let unwatched = connection.transport.deregister(&mut context.poller);
            context.totals.system_calls += 1;
            connection.cold.doze = Doze {
                unwatched: unwatched.is_ok(),
                bytes: connection.cold.bytes_in,
                wrote: connection.cold.doze.wrote,
                ..Doze::default()
            };
            // Of what came before, nobody knows in what time.
            let until = next_beat(context.now, window);
            connection.cold.doze.until = unwatched.is_ok().then_some(until);
        } else if may {
            let step = connection.cold.doze.step(window, sent);
            connection.cold.doze.bytes = connection.cold.bytes_in;
            connection.cold.doze.until = Some(next_beat(context.now, step));
        } else if connection.cold.doze.unwatched {
            context.totals.system_calls += 1;
            if let Err(error) = connection.wake(&mut context.poller, Token(slot)) {
                self.doom(slot, CloseReason::Network(error.to_string()));
            }
        }
    }

    /// A connection is not to doze any more: it is read, and then watched.
    pub(super) fn rouse(&mut self, slot: usize) {
        if self.get(slot).is_some_and(|c| c.cold.doze.unwatched) {
            self.mark_unread(slot);
        }
    }

    /// Nobody is to doze any more.
    pub(super) fn rouse_all(&mut self) {
        for slot in self.all_slots() {
            self.rouse(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_millis(250);

    #[test]
    fn beats_are_the_same_for_all() {
        let at = |ms: u64| Time::from_micros(ms * 1000);
        for (now, beat) in [(0, 250), (1, 250), (249, 250), (250, 500)] {
            assert_eq!(next_beat(at(now), WINDOW), at(beat));
        }
    }

    #[test]
    fn who_sends_much_is_read_more_often_and_who_sends_less_again_is_not() {
        let mut doze = Doze::default();
        let mut steps = |sent: u64, times: usize| {
            let steps = (0..times).map(|_| doze.step(WINDOW, sent).as_micros());
            steps.collect::<Vec<_>>()
        };
        assert_eq!(steps(LEFT_WITH_THE_SYSTEM, 2), [250_000; 2]);
        let much = LEFT_WITH_THE_SYSTEM + 1;
        assert_eq!(steps(much, 5), [125_000, 62_500, 31_250, 31_250, 31_250]);
        assert_eq!(steps(LEFT_WITH_THE_SYSTEM / 2, 2), [31_250; 2]);
        assert_eq!(steps(1, 4), [62_500, 125_000, 250_000, 250_000]);
    }
}
