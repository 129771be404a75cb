//! How a server is started.

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Server;
use crate::access::AccessRequest;
use crate::assembly::Assembly;
use crate::config::{Config, RecordConfig};
use crate::error::StartError;
use crate::events::Event;
use crate::id::Ids;
use crate::mobile::Order;
use crate::platform::native::Native;

/// Names for a probe that are tried in a folder, if files have them.
const PROBE_ATTEMPTS: u32 = 100;

/// Starts a [`Server`] with callbacks.
pub struct ServerBuilder {
    pub(crate) config: Config,
    pub(crate) on_event: Option<Box<dyn FnMut(Event) + Send>>,
    pub(crate) on_access: Option<Box<dyn FnMut(AccessRequest) + Send>>,
    pub(crate) on_order: Option<Box<dyn FnMut(Order) + Send>>,
    pub(crate) id: Option<u64>,
    pub(crate) sockets: Vec<TcpListener>,
    pub(crate) ids: Arc<Ids>,
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("config", &self.config)
            .field("on_event", &self.on_event.is_some())
            .field("on_access", &self.on_access.is_some())
            .field("on_order", &self.on_order.is_some())
            .finish_non_exhaustive()
    }
}

impl ServerBuilder {
    /// Calls back for every event, in order, on one thread of its own. A callback
    /// that falls more than 4,096 events behind loses some and is told how many.
    pub fn on_event(mut self, callback: impl FnMut(Event) + Send + 'static) -> ServerBuilder {
        self.on_event = Some(Box::new(callback));
        self
    }

    /// Asks the host about every connect, publish and play that the keys allow, on
    /// one thread of its own.
    pub fn on_access(
        mut self,
        callback: impl FnMut(AccessRequest) + Send + 'static,
    ) -> ServerBuilder {
        self.on_access = Some(Box::new(callback));
        self
    }

    /// Tells the host of a server on a phone what to do, in order, on one thread of its
    /// own, see [`Host`](crate::Host). A callback that falls more than 4,096 orders behind
    /// loses some.
    pub fn on_order(mut self, callback: impl FnMut(Order) + Send + 'static) -> ServerBuilder {
        self.on_order = Some(Box::new(callback));
        self
    }

    /// Gives it an id that [`next_server_id`](crate::next_server_id) told: for who starts a
    /// server again and wants it to keep its own.
    pub fn id(mut self, id: u64) -> ServerBuilder {
        self.id = Some(id);
        self
    }

    /// Sockets that listen already, as service managers pass them: an address of `listen` that
    /// is one of theirs is not bound but served there, also when it is named by settings that
    /// come later. They stay open until the server is dropped. A socket of `[::]` that takes
    /// IPv4 too (`IPV6_V6ONLY` off) has peers with mapped addresses.
    pub fn sockets(mut self, sockets: Vec<TcpListener>) -> ServerBuilder {
        self.sockets = sockets;
        self
    }

    /// Checks the settings, binds, and starts the threads. On an error nothing is
    /// left running.
    pub fn start(mut self) -> Result<Server, StartError> {
        if let Some(record) = &self.config.record {
            check_recordable(record)?;
        }
        let platform = Native::with_sockets(std::mem::take(&mut self.sockets));
        let assembly = Assembly::new(platform, self)?;
        assembly.run()
    }
}

pub(crate) fn check_recordable(record: &RecordConfig) -> Result<(), StartError> {
    check_writable(&record.directory).map_err(|source| StartError::RecordDirectory {
        directory: record.directory.clone(),
        source,
    })
}

/// Creates the folder and a file in it, which no other server's check can meet and which
/// is nobody else's: what has its name already, a link that leads elsewhere for one, stays
/// untouched.
pub(super) fn check_writable(directory: &Path) -> io::Result<()> {
    static PROBES: AtomicU64 = AtomicU64::new(0);
    std::fs::create_dir_all(directory)?;
    let mut attempt = 0;
    loop {
        let number = PROBES.fetch_add(1, Ordering::Relaxed);
        let probe = directory.join(format!(".openrtmp-{}-{number}", std::process::id()));
        let mut options = std::fs::OpenOptions::new();
        match options.write(true).create_new(true).open(&probe) {
            Ok(_) => return std::fs::remove_file(&probe),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && attempt < PROBE_ATTEMPTS => {
                attempt += 1;
            }
            Err(e) => return Err(e),
        }
    }
}
