//! DASH manifests, followed for a while as a player does.

use std::collections::HashMap;
use std::time::Duration;

use openrtmp_media::dash;

use super::address::{named, resolved};
use super::kept::VARIANTS;
use super::report::{Followed, Rendition, Report, wall};
use super::viewing::{SPAN, Viewer};
use super::{millis, rounded};
use crate::exit::Failure;

/// Segments may be listed so many seconds early: clocks differ.
const CLOCKS: f64 = 0.5;

impl Viewer<'_> {
    pub(super) fn manifest(
        &self,
        url: &str,
        text: &str,
        took: Duration,
    ) -> Result<Report, Failure> {
        let mut checker = dash::check::Checker::default();
        let mut report = Report::new("dash");
        report.answer_ms = Some(millis(took));
        let mut text = text.to_owned();
        let mut followed: HashMap<String, Followed> = HashMap::new();
        loop {
            for broken in checker.read(&text) {
                report.note(broken.to_string());
            }
            let Some(listed) = checker.last() else {
                return Ok(report);
            };
            for broken in dash::check::availability(listed, wall(), CLOCKS) {
                report.note(broken.to_string());
            }
            let of_period = |period: &dash::read::ListedPeriod| period.representations.len();
            if listed.periods.last().map_or(0, of_period) > VARIANTS {
                let text = format!("the manifest has more than {VARIANTS} representations");
                return Err(Failure::Runtime(text));
            }
            see(listed, wall(), &mut followed);
            let update = listed.update.filter(|_| listed.is_dynamic);
            let Some(update) = update.filter(|_| !self.is_over()) else {
                break;
            };
            let pause = Duration::try_from_secs_f64(update.clamp(0.5, 10.0)).unwrap_or(SPAN);
            if self.stop.wait(Some(pause)) {
                break;
            }
            let answer = self.get(url)?;
            match answer.kept.status {
                200 => text = answer.text()?.to_owned(),
                status => report.note(format!("the manifest: answered with {status}")),
            }
        }
        let listed = checker.last();
        let latency = listed.filter(|it| it.is_dynamic).and_then(latency);
        let period = listed.and_then(|listed| listed.periods.last());
        for representation in period.map_or(&[][..], |it| &it.representations) {
            let template = representation.template.as_ref();
            if let Some(init) = template.and_then(|it| it.init(representation)) {
                let answer = self.get(&resolved(url, &init))?;
                if answer.kept.status != 200 {
                    report.note(format!(
                        "{}: answered with {}",
                        named(&init),
                        answer.kept.status
                    ));
                }
            }
            let followed = followed.get(&representation.id);
            let timeline = template.and_then(|it| it.timeline.as_ref());
            report.renditions.push(Rendition {
                latency_s: latency.map(|it| rounded(it, 3)),
                behind_s: followed.and_then(Followed::rounded),
                segments: timeline.map_or(0, Vec::len),
                reloads: followed.map_or(0, |followed| followed.reloads),
                name: representation.id.clone(),
                kind: representation.mime.clone().unwrap_or_default(),
                codecs: representation.codecs.clone(),
                resolution: representation.size.map(|(w, h)| format!("{w}x{h}")),
                bandwidth: representation.bandwidth,
                is_low_latency: template.is_some_and(|it| it.early.is_some()),
                ..Rendition::default()
            });
        }
        Ok(report)
    }
}

/// What a manifest shows of its representations, at this wall time.
fn see(listed: &dash::read::Listed, now: i64, followed: &mut HashMap<String, Followed>) {
    let origin = listed.origin.filter(|_| listed.is_dynamic);
    let Some(period) = listed.periods.last() else {
        return;
    };
    for representation in &period.representations {
        let followed = followed.entry(representation.id.clone()).or_default();
        followed.reloads += 1;
        let Some(origin) = origin else {
            continue;
        };
        let now = now.saturating_sub(origin) as f64 / 1000.0;
        // What is asked for by numbers is there by the clock: a segment once it is over, or as
        // much earlier as is said.
        let by_clock = || {
            let template = representation.template.as_ref();
            let template = template.filter(|it| it.timeline.is_none() && it.timescale > 0)?;
            let long = template.duration? as f64 / template.timescale as f64;
            Some((long - template.early.unwrap_or(0.0)).max(0.0))
        };
        let end = period.end_of(representation);
        if let Some(behind) = end.map(|end| now - end).or_else(by_clock) {
            followed.is_behind(behind);
        }
    }
}

/// How far behind the clock a manifest wants players to be, in seconds.
fn latency(listed: &dash::read::Listed) -> Option<f64> {
    let mut services = listed.root.all("ServiceDescription");
    let target = services.find_map(|it| it.all("Latency").next()?.get("target")?.parse().ok());
    target.map(|ms: f64| ms / 1000.0).or(listed.delay)
}

#[cfg(test)]
mod tests {
    use openrtmp_media::parse_date;

    use super::*;

    #[test]
    fn how_late_a_manifest_is_can_be_told_of_both_ways_to_list() {
        let manifest = |template: &str, service: &str| {
            let text = format!(
                "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"dynamic\" \
                 availabilityStartTime=\"2026-01-01T00:00:00Z\" minBufferTime=\"PT2S\" \
                 suggestedPresentationDelay=\"PT8S\">{service}<Period id=\"1\" start=\"PT10S\">\
                 <AdaptationSet mimeType=\"video/mp4\"><SegmentTemplate timescale=\"1000\" \
                 presentationTimeOffset=\"500\" {template}</SegmentTemplate>\
                 <Representation id=\"v0\" bandwidth=\"1\"/></AdaptationSet></Period></MPD>"
            );
            dash::read::Listed::parse(&text).unwrap()
        };
        let at = |listed: &dash::read::Listed, times: &[&str]| {
            let mut followed = HashMap::new();
            for time in times {
                see(listed, parse_date(time).unwrap(), &mut followed);
            }
            let followed = &followed["v0"];
            (followed.reloads, followed.rounded())
        };
        let listed = manifest(
            "media=\"$Time$.m4s\"><SegmentTimeline><S t=\"500\" d=\"2000\" r=\"2\"/></SegmentTimeline>",
            "",
        );
        // It ends 16 s after its beginning.
        let times = ["2026-01-01T00:00:17.250Z", "2026-01-01T00:00:16.125Z"];
        assert_eq!(at(&listed, &times), (2, Some((0.125, 1.25))));
        assert_eq!(latency(&listed), Some(8.0));
        let service =
            "<ServiceDescription id=\"0\"><Latency target=\"2500\"/></ServiceDescription>";
        let listed = manifest(
            "media=\"$Number$.m4s\" duration=\"2000\" availabilityTimeOffset=\"1.6\">",
            service,
        );
        assert_eq!(at(&listed, &times[..1]), (1, Some((0.4, 0.4))));
        assert_eq!(latency(&listed), Some(2.5));
    }
}
