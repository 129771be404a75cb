//! What is said at a time: in parts, on lists and in manifests.

use std::sync::Arc;

use super::*;
use crate::cues::{Cue, CueKind};
use crate::dash;
use crate::mp4::read::boxes;
use crate::packager::timelines::{AUDIO, Input, SMALL};
use crate::packager::{MOST_OF_CUES, Packager, TimedCue};

/// The wall time of the first frame.
const WALL: i64 = 1_000_000;
/// Where the timeline begins.
const BASE: i64 = 10_000_000;

fn text(json: &str) -> Cue {
    Cue {
        kind: CueKind::Text,
        json: json.to_owned(),
    }
}

/// A stream of these tracks. Behind the frames of a millisecond something is said, with a time of
/// its own.
fn package(tracks: &[TrackName], seconds: i64, said: &[(i64, i64, &str)]) -> Vec<Event> {
    let mut packager = Packager::new(timelines::settings());
    let mut events = Vec::new();
    let configs = [
        timelines::video_config(0),
        timelines::config_of(SMALL, 1),
        timelines::audio_config(0),
    ];
    for config in configs {
        if let Input::Configure(track, codec, config) = config
            && tracks.contains(&track)
        {
            packager.configure(track, codec, &config);
        }
    }
    for time in (0..seconds * 1000).step_by(40) {
        for track in tracks {
            let is_key = time % 1000 == 0 || !track.is_video();
            if let Input::Push(frame) = timelines::frame(*track, time, 0, is_key) {
                packager.push(frame, WALL + time, &mut events);
            }
        }
        for (_, told, json) in said.iter().filter(|(after, ..)| *after == time) {
            packager.tell(text(json), told * 1000);
        }
    }
    events
}

fn said(events: &[Event], of: TrackName) -> Vec<&TimedCue> {
    let all = events.iter().filter_map(|event| match event {
        Event::Cue { track, cue } => Some((*track, cue)),
        _ => None,
    });
    all.filter(|(track, _)| *track == of)
        .map(|(_, cue)| cue)
        .collect()
}

/// What stands in front of each part of a track that has anything there.
fn in_front(events: &[Event], of: TrackName) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for event in events {
        if let Event::Part { track, part } = event
            && *track == of
            && !part.is_gap
        {
            let all: Vec<([u8; 4], &[u8])> = boxes(&part.bytes).collect();
            let (media, front) = all
                .split_at_checked(all.len() - 2)
                .map_or_else(|| panic!("no fragment"), |(front, media)| (media, front));
            assert_eq!([&media[0].0, &media[1].0], [b"moof", b"mdat"]);
            for (name, body) in front {
                assert_eq!(name, b"emsg");
                found.push(body.to_vec());
            }
        }
    }
    found
}

#[test]
fn what_is_said_stands_in_front_of_pictures_and_on_every_list() {
    let tracks = [VIDEO, SMALL, AUDIO];
    let events = package(
        &tracks,
        20,
        &[(5000, 5010, "\"a\""), (12_600, 12_600, "{\"é\":1}")],
    );
    let expected =
        [(1, 5010, "\"a\""), (2, 12_600, "{\"é\":1}")].map(|(number, ms, json)| TimedCue {
            number,
            time: BASE + ms * 1000,
            wall: WALL + ms,
            cue: Arc::new(text(json)),
        });
    for track in tracks {
        assert_eq!(said(&events, track), expected.iter().collect::<Vec<_>>());
        let messages = in_front(&events, track);
        if !track.is_video() {
            assert!(messages.is_empty());
            continue;
        }
        let ticks = |micros: i64| micros as u64 * 9 / 100;
        let message = |cue: &TimedCue| {
            let scale = 90_000u32;
            [
                &[1, 0, 0, 0][..],
                &scale.to_be_bytes(),
                &ticks(cue.time).to_be_bytes(),
                &[0; 4],
                &cue.number.to_be_bytes(),
                b"urn:openrtmp:data\0onTextData\0",
                cue.cue.json.as_bytes(),
            ]
            .concat()
        };
        assert_eq!(messages, expected.each_ref().map(message), "{track}");
    }
    let line = |number: u32, start: &str, json: &str| {
        format!(
            "#EXT-X-DATERANGE:ID=\"e-{number}\",CLASS=\"urn:openrtmp:data:onTextData\",\
             START-DATE=\"{start}\",X-DATA=\"{json}\"\n"
        )
    };
    let first = line(1, "1970-01-01T00:16:45.010Z", "%22a%22");
    let second = line(2, "1970-01-01T00:16:52.600Z", "%7B%22%C3%A9%22:1%7D");
    let mut window = Window::new(timelines::settings());
    let (mut listed, mut skipped) = (0, 0);
    for event in events {
        window.apply(event);
        for track in tracks {
            let list = |form| media_playlist(&window, track, &names(), form);
            let (Some(full), Some(delta)) = (list(Form::Full), list(Form::Delta)) else {
                continue;
            };
            let segments = &window.rendition(track).unwrap().segments;
            for (number, line) in [(1, &first), (2, &second)] {
                // The part that it comes with is the next event.
                let told = segments.iter().filter(|is| !is.parts.is_empty());
                let mut cues = told.flat_map(|is| &is.cues);
                let is_there = cues.any(|is| is.number == number);
                assert_eq!(
                    full.matches(line.as_str()).count(),
                    usize::from(is_there),
                    "{full}"
                );
                assert_eq!(
                    delta.matches(line.as_str()).count(),
                    usize::from(is_there),
                    "{delta}"
                );
                listed += usize::from(is_there);
            }
            skipped += usize::from(delta.contains("#EXT-X-SKIP") && delta.contains(&second));
        }
    }
    assert!(listed > 0 && skipped > 0);
    // One has left with its segment, and the other is older than what is not left out.
    let list = |form| media_playlist(&window, VIDEO, &names(), form).unwrap();
    let (full, delta) = (list(Form::Full), list(Form::Delta));
    assert!(!full.contains(&first) && full.contains(&second), "{full}");
    let (before, after) = delta.split_once(&second).unwrap();
    assert!(
        before.contains("#EXT-X-SKIP") && !before.contains("#EXTINF"),
        "{delta}"
    );
    assert!(after.contains("#EXTINF"), "{delta}");
    let listed = Listed::parse(&delta).unwrap();
    assert!(listed.skipped > 0);
}

