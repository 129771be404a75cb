//! Streams of the common frame rates and kinds of sound, timed as encoders and RTMP time them,
//! cut with each preset and followed as a player does: no rule is broken, of HLS or of DASH, and
//! what is listed is what is delivered.
//!
//! A stream is half a minute long, or as many seconds as `HLS_GRID_SECONDS` says.

use std::collections::BTreeMap;
use std::time::Duration;

use super::check::reaches;
use super::contents::{self, Held};
use super::read::ListedSegment;
use super::session::{Master, Session};
use super::{Form, Names, master_playlist, media_playlist};
use crate::dash;
use crate::mp4::{Content, Frame, TrackName};
use crate::packager::timelines::{AUDIO, H264, Input, Sound, VIDEO, nearest, said, video_config};
use crate::packager::{Event, Packager, Preset, Settings, Window};

/// Frames, in so many seconds.
const RATES: [(i64, i64); 12] = [
    (60, 1),
    (60_000, 1001),
    (50, 1),
    (30, 1),
    (30_000, 1001),
    (25, 1),
    (24, 1),
    (24_000, 1001),
    (20, 1),
    (15, 1),
    (25, 2),
    (10, 1),
];
/// Wall time of the first frame.
const BEGUN: i64 = 1_795_970_700_000;
/// Encoders put key frames so many seconds apart.
const GOP: i64 = 2;

#[derive(Clone, Copy, Debug)]
struct Cell {
    rate: (i64, i64),
    has_b_frames: bool,
    sound: Option<Sound>,
    /// So many groups of pictures in which nothing moves come first.
    calm: i64,
}

fn grid() -> impl Iterator<Item = Cell> {
    let sounds = [None].into_iter().chain(Sound::ALL.map(Some));
    RATES.into_iter().flat_map(move |rate| {
        let sounds = sounds.clone();
        sounds.flat_map(move |sound| {
            [false, true].map(|has_b_frames| Cell {
                rate,
                has_b_frames,
                sound,
                calm: 0,
            })
        })
    })
}

impl Cell {
    /// The millisecond of a picture, as RTMP has it.
    fn time(&self, number: i64) -> i64 {
        nearest(number * 1000 * self.rate.1, self.rate.0)
    }

    /// The longest frame.
    fn frame(&self) -> Duration {
        let picture = self.time(1) + 1;
        let sound = self.sound.map_or(0, |sound| sound.time(1) + 1);
        Duration::from_millis(picture.max(sound).unsigned_abs())
    }

    /// A group of pictures in the order of decoding: which of those that are shown, and what.
    fn group(&self) -> Vec<(i64, Picture)> {
        let count = nearest(GOP * self.rate.0, self.rate.1);
        let mut group = vec![(0, Picture::Key)];
        let mut next = 1;
        while next < count {
            if self.has_b_frames && next + 2 < count {
                group.push((next + 2, Picture::Forward));
                group.extend([(next, Picture::Between), (next + 1, Picture::Between)]);
                next += 3;
            } else {
                group.push((next, Picture::Forward));
                next += 1;
            }
        }
        group
    }

    /// What an encoder sends, with the millisecond of each message.
    fn messages(&self, seconds: i64) -> Vec<(i64, Input)> {
        let mut messages = vec![(0, video_config(0))];
        messages.extend(self.sound.map(|sound| (0, sound.config())));
        let group = self.group();
        let delay = i64::from(self.has_b_frames);
        for number in 0.. {
            let time = self.time(number);
            if time >= seconds * 1000 {
                break;
            }
            let (before, place) = (number / group.len() as i64, number as usize % group.len());
            let (shown, picture) = group[place];
            let shown = self.time(before * group.len() as i64 + shown + delay);
            let is_calm = before < self.calm;
            messages.push((time, picture.frame(time, shown, is_calm)));
        }
        if let Some(sound) = self.sound {
            let times = (0..).map(|number| sound.time(number));
            let times = times.take_while(|time| *time < seconds * 1000);
            messages.extend(times.map(|time| (time, sound.frame(time))));
        }
        // Something is said now and then, at the time of no frame.
        let times = (501..seconds * 1000).step_by(1703);
        messages.extend(times.map(|time| (time, said(time))));
        messages.sort_by_key(|(time, _)| *time);
        messages
    }
}

