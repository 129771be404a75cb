//! Short files to publish, made with ffmpeg when they are first needed.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::Mutex;

use crate::flv::{self, Tag};
use crate::tools::target_folder;
use crate::{FrameHashes, Process, Tool};

/// A file of about three seconds, with a keyframe every half second where it
/// has video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Media {
    /// H.264 and AAC, 30 frames a second.
    H264Aac,
    /// H.264 with B-frames, whose decoding and presentation times differ.
    BFrames,
    /// H.264 whose key frames are no IDR pictures, but for the first: GOPs are open.
    OpenGop,
    /// The same in HEVC, with CRA pictures, by Enhanced RTMP; and AAC.
    HevcOpenGop,
    /// AAC only.
    AudioOnly,
    /// H.264 only.
    VideoOnly,
    /// H.264 at a constant 20 Mbit/s, and AAC.
    TwentyMegabits,
    /// H.264 that changes from 320x180 to 640x360 in the middle, and AAC.
    ResolutionChange,
    /// HEVC as Enhanced RTMP's `hvc1`, and AAC.
    Hevc,
    /// AV1 and Opus, both by Enhanced RTMP.
    Av1Opus,
    /// VP9 by Enhanced RTMP, and AAC.
    Vp9,
    /// H.264 and two AAC tracks, the second by Enhanced RTMP's multitrack.
    TwoAudioTracks,
    /// By Enhanced RTMP's multitrack H.264 in two sizes, and AAC and Opus: 440 and 880 hertz.
    TwoCodecs,
    /// H.264 in three sizes by Enhanced RTMP's multitrack, the largest first, and AAC.
    ThreeSizes,
    /// H.264 and AAC of six channels, whose order Enhanced RTMP tells.
    SixChannels,
    /// H.264 and AC-3 by Enhanced RTMP, whose sequence start has no body.
    Ac3,
    /// E-AC-3 of six channels by Enhanced RTMP.
    Eac3,
    /// HE-AAC of 48 kHz, told in front of its core of 24 kHz, of which nothing is replicated: no
    /// encoder of it is free.
    HeAac,
    /// HE-AAC v2, the same with a core of one channel, of which two are to be made.
    HeAacV2,
    /// MP3.
    Mp3,
    /// MP3 at 22,050 Hz: MPEG-2, whose frames are half as long.
    LowMp3,
    /// FLAC of 24 bits by Enhanced RTMP.
    Flac,
    /// HEVC of ten bits in the colors of HDR (BT.2020, PQ), whose pixels are not square.
    Hdr,
    /// AV1 of ten bits in the colors of HDR, made by SVT-AV1.
    Av1Hdr,
}

const PICTURE: &str = "-f lavfi -i testsrc2=size=320x180:rate=30";
const SOUND: &str = "-f lavfi -i sine=frequency=440:sample_rate=48000";
const HIGH_SOUND: &str = "-f lavfi -i sine=frequency=880:sample_rate=48000";
const AAC: &str = "-c:a aac -b:a 64k";
const HDR: &str = "-pix_fmt yuv420p10le -vf setsar=4/3,setparams=color_primaries=bt2020:\
                   color_trc=smpte2084:colorspace=bt2020nc";
const H264: &str = "-c:v libx264 -preset ultrafast -g 15 -pix_fmt yuv420p";

impl Media {
    /// The file; made now if this is the first call.
    ///
    /// # Panics
    /// If ffmpeg cannot make it.
    pub fn file(self) -> PathBuf {
        // One at a time: tests that run at once want the same files.
        static MAKING: Mutex<()> = Mutex::new(());
        let _making = MAKING
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        // AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1): the object types of the extension and of
        // the core (AAC LC) with the rates of both.
        match self {
            Media::ResolutionChange => spliced(),
            Media::HeAac => configured(self, &[0x2B, 0x11, 0x88, 0x00]),
            Media::HeAacV2 => configured(self, &[0xEB, 0x09, 0x88, 0x00]),
            _ => made(&format!("{self:?}"), &self.recipe()),
        }
    }

