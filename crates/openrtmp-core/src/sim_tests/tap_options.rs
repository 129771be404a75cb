//! What a tap is on, and in which form it tells it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use openrtmp_protocol::session::MediaKind;

use super::media;
use super::recording::recording;
use super::world::{FRAME, World, ms};
use crate::config::SecondPublisher;
use crate::events::Event;
use crate::id::StreamId;
use crate::stream::frame::FrameContent;
use crate::stream::listed::TapInfo;
use crate::stream::tap_queue::{TapStreams, shard_of};
use crate::tap::{Tap, TapEvent, TapOptions};

pub(super) fn drain(tap: &mut Tap) -> Vec<TapEvent> {
    std::iter::from_fn(|| tap.try_recv()).collect()
}

/// The events in words.
fn words(tap: &mut Tap) -> Vec<String> {
    let word = |event| match event {
        TapEvent::Started(_) => "started".to_owned(),
        TapEvent::Tracks { tracks, .. } => {
            let codecs = tracks.iter().map(|t| t.codec.clone());
            codecs.collect::<Vec<_>>().join(" ")
        }
        TapEvent::Frame(frame) => format!("{:?} {:?}", frame.kind, frame.content),
        TapEvent::Message(message) => format!("message of {} bytes", message.payload.len()),
        TapEvent::Lost { loss, .. } => format!("{loss:?}"),
        TapEvent::Republished(_) => "republished".to_owned(),
        TapEvent::Ended(_) => "ended".to_owned(),
    };
    drain(tap).into_iter().map(word).collect()
}

fn names(tap: &mut Tap) -> Vec<String> {
    let name = |event| match event {
        TapEvent::Started(stream) => Some(stream.name.reveal().to_owned()),
        _ => None,
    };
    let mut names: Vec<_> = drain(tap).into_iter().filter_map(name).collect();
    names.sort_unstable();
    names
}

fn stream_id(w: &World, name: &str) -> StreamId {
    let of_name = |e| match e {
        Event::StreamPublished {
            stream, name: n, ..
        } if n == name => Some(stream),
        _ => None,
    };
    let mut events = w.events().into_iter().filter_map(of_name);
    events.next_back().expect("it was published")
}

#[test]
fn apps_and_shards_share_out_streams_live_and_to_come() {
    let mut w = World::new(2);
    let all = [
        "live/a", "live/b", "live/c", "radio/a", "radio/b", "radio/c",
    ];
    for name in &all[..3] {
        w.live(name);
    }
    let shards = [0, 1].map(|index| TapStreams::Shard { index, count: 2 });
    let mut shards = shards.map(|shard| w.server.tap_with(TapOptions::new(shard)));
    let app = TapStreams::App("radio".to_owned());
    let mut app = w.server.tap_with(TapOptions::new(app));
    for name in &all[3..] {
        w.live(name);
    }
    w.run(ms(50));
    assert_eq!(names(&mut app), all[3..]);
    for (index, shard) in shards.iter_mut().enumerate() {
        let mine = |name: &&&str| shard_of(name, 2) == Some(index as u32);
        let mine: Vec<_> = all.iter().filter(mine).copied().collect();
        assert_eq!(names(shard), mine);
    }
    drop((shards, app));
    w.end();
}

#[test]
fn an_id_stands_for_its_stream_and_a_stale_one_for_none() {
    let mut w = World::new(2);
    let publisher = w.live("live/cam");
    let id = stream_id(&w, "live/cam");
    let mut tap = w.server.tap(id);
    w.run(ms(10));
    assert_eq!(names(&mut tap), ["live/cam"]);
    drop(tap);
    assert!(w.server.end_stream(id, "over"));
    w.until("the publisher's end", |w| w[publisher].is_closed());
    w.run(ms(100));
    assert!(!w.server.end_stream(id, "again"));
    let mut tap = w.server.tap(id);
    assert!(tap.is_closed());
    assert!(tap.try_recv().is_none());
    assert!(tap.recv(ms(60_000)).is_none(), "it does not wait");
    drop(tap);
    w.end();
}

#[test]
fn messages_come_as_they_were_published() {
    let mut w = World::new(2);
    let mut tap = w.server.tap_with(TapOptions::new("live/cam").messages());
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..15);
    let message = |event| match event {
        TapEvent::Message(message) => Some(message),
        TapEvent::Frame(frame) => panic!("{frame:?}"),
        _ => None,
    };
    let got: Vec<_> = drain(&mut tap).into_iter().filter_map(message).collect();
    let sent = &w[publisher].sent;
    assert_eq!(got.len(), sent.len());
    for (got, sent) in got.iter().zip(sent) {
        assert_eq!((got.kind, &got.payload), (sent.kind, &sent.payload));
        assert_eq!(got.time_micros, i64::from(sent.timestamp) * 1000);
        let content = match sent.class() {
            media::Class::Metadata => FrameContent::Metadata,
            media::Class::VideoHeader | media::Class::AudioHeader => FrameContent::Header,
            media::Class::Key | media::Class::Audio => FrameContent::Key,
            media::Class::Inter => FrameContent::Inter,
        };
        assert_eq!(got.content, content);
    }
    drop((tap, got));
    w.end();
}

