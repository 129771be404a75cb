use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use super::network::SocketId;
use super::torture::Call;
use super::world::Shared;
use crate::platform::{Listener, Poller, Readiness, Stream, Token, Wake};

/// A poller that never blocks: it takes what there is and notes until when it
/// would have waited, for the driver of the scenario to see.
#[derive(Debug)]
pub struct SimPoller {
    pub(super) world: Shared,
    pub(super) index: usize,
}

/// Interrupts a [`SimPoller`].
#[derive(Debug)]
pub struct SimWaker {
    pub(super) world: Shared,
    pub(super) poller: usize,
}

/// A listening socket of the server.
#[derive(Debug)]
pub struct SimListener {
    pub(super) world: Shared,
    pub(super) id: SocketId,
}

/// A connected or connecting socket of the server.
#[derive(Debug)]
pub struct SimStream(Connection);

/// A client of a scenario. Its calls never block and it is on no poller: whoever
/// drives the scenario asks what it can do. Dropping it closes it.
#[derive(Debug)]
pub struct SimSocket(Connection);

/// A server elsewhere in the network, for the server under test to connect to. Like
/// [`SimSocket`] it belongs to the scenario. Dropping it closes it.
#[derive(Debug)]
pub struct SimHost {
    pub(super) world: Shared,
    pub(super) id: SocketId,
}

/// An end of a connection, closed when dropped.
#[derive(Debug)]
struct Connection {
    world: Shared,
    id: SocketId,
}

impl SimPoller {
    /// Its place among the pollers of the simulation, in order of creation.
    pub fn index(&self) -> usize {
        self.index
    }
}

impl Poller for SimPoller {
    type Listener = SimListener;
    type Stream = SimStream;

    fn poll(&mut self, timeout: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()> {
        let mut world = self.world.lock();
        world.attempt(Call::Poll)?;
        world.poll(self.index, timeout, ready);
        Ok(())
    }

    fn add_listener(&mut self, listener: &mut SimListener, token: Token) -> io::Result<()> {
        let mut world = self.world.lock();
        world.attempt(Call::Watch)?;
        world.watch(self.index, listener.id, token)
    }

    fn remove_listener(&mut self, listener: &mut SimListener) -> io::Result<()> {
        let mut world = self.world.lock();
        world.attempt(Call::Unwatch)?;
        world.unwatch_by(self.index, listener.id)
    }

    fn add_stream(&mut self, stream: &mut SimStream, token: Token) -> io::Result<()> {
        let mut world = self.world.lock();
        world.attempt(Call::Watch)?;
        world.watch(self.index, stream.0.id, token)
    }

    fn watch_writable(&mut self, stream: &mut SimStream, token: Token, on: bool) -> io::Result<()> {
        let mut world = self.world.lock();
        world.attempt(Call::WatchWritable)?;
        world.watch_writable(self.index, stream.0.id, token, on)
    }

    fn remove_stream(&mut self, stream: &mut SimStream) -> io::Result<()> {
        let mut world = self.world.lock();
        world.attempt(Call::Unwatch)?;
        world.unwatch_by(self.index, stream.0.id)
    }
}

impl Drop for SimPoller {
    fn drop(&mut self) {
        self.world.lock().close_poller(self.index);
    }
}

impl Wake for SimWaker {
    fn wake(&self) -> io::Result<()> {
        let mut world = self.world.lock();
        world.attempt(Call::Wake)?;
        world.wake(self.poller);
        Ok(())
    }
}

impl Listener for SimListener {
    type Stream = SimStream;

    fn accept(&self) -> io::Result<(SimStream, SocketAddr)> {
        let mut state = self.world.lock();
        state.attempt(Call::Accept)?;
        let (id, peer) = state.accept(self.id)?;
        drop(state);
        Ok((SimStream::new(self.world.clone(), id), peer))
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        let mut world = self.world.lock();
        world.attempt(Call::Address)?;
        world.listener_address(self.id)
    }

