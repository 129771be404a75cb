//! The OpenRTMP server.
pub mod client;
pub mod platform;
pub(crate) mod record;
