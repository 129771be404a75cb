//! Connections that the machine makes: how they come about, or do not.
//!
//! An attempt sends one packet, which travels for the latency. Where somebody
//! listens the connection stands then, and can be accepted; the one who connects
//! learns of it another latency later.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::network::{BACKLOG, End, Opening, Side, SocketId, gone, reachable};
use super::world::{Event, World};

/// How long a system tries to connect where nothing answers: that of Linux, which
/// sends the first packet and repeats it 6 times.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(127);

/// What becomes of connections that the machine makes to an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Route {
    /// They come about where somebody listens, and are refused elsewhere.
    #[default]
    Open,
    /// They are refused whoever listens.
    Refused,
    /// No way leads there, which is known at once or after a while.
    Unreachable,
    /// Nothing answers; the system gives up after about two minutes.
    BlackHole,
    /// They come about and are reset shortly after.
    Resets,
}

/// What is fixed for addresses; chance decides for the others.
#[derive(Debug, Default)]
pub(super) struct Routes(BTreeMap<IpAddr, Route>);

impl Routes {
    pub(super) fn set(&mut self, address: IpAddr, route: Route) {
        self.0.insert(address, route);
    }
}

impl World {
    /// Begins to connect a socket of the machine.
    pub(super) fn begin_connect(&mut self, remote: SocketAddr) -> io::Result<SocketId> {
        let remote = reachable(remote);
        let source = self.source_for(remote.ip())?;
        let route = self.route(remote.ip());
        if route == Route::Unreachable && self.random.chance(0.5) {
            return Err(ErrorKind::HostUnreachable.into());
        }
        let local = SocketAddr::new(source, self.network.free_port());
        let id = self.network.new_id();
        // The peer has no end before the packet arrives there.
        let mut end = self.end(local, remote, id, Side::Server);
        end.opening = Opening::UnderWay;
        end.hold();
        self.network.ends.insert(id, end);
        self.note("connect", [id.0, route as u64]);
        let delay = self.strikes(|faults| faults.slow_connects);
        let there = self.now + delay.unwrap_or_default() + self.config.latency;
        let back = there + self.config.latency;
        let failed = |error| Event::ConnectFailed { to: id, error };
        match route {
            Route::Open | Route::Resets => {
                let resets = route == Route::Resets;
                let from = id;
                let attempt = Event::Attempt {
                    from,
                    local,
                    remote,
                    resets,
                };
                self.schedule(there, attempt);
            }
            Route::Refused => self.schedule(back, failed(ErrorKind::ConnectionRefused)),
            Route::Unreachable => self.schedule(back, failed(ErrorKind::HostUnreachable)),
            Route::BlackHole => {
                self.schedule(self.now + CONNECT_TIMEOUT, failed(ErrorKind::TimedOut));
            }
        }
        Ok(id)
    }

    pub(super) fn connected(&mut self, id: SocketId) -> io::Result<bool> {
        let end = self.network.ends.get_mut(&id).ok_or_else(gone)?;
        match &mut end.opening {
            Opening::Done => end.untold_error().map_or(Ok(true), Err),
            Opening::UnderWay => {
                self.rearm_write(id);
                Ok(false)
            }
            Opening::Failed(error) => match error.take() {
                Some(error) => Err(error.into()),
                None => Ok(false),
            },
        }
    }

    /// An attempt reaches the machine it is for.
    pub(super) fn receive_attempt(
        &mut self,
        from: SocketId,
        local: SocketAddr,
        remote: SocketAddr,
        resets: bool,
    ) {
        let listener = self.listener_for(remote).ok();
        let listener = listener.filter(|&id| self.network.backlog(id) < BACKLOG);
        let Some(listener) = listener else {
            let error = ErrorKind::ConnectionRefused;
            self.send_event(Event::ConnectFailed { to: from, error });
            return;
        };
        let side = self.network.side_of(listener);
        let peer = self.network.new_id();
        let end = self.end(remote, local, from, side);
        self.network.ends.insert(peer, end);
        self.send_event(Event::Connected { to: from, peer });
        self.arrive(listener, peer);
        if resets {
            let soon = self.now + self.config.latency + self.random.span(self.config.latency * 4);
            for to in [from, peer] {
                let error = ErrorKind::ConnectionReset;
                self.schedule(soon, Event::Reset { to, error });
            }
        }
    }

    pub(super) fn receive_connected(&mut self, to: SocketId, peer: SocketId) {
        self.note("connected", [to.0, peer.0]);
        match self.network.ends.get_mut(&to) {
            Some(end) => {
                end.opening = Opening::Done;
                end.peer = peer;
                self.refresh(to);
            }
            // It gave up meanwhile.
            None => {
                let error = ErrorKind::ConnectionReset;
                self.send_event(Event::Reset { to: peer, error });
            }
        }
    }

    pub(super) fn receive_failure(&mut self, to: SocketId, error: ErrorKind) {
        self.note("not connected", [to.0, 0]);
        if let Some(end) = self.network.ends.get_mut(&to) {
            end.opening = Opening::Failed(Some(error));
            self.refresh(to);
        }
    }

    fn route(&mut self, to: IpAddr) -> Route {
        if let Some(&route) = self.network.routes.0.get(&to) {
            return route;
        }
        let faults = self.faults();
        let chances = [
            (faults.refusals, Route::Refused),
            (faults.unreachable, Route::Unreachable),
            (faults.black_holes, Route::BlackHole),
            (faults.connect_resets, Route::Resets),
        ];
        let struck = chances
            .into_iter()
            .find(|&(chance, _)| self.random.chance(chance));
        struck.map_or(Route::Open, |(_, route)| route)
    }

    /// The machine's address that packets to another would carry. Without one of
    /// that family beyond loopback nothing leads out.
    fn source_for(&self, to: IpAddr) -> io::Result<IpAddr> {
        if self.owns(to) {
            return Ok(to);
        }
        let mut own = self.interfaces.iter().map(|own| own.address);
        own.find(|own| !own.is_loopback() && own.is_ipv4() == to.is_ipv4())
            .ok_or_else(|| ErrorKind::NetworkUnreachable.into())
    }
}

impl End {
    /// Why nothing can be read or written: it is not connected (yet).
    pub(super) fn unconnected(&mut self) -> Option<io::Error> {
        match &mut self.opening {
            Opening::Done => None,
            Opening::UnderWay => Some(ErrorKind::NotConnected.into()),
            Opening::Failed(error) => Some(error.take().unwrap_or(ErrorKind::NotConnected).into()),
        }
    }
}
