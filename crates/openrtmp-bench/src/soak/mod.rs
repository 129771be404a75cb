//! Load with faults: a server in a process of its own, while players, publishers
//! and strangers misbehave at random. Every player that nothing was done to has to
//! get every frame, in order and right; nothing may be left at the end.
//!
//! The seed chooses what goes wrong and when. It does not choose how the threads
//! and sockets of two processes meet, so a failure comes again by its seed often,
//! not always.

mod growth;
pub(crate) mod passing;
mod stage;
mod strangers;

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use crate::payload::mix;
use crate::players::Faults;
use crate::process::Process;
use crate::server::Running;
use crate::siege;
use growth::{Growth, Sample};
use stage::{Stage, Tally};

/// How often the server's memory and descriptors are looked at.
const SAMPLE_PERIOD: Duration = Duration::from_millis(500);

/// How often the user hears.
const PROGRESS_PERIOD: Duration = Duration::from_secs(60);

/// How long the server may take to close what its peers have left: more than its
/// longest timeout for those that say nothing.
const CLOSING_PATIENCE: Duration = Duration::from_secs(40);

/// Runs shorter than this do not judge growth: the noise of an allocator is larger
/// than what it would grow.
const JUDGED_FROM: Duration = Duration::from_secs(600);

/// The server's limit of memory, MiB.
const MEMORY: u64 = 256;

/// MiB an hour.
const GROWTH_LIMIT: f64 = 1.0;

/// What to run.
pub(crate) struct Soak {
    pub(crate) duration: Duration,
    pub(crate) players: usize,
    pub(crate) publishers: u64,
    /// Bit/s of each stream.
    pub(crate) bitrate: u64,
    pub(crate) workers: usize,
    pub(crate) seed: u64,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub(crate) struct SoakResult {
    seed: u64,
    seconds: f64,
    players: usize,
    publishers: u64,
    /// What was done.
    tally: Tally,
    frames: u64,
    gigabytes: f64,
    faults: Faults,
    /// Of the server's resident memory, after warming up.
    growth: Growth,
    growth_is_judged: bool,
    /// The most that its resident memory grew by at all, MiB.
    most: f64,
    descriptors: Descriptors,
    left: Left,
    /// Empty if all is well.
    pub(crate) failures: Vec<String>,
}

/// The server's file descriptors.
#[derive(Clone, Copy, Debug, Serialize)]
struct Descriptors {
    before: usize,
    most: usize,
    after: usize,
}

/// What the server says is there after everybody left.
#[derive(Clone, Copy, Debug, Serialize)]
struct Left {
    connections: u64,
    streams: u64,
    /// Bytes accounted for peers.
    memory: u64,
    /// Panics that were caught.
    internal_errors: u64,
}

/// Runs it. `progress` is told every minute.
pub(crate) fn run(soak: &Soak, progress: impl Fn(&str)) -> io::Result<SoakResult> {
    let (workers, memory) = (soak.workers.to_string(), MEMORY.to_string());
    let mut running = Running::start_server(&[
        "serve",
        "--workers",
        &workers,
        "--grace",
        "3000",
        "--limits",
        "--memory",
        &memory,
    ])?;
    let process = running.process();
    let before = process.descriptors();
    let at_start = Sample::of(&process, Duration::ZERO).mebibytes;
    progress(&format!("seed {}", soak.seed));

    let mut stages = Vec::new();
    for number in 0..soak.publishers {
        let target = running.target().with_stream(&format!("soak{number}"));
        let players = share(soak.players, soak.publishers, number);
        let seed = mix(soak.seed ^ mix(number));
        stages.push(Stage::open(&target, players, soak.bitrate, seed)?);
    }

    let started = Instant::now();
    let (outcomes, samples) = std::thread::scope(|scope| {
        let threads: Vec<_> = stages
            .into_iter()
            .map(|stage| scope.spawn(move || stage.run(started + soak.duration)))
            .collect();
        let mut samples: Vec<Sample> = Vec::new();
        while !threads.iter().all(|thread| thread.is_finished()) {
            std::thread::sleep(SAMPLE_PERIOD);
            samples.push(Sample::of(&process, started.elapsed()));
            report_minute(&samples, &progress);
        }
        let outcomes: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().expect("a stage does not panic"))
            .collect();
        (outcomes, samples)
    });
    let seconds = started.elapsed().as_secs_f64();

