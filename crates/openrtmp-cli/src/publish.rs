use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use openrtmp_core::client::{
    Client, ClientError, ClientEvent, ClientMode, ClientWaker, Deadline, MediaKind,
};
use openrtmp_protocol::flv::Tag;
use openrtmp_protocol::text::shown;
use openrtmp_protocol::{RtmpUrl, Time};

use crate::connection::{self, Moves, Retry, Trust, connect};
use crate::console::say;
use crate::exit::Failure;
use crate::media::{is_frame, is_key_frame, is_metadata, live_metadata, message_kind};
use crate::pacing::{Pacer, Timeline};
use crate::progress::Progress;
use crate::signal::Stop;
use crate::source::{Input, Item, Source};
use crate::units::{bit_rate, bits_per_second, clock, size};

/// Flags of `openrtmp publish`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// FLV file, or - for standard input
    file: PathBuf,
    /// Where to: rtmp://host[:port]/app/stream[?query], or rtmps://
    #[arg(value_parser = RtmpUrl::parse)]
    url: RtmpUrl,
    #[command(flatten)]
    trust: Trust,
    /// Start again when the file ends; timestamps go on
    #[arg(long = "loop")]
    repeat: bool,
    /// As fast as the server takes it, instead of in real time
    #[arg(long)]
    fast: bool,
    #[command(flatten)]
    retry: Retry,
}

/// Publishes the file.
pub(crate) fn run(arguments: &Arguments, stop: &Stop) -> Result<(), Failure> {
    if arguments.repeat && arguments.file.as_os_str() == "-" {
        return Err(Failure::Usage(
            "--loop needs a file: standard input cannot be repeated".into(),
        ));
    }
    let input = Input::open(&arguments.file)?;
    let length = if arguments.repeat { None } else { input.size() };
    let listener = Listener::default();
    let wake = listener.clone();
    let source = input
        .start(arguments.repeat, move || wake.wake())
        .map_err(|e| Failure::Runtime(format!("cannot start a thread: {e}")))?;
    let mut publisher = Publisher {
        moves: Moves::new(&arguments.url),
        trust: &arguments.trust,
        stop,
        source,
        unsent: Vec::new().into_iter(),
        pacer: (!arguments.fast).then(Pacer::default),
        timeline: Timeline::default(),
        headers: Headers::default(),
        start: Instant::now(),
        progress: Progress::new(length),
        sent: Sent::default(),
    };
    let result = loop {
        match publisher.attempt(&listener) {
            Err(failure) if !stop.requested() => match publisher
                .moves
                .follow(failure)
                .map(|()| true)
                .or_else(|failure| arguments.retry.wait(failure, stop))
            {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(failure) => break Err(failure),
            },
            result => break result,
        }
    };
    let Publisher { sent, start, .. } = publisher;
    if sent.messages > 0 {
        say(&sent.summary(start.elapsed()));
    }
    result
}

/// Whom the reading thread wakes: the client, once there is one.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Option<ClientWaker>>>);

impl Listener {
    fn is(&self, waker: ClientWaker) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker);
    }

    fn wake(&self) {
        let waker = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = &*waker {
            waker.wake();
        }
    }
}

struct Publisher<'a> {
    moves: Moves,
    trust: &'a Trust,
    stop: &'a Stop,
    source: Source,
    /// Tags that were read and not yet sent.
    unsent: std::vec::IntoIter<Tag>,
    /// None: as fast as possible.
    pacer: Option<Pacer>,
    timeline: Timeline,
    headers: Headers,
    start: Instant,
    progress: Progress,
    sent: Sent,
}

#[derive(Default)]
struct Sent {
    messages: u64,
    bytes: u64,
    /// Milliseconds since the first frame.
    position: u64,
}

/// What another connection has to be told before the stream goes on.
#[derive(Default)]
struct Headers {
    metadata: Option<Bytes>,
    /// Sequence headers: the newest of each beginning, which names kind, codec and
    /// track.
    media: Vec<(MediaKind, Bytes)>,
    /// Video is left out up to its next key frame.
    wants_key_frame: bool,
}

