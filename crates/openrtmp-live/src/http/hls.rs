//! HLS: playlists, and the media that they name.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use http::{HeaderMap, Response, StatusCode};
use openrtmp_core::Protocol;
use openrtmp_media::hls::{Answer, BadRequest, Directives};
use openrtmp_media::mp4::TrackName;

use super::access::{self, Asking};
use super::answer::{self, Keep, status};
use super::path::{File, encoded};
use super::{App, Asked, audience, relief, waiting};
use crate::store::{Holding, Snapshot, Stream, Text, Track};

const PLAYLIST: &str = "application/vnd.apple.mpegurl";

/// What a request for a file of a run comes with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Viewer<'a> {
    pub(super) asked: &'a Asked,
    /// It came with a token.
    pub(super) is_private: bool,
}

impl Viewer<'_> {
    fn headers(&self) -> &HeaderMap {
        &self.asked.headers
    }
}

fn not_found() -> Response<Body> {
    status(
        StatusCode::NOT_FOUND,
        "there is no such thing, or no longer",
    )
}

/// The master playlist. Who asks is asked here whether it may play, unless it brings a token
/// or everybody may.
pub(super) async fn master(
    app: &Arc<App>,
    asked: &Asked,
    path: &str,
    token: Option<&str>,
) -> Result<Response<Body>, Response<Body>> {
    let config = app.server.config();
    let (stream, prefix) = match token {
        Some(token) => {
            if !app.access.opens(&app.server, token, path, Duration::ZERO) {
                return Err(forbidden());
            }
            app.audience.seen(path);
            let stream = app.directory.newest(path).ok_or_else(not_found)?;
            (stream, Some(format!("/v/{token}")))
        }
        None => {
            // Where everybody may play there is nothing to carry on.
            let asks = app.server.asks_players();
            let asking = Asking {
                protocol: Protocol::Hls,
                address: asked.address,
                is_tls: asked.peer.is_tls,
                path,
                query: &asked.query,
                headers: &asked.headers,
            };
            let granted = access::ask(&app.server, asking).await?;
            let token = asks.then(|| app.access.token(&granted, config.http.tokens.life));
            let stream = audience::stream(app, asked, &granted.stream).await?;
            (stream, token.map(|token| format!("/v/{token}")))
        }
    };
    let viewers = &config.http.viewers;
    let look = |snapshot: &Arc<Snapshot>| snapshot.master.is_some().then(|| snapshot.clone());
    let snapshot = waiting::until(&stream, &asked.peer, viewers, &app.stopping, look).await?;
    let text = snapshot.master.as_ref().ok_or_else(not_found)?;
    let (epoch, version) = (&stream.names.epoch, snapshot.version);
    let base = config.http.base_url.trim_end_matches('/');
    let is_private = prefix.is_some();
    // As it is where everything is below it: by a path that has the token already, too.
    if base.is_empty() && (token.is_some() || !is_private) {
        let tag = format!("{epoch}-{version}");
        let keep = Keep::for_seconds(1, is_private);
        return Ok(answer::text(&asked.headers, text, PLAYLIST, &tag, keep));
    }
    let path = encoded(stream.name.reveal());
    let folder = format!("{base}{}/{path}/", prefix.unwrap_or_default());
    let text = Text::new(moved(text, &folder));
    let keep = match is_private {
        true => Keep::NOT,
        false => Keep::for_seconds(1, false),
    };
    let tag = format!("{epoch}-{version}-b");
    Ok(answer::text(&asked.headers, &text, PLAYLIST, &tag, keep))
}

/// A master playlist whose URIs lead to this folder.
fn moved(master: &Text, folder: &str) -> String {
    let plain = master.plain();
    let text = String::from_utf8_lossy(&plain);
    let mut out = String::with_capacity(text.len() * 2);
    for line in text.lines() {
        match line.starts_with('#') {
            true => out.push_str(&line.replace(",URI=\"", &format!(",URI=\"{folder}"))),
            false => {
                out.push_str(folder);
                out.push_str(line);
            }
        }
        out.push('\n');
    }
    out
}

pub(super) fn forbidden() -> Response<Body> {
    let text = "this may not be played so: begin with the stream's index.m3u8";
    status(StatusCode::FORBIDDEN, text)
}