    /// What ffmpeg says the file holds.
    pub fn hashes(self) -> FrameHashes {
        FrameHashes::of(&self.file())
    }

    /// Numbers of the video packets that are keyframes.
    pub fn keyframes(self) -> Vec<usize> {
        let tags = flv::read(&self.file());
        let frames = tags.iter().filter(|tag| tag.is_video_frame()).enumerate();
        frames
            .filter(|(_, tag)| tag.is_keyframe())
            .map(|(number, _)| number)
            .collect()
    }

    /// Arguments for the current ffmpeg.
    fn recipe(self) -> String {
        match self {
            Media::H264Aac => format!("{PICTURE} {SOUND} -t 3 {H264} {AAC}"),
            Media::BFrames => format!(
                "{PICTURE} {SOUND} -t 3 -c:v libx264 -preset veryfast -bf 3 -g 15 \
                 -pix_fmt yuv420p {AAC}"
            ),
            Media::OpenGop => format!(
                "{PICTURE} {SOUND} -t 3 -c:v libx264 -preset veryfast -bf 3 -g 15 \
                 -x264-params open-gop=1 -pix_fmt yuv420p {AAC}"
            ),
            Media::HevcOpenGop => format!(
                "{PICTURE} {SOUND} -t 3 -c:v libx265 -preset ultrafast -g 15 \
                 -x265-params log-level=error:open-gop=1:bframes=3 -pix_fmt yuv420p {AAC}"
            ),
            Media::AudioOnly => format!("{SOUND} -t 3 {AAC}"),
            Media::VideoOnly => format!("{PICTURE} -t 3 {H264}"),
            // The encoder fills up with padding: much data from little work.
            Media::TwentyMegabits => format!(
                "{PICTURE} {SOUND} -t 3 {H264} -x264-params nal-hrd=cbr:force-cfr=1 \
                 -b:v 20M -minrate 20M -maxrate 20M -bufsize 2M {AAC}"
            ),
            Media::ResolutionChange => unreachable!("made of two files"),
            Media::Hevc => format!(
                "{PICTURE} {SOUND} -t 3 -c:v libx265 -preset ultrafast -g 15 \
                 -x265-params log-level=error -pix_fmt yuv420p {AAC}"
            ),
            Media::Av1Opus => format!(
                "{PICTURE} {SOUND} -t 3 -c:v libaom-av1 -usage realtime -cpu-used 8 -g 15 \
                 -pix_fmt yuv420p -c:a libopus -b:a 64k"
            ),
            Media::Vp9 => format!(
                "{PICTURE} {SOUND} -t 3 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 15 \
                 -pix_fmt yuv420p {AAC}"
            ),
            Media::SixChannels => {
                format!("{PICTURE} {SOUND} -t 3 {H264} {AAC} -af aformat=channel_layouts=5.1")
            }
            Media::Ac3 => format!("{PICTURE} {SOUND} -t 3 {H264} -c:a ac3 -b:a 96k"),
            Media::Eac3 => format!("{SOUND} -t 3 -c:a eac3 -b:a 192k -ac 6"),
            Media::HeAac => format!("{SOUND} -t 3 {AAC} -ar 24000 -ac 2"),
            Media::HeAacV2 => format!("{SOUND} -t 3 {AAC} -ar 24000 -ac 1"),
            Media::Mp3 => format!("{SOUND} -t 3 -c:a libmp3lame -b:a 64k"),
            Media::LowMp3 => format!("{SOUND} -t 3 -c:a libmp3lame -b:a 32k -ar 22050"),
            Media::Flac => format!("{SOUND} -t 3 -c:a flac -sample_fmt s32"),
            Media::Hdr => format!(
                "{PICTURE} -t 3 -c:v libx265 -preset ultrafast -g 15 {HDR} \
                 -x265-params log-level=error:colorprim=bt2020:transfer=smpte2084:\
                 colormatrix=bt2020nc"
            ),
            Media::Av1Hdr => format!("{PICTURE} -t 3 -c:v libsvtav1 -preset 12 -g 15 {HDR}"),
            Media::ThreeSizes => format!(
                "{PICTURE} {SOUND} -t 12 -filter_complex \
                 [0:v]split=3[a][b][c];[b]scale=160:90[d];[c]scale=80:46[e] \
                 -map [a] -map [d] -map [e] -map 1:a {H264} -sc_threshold 0 {AAC}"
            ),
            Media::TwoAudioTracks => format!(
                "{PICTURE} {SOUND} {HIGH_SOUND} -t 3 -map 0:v -map 1:a -map 2:a {H264} {AAC}"
            ),
            Media::TwoCodecs => format!(
                "{PICTURE} {SOUND} {HIGH_SOUND} -t 12 -filter_complex \
                 [0:v]split[a][b];[b]scale=160:90[c] -map [a] -map [c] -map 1:a -map 2:a {H264} \
                 {AAC} -c:a:1 libopus"
            ),
        }
    }
}

