//! The OpenRTMP server.
pub mod platform;
