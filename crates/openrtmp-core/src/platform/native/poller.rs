use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Interest, Poll, Waker};

use super::{NativeListener, NativeStream};
use crate::platform::{Poller, Readiness, Token, Wake};

/// Events taken from the kernel by one poll; the rest come with the next.
const EVENTS_PER_POLL: usize = 1024;

/// Names the waker among mio's events; no socket may use it.
const WAKER: mio::Token = mio::Token(usize::MAX);

/// Waits for sockets with epoll, kqueue or IOCP.
pub struct NativePoller {
    poll: Poll,
    events: Events,
    /// A wake-up dies with its waker: kept, so that whoever wakes may then drop it.
    waker: Arc<Waker>,
}

/// Interrupts a [`NativePoller`].
#[derive(Debug)]
pub struct NativeWaker(Arc<Waker>);

impl NativePoller {
    pub(super) fn new() -> io::Result<(NativePoller, NativeWaker)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let poller = NativePoller {
            poll,
            events: Events::with_capacity(EVENTS_PER_POLL),
            waker: waker.clone(),
        };
        Ok((poller, NativeWaker(waker)))
    }
}

impl Poller for NativePoller {
    type Listener = NativeListener;
    type Stream = NativeStream;

    fn poll(&mut self, timeout: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            // A signal is one more reason to return early with nothing.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        let sockets = self.events.iter().filter(|event| event.token() != WAKER);
        ready.extend(sockets.map(|event| Readiness {
            token: Token(event.token().0),
            readable: event.is_readable() || event.is_read_closed() || event.is_error(),
            writable: event.is_writable() || event.is_write_closed() || event.is_error(),
        }));
        Ok(())
    }

    fn add_listener(&mut self, listener: &mut NativeListener, token: Token) -> io::Result<()> {
        let token = checked(token)?;
        let registry = self.poll.registry();
        registry.register(&mut listener.0, token, Interest::READABLE)
    }

    fn remove_listener(&mut self, listener: &mut NativeListener) -> io::Result<()> {
        self.poll.registry().deregister(&mut listener.0)
    }

    fn add_stream(&mut self, stream: &mut NativeStream, token: Token) -> io::Result<()> {
        let token = checked(token)?;
        let registry = self.poll.registry();
        registry.register(&mut stream.0, token, Interest::READABLE)
    }

    fn watch_writable(
        &mut self,
        stream: &mut NativeStream,
        token: Token,
        on: bool,
    ) -> io::Result<()> {
        let interest = if on {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        let token = checked(token)?;
        let registry = self.poll.registry();
        registry.reregister(&mut stream.0, token, interest)
    }

    fn remove_stream(&mut self, stream: &mut NativeStream) -> io::Result<()> {
        self.poll.registry().deregister(&mut stream.0)
    }
}

impl fmt::Debug for NativePoller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("NativePoller");
        f.field("waker", &self.waker).finish_non_exhaustive()
    }
}

impl Wake for NativeWaker {
    fn wake(&self) -> io::Result<()> {
        self.0.wake()
    }
}

fn checked(token: Token) -> io::Result<mio::Token> {
    let token = mio::Token(token.0);
    if token == WAKER {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the highest token is reserved for the waker",
        ));
    }
    Ok(token)
}
