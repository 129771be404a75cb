//! A rule by which streams are relayed, checked.

use std::time::Duration;

use super::pattern::Pattern;
use super::template::UrlTemplate;
use crate::id::RelayId;

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

impl Rule {
    /// For the streams that the pattern names; `url` is the other server's.
    pub(crate) fn new(pattern: &str, url: &str, kind: RuleKind) -> Result<Rule, RelayError> {
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
