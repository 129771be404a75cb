//! The handle of the host's program, and what drives the machine.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use super::conditions::Conditions;
use super::machine::{Machine, Output};
use super::terms::{
    DeviceNetwork, LiveLoad, Load, MemoryLevel, Permission, PermissionState, Power, PowerStats,
    ResumeReport, Resumed, ServiceState, Signal, SuspendReport, Suspended,
};
use super::urls::{self, Reachable, ReachableUrl};
use crate::events::Event;
use crate::inbox::Command;
use crate::server::{Server, Unanswered, answer_in_time};
use crate::shared::Shared;
use crate::sync::lock;

/// Of the time for a suspension, what is kept for what comes after connections: recordings
/// that are synced.
const FOR_RECORDINGS: Duration = Duration::from_millis(150);

/// What peers get of it to hear that they are sent away: no more than that, however much
/// time there is.
const FAREWELL: Duration = Duration::from_millis(350);

/// How long [`Host::resume`] waits: longer than all tries to have a port again.
const RESUME_PATIENCE: Duration = Duration::from_secs(2);

/// What the host's program tells a server on a phone, see [`Server::host`]. Signals may
/// come in any order, more than once, and from any thread. All return at once, but
/// [`Host::suspend`] and [`Host::resume`].
#[derive(Clone, Copy, Debug)]
pub struct Host<'a>(&'a Server);

/// A suspension that was begun.
pub(crate) struct Suspending {
    workers: Receiver<Suspended>,
    /// How many there are.
    expected: usize,
}

