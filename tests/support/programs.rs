//! Programs that publish to a server and play from it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::server::openrtmp;
use crate::{Ending, Finished, FrameHashes, Media, Process, Server, Tool};

/// What Enhanced RTMP codecs a current ffmpeg announces.
const ENHANCED_CODECS: &str = "hvc1,av01,vp09";

/// A program that publishes a file in real time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publisher {
    /// The distribution's ffmpeg.
    Ffmpeg,
    /// A current ffmpeg.
    FfmpegCurrent,
    /// GStreamer's `rtmp2sink`.
    Gstreamer,
    /// Our own `openrtmp publish`.
    Openrtmp,
}

/// A program that plays a stream into an FLV file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Player {
    /// The distribution's ffmpeg.
    Ffmpeg,
    /// A current ffmpeg.
    FfmpegCurrent,
    /// rtmpdump, which writes down what it receives.
    Rtmpdump,
    /// GStreamer's `rtmp2src`, which writes down what it receives.
    Gstreamer,
    /// Our own `openrtmp play`.
    Openrtmp,
}

/// A publisher at work.
#[derive(Debug)]
pub struct Publishing {
    process: Process,
    publisher: Publisher,
}

/// A player at work.
#[derive(Debug)]
pub struct Playing {
    process: Process,
    player: Player,
    /// It asks for every track, or says that it knows several.
    gets_all: bool,
    file: PathBuf,
}

impl Publisher {
    /// Starts to publish `media` to `url`.
    pub fn start(self, media: Media, url: &str) -> Publishing {
        self.start_trusting(media, url, None)
    }

    /// The same for a program that believes the authorities in a file.
    pub fn start_trusting(self, media: Media, url: &str, ca: Option<&Path>) -> Publishing {
        let file = media.file();
        let mut command = match self {
            Publisher::Ffmpeg => ffmpeg_publishes(Tool::Ffmpeg, &file, url),
            Publisher::FfmpegCurrent => ffmpeg_publishes(Tool::FfmpegCurrent, &file, url),
            Publisher::Gstreamer => gstreamer_publishes(media, &file, url),
            Publisher::Openrtmp => {
                let mut command = openrtmp();
                command.arg("publish").arg(&file).arg(url);
                command
            }
        };
        trust(&mut command, ca);
        Publishing {
            process: Process::start(format!("{self:?} publishing {media:?}"), command),
            publisher: self,
        }
    }
}

impl Publishing {
    /// Waits until an ffmpeg has sent that much media; the server has then long
    /// accepted the publication.
    ///
    /// # Panics
    /// If the publisher is another program, which does not tell.
    pub fn wait_until_sent(&mut self, milliseconds: i64) {
        let tells = matches!(self.publisher, Publisher::Ffmpeg | Publisher::FfmpegCurrent);
        assert!(
            tells,
            "{:?} does not tell how much it has sent",
            self.publisher
        );
        wait_for_progress(&mut self.process, milliseconds);
    }

    /// Waits for the whole file to be sent.
    pub fn wait(self) -> Finished {
        self.process.wait().expect_success()
    }

    /// Waits for it to be turned away or cut off by the server.
    ///
    /// # Panics
    /// If it could send the whole file.
    pub fn wait_for_failure(self) -> Finished {
        let finished = self.process.wait();
        assert!(
            !finished.status.success(),
            "{} was not stopped",
            finished.name
        );
        finished
    }

    /// Ends it with SIGKILL, in the middle of what it does.
    pub fn kill(self) {
        self.process.kill();
    }
}

impl Player {
    /// All that we did not write.
    pub const ALL: [Player; 4] = [
        Player::Ffmpeg,
        Player::FfmpegCurrent,
        Player::Rtmpdump,
        Player::Gstreamer,
    ];

    /// Starts to play `url` into a file in `folder`.
    pub fn start(self, url: &str, folder: &Path) -> Playing {
        self.start_trusting(url, folder, None)
    }

    /// The same for a program that believes the authorities in a file.
    pub fn start_trusting(self, url: &str, folder: &Path, ca: Option<&Path>) -> Playing {
        static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let file = folder.join(format!("{number}-{self:?}.flv"));
        let mut command = match self {
            Player::Ffmpeg => ffmpeg_plays(Tool::Ffmpeg, url, &file),
            Player::FfmpegCurrent => ffmpeg_plays(Tool::FfmpegCurrent, url, &file),
            Player::Openrtmp => {
                let mut command = openrtmp();
                command.args(["play", url, "--output"]).arg(&file);
                command
            }
            Player::Rtmpdump => {
                let mut command = Tool::Rtmpdump.command();
                // It times out by itself when nothing comes for 30 s.
                command.args(["--live", "--rtmp", url, "--flv"]).arg(&file);
                command
            }
            Player::Gstreamer => {
                let mut command = Tool::GstLaunch.command();
                command.args(["-v", "rtmp2src", &format!("location={url}")]);
                command.args(gstreamer_trusts(url));
                command.args(["!", "identity", "silent=false", "!", "filesink"]);
                command.arg(format!("location={}", file.display()));
                command
            }
        };
        trust(&mut command, ca);
        Playing {
            process: Process::start(format!("{self:?} playing {url}"), command),
            player: self,
            gets_all: self == Player::Openrtmp || url.ends_with(ALL_TRACKS),
            file,
        }
    }
}

