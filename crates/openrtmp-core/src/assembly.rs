//! A server put together.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};

use crate::access::{
    AccessRequest, AddressRules, FailedAttempts, KeyRing, KeyStore, Users, read_keys,
};
use crate::budget::Budget;
use crate::config::Config;
use crate::dispatch::{AwaitedThread, Dispatcher, Inlet};
use crate::drain::state::Drain;
use crate::error::StartError;
use crate::events::Event;
use crate::id::next_server_id;
#[cfg(feature = "tls")]
use crate::inbox::Command;
use crate::inbox::Inbox;
use crate::locations::Locations;
use crate::log_limit::LogLimit;
use crate::mobile::{Machine, Order};
use crate::newcomers::Newcomers;
use crate::placement::Placement;
use crate::platform::Platform;
use crate::rate::SharedRate;
use crate::record::losses::RecordingLosses;
use crate::record::{Recorder, selected};
use crate::relay::{RelayHub, Settings};
use crate::secret::Masks;
use crate::server::{Recording, Running, Server, ServerBuilder, system};
use crate::shared::Shared;
use crate::stream::directory::Directory;
use crate::threads::WorksFor;
#[cfg(feature = "tls")]
use crate::tls::{ServerTls, Surroundings};
use crate::worker::{Handoff, Listening, Worker};

/// A server put together but not yet moving: threads take it from here, or a
/// simulation.
pub(crate) struct Assembly<P: Platform> {
    pub(crate) shared: Arc<Shared>,
    pub(crate) workers: Vec<Worker<P>>,
    pub(crate) recorder: Option<Recorder<P>>,
    pub(crate) events: Option<Inlet<Event>>,
    pub(crate) access: Option<Inlet<AccessRequest>>,
    pub(crate) orders: Option<Inlet<Order>>,
}

impl<P: Platform> Assembly<P> {
    pub(crate) fn new(platform: P, builder: ServerBuilder) -> Result<Assembly<P>, StartError> {
        let config = builder.config;
        config.validate()?;
        config.check_callback(builder.on_access.is_none())?;
        let key_records = read_keys(config.access.keys_file.as_deref())?;
        let platform = Arc::new(platform);
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for &listen in &config.listen {
            let address = listen.address;
            let listening = Listening::bind(&*platform, listen)
                .map_err(|source| StartError::Listen { address, source })?;
            addresses.push(listening.address);
            listeners.push(listening);
        }

        #[cfg(feature = "tls")]
        let tls = match config.speaks_tls() {
            true => {
                let interfaces = platform.interfaces().unwrap_or_default();
                let here = Surroundings {
                    addresses: interfaces.iter().map(|i| i.address).collect(),
                    now: platform.wall_clock(),
                };
                Some(Arc::new(ServerTls::new(&config.tls, &here, None)?))
            }
            false => None,
        };

        let count = config.worker_count();
        let (mut inboxes, mut seats) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (poller, waker) = platform.poller().map_err(system("poller"))?;
            let (inbox, receiver) = Inbox::new(Box::new(waker));
            inboxes.push(inbox);
            seats.push((poller, receiver));
        }
        let (events, event_inlet) = match builder.on_event {
            Some(callback) => {
                let lost_item = |count| Event::Lost { count };
                let (dispatcher, inlet) =
                    Dispatcher::weighing(Event::held_bytes, callback, Some(lost_item));
                (dispatcher, Some(inlet))
            }
            None => (Dispatcher::none(), None),
        };
        let (access, access_inlet) = match builder.on_access {
            Some(callback) => {
                // Counted with the connections that ask.
                let (dispatcher, inlet) = Dispatcher::new(callback, None);
                (dispatcher, Some(inlet))
            }
            None => (Dispatcher::none(), None),
        };
        let (orders, order_inlet) = match builder.on_order {
            Some(callback) => {
                let (dispatcher, inlet) = Dispatcher::new(callback, None);
                (dispatcher, Some(inlet))
            }
            None => (Dispatcher::none(), None),
        };
        let mut key = [0; 80];
        platform
            .fill_random(&mut key)
            .map_err(system("random number"))?;
        let masks = Masks::new(std::array::from_fn(|at| key[at]));
        let relay_settings = Settings::of(&config);
        let clock = platform.clone();
        let wall_clock = platform.clone();
        let interfaces = platform.clone();
        let shared = Arc::new(Shared {
            id: builder.id.unwrap_or_else(next_server_id),
            directory: Directory::new(builder.ids.clone()),
            ids: builder.ids,
            #[cfg(feature = "tls")]
            tls: Mutex::new(tls),
            #[cfg(feature = "tls")]
            challenges: Mutex::default(),
            #[cfg(feature = "tls")]
            client_tls: Mutex::default(),
            budget: Budget::new(config.limits.memory),
            inboxes,
            events,
            access,
            orders,
            mobile: Mutex::new(Machine::new(config.mobile.clone())),
            load: Mutex::default(),
            turning: Mutex::default(),
            listening: Mutex::new(addresses.clone()),
            users: Users::new(
                std::array::from_fn(|at| key[48 + at]),
                &config.access,
                config.limits.challenges,
            ),
            publish_keys: KeyRing::new(config.access.publish_keys.iter().cloned()),
            play_keys: KeyRing::new(config.access.play_keys.iter().cloned()),
            key_records: KeyStore::new(key_records),
            address_rules: AddressRules::new(&config.access),
            failed_attempts: FailedAttempts::default(),
            secret_names: AtomicBool::new(config.access.secret_names),
            masks,
            newcomers: Newcomers::default(),
            publisher_addresses: Arc::default(),
            wrong_keys: AtomicU64::new(0),
            outgoing: SharedRate::new(count),
            log_limit: Arc::new(LogLimit::new(config.limits.log_lines)),
            series: Mutex::default(),
            addresses: Arc::default(),
            config: Mutex::new(Arc::new(config)),
            locations: Locations::default(),
            placement: Placement::new(count),
            lost_listeners: Mutex::default(),
            accept_failure: Mutex::default(),
            connections: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            forced: AtomicUsize::new(0),
            next_host_publisher: AtomicU64::new(0),
            recording_losses: RecordingLosses::default(),
            relays: RelayHub::new(number(&key[32..40]), number(&key[40..48]), relay_settings),
            drain: Drain::default(),
            stopping: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            started: platform.now(),
            clock: Box::new(move || clock.now()),
            interfaces: Box::new(move || interfaces.interfaces()),
            wall_clock: Box::new(move || wall_clock.wall_clock()),
        });
        let handoff = Arc::new(Handoff::new(count));
        let mut workers = Vec::with_capacity(count);
        for (index, (poller, receiver)) in seats.into_iter().enumerate() {
            let (platform, shared, handoff) = (platform.clone(), shared.clone(), handoff.clone());
            workers.push(Worker::new(
                index, platform, shared, poller, receiver, handoff,
            ));
        }
        workers[0]
            .add_listeners(listeners)
            .map_err(system("poller"))?;
        #[cfg(feature = "tls")]
        shared.inboxes[0].send(Command::LookAtCertificates);

