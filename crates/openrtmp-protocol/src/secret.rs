use std::fmt;

/// What stands for a text that is not shown.
pub(crate) const MASK: &str = "***";

/// A text that may hold a key: the query of a URL, a whole URL. Its text form, for
/// `Display` and `Debug` alike, is `***`; only [`reveal`](Secret::reveal) gives the text.
///
/// ```
/// use openrtmp_protocol::Secret;
///
/// let query = Secret::from("key=s3cret".to_owned());
/// assert_eq!(format!("{query} {query:?}"), "*** ***");
/// assert_eq!(query.reveal(), "key=s3cret");
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// The text. It may hold keys: not for logs, files or anything else that stays.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// True if there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret(text.to_owned())
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "" } else { MASK })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
