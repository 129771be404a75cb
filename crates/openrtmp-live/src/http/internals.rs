//! What fuzz targets look at. Not part of the API, and behind a feature.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use super::path::{Route, encoded};
use super::query::with_plain_key;
use super::range::{Wanted, wanted};
use super::token::{Pass, Secrets};

/// The stream that the path of a request names, if it is one of a stream's.
pub fn stream_of(path: &str) -> Option<String> {
    match Route::parse(path).ok()? {
        Route::Stream { path, .. } => Some(path),
        _ => None,
    }
}

/// A stream's path as it stands in a URL.
pub fn escaped(path: &str) -> String {
    encoded(path)
}

/// A query with its key as it is.
pub fn plain_query(query: &str) -> String {
    with_plain_key(query)
}

/// The bytes that a header `Range` asks for, of so many; `None`: none of them.
pub fn bytes_of(header: &str, length: u64) -> Option<Range<u64>> {
    match wanted(Some(header), length) {
        Wanted::All => Some(0..length),
        Wanted::Part(range) => Some(range),
        Wanted::Nothing => None,
    }
}

/// Tokens of a server that signs with this secret.
#[derive(Debug)]
pub struct Tokens(Secrets);

impl Tokens {
    /// Those of this secret.
    pub fn new(secret: &str) -> Option<Tokens> {
        Some(Tokens(Secrets::new(&[secret.to_owned()]).ok()?))
    }

    /// One for a stream until a time, in seconds since 1970, that came with a key or not.
    pub fn sign(&self, path: &str, expires: u64, key: Option<[u8; 12]>) -> String {
        let mut pass = Pass::new("", expires);
        (pass.path, pass.viewer, pass.key) = (path.to_owned(), 7, key);
        self.0.sign(&pass)
    }

    /// The stream that a token opens now.
    pub fn opens(&self, token: &str) -> Option<String> {
        let pass = self.0.check(token, SystemTime::now(), Duration::ZERO);
        Some(pass?.path)
    }
}
