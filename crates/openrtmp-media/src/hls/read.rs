//! Media playlists read back: enough for [`check`](super::check) and for whoever wants to know
//! what another server lists.

use std::collections::HashMap;

/// What numbers of playlists are at most: others can be added to them.
const MOST: u64 = u64::MAX >> 2;

/// A media playlist as a player understands it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listed {
    /// `EXT-X-VERSION`, 1 if there is none.
    pub version: u64,
    /// `EXT-X-TARGETDURATION`, seconds.
    pub target: Option<u64>,
    /// `EXT-X-PART-INF`, seconds.
    pub part_target: Option<f64>,
    /// `EXT-X-SERVER-CONTROL`, its attributes.
    pub control: HashMap<String, String>,
    /// `EXT-X-MEDIA-SEQUENCE`, 0 if there is none.
    pub msn: u64,
    /// `EXT-X-DISCONTINUITY-SEQUENCE`.
    pub discontinuity_sequence: Option<u64>,
    /// Segments that are left out behind the first lines.
    pub skipped: u64,
    /// Segments that are listed, those that are open too.
    pub segments: Vec<ListedSegment>,
    /// `EXT-X-PRELOAD-HINT` of type `PART`: their URIs.
    pub hints: Vec<String>,
    /// The same of type `MAP`.
    pub map_hints: Vec<String>,
    /// `EXT-X-RENDITION-REPORT`: URI, last segment and part.
    pub reports: Vec<(String, Option<u64>, Option<u64>)>,
    /// `EXT-X-DATERANGE`.
    pub ranges: Vec<DateRange>,
    /// `EXT-X-ENDLIST`.
    pub has_ended: bool,
    /// `EXT-X-INDEPENDENT-SEGMENTS`.
    pub is_independent: bool,
}

/// Something that is said of a stretch of time, or of a moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DateRange {
    /// Its attributes as they are written, without quotation marks.
    pub attributes: HashMap<String, String>,
}

impl DateRange {
    /// What an attribute says.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// What it is known by; empty if it has no `ID`.
    pub fn id(&self) -> &str {
        self.get("ID").unwrap_or_default()
    }
}

/// A segment of a playlist.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListedSegment {
    /// Nothing while it is open.
    pub uri: Option<String>,
    /// Seconds; nothing while it is open.
    pub duration: Option<f64>,
    /// A discontinuity is before it.
    pub is_discontinuity: bool,
    /// `EXT-X-MAP` that is in force.
    pub map: Option<String>,
    /// `EXT-X-PROGRAM-DATE-TIME`, its text.
    pub date: Option<String>,
    /// `EXT-X-GAP`.
    pub is_gap: bool,
    /// `EXT-X-BYTERANGE`: it is a piece of what is there.
    pub is_piece: bool,
    /// Parts that are listed.
    pub parts: Vec<ListedPart>,
}

/// A part of a segment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListedPart {
    /// Where.
    pub uri: String,
    /// Seconds.
    pub duration: f64,
    /// `INDEPENDENT=YES`.
    pub is_independent: bool,
    /// `GAP=YES`.
    pub is_gap: bool,
    /// `BYTERANGE`: it is a piece of what is there.
    pub is_piece: bool,
}

/// A text that is no media playlist; the line, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {0} is not as a media playlist has it")]
pub struct Unreadable(pub usize);

impl Listed {
    /// Reads a playlist. Tags that are not known are left out.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn parse(text: &str) -> Result<Listed, Unreadable> {
        let mut lines = (1..).zip(text.lines());
        if lines
            .next()
            .is_none_or(|(_, line)| line.trim_end() != "#EXTM3U")
        {
            return Err(Unreadable(1));
        }
        let mut reading = Reading {
            listed: Listed {
                version: 1,
                ..Listed::default()
            },
            ..Reading::default()
        };
        for (number, line) in lines {
            reading.line(line.trim_end()).ok_or(Unreadable(number))?;
        }
        let Reading {
            mut listed,
            next,
            map,
            ..
        } = reading;
        if !next.parts.is_empty() {
            listed.segments.push(ListedSegment { map, ..next });
        }
        Ok(listed)
    }

    /// The playlist that a player has which read `older` before and this now. `None` if what
    /// is left out here is not there.
    pub fn merged(&self, older: &Listed) -> Option<Listed> {
        let known = self
            .msn
            .checked_sub(older.msn)?
            .checked_sub(older.skipped)?;
        let from = usize::try_from(known).ok()?;
        let to = from.checked_add(usize::try_from(self.skipped).ok()?)?;
        let known = older.segments.get(from..to)?;
        if known.iter().any(|segment| segment.uri.is_none()) {
            return None;
        }
        let mut segments: Vec<ListedSegment> = known.to_vec();
        segments.extend(self.segments.iter().cloned());
        Some(Listed {
            skipped: 0,
            segments,
            ..self.clone()
        })
    }

    /// Segments with their sequence numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (u64, &ListedSegment)> {
        (self.msn + self.skipped..).zip(&self.segments)
    }
}

