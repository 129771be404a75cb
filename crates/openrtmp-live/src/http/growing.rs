//! Segments that are sent as they come: what there is of one at once, and each part of it as
//! soon as it is there.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use futures_util::stream::unfold;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use openrtmp_media::mp4::TrackName;
use tokio::sync::watch;

use super::App;
use super::answer::Keep;
use super::body::PIECE;
use super::hls::{Viewer, content_type};
use super::peer::{Kind, Parked};
use super::waiting::{self, patience};
use crate::store::{Awaiting, Holding, Snapshot, Stream, Waiting};

/// A segment that is not complete. How long it will be nobody knows, so that there is no
/// length, no range and no name of its state; it is the same for all all the same, and what
/// took it as a whole may keep it.
///
/// # Errors
/// The answer to who may not wait.
pub(super) fn answer(
    app: &App,
    viewer: Viewer<'_>,
    stream: &Arc<Stream>,
    track: TrackName,
    msn: u64,
) -> Result<(Response<Body>, Kind), Response<Body>> {
    let (parked, waiting) = waiting::park(app, stream, viewer.asked)?;
    let growing = Growing {
        news: stream.follow(),
        stopping: app.stopping.clone(),
        track,
        msn,
        sent: 0,
        rest: Bytes::new(),
        _awaiting: app.directory.bell().wait(),
        _parked: parked,
        _waiting: waiting,
    };
    let pieces = unfold(Some(growing), |growing| async {
        let mut growing = growing?;
        match growing.next().await {
            Ok(Some(piece)) => Some((Ok(piece), Some(growing))),
            Ok(None) => None,
            // Nothing follows, so that what was sent is not taken for the whole.
            Err(error) => Some((Err(error), None)),
        }
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    let keep = Keep::always(viewer.is_private);
    headers.insert(CACHE_CONTROL, keep.value());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(track)));
    let holding = Holding::Segment(Arc::downgrade(stream), track, msn);
    response.extensions_mut().insert(holding);
    Ok((response, Kind::Endless))
}

/// Somebody who takes a segment as it comes.
struct Growing {
    news: watch::Receiver<Arc<Snapshot>>,
    stopping: watch::Receiver<bool>,
    track: TrackName,
    msn: u64,
    /// Parts that are taken out of it.
    sent: usize,
    /// What of the last one is to be sent.
    rest: Bytes,
    _awaiting: Awaiting,
    _parked: Parked,
    _waiting: Waiting,
}

impl Growing {
    /// What comes next; `None` at its end.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if !self.rest.is_empty() {
                let length = self.rest.len().min(PIECE);
                return Ok(Some(self.rest.split_to(length)));
            }
            let snapshot = self.news.borrow_and_update().clone();
            let track = snapshot.track(self.track);
            let parts = track.and_then(|track| track.parts(self.msn));
            let (parts, is_complete) = parts.ok_or(io::ErrorKind::UnexpectedEof)?;
            if let Some(part) = parts.get(self.sent) {
                self.sent += 1;
                self.rest = part.clone();
                continue;
            }
            if is_complete {
                return Ok(None);
            }
            let within = patience(&snapshot);
            drop(snapshot);
            self.changed(within).await?;
        }
    }

    /// Waits for the stream to go on.
    async fn changed(&mut self, within: std::time::Duration) -> io::Result<()> {
        let gone = |_| io::Error::from(io::ErrorKind::UnexpectedEof);
        tokio::select! {
            changed = self.news.changed() => changed.map_err(gone),
            () = tokio::time::sleep(within) => Err(io::ErrorKind::TimedOut.into()),
            _ = self.stopping.wait_for(|stopping| *stopping) => {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        }
    }
}
