//! What keeps viewers of a stream from getting all of it, or from getting it in time: told in
//! the log, once for each run of the stream.

use openrtmp_core::StreamName;
use openrtmp_media::mp4::TrackName;

/// One such thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Oddity {
    /// Nothing came that playing can begin with.
    Unplayable,
    /// No key frame came within the target duration.
    LongGop,
    /// A track becomes another again and again.
    Recoded { track: TrackName, times: u32 },
    /// A track has no place in MP4.
    Unsupported(TrackName),
    /// There is no room for all that is older than the window.
    ShortPast,
    /// There is no room but for the newest.
    LeastPast,
}

impl Oddity {
    pub(super) fn report(self, name: &StreamName) {
        match self {
            Oddity::Unplayable => {
                log::warn!(stream:% = name; "{name} cannot be watched over HTTP: nothing came that playing can begin with, a key frame for example");
            }
            Oddity::LongGop => {
                log::warn!(stream:% = name; "viewers of {name} begin late, and low latency suffers: it has no key frame within the target duration");
            }
            Oddity::Recoded { track, times } => {
                log::warn!(stream:% = name, track:? = track, times; "a track of {name} was coded anew {times} times: players begin anew each time");
            }
            Oddity::Unsupported(track) => {
                log::warn!(stream:% = name, track:? = track; "a track of {name} is not delivered in HLS and DASH: MP4 has no place for it");
            }
            Oddity::ShortPast => {
                log::info!(stream:% = name; "viewers of {name} cannot go back as far as http.dvr.duration says: there is no room for it in http.memory");
            }
            Oddity::LeastPast => {
                log::warn!(stream:% = name; "viewers of {name} can go back less from now on: http.memory is full");
            }
        }
    }
}

/// What was found of a stream.
#[derive(Debug, Default)]
pub(super) struct Oddities {
    known: Vec<Oddity>,
    /// Those of them that are taken.
    told: usize,
}

impl Oddities {
    pub(super) fn note(&mut self, oddity: Oddity) {
        if !self.known.contains(&oddity) {
            self.known.push(oddity);
        }
    }

    pub(super) fn has(&self, oddity: Oddity) -> bool {
        self.known.contains(&oddity)
    }

    /// What is to be told.
    pub(super) fn take(&mut self) -> &[Oddity] {
        let told = std::mem::replace(&mut self.told, self.known.len());
        &self.known[told..]
    }
}
