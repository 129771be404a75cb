//! A second opinion on aggregates, as plain as section 7.1.6 reads.

use openrtmp_protocol::message::kind;

/// Type, timestamp and payload of the media in the first bytes of an aggregate that
/// has `length` of them. If a part reaches beyond its end, a message of type 22 without
/// payload is the last.
pub(crate) fn parts(timestamp: u32, length: usize, bytes: &[u8]) -> Vec<(u8, u32, &[u8])> {
    let mut parts = Vec::new();
    let broken = (kind::AGGREGATE, timestamp, &[][..]);
    let (mut at, mut shift) = (0, None);
    while at < length {
        let Some(header) = bytes.get(at..at + 11) else {
            if bytes.len() == length {
                parts.push(broken);
            }
            break;
        };
        let [kind, s2, s1, s0, t2, t1, t0, t3, ..] = *header else {
            unreachable!("eleven bytes");
        };
        let end = at + 11 + u32::from_be_bytes([0, s2, s1, s0]) as usize;
        if end > length {
            parts.push(broken);
            break;
        }
        let time = u32::from_be_bytes([t3, t2, t1, t0]);
        let shift = *shift.get_or_insert(timestamp.wrapping_sub(time));
        if matches!(kind, 8 | 9 | 15 | 18) {
            let Some(payload) = bytes.get(at + 11..end) else {
                break;
            };
            parts.push((kind, time.wrapping_add(shift), payload));
        }
        at = end + 4;
    }
    parts
}
