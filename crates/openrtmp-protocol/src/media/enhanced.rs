//! What enhanced audio and video headers have in common (Enhanced RTMP v2,
//! sections "Enhanced Audio" and "Enhanced Video"): the ModEx chain, the
//! multitrack layouts and the order of FourCC, track id and size.

use std::ops::Range;

use super::{Cursor, FourCc, MediaError, Packets, TrackPacket};

/// ModEx, in AudioPacketType and VideoPacketType alike.
const MOD_EX: u8 = 7;
/// AudioPacketModExType and VideoPacketModExType TimestampOffsetNano.
const TIMESTAMP_OFFSET_NANO: u8 = 0;
/// The largest offset that stays below one millisecond.
const MAX_NANOS: u32 = 999_999;

const ONE_TRACK: u8 = 0;
const MANY_TRACKS: u8 = 1;
const MANY_TRACKS_MANY_CODECS: u8 = 2;

/// A packet's codec, kind and composition time, and where its body starts.
pub(super) struct Body<C, K> {
    pub(super) codec: C,
    pub(super) kind: K,
    pub(super) composition_time: i32,
    pub(super) range: Range<usize>,
}

/// Follows the chain of ModEx packets that starts with `packet_type`. Returns
/// the packet type behind it and the nanosecond offset, 0 if there is none.
/// Modifiers of unknown type change nothing that is read here.
pub(super) fn read_mod_ex(
    cursor: &mut Cursor<'_>,
    mut packet_type: u8,
) -> Result<(u8, u32), MediaError> {
    let mut nanos = 0;
    while packet_type == MOD_EX {
        let mut size = usize::from(cursor.u8()?) + 1;
        if size == 256 {
            size = usize::from(cursor.u16()?) + 1;
        }
        let data = cursor.take(size)?;
        let types = cursor.u8()?;
        if let (TIMESTAMP_OFFSET_NANO, [a, b, c, ..]) = (types >> 4, data) {
            nanos = u32::from_be_bytes([0, *a, *b, *c]).min(MAX_NANOS);
        }
        packet_type = types & 0x0F;
    }
    Ok((packet_type, nanos))
}

/// Reads the one packet of an ordinary message: FourCC, then the body.
/// `read_body` is given the FourCC, the packet type and a cursor that stands at
/// the body and ends with it.
pub(super) fn read_single<C, K>(
    mut cursor: Cursor<'_>,
    packet_type: u8,
    read_body: impl Fn(FourCc, u8, &mut Cursor<'_>) -> Result<Body<C, K>, MediaError>,
) -> Result<Packets<C, K>, MediaError> {
    let fourcc = cursor.fourcc()?;
    let body = read_body(fourcc, packet_type, &mut cursor)?;
    Ok(Packets::one(track_packet(0, body)))
}

/// Reads a multitrack message from the byte behind its packet type on.
pub(super) fn read_multitrack<C, K>(
    mut cursor: Cursor<'_>,
    read_body: impl Fn(FourCc, u8, &mut Cursor<'_>) -> Result<Body<C, K>, MediaError>,
) -> Result<Packets<C, K>, MediaError> {
    let types = cursor.u8()?;
    let (layout, packet_type) = (types >> 4, types & 0x0F);
    let shared_fourcc = match layout {
        ONE_TRACK | MANY_TRACKS => Some(cursor.fourcc()?),
        MANY_TRACKS_MANY_CODECS => None,
        unknown => return Err(MediaError::Layout(unknown)),
    };
    let read_track = |cursor: &mut Cursor<'_>| {
        let fourcc = match shared_fourcc {
            Some(fourcc) => fourcc,
            None => cursor.fourcc()?,
        };
        let track = cursor.u8()?;
        let size = match layout {
            ONE_TRACK => cursor.left(),
            _ => cursor.u24()? as usize,
        };
        let left = cursor.left();
        if size > left {
            return Err(MediaError::TrackSize { track, size, left });
        }
        let end = cursor.at + size;
        let mut within = Cursor {
            payload: &cursor.payload[..end],
            at: cursor.at,
        };
        let body = read_body(fourcc, packet_type, &mut within)?;
        cursor.at = end;
        Ok(track_packet(track, body))
    };
    let mut packets = Packets::one(read_track(&mut cursor)?);
    while cursor.left() > 0 {
        packets.push(read_track(&mut cursor)?)?;
    }
    Ok(packets)
}

/// The header of a message with one packet: FourCC alone on track 0, the
/// multitrack OneTrack layout on every other. `flags` is the high nibble of
/// byte 0, `multitrack` the packet type that announces multitrack.
pub(super) fn header(
    flags: u8,
    multitrack: u8,
    packet_type: u8,
    fourcc: FourCc,
    track: u8,
) -> impl Iterator<Item = u8> {
    let (start, end) = match track {
        0 => ([Some(flags | packet_type), None], None),
        _ => (
            [Some(flags | multitrack), Some(ONE_TRACK << 4 | packet_type)],
            Some(track),
        ),
    };
    start.into_iter().flatten().chain(fourcc.0).chain(end)
}

fn track_packet<C, K>(track: u8, body: Body<C, K>) -> TrackPacket<C, K> {
    TrackPacket {
        track,
        codec: body.codec,
        kind: body.kind,
        composition_time: body.composition_time,
        body: body.range,
    }
}