#[test]
fn manifests_say_where_events_are() {
    let clock = dash::Clock {
        published: 0,
        url: "/time",
    };
    for (tracks, kind) in [(&[VIDEO, SMALL, AUDIO][..], "video"), (&[AUDIO], "audio")] {
        let events = package(tracks, 12, &[(3000, 3000, "1")]);
        assert_eq!(in_front(&events, tracks[0]).len(), 1);
        let mut window = Window::new(timelines::settings());
        for event in events {
            window.apply(event);
        }
        let manifest = dash::manifest(&window, &names(), &clock).unwrap();
        assert_eq!(dash::check::Checker::default().read(&manifest), []);
        for set in manifest.split("<AdaptationSet ").skip(1) {
            for value in ["onCuePoint", "onTextData"] {
                let told = format!(
                    "<InbandEventStream schemeIdUri=\"urn:openrtmp:data\" value=\"{value}\"/>"
                );
                let is_there = set.contains(&format!("contentType=\"{kind}\""));
                assert_eq!(
                    set.matches(&told).count(),
                    usize::from(is_there),
                    "{manifest}"
                );
            }
        }
    }
}

#[test]
fn what_is_said_too_early_is_kept_and_too_much_is_not() {
    // Before the first part, and from then on more than is taken.
    let mut said: Vec<(i64, i64, &str)> = vec![(0, 0, "0"); 40];
    said.extend(
        (5..100).flat_map(|second| vec![(second * 1000 + 80, second * 1000 + 80, "1"); 40]),
    );
    // At a time that cannot be.
    said.push((2000, 900_000_000, "2"));
    let events = package(&[VIDEO, AUDIO], 100, &said);
    let all = self::said(&events, VIDEO);
    assert_eq!(all, self::said(&events, AUDIO));
    assert!(all.iter().map(|is| is.number).eq(1..=16 + 1 + 95 * 16));
    assert!(all[..16].iter().all(|is| is.time == BASE));
    assert_eq!(all[16].time, BASE + 2_000_000);
}

#[test]
fn lists_have_the_newest_of_what_is_said_and_no_more_than_has_room() {
    // Quotation marks are three bytes on a list: nothing is longer there.
    let worst = "\"".repeat(1024);
    let texts = ["1", worst.as_str(), "\"a\"", &worst[..100]];
    let said: Vec<(i64, i64, &str)> = (0..70_000)
        .step_by(80)
        .map(|time| (time, time, texts[(time / 9040 % 4) as usize]))
        .collect();
    let events = package(&[VIDEO, AUDIO], 70, &said);
    let newest = self::said(&events, VIDEO).last().unwrap().number;
    let most = Settings {
        window: Duration::from_secs(60),
        ..timelines::settings()
    };
    let mut window = Window::new(most);
    let mut names = names();
    names.epoch = "e".repeat(64);
    let mut writers = [Form::Full, Form::Delta].map(|form| (form, PlaylistWriter::default()));
    let (mut last, mut fullest, mut most_lines) = (0, 0, 0);
    for event in events {
        if let Event::Cue { track: VIDEO, cue } = &event {
            last = cue.number;
        }
        // The part that something comes with is the next event.
        let is_part = matches!(event, Event::Part { track: VIDEO, .. });
        window.apply(event);
        for (form, writer) in writers.iter_mut().filter(|_| is_part) {
            let Some(list) = media_playlist(&window, VIDEO, &names, *form) else {
                continue;
            };
            let (settled, rest) = writer
                .write(&window, VIDEO, &names, *form, Bytes::from)
                .unwrap();
            assert_eq!([&settled[..], rest.as_bytes()].concat(), list.as_bytes());
            let lines: Vec<&str> = list
                .lines()
                .filter(|line| line.starts_with("#EXT-X-DATERANGE:"))
                .collect();
            let bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
            assert!(bytes <= MOST_OF_CUES, "{bytes}");
            let numbers = lines.iter().map(|line| {
                let (_, number) = line.split_once(&format!("{}-", names.epoch)).unwrap();
                number.split('"').next().unwrap().parse::<u32>().unwrap()
            });
            let first = last + 1 - u32::try_from(lines.len()).unwrap();
            assert!(numbers.eq(first..=last));
            fullest = fullest.max(bytes);
            most_lines = most_lines.max(lines.len());
        }
    }
    assert_eq!(last, newest);
    assert!(fullest > MOST_OF_CUES * 3 / 4, "{fullest}");
    assert!(most_lines > 100, "{most_lines}");
}
