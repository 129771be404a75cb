//! Who may connect, publish and play.
//!
//! Users show with a password who they are, where there are any (`access.users`). Keys are
//! asked next, those of the settings and of the host ([`KeyRing`]) and those on record
//! ([`KeyRecord`]); then, if there is one,
//! the host, with an [`AccessRequest`] that it answers at once or any time
//! before `access.decision_timeout`. The event loop never waits for it.

pub(crate) mod action;
mod addresses;
mod attempt;
mod certificate;
mod key_file;
mod key_store;
mod keys;
mod listing;
mod proxies;
mod request;
mod standing;
mod users;
mod visitor;

pub use action::{AccessAction, Protocol};
pub(crate) use addresses::{AddressRules, FailedAttempts};
pub(crate) use attempt::{Attempt, Decision, Refusal};
pub use certificate::PeerCertificate;
pub use key_file::{KeyFileError, KeyKind, KeyRecord};
pub(crate) use key_store::{KeyStore, Replaced, read as read_keys};
pub use keys::KeyRing;
pub use listing::WrongKey;
pub use proxies::Proxies;
pub use request::AccessRequest;
pub(crate) use request::{Answer, Asked};
pub(crate) use standing::{OpenedBy, Standing};
pub(crate) use users::{Login, Users};
pub use visitor::{PlayGranted, PlayQuestion, PlayRefused, PlayRequest};
