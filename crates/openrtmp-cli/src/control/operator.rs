//! Carries out what an operator asks for.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use openrtmp_core::{
    ConnectionId, DrainOptions, RecordConfig, RecordError, RelayError, RelayId, RelayInfo,
    RelayLink, RelayRule, RelayState, Server, StreamSelector, Unanswered,
};
use serde_json::{Value, json};

use super::answer::{Code, Refusal};
use super::keys::KeyFile;
use super::request::Request;

/// What a kicked peer's end is put down to.
const KICKED: &str = "kicked by the operator";

/// What the process does for an operator beside its server.
pub(crate) trait Hands: Send + Sync {
    /// Reads settings, keys and certificates again.
    fn reload(&self) -> Result<Reloaded, Refusal>;
    /// Drains the server, and ends.
    fn drain(&self, options: DrainOptions) -> Result<(), Refusal>;
}

/// What came of reading everything again.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Reloaded {
    /// Settings that are others now.
    pub(crate) changed: Vec<String>,
    /// Settings for the sake of which none was changed: only a restart changes them.
    pub(crate) needs_restart: Vec<String>,
    /// Whether certificates are others.
    pub(crate) certificates: bool,
    /// What could not be done as the settings say, and is as it was: an address that is taken,
    /// a file that cannot be written.
    pub(crate) failed: Vec<String>,
}

/// Carries out requests.
pub(crate) struct Operator {
    server: Weak<Server>,
    hands: Box<dyn Hands>,
    /// One at a time: a file of keys is read and written.
    keys: Mutex<()>,
}

impl Operator {
    pub(crate) fn new(server: &Arc<Server>, hands: Box<dyn Hands>) -> Operator {
        Operator {
            server: Arc::downgrade(server),
            hands,
            keys: Mutex::default(),
        }
    }

    /// What is answered.
    pub(crate) fn carry_out(&self, request: &Request) -> Result<Value, Refusal> {
        let gone = || Refusal::new(Code::Unavailable, "the server has stopped");
        let server = self.server.upgrade().ok_or_else(gone)?;
        let result = self.answer(&server, request);
        if request.acts() {
            let verb = request.verb();
            match &result {
                Ok(_) => log::info!("control: {verb}"),
                Err(refusal) => log::info!("control: {verb} refused: {refusal}"),
            }
        }
        result
    }

    fn answer(&self, server: &Server, request: &Request) -> Result<Value, Refusal> {
        match request {
            Request::Streams {} => Ok(json!({ "streams": server.snapshot()?.streams })),
            Request::Connections {} => {
                let snapshot = server.snapshot()?;
                Ok(json!({ "connections": snapshot.connections_list }))
            }
            Request::Kick {
                connection,
                stream,
                reason,
            } => {
                let reason = reason.as_deref().unwrap_or(KICKED);
                match (connection, stream) {
                    (Some(connection), None) => kick(server, *connection, reason),
                    (None, Some(stream)) => end(server, stream.selector(), reason),
                    _ => Err(one_of("connection", "stream")),
                }
            }
            Request::KeysAdd(wanted) => self.keys(server, |file| file.add(wanted)),
            Request::KeysRevoke { ids } => self.keys(server, |file| file.revoke(ids)),
            Request::KeysList {} => self.keys(server, KeyFile::list),
            Request::RelayAdd { push, pull } => {
                let rule = match (push, pull) {
                    (Some(push), None) => RelayRule::Push(push.clone()),
                    (None, Some(pull)) => RelayRule::Pull(pull.clone()),
                    _ => return Err(one_of("push", "pull")),
                };
                let added = server.add_relay(&rule).map_err(of_relay)?;
                Ok(json!({ "relay": added.as_u64() }))
            }
            Request::RelayRemove { relay } => {
                let missing = "no such rule, or the settings name it";
                match server.remove_relay(RelayId::from_u64(*relay)) {
                    true => Ok(json!({ "removed": relay })),
                    false => Err(Refusal::new(Code::NotFound, missing)),
                }
            }
            Request::RelayList {} => {
                let relays = server.relays();
                Ok(json!({ "relays": relays.iter().map(shown).collect::<Value>() }))
            }
            Request::RecordStart {
                stream,
                directory,
                template,
            } => {
                let mut record = match (&server.config().record, directory) {
                    (Some(record), _) => record.clone(),
                    (None, Some(directory)) => RecordConfig::new(directory),
                    (None, None) => {
                        let what = "record.directory is not set: name a directory";
                        return Err(Refusal::new(Code::Invalid, what));
                    }
                };
                if let Some(directory) = directory {
                    record.directory.clone_from(directory);
                }
                if let Some(template) = template {
                    record.template.clone_from(template);
                }
                let begun = server.record(stream.selector(), record);
                begun.map_err(of_record).map(|()| json!({}))
            }
            Request::RecordStop { stream } => {
                let made = server.stop_recording(stream.selector());
                let missing = || Refusal::new(Code::NotFound, "it is not being recorded");
                let made = made.ok_or_else(missing)?;
                Ok(json!({
                    "files": made.files,
                    "last": made.last,
                    "duration_ms": milliseconds(made.duration),
                    "bytes": made.bytes,
                    "lost_frames": made.lost_frames,
                    "error": made.error,
                }))
            }
            Request::RecordList {} => Ok(json!({ "streams": server.recorded() })),
            Request::Reload {} => Ok(json!(self.hands.reload()?)),
            Request::Drain { to, grace_ms } => {
                let mut options = DrainOptions::new(Duration::from_millis(*grace_ms));
                options.to.clone_from(to);
                let wrong = |e| Refusal::new(Code::Invalid, e);
                options.check().map_err(wrong)?;
                self.hands.drain(options).map(|()| json!({}))
            }
            Request::Health {} => Ok(json!(server.health())),
        }
    }