impl Playing {
    /// Where it writes.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Waits until the first media has arrived.
    ///
    /// # Panics
    /// If the player is our own, which tells it only to a terminal.
    pub fn wait_until_flowing(&mut self) {
        match self.player {
            Player::Ffmpeg | Player::FfmpegCurrent => wait_for_progress(&mut self.process, 1),
            Player::Rtmpdump => {
                self.process
                    .wait_for("a first kilobyte", |line| line.contains(" kB / "));
            }
            Player::Gstreamer => {
                self.process
                    .wait_for("a first buffer", |line| line.contains("chain"));
            }
            Player::Openrtmp => panic!("openrtmp play tells its progress to a terminal only"),
        }
    }

    /// Waits until an ffmpeg has received that much media.
    ///
    /// # Panics
    /// If the player is another program, which does not tell.
    pub fn wait_until_received(&mut self, milliseconds: i64) {
        let tells = matches!(self.player, Player::Ffmpeg | Player::FfmpegCurrent);
        assert!(
            tells,
            "{:?} does not tell how much it has received",
            self.player
        );
        wait_for_progress(&mut self.process, milliseconds);
    }

    /// Waits until it ends by itself, as players do when the server says that
    /// the stream is over; the file it wrote.
    pub fn wait(self) -> PathBuf {
        self.process.wait().expect_success();
        self.file
    }

    /// Waits for its end and checks that it got of `media` what a player that
    /// joined at some time must get.
    ///
    /// # Panics
    /// If something is lost or altered.
    pub fn wait_and_check(self, media: Media, ending: Ending) {
        let name = format!("{:?} playing {media:?}", self.player);
        let ending = match (self.player, ending) {
            // rtmp2src drops a message that it has received but not yet handed
            // on when it hears that the stream is over.
            (Player::Gstreamer, Ending::Complete) => Ending::CompleteBut(1),
            (_, ending) => ending,
        };
        let published = match self.gets_all {
            true => media.hashes(),
            false => media.hashes().default_tracks(),
        };
        let played = FrameHashes::of(&self.wait());
        if let Err(why) = published.check_played(&media.keyframes(), &played, ending) {
            panic!("{name}: {why}");
        }
    }
}

/// Behind the URL of a stream: all of its tracks are asked for. Of the players only our
/// own announces that it knows several.
pub const ALL_TRACKS: &str = "?tracks=all";

/// Publishes `media` to a server and has `players` join while it plays.
///
/// # Panics
/// If one of them does not get all that it knows of from a keyframe to the end.
pub fn publish_and_play(publisher: Publisher, media: Media, players: &[Player]) {
    publish_and_ask(publisher, media, players, "");
}

/// The same with a query behind the URL that is played.
///
/// # Panics
/// As [`publish_and_play`].
pub fn publish_and_ask(publisher: Publisher, media: Media, players: &[Player], query: &str) {
    pass_through(&Server::start(), publisher, media, players, query, None);
}

/// The same through a server of one's own, whose authority is in a file.
///
/// # Panics
/// As [`publish_and_play`].
pub fn pass_through(
    server: &Server,
    publisher: Publisher,
    media: Media,
    players: &[Player],
    query: &str,
    ca: Option<&Path>,
) {
    pass_through_at(
        server,
        &server.url(""),
        publisher,
        media,
        players,
        query,
        ca,
    );
}

/// The same where programs reach the server at another URL, through a proxy: `base` is all
/// in front of the stream's path.
///
/// # Panics
/// As [`publish_and_play`].
pub fn pass_through_at(
    server: &Server,
    base: &str,
    publisher: Publisher,
    media: Media,
    players: &[Player],
    query: &str,
    ca: Option<&Path>,
) {
    let path = format!("live/{media:?}");
    let url = format!("{base}{path}");
    let folder = tempfile::tempdir().expect("a folder for what is played");
    if players.contains(&Player::Openrtmp) {
        // Building it may take longer than the stream lasts.
        openrtmp();
    }
    let publishing = publisher.start_trusting(media, &url, ca);
    server.wait_until_published(&path);
    let playing: Vec<Playing> = players
        .iter()
        .map(|player| player.start_trusting(&format!("{url}{query}"), folder.path(), ca))
        .collect();
    publishing.wait();
    for player in playing {
        player.wait_and_check(media, Ending::Complete);
    }
}

