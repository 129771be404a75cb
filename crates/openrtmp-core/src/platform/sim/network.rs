//! Sockets: two byte pipes per connection, with buffers, latency and faults.
//!
//! A byte written waits in the sender's buffer until the receiver has room for
//! it, then travels for the latency, then waits to be read. The sender learns
//! that room was made one latency after the read. Order within a direction always
//! holds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use openrtmp_protocol::Time;

use super::connect::Routes;
use super::silence::RETRANSMISSION;
use super::world::{Event, World};
use crate::platform::errors::{self, EMFILE};

/// Connections that may wait to be accepted; more are reset.
pub(super) const BACKLOG: usize = 1024;

/// First port given out when a caller leaves the choice.
const FIRST_FREE_PORT: u16 = 49_152;

/// Names a socket. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SocketId(pub(super) u64);

#[derive(Debug, Default)]
pub(super) struct Network {
    listeners: BTreeMap<SocketId, Listening>,
    pub(super) ends: BTreeMap<SocketId, End>,
    /// Ends whose machine vanished: what is sent to them is lost.
    pub(super) vanished: BTreeSet<SocketId>,
    pub(super) routes: Routes,
    sockets_made: u64,
    ports_given: u16,
    exhausted_until: Time,
}

#[derive(Debug)]
struct Listening {
    address: SocketAddr,
    waiting: VecDeque<SocketId>,
    side: Side,
    lost: Option<Loss>,
}

/// How a system takes a listening socket from a program. Closed on purpose: a socket is lost
/// with a word or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// As iOS does while the program is suspended: no edge, nobody arrives, and
    /// `accept` only ever says `WouldBlock`. Probing tells.
    Silent,
    /// As `ss -K` does: an edge, and `accept` fails with EINVAL from then on.
    Loud,
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct End {
    local: SocketAddr,
    remote: SocketAddr,
    pub(super) peer: SocketId,
    side: Side,
    holder: Holder,
    pub(super) opening: Opening,
    reset: Option<Reset>,
    received: VecDeque<u8>,
    received_end: bool,
    pub(super) out: Outgoing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// A client of the scenario.
    Client,
    /// Accepted or connected, or to be accepted, by the server under test.
    Server,
}

/// How far the connection of an end has come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    Done,
    UnderWay,
    /// The error until it is told.
    Failed(Option<ErrorKind>),
}

/// Who holds an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// The accept queue, or it is on its way there.
    Queue,
    /// A handle.
    Handle,
    /// Nobody: it was closed and still sends what was written.
    Nobody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reset {
    /// The next read or write tells.
    Untold(ErrorKind),
    /// It was told: reads see the end, writes a broken pipe.
    Told,
}

/// The sending half of an end.
#[derive(Debug)]
pub(super) struct Outgoing {
    unsent: VecDeque<u8>,
    /// Most bytes `unsent` may hold.
    limit: usize,
    /// Bytes the peer has room for.
    window: usize,
    finish: Finish,
    stalled: bool,
    /// Since when sent bytes wait for an acknowledgement that does not come.
    pub(super) unacknowledged_since: Option<Time>,
    pub(super) unacknowledged_limit: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finish {
    Open,
    /// The end is to be sent after what is unsent.
    Asked,
    Sent,
}

impl End {
    fn readable(&self) -> bool {
        let failed = self.reset.is_some() || matches!(self.opening, Opening::Failed(_));
        !self.received.is_empty() || self.received_end || failed
    }

    /// As Linux has it, a third of the buffer must be free: a socket does not
    /// become writable for every byte that leaves.
    fn writable(&self) -> bool {
        match self.opening {
            Opening::Done => {}
            Opening::UnderWay => return false,
            Opening::Failed(_) => return true,
        }
        let out = &self.out;
        let roomy = out.unsent.len().saturating_mul(3) <= out.limit.saturating_mul(2);
        roomy || out.finish != Finish::Open || self.reset.is_some()
    }

    fn tell_reset(&mut self) -> Option<Reset> {
        let reset = self.reset?;
        self.reset = Some(Reset::Told);
        Some(reset)
    }

