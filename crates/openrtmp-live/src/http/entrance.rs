//! Where viewers of a stream begin: whether they may is asked here, once.

use std::time::Duration;

use axum::body::Body;
use http::{Response, StatusCode};
use openrtmp_core::Protocol;

use super::access::{self, Asking};
use super::answer::{Keep, status};
use super::path::encoded;
use super::{App, Asked};

/// Somebody who may play a stream.
#[derive(Debug)]
pub(super) struct Entered {
    /// The stream's path.
    pub(super) path: String,
    /// What it asks for next is there, where names do not lead by themselves.
    pub(super) folder: Option<String>,
    /// For how long what leads there may be kept.
    pub(super) keep: Keep,
}

/// Asks whether who asks may play, unless it brings a token or everybody may.
///
/// # Errors
/// The answer to who may not.
pub(super) async fn enter(
    app: &App,
    asked: &Asked,
    protocol: Protocol,
    path: &str,
    token: Option<&str>,
) -> Result<Entered, Response<Body>> {
    let config = app.server.config();
    let (path, prefix) = match token {
        Some(token) => {
            if !app.access.opens(&app.server, token, path, Duration::ZERO) {
                return Err(forbidden());
            }
            (path.to_owned(), Some(format!("/v/{token}")))
        }
        None if !app.server.asks_players() => {
            if !app.server.takes_players() {
                let text = "the server takes nobody new";
                return Err(status(StatusCode::SERVICE_UNAVAILABLE, text));
            }
            (path.to_owned(), None)
        }
        None => {
            let asking = Asking {
                protocol,
                address: asked.address,
                is_tls: asked.peer.is_tls,
                path,
                query: &asked.query,
                headers: &asked.headers,
            };
            let granted = access::ask(&app.server, asking).await?;
            let token = app.access.token(&granted, config.http.tokens.life);
            let path = granted.stream.reveal().to_owned();
            (path, Some(format!("/v/{token}")))
        }
    };
    let base = config.http.base_url.trim_end_matches('/');
    let is_private = prefix.is_some();
    // As it is where everything is below it: by a path that has the token already, too.
    let leads = base.is_empty() && (token.is_some() || !is_private);
    let keep = match is_private && !leads {
        true => Keep::NOT,
        false => Keep::for_seconds(1, is_private),
    };
    let folder = format!("{base}{}/{}/", prefix.unwrap_or_default(), encoded(&path));
    Ok(Entered {
        path,
        folder: (!leads).then_some(folder),
        keep,
    })
}

pub(super) fn forbidden() -> Response<Body> {
    let text = "this may not be played so: begin with the stream's index.m3u8 or manifest.mpd";
    status(StatusCode::FORBIDDEN, text)
}
