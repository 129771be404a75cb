//! What the delivery over HTTP costs: beside nginx that sends the same bytes from files, for
//! viewers with low latency, and for those who do not use it.

mod flv;
mod segments;
pub(crate) mod serve;
mod shown;
mod viewers;
mod wake;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::measure::{FanOut, fan_out};
use crate::payload::{Clock, Frames};
use crate::publisher::{Pace, Publisher};
use crate::server::Running;
use crate::stats::Spread;
use crate::tls::Identity;
pub(crate) use segments::Client;
use segments::Nginx;
use viewers::Audience;
use wake::Wake;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Frames per second of what is published.
const FPS: u32 = 30;
/// From one key frame to the next.
const GOP: u64 = 60;
/// Bit/s of what viewers watch, and of what only is packaged.
const WATCHED: u64 = 2_500_000;
const PACKAGED: u64 = 5_000_000;
/// Streams of the latter.
const STREAMS: usize = 4;
/// Segments that are sent again and again.
const SEGMENTS: usize = 5;
/// Players over RTMP.
const PLAYERS: usize = 100;
/// For a stream to begin.
const PATIENCE: Duration = Duration::from_secs(30);
/// Seconds that viewers can go back, and until that is full.
const WINDOW: &str = "10";
const FILLED: Duration = Duration::from_secs(18);
/// Until what a change brings is over.
const SETTLE: Duration = Duration::from_secs(3);
/// Between one viewer and the next.
const APART: Duration = Duration::from_millis(7);
/// The server, found by nobody by its name.
const ARGUMENT: &str = "deliver";

/// What is to be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum What {
    /// Whole segments, beside nginx.
    Segments,
    /// Viewers with low latency.
    Viewers,
    /// Streams that nobody watches.
    Packager,
    /// Players over RTMP, with HTTP and without.
    Rtmp,
    /// Viewers of FLV, beside as many players over RTMP.
    Flv,
    /// Requests by the thousand that one part answers.
    Wake,
    /// Parts, beside answers of the same size that nginx has at hand.
    Requests,
}

pub(crate) struct Plan {
    pub(crate) what: Vec<What>,
    pub(crate) rounds: usize,
    pub(crate) duration: Duration,
    pub(crate) viewers: Vec<usize>,
    /// Requests that wait at once.
    pub(crate) waiting: usize,
}

/// What was measured.
#[derive(Default, Serialize)]
pub(crate) struct Delivery {
    rounds: usize,
    segments: Vec<Segments>,
    viewers: Vec<Viewers>,
    /// Of one core, for each stream that is packaged and not watched, percent.
    packager: Vec<f64>,
    /// To players over RTMP, without HTTP and with it.
    rtmp: Vec<(Played, Played)>,
    /// Processor seconds for each GB, of the whole server: RTMP, and FLV over HTTP.
    flv: Vec<(f64, f64)>,
    wake: Vec<Wake>,
    requests: Vec<Requests>,
}

/// What players over RTMP had.
#[derive(Clone, Copy, Serialize)]
struct Played {
    /// Of the workers.
    cpu_seconds_per_gb: f64,
    /// From the publisher's write to the player's read.
    latency_ms: Spread,
}

/// Answers of this size: processor microseconds for each.
#[derive(Clone, Copy, Serialize)]
struct Requests {
    bytes: usize,
    ours: f64,
    nginx: f64,
}

/// Processor seconds for each GB, of one round.
#[derive(Clone, Copy, Serialize)]
struct Segments {
    ours: f64,
    nginx: f64,
    ours_tls: f64,
    nginx_tls: f64,
    ours_h2: f64,
    nginx_h2: f64,
}

/// So many viewers, in one round.
#[derive(Clone, Serialize)]
struct Viewers {
    viewers: usize,
    /// Of the server, the stream's way in included.
    cpu_ms_per_viewer_and_second: f64,
    /// From the frame that ends a part to its last byte at a viewer.
    late_ms: Spread,
    rss_per_viewer: f64,
    parts: u64,
    gigabytes: f64,
    /// Those that broke off, and why the first did.
    failed: usize,
    failure: Option<String>,
}

/// The server, with what it was told.
pub(crate) struct Server {
    pub(crate) running: Running,
    http: Option<(SocketAddr, SocketAddr)>,
}

