use std::net::SocketAddr;
use std::ops::{Index, IndexMut, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use openrtmp_protocol::session::{
    Capabilities, ClientConfig, ClientMode, ClientSession, MediaKind,
};
use openrtmp_protocol::{RtmpUrl, Time};

use super::line::Line;
use super::media;
use super::peer::Peer;
use crate::access::AccessRequest;
use crate::assembly::Assembly;
use crate::config::{Config, RecordConfig};
use crate::dispatch::Inlet;
use crate::error::StartError;
use crate::events::{CloseReason, Event};
use crate::inbox::Command as Order;
use crate::metrics::{Metrics, WorkerReport};
use crate::placement::Rule;
use crate::platform::Platform;
use crate::platform::sim::{self, Sim};
use crate::record::{Recorder, RecorderTap};
use crate::secret::StreamName;
use crate::server::Server;
use crate::shared::Shared;
use crate::steps;
use crate::stream::tap_queue::Selection;
#[cfg(feature = "tls")]
use crate::tls::ClientTls;
use crate::worker::Worker;

pub(super) const ADDRESS: &str = "127.0.0.1:1935";

/// Milliseconds from one video frame of [`World::stream`] to the next.
pub(super) const FRAME: u64 = 40;

/// Virtual time after which something that should have happened did not.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A server, its clients and the time.
pub(super) struct World {
    pub(super) sim: Sim,
    pub(super) server: Arc<Server>,
    pub(super) shared: Arc<Shared>,
    /// Where it listens.
    pub(super) address: SocketAddr,
    workers: Vec<Option<Worker<Sim>>>,
    pollers: Vec<usize>,
    /// With a processor of its own, a worker is busy for as long as its work takes.
    processor: Option<Processor>,
    busy_until: Vec<Time>,
    /// The most that a turn cost beyond what its code said.
    uncounted: u64,
    recorders: Vec<Recording>,
    /// Recorders wait for their disk.
    pub(super) disk_hangs: bool,
    /// A worker that does not get on.
    frozen: Option<usize>,
    events_inlet: Option<Inlet<Event>>,
    access_inlet: Option<Inlet<AccessRequest>>,
    events: Arc<Mutex<Vec<Event>>>,
    requests: Arc<Mutex<Vec<AccessRequest>>>,
    peers: Vec<Peer>,
    /// What clients speak; `None`: no TLS.
    #[cfg(feature = "tls")]
    pub(super) client_tls: Option<ClientTls>,
}

/// What a worker's processor can do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Processor {
    /// Units of work in a microsecond; a desktop's does a thousand.
    pub(super) speed: u64,
}

/// What a step costs that says nothing of its cost, in units of work.
const STEP: u64 = 20;

/// A recorder that the world gives its turns.
struct Recording {
    /// The stream, if the host asked for it.
    name: Option<StreamName>,
    recorder: Recorder<Sim>,
    tap: Arc<RecorderTap>,
}

impl Recording {
    fn new(name: Option<StreamName>, recorder: Recorder<Sim>) -> Recording {
        let tap = recorder.tap();
        Recording {
            name,
            recorder,
            tap,
        }
    }

    fn complete(mut self) {
        self.tap.close();
        while self.recorder.turn() {}
        self.recorder.finish_all();
    }
}

/// What a world is made of.
pub(super) struct Setup {
    pub(super) config: Config,
    pub(super) network: sim::Config,
    pub(super) seed: u64,
    /// Who serves whom.
    pub(super) placement: Rule,
    /// The host is asked; its requests wait in [`World::requests`].
    pub(super) host_decides: bool,
    /// Work takes time.
    pub(super) processor: Option<Processor>,
}

impl Setup {
    pub(super) fn new(workers: usize) -> Setup {
        let mut config = Config::desktop();
        config.listen = vec![address().into()];
        config.workers = workers;
        // All clients come from one address, and many guess.
        config.access.failed_attempts.limit = 0;
        Setup {
            config,
            network: sim::Config::default(),
            seed: 1,
            placement: Rule::Fixed,
            host_decides: false,
            processor: None,
        }
    }

    pub(super) fn build(self) -> World {
        let sim = Sim::with_config(self.seed, self.network.clone());
        self.build_on(sim).expect("the settings are valid")
    }

