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
    /// An anonymous or typed object.
    Object(Object),
    /// Null.
    Null,
    /// Undefined.
    Undefined,
    /// AMF0 ECMA array; AMF3 array with an associative part only.
    EcmaArray(Object),
    /// A dense array.
    StrictArray(Vec<Value>),
    /// Milliseconds since 1970, and the (unused) time zone of AMF0.
    Date(f64, i16),
    /// AMF0 "unsupported".
    Unsupported,
    /// An XML document as text.
    Xml(String),
    /// AMF3 integer, 29 bits signed.
    Integer(i32),
    /// AMF3 byte array.
    ByteArray(Bytes),
}

/// Ordered members of an object.
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
