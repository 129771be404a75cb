//! Playlists of transport streams, for players that know version 3 of the protocol and no
//! MP4 ([`ts`](crate::ts)). Segments are those of the other playlists, with the same numbers.

use std::fmt::Write;

use super::master::{caption_group, captions_of, put_captions};
use super::media::seconds;
use super::{HEADROOM, Names};
use crate::date::date;
use crate::mp4::{Media, TrackName};
use crate::packager::{Rendition, Segment, Window};
use crate::ts;

const VERSION: u32 = 3;
/// Heads and tables take so many hundredths of what is in packets, where that is little.
const OVERHEAD: u64 = 15;

/// The tracks of a stream that are in its transport stream: the first with pictures, and the
/// first with sound that has a place there. None, if there are pictures without a place.
pub fn transport_tracks(window: &Window) -> Vec<TrackName> {
    let fits = |rendition: &&Rendition| {
        let init = rendition.inits.back();
        init.is_some_and(|(.., bytes)| ts::fits(bytes).is_ok())
    };
    let (video, audio): (Vec<&Rendition>, Vec<&Rendition>) = window
        .renditions()
        .iter()
        .partition(|rendition| rendition.track.is_video());
    let pictures = video.iter().copied().find(fits);
    if pictures.is_none() && !video.is_empty() {
        return Vec::new();
    }
    let sound = audio.iter().copied().find(fits);
    let tracks = pictures.into_iter().chain(sound);
    tracks.map(|rendition| rendition.track).collect()
}

/// The master playlist of these tracks; the one variant is in the run's folder. `None` as long
/// as not every rendition of the stream can be played, or if there are no tracks.
pub fn transport_master(window: &Window, tracks: &[TrackName], names: &Names) -> Option<String> {
    if !window.is_playable() || tracks.is_empty() {
        return None;
    }
    let renditions = tracks.iter().filter_map(|track| window.rendition(*track));
    let peak: u64 = renditions.clone().map(|is| is.rates().peak).sum();
    let rate = (peak.saturating_mul(HEADROOM + OVERHEAD) / 100).max(1);
    let descriptions = renditions.clone().filter_map(Rendition::description);
    let codecs: Vec<&str> = descriptions
        .clone()
        .map(|is| is.codec_string.as_str())
        .collect();
    let mut out = format!("#EXTM3U\n#EXT-X-VERSION:{VERSION}\n");
    let captions = captions_of(renditions);
    put_captions(&mut out, captions);
    let _ = write!(
        out,
        "#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH={rate},CODECS=\"{}\"",
        codecs.join(",")
    );
    for description in descriptions {
        if let Media::Video { width, height, .. } = description.media {
            let _ = write!(out, ",RESOLUTION={width}x{height}");
        }
    }
    let captions = caption_group(captions);
    let uri = names.transport_playlist();
    let _ = writeln!(out, ",CLOSED-CAPTIONS={captions}\n{uri}");
    Some(out)
}

/// The media playlist: what is complete in all of these tracks. `None` as long as there is
/// nothing, or nothing may be listed.
pub fn transport_playlist(window: &Window, tracks: &[TrackName], names: &Names) -> Option<String> {
    let target = window.targets()?.segment;
    let renditions = tracks.iter().filter_map(|track| window.rendition(*track));
    let complete = |rendition: &Rendition| {
        let mut segments = rendition.segments.iter();
        segments
            .rfind(|segment| segment.is_complete)
            .map(|segment| segment.beginning.msn)
    };
    // A track that has nothing yet is not waited for, nor one that has ended before.
    let last = match window.has_ended() {
        true => u64::MAX,
        false => renditions.clone().filter_map(complete).min()?,
    };
    let leading = renditions.clone().next()?;
    let is_listed = |segment: &&Segment| {
        segment.is_complete && segment.beginning.msn <= last && !segment.parts.is_empty()
    };
    let mut listed = leading.segments.iter().filter(is_listed).peekable();
    let first = listed.peek()?.beginning;
    let before = first.discontinuities - u64::from(first.is_discontinuity);
    let mut out = format!(
        "#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-TARGETDURATION:{target}\n\
         #EXT-X-MEDIA-SEQUENCE:{}\n#EXT-X-DISCONTINUITY-SEQUENCE:{before}\n",
        first.msn
    );
    for segment in listed {
        let beginning = segment.beginning;
        if beginning.is_discontinuity {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", date(beginning.wall));
        let length = seconds(segment.duration());
        let name = names.transport_segment(beginning.msn);
        let _ = writeln!(out, "#EXTINF:{length},\n{}", names.in_playlist(&name));
    }
    if window.has_ended() {
        out.push_str("#EXT-X-ENDLIST\n");
    }
    Some(out)
}
