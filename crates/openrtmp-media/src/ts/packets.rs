//! Packets of 188 bytes, and what is in them.

use super::TICKS;

const PACKET: usize = 188;
/// What a packet holds behind its head.
const ROOM: usize = PACKET - 4;
const PAT: u16 = 0;
/// Where the one program's table is.
const PMT: u16 = 0x100;
/// The first element; the others follow.
const ELEMENTS: u16 = 0x101;
const PROGRAM: u16 = 1;
/// The clock is so far behind what is to be decoded: players have as long to take it.
const DELAY: u64 = TICKS / 2;
/// The clock is told so often at least (2.7.2: each 100 ms).
const CLOCK: u64 = TICKS * 8 / 100;
/// The clock is told alone so often at most between two frames.
const MOST_ALONE: u64 = 1000;
/// A discontinuity has a new count of tables: they have five bits for it.
const VERSIONS: u8 = 0x1F;

/// What tables say of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    /// stream_type (table 2-34).
    pub(super) kind: u8,
    /// stream_id of its packets (table 2-22).
    pub(super) stream: u8,
    /// Whose coding it is, where the type does not tell.
    pub(super) registration: Option<[u8; 4]>,
}

/// When the clock was told.
#[derive(Debug, Default)]
pub(super) struct Clock {
    told: Option<u64>,
}

impl Clock {
    /// The clock of something that is to be decoded then.
    pub(super) fn tell(&mut self, dts: u64) -> u64 {
        let now = dts.saturating_sub(DELAY);
        self.told = Some(now);
        now
    }

    /// Tells it alone where nothing else does for too long.
    pub(super) fn reach(&mut self, dts: u64, packets: &mut Packets) {
        let now = dts.saturating_sub(DELAY);
        for _ in 0..MOST_ALONE {
            let Some(told) = self.told.filter(|told| now - told > CLOCK) else {
                return;
            };
            packets.put_clock(told + CLOCK);
            self.told = Some(told + CLOCK);
        }
        self.told = Some(now);
    }
}

/// Something with a time.
#[derive(Debug)]
pub(super) struct Pes<'a> {
    pub(super) pts: u64,
    pub(super) dts: u64,
    /// Decoding can start here.
    pub(super) is_random_access: bool,
    /// The clock, if it is told with it.
    pub(super) clock: Option<u64>,
    pub(super) data: &'a [u8],
}

impl Pes<'_> {
    /// Head and data (2.4.3.6).
    fn bytes(&self, stream: u8) -> Vec<u8> {
        const VIDEO: u8 = 0xE0;
        let has_dts = self.pts != self.dts;
        // Sixteen packets have a byte each.
        let filling = 2usize.saturating_sub(self.data.len());
        let head = if has_dts { 10 } else { 5 } + filling;
        let length = 3 + head + self.data.len();
        // Of pictures none may be told.
        let length = match stream == VIDEO {
            true => 0,
            false => u16::try_from(length).unwrap_or(0),
        };
        let mut out = vec![0, 0, 1, stream];
        out.extend(length.to_be_bytes());
        // Data begins with a frame.
        out.extend([0x84, if has_dts { 0xC0 } else { 0x80 }, head as u8]);
        put_time(&mut out, if has_dts { 3 } else { 2 }, self.pts);
        if has_dts {
            put_time(&mut out, 1, self.dts);
        }
        out.resize(out.len() + filling, 0xFF);
        out.extend(self.data);
        out
    }
}

/// 33 bits, with four bits in front that say what it is of.
fn put_time(out: &mut Vec<u8>, of: u8, time: u64) {
    let piece = |shift: u32, bits: u32| (time >> shift) as u8 & ((1u16 << bits) - 1) as u8;
    out.push(of << 4 | piece(30, 3) << 1 | 1);
    out.extend([piece(22, 8), piece(15, 7) << 1 | 1]);
    out.extend([piece(7, 8), piece(0, 7) << 1 | 1]);
}

/// A transport stream that grows.
#[derive(Debug)]
pub(super) struct Packets {
    out: Vec<u8>,
    elements: Vec<Element>,
    /// Packets with a payload so far: of tables, and of each element.
    tables: u64,
    counts: Vec<u64>,
    pat: Vec<u8>,
    pmt: Vec<u8>,
}

