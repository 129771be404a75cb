//! Aggregates (type 22, RTMP 1.0 section 7.1.6), taken apart as their bytes come.

use crate::message::kind;

/// Bytes of a header inside an aggregate: type, 24-bit size, timestamp (24 low
/// bits, then the high 8), 24-bit stream id.
const HEADER: usize = 11;

/// Behind each part, the length of header and body again. It is not looked at, and
/// the last may be missing.
const BACK_POINTER: usize = 4;

/// Where in an aggregate the next byte belongs.
#[derive(Debug, Default)]
pub(super) struct Aggregate {
    header: [u8; HEADER],
    have: usize,
    /// What moves the times of the parts, so that the first has the aggregate's own.
    shift: Option<u32>,
    /// Bytes to step over: a back pointer, or a part that is no media.
    skip: usize,
    /// The part whose body comes.
    part: Option<Part>,
}

/// A message in an aggregate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) kind: u8,
    pub(super) timestamp: u32,
    pub(super) length: usize,
}

/// What to do next.
pub(super) enum Step {
    /// More bytes are needed, or none are left.
    Ended,
    /// Bytes of this part's body come next, maybe none.
    Body(Part),
    /// A part reaches beyond the aggregate: nothing that follows has a meaning, and
    /// all of it will be stepped over.
    Broken,
}

impl Aggregate {
    /// Takes bytes of the aggregate up to a body or its end. `left` are the bytes of
    /// the aggregate from here on, with what is in `input`; the bytes taken are
    /// taken from both. Counts the headers it reads.
    pub(super) fn step(
        &mut self,
        input: &mut &[u8],
        left: &mut usize,
        timestamp: u32,
        headers: &mut u32,
    ) -> Step {
        loop {
            if let Some(part) = self.part {
                return Step::Body(part);
            }
            let skipped = self.skip.min(*left).min(input.len());
            take(input, left, skipped);
            self.skip -= skipped;
            if *left == 0 {
                return match std::mem::take(&mut self.have) {
                    0 => Step::Ended,
                    _ => Step::Broken,
                };
            }
            let wanted = (HEADER - self.have).min(*left);
            let bytes = take(input, left, wanted.min(input.len()));
            self.header[self.have..self.have + bytes.len()].copy_from_slice(bytes);
            self.have += bytes.len();
            if self.have < HEADER {
                if *left > 0 {
                    return Step::Ended;
                }
                continue;
            }
            self.have = 0;
            *headers += 1;
            let [kind, s2, s1, s0, t2, t1, t0, t3, ..] = self.header;
            let length = u32::from_be_bytes([0, s2, s1, s0]) as usize;
            if length > *left {
                self.skip = *left;
                return Step::Broken;
            }
            let time = u32::from_be_bytes([t3, t2, t1, t0]);
            let shift = *self.shift.get_or_insert(timestamp.wrapping_sub(time));
            match kind {
                kind::AUDIO | kind::VIDEO | kind::DATA_AMF0 | kind::DATA_AMF3 => {
                    self.part = Some(Part {
                        kind,
                        timestamp: time.wrapping_add(shift),
                        length,
                    });
                }
                _ => self.skip = length + BACK_POINTER,
            }
        }
    }

    /// The body is there: its back pointer is next.
    pub(super) fn end_part(&mut self) {
        self.part = None;
        self.skip = BACK_POINTER;
    }
}

fn take<'a>(input: &mut &'a [u8], left: &mut usize, count: usize) -> &'a [u8] {
    let (bytes, rest) = input.split_at(count);
    *input = rest;
    *left -= count;
    bytes
}
