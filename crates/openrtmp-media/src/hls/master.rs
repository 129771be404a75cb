//! The master playlist (multivariant playlist).

use std::fmt::Write;

use super::{HEADROOM, Names};
use crate::Label;
use crate::captions::Captions;
use crate::codecs::family;
use crate::mp4::{Media, TrackName};
use crate::packager::{Rendition, Window};

/// The first group of audio tracks. Those of others end with their codec.
const AUDIO_GROUP: &str = "audio";
/// That of captions inside pictures.
const CAPTION_GROUP: &str = "cc";

/// Audio tracks of one codec, which a variant has to choose from. All of their codecs are in its
/// `CODECS` (RFC 8216bis, 4.4.6.2): with several codecs in one group, who has no decoder for one
/// of them could play none.
struct Group<'a> {
    codec: &'a str,
    id: String,
    renditions: Vec<&'a Rendition>,
}

/// The master playlist: a variant of each video track for each codec of sound, with every audio
/// track of that to choose from, or of the audio tracks alone. `None` as long as there is none
/// ([`Window::listed`]).
pub fn master_playlist(window: &Window, names: &Names) -> Option<String> {
    let listed = window.listed()?;
    let captions = captions_of(listed.iter().copied());
    let (video, audio): (Vec<&Rendition>, Vec<&Rendition>) = listed
        .into_iter()
        .partition(|rendition| rendition.track.is_video());
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:7\n");
    if video.is_empty() {
        // Without pictures a variant for each: players choose among them by rate.
        for rendition in audio {
            put_variant(&mut out, rendition, None, captions, names)?;
        }
        return Some(out);
    }
    let groups = groups(&audio)?;
    for group in &groups {
        put_group(&mut out, group, window, names);
    }
    put_captions(&mut out, captions);
    // Who knows nothing of groups takes the first variant: it has the first track.
    let none = groups.is_empty().then_some(None);
    for group in groups.iter().map(Some).chain(none) {
        for rendition in &video {
            put_variant(&mut out, rendition, group, captions, names)?;
        }
    }
    Some(out)
}

/// The audio tracks by their codecs, each where its first track is.
fn groups<'a>(audio: &[&'a Rendition]) -> Option<Vec<Group<'a>>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for rendition in audio {
        let codec = family(&rendition.description()?.codec_string);
        match groups.iter_mut().find(|group| group.codec == codec) {
            Some(group) => group.renditions.push(rendition),
            None => groups.push(Group {
                codec,
                id: match groups.is_empty() {
                    true => AUDIO_GROUP.to_owned(),
                    false => format!("{AUDIO_GROUP}-{codec}"),
                },
                renditions: vec![rendition],
            }),
        }
    }
    Some(groups)
}

fn put_group(out: &mut String, group: &Group<'_>, window: &Window, names: &Names) {
    let mut told: Vec<String> = Vec::new();
    for rendition in &group.renditions {
        let label = window.label_of(rendition.track);
        // Names differ within a group (4.4.6.1.1), from those of tracks that have none too. In
        // another one the same name is that of the same sound.
        let is_free = |name: &String| !told.contains(name) && TrackName::parse(name).is_none();
        let name = match label.name.clone().filter(is_free) {
            Some(name) => name,
            None => rendition.track.to_string(),
        };
        put_audio(
            out,
            &group.id,
            rendition,
            told.is_empty(),
            &name,
            &label,
            names,
        );
        told.push(name);
    }
}

fn put_audio(
    out: &mut String,
    group: &str,
    rendition: &Rendition,
    is_default: bool,
    name: &str,
    label: &Label,
    names: &Names,
) {
    let uri = names.playlist(rendition.track);
    let is_default = if is_default { "YES" } else { "NO" };
    let language = label.language.as_deref().unwrap_or("und");
    let _ = write!(
        out,
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{group}\",NAME=\"{name}\",\
         LANGUAGE=\"{language}\",DEFAULT={is_default},AUTOSELECT=YES,URI=\"{uri}\""
    );
    if let Some(Media::Audio { channels, .. }) = rendition.description().map(|is| is.media) {
        let _ = write!(out, ",CHANNELS=\"{channels}\"");
    }
    if let Some(characteristics) = &label.characteristics {
        let _ = write!(out, ",CHARACTERISTICS=\"{characteristics}\"");
    }
    out.push('\n');
}

