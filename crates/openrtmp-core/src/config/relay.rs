//! Streams passed on to other servers, and fetched from them.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::document;
use crate::relay::rule::{RelayError, Rule, RuleKind};
use crate::relay::template::UrlTemplate;

/// Streams passed on to other servers, and fetched from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RelayConfig {
    /// What is passed on.
    pub push: Vec<PushRule>,
    /// What is fetched.
    pub pull: Vec<PullRule>,
    /// The pause before another server is tried again, after the first failure: 10 ms to
    /// 1 h. It doubles with each failure in a row, and is longer or shorter by up to a
    /// quarter, so that many that failed at once do not come back at once.
    #[serde(with = "document::milliseconds")]
    pub retry_min: Duration,
    /// The same however many failed in a row: from `retry_min` to 1 day.
    #[serde(with = "document::milliseconds")]
    pub retry_max: Duration,
}

impl Default for RelayConfig {
    fn default() -> RelayConfig {
        RelayConfig {
            push: Vec::new(),
            pull: Vec::new(),
            retry_min: Duration::from_millis(500),
            retry_max: Duration::from_secs(30),
        }
    }
}

/// Streams that are published to another server as soon as they are published here, until
/// they end. The target is tried again (`relay.retry_min`) whenever it refuses, hangs or
/// goes away; the stream and its players notice nothing of it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PushRule {
    /// Which streams: a path (`app/name`) in which `*` stands for any characters.
    #[serde(rename = "match")]
    pub pattern: String,
    /// Where to: an RTMP URL, in which `{app}` and `{name}` stand for the stream's,
    /// percent-encoded. It may hold a key: `Debug` masks that.
    pub to: String,
}

/// Streams that are played from another server and published here.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PullRule {
    /// Which streams, by their names here, as [`PushRule::pattern`].
    #[serde(rename = "match")]
    pub pattern: String,
    /// Where from, as [`PushRule::to`].
    pub from: String,
    /// When.
    #[serde(default)]
    pub start: PullStart,
    /// A stream that is fetched on demand, and that nobody plays any more, is left after so
    /// long. Up to 1 day; 30 s unless told otherwise.
    #[serde(default = "half_a_minute", with = "document::milliseconds")]
    pub idle_timeout: Duration,
}

/// When a stream is fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PullStart {
    /// When somebody plays it that nobody publishes.
    #[default]
    Demand,
    /// From the server's start on. The rule names one stream, without `*`.
    Always,
}

fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}

impl PushRule {
    /// Passes on what `pattern` names to `to`.
    pub fn new(pattern: impl Into<String>, to: impl Into<String>) -> PushRule {
        PushRule {
            pattern: pattern.into(),
            to: to.into(),
        }
    }

    pub(crate) fn check(&self) -> Result<Rule, RelayError> {
        Rule::new(&self.pattern, &self.to, RuleKind::Push)
    }
}

impl PullRule {
    /// Fetches what `pattern` names from `from`, on demand.
    pub fn new(pattern: impl Into<String>, from: impl Into<String>) -> PullRule {
        PullRule {
            pattern: pattern.into(),
            from: from.into(),
            start: PullStart::Demand,
            idle_timeout: half_a_minute(),
        }
    }

    pub(crate) fn check(&self) -> Result<Rule, RelayError> {
        let kind = match self.start {
            PullStart::Demand => RuleKind::PullOnDemand(self.idle_timeout),
            PullStart::Always => RuleKind::PullAlways,
        };
        Rule::new(&self.pattern, &self.from, kind)
    }
}

/// As people may see it.
pub(super) fn shown(url: &str) -> String {
    match UrlTemplate::parse(url) {
        Ok(template) => template.to_string(),
        Err(_) => "***".to_owned(),
    }
}

impl fmt::Debug for PushRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushRule")
            .field("pattern", &self.pattern)
            .field("to", &shown(&self.to))
            .finish()
    }
}

impl fmt::Debug for PullRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullRule")
            .field("pattern", &self.pattern)
            .field("from", &shown(&self.from))
            .field("start", &self.start)
            .field("idle_timeout", &self.idle_timeout)
            .finish()
    }
}
