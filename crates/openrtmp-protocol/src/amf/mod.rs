//! Action Message Format, AMF0 and AMF3, both directions.

mod amf0;
mod amf3;
mod value;

use crate::AmfLimits;
pub use value::{Object, Value};

/// Which AMF a message uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// AMF0.
    #[default]
    Amf0,
    /// AMF0 values, each switched to AMF3 by marker 0x11.
    Amf3,
}

/// Reads the values of one message; reference tables live as long as it.
pub struct Decoder<'a> {
    data: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// A decoder of AMF0 values (with AMF3 values behind marker 0x11), as
    /// messages 18 and 20 and, after their format byte, 15 and 17 carry.
    pub fn new(data: &'a [u8], limits: &AmfLimits) -> Decoder<'a> {
        let _ = limits;
        Decoder { data }
    }

    /// Reads one value.
    pub fn value(&mut self) -> Result<Value, AmfError> {
        todo!()
    }

    /// Reads one bare AMF3 value (FLV script data of type 15).
    pub fn amf3_value(&mut self) -> Result<Value, AmfError> {
        todo!()
    }

    /// True when all bytes were read.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        todo!()
    }
}

/// Writes the values of one message.
pub struct Encoder {
    _private: (),
}

impl Encoder {
    /// An encoder for one message.
    pub fn new(encoding: Encoding) -> Encoder {
        let _ = encoding;
        todo!()
    }

    /// Appends one value.
    pub fn value(&mut self, value: &Value) {
        let _ = value;
        todo!()
    }

    /// The bytes written. For AMF3 messages the leading format byte is not
    /// included.
    pub fn finish(self) -> Vec<u8> {
        todo!()
    }
}

/// What is wrong, at which byte and how deep.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}, depth {depth}")]
pub struct AmfError {
    /// What.
    pub kind: AmfErrorKind,
    /// Byte offset in the message.
    pub offset: usize,
    /// Levels of nesting around it.
    pub depth: usize,
}

/// What is wrong with an AMF message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AmfErrorKind {
    /// The message ends inside a value.
    #[error("the message ends inside a value")]
    Truncated,
    /// A marker that does not exist or may not stand here.
    #[error("marker {0:#04x} is not known here")]
    Marker(u8),
    /// Nesting beyond the limit.
    #[error("nested deeper than {0}")]
    TooDeep(usize),
    /// A string beyond the limit.
    #[error("a string longer than {0} bytes")]
    StringTooLong(usize),
    /// More values than the limit.
    #[error("more than {0} values")]
    TooManyElements(usize),
    /// Decoded size beyond the limit.
    #[error("values larger than {0} bytes when decoded")]
    TooLarge(usize),
    /// A reference to something not seen before.
    #[error("reference {0} to nothing")]
    Reference(usize),
}
