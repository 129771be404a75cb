use super::*;
use crate::steps;
use crate::stream::class::Class::{Audio, Header, Inter, Key, Metadata};
use crate::stream::test_packet;

/// Bytes of each packet: beside them what an entry takes is little.
const SIZE: usize = 10_000;

fn at(ms: u64) -> Time {
    Time::from_micros(ms * 1000)
}

fn queue(bytes: usize, delay: Option<Duration>) -> Arc<TapQueue> {
    let budget = Budget::new(usize::MAX);
    TapQueue::new(Selection::ALL, Bound { bytes, delay }, &budget)
}

fn attach(tap: &Arc<TapQueue>, id: u64) -> TapSink {
    let start = TapStart {
        stream: TapStream {
            id: StreamId::from_u64(id),
            name: StreamName::plain(&format!("live/{id}")),
        },
        tracks: &[],
        snapshot: &[],
        clock: 0,
    };
    TapSink::attach(tap.clone(), start, Time::ZERO)
}

/// Pushes one packet at its own time in milliseconds.
fn push(sink: &mut TapSink, class: Class, time: u32) {
    assert!(sink.push(&test_packet(class, time, SIZE), at(time.into())));
}

/// What is there, in words: the stream's id and the news.
fn taken(tap: &TapQueue) -> Vec<String> {
    let word = |item: TapItem| {
        let news = match item.news {
            TapNews::Started => "started".to_owned(),
            TapNews::Packet { packet, time, .. } => format!("{:?} {time}", packet.class),
            TapNews::Tracks(tracks) => format!("{} tracks", tracks.len()),
            TapNews::Republished => "republished".to_owned(),
            TapNews::Lost(loss) => {
                let (from, to) = (loss.from_micros / 1000, loss.to_micros / 1000);
                assert_eq!(loss.bytes, loss.frames * SIZE as u64);
                format!("lost {} of {from} to {to}", loss.frames)
            }
            TapNews::Ended => "ended".to_owned(),
        };
        format!("{}: {news}", item.stream.id)
    };
    std::iter::from_fn(|| tap.take()).map(word).collect()
}

#[test]
fn a_loss_stands_before_the_key_frame_that_ends_it() {
    let tap = queue(4 * SIZE, None);
    let mut sink = attach(&tap, 1);
    for (class, time) in [
        (Key, 0),
        (Inter, 40),
        (Audio, 45),
        (Inter, 80),
        (Inter, 120),
        // One too many: 40, 80 and 120 go, and what follows up to the key frame.
        (Inter, 160),
        (Audio, 165),
        (Inter, 200),
        (Key, 240),
        (Inter, 280),
    ] {
        push(&mut sink, class, time);
    }
    let expected = [
        "1: started",
        "1: Key 0",
        "1: Audio 45",
        "1: Audio 165",
        "1: lost 5 of 40 to 200",
        "1: Key 240",
        "1: Inter 280",
    ];
    assert_eq!(taken(&tap), expected);
}

#[test]
fn a_young_key_frame_in_the_queue_ends_a_loss_at_once() {
    let tap = queue(4 * SIZE, None);
    let mut sink = attach(&tap, 1);
    for (class, time) in [(Key, 0), (Inter, 40), (Inter, 80), (Key, 120), (Inter, 160)] {
        push(&mut sink, class, time);
    }
    push(&mut sink, Inter, 200);
    let expected = [
        "1: started",
        "1: Key 0",
        "1: lost 2 of 40 to 80",
        "1: Key 120",
        "1: Inter 160",
        "1: Inter 200",
    ];
    assert_eq!(taken(&tap), expected);
}

