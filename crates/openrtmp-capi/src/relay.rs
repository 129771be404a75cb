//! Relays: streams passed on to other servers, and fetched from them.

use std::ffi::c_void;
use std::time::Duration;

use openrtmp_core::{
    PullRule, PullStart, PushRule, RelayDirection, RelayId, RelayRule, RelayState,
};

use crate::boundary;
use crate::convert::{OpenrtmpStr, Versioned, borrow, output, text, versioned};
use crate::error::Failure;
use crate::server::{OpenrtmpServer, required};

/// From this server to another.
pub const OPENRTMP_RELAY_PUSH: u32 = 0;
/// From another server to this one, while somebody plays the stream that nobody publishes.
pub const OPENRTMP_RELAY_PULL: u32 = 1;
/// From another server to this one, from now on. pattern names one stream, without "*".
pub const OPENRTMP_RELAY_PULL_ALWAYS: u32 = 2;

/// It is tried again in wait_ms.
pub const OPENRTMP_RELAY_WAITING: u32 = 0;
/// A connection is being made.
pub const OPENRTMP_RELAY_CONNECTING: u32 = 1;
/// The other server granted it.
pub const OPENRTMP_RELAY_RUNNING: u32 = 2;
/// Nothing is tried: it would go in a circle, or somebody else publishes what would be
/// fetched.
pub const OPENRTMP_RELAY_PARKED: u32 = 3;

/// A rule by which streams are relayed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpRelay {
    /// sizeof(openrtmp_relay).
    pub struct_size: u32,
    /// OPENRTMP_RELAY_PUSH, OPENRTMP_RELAY_PULL or OPENRTMP_RELAY_PULL_ALWAYS.
    pub kind: u32,
    /// Which streams, by their paths here: "live/*", where each "*" stands for any
    /// characters.
    pub pattern: OpenrtmpStr,
    /// The other server: "rtmp://host/app/name", in which "{app}" and "{name}" stand for the
    /// stream's, percent-encoded.
    pub url: OpenrtmpStr,
    /// OPENRTMP_RELAY_PULL: so long after the last player left the other server is left,
    /// too.
    pub idle_timeout_ms: u64,
}

/// One relayed stream, or a rule that has none. Lives as long as the visit.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpRelayInfo {
    /// Size of the struct that the library fills.
    pub struct_size: u32,
    /// As openrtmp_relay has it; both kinds of pull are OPENRTMP_RELAY_PULL.
    pub kind: u32,
    /// The rule.
    pub relay_id: u64,
    /// 1 if the settings name the rule, 0 if openrtmp_relay_add() made it.
    pub configured: u32,
    /// OPENRTMP_RELAY_WAITING and following; OPENRTMP_RELAY_PARKED if stream is empty.
    pub state: u32,
    /// Which streams the rule is about.
    pub pattern: OpenrtmpStr,
    /// The other server, without names of streams and queries, which may be keys.
    pub url: OpenrtmpStr,
    /// The stream's path, keys masked; empty: the rule has none at present.
    pub stream: OpenrtmpStr,
    /// The connection to the other server, 0 while there is none.
    pub connection_id: u64,
    /// Until it is tried again.
    pub wait_ms: u64,
    /// Connections that were tried.
    pub attempts: u64,
    /// Those that failed or broke.
    pub failures: u64,
    /// What the last failure was.
    pub last_error: OpenrtmpStr,
}

// SAFETY: plain numbers, and texts that may be empty.
unsafe impl Versioned for OpenrtmpRelay {
    const FIRST: usize = size_of::<OpenrtmpRelay>();
}

