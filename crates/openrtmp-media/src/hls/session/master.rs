//! Master playlists read back, and the rules that they break by themselves.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Wrong, named};
use crate::codecs::{MP3, family};
use crate::hls::read::attributes;

/// What codec strings of pictures begin with.
const VIDEO: [&str; 7] = ["avc1", "avc3", "hvc1", "hev1", "av01", "vp09", "vp08"];
/// The codecs of sound that are known here, in small letters.
const SOUND: [&str; 8] = ["mp4a", MP3, "opus", "flac", "ac-3", "ec-3", "ac-4", "alac"];

/// One rendition of a master playlist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variant {
    /// Where its media playlist is, as it is written; empty if there is none.
    pub uri: String,
    /// `AUDIO`, `VIDEO`, `SUBTITLES` of `EXT-X-MEDIA`; empty for a variant.
    pub kind: String,
    /// The attributes of its tag.
    pub attributes: BTreeMap<String, String>,
}

/// A master playlist, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Master {
    /// What it names, in its order, each media playlist once.
    pub variants: Vec<Variant>,
    /// Its tags, in their order: what has no media playlist too, and pictures once for each
    /// group of sound that they are played with.
    pub tags: Vec<Variant>,
}

/// A playlist that names others.
pub fn is_master(text: &str) -> bool {
    text.lines()
        .any(|line| line.starts_with("#EXT-X-STREAM-INF"))
}

impl Variant {
    /// Of several codecs in `CODECS`, or of none.
    fn codecs(&self) -> impl Iterator<Item = &str> {
        let codecs = self.attributes.get("CODECS");
        let codecs = codecs.into_iter().flat_map(|codecs| codecs.split(','));
        codecs.map(str::trim)
    }

    /// Those of its codecs that are of sound.
    pub(super) fn sound(&self) -> BTreeSet<&str> {
        let is_sound = |codec: &&str| SOUND.contains(&&*family(codec).to_ascii_lowercase());
        self.codecs().filter(is_sound).collect()
    }

    fn is_video(&self) -> bool {
        let mut codecs = self.codecs().map(family);
        codecs.any(|codec| VIDEO.contains(&codec)) || self.attributes.contains_key("RESOLUTION")
    }
}

impl Master {
    /// Reads one. `None`: it is none.
    pub fn parse(text: &str) -> Option<Master> {
        let mut master = Master::default();
        let mut next = None;
        if text.lines().next()?.trim_end() != "#EXTM3U" {
            return None;
        }
        for line in text.lines().map(str::trim_end) {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            match tag {
                "#EXT-X-STREAM-INF" => next = Some(attributes(value)?),
                "#EXT-X-MEDIA" => {
                    let attributes = attributes(value)?;
                    let named = |name: &str| attributes.get(name).cloned().unwrap_or_default();
                    let (uri, kind) = (named("URI"), named("TYPE"));
                    master.name(uri, kind, attributes);
                }
                _ if !line.is_empty() && !line.starts_with('#') => {
                    master.name(line.to_owned(), String::new(), next.take()?);
                }
                _ => {}
            }
        }
        (!master.variants.is_empty()).then_some(master)
    }

    fn name(&mut self, uri: String, kind: String, attributes: HashMap<String, String>) {
        let variant = Variant {
            uri,
            kind,
            attributes: attributes.into_iter().collect(),
        };
        let is_known = |known: &Variant| known.uri == variant.uri;
        if !variant.uri.is_empty() && !self.variants.iter().any(is_known) {
            self.variants.push(variant.clone());
        }
        self.tags.push(variant);
    }

    /// The rendition of which a media playlist is, by what its name and the URI end with.
    pub(super) fn of_name(&self, name: &str) -> Option<&Variant> {
        let mut variants = self.variants.iter();
        variants.find(|variant| named(&variant.uri) == named(name))
    }

    /// The tags of variants.
    pub(super) fn streams(&self) -> impl Iterator<Item = &Variant> {
        self.tags.iter().filter(|tag| tag.kind.is_empty())
    }

    /// The members of the group of sound that a variant is played with.
    pub(super) fn sounds(&self, of: &Variant) -> impl Iterator<Item = &Variant> {
        let group = of.attributes.get("AUDIO").cloned();
        self.tags.iter().filter(move |tag| {
            tag.kind == "AUDIO"
                && group.is_some()
                && tag.attributes.get("GROUP-ID") == group.as_ref()
        })
    }

    /// The codecs that it tells of what is played with one of its renditions: those that every
    /// variant tells which plays it, for each has to tell all of them (4.4.6.2).
    pub fn codecs(&self, of: &Variant) -> Vec<String> {
        let group = of.attributes.get("GROUP-ID");
        let plays = |variant: &&Variant| match of.kind.as_str() {
            "" => variant.uri == of.uri,
            kind => variant.attributes.get(kind) == group,
        };
        let mut told = self.streams().filter(plays);
        let first = told.next().into_iter().flat_map(Variant::codecs);
        let mut codecs: Vec<String> = first.map(str::to_owned).collect();
        for other in told {
            codecs.retain(|codec| other.codecs().any(|told| told == codec));
        }
        codecs
    }

    /// The rules that it breaks by itself.
    pub fn wrong(&self) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        for tag in &self.tags {
            let needed: &[&str] = match (tag.kind.as_str(), tag.is_video()) {
                ("", true) => &["RESOLUTION", "FRAME-RATE"],
                ("AUDIO", _) => &["LANGUAGE"],
                _ => &[],
            };
            let of_variants = ["BANDWIDTH", "AVERAGE-BANDWIDTH", "CODECS"].iter();
            let of_variants = of_variants.filter(|_| tag.kind.is_empty());
            let has = |name: &&&str| tag.attributes.contains_key(**name);
            for name in of_variants.chain(needed).filter(|name| !has(name)) {
                wrong.push(Wrong::Attribute(tag.uri.clone(), name));
            }
            for entry in ["hev1", "avc3"] {
                if tag.codecs().any(|codec| codec.starts_with(entry)) {
                    wrong.push(Wrong::SampleEntry(tag.uri.clone(), entry));
                }
            }
        }
        self.look_at_groups(&mut wrong);
        wrong
    }

    fn look_at_groups(&self, wrong: &mut Vec<Wrong>) {
        let mut members = HashMap::<(&str, &str), Vec<&Variant>>::new();
        for tag in self.tags.iter().filter(|tag| !tag.kind.is_empty()) {
            let group = tag.attributes.get("GROUP-ID").map_or("", String::as_str);
            let members = members.entry((&tag.kind, group)).or_default();
            let name = tag.attributes.get("NAME");
            if members.iter().any(|it| it.attributes.get("NAME") == name) {
                let name = name.cloned().unwrap_or_default();
                wrong.push(Wrong::GroupName(group.to_owned(), name));
            }
            let is_default =
                |it: &Variant| it.attributes.get("DEFAULT").is_some_and(|is| is == "YES");
            if is_default(tag) && members.iter().any(|it| is_default(it)) {
                wrong.push(Wrong::GroupDefault(group.to_owned()));
            }
            members.push(tag);
        }
        let mut told = HashMap::new();
        for variant in self.streams() {
            let Some(group) = variant.attributes.get("AUDIO") else {
                continue;
            };
            if !members.contains_key(&("AUDIO", group.as_str())) {
                wrong.push(Wrong::NoGroup(variant.uri.clone(), group.clone()));
            }
            let sound = variant.sound();
            if *told.entry(group).or_insert_with(|| sound.clone()) != sound {
                wrong.push(Wrong::GroupCodecs(variant.uri.clone(), group.clone()));
            }
        }
    }
}
