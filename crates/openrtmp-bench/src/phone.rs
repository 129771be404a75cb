//! What a server on a phone costs while it idles and while one stream goes through it, and how
//! soon it is back after a suspension. It runs in this process: what it tells of itself
//! ([`openrtmp_core::Server::power_stats`]) is of its workers alone.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use openrtmp_core::{BackgroundPolicy, Config, PowerStats, Server};
use openrtmp_protocol::RtmpUrl;
use serde::Serialize;

use crate::payload::{Clock, Frames};
use crate::players::{Faults, Players};
use crate::publisher::{Pace, Publisher};
use crate::stats::median;
use crate::target::Target;

const BITRATE: u64 = 2_500_000;
const FRAMES_PER_SECOND: u32 = 30;
/// Frames from one key frame to the next.
const GOP: u64 = 60;

const PATIENCE: Duration = Duration::from_secs(20);

/// After a change, for what it sets going.
const SETTLE: Duration = Duration::from_secs(2);

/// What [`openrtmp_core::Host::suspend`] may take.
const SUSPENSION: Duration = Duration::from_millis(700);

/// What was measured.
#[derive(Serialize)]
pub(crate) struct Phone {
    seconds: f64,
    idle: Cost,
    /// One publisher and one player, the program in front.
    in_front: Cost,
    /// The same in the background.
    in_background: Cost,
    /// From the call of `suspend` to its return.
    suspend_ms: Vec<f64>,
    /// From the call of `resume` to the first byte for one who connects.
    resume_ms: Vec<f64>,
}

/// What workers did, a minute.
#[derive(Clone, Copy, Serialize)]
struct Cost {
    wake_ups: f64,
    system_calls: f64,
    active_ms: f64,
}

pub(crate) fn run(
    duration: Duration,
    suspensions: usize,
    progress: impl Fn(&str),
) -> io::Result<Phone> {
    let server = start()?;
    thread::sleep(SETTLE);
    let idle = cost(&server, || {
        thread::sleep(duration);
        Ok(())
    })?;
    progress(&format!("idle: {idle}"));

    let url = format!("rtmp://{}/live/cam", server.addresses()[0]);
    let url = RtmpUrl::parse(&url).map_err(io::Error::other)?;
    let target = Target::Rtmp(url);
    let clock = Clock::start();
    let frames = Arc::new(Frames::new(BITRATE, FRAMES_PER_SECOND, GOP));
    let pace = Pace::RealTime(FRAMES_PER_SECOND);
    let publisher = Publisher::start(&target, frames.clone(), clock, pace)?;
    let mut players = Players::new(std::slice::from_ref(&target), None, frames, clock)?;
    players.join(1, 1, PATIENCE)?;
    players.wait_for_frames(PATIENCE)?;
    players.run_for(SETTLE)?;
    let in_front = cost(&server, || players.run_for(duration))?;
    progress(&format!("in front: {in_front}"));
    server.host().background(None);
    players.run_for(SETTLE)?;
    let in_background = cost(&server, || players.run_for(duration))?;
    progress(&format!("in the background: {in_background}"));
    server.host().foreground();
    let sent = publisher.stop();
    players.wait_for_end(&[sent], PATIENCE)?;
    publisher.finish()?;
    match players.faults(&[sent]) {
        faults if faults == Faults::default() => {}
        faults => {
            let what = format!("frames were not right: {faults:?}");
            return Err(io::Error::other(what));
        }
    }

    let (mut suspend_ms, mut resume_ms) = (Vec::new(), Vec::new());
    for _ in 0..suspensions {
        let begun = Instant::now();
        let report = server.host().suspend(SUSPENSION);
        suspend_ms.push(milliseconds(begun.elapsed()));
        if !report.in_time {
            return Err(io::Error::other(format!("suspended too late: {report:?}")));
        }
        resume_ms.push(resumed(&server)?);
    }
    server.stop(Duration::ZERO);
    Ok(Phone {
        seconds: duration.as_secs_f64(),
        idle,
        in_front,
        in_background,
        suspend_ms,
        resume_ms,
    })
}

fn start() -> io::Result<Server> {
    let mut config = Config::mobile();
    config.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()];
    // The background is nothing but less often written to players.
    config.mobile.background = BackgroundPolicy::App;
    Server::start(config).map_err(io::Error::other)
}

fn cost(server: &Server, meanwhile: impl FnOnce() -> io::Result<()>) -> io::Result<Cost> {
    let stats = || server.power_stats().map_err(io::Error::other);
    // Asking wakes each worker once, within what is counted.
    let (before, begun): (PowerStats, Instant) = (stats()?, Instant::now());
    meanwhile()?;
    let (minutes, after) = (begun.elapsed().as_secs_f64() / 60.0, stats()?);
    let workers = server.config().workers.max(1) as u64;
    let wake_ups = (after.wake_ups - before.wake_ups).saturating_sub(workers);
    Ok(Cost {
        wake_ups: wake_ups as f64 / minutes,
        system_calls: (after.system_calls - before.system_calls) as f64 / minutes,
        active_ms: milliseconds(after.active - before.active) / minutes,
    })
}

/// Resumes, and has somebody connect again and again until the server answers.
fn resumed(server: &Server) -> io::Result<f64> {
    let address = server.addresses()[0];
    thread::scope(|scope| {
        let begun = Instant::now();
        scope.spawn(|| server.host().resume(Duration::ZERO));
        loop {
            match TcpStream::connect(address) {
                Ok(peer) => {
                    answered(peer)?;
                    return Ok(milliseconds(begun.elapsed()));
                }
                Err(_) if begun.elapsed() < PATIENCE => thread::yield_now(),
                Err(error) => return Err(error),
            }
        }
    })
}

/// Waits for the first byte of the server's handshake.
fn answered(mut peer: TcpStream) -> io::Result<()> {
    peer.set_read_timeout(Some(PATIENCE))?;
    // C0 and C1 (RTMP 1.0, section 5.2).
    let mut hello = vec![0; 1537];
    hello[0] = 3;
    peer.write_all(&hello)?;
    peer.read_exact(&mut [0])
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} wake-ups, {:.0} system calls, {:.1} ms of work a minute",
            self.wake_ups, self.system_calls, self.active_ms
        )
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("idle", self.idle),
            ("in front", self.in_front),
            ("in the background", self.in_background),
        ];
        writeln!(f, "over {:.0} s each, a minute:", self.seconds)?;
        writeln!(f, "| | wake-ups | system calls | ms of work |")?;
        writeln!(f, "|---|---|---|---|")?;
        for (name, cost) in rows {
            writeln!(
                f,
                "| {name} | {:.1} | {:.0} | {:.1} |",
                cost.wake_ups, cost.system_calls, cost.active_ms
            )?;
        }
        for (name, all) in [("suspend", &self.suspend_ms), ("resume", &self.resume_ms)] {
            let most = all.iter().copied().fold(0.0, f64::max);
            let middle = median(all.iter().copied());
            writeln!(
                f,
                "{name} {} times: median {middle:.2} ms, at most {most:.2} ms",
                all.len()
            )?;
        }
        Ok(())
    }
}
