use std::mem::size_of;

use super::{AmfError, AmfErrorKind, Decoder, Encoder, Object, Value, Written as Place, cut, note};

// AMF 0, section 2.1. Movie clip (04) and record set (0E) are reserved.
const NUMBER: u8 = 0x00;
const BOOLEAN: u8 = 0x01;
const STRING: u8 = 0x02;
const OBJECT: u8 = 0x03;
const NULL: u8 = 0x05;
const UNDEFINED: u8 = 0x06;
const REFERENCE: u8 = 0x07;
const ECMA_ARRAY: u8 = 0x08;
const OBJECT_END: u8 = 0x09;
const STRICT_ARRAY: u8 = 0x0A;
const DATE: u8 = 0x0B;
const LONG_STRING: u8 = 0x0C;
const UNSUPPORTED: u8 = 0x0D;
const XML_DOCUMENT: u8 = 0x0F;
const TYPED_OBJECT: u8 = 0x10;
const SWITCH_TO_AMF3: u8 = 0x11;

/// Where each object and array of the message begins, in their order
/// (section 2.9).
#[derive(Debug, Default)]
pub(super) struct References(Vec<usize>);

impl Decoder<'_> {
    pub(super) fn read_amf0(&mut self) -> Result<Value, AmfError> {
        let start = self.position;
        let marker = self.u8()?;
        if marker == SWITCH_TO_AMF3 {
            self.switches = true;
            return self.read_amf3();
        }
        self.count_value()?;
        match marker {
            OBJECT => self.object(None, start).map(Value::Object),
            TYPED_OBJECT => {
                let class = Some(self.short_text()?).filter(|class| !class.is_empty());
                self.object(class, start).map(Value::Object)
            }
            ECMA_ARRAY => {
                // The count is a hint (section 2.10); the end marker decides.
                self.array::<4>()?;
                self.object(None, start).map(Value::EcmaArray)
            }
            STRICT_ARRAY => self.elements(start).map(Value::StrictArray),
            REFERENCE => {
                let index = usize::from(u16::from_be_bytes(self.array()?));
                match self.amf0.0.get(index) {
                    Some(&target) => self.expand(target, Self::read_amf0),
                    None => self.error(start, AmfErrorKind::Reference(index)),
                }
            }
            _ => self.leaf(marker, start),
        }
    }

    fn leaf(&mut self, marker: u8, start: usize) -> Result<Value, AmfError> {
        Ok(match marker {
            NUMBER => Value::Number(self.f64()?),
            BOOLEAN => Value::Boolean(self.u8()? != 0),
            STRING => Value::String(self.short_text()?),
            NULL => Value::Null,
            UNDEFINED => Value::Undefined,
            DATE => Value::Date(self.f64()?, i16::from_be_bytes(self.array()?)),
            LONG_STRING => Value::String(self.long_text()?),
            UNSUPPORTED => Value::Unsupported,
            XML_DOCUMENT => Value::XmlDocument(self.long_text()?),
            _ => return self.error(start, AmfErrorKind::Marker(marker)),
        })
    }

    fn short_text(&mut self) -> Result<String, AmfError> {
        let start = self.position;
        let length = u16::from_be_bytes(self.array()?);
        let bytes = self.take_string(length.into(), start)?;
        self.text(bytes)
    }

    fn long_text(&mut self) -> Result<String, AmfError> {
        let start = self.position;
        let length = u32::from_be_bytes(self.array()?);
        let bytes = self.take_string(size(length), start)?;
        self.text(bytes)
    }

    fn object(&mut self, class: Option<String>, start: usize) -> Result<Object, AmfError> {
        note(&mut self.amf0.0, start);
        let members = self.nested(start, Self::members)?;
        Ok(Object { class, members })
    }

    fn members(&mut self) -> Result<Vec<(String, Value)>, AmfError> {
        let mut members = Vec::new();
        while !self.is_empty() {
            let name = self.short_text()?;
            if name.is_empty() && self.data.get(self.position) == Some(&OBJECT_END) {
                self.position += 1;
                break;
            }
            self.charge(size_of::<String>())?;
            let value = self.read_amf0()?;
            self.push(&mut members, (name, value))?;
        }
        Ok(members)
    }

    fn elements(&mut self, start: usize) -> Result<Vec<Value>, AmfError> {
        note(&mut self.amf0.0, start);
        let count = size(u32::from_be_bytes(self.array()?));
        self.expect_items(count, 1)?;
        self.nested(start, |decoder| {
            // Grows with what is read: the count alone reserves nothing.
            let mut elements = Vec::new();
            for _ in 0..count {
                let value = decoder.read_amf0()?;
                decoder.push(&mut elements, value)?;
            }
            Ok(elements)
        })
    }
}

