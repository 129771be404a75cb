//! One clock per stream, shared by audio, video and data.
//!
//! A track is judged against its own last time, never against another track: the
//! distance that an encoder puts between audio and video is part of what it sends. A
//! time that does not follow from the one before is suspect. What comes next tells
//! whether it stood alone or the track's clock was set: then the track goes on from
//! where it was. A suspect time is replaced by the one that was to be expected, so that
//! no track ever goes back or stands still while its publisher's clock goes on.

use openrtmp_protocol::Time;
use openrtmp_protocol::session::MediaKind;

#[cfg(test)]
mod tests;

/// A step of more than this is a gap, worth a log line, if the time that passed
/// accounts for it. Milliseconds, like all here.
const GAP: i64 = 1_000;

/// A message so much before the one in front of it is out of order, as pictures are
/// that carry the time they are shown at; no clock was set back.
const JITTER: i64 = 500;

/// Tracks this far apart at their first messages are not meant to be.
const APART: i64 = 10_000;

/// So much time that passed without media may be caught up with at once.
const CATCH_UP: i64 = 60_000;

/// A step this many times as long as the usual one is unusual.
const UNUSUAL: i64 = 3;

/// Something odd about the times of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Irregularity {
    pub(crate) kind: MediaKind,
    pub(crate) track: u8,
    pub(crate) what: Oddity,
}

/// What was odd. Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// The track had no frame for more than a second, and the time passed.
    Gap(i64),
    /// The track's clock was set by so much; it goes on as if it had not been.
    Rebased(i64),
    /// One message was off by so much; it got the time that was its turn.
    Stray(i64),
    /// The track began so far from the others; it begins where they are.
    Apart(i64),
}

/// Maps a publisher's timestamps to the stream's.
#[derive(Debug)]
pub(crate) struct StreamClock {
    tracks: Vec<Track>,
    /// Place of the track that was stamped last.
    current: usize,
    /// The newest stream time handed out.
    newest: Option<i64>,
    newest_at: Time,
}

#[derive(Debug)]
struct Track {
    kind: MediaKind,
    id: u8,
    /// The newest stream time handed out on it, by whichever publisher.
    last: Option<i64>,
    /// `None` until the present publisher has sent something on it.
    source: Option<Source>,
}

/// The present publisher's clock of a track.
#[derive(Clone, Copy, Debug)]
struct Source {
    /// What its last message said.
    timestamp: u32,
    /// Its last time that was believed, on an axis of 64 bits.
    last_in: i64,
    /// Added to its time to get the stream's.
    offset: i64,
    /// When its last message came.
    at: Time,
    /// Time that passed and that its timestamps have not covered yet.
    lag: i64,
    /// The newest time of the other tracks then.
    others: i64,
    /// Its usual step.
    cadence: Option<i64>,
    /// The message before did not follow from those before it.
    suspect: Option<Suspect>,
}

/// A message whose time was not believed.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    time_in: i64,
    /// The time it was given.
    out: i64,
}

impl Suspect {
    /// The offset that holds if its time is right.
    fn offset(&self) -> i64 {
        self.out - self.time_in
    }
}

impl StreamClock {
    pub(crate) fn new() -> StreamClock {
        StreamClock {
            tracks: Vec::new(),
            current: 0,
            newest: None,
            newest_at: Time::ZERO,
        }
    }

    /// Another publisher takes over: its first frame continues the clock.
    pub(crate) fn restart(&mut self) {
        self.tracks.iter_mut().for_each(|track| track.source = None);
    }

    /// The newest stream time in milliseconds.
    pub(crate) fn newest(&self) -> i64 {
        self.newest.unwrap_or(0)
    }

    /// Whether the present publisher has sent a frame.
    pub(crate) fn is_running(&self) -> bool {
        self.tracks.iter().any(|track| track.source.is_some())
    }