/// What `openrtmp probe` finds out about `media` while a program publishes it, looking at
/// a second.
///
/// # Panics
/// If it fails, or prints anything else.
pub fn publish_and_probe(publisher: Publisher, media: Media) -> serde_json::Value {
    // Building it may take longer than the stream lasts.
    let mut command = openrtmp();
    let server = Server::start();
    let path = format!("live/{media:?}");
    let url = server.url(&path);
    let publishing = publisher.start(media, &url);
    server.wait_until_published(&path);
    command.args(["probe", "--json", "--duration", "1s", &url]);
    let finished = Process::start(format!("openrtmp probe {url}"), command).wait();
    publishing.wait();
    let output = finished.output.join("\n");
    assert!(finished.status.success(), "{output}");
    serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}"))
}

/// Length of a file in milliseconds, as ffprobe finds it.
///
/// # Panics
/// If ffprobe cannot read it.
pub fn duration_ms(file: &Path) -> f64 {
    let mut command = Tool::Ffprobe.command();
    command.args([
        "-v",
        "error",
        "-of",
        "csv=p=0",
        "-show_entries",
        "format=duration",
    ]);
    command.arg(file);
    let finished = Process::start("ffprobe", command).wait().expect_success();
    let seconds: f64 = finished
        .output
        .concat()
        .trim()
        .parse()
        .expect("ffprobe prints seconds");
    seconds * 1000.0
}

fn ffmpeg_publishes(tool: Tool, file: &Path, url: &str) -> Command {
    let mut command = ffmpeg(tool);
    command
        .args(["-re", "-i"])
        .arg(file)
        .args(["-map", "0", "-c", "copy", "-f", "flv"]);
    if tool == Tool::FfmpegCurrent {
        command.args(["-rtmp_enhanced_codecs", ENHANCED_CODECS]);
    }
    command.arg(url);
    command
}

fn ffmpeg_plays(tool: Tool, url: &str, file: &Path) -> Command {
    let mut command = ffmpeg(tool);
    command
        .args(["-i", url, "-map", "0", "-c", "copy", "-f", "flv"])
        .arg(file);
    command
}

/// An ffmpeg that reports its progress ten times a second.
fn ffmpeg(tool: Tool) -> Command {
    let mut command = tool.command();
    command.args([
        "-nostdin",
        "-v",
        "warning",
        "-progress",
        "pipe:1",
        "-stats_period",
        "0.1",
    ]);
    command
}

/// Programs with OpenSSL, a current ffmpeg for one, take authorities from there.
fn trust(command: &mut Command, ca: Option<&Path>) {
    if let Some(file) = ca {
        command.env("SSL_CERT_FILE", file);
    }
}

/// GStreamer asks for a known authority unless it is told not to; ffmpeg does not.
fn gstreamer_trusts(url: &str) -> Option<&'static str> {
    url.starts_with("rtmps:")
        .then_some("tls-validation-flags=0")
}

fn gstreamer_publishes(media: Media, file: &Path, url: &str) -> Command {
    let mut command = Tool::GstLaunch.command();
    command.args(["-m", "filesrc", &format!("location={}", file.display())]);
    command.args([
        "!",
        "flvdemux",
        "name=d",
        "flvmux",
        "name=m",
        "streamable=true",
    ]);
    // The sink keeps time: the file is published as fast as it plays.
    command.args([
        "!",
        "identity",
        "silent=false",
        "!",
        "rtmp2sink",
        "sync=true",
    ]);
    command.arg(format!("location={url}"));
    command.args(gstreamer_trusts(url));
    if media != Media::AudioOnly {
        command.args(["d.video", "!", "queue", "!", "m.video"]);
    }
    if media != Media::VideoOnly {
        command.args(["d.audio", "!", "queue", "!", "m.audio"]);
    }
    command
}

/// `-progress` prints the time of what was written.
fn wait_for_progress(process: &mut Process, milliseconds: i64) {
    process.wait_for("progress", |line| {
        let microseconds = line.strip_prefix("out_time_us=");
        let microseconds = microseconds.and_then(|text| text.parse::<i64>().ok());
        microseconds.is_some_and(|time| time >= milliseconds * 1000)
    });
}

/// A picture and a sound for so many seconds, in real time.
/// A key frame comes each second.
pub fn live(seconds: u32, url: &str) -> Process {
    let mut command = Tool::Ffmpeg.command();
    let arguments = format!(
        "-nostdin -v error -re -f lavfi -i testsrc2=size=320x180:rate=30 -f lavfi -i \
         sine=frequency=440:sample_rate=48000 -t {seconds} -c:v libx264 -preset ultrafast \
         -g 30 -pix_fmt yuv420p -c:a aac -b:a 64k -f flv {url}"
    );
    command.args(arguments.split(' ').filter(|word| !word.is_empty()));
    Process::start("ffmpeg publishing", command)
}
