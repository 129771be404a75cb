//! One call to the platform fails, whichever it is: the server goes on or says
//! why not, and leaves nothing behind.

use std::panic::{AssertUnwindSafe, catch_unwind};

use openrtmp_protocol::session::ClientMode;

use super::media::assert_whole;
use super::world::{Setup, Who, World, ms};
use crate::config::RecordConfig;
use crate::events::Event;
use crate::platform::sim::{Call, Sim, Torture};

/// Everything that the scenario makes the server do, small enough to be run for
/// each of its calls.
fn setup() -> Setup {
    let mut setup = Setup::new(2);
    // Small buffers, so that writes block and are watched.
    setup.network.send_buffer = 4 * 1024;
    setup.network.receive_buffer = 4 * 1024;
    let mut record = RecordConfig::new("/rec");
    record.template = "{app}/{name}".to_owned();
    record.split_duration = ms(300);
    setup.config.record = Some(record);
    setup.config.limits.connections_per_address = 100;
    setup
}

/// Two publishers, two players and a peer that breaks the protocol, until the
/// server stops. Returns the calls made, and `None` if it did not start.
fn course(torture: Torture) -> (u64, Option<World>) {
    let setup = setup();
    let sim = Sim::with_config(setup.seed, setup.network.clone());
    sim.torture(torture);
    let mut w = match setup.build_on(sim.clone()) {
        Ok(world) => world,
        Err(_) => {
            assert_eq!(sim.listeners(), [], "a failed start listens on");
            assert!(sim.pollers().is_empty(), "a failed start polls on");
            return (sim.calls(), None);
        }
    };
    let publisher = w.client(ClientMode::Publish, "live/cam");
    let player = w.client(ClientMode::Play, "live/cam");
    let other = w.client(ClientMode::Publish, "live/other");
    let waiting = w.client(ClientMode::Play, "live/later");
    let hostile = w.raw();
    w[hostile].say(&[7; 100]);
    w.run(ms(30));
    // It is refused, with a status.
    w.client(ClientMode::Publish, "live/cam");
    w.run(ms(30));
    for who in [publisher, other] {
        w.headers(who);
    }
    for n in 0..12 {
        w[publisher].frame(n, 9000);
        w[other].frame(n, 100);
        w.run(ms(40));
    }
    w.leave(other);
    w.kill(waiting);
    w.run(ms(600));
    balanced_while_running(&mut w, &[publisher, player]);
    w.stop(ms(500));
    w.assert_nothing_left();
    assert_balanced(&w);
    (w.sim.calls(), Some(w))
}

/// A connection is known to be there as long as its socket is.
fn balanced_while_running(w: &mut World, clients: &[Who]) {
    let metrics = w.metrics();
    assert_eq!(metrics.errors.internal, 0, "a panic was caught");
    let served = metrics.connections;
    let open = w.sim.open_sockets();
    assert_eq!(served, open, "sockets and connections");
    let alive = clients.iter().filter(|&&who| w[who].socket.is_some());
    assert!(alive.count() <= open + w.sim.waiting_connections());
}

fn assert_balanced(w: &World) {
    type Sign = fn(&Event) -> i32;
    let pairs: [(&str, Sign); 4] = [
        ("connections", |e| match e {
            Event::ConnectionOpened { .. } => 1,
            Event::ConnectionClosed { .. } => -1,
            _ => 0,
        }),
        ("streams", |e| match e {
            Event::StreamPublished { .. } => 1,
            Event::StreamUnpublished { .. } => -1,
            _ => 0,
        }),
        ("players", |e| match e {
            Event::SubscriberJoined { .. } => 1,
            Event::SubscriberLeft { .. } => -1,
            _ => 0,
        }),
        ("recordings", |e| match e {
            Event::RecordingStarted { .. } => 1,
            Event::RecordingFinished { .. } => -1,
            // One that failed to begin was never started: its path is empty.
            Event::RecordingFailed { path, .. } if !path.as_os_str().is_empty() => -1,
            _ => 0,
        }),
    ];
    let events = w.events();
    let restarted = |e: &Event| matches!(e, Event::WorkerRestarted { .. });
    assert!(!events.iter().any(restarted), "a worker panicked");
    for (what, sign) in pairs {
        assert_eq!(
            events.iter().map(sign).sum::<i32>(),
            0,
            "{what}: {events:?}"
        );
    }
}

#[test]
fn any_one_call_may_fail() {
    let (calls, undisturbed) = course(Torture::None);
    let w = undisturbed.expect("it starts");
    let recorded = w.count(|e| matches!(e, Event::RecordingFinished { .. }));
    assert!(recorded >= 3, "{recorded} recordings: little was tried");
    assert!(calls > 200, "{calls} calls: little was tried");

    let mut kinds = std::collections::BTreeSet::new();
    for number in 0..calls {
        let outcome = catch_unwind(AssertUnwindSafe(|| course(Torture::Nth(number))));
        let Ok((_, world)) = outcome else {
            panic!("run again with Torture::Nth({number})");
        };
        kinds.extend(world.and_then(|w| w.sim.tortured()));
    }
    let tried = [
        Call::Random,
        Call::Create,
        Call::Poll,
        Call::Watch,
        Call::Unwatch,
        Call::WatchWritable,
        Call::Wake,
        Call::Accept,
        Call::Read,
        Call::Write,
        Call::Shutdown,
        Call::FileWrite,
        Call::Seek,
        Call::Sync,
    ];
    for call in tried {
        assert!(kinds.contains(&call), "{call:?} never failed");
    }
}

#[test]
fn a_kind_of_call_may_fail_for_good() {
    let (calls, _) = course(Torture::None);
    // Not those without which nothing moves: polling and waking.
    let kinds = [
        Call::Random,
        Call::Create,
        Call::Watch,
        Call::Unwatch,
        Call::WatchWritable,
        Call::Accept,
        Call::Address,
        Call::Read,
        Call::Write,
        Call::Shutdown,
        Call::FileWrite,
        Call::Seek,
        Call::Sync,
        Call::Truncate,
    ];
    for kind in kinds {
        for first in (0..calls).step_by(17) {
            let torture = Torture::From(kind, first);
            let outcome = catch_unwind(AssertUnwindSafe(|| course(torture)));
            assert!(outcome.is_ok(), "run again with {torture:?}");
        }
    }
}

#[test]
fn a_disk_that_fails_leaves_whole_tags_and_the_stream() {
    for first in 0..400 {
        let setup = setup();
        let sim = Sim::with_config(setup.seed, setup.network.clone());
        let mut w = setup.build_on(sim).expect("it starts");
        let publisher = w.live("live/cam");
        let player = w.player("live/cam");
        let torture = Torture::From(Call::FileWrite, w.sim.calls() + first);
        w.sim.torture(torture);
        w.stream(publisher, 0..12);
        w.leave(publisher);
        w.run(ms(100));
        assert_whole(&w[player].media, &w[publisher].sent);
        let failed = w.count(|e| matches!(e, Event::RecordingFailed { .. }));
        let files = w.sim.files();
        for path in &files {
            // One of which nothing could be written is not there.
            super::recording::pieces(&w, path.to_str().expect("UTF-8"));
        }
        w.end();
        if failed == 0 {
            assert!(first > 50, "nothing failed");
            return;
        }
    }
    panic!("something failed to the last");
}
