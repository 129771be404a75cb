//! A recorder's own thread, over the real platform.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use openrtmp_protocol::media::{FrameType, VideoCodec, VideoPacketKind, write_video};
use openrtmp_protocol::session::MediaKind;

use crate::config::{Config, RecordConfig};
use crate::events::Event;
use crate::publisher::Publisher;
use crate::server::Server;
use crate::sim_tests::{RECORDER_LOOP, RECORDER_RESTART};

const PATIENCE: Duration = Duration::from_secs(60);

fn key_frame(publisher: &mut Publisher, n: u32, what: &str) {
    let mut unit = vec![0x65, 0x9A];
    unit.extend_from_slice(what.as_bytes());
    let mut body = (unit.len() as u32).to_be_bytes().to_vec();
    body.extend(unit);
    let kind = VideoPacketKind::Frame;
    let picture = write_video(VideoCodec::Avc, 0, FrameType::Key, kind, 0, &body);
    let taken = publisher.write_message(MediaKind::Video, n * 40, picture);
    taken.expect("the stream goes on");
}

/// Writes frames until it is told of what fits.
fn until(
    events: &Receiver<Event>,
    publisher: &mut Publisher,
    frames: &mut u32,
    fits: fn(&Event) -> bool,
) {
    let begun = std::time::Instant::now();
    while begun.elapsed() < PATIENCE {
        *frames += 1;
        key_frame(publisher, *frames, "a picture");
        match events.recv_timeout(Duration::from_millis(20)) {
            Ok(event) if fits(&event) => return,
            _ => {}
        }
    }
    panic!("it was never told");
}

#[test]
fn whatever_panics_on_a_recorders_thread_it_is_told_and_goes_on() {
    for place in [RECORDER_LOOP, RECORDER_RESTART] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = Config::desktop();
        config.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()];
        config.workers = 1;
        let (sender, events) = channel();
        let server = Server::builder(config)
            .on_event(move |event| drop(sender.send(event)))
            .start()
            .expect("it starts");
        let record = RecordConfig::new(folder.path());
        server.record("live/cam", record).expect("nobody else does");
        let mut publisher = server.publish("live/cam").expect("nobody else does");
        let started = |event: &Event| matches!(event, Event::RecordingStarted { .. });
        let restarted = |event: &Event| matches!(event, Event::RecorderRestarted { .. });
        let mut frames = 0;
        until(&events, &mut publisher, &mut frames, started);
        frames += 1;
        key_frame(&mut publisher, frames, place);
        until(&events, &mut publisher, &mut frames, restarted);
        until(&events, &mut publisher, &mut frames, started);
        drop(publisher);
        let summary = server.stop_recording("live/cam").expect("it goes on");
        assert_eq!(summary.error, None, "{place}");
        assert!(summary.files >= 2, "{place}: {summary:?}");
        assert_eq!(server.stop(Duration::ZERO).left_behind, 0);
    }
}
