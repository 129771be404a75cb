//! What a host does in its own process, over the real platform: publishes, taps,
//! records, asks how the server is.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use openrtmp_core::protocol::amf::Object;
use openrtmp_core::protocol::flv::FlvReader;
use openrtmp_core::protocol::media::{
    AudioCodec, AudioPacketKind, FourCc, FrameType, VideoCodec, VideoPacketKind,
};
use openrtmp_core::protocol::session::MediaKind;
use openrtmp_core::{
    AudioPacket, Config, Event, FrameContent, PublishError, Publisher, ReconfigureError,
    RecordConfig, RecordError, Server, StartError, TapEvent, Unanswered, VideoPacket,
};

/// Nothing a test waits for takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

fn config() -> Config {
    let mut config = Config::desktop();
    config.listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()];
    config.workers = 2;
    config
}

fn start(config: Config) -> (Server, Receiver<Event>) {
    let (sender, events) = channel();
    let server = Server::builder(config)
        .on_event(move |event| {
            // The test may have seen enough.
            let _ = sender.send(event);
        })
        .start()
        .expect("it starts");
    (server, events)
}

fn wait_for<T>(events: &Receiver<Event>, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
    loop {
        let event = events.recv_timeout(PATIENCE).expect("the event comes");
        if let Some(found) = wanted(event) {
            return found;
        }
    }
}

/// A key frame, an audio frame and another video frame, with their headers.
fn publish_some(publisher: &mut Publisher) {
    let video = |publisher: &mut Publisher, frame_type, kind, timestamp, body: &[u8]| {
        let packet = VideoPacket {
            codec: VideoCodec::Avc,
            track: 0,
            frame_type,
            kind,
            timestamp,
            composition_time: 40,
            body,
        };
        publisher.write_video(&packet).expect("taken");
    };
    let audio = |publisher: &mut Publisher, kind, timestamp, body: &[u8]| {
        let packet = AudioPacket {
            codec: AudioCodec::Aac,
            track: 0,
            kind,
            timestamp,
            body,
        };
        publisher.write_audio(&packet).expect("taken");
    };
    let metadata = Object::new().with("encoder", "a test");
    publisher.write_metadata(metadata).expect("taken");
    let (key, inter) = (FrameType::Key, FrameType::Inter);
    video(
        publisher,
        key,
        VideoPacketKind::SequenceStart,
        0,
        &[1, 100, 0, 31, 255, 224, 0],
    );
    audio(publisher, AudioPacketKind::SequenceStart, 0, &[0x12, 0x10]);
    video(publisher, key, VideoPacketKind::Frame, 0, b"key");
    audio(publisher, AudioPacketKind::Frame, 10, b"sound");
    video(publisher, inter, VideoPacketKind::Frame, 40, b"inter");
}

#[test]
fn a_tap_gets_what_the_host_publishes() {
    let (server, _events) = start(config());
    let mut tap = server.tap("live/cam");
    let mut publisher = server.publish("live/cam").expect("nobody else does");
    publish_some(&mut publisher);
    let stream = publisher.stream();
    drop(publisher);

    let mut frames = Vec::new();
    loop {
        match tap.recv(PATIENCE).expect("it comes") {
            TapEvent::Started(started) => assert_eq!(started.id, stream),
            TapEvent::Frame(frame) => frames.push(frame),
            TapEvent::Ended(_) => break,
            _ => {}
        }
    }
    let (avc, aac) = (Some(FourCc(*b"avc1")), Some(FourCc(*b"mp4a")));
    let told: Vec<_> = frames
        .iter()
        .filter(|frame| frame.kind != MediaKind::Data)
        .map(|f| {
            (
                f.codec,
                f.content,
                f.dts_micros,
                f.pts_micros,
                &f.payload[..],
            )
        })
        .collect();
    let expected: [(_, _, i64, i64, &[u8]); 5] = [
        (
            avc,
            FrameContent::Header,
            0,
            0,
            &[1, 100, 0, 31, 255, 224, 0],
        ),
        (aac, FrameContent::Header, 0, 0, &[0x12, 0x10]),
        (avc, FrameContent::Key, 0, 40_000, b"key"),
        (aac, FrameContent::Key, 10_000, 10_000, b"sound"),
        (avc, FrameContent::Inter, 40_000, 80_000, b"inter"),
    ];
    assert_eq!(told, expected);
    assert_eq!(frames[0].content, FrameContent::Metadata);
    assert!(frames.iter().all(|frame| frame.dropped == 0));
}

#[test]
fn closing_a_tap_ends_a_wait_in_another_thread() {
    let (server, _events) = start(config());
    let mut tap = server.tap_all();
    let closer = tap.closer();
    let waiting = thread::spawn(move || (tap.recv(PATIENCE).is_none(), tap.is_closed()));
    closer.close();
    assert_eq!(waiting.join().expect("it ends"), (true, true));
}

