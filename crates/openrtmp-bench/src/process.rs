//! What Linux tells of a process.

use std::fs;
use std::time::Duration;

/// A server under test: a process and its children.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pids: Vec<u32>,
    /// Of its threads, only the workers of our server.
    workers: bool,
}

/// Memory of a process, bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// VmRSS.
    pub(crate) resident: u64,
    /// RssAnon: without mapped files, which grow as code is first used.
    pub(crate) anonymous: u64,
}

impl Process {
    /// A process and the children it has now.
    pub(crate) fn tree(pid: u32) -> Process {
        let mut pids = vec![pid];
        let mut next = 0;
        while let Some(&pid) = pids.get(next) {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
            let children = children.unwrap_or_default();
            pids.extend(
                children
                    .split_whitespace()
                    .filter_map(|p| p.parse::<u32>().ok()),
            );
            next += 1;
        }
        let workers = false;
        Process { pids, workers }
    }

    pub(crate) fn this() -> Process {
        Process {
            pids: vec![std::process::id()],
            workers: false,
        }
    }

    /// The same, of whose threads only the workers of our server count: those that speak RTMP.
    pub(crate) fn workers(self) -> Process {
        let workers = true;
        Process { workers, ..self }
    }

    /// Processor time of its threads that still run.
    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_nanos(self.sum_tasks("schedstat", |text| {
            text.split_whitespace().next()?.parse().ok()
        }))
    }

    /// Times its threads went to sleep.
    pub(crate) fn sleeps(&self) -> u64 {
        self.sum_tasks("status", |text| field(text, "voluntary_ctxt_switches:"))
    }

    pub(crate) fn memory(&self) -> Memory {
        self.pids.iter().fold(Memory::default(), |sum, pid| {
            let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            Memory {
                resident: sum.resident + field(&text, "VmRSS:").unwrap_or(0) * 1024,
                anonymous: sum.anonymous + field(&text, "RssAnon:").unwrap_or(0) * 1024,
            }
        })
    }

    /// Open file descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        let folders = self
            .pids
            .iter()
            .filter_map(|pid| fs::read_dir(format!("/proc/{pid}/fd")).ok());
        folders.map(Iterator::count).sum()
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.pids.iter().all(|pid| {
            fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| !s.contains(") Z "))
        })
    }

    fn sum_tasks(&self, file: &str, value: impl Fn(&str) -> Option<u64>) -> u64 {
        let tasks = self
            .pids
            .iter()
            .filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok());
        tasks
            .flatten()
            .filter_map(|task| {
                let task = task.ok()?.path();
                let counts =
                    !self.workers || is_worker(&fs::read_to_string(task.join("comm")).ok()?);
                fs::read_to_string(task.join(file)).ok().filter(|_| counts)
            })
            .filter_map(|text| value(&text))
            .sum()
    }
}

/// Processor time of the calling thread.
pub(crate) fn thread_cpu() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split_whitespace().next().and_then(|n| n.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// Whether a thread of this name is a worker: they are numbered.
fn is_worker(name: &str) -> bool {
    let number = name.trim_end().strip_prefix("openrtmp-");
    number.is_some_and(|number| number.parse::<usize>().is_ok())
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
