use bytes::Bytes;

/// An AMF value of either version.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A number.
    Number(f64),
    /// A boolean.
    Boolean(bool),
    /// A string. Bytes that are not UTF-8 are replaced.
    String(String),
    /// An anonymous or typed object. AMF3 says which members its class seals;
    /// here sealed and dynamic members follow each other.
    Object(Object),
    /// Null.
    Null,
    /// Undefined.
    Undefined,
    /// AMF0 ECMA array; AMF3 array with an associative part only.
    EcmaArray(Object),
    /// AMF3 array with an associative and a dense part.
    MixedArray {
        /// The associative part.
        members: Vec<(String, Value)>,
        /// The dense part.
        elements: Vec<Value>,
    },
    /// A dense array.
    StrictArray(Vec<Value>),
    /// Milliseconds since 1970, and the (unused) time zone of AMF0.
    Date(f64, i16),
    /// AMF0 "unsupported".
    Unsupported,
    /// The text of an XML document: of AMF0, and the older of AMF3's two.
    XmlDocument(String),
    /// The text of AMF3's newer XML (E4X).
    Xml(String),
    /// AMF3 integer, 29 bits signed. One that needs more is written as a number.
    Integer(i32),
    /// AMF3 byte array.
    ByteArray(Bytes),
    /// AMF3 vector of signed integers.
    IntVector {
        /// Whether its length is fixed.
        fixed: bool,
        /// Its items.
        items: Vec<i32>,
    },
    /// AMF3 vector of unsigned integers.
    UintVector {
        /// Whether its length is fixed.
        fixed: bool,
        /// Its items.
        items: Vec<u32>,
    },
    /// AMF3 vector of numbers.
    DoubleVector {
        /// Whether its length is fixed.
        fixed: bool,
        /// Its items.
        items: Vec<f64>,
    },
    /// AMF3 vector of objects.
    ObjectVector {
        /// Class name of the items; `*` or empty for any.
        class: String,
        /// Whether its length is fixed.
        fixed: bool,
        /// Its items.
        items: Vec<Value>,
    },
    /// AMF3 dictionary: keys of any type.
    Dictionary {
        /// Whether the keys are held weakly.
        weak_keys: bool,
        /// Keys and values in the order of the wire.
        entries: Vec<(Value, Value)>,
    },
    /// An AMF3 object, by class, that writes itself as one other value: Flex's
    /// `ArrayCollection`, `ArrayList` and `ObjectProxy`.
    Externalizable(String, Box<Value>),
    /// The very value that encloses this place, so many levels up; 0 is the one
    /// that holds it directly. This is how a cycle shows in a tree.
    Enclosing(usize),
}

/// Ordered members of an object. Closed on purpose: the formats have no more in one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    /// Class name of a typed object.
    pub class: Option<String>,
    /// Members in the order of the wire; names may repeat.
    pub members: Vec<(String, Value)>,
}

impl Object {
    /// An empty anonymous object.
    pub fn new() -> Object {
        Object::default()
    }

    /// Adds a member, for building: `Object::new().with("level", "status")`.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Object {
        self.members.push((name.to_owned(), value.into()));
        self
    }

    /// The last member of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members
            .iter()
            .rev()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v)
    }
}

impl Value {
    /// The number of a Number or Integer.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Number(n) => Some(*n),
            Value::Integer(i) => Some(f64::from(*i)),
            _ => None,
        }
    }

    /// The text of a String.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(s) => Some(s),
            _ => None,
        }
    }

    /// The same in types that AMF0 has, so that a reader of AMF0 alone can read it:
    /// vectors become arrays, dictionaries arrays with the keys that are text or
    /// numbers, objects that write themselves as one value that value. What has no
    /// counterpart (byte arrays) becomes undefined.
    ///
    /// Recurses as deep as the value is nested.
    pub fn to_amf0(&self) -> Value {
        let members = |object: &Object| Object {
            class: object.class.clone(),
            members: object
                .members
                .iter()
                .map(|(name, value)| (name.clone(), value.to_amf0()))
                .collect(),
        };
        let numbers = |items: &mut dyn Iterator<Item = f64>| {
            Value::StrictArray(items.map(Value::Number).collect())
        };
        match self {
            Value::Object(object) => Value::Object(members(object)),
            Value::EcmaArray(object) => Value::EcmaArray(members(object)),
            Value::MixedArray {
                members: named,
                elements,
            } => {
                let named = named.iter().map(|(name, value)| (name.clone(), value));
                let elements = elements.iter().enumerate();
                let elements = elements.map(|(index, value)| (index.to_string(), value));
                let all = named.chain(elements);
                Value::EcmaArray(Object {
                    class: None,
                    members: all.map(|(name, value)| (name, value.to_amf0())).collect(),
                })
            }
            Value::StrictArray(items) | Value::ObjectVector { items, .. } => {
                Value::StrictArray(items.iter().map(Value::to_amf0).collect())
            }
            Value::IntVector { items, .. } => numbers(&mut items.iter().copied().map(f64::from)),
            Value::UintVector { items, .. } => numbers(&mut items.iter().copied().map(f64::from)),
            Value::DoubleVector { items, .. } => numbers(&mut items.iter().copied()),
            Value::Dictionary { entries, .. } => {
                let entries = entries.iter().filter_map(|(key, value)| {
                    let key = match key {
                        Value::String(text) => text.clone(),
                        number => number.as_f64()?.to_string(),
                    };
                    Some((key, value.to_amf0()))
                });
                Value::EcmaArray(Object {
                    class: None,
                    members: entries.collect(),
                })
            }
            Value::Externalizable(_, inside) => inside.to_amf0(),
            Value::ByteArray(_) => Value::Undefined,
            Value::Integer(integer) => Value::Number(f64::from(*integer)),
            // The level that it names may be gone with an object that wrote itself.
            Value::Enclosing(_) => Value::Undefined,
            Value::Xml(text) => Value::XmlDocument(text.clone()),
            plain => plain.clone(),
        }
    }

    /// The members of an Object or EcmaArray.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Value::Object(o) | Value::EcmaArray(o) => Some(o),
            _ => None,
        }
    }
}

impl From<f64> for Value {
    fn from(n: f64) -> Value {
        Value::Number(n)
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Value {
        Value::Boolean(b)
    }
}

impl From<&str> for Value {
    fn from(s: &str) -> Value {
        Value::String(s.to_owned())
    }
}

impl From<String> for Value {
    fn from(s: String) -> Value {
        Value::String(s)
    }
}

impl From<Object> for Value {
    fn from(o: Object) -> Value {
        Value::Object(o)
    }
}