    /// The stream time of a frame, and what was odd about its own. A stream's first
    /// frame keeps its time, or is at zero if `from_zero`.
    pub(crate) fn stamp(
        &mut self,
        kind: MediaKind,
        track: u8,
        timestamp: u32,
        from_zero: bool,
        now: Time,
    ) -> (u32, Option<Irregularity>) {
        let index = self.place(kind, track);
        let (out, odd) = match self.tracks[index].source {
            Some(source) => {
                let (out, what) = self.go_on(index, source, timestamp, now);
                (out, what.map(|what| Irregularity { kind, track, what }))
            }
            None => self.begin(index, timestamp, from_zero, now),
        };
        self.tracks[index].last = Some(out);
        self.current = index;
        if self.newest.is_none_or(|newest| out > newest) {
            self.newest = Some(out);
            self.newest_at = now;
        }
        (wire(out), odd)
    }

    /// The stream time of a message that is no frame. Encoders put headers and
    /// metadata at zero in the middle of a stream: a time that is near no track's says
    /// nothing, and the newest frame's serves instead.
    pub(crate) fn stamp_headers(&self, timestamp: u32) -> u32 {
        let near = self.tracks.iter().find_map(|track| {
            let (source, last) = (track.source?, track.last?);
            let out = nearest(last, timestamp.wrapping_add(source.offset as u32));
            (out - last).abs().le(&GAP).then_some(out)
        });
        wire(near.unwrap_or(self.newest()))
    }

    fn place(&mut self, kind: MediaKind, id: u8) -> usize {
        let is_it = |track: &Track| (track.kind, track.id) == (kind, id);
        self.tracks.iter().position(is_it).unwrap_or_else(|| {
            self.tracks.push(Track {
                kind,
                id,
                last: None,
                source: None,
            });
            self.tracks.len() - 1
        })
    }

    /// A publisher's first message on a track. What was odd may be another track's.
    fn begin(
        &mut self,
        index: usize,
        timestamp: u32,
        from_zero: bool,
        now: Time,
    ) -> (i64, Option<Irregularity>) {
        let time_in = i64::from(timestamp as i32);
        let mut odd = self.believe_suspect(timestamp);
        let current = self.tracks.get(self.current).and_then(|track| track.source);
        let running = current.or_else(|| self.tracks.iter().find_map(|track| track.source));
        let mut out = match (running, self.newest) {
            // Nearest, so that tracks on both sides of the wrap at 2^32 are not apart.
            (Some(source), Some(newest)) => {
                let out = nearest(newest, timestamp.wrapping_add(source.offset as u32));
                let apart = out - newest;
                if apart.abs() > APART {
                    let (kind, track) = (self.tracks[index].kind, self.tracks[index].id);
                    let what = Oddity::Apart(apart);
                    odd = Some(Irregularity { kind, track, what });
                    newest
                } else {
                    out
                }
            }
            // A republish continues where the stream was.
            (_, Some(_)) => self.continuation(now),
            // Some encoders (DJI) begin below zero.
            (_, None) if from_zero || time_in < 0 => 0,
            (_, None) => time_in,
        };
        // What would be before the track's last publisher, or below zero, moves the
        // others on with it: their distance stays.
        let least = self.tracks[index].last.map_or(0, |last| last + 1);
        if out < least {
            self.move_on(least - out);
            out = least;
        }
        self.tracks[index].source = Some(Source {
            timestamp,
            last_in: time_in,
            offset: out - time_in,
            at: now,
            lag: 0,
            others: self.newest_of_others(index),
            cadence: None,
            suspect: None,
        });
        (out, odd)
    }

    /// A track begins. If its time is near the others' by what the clock of one of them seems
    /// to have been set by, and nearer than without, that was no stray.
    fn believe_suspect(&mut self, timestamp: u32) -> Option<Irregularity> {
        let newest = self.newest?;
        let apart = |offset: i64| {
            let out = nearest(newest, timestamp.wrapping_add(offset as u32));
            (out - newest).abs()
        };
        self.tracks.iter_mut().find_map(|track| {
            let source = track.source.as_mut()?;
            let suspect = source.suspect?;
            let by_it = apart(suspect.offset());
            let is_right = by_it <= APART && by_it < apart(source.offset);
            is_right.then(|| Irregularity {
                kind: track.kind,
                track: track.id,
                what: Oddity::Rebased(source.believe(suspect)),
            })
        })
    }