#[derive(Clone, Copy, Debug)]
enum Picture {
    Key,
    Forward,
    Between,
}

impl Picture {
    fn frame(self, time: i64, shown: i64, is_calm: bool) -> Input {
        // The NAL unit's header, and its length.
        let (header, length, content) = match self {
            Picture::Key => (0x65, 900, Content::Key),
            Picture::Forward => (0x41, 300, Content::Inter),
            Picture::Between => (0x01, 100, Content::Inter),
        };
        let length: usize = if is_calm { length / 10 } else { length };
        let mut data = vec![time as u8; length + 4];
        data[..4].copy_from_slice(&(length as u32).to_be_bytes());
        data[4] = header;
        Input::Push(Frame {
            track: VIDEO,
            codec: H264,
            dts: time * 1000,
            pts: shown * 1000,
            content,
            data,
        })
    }
}

/// A whole segment as it was listed first, and its bytes part by part.
struct Whole {
    told: ListedSegment,
    parts: Vec<Vec<u8>>,
    bytes: Vec<u8>,
}

/// A player of everything.
struct Viewer {
    window: Window,
    session: Option<Session>,
    manifests: dash::check::Checker,
    reloads: BTreeMap<TrackName, usize>,
    whole: BTreeMap<TrackName, Vec<Whole>>,
    faults: Vec<String>,
}

impl Viewer {
    fn names() -> Names {
        Names {
            epoch: "e".to_owned(),
        }
    }

    fn master(&self) -> Option<Master> {
        Master::parse(&master_playlist(&self.window, &Viewer::names())?)
    }

    /// What became of a frame at this millisecond.
    fn see(&mut self, events: Vec<Event>, now: i64, late: Duration) {
        let (mut changed, mut closed) = (Vec::new(), Vec::new());
        for event in events {
            match &event {
                Event::Part { track, .. } => changed.push(*track),
                Event::Closed { track } => closed.push(*track),
                Event::LongGop { .. } | Event::Unsupported { .. } => {
                    self.faults.push(format!("{event:?}"));
                }
                _ => {}
            }
            self.window.apply(event);
        }
        if self.session.is_none() {
            let Some(master) = self.master() else {
                return;
            };
            let session = self.session.insert(Session::new(Some(&master)));
            session.tolerate(late);
            session.rates_are_announced();
            for variant in &master.variants {
                session.codecs(&variant.uri, master.codecs(variant));
            }
            changed = self.window.renditions().iter().map(|is| is.track).collect();
        }
        changed.extend(&closed);
        changed.sort_unstable();
        changed.dedup();
        for track in changed {
            self.reload(track, now);
        }
        for track in closed {
            self.fetch(track, now);
        }
    }

    /// The playlist came that a player waits for, every other time as what is new of it.
    fn reload(&mut self, track: TrackName, now: i64) {
        let names = Viewer::names();
        let Some(session) = &mut self.session else {
            return;
        };
        let name = names.playlist(track);
        let count = self.reloads.entry(track).or_default();
        *count += 1;
        let form = match *count % 2 {
            0 => Form::Delta,
            _ => Form::Full,
        };
        let Some(text) = media_playlist(&self.window, track, &names, form) else {
            self.faults.push(format!("{name} is not there at {now}"));
            return;
        };
        // What was announced is what is waited for.
        let next = session.last(&name).map(|listed| {
            let (msn, last) = listed.numbered().last().expect("something is listed");
            match last.uri {
                Some(_) => (msn + 1, 0),
                None => (msn, last.parts.len() as u64),
            }
        });
        let at = Duration::from_millis(now as u64);
        session.playlist(&name, &text, at);
        session.reports(&name, at, at);
        let listed = session.last(&name);
        let is_next = |(msn, part)| listed.is_some_and(|is| reaches(is, msn, Some(part)));
        // A segment that ends says so without another part.
        let is_end = listed.is_some_and(|is| is.segments.last().is_some_and(|it| it.uri.is_some()));
        if !next.is_none_or(is_next) && !is_end {
            self.faults
                .push(format!("{name} at {now} without what is new"));
        }
    }

