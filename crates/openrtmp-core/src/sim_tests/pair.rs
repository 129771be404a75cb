//! Two servers of one network.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use openrtmp_protocol::RtmpUrl;
use openrtmp_protocol::session::ClientMode;

use super::media::assert_whole;
use super::world::{FRAME, Setup, Who, World, ms};
use crate::config::{Config, SecondPublisher};
use crate::platform::sim::{Faults, Sim};

/// Two servers of one network.
pub(super) struct Pair {
    pub(super) near: World,
    pub(super) far: World,
}

pub(super) const FAR: &str = "127.0.0.1:1936";

/// The hosts that they run on, by the names that [`name_hosts`] gives them. The far one's
/// is in the certificate of tests.
pub(super) const NEAR_NAME: &str = "near.example:1935";
pub(super) const FAR_NAME: &str = "example.org:1936";

/// Names both hosts. Each has two addresses; nobody listens at the one that is tried first.
pub(super) fn name_hosts(sim: &Sim) {
    let addresses = [Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()];
    for name in [NEAR_NAME, FAR_NAME] {
        let (host, _) = name.split_once(':').expect("a port");
        sim.set_host(host, addresses.to_vec());
    }
}

impl Pair {
    pub(super) fn new(workers: usize) -> Pair {
        Pair::with(workers, 1, Faults::default())
    }

    pub(super) fn with(workers: usize, seed: u64, faults: Faults) -> Pair {
        Pair::of(workers, seed, faults, SecondPublisher::Reject)
    }

    pub(super) fn of(workers: usize, seed: u64, faults: Faults, policy: SecondPublisher) -> Pair {
        let policy = |config: &mut Config| config.streams.second_publisher = policy;
        Pair::configured(workers, seed, faults, |_| {}, policy)
    }

    pub(super) fn configured(
        workers: usize,
        seed: u64,
        faults: Faults,
        near: impl FnOnce(&mut Config),
        far: impl FnOnce(&mut Config),
    ) -> Pair {
        let mut setup = Setup::new(workers);
        setup.network.faults = faults;
        let sim = Sim::with_config(seed, setup.network.clone());
        name_hosts(&sim);
        near(&mut setup.config);
        let near = setup.build_on(sim.clone()).expect("it starts");
        let mut setup = Setup::new(workers);
        setup.config.listen = vec![FAR.parse().expect("an address")];
        far(&mut setup.config);
        let far = setup.build_on(sim).expect("it starts");
        Pair { near, far }
    }

    pub(super) fn act(&mut self) {
        // What one does may concern the other.
        for _ in 0..4 {
            self.near.act();
            self.far.act();
        }
    }

    pub(super) fn run(&mut self, span: Duration) {
        let end = self.near.now() + span;
        loop {
            self.act();
            match self.near.sim.next_step().filter(|&at| at <= end) {
                Some(at) => self.near.sim.advance_to(at),
                None => break,
            }
        }
        self.near.sim.advance_to(end);
        self.act();
    }

    #[track_caller]
    pub(super) fn until(&mut self, what: &str, is_so: impl Fn(&Pair) -> bool) {
        for _ in 0..2000 {
            if is_so(self) {
                return;
            }
            self.run(ms(10));
        }
        panic!("{what}: never");
    }

    /// A publisher of one of them that sent metadata and headers. Both act meanwhile:
    /// the network's time does not go on before everybody has.
    pub(super) fn live(&mut self, of: fn(&mut Pair) -> &mut World, path: &str) -> Who {
        let who = of(self).client(ClientMode::Publish, path);
        for _ in 0..1000 {
            self.run(ms(10));
            if of(self)[who].is_ready() {
                of(self).headers(who);
                return who;
            }
        }
        panic!("{path} is not published");
    }

    pub(super) fn near(&mut self) -> &mut World {
        &mut self.near
    }

    pub(super) fn far(&mut self) -> &mut World {
        &mut self.far
    }

    /// Frames of a publisher of the near server.
    pub(super) fn stream(&mut self, publisher: Who, numbers: std::ops::Range<u32>) {
        for n in numbers {
            self.near[publisher].frame(n, 1000);
            self.run(ms(FRAME));
        }
    }

    /// Nothing goes wrong any more: a stream of the `from` server comes to whoever plays it
    /// at the `to` server, whatever went wrong before, within the longest pause between
    /// two tries and the time that one which hangs is given.
    #[track_caller]
    pub(super) fn assert_healed(
        &mut self,
        publisher: Who,
        path: &str,
        [from, to]: [fn(&mut Pair) -> &mut World; 2],
        first: u32,
    ) {
        self.near.sim.set_faults(Faults::default());
        let publisher = match &from(self)[publisher] {
            peer if peer.is_ready() && !peer.is_closed() => publisher,
            _ => self.live(from, path),
        };
        // Somebody waits for it all the while, and it is not silent for too long.
        let waiting = to(self).client(ClientMode::Play, path);
        for n in 0..100 {
            from(self)[publisher].frame(first + n, 1000);
            self.run(Duration::from_secs(1));
        }
        let player = to(self).client(ClientMode::Play, path);
        for n in 100..120 {
            from(self)[publisher].frame(first + n, 1000);
            self.run(ms(FRAME));
        }
        self.run(ms(200));
        let sent = from(self)[publisher].sent.clone();
        assert!(!to(self)[waiting].is_closed());
        assert_whole(&to(self)[player].media, &sent);
    }

    pub(super) fn end(mut self) {
        self.far.server.begin_stop(ms(100));
        self.near.server.begin_stop(ms(100));
        self.until("workers to stop", |p| {
            p.near.workers_left() + p.far.workers_left() == 0
        });
        self.near.finish_stop();
        self.far.finish_stop();
        self.act();
        for world in [&self.near, &self.far] {
            let left = world.left().into_iter();
            // Sockets of clients of both are counted by the one network.
            for (what, count) in left.filter(|(what, _)| *what != "sockets") {
                assert_eq!(count, 0, "{what}");
            }
        }
    }
}

pub(super) fn url(text: &str) -> RtmpUrl {
    RtmpUrl::parse(text).expect("a URL")
}

pub(super) fn at_far(path: &str) -> RtmpUrl {
    url(&format!("rtmp://{FAR_NAME}/{path}"))
}

pub(super) fn at_near(path: &str) -> RtmpUrl {
    url(&format!("rtmp://{NEAR_NAME}/{path}"))
}
