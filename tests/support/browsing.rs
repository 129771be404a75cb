//! Browsers that go through scenes (`browsers/drive.mjs`), and a stream for them that tells the
//! time in every frame.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openrtmp_core::Config;
use serde_json::Value;

use crate::{Delivered, Finished, Late, PLAIN, Process, SECURE, Tool, browser_packages};

/// No scene takes longer, unless it is told.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Milliseconds for which a machine may have no time for a page, and nothing that is played is to
/// stop.
const AWAY: f64 = 150.0;
/// Milliseconds that frames may come late to the server, and the same: less than any player has in
/// its buffer.
const LATE: f64 = 200.0;
/// Milliseconds after which what came late is there for a player, too.
const FETCHED: f64 = 300.0;
/// Pixels of a block's side, and bits of the time in milliseconds that is painted.
const BLOCK: u32 = 20;
const BITS: u32 = 20;

/// A browser without a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Browser {
    /// Debian's.
    Chromium,
    /// The one with extended support.
    Firefox,
}

/// A scene that is going on in a browser.
#[derive(Debug)]
pub struct Scene(Process);

impl Browser {
    /// Begins a scene at a URL.
    pub fn begin(self, scene: &str, url: &str, options: &[(&str, &str)]) -> Scene {
        self.begin_within(PATIENCE, scene, url, options)
    }

    /// The same for one that may take longer than most.
    pub fn begin_within(
        self,
        patience: Duration,
        scene: &str,
        url: &str,
        options: &[(&str, &str)],
    ) -> Scene {
        let name = format!("{self:?}").to_lowercase();
        let mut command: Command = Tool::Node.command();
        let driver = concat!(env!("CARGO_MANIFEST_DIR"), "/browsers/drive.mjs");
        command.arg(driver).args([&name, scene, url]);
        let options = options
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        command.args(options).env("MODULES", browser_packages());
        // It ends by itself before it is ended: no browser stays behind it.
        let limit = patience.saturating_sub(Duration::from_secs(20)).as_secs();
        command.arg(format!("limit={limit}"));
        let name = format!("{name}: {scene}");
        Scene(Process::start_told(name, command, patience))
    }

    /// Goes through a scene; what came of it.
    pub fn run(self, scene: &str, url: &str, options: &[(&str, &str)]) -> Value {
        self.begin(scene, url, options).outcome()
    }
}

impl Scene {
    /// Waits for an event of it.
    pub fn wait_for(&mut self, event: &str) {
        let line = serde_json::json!({ "event": event }).to_string();
        self.0
            .wait_for(event, |said| said == line || said.starts_with("{\"failed"));
    }

    /// What was asked for has been done.
    pub fn go_on(&mut self) {
        self.0.tell("done");
    }

    /// What came of it. Nothing went wrong in the page, and nothing came from elsewhere.
    ///
    /// # Panics
    /// If something did.
    pub fn outcome(self) -> Value {
        let Finished { name, output, .. } = self.0.wait();
        let last = output.iter().rfind(|line| line.starts_with('{'));
        let told: Value = last
            .and_then(|line| serde_json::from_str(line).ok())
            .unwrap_or_default();
        let said = output.join("\n");
        assert!(told["outcome"] != Value::Null, "{name}\n{said}");
        assert_eq!(told["faults"], serde_json::json!([]), "{name}\n{said}");
        assert_eq!(told["elsewhere"], serde_json::json!([]), "{name}\n{said}");
        told["outcome"].clone()
    }
}

/// Milliseconds since 1970 that painted times count from: now.
///
/// # Panics
/// If the clock is before that.
pub fn base() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