    /// A segment is complete.
    fn fetch(&mut self, track: TrackName, now: i64) {
        let names = Viewer::names();
        let Some(session) = &mut self.session else {
            return;
        };
        let name = names.playlist(track);
        let rendition = self.window.rendition(track).expect("it has segments");
        let newest = rendition.segments.iter().rfind(|is| is.is_complete);
        let newest = newest.expect("one is complete");
        let msn = newest.beginning.msn;
        let listed = session.last(&name).expect("it is listed");
        let told = listed.numbered().find(|(is, _)| *is == msn);
        let Some(told) = told
            .map(|(_, told)| told.clone())
            .filter(|is| is.uri.is_some())
        else {
            self.faults
                .push(format!("segment {msn} of {name} is not listed at {now}"));
            return;
        };
        let parts: Vec<Vec<u8>> = newest.parts.iter().map(|is| is.bytes.to_vec()).collect();
        let bytes = parts.concat();
        let due: Vec<String> = session
            .due(&name, Duration::from_millis(now as u64))
            .into_iter()
            .map(str::to_owned)
            .collect();
        for uri in due {
            let file = uri.rsplit('/').next().unwrap_or("");
            let mut numbers = file.split('.').map_while(|it| it.parse::<u64>().ok());
            let (msn, part) = (numbers.next(), numbers.next());
            let segment = msn.and_then(|msn| rendition.segment(msn));
            let part = segment
                .zip(part)
                .and_then(|(is, part)| is.parts.get(part as usize));
            if part.is_none_or(|part| part.bytes.is_empty()) {
                self.faults.push(format!("{uri} is gone at {now}"));
            }
        }
        let uri = told.uri.clone().unwrap_or_default();
        session.media(&name, &uri, bytes.clone());
        let all = self.whole.entry(track).or_default();
        all.push(Whole { told, parts, bytes });
        let clock = dash::Clock {
            published: BEGUN + now,
            url: "/time",
        };
        if let Some(text) = dash::manifest(&self.window, &names, &clock) {
            let broken = self.manifests.read(&text);
            self.faults.extend(broken.iter().map(ToString::to_string));
            let listed = self.manifests.last();
            let early = listed.map(|is| dash::check::availability(is, BEGUN + now, 0.1));
            let early = early.into_iter().flatten();
            self.faults.extend(early.map(|it| it.to_string()));
        }
    }

    /// What was delivered, from the first segment to the last.
    fn look_back(&mut self, seconds: i64) {
        let Some(master) = self.master() else {
            return self.faults.push("there is no master playlist".to_owned());
        };
        if self.manifests.last().is_none() {
            self.faults.push("there was no manifest".to_owned());
        }
        if let Some(session) = &mut self.session {
            session.master(&master);
            let wrong = session.wrong();
            let wrong = wrong
                .iter()
                .map(|(wrong, times)| format!("{wrong} ({times})"));
            self.faults.extend(wrong);
        }
        for variant in &master.variants {
            let track = self.window.renditions().iter().map(|is| is.track);
            let track = track
                .into_iter()
                .find(|track| Viewer::names().playlist(*track) == variant.uri);
            let track = track.expect("a track for each variant");
            let all = self.whole.get(&track).map_or(&[][..], Vec::as_slice);
            if (all.len() as i64) < seconds / GOP - 4 {
                self.faults
                    .push(format!("{} has {} segments", variant.uri, all.len()));
            }
            let parts: Vec<Vec<&[u8]>> = all
                .iter()
                .map(|whole| whole.parts.iter().map(Vec::as_slice).collect())
                .collect();
            let held: Vec<Held<'_>> = all
                .iter()
                .zip(&parts)
                .map(|(whole, parts)| Held {
                    told: &whole.told,
                    bytes: &whole.bytes,
                    parts: Some(parts),
                })
                .collect();
            let inits = &self.window.rendition(track).expect("the track").inits;
            let codecs = master.codecs(variant);
            let codecs: Vec<&str> = codecs.iter().map(String::as_str).collect();
            let untrue = contents::check("init", &inits[0].2, &codecs, &held);
            self.faults
                .extend(untrue.iter().map(|it| format!("{}: {it}", variant.uri)));
            if inits.len() > 1 || held.iter().any(|held| held.told.is_discontinuity) {
                self.faults
                    .push(format!("{} does not go on as it began", variant.uri));
            }
        }
    }
}