    /// On a platform that exists, and may fail.
    pub(super) fn build_on(self, sim: Sim) -> Result<World, StartError> {
        let events = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = events.clone();
        let mut builder = Server::builder(self.config)
            .on_event(move |event| seen.lock().expect("not poisoned").push(event));
        builder.ids = Arc::default();
        if self.host_decides {
            let asked = requests.clone();
            builder =
                builder.on_access(move |request| asked.lock().expect("not poisoned").push(request));
        }
        let pollers_before = sim.pollers().len();
        let assembly = Assembly::new(sim.clone(), builder)?;
        let server = Arc::new(assembly.handle());
        // The simulated clock stands still while a worker works: none is ever busy.
        assembly.shared.placement.set_rule(self.placement);
        Ok(World {
            address: assembly.handle().addresses()[0],
            pollers: sim.pollers().split_off(pollers_before),
            sim,
            server,
            shared: assembly.shared,
            processor: self.processor,
            busy_until: vec![Time::ZERO; assembly.workers.len()],
            uncounted: 0,
            workers: assembly.workers.into_iter().map(Some).collect(),
            recorders: Vec::from_iter(assembly.recorder.map(|r| Recording::new(None, r))),
            disk_hangs: false,
            frozen: None,
            events_inlet: assembly.events,
            access_inlet: assembly.access,
            events,
            requests,
            peers: Vec::new(),
            #[cfg(feature = "tls")]
            client_tls: None,
        })
    }
}

pub(super) fn address() -> SocketAddr {
    ADDRESS.parse().expect("an address")
}

/// Names a client of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Who(usize);

impl Index<Who> for World {
    type Output = Peer;

    fn index(&self, who: Who) -> &Peer {
        &self.peers[who.0]
    }
}

impl IndexMut<Who> for World {
    fn index_mut(&mut self, who: Who) -> &mut Peer {
        &mut self.peers[who.0]
    }
}

/// Clients.
impl World {
    pub(super) fn new(workers: usize) -> World {
        Setup::new(workers).build()
    }

    pub(super) fn with(workers: usize, change: impl FnOnce(&mut Config)) -> World {
        let mut setup = Setup::new(workers);
        change(&mut setup.config);
        setup.build()
    }

    /// Every client there was.
    pub(super) fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// A client that connects and asks; what becomes of it is not waited for.
    pub(super) fn client(&mut self, mode: ClientMode, path: &str) -> Who {
        let config = self.config(mode, path);
        self.client_with(config)
    }

    /// What such a client would be.
    pub(super) fn config(&self, mode: ClientMode, path: &str) -> ClientConfig {
        let url = RtmpUrl::parse(&format!("rtmp://{}/{path}", self.address)).expect("a URL");
        ClientConfig::new(url, mode)
    }

    /// The same with any app and stream.
    pub(super) fn client_at(&mut self, mode: ClientMode, url: RtmpUrl) -> Who {
        self.client_with(ClientConfig::new(url, mode))
    }

    /// A player that was told Play.Start and announced nothing of Enhanced RTMP.
    pub(super) fn plain_player(&mut self, path: &str) -> Who {
        self.player_that(path, Capabilities::default())
    }

    /// A player that was told Play.Start and announced these.
    pub(super) fn player_that(&mut self, path: &str, capabilities: Capabilities) -> Who {
        let url = RtmpUrl::parse(&format!("rtmp://{}/{path}", self.address)).expect("a URL");
        let mut config = ClientConfig::new(url, ClientMode::Play);
        config.capabilities = capabilities;
        let who = self.client_with(config);
        self.until("Play.Start", |w| w[who].is_ready());
        who
    }

    pub(super) fn client_with(&mut self, config: ClientConfig) -> Who {
        let session = ClientSession::new(config, self.sim.now(), &mut |bytes| bytes.fill(7));
        #[cfg(feature = "tls")]
        let who = match self.client_tls.clone() {
            Some(tls) => self.secure(&tls),
            None => self.raw(),
        };
        #[cfg(not(feature = "tls"))]
        let who = self.raw();
        self[who].session = Some(session);
        who
    }

    /// A socket that says what the test says.
    pub(super) fn raw(&mut self) -> Who {
        let socket = self.sim.connect(self.address);
        self.add(Line::Plain(socket.expect("the server listens")))
    }

    /// A socket with TLS over it, by the world's settings.
    #[cfg(feature = "tls")]
    pub(super) fn secure(&mut self, tls: &ClientTls) -> Who {
        let socket = self.sim.connect(self.address).expect("the server listens");
        let host = self.address.ip().to_string();
        self.add(Line::secure(socket, tls, &host))
    }

