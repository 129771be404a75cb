//! What the host of a server on a phone tells, and what it is told.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::config::MobileConfig;
use crate::id::StreamId;

/// What carries a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NetworkKind {
    /// A wireless network that this device has joined.
    Wifi,
    /// A cable.
    Ethernet,
    /// A mobile operator's network.
    Cellular,
    /// A wireless network that this device opened for others.
    Hotspot,
    /// A cable to a computer or another phone (tethering).
    Usb,
    /// A tunnel.
    Vpn,
    /// Anything else, and what nothing is known of.
    #[default]
    Other,
}

/// A network that the system says this device is connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceNetwork {
    /// Its interface, such as `wlan0` or `en0`.
    pub name: String,
    /// What carries it.
    pub kind: NetworkKind,
    /// What is sent costs money, or counts.
    pub metered: bool,
    /// The user asked programs to send little there.
    pub constrained: bool,
    /// Where the system sends what has no better way.
    pub is_default: bool,
    /// This device's addresses there.
    pub addresses: Vec<IpAddr>,
}

impl DeviceNetwork {
    /// One that nothing more is known of.
    pub fn new(name: impl Into<String>, kind: NetworkKind) -> DeviceNetwork {
        DeviceNetwork {
            name: name.into(),
            kind,
            ..DeviceNetwork::default()
        }
    }
}

/// What a user may refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Permission {
    /// Devices of the local network: on Android 17 they reach the server with it alone, on
    /// Apple's systems it is needed to advertise and to connect to them.
    LocalNetwork,
    /// Showing notices.
    Notifications,
}

/// What a user said about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PermissionState {
    /// Nothing yet, or the system does not tell.
    Unknown,
    /// Yes.
    Granted,
    /// No.
    Denied,
}

/// How hot the device is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ThermalState {
    /// Not.
    #[default]
    Nominal,
    /// A little.
    Fair,
    /// The system slows down: treated as little power.
    Serious,
    /// The system is about to stop things: the same.
    Critical,
}

/// How the device is off for power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Power {
    /// The user, or the system, wants to save it.
    pub low_power: bool,
    /// The device rests (Doze).
    pub device_idle: bool,
    /// How hot it is.
    pub thermal: ThermalState,
}

impl Power {
    /// What the system tells.
    pub fn new(low_power: bool, device_idle: bool, thermal: ThermalState) -> Power {
        Power {
            low_power,
            device_idle,
            thermal,
        }
    }

    /// Fewer and larger writes are worth their delay.
    pub(crate) fn is_scarce(self) -> bool {
        self.low_power || self.thermal >= ThermalState::Serious
    }
}

/// How the device is off for memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MemoryLevel {
    /// Well enough.
    #[default]
    Normal,
    /// Of each stream one GOP is kept.
    Moderate,
    /// None is, queues are half as long, and nobody new is let in.
    Critical,
}

/// What became of the service that keeps the program running (Android).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ServiceState {
    /// It runs.
    Started,
    /// The system did not let it start.
    Refused,
    /// The system's time for it is over.
    TimedOut,
    /// The user ended it.
    Stopped,
}

/// What the host is to do about the service that keeps its program running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ServiceOrder {
    /// Start it, while the program is in front.
    Start,
    /// Show other numbers.
    Update,
    /// It is not needed any more.
    Stop,
}

