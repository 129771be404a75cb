//! An HTTP server that is asked who may do what, and told of what is over
//! (`access.callback`). On a few threads of its own: nobody else waits for it.

mod breaker;
mod formats;
mod http;
mod updates;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel,
};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::Instant;

use openrtmp_core::protocol::StreamName;
use openrtmp_core::{
    AccessAction, AccessRequest, CallbackConfig, CallbackFallback, Config, ConnectionId, Event,
    Protocol, Server,
};

use self::breaker::{Breaker, Failure};
use self::formats::{Matter, Verdict};
use self::http::{Http, Trouble};
use self::updates::{Going, Key, Updates};
use super::lives::{Lives, Notice, What};
use super::metrics::CallbackStatus as Status;
use crate::logs::LineLimit;

/// Questions at once.
const THREADS: usize = 4;

/// Questions and notices that wait. Beyond them a question is answered as if nobody
/// answered, and a notice is lost.
const QUEUE: usize = 1024;

/// Consents that are kept, and bytes of what each is for: about 8 MiB.
const CACHED: usize = 10_000;
const CACHED_BYTES: usize = 512;

/// Asks, and tells.
pub(super) struct Callback {
    /// `None` once nothing more comes.
    queue: Mutex<Option<SyncSender<Job>>>,
    shared: Arc<Shared>,
    /// Each ends with its thread.
    threads: Mutex<Vec<Receiver<()>>>,
    /// Held, never read.
    _updates: Updates,
}

struct Shared {
    /// What it began with.
    config: CallbackConfig,
    /// Whose settings are in force, once it runs.
    server: OnceLock<Weak<Server>>,
    cache: Mutex<Consents>,
    breaker: Mutex<Breaker>,
    /// Of notices, which nobody waits for: what comes of them says nothing about questions.
    notices: Mutex<Breaker>,
    going: Going,
    http: Mutex<Option<Http>>,
    counts: Counts,
    lines: Lines,
}

/// Questions and notices, by what became of them.
#[derive(Default)]
struct Counts {
    allowed: AtomicU64,
    refused: AtomicU64,
    /// Allowed without being asked about again.
    cached: AtomicU64,
    /// Without an answer that says something.
    failed: AtomicU64,
    /// Never asked: too many waited.
    lost: AtomicU64,
}

/// How often lines may be written.
struct Lines {
    failed: LineLimit,
    lost: LineLimit,
    late: LineLimit,
    refused: LineLimit,
    untracked: LineLimit,
}

impl Default for Lines {
    fn default() -> Lines {
        Lines {
            failed: LineLimit::new("failures of access.callback.url"),
            lost: LineLimit::new("notices to access.callback.url that are lost"),
            late: LineLimit::new("answers of access.callback.url that are late"),
            refused: LineLimit::new("refusals without access.callback.url"),
            untracked: LineLimit::new(
                "connections that access.callback.url is not asked about again",
            ),
        }
    }
}

struct Job {
    matter: Matter,
    /// `None`: nobody waits for what is said.
    request: Option<AccessRequest>,
    since: Instant,
}

/// What consents are kept for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Wish {
    event: &'static str,
    protocol: &'static str,
    app: String,
    name: String,
    query: String,
    tc_url: String,
    user: Option<Arc<str>>,
    client: Arc<str>,
    ip: Option<IpAddr>,
}

/// What was allowed while these settings held.
#[derive(Default)]
struct Consents {
    of: Option<CallbackConfig>,
    kept: HashMap<Wish, Consent>,
}

struct Consent {
    until: Instant,
    /// The name under which it was granted, if that is another.
    name: Option<String>,
}

impl Callback {
    pub(super) fn start(config: &CallbackConfig) -> std::io::Result<Callback> {
        let (queue, jobs) = sync_channel(QUEUE);
        // What cannot be used is told at the start.
        Http::new(config).map_err(std::io::Error::other)?;
        let shared = Arc::new(Shared {
            config: config.clone(),
            server: OnceLock::new(),
            cache: Mutex::default(),
            breaker: Mutex::default(),
            notices: Mutex::default(),
            going: Going::default(),
            http: Mutex::default(),
            counts: Counts::default(),
            lines: Lines::default(),
        });
        let updates = Updates::start(&shared)?;
        let jobs = Arc::new(Mutex::new(jobs));
        let mut threads = Vec::new();
        for _ in 0..THREADS {
            let (jobs, shared) = (jobs.clone(), shared.clone());
            let (alive, ended) = channel();
            let thread = thread::Builder::new().name("callback".to_owned());
            thread.spawn(move || {
                run(&jobs, &shared);
                drop(alive);
            })?;
            threads.push(ended);
        }
        Ok(Callback {
            queue: Mutex::new(Some(queue)),
            shared,
            threads: Mutex::new(threads),
            _updates: updates,
        })
    }

