//! One connection of a viewer: what it may make the server hold, and for how long.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::watch;

use super::accept::Counted;
use super::allowance::Allowance;
use crate::store::Holding;

/// Requests of one connection that begin before those of others have their turn.
const IN_A_ROW: u32 = 8;

/// A connection, as those who answer its requests see it.
#[derive(Debug)]
pub(super) struct Peer {
    /// Where it comes from.
    pub(super) address: SocketAddr,
    /// It is over TLS.
    pub(super) is_tls: bool,
    /// It is a proxy, with requests of many.
    is_proxy: bool,
    /// How many of its requests began since others had their turn.
    turn: tokio::sync::Mutex<u32>,
    /// How much it may say.
    pub(super) allowance: Allowance,
    /// Its place among those that there may be.
    _place: Counted,
    begun: Instant,
    requests: AtomicUsize,
    answered: AtomicUsize,
    waiting: AtomicUsize,
    /// When the last answer was over, in milliseconds since it began.
    idle_since: AtomicU64,
    answers: Mutex<Vec<Answer>>,
    numbers: AtomicU64,
    /// Since when the system takes no more bytes, in milliseconds; `u64::MAX` if it does.
    blocked: AtomicU64,
    /// It is to end now.
    cut: watch::Sender<bool>,
}

/// An answer of which something is not taken. Times are in milliseconds since the connection
/// began.
#[derive(Debug)]
struct Answer {
    number: u64,
    /// Since when its bytes wait to be taken; `u64::MAX`: there are none.
    since: u64,
    /// Until when they are to be.
    until: Option<u64>,
    holding: Option<Holding>,
}

/// An answer is under way as long as one of these is there.
#[derive(Debug)]
pub(super) struct UnderWay {
    peer: Arc<Peer>,
    number: u64,
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct InProgress(Arc<Peer>);

/// A request that waits for what comes.
#[derive(Debug)]
pub(super) struct Parked(Arc<Peer>);

/// How long a connection may go on as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// It is to be looked at again then.
    At(Instant),
    /// Nothing is asked for.
    Idle,
    /// An answer is not taken.
    Slow,
}

impl Peer {
    pub(super) fn new(address: SocketAddr, is_tls: bool, is_proxy: bool, place: Counted) -> Peer {
        Peer {
            address,
            is_tls,
            is_proxy,
            turn: tokio::sync::Mutex::default(),
            allowance: Allowance::new(),
            _place: place,
            begun: Instant::now(),
            requests: AtomicUsize::new(0),
            answered: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            answers: Mutex::default(),
            numbers: AtomicU64::new(0),
            blocked: AtomicU64::new(u64::MAX),
            cut: watch::Sender::new(false),
        }
    }

    /// A request came.
    pub(super) fn request(self: &Arc<Peer>) -> InProgress {
        self.requests.fetch_add(1, Ordering::Relaxed);
        InProgress(self.clone())
    }

    /// Waits until a request may begin: one after the other, and after a few in a row those of
    /// other connections do, so that who asks for hundreds of things at once has others wait
    /// for a few of them and not for all.
    pub(super) async fn turn(&self) {
        if self.is_proxy {
            return;
        }
        let mut in_a_row = self.turn.lock().await;
        *in_a_row += 1;
        if *in_a_row >= IN_A_ROW {
            *in_a_row = 0;
            tokio::task::yield_now().await;
        }
    }

