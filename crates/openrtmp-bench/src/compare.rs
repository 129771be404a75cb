//! Servers side by side: one after the other in every round, so that what else
//! the machine does meets all of them alike.

use std::fmt;
use std::io;
use std::time::Duration;

use serde::Serialize;

use crate::measure::{FanOut, FanOutResult, IdleResult, IngestResult, fan_out, idle, ingest};
use crate::players::Faults;
use crate::server::{Contender, Running};
use crate::stats::median;
use crate::tls::Identity;

/// What to measure of every contender.
pub(crate) struct Plan {
    pub(crate) contenders: Vec<Contender>,
    pub(crate) rounds: usize,
    pub(crate) load: FanOut,
    /// Players speak TLS.
    pub(crate) tls: bool,
    /// Also idle connections and ingest, once per round, of the servers that do
    /// not merge writes: merging has no part in it.
    pub(crate) idle: Option<Duration>,
    pub(crate) ingest: Option<Duration>,
}

/// All measurements and their medians.
#[derive(Serialize)]
pub(crate) struct Comparison {
    rounds: usize,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    cpu_seconds_per_gb: f64,
    /// Against the per-frame floor.
    floor_ratio: Option<f64>,
    latency_p50_ms: f64,
    latency_p99_ms: f64,
    connect_p50_ms: f64,
    connect_p99_ms: f64,
    join_p99_ms: f64,
    rss_per_player: f64,
    right: bool,
    fan_outs: Vec<FanOutResult>,
    idle_none: Vec<IdleResult>,
    idle_hundred: Vec<IdleResult>,
    ingests: Vec<IngestResult>,
}

/// Connections of the idle measurement.
const IDLE_CONNECTIONS: usize = 100;

pub(crate) fn compare(plan: &Plan, progress: impl Fn(&str)) -> io::Result<Comparison> {
    let identity = plan.tls.then(Identity::new).transpose()?;
    let contenders: Vec<_> = plan
        .contenders
        .iter()
        .filter(|c| c.is_installed())
        .collect();
    let mut rows: Vec<Row> = contenders.iter().map(|c| Row::new(c.name())).collect();
    // Whoever comes first, or after the heaviest, is not always the same.
    let mut order: Vec<usize> = (0..contenders.len()).collect();
    for round in 1..=plan.rounds {
        order.rotate_left(usize::from(round > 1));
        for &next in &order {
            let row = &mut rows[next];
            measure(contenders[next], plan, identity.as_ref(), row)?;
            let last = row.fan_outs.last().map(FanOutResult::to_string);
            progress(&format!(
                "round {round}, {}\n{}\n",
                row.name,
                last.unwrap_or_default()
            ));
        }
    }
    rows.iter_mut().for_each(Row::summarise);
    let floor = rows
        .iter()
        .find(|r| r.name == "floor")
        .map(|r| r.cpu_seconds_per_gb);
    for row in &mut rows {
        row.floor_ratio = floor.map(|floor| row.cpu_seconds_per_gb / floor);
    }
    Ok(Comparison {
        rounds: plan.rounds,
        rows,
    })
}

fn measure(
    contender: &Contender,
    plan: &Plan,
    tls: Option<&Identity>,
    row: &mut Row,
) -> io::Result<()> {
    let running = Running::start(contender, tls)?;
    let result = fan_out(running.ends(), Some(&running.process()), &plan.load)?;
    row.fan_outs.push(result);
    drop(running);
    if !contender.writes_at_once() {
        return Ok(());
    }
    if let Some(duration) = plan.idle {
        for (results, connections) in [
            (&mut row.idle_none, 0),
            (&mut row.idle_hundred, IDLE_CONNECTIONS),
        ] {
            let running = Running::start(contender, tls)?;
            let process = running.process();
            results.push(idle(running.ends(), &process, connections, duration)?);
        }
    }
    if let Some(duration) = plan.ingest {
        let running = Running::start(contender, None)?;
        let process = running.process();
        row.ingests.push(ingest(
            running.target(),
            Some(&process),
            64 * 1024,
            duration,
        )?);
    }
    Ok(())
}

