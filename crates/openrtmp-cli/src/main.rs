//! The `openrtmp` command.
fn main() {}
