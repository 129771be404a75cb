mod connect;
mod faults;

use std::io::{ErrorKind, IoSlice, Read, Seek, SeekFrom, Write};
use std::time::UNIX_EPOCH;

use super::*;
use crate::platform::contract::{Bed, Host, Peer, contract_tests};
use crate::platform::{File, Listener, Poller, Readiness, Stream, Token, Wake};

contract_tests!(bed());

fn bed() -> Sim {
    let sim = Sim::new(1);
    let addresses = ["::1", "127.0.0.1"].map(|address| address.parse().unwrap());
    sim.set_host("this.example", addresses.to_vec());
    sim
}

impl Bed for Sim {
    type Platform = Sim;
    type Peer = SimSocket;
    type Host = SimHost;

    fn platform(&self) -> &Sim {
        self
    }

    fn connect(&self, address: SocketAddr) -> SimSocket {
        Sim::connect(self, address).unwrap()
    }

    fn host(&self) -> SimHost {
        Sim::host(self, "127.0.0.1:0".parse().unwrap()).unwrap()
    }

    fn local_name(&self) -> &str {
        "this.example"
    }

    fn pass(&self) {
        self.advance(Duration::from_millis(1));
    }

    fn folder(&self) -> PathBuf {
        PathBuf::from("/recordings")
    }

    fn read_file(&self, path: &Path) -> Vec<u8> {
        self.file(path).unwrap()
    }
}

impl Host for SimHost {
    type Peer = SimSocket;

    fn address(&self) -> SocketAddr {
        SimHost::address(self).unwrap()
    }

    fn accept(&self) -> SimSocket {
        SimHost::accept(self).unwrap().0
    }
}

impl Peer for SimSocket {
    fn address(&self) -> SocketAddr {
        self.local_address().unwrap()
    }

    fn shutdown_write(&self) {
        SimSocket::shutdown_write(self).unwrap();
    }

    fn reset(self) {
        SimSocket::reset(self);
    }
}

const ALWAYS: f64 = 1.0;
const SECOND: Duration = Duration::from_secs(1);

const fn always(up_to: Duration) -> Episode {
    Episode {
        chance: ALWAYS,
        up_to,
    }
}

/// A server that echoes, as a worker would: it acts on readiness only, and keeps
/// what it could not write.
struct Echo {
    sim: Sim,
    poller: SimPoller,
    listener: SimListener,
    streams: Vec<Option<(SimStream, Vec<u8>)>>,
    retry_accept: bool,
}

const LISTENER: Token = Token(usize::MAX);

impl Echo {
    fn new(sim: &Sim) -> Echo {
        let (mut poller, _waker) = sim.poller().unwrap();
        let mut listener = sim.listen("127.0.0.1:1935".parse().unwrap()).unwrap();
        poller.add_listener(&mut listener, LISTENER).unwrap();
        Echo {
            sim: sim.clone(),
            poller,
            listener,
            streams: Vec::new(),
            retry_accept: false,
        }
    }

    fn connect(&self) -> SimSocket {
        let address = self.listener.local_address().unwrap();
        self.sim.connect(address).unwrap()
    }

    fn turn(&mut self) {
        let timeout = self.retry_accept.then_some(Duration::from_millis(100));
        let mut ready = Vec::new();
        self.poller.poll(timeout, &mut ready).unwrap();
        if self.retry_accept || ready.iter().any(|ready| ready.token == LISTENER) {
            self.accept();
        }
        for ready in ready {
            if ready.token != LISTENER && self.serve(ready).is_err() {
                self.streams[ready.token.0] = None;
            }
        }
    }

    fn accept(&mut self) {
        loop {
            let error = match self.listener.accept() {
                Ok((mut stream, _)) => {
                    let token = Token(self.streams.len());
                    self.poller.add_stream(&mut stream, token).unwrap();
                    self.streams.push(Some((stream, Vec::new())));
                    continue;
                }
                Err(error) => error,
            };
            self.retry_accept = error.kind() != ErrorKind::WouldBlock;
            return;
        }
    }