    /// From now on the settings of this server are in force.
    pub(super) fn follow(&self, server: &Arc<Server>) {
        // There is one server for each.
        let _ = self.shared.server.set(Arc::downgrade(server));
    }

    /// Answers a request, now or later.
    pub(super) fn ask(&self, request: AccessRequest) {
        let config = self.shared.config();
        let matter = matter(&request);
        if !is_wanted(&config, matter.event) {
            self.shared.grant(&config, &matter, request, None);
            return;
        }
        let job = Job {
            matter,
            request: Some(request),
            since: Instant::now(),
        };
        if let Some(job) = self.put(job)
            && let Some(request) = job.request
        {
            let what = "too many questions wait";
            self.shared.fall_back(&config, &job.matter, request, what);
        }
    }

    /// How it goes.
    pub(super) fn status(&self) -> Status {
        let counts = &self.shared.counts;
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Status {
            is_left_alone: lock(&self.shared.breaker).is_open(),
            outcomes: [
                ("allowed", of(&counts.allowed)),
                ("refused", of(&counts.refused)),
                ("cached", of(&counts.cached)),
                ("failed", of(&counts.failed)),
                ("lost", of(&counts.lost)),
            ],
        }
    }

    /// Hears of what no notice is made of.
    pub(super) fn hear(&self, event: &Event) {
        self.shared.going.hear(event);
    }

    /// Events were lost before then: this is what there is.
    pub(super) fn looked(&self, there: &Lives, then: Instant) {
        self.shared.going.looked(there, then);
    }

    /// Tells of what is over.
    pub(super) fn tell(&self, notice: &Notice) {
        self.shared.going.follow(notice);
        let Some(matter) = matter_of(notice) else {
            return;
        };
        if !is_wanted(&self.shared.config(), matter.event) {
            return;
        }
        let job = Job {
            matter,
            request: None,
            since: Instant::now(),
        };
        if self.put(job).is_some() && self.shared.may_log(&self.shared.lines.lost) {
            log::warn!("a notice to access.callback.url is lost: too many wait");
        }
    }

    /// A job that there is no place for comes back.
    fn put(&self, job: Job) -> Option<Job> {
        let queue = lock(&self.queue);
        let Some(queue) = &*queue else {
            return Some(job);
        };
        match queue.try_send(job) {
            Ok(()) => None,
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => Some(job),
        }
    }

    /// Nothing more comes: what waits is told, as long as one answer may take
    /// (`access.callback.timeout`); what waits then is lost.
    pub(super) fn finish(&self) {
        let until = Instant::now() + self.shared.config().timeout;
        *lock(&self.queue) = None;
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            let left = until.saturating_duration_since(Instant::now());
            // Never a message: its end is the sender's.
            if let Err(RecvTimeoutError::Timeout) = thread.recv_timeout(left) {
                log::warn!("notices to access.callback.url are lost: it does not answer in time");
                return;
            }
        }
    }
}

fn matter_of(notice: &Notice) -> Option<Matter> {
    let (event, file) = match &notice.what {
        What::Unpublished(_) => ("publish_done", None),
        What::Left => ("play_done", None),
        What::Recorded(path) => ("record_done", Some(path.to_string_lossy().into_owned())),
        What::Published(_) | What::Joined => return None,
    };
    let path = notice.name.reveal();
    let (app, name) = path.rsplit_once('/').unwrap_or(("", path));
    Some(Matter {
        event,
        protocol: "rtmp",
        connection: notice.connection.map(ConnectionId::as_u64),
        app: app.to_owned(),
        name: name.to_owned(),
        query: String::new(),
        tc_url: String::new(),
        user: None,
        client: Arc::default(),
        update: None,
        address: notice.address,
        file,
    })
}

impl Shared {
    fn config(&self) -> CallbackConfig {
        match self.server() {
            Some(server) => server.config().access.callback.clone(),
            None => self.config.clone(),
        }
    }

    fn server(&self) -> Option<Arc<Server>> {
        self.server.get().and_then(Weak::upgrade)
    }

    fn do_job(&self, job: Job) {
        let config = self.config();
        let Some(request) = job.request else {
            self.put(&config, &job.matter);
            return;
        };
        let in_time = match self.decide(&config, &job.matter, job.since) {
            Verdict::Unasked => self.grant(&config, &job.matter, request, None),
            Verdict::Allowed(name) => self.grant(&config, &job.matter, request, Some(name)),
            Verdict::Refused(reason) => request.reject(reason),
            Verdict::Garbage(what) => self.fall_back(&config, &job.matter, request, &what),
        };
        if !in_time && self.may_log(&self.lines.late) {
            log::debug!("an answer of access.callback.url came too late");
        }
    }