    /// The same from an address of its own.
    pub(super) fn raw_from(&mut self, client: SocketAddr) -> Who {
        let socket = self.sim.connect_from(client, self.address);
        self.add(Line::Plain(socket.expect("the server listens")))
    }

    pub(super) fn add(&mut self, socket: Line) -> Who {
        self.peers.push(Peer {
            socket: Some(socket),
            session: None,
            out: Vec::new(),
            reading: true,
            leaving: false,
            received: Vec::new(),
            events: Vec::new(),
            media: Vec::new(),
            arrivals: Vec::new(),
            sent: Vec::new(),
            failure: None,
            closed: None,
            started: self.sim.now(),
        });
        Who(self.peers.len() - 1)
    }

    /// A raw client after a handshake (section 5.2): C0 and C1, then C2.
    pub(super) fn shaken(&mut self) -> Who {
        let who = self.raw();
        let mut hello = vec![3];
        hello.resize(1 + 1536, 0);
        self[who].say(&hello);
        self.until("S0, S1 and S2", |w| w[who].received.len() > 2 * 1536);
        let echo = self[who].received[1..=1536].to_vec();
        self[who].say(&echo);
        self.run(ms(10));
        self[who].received.clear();
        who
    }

    /// A publisher that may send.
    pub(super) fn publisher(&mut self, path: &str) -> Who {
        let who = self.client(ClientMode::Publish, path);
        self.until("Publish.Start", |w| w[who].is_ready());
        who
    }

    /// A publisher that sent metadata and headers.
    pub(super) fn live(&mut self, path: &str) -> Who {
        let who = self.publisher(path);
        self.headers(who);
        who
    }

    /// A player that was told Play.Start.
    pub(super) fn player(&mut self, path: &str) -> Who {
        let who = self.client(ClientMode::Play, path);
        self.until("Play.Start", |w| w[who].is_ready());
        who
    }

    pub(super) fn send(&mut self, who: Who, kind: MediaKind, timestamp: u32, payload: Bytes) {
        self[who].send(kind, timestamp, payload);
    }

    pub(super) fn headers(&mut self, who: Who) {
        self.send(who, MediaKind::Data, 0, media::metadata(640.0));
        self.send(who, MediaKind::Video, 0, media::video_header(0));
        self.send(who, MediaKind::Audio, 0, media::audio_header());
    }

    /// Frames of these numbers at 25 a second, a key frame every ten, audio
    /// between, in real (virtual) time.
    pub(super) fn stream(&mut self, who: Who, numbers: Range<u32>) {
        self.stream_of(who, numbers, 1000);
    }

    /// The same with frames of so many bytes.
    pub(super) fn stream_of(&mut self, who: Who, numbers: Range<u32>, size: usize) {
        for n in numbers {
            self[who].frame(n, size);
            self.run(ms(FRAME));
        }
    }

    /// Says goodbye and closes.
    pub(super) fn leave(&mut self, who: Who) {
        let peer = &mut self[who];
        if let Some(session) = &mut peer.session {
            session.close();
        }
        peer.leaving = true;
    }

    /// Its machine is gone, or its network.
    pub(super) fn vanish(&mut self, who: Who) {
        if let Some(socket) = self[who].socket.take() {
            socket.vanish();
        }
    }

    /// Is reset.
    pub(super) fn kill(&mut self, who: Who) {
        if let Some(socket) = self[who].socket.take() {
            socket.reset();
        }
    }
}

/// Time.
impl World {
    pub(super) fn now(&self) -> Time {
        self.sim.now()
    }

    /// Lets everybody act for so long.
    pub(super) fn run(&mut self, span: Duration) {
        let end = self.sim.now() + span;
        loop {
            self.act();
            match self.next_step().filter(|&at| at <= end) {
                Some(at) => self.sim.advance_to(at),
                None => break,
            }
        }
        self.sim.advance_to(end);
        self.act();
    }

    /// Lets everybody but one worker act for so long: whatever comes over the network, but
    /// no deadline that only a worker knows of.
    pub(super) fn run_without(&mut self, worker: usize, span: Duration) {
        self.frozen = Some(worker);
        let end = self.sim.now() + span;
        loop {
            self.act();
            match self.sim.next_event().filter(|&at| at <= end) {
                Some(at) => self.sim.advance_to(at),
                None => break,
            }
        }
        self.sim.advance_to(end);
        self.act();
        self.frozen = None;
    }

