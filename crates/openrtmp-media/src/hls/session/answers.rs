//! What is answered beside the text of playlists: states, headers, and bytes that were asked for
//! in other ways.

use std::ops::RangeInclusive;

use super::super::Directives;
use super::super::check::reaches;
use super::super::read::bare;
use super::{Followed, Kind, Session, Wrong};

impl Session {
    /// A playlist that came last was the answer to a request with this query.
    pub fn answered(&mut self, name: &str, query: &str, text: &str) {
        let Ok(directives) = Directives::parse(query) else {
            return;
        };
        if text.contains("#EXT-X-SKIP") && !directives.skip {
            self.note(Wrong::Skipped(name.to_owned()));
        }
        let listed = self.last(name);
        if let (Some(msn), Some(listed)) = (directives.msn, listed)
            && !reaches(listed, msn, directives.part)
        {
            self.note(Wrong::TooSoon(name.to_owned()));
        }
    }

    /// How long caches may keep an answer about a playlist, or about `what` of it: its
    /// `Cache-Control`.
    pub fn cached(&mut self, name: &str, what: &str, kind: Kind, control: Option<&str>) {
        let Some(listed) = self.last(name) else {
            return;
        };
        let target = listed.target.unwrap_or(1).max(1);
        let seconds = control.and_then(freshness);
        let wrong = match (kind, seconds) {
            // It is another state by then.
            (Kind::Newest, Some(most)) if listed.has_ended || most <= (target / 2).max(1) => None,
            (Kind::Newest, Some(_)) => Some("too long for what is new soon"),
            // Caches guess then (RFC 9111, 4.2.2).
            (Kind::Newest | Kind::Refused, None) => Some("no time is told"),
            (Kind::Refused, Some(most)) if most <= 4 * target => None,
            (Kind::Refused, Some(_)) => Some("too long for what may be there soon"),
            // Each viewer would ask the server itself.
            (Kind::Named | Kind::Media, Some(most)) if most >= target => None,
            (Kind::Named | Kind::Media, _) => Some("too short for what stays as it is"),
        };
        if let Some(wrong) = wrong {
            let said = control.map_or("no Cache-Control".to_owned(), str::to_owned);
            self.note(Wrong::Cached(what.to_owned(), said, wrong));
        }
    }

    /// Something that was to be there was not.
    pub fn status(&mut self, name: &str, status: u16) {
        let name = name.to_owned();
        self.note(match status {
            300..400 => Wrong::Redirected(name),
            _ => Wrong::Status(name, status),
        });
    }

    /// What a playlist is said to be, and how it is sent to who takes gzip.
    pub fn sent(&mut self, name: &str, content_type: &str, is_compressed: bool) {
        // Parameters do not matter.
        let kind = content_type.split(';').next().unwrap_or("").trim();
        let kind = kind.to_ascii_lowercase();
        if !matches!(&*kind, "application/vnd.apple.mpegurl" | "audio/mpegurl") {
            self.note(Wrong::ContentType(name.to_owned(), kind));
        }
        if !is_compressed {
            self.note(Wrong::Plain(name.to_owned()));
        }
    }

    /// Directives that are to be answered with a status were answered with another.
    pub fn directives(&mut self, name: &str, directives: &str, status: u16, due: u16) {
        if status != due {
            let (name, directives) = (name.to_owned(), directives.to_owned());
            self.note(Wrong::Directives(name, directives, status, due));
        }
    }

    /// Whether pages of other sites may read a playlist (`None`), or what it names, of which
    /// this is told: by `Access-Control-Allow-Origin` in the answer to one of them.
    pub fn open(&mut self, name: &str, media: Option<&str>, is_open: bool) {
        let followed = self.followed(name);
        match media {
            None => followed.is_open = is_open,
            Some(what) if followed.is_open && !is_open => {
                self.note(Wrong::Closed(what.to_owned()));
            }
            Some(_) => {}
        }
    }

    /// Media that a hint names were refused: what is announced is to come (6.2.6). It may be
    /// that it never does; what is listed later had to.
    pub fn unhinted(&mut self, name: &str, uri: &str, status: u16) {
        let refused = &mut self.followed(name).refused;
        refused.push((uri.to_owned(), status));
    }

    /// Media that came, asked for with HEAD: the length that is told is theirs (RFC 9110, 8.6).
    pub fn told_length(&mut self, name: &str, uri: &str, length: Option<u64>) {
        let known = self.bytes(name, uri).map(|bytes| bytes.len() as u64);
        if let (Some(length), Some(known)) = (length, known)
            && length != known
        {
            let what = format!("{name}: {}", bare(uri));
            self.note(Wrong::Bytes(what, "HEAD tells another length"));
        }
    }

    /// Some bytes of media that came, of those that were asked for: a server may send all
    /// (RFC 9110, 14.2), or those alone and tell so.
    pub fn piece(
        &mut self,
        name: &str,
        uri: &str,
        asked: RangeInclusive<usize>,
        content_range: Option<&str>,
        bytes: &[u8],
    ) {
        let Some(whole) = self.bytes(name, uri) else {
            return;
        };
        let (first, last) = asked.into_inner();
        let last = last.min(whole.len().saturating_sub(1));
        let wrong = match content_range {
            None if bytes == whole => None,
            None => Some("some bytes come without Content-Range"),
            Some(told) if told != format!("bytes {first}-{last}/{}", whole.len()) => {
                Some("Content-Range is not what was asked for")
            }
            Some(_) if whole.get(first..=last) != Some(bytes) => {
                Some("bytes that are asked for alone are others")
            }
            Some(_) => None,
        };
        if let Some(wrong) = wrong {
            self.note(Wrong::Bytes(format!("{name}: {}", bare(uri)), wrong));
        }
    }

    fn bytes(&self, name: &str, uri: &str) -> Option<&[u8]> {
        let media = self.playlists.get(name)?.media.get(uri)?;
        Some(media.as_slice())
    }
}

impl Followed {
    /// What was refused to who asked for it by a hint, and is listed now.
    pub(super) fn refused_and_listed(&self) -> impl Iterator<Item = (&str, u16)> {
        let segments = self.checker.last().map_or(&[][..], |it| &it.segments);
        let is_listed = |uri: &str| {
            let mut parts = segments.iter().flat_map(|segment| &segment.parts);
            parts.any(|part| part.uri == uri && !part.is_gap)
        };
        let refused = self.refused.iter();
        let refused = refused.map(|(uri, status)| (uri.as_str(), *status));
        refused.filter(move |(uri, _)| is_listed(uri))
    }
}

/// Seconds for which an answer may be kept by its `Cache-Control`, where that tells it.
fn freshness(control: &str) -> Option<u64> {
    let directives = control.split(',').map(str::trim);
    let forbids = |it: &str| matches!(it, "no-store" | "no-cache");
    if directives.clone().any(forbids) {
        return Some(0);
    }
    // What is for shared caches holds for these before all.
    let find = |name: &str| {
        let mut values = directives.clone().filter_map(|it| it.strip_prefix(name));
        values.next().and_then(|value| value.parse().ok())
    };
    find("s-maxage=").or_else(|| find("max-age="))
}