/// Relays streams of a running server from now on, beside what the settings ("relay.push",
/// "relay.pull") say: those that are published or played already, too. Each relayed stream is
/// a connection of its own, which counts in limits.connections; what fails is tried
/// again after 0.5 to 30 s, and the stream and its players notice nothing of it. Events
/// tell what becomes of it. What is written to out_relay_id names the rule.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_relay_add(
    server: *mut OpenrtmpServer,
    relay: *const OpenrtmpRelay,
    out_relay_id: *mut u64,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, relay) = unsafe { (borrow(server)?.running()?, versioned(relay)?) };
        // SAFETY: the same.
        let id = unsafe { output(out_relay_id)? };
        // SAFETY: the same.
        let (pattern, url) = unsafe { (text(relay.pattern)?, text(relay.url)?) };
        let rule = match relay.kind {
            OPENRTMP_RELAY_PUSH => RelayRule::Push(PushRule::new(pattern, url)),
            OPENRTMP_RELAY_PULL | OPENRTMP_RELAY_PULL_ALWAYS => {
                let mut rule = PullRule::new(pattern, url);
                if relay.kind == OPENRTMP_RELAY_PULL_ALWAYS {
                    rule.start = PullStart::Always;
                }
                rule.idle_timeout = Duration::from_millis(relay.idle_timeout_ms);
                RelayRule::Pull(rule)
            }
            kind => return Err(Failure::argument(format!("{kind} is no kind of relay"))),
        };
        id.write(server.add_relay(&rule)?.as_u64());
        Ok(())
    })
}

/// Ends a rule that openrtmp_relay_add() made, and its connections.
/// OPENRTMP_ERROR_NOT_FOUND if there is none, or the settings made it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_relay_remove(server: *mut OpenrtmpServer, relay_id: u64) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? }.running()?;
        match server.remove_relay(RelayId::from_u64(relay_id)) {
            true => Ok(()),
            false => Err(Failure::not_found("there is no such relay of the host's")),
        }
    })
}

/// Visits the relayed streams, and the rules that have none at present, those of the
/// settings among them, on the calling thread, before it returns. Waits for nobody.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_relay_list(
    server: *const OpenrtmpServer,
    visit: Option<unsafe extern "C" fn(user_data: *mut c_void, relay: *const OpenrtmpRelayInfo)>,
    user_data: *mut c_void,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? }.running()?;
        let visit = required(visit)?;
        for rule in server.relays() {
            let bare = OpenrtmpRelayInfo {
                struct_size: size_of::<OpenrtmpRelayInfo>() as u32,
                kind: match rule.direction {
                    RelayDirection::Push => OPENRTMP_RELAY_PUSH,
                    _ => OPENRTMP_RELAY_PULL,
                },
                relay_id: rule.id.as_u64(),
                configured: rule.configured.into(),
                state: OPENRTMP_RELAY_PARKED,
                pattern: OpenrtmpStr::new(&rule.pattern),
                url: OpenrtmpStr::new(&rule.url),
                stream: OpenrtmpStr::new(""),
                connection_id: 0,
                wait_ms: 0,
                attempts: 0,
                failures: 0,
                last_error: OpenrtmpStr::new(""),
            };
            if rule.links.is_empty() {
                // SAFETY: the host's function; the struct outlives the call.
                unsafe { visit(user_data, &bare) };
            }
            for link in &rule.links {
                let (state, wait) = state(link.state);
                let info = OpenrtmpRelayInfo {
                    state,
                    stream: OpenrtmpStr::new(link.stream.shown()),
                    connection_id: link.connection.map_or(0, |id| id.as_u64()),
                    wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                    attempts: link.attempts,
                    failures: link.failures,
                    last_error: OpenrtmpStr::new(&link.last_error),
                    ..bare
                };
                // SAFETY: as above.
                unsafe { visit(user_data, &info) };
            }
        }
        Ok(())
    })
}

fn state(state: RelayState) -> (u32, Duration) {
    match state {
        RelayState::Waiting(pause) => (OPENRTMP_RELAY_WAITING, pause),
        RelayState::Connecting => (OPENRTMP_RELAY_CONNECTING, Duration::ZERO),
        RelayState::Running => (OPENRTMP_RELAY_RUNNING, Duration::ZERO),
        _ => (OPENRTMP_RELAY_PARKED, Duration::ZERO),
    }
}
