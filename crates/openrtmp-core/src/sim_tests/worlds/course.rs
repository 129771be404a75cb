//! Runs a plan and holds the server to its rules all the while.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openrtmp_protocol::Time;

use super::super::world::{Setup, World};
use super::client::{Client, Role};
use super::far::{self, Far};
use super::files;
use super::host::{Desk, HostPublisher, HostTap};
use super::ledger::Ledger;
use super::lives::{Feeder, Lives};
use super::panics;
use super::plan::{FETCHED, KEYS, Link, Op, Plan, STREAMS, Source, Terms};
use super::witness::{Broken, broken};
use super::{attack, end};
use crate::config::{Config, SecondPublisher};
use crate::events::CloseReason;
use crate::id::ConnectionId;
use crate::inbox::Command as Order;
use crate::placement::Rule;
use crate::secret::Secrecy;

/// Rounds without rest, at one moment, after which there will be none.
const ROUNDS: usize = 20_000;

/// From one look at the numbers to the next.
const LOOK: Duration = Duration::from_millis(250);

/// Places of a flood's connections.
const FLOOD: u32 = 2000;

/// What a course came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// A digest of all that happened.
    pub(super) hash: u64,
    /// Media that players got.
    pub(super) messages: u64,
    pub(super) connections: usize,
    /// Frames that came by way of another server and were judged.
    pub(super) relayed: u64,
    pub(super) simulated: Duration,
}

/// Limits of what there may be at any moment.
#[derive(Clone, Copy, Debug, Default)]
struct Ceiling {
    queue: usize,
    frames: usize,
    cache: usize,
    message: usize,
    partial: usize,
    memory: usize,
    publishers: usize,
}

impl Ceiling {
    fn raised(self, config: &Config) -> Ceiling {
        let session = &config.limits.session;
        Ceiling {
            queue: self.queue.max(config.queue.max_bytes),
            frames: self.frames.max(config.gop.max_frames),
            cache: self.cache.max(config.gop.max_bytes),
            message: self.message.max(session.message_bytes),
            partial: self.partial.max(session.partial_bytes),
            memory: self.memory.max(config.limits.memory),
            publishers: self.publishers.max(config.limits.publishers),
        }
    }
}

/// A world that is under way.
pub(super) struct Course<'a> {
    tell: &'a mut dyn FnMut(&str),
    pub(super) terms: Terms,
    pub(super) world: World,
    /// The other server, if there is one.
    pub(super) far: Option<Far>,
    /// Frames that came by way of it.
    pub(super) relayed: u64,
    pub(super) lives: Lives,
    pub(super) clients: BTreeMap<u32, Client>,
    /// Clients whose place was taken by others.
    pub(super) former: Vec<Client>,
    pub(super) hosts: BTreeMap<u32, HostPublisher>,
    pub(super) taps: BTreeMap<u32, HostTap>,
    pub(super) desk: Desk,
    pub(super) ledger: Ledger,
    /// When the stop began and when it is to be over.
    pub(super) stop: Option<(Time, Time)>,
    /// The highest limits that were ever in force.
    ceiling: Ceiling,
    /// Keys to publish with that were revoked and not added again.
    pub(super) revoked: BTreeSet<&'static str>,
    /// Publishers may have been told to wait.
    pub(super) waits: bool,
    /// The disk may have been full at some time.
    disk_was_full: bool,
    next_look: Time,
    next_record: Time,
    hash: DefaultHasher,
}

/// Runs a plan to its end.
pub(super) fn run(plan: &Plan) -> Result<Outcome, Broken> {
    told(plan, &mut |_| ())
}

/// The same; `tell` hears what happens.
pub(super) fn told(plan: &Plan, tell: &mut dyn FnMut(&str)) -> Result<Outcome, Broken> {
    panics::quietly(|| {
        let outcome = catch_unwind(AssertUnwindSafe(|| Course::new(plan, tell).run(plan)));
        outcome.unwrap_or_else(|_| broken("panic", panics::last()))
    })
}

