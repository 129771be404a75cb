//! Streams as encoders, lines and chance make them, for tests.

use openrtmp_protocol::media::{AudioCodec, VideoCodec};
use proptest::prelude::*;

use super::{Event, Packager, Preset, Settings};
use crate::cues::{Cue, CueKind};
use crate::mp4::tests::{AAC, AVC};
use crate::mp4::{Codec, Content, Frame, TrackName};

pub(crate) const VIDEO: TrackName = TrackName::Video(0);
/// The same pictures in another size.
pub(crate) const SMALL: TrackName = TrackName::Video(1);
pub(crate) const AUDIO: TrackName = TrackName::Audio(0);
pub(crate) const H264: Codec = Codec::Video(VideoCodec::Avc);
pub(crate) const PLAIN_AAC: Codec = Codec::Audio(AudioCodec::Aac);
pub(crate) const OPUS: Codec = Codec::Audio(AudioCodec::Opus);

/// What a packager is given.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Configure(TrackName, Codec, Vec<u8>),
    Push(Frame<Vec<u8>>),
    /// At this time of the publisher's, in microseconds.
    Tell(Cue, i64),
    Stall,
    Restart,
}

/// A frame at this millisecond; pictures are shown `later` milliseconds later.
pub(crate) fn frame(track: TrackName, time: i64, later: i64, is_key: bool) -> Input {
    let codec = match track {
        TrackName::Video(_) => H264,
        TrackName::Audio(_) => PLAIN_AAC,
    };
    Input::Push(Frame {
        track,
        codec,
        dts: time * 1000,
        pts: (time + later) * 1000,
        content: if is_key { Content::Key } else { Content::Inter },
        // Of a few bytes, that differ.
        data: time.to_be_bytes()[(time as usize % 4)..].to_vec(),
    })
}

/// Something said at this millisecond.
pub(crate) fn said(time: i64) -> Input {
    let cue = Cue {
        kind: CueKind::ALL[usize::from(time % 2 == 0)],
        json: format!("{{\"at\":{time}}}"),
    };
    Input::Tell(cue, time * 1000)
}

/// Sequence headers; those of other numbers are other ones.
pub(crate) fn video_config(number: u8) -> Input {
    config_of(VIDEO, number)
}

pub(crate) fn config_of(track: TrackName, number: u8) -> Input {
    let mut config = AVC.to_vec();
    config[3] += number;
    Input::Configure(track, H264, config)
}

pub(crate) fn audio_config(number: u8) -> Input {
    let config = match number % 2 {
        0 => AAC.to_vec(),
        // 44.1 kHz.
        _ => vec![0x12, 0x10],
    };
    Input::Configure(AUDIO, PLAIN_AAC, config)
}

/// The sequence header of Opus.
pub(crate) const OPUS_HEAD: &[u8] = b"OpusHead\x01\x02\x38\x01\x80\xBB\0\0\0\0\0";

/// x265, Main: a `HEVCDecoderConfigurationRecord` of 1920x1080.
#[rustfmt::skip]
const HEVC: [u8; 110] = [
    0x01, 0x01, 0x60, 0x00, 0x00, 0x00, 0x90, 0x00, 0x00, 0x00, 0x00, 0x00, 0x78, 0xF0, 0x00, 0xFC,
    0xFD, 0xF8, 0xF8, 0x00, 0x00, 0x0F, 0x03, 0x20, 0x00, 0x01, 0x00, 0x18, 0x40, 0x01, 0x0C, 0x01,
    0xFF, 0xFF, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00,
    0x78, 0x95, 0x98, 0x09, 0x21, 0x00, 0x01, 0x00, 0x29, 0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00,
    0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x78, 0xA0, 0x03, 0xC0, 0x80, 0x10,
    0xE5, 0x96, 0x56, 0x69, 0x24, 0xCA, 0xF0, 0x16, 0x80, 0x80, 0x00, 0x01, 0xF4, 0x80, 0x00, 0x3A,
    0x98, 0x04, 0x22, 0x00, 0x01, 0x00, 0x07, 0x44, 0x01, 0xC1, 0x72, 0xB4, 0x62, 0x40,
];
/// SVT-AV1, Main: an `AV1CodecConfigurationRecord` of 1280x720.
#[rustfmt::skip]
const AV1: [u8; 18] = [
    0x81, 0x05, 0x0C, 0x00, 0x0A, 0x0C, 0x02, 0x00, 0x00, 0x2D, 0x6A, 0x67, 0xFD, 0x9E, 0x01, 0x7C,
    0x00, 0x20,
];

