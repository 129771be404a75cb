//! Listening sockets: bound, watched, accepted from, bound again.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use openrtmp_protocol::Time;

use super::context::Context;
use super::timers::Timer;
use super::work;
use crate::config::{Listen, ListenTransport};
use crate::events::Event;
use crate::log_limit::Cause;
use crate::platform::{Listener, Platform, Poller, Token, is_out_of_descriptors, listener_is_gone};
use crate::sync::lock;

/// Tokens of listeners; connections use their slot.
const FIRST_TOKEN: usize = usize::MAX / 2;

/// Connections accepted in one turn, so that a flood of them does not keep the
/// worker from those it has.
const ACCEPTS_PER_TURN: usize = (work::TURN / work::CONNECTION) as usize;

/// After a listening socket was lost and could not be had again at once: the longest
/// wait between two tries, in terms of `limits.accept_retry`, which is the first.
const LONGEST_WAIT: u32 = 32;

/// After a suspension a port is tried again so often, first after this time, then after
/// twice as long each time: 50, 100, 200, 400 and 800 ms.
const WAKING_TRIES: u32 = 5;
const FIRST_WAKING_WAIT: Duration = Duration::from_millis(50);

/// A listening socket and the address to bind again if it has to.
pub(crate) struct Listening<L> {
    /// `None` while the system does not let us have it.
    listener: Option<L>,
    pub(crate) address: SocketAddr,
    /// The setting: its port may be 0.
    asked: Listen,
    token: usize,
    /// Accepting, or binding, failed: nothing is tried before then.
    paused_until: Option<Time>,
    /// The wait that ends then.
    wait: Duration,
    /// The host was told of its loss.
    reported: bool,
    /// After a suspension: so often it is tried again before it counts as lost.
    patience: u32,
}

impl<L: Listener> Listening<L> {
    pub(crate) fn bind<P: Platform<Listener = L>>(
        platform: &P,
        asked: Listen,
    ) -> io::Result<Listening<L>> {
        let listener = platform.listen(asked.address)?;
        let address = listener.local_address()?;
        Ok(Listening {
            listener: Some(listener),
            ..Listening::lost(asked, address)
        })
    }

    /// One to be bound again at the first opportunity.
    fn lost(asked: Listen, address: SocketAddr) -> Listening<L> {
        Listening {
            listener: None,
            address,
            asked,
            token: 0,
            paused_until: None,
            wait: Duration::ZERO,
            reported: false,
            patience: 0,
        }
    }

    /// The host is told of a loss once, until the address is had again.
    fn report_loss<P: Platform>(&mut self, context: &Context<P>, error: &io::Error) {
        if !std::mem::replace(&mut self.reported, true) {
            let address = self.address;
            log::error!(address:% = address; "not listening any more: {error}");
            context.emit(Event::ListenerLost {
                address,
                error: error.to_string(),
            });
        }
    }

    fn is_of(&self, wanted: Listen) -> bool {
        self.asked == wanted
            || wanted
                == Listen {
                    address: self.address,
                    ..self.asked
                }
    }
}

/// A connection that was accepted.
pub(super) struct Accepted<S> {
    pub(super) socket: S,
    pub(super) peer: SocketAddr,
    /// What its listener's setting says carries it.
    pub(super) transport: ListenTransport,
    /// A proxy says first for whom it connects.
    pub(super) is_proxied: bool,
}

/// What a listener was asked for, and what it had.
struct Place {
    asked: Listen,
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
    /// Accepting failed, and has not worked since.
    failing: bool,
    /// The server is suspended: none is bound.
    asleep: bool,
}