    fn probe(&self) -> io::Result<()> {
        let mut world = self.world.lock();
        world.attempt(Call::Probe)?;
        world.probe(self.id)
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let mut world = self.world.lock();
        world.close_listener(self.id);
        world.settle();
    }
}

impl SimHost {
    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.world.lock().listener_address(self.id)
    }

    /// The next connection; `WouldBlock` if there is none.
    pub fn accept(&self) -> io::Result<(SimSocket, SocketAddr)> {
        let (id, peer) = self.world.lock().take_waiting(self.id)?;
        Ok((SimSocket::new(self.world.clone(), id), peer))
    }
}

impl Drop for SimHost {
    fn drop(&mut self) {
        let mut world = self.world.lock();
        world.close_listener(self.id);
        world.settle();
    }
}

impl SimStream {
    pub(super) fn new(world: Shared, id: SocketId) -> SimStream {
        SimStream(Connection { world, id })
    }
}

impl Stream for SimStream {
    fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.attempt(Call::Address)?;
        self.0.addresses().map(|(local, _)| local)
    }

    fn peer_address(&self) -> io::Result<SocketAddr> {
        self.0.attempt(Call::Address)?;
        self.0.world.lock().peer_address(self.0.id)
    }

    fn connected(&self) -> io::Result<bool> {
        self.0.attempt(Call::Connected)?;
        self.0.world.lock().connected(self.0.id)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.0.attempt(Call::Shutdown)?;
        self.0.shutdown_write()
    }

    fn set_unsent_limit(&self, bytes: u32) -> io::Result<()> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.0.world.lock().set_unsent_limit(self.0.id, bytes)
    }

    fn set_unacknowledged_limit(&self, limit: Duration) -> io::Result<()> {
        let mut world = self.0.world.lock();
        world.set_unacknowledged_limit(self.0.id, limit)
    }
}

impl Read for SimStream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.attempt(Call::Read)?;
        self.0.read(bytes)
    }
}

impl Write for SimStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.attempt(Call::Write)?;
        self.0.write(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SimSocket {
    pub(super) fn new(world: Shared, id: SocketId) -> SimSocket {
        SimSocket(Connection { world, id })
    }

    /// True if a read would not return `WouldBlock`.
    pub fn readable(&self) -> bool {
        self.0.world.lock().readable(self.0.id)
    }

    /// True if a third of the send buffer is free, or a write would fail.
    pub fn writable(&self) -> bool {
        self.0.world.lock().writable(self.0.id)
    }

    /// This end.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.addresses().map(|(local, _)| local)
    }

    /// The server's end.
    pub fn peer_address(&self) -> io::Result<SocketAddr> {
        self.0.addresses().map(|(_, remote)| remote)
    }

    /// Ends the sending direction.
    pub fn shutdown_write(&self) -> io::Result<()> {
        self.0.shutdown_write()
    }

    /// Closes it; the server reads what was written, then the end.
    pub fn close(self) {
        drop(self);
    }

    /// Its machine is gone without a word: whatever the server sends is lost.
    pub fn vanish(self) {
        self.0.world.lock().vanish(self.0.id);
    }

    /// Resets the connection; what was not yet sent is lost.
    pub fn reset(self) {
        let mut world = self.0.world.lock();
        world.abort(self.0.id);
        world.settle();
    }
}

impl Read for SimSocket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for SimSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Connection {
    /// Of the server's ends only: clients belong to the scenario.
    fn attempt(&self, call: Call) -> io::Result<()> {
        self.world.lock().attempt(call)
    }

    fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        self.world.lock().addresses(self.id)
    }

    fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut world = self.world.lock();
        let result = world.read(self.id, bytes);
        world.settle();
        result
    }

    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut world = self.world.lock();
        let result = world.write(self.id, slices);
        world.settle();
        result
    }

    fn shutdown_write(&self) -> io::Result<()> {
        let mut world = self.world.lock();
        let result = world.shutdown_write(self.id);
        world.settle();
        result
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut world = self.world.lock();
        world.close(self.id);
        world.settle();
    }
}