    /// One waits, if there are fewer than this.
    pub(super) fn park(self: &Arc<Peer>, most: usize) -> Option<Parked> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= most {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Parked(self.clone()))
    }

    /// What is to become of the connection: one that asks for nothing ends after a while,
    /// the first time sooner, as does one of which the system takes nothing for `stalled`.
    pub(super) fn due(&self, first: Duration, idle: Duration, stalled: Duration) -> Due {
        let now = Instant::now();
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let slowest = answers.iter().filter_map(|answer| answer.until).min();
        drop(answers);
        // What hyper holds is no answer any more, and still to be taken.
        let blocked = match self.blocked.load(Ordering::Relaxed) {
            u64::MAX => None,
            since => Some(since + stalled.as_millis() as u64),
        };
        let slowest = slowest.into_iter().chain(blocked).min();
        let at = |millis: u64| self.begun + Duration::from_millis(millis);
        if let Some(slowest) = slowest.map(at)
            && slowest <= now
        {
            return Due::Slow;
        }
        let patience = match self.answered.load(Ordering::Relaxed) {
            0 => first,
            _ => idle,
        };
        let is_idle = self.requests.load(Ordering::Relaxed) == 0;
        let ends = at(self.idle_since.load(Ordering::Relaxed)) + patience;
        match is_idle {
            true if ends <= now => Due::Idle,
            true => Due::At(ends),
            // An answer may begin with a time to be taken in.
            false => Due::At(slowest.map(at).unwrap_or(now + first).min(now + first)),
        }
    }

    /// A body that is to be taken within this time from when something of it is ready, as it
    /// is from the beginning; `None`: whenever. `holding`: what it keeps from being freed.
    pub(super) fn watched(
        self: &Arc<Peer>,
        body: Body,
        within: Option<Duration>,
        progress: InProgress,
        kind: Kind,
        holding: Option<Holding>,
    ) -> Body {
        Body::new(Watched {
            body,
            // In a window of HTTP/2 without room nobody would look for it.
            under_way: self.under_way(within, holding),
            within,
            kind,
            _progress: progress,
        })
    }

    /// An answer begins that is to be taken within this time.
    pub(super) fn under_way(
        self: &Arc<Peer>,
        within: Option<Duration>,
        holding: Option<Holding>,
    ) -> Arc<UnderWay> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let answer = Answer {
            number,
            since: self.millis(Duration::ZERO),
            until: within.map(|within| self.millis(within)),
            holding,
        };
        self.change(|answers| answers.push(answer));
        Arc::new(UnderWay {
            peer: self.clone(),
            number,
        })
    }

    /// Since when it does not take what nobody else needs any more, if it holds such.
    pub(super) fn holds_outlived(&self) -> Option<Instant> {
        // One that was cut off is on its way.
        if *self.cut.borrow() {
            return None;
        }
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.millis(Duration::ZERO);
        let is_outlived = |answer: &&Answer| {
            let age = Duration::from_millis(now.saturating_sub(answer.since));
            let holding = answer.holding.as_ref();
            holding.is_some_and(|holding| holding.is_outlived(age))
        };
        let first = answers.iter().filter(is_outlived).map(|it| it.since).min();
        first.map(|since| self.begun + Duration::from_millis(since))
    }

    /// Ends the connection, whatever is under way.
    pub(super) fn cut_off(&self) {
        self.cut.send_replace(true);
    }

    /// Waits until that is done.
    pub(super) async fn is_cut_off(&self) {
        // It cannot fail: the sender is here.
        let _ = self.cut.subscribe().wait_for(|is_cut| *is_cut).await;
    }

    /// Bytes were written, or could not be.
    pub(super) fn wrote(&self, has_room: bool) {
        match has_room {
            true => self.blocked.store(u64::MAX, Ordering::Relaxed),
            false => {
                let now = self.millis(Duration::ZERO);
                // Since the first of them.
                let _ = self.blocked.compare_exchange(
                    u64::MAX,
                    now,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
            }
        }
    }

    fn millis(&self, within: Duration) -> u64 {
        (self.begun.elapsed() + within).as_millis() as u64
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Answer>)) {
        change(&mut self.answers.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let peer = &self.0;
        peer.answered.fetch_add(1, Ordering::Relaxed);
        peer.idle_since
            .store(peer.millis(Duration::ZERO), Ordering::Relaxed);
        peer.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What an answer's time is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its beginning: it has an end.
    Whole,
    /// The last of it that was taken while more was there.
    Endless,
}

/// A body whose progress is looked at. What it has given is under way until it is let go,
/// wherever it waits.
struct Watched {
    body: Body,
    under_way: Arc<UnderWay>,
    within: Option<Duration>,
    kind: Kind,
    _progress: InProgress,
}

/// Bytes of an answer.
struct Given {
    bytes: Bytes,
    _of: Arc<UnderWay>,
}

impl AsRef<[u8]> for Given {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl UnderWay {
    /// Something of it is ready, to be taken within this time; or nothing is.
    fn is_ready(&self, within: Option<Duration>) {
        let peer = &self.peer;
        let now = peer.millis(Duration::ZERO);
        peer.change(|answers| {
            if let Some(answer) = answers.iter_mut().find(|it| it.number == self.number) {
                // What is not there yet holds nothing.
                answer.since = within.map_or(u64::MAX, |_| now);
                answer.until = within.map(|within| peer.millis(within));
            }
        });
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if self.kind == Kind::Endless {
            let within = self.within.filter(|_| polled.is_ready());
            self.under_way.is_ready(within);
        }
        polled.map_ok(|frame| {
            frame.map_data(|bytes| {
                let of = self.under_way.clone();
                Bytes::from_owner(Given { bytes, _of: of })
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let number = self.number;
        self.peer
            .change(|answers| answers.retain(|answer| answer.number != number));
    }
}
