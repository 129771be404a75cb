//! Tokens that stand in the paths of streams that are not public.
//!
//! A token says, signed, which stream may be played until when and from where, and names the key
//! that it was given for. It needs no memory: any server with the same secrets can check it. It
//! is in the path, since relative URIs inherit a path and no query, and playlists stay the same
//! for all.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use openrtmp_core::Network;
use openrtmp_protocol::StreamName;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::cdn::TokenError;

/// Bytes of a signature, of HMAC-SHA-256.
const SIGNATURE: usize = 16;
/// Bytes of what names a key.
pub(super) const KEY_TAG: usize = 12;
/// Bytes of a token in a path, at most.
const LONGEST: usize = 1024;
/// Bytes of a secret, at least.
const SHORTEST_SECRET: usize = 16;

/// What stands in a token beside its path, as bits of its first byte.
const HAS_KEY: u8 = 1;
const IS_PREFIX: u8 = 2;
const HAS_NETWORK: u8 = 4;

/// What tokens are signed with; the first signs.
pub(super) struct Secrets(Vec<Vec<u8>>);

/// What a token of this server says, whose secrets are [`http.tokens.keys`]. Programs that know
/// one of them and hand out URLs write such tokens by themselves, for whom they decided that it
/// may play: the server believes them, asks nobody, and tells of no access. They stand in front of
/// the path, `/v/TOKEN/live/cam/index.m3u8`, or in a header, `Authorization: Bearer TOKEN`.
///
/// [`http.tokens.keys`]: openrtmp_core::TokensConfig
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pass {
    /// The stream's path, as the server has it, such as `live/cam`.
    pub path: String,
    /// It opens all streams below that path too: below `live` all of that app.
    pub is_prefix: bool,
    /// Seconds since 1970 until when it is good.
    pub expires: u64,
    /// Only from these addresses; none: from anywhere.
    pub from: Option<Network>,
    /// Names the viewer, in the token alone.
    pub viewer: u64,
    /// Names the key that it came with, if it did.
    pub(super) key: Option<[u8; KEY_TAG]>,
    /// Its path is empty because it is meant so.
    is_for_everything: bool,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Secrets").field(&self.0.len()).finish()
    }
}

impl Secrets {
    /// Those of the settings, or one of its own.
    pub(super) fn new(keys: &[String]) -> std::io::Result<Secrets> {
        let mut secrets: Vec<Vec<u8>> = keys.iter().map(|key| key.clone().into_bytes()).collect();
        if secrets.is_empty() {
            let mut secret = vec![0; 32];
            getrandom::fill(&mut secret).map_err(std::io::Error::other)?;
            secrets.push(secret);
        }
        Ok(Secrets(secrets))
    }

    /// What keys are named with: the same in all servers with the same secrets.
    pub(super) fn naming(&self) -> &[u8] {
        self.0.first().map_or(&[], |secret| secret)
    }

    /// Each of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// The token.
    pub(super) fn sign(&self, pass: &Pass) -> String {
        pass.signed(self.naming())
    }

    /// What a token says, if it is one of ours and not over. Those that are over open
    /// segments for a while more, see `late`.
    pub(super) fn check(&self, token: &str, now: SystemTime, late: Duration) -> Option<Pass> {
        let (payload, signed) = token.split_once('.').filter(|_| token.len() <= LONGEST)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let signed = URL_SAFE_NO_PAD.decode(signed).ok()?;
        let mut secrets = self.0.iter();
        let is_ours = |secret: &Vec<u8>| signature(secret, &payload).ct_eq(&signed[..]).into();
        if !secrets.any(is_ours) {
            return None;
        }
        let pass = Pass::read(&payload)?;
        let ends = Duration::from_secs(pass.expires).saturating_add(late);
        let is_good = now.duration_since(UNIX_EPOCH).is_ok_and(|now| now < ends);
        is_good.then_some(pass)
    }
}

