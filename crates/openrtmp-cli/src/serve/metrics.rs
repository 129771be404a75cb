//! Numbers and health over HTTP, for those who watch a server.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use openrtmp_core::{Health, Server};
use openrtmp_live::{Delivery, DvrFiles, Held};

use super::listen::Listening;
use crate::http::{Answer, Mount, Request, Routes, Status, TEXT};
use crate::logs;

/// What the text format of Prometheus is called.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How long an answer is good: whoever asks more often is told the same again, so that
/// asking costs the workers no more than once in that time.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// Reads where to tell them, as `--listen` is read.
pub(super) fn parse(text: &str) -> Result<Listening, String> {
    let listening = Listening::parse(text)?;
    match text.contains("://") {
        true => Err("numbers are told over HTTP, at an address such as 127.0.0.1:9090".to_owned()),
        false => Ok(listening),
    }
}

/// How it goes with the HTTP server that decides.
pub(super) struct CallbackStatus {
    /// It failed too often, and is left alone for a while.
    pub(super) is_left_alone: bool,
    /// Questions and notices by what became of them.
    pub(super) outcomes: [(&'static str, u64); 5],
}

/// What the command knows beside the server.
#[derive(Default)]
pub(super) struct Beside {
    /// `None`: nobody is asked.
    pub(super) callback: Option<CallbackStatus>,
    /// `None`: nothing is delivered over HTTP.
    pub(super) viewers: Option<Viewers>,
}

/// What is delivered over HTTP, and to how many.
#[derive(Default)]
pub(super) struct Viewers {
    connections: usize,
    accepted: u64,
    streams: usize,
    held: Held,
    /// By the class of their status: 1xx first.
    answers: [u64; 5],
    /// `None`: there is no folder for old segments.
    dvr: Option<DvrFiles>,
}

impl Viewers {
    pub(super) fn of(delivery: &Delivery) -> Option<Viewers> {
        let is_anywhere = !delivery.listeners().is_empty();
        is_anywhere.then(|| Viewers {
            connections: delivery.connections(),
            accepted: delivery.accepted(),
            streams: delivery.streams(),
            held: delivery.held(),
            answers: delivery.answers(),
            dvr: delivery.dvr_files(),
        })
    }
}

/// How to know it.
pub(super) type Own = Arc<dyn Fn() -> Beside + Send + Sync>;

/// Tells them where the settings say.
pub(super) struct Told {
    server: Arc<Server>,
    own: Own,
    mount: Mutex<Mount>,
}

impl Told {
    /// Begins. The error is an address that cannot be had.
    pub(super) fn start(server: &Arc<Server>, own: Own) -> Result<Told, String> {
        let told = Told {
            server: Arc::clone(server),
            own,
            mount: Mutex::default(),
        };
        told.follow()?;
        Ok(told)
    }

    /// Does as the settings say by now.
    pub(super) fn follow(&self) -> Result<(), String> {
        let config = self.server.config();
        let mut mount = self.mount.lock().unwrap_or_else(PoisonError::into_inner);
        let addresses = &config.metrics.listen;
        let set = mount.set(addresses, &config, || routes(&self.server, &self.own));
        if set.map_err(|error| error.to_string())? {
            for address in mount.addresses() {
                log::info!("metrics at {}", url(*address));
            }
        }
        Ok(())
    }
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}/metrics")
}

fn routes(server: &Arc<Server>, own: &Own) -> Routes {
    let of_metrics = own.clone();
    let metrics = once_in_a_while(server, move |server| match server.snapshot() {
        Ok(metrics) => {
            let mut text = metrics.to_prometheus();
            write_own(&mut text, &of_metrics());
            Answer::new(Status::OK, CONTENT_TYPE, text)
        }
        // Counters without a worker's part would fall.
        Err(error) => Answer::new(Status::UNAVAILABLE, TEXT, format!("{error}\n")),
    });
    let of_health = own.clone();
    let health = once_in_a_while(server, move |server| {
        let told = health_of(server, of_health().callback.as_ref());
        answer(told.live, &told)
    });
    let of_readiness = own.clone();
    let readiness = once_in_a_while(server, move |server| {
        let told = health_of(server, of_readiness().callback.as_ref());
        answer(told.ready, &told)
    });
    Routes::default()
        .at("/metrics", for_others_than_blocked(server, metrics))
        .at("/healthz", for_others_than_blocked(server, health))
        .at("/readyz", for_others_than_blocked(server, readiness))
}

/// An answer that nobody has from a blocked address (`access.failed_attempts`).
fn for_others_than_blocked<A: Fn() -> Answer + Send + Sync>(
    server: &Arc<Server>,
    answer: A,
) -> impl Fn(&Request<'_>) -> Answer + Send + Sync + use<A> {
    let server = Arc::downgrade(server);
    move |request| {
        let server = server.upgrade();
        match server.is_some_and(|server| server.is_blocked(request.address)) {
            true => Answer::status(Status::FORBIDDEN),
            false => answer(),
        }
    }
}

/// The server's, and what is wrong beside it, which leaves it ready: what it decides without
/// an answer is a setting.
fn health_of(server: &Server, callback: Option<&CallbackStatus>) -> Health {
    let mut health = server.health();
    if callback.is_some_and(|status| status.is_left_alone) {
        let what = "access.callback.url does not answer: its fallback holds";
        health.reasons.push(what.to_owned());
    }
    health
}

/// Numbers of the command's own, in the format of the server's. No label needs escaping.
fn write_own(text: &mut String, beside: &Beside) {
    let mut family = |name: &str, of: &str, help: &str, samples: &[(&str, u64)]| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {of}");
        for (labels, value) in samples {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    };
    let lost = logs::lost().map(|(output, lines)| (format!("{{output=\"{output}\"}}"), lines));
    family(
        "openrtmp_log_lines_lost_total",
        "counter",
        "Log lines that could not be written, by where.",
        &lost
            .each_ref()
            .map(|(label, lines)| (label.as_str(), *lines)),
    );
    if let Some(viewers) = &beside.viewers {
        let files = viewers.dvr.iter().flat_map(of_files);
        for (name, of, help, value) in of_viewers(viewers).into_iter().chain(files) {
            family(name, of, help, &[("", value)]);
        }
        let [informing, successes, redirections, refusals, failures] = viewers.answers;
        family(
            "openrtmp_http_answers_total",
            "counter",
            "Answers to viewers, by the class of their status.",
            &[
                ("{class=\"1xx\"}", informing),
                ("{class=\"2xx\"}", successes),
                ("{class=\"3xx\"}", redirections),
                ("{class=\"4xx\"}", refusals),
                ("{class=\"5xx\"}", failures),
            ],
        );
    }
    let Some(status) = &beside.callback else {
        return;
    };
    family(
        "openrtmp_callback_left_alone",
        "gauge",
        "1 while access.callback.url is not asked because it failed.",
        &[("", status.is_left_alone.into())],
    );
    let outcomes = status.outcomes;
    let outcomes = outcomes.map(|(name, count)| (format!("{{outcome=\"{name}\"}}"), count));
    family(
        "openrtmp_callback_requests_total",
        "counter",
        "Questions and notices for access.callback.url, by what became of them.",
        &outcomes
            .each_ref()
            .map(|(label, count)| (label.as_str(), *count)),
    );
}

/// A family with one sample: its name, its type, what it tells, and how much.
type Family = (&'static str, &'static str, &'static str, u64);

/// Families of what is delivered over HTTP.
fn of_viewers(viewers: &Viewers) -> [Family; 5] {
    [
        (
            "openrtmp_http_connections",
            "gauge",
            "Viewers' connections.",
            viewers.connections as u64,
        ),
        (
            "openrtmp_http_connections_accepted_total",
            "counter",
            "Viewers' connections that there have been.",
            viewers.accepted,
        ),
        (
            "openrtmp_http_streams",
            "gauge",
            "Streams that viewers can fetch, or that come to be.",
            viewers.streams as u64,
        ),
        (
            "openrtmp_http_stream_bytes",
            "gauge",
            "Bytes of streams that are kept in memory for viewers.",
            viewers.held.streams,
        ),
        (
            "openrtmp_http_answer_bytes",
            "gauge",
            "Bytes that are kept for answers alone that viewers have not taken.",
            viewers.held.answers,
        ),
    ]
}

/// Families of the files of `http.dvr.directory`.
fn of_files(files: &DvrFiles) -> [Family; 5] {
    [
        (
            "openrtmp_dvr_segments",
            "gauge",
            "Segments in files of http.dvr.directory.",
            files.segments,
        ),
        (
            "openrtmp_dvr_bytes",
            "gauge",
            "Bytes of segments in files of http.dvr.directory.",
            files.bytes,
        ),
        (
            "openrtmp_dvr_waiting_segments",
            "gauge",
            "Segments that wait to be written to http.dvr.directory.",
            files.waiting,
        ),
        (
            "openrtmp_dvr_write_failures_total",
            "counter",
            "Tries to write a segment to http.dvr.directory that came to nothing.",
            files.failures,
        ),
        (
            "openrtmp_dvr_lost_segments_total",
            "counter",
            "Segments whose files went while listed: the disk was full, or by somebody.",
            files.removed,
        ),
    ]
}

/// An answer that is made anew when the last is too old.
fn once_in_a_while<M: Fn(&Server) -> Answer + Send + Sync>(
    server: &Arc<Server>,
    make: M,
) -> impl Fn() -> Answer + Send + Sync + use<M> {
    let server = Arc::downgrade(server);
    let kept: Mutex<Option<(Instant, Answer)>> = Mutex::default();
    move || {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made, answer)) = &*kept
            && made.elapsed() < GOOD_FOR
        {
            return answer.clone();
        }
        let Some(server) = server.upgrade() else {
            return Answer::status(Status::UNAVAILABLE);
        };
        let answer = make(&server);
        *kept = Some((Instant::now(), answer.clone()));
        answer
    }
}

