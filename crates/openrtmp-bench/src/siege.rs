//! Each kind of attack beside a stream: what the server holds meanwhile, and what the
//! stream's player gets.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use openrtmp_attacks::Kind;
use serde::Serialize;

use crate::attackers::Attackers;
use crate::handshakes;
use crate::payload::{Clock, Frames};
use crate::players::{Faults, Players};
use crate::publisher::{Pace, Publisher};
use crate::server::Running;
use crate::stats::Spread;
use crate::tls::Identity;

/// The stream's name.
const INNOCENT: &str = "innocent";
const FRAMES_PER_SECOND: u32 = 30;
const BITRATE: u64 = 1_000_000;
const MEBIBYTE: f64 = 1_048_576.0;

/// Between two looks at the server's memory.
const LOOK: Duration = Duration::from_millis(10);

/// How long anything may take that should take milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// What to run.
pub(crate) struct Siege {
    /// Of each kind.
    pub(crate) duration: Duration,
    /// Attackers at once, less the players that some bring.
    pub(crate) attackers: usize,
    /// `limits.memory`, MiB.
    pub(crate) memory: u64,
    pub(crate) workers: usize,
    /// How the names of the kinds begin.
    pub(crate) only: String,
}

/// What came of it.
#[derive(Serialize)]
pub(crate) struct SiegeResult {
    attackers: usize,
    seconds: f64,
    memory: u64,
    rows: Vec<Row>,
}

#[derive(Serialize)]
pub(crate) struct Row {
    kind: String,
    /// Most resident memory less what was there before, MiB.
    growth: f64,
    latency_ms: Spread,
    faults: Faults,
}

/// Memory that a server with this limit may come to hold, MiB: a tenth for what an
/// allocator keeps of what is freed, and what all attacks need of stacks and tables.
pub(crate) fn allowed(memory: u64) -> f64 {
    memory as f64 * 1.1 + 16.0
}

pub(crate) fn run(siege: &Siege, progress: impl Fn(&str)) -> io::Result<SiegeResult> {
    let mut rows = Vec::new();
    let named = |kind: &Kind| format!("{kind:?}").starts_with(&siege.only);
    for kind in Kind::ALL.into_iter().filter(named) {
        let row = besiege(siege, kind)?;
        progress(&row.to_string());
        rows.push(row);
    }
    if rows.is_empty() {
        let what = format!("no kind of attack is named {}", siege.only);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(SiegeResult {
        attackers: siege.attackers,
        seconds: siege.duration.as_secs_f64(),
        memory: siege.memory,
        rows,
    })
}

fn besiege(siege: &Siege, kind: Kind) -> io::Result<Row> {
    let (workers, memory) = (siege.workers.to_string(), siege.memory.to_string());
    let arguments = [
        "serve",
        "--workers",
        &workers,
        "--limits",
        "--memory",
        &memory,
    ];
    let running = Running::start_server(&arguments)?;
    let mut attackers = Attackers::of(running.target().address()?, INNOCENT);
    let name = format!("{kind:?}");
    beside_a_stream(&running, &name, siege.duration, |over| {
        for _ in 0..siege.attackers {
            attackers.come(kind)?;
        }
        while !over.load(Ordering::Acquire) {
            attackers.press();
        }
        attackers.leave();
        Ok(())
    })
}

/// Complete handshakes with TLS at full speed beside a stream, the certificate's key being
/// of RSA: so many clients at once, one connection after the other.
pub(crate) fn handshakes(clients: usize, duration: Duration) -> io::Result<Row> {
    let identity = Identity::rsa()?;
    let running = Running::start_server_with(&["serve", "--limits"], &identity)?;
    let config = identity.client(false)?;
    let count = AtomicU64::new(0);
    let name = format!("complete handshakes, RSA-2048, by {clients}");
    let mut row = beside_a_stream(&running, &name, duration, |over| {
        let client = || {
            while !over.load(Ordering::Acquire) {
                // Those that the server turns away come again.
                let made = handshakes::connect(running.ends(), &config).is_ok();
                count.fetch_add(u64::from(made), Ordering::Relaxed);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(client);
            }
        });
        Ok(())
    })?;
    row.kind += &format!(": {count:?} of them");
    Ok(row)
}

/// What the player of a stream gets, and what the server comes to hold, while an attack
/// goes on, which is told when it is over.
fn beside_a_stream(
    running: &Running,
    name: &str,
    duration: Duration,
    attack: impl FnOnce(&AtomicBool) -> io::Result<()> + Send,
) -> io::Result<Row> {
    let process = running.process();
    let target = running.target().with_stream(INNOCENT);
    let frames = Arc::new(Frames::new(BITRATE, FRAMES_PER_SECOND, 30));
    let clock = Clock::start();
    let pace = Pace::RealTime(FRAMES_PER_SECOND);
    let publisher = Publisher::start(&target, frames.clone(), clock, pace)?;
    let mut players = Players::new(std::slice::from_ref(&target), None, frames, clock)?;
    players.join(1, 1, PATIENCE)?;
    players.wait_for_frames(PATIENCE)?;
    // What the stream itself needs is there.
    players.run_for(Duration::from_secs(1))?;
    let before = process.memory().resident;
    let mut most = before;
    players.record(true);

    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let attack = scope.spawn(|| attack(&over));
        let end = Instant::now() + duration;
        let mut outcome = Ok(());
        while outcome.is_ok() && Instant::now() < end {
            outcome = players.run_for(LOOK);
            most = most.max(process.memory().resident);
        }
        over.store(true, Ordering::Release);
        outcome.and(attack.join().expect("attacking does not panic"))
    })?;
    players.record(false);
    let sent = publisher.stop();
    players.wait_for_end(&[sent], PATIENCE)?;
    publisher.finish()?;
    Ok(Row {
        kind: name.to_owned(),
        growth: (most - before) as f64 / MEBIBYTE,
        latency_ms: Spread::of(players.latencies()),
        faults: players.faults(&[sent]),
    })
}

impl Row {
    fn is_right(&self) -> bool {
        self.faults == Faults::default()
    }
}

impl SiegeResult {
    /// Within what is promised: memory, and every frame of the stream.
    pub(crate) fn is_good(&self) -> bool {
        let allowed = allowed(self.memory);
        let good = |row: &Row| row.growth <= allowed && row.is_right();
        self.rows.iter().all(good)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "| {} | {:.1} | {:.1} / {:.1} | {} |",
            self.kind,
            self.growth,
            self.latency_ms.p99,
            self.latency_ms.max,
            match self.is_right() {
                true => "all".to_owned(),
                false => format!("{:?}", self.faults),
            }
        )
    }
}

impl fmt::Display for SiegeResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} attackers at once, {:.0} s of each kind; limits.memory {} MiB, so growth of \
             {:.0} MiB is allowed.\n",
            self.attackers,
            self.seconds,
            self.memory,
            allowed(self.memory)
        )?;
        writeln!(
            f,
            "| attack | resident growth, MiB | latency p99 / most, ms | frames of the stream |"
        )?;
        writeln!(f, "|---|---|---|---|")?;
        for row in &self.rows {
            writeln!(f, "{row}")?;
        }
        let verdict = if self.is_good() { "passed" } else { "FAILED" };
        write!(f, "\nsiege {verdict}")
    }
}