#[test]
fn a_stream_of_audio_alone_loses_all_at_twice_the_bytes_and_goes_on() {
    let tap = queue(20 * SIZE, None);
    let mut sink = attach(&tap, 1);
    push(&mut sink, Metadata, 0);
    push(&mut sink, Header, 0);
    let mut times = 0..;
    while tap.lengths()[0] > 0 {
        let before = tap.lengths()[0];
        push(&mut sink, Audio, times.next().expect("endless"));
        if tap.lengths()[0] < before {
            break;
        }
    }
    let last = times.start - 1;
    push(&mut sink, Audio, times.start);
    let expected = [
        "1: started".to_owned(),
        "1: Metadata 0".to_owned(),
        "1: Header 0".to_owned(),
        format!("1: lost {} of 0 to {last}", times.start),
        format!("1: Audio {}", times.start),
    ];
    assert_eq!(taken(&tap), expected);
}

#[test]
fn a_bound_of_time_drops_video_and_at_twice_the_time_everything() {
    let tap = queue(usize::MAX, Some(Duration::from_millis(100)));
    let mut sink = attach(&tap, 1);
    for (class, time) in [(Key, 0), (Inter, 40), (Audio, 45), (Inter, 141)] {
        push(&mut sink, class, time);
    }
    // Without video none is held back for long, but nor is it kept for ever.
    push(&mut sink, Audio, 200);
    push(&mut sink, Audio, 201);
    push(&mut sink, Key, 220);
    let expected = ["1: started", "1: lost 6 of 0 to 201", "1: Key 220"];
    assert_eq!(taken(&tap), expected);
}

#[test]
fn what_is_lost_without_a_key_frame_after_it_is_told_at_the_end() {
    for closes in [false, true] {
        let tap = queue(4 * SIZE, None);
        let mut sink = attach(&tap, 1);
        push(&mut sink, Key, 0);
        for time in [40, 80, 120, 160, 200] {
            push(&mut sink, Inter, time);
        }
        assert_eq!(taken(&tap), ["1: started", "1: Key 0"]);
        if closes {
            tap.close();
        } else {
            drop(sink);
        }
        assert_eq!(taken(&tap), ["1: lost 5 of 40 to 200", "1: ended"]);
    }
}

#[test]
fn each_stream_has_its_turn() {
    let tap = queue(1 << 20, None);
    let mut sinks = [1, 2].map(|id| attach(&tap, id));
    for sink in &mut sinks {
        for time in 0..2 {
            push(sink, Audio, time);
        }
    }
    let expected = [
        "1: started",
        "2: started",
        "1: Audio 0",
        "2: Audio 0",
        "1: Audio 1",
        "2: Audio 1",
    ];
    assert_eq!(taken(&tap), expected);
}

/// Its new home may be another worker, which is ahead of the old one.
#[test]
fn a_stream_that_came_back_ends_before_it_starts_again() {
    for told in [false, true] {
        let tap = queue(1 << 20, None);
        let mut first = attach(&tap, 1);
        let mut seen = Vec::new();
        if told {
            seen.extend(taken(&tap));
        }
        let mut second = attach(&tap, 1);
        push(&mut second, Audio, 7);
        push(&mut first, Audio, 5);
        seen.extend(taken(&tap));
        drop(first);
        seen.extend(taken(&tap));
        let expected = ["started", "Audio 5", "ended", "started", "Audio 7"];
        assert_eq!(seen, expected.map(|news| format!("1: {news}")));
    }
}

