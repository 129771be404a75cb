//! Numbers that grow do not fall, whoever leaves.

use openrtmp_protocol::session::ClientMode;

use super::world::{World, ms};

/// The counters of a text for Prometheus.
fn counters(w: &mut World) -> std::collections::BTreeMap<String, f64> {
    let text = w.metrics().to_prometheus();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let values = lines.filter_map(|line| line.rsplit_once(' '));
    let is_counter = |name: &str| {
        let family = name.split('{').next().unwrap_or_default();
        ["_total", "_count", "_sum"]
            .iter()
            .any(|end| family.ends_with(end))
    };
    values
        .filter(|(name, _)| is_counter(name))
        .map(|(name, value)| (name.to_owned(), value.parse().expect("a number")))
        .collect()
}

#[test]
fn no_counter_falls_when_streams_end_and_players_leave() {
    let mut w = World::with(2, |c| {
        c.metrics.streams = 1;
        c.limits.publishers = 100;
        c.streams.republish_grace = ms(0);
    });
    let mut before = counters(&mut w);
    let mut check = |w: &mut World, may_end: &str| {
        w.run(ms(100));
        let now = counters(w);
        for (name, value) in &before {
            let ends = !may_end.is_empty() && name.contains(may_end);
            match now.get(name) {
                Some(now) => assert!(now >= value, "{name}: {now} after {value}"),
                None => assert!(ends, "{name} is gone"),
            }
        }
        before = now;
    };
    let named = w.live("live/named");
    let others: Vec<_> = (0..3).map(|n| w.live(&format!("live/{n}"))).collect();
    let players: Vec<_> = ["live/named", "live/0", "live/1"]
        .map(|path| w.player(path))
        .into();
    for who in others.iter().chain([&named]) {
        w.stream(*who, 0..60);
    }
    check(&mut w, "");
    let metrics = w.metrics();
    let of = |name: &str| {
        let mut found = metrics.streams.iter().filter(|s| s.name == name);
        found.next().expect("it is live")
    };
    assert!(of("live/0").delay.frames > 0 && of("live/2").delay.frames == 0);
    let [subscriber] = &of("live/0").subscribers[..] else {
        panic!("one plays it")
    };
    assert!(subscriber.messages >= 60 && subscriber.bytes > subscriber.messages);
    let text = metrics.to_prometheus();
    let told = "openrtmp_stream_delay_seconds{stream=\"live/named\",quantile=\"0.99\"}";
    assert!(text.contains(told), "{text}");
    assert!(!text.contains("live/0"), "{text}");

    for player in players {
        w.leave(player);
        check(&mut w, "");
    }
    w.leave(others[0]);
    check(&mut w, "");
    // Its room is for the next that begins.
    w.leave(named);
    check(&mut w, "live/named");
    let next = w.live("live/next");
    w.stream(next, 0..10);
    check(&mut w, "");
    let text = w.metrics().to_prometheus();
    assert!(text.contains("{stream=\"live/next\"}"), "{text}");
    let _late = w.client(ClientMode::Play, "live/1");
    for who in [others[1], others[2]] {
        w.leave(who);
        check(&mut w, "");
    }
    w.end();
}