#[test]
fn a_stream_has_one_publisher_and_none_after_the_stop() {
    let mut limited = config();
    limited.limits.publishers = 1;
    let (server, _events) = start(limited);
    let mut publisher = server.publish("live/cam").expect("nobody else does");
    let refused = |name| server.publish(name).expect_err("refused");
    assert_eq!(refused("live/cam"), PublishError::Busy);
    assert_eq!(refused("live/other"), PublishError::Limit);
    assert_eq!(refused(""), PublishError::EmptyName);
    server.stop(Duration::ZERO);
    assert_eq!(refused("live/third"), PublishError::Stopping);
    let late = publisher.write_message(MediaKind::Audio, 0, vec![0xAF, 1, 0]);
    assert_eq!(late, Err(PublishError::Stopping));
}

/// The times of the tags in a recording.
fn tags(path: &Path) -> Vec<u32> {
    let file = std::fs::read(path).expect("the file is there");
    let mut reader = FlvReader::new();
    reader.push(&file);
    let mut times = Vec::new();
    while let Some(tag) = reader.next_tag().expect("a sound file") {
        times.push(tag.timestamp);
    }
    times
}

fn finished(events: &Receiver<Event>) -> PathBuf {
    wait_for(events, |event| match event {
        Event::RecordingFinished { path, .. } => Some(path),
        Event::RecordingFailed { error, .. } => panic!("{error}"),
        _ => None,
    })
}

#[test]
fn the_host_records_a_stream_until_it_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, events) = start(config());
    let record = || RecordConfig::new(folder.path());
    server.record("live/cam", record()).expect("it records");
    let again = server.record("live/cam", record());
    assert!(matches!(again, Err(RecordError::Busy)), "{again:?}");
    let nameless = server.record("", record());
    assert!(
        matches!(nameless, Err(RecordError::EmptyName)),
        "{nameless:?}"
    );

    let mut publisher = server.publish("live/cam").expect("nobody else does");
    let mut tap = server.tap("live/cam");
    publish_some(&mut publisher);
    // What a tap opened later has, the recording was given.
    while !matches!(tap.recv(PATIENCE), Some(TapEvent::Frame(f)) if f.dts_micros == 40_000) {}
    let summary = server.stop_recording("live/cam").expect("it is recorded");
    assert_eq!(
        (summary.files, summary.lost_frames, summary.error),
        (1, 0, None)
    );
    assert!(server.stop_recording("live/cam").is_none());
    let times = tags(&finished(&events));
    assert_eq!(times.last(), Some(&40), "{times:?}");

    server.stop(Duration::ZERO);
    let late = server.record("live/cam", record());
    assert!(matches!(late, Err(RecordError::Stopping)), "{late:?}");
}

