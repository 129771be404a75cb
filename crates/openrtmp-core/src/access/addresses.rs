//! Who may come from where, and which addresses guess.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, RwLock, RwLockReadGuard};
use std::time::Duration;

use openrtmp_protocol::Time;

use super::action::AccessAction;
use super::proxies::Proxies;
use crate::addresses::counted_as;
use crate::config::{AccessConfig, FailedAttemptsConfig, Network};
use crate::sync::{lock, read, write};

/// Addresses that are remembered for their failed attempts. Beyond them the one is
/// forgotten that was first.
const REMEMBERED: usize = 16_384;

/// `access.rules` and `access.trusted_proxies`, read.
#[derive(Default)]
pub(crate) struct AddressRules(RwLock<Read>);

#[derive(Default)]
struct Read {
    rules: Vec<Rule>,
    proxies: Proxies,
}

struct Rule {
    network: Network,
    allows: bool,
    app: Option<String>,
    action: Option<AccessAction>,
}

impl AddressRules {
    /// Of settings that were checked.
    pub(crate) fn new(config: &AccessConfig) -> AddressRules {
        let rules = AddressRules::default();
        rules.set(config);
        rules
    }

    pub(crate) fn set(&self, config: &AccessConfig) {
        let rules = config.rules.iter().filter_map(|rule| {
            let (network, allows) = rule.network()?;
            Some(Rule {
                network,
                allows,
                app: rule.app.clone(),
                action: rule.action,
            })
        });
        let rules = Read {
            rules: rules.collect(),
            proxies: Proxies::new(config),
        };
        *write(&self.0) = rules;
    }

    /// Whether somebody may come from there for this. The first rule that is about it
    /// decides.
    pub(crate) fn allow(&self, address: IpAddr, action: AccessAction, app: &str) -> bool {
        let read = self.read();
        let is_about = |rule: &&Rule| {
            rule.network.contains(address)
                && rule.action.is_none_or(|of| of == action)
                && rule.app.as_ref().is_none_or(|of| of == app)
        };
        read.rules
            .iter()
            .find(is_about)
            .is_none_or(|rule| rule.allows)
    }

    /// Whether what comes from there may say from where it really comes.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.read().proxies.trusts(address)
    }

    /// Who asks, behind these proxies.
    pub(crate) fn origin<'a>(
        &self,
        peer: IpAddr,
        fields: impl DoubleEndedIterator<Item = &'a [u8]>,
    ) -> IpAddr {
        self.read().proxies.origin(peer, fields)
    }

    fn read(&self) -> RwLockReadGuard<'_, Read> {
        read(&self.0)
    }
}

/// Failed attempts by address, as far as they count.
#[derive(Default)]
pub(crate) struct FailedAttempts(Mutex<Table>);

#[derive(Default)]
struct Table {
    entries: HashMap<IpAddr, Entry>,
    /// In the order in which they came, each once.
    order: VecDeque<(IpAddr, Time)>,
}

struct Entry {
    /// When the first of them came.
    since: Time,
    count: u32,
    blocked_until: Option<Time>,
}

impl Entry {
    fn is_blocked(&self, now: Time) -> bool {
        self.blocked_until.is_some_and(|until| now < until)
    }

    /// Nothing comes of it any more.
    fn is_over(&self, now: Time, window: Duration) -> bool {
        !self.is_blocked(now) && (self.blocked_until.is_some() || now.since(self.since) >= window)
    }
}

impl FailedAttempts {
    /// An attempt of this address failed. True if it is blocked from now on.
    pub(crate) fn note(&self, peer: IpAddr, config: &FailedAttemptsConfig, now: Time) -> bool {
        if config.limit == 0 {
            return false;
        }
        let (address, mut table) = (counted_as(peer), lock(&self.0));
        let known = table.entries.get(&address);
        if known.is_none_or(|entry| entry.is_over(now, config.window)) {
            table.insert(address, now);
        }
        let Some(entry) = table.entries.get_mut(&address) else {
            return false;
        };
        entry.count = entry.count.saturating_add(1);
        let blocks = entry.count >= config.limit && entry.blocked_until.is_none();
        if blocks {
            entry.blocked_until = Some(now + config.block);
        }
        blocks
    }

    /// An attempt of this address succeeded: those that failed before are forgotten.
    pub(crate) fn clear(&self, peer: IpAddr) {
        lock(&self.0).entries.remove(&counted_as(peer));
    }