/// A size of the wire; where it is beyond the machine, it is beyond any limit.
fn size(wire: u32) -> usize {
    usize::try_from(wire).unwrap_or(usize::MAX)
}

/// How many objects and arrays were written.
#[derive(Debug, Default)]
pub(super) struct Written(usize);

impl Encoder {
    pub(super) fn write_amf0(&mut self, value: &Value) {
        match value {
            Value::Number(number) => self.number(*number),
            Value::Integer(integer) => self.number(f64::from(*integer)),
            Value::Boolean(boolean) => self.bytes(&[BOOLEAN, u8::from(*boolean)]),
            Value::String(text) => match u16::try_from(text.len()) {
                Ok(_) => {
                    self.u8(STRING);
                    self.short_text(text);
                }
                Err(_) => {
                    self.u8(LONG_STRING);
                    self.long_text(text);
                }
            },
            Value::Object(object) => {
                match object.class.as_deref() {
                    None | Some("") => self.u8(OBJECT),
                    Some(class) => {
                        self.u8(TYPED_OBJECT);
                        self.short_text(class);
                    }
                }
                self.members(&object.members, &[]);
            }
            Value::Null => self.u8(NULL),
            Value::Undefined => self.u8(UNDEFINED),
            Value::EcmaArray(object) => self.ecma_array(&object.members, &[]),
            Value::MixedArray { members, elements } => self.ecma_array(members, elements),
            Value::StrictArray(elements) => self.strict_array(elements),
            Value::Date(milliseconds, zone) => {
                self.u8(DATE);
                self.bytes(&milliseconds.to_be_bytes());
                self.bytes(&zone.to_be_bytes());
            }
            Value::Unsupported => self.u8(UNSUPPORTED),
            Value::XmlDocument(text) | Value::Xml(text) => {
                self.u8(XML_DOCUMENT);
                self.long_text(text);
            }
            Value::ByteArray(_)
            | Value::IntVector { .. }
            | Value::UintVector { .. }
            | Value::DoubleVector { .. }
            | Value::ObjectVector { .. }
            | Value::Dictionary { .. }
            | Value::Externalizable(..) => self.write_switched(value),
            Value::Enclosing(levels) => match self.enclosing(*levels) {
                Some(Place::Amf0(index)) if index <= usize::from(u16::MAX) => {
                    self.u8(REFERENCE);
                    self.bytes(&(index as u16).to_be_bytes());
                }
                _ => self.u8(UNDEFINED),
            },
        }
    }

    pub(super) fn write_switched(&mut self, value: &Value) {
        self.u8(SWITCH_TO_AMF3);
        self.write_amf3(value);
    }

    fn number(&mut self, number: f64) {
        self.u8(NUMBER);
        self.bytes(&number.to_be_bytes());
    }

    fn short_text(&mut self, text: &str) {
        let text = cut(text, usize::from(u16::MAX));
        self.bytes(&(text.len() as u16).to_be_bytes());
        self.bytes(text.as_bytes());
    }

    fn long_text(&mut self, text: &str) {
        let text = cut(text, size(u32::MAX));
        self.bytes(&(text.len() as u32).to_be_bytes());
        self.bytes(text.as_bytes());
    }

    fn ecma_array(&mut self, members: &[(String, Value)], elements: &[Value]) {
        let count = members.len().saturating_add(elements.len());
        self.u8(ECMA_ARRAY);
        self.bytes(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
        self.members(members, elements);
    }

    /// Named members, then elements as members named by their index.
    fn members(&mut self, members: &[(String, Value)], elements: &[Value]) {
        let place = self.place();
        self.nested(place, |encoder| {
            for (name, value) in members {
                encoder.short_text(name);
                encoder.write_amf0(value);
            }
            for (index, value) in elements.iter().enumerate() {
                encoder.short_text(&index.to_string());
                encoder.write_amf0(value);
            }
        });
        self.bytes(&[0, 0, OBJECT_END]);
    }

    fn strict_array(&mut self, elements: &[Value]) {
        let count = u32::try_from(elements.len()).unwrap_or(u32::MAX);
        self.u8(STRICT_ARRAY);
        self.bytes(&count.to_be_bytes());
        let place = self.place();
        self.nested(place, |encoder| {
            for value in &elements[..size(count)] {
                encoder.write_amf0(value);
            }
        });
    }

    fn place(&mut self) -> Place {
        let index = self.amf0.0;
        self.amf0.0 += 1;
        Place::Amf0(index)
    }
}
