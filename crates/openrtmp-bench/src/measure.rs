//! The measurements.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::payload::{Clock, Frames};
use crate::players::{Faults, Players};
use crate::process::{Process, thread_cpu};
use crate::publisher::{Pace, Publisher};
use crate::stats::Spread;
use crate::target::{Ends, Target};

/// For connecting and for the first frame.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between a change and the look at memory or processor.
const SETTLE: Duration = Duration::from_secs(1);

/// What to fan out, and to how many.
#[derive(Clone, Debug)]
pub(crate) struct FanOut {
    pub(crate) players: usize,
    /// Streams, the players of which are as many.
    pub(crate) streams: usize,
    pub(crate) at_once: usize,
    pub(crate) duration: Duration,
    pub(crate) bitrate: u64,
    pub(crate) fps: u32,
    pub(crate) gop: Duration,
    /// Of the players, those that stop reading once they play.
    pub(crate) stuck: usize,
}

/// What [`fan_out`] measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FanOutResult {
    pub(crate) players: usize,
    pub(crate) seconds: f64,
    pub(crate) gigabytes: f64,
    pub(crate) frames_sent: u64,
    pub(crate) faults: Faults,
    pub(crate) first_loss: Option<String>,
    /// From the publisher's write to the player's read.
    pub(crate) latency_ms: Spread,
    /// From the TCP connect to the answer to `connect`.
    pub(crate) connect_ms: Spread,
    /// From `play` to the whole first key frame.
    pub(crate) join_ms: Spread,
    /// Without a process to look at: none.
    pub(crate) server: Option<ServerCost>,
    pub(crate) generator: Generator,
}

/// What the process under test used.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ServerCost {
    pub(crate) cpu_seconds: f64,
    pub(crate) cpu_seconds_per_gb: f64,
    /// Of one core.
    pub(crate) busy: f64,
    pub(crate) rss_per_player: f64,
    pub(crate) anonymous_per_player: f64,
    /// Bytes, with all players.
    pub(crate) rss: u64,
}

/// Whether the load was what it claims to be.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Generator {
    /// Of one core, the players' thread.
    pub(crate) players_busy: f64,
    /// Of one core, the whole process.
    pub(crate) process_busy: f64,
    /// The latest that a frame was sent after its time.
    pub(crate) publisher_late_ms: f64,
}

