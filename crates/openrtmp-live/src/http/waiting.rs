//! Requests that wait for what comes, within a time and a number.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Response, StatusCode};
use openrtmp_core::ViewersConfig;
use tokio::sync::watch;

use super::answer::status;
use super::peer::{Parked, Peer};
use crate::store::{Snapshot, Stream, Waiting};

/// Nothing is waited for any longer: players give up at 10 s without a byte.
const LONGEST: Duration = Duration::from_secs(9);

/// Three target durations (6.2.5.2 of the draft), as far as players wait.
pub(super) fn patience(snapshot: &Snapshot) -> Duration {
    snapshot
        .target
        .map_or(LONGEST, |target| (target * 3).min(LONGEST))
}

fn busy(text: &str) -> Response<Body> {
    status(StatusCode::SERVICE_UNAVAILABLE, text)
}

/// Makes room for a request that waits.
///
/// # Errors
/// The answer to who cannot.
pub(super) fn park(
    stream: &Arc<Stream>,
    peer: &Arc<Peer>,
    limits: &ViewersConfig,
) -> Result<(Parked, Waiting), Response<Body>> {
    let parked = peer
        .park(limits.waiting)
        .ok_or_else(|| busy("too many requests of this connection wait"))?;
    let waiting = stream
        .wait(limits.waiting_per_stream)
        .ok_or_else(|| busy("too many requests wait for this stream"))?;
    Ok((parked, waiting))
}

/// Looks at the stream until there is an answer.
///
/// # Errors
/// The answer to who cannot wait, or waited long enough.
pub(super) async fn until<T>(
    stream: &Arc<Stream>,
    peer: &Arc<Peer>,
    limits: &ViewersConfig,
    stopping: &watch::Receiver<bool>,
    mut look: impl FnMut(&Arc<Snapshot>) -> Option<T>,
) -> Result<T, Response<Body>> {
    // Most find what they ask for: it costs no more than a look.
    let snapshot = stream.snapshot();
    if let Some(found) = look(&snapshot) {
        return Ok(found);
    }
    let _waits = park(stream, peer, limits)?;
    let mut snapshots = stream.follow();
    let mut stopping = stopping.clone();
    let wait = async {
        loop {
            let snapshot = snapshots.borrow_and_update().clone();
            if let Some(found) = look(&snapshot) {
                return Some(found);
            }
            drop(snapshot);
            if snapshots.changed().await.is_err() {
                return None;
            }
        }
    };
    tokio::select! {
        found = wait => found.ok_or_else(|| busy("the stream is gone")),
        () = tokio::time::sleep(patience(&snapshot)) => Err(busy("it did not come in time")),
        _ = stopping.wait_for(|stopping| *stopping) => Err(busy("the server is stopping")),
    }
}
