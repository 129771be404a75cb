//! Connecting, and connecting again.

use std::time::Duration;

use openrtmp_core::client::{Client, ClientConfig, ClientError, ClientMode, Connecting, Deadline};
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
    url: &RtmpUrl,
    mode: ClientMode,
    within: Option<Duration>,
    stop: &Stop,
) -> Result<Option<Client>, Failure> {
    let mut config = ClientConfig::new(url.clone(), mode);
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
