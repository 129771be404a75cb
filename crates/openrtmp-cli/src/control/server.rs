//! Answers on the socket: a thread that accepts, and one for each connection.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use openrtmp_core::{ControlConfig, ControlListen};

use super::answer::{self, Code, Refusal};
use super::operator::Operator;
use super::request::Request;
use super::socket::{Listener, Stream, is_possible};

/// How long the end waits for answers that are being made.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// After accepting failed, when it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// For who is one too many to be told so.
const TURNED_AWAY: Duration = Duration::from_millis(100);

/// Answers where the settings say.
pub(crate) struct Control {
    operator: Arc<Operator>,
    mounted: Mutex<Option<Mounted>>,
}

struct Mounted {
    config: ControlConfig,
    path: PathBuf,
    _door: Door,
}

impl Control {
    /// Answers nobody yet.
    pub(crate) fn new(operator: Operator) -> Control {
        Control {
            operator: Arc::new(operator),
            mounted: Mutex::default(),
        }
    }

    /// Does as the settings say.
    ///
    /// # Errors
    /// A socket that the settings name and that cannot be had. Then it answers where it did.
    pub(crate) fn follow(&self, config: &ControlConfig) -> Result<(), String> {
        let mut mounted = lock(&self.mounted);
        if mounted.as_ref().is_some_and(|it| it.config == *config) {
            return Ok(());
        }
        let (path, named) = match &config.listen {
            ControlListen::At(path) => (path.clone(), true),
            ControlListen::Auto => (PathBuf::from(ControlListen::DEFAULT), false),
            _ => {
                *mounted = None;
                return Ok(());
            }
        };
        if !named && !is_possible(&path) {
            *mounted = None;
            return Ok(());
        }
        let open = |config: &ControlConfig| Door::open(&path, config, self.operator.clone());
        // A name of its own is given back before it is asked for again.
        let before = mounted.take_if(|it| it.path == path);
        let before = before.map(|Mounted { config, .. }| config);
        match open(config) {
            Ok(door) => {
                log::info!("openrtmp ctl is answered at {}", path.display());
                let config = config.clone();
                *mounted = Some(Mounted {
                    config,
                    path,
                    _door: door,
                });
                Ok(())
            }
            Err(error) => {
                if let Some(config) = before
                    && let Ok(door) = open(&config)
                {
                    let path = path.clone();
                    *mounted = Some(Mounted {
                        config,
                        path,
                        _door: door,
                    });
                }
                let what = format!("the control socket {}: {error}", path.display());
                match named {
                    true => Err(what),
                    false => {
                        log::warn!("{what}");
                        Ok(())
                    }
                }
            }
        }
    }
}

/// A socket that is answered on, until it is dropped.
struct Door {
    listener: Arc<Listener>,
    guests: Arc<Guests>,
    accepting: Option<JoinHandle<()>>,
}

/// The connections there are.
#[derive(Default)]
struct Guests {
    there: Mutex<HashMap<u64, Arc<Stream>>>,
    left: Condvar,
}

impl Door {
    fn open(path: &Path, config: &ControlConfig, operator: Arc<Operator>) -> io::Result<Door> {
        let listener = Arc::new(Listener::bind(path)?);
        let guests = Arc::new(Guests::default());
        let accept = {
            let (listener, guests) = (listener.clone(), guests.clone());
            let config = config.clone();
            move || accept_all(&listener, &guests, &config, &operator)
        };
        let accepting = thread::Builder::new().name("control".to_owned());
        Ok(Door {
            listener,
            guests,
            accepting: Some(accepting.spawn(accept)?),
        })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.listener.end();
        if let Some(accepting) = self.accepting.take() {
            // It ends now; its panic was told where it was.
            let _ = accepting.join();
        }
        self.guests.dismiss();
    }
}