/// What the host is to do. Handed to [`ServerBuilder::on_order`](crate::ServerBuilder).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "order", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Order {
    /// Something is streamed: hold the locks that keep processor and Wi-Fi awake; or let
    /// them go.
    KeepAwake {
        /// The processor.
        cpu: bool,
        /// The radio of the Wi-Fi.
        wifi: bool,
    },
    /// Of `mobile.background` = `service`.
    Service {
        /// What to do.
        action: ServiceOrder,
        /// Streams that are live, to be shown.
        streams: usize,
        /// Connections, to be shown.
        connections: usize,
    },
    /// Ask the system for time in the background, or give it back.
    Task {
        /// Ask for it.
        begin: bool,
    },
    /// Tell the local network of the server (Bonjour, NSD), or stop that.
    Advertise {
        /// Where it listens; `None`: stop.
        port: Option<u16>,
        /// What to tell besides, such as `v=1 app=live tls=0`.
        txt: String,
    },
    /// The user has not been asked for this, and it is needed. When to ask is the host's
    /// to say; nothing else is asked for before it tells the answer.
    AskPermission {
        /// What for.
        permission: Permission,
    },
    /// Call [`Host::suspend`](crate::Host::suspend) now: the system is about to stop the
    /// program, or its setting says so.
    SuspendNow,
}

/// What [`Host::suspend`](crate::Host::suspend) did. All zero for a server that is
/// suspended already, or stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SuspendReport {
    /// Listening sockets that were closed.
    pub listeners: usize,
    /// Connections that were told.
    pub told: usize,
    /// Connections that are closed.
    pub closed: usize,
    /// Recorders whose files are on the disk as far as they were written.
    pub recordings: usize,
    /// All was done in time. What was not is done when its thread gets to it.
    pub in_time: bool,
}

/// What [`Host::resume`](crate::Host::resume) found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ResumeReport {
    /// Listening sockets that were there still.
    pub alive: usize,
    /// Those that were bound again, on the same ports.
    pub remade: usize,
    /// Those that could not be had yet; they are tried again.
    pub failed: usize,
    /// Connections whose sockets the system had taken.
    pub connections_lost: usize,
    /// All was done in time, and nothing came in between.
    pub in_time: bool,
}

/// What a server costs in power, since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PowerStats {
    /// How often a worker went on after waiting.
    pub wake_ups: u64,
    /// Calls of the system for sockets: waiting, accepting, reading, writing.
    pub system_calls: u64,
    /// Time that workers did not wait, of all together.
    pub active: Duration,
}

impl PowerStats {
    pub(crate) fn add(&mut self, other: &PowerStats) {
        self.wake_ups += other.wake_ups;
        self.system_calls += other.system_calls;
        self.active += other.active;
    }
}

/// What is going on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) streams: usize,
    pub(crate) players: usize,
    pub(crate) connections: usize,
}

/// What is live, as events tell it.
#[derive(Debug, Default)]
pub(crate) struct LiveLoad {
    pub(super) streams: BTreeSet<StreamId>,
    pub(super) players: usize,
}

/// A worker's part of a suspension.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Suspended {
    pub(crate) listeners: usize,
    pub(crate) told: usize,
    pub(crate) closed: usize,
}

/// A worker's part of the way back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Resumed {
    pub(crate) alive: usize,
    pub(crate) remade: usize,
    pub(crate) failed: usize,
    pub(crate) connections_lost: usize,
}

/// What the machine is told.
#[derive(Clone, Debug)]
pub(crate) enum Signal {
    /// The settings in force.
    Configure(MobileConfig),
    /// Where the first listener that speaks RTMP listens, and whether over TLS.
    Listening(Option<(u16, bool)>),
    Background {
        remaining: Option<Duration>,
        load: Load,
    },
    RemainingTime(Duration),
    /// A suspension begins.
    Suspend,
    /// It is over with.
    Suspended(SuspendReport),
    /// The way back begins.
    Resume,
    /// It is over with.
    Resumed {
        away: Duration,
        report: ResumeReport,
    },
    Foreground,
    Networks(Vec<DeviceNetwork>),
    Permission(Permission, PermissionState),
    Power(Power),
    Memory(MemoryLevel),
    Audio(bool),
    Service(ServiceState),
    /// Writes are to be collected, whatever else is told.
    Collect(bool),
    Load(Load),
    /// What was found after [`super::machine::Output::Refresh`].
    Found {
        urls: Vec<String>,
        links: Arc<[(IpAddr, NetworkKind)]>,
    },
    Stop,
}
