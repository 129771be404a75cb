//! Who waits for which socket, and what they are yet to be told.
//!
//! The edges are as rare as the contract of [`Poller`](crate::platform::Poller)
//! allows, as on Windows: a socket once reported is not reported again until a
//! call on it returned `WouldBlock`, whatever arrives in between. epoll and kqueue
//! report more often; a server right here is right there.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::Duration;

use openrtmp_protocol::Time;

use super::network::SocketId;
use super::world::{Event, World};
use crate::platform::{Readiness, Token};

#[derive(Debug, Default)]
pub(super) struct Pollers {
    pollers: Vec<Waiting>,
    watches: BTreeMap<SocketId, Watch>,
}

#[derive(Debug)]
struct Waiting {
    alive: bool,
    /// It polls again without being told to: what it found may move its deadline.
    restless: bool,
    woken: bool,
    wake_under_way: bool,
    returned_early: bool,
    /// When its last poll asked to return.
    deadline: Option<Time>,
    /// Sockets to report, in the order they became ready.
    ready: VecDeque<SocketId>,
}

impl Waiting {
    fn due(&self, now: Time) -> bool {
        let told = self.restless || self.woken || !self.ready.is_empty();
        self.alive && (told || self.deadline.is_some_and(|deadline| deadline <= now))
    }
}

#[derive(Debug)]
struct Watch {
    poller: usize,
    token: Token,
    /// Readiness to read is reported when there is some.
    read_armed: bool,
    write_armed: bool,
    write_wanted: bool,
    /// It is in its poller's queue, or on its way there.
    queued: bool,
}

impl Pollers {
    pub(super) fn add(&mut self) -> usize {
        self.pollers.push(Waiting {
            alive: true,
            restless: true,
            woken: false,
            wake_under_way: false,
            returned_early: false,
            deadline: None,
            ready: VecDeque::new(),
        });
        self.pollers.len() - 1
    }

    pub(super) fn wake(&mut self, poller: usize) {
        let waiting = &mut self.pollers[poller];
        waiting.wake_under_way = false;
        waiting.woken = true;
    }

    pub(super) fn alive(&self) -> impl Iterator<Item = usize> {
        let pollers = self.pollers.iter().enumerate();
        pollers.filter(|(_, waiting)| waiting.alive).map(|(i, _)| i)
    }

    pub(super) fn due(&self, poller: usize, now: Time) -> bool {
        self.pollers
            .get(poller)
            .is_some_and(|waiting| waiting.due(now))
    }

    pub(super) fn next_deadline(&self, now: Time) -> Option<Time> {
        let pollers = 0..self.pollers.len();
        pollers
            .filter_map(|poller| self.deadline_of(poller, now))
            .min()
    }

    pub(super) fn deadline_of(&self, poller: usize, now: Time) -> Option<Time> {
        let waiting = self.pollers.get(poller).filter(|w| w.alive)?;
        match waiting.due(now) {
            true => Some(now),
            false => waiting.deadline,
        }
    }
}

impl World {
    pub(super) fn poll(
        &mut self,
        poller: usize,
        timeout: Option<Duration>,
        report: &mut Vec<Readiness>,
    ) {
        let early_returns = self.config.faults.early_returns;
        let waiting = &mut self.pollers.pollers[poller];
        // Never twice running, so that everything gets on however likely it is.
        if !waiting.returned_early && self.random.chance(early_returns) {
            waiting.returned_early = true;
            waiting.restless = true;
            self.note("early", [poller as u64, 0]);
            return;
        }
        waiting.returned_early = false;
        let woken = std::mem::take(&mut waiting.woken);
        let queue = std::mem::take(&mut waiting.ready);
        let before = report.len();
        report.extend(queue.into_iter().filter_map(|id| self.take_readiness(id)));
        if self.random.chance(self.config.faults.spurious_readiness) {
            report.extend(self.imagine_readiness(poller, &report[before..]));
        }
        let told = report.len() - before;
        let now = self.now;
        let waiting = &mut self.pollers.pollers[poller];
        waiting.restless = woken || told > 0;
        waiting.deadline = timeout.map(|timeout| now + round_up(timeout));
        self.note("poll", [poller as u64, told as u64]);
    }

    pub(super) fn wake(&mut self, poller: usize) {
        let waiting = &self.pollers.pollers[poller];
        if !waiting.alive || waiting.woken || waiting.wake_under_way {
            return;
        }
        match self.strikes(|faults| faults.late_wakes) {
            Some(delay) => {
                self.pollers.pollers[poller].wake_under_way = true;
                self.schedule(self.now + delay, Event::Wake { poller });
            }
            None => self.pollers.wake(poller),
        }
    }

