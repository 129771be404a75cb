//! HLS: playlists, and the media that they name.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, Response, StatusCode};
use openrtmp_core::Protocol;
use openrtmp_media::hls::{Answer, BadRequest, Directives};
use openrtmp_media::mp4::TrackName;

use super::access::Shown;
use super::answer::{self, Keep, State, status};
use super::path::File;
use super::peer::Kind;
use super::{App, Asked, dash, entrance, growing, relief, transport, waiting};
use crate::store::{Holding, Kept, Media, Snapshot, Stored, Stream, Text, Track};

pub(super) const PLAYLIST: &str = "application/vnd.apple.mpegurl";
/// A disk is waited for so long before an answer begins.
const DISK: Duration = Duration::from_secs(5);

/// What a request for a file of a run comes with.
#[derive(Clone, Copy)]
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

pub(super) fn not_found() -> Response<Body> {
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
    shown: Option<&Shown>,
) -> Result<Response<Body>, Response<Body>> {
    let entered = entrance::enter(app, asked, Protocol::Hls, path, shown).await?;
    let (stream, deadline) = (&entered.stream, entered.deadline);
    let look = |snapshot: &Arc<Snapshot>| snapshot.master.clone();
    let master = waiting::until(app, stream, asked, deadline, look).await?;
    let (epoch, version, text) = (&stream.names.epoch, master.version, &master.text);
    let (headers, keep) = (&asked.headers, entered.keep);
    Ok(match &entered.folder {
        None => {
            let tag = format!("{epoch}-{version}");
            answer::text(headers, text, PLAYLIST, &tag, keep)
        }
        Some(folder) => {
            let (text, tag) = (
                Text::new(moved(text, folder)),
                format!("{epoch}-{version}-b"),
            );
            answer::text(headers, &text, PLAYLIST, &tag, keep)
        }
    })
}

/// A master playlist whose URIs lead to this folder.
pub(super) fn moved(master: &Text, folder: &str) -> String {
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

/// What belongs to one run of a stream.
pub(super) async fn file(
    app: &App,
    viewer: Viewer<'_>,
    stream: &Arc<Stream>,
    file: File,
) -> Result<(Response<Body>, Kind), Response<Body>> {
    if !file.is_listing() {
        relief::room(&app.server, &app.budget)?;
    }
    let response = match file {
        File::Playlist(track) => playlist(app, viewer, stream, track).await?,
        File::Manifest => dash::of_run(app, viewer, stream).await?,
        File::TransportPlaylist => transport::playlist(app, viewer, stream).await?,
        File::TransportSegment(msn) => transport::segment(app, viewer, stream, msn).await?,
        File::Init(track, number) => {
            let snapshot = stream.snapshot();
            let found = snapshot.track(track).and_then(|track| track.init(number));
            let bytes = found.ok_or_else(not_found)?.clone();
            let state = state(stream, track, &format!("i{number}"), stream.began());
            media(viewer, track, &bytes.into(), &state)
        }
        File::Segment(track, msn) => {
            return segment(app, viewer, stream, track, |_| Some(msn)).await;
        }
        File::SegmentAt(track, tick) => {
            return segment(app, viewer, stream, track, |is| is.msn_at(tick)).await;
        }
        File::Part(track, msn, number) => {
            let look = |is: &Track| match is.part(msn, number) {
                Some((bytes, wall)) => Some(Some((bytes.clone(), wall))),
                None if is.may_come(msn, number) => None,
                None => Some(None),
            };
            let found = find(app, viewer, stream, track, look).await?;
            let (bytes, wall) = found
                .filter(|(bytes, _)| !bytes.is_empty())
                .ok_or_else(not_found)?;
            let state = state(stream, track, &format!("{msn}.{number}"), wall);
            let answer = media(viewer, track, &bytes.into(), &state);
            let holding = Holding::Segment(Arc::downgrade(stream), track, msn);
            holding_on(answer, holding)
        }
    };
    Ok((response, Kind::Whole))
}

/// What there is of a segment.
enum Found {
    Whole(Arc<Kept>),
    /// Not all, and it is to be sent so.
    Growing(u64),
}

/// A segment, as a whole or as it comes.
async fn segment(
    app: &App,
    viewer: Viewer<'_>,
    stream: &Arc<Stream>,
    track: TrackName,
    which: impl Fn(&Track) -> Option<u64>,
) -> Result<(Response<Body>, Kind), Response<Body>> {
    let look = |is: &Track| {
        let Some(msn) = which(is) else {
            return Some(None);
        };
        match is.segment(msn) {
            Some(kept) => Some(Some(Found::Whole(kept.clone()))),
            None if stream.grows && is.has_begun(msn) => Some(Some(Found::Growing(msn))),
            None if is.may_complete(msn) => None,
            None => Some(None),
        }
    };
    match find(app, viewer, stream, track, look).await? {
        Some(Found::Whole(kept)) if kept.len() > 0 => {
            let holding = match &kept.media {
                Media::Memory(_) => Holding::Segment(Arc::downgrade(stream), track, kept.msn),
                Media::Disk(stored) => {
                    match patiently(stored.clone().apart(Stored::is_there)).await? {
                        true => Holding::Passing,
                        false => return Err(not_found()),
                    }
                }
            };
            let state = state(stream, track, &kept.msn.to_string(), kept.wall);
            let answer = media(viewer, track, &kept.media, &state);
            Ok((holding_on(answer, holding), Kind::Whole))
        }
        Some(Found::Growing(msn)) => growing::answer(app, viewer, stream, track, msn),
        _ => Err(not_found()),
    }
}

/// What a disk has to say to that, if it does in time.
pub(super) async fn patiently<T>(
    waiting: impl Future<Output = io::Result<T>>,
) -> Result<T, Response<Body>> {
    let said = tokio::time::timeout(DISK, waiting).await;
    let said = said.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    said.map_err(|error| {
        let text = format!("it cannot be read now: {}", error.kind());
        status(StatusCode::SERVICE_UNAVAILABLE, &text)
    })
}

/// Looks at a track until there is an answer; there may be none.
async fn find<T>(
    app: &App,
    viewer: Viewer<'_>,
    stream: &Arc<Stream>,
    name: TrackName,
    look: impl Fn(&Track) -> Option<Option<T>>,
) -> Result<Option<T>, Response<Body>> {
    let look = |snapshot: &Arc<Snapshot>| match snapshot.track(name) {
        Some(track) => look(track),
        None => Some(None),
    };
    waiting::until(app, stream, viewer.asked, waiting::deadline(), look).await
}

/// What names something of a track, which is of this wall time.
fn state(stream: &Stream, track: TrackName, name: &str, wall: i64) -> State {
    let tag = format!("{}-{track}-{name}", stream.names.epoch);
    State::since(tag, wall)
}

fn media(viewer: Viewer<'_>, track: TrackName, media: &Media, state: &State) -> Response<Body> {
    let keep = Keep::always(viewer.is_private);
    answer::media(viewer.headers(), media, content_type(track), state, keep)
}

pub(super) fn content_type(track: TrackName) -> &'static str {
    match track {
        TrackName::Video(_) => "video/mp4",
        TrackName::Audio(_) => "audio/mp4",
    }
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
    let deadline = waiting::deadline();
    let snapshot = waiting::until(app, stream, viewer.asked, deadline, look).await??;
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