#[test]
fn tracks_and_takeovers_are_told_in_their_places() {
    let mut w = World::with(2, |c| {
        c.streams.second_publisher = SecondPublisher::Takeover;
    });
    let mut tap = w.server.tap("live/cam");
    let first = w.live("live/cam");
    w.stream(first, 0..1);
    let expected = [
        "started",
        "Data Metadata",
        "avc1",
        "avc1 mp4a",
        "Video Header",
        "Audio Header",
        "Video Key",
        "Audio Key",
    ];
    assert_eq!(words(&mut tap), expected);
    // One that joins hears at once what there is.
    let mut late = w.server.tap("live/cam");
    w.run(ms(10));
    assert_eq!(
        words(&mut late)[..3],
        ["started", "avc1 mp4a", "Data Metadata"]
    );

    let second = w.publisher("live/cam");
    w.send(second, MediaKind::Audio, 0, media::audio_header());
    w.send(second, MediaKind::Audio, 5, media::audio(0));
    w.run(ms(10));
    for tap in [&mut tap, &mut late] {
        assert!(
            words(tap).ends_with(
                &["republished", "mp4a", "Audio Header", "Audio Key"].map(str::to_owned)
            )
        );
    }
    drop((tap, late));
    w.end();
}

/// One that comes back within the grace is another publisher too.
#[test]
fn a_return_within_the_grace_goes_on_in_the_same_stream() {
    let mut w = World::with(1, |c| c.streams.republish_grace = ms(5000));
    let mut tap = w.server.tap("live/cam");
    let first = w.live("live/cam");
    w.kill(first);
    w.run(ms(100));
    let _second = w.live("live/cam");
    w.run(ms(10));
    let words = words(&mut tap);
    let count = |word| words.iter().filter(|w| *w == word).count();
    assert_eq!(
        (count("started"), count("republished"), count("ended")),
        (1, 1, 0)
    );
    drop(tap);
    w.end();
}

#[test]
fn what_cannot_be_read_is_handed_out_as_it_is() {
    let mut w = World::new(1);
    let mut tap = w.server.tap("live/cam");
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..1);
    drain(&mut tap);
    // AVC packet type 9 is none (FLV 10.1, E.4.3.1); 0x5 is a command frame; AAC's second
    // byte is missing; an empty audio message is silence.
    let oddities: [(MediaKind, &'static [u8]); 4] = [
        (MediaKind::Video, b"\x27\x09\x00\x00\x00rest"),
        (MediaKind::Video, b"\x57\x01"),
        (MediaKind::Audio, b"\xAF"),
        (MediaKind::Audio, b""),
    ];
    for (kind, payload) in oddities {
        w.send(publisher, kind, 40, Bytes::from_static(payload));
    }
    w.run(ms(10));
    let frame = |event| match event {
        TapEvent::Frame(frame) => frame,
        event => panic!("{event:?}"),
    };
    let frames: Vec<_> = drain(&mut tap).into_iter().map(frame).collect();
    let expected: [(MediaKind, &[u8]); 4] = [
        oddities[0],
        // The command byte alone.
        (MediaKind::Video, b"\x01"),
        oddities[2],
        oddities[3],
    ];
    assert_eq!(frames.len(), expected.len());
    for (frame, (kind, payload)) in frames.iter().zip(expected) {
        assert_eq!((frame.kind, &frame.payload[..]), (kind, payload));
        assert_eq!((frame.content, frame.codec), (FrameContent::Other, None));
    }
    drop(tap);
    w.end();
}

/// Encoders that tag an IDR picture as an inter frame: the stream knows better.
#[test]
fn a_tap_has_the_key_frames_that_players_have() {
    let mut w = World::new(1);
    let mut tap = w.server.tap("live/cam");
    let publisher = w.live("live/cam");
    let mut lying = media::video(true, 0, 200).to_vec();
    lying[0] = 0x27;
    w.send(publisher, MediaKind::Video, 0, lying.into());
    let player = w.player("live/cam");
    w.send(publisher, MediaKind::Video, 40, media::video(false, 1, 200));
    w.run(ms(50));
    let expected = ["Video Key", "Video Inter"];
    let words = words(&mut tap);
    assert_eq!(words[words.len() - 2..], expected);
    assert_eq!(
        media::frames(&w[player].media).len(),
        2,
        "playback starts at it"
    );
    drop(tap);
    w.end();
}