    /// The error of a connection that is over, if nobody was told.
    pub(super) fn untold_error(&mut self) -> Option<io::Error> {
        match self.tell_reset()? {
            Reset::Untold(error) => Some(error.into()),
            Reset::Told => None,
        }
    }

    /// Gives it to a handle.
    pub(super) fn hold(&mut self) {
        self.holder = Holder::Handle;
    }
}

/// Counts, for leak checks.
impl Network {
    /// Of the machine, not of other hosts.
    pub(super) fn listeners(&self) -> impl Iterator<Item = SocketAddr> {
        let ours = self.listening_on(Side::Server);
        ours.filter(|l| l.lost.is_none()).map(|l| l.address)
    }

    pub(super) fn lost_listeners(&self) -> usize {
        let ours = self.listening_on(Side::Server);
        ours.filter(|listening| listening.lost.is_some()).count()
    }

    fn listening_on(&self, side: Side) -> impl Iterator<Item = &Listening> {
        let all = self.listeners.values();
        all.filter(move |listening| listening.side == side)
    }

    pub(super) fn open(&self, side: Side) -> usize {
        let open = |end: &&End| end.side == side && end.holder == Holder::Handle;
        self.ends.values().filter(open).count()
    }

    pub(super) fn waiting(&self) -> usize {
        let ours = self.listening_on(Side::Server);
        ours.map(|listening| listening.waiting.len()).sum()
    }

    /// Connections that wait at a listener.
    pub(super) fn backlog(&self, id: SocketId) -> usize {
        self.listeners.get(&id).map_or(0, |l| l.waiting.len())
    }

    /// Whose the connections of a listener are.
    pub(super) fn side_of(&self, listener: SocketId) -> Side {
        let listening = self.listeners.get(&listener);
        listening.map_or(Side::Server, |listening| listening.side)
    }

    pub(super) fn new_id(&mut self) -> SocketId {
        self.sockets_made += 1;
        SocketId(self.sockets_made)
    }

    /// A port no listener and no connection uses.
    pub(super) fn free_port(&mut self) -> u16 {
        loop {
            let span = u16::MAX - FIRST_FREE_PORT;
            let port = FIRST_FREE_PORT + self.ports_given % span;
            self.ports_given = self.ports_given.wrapping_add(1);
            let mut listeners = self.listeners.values();
            let listening = listeners.any(|listening| listening.address.port() == port);
            if !listening && !self.ends.values().any(|end| end.local.port() == port) {
                return port;
            }
        }
    }
}

/// Listeners.
impl World {
    pub(super) fn listen(&mut self, mut address: SocketAddr) -> io::Result<SocketId> {
        let ip = address.ip();
        if !ip.is_unspecified() && !self.owns(ip) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        if address.port() == 0 {
            address.set_port(self.network.free_port());
        }
        if self.network.listeners().any(|other| clash(other, address)) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        Ok(self.insert_listener(address, Side::Server))
    }

    /// A host elsewhere in the network listens, or one of the scenario on the
    /// machine itself.
    pub(super) fn listen_elsewhere(&mut self, mut address: SocketAddr) -> io::Result<SocketId> {
        if address.port() == 0 {
            address.set_port(self.network.free_port());
        }
        if self.listener_for(address).is_ok() {
            return Err(ErrorKind::AddrInUse.into());
        }
        Ok(self.insert_listener(address, Side::Client))
    }

    fn insert_listener(&mut self, address: SocketAddr, side: Side) -> SocketId {
        let id = self.network.new_id();
        let listening = Listening {
            address,
            waiting: VecDeque::new(),
            side,
            lost: None,
        };
        self.network.listeners.insert(id, listening);
        self.note("listen", [id.0, u64::from(address.port())]);
        id
    }

