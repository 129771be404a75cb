//! Manifests read back: enough for [`check`](super::check) and for whoever wants to know what
//! another server lists.

use std::collections::HashMap;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::date;

/// Elements are in each other so deep at most.
const DEPTH: usize = 32;
/// Segments that are read of a timeline, at most, and of all of them.
const SEGMENTS: usize = 100_000;
const ALL_SEGMENTS: usize = 1_000_000;
/// Attributes of an element, at most: each is compared with those before it.
const ATTRIBUTES: usize = 1000;

/// A text that is no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is not well-formed; why.
    #[error("no XML: {0}")]
    Xml(String),
    /// It has another root element, or none.
    #[error("no MPD")]
    Root,
    /// Elements are too deep in each other or have too much in their tags, or timelines are too
    /// long.
    #[error("larger than is read")]
    Large,
    /// An attribute is not what it is to be.
    #[error("{0} is {1}")]
    Value(&'static str, String),
}

/// An element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Without its prefix.
    pub name: String,
    /// By their names, without prefixes.
    pub attributes: HashMap<String, String>,
    /// Those in it.
    pub children: Vec<Element>,
}

impl Element {
    /// The root of a document.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn parse(text: &str) -> Result<Element, Unreadable> {
        let wrong = |error: &dyn std::fmt::Display| Unreadable::Xml(error.to_string());
        let mut reader = Reader::from_str(text);
        let mut open: Vec<Element> = Vec::new();
        let mut root = None;
        loop {
            match reader.read_event().map_err(|error| wrong(&error))? {
                Event::Start(tag) => {
                    if open.len() == DEPTH {
                        return Err(Unreadable::Large);
                    }
                    open.push(element(&tag)?);
                }
                Event::Empty(tag) => add(element(&tag)?, &mut open, &mut root)?,
                Event::End(_) => {
                    let element = open.pop().ok_or(Unreadable::Root)?;
                    add(element, &mut open, &mut root)?;
                }
                Event::Eof => break,
                _ => {}
            }
        }
        if let Some(open) = open.last() {
            return Err(wrong(&format_args!("{} has no end", open.name)));
        }
        root.ok_or(Unreadable::Root)
    }

    /// Those in it with this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// An attribute.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    fn number<T: std::str::FromStr>(&self, name: &'static str) -> Result<Option<T>, Unreadable> {
        self.read(name, |text| text.parse().ok())
    }

    fn seconds(&self, name: &'static str) -> Result<Option<f64>, Unreadable> {
        self.read(name, seconds)
    }

    fn read<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Unreadable> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        match read(text.trim()) {
            Some(value) => Ok(Some(value)),
            None => Err(Unreadable::Value(name, text.to_owned())),
        }
    }
}

fn element(tag: &BytesStart<'_>) -> Result<Element, Unreadable> {
    let wrong = |error: &dyn std::fmt::Display| Unreadable::Xml(error.to_string());
    let mut attributes = HashMap::new();
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|error| wrong(&error))?;
        if attributes.len() == ATTRIBUTES {
            return Err(Unreadable::Large);
        }
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        let value = value.map_err(|error| wrong(&error))?.into_owned();
        let name = attribute.key.local_name();
        attributes.insert(AsRef::<str>::as_ref(&name).to_owned(), value);
    }
    let name = tag.local_name();
    Ok(Element {
        name: AsRef::<str>::as_ref(&name).to_owned(),
        attributes,
        children: Vec::new(),
    })
}

/// Puts an element where it belongs.
fn add(
    element: Element,
    open: &mut [Element],
    root: &mut Option<Element>,
) -> Result<(), Unreadable> {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None if root.is_some() => return Err(Unreadable::Root),
        None => *root = Some(element),
    }
    Ok(())
}

/// A duration of XML Schema without years and months, in seconds: `PT1M30.5S`.
fn seconds(text: &str) -> Option<f64> {
    let mut rest = text.strip_prefix('P')?;
    let mut is_time = false;
    let mut sum = 0.0;
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix('T').filter(|_| !is_time) {
            (rest, is_time) = (time, true);
            continue;
        }
        let is_digit = |c: char| c.is_ascii_digit() || c == '.';
        let end = rest.find(|c| !is_digit(c)).filter(|end| *end > 0)?;
        let (number, behind) = rest.split_at(end);
        let unit = behind.chars().next()?;
        sum += number.parse::<f64>().ok()?
            * match (is_time, unit) {
                (false, 'D') => 86_400.0,
                (true, 'H') => 3600.0,
                (true, 'M') => 60.0,
                (true, 'S') => 1.0,
                _ => return None,
            };
        rest = &behind[1..];
    }
    Some(sum)
}

