//! Answers that come over HTTP, told to who checks them, and kept so that they can be looked at
//! again.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use openrtmp_media::hls::session::{Kind, Master, Session, Variant};
use serde::{Deserialize, Serialize};

use super::address::{named, names};
use crate::exit::Failure;

/// Renditions that are looked at: those of a playlist are followed by a thread each.
pub(super) const VARIANTS: usize = 64;
/// What a folder of kept answers is told by.
const INDEX: &str = "session.jsonl";

/// Headers of answers that rules are about.
pub(super) const HEADERS: [&str; 6] = [
    "access-control-allow-origin",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
];
/// The site whose page asks, as servers see it.
pub(super) const ORIGIN: &str = "https://player.example";

/// In which way something is asked for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum How {
    /// As players do.
    #[default]
    Plain,
    /// By a hint, before it is listed.
    Hinted,
    /// Its headers alone, by who takes it compressed.
    Head,
    /// These bytes alone.
    Bytes { first: u64, last: u64 },
    /// With directives that are to be answered with this status.
    Tried { due: u16 },
}

/// An answer without its body.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Kept {
    /// Milliseconds since the first was asked for, when this was asked for.
    #[serde(default)]
    pub(super) asked_ms: u64,
    /// The same when it came.
    pub(super) ms: u64,
    /// The playlist's.
    pub(super) name: String,
    pub(super) status: u16,
    /// Of media that the playlist names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) uri: Option<String>,
    /// Delivery directives of the request.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) query: String,
    #[serde(default)]
    pub(super) how: How,
    /// Those of [`HEADERS`] that there were.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// Where its body is.
    #[serde(default)]
    pub(super) file: String,
}

impl Kept {
    /// Tells it to who checks it.
    pub(super) fn tell(&self, session: &mut Session, body: &[u8]) {
        match (self.how, &self.uri) {
            (How::Plain | How::Hinted, None) => self.tell_playlist(session, body),
            (How::Plain | How::Hinted, Some(uri)) => self.tell_media(session, uri, body),
            (How::Head, _) if self.status != 200 => {
                session.status(&format!("HEAD of {}", self.what()), self.status);
            }
            (How::Head, None) => {
                let is_compressed = self.header("content-encoding") == Some("gzip");
                let content_type = self.header("content-type").unwrap_or("");
                session.sent(&self.what(), content_type, is_compressed);
            }
            (How::Head, Some(uri)) => {
                let length = self.header("content-length");
                let length = length.and_then(|text| text.parse().ok());
                session.told_length(&self.name, uri, length);
            }
            (How::Bytes { .. }, None) => {}
            (How::Bytes { first, last }, Some(uri)) => match self.status {
                200 | 206 => {
                    let content_range = self.header("content-range");
                    let asked = first as usize..=last as usize;
                    session.piece(&self.name, uri, asked, content_range, body);
                }
                status => session.status(&self.what(), status),
            },
            (How::Tried { due }, _) => {
                session.directives(&self.name, &self.query, self.status, due);
                if due != 200 && self.status == due {
                    let what = format!("{}?{}", self.name, self.query);
                    session.cached(&self.name, &what, Kind::Refused, self.cache());
                }
            }
        }
    }

    fn tell_playlist(&self, session: &mut Session, body: &[u8]) {
        let what = self.what();
        if self.status != 200 {
            session.status(&what, self.status);
            return session.cached(&self.name, &what, Kind::Refused, self.cache());
        }
        let text = String::from_utf8_lossy(body);
        if let Some(master) = Master::parse(&text) {
            return session.master(&master);
        }
        let [asked, came] = [self.asked_ms, self.ms].map(Duration::from_millis);
        session.playlist(&self.name, &text, came);
        session.answered(&self.name, &self.query, &text);
        session.reports(&self.name, asked, came);
        session.open(&self.name, None, self.is_open());
        let kind = match self.is_named() {
            true => Kind::Named,
            false => Kind::Newest,
        };
        session.cached(&self.name, &what, kind, self.cache());
    }

    fn tell_media(&self, session: &mut Session, uri: &str, body: &[u8]) {
        let what = self.what();
        match self.status {
            200 => {
                session.media(&self.name, uri, body.to_vec());
                session.open(&self.name, Some(&what), self.is_open());
                session.cached(&self.name, &what, Kind::Media, self.cache());
            }
            status if self.how == How::Hinted => session.unhinted(&self.name, uri, status),
            status => {
                session.status(&what, status);
                session.cached(&self.name, &what, Kind::Refused, self.cache());
            }
        }
    }

