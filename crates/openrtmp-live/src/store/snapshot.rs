//! What can be fetched of a stream at one moment.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openrtmp_media::dash;
use openrtmp_media::hls::{
    Edge, Form, Names, PlaylistWriter, master_playlist, transport_master, transport_playlist,
    transport_tracks,
};
use openrtmp_media::mp4::TrackName;
use openrtmp_media::packager::{Rendition, Segment, Window};

use super::spool::{Spool, Stored};
use super::{Budget, Kept, Manifest, Media, Text, Transport};

/// Where players ask for the time, on the host that they have media from.
const TIME: &str = "/time";

/// All of a stream that can be fetched at one moment. It never changes.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Counts the states of a stream.
    pub(crate) version: u64,
    /// The master playlist, once every rendition in it can be played.
    pub(crate) master: Option<Arc<Master>>,
    /// The DASH manifest, the same.
    pub(crate) manifest: Option<Arc<Manifest>>,
    /// It as a transport stream, the same, if it can be one.
    pub(crate) transport: Option<Arc<Transport>>,
    /// The renditions, in the order in which they began.
    pub(crate) tracks: Vec<Track>,
    /// Target duration, once something can be listed.
    pub(crate) target: Option<Duration>,
    /// Nothing more comes.
    pub(crate) has_ended: bool,
}

/// The master playlist of several states, as long as it says the same.
#[derive(Debug)]
pub(crate) struct Master {
    /// Counts those of the stream.
    pub(crate) version: u64,
    pub(crate) text: Text,
}

/// One rendition.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) name: TrackName,
    /// How far its playlist is.
    pub(crate) edge: Edge,
    /// Its playlist, once there is one.
    pub(crate) playlists: Option<Playlists>,
    /// Init segments by number.
    inits: Vec<(u32, Bytes)>,
    /// Complete segments, the oldest first; shared with the snapshots before and after.
    complete: Arc<VecDeque<Arc<Kept>>>,
    /// The segment that is open, with its parts so far.
    open: Option<Kept>,
}

/// A playlist in both of its forms.
#[derive(Debug)]
pub(crate) struct Playlists {
    pub(crate) full: Text,
    pub(crate) delta: Text,
}

impl Snapshot {
    pub(crate) fn track(&self, name: TrackName) -> Option<&Track> {
        self.tracks.iter().find(|track| track.name == name)
    }

    /// A file that is to be read for this segment of all tracks, if there is one.
    pub(crate) fn file_of(&self, msn: u64) -> Option<Arc<Stored>> {
        let mut kept = self.tracks.iter().filter_map(|track| track.segment(msn));
        kept.find_map(|kept| match &kept.media {
            Media::Memory(_) => None,
            Media::Disk(stored) => Some(stored.clone()),
        })
    }

    /// The wall time at which this segment of the transport stream begins, in milliseconds since
    /// 1970: that of the track that has its clock.
    pub(crate) fn transported_wall(&self, msn: u64) -> Option<i64> {
        let leading = self.transport.as_ref()?.tracks.first()?;
        Some(self.track(*leading)?.segment(msn)?.wall)
    }

    /// Bytes of its playlists.
    pub(crate) fn text_bytes(&self) -> u64 {
        let both = |lists: &Playlists| lists.full.len() + lists.delta.len();
        let playlists = self.tracks.iter().filter_map(|it| it.playlists.as_ref());
        let media: usize = playlists.map(both).sum();
        let manifest = self.manifest.as_ref().map_or(0, |it| it.text.len());
        let transport = self.transport.as_ref();
        let transport = transport.map_or(0, |it| it.master.len() + it.playlist.len());
        let master = self.master.as_ref().map_or(0, |it| it.text.len());
        (media + master + manifest + transport) as u64
    }
}

impl Track {
    /// An init segment.
    pub(crate) fn init(&self, number: u32) -> Option<&Bytes> {
        let found = self.inits.iter().find(|(is, _)| *is == number);
        found.map(|(_, bytes)| bytes)
    }

    /// A complete segment.
    pub(crate) fn segment(&self, msn: u64) -> Option<&Arc<Kept>> {
        self.complete.get(place_of(&self.complete, msn)?)
    }

