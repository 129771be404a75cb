//! The simulated platform: a network in memory, a virtual clock, seeded faults.
//!
//! The server runs on it unchanged, and a seed fixes the whole course: the same
//! seed and the same calls give the same run, which [`Sim::fingerprint`] shows.
//!
//! Nothing here blocks and no time passes by itself. Whoever drives a scenario
//! lets a worker take a turn while [`Sim::is_due`] says so for its poller, lets the
//! clients ([`Sim::connect`]) act, and then moves the clock on with
//! [`Sim::advance_to_next`]:
//!
//! ```
//! use openrtmp_core::platform::sim::Sim;
//! use openrtmp_core::platform::{Listener, Platform, Poller, Token};
//!
//! let sim = Sim::new(1);
//! let (mut poller, _waker) = sim.poller()?;
//! let mut listener = sim.listen("0.0.0.0:1935".parse().unwrap())?;
//! poller.add_listener(&mut listener, Token(0))?;
//! let client = sim.connect("127.0.0.1:1935".parse().unwrap())?;
//!
//! let mut ready = Vec::new();
//! while ready.is_empty() {
//!     if sim.is_due(poller.index()) {
//!         poller.poll(None, &mut ready)?;
//!     } else {
//!         assert!(sim.advance_to_next());
//!     }
//! }
//! let (_stream, peer) = listener.accept()?;
//! assert_eq!(peer, client.local_address()?);
//! # Ok::<(), std::io::Error>(())
//! ```

mod config;
mod connect;
mod disk;
mod handles;
mod names;
mod network;
mod random;
mod readiness;
mod silence;
mod torture;
mod world;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use openrtmp_protocol::Time;

use super::{Answer, Interface, Platform};
use network::Side;
use world::{Shared, World};

pub use config::{Config, Episode, Faults};
pub use connect::Route;
pub use disk::SimFile;
pub use handles::{SimHost, SimListener, SimPoller, SimSocket, SimStream, SimWaker};
pub use network::Loss;
#[cfg(test)]
pub(crate) use random::Random;
pub use torture::{Call, Torture};

/// A simulated machine and its network. Clones are handles to the same one.
///
/// It can be shared between threads, but only calls from one thread at a time
/// come in an order that a seed reproduces.
#[derive(Clone, Debug)]
pub struct Sim(Shared);

impl Sim {
    /// A machine with the default [`Config`].
    pub fn new(seed: u64) -> Sim {
        Sim::with_config(seed, Config::default())
    }

    /// A machine with interfaces `lo` (127.0.0.1, ::1) and `eth0` (192.0.2.10).
    pub fn with_config(seed: u64, config: Config) -> Sim {
        let sim = Sim(Shared::new(World::new(seed, config)));
        sim.set_interfaces(vec![
            interface("lo", Ipv4Addr::LOCALHOST.into()),
            interface("lo", Ipv6Addr::LOCALHOST.into()),
            interface("eth0", Ipv4Addr::new(192, 0, 2, 10).into()),
        ]);
        sim
    }

    /// Changes what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.0.lock().config.faults = faults;
    }

    /// Gives every socket, those that are there too, so many bytes more for what it
    /// sends and receives: a slow network becomes a fast one.
    pub fn widen(&self, bytes: usize) {
        let mut world = self.0.lock();
        world.widen(bytes);
        world.settle();
    }

    /// Changes what [`Platform::interfaces`] tells.
    pub fn set_interfaces(&self, interfaces: Vec<Interface>) {
        self.0.lock().interfaces = interfaces;
    }

    /// Changes the time of day; the monotonic clock goes on as it was.
    pub fn set_wall_clock(&self, time: SystemTime) {
        self.0.lock().set_wall_clock(time);
    }

    /// Moves it to another time zone, which is so many seconds ahead of UTC.
    pub fn set_local_offset(&self, seconds: i32) {
        self.0.lock().local_offset = seconds;
    }
}

/// Clients.
impl Sim {
    /// Connects a client from a free port of the loopback interface. It may write
    /// at once; the server can accept it one latency later.
    ///
    /// # Errors
    /// `ConnectionRefused` if nobody listens there.
    pub fn connect(&self, server: SocketAddr) -> io::Result<SimSocket> {
        self.connect_client(None, server)
    }

    /// Connects a client from an address of its own, of any network.
    ///
    /// # Errors
    /// `ConnectionRefused` if nobody listens there.
    pub fn connect_from(&self, client: SocketAddr, server: SocketAddr) -> io::Result<SimSocket> {
        self.connect_client(Some(client), server)
    }

