//! What a script sees of `openrtmp`: exit codes, and which stream says what.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// FLV 10.1, annex E: header (audio and video), PreviousTagSize0, one audio tag
/// of two bytes at 0 ms, its size.
const FLV: [u8; 30] = [
    b'F', b'L', b'V', 1, 5, 0, 0, 0, 9, 0, 0, 0, 0, // header
    8, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0xAF, 0x01, // tag
    0, 0, 0, 13, // its size
];

fn openrtmp(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_openrtmp"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the command starts")
}

/// Exit code, and that exactly one line on standard error explains it.
fn failure(output: &Output) -> (i32, String) {
    let message = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.starts_with("openrtmp: "), "{message}");
    assert!(output.stdout.is_empty());
    (output.status.code().expect("it exits by itself"), message)
}

/// A folder of a test's own, removed when it ends.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn path(&self, name: &str) -> String {
        let path = self.0.path().join(name);
        path.to_str()
            .expect("the folder's name is ASCII")
            .to_owned()
    }
}

/// A URL on whose port nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    format!("rtmp://127.0.0.1:{port}/live/camera")
}

#[test]
fn help_is_data_and_documents_the_exit_codes() {
    for arguments in [
        &["--help"][..],
        &["serve", "--help"],
        &["publish", "--help"],
        &["play", "--help"],
        &["record", "--help"],
        &["probe", "--help"],
        &["token", "--help"],
    ] {
        let output = openrtmp(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(help.contains("Exit codes:"), "{arguments:?}: {help}");
        assert!(output.stderr.is_empty());
    }
    assert!(openrtmp(&["--version"]).stdout.starts_with(b"openrtmp "));
}

#[test]
fn a_wrong_command_line_exits_with_2_and_one_line() {
    for (arguments, word) in [
        (&["dance"][..], "dance"),
        (&["play"], "<URL>"),
        (
            &["play", "--flag", "rtmp://localhost/live/camera"],
            "--flag",
        ),
        (&["play", "http://localhost/live/camera"], "rtmp://"),
        (&["play", "rtmp://localhost/"], "stream"),
        (
            &["play", "--force", "rtmp://localhost/live/camera"],
            "--output",
        ),
        (&["probe", "rtmp://localhost:99999/live/camera"], "99999"),
        (
            &[
                "probe",
                "--duration",
                "soon",
                "rtmp://localhost/live/camera",
            ],
            "soon",
        ),
        (&["record", "rtmp://localhost/live/camera"], "<FILE>"),
        (
            &["play", "--duration", "0", "rtmp://localhost/live/camera"],
            "longer than 0",
        ),
        (
            &["probe", "--timeout", "0s", "rtmp://localhost/live/camera"],
            "longer than 0",
        ),
        (
            &["record", "--durtion", "5", "rtmp://localhost/live/x", "x"],
            "similar argument exists: '--duration'",
        ),
        (&["serve", "--listn", "1935"], "'--listen'"),
        (&["serv"], "'serve'"),
        (&["serve", "--stop-timeout", "soon"], "soon"),
        (&["publish", "movie.flv"], "<URL>"),
        (&["--log", "loud", "serve"], "loud"),
        (&["serve", "--listen", "localhost"], "--listen"),
        (&["serve", "--workers", "100"], "100"),
    ] {
        let (code, message) = failure(&openrtmp(arguments));
        assert_eq!(code, 2, "{arguments:?}");
        assert!(message.contains(word), "{arguments:?}: {message}");
    }
    let nothing = openrtmp(&[]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("Usage:"));
}

#[test]
fn a_url_that_is_not_taken_is_not_repeated() {
    for url in [
        "rtmp://ann:s3cret@/live/camera",
        "rtmp://a b:s3cret@localhost/live/camera",
        "rtmp://ann:s3cret/@localhost/live/camera",
        "http://localhost/live/camera?key=s3cret",
    ] {
        let (code, message) = failure(&openrtmp(&["play", url]));
        assert_eq!(code, 2, "{url}");
        assert!(!message.contains("s3cret"), "{message}");
    }
}

#[test]
fn a_file_that_cannot_be_published_exits_with_2_before_connecting() {
    let folder = Folder::new();
    let url = nobody();
    let missing = openrtmp(&["publish", &folder.path("missing.flv"), &url]);
    let (code, message) = failure(&missing);
    assert!(code == 2 && message.contains("missing.flv"), "{message}");

    let text = folder.file("text.flv", b"not a movie");
    let (code, message) = failure(&openrtmp(&["publish", &text, &url]));
    assert!(
        code == 2 && message.contains("not an FLV file"),
        "{message}"
    );

    let empty = folder.file("empty.flv", b"");
    let (code, message) = failure(&openrtmp(&["publish", &empty, &url]));
    assert!(
        code == 2 && message.contains("not an FLV file"),
        "{message}"
    );

    let (code, message) = failure(&openrtmp(&["publish", &folder.path(""), &url]));
    assert!(code == 2 && message.contains("folder"), "{message}");

    let (code, message) = failure(&openrtmp(&["publish", "--loop", "-", &url]));
    assert!(code == 2 && message.contains("--loop"), "{message}");
}

#[test]
fn an_existing_recording_is_kept() {
    let folder = Folder::new();
    let file = folder.file("kept.flv", b"precious");
    let (code, message) = failure(&openrtmp(&["record", &nobody(), &file]));
    assert!(code == 2 && message.contains("--force"), "{message}");
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");

    // Overwriting starts with the first frame, and there is none.
    let (code, _) = failure(&openrtmp(&["record", "--force", &nobody(), &file]));
    assert_eq!(code, 1);
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
}

#[test]
fn a_recording_into_nowhere_exits_with_2() {
    let folder = Folder::new();
    let file = folder.path("no/such/folder/camera.flv");
    let (code, message) = failure(&openrtmp(&["record", &nobody(), &file]));
    assert!(code == 2 && message.contains("cannot write"), "{message}");
}

#[test]
fn a_server_that_is_not_there_exits_with_1() {
    let folder = Folder::new();
    let movie = folder.file("movie.flv", &FLV);
    let url = nobody();
    let recording = folder.path("recording.flv");
    for arguments in [
        &["publish", &movie, &url][..],
        &["play", &url],
        &["probe", &url],
        &["record", &url, &recording],
    ] {
        let (code, message) = failure(&openrtmp(arguments));
        assert_eq!(code, 1, "{arguments:?}");
        assert!(message.contains("cannot connect to 127.0.0.1"), "{message}");
    }
    assert!(!Path::new(&recording).exists(), "no empty file is left");
}

/// A FIFO or a device is no file that could be lost; its name says nothing of it.
#[test]
#[cfg(unix)]
fn a_device_is_written_to_without_force() {
    for output in ["/dev/null", "/dev/stdout"] {
        let arguments = ["play", "-o", output, &nobody()];
        let (code, message) = failure(&openrtmp(&arguments));
        assert_eq!(code, 1, "{message}");
        assert!(message.contains("cannot connect"), "{message}");
    }
}

#[test]
fn a_recording_says_that_it_will_be_flv() {
    let folder = Folder::new();
    let output = openrtmp(&["record", &nobody(), &folder.path("x.mkv")]);
    let told = String::from_utf8(output.stderr).unwrap();
    let first = told.lines().next().unwrap();
    assert!(
        first.ends_with("will be an FLV file: mkv is not written yet"),
        "{told}"
    );
}

#[test]
fn what_the_server_says_cannot_forge_a_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut hello = [0; 1_537];
        socket.read_exact(&mut hello).unwrap();
        // S0, S1, S2 (RTMP 1.0 section 5.2), and an _error to `connect` with a status.
        let mut answer = vec![3];
        answer.extend_from_slice(&[0; 1_536]);
        answer.extend_from_slice(&hello[1..]);
        socket.write_all(&answer).unwrap();
        socket.read_exact(&mut [0; 1_536]).unwrap();
        let string = |text: &str| [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat();
        let mut body = [
            &b"\x02"[..],
            &string("_error"),
            b"\0\x3f\xf0\0\0\0\0\0\0\x05\x03",
        ]
        .concat();
        for (name, value) in [
            ("level", "error"),
            ("code", "NetConnection.Connect.Rejected"),
            ("description", "no\nopenrtmp: all is well\r\x1b[2J\u{202e}"),
        ] {
            body.extend([string(name), b"\x02".to_vec(), string(value)].concat());
        }
        body.extend(b"\0\0\x09");
        // In chunks of 128 bytes (section 5.3.1).
        let mut message = vec![3, 0, 0, 0, 0, 0, body.len() as u8, 20, 0, 0, 0, 0];
        for (index, chunk) in body.chunks(128).enumerate() {
            message.extend([0xC3].iter().take(usize::from(index > 0)));
            message.extend_from_slice(chunk);
        }
        socket.write_all(&message).unwrap();
        let _ = socket.read(&mut [0; 4096]);
    });
    let url = format!("rtmp://127.0.0.1:{port}/live/camera");
    let (code, message) = failure(&openrtmp(&["play", &url]));
    assert_eq!(code, 1);
    let text = message.trim_end();
    assert!(text.contains("all is well"), "{text:?}");
    assert!(
        text.chars().all(|c| c == ' ' || c.is_ascii_graphic()),
        "{text:?}"
    );
    server.join().unwrap();
}

