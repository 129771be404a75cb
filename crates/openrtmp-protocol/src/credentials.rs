use crate::Secret;

/// Bytes of a user's name: with the rest of a challenge it fits into the 255 characters
/// that FFmpeg reads of a refusal.
const USER_BYTES: usize = 64;

/// Who somebody is, and what shows it. Closed on purpose: that is all that anybody shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name, see [`Credentials::is_user`].
    pub user: String,
    /// The password.
    pub password: Secret,
}

impl Credentials {
    /// Whether a text may be a user's name. It stands in a query, unescaped, as other
    /// programs write it: 1 to 64 bytes without white space, control characters, quotes
    /// and `& ? # % / \`.
    ///
    /// ```
    /// use openrtmp_protocol::Credentials;
    ///
    /// assert!(Credentials::is_user("ann@example.org"));
    /// assert!(!Credentials::is_user("ann&bob"));
    /// ```
    pub fn is_user(text: &str) -> bool {
        let is_unfit = |c: char| c.is_whitespace() || c.is_control() || "&?#%/\\\"'".contains(c);
        (1..=USER_BYTES).contains(&text.len()) && !text.contains(is_unfit)
    }

    /// Reads `user:password` of a URL (RFC 3986 section 3.2.1): percent-encoded.
    pub(crate) fn from_userinfo(text: &str) -> Option<Credentials> {
        let (user, password) = text.split_once(':')?;
        let (user, password) = (decoded(user)?, decoded(password)?);
        let is_password = !password.is_empty() && !password.contains(char::is_control);
        (Credentials::is_user(&user) && is_password).then(|| Credentials {
            user,
            password: password.into(),
        })
    }

    /// The same as text.
    pub(crate) fn to_userinfo(&self) -> String {
        format!(
            "{}:{}",
            encoded(&self.user),
            encoded(self.password.reveal())
        )
    }
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escape = after.get(..2).filter(|_| byte == b'%');
        let escape = escape.filter(|two| two.iter().all(u8::is_ascii_hexdigit));
        let escape = escape.and_then(|two| std::str::from_utf8(two).ok());
        match escape.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(escaped) => {
                bytes.push(escaped);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => out.push(byte.into()),
            false => out += &format!("%{byte:02X}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_url_holds_them_with_escapes() {
        let read = |text| Credentials::from_userinfo(text);
        let both = |user: &str, password: &str| {
            Some(Credentials {
                user: user.to_owned(),
                password: password.into(),
            })
        };
        assert_eq!(read("ann:secret"), both("ann", "secret"));
        assert_eq!(read("ann%40x:a%3ab%2f"), both("ann@x", "a:b/"));
        assert_eq!(read("ann:a:b%zz%+1%"), both("ann", "a:b%zz%+1%"));
        for none in [
            "", "ann", "ann:", ":secret", "a%26b:x", "a b:x", "a:%FF", "a:%0a",
        ] {
            assert_eq!(read(none), None, "{none}");
        }
        assert!(!Credentials::is_user(&"u".repeat(65)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(user in "[a-z@:=+]{1,20}", password in "\\PC{1,20}") {
            let credentials = Credentials { user, password: password.into() };
            let read = Credentials::from_userinfo(&credentials.to_userinfo());
            prop_assert_eq!(read, Some(credentials));
        }
    }
}
