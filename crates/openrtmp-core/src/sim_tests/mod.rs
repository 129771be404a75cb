//! The whole server on the simulated platform: no thread, no socket, no clock of
//! its own. [`world`] drives it; the other files say what it must do.

mod access;
mod attacks;
mod hostile;
mod isolation;
mod lifecycle;
mod limits;
mod lines;
mod media;
mod play;
mod reconfigure;
mod recording;
mod second_publisher;
mod slow;
mod stop;
mod taps;
mod torture;
mod world;
mod worlds;

/// A payload that ends so, or a disconnect for this reason, makes a worker of a
/// test build panic.
pub(crate) const PANIC: &str = "panic, said the test";

/// Data with that payload: it has a name, as all that a session gives out.
pub(crate) fn panicking_data() -> Vec<u8> {
    [b"\x02\0\x01x", PANIC.as_bytes()].concat()
}

#[test]
fn tests_that_security_md_names_exist() {
    let text = include_str!("../../../../SECURITY.md");
    let sources = [
        ("attacks::", include_str!("attacks.rs")),
        ("hostile::", include_str!("hostile.rs")),
        ("limits::", include_str!("limits.rs")),
        ("torture::", include_str!("torture.rs")),
    ];
    let mut named = 0;
    for word in text.split('`').skip(1).step_by(2) {
        for (module, source) in sources {
            if let Some(name) = word.strip_prefix(module) {
                assert!(source.contains(&format!("fn {name}()")), "{word}");
                named += 1;
            }
        }
    }
    assert!(named > 20, "{named} tests");
}
