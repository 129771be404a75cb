//! What becomes of what publishers send.

use openrtmp_core::{AudioPacket, Publisher, Server, TapEvent, TapOptions, VideoPacket};
use openrtmp_protocol::amf::{Encoder, Encoding, Object, Value};
use openrtmp_protocol::media::{AudioPacketKind, FrameType, VideoPacketKind};

use super::*;
use crate::store::Media;
use crate::store::spooled::{Place, until};

/// The sequence header of a picture of 320x180 by x264.
const AVC: [u8; 45] = [
    1, 0x64, 0, 0x0D, 0xFF, 0xE1, 0, 0x1A, 0x67, 0x64, 0, 0x0D, 0xAC, 0xD9, 0x41, 0x41, 0x9F, 0x9F,
    1, 0x10, 0, 0, 3, 0, 0x10, 0, 0, 3, 3, 0xC0, 0xF1, 0x42, 0x99, 0x60, 1, 0, 4, 0x68, 0xEF, 0x8F,
    0xCB, 0xFD, 0xF8, 0xF8, 0,
];
/// AAC-LC, 48 kHz, mono.
const AAC: [u8; 5] = [0x11, 0x88, 0x56, 0xE5, 0];

type Publish = fn(&mut Publisher);

/// What the feed hears of these publishers, in turn by their times from where each begins.
fn heard(publishers: Vec<(u8, Publish)>) -> Vec<(u8, Message)> {
    let mut config = Config::desktop();
    config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
    let server = Server::start(config).expect("a server");
    let mut all = Vec::new();
    for (number, publish) in publishers {
        let name = format!("live/{number}");
        let mut tap = server.tap_with(TapOptions::new(&name).messages());
        let mut publisher = server.publish(&name).expect("a name that is free");
        publish(&mut publisher);
        drop(publisher);
        let mut first = None;
        loop {
            match tap.recv(Duration::from_secs(60)).expect("a message") {
                TapEvent::Message(message) => {
                    let first = *first.get_or_insert(message.time_micros);
                    all.push((message.time_micros - first, number, message));
                }
                TapEvent::Ended(_) => break,
                _ => {}
            }
        }
    }
    all.sort_by_key(|(since, ..)| *since);
    all.into_iter()
        .map(|(_, number, it)| (number, it))
        .collect()
}

/// Two seconds of pictures from this time on, with a key frame each second, in these tracks.
fn pictures(publisher: &mut Publisher, from: u32, tracks: &[u8]) {
    let mut packet = VideoPacket {
        codec: VideoCodec::Avc,
        track: 0,
        frame_type: FrameType::Key,
        kind: VideoPacketKind::SequenceStart,
        timestamp: from,
        composition_time: 0,
        body: &AVC,
    };
    for track in tracks {
        packet.track = *track;
        publisher.write_video(&packet).expect("it is taken");
    }
    packet.kind = VideoPacketKind::Frame;
    for number in 0..50 {
        packet.timestamp = from + number * 40;
        let is_key = number % 25 == 0;
        packet.body = match is_key {
            true => &[0, 0, 0, 1, 0x65],
            false => &[0, 0, 0, 1, 0x41],
        };
        packet.frame_type = if is_key {
            FrameType::Key
        } else {
            FrameType::Inter
        };
        for track in tracks {
            packet.track = *track;
            publisher.write_video(&packet).expect("it is taken");
        }
    }
}

/// Two seconds of sound.
fn sound(publisher: &mut Publisher, from: u32) {
    let mut packet = AudioPacket {
        codec: AudioCodec::Aac,
        track: 0,
        kind: AudioPacketKind::SequenceStart,
        timestamp: from,
        body: &AAC,
    };
    publisher.write_audio(&packet).expect("it is taken");
    (packet.kind, packet.body) = (AudioPacketKind::Frame, b"sound");
    for number in 0..94 {
        packet.timestamp = from + number * 64 / 3;
        publisher.write_audio(&packet).expect("it is taken");
    }
}

