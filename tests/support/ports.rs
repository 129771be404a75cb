//! Ports for programs that have to be told theirs.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Ports that are free now, each another. They are kept in mind over a restart of who
/// listens there, so they are none of those that the system gives to connections.
///
/// # Panics
/// If there are none.
pub fn free_ports<const N: usize>() -> [u16; N] {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    [(); N].map(|()| {
        for _ in 0..COUNT {
            // Tests of other processes begin elsewhere.
            let own = (std::process::id() % u32::from(COUNT)) as u16;
            let next = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
            let port = FIRST + (own + next) % COUNT;
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return port;
            }
        }
        panic!("no port is free");
    })
}
