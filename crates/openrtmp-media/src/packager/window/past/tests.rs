//! Lists that go back further than what is in memory.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::dash::{self, Clock};
use crate::hls::check::{Broken, Checker};
use crate::hls::read::Listed;
use crate::hls::{Form, Names, media_playlist};
use crate::packager::timelines::{self, AUDIO, Timeline, VIDEO};
use crate::packager::{Event, Packager};

fn names() -> Names {
    Names {
        epoch: "e".to_owned(),
    }
}

/// Two windows of one stream, of which one lets go of what is old.
struct Pair {
    released: Window,
    whole: Window,
    followed: BTreeMap<TrackName, Followed>,
}

/// What players know of a track.
#[derive(Default)]
struct Followed {
    checker: Checker,
    /// How long it was then, and is.
    then: Duration,
    now: Duration,
}

impl Pair {
    fn new(settings: &Settings) -> Pair {
        Pair {
            released: Window::new(settings.clone()),
            whole: Window::new(settings.clone()),
            followed: BTreeMap::new(),
        }
    }

    fn apply(&mut self, event: Event) {
        if let Event::Part { track, part } = &event {
            self.followed.entry(*track).or_default().now += part.duration;
        }
        self.whole.apply(event.clone());
        self.released.apply(event);
    }

    /// Lets go of what is old but for the newest segments of it, so many; what is oldest
    /// cannot be had at all, so many.
    fn let_go(&mut self, but: usize, lost: u64) {
        if let Some(oldest) = self.whole.oldest_past().filter(|_| lost > 0) {
            self.whole.forget(oldest + lost - 1);
            self.released.forget(oldest + lost - 1);
        }
        let old: Vec<(TrackName, u64)> = self
            .released
            .renditions()
            .iter()
            .flat_map(|is| is.past().rev().skip(but).map(|old| (is.track, old.msn())))
            .collect();
        for (track, msn) in old {
            self.released.release(track, msn);
        }
    }

    /// Lists and manifest are the same of both, and what deltas tell adds up to them.
    fn look(&mut self) -> Result<(), TestCaseError> {
        let clock = Clock {
            published: 0,
            url: "/time",
        };
        prop_assert_eq!(
            dash::manifest(&self.released, &names(), &clock),
            dash::manifest(&self.whole, &names(), &clock)
        );
        prop_assert!(self.released.past_bytes() <= self.whole.past_bytes());
        for rendition in self.whole.renditions() {
            let track = rendition.track;
            let list = |window: &Window, form| media_playlist(window, track, &names(), form);
            let full = list(&self.released, Form::Full);
            prop_assert_eq!(&full, &list(&self.whole, Form::Full));
            let (Some(full), Some(delta)) = (full, list(&self.released, Form::Delta)) else {
                continue;
            };
            prop_assert_eq!(Some(delta.clone()), list(&self.whole, Form::Delta));
            let Followed { checker, then, now } = self.followed.entry(track).or_default();
            let (before, since) = (checker.last().cloned(), *now - *then);
            *then = *now;
            let mut broken = checker.full(&full);
            // How long segments are is not the window's.
            broken.retain(|is| !matches!(is, Broken::LongSegment(..)));
            prop_assert!(broken.is_empty(), "{broken:?}\n{full}");
            let delta = Listed::parse(&delta).unwrap();
            // Who has an older one is to read the whole (6.3.7 of the draft).
            let boundary = Duration::from_secs(6) * self.whole.targets().unwrap().segment;
            let Some(before) = before.filter(|_| since <= boundary / 2) else {
                continue;
            };
            let mut merged = delta.merged(&before).unwrap();
            // What an older list had of parts is of no use any more.
            for segment in &mut merged.segments[..delta.skipped as usize] {
                segment.parts.clear();
            }
            prop_assert_eq!(Some(&merged), checker.last(), "{}", full);
        }
        Ok(())
    }
}

/// Follows a stream. `steps` say what is let go of each time.
fn follow(timeline: &Timeline, dvr: u64, steps: &[(usize, u64)]) -> Result<(), TestCaseError> {
    let settings = Settings {
        dvr: Duration::from_secs(dvr),
        ..timeline.settings()
    };
    let mut pair = Pair::new(&settings);
    let mut steps = steps.iter().cycle();
    let mut result = Ok(());
    timelines::run(settings, &timeline.inputs(), |_: &Packager<_>, events| {
        let is_due = |event: &Event| matches!(event, Event::Closed { .. } | Event::End);
        let is_due = events.iter().any(is_due);
        for event in events {
            pair.apply(event);
        }
        if is_due && result.is_ok() {
            let &(but, lost) = steps.next().unwrap_or(&(0, 0));
            pair.let_go(but, lost);
            result = pair.look();
        }
    });
    result
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// `PROPTEST_CASES` says how many; the default is 256.
    #[test]
    fn lists_are_the_same_wherever_the_bytes_are(
        timeline in timelines::timeline(),
        dvr in 0u64..80,
        steps in prop::collection::vec((0usize..4, Just(0u64)), 1..9),
    ) {
        follow(&timeline, dvr, &steps)?;
    }

    #[test]
    fn lists_go_on_without_what_cannot_be_had(
        timeline in timelines::timeline(),
        dvr in 0u64..80,
        steps in prop::collection::vec(
            (0usize..4, prop_oneof![4 => Just(0u64), 1 => 1u64..9]),
            1..9,
        ),
    ) {
        follow(&timeline, dvr, &steps)?;
    }
}

