//! Playlists of random streams keep the rules, and deltas add up to them.

mod cues;
mod masters;
mod sounds;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::check::{Broken, Checker, aligned};
use super::read::Listed;
use super::session::Master;
use super::*;
use crate::Label;
use crate::packager::timelines::{self, Timeline, VIDEO};
use crate::packager::{Event, Settings, Window};

/// What tracks may be apart, in seconds: a frame, and what it is stretched by.
const APART: f64 = 0.2;

fn names() -> Names {
    Names {
        epoch: "e".to_owned(),
    }
}

/// What is known of a track.
#[derive(Default)]
struct Followed {
    checker: Checker,
    /// They go along with the stream.
    full: PlaylistWriter,
    delta: PlaylistWriter,
    /// Playlists that a player may have read before, with the length of the stream up to
    /// there: those of the last half of the skip boundary. Who has an older one is to read
    /// the whole (6.3.7 of the draft).
    older: Vec<(Listed, Duration)>,
    length: Duration,
}

/// Follows the playlists of a stream.
fn follow(timeline: &Timeline) -> Result<(), TestCaseError> {
    let settings = timeline.settings();
    let mut window = Window::new(settings.clone());
    let mut followed: BTreeMap<TrackName, Followed> = BTreeMap::new();
    let mut parts = 0u32;
    let mut result = Ok(());
    timelines::run(settings, &timeline.inputs(), |_, events| {
        let is_news = |event: &Event| matches!(event, Event::Closed { .. } | Event::Init { .. });
        let mut is_due = events.iter().any(is_news);
        for event in events {
            // Now and then, between segments.
            if let Event::Part { track, part } = &event {
                parts += 1;
                is_due |= parts.is_multiple_of(3);
                followed.entry(*track).or_default().length += part.duration;
            }
            is_due |= event == Event::End;
            window.apply(event);
        }
        if is_due && result.is_ok() {
            result = look(&window, &mut followed);
        }
    });
    result
}

fn look(
    window: &Window,
    followed: &mut BTreeMap<TrackName, Followed>,
) -> Result<(), TestCaseError> {
    for rendition in window.renditions() {
        let track = rendition.track;
        let Some(full) = media_playlist(window, track, &names(), Form::Full) else {
            continue;
        };
        let delta = media_playlist(window, track, &names(), Form::Delta).unwrap();
        let Followed {
            checker,
            full: full_writer,
            delta: delta_writer,
            older,
            length,
        } = followed.entry(track).or_default();
        let boundary = Duration::from_secs(6) * window.targets().unwrap().segment;
        for (writer, form, text) in [
            (full_writer, Form::Full, &full),
            (delta_writer, Form::Delta, &delta),
        ] {
            let pieces = writer.write(window, track, &names(), form, Bytes::from);
            let (settled, rest) = pieces.unwrap();
            let joined = [&settled[..], rest.as_bytes()].concat();
            prop_assert!(joined == text.as_bytes(), "{settled:?} {rest}\n{text}");
        }
        let broken = checker.full(&full);
        prop_assert!(broken.is_empty(), "{broken:?}\n{full}");
        let listed = checker.last().unwrap().clone();
        let delta = Listed::parse(&delta).unwrap();
        older.retain(|(_, then)| *length - *then <= boundary / 2);
        for (old, _) in &*older {
            let merged = delta.merged(old);
            // What an older list had of parts is of no use any more.
            let merged = merged.map(|mut merged| {
                for segment in &mut merged.segments[..delta.skipped as usize] {
                    segment.parts.clear();
                }
                merged
            });
            prop_assert_eq!(merged.as_ref(), Some(&listed), "{}", full);
        }
        older.push((listed, *length));
    }
    let lists: Vec<&Listed> = followed
        .values()
        .filter_map(|followed| followed.checker.last())
        .collect();
    covered(window)?;
    for (place, one) in lists.iter().enumerate() {
        for other in &lists[place + 1..] {
            let broken = aligned(one, other, APART);
            prop_assert!(broken.is_empty(), "{broken:?}\n{one:#?}\n{other:#?}");
        }
    }
    Ok(())
}