    /// Grants what the server consented to, perhaps under another name, or was not asked
    /// about (`None`); and asks again about it later. False if it comes too late.
    fn grant(
        &self,
        config: &CallbackConfig,
        matter: &Matter,
        request: AccessRequest,
        consent: Option<Option<String>>,
    ) -> bool {
        let renamed = match &consent {
            Some(Some(name)) => Some(format!("{}/{name}", matter.app)),
            _ => None,
        };
        // Under the name that the server makes of it, which events tell.
        let path = renamed.as_deref().unwrap_or(request.stream.reveal());
        let name = StreamName::join("", path);
        let key = Key::of(request.connection, matter.event, name.reveal());
        let key = key.filter(|_| updates::are_wanted(config));
        // Before it can begin.
        if let Some(key) = key.clone()
            && !self.going.grant(key, matter)
            && self.may_log(&self.lines.untracked)
        {
            let id = request.connection.map_or(0, ConnectionId::as_u64);
            log::warn!("access.callback.url is not asked again about connection {id}");
        }
        let in_time = match (consent, renamed) {
            (_, Some(path)) => request.accept_as(path),
            (Some(_), None) => request.accept(),
            (None, None) => request.pass(),
        };
        if let (false, Some(key)) = (in_time, key) {
            self.going.withdraw(&key);
        }
        in_time
    }

    /// Does as the settings say where there is no answer. False if it comes too late.
    fn fall_back(
        &self,
        config: &CallbackConfig,
        matter: &Matter,
        request: AccessRequest,
        what: &str,
    ) -> bool {
        match config.fallback {
            CallbackFallback::Allow => self.grant(config, matter, request, None),
            _ => {
                if log::log_enabled!(log::Level::Debug) && self.may_log(&self.lines.refused) {
                    log::debug!("refused: {what}");
                }
                request.fail("the server cannot decide at the moment")
            }
        }
    }

    /// What the server says to a question, or has said.
    fn decide(&self, config: &CallbackConfig, matter: &Matter, since: Instant) -> Verdict {
        let wish = Wish::of(matter);
        if let Some(consent) = self.consent(config, &wish) {
            count(&self.counts.cached);
            return consent;
        }
        if since.elapsed() >= config.timeout {
            return Verdict::Garbage("no answer in time".to_owned());
        }
        let verdict = self.put(config, matter);
        if let Verdict::Allowed(name) = &verdict {
            self.keep(wish, config, name.clone());
        }
        verdict
    }

    /// Puts a question or a notice to the server, unless that is left alone.
    fn put(&self, config: &CallbackConfig, matter: &Matter) -> Verdict {
        let (Some(url), Some(body)) = (&config.url, formats::body(config.format, matter)) else {
            // Nobody is to be asked any more, or nobody has words for it.
            return Verdict::Unasked;
        };
        let breaker = match matter.is_notice() {
            true => &self.notices,
            false => &self.breaker,
        };
        if !lock(breaker).admits(Instant::now()) {
            return Verdict::Garbage("the callback is out of order".to_owned());
        }
        let answered = self
            .http(config)
            .map_err(Trouble::Way)
            .and_then(|http| http.post(url, config, &body));
        let stumbled = Failure::Stumbled(matter.address.map(|a| a.ip()));
        let (verdict, failure) = match answered {
            Ok(answer) => {
                let location = answer.location.as_deref();
                let verdict =
                    formats::verdict(config.format, answer.status, location, &answer.body);
                (verdict, stumbled)
            }
            // Questions wait for the thread that a notice keeps, for which nobody does.
            Err(Trouble::Answer(what)) if matter.is_notice() => {
                (Verdict::Garbage(what.to_owned()), Failure::Unreached)
            }
            Err(Trouble::Answer(what)) => (Verdict::Garbage(what.to_owned()), stumbled),
            Err(Trouble::Way(what)) => (Verdict::Garbage(what), Failure::Unreached),
        };
        self.note(breaker, &verdict, failure);
        verdict
    }