/// What ffmpeg paints: a row of blocks, light for 1, with the milliseconds since `base` when
/// the frame came by, and blocks around them by which it is known again.
fn painted(base: u64) -> String {
    let count = BITS + 4;
    let block = |place: u32, colour: &str| {
        let x = place * BLOCK;
        format!("drawbox=x={x}:y=0:w={BLOCK}:h={BLOCK}:color={colour}:t=fill")
    };
    let mut filters = vec![
        format!("settb=1/1000,setpts='RTCTIME/1000-{base}'"),
        format!(
            "drawbox=x=0:y=0:w={}:h={BLOCK}:color=black:t=fill",
            count * BLOCK
        ),
        block(0, "white"),
        block(count - 2, "white"),
    ];
    for bit in 0..BITS {
        let value = 1u64 << bit;
        let is_set = format!("gte(mod(floor((t*1000+0.5)/{value}),2),1)");
        filters.push(format!("{}:enable='{is_set}'", block(bit + 2, "white")));
    }
    filters.push("settb=1/30,setpts=N".to_owned());
    filters.join(",")
}

/// An encoder as a live one is set: no frame waits for another.
pub fn publish(url: &str, base: u64, seconds: u32) -> Process {
    let mut command = Tool::Ffmpeg.command();
    command.args(["-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i"]);
    command.arg("testsrc2=size=640x360:rate=30");
    command.args([
        "-re",
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=440:sample_rate=48000",
    ]);
    command.args(["-t", &seconds.to_string(), "-vf", &painted(base)]);
    command.args([
        "-vsync",
        "passthrough",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
    ]);
    command.args(["-tune", "zerolatency", "-g", "30", "-pix_fmt", "yuv420p"]);
    command.args([
        "-c:a",
        "aac",
        "-b:a",
        "96k",
        "-flush_packets",
        "1",
        "-f",
        "flv",
        url,
    ]);
    let limit = Duration::from_secs(u64::from(seconds) + 60);
    Process::start_within("ffmpeg publishing", command, limit)
}

/// A server with a stream that tells the time.
#[derive(Debug)]
pub struct Live {
    /// The server.
    pub delivered: Delivered,
    /// Who publishes `live/cam`.
    pub publishing: Process,
    /// What the painted times count from.
    pub base: u64,
}

impl Live {
    /// Starts it, with settings that `change` has changed.
    pub fn start(change: impl FnOnce(&mut Config)) -> Live {
        Live::start_for(240, change)
    }

    /// The same for so many seconds.
    pub fn start_for(seconds: u32, change: impl FnOnce(&mut Config)) -> Live {
        Live::speaking(PLAIN, seconds, change)
    }

    /// The same at this address, [`SECURE`] for example.
    pub fn speaking(listen: &str, seconds: u32, change: impl FnOnce(&mut Config)) -> Live {
        let delivered = Delivered::speaking(listen, |config| {
            config.tls.self_signed = listen == SECURE;
            change(config);
        });
        let base = base();
        let publishing = publish(&delivered.server().url("live/cam"), base, seconds);
        delivered.server().wait_until_published("live/cam");
        Live {
            delivered,
            publishing,
            base,
        }
    }

    /// URL of a path.
    pub fn url(&self, path: &str) -> String {
        self.delivered.url(path)
    }
}

