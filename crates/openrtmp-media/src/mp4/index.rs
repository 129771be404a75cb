//! The index at the end of a complete file: `mfra`.

use super::boxes::{put, put_full, put_u32, put_u64};

/// Where decoding can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Presentation time, in the track's ticks.
    pub time: u64,
    /// Offset in the file of the `moof` that has it.
    pub fragment: u64,
    /// The run of its track in there: 1 is the first.
    pub run: u32,
    /// The sample in the run: 1 is the first.
    pub sample: u32,
}

/// `mfra` (ISO/IEC 14496-12, 8.8.9 to 8.8.11) with the entries of each track, by its id. It
/// is the last box of its file: a player finds it by the size in its last four bytes.
pub fn index(tracks: &[(u32, &[Entry])]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, b"mfra", |out| {
        for (track, entries) in tracks {
            put_full(out, b"tfra", 1, 0, |out| {
                put_u32(out, *track);
                // Numbers of runs and samples have four bytes each.
                put_u32(out, 0x3F);
                put_u32(out, entries.len() as u32);
                for entry in *entries {
                    put_u64(out, entry.time);
                    put_u64(out, entry.fragment);
                    put_u32(out, entry.run);
                    // The run is the only one of its track fragment.
                    put_u32(out, 1);
                    put_u32(out, entry.sample);
                }
            });
        }
        put_full(out, b"mfro", 0, 0, |out| put_u32(out, 0));
    });
    let size = out.len() as u32;
    let at = out.len() - 4;
    out[at..].copy_from_slice(&size.to_be_bytes());
    out
}