/// A manifest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listed {
    /// Everything, as it stands there.
    pub root: Element,
    /// `type`.
    pub is_dynamic: bool,
    /// `availabilityStartTime`, milliseconds since 1970.
    pub origin: Option<i64>,
    /// `publishTime`, the same.
    pub published: Option<i64>,
    /// `minimumUpdatePeriod`, seconds.
    pub update: Option<f64>,
    /// `timeShiftBufferDepth`, seconds.
    pub depth: Option<f64>,
    /// `mediaPresentationDuration`, seconds.
    pub duration: Option<f64>,
    /// `suggestedPresentationDelay`, seconds.
    pub delay: Option<f64>,
    /// `minBufferTime`, seconds.
    pub buffer: Option<f64>,
    /// `maxSegmentDuration`, seconds.
    pub longest: Option<f64>,
    /// `UTCTiming`: schemes and values.
    pub clocks: Vec<(String, String)>,
    /// `Period`.
    pub periods: Vec<ListedPeriod>,
}

impl ListedPeriod {
    /// Where what is listed of a representation ends: seconds since
    /// `availabilityStartTime`. None of what is not listed, but asked for by numbers.
    pub fn end_of(&self, representation: &Representation) -> Option<f64> {
        let template = representation.template.as_ref()?;
        let &(start, long) = template.timeline.as_ref()?.last()?;
        let end = start.saturating_add(long).saturating_sub(template.offset);
        let begun = self.start.unwrap_or(0.0);
        (template.timescale > 0).then(|| end as f64 / template.timescale as f64 + begun)
    }
}

/// A period.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListedPeriod {
    /// `id`.
    pub id: Option<String>,
    /// `start`, seconds; where the one before ends if it does not say.
    pub start: Option<f64>,
    /// `duration`, seconds.
    pub duration: Option<f64>,
    /// Its representations.
    pub representations: Vec<Representation>,
}

/// A representation with what its adaptation set says for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Representation {
    /// Of the adaptation set, if it has one.
    pub set: Option<String>,
    /// Period that it goes on from, if it says so, and whether without a hole.
    pub goes_on_from: Option<(String, bool)>,
    /// `id`.
    pub id: String,
    /// `bandwidth`, bits per second.
    pub bandwidth: Option<u64>,
    /// `mimeType`.
    pub mime: Option<String>,
    /// `codecs`.
    pub codecs: Option<String>,
    /// `width` and `height`.
    pub size: Option<(u32, u32)>,
    /// `lang`.
    pub language: Option<String>,
    /// `SegmentTemplate`.
    pub template: Option<Template>,
}

/// A segment template.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Template {
    /// `timescale`, 1 if there is none.
    pub timescale: u64,
    /// `presentationTimeOffset`, ticks.
    pub offset: u64,
    /// `initialization`, not filled in.
    pub initialization: Option<String>,
    /// `media`, not filled in.
    pub media: Option<String>,
    /// `startNumber`, 1 if there is none.
    pub start_number: u64,
    /// `duration`, ticks.
    pub duration: Option<u64>,
    /// `availabilityTimeOffset`, seconds.
    pub early: Option<f64>,
    /// `availabilityTimeComplete`.
    pub is_early_whole: Option<bool>,
    /// `SegmentTimeline`: where each segment begins and how long it is, in ticks.
    pub timeline: Option<Vec<(u64, u64)>>,
}

impl Template {
    /// The name of a segment by its number from the first, and where it begins.
    pub fn name(&self, representation: &Representation, number: u64, tick: u64) -> Option<String> {
        let media = self.media.as_deref()?;
        Some(filled(media, representation, number, tick))
    }

    /// The name of the init segment.
    pub fn init(&self, representation: &Representation) -> Option<String> {
        let initialization = self.initialization.as_deref()?;
        Some(filled(initialization, representation, 0, 0))
    }
}

/// A name with its identifiers filled in (5.3.9.4.4).
fn filled(template: &str, representation: &Representation, number: u64, tick: u64) -> String {
    let mut out = String::new();
    // What is between two signs, every second piece, is an identifier.
    for (place, piece) in template.split('$').enumerate() {
        if place % 2 == 0 {
            out.push_str(piece);
            continue;
        }
        let (name, format) = piece.split_once('%').unwrap_or((piece, ""));
        let width = format.trim_start_matches('0').trim_end_matches('d');
        let width = width.parse::<usize>().unwrap_or(1).min(20);
        match name {
            "" => out.push('$'),
            "RepresentationID" => out.push_str(&representation.id),
            "Number" => out.push_str(&format!("{number:0width$}")),
            "Time" => out.push_str(&format!("{tick:0width$}")),
            "Bandwidth" => {
                let bandwidth = representation.bandwidth.unwrap_or(0);
                out.push_str(&format!("{bandwidth:0width$}"));
            }
            _ => {}
        }
    }
    out
}

