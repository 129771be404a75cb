//! The end of a world: first nothing goes wrong any more, and whoever is there has
//! to be served; then the server stops, and nothing may be left.

use std::sync::atomic::Ordering;

use openrtmp_protocol::Time;

use super::client::{Client, Role};
use super::course::{Course, ms};
use super::far;
use super::host::HostPublisher;
use super::lives::Feeder;
use super::plan::{KEYS, Link, STREAMS, Source};
use super::witness::{Broken, broken};
use crate::platform::Platform;
use crate::platform::sim::Faults;

/// Where the stream of the calm is among [`STREAMS`].
const FINE: u32 = STREAMS.len() as u32 - 1;

/// Places of the calm's publisher and player, and of one who joins at its end.
const CALM: [u32; 2] = [1000, 1001];
const JOINER: u32 = 1002;

/// Faults end; then everybody has to be served.
pub(super) fn calm(course: &mut Course<'_>) -> Result<(), Broken> {
    if course.stop.is_some() {
        return Ok(());
    }
    course.world.sim.set_faults(Faults {
        disk_capacity: course.terms.network().faults.disk_capacity,
        ..Faults::default()
    });
    course.world.sim.widen(1 << 20);
    course.terms.host = course.terms.host.min(1);
    course.desk.clear();
    let now = course.world.now();
    for host in course.hosts.values_mut() {
        host.feeder.go_on(now);
    }
    for client in course.clients.values_mut() {
        client.feed(&mut course.lives, |feeder, _, _| feeder.go_on(now));
        if client.is_mute() || matches!(client.role, Role::Attacker(_)) {
            client.kill(now);
        }
        client.calm();
    }
    // What was stalled and late comes in.
    course.run_for(1500)?;
    let began = course.world.now();
    let (room, key) = (has_room(course), valid_key(course));
    if room {
        let source = Source {
            stream: FINE,
            key,
            ..Source::default()
        };
        let play_key = valid_play_key(course);
        let roles = [Client::encoder(&source), Client::player(FINE, play_key)];
        for (who, role) in CALM.into_iter().zip(roles) {
            let lenient = course.terms.short_of_memory();
            let client = Client::new(role, Link::default(), lenient, &course.world);
            course.clients.insert(who, client);
            course.run_for(200)?;
        }
    }
    course.run_for(2500)?;
    if room && !course.terms.short_of_memory() && is_fed(course) {
        far::relayed(course, STREAMS[FINE as usize])?;
    }
    if room && !course.terms.short_of_memory() && !closes_over_bitrate(course) {
        far::fetches(course)?;
    }
    answered(course, began)?;
    one_publisher_each(course)?;
    revoked_keys_are_gone(course)?;
    for client in course.clients.values_mut() {
        client.feed(&mut course.lives, |feeder, _, _| feeder.silent = true);
    }
    for host in course.hosts.values_mut() {
        host.feeder.silent = true;
    }
    if let Some(far) = &mut course.far {
        far.fall_silent();
    }
    course.run_for(600)?;
    up_to_date(course)?;
    if room && !course.terms.short_of_memory() {
        fine(course)?;
        if !closes_over_bitrate(course) {
            far::up_to_date(course, CALM[0])?;
        }
        joined_at_once(course)?;
    }
    Ok(())
}

/// The stream of the calm is there.
fn is_fed(course: &Course<'_>) -> bool {
    let name = course.world.shared.host_name(STREAMS[FINE as usize]);
    course.world.shared.directory.lock().is_live(&name)
}

/// Two more may come, and one of them may publish.
fn has_room(course: &Course<'_>) -> bool {
    let config = course.world.server.config();
    let limits = &config.limits;
    let publishers = course.world.shared.directory.lock().publishers();
    // Relays are on their way, or take the next place.
    let (relays, counted) = match course.terms.relays {
        0 => (0, course.ledger.connections()),
        _ => (
            STREAMS.len() + 1,
            course.world.shared.connections.load(Ordering::Acquire),
        ),
    };
    counted + relays + 2 <= limits.connections && publishers + relays < limits.publishers
}

