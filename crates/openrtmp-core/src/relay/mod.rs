//! Relays: rules by which streams are passed on to other servers (push) and fetched from
//! them (pull), again and again, whatever happens to the connections.
//!
//! [`Relays`] decides, without sockets or clock: it is told what happens to streams,
//! players and connections, and hands out [`Order`]s. A server has one, which worker 0
//! carries on: whoever changes something wakes it. Each relayed stream is a
//! connection of its own, in the event loop like any other (see
//! [`outgoing`](crate::outgoing)), so that a target that hangs holds up nobody.

mod backoff;
mod control;
mod hub;
mod machine;
mod pattern;
pub(crate) mod rule;
mod settings;
pub(crate) mod template;
mod told;
mod ways;

use std::time::Duration;

use openrtmp_protocol::session::ClientMode;

pub(crate) use hub::RelayHub;
pub use rule::RelayError;
pub(crate) use rule::{Rule, RuleKind};
pub(crate) use settings::Settings;
pub(crate) use told::{Order, Refusal, Streams};

use template::shown;

use crate::config::{PullRule, PushRule};
use crate::id::{ConnectionId, RelayId};
use crate::secret::StreamName;

/// A rule by which streams are relayed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RelayRule {
    /// Streams of here are published elsewhere.
    Push(PushRule),
    /// Streams of elsewhere are published here.
    Pull(PullRule),
}

/// Which way streams go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelayDirection {
    /// From here to another server.
    Push,
    /// From another server to here.
    Pull,
}

/// A rule, and what becomes of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RelayInfo {
    /// Which.
    pub id: RelayId,
    /// Which way.
    pub direction: RelayDirection,
    /// Which streams, by their names here.
    pub pattern: String,
    /// The other server's URL, without the stream's name and without queries.
    pub url: String,
    /// True if the settings name it; otherwise the host added it.
    pub configured: bool,
    /// Its streams, by name.
    pub links: Vec<RelayLink>,
}

/// One stream of a rule.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RelayLink {
    /// Its name here.
    pub stream: StreamName,
    /// How it stands.
    pub state: RelayState,
    /// The connection, while there is one or one is tried.
    pub connection: Option<ConnectionId>,
    /// Connections that were tried.
    pub attempts: u64,
    /// Those that failed or broke.
    pub failures: u64,
    /// What the last failure was; empty if there was none.
    pub last_error: String,
}

/// How a relayed stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelayState {
    /// It is tried again in so long.
    Waiting(Duration),
    /// A connection is being made.
    Connecting,
    /// The other server granted it.
    Running,
    /// Nothing is tried: it came back to where it came from, or somebody else publishes
    /// what would be fetched.
    Parked,
}

impl RelayState {
    /// Its name in documents: `waiting`, `connecting`, `running`, `parked`.
    pub fn as_str(self) -> &'static str {
        match self {
            RelayState::Waiting(_) => "waiting",
            RelayState::Connecting => "connecting",
            RelayState::Running => "running",
            RelayState::Parked => "parked",
        }
    }
}

impl RelayDirection {
    /// Its name in documents: `push` or `pull`.
    pub fn as_str(self) -> &'static str {
        match self {
            RelayDirection::Push => "push",
            RelayDirection::Pull => "pull",
        }
    }
}

impl RelayRule {
    /// Checks it.
    pub(crate) fn check(&self) -> Result<Rule, RelayError> {
        match self {
            RelayRule::Push(rule) => rule.check(),
            RelayRule::Pull(rule) => rule.check(),
        }
    }
}

impl RuleKind {
    /// What the connection to the other server does there.
    fn mode(self) -> ClientMode {
        match self {
            RuleKind::Push => ClientMode::Publish,
            RuleKind::PullOnDemand(_) | RuleKind::PullAlways => ClientMode::Play,
        }
    }

    fn direction(self) -> RelayDirection {
        match self {
            RuleKind::Push => RelayDirection::Push,
            RuleKind::PullOnDemand(_) | RuleKind::PullAlways => RelayDirection::Pull,
        }
    }
}
