//! Tokens that content delivery networks check at their edge, for hosts that hand out URLs.
//!
//! Each is a function of a secret that the network has too, of what it opens, and of a time:
//! nothing is asked and nothing kept. They are for the network, not for this server, whose own
//! tokens are [`Pass`](crate::Pass)es.

use std::fmt::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The secret is empty, or not what such are made of.
    #[error(
        "the secret is not one: Akamai's are hexadecimal digits, two for each byte, this server's have 16 bytes or more"
    )]
    Secret,
    /// What it is to open, or what it is to carry, is empty, too long, or would be taken for more
    /// than one thing.
    #[error(
        "a path or field of a token is empty, too long, or has a character in it that separates fields"
    )]
    Field,
    /// It would never be valid.
    #[error("no such time: a token begins before it ends, and has ten digits of seconds")]
    Time,
}

/// Tokens of Akamai's Auth Token 2.0 (EdgeAuth): `exp=...~acl=...~hmac=...`. They go into a
/// query parameter, a cookie or a header of the name that the property's configuration says.
#[derive(Clone, Copy)]
pub struct Akamai<'a> {
    key: &'a str,
    /// Seconds since 1970 until when it is good.
    pub expires: u64,
    /// Since when; none: since ever.
    pub starts: Option<u64>,
    /// Only from this address.
    pub address: Option<&'a str>,
    /// Names a session.
    pub session: Option<&'a str>,
    /// Something of the application's.
    pub payload: Option<&'a str>,
    /// What is signed with the rest, without being in the token.
    pub salt: Option<&'a str>,
}

/// The key and the salt are not shown.
impl fmt::Debug for Akamai<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Akamai")
            .field("expires", &self.expires)
            .field("starts", &self.starts)
            .field("address", &self.address)
            .field("session", &self.session)
            .field("payload", &self.payload)
            .finish_non_exhaustive()
    }
}

impl<'a> Akamai<'a> {
    /// Separates fields.
    const FIELDS: char = '~';
    /// Separates patterns.
    const PATTERNS: char = '!';

