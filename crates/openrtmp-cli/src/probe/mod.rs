#[cfg(feature = "tls")]
mod address;
#[cfg(feature = "tls")]
mod closely;
#[cfg(feature = "tls")]
mod kept;
#[cfg(feature = "tls")]
mod manifest;
#[cfg(feature = "tls")]
mod report;
#[cfg(feature = "tls")]
mod viewing;

use std::io::{self, Write};
use std::path::Path;
#[cfg(feature = "tls")]
use std::path::PathBuf;
use std::time::Duration;

use openrtmp_protocol::RtmpUrl;
use openrtmp_protocol::amf::Value;
use openrtmp_protocol::text::shown;
use serde::Serialize;

use crate::analysis::{Analysis, AudioTrack, VideoTrack, declared};
use crate::connection::{Target, Trust};
use crate::exit::Failure;
use crate::receive::{Bounds, Flow, receive};
use crate::signal::Stop;
use crate::units::{bit_rate, bits_per_second, parse_span};

/// Flags of `openrtmp probe`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to look at: rtmp://host[:port]/app/stream[?query], or rtmps://; an HLS playlist or
    /// a DASH manifest, http:// or https://; or a folder that --save filled
    #[arg(value_parser = Probed::parse)]
    url: Probed,
    #[command(flatten)]
    trust: Trust,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Look at this much media, or for as much time [default: two groups of pictures, or
    /// about 5s; over HTTP 10s]
    #[arg(long, value_parser = parse_span)]
    duration: Option<Duration>,
    /// Fail if no picture or sound, or over HTTP no answer, comes for this long
    #[arg(long, value_parser = parse_span, default_value = "10s")]
    timeout: Duration,
    /// Over HTTP: fail if a rule of HLS or DASH is broken
    #[cfg(feature = "tls")]
    #[arg(long)]
    check: bool,
    /// Over HTTP: parts of HLS may come this much later than they are to [default: 500ms]
    #[cfg(feature = "tls")]
    #[arg(long, value_parser = parse_span)]
    late: Option<Duration>,
    /// Over HTTP: keep the HLS playlists and media that came in this folder
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
}

/// What is looked at.
#[derive(Clone, Debug)]
enum Probed {
    Rtmp(RtmpUrl),
    /// A playlist or a manifest.
    #[cfg(feature = "tls")]
    Http(String),
    /// Answers that were kept.
    #[cfg(feature = "tls")]
    Kept(PathBuf),
}

impl Probed {
    fn parse(text: &str) -> Result<Probed, String> {
        let is_http = text.starts_with("http://") || text.starts_with("https://");
        #[cfg(feature = "tls")]
        match is_http {
            true => return Ok(Probed::Http(text.to_owned())),
            false if Path::new(text).is_dir() => return Ok(Probed::Kept(text.into())),
            false => {}
        }
        #[cfg(not(feature = "tls"))]
        if is_http || Path::new(text).is_dir() {
            return Err("this build looks at nothing over HTTP: it is without `tls`".to_owned());
        }
        RtmpUrl::parse(text)
            .map(Probed::Rtmp)
            .map_err(|error| error.to_string())
    }
}

/// Looks at the stream and prints what it is made of.
pub(crate) fn run(arguments: &Arguments, stop: &Stop) -> Result<(), Failure> {
    match &arguments.url {
        Probed::Rtmp(url) => watch(arguments, url, stop),
        #[cfg(feature = "tls")]
        Probed::Http(url) => view(arguments, stop, || viewing::look(arguments, url, stop)),
        #[cfg(feature = "tls")]
        Probed::Kept(folder) => view(arguments, stop, || {
            viewing::look_at_kept(folder, arguments.late)
        }),
    }
}

/// Looks at what is delivered over HTTP.
#[cfg(feature = "tls")]
fn view(
    arguments: &Arguments,
    stop: &Stop,
    look: impl FnOnce() -> Result<report::Report, Failure>,
) -> Result<(), Failure> {
    let report = look()?;
    write(arguments, stop, &report, || report.text())?;
    match report.violations() {
        broken if broken > 0 && arguments.check => {
            Err(Failure::Runtime(format!("{broken} rules are broken")))
        }
        _ => Ok(()),
    }
}

