use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// Bytes that [`ChunkReader`](super::ChunkReader) leaves free in front of a
/// payload: room for the header it goes out with, 11 bytes of message header
/// (RTMP 1.0, section 5.3.1.2.1), an extended timestamp and a one-byte basic
/// header.
pub(super) const HEADROOM: usize = 16;

/// The body of a message.
///
/// It dereferences to its bytes. In front of them there may be room for a chunk
/// header, so that [`WireMessage`](super::WireMessage) need not copy the body to
/// have both in one piece.
#[derive(Clone, Default)]
pub struct Payload {
    /// Free bytes, then the payload.
    buffer: Bytes,
    start: usize,
}

impl Payload {
    /// A copy of `bytes`, with room in front.
    pub fn copy_from_slice(bytes: &[u8]) -> Payload {
        let mut buffer = Vec::with_capacity(HEADROOM + bytes.len());
        buffer.resize(HEADROOM, 0);
        buffer.extend_from_slice(bytes);
        Payload::with_headroom(buffer)
    }

    /// Takes a buffer whose first [`HEADROOM`] bytes are free.
    pub(super) fn with_headroom(buffer: Vec<u8>) -> Payload {
        debug_assert!(buffer.len() >= HEADROOM);
        Payload {
            buffer: buffer.into(),
            start: HEADROOM,
        }
    }

    /// Drops the first `count` bytes, or all if there are fewer.
    pub fn advance(&mut self, count: usize) {
        self.start += count.min(self.len());
    }

    /// The bytes, which this no longer owns alone. No copy.
    pub fn into_bytes(self) -> Bytes {
        self.buffer.slice(self.start..)
    }

    /// Bytes of the buffer that it keeps alive: what it counts for in memory, as far
    /// as it knows. A payload that a session gave out knows: its buffer is its own.
    pub fn held_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// The same bytes in a buffer that is not much larger: this one if it keeps at most
    /// an eighth, or 64 bytes, more than it needs, else a copy. `None` if there is no
    /// memory for one.
    ///
    /// What is left of a message once its front was dropped would otherwise keep all of
    /// it alive.
    pub fn try_compact(self) -> Option<Payload> {
        let needed = HEADROOM + self.len();
        match self.held_bytes() > needed + (needed / 8).max(64) {
            true => Payload::try_copy_from_slice(&self),
            false => Some(self),
        }
    }

    /// A copy of `bytes`, with room in front; `None` if there is no memory for it.
    pub fn try_copy_from_slice(bytes: &[u8]) -> Option<Payload> {
        joined(&[0; HEADROOM], bytes).map(Payload::with_headroom)
    }

    /// `header` and the payload in one piece: in place if there is room and
    /// nobody else holds the buffer, else a copy. `None` if there is no memory
    /// for one.
    pub(super) fn with_header(self, header: &[u8]) -> Option<Bytes> {
        let Payload { buffer, start } = self;
        let buffer = match start.checked_sub(header.len()) {
            None => Err(buffer),
            Some(at) => buffer.try_into_mut().map(|mut buffer| {
                buffer[at..start].copy_from_slice(header);
                buffer.freeze().slice(at..)
            }),
        };
        buffer
            .or_else(|shared| joined(header, &shared[start..]).map(Bytes::from).ok_or(()))
            .ok()
    }
}

/// Two slices in one buffer, if there is memory for it.
fn joined(front: &[u8], back: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(front.len() + back.len()).ok()?;
    buffer.extend_from_slice(front);
    buffer.extend_from_slice(back);
    Some(buffer)
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[self.start..]
    }
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Bytes> for Payload {
    fn from(buffer: Bytes) -> Payload {
        Payload { buffer, start: 0 }
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Payload {
        Bytes::from(bytes).into()
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Payload {
    fn eq(&self, other: &T) -> bool {
        **self == *other.as_ref()
    }
}

impl Eq for Payload {}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Bytes::copy_from_slice(self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_put_in_front_without_a_copy_if_there_is_room() {
        let payload = Payload::copy_from_slice(b"payload");
        let before = payload.as_ptr();
        let wire = payload.with_header(b"header").unwrap();
        assert_eq!(wire, b"headerpayload"[..]);
        assert_eq!(wire[6..].as_ptr(), before);
    }

    #[test]
    fn a_payload_that_others_hold_is_copied_and_theirs_is_left_alone() {
        let payload = Payload::copy_from_slice(b"payload");
        let other = payload.clone();
        assert_eq!(
            payload.with_header(b"header").unwrap(),
            b"headerpayload"[..]
        );
        assert_eq!(other, b"payload");
        assert_eq!(other.with_header(b"HEADER").unwrap(), b"HEADERpayload"[..]);
    }

    #[test]
    fn a_header_that_does_not_fit_is_put_in_front_of_a_copy() {
        let payload = Payload::from(Bytes::from_static(b"payload"));
        assert_eq!(
            payload.with_header(b"header").unwrap(),
            b"headerpayload"[..]
        );
        let header = [7; HEADROOM + 1];
        let wire = Payload::copy_from_slice(b"x").with_header(&header).unwrap();
        assert_eq!(wire, [&header[..], b"x"].concat());
    }

    #[test]
    fn what_little_is_left_of_a_large_buffer_is_copied() {
        for (length, dropped, copied) in [(20, 16, false), (1000, 100, false), (1000, 900, true)] {
            let mut payload = Payload::copy_from_slice(&vec![7; length]);
            payload.advance(dropped);
            let before = payload.as_ptr();
            let compact = payload.try_compact().unwrap();
            assert_eq!(compact, vec![7; length - dropped]);
            assert_eq!(compact.as_ptr() != before, copied, "{dropped} of {length}");
            assert!(compact.held_bytes() <= HEADROOM + compact.len() + 100);
        }
    }

    #[test]
    fn what_is_dropped_in_front_is_room_for_a_header() {
        let mut payload = Payload::copy_from_slice(b"\0payload");
        payload.advance(1);
        assert_eq!(payload, b"payload");
        assert_eq!(payload.clone().into_bytes(), b"payload"[..]);
        let before = payload.as_ptr();
        let wire = payload.with_header(&[1; HEADROOM + 1]).unwrap();
        assert_eq!(wire[HEADROOM + 1..].as_ptr(), before);
        let mut payload = Payload::copy_from_slice(b"abc");
        payload.advance(4);
        assert!(payload.is_empty());
    }
}