/// How pictures are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pictures {
    Avc,
    Hevc,
    Av1,
}

impl Pictures {
    const ALL: [Pictures; 3] = [Pictures::Avc, Pictures::Hevc, Pictures::Av1];

    fn next(self) -> Pictures {
        match self {
            Pictures::Avc => Pictures::Hevc,
            Pictures::Hevc => Pictures::Av1,
            Pictures::Av1 => Pictures::Avc,
        }
    }

    fn codec(self) -> Codec {
        Codec::Video(match self {
            Pictures::Avc => VideoCodec::Avc,
            Pictures::Hevc => VideoCodec::Hevc,
            Pictures::Av1 => VideoCodec::Av1,
        })
    }

    /// Sequence headers; those of other numbers are of another level.
    fn config(self, track: TrackName, number: u8) -> Input {
        let (mut config, level) = match self {
            Pictures::Avc => (AVC.to_vec(), 3),
            Pictures::Hevc => (HEVC.to_vec(), 12),
            Pictures::Av1 => (AV1.to_vec(), 1),
        };
        config[level] += number;
        Input::Configure(track, self.codec(), config)
    }

    fn frame(self, track: TrackName, time: i64, later: i64, is_key: bool) -> Input {
        match frame(track, time, later, is_key) {
            Input::Push(like) => Input::Push(Frame {
                codec: self.codec(),
                ..like
            }),
            input => input,
        }
    }
}

/// How sound is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sound {
    /// AAC at 48 kHz.
    Aac48,
    /// AAC at 44.1 kHz.
    Aac44,
    /// Opus in packets of 20 ms.
    Opus,
}

impl Sound {
    pub(crate) const ALL: [Sound; 3] = [Sound::Aac48, Sound::Aac44, Sound::Opus];

    fn next(self) -> Sound {
        match self {
            Sound::Aac48 => Sound::Aac44,
            Sound::Aac44 => Sound::Opus,
            Sound::Opus => Sound::Aac48,
        }
    }

    pub(crate) fn config(self) -> Input {
        match self {
            Sound::Aac48 => audio_config(0),
            Sound::Aac44 => audio_config(1),
            Sound::Opus => Input::Configure(AUDIO, OPUS, OPUS_HEAD.to_vec()),
        }
    }

    /// Samples of a frame, and those of a second.
    fn length(self) -> (i64, i64) {
        match self {
            Sound::Aac48 => (1024, 48_000),
            Sound::Aac44 => (1024, 44_100),
            Sound::Opus => (960, 48_000),
        }
    }

    /// When a frame begins, in milliseconds, as RTMP has them.
    pub(crate) fn time(self, number: i64) -> i64 {
        let (samples, rate) = self.length();
        nearest(number * samples * 1000, rate)
    }

    /// A frame at this millisecond, of some bytes.
    pub(crate) fn frame(self, time: i64) -> Input {
        let input = frame(AUDIO, time, 0, true);
        match (self, input) {
            (Sound::Opus, Input::Push(like)) => Input::Push(Frame {
                codec: OPUS,
                // CELT, one frame of 20 ms.
                data: [&[31 << 3][..], &like.data].concat(),
                ..like
            }),
            (_, input) => input,
        }
    }
}

/// A quotient of numbers from 0 on, rounded to the nearest.
pub(crate) fn nearest(dividend: i64, divisor: i64) -> i64 {
    (dividend + divisor / 2) / divisor
}

