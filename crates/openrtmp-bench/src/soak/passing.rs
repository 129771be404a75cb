//! Streams that come and go, each watched over HTTP while it is there: what is kept for viewers
//! has to leave with them.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::growth::{Growth, Sample};
use super::stage::Random;
use super::{
    GROWTH_LIMIT, JUDGED_FROM, SAMPLE_PERIOD, report_minute, wait_for_descriptors, warm_up,
};
use crate::delivery::{BoxError, Client, Server};
use crate::payload::{Clock, Frames, mix};
use crate::publisher::{Pace, Publisher};
use crate::tls::Identity;

/// Frames per second, frames from one key frame to the next, and bit/s.
const FPS: u32 = 15;
const GOP: u64 = 15;
const BITRATE: u64 = 200_000;
/// Seconds that viewers can go back.
const WINDOW: &str = "10";
/// The least and the most that a stream lasts, and that nobody comes after it, milliseconds.
const LASTS: (usize, usize) = (5_000, 40_000);
const AWAY: usize = 5_000;
/// Between two looks of a viewer.
const LOOK: Duration = Duration::from_millis(500);
/// A stream can be watched after this.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of it.
#[derive(Debug, Serialize)]
pub(crate) struct PassingResult {
    seed: u64,
    seconds: f64,
    streams: u64,
    /// Streams that came, and segments of them that were taken.
    came: u64,
    segments: u64,
    growth: Growth,
    growth_is_judged: bool,
    descriptors_before: usize,
    descriptors_after: usize,
    /// Empty if all is well.
    pub(crate) failures: Vec<String>,
}

/// Has as many streams at once come and go. `progress` is told every minute.
pub(crate) fn run(
    streams: u64,
    duration: Duration,
    seed: u64,
    progress: impl Fn(&str),
) -> Result<PassingResult, BoxError> {
    let identity = Identity::new()?;
    let server = Server::start(&identity, &["--window", WINDOW])?;
    let process = server.running.process();
    let before = process.descriptors();
    progress(&format!("seed {seed}"));
    let frames = Arc::new(Frames::new(BITRATE, FPS, GOP));
    let started = Instant::now();
    let (outcomes, samples) = std::thread::scope(|scope| {
        let place = |number: u64| {
            let random = Random::of(mix(seed ^ mix(number)));
            let (server, frames) = (&server, frames.clone());
            scope.spawn(move || pass(server, number, &frames, random, started + duration))
        };
        let threads: Vec<_> = (0..streams).map(place).collect();
        let mut samples: Vec<Sample> = Vec::new();
        while !threads.iter().all(|thread| thread.is_finished()) {
            std::thread::sleep(SAMPLE_PERIOD);
            samples.push(Sample::of(&process, started.elapsed()));
            report_minute(&samples, &progress);
        }
        let joined = threads.into_iter().map(|thread| thread.join());
        (joined.collect::<Vec<_>>(), samples)
    });
    let mut result = PassingResult {
        seed,
        seconds: started.elapsed().as_secs_f64(),
        streams,
        came: 0,
        segments: 0,
        growth: Growth::of(&samples, warm_up(duration)),
        growth_is_judged: duration >= JUDGED_FROM,
        descriptors_before: before,
        descriptors_after: wait_for_descriptors(&process, before),
        failures: Vec::new(),
    };
    for outcome in outcomes {
        match outcome {
            Ok(Ok((came, segments))) => {
                result.came += came;
                result.segments += segments;
            }
            Ok(Err(error)) => result.failures.push(error.to_string()),
            Err(_) => result.failures.push("a stream panicked".to_owned()),
        }
    }
    result.judge();
    Ok(result)
}

/// One stream after the other, until then: how many, and how many of their segments were taken.
fn pass(
    server: &Server,
    number: u64,
    frames: &Arc<Frames>,
    mut random: Random,
    end: Instant,
) -> Result<(u64, u64), BoxError> {
    let (mut came, mut segments) = (0, 0);
    while Instant::now() < end {
        // Names come again, as cameras' do.
        let name = format!("passing{number}-{}", came % 3);
        let target = server.running.target().with_stream(&name);
        let pace = Pace::RealTime(FPS);
        let publisher = Publisher::start(&target, frames.clone(), Clock::start(), pace)?;
        let lasts = LASTS.0 + random.below(LASTS.1 - LASTS.0);
        let until = end.min(Instant::now() + Duration::from_millis(lasts as u64));
        let watched = watch(server, &name, until);
        publisher.finish()?;
        segments += watched.map_err(|error| format!("{name}: {error}"))?;
        came += 1;
        let away = Duration::from_millis(random.below(AWAY) as u64);
        std::thread::sleep(away.min(end.saturating_duration_since(Instant::now())));
    }
    Ok((came, segments))
}

/// Takes each segment of a stream once, until then: how many.
fn watch(server: &Server, name: &str, until: Instant) -> Result<u64, BoxError> {
    let http = server.http()?.0;
    let mut client = Client::connect(http, None)?;
    let begun = Instant::now();
    let master = loop {
        match client.text(&format!("/live/{name}/index.m3u8")) {
            Ok(master) => break master,
            Err(_) if Instant::now() >= until => return Ok(0),
            Err(error) if begun.elapsed() > PATIENCE => return Err(error.into()),
            Err(_) => {
                std::thread::sleep(LOOK);
                client = Client::connect(http, None)?;
            }
        }
    };
    let uri = master.lines().find(|line| !line.starts_with('#'));
    let playlist = format!("/live/{name}/{}", uri.ok_or("a master without a variant")?);
    let folder = playlist.rsplit_once('/').map_or("", |(folder, _)| folder);
    let (mut taken, mut last) = (0, String::new());
    while Instant::now() < until {
        let text = client.text(&playlist)?;
        let newest = text.lines().rfind(|line| !line.starts_with('#'));
        if let Some(newest) = newest.filter(|newest| *newest != last) {
            client.get(&format!("{folder}/{newest}"), |_| ())?;
            newest.clone_into(&mut last);
            taken += 1;
        }
        std::thread::sleep(LOOK);
    }
    Ok(taken)
}

impl PassingResult {
    fn judge(&mut self) {
        let mut check = |good: bool, what: String| {
            if !good {
                self.failures.push(what);
            }
        };
        check(self.segments > 0, "nothing was watched".to_owned());
        let (before, after) = (self.descriptors_before, self.descriptors_after);
        check(
            after <= before,
            format!("{after} descriptors are open, {before} were before"),
        );
        check(
            !self.growth_is_judged || self.growth.low <= GROWTH_LIMIT,
            format!("memory grows by more than {GROWTH_LIMIT} MiB/h"),
        );
    }
}

impl fmt::Display for PassingResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: {} streams at once, {:.0} s, {} came, {} segments were taken",
            self.seed, self.streams, self.seconds, self.came, self.segments
        )?;
        writeln!(f, "memory   {}", self.growth)?;
        if !self.growth_is_judged {
            writeln!(f, "         not judged: too short a run to tell growth")?;
        }
        writeln!(
            f,
            "files    {} descriptors before, {} after",
            self.descriptors_before, self.descriptors_after
        )?;
        for failure in &self.failures {
            writeln!(f, "FAILED   {failure}")?;
        }
        let verdict = match self.failures.is_empty() {
            true => "passed",
            false => "FAILED",
        };
        write!(f, "soak {verdict}")
    }
}
