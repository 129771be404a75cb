//! What a session's work costs.
//!
//! The unit is about a nanosecond of a desktop processor of the 2020s. It is made of
//! counts, not of time, so that it is the same on every machine and in every run: a
//! caller that shares a thread between connections bounds with it what one of them
//! costs the others, in bytes as well as in messages, values and answers.

/// A message, or a decision of the host.
pub(super) const MESSAGE: u64 = 120;

/// The header of a chunk, or of a message in an aggregate.
pub(super) const HEADER: u64 = 20;

/// An AMF value, as [`Decoder::cost`](crate::amf::Decoder::cost) counts them.
pub(super) const VALUE: u64 = 60;

/// A message written for the peer.
pub(super) const ANSWER: u64 = 400;

/// Bytes, read or written, that cost 1.
pub(super) const BYTES: usize = 8;

/// `handle_input` returns after about so much, though no event came: the caller may
/// have others to serve.
pub(super) const TURN: u64 = 100_000;

/// Bytes taken at once from a peer whose chunks are smaller than any real one's: a
/// header for every byte must not run far past [`TURN`].
pub(super) const SMALL_CHUNKS_INPUT: usize = 4 * 1024;
