//! A recording: frames of several tracks as they come, and what to write of them.

use std::fmt;
use std::time::Duration;

use openrtmp_protocol::media::{AudioCodec, VideoCodec};

use super::{
    Access, Description, Entry, Init, Run, Sample, Track, fragment_header, index, init_segment,
};
use crate::KeyframeIndex;
use crate::placement::Placement;

/// A fragment ends at the first frame so far behind its first, in microseconds. With that
/// frame's length it is a second at most, from ten frames a second on.
const FRAGMENT: i64 = 900_000;
/// And so far behind it at a key frame, so that players find the next one at the start of
/// a fragment.
const FRAGMENT_TO_KEY: i64 = 450_000;
/// Nor does it grow beyond so many bytes, save by its last frame.
const FRAGMENT_BYTES: u64 = 4 << 20;
/// Nor beyond so many frames.
const FRAGMENT_FRAMES: usize = 4096;
/// So many bytes are kept for the frame that they belong to, parameter sets and the like.
const PRELUDE_BYTES: usize = 64 << 10;
/// So much before the start a track may begin and keep its distance to the others, in
/// microseconds.
const EARLY: i64 = 10_000_000;
/// Key frames that the index has room for: more than an hour of one a second, for 112,000
/// bytes at the end of the file.
const INDEX_CAPACITY: usize = 4000;

/// Which track of a publisher's: those of video and audio are numbered apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrackName {
    /// Video, by its track id; 0 is the default track.
    Video(u8),
    /// Audio, the same.
    Audio(u8),
}

impl TrackName {
    /// It is of pictures.
    pub fn is_video(self) -> bool {
        matches!(self, TrackName::Video(_))
    }

    /// The track of a text such as `v0`, `a12`, as it is written.
    pub fn parse(text: &str) -> Option<TrackName> {
        let (kind, number) = text.split_at_checked(1)?;
        let number: u8 = number.parse().ok()?;
        let name = match kind {
            "v" => TrackName::Video(number),
            "a" => TrackName::Audio(number),
            _ => return None,
        };
        // Each has one name.
        (name.to_string() == text).then_some(name)
    }
}

/// `v0`, `a12`.
impl fmt::Display for TrackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrackName::Video(id) => write!(f, "v{id}"),
            TrackName::Audio(id) => write!(f, "a{id}"),
        }
    }
}

/// How a track is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Of a video track.
    Video(VideoCodec),
    /// Of an audio track.
    Audio(AudioCodec),
}

impl Codec {
    fn name(self) -> &'static str {
        match self {
            Codec::Video(codec) => codec.name(),
            Codec::Audio(codec) => codec.name(),
        }
    }
}

/// What a frame is to those who decode it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Decoding can start here; every audio frame is one.
    Key,
    /// It needs earlier ones.
    Inter,
    /// No picture, but what the next one needs: parameter sets in a message of their own.
    Prelude,
}

/// A frame, whose bytes `D` has.
#[derive(Clone, Debug)]
pub struct Frame<D> {
    /// Whose.
    pub track: TrackName,
    /// How it is coded.
    pub codec: Codec,
    /// Decoding time in microseconds.
    pub dts: i64,
    /// Presentation time in microseconds.
    pub pts: i64,
    /// What it is.
    pub content: Content,
    /// The codec's bytes, as Enhanced RTMP has them.
    pub data: D,
}

/// What is to be appended to the file next: these bytes, then those.
#[derive(Clone, Debug)]
pub struct Piece<D> {
    /// A fragment's header; in front of it, once, what the file begins with.
    pub header: Vec<u8>,
    /// The bytes of its samples.
    pub data: Vec<D>,
}

/// What a complete file gets once its last fragment is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// To be appended.
    pub index: Vec<u8>,
    /// To be written over what is at `duration_at`.
    pub duration: [u8; 8],
    /// Offset in the file.
    pub duration_at: u64,
}

