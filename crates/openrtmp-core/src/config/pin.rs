//! Pins of public keys, as text.

/// SHA-256 of a key as it stands in a certificate (its SubjectPublicKeyInfo), which
/// stays the same when the certificate is renewed with the same key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pin(pub(crate) [u8; 32]);

/// What stands in front, as in curl's `--pinnedpubkey`.
const SCHEME: &str = "sha256//";

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl Pin {
    /// Reads `sha256//BASE64`.
    pub(crate) fn parse(text: &str) -> Option<Pin> {
        // 32 bytes are 43 digits, the last two bits of which mean nothing.
        let digits = text.strip_prefix(SCHEME)?.strip_suffix('=')?;
        let value = |digit: u8| DIGITS.iter().position(|d| *d == digit);
        let values: Option<Vec<usize>> = digits.bytes().map(value).collect();
        let values = values.filter(|values| values.len() == 43 && values[42] % 4 == 0)?;
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            let bit = index * 8;
            let (first, shift) = (bit / 6, bit % 6);
            let pair = values[first] << 6 | values[first + 1];
            *byte = (pair << shift >> 4) as u8;
        }
        Some(Pin(bytes))
    }
}

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(SCHEME)?;
        for three in self.0.chunks(3) {
            let byte = |index: usize| usize::from(three.get(index).copied().unwrap_or(0));
            let all = byte(0) << 16 | byte(1) << 8 | byte(2);
            for index in 0..4 {
                let digit = DIGITS[all >> (18 - 6 * index) & 63];
                let digit = if index > three.len() { b'=' } else { digit };
                write!(f, "{}", char::from(digit))?;
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_read_as_it_is_written() {
        for seed in 0..=255u8 {
            let pin = Pin(std::array::from_fn(|i| {
                seed.wrapping_mul(i as u8).wrapping_add(seed)
            }));
            assert_eq!(Pin::parse(&pin.to_string()), Some(pin));
        }
        // SHA-256 of nothing.
        let text = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let pin = Pin::parse(text).expect("a pin");
        assert_eq!(pin.0[..4], [0xE3, 0xB0, 0xC4, 0x42]);
        assert_eq!(pin.to_string(), text);
        for wrong in [
            "",
            "sha256//",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
            "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
            "sha256//47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=",
            "sha1//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        ] {
            assert_eq!(Pin::parse(wrong), None, "{wrong}");
        }
    }
}
