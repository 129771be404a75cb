//! Connections that the machine makes, host names, vanished peers and lost
//! listeners.

use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::platform::listener_is_gone;

const LATENCY: Duration = Duration::from_millis(1);

/// Far away, on the network that the machine's `eth0` leads to.
const ORIGIN: &str = "198.51.100.7:1935";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// How an attempt ended, and when.
fn attempt(sim: &Sim, to: SocketAddr) -> (io::Result<SimStream>, Duration) {
    let start = sim.now();
    let since = |sim: &Sim| sim.now().since(start);
    let mut stream = match sim.connect_to(to) {
        Ok(stream) => stream,
        Err(error) => return (Err(error), since(sim)),
    };
    let (mut poller, _waker) = sim.poller().unwrap();
    poller.add_stream(&mut stream, Token(1)).unwrap();
    poller.watch_writable(&mut stream, Token(1), true).unwrap();
    loop {
        let mut ready = Vec::new();
        poller.poll(None, &mut ready).unwrap();
        if ready.iter().any(|ready| ready.writable) {
            match stream.connected() {
                Ok(true) => return (Ok(stream), since(sim)),
                Ok(false) => {}
                Err(error) => return (Err(error), since(sim)),
            }
        }
        assert!(sim.advance_to_next(), "it never ends");
    }
}

/// `Sim` has a `connect` of its own, for clients.
trait ConnectTo {
    fn connect_to(&self, to: SocketAddr) -> io::Result<SimStream>;
}

impl ConnectTo for Sim {
    fn connect_to(&self, to: SocketAddr) -> io::Result<SimStream> {
        Platform::connect(self, to)
    }
}

fn refusal(sim: &Sim, to: &str) -> (ErrorKind, Duration) {
    let (result, took) = attempt(sim, address(to));
    (result.expect_err("it connected").kind(), took)
}

