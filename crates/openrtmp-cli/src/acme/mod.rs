//! Certificates from an authority that gives them by itself (ACME, RFC 8555).
//!
//! A thread of its own asks for them, and speaks HTTPS with the authority there. What it
//! gave is a file; the server reads it when it is told to
//! ([`AcmeConfig::certificate_file`]), and shows the answers to the authority's questions.

mod answers;
mod authority;
mod order;
mod pause;
mod schedule;
mod storage;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use openrtmp_core::{
    AcmeChallenge, AcmeConfig, CertificateConfig, CertificateInfo, Config, Pem, Server,
};

use self::answers::Tokens;
use self::authority::Failure;
use self::order::{Ordering, is_for};
use self::pause::{Pause, Woken};
use self::schedule::Backoff;
use self::storage::{ORDER, Storage};
use crate::http::{BindError, Mount};

/// The longest wait between two looks: the clock may be set meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Until another order, where a new certificate is due for renewal as soon as it is there.
const DOUBTFUL_WAIT: Duration = Duration::from_secs(600);

/// Obtains certificates and renews them, until it is dropped.
pub(crate) struct Acme {
    pause: Arc<Pause>,
}

impl Acme {
    /// Begins, as the settings of the server say now and whenever it is told that they may
    /// be others. The error is an address that cannot be had.
    pub(crate) fn start(server: &Arc<Server>) -> Result<Acme, String> {
        let pause = Arc::new(Pause::default());
        let mut keeper = Keeper {
            server: Arc::clone(server),
            pause: Arc::clone(&pause),
            tokens: Tokens::default(),
            backoff: Backoff::default(),
            mount: Mount::default(),
        };
        let config = server.config();
        keeper.listen(&config).map_err(|e| e.to_string())?;
        advise(&config);
        let thread = thread::Builder::new().name("acme".to_owned());
        thread
            .spawn(move || keeper.run())
            .map_err(|e| format!("cannot start a thread: {e}"))?;
        Ok(Acme { pause })
    }

    /// The settings may be others, or somebody wants another try at once.
    pub(crate) fn look_again(&self) {
        self.pause.ask();
    }
}

/// Whatever it waits for, it is not waited for.
impl Drop for Acme {
    fn drop(&mut self) {
        self.pause.stop();
    }
}

struct Keeper {
    server: Arc<Server>,
    pause: Arc<Pause>,
    tokens: Tokens,
    backoff: Backoff,
    mount: Mount,
}

impl Keeper {
    fn run(mut self) {
        loop {
            let config = self.server.config();
            let acme = &config.tls.acme;
            if !acme.is_on()
                && let Err(error) = self.listen(&config)
            {
                log::warn!("ACME: {error}");
            }
            let wait = acme.is_on().then(|| self.see_to_it(&config));
            match self.pause.wait(wait) {
                Woken::Stopped => return,
                Woken::Time => {}
                Woken::Asked => {
                    self.backoff.reset();
                    let now = self.server.config();
                    if now.tls.acme != *acme {
                        advise(&now);
                    }
                }
            }
        }
    }

    /// Obtains a certificate if there is none that will do, and says when to look again.
    fn see_to_it(&mut self, config: &Config) -> Duration {
        let acme = &config.tls.acme;
        let names = acme.domains.join(", ");
        match self.obtain_if_due(config) {
            Ok(wait) => wait,
            Err(failure) => {
                let wait = self.backoff.after(&failure);
                if !matches!(failure, Failure::Stopped) {
                    let (why, next) = (failure.shown(), rough(wait));
                    log::error!("ACME: no certificate for {names}: {why}; again in {next}");
                }
                wait
            }
        }
    }

    fn obtain_if_due(&mut self, config: &Config) -> Result<Duration, Failure> {
        let acme = &config.tls.acme;
        let Some(folder) = acme.folder() else {
            return Ok(LONGEST_WAIT);
        };
        let at = folder.display().to_string();
        let here = |error: io::Error| Failure::Here(format!("{at}: {error}"));
        let storage = Storage::open(folder).map_err(here)?;
        // Whatever there is to do: the settings may name other addresses, or none.
        self.listen(config)
            .map_err(|e| Failure::Here(e.to_string()))?;
        if let Some(wait) = time_left(acme) {
            // An order that was on its way is for what is there.
            storage.forget(ORDER).map_err(here)?;
            return Ok(wait.min(LONGEST_WAIT));
        }
        log::info!(
            "ACME: asking {} for a certificate for {}",
            acme.directory,
            acme.domains.join(", ")
        );
        let ordering = Ordering {
            server: &self.server,
            acme,
            storage: &storage,
            tokens: &self.tokens,
            pause: &self.pause,
        };
        let pem = ordering.obtain()?;
        let Some(file) = acme.certificate_file() else {
            return Ok(LONGEST_WAIT);
        };
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        storage.write(&name, &pem).map_err(here)?;
        storage.forget(ORDER).map_err(here)?;
        self.backoff.reset();
        // One that is old already, by the clock here, is not asked for again at once.
        let wait = time_left(acme).unwrap_or(DOUBTFUL_WAIT);
        log::info!(
            "ACME: a certificate for {}, to be renewed in {}",
            acme.domains.join(", "),
            rough(wait)
        );
        if let Err(error) = self.server.reload_certificates() {
            log::error!("ACME: the certificate is not shown: {error}");
        }
        Ok(wait.min(LONGEST_WAIT))
    }

