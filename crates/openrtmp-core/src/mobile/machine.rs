//! What follows from what a phone tells: `(signal, now)` to orders, events and conditions.
//! Without I/O, clock and threads, so that any order of signals can be tried.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use openrtmp_protocol::Time;

use super::terms::{
    DeviceNetwork, Load, MemoryLevel, NetworkKind, Order, Permission, PermissionState, Power,
    ServiceOrder, ServiceState, Signal,
};
use crate::config::{BackgroundPolicy, MobileConfig};
use crate::events::Event;

/// Networks come and go several times when a device moves from one to another: it is
/// looked at what came of it once nothing more was told for so long.
pub(crate) const SETTLE: Duration = Duration::from_millis(200);

/// The host is told once how little time is left, at each of these.
const WARN_AT: [Duration; 3] = [
    Duration::from_secs(20),
    Duration::from_secs(10),
    Duration::from_secs(5),
];

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) enum Output {
    Order(Order),
    Event(Event),
    /// List the addresses of this device anew, look whether the listeners are there, and
    /// tell what was found ([`Signal::Found`]).
    Refresh,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Suspended,
    Stopped,
}

/// In the background.
#[derive(Clone, Copy, Debug)]
struct Background {
    /// Until when the system lets the program run, as far as it said.
    until: Option<Time>,
    /// How many of [`WARN_AT`] were told.
    warned: usize,
    /// It was resumed since: it is on its way to the front, or looks after itself for a
    /// moment, and is not sent back to sleep for having nothing to do.
    is_back: bool,
}

/// What is known of a server on a phone.
#[derive(Debug)]
pub(crate) struct Machine {
    config: MobileConfig,
    phase: Phase,
    /// The end of a suspension, or of the way back, has not been told yet.
    is_turning: bool,
    /// The last that was told of either is a suspension.
    is_told_suspended: bool,
    background: Option<Background>,
    /// The host was told to suspend, and has not been in front, or back, since.
    is_suspend_ordered: bool,
    /// The host collects writes, whatever else holds.
    collect: bool,
    power: Power,
    memory: MemoryLevel,
    /// The program plays audible sound.
    audio: bool,
    service: Option<ServiceState>,
    /// It was not refused, ended or stopped since the program was last in front.
    may_start_service: bool,
    permissions: BTreeMap<Permission, PermissionState>,
    /// Asked for, and not answered yet.
    asked: Option<Permission>,
    to_ask: VecDeque<Permission>,
    load: Load,
    listening: Option<(u16, bool)>,
    networks: Vec<DeviceNetwork>,
    /// The host tells of them at all.
    knows_networks: bool,
    /// When what was told of networks is looked at.
    settles_at: Option<Time>,
    /// Until when streams are kept after the networks changed.
    kept_until: Option<Time>,
    /// Whether there is any network; `None` before anything was told.
    has_network: Option<bool>,
    uses_cellular: bool,
    urls: Option<Vec<String>>,
    links: Arc<[(IpAddr, NetworkKind)]>,
    /// Orders in force.
    is_kept_awake: bool,
    has_task: bool,
    /// Port and TXT record that the host was told to advertise.
    advertised: Option<(u16, String)>,
    /// Streams and connections that the service shows.
    service_shows: Option<(usize, usize)>,
    out: Vec<Output>,
}

impl Machine {
    pub(crate) fn new(config: MobileConfig) -> Machine {
        Machine {
            config,
            phase: Phase::Running,
            is_turning: false,
            is_told_suspended: false,
            background: None,
            is_suspend_ordered: false,
            collect: false,
            power: Power::default(),
            memory: MemoryLevel::default(),
            audio: false,
            service: None,
            may_start_service: true,
            permissions: BTreeMap::new(),
            asked: None,
            to_ask: VecDeque::new(),
            load: Load::default(),
            listening: None,
            networks: Vec::new(),
            knows_networks: false,
            settles_at: None,
            kept_until: None,
            has_network: None,
            uses_cellular: false,
            urls: None,
            links: Arc::default(),
            is_kept_awake: false,
            has_task: false,
            advertised: None,
            service_shows: None,
            out: Vec::new(),
        }
    }

