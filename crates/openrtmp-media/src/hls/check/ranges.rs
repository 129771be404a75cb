//! The rules of date ranges (`EXT-X-DATERANGE`, 4.4.5.1).

use super::super::read::{DateRange, Listed};
use super::Broken;
use crate::date;

/// The names of attributes that the draft has; others begin with `X-`.
const NAMES: [&str; 10] = [
    "ID",
    "CLASS",
    "START-DATE",
    "CUE",
    "END-DATE",
    "DURATION",
    "PLANNED-DURATION",
    "SCTE35-CMD",
    "SCTE35-OUT",
    "SCTE35-IN",
];
const ON_NEXT: &str = "END-ON-NEXT";
/// Dates have milliseconds, in seconds.
const ROUNDING: f64 = 0.001_5;

/// The rules that date ranges break by themselves, and by what else the playlist has.
pub(super) fn check(listed: &Listed, broken: &mut Vec<Broken>) {
    let is_dated = listed.segments.iter().any(|segment| segment.date.is_some());
    if !listed.ranges.is_empty() && !is_dated {
        broken.push(Broken::Missing("EXT-X-PROGRAM-DATE-TIME"));
    }
    for (place, range) in listed.ranges.iter().enumerate() {
        let mut note = |wrong| broken.push(Broken::DateRange(range.id().to_owned(), wrong));
        look_at(range, &mut note);
        // The same is told of one wherever it is told again.
        let others = &listed.ranges[..place];
        let mut same = others.iter().filter(|other| other.id() == range.id());
        if same.any(|other| !agree(other, range)) {
            note("two of this ID differ");
        }
    }
}

/// What is told of a date range that was known. What is new of it may be added.
pub(super) fn check_change(before: &Listed, now: &Listed, broken: &mut Vec<Broken>) {
    for range in &now.ranges {
        let mut known = before.ranges.iter().filter(|it| it.id() == range.id());
        if known.any(|known| !agree(known, range)) {
            let id = range.id().to_owned();
            broken.push(Broken::DateRange(id, "an attribute changed"));
        }
    }
}

/// What both have is the same in both.
fn agree(one: &DateRange, other: &DateRange) -> bool {
    let mut attributes = one.attributes.iter();
    attributes.all(|(name, value)| other.get(name).is_none_or(|is| is == value))
}

