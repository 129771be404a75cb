//! What hostile peers say, in full and ahead of any answer.
//!
//! The simulated worlds, the soak and the benchmark of attacks share it, so that what a
//! worker with a virtual processor is shown to bear is what is tried on real sockets. It
//! opens no socket and keeps no time.

mod flood;
mod script;

pub use flood::{Flood, Kind};
pub use script::{Script, command, message};
