//! What is told of streams: which there are, and where each is played from.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use http::header::X_CONTENT_TYPE_OPTIONS;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use openrtmp_core::{HttpList, PlayGranted, PlayRequest, Protocol};
use openrtmp_media::mp4::TrackName;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::access::{self, Asking, Shown};
use super::answer::{self, Keep, State, status};
use super::path::encoded;
use super::{App, Asked, audience, entrance, relief};
use crate::store::{Holding, Media, Stream, Text};

/// Streams of which one answer tells, at most.
const LONGEST_LIST: usize = 500;
/// For so long what everybody is told is told again.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// What somebody wants to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// Which streams there are.
    All,
    /// How it is with one, and where its forms are.
    One {
        /// Of a path that begins with it.
        token: Option<String>,
        /// The stream's.
        path: String,
    },
}

impl Listed {
    /// What stands behind `/api/streams`.
    pub(super) fn of(token: Option<String>, path: &[String]) -> Option<Listed> {
        match (token, path) {
            (None, []) => Some(Listed::All),
            (Some(_), []) => None,
            (token, path) => Some(Listed::One {
                token,
                path: path.join("/"),
            }),
        }
    }
}

/// Tells it, as JSON.
pub(super) async fn answer(
    app: &Arc<App>,
    asked: &Asked,
    shown: Option<&Shown>,
    wanted: Listed,
) -> Result<Response<Body>, Response<Body>> {
    let told = match wanted {
        Listed::All => all(app, asked)?,
        Listed::One { path, .. } => {
            let told = one(app, asked, shown, &path).await?;
            Arc::new(Told::new(&told))
        }
    };
    let Told { text, tag } = &*told;
    let mut response = answer::text(&asked.headers, text, "application/json", tag, Keep::NOT);
    let no_sniff = HeaderValue::from_static("nosniff");
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, no_sniff);
    Ok(response)
}

/// What is told.
#[derive(Debug)]
struct Told {
    text: Text,
    /// What names it.
    tag: String,
}

impl Told {
    fn new(told: &Value) -> Told {
        let text = told.to_string();
        let digest = Sha256::digest(&text);
        Told {
            tag: digest[..8]
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            text: Text::new(text),
        }
    }
}

/// What everybody is told of all streams, and since when.
#[derive(Debug, Default)]
pub(super) struct Lists(Mutex<Option<(Instant, HttpList, Arc<Told>)>>);

impl Lists {
    /// The list for everybody: made once in a while, however many ask.
    fn or_made(&self, by: HttpList, make: impl FnOnce() -> Value) -> Arc<Told> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good =
            |(at, of, _): &&(Instant, HttpList, Arc<Told>)| *of == by && at.elapsed() < GOOD_FOR;
        if let Some((.., told)) = kept.as_ref().filter(is_good) {
            return told.clone();
        }
        let told = Arc::new(Told::new(&make()));
        *kept = Some((Instant::now(), by, told.clone()));
        told
    }
}

/// A list that is cut where it is too long: `more` says of how many it does not tell.
fn list(told: impl ExactSizeIterator<Item = Value>) -> Value {
    let more = told.len().saturating_sub(LONGEST_LIST);
    let streams: Vec<Value> = told.take(LONGEST_LIST).collect();
    json!({ "streams": streams, "more": more })
}

/// The streams that who asks is told of (`http.list`).
fn all(app: &App, asked: &Asked) -> Result<Arc<Told>, Response<Body>> {
    let config = app.server.config();
    let streams = || {
        let mut streams = app.directory.list();
        // A name in which a key stands, or may, is told to nobody.
        streams.retain(|stream| app.server.listed_name(&stream.name).is_some());
        streams.sort_by(|a, b| a.name.cmp(&b.name));
        streams
    };
    let untold = || status(StatusCode::NOT_FOUND, "streams are not listed (http.list)");
    let is_open = !app.server.asks_players();
    let everything = || list(streams().iter().map(|stream| told(app, stream, None)));
    let by = config.http.list;
    Ok(match by {
        HttpList::All => app.lists.or_made(by, everything),
        HttpList::Allowed if is_open => app.lists.or_made(by, everything),
        HttpList::Allowed => {
            let streams = streams();
            let names: Vec<_> = streams.iter().map(|it| it.name.clone()).collect();
            let mut request = PlayRequest::new(Protocol::Hls, asked.address);
            request.query = asked.query.clone();
            let granted = app.server.playable(&request, &names);
            let wrong = |_| status(StatusCode::FORBIDDEN, "the key is not valid");
            let granted = granted.map_err(wrong)?;
            let from = asked.address.ip();
            let mut granted = granted.iter().peekable();
            let mut opened = Vec::new();
            for stream in &streams {
                if let Some(granted) = granted.next_if(|granted| granted.stream == stream.name) {
                    opened.push((stream, granted));
                }
            }
            let described = |(stream, granted): &(&Arc<Stream>, &PlayGranted)| {
                told(
                    app,
                    stream,
                    Some(&app.access.token(&app.server, granted, from)),
                )
            };
            Arc::new(Told::new(&list(opened.iter().map(described))))
        }
        _ => return Err(untold()),
    })
}

