//! A server of the host's, which can be started again after a stop, and what it calls back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jni::errors::Error;
use jni::objects::JObject;
use jni::refs::Global;
use jni::sys::jvalue;
use openrtmp_core::{
    AccessRequest, Config, Event, Order, Pem, Protocol, Server, Summary, next_server_id,
};
use serde_json::json;

use crate::failure::Failure;
use crate::handles::{Handles, lock};
use crate::jvm;

pub(crate) static HOSTS: Handles<Host> = Handles::new("server");

/// A server, made or running.
pub(crate) struct Host {
    /// Names it in log records.
    pub(crate) id: u64,
    /// An `org.openrtmp.ServerCallbacks`.
    callbacks: Global<JObject<'static>>,
    /// It asks who may come.
    asks: bool,
    config: Mutex<Config>,
    state: Mutex<State>,
    requests: Mutex<Requests>,
}

enum State {
    Stopped,
    Running(Arc<Server>),
    Stopping(Arc<Server>),
    Closed,
}

/// Requests that Java was told of and has not answered.
#[derive(Default)]
struct Requests {
    last: i64,
    /// Numbers only grow, so that the first is the oldest.
    waiting: BTreeMap<i64, (Instant, AccessRequest)>,
}

impl Host {
    pub(crate) fn new(config: Config, callbacks: Global<JObject<'static>>, asks: bool) -> Host {
        Host {
            id: next_server_id(),
            callbacks,
            asks,
            config: Mutex::new(config),
            state: Mutex::new(State::Stopped),
            requests: Mutex::default(),
        }
    }

    /// Opens it, with a thread for events and one for requests.
    pub(crate) fn start(self: &Arc<Host>) -> Result<(), Failure> {
        let mut state = lock(&self.state);
        match *state {
            State::Stopped => {}
            State::Running(_) | State::Stopping(_) => {
                return Err(Failure::state("the server is running"));
            }
            State::Closed => return Err(closed()),
        }
        let config = lock(&self.config).clone();
        let host = self.clone();
        let mut builder = Server::builder(config).id(self.id);
        builder = builder.on_event(move |event| host.tell(&event));
        let host = self.clone();
        builder = builder.on_order(move |order| host.order(&order));
        if self.asks {
            let host = self.clone();
            builder = builder.on_access(move |request| host.ask(request));
        }
        *state = State::Running(Arc::new(builder.start()?));
        Ok(())
    }

    /// The server while it runs, its stop included.
    pub(crate) fn running(&self) -> Result<Arc<Server>, Failure> {
        match &*lock(&self.state) {
            State::Running(server) | State::Stopping(server) => Ok(server.clone()),
            State::Stopped => Err(Failure::state("the server is not running")),
            State::Closed => Err(closed()),
        }
    }

    /// 0 stopped, 1 running, 2 stopping: `OPENRTMP_STATE_*`.
    pub(crate) fn state(&self) -> i32 {
        match &*lock(&self.state) {
            State::Stopped | State::Closed => 0,
            State::Running(_) => 1,
            State::Stopping(_) => 2,
        }
    }

    /// Ends it as `how` says, after whose failure it goes on. If it is ending, no grace cuts
    /// that short.
    pub(crate) fn end(
        &self,
        grace: Duration,
        how: impl FnOnce(&Server) -> Result<Summary, Failure>,
    ) -> Result<Summary, Failure> {
        let mut state = lock(&self.state);
        let server = match &*state {
            State::Running(server) => server.clone(),
            State::Stopping(server) if grace.is_zero() => {
                server.force();
                return Ok(Summary::default());
            }
            State::Stopping(_) => return Err(Failure::state("the server is being stopped")),
            State::Stopped => return Err(Failure::state("the server is not running")),
            State::Closed => return Err(closed()),
        };
        *state = State::Stopping(server.clone());
        drop(state);
        let ended = how(&server);
        if ended.is_ok() {
            self.forget_requests();
        }
        let mut state = lock(&self.state);
        if let State::Stopping(_) = *state {
            *state = match ended {
                Ok(_) => State::Stopped,
                Err(_) => State::Running(server),
            };
        }
        ended
    }

    /// Ends it for good.
    pub(crate) fn close(&self) {
        let before = std::mem::replace(&mut *lock(&self.state), State::Closed);
        if let State::Running(server) | State::Stopping(server) = before {
            server.stop(Duration::ZERO);
        }
        self.forget_requests();
    }

    /// The settings in force, or of the next start.
    pub(crate) fn config(&self) -> Config {
        match self.running() {
            Ok(server) => Config::clone(&server.config()),
            Err(_) => lock(&self.config).clone(),
        }
    }

