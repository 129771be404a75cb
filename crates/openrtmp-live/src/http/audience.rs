//! Streams that are begun because somebody wants them.
//!
//! To relays and hooks all viewers of such a stream are one player, who is there as long as
//! any of them asks for something.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use axum::body::Body;
use http::{Response, StatusCode};
use openrtmp_core::{StreamName, Visit};

use super::answer::status;
use super::{App, Asked, waiting};
use crate::store::Stream;

/// Who asks for nothing for so long plays no longer: longer than a target duration, or than
/// anything is waited for.
const GONE: Duration = Duration::from_secs(15);

/// The streams that are wanted, by their paths.
#[derive(Debug, Default)]
pub(super) struct Audience(Mutex<HashMap<String, Wanted>>);

#[derive(Debug)]
struct Wanted {
    until: Instant,
    _visit: Visit,
}

impl Audience {
    /// Somebody asks for something of a stream.
    pub(super) fn seen(&self, path: &str) {
        let mut wanted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wanted) = wanted.get_mut(path) {
            wanted.until = Instant::now() + GONE;
        }
    }

    /// What is over by now is let go; when the next of these is to be looked at.
    fn ended(&self, path: &str) -> Option<Instant> {
        let mut wanted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = wanted.get(path)?.until;
        if until > Instant::now() {
            return Some(until);
        }
        let over = wanted.remove(path);
        // It tells the server, which may have much to do for it.
        drop((wanted, over));
        None
    }
}

/// The newest run of a stream that goes on. One that is not there is waited for, as players
/// over RTMP do, if wanting it may begin it.
///
/// # Errors
/// The answer to who asked.
pub(super) async fn stream(
    app: &Arc<App>,
    asked: &Asked,
    name: &StreamName,
) -> Result<Arc<Stream>, Response<Body>> {
    let path = name.reveal();
    let look = || app.directory.newest(path);
    let goes_on = |stream: &Arc<Stream>| !stream.snapshot().has_ended;
    if let Some(stream) = look().filter(goes_on) {
        want(app, name);
        return Ok(stream);
    }
    let missing = || status(StatusCode::NOT_FOUND, "there is no such stream");
    if !want(app, name) {
        return look().ok_or_else(missing);
    }
    let limits = &app.server.config().http.viewers;
    let _parked = asked.peer.park(limits.waiting).ok_or_else(|| {
        let text = "too many requests of this connection wait";
        status(StatusCode::SERVICE_UNAVAILABLE, text)
    })?;
    let mut begun = app.directory.follow();
    let wait = async {
        loop {
            begun.mark_unchanged();
            if let Some(stream) = look().filter(goes_on) {
                return Some(stream);
            }
            begun.changed().await.ok()?;
        }
    };
    let mut stopping = app.stopping.clone();
    tokio::select! {
        found = wait => found.ok_or_else(missing),
        () = tokio::time::sleep(waiting::LONGEST) => look().ok_or_else(missing),
        _ = stopping.wait_for(|stopping| *stopping) => Err(missing()),
    }
}

/// Wants a stream from now on, if that may begin it, or keeps it going.
pub(super) fn want(app: &Arc<App>, name: &StreamName) -> bool {
    let path = name.reveal();
    let mut wanted = app
        .audience
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(wanted) = wanted.get_mut(path) {
        wanted.until = Instant::now() + GONE;
        return true;
    }
    let Some(visit) = app.server.visit(name) else {
        return false;
    };
    let until = Instant::now() + GONE;
    let of = Wanted {
        until,
        _visit: visit,
    };
    wanted.insert(path.to_owned(), of);
    drop(wanted);
    tokio::spawn(leave(Arc::downgrade(app), path.to_owned(), until));
    true
}

/// Waits until nobody wants a stream any longer.
async fn leave(app: Weak<App>, path: String, mut until: Instant) {
    loop {
        tokio::time::sleep_until(until.into()).await;
        match app.upgrade().and_then(|app| app.audience.ended(&path)) {
            Some(later) => until = later,
            None => return,
        }
    }
}
