//! Who may connect, publish and play.
//!
//! A built-in list of keys is asked first ([`KeyRing`]); then, if there is one,
//! the host, with an [`AccessRequest`] that it answers at once or any time
//! before `access.decision_timeout`. The event loop never waits for it.

mod attempt;
mod keys;
mod request;

pub(crate) use attempt::{Attempt, Decision, Refusal, reason_text};
pub use keys::KeyRing;
pub(crate) use request::Asked;
pub use request::{AccessAction, AccessRequest, Protocol};
