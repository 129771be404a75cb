//! The C ABI.

/// Operations.
pub fn run(_data: &[u8]) {}
