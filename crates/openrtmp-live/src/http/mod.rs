//! What is served over HTTP, and to whom.

mod accept;
mod access;
mod allowance;
mod answer;
mod answers;
mod audience;
mod body;
mod cors;
mod dash;
mod entrance;
mod flv;
mod form;
mod growing;
mod heads;
mod hls;
#[cfg(feature = "internals")]
pub mod internals;
mod listed;
mod noted;
mod page;
mod path;
mod peer;
mod query;
mod range;
mod relief;
mod token;
mod transport;
mod waiting;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::{Router, http::Response};
use http::header::{ALLOW, CONTENT_LENGTH, HOST, ORIGIN, RANGE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use openrtmp_core::Server;
use tokio::sync::watch;

pub(crate) use accept::{Acceptor, Counts, serve};
use access::{Access, Shown};
use answer::status;
pub(crate) use answers::Answers;
use audience::Audience;
pub use form::Form;
use hls::Viewer;
use listed::{Listed, Lists};
pub(crate) use path::is_reserved;
use path::{NoRoute, Route, What};
use peer::{Kind, Peer};
pub(crate) use relief::relieve;
pub use token::Pass;
use token::Secrets;

use crate::store::{Budget, Directory, Holding};

/// What all requests are answered from.
#[derive(Debug)]
pub(crate) struct App {
    server: Arc<Server>,
    directory: Arc<Directory>,
    budget: Arc<Budget>,
    audience: Audience,
    access: Access,
    /// What everybody is told of streams.
    lists: Lists,
    answers: Arc<Answers>,
    stopping: watch::Receiver<bool>,
}

impl App {
    pub(crate) fn new(
        server: Arc<Server>,
        directory: Arc<Directory>,
        budget: Arc<Budget>,
        answers: Arc<Answers>,
        stopping: watch::Receiver<bool>,
    ) -> std::io::Result<App> {
        let secrets = Secrets::new(&server.config().http.tokens.keys)?;
        Ok(App {
            server,
            directory,
            budget,
            audience: Audience::default(),
            access: Access::new(secrets),
            lists: Lists::default(),
            answers,
            stopping,
        })
    }
}

/// Everything that is served. Other services are merged in here, under the first segments
/// of paths that are reserved for them.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new().fallback(respond).with_state(app)
}

/// A request, as far as answers depend on it.
struct Asked {
    headers: HeaderMap,
    query: String,
    peer: Arc<Peer>,
    /// Where it comes from, behind proxies.
    address: SocketAddr,
}

