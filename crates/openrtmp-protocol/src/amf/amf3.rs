use std::collections::HashMap;
use std::mem::size_of;
use std::sync::Arc;

use bytes::Bytes;

use super::{AmfError, AmfErrorKind, Decoder, Encoder, Object, Value, Written as Place, cut, note};

// AMF 3, section 3.1.
const UNDEFINED: u8 = 0x00;
const NULL: u8 = 0x01;
const FALSE: u8 = 0x02;
const TRUE: u8 = 0x03;
const INTEGER: u8 = 0x04;
const DOUBLE: u8 = 0x05;
const STRING: u8 = 0x06;
const XML_DOCUMENT: u8 = 0x07;
const DATE: u8 = 0x08;
const ARRAY: u8 = 0x09;
const OBJECT: u8 = 0x0A;
const XML: u8 = 0x0B;
const BYTE_ARRAY: u8 = 0x0C;
const VECTOR_INT: u8 = 0x0D;
const VECTOR_UINT: u8 = 0x0E;
const VECTOR_DOUBLE: u8 = 0x0F;
const VECTOR_OBJECT: u8 = 0x10;
const DICTIONARY: u8 = 0x11;

/// Largest length or count: 29 bits, one of which says that it is no reference.
const MAX_COUNT: usize = (1 << 28) - 1;

/// Most sealed members: the rest of a header after four bits of flags.
const MAX_SEALED: usize = (1 << 25) - 1;

/// Externalizable classes whose own format is one AMF3 value. Any other format
/// is known to its class alone (section 3.12).
const ONE_VALUE_CLASSES: [&str; 3] = [
    "flex.messaging.io.ArrayCollection",
    "flex.messaging.io.ArrayList",
    "flex.messaging.io.ObjectProxy",
];

/// The three tables of section 2.2, by place in the message: nothing is copied
/// until a reference asks for it.
#[derive(Debug, Default)]
pub(super) struct References {
    strings: Vec<Span>,
    traits: Vec<(usize, Arc<Traits>)>,
    objects: Vec<usize>,
}

/// Bytes of the message.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
}

/// What the objects of a class have in common (section 3.12).
#[derive(Debug)]
struct Traits {
    class: Span,
    kind: Kind,
    sealed: Vec<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Sealed,
    Dynamic,
    Externalizable,
}

/// The integer at the head of most values: a reference, or 28 bits of length.
enum Header {
    Reference(usize),
    Inline(usize),
}