impl Listed {
    /// Reads a manifest. What is not known is left out.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn parse(text: &str) -> Result<Listed, Unreadable> {
        let root = Element::parse(text)?;
        if root.name != "MPD" {
            return Err(Unreadable::Root);
        }
        let mut listed = Listed {
            is_dynamic: root.get("type") == Some("dynamic"),
            origin: root.read("availabilityStartTime", date::parse)?,
            published: root.read("publishTime", date::parse)?,
            update: root.seconds("minimumUpdatePeriod")?,
            depth: root.seconds("timeShiftBufferDepth")?,
            duration: root.seconds("mediaPresentationDuration")?,
            delay: root.seconds("suggestedPresentationDelay")?,
            buffer: root.seconds("minBufferTime")?,
            longest: root.seconds("maxSegmentDuration")?,
            ..Listed::default()
        };
        for clock in root.all("UTCTiming") {
            let text = |name| clock.get(name).unwrap_or("").to_owned();
            listed.clocks.push((text("schemeIdUri"), text("value")));
        }
        let (mut end, mut room) = (Some(0.0), ALL_SEGMENTS);
        for period in root.all("Period") {
            let mut found = ListedPeriod {
                id: period.get("id").map(str::to_owned),
                start: period.seconds("start")?.or(end),
                duration: period.seconds("duration")?,
                representations: Vec::new(),
            };
            end = found.start.zip(found.duration).map(|(at, long)| at + long);
            for set in period.all("AdaptationSet") {
                for representation in set.all("Representation") {
                    let read = read_representation(&[period, set, representation])?;
                    let timeline = read.template.as_ref().and_then(|it| it.timeline.as_ref());
                    let left = room.checked_sub(timeline.map_or(0, Vec::len));
                    room = left.ok_or(Unreadable::Large)?;
                    found.representations.push(read);
                }
            }
            listed.periods.push(found);
        }
        listed.root = root;
        Ok(listed)
    }
}

/// From the period down to the representation: what is nearer is in force.
fn read_representation(levels: &[&Element; 3]) -> Result<Representation, Unreadable> {
    let [_, set, own] = levels;
    let text = |name: &str| own.get(name).or(set.get(name)).map(str::to_owned);
    let goes_on_from = set.all("SupplementalProperty").find_map(|property| {
        let is_whole = match property.get("schemeIdUri")? {
            "urn:mpeg:dash:period-continuity:2015" => true,
            "urn:mpeg:dash:period-connectivity:2015" => false,
            _ => return None,
        };
        Some((property.get("value")?.to_owned(), is_whole))
    });
    let size = (own.number("width")?.or(set.number("width")?))
        .zip(own.number("height")?.or(set.number("height")?));
    let templates = levels
        .iter()
        .map(|level| level.all("SegmentTemplate").next());
    let templates: Vec<&Element> = templates.flatten().collect();
    Ok(Representation {
        set: set.get("id").map(str::to_owned),
        goes_on_from,
        id: own.get("id").unwrap_or_default().to_owned(),
        bandwidth: own.number("bandwidth")?,
        mime: text("mimeType"),
        codecs: text("codecs"),
        size,
        language: text("lang"),
        template: match templates.is_empty() {
            true => None,
            false => Some(read_template(&templates)?),
        },
    })
}

/// The farthest comes first.
fn read_template(levels: &[&Element]) -> Result<Template, Unreadable> {
    let mut template = Template {
        timescale: 1,
        start_number: 1,
        ..Template::default()
    };
    for level in levels {
        let text = |name: &str| level.get(name).map(str::to_owned);
        template.timescale = level.number("timescale")?.unwrap_or(template.timescale);
        let offset = level.number("presentationTimeOffset")?;
        template.offset = offset.unwrap_or(template.offset);
        template.initialization = text("initialization").or(template.initialization);
        template.media = text("media").or(template.media);
        let number = level.number("startNumber")?;
        template.start_number = number.unwrap_or(template.start_number);
        template.duration = level.number("duration")?.or(template.duration);
        template.early = level.number("availabilityTimeOffset")?.or(template.early);
        let is_whole = level.number("availabilityTimeComplete")?;
        template.is_early_whole = is_whole.or(template.is_early_whole);
        if let Some(timeline) = level.all("SegmentTimeline").next() {
            template.timeline = Some(read_timeline(timeline)?);
        }
    }
    Ok(template)
}