    /// Does something to the file of keys, and puts it in force.
    fn keys(
        &self,
        server: &Server,
        work: impl FnOnce(&KeyFile) -> Result<Value, Refusal>,
    ) -> Result<Value, Refusal> {
        let file = server.config().access.keys_file.clone();
        let none = || Refusal::new(Code::Invalid, "access.keys_file is not set");
        let file = KeyFile(file.ok_or_else(none)?);
        // What it guards is in the file.
        let _turn = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let done = work(&file)?;
        let wrong = |e| Refusal::new(Code::Failed, e);
        server.reload_keys().map_err(wrong)?;
        Ok(done)
    }
}

fn kick(server: &Server, connection: u64, reason: &str) -> Result<Value, Refusal> {
    match server.disconnect(ConnectionId::from_u64(connection), reason)? {
        true => Ok(json!({ "connection": connection })),
        false => Err(Refusal::new(Code::NotFound, "no such connection")),
    }
}

fn end(server: &Server, stream: StreamSelector, reason: &str) -> Result<Value, Refusal> {
    match server.end_stream(stream, reason) {
        true => Ok(json!({})),
        false => Err(Refusal::new(Code::NotFound, "nothing is published there")),
    }
}

fn one_of(a: &str, b: &str) -> Refusal {
    Refusal::new(Code::BadRequest, format!("expected either {a} or {b}"))
}

impl From<Unanswered> for Refusal {
    fn from(error: Unanswered) -> Refusal {
        Refusal::new(Code::Unavailable, error)
    }
}

fn of_relay(error: RelayError) -> Refusal {
    let code = match error {
        RelayError::Present(_) => Code::Conflict,
        RelayError::Full(_) | RelayError::Stopping => Code::Unavailable,
        _ => Code::Invalid,
    };
    Refusal::new(code, error)
}

fn of_record(error: RecordError) -> Refusal {
    let code = match error {
        RecordError::Busy => Code::Conflict,
        RecordError::NoSuchStream => Code::NotFound,
        RecordError::Full(_) | RecordError::Stopping => Code::Unavailable,
        RecordError::Io(_) => Code::Failed,
        _ => Code::Invalid,
    };
    Refusal::new(code, error)
}

fn shown(rule: &RelayInfo) -> Value {
    json!({
        "relay": rule.id.as_u64(),
        "direction": rule.direction.as_str(),
        "match": rule.pattern,
        "url": rule.url,
        "configured": rule.configured,
        "streams": rule.links.iter().map(link).collect::<Value>(),
    })
}

fn link(link: &RelayLink) -> Value {
    let wait = match link.state {
        RelayState::Waiting(wait) => Some(milliseconds(wait)),
        _ => None,
    };
    json!({
        "name": link.stream,
        "state": link.state.as_str(),
        "retry_in_ms": wait,
        "connection_id": link.connection,
        "attempts": link.attempts,
        "failures": link.failures,
        "last_error": link.last_error,
    })
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
