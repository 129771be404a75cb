//! MPEG transport streams (ISO/IEC 13818-1) of segments that are there as CMAF, for players
//! that know no MP4.
//!
//! [`segment`] is a pure function of one segment of each track: it can be made when somebody
//! asks for it, in any order, by any server that has the media. So that one goes on where the
//! one before ended all the same, the packets of each program element are sixteen, or a
//! multiple of that: continuity counters, which have four bits, begin at 0 in all of them.
//!
//! H.264, HEVC, AAC, MP3, AC-3 and E-AC-3 have a place there.

mod elementary;
mod packets;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::mp4::Access;
use crate::mp4::read::{self, Located};
use elementary::Coding;
use packets::{Clock, Element, Packets, Pes};

/// Clock of transport streams in ticks per second (2.4.2.2).
const TICKS: u64 = 90_000;
/// Frames of sound are put together for so long, in ticks: heads are as long as they are.
const TOGETHER: u64 = TICKS / 5;
/// And for so long where sound has the clock.
const TOGETHER_WITH_CLOCK: u64 = TICKS * 8 / 100;
/// And up to so many bytes.
const TOGETHER_BYTES: usize = 2800;
/// Tables are repeated sixteen times in so many ticks, or oftener.
const TABLES: u64 = TICKS * 4;
/// And so often at most.
const MOST_TABLES: u64 = 64;

/// One track's segment.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The init segment that it needs.
    pub init: &'a [u8],
    /// Its parts in their order; those that are missing are empty.
    pub parts: &'a [Bytes],
    /// By so many ticks of the track pictures are decoded earlier than the parts tell
    /// ([`Part::reorder`](crate::packager::Part::reorder)).
    pub reorder: u32,
}

/// Why there is no transport stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoStream {
    /// MPEG-TS has no place for the coding, by its four characters, or for this form of it.
    #[error("MPEG-TS has no place for {}", String::from_utf8_lossy(.0))]
    Coding([u8; 4]),
    /// The init segment, or a part, is none that can be read.
    #[error("the media cannot be read")]
    Unreadable,
}

/// Whether a track can be in a transport stream, by its init segment.
///
/// # Errors
/// [`NoStream`].
pub fn fits(init: &[u8]) -> Result<(), NoStream> {
    Track::new(init).map(|_| ())
}

/// The segment of these tracks: the first has the clock. `version` counts what there is of
/// tracks and configurations; of its low bits tables tell.
///
/// # Errors
/// [`NoStream`], if that is so of any track.
pub fn segment(sources: &[Source<'_>], version: u8) -> Result<Vec<u8>, NoStream> {
    let mut tracks = Vec::new();
    let mut units = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        let track = Track::new(source.init)?;
        track.units(source, number, &mut units)?;
        tracks.push(track);
    }
    // As decoders need them; the clock's first.
    units.sort_by_key(|unit| (unit.dts, unit.track));
    let elements: Vec<Element> = tracks.iter().map(|track| track.coding.element()).collect();
    let start = units.first().map_or(0, |unit| unit.dts);
    let length = units.last().map_or(0, |unit| unit.dts - start);
    let tables = 16 * (length / TABLES + 1).min(MOST_TABLES);
    // How many are due at a time.
    let due = |dts: u64| {
        let due = u128::from(dts - start) * u128::from(tables) / u128::from(length + 1);
        u64::try_from(due).unwrap_or(tables) + 1
    };
    let mut packets = Packets::new(&elements, version);
    let mut clock = Clock::default();
    let mut told = 0;
    let last_of: Vec<Option<usize>> = (0..tracks.len())
        .map(|track| units.iter().rposition(|unit| unit.track == track))
        .collect();
    for (place, unit) in units.iter().enumerate() {
        while told < due(unit.dts) {
            packets.put_tables();
            told += 1;
        }
        clock.reach(unit.dts, &mut packets);
        let has_clock = unit.track == 0;
        let pes = Pes {
            pts: unit.pts,
            dts: unit.dts,
            is_random_access: unit.is_key,
            clock: has_clock.then(|| clock.tell(unit.dts)),
            data: &unit.data,
        };
        let is_last = last_of[unit.track] == Some(place);
        packets.put(unit.track, &pes, is_last);
    }
    for _ in told..tables {
        packets.put_tables();
    }
    Ok(packets.finish())
}

/// Frames that are sent together.
struct Unit {
    track: usize,
    pts: u64,
    dts: u64,
    is_key: bool,
    data: Vec<u8>,
}

struct Track {
    timescale: u32,
    coding: Coding,
}

impl Track {
    fn new(init: &[u8]) -> Result<Track, NoStream> {
        let header = read::track_header(init).ok_or(NoStream::Unreadable)?;
        Ok(Track {
            timescale: header.timescale,
            coding: Coding::new(&header)?,
        })
    }

    /// A time of the track on the clock of transport streams.
    fn ticks(&self, time: u64) -> u64 {
        let ticks = u128::from(time) * u128::from(TICKS) / u128::from(self.timescale);
        // Far beyond what lasts.
        u64::try_from(ticks).unwrap_or(0) & (u64::MAX >> 8)
    }

    fn units(
        &self,
        source: &Source<'_>,
        track: usize,
        units: &mut Vec<Unit>,
    ) -> Result<(), NoStream> {
        let together = match track {
            0 => TOGETHER_WITH_CLOCK,
            _ => TOGETHER,
        };
        let mut open: Option<(Unit, u64)> = None;
        for part in source.parts.iter().filter(|part| !part.is_empty()) {
            let samples = read::samples(part).ok_or(NoStream::Unreadable)?;
            for sample in samples {
                let bytes = part.get(sample.range.clone());
                let bytes = bytes.ok_or(NoStream::Unreadable)?;
                let mut unit = self.unit(&sample, source.reorder, track);
                let start = sample.decode_time;
                let end = start.saturating_add(sample.duration.into());
                let goes_on = |open: &(Unit, u64)| {
                    let (before, ended) = open;
                    !self.coding.is_video()
                        && *ended == start
                        && before.data.len() < TOGETHER_BYTES
                        && unit.dts < before.dts + together
                };
                if let Some((before, ended)) = open.as_mut().filter(|open| goes_on(open)) {
                    self.coding.put(bytes, false, &mut before.data)?;
                    *ended = end;
                    continue;
                }
                units.extend(open.take().map(|(before, _)| before));
                self.coding.put(bytes, unit.is_key, &mut unit.data)?;
                open = Some((unit, end));
            }
        }
        units.extend(open.map(|(unit, _)| unit));
        Ok(())
    }

    fn unit(&self, sample: &Located, reorder: u32, track: usize) -> Unit {
        let offset = i64::from(sample.composition_offset);
        let shown = sample.decode_time.saturating_add_signed(offset);
        let decoded = sample.decode_time.saturating_sub(reorder.into());
        let dts = self.ticks(decoded);
        Unit {
            track,
            dts,
            pts: self.ticks(shown).max(dts),
            is_key: sample.access != Access::None,
            data: Vec::new(),
        }
    }
}