/// Publishers and many players, in real time.
pub(crate) fn fan_out(
    ends: &Ends,
    process: Option<&Process>,
    load: &FanOut,
) -> io::Result<FanOutResult> {
    let clock = Clock::start();
    let gop = (load.gop.as_secs_f64() * f64::from(load.fps)).round() as u64;
    let frames = Arc::new(Frames::new(load.bitrate, load.fps, gop));
    let targets = ends.publish.streams(load.streams);
    let played = ends.play.streams(load.streams);
    let mut players = Players::new(&played, ends.tls.clone(), frames.clone(), clock)?;
    let start = || -> io::Result<Vec<Publisher>> {
        let pace = Pace::RealTime(load.fps);
        let publish = |target| Publisher::start(target, frames.clone(), clock, pace);
        targets.iter().map(publish).collect()
    };
    let first = targets.len().min(load.players);

    // The first players make the server touch the code and memory that all share.
    let (publishers, memory_before) = match ends.publish {
        Target::Rtmp(_) => {
            let publishers = start()?;
            players.join(first, 1, PATIENCE)?;
            players.wait_for_frames(PATIENCE)?;
            // A server may keep the newest whole GOP and the one in progress, or more
            // where GOPs are short: that is the stream's memory, not the players'.
            players.run_for(load.gop * 2 + 3 * SETTLE)?;
            let memory = process.map(Process::memory);
            players.join(load.players - first, load.at_once, PATIENCE)?;
            (publishers, memory)
        }
        // It has no cache: a player that comes later would not begin with a key frame.
        Target::Floor(_) => {
            let memory = process.map(Process::memory);
            players.join(load.players, load.at_once, PATIENCE)?;
            players.run_for(SETTLE)?;
            (start()?, memory)
        }
    };
    players.wait_for_frames(PATIENCE)?;
    players.run_for(SETTLE)?;
    players.get_stuck(load.stuck);

    players.record(true);
    let (bytes_before, at) = (players.bytes(), clock.nanos());
    let server_before = process.map(Process::cpu);
    let (own_before, thread_before) = (Process::this().cpu(), thread_cpu());
    players.run_for(load.duration)?;
    let server_after = process.map(Process::cpu);
    let seconds = (clock.nanos() - at) as f64 / 1e9;
    let gigabytes = (players.bytes() - bytes_before) as f64 / 1e9;
    let busy = |before: Duration, after: Duration| (after - before).as_secs_f64() / seconds;
    let process_busy = busy(own_before, Process::this().cpu());
    let players_busy = busy(thread_before, thread_cpu());
    players.record(false);
    let memory_after = process.map(Process::memory);

    let sent: Vec<u64> = publishers.iter().map(Publisher::stop).collect();
    players.wait_for_end(&sent, Duration::from_secs(3))?;
    let faults = players.faults(&sent);
    let mut publisher_late = Duration::ZERO;
    for publisher in publishers {
        publisher_late = publisher_late.max(publisher.finish()?.lateness);
    }

    let server = match (server_before, server_after, memory_before, memory_after) {
        (Some(cpu_before), Some(cpu_after), Some(before), Some(after)) => {
            let cpu_seconds = cpu_after.saturating_sub(cpu_before).as_secs_f64();
            let more = (load.players - first).max(1) as f64;
            let per_player = |before: u64, after: u64| (after as f64 - before as f64) / more;
            Some(ServerCost {
                cpu_seconds,
                cpu_seconds_per_gb: cpu_seconds / gigabytes,
                busy: cpu_seconds / seconds,
                rss_per_player: per_player(before.resident, after.resident),
                anonymous_per_player: per_player(before.anonymous, after.anonymous),
                rss: after.resident,
            })
        }
        _ => None,
    };
    Ok(FanOutResult {
        players: load.players,
        seconds,
        gigabytes,
        frames_sent: sent.iter().sum(),
        faults,
        first_loss: players.first_loss().map(str::to_owned),
        connect_ms: Spread::of(&mut players.connect_times()),
        join_ms: Spread::of(&mut players.join_times()),
        latency_ms: Spread::of(players.latencies()),
        server,
        generator: Generator {
            players_busy,
            process_busy,
            publisher_late_ms: publisher_late.as_secs_f64() * 1e3,
        },
    })
}

impl fmt::Display for FanOutResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FanOutResult {
            players,
            seconds,
            gigabytes,
            ..
        } = self;
        writeln!(
            f,
            "{players} players, {seconds:.1} s, {gigabytes:.3} GB delivered"
        )?;
        if self.faults == Faults::default() {
            writeln!(f, "content  every message right and in order")?;
        } else {
            writeln!(f, "content  WRONG: {:?}", self.faults)?;
        }
        if let Some(loss) = &self.first_loss {
            writeln!(f, "         first loss: {loss}")?;
        }
        writeln!(f, "latency  {}", self.latency_ms)?;
        writeln!(f, "connect  {}", self.connect_ms)?;
        writeln!(f, "join     {}", self.join_ms)?;
        if let Some(server) = &self.server {
            writeln!(
                f,
                "server   {:.3} CPU s/GB, {:.1} % of a core, {:.1} KiB RSS per player ({:.1} anonymous), {:.1} MiB RSS",
                server.cpu_seconds_per_gb,
                server.busy * 100.0,
                server.rss_per_player / 1024.0,
                server.anonymous_per_player / 1024.0,
                server.rss as f64 / f64::from(1 << 20),
            )?;
        }
        let Generator {
            players_busy,
            process_busy,
            publisher_late_ms,
        } = self.generator;
        write!(
            f,
            "load     players' thread {:.0} %, process {:.0} % of a core, publisher at most {publisher_late_ms:.1} ms late",
            players_busy * 100.0,
            process_busy * 100.0,
        )
    }
}

/// What [`ingest`] measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct IngestResult {
    pub(crate) seconds: f64,
    pub(crate) gigabytes: f64,
    pub(crate) gigabits_per_second: f64,
    pub(crate) cpu_seconds_per_gb: Option<f64>,
    /// Of one core.
    pub(crate) publisher_busy: f64,
}

