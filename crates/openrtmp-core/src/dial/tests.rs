use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::*;
use crate::platform::sim::{Call, Config, Faults, Route, Sim, SimPoller, SimStream, Torture};

const FIRST: Token = Token(100);

fn ip(n: u8) -> IpAddr {
    Ipv4Addr::new(198, 51, 100, n).into()
}

fn address(n: u8) -> SocketAddr {
    (ip(n), 1935).into()
}

/// A loop that does nothing but dial.
struct Dialing {
    sim: Sim,
    poller: SimPoller,
    dial: Dial<Sim>,
}

impl Dialing {
    fn new(sim: &Sim, addresses: impl IntoIterator<Item = u8>) -> Dialing {
        let (poller, _waker) = sim.poller().unwrap();
        let addresses = addresses.into_iter().map(address).collect();
        Dialing {
            sim: sim.clone(),
            poller,
            dial: Dial::new(addresses, sim.now()),
        }
    }

    /// Dials as a worker would: it looks only when it is told to. `None` if the
    /// deadline came first.
    fn run(&mut self, limit: Duration) -> Option<Progress<SimStream>> {
        let deadline = self.sim.now() + limit;
        let mut due = Some(self.sim.now());
        let mut ready = Vec::new();
        loop {
            let now = self.sim.now();
            let told = ready.drain(..).count() > 0;
            if told || due.is_some_and(|due| due <= now) {
                let token = |slot| Token(FIRST.0 + slot);
                match self.dial.advance(&self.sim, &mut self.poller, token) {
                    Progress::Wait(until) => due = until,
                    over => return Some(over),
                }
            }
            if now >= deadline {
                return None;
            }
            let until = due.map_or(deadline, |due| due.min(deadline));
            self.poller
                .poll(Some(until.since(now)), &mut ready)
                .unwrap();
            if ready.is_empty() && !self.sim.is_due(self.poller.index()) {
                assert!(self.sim.advance_to_next());
            }
        }
    }

    fn abandon(mut self) -> Vec<(SocketAddr, ErrorKind)> {
        let failures = self.dial.abandon(&mut self.poller);
        let attempts = failures.attempts().iter();
        attempts
            .map(|(address, error)| (*address, error.kind()))
            .collect()
    }
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_silent_address_does_not_hold_up_the_next() {
    let sim = Sim::new(1);
    sim.set_route(ip(1), Route::BlackHole);
    let host = sim.host(address(2)).unwrap();
    let mut dialing = Dialing::new(&sim, 1..=3);
    let Some(Progress::Connected(mut stream, to)) = dialing.run(LONG) else {
        panic!("it did not connect");
    };
    assert_eq!(to, address(2));
    let took = sim.now().since(Time::ZERO);
    assert_eq!(
        took,
        Duration::from_millis(252),
        "the delay and a round trip"
    );
    assert_eq!(sim.open_sockets(), 1, "the silent attempt is given up");
    assert_eq!(dialing.abandon(), []);

    // The stream is on no poller: whoever asked watches it as its own.
    let (mut poller, _waker) = sim.poller().unwrap();
    poller.add_stream(&mut stream, Token(1)).unwrap();
    poller.watch_writable(&mut stream, Token(1), true).unwrap();
    let mut ready = Vec::new();
    poller.poll(None, &mut ready).unwrap();
    assert!(ready.iter().any(|ready| ready.writable));
    stream.write_all(b"hello").unwrap();
    let (mut peer, _) = host.accept().unwrap();
    sim.advance(Duration::from_secs(1));
    assert_eq!(peer.read(&mut [0; 64]).unwrap(), 5);
}

#[test]
fn every_address_says_why_it_failed() {
    let sim = Sim::new(1);
    sim.set_route(ip(1), Route::BlackHole);
    let mut dialing = Dialing::new(&sim, 1..=2);
    assert!(dialing.run(LONG).is_none(), "one of them still may");
    assert_eq!(
        dialing.abandon(),
        [
            (address(2), ErrorKind::ConnectionRefused),
            (address(1), ErrorKind::TimedOut),
        ]
    );
    assert_eq!(sim.open_sockets(), 0);

    let mut dialing = Dialing::new(&sim, 3..=12);
    assert!(matches!(dialing.run(LONG), Some(Progress::Failed)));
    let failures = dialing.dial.abandon(&mut dialing.poller);
    assert_eq!(failures.attempts().len(), 10);
    let text = failures.to_string();
    assert!(
        text.starts_with("198.51.100.3:1935: connection refused; "),
        "{text}"
    );
}

#[test]
fn a_name_with_a_hundred_silent_addresses_costs_few_sockets() {
    let sim = Sim::new(1);
    for n in 1..=100 {
        sim.set_route(ip(n), Route::BlackHole);
    }
    let mut dialing = Dialing::new(&sim, 1..=100);
    assert!(dialing.run(LONG).is_none());
    assert_eq!(sim.open_sockets(), MAX_ATTEMPTS);
    assert_eq!(dialing.abandon().len(), MAX_ATTEMPTS);
    assert_eq!(sim.open_sockets(), 0);
}

#[test]
fn whatever_happens_there_is_one_end_and_nothing_left() {
    let mut ends = [0; 3];
    for seed in 0..2000 {
        let config = Config {
            faults: Faults::rough(),
            ..Config::default()
        };
        let sim = Sim::with_config(seed, config);
        let hosts: Vec<_> = (1..=5)
            .filter(|n| (seed >> n) % 3 == 0)
            .map(|n| sim.host(address(n)).unwrap())
            .collect();
        let mut dialing = Dialing::new(&sim, 1..=5);
        match dialing.run(LONG) {
            Some(Progress::Connected(stream, to)) => {
                assert!(
                    hosts.iter().any(|h| h.address().ok() == Some(to)),
                    "seed {seed}"
                );
                assert_eq!(sim.open_sockets(), 1, "seed {seed}");
                drop(stream);
                ends[0] += 1;
            }
            Some(Progress::Failed) => {
                assert_eq!(dialing.abandon().len(), 5, "seed {seed}");
                ends[1] += 1;
            }
            Some(Progress::Wait(_)) => unreachable!("it runs on"),
            None => {
                assert_eq!(dialing.abandon().len(), 5, "seed {seed}");
                ends[2] += 1;
            }
        }
        assert_eq!(sim.open_sockets(), 0, "seed {seed}");
    }
    assert!(ends.iter().all(|&end| end > 20), "{ends:?}");
}

#[test]
fn a_call_that_fails_is_one_attempts_failure() {
    for call in [Call::Connect, Call::Watch, Call::WatchWritable] {
        let sim = Sim::new(1);
        let _host = sim.host(address(1)).unwrap();
        let mut dialing = Dialing::new(&sim, 1..=3);
        sim.torture(Torture::From(call, 0));
        let end = dialing.run(LONG);
        assert!(matches!(end, Some(Progress::Failed)), "{call:?}");
        assert_eq!(dialing.abandon().len(), 3);
        assert_eq!(sim.open_sockets(), 0, "{call:?}");
    }
    for call in [Call::Connected, Call::Unwatch] {
        let sim = Sim::new(1);
        let _hosts = [1, 2, 3].map(|n| sim.host(address(n)).unwrap());
        let mut dialing = Dialing::new(&sim, 1..=3);
        // The first is asked once connecting has had its time.
        sim.torture(Torture::From(call, 0));
        let end = dialing.run(LONG);
        assert!(matches!(end, Some(Progress::Failed)), "{call:?}");
        assert_eq!(dialing.abandon().len(), 3);
        assert_eq!(sim.open_sockets(), 0, "{call:?}");
    }
}