    /// What is to be done about a signal, in order.
    pub(crate) fn handle(&mut self, signal: Signal, now: Time) -> Vec<Output> {
        if self.phase == Phase::Stopped {
            return Vec::new();
        }
        match signal {
            Signal::Configure(config) => self.config = config,
            Signal::Listening(listening) => self.listening = listening,
            Signal::Background { remaining, load } => self.enter_background(remaining, load, now),
            Signal::RemainingTime(left) => self.remains(left, now),
            Signal::Suspend => self.is_turning |= self.enter(Phase::Suspended),
            Signal::Resume => {
                self.is_turning = true;
                self.enter(Phase::Running);
                if let Some(background) = &mut self.background {
                    // The time that was told before is not the time that is left now.
                    background.until = None;
                    background.is_back = true;
                }
                self.is_suspend_ordered = false;
            }
            Signal::Suspended(report) => {
                // Another call may have turned round meanwhile: then that tells.
                if self.phase == Phase::Suspended
                    && std::mem::take(&mut self.is_turning)
                    && !std::mem::replace(&mut self.is_told_suspended, true)
                {
                    self.event(Event::Suspended { report });
                }
            }
            Signal::Resumed { away, report } => {
                if self.phase == Phase::Running && std::mem::take(&mut self.is_turning) {
                    self.is_told_suspended = false;
                    self.event(Event::Resumed { away, report });
                    self.keep(now);
                    self.settles_at = None;
                    self.out.push(Output::Refresh);
                }
            }
            Signal::Foreground => self.enter_foreground(),
            Signal::Networks(networks) => {
                self.networks = networks;
                self.knows_networks = true;
                self.settles_at = Some(now + SETTLE);
            }
            Signal::Permission(permission, state) => self.permitted(permission, state),
            Signal::Power(power) => {
                if std::mem::replace(&mut self.power, power) != power {
                    self.event(Event::Power { power });
                }
            }
            Signal::Memory(level) => {
                if std::mem::replace(&mut self.memory, level) != level {
                    self.event(Event::Memory { level });
                }
            }
            Signal::Audio(active) => self.audio = active,
            Signal::Service(state) => self.served(state),
            Signal::Collect(on) => self.collect = on,
            Signal::Load(load) => self.load = load,
            Signal::Found { urls, links } => {
                self.links = links;
                self.found(urls, now);
            }
            Signal::Stop => {
                self.enter(Phase::Stopped);
                (self.settles_at, self.kept_until) = (None, None);
                self.background = None;
            }
        }
        self.settle_orders(now);
        std::mem::take(&mut self.out)
    }

    /// When [`Machine::handle_timeout`] is to be called.
    pub(crate) fn deadline(&self) -> Option<Time> {
        if self.phase == Phase::Stopped {
            return None;
        }
        let network = match self.phase {
            Phase::Running => self.settles_at,
            Phase::Suspended | Phase::Stopped => None,
        };
        let suspend = self.suspend_due();
        [network, self.kept_until, suspend]
            .into_iter()
            .flatten()
            .min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Time) -> Vec<Output> {
        let is_due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        if self.phase == Phase::Running && is_due(self.settles_at) {
            self.settles_at = None;
            self.keep(now);
            self.out.push(Output::Refresh);
        }
        if is_due(self.kept_until) {
            self.kept_until = None;
        }
        self.settle_orders(now);
        std::mem::take(&mut self.out)
    }

    #[cfg(test)]
    pub(crate) fn is_suspended(&self) -> bool {
        self.phase == Phase::Suspended
    }

    /// Writes to players are collected.
    pub(crate) fn collects(&self) -> bool {
        self.collect || self.background.is_some()
    }

    pub(crate) fn power(&self) -> Power {
        self.power
    }

    pub(crate) fn memory(&self) -> MemoryLevel {
        self.memory
    }

    /// Video is dropped.
    pub(crate) fn is_audio_only(&self) -> bool {
        self.background.is_some() && self.audio && self.config.background == BackgroundPolicy::Audio
    }

    /// How long streams are kept at least whose publishers vanish.
    pub(crate) fn grace(&self) -> Duration {
        let keeps = self.phase == Phase::Suspended
            || self.kept_until.is_some()
            || self.settles_at.is_some()
            || self.has_network == Some(false);
        match keeps {
            true => self.config.network_grace,
            false => Duration::ZERO,
        }
    }

    pub(crate) fn links(&self) -> Arc<[(IpAddr, NetworkKind)]> {
        self.links.clone()
    }

    pub(crate) fn networks(&self) -> &[DeviceNetwork] {
        &self.networks
    }

