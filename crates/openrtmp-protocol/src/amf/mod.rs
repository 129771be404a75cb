//! Action Message Format, AMF0 and AMF3, both directions.
//!
//! A decoded message is a plain tree of [`Value`]s. References are expanded
//! where they stand, and everything that comes out of one is counted against
//! [`AmfLimits`] like any other value: a message costs in proportion to its bytes,
//! however often it refers to itself. A
//! reference from inside an object to that object, which no tree can expand,
//! becomes [`Value::Enclosing`].
//!
//! The sections cited are those of "Action Message Format - AMF 0" (2007) and
//! "AMF 3" (January 2013).

mod amf0;
mod amf3;
mod error;
#[cfg(test)]
pub(crate) mod tests;
mod value;

use std::mem::size_of;

use crate::AmfLimits;
pub use error::{AmfError, AmfErrorKind};
pub use value::{Object, Value};

/// Which AMF a message uses. Closed on purpose: there is no third.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// AMF0.
    #[default]
    Amf0,
    /// AMF0 values, each switched to AMF3 by marker 0x11.
    ///
    /// Numbers, booleans, strings, null and undefined stay AMF0 when they
    /// stand alone: every peer reads them, and Flash writes them so.
    Amf3,
}

/// Reads the values of one message; reference tables live as long as it.
///
/// After an error the rest of the message has no meaning.
#[derive(Debug)]
pub struct Decoder<'a> {
    data: &'a [u8],
    position: usize,
    limits: AmfLimits,
    /// Values that the rest of the message may hold.
    elements_left: usize,
    /// Bytes that the rest of the message may take when decoded.
    bytes_left: usize,
    /// Values, expanded ones included, that a message of this length may cost.
    allowance: usize,
    /// What is left of them.
    allowance_left: usize,
    /// A value switched to AMF3.
    switches: bool,
    /// Where each value that is being read begins, outermost first.
    open: Vec<usize>,
    amf0: amf0::References,
    amf3: amf3::References,
}

/// A ceiling for [`AmfLimits::depth`]: reading recurses, and this many levels
/// fit in the 512 KiB that threads of iOS and macOS have, unoptimised too.
const MAX_DEPTH: usize = 64;

/// Bytes of text that cost as much as a value; a text costs one more.
const TEXT_PER_VALUE: usize = 32;

/// What stands for bytes that are not UTF-8.
const REPLACEMENT: &str = "\u{FFFD}";

