//! The life of a phone: background, suspension, networks that come and go, little power
//! and little memory.
//!
//! | file | holds |
//! |---|---|
//! | [`terms`] | what the host tells and is told |
//! | [`machine`] | what follows from that: `(signal, now)` to orders and events, without I/O |
//! | [`numbers`] | what bindings in other languages call it |
//! | [`conditions`] | what of it changes how workers serve |
//! | [`urls`] | under which URLs others reach the server, best first |
//! | [`host`] | the handle of the host program, and what drives the machine |
//!
//! The host program tells what its system tells it ([`Host`]); the machine decides; the
//! driver carries it out with what the server has anyway: listeners that are closed and
//! bound again, connections that are told and ended, settings of the workers.

mod conditions;
mod host;
mod machine;
mod numbers;
pub(crate) mod terms;
mod urls;

pub(crate) use conditions::Conditions;
pub use host::Host;
pub(crate) use machine::Machine;
#[doc(hidden)]
pub use numbers::Numbered;
pub use terms::{
    DeviceNetwork, MemoryLevel, NetworkKind, Order, Permission, PermissionState, Power, PowerStats,
    ResumeReport, ServiceOrder, ServiceState, SuspendReport, ThermalState,
};
pub(crate) use terms::{LiveLoad, Resumed, Signal, Suspended};
pub use urls::{Reachable, ReachableUrl};
