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
mod settings;
mod template;
mod told;
mod ways;

use std::time::Duration;

use openrtmp_protocol::session::ClientMode;

pub(crate) use hub::RelayHub;
pub(crate) use settings::Settings;
pub(crate) use template::UrlTemplate;
pub(crate) use told::{Order, Refusal, Streams};

use pattern::Pattern;
use template::shown;

use crate::config::{PullRule, PullStart, PushRule};
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

/// Why there can be no such rule. The text names neither keys nor queries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// The pattern is empty.
    #[error("the pattern is empty: a path such as live/* is expected")]
    EmptyPattern,
    /// The URL is none, or has placeholders that there are not.
    #[error("the URL: {0}")]
    Url(String),
    /// `rtmps://` without the feature `tls`.
    #[error("this build does not speak rtmps")]
    Tls,
    /// A stream that is always fetched needs a name.
    #[error("what is always fetched is one stream: its pattern may not hold *")]
    AlwaysNeedsName,
    /// As many rules as `limits.relay_rules` allows.
    #[error("as many rules as limits.relay_rules allows, {0}")]
    Full(usize),
    /// There is this rule already, of the host or of the settings.
    #[error("there is such a rule already: {0}")]
    Present(RelayId),
    /// The server is stopping, or has stopped.
    #[error("the server is stopping")]
    Stopping,
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

/// A rule that was checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rule {
    pub(crate) pattern: Pattern,
    pub(crate) url: UrlTemplate,
    pub(crate) kind: RuleKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RuleKind {
    Push,
    /// While it is played, and so long beyond.
    PullOnDemand(Duration),
    PullAlways,
}

impl RelayRule {
    /// Checks it.
    pub(crate) fn check(&self) -> Result<Rule, RelayError> {
        let (pattern, url, kind) = match self {
            RelayRule::Push(rule) => (&rule.pattern, &rule.to, RuleKind::Push),
            RelayRule::Pull(rule) => {
                let kind = match rule.start {
                    PullStart::Demand => RuleKind::PullOnDemand(rule.idle_timeout),
                    PullStart::Always => RuleKind::PullAlways,
                };
                (&rule.pattern, &rule.from, kind)
            }
        };
        let pattern = Pattern::new(pattern.trim_matches('/'));
        if pattern.as_str().is_empty() {
            return Err(RelayError::EmptyPattern);
        }
        if kind == RuleKind::PullAlways && !pattern.is_one_stream() {
            return Err(RelayError::AlwaysNeedsName);
        }
        let url = UrlTemplate::parse(url).map_err(|error| RelayError::Url(error.to_string()))?;
        if url.is_tls() && cfg!(not(feature = "tls")) {
            return Err(RelayError::Tls);
        }
        Ok(Rule { pattern, url, kind })
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
