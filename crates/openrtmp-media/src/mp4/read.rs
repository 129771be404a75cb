//! Files of one track read back, as they are written here: what its samples are, and where
//! they are. Whatever else is given is refused or passed over; nothing is believed of it.

use std::ops::Range;

use super::fragment::Access;

/// A track is in boxes that are so deep in each other.
const TO_SAMPLES: [&[u8; 4]; 6] = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"];
const TO_HEADER: [&[u8; 4]; 4] = [b"moov", b"trak", b"mdia", b"mdhd"];
/// Fields of a sample entry before the boxes in it (ISO/IEC 14496-12, 12.1.3 and 12.2.3).
const VIDEO_FIELDS: usize = 78;
const AUDIO_FIELDS: usize = 28;

/// Bytes of a sample and of what is told of it, at least.
const LEAST_SAMPLE: usize = 4;

/// What a track's samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TrackHeader<'a> {
    /// Ticks per second, not 0.
    pub(crate) timescale: u32,
    /// Name of the sample entry.
    pub(crate) coding: [u8; 4],
    /// What is in the box of its configuration, `avcC` and the like; nothing without one.
    pub(crate) configuration: &'a [u8],
}

/// A sample of a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    /// When it is to be decoded, in ticks.
    pub(crate) decode_time: u64,
    /// From then to when it is shown.
    pub(crate) composition_offset: i32,
    pub(crate) duration: u32,
    pub(crate) access: Access,
    /// Where it is in what was read.
    pub(crate) range: Range<usize>,
}

/// The boxes that follow each other: names, and what is in them.
pub(crate) fn boxes(mut rest: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (size, name) = (rest.first_chunk::<4>()?, rest.get(4..8)?);
        let size = usize::try_from(u32::from_be_bytes(*size)).ok()?;
        let body = rest.get(8..size)?;
        let name = name.try_into().ok()?;
        rest = &rest[size..];
        Some((name, body))
    })
}

/// What is in the first box of each of these names, in each other.
fn find<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(bytes, |bytes, name| {
        boxes(bytes)
            .find(|(is, _)| is == *name)
            .map(|(_, body)| body)
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_be_bytes(*four))
}

/// Tracks of an init segment.
#[cfg(any(test, feature = "check"))]
pub(crate) fn track_count(init: &[u8]) -> usize {
    let tracks = boxes(find(init, &[b"moov"]).unwrap_or_default());
    tracks.filter(|(name, _)| name == b"trak").count()
}

/// The first track of an init segment.
pub(crate) fn track_header(init: &[u8]) -> Option<TrackHeader<'_>> {
    let header = find(init, &TO_HEADER)?;
    let timescale = match header.first()? {
        0 => u32_at(header, 12)?,
        _ => u32_at(header, 20)?,
    };
    // Version, flags, and how many there are.
    let entries = find(init, &TO_SAMPLES)?.get(8..)?;
    let (coding, entry) = boxes(entries).next()?;
    let fields = match &coding {
        b"mp4a" | b"ac-3" | b"ec-3" | b"Opus" | b"fLaC" => AUDIO_FIELDS,
        _ => VIDEO_FIELDS,
    };
    let known = [
        b"avcC", b"hvcC", b"av1C", b"vpcC", b"esds", b"dac3", b"dec3",
    ];
    let mut inside = boxes(entry.get(fields..)?);
    let configuration = inside.find(|(name, _)| known.contains(&name));
    Some(TrackHeader {
        timescale: Some(timescale).filter(|timescale| *timescale > 0)?,
        coding,
        configuration: configuration.map_or(&[], |(_, body)| body),
    })
}

/// The samples of a part: one fragment of one track, with its bytes behind its head. `None` if
/// it is none.
pub(crate) fn samples(part: &[u8]) -> Option<Vec<Located>> {
    let mut at = 0;
    let mut fragment = None;
    for (name, body) in boxes(part) {
        if &name == b"moof" {
            fragment = Some((at, body));
        }
        at += body.len() + 8;
    }
    let (start, fragment) = fragment?;
    let run = find(fragment, &[b"traf", b"trun"])?;
    let defaults = Defaults::read(find(fragment, &[b"traf", b"tfhd"])?)?;
    let time = find(fragment, &[b"traf", b"tfdt"])?;
    let mut time = match time.first()? {
        0 => u64::from(u32_at(time, 4)?),
        _ => u64::from(u32_at(time, 4)?) << 32 | u64::from(u32_at(time, 8)?),
    };
    let mut fields = Fields::of(run)?;
    // Those of nothing, of which nothing is told one by one, would be as many as somebody says.
    if usize::try_from(fields.count).ok()? > part.len() / LEAST_SAMPLE {
        return None;
    }
    let mut place = start.checked_add(usize::try_from(fields.offset).ok()?)?;
    let mut samples = Vec::new();
    for _ in 0..fields.count {
        let sample = fields.next(&defaults)?;
        let end = place.checked_add(usize::try_from(sample.size).ok()?)?;
        let range = place..end;
        part.get(range.clone())?;
        samples.push(Located {
            decode_time: time,
            composition_offset: sample.composition_offset,
            duration: sample.duration,
            access: Access::of_flags(sample.flags),
            range,
        });
        time = time.checked_add(u64::from(sample.duration))?;
        place = end;
    }
    Some(samples)
}

