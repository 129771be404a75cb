//! Users, and who has to be one.

use std::fmt;

use openrtmp_protocol::Secret;
use serde::{Deserialize, Serialize};

/// Somebody with a password (`authmod=adobe`).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct UserConfig {
    /// The name, see [`Credentials::is_user`](openrtmp_protocol::Credentials::is_user).
    pub user: String,
    /// The password. It is not shown.
    #[serde(with = "secret")]
    pub password: Secret,
}

impl UserConfig {
    /// A user with a password.
    pub fn new(user: impl Into<String>, password: impl Into<Secret>) -> UserConfig {
        UserConfig {
            user: user.into(),
            password: password.into(),
        }
    }
}

impl fmt::Debug for UserConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserConfig")
            .field("user", &self.user)
            .field("password", &self.password)
            .finish()
    }
}

/// Who has to be a user, once there are any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Authenticate {
    /// Whoever connects.
    #[default]
    Everybody,
    /// Who publishes. Asked are those who say in `connect` that they will, as encoders do;
    /// who does not say so and publishes is refused.
    Publishers,
}

/// Documents hold secrets as they are.
mod secret {
    use openrtmp_protocol::Secret;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(secret: &Secret, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(secret.reveal())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
        String::deserialize(from).map(Secret::from)
    }
}
