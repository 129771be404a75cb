//! Threads that take streams from the server and cut them.
//!
//! Each has a share of all streams, by their names, and a tap on it. It waits in the tap as long
//! as a viewer waits for what comes; no task and no runtime is between a message and the part
//! that it goes to. While nobody does, it looks into the tap now and then.
//!
//! Streams that are the same in other sizes (`http.variants`) are one for viewers, and each by
//! itself as well. They are in one share.

mod clocks;
mod oddity;
mod stream;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use openrtmp_core::{
    AwaitedThread, Limit, Server, StreamId, StreamName, Tap, TapCloser, TapEvent, TapOptions,
    TapStream, TapStreams, spawn_thread, without_ending,
};

use crate::http::is_reserved;
use crate::store::{Bell, Budget, Directory, Shares, Spool};
use oddity::Oddity;
use stream::Feeding;

/// An ended stream can be fetched for so long: who plays it is behind.
const ENDED_FOR: Duration = Duration::from_secs(60);
/// Nothing tells when there is less room for what is old of an ended stream.
const LOOKS_AFTER_ENDED: Duration = Duration::from_secs(1);
/// What is never to happen is looked for so often.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// While nobody waits for what comes, messages are looked for so often.
const UNAWAITED: Duration = Duration::from_millis(100);
/// Who waited will do so again within this time: players ask for the next part once they have
/// one.
const LINGERS: Duration = Duration::from_secs(1);
/// All threads end within this time, or are not waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Threads, at most.
const MOST_THREADS: usize = 8;

/// The threads.
#[derive(Debug)]
pub(crate) struct Feed {
    threads: Vec<AwaitedThread>,
    closers: Vec<TapCloser>,
    bell: Arc<Bell>,
    stopping: Arc<AtomicBool>,
}