    /// The client for these settings, with the authorities that stand in their file by now.
    fn http(&self, config: &CallbackConfig) -> Result<Http, String> {
        let mut kept = lock(&self.http);
        if let Some(http) = kept.as_mut().filter(|http| http.is_for(config)) {
            if !http.is_current() {
                match Http::new(config) {
                    Ok(other) => *http = other,
                    Err(error) => {
                        log::error!("the authorities stay as they are: {error}");
                        http.put_up();
                    }
                }
            }
            return Ok(http.clone());
        }
        let http = Http::new(config)?;
        *kept = Some(http.clone());
        Ok(http)
    }

    /// Tells the breaker, the numbers and the log how it went. `failure`: what it is if it
    /// is no answer.
    fn note(&self, breaker: &Mutex<Breaker>, verdict: &Verdict, failure: Failure) {
        count(match verdict {
            Verdict::Allowed(_) | Verdict::Unasked => &self.counts.allowed,
            Verdict::Refused(_) => &self.counts.refused,
            Verdict::Garbage(_) => &self.counts.failed,
        });
        let mut breaker = lock(breaker);
        if let Verdict::Garbage(what) = verdict {
            if self.may_log(&self.lines.failed) {
                log::warn!("access.callback.url: {what}");
            }
            if breaker.failed(Instant::now(), failure) {
                log::error!("access.callback.url is left alone for a while");
            }
        } else if breaker.succeeded() {
            log::info!("access.callback.url answers again");
        }
    }

    /// Whether a line may be written now.
    fn may_log(&self, limit: &LineLimit) -> bool {
        let server = self.server();
        let default = || Config::desktop().limits.log_lines;
        let lines = server.map_or_else(default, |server| server.config().limits.log_lines);
        limit.admits(lines, Instant::now())
    }

    /// A consent that holds still, if there is one.
    fn consent(&self, config: &CallbackConfig, wish: &Wish) -> Option<Verdict> {
        let mut cache = lock(&self.cache);
        if cache.of.as_ref() != Some(config) {
            *cache = Consents {
                of: Some(config.clone()),
                kept: HashMap::new(),
            };
        }
        let consent = cache.kept.get(wish)?;
        let holds = Instant::now() < consent.until;
        holds.then(|| Verdict::Allowed(consent.name.clone()))
    }

    /// What was allowed is so no more.
    fn forget(&self, wish: &Wish) {
        lock(&self.cache).kept.remove(wish);
    }

    fn keep(&self, wish: Wish, config: &CallbackConfig, name: Option<String>) {
        let bytes = wish.app.len() + wish.name.len() + wish.query.len() + wish.tc_url.len();
        if config.cache.is_zero() || bytes > CACHED_BYTES {
            return;
        }
        let now = Instant::now();
        let cache = &mut lock(&self.cache).kept;
        if cache.len() >= CACHED {
            cache.retain(|_, consent| now < consent.until);
        }
        if cache.len() >= CACHED {
            cache.clear();
        }
        let until = now + config.cache;
        cache.insert(wish, Consent { until, name });
    }
}

impl Wish {
    /// For what a question is about; one that is asked again is about what it was at first.
    fn of(matter: &Matter) -> Wish {
        Wish {
            event: matter.update.map_or(matter.event, |update| update.of),
            protocol: matter.protocol,
            app: matter.app.clone(),
            name: matter.name.clone(),
            query: matter.query.clone(),
            tc_url: matter.tc_url.clone(),
            user: matter.user.clone(),
            client: matter.client.clone(),
            ip: matter.address.map(|address| address.ip().to_canonical()),
        }
    }
}

fn run(jobs: &Mutex<Receiver<Job>>, shared: &Shared) {
    loop {
        let job = lock(jobs).recv();
        match job {
            Ok(job) => shared.do_job(job),
            // The server is gone.
            Err(_) => return,
        }
    }
}

fn is_wanted(config: &CallbackConfig, event: &str) -> bool {
    config.url.is_some() && config.events.iter().any(|wanted| wanted == event)
}

fn matter(request: &AccessRequest) -> Matter {
    let path = request.stream.reveal();
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let event = match request.action {
        AccessAction::Publish => "publish",
        AccessAction::Play => "play",
        _ => "connect",
    };
    Matter {
        event,
        protocol: match request.protocol {
            Protocol::Rtmps => "rtmps",
            Protocol::Hls => "hls",
            Protocol::Dash => "dash",
            Protocol::Flv => "flv",
            _ => "rtmp",
        },
        connection: request.connection.map(ConnectionId::as_u64),
        app: request.app.reveal().to_owned(),
        name: name.to_owned(),
        query: request.query.reveal().to_owned(),
        tc_url: request.tc_url.reveal().to_owned(),
        user: request.user.clone(),
        client: request.client.clone(),
        update: None,
        address: Some(request.peer),
        file: None,
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in it is valid whatever its last holder was doing.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
