//! The picture of the server's URL, read as a phone's camera does.

use std::fs;
use std::process::Command;

use openrtmp_tests::{Process, openrtmp};

/// Pixels of a module.
const SCALE: usize = 8;

/// A picture (PGM) of lines of half blocks.
fn image(lines: &[String]) -> Vec<u8> {
    let width = lines[0].chars().count();
    let mut rows = Vec::new();
    for line in lines {
        let dark = |blocks: [char; 2]| -> Vec<bool> {
            line.chars().map(|c| blocks.contains(&c)).collect()
        };
        rows.push(dark(['\u{2580}', '\u{2588}']));
        rows.push(dark(['\u{2584}', '\u{2588}']));
    }
    let mut image = format!("P5 {} {} 255\n", width * SCALE, rows.len() * SCALE).into_bytes();
    for row in rows {
        let pixels: Vec<u8> = row
            .iter()
            .flat_map(|dark| [if *dark { 0 } else { 255 }; SCALE])
            .collect();
        (0..SCALE).for_each(|_| image.extend_from_slice(&pixels));
    }
    image
}

/// What the code that `openrtmp serve --qr` prints says, and the URL in words below it.
fn read(flags: &[&str]) -> (String, String) {
    let mut command = openrtmp();
    command.args(["serve", "--listen=127.0.0.1:0", "--qr"]);
    command.args(flags);
    let mut server = Process::start("openrtmp serve", command);
    let url = server.wait_for("the URL in words", |line| line.starts_with("Scan "));
    let server = server.kill();
    let is_block = |line: &&String| {
        let blocks = line
            .chars()
            .all(|c| " \u{2580}\u{2584}\u{2588}".contains(c));
        blocks && line.chars().count() > 20
    };
    let lines: Vec<String> = server.output.iter().filter(is_block).cloned().collect();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("code.pgm");
    fs::write(&file, image(&lines)).expect("it is written");
    let words = url.trim_start_matches("Scan ").to_owned();
    (scan(&file), words)
}

/// What zbarimg reads in a file.
fn scan(file: &std::path::Path) -> String {
    let mut reader = Command::new("zbarimg");
    reader.args(["--quiet", "--raw"]).arg(file);
    let read = Process::start("zbarimg", reader).wait().expect_success();
    // It may have something to say of a bus that it does not find.
    let code = read.output.iter().find(|line| line.starts_with("rtmp"));
    code.cloned().unwrap_or_default()
}

#[test]
fn a_camera_reads_the_url_in_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["code.png", "code.svg"] {
        let file = folder.path().join(name);
        let mut command = openrtmp();
        command.args(["serve", "--listen=127.0.0.1:0", "--qr", "--qr-file"]);
        command.arg(&file);
        let mut server = Process::start("openrtmp serve", command);
        let url = server.wait_for("the URL in words", |line| line.starts_with("Scan "));
        server.wait_for("the file", |line| line.starts_with("QR code in "));
        let url = url.trim_start_matches("Scan ").to_owned();
        server.kill();
        let left = fs::read_dir(folder.path()).expect("it is there").count();
        assert_eq!(left, 1, "nothing is left beside it");
        // zbarimg's own way to draw knows little of drawings.
        let pixels = folder.path().join("pixels.png");
        let mut draw = Command::new("ffmpeg");
        draw.args(["-nostdin", "-v", "error", "-i"]).arg(&file);
        draw.args(["-frames:v", "1"]).arg(&pixels);
        Process::start("ffmpeg", draw).wait().expect_success();
        assert_eq!(scan(&pixels), url, "{name}");
        fs::remove_file(pixels).expect("it is there");
        fs::remove_file(file).expect("it is there");
    }
}

#[test]
fn a_camera_reads_the_url_and_no_key() {
    let (code, words) = read(&[]);
    assert_eq!(code, words);
    assert!(code.starts_with("rtmp://127.0.0.1:"), "{code}");
    assert!(code.ends_with("/live/stream"), "{code}");

    let (code, words) = read(&["--publish-key", "s3cret"]);
    assert_eq!(code, words);
    assert!(code.ends_with("/live"), "{code}");
    assert!(!code.contains("s3cret"));
}
