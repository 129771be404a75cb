//! What was seen of playlists and manifests.

use std::time::{SystemTime, UNIX_EPOCH};

use openrtmp_media::hls::read::Listed;
use openrtmp_media::hls::session::{Session, Variant};
use openrtmp_media::parse_date;
use serde::Serialize;

use super::rounded;
use crate::units::bit_rate;

/// So many ways in which rules are broken are told.
const KNOWN: usize = 1000;

/// What came of following a playlist.
#[derive(Clone, Debug, Default)]
pub(super) struct Followed {
    pub(super) reloads: usize,
    /// Parts that were seen for the first time.
    pub(super) parts: usize,
    /// How far the end of the list was behind the clock.
    pub(super) behind: Option<(f64, f64)>,
    /// Of the newest whole segment.
    pub(super) rate: Option<f64>,
}

impl Followed {
    /// What a playlist shows that was not known before.
    pub(super) fn see(&mut self, listed: &Listed, known: &mut (u64, usize)) {
        for (msn, segment) in listed.numbered() {
            let of_known = if msn == known.0 { known.1 } else { 0 };
            if msn >= known.0 {
                self.parts += segment.parts.len().saturating_sub(of_known);
            }
        }
        if let Some((msn, last)) = listed.numbered().last() {
            *known = (msn, last.parts.len());
        }
        if let Some(edge) = edge(listed) {
            self.is_behind(wall().saturating_sub(edge) as f64 / 1000.0);
        }
    }

    /// The end of the list was so many seconds behind the clock.
    pub(super) fn is_behind(&mut self, behind: f64) {
        let (least, most) = self.behind.unwrap_or((behind, behind));
        self.behind = Some((least.min(behind), most.max(behind)));
    }

    pub(super) fn rounded(&self) -> Option<(f64, f64)> {
        let rounded = |(least, most)| (rounded(least, 3), rounded(most, 3));
        self.behind.map(rounded)
    }
}

/// What was seen; the JSON document of `--json`. What is not known is null.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// `hls` or `dash`.
    kind: &'static str,
    /// Until the first answer was there.
    pub(super) answer_ms: Option<f64>,
    pub(super) renditions: Vec<Rendition>,
    /// Rules that were broken.
    violations: Vec<Violation>,
}

#[derive(Debug, Default, Serialize)]
struct Violation {
    what: String,
    times: u64,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Rendition {
    pub(super) name: String,
    /// `AUDIO` and its like; a variant has none. Of DASH the MIME type.
    pub(super) kind: String,
    pub(super) codecs: Option<String>,
    pub(super) resolution: Option<String>,
    pub(super) bandwidth: Option<u64>,
    pub(super) is_low_latency: bool,
    pub(super) target_duration_s: Option<u64>,
    pub(super) part_target_s: Option<f64>,
    /// How far behind the clock players are to be, where a manifest says so.
    pub(super) latency_s: Option<f64>,
    /// How far behind the end players stay.
    pub(super) hold_back_s: Option<f64>,
    /// How far the end of the list was behind the clock of this machine.
    pub(super) behind_s: Option<(f64, f64)>,
    pub(super) segments: usize,
    pub(super) parts: usize,
    pub(super) reloads: usize,
    /// Of the newest segment.
    pub(super) bit_rate: Option<f64>,
}

impl Rendition {
    pub(super) fn of(
        name: String,
        variant: &Variant,
        listed: &Listed,
        followed: &Followed,
    ) -> Rendition {
        let told = |name: &str| variant.attributes.get(name).cloned();
        let control = |name: &str| listed.control.get(name).and_then(|it| it.parse().ok());
        let is_low_latency = listed.part_target.is_some();
        let hold_back = match is_low_latency {
            true => control("PART-HOLD-BACK"),
            false => control("HOLD-BACK").or(listed.target.map(|target| 3.0 * target as f64)),
        };
        Rendition {
            name,
            kind: variant.kind.clone(),
            codecs: told("CODECS"),
            resolution: told("RESOLUTION"),
            bandwidth: told("BANDWIDTH").and_then(|text| text.parse().ok()),
            is_low_latency,
            target_duration_s: listed.target,
            part_target_s: listed.part_target,
            hold_back_s: hold_back,
            behind_s: followed.rounded(),
            latency_s: None,
            segments: listed.segments.iter().filter(|it| it.uri.is_some()).count(),
            parts: followed.parts,
            reloads: followed.reloads,
            bit_rate: followed.rate.map(|rate| rounded(rate, 0)),
        }
    }

    fn text(&self) -> String {
        let mut parts = vec![match self.kind.is_empty() {
            true => self.name.clone(),
            false => format!("{} {}", self.kind.to_lowercase(), self.name),
        }];
        parts.extend(self.codecs.clone());
        parts.extend(self.resolution.clone());
        parts.extend(
            self.bandwidth
                .map(|rate| format!("up to {}", bit_rate(rate as f64))),
        );
        parts.extend(self.bit_rate.map(bit_rate));
        parts.extend(
            self.target_duration_s
                .map(|it| format!("segments of {it} s")),
        );
        parts.extend(self.part_target_s.map(|it| format!("parts of {it} s")));
        if self.parts > 0 {
            parts.push(format!("{} parts in {} reloads", self.parts, self.reloads));
        }
        if let Some((least, most)) = self.behind_s {
            parts.push(format!("{least:.2} to {most:.2} s behind the clock"));
        }
        parts.extend(
            self.latency_s
                .map(|it| format!("players {it} s behind the clock")),
        );
        parts.extend(
            self.hold_back_s
                .map(|it| format!("players {it} s behind that")),
        );
        parts.join("  ")
    }
}

impl Report {
    pub(super) fn new(kind: &'static str) -> Report {
        Report {
            kind,
            ..Report::default()
        }
    }

    pub(super) fn note(&mut self, what: String) {
        if let Some(known) = self.violations.iter_mut().find(|it| it.what == what) {
            known.times += 1;
        } else if self.violations.len() < KNOWN {
            self.violations.push(Violation { what, times: 1 });
        }
    }

    pub(super) fn broken(&mut self, session: &Session) {
        let all = session.wrong().into_iter();
        let all = all.map(|(wrong, times)| Violation {
            what: wrong.to_string(),
            times,
        });
        self.violations.extend(all);
    }

    /// Rules that were broken.
    pub(super) fn violations(&self) -> usize {
        self.violations.len()
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for rendition in &self.renditions {
            text.push_str(&rendition.text());
            text.push('\n');
        }
        for Violation { what, times } in &self.violations {
            text.push_str(&format!("broken: {what}"));
            if *times > 1 {
                text.push_str(&format!(" ({times} times)"));
            }
            text.push('\n');
        }
        if self.violations.is_empty() {
            text.push_str("no rule is broken\n");
        }
        text
    }
}

/// The wall time of the end of what is listed, in milliseconds.
pub(super) fn edge(listed: &Listed) -> Option<i64> {
    let last = listed.segments.last()?;
    let begun = parse_date(last.date.as_deref()?)?;
    let parts = last.parts.iter().map(|part| part.duration).sum();
    Some(begun.saturating_add((last.duration.unwrap_or(parts) * 1000.0) as i64))
}

pub(super) fn wall() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_millis() as i64)
}