impl<'a> Course<'a> {
    fn new(plan: &Plan, tell: &'a mut dyn FnMut(&str)) -> Course<'a> {
        let terms = plan.terms.clone();
        let mut setup = Setup::new(1);
        setup.config = terms.config(setup.config);
        setup.network = terms.network();
        setup.seed = plan.seed;
        setup.host_decides = terms.host > 0;
        if plan.seed.is_multiple_of(3) {
            setup.placement = Rule::Seeded(plan.seed);
        }
        #[cfg(feature = "tls")]
        if terms.tls {
            super::super::tls::with_tls(&mut setup);
        }
        far::configure(&terms, &mut setup.config);
        let world = setup.build();
        #[cfg(feature = "tls")]
        let world = match terms.tls {
            true => super::super::tls::trusted(world),
            false => world,
        };
        let mut lives = Lives::default();
        Course {
            tell,
            disk_was_full: terms.disk_bytes > 0,
            ceiling: Ceiling::default().raised(&world.server.config()),
            waits: terms.policy() == SecondPublisher::Wait,
            far: Far::new(&terms, &world, &mut lives),
            relayed: 0,
            terms,
            revoked: BTreeSet::new(),
            lives,
            clients: BTreeMap::new(),
            former: Vec::new(),
            hosts: BTreeMap::new(),
            taps: BTreeMap::new(),
            desk: Desk::default(),
            ledger: Ledger::default(),
            stop: None,
            next_look: world.now(),
            next_record: world.now(),
            world,
            hash: DefaultHasher::new(),
        }
    }

    fn run(mut self, plan: &Plan) -> Result<Outcome, Broken> {
        let start = self.world.now();
        for step in &plan.steps {
            self.run_until(start + ms(step.at))?;
            (self.tell)(&format!("{}: {:?}", self.world.now(), step.op));
            self.apply(&step.op, plan.seed)?;
            self.act()?;
        }
        self.run_for(300)?;
        end::calm(&mut self)?;
        end::finish(&mut self)?;
        self.hash.write_u64(self.world.sim.fingerprint());
        let everybody = self.clients.values().chain(&self.former);
        Ok(Outcome {
            hash: self.hash.finish(),
            messages: everybody.map(|client| client.messages).sum(),
            connections: self.ledger.by_port.len(),
            relayed: self.relayed,
            simulated: self.world.now().since(start),
        })
    }
}

/// Time.
impl Course<'_> {
    pub(super) fn run_for(&mut self, span: u32) -> Result<(), Broken> {
        self.run_until(self.world.now() + ms(span))
    }

    fn run_until(&mut self, end: Time) -> Result<(), Broken> {
        loop {
            self.act()?;
            match self.next_step().filter(|&at| at <= end) {
                Some(at) => self.world.sim.advance_to(at),
                None => break,
            }
        }
        self.world.sim.advance_to(end);
        self.act()
    }

    fn next_step(&self) -> Option<Time> {
        let clients = self.clients.values().filter_map(Client::wake);
        let hosts = self.hosts.values().filter_map(|host| host.feeder.due());
        let taps = self.taps.values().filter_map(HostTap::wake);
        let next = clients.chain(hosts).chain(taps);
        next.chain(self.desk.wake())
            .chain(self.world.next_step())
            .chain(self.far.as_ref().and_then(Far::next_step))
            .chain([self.next_look])
            .min()
    }

    /// Lets everybody act until there is nothing more to do at this moment.
    pub(super) fn act(&mut self) -> Result<(), Broken> {
        for _ in 0..ROUNDS {
            if !self.round()? {
                if self.world.now() >= self.next_look {
                    self.next_look = self.world.now() + LOOK;
                    self.look()?;
                }
                return Ok(());
            }
        }
        broken("rest", format!("none at {}", self.world.now()))
    }

    fn round(&mut self) -> Result<bool, Broken> {
        let mut busy = self.world.serve();
        if let Some(far) = &mut self.far {
            busy |= far.act(&mut self.lives)?;
        }
        if let Some(panic) = panics::unexpected() {
            return broken("panic", panic);
        }
        self.note_events()?;
        let now = self.world.now();
        if self.next_record <= now {
            self.next_record = now + ms(self.terms.recorder_every.min(5000));
            self.world.record();
            self.note_events()?;
        }
        let sim = self.world.sim.clone();
        for client in self.clients.values_mut() {
            busy |= client.act(&sim, &mut self.lives)?;
        }
        for host in self.hosts.values_mut() {
            host.act(&mut self.lives, now);
        }
        for tap in self.taps.values_mut() {
            tap.act(&self.lives, now)?;
        }
        for request in self.world.requests() {
            self.desk.take(request, self.terms.host, now);
        }
        busy |= self.desk.act(now);
        Ok(busy)
    }