impl Pass {
    /// For a stream's path, as publishers and players may write it, until then: seconds since
    /// 1970.
    pub fn new(path: &str, expires: u64) -> Pass {
        Pass {
            path: StreamName::join("", path).reveal().to_owned(),
            is_prefix: false,
            expires,
            from: None,
            viewer: 0,
            key: None,
            is_for_everything: false,
        }
    }

    /// For all streams, until then: seconds since 1970. No path is taken for that, as one that
    /// somebody else wrote may have nothing in it.
    pub fn everything(expires: u64) -> Pass {
        Pass {
            is_prefix: true,
            is_for_everything: true,
            ..Pass::new("", expires)
        }
    }

    /// The token, signed with one of the secrets of `http.tokens.keys`.
    ///
    /// # Errors
    /// The secret is shorter than 16 bytes, the token would be over in 1970, its path is empty and
    /// it is not [`Pass::everything`], or there would be no token of it that fits into a URL.
    pub fn sign(&self, secret: &str) -> Result<String, TokenError> {
        if secret.len() < SHORTEST_SECRET {
            return Err(TokenError::Secret);
        }
        if self.expires == 0 {
            return Err(TokenError::Time);
        }
        if self.path.is_empty() && !self.is_for_everything {
            return Err(TokenError::Field);
        }
        let token = self.signed(secret.as_bytes());
        let fits = token.len() <= LONGEST && !self.path.contains(char::is_control);
        fits.then_some(token).ok_or(TokenError::Field)
    }

    fn signed(&self, secret: &[u8]) -> String {
        let payload = self.write();
        let signature = signature(secret, &payload);
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        format!("{}.{}", encode(&payload), encode(&signature))
    }

    /// Whether it opens this stream for who asks from there.
    pub(super) fn opens(&self, path: &str, from: IpAddr) -> bool {
        let covers = match path.strip_prefix(self.path.as_str()) {
            Some("") => true,
            // `live/ab` is not below `live/a`.
            Some(below) => self.is_prefix && (self.path.is_empty() || below.starts_with('/')),
            None => false,
        };
        covers && self.from.is_none_or(|network| network.contains(from))
    }

    fn write(&self) -> Vec<u8> {
        let network = self.from.map(|network| network.to_string());
        let mut payload = Vec::with_capacity(64 + self.path.len());
        let bit = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        payload.push(
            bit(self.key.is_some(), HAS_KEY)
                | bit(self.is_prefix, IS_PREFIX)
                | bit(network.is_some(), HAS_NETWORK),
        );
        payload.extend_from_slice(&self.expires.to_be_bytes());
        payload.extend_from_slice(&self.viewer.to_be_bytes());
        payload.extend_from_slice(self.key.as_ref().map_or(&[][..], |key| key));
        if let Some(network) = network {
            payload.push(network.len() as u8);
            payload.extend_from_slice(network.as_bytes());
        }
        payload.extend_from_slice(self.path.as_bytes());
        payload
    }

    /// None of what has more in it than is known here: it may be what bounds it.
    fn read(payload: &[u8]) -> Option<Pass> {
        let (&has, rest) = payload.split_first()?;
        if has & !(HAS_KEY | IS_PREFIX | HAS_NETWORK) != 0 {
            return None;
        }
        let (&expires, rest) = rest.split_first_chunk()?;
        let (&viewer, mut rest) = rest.split_first_chunk()?;
        let (mut key, mut from) = (None, None);
        if has & HAS_KEY != 0 {
            let (&tag, behind) = rest.split_first_chunk()?;
            (key, rest) = (Some(tag), behind);
        }
        if has & HAS_NETWORK != 0 {
            let (&length, behind) = rest.split_first()?;
            let (network, path) = behind.split_at_checked(usize::from(length))?;
            let network = std::str::from_utf8(network).ok()?;
            (from, rest) = (Some(Network::parse(network)?), path);
        }
        let path = String::from_utf8(rest.to_vec()).ok()?;
        let is_prefix = has & IS_PREFIX != 0;
        Some(Pass {
            is_for_everything: is_prefix && path.is_empty(),
            path,
            is_prefix,
            expires: u64::from_be_bytes(expires),
            from,
            viewer: u64::from_be_bytes(viewer),
            key,
        })
    }
}