impl Row {
    fn new(name: String) -> Row {
        Row {
            name,
            cpu_seconds_per_gb: 0.0,
            floor_ratio: None,
            latency_p50_ms: 0.0,
            latency_p99_ms: 0.0,
            connect_p50_ms: 0.0,
            connect_p99_ms: 0.0,
            join_p99_ms: 0.0,
            rss_per_player: 0.0,
            right: true,
            fan_outs: Vec::new(),
            idle_none: Vec::new(),
            idle_hundred: Vec::new(),
            ingests: Vec::new(),
        }
    }

    fn summarise(&mut self) {
        let of = |value: &dyn Fn(&FanOutResult) -> f64| median(self.fan_outs.iter().map(value));
        let cost = |value: fn(&crate::measure::ServerCost) -> f64| {
            median(
                self.fan_outs
                    .iter()
                    .filter_map(|r| r.server.as_ref())
                    .map(value),
            )
        };
        self.cpu_seconds_per_gb = cost(|c| c.cpu_seconds_per_gb);
        self.rss_per_player = cost(|c| c.rss_per_player);
        self.latency_p50_ms = of(&|r| r.latency_ms.p50);
        self.latency_p99_ms = of(&|r| r.latency_ms.p99);
        self.connect_p50_ms = of(&|r| r.connect_ms.p50);
        self.connect_p99_ms = of(&|r| r.connect_ms.p99);
        self.join_p99_ms = of(&|r| r.join_ms.p99);
        self.right = self.fan_outs.iter().all(|r| r.faults == Faults::default());
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Medians of {} rounds.\n", self.rounds)?;
        writeln!(
            f,
            "| server | CPU s/GB | of the floor | latency p50 / p99 ms | connect p50 / p99 ms \
             | play to key frame p99 ms | RSS per player KiB | content |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|")?;
        for row in &self.rows {
            writeln!(
                f,
                "| {} | {:.3} | {} | {:.2} / {:.2} | {:.2} / {:.2} | {:.2} | {:.1} | {} |",
                row.name,
                row.cpu_seconds_per_gb,
                row.floor_ratio
                    .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
                row.latency_p50_ms,
                row.latency_p99_ms,
                row.connect_p50_ms,
                row.connect_p99_ms,
                row.join_p99_ms,
                row.rss_per_player / 1024.0,
                if row.right { "right" } else { "WRONG" },
            )?;
        }
        if self.rows.iter().any(|row| !row.idle_hundred.is_empty()) {
            writeln!(
                f,
                "\n| server | RSS per idle connection KiB | wake-ups/s, none | wake-ups/s, {IDLE_CONNECTIONS} idle |"
            )?;
            writeln!(f, "|---|---|---|---|")?;
        }
        for row in self.rows.iter().filter(|row| !row.idle_hundred.is_empty()) {
            writeln!(
                f,
                "| {} | {:.1} | {:.2} | {:.2} |",
                row.name,
                median(row.idle_hundred.iter().map(|r| r.rss_per_connection)) / 1024.0,
                median(row.idle_none.iter().map(|r| r.wakeups_per_second)),
                median(row.idle_hundred.iter().map(|r| r.wakeups_per_second)),
            )?;
        }
        if self.rows.iter().any(|row| !row.ingests.is_empty()) {
            writeln!(f, "\n| server | ingest Gbit/s | CPU s/GB |")?;
            writeln!(f, "|---|---|---|")?;
        }
        for row in self.rows.iter().filter(|row| !row.ingests.is_empty()) {
            writeln!(
                f,
                "| {} | {:.1} | {:.3} |",
                row.name,
                median(row.ingests.iter().map(|r| r.gigabits_per_second)),
                median(row.ingests.iter().filter_map(|r| r.cpu_seconds_per_gb)),
            )?;
        }
        Ok(())
    }
}
