//! The ready server: `cargo run --release --example server`.
fn main() {}