    /// Listens where answers to HTTP-01 are given, as the settings say.
    fn listen(&mut self, config: &Config) -> Result<(), BindError> {
        let acme = &config.tls.acme;
        let addresses = match acme.challenge {
            AcmeChallenge::Http01 if acme.is_on() => acme.http_listen.clone(),
            _ => Vec::new(),
        };
        if self
            .mount
            .set(&addresses, config, || self.tokens.routes())?
        {
            for address in self.mount.addresses() {
                log::info!("ACME: answering HTTP-01 on {address}");
            }
        }
        Ok(())
    }
}

/// How long the certificate that is there will do; `None` if it will not.
fn time_left(acme: &AcmeConfig) -> Option<Duration> {
    let file = Pem::File(acme.certificate_file()?);
    let stored = CertificateConfig::new(file.clone(), file);
    let now = SystemTime::now();
    let info = CertificateInfo::check(&stored, now).ok()?;
    let left = info.renewal().duration_since(now).ok()?;
    is_for(&info, acme).then_some(left)
}

/// Says what keeps an authority from seeing that the names lead here.
fn advise(config: &Config) {
    /// Where authorities look (RFC 8555 section 8.3, RFC 8737 section 3).
    const PORTS: (u16, u16) = (80, 443);
    let acme = &config.tls.acme;
    if !acme.is_on() {
        return;
    }
    let mut tls = config
        .listen
        .iter()
        .filter(|listen| listen.transport == openrtmp_core::ListenTransport::Tls);
    if tls.clone().next().is_none() {
        log::warn!("ACME: no listener speaks TLS, so that nobody is shown the certificate");
    }
    let (is_there, advice) = match acme.challenge {
        AcmeChallenge::TlsAlpn01 => (
            tls.any(|listen| listen.address.port() == PORTS.1),
            "connects to port 443 for TLS-ALPN-01, which no listener with TLS has: pass it on to one",
        ),
        _ => (
            acme.http_listen.iter().any(|at| at.port() == PORTS.0),
            "connects to port 80 for HTTP-01, which tls.acme.http_listen has not: pass it on there",
        ),
    };
    if !is_there {
        log::warn!("ACME: the authority {advice}");
    }
}

/// A time for people.
fn rough(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};
    use std::time::Instant;

    use super::*;

    /// Waits until nobody listens there, or somebody does.
    fn wait_until_taken(address: SocketAddr, taken: bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpListener::bind(address).is_err() != taken {
            assert!(Instant::now() < deadline, "taken: {}", !taken);
            thread::yield_now();
        }
    }

    #[test]
    fn its_port_is_given_back_when_it_is_switched_off() {
        let folder = tempfile::tempdir().expect("a folder");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("it is bound");
        drop(free);
        let mut config = Config::desktop();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        config.listen = vec![openrtmp_core::Listen::from(any).with_tls()];
        let off = config.tls.acme.clone();
        let acme = &mut config.tls.acme;
        acme.domains = vec!["live.example.org".to_owned()];
        // Nobody is there.
        acme.directory = "https://127.0.0.1:1/directory".to_owned();
        acme.storage = Some(folder.path().into());
        acme.http_listen = vec![address];
        config.tls.self_signed = true;
        let server = Arc::new(Server::start(config.clone()).expect("it starts"));
        let acme = Acme::start(&server).expect("the port is free");
        wait_until_taken(address, true);
        config.tls.acme = off;
        server.reconfigure(config).expect("valid");
        acme.look_again();
        wait_until_taken(address, false);
        server.stop(Duration::ZERO);
    }

    #[test]
    fn times_are_told_roughly() {
        for (seconds, text) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7199, "119 min"),
            (7200, "2 h"),
            (5_184_000, "60 days"),
        ] {
            assert_eq!(rough(Duration::from_secs(seconds)), text);
        }
    }
}
