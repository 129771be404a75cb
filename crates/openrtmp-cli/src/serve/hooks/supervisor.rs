//! The thread that starts programs and ends them.

use std::collections::{HashMap, HashSet};
use std::io;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use openrtmp_core::{ConnectionId, HooksConfig, Server, StreamId, StreamName};

use super::super::witness::{Notice, What};
use super::environment;
use super::output::Writer;
use super::process::Process;

/// Before a program that is to publish, and has ended, is run again.
const AGAIN: Duration = Duration::from_secs(1);

/// How often the log says that there are too many processes.
const SELDOM: Duration = Duration::from_secs(1);

/// A year: no clock is beyond it.
const EVER: Duration = Duration::from_secs(365 * 86_400);

/// What the thread is told.
pub(super) enum Word {
    Server(Weak<Server>),
    Happened(Notice),
    /// Something else may have.
    Look,
    /// A process has ended.
    Ended(u64),
    /// The server has stopped.
    End,
}

pub(super) struct Supervisor {
    words: Receiver<Word>,
    /// For the threads that wait for processes.
    back: SyncSender<Word>,
    /// Something happened that was not told.
    missed: Arc<AtomicBool>,
    server: Weak<Server>,
    processes: HashMap<u64, Running>,
    started: u64,
    /// The streams that have a publisher.
    live: HashSet<StreamName>,
    /// Who plays which.
    players: HashMap<StreamName, Vec<ConnectionId>>,
    demands: HashMap<StreamName, Demand>,
    crowded: Option<Instant>,
    is_over: bool,
}

/// A program that runs.
struct Running {
    process: Process,
    hook: &'static str,
    purpose: Purpose,
    output: Output,
    /// When it is asked to end.
    ask_at: Option<Instant>,
    was_asked: bool,
    /// When it is killed.
    kill_at: Option<Instant>,
}

/// The reading of what a program writes.
struct Output {
    /// Its end ends the reading, once what is there was read.
    stop: io::PipeWriter,
    thread: JoinHandle<()>,
}

/// For how long a program runs.
#[derive(Clone, PartialEq)]
enum Purpose {
    /// As long as this is published.
    Published(StreamId),
    /// As long as this is played.
    Played(ConnectionId, StreamName),
    /// As long as this is wanted.
    Wanted(StreamName),
    /// Until it is done.
    Done,
}

/// A stream that players wait for.
struct Demand {
    about: Notice,
    /// By then it has to be published; `None`: it is.
    publish_by: Option<Instant>,
    /// When nobody will have played it for long enough.
    idle_at: Option<Instant>,
    /// When the program is run again.
    run_at: Option<Instant>,
}

