//! The whole server on the simulated platform: no thread, no socket, no clock of
//! its own. [`world`] drives it; the other files say what it must do.

mod access;
mod address_rules;
mod attacks;
mod attempts;
mod drain;
mod encoders;
mod every_limit;
mod hostile;
mod isolation;
mod key_records;
mod lifecycle;
mod limits;
mod line;
mod lines;
mod listeners;
mod lives;
mod media;
mod memory;
mod mobile;
mod numbers;
mod outgoing;
mod pair;
mod peer;
mod play;
mod proxy;
mod reconfigure;
mod record_failures;
mod record_files;
mod record_mp4;
mod recording;
mod redirects;
mod relay_rings;
mod relay_targets;
mod relays;
mod schemas;
mod second_publisher;
mod secrets;
mod silence;
mod slow;
mod stop;
mod tap_options;
mod taps;
#[cfg(feature = "tls")]
pub(crate) mod tls;
#[cfg(feature = "tls")]
mod tls_records;
mod torture;
mod users;
mod visitors;
mod work;
mod world;
mod worlds;

use std::cell::{Cell, RefCell};

/// A payload that ends so makes a worker of a test build panic, while it serves the
/// publisher.
pub(crate) const PANIC: &str = "panic, said the test";

/// A payload that ends so, followed by a port, makes it panic over the queue of the
/// player that came from that port.
pub(crate) const PANIC_OVER: &str = "panic over the player at ";

/// Panics if the payload asks for it.
pub(crate) fn panic_over(player: std::net::SocketAddr, payload: &[u8]) {
    let digits = payload
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit());
    let (text, port) = payload.split_at(payload.len() - digits.count());
    if text.ends_with(PANIC_OVER.as_bytes()) {
        assert_ne!(port, player.port().to_string().as_bytes());
    }
}

thread_local! {
    /// Ports of players over whom whoever serves them on this thread panics.
    static CULPRITS: RefCell<Vec<u16>> = const { RefCell::new(Vec::new()) };
}

/// Work for the players that come from these ports panics from now on, where it is a
/// snapshot or news: in a world that runs on this thread.
pub(crate) fn panic_at_players(ports: Vec<u16>) {
    CULPRITS.set(ports);
}

/// Panics if it was asked for over this player.
pub(crate) fn panic_at(player: std::net::SocketAddr) {
    let is_culprit = CULPRITS.with_borrow(|ports| ports.contains(&player.port()));
    assert!(!is_culprit, "over the player at {player}");
}

/// A payload that ends so makes whatever it names panic.
pub(crate) const MUXER: &str = "panic in the muxer";
pub(crate) const RECORDER: &str = "panic in the recorder";

/// The same of a recorder's thread, outside of what it does for a frame.
pub(crate) const RECORDER_LOOP: &str = "panic in the recorder's loop";
pub(crate) const RECORDER_RESTART: &str = "panic in the recorder's restart";

/// The same of whoever sees a connection off while the server is drained.
pub(crate) const SEE_OFF: &str = "panic while seeing somebody off";

thread_local! {
    /// Where this thread is to panic next.
    static NEXT_PANIC: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Has this thread panic once where it comes to a place that the payload names.
pub(crate) fn note_panic(payload: &[u8]) {
    for place in [RECORDER_LOOP, RECORDER_RESTART] {
        if payload.ends_with(place.as_bytes()) {
            panic_next_in(place);
        }
    }
}

/// Has this thread panic once where it comes to that place.
pub(crate) fn panic_next_in(place: &'static str) {
    NEXT_PANIC.set(Some(place));
}

/// Panics if that was noted for this place.
pub(crate) fn panic_as_noted(place: &str) {
    if NEXT_PANIC.get() == Some(place) {
        NEXT_PANIC.set(None);
        panic!("{place}");
    }
}

/// Panics if the payload asks for it at this place.
pub(crate) fn panic_in(place: &str, payload: &[u8]) {
    assert!(!payload.ends_with(place.as_bytes()), "{place}");
}

/// Data with that payload: it has a name, as all that a session gives out.
pub(crate) fn panicking_data() -> Vec<u8> {
    [b"\x02\0\x01x", PANIC.as_bytes()].concat()
}

#[test]
fn tests_that_security_md_names_exist() {
    let text = include_str!("../../../../SECURITY.md");
    let sources = [
        ("access::", include_str!("access.rs")),
        ("attacks::", include_str!("attacks.rs")),
        ("every_limit::", include_str!("every_limit.rs")),
        ("hostile::", include_str!("hostile.rs")),
        ("isolation::", include_str!("isolation.rs")),
        ("limits::", include_str!("limits.rs")),
        ("memory::", include_str!("memory.rs")),
        ("recording::", include_str!("recording.rs")),
        ("relay_targets::", include_str!("relay_targets.rs")),
        ("siege::", include_str!("worlds/siege.rs")),
        ("secrets::", include_str!("secrets.rs")),
        ("silence::", include_str!("silence.rs")),
        ("tls::", include_str!("tls.rs")),
        ("tls_records::", include_str!("tls_records.rs")),
        ("torture::", include_str!("torture.rs")),
        ("users::", include_str!("users.rs")),
        ("work::", include_str!("work.rs")),
    ];
    let mut named = 0;
    for word in text.split('`').skip(1).step_by(2) {
        for (module, source) in sources {
            if let Some(name) = word.strip_prefix(module) {
                let (plain, of_a_kind) = (format!("fn {name}()"), format!("    {name}: Kind::"));
                assert!(
                    source.contains(&plain) || source.contains(&of_a_kind),
                    "{word}"
                );
                named += 1;
            }
        }
    }
    assert!(named > 20, "{named} tests");
}