/// What is made of messages of these publishers, joined or one by itself.
fn feeding(messages: &[(u8, Message)], variants: &[&str], members: &[u8]) -> Feeding {
    let mut config = Config::default();
    config.http.variants = variants.iter().map(|it| (*it).to_owned()).collect();
    let name = messages[0].1.stream.name.clone();
    let mut feeding = Feeding::new(name, &config, &Arc::default(), None);
    members.iter().for_each(|number| feeding.join(*number));
    for (number, message) in messages.iter().filter(|(is, _)| members.contains(is)) {
        feeding.message(*number, message);
    }
    feeding.settle(Instant::now());
    feeding
}

#[test]
fn players_are_told_of_silence_and_of_messages_that_nothing_comes_of() {
    let ms = Duration::from_millis;
    let start = Instant::now();
    let mut patience = Patience::new(start);
    let due = |patience: &Patience| {
        let at = patience.ends_at(ms(300), ms(2000), ms(6000)).unwrap();
        at.duration_since(start).as_millis()
    };
    // Silence: after a target duration, then part after part.
    assert_eq!(due(&patience), 2000);
    patience.stalled(start + ms(2000), ms(2000));
    assert_eq!(due(&patience), 2300);
    patience.stalled(start + ms(2300), ms(2000));
    assert_eq!(due(&patience), 2600);
    // Messages come again, and nothing of them: what counts is what is listed.
    for at in (2500..=8400).step_by(100) {
        patience.heard(start + ms(at));
    }
    assert_eq!(due(&patience), 8500);
    patience.stalled(start + ms(8500), ms(2000));
    // It stays so: no message puts it off for longer than a part.
    patience.heard(start + ms(8600));
    assert_eq!(due(&patience), 8900);
    patience.heard(start + ms(8800));
    assert_eq!(due(&patience), 8900);
    // Until something comes of them.
    patience.listed(start + ms(8850));
    assert_eq!(due(&patience), 10_800);
}

#[test]
fn sound_tells_of_a_clock_as_long_as_no_pictures_do() {
    let messages = heard(vec![
        (0, |publisher| sound(publisher, 100_000)),
        (1, |publisher| pictures(publisher, 0, &[0])),
    ]);
    let feeding = feeding(&messages, &["_low"], &[0, 1]);
    let apart = (feeding.members[1].clock.shift() - 100_000_000).abs();
    assert!(apart < 1_000_000, "{apart}");
    // Both are of one time, and begin.
    assert!(feeding.window.rendition(TrackName::Audio(0)).is_some());
    assert!(feeding.window.rendition(TrackName::Video(16)).is_some());
}

#[test]
fn the_newest_picture_is_of_who_is_there() {
    let messages = heard(vec![
        (0, |publisher| pictures(publisher, 0, &[0])),
        (1, |publisher| pictures(publisher, 0, &[0])),
    ]);
    let of = |wanted: u8| messages.iter().filter(move |(number, _)| *number == wanted);
    for leaves in [true, false] {
        let mut feeding = feeding(&messages, &["_low"], &[0, 1]);
        let pictures = &feeding.stream().clone().pictures;
        let before = pictures.newest().expect("a picture").number;
        match leaves {
            true => assert!(feeding.leave(0)),
            false => feeding.restart(0),
        }
        // No other header comes.
        for (number, message) in of(1).filter(|(_, is)| is.content != FrameContent::Header) {
            feeding.message(*number, message);
        }
        let after = pictures.newest().expect("a picture of the other").number;
        assert_eq!(after, before + 2, "{leaves}");
    }
}

