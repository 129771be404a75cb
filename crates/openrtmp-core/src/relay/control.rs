//! Relays as the host and the settings have them.

use std::sync::atomic::Ordering;

use super::machine::Relays;
use super::{RelayError, RelayInfo, RelayRule, Rule, RuleKind, Settings};
use crate::Server;
use crate::config::Config;
use crate::id::{ConnectionId, RelayId};
use crate::limit::Limit;
use crate::secret::StreamName;
use crate::shared::Shared;

impl Server {
    /// Relays streams from now on, beside what the settings (`relay`) say: those that are
    /// published or played already too. The rule ends with [`Server::remove_relay`] or
    /// with the server.
    ///
    /// Each relayed stream is an outgoing connection, which counts in
    /// `limits.connections`; what is fetched counts in `limits.publishers`, and meets
    /// `streams.second_publisher`. [`Event::RelayStarted`](crate::Event::RelayStarted),
    /// [`Event::RelayFailed`](crate::Event::RelayFailed) and
    /// [`Event::RelayEnded`](crate::Event::RelayEnded) tell what becomes of it.
    ///
    /// ```no_run
    /// use openrtmp_core::{Config, PushRule, RelayRule, Server};
    ///
    /// let server = Server::builder(Config::desktop()).start()?;
    /// let rule = PushRule::new("live/*", "rtmp://backup.example.org/{app}/{name}");
    /// let relay = server.add_relay(&RelayRule::Push(rule))?;
    /// server.remove_relay(relay);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_relay(&self, rule: &RelayRule) -> Result<RelayId, RelayError> {
        let rule = rule.check()?;
        let shared = &self.shared;
        if shared.stopping.load(Ordering::Acquire) {
            return Err(RelayError::Stopping);
        }
        let limit = shared.config().limits.relay_rules;
        let begun = shared.begin_relay(
            rule,
            Some(|relays: &Relays, rule: &Rule| {
                if relays.added() >= limit {
                    return Err(RelayError::Full(limit));
                }
                match relays.same(rule) {
                    Some(present) => Err(RelayError::Present(present)),
                    None => Ok(()),
                }
            }),
        );
        if let Err(RelayError::Full(_)) = begun {
            shared.report_limit(Limit::RelayRules, None);
        }
        begun
    }

    /// Ends a rule that the host added, and its connections. False if there is none such.
    pub fn remove_relay(&self, relay: RelayId) -> bool {
        self.shared.end_relay(relay, Relays::is_added)
    }

    /// The rules, those of the settings among them, and what becomes of each stream.
    pub fn relays(&self) -> Vec<RelayInfo> {
        self.shared.relays.lock().list(self.shared.now())
    }
}

impl Shared {
    /// A rule that holds from now on, if `may` says so of those that there are: of the
    /// settings if nobody is asked.
    fn begin_relay(
        &self,
        rule: Rule,
        may: Option<impl FnOnce(&Relays, &Rule) -> Result<(), RelayError>>,
    ) -> Result<RelayId, RelayError> {
        #[cfg(feature = "tls")]
        if rule.url.is_tls()
            && let Err(error) = self.client_tls(false)
        {
            // Each attempt tells of it. It is read here so that no worker has to.
            log::warn!("a relay that needs TLS cannot go on: {error}");
        }
        let id = self.ids.relay();
        let configured = may.is_none();
        let mut begun = Ok(id);
        // Looked up while the relays are locked: what begins meanwhile is heard of after.
        let woken = self.relays.update(|relays| {
            if let Some(may) = may
                && let Err(error) = may(relays, &rule)
            {
                begun = Err(error);
                return;
            }
            let candidates = self.candidates(&rule);
            relays.add(self.now(), id, rule, configured, candidates);
        });
        self.wake_relays(woken);
        begun
    }

    /// Ends a rule, if `may` says so of those that there are. False if it does not.
    fn end_relay(&self, relay: RelayId, may: impl FnOnce(&Relays, RelayId) -> bool) -> bool {
        let mut ended = false;
        // Looked up and removed under one lock: of two who end it, one does.
        let woken = self.relays.update(|relays| {
            ended = may(relays, relay) && relays.remove(relay);
        });
        self.wake_relays(woken);
        ended
    }

    fn candidates(&self, rule: &Rule) -> Vec<(StreamName, Option<ConnectionId>)> {
        match rule.kind {
            RuleKind::Push => self.directory.lock().live(),
            RuleKind::PullOnDemand(_) => {
                let played = self.directory.lock().played();
                played.into_iter().map(|name| (name, None)).collect()
            }
            RuleKind::PullAlways => vec![(self.host_name(rule.pattern.as_str()), None)],
        }
    }

    /// What a connection of a relay, or ours to another server, brings has come through
    /// these servers. True if this is one of them, or they are too many.
    pub(crate) fn came_through(&self, connection: ConnectionId, via: Vec<u64>) -> bool {
        if via.is_empty() {
            return false;
        }
        if via.contains(&self.relays.id) {
            return true;
        }
        if via.len() > self.config().limits.relay_hops {
            self.report_limit(Limit::RelayHops, Some(connection));
            return true;
        }
        self.relays
            .update(|relays| relays.came_through(connection, via));
        false
    }

    /// The rules that the settings name hold, and no others of theirs.
    pub(crate) fn configure_relays(&self, config: &Config) {
        let settings = Settings::of(config);
        self.relays.lock().set(settings);
        let config = &config.relay;
        let push = config.push.iter().cloned().map(RelayRule::Push);
        let pull = config.pull.iter().cloned().map(RelayRule::Pull);
        // The settings were checked.
        let mut wanted: Vec<Rule> = push.chain(pull).filter_map(|r| r.check().ok()).collect();
        let present = self.relays.lock().configured();
        for (id, rule) in present {
            match wanted.iter().position(|wanted| *wanted == rule) {
                Some(same) => {
                    wanted.swap_remove(same);
                }
                None => {
                    self.end_relay(id, |_, _| true);
                }
            }
        }
        for rule in wanted {
            // Nobody says no.
            let _ = self.begin_relay(rule, None::<fn(&Relays, &Rule) -> Result<(), RelayError>>);
        }
    }
}