fn watch(arguments: &Arguments, url: &RtmpUrl, stop: &Stop) -> Result<(), Failure> {
    let mut analysis = Analysis::default();
    let mut bounds = Bounds::of(arguments.duration, Some(arguments.timeout));
    // A clock that does not move never tells that it was enough.
    bounds.time.get_or_insert(LONGEST);
    let target = Target {
        url,
        trust: &arguments.trust,
    };
    let result = receive(target, bounds, stop, |received| {
        analysis.add(&received);
        let done = arguments.duration.is_none() && analysis.is_enough();
        Ok(if done { Flow::Stop } else { Flow::Continue })
    });
    let ready = result?;
    if analysis.video.is_empty() && analysis.audio.is_empty() {
        return Err(Failure::Runtime(
            "the stream has neither video nor audio".into(),
        ));
    }
    let report = Report::new(&analysis, ready);
    write(arguments, stop, &report, || report.text())
}

/// Prints a report, as text or as JSON.
fn write(
    arguments: &Arguments,
    stop: &Stop,
    report: &impl Serialize,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let text = if arguments.json {
        let json = serde_json::to_string_pretty(report)
            .map_err(|e| Failure::Runtime(format!("cannot write JSON: {e}")))?;
        escaped(&json) + "\n"
    } else {
        // What a server said drives no terminal.
        text()
            .lines()
            .map(|line| shown(line).to_string() + "\n")
            .collect()
    };
    // Nothing is left to finish: a signal ends a write to nobody.
    stop.handle(Vec::new());
    match io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Runtime(format!("cannot write: {e}")))
        }
        _ => Ok(()),
    }
}

/// A probe without a duration of its own ends by then.
const LONGEST: Duration = Duration::from_secs(12);

/// JSON that shows on a terminal as it is: what [`shown`] would escape stands in strings
/// only, and JSON has an escape for every character (RFC 8259 section 7).
fn escaped(json: &str) -> String {
    let mut output = String::with_capacity(json.len());
    for character in json.chars() {
        let mut buffer = [0; 4];
        let text = character.encode_utf8(&mut buffer);
        if character == '\n' || shown(text).to_string() == *text {
            output.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            output.push_str(&format!("\\u{unit:04x}"));
        }
    }
    output
}

/// The result; the JSON document of `--json`. Times are in milliseconds, rates in
/// bits and frames per second; what is not known is null.
#[derive(Debug, Serialize)]
struct Report {
    /// From the start of the connection until the server accepted to play.
    ready_ms: f64,
    /// Until the first message of the stream.
    first_media_ms: Option<f64>,
    /// Until the first keyframe, or the first sound where there is no video.
    join_ms: Option<f64>,
    /// Media looked at.
    duration_ms: f64,
    bit_rate: f64,
    video: Vec<Video>,
    audio: Vec<Audio>,
    unreadable_messages: u64,
    /// The stream's `onMetaData`, not checked against the stream.
    metadata: Option<serde_json::Value>,
}

#[derive(Debug, Serialize)]
struct Video {
    track: u8,
    codec: &'static str,
    fourcc: String,
    codec_string: Option<String>,
    enhanced_rtmp: bool,
    width: Option<u32>,
    height: Option<u32>,
    /// Measured.
    frame_rate: Option<f64>,
    /// What the sequence header or else the metadata says.
    declared_frame_rate: Option<f64>,
    bit_rate: Option<f64>,
    frames: u64,
    keyframes: u64,
    reordered: bool,
    gop: Option<Gop>,
}

#[derive(Debug, Serialize)]
struct Gop {
    count: u64,
    mean_ms: f64,
    shortest_ms: u64,
    longest_ms: u64,
    mean_frames: f64,
}

#[derive(Debug, Serialize)]
struct Audio {
    track: u8,
    codec: &'static str,
    fourcc: String,
    codec_string: Option<String>,
    enhanced_rtmp: bool,
    sample_rate: Option<u32>,
    channels: Option<u32>,
    bit_rate: Option<f64>,
    frames: u64,
}