#[test]
fn tracks_of_several_publishers_have_numbers_of_their_own() {
    let messages = heard(vec![
        (0, |publisher| pictures(publisher, 0, &[0, 15, 16, 17])),
        (1, |publisher| pictures(publisher, 0, &[0, 15, 16])),
    ]);
    let tracks = |variants: &[&str], members: &[u8]| {
        let feeding = feeding(&messages, variants, members);
        let is_there = |id: &u8| feeding.window.rendition(TrackName::Video(*id)).is_some();
        (0..=u8::MAX).filter(is_there).collect::<Vec<_>>()
    };
    assert_eq!(tracks(&["_low"], &[0, 1]), [0, 15, 16, 31]);
    // It is the same whoever comes.
    assert_eq!(tracks(&["_low"], &[0]), [0, 15]);
    assert_eq!(tracks(&[], &[0]), [0, 15, 16, 17]);
}

/// A minute of pictures with a key frame each second.
fn long(publisher: &mut Publisher) {
    pictures(publisher, 0, &[0]);
    let body = [0x41; 4096];
    for number in 10..300 {
        let is_key = number % 5 == 0;
        let packet = VideoPacket {
            codec: VideoCodec::Avc,
            track: 0,
            frame_type: if is_key {
                FrameType::Key
            } else {
                FrameType::Inter
            },
            kind: VideoPacketKind::Frame,
            timestamp: number * 200,
            composition_time: 0,
            body: &body,
        };
        publisher.write_video(&packet).expect("it is taken");
    }
}

#[test]
fn of_what_is_old_no_more_leaves_than_has_to_and_lists_tell_so_at_once() {
    let messages = heard(vec![(0, long)]);
    let mut config = Config::default();
    config.http.window = Duration::from_secs(10);
    config.http.dvr.duration = Duration::from_secs(100);
    let budget = Arc::default();
    let name = messages[0].1.stream.name.clone();
    let mut feeding = Feeding::new(name, &config, &budget, None);
    feeding.join(0);
    for (number, message) in &messages {
        feeding.message(*number, message);
    }
    feeding.end();
    feeding.settle(Instant::now());
    let listed = |feeding: &Feeding| {
        let snapshot = feeding.stream().snapshot();
        let playlists = snapshot.tracks[0].playlists.as_ref();
        let playlist = playlists.expect("a playlist").full.plain().to_vec();
        let manifest = snapshot.manifest.as_ref().expect("a manifest").version;
        (String::from_utf8(playlist).expect("text"), manifest)
    };
    let (_, manifest) = listed(&feeding);
    let oldest = feeding.window.oldest_past().expect("it is long enough");
    // A byte too much.
    let shares = Shares {
        streams: 2 * (feeding.window.past_footprint() - 1),
        answers: 0,
    };
    assert!(budget.past_share(shares).is_some());
    feeding.keep_of_past(shares);
    assert_eq!(budget.past_share(shares), None);
    assert_eq!(feeding.window.oldest_past(), Some(oldest + 1));
    feeding.settle(Instant::now());
    let (playlist, newer) = listed(&feeding);
    let sequence = format!("#EXT-X-MEDIA-SEQUENCE:{}\n", oldest + 1);
    assert!(playlist.contains(&sequence), "{playlist}");
    assert!(newer > manifest);
}

#[test]
fn what_is_not_written_yet_is_listed_from_memory_until_it_is() {
    let messages = heard(vec![(0, long)]);
    let mut config = Config::default();
    config.http.window = Duration::from_secs(10);
    config.http.dvr.duration = Duration::from_secs(100);
    let place = Place::new(1 << 30);
    let spool = place.spool().expect("a folder");
    let name = messages[0].1.stream.name.clone();
    let mut feeding = Feeding::new(name, &config, &place.budget, Some(&spool));
    // Something else has the name of the second.
    let second = format!("{}-v0-2.m4s", feeding.stream().names.epoch);
    let second = place.folder().join(second);
    std::fs::create_dir(&second).expect("a folder");
    feeding.join(0);
    for (number, message) in &messages {
        feeding.message(*number, message);
    }
    feeding.end();
    feeding.settle(Instant::now());
    until(|| (spool.waiting() == 1).then_some(()));
    feeding.settle(Instant::now());
    assert_eq!(feeding.window.oldest_past(), Some(1));
    let in_memory = |feeding: &Feeding| {
        let snapshot = feeding.stream().snapshot();
        let kept = (1..=3).filter_map(|msn| snapshot.tracks[0].segment(msn).cloned());
        kept.map(|kept| matches!(kept.media, Media::Memory(_)))
            .collect::<Vec<_>>()
    };
    assert_eq!(in_memory(&feeding), [false, true, false]);
    assert!(feeding.window.past_bytes() > 0);
    std::fs::remove_dir(&second).expect("it is empty");
    until(|| (spool.waiting() == 0).then_some(()));
    feeding.settle(Instant::now());
    assert_eq!(in_memory(&feeding), [false; 3]);
    assert_eq!(feeding.window.past_bytes(), 0);
    spool.stop();
}

