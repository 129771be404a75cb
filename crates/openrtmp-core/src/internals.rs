//! The event loop moved by hand, on a platform of the caller's, for benchmarks that count
//! instructions; and what fuzz targets look at. Not part of the API, and behind a feature.

#[cfg(feature = "tls")]
mod tls;

use std::{fmt, io};

use crate::assembly::Assembly;
use crate::error::StartError;
use crate::platform::Platform;
use crate::relay::template::UrlTemplate;
use crate::server::ServerBuilder;
use crate::worker::Worker;

#[cfg(feature = "tls")]
pub use tls::TlsEnd;

/// Where a relay leads, and how that is shown.
#[derive(Clone, Debug)]
pub struct RelayUrl(UrlTemplate);

impl RelayUrl {
    /// Reads it as a rule has it. `None`: it is none.
    pub fn parse(text: &str) -> Option<RelayUrl> {
        Some(RelayUrl(UrlTemplate::parse(text).ok()?))
    }

    /// The URL for a stream, by its path here.
    pub fn of(&self, path: &str) -> Option<openrtmp_protocol::RtmpUrl> {
        self.0.of(path).ok()
    }
}

impl fmt::Display for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

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