    pub(super) fn note_events(&mut self) -> Result<(), Broken> {
        for event in self.world.take_events() {
            let text = format!("{event:?}");
            self.hash.write(text.as_bytes());
            (self.tell)(&format!("{}: {text}", self.world.now()));
            self.ledger.enter(&event)?;
        }
        Ok(())
    }
}

/// What holds at any moment.
impl Course<'_> {
    fn look(&mut self) -> Result<(), Broken> {
        let ceiling = self.ceiling;
        let (mut connections, mut subscribers, mut streams) = (0, 0, 0);
        // Twice the limit, what a joiner got at once, and a few answers. Attackers
        // ask until answers are too many.
        let queue = 2 * ceiling.queue + self.lives.largest_group() + (64 << 10);
        let players = self
            .clients
            .values()
            .filter(|c| matches!(c.role, Role::Player(_)));
        let players = players.filter_map(|c| self.ledger.by_port.get(&c.port));
        let players: BTreeSet<ConnectionId> = players.copied().collect();
        for report in self.world.reports() {
            connections += report.worker.connections;
            subscribers += report.subscribers.len();
            streams += report.streams.len();
            for connection in &report.connections {
                let answers = match players.contains(&connection.id) {
                    true => 0,
                    false => 4 << 20,
                };
                within("queue", connection.queue_bytes, queue + answers)?;
            }
            for stream in &report.streams {
                within("cache frames", stream.gop_frames, ceiling.frames)?;
                within("cache bytes", stream.gop_bytes, ceiling.cache)?;
            }
        }
        let workers = self.terms.workers();
        within(
            "streams",
            streams,
            (2 + workers) * ceiling.publishers + workers,
        )?;
        // One each, and a few of the workers themselves.
        let relays = self.world.shared.relays.lock().counts();
        let dialing = match relays.rules {
            0 => 0,
            _ => relays.connecting + 2,
        };
        let entries = connections + dialing + streams + 8;
        within("timers", self.world.timers(), entries)?;
        let memory = ceiling.memory + connections * ceiling.partial + 4 * ceiling.message;
        let used = self.world.shared.budget.used();
        within("memory", used, memory + (1 << 20))?;

        let counted = self.world.shared.connections.load(Ordering::Acquire);
        let (told, playing) = (self.ledger.connections(), self.ledger.subscribers());
        // One that the server makes is told of once it stands.
        if !(connections.saturating_sub(dialing)..=connections).contains(&told) {
            let what = format!("{connections} there are, {told} connections told");
            return broken("numbers add up", what);
        }
        // One that is to go out is counted before its worker has woken up to make it.
        if !(connections..=connections + dialing).contains(&counted) {
            let what = format!("{connections} there are, {counted} connections counted");
            return broken("numbers add up", what);
        }
        if subscribers != playing {
            let what = format!("{subscribers} there are, {playing} players told");
            return broken("numbers add up", what);
        }
        Ok(())
    }
}

fn within(what: &str, found: usize, most: usize) -> Result<(), Broken> {
    match found <= most {
        true => Ok(()),
        false => broken("within limits", format!("{what}: {found} of {most}")),
    }
}