impl Publisher<'_> {
    /// Over one connection, from where the last one broke off.
    fn attempt(&mut self, listener: &Listener) -> Result<(), Failure> {
        let connected = connect(
            &self.moves,
            self.trust,
            ClientMode::Publish,
            None,
            self.stop,
        );
        let Some(mut client) = connected? else {
            return Ok(());
        };
        listener.is(client.waker());
        let result = self.resume(&mut client);
        let result = result.and_then(|()| self.run(&mut client));
        // A file that is damaged further on was still published up to there: say
        // goodbye either way.
        let closed = connection::close(client, self.stop);
        let closed = closed.map_err(|error| Failure::of_client(error, &self.moves.url));
        match self.stop.requested() {
            true => Ok(()),
            false => result.and(closed),
        }
    }

    fn resume(&mut self, client: &mut Client) -> Result<(), Failure> {
        if self.sent.messages == 0 {
            return Ok(());
        }
        let position = self.sent.position;
        self.headers.wants_key_frame = true;
        let metadata = self.headers.metadata.clone();
        let metadata = metadata.map(|metadata| (MediaKind::Data, metadata));
        for (kind, payload) in metadata.into_iter().chain(self.headers.media.clone()) {
            self.write(client, kind, position, &payload)?;
        }
        Ok(())
    }

    fn run(&mut self, client: &mut Client) -> Result<(), Failure> {
        while !self.stop.requested() {
            if let Some(tag) = self.unsent.next() {
                self.send(client, &tag)?;
                continue;
            }
            match self.source.try_next() {
                Some(Item::Tags(tags, offset)) => {
                    self.unsent = tags.into_iter();
                    self.progress.set_position(offset);
                    self.look(client)?;
                }
                Some(Item::NextPass) => self.timeline.next_pass(),
                Some(Item::End(result)) => {
                    self.flush(client)?;
                    return result;
                }
                // The reading thread wakes the client.
                None => self.listen(client, Deadline::NEVER)?,
            }
        }
        Ok(())
    }

    fn send(&mut self, client: &mut Client, tag: &Tag) -> Result<(), Failure> {
        let Some(kind) = message_kind(tag.kind) else {
            log::debug!("skipped a tag of type {}", tag.kind);
            return Ok(());
        };
        let frame = is_frame(kind, &tag.payload);
        let position = self.timeline.place(kind, tag.timestamp, frame);
        if let Some(pacer) = &mut self.pacer {
            let due = self.start + pacer.due(position, since(self.start)).since(Time::ZERO);
            let due = Deadline::from(due);
            while !due.is_over() && !self.stop.requested() {
                self.listen(client, due)?;
            }
        }
        if self.headers.wants_key_frame && frame && kind == MediaKind::Video {
            if !is_key_frame(&tag.payload) {
                return Ok(());
            }
            self.headers.wants_key_frame = false;
        }
        let mut payload = tag.payload.clone();
        if is_metadata(kind, &payload) {
            payload = live_metadata(&payload);
            if self.headers.metadata.as_ref() == Some(&payload) {
                // A file that is repeated: the server has it, and some players take it
                // for a new track.
                return Ok(());
            }
        }
        self.headers.note(kind, frame, &payload);
        // Counted first: it goes out even if the connection breaks off behind it.
        self.sent.messages += 1;
        self.sent.bytes += tag.payload.len() as u64;
        self.sent.position = self.sent.position.max(position);
        self.write(client, kind, position, &payload)?;
        self.moves.arrived();
        let position = Duration::from_millis(self.sent.position);
        self.progress.show(position, self.sent.bytes, String::new);
        Ok(())
    }

    fn write(
        &self,
        client: &mut Client,
        kind: MediaKind,
        position: u64,
        payload: &[u8],
    ) -> Result<(), Failure> {
        // The wire's clock is this one mod 2^32.
        match client.send(kind, position as u32, payload) {
            // It is kept; the reading thread interrupts too.
            Ok(()) | Err(ClientError::Interrupted) => Ok(()),
            Err(error) => Err(Failure::of_client(error, &self.moves.url)),
        }
    }

    fn flush(&self, client: &mut Client) -> Result<(), Failure> {
        while !self.stop.requested() {
            match client.flush() {
                Err(ClientError::Interrupted) => {}
                result => return result.map_err(|e| Failure::of_client(e, &self.moves.url)),
            }
        }
        Ok(())
    }

    /// Takes what the server has said.
    fn look(&self, client: &mut Client) -> Result<(), Failure> {
        /// A server that talks without end is not listened to for ever.
        const EVENTS: usize = 64;
        for _ in 0..EVENTS {
            let event = client.try_event();
            match event.map_err(|error| Failure::of_client(error, &self.moves.url))? {
                Some(event) => self.hear(event)?,
                None => break,
            }
        }
        Ok(())
    }

    /// Takes what the server says until the deadline, or until woken.
    fn listen(&self, client: &mut Client, deadline: Deadline) -> Result<(), Failure> {
        loop {
            let event = client.next_event(deadline);
            match event.map_err(|error| Failure::of_client(error, &self.moves.url))? {
                Some(event) => self.hear(event)?,
                None => return Ok(()),
            }
        }
    }

    fn hear(&self, event: ClientEvent) -> Result<(), Failure> {
        let masked = |text: &str| self.moves.url.masked_in(text);
        match event {
            ClientEvent::Status(status) => {
                let text = masked(&status.description);
                log::info!("server: {} ({})", shown(&status.code), shown(&text));
            }
            ClientEvent::ReconnectRequest(to) => return self.moves.asked(to.as_deref()),
            ClientEvent::Tolerated(what) => log::info!("tolerated: {}", masked(&what)),
            _ => {}
        }
        Ok(())
    }
}

impl Headers {
    fn note(&mut self, kind: MediaKind, frame: bool, payload: &Bytes) {
        /// More tracks than a stream has.
        const MOST: usize = 64;
        /// What names a sequence header: tag header, FourCC, track.
        const BEGINNING: usize = 7;
        if kind == MediaKind::Data {
            if is_metadata(kind, payload) {
                self.metadata = Some(payload.clone());
            }
            return;
        }
        if frame {
            return;
        }
        // AVC and AAC have their configuration there, behind two and five bytes.
        let beginning = match payload.first() {
            Some(first) if first & 0x80 == 0 => 2,
            _ => BEGINNING,
        };
        let start = |payload: &Bytes| payload.slice(..beginning.min(payload.len()));
        let same = |(k, known): &(MediaKind, Bytes)| *k == kind && start(known) == start(payload);
        match self.media.iter().position(same) {
            Some(index) => self.media[index].1 = payload.clone(),
            None if self.media.len() < MOST => self.media.push((kind, payload.clone())),
            None => {}
        }
    }
}

impl Sent {
    fn summary(&self, took: Duration) -> String {
        let length = Duration::from_millis(self.position);
        format!(
            "published {} of media in {}: {} messages, {}, {}",
            clock(length),
            clock(took),
            self.messages,
            size(self.bytes),
            bit_rate(bits_per_second(self.bytes, length)),
        )
    }
}

fn since(start: Instant) -> Time {
    Time::ZERO + start.elapsed()
}