    /// Puts other settings in force, or keeps them for the next start; tells which changed.
    pub(crate) fn reconfigure(&self, config: &Config) -> Result<Vec<String>, Failure> {
        let state = lock(&self.state);
        let server = match &*state {
            State::Running(server) => server.clone(),
            State::Stopping(_) => return Err(Failure::state("the server is being stopped")),
            State::Closed => return Err(closed()),
            State::Stopped => {
                config.validate()?;
                let changed = lock(&self.config).changes(config);
                lock(&self.config).clone_from(config);
                return Ok(changed);
            }
        };
        drop(state);
        let done = server.reconfigure(config.clone());
        lock(&self.config).clone_from(&server.config());
        Ok(done?.changed)
    }

    /// Puts a certificate in the settings.
    pub(crate) fn set_certificate(&self, chain: &str, key: &str) -> Result<(), Failure> {
        let (chain, key) = (Pem::from(chain), Pem::from(key));
        if matches!(chain, Pem::File(_)) || matches!(key, Pem::File(_)) {
            return Err(Failure::argument("a certificate and its key are PEM text"));
        }
        let mut config = self.config();
        (config.tls.certificate, config.tls.key) = (Some(chain), Some(key));
        self.reconfigure(&config).map(drop)
    }

    fn tell(&self, event: &Event) {
        // Only maps whose keys are no texts could fail.
        let Ok(text) = serde_json::to_string(event) else {
            return;
        };
        let failed = |error: &Error| log::error!("telling Java of an event: {error}");
        jvm::call(failed, |env, ids| {
            let text = env.new_string(text)?;
            let arguments = [jvalue { l: text.as_raw() }];
            // SAFETY: the arguments of ServerCallbacks.event.
            unsafe { jvm::call_back(env, &self.callbacks, ids.event, &arguments) }
        });
    }

    fn order(&self, order: &Order) {
        let Ok(text) = serde_json::to_string(order) else {
            return;
        };
        let failed = |error: &Error| log::error!("giving Java an order: {error}");
        jvm::call(failed, |env, ids| {
            let text = env.new_string(text)?;
            let arguments = [jvalue { l: text.as_raw() }];
            // SAFETY: the arguments of ServerCallbacks.order.
            unsafe { jvm::call_back(env, &self.callbacks, ids.order, &arguments) }
        });
    }

    /// Asks Java, which answers now or later. What cannot be asked is refused.
    fn ask(&self, request: AccessRequest) {
        let text = describe(&request);
        let number = self.keep(request);
        let failed = |error: &Error| log::error!("asking Java who may come: {error}");
        let asked = jvm::call(failed, |env, ids| {
            let text = env.new_string(text)?;
            let arguments = [jvalue { j: number }, jvalue { l: text.as_raw() }];
            // SAFETY: the arguments of ServerCallbacks.access.
            unsafe { jvm::call_back(env, &self.callbacks, ids.access, &arguments) }
        });
        if asked.is_none() {
            drop(self.take_request(number));
        }
    }

    /// Also lets go of those that the server has refused meanwhile: a host that never
    /// answers fills no memory.
    fn keep(&self, request: AccessRequest) -> i64 {
        let now = Instant::now();
        let mut requests = lock(&self.requests);
        let mut expired = Vec::new();
        while let Some(oldest) = requests.waiting.first_entry()
            && now.duration_since(oldest.get().0) > oldest.get().1.timeout
        {
            expired.push(oldest.remove());
        }
        requests.last += 1;
        let number = requests.last;
        requests.waiting.insert(number, (now, request));
        drop(requests);
        number
    }

    /// A request that waits, which its taker answers.
    pub(crate) fn take_request(&self, number: i64) -> Option<AccessRequest> {
        let taken = lock(&self.requests).waiting.remove(&number);
        taken.map(|(_, request)| request)
    }

    /// Says that the name in a request holds a key; false if it does not wait any more.
    pub(crate) fn mark_secret(&self, number: i64) -> bool {
        let requests = lock(&self.requests);
        let request = requests.waiting.get(&number);
        request
            .inspect(|(_, request)| request.mark_secret())
            .is_some()
    }

    fn forget_requests(&self) {
        let gone = std::mem::take(&mut lock(&self.requests).waiting);
        drop(gone);
    }
}

fn closed() -> Failure {
    Failure::state("the server was closed")
}

/// A request as JSON, whole names and queries in it: for the host, who decides by them.
fn describe(request: &AccessRequest) -> String {
    let certificate = request.certificate.as_deref();
    json!({
        "action": request.action.as_str(),
        "connection": request.connection,
        "peer": request.peer,
        "app": request.app.reveal(),
        "stream": request.stream.reveal(),
        "query": request.query.reveal(),
        "tc_url": request.tc_url.reveal(),
        "client": &*request.client,
        "tls": request.protocol == Protocol::Rtmps,
        "user": request.user.as_deref(),
        "certificate": certificate.map(|shown| json!({
            "common_name": shown.common_name,
            "names": shown.names,
            "pin": shown.pin,
        })),
        "timeout_ms": u64::try_from(request.timeout.as_millis()).unwrap_or(u64::MAX),
    })
    .to_string()
}
