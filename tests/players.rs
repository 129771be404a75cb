//! VLC and mpv, without a screen and without sound, play what is delivered.

use std::cell::Cell;
use std::time::Duration;

use openrtmp_tests::{Delivered, Media, Process, Tool};

/// Frames that are shown, at least: more than any of these forms begins with at once.
const FRAMES: u64 = 90;
/// No player takes longer for so much, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// All that a stream is delivered as.
const FORMS: [&str; 4] = [
    "/live/cam/index.m3u8",
    "/live/cam/manifest.mpd",
    "/live/cam/ts/index.m3u8",
    "/live/cam.flv",
];

/// Each form of a stream with pictures that are decoded out of order is played.
fn each_is_played_by(play: impl Fn(&str)) {
    let delivered = Delivered::start(|_| ());
    let mut command = Tool::Ffmpeg.command();
    command.args(["-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i"]);
    command.arg(Media::BFrames.file());
    let url = delivered.server().url("live/cam");
    command.args(["-c", "copy", "-f", "flv", &url]);
    let publishing = Process::start_within("ffmpeg publishing", command, 4 * PATIENCE);
    delivered.server().wait_until_published("live/cam");
    delivered.master("live/cam");
    delivered.manifest("live/cam");
    for form in FORMS {
        play(&delivered.url(form));
    }
    publishing.kill();
}

#[test]
fn vlc_shows_pictures_and_plays_sound() {
    each_is_played_by(|url| {
        let mut command = Tool::Vlc.command();
        command.args(["--intf", "oldrc", "--rc-fake-tty", "--ignore-config"]);
        command.args(["--vout", "dummy", "--aout", "dummy", url]);
        let mut vlc = Process::start_told(format!("VLC: {url}"), command, PATIENCE);
        let number = |line: &str, name: &str| -> Option<u64> {
            let (_, told) = line.split_once(name)?.1.split_once(':')?;
            told.trim().parse().ok()
        };
        let (shown, heard) = (Cell::new(0), Cell::new(0));
        while shown.get().min(heard.get()) < FRAMES {
            vlc.tell("stats");
            // Before it has begun there are none.
            vlc.wait_for("statistics", |line| {
                let told = number(line, "frames displayed");
                shown.set(told.unwrap_or(shown.get()));
                let told = number(line, "buffers played");
                heard.set(told.unwrap_or(heard.get()));
                line.starts_with("stats: returned")
            });
        }
        vlc.kill();
    });
}

#[test]
fn mpv_shows_pictures_and_plays_sound() {
    each_is_played_by(|url| {
        let mut command = Tool::Mpv.command();
        command.args(["--no-config", "--vo=null", "--ao=null"]);
        command.arg("--term-status-msg=<${=estimated-frame-number} ${=audio-params/samplerate}>");
        command.arg(url);
        let mut mpv = Process::start_within(format!("mpv: {url}"), command, PATIENCE);
        mpv.wait_for("pictures and sound", |line| {
            let told = line
                .split_once('<')
                .and_then(|(_, told)| told.split_once(' '));
            let shown = told.and_then(|(shown, _)| shown.parse::<u64>().ok());
            shown > Some(FRAMES) && line.contains(" 48000>")
        });
        mpv.kill();
    });
}
