//! Our server with its delivery over HTTP, as a program of its own.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use openrtmp_core::{Config, HttpListen, Pem, Server};
use openrtmp_live::Delivery;

use super::BoxError;

/// How it is set.
pub(crate) struct Delivered {
    /// Certificate and key.
    pub(crate) tls: (PathBuf, PathBuf),
    /// Deliver over HTTP.
    pub(crate) http: bool,
    /// How far back viewers can go.
    pub(crate) window: Duration,
}

/// Serves until standard input ends. Says the addresses of RTMP and, if it delivers, of HTTP
/// and HTTPS.
pub(crate) fn serve(
    own: &Delivered,
    on_listening: impl FnOnce(&[SocketAddr]),
) -> Result<(), BoxError> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut config = Config::desktop();
    config.listen = vec![any.into()];
    config.workers = 1;
    (config.tls.certificate, config.tls.key) = (
        Some(Pem::File(own.tls.0.clone())),
        Some(Pem::File(own.tls.1.clone())),
    );
    config.http.listen = match own.http {
        true => [false, true]
            .map(|tls| HttpListen::At { address: any, tls })
            .to_vec(),
        false => Vec::new(),
    };
    config.http.window = own.window;
    config.limits.memory = 2 << 30;
    // One that pauses is there still.
    config.streams.media_timeout = Duration::ZERO;
    config.streams.message_timeout = Duration::ZERO;
    config.streams.video_timeout = Duration::ZERO;
    config.limits.publisher_bitrate = 0;
    (
        config.limits.publishers,
        config.limits.publishers_per_address,
    ) = (1000, 1000);
    let server = std::sync::Arc::new(Server::start(config)?);
    let listen = server.config().http.listen.clone();
    let delivery = Delivery::start(&server, &listen)?;
    let mut addresses = server.addresses();
    let http = delivery.listeners().iter();
    addresses.extend(http.filter_map(|listen| match listen {
        HttpListen::At { address, .. } => Some(*address),
        _ => None,
    }));
    on_listening(&addresses);
    io::copy(&mut io::stdin(), &mut io::sink())?;
    drop(delivery);
    server.stop(Duration::ZERO);
    Ok(())
}
