use std::time::Duration;

/// The shape of the simulated network. Closed on purpose: a test says what differs from the
/// default.
#[derive(Clone, Debug)]
pub struct Config {
    /// Time bytes travel, in each direction.
    pub latency: Duration,
    /// Bytes a socket holds before they are sent.
    pub send_buffer: usize,
    /// Bytes on the way to a socket and waiting in it.
    pub receive_buffer: usize,
    /// What goes wrong.
    pub faults: Faults,
}

impl Default for Config {
    /// 1 ms of latency, 64 KiB per buffer, no faults.
    fn default() -> Config {
        Config {
            latency: Duration::from_millis(1),
            send_buffer: 64 * 1024,
            receive_buffer: 64 * 1024,
            faults: Faults::default(),
        }
    }
}

/// What goes wrong, and how often. Everything is off by default. A chance is a
/// probability from 0 to 1 for each occasion named. Faults strike the server's
/// sockets and files, not the clients of a scenario.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// A read returns fewer bytes than it could, at least one.
    pub short_reads: f64,
    /// A write, vectored or not, takes fewer bytes than it could, at least one.
    pub short_writes: f64,
    /// A poll reports a watched socket that is not ready.
    pub spurious_readiness: f64,
    /// A socket becomes ready and its poller learns of it late.
    pub delayed_readiness: Episode,
    /// A poll returns early with nothing; what it had to say comes with the next.
    pub early_returns: f64,
    /// A wake-up arrives late. None is ever lost.
    pub late_wakes: Episode,
    /// A read or write meets a connection that was just reset; the peer sees the
    /// reset too.
    pub resets: f64,
    /// A reset throws away what was received and not yet read, as Windows does.
    pub reset_discards: f64,
    /// A direction with bytes to send stops for a while, to clients or from them.
    pub stalls: Episode,
    /// Accepting fails for a while as if no descriptor was left (EMFILE). The
    /// connection stays in the queue, without a new edge.
    pub exhaustion: Episode,
    /// A connection that the server makes takes longer to come about, or to fail.
    pub slow_connects: Episode,
    /// It is refused, whoever listens. As the three that follow, where
    /// [`Sim::set_route`](super::Sim::set_route) says nothing of the address.
    pub refusals: f64,
    /// It fails because no way leads there, at once or after a while.
    pub unreachable: f64,
    /// Nothing answers it.
    pub black_holes: f64,
    /// It comes about and is reset shortly after.
    pub connect_resets: f64,
    /// A host name's addresses come late.
    pub slow_lookups: Episode,
    /// Looking up a host name fails.
    pub lookup_failures: f64,
    /// It never ends.
    pub lookup_hangs: f64,
    /// It finds only some of the addresses, in another order.
    pub lookup_changes: f64,
    /// The time of day jumps, forward or back, when it is read.
    pub clock_jumps: Episode,
    /// Bytes all files may hold together; then writes fail with `StorageFull`.
    pub disk_capacity: Option<u64>,
    /// Creating a file fails with `PermissionDenied`.
    pub create_denied: f64,
}

impl Faults {
    /// Every fault of network, clock and scheduling now and then, for scenarios
    /// that must come through whatever happens. The disk is left alone.
    pub fn rough() -> Faults {
        let now_and_then = |up_to| Episode {
            chance: 0.05,
            up_to,
        };
        Faults {
            short_reads: 0.3,
            short_writes: 0.3,
            spurious_readiness: 0.1,
            delayed_readiness: now_and_then(Duration::from_millis(20)),
            early_returns: 0.1,
            late_wakes: now_and_then(Duration::from_millis(20)),
            resets: 0.0005,
            reset_discards: 0.5,
            stalls: Episode {
                chance: 0.01,
                up_to: Duration::from_millis(500),
            },
            exhaustion: now_and_then(Duration::from_secs(1)),
            slow_connects: now_and_then(Duration::from_secs(2)),
            refusals: 0.05,
            unreachable: 0.03,
            black_holes: 0.03,
            connect_resets: 0.03,
            slow_lookups: now_and_then(Duration::from_secs(10)),
            lookup_failures: 0.05,
            lookup_hangs: 0.02,
            lookup_changes: 0.1,
            clock_jumps: now_and_then(Duration::from_secs(3600)),
            disk_capacity: None,
            create_denied: 0.0,
        }
    }
}

/// A fault that lasts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Episode {
    /// Probability, from 0 to 1, on each occasion.
    pub chance: f64,
    /// How long at most, or how far.
    pub up_to: Duration,
}
