//! Fragments: `moof`, and the head of the `mdat` behind it.

use super::boxes::{put, put_full, put_u32, put_u64};

/// Whether decoding can start with a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A sync sample: all that comes behind it can be decoded without what is before
    /// (ISO/IEC 14496-12, 8.6.2; stream access points of type 1 and 2 in annex I).
    Sync,
    /// No sync sample, but all that is shown from it on can be decoded. What comes behind it
    /// and is shown before it may need earlier ones (type 3): a GOP is open.
    Open,
    /// It cannot.
    None,
}

/// What a fragment tells of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Until the next sample is to be decoded, in the track's ticks.
    pub duration: u32,
    /// Bytes.
    pub size: u32,
    /// From decoding to presentation, in the track's ticks; may be negative.
    pub composition_offset: i32,
    /// Whether decoding can start here.
    pub access: Access,
}

/// Samples of one track that follow each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The track's.
    pub track: u32,
    /// When the first sample is to be decoded, in the track's ticks.
    pub decode_time: u64,
    /// The samples, one at least.
    pub samples: Vec<Sample>,
}

impl Run {
    fn bytes(&self) -> u64 {
        self.samples
            .iter()
            .map(|sample| u64::from(sample.size))
            .sum()
    }

    /// From the first sample's decoding to the end of the last, in the track's ticks.
    pub fn duration(&self) -> u64 {
        self.samples
            .iter()
            .map(|sample| u64::from(sample.duration))
            .sum()
    }
}

/// `moof` and the head of `mdat` of a fragment with these runs. The samples' bytes are to
/// follow, those of the first run first.
///
/// `sequence` goes up from fragment to fragment. `None` if the samples are more than 2 GiB,
/// which is what offsets can tell.
pub fn fragment_header(sequence: u32, runs: &[Run]) -> Option<Vec<u8>> {
    const MDAT_HEADER: u64 = 8;
    let data: u64 = runs.iter().map(Run::bytes).sum();
    let mut out = Vec::new();
    // Where the data offset of each run stands.
    let mut offsets = Vec::new();
    put(&mut out, b"moof", |out| {
        put_full(out, b"mfhd", 0, 0, |out| put_u32(out, sequence));
        for run in runs {
            put(out, b"traf", |out| offsets.push(put_run(out, run)));
        }
    });
    let mut at = out.len() as u64 + MDAT_HEADER;
    i32::try_from(at + data).ok()?;
    for (run, offset) in runs.iter().zip(offsets) {
        out[offset..offset + 4].copy_from_slice(&(at as u32).to_be_bytes());
        at += run.bytes();
    }
    put_u32(&mut out, (MDAT_HEADER + data) as u32);
    out.extend(b"mdat");
    Some(out)
}

/// `prft` (ISO/IEC 14496-12, 8.16.5), which goes in front of a fragment: the wall time, in
/// microseconds since 1970, at which the encoder gave out what is shown at this time of the
/// track, in ticks.
pub fn producer_reference(track: u32, wall: i64, time: u64) -> Vec<u8> {
    /// The time that the encoder's output has.
    const ENCODER_OUTPUT: u32 = 1;
    /// NTP counts from 1900 (RFC 5905, 6).
    const TO_1970: u64 = 2_208_988_800;
    let wall = u64::try_from(wall).unwrap_or(0);
    // The era is left out, as NTP does.
    let seconds = (wall / 1_000_000 + TO_1970) as u32;
    let fraction = ((wall % 1_000_000) << 32) / 1_000_000;
    let mut out = Vec::new();
    put_full(&mut out, b"prft", 1, ENCODER_OUTPUT, |out| {
        put_u32(out, track);
        put_u64(out, u64::from(seconds) << 32 | fraction);
        put_u64(out, time);
    });
    out
}

/// Something that is said at a time (ISO/IEC 23009-1, 5.10.3.3), in front of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventMessage<'a> {
    /// Ticks per second.
    pub timescale: u32,
    /// When, in ticks of presentation.
    pub time: u64,
    /// The same number means the same event.
    pub id: u32,
    /// A URI: who knows what it means.
    pub scheme: &'a str,
    /// What it is within that.
    pub value: &'a str,
    /// What is said.
    pub data: &'a [u8],
}

