//! Browsers that go through scenes (`browsers/drive.mjs`), and a stream for them that tells the
//! time in every frame.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openrtmp_core::Config;
use serde_json::Value;

use crate::{Delivered, Finished, Process, Tool, browser_packages};

/// No scene takes longer, unless it is told.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Milliseconds for which the machine may be busy with something else, and nothing that is
/// played is to stop.
pub const AWAY: f64 = 150.0;
/// Seconds that parts may come late at the server, and the same.
pub const LATE: f64 = 0.3;
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
        let delivered = Delivered::start(change);
        let base = base();
        let publishing = publish(&delivered.server().url("live/cam"), base, 240);
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

/// Shows figures, and checks that it was played, most of the time; and throughout, if the
/// machine had time for it. `late` is what [`Pulse`](crate::Pulse) says.
///
/// # Panics
/// If not.
#[expect(clippy::print_stdout, reason = "figures, for people")]
pub fn judge(what: &str, played: &Value, seconds: f64, late: f64) {
    let number = |name: &str| played[name].as_f64().unwrap_or(f64::NAN);
    let first = match played["first"].is_null() {
        true => String::new(),
        false => format!(
            "first picture {} ms of the page's, {} ms of the player's; ",
            number("first"),
            number_of(&played["state"]["first"]),
        ),
    };
    println!(
        "{what}: {first}latency p5 {} p50 {} p95 {} ms; {} frames, longest {} ms; {} waits; \
         machine away for {} ms at most; parts at the server {late} s late at most; {}",
        number("p5"),
        number("p50"),
        number("p95"),
        number("frames"),
        number("longest"),
        number("waits"),
        number("away"),
        played["spoken"],
    );
    assert!(number("p50") < 20_000.0, "the time is read: {played}");
    assert!(number("played") > seconds * 0.5, "{what}: {played}");
    // A machine that had no time for the page, or for the publisher, had none for the stream.
    if number("away") < AWAY && late < LATE {
        assert_eq!(played["waits"], 0, "{what}: {played}");
        assert!(number("played") > seconds * 0.9, "{what}: {played}");
        // Some are not painted where others take the time for it.
        assert!(number("frames") > seconds * 10.0, "{what}: {played}");
    }
}

fn number_of(value: &Value) -> i64 {
    value.as_f64().map_or(-1, |value| value.round() as i64)
}
