//! The log of `openrtmp serve`, as programs see it that read logs and put them aside.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use openrtmp_core::client::{Client, ClientConfig, ClientMode, MediaKind};
use openrtmp_core::protocol::RtmpUrl;
use openrtmp_tests::{Process, Tool, free_ports, openrtmp};

/// A server that logs to a file.
struct Logged {
    process: Process,
    port: u16,
    folder: tempfile::TempDir,
}

impl Logged {
    fn start(flags: &[&str]) -> Logged {
        let [port] = free_ports();
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = openrtmp();
        command
            .args(["serve", "--listen", &format!("127.0.0.1:{port}")])
            .args(["--log", "debug", "--log-file"])
            .arg(folder.path().join("openrtmp.log"))
            .args(flags)
            .env("OPENRTMP_LIMITS__LOG_LINES", "0")
            .env("OPENRTMP_LIMITS__PUBLISHERS", "1");
        let mut process = Process::start("openrtmp serve", command);
        process.wait_for("readiness", |line| line.contains("Ctrl-C stops"));
        Logged {
            process,
            port,
            folder,
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("openrtmp.log")
    }

    /// Waits until something is in the log so often, all files of it counted.
    fn wait_for(&self, text: &str, times: usize) {
        let begun = std::time::Instant::now();
        loop {
            let all = read(&self.log()) + &read(&self.folder.path().join("openrtmp.log.1"));
            if all.matches(text).count() >= times {
                return assert_eq!(all.matches(text).count(), times, "{all}");
            }
            let is_late = begun.elapsed() > Duration::from_secs(30);
            assert!(!is_late, "{text} is not in it {times} times:\n{all}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Somebody comes and goes.
    fn knock(&self) {
        drop(TcpStream::connect(("127.0.0.1", self.port)).expect("it is served"));
    }

    /// Puts the log aside.
    fn rotate(&self, how: &str) {
        let folder = self.folder.path();
        let config = folder.join("rotate.conf");
        let text = format!(
            "{} {{\n  rotate 1\n  nocompress\n  {how}\n}}\n",
            self.log().display()
        );
        fs::write(&config, text).expect("a file");
        let mut command = Tool::Logrotate.command();
        command
            .args(["--force", "--state"])
            .arg(folder.join("state"));
        let output = command.arg(&config).output().expect("it is there");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.is_empty(), "{said}");
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn jq(filter: &str, file: &Path) -> String {
    let mut command = Tool::Jq.command();
    let output = command.args(["-r", filter]).arg(file).output();
    let output = output.expect("jq is there");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}\n{}", read(file));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn jq_reads_every_line_and_finds_who_did_what() {
    let server = Logged::start(&["--log-format", "json"]);
    let client = |name: &str, mode| {
        let url = format!("rtmp://127.0.0.1:{}/live/{name}", server.port);
        let url = RtmpUrl::parse(&url).expect("a URL");
        Client::connect(ClientConfig::new(url, mode))
    };
    let name = "a\"b\u{1b}[31m\u{202e}";
    let mut publisher = client(name, ClientMode::Publish).expect("it may");
    let sent = publisher.send(MediaKind::Audio, 0, b"\xAF\x01sound");
    sent.and_then(|()| publisher.flush()).expect("it is taken");
    client("cam", ClientMode::Publish).expect_err("one more than may");
    drop(publisher);
    server.wait_for("connection closed", 2);
    let log = server.log();
    let lines = read(&log).lines().count();
    assert_eq!(jq(".time | length", &log), "24\n".repeat(lines));
    let attempts = jq(
        "select(.action) | [.action, .outcome, .app // .stream, .code // \"\"] | @tsv",
        &log,
    );
    let expected = "connect\tgranted\tlive\t\n\
                    publish\tgranted\tlive/a\"b\\\\u{1b}[31m\\\\u{202e}\t\n\
                    connect\tgranted\tlive\t\n\
                    publish\trefused\tlive/cam\tNetStream.Publish.BadName\n";
    assert_eq!(attempts, expected);
    let times = jq("select(.handshake_ms != null) | .handshake_ms | type", &log);
    assert_eq!(times, "number\n".repeat(2));
    let ends = jq("select(.did) | .bytes_in > 3000, .duration_ms >= 0", &log);
    assert_eq!(ends, "true\n".repeat(4));
}

#[test]
fn logrotate_loses_nothing_whether_or_not_it_tells() {
    let server = Logged::start(&[]);
    let hang_up = format!(
        "postrotate\n  kill -HUP {}\n  endscript",
        server.process.id()
    );
    for (turn, how) in [hang_up.as_str(), "copytruncate", "nocreate"]
        .into_iter()
        .enumerate()
    {
        // What is there from the turn before is deleted.
        drop(fs::remove_file(server.folder.path().join("openrtmp.log.1")));
        drop(fs::remove_file(server.log()));
        let accepted = "connection accepted";
        // It sees after a second at most that the file is gone.
        while !read(&server.log()).contains(accepted) {
            server.knock();
            thread::sleep(Duration::from_millis(10));
        }
        server.wait_for_quiet();
        let before = read(&server.log()).matches(accepted).count();
        server.rotate(how);
        let old = read(&server.folder.path().join("openrtmp.log.1"));
        assert_eq!(old.matches(accepted).count(), before, "turn {turn}");
        for more in 1..=200 {
            server.knock();
            server.wait_for(accepted, before + more);
            if read(&server.log()).contains(accepted) {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let new = read(&server.log());
        assert!(new.contains(accepted), "turn {turn}");
        assert!(new.starts_with("20") && new.ends_with('\n'), "{new:?}");
    }
}

impl Logged {
    /// Waits until no more have come for a moment.
    fn wait_for_quiet(&self) {
        let came = || read(&self.log()).matches("connection accepted").count();
        let mut seen = usize::MAX;
        while seen != came() {
            seen = came();
            thread::sleep(Duration::from_millis(50));
        }
    }
}