/// Operations.
impl Course<'_> {
    fn apply(&mut self, op: &Op, seed: u64) -> Result<(), Broken> {
        let now = self.world.now();
        let lenient = self.terms.short_of_memory();
        match *op {
            Op::Publish {
                who,
                ref source,
                ref link,
            } => {
                let mut source = source.clone();
                source.stream %= STREAMS.len() as u32 - 1;
                self.enter(who, Client::encoder(&source), link);
            }
            Op::Play {
                who,
                stream,
                key,
                ref link,
            } => {
                let stream = stream % (STREAMS.len() as u32 - 1);
                self.enter(who, Client::player(stream, key), link);
            }
            Op::Attack {
                who,
                kind,
                amount,
                deaf,
                ref link,
            } => {
                let script = attack::script(kind, amount, seed);
                self.enter(who, Role::Attacker(script), link);
                self.with(who, |client| client.reading = !deaf);
            }
            Op::Flood { count } => {
                for who in 0..count.min(100) {
                    let role = Role::Attacker(Vec::new());
                    self.enter(FLOOD + who, role, &Link::default());
                }
            }
            Op::Leave { who } => self.with(who, Client::leave),
            Op::Close { who } => self.with(who, |client| client.close(now)),
            Op::Kill { who } => self.with(who, |client| client.kill(now)),
            Op::Read { who, on } => self.with(who, |client| client.reading = on),
            Op::Speed { who, bytes } => self.with(who, |client| client.set_speed(bytes)),

            Op::Silence { who, on } => self.feed(who, |feeder, _, _| match on {
                true => feeder.silent = true,
                false => feeder.go_on(now),
            }),
            Op::Headers { who, changed } => self.feed(who, |feeder, lives, send| match changed {
                true => feeder.headers(true, lives, send),
                false => feeder.repeat(lives, send),
            }),
            Op::Metadata { who } => {
                self.feed(who, |feeder, lives, send| feeder.metadata(lives, send));
            }
            Op::Data { who } => {
                self.feed(who, |feeder, lives, send| feeder.data(lives, send));
            }
            Op::Jump { who, by } => self.feed(who, |feeder, _, _| feeder.jump(by)),
            Op::Burst { who, frames } => self.feed(who, |feeder, lives, send| {
                feeder.burst(frames, lives, send);
            }),
            Op::Big { who, key, bytes } => self.feed(who, |feeder, lives, send| {
                feeder.big(key, bytes, lives, send);
            }),
            Op::Pause { who, on } => self.with(who, |client| client.pause(on)),
            Op::Want { who, audio, video } => {
                self.with(who, |client| client.want(audio, video));
            }
            Op::PlayAgain {
                who,
                stream,
                gap,
                more,
            } => self.with(who, |client| client.play_again(stream, gap, more, now)),

            Op::HostPublish { who, ref source } => self.host_publish(who, source),
            Op::HostUnpublish { who } => drop(self.hosts.remove(&who)),
            Op::Tap { who, stream, every } => {
                self.taps.remove(&who);
                let tap = match STREAMS.get(stream as usize) {
                    Some(&name) => self.world.server.tap(name),
                    None => self.world.server.tap_all(),
                };
                self.taps
                    .insert(who, HostTap::new(tap, every, lenient, now));
            }
            Op::TapClose { who } => drop(self.taps.remove(&who)),
            Op::Record { stream } => {
                let stopping = self.world.shared.stopping.load(Ordering::Acquire);
                if !stopping {
                    let config = self.terms.recording();
                    self.world.start_recording(name(stream), config);
                }
            }
            Op::StopRecording { stream } => self.world.stop_recording(name(stream)),
            Op::EndStream { stream } => {
                self.world.server.end_stream(name(stream), "enough");
            }
            Op::Disconnect { who } => {
                let port = self.clients.get(&who).map(|client| client.port);
                if let Some(id) = port.and_then(|port| self.ledger.by_port.get(&port)) {
                    let reason = CloseReason::Host("enough".to_owned());
                    self.world.shared.disconnect(*id, reason);
                }
            }
            Op::AddKey { key, play } => {
                let key = KEYS[key as usize % KEYS.len()];
                let ring = match play {
                    true => self.world.server.play_keys(),
                    false => self.world.server.publish_keys(),
                };
                ring.add(key.to_owned());
                self.revoked.remove(key);
            }
            Op::Revoke { key, play } => {
                let key = KEYS[key as usize % KEYS.len()];
                if play {
                    self.world.server.play_keys().remove(key);
                } else if self.world.server.revoke_publish_key(key) {
                    self.revoked.insert(key);
                }
            }
            Op::Inspect => drop(self.world.metrics()),
            Op::Reconfigure { ref terms } => self.reconfigure(terms),

            Op::Panic { who } => self.with(who, Client::send_panic),
            Op::PanicWorker { worker } => {
                let worker = worker as usize % self.terms.workers();
                self.world.shared.inboxes[worker].send(Order::Panic);
            }
            Op::Disk { bytes } => {
                self.disk_was_full |= bytes > 0;
                self.terms.disk_bytes = bytes;
                self.world.sim.set_faults(self.terms.network().faults);
            }
            Op::WallClock { by } => self.world.turn_clock(by),

            Op::Stop { grace } => self.begin_stop(grace),
            Op::Force => {
                self.world.server.force();
                if let Some((_, deadline)) = &mut self.stop {
                    *deadline = (*deadline).min(now);
                }
            }
        }
        self.note_events()
    }

    fn enter(&mut self, who: u32, role: Role, link: &Link) {
        let lenient = self.terms.short_of_memory();
        let client = Client::new(role, link.clone(), lenient, &self.world);
        if let Some(mut before) = self.clients.insert(who, client) {
            before.kill(self.world.now());
            self.former.push(before);
        }
    }

    fn with(&mut self, who: u32, act: impl FnOnce(&mut Client)) {
        if let Some(client) = self.clients.get_mut(&who) {
            act(client);
        }
    }

    fn feed(
        &mut self,
        who: u32,
        act: impl FnOnce(&mut Feeder, &mut Lives, super::lives::Send<'_>),
    ) {
        if let Some(client) = self.clients.get_mut(&who) {
            client.feed(&mut self.lives, act);
        }
    }

    fn host_publish(&mut self, who: u32, source: &Source) {
        self.hosts.remove(&who);
        let mut source = source.clone();
        source.stream %= STREAMS.len() as u32 - 1;
        if let Ok(publisher) = self.world.server.publish(name(source.stream)) {
            let feeder = Feeder::new(&source, &mut self.lives, self.world.now());
            self.hosts.insert(who, HostPublisher { publisher, feeder });
        }
    }

    /// As [`Server::reconfigure`](crate::Server::reconfigure), which waits for the
    /// workers.
    fn reconfigure(&mut self, terms: &Terms) {
        if self.world.shared.stopping.load(Ordering::Acquire) {
            return;
        }
        let mut terms = terms.clone();
        // What is missed says nothing where memory is short, from the start on.
        terms.memory = match self.terms.memory {
            0 => 0,
            _ => terms.memory.max(1),
        };
        let server = &self.world.server;
        let before = server.config();
        let config = Config {
            listen: before.listen.clone(),
            workers: before.workers,
            record: before.record.clone(),
            relay: before.relay.clone(),
            tls: before.tls.clone(),
            ..terms.config(Config::desktop())
        };
        config.validate().expect("terms are valid");
        let config = Arc::new(config);
        drop(server.put_in_force(&before, &config));
        // Who came with a key that was named only now may stay.
        self.revoked.clear();
        self.ceiling = self.ceiling.raised(&config);
        self.waits |= terms.policy() == SecondPublisher::Wait;
    }

    pub(super) fn begin_stop(&mut self, grace: u32) {
        if self.stop.is_none() {
            let now = self.world.now();
            self.stop = Some((now, now + ms(grace)));
            self.world.server.begin_stop(ms(grace));
        }
    }

    /// Every file, judged.
    pub(super) fn judge_files(&self) -> Result<(), Broken> {
        let lenient = self.terms.short_of_memory() || self.terms.recorder_every > 0;
        let names = STREAMS.into_iter().chain([FETCHED]).map(|name| {
            let key = self.world.shared.host_name(name);
            key.learn(Secrecy::Secret);
            [name.to_owned(), key.shown().replace('*', "_")]
        });
        let names: Vec<_> = names.collect();
        for path in self.world.sim.files() {
            let bytes = self.world.sim.file(&path).unwrap_or_default();
            let whole = !self.disk_was_full;
            files::judge(&path, &bytes, &names, &self.lives, lenient, whole)?;
        }
        Ok(())
    }
}

fn name(stream: u32) -> &'static str {
    STREAMS[stream as usize % (STREAMS.len() - 1)]
}

pub(super) fn ms(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}
