//! The server under a service manager: what it is passed, and what it tells.

#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};

/// Passes sockets as systemd does: from descriptor 3 on, to this process, with names.
const PASS: &str = "exec 3<&0 4<&1 0</dev/null 1>/dev/null; \
                    LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=rtmp:http exec \"$0\" serve";

/// A service manager that has a socket each for RTMP and HTTP.
struct Manager {
    rtmp: TcpListener,
    http: TcpListener,
    notify: UnixDatagram,
    folder: tempfile::TempDir,
}

impl Manager {
    fn new() -> Manager {
        let folder = tempfile::tempdir().expect("a folder");
        let notify = UnixDatagram::bind(folder.path().join("notify")).expect("a socket");
        let socket = || TcpListener::bind("127.0.0.1:0").expect("a port");
        Manager {
            rtmp: socket(),
            http: socket(),
            notify,
            folder,
        }
    }

    fn start(&self) -> Service {
        let descriptor = |socket: &TcpListener| {
            Stdio::from(OwnedFd::from(socket.try_clone().expect("a descriptor")))
        };
        let child = Command::new("sh")
            .args(["-c", PASS, env!("CARGO_BIN_EXE_openrtmp")])
            .env("NOTIFY_SOCKET", self.folder.path().join("notify"))
            .env("WATCHDOG_USEC", "200000")
            .stdin(descriptor(&self.rtmp))
            .stdout(descriptor(&self.http))
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        Service(child)
    }

    fn wait_for(&self, told: &str) -> String {
        let mut bytes = [0; 4096];
        loop {
            let length = self.notify.recv(&mut bytes).expect("it is told");
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if text.contains(told) {
                return text;
            }
        }
    }
}

struct Service(Child);

impl Service {
    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.expect("kill is there").success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn address(socket: &TcpListener) -> SocketAddr {
    socket.local_addr().expect("it is bound")
}

/// Begins the handshake (section 5.2): whoever answers serves.
fn say_hello(socket: &TcpListener) -> TcpStream {
    let mut stream = TcpStream::connect(address(socket)).expect("somebody listens");
    let hello = [&[3][..], &[0; 1536]].concat();
    stream.write_all(&hello).expect("it takes it");
    stream
}

fn is_served(stream: &mut TcpStream) -> bool {
    let mut version = [0];
    stream.read_exact(&mut version).expect("an answer");
    version == [3]
}

#[test]
fn it_serves_on_passed_sockets_tells_how_it_is_and_who_waits_is_served_after_a_restart() {
    let manager = Manager::new();
    let mut first = manager.start();
    let ready = manager.wait_for("READY=1");
    let expected = format!("STATUS=on {}", address(&manager.rtmp));
    assert!(ready.ends_with(&expected), "{ready}: on nothing else");
    manager.wait_for("WATCHDOG=1");
    assert!(is_served(&mut say_hello(&manager.rtmp)));
    let mut http = TcpStream::connect(address(&manager.http)).expect("it listens");
    http.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")
        .expect("it takes it");
    let mut answer = String::new();
    http.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

    first.signal("TERM");
    manager.wait_for("STOPPING=1");
    assert!(first.0.wait().expect("it is ours").success());
    let mut waiting = say_hello(&manager.rtmp);
    let _second = manager.start();
    manager.wait_for("READY=1");
    assert!(is_served(&mut waiting));
}

#[test]
fn what_would_be_done_is_shown_for_every_system() {
    for (system, part) in [
        ("linux", "run systemctl enable openrtmp@studio.service"),
        ("macos", "run launchctl bootstrap system"),
        ("windows", "run sc.exe create openrtmp-studio"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_openrtmp"))
            .args([
                "service",
                "install",
                "--dry-run",
                "--name",
                "studio",
                "--system",
                system,
            ])
            .output()
            .expect("it runs");
        let told = String::from_utf8(output.stdout).expect("text");
        let error = String::from_utf8(output.stderr).expect("text");
        // The program that is tested may be where no service sees it.
        if system == "linux" && error.contains("a service does not see") {
            continue;
        }
        assert!(output.status.success(), "{error}");
        assert!(told.contains(part), "{told}");
    }
}
