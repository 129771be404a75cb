//! Listening sockets: bound, watched, accepted from, bound again.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use openrtmp_protocol::Time;

use super::context::Context;
use super::timers::Timer;
use crate::events::Event;
use crate::log_limit::Cause;
use crate::platform::{Listener, Platform, Poller, Token};

/// Tokens of listeners; connections use their slot.
const FIRST_TOKEN: usize = usize::MAX / 2;

/// Connections accepted in one turn, so that a flood of them does not keep the
/// worker from those it has.
const ACCEPTS_PER_TURN: usize = 256;

/// A listening socket and the address to bind again if it has to.
pub(crate) struct Listening<L> {
    listener: L,
    pub(crate) address: SocketAddr,
    /// The setting: its port may be 0.
    asked: SocketAddr,
    token: usize,
    /// Accepting failed: nothing is tried before then.
    paused_until: Option<Time>,
}

impl<L: Listener> Listening<L> {
    pub(crate) fn bind<P: Platform<Listener = L>>(
        platform: &P,
        asked: SocketAddr,
    ) -> io::Result<Listening<L>> {
        let listener = platform.listen(asked)?;
        let address = listener.local_address()?;
        Ok(Listening {
            listener,
            address,
            asked,
            token: 0,
            paused_until: None,
        })
    }

    fn is_of(&self, wanted: SocketAddr) -> bool {
        self.asked == wanted || self.address == wanted
    }
}

/// What a listener was asked for, and what it had.
struct Place {
    asked: SocketAddr,
    address: SocketAddr,
}

/// The listeners, on worker 0.
pub(super) struct Listeners<L> {
    list: Vec<Listening<L>>,
    /// Tokens given so far: none is used twice, so that a late report finds nobody.
    tokens: usize,
    /// Connections that may still be accepted in this turn.
    left: usize,
    /// More connections wait than one turn accepts.
    has_more: bool,
}

impl<L> Default for Listeners<L> {
    fn default() -> Listeners<L> {
        Listeners {
            list: Vec::new(),
            tokens: 0,
            left: 0,
            has_more: false,
        }
    }
}

impl<L: Listener> Listeners<L> {
    /// True for the token of a listener, present or past.
    pub(super) fn is_listener(token: Token) -> bool {
        token.0 >= FIRST_TOKEN
    }