impl Packets {
    pub(super) fn new(elements: &[Element], version: u8) -> Packets {
        Packets {
            out: Vec::new(),
            elements: elements.to_vec(),
            tables: 0,
            counts: vec![0; elements.len()],
            pat: pat(version),
            pmt: pmt(elements, version),
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.out
    }

    /// Which programs and elements there are.
    pub(super) fn put_tables(&mut self) {
        let counter = self.tables;
        for (pid, of) in [(PAT, 0), (PMT, 1)] {
            let table = if of == 0 { &self.pat } else { &self.pmt };
            // Where the section begins: at once.
            let mut payload = vec![0];
            payload.extend(table);
            payload.resize(ROOM, 0xFF);
            put_head(&mut self.out, pid, true, 1, counter);
            self.out.extend(payload);
        }
        self.tables += 1;
    }

    /// The clock alone, which counts for nothing else (2.4.3.3).
    fn put_clock(&mut self, clock: u64) {
        let counter = self.counts.first().map_or(0, |count| count.wrapping_sub(1));
        put_head(&mut self.out, ELEMENTS, false, 2, counter);
        let mut field = vec![(ROOM - 1) as u8, CLOCK_FLAG];
        put_reference(&mut field, clock);
        field.resize(ROOM, 0xFF);
        self.out.extend(field);
    }

    /// Something of an element. The last of it makes the number of its packets one of
    /// sixteens.
    pub(super) fn put(&mut self, of: usize, pes: &Pes<'_>, is_last: bool) {
        let Some(element) = self.elements.get(of) else {
            return;
        };
        let bytes = pes.bytes(element.stream);
        let mut flags = 0;
        if pes.is_random_access {
            flags |= RANDOM_ACCESS;
        }
        let mut first = Vec::new();
        if pes.clock.is_some() {
            flags |= CLOCK_FLAG;
        }
        if flags != 0 {
            first.push(flags);
            if let Some(clock) = pes.clock {
                put_reference(&mut first, clock);
            }
        }
        // A field has its length in front.
        let field = if first.is_empty() { 0 } else { first.len() + 1 };
        let behind = bytes.len().saturating_sub(ROOM - field);
        let mut packets = 1 + behind.div_ceil(ROOM) as u64;
        if is_last {
            packets = (self.counts[of] + packets).next_multiple_of(16) - self.counts[of];
        }
        let pid = ELEMENTS + of as u16;
        let mut rest = &bytes[..];
        for number in 0..packets {
            let is_first = number == 0;
            let room = if is_first { ROOM - field } else { ROOM };
            // Each that follows has a byte at least.
            let for_others = (packets - number - 1) as usize;
            let (now, later) = rest.split_at(room.min(rest.len().saturating_sub(for_others)));
            rest = later;
            let field = if is_first { &first[..] } else { &[] };
            put_packet(&mut self.out, pid, is_first, self.counts[of], field, now);
            self.counts[of] += 1;
        }
    }
}

/// Flags of an adaptation field (2.4.3.5).
const RANDOM_ACCESS: u8 = 0x40;
const CLOCK_FLAG: u8 = 0x10;

/// A packet with a payload, filled up in its adaptation field.
fn put_packet(
    out: &mut Vec<u8>,
    pid: u16,
    begins: bool,
    counter: u64,
    field: &[u8],
    payload: &[u8],
) {
    let needs_field = !field.is_empty() || payload.len() < ROOM;
    put_head(out, pid, begins, if needs_field { 3 } else { 1 }, counter);
    if needs_field {
        let length = ROOM - 1 - payload.len();
        out.push(length as u8);
        let mut content = field.to_vec();
        if content.is_empty() && length > 0 {
            content.push(0);
        }
        content.resize(length, 0xFF);
        out.extend(content);
    }
    out.extend(payload);
}

/// `control`: 1 a payload, 2 an adaptation field, 3 both.
fn put_head(out: &mut Vec<u8>, pid: u16, begins: bool, control: u8, counter: u64) {
    let [high, low] = pid.to_be_bytes();
    let begins = if begins { 0x40 } else { 0 };
    out.extend([0x47, begins | high & 0x1F, low]);
    out.push(control << 4 | (counter & 0xF) as u8);
}

/// program_clock_reference: 33 bits, and none of the extension.
fn put_reference(out: &mut Vec<u8>, clock: u64) {
    let base = clock & ((1 << 33) - 1);
    out.extend(((base >> 1) as u32).to_be_bytes());
    out.extend([(base as u8 & 1) << 7 | 0x7E, 0]);
}

/// The program association table (2.4.4.3).
fn pat(version: u8) -> Vec<u8> {
    let mut body = PROGRAM.to_be_bytes().to_vec();
    body.extend((0xE000 | PMT).to_be_bytes());
    section(0, 1, version, &body)
}

/// The program map table (2.4.4.8).
fn pmt(elements: &[Element], version: u8) -> Vec<u8> {
    const REGISTRATION: u8 = 5;
    let mut body = (0xE000 | ELEMENTS).to_be_bytes().to_vec();
    body.extend(0xF000u16.to_be_bytes());
    for (element, pid) in elements.iter().zip(ELEMENTS..) {
        let mut descriptors = Vec::new();
        if let Some(whose) = element.registration {
            descriptors.extend([REGISTRATION, 4]);
            descriptors.extend(whose);
        }
        body.push(element.kind);
        body.extend((0xE000 | pid).to_be_bytes());
        body.extend((0xF000 | descriptors.len() as u16).to_be_bytes());
        body.extend(descriptors);
    }
    section(2, PROGRAM, version, &body)
}

/// The only section of a table, with its checksum.
fn section(table: u8, id: u16, version: u8, body: &[u8]) -> Vec<u8> {
    let length = 5 + body.len() + 4;
    let mut out = vec![table];
    out.extend((0xB000 | length as u16).to_be_bytes());
    out.extend(id.to_be_bytes());
    out.extend([0xC1 | (version & VERSIONS) << 1, 0, 0]);
    out.extend(body);
    let sum = checksum(&out);
    out.extend(sum.to_be_bytes());
    out
}

/// CRC-32 of annex A, which begins with ones and is not turned round.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte) << 24, |sum, _| {
            let carry = if sum >> 31 == 1 { 0x04C1_1DB7 } else { 0 };
            sum << 1 ^ carry
        })
    })
}