fn look_at(range: &DateRange, note: &mut impl FnMut(&'static str)) {
    if range.id().is_empty() {
        note("no ID");
    }
    let date = |name: &str| range.get(name).map(date::parse);
    let seconds = |name: &str| range.get(name).map(|it| it.parse::<f64>().ok());
    let (start, end) = (date("START-DATE"), date("END-DATE"));
    if start.is_none() {
        note("no START-DATE");
    }
    if start == Some(None) || end == Some(None) {
        note("a date that is none");
    }
    let lengths = [seconds("DURATION"), seconds("PLANNED-DURATION")];
    let is_length = |length: &Option<f64>| length.is_some_and(|it| it >= 0.0);
    if !lengths.iter().flatten().all(is_length) {
        note("a duration that is none");
    }
    let apart = start.flatten().zip(end.flatten());
    let apart = apart.map(|(start, end)| (end - start) as f64 / 1000.0);
    if apart.is_some_and(|apart| apart < 0.0) {
        note("END-DATE before START-DATE");
    }
    if let (Some(apart), Some(length)) = (apart, lengths[0].flatten())
        && (apart - length).abs() > ROUNDING
    {
        note("END-DATE is not DURATION behind START-DATE");
    }
    if let Some(on_next) = range.get(ON_NEXT) {
        if on_next != "YES" {
            note("END-ON-NEXT is not YES");
        }
        if range.get("CLASS").is_none() {
            note("END-ON-NEXT without CLASS");
        }
        if range.get("DURATION").is_some() || range.get("END-DATE").is_some() {
            note("END-ON-NEXT with an end");
        }
    }
    let is_name = |name: &String| {
        let own = name.strip_prefix("X-").unwrap_or_default();
        let is_plain =
            |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
        let is_own = !own.is_empty() && own.bytes().all(is_plain);
        is_own || name == ON_NEXT || NAMES.contains(&name.as_str())
    };
    if !range.attributes.keys().all(is_name) {
        note("an attribute that is neither of HLS nor begins with X-");
    }
}

#[cfg(test)]
mod tests {
    use super::super::Checker;
    use super::*;

    /// What is wrong with a playlist that has these lines, and one with those behind it.
    fn told(first: &[&str], then: &[&str]) -> Vec<String> {
        let mut checker = Checker::new(None);
        let mut broken = Vec::new();
        for lines in [first, then] {
            let lines: String = lines
                .iter()
                .map(|line| format!("#EXT-X-DATERANGE:{line}\n"))
                .collect();
            broken = checker.full(&format!(
                "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:6\n\
                 #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-MAP:URI=\"i.mp4\"\n\
                 #EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n{lines}#EXTINF:4.0,\n6.m4s\n"
            ));
        }
        broken.iter().map(ToString::to_string).collect()
    }

    const PLAIN: &str = "ID=\"a\",START-DATE=\"2026-01-01T00:00:01.000Z\"";

    #[test]
    fn date_ranges_as_they_are_to_be_break_no_rule() {
        for more in [
            "",
            ",DURATION=0",
            ",PLANNED-DURATION=2.5,CUE=\"PRE,ONCE\"",
            ",END-DATE=\"2026-01-01T00:00:01.000Z\"",
            ",DURATION=1.5,END-DATE=\"2026-01-01T01:00:02.5+01:00\"",
            ",CLASS=\"c\",END-ON-NEXT=YES",
            ",X-COM-EXAMPLE-2=1,X-A=\"b\",SCTE35-OUT=0xFC",
        ] {
            let line = format!("{PLAIN}{more}");
            assert_eq!(told(&[], &[&line, &line]), [""; 0], "{more}");
        }
        // Its end becomes known.
        let ended = format!("{PLAIN},DURATION=3");
        assert_eq!(told(&[PLAIN], &[&ended]), [""; 0]);
        assert_eq!(told(&[PLAIN, &ended], &[]), [""; 0]);
    }

    #[test]
    fn each_rule_of_date_ranges_can_be_broken() {
        let with = |more: &str| format!("{PLAIN}{more}");
        for (line, wrong) in [
            ("START-DATE=\"2026-01-01T00:00:01Z\"".to_owned(), "no ID"),
            ("ID=\"a\"".to_owned(), "no START-DATE"),
            (
                "ID=\"a\",START-DATE=\"2026-01-01 00:00\"".to_owned(),
                "a date that is none",
            ),
            (
                with(",END-DATE=\"2026-01-01T00:00:00.999Z\""),
                "END-DATE before START-DATE",
            ),
            (with(",DURATION=-1"), "a duration that is none"),
            (
                with(",PLANNED-DURATION=\"long\""),
                "a duration that is none",
            ),
            (
                with(",DURATION=2,END-DATE=\"2026-01-01T00:00:04Z\""),
                "END-DATE is not DURATION behind START-DATE",
            ),
            (
                with(",CLASS=\"c\",END-ON-NEXT=NO"),
                "END-ON-NEXT is not YES",
            ),
            (with(",END-ON-NEXT=YES"), "END-ON-NEXT without CLASS"),
            (
                with(",CLASS=\"c\",END-ON-NEXT=YES,DURATION=1"),
                "END-ON-NEXT with an end",
            ),
            (
                with(",COLOUR=\"red\""),
                "an attribute that is neither of HLS nor begins with X-",
            ),
            (
                with(",X-colour=\"red\""),
                "an attribute that is neither of HLS nor begins with X-",
            ),
            (
                with(",X-=\"red\""),
                "an attribute that is neither of HLS nor begins with X-",
            ),
        ] {
            let id = if wrong == "no ID" { "" } else { "a" };
            let expected = [format!("date range \"{id}\": {wrong}")];
            assert_eq!(told(&[], &[&line]), expected, "{line}");
        }
        let [red, blue] = ["red", "blue"].map(|is| format!("{PLAIN},X-COLOUR=\"{is}\""));
        let differ = "date range \"a\": two of this ID differ";
        assert_eq!(told(&[], &[&red, PLAIN, &blue]), [differ]);
        let changed = "date range \"a\": an attribute changed";
        assert_eq!(told(&[&red], &[&blue]), [changed]);
    }

    #[test]
    fn date_ranges_need_a_date_to_be_counted_from() {
        let text = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:4\n\
                    #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-MAP:URI=\"i.mp4\"\n#EXTINF:4.0,\n6.m4s\n";
        let count = |text: &str| {
            let broken = Checker::new(None).full(text);
            let missing = Broken::Missing("EXT-X-PROGRAM-DATE-TIME");
            broken.iter().filter(|is| **is == missing).count()
        };
        // That of each segment is Apple's rule.
        assert_eq!(count(text), 1);
        assert_eq!(count(&format!("{text}#EXT-X-DATERANGE:{PLAIN}\n")), 2);
    }
}
