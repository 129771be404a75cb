//! Settings, keys and certificates read again: when a file of theirs changes, and on
//! SIGHUP. One thread does it, one after the other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use openrtmp_core::{Config, ReconfigureError, Server};

use super::settings::effective;
use super::watch::{Watcher, digests};
use super::{Arguments, ipv4_only, is_dispensable};
use crate::control::{Code, Refusal, Reloaded};
use crate::exit::Failure;

/// After a change, how long nothing has to change before files are read: certificate and
/// key are written one after the other.
const QUIET: Duration = Duration::from_secs(1);

/// Where something else changes all the time, files are read after so long all the same.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long somebody waits for what comes of reading everything again: longer than the
/// server takes to complete recordings.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// Why the thread wakes up.
enum Wake {
    /// Something is going on where the files are.
    Change,
    /// They are to be read, whether or not they are others.
    #[cfg(unix)]
    Now,
    /// The same, and somebody waits for what comes of it.
    Asked(Sender<Answer>),
    End,
}

/// What comes of reading everything again.
type Answer = Result<Reloaded, Refusal>;

/// The thread that reads again what a server began with.
pub(super) struct Reloading(Sender<Wake>);

impl Drop for Reloading {
    fn drop(&mut self) {
        let _ = self.0.send(Wake::End);
    }
}

impl Reloading {
    /// `follow` is called whenever everything was read again, and told whether somebody
    /// asked for that; it says what could not be done as the settings say.
    pub(super) fn begin(
        arguments: &Arguments,
        server: &Arc<Server>,
        follow: impl FnMut(bool) -> Vec<String> + Send + 'static,
    ) -> Result<Reloading, Failure> {
        let (sender, wakes) = channel();
        let notify = sender.clone();
        let watcher = Watcher::new(move || {
            // Nobody listens any more once the server is gone.
            let _ = notify.send(Wake::Change);
        });
        let watcher = watcher.map_err(|error| {
            log::warn!("files are read again on SIGHUP alone: {error}");
        });
        let mut reader = Reader {
            arguments: arguments.clone(),
            server: Arc::downgrade(server),
            watcher: watcher.ok(),
            seen: BTreeMap::new(),
        };
        // Before the thread: what changes from here on is seen.
        reader.look(server);
        let run = move || reader.run(&wakes, follow);
        let thread = thread::Builder::new().name("settings".to_owned());
        let spawned = thread.spawn(run);
        spawned.map_err(|e| Failure::Runtime(format!("cannot start a thread: {e}")))?;
        Ok(Reloading(sender))
    }

    /// For whoever wants it to be read again, and to know what comes of it.
    pub(super) fn asking(&self) -> Asking {
        Asking(self.0.clone())
    }

    /// For whoever wants it to be read again.
    #[cfg(unix)]
    pub(super) fn on_demand(&self) -> impl Fn() + Send + 'static {
        let wakes = self.0.clone();
        move || {
            // The server is going: nothing is read any more.
            let _ = wakes.send(Wake::Now);
        }
    }
}

/// For whoever wants it to be read again, and to know what comes of it.
pub(super) struct Asking(Sender<Wake>);

impl Asking {
    pub(super) fn ask(&self) -> Answer {
        let gone = || Refusal::new(Code::Unavailable, "the server is stopping");
        let (sender, answer) = channel();
        self.0.send(Wake::Asked(sender)).map_err(|_| gone())?;
        answer.recv_timeout(ANSWER_PATIENCE).map_err(|e| match e {
            RecvTimeoutError::Disconnected => gone(),
            RecvTimeoutError::Timeout => Refusal::new(Code::Unavailable, "it is still being read"),
        })?
    }
}

struct Reader {
    arguments: Arguments,
    server: Weak<Server>,
    watcher: Option<Watcher>,
    /// The files there are, and what was in them.
    seen: BTreeMap<PathBuf, Option<u64>>,
}

impl Reader {
    fn run(mut self, wakes: &Receiver<Wake>, mut follow: impl FnMut(bool) -> Vec<String>) {
        let mut waiting = Waiting::default();
        while let Ok(wake) = wakes.recv() {
            let mut asked = match wake {
                Wake::End => return,
                #[cfg(unix)]
                Wake::Now => true,
                Wake::Asked(sender) => waiting.add(sender),
                Wake::Change => match waiting.until_quiet(wakes) {
                    Some(asked) => asked,
                    None => return,
                },
            };
            // Until nothing is another than what was read: other settings may name other
            // files, which nobody has watched so far.
            loop {
                let Some(server) = self.server.upgrade() else {
                    return;
                };
                if !self.look(&server) && !asked {
                    break;
                }
                let mut done = reload(&server, &self.arguments);
                let failed = follow(asked);
                if let Ok(reloaded) = &mut done {
                    reloaded.failed.extend(failed);
                }
                log_what_came_of_it(&done, asked);
                waiting.answer(&done);
                drop(server);
                match waiting.until_quiet(wakes) {
                    Some(again) => asked = again,
                    None => return,
                }
            }
        }
    }