/// One stream as fast as the server reads it. What lies in socket buffers at the
/// end counts as read.
pub(crate) fn ingest(
    target: &Target,
    process: Option<&Process>,
    frame_bytes: usize,
    duration: Duration,
) -> io::Result<IngestResult> {
    let frames = Arc::new(Frames::of_length(frame_bytes, 30));
    let before = process.map(Process::cpu);
    let publisher = Publisher::start(target, frames, Clock::start(), Pace::Unlimited)?;
    std::thread::sleep(duration);
    publisher.stop();
    let after = process.map(Process::cpu);
    let published = publisher.finish()?;
    let seconds = published.elapsed.as_secs_f64();
    let gigabytes = published.bytes as f64 / 1e9;
    Ok(IngestResult {
        seconds,
        gigabytes,
        gigabits_per_second: gigabytes * 8.0 / seconds,
        cpu_seconds_per_gb: before
            .zip(after)
            .map(|(before, after)| (after - before).as_secs_f64() / gigabytes),
        publisher_busy: published.cpu.as_secs_f64() / seconds,
    })
}

impl fmt::Display for IngestResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IngestResult {
            seconds,
            gigabytes,
            gigabits_per_second,
            ..
        } = self;
        writeln!(
            f,
            "{gigabytes:.2} GB in {seconds:.1} s: {gigabits_per_second:.1} Gbit/s"
        )?;
        if let Some(cost) = self.cpu_seconds_per_gb {
            writeln!(f, "server   {cost:.3} CPU s/GB")?;
        }
        write!(
            f,
            "load     publisher {:.0} % of a core",
            self.publisher_busy * 100.0
        )
    }
}

/// What [`idle`] measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct IdleResult {
    pub(crate) connections: usize,
    pub(crate) seconds: f64,
    pub(crate) lost_connections: u64,
    /// Bytes.
    pub(crate) rss_per_connection: f64,
    pub(crate) anonymous_per_connection: f64,
    /// Of all threads.
    pub(crate) wakeups_per_second: f64,
    pub(crate) cpu_milliseconds_per_second: f64,
}

/// Players of a stream that is not there.
pub(crate) fn idle(
    ends: &Ends,
    process: &Process,
    connections: usize,
    duration: Duration,
) -> io::Result<IdleResult> {
    let target = ends.play.with_stream("nothing-is-published-here");
    let frames = Arc::new(Frames::new(0, 1, 1));
    let mut players = Players::new(&[target], ends.tls.clone(), frames, Clock::start())?;
    // What the first connection brings in is shared by all.
    let first = connections.min(1);
    players.join(first, 1, PATIENCE)?;
    players.run_for(SETTLE)?;
    let before = process.memory();
    players.join(connections - first, 100, PATIENCE)?;
    players.run_for(SETTLE * 2)?;
    let after = process.memory();
    let (sleeps, cpu) = (process.sleeps(), process.cpu());
    players.run_for(duration)?;
    let seconds = duration.as_secs_f64();
    let more = connections.saturating_sub(1).max(1) as f64;
    Ok(IdleResult {
        connections,
        seconds,
        lost_connections: players.faults(&[0]).lost_players,
        rss_per_connection: (after.resident as f64 - before.resident as f64) / more,
        anonymous_per_connection: (after.anonymous as f64 - before.anonymous as f64) / more,
        wakeups_per_second: (process.sleeps() - sleeps) as f64 / seconds,
        cpu_milliseconds_per_second: (process.cpu() - cpu).as_secs_f64() * 1e3 / seconds,
    })
}

impl fmt::Display for IdleResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} connections, {} lost, {:.0} s",
            self.connections, self.lost_connections, self.seconds
        )?;
        write!(
            f,
            "server   {:.1} KiB RSS per connection ({:.1} anonymous), {:.2} wake-ups/s, {:.3} CPU ms/s",
            self.rss_per_connection / 1024.0,
            self.anonymous_per_connection / 1024.0,
            self.wakeups_per_second,
            self.cpu_milliseconds_per_second,
        )
    }
}