        let recorder = shared.config().record.clone().map(|record| {
            let selection = selected(&record);
            let recorder = Recorder::new(platform, record, selection, shared.clone());
            recorder.tap().attach(&shared);
            recorder
        });
        let config = shared.config();
        shared.configure_relays(&config);
        shared.look_at_networks();
        shared.events.send(Event::ServerStarted {
            listen: addresses.clone(),
        });
        Ok(Assembly {
            shared,
            workers,
            recorder,
            events: event_inlet,
            access: access_inlet,
            orders: order_inlet,
        })
    }

    /// The host's handle for a simulation, which moves the parts itself.
    #[cfg(test)]
    pub(crate) fn handle(&self) -> Server {
        Server::of(self.shared.clone(), None)
    }

    /// Gives everything its thread.
    pub(crate) fn run(self) -> Result<Server, StartError> {
        let _here = WorksFor::server(self.shared.id);
        // What does not start says what is wrong and nothing else.
        report_settings(&self.shared.config());
        let mut running = Running::default();
        let spawn = || -> io::Result<()> {
            if let Some(inlet) = self.events {
                running.events = Some(inlet.spawn("openrtmp-events")?);
            }
            if let Some(inlet) = self.access {
                running.access = Some(inlet.spawn("openrtmp-access")?);
            }
            if let Some(inlet) = self.orders {
                running.orders = Some(inlet.spawn("openrtmp-orders")?);
            }
            if let Some(recorder) = self.recorder {
                running.recorder = Some(Recording::spawn(recorder)?);
            }
            for (index, mut worker) in self.workers.into_iter().enumerate() {
                let name = format!("openrtmp-{index}");
                let thread = AwaitedThread::spawn(&name, move || worker.run())?;
                running.workers.push(thread);
            }
            Ok(())
        };
        let spawned = spawn();
        // On an error the handle's drop stops what was started.
        let server = Server::of(self.shared, Some(running));
        spawned.map_err(system("thread"))?;
        Ok(server)
    }
}

/// What a server begins with, in its log.
fn report_settings(config: &Config) {
    let others = config.differences(&Config::desktop());
    if !others.is_empty() {
        log::info!("settings other than the defaults: {}", others.join(", "));
    }
    if log::log_enabled!(log::Level::Debug) {
        for line in config.masked_lines() {
            log::debug!("settings: {line}");
        }
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}
