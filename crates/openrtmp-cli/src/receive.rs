//! Receiving a stream: the loop behind play, record and probe.

use std::time::{Duration, Instant};

use openrtmp_core::client::{Client, ClientConfig, ClientError, ClientEvent, ClientMode, Media};
use openrtmp_protocol::RtmpUrl;
use openrtmp_protocol::command::code;
use openrtmp_protocol::text::shown;

use crate::exit::Failure;
use crate::media::is_frame;
use crate::pacing::Rebase;
use crate::signal::Stop;

/// A message and where it stands.
pub(crate) struct Received<'a> {
    pub(crate) media: &'a Media,
    /// Milliseconds since the first frame.
    pub(crate) position: u64,
    /// A coded frame, not a header or data.
    pub(crate) frame: bool,
    /// Since the start of the connection attempt.
    pub(crate) arrived: Duration,
}

/// When to stop by ourselves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Of media.
    pub(crate) duration: Option<Duration>,
    /// Without media.
    pub(crate) timeout: Option<Duration>,
}

/// Whether the receiver wants more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    Stop,
}

/// Plays the URL and hands every message to `sink` until the stream ends, the
/// sink has enough, a bound is met or a signal comes. Returns how long it took
/// until the server started to play.
pub(crate) fn receive(
    url: &RtmpUrl,
    bounds: Bounds,
    stop: &Stop,
    sink: impl FnMut(Received<'_>) -> Result<Flow, Failure>,
) -> Result<Duration, Failure> {
    receive_from(url, bounds, stop, sink).map_err(|failure| failure.masked(url))
}

fn receive_from(
    url: &RtmpUrl,
    bounds: Bounds,
    stop: &Stop,
    mut sink: impl FnMut(Received<'_>) -> Result<Flow, Failure>,
) -> Result<Duration, Failure> {
    let start = Instant::now();
    let mut client = Client::connect(ClientConfig::new(url.clone(), ClientMode::Play))?;
    let ready = start.elapsed();
    let waker = client.waker();
    stop.handle(vec![Box::new(move || waker.wake())]);
    let mut clock = Rebase::default();
    let mut heard = Instant::now();
    let mut ended = false;
    while !stop.requested() && !ended {
        let deadline = bounds.timeout.map(|timeout| heard + timeout);
        match client.next_event(deadline) {
            Ok(Some(ClientEvent::Media(media))) => {
                heard = Instant::now();
                let frame = is_frame(media.kind, &media.payload);
                let position = clock.place(media.timestamp, frame);
                let full = bounds
                    .duration
                    .is_some_and(|duration| Duration::from_millis(position) >= duration);
                ended = full
                    || sink(Received {
                        media: &media,
                        position,
                        frame,
                        arrived: start.elapsed(),
                    })? == Flow::Stop;
            }
            Ok(Some(event)) => ended = ends(&event, url),
            Ok(None) => {
                if let (Some(deadline), Some(timeout)) = (deadline, bounds.timeout)
                    && Instant::now() >= deadline
                    && !stop.requested()
                {
                    return Err(Failure::Runtime(format!(
                        "no media for {} s",
                        timeout.as_secs_f64()
                    )));
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    goodbye(client);
    Ok(ready)
}

fn ends(event: &ClientEvent, url: &RtmpUrl) -> bool {
    const LAST: [&str; 3] = [
        code::PLAY_UNPUBLISH_NOTIFY,
        code::PLAY_STOP,
        code::PLAY_COMPLETE,
    ];
    match event {
        ClientEvent::StreamEof => true,
        ClientEvent::Status(status) => {
            let text = url.masked_in(&status.description);
            log::info!("server: {} ({})", shown(&status.code), shown(&text));
            LAST.contains(&status.code.as_str())
        }
        _ => false,
    }
}

/// We have what we wanted; a server that is gone already is no failure.
fn goodbye(client: Client) {
    let result: Result<(), ClientError> = client.close();
    if let Err(error) = result {
        log::debug!("while closing: {error}");
    }
}