#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Bomb;

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        panic!("said the test");
    }
}

#[test]
fn a_task_is_woken_once_for_all_that_came() {
    let mut w = World::new(2);
    let mut tap = w.server.tap("live/cam");
    let counter = Arc::<Counter>::default();
    let waker = Waker::from(counter.clone());
    let mut context = Context::from_waker(&waker);
    let mut wakes = 0;
    let mut frames = 0;
    let publisher = w.live("live/cam");
    for n in 0..20 {
        loop {
            match tap.poll_recv(&mut context) {
                Poll::Ready(Some(TapEvent::Frame(_))) => frames += 1,
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => panic!("it is open"),
                Poll::Pending => break,
            }
        }
        let so_far = counter.0.load(Ordering::Relaxed);
        assert!(so_far <= wakes + 1, "one wake-up for each time it waits");
        wakes = so_far;
        w[publisher].frame(n, 500);
        w.run(ms(40));
        assert_eq!(counter.0.load(Ordering::Relaxed), wakes + 1);
    }
    assert!(frames >= 3 + 38);
    let closer = tap.closer();
    while tap.poll_recv(&mut context).is_ready() {}
    closer.close();
    // The end of the stream that it was told of, and then nothing more.
    let end = tap.poll_recv(&mut context);
    assert!(matches!(end, Poll::Ready(Some(TapEvent::Ended(_)))));
    assert!(matches!(tap.poll_recv(&mut context), Poll::Ready(None)));
    drop(tap);
    w.end();
}

#[test]
fn a_waker_that_panics_harms_neither_stream_nor_worker() {
    let mut w = World::new(1);
    let mut tap = w.server.tap("live/cam");
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    let waker = Waker::from(Arc::new(Bomb));
    let mut context = Context::from_waker(&waker);
    for n in 0..10 {
        while tap.poll_recv(&mut context).is_ready() {}
        w[publisher].frame(n, 500);
        w.run(ms(40));
    }
    media::assert_whole(&w[player].media, &w[publisher].sent);
    assert_eq!(w.metrics().errors.internal, 0);
    assert_eq!(w.count(|e| matches!(e, Event::WorkerRestarted { .. })), 0);
    drop(tap);
    w.end();
}

#[test]
fn taps_and_publishers_are_listed_with_how_they_stand() {
    let mut setup = recording(|_| {});
    setup.config.access.secret_names = true;
    setup.config.streams.publisher_timeout = ms(1000);
    let mut w = setup.build();
    let mut one = w.server.tap("live/cam");
    let all = w.server.tap_all();
    let told = |w: &World| {
        let told = |tap: TapInfo| {
            let stream = tap.stream.map(|name| name.shown().to_owned());
            (stream, tap.live, tap.recording, tap.waiting_bytes > 0)
        };
        w.server.taps().into_iter().map(told).collect::<Vec<_>>()
    };
    let recorders = (None, 0, true, false);
    let waiting = (Some("live/cam".to_owned()), 0, false, false);
    assert_eq!(
        told(&w),
        [waiting, recorders.clone(), (None, 0, false, false)]
    );
    assert_eq!(w.server.publishers(), []);

    let network = w.live("live/cam");
    let host = w.server.publish("live/host").expect("published");
    w.stream(network, 0..3);
    let silence = |w: &World| w.server.publishers()[0].silence;
    assert_eq!(silence(&w), ms(0), "it sends");
    w.run(ms(2000));
    drain(&mut one);
    // Its publisher came with a name that is a key.
    let shown = w.metrics().streams[0].name.shown().to_owned();
    assert!(shown.starts_with("live/***"), "{shown}");
    let [of_one, of_recorder, of_all] = &told(&w)[..] else {
        panic!("{:?}", told(&w));
    };
    assert_eq!(*of_one, (Some(shown.clone()), 1, false, false), "all taken");
    assert_eq!((of_recorder.1, of_recorder.2), (2, true));
    assert_eq!(*of_all, (None, 2, false, true), "nothing taken");
    let [first, second] = &w.server.publishers()[..] else {
        panic!("{:?}", w.server.publishers());
    };
    assert_eq!(
        (first.name.shown(), first.stream),
        (&*shown, stream_id(&w, "live/cam"))
    );
    assert!(first.connection.is_some());
    assert!(
        (ms(2000)..=ms(2000 + FRAME)).contains(&first.silence),
        "{first:?}"
    );
    assert_eq!(second.connection, None, "the host's own");

    drop((one, all, host));
    w.leave(network);
    w.run(ms(100));
    assert_eq!(told(&w), [recorders]);
    assert_eq!(w.server.publishers(), []);
    w.end();
}