/// What happens when a phase is over.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Turn {
    None,
    /// The clock jumps by so many milliseconds, with what it shows or without.
    Jump(i64),
    /// No frame comes for so many parts; the clock goes on by so many milliseconds.
    Stall(u8, i64),
    VideoConfig,
    SmallConfig,
    AudioConfig,
    /// A track of pictures is coded otherwise.
    Codec(TrackName),
    /// Another encoder goes on, with a clock from 0.
    Restart,
    /// One track has no frames for so many milliseconds.
    VideoGap(i64),
    SmallGap(i64),
    AudioGap(i64),
    /// One track has no frames from here on, until it is back or another encoder comes.
    Ends(TrackName),
    Back,
    /// Another encoder goes on, with a clock from 0, that has not got this track.
    RestartWithout(TrackName),
}

#[derive(Clone, Debug)]
pub(crate) struct Phase {
    /// Milliseconds from picture to picture.
    picture: i64,
    /// Pictures are earlier or later by up to so many.
    jitter: i64,
    /// Pictures from key frame to key frame.
    gop: usize,
    /// Pictures are shown up to so many pictures later.
    reorder: i64,
    /// Milliseconds.
    length: i64,
    /// So much is said in it.
    said: i64,
    turn: Turn,
}

#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    preset: Preset,
    has_video: bool,
    has_audio: bool,
    /// There is video in a second size, whose times are so many milliseconds later.
    small: Option<i64>,
    /// The video begins so many milliseconds later.
    video_from: i64,
    /// The audio begins so many milliseconds later.
    audio_from: i64,
    /// And comes so many before the pictures of its time.
    audio_lead: i64,
    /// What pictures begin as.
    pictures: Pictures,
    /// What the sound begins as.
    sound: Sound,
    phases: Vec<Phase>,
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        4 => Just(Turn::None),
        1 => (-20_000i64..20_000).prop_map(Turn::Jump),
        1 => (-1_500i64..1_500).prop_map(Turn::Jump),
        1 => (1u8..9, 0i64..3000).prop_map(|(parts, ms)| Turn::Stall(parts, ms)),
        1 => Just(Turn::VideoConfig),
        1 => Just(Turn::SmallConfig),
        1 => Just(Turn::AudioConfig),
        2 => Just(Turn::Codec(VIDEO)),
        1 => Just(Turn::Codec(SMALL)),
        1 => Just(Turn::Restart),
        1 => (100i64..5000).prop_map(Turn::VideoGap),
        1 => (100i64..5000).prop_map(Turn::SmallGap),
        1 => (100i64..5000).prop_map(Turn::AudioGap),
        1 => Just(Turn::Ends(VIDEO)),
        1 => Just(Turn::Ends(SMALL)),
        1 => Just(Turn::Ends(AUDIO)),
        1 => Just(Turn::Back),
        1 => Just(Turn::RestartWithout(VIDEO)),
        1 => Just(Turn::RestartWithout(SMALL)),
        1 => Just(Turn::RestartWithout(AUDIO)),
    ]
}

fn phase() -> impl Strategy<Value = Phase> {
    let picture = prop_oneof![Just(40i64), Just(33), Just(100), 17i64..400];
    let said = prop_oneof![4 => Just(0i64), 1 => 1i64..40];
    let length = prop_oneof![4 => 100i64..9000, 1 => Just(1000i64)];
    (picture, 0i64..40, 1usize..80, 0i64..3, length, said, turn()).prop_map(
        |(picture, jitter, gop, reorder, length, said, turn)| Phase {
            picture,
            jitter: jitter.min(picture / 2),
            gop,
            reorder,
            length,
            said,
            turn,
        },
    )
}

/// Streams of some seconds up to a minute, in one size.
pub(crate) fn timeline() -> impl Strategy<Value = Timeline> {
    timeline_of(Just(None).boxed())
}

/// The same in two sizes, which go on as they begin.
pub(crate) fn steady_sizes() -> impl Strategy<Value = Timeline> {
    sizes().prop_map(|mut timeline| {
        let (picture, gop) = (timeline.phases[0].picture.min(100), timeline.phases[0].gop);
        for phase in &mut timeline.phases {
            (phase.picture, phase.gop, phase.turn) = (picture, gop, Turn::None);
        }
        timeline
    })
}