/// A frame that such a file cannot hold. Nothing has changed; the file may be completed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// MP4 has no place for the codec, or its sequence header is missing or cannot be read.
    #[error("MP4 cannot hold this {0}: no place for it, or no sequence header that can be read")]
    Description(&'static str),
    /// The file has begun without this track.
    #[error("a track of {0} began when the file had its tracks already")]
    Track(&'static str),
    /// The file has begun with another codec or configuration of this track.
    #[error("a track became {0} of another kind, and a file has one of each track")]
    Changed(&'static str),
    /// A fragment is larger than 2 GiB.
    #[error("a fragment of more than 2 GiB")]
    TooLarge,
}

/// Makes a file of frames, in the order of their arrival.
///
/// Fragments are of a second at most, whether a key frame comes or not, so that a crash
/// loses no more; the file plays up to the last of them. Which tracks there are is told at
/// the beginning of the file, which is therefore written with the first fragment: tracks
/// that begin until then are in it.
///
/// Each track's last frame waits for the one behind it, which tells how long it lasts; for a
/// fragment at most.
#[derive(Debug)]
pub struct Mp4Writer<D> {
    tracks: Vec<TrackState<D>>,
    /// The time that is 0 in the file, in microseconds: the earliest, once it began.
    base: i64,
    /// Where the duration stands, once the file began.
    duration_at: Option<u64>,
    /// The latest time, in microseconds.
    latest: i64,
    sequence: u32,
    /// Bytes of all pieces.
    written: u64,
    waiting_bytes: u64,
    waiting_frames: usize,
    index: KeyframeIndex<Entry>,
}

#[derive(Debug)]
struct TrackState<D> {
    name: TrackName,
    codec: Codec,
    config: Vec<u8>,
    /// Once the file began.
    layout: Option<Layout>,
    waiting: Vec<Waiting<D>>,
    /// What belongs to the frame that comes next.
    prelude: Vec<D>,
    /// The first that waits was left by the last cut.
    is_left_over: bool,
}

#[derive(Debug)]
struct Layout {
    track: Track,
    placement: Placement,
    /// Where the last frame that was written ends.
    end: u64,
}

#[derive(Debug)]
struct Waiting<D> {
    prelude: Vec<D>,
    data: D,
    dts: i64,
    pts: i64,
    is_sync: bool,
    /// In ticks, once it was determined.
    place: Option<u64>,
}

impl<D: AsRef<[u8]>> Waiting<D> {
    fn bytes(&self) -> u64 {
        let parts = self.prelude.iter().chain([&self.data]);
        parts.map(|part| part.as_ref().len() as u64).sum()
    }
}

impl<D: AsRef<[u8]>> Mp4Writer<D> {
    /// A file that begins at this time, in microseconds; it is 0 in there. A track that
    /// begins up to 10 s earlier moves the beginning.
    pub fn new(start: i64) -> Mp4Writer<D> {
        Mp4Writer {
            tracks: Vec::new(),
            base: start,
            duration_at: None,
            latest: start,
            sequence: 0,
            written: 0,
            waiting_bytes: 0,
            waiting_frames: 0,
            index: KeyframeIndex::new(INDEX_CAPACITY),
        }
    }

    /// Whether frames of this track may come: it is one of the file's, or can become one.
    pub fn takes(&self, track: TrackName) -> bool {
        self.duration_at.is_none() || self.tracks.iter().any(|is| is.name == track)
    }

    /// A track's sequence header. It is in force for the whole file: of a track that has
    /// frames already it is to be the same again.
    ///
    /// # Errors
    /// [`Refused::Track`], [`Refused::Changed`].
    pub fn configure(
        &mut self,
        track: TrackName,
        codec: Codec,
        config: &[u8],
    ) -> Result<(), Refused> {
        let place = self.track(track, codec)?;
        let state = &mut self.tracks[place];
        if state.config == config {
            return Ok(());
        }
        if state.layout.is_some() || !state.waiting.is_empty() {
            return Err(Refused::Changed(codec.name()));
        }
        state.config = config.to_vec();
        Ok(())
    }

    /// Adds a frame; what is to be written now that it came, if it completes a fragment.
    /// Empty frames, which mean silence, are left out.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn push(&mut self, frame: Frame<D>) -> Result<Option<Piece<D>>, Refused> {
        if frame.data.as_ref().is_empty() {
            return Ok(None);
        }
        let place = self.track(frame.track, frame.codec)?;
        let state = &mut self.tracks[place];
        if frame.content == Content::Prelude {
            let held: usize = state.prelude.iter().map(|part| part.as_ref().len()).sum();
            if held + frame.data.as_ref().len() > PRELUDE_BYTES {
                state.prelude.clear();
            }
            state.prelude.push(frame.data);
            return Ok(None);
        }
        let waiting = Waiting {
            prelude: std::mem::take(&mut state.prelude),
            data: frame.data,
            dts: frame.dts,
            pts: frame.pts,
            is_sync: frame.content == Content::Key,
            place: None,
        };
        let first = state.waiting.first().map_or(frame.dts, |first| first.dts);
        let span = frame.dts.saturating_sub(first);
        self.waiting_bytes += waiting.bytes();
        self.waiting_frames += 1;
        state.waiting.push(waiting);
        self.latest = self.latest.max(frame.dts);
        let is_key =
            frame.content == Content::Key && frame.track.is_video() && self.duration_at.is_some();
        let is_due = span >= FRAGMENT
            || (is_key && span >= FRAGMENT_TO_KEY)
            || self.waiting_bytes >= FRAGMENT_BYTES
            || self.waiting_frames >= FRAGMENT_FRAMES;
        if is_due { self.cut(false) } else { Ok(None) }
    }

    /// What is to be written so that everything that came is in the file.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn flush(&mut self) -> Result<Option<Piece<D>>, Refused> {
        self.cut(true)
    }

    /// What completes a file whose pieces were all written; `None` if there were none.
    pub fn closing(&self) -> Option<Closing> {
        let ends = self.tracks.iter().filter_map(|state| {
            let layout = state.layout.as_ref()?;
            let scale = u128::from(Init::TIMESCALE);
            Some(u128::from(layout.end) * scale / u128::from(layout.track.timescale))
        });
        let duration = u64::try_from(ends.max().unwrap_or(0)).unwrap_or(u64::MAX);
        let leader = self.leader()?.layout.as_ref()?.track.id;
        Some(Closing {
            index: index(&[(leader, self.index.entries())]),
            duration: duration.to_be_bytes(),
            duration_at: self.duration_at?,
        })
    }

    /// From the first frame to the latest.
    pub fn duration(&self) -> Duration {
        let micros = self.latest.saturating_sub(self.base);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// Bytes of what was to be written, and of what waits.
    pub fn bytes(&self) -> u64 {
        self.written + self.waiting_bytes
    }

    /// The place of a track among those known, a new one if need be and the file has not
    /// begun.
    fn track(&mut self, name: TrackName, codec: Codec) -> Result<usize, Refused> {
        let place = self.tracks.iter().position(|state| state.name == name);
        let Some(place) = place else {
            if self.duration_at.is_some() {
                return Err(Refused::Track(codec.name()));
            }
            self.tracks.push(TrackState {
                name,
                codec,
                config: Vec::new(),
                layout: None,
                waiting: Vec::new(),
                prelude: Vec::new(),
                is_left_over: false,
            });
            return Ok(self.tracks.len() - 1);
        };
        let state = &mut self.tracks[place];
        if state.codec != codec {
            if state.layout.is_some() || !state.waiting.is_empty() {
                return Err(Refused::Changed(codec.name()));
            }
            state.codec = codec;
            state.config.clear();
        }
        Ok(place)
    }

    /// The track by whose frames players seek: the first video track, or the first.
    fn leader(&self) -> Option<&TrackState<D>> {
        self.tracks.first()
    }

    /// A fragment of what waits: all of it, or all but the last frame of each track, unless
    /// that was left before.
    fn cut(&mut self, all: bool) -> Result<Option<Piece<D>>, Refused> {
        if self.waiting_frames == 0 {
            return Ok(None);
        }
        let mut header = self.begin()?.unwrap_or_default();
        let fragment = self.written + header.len() as u64;
        let mut runs: Vec<Run> = Vec::new();
        let mut data = Vec::new();
        let mut entries = Vec::new();
        for (number, state) in self.tracks.iter_mut().enumerate() {
            let taken = state.taken(all);
            let Some(run) = state.run(taken, self.base) else {
                continue;
            };
            if number == 0 {
                let is_video = state.name.is_video();
                entries = entries_of(&run, is_video, fragment, runs.len());
            }
            for frame in state.waiting.drain(..taken) {
                self.waiting_bytes -= frame.bytes();
                self.waiting_frames -= 1;
                data.extend(frame.prelude);
                data.push(frame.data);
            }
            runs.push(run);
        }
        if !runs.is_empty() {
            self.sequence = self.sequence.wrapping_add(1);
            header.extend(fragment_header(self.sequence, &runs).ok_or(Refused::TooLarge)?);
            for entry in entries {
                self.index.add(entry.time, entry);
            }
        }
        if header.is_empty() {
            return Ok(None);
        }
        let samples: u64 = data.iter().map(|part: &D| part.as_ref().len() as u64).sum();
        self.written += header.len() as u64 + samples;
        Ok(Some(Piece { header, data }))
    }

    /// What the file begins with, if it has not begun: from here on its tracks are known.
    fn begin(&mut self) -> Result<Option<Vec<u8>>, Refused> {
        if self.duration_at.is_some() {
            return Ok(None);
        }
        let mut described = Vec::new();
        for (place, state) in self.tracks.iter().enumerate() {
            match state.describe() {
                Some(description) => described.push((place, description)),
                // A header that nothing came of.
                None if state.waiting.is_empty() => {}
                None => return Err(Refused::Description(state.codec.name())),
            }
        }
        for (place, description) in described {
            self.tracks[place].layout = Some(Layout {
                placement: Placement::new(&description),
                track: Track {
                    id: 0,
                    timescale: description.timescale(),
                    description,
                },
                end: 0,
            });
        }
        self.tracks.retain(|state| state.layout.is_some());
        self.tracks.sort_by_key(|state| state.name);
        let mut tracks = Vec::new();
        for (id, state) in (1..).zip(&mut self.tracks) {
            if let Some(layout) = &mut state.layout {
                layout.track.id = id;
                tracks.push(layout.track.clone());
            }
        }
        let times = self.tracks.iter().flat_map(|state| &state.waiting);
        let earliest = times.map(|frame| frame.dts).min().unwrap_or(self.base);
        self.base = self.base.min(earliest).max(self.base.saturating_sub(EARLY));
        let init = init_segment(&tracks);
        self.duration_at = Some(self.written + init.duration_at as u64);
        Ok(Some(init.bytes))
    }
}

impl<D: AsRef<[u8]>> TrackState<D> {
    fn describe(&self) -> Option<Description> {
        let key = self.waiting.iter().find(|frame| frame.is_sync);
        let frame = key.or(self.waiting.first());
        let frame = frame.map_or(&[][..], |frame| frame.data.as_ref());
        match self.codec {
            Codec::Video(codec) => Description::video(codec, &self.config, frame),
            Codec::Audio(codec) => Description::audio(codec, &self.config, frame),
        }
    }

    /// How many frames go into the fragment that is cut now.
    fn taken(&mut self, all: bool) -> usize {
        let count = self.waiting.len();
        let taken = match count {
            count if all => count,
            1 => usize::from(self.is_left_over),
            count => count.saturating_sub(1),
        };
        self.is_left_over = taken < count;
        taken
    }

    /// The first frames that wait, in ticks of the track. `None` if there are to be none.
    fn run(&mut self, taken: usize, base: i64) -> Option<Run> {
        let layout = self.layout.as_mut()?;
        for frame in &mut self.waiting {
            frame.place.get_or_insert_with(|| {
                let samples = layout.samples(frame.data.as_ref());
                layout
                    .placement
                    .place(frame.dts.saturating_sub(base), samples)
            });
        }
        let places: Vec<u64> = self
            .waiting
            .iter()
            .filter_map(|frame| frame.place)
            .collect();
        let decode_time = *places.first().filter(|_| taken > 0)?;
        let mut samples = Vec::with_capacity(taken);
        for (number, frame) in self.waiting[..taken].iter().enumerate() {
            let place = places[number];
            let duration = match places.get(number + 1) {
                Some(next) => u32::try_from(next - place).unwrap_or(u32::MAX),
                None => {
                    let samples = layout.samples(frame.data.as_ref());
                    layout.placement.usual(samples)
                }
            };
            let shown = layout.placement.ticks(frame.pts.saturating_sub(base));
            let offset = match layout.placement.is_video() {
                true => shown.saturating_sub(i64::try_from(place).unwrap_or(i64::MAX)),
                false => 0,
            };
            layout.placement.lasted(duration);
            layout.end = place.saturating_add(u64::from(duration));
            samples.push(Sample {
                duration,
                size: u32::try_from(frame.bytes()).unwrap_or(u32::MAX),
                composition_offset: i32::try_from(offset).unwrap_or(0),
                access: match frame.is_sync {
                    true => Access::Sync,
                    false => Access::None,
                },
            });
        }
        Some(Run {
            track: layout.track.id,
            decode_time,
            samples,
        })
    }
}

impl Layout {
    fn samples(&self, frame: &[u8]) -> Option<u32> {
        self.track.description.samples_of_frame(frame)
    }
}

/// Where decoding can start in a run: at its sync samples; of audio, the first will do.
fn entries_of(run: &Run, is_video: bool, fragment: u64, place: usize) -> Vec<Entry> {
    let mut time = run.decode_time;
    let mut entries = Vec::new();
    for (number, sample) in (1..).zip(&run.samples) {
        if sample.access == Access::Sync && (is_video || entries.is_empty()) {
            entries.push(Entry {
                time: time.saturating_add_signed(i64::from(sample.composition_offset)),
                fragment,
                run: place as u32 + 1,
                sample: number,
            });
        }
        time += u64::from(sample.duration);
    }
    entries
}
