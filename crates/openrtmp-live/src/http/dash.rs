//! DASH: manifests. The media that they name is what HLS delivers, and segments are sent
//! before they are complete where a manifest says so ([`growing`](super::growing)).

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use http::Response;
use openrtmp_core::Protocol;

use super::access::Shown;
use super::answer::{self, Keep};
use super::hls::Viewer;
use super::{App, Asked, entrance, waiting};
use crate::store::{Manifest, Snapshot, Stream};

const MANIFEST: &str = "application/dash+xml";
/// A manifest is kept for so many seconds.
const FRESH: u64 = 1;

/// The manifest where players begin. Who asks is asked here whether it may play, as at the
/// master playlist of HLS.
pub(super) async fn entry(
    app: &Arc<App>,
    asked: &Asked,
    path: &str,
    shown: Option<&Shown>,
) -> Result<Response<Body>, Response<Body>> {
    let entered = entrance::enter(app, asked, Protocol::Dash, path, shown).await?;
    let stream = &entered.stream;
    let manifest = newest(app, asked, stream, entered.deadline).await?;
    let (epoch, version) = (&stream.names.epoch, manifest.version);
    let (headers, keep) = (&asked.headers, entered.keep);
    Ok(match &entered.folder {
        None => {
            let tag = format!("{epoch}-m{version}");
            answer::text(headers, &manifest.text, MANIFEST, &tag, keep)
        }
        Some(folder) => {
            let (text, tag) = (manifest.leading_to(folder), format!("{epoch}-m{version}-b"));
            answer::text(headers, &text, MANIFEST, &tag, keep)
        }
    })
}

/// The manifest of a run, which players read again.
pub(super) async fn of_run(
    app: &App,
    viewer: Viewer<'_>,
    stream: &Arc<Stream>,
) -> Result<Response<Body>, Response<Body>> {
    let manifest = newest(app, viewer.asked, stream, waiting::deadline()).await?;
    let tag = format!("{}-m{}", stream.names.epoch, manifest.version);
    let keep = Keep::for_seconds(FRESH, viewer.is_private);
    let headers = &viewer.asked.headers;
    Ok(answer::text(headers, &manifest.text, MANIFEST, &tag, keep))
}

/// The newest manifest, once there is one.
async fn newest(
    app: &App,
    asked: &Asked,
    stream: &Arc<Stream>,
    deadline: Instant,
) -> Result<Arc<Manifest>, Response<Body>> {
    let look = |snapshot: &Arc<Snapshot>| snapshot.manifest.clone();
    waiting::until(app, stream, asked, deadline, look).await
}