impl Supervisor {
    pub(super) fn new(
        words: Receiver<Word>,
        back: SyncSender<Word>,
        missed: Arc<AtomicBool>,
    ) -> Supervisor {
        Supervisor {
            words,
            back,
            missed,
            server: Weak::new(),
            processes: HashMap::new(),
            started: 0,
            live: HashSet::new(),
            players: HashMap::new(),
            demands: HashMap::new(),
            crowded: None,
            is_over: false,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let left = match self.next_deadline() {
                Some(at) => at.saturating_duration_since(Instant::now()),
                None => EVER,
            };
            match self.words.recv_timeout(left) {
                Ok(word) => self.hear(word),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.missed.swap(false, Ordering::AcqRel)
                && let Some(server) = self.server.upgrade()
            {
                self.look_again(&server);
            }
            self.meet_deadlines();
            if self.is_over && self.processes.is_empty() {
                return;
            }
        }
    }

    fn hear(&mut self, word: Word) {
        match word {
            Word::Server(server) => self.server = server,
            Word::Ended(number) => self.ended(number),
            Word::End => {
                self.is_over = true;
                self.demands.clear();
                let config = self.config();
                for running in self.processes.values_mut() {
                    let at = match running.purpose {
                        // It has just begun: as long as others may take to end.
                        Purpose::Done => Instant::now() + config.stop_timeout,
                        _ => Instant::now(),
                    };
                    running.end_at(at, config.stop_timeout);
                    running.kill_at = Some(Instant::now() + config.stop_timeout);
                }
            }
            Word::Happened(notice) => {
                if let Some(server) = self.server.upgrade() {
                    self.happened(&server, notice);
                }
            }
            Word::Look => {}
        }
    }

    fn config(&self) -> HooksConfig {
        let server = self.server.upgrade();
        server.map_or_else(HooksConfig::default, |server| server.config().hooks.clone())
    }

    fn happened(&mut self, server: &Server, notice: Notice) {
        let config = server.config().hooks.clone();
        let name = notice.name.clone();
        match notice.what {
            What::Published(stream) => {
                self.live.insert(name.clone());
                if let Some(demand) = self.demands.get_mut(&name) {
                    (demand.publish_by, demand.run_at) = (None, None);
                }
                let purpose = Purpose::Published(stream);
                self.start(
                    server,
                    "hooks.on_publish",
                    &config.on_publish,
                    &notice,
                    purpose,
                );
            }
            What::Unpublished(stream) => {
                self.live.remove(&name);
                self.end_all(&config, |purpose| *purpose == Purpose::Published(stream));
                let done = &config.on_publish_done;
                self.start(
                    server,
                    "hooks.on_publish_done",
                    done,
                    &notice,
                    Purpose::Done,
                );
                if let Some(demand) = self.demands.get_mut(&name) {
                    demand.publish_by = Some(Instant::now() + config.demand_timeout);
                    let is_run = Purpose::Wanted(name.clone());
                    if !self.processes.values().any(|it| it.purpose == is_run) {
                        demand.run_at = Some(Instant::now() + AGAIN);
                    }
                } else if self.players.contains_key(&name) {
                    self.want(server, &config, &notice);
                }
            }
            What::Joined => {
                let Some(connection) = notice.connection else {
                    return;
                };
                if is_relay(server, connection) {
                    return;
                }
                self.players
                    .entry(name.clone())
                    .or_default()
                    .push(connection);
                let purpose = Purpose::Played(connection, name.clone());
                self.start(server, "hooks.on_play", &config.on_play, &notice, purpose);
                if let Some(demand) = self.demands.get_mut(&name) {
                    demand.idle_at = None;
                } else if !self.live.contains(&name) {
                    self.want(server, &config, &notice);
                }
            }
            What::Left => {
                let Some(connection) = notice.connection else {
                    return;
                };
                let purpose = Purpose::Played(connection, name.clone());
                // One connection may play it twice.
                let one = self.processes.iter().find(|(_, it)| it.purpose == purpose);
                if let Some(number) = one.map(|(number, _)| *number) {
                    self.end_one(&config, number);
                }
                if let Some(players) = self.players.get_mut(&name) {
                    if let Some(at) = players.iter().position(|player| *player == connection) {
                        players.swap_remove(at);
                    }
                    if players.is_empty() {
                        self.players.remove(&name);
                        if let Some(demand) = self.demands.get_mut(&name) {
                            demand.idle_at = Some(Instant::now() + config.idle_timeout);
                        }
                    }
                }
            }
            What::Recorded(_) => {
                let done = &config.on_record_done;
                self.start(server, "hooks.on_record_done", done, &notice, Purpose::Done);
            }
        }
    }

    /// Events were lost: what there is no more is ended; what is there and was not told is
    /// known from now on.
    fn look_again(&mut self, server: &Server) {
        let Ok(there) = server.snapshot() else {
            log::warn!("hooks: events were lost, and a worker does not answer");
            return;
        };
        let config = server.config().hooks.clone();
        let live: HashSet<StreamId> = there
            .streams
            .iter()
            .filter(|stream| stream.live)
            .map(|stream| stream.id)
            .collect();
        self.live = there
            .streams
            .iter()
            .filter(|stream| stream.live)
            .map(|stream| stream.name.clone())
            .collect();
        let connections: HashSet<ConnectionId> =
            there.connections_list.iter().map(|it| it.id).collect();
        for players in self.players.values_mut() {
            players.retain(|player| connections.contains(player));
        }
        self.players.retain(|_, players| !players.is_empty());
        for (name, demand) in &mut self.demands {
            if !self.players.contains_key(name) && demand.idle_at.is_none() {
                demand.idle_at = Some(Instant::now() + config.idle_timeout);
            }
        }
        self.end_all(&config, |purpose| match purpose {
            Purpose::Published(stream) => !live.contains(stream),
            Purpose::Played(connection, _) => !connections.contains(connection),
            Purpose::Wanted(_) | Purpose::Done => false,
        });
    }

    /// A stream that nobody publishes is wanted: its program is run.
    fn want(&mut self, server: &Server, config: &HooksConfig, about: &Notice) {
        if config.on_demand.is_empty() {
            return;
        }
        let demand = Demand {
            about: about.clone(),
            publish_by: Some(Instant::now() + config.demand_timeout),
            idle_at: None,
            run_at: None,
        };
        self.demands.insert(about.name.clone(), demand);
        self.run_demanded(server, config, about);
    }

    fn run_demanded(&mut self, server: &Server, config: &HooksConfig, about: &Notice) {
        let purpose = Purpose::Wanted(about.name.clone());
        if !self.start(server, "hooks.on_demand", &config.on_demand, about, purpose)
            && let Some(demand) = self.demands.get_mut(&about.name)
        {
            demand.run_at = Some(Instant::now() + AGAIN);
        }
    }

    /// Runs a program, if there is one to be run. False if it could not be.
    fn start(
        &mut self,
        server: &Server,
        hook: &'static str,
        argv: &[String],
        about: &Notice,
        purpose: Purpose,
    ) -> bool {
        if argv.is_empty() || self.is_over {
            return true;
        }
        let config = &server.config().hooks;
        if self.processes.len() >= config.processes {
            if self.crowded.is_none_or(|last| last.elapsed() >= SELDOM) {
                self.crowded = Some(Instant::now());
                let most = config.processes;
                log::warn!(
                    "{hook} is not run: {most} processes are as many as hooks.processes allows"
                );
            }
            return false;
        }
        self.started += 1;
        let number = self.started;
        match self.spawn(server, number, hook, argv, about) {
            Ok((process, output)) => {
                log::debug!("{hook}[{}] begins: {}", process.id(), about.name);
                let ask_at = match purpose {
                    Purpose::Done => Some(Instant::now() + config.timeout),
                    _ => None,
                };
                let running = Running {
                    process,
                    hook,
                    purpose,
                    output,
                    ask_at,
                    was_asked: false,
                    kill_at: ask_at.map(|at| at + config.stop_timeout),
                };
                self.processes.insert(number, running);
                true
            }
            Err(error) => {
                log::error!("{hook}: cannot run {}: {error}", argv[0]);
                false
            }
        }
    }

    fn spawn(
        &self,
        server: &Server,
        number: u64,
        hook: &'static str,
        argv: &[String],
        about: &Notice,
    ) -> io::Result<(Process, Output)> {
        let name = hook.rsplit('.').next().unwrap_or(hook);
        let mut command = environment::command(argv, name, about, server);
        let (output, written) = io::pipe()?;
        let (stopped, stop) = io::pipe()?;
        command
            .stdin(Stdio::null())
            .stdout(written.try_clone()?)
            .stderr(written);
        let process = Process::spawn(&mut command)?;
        // With it its ends of the pipe.
        drop(command);
        let writer = Writer {
            hook,
            process: process.id(),
            name: about.name.clone(),
            lines: server.config().hooks.log_lines,
        };
        let back = self.back.clone();
        let followed = process.ending().and_then(|ending| {
            let wait = move || {
                ending.wait();
                // Nobody listens any more once it is over.
                let _ = back.send(Word::Ended(number));
            };
            let read = move || writer.log(output, &stopped);
            let reading = thread::Builder::new().name("hook-output".to_owned());
            let reading = reading.spawn(read)?;
            let waiting = thread::Builder::new().name("hook".to_owned());
            waiting.spawn(wait)?;
            Ok(reading)
        });
        match followed {
            Ok(thread) => Ok((process, Output { stop, thread })),
            Err(error) => {
                // Nobody would know of its end.
                process.kill();
                let _ = process.reap();
                Err(error)
            }
        }
    }

    /// A process has ended: what it was for may need another.
    fn ended(&mut self, number: u64) {
        let Some(running) = self.processes.remove(&number) else {
            return;
        };
        let (hook, id, was_asked) = (running.hook, running.process.id(), running.was_asked);
        match running.process.reap() {
            Ok(status) if status.success() || was_asked => {
                log::debug!("{hook}[{id}] has ended: {status}");
            }
            Ok(status) => log::warn!("{hook}[{id}] has ended: {status}"),
            Err(error) => log::warn!("{hook}[{id}]: {error}"),
        }
        // Its last lines are in the log before it is over. A panic was told where it was.
        drop(running.output.stop);
        let _ = running.output.thread.join();
        if let Purpose::Wanted(name) = running.purpose
            && let Some(demand) = self.demands.get_mut(&name)
            && demand.publish_by.is_some()
        {
            demand.run_at = Some(Instant::now() + AGAIN);
        }
    }

    fn end_all(&mut self, config: &HooksConfig, is_over: impl Fn(&Purpose) -> bool) {
        for running in self.processes.values_mut() {
            if is_over(&running.purpose) {
                running.end_at(Instant::now(), config.stop_timeout);
            }
        }
    }

    fn end_one(&mut self, config: &HooksConfig, number: u64) {
        if let Some(running) = self.processes.get_mut(&number) {
            running.end_at(Instant::now(), config.stop_timeout);
            // Another of the same purpose is another's.
            running.purpose = Purpose::Done;
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let of_processes = self.processes.values();
        let of_processes = of_processes.flat_map(|it| [it.ask_at_next(), it.kill_at]);
        let of_demands = self.demands.values();
        let of_demands = of_demands.flat_map(|it| [it.publish_by, it.idle_at, it.run_at]);
        of_processes.chain(of_demands).flatten().min()
    }

    fn meet_deadlines(&mut self) {
        let now = Instant::now();
        for running in self.processes.values_mut() {
            running.meet_deadlines(now);
        }
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let late: Vec<StreamName> = self
            .demands
            .iter()
            .filter(|(_, it)| due(it.publish_by) || due(it.idle_at))
            .map(|(name, _)| name.clone())
            .collect();
        let config = self.config();
        for name in late {
            let Some(demand) = self.demands.remove(&name) else {
                continue;
            };
            let wanted = Purpose::Wanted(name.clone());
            self.end_all(&config, |purpose| *purpose == wanted);
            if !due(demand.idle_at)
                && let Some(server) = self.server.upgrade()
            {
                self.give_up(&server, &name);
            }
        }
        let again: Vec<Notice> = self
            .demands
            .values_mut()
            .filter(|demand| due(demand.run_at))
            .map(|demand| {
                demand.run_at = None;
                demand.about.clone()
            })
            .collect();
        for about in again {
            if let Some(server) = self.server.upgrade() {
                self.run_demanded(&server, &config, &about);
            }
        }
    }

    /// Nobody publishes what players wait for: they do not wait any longer.
    fn give_up(&mut self, server: &Server, name: &StreamName) {
        log::warn!("hooks.on_demand: nobody publishes {name} in time");
        for player in self.players.get(name).into_iter().flatten() {
            // One that is gone, or whose worker is busy, needs another occasion.
            let _ = server.disconnect(*player, "nobody publishes the stream");
        }
    }
}

/// Whether a connection passes a stream on to another server: nobody plays it for that.
fn is_relay(server: &Server, connection: ConnectionId) -> bool {
    let relays = server.relays();
    let mut links = relays.iter().flat_map(|relay| &relay.links);
    links.any(|link| link.connection == Some(connection))
}

impl Running {
    /// It is asked to end then, or before if that was said, and killed some time later.
    fn end_at(&mut self, at: Instant, stop_timeout: Duration) {
        if self.ask_at.is_none_or(|asked| at < asked) {
            self.ask_at = Some(at);
            self.kill_at = Some(at + stop_timeout);
        }
    }

    /// When it is asked to end, if it was not yet.
    fn ask_at_next(&self) -> Option<Instant> {
        self.ask_at.filter(|_| !self.was_asked)
    }

    fn meet_deadlines(&mut self, now: Instant) {
        if self.ask_at_next().is_some_and(|at| at <= now) {
            self.was_asked = true;
            self.process.ask_to_end();
        }
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill_at = None;
            log::warn!(
                "{}[{}] does not end, and is killed",
                self.hook,
                self.process.id()
            );
            self.process.kill();
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::mpsc::sync_channel;

    use openrtmp_core::Config;

    use super::*;

    #[test]
    fn what_was_not_told_is_looked_for() {
        let mut config = Config::desktop();
        config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
        config.streams.goodbye_grace = Duration::ZERO;
        config.hooks.on_publish = vec!["sleep".to_owned(), "1000".to_owned()];
        let server = std::sync::Arc::new(Server::start(config).expect("it starts"));
        let (back, words) = sync_channel(16);
        let missed = Arc::new(AtomicBool::new(false));
        let mut supervisor = Supervisor::new(words, back, missed);
        supervisor.server = std::sync::Arc::downgrade(&server);
        let publish = |name: &str| {
            let publisher = server.publish(name).expect("it is free");
            let name = server.stream_name(publisher.stream()).expect("it is there");
            let notice = Notice {
                what: What::Published(publisher.stream()),
                name,
                connection: None,
                address: None,
            };
            (publisher, notice)
        };
        let (gone, told_of_gone) = publish("live/gone");
        let (_stays, told_of_stays) = publish("live/stays");
        supervisor.hear(Word::Happened(told_of_gone));
        supervisor.hear(Word::Happened(told_of_stays.clone()));
        assert_eq!(supervisor.processes.len(), 2);
        drop(gone);
        while server.snapshot().expect("it answers").streams.len() > 1 {}
        supervisor.look_again(&server);
        supervisor.meet_deadlines();
        assert_eq!(supervisor.live, HashSet::from([told_of_stays.name]));
        let ended = supervisor.words.recv().expect("one is ended");
        supervisor.hear(ended);
        assert_eq!(supervisor.processes.len(), 1);
        // Without a server, and at its end, the other goes too.
        supervisor.hear(Word::End);
        supervisor.run();
    }
}