/// What belongs to one run of a stream.
pub(super) async fn file(
    app: &App,
    viewer: Viewer<'_>,
    stream: &Arc<Stream>,
    file: File,
) -> Result<Response<Body>, Response<Body>> {
    if !matches!(file, File::Playlist(_)) {
        relief::room(&app.server, &app.budget)?;
    }
    match file {
        File::Playlist(track) => playlist(app, viewer, stream, track).await,
        File::Init(track, number) => {
            let snapshot = stream.snapshot();
            let found = snapshot.track(track).and_then(|track| track.init(number));
            let bytes = found.ok_or_else(not_found)?.clone();
            let tag = format!("i{number}");
            Ok(media(viewer, stream, track, &[bytes], &tag))
        }
        File::Segment(track, msn) => {
            let look = |is: &Track| match is.segment(msn) {
                Some(kept) => Some(Some(kept.clone())),
                None if is.may_complete(msn) => None,
                None => Some(None),
            };
            let kept = find(app, viewer, stream, track, look).await?;
            let kept = kept.filter(|kept| kept.len() > 0).ok_or_else(not_found)?;
            let answer = media(viewer, stream, track, &kept.parts, &msn.to_string());
            let holding = Holding::Segment(Arc::downgrade(stream), track, msn);
            Ok(holding_on(answer, holding))
        }
        File::Part(track, msn, number) => {
            let look = |is: &Track| match is.part(msn, number) {
                Some(bytes) => Some(Some(bytes.clone())),
                None if is.may_come(msn, number) => None,
                None => Some(None),
            };
            let bytes = find(app, viewer, stream, track, look).await?;
            let bytes = bytes
                .filter(|bytes| !bytes.is_empty())
                .ok_or_else(not_found)?;
            let tag = format!("{msn}.{number}");
            let answer = media(viewer, stream, track, &[bytes], &tag);
            let holding = Holding::Segment(Arc::downgrade(stream), track, msn);
            Ok(holding_on(answer, holding))
        }
    }
}

/// Looks at a track until there is an answer; there may be none.
async fn find<T>(
    app: &App,
    viewer: Viewer<'_>,
    stream: &Arc<Stream>,
    name: TrackName,
    look: impl Fn(&Track) -> Option<Option<T>>,
) -> Result<Option<T>, Response<Body>> {
    let config = app.server.config();
    let viewers = &config.http.viewers;
    let look = |snapshot: &Arc<Snapshot>| match snapshot.track(name) {
        Some(track) => look(track),
        None => Some(None),
    };
    waiting::until(stream, &viewer.asked.peer, viewers, &app.stopping, look).await
}

fn media(
    viewer: Viewer<'_>,
    stream: &Stream,
    track: TrackName,
    pieces: &[Bytes],
    tag: &str,
) -> Response<Body> {
    let content_type = match track {
        TrackName::Video(_) => "video/mp4",
        TrackName::Audio(_) => "audio/mp4",
    };
    let tag = format!("{}-{track}-{tag}", stream.names.epoch);
    let keep = Keep::always(viewer.is_private);
    answer::media(viewer.headers(), pieces, content_type, &tag, keep)
}

/// A media playlist, as its directives want it.
async fn playlist(
    app: &App,
    viewer: Viewer<'_>,
    stream: &Arc<Stream>,
    name: TrackName,
) -> Result<Response<Body>, Response<Body>> {
    let bad = |error: BadRequest| status(StatusCode::BAD_REQUEST, &error.to_string());
    let directives = Directives::parse(&viewer.asked.query).map_err(bad)?;
    let look = |snapshot: &Arc<Snapshot>| {
        let Some(track) = snapshot.track(name) else {
            return Some(Err(not_found()));
        };
        match directives.answer(&track.edge) {
            Err(error) => Some(Err(bad(error))),
            Ok(Answer::Wait) => None,
            // Nothing is listed before it can be played.
            Ok(Answer::Now) => track.playlists.is_some().then(|| Ok(snapshot.clone())),
        }
    };
    let config = app.server.config();
    let viewers = &config.http.viewers;
    let peer = &viewer.asked.peer;
    let snapshot = waiting::until(stream, peer, viewers, &app.stopping, look).await??;
    let track = snapshot.track(name).ok_or_else(not_found)?;
    let playlists = track.playlists.as_ref().ok_or_else(not_found)?;
    let target = snapshot.target.map_or(1, |target| target.as_secs());
    // Who did not say which state it wants gets the newest, which is another soon.
    let is_named = directives.msn.is_some();
    let seconds = match is_named || snapshot.has_ended {
        true => target * 6,
        false => (target / 2).max(1),
    };
    let (text, form) = match directives.skip {
        true => (&playlists.delta, "d"),
        false => (&playlists.full, "f"),
    };
    let tag = format!("{}-{name}-{}{form}", stream.names.epoch, snapshot.version);
    let keep = Keep::for_seconds(seconds, viewer.is_private);
    let answer = answer::text(viewer.headers(), text, PLAYLIST, &tag, keep);
    let holding = Holding::Playlist(Arc::downgrade(stream), snapshot.version);
    Ok(holding_on(answer, holding))
}

/// An answer that keeps something from being freed.
fn holding_on(mut answer: Response<Body>, holding: Holding) -> Response<Body> {
    answer.extensions_mut().insert(holding);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_playlist_can_lead_elsewhere() {
        let master = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,URI=\"e/a0.m3u8\",CHANNELS=\"1\"\n\
                      #EXT-X-STREAM-INF:BANDWIDTH=1\ne/v0.m3u8\n";
        let moved = moved(&Text::new(master.to_owned()), "/v/t/live/cam/");
        assert_eq!(
            moved,
            "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,URI=\"/v/t/live/cam/e/a0.m3u8\",CHANNELS=\"1\"\n\
             #EXT-X-STREAM-INF:BANDWIDTH=1\n/v/t/live/cam/e/v0.m3u8\n"
        );
    }
}
