//! A client session and a server session of ours, talking to each other.
//!
//! - They always come to terms, however the bytes between them are cut.
//! - What one of them sends the other receives, in order and unaltered.

use arbitrary::Unstructured;
use bytes::{Bytes, BytesMut};
use openrtmp_protocol::chunk::{ChunkWriter, Payload};
use openrtmp_protocol::message::kind;
use openrtmp_protocol::session::{
    ClientConfig, ClientEvent, ClientMode, ClientSession, Media, MediaKind, ServerConfig,
    ServerEvent, ServerSession, Stage,
};
use openrtmp_protocol::{RtmpUrl, Time};

use crate::input::{Cuts, take};
use crate::peer::filled;

/// Publish rather than play (bit 0), digests (bit 1), a strict server (bit 2);
/// both chunk sizes, cuts, then media: kind, timestamp, length, filling.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let flags: u8 = take(&mut input);
    let sizes: [u16; 2] = [take(&mut input), take(&mut input)];
    let mut pair = Pair::new(flags, sizes, take(&mut input));
    pair.exchange();
    assert!(pair.ready, "nothing stands in the way");

    let (mut sent, mut bytes) = (Vec::new(), 0);
    while !input.is_empty() && sent.len() < 64 && bytes < 60_000 {
        let what: u8 = take(&mut input);
        let timestamp = take(&mut input);
        let length = usize::from(take::<u16>(&mut input)) % 40_000;
        let (kind, length) = match what & 3 {
            0 => (MediaKind::Audio, length),
            1 => (MediaKind::Data, length),
            _ => (MediaKind::Video, length),
        };
        let mut payload = filled(length, take(&mut input));
        if kind == MediaKind::Data {
            // Data has a name, and what is in AMF3 would become AMF0.
            let values = payload.iter().map(|byte| byte & !0x11);
            payload = b"\x02\0\x01d".iter().copied().chain(values).collect();
        }
        pair.send(kind, timestamp, &payload);
        bytes += payload.len();
        sent.push((kind, timestamp, Payload::from(payload)));
        if what & 4 != 0 {
            pair.exchange();
        }
    }
    pair.exchange();
    let received = pair.received.iter();
    let received = received.map(|media| (media.kind, media.timestamp, media.payload.clone()));
    assert_eq!(received.collect::<Vec<_>>(), sent);

    pair.client.close();
    pair.exchange();
    assert_eq!(pair.server.stage(), Stage::Connected, "it has let go");
}

struct Pair {
    client: ClientSession,
    server: ServerSession,
    mode: ClientMode,
    cuts: Cuts,
    /// The server's message stream of the publish or play.
    stream: Option<u32>,
    ready: bool,
    received: Vec<Media>,
    /// On their way, server to client: answers and the media behind them.
    to_client: BytesMut,
}

impl Pair {
    fn new(flags: u8, sizes: [u16; 2], cuts: Cuts) -> Pair {
        let mode = match flags & 1 {
            0 => ClientMode::Play,
            _ => ClientMode::Publish,
        };
        let url = RtmpUrl::parse("rtmp://host/live/cam").expect("a URL");
        let mut client = ClientConfig::new(url, mode);
        client.chunk_size = u32::from(sizes[0]).max(1);
        client.digest_handshake = flags & 2 != 0;
        let mut server = ServerConfig::default();
        server.chunk_size = u32::from(sizes[1]);
        server.strict_handshake = flags & 4 != 0;
        Pair {
            client: ClientSession::new(client, Time::ZERO, &mut |bytes| bytes.fill(1)),
            server: ServerSession::new(&server, Time::ZERO, &mut |bytes| bytes.fill(2)),
            mode,
            cuts,
            stream: None,
            ready: false,
            received: Vec::new(),
            to_client: BytesMut::new(),
        }
    }

    fn send(&mut self, kind: MediaKind, timestamp: u32, payload: &Bytes) {
        if self.mode == ClientMode::Publish {
            assert!(self.client.send(kind, timestamp, payload));
            return;
        }
        self.flush();
        let (chunk_stream, kind) = match kind {
            MediaKind::Audio => (4, kind::AUDIO),
            MediaKind::Video => (6, kind::VIDEO),
            MediaKind::Data => (5, kind::DATA_AMF0),
        };
        let mut writer = ChunkWriter::new();
        writer.set_chunk_size(self.server.chunk_size());
        let stream = self.stream.expect("it plays");
        writer.write(
            chunk_stream,
            kind,
            stream,
            timestamp,
            payload,
            &mut self.to_client,
        );
    }

    /// What the server has to say goes before media that is framed for it.
    fn flush(&mut self) {
        while let Some(bytes) = self.server.poll_transmit() {
            self.to_client.extend_from_slice(&bytes);
        }
    }

    /// Moves bytes both ways until there are no more.
    fn exchange(&mut self) {
        loop {
            let mut to_server = BytesMut::new();
            while let Some(bytes) = self.client.poll_transmit() {
                to_server.extend_from_slice(&bytes);
            }
            self.flush();
            let to_client = self.to_client.split();
            if to_server.is_empty() && to_client.is_empty() {
                return;
            }
            for piece in self.cuts.of(&to_server) {
                self.feed_server(piece);
            }
            for piece in self.cuts.of(&to_client) {
                self.feed_client(piece);
            }
        }
    }

    fn feed_server(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let used = self.server.handle_input(Time::ZERO, bytes);
            bytes = &bytes[used.expect("our client is polite")..];
            while let Some(event) = self.server.poll_event() {
                match event {
                    ServerEvent::Connect { request, .. } => {
                        assert!(self.server.accept(Time::ZERO, request));
                    }
                    ServerEvent::Publish {
                        request, stream, ..
                    }
                    | ServerEvent::Play {
                        request, stream, ..
                    } => {
                        self.stream = Some(stream);
                        assert!(self.server.accept(Time::ZERO, request));
                    }
                    ServerEvent::Media(media) => self.received.push(media),
                    ServerEvent::Tolerated(what) => panic!("our client sent {what}"),
                    _ => {}
                }
            }
        }
    }

    fn feed_client(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let used = self.client.handle_input(Time::ZERO, bytes);
            bytes = &bytes[used.expect("our server is polite")..];
            while let Some(event) = self.client.poll_event() {
                match event {
                    ClientEvent::Ready => self.ready = true,
                    ClientEvent::Media(media) => self.received.push(media),
                    _ => {}
                }
            }
        }
    }
}
