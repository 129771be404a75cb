//! Streams that are begun because somebody wants them.
//!
//! To relays and hooks all viewers of such a stream are one player, who is there as long as
//! any of them asks for something.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use axum::body::Body;
use http::{Response, StatusCode};
use openrtmp_core::{Limit, StreamName, Visit, counted_as};

use super::answer::status;
use super::{App, Asked, waiting};
use crate::store::{Stream, has_room};

/// Who asks for nothing for so long plays no longer: longer than a target duration, and than
/// anything is waited for.
const GONE: Duration = Duration::from_secs(15);

/// A stream that is published is there after this time, unless it is not delivered.
const COMES: Duration = Duration::from_secs(2);

/// The streams that are wanted, by their paths.
#[derive(Debug, Default)]
pub(super) struct Audience(Mutex<HashMap<String, Wanted>>);

#[derive(Debug)]
struct Wanted {
    until: Instant,
    visit: Visit,
    /// Who wanted it first.
    network: IpAddr,
}

/// No more streams are begun for who asks.
#[derive(Debug)]
pub(super) struct Full;

impl Full {
    /// The answer to who is not served for that, which is reported.
    pub(super) fn refuse(self, app: &App) -> Response<Body> {
        app.server.report_limit(Limit::ViewersWanted);
        let text = "too many streams are begun for viewers";
        status(StatusCode::SERVICE_UNAVAILABLE, text)
    }
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
/// over RTMP do, if wanting it may begin it; and for a moment if it has just been published.
///
/// # Errors
/// The answer to who asked.
pub(super) async fn stream(
    app: &Arc<App>,
    asked: &Asked,
    name: &StreamName,
    deadline: Instant,
) -> Result<Arc<Stream>, Response<Body>> {
    let path = name.reveal();
    let look = || app.directory.newest(path);
    let goes_on = |stream: &Arc<Stream>| !stream.snapshot().has_ended;
    let is_wanted = want(app, name, asked.address);
    if let Some(stream) = look().filter(goes_on) {
        return Ok(stream);
    }
    let missing = || status(StatusCode::NOT_FOUND, "there is no such stream");
    let mut deadline = deadline;
    if !is_wanted.map_err(|full| full.refuse(app))? {
        if !app.server.is_live(name) {
            return look().ok_or_else(missing);
        }
        deadline = deadline.min(Instant::now() + COMES);
    }
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
    let found = waiting::parked(app, asked, deadline, wait).await?;
    found.or_else(look).ok_or_else(missing)
}

/// Wants a stream from now on, if that may begin it, or keeps it going. False if nobody would
/// begin it.
///
/// # Errors
/// There are as many as there may be (`http.viewers.wanted`). Who needs none of them, as the
/// stream is there, is served all the same.
pub(super) fn want(app: &Arc<App>, name: &StreamName, from: SocketAddr) -> Result<bool, Full> {
    let path = name.reveal();
    let network = counted_as(from.ip());
    let mut wanted = app
        .audience
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let until = Instant::now() + GONE;
    match wanted.get_mut(path) {
        Some(wanted) if wanted.visit.goes_on() => {
            wanted.until = until;
            return Ok(true);
        }
        // It came to nothing, and is tried again.
        Some(wanted) => {
            let Some(visit) = app.server.visit(name, from) else {
                return Ok(false);
            };
            (wanted.visit, wanted.until) = (visit, until);
            return Ok(true);
        }
        None => {}
    }
    let most = app.server.config().http.viewers.wanted;
    let own = wanted.values().filter(|it| it.network == network).count();
    if !has_room(own, wanted.len(), most) {
        return Err(Full);
    }
    let Some(visit) = app.server.visit(name, from) else {
        return Ok(false);
    };
    let of = Wanted {
        until,
        visit,
        network,
    };
    wanted.insert(path.to_owned(), of);
    drop(wanted);
    tokio::spawn(leave(Arc::downgrade(app), path.to_owned(), until));
    Ok(true)
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
