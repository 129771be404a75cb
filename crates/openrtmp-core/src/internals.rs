//! The event loop moved by hand, on a platform of the caller's: for benchmarks
//! that count instructions. Not part of the API, and behind a feature.

use std::{fmt, io};

use crate::error::StartError;
use crate::platform::Platform;
use crate::server::{Assembly, ServerBuilder};
use crate::worker::Worker;

/// A server with one worker and without a thread.
pub struct SteppedServer<P: Platform> {
    worker: Worker<P>,
}

impl<P: Platform> fmt::Debug for SteppedServer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SteppedServer").finish_non_exhaustive()
    }
}

impl<P: Platform> SteppedServer<P> {
    /// Callbacks and recordings of the builder are never served.
    pub fn new(platform: P, builder: ServerBuilder) -> Result<SteppedServer<P>, StartError> {
        let mut assembly = Assembly::new(platform, builder)?;
        Ok(SteppedServer {
            worker: assembly.workers.remove(0),
        })
    }

    /// One turn of the event loop.
    pub fn turn(&mut self) -> io::Result<()> {
        self.worker.turn().map(|_| ())
    }
}
