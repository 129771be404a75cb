//! How often the server's threads wake up when there is nothing to do. Alone
//! in its program: it looks at every thread that is called like the server's.
#![cfg(target_os = "linux")]

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use openrtmp_core::client::{Client, ClientConfig};
use openrtmp_core::protocol::RtmpUrl;
use openrtmp_core::protocol::session::ClientMode;
use openrtmp_core::{Config, Server};

/// How long to look. Waking up is what must not happen, and only time shows that.
const LOOK: Duration = Duration::from_secs(3);

#[test]
fn nothing_wakes_up_without_work() {
    let mut config = Config::desktop();
    config.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()];
    config.workers = 2;
    let server = Server::builder(config)
        .on_event(|_| ())
        .start()
        .expect("it starts");
    wait_for_calm();
    assert_eq!(wakeups_within_look(), 0, "with no connection");

    let url = format!("rtmp://{}/live/nothing", server.addresses()[0]);
    let players: Vec<Client> = (0..100)
        .map(|_| {
            let url = RtmpUrl::parse(&url).expect("a URL");
            Client::connect(ClientConfig::new(url, ClientMode::Play)).expect("it is accepted")
        })
        .collect();
    wait_for_calm();
    let wakeups = wakeups_within_look();
    assert!(wakeups < LOOK.as_secs(), "{wakeups} with 100 connections");
    drop(players);
}

/// Waits until what was started is there and has come to rest.
fn wait_for_calm() {
    for _ in 0..100 {
        let (threads, before) = sleeps();
        std::thread::sleep(Duration::from_millis(200));
        // Two workers and the events.
        if threads == 3 && sleeps() == (threads, before) {
            return;
        }
    }
    panic!("the server does not come to rest: {:?}", sleeps());
}

fn wakeups_within_look() -> u64 {
    let (_, before) = sleeps();
    std::thread::sleep(LOOK);
    sleeps().1 - before
}

/// The server's threads, and how often they went to sleep: voluntary context
/// switches. A thread has its name a moment after it began.
fn sleeps() -> (usize, u64) {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux tells of threads");
    let mut threads = 0;
    let sum = tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok())
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