    /// Watches where the files are by now. True if what is in them is another.
    fn look(&mut self, server: &Server) -> bool {
        let files = files(server, &self.arguments);
        // In this order: what changes in between is found, or wakes the thread.
        if let Some(watcher) = &mut self.watcher {
            watcher.watch(&files);
        }
        let found = digests(files);
        let changed = found != self.seen;
        self.seen = found;
        changed
    }
}

/// Those who wait for what comes of it.
#[derive(Default)]
struct Waiting(Vec<Sender<Answer>>);

impl Waiting {
    /// True: everything is to be read, for somebody asked.
    fn add(&mut self, sender: Sender<Answer>) -> bool {
        self.0.push(sender);
        true
    }

    fn answer(&mut self, answer: &Answer) {
        for sender in self.0.drain(..) {
            // Whoever asked may have had enough.
            let _ = sender.send(answer.clone());
        }
    }

    /// Waits until nothing changes any more. Whether files are to be read in any case;
    /// `None` if it is over.
    fn until_quiet(&mut self, wakes: &Receiver<Wake>) -> Option<bool> {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match wakes.recv_timeout(QUIET.min(left)) {
                Ok(Wake::Change) if left.is_zero() => return Some(false),
                Ok(Wake::Change) => {}
                #[cfg(unix)]
                Ok(Wake::Now) => return Some(true),
                Ok(Wake::Asked(sender)) => return Some(self.add(sender)),
                Ok(Wake::End) | Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => return Some(false),
            }
        }
    }
}

/// The files that settings, keys and certificates are read from.
fn files(server: &Server, arguments: &Arguments) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = arguments.config.iter().cloned().collect();
    files.extend(Config::environment_files(std::env::vars_os()));
    files.extend(server.config().access.keys_file.clone());
    #[cfg(feature = "tls")]
    files.extend(server.certificate_files());
    files
}

/// Reads everything again. What is wrong changes nothing, but for certificates, which come
/// last.
fn reload(server: &Server, arguments: &Arguments) -> Answer {
    let stay = |code, what: &dyn std::fmt::Display| {
        Refusal::new(code, format!("the settings stay as they are: {what}"))
    };
    let config = effective(arguments).map_err(|e| stay(Code::Invalid, &e))?;
    if let Some(file) = &arguments.config {
        nothing_vanished(file, &server.config(), &config).map_err(|e| stay(Code::Invalid, &e))?;
    }
    let no_ipv6 = server.config().listen.iter().all(|l| l.address.is_ipv4());
    let mut addresses = config.listen.iter().map(|l| l.address);
    let config =
        match no_ipv6 && addresses.all(|a| a.is_ipv4() || is_dispensable(a, arguments, &config)) {
            true => ipv4_only(config),
            false => config,
        };
    let mut reloaded = Reloaded::default();
    let (before, wanted) = (server.config(), config.clone());
    match server.reconfigure(config) {
        Ok(done) => reloaded.changed = done.changed,
        // They hold, but for a worker that is busy.
        Err(ReconfigureError::Unanswered(error)) if *server.config() == wanted => {
            reloaded.changed = before.changes(&wanted);
            let what = format!("{error}: the settings hold there when it can");
            reloaded.failed.push(what);
        }
        // The files of certificates are other files.
        Err(ReconfigureError::NeedsRestart { paths }) => reloaded.needs_restart = paths,
        Err(error) => {
            let code = match error {
                ReconfigureError::Start(_) => Code::Invalid,
                _ => Code::Unavailable,
            };
            return Err(stay(code, &error));
        }
    }
    let certificates = reload_certificates(server);
    let wrong = |e| {
        Refusal::new(
            Code::Invalid,
            format!("the certificates stay as they are: {e}"),
        )
    };
    reloaded.certificates = certificates.map_err(wrong)?;
    Ok(reloaded)
}

/// What keeps people out, or keys secret.
const KEEPS_OUT: [&str; 8] = [
    "access.publish_keys",
    "access.play_keys",
    "access.keys_file",
    "access.rules",
    "access.users",
    "access.callback.url",
    "access.secret_names",
    "tls.client_auth.mode",
];