/// Shows figures, and checks that it was played without a stop but for those that are the
/// machine's: where it had no time for the page, or for the publisher, at that very moment. `late`
/// is what [`Pulse`](crate::Pulse) tells. Whether there were no such.
///
/// # Panics
/// If it was not.
#[expect(clippy::print_stdout, reason = "figures, for people")]
pub fn judge(what: &str, played: &Value, seconds: f64, late: &[Late]) -> bool {
    let number = |name: &str| played[name].as_f64().unwrap_or(f64::NAN);
    let first = match played["first"].is_null() {
        true => String::new(),
        false => format!(
            "first picture {} ms of the page's, {} ms of the player's; ",
            number("first"),
            number_of(&played["state"]["first"]),
        ),
    };
    let (began, ended) = (number("began"), number("ended"));
    let meanwhile = late.iter().filter(|it| it.to > began && it.from < ended);
    let late: Vec<Late> = meanwhile.copied().collect();
    let (away, stops) = (
        times(&played["away"], ended),
        times(&played["stops"], ended),
    );
    println!(
        "{what}: {first}latency p5 {} p50 {} p95 {} ms; {} frames, longest {} ms; {} stops; \
         machine away for {:.0} ms at most; frames at the server {:.0} ms late at most; {}",
        number("p5"),
        number("p50"),
        number("p95"),
        number("frames"),
        number("longest"),
        stops.len(),
        longest(&away),
        longest(&late),
        played["spoken"],
    );
    assert_eq!(own_stops(&stops, &away, &late), [], "{what}: {played}");
    assert!(number("p50") < 15_000.0, "the time is read: {played}");
    let is_even = longest(&away) < AWAY && longest(&late) < LATE;
    let least = if is_even { 0.95 } else { 0.5 };
    assert!(number("played") > seconds * least, "{what}: {played}");
    // Some are not painted where others take the time for it.
    let painted = if is_even { 10.0 } else { 1.0 };
    assert!(number("frames") > seconds * painted, "{what}: {played}");
    is_even
}

/// The stops for which nothing but server and player can be blamed.
pub fn own_stops(stops: &[Late], away: &[Late], late: &[Late]) -> Vec<Late> {
    let away = away.iter().filter(|it| it.length() >= AWAY);
    let late = late.iter().filter(|it| it.length() >= LATE);
    let causes: Vec<&Late> = away.chain(late).collect();
    let is_own = |stop: &&Late| {
        let explains = |it: &&Late| it.from <= stop.from && stop.from <= it.to + FETCHED;
        !causes.iter().any(explains)
    };
    stops.iter().filter(is_own).copied().collect()
}

fn longest(times: &[Late]) -> f64 {
    times.iter().map(Late::length).fold(0.0, f64::max)
}

/// Times that a page noted; what goes on does so to the end.
pub fn times(noted: &Value, end: f64) -> Vec<Late> {
    let noted = noted.as_array().expect("they were noted").iter();
    let time = |noted: &Value| Late {
        from: noted["from"].as_f64().expect("a time"),
        to: noted["to"].as_f64().unwrap_or(end),
    };
    noted.map(time).collect()
}

fn number_of(value: &Value) -> i64 {
    value.as_f64().map_or(-1, |value| value.round() as i64)
}

#[cfg(test)]
mod tests {
    use openrtmp_core::client::MediaKind;

    use super::*;
    use crate::pulse::{self, Came};

    #[test]
    fn a_stop_is_the_machines_only_where_that_was_late() {
        let late = |from, to| Late { from, to };
        let stops = [late(1000.0, 1500.0), late(5000.0, 5100.0)];
        assert_eq!(own_stops(&stops, &[], &[]), stops);
        let [first, second] = stops;
        // At that time, or a moment before it, for as long as matters.
        assert_eq!(own_stops(&stops, &[], &[late(900.0, 1400.0)]), [second]);
        assert_eq!(own_stops(&stops, &[late(700.0, 900.0)], &[]), [second]);
        assert_eq!(own_stops(&stops, &[], &[late(990.0, 1100.0)]), stops);
        assert_eq!(own_stops(&stops, &[late(4500.0, 5001.0)], &[]), [first]);
        // Neither long before nor behind it.
        assert_eq!(own_stops(&stops, &[], &[late(100.0, 600.0)]), stops);
        assert_eq!(own_stops(&stops, &[], &[late(1100.0, 2000.0)]), stops);
        // Nor where a publisher fell behind before, and stays there.
        let came: Vec<Came> = (0..300)
            .map(|place| f64::from(place) * 1000.0 / 30.0)
            .map(|time| Came {
                track: (MediaKind::Video, 0),
                time,
                at: time + if time < 900.0 { 0.0 } else { 2.0 * LATE },
            })
            .collect();
        assert_eq!(own_stops(&stops, &[], &pulse::late(&came)), [second]);
    }
}