    /// What it is called.
    fn what(&self) -> String {
        match &self.uri {
            Some(uri) => format!("{}: {}", self.name, named(uri)),
            None if self.is_named() => format!("{} with directives", self.name),
            None => self.name.clone(),
        }
    }

    /// A state of the playlist was named.
    fn is_named(&self) -> bool {
        self.query.contains("_HLS_msn=")
    }

    /// Pages of other sites may read it.
    fn is_open(&self) -> bool {
        let allowed = self.header("access-control-allow-origin");
        allowed.is_some_and(|origin| origin == "*" || origin == ORIGIN)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    fn cache(&self) -> Option<&str> {
        self.header("cache-control")
    }
}

/// What is known of a stream whose master playlist is this, if it has one. One that names more
/// than anybody has is an error.
pub(super) fn session(master: Option<&Master>, late: Option<Duration>) -> Result<Session, Failure> {
    if master.is_some_and(|master| master.variants.len() > VARIANTS) {
        let text = format!("the master playlist has more than {VARIANTS} variants");
        return Err(Failure::Runtime(text));
    }
    let mut session = Session::new(master);
    if let Some(late) = late {
        session.tolerate(late);
    }
    if let Some(master) = master {
        for (name, variant) in names(&master.variants).iter().zip(&master.variants) {
            session.codecs(name, master.codecs(variant));
        }
    }
    Ok(session)
}

/// A folder in which answers are kept.
pub(super) struct Saved {
    folder: PathBuf,
    count: AtomicUsize,
    index: Mutex<fs::File>,
}

impl Saved {
    pub(super) fn new(folder: &Path) -> Result<Saved, Failure> {
        let failed =
            |error: std::io::Error| Failure::Usage(format!("{}: {error}", folder.display()));
        fs::create_dir_all(folder).map_err(failed)?;
        let index = fs::File::create(folder.join(INDEX)).map_err(failed)?;
        Ok(Saved {
            folder: folder.to_owned(),
            count: AtomicUsize::new(0),
            index: Mutex::new(index),
        })
    }

    pub(super) fn add(&self, answer: &Kept, body: &[u8]) -> Result<(), Failure> {
        let failed =
            |error: std::io::Error| Failure::Runtime(format!("{}: {error}", self.folder.display()));
        let file = format!("{:06}", self.count.fetch_add(1, Ordering::Relaxed));
        fs::write(self.folder.join(&file), body).map_err(failed)?;
        let kept = Kept {
            file,
            ..answer.clone()
        };
        let line = serde_json::to_string(&kept).unwrap_or_default();
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(index, "{line}").map_err(failed)
    }
}

/// Tells everything that a folder has; with it what the master playlist names.
pub(super) fn again(
    folder: &Path,
    late: Option<Duration>,
) -> Result<(Session, Vec<Variant>), Failure> {
    let wrong =
        |what: &dyn std::fmt::Display| Failure::Usage(format!("{}: {what}", folder.display()));
    let index = fs::read_to_string(folder.join(INDEX)).map_err(|error| wrong(&error))?;
    let mut known = (session(None, late)?, Vec::new());
    for line in index.lines() {
        let kept: Kept = serde_json::from_str(line).map_err(|error| wrong(&error))?;
        // It may be of somebody else, who could name any file.
        if Path::new(&kept.file).file_name() != Some(kept.file.as_ref()) {
            return Err(wrong(&"an answer is kept elsewhere"));
        }
        let body = fs::read(folder.join(&kept.file)).map_err(|error| wrong(&error))?;
        // What everything else is of comes first.
        let text = String::from_utf8_lossy(&body);
        match Master::parse(&text).filter(|_| known.1.is_empty() && kept.uri.is_none()) {
            Some(master) => known = (session(Some(&master), late)?, master.variants),
            None => kept.tell(&mut known.0, &body),
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_a_folder_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kept");
        let saved = Saved::new(&path).expect("a folder");
        saved.add(&Kept::default(), b"x").expect("it is kept");
        assert!(again(&path, None).is_ok());
        std::fs::write(folder.path().join("other"), "x").expect("a file");
        let other = folder.path().join("other").display().to_string();
        for file in ["../other", &other, "..", "000000/", ""] {
            let kept = Kept {
                file: file.to_owned(),
                ..Kept::default()
            };
            let line = serde_json::to_string(&kept).expect("JSON");
            fs::write(path.join(INDEX), line).expect("a file");
            let told = again(&path, None).expect_err("it is refused").told();
            assert!(told.1.ends_with("an answer is kept elsewhere"), "{told:?}");
        }
    }
}