impl Host<'_> {
    /// The program goes to the background, and the system lets it run for so long, if it
    /// said so. Writes to players are collected from now on
    /// ([`QueueConfig::background_coalesce`](crate::QueueConfig)), and `mobile.background`
    /// says what else happens: see [`BackgroundPolicy`](crate::BackgroundPolicy).
    pub fn background(self, remaining: Option<Duration>) {
        let load = self.0.shared.load();
        self.0
            .shared
            .notify_mobile(Signal::Background { remaining, load });
    }

    /// So much of that time is left. Events at 20, 10 and 5 s;
    /// [`Order::SuspendNow`](crate::Order) once it is `mobile.suspend_margin`.
    pub fn remaining_time(self, left: Duration) {
        self.0.shared.notify_mobile(Signal::RemainingTime(left));
    }

    /// The program is about to be frozen: listening sockets are closed first, so that
    /// nobody connects into nothing; peers are told, connections closed, recordings
    /// synced. Streams stay, and taps on them, for `mobile.network_grace` or
    /// `streams.republish_grace`, whichever is longer; that time stands still until
    /// [`Host::resume`].
    ///
    /// Waits at most `within`, of which 700 ms are enough. A server that is suspended
    /// already stays so, and one that has stopped does nothing.
    pub fn suspend(self, within: Duration) -> SuspendReport {
        let deadline = Instant::now().checked_add(within);
        let deadline = deadline.unwrap_or_else(Instant::now);
        let suspending = self.begin_suspend(within);
        self.finish_suspend(suspending, deadline)
    }

    /// The part of [`Host::suspend`] that does not wait.
    pub(crate) fn begin_suspend(self, within: Duration) -> Suspending {
        let shared = &self.0.shared;
        let (answer, workers) = channel();
        let _turn = lock(&shared.turning);
        shared.notify_mobile(Signal::Suspend);
        let farewell = within.saturating_sub(FOR_RECORDINGS).min(FAREWELL);
        let deadline = shared.now() + farewell;
        for inbox in &shared.inboxes {
            let answer = answer.clone();
            inbox.send(Command::Suspend { deadline, answer });
        }
        Suspending {
            workers,
            expected: shared.inboxes.len(),
        }
    }

    /// The part that does.
    pub(crate) fn finish_suspend(self, suspending: Suspending, deadline: Instant) -> SuspendReport {
        let shared = &self.0.shared;
        // A worker that does not answer leaves recordings half of what is kept for them.
        let workers_end = deadline.checked_sub(FOR_RECORDINGS / 2).unwrap_or(deadline);
        let answers = answers_until(&suspending.workers, workers_end);
        let mut report = SuspendReport {
            in_time: answers.len() == suspending.expected,
            ..SuspendReport::default()
        };
        for Suspended {
            listeners,
            told,
            closed,
        } in answers
        {
            report.listeners += listeners;
            report.told += told;
            report.closed += closed;
        }
        let (synced, recorders) = channel();
        let expected = shared.sync_recordings(&synced);
        drop(synced);
        let done = answers_until(&recorders, deadline);
        report.recordings = done.iter().filter(|synced| **synced).count();
        report.in_time &= done.len() == expected;
        shared.notify_mobile(Signal::Suspended(report));
        log::info!(
            "suspended: {} listeners closed, {} connections, {} recordings synced",
            report.listeners,
            report.closed,
            report.recordings
        );
        report
    }

    /// The program runs again, after it was away for so long by the clock on the wall.
    /// After [`Host::suspend`] each listener is bound again, on the same port, which is
    /// tried for some 1.5 s; without it (systems suspend without a word, too) those are
    /// that the system took, and connections are closed that it took the sockets of.
    /// Addresses are listed anew. Also to be called after every start of the program's
    /// part that shows the server.
    ///
    /// Waits at most 2 s; what failed is tried on, and events tell of it.
    pub fn resume(self, away: Duration) -> ResumeReport {
        let workers = self.begin_resume();
        self.finish_resume(workers, away, Instant::now() + RESUME_PATIENCE)
    }

    /// The part of [`Host::resume`] that does not wait.
    pub(crate) fn begin_resume(self) -> Receiver<Resumed> {
        let shared = &self.0.shared;
        let (answer, workers) = channel();
        let _turn = lock(&shared.turning);
        shared.notify_mobile(Signal::Resume);
        for inbox in &shared.inboxes {
            inbox.send(Command::Resume(answer.clone()));
        }
        workers
    }

    /// The part that does.
    pub(crate) fn finish_resume(
        self,
        workers: Receiver<Resumed>,
        away: Duration,
        deadline: Instant,
    ) -> ResumeReport {
        let shared = &self.0.shared;
        let answers = answers_until(&workers, deadline);
        let mut report = ResumeReport {
            in_time: answers.len() == shared.inboxes.len(),
            ..ResumeReport::default()
        };
        for Resumed {
            alive,
            remade,
            failed,
            connections_lost,
        } in answers
        {
            report.alive += alive;
            report.remade += remade;
            report.failed += failed;
            report.connections_lost += connections_lost;
        }
        shared.notify_mobile(Signal::Resumed { away, report });
        log::info!(
            "resumed: {} listeners alive, {} bound again, {} failed, {} connections lost",
            report.alive,
            report.remade,
            report.failed,
            report.connections_lost
        );
        report
    }

    /// The program is in front.
    pub fn foreground(self) {
        self.0.shared.notify_mobile(Signal::Foreground);
    }

    /// The networks that the system says there are, all of them each time. 200 ms after
    /// the last word about it addresses are listed anew, listeners looked after, and
    /// events told of what is different.
    pub fn networks(self, networks: Vec<DeviceNetwork>) {
        self.0.shared.notify_mobile(Signal::Networks(networks));
    }

    /// What the user says about a permission. One that was refused is a reason not to be
    /// ready ([`Server::health`]); of one that the user was not asked for yet
    /// [`Order::AskPermission`](crate::Order) reminds, one at a time.
    pub fn permission(self, permission: Permission, state: PermissionState) {
        self.0
            .shared
            .notify_mobile(Signal::Permission(permission, state));
    }

    /// How the device is off for power. Little of it, or much heat: writes to players are
    /// collected for up to 350 ms.
    pub fn power(self, power: Power) {
        self.0.shared.notify_mobile(Signal::Power(power));
    }

    /// How the device is off for memory, see [`MemoryLevel`].
    pub fn memory(self, level: MemoryLevel) {
        self.0.shared.notify_mobile(Signal::Memory(level));
    }

    /// The program plays audible sound, or no longer.
    pub fn audio(self, active: bool) {
        self.0.shared.notify_mobile(Signal::Audio(active));
    }

    /// What became of the service that was ordered.
    pub fn service(self, state: ServiceState) {
        self.0.shared.notify_mobile(Signal::Service(state));
    }
}

impl Server {
    /// Where the program of a phone tells what its system tells it.
    pub fn host(&self) -> Host<'_> {
        Host(self)
    }

    /// The URLs under which others reach a stream (`app/name`, or empty for the server
    /// itself), best first. Lists this device's addresses each time: nothing wakes for it
    /// otherwise, and no system tells of a hotspot that it opens. Empty if the system does
    /// not tell them.
    pub fn reachable(&self, stream: &str, wanted: Reachable) -> Vec<ReachableUrl> {
        self.shared.reachable(stream, wanted)
    }

    /// What the server costs in power.
    ///
    /// # Errors
    /// A worker does not answer within a second.
    pub fn power_stats(&self) -> Result<PowerStats, Unanswered> {
        let reports = self.inspect();
        let mut all = PowerStats::default();
        for _ in 0..self.shared.inboxes.len() {
            if let Some(report) = answer_in_time(&reports)? {
                all.add(&report.power);
            }
        }
        Ok(all)
    }
}

impl Shared {
    /// Tells the machine, and carries out what follows.
    pub(crate) fn notify_mobile(&self, signal: Signal) {
        self.run(|machine, shared| machine.handle(signal, shared.now()));
    }

    /// What the machine waited for has come.
    pub(crate) fn on_host_due(&self) {
        self.run(|machine, shared| machine.handle_timeout(shared.now()));
    }

