//! Connections that the server makes: to play a stream of another server and publish it
//! here, or to publish a stream of here to another server.
//!
//! They are connections like any other: in the same event loop, in the same lists,
//! metrics and events ([`Event::ConnectionOpened`](crate::Event::ConnectionOpened), or
//! [`Event::OutgoingFailed`](crate::Event::OutgoingFailed) if none came about), ended by
//! [`Server::disconnect`].
//!
//! - A server that asks who they are (`authmod=adobe`) is answered, if the URL says it, over
//!   as many sockets as that takes, up to five more. To the host they are one connection.
//! - They count in `limits.connections` from the moment that they are asked for.
//! - They are the host's own wish: neither keys nor the access callback are asked.
//! - What they publish here counts in `limits.publishers`, and meets
//!   `streams.second_publisher`, as what anybody else publishes does.

use std::sync::atomic::Ordering;

use openrtmp_protocol::RtmpUrl;
use openrtmp_protocol::session::{ClientLogin, ClientMode};

use crate::errand::Errand;
use crate::id::ConnectionId;
use crate::inbox::Command;
use crate::limit::Limit;
use crate::server::Server;
use crate::shared::Shared;
#[cfg(feature = "tls")]
use crate::tls::TlsError;

/// Why no outgoing connection can be begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutgoingError {
    /// This library was built without TLS: `rtmps://` cannot be spoken.
    #[error("rtmps:// is not spoken: built without TLS")]
    NoTls,
    /// The settings in `tls.client` are of no use.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The stream's name is empty.
    #[error("the stream's name is empty")]
    EmptyName,
    /// `limits.connections` is reached.
    #[error("as many connections as limits.connections allows")]
    Limit,
    /// The server is stopping, or has stopped.
    #[error("the server is stopping")]
    Stopping,
}

impl Server {
    /// Connects to another server, plays the stream that `url` names and publishes it
    /// here as `name` (`app/name`). Times go on as that server sends them.
    ///
    /// The host's own connections count in `limits.connections`. Nobody is asked for
    /// them: neither keys, users and rules of addresses, nor
    /// [`on_access`](crate::ServerBuilder::on_access) or `access.callback`.
    ///
    /// Returns at once; events tell what becomes of it. It has 20 s to be granted, the
    /// look-up of a name included: the system's own has no time-out, and one that hangs
    /// holds one of the process's four threads for look-ups until it ends. It
    /// is tried once: when either side ends it, it is over. While the other server has
    /// no such stream but waits for one, so does this.
    pub fn pull(&self, url: &RtmpUrl, name: &str) -> Result<ConnectionId, OutgoingError> {
        self.go_out(ClientMode::Play, url, name)
    }

    /// Connects to another server and publishes the stream `name` (`app/name`) there as
    /// `url` says, from its newest key frame on, or from its beginning if that is still
    /// to come. What the other server does not take in time is dropped as for any
    /// player.
    ///
    /// Returns at once and counts as [`Server::pull`]; nobody is asked for it either. It
    /// is over when the stream is.
    pub fn push(&self, name: &str, url: &RtmpUrl) -> Result<ConnectionId, OutgoingError> {
        self.go_out(ClientMode::Publish, url, name)
    }

    fn go_out(
        &self,
        mode: ClientMode,
        url: &RtmpUrl,
        name: &str,
    ) -> Result<ConnectionId, OutgoingError> {
        self.shared.go_out(Errand {
            mode,
            url: url.clone(),
            name: self.shared.host_name(name),
            via: Vec::new(),
            is_relay: false,
            is_redirect: false,
            login: ClientLogin::default(),
        })
    }
}

impl Shared {
    /// Whether `rtmps` can be spoken. What that takes is read here, once, so that no
    /// worker has to.
    fn check_client_tls(&self, errand: &Errand) -> Result<(), OutgoingError> {
        #[cfg(feature = "tls")]
        return Ok(self.client_tls(errand.is_redirect).map(drop)?);
        #[cfg(not(feature = "tls"))]
        {
            let _ = errand;
            Err(OutgoingError::NoTls)
        }
    }

    /// Begins an outgoing connection.
    pub(crate) fn go_out(&self, errand: Errand) -> Result<ConnectionId, OutgoingError> {
        if errand.url.tls {
            self.check_client_tls(&errand)?;
        }
        if errand.name.is_empty() {
            return Err(OutgoingError::EmptyName);
        }
        if self.stopping.load(Ordering::Acquire) {
            return Err(OutgoingError::Stopping);
        }
        let limit = self.config().limits.connections;
        let others = self.connections.fetch_add(1, Ordering::AcqRel);
        if others >= limit {
            self.connections.fetch_sub(1, Ordering::AcqRel);
            self.report_limit(Limit::Connections, None);
            return Err(OutgoingError::Limit);
        }
        let connection = self.ids.connection();
        let home = self.directory.lock().home(&errand.name);
        let number = connection.as_u64();
        let worker = match home.map(|(_, home)| home) {
            Some(home) => self.placement.of_player(Some(home), home),
            None => self.placement.of_host(number),
        };
        self.locations.set(connection, worker);
        let errand = Box::new(errand);
        self.inboxes[worker].send(Command::GoOut { connection, errand });
        Ok(connection)
    }
}