/// Makes a file with the current ffmpeg, unless an earlier run made it from the
/// same recipe.
fn made(name: &str, recipe: &str) -> PathBuf {
    let path = media_path(name, recipe);
    if !path.exists() {
        let unfinished = unfinished(&path);
        let mut command = Tool::FfmpegCurrent.command();
        command
            .args(["-nostdin", "-v", "error", "-y"])
            .args(recipe.split_whitespace());
        command.args(["-f", "flv"]).arg(&unfinished);
        Process::start(format!("making {name}"), command)
            .wait()
            .expect_success();
        fs::rename(&unfinished, &path).expect("a file can be renamed in its folder");
    }
    path
}

/// Two encodings one after the other, as of an encoder that changes its
/// resolution: metadata and sequence headers again in the middle, the video's
/// with new content, times that go on.
fn spliced() -> PathBuf {
    let sizes = ["320x180", "640x360"];
    let recipe = |size: &str| {
        let picture = PICTURE.replace("320x180", size);
        format!("{picture} {SOUND} -t 1.5 {H264} {AAC}")
    };
    let path = media_path("Spliced", &sizes.map(recipe).concat());
    if !path.exists() {
        let mut tags: Vec<Tag> = Vec::new();
        for size in sizes {
            let gap = 33;
            let start = tags.last().map_or(0, |tag| tag.time + gap);
            let part = flv::read(&made(&format!("Part{size}"), &recipe(size)));
            tags.extend(
                part.into_iter()
                    .filter(|tag| !is_sequence_end(tag))
                    .map(|tag| Tag {
                        time: tag.time + start,
                        ..tag
                    }),
            );
        }
        let unfinished = unfinished(&path);
        flv::write(&unfinished, &tags);
        fs::rename(&unfinished, &path).expect("a file can be renamed in its folder");
    }
    path
}

/// A file of AAC with another decoder configuration.
fn configured(media: Media, config: &[u8]) -> PathBuf {
    let recipe = media.recipe();
    let path = media_path(&format!("{media:?}"), &format!("{recipe}{config:?}"));
    if !path.exists() {
        let mut tags = flv::read(&made(&format!("Core{media:?}"), &recipe));
        let is_header = |tag: &&mut Tag| tag.kind == flv::AUDIO && tag.is_sequence_header();
        for header in tags.iter_mut().filter(is_header) {
            header.body.truncate(2);
            header.body.extend(config);
        }
        let unfinished = unfinished(&path);
        flv::write(&unfinished, &tags);
        fs::rename(&unfinished, &path).expect("a file can be renamed in its folder");
    }
    path
}

/// AVC packet type 2: it would end the stream for a decoder.
fn is_sequence_end(tag: &Tag) -> bool {
    tag.kind == flv::VIDEO && tag.body.get(1) == Some(&2)
}

fn media_path(name: &str, recipe: &str) -> PathBuf {
    let folder = target_folder().join("tools").join("media");
    fs::create_dir_all(&folder).expect("the target folder can be written");
    let mut hasher = DefaultHasher::new();
    recipe.hash(&mut hasher);
    folder.join(format!("{name}-{:016x}.flv", hasher.finish()))
}

/// Another process may be making the same file.
fn unfinished(path: &std::path::Path) -> PathBuf {
    path.with_extension(format!("{}.part", std::process::id()))
}