    /// The number of the oldest complete segment that is in memory.
    pub(super) fn oldest_in_memory(&self) -> Option<u64> {
        let mut complete = self.complete.iter();
        let oldest = complete.find(|kept| kept.len() > 0 && kept.parts().is_some());
        oldest.map(|kept| kept.msn)
    }

    /// The number of the segment, complete or not, that begins at this tick; or that will,
    /// as far as can be known.
    pub(crate) fn msn_at(&self, tick: u64) -> Option<u64> {
        let complete = self.complete.iter().map(Arc::as_ref);
        let mut kept = self.open.iter().chain(complete);
        let begins = |kept: &&Kept| kept.span.is_some_and(|(start, _)| start == tick);
        if let Some(found) = kept.find(begins) {
            return Some(found.msn);
        }
        let open = self.open.as_ref().filter(|open| open.span.is_none())?;
        let last = self.complete.back()?;
        let is_next = last.span.is_some_and(|(_, end)| end == tick);
        is_next.then_some(open.msn)
    }

    /// The parts of a segment so far, and whether they are all, as long as they are in memory.
    pub(crate) fn parts(&self, msn: u64) -> Option<(&[Bytes], bool)> {
        let (kept, is_all) = self.begun(msn)?;
        Some((kept.parts()?, is_all))
    }

    /// A segment, and whether it is complete.
    fn begun(&self, msn: u64) -> Option<(&Kept, bool)> {
        let open = self.open.as_ref().filter(|open| open.msn == msn);
        match open {
            Some(open) => Some((open, false)),
            None => Some((self.segment(msn)?.as_ref(), true)),
        }
    }

    /// Something of a segment is there, but not all.
    pub(crate) fn has_begun(&self, msn: u64) -> bool {
        let open = self.open.as_ref().filter(|open| open.msn == msn);
        open.is_some_and(|open| open.span.is_some())
    }

    /// A part that is there, empty if it is a gap, and the wall time at which its segment begins.
    pub(crate) fn part(&self, msn: u64, number: usize) -> Option<(&Bytes, i64)> {
        let (kept, _) = self.begun(msn)?;
        Some((kept.parts()?.get(number)?, kept.wall))
    }

    /// Whether this segment is in memory, or parts of it.
    pub(crate) fn holds(&self, msn: u64) -> bool {
        self.parts(msn).is_some()
    }

    /// Whether this may be what comes next.
    pub(crate) fn may_come(&self, msn: u64, part: usize) -> bool {
        let edge = &self.edge;
        let is_next = match edge.is_complete {
            true => msn == edge.msn + 1 && part == 0,
            false => msn == edge.msn && part as u64 == edge.parts,
        };
        // The one that is open may end without another part.
        let is_next_but_one = !edge.is_complete && msn == edge.msn + 1 && part == 0;
        !edge.has_ended && (is_next || is_next_but_one)
    }

    /// Whether this segment is the one that is open, or the next.
    pub(crate) fn may_complete(&self, msn: u64) -> bool {
        !self.edge.has_ended && self.segment(msn).is_none() && {
            let edge = &self.edge;
            msn == edge.msn + 1 || (msn == edge.msn && !edge.is_complete)
        }
    }
}

/// Makes the snapshots of one stream.
#[derive(Debug)]
pub(crate) struct Photographer {
    budget: Arc<Budget>,
    version: u64,
    master: Option<Arc<Master>>,
    transport: Option<Arc<Transport>>,
    manifest: Option<Arc<Manifest>>,
    /// When that became what it is, in milliseconds since 1970.
    published: i64,
    renditions: Vec<(TrackName, Before)>,
    /// Where segments are written to, if they are, and how many files were removed there.
    spool: Option<Arc<Spool>>,
    removed: u64,
}

/// What was made of a rendition, as far as it is the same in what comes next.
#[derive(Debug, Default)]
struct Before {
    complete: Arc<VecDeque<Arc<Kept>>>,
    /// The numbers of those of which it is open whether they are in files alone.
    unsettled: VecDeque<u64>,
    full: PlaylistWriter,
    delta: PlaylistWriter,
}