    /// Lets everybody act until something is so. Returns when that was.
    #[track_caller]
    pub(super) fn until(&mut self, what: &str, is_so: impl Fn(&World) -> bool) -> Time {
        let end = self.sim.now() + PATIENCE;
        loop {
            self.act();
            let now = self.sim.now();
            if is_so(self) {
                return now;
            }
            match self.next_step() {
                Some(at) if at > now && at <= end => self.sim.advance_to(at),
                _ => panic!("{what}: never, waited from {} to {end}", end - PATIENCE),
            }
        }
    }

    /// When something is next to happen: now, if anything is.
    pub(super) fn next_step(&self) -> Option<Time> {
        if self.processor.is_none() {
            return self.sim.next_step();
        }
        let now = self.sim.now();
        let workers = self.busy_until.iter().zip(&self.pollers);
        let workers = workers.filter_map(|(&busy_until, &poller)| match busy_until > now {
            true => Some(busy_until),
            false => self.sim.next_deadline_of(poller),
        });
        workers.chain(self.sim.next_event()).min()
    }

    pub(super) fn act(&mut self) {
        for _ in 0..100_000 {
            let mut busy = self.serve();
            self.record();
            let now = self.sim.now();
            for peer in &mut self.peers {
                busy |= peer.act(now);
            }
            if !busy {
                return;
            }
        }
        panic!("no rest at {}", self.sim.now());
    }

    /// Lets workers and callbacks act once. False if there was nothing to do.
    pub(super) fn serve(&mut self) -> bool {
        let mut busy = false;
        for index in 0..self.workers.len() {
            if self.frozen != Some(index) {
                busy |= self.turn(index);
            }
        }
        if let Some(inlet) = &mut self.events_inlet {
            inlet.drain();
        }
        if let Some(inlet) = &mut self.access_inlet {
            inlet.drain();
        }
        busy
    }

    /// Lets recorders write what there is.
    pub(super) fn record(&mut self) {
        if self.disk_hangs {
            return;
        }
        for recording in &mut self.recorders {
            while recording.recorder.turn() {}
        }
    }

    /// As [`Worker::run`] has it.
    fn turn(&mut self, index: usize) -> bool {
        let Some(worker) = &mut self.workers[index] else {
            return false;
        };
        let now = self.sim.now();
        if self.busy_until[index] > now || !self.sim.is_due(self.pollers[index]) {
            return false;
        }
        let before = (worker.work_done(), steps::taken());
        let outcome = catch_unwind(AssertUnwindSafe(|| worker.turn()));
        if let Some(Processor { speed }) = self.processor {
            let said = worker.work_done() - before.0;
            // Whichever is more: what code says of itself is not all that counts.
            let walked = (steps::taken() - before.1) * STEP;
            self.uncounted = self.uncounted.max(walked.saturating_sub(said));
            let cost = said.max(walked);
            self.busy_until[index] = now + Duration::from_micros(cost / speed);
        }
        match outcome {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => self.workers[index] = None,
            // It is due again: see [`Worker::run`].
            Ok(Err(_)) => {}
            Err(_) => worker.restart(),
        }
        true
    }
}

/// The host.
impl World {
    /// Stops as [`Server::stop`] does.
    pub(super) fn stop(&mut self, grace: Duration) {
        self.server.begin_stop(grace);
        self.until("workers to stop", |w| w.workers_left() == 0);
        self.finish_stop();
        self.act();
    }

