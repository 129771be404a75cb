//! Apps whose names mean something else in a URL are not delivered, and the log says so.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use openrtmp_core::HttpList;
use openrtmp_tests::{Delivered, Web, found_at_last};

/// First segments that are no app's.
const RESERVED: [&str; 9] = [
    "play", "v", "api", "ws", "assets", "time", "metrics", "healthz", "readyz",
];
/// Nothing here takes longer.
const DEADLINE: Duration = Duration::from_secs(30);

/// A logger that passes warnings on.
struct Logger(Mutex<Sender<String>>);

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            drop(heard.send(record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

/// Lines about names that are reserved, until there are so many.
fn told(lines: &Receiver<String>, count: usize) -> BTreeMap<String, usize> {
    let mut told = BTreeMap::new();
    while told.values().sum::<usize>() < count {
        let line = lines.recv_timeout(DEADLINE).expect("a line for each");
        if line.contains("reserved") {
            *told.entry(line).or_default() += 1;
        }
    }
    told
}

#[test]
fn each_reserved_name_is_told_once_and_delivered_by_nobody() {
    let (heard, lines) = channel();
    log::set_boxed_logger(Box::new(Logger(Mutex::new(heard)))).expect("the only one");
    log::set_max_level(log::LevelFilter::Warn);
    let delivered = Delivered::start(|config| {
        config.http.list = HttpList::All;
        config.limits.publishers = 64;
    });
    let core = delivered.server().core();
    let publish = |path: String| core.publish(&path).expect("a name that is free");
    let _reserved = RESERVED.map(|app| publish(format!("{app}/cam")));
    let expected: BTreeMap<String, usize> = RESERVED
        .iter()
        .map(|app| {
            let line =
                format!("{app}/cam is not delivered over HTTP: its app's name is reserved there");
            (line, 1)
        })
        .collect();
    assert_eq!(told(&lines, RESERVED.len()), expected);
    // Those that merely begin so are, as is one so called below another.
    let _others = RESERVED.map(|app| publish(format!("{app}s/cam")));
    let _below = publish("live/play".to_owned());
    let mut web = Web::connect(delivered.address());
    let names = found_at_last("all streams but those", || {
        let listed = web.get("/api/streams", &[]);
        let listed: serde_json::Value = serde_json::from_slice(&listed.body).unwrap();
        let streams = listed["streams"].as_array().unwrap().iter();
        let names = streams.map(|it| it["name"].as_str().unwrap().to_owned());
        let names: Vec<String> = names.collect();
        (names.len() > RESERVED.len()).then_some(names)
    });
    let mut usual: Vec<String> = RESERVED.iter().map(|app| format!("{app}s/cam")).collect();
    usual.push("live/play".to_owned());
    usual.sort();
    assert_eq!(names, usual);
    for app in RESERVED {
        for form in ["/index.m3u8", "/ts/index.m3u8", "/manifest.mpd", ".flv"] {
            let path = format!("/{app}/cam{form}");
            let answer = web.get(&path, &[]);
            // `v` is followed by a token, which `cam` is none.
            let expected = if app == "v" { 403..=404 } else { 404..=404 };
            assert!(
                expected.contains(&answer.status),
                "{path}: {}",
                answer.status
            );
        }
    }
    assert!(lines.try_iter().all(|line| !line.contains("reserved")));
}