/// The master playlist tells of the codecs of all that its variants list, and of no others.
fn covered(window: &Window) -> Result<(), TestCaseError> {
    let Some(text) = master_playlist(window, &names()) else {
        return Ok(());
    };
    let master = Master::parse(&text).unwrap();
    let needed = |uri: &str| -> BTreeSet<String> {
        let mut renditions = window.renditions().iter();
        let rendition = renditions.find(|is| names().playlist(is.track) == uri);
        let rendition = rendition.expect("what is named is there");
        let inits = rendition.segments.iter().map(|is| is.beginning.init);
        let used: BTreeSet<u32> = inits.collect();
        let inits = rendition.inits.iter();
        let used = inits.filter(|(number, ..)| used.contains(number));
        used.map(|(_, description, _)| description.codec_string.clone())
            .collect()
    };
    for variant in master.variants.iter().filter(|is| is.kind.is_empty()) {
        let group = variant.attributes.get("AUDIO");
        let others = master.variants.iter().filter(|is| is.kind == "AUDIO");
        let others = others.filter(|is| group.is_some() && is.attributes.get("GROUP-ID") == group);
        let mut all = needed(&variant.uri);
        all.extend(others.flat_map(|other| needed(&other.uri)));
        let told: BTreeSet<String> = master.codecs(variant).into_iter().collect();
        prop_assert!(all.is_subset(&told), "{all:?}\n{text}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(
        query in "(_HLS_(msn|part|skip)=[0-9YESv2+%.-]{0,22}&?|.{0,9}){0,4}",
        list in "#EXTM3U\n((#EXT-X-(PART|SKIP|MAP|SERVER-CONTROL|PART-INF|PRELOAD-HINT):|#EXTINF:|[A-Z]{1,6}=|\"|,|[0-9.]{1,4}|\n){0,30})",
    ) {
        if let Ok(directives) = Directives::parse(&query) {
            prop_assert!(directives.msn.is_some() || directives.part.is_none());
        }
        if let Ok(listed) = Listed::parse(&list) {
            let _ = listed.merged(&listed);
            Checker::new(None).delta(&list);
            Checker::new(None).full(&list);
        }
    }

    /// `PROPTEST_CASES` says how many; the default is 256.
    #[test]
    fn rules_hold_for_any_stream_and_deltas_add_up(timeline in timelines::timeline()) {
        follow(&timeline)?;
    }

    #[test]
    fn rules_hold_for_sizes_that_go_on(timeline in timelines::steady_sizes()) {
        follow(&timeline)?;
    }

    #[test]
    fn rules_hold_for_sizes_whatever_happens(timeline in timelines::sizes()) {
        follow(&timeline)?;
    }
}

/// Thirteen seconds of pictures and sound in segments of 2 s; from the millisecond on that is
/// given here the pictures have another header.
fn example_with(changed: Option<i64>, has_ended: bool) -> Window {
    use crate::packager::{Packager, Settings};
    use timelines::{AUDIO, Input, VIDEO, audio_config, frame, video_config};
    let mut inputs: Vec<(i64, Input)> = vec![(0, video_config(0)), (0, audio_config(0))];
    inputs.extend(changed.map(|time| (time, video_config(1))));
    inputs.extend((0..330).map(|n| (n * 40, frame(VIDEO, n * 40, 0, n % 50 == 0))));
    inputs.extend((0..630).map(|n| (n * 64 / 3, frame(AUDIO, n * 64 / 3, 0, true))));
    inputs.sort_by_key(|(time, _)| *time);
    let mut packager = Packager::new(Settings::default());
    let mut window = Window::new(Settings::default());
    let mut events = Vec::new();
    for (time, input) in inputs {
        match input {
            Input::Configure(track, codec, config) => packager.configure(track, codec, &config),
            Input::Push(frame) => packager.push(frame, 1_795_970_700_000 + time, &mut events),
            _ => unreachable!(),
        }
        // In between, where the new header was just told.
        if changed.is_some_and(|changed| time > changed + 100) {
            break;
        }
    }
    if has_ended {
        packager.end(&mut events);
    }
    events.into_iter().for_each(|event| window.apply(event));
    window
}

fn example(has_ended: bool) -> Window {
    example_with(None, has_ended)
}

#[test]
fn a_header_that_comes_next_is_announced() {
    let window = example_with(Some(10_000), false);
    let list = |track| media_playlist(&window, track, &names(), Form::Full).unwrap();
    let video = list(TrackName::Video(0));
    assert_eq!(Checker::new(Some(1)).full(&video), []);
    let (before, hints) = video.split_once("#EXT-X-PRELOAD-HINT").unwrap();
    assert!(before.ends_with("v0/5.m4s\n"), "{before}");
    assert!(hints.starts_with(
        ":TYPE=MAP,URI=\"v0/init1.mp4\"\n\
         #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"v0/6.0.m4s\"\n"
    ));
    assert!(!list(TrackName::Audio(0)).contains("TYPE=MAP"));
    // The master names both as long as both are listed.
    let master = master_playlist(&window, &names()).unwrap();
    assert!(
        master.contains("CODECS=\"avc1.64000d,avc1.64000e"),
        "{master}"
    );
}

#[test]
fn a_live_playlist_says_what_it_is_to_say() {
    let window = example(false);
    let text = media_playlist(&window, TrackName::Video(0), &names(), Form::Full).unwrap();
    let (head, rest) = text.split_once("#EXT-X-PROGRAM").unwrap();
    assert_eq!(
        head,
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.01,HOLD-BACK=6.0,\
         CAN-SKIP-UNTIL=12.0\n\
         #EXT-X-PART-INF:PART-TARGET=0.334\n#EXT-X-MEDIA-SEQUENCE:1\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-MAP:URI=\"v0/init0.mp4\"\n"
    );
    assert!(rest.starts_with("-DATE-TIME:2026-11-29T16:45:00.000Z\n#EXTINF:2.0,\nv0/1.m4s\n"));
    let (_, tail) = rest.split_once("v0/6.m4s\n").unwrap();
    assert_eq!(
        tail,
        "#EXT-X-PROGRAM-DATE-TIME:2026-11-29T16:45:12.000Z\n\
         #EXT-X-PART:DURATION=0.32,URI=\"v0/7.0.m4s\",INDEPENDENT=YES\n\
         #EXT-X-PART:DURATION=0.32,URI=\"v0/7.1.m4s\"\n\
         #EXT-X-PART:DURATION=0.32,URI=\"v0/7.2.m4s\"\n\
         #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"v0/7.3.m4s\"\n\
         #EXT-X-RENDITION-REPORT:URI=\"a0.m3u8\",LAST-MSN=7,LAST-PART=2\n"
    );
    // 0.96 s of the seventh, and five whole ones, are not 12 s.
    let delta = media_playlist(&window, TrackName::Video(0), &names(), Form::Delta).unwrap();
    assert_eq!(delta, text);
    assert_eq!(
        media_playlist(&window, TrackName::Video(1), &names(), Form::Full),
        None
    );
}

#[test]
fn what_is_settled_is_written_once() {
    let mut window = example(false);
    let (video, audio) = (TrackName::Video(0), TrackName::Audio(0));
    let mut writer = PlaylistWriter::default();
    let mut write = |window: &Window, keep: fn(String) -> Bytes| {
        let pieces = writer.write(window, video, &names(), Form::Full, keep);
        pieces.unwrap()
    };
    let (settled, rest) = write(&window, Bytes::from);
    // The last whole segments have their parts listed.
    assert!(settled.ends_with(b"v0/3.m4s\n"), "{settled:?}");
    for track in [audio, video] {
        let newest = window.rendition(track).unwrap().segments.back();
        let part = newest.unwrap().parts.last().unwrap().clone();
        window.apply(Event::Part { track, part });
        let (same, other) = write(&window, |_| unreachable!("nothing more is settled"));
        assert_eq!(same.as_ptr(), settled.as_ptr());
        assert_ne!(other, rest, "{track}");
    }
}

#[test]
fn an_ended_playlist_says_so_and_nothing_of_what_comes() {
    let window = example(true);
    for track in [TrackName::Video(0), TrackName::Audio(0)] {
        let text = media_playlist(&window, track, &names(), Form::Full).unwrap();
        assert!(text.ends_with(".m4s\n#EXT-X-ENDLIST\n"), "{text}");
        assert!(
            !text.contains("HINT") && !text.contains("EXT-X-PART:"),
            "{text}"
        );
    }
}

#[test]
fn a_master_playlist_names_every_rendition_once_all_can_be_played() {
    assert_eq!(
        master_playlist(&Window::new(Default::default()), &names()),
        None
    );
    let window = example(false);
    let text = master_playlist(&window, &names()).unwrap();
    let (before, rest) = text.split_once("BANDWIDTH=").unwrap();
    assert_eq!(
        before,
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"a0\",\
         LANGUAGE=\"und\",DEFAULT=YES,AUTOSELECT=YES,URI=\"e/a0.m3u8\",CHANNELS=\"1\"\n\
         #EXT-X-STREAM-INF:"
    );
    let (rates, rest) = rest.split_once(",CODECS").unwrap();
    let (peak, average) = rates.split_once(",AVERAGE-BANDWIDTH=").unwrap();
    let rate = |text: &str| text.parse::<u64>().unwrap();
    let measured = |track| window.rendition(track).unwrap().rates();
    let (video, audio) = (measured(TrackName::Video(0)), measured(TrackName::Audio(0)));
    // Of whole segments of 2 s, and of both tracks.
    let first = window
        .rendition(TrackName::Video(0))
        .unwrap()
        .segments
        .front()
        .unwrap();
    assert!(video.peak >= first.bytes() * 4 && video.peak < first.bytes() * 5);
    assert_eq!(rate(peak), (video.peak + audio.peak) * 110 / 100);
    assert_eq!(rate(average), (video.average + audio.average) * 110 / 100);
    assert!(rate(average) <= rate(peak));
    assert_eq!(
        rest,
        "=\"avc1.64000d,mp4a.40.2\",RESOLUTION=320x180,FRAME-RATE=25.000,AUDIO=\"audio\",CLOSED-CAPTIONS=NONE\ne/v0.m3u8\n"
    );
}

#[test]
fn names_of_tracks_of_sound_differ_whatever_their_publisher_calls_them() {
    use crate::packager::timelines::{self, Input};
    let mut inputs = vec![timelines::video_config(0), timelines::audio_config(0)];
    let Input::Configure(_, codec, config) = inputs[1].clone() else {
        panic!("a header");
    };
    let tracks = [0, 1, 2].map(TrackName::Audio);
    for track in tracks {
        inputs.push(Input::Configure(track, codec, config.clone()));
    }
    for number in 0..150 {
        let time = number * 40;
        inputs.push(timelines::frame(VIDEO, time, 0, number % 25 == 0));
        inputs.extend(tracks.map(|track| timelines::frame(track, time, 0, true)));
    }
    let mut window = Window::new(Settings::default());
    let named = |name: &str| Label {
        name: Some(name.to_owned()),
        ..Label::default()
    };
    window.label(vec![
        (tracks[0], named("a1")),
        (tracks[2], named("English")),
    ]);
    for event in timelines::events(Settings::default(), &inputs) {
        window.apply(event);
    }
    let text = master_playlist(&window, &names()).unwrap();
    let told = text.split("NAME=\"").skip(1);
    let told: Vec<&str> = told.filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(told, ["a0", "a1", "English"]);
}

/// Each rule is one that a list can break.
#[test]
fn what_is_wrong_is_found() {
    let window = example(false);
    let good = media_playlist(&window, TrackName::Video(0), &names(), Form::Full).unwrap();
    assert_eq!(Checker::new(Some(1)).full(&good), []);
    for (from, to, found) in [
        ("#EXTM3U", "#EXTM3", "line 1"),
        ("TARGETDURATION:2", "TARGETDURATION:x", "line 3"),
        (
            "#EXT-X-TARGETDURATION:2\n",
            "",
            "EXT-X-TARGETDURATION is missing",
        ),
        (
            "PART-HOLD-BACK=1.01",
            "PART-HOLD-BACK=0.9",
            "PART-HOLD-BACK of 0.9",
        ),
        (",HOLD-BACK=6.0", ",HOLD-BACK=5.0", "HOLD-BACK of 5 s"),
        (
            "CAN-SKIP-UNTIL=12.0",
            "CAN-SKIP-UNTIL=6.0",
            "CAN-SKIP-UNTIL of 6",
        ),
        ("CAN-BLOCK-RELOAD=YES,", "", "CAN-BLOCK-RELOAD"),
        (
            "#EXT-X-PART-INF:PART-TARGET=0.334\n",
            "",
            "EXT-X-PART-INF is missing",
        ),
        ("VERSION:9", "VERSION:5", "version 5"),
        (
            "DURATION=0.32,URI=\"v0/7.1",
            "DURATION=0.335,URI=\"v0/7.1",
            "part 1 of segment 7",
        ),
        (
            "DURATION=0.32,URI=\"v0/7.1",
            "DURATION=0.2,URI=\"v0/7.1",
            "part 1 of segment 7",
        ),
        (
            "EXTINF:2.0,\nv0/1.",
            "EXTINF:2.6,\nv0/1.",
            "segment 1 has 2.6",
        ),
        ("EXTINF:2.0,\nv0/6.", "EXTINF:1.9,\nv0/6.", "do not add up"),
        (
            "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"v0/7.3.m4s\"\n",
            "",
            "0 preload hints",
        ),
        (
            "#EXT-X-PRELOAD-HINT:TYPE=PART,",
            "#EXT-X-PRELOAD-HINT:TYPE=MAP,URI=\"a\"\n#EXT-X-PRELOAD-HINT:TYPE=MAP,URI=\"b\"\n\
             #EXT-X-PRELOAD-HINT:TYPE=PART,",
            "2 preload hints",
        ),
        (
            "REPORT:URI=\"a0.m3u8\"",
            "REPORT:URI=\"http://host/a0.m3u8\"",
            "which is not relative",
        ),
        ("LAST-MSN=7,", "", "incomplete"),
        (
            "#EXT-X-RENDITION-REPORT:URI=\"a0.m3u8\",LAST-MSN=7,LAST-PART=2\n",
            "#EXT-X-RENDITION-REPORT:URI=\"a0.m3u8\",LAST-MSN=7,LAST-PART=2\n\
             #EXT-X-RENDITION-REPORT:URI=\"a0.m3u8\",LAST-MSN=7,LAST-PART=1\n",
            "more than one rendition report of a0.m3u8",
        ),
        (
            "#EXT-X-RENDITION-REPORT:URI=\"a0.m3u8\",LAST-MSN=7,LAST-PART=2\n",
            "",
            "0 rendition",
        ),
        (
            "#EXT-X-DISCONTINUITY-SEQUENCE:0\n",
            "",
            "DISCONTINUITY-SEQUENCE is missing",
        ),
        (
            "#EXT-X-MAP:URI=\"v0/init0.mp4\"\n",
            "",
            "EXT-X-MAP is missing",
        ),
        (
            "#EXT-X-PROGRAM-DATE-TIME:2026-11-29T16:45:00.000Z\n",
            "",
            "DATE-TIME is missing",
        ),
        (
            "#EXTINF:2.0,\nv0/1.",
            "#EXT-X-PART:DURATION=2.0,URI=\"x\",INDEPENDENT=YES\n#EXTINF:2.0,\nv0/1.",
            "parts of segment 1 are listed",
        ),
    ] {
        assert!(good.contains(from), "{from}");
        let broken = Checker::new(Some(1)).full(&good.replacen(from, to, 1));
        assert!(
            broken.iter().any(|is| is.to_string().contains(found)),
            "{found}: {broken:?}"
        );
    }
}

#[test]
fn what_became_wrong_is_found() {
    let good = media_playlist(&example(false), TrackName::Video(0), &names(), Form::Full).unwrap();
    let later = good.replacen(
        "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"v0/7.3",
        "#EXT-X-PART:DURATION=0.32,URI=\"v0/7.3.m4s\"\n\
         #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"v0/7.4",
        1,
    );
    let without_first = good.replacen("SEQUENCE:1", "SEQUENCE:2", 1).replacen(
        "#EXT-X-PROGRAM-DATE-TIME:2026-11-29T16:45:00.000Z\n#EXTINF:2.0,\nv0/1.m4s\n",
        "",
        1,
    );
    let read = |first: &str, second: &str| {
        let mut checker = Checker::new(Some(1));
        assert_eq!(checker.full(first), []);
        checker
            .full(second)
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(read(&good, &later), [""; 0]);
    assert_eq!(read(&good, &without_first), ["5 segments are listed"]);
    let long = good.replace(",CAN-SKIP-UNTIL=12.0", "").replacen(
        "#EXT-X-PROGRAM",
        &("#EXT-X-PROGRAM-DATE-TIME:2026-11-29T16:40:00.000Z\n#EXTINF:2.0,\nv0/0.m4s\n".repeat(60)
            + "#EXT-X-PROGRAM"),
        1,
    );
    assert_eq!(
        Checker::new(Some(1)).full(&long),
        [Broken::NoSkipping(133.0)]
    );
    let ended = format!("{long}#EXT-X-ENDLIST\n");
    let broken = Checker::new(Some(1)).full(&ended);
    assert!(!broken.contains(&Broken::NoSkipping(133.0)), "{broken:?}");
    for (first, from, to, found) in [
        (
            &good,
            "TARGETDURATION:2",
            "TARGETDURATION:3",
            "EXT-X-TARGETDURATION changed",
        ),
        (
            &good,
            "PART-TARGET=0.334",
            "PART-TARGET=0.336",
            "PART-TARGET changed",
        ),
        (
            &good,
            "BACK=1.01",
            "BACK=1.02",
            "EXT-X-SERVER-CONTROL changed",
        ),
        (&without_first, "", "", "went back to 1"),
        (
            &good,
            "v0/3.m4s",
            "v0/other.m4s",
            "segment 3 is not what it was",
        ),
        (
            &good,
            "#EXTINF:2.0,\nv0/3.m4s",
            "#EXTINF:1.99,\nv0/3.m4s",
            "segment 3 is not",
        ),
        (&good, "v0/7.1.m4s", "v0/x.m4s", "segment 7 is not"),
        (&good, "v0/7.3.m4s", "v0/x.m4s", "v0/7.3.m4s was announced"),
        (
            &good,
            "DISCONTINUITY-SEQUENCE:0",
            "DISCONTINUITY-SEQUENCE:1",
            "is 1, not 0",
        ),
    ] {
        let broken = read(first, &later.replacen(from, to, 1));
        assert!(
            broken.iter().any(|is| is.contains(found)),
            "{found}: {broken:?}"
        );
    }
}