    /// The part of a stop that comes after the workers' end.
    pub(super) fn finish_stop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        self.shared.close_taps();
        for recording in self.recorders.drain(..) {
            recording.complete();
        }
    }

    /// As [`Server::record`], on the simulated disk. False if it is recorded.
    pub(super) fn start_recording(&mut self, name: &str, config: RecordConfig) -> bool {
        let name = self.shared.host_name(name);
        if self
            .recorders
            .iter()
            .any(|r| r.name.as_ref() == Some(&name))
        {
            return false;
        }
        let platform = Arc::new(self.sim.clone());
        let selection = Selection::Stream(name.clone());
        let recorder = Recorder::new(platform, config, selection, self.shared.clone());
        recorder.tap().attach(&self.shared);
        self.recorders.push(Recording::new(Some(name), recorder));
        true
    }

    /// As [`Server::stop_recording`].
    pub(super) fn stop_recording(&mut self, name: &str) {
        let name = self.shared.host_name(name);
        let of_name = |r: &mut Recording| r.name.as_ref() == Some(&name);
        for recording in self.recorders.extract_if(.., of_name) {
            recording.tap.detach(&self.shared);
            recording.complete();
        }
    }

    /// Sets the time of day so many seconds on.
    pub(super) fn turn_clock(&mut self, by: i32) {
        let span = Duration::from_secs(by.unsigned_abs().into());
        let now = self.sim.wall_clock();
        let turned = match by < 0 {
            true => now.checked_sub(span),
            false => now.checked_add(span),
        };
        self.sim.set_wall_clock(turned.unwrap_or(now));
    }

    /// A call of the host that waits for workers: made on a thread of its own,
    /// while everybody acts and no time passes.
    pub(super) fn host<T: Send>(&mut self, call: impl FnOnce(&Server) -> T + Send) -> T {
        let server = self.server.clone();
        std::thread::scope(|scope| {
            let call = scope.spawn(move || call(&server));
            while !call.is_finished() {
                self.act();
                std::thread::yield_now();
            }
            self.act();
            call.join().expect("the call does not panic")
        })
    }

    pub(super) fn workers_left(&self) -> usize {
        self.workers.iter().flatten().count()
    }

    /// The most work that a worker did in one turn.
    pub(super) fn heaviest_turn(&self) -> u64 {
        let workers = self.workers.iter().flatten();
        workers.map(Worker::heaviest_turn).max().unwrap_or_default()
    }

    /// Units of work that the workers have done.
    #[cfg(feature = "tls")]
    pub(super) fn work_done(&self) -> u64 {
        self.workers.iter().flatten().map(Worker::work_done).sum()
    }

    /// The most that a turn cost beyond what its code said, with a [`Processor`].
    pub(super) fn uncounted(&self) -> u64 {
        self.uncounted
    }

    /// Entries among all timers.
    pub(super) fn timers(&self) -> usize {
        self.workers.iter().flatten().map(Worker::timers).sum()
    }

    pub(super) fn metrics(&mut self) -> Metrics {
        let (sender, receiver) = channel();
        for inbox in &self.shared.inboxes {
            inbox.send(Order::Inspect(sender.clone()));
        }
        self.act();
        self.shared.base_metrics().with(receiver.try_iter())
    }

    /// What each worker would tell of itself.
    pub(super) fn reports(&self) -> impl Iterator<Item = WorkerReport> {
        self.workers.iter().flatten().map(Worker::report)
    }

    /// The events since the last time this was called.
    pub(super) fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock().expect("not poisoned"))
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.events.lock().expect("not poisoned").clone()
    }

    /// How many events there were that fit.
    pub(super) fn count(&self, fits: impl Fn(&Event) -> bool) -> usize {
        self.events().iter().filter(|e| fits(e)).count()
    }

    /// Why connections were closed, in order.
    pub(super) fn close_reasons(&self) -> Vec<CloseReason> {
        let reason = |event| match event {
            Event::ConnectionClosed { reason, .. } => Some(reason),
            _ => None,
        };
        self.events().into_iter().filter_map(reason).collect()
    }

    /// Requests that wait for the host.
    pub(super) fn requests(&self) -> Vec<AccessRequest> {
        std::mem::take(&mut *self.requests.lock().expect("not poisoned"))
    }

    /// Stops by force and looks for what was left behind.
    #[track_caller]
    pub(super) fn end(mut self) {
        self.stop(Duration::ZERO);
        self.assert_nothing_left();
    }

    #[track_caller]
    pub(super) fn assert_nothing_left(&self) {
        for (what, count) in self.left() {
            assert_eq!(count, 0, "{what}");
        }
    }

    /// What there is of everything that a stop leaves nothing of.
    pub(super) fn left(&self) -> [(&'static str, usize); 12] {
        let directory = self.shared.directory.lock();
        [
            ("workers", self.workers_left()),
            ("timers", self.timers()),
            ("sockets", self.sim.open_sockets()),
            ("listeners", self.sim.listeners().len()),
            ("files", self.sim.open_files()),
            (
                "connections",
                self.shared.connections.load(Ordering::Acquire),
            ),
            ("guests", self.shared.drain.guests()),
            ("streams", directory.len()),
            ("publishers", directory.publishers()),
            ("memory", self.shared.budget.used()),
            ("addresses", self.shared.addresses.len()),
            ("locations", self.shared.locations.len()),
        ]
    }
}
