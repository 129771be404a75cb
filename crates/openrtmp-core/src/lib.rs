//! The OpenRTMP server.
pub mod platform;
pub(crate) mod record;
