//! The thread that starts programs and ends them.

use std::collections::HashMap;
use std::io;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use openrtmp_core::{Config, HooksConfig, Server, StreamName};

use super::super::lives::{Lives, Notice, What};
use super::environment;
use super::output::Writer;
use super::places::{Holder, WAITING, Waiting, is_share};
use super::process::Process;
use super::running::{Output, Purpose, Running};
use crate::logs::LineLimit;

/// Before a program that is to publish, and has ended, is run again.
const AGAIN: Duration = Duration::from_secs(1);

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
    /// For whom programs were run so far: it comes behind what there is.
    lives: Lives,
    demands: HashMap<StreamName, Demand>,
    waiting: Waiting,
    lines: Lines,
    /// It is over: by then nothing runs any more.
    over: Option<Instant>,
}

/// How often lines may be written.
struct Lines {
    crowded: LineLimit,
    failed: LineLimit,
    ended: LineLimit,
    unmade: LineLimit,
}

impl Default for Lines {
    fn default() -> Lines {
        Lines {
            crowded: LineLimit::new("programs of hooks that are not run for want of a place"),
            failed: LineLimit::new("programs of hooks that cannot be run"),
            ended: LineLimit::new("programs of hooks that failed or were killed"),
            unmade: LineLimit::new("streams that hooks.on_demand has not published"),
        }
    }
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
            lives: Lives::default(),
            demands: HashMap::new(),
            waiting: Waiting::default(),
            lines: Lines::default(),
            over: None,
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
            self.run_waiting();
            if self.over.is_some() && self.processes.is_empty() {
                return;
            }
        }
    }

    fn hear(&mut self, word: Word) {
        match word {
            Word::Server(server) => self.server = server,
            Word::Ended(number) => self.ended(number),
            // Said a second time by who goes.
            Word::End if self.over.is_some() => {}
            Word::End => {
                self.demands.clear();
                let config = self.config();
                self.over = Some(Instant::now() + config.stop_timeout);
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
        for news in self.lives.take(notice) {
            self.act(server, &news);
        }
    }

    /// Events were lost: what has happened since is seen by what there is.
    fn look_again(&mut self, server: &Server) {
        let Ok(now) = Lives::of(server) else {
            log::warn!("hooks: events were lost, and a worker does not answer");
            self.missed.store(true, Ordering::Release);
            return;
        };
        for news in self.lives.follow(now) {
            self.act(server, &news);
        }
    }

    /// Does what the settings say when this happens.
    fn act(&mut self, server: &Server, notice: &Notice) {
        let config = server.config().hooks.clone();
        let name = &notice.name;
        match notice.what {
            What::Published(stream) => {
                if let Some(demand) = self.demands.get_mut(name) {
                    (demand.publish_by, demand.run_at) = (None, None);
                }
                let purpose = Purpose::Published(stream);
                let argv = &config.on_publish;
                self.start(server, "hooks.on_publish", argv, notice, purpose);
            }
            What::Unpublished(stream) => {
                self.end_all(&config, |purpose| *purpose == Purpose::Published(stream));
                let (done, argv) = ("hooks.on_publish_done", &config.on_publish_done);
                self.start(server, done, argv, notice, Purpose::Done);
                if let Some(demand) = self.demands.get_mut(name) {
                    demand.publish_by = Some(Instant::now() + config.demand_timeout);
                    let is_run = Purpose::Wanted(name.clone());
                    if !self.processes.values().any(|it| it.purpose == is_run) {
                        demand.run_at = Some(Instant::now() + AGAIN);
                    }
                } else if self.lives.is_played(name) && !self.lives.is_published(name) {
                    self.want(server, &config, notice);
                }
            }
            What::Joined => {
                let Some(connection) = notice.connection else {
                    return;
                };
                let purpose = Purpose::Played(connection, name.clone());
                self.start(server, "hooks.on_play", &config.on_play, notice, purpose);
                if let Some(demand) = self.demands.get_mut(name) {
                    demand.idle_at = None;
                } else if !self.lives.is_published(name) {
                    self.want(server, &config, notice);
                }
            }
            What::Left => {
                let Some(connection) = notice.connection else {
                    return;
                };
                let purpose = Purpose::Played(connection, name.clone());
                self.end_all(&config, |other| *other == purpose);
                if !self.lives.is_played(name)
                    && let Some(demand) = self.demands.get_mut(name)
                {
                    demand.idle_at = Some(Instant::now() + config.idle_timeout);
                }
            }
            What::Recorded(_) => {
                let done = &config.on_record_done;
                self.start(server, "hooks.on_record_done", done, notice, Purpose::Done);
            }
        }
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
        if argv.is_empty() || (self.over.is_some() && purpose != Purpose::Done) {
            return true;
        }
        let config = &server.config().hooks;
        let holder = Holder::of(about);
        if !self.has_place(config.processes, &holder) {
            // What is told of once is told later.
            if purpose == Purpose::Done && self.waiting.add(hook, about) {
                return true;
            }
            if self.may_log(&self.lines.crowded) {
                let all = config.processes;
                let why = match purpose {
                    Purpose::Done => format!("{WAITING} wait, or its share of them"),
                    _ => format!("{all} run (hooks.processes), or its share of them"),
                };
                log::warn!(stream:% = about.name; "{hook} is not run for {}: {why}", told(about));
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
                let kill_at = ask_at.map(|at| at + config.stop_timeout);
                let running = Running {
                    process,
                    hook,
                    purpose,
                    holder,
                    output,
                    ask_at: self.over.or(ask_at),
                    was_asked: false,
                    kill_at: self.over.or(kill_at),
                };
                self.processes.insert(number, running);
                true
            }
            Err(error) => {
                if self.may_log(&self.lines.failed) {
                    let program = &argv[0];
                    log::error!("{hook}: cannot run {program} for {}: {error}", told(about));
                }
                false
            }
        }
    }

    /// Whether there is a place for one more program of this holder.
    fn has_place(&self, all: usize, holder: &Holder) -> bool {
        is_share(all, self.processes.values().map(|it| it.holder == *holder))
    }

    /// Runs what waits, as far as there are places.
    fn run_waiting(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let server = self.server.upgrade();
        let late = self.over.is_some_and(|at| at <= Instant::now());
        let Some(server) = server.filter(|_| !late) else {
            let count = self.waiting.clear();
            log::warn!("hooks: {count} programs that wait are not run: the server has stopped");
            return;
        };
        loop {
            let config = &server.config().hooks;
            let mut waiting = std::mem::take(&mut self.waiting);
            let next = waiting.next(|holder| self.has_place(config.processes, holder));
            self.waiting = waiting;
            let Some(next) = next else { return };
            let argv = match next.hook {
                "hooks.on_record_done" => &config.on_record_done,
                _ => &config.on_publish_done,
            };
            self.start(&server, next.hook, argv, &next.about, Purpose::Done);
        }
    }

    /// Whether a line may be written now.
    fn may_log(&self, limit: &LineLimit) -> bool {
        let server = self.server.upgrade();
        let default = || Config::desktop().limits.log_lines;
        let lines = server.map_or_else(default, |server| server.config().limits.log_lines);
        limit.admits(lines, Instant::now())
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
            Ok(status) if self.may_log(&self.lines.ended) => {
                log::warn!("{hook}[{id}] has ended: {status}");
            }
            Ok(_) => {}
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

    fn next_deadline(&self) -> Option<Instant> {
        let of_processes = self.processes.values();
        let of_processes = of_processes.flat_map(|it| [it.ask_at_next(), it.kill_at]);
        let of_demands = self.demands.values();
        let of_demands = of_demands.flat_map(|it| [it.publish_by, it.idle_at, it.run_at]);
        let of_waiting = self.over.filter(|_| !self.waiting.is_empty());
        of_processes
            .chain(of_demands)
            .chain([of_waiting])
            .flatten()
            .min()
    }

    fn meet_deadlines(&mut self) {
        let now = Instant::now();
        let mut killed = Vec::new();
        for running in self.processes.values_mut() {
            if running.meet_deadlines(now) {
                killed.push((running.hook, running.process.id()));
            }
        }
        for (hook, id) in killed {
            if self.may_log(&self.lines.ended) {
                log::warn!("{hook}[{id}] does not end, and is killed");
            }
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
            let idle = |demand: &Demand| due(demand.idle_at);
            if self.demands.get(&name).is_some_and(idle) && self.is_played(&name) {
                continue;
            }
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

    /// Whether somebody plays it after all: a connection that played it twice, and has ended
    /// one of them. From now on that is known.
    fn is_played(&mut self, name: &StreamName) -> bool {
        let server = self.server.upgrade();
        let now = server.and_then(|server| Lives::of(&server).ok());
        let now = now.filter(|now| now.is_played(name));
        let (Some(now), Some(demand)) = (now, self.demands.get_mut(name)) else {
            return false;
        };
        demand.idle_at = None;
        self.lives.follow_players(name, now);
        true
    }

    /// Nobody publishes what players wait for: they do not wait any longer.
    fn give_up(&mut self, server: &Server, name: &StreamName) {
        if self.may_log(&self.lines.unmade) {
            log::warn!("hooks.on_demand: nobody publishes {name} in time");
        }
        for player in self.lives.players(name) {
            // One that is gone, or whose worker is busy, needs another occasion.
            // Viewers over HTTP have a visit; the next of them begins it anew.
            if !server.end_visit(player) {
                let _ = server.disconnect(player, "nobody publishes the stream");
            }
        }
    }
}

/// What a program is about, for the log.
fn told(about: &Notice) -> String {
    match &about.what {
        What::Recorded(file) => format!("{} ({})", about.name, file.display()),
        _ => about.name.to_string(),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::mpsc::sync_channel;

    use openrtmp_core::{Config, ConnectionId};

    use super::*;

    /// A server, and who hears nothing of it but what a test says.
    fn beginning(change: impl FnOnce(&mut Config)) -> (Arc<Server>, Supervisor) {
        let mut config = Config::desktop();
        config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
        config.streams.goodbye_grace = Duration::ZERO;
        change(&mut config);
        let server = Arc::new(Server::start(config).expect("it starts"));
        let (back, words) = sync_channel(16);
        let mut supervisor = Supervisor::new(words, back, Arc::default());
        supervisor.server = Arc::downgrade(&server);
        (server, supervisor)
    }

    fn publish(server: &Server, name: &str) -> (openrtmp_core::Publisher, Notice) {
        let publisher = server.publish(name).expect("it is free");
        let name = server.stream_name(publisher.stream());
        let notice = Notice {
            what: What::Published(publisher.stream()),
            name: name.expect("it is there"),
            connection: None,
            address: None,
        };
        (publisher, notice)
    }

    fn sleep() -> Vec<String> {
        ["sleep", "1000"].map(str::to_owned).to_vec()
    }

    /// All that runs is ended.
    fn end(mut supervisor: Supervisor) {
        supervisor.hear(Word::End);
        supervisor.run();
    }

    #[test]
    fn what_was_not_told_is_looked_for() {
        let (server, mut supervisor) = beginning(|config| config.hooks.on_publish = sleep());
        let (gone, told_of_gone) = publish(&server, "live/gone");
        let (_stays, told_of_stays) = publish(&server, "live/stays");
        supervisor.hear(Word::Happened(told_of_gone.clone()));
        supervisor.hear(Word::Happened(told_of_stays.clone()));
        assert_eq!(supervisor.processes.len(), 2);
        let (_new, told_of_new) = publish(&server, "live/new");
        drop(gone);
        while server.publishers().len() > 2 {}
        supervisor.look_again(&server);
        supervisor.meet_deadlines();
        let live = |told: &Notice| supervisor.lives.is_published(&told.name);
        assert!(live(&told_of_stays) && live(&told_of_new));
        assert!(!live(&told_of_gone));
        let ended = supervisor.words.recv().expect("one is ended");
        supervisor.hear(ended);
        assert_eq!(supervisor.processes.len(), 2, "one is gone, one is new");
        // What is told late has been seen.
        supervisor.hear(Word::Happened(told_of_new));
        assert_eq!(supervisor.processes.len(), 2);
        end(supervisor);
    }

    #[test]
    fn what_is_made_goes_on_though_nobody_told_that_it_is_there() {
        let (server, mut supervisor) = beginning(|config| config.hooks.on_demand = sleep());
        let (made, about) = publish(&server, "live/far");
        let joined = Notice {
            what: What::Joined,
            connection: Some(ConnectionId::from_u64(7)),
            ..about
        };
        let name = joined.name.clone();
        supervisor.hear(Word::Happened(joined));
        let wanted = |supervisor: &Supervisor| supervisor.demands[&name].publish_by.is_some();
        assert!(wanted(&supervisor), "it is run");
        supervisor.look_again(&server);
        assert!(!wanted(&supervisor), "it is published");
        drop(made);
        while !server.publishers().is_empty() {}
        supervisor.look_again(&server);
        assert!(wanted(&supervisor), "it is published no more");
        assert_eq!(supervisor.processes.len(), 1);
        end(supervisor);
    }

    #[test]
    fn one_address_does_not_take_the_places_of_all_and_what_is_over_waits_for_one() {
        let (server, mut supervisor) = beginning(|config| {
            config.hooks.on_play = sleep();
            config.hooks.on_record_done = vec!["true".to_owned()];
            config.hooks.processes = 4;
        });
        let (_made, about) = publish(&server, "live/cam");
        let mut happens = |what: What, from: &str, connection| {
            supervisor.hear(Word::Happened(Notice {
                what,
                connection: Some(ConnectionId::from_u64(connection)),
                address: from.parse().ok(),
                ..about.clone()
            }));
            supervisor.processes.len()
        };
        for connection in 0..10 {
            happens(What::Joined, "192.0.2.1:1", connection);
        }
        assert_eq!(happens(What::Joined, "192.0.2.1:2", 10), 2);
        assert_eq!(happens(What::Joined, "192.0.2.2:1", 11), 3);
        let file = || What::Recorded("a.flv".into());
        assert_eq!(happens(file(), "192.0.2.3:1", 12), 4);
        assert_eq!(happens(file(), "192.0.2.3:1", 12), 4, "no place");
        assert!(!supervisor.waiting.is_empty(), "it is not lost");
        let ended = supervisor.words.recv().expect("the first recording's");
        supervisor.hear(ended);
        supervisor.run_waiting();
        assert!(supervisor.waiting.is_empty());
        assert_eq!(supervisor.processes.len(), 4);
        end(supervisor);
    }
}
