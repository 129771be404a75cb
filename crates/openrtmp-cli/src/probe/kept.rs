//! Answers that come over HTTP, told to who checks them, and kept so that they can be looked at
//! again.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use openrtmp_media::hls::session::{Kind, Master, Session, Variant};
use serde::{Deserialize, Serialize};

use super::viewing::{named, names};
use crate::exit::Failure;

/// What a folder of kept answers is told by.
const INDEX: &str = "session.jsonl";

/// An answer without its body.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Kept {
    /// Milliseconds since the first was asked for.
    pub(super) ms: u64,
    /// The playlist's.
    pub(super) name: String,
    pub(super) status: u16,
    /// Of media that the playlist names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) uri: Option<String>,
    /// A state of the playlist was named.
    #[serde(default)]
    pub(super) is_named: bool,
    /// `Cache-Control`, empty where there was none; `None` where nobody knows any more.
    #[serde(default)]
    pub(super) cache: Option<String>,
    /// Where its body is.
    #[serde(default)]
    pub(super) file: String,
}

impl Kept {
    /// Tells it to who checks it.
    pub(super) fn tell(&self, session: &mut Session, body: &[u8]) {
        let what = match &self.uri {
            Some(uri) => format!("{}: {}", self.name, named(uri)),
            None if self.is_named => format!("{} with directives", self.name),
            None => self.name.clone(),
        };
        let kind = match &self.uri {
            _ if self.status != 200 => Kind::Refused,
            Some(_) => Kind::Media,
            None if self.is_named => Kind::Named,
            None => Kind::Newest,
        };
        match (&self.uri, kind) {
            (_, Kind::Refused) => session.status(&what, self.status),
            (Some(uri), _) => session.media(&self.name, uri, body.to_vec()),
            (None, _) => {
                let text = String::from_utf8_lossy(body);
                session.playlist(&self.name, &text, Duration::from_millis(self.ms));
            }
        }
        if let Some(control) = &self.cache {
            let control = Some(control.as_str()).filter(|control| !control.is_empty());
            session.cached(&self.name, &what, kind, control);
        }
    }
}

/// What is known of a stream whose master playlist is this, if it has one.
pub(super) fn session(master: Option<&Master>, late: Option<Duration>) -> Session {
    let mut session = Session::new(master);
    if let Some(late) = late {
        session.tolerate(late);
    }
    if let Some(master) = master {
        for (name, variant) in names(&master.variants).iter().zip(&master.variants) {
            session.codecs(name, master.codecs(variant));
        }
    }
    session
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
    let mut known = (session(None, late), Vec::new());
    for line in index.lines() {
        let kept: Kept = serde_json::from_str(line).map_err(|error| wrong(&error))?;
        let body = fs::read(folder.join(&kept.file)).map_err(|error| wrong(&error))?;
        let text = String::from_utf8_lossy(&body);
        match Master::parse(&text).filter(|_| kept.uri.is_none()) {
            Some(master) => known = (session(Some(&master), late), master.variants),
            None => kept.tell(&mut known.0, &body),
        }
    }
    Ok(known)
}