    /// Why others may not reach the server.
    pub(crate) fn complaints(&self) -> Vec<&'static str> {
        let denied =
            |permission| self.permissions.get(&permission) == Some(&PermissionState::Denied);
        let all = [
            (self.phase == Phase::Suspended, "the server is suspended"),
            (
                denied(Permission::LocalNetwork),
                "permission: the user has not allowed the local network",
            ),
            (
                self.memory == MemoryLevel::Critical,
                "the device is short of memory",
            ),
        ];
        let wrong = all.into_iter().filter(|(wrong, _)| *wrong);
        wrong.map(|(_, reason)| reason).collect()
    }

    fn event(&mut self, event: Event) {
        self.out.push(Output::Event(event));
    }

    fn order(&mut self, order: Order) {
        self.out.push(Output::Order(order));
    }

    /// True if it is another phase than before.
    fn enter(&mut self, phase: Phase) -> bool {
        std::mem::replace(&mut self.phase, phase) != phase
    }

    /// From now on streams are kept for a while.
    fn keep(&mut self, now: Time) {
        self.kept_until = Some(now + self.config.network_grace);
    }

    /// The policy that holds: what a missing service or sound makes of it.
    fn policy(&self) -> BackgroundPolicy {
        match self.config.background {
            BackgroundPolicy::Audio if !self.audio => BackgroundPolicy::Grace,
            BackgroundPolicy::Service if self.service != Some(ServiceState::Started) => {
                BackgroundPolicy::Grace
            }
            policy => policy,
        }
    }

    fn enter_background(&mut self, remaining: Option<Duration>, load: Load, now: Time) {
        self.load = load;
        let until = remaining.map(|left| now + left);
        if let Some(background) = &mut self.background {
            background.until = until;
            background.is_back = false;
            return;
        }
        self.background = Some(Background {
            until,
            warned: 0,
            is_back: false,
        });
        let policy = self.policy();
        let keeps = matches!(policy, BackgroundPolicy::Service | BackgroundPolicy::App);
        self.event(Event::Background {
            policy,
            remaining,
            ending: if keeps { 0 } else { load.streams },
        });
    }

    fn enter_foreground(&mut self) {
        self.is_suspend_ordered = false;
        if self.background.take().is_some() {
            self.event(Event::Foreground);
        }
        // What the system refused in the background it may allow now.
        if !std::mem::replace(&mut self.may_start_service, true) {
            self.service = None;
        }
    }

    fn remains(&mut self, left: Duration, now: Time) {
        let Some(background) = &mut self.background else {
            return;
        };
        background.until = Some(now + left);
        let passed = WARN_AT.iter().filter(|at| left <= **at).count();
        if passed > background.warned {
            background.warned = passed;
            self.event(Event::RemainingTime { left });
        }
    }

    fn permitted(&mut self, permission: Permission, state: PermissionState) {
        let before = self.permissions.insert(permission, state);
        if before != Some(state) {
            self.event(Event::Permission { permission, state });
        }
        match state {
            PermissionState::Unknown => {
                let known = self.asked == Some(permission) || self.to_ask.contains(&permission);
                if before.is_none() && !known {
                    self.to_ask.push_back(permission);
                }
            }
            PermissionState::Granted | PermissionState::Denied => {
                self.to_ask.retain(|waiting| *waiting != permission);
                if self.asked == Some(permission) {
                    self.asked = None;
                }
            }
        }
    }

    fn served(&mut self, state: ServiceState) {
        if self.service.replace(state) != Some(state) {
            self.event(Event::Service { state });
        }
        if state != ServiceState::Started {
            // It is gone: there is nothing to stop.
            self.service_shows = None;
            self.may_start_service = false;
        }
        if state == ServiceState::TimedOut && self.phase == Phase::Running {
            self.suspend_now();
        }
    }

    fn found(&mut self, urls: Vec<String>, now: Time) {
        if self.phase != Phase::Running {
            return;
        }
        let default = self.networks.iter().find(|network| network.is_default);
        let default = default.or(self.networks.first());
        let uses_cellular = default.is_some_and(|n| n.kind == NetworkKind::Cellular);
        if uses_cellular && !std::mem::replace(&mut self.uses_cellular, uses_cellular) {
            self.event(Event::CellularUsed);
        }
        self.uses_cellular = uses_cellular;
        let has_network = !self.networks.is_empty() || !urls.is_empty();
        // Who does not tell of networks does not want to be told of them.
        let before = self.has_network;
        self.has_network = self.knows_networks.then_some(has_network);
        match before {
            Some(false) if has_network => {
                self.keep(now);
                self.event(Event::NetworkBack);
            }
            None | Some(true) if self.has_network == Some(false) => {
                let grace = self.config.network_grace;
                self.event(Event::NetworkLost { grace });
            }
            _ => {}
        }
        // The first list is that of the start, which the host asks for.
        if let Some(before) = self.urls.replace(urls.clone())
            && before != urls
        {
            self.event(Event::UrlsChanged { urls });
        }
    }

    /// When the host is to be told to suspend, if that is to come.
    fn suspend_due(&self) -> Option<Time> {
        if self.phase != Phase::Running || self.is_suspend_ordered {
            return None;
        }
        let until = self.background?.until?;
        let ends = !matches!(
            self.policy(),
            BackgroundPolicy::App | BackgroundPolicy::Service
        );
        let margin = self.config.suspend_margin.as_micros() as u64;
        let at = until.as_micros().saturating_sub(margin);
        ends.then(|| Time::from_micros(at))
    }

    fn suspend_now(&mut self) {
        if !std::mem::replace(&mut self.is_suspend_ordered, true) {
            self.order(Order::SuspendNow);
        }
    }

    /// Orders what has to be by now, and takes back what has not.
    fn settle_orders(&mut self, now: Time) {
        let is_running = self.phase == Phase::Running;
        let is_streaming = self.load.streams + self.load.players > 0;

        let awake = is_running && is_streaming;
        if std::mem::replace(&mut self.is_kept_awake, awake) != awake {
            self.order(Order::KeepAwake {
                cpu: awake,
                wifi: awake,
            });
        }

        let advertised = match (self.listening, is_running && self.config.advertise) {
            (Some((port, tls)), true) => {
                Some((port, format!("v=1 app=live tls={}", u8::from(tls))))
            }
            _ => None,
        };
        if advertised != self.advertised {
            self.advertised.clone_from(&advertised);
            let (port, txt) = advertised.unzip();
            let txt = txt.unwrap_or_default();
            self.order(Order::Advertise { port, txt });
        }

        self.settle_service();
        self.settle_background(now);

        if is_running
            && self.asked.is_none()
            && let Some(permission) = self.to_ask.pop_front()
        {
            self.asked = Some(permission);
            self.order(Order::AskPermission { permission });
        }
    }

    /// The service is started with the server, while that may be in front, and kept.
    fn settle_service(&mut self) {
        let wanted =
            self.phase != Phase::Stopped && self.config.background == BackgroundPolicy::Service;
        let (streams, connections) = (self.load.streams, self.load.connections);
        let shows = (streams, connections);
        let action = match (wanted, self.service_shows) {
            // From the background the system refuses it.
            (true, None) if self.background.is_none() && self.may_start_service => {
                ServiceOrder::Start
            }
            (true, Some(shown)) if shown != shows => ServiceOrder::Update,
            (false, Some(_)) => ServiceOrder::Stop,
            _ => return,
        };
        self.service_shows = wanted.then_some(shows);
        self.order(Order::Service {
            action,
            streams,
            connections,
        });
    }

    /// Time in the background is asked for while it is of use, and always given back.
    fn settle_background(&mut self, now: Time) {
        let is_running = self.phase == Phase::Running;
        let policy = self.policy();
        let is_idle = self.load == Load::default();
        let borrows = matches!(policy, BackgroundPolicy::Grace | BackgroundPolicy::Audio);
        let is_ordered = self.background.is_some() && self.is_suspend_ordered;
        let needs_task = is_running && self.background.is_some() && borrows && !is_idle;
        // Until the suspension is over with: it is what the time is for.
        let suspends = self.phase == Phase::Suspended && self.is_turning;
        let task = needs_task || (self.has_task && (suspends || (is_running && is_ordered)));
        if std::mem::replace(&mut self.has_task, task) != task {
            self.order(Order::Task { begin: task });
        }
        let Some(Background { is_back, .. }) = self.background.filter(|_| is_running) else {
            return;
        };
        let is_late = self.suspend_due().is_some_and(|at| at <= now);
        let nothing_to_lose = policy == BackgroundPolicy::Grace && is_idle;
        let is_over = nothing_to_lose || policy == BackgroundPolicy::Stop;
        if is_late || (is_over && !is_back) {
            self.suspend_now();
        }
    }
}

#[cfg(test)]
mod tests;
