//! What all threads of a server share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use openrtmp_protocol::Time;
use openrtmp_protocol::session::ServerConfig;

use crate::access::{AccessRequest, KeyRing};
use crate::addresses::Addresses;
use crate::budget::Budget;
use crate::config::Config;
use crate::dispatch::Dispatcher;
use crate::events::Event;
use crate::log_limit::LogLimit;
use crate::metrics::Metrics;
use crate::stream::directory::{ClaimRules, Directory};
use crate::tap::Tapped;
use crate::worker::inbox::{Command, Inbox};

/// What all threads of a server share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) session: ServerConfig,
    pub(crate) directory: Directory,
    pub(crate) budget: Arc<Budget>,
    /// One per worker.
    pub(crate) inboxes: Vec<Inbox>,
    pub(crate) events: Dispatcher<Event>,
    pub(crate) access: Dispatcher<AccessRequest>,
    pub(crate) publish_keys: KeyRing,
    pub(crate) play_keys: KeyRing,
    pub(crate) log_limit: Arc<LogLimit>,
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) connections: AtomicUsize,
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    /// Connections closed at the end of a stop's grace.
    pub(crate) forced: AtomicUsize,
    pub(crate) next_host_publisher: AtomicU64,
    pub(crate) stopping: AtomicBool,
    /// The workers are gone: nobody takes what is sent to them.
    pub(crate) stopped: AtomicBool,
    pub(crate) started: Time,
    /// The platform's monotonic clock.
    pub(crate) clock: Box<dyn Fn() -> Time + Send + Sync>,
}

impl Shared {
    pub(crate) fn now(&self) -> Time {
        (self.clock)()
    }

    pub(crate) fn claim_rules(&self) -> ClaimRules {
        ClaimRules {
            policy: self.config.streams.second_publisher,
            publisher_timeout: self.config.streams.publisher_timeout,
            max_publishers: self.config.limits.publishers,
        }
    }

    /// Adds a tap on every stream.
    pub(crate) fn tap_all(&self, tapped: &Arc<Tapped>) {
        let mut directory = self.directory.lock();
        for (stream, home) in directory.tap_all(tapped.clone()) {
            self.inboxes[home].send(Command::Tap {
                stream,
                tap: tapped.clone(),
            });
        }
    }

    /// Nothing more comes out of any tap.
    pub(crate) fn close_taps(&self) {
        for tap in self.directory.lock().take_taps() {
            tap.close();
        }
    }

    /// What is known without asking the workers.
    pub(crate) fn base_metrics(&self) -> Metrics {
        Metrics {
            uptime_seconds: self.now().since(self.started).as_secs_f64(),
            publishers: self.directory.lock().publishers(),
            accepted: self.accepted.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            memory: self.budget.used(),
            ..Metrics::default()
        }
    }
}
