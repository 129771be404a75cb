//! What the device changes in how workers serve.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::terms::{MemoryLevel, NetworkKind};
use crate::config::{Config, NetworkPolicy};

/// The longest time for which writes are collected: where power is scarce, and as the range
/// of `queue.background_coalesce` has it.
const LONGEST_WINDOW: Duration = Duration::from_millis(350);

/// The least that [`QueueConfig`](crate::config::QueueConfig) allows.
const LEAST_QUEUE: usize = 64 * 1024;
const LEAST_DELAY: Duration = Duration::from_millis(10);

/// How workers are to serve, as long as it stays so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// Writes are collected.
    pub(crate) collect: bool,
    /// For as long as may be.
    pub(crate) low_power: bool,
    /// Video is dropped before anybody gets it.
    pub(crate) audio_only: bool,
    pub(crate) memory: MemoryLevel,
    /// Streams whose publishers vanish are kept at least so long.
    pub(crate) grace: Duration,
    /// Addresses of this device, and what carries them.
    pub(crate) links: Arc<[(IpAddr, NetworkKind)]>,
}

impl Conditions {
    /// Whether writes to players are collected, and publishers read, for
    /// `queue.background_coalesce` at a time.
    pub(crate) fn collects(&self) -> bool {
        self.collect || self.low_power
    }

    /// The settings that hold under these conditions.
    pub(crate) fn applied_to(&self, config: &Arc<Config>) -> Arc<Config> {
        if !self.low_power && self.memory == MemoryLevel::Normal {
            return config.clone();
        }
        let mut changed = Config::clone(config);
        if self.low_power {
            changed.queue.background_coalesce = LONGEST_WINDOW;
        }
        if self.memory >= MemoryLevel::Moderate {
            changed.gop.min_duration = Duration::ZERO;
        }
        if self.memory >= MemoryLevel::Critical {
            changed.gop.max_duration = Duration::ZERO;
            let queue = &mut changed.queue;
            queue.max_bytes = (queue.max_bytes / 2).max(LEAST_QUEUE);
            queue.max_delay = (queue.max_delay / 2).max(LEAST_DELAY);
        }
        Arc::new(changed)
    }

    /// Why nobody new is let in at an address of this device, if so.
    pub(crate) fn refusal(
        &self,
        policy: NetworkPolicy,
        local: Option<IpAddr>,
    ) -> Option<&'static str> {
        if self.memory >= MemoryLevel::Critical {
            return Some("the device is short of memory");
        }
        if policy == NetworkPolicy::Any || local.is_some_and(|ip| ip.is_loopback()) {
            return None;
        }
        let known = self.links.iter().find(|(ip, _)| Some(*ip) == local);
        let kind = known.map_or(NetworkKind::Other, |(_, kind)| *kind);
        (!policy.admits(kind)).then_some("mobile.networks does not let anybody in from there")
    }
}

impl NetworkPolicy {
    /// Whether peers may come by a network of this kind.
    pub(crate) fn admits(self, kind: NetworkKind) -> bool {
        match self {
            NetworkPolicy::Any => true,
            NetworkPolicy::Wifi => !matches!(kind, NetworkKind::Cellular | NetworkKind::Vpn),
            NetworkPolicy::Cellular => kind == NetworkKind::Cellular,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_shrinks_caches_first_then_queues() {
        let config = Arc::new(Config::desktop());
        let with = |memory| Conditions {
            memory,
            ..Conditions::default()
        };
        let normal = with(MemoryLevel::Normal).applied_to(&config);
        assert!(Arc::ptr_eq(&normal, &config));
        let moderate = with(MemoryLevel::Moderate).applied_to(&config);
        assert_eq!(moderate.gop.min_duration, Duration::ZERO);
        assert_eq!(moderate.gop.max_duration, config.gop.max_duration);
        assert_eq!(moderate.queue, config.queue);
        let critical = with(MemoryLevel::Critical).applied_to(&config);
        assert_eq!(critical.gop.max_duration, Duration::ZERO);
        assert_eq!(critical.queue.max_bytes, config.queue.max_bytes / 2);
        assert_eq!(critical.queue.max_delay, config.queue.max_delay / 2);
        assert_eq!(critical.validate(), Ok(()));
    }

    #[test]
    fn networks_are_told_apart_by_the_local_address() {
        let wifi: IpAddr = "192.168.1.5".parse().unwrap();
        let cellular: IpAddr = "10.1.2.3".parse().unwrap();
        let unknown: IpAddr = "172.20.10.1".parse().unwrap();
        let conditions = Conditions {
            links: [(wifi, NetworkKind::Wifi), (cellular, NetworkKind::Cellular)].into(),
            ..Conditions::default()
        };
        let admits = |policy, ip| conditions.refusal(policy, Some(ip)).is_none();
        for ip in [wifi, cellular, unknown] {
            assert!(admits(NetworkPolicy::Any, ip));
        }
        assert!(admits(NetworkPolicy::Wifi, wifi) && admits(NetworkPolicy::Wifi, unknown));
        assert!(!admits(NetworkPolicy::Wifi, cellular));
        assert!(admits(NetworkPolicy::Cellular, cellular));
        assert!(!admits(NetworkPolicy::Cellular, wifi));
        assert!(admits(
            NetworkPolicy::Cellular,
            "127.0.0.1".parse().unwrap()
        ));
    }
}
