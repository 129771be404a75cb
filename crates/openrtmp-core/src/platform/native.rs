//! The operating system, through mio.
