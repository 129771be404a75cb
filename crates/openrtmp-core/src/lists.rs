//! What a host lists without asking the workers: taps, publishers, lost listeners.

use std::net::SocketAddr;

use crate::server::Server;
use crate::stream::listed::{PublisherInfo, TapInfo};
use crate::sync::lock;

impl Server {
    /// The taps there are, those of recorders included, on one stream first, in the order
    /// of its name.
    pub fn taps(&self) -> Vec<TapInfo> {
        let taps = self.shared.directory.lock().taps();
        let open = taps.into_iter().filter(|(_, tap)| !tap.is_closed());
        open.map(|(stream, tap)| {
            let (live, waiting_bytes) = tap.load();
            TapInfo {
                stream,
                live,
                recording: tap.is_recorders(),
                waiting_bytes,
            }
        })
        .collect()
    }

    /// Addresses whose listening sockets were lost and cannot be had again yet.
    pub fn lost_listeners(&self) -> Vec<SocketAddr> {
        lock(&self.shared.lost_listeners).clone()
    }

    /// Whoever publishes, the host's own included, in the order of their streams' ids.
    pub fn publishers(&self) -> Vec<PublisherInfo> {
        self.shared
            .directory
            .lock()
            .publishers_list(self.shared.now())
    }
}