impl Report {
    fn new(analysis: &Analysis, ready: Duration) -> Report {
        let declared_rate = declared(analysis.metadata.as_ref(), "framerate");
        Report {
            ready_ms: millis(ready),
            first_media_ms: analysis.first_media.map(millis),
            join_ms: analysis.join_time().map(millis),
            duration_ms: millis(analysis.length()),
            bit_rate: rounded(bits_per_second(analysis.bytes, analysis.length()), 0),
            video: analysis
                .video
                .iter()
                .map(|(&track, video)| Video::new(track, video, declared_rate))
                .collect(),
            audio: analysis
                .audio
                .iter()
                .map(|(&track, audio)| Audio::new(track, audio))
                .collect(),
            unreadable_messages: analysis.unreadable,
            metadata: analysis.metadata.clone().map(|o| json(&Value::Object(o))),
        }
    }

    fn text(&self) -> String {
        let mut text = format!(
            "joined in {} (server ready after {} ms), looked at {:.1} s, {}\n",
            self.join_ms
                .map_or("-".into(), |millis| format!("{millis} ms")),
            self.ready_ms,
            self.duration_ms / 1_000.0,
            bit_rate(self.bit_rate),
        );
        for line in self
            .video
            .iter()
            .map(Video::text)
            .chain(self.audio.iter().map(Audio::text))
        {
            text.push_str(&line);
            text.push('\n');
        }
        if self.unreadable_messages > 0 {
            text.push_str(&format!(
                "{} messages could not be read\n",
                self.unreadable_messages
            ));
        }
        text
    }
}

impl Video {
    fn new(track: u8, video: &VideoTrack, declared_rate: Option<f64>) -> Video {
        let gops = &video.gops;
        Video {
            track,
            codec: video.codec.name(),
            fourcc: video.codec.fourcc().as_string(),
            codec_string: video.format.codec_string.clone(),
            enhanced_rtmp: video.enhanced,
            width: video.format.width,
            height: video.format.height,
            frame_rate: video.frames.rate().map(|rate| rounded(rate, 3)),
            declared_frame_rate: video.format.frame_rate.or(declared_rate),
            bit_rate: video.frames.bit_rate().map(|rate| rounded(rate, 0)),
            frames: video.frames.count,
            keyframes: video.keyframes,
            reordered: video.reordered,
            gop: gops
                .mean()
                .zip(gops.mean_frames())
                .map(|(mean, frames)| Gop {
                    count: gops.count,
                    mean_ms: rounded(mean, 1),
                    shortest_ms: gops.shortest,
                    longest_ms: gops.longest,
                    mean_frames: rounded(frames, 1),
                }),
        }
    }

    fn text(&self) -> String {
        let mut parts = vec![
            format!("video {}", self.track),
            named(self.codec, self.codec_string.as_deref()),
        ];
        if let (Some(width), Some(height)) = (self.width, self.height) {
            parts.push(format!("{width}x{height}"));
        }
        parts.extend(self.frame_rate.map(|rate| format!("{rate:.2} fps")));
        parts.extend(self.bit_rate.map(bit_rate));
        parts.push(match &self.gop {
            Some(gop) => format!(
                "GOP {:.2} s ({:.0} frames)",
                gop.mean_ms / 1_000.0,
                gop.mean_frames
            ),
            None => format!("GOP not seen whole ({} keyframes)", self.keyframes),
        });
        if self.reordered {
            parts.push("B-frames".into());
        }
        parts.join("  ")
    }
}

impl Audio {
    fn new(track: u8, audio: &AudioTrack) -> Audio {
        Audio {
            track,
            codec: audio.codec.name(),
            fourcc: audio.codec.fourcc().as_string(),
            codec_string: audio.format.codec_string.clone(),
            enhanced_rtmp: audio.enhanced,
            sample_rate: audio.format.sample_rate,
            channels: audio.format.channels,
            bit_rate: audio.frames.bit_rate().map(|rate| rounded(rate, 0)),
            frames: audio.frames.count,
        }
    }

