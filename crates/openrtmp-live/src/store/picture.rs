//! The newest picture of a stream, by itself: what a browser can show without playing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use openrtmp_media::mp4::{Codec, Content, Frame, Mp4Writer, TrackName};

use super::Budget;

/// The newest key frame of a stream's first video track.
#[derive(Debug, Default)]
pub(crate) struct Pictures(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The track, how it is coded, and its header.
    header: Option<(TrackName, Codec, Bytes)>,
    key: Option<Frame<Bytes>>,
    /// Of key frames so far.
    count: u64,
    /// What was made of the newest, once somebody wanted it.
    made: Option<Picture>,
}

/// An MP4 file of one sample.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    /// Counts the pictures of a stream.
    pub(crate) number: u64,
    /// Its bytes, in pieces.
    pub(crate) pieces: Arc<[Bytes]>,
}

impl Pictures {
    /// A track's header.
    pub(crate) fn configure(&self, track: TrackName, codec: Codec, header: &Bytes) {
        let mut state = self.lock();
        let is_first = |(first, ..): &(TrackName, Codec, Bytes)| track <= *first;
        if !track.is_video() || !state.header.as_ref().is_none_or(is_first) {
            return;
        }
        let header = (track, codec, header.clone());
        if state.header.as_ref() != Some(&header) {
            state.header = Some(header);
            (state.key, state.made) = (None, None);
        }
    }

    /// A frame at which decoding can start. No byte is copied; they are counted as long as
    /// anybody has them.
    pub(crate) fn push(&self, frame: &Frame<Bytes>, budget: &Arc<Budget>) {
        let mut state = self.lock();
        // AV1 and the like may have their headers in the key frame, and no other.
        let is_of_it = match &state.header {
            Some((track, codec, _)) => (*track, *codec) == (frame.track, frame.codec),
            None => frame.track.is_video(),
        };
        if is_of_it && frame.content == Content::Key {
            if state.header.is_none() {
                state.header = Some((frame.track, frame.codec, Bytes::new()));
            }
            let mut key = frame.clone();
            key.data = budget.counted(key.data, frame.data.len());
            state.key = Some(key);
            state.made = None;
            state.count += 1;
        }
    }

    /// Another publisher goes on, whose headers come.
    pub(crate) fn restart(&self) {
        let mut state = self.lock();
        (state.header, state.key, state.made) = (None, None, None);
    }

    /// The number of the newest, if there is one.
    pub(crate) fn number(&self) -> Option<u64> {
        let state = self.lock();
        state.key.as_ref().map(|_| state.count)
    }

    /// The newest; none if there is none, or MP4 has no place for it.
    pub(crate) fn newest(&self) -> Option<Picture> {
        let mut state = self.lock();
        if state.made.is_none() {
            let made = state.make();
            state.made = made;
        }
        state.made.clone()
    }

    /// Bytes that it keeps.
    pub(crate) fn held_bytes(&self) -> u64 {
        let state = self.lock();
        state.key.as_ref().map_or(0, |key| key.data.len() as u64)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn make(&self) -> Option<Picture> {
        let (track, codec, header) = self.header.as_ref()?;
        let key = self.key.clone()?;
        let mut writer = Mp4Writer::new(key.dts);
        if !header.is_empty() {
            writer.configure(*track, *codec, header).ok()?;
        }
        let pushed = writer.push(key).ok()?;
        let piece = match pushed {
            Some(piece) => piece,
            None => writer.flush().ok()??,
        };
        let pieces = std::iter::once(Bytes::from(piece.header)).chain(piece.data);
        Some(Picture {
            number: self.count,
            pieces: pieces.collect(),
        })
    }
}
