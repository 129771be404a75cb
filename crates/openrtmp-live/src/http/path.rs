//! What the path of a request names.
//!
//! Names are read from the end, so that a stream's path may have any depth; what a player
//! asks for by a playlist has a form of its own, which no name of a stream takes away.

use openrtmp_media::mp4::TrackName;

use super::listed::Listed;
use super::page::Page;

/// First segments of paths that are not apps: they are, or will be, something else.
const RESERVED: [&str; 9] = [
    "play", "v", "api", "ws", "assets", "time", "metrics", "healthz", "readyz",
];
/// The folder of transport streams.
const TRANSPORT: &str = "ts";
/// Bytes of a path, at most.
const LONGEST: usize = 2048;

/// Whether a stream's path begins with a name that is not an app's here.
pub(crate) fn is_reserved(stream: &str) -> bool {
    let first = stream.split('/').next().unwrap_or("");
    RESERVED.contains(&first)
}

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// What time it is.
    Time,
    /// What people see.
    Page(Page),
    /// What is told of streams.
    Listed(Listed),
    /// Something of a stream.
    Stream {
        /// Of a path that begins with it.
        token: Option<String>,
        /// Its path.
        path: String,
        what: What,
    },
}

/// What of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The master playlist.
    Master,
    /// The master playlist of its transport stream.
    Transport,
    /// The DASH manifest.
    Manifest,
    /// All of it, as FLV.
    Flv,
    /// Its newest picture.
    Picture,
    /// What belongs to one run of it.
    Run { epoch: String, file: File },
}

/// A file of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum File {
    /// A media playlist.
    Playlist(TrackName),
    /// The DASH manifest of the run.
    Manifest,
    /// The media playlist of the transport stream.
    TransportPlaylist,
    /// A segment of that, by its sequence number.
    TransportSegment(u64),
    /// An init segment, by its number.
    Init(TrackName, u32),
    /// A segment, by its sequence number.
    Segment(TrackName, u64),
    /// The same, by the tick at which it begins.
    SegmentAt(TrackName, u64),
    /// A part of it, counted from 0.
    Part(TrackName, u64, usize),
}

impl File {
    /// It tells what there is.
    pub(super) fn is_listing(self) -> bool {
        matches!(
            self,
            File::Playlist(_) | File::Manifest | File::TransportPlaylist
        )
    }
}

/// Why a path names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoute {
    /// It is no path that anything could have.
    Bad,
    /// There is nothing of that name.
    Unknown,
}

impl Route {
    /// Reads a path as it came.
    pub(super) fn parse(path: &str) -> Result<Route, NoRoute> {
        let rest = path.strip_prefix('/').ok_or(NoRoute::Bad)?;
        if path.len() > LONGEST {
            return Err(NoRoute::Bad);
        }
        if rest.is_empty() {
            return Ok(Route::Page(Page::Streams));
        }
        let mut segments = Vec::new();
        for segment in rest.split('/') {
            segments.push(decoded(segment).ok_or(NoRoute::Bad)?);
        }
        match &segments[..] {
            [name] if name == "time" => return Ok(Route::Time),
            _ => {}
        }
        if let Some(page) = Page::of(&segments) {
            return Ok(Route::Page(page));
        }
        let token = match &segments[..] {
            [v, _, ..] if v == "v" => {
                let token = segments.remove(1);
                segments.remove(0);
                Some(token)
            }
            _ => None,
        };
        if let [api, streams, path @ ..] = &segments[..]
            && api == "api"
            && streams == "streams"
        {
            let listed = Listed::of(token, path).ok_or(NoRoute::Unknown)?;
            return Ok(Route::Listed(listed));
        }
        if segments
            .first()
            .is_none_or(|first| RESERVED.contains(&first.as_str()))
        {
            return Err(NoRoute::Unknown);
        }
        let (path, what) = of_stream(&segments).ok_or(NoRoute::Unknown)?;
        Ok(Route::Stream { token, path, what })
    }
}