    pub(crate) fn is_blocked(&self, peer: IpAddr, now: Time) -> bool {
        let table = lock(&self.0);
        let entry = table.entries.get(&counted_as(peer));
        entry.is_some_and(|entry| entry.is_blocked(now))
    }
}

impl Table {
    fn insert(&mut self, address: IpAddr, now: Time) {
        let entry = Entry {
            since: now,
            count: 0,
            blocked_until: None,
        };
        self.entries.insert(address, entry);
        self.order.push_back((address, now));
        while self.order.len() > REMEMBERED
            && let Some((oldest, since)) = self.order.pop_front()
        {
            // It may have been forgotten, and come again.
            if self.entries.get(&oldest).is_some_and(|e| e.since == since) {
                self.entries.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AddressRule;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_rule_that_is_about_an_attempt_decides() {
        let rules = vec![
            AddressRule::deny("192.0.2.7"),
            AddressRule::allow("192.0.2.0/24"),
            AddressRule::deny("::/0")
                .in_app("studio")
                .for_action(AccessAction::Publish),
            AddressRule::deny("198.51.100.0/24").for_action(AccessAction::Play),
        ];
        let config = AccessConfig {
            rules,
            ..AccessConfig::default()
        };
        let rules = AddressRules::new(&config);
        for (address, action, app, allowed) in [
            ("192.0.2.7", AccessAction::Connect, "live", false),
            ("192.0.2.8", AccessAction::Publish, "studio", true),
            ("::ffff:192.0.2.8", AccessAction::Publish, "studio", true),
            ("203.0.113.1", AccessAction::Publish, "studio", false),
            ("203.0.113.1", AccessAction::Publish, "live", true),
            ("203.0.113.1", AccessAction::Play, "studio", true),
            ("198.51.100.1", AccessAction::Play, "live", false),
            ("2001:db8::1", AccessAction::Publish, "studio", false),
        ] {
            assert_eq!(
                rules.allow(ip(address), action, app),
                allowed,
                "{address} {app}"
            );
        }
        rules.set(&AccessConfig::default());
        assert!(rules.allow(ip("192.0.2.7"), AccessAction::Connect, "live"));
    }

    #[test]
    fn so_many_failures_in_a_window_block_for_a_while() {
        let config = FailedAttemptsConfig::default();
        let failed = FailedAttempts::default();
        let peer = ip("192.0.2.7");
        for n in 0..4 {
            assert!(!failed.note(peer, &config, at(n)));
        }
        // The window is over: they count anew.
        for n in 60..64 {
            assert!(!failed.note(peer, &config, at(n)));
        }
        assert!(
            failed.note(ip("::ffff:192.0.2.7"), &config, at(64)),
            "the same, mapped"
        );
        assert!(!failed.note(peer, &config, at(65)), "it is blocked already");
        assert!(failed.is_blocked(peer, at(363)));
        assert!(!failed.is_blocked(ip("192.0.2.8"), at(100)));
        assert!(!failed.is_blocked(peer, at(364)));
        assert!(!failed.note(peer, &config, at(365)), "the first again");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_success_clears() {
        let config = FailedAttemptsConfig::default();
        let failed = FailedAttempts::default();
        for n in 0..4 {
            failed.note(ip(&format!("2001:db8::{n}")), &config, at(n));
        }
        failed.clear(ip("2001:db8::ffff"));
        for n in 4..8 {
            assert!(!failed.note(ip(&format!("2001:db8::{n}")), &config, at(n)));
        }
        assert!(failed.note(ip("2001:db8::9"), &config, at(9)));
        assert!(!failed.is_blocked(ip("2001:db8:0:1::1"), at(9)));
    }

    #[test]
    fn the_table_is_bounded_and_may_be_off() {
        let config = FailedAttemptsConfig::default();
        let failed = FailedAttempts::default();
        for n in 0..3 * REMEMBERED as u32 {
            let address = std::net::Ipv4Addr::from(n);
            // Some come and go.
            failed.note(address.into(), &config, at(1));
            if n % 3 == 0 {
                failed.clear(address.into());
            }
        }
        let table = lock(&failed.0);
        assert!(table.order.len() <= REMEMBERED && table.entries.len() <= REMEMBERED);
        drop(table);
        let off = FailedAttemptsConfig { limit: 0, ..config };
        for _ in 0..100 {
            assert!(!failed.note(ip("192.0.2.7"), &off, at(1)));
        }
    }
}