impl Server {
    pub(crate) fn start(identity: &Identity, arguments: &[&str]) -> Result<Server, BoxError> {
        let mut all = vec![ARGUMENT];
        all.extend(arguments);
        let (running, addresses) = Running::start_listening(&all, identity)?;
        let http = match addresses[..] {
            [_, http, https] => Some((http, https)),
            _ => None,
        };
        Ok(Server { running, http })
    }

    /// Where HTTP and HTTPS are spoken.
    pub(crate) fn http(&self) -> Result<(SocketAddr, SocketAddr), BoxError> {
        Ok(self.http.ok_or("the server does not deliver")?)
    }

    /// The path of the playlist of video, once there is one.
    fn playlist(&self) -> Result<String, BoxError> {
        let stream = self.running.target().stream().to_owned();
        let end = Instant::now() + PATIENCE;
        loop {
            let mut client = Client::connect(self.http()?.0, None)?;
            match client.text(&format!("/live/{stream}/index.m3u8")) {
                Ok(master) => {
                    let uri = master.lines().find(|line| !line.starts_with('#'));
                    let uri = uri.ok_or("a master playlist without a variant")?;
                    return Ok(format!("/live/{stream}/{uri}"));
                }
                Err(error) if Instant::now() > end => return Err(error.into()),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

/// Measures, those that are compared in turn.
pub(crate) fn run(plan: &Plan, progress: impl Fn(&str)) -> Result<Delivery, BoxError> {
    let identity = Identity::new()?;
    let mut all = Delivery {
        rounds: plan.rounds,
        ..Delivery::default()
    };
    let is_wanted = |what| plan.what.is_empty() || plan.what.contains(&what);
    if is_wanted(What::Segments) && !Nginx::is_installed() {
        progress("whole segments are left out: there is no nginx");
    }
    for round in 1..=plan.rounds {
        if is_wanted(What::Segments) && Nginx::is_installed() {
            all.segments.push(whole_segments(&identity, plan.duration)?);
        }
        if is_wanted(What::Viewers) {
            for &count in &plan.viewers {
                let measured = watched(&identity, count, plan.duration)?;
                progress(&format!("round {round}, {measured}"));
                all.viewers.push(measured);
            }
        }
        if is_wanted(What::Packager) {
            let off = packaged(&identity, &["--no-http"], plan.duration)?;
            let on = packaged(&identity, &[], plan.duration)?;
            all.packager.push((on - off) * 100.0);
        }
        if is_wanted(What::Rtmp) {
            let off = played(&identity, &["--no-http"], plan.duration)?;
            let on = played(&identity, &[], plan.duration)?;
            all.rtmp.push((off, on));
        }
        if is_wanted(What::Flv) {
            all.flv.push(flv_beside_rtmp(&identity, plan.duration)?);
        }
        if is_wanted(What::Wake) {
            let woken = woken(&identity, plan.waiting)?;
            progress(&format!("round {round}, {woken}"));
            all.wake.push(woken);
        }
        if is_wanted(What::Requests) && Nginx::is_installed() {
            for size in segments::SIZES {
                all.requests.push(parts(&identity, size, plan.duration)?);
            }
        }
        progress(&format!("round {round} is over"));
    }
    Ok(all)
}

fn publish(server: &Server, name: Option<&str>, bitrate: u64) -> io::Result<(Publisher, Clock)> {
    let clock = Clock::start();
    let frames = Arc::new(Frames::new(bitrate, FPS, GOP));
    let target = server.running.target();
    let target = name.map_or_else(|| target.clone(), |name| target.with_stream(name));
    let publisher = Publisher::start(&target, frames, clock, Pace::RealTime(FPS))?;
    Ok((publisher, clock))
}

/// The same segments from our memory and from nginx's files.
fn whole_segments(identity: &Identity, duration: Duration) -> Result<Segments, BoxError> {
    let server = Server::start(identity, &["--window", "3600"])?;
    let (publisher, _) = publish(&server, None, PACKAGED)?;
    let playlist = server.playlist()?;
    let folder = playlist.rsplit_once('/').map_or("", |(folder, _)| folder);
    let (http, https) = server.http()?;
    let mut client = Client::connect(http, None)?;
    let end = Instant::now() + PATIENCE;
    let paths: Vec<String> = loop {
        let text = client.text(&playlist)?;
        let whole = text.lines().filter(|line| !line.starts_with('#'));
        let paths: Vec<String> = whole.map(|uri| format!("{folder}/{uri}")).collect();
        if paths.len() >= SEGMENTS {
            break paths;
        }
        if Instant::now() > end {
            return Err("there are no segments".into());
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    // What is sent is there: from now on nothing else has to be done.
    publisher.pause(true);
    let mut files = Vec::new();
    for path in &paths {
        let mut bytes = Vec::new();
        client.get(path, |piece| bytes.extend_from_slice(piece))?;
        files.push((path.clone(), bytes));
    }
    let nginx = Nginx::start(&files, identity)?;
    let tls = identity.client(true)?;
    let (ours, theirs) = (server.running.process(), nginx.process());
    let measured = Segments {
        ours: segments::cost(&ours, http, None, &paths, duration)?,
        nginx: segments::cost(&theirs, nginx.http, None, &paths, duration)?,
        ours_tls: segments::cost(&ours, https, Some(&tls), &paths, duration)?,
        nginx_tls: segments::cost(&theirs, nginx.https, Some(&tls), &paths, duration)?,
        ours_h2: segments::cost_h2(&ours, https, &tls, &paths, duration)?,
        nginx_h2: segments::cost_h2(&theirs, nginx.https, &tls, &paths, duration)?,
    };
    publisher.finish()?;
    Ok(measured)
}

/// Viewers of one stream.
fn watched(identity: &Identity, count: usize, duration: Duration) -> Result<Viewers, BoxError> {
    let server = Server::start(identity, &["--window", WINDOW])?;
    let (publisher, clock) = publish(&server, None, WATCHED)?;
    let playlist = server.playlist()?;
    let (_, https) = server.http()?;
    let client = identity.client(true)?;
    let audience = Arc::new(Audience::new(clock, https, &client));
    let process = server.running.process();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let (measured, failures) = runtime.block_on(async {
        let view = || {
            let (audience, playlist) = (audience.clone(), playlist.clone());
            tokio::spawn(async move { audience.view(https, &playlist).await })
        };
        // The first touches what all share; then all is there that is kept of the stream.
        let mut viewers = vec![view()];
        tokio::time::sleep(FILLED).await;
        let before = process.memory().resident;
        for _ in 1..count {
            tokio::time::sleep(APART).await;
            viewers.push(view());
        }
        tokio::time::sleep(SETTLE).await;
        audience.counts.store(true, Ordering::Relaxed);
        let (cpu, begun) = (process.cpu(), Instant::now());
        tokio::time::sleep(duration).await;
        let (cpu, elapsed) = (process.cpu() - cpu, begun.elapsed());
        audience.counts.store(false, Ordering::Relaxed);
        let grown = process.memory().resident.saturating_sub(before);
        audience.over.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for viewer in viewers {
            match viewer.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failures.push(error.to_string()),
                Err(error) => failures.push(error.to_string()),
            }
        }
        let cpu_ms = cpu.as_secs_f64() * 1000.0 / count as f64 / elapsed.as_secs_f64();
        let others = count.saturating_sub(1).max(1);
        ((cpu_ms, grown as f64 / others as f64), failures)
    });
    publisher.finish()?;
    Ok(Viewers {
        viewers: count,
        cpu_ms_per_viewer_and_second: measured.0,
        late_ms: audience.lateness(),
        rss_per_viewer: measured.1,
        parts: audience.parts.load(Ordering::Relaxed),
        gigabytes: audience.bytes.load(Ordering::Relaxed) as f64 / 1e9,
        failed: failures.len(),
        failure: failures.into_iter().next(),
    })
}

/// Of one core, for each of some streams that nobody watches.
fn packaged(identity: &Identity, arguments: &[&str], duration: Duration) -> Result<f64, BoxError> {
    let server = Server::start(identity, arguments)?;
    let names = (0..STREAMS).map(|number| format!("packaged{number}"));
    let publishers = names.map(|name| publish(&server, Some(&name), PACKAGED));
    let publishers = publishers.collect::<io::Result<Vec<_>>>()?;
    std::thread::sleep(SETTLE);
    let process = server.running.process();
    let (cpu, begun) = (process.cpu(), Instant::now());
    std::thread::sleep(duration);
    let busy = (process.cpu() - cpu).as_secs_f64() / begun.elapsed().as_secs_f64();
    for (publisher, _) in publishers {
        publisher.finish()?;
    }
    Ok(busy / STREAMS as f64)
}

/// Processor seconds of the workers for each GB to players over RTMP: what packages is told
/// apart.
fn played(identity: &Identity, arguments: &[&str], duration: Duration) -> Result<Played, BoxError> {
    let server = Server::start(identity, arguments)?;
    let process = server.running.process().workers();
    let result = fan_out(server.running.ends(), Some(&process), &load(duration))?;
    let cost = result.server.ok_or("the server's time is not known")?;
    Ok(Played {
        cpu_seconds_per_gb: cost.cpu_seconds_per_gb,
        latency_ms: result.latency_ms,
    })
}

fn load(duration: Duration) -> FanOut {
    FanOut {
        players: PLAYERS,
        streams: 1,
        at_once: PLAYERS,
        duration,
        bitrate: WATCHED,
        fps: FPS,
        gop: Duration::from_secs(GOP / u64::from(FPS)),
        stuck: 0,
    }
}

/// The whole server's processor seconds for each GB: with players over RTMP, HTTP off, and with
/// viewers of FLV.
fn flv_beside_rtmp(identity: &Identity, duration: Duration) -> Result<(f64, f64), BoxError> {
    let server = Server::start(identity, &["--no-http"])?;
    let process = server.running.process();
    let result = fan_out(server.running.ends(), Some(&process), &load(duration))?;
    let rtmp = result.server.ok_or("the server's time is not known")?;
    drop(server);
    let server = Server::start(identity, &["--window", WINDOW])?;
    let (publisher, _) = publish(&server, None, WATCHED)?;
    server.playlist()?;
    let path = format!("/live/{}.flv", server.running.target().stream());
    let process = server.running.process();
    let flv = flv::cost(&process, server.http()?.0, &path, PLAYERS, duration)?;
    publisher.finish()?;
    Ok((rtmp.cpu_seconds_per_gb, flv))
}

/// Requests that wait for the same part.
fn woken(identity: &Identity, count: usize) -> Result<Wake, BoxError> {
    let server = Server::start(identity, &["--window", WINDOW])?;
    let (publisher, clock) = publish(&server, None, WATCHED)?;
    let playlist = server.playlist()?;
    let (_, https) = server.http()?;
    let client = identity.client(true)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let woken = runtime.block_on(wake::wake(clock, https, &client, &playlist, count))?;
    publisher.finish()?;
    Ok(woken)
}

/// One part again and again, and what nginx has at hand.
fn parts(identity: &Identity, size: usize, duration: Duration) -> Result<Requests, BoxError> {
    let server = Server::start(identity, &["--window", WINDOW])?;
    // Ten frames make a part.
    let bitrate = size as u64 * 8 * u64::from(FPS) / 10;
    let (publisher, _) = publish(&server, None, bitrate)?;
    let playlist = server.playlist()?;
    let folder = playlist.rsplit_once('/').map_or("", |(folder, _)| folder);
    let http = server.http()?.0;
    let mut client = Client::connect(http, None)?;
    let end = Instant::now() + PATIENCE;
    // The one whose size is nearest.
    let (path, bytes) = loop {
        let text = client.text(&playlist)?;
        let uris = text.split("URI=\"v0/").skip(1);
        let names = uris.filter_map(|rest| rest.split('"').next());
        let mut near: Option<(String, u64)> = None;
        for name in names.filter(|name| name.matches('.').count() == 2) {
            let path = format!("{folder}/v0/{name}");
            let bytes = client.get(&path, |_| ())?;
            let off = |bytes: u64| bytes.abs_diff(size as u64);
            if near
                .as_ref()
                .is_none_or(|(_, other)| off(bytes) < off(*other))
            {
                near = Some((path, bytes));
            }
        }
        match near {
            Some(near) if near.1.abs_diff(size as u64) < size as u64 / 4 => break near,
            _ if Instant::now() > end => return Err("no part is of that size".into()),
            _ => std::thread::sleep(Duration::from_millis(200)),
        }
    };
    publisher.pause(true);
    let nginx = Nginx::start(&[], identity)?;
    let (ours, theirs) = (server.running.process(), nginx.process());
    let each = |per_gb: f64, bytes: u64| per_gb * bytes as f64 / 1e9 * 1e6;
    let own = segments::cost(&ours, http, None, &[path], duration)?;
    let fixed = segments::cost(
        &theirs,
        nginx.http,
        None,
        &[segments::fixed(size)],
        duration,
    )?;
    publisher.finish()?;
    Ok(Requests {
        bytes: size,
        ours: each(own, bytes),
        nginx: each(fixed, size as u64),
    })
}