    /// Moves all that the present publisher sends on by so much.
    fn move_on(&mut self, by: i64) {
        let sources = self.tracks.iter_mut().filter_map(|t| t.source.as_mut());
        for source in sources {
            source.offset += by;
            if let Some(suspect) = &mut source.suspect {
                suspect.out += by;
            }
        }
    }

    /// Where the stream's clock stands now: the newest frame's time plus the time
    /// that passed since, at least a millisecond.
    fn continuation(&self, now: Time) -> i64 {
        self.newest() + milliseconds(self.newest_at, now).max(1)
    }

    fn go_on(
        &mut self,
        index: usize,
        mut source: Source,
        timestamp: u32,
        now: Time,
    ) -> (i64, Option<Oddity>) {
        // Nearest to the last one, so that a wrap at 2^32 is a step like any other.
        let time_in = nearest(source.last_in, timestamp);
        let step = time_in - source.last_in;
        let passed = milliseconds(source.at, now);
        let odd = match source.suspect {
            None if (0..=GAP).contains(&step) => {
                source.follow(time_in, passed);
                None
            }
            _ => self.judge(index, &mut source, timestamp, passed),
        };
        source.at = now;
        source.others = self.newest_of_others(index);
        let is_same = std::mem::replace(&mut source.timestamp, timestamp) == timestamp;
        let track = &mut self.tracks[index];
        let last = track.last.unwrap_or(i64::MIN);
        let out = match source.suspect {
            Some(suspect) => suspect.out,
            None => source.last_in + source.offset,
        };
        track.source = Some(source);
        // A message out of order, or one behind it.
        let is_behind = out < last || (out == last && !is_same);
        (if is_behind { last + 1 } else { out }, odd)
    }

    /// A time that is no ordinary step, or behind one: what to make of it.
    fn judge(
        &mut self,
        index: usize,
        source: &mut Source,
        timestamp: u32,
        passed: i64,
    ) -> Option<Oddity> {
        let time_in = nearest(source.last_in, timestamp);
        let step = time_in - source.last_in;
        if let Some(suspect) = source.suspect.take() {
            // More of the same frame tells nothing.
            if timestamp == source.timestamp {
                source.suspect = Some(suspect);
                return None;
            }
            let off = source.off(suspect);
            let covered = suspect.out - source.last_in - source.offset;
            let since = passed + covered.max(0);
            if source.is_ordinary(step, since) {
                source.follow(time_in, since);
                return Some(Oddity::Stray(off));
            }
            let first = suspect.time_in - source.last_in;
            let time_in = nearest(suspect.time_in, timestamp);
            let step = time_in - suspect.time_in;
            if source.is_ordinary(step, passed) {
                if self.is_with_others(index, source, suspect) {
                    source.last_in = suspect.time_in;
                    source.follow(time_in, passed);
                    return Some(Oddity::Gap(first));
                }
                source.believe(suspect);
                source.follow(time_in, passed);
                return Some(Oddity::Rebased(off));
            }
            // As far each time: a slow track, a picture every few seconds, that comes
            // faster than it is to be shown.
            let is_slow = (1..=CATCH_UP).contains(&first);
            if is_slow && (first / UNUSUAL..=first * UNUSUAL).contains(&step) {
                source.last_in = suspect.time_in;
                source.cadence = None;
                source.follow(time_in, passed);
                return Some(Oddity::Gap(step));
            }
        } else if (-JITTER..0).contains(&step) {
            source.wait(passed);
            return None;
        }
        let last = self.tracks[index].last.unwrap_or_default();
        let expected = last + source.expected_step(passed);
        let own = source.offset;
        if let Some((offset, confirmed)) =
            self.offset_of_others(index, timestamp, expected, last, own)
        {
            let off = time_in + source.offset - expected;
            source.offset = nearest(expected, timestamp.wrapping_add(offset as u32)) - time_in;
            source.last_in = time_in;
            return confirmed.then_some(Oddity::Rebased(off));
        }
        // It was silent while the others went on.
        let others = self.newest_of_others(index) - source.others;
        if source.is_ordinary(step, passed) || (0..=others.saturating_add(GAP)).contains(&step) {
            source.follow(time_in, passed);
            return Some(Oddity::Gap(step));
        }
        source.suspect = Some(Suspect {
            time_in,
            out: expected,
        });
        None
    }

