//! Ids of several servers in one process: none is another's, and one that is stale finds
//! nothing.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use openrtmp_core::protocol::media::{FrameType, VideoCodec, VideoPacketKind};
use openrtmp_core::{
    Config, ConnectionId, Event, Publisher, RecordConfig, RecordError, Server, StreamId,
    VideoPacket,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A server, and what it tells.
struct Told {
    server: Server,
    events: Receiver<Event>,
}

impl Told {
    fn start() -> Told {
        let mut config = Config::desktop();
        config.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()];
        config.workers = 2;
        config.streams.republish_grace = Duration::ZERO;
        let (sender, events) = channel();
        let builder = Server::builder(config).on_event(move |event| drop(sender.send(event)));
        let server = builder.start().expect("it starts");
        Told { server, events }
    }

    fn wait_for<T>(&self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        loop {
            let event = self.events.recv_timeout(PATIENCE);
            if let Some(found) = wanted(&event.expect("the event comes")) {
                return found;
            }
        }
    }

    fn connect(&self) -> (TcpStream, ConnectionId) {
        let peer = TcpStream::connect(self.server.addresses()[0]).expect("it listens");
        let id = self.wait_for(|event| match event {
            Event::ConnectionOpened { connection, .. } => Some(*connection),
            _ => None,
        });
        (peer, id)
    }

    fn publish(&self, name: &str) -> (Publisher, StreamId) {
        let publisher = self.server.publish(name).expect("nobody else does");
        let stream = self.wait_for(|event| match event {
            Event::StreamPublished { stream, .. } => Some(*stream),
            _ => None,
        });
        (publisher, stream)
    }

    fn wait_for_end(&self, of: StreamId) {
        self.wait_for(|event| match event {
            Event::StreamEnded { stream, .. } if *stream == of => Some(()),
            _ => None,
        });
    }
}

fn key_frame(publisher: &mut Publisher) {
    let header = [1, 100, 0, 31, 255, 224, 0];
    for (kind, body) in [
        (VideoPacketKind::SequenceStart, &header[..]),
        (VideoPacketKind::Frame, &[0, 0, 0, 2, 0x65, 1]),
    ] {
        let packet = VideoPacket {
            codec: VideoCodec::Avc,
            track: 0,
            frame_type: FrameType::Key,
            kind,
            timestamp: 0,
            composition_time: 0,
            body,
        };
        publisher.write_video(&packet).expect("taken");
    }
}

#[test]
fn two_servers_of_a_process_share_no_id_and_find_nothing_by_each_others() {
    let servers = [Told::start(), Told::start()];
    let mut seen = BTreeSet::new();
    let mut kept = Vec::new();
    for _ in 0..10 {
        for (place, told) in servers.iter().enumerate() {
            let (peer, id) = told.connect();
            assert!(seen.insert(id), "{id} was given twice");
            kept.push((place, peer, id));
        }
    }
    for (place, _, id) in &kept {
        let other = &servers[1 - place].server;
        assert_eq!(other.disconnect(*id, "not yours"), Ok(false));
    }
    // They are all there, each to be found where it is.
    for (place, _, id) in &kept {
        let own = &servers[*place];
        assert_eq!(own.server.disconnect(*id, "enough"), Ok(true));
        own.wait_for(|event| match event {
            Event::ConnectionClosed { connection, .. } if connection == id => Some(()),
            _ => None,
        });
        assert_eq!(own.server.disconnect(*id, "again"), Ok(false));
    }

    let [one, other] = &servers;
    let (publisher, stream) = one.publish("live/cam");
    let (_other_publisher, others) = other.publish("live/cam");
    assert_ne!(stream, others);
    assert!(other.server.tap(stream).is_closed());
    assert!(!other.server.end_stream(stream, "not yours"));
    let folder = tempfile::tempdir().expect("a folder");
    let refused = other
        .server
        .record(stream, RecordConfig::new(folder.path()));
    assert!(matches!(refused, Err(RecordError::NoSuchStream)));
    drop(publisher);
    one.wait_for_end(stream);
    assert!(one.server.tap(stream).is_closed());
    for told in servers {
        told.server.stop(Duration::ZERO);
    }
}

#[test]
fn a_stream_is_recorded_by_its_id_as_long_as_it_has_it() {
    let told = Told::start();
    let folder = tempfile::tempdir().expect("a folder");
    let record = || RecordConfig::new(folder.path());
    let (mut publisher, stream) = told.publish("live/cam");
    told.server.record(stream, record()).expect("it is live");
    let busy = told.server.record("live/cam", record());
    assert!(matches!(busy, Err(RecordError::Busy)), "it is the same");
    let begun = |told: &Told| {
        told.wait_for(|event| match event {
            Event::RecordingStarted { path, .. } => Some(path.clone()),
            _ => None,
        })
    };
    key_frame(&mut publisher);
    begun(&told);
    let done = told.server.stop_recording(stream).expect("recorded");
    assert_eq!((done.files, done.error), (1, None));
    assert_eq!(told.server.stop_recording(stream), None);

    // What is recorded is the path, which keeps its id while the recording waits for the
    // next stream.
    told.server.record(stream, record()).expect("it is live");
    drop(publisher);
    told.wait_for_end(stream);
    let (mut publisher, next) = told.publish("live/cam");
    assert_eq!(stream, next);
    key_frame(&mut publisher);
    begun(&told);
    assert_eq!(told.server.recorded().len(), 1);
    let done = told.server.stop_recording(stream).expect("recorded");
    assert_eq!(done.error, None);
    assert!(done.files >= 1, "{done:?}");

    // Nobody waits for it any more: the id is stale, and the path has another.
    drop(publisher);
    told.wait_for_end(stream);
    let (_publisher, next) = told.publish("live/cam");
    assert_ne!(stream, next);
    let stale = told.server.record(stream, record());
    assert!(matches!(stale, Err(RecordError::NoSuchStream)));
    told.server.record(next, record()).expect("it is live");
    assert_eq!(told.server.stop_recording(stream), None);
    assert_eq!(told.server.recorded().len(), 1);
    told.server.stop(Duration::ZERO);
}
