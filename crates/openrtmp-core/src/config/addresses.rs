//! Settings about the addresses that peers come from.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::document;
use super::network::Network;
use crate::access::action::AccessAction;

/// A rule about who may come from where: `{"allow": "10.0.0.0/8"}`,
/// `{"deny": "0.0.0.0/0", "app": "live", "action": "publish"}`.
///
/// The first rule that is about an attempt decides; what none is about is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AddressRule {
    /// Addresses that may: a network (`10.0.0.0/8`, `2001:db8::/32`) or one address.
    /// IPv4 addresses that are mapped into IPv6 are IPv4 addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<String>,
    /// Addresses that may not. A rule has one of the two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny: Option<String>,
    /// In this app alone; `None`: in every.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// For this alone; `None`: whatever somebody wants to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<AccessAction>,
}

/// What becomes of addresses that guess: with wrong keys, or what the host refuses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FailedAttemptsConfig {
    /// So many failed attempts of one address (of IPv6: one /64) within `window` block it;
    /// 0: none do. An attempt that succeeds with a key, or with the host's consent, makes
    /// those before it forgotten. Addresses of `access.trusted_proxies` are never blocked.
    pub limit: u32,
    /// 1 s to 1 day.
    #[serde(with = "document::milliseconds")]
    pub window: Duration,
    /// How long a blocked address is closed at once, and refused whatever it wants on
    /// connections that it has. 1 s to 30 days.
    #[serde(with = "document::milliseconds")]
    pub block: Duration,
}

impl Default for FailedAttemptsConfig {
    fn default() -> FailedAttemptsConfig {
        FailedAttemptsConfig {
            limit: 5,
            window: Duration::from_secs(60),
            block: Duration::from_secs(300),
        }
    }
}

impl AddressRule {
    /// Addresses that may.
    pub fn allow(network: impl Into<String>) -> AddressRule {
        AddressRule {
            allow: Some(network.into()),
            ..AddressRule::default()
        }
    }

    /// Addresses that may not.
    pub fn deny(network: impl Into<String>) -> AddressRule {
        AddressRule {
            deny: Some(network.into()),
            ..AddressRule::default()
        }
    }

    /// In this app alone.
    pub fn in_app(mut self, app: impl Into<String>) -> AddressRule {
        self.app = Some(app.into());
        self
    }

    /// For this alone.
    pub fn for_action(mut self, action: AccessAction) -> AddressRule {
        self.action = Some(action);
        self
    }

    /// The network, and whether it may; `None` if the rule is not right.
    pub(crate) fn network(&self) -> Option<(Network, bool)> {
        match (&self.allow, &self.deny) {
            (Some(network), None) => Some((Network::parse(network)?, true)),
            (None, Some(network)) => Some((Network::parse(network)?, false)),
            _ => None,
        }
    }
}