/// 200 if all is well, else 503; and in either case why it is not wholly so, a line each.
fn answer(is_well: bool, health: &Health) -> Answer {
    let status = if is_well {
        Status::OK
    } else {
        Status::UNAVAILABLE
    };
    let mut text = if is_well { "ok\n" } else { "not ok\n" }.to_owned();
    for reason in &health.reasons {
        text.push_str(reason);
        text.push('\n');
    }
    Answer::new(status, TEXT, Bytes::from(text))
}

#[cfg(test)]
mod tests {
    use openrtmp_core::Config;

    use super::*;

    #[test]
    fn an_address_is_read_as_those_to_listen_on() {
        let read = parse("127.0.0.1:9090").expect("an address");
        assert_eq!(read.addresses, ["127.0.0.1:9090".parse().expect("one")]);
        assert_eq!(parse("9090").expect("a port").addresses.len(), 2);
        for wrong in [
            "rtmps://127.0.0.1:9090",
            "rtmp://1",
            "http://127.0.0.1:9090",
            "x",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn health_is_a_status_and_its_reasons() {
        let mut config = Config::desktop();
        config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
        let server = Server::start(config).expect("it starts");
        let mut health = server.health();
        assert_eq!(answer(true, &health).status, Status::OK);
        health.reasons = vec!["one".to_owned(), "two".to_owned()];
        let told = answer(false, &health);
        assert_eq!(told.status, Status::UNAVAILABLE);
        assert_eq!(told.body, "not ok\none\ntwo\n");
    }

    #[test]
    fn numbers_of_the_command_s_own_stand_behind_the_server_s() {
        let mut text = String::new();
        write_own(&mut text, &Beside::default());
        assert!(
            text.contains("\nopenrtmp_log_lines_lost_total{output=\"file\"} "),
            "{text}"
        );
        assert!(
            !text.contains("callback") && !text.contains("dvr") && !text.contains("http_"),
            "{text}"
        );
        let status = CallbackStatus {
            is_left_alone: true,
            outcomes: [
                ("allowed", 1),
                ("refused", 2),
                ("cached", 3),
                ("failed", 4),
                ("lost", 5),
            ],
        };
        let beside = Beside {
            callback: Some(status),
            viewers: Some(Viewers {
                answers: [1, 2, 3, 4, 5],
                dvr: Some(DvrFiles::default()),
                ..Viewers::default()
            }),
        };
        write_own(&mut text, &beside);
        assert!(text.contains("\nopenrtmp_dvr_bytes 0\n"), "{text}");
        assert!(text.contains("\nopenrtmp_http_connections 0\n"), "{text}");
        let refusals = "\nopenrtmp_http_answers_total{class=\"4xx\"} 4\n";
        assert!(text.contains(refusals), "{text}");
        assert!(
            text.contains("\nopenrtmp_callback_left_alone 1\n"),
            "{text}"
        );
        let refused = "\nopenrtmp_callback_requests_total{outcome=\"refused\"} 2\n";
        assert!(text.contains(refused), "{text}");
    }

    #[test]
    fn asking_often_costs_no_more_than_once_in_a_while() {
        let mut config = Config::desktop();
        config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
        let server = Arc::new(Server::start(config).expect("it starts"));
        let made = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = made.clone();
        let begun = Instant::now();
        let ask = once_in_a_while(&server, move |_| {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Answer::status(Status::OK)
        });
        for _ in 0..10_000 {
            assert_eq!(ask().status, Status::OK);
        }
        let most = 1 + begun.elapsed().as_secs() as usize;
        assert!(made.load(std::sync::atomic::Ordering::Relaxed) <= most);
        drop(server);
    }
}
