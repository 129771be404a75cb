//! The server under test.

use std::env;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use openrtmp_core::{AccessAction, Config, Event, ListenTransport, ServerBuilder};

use crate::{Finished, Process};

/// Nothing a test waits for takes longer.
const DEADLINE: Duration = Duration::from_secs(30);

/// A server in this process, on a free port of the loopback interface.
/// Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    running: Arc<openrtmp_core::Server>,
    address: SocketAddr,
    scheme: &'static str,
    events: Arc<Events>,
}

impl Server {
    /// Starts a server with default settings.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start() -> Server {
        Server::start_with(|_| ())
    }

    /// Starts a server whose settings `change` has changed.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start_with(change: impl FnOnce(&mut Config)) -> Server {
        Server::start_as(change, |builder| builder)
    }

    /// The same of a host that `host` makes more of.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start_as(
        change: impl FnOnce(&mut Config),
        host: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> Server {
        let mut config = Config::desktop();
        config.listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()];
        change(&mut config);
        let events = Arc::new(Events::default());
        let told = Arc::clone(&events);
        let builder = openrtmp_core::Server::builder(config);
        let running = host(builder)
            .on_event(move |event| told.push(event))
            .start()
            .expect("a server on a free port starts");
        let listener = running.listeners()[0];
        let scheme = match listener.transport {
            ListenTransport::Plain => "rtmp",
            _ => "rtmps",
        };
        Server {
            running: Arc::new(running),
            address: listener.address,
            scheme,
            events,
        }
    }

    /// URL of a stream, for example of the path `live/main`.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}/{path}", self.scheme, self.address)
    }

    /// The server itself.
    pub fn core(&self) -> &Arc<openrtmp_core::Server> {
        &self.running
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until connections have been closed for a reason in which each of these parts
    /// is.
    pub fn wait_until_closed_for(&self, parts: &[&str]) {
        self.events
            .wait_for(&format!("an end for {parts:?}"), |events| {
                let fits = |event: &Event| match event {
                    Event::ConnectionClosed { reason, .. } => {
                        let text = reason.to_string();
                        parts.iter().all(|part| text.contains(part))
                    }
                    _ => false,
                };
                events.iter().any(fits)
            });
    }

    /// Waits until a stream has a publisher.
    pub fn wait_until_published(&self, path: &str) {
        self.events
            .wait_for(&format!("{path} to be published"), |events| {
                count(events, |event| is_published(event, path))
                    > count(events, |event| is_unpublished(event, path))
            });
    }

    /// Waits until a stream has lost a publisher.
    pub fn wait_until_unpublished(&self, path: &str) {
        self.events
            .wait_for(&format!("{path} to be unpublished"), |events| {
                events.iter().any(|event| is_unpublished(event, path))
            });
    }

    /// Waits until that many players have come to a stream, published or not.
    pub fn wait_for_players(&self, path: &str, players: usize) {
        self.events.wait_for(&format!("{players} players of {path}"), |events| {
            let joins = |event: &Event| {
                matches!(event, Event::SubscriberJoined { name, .. } if name == path)
            };
            count(events, joins) >= players
        });
    }

    /// The addresses from which this was granted, in their order.
    pub fn granted_from(&self, action: AccessAction) -> Vec<IpAddr> {
        let peer = |event: &Event| match event {
            Event::Access {
                action: of,
                peer,
                granted: true,
                ..
            } if *of == action => Some(peer.ip()),
            _ => None,
        };
        self.events.lock().iter().filter_map(peer).collect()
    }

    /// Waits until a recording is complete.
    pub fn wait_until_recorded(&self) {
        self.events.wait_for("a complete recording", |events| {
            events
                .iter()
                .any(|event| matches!(event, Event::RecordingFinished { .. }))
        });
    }

    /// Waits until something was told.
    pub fn wait_until_told(&self, what: &str, is_it: impl Fn(&Event) -> bool) {
        self.events
            .wait_for(what, |events| events.iter().any(&is_it));
    }

    /// How many publishers a stream has had.
    pub fn publications(&self, path: &str) -> usize {
        count(&self.events.lock(), |event| is_published(event, path))
    }
}

/// The `openrtmp` command serving in a process of its own, which can be killed.
#[derive(Debug)]
pub struct ServerProcess {
    process: Process,
    address: String,
}

impl ServerProcess {
    /// Starts it on a free port of the loopback interface.
    ///
    /// # Panics
    /// If it cannot be built or does not start.
    pub fn start(arguments: &[&str]) -> ServerProcess {
        let mut command = openrtmp();
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments);
        let mut process = Process::start("openrtmp serve", command);
        let line = process.wait_for("a URL", |line| line.contains("rtmp://127.0.0.1:"));
        let (_, url) = line.split_once("rtmp://").expect("the line holds a URL");
        let end = url.find(|letter: char| letter == '/' || letter.is_whitespace());
        ServerProcess {
            address: url[..end.unwrap_or(url.len())].to_owned(),
            process,
        }
    }

    /// URL of a stream, for example of the path `live/main`.
    pub fn url(&self, path: &str) -> String {
        format!("rtmp://{}/{path}", self.address)
    }

    /// Ends it with SIGKILL.
    pub fn kill(self) -> Finished {
        self.process.kill()
    }
}

/// What the server has told so far.
#[derive(Debug, Default)]
struct Events {
    seen: Mutex<Vec<Event>>,
    more: Condvar,
}

impl Events {
    fn push(&self, event: Event) {
        self.lock().push(event);
        self.more.notify_all();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Event>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for(&self, what: &str, happened: impl Fn(&[Event]) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        let mut seen = self.lock();
        while !happened(&seen) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "waited {DEADLINE:?} for {what}; events: {seen:#?}"
            );
            let waited = self.more.wait_timeout(seen, left);
            seen = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn count(events: &[Event], fits: impl Fn(&Event) -> bool) -> usize {
    events.iter().filter(|event| fits(event)).count()
}

fn is_published(event: &Event, path: &str) -> bool {
    matches!(event, Event::StreamPublished { name, .. } if name == path)
}

fn is_unpublished(event: &Event, path: &str) -> bool {
    matches!(event, Event::StreamUnpublished { name, .. } if name == path)
}

/// The `openrtmp` command, built now if it is not up to date: cargo builds the
/// binaries of a package for that package's own tests only. Building takes as long as
/// the machine needs, so it has no deadline.
///
/// # Panics
/// If it cannot be built.
pub fn openrtmp() -> Command {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command.args(["build", "--package", "openrtmp-cli", "--bin", "openrtmp"]);
        // What cargo told this program about its package would have build scripts run
        // again, and much be built again.
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&name);
            }
        }
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        let built = command.output().expect("cargo can be started");
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "building openrtmp:\n{said}");
        crate::tools::target_folder().join("debug").join("openrtmp")
    });
    Command::new(program)
}
