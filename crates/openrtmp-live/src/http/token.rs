//! Tokens that stand in the paths of streams that are not public.
//!
//! A token says, signed, which stream may be played until when, and names the key that it was
//! given for. It needs no memory: any server with the same secrets can check it. It is in the
//! path, since relative URIs inherit a path and no query, and playlists stay the same for
//! all.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Bytes of a signature, of HMAC-SHA-256.
const SIGNATURE: usize = 16;
/// Bytes of what names a key.
pub(super) const KEY_TAG: usize = 12;
/// Bytes of a token in a path, at most.
const LONGEST: usize = 1024;

/// What tokens are signed with; the first signs.
pub(super) struct Secrets(Vec<Vec<u8>>);

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pass {
    /// The stream's path.
    pub(super) path: String,
    /// Seconds since 1970.
    pub(super) expires: u64,
    /// Names the viewer.
    pub(super) viewer: u64,
    /// Names the key that it came with, if it did.
    pub(super) key: Option<[u8; KEY_TAG]>,
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
        let payload = pass.write();
        let signature = signature(self.naming(), &payload);
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        format!("{}.{}", encode(&payload), encode(&signature))
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
        let ends = UNIX_EPOCH + Duration::from_secs(pass.expires) + late;
        (now < ends).then_some(pass)
    }
}

impl Pass {
    fn write(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(17 + KEY_TAG + self.path.len());
        payload.push(u8::from(self.key.is_some()));
        payload.extend_from_slice(&self.expires.to_be_bytes());
        payload.extend_from_slice(&self.viewer.to_be_bytes());
        payload.extend_from_slice(self.key.as_ref().map_or(&[][..], |key| key));
        payload.extend_from_slice(self.path.as_bytes());
        payload
    }

    fn read(payload: &[u8]) -> Option<Pass> {
        let (&has_key, rest) = payload.split_first()?;
        let (&expires, rest) = rest.split_first_chunk()?;
        let (&viewer, rest) = rest.split_first_chunk()?;
        let (key, path) = match has_key {
            0 => (None, rest),
            _ => {
                let (&key, rest) = rest.split_first_chunk()?;
                (Some(key), rest)
            }
        };
        Some(Pass {
            path: String::from_utf8(path.to_vec()).ok()?,
            expires: u64::from_be_bytes(expires),
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
            path: "live/cäm".to_owned(),
            expires: 1000,
            viewer: 7,
            key,
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