impl Decoder<'_> {
    // Values that hold others are read apart from those that do not, here and
    // in AMF0, to keep the frames of the recursion small.
    pub(super) fn read_amf3(&mut self) -> Result<Value, AmfError> {
        let start = self.position;
        let marker = self.u8()?;
        self.count_value()?;
        if !(XML_DOCUMENT..=DICTIONARY).contains(&marker) {
            return self.read_simple(marker, start);
        }
        match self.header()? {
            Header::Inline(length) => {
                note(&mut self.amf3.objects, start);
                match marker {
                    ARRAY => self.nested(start, |decoder| decoder.read_array(length)),
                    OBJECT => self.nested(start, |decoder| decoder.read_object(length, start)),
                    VECTOR_OBJECT => self.nested(start, |decoder| decoder.read_objects(length)),
                    DICTIONARY => self.nested(start, |decoder| decoder.read_dictionary(length)),
                    _ => self.read_flat(marker, length, start),
                }
            }
            Header::Reference(index) => match self.amf3.objects.get(index) {
                Some(&target) => self.expand(target, Self::read_amf3),
                None => self.error(start, AmfErrorKind::Reference(index)),
            },
        }
    }

    fn read_simple(&mut self, marker: u8, start: usize) -> Result<Value, AmfError> {
        Ok(match marker {
            UNDEFINED => Value::Undefined,
            NULL => Value::Null,
            FALSE => Value::Boolean(false),
            TRUE => Value::Boolean(true),
            // 29 bits in two's complement: move the sign bit up and back.
            INTEGER => Value::Integer((self.u29()? << 3) as i32 >> 3),
            DOUBLE => Value::Number(self.f64()?),
            STRING => {
                let span = self.string_span()?;
                Value::String(self.span_text(span)?)
            }
            _ => return self.error(start, AmfErrorKind::Marker(marker)),
        })
    }

    /// A value that references may name but that holds no others.
    fn read_flat(&mut self, marker: u8, length: usize, start: usize) -> Result<Value, AmfError> {
        Ok(match marker {
            XML_DOCUMENT => Value::XmlDocument(self.document(length, start)?),
            XML => Value::Xml(self.document(length, start)?),
            DATE => Value::Date(self.f64()?, 0),
            BYTE_ARRAY => {
                let bytes = self.take_string(length, start)?;
                self.charge_text(length)?;
                let mut copy = Vec::new();
                if copy.try_reserve_exact(length).is_err() {
                    return self.error(start, AmfErrorKind::OutOfMemory(length));
                }
                copy.extend_from_slice(bytes);
                Value::ByteArray(Bytes::from(copy))
            }
            VECTOR_INT => Value::IntVector {
                fixed: self.u8()? != 0,
                items: self.read_vector(length, i32::from_be_bytes)?,
            },
            VECTOR_UINT => Value::UintVector {
                fixed: self.u8()? != 0,
                items: self.read_vector(length, u32::from_be_bytes)?,
            },
            VECTOR_DOUBLE => Value::DoubleVector {
                fixed: self.u8()? != 0,
                items: self.read_vector(length, f64::from_be_bytes)?,
            },
            _ => return self.error(start, AmfErrorKind::Marker(marker)),
        })
    }

    fn read_objects(&mut self, count: usize) -> Result<Value, AmfError> {
        let fixed = self.u8()? != 0;
        let class = self.string_span()?;
        Ok(Value::ObjectVector {
            class: self.span_text(class)?,
            fixed,
            items: self.read_items(count)?,
        })
    }

    fn read_dictionary(&mut self, count: usize) -> Result<Value, AmfError> {
        let weak_keys = self.u8()? != 0;
        self.expect_items(count, 2)?;
        let mut entries = Vec::new();
        for _ in 0..count {
            let entry = (self.read_amf3()?, self.read_amf3()?);
            self.push(&mut entries, entry)?;
        }
        Ok(Value::Dictionary { weak_keys, entries })
    }

    fn document(&mut self, length: usize, start: usize) -> Result<String, AmfError> {
        let bytes = self.take_string(length, start)?;
        self.text(bytes)
    }

    fn read_array(&mut self, length: usize) -> Result<Value, AmfError> {
        let members = self.named_members(Vec::new())?;
        let elements = self.read_items(length)?;
        Ok(match (members.is_empty(), elements.is_empty()) {
            (true, _) => Value::StrictArray(elements),
            (false, true) => Value::EcmaArray(Object {
                class: None,
                members,
            }),
            (false, false) => Value::MixedArray { members, elements },
        })
    }

    fn read_items(&mut self, count: usize) -> Result<Vec<Value>, AmfError> {
        self.expect_items(count, 1)?;
        // Grows with what is read: the count alone reserves nothing.
        let mut items = Vec::new();
        for _ in 0..count {
            let item = self.read_amf3()?;
            self.push(&mut items, item)?;
        }
        Ok(items)
    }

    /// Members up to the empty name, after those that were read before.
    fn named_members(
        &mut self,
        mut members: Vec<(String, Value)>,
    ) -> Result<Vec<(String, Value)>, AmfError> {
        loop {
            let name = self.string_span()?;
            if name.start == name.end {
                return Ok(members);
            }
            let member = self.member(name)?;
            self.push(&mut members, member)?;
        }
    }

    fn member(&mut self, name: Span) -> Result<(String, Value), AmfError> {
        self.charge(size_of::<String>())?;
        Ok((self.span_text(name)?, self.read_amf3()?))
    }

    fn read_object(&mut self, header: usize, start: usize) -> Result<Value, AmfError> {
        let traits = self.traits(header, start)?;
        let class = Some(self.span_text(traits.class)?).filter(|class| !class.is_empty());
        if traits.kind == Kind::Externalizable {
            let class = class.unwrap_or_default();
            if !ONE_VALUE_CLASSES.contains(&class.as_str()) {
                return self.error(start, AmfErrorKind::Externalizable(class));
            }
            let value = Box::new(self.read_amf3()?);
            return Ok(Value::Externalizable(class, value));
        }
        let mut members = Vec::new();
        for &name in &traits.sealed {
            let member = self.member(name)?;
            self.push(&mut members, member)?;
        }
        if traits.kind == Kind::Dynamic {
            members = self.named_members(members)?;
        }
        Ok(Value::Object(Object { class, members }))
    }

    /// The traits that an object's header, without its lowest bit, names or
    /// begins.
    fn traits(&mut self, header: usize, start: usize) -> Result<Arc<Traits>, AmfError> {
        if header & 1 == 0 {
            let index = header >> 1;
            return match self.amf3.traits.get(index) {
                Some((_, traits)) => Ok(Arc::clone(traits)),
                None => self.error(start, AmfErrorKind::Reference(index)),
            };
        }
        let kind = match header >> 1 & 0b11 {
            0b00 => Kind::Sealed,
            0b10 => Kind::Dynamic,
            _ => Kind::Externalizable,
        };
        let count = match kind {
            Kind::Externalizable => 0,
            _ => header >> 3,
        };
        let class = self.string_span()?;
        self.expect_items(count, 1)?;
        self.charge(count.saturating_mul(size_of::<Span>()))?;
        let mut sealed = Vec::new();
        for _ in 0..count {
            let name = self.string_span()?;
            self.push(&mut sealed, name)?;
        }
        let traits = Arc::new(Traits {
            class,
            kind,
            sealed,
        });
        let last = self.amf3.traits.last().map(|(last, _)| *last);
        if last < Some(start) {
            self.amf3.traits.push((start, Arc::clone(&traits)));
        }
        Ok(traits)
    }

    fn read_vector<T, const N: usize>(
        &mut self,
        count: usize,
        item: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>, AmfError> {
        self.expect_items(count, N)?;
        self.count_items(count, N)?;
        let mut items = Vec::new();
        if items.try_reserve_exact(count).is_err() {
            let bytes = count.saturating_mul(N);
            return self.error(self.position, AmfErrorKind::OutOfMemory(bytes));
        }
        for _ in 0..count {
            items.push(item(self.array()?));
        }
        Ok(items)
    }

    fn string_span(&mut self) -> Result<Span, AmfError> {
        let start = self.position;
        match self.header()? {
            Header::Reference(index) => match self.amf3.strings.get(index) {
                Some(&span) => Ok(span),
                None => self.error(start, AmfErrorKind::Reference(index)),
            },
            Header::Inline(length) => {
                self.take_string(length, start)?;
                let span = Span {
                    start: self.position - length,
                    end: self.position,
                };
                // The empty string is never sent by reference (section 3.8).
                let last = self.amf3.strings.last().map(|last| last.start);
                if length > 0 && last < Some(span.start) && self.amf3.strings.try_reserve(1).is_ok()
                {
                    self.amf3.strings.push(span);
                }
                Ok(span)
            }
        }
    }

    fn span_text(&mut self, span: Span) -> Result<String, AmfError> {
        self.text(&self.data[span.start..span.end])
    }

    fn header(&mut self) -> Result<Header, AmfError> {
        let header = self.u29()? as usize;
        Ok(match header & 1 {
            0 => Header::Reference(header >> 1),
            _ => Header::Inline(header >> 1),
        })
    }

    /// Section 1.3.1: three bytes give 7 bits each, a fourth gives all 8.
    fn u29(&mut self) -> Result<u32, AmfError> {
        let mut value = 0;
        for _ in 0..3 {
            let byte = self.u8()?;
            value = value << 7 | u32::from(byte & 0x7F);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Ok(value << 8 | u32::from(self.u8()?))
    }
}

/// What was written and may be referred to.
#[derive(Debug, Default)]
pub(super) struct Written {
    strings: HashMap<String, usize>,
    traits: HashMap<(String, Kind, Vec<String>), usize>,
    objects: usize,
}

impl Encoder {
    pub(super) fn write_amf3(&mut self, value: &Value) {
        match value {
            Value::Undefined | Value::Unsupported => self.u8(UNDEFINED),
            Value::Null => self.u8(NULL),
            Value::Boolean(false) => self.u8(FALSE),
            Value::Boolean(true) => self.u8(TRUE),
            Value::Integer(integer) if (-(1 << 28)..1 << 28).contains(integer) => {
                self.u8(INTEGER);
                self.u29(*integer as u32 & 0x1FFF_FFFF);
            }
            Value::Integer(integer) => self.double(f64::from(*integer)),
            Value::Number(number) => self.double(*number),
            Value::String(text) => {
                self.u8(STRING);
                self.string(text);
            }
            Value::XmlDocument(text) => self.document(XML_DOCUMENT, text),
            Value::Xml(text) => self.document(XML, text),
            Value::Date(milliseconds, _) => {
                self.u8(DATE);
                self.object_place();
                self.inline(0);
                self.bytes(&milliseconds.to_be_bytes());
            }
            Value::StrictArray(elements) => self.write_array(&[], elements),
            Value::EcmaArray(object) => self.write_array(&object.members, &[]),
            Value::MixedArray { members, elements } => self.write_array(members, elements),
            Value::Object(object) => self.write_object(object),
            Value::Externalizable(class, inside) => {
                self.u8(OBJECT);
                let place = self.object_place();
                self.traits(class, Kind::Externalizable, Vec::new());
                self.nested(place, |encoder| encoder.write_amf3(inside));
            }
            Value::ByteArray(bytes) => {
                let bytes = countable(bytes);
                self.u8(BYTE_ARRAY);
                self.object_place();
                self.inline(bytes.len());
                self.bytes(bytes);
            }
            Value::IntVector { fixed, items } => {
                self.vector(VECTOR_INT, *fixed, items, |item| item.to_be_bytes());
            }
            Value::UintVector { fixed, items } => {
                self.vector(VECTOR_UINT, *fixed, items, |item| item.to_be_bytes());
            }
            Value::DoubleVector { fixed, items } => {
                self.vector(VECTOR_DOUBLE, *fixed, items, |item| item.to_be_bytes());
            }
            Value::ObjectVector {
                class,
                fixed,
                items,
            } => {
                let items = countable(items);
                self.u8(VECTOR_OBJECT);
                let place = self.object_place();
                self.inline(items.len());
                self.u8(u8::from(*fixed));
                self.string(class);
                self.nested(place, |encoder| {
                    items.iter().for_each(|item| encoder.write_amf3(item));
                });
            }
            Value::Dictionary { weak_keys, entries } => {
                let entries = countable(entries);
                self.u8(DICTIONARY);
                let place = self.object_place();
                self.inline(entries.len());
                self.u8(u8::from(*weak_keys));
                self.nested(place, |encoder| {
                    for (key, value) in entries {
                        encoder.write_amf3(key);
                        encoder.write_amf3(value);
                    }
                });
            }
            Value::Enclosing(levels) => match self.enclosing(*levels) {
                Some(Place::Amf3(index)) if index <= MAX_COUNT => {
                    // A reference has the same form in every type of object.
                    self.u8(OBJECT);
                    self.u29((index as u32) << 1);
                }
                _ => self.u8(UNDEFINED),
            },
        }
    }

    fn double(&mut self, number: f64) {
        self.u8(DOUBLE);
        self.bytes(&number.to_be_bytes());
    }

    fn document(&mut self, marker: u8, text: &str) {
        let text = cut(text, MAX_COUNT);
        self.u8(marker);
        self.object_place();
        self.inline(text.len());
        self.bytes(text.as_bytes());
    }

    fn write_array(&mut self, members: &[(String, Value)], elements: &[Value]) {
        let elements = countable(elements);
        self.u8(ARRAY);
        let place = self.object_place();
        self.inline(elements.len());
        self.nested(place, |encoder| {
            encoder.named_members(members);
            elements.iter().for_each(|value| encoder.write_amf3(value));
        });
    }

    fn write_object(&mut self, object: &Object) {
        let class = object.class.as_deref().unwrap_or_default();
        let members = &object.members[..object.members.len().min(MAX_SEALED)];
        let nameless = members.iter().any(|(name, _)| name.is_empty());
        self.u8(OBJECT);
        let place = self.object_place();
        // Members of a class are its sealed ones; without a class there is
        // nothing to seal, save for a name that would end dynamic members.
        if class.is_empty() && !nameless {
            self.traits(class, Kind::Dynamic, Vec::new());
            self.nested(place, |encoder| encoder.named_members(members));
        } else {
            let names = members.iter().map(|(name, _)| name.clone()).collect();
            self.traits(class, Kind::Sealed, names);
            self.nested(place, |encoder| {
                for (_, value) in members {
                    encoder.write_amf3(value);
                }
            });
        }
    }

    /// Members and the empty name that ends them. One without a name of its
    /// own would end them early and is left out.
    fn named_members(&mut self, members: &[(String, Value)]) {
        for (name, value) in members.iter().filter(|(name, _)| !name.is_empty()) {
            self.string(name);
            self.write_amf3(value);
        }
        self.string("");
    }

    fn traits(&mut self, class: &str, kind: Kind, sealed: Vec<String>) {
        let key = (class.to_owned(), kind, sealed);
        if let Some(&index) = self.amf3.traits.get(&key) {
            return self.u29((index as u32) << 2 | 0b01);
        }
        let sealed = &key.2;
        self.u29(match kind {
            Kind::Sealed => (sealed.len() as u32) << 4 | 0b0011,
            Kind::Dynamic => (sealed.len() as u32) << 4 | 0b1011,
            Kind::Externalizable => 0b0111,
        });
        self.string(class);
        sealed.iter().for_each(|name| self.string(name));
        let index = self.amf3.traits.len();
        self.amf3.traits.insert(key, index);
    }

    fn vector<T: Copy, const N: usize>(
        &mut self,
        marker: u8,
        fixed: bool,
        items: &[T],
        bytes: impl Fn(T) -> [u8; N],
    ) {
        let items = countable(items);
        self.u8(marker);
        self.object_place();
        self.inline(items.len());
        self.u8(u8::from(fixed));
        for &item in items {
            self.bytes(&bytes(item));
        }
    }

    fn string(&mut self, text: &str) {
        let text = cut(text, MAX_COUNT);
        if text.is_empty() {
            return self.inline(0);
        }
        if let Some(&index) = self.amf3.strings.get(text) {
            return self.u29((index as u32) << 1);
        }
        let index = self.amf3.strings.len();
        self.amf3.strings.insert(text.to_owned(), index);
        self.inline(text.len());
        self.bytes(text.as_bytes());
    }

    fn object_place(&mut self) -> Place {
        let index = self.amf3.objects;
        self.amf3.objects += 1;
        Place::Amf3(index)
    }

    /// The header of a value that is no reference.
    fn inline(&mut self, length: usize) {
        self.u29((length as u32) << 1 | 1);
    }

    fn u29(&mut self, value: u32) {
        let low7 = |shift: u32| (value >> shift) as u8 & 0x7F;
        match value {
            0..=0x7F => self.u8(low7(0)),
            0x80..=0x3FFF => self.bytes(&[low7(7) | 0x80, low7(0)]),
            0x4000..=0x1F_FFFF => self.bytes(&[low7(14) | 0x80, low7(7) | 0x80, low7(0)]),
            _ => self.bytes(&[
                low7(22) | 0x80,
                low7(15) | 0x80,
                low7(8) | 0x80,
                value as u8,
            ]),
        }
    }
}

/// As many items as a header can count.
fn countable<T>(items: &[T]) -> &[T] {
    &items[..items.len().min(MAX_COUNT)]
}
