//! A connection whose reading and writing is looked at.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::heads::Heads;
use super::peer::Peer;

/// Who said all that he may is not heard for so long. HTTP/2 gives out requests when there is
/// nothing more to read, and as many as there may be can have come at once: meanwhile they are
/// told from what nobody has to say. As long as some are given out in that time, which takes
/// longer on a busy machine, others are waited for.
const PAUSE: Duration = Duration::from_millis(50);

/// Bytes of a viewer's connection, of which the viewer's [`Peer`] is told.
pub(super) struct Noted<T> {
    io: T,
    peer: Arc<Peer>,
    heads: Heads,
    /// Nothing is read until then, with so many bytes of heads of which no request had come.
    pause: Option<(i64, Pin<Box<Sleep>>)>,
}

impl<T> Noted<T> {
    pub(super) fn new(io: T, peer: Arc<Peer>) -> Noted<T> {
        Noted {
            io,
            peer,
            heads: Heads::new(),
            pause: None,
        }
    }

    /// Waits until more may be said, for a moment.
    fn poll_allowed(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let allowance = &self.peer.allowance;
            if allowance.has_left() {
                self.pause = None;
                return Poll::Ready(Ok(()));
            }
            let heads = allowance.heads();
            let is_new = self.pause.is_none();
            let begin = || (heads, Box::pin(tokio::time::sleep(PAUSE)));
            let (before, pause) = self.pause.get_or_insert_with(begin);
            ready!(pause.as_mut().poll(context));
            if is_new {
                // This thread had no turn for so long, and no request is given out before this
                // returns.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if heads >= *before {
                let error = io::Error::other("it says more than anybody has to");
                return Poll::Ready(Err(error));
            }
            self.pause = None;
        }
    }

    fn note(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.peer.wrote(polled.is_ready());
        if let Poll::Ready(Ok(length)) = polled {
            self.peer.allowance.took(length);
        }
        polled
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Noted<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_allowed(context))?;
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(context, buffer);
        let said = &buffer.filled()[before..];
        let heads = self.heads.among(said);
        self.peer.allowance.said(said.len(), heads);
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Noted<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(context, bytes);
        self.note(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(context);
        if polled.is_pending() {
            self.peer.wrote(false);
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(context, pieces);
        self.note(polled)
    }
}