#[test]
fn a_server_of_another_kind_exits_with_1() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.read_exact(&mut [0; 1_537]).unwrap();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n").unwrap();
        let _ = socket.read(&mut [0]);
    });
    let url = format!("rtmp://127.0.0.1:{port}/live/camera");
    let (code, message) = failure(&openrtmp(&["probe", &url]));
    assert!(
        code == 1 && message.contains("this looks like HTTP"),
        "{message}"
    );
    server.join().unwrap();
}

#[test]
fn shells_complete_every_command_and_flag() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = openrtmp(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0));
        let script = String::from_utf8(output.stdout).unwrap();
        for word in ["serve", "drain", "publish-key", "stop-timeout"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    failure(&openrtmp(&["completions", "cobol"]));
}

/// The shell itself reads it, and completes.
#[cfg(target_os = "linux")]
#[test]
fn bash_takes_its_script() {
    let folder = Folder::new();
    let script = openrtmp(&["completions", "bash"]).stdout;
    let file = folder.file("openrtmp.bash", &script);
    let complete = "source \"$0\" && COMP_WORDS=(openrtmp ctl dr) COMP_CWORD=2 \
                    && _openrtmp openrtmp dr ctl && echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["-c", complete, &file]).output();
    let output = output.expect("there is a bash");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "drain\n");
}

#[test]
fn every_command_has_a_page() {
    let folder = Folder::new();
    let pages = folder.path("man");
    assert_eq!(openrtmp(&["man", &pages]).status.code(), Some(0));
    for (name, word) in [
        ("openrtmp", "serve"),
        ("openrtmp-serve", "publish\\-key"),
        ("openrtmp-ctl-drain", "grace"),
    ] {
        let page = std::fs::read_to_string(format!("{pages}/{name}.1")).unwrap();
        assert!(page.contains(".TH ") && page.contains(word), "{name}");
    }
    let file = folder.file("taken", b"");
    let (code, told) = failure(&openrtmp(&["man", &file]));
    assert_eq!(code, 2);
    assert!(told.contains("taken"), "{told}");
}