/// The same in two sizes.
pub(crate) fn sizes() -> impl Strategy<Value = Timeline> {
    timeline_of((-1i64..=1).prop_map(Some).boxed())
}

fn timeline_of(small: BoxedStrategy<Option<i64>>) -> impl Strategy<Value = Timeline> {
    let tracks =
        prop_oneof![6 => Just((true, true)), 1 => Just((true, false)), 1 => Just((false, true))];
    let from = prop_oneof![3 => Just(0i64), 1 => 0i64..8000];
    let preset = prop_oneof![
        3 => Just(Preset::Balanced),
        1 => Just(Preset::Lan),
        1 => Just(Preset::Public),
    ];
    (
        preset,
        (
            tracks,
            small,
            prop::sample::select(&Pictures::ALL[..]),
            prop::sample::select(&Sound::ALL[..]),
        ),
        from.clone(),
        from,
        -300i64..800,
        prop::collection::vec(phase(), 1..9),
    )
        .prop_map(
            |(
                preset,
                (tracks, small, pictures, sound),
                video_from,
                audio_from,
                audio_lead,
                phases,
            )| {
                let (has_video, has_audio) = tracks;
                Timeline {
                    preset,
                    has_video,
                    has_audio,
                    small,
                    video_from,
                    audio_from,
                    audio_lead,
                    pictures,
                    sound,
                    phases,
                }
            },
        )
}

/// Settings with which lists turn over soon.
pub(crate) fn settings() -> Settings {
    brisk(Preset::Balanced)
}

fn brisk(preset: Preset) -> Settings {
    Settings {
        segment: std::time::Duration::from_secs(1),
        longest_segment: std::time::Duration::from_secs(3),
        window: std::time::Duration::from_secs(8),
        ..Settings::new(preset)
    }
}

impl Timeline {
    pub(crate) fn settings(&self) -> Settings {
        brisk(self.preset)
    }