fn read_timeline(timeline: &Element) -> Result<Vec<(u64, u64)>, Unreadable> {
    let wrong = |name, text: Option<&str>| Unreadable::Value(name, text.unwrap_or("").to_owned());
    let mut segments = Vec::new();
    let mut end = 0u64;
    let mut all = timeline.all("S").peekable();
    while let Some(entry) = all.next() {
        let start: u64 = entry.number("t")?.unwrap_or(end);
        let length: Option<u64> = entry.number("d")?;
        let length = length.ok_or_else(|| wrong("S@d", None))?;
        let told: i64 = entry.number("r")?.unwrap_or(0);
        let repeated = match u64::try_from(told) {
            Ok(repeated) => repeated,
            // As often as fits before the next.
            Err(_) => {
                let next = all.peek().map(|next| next.number::<u64>("t")).transpose()?;
                let next = next.flatten().and_then(|next| next.checked_sub(start));
                let fits = next.and_then(|long| long.checked_div(length));
                fits.map_or(0, |fits| fits.saturating_sub(1))
            }
        };
        end = start;
        for _ in 0..=repeated {
            if segments.len() == SEGMENTS {
                return Err(Unreadable::Large);
            }
            segments.push((end, length));
            let next = end.checked_add(length);
            end = next.ok_or_else(|| wrong("S@d", entry.get("d")))?;
        }
    }
    Ok(segments)
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn durations_and_names_are_read() {
        for (text, read) in [
            ("PT2S", Some(2.0)),
            ("P1DT1H1M1.5S", Some(90_061.5)),
            ("PT0.334S", Some(0.334)),
            ("PT", Some(0.0)),
            ("2S", None),
            ("PT-1S", None),
            ("PTS", None),
            ("P1M", None),
            ("PT1é", None),
        ] {
            assert_eq!(seconds(text), read, "{text}");
        }
        let representation = Representation {
            id: "v0".to_owned(),
            bandwidth: Some(9),
            ..Representation::default()
        };
        for (template, name) in [
            ("a/$RepresentationID$/$Number%05d$.m4s", "a/v0/00017.m4s"),
            ("$Time$-$Bandwidth$", "900-9"),
            ("$$x", "$x"),
        ] {
            assert_eq!(filled(template, &representation, 17, 900), name);
        }
    }

    #[test]
    fn what_is_larger_than_anybody_has_is_not_read() {
        let manifest = |representations: usize| {
            let timeline = "<SegmentTimeline><S d='1' r='99998'/></SegmentTimeline>";
            let all = "<Representation/>".repeat(representations);
            let text = format!(
                "<MPD><Period><AdaptationSet><SegmentTemplate>{timeline}</SegmentTemplate>{all}\
                 </AdaptationSet></Period></MPD>"
            );
            Listed::parse(&text).map(|listed| listed.periods.len())
        };
        assert_eq!(manifest(10), Ok(1));
        assert_eq!(manifest(11), Err(Unreadable::Large));
        let with = |attributes: usize| {
            let all: String = (0..attributes).map(|it| format!(" a{it}=''")).collect();
            Listed::parse(&format!("<MPD{all}/>")).map(drop)
        };
        assert_eq!(with(ATTRIBUTES), Ok(()));
        assert_eq!(with(ATTRIBUTES + 1), Err(Unreadable::Large));
    }

    #[test]
    fn a_timeline_is_read_with_its_repetitions() {
        let read = |text: &str| {
            let text = format!("<SegmentTimeline>{text}</SegmentTimeline>");
            read_timeline(&Element::parse(&text).unwrap())
        };
        assert_eq!(
            read("<S t='5' d='2' r='1'/><S d='3'/>"),
            Ok(vec![(5, 2), (7, 2), (9, 3)])
        );
        assert_eq!(
            read("<S t='0' d='2' r='-1'/><S t='7' d='3' r='-1'/>"),
            Ok(vec![(0, 2), (2, 2), (4, 2), (7, 3)])
        );
        assert_eq!(read("<S d='1' r='9999999999'/>"), Err(Unreadable::Large));
        for text in [
            "<S t='0'/>",
            "<S d='x'/>",
            "<S t='18446744073709551615' d='1'/>",
        ] {
            assert!(matches!(read(text), Err(Unreadable::Value(..))), "{text}");
        }
    }
}
