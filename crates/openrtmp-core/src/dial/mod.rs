//! Connecting to a host that has several addresses.
//!
//! [`Race`] says which address to try when; [`Dial`] moves it with a platform's
//! sockets inside an event loop. Both are moved by whoever owns the poller and have
//! no deadline of their own: the owner has one, for the look-up and everything that
//! follows, and gives up with [`Dial::abandon`].

mod race;

use std::fmt;
use std::io;
use std::net::SocketAddr;

use openrtmp_protocol::Time;

use crate::platform::{Platform, Poller, Stream, Token};
use race::{Race, Step};

pub(crate) use race::MAX_ATTEMPTS;

/// Why no address of a host took the connection: each one's error, in the order in
/// which they came.
#[derive(Debug, Default)]
pub struct ConnectFailures(Vec<(SocketAddr, io::Error)>);

impl ConnectFailures {
    /// The addresses tried, each with its error.
    pub fn attempts(&self) -> &[(SocketAddr, io::Error)] {
        &self.0
    }

    fn push(&mut self, address: SocketAddr, error: io::Error) {
        self.0.push((address, error));
    }
}

impl fmt::Display for ConnectFailures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("there is no address");
        }
        for (n, (address, error)) in self.0.iter().enumerate() {
            let separator = if n > 0 { "; " } else { "" };
            write!(f, "{separator}{address}: {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConnectFailures {}

/// How far it has come.
#[derive(Debug)]
pub(crate) enum Progress<S> {
    /// Nothing to do before an attempt is reported, or before this time.
    Wait(Option<Time>),
    /// This stream, which no poller watches, is connected; the others are closed.
    Connected(S, SocketAddr),
    /// No address is left; [`Dial::abandon`] says why.
    Failed,
}

/// The attempts under way.
pub(crate) struct Dial<P: Platform> {
    race: Race,
    slots: [Option<(SocketAddr, P::Stream)>; MAX_ATTEMPTS],
}

impl<P: Platform> Dial<P> {
    /// Addresses in the resolver's order.
    pub(crate) fn new(addresses: Vec<SocketAddr>, now: Time) -> Dial<P> {
        Dial {
            race: Race::new(addresses, now),
            slots: std::array::from_fn(|_| None),
        }
    }

    /// Takes in how attempts ended and begins others. To be called once at first,
    /// then when a token of one is reported or the time of [`Progress::Wait`] has
    /// come. `token` names the attempts, from 0 below [`MAX_ATTEMPTS`]; the caller
    /// keeps those tokens free until this is over.
    pub(crate) fn advance(
        &mut self,
        platform: &P,
        poller: &mut P::Poller,
        token: impl Fn(usize) -> Token,
    ) -> Progress<P::Stream> {
        if let Some((address, stream)) = self.harvest(poller) {
            self.close_all(poller);
            return Progress::Connected(stream, address);
        }
        loop {
            match self.race.poll(platform.now()) {
                Step::Start(address) => {
                    if let Err(error) = self.start(address, platform, poller, &token) {
                        self.race.on_failed(address, error);
                    }
                }
                Step::Wait(until) => return Progress::Wait(until),
                Step::Failed => return Progress::Failed,
            }
        }
    }

    /// Closes what is under way, as timed out, and tells what went wrong.
    pub(crate) fn abandon(mut self, poller: &mut P::Poller) -> ConnectFailures {
        for (address, _) in self.close_all(poller) {
            let error = io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
            self.race.on_failed(address, error);
        }
        self.race.into_failures()
    }

    /// The first attempt that has succeeded. Those that failed are told to the race.
    fn harvest(&mut self, poller: &mut P::Poller) -> Option<(SocketAddr, P::Stream)> {
        for slot in &mut self.slots {
            let Some((address, stream)) = slot else {
                continue;
            };
            let connected = match stream.connected() {
                Ok(false) => continue,
                Ok(true) => poller.remove_stream(stream),
                Err(error) => {
                    unwatch::<P>(poller, stream);
                    Err(error)
                }
            };
            let address = *address;
            let stream = slot.take().map(|(_, stream)| stream);
            match connected {
                Ok(()) => {
                    self.race.on_connected(address);
                    return stream.map(|stream| (address, stream));
                }
                Err(error) => self.race.on_failed(address, error),
            }
        }
        None
    }

    fn start(
        &mut self,
        address: SocketAddr,
        platform: &P,
        poller: &mut P::Poller,
        token: &impl Fn(usize) -> Token,
    ) -> io::Result<()> {
        let free = self.slots.iter().position(Option::is_none);
        let free = free.ok_or(io::ErrorKind::QuotaExceeded)?;
        let mut stream = platform.connect(address)?;
        poller.add_stream(&mut stream, token(free))?;
        if let Err(error) = poller.watch_writable(&mut stream, token(free), true) {
            unwatch::<P>(poller, &mut stream);
            return Err(error);
        }
        self.slots[free] = Some((address, stream));
        Ok(())
    }

    fn close_all(&mut self, poller: &mut P::Poller) -> Vec<(SocketAddr, P::Stream)> {
        let mut open: Vec<_> = self.slots.iter_mut().filter_map(Option::take).collect();
        for (_, stream) in &mut open {
            unwatch::<P>(poller, stream);
        }
        open
    }
}

/// The stream is closed next, which ends the watching too.
fn unwatch<P: Platform>(poller: &mut P::Poller, stream: &mut P::Stream) {
    if let Err(error) = poller.remove_stream(stream) {
        log::debug!(error:%; "could not stop watching an attempt to connect");
    }
}

#[cfg(test)]
mod tests;
