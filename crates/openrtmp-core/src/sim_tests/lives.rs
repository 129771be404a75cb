//! Lines at the level of info: who came, with what, who left, when and why.

use log::Level;
use openrtmp_protocol::session::{ClientMode, MediaKind};

use super::lines::Lines;
use super::world::{World, ms};
use crate::config::SecondPublisher;

/// The lines of info since the last call.
fn infos(lines: &Lines) -> Vec<String> {
    let of_info = lines.take().into_iter();
    let of_info = of_info.filter(|(level, _)| *level == Level::Info);
    of_info.map(|(_, line)| line).collect()
}

#[test]
fn a_stream_s_life_is_told_from_its_beginning_to_its_end() {
    let lines = Lines::capture();
    let mut w = World::new(1);
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream(publisher, 0..30);
    w.run(ms(50));
    let mut begun = infos(&lines);
    assert_eq!(begun.iter().filter(|l| *l == "connect live").count(), 2);
    begun.retain(|line| !line.starts_with("connect "));
    assert_eq!(begun[..2], ["publish live/cam", "published"], "{begun:?}");
    let tracks: Vec<_> = begun
        .iter()
        .filter(|l| l.starts_with("consists of"))
        .collect();
    let last = tracks.last().expect("its tracks are told");
    assert!(
        last.contains("video avc1.") && last.contains("audio mp4a"),
        "{last}"
    );
    assert_eq!(begun.iter().filter(|l| *l == "play live/cam").count(), 1);
    let software = lines.take_values();
    let ours = format!("OpenRTMP/{}", env!("CARGO_PKG_VERSION"));
    assert!(software.contains(&ours), "{software:?}");

    w.leave(player);
    w.run(ms(50));
    let left = infos(&lines).join("\n");
    assert!(left.starts_with("connection closed after "), "{left}");
    assert!(left.ends_with(": closed by the peer"), "{left}");
    assert!(
        left.contains(" kB in, ") && left.contains(" kB out"),
        "{left}"
    );
    assert!(lines.take_values().contains(&"play live/cam".to_owned()));

    w.leave(publisher);
    w.run(ms(50));
    let ended = infos(&lines);
    assert!(ended[0].starts_with("unpublished, "), "{ended:?}");
    assert!(ended[0].contains(" 30 video and "), "{ended:?}");
    assert!(
        ended[1].starts_with("connection closed after "),
        "{ended:?}"
    );
    w.end();
}

#[test]
fn who_takes_a_name_over_is_told_with_whom_it_replaces() {
    let lines = Lines::capture();
    let takeover = SecondPublisher::Takeover;
    let mut w = World::with(1, |c| c.streams.second_publisher = takeover);
    let first = w.live("live/cam");
    w.stream(first, 0..3);
    lines.take();
    let connections: Vec<_> = w.reports().flat_map(|r| r.connections).collect();
    let [ref only] = connections[..] else {
        panic!("{connections:?}");
    };
    let id = only.id;
    let second = w.live("live/cam");
    w.stream(second, 0..3);
    let told = infos(&lines);
    let replaced = format!("published, in place of connection {id}");
    assert!(told.contains(&replaced), "{told:?}");
    w.end();
}

#[test]
fn strangers_who_do_nothing_are_no_news() {
    let lines = Lines::capture();
    let mut w = World::new(1);
    let stranger = w.shaken();
    w.kill(stranger);
    w.run(ms(50));
    let told = infos(&lines);
    assert!(told.is_empty(), "{told:?}");
    w.end();
}

#[test]
fn many_at_once_are_counted() {
    let lines = Lines::capture();
    let mut w = World::with(1, |c| c.limits.log_lines = 5);
    let publisher = w.live("live/cam");
    let players: Vec<_> = (0..20)
        .map(|_| w.client(ClientMode::Play, "live/cam"))
        .collect();
    w.until("all play", |w| players.iter().all(|&p| w[p].is_ready()));
    w.send(publisher, MediaKind::Audio, 0, b"\xAF\x01\x21"[..].into());
    w.run(ms(2000));
    let told = lines.take();
    let plays = Lines::count(&told, "play live/cam");
    let lost: u64 = told
        .iter()
        .filter_map(|(_, line)| line.split_once(" more lines suppressed: "))
        .filter(|(_, what)| ["requests granted", "connects granted"].contains(what))
        .map(|(count, _)| count)
        .map(|count| count.parse::<u64>().expect("a count"))
        .sum();
    // The publisher's line, and each one's `connect`.
    let others = Lines::count(&told, "publish live/cam") + Lines::count(&told, "connect live");
    assert_eq!((plays + others) as u64 + lost, 20 + 1 + 21, "{told:?}");
    w.end();
}