fn signature(secret: &[u8], payload: &[u8]) -> [u8; SIGNATURE] {
    let mut signature = [0; SIGNATURE];
    // Every length of key is one for HMAC.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) {
        mac.update(b"openrtmp viewer\0");
        mac.update(payload);
        signature.copy_from_slice(&mac.finalize().into_bytes()[..SIGNATURE]);
    }
    signature
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(key: Option<[u8; KEY_TAG]>) -> Pass {
        Pass {
            viewer: 7,
            key,
            ..Pass::new("live/cäm", 1000)
        }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_says_what_was_signed_until_it_is_over() {
        let secrets = Secrets::new(&["0123456789abcdef".to_owned()]).unwrap();
        for key in [None, Some([9; KEY_TAG])] {
            let token = secrets.sign(&pass(key));
            let check = |now, late| secrets.check(&token, at(now), Duration::from_secs(late));
            assert_eq!(check(999, 0), Some(pass(key)));
            assert_eq!(check(1000, 0), None);
            assert_eq!(check(1005, 6), Some(pass(key)));
            assert_eq!(check(1006, 6), None);
        }
    }

    #[test]
    fn a_prefix_opens_all_that_is_below_and_nothing_beside() {
        let here = "192.0.2.1".parse().unwrap();
        for (path, is_prefix, opened, closed) in [
            (
                "live/a",
                false,
                &["live/a"][..],
                &["live/ab", "live/a/b", "live", "a"][..],
            ),
            (
                "live/a",
                true,
                &["live/a", "live/a/b", "live/a/b/c"],
                &["live/ab", "live/ab/c", "live", "live/b", "alive/a"],
            ),
            (
                "live",
                true,
                &["live/a", "live/b/c", "live"],
                &["lives/a", "live2", ""],
            ),
            ("/live//", true, &["live/a"], &["lives/a"]),
        ] {
            let mut pass = Pass::new(path, 1000);
            pass.is_prefix = is_prefix;
            for stream in opened {
                assert!(pass.opens(stream, here), "{pass:?}: {stream}");
            }
            for stream in closed {
                assert!(!pass.opens(stream, here), "{pass:?}: {stream}");
            }
        }
    }

    #[test]
    fn an_address_opens_it_for_who_is_there() {
        for (network, inside, outside) in [
            (
                "192.0.2.7",
                &["192.0.2.7", "::ffff:192.0.2.7"][..],
                &["192.0.2.8", "::1"][..],
            ),
            ("192.0.2.0/24", &["192.0.2.7"], &["192.0.3.7"]),
            (
                "2001:db8::/64",
                &["2001:db8::1"],
                &["2001:db8:0:1::1", "192.0.2.7"],
            ),
        ] {
            let mut pass = Pass::new("live/cam", 1000);
            pass.from = Network::parse(network);
            for address in inside {
                assert!(
                    pass.opens("live/cam", address.parse().unwrap()),
                    "{address}"
                );
            }
            for address in outside {
                assert!(
                    !pass.opens("live/cam", address.parse().unwrap()),
                    "{address}"
                );
            }
        }
    }

    #[test]
    fn all_that_a_token_says_is_read_as_it_was_written() {
        const SECRET: &str = "0123456789abcdef";
        let secrets = Secrets::new(&[SECRET.to_owned()]).unwrap();
        for has in 0..8 {
            let mut said = pass((has & HAS_KEY != 0).then_some([9; KEY_TAG]));
            said.is_prefix = has & IS_PREFIX != 0;
            let network = Network::parse("2001:db8:1:2::/64").unwrap();
            said.from = (has & HAS_NETWORK != 0).then_some(network);
            let token = said.sign(SECRET).unwrap();
            let read = secrets.check(&token, at(1), Duration::ZERO);
            assert_eq!(read, Some(said), "{has}");
        }
        // What is not known here may be a bound.
        let mut payload = pass(None).write();
        assert!(Pass::read(&payload).is_some());
        payload[0] |= 8;
        assert_eq!(Pass::read(&payload), None);
        // One that is cut short says nothing, and one that never ends goes on.
        let mut long = pass(Some([9; KEY_TAG]));
        long.from = Network::parse("10.0.0.0/8");
        long.expires = u64::MAX;
        let payload = long.write();
        for length in 0..payload.len() - long.path.len() {
            assert_eq!(Pass::read(&payload[..length]), None, "{length}");
        }
        let token = long.sign(SECRET).unwrap();
        let late = Duration::from_secs(6);
        assert_eq!(secrets.check(&token, at(1 << 40), late), Some(long));
    }

    #[test]
    fn no_token_is_made_that_nobody_would_believe() {
        let sign = |path: &str, expires, secret: &str| Pass::new(path, expires).sign(secret);
        let secret = "0123456789abcdef";
        assert!(sign("live/cam", 1, secret).is_ok());
        assert_eq!(
            sign("live/cam", 1, "0123456789abcde"),
            Err(TokenError::Secret)
        );
        assert_eq!(sign("live/cam", 0, secret), Err(TokenError::Time));
        assert_eq!(sign(&"a".repeat(800), 1, secret), Err(TokenError::Field));
        let mut pass = Pass::new("live/cam", 1);
        pass.path.push('\n');
        assert_eq!(pass.sign(secret), Err(TokenError::Field));
    }

    #[test]
    fn what_opens_everything_is_said_and_not_left_out() {
        const SECRET: &str = "0123456789abcdef";
        for nothing in ["", "/", "//", "?x", "\"\"", " ", "/?key=live"] {
            for is_prefix in [false, true] {
                let mut pass = Pass::new(nothing, 1000);
                pass.is_prefix = is_prefix;
                assert_eq!(pass.sign(SECRET), Err(TokenError::Field), "{nothing:?}");
            }
        }
        let everything = Pass::everything(1000);
        let secrets = Secrets::new(&[SECRET.to_owned()]).unwrap();
        let token = everything.sign(SECRET).unwrap();
        let read = secrets.check(&token, at(999), Duration::ZERO).unwrap();
        assert_eq!(read, everything);
        assert_eq!(secrets.check(&token, at(1000), Duration::ZERO), None);
        let here = "192.0.2.1".parse().unwrap();
        for stream in ["live/a", "a", "live/a/b"] {
            assert!(read.opens(stream, here), "{stream}");
        }
    }

    #[test]
    fn another_secret_and_every_changed_bit_is_found() {
        let secrets = Secrets::new(&["0123456789abcdef".to_owned()]).unwrap();
        let token = secrets.sign(&pass(Some([9; KEY_TAG])));
        let check = |secrets: &Secrets, token: &str| secrets.check(token, at(1), Duration::ZERO);
        assert!(check(&Secrets::new(&[]).unwrap(), &token).is_none());
        let both = ["fedcba9876543210".to_owned(), "0123456789abcdef".to_owned()];
        let both = Secrets::new(&both).unwrap();
        assert!(
            check(&both, &token).is_some(),
            "the one of before is believed"
        );
        assert_ne!(both.sign(&pass(None)), secrets.sign(&pass(None)));
        for place in 0..token.len() {
            for bit in 0..7 {
                let mut changed = token.clone().into_bytes();
                changed[place] ^= 1 << bit;
                let Ok(changed) = String::from_utf8(changed) else {
                    continue;
                };
                assert_eq!(check(&secrets, &changed), None, "{changed}");
            }
        }
        for odd in ["", ".", "a.b", "....", &"a".repeat(5000)] {
            assert_eq!(check(&secrets, odd), None);
        }
    }
}