    /// Takes the listeners of an address from the machine's program.
    pub(super) fn lose_listener(&mut self, address: SocketAddr, loss: Loss) {
        let ours = self.network.listeners.iter();
        let at = |l: &Listening| l.side == Side::Server && l.address == address && l.lost.is_none();
        let ids: Vec<SocketId> = ours.filter(|(_, l)| at(l)).map(|(&id, _)| id).collect();
        for id in ids {
            self.note("lose listener", [id.0, loss as u64]);
            if let Some(listening) = self.network.listeners.get_mut(&id) {
                listening.lost = Some(loss);
                for socket in std::mem::take(&mut listening.waiting) {
                    self.abort(socket);
                }
            }
            self.refresh(id);
        }
    }

    pub(super) fn lose_streams(&mut self) {
        let ours = self.network.ends.iter();
        let ours = ours.filter(|(_, end)| end.side == Side::Server);
        let ids: Vec<SocketId> = ours.map(|(&id, _)| id).collect();
        for id in ids {
            self.note("lose stream", [id.0, 0]);
            if let Some(end) = self.network.ends.get_mut(&id) {
                // As one that never came about: nothing goes in or out.
                end.opening = Opening::UnderWay;
                end.received.clear();
                end.received_end = false;
            }
            self.refresh(id);
        }
    }

    pub(super) fn probe(&self, id: SocketId) -> io::Result<()> {
        let listening = self.network.listeners.get(&id).ok_or_else(gone)?;
        match listening.lost {
            None => Ok(()),
            Some(_) => Err(errors::not_listening()),
        }
    }

    pub(super) fn listener_address(&self, id: SocketId) -> io::Result<SocketAddr> {
        let listening = self.network.listeners.get(&id);
        listening
            .map(|listening| listening.address)
            .ok_or_else(gone)
    }