    pub(crate) fn inputs(&self) -> Vec<Input> {
        let mut inputs = Vec::new();
        let (mut video_number, mut small_number, mut sound) = (0, 0, self.sound);
        let (mut video, mut small) = (self.pictures, self.pictures);
        let (mut is_video_told, mut is_small_told) = (false, false);
        let mut clock = 50_000;
        let mut is_audio_told = false;
        let mut played = 0;
        let mut absent = None;
        for phase in &self.phases {
            let mut frames = Vec::new();
            let (mut video_from, mut small_from, mut audio_from) = (0, 0, 0);
            match phase.turn {
                Turn::VideoGap(ms) => video_from = ms.min(phase.length),
                Turn::SmallGap(ms) => small_from = ms.min(phase.length),
                Turn::AudioGap(ms) => audio_from = ms.min(phase.length),
                _ => {}
            }
            if self.has_video {
                let (mut at, mut number) = (0, 0);
                while at < phase.length {
                    if played + at < self.video_from || at < video_from.min(small_from) {
                        at += phase.picture;
                        continue;
                    }
                    // Back and forth by what the place tells: the same each time.
                    // Of several sizes it would have clocks step back where phases meet.
                    let jitter = self.small.map_or(phase.jitter, |_| 0);
                    let moved = if number % 3 == 1 { jitter } else { 0 };
                    let is_key = number % phase.gop == 0;
                    let later = phase.reorder * phase.picture * (1 + (number % 2) as i64) / 2;
                    // Of several sizes it is the same all along: they are cut by it.
                    let first = self.small.and(self.phases.first()).unwrap_or(phase);
                    let later = if is_key {
                        first.reorder * first.picture
                    } else {
                        later
                    };
                    if at >= video_from && absent != Some(VIDEO) {
                        frames.push((at, video.frame(VIDEO, clock + at + moved, later, is_key)));
                    }
                    if let Some(by) = self.small.filter(|_| absent != Some(SMALL))
                        && at >= small_from
                    {
                        let time = clock + at + moved + by;
                        frames.push((at, small.frame(SMALL, time, later, is_key)));
                    }
                    at += phase.picture;
                    number += 1;
                }
            }
            if self.has_audio && absent != Some(AUDIO) {
                for number in 0.. {
                    let at = audio_from + sound.time(number);
                    if at >= phase.length {
                        break;
                    }
                    if played + at < self.audio_from {
                        continue;
                    }
                    frames.push((at - self.audio_lead, sound.frame(clock + at)));
                }
            }
            for number in 0..phase.said {
                let at = number * phase.length / phase.said;
                frames.push((at, said(clock + at)));
            }
            frames.sort_by_key(|(at, _)| *at);
            for (_, input) in frames {
                if !is_video_told && matches!(&input, Input::Push(frame) if frame.track == VIDEO) {
                    is_video_told = true;
                    inputs.push(video.config(VIDEO, 0));
                }
                if !is_small_told && matches!(&input, Input::Push(frame) if frame.track == SMALL) {
                    is_small_told = true;
                    inputs.push(small.config(SMALL, 0));
                }
                if !is_audio_told && matches!(&input, Input::Push(frame) if frame.track == AUDIO) {
                    is_audio_told = true;
                    inputs.push(sound.config());
                }
                inputs.push(input);
            }
            clock += phase.length;
            played += phase.length;
            match phase.turn {
                Turn::Jump(by) => clock += by,
                Turn::Stall(parts, by) => {
                    inputs.extend((0..parts).map(|_| Input::Stall));
                    clock += by;
                }
                Turn::VideoConfig if is_video_told => {
                    video_number += 1;
                    inputs.push(video.config(VIDEO, video_number % 3));
                }
                Turn::SmallConfig if is_small_told => {
                    small_number += 1;
                    inputs.push(small.config(SMALL, small_number % 3));
                }
                Turn::Codec(VIDEO) if is_video_told => {
                    video = video.next();
                    inputs.push(video.config(VIDEO, 0));
                }
                Turn::Codec(SMALL) if is_small_told => {
                    small = small.next();
                    inputs.push(small.config(SMALL, 0));
                }
                Turn::AudioConfig if is_audio_told => {
                    sound = sound.next();
                    inputs.push(sound.config());
                }
                Turn::Restart => {
                    inputs.push(Input::Restart);
                    (clock, absent) = (0, None);
                    (is_video_told, is_small_told, is_audio_told) = (false, false, false);
                }
                Turn::RestartWithout(track) => {
                    inputs.push(Input::Restart);
                    (clock, absent) = (0, Some(track));
                    (is_video_told, is_small_told, is_audio_told) = (false, false, false);
                }
                Turn::Ends(track) => absent = Some(track),
                Turn::Back => absent = None,
                _ => {}
            }
        }
        inputs
    }
}

/// Gives a packager what is there, what came of each to `seen`.
pub(crate) fn run(
    settings: Settings,
    inputs: &[Input],
    mut seen: impl FnMut(&Packager<Vec<u8>>, Vec<Event>),
) {
    let mut packager = Packager::new(settings);
    let mut wall = 1_795_970_700_000;
    for input in inputs {
        let mut events = Vec::new();
        match input {
            Input::Configure(track, codec, config) => packager.configure(*track, *codec, config),
            Input::Push(frame) => {
                wall += 7;
                packager.push(frame.clone(), wall, &mut events);
            }
            Input::Tell(cue, time) => packager.tell(cue.clone(), *time),
            Input::Stall => packager.stall(&mut events),
            Input::Restart => packager.restart(&mut events),
        }
        seen(&packager, events);
    }
    let mut events = Vec::new();
    packager.end(&mut events);
    seen(&packager, events);
}

pub(crate) fn events(settings: Settings, inputs: &[Input]) -> Vec<Event> {
    let mut all = Vec::new();
    run(settings, inputs, |_, events| all.extend(events));
    all
}