/// A key to publish with, as an operation names it.
fn valid_key(course: &Course<'_>) -> u32 {
    let ring = course.world.server.publish_keys();
    if ring.is_open() {
        return 0;
    }
    if ring.list().is_empty() {
        ring.add(KEYS[0].to_owned());
    }
    place(&ring.list())
}

fn valid_play_key(course: &Course<'_>) -> u32 {
    let ring = course.world.server.play_keys();
    if ring.is_open() {
        return 0;
    }
    if ring.list().is_empty() {
        ring.add(KEYS[0].to_owned());
    }
    place(&ring.list())
}

fn place(list: &[String]) -> u32 {
    let place = KEYS.iter().position(|key| list.iter().any(|k| k == key));
    place.map_or(0, |place| place as u32 + 1)
}

/// Nobody waits for an answer.
fn answered(course: &Course<'_>, began: Time) -> Result<(), Broken> {
    for (who, client) in &course.clients {
        let encoder = matches!(client.role, Role::Encoder { .. });
        let answered = client.ready || client.failure.is_some() || (course.waits && encoder);
        if client.is_connected() && client.since < began && !answered {
            return broken("answered once", format!("client {who} waits for an answer"));
        }
    }
    Ok(())
}

/// No more decisions were told than requests made.
fn asked(course: &Course<'_>) -> Result<(), Broken> {
    for client in course.clients.values() {
        if matches!(client.role, Role::Attacker(_)) || !client.is_connected() {
            continue;
        }
        let id = course.ledger.by_port.get(&client.port);
        let decided = id.and_then(|id| course.ledger.decided.get(id));
        let decided = decided.copied().unwrap_or_default();
        let least = if client.ready { 2 } else { 0 };
        if !(least..=client.asks).contains(&decided) {
            let what = format!("{decided} decisions for {} requests", client.asks);
            return broken("answered once", what);
        }
    }
    Ok(())
}

/// Feeders of those who may send to a stream.
fn feeders<'a>(course: &'a Course<'_>, stream: usize) -> Vec<&'a Feeder> {
    let clients = course
        .clients
        .values()
        .filter(|c| c.is_connected() && c.ready);
    let clients = clients.filter_map(Client::feeder);
    let of_stream = |feeder: &&Feeder| course.lives.life(feeder.life).stream == stream;
    clients.filter(of_stream).collect()
}

fn hosts<'a>(course: &'a Course<'_>, stream: usize) -> Vec<&'a HostPublisher> {
    let hosts = course.hosts.values();
    hosts
        .filter(|host| course.lives.life(host.feeder.life).stream == stream)
        .collect()
}

fn one_publisher_each(course: &Course<'_>) -> Result<(), Broken> {
    for (stream, name) in STREAMS.iter().enumerate() {
        let count = feeders(course, stream).len();
        if count > 1 {
            return broken("one publisher", format!("{name} has {count}"));
        }
    }
    Ok(())
}

fn revoked_keys_are_gone(course: &Course<'_>) -> Result<(), Broken> {
    let ring = course.world.server.publish_keys();
    if ring.is_open() {
        return Ok(());
    }
    let valid = ring.list();
    for (who, client) in &course.clients {
        if let Role::Encoder { source, .. } = &client.role
            && client.is_connected()
            && client.ready
        {
            let key = KEYS.get((source.key as usize).wrapping_sub(1));
            let revoked = key.filter(|key| course.revoked.contains(*key));
            if revoked.is_some_and(|key| valid.iter().all(|v| v != key)) {
                return broken("revoked keys", format!("client {who} publishes with one"));
            }
        }
    }
    Ok(())
}

/// Players of live streams have the newest frame.
fn up_to_date(course: &Course<'_>) -> Result<(), Broken> {
    asked(course)?;
    if course.terms.short_of_memory() {
        return Ok(());
    }
    for (who, client) in &course.clients {
        let Role::Player(player) = &client.role else {
            continue;
        };
        let Some((stream, witness)) = player.plays.last() else {
            continue;
        };
        if !client.is_connected() || player.is_lenient() || player.plays_again() {
            continue;
        }
        // A host publisher may have been taken over and not know.
        let feeders = feeders(course, *stream);
        if let ([feeder], true) = (&feeders[..], hosts(course, *stream).is_empty()) {
            let current = witness.assert_current(&course.lives, feeder.life);
            current.map_err(|e| Broken {
                what: format!("client {who}: {}", e.what),
                ..e
            })?;
        }
    }
    Ok(())
}