    fn connect_client(
        &self,
        client: Option<SocketAddr>,
        server: SocketAddr,
    ) -> io::Result<SimSocket> {
        let mut world = self.0.lock();
        let id = world.connect(client, server)?;
        world.settle();
        Ok(SimSocket::new(self.0.clone(), id))
    }
}

/// Other hosts.
impl Sim {
    /// A server elsewhere in the network, at an address of its own or a port of
    /// the machine's loopback interface.
    ///
    /// # Errors
    /// `AddrInUse` if somebody listens there.
    pub fn host(&self, address: SocketAddr) -> io::Result<SimHost> {
        let id = self.0.lock().listen_elsewhere(address)?;
        let world = self.0.clone();
        Ok(SimHost { world, id })
    }

    /// Fixes what becomes of connections that the machine makes to an address.
    pub fn set_route(&self, to: IpAddr, route: Route) {
        self.0.lock().network.routes.set(to, route);
    }

    /// Fixes what [`Platform::resolve`] finds from now on. A host without
    /// addresses is not found.
    pub fn set_host(&self, name: &str, addresses: Vec<IpAddr>) {
        self.0.lock().names.set(name, addresses);
    }

    /// Takes the machine's connections from whoever holds them, without a word, as iOS does
    /// while the program is suspended: nothing is read or written any more, no edge tells,
    /// and they are not connected when they are asked.
    pub fn lose_streams(&self) {
        let mut world = self.0.lock();
        world.lose_streams();
        world.settle();
    }

    /// Takes the machine's listeners at an address from whoever holds them. It can
    /// be bound again.
    pub fn lose_listener(&self, address: SocketAddr, loss: Loss) {
        let mut world = self.0.lock();
        world.lose_listener(address, loss);
        world.settle();
    }
}

/// Time.
impl Sim {
    /// Lets `span` pass; what is under way arrives, each at its own time.
    pub fn advance(&self, span: Duration) {
        let now = self.0.lock().now;
        self.advance_to(now + span);
    }

    /// Lets time pass until `time`. Does nothing if that is past.
    pub fn advance_to(&self, time: Time) {
        loop {
            let mut world = self.0.lock();
            let until = time.max(world.now);
            world.advance_to(until);
            let due = world.names.take_due();
            drop(world);
            match due {
                Some((found, answer)) => answer(found),
                None => return,
            }
        }
    }

    /// Lets time pass until something can happen: something arrives or a poll
    /// asked to return. False if nothing ever will. No time passes while a poller
    /// is due.
    pub fn advance_to_next(&self) -> bool {
        let next = self.next_step();
        if let Some(time) = next {
            self.advance_to(time);
        }
        next.is_some()
    }

    /// When something can next happen: the earlier of [`Sim::next_deadline`] and
    /// [`Sim::next_event`].
    pub fn next_step(&self) -> Option<Time> {
        let times = [self.next_deadline(), self.next_event()];
        times.into_iter().flatten().min()
    }

    /// When the first poller is to poll again by its own wish: now if one is due.
    pub fn next_deadline(&self) -> Option<Time> {
        let world = self.0.lock();
        world.pollers.next_deadline(world.now)
    }

    /// The same of one poller.
    pub fn next_deadline_of(&self, poller: usize) -> Option<Time> {
        let world = self.0.lock();
        world.pollers.deadline_of(poller, world.now)
    }

    /// When the next thing under way arrives.
    pub fn next_event(&self) -> Option<Time> {
        self.0.lock().next_event()
    }

    /// True if a poller, by its [`SimPoller::index`], has something to do: sockets
    /// to report, a wake-up, its deadline reached, or its last poll told something,
    /// so that whoever polls may now ask for another deadline.
    pub fn is_due(&self, poller: usize) -> bool {
        let world = self.0.lock();
        world.pollers.due(poller, world.now)
    }

    /// Pollers that exist, by [`SimPoller::index`], in order of creation.
    pub fn pollers(&self) -> Vec<usize> {
        self.0.lock().pollers.alive().collect()
    }
}

/// What tests look at.
impl Sim {
    /// A digest of all that happened. Two runs of one scenario with one seed have
    /// the same.
    pub fn fingerprint(&self) -> u64 {
        self.0.lock().fingerprint()
    }