impl Feed {
    /// Begins to take all streams of a server.
    pub(crate) fn start(
        server: &Arc<Server>,
        directory: &Arc<Directory>,
        budget: &Arc<Budget>,
        spool: Option<&Arc<Spool>>,
    ) -> std::io::Result<Feed> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = cores.div_ceil(2).min(MOST_THREADS) as u32;
        let endings: Arc<[String]> = server.config().http.variants.clone().into();
        let mut feed = Feed {
            threads: Vec::new(),
            closers: Vec::new(),
            bell: directory.bell().clone(),
            stopping: Arc::default(),
        };
        for index in 0..count {
            let streams = TapStreams::Groups {
                index,
                count,
                endings: endings.clone(),
            };
            let tap = server.tap_with(TapOptions::new(streams).messages());
            feed.closers.push(tap.closer());
            let shard = Shard {
                server: server.clone(),
                directory: directory.clone(),
                budget: budget.clone(),
                spool: spool.cloned(),
                endings: endings.clone(),
                routes: HashMap::new(),
                streams: HashMap::new(),
                ended: Vec::new(),
                awaited: Instant::now(),
                is_quiet: true,
                stopping: feed.stopping.clone(),
            };
            let name = format!("openrtmp-feed-{index}");
            let thread = AwaitedThread::spawn(&name, move || shard.run(tap));
            feed.threads.push(thread?);
        }
        Ok(feed)
    }

    /// Ends the threads. Streams stay as they are: they have not ended. What is written to the
    /// log is the host's in them: one that does not return from there is left to itself.
    pub(crate) fn stop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        for closer in &self.closers {
            closer.close();
        }
        self.bell.ring();
        let deadline = Instant::now() + PATIENCE;
        for (index, thread) in self.threads.drain(..).enumerate() {
            if thread.wait_until(deadline).is_err() {
                // The log may be where that thread hangs.
                let tell =
                    move || log::error!("feed {index} did not end in time and is left to itself");
                let _ = spawn_thread("openrtmp-log", Box::new(tell));
            }
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One thread's share.
struct Shard {
    server: Arc<Server>,
    directory: Arc<Directory>,
    budget: Arc<Budget>,
    spool: Option<Arc<Spool>>,
    /// What the names of streams end with that are another in another size.
    endings: Arc<[String]>,
    /// What each stream is a part of, by paths, and its number there.
    routes: HashMap<StreamId, Vec<(Arc<str>, u8)>>,
    /// What is delivered, by its path.
    streams: HashMap<Arc<str>, Feeding>,
    /// Streams that ended, and until when they can be fetched.
    ended: Vec<(Instant, Feeding)>,
    /// When somebody waited for what comes.
    awaited: Instant,
    /// Nothing came while it was not waited for.
    is_quiet: bool,
    stopping: Arc<AtomicBool>,
}

impl Shard {
    fn run(mut self, mut tap: Tap) {
        loop {
            let event = self.next(&mut tap);
            if self.stopping.load(Ordering::Acquire) {
                return;
            }
            match event {
                Some(event) => self.take(event),
                None if tap.is_closed() => return,
                None => {}
            }
            // What waits belongs to the same moment: one snapshot is enough for it.
            let mut more = 0;
            while let Some(event) = (more < 256).then(|| tap.try_recv()).flatten() {
                self.take(event);
                more += 1;
            }
            self.settle(Instant::now());
        }
    }

    /// What comes next, or nothing once something is due.
    fn next(&mut self, tap: &mut Tap) -> Option<TapEvent> {
        let patience = self.patience();
        if self.is_urgent(Instant::now()) {
            self.is_quiet = false;
            return tap.recv(patience);
        }
        let event = tap.try_recv().or_else(|| {
            self.directory.bell().sleep(patience.min(UNAWAITED));
            tap.try_recv()
        });
        self.is_quiet = event.is_none();
        event
    }

    /// What comes is to be taken at once: somebody waits for it, or it is what the clocks of a
    /// stream are set by. Where nothing comes, waiting for it costs less than to look for it.
    fn is_urgent(&mut self, now: Instant) -> bool {
        if self.directory.bell().is_awaited() {
            self.awaited = now;
        }
        let is_awaited = now.saturating_duration_since(self.awaited) < LINGERS;
        is_awaited || self.is_quiet || !self.streams.values().all(Feeding::has_begun)
    }

    /// Until something is due.
    fn patience(&self) -> Duration {
        let streams = self.streams.values().filter_map(Feeding::is_due_at);
        let ended = self.ended.iter().map(|(until, _)| *until);
        let next = streams.chain(ended).min();
        let has_past = self.ended.iter().any(|(_, feeding)| feeding.has_past());
        let most = if has_past {
            LOOKS_AFTER_ENDED
        } else {
            LONGEST_WAIT
        };
        next.map_or(most, |at| {
            most.min(at.saturating_duration_since(Instant::now()))
        })
    }

    fn take(&mut self, event: TapEvent) {
        match event {
            TapEvent::Started(stream) => self.begin(&stream),
            TapEvent::Message(message) => {
                self.routed(message.stream.id, |feeding, number| {
                    feeding.message(number, &message);
                });
            }
            TapEvent::Republished(stream) => self.routed(stream.id, Feeding::restart),
            TapEvent::Ended(stream) => {
                let now = Instant::now();
                for (path, number) in self.routes.remove(&stream.id).unwrap_or_default() {
                    let (mut goes_on, mut odd) = (true, Vec::new());
                    self.guarded(&path, |feeding| {
                        goes_on = feeding.leave(number);
                        if !goes_on {
                            feeding.end();
                            feeding.settle(now);
                            odd.extend_from_slice(feeding.oddities());
                        }
                    });
                    self.report_oddities(&path, &odd);
                    if !goes_on && let Some(feeding) = self.streams.remove(&path) {
                        self.ended.push((now + ENDED_FOR, feeding));
                    }
                }
            }
            // A gap is seen by the times of what follows.
            _ => {}
        }
    }

    /// Tells what is odd about a stream, as far as the log has room for it.
    fn report_oddities(&self, path: &Arc<str>, oddities: &[Oddity]) {
        for oddity in oddities {
            if let Some(feeding) = self.streams.get(path)
                && self.may_report()
            {
                oddity.report(&feeding.stream().name);
            }
        }
    }

    /// Whether there is room in the log for another line that a publisher causes.
    fn may_report(&self) -> bool {
        log::log_enabled!(log::Level::Warn) && self.server.admits_delivery_line()
    }

    /// Does something for all that a stream is a part of.
    fn routed(&mut self, stream: StreamId, mut act: impl FnMut(&mut Feeding, u8)) {
        let Some(routes) = self.routes.remove(&stream) else {
            return;
        };
        for (path, number) in &routes {
            self.guarded(path, |feeding| act(feeding, *number));
        }
        self.routes.insert(stream, routes);
    }

    /// Does something for what is delivered. A bug of ours ends its delivery, and nothing else.
    fn guarded(&mut self, path: &Arc<str>, act: impl FnOnce(&mut Feeding)) {
        let Some(feeding) = self.streams.get_mut(path) else {
            return;
        };
        if catch_unwind(AssertUnwindSafe(|| act(feeding))).is_ok() {
            return;
        }
        if let Some(feeding) = self.streams.remove(path) {
            let stream = feeding.stream();
            let name = &stream.name;
            log::error!(stream:% = name; "{name} is not delivered over HTTP any longer, for a bug");
            stream.ring.end();
            self.directory.remove(stream);
        }
    }

    fn begin(&mut self, stream: &Arc<TapStream>) {
        let name = &stream.name;
        let mut parts = vec![(name.clone(), 0)];
        if let Some((path, place)) = without_ending(name.reveal(), &self.endings) {
            let number = u8::try_from(place + 1).unwrap_or(u8::MAX);
            parts.push((self.server.name_beside(name, path), number));
        }
        for (name, number) in parts {
            let path: Arc<str> = name.reveal().into();
            if !self.streams.contains_key(&path) && !self.deliver(name, &path) {
                continue;
            }
            self.guarded(&path, |feeding| feeding.join(number));
            let routes = self.routes.entry(stream.id).or_default();
            routes.push((path, number));
        }
    }

    /// Begins to deliver something. Whether it is, from now on.
    fn deliver(&mut self, name: StreamName, path: &Arc<str>) -> bool {
        if is_reserved(path) {
            if self.may_report() {
                log::warn!(stream:% = name; "{name} is not delivered over HTTP: its app's name is reserved there");
            }
            return false;
        }
        let config = self.server.config();
        let most = Shares::of(&config).streams;
        let held = self.budget.live();
        if held > most {
            self.server.report_limit(Limit::Memory);
            if self.may_report() {
                log::warn!(stream:% = name, held, limit = most; "{name} is not delivered over HTTP: http.memory is full");
            }
            return false;
        }
        let feeding = Feeding::new(name, &config, &self.budget, self.spool.as_ref());
        self.directory.add(feeding.stream().clone());
        self.streams.insert(path.clone(), feeding);
        true
    }

    /// Shows what came, and does what is due.
    fn settle(&mut self, now: Instant) {
        let shares = Shares::of(&self.server.config());
        let is_tight = self.budget.live() > shares.streams;
        let streams: Vec<Arc<str>> = self.streams.keys().cloned().collect();
        for stream in &streams {
            let mut odd = Vec::new();
            self.guarded(stream, |feeding| {
                feeding.keep_of_past(shares);
                feeding.settle(now);
                if is_tight {
                    feeding.keep_least();
                }
                odd.extend_from_slice(feeding.oddities());
            });
            self.report_oddities(stream, &odd);
        }
        let directory = &self.directory;
        self.ended.retain_mut(|(until, feeding)| {
            // Those that are over go first where there is too little room for what is live.
            let look_back = AssertUnwindSafe(|| {
                feeding.keep_of_past(shares);
                feeding.settle(now);
            });
            let stays = *until > now && !is_tight && catch_unwind(look_back).is_ok();
            if !stays {
                directory.remove(feeding.stream());
            }
            stays
        });
        self.budget.look(shares);
    }
}