/// A minute of pictures and sound, of which 14 s are in memory and 40 s listed.
fn minute() -> Window {
    minute_with(Settings::default())
}

fn minute_with(settings: Settings) -> Window {
    use timelines::{audio_config, frame, video_config};
    let settings = Settings {
        window: Duration::from_secs(14),
        dvr: Duration::from_secs(40),
        ..settings
    };
    let mut inputs: Vec<_> = (0..1500)
        .map(|n| (n * 40, frame(VIDEO, n * 40, 0, n % 50 == 0)))
        .chain((0..2800).map(|n| (n * 64 / 3, frame(AUDIO, n * 64 / 3, 0, true))))
        .collect();
    inputs.sort_by_key(|(time, _)| *time);
    let mut all = vec![video_config(0), audio_config(0)];
    all.extend(inputs.into_iter().map(|(_, input)| input));
    let mut window = Window::new(settings.clone());
    let events = timelines::events(settings, &all).into_iter();
    events
        .filter(|event| *event != Event::End)
        .for_each(|event| window.apply(event));
    window
}

fn listed(window: &Window, track: TrackName) -> Vec<u64> {
    let segments = window.rendition(track).unwrap().segments.iter();
    segments
        .filter(|is| is.is_complete)
        .map(Segment::msn)
        .collect()
}

#[test]
fn what_is_old_is_listed_and_only_what_is_new_has_to_be_here() {
    let mut window = minute();
    assert_eq!(listed(&window, VIDEO), (11..=30).collect::<Vec<_>>());
    let past: Vec<u64> = {
        let video = window.rendition(VIDEO).unwrap();
        video.past().map(Segment::msn).collect()
    };
    assert_eq!(past, (11..=23).collect::<Vec<_>>());
    assert_eq!(window.length(), Some(Duration::from_secs(40)));
    let (held, past_bytes) = (window.held_bytes(), window.past_bytes());
    let of = |window: &Window, track, msn| {
        window
            .rendition(track)
            .unwrap()
            .segment(msn)
            .unwrap()
            .clone()
    };
    let before = of(&window, VIDEO, 12);
    window.release(VIDEO, 12);
    let after = of(&window, VIDEO, 12);
    assert_eq!(window.past_bytes(), past_bytes - before.bytes());
    assert_eq!(window.held_bytes(), held - before.bytes());
    assert!(before.bytes() > 0 && after.bytes() == 0 && after.is_released);
    assert_eq!(
        (after.span(), after.duration()),
        (before.span(), before.duration())
    );
    // What is new stays, and what is not there is nothing.
    window.release(VIDEO, 26);
    window.release(VIDEO, 3);
    assert_eq!(window.held_bytes(), held - before.bytes());
    assert!(of(&window, VIDEO, 26).bytes() > 0);
}

#[test]
fn a_list_is_as_long_as_it_is_to_be_and_no_encoder_fills_it_with_short_segments() {
    use timelines::{frame, video_config};
    let few = Settings {
        window_segments: Settings::LEAST_SEGMENTS,
        dvr: Duration::from_secs(40),
        ..Settings::default()
    };
    assert_eq!(listed(&minute_with(few.clone()), VIDEO).len(), 20);
    // Its headers change with each frame.
    let inputs: Vec<_> = (0i64..300)
        .flat_map(|n| [video_config((n % 2) as u8), frame(VIDEO, n * 200, 0, true)])
        .collect();
    let mut window = Window::new(few.clone());
    let mut most = 0;
    for event in timelines::events(few, &inputs) {
        window.apply(event);
        most = most.max(window.rendition(VIDEO).map_or(0, |is| is.segments.len()));
    }
    // Forty seconds have 20 of 2 s, and one more is open.
    assert_eq!(most, 20 + Settings::LEAST_SEGMENTS + 1);
}

#[test]
fn what_is_lost_leaves_all_lists_with_what_is_before_it() {
    let mut window = minute();
    window.forget(15);
    assert_eq!(listed(&window, VIDEO), (16..=30).collect::<Vec<_>>());
    assert_eq!(listed(&window, AUDIO)[0], 16);
    assert_eq!(window.oldest_past(), Some(16));
    let video = window.rendition(VIDEO).unwrap();
    assert!(video.segment(15).is_none() && video.init(0).is_some());
    // No more than that, however much is lost.
    window.forget(u64::MAX);
    assert_eq!(listed(&window, VIDEO), (24..=30).collect::<Vec<_>>());
    assert_eq!((window.oldest_past(), window.past_bytes()), (None, 0));
    let clock = Clock {
        published: 0,
        url: "/time",
    };
    let manifest = dash::manifest(&window, &names(), &clock).unwrap();
    assert!(
        manifest.contains("timeShiftBufferDepth=\"PT11.98"),
        "{manifest}"
    );
}
