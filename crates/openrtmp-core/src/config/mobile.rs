//! What a server does on a phone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::document;

/// What becomes of the server when its program goes to the background.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BackgroundPolicy {
    /// The host is told to suspend it at once.
    Stop,
    /// It goes on for as long as the system lets it, if anybody is connected, and is
    /// suspended before that ends.
    #[default]
    Grace,
    /// While the program plays audible sound it goes on, without video; otherwise as
    /// `grace`.
    Audio,
    /// A service of the system keeps the program running (Android): started with the
    /// server. Where it does not run, as `grace`.
    Service,
    /// The host knows what to do.
    App,
}

/// By which networks peers may come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NetworkPolicy {
    /// By all.
    #[default]
    Any,
    /// By all but those of mobile operators, and tunnels, which may lead through them.
    Wifi,
    /// By those of mobile operators alone.
    Cellular,
}

/// What a server does on a phone, whose host tells what goes on
/// ([`Server::host`](crate::Server::host)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MobileConfig {
    /// What becomes of it in the background.
    pub background: BackgroundPolicy,
    /// How long before the system's time is over the host is told to suspend it, 1 s to
    /// 30 s.
    #[serde(with = "document::milliseconds")]
    pub suspend_margin: Duration,
    /// Streams whose publishers vanish while there is no network, or after it has changed,
    /// or with a suspension, are kept at least so long, up to 10 min.
    #[serde(with = "document::milliseconds")]
    pub network_grace: Duration,
    /// By which networks peers may come.
    pub networks: NetworkPolicy,
    /// The host is told to advertise the server in the local network (Bonjour, NSD). On
    /// Apple's systems that asks the user.
    pub advertise: bool,
}

impl Default for MobileConfig {
    fn default() -> MobileConfig {
        MobileConfig {
            background: BackgroundPolicy::default(),
            suspend_margin: Duration::from_secs(5),
            network_grace: Duration::from_secs(30),
            networks: NetworkPolicy::default(),
            advertise: false,
        }
    }
}
