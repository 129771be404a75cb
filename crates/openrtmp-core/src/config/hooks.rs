//! Programs that are run when something happens.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::document::milliseconds;

/// Programs that the `openrtmp` command runs when something happens to a stream: each a
/// program and its arguments, never a shell. What it is about stands in their environment
/// (`OPENRTMP_EVENT`, `OPENRTMP_STREAM`, ...). Empty: none. The library runs none.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HooksConfig {
    /// Runs while a stream is published.
    pub on_publish: Vec<String>,
    /// Runs when a publisher has left.
    pub on_publish_done: Vec<String>,
    /// Runs while somebody plays, once for each player.
    pub on_play: Vec<String>,
    /// Runs when a recording is complete.
    pub on_record_done: Vec<String>,
    /// Runs while somebody plays a stream that nobody else publishes: it is to publish it.
    /// Players wait for it, so `streams.wait_for_publisher` has to be set.
    pub on_demand: Vec<String>,
    /// Processes at once, 1 to 65,536. Beyond them, and beyond the share of an address, what is
    /// told of something over waits; another program is not run, and the log tells.
    pub processes: usize,
    /// How long a program that is told of something over (`on_publish_done`,
    /// `on_record_done`) may run, 1 s to 1 day; then it is ended.
    #[serde(with = "milliseconds")]
    pub timeout: Duration,
    /// How long one that is asked to end may take, up to 10 min; then it is killed.
    #[serde(with = "milliseconds")]
    pub stop_timeout: Duration,
    /// How long `on_demand` may take until its stream is published, 1 s to 10 min; then it
    /// is ended, and the players that wait are disconnected.
    #[serde(with = "milliseconds")]
    pub demand_timeout: Duration,
    /// How long after the last player has left `on_demand` is ended, up to 1 day.
    #[serde(with = "milliseconds")]
    pub idle_timeout: Duration,
    /// Lines a second of what one process writes that go to the log; the others are
    /// counted. 0: none.
    pub log_lines: u32,
}

impl Default for HooksConfig {
    fn default() -> HooksConfig {
        HooksConfig {
            on_publish: Vec::new(),
            on_publish_done: Vec::new(),
            on_play: Vec::new(),
            on_record_done: Vec::new(),
            on_demand: Vec::new(),
            processes: 64,
            timeout: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(5),
            demand_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(10),
            log_lines: 10,
        }
    }
}

impl HooksConfig {
    /// Each program by its setting.
    pub fn commands(&self) -> [(&'static str, &[String]); 5] {
        [
            ("hooks.on_publish", &self.on_publish),
            ("hooks.on_publish_done", &self.on_publish_done),
            ("hooks.on_play", &self.on_play),
            ("hooks.on_record_done", &self.on_record_done),
            ("hooks.on_demand", &self.on_demand),
        ]
    }
}

/// Arguments may be keys: the programs alone are shown.
impl fmt::Debug for HooksConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = f.debug_struct("HooksConfig");
        for (name, command) in self.commands() {
            all.field(name, &command.first());
        }
        all.field("processes", &self.processes)
            .field("timeout", &self.timeout)
            .field("stop_timeout", &self.stop_timeout)
            .field("demand_timeout", &self.demand_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("log_lines", &self.log_lines)
            .finish()
    }
}