impl EventMessage<'_> {
    /// Adds its box, `emsg` of version 1. It lasts no time.
    pub fn put(&self, out: &mut Vec<u8>) {
        put_full(out, b"emsg", 1, 0, |out| {
            put_u32(out, self.timescale);
            put_u64(out, self.time);
            put_u32(out, 0);
            put_u32(out, self.id);
            for text in [self.scheme, self.value] {
                out.extend(text.as_bytes());
                out.push(0);
            }
            out.extend(self.data);
        });
    }
}

// sample_flags (ISO/IEC 14496-12, 8.8.3.1).
/// sample_depends_on 2: on none.
const ALONE: u32 = 0x0200_0000;
/// sample_depends_on 1: on others.
const DEPENDS: u32 = 0x0100_0000;
/// sample_is_non_sync_sample.
const NO_SYNC: u32 = 0x0001_0000;

impl Access {
    fn flags(self) -> u32 {
        match self {
            Access::Sync => ALONE,
            Access::Open => ALONE | NO_SYNC,
            Access::None => DEPENDS | NO_SYNC,
        }
    }

    /// What sample flags say.
    pub(crate) fn of_flags(flags: u32) -> Access {
        match (flags & (DEPENDS | NO_SYNC), flags & ALONE) {
            (0, _) => Access::Sync,
            (NO_SYNC, ALONE) => Access::Open,
            _ => Access::None,
        }
    }
}

/// Fields that all samples have alike are told once. Returns where the data offset stands.
fn put_run(out: &mut Vec<u8>, run: &Run) -> usize {
    // tfhd (8.8.7)
    const DURATION_FOR_ALL: u32 = 0x8;
    const SIZE_FOR_ALL: u32 = 0x10;
    const FLAGS_FOR_ALL: u32 = 0x20;
    const BASE_IS_MOOF: u32 = 0x2_0000;
    // trun (8.8.8)
    const DATA_OFFSET: u32 = 0x1;
    const DURATIONS: u32 = 0x100;
    const SIZES: u32 = 0x200;
    const FLAGS: u32 = 0x400;
    const COMPOSITION_OFFSETS: u32 = 0x800;

    let durations = common(run, |sample| sample.duration);
    let sizes = common(run, |sample| sample.size);
    let all_flags = common(run, |sample| sample.access.flags());
    let has_offsets = run
        .samples
        .iter()
        .any(|sample| sample.composition_offset != 0);
    let when = |is: bool, flag: u32| if is { flag } else { 0 };

    let for_all = BASE_IS_MOOF
        | when(durations.is_some(), DURATION_FOR_ALL)
        | when(sizes.is_some(), SIZE_FOR_ALL)
        | when(all_flags.is_some(), FLAGS_FOR_ALL);
    put_full(out, b"tfhd", 0, for_all, |out| {
        put_u32(out, run.track);
        for value in [durations, sizes, all_flags].into_iter().flatten() {
            put_u32(out, value);
        }
    });
    put_full(out, b"tfdt", 1, 0, |out| put_u64(out, run.decode_time));
    let for_each = DATA_OFFSET
        | when(durations.is_none(), DURATIONS)
        | when(sizes.is_none(), SIZES)
        | when(all_flags.is_none(), FLAGS)
        | when(has_offsets, COMPOSITION_OFFSETS);
    let mut offset_at = 0;
    // Version 1: composition offsets have a sign.
    put_full(out, b"trun", 1, for_each, |out| {
        put_u32(out, run.samples.len() as u32);
        offset_at = out.len();
        put_u32(out, 0);
        for sample in &run.samples {
            if durations.is_none() {
                put_u32(out, sample.duration);
            }
            if sizes.is_none() {
                put_u32(out, sample.size);
            }
            if all_flags.is_none() {
                put_u32(out, sample.access.flags());
            }
            if has_offsets {
                put_u32(out, sample.composition_offset as u32);
            }
        }
    });
    offset_at
}

/// What all samples have alike.
fn common(run: &Run, field: impl Fn(&Sample) -> u32) -> Option<u32> {
    let first = field(run.samples.first()?);
    run.samples
        .iter()
        .all(|sample| field(sample) == first)
        .then_some(first)
}