#[test]
fn stopping_completes_the_recordings_of_settings_and_host() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut recording = config();
    recording.record = Some(RecordConfig::new(folder.path().join("all")));
    let (server, events) = start(recording);
    let one = RecordConfig::new(folder.path().join("one"));
    server.record("live/cam", one).expect("it records");
    let mut publisher = server.publish("live/cam").expect("nobody else does");
    publish_some(&mut publisher);
    for _ in 0..2 {
        wait_for(&events, |event| {
            matches!(event, Event::RecordingStarted { .. }).then_some(())
        });
    }
    server.stop(Duration::ZERO);
    let (first, second) = (finished(&events), finished(&events));
    assert_ne!(first, second);
    for path in [first, second] {
        assert!(!tags(&path).is_empty());
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_told_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("taken");
    std::fs::write(&file, b"a file, no folder").expect("written");
    let mut recording = config();
    recording.record = Some(RecordConfig::new(&file));
    let error = Server::start(recording).expect_err("refused");
    assert!(
        matches!(error, StartError::RecordDirectory { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("taken"), "{error}");

    let (server, _events) = start(config());
    let error = server.record("live/cam", RecordConfig::new(&file));
    assert!(matches!(error, Err(RecordError::Io(_))), "{error:?}");
}

#[test]
fn health_names_what_keeps_others_out() {
    let mut small = config();
    small.limits.connections = 1;
    let (server, events) = start(small);
    let health = server.health();
    assert!(health.live && health.ready, "{health:?}");

    let _peer = TcpStream::connect(server.addresses()[0]).expect("it listens");
    wait_for(&events, |event| {
        matches!(event, Event::ConnectionOpened { .. }).then_some(())
    });
    let health = server.health();
    assert!(health.live && !health.ready);
    assert_eq!(health.reasons, ["limits.connections is reached"]);

    server.stop(Duration::ZERO);
    let health = server.health();
    assert!(!health.ready);
    assert_eq!(health.reasons, ["the server is stopping"]);
}

/// Blocks the worker that wakes it, which it must not, until it is let go.
struct Freeze {
    frozen: Sender<()>,
    until: Mutex<Receiver<()>>,
}

impl Wake for Freeze {
    fn wake(self: Arc<Freeze>) {
        let _ = self.frozen.send(());
        // The end of the other end, for a worker that is frozen already too.
        let _ = self.until.lock().expect("not poisoned").recv();
    }
}

#[test]
fn nothing_waits_for_a_frozen_worker_without_end() {
    let mut one = config();
    one.workers = 1;
    let (server, events) = start(one);
    let address = server.addresses()[0];
    let _peer = TcpStream::connect(address).expect("it listens");
    let connection = wait_for(&events, |event| match event {
        Event::ConnectionOpened { connection, .. } => Some(connection),
        _ => None,
    });
    let (frozen, is_frozen) = channel();
    let (thaw, until) = channel();
    let until = Mutex::new(until);
    let waker = Waker::from(Arc::new(Freeze { frozen, until }));
    let mut tap = server.tap("live/cam");
    assert!(tap.poll_recv(&mut Context::from_waker(&waker)).is_pending());
    let publisher = server.publish("live/cam").expect("free");
    is_frozen.recv().expect("the worker wakes the tap");

    assert_eq!(server.disconnect(connection, "enough"), Err(Unanswered));
    assert_eq!(server.check_listeners(), Err(Unanswered));
    assert!(matches!(server.snapshot(), Err(Unanswered)));
    let before = server.config();
    let mut other = Config::clone(&before);
    other.limits.connections = 7;
    let unanswered = |other: &Config| {
        let error = server.reconfigure(other.clone());
        let is_so = matches!(error, Err(ReconfigureError::Unanswered(_)));
        assert!(is_so, "{error:?}");
    };
    // Other addresses it would have to bind: without it nothing changes.
    let listen = std::mem::replace(&mut other.listen, config().listen.repeat(2));
    unanswered(&other);
    assert_eq!(
        (server.config(), server.addresses()),
        (before, vec![address])
    );
    // All else is in force, but for it.
    other.listen = listen;
    unanswered(&other);
    assert_eq!(server.config().limits.connections, 7);
    assert!(!server.health().live);

    // A stop leaves it behind, and says so; it ends when it can.
    let summary = server.stop(Duration::ZERO);
    assert_eq!(summary.left_behind, 1);
    assert!(
        TcpStream::connect(address).is_ok(),
        "its socket is open still"
    );
    drop(thaw);
    let mut closed = |event| matches!(event, Event::ConnectionClosed { .. }).then_some(());
    // No event is told any more.
    assert!(events.iter().find_map(&mut closed).is_none());
    while TcpStream::connect(address).is_ok() {
        thread::yield_now();
    }
    drop((tap, publisher));
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_that_has_no_descriptors_left_is_not_ready() {
    // In a process of its own, all of whose descriptors are taken.
    const CHILD: &str = "OPENRTMP_TEST_NO_DESCRIPTORS";
    if std::env::var_os(CHILD).is_none() {
        let status = std::process::Command::new(std::env::current_exe().expect("this one"))
            .args([
                "--exact",
                "a_server_that_has_no_descriptors_left_is_not_ready",
            ])
            .env(CHILD, "1")
            .status();
        return assert!(status.expect("it runs").success());
    }
    let (server, events) = start(config());
    let address = server.addresses()[0];
    let mut taken: Vec<std::fs::File> = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        taken.push(file);
    }
    let reason = "Too many open files (os error 24)";
    assert_eq!(
        server.health().reasons,
        [format!("accepting would fail: {reason}")]
    );
    // Somebody comes, and is not heard.
    taken.pop();
    let peer = TcpStream::connect(address).expect("it listens");
    wait_for(&events, |event| {
        matches!(event, Event::AcceptFailed { .. }).then_some(())
    });
    assert_eq!(
        server.health().reasons,
        [format!("accepting fails: {reason}")]
    );
    drop(taken);
    wait_for(&events, |event| {
        matches!(event, Event::ConnectionOpened { .. }).then_some(())
    });
    assert!(server.health().ready, "{:?}", server.health());
    drop(peer);
}

#[test]
fn the_last_event_tells_that_the_server_is_gone() {
    let (server, events) = start(config());
    let _guest = TcpStream::connect(server.addresses()[0]).expect("it listens");
    wait_for(&events, |event| {
        matches!(event, Event::ConnectionOpened { .. }).then_some(())
    });
    let summary = server.stop(Duration::ZERO);
    drop(server);
    let events: Vec<Event> = events.iter().collect();
    let is_end = |event: &Event| matches!(event, Event::ServerStopped { .. });
    assert_eq!(events.iter().filter(|event| is_end(event)).count(), 1);
    let Some(Event::ServerStopped {
        forced, accepted, ..
    }) = events.last()
    else {
        panic!("{events:?}")
    };
    assert_eq!((*forced, *accepted), (summary.forced, 1));
}