#[test]
fn of_streams_that_are_over_the_newest_are_kept() {
    let tap = queue(1 << 20, None);
    let mut live = attach(&tap, 1000);
    let mut told = attach(&tap, 1001);
    assert_eq!(taken(&tap), ["1000: started", "1001: started"]);
    push(&mut told, Audio, 1);
    drop(told);
    for id in 0..100 {
        push(&mut attach(&tap, id), Audio, 1);
    }
    push(&mut live, Audio, 1);
    assert!(tap.lengths().len() <= ENDED_STREAMS + 2);
    let seen = taken(&tap);
    assert!(seen.contains(&"1000: Audio 1".to_owned()));
    // Whoever was told of the start is told of the end, and of what is lost.
    assert!(seen.contains(&"1001: lost 1 of 1 to 1".to_owned()));
    assert!(seen.contains(&"1001: ended".to_owned()));
    let starts = seen.iter().filter(|text| text.ends_with("started"));
    let starts: Vec<_> = starts.cloned().collect();
    let newest = 100 - starts.len()..100;
    assert_eq!(
        starts,
        Vec::from_iter(newest.map(|id| format!("{id}: started")))
    );
    assert!((ENDED_STREAMS - 1..=ENDED_STREAMS).contains(&starts.len()));
    // What the others had is told as lost with the oldest that was kept, behind its start.
    let (kept, oldest) = (starts.len(), 100 - starts.len());
    let lost = format!("{oldest}: lost {oldest} of 1 to 1");
    let of_oldest = format!("{oldest}: ");
    let of_oldest: Vec<_> = seen
        .iter()
        .filter(|text| text.starts_with(&of_oldest))
        .collect();
    assert_eq!(of_oldest[1], &lost, "{of_oldest:?}");
    let frames = seen.iter().filter(|text| text.ends_with("Audio 1"));
    assert_eq!(frames.count(), kept + 1, "and the live one's");
}

#[test]
fn closing_ends_what_was_told_to_have_started() {
    let tap = queue(1 << 20, None);
    let mut sinks = [1, 2].map(|id| attach(&tap, id));
    assert_eq!(taken(&tap), ["1: started", "2: started"]);
    push(&mut sinks[1], Audio, 3);
    tap.close();
    let [mut first, second] = sinks;
    assert!(!first.push(&test_packet(Audio, 0, SIZE), Time::ZERO));
    assert_eq!(taken(&tap), ["2: Audio 3", "1: ended", "2: ended"]);
    drop((first, second));
    assert_eq!(taken(&tap), [""; 0]);
}

#[test]
fn an_abandoned_tap_keeps_nothing() {
    let tap = queue(1 << 20, None);
    let mut sink = attach(&tap, 1);
    let packet = test_packet(Audio, 0, SIZE);
    sink.push(&packet, Time::ZERO);
    taken(&tap);
    sink.push(&packet, Time::ZERO);
    tap.abandon();
    assert_eq!(Arc::strong_count(&packet), 1);
    assert!(!sink.push(&packet, Time::ZERO));
    assert_eq!(Arc::strong_count(&packet), 1);
}

#[test]
fn another_publisher_is_told_of_in_its_place() {
    let tap = queue(1 << 20, None);
    let mut sink = attach(&tap, 1);
    push(&mut sink, Key, 0);
    push(&mut sink, Inter, 40);
    sink.push_republished();
    // It waits for its own key frame, which is no loss.
    push(&mut sink, Inter, 80);
    push(&mut sink, Audio, 85);
    push(&mut sink, Key, 120);
    let expected = [
        "1: started",
        "1: Key 0",
        "1: Inter 40",
        "1: republished",
        "1: Audio 85",
        "1: Key 120",
    ];
    assert_eq!(taken(&tap), expected);
}

#[test]
fn a_push_costs_the_same_however_many_wait() {
    let dearest = |waiting: u32| {
        let tap = queue(usize::MAX / 4, Some(Duration::from_millis(100)));
        let mut sink = attach(&tap, 1);
        // Metadata without end, which nothing drops, and key frames between.
        let class = |n: u32| [Metadata, Key, Inter, Header][n as usize % 4];
        let mut push = |n: u32, now: Time| {
            let before = steps::taken();
            assert!(sink.push(&test_packet(class(n), n, 1), now));
            steps::taken() - before
        };
        for n in 0..waiting {
            push(n, at(0));
        }
        // Late enough to drop what may be, not all.
        let late = waiting + 4..waiting + 1000;
        push(waiting, at(150));
        late.map(|n| push(n, at(150))).max()
    };
    let (few, many) = (dearest(100), dearest(50_000));
    assert!(many < few.map(|few| few + 60), "{few:?} and {many:?}");
}
