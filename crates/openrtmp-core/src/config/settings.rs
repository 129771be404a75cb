//! Every setting: what may stand there, from when on a change of it holds, and what it
//! does. The one table from which documents are read and checked, and from which the
//! reference, the JSON Schema and the list in the C header are made.

mod operating;
mod streaming;

use std::fmt;

use operating::OPERATING;
use streaming::STREAMING;

use super::Config;
use super::schema::{Kind, Range};

/// A setting, by its path.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    path: &'static str,
    pub(super) kind: Kind,
    applies: Applies,
    text: &'static str,
}

/// From when on another value of a setting holds on a running server, see
/// [`Server::reconfigure`](crate::Server::reconfigure).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Applies {
    /// At once, for everything that there is.
    Now,
    /// For connections and streams that begin from then on.
    New,
    /// After a restart alone.
    Restart,
}

impl Setting {
    /// The dotted path, for example `rtmp.chunk_size`.
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// What it does, in one line.
    pub fn description(&self) -> &'static str {
        self.text
    }

    /// From when on a change of it holds.
    pub fn applies(&self) -> Applies {
        self.applies
    }

    /// What may stand there, with its range, as what follows "expected".
    pub fn expected(&self) -> String {
        self.kind.to_string()
    }
}

impl fmt::Display for Applies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Applies::Now => "at once",
            Applies::New => "for what begins from then on",
            Applies::Restart => "after a restart",
        })
    }
}

impl Config {
    /// Every setting that there is.
    pub fn settings() -> &'static [Setting] {
        SETTINGS
    }
}

const fn setting(path: &'static str, kind: Kind, applies: Applies, text: &'static str) -> Setting {
    Setting {
        path,
        kind,
        applies,
        text,
    }
}

const fn range(least: u64, most: u64) -> Range {
    Range {
        least,
        most,
        or_zero: false,
    }
}

const fn off_or(least: u64, most: u64) -> Range {
    Range {
        least,
        most,
        or_zero: true,
    }
}

const LONG: u64 = u64::MAX;
const MINUTE: u64 = 60_000;
const DAY: u64 = 86_400_000;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// At least so much, as far as memory can hold it.
const fn least(least: u64) -> Range {
    range(least, usize::MAX as u64)
}

/// Any number of what memory holds, where none at all has a meaning of its own.
const HELD: Range = least(0);

/// All of them, in the order of documents.
pub(super) const SETTINGS: &[Setting] = &joined();

const fn joined() -> [Setting; OPERATING.len() + STREAMING.len()] {
    let mut all = [OPERATING[0]; OPERATING.len() + STREAMING.len()];
    let mut place = 1;
    while place < all.len() {
        all[place] = match place.checked_sub(OPERATING.len()) {
            None => OPERATING[place],
            Some(place) => STREAMING[place],
        };
        place += 1;
    }
    all
}