impl<'a> Decoder<'a> {
    /// A decoder of AMF0 values (with AMF3 values behind marker 0x11), as
    /// messages 18 and 20 and, after their format byte, 15 and 17 carry.
    pub fn new(data: &'a [u8], limits: &AmfLimits) -> Decoder<'a> {
        let allowance = data
            .len()
            .saturating_mul(limits.values_per_byte)
            .saturating_add(limits.values_base);
        Decoder {
            data,
            position: 0,
            elements_left: limits.elements,
            bytes_left: limits.decoded_bytes,
            allowance,
            allowance_left: allowance,
            switches: false,
            limits: AmfLimits {
                depth: limits.depth.min(MAX_DEPTH),
                ..limits.clone()
            },
            open: Vec::new(),
            amf0: amf0::References::default(),
            amf3: amf3::References::default(),
        }
    }

    /// Reads one value.
    ///
    /// An AMF0 object or ECMA array that the end of the message cuts off
    /// between two members is taken as it is: some encoders leave out the end
    /// marker of their metadata.
    pub fn value(&mut self) -> Result<Value, AmfError> {
        self.open.clear();
        self.read_amf0()
    }

    /// Reads one bare AMF3 value (FLV script data of type 15).
    pub fn amf3_value(&mut self) -> Result<Value, AmfError> {
        self.open.clear();
        self.read_amf3()
    }

    /// True when all bytes were read.
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// What reading has cost so far: values, those that references stand for
    /// included, one more for each text (a name, too) and for every 32 bytes of it.
    /// Never more than [`AmfLimits::values_per_byte`] allows, also after an error.
    pub fn cost(&self) -> usize {
        self.allowance - self.allowance_left
    }

    /// Whether a value so far switched to AMF3 (marker 0x11).
    pub fn switches_to_amf3(&self) -> bool {
        self.switches
    }

    fn remaining(&self) -> usize {
        self.data.len() - self.position
    }

    fn error<T>(&self, offset: usize, kind: AmfErrorKind) -> Result<T, AmfError> {
        Err(AmfError {
            kind,
            offset,
            depth: self.open.len(),
        })
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], AmfError> {
        let rest = &self.data[self.position..];
        match rest.get(..length) {
            Some(bytes) => {
                self.position += length;
                Ok(bytes)
            }
            None => self.error(self.data.len(), AmfErrorKind::Truncated),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], AmfError> {
        let bytes = self.take(N)?;
        Ok(bytes.try_into().expect("take returns the length asked for"))
    }

    fn u8(&mut self) -> Result<u8, AmfError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    fn f64(&mut self) -> Result<f64, AmfError> {
        Ok(f64::from_be_bytes(self.array()?))
    }

    /// Takes the bytes of a string, XML document or byte array. The limit comes
    /// first, so that it is what a peer is told.
    fn take_string(&mut self, length: usize, offset: usize) -> Result<&'a [u8], AmfError> {
        let limit = self.limits.string_bytes;
        if length > limit {
            return self.error(offset, AmfErrorKind::StringTooLong(limit));
        }
        self.take(length)
    }

    /// Bytes that are not UTF-8 are replaced, not refused: old encoders write
    /// names in whatever the system's own encoding is.
    fn text(&mut self, bytes: &[u8]) -> Result<String, AmfError> {
        let mut text = String::new();
        match std::str::from_utf8(bytes) {
            Ok(valid) => {
                self.reserve_text(&mut text, bytes.len())?;
                text.push_str(valid);
            }
            Err(_) => {
                let length = |chunk: std::str::Utf8Chunk<'_>| {
                    let replaced = !chunk.invalid().is_empty();
                    chunk.valid().len() + usize::from(replaced) * REPLACEMENT.len()
                };
                let length = bytes.utf8_chunks().map(length).sum();
                self.reserve_text(&mut text, length)?;
                for chunk in bytes.utf8_chunks() {
                    text.push_str(chunk.valid());
                    if !chunk.invalid().is_empty() {
                        text.push_str(REPLACEMENT);
                    }
                }
            }
        }
        Ok(text)
    }

    fn reserve_text(&mut self, text: &mut String, length: usize) -> Result<(), AmfError> {
        self.charge_text(length)?;
        let reserved = text.try_reserve_exact(length);
        reserved.or_else(|_| self.error(self.position, AmfErrorKind::OutOfMemory(length)))
    }

    /// Appends to a list of the message's own length.
    #[inline]
    fn push<T>(&self, list: &mut Vec<T>, item: T) -> Result<(), AmfError> {
        if list.try_reserve(1).is_err() {
            let bytes = size_of_val(list.as_slice()).saturating_mul(2);
            return self.error(self.position, AmfErrorKind::OutOfMemory(bytes));
        }
        list.push(item);
        Ok(())
    }

    /// Counts one value.
    fn count_value(&mut self) -> Result<(), AmfError> {
        self.count_items(1, size_of::<Value>())
    }

    /// Counts `count` items that take `size` bytes each when decoded.
    fn count_items(&mut self, count: usize, size: usize) -> Result<(), AmfError> {
        self.elements_left = match self.elements_left.checked_sub(count) {
            Some(left) => left,
            None => return self.too_many(),
        };
        self.pay(count)?;
        self.charge(count.saturating_mul(size))
    }

    /// Counts text or a byte array, which a value already counted consists of.
    fn charge_text(&mut self, length: usize) -> Result<(), AmfError> {
        self.pay(1 + length / TEXT_PER_VALUE)?;
        self.charge(length)
    }

    /// Counts against what a message of this length may cost.
    fn pay(&mut self, values: usize) -> Result<(), AmfError> {
        match self.allowance_left.checked_sub(values) {
            Some(left) => {
                self.allowance_left = left;
                Ok(())
            }
            None => self.error(
                self.position,
                AmfErrorKind::TooManyReferences(self.allowance),
            ),
        }
    }

    fn charge(&mut self, bytes: usize) -> Result<(), AmfError> {
        match self.bytes_left.checked_sub(bytes) {
            Some(left) => {
                self.bytes_left = left;
                Ok(())
            }
            None => self.error(
                self.position,
                AmfErrorKind::TooLarge(self.limits.decoded_bytes),
            ),
        }
    }