impl<L> Default for Listeners<L> {
    fn default() -> Listeners<L> {
        Listeners {
            list: Vec::new(),
            tokens: 0,
            left: 0,
            has_more: false,
            failing: false,
            asleep: false,
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

    /// The poller told of connections that wait.
    pub(super) fn expect(&mut self) {
        self.has_more = true;
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
        match &mut listening.listener {
            Some(listener) => context.poller.add_listener(listener, token),
            None => Ok(()),
        }
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
            let mut listening = Listening::lost(asked, address);
            self.bind_again(context, &mut listening);
            self.list.push(listening);
        }
        self.report_lost(context);
    }

    /// Binds the address that a listener had, on the same port; or waits, longer each
    /// time, to try again.
    fn bind_again<P: Platform<Listener = L>>(
        &mut self,
        context: &mut Context<P>,
        listening: &mut Listening<L>,
    ) {
        if self.asleep {
            return;
        }
        let address = listening.address;
        let bound = context.platform.listen(address).and_then(|listener| {
            listening.listener = Some(listener);
            self.watch(context, listening)
        });
        let Err(error) = bound else {
            (listening.wait, listening.patience) = (Duration::ZERO, 0);
            if std::mem::take(&mut listening.reported) {
                log::info!(address:% = address; "listening again");
                context.emit(Event::ListenerRestored { address });
            }
            return;
        };
        listening.listener = None;
        if listening.patience > 0 {
            // Whoever has the port is expected to be gone in a moment.
            listening.wait = FIRST_WAKING_WAIT * (1 << (WAKING_TRIES - listening.patience));
            listening.patience -= 1;
            let until = context.now + listening.wait;
            listening.paused_until = Some(until);
            return context.timers.set(until, Timer::Accept);
        }
        listening.report_loss(context, &error);
        let first = context.config.limits.accept_retry;
        let longest = first * LONGEST_WAIT;
        listening.wait = (listening.wait * 2).clamp(first, longest);
        let until = context.now + listening.wait;
        listening.paused_until = Some(until);
        context.timers.set(until, Timer::Accept);
        if context.may_log(Cause::Accept, log::Level::Error) {
            let wait = listening.wait;
            log::error!(address:% = address; "could not listen again, next try in {wait:?}: {error}");
        }
    }

    /// The system has taken a listening socket: another is bound in its place.
    fn replace<P: Platform<Listener = L>>(
        &mut self,
        context: &mut Context<P>,
        index: usize,
        error: &io::Error,
    ) {
        let mut listening = self.list.swap_remove(index);
        if let Some(mut listener) = listening.listener.take() {
            let _ = context.poller.remove_listener(&mut listener);
        }
        listening.report_loss(context, error);
        self.bind_again(context, &mut listening);
        self.list.push(listening);
        self.report_lost(context);
    }

    /// Those without a socket are a reason not to be healthy.
    fn report_lost<P: Platform<Listener = L>>(&self, context: &Context<P>) {
        let lost = self.list.iter().filter(|l| l.listener.is_none());
        let lost = lost.filter(|_| !self.asleep);
        *lock(&context.shared.lost_listeners) = lost.map(|l| l.address).collect();
    }

    /// Asks the system, without traffic, whether each still listens, and binds those
    /// again that do not. Returns the addresses of those that did not.
    pub(super) fn check<P: Platform<Listener = L>>(
        &mut self,
        context: &mut Context<P>,
    ) -> Vec<SocketAddr> {
        let mut lost = Vec::new();
        if self.asleep {
            return lost;
        }
        let mut gone = Vec::new();
        for (index, listening) in self.list.iter_mut().enumerate() {
            match &listening.listener {
                Some(listener) => match listener.probe() {
                    Err(error) if listener_is_gone(&error) => gone.push((index, error)),
                    _ => continue,
                },
                // Whoever asks has reason to think that it can be had now.
                None => listening.paused_until = Some(context.now),
            }
            lost.push(listening.address);
        }
        // Binding again makes another list. From the end: one that is replaced goes there.
        for (index, error) in gone.into_iter().rev() {
            self.replace(context, index, &error);
        }
        self.resume(context);
        lost
    }

    /// Closes all, to be bound again on the same ports. Returns how many there were.
    pub(super) fn fall_asleep<P: Platform<Listener = L>>(
        &mut self,
        context: &mut Context<P>,
    ) -> usize {
        self.asleep = true;
        let open = self.counts().0;
        let released = self.release_all(context);
        self.listen_again(context, released);
        open
    }

    /// Binds all again, with some patience: a port may be taken for a moment by what the
    /// system has not cleared away yet.
    pub(super) fn wake_up<P: Platform<Listener = L>>(&mut self, context: &mut Context<P>) {
        self.asleep = false;
        let mut list = std::mem::take(&mut self.list);
        for listening in &mut list {
            listening.patience = WAKING_TRIES;
            listening.paused_until = None;
            self.bind_again(context, listening);
        }
        self.list = list;
        self.report_lost(context);
    }

    /// Some are to be tried again before they count as lost.
    pub(super) fn is_waking(&self) -> bool {
        let waits = |l: &Listening<L>| l.listener.is_none() && l.paused_until.is_some();
        self.list.iter().any(|l| waits(l) && !l.reported)
    }

    /// How many are bound, and how many are not.
    pub(super) fn counts(&self) -> (usize, usize) {
        let bound = self.list.iter().filter(|l| l.listener.is_some()).count();
        (bound, self.list.len() - bound)
    }

    /// Listens on these addresses from now on, and tells the real ones; or, if one
    /// cannot be had, on the same as before, and tells which.
    ///
    /// What waits on the sockets that go is to be accepted before.
    pub(super) fn listen_on<P: Platform<Listener = L>>(
        &mut self,
        context: &mut Context<P>,
        wanted: &[Listen],
    ) -> Result<Vec<SocketAddr>, (SocketAddr, io::Error)> {
        if self.asleep
            && let Some(listen) = wanted.first()
        {
            let error = io::Error::other("the server is suspended");
            return Err((listen.address, error));
        }
        let mut old = std::mem::take(&mut self.list);
        let mut kept = |&wanted: &Listen| {
            let index = old.iter().position(|l| l.is_of(wanted))?;
            Some(old.remove(index))
        };
        let mut next: Vec<_> = wanted.iter().map(|a| (*a, kept(a))).collect();
        let new = next.iter().filter(|(_, listening)| listening.is_none());
        let ports: Vec<u16> = new.map(|(wanted, _)| wanted.address.port()).collect();
        // One address may stand in the way of another on the same port.
        let (in_the_way, rest): (Vec<_>, Vec<_>) = old
            .into_iter()
            .partition(|l| ports.contains(&l.address.port()));
        let released = in_the_way.into_iter().map(|l| release(context, l));
        let released: Vec<_> = released.collect();

        let mut failure = None;
        let mut added = Vec::new();
        for (place, (asked, listening)) in next.iter_mut().enumerate() {
            if listening.is_some() || failure.is_some() {
                continue;
            }
            let bound = Listening::bind(&*context.platform, *asked)
                .and_then(|mut bound| self.watch(context, &mut bound).map(|()| bound));
            match bound {
                Ok(bound) => *listening = Some(bound),
                Err(e) => failure = Some((asked.address, e)),
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
        self.report_lost(context);
        Ok(self.list.iter().map(|l| l.address).collect())
    }

    /// The pauses after failures that are over, are.
    pub(super) fn resume<P: Platform<Listener = L>>(&mut self, context: &mut Context<P>) {
        let is_over = |l: &Listening<L>| l.paused_until.is_some_and(|until| until <= context.now);
        let (over, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.list)
            .into_iter()
            .partition(is_over);
        self.list = rest;
        for mut listening in over {
            listening.paused_until = None;
            if listening.listener.is_none() {
                self.bind_again(context, &mut listening);
            }
            self.list.push(listening);
        }
        self.report_lost(context);
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
    ) -> Option<Accepted<L::Stream>> {
        let mut index = 0;
        while let Some(listening) = self.list.get_mut(index) {
            let Some(listener) = &listening.listener else {
                index += 1;
                continue;
            };
            if listening.paused_until.is_some() {
                index += 1;
                continue;
            }
            if self.left == 0 {
                self.has_more = true;
                return None;
            }
            let accepted = listener.accept();
            context.totals.system_calls += 1;
            let works = match &accepted {
                Ok(_) => true,
                Err(e) => e.kind() == io::ErrorKind::WouldBlock,
            };
            if works && std::mem::take(&mut self.failing) {
                *lock(&context.shared.accept_failure) = None;
            }
            match accepted {
                Ok((socket, peer)) => {
                    self.left -= 1;
                    return Some(Accepted {
                        socket,
                        peer,
                        transport: listening.asked.transport,
                        is_proxied: listening.asked.proxy_protocol,
                    });
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => index += 1,
                Err(e) if gave_up_while_waiting(&e) => self.left -= 1,
                // The one bound in its place comes last, and is asked too.
                Err(e) if listener_is_gone(&e) => {
                    self.left -= 1;
                    self.replace(context, index, &e);
                }
                Err(e) => {
                    let retry = context.config.limits.accept_retry;
                    report_failure(context, &e, retry);
                    self.failing = true;
                    *lock(&context.shared.accept_failure) = Some(e.to_string());
                    let until = context.now + retry;
                    listening.paused_until = Some(until);
                    context.timers.set(until, Timer::Accept);
                    index += 1;
                }
            }
        }
        None
    }
}

fn release<P: Platform>(context: &mut Context<P>, mut listening: Listening<P::Listener>) -> Place {
    if let Some(listener) = &mut listening.listener {
        let _ = context.poller.remove_listener(listener);
    }
    Place {
        asked: listening.asked,
        address: listening.address,
    }
}

fn report_failure<P: Platform>(context: &Context<P>, error: &io::Error, retry: Duration) {
    if context.may_log(Cause::Accept, log::Level::Error) {
        let remedy = match is_out_of_descriptors(error) {
            true => "; allow the process more open files (ulimit -n, systemd's LimitNOFILE)",
            false => "",
        };
        log::error!("accepting failed, next try in {retry:?}: {error}{remedy}");
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