    /// Connections wait that no readiness will report.
    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }

    /// Takes over a bound listener.
    pub(super) fn add<P: Platform<Listener = L>>(
        &mut self,
        context: &mut Context<P>,
        mut listening: Listening<L>,
    ) -> io::Result<()> {
        self.watch(context, &mut listening)?;
        self.list.push(listening);
        Ok(())
    }

    fn watch<P: Platform<Listener = L>>(
        &mut self,
        context: &mut Context<P>,
        listening: &mut Listening<L>,
    ) -> io::Result<()> {
        listening.token = FIRST_TOKEN + self.tokens;
        self.tokens += 1;
        let token = Token(listening.token);
        context.poller.add_listener(&mut listening.listener, token)
    }

    /// Closes all of them.
    pub(super) fn close<P: Platform<Listener = L>>(&mut self, context: &mut Context<P>) {
        self.release_all(context);
    }

    fn release_all<P: Platform<Listener = L>>(&mut self, context: &mut Context<P>) -> Vec<Place> {
        let list = std::mem::take(&mut self.list);
        list.into_iter().map(|l| release(context, l)).collect()
    }

    /// After a restart: the same addresses, on the same ports.
    pub(super) fn rebind<P: Platform<Listener = L>>(&mut self, context: &mut Context<P>) {
        let released = self.release_all(context);
        self.listen_again(context, released);
    }

    fn listen_again<P: Platform<Listener = L>>(
        &mut self,
        context: &mut Context<P>,
        released: Vec<Place>,
    ) {
        for Place { asked, address } in released {
            let again = Listening::bind(&*context.platform, address)
                .and_then(|l| self.add(context, Listening { asked, ..l }));
            if let Err(e) = again {
                log::error!(address:% = address; "could not listen again: {e}");
                context.emit(Event::AcceptFailed {
                    error: format!("{address}: {e}"),
                });
            }
        }
    }

    /// Listens on these addresses from now on, and tells the real ones; or, if one
    /// cannot be had, on the same as before, and tells which.
    ///
    /// What waits on the sockets that go is to be accepted before.
    pub(super) fn listen_on<P: Platform<Listener = L>>(
        &mut self,
        context: &mut Context<P>,
        wanted: &[SocketAddr],
    ) -> Result<Vec<SocketAddr>, (SocketAddr, io::Error)> {
        let mut old = std::mem::take(&mut self.list);
        let mut kept = |&address: &SocketAddr| {
            let index = old.iter().position(|l| l.is_of(address))?;
            Some(old.remove(index))
        };
        let mut next: Vec<_> = wanted.iter().map(|a| (*a, kept(a))).collect();
        let new = next.iter().filter(|(_, listening)| listening.is_none());
        let ports: Vec<u16> = new.map(|(address, _)| address.port()).collect();
        // One address may stand in the way of another on the same port.
        let (in_the_way, rest): (Vec<_>, Vec<_>) = old
            .into_iter()
            .partition(|l| ports.contains(&l.address.port()));
        let released = in_the_way.into_iter().map(|l| release(context, l));
        let released: Vec<_> = released.collect();

        let mut failure = None;
        let mut added = Vec::new();
        for (place, (address, listening)) in next.iter_mut().enumerate() {
            if listening.is_some() || failure.is_some() {
                continue;
            }
            let bound = Listening::bind(&*context.platform, *address)
                .and_then(|mut bound| self.watch(context, &mut bound).map(|()| bound));
            match bound {
                Ok(bound) => *listening = Some(bound),
                Err(e) => failure = Some((*address, e)),
            }
            added.push(place);
        }
        if let Some(failure) = failure {
            for place in added {
                if let Some(bound) = next[place].1.take() {
                    release(context, bound);
                }
            }
            self.list = next
                .into_iter()
                .filter_map(|(_, l)| l)
                .chain(rest)
                .collect();
            self.listen_again(context, released);
            return Err(failure);
        }
        for listening in rest {
            release(context, listening);
        }
        self.list = next.into_iter().filter_map(|(_, l)| l).collect();
        Ok(self.list.iter().map(|l| l.address).collect())
    }

    /// The pauses after failures that are over, are.
    pub(super) fn resume(&mut self, now: Time) {
        for listening in &mut self.list {
            listening.paused_until = listening.paused_until.filter(|&until| until > now);
        }
    }

    /// To be called before a turn's first [`Listeners::accept`].
    pub(super) fn begin_accepting(&mut self) {
        self.left = ACCEPTS_PER_TURN;
        self.has_more = false;
    }

    /// The next connection that waits, on any of them.
    pub(super) fn accept<P: Platform<Listener = L>>(
        &mut self,
        context: &mut Context<P>,
    ) -> Option<(L::Stream, SocketAddr)> {
        let retry = context.config.limits.accept_retry;
        for listening in &mut self.list {
            while listening.paused_until.is_none() {
                if self.left == 0 {
                    self.has_more = true;
                    return None;
                }
                match listening.listener.accept() {
                    Ok(accepted) => {
                        self.left -= 1;
                        return Some(accepted);
                    }
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                    Err(e) if gave_up_while_waiting(&e) => self.left -= 1,
                    Err(e) => {
                        report_failure(context, &e, retry);
                        let until = context.now + retry;
                        listening.paused_until = Some(until);
                        context.timers.set(until, Timer::Accept);
                    }
                }
            }
        }
        None
    }
}

fn release<P: Platform>(context: &mut Context<P>, mut listening: Listening<P::Listener>) -> Place {
    let _ = context.poller.remove_listener(&mut listening.listener);
    Place {
        asked: listening.asked,
        address: listening.address,
    }
}

fn report_failure<P: Platform>(context: &Context<P>, error: &io::Error, retry: Duration) {
    if context.may_log(Cause::Accept, log::Level::Error) {
        log::error!("accepting failed, next try in {retry:?}: {error}");
    }
    context.emit(Event::AcceptFailed {
        error: error.to_string(),
    });
}

/// Errors of a connection that ended before it was accepted: the next one is fine.
fn gave_up_while_waiting(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
