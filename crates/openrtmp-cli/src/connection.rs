//! Connecting, and connecting again.

use std::path::PathBuf;
use std::time::Duration;

use openrtmp_core::client::{Client, ClientConfig, ClientError, ClientMode, Connecting, Deadline};
use openrtmp_core::{Config, Roots, TlsClientConfig};
use openrtmp_protocol::RtmpUrl;

use crate::console::say;
use crate::exit::Failure;
use crate::signal::Stop;
use crate::units::parse_span;

/// How long saying goodbye may take: to a server that listens no more time than its
/// answer does, to one that does not no more than this.
const GOODBYE: Duration = Duration::from_secs(1);
/// After a signal.
const HURRIED_GOODBYE: Duration = Duration::from_millis(300);

/// Flags of those who connect with TLS.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Trust {
    /// For rtmps:// and https://: PEM file with the authorities to believe, in place of the
    /// system's
    #[arg(long = "tls-ca", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// For rtmps://: believe the server with this key, sha256//BASE64, and no other;
    /// may be repeated
    #[arg(long = "pin", value_name = "PIN", conflicts_with = "ca")]
    pins: Vec<String>,
    /// For rtmps://: believe any server; for development alone
    #[arg(long, conflicts_with_all = ["ca", "pins"])]
    insecure: bool,
}

impl Trust {
    /// The authorities that servers of HTTP are believed by, if not the system's. Nothing
    /// else can be said of those.
    #[cfg(feature = "tls")]
    pub(crate) fn authorities(&self) -> Result<Option<openrtmp_core::Pem>, Failure> {
        match self.insecure || !self.pins.is_empty() {
            false => Ok(self.ca.clone().map(Into::into)),
            true => {
                let text = "--pin and --insecure are for rtmps://; --tls-ca is for https:// too";
                Err(Failure::Usage(text.to_owned()))
            }
        }
    }

    pub(crate) fn settings(&self) -> Result<TlsClientConfig, Failure> {
        let mut all = Config::default();
        let tls = &mut all.tls.client;
        if let Some(file) = &self.ca {
            tls.roots = Roots::Pem(file.clone().into());
        }
        tls.pins.clone_from(&self.pins);
        tls.insecure = self.insecure;
        all.validate().map_err(|e| Failure::Usage(e.to_string()))?;
        Ok(all.tls.client)
    }
}

/// A stream of a server, and what to believe of that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) url: &'a RtmpUrl,
    pub(crate) trust: &'a Trust,
}

/// Where a server sends us, and how often in a row.
#[derive(Clone, Debug)]
pub(crate) struct Moves {
    /// The stream, as the user named it.
    named: RtmpUrl,
    /// Where it is by now.
    pub(crate) url: RtmpUrl,
    in_a_row: u32,
}

impl Moves {
    /// As many as a relay follows by default (`limits.relay_redirects`).
    const MOST: u32 = 5;

    pub(crate) fn new(url: &RtmpUrl) -> Moves {
        Moves {
            named: url.clone(),
            url: url.clone(),
            in_a_row: 0,
        }
    }

    /// Media flows: the next is another row.
    pub(crate) fn arrived(&mut self) {
        self.in_a_row = 0;
    }

    /// A server asks to connect again. Without a `tcUrl` it goes away itself, and all there
    /// is to be had from it comes until then.
    pub(crate) fn asked(&self, tc_url: Option<&str>) -> Result<(), Failure> {
        let Some(tc_url) = tc_url else {
            return Ok(());
        };
        match self.url.redirected(tc_url) {
            Ok(url) => Err(Failure::Moved(Box::new(url))),
            Err(error) => {
                log::warn!("the server asks to connect where that cannot be: {error}");
                Ok(())
            }
        }
    }

    /// Goes there, if that is what the failure says. It comes back otherwise, and the next
    /// attempt goes where the user said.
    pub(crate) fn follow(&mut self, failure: Failure) -> Result<(), Failure> {
        let followed = match failure {
            Failure::Moved(_) if self.in_a_row >= Moves::MOST => {
                let what = format!("sent elsewhere {} times in a row", Moves::MOST);
                Err(Failure::Lost(what))
            }
            Failure::Moved(url) => Ok(url),
            other => Err(other),
        };
        let url = match followed {
            Ok(url) => url,
            Err(failure) => {
                *self = Moves::new(&self.named);
                return Err(failure);
            }
        };
        self.in_a_row += 1;
        let scheme = if url.tls { "rtmps" } else { "rtmp" };
        let (host, port) = (&url.host, url.port);
        say(&format!(
            "openrtmp: the server sends us to {scheme}://{host}:{port}"
        ));
        self.url = *url;
        Ok(())
    }
}

/// Flags of those who may connect more than once.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Retry {
    /// When the server cannot be had or the connection breaks off, connect again after
    /// this pause [2s if none is named], until it works or Ctrl-C
    #[arg(
        long = "retry",
        value_name = "PAUSE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2s",
        value_parser = parse_span
    )]
    pub(crate) pause: Option<Duration>,
}

impl Retry {
    /// Waits before another attempt, after this failure. The failure comes back if there
    /// is to be none; false if a signal came meanwhile.
    pub(crate) fn wait(self, failure: Failure, stop: &Stop) -> Result<bool, Failure> {
        match (failure, self.pause) {
            (Failure::Lost(message), Some(pause)) => {
                let seconds = pause.as_secs_f64();
                say(&format!("openrtmp: {message}; again in {seconds} s"));
                Ok(!stop.wait(Some(pause)))
            }
            (failure, _) => Err(failure),
        }
    }
}

/// Connects, within the library's own time or this, whichever is less. `None` if a
/// signal came meanwhile, which is heeded at once.
pub(crate) fn connect(
    moves: &Moves,
    trust: &Trust,
    mode: ClientMode,
    within: Option<Duration>,
    stop: &Stop,
) -> Result<Option<Client>, Failure> {
    let url = &moves.url;
    let mut config = ClientConfig::new(url.clone(), mode);
    config.tls = trust.settings()?;
    if !moves.named.is_same_server(url) {
        config.tls = config.tls.for_redirect();
    }
    let time = within.map_or(config.connect_timeout, |w| w.min(config.connect_timeout));
    config.connect_timeout = time;
    let failure = |error| Failure::of_client(error, url);
    let connecting = Connecting::new(config).map_err(failure)?;
    let waker = connecting.waker();
    stop.handle(vec![Box::new(move || waker.wake())]);
    if stop.requested() {
        return Ok(None);
    }
    match connecting.finish() {
        Ok(client) => Ok(Some(client)),
        Err(ClientError::Interrupted) if stop.requested() => Ok(None),
        Err(error) => Err(failure(error)),
    }
}

/// Says goodbye.
pub(crate) fn close(client: Client, stop: &Stop) -> Result<(), ClientError> {
    client.close(Deadline::after(match stop.requested() {
        true => HURRIED_GOODBYE,
        false => GOODBYE,
    }))
}