    let mut result = SoakResult {
        seed: soak.seed,
        seconds,
        players: soak.players,
        publishers: soak.publishers,
        tally: Tally::default(),
        frames: 0,
        gigabytes: 0.0,
        faults: Faults::default(),
        growth: Growth::of(&samples, warm_up(soak.duration)),
        growth_is_judged: soak.duration >= JUDGED_FROM,
        most: samples.iter().map(|s| s.mebibytes).fold(at_start, f64::max) - at_start,
        descriptors: Descriptors {
            before,
            most: samples.iter().map(|s| s.descriptors).max().unwrap_or(0),
            after: wait_for_descriptors(&process, before),
        },
        left: Left::parse(&running.last_words()?)?,
        failures: Vec::new(),
    };
    for outcome in outcomes {
        match outcome {
            Ok(outcome) => {
                result.tally.add(&outcome.tally);
                result.frames += outcome.frames;
                result.gigabytes += outcome.bytes as f64 / 1e9;
                result.faults.add(&outcome.faults);
                result.failures.extend(outcome.complaints);
            }
            Err(e) => result.failures.push(e.to_string()),
        }
    }
    result.judge();
    Ok(result)
}

fn share(players: usize, publishers: u64, number: u64) -> usize {
    let (each, rest) = (players / publishers as usize, players % publishers as usize);
    each + usize::from((number as usize) < rest)
}

/// The time in which pools, caches and code come into memory, and an allocator's
/// high-water mark creeps to where it stays.
fn warm_up(duration: Duration) -> Duration {
    (duration / 2).min(Duration::from_secs(300))
}

fn report_minute(samples: &[Sample], progress: impl Fn(&str)) {
    let minute = |sample: &Sample| sample.at.as_secs() / PROGRESS_PERIOD.as_secs();
    if let [.., before, now] = samples
        && minute(before) < minute(now)
    {
        progress(&format!(
            "{:4} s  {:.2} MiB RSS, {:.2} anonymous, {} descriptors",
            now.at.as_secs(),
            now.mebibytes,
            now.anonymous,
            now.descriptors
        ));
    }
}

/// Waits for the server to have no more than at its start; how many it has.
fn wait_for_descriptors(process: &Process, before: usize) -> usize {
    let end = Instant::now() + CLOSING_PATIENCE;
    while process.descriptors() > before && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
    process.descriptors()
}

impl Left {
    /// From the server's metrics.
    fn parse(json: &str) -> io::Result<Left> {
        let metrics: Value = serde_json::from_str(json)?;
        let number = |value: &Value| {
            let missing = || io::Error::other("the server's numbers are incomplete");
            value.as_u64().ok_or_else(missing)
        };
        Ok(Left {
            connections: number(&metrics["connections"])?,
            streams: number(&metrics["streams"])?,
            memory: number(&metrics["memory"])?,
            internal_errors: number(&metrics["errors_internal"])?,
        })
    }
}

impl SoakResult {
    fn judge(&mut self) {
        let mut check = |good: bool, what: String| {
            if !good {
                self.failures.push(what);
            }
        };
        let Descriptors { before, after, .. } = self.descriptors;
        check(
            self.faults == Faults::default(),
            format!("players that nothing was done to: {:?}", self.faults),
        );
        check(self.frames > 0, "no frame came".to_owned());
        check(
            after <= before,
            format!("{after} descriptors are open, {before} were before"),
        );
        let Left {
            connections,
            streams,
            memory,
            internal_errors,
        } = self.left;
        check(
            connections == 0 && streams == 0 && memory == 0,
            format!("left: {connections} connections, {streams} streams, {memory} bytes"),
        );
        check(
            internal_errors == 0,
            format!("{internal_errors} panics were caught in the server"),
        );
        let allowed = siege::allowed(MEMORY);
        check(
            self.most <= allowed,
            format!("{:.1} MiB were held, {allowed:.1} are allowed", self.most),
        );
        check(
            !self.growth_is_judged || self.growth.low <= GROWTH_LIMIT,
            format!("memory grows by more than {GROWTH_LIMIT} MiB/h"),
        );
    }
}

impl fmt::Display for SoakResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: {} publishers, {} players, {:.0} s, {} frames, {:.2} GB",
            self.seed, self.publishers, self.players, self.seconds, self.frames, self.gigabytes
        )?;
        writeln!(f, "done     {}", self.tally)?;
        writeln!(
            f,
            "content  {}",
            match self.faults == Faults::default() {
                true => "every player that nothing was done to has every frame, in order and right",
                false => "WRONG",
            }
        )?;
        writeln!(f, "memory   {}", self.growth)?;
        writeln!(
            f,
            "         grew by {:.1} MiB at most, {:.1} allowed",
            self.most,
            siege::allowed(MEMORY)
        )?;
        if !self.growth_is_judged {
            writeln!(f, "         not judged: too short a run to tell growth")?;
        }
        writeln!(
            f,
            "files    {} descriptors before, at most {}, {} after",
            self.descriptors.before, self.descriptors.most, self.descriptors.after
        )?;
        writeln!(
            f,
            "left     {} connections, {} streams, {} bytes accounted, {} panics caught",
            self.left.connections, self.left.streams, self.left.memory, self.left.internal_errors
        )?;
        for failure in &self.failures {
            writeln!(f, "FAILED   {failure}")?;
        }
        let verdict = if self.failures.is_empty() {
            "passed"
        } else {
            "FAILED"
        };
        write!(f, "soak {verdict}")
    }
}
