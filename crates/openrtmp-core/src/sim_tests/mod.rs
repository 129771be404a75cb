//! The whole server on the simulated platform: no thread, no socket, no clock of
//! its own. [`world`] drives it; the other files say what it must do.

mod access;
mod attacks;
mod faults;
mod hostile;
mod isolation;
mod lifecycle;
mod limits;
mod lines;
mod media;
mod play;
mod recording;
mod second_publisher;
mod slow;
mod stop;
mod taps;
mod torture;
mod world;

/// A payload that ends so, or a disconnect for this reason, makes a worker of a
/// test build panic.
pub(crate) const PANIC: &str = "panic, said the test";
