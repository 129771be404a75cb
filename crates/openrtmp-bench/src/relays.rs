//! What a stream costs that is passed on to other servers, beside one that is played.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::payload::{Clock, Frames};
use crate::players::{Faults, Players};
use crate::publisher::{Pace, Publisher};
use crate::server::Running;
use crate::stats::median;
use crate::target::Target;

const BITRATE: u64 = 2_500_000;
const FRAMES_PER_SECOND: u32 = 30;
/// Frames from one key frame to the next.
const GOP: u64 = 60;

const PATIENCE: Duration = Duration::from_secs(20);

/// After all are there, for what joiners get.
const SETTLE: Duration = Duration::from_secs(3);

/// What was measured.
#[derive(Serialize)]
pub(crate) struct Relays {
    targets: usize,
    seconds: f64,
    /// Processor seconds of the server, round by round.
    players: Vec<f64>,
    pushes: Vec<f64>,
}

/// Both take turns.
pub(crate) fn run(
    targets: usize,
    rounds: usize,
    duration: Duration,
    progress: impl Fn(&str),
) -> io::Result<Relays> {
    let mut result = Relays {
        targets,
        seconds: duration.as_secs_f64(),
        players: Vec::new(),
        pushes: Vec::new(),
    };
    for round in 1..=rounds {
        let server = Running::start_server(&["serve"])?;
        let target = server.target().clone();
        let of_players = cpu_seconds(&server, &target, targets, duration)?;
        result.players.push(of_players);

        let far = Running::start_server(&["serve"])?;
        let rules: Vec<String> = (0..targets)
            .map(|n| format!("--push=rtmp://{}/live/copy{n}", address(&far)))
            .collect();
        let mut arguments = vec!["serve"];
        arguments.extend(rules.iter().map(String::as_str));
        let server = Running::start_server(&arguments)?;
        // One copy is looked at, over there.
        let last = far.target().with_stream(&format!("copy{}", targets - 1));
        let of_pushes = cpu_seconds(&server, &last, 1, duration)?;
        result.pushes.push(of_pushes);
        progress(&format!("round {round}, {result}"));
    }
    Ok(result)
}

fn address(server: &Running) -> String {
    let address = server.target().address();
    address.map_or_else(|e| e.to_string(), |address| address.to_string())
}

/// What a server takes for a stream that so many play from `played`.
fn cpu_seconds(
    server: &Running,
    played: &Target,
    players: usize,
    duration: Duration,
) -> io::Result<f64> {
    let (clock, process) = (Clock::start(), server.process());
    let frames = Arc::new(Frames::new(BITRATE, FRAMES_PER_SECOND, GOP));
    let pace = Pace::RealTime(FRAMES_PER_SECOND);
    let publisher = Publisher::start(server.target(), frames.clone(), clock, pace)?;
    let mut all = Players::new(std::slice::from_ref(played), None, frames, clock)?;
    all.join(players, 100, PATIENCE)?;
    all.wait_for_frames(PATIENCE)?;
    all.run_for(SETTLE)?;
    let before = process.cpu();
    all.run_for(duration)?;
    let taken = process.cpu() - before;
    let sent = publisher.stop();
    all.wait_for_end(&[sent], PATIENCE)?;
    publisher.finish()?;
    match all.faults(&[sent]) {
        faults if faults == Faults::default() => Ok(taken.as_secs_f64()),
        faults => Err(io::Error::other(format!(
            "frames were not right: {faults:?}"
        ))),
    }
}

impl fmt::Display for Relays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |all: &[f64]| median(all.iter().copied()) / self.seconds * 100.0;
        let ratios = self.pushes.iter().zip(&self.players);
        write!(
            f,
            "{} players {:.2} % of a core, as many relays {:.2} %: {:.2} (median of the rounds' ratios)",
            self.targets,
            percent(&self.players),
            percent(&self.pushes),
            median(ratios.map(|(pushes, players)| pushes / players))
        )
    }
}