    pub(super) fn accept(&mut self, id: SocketId) -> io::Result<(SocketId, SocketAddr)> {
        let listening = self.network.listeners.get(&id).ok_or_else(gone)?;
        if listening.lost == Some(Loss::Loud) {
            return Err(errors::not_listening());
        }
        if listening.waiting.is_empty() {
            self.rearm_read(id);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if self.now >= self.network.exhausted_until
            && let Some(span) = self.strikes(|faults| faults.exhaustion)
        {
            self.network.exhausted_until = self.now + span;
        }
        if self.now < self.network.exhausted_until {
            self.note("exhausted", [id.0, 0]);
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        self.take_waiting(id)
    }

    /// The connection that waits longest at a listener.
    pub(super) fn take_waiting(&mut self, id: SocketId) -> io::Result<(SocketId, SocketAddr)> {
        let listening = self.network.listeners.get_mut(&id).ok_or_else(gone)?;
        let socket = listening.waiting.pop_front();
        let socket = socket.ok_or(ErrorKind::WouldBlock)?;
        let end = self.network.ends.get_mut(&socket).ok_or_else(gone)?;
        end.hold();
        let remote = end.remote;
        self.note("accept", [id.0, socket.0]);
        Ok((socket, remote))
    }

    pub(super) fn close_listener(&mut self, id: SocketId) {
        self.unwatch(id);
        if let Some(listening) = self.network.listeners.remove(&id) {
            for socket in listening.waiting {
                self.abort(socket);
            }
        }
        self.note("close listener", [id.0, 0]);
    }
}

/// Connections, as their holders see them.
impl World {
    /// Connects a client; `local` is chosen if it is not given.
    pub(super) fn connect(
        &mut self,
        local: Option<SocketAddr>,
        remote: SocketAddr,
    ) -> io::Result<SocketId> {
        let remote = reachable(remote);
        let listener = self.listener_for(remote)?;
        let local = match local {
            Some(address) => address,
            None => SocketAddr::new(loopback(remote), self.network.free_port()),
        };
        let client = self.network.new_id();
        let server = self.network.new_id();
        let mut end = self.end(local, remote, server, Side::Client);
        end.hold();
        self.network.ends.insert(client, end);
        let side = self.network.side_of(listener);
        let end = self.end(remote, local, client, side);
        self.network.ends.insert(server, end);
        let socket = server;
        self.send_event(Event::Arrival { listener, socket });
        Ok(client)
    }

    pub(super) fn readable(&self, id: SocketId) -> bool {
        if let Some(listening) = self.network.listeners.get(&id) {
            return !listening.waiting.is_empty() || listening.lost == Some(Loss::Loud);
        }
        self.network.ends.get(&id).is_some_and(End::readable)
    }

    pub(super) fn writable(&self, id: SocketId) -> bool {
        self.network.ends.get(&id).is_some_and(End::writable)
    }

    pub(super) fn addresses(&self, id: SocketId) -> io::Result<(SocketAddr, SocketAddr)> {
        let end = self.network.ends.get(&id).ok_or_else(gone)?;
        Ok((end.local, end.remote))
    }

    pub(super) fn peer_address(&mut self, id: SocketId) -> io::Result<SocketAddr> {
        let end = self.network.ends.get(&id).ok_or_else(gone)?;
        match end.opening {
            Opening::Done => Ok(end.remote),
            Opening::UnderWay | Opening::Failed(_) => Err(ErrorKind::NotConnected.into()),
        }
    }

    pub(super) fn set_unsent_limit(&mut self, id: SocketId, bytes: usize) -> io::Result<()> {
        let most = self.config.send_buffer;
        let end = self.network.ends.get_mut(&id).ok_or_else(gone)?;
        end.out.limit = bytes.clamp(1, most.max(1));
        self.refresh(id);
        Ok(())
    }

    pub(super) fn read(&mut self, id: SocketId, buffer: &mut [u8]) -> io::Result<usize> {
        let side = self.strike(id)?;
        let end = self.network.ends.get_mut(&id).ok_or_else(gone)?;
        let available = end.received.len().min(buffer.len());
        if available == 0 {
            if buffer.is_empty() {
                return Ok(0);
            }
            match end.tell_reset() {
                Some(Reset::Untold(error)) => return Err(error.into()),
                Some(Reset::Told) => return Ok(0),
                None if end.received_end => return Ok(0),
                None => {}
            }
            self.rearm_read(id);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let short = side == Side::Server && self.random.chance(self.config.faults.short_reads);
        let length = if short {
            self.random.up_to(available)
        } else {
            available
        };
        for (slot, byte) in buffer.iter_mut().zip(end.received.drain(..length)) {
            *slot = byte;
        }
        let to = end.peer;
        self.note("read", [id.0, length as u64]);
        self.send_event(Event::Window { to, bytes: length });
        Ok(length)
    }

    pub(super) fn write(&mut self, id: SocketId, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let side = self.strike(id)?;
        let end = self.network.ends.get_mut(&id).ok_or_else(gone)?;
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        match end.tell_reset() {
            Some(Reset::Untold(error)) => return Err(error.into()),
            Some(Reset::Told) => return Err(io::ErrorKind::BrokenPipe.into()),
            None if end.out.finish != Finish::Open => {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            None if offered == 0 => return Ok(0),
            None => {}
        }
        let room = end.out.limit.saturating_sub(end.out.unsent.len());
        let fits = room.min(offered);
        if fits == 0 {
            self.rearm_write(id);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let short = side == Side::Server && self.random.chance(self.config.faults.short_writes);
        let length = if short { self.random.up_to(fits) } else { fits };
        let bytes = slices.iter().flat_map(|slice| slice.iter());
        end.out.unsent.extend(bytes.take(length));
        self.note("write", [id.0, length as u64]);
        self.transmit(id);
        Ok(length)
    }

    pub(super) fn shutdown_write(&mut self, id: SocketId) -> io::Result<()> {
        let end = self.network.ends.get_mut(&id).ok_or_else(gone)?;
        if let Some(error) = end.unconnected() {
            return Err(error);
        }
        if end.reset.is_some() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if end.out.finish == Finish::Open {
            end.out.finish = Finish::Asked;
            self.note("shutdown", [id.0, 0]);
            self.transmit(id);
        }
        Ok(())
    }

    /// Closes an end: what was written is still sent, but if something received
    /// was not read the peer is reset, as TCP has it (RFC 2525 section 2.17).
    pub(super) fn close(&mut self, id: SocketId) {
        self.unwatch(id);
        self.note("close", [id.0, 0]);
        let Some(end) = self.network.ends.get_mut(&id) else {
            return;
        };
        if end.reset.is_some() || end.opening != Opening::Done {
            self.network.ends.remove(&id);
        } else if !end.received.is_empty() {
            self.abort(id);
        } else {
            end.holder = Holder::Nobody;
            if end.out.finish == Finish::Open {
                end.out.finish = Finish::Asked;
            }
            self.transmit(id);
        }
    }

    /// Closes an end and resets its peer.
    pub(super) fn abort(&mut self, id: SocketId) {
        self.unwatch(id);
        self.reset_peer(id);
        self.network.ends.remove(&id);
    }

    /// A call on an end that must be connected, and the fault that resets a
    /// connection under the server's hands.
    fn strike(&mut self, id: SocketId) -> io::Result<Side> {
        let end = self.network.ends.get_mut(&id).ok_or_else(gone)?;
        if let Some(error) = end.unconnected() {
            return Err(error);
        }
        let (side, alive) = (end.side, end.reset.is_none());
        if side == Side::Server && alive && self.random.chance(self.config.faults.resets) {
            self.reset_peer(id);
            self.receive_reset(id, ErrorKind::ConnectionReset);
        }
        Ok(side)
    }
}

/// What travels.
impl World {
    pub(super) fn arrive(&mut self, listener: SocketId, socket: SocketId) {
        self.note("arrive", [listener.0, socket.0]);
        match self.network.listeners.get_mut(&listener) {
            Some(listening) if listening.waiting.len() < BACKLOG => {
                listening.waiting.push_back(socket);
                self.refresh(listener);
            }
            _ => self.abort(socket),
        }
    }

    pub(super) fn receive(&mut self, from: SocketId, to: SocketId, bytes: Vec<u8>) {
        self.note("receive", [to.0, bytes.len() as u64]);
        match self.network.ends.get_mut(&to) {
            Some(end) if end.reset.is_some() => {}
            Some(end) if end.holder != Holder::Nobody => {
                end.received.extend(bytes);
                self.refresh(to);
            }
            None if self.network.vanished.contains(&to) => self.lose_bytes(from),
            // Nobody will read this: the sender is told with a reset.
            _ => {
                self.network.ends.remove(&to);
                let error = ErrorKind::ConnectionReset;
                self.send_event(Event::Reset { to: from, error });
            }
        }
    }

    pub(super) fn receive_end(&mut self, to: SocketId) {
        self.note("end", [to.0, 0]);
        if let Some(end) = self.network.ends.get_mut(&to) {
            end.received_end = true;
            self.refresh(to);
        }
    }

    pub(super) fn receive_reset(&mut self, to: SocketId, error: ErrorKind) {
        self.note("reset", [to.0, 0]);
        let Some(end) = self.network.ends.get_mut(&to) else {
            return;
        };
        if end.holder == Holder::Nobody {
            self.network.ends.remove(&to);
            return;
        }
        if end.reset.is_none() {
            end.reset = Some(Reset::Untold(error));
        }
        end.out.unsent.clear();
        if end.side == Side::Server && self.random.chance(self.config.faults.reset_discards) {
            end.received.clear();
        }
        self.refresh(to);
    }

    pub(super) fn receive_window(&mut self, to: SocketId, bytes: usize) {
        if let Some(end) = self.network.ends.get_mut(&to) {
            end.out.window += bytes;
            self.transmit(to);
        }
    }

    pub(super) fn widen(&mut self, bytes: usize) {
        let config = &mut self.config;
        config.send_buffer = config.send_buffer.saturating_add(bytes);
        config.receive_buffer = config.receive_buffer.saturating_add(bytes);
        let ids: Vec<SocketId> = self.network.ends.keys().copied().collect();
        for id in ids {
            if let Some(end) = self.network.ends.get_mut(&id) {
                end.out.limit = end.out.limit.saturating_add(bytes);
            }
            self.receive_window(id, bytes);
        }
    }

    pub(super) fn resume(&mut self, socket: SocketId) {
        if let Some(end) = self.network.ends.get_mut(&socket) {
            end.out.stalled = false;
            self.send(socket);
        }
    }

    /// Sends what the peer has room for, unless a stall begins or lasts.
    fn transmit(&mut self, id: SocketId) {
        let Some(end) = self.network.ends.get(&id) else {
            return;
        };
        if end.out.stalled {
            return;
        }
        let something = !end.out.unsent.is_empty() || end.out.finish == Finish::Asked;
        if something && let Some(span) = self.strikes(|faults| faults.stalls) {
            self.note("stall", [id.0, 0]);
            self.schedule(self.now + span, Event::Resume { socket: id });
            if let Some(end) = self.network.ends.get_mut(&id) {
                end.out.stalled = true;
            }
            return;
        }
        self.send(id);
    }

    fn send(&mut self, id: SocketId) {
        let Some(end) = self.network.ends.get_mut(&id) else {
            return;
        };
        let (to, out) = (end.peer, &mut end.out);
        let length = out.unsent.len().min(out.window);
        out.window -= length;
        let bytes: Vec<u8> = out.unsent.drain(..length).collect();
        let finished = out.unsent.is_empty() && out.finish == Finish::Asked;
        if finished {
            out.finish = Finish::Sent;
        }
        let done = out.unsent.is_empty() && out.finish == Finish::Sent;
        if done && end.holder == Holder::Nobody {
            self.network.ends.remove(&id);
        }
        if !bytes.is_empty() {
            let from = id;
            self.send_event(Event::Bytes { from, to, bytes });
        }
        if finished {
            self.send_event(Event::End { to });
        }
        self.refresh(id);
    }

    /// Puts something on its way. The latency being the same for everything,
    /// nothing overtakes what was sent before it.
    pub(super) fn send_event(&mut self, event: Event) {
        self.schedule(self.now + self.config.latency, event);
    }

    fn reset_peer(&mut self, id: SocketId) {
        if let Some(end) = self.network.ends.get(&id)
            && end.reset.is_none()
        {
            let to = end.peer;
            let error = ErrorKind::ConnectionReset;
            self.send_event(Event::Reset { to, error });
        }
    }

    /// An end that nobody holds yet.
    pub(super) fn end(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
        peer: SocketId,
        side: Side,
    ) -> End {
        End {
            local,
            remote,
            peer,
            side,
            holder: Holder::Queue,
            opening: Opening::Done,
            reset: None,
            received: VecDeque::new(),
            received_end: false,
            out: Outgoing {
                unsent: VecDeque::new(),
                limit: self.config.send_buffer.max(1),
                window: self.config.receive_buffer.max(1),
                finish: Finish::Open,
                stalled: false,
                unacknowledged_since: None,
                unacknowledged_limit: RETRANSMISSION,
            },
        }
    }

    /// True for an address of the machine.
    pub(super) fn owns(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || self.interfaces.iter().any(|own| own.address == ip)
    }

    /// Who listens at an address: another host, or the machine if it is its own.
    pub(super) fn listener_for(&self, remote: SocketAddr) -> io::Result<SocketId> {
        let own = self.owns(remote.ip());
        let found = self.network.listeners.iter().find(|(_, listening)| {
            let here = match listening.side {
                Side::Server => own && clash(listening.address, remote),
                Side::Client => clash(listening.address, remote),
            };
            here && listening.lost.is_none()
        });
        found
            .map(|(&id, _)| id)
            .ok_or_else(|| io::ErrorKind::ConnectionRefused.into())
    }
}

/// True if two addresses cannot be listened on together. IPv6 sockets are IPv6
/// only, so the families never clash.
fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    let overlap = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.is_ipv4() == b.is_ipv4() && overlap
}

/// Connecting to the unspecified address means this machine.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(loopback(address), address.port())
    } else {
        address
    }
}

fn loopback(family: SocketAddr) -> IpAddr {
    match family {
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}

pub(super) fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}
