use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openrtmp_protocol::Time;

use super::config::{Config, Episode, Faults};
use super::disk::Disk;
use super::names::Names;
use super::network::{Network, SocketId};
use super::random::Random;
use super::readiness::Pollers;
use super::torture::Calls;
use crate::platform::Interface;
use crate::sync::lock;

/// Time of day at the start of a simulation: 2026-01-01 00:00:00 UTC.
const START_OF_DAY: Duration = Duration::from_secs(1_767_225_600);

/// The one state that all handles of a simulation share.
#[derive(Clone, Debug)]
pub(super) struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub(super) fn new(world: World) -> Shared {
        Shared(Arc::new(Mutex::new(world)))
    }

    /// A panic elsewhere must not hide the state a test wants to look at.
    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        lock(&self.0)
    }
}

/// Clock, chance and the queue of what is under way. Sockets are in
/// `network.rs`, `connect.rs` and `silence.rs`, pollers in `readiness.rs`, host names in
/// `names.rs`, files in `disk.rs`.
///
/// Everything is kept in ordered maps and every choice is drawn from one
/// generator, so that a seed fixes the whole course.
#[derive(Debug)]
pub(super) struct World {
    pub(super) config: Config,
    pub(super) now: Time,
    pub(super) random: Random,
    /// Apart from `random`, so that keys drawn do not move the faults.
    pub(super) entropy: Random,
    pub(super) interfaces: Vec<Interface>,
    pub(super) network: Network,
    pub(super) names: Names,
    pub(super) pollers: Pollers,
    pub(super) disk: Disk,
    pub(super) calls: Calls,
    wall_origin: SystemTime,
    /// Seconds.
    pub(super) local_offset: i32,
    events: BTreeMap<(Time, u64), Event>,
    scheduled: u64,
    fingerprint: u64,
}

/// Something that will happen.
#[derive(Debug)]
pub(super) enum Event {
    /// A connection reaches its listener.
    Arrival {
        listener: SocketId,
        socket: SocketId,
    },
    /// An attempt of the machine to connect reaches an address.
    Attempt {
        from: SocketId,
        local: SocketAddr,
        remote: SocketAddr,
        /// Both ends are to be reset shortly after.
        resets: bool,
    },
    /// A socket learns that it is connected.
    Connected { to: SocketId, peer: SocketId },
    /// A socket learns that it cannot connect.
    ConnectFailed { to: SocketId, error: ErrorKind },
    /// Bytes reach a socket.
    Bytes {
        from: SocketId,
        to: SocketId,
        bytes: Vec<u8>,
    },
    /// A socket learns that its peer sends no more.
    End { to: SocketId },
    /// A socket learns that its connection is over.
    Reset { to: SocketId, error: ErrorKind },
    /// A socket has waited for an acknowledgement as long as it may.
    GiveUp { socket: SocketId },
    /// The keep-alive of a silent connection ends.
    KeepAliveEnd { socket: SocketId },
    /// A socket learns that its peer has read.
    Window { to: SocketId, bytes: usize },
    /// A stall is over.
    Resume { socket: SocketId },
    /// A poller learns late that a socket became ready.
    Ready { socket: SocketId },
    /// A wake-up arrives late.
    Wake { poller: usize },
    /// The addresses of a host are there.
    Answer { lookup: u64 },
}

impl World {
    pub(super) fn new(seed: u64, config: Config) -> World {
        World {
            config,
            now: Time::ZERO,
            random: Random::new(seed),
            entropy: Random::new(!seed),
            interfaces: Vec::new(),
            network: Network::default(),
            names: Names::default(),
            pollers: Pollers::default(),
            disk: Disk::default(),
            calls: Calls::default(),
            wall_origin: UNIX_EPOCH + START_OF_DAY,
            local_offset: 0,
            events: BTreeMap::new(),
            scheduled: 0,
            // The offset basis of 64-bit FNV-1a.
            fingerprint: 0xcbf2_9ce4_8422_2325,
        }
    }

    pub(super) fn faults(&self) -> &Faults {
        &self.config.faults
    }

    /// How long the episode of a fault lasts, if one begins now.
    pub(super) fn strikes(&mut self, fault: fn(&Faults) -> Episode) -> Option<Duration> {
        let Episode { chance, up_to } = fault(&self.config.faults);
        let struck = !up_to.is_zero() && self.random.chance(chance);
        struck.then(|| self.random.span(up_to))
    }

    pub(super) fn schedule(&mut self, due: Time, event: Event) {
        self.scheduled += 1;
        self.events.insert((due, self.scheduled), event);
    }

    pub(super) fn next_event(&self) -> Option<Time> {
        self.events.first_key_value().map(|(&(due, _), _)| due)
    }

    /// Lets happen what is due.
    pub(super) fn settle(&mut self) {
        self.advance_to(self.now);
    }

    /// Lets happen what is due until `time`, each at its own time. Stops early where
    /// the answer of a look-up is to be given.
    pub(super) fn advance_to(&mut self, time: Time) {
        while !self.names.any_due()
            && let Some(entry) = self.events.first_entry()
        {
            let due = entry.key().0;
            if due > time {
                break;
            }
            let event = entry.remove();
            self.now = self.now.max(due);
            self.happen(event);
        }
        if !self.names.any_due() {
            self.now = self.now.max(time);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrival { listener, socket } => self.arrive(listener, socket),
            Event::Attempt {
                from,
                local,
                remote,
                resets,
            } => self.receive_attempt(from, local, remote, resets),
            Event::Connected { to, peer } => self.receive_connected(to, peer),
            Event::ConnectFailed { to, error } => self.receive_failure(to, error),
            Event::Bytes { from, to, bytes } => self.receive(from, to, bytes),
            Event::End { to } => self.receive_end(to),
            Event::Reset { to, error } => self.receive_reset(to, error),
            Event::GiveUp { socket } => self.give_up(socket),
            Event::KeepAliveEnd { socket } => self.end_keep_alive(socket),
            Event::Window { to, bytes } => self.receive_window(to, bytes),
            Event::Resume { socket } => self.resume(socket),
            Event::Ready { socket } => self.enqueue(socket),
            Event::Wake { poller } => self.pollers.wake(poller),
            Event::Answer { lookup } => self.answer(lookup),
        }
    }

    pub(super) fn wall_clock(&mut self) -> SystemTime {
        if let Some(jump) = self.strikes(|faults| faults.clock_jumps) {
            let jumped = if self.random.chance(0.5) {
                self.wall_origin.checked_add(jump)
            } else {
                self.wall_origin.checked_sub(jump)
            };
            self.wall_origin = jumped.unwrap_or(self.wall_origin);
        }
        self.wall_origin + self.now.since(Time::ZERO)
    }

    pub(super) fn set_wall_clock(&mut self, time: SystemTime) {
        let elapsed = self.now.since(Time::ZERO);
        self.wall_origin = time.checked_sub(elapsed).unwrap_or(UNIX_EPOCH);
    }

    /// Mixes something that happened into the fingerprint of the run.
    pub(super) fn note(&mut self, what: &str, numbers: [u64; 2]) {
        let numbers = [self.now.as_micros(), numbers[0], numbers[1]];
        let numbers = numbers.into_iter().flat_map(u64::to_le_bytes);
        for byte in what.bytes().chain(numbers) {
            self.fingerprint = (self.fingerprint ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    pub(super) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}
