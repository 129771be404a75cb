//! Requests that wait for what comes, within a time and a number.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use http::{Response, StatusCode};
use openrtmp_core::Limit;

use super::answer::status;
use super::peer::Parked;
use super::{App, Asked};
use crate::store::{Snapshot, Stream, Waiting};

/// Nothing is waited for any longer: players give up at 10 s without a byte.
pub(super) const LONGEST: Duration = Duration::from_secs(9);

/// When the last thing that a request waits for has to be there.
pub(super) fn deadline() -> Instant {
    Instant::now() + LONGEST
}

/// Three target durations (6.2.5.2 of the draft), as far as players wait.
pub(super) fn patience(snapshot: &Snapshot) -> Duration {
    snapshot
        .target
        .map_or(LONGEST, |target| (target * 3).min(LONGEST))
}

fn busy(text: &str) -> Response<Body> {
    status(StatusCode::SERVICE_UNAVAILABLE, text)
}

/// Makes room for a request that waits for a stream.
///
/// # Errors
/// The answer to who cannot.
pub(super) fn park(
    app: &App,
    stream: &Arc<Stream>,
    asked: &Asked,
) -> Result<(Parked, Waiting), Response<Body>> {
    Ok((on_connection(app, asked)?, of_stream(app, stream, asked)?))
}

fn on_connection(app: &App, asked: &Asked) -> Result<Parked, Response<Body>> {
    let most = app.server.config().http.viewers.waiting;
    let parked = asked.peer.park(most);
    parked.ok_or_else(|| {
        app.server.report_limit(Limit::ViewersWaiting);
        busy("too many requests of this connection wait")
    })
}

fn of_stream(app: &App, stream: &Arc<Stream>, asked: &Asked) -> Result<Waiting, Response<Body>> {
    let most = app.server.config().http.viewers.waiting_per_stream;
    let waiting = stream.wait(asked.address.ip(), most);
    waiting.ok_or_else(|| {
        app.server.report_limit(Limit::ViewersWaitingPerStream);
        busy("too many requests wait for this stream")
    })
}

/// Waits for something, as one of those that wait on this connection. `None`: it was not
/// there by then.
///
/// # Errors
/// The answer to who cannot wait, or no longer.
pub(super) async fn parked<T>(
    app: &App,
    asked: &Asked,
    deadline: Instant,
    wait: impl Future<Output = Option<T>>,
) -> Result<Option<T>, Response<Body>> {
    let _parked = on_connection(app, asked)?;
    let _awaiting = app.directory.bell().wait();
    let mut stopping = app.stopping.clone();
    tokio::select! {
        // What is there already is not waited for.
        biased;
        found = wait => Ok(found),
        () = tokio::time::sleep_until(deadline.into()) => Ok(None),
        _ = stopping.wait_for(|stopping| *stopping) => Err(busy("the server is stopping")),
    }
}

/// Looks at the stream until there is an answer, or until then.
///
/// # Errors
/// The answer to who cannot wait, or waited long enough.
pub(super) async fn until<T>(
    app: &App,
    stream: &Arc<Stream>,
    asked: &Asked,
    deadline: Instant,
    mut look: impl FnMut(&Arc<Snapshot>) -> Option<T>,
) -> Result<T, Response<Body>> {
    // Most find what they ask for: it costs no more than a look.
    let snapshot = stream.snapshot();
    if let Some(found) = look(&snapshot) {
        return Ok(found);
    }
    let _waiting = of_stream(app, stream, asked)?;
    let deadline = deadline.min(Instant::now() + patience(&snapshot));
    let mut snapshots = stream.follow();
    let wait = async {
        loop {
            let snapshot = snapshots.borrow_and_update().clone();
            if let Some(found) = look(&snapshot) {
                return Some(Ok(found));
            }
            drop(snapshot);
            if snapshots.changed().await.is_err() {
                return Some(Err(busy("the stream is gone")));
            }
        }
    };
    let found = parked(app, asked, deadline, wait).await?;
    found.unwrap_or_else(|| Err(busy("it did not come in time")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_target_durations_are_waited_for_but_no_longer_than_players_do() {
        for (target, seconds) in [
            (Some(1), 3),
            (Some(2), 6),
            (Some(3), 9),
            (Some(4), 9),
            (Some(12), 9),
            (None, 9),
        ] {
            let snapshot = Snapshot {
                target: target.map(Duration::from_secs),
                ..Snapshot::default()
            };
            assert_eq!(patience(&snapshot), Duration::from_secs(seconds));
        }
    }
}