    fn text(&self) -> String {
        let mut parts = vec![
            format!("audio {}", self.track),
            named(self.codec, self.codec_string.as_deref()),
        ];
        parts.extend(self.sample_rate.map(|rate| format!("{rate} Hz")));
        parts.extend(self.channels.map(|channels| match channels {
            1 => "mono".to_owned(),
            2 => "stereo".to_owned(),
            n => format!("{n} channels"),
        }));
        parts.extend(self.bit_rate.map(bit_rate));
        parts.join("  ")
    }
}

fn named(codec: &str, codec_string: Option<&str>) -> String {
    match codec_string {
        Some(string) => format!("{codec} ({string})"),
        None => codec.to_owned(),
    }
}

fn millis(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64() * 1_000.0, 1)
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

/// An AMF value as JSON; numbers that JSON has no way to write become null.
fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Number(number) => (*number).into(),
        Value::Integer(number) => (*number).into(),
        Value::Boolean(flag) => (*flag).into(),
        Value::String(text) | Value::Xml(text) => text.as_str().into(),
        Value::Object(object) | Value::EcmaArray(object) => object
            .members
            .iter()
            .map(|(name, value)| (name.clone(), json(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::StrictArray(values) => values.iter().map(json).collect(),
        Value::Date(millis, _) => (*millis).into(),
        _ => serde_json::Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use openrtmp_protocol::amf::Object;

    use super::*;

    #[test]
    fn metadata_becomes_json() {
        let object = Object::new()
            .with("width", 1280.0)
            .with("stereo", true)
            .with("encoder", "Lavf")
            .with("nothing", f64::NAN);
        assert_eq!(
            json(&Value::EcmaArray(object)),
            serde_json::json!({
                "width": 1280.0, "stereo": true, "encoder": "Lavf", "nothing": null
            })
        );
    }

    #[test]
    fn json_drives_no_terminal_and_keeps_its_value() {
        let value = serde_json::json!({"a\u{1b}[2J\u{7f}": "E\u{9b}31m\u{202e}é\u{e0041}\n"});
        let text = escaped(&serde_json::to_string_pretty(&value).unwrap());
        assert!(
            text.contains("\\u009b31m\\u202eé\\udb40\\udc41\\n"),
            "{text}"
        );
        assert!(text.contains("\\u001b[2J\\u007f"), "{text}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }

    #[test]
    fn the_text_names_what_is_known_and_leaves_out_the_rest() {
        let report = Report {
            ready_ms: 20.0,
            first_media_ms: Some(21.0),
            join_ms: Some(35.4),
            duration_ms: 5_000.0,
            bit_rate: 2_531_000.0,
            video: vec![Video {
                track: 0,
                codec: "H.264",
                fourcc: "avc1".into(),
                codec_string: Some("avc1.64001f".into()),
                enhanced_rtmp: false,
                width: Some(1280),
                height: Some(720),
                frame_rate: Some(29.97),
                declared_frame_rate: None,
                bit_rate: Some(2_400_000.0),
                frames: 150,
                keyframes: 3,
                reordered: true,
                gop: Some(Gop {
                    count: 2,
                    mean_ms: 2_002.0,
                    shortest_ms: 2_002,
                    longest_ms: 2_002,
                    mean_frames: 60.0,
                }),
            }],
            audio: vec![Audio {
                track: 1,
                codec: "Opus",
                fourcc: "Opus".into(),
                codec_string: None,
                enhanced_rtmp: true,
                sample_rate: None,
                channels: Some(2),
                bit_rate: None,
                frames: 1,
            }],
            unreadable_messages: 0,
            metadata: None,
        };
        assert_eq!(
            report.text(),
            "joined in 35.4 ms (server ready after 20 ms), looked at 5.0 s, 2.53 Mbit/s\n\
             video 0  H.264 (avc1.64001f)  1280x720  29.97 fps  2.40 Mbit/s  \
             GOP 2.00 s (60 frames)  B-frames\n\
             audio 1  Opus  stereo\n"
        );
    }
}
