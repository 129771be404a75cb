use std::fmt;

/// A four-character code, for example `hvc1`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FourCc(pub [u8; 4]);

impl FourCc {
    /// The code as text, bytes outside printable ASCII as `?`.
    pub fn as_string(self) -> String {
        self.0
            .iter()
            .map(|&b| {
                if b.is_ascii_graphic() || b == b' ' {
                    b as char
                } else {
                    '?'
                }
            })
            .collect()
    }

    /// The code as the number that `onMetaData` carries: the first character in
    /// the most significant byte.
    pub const fn to_u32(self) -> u32 {
        u32::from_be_bytes(self.0)
    }

    /// The opposite of [`FourCc::to_u32`].
    pub const fn from_u32(code: u32) -> FourCc {
        FourCc(code.to_be_bytes())
    }
}

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_string())
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_shown_as_text_without_control_bytes() {
        assert_eq!(FourCc(*b"ac-3").to_string(), "ac-3");
        assert_eq!(FourCc([b'a', 0, 0x7F, 0xFF]).to_string(), "a???");
    }

    #[test]
    fn the_number_has_the_first_character_on_top() {
        // Enhanced RTMP v2, "Metadata Frame": "av01" is 0x61763031.
        assert_eq!(FourCc(*b"av01").to_u32(), 0x6176_3031);
        assert_eq!(FourCc::from_u32(0x6176_3031), FourCc(*b"av01"));
    }
}