#[test]
fn connecting_takes_a_round_trip() {
    let sim = Sim::new(1);
    let host = sim.host(address(ORIGIN)).unwrap();
    let mut stream = sim.connect_to(address(ORIGIN)).unwrap();
    for _ in 0..2 {
        let kind = |error: io::Error| error.kind();
        assert!(!stream.connected().unwrap());
        assert_eq!(
            stream.peer_address().map_err(kind),
            Err(ErrorKind::NotConnected)
        );
        let read = stream.read(&mut [0; 8]);
        assert_eq!(read.map_err(kind), Err(ErrorKind::NotConnected));
        let written = stream.write(b"too early");
        assert_eq!(written.map_err(kind), Err(ErrorKind::NotConnected));
    }
    assert_eq!(host.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    sim.advance(LATENCY);
    let (mut peer, from) = host.accept().unwrap();
    // What the host says at once does not overtake the connection.
    peer.write_all(b"welcome").unwrap();
    assert!(!stream.connected().unwrap());
    sim.advance(LATENCY);
    assert!(stream.connected().unwrap());
    assert_eq!(from, stream.local_address().unwrap());
    assert_eq!(from.ip(), address("192.0.2.10:0").ip());
    assert_eq!(stream.peer_address().unwrap(), address(ORIGIN));
    assert_eq!(stream.read(&mut [0; 64]).unwrap(), 7);
    assert_eq!((sim.open_sockets(), sim.open_clients()), (1, 1));
}

#[test]
fn every_route_has_its_end() {
    let latency = Duration::from_millis(40);
    let config = Config {
        latency,
        ..Config::default()
    };
    let sim = Sim::with_config(3, config);
    let _host = sim.host(address(ORIGIN)).unwrap();
    let round_trip = latency * 2;
    let (result, took) = attempt(&sim, address(ORIGIN));
    assert!(result.is_ok() && took == round_trip);
    let nobody = refusal(&sim, "198.51.100.8:1935");
    assert_eq!(nobody, (ErrorKind::ConnectionRefused, round_trip));
    // The machine has IPv6 on loopback only.
    let no_way = refusal(&sim, "[2001:db8::7]:1935");
    assert_eq!(no_way, (ErrorKind::NetworkUnreachable, Duration::ZERO));

    let to = |route| sim.set_route(address(ORIGIN).ip(), route);
    to(Route::Refused);
    let refused = refusal(&sim, ORIGIN);
    assert_eq!(refused, (ErrorKind::ConnectionRefused, round_trip));
    to(Route::BlackHole);
    let lost = refusal(&sim, ORIGIN);
    assert_eq!(lost, (ErrorKind::TimedOut, Duration::from_secs(127)));
    to(Route::Unreachable);
    let mut took: Vec<Duration> = Vec::new();
    for _ in 0..20 {
        let (kind, span) = refusal(&sim, ORIGIN);
        assert_eq!(kind, ErrorKind::HostUnreachable);
        took.push(span);
    }
    took.sort();
    took.dedup();
    assert_eq!(took, [Duration::ZERO, round_trip]);
    to(Route::Open);
    assert!(attempt(&sim, address(ORIGIN)).0.is_ok());
}

#[test]
fn a_route_that_resets_does_so_at_both_ends() {
    let sim = Sim::new(1);
    let host = sim.host(address(ORIGIN)).unwrap();
    sim.set_route(address(ORIGIN).ip(), Route::Resets);
    let (stream, _) = attempt(&sim, address(ORIGIN));
    // The reset may come with the connection.
    if let Ok(mut stream) = stream {
        sim.advance(SECOND);
        let error = stream.read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    sim.advance(SECOND);
    let (mut peer, _) = host.accept().unwrap();
    let error = peer.read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn an_error_is_told_once() {
    let sim = Sim::new(1);
    let stream = sim.connect_to(address("127.0.0.1:1")).unwrap();
    sim.advance(SECOND);
    let error = stream.connected().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(!stream.connected().unwrap());
}

#[test]
fn seeded_faults_take_every_way() {
    let mut ends = std::collections::BTreeSet::new();
    let mut slow = 0;
    for seed in 0..200 {
        let sim = Sim::with_config(
            seed,
            Config {
                faults: Faults {
                    resets: 0.0,
                    ..Faults::rough()
                },
                ..Config::default()
            },
        );
        let _host = sim.host(address(ORIGIN)).unwrap();
        let (result, took) = attempt(&sim, address(ORIGIN));
        slow += usize::from(took > Duration::from_millis(100));
        ends.insert(result.err().map(|error| error.kind().to_string()));
    }
    let kinds = [
        ErrorKind::ConnectionRefused,
        ErrorKind::HostUnreachable,
        ErrorKind::TimedOut,
    ];
    for kind in kinds {
        assert!(ends.contains(&Some(kind.to_string())), "{ends:?}");
    }
    assert!(ends.contains(&None) && slow > 3, "{slow}");
}

#[test]
fn giving_up_resets_whoever_accepted() {
    let sim = Sim::new(1);
    let host = sim.host(address(ORIGIN)).unwrap();
    let stream = sim.connect_to(address(ORIGIN)).unwrap();
    sim.advance(LATENCY);
    drop(stream);
    let (mut peer, _) = host.accept().unwrap();
    assert_eq!(sim.open_sockets(), 0);
    sim.advance(SECOND);
    let error = peer.read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn hosts_and_the_machine_do_not_answer_for_each_other() {
    let sim = Sim::new(1);
    let listener = sim.listen(address("0.0.0.0:1935")).unwrap();
    assert_eq!(refusal(&sim, ORIGIN).0, ErrorKind::ConnectionRefused);
    let host = sim.host(address(ORIGIN)).unwrap();
    assert_eq!(sim.listeners(), [listener.local_address().unwrap()]);
    assert!(attempt(&sim, address(ORIGIN)).0.is_ok());
    assert_eq!(sim.waiting_connections(), 0);
    assert!(host.accept().is_ok());
    assert!(attempt(&sim, address("192.0.2.10:1935")).0.is_ok());
    assert_eq!(sim.waiting_connections(), 1);
    let taken = sim.host(address(ORIGIN)).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
}

/// The machine's sockets at both ends, whichever server holds them.
#[test]
fn faults_strike_both_ends_of_a_connection_to_oneself() {
    let sim = sim_with(Faults {
        short_writes: ALWAYS,
        ..Faults::default()
    });
    let listener = sim.listen(address("127.0.0.1:1935")).unwrap();
    let (ours, _) = attempt(&sim, address("127.0.0.1:1935"));
    let mut ends = [ours.unwrap(), listener.accept().unwrap().0];
    for end in &mut ends {
        let lengths: Vec<usize> = (0..20).map(|_| end.write(&[0; 100]).unwrap()).collect();
        assert!(lengths.iter().any(|&length| length < 100), "{lengths:?}");
    }
}

fn question(sim: &Sim, host: &str) -> Receiver<io::Result<Vec<SocketAddr>>> {
    let (sender, receiver) = channel();
    let answer = move |found| drop(sender.send(found));
    sim.resolve(host, 1935, Box::new(answer));
    receiver
}

#[test]
fn a_look_up_takes_time_and_its_answer_may_change() {
    let sim = Sim::new(1);
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    sim.set_host(
        "origin.example",
        vec![ip("198.51.100.7"), ip("2001:db8::7")],
    );
    let first = question(&sim, "origin.example");
    assert!(first.try_recv().is_err());
    assert_eq!(sim.open_lookups(), 1);
    sim.set_host("origin.example", vec![ip("203.0.113.1")]);
    let second = question(&sim, "origin.example");
    let unknown = question(&sim, "other.example");
    sim.advance(SECOND);
    let found = first.try_recv().unwrap().unwrap();
    assert_eq!(found, [address(ORIGIN), address("[2001:db8::7]:1935")]);
    let found = second.try_recv().unwrap().unwrap();
    assert_eq!(found, [address("203.0.113.1:1935")]);
    let error = unknown.try_recv().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(sim.open_lookups(), 0);
}

/// What an answer does, it does at its own time, and it may use the simulation.
#[test]
fn an_answer_wakes_whoever_waits() {
    let sim = Sim::new(1);
    sim.set_host("origin.example", vec![address(ORIGIN).ip()]);
    let (mut poller, waker) = sim.poller().unwrap();
    poller.poll(None, &mut Vec::new()).unwrap();
    let (sender, receiver) = channel();
    let inside = sim.clone();
    let answer = move |_| {
        sender.send(inside.now()).unwrap();
        waker.wake().unwrap();
    };
    sim.resolve("origin.example", 1935, Box::new(answer));
    assert!(!sim.is_due(poller.index()));
    sim.advance(SECOND);
    assert!(sim.is_due(poller.index()));
    let answered = receiver.try_recv().unwrap().since(Time::ZERO);
    assert!(
        answered > Duration::ZERO && answered < SECOND,
        "{answered:?}"
    );
    assert_eq!(sim.now(), Time::ZERO + SECOND);
}

#[test]
fn look_ups_fail_hang_and_change_as_told() {
    let run = |faults| {
        let sim = sim_with(faults);
        let addresses = (1..=5).map(|n| IpAddr::from([198, 51, 100, n])).collect();
        sim.set_host("origin.example", addresses);
        let answers: Vec<_> = (0..10).map(|_| question(&sim, "origin.example")).collect();
        sim.advance(SECOND * 60);
        let answers = answers.iter().map(|answer| answer.try_recv().ok());
        (answers.collect::<Vec<_>>(), sim.open_lookups())
    };
    let faults = Faults::default();
    let (answers, open) = run(Faults {
        lookup_hangs: ALWAYS,
        ..faults.clone()
    });
    assert!(answers.iter().all(Option::is_none) && open == 10);
    let (answers, open) = run(Faults {
        lookup_failures: ALWAYS,
        ..faults.clone()
    });
    let failed = |answer: &Option<io::Result<_>>| matches!(answer, Some(Err(_)));
    assert!(answers.iter().all(failed) && open == 0);
    let (answers, _) = run(Faults {
        lookup_changes: ALWAYS,
        slow_lookups: always(SECOND * 30),
        ..faults
    });
    let mut lists: Vec<_> = answers.into_iter().map(|a| a.unwrap().unwrap()).collect();
    assert!(lists.iter().all(|list| (1..=5).contains(&list.len())));
    lists.sort();
    lists.dedup();
    assert!(lists.len() > 3, "{lists:?}");
}

#[test]
fn a_vanished_peer_is_found_by_keep_alive_or_by_what_it_does_not_acknowledge() {
    let end_of = |limit: Option<Duration>, says: bool| {
        let sim = Sim::new(1);
        let (mut stream, client) = pair(&sim);
        if let Some(limit) = limit {
            stream.set_unacknowledged_limit(limit).unwrap();
        }
        client.vanish();
        assert_eq!(sim.open_clients(), 0);
        let start = sim.now();
        if says {
            assert_eq!(stream.write(b"anybody?").unwrap(), 8);
        }
        loop {
            match stream.read(&mut [0; 8]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => {
                    assert_eq!(result.unwrap_err().kind(), ErrorKind::TimedOut);
                    return sim.now().since(start);
                }
            }
            assert!(sim.advance_to_next(), "nobody finds out");
        }
    };
    let limit = Some(SECOND * 10);
    assert_eq!(end_of(None, false), SECOND * 30);
    assert_eq!(end_of(limit, false), SECOND * 30);
    assert_eq!(end_of(limit, true), SECOND * 10 + LATENCY);
    assert!(end_of(None, true) > SECOND * 900);
}

#[test]
fn a_limit_set_late_counts_from_what_is_unacknowledged() {
    let sim = Sim::new(1);
    let (mut stream, client) = pair(&sim);
    client.vanish();
    stream.write_all(b"anybody?").unwrap();
    sim.advance(SECOND * 60);
    assert_eq!(
        stream.read(&mut [0; 8]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    stream.set_unacknowledged_limit(SECOND).unwrap();
    sim.advance(LATENCY);
    assert_eq!(
        stream.read(&mut [0; 8]).unwrap_err().kind(),
        ErrorKind::TimedOut
    );
}

/// A watched listener and somebody who waits in it.
fn lose(loss: Loss) -> (Sim, SimPoller, SimListener, SimSocket) {
    let sim = Sim::new(1);
    let (mut poller, _waker) = sim.poller().unwrap();
    let mut listener = sim.listen(address("0.0.0.0:1935")).unwrap();
    poller.add_listener(&mut listener, LISTENER).unwrap();
    poller.poll(None, &mut Vec::new()).unwrap();
    listener.accept().unwrap_err();
    sim.lose_listener(address("0.0.0.0:1935"), loss);
    let waiting = sim.connect(address("127.0.0.1:1935"));
    assert_eq!(waiting.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!((sim.listeners().len(), sim.lost_listeners()), (0, 1));
    assert!(listener_is_gone(&listener.probe().unwrap_err()));
    // Its place is free, though it is still held.
    let again = sim.listen(address("0.0.0.0:1935")).unwrap();
    again.probe().unwrap();
    let client = sim.connect(address("127.0.0.1:1935")).unwrap();
    sim.advance(SECOND);
    assert!(again.accept().is_ok());
    (sim, poller, listener, client)
}

#[test]
fn a_listener_lost_silently_says_nothing_until_probed() {
    let (sim, mut poller, listener, _client) = lose(Loss::Silent);
    for _ in 0..3 {
        let mut ready = Vec::new();
        poller.poll(None, &mut ready).unwrap();
        assert_eq!(ready, []);
        let error = listener.accept().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        sim.advance(SECOND);
    }
    drop(listener);
    assert_eq!(sim.lost_listeners(), 0);
}

#[test]
fn a_listener_lost_loudly_is_an_edge_and_an_error() {
    let (_sim, mut poller, listener, _client) = lose(Loss::Loud);
    let mut ready = Vec::new();
    poller.poll(None, &mut ready).unwrap();
    assert!(ready.iter().any(|r| r.token == LISTENER && r.readable));
    for _ in 0..2 {
        assert!(listener_is_gone(&listener.accept().unwrap_err()));
        ready.clear();
        poller.poll(None, &mut ready).unwrap();
        assert_eq!(ready, [], "one edge only");
    }
}

#[test]
fn those_who_waited_in_a_lost_listener_are_reset() {
    let sim = Sim::new(1);
    let listener = sim.listen(address("127.0.0.1:1935")).unwrap();
    let mut waiting = sim.connect(address("127.0.0.1:1935")).unwrap();
    sim.advance(SECOND);
    sim.lose_listener(address("127.0.0.1:1935"), Loss::Silent);
    sim.advance(SECOND);
    let error = waiting.read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}
