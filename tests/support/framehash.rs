//! What a file holds, packet by packet, as ffmpeg sees it, and whether one is a
//! faithful part of another.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{Process, Tool};

/// One packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Decoding time in milliseconds.
    pub dts: i64,
    /// Presentation time in milliseconds.
    pub pts: i64,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the payload.
    pub hash: String,
}

impl Packet {
    /// Times counted by a base in seconds, brought to the nearest millisecond.
    fn in_milliseconds(self, (over, under): (i64, i64)) -> Packet {
        let milliseconds = |time: i64| (time * over * 1000 + under / 2).div_euclid(under);
        Packet {
            dts: milliseconds(self.dts),
            pts: milliseconds(self.pts),
            ..self
        }
    }
}

/// How a publication came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The publisher finished: its last packet must have arrived.
    Complete,
    /// The publisher finished, but the player is known to lose this many packets
    /// when the connection ends at once.
    CompleteBut(usize),
    /// The publisher or the player was cut off: only the run counts.
    Cut,
}

/// The packets of a file by stream: `video 0`, `audio 0`, `audio 1` ...
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameHashes {
    streams: BTreeMap<String, Vec<Packet>>,
}

impl FrameHashes {
    /// Reads `file` with the current ffmpeg.
    ///
    /// # Panics
    /// If ffmpeg cannot read it.
    pub fn of(file: &Path) -> FrameHashes {
        let mut command = Tool::FfmpegCurrent.command();
        command.args(["-nostdin", "-v", "error", "-i"]).arg(file);
        command.args([
            "-map",
            "0",
            "-c",
            "copy",
            "-copyinkf",
            "-f",
            "framehash",
            "-",
        ]);
        let name = format!("framehash of {}", file.display());
        FrameHashes::parse(&Process::start(name, command).wait().expect_success().output)
    }

    /// Packets of one stream, for example `audio 1`.
    pub fn stream(&self, name: &str) -> &[Packet] {
        self.streams.get(name).map_or(&[], Vec::as_slice)
    }

    /// Names of the streams.
    pub fn stream_names(&self) -> impl Iterator<Item = &str> {
        self.streams.keys().map(String::as_str)
    }

    fn parse(lines: &[String]) -> FrameHashes {
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        let mut bases: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        let mut streams: BTreeMap<String, Vec<Packet>> = BTreeMap::new();
        for line in lines {
            if let Some(stream) = line.strip_prefix("#media_type ") {
                let (index, kind) = stream.split_once(": ").expect("index and kind");
                let number = streams.keys().filter(|name| name.starts_with(kind)).count();
                let name = format!("{kind} {number}");
                streams.insert(name.clone(), Vec::new());
                names.insert(index.to_owned(), name);
            } else if let Some(base) = line.strip_prefix("#tb ") {
                let (index, base) = base.split_once(": ").expect("index and base");
                let (over, under) = base.split_once('/').expect("a fraction of a second");
                let number = |text: &str| text.parse().expect("a number");
                bases.insert(index.to_owned(), (number(over), number(under)));
            } else if !line.starts_with('#')
                && let Some((index, packet)) = parse_packet(line)
                && let Some(&base) = bases.get(index)
                // ffmpeg makes an empty packet of a channel layout message.
                && packet.size > 0
                && let Some(name) = names.get(index)
            {
                streams
                    .get_mut(name)
                    .expect("named streams have a list")
                    .push(packet.in_milliseconds(base));
            }
        }
        FrameHashes { streams }
    }

    /// Without all but the first stream of each kind: what players get that know no
    /// more.
    pub fn default_tracks(mut self) -> FrameHashes {
        self.streams.retain(|name, _| name.ends_with(" 0"));
        self
    }

    /// Checks that `played` is what a player must get of `self`, the published
    /// stream: of each stream one run without a gap, payloads unaltered, times
    /// equal up to one constant for all streams, video from a keyframe on and, if
    /// the publisher finished, everything to the end.
    ///
    /// `keyframes` are the numbers of the published video packets that are
    /// keyframes.
    pub fn check_played(
        &self,
        keyframes: &[usize],
        played: &FrameHashes,
        ending: Ending,
    ) -> Result<(), String> {
        let ours: Vec<&str> = self.stream_names().collect();
        let theirs: Vec<&str> = played.stream_names().collect();
        if ours != theirs {
            return Err(format!("published streams {ours:?}, played {theirs:?}"));
        }
        let mut lost = 0;
        let mut shift = None;
        // Video first: its frames differ, so that it fixes the shift in time.
        for (name, packets) in played.streams.iter().rev() {
            let published = self.stream(name);
            let start = align(published, packets, &mut shift)
                .map_err(|why| format!("{name}: {why}\n{}", side_by_side(published, packets)))?;
            if name.starts_with("video") && !keyframes.contains(&start) {
                return Err(format!("{name}: starts at packet {start}, not a keyframe"));
            }
            lost += published.len() - start - packets.len();
        }
        match ending {
            Ending::Complete if lost > 0 => Err(format!("{lost} packets are missing at the end")),
            Ending::CompleteBut(most) if lost > most => Err(format!(
                "{lost} packets are missing at the end, {most} may be"
            )),
            _ => Ok(()),
        }
    }
}