#[derive(Default)]
struct Reading {
    listed: Listed,
    next: ListedSegment,
    map: Option<String>,
}

impl Reading {
    fn line(&mut self, line: &str) -> Option<()> {
        let listed = &mut self.listed;
        if line.is_empty() {
            return Some(());
        }
        if !line.starts_with('#') {
            self.next.duration?;
            self.next.uri = Some(line.to_owned());
            self.next.map = self.map.clone();
            listed.segments.push(std::mem::take(&mut self.next));
            return Some(());
        }
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        match tag {
            "#EXT-X-VERSION" => listed.version = value.parse().ok()?,
            "#EXT-X-TARGETDURATION" => once(&mut listed.target, number(value)?)?,
            "#EXT-X-MEDIA-SEQUENCE" => listed.msn = number(value)?,
            "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                once(&mut listed.discontinuity_sequence, number(value)?)?;
            }
            "#EXT-X-PART-INF" => {
                let target = decimal(attributes(value)?.get("PART-TARGET")?)?;
                once(&mut listed.part_target, target)?;
            }
            "#EXT-X-SERVER-CONTROL" => listed.control = attributes(value)?,
            "#EXT-X-SKIP" => {
                let skipped = attributes(value)?;
                listed.skipped = number(skipped.get("SKIPPED-SEGMENTS")?)?;
            }
            "#EXT-X-DATERANGE" => listed.ranges.push(DateRange {
                attributes: attributes(value)?,
            }),
            "#EXT-X-ENDLIST" => listed.has_ended = true,
            "#EXT-X-INDEPENDENT-SEGMENTS" => listed.is_independent = true,
            "#EXT-X-DISCONTINUITY" => self.next.is_discontinuity = true,
            "#EXT-X-GAP" => self.next.is_gap = true,
            "#EXT-X-BYTERANGE" => self.next.is_piece = true,
            "#EXT-X-MAP" => self.map = Some(attributes(value)?.remove("URI")?),
            "#EXT-X-PROGRAM-DATE-TIME" => self.next.date = Some(value.to_owned()),
            "#EXTINF" => {
                let length = value.split_once(',').map_or(value, |(length, _)| length);
                once(&mut self.next.duration, decimal(length)?)?;
            }
            "#EXT-X-PART" => {
                let mut part = attributes(value)?;
                let is = |name: &str| part.get(name).is_some_and(|value| value == "YES");
                self.next.parts.push(ListedPart {
                    duration: decimal(part.get("DURATION")?)?,
                    is_independent: is("INDEPENDENT"),
                    is_gap: is("GAP"),
                    is_piece: part.contains_key("BYTERANGE"),
                    uri: part.remove("URI")?,
                });
            }
            "#EXT-X-PRELOAD-HINT" => {
                let mut hint = attributes(value)?;
                match hint.get("TYPE")?.as_str() {
                    "PART" => listed.hints.push(hint.remove("URI")?),
                    "MAP" => listed.map_hints.push(hint.remove("URI")?),
                    _ => {}
                }
            }
            "#EXT-X-RENDITION-REPORT" => {
                let mut report = attributes(value)?;
                let number = |name: &str| report.get(name).and_then(|value| value.parse().ok());
                let (msn, part) = (number("LAST-MSN"), number("LAST-PART"));
                listed.reports.push((report.remove("URI")?, msn, part));
            }
            _ => {}
        }
        Some(())
    }
}

/// A URI without what may be a key: what stands behind its path.
pub(super) fn bare(uri: &str) -> &str {
    uri.split(['?', '#']).next().unwrap_or("")
}

/// Twice is an error.
fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

/// A whole number.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number| *number <= MOST)
}

/// A decimal number, which has no sign and no exponent here.
fn decimal(text: &str) -> Option<f64> {
    let is_decimal = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_decimal.then(|| text.parse().ok()).flatten()
}

/// `NAME=value,NAME="value"`. Names are there once.
pub(super) fn attributes(text: &str) -> Option<HashMap<String, String>> {
    let mut found = HashMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, value) = rest.split_once('=')?;
        let value = match value.strip_prefix('"') {
            Some(quoted) => {
                let (value, behind) = quoted.split_once('"')?;
                rest = match behind.strip_prefix(',') {
                    Some(rest) => rest,
                    None if behind.is_empty() => "",
                    None => return None,
                };
                value
            }
            None => {
                let (value, behind) = value.split_once(',').unwrap_or((value, ""));
                rest = behind;
                value
            }
        };
        if found.insert(name.to_owned(), value.to_owned()).is_some() {
            return None;
        }
    }
    Some(found)
}
