//! A server that follows the settings.

use std::io;
use std::net::SocketAddr;

use openrtmp_core::{Config, HttpConfig, goes_without_saying};

use super::Routes;
use super::server::{BindError, HttpServer, Limits};

/// A server, if there are addresses for one.
#[derive(Default)]
pub(crate) struct Mount(Option<Mounted>);

struct Mounted {
    addresses: Vec<SocketAddr>,
    http: HttpConfig,
    proxies: Vec<String>,
    limits: Limits,
    server: HttpServer,
}

impl Mount {
    /// Listens on these addresses and no others, as the settings say. True if that is
    /// something new. An error leaves it where it listens.
    pub(crate) fn set(
        &mut self,
        addresses: &[SocketAddr],
        config: &Config,
        routes: impl FnOnce() -> Routes,
    ) -> Result<bool, BindError> {
        let there = self.0.as_ref();
        let proxies = &config.access.trusted_proxies;
        let is_same = |it: &Mounted| {
            it.addresses == addresses && it.http == config.http && it.proxies == *proxies
        };
        if there.is_some_and(is_same) {
            return Ok(false);
        }
        if addresses.is_empty() {
            self.0 = None;
            return Ok(false);
        }
        let routes = routes();
        let limits = Limits::from(config);
        let server = match start(addresses, &routes, &limits) {
            // It may be in its own way: then its ports are given back first, and taken
            // again if they were not what was in the way.
            Err(error) if error.source.kind() == io::ErrorKind::AddrInUse => {
                let Some(before) = self.0.take() else {
                    return Err(error);
                };
                let held = before.server.addresses().to_vec();
                drop(before.server);
                match start(addresses, &routes, &limits) {
                    Err(error) => {
                        let server = start(&held, &routes, &before.limits)?;
                        self.0 = Some(Mounted { server, ..before });
                        return Err(error);
                    }
                    started => started?,
                }
            }
            started => started?,
        };
        self.0 = Some(Mounted {
            addresses: addresses.to_vec(),
            http: config.http.clone(),
            proxies: proxies.clone(),
            limits,
            server,
        });
        Ok(true)
    }

    /// Where it listens.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        self.0.as_ref().map_or(&[], |it| it.server.addresses())
    }
}

/// Not every machine has IPv6.
fn start(
    addresses: &[SocketAddr],
    routes: &Routes,
    limits: &Limits,
) -> Result<HttpServer, BindError> {
    match HttpServer::start(addresses, routes.clone(), limits.clone()) {
        Err(error)
            if goes_without_saying(error.address, &error.source, addresses.iter().copied()) =>
        {
            log::warn!("IPv4 only: {error}");
            let ipv4 = addresses.iter().filter(|address| address.is_ipv4());
            let ipv4: Vec<SocketAddr> = ipv4.copied().collect();
            HttpServer::start(&ipv4, routes.clone(), limits.clone())
        }
        started => started,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_listens_where_the_settings_say_by_now() {
        let mut config = Config::desktop();
        let mut mount = Mount::default();
        let set = |mount: &mut Mount, addresses: &[SocketAddr], config: &Config| {
            mount.set(addresses, config, Routes::default)
        };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        assert!(!set(&mut mount, &[], &config).expect("nothing to do"));
        assert!(mount.addresses().is_empty());
        assert!(set(&mut mount, &[any], &config).expect("a free port"));
        let first = mount.addresses().to_vec();
        assert!(!set(&mut mount, &[any], &config).expect("the same"));
        assert_eq!(mount.addresses(), first);
        config.http.connections = 5;
        assert!(set(&mut mount, &first, &config).expect("its own port"));
        assert_eq!(mount.addresses(), first);
        config.access.trusted_proxies = vec!["10.0.0.0/8".to_owned()];
        assert!(set(&mut mount, &first, &config).expect("its own port"));
        let mut other = Mount::default();
        assert!(set(&mut other, &first, &config).is_err(), "it is taken");
        assert!(!set(&mut mount, &[], &config).expect("nothing to do"));
        assert!(set(&mut other, &first, &config).expect("it is free"));
    }

    #[test]
    fn an_address_that_is_taken_leaves_it_where_it_listens() {
        let mut config = Config::desktop();
        let (mut mount, mut other) = (Mount::default(), Mount::default());
        let set = |mount: &mut Mount, addresses: &[SocketAddr], config: &Config| {
            mount.set(addresses, config, Routes::default)
        };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        set(&mut mount, &[any], &config).expect("a free port");
        set(&mut other, &[any], &config).expect("a free port");
        let (first, taken) = (mount.addresses().to_vec(), other.addresses().to_vec());
        assert!(set(&mut mount, &taken, &config).is_err());
        assert_eq!(mount.addresses(), first);
        // Its own port is in the way too, and it is back there afterwards.
        config.http.connections = 5;
        let both = [&first[..], &taken[..]].concat();
        assert!(set(&mut mount, &both, &config).is_err());
        assert_eq!(mount.addresses(), first);
        std::net::TcpStream::connect(first[0]).expect("it listens");
        set(&mut other, &[], &config).expect("nothing to do");
        assert!(set(&mut mount, &both, &config).expect("they are free"));
        assert_eq!(mount.addresses(), both);
    }
}