/// The place of a complete segment among those of a track.
fn place_of(complete: &VecDeque<Arc<Kept>>, msn: u64) -> Option<usize> {
    let first = complete.front()?.msn;
    // Sequence numbers have no holes but where a track had nothing in a segment.
    let place = usize::try_from(msn.checked_sub(first)?).ok()?;
    match complete.get(place).filter(|kept| kept.msn == msn) {
        Some(_) => Some(place),
        None => complete.iter().position(|kept| kept.msn == msn),
    }
}

impl Photographer {
    /// One that counts what it makes there, and has segments written into files.
    pub(crate) fn new(budget: &Arc<Budget>, spool: Option<Arc<Spool>>) -> Photographer {
        Photographer {
            budget: budget.clone(),
            spool,
            removed: 0,
            version: 0,
            master: None,
            transport: None,
            manifest: None,
            published: 0,
            renditions: Vec::new(),
        }
    }

    /// The stream as it is now, in milliseconds since 1970; a segment may have been completed
    /// since the last time, or it ended.
    pub(crate) fn take(
        &mut self,
        window: &Window,
        names: &Names,
        has_closed: bool,
        now: i64,
    ) -> Snapshot {
        self.version += 1;
        // They tell of complete segments alone.
        if has_closed || self.manifest.is_none() {
            self.publish(window, names, now);
        }
        if has_closed || self.transport.is_none() {
            self.transport = self.transport(window, names).or(self.transport.take());
        }
        let target = window.targets().map(|targets| targets.segment);
        self.master = self.master(window, names);
        Snapshot {
            version: self.version,
            master: self.master.clone(),
            manifest: self.manifest.clone(),
            transport: self.transport.clone(),
            tracks: window
                .renditions()
                .iter()
                .map(|rendition| self.track(rendition, window, names))
                .collect(),
            target: target.map(|target| Duration::from_secs(u64::from(target))),
            has_ended: window.has_ended(),
        }
    }

    /// Lets go of the bytes of segments that are older than the window of what is in memory, once
    /// they are in files. Where one never is, or no longer, lists begin behind it. Whether it did
    /// anything.
    pub(crate) fn look_back(&mut self, window: &mut Window) -> bool {
        let Some(spool) = &self.spool else {
            return false;
        };
        let removed = spool.removed();
        let were_removed = std::mem::replace(&mut self.removed, removed) != removed;
        let (mut lost, mut has_moved) = (None, false);
        for (track, before) in &mut self.renditions {
            let past = window.rendition(*track).map(Rendition::past);
            let newest = past.and_then(|mut past| past.next_back());
            let newest = newest.map(|segment| segment.beginning.msn);
            let complete = &mut before.complete;
            before.unsettled.retain(|&msn| {
                if newest.is_none_or(|newest| newest < msn) {
                    return true;
                }
                let Some(place) = place_of(complete, msn) else {
                    return false;
                };
                let kept = &complete[place];
                match kept.written() {
                    _ if kept.len() == 0 => window.release(*track, msn),
                    // It is in memory, as long as there is room.
                    None => return true,
                    Some(None) => lost = lost.max(Some(msn)),
                    // It was removed while it was in memory as well.
                    Some(Some(stored)) if stored.is_gone() => lost = lost.max(Some(msn)),
                    Some(Some(stored)) => {
                        let moved = Arc::new(kept.moved_to(stored));
                        Arc::make_mut(complete)[place] = moved;
                        window.release(*track, msn);
                        has_moved = true;
                    }
                }
                false
            });
            if were_removed {
                let gone = complete.iter().filter(|kept| kept.is_gone());
                lost = lost.max(gone.map(|kept| kept.msn).max());
            }
        }
        if let Some(msn) = lost {
            window.forget(msn);
        }
        has_moved || lost.is_some()
    }

    fn text(&self, text: String) -> Text {
        Text::counted(text, &self.budget)
    }

    /// The master playlist: that of before, if it says the same.
    fn master(&self, window: &Window, names: &Names) -> Option<Arc<Master>> {
        let text = master_playlist(window, names)?;
        let last = self.master.as_ref();
        let known = last.filter(|last| last.text.plain() == text.as_bytes());
        Some(known.cloned().unwrap_or_else(|| {
            Arc::new(Master {
                version: self.version,
                text: self.text(text),
            })
        }))
    }