impl Guests {
    /// Nothing more is read from anybody. Waits for the answers that are being made.
    fn dismiss(&self) {
        let until = Instant::now() + LAST_ANSWERS;
        let mut there = lock(&self.there);
        there.values().for_each(|stream| stream.stop_reading());
        while !there.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.left.wait_timeout(there, left);
            there = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn accept_all(
    listener: &Listener,
    guests: &Arc<Guests>,
    config: &ControlConfig,
    operator: &Arc<Operator>,
) {
    for number in 0.. {
        let stream = match listener.accept() {
            Ok(Some(stream)) => Arc::new(stream),
            Ok(None) => return,
            Err(error) => {
                log::warn!("the control socket: {error}");
                thread::sleep(RETRY);
                continue;
            }
        };
        if lock(&guests.there).len() >= config.clients {
            turn_away(&stream, config.clients);
            continue;
        }
        lock(&guests.there).insert(number, stream.clone());
        let leave = Leave(guests.clone(), number);
        let (config, operator) = (config.clone(), operator.clone());
        let serve = move || {
            let _leave = leave;
            serve(&stream, &config, &operator);
        };
        let thread = thread::Builder::new().name("control-client".to_owned());
        if let Err(error) = thread.spawn(serve) {
            log::warn!("the control socket: {error}");
        }
    }
}

/// Takes a connection off the list when its thread ends, or does not begin.
struct Leave(Arc<Guests>, u64);

impl Drop for Leave {
    fn drop(&mut self) {
        lock(&self.0.there).remove(&self.1);
        self.0.left.notify_all();
    }
}

fn turn_away(stream: &Stream, clients: usize) {
    let what = format!("{clients} connections are as many as control.clients allows");
    let busy = answer::line(Err(Refusal::new(Code::Busy, what)));
    // Whoever does not take it need not know.
    let _ = stream.write_all(busy.as_bytes(), TURNED_AWAY);
}

/// Answers one request after the other.
fn serve(stream: &Stream, config: &ControlConfig, operator: &Operator) {
    let mut lines = Lines::default();
    loop {
        let line = lines.next(stream, config);
        let (answer, is_last) = match &line {
            Ok(None) => return,
            Ok(Some(line)) => {
                let done = Request::parse(line).and_then(|request| operator.carry_out(&request));
                (done, false)
            }
            Err(refusal) => (Err(refusal.clone()), refusal.code != Code::BadRequest),
        };
        let written = stream.write_all(answer::line(answer).as_bytes(), config.timeout);
        if is_last || written.is_err() {
            return;
        }
    }
}

/// What came and is not a whole line yet.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    /// Of them, those that were looked at.
    seen: usize,
}

impl Lines {
    /// The next line that holds anything; `None` at the end.
    fn next(&mut self, stream: &Stream, config: &ControlConfig) -> Result<Option<String>, Refusal> {
        let until = Instant::now() + config.timeout;
        let mut buffer = [0; 4096];
        loop {
            while let Some(line) = self.take() {
                if line.len() > config.request_bytes {
                    return Err(too_long(config));
                }
                let line = String::from_utf8(line);
                let line = line.map_err(|e| Refusal::new(Code::BadRequest, e))?;
                if !line.trim().is_empty() {
                    return Ok(Some(line));
                }
            }
            if self.bytes.len() > config.request_bytes {
                return Err(too_long(config));
            }
            let left = until.saturating_duration_since(Instant::now());
            let late = || Refusal::new(Code::TimeOut, "no request came in time, control.timeout");
            if left.is_zero() {
                return Err(late());
            }
            match stream.read(&mut buffer, left) {
                Ok(0) => return Ok(None),
                Ok(count) => self.bytes.extend_from_slice(&buffer[..count]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if is_late(&e) => return Err(late()),
                // It is gone: nobody is left to be told.
                Err(_) => return Ok(None),
            }
        }
    }

    /// A whole line, without its end.
    fn take(&mut self) -> Option<Vec<u8>> {
        let found = self.bytes[self.seen..].iter().position(|b| *b == b'\n');
        let Some(found) = found else {
            self.seen = self.bytes.len();
            return None;
        };
        let rest = self.bytes.split_off(self.seen + found + 1);
        let mut line = std::mem::replace(&mut self.bytes, rest);
        self.seen = 0;
        line.pop();
        Some(line)
    }
}

fn too_long(config: &ControlConfig) -> Refusal {
    let most = config.request_bytes;
    let what = format!("a request has at most {most} bytes, control.request_bytes");
    Refusal::new(Code::TooLong, what)
}

/// What systems say when a time is over.
fn is_late(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in it is valid whatever its last holder was doing.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