/// A file that was cut off, on a full disk or by whoever writes it in place, may be right as
/// far as it goes, and names no keys any more: by default everybody may do everything. What
/// keeps people out is taken away by saying so.
fn nothing_vanished(file: &Path, before: &Config, after: &Config) -> Result<(), String> {
    let default = Config::desktop();
    let value = |config: &Config, path| config.get(path).map_err(|e| e.to_string());
    // What keeps people out now, and what the file says about that.
    let mut said = Config::desktop();
    (said.access, said.tls.client_auth) = (before.access.clone(), before.tls.client_auth.clone());
    said.merge_file(file).map_err(|e| e.to_string())?;
    for path in KEEPS_OUT {
        let off = value(&default, path)?;
        if value(after, path)? == off && value(&said, path)? != off {
            let file = file.display();
            return Err(format!(
                "{file} does not name {path} any more; to be without it say so: {path} = {}",
                shown_off(&off)
            ));
        }
    }
    Ok(())
}

/// A value of a setting that is off, as a file has it.
fn shown_off(value: &str) -> &str {
    match value {
        "" => "\"\"",
        value => value,
    }
}

/// `asked`: somebody wanted it, and there is something to say in any case.
fn log_what_came_of_it(done: &Answer, asked: bool) {
    match done {
        Err(refusal) => log::error!("{refusal}"),
        Ok(reloaded) if !reloaded.needs_restart.is_empty() => {
            let paths = reloaded.needs_restart.join(", ");
            log::error!("the settings stay as they are: only a restart changes {paths}");
        }
        Ok(reloaded) if !reloaded.failed.is_empty() => {
            for what in &reloaded.failed {
                log::error!("{what}");
            }
        }
        // The server logs what has changed, keys included.
        Ok(reloaded) if asked && reloaded.changed.is_empty() && !reloaded.certificates => {
            log::info!("no setting has changed");
        }
        Ok(_) => {}
    }
}

/// Reads certificates again, whether or not a setting is another. True if they are others.
#[cfg(feature = "tls")]
fn reload_certificates(server: &Server) -> Result<bool, String> {
    match server.reload_certificates() {
        Err(openrtmp_core::TlsError::NotSpoken) => Ok(false),
        reloaded => reloaded.map_err(|error| error.to_string()),
    }
}

#[cfg(not(feature = "tls"))]
fn reload_certificates(_: &Server) -> Result<bool, String> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use openrtmp_core::Format;

    use super::*;

    #[test]
    fn what_keeps_people_out_is_taken_away_by_saying_so() {
        let closed = "listen: [\"127.0.0.1:0\"]\naccess:\n  keys_file: keys.yaml\n  \
                      publish_keys: [a]\n  play_keys: [b]\n  secret_names: true\n  \
                      rules: [{allow: 10.0.0.0/8}]\n  users: [{user: ann, password: p}]\n  \
                      callback: {url: \"http://127.0.0.1:1/\"}\n\
                      tls: {client_auth: {mode: required, ca: ca.pem}}\n";
        let open = "access:\n  keys_file: \"\"\n  publish_keys: []\n  play_keys: []\n  \
                    secret_names: false\n  rules: []\n  users: []\n  callback: {url: \"\"}\n\
                    tls: {client_auth: {mode: \"off\"}}\n";
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("server.yaml");
        let read = |text: &str| {
            let mut config = Config::desktop();
            config.merge(text, Format::Yaml).unwrap();
            std::fs::write(&file, text).unwrap();
            config
        };
        let before = read(closed);
        for path in KEEPS_OUT {
            let off = Config::desktop().get(path).unwrap();
            assert_ne!(before.get(path).unwrap(), off, "{path}");
        }
        // Cut off behind every line.
        for (end, _) in closed.match_indices('\n') {
            let cut = &closed[..=end];
            let whole = cut == closed;
            let mut config = Config::desktop();
            if config.merge(cut, Format::Yaml).is_err() {
                continue;
            }
            let after = read(cut);
            let result = nothing_vanished(&file, &before, &after);
            assert_eq!(result.is_ok(), whole, "{cut}: {result:?}");
        }
        let after = read(open);
        assert_eq!(nothing_vanished(&file, &before, &after), Ok(()));
        // What the environment or a flag says is there still.
        let mut after = read("listen: [\"127.0.0.1:0\"]\n");
        after.access = before.access.clone();
        after.tls.client_auth = before.tls.client_auth.clone();
        assert_eq!(nothing_vanished(&file, &before, &after), Ok(()));
        let error = nothing_vanished(&file, &before, &Config::desktop()).unwrap_err();
        assert!(error.ends_with("access.publish_keys = []"), "{error}");
    }
}