/// The place in `published` where the whole of `played` is found with the same
/// shift in time throughout; the first stream found sets the shift.
fn align(
    published: &[Packet],
    played: &[Packet],
    shift: &mut Option<i64>,
) -> Result<usize, String> {
    let first = played.first().ok_or("nothing was played")?;
    if played.len() > published.len() {
        return Err(format!(
            "{} packets became {}",
            published.len(),
            played.len()
        ));
    }
    let mut best = "its first packet was never published".to_owned();
    let mut longest = 0;
    for (start, candidate) in published.windows(played.len()).enumerate() {
        let offset = first.dts - candidate[0].dts;
        if shift.is_some_and(|shift| shift != offset) && candidate[0].hash == first.hash {
            best = format!("shifted by {offset} ms, another stream by {shift:?}");
        }
        if shift.is_some_and(|shift| shift != offset) {
            continue;
        }
        let same = |(before, after): &(&Packet, &Packet)| {
            before.hash == after.hash
                && after.dts - before.dts == offset
                && after.pts - before.pts == offset
        };
        let run = candidate.iter().zip(played).take_while(same).count();
        if run == played.len() {
            *shift = Some(offset);
            return Ok(start);
        }
        if run > longest {
            longest = run;
            best = format!("from packet {start} on, {run} packets agree, then they differ");
        }
    }
    Err(best)
}

/// `index, dts, pts, duration, size, hash`, then the side data, if any.
fn parse_packet(line: &str) -> Option<(&str, Packet)> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let &[index, dts, pts, _duration, size, hash, ..] = fields.as_slice() else {
        return None;
    };
    let packet = Packet {
        dts: dts.parse().ok()?,
        pts: pts.parse().ok()?,
        size: size.parse().ok()?,
        hash: hash.to_owned(),
    };
    Some((index, packet))
}

fn side_by_side(published: &[Packet], played: &[Packet]) -> String {
    let table = |packets: &[Packet]| -> String {
        let line = |packet: &Packet| {
            let (dts, pts, size) = (packet.dts, packet.pts, packet.size);
            format!(
                "  dts {dts} pts {pts} size {size} {}\n",
                &packet.hash[..8.min(packet.hash.len())]
            )
        };
        packets.iter().map(line).collect()
    };
    format!("published:\n{}played:\n{}", table(published), table(played))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "\
#tb 0: 1/1000
#media_type 0: video
#tb 1: 1/1000
#media_type 1: audio
#stream#, dts,        pts, duration,     size, hash";

    fn hashes(packets: &str) -> FrameHashes {
        let lines: Vec<String> = HEADER
            .lines()
            .chain(packets.lines())
            .map(str::to_owned)
            .collect();
        FrameHashes::parse(&lines)
    }

    fn published() -> FrameHashes {
        hashes(
            "0,0,0,33,9,k0\n1,1,1,20,1,a\n0,33,40,33,9,i1\n1,21,21,20,1,a\n0,66,66,33,9,k2\n1,41,41,20,1,b",
        )
    }

    #[test]
    fn all_or_a_run_from_a_keyframe_is_accepted_with_one_shift() {
        let keyframes = [0, 2];
        let all = published();
        assert_eq!(
            published().check_played(&keyframes, &all, Ending::Complete),
            Ok(())
        );
        let late = hashes("0,25,25,33,9,k2\n1,-20,-20,20,1,a\n1,0,0,20,1,b");
        assert_eq!(
            published().check_played(&keyframes, &late, Ending::Complete),
            Ok(())
        );
        let cut = hashes("0,0,0,33,9,k0\n1,1,1,20,1,a\n");
        assert_eq!(
            published().check_played(&keyframes, &cut, Ending::Cut),
            Ok(())
        );
    }

    #[test]
    fn each_kind_of_damage_is_found() {
        let cases = [
            (
                "nothing played",
                "1,1,1,20,1,a",
                "video 0: nothing was played",
            ),
            (
                "a gap",
                "0,0,0,33,9,k0\n0,66,66,33,9,k2\n1,41,41,20,1,b",
                "differ",
            ),
            (
                "an altered payload",
                "0,66,66,33,9,xx\n1,41,41,20,1,b",
                "never published",
            ),
            (
                "a moved picture",
                "0,0,0,33,9,k0\n0,33,33,33,9,i1\n1,1,1,20,1,a",
                "differ",
            ),
            (
                "sound out of step",
                "0,66,66,33,9,k2\n1,50,50,20,1,b",
                "shifted",
            ),
            (
                "no keyframe first",
                "0,33,40,33,9,i1\n0,66,66,33,9,k2\n1,41,41,20,1,b",
                "not a key",
            ),
            (
                "the end missing",
                "0,0,0,33,9,k0\n1,1,1,20,1,a",
                "missing at the end",
            ),
        ];
        for (what, packets, expected) in cases {
            let result = published().check_played(&[0, 2], &hashes(packets), Ending::Complete);
            let why = result.expect_err(what);
            assert!(why.contains(expected), "{what}: {why}");
        }
    }
}
