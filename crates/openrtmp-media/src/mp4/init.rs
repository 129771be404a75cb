//! What a file begins with: `ftyp` and `moov`.

use super::boxes::{put, put_full, put_u16, put_u32, put_u64, put_zeros};
use super::entry::{Description, Media};

/// A track of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// Names the track, in fragments too; not 0, and of no other track of the file.
    pub id: u32,
    /// Ticks per second that its times count; not 0.
    pub timescale: u32,
    /// What its samples are.
    pub description: Description,
}

/// An init segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Init {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Where in them the duration stands: eight bytes, the most significant first, of
    /// [`Init::TIMESCALE`]. They are 0, not known, and may be written over once they are.
    pub duration_at: usize,
}

impl Init {
    /// Ticks per second of the duration.
    pub const TIMESCALE: u32 = 1000;
}

/// `ftyp` and `moov` of a fragmented file with these tracks, in this order. The first of each
/// kind is on unless a player's user chooses another.
pub fn init_segment(tracks: &[Track]) -> Init {
    let mut bytes = Vec::new();
    let mut duration_at = 0;
    put(&mut bytes, b"ftyp", |out| {
        // Fragments with decoding times and their own offsets, signed composition offsets:
        // the sixth edition of the file format.
        out.extend(b"iso6");
        put_u32(out, 0);
        out.extend(b"iso6mp41");
        let is_av1 = |track: &Track| track.description.codec_string.starts_with("av01");
        if tracks.iter().any(is_av1) {
            out.extend(b"av01");
        }
    });
    put(&mut bytes, b"moov", |out| {
        put_movie_header(out, tracks);
        for track in tracks {
            put_track(out, track, tracks);
        }
        put(out, b"mvex", |out| {
            put_full(out, b"mehd", 1, 0, |out| {
                duration_at = out.len();
                put_u64(out, 0);
            });
            for track in tracks {
                put_full(out, b"trex", 0, 0, |out| {
                    put_u32(out, track.id);
                    // The one sample entry; nothing else is the same in every fragment.
                    put_u32(out, 1);
                    put_zeros(out, 12);
                });
            }
        });
    });
    Init { bytes, duration_at }
}

/// Not turned, not scaled.
fn put_matrix(out: &mut Vec<u8>) {
    for value in [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000] {
        put_u32(out, value);
    }
}

fn put_movie_header(out: &mut Vec<u8>, tracks: &[Track]) {
    put_full(out, b"mvhd", 0, 0, |out| {
        // Times of creation and modification: none, so that the same frames make the same
        // bytes.
        put_zeros(out, 8);
        put_u32(out, Init::TIMESCALE);
        // There are no samples but in fragments.
        put_u32(out, 0);
        // Rate and volume.
        put_u32(out, 0x1_0000);
        put_u16(out, 0x100);
        put_zeros(out, 10);
        put_matrix(out);
        put_zeros(out, 24);
        // next_track_ID
        let highest = tracks.iter().map(|track| track.id).max();
        put_u32(out, highest.unwrap_or(0).saturating_add(1));
    });
}

fn put_track(out: &mut Vec<u8>, track: &Track, tracks: &[Track]) {
    const ENABLED: u32 = 1;
    const IN_MOVIE: u32 = 2;
    let media = track.description.media;
    let is_alike = |other: &&Track| is_video(other.description.media) == is_video(media);
    let mut alike = tracks.iter().filter(is_alike);
    let is_first = alike.next().is_some_and(|first| first.id == track.id);
    let is_alone = alike.next().is_none();
    put(out, b"trak", |out| {
        let flags = IN_MOVIE | if is_first { ENABLED } else { 0 };
        put_full(out, b"tkhd", 0, flags, |out| {
            put_zeros(out, 8);
            put_u32(out, track.id);
            // Reserved, duration, reserved, layer.
            put_zeros(out, 4 + 4 + 8 + 2);
            // Tracks of one kind are alternatives to each other.
            let group = if is_video(media) { 1 } else { 2 };
            put_u16(out, if is_alone { 0 } else { group });
            put_u16(out, if is_video(media) { 0 } else { 0x100 });
            put_u16(out, 0);
            put_matrix(out);
            let (width, height) = shown_size(media);
            put_u32(out, width);
            put_u32(out, height);
        });
        put(out, b"mdia", |out| put_media(out, track));
    });
}

fn is_video(media: Media) -> bool {
    matches!(media, Media::Video { .. })
}

/// Width and height as shown, in 16.16, pixels being what they are.
fn shown_size(media: Media) -> (u32, u32) {
    let Media::Video {
        width,
        height,
        pixel_aspect: (across, down),
    } = media
    else {
        return (0, 0);
    };
    let width = (u64::from(width) << 16) * u64::from(across) / u64::from(down.max(1));
    (
        u32::try_from(width).unwrap_or(u32::MAX),
        u32::from(height) << 16,
    )
}

fn put_media(out: &mut Vec<u8>, track: &Track) {
    /// `und`, three letters of five bits each.
    const UNDETERMINED: u16 = 0x55C4;
    let media = track.description.media;
    put_full(out, b"mdhd", 0, 0, |out| {
        put_zeros(out, 8);
        put_u32(out, track.timescale);
        put_u32(out, 0);
        put_u16(out, UNDETERMINED);
        put_u16(out, 0);
    });
    put_full(out, b"hdlr", 0, 0, |out| {
        put_u32(out, 0);
        out.extend(if is_video(media) { b"vide" } else { b"soun" });
        put_zeros(out, 12);
        out.extend(if is_video(media) {
            b"Video\0"
        } else {
            b"Sound\0"
        });
    });
    put(out, b"minf", |out| {
        match media {
            // Copy mode, no colour of operation.
            Media::Video { .. } => put_full(out, b"vmhd", 0, 1, |out| put_zeros(out, 8)),
            Media::Audio { .. } => put_full(out, b"smhd", 0, 0, |out| put_zeros(out, 4)),
        }
        put(out, b"dinf", |out| {
            put_full(out, b"dref", 0, 0, |out| {
                put_u32(out, 1);
                // In this file.
                put_full(out, b"url ", 0, 1, |_| {});
            });
        });
        put(out, b"stbl", |out| {
            put_full(out, b"stsd", 0, 0, |out| {
                put_u32(out, 1);
                out.extend(&track.description.entry);
            });
            // Samples are in fragments.
            put_full(out, b"stts", 0, 0, |out| put_u32(out, 0));
            put_full(out, b"stsc", 0, 0, |out| put_u32(out, 0));
            put_full(out, b"stsz", 0, 0, |out| put_zeros(out, 8));
            put_full(out, b"stco", 0, 0, |out| put_u32(out, 0));
        });
    });
}
