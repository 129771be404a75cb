//! Receiving a stream: the loop behind play, record and probe.

use std::time::{Duration, Instant};

use openrtmp_core::client::{Client, ClientEvent, ClientMode, Deadline, Media};
use openrtmp_protocol::RtmpUrl;
use openrtmp_protocol::command::code;
use openrtmp_protocol::text::shown;

use crate::connection::{self, Moves, Retry, Target, Trust, connect};
use crate::console::say;
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
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    /// Of media.
    pub(crate) duration: Option<Duration>,
    /// Of time since the first frame, whatever the stream's clock says.
    pub(crate) time: Option<Duration>,
    /// Without a frame, connecting included.
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Retry,
}

impl Bounds {
    /// Up to this much media, which takes as long, or hardly longer.
    pub(crate) fn of(duration: Option<Duration>, timeout: Option<Duration>) -> Bounds {
        /// For a stream that comes late or in bursts.
        const MARGIN: Duration = Duration::from_secs(1);
        Bounds {
            duration,
            time: duration.map(|duration| duration.saturating_add(MARGIN)),
            timeout,
            retry: Retry::default(),
        }
    }
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
    target: Target<'_>,
    bounds: Bounds,
    stop: &Stop,
    sink: impl FnMut(Received<'_>) -> Result<Flow, Failure>,
) -> Result<Duration, Failure> {
    let start = Instant::now();
    let mut reception = Reception {
        moves: Moves::new(target.url),
        trust: target.trust,
        bounds,
        stop,
        sink,
        clock: Rebase::default(),
        start,
        heard: start,
        first: None,
    };
    loop {
        let failure = match reception.attempt() {
            Ok(ready) => return Ok(ready),
            Err(failure) => failure,
        };
        let failure = match reception.moves.follow(failure) {
            Ok(()) => {
                reception.clock.restart();
                continue;
            }
            Err(failure) => failure,
        };
        if reception.timeout().is_over() {
            return Err(failure);
        }
        if !bounds.retry.wait(failure, stop)? {
            return Ok(start.elapsed());
        }
        reception.clock.restart();
    }
}

/// How long nothing may come before it is told that we wait.
const PATIENCE: Duration = Duration::from_secs(2);

struct Reception<'a, S> {
    moves: Moves,
    trust: &'a Trust,
    bounds: Bounds,
    stop: &'a Stop,
    sink: S,
    clock: Rebase,
    start: Instant,
    /// The last frame, or the start.
    heard: Instant,
    /// The first frame.
    first: Option<Instant>,
}

impl<S: FnMut(Received<'_>) -> Result<Flow, Failure>> Reception<'_, S> {
    /// Over one connection.
    fn attempt(&mut self) -> Result<Duration, Failure> {
        let within = self.timeout().left();
        let connected = connect(&self.moves, self.trust, ClientMode::Play, within, self.stop);
        let Some(mut client) = connected? else {
            return Ok(self.start.elapsed());
        };
        let ready = self.start.elapsed();
        let result = self.run(&mut client);
        // We have what we wanted, or the failure: a server that is gone already is no
        // other one.
        if let Err(error) = connection::close(client, self.stop) {
            log::debug!("while closing: {error}");
        }
        result.map(|()| ready)
    }

    fn run(&mut self, client: &mut Client) -> Result<(), Failure> {
        let mut notice = Deadline::after(PATIENCE);
        while !self.stop.requested() {
            let end = self.end();
            let deadline = end.earlier(self.timeout()).earlier(notice);
            let event = client.next_event(deadline);
            match event.map_err(|error| Failure::of_client(error, &self.moves.url))? {
                Some(ClientEvent::Media(media)) => {
                    if self.take(&media)? == Flow::Stop {
                        return Ok(());
                    }
                    if self.first.is_some() {
                        notice = Deadline::NEVER;
                    }
                }
                Some(event) if ends(&event, &self.moves.url) => return Ok(()),
                Some(ClientEvent::ReconnectRequest(to)) => self.moves.asked(to.as_deref())?,
                Some(_) => {}
                None if end.is_over() => return Ok(()),
                None => self.wait_on(&mut notice)?,
            }
        }
        Ok(())
    }

    /// Nothing came in time.
    fn wait_on(&self, notice: &mut Deadline) -> Result<(), Failure> {
        if self.stop.requested() {
            return Ok(());
        }
        if self.timeout().is_over() {
            let seconds = self.bounds.timeout.unwrap_or_default().as_secs_f64();
            return Err(Failure::Runtime(format!("no media for {seconds} s")));
        }
        if notice.is_over() {
            *notice = Deadline::NEVER;
            say("openrtmp: connected, but nothing comes yet: waiting for the stream");
        }
        Ok(())
    }

    fn take(&mut self, media: &Media) -> Result<Flow, Failure> {
        let frame = is_frame(media.kind, &media.payload);
        let silent = self.heard.elapsed();
        if frame {
            self.heard = Instant::now();
            self.moves.arrived();
            self.first.get_or_insert(self.heard);
        }
        let position = self
            .clock
            .place(media.kind, media.timestamp, frame, Some(silent));
        let full = |duration| Duration::from_millis(position) >= duration;
        if self.bounds.duration.is_some_and(full) {
            return Ok(Flow::Stop);
        }
        (self.sink)(Received {
            media,
            position,
            frame,
            arrived: self.start.elapsed(),
        })
    }

    /// When it has lasted long enough.
    fn end(&self) -> Deadline {
        let end = self.first.zip(self.bounds.time);
        let end = end.and_then(|(first, time)| first.checked_add(time));
        end.map_or(Deadline::NEVER, Deadline::from)
    }

    /// When there was nothing for too long.
    fn timeout(&self) -> Deadline {
        let timeout = self.bounds.timeout;
        let timeout = timeout.and_then(|timeout| self.heard.checked_add(timeout));
        timeout.map_or(Deadline::NEVER, Deadline::from)
    }
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
        ClientEvent::Tolerated(what) => {
            log::info!("tolerated: {}", url.masked_in(what));
            false
        }
        _ => false,
    }
}