/// The stream's path, and what of it.
fn of_stream(segments: &[String]) -> Option<(String, What)> {
    let (last, before) = segments.split_last()?;
    let joined = |segments: &[String]| (!segments.is_empty()).then(|| segments.join("/"));
    if last == "index.m3u8" {
        // With an app's name in front: a stream may be called so all the same.
        if let [before @ .., folder] = before
            && folder == TRANSPORT
            && before.len() > 1
        {
            return Some((joined(before)?, What::Transport));
        }
        return Some((joined(before)?, What::Master));
    }
    if last == "picture.mp4" {
        return Some((joined(before)?, What::Picture));
    }
    if last == "manifest.mpd" {
        return Some((joined(before)?, What::Manifest));
    }
    if let Some(epoch) = last.strip_suffix(".mpd") {
        let (epoch, file) = (epoch.to_owned(), File::Manifest);
        let path = joined(before).filter(|_| !epoch.is_empty())?;
        return Some((path, What::Run { epoch, file }));
    }
    let listing = match last.as_str() {
        "ts.m3u8" => Some(File::TransportPlaylist),
        _ => {
            let track = last.strip_suffix(".m3u8").and_then(TrackName::parse);
            track.map(File::Playlist)
        }
    };
    if let Some(file) = listing {
        let (epoch, before) = before.split_last()?;
        let epoch = epoch.clone();
        return Some((joined(before)?, What::Run { epoch, file }));
    }
    if let Some(name) = last.strip_suffix(".flv") {
        let mut segments = before.to_vec();
        segments.push(name.to_owned());
        let path = joined(&segments).filter(|_| !is_dots(name))?;
        return Some((path, What::Flv));
    }
    let (folder, before) = before.split_last()?;
    let (epoch, before) = before.split_last()?;
    let file = match folder == TRANSPORT {
        true => File::TransportSegment(number_of(last.strip_suffix(".ts")?)?),
        false => media(TrackName::parse(folder)?, last)?,
    };
    let epoch = epoch.clone();
    Some((joined(before)?, What::Run { epoch, file }))
}

/// `init0.mp4`, `17.m4s`, `t180000.m4s`, `17.3.m4s`.
fn media(track: TrackName, name: &str) -> Option<File> {
    if let Some(init) = name.strip_suffix(".mp4") {
        let number = init.strip_prefix("init")?;
        return Some(File::Init(track, u32::try_from(number_of(number)?).ok()?));
    }
    let name = name.strip_suffix(".m4s")?;
    if let Some(tick) = name.strip_prefix('t') {
        return Some(File::SegmentAt(track, number_of(tick)?));
    }
    Some(match name.split_once('.') {
        None => File::Segment(track, number_of(name)?),
        Some((msn, part)) => {
            let part = usize::try_from(number_of(part)?).ok()?;
            File::Part(track, number_of(msn)?, part)
        }
    })
}

/// A number written in the one way that it is written here.
fn number_of(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_short = text == "0" || !text.starts_with('0');
    (is_plain && is_short).then(|| text.parse().ok()).flatten()
}

/// A segment of a path without escapes (RFC 3986, 2.1). None for what would be another path
/// to somebody else: empty ones and those of dots, and what a slash or a control character
/// stands in.
fn decoded(segment: &str) -> Option<String> {
    let text = percent_decoded(segment)?;
    let is_wrong = |c: char| c.is_control() || c == '/' || c == '\\';
    (!is_dots(&text) && !text.contains(is_wrong)).then_some(text)
}

/// A segment that leads elsewhere, or nowhere.
fn is_dots(segment: &str) -> bool {
    matches!(segment, "" | "." | "..")
}