    /// Whether a track that was far behind the others is with them by what it says now. One
    /// publisher follows another at the server that this stream comes from, say, whose
    /// clock goes on for both where the track that was ahead had been.
    fn is_with_others(&self, index: usize, source: &Source, suspect: Suspect) -> bool {
        let others = self.newest_of_others(index);
        let before = others - source.last_in - source.offset;
        let now = others - suspect.time_in - source.offset;
        before > GAP && now.abs() <= GAP.min(before / 2)
    }

    /// Another track's clock was set too, or seems to have been: the offset that brings
    /// this one to where it is expected, and whether that track is now believed.
    fn offset_of_others(
        &mut self,
        index: usize,
        timestamp: u32,
        expected: i64,
        last: i64,
        own: i64,
    ) -> Option<(i64, bool)> {
        let fits = |offset: i64| {
            let out = nearest(expected, timestamp.wrapping_add(offset as u32));
            offset != own && (out - expected).abs() <= GAP && out > last - JITTER
        };
        let others = self.tracks.iter_mut().enumerate();
        let others = others.filter(|(place, _)| *place != index);
        for source in others.filter_map(|(_, track)| track.source.as_mut()) {
            if let Some(suspect) = source.suspect
                && fits(suspect.offset())
            {
                source.believe(suspect);
                return Some((source.offset, true));
            }
            if fits(source.offset) {
                return Some((source.offset, false));
            }
        }
        None
    }

    /// The newest time of the publisher's other tracks.
    fn newest_of_others(&self, index: usize) -> i64 {
        let others = self.tracks.iter().enumerate();
        let others = others.filter(|(place, track)| *place != index && track.source.is_some());
        others
            .filter_map(|(_, track)| track.last)
            .max()
            .unwrap_or(0)
    }
}

impl Source {
    /// How far a suspect message is from its turn.
    fn off(&self, suspect: Suspect) -> i64 {
        suspect.time_in + self.offset - suspect.out
    }

    /// The clock was set: the track goes on from there. By how much it was.
    fn believe(&mut self, suspect: Suspect) -> i64 {
        let off = self.off(suspect);
        self.offset = suspect.offset();
        self.last_in = suspect.time_in;
        self.suspect = None;
        off
    }

    /// Takes a time that follows from the one before.
    fn follow(&mut self, time_in: i64, passed: i64) {
        let step = time_in - self.last_in;
        self.last_in = time_in;
        // Two clocks that do not run alike are no stall.
        let more = passed - step;
        if !(0..=JITTER).contains(&more) {
            self.lag = (self.lag + more).clamp(0, CATCH_UP);
        }
        let is_usual = |cadence: i64| step <= cadence * UNUSUAL;
        if step > 0 && self.cadence.is_none_or(is_usual) {
            self.cadence = Some(step);
        }
    }

    /// Time passed, and the track's clock stood.
    fn wait(&mut self, passed: i64) {
        self.lag = (self.lag + passed).min(CATCH_UP);
    }

    /// Whether a step is a small one, or usual, or one that the time that passed
    /// accounts for.
    fn is_ordinary(&self, step: i64, passed: i64) -> bool {
        let usual = (self.cadence.unwrap_or(0) * UNUSUAL).min(CATCH_UP);
        (0..=usual.max(self.lag + passed + GAP)).contains(&step)
    }

    /// How far the next message is expected to be.
    fn expected_step(&self, passed: i64) -> i64 {
        match passed > GAP {
            true => passed,
            false => self.cadence.unwrap_or(passed).clamp(1, GAP),
        }
    }
}

/// Milliseconds between two moments.
fn milliseconds(from: Time, to: Time) -> i64 {
    let micros = to.as_micros().saturating_sub(from.as_micros());
    i64::try_from(micros / 1000).unwrap_or(i64::MAX / 2)
}

/// The time nearest to another of which these are the low 32 bits.
fn nearest(to: i64, low: u32) -> i64 {
    to + i64::from(low.wrapping_sub(to as u32) as i32)
}

/// The wire carries 32 bits; the mask is the wrap of RTMP 1.0 section 5.3.1.1.
fn wire(time: i64) -> u32 {
    (time & 0xFFFF_FFFF) as u32
}