    /// Refuses a count of items, each at least `size` bytes on the wire, that
    /// the limits or the rest of the message have no room for.
    fn expect_items(&self, count: usize, size: usize) -> Result<(), AmfError> {
        if count > self.elements_left {
            return self.too_many();
        }
        if count.saturating_mul(size) > self.remaining() {
            return self.error(self.data.len(), AmfErrorKind::Truncated);
        }
        Ok(())
    }

    fn too_many<T>(&self) -> Result<T, AmfError> {
        self.error(
            self.position,
            AmfErrorKind::TooManyElements(self.limits.elements),
        )
    }

    /// Reads the inside of a value that holds others and begins at `start`.
    fn nested<T>(
        &mut self,
        start: usize,
        read: impl FnOnce(&mut Self) -> Result<T, AmfError>,
    ) -> Result<T, AmfError> {
        if self.open.len() >= self.limits.depth {
            return self.error(start, AmfErrorKind::TooDeep(self.limits.depth));
        }
        self.open.push(start);
        let inside = read(self)?;
        self.open.pop();
        Ok(inside)
    }

    /// Reads again, at the place of a reference, the value that begins at
    /// `target`. Reading it again costs what reading it first did; no copy is
    /// kept for references that never come.
    fn expand(
        &mut self,
        target: usize,
        read: impl FnOnce(&mut Self) -> Result<Value, AmfError>,
    ) -> Result<Value, AmfError> {
        if let Some(levels) = self.open.iter().rev().position(|&start| start == target) {
            return Ok(Value::Enclosing(levels));
        }
        let resume = std::mem::replace(&mut self.position, target);
        let value = read(self);
        self.position = resume;
        value
    }
}

/// Notes where a referable value begins. Tables are in the order of the message,
/// so a value that is read again for a reference is known by its place.
///
/// Without memory for more of them, later references lead to nothing.
fn note(table: &mut Vec<usize>, start: usize) {
    if table.last() < Some(&start) && table.try_reserve(1).is_ok() {
        table.push(start);
    }
}

/// Writes the values of one message.
///
/// Writing recurses as deep as the values are nested.
#[derive(Debug)]
pub struct Encoder {
    encoding: Encoding,
    output: Vec<u8>,
    /// The values that are being written, outermost first.
    open: Vec<Written>,
    amf0: amf0::Written,
    amf3: amf3::Written,
}

/// Place of a value in the reference table of its encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Amf0(usize),
    Amf3(usize),
}

/// Bytes of an answer, or of what is told to a peer, which are mostly less.
const USUAL: usize = 256;

impl Encoder {
    /// An encoder for one message.
    pub fn new(encoding: Encoding) -> Encoder {
        Encoder {
            encoding,
            output: Vec::with_capacity(USUAL),
            open: Vec::new(),
            amf0: amf0::Written::default(),
            amf3: amf3::Written::default(),
        }
    }

    /// Appends one value.
    ///
    /// What an encoding cannot say is written as the nearest that it can:
    /// AMF0 has no integers (numbers) and no mixed arrays (ECMA arrays with
    /// numbered members), and takes byte arrays, vectors and dictionaries
    /// behind marker 0x11; AMF3 has no "unsupported" (undefined) and no time
    /// zones, and its arrays no member without a name (left out). AMF0 names
    /// longer than 65,535 bytes are cut.
    pub fn value(&mut self, value: &Value) {
        match self.encoding {
            Encoding::Amf3 if !stands_alone(value) => self.write_switched(value),
            _ => self.write_amf0(value),
        }
    }

    /// Appends one bare AMF3 value (FLV script data of type 15).
    pub fn amf3_value(&mut self, value: &Value) {
        self.write_amf3(value);
    }

    /// The bytes written. For AMF3 messages the leading format byte is not
    /// included.
    pub fn finish(self) -> Vec<u8> {
        self.output
    }

    fn u8(&mut self, byte: u8) {
        self.output.push(byte);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    fn nested(&mut self, written: Written, write: impl FnOnce(&mut Self)) {
        self.open.push(written);
        write(self);
        self.open.pop();
    }

    fn enclosing(&self, levels: usize) -> Option<Written> {
        self.open.iter().rev().nth(levels).copied()
    }
}

/// True for values that stay AMF0 in an AMF3 message.
fn stands_alone(value: &Value) -> bool {
    matches!(
        value,
        Value::Number(_)
            | Value::Boolean(_)
            | Value::String(_)
            | Value::Null
            | Value::Undefined
            | Value::Unsupported
            | Value::Enclosing(_)
    )
}

/// As much of a text as fits in `limit` bytes.
fn cut(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
