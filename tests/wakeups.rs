//! How often the server's threads wake up when there is nothing to do. Alone in its
//! program: it looks at every thread that is called like the server's.
#![cfg(target_os = "linux")]

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use openrtmp_core::client::{Client, ClientConfig};
use openrtmp_core::protocol::RtmpUrl;
use openrtmp_core::protocol::session::ClientMode;
use openrtmp_core::{Config, Server};

/// How long to look. Waking up is what must not happen, and only time shows that.
const LOOK: Duration = Duration::from_secs(3);
/// The pause between two looks at whether the server has come to rest.
const MOMENT: Duration = Duration::from_millis(200);

#[test]
fn nothing_wakes_up_without_work() {
    let look = Interval::new(LOOK);
    let moment = Interval::new(MOMENT);
    let others = threads();
    let server = start(|config| config.workers = 2);
    let sleeps = || sleeps_but(&others);
    // Two workers and the events.
    wait_for_calm(&moment, 3, sleeps);
    let before = sleeps();
    look.pass();
    assert_eq!(sleeps(), before, "with no connection");

    let url = format!("rtmp://{}/live/nothing", server.addresses()[0]);
    let players: Vec<Client> = (0..100)
        .map(|_| {
            let url = RtmpUrl::parse(&url).expect("a URL");
            Client::connect(ClientConfig::new(url, ClientMode::Play)).expect("it is accepted")
        })
        .collect();
    wait_for_calm(&moment, 3, sleeps);
    let (_, before) = sleeps();
    look.pass();
    let wakeups = sleeps().1 - before;
    assert!(wakeups < LOOK.as_secs(), "{wakeups} with 100 connections");
    drop(players);
}

fn start(change: impl FnOnce(&mut Config)) -> Server {
    let mut config = Config::desktop();
    config.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()];
    change(&mut config);
    let builder = Server::builder(config).on_event(|_| ());
    builder.start().expect("it starts")
}

/// A stretch of time that ends with an event: another server turns out whoever has not
/// shaken hands by then.
struct Interval(Server);

impl Interval {
    fn new(length: Duration) -> Interval {
        Interval(start(|config| {
            config.workers = 1;
            config.rtmp.handshake_timeout = length;
        }))
    }

    fn pass(&self) {
        let mut stranger = TcpStream::connect(self.0.addresses()[0]).expect("it listens");
        // Closed, or reset.
        let _ = stranger.read(&mut [0]);
    }
}

/// Waits until what was started is there and has come to rest.
fn wait_for_calm(moment: &Interval, threads: usize, sleeps: impl Fn() -> (usize, u64)) {
    for _ in 0..100 {
        let before = sleeps();
        moment.pass();
        if before.0 == threads && sleeps() == before {
            return;
        }
    }
    panic!("the server does not come to rest: {:?}", sleeps());
}

/// The threads of the process.
fn threads() -> HashSet<OsString> {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux tells of threads");
    tasks
        .map(|task| task.expect("a name").file_name())
        .collect()
}

/// The server's threads that are not among these, and how often they went to sleep:
/// voluntary context switches. A thread has its name a moment after it began.
fn sleeps_but(others: &HashSet<OsString>) -> (usize, u64) {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux tells of threads");
    let mut threads = 0;
    let sum = tasks
        .map(|task| task.expect("a name"))
        .filter(|task| !others.contains(&task.file_name()))
        .filter_map(|task| fs::read_to_string(task.path().join("status")).ok())
        .filter(|status| status.starts_with("Name:\topenrtmp"))
        .map(|status| {
            threads += 1;
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            let count = line.and_then(|count| count.trim().parse::<u64>().ok());
            count.expect("a count")
        })
        .sum();
    (threads, sum)
}
