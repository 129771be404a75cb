//! How late a server itself is told of a stream: what comes late there no player can show.

use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openrtmp_core::client::MediaKind;
use openrtmp_core::{FrameContent, Tap, TapCloser, TapEvent};

use crate::Delivered;

/// A frame is held against those of its track that many milliseconds before it: a publisher that
/// fell behind and stays there is late once, and not for ever.
const MEMORY: f64 = 2000.0;
/// It looks for the end of the stream so often.
const PATIENCE: Duration = Duration::from_secs(1);

/// Notes when each frame of a stream, of pictures and of sound, comes to the server.
#[derive(Debug)]
pub struct Pulse {
    closer: TapCloser,
    following: JoinHandle<Vec<Came>>,
}

/// Something that should have been there earlier: a frame, or the time of a page. In
/// milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Late {
    /// When it was due.
    pub from: f64,
    /// When it came.
    pub to: f64,
}

impl Late {
    /// By how many milliseconds.
    pub fn length(&self) -> f64 {
        self.to - self.from
    }
}

/// A frame: of which track, its time, and when it came, in milliseconds.
#[derive(Debug)]
pub(crate) struct Came {
    pub(crate) track: (MediaKind, u8),
    pub(crate) time: f64,
    pub(crate) at: f64,
}

impl Came {
    fn delay(&self) -> f64 {
        self.at - self.time
    }
}

impl Pulse {
    /// Begins to follow a stream.
    pub fn of(delivered: &Delivered, path: &str) -> Pulse {
        let tap = delivered.server().core().tap(path);
        let closer = tap.closer();
        let following = thread::spawn(move || follow(tap));
        Pulse { closer, following }
    }

    /// The frames that came later than the most punctual of their track shortly before.
    ///
    /// # Panics
    /// If it was not followed.
    pub fn late(self) -> Vec<Late> {
        self.closer.close();
        late(&self.following.join().expect("it was followed"))
    }
}

fn follow(mut tap: Tap) -> Vec<Came> {
    let mut came = Vec::new();
    while !tap.is_closed() {
        let Some(TapEvent::Frame(frame)) = tap.recv(PATIENCE) else {
            continue;
        };
        // Headers are told again whenever somebody comes.
        if !matches!(frame.content, FrameContent::Key | FrameContent::Inter) {
            continue;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        came.push(Came {
            track: (frame.kind, frame.track),
            time: frame.dts_micros as f64 / 1000.0,
            at: now.unwrap_or_default().as_secs_f64() * 1000.0,
        });
    }
    came
}

pub(crate) fn late(came: &[Came]) -> Vec<Late> {
    let late = |(place, frame): (usize, &Came)| {
        let before = came[..place].iter().rev();
        // By their times: while nothing comes there is nothing to be held against.
        let least = before
            .filter(|it| it.track == frame.track)
            .take_while(|it| (frame.time - it.time).abs() <= MEMORY)
            .map(Came::delay)
            .fold(frame.delay(), f64::min);
        Late {
            from: frame.time + least,
            to: frame.at,
        }
    };
    let all = came.iter().enumerate().map(late);
    all.filter(|it| it.from < it.to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_track_is_held_against_itself() {
        let frame = |kind, time, at| Came {
            track: (kind, 0),
            time,
            at,
        };
        let (video, audio) = (MediaKind::Video, MediaKind::Audio);
        let came = [
            frame(video, 0.0, 1000.0),
            frame(audio, 0.0, 1200.0),
            frame(video, 100.0, 1500.0),
            frame(audio, 100.0, 1300.0),
        ];
        let expected = Late {
            from: 1100.0,
            to: 1500.0,
        };
        assert_eq!(late(&came), [expected]);
    }
}