#[test]
fn a_transport_stream_is_made_of_what_is_asked_for_and_once_for_all_who_ask() {
    let messages = heard(vec![(0, long)]);
    let mut feeding = feeding(&messages, &[], &[0]);
    feeding.end();
    feeding.settle(Instant::now());
    let stream = feeding.stream().clone();
    let muxed = || stream.transported.muxed.load(Ordering::Relaxed);
    let snapshot = stream.snapshot();
    let list = snapshot.transport.as_ref().expect("it can be played");
    assert!(list.playlist.plain().ends_with(b"#EXT-X-ENDLIST\n"));
    assert_eq!(muxed(), 0);
    let budget: Arc<Budget> = Arc::default();
    let made = |msn: u64| {
        let made = stream.transported.segment(&snapshot, msn, &budget);
        made.expect("a segment")
            .expect("it is in memory")
            .expect("it has a place")
    };
    let begin = std::sync::Barrier::new(8);
    let all: Vec<Bytes> = std::thread::scope(|scope| {
        let ask = || {
            begin.wait();
            made(25)
        };
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        let asked = asking.into_iter();
        asked.map(|asked| asked.join().expect("no panic")).collect()
    });
    assert!(!all[0].is_empty());
    assert!(all.iter().all(|it| it.as_ptr() == all[0].as_ptr()));
    assert_eq!(muxed(), 1);
    made(26);
    made(25);
    made(26);
    assert_eq!(muxed(), 2);
}

#[test]
fn what_is_said_is_on_the_list_and_in_the_media() {
    fn said(publisher: &mut Publisher) {
        let mut encoder = Encoder::new(Encoding::Amf0);
        encoder.value(&Value::from("onCuePoint"));
        encoder.value(&Value::from(Object::new().with("name", "goal")));
        let message = encoder.finish();
        pictures(publisher, 0, &[0]);
        publisher
            .write_message(MediaKind::Data, 2000, message)
            .expect("it is taken");
        pictures(publisher, 2000, &[0]);
        pictures(publisher, 4000, &[0]);
    }
    let messages = heard(vec![(0, said)]);
    let mut feeding = feeding(&messages, &[], &[0]);
    feeding.end();
    feeding.settle(Instant::now());
    let snapshot = feeding.stream().snapshot();
    let playlists = snapshot.tracks[0].playlists.as_ref();
    let list = playlists.expect("a playlist").full.plain().to_vec();
    let list = String::from_utf8(list).expect("text");
    let ranges: Vec<&str> = list
        .lines()
        .filter(|line| line.contains("DATERANGE"))
        .collect();
    assert_eq!(ranges.len(), 1, "{list}");
    assert!(
        ranges[0].contains(",CLASS=\"urn:openrtmp:data:onCuePoint\","),
        "{list}"
    );
    assert!(
        ranges[0].ends_with(",X-DATA=\"%7B%22name%22:%22goal%22%7D\""),
        "{list}"
    );
    let rendition = feeding
        .window
        .rendition(TrackName::Video(0))
        .expect("pictures");
    let parts = rendition.segments.iter().flat_map(|segment| &segment.parts);
    let with = parts.filter(|part| part.bytes.get(4..8) == Some(b"emsg"));
    assert_eq!(with.count(), 1);
}