/// What is wrong with what is made of a cell, whose encoder says what its rates are.
fn faults(cell: &Cell, preset: Preset, seconds: i64) -> Vec<String> {
    let messages = cell.messages(seconds);
    let mut bytes = [0; 2];
    for (_, input) in &messages {
        if let Input::Push(frame) = input {
            bytes[usize::from(frame.track == VIDEO)] += frame.data.len() as u64;
        }
    }
    let lasts = seconds - cell.calm * GOP;
    let [sound, pictures] = bytes.map(|bytes| bytes * 8 / lasts.unsigned_abs());
    faults_of(cell, preset, seconds, &[(VIDEO, pictures), (AUDIO, sound)])
}

/// The same where it says these.
fn faults_of(cell: &Cell, preset: Preset, seconds: i64, rates: &[(TrackName, u64)]) -> Vec<String> {
    let settings = Settings {
        low_latency_dash: preset == Preset::Lan,
        ..Settings::new(preset)
    };
    let mut packager = Packager::new(settings.clone());
    let mut viewer = Viewer {
        window: Window::new(settings),
        session: None,
        manifests: dash::check::Checker::default(),
        reloads: BTreeMap::new(),
        whole: BTreeMap::new(),
        faults: Vec::new(),
    };
    for (track, rate) in rates {
        viewer.window.announce(*track, *rate);
    }
    for (time, input) in cell.messages(seconds) {
        let mut events = Vec::new();
        match input {
            Input::Configure(track, codec, config) => packager.configure(track, codec, &config),
            Input::Push(frame) => packager.push(frame, BEGUN + time, &mut events),
            Input::Tell(cue, time) => packager.tell(cue, time),
            Input::Stall | Input::Restart => unreachable!("an encoder sends frames"),
        }
        viewer.see(events, time, cell.frame());
    }
    viewer.look_back(seconds);
    viewer.faults
}

fn follow(preset: Preset) {
    let asked = std::env::var("HLS_GRID_SECONDS");
    let seconds = asked.map_or(30, |asked| {
        asked.parse().expect("HLS_GRID_SECONDS: a number")
    });
    let mut cells = 0;
    let told: Vec<String> = grid()
        .filter_map(|cell| {
            cells += 1;
            let faults = faults(&cell, preset, seconds);
            (!faults.is_empty()).then(|| {
                let first: Vec<String> = faults.iter().take(6).cloned().collect();
                format!("{cell:?}: {}\n  {}", faults.len(), first.join("\n  "))
            })
        })
        .collect();
    assert_eq!(cells, 96);
    assert!(told.is_empty(), "{} cells\n{}", told.len(), told.join("\n"));
}

#[test]
fn no_rule_is_broken_with_the_default_preset() {
    follow(Preset::Balanced);
}

#[test]
fn no_rule_is_broken_on_a_network_of_ones_own() {
    follow(Preset::Lan);
}

#[test]
fn no_rule_is_broken_for_the_public() {
    follow(Preset::Public);
}

/// Who chooses by the master playlist that was the first to come is not to be deceived by it.
#[test]
fn a_calm_beginning_is_told_of_by_what_the_encoder_says() {
    let cell = Cell {
        rate: (25, 1),
        has_b_frames: false,
        sound: Some(Sound::Aac48),
        calm: 3,
    };
    assert_eq!(faults(&cell, Preset::Balanced, 30), [""; 0]);
    // Where it says nothing, nobody knows.
    let told = faults_of(&cell, Preset::Balanced, 30, &[]);
    assert!(told.len() == 2 && told[0].contains("BANDWIDTH"), "{told:?}");
}