    /// Reads and writes until neither goes on; fails when it is over.
    fn serve(&mut self, ready: Readiness) -> io::Result<()> {
        let Some((stream, unsent)) = &mut self.streams[ready.token.0] else {
            return Ok(());
        };
        let mut ended = false;
        let mut buffer = [0; 1000];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => ended = true,
                Ok(length) => {
                    unsent.extend_from_slice(&buffer[..length]);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            break;
        }
        while !unsent.is_empty() {
            let (first, second) = unsent.split_at(unsent.len() / 3);
            match stream.write_vectored(&[IoSlice::new(first), IoSlice::new(second)]) {
                Ok(length) => drop(unsent.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return self.poller.watch_writable(stream, ready.token, true);
                }
                Err(error) => return Err(error),
            }
        }
        if ended {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// One step of the scenario; false when nothing will ever happen.
    fn step(&mut self) -> bool {
        if self.sim.is_due(self.poller.index()) {
            self.turn();
            return true;
        }
        self.sim.advance_to_next()
    }

    /// Sends bytes to the server and returns what came back until the connection
    /// ended or all of it was there.
    fn exchange(&mut self, client: &mut SimSocket, bytes: &[u8]) -> Vec<u8> {
        let mut unsent = bytes;
        let mut echoed = Vec::new();
        let mut buffer = [0; 700];
        while echoed.len() < bytes.len() {
            let mut moved = false;
            if !unsent.is_empty()
                && client.writable()
                && let Ok(length) = client.write(unsent)
            {
                unsent = &unsent[length..];
                moved = true;
            }
            match client.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => {
                    echoed.extend_from_slice(&buffer[..length]);
                    moved = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
            if !self.step() && !moved {
                panic!("stuck after {} of {} bytes", echoed.len(), bytes.len());
            }
        }
        echoed
    }
}

/// An accepted connection without a server around it.
fn pair(sim: &Sim) -> (SimStream, SimSocket) {
    let listener = sim.listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let client = sim.connect(listener.local_address().unwrap()).unwrap();
    sim.advance(SECOND);
    (listener.accept().unwrap().0, client)
}

fn sim_with(faults: Faults) -> Sim {
    let config = Config {
        faults,
        ..Config::default()
    };
    Sim::with_config(7, config)
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

fn run(seed: u64, faults: Faults) -> (u64, Vec<u8>, Duration) {
    let config = Config {
        send_buffer: 3000,
        receive_buffer: 2000,
        faults,
        ..Config::default()
    };
    let sim = Sim::with_config(seed, config);
    let mut echo = Echo::new(&sim);
    let mut client = echo.connect();
    let echoed = echo.exchange(&mut client, &pattern(20_000));
    (sim.fingerprint(), echoed, sim.now().since(Time::ZERO))
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..20 {
        assert_eq!(run(seed, Faults::rough()), run(seed, Faults::rough()));
    }
    assert_ne!(run(1, Faults::rough()).0, run(2, Faults::rough()).0);
}

#[test]
fn rough_faults_lose_nothing_but_what_a_reset_takes() {
    let mut resets = 0;
    for seed in 0..300 {
        let (_, echoed, _) = run(seed, Faults::rough());
        assert!(pattern(20_000).starts_with(&echoed), "seed {seed}");
        resets += usize::from(echoed.len() < 20_000);
    }
    assert!((1..150).contains(&resets), "{resets}");
    let gentle = Faults {
        resets: 0.0,
        ..Faults::rough()
    };
    for seed in 0..300 {
        assert!(run(seed, gentle.clone()).1 == pattern(20_000), "{seed}");
    }
}

#[test]
fn each_seed_has_its_own_entropy_whatever_the_faults() {
    let draw = |seed, faults| {
        let sim = Sim::with_config(
            seed,
            Config {
                faults,
                ..Config::default()
            },
        );
        let _ = sim.wall_clock();
        let mut bytes = [0; 21];
        sim.fill_random(&mut bytes).unwrap();
        bytes
    };
    assert_eq!(draw(1, Faults::default()), draw(1, Faults::rough()));
    assert_ne!(draw(1, Faults::default()), draw(2, Faults::default()));
}

#[test]
fn no_time_passes_but_by_advancing() {
    let sim = Sim::new(1);
    let start = sim.wall_clock();
    let (mut poller, _waker) = sim.poller().unwrap();
    poller.poll(Some(SECOND), &mut Vec::new()).unwrap();
    assert_eq!(sim.now(), Time::ZERO);
    assert_eq!(sim.next_deadline(), Some(Time::ZERO + SECOND));
    sim.advance(Duration::from_millis(300));
    assert!(!sim.is_due(poller.index()));
    assert!(sim.advance_to_next());
    assert_eq!(sim.now(), Time::ZERO + SECOND);
    assert!(sim.is_due(poller.index()));
    assert_eq!(sim.wall_clock(), start + SECOND);
}

#[test]
fn an_idle_simulation_has_no_next_step() {
    let sim = Sim::new(1);
    let (mut poller, _waker) = sim.poller().unwrap();
    // It never polled, so its deadline is unknown.
    assert!(sim.is_due(poller.index()));
    poller.poll(None, &mut Vec::new()).unwrap();
    assert!(!sim.is_due(poller.index()));
    assert_eq!(sim.next_step(), None);
    assert!(!sim.advance_to_next());
}

#[test]
fn a_poll_that_told_something_is_due_again() {
    let sim = Sim::new(1);
    let (mut poller, waker) = sim.poller().unwrap();
    poller.poll(None, &mut Vec::new()).unwrap();
    waker.wake().unwrap();
    assert!(sim.is_due(poller.index()));
    poller.poll(None, &mut Vec::new()).unwrap();
    assert!(sim.is_due(poller.index()));
    poller.poll(None, &mut Vec::new()).unwrap();
    assert!(!sim.is_due(poller.index()));
}

#[test]
fn only_the_poller_concerned_is_due() {
    let sim = Sim::new(1);
    let (mut first, _waker) = sim.poller().unwrap();
    let (mut second, waker) = sim.poller().unwrap();
    assert_eq!(sim.pollers(), [first.index(), second.index()]);
    first.poll(None, &mut Vec::new()).unwrap();
    second.poll(None, &mut Vec::new()).unwrap();
    waker.wake().unwrap();
    assert!(!sim.is_due(first.index()) && sim.is_due(second.index()));
    let index = second.index();
    drop(second);
    waker.wake().unwrap();
    assert!(!sim.is_due(index));
    assert_eq!(sim.pollers(), [first.index()]);
}

#[test]
fn bytes_take_the_latency() {
    let latency = Duration::from_millis(40);
    let config = Config {
        latency,
        ..Config::default()
    };
    let sim = Sim::with_config(1, config);
    let (mut stream, mut client) = pair(&sim);
    client.write_all(b"x").unwrap();
    let due = sim.now() + latency;
    assert_eq!(sim.next_event(), Some(due));
    sim.advance_to(due - Duration::from_micros(1));
    let error = stream.read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    sim.advance_to(due);
    assert_eq!(stream.read(&mut [0; 8]).unwrap(), 1);
}

#[test]
fn what_follows_from_an_arrival_counts_from_its_time() {
    let sim = Sim::new(1);
    let (stream, mut client) = pair(&sim);
    drop(stream);
    let start = sim.now();
    client.write_all(b"to nobody").unwrap();
    // The bytes arrive after 1 ms, the reset they cause 1 ms after that.
    sim.advance(Duration::from_micros(1500));
    assert_eq!(sim.next_event(), Some(start + Duration::from_millis(2)));
}

#[test]
fn buffers_bound_what_is_under_way() {
    let config = Config {
        send_buffer: 100,
        receive_buffer: 30,
        ..Config::default()
    };
    let sim = Sim::with_config(1, config);
    let (mut stream, mut client) = pair(&sim);
    // 30 leave at once; then there is room for them again in the send buffer.
    assert_eq!(stream.write(&[1; 500]).unwrap(), 100);
    assert_eq!(stream.write(&[2; 500]).unwrap(), 30);
    let error = stream.write(&[3; 500]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    sim.advance(SECOND);
    assert_eq!(client.read(&mut [0; 500]).unwrap(), 30);
    let error = client.read(&mut [0; 500]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    sim.advance(SECOND);
    assert_eq!(client.read(&mut [0; 500]).unwrap(), 30);
}

#[test]
fn the_unsent_limit_is_kept() {
    let config = Config {
        receive_buffer: 10,
        ..Config::default()
    };
    let sim = Sim::with_config(1, config);
    let (mut stream, _client) = pair(&sim);
    stream.set_unsent_limit(64).unwrap();
    assert_eq!(stream.write(&[0; 1000]).unwrap(), 64);
    assert_eq!(stream.write(&[0; 1000]).unwrap(), 10);
    assert!(stream.write(&[0; 1000]).is_err());
}

/// The strictest reading of the contract: bytes that arrive before `WouldBlock`
/// are no new edge.
#[test]
fn a_socket_not_drained_is_not_reported_again() {
    let sim = Sim::new(1);
    let (mut stream, mut client) = pair(&sim);
    let (mut poller, _waker) = sim.poller().unwrap();
    poller.add_stream(&mut stream, Token(1)).unwrap();
    let mut poll = || {
        sim.advance(SECOND);
        let mut ready = Vec::new();
        poller.poll(None, &mut ready).unwrap();
        ready.len()
    };
    client.write_all(b"one").unwrap();
    assert_eq!(poll(), 1);
    assert_eq!(stream.read(&mut [0; 3]).unwrap(), 3);
    client.write_all(b"two").unwrap();
    assert_eq!(poll(), 0);
    assert_eq!(stream.read(&mut [0; 3]).unwrap(), 3);
    assert!(stream.read(&mut [0; 3]).is_err());
    client.write_all(b"three").unwrap();
    assert_eq!(poll(), 1);
}

#[test]
fn a_socket_not_filled_is_not_writable_again() {
    let sim = Sim::new(1);
    let (mut stream, mut client) = pair(&sim);
    let (mut poller, _waker) = sim.poller().unwrap();
    poller.add_stream(&mut stream, Token(1)).unwrap();
    poller.watch_writable(&mut stream, Token(1), true).unwrap();
    let mut ready = Vec::new();
    poller.poll(None, &mut ready).unwrap();
    client.write_all(b"one").unwrap();
    sim.advance(SECOND);
    poller.poll(None, &mut ready).unwrap();
    let edges = ready.iter().map(|ready| (ready.readable, ready.writable));
    assert_eq!(edges.collect::<Vec<_>>(), [(false, true), (true, false)]);
}

#[test]
fn a_report_overtaken_by_a_read_is_withdrawn() {
    let sim = Sim::new(1);
    let (mut stream, mut client) = pair(&sim);
    let (mut poller, _waker) = sim.poller().unwrap();
    poller.add_stream(&mut stream, Token(1)).unwrap();
    client.write_all(b"one").unwrap();
    sim.advance(SECOND);
    assert_eq!(stream.read(&mut [0; 3]).unwrap(), 3);
    let mut ready = Vec::new();
    poller.poll(None, &mut ready).unwrap();
    assert_eq!(ready, []);
    client.write_all(b"two").unwrap();
    sim.advance(SECOND);
    poller.poll(None, &mut ready).unwrap();
    assert_eq!(ready.len(), 1);
}

#[test]
fn closing_with_unread_bytes_resets_the_peer() {
    let sim = Sim::new(1);
    let (stream, mut client) = pair(&sim);
    client.write_all(b"never read").unwrap();
    sim.advance(SECOND);
    drop(stream);
    sim.advance(SECOND);
    let error = client.read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
    let error = client.write(b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[test]
fn what_a_closed_socket_wrote_is_still_sent() {
    let config = Config {
        receive_buffer: 10,
        ..Config::default()
    };
    let sim = Sim::with_config(1, config);
    let (mut stream, mut client) = pair(&sim);
    stream.write_all(&pattern(95)).unwrap();
    drop(stream);
    assert_eq!(sim.open_sockets(), 0);
    let mut read = Vec::new();
    loop {
        sim.advance(SECOND);
        let mut buffer = [0; 100];
        match client.read(&mut buffer).unwrap() {
            0 => break,
            length => read.extend_from_slice(&buffer[..length]),
        }
    }
    assert_eq!(read, pattern(95));
}

#[test]
fn connecting_needs_a_listener() {
    let sim = Sim::new(1);
    let refused = |address: &str| sim.connect(address.parse().unwrap()).unwrap_err().kind();
    assert_eq!(refused("127.0.0.1:1935"), ErrorKind::ConnectionRefused);
    let _v6 = sim.listen("[::]:1935".parse().unwrap()).unwrap();
    assert_eq!(refused("127.0.0.1:1935"), ErrorKind::ConnectionRefused);
    let v4 = sim.listen("0.0.0.0:1935".parse().unwrap()).unwrap();
    let client = sim.connect("192.0.2.10:1935".parse().unwrap()).unwrap();
    sim.advance(SECOND);
    let (stream, _) = v4.accept().unwrap();
    assert_eq!(stream.local_address().ok(), client.peer_address().ok());
    let foreign = "198.51.100.1:1935".parse().unwrap();
    let error = sim.listen(foreign).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    let specific = "127.0.0.1:1935".parse().unwrap();
    let error = sim.listen(specific).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}

#[test]
fn a_client_may_come_from_anywhere() {
    let sim = Sim::new(1);
    let echo = Echo::new(&sim);
    let from = "203.0.113.5:4000".parse().unwrap();
    let to = echo.listener.local_address().unwrap();
    let _client = sim.connect_from(from, to).unwrap();
    sim.advance(SECOND);
    assert_eq!(echo.listener.accept().unwrap().1, from);
}

#[test]
fn a_connection_whose_listener_goes_is_reset() {
    let sim = Sim::new(1);
    let echo = Echo::new(&sim);
    let mut waiting = echo.connect();
    sim.advance(SECOND);
    assert_eq!(sim.waiting_connections(), 1);
    let mut arriving = echo.connect();
    drop(echo);
    sim.advance(SECOND);
    for client in [&mut waiting, &mut arriving] {
        let error = client.read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn what_is_open_is_counted() {
    let sim = Sim::new(1);
    let mut echo = Echo::new(&sim);
    let first = echo.connect();
    let second = echo.connect();
    while echo.step() {}
    let counts = |sim: &Sim| (sim.open_sockets(), sim.open_clients());
    assert_eq!(counts(&sim), (2, 2));
    assert_eq!(sim.listeners(), [echo.listener.local_address().unwrap()]);
    first.close();
    second.reset();
    assert_eq!(counts(&sim), (2, 0));
    while echo.step() {}
    assert_eq!(counts(&sim), (0, 0));
    let file = sim.create_file(Path::new("f")).unwrap();
    assert_eq!(sim.open_files(), 1);
    drop((echo, file));
    assert_eq!(sim.open_files() + sim.listeners().len(), 0);
    assert_eq!(sim.pollers().len(), 0);
}

#[test]
fn files_outlive_their_server_and_synced_bytes_a_power_cut() {
    let sim = Sim::new(1);
    let path = Path::new("/live/show.flv");
    let mut file = sim.create_file(path).unwrap();
    file.write_all(b"header|tag|").unwrap();
    file.sync().unwrap();
    file.write_all(b"tag|").unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(b"HEADER").unwrap();
    drop(file);
    assert_eq!(sim.files(), [path]);
    assert_eq!(sim.file(path).unwrap(), b"HEADER|tag|tag|");
    sim.power_cut();
    assert_eq!(sim.file(path).unwrap(), b"header|tag|");
}

#[test]
fn seeking_past_the_end_leaves_a_hole_of_zeros() {
    let sim = Sim::new(1);
    let mut file = sim.create_file(Path::new("f")).unwrap();
    file.write_all(b"ab").unwrap();
    file.seek(SeekFrom::Current(2)).unwrap();
    file.write_all(b"cd").unwrap();
    assert_eq!(sim.file("f").unwrap(), b"ab\0\0cd");
    let error = file.seek(SeekFrom::Current(-7)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    sim.power_cut();
    assert_eq!(sim.file("f").unwrap(), b"");
}
