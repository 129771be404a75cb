//! Where viewers of a stream begin: whether they may is asked here, once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use http::{Response, StatusCode};
use openrtmp_core::Protocol;

use super::access::{self, Asking, Shown};
use super::answer::{Keep, status};
use super::hls::not_found;
use super::path::encoded;
use super::{App, Asked, audience, waiting};
use crate::store::Stream;

/// Somebody who may play a stream that is there.
pub(super) struct Entered {
    pub(super) stream: Arc<Stream>,
    /// What it asks for next is there, where names do not lead by themselves.
    pub(super) folder: Option<String>,
    /// For how long what leads there may be kept.
    pub(super) keep: Keep,
    /// It waits no longer.
    pub(super) deadline: Instant,
}

/// Asks whether who asks may play, unless it brings a token or everybody may, and for the
/// stream, which may begin for it.
///
/// # Errors
/// The answer to who may not, or who wants what is not there.
pub(super) async fn enter(
    app: &Arc<App>,
    asked: &Asked,
    protocol: Protocol,
    path: &str,
    shown: Option<&Shown>,
) -> Result<Entered, Response<Body>> {
    let config = app.server.config();
    let deadline = waiting::deadline();
    let from = asked.address.ip();
    let admitted = app
        .access
        .admit(&app.server, shown, path, from, Duration::ZERO)?;
    let (stream, token) = match admitted {
        Some(admitted) => {
            app.audience.seen(path);
            let stream = app.directory.newest(path).ok_or_else(not_found)?;
            (stream, Some(admitted.token.to_owned()))
        }
        None => {
            // Where everybody may play there is nothing to carry on.
            let asks = app.server.asks_players();
            let asking = Asking {
                protocol,
                address: asked.address,
                is_tls: asked.peer.is_tls,
                path,
                query: &asked.query,
                headers: &asked.headers,
            };
            let granted = access::ask(&app.server, asking).await?;
            let token = asks.then(|| app.access.token(&app.server, &granted, from));
            let stream = audience::stream(app, asked, &granted.stream, deadline).await?;
            (stream, token)
        }
    };
    let base = config.http.base_url.trim_end_matches('/');
    let is_private = token.is_some();
    let leads = match admitted {
        // It comes with each request to this server, and with none to another.
        Some(admitted) if !admitted.is_in_path => true,
        // As it is where everything is below it: by who shows a token already, too.
        _ => base.is_empty() && (admitted.is_some() || !is_private),
    };
    let keep = match is_private && !leads {
        true => Keep::NOT,
        false => Keep::for_seconds(1, is_private),
    };
    let path = encoded(stream.name.reveal());
    let prefix = token.map_or_else(String::new, |token| format!("/v/{token}"));
    let folder = format!("{base}{prefix}/{path}/");
    Ok(Entered {
        stream,
        folder: (!leads).then_some(folder),
        keep,
        deadline,
    })
}

pub(super) fn forbidden() -> Response<Body> {
    let text = "this may not be played so: begin with the stream's index.m3u8 or manifest.mpd";
    status(StatusCode::FORBIDDEN, text)
}