fn put_variant(
    out: &mut String,
    rendition: &Rendition,
    group: Option<&Group<'_>>,
    captions: Captions,
    names: &Names,
) -> Option<()> {
    let audio = group.map_or(&[][..], |group| &group.renditions);
    let rates = rendition.rates();
    let others = audio.iter().map(|rendition| rendition.rates());
    let peak = rates.peak + others.clone().map(|rates| rates.peak).max().unwrap_or(0);
    let average = rates.average + others.map(|rates| rates.average).max().unwrap_or(0);
    // A player divides by them.
    let told = |rate: u64| (rate.saturating_mul(HEADROOM) / 100).max(1);
    let (peak, average) = (told(peak.max(average)), told(average));
    // Of every configuration that a listed segment needs, or the newest.
    let mut codecs: Vec<&str> = Vec::new();
    for rendition in [&rendition].into_iter().chain(audio) {
        for (_, description, _) in &rendition.inits {
            if !codecs.contains(&description.codec_string.as_str()) {
                codecs.push(&description.codec_string);
            }
        }
    }
    let _ = write!(
        out,
        "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS=\"{}\"",
        codecs.join(",")
    );
    if let Media::Video { width, height, .. } = rendition.description()?.media {
        let rate = rendition.frame_rate();
        let _ = write!(
            out,
            ",RESOLUTION={width}x{height},FRAME-RATE={}.{:03}",
            rate / 1000,
            rate % 1000
        );
        if let Some(range) = rendition.description()?.transfer.and_then(video_range) {
            let _ = write!(out, ",VIDEO-RANGE={range}");
        }
        if let Some(Group { id, .. }) = group {
            let _ = write!(out, ",AUDIO=\"{id}\"");
        }
    }
    let captions = caption_group(captions);
    let uri = names.playlist(rendition.track);
    let _ = writeln!(out, ",CLOSED-CAPTIONS={captions}\n{uri}");
    Some(())
}

/// The captions of any of these: with those of one variant alone players come to grief
/// (4.4.6.2).
pub(super) fn captions_of<'a>(renditions: impl Iterator<Item = &'a Rendition>) -> Captions {
    renditions.fold(Captions::default(), |all, is| all.or(is.captions()))
}

/// The captions to choose from. Those of CTA-708 are told of where there are no others: who
/// sends both says the same in both.
pub(super) fn put_captions(out: &mut String, captions: Captions) {
    let service = Some("SERVICE1").filter(|_| captions.services);
    let service = service.filter(|_| captions.channels().next().is_none());
    for stream in captions.channels().chain(service) {
        let _ = writeln!(
            out,
            "#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"{CAPTION_GROUP}\",NAME=\"{stream}\",\
             LANGUAGE=\"und\",DEFAULT=NO,AUTOSELECT=YES,INSTREAM-ID=\"{stream}\""
        );
    }
}

/// What `CLOSED-CAPTIONS` of every variant says. Without it players look for captions
/// themselves, some (Shaka 5) in what has not come yet.
pub(super) fn caption_group(captions: Captions) -> String {
    match captions.is_none() {
        true => "NONE".to_owned(),
        false => format!("\"{CAPTION_GROUP}\""),
    }
}

/// What `VIDEO-RANGE` says of transfer characteristics; of the usual ones nothing, which means
/// SDR.
fn video_range(transfer: u8) -> Option<&'static str> {
    const SMPTE_ST_2084: u8 = 16;
    const HLG: u8 = 18;
    match transfer {
        SMPTE_ST_2084 => Some("PQ"),
        HLG => Some("HLG"),
        _ => None,
    }
}