    /// Makes the manifest anew, if it says something else than before.
    fn publish(&mut self, window: &Window, names: &Names, now: i64) {
        let made = |published| {
            let clock = dash::Clock {
                published,
                url: TIME,
            };
            dash::manifest(window, names, &clock)
        };
        let last = self.manifest.as_ref();
        let is_known = |text: &String| last.is_some_and(|last| last.plain() == text);
        let version = last.map_or(0, |last| last.version) + 1;
        if made(self.published).is_none_or(|text| is_known(&text)) {
            return;
        }
        self.published = now.max(self.published);
        let text = made(self.published);
        self.manifest =
            text.map(|text| Arc::new(Manifest::new(version, text, names, &self.budget)));
    }

    /// The transport stream, if there is one.
    fn transport(&self, window: &Window, names: &Names) -> Option<Arc<Transport>> {
        if !window.is_playable() {
            return None;
        }
        let tracks = transport_tracks(window);
        let master = transport_master(window, &tracks, names)?;
        let playlist = transport_playlist(window, &tracks, names)?;
        Some(Arc::new(Transport {
            version: self.version,
            tracks,
            master: self.text(master),
            playlist: self.text(playlist),
        }))
    }

    fn track(&mut self, rendition: &Rendition, window: &Window, names: &Names) -> Track {
        let name = rendition.track;
        let budget = self.budget.clone();
        let keep = |text: String| {
            let size = text.len();
            budget.counted(text.into(), size)
        };
        let before = self.before(name);
        let full = before.full.write(window, name, names, Form::Full, keep);
        let delta = before.delta.write(window, name, names, Form::Delta, keep);
        let playlists = full.zip(delta);
        let text = |(settled, rest)| Text::behind(settled, rest, &budget);
        let open = rendition.segments.back();
        let open = open.filter(|segment| !segment.is_complete).map(Kept::of);
        Track {
            name,
            edge: Edge::of(rendition, window),
            playlists: playlists.map(|(full, delta)| Playlists {
                full: text(full),
                delta: text(delta),
            }),
            inits: rendition
                .inits
                .iter()
                .map(|(number, _, bytes)| (*number, bytes.clone()))
                .collect(),
            complete: self.complete(rendition, names),
            open,
        }
    }

    /// What was made of a rendition before.
    fn before(&mut self, name: TrackName) -> &mut Before {
        let place = self.renditions.iter().position(|(is, _)| *is == name);
        let place = place.unwrap_or_else(|| {
            self.renditions.push((name, Before::default()));
            self.renditions.len() - 1
        });
        &mut self.renditions[place].1
    }

    /// The complete segments: those of before, unless one came or left.
    fn complete(&mut self, rendition: &Rendition, names: &Names) -> Arc<VecDeque<Arc<Kept>>> {
        let (name, spool) = (rendition.track, self.spool.clone());
        let before = self.before(name);
        let kept = &mut before.complete;
        let last = kept.back().map_or(0, |kept| kept.msn);
        let is_new = |segment: &&Segment| segment.is_complete && segment.beginning.msn > last;
        let mut new = rendition.segments.iter().filter(is_new).peekable();
        let is_gone = |kept: &Arc<Kept>| rendition.segment(kept.msn).is_none();
        if new.peek().is_some() || kept.front().is_some_and(is_gone) {
            let kept = Arc::make_mut(kept);
            for segment in new {
                let segment = Arc::new(Kept::of(segment));
                if let Some(spool) = &spool {
                    before.unsettled.push_back(segment.msn);
                    if segment.len() > 0 {
                        spool.write(names, name, &segment);
                    }
                }
                kept.push_back(segment);
            }
            while kept.front().is_some_and(is_gone) {
                kept.pop_front();
            }
            // What was never older than the window is written for nobody.
            let first = kept.front().map_or(u64::MAX, |kept| kept.msn);
            while before.unsettled.front().is_some_and(|&msn| msn < first) {
                before.unsettled.pop_front();
            }
        }
        kept.clone()
    }
}
