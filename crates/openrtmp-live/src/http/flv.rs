//! FLV over HTTP and over WebSockets, each tag made once for all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Request};
use futures_util::SinkExt;
use futures_util::stream::unfold;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};
use openrtmp_core::Protocol;
use tokio::sync::watch;

use super::access::{self, Asking, Right, Shown};
use super::answer::status;
use super::cors::{self, Opener};
use super::peer::{InProgress, Kind, Peer};
use super::{App, Asked, audience, relief, waiting};
use crate::store::ring::{Cursor, Taken};
use crate::store::{Awaiting, Holding, Stream};

/// Who takes nothing for so long, with something there, is cut off.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// A WebSocket is asked so often whether it is there.
const PING: Duration = Duration::from_secs(20);
/// Whether somebody still may play is looked at so often.
const LOOK: Duration = Duration::from_secs(1);
/// Bytes of a message over a WebSocket, but for a single tag that is longer.
const BATCH: usize = 256 << 10;
/// Bytes that a viewer may send in a message.
const MOST_SAID: usize = 1 << 10;

/// Among the parameters of the URL: nothing but frames, their headers and metadata is wanted. There
/// are players to which the other messages of Enhanced RTMP are errors.
const PLAIN: &str = "plain=1";

/// A stream as FLV, from its newest key frame on. Everybody who comes is asked about.
pub(super) async fn answer(
    app: &Arc<App>,
    asked: Asked,
    path: &str,
    shown: Option<&Shown>,
    request: Request,
) -> Result<(Response<Body>, Kind), Response<Body>> {
    let is_socket = cors::is_socket(&asked.headers);
    let opener = || {
        let config = app.server.config();
        cors::opener(&config.http.cors, &asked.headers, asked.peer.is_tls)
    };
    if is_socket && opener() == Opener::Refused {
        let refusal = "pages of that site may not (http.cors.origins)";
        return Err(status(StatusCode::FORBIDDEN, refusal));
    }
    relief::room(&app.server, &app.budget)?;
    let missing = || status(StatusCode::NOT_FOUND, "there is no such stream");
    let deadline = waiting::deadline();
    let from = asked.address.ip();
    let admitted = app
        .access
        .admit(&app.server, shown, path, from, Duration::ZERO)?;
    let (stream, right) = match admitted {
        Some(admitted) => {
            app.audience.seen(path);
            let stream = app.directory.newest(path).ok_or_else(missing)?;
            (stream, Right::Token(admitted.token.to_owned(), from))
        }
        None => {
            let asking = Asking {
                protocol: Protocol::Flv,
                address: asked.address,
                is_tls: asked.peer.is_tls,
                path,
                query: &asked.query,
                headers: &asked.headers,
            };
            let granted = access::ask(&app.server, asking).await?;
            let right = app.access.right(&granted);
            let stream = audience::stream(app, &asked, &granted.stream, deadline).await?;
            (stream, right)
        }
    };
    // One that was begun for somebody may come to nothing.
    let mut news = stream.ring.follow();
    let comes = async { news.wait_for(|next| *next > 0).await.is_ok().then_some(()) };
    let comes = waiting::parked(app, &asked, deadline, comes).await?;
    if stream.snapshot().has_ended || comes.is_none() {
        return Err(missing());
    }
    let is_plain = asked.query.split('&').any(|it| it == PLAIN);
    let following = Following {
        news,
        stream,
        cursor: match is_plain {
            true => Cursor::plain(),
            false => Cursor::default(),
        },
        stopping: app.stopping.clone(),
        app: app.clone(),
        right,
        from: asked.address,
        looked: Instant::now(),
        _awaiting: app.directory.bell().wait(),
    };
    if is_socket {
        let (mut parts, _) = request.into_parts();
        let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
        let upgrade = upgrade.map_err(|error| {
            status(
                error.status(),
                "a WebSocket is opened with GET and version 13 over HTTP/1.1",
            )
        })?;
        let progress = asked.peer.request();
        let peer = asked.peer.clone();
        let upgrade = upgrade
            .max_message_size(MOST_SAID)
            .max_frame_size(MOST_SAID);
        let response = upgrade.on_upgrade(move |socket| async move {
            tokio::select! {
                () = speak(socket, following, peer.clone(), progress) => {}
                () = peer.is_cut_off() => {}
            }
        });
        return Ok((response, Kind::Whole));
    }
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("video/x-flv"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if request.method() == Method::HEAD {
        // Nothing, but of a length that nobody knows.
        let nothing = futures_util::stream::empty::<Result<Bytes, std::convert::Infallible>>();
        *response.body_mut() = Body::from_stream(nothing);
        return Ok((response, Kind::Endless));
    }
    let tags = unfold(following, |mut following| async move {
        let bytes = following.next().await?;
        Some((Ok::<Bytes, std::convert::Infallible>(bytes), following))
    });
    *response.body_mut() = Body::from_stream(tags);
    response.extensions_mut().insert(Holding::Passing);
    Ok((response, Kind::Endless))
}

/// Somebody who follows a stream.
struct Following {
    stream: Arc<Stream>,
    cursor: Cursor,
    news: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    app: Arc<App>,
    right: Right,
    /// Where it is.
    from: SocketAddr,
    /// When it was last looked at whether that still holds.
    looked: Instant,
    _awaiting: Awaiting,
}

impl Following {
    /// Whether it may go on: keys are revoked, and tokens end.
    fn may_go_on(&mut self) -> bool {
        if self.looked.elapsed() < LOOK {
            return true;
        }
        self.looked = Instant::now();
        let (app, name) = (&self.app, &self.stream.name);
        // It plays on, whether or not the stream would be begun for it.
        let _ = audience::want(app, name, self.from);
        app.access.holds(&app.server, &self.right, name.reveal())
    }

    /// What comes next; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if !self.may_go_on() {
                return None;
            }
            self.news.mark_unchanged();
            match self.stream.ring.take(&mut self.cursor) {
                Taken::Bytes(bytes) => return Some(bytes),
                Taken::End => return None,
                Taken::Nothing => {}
            }
            tokio::select! {
                changed = self.news.changed() => changed.ok()?,
                // Also while nothing comes.
                () = tokio::time::sleep(LOOK) => {}
                _ = self.stopping.wait_for(|stopping| *stopping) => return None,
            }
        }
    }

    /// What comes next and is there already, up to a bound.
    async fn batch(&mut self) -> Option<Bytes> {
        let first = self.next().await?;
        let mut all: Option<Vec<u8>> = None;
        let mut length = first.len();
        while length < BATCH {
            let Taken::Bytes(bytes) = self.stream.ring.take(&mut self.cursor) else {
                break;
            };
            length += bytes.len();
            all.get_or_insert_with(|| first.to_vec())
                .extend_from_slice(&bytes);
        }
        let budget = &self.app.budget;
        Some(all.map_or(first, |all| budget.counted(all.into(), length)))
    }
}

