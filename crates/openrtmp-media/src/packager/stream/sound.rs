//! Frames on their way to their tracks: those of sound wait until it is known when they are.

use super::{JUMP, Packager};
use crate::mp4::TrackName;
use crate::packager::Event;
use crate::packager::track::{Held, Track};

impl<D: AsRef<[u8]>> Packager<D> {
    /// The next frame of a track, once it is known when it is.
    pub(super) fn take(&mut self, held: Held<D>, wall: i64, out: &mut Vec<Event>) {
        let name = held.frame.track;
        if name.is_video() {
            return self.take_timed(held, wall, out);
        }
        let Some(track) = self.tracks.iter_mut().find(|track| track.name == name) else {
            return;
        };
        let length = track.length_of(held.frame.data.as_ref());
        track.steady.push(held, wall, length, JUMP);
        self.take_ready(name, out);
    }

    /// The frames of a track of which it is known when they are.
    fn take_ready(&mut self, name: TrackName, out: &mut Vec<Event>) {
        let find = |is: &&mut Track<D>| is.name == name;
        while let Some(track) = self.tracks.iter_mut().find(find)
            && let Some((held, wall)) = track.steady.pop()
        {
            self.take_timed(held, wall, out);
        }
    }

    /// No more frames are waited for to tell when those are that came.
    pub(super) fn settle_times(&mut self, out: &mut Vec<Event>) {
        let names: Vec<TrackName> = self.tracks.iter().map(|track| track.name).collect();
        for name in names {
            if let Some(track) = self.tracks.iter_mut().find(|track| track.name == name) {
                track.steady.settle();
            }
            self.take_ready(name, out);
        }
    }
}