/// The samples of fragments that follow each other, as [`samples`] has those of one.
#[cfg(any(test, feature = "check"))]
pub(crate) fn fragments(bytes: &[u8]) -> Option<Vec<Located>> {
    let mut starts = Vec::new();
    let mut at = 0;
    for (name, body) in boxes(bytes) {
        if &name == b"moof" {
            starts.push(at);
        }
        at += body.len() + 8;
    }
    // Torn, or none.
    if at != bytes.len() || starts.is_empty() {
        return None;
    }
    let ends = starts.iter().skip(1).chain([&at]);
    let mut all = Vec::new();
    for (start, end) in starts.iter().zip(ends) {
        for mut sample in samples(bytes.get(*start..*end)?)? {
            sample.range = sample.range.start + start..sample.range.end + start;
            all.push(sample);
        }
    }
    Some(all)
}

/// What holds for all samples that do not say otherwise (8.8.7).
#[derive(Default)]
struct Defaults {
    duration: u32,
    size: u32,
    flags: u32,
}

impl Defaults {
    fn read(header: &[u8]) -> Option<Defaults> {
        let flags = u32_at(header, 0)?;
        let mut at = 8;
        let mut field = |flag: u32, length: usize| {
            if flags & flag == 0 {
                return Some(0);
            }
            at += length;
            u32_at(header, at - 4)
        };
        // Base of offsets, and which sample entry.
        field(1, 8)?;
        field(2, 4)?;
        Some(Defaults {
            duration: field(8, 4)?,
            size: field(0x10, 4)?,
            flags: field(0x20, 4)?,
        })
    }
}

/// What a run tells of its samples (8.8.8).
struct Fields<'a> {
    rest: &'a [u8],
    flags: u32,
    count: u32,
    offset: u32,
    first_flags: Option<u32>,
}

/// What is told of one.
struct Told {
    duration: u32,
    size: u32,
    flags: u32,
    composition_offset: i32,
}

impl<'a> Fields<'a> {
    fn of(run: &'a [u8]) -> Option<Fields<'a>> {
        let mut fields = Fields {
            rest: run.get(8..)?,
            flags: u32_at(run, 0)?,
            count: u32_at(run, 4)?,
            offset: 0,
            first_flags: None,
        };
        fields.offset = fields.field(1, 0)?;
        let first = fields.field(4, 0)?;
        fields.first_flags = (fields.flags & 4 != 0).then_some(first);
        Some(fields)
    }

    fn field(&mut self, flag: u32, default: u32) -> Option<u32> {
        if self.flags & flag == 0 {
            return Some(default);
        }
        let (four, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_be_bytes(*four))
    }

    fn next(&mut self, defaults: &Defaults) -> Option<Told> {
        let first = self.first_flags.take().unwrap_or(defaults.flags);
        Some(Told {
            duration: self.field(0x100, defaults.duration)?,
            size: self.field(0x200, defaults.size)?,
            flags: self.field(0x400, first)?,
            composition_offset: self.field(0x800, 0)? as i32,
        })
    }
}

/// NAL units, each behind its length, as far as they can be read; none is empty.
pub(crate) fn units(mut rest: &[u8], length: usize) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        loop {
            let (told, behind) = rest.split_at_checked(length)?;
            let size = told
                .iter()
                .fold(0, |size, byte| size << 8 | usize::from(*byte));
            let (unit, behind) = behind.split_at_checked(size)?;
            rest = behind;
            if !unit.is_empty() {
                return Some(unit);
            }
        }
    })
}

/// What the `esds` box says of a decoder (ISO/IEC 14496-1, 7.2.6.5): its object type
/// indication, and what is for it alone, which may be nothing.
pub(crate) fn decoder(descriptor: &[u8]) -> Option<(u8, &[u8])> {
    const STREAM: u8 = 3;
    const DECODER_CONFIG: u8 = 4;
    const DECODER_SPECIFIC: u8 = 5;
    // Version and flags of the box.
    let stream = descriptor_of(descriptor.get(4..)?, STREAM)?;
    let decoder = descriptor_of(stream.get(3..)?, DECODER_CONFIG)?;
    let specific = decoder
        .get(13..)
        .and_then(|behind| descriptor_of(behind, DECODER_SPECIFIC));
    Some((*decoder.first()?, specific.unwrap_or(&[])))
}

/// What is in the first descriptor, if it has this tag.
fn descriptor_of(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let (is, mut rest) = bytes.split_first()?;
    let mut length = 0;
    for _ in 0..4 {
        let (byte, behind) = rest.split_first()?;
        rest = behind;
        length = length << 7 | usize::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            break;
        }
    }
    rest.get(..length).filter(|_| *is == tag)
}
