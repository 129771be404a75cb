//! What playlists say of each other (`EXT-X-RENDITION-REPORT`), held against what those are.

use std::time::Duration;

use super::super::check::reaches;
use super::super::read::Listed;
use super::{Session, Wrong, beside, named};

/// So many states of a playlist are known, and so much that others say of it.
const KNOWN: usize = 64;

/// How far a playlist was, and what others say of that. Times are in seconds.
#[derive(Debug, Default)]
pub(super) struct Edges {
    /// When it came, its last segment, and the number of the last part of that.
    known: Vec<(f64, u64, Option<u64>)>,
    told: Vec<Told>,
}

/// What a playlist says of another.
#[derive(Clone, Debug)]
struct Told {
    by: String,
    /// When it came.
    came: f64,
    msn: u64,
    part: Option<u64>,
}

impl Edges {
    /// The newest state that was there at a moment.
    fn at(&self, moment: f64) -> Option<(u64, Option<u64>)> {
        let mut known = self.known.iter().rev();
        let found = known.find(|(came, ..)| *came <= moment);
        found.map(|(_, msn, part)| (*msn, *part))
    }
}

/// Room for one more.
fn push<T>(all: &mut Vec<T>, one: T) {
    if all.len() == KNOWN {
        all.remove(0);
    }
    all.push(one);
}

impl Session {
    /// Holds what a playlist that came last says of others against those, and what they said of
    /// it against it, by when it was asked for and came, as long as other moments as in
    /// [`playlist`](Session::playlist). Who looks sees one playlist after the other: as much as
    /// parts may be late, reports may be of another moment.
    pub fn reports(&mut self, name: &str, asked: Duration, came: Duration) {
        let (asked, came) = (asked.as_secs_f64(), came.as_secs_f64());
        let Some(listed) = self.last(name).filter(|it| !it.has_ended).cloned() else {
            return;
        };
        self.hear(name, &listed, asked, came);
        let mut wrong = Vec::new();
        let tolerance = self.tolerance;
        let edges = &mut self.followed(name).edges;
        edges.told.retain(|told| {
            let is_reached = reaches(&listed, told.msn, told.part);
            if is_reached && never_was(&listed, told)
                || !is_reached && asked > told.came + tolerance
            {
                wrong.push(Wrong::Unfounded(told.by.clone(), named(name)));
                return false;
            }
            !is_reached
        });
        if let Some((msn, last)) = listed.numbered().last() {
            let part = (last.parts.len() as u64).checked_sub(1);
            push(&mut edges.known, (came, msn, part));
        }
        for wrong in wrong {
            self.note(wrong);
        }
    }

    /// What it says of others: no less than what they were before it was asked for.
    fn hear(&mut self, name: &str, listed: &Listed, asked: f64, came: f64) {
        let tolerance = self.tolerance;
        let mut wrong = Vec::new();
        for (uri, msn, part) in &listed.reports {
            let of = beside(name, uri);
            let mut others = self.playlists.iter_mut();
            let other = others.find(|(other, _)| named(other) == of && *other != name);
            let (Some((other, followed)), Some(msn)) = (other, *msn) else {
                continue;
            };
            let before = followed.edges.at(asked - tolerance);
            if before.is_some_and(|before| (msn, part.unwrap_or(u64::MAX)) < end(before)) {
                wrong.push(Wrong::Outdated(name.to_owned(), named(other)));
            }
            let (by, part) = (name.to_owned(), *part);
            let told = Told {
                by,
                came,
                msn,
                part,
            };
            push(&mut followed.edges.told, told);
        }
        for wrong in wrong {
            self.note(wrong);
        }
    }
}

/// For comparisons: a playlist without parts has come to none.
fn end((msn, part): (u64, Option<u64>)) -> (u64, u64) {
    (msn, part.unwrap_or(0))
}

/// The segment is complete, and has no such part.
fn never_was(listed: &Listed, told: &Told) -> bool {
    let segment = listed.numbered().find(|(msn, _)| *msn == told.msn);
    let complete = segment.filter(|(_, it)| it.uri.is_some() && !it.parts.is_empty());
    let count = complete.map(|(_, segment)| segment.parts.len() as u64);
    count.is_some_and(|count| told.part.is_some_and(|part| part >= count))
}
