//! Streams of encoders, followed for long by `openrtmp probe` at `openrtmp serve`: no rule of HLS
//! is broken, while they go on and as they were kept.
//!
//! Each is looked at for a minute, or for as many seconds as `HLS_SECONDS` says.

use std::process::Command;
use std::thread;

use openrtmp_tests::{Process, ServerProcess, Tool, Web, found_at_last, free_ports, openrtmp};

/// So many at once: an encoder and who looks take little of a machine each.
const AT_ONCE: usize = 4;
/// Frames per second.
const RATES: [&str; 6] = ["60", "30000/1001", "25", "24000/1001", "15", "10"];
/// Parts may come so much later than they are to.
const LATE: &str = "500ms";

/// When sound begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sound {
    AtOnce,
    /// Four seconds behind the first picture.
    Late,
    Never,
}

#[derive(Clone, Copy, Debug)]
struct Capture {
    rate: &'static str,
    has_b_frames: bool,
    sound: Sound,
}

impl Capture {
    fn all() -> Vec<Capture> {
        let sounds = [Sound::AtOnce, Sound::Late, Sound::Never];
        let of_rate = |rate| {
            let with = move |has_b_frames| {
                sounds.map(move |sound| Capture {
                    rate,
                    has_b_frames,
                    sound,
                })
            };
            [false, true].into_iter().flat_map(with)
        };
        RATES.into_iter().flat_map(of_rate).collect()
    }

    fn name(self) -> String {
        let Capture {
            rate,
            has_b_frames,
            sound,
        } = self;
        let rate = rate.replace('/', "_");
        format!("{rate}-{}-{sound:?}", if has_b_frames { "b" } else { "p" }).to_lowercase()
    }

    /// An encoder of it that goes on for longer than anybody looks.
    fn publish(self, url: &str) -> Process {
        let mut command = Tool::Ffmpeg.command();
        command.args(["-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i"]);
        command.arg(format!("testsrc2=size=320x180:rate={}", self.rate));
        match self.sound {
            Sound::AtOnce => sound(&mut command, &[]),
            Sound::Late => sound(&mut command, &["-itsoffset", "4"]),
            Sound::Never => {}
        }
        command.args([
            "-c:v",
            "libx264",
            "-preset",
            "superfast",
            "-pix_fmt",
            "yuv420p",
        ]);
        command.args(["-bf", if self.has_b_frames { "2" } else { "0" }]);
        // A key frame each two seconds, as encoders are told by those who deliver.
        command.args(["-force_key_frames", "expr:gte(t,n_forced*2)"]);
        command.args(["-c:a", "aac", "-b:a", "64k", "-f", "flv", url]);
        Process::start("ffmpeg publishing", command)
    }
}

fn sound(command: &mut Command, offset: &[&str]) {
    command.args(offset).args(["-re", "-f", "lavfi", "-i"]);
    command.arg("sine=frequency=440:sample_rate=48000");
}

/// What `openrtmp probe --check` finds wrong.
fn violations(arguments: &[&str]) -> serde_json::Value {
    let mut command = openrtmp();
    command.args(["probe", "--json", "--check", "--late", LATE]);
    let output = command.args(arguments).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|error| {
        let told = String::from_utf8_lossy(&output.stderr);
        panic!("{error}: {text}\n{told}")
    });
    assert!(
        !report["renditions"].as_array().unwrap().is_empty(),
        "{report:#}"
    );
    report["violations"].clone()
}

#[test]
fn what_encoders_of_all_kinds_send_breaks_no_rule_for_long() {
    let seconds = std::env::var("HLS_SECONDS").ok();
    let seconds: u32 = seconds.map_or(60, |text| text.parse().expect("seconds"));
    openrtmp();
    let [port] = free_ports();
    let server = ServerProcess::start(&["--http", &format!("127.0.0.1:{port}")]);
    let (base, address) = (server.url(""), ([127, 0, 0, 1], port).into());
    let mut wrong = Vec::new();
    for some in Capture::all().chunks(AT_ONCE) {
        let looked: Vec<(Capture, [serde_json::Value; 2])> = thread::scope(|scope| {
            let look = |capture: Capture| {
                let path = format!("live/{}", capture.name());
                let publishing = capture.publish(&format!("{base}{path}"));
                let master = format!("/{path}/index.m3u8");
                found_at_last(&master, || {
                    (Web::fetch(address, &master).status == 200).then_some(())
                });
                let folder = tempfile::tempdir().expect("a folder");
                let kept = folder.path().to_str().expect("ASCII");
                let url = format!("http://{address}{master}");
                let span = format!("{seconds}s");
                let live = violations(&["--duration", &span, "--save", kept, &url]);
                publishing.kill();
                (capture, [live, violations(&[kept])])
            };
            let threads: Vec<_> = some
                .iter()
                .map(|capture| scope.spawn(move || look(*capture)))
                .collect();
            let ended = threads
                .into_iter()
                .map(|thread| thread.join().expect("it ends"));
            ended.collect()
        });
        for (capture, found) in looked {
            eprintln!("{}: {} and {}", capture.name(), found[0], found[1]);
            if found.iter().any(|it| it.as_array() != Some(&Vec::new())) {
                wrong.push(format!("{capture:?}: {found:?}"));
            }
        }
    }
    server.kill();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
