//! What master playlists, and manifests with them, say of captions.

use super::*;
use crate::captions::tests::{frame, message, sei};
use crate::dash;
use crate::mp4::Frame;
use crate::packager::timelines::{Input, SMALL};

/// Two sizes of pictures, and sound where that is asked for; from a frame on one size has an
/// SEI message with these pairs of bytes. What is said of it before, and at last.
fn told(has_sound: bool, pairs: &[[u8; 3]]) -> [[String; 3]; 2] {
    let mut inputs = vec![timelines::video_config(0), timelines::config_of(SMALL, 1)];
    if has_sound {
        inputs.push(timelines::audio_config(0));
    }
    for number in 0..300 {
        let (time, is_key) = (number * 40, number % 25 == 0);
        for track in [VIDEO, SMALL] {
            let Input::Push(plain) = timelines::frame(track, time, 0, is_key) else {
                panic!("a frame");
            };
            let unit = sei(&[6], &[&message(pairs)]);
            let slice: &[u8] = &[if is_key { 0x65 } else { 0x41 }, 0x88];
            let data = match (track, number >= 200) {
                (SMALL, true) => frame(&[&unit, slice]),
                _ => frame(&[slice]),
            };
            inputs.push(Input::Push(Frame { data, ..plain }));
        }
        if has_sound {
            inputs.push(timelines::frame(timelines::AUDIO, time, 0, true));
        }
    }
    let mut window = Window::new(Settings::default());
    let clock = dash::Clock {
        published: 0,
        url: "/time",
    };
    let look = |window: &Window| {
        let tracks = transport_tracks(window);
        Some([
            master_playlist(window, &names())?,
            transport_master(window, &tracks, &names())?,
            dash::manifest(window, &names(), &clock)?,
        ])
    };
    let (mut first, mut checker) = (None, dash::check::Checker::default());
    for event in timelines::events(Settings::default(), &inputs) {
        window.apply(event);
        first = first.or_else(|| look(&window));
        if let Some([.., manifest]) = look(&window) {
            assert_eq!(checker.read(&manifest), []);
        }
    }
    [first.unwrap(), look(&window).unwrap()]
}

fn lines<'a>(text: &'a str, with: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.contains(with)).collect()
}

#[test]
fn captions_are_told_of_once_they_were_seen_and_denied_before() {
    let media = |stream: &str| {
        format!(
            "#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"cc\",NAME=\"{stream}\",\
             LANGUAGE=\"und\",DEFAULT=NO,AUTOSELECT=YES,INSTREAM-ID=\"{stream}\""
        )
    };
    let first: &[[u8; 3]] = &[[0xFC, 0x94, 0x20]];
    let both: &[[u8; 3]] = &[[0xFC, 0x94, 0x20], [0xFD, 0x15, 0x2C], [0xFF, 2, 0x21]];
    let service: &[[u8; 3]] = &[[0xFF, 2, 0x21]];
    for (pairs, streams, accessibility) in [
        (first, &["CC1"][..], "cea-608:2015\" value=\"CC1=und\""),
        (
            both,
            &["CC1", "CC3"],
            "cea-608:2015\" value=\"CC1=und;CC3=und\"",
        ),
        (
            service,
            &["SERVICE1"],
            "cea-708:2015\" value=\"1=lang:und\"",
        ),
    ] {
        for has_sound in [true, false] {
            let [before, after] = told(has_sound, pairs);
            for (text, variants) in [(&before[0], 2), (&before[1], 1)] {
                assert_eq!(lines(text, "TYPE=CLOSED-CAPTIONS"), [""; 0]);
                let all = lines(text, "#EXT-X-STREAM-INF");
                assert_eq!(all.len(), variants);
                assert!(
                    all.iter().all(|it| it.ends_with(",CLOSED-CAPTIONS=NONE")),
                    "{text}"
                );
            }
            assert!(!before[2].contains("urn:scte"), "{}", before[2]);
            // In all variants: pictures of one size have what those of the other have.
            for (text, variants) in [(&after[0], 2), (&after[1], 1)] {
                // The transport stream is of the size that has none.
                let (is_there, group) = match variants {
                    2 => (true, ",CLOSED-CAPTIONS=\"cc\""),
                    _ => (false, ",CLOSED-CAPTIONS=NONE"),
                };
                let streams = streams.iter().filter(|_| is_there);
                let expected: Vec<String> = streams.map(|it| media(it)).collect();
                assert_eq!(lines(text, "TYPE=CLOSED-CAPTIONS"), expected);
                let all = lines(text, "#EXT-X-STREAM-INF");
                assert!(all.iter().all(|it| it.ends_with(group)), "{text}");
            }
            let told = format!("<Accessibility schemeIdUri=\"urn:scte:dash:cc:{accessibility}/>");
            assert_eq!(lines(&after[2], &told).len(), 1, "{}", after[2]);
        }
    }
}

#[test]
fn sound_alone_has_no_captions() {
    let mut inputs = vec![timelines::audio_config(0)];
    inputs.extend((0..300).map(|number| timelines::frame(timelines::AUDIO, number * 40, 0, true)));
    let mut window = Window::new(Settings::default());
    for event in timelines::events(Settings::default(), &inputs) {
        window.apply(event);
    }
    let text = master_playlist(&window, &names()).unwrap();
    assert_eq!(lines(&text, ",CLOSED-CAPTIONS=NONE").len(), 1, "{text}");
}
