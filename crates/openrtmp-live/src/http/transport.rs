//! Transport streams over HLS, for players that know nothing newer.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use http::{Response, StatusCode};
use openrtmp_core::Protocol;

use super::access::Shown;
use super::answer::{self, Keep, State, status};
use super::hls::{PLAYLIST, Viewer, moved, not_found, patiently};
use super::{App, Asked, entrance, waiting};
use crate::store::{Holding, Snapshot, Stream, Text, Transport};

const SEGMENT: &str = "video/mp2t";
/// From the folder of the playlist where players begin to the stream's.
const ABOVE: &str = "../";

/// The master playlist. Who asks is asked here whether it may play.
pub(super) async fn master(
    app: &Arc<App>,
    asked: &Asked,
    path: &str,
    shown: Option<&Shown>,
) -> Result<Response<Body>, Response<Body>> {
    let entered = entrance::enter(app, asked, Protocol::Hls, path, shown).await?;
    let stream = &entered.stream;
    let transport = newest(app, asked, stream, entered.deadline).await?;
    let folder = entered.folder.as_deref().unwrap_or(ABOVE);
    let text = Text::new(moved(&transport.master, folder));
    let tag = format!("{}-s{}", stream.names.epoch, transport.version);
    let headers = &asked.headers;
    Ok(answer::text(headers, &text, PLAYLIST, &tag, entered.keep))
}

/// The media playlist.
pub(super) async fn playlist(
    app: &App,
    viewer: Viewer<'_>,
    stream: &Arc<Stream>,
) -> Result<Response<Body>, Response<Body>> {
    let transport = newest(app, viewer.asked, stream, waiting::deadline()).await?;
    let target = stream.snapshot().target;
    let seconds = target.map_or(1, |target| (target.as_secs() / 2).max(1));
    let tag = format!("{}-t{}", stream.names.epoch, transport.version);
    let keep = Keep::for_seconds(seconds, viewer.is_private);
    let (headers, text) = (&viewer.asked.headers, &transport.playlist);
    Ok(answer::text(headers, text, PLAYLIST, &tag, keep))
}

/// A segment, made when it is asked for first.
pub(super) async fn segment(
    app: &App,
    viewer: Viewer<'_>,
    stream: &Arc<Stream>,
    msn: u64,
) -> Result<Response<Body>, Response<Body>> {
    let (snapshot, of) = (stream.snapshot(), stream.clone());
    let budget = app.budget.clone();
    let file = snapshot.file_of(msn);
    let wall = snapshot.transported_wall(msn).unwrap_or_default();
    let made = move || {
        let made = of.transported.segment(&snapshot, msn, &budget);
        made.transpose()
    };
    // It takes milliseconds, in which others are not to wait.
    let made = match file {
        Some(stored) => patiently(stored.apart(move |_| made())).await?,
        None => {
            let made = tokio::task::spawn_blocking(made).await;
            made.ok().and_then(Result::ok).flatten()
        }
    };
    let bytes = made.ok_or_else(not_found)?;
    let bytes = bytes.map_err(|error| status(StatusCode::NOT_FOUND, &error.to_string()))?;
    let state = State::since(format!("{}-t-{msn}", stream.names.epoch), wall);
    let keep = Keep::always(viewer.is_private);
    let headers = &viewer.asked.headers;
    let mut response = answer::media(headers, &bytes.into(), SEGMENT, &state, keep);
    response.extensions_mut().insert(Holding::Passing);
    Ok(response)
}

/// The newest state, once there is one.
async fn newest(
    app: &App,
    asked: &Asked,
    stream: &Arc<Stream>,
    deadline: Instant,
) -> Result<Arc<Transport>, Response<Body>> {
    let look = |snapshot: &Arc<Snapshot>| match &snapshot.transport {
        Some(transport) => Some(Some(transport.clone())),
        // It can be played, but not so.
        None => snapshot.master.is_some().then_some(None),
    };
    let found = waiting::until(app, stream, asked, deadline, look).await?;
    let none = || {
        let text = "MPEG-TS has no place for its pictures, or its sound";
        status(StatusCode::NOT_FOUND, text)
    };
    found.ok_or_else(none)
}
