//! TLS: certificates, whose are believed, and what rustls makes of them.
//!
//! [`ServerTls`] is shared by all workers. A connection takes rustls' settings as they
//! are when it is accepted; certificates can be replaced at any time, and no connection
//! that has its own notices. [`ClientTls`] is for connections to other servers. What
//! carries bytes over TLS is [`crate::transport`].

mod challenge;
mod client;
mod error;
mod expiry;
mod handle;
mod identity;
mod info;
mod self_signed;
mod server;
pub(crate) mod suites;
mod trust;
mod x509;

pub(crate) use challenge::{Challenges, Choice};
pub(crate) use client::ClientTls;
pub(crate) use error::Failure;
pub use error::TlsError;
pub(crate) use expiry::Told;
pub use info::CertificateInfo;
pub(crate) use server::{ServerTls, Surroundings, check_files};
pub(crate) use x509::Certificate;

/// Bytes of records that wait for the system, of one connection: beyond them nothing
/// more is taken over.
pub(crate) const UNSENT: usize = 64 * 1024;
