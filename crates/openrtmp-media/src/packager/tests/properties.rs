//! Whatever comes, and in whatever order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::mp4::tests::boxes;

/// Frames with any times at all.
fn anything() -> impl Strategy<Value = Vec<Input>> {
    let time = prop_oneof![
        4 => 0i64..10_000_000,
        1 => any::<i64>(),
        1 => Just(i64::MIN),
        1 => Just(i64::MAX),
    ];
    let track = prop_oneof![
        4 => Just(VIDEO),
        4 => Just(AUDIO),
        1 => any::<u8>().prop_map(TrackName::Video),
        1 => any::<u8>().prop_map(TrackName::Audio),
    ];
    let push = (track, time.clone(), time, any::<bool>(), 0usize..40).prop_map(
        |(track, dts, pts, is_key, bytes)| {
            let Input::Push(like) = frame(track, 0, 0, is_key) else {
                unreachable!()
            };
            Input::Push(Frame {
                dts,
                pts,
                data: vec![1; bytes],
                ..like
            })
        },
    );
    let input = prop_oneof![
        20 => push,
        1 => (0u8..4).prop_map(video_config),
        1 => (0u8..4).prop_map(audio_config),
        1 => Just(Input::Stall),
        1 => Just(Input::Restart),
    ];
    prop::collection::vec(input, 0..200).prop_map(configured)
}

/// Parts that are longer than segments are asked to be: a hole has no segment without any.
#[test]
fn each_segment_has_a_part_however_long_parts_are() {
    let settings = Settings {
        part_target: ms(1500),
        longest_segment: Duration::from_secs(3),
        segment: Duration::from_secs(1),
        window: Duration::from_secs(3600),
        ..Settings::default()
    };
    // No pictures from the third second to the eighth.
    let is_there = |input: &Input| match input {
        Input::Push(frame) => frame.track == AUDIO || !(3_000_000..8_000_000).contains(&frame.dts),
        _ => true,
    };
    let inputs: Vec<Input> = stream(0, 14_000, 1000)
        .into_iter()
        .filter(is_there)
        .collect();
    let mut window = Window::new(settings.clone());
    for event in events(settings, &configured(inputs)) {
        window.apply(event);
    }
    assert_eq!(window.targets().unwrap().segment, 2);
    let pictures = window.rendition(VIDEO).unwrap();
    assert!(pictures.segments.iter().any(Segment::is_gap));
    for rendition in window.renditions() {
        for segment in &rendition.segments {
            assert!(!segment.parts.is_empty(), "{segment:?}");
        }
    }
}

/// How long frames of any track came while nothing came of a track.
#[derive(Default)]
struct Edges {
    /// By the track that frames came of.
    heard: BTreeMap<TrackName, i64>,
    /// In microseconds, by that track and the one that nothing came of.
    still: BTreeMap<(TrackName, TrackName), i64>,
    opened: BTreeSet<TrackName>,
    is_listed: bool,
}

impl Edges {
    /// While frames of any track come, all tracks go on: nobody who plays one is to wait.
    fn follow(&mut self, input: Option<&Input>, most: Duration, events: &[Event]) {
        if let Some(Input::Push(frame)) = input {
            let moved = self.heard.insert(frame.track, frame.dts);
            let moved = moved.map_or(0, |before| (frame.dts - before).clamp(0, 1_000_000));
            for track in &self.opened {
                *self.still.entry((frame.track, *track)).or_default() += moved;
            }
        }
        for event in events {
            match event {
                Event::Opened { track, .. } => {
                    self.opened.insert(*track);
                }
                Event::Part { track, .. } => self.still.retain(|(_, of), _| of != track),
                Event::Targets(_) => self.is_listed = true,
                _ => {}
            }
        }
        let longest = self.still.values().max().copied().unwrap_or(0);
        // What is late behind a gap is left out for as long first; then others may be late,
        // and a part is to be filled.
        let most = 2 * most.as_micros() as i64 + 1_500_000;
        assert!(!self.is_listed || longest <= most, "{:?}", self.still);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_times_at_all_make_a_few_parts_within_the_target(inputs in anything()) {
        let mut parts = 0;
        for event in events(settings(), &inputs) {
            if let Event::Part { part, .. } = event {
                prop_assert!(part.duration <= Duration::from_secs(2), "{part:?}");
                parts += 1;
            }
        }
        // A frame moves time by a second at most, in a few tracks of parts of a third.
        prop_assert!(parts <= 20 * inputs.len(), "{parts}");
    }

    /// The same bytes from the same frames, whole boxes, times that do not go back, nothing
    /// twice; and what is held is bounded.
    #[test]
    fn any_stream_makes_the_same_whole_parts(timeline in timeline()) {
        let inputs = timeline.inputs();
        let (mut made, mut edges, mut number) = (Vec::new(), Edges::default(), 0);
        run(timeline.settings(), &inputs, |packager, events| {
            assert!(packager.held_bytes() < 100_000);
            edges.follow(inputs.get(number), packager.longest_wait(), &events);
            number += 1;
            made.extend(events);
        });
        prop_assert_eq!(&made, &events(timeline.settings(), &inputs));
        let mut ends = BTreeMap::new();
        for event in &made {
            let Event::Part { track, part } = event else { continue };
            if part.is_gap {
                prop_assert!(part.bytes.is_empty() && part.frames == 0);
                continue;
            }
            let kinds: Vec<&[u8]> = boxes(&part.bytes).iter().map(|(kind, _)| *kind).collect();
            let is_said = |kind: &&&[u8]| **kind == b"emsg";
            let said = kinds.iter().take_while(is_said).count();
            prop_assert_eq!(&kinds[said..], [&b"moof"[..], b"mdat"]);
            let (start, count) = run_of(part);
            prop_assert_eq!(count, part.frames);
            let scale = if *track == VIDEO { 90_000.0 } else { 44_100.0 };
            let before = ends.insert(*track, start);
            // Its ticks may become others.
            prop_assert!(before.is_none_or(|before| start as f64 > before as f64 * scale / 96_000.0));
        }
    }

    #[test]
    fn any_sizes_make_the_same_parts(timeline in sizes()) {
        let inputs = timeline.inputs();
        let made = events(timeline.settings(), &inputs);
        prop_assert_eq!(&made, &events(timeline.settings(), &inputs));
    }
}
