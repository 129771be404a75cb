//! What relays need of the settings.

use super::backoff::Pauses;
use crate::config::Config;

/// What the settings say of all relays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) pauses: Pauses,
    /// Redirects that are followed in a row.
    pub(crate) redirects: u32,
    /// Servers that a stream may have come through.
    pub(crate) hops: usize,
}

impl Settings {
    pub(crate) fn of(config: &Config) -> Settings {
        Settings {
            pauses: Pauses {
                shortest: config.relay.retry_min,
                longest: config.relay.retry_max,
            },
            redirects: config.limits.relay_redirects,
            hops: config.limits.relay_hops,
        }
    }
}