    /// Tokens by a key in hexadecimal digits, good until then.
    pub fn new(key: &'a str, expires: u64) -> Akamai<'a> {
        Akamai {
            key,
            expires,
            starts: None,
            address: None,
            session: None,
            payload: None,
            salt: None,
        }
    }

    /// A token for all paths that fit one of these patterns, such as `/live/cam/*`: playlists
    /// and media of a stream need one alone.
    ///
    /// # Errors
    /// There is no token of these values.
    pub fn for_patterns(&self, patterns: &[&str]) -> Result<String, TokenError> {
        let is_one = |pattern: &&str| !pattern.is_empty() && !pattern.contains(Self::PATTERNS);
        if patterns.is_empty() || !patterns.iter().all(is_one) {
            return Err(TokenError::Field);
        }
        let mut separator = [0; 4];
        let separator = Self::PATTERNS.encode_utf8(&mut separator);
        self.token(Some(&patterns.join(separator)), None)
    }

    /// A token for one path, which is signed and does not stand in it.
    ///
    /// # Errors
    /// There is no token of these values.
    pub fn for_path(&self, path: &str) -> Result<String, TokenError> {
        self.token(None, Some(path))
    }

    fn token(&self, acl: Option<&str>, url: Option<&str>) -> Result<String, TokenError> {
        let key = from_hex(self.key)?;
        if self.expires == 0 || self.starts.is_some_and(|it| it == 0 || it >= self.expires) {
            return Err(TokenError::Time);
        }
        let (starts, expires) = (
            self.starts.map(|it| it.to_string()),
            self.expires.to_string(),
        );
        let shown = [
            ("ip", self.address),
            ("st", starts.as_deref()),
            ("exp", Some(&expires)),
            ("acl", acl),
            ("id", self.session),
            ("data", self.payload),
        ];
        let hidden = [("url", url), ("salt", self.salt)];
        let (shown, hidden) = (Self::fields(&shown)?, Self::fields(&hidden)?);
        let mut separator = [0; 4];
        let separator = Self::FIELDS.encode_utf8(&mut separator);
        let mut token = shown.join(separator);
        let signed = mac(&key, [shown, hidden].concat().join(separator).as_bytes());
        token.push_str(separator);
        token.push_str("hmac=");
        for byte in signed {
            // To a text it cannot fail.
            let _ = write!(token, "{byte:02x}");
        }
        Ok(token)
    }

    /// The fields that there are, as they are written. None may hold what separates them: a
    /// path that publishers chose would pass for other fields.
    fn fields(values: &[(&str, Option<&str>)]) -> Result<Vec<String>, TokenError> {
        let values = values
            .iter()
            .filter_map(|&(name, value)| Some((name, value?)));
        let field =
            |(name, value): (&str, &str)| match value.is_empty() || value.contains(Self::FIELDS) {
                false => Ok(format!("{name}={value}")),
                true => Err(TokenError::Field),
            };
        values.map(field).collect()
    }
}

/// A token that Cloudflare's rules check with `is_timed_hmac_valid_v0(SECRET, http.request.uri,
/// LIFE, http.request.timestamp.sec, 8)`: what follows the separator behind a path, which is
/// of eight bytes here (`?verify=`, or `&verify=` behind a query). `path` is as it stands in the
/// URL, `issued` the seconds since 1970 from which `LIFE` is counted. It is for that one path:
/// of HLS, playlists and media need one each.
///
/// # Errors
/// There is no token of these values.
pub fn cloudflare(secret: &[u8], path: &str, issued: u64) -> Result<String, TokenError> {
    if secret.is_empty() {
        return Err(TokenError::Secret);
    }
    if !path.starts_with('/') {
        return Err(TokenError::Field);
    }
    if !(1_000_000_000..10_000_000_000).contains(&issued) {
        return Err(TokenError::Time);
    }
    let signed = STANDARD.encode(mac(secret, format!("{path}{issued}").as_bytes()));
    // The rule is told that it is escaped by being told nothing.
    let escaped = signed.replace('+', "%2B").replace('/', "%2F");
    Ok(format!("{issued}-{}", escaped.replace('=', "%3D")))
}

/// HMAC-SHA-256.
fn mac(key: &[u8], text: &[u8]) -> [u8; 32] {
    // Every length of key is one for HMAC.
    let mac = Hmac::<Sha256>::new_from_slice(key);
    mac.map_or([0; 32], |mac| {
        mac.chain_update(text).finalize().into_bytes().into()
    })
}

fn from_hex(text: &str) -> Result<Vec<u8>, TokenError> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|it| !it.is_empty() && it.len().is_multiple_of(2));
    let digits = digits.ok_or(TokenError::Secret)?;
    let pairs = digits.chunks_exact(2);
    Ok(pairs.map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "aabbccddeeff00112233445566778899";

    /// What Akamai's own generator makes (akamai-edgeauth 0.3.2 for Python).
    #[test]
    fn tokens_are_those_that_akamai_makes() {
        let plain = Akamai::new(KEY, 1_500_000_000);
        assert_eq!(
            plain.for_patterns(&["/live/cam/*"]).unwrap(),
            "exp=1500000000~acl=/live/cam/*~hmac=4199ae7568b6bbb61734873912ec1f357b1b88181edd3321359e5f31dd459313"
        );
        assert_eq!(
            plain
                .for_patterns(&["/live/cam/*", "/live/cam.flv"])
                .unwrap(),
            "exp=1500000000~acl=/live/cam/*!/live/cam.flv~hmac=88d1d9ae603af02995d15c35a025c32881853ed71dac1fbe97ac6f9911a7d41b"
        );
        assert_eq!(
            plain.for_path("/live/cam/index.m3u8").unwrap(),
            "exp=1500000000~hmac=ac44c7a924400f120ee573772bac464a6bd3ff744beed3ab4a45b0859bdc5ed4"
        );
        let whole = Akamai {
            starts: Some(1_400_000_000),
            address: Some("192.0.2.7"),
            session: Some("abc"),
            payload: Some("x=1"),
            salt: Some("pepper"),
            ..plain
        };
        assert_eq!(
            whole.for_patterns(&["/*"]).unwrap(),
            "ip=192.0.2.7~st=1400000000~exp=1500000000~acl=/*~id=abc~data=x=1~hmac=dcdb2fec8f3e944b465039cf33de8c1818c0fa0d21c625a901fa10f7096d0449"
        );
        assert_eq!(
            whole.for_path("/a").unwrap(),
            "ip=192.0.2.7~st=1400000000~exp=1500000000~id=abc~data=x=1~hmac=fe5fe6c12e79117281c5f8ad7fb29afc3c2f18269af69fc95536939671b93e74"
        );
        let shown = format!("{whole:?}");
        assert!(!shown.contains(KEY) && !shown.contains("pepper"), "{shown}");
    }

    /// What Cloudflare's recipe makes, by Python's hmac, base64 and quote_plus: the example in
    /// its documentation is of a secret that it does not tell.
    #[test]
    fn tokens_are_those_that_cloudflare_checks() {
        assert_eq!(
            cloudflare(b"mysecrettoken", "/download/cat.jpg", 1_484_063_787).unwrap(),
            "1484063787-MwxCdsONqMcO9hMLnzWdUiUSLr735AOCGoivbkwKqEI%3D"
        );
        assert_eq!(
            cloudflare(b"mysecrettoken", "/live/cam/index.m3u8", 1_484_063_792).unwrap(),
            "1484063792-yZ%2Bpa6%2Fxq%2FsltGX7VRWTbzzKSv9ZbDyW36k0m1eH87g%3D"
        );
    }

    #[test]
    fn nothing_is_signed_that_would_mean_something_else() {
        let token = |key, expires| Akamai::new(key, expires).for_path("/a");
        for key in ["", "abc", "xy", "+1"] {
            assert_eq!(token(key, 1), Err(TokenError::Secret), "{key}");
        }
        assert_eq!(token(KEY, 0), Err(TokenError::Time));
        let plain = Akamai::new(KEY, 10);
        for starts in [0, 10, 11] {
            let starts = Some(starts);
            let late = Akamai { starts, ..plain };
            assert_eq!(late.for_path("/a"), Err(TokenError::Time));
        }
        for patterns in [&[][..], &[""], &["/a", ""], &["/a!/*"], &["/a~exp=99"]] {
            assert_eq!(plain.for_patterns(patterns), Err(TokenError::Field));
        }
        assert_eq!(plain.for_path(""), Err(TokenError::Field));
        let payload = Some("a~acl=/*");
        let forged = Akamai { payload, ..plain };
        assert_eq!(forged.for_path("/a"), Err(TokenError::Field));

        let token = |secret: &[u8], path, issued| cloudflare(secret, path, issued);
        assert_eq!(token(b"", "/a", 1_484_063_787), Err(TokenError::Secret));
        assert_eq!(token(b"s", "a", 1_484_063_787), Err(TokenError::Field));
        assert_eq!(token(b"s", "/a", 999_999_999), Err(TokenError::Time));
        assert_eq!(token(b"s", "/a", 10_000_000_000), Err(TokenError::Time));
    }
}