/// Answers a request.
async fn respond(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let Some(peer) = request.extensions().get::<Arc<Peer>>().cloned() else {
        return status(StatusCode::INTERNAL_SERVER_ERROR, "a request of nobody");
    };
    let progress = peer.request();
    peer.turn().await;
    let config = app.server.config();
    let origin = request.headers().get(ORIGIN).cloned();
    let is_head = request.method() == Method::HEAD;
    let answered = answer_to(&app, &peer, request).await;
    let (mut response, kind) = match answered {
        Ok(answered) => answered,
        Err(refusal) => (refusal, Kind::Whole),
    };
    app.answers.count(response.status());
    cors::allow(&config.http.cors, origin, response.headers_mut());
    let holding = response.extensions_mut().remove::<Holding>();
    if kind == Kind::Endless {
        if is_head {
            // Nothing, but of a length that nobody knows.
            let nothing = futures_util::stream::empty::<Result<Bytes, Infallible>>();
            return response.map(|_| Body::from_stream(nothing));
        }
        let within = flv::PATIENCE;
        return response.map(|body| peer.watched(body, Some(within), progress, kind, holding));
    }
    // Its length is told, and then there is nothing to be taken.
    let length = http_body::Body::size_hint(response.body()).exact();
    let is_empty = [
        StatusCode::SWITCHING_PROTOCOLS,
        StatusCode::NO_CONTENT,
        StatusCode::NOT_MODIFIED,
    ];
    if let Some(length) = length.filter(|_| !is_empty.contains(&response.status())) {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    if is_head {
        return response.map(|_| Body::empty());
    }
    let within = time_for(&config, length.unwrap_or(0));
    response.map(|body| peer.watched(body, Some(within), progress, kind, holding))
}

/// How long an answer of so many bytes may take.
fn time_for(config: &openrtmp_core::Config, bytes: u64) -> Duration {
    let least = Duration::from_secs(10).max(config.http.answer_timeout);
    let by_rate = match config.http.viewers.least_rate {
        0 => Duration::ZERO,
        rate => Duration::from_secs(bytes / rate),
    };
    least.max(by_rate)
}

async fn answer_to(
    app: &Arc<App>,
    peer: &Arc<Peer>,
    mut request: Request,
) -> Result<(Response<Body>, Kind), Response<Body>> {
    let whole = |response| Ok((response, Kind::Whole));
    let headers = request.headers();
    // What stands behind the head is nothing that is waited for.
    let is_empty = |length: &HeaderValue| length == "0";
    let has_body = headers.contains_key(TRANSFER_ENCODING)
        || !headers.get_all(CONTENT_LENGTH).iter().all(is_empty);
    if has_body {
        return Err(closing(status(
            StatusCode::BAD_REQUEST,
            "a body is not taken",
        )));
    }
    let address = origin(app, peer, headers);
    let route = Route::parse(request.uri().path()).map_err(|error| match error {
        NoRoute::Bad => status(StatusCode::BAD_REQUEST, "no path"),
        NoRoute::Unknown => status(StatusCode::NOT_FOUND, "there is no such thing"),
    })?;
    let (shown, of) = match &route {
        Route::Stream { token, path, .. } | Route::Listed(Listed::One { token, path }) => {
            let config = app.server.config();
            let takes_cookies = cors::takes_cookies(&config.http.cors, headers, peer.is_tls);
            let shown = Shown::of(token.clone(), headers, takes_cookies);
            (shown, path.as_str())
        }
        _ => (None, ""),
    };
    let (shown, from) = (shown.as_ref(), address.ip());
    // Others guess behind the same address; who has a token does not.
    let has_token = || {
        let admitted = app
            .access
            .admit(&app.server, shown, of, from, Duration::ZERO);
        admitted.is_ok_and(|admitted| admitted.is_some())
    };
    if app.server.is_blocked(from) && !has_token() {
        return Err(status(
            StatusCode::FORBIDDEN,
            "your address is blocked for a while",
        ));
    }
    match *request.method() {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            cors::preflight(response.headers_mut());
            return whole(response);
        }
        _ => {
            let mut refusal = status(StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD or OPTIONS");
            let allowed = HeaderValue::from_static("GET, HEAD, OPTIONS");
            refusal.headers_mut().insert(ALLOW, allowed);
            return Err(refusal);
        }
    }
    let mut headers = match &route {
        // It looks for what a WebSocket begins with.
        Route::Stream {
            what: What::Flv, ..
        } => headers.clone(),
        _ => std::mem::take(request.headers_mut()),
    };
    // HTTP/2 has the host with the path (RFC 9113, 8.3.1).
    let authority = request.uri().authority().map(|it| it.as_str());
    if let Some(Ok(host)) = authority.map(HeaderValue::from_str) {
        headers.insert(HOST, host);
    }
    // Ranges are GET's (RFC 9110, 14.2).
    if request.method() == Method::HEAD {
        headers.remove(RANGE);
    }
    let asked = Asked {
        headers,
        query: query::with_plain_key(request.uri().query().unwrap_or("")),
        peer: peer.clone(),
        address,
    };
    let (path, what) = match route {
        Route::Time => return whole(time()),
        Route::Page(wanted) => return whole(page::answer(app, &asked, &wanted)?),
        Route::Listed(wanted) => {
            return whole(listed::answer(app, &asked, shown, wanted).await?);
        }
        Route::Stream { path, what, .. } => (path, what),
    };
    match what {
        What::Master => whole(hls::master(app, &asked, &path, shown).await?),
        What::Transport => whole(transport::master(app, &asked, &path, shown).await?),
        What::Manifest => whole(dash::entry(app, &asked, &path, shown).await?),
        // In a box, or all others would take as much room while they wait.
        What::Flv => Box::pin(flv::answer(app, asked, &path, shown, request)).await,
        What::Picture => whole(listed::picture(app, &asked, &path, shown)?),
        What::Run { epoch, file } => {
            let stream = app.directory.run(&path, &epoch);
            let missing = || {
                status(
                    StatusCode::NOT_FOUND,
                    "there is no such stream, or no longer",
                )
            };
            // Playlists end with the token, what they listed a little later.
            let late = match file {
                file if file.is_listing() => Duration::ZERO,
                _ => stream.as_ref().map_or(Duration::ZERO, |stream| {
                    stream.snapshot().target.unwrap_or_default() * 3
                }),
            };
            let admitted = app.access.admit(&app.server, shown, &path, from, late)?;
            let is_private = admitted.is_some();
            if !is_private && app.server.asks_players() {
                return Err(entrance::forbidden());
            }
            app.audience.seen(&path);
            let stream = stream.ok_or_else(missing)?;
            let viewer = Viewer {
                asked: &asked,
                is_private,
            };
            hls::file(app, viewer, &stream, file).await
        }
    }
}

/// Where a request comes from. Behind a proxy that is trusted it is who that asks for, with
/// the port of its connection.
fn origin(app: &App, peer: &Peer, headers: &HeaderMap) -> SocketAddr {
    let mut address = peer.address;
    let fields = headers.get_all("x-forwarded-for").iter();
    let fields: Vec<&[u8]> = fields.map(HeaderValue::as_bytes).collect();
    if !fields.is_empty() {
        address.set_ip(app.server.origin(address.ip(), fields.into_iter()));
    }
    address
}

/// The connection ends with it.
fn closing(mut response: Response<Body>) -> Response<Body> {
    let close = HeaderValue::from_static("close");
    response
        .headers_mut()
        .insert(http::header::CONNECTION, close);
    response
}

/// The time of this server, for players that count by it (DASH-IF IOP, 4.7: `http-iso`).
fn time() -> Response<Body> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let wall = now.map_or(0, |since| since.as_millis() as i64);
    let mut response = status(StatusCode::OK, "");
    *response.body_mut() = Body::from(openrtmp_media::date(wall));
    response
}