/// One stream, whether it is there or not. Who asks is asked here whether it may play, unless
/// it shows a token or everybody may.
async fn one(
    app: &Arc<App>,
    asked: &Asked,
    shown: Option<&Shown>,
    path: &str,
) -> Result<Value, Response<Body>> {
    let from = asked.address.ip();
    let admitted = app
        .access
        .admit(&app.server, shown, path, from, Duration::ZERO)?;
    let (path, token, name) = match admitted {
        Some(admitted) => {
            let token = admitted.is_in_path.then(|| admitted.token.to_owned());
            (path.to_owned(), token, None)
        }
        None if !app.server.asks_players() => (path.to_owned(), None, None),
        None => {
            let asking = Asking {
                protocol: Protocol::Hls,
                address: asked.address,
                is_tls: asked.peer.is_tls,
                path,
                query: &asked.query,
                headers: &asked.headers,
            };
            let granted = access::ask(&app.server, asking).await?;
            let token = app.access.token(&app.server, &granted, from);
            let wanted = audience::want(app, &granted.stream, asked.address);
            let stream = granted.stream;
            // Of one that is there it is told all the same.
            if let Err(full) = wanted
                && app.directory.newest(stream.reveal()).is_none()
            {
                return Err(full.refuse(app));
            }
            let name = stream.shown().to_owned();
            (stream.reveal().to_owned(), Some(token), Some(name))
        }
    };
    if let Some(stream) = app.directory.newest(&path) {
        return Ok(told(app, &stream, token.as_deref()));
    }
    let mut told = places(&path, token.as_deref());
    told["name"] = Value::from(name.unwrap_or(path));
    told["live"] = Value::from(false);
    told["playable"] = Value::from(false);
    Ok(told)
}

/// A stream that is there.
fn told(app: &App, stream: &Stream, token: Option<&str>) -> Value {
    let snapshot = stream.snapshot();
    let has = |is_it: fn(TrackName) -> bool| snapshot.tracks.iter().any(|it| is_it(it.name));
    let mut told = places(stream.name.reveal(), token);
    let name = app.server.listed_name(&stream.name);
    told["name"] = Value::from(name.unwrap_or(stream.name.shown()));
    told["live"] = Value::from(!snapshot.has_ended);
    told["playable"] = Value::from(snapshot.master.is_some());
    told["video"] = Value::from(has(TrackName::is_video));
    told["audio"] = Value::from(has(|it| !it.is_video()));
    told["seconds"] = Value::from(stream.began.elapsed().unwrap_or_default().as_secs());
    // Another URL for another picture: each is fetched once. None of what MP4 has no place for.
    let is_made = |_: &u64| stream.pictures.newest().is_some();
    told["picture"] = match stream.pictures.number().filter(is_made) {
        Some(number) => {
            let folder = folder(stream.name.reveal(), token);
            Value::from(format!("{folder}/picture.mp4?{number}"))
        }
        None => Value::Null,
    };
    told
}

/// Where a stream's forms are.
fn places(path: &str, token: Option<&str>) -> Value {
    let folder = folder(path, token);
    let prefix = token.map_or(String::new(), |token| format!("/v/{token}"));
    json!({
        "page": format!("/play/{}", encoded(path)),
        "self": format!("{prefix}/api/streams/{}", encoded(path)),
        "hls": format!("{folder}/index.m3u8"),
        "dash": format!("{folder}/manifest.mpd"),
        "flv": format!("{folder}.flv"),
    })
}

fn folder(path: &str, token: Option<&str>) -> String {
    match token {
        Some(token) => format!("/v/{token}/{}", encoded(path)),
        None => format!("/{}", encoded(path)),
    }
}

/// The newest picture of a stream, as an MP4 file of one sample.
pub(super) fn picture(
    app: &App,
    asked: &Asked,
    path: &str,
    shown: Option<&Shown>,
) -> Result<Response<Body>, Response<Body>> {
    let from = asked.address.ip();
    let admitted = app
        .access
        .admit(&app.server, shown, path, from, Duration::ZERO)?;
    if admitted.is_none() && app.server.asks_players() {
        return Err(entrance::forbidden());
    }
    relief::room(&app.server, &app.budget)?;
    let missing = || {
        status(
            StatusCode::NOT_FOUND,
            "there is no picture of such a stream",
        )
    };
    let stream = app.directory.newest(path).ok_or_else(missing)?;
    let picture = stream.pictures.newest().ok_or_else(missing)?;
    let tag = format!("{}-p{}", stream.names.epoch, picture.number);
    let keep = Keep::for_seconds(1, admitted.is_some());
    let headers: &HeaderMap = &asked.headers;
    let pieces = &picture.pieces;
    let media = Media::Memory(pieces.to_vec());
    let state = State { tag, since: None };
    let mut response = answer::media(headers, &media, "video/mp4", &state, keep);
    response.extensions_mut().insert(Holding::Passing);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_too_long_says_so() {
        for (count, told, more) in [
            (0, 0, 0),
            (LONGEST_LIST, LONGEST_LIST, 0),
            (LONGEST_LIST + 3, LONGEST_LIST, 3),
        ] {
            let list = list((0..count).map(Value::from));
            assert_eq!(list["streams"].as_array().unwrap().len(), told);
            assert_eq!(list["more"], more);
        }
    }

    #[test]
    fn what_everybody_is_told_is_made_once_in_a_while() {
        let lists = Lists::default();
        let first = lists.or_made(HttpList::All, || json!(1));
        let again = lists.or_made(HttpList::All, || json!(2));
        assert_eq!(again.text.plain(), first.text.plain());
        // What was set meanwhile holds at once.
        let other = lists.or_made(HttpList::Allowed, || json!(3));
        assert_ne!(other.tag, first.tag);
    }
}