    pub(super) fn close_poller(&mut self, poller: usize) {
        let pollers = &mut self.pollers;
        pollers.watches.retain(|_, watch| watch.poller != poller);
        pollers.pollers[poller].alive = false;
        pollers.pollers[poller].ready.clear();
    }

    pub(super) fn watch(&mut self, poller: usize, id: SocketId, token: Token) -> io::Result<()> {
        if self.pollers.watches.contains_key(&id) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let watch = Watch {
            poller,
            token,
            read_armed: true,
            write_armed: true,
            write_wanted: false,
            queued: false,
        };
        self.pollers.watches.insert(id, watch);
        self.refresh(id);
        Ok(())
    }

    pub(super) fn watch_writable(
        &mut self,
        poller: usize,
        id: SocketId,
        token: Token,
        on: bool,
    ) -> io::Result<()> {
        let watch = self.watched_by(poller, id)?;
        watch.token = token;
        watch.write_wanted = on;
        watch.write_armed = true;
        self.refresh(id);
        Ok(())
    }

    pub(super) fn unwatch_by(&mut self, poller: usize, id: SocketId) -> io::Result<()> {
        self.watched_by(poller, id)?;
        self.unwatch(id);
        Ok(())
    }

    pub(super) fn unwatch(&mut self, id: SocketId) {
        if let Some(watch) = self.pollers.watches.remove(&id) {
            let waiting = &mut self.pollers.pollers[watch.poller];
            waiting.ready.retain(|&ready| ready != id);
        }
    }

    pub(super) fn rearm_read(&mut self, id: SocketId) {
        if let Some(watch) = self.pollers.watches.get_mut(&id) {
            watch.read_armed = true;
        }
    }

    pub(super) fn rearm_write(&mut self, id: SocketId) {
        if let Some(watch) = self.pollers.watches.get_mut(&id) {
            watch.write_armed = true;
        }
    }

    /// Queues a socket for its poller if there is something to report.
    pub(super) fn refresh(&mut self, id: SocketId) {
        if self.reportable(id).is_none() {
            return;
        }
        match self.pollers.watches.get_mut(&id) {
            Some(watch) if !watch.queued => watch.queued = true,
            _ => return,
        }
        match self.strikes(|faults| faults.delayed_readiness) {
            Some(delay) => self.schedule(self.now + delay, Event::Ready { socket: id }),
            None => self.enqueue(id),
        }
    }

    pub(super) fn enqueue(&mut self, id: SocketId) {
        // A late report may find the socket gone, or watched anew and queued.
        if let Some(watch) = self.pollers.watches.get_mut(&id) {
            let ready = &mut self.pollers.pollers[watch.poller].ready;
            if !ready.contains(&id) {
                watch.queued = true;
                ready.push_back(id);
            }
        }
    }

    /// What to report of a socket: where it is both armed and ready.
    fn reportable(&self, id: SocketId) -> Option<Readiness> {
        let watch = self.pollers.watches.get(&id)?;
        let readable = watch.read_armed && self.readable(id);
        let writable = watch.write_wanted && watch.write_armed && self.writable(id);
        (readable || writable).then_some(Readiness {
            token: watch.token,
            readable,
            writable,
        })
    }

    fn take_readiness(&mut self, id: SocketId) -> Option<Readiness> {
        let report = self.reportable(id);
        let watch = self.pollers.watches.get_mut(&id)?;
        watch.queued = false;
        let report = report?;
        watch.read_armed &= !report.readable;
        watch.write_armed &= !report.writable;
        Some(report)
    }

    /// Readiness of a random watched socket that was not just reported.
    fn imagine_readiness(&mut self, poller: usize, told: &[Readiness]) -> Option<Readiness> {
        let watches = self.pollers.watches.values();
        let idle = |watch: &&Watch| {
            watch.poller == poller && !told.iter().any(|told| told.token == watch.token)
        };
        let candidates: Vec<&Watch> = watches.filter(idle).collect();
        let drawn = self.random.up_to(candidates.len());
        let watch = candidates.get(drawn.checked_sub(1)?)?;
        Some(Readiness {
            token: watch.token,
            readable: true,
            writable: watch.write_wanted,
        })
    }

    fn watched_by(&mut self, poller: usize, id: SocketId) -> io::Result<&mut Watch> {
        let watch = self.pollers.watches.get_mut(&id);
        watch
            .filter(|watch| watch.poller == poller)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// To whole microseconds, as the clock has them: a poll must not return before
/// its time is up.
fn round_up(timeout: Duration) -> Duration {
    let micros = timeout.as_nanos().div_ceil(1000);
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}
