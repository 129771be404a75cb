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
use openrtmp_media::packager::{Part, Rendition, Segment, Window};

use super::{Budget, Manifest, Text, Transport};

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

/// A segment that can be fetched, or whose parts can be.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) msn: u64,
    /// The ticks at which what there is of it begins and ends, once there is something.
    span: Option<(u64, u64)>,
    /// The init segment that it needs.
    pub(super) init: u32,
    /// By so many ticks encoders have pictures decoded earlier than parts tell.
    pub(super) reorder: u32,
    pub(crate) parts: Vec<Bytes>,
}

impl Snapshot {
    pub(crate) fn track(&self, name: TrackName) -> Option<&Track> {
        self.tracks.iter().find(|track| track.name == name)
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
        let first = self.complete.front()?.msn;
        // Sequence numbers have no holes but where a track had nothing in a segment.
        let place = usize::try_from(msn.checked_sub(first)?).ok()?;
        match self.complete.get(place).filter(|kept| kept.msn == msn) {
            Some(kept) => Some(kept),
            None => self.complete.iter().find(|kept| kept.msn == msn),
        }
    }

    /// The number of the oldest complete segment.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.complete.front().map(|kept| kept.msn)
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

    /// The parts of a segment so far, and whether they are all.
    pub(crate) fn parts(&self, msn: u64) -> Option<(&[Bytes], bool)> {
        let open = self.open.as_ref().filter(|open| open.msn == msn);
        let whole = || self.segment(msn).map(|kept| (&kept.parts[..], true));
        open.map(|open| (&open.parts[..], false)).or_else(whole)
    }

    /// Something of a segment is there, but not all.
    pub(crate) fn has_begun(&self, msn: u64) -> bool {
        let open = self.open.as_ref().filter(|open| open.msn == msn);
        open.is_some_and(|open| open.span.is_some())
    }

    /// A part that is there; empty if it is a gap.
    pub(crate) fn part(&self, msn: u64, number: usize) -> Option<&Bytes> {
        let (parts, _) = self.parts(msn)?;
        parts.get(number)
    }

    /// Whether this segment can be fetched, or parts of it.
    pub(crate) fn has(&self, msn: u64) -> bool {
        self.open.as_ref().is_some_and(|open| open.msn == msn) || self.segment(msn).is_some()
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

impl Kept {
    fn of(segment: &Segment) -> Kept {
        let bytes = |part: &Part| part.bytes.clone();
        let mut there = segment.parts.iter().filter(|part| !part.is_gap);
        let reorder = there.next().map(|part| part.reorder);
        Kept {
            msn: segment.beginning.msn,
            span: segment.span(),
            init: segment.beginning.init,
            reorder: reorder.unwrap_or(0),
            parts: segment.parts.iter().map(bytes).collect(),
        }
    }

    /// Bytes of the whole.
    pub(crate) fn len(&self) -> u64 {
        self.parts.iter().map(|part| part.len() as u64).sum()
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
}

/// What was made of a rendition, as far as it is the same in what comes next.
#[derive(Debug, Default)]
struct Before {
    complete: Arc<VecDeque<Arc<Kept>>>,
    full: PlaylistWriter,
    delta: PlaylistWriter,
}

impl Photographer {
    /// One that counts what it makes there.
    pub(crate) fn new(budget: &Arc<Budget>) -> Photographer {
        Photographer {
            budget: budget.clone(),
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
            complete: self.complete(rendition),
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
    fn complete(&mut self, rendition: &Rendition) -> Arc<VecDeque<Arc<Kept>>> {
        let kept = &mut self.before(rendition.track).complete;
        let last = kept.back().map_or(0, |kept| kept.msn);
        let is_new = |segment: &&Segment| segment.is_complete && segment.beginning.msn > last;
        let mut new = rendition.segments.iter().filter(is_new).peekable();
        let is_gone = |kept: &Arc<Kept>| rendition.segment(kept.msn).is_none();
        if new.peek().is_some() || kept.front().is_some_and(is_gone) {
            let kept = Arc::make_mut(kept);
            kept.extend(new.map(|segment| Arc::new(Kept::of(segment))));
            while kept.front().is_some_and(is_gone) {
                kept.pop_front();
            }
        }
        kept.clone()
    }
}