/// Sends a stream over a WebSocket until one of the two ends.
async fn speak(
    mut socket: WebSocket,
    mut following: Following,
    peer: Arc<Peer>,
    _progress: InProgress,
) {
    let mut ping = tokio::time::interval_at(tokio::time::Instant::now() + PING, PING);
    let mut is_heard = true;
    loop {
        let message = tokio::select! {
            bytes = following.batch() => match bytes {
                Some(bytes) => Message::Binary(bytes),
                None => break,
            },
            said = socket.recv() => match said {
                // What viewers say is of no use, but that they are there.
                Some(Ok(message)) if !matches!(message, Message::Close(_)) => {
                    is_heard = true;
                    // The answer to a ping is taken before more is heard: else answers would
                    // pile up while the stream has nothing to send.
                    let taken = tokio::time::timeout(PATIENCE, socket.flush()).await;
                    if !matches!(taken, Ok(Ok(()))) {
                        return;
                    }
                    continue;
                }
                _ => return,
            },
            _ = ping.tick() => {
                if !std::mem::replace(&mut is_heard, false) {
                    return;
                }
                Message::Ping(Bytes::new())
            }
        };
        let _under_way = peer.under_way(None, Some(Holding::Passing));
        let sent = tokio::time::timeout(PATIENCE, socket.send(message)).await;
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
    // Whoever does not hear of the end sees it.
    let _ = tokio::time::timeout(PATIENCE, socket.send(Message::Close(None))).await;
}
