use crate::text::shown;

/// What is wrong, at which byte and how deep.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}, depth {depth}")]
#[non_exhaustive]
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
    /// A value of another type than this place asks for.
    #[error("{0} was expected")]
    Expected(&'static str),
    /// Nesting beyond the limit.
    #[error("nested deeper than {0}")]
    TooDeep(usize),
    /// A string beyond the limit.
    #[error("a string longer than {0} bytes")]
    StringTooLong(usize),
    /// More values than the limit.
    #[error("more than {0} values")]
    TooManyElements(usize),
    /// References that stand for more values than a message of its length may hold.
    #[error("references stand for more than {0} values")]
    TooManyReferences(usize),
    /// Decoded size beyond the limit.
    #[error("values larger than {0} bytes when decoded")]
    TooLarge(usize),
    /// The system gives no memory for a value.
    #[error("no memory for {0} bytes")]
    OutOfMemory(usize),
    /// A reference to something not seen before.
    #[error("reference {0} to nothing")]
    Reference(usize),
    /// An AMF3 object of a class that writes itself in a format of its own.
    #[error("objects of class {class} have a format of their own", class = shown(.0))]
    Externalizable(String),
}

impl AmfErrorKind {
    /// Whether the message asks for more than the limits allow or the system has,
    /// rather than being malformed.
    pub fn is_limit(&self) -> bool {
        matches!(
            self,
            AmfErrorKind::TooDeep(_)
                | AmfErrorKind::StringTooLong(_)
                | AmfErrorKind::TooManyElements(_)
                | AmfErrorKind::TooManyReferences(_)
                | AmfErrorKind::TooLarge(_)
                | AmfErrorKind::OutOfMemory(_)
        )
    }
}
