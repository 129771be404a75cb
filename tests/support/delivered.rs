//! A server under test whose streams are delivered over HTTP.

use std::net::SocketAddr;

use openrtmp_core::{Config, HttpListen, Pem, ServerBuilder};
use openrtmp_live::Delivery;

use crate::tls::Authority;
use crate::wire::Place;
use crate::{Server, Web, found_at_last};

/// Any free port of the loopback interface.
pub const PLAIN: &str = "http://127.0.0.1:0";
/// The same with TLS.
pub const SECURE: &str = "https://127.0.0.1:0";

/// A server whose streams are delivered on a free port of the loopback interface.
#[derive(Debug)]
pub struct Delivered {
    // Ends before the server.
    delivery: Delivery,
    server: Server,
    scheme: &'static str,
    address: SocketAddr,
    /// Where it is asked by hand, and how.
    place: Place,
}

impl Delivered {
    /// Starts one whose settings `change` has changed.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(change: impl FnOnce(&mut Config)) -> Delivered {
        Delivered::speaking(PLAIN, change)
    }

    /// The same with TLS, and a certificate that whoever connects by its [`Delivered::place`]
    /// believes.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn secure(change: impl FnOnce(&mut Config)) -> Delivered {
        let authority = Authority::new("An authority of viewers");
        let certificate = authority.sign(&["127.0.0.1"]);
        let change = |config: &mut Config| {
            config.tls.certificate = Some(Pem::Text(certificate.certificate));
            config.tls.key = Some(Pem::Text(certificate.key));
            change(config);
        };
        let mut delivered = Delivered::speaking(SECURE, change);
        delivered.place = Place::secure(delivered.address(), authority.pem());
        delivered
    }

    /// The same at this address, `https://127.0.0.1:0` for example.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn speaking(listen: &str, change: impl FnOnce(&mut Config)) -> Delivered {
        Delivered::start_as(listen, change, |builder| builder)
    }

    /// The same of a host that `host` makes more of.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start_as(
        listen: &str,
        change: impl FnOnce(&mut Config),
        host: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> Delivered {
        let is_secure = listen.starts_with("https:");
        // What tests ask by hand they ask in the clear.
        let also = is_secure.then_some(PLAIN);
        let listen: Vec<HttpListen> = [listen]
            .into_iter()
            .chain(also)
            .map(|listen| listen.parse().expect("an address"))
            .collect();
        raise_descriptors();
        let change = |config: &mut Config| {
            config.http.listen = listen.clone();
            change(config);
        };
        let server = Server::start_as(change, host);
        let delivery = Delivery::start(server.core(), &listen).expect("it can listen");
        let addresses: Vec<SocketAddr> = delivery.listeners().iter().map(address).collect();
        Delivered {
            server,
            delivery,
            scheme: if is_secure { "https" } else { "http" },
            address: addresses[0],
            place: Place::plain(addresses[addresses.len() - 1]),
        }
    }

    /// URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// Where streams are delivered.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where they are asked for by hand, and how: in the clear, unless it is
    /// [secure](Delivered::secure).
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The delivery.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// The master playlist, once there is one.
    ///
    /// # Panics
    /// If it is refused.
    pub fn master(&self, path: &str) -> String {
        self.master_for(path, "")
    }

    /// The same with a query.
    ///
    /// # Panics
    /// If it is refused.
    pub fn master_for(&self, path: &str, query: &str) -> String {
        self.begun(&format!("/{path}/index.m3u8{query}"))
    }

    /// The DASH manifest where players begin, once there is one.
    ///
    /// # Panics
    /// If it is refused.
    pub fn manifest(&self, path: &str) -> String {
        self.begun(&format!("/{path}/manifest.mpd"))
    }

    /// What is at this path, once there is something.
    ///
    /// # Panics
    /// If it is refused, or nothing begins within a minute.
    pub fn begun(&self, path: &str) -> String {
        let mut web = Web::at(&self.place);
        found_at_last(path, || {
            let answer = web.get(path, &[]);
            match answer.status {
                200 => Some(answer.text().to_owned()),
                // Nothing is known of it yet; each answer is an event of the server's.
                404 | 503 => None,
                status => panic!("{status}: {}", answer.text()),
            }
        })
    }
}

fn address(listen: &HttpListen) -> SocketAddr {
    match listen {
        HttpListen::At { address, .. } => *address,
        _ => panic!("an address"),
    }
}

/// Files and sockets that tests with viewers by the hundred have on both sides, with room: some
/// systems give a process 256 unless it asks.
#[cfg(unix)]
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    const WANTED: u64 = 10_240;
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX);
    let raised = Rlimit {
        current: Some(WANTED.min(limit.maximum.unwrap_or(WANTED))),
        ..limit
    };
    if current < WANTED {
        setrlimit(Resource::Nofile, raised).expect("as many as there may be");
    }
}

#[cfg(not(unix))]
fn raise_descriptors() {}