/// The stream that began in the calm was played.
fn fine(course: &Course<'_>) -> Result<(), Broken> {
    let [publisher, player] = CALM.map(|who| course.clients.get(&who));
    let (Some(publisher), Some(player)) = (publisher, player) else {
        return Ok(());
    };
    let got = match &player.role {
        Role::Player(player) => player.plays.last().map_or(0, |(_, witness)| witness.frames),
        _ => 0,
    };
    if closes_over_bitrate(course) {
        return Ok(());
    }
    if publisher.feeder().is_none() || got < 50 {
        let (failed, other) = (&publisher.failure, &player.failure);
        let what = format!("{got} frames, {failed:?}, {other:?}");
        return broken("serves in the calm", what);
    }
    Ok(())
}

/// Whoever publishes may be closed for how much comes.
fn closes_over_bitrate(course: &Course<'_>) -> bool {
    let config = course.world.server.config();
    config.limits.publisher_bitrate > 0 && config.limits.disconnect_over_bitrate
}

/// Who joins while nothing is sent gets what the cache has, if there is one.
fn joined_at_once(course: &mut Course<'_>) -> Result<(), Broken> {
    let config = course.world.server.config();
    let cache = &config.gop;
    let holds =
        cache.max_duration >= ms(2000) && cache.max_frames >= 50 && cache.max_bytes >= 50_000;
    let publisher = course.clients.get(&CALM[0]).and_then(Client::feeder);
    let (Some(life), true) = (
        publisher.map(|feeder| feeder.life),
        holds && has_room(course),
    ) else {
        return Ok(());
    };
    let role = Client::player(FINE, valid_play_key(course));
    let client = Client::new(role, Link::default(), false, &course.world);
    course.clients.insert(JOINER, client);
    // Eight times there and back.
    course.run_for(1500)?;
    match course.clients.get(&JOINER).map(|client| &client.role) {
        Some(Role::Player(player)) => match player.plays.last() {
            Some((_, witness)) => witness.assert_current(&course.lives, life),
            None => broken("serves in the calm", "the last to join is not played to"),
        },
        _ => Ok(()),
    }
}

/// Stops, if it is not stopping, and looks for what is left.
pub(super) fn finish(course: &mut Course<'_>) -> Result<(), Broken> {
    course.begin_stop(0);
    // Whoever stays will be forced; latency, late wake-ups and timers' grain.
    let (began, deadline) = course.stop.unwrap_or_default();
    let latest = deadline.max(course.world.now()) + ms(1500);
    while course.world.workers_left() > 0 {
        if course.world.now() > latest {
            let what = format!("begun at {began}, to be over at {deadline}");
            return broken("a stop is over in time", what);
        }
        course.run_for(20)?;
    }
    course.world.finish_stop();
    course.note_events()?;
    far::finish(course)?;
    course.taps.clear();
    course.hosts.clear();
    course.desk.clear();
    let now = course.world.sim.now();
    for client in course.clients.values_mut() {
        client.calm();
        client.close(now);
    }
    course.run_for(1000)?;
    for (what, count) in course.world.left() {
        if count != 0 {
            return broken("nothing is left", format!("{count} {what}"));
        }
    }
    course.ledger.assert_closed()?;
    losses_are_told(course)?;
    course.judge_files()
}

/// What players miss the server has owned up to.
fn losses_are_told(course: &Course<'_>) -> Result<(), Broken> {
    let everybody = course.clients.values().chain(&course.former);
    for closed in everybody.flat_map(|client| &client.closed) {
        let id = course.ledger.by_port.get(&closed.port);
        let told = id.and_then(|id| course.ledger.dropped.get(id));
        // Of one message stream's plays, the last may have to answer for what is
        // dropped of the one before.
        let told: u64 = told.map_or(&[][..], Vec::as_slice).iter().sum();
        let strict = closed.plays.iter().filter(|(_, witness)| !witness.lenient);
        let missing: u64 = strict.map(|(_, witness)| witness.missing).sum();
        if missing > told {
            let what = format!("{missing} frames missing, {told} told");
            return broken("losses are told", what);
        }
    }
    Ok(())
}