    /// After worker 0 lost its timers.
    pub(crate) fn remind_of_host(&self) {
        if let Some(at) = lock(&self.mobile).deadline() {
            self.inboxes[0].send(Command::HostDue(at));
        }
    }

    fn run(&self, step: impl FnOnce(&mut Machine, &Shared) -> Vec<Output>) {
        let mut machine = lock(&self.mobile);
        let before = (conditions(&machine), machine.deadline());
        let outputs = step(&mut machine, self);
        let after = conditions(&machine);
        if after != before.0 {
            let after = Arc::new(after);
            for inbox in &self.inboxes {
                inbox.send(Command::SetConditions(after.clone()));
            }
        }
        if let Some(at) = machine.deadline()
            && Some(at) != before.1
        {
            self.inboxes[0].send(Command::HostDue(at));
        }
        // With the lock held: in the order in which it was decided.
        for output in outputs {
            match output {
                Output::Order(order) => {
                    log::debug!("the host is to do this: {order:?}");
                    if !self.orders.is_none() {
                        self.orders.send(order);
                    }
                }
                Output::Event(event) => self.emit_to_host(event),
                Output::Refresh => self.inboxes[0].send(Command::LookAround),
            }
        }
    }

    /// Not by [`Shared::emit`], which may tell the machine.
    fn emit_to_host(&self, event: Event) {
        if !self.events.is_none() {
            self.events.send(event);
        }
    }

    /// Lists this device's addresses, and tells the machine.
    pub(crate) fn look_at_networks(&self) {
        let interfaces = (self.interfaces)().unwrap_or_else(|error| {
            log::warn!("the addresses of this machine are not known: {error}");
            Vec::new()
        });
        let listeners = self.listeners();
        let networks = lock(&self.mobile).networks().to_vec();
        let wanted = Reachable::default();
        let found = urls::reachable(&listeners, &interfaces, &networks, "", wanted);
        let first = listeners.iter().find(|listen| !listen.proxy_protocol);
        let listening = first.map(|listen| (listen.address.port(), listen.is_tls()));
        self.notify_mobile(Signal::Listening(listening));
        self.notify_mobile(Signal::Found {
            urls: found.into_iter().map(|found| found.url).collect(),
            links: urls::links(&interfaces, &networks).into(),
        });
    }

    fn reachable(&self, stream: &str, wanted: Reachable) -> Vec<ReachableUrl> {
        let interfaces = (self.interfaces)().unwrap_or_default();
        let networks = lock(&self.mobile).networks().to_vec();
        urls::reachable(&self.listeners(), &interfaces, &networks, stream, wanted)
    }

    /// Asks every recorder to sync its files. Returns how many there are.
    fn sync_recordings(&self, answer: &Sender<bool>) -> usize {
        let taps = self.directory.lock().taps();
        let recorders = taps.into_iter().map(|(_, tap)| tap);
        let recorders = recorders.filter(|tap| tap.is_recorders() && !tap.is_closed());
        recorders.map(|tap| tap.ask_to_sync(answer.clone())).count()
    }

    /// What is going on, for what the machine decides.
    pub(crate) fn load(&self) -> Load {
        let streams = self.directory.lock().publishers();
        let live = lock(&self.load);
        self.load_of(&live, streams)
    }

    fn load_of(&self, live: &MutexGuard<'_, LiveLoad>, streams: usize) -> Load {
        Load {
            streams,
            players: live.players,
            connections: self.connections.load(Ordering::Acquire),
        }
    }

    /// Whoever publishes, plays or connects may change what the host is to do.
    pub(crate) fn note_load(&self, event: &Event) {
        if self.orders.is_none() {
            return;
        }
        let mut live = lock(&self.load);
        match event {
            Event::StreamPublished { stream, .. } => {
                live.streams.insert(*stream);
            }
            Event::StreamUnpublished { stream, .. } | Event::StreamEnded { stream, .. } => {
                live.streams.remove(stream);
            }
            Event::SubscriberJoined { .. } => live.players += 1,
            Event::SubscriberLeft { .. } => live.players = live.players.saturating_sub(1),
            Event::ConnectionOpened { .. } | Event::ConnectionClosed { .. } => {}
            _ => return,
        }
        // Told with the lock held: no older count comes after a newer one.
        let load = self.load_of(&live, live.streams.len());
        self.notify_mobile(Signal::Load(load));
    }
}

/// What workers are to know.
fn conditions(machine: &Machine) -> Conditions {
    Conditions {
        collect: machine.collects(),
        low_power: machine.power().is_scarce(),
        audio_only: machine.is_audio_only(),
        memory: machine.memory(),
        grace: machine.grace(),
        links: machine.links(),
    }
}

/// What comes until then, or until nothing more can.
fn answers_until<T>(receiver: &Receiver<T>, deadline: Instant) -> Vec<T> {
    let next = || {
        let left = deadline.saturating_duration_since(Instant::now());
        receiver.recv_timeout(left).ok()
    };
    std::iter::from_fn(next).collect()
}