/// What a part of a URL stands for (RFC 3986, 2.1).
pub(super) fn percent_decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                (high * 16 + low) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A stream's path as it stands in a URL.
pub(crate) fn encoded(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte);
        match is_plain {
            true => encoded.push(char::from(byte)),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(path: &str, what: What) -> Result<Route, NoRoute> {
        Ok(Route::Stream {
            token: None,
            path: path.to_owned(),
            what,
        })
    }

    fn run(path: &str, file: File) -> Result<Route, NoRoute> {
        let epoch = "1f-0".to_owned();
        stream(path, What::Run { epoch, file })
    }

    fn listed(token: Option<&str>, path: Option<&str>) -> Result<Route, NoRoute> {
        let token = token.map(str::to_owned);
        Ok(Route::Listed(match path.map(str::to_owned) {
            Some(path) => Listed::One { token, path },
            None => Listed::All,
        }))
    }

    #[test]
    fn a_path_names_one_thing() {
        let (v0, a1) = (TrackName::Video(0), TrackName::Audio(1));
        for (path, route) in [
            ("/time", Ok(Route::Time)),
            ("/", Ok(Route::Page(Page::Streams))),
            ("/play/live/cam", Ok(Route::Page(Page::Player))),
            ("/play/a", Ok(Route::Page(Page::Player))),
            ("/api/streams", listed(None, None)),
            ("/api/streams/live/cam", listed(None, Some("live/cam"))),
            ("/v/t/api/streams/a", listed(Some("t"), Some("a"))),
            ("/live/cam/picture.mp4", stream("live/cam", What::Picture)),
            ("/live/cam/index.m3u8", stream("live/cam", What::Master)),
            ("/cam/index.m3u8", stream("cam", What::Master)),
            ("/a/b/c/index.m3u8", stream("a/b/c", What::Master)),
            (
                "/live/cam/ts/index.m3u8",
                stream("live/cam", What::Transport),
            ),
            ("/live/ts/index.m3u8", stream("live/ts", What::Master)),
            (
                "/live/cam/1f-0/ts.m3u8",
                run("live/cam", File::TransportPlaylist),
            ),
            (
                "/live/cam/1f-0/ts/17.ts",
                run("live/cam", File::TransportSegment(17)),
            ),
            ("/live/cam/manifest.mpd", stream("live/cam", What::Manifest)),
            ("/live/cam/1f-0.mpd", run("live/cam", File::Manifest)),
            (
                "/live/cam/1f-0/v0/t180000.m4s",
                run("live/cam", File::SegmentAt(v0, 180_000)),
            ),
            ("/live/cam.flv", stream("live/cam", What::Flv)),
            ("/live/c%C3%A4m.flv", stream("live/cäm", What::Flv)),
            ("/live/a%2Eb.flv", stream("live/a.b", What::Flv)),
            (
                "/live/cam/1f-0/v0.m3u8",
                run("live/cam", File::Playlist(v0)),
            ),
            (
                "/live/cam/1f-0/a1/init2.mp4",
                run("live/cam", File::Init(a1, 2)),
            ),
            (
                "/live/cam/1f-0/v0/17.m4s",
                run("live/cam", File::Segment(v0, 17)),
            ),
            (
                "/live/cam/1f-0/v0/17.3.m4s",
                run("live/cam", File::Part(v0, 17, 3)),
            ),
        ] {
            assert_eq!(Route::parse(path), route, "{path}");
        }
        let with_token = Route::parse("/v/abc.def/live/cam/index.m3u8");
        let Ok(Route::Stream { token, path, .. }) = with_token else {
            panic!("{with_token:?}");
        };
        assert_eq!(
            (token.as_deref(), path.as_str()),
            (Some("abc.def"), "live/cam")
        );
    }

    #[test]
    fn what_could_be_another_path_to_somebody_else_is_refused() {
        for path in [
            "",
            "/play/",
            "/play//cam",
            "live/cam.flv",
            "//live/cam.flv",
            "/live//cam.flv",
            "/live/../cam.flv",
            "/live/%2e%2e/cam.flv",
            "/live/.%2E/cam.flv",
            "/live/./cam.flv",
            "/live/%2e/cam.flv",
            "/live/a%2fb.flv",
            "/live/a%5cb.flv",
            "/live/a\\b.flv",
            "/live/a%00.flv",
            "/live/%0d%0a.flv",
            "/live/%7f.flv",
            "/live/%c0%ae%c0%ae/x.flv",
            "/live/%c0%af.flv",
            "/live/%e0%80%af.flv",
            "/live/%ff.flv",
            "/live/%ed%a0%80.flv",
            "/live/%.flv",
            "/live/%4.flv",
            "/live/%zz.flv",
            "/live/%+1.flv",
            "/live/cam.flv/",
        ] {
            assert_eq!(Route::parse(path), Err(NoRoute::Bad), "{path}");
        }
        let long = format!("/live/{}.flv", "x".repeat(LONGEST));
        assert_eq!(Route::parse(&long), Err(NoRoute::Bad));
    }

    #[test]
    fn what_is_nothing_is_unknown() {
        for path in [
            "/index.m3u8",
            "/.flv",
            "/live/.flv",
            "/live/..flv",
            "/live/...flv",
            "/live/cam",
            "/live/cam/x.m3u8",
            "/v0.m3u8",
            "/live/v0.m3u8",
            "/live/cam/1f-0/v0/017.m4s",
            "/live/cam/1f-0/v0/+1.m4s",
            "/live/cam/1f-0/v0/t01.m4s",
            "/live/cam/1f-0/ts/017.ts",
            "/live/cam/1f-0/ts/17.m4s",
            "/live/cam/1f-0/v0/17.ts",
            "/live/cam/1f-0/v0/t.m4s",
            "/live/cam/1f-0/v0/t1.2.m4s",
            "/manifest.mpd",
            "/1f-0.mpd",
            "/live/cam/.mpd",
            "/live/cam/1f-0/v0/1.2.3.m4s",
            "/live/cam/1f-0/v256/1.m4s",
            "/live/cam/1f-0/x0/1.m4s",
            "/live/cam/1f-0/v/1.m4s",
            "/live/cam/1f-0/v0/init.mp4",
            "/1f-0/v0/1.m4s",
            "/live/cam/1f-0/v0/99999999999999999999.m4s",
            "/play/cam.flv",
            "/v/token",
            "/v/token/api/cam.flv",
            "/metrics",
            "/api/other",
            "/api/qr/other",
            "/v/token/api/streams",
            "/v/token/play/cam",
            "/play",
            "/play/live/cam/index.m3u8",
            "/play/live/cam/manifest.mpd",
            "/assets",
            "/picture.mp4",
        ] {
            assert_eq!(Route::parse(path), Err(NoRoute::Unknown), "{path}");
        }
        assert!(is_reserved("play/cam") && is_reserved("v") && !is_reserved("live/play"));
    }

    #[test]
    fn a_name_is_written_as_it_is_read() {
        for name in ["live/cam", "live/c m", "a/ä%?#", "a/b+c"] {
            let path = format!("/{}.flv", encoded(name));
            assert_eq!(Route::parse(&path), stream(name, What::Flv), "{path}");
        }
    }
}
