//! What is asked of a media playlist once, at the end: media that it names, and what players ask
//! for seldom or in other ways.

use std::time::Duration;

use openrtmp_media::hls::read::{Listed, ListedSegment};

use super::kept::How;
use super::report::Followed;
use super::viewing::{Playlist, Viewer, next};
use crate::exit::Failure;
use crate::units::bits_per_second;

/// So many of the newest segments are fetched, with their parts, and looked into.
const SEGMENTS: usize = 3;
/// Of so many parts of each.
const PARTS: usize = 256;
/// Of what is asked for a piece of, these bytes.
const PIECE: (u64, u64) = (1, 64);

impl Viewer<'_> {
    /// Asks for each kind of thing once.
    pub(super) fn look_closely(
        &self,
        playlist: Playlist<'_>,
        listed: &Listed,
        followed: &mut Followed,
    ) -> Result<(), Failure> {
        let later = self.follow_hint(playlist, listed)?;
        let listed = later.as_ref().unwrap_or(listed);
        self.fetch(playlist, listed, followed)?;
        self.fetch_what_left(playlist)?;
        self.try_rules(playlist, listed)
    }

    /// Asks for the part that comes next by its hint, and for it again once it is listed; the
    /// playlist that lists it.
    fn follow_hint(
        &self,
        playlist: Playlist<'_>,
        listed: &Listed,
    ) -> Result<Option<Listed>, Failure> {
        let mut parts = listed.segments.iter().flat_map(|segment| &segment.parts);
        // What pieces are of goes on behind them.
        let has_pieces = parts.any(|part| part.is_piece);
        let hint = listed.hints.first().filter(|_| !has_pieces);
        let (Some(hint), Some(reload)) = (hint, next(listed, 0)) else {
            return Ok(None);
        };
        self.ask(playlist, Some(hint), "", How::Hinted)?;
        self.ask(playlist, None, &reload, How::Plain)?;
        let later = self.listed(playlist);
        let listed = later.iter().flat_map(|listed| &listed.segments);
        let mut parts = listed.flat_map(|segment| &segment.parts);
        if parts.any(|part| part.uri == *hint && !part.is_gap) {
            self.ask(playlist, Some(hint), "", How::Plain)?;
        }
        Ok(later)
    }

    /// Fetches the init segment and the newest segments with their parts: what is listed is to
    /// be there, and to be what is said of it. Of the newest its length and some bytes alone
    /// are asked for as well.
    fn fetch(
        &self,
        playlist: Playlist<'_>,
        listed: &Listed,
        followed: &mut Followed,
    ) -> Result<(), Failure> {
        let is_whole = |it: &&ListedSegment| it.uri.is_some() && !it.is_gap;
        let newest = listed.segments.iter().rev().filter(is_whole).take(SEGMENTS);
        let mut segments: Vec<&ListedSegment> = newest.collect();
        segments.reverse();
        let mut inits: Vec<&String> = segments.iter().filter_map(|it| it.map.as_ref()).collect();
        inits.dedup();
        let ask = |uri: &str, how| self.ask(playlist, Some(uri), "", how);
        for uri in inits {
            ask(uri, How::Plain)?;
        }
        let mut last = None;
        for segment in segments {
            for part in segment.parts.iter().take(PARTS).filter(|it| !it.is_gap) {
                ask(&part.uri, How::Plain)?;
            }
            let Some(uri) = &segment.uri else {
                continue;
            };
            let answer = ask(uri, How::Plain)?;
            if answer.kept.status == 200 {
                let long = Duration::try_from_secs_f64(segment.duration.unwrap_or(0.0));
                let long = long.unwrap_or_default();
                followed.rate = Some(bits_per_second(answer.body.len() as u64, long));
                last = Some(uri);
            }
        }
        if let Some(uri) = last {
            let (first, last) = PIECE;
            ask(uri, How::Head)?;
            ask(uri, How::Bytes { first, last })?;
        }
        Ok(())
    }

    /// Fetches a part that left the list so short a time ago that it is to be there.
    fn fetch_what_left(&self, playlist: Playlist<'_>) -> Result<(), Failure> {
        let due = {
            let session = playlist.known.lock();
            let due = session.due(playlist.name, self.now());
            due.last().map(|uri| (*uri).to_owned())
        };
        if let Some(uri) = due {
            self.ask(playlist, Some(&uri), "", How::Plain)?;
        }
        Ok(())
    }

    /// What is asked for in ways that players do not, or seldom.
    fn try_rules(&self, playlist: Playlist<'_>, listed: &Listed) -> Result<(), Failure> {
        self.ask(playlist, None, "", How::Head)?;
        if listed.has_ended || next(listed, 0).is_none() {
            return Ok(());
        }
        let oldest = format!("_HLS_msn={}", listed.msn);
        self.ask(playlist, None, &oldest, How::Head)?;
        // What was is answered at once, what is too far ahead and a part of nothing not.
        let last = listed.numbered().last().map_or(0, |(msn, _)| msn);
        for (directives, due) in [
            (oldest, 200),
            (format!("_HLS_msn={}", last + 100), 400),
            ("_HLS_part=0".to_owned(), 400),
        ] {
            self.ask(playlist, None, &directives, How::Tried { due })?;
        }
        Ok(())
    }
}