    /// Accepted and connecting sockets that were not dropped.
    pub fn open_sockets(&self) -> usize {
        self.0.lock().network.open(Side::Server)
    }

    /// Clients that were not dropped.
    pub fn open_clients(&self) -> usize {
        self.0.lock().network.open(Side::Client)
    }

    /// Connections that wait to be accepted.
    pub fn waiting_connections(&self) -> usize {
        self.0.lock().network.waiting()
    }

    /// Addresses listened on, in order of binding.
    pub fn listeners(&self) -> Vec<SocketAddr> {
        self.0.lock().network.listeners().collect()
    }

    /// Listeners that the machine took and nobody has dropped.
    pub fn lost_listeners(&self) -> usize {
        self.0.lock().network.lost_listeners()
    }

    /// Look-ups of host names that were not answered.
    pub fn open_lookups(&self) -> usize {
        self.0.lock().names.under_way()
    }

    /// Files that were not dropped.
    pub fn open_files(&self) -> usize {
        self.0.lock().disk.open
    }

    /// What a file holds, written by a server that lives or one that is gone.
    pub fn file(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let world = self.0.lock();
        world.disk.read(path.as_ref()).map(<[u8]>::to_vec)
    }

    /// Every file, by path.
    pub fn files(&self) -> Vec<PathBuf> {
        self.0.lock().disk.paths().cloned().collect()
    }

    /// Takes back what was written to files and not synced.
    pub fn power_cut(&self) {
        self.0.lock().disk.power_cut();
    }
}

impl Platform for Sim {
    type Poller = SimPoller;
    type Waker = SimWaker;
    type Listener = SimListener;
    type Stream = SimStream;
    type File = SimFile;

    fn poller(&self) -> io::Result<(SimPoller, SimWaker)> {
        let mut state = self.0.lock();
        state.attempt(Call::Poller)?;
        let index = state.pollers.add();
        drop(state);
        let world = self.0.clone();
        let waker = SimWaker {
            world: world.clone(),
            poller: index,
        };
        Ok((SimPoller { world, index }, waker))
    }

    fn listen(&self, address: SocketAddr) -> io::Result<SimListener> {
        let mut state = self.0.lock();
        state.attempt(Call::Listen)?;
        let id = state.listen(address)?;
        drop(state);
        let world = self.0.clone();
        Ok(SimListener { world, id })
    }

    fn connect(&self, address: SocketAddr) -> io::Result<SimStream> {
        let mut state = self.0.lock();
        state.attempt(Call::Connect)?;
        let id = state.begin_connect(address)?;
        drop(state);
        Ok(SimStream::new(self.0.clone(), id))
    }

    fn resolve(&self, host: &str, port: u16, answer: Answer) {
        let mut world = self.0.lock();
        let at_once = match (world.attempt(Call::Resolve), host.parse::<IpAddr>()) {
            (Err(error), _) => Err(error),
            (Ok(()), Ok(address)) => Ok(vec![SocketAddr::new(address, port)]),
            (Ok(()), Err(_)) => return world.look_up(host, port, answer),
        };
        drop(world);
        answer(at_once);
    }

    fn now(&self) -> Time {
        self.0.lock().now
    }

    fn wall_clock(&self) -> SystemTime {
        self.0.lock().wall_clock()
    }

    fn local_offset(&self, _: i64) -> i32 {
        self.0.lock().local_offset
    }

    /// The same bytes for the same seed.
    fn fill_random(&self, bytes: &mut [u8]) -> io::Result<()> {
        let mut world = self.0.lock();
        world.attempt(Call::Random)?;
        world.entropy.fill(bytes);
        Ok(())
    }

    fn interfaces(&self) -> io::Result<Vec<Interface>> {
        Ok(self.0.lock().interfaces.clone())
    }

    fn create_file(&self, path: &Path) -> io::Result<SimFile> {
        let mut world = self.0.lock();
        world.attempt(Call::Create)?;
        let denied = world.config.faults.create_denied;
        if world.random.chance(denied) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        world.disk.create(path)?;
        drop(world);
        Ok(SimFile::new(self.0.clone(), path))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut world = self.0.lock();
        world.attempt(Call::Remove)?;
        world.disk.remove(path)
    }
}

fn interface(name: &str, address: IpAddr) -> Interface {
    Interface {
        name: name.to_owned(),
        address,
        loopback: address.is_loopback(),
        point_to_point: false,
    }
}

#[cfg(test)]
mod tests;
