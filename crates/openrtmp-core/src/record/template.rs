//! Names of recordings, safe whatever a publisher calls its stream.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use openrtmp_protocol::text::shown;

/// Bytes of a file or folder name that come from the network. Leaves room for
/// date, time and index in the 255 bytes that file systems allow.
const MAX_VALUE_BYTES: usize = 100;
/// Bytes of one file or folder name, before `-{index}` and `.flv`.
const MAX_COMPONENT_BYTES: usize = 200;
/// Folders that one app name may make; what is beyond stays in the last.
const MAX_APP_FOLDERS: usize = 4;
const SECONDS_PER_DAY: i64 = 86_400;

/// The path of a recording below `directory`.
///
/// `{app}`, `{name}`, `{date}` (YYYY-MM-DD), `{time}` (HH-MM-SS, both of `seconds` since
/// 1970-01-01) and `{index}` (the part's number) of `template` are replaced and the
/// extension is added.
/// A template without `{index}` gets `-{index}` from the second part on. Slashes
/// of the template and of the app make folders.
///
/// Nothing in `app` or `name` can lead out of `directory`, name a device or a
/// hidden file, or be refused by any of the usual file systems: what could is
/// replaced by `_` or cut. Different streams may therefore get the same path.
pub(crate) fn file_path(
    directory: &Path,
    template: &str,
    app: &str,
    name: &str,
    seconds: i64,
    index: u32,
    extension: &str,
) -> PathBuf {
    let relative = expand(template, app, name, seconds, index);
    let mut components: Vec<String> = relative
        .split(['/', '\\'])
        .filter(|component| !component.is_empty())
        .map(|component| safe_component(component, MAX_COMPONENT_BYTES))
        .collect();
    let mut file = components.pop().unwrap_or_else(|| "_".to_owned());
    if index > 0 && !template.contains("{index}") {
        file.push_str(&format!("-{index}"));
    }
    file.push('.');
    file.push_str(extension);

    let mut path = directory.to_owned();
    path.extend(components);
    path.push(file);
    path
}

/// What may stand in braces.
const PLACEHOLDERS: [&str; 5] = ["{app}", "{name}", "{date}", "{time}", "{index}"];

/// Whether everything in braces is a placeholder. The error says what is expected, and
/// what is there.
pub(crate) fn check(template: &str) -> Result<(), String> {
    let mut rest = template;
    while let Some(start) = rest.find(['{', '}']) {
        rest = &rest[start..];
        match PLACEHOLDERS.iter().find(|known| rest.starts_with(**known)) {
            Some(known) => rest = &rest[known.len()..],
            None => {
                let end = rest.find('}').map_or(rest.len(), |end| end + 1);
                let (found, known) = (&rest[..end], PLACEHOLDERS.join(" "));
                return Err(format!("nothing but {known} in braces, not {found}"));
            }
        }
    }
    Ok(())
}

/// Replaces the placeholders in one pass: braces inside a stream's name are
/// plain characters.
fn expand(template: &str, app: &str, name: &str, seconds: i64, index: u32) -> String {
    let (date, time) = date_and_time(seconds);
    let [app_key, name_key, date_key, time_key, index_key] = PLACEHOLDERS;
    let values = [
        (app_key, safe_app(app)),
        (name_key, safe_component(name, MAX_VALUE_BYTES)),
        (date_key, date),
        (time_key, time),
        (index_key, index.to_string()),
    ];
    let mut output = String::new();
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        output.push_str(&rest[..start]);
        rest = &rest[start..];
        match values.iter().find(|(key, _)| rest.starts_with(key)) {
            Some((key, value)) => {
                output.push_str(value);
                rest = &rest[key.len()..];
            }
            None => {
                output.push('{');
                rest = &rest[1..];
            }
        }
    }
    output.push_str(rest);
    output
}

fn safe_app(app: &str) -> String {
    app.trim_matches('/')
        .splitn(MAX_APP_FOLDERS, '/')
        .filter(|folder| !folder.is_empty())
        .map(|folder| safe_component(folder, MAX_VALUE_BYTES))
        .collect::<Vec<_>>()
        .join("/")
}

/// One file or folder name that every file system takes as it is.
fn safe_component(text: &str, max_bytes: usize) -> String {
    let mut name: String = text
        .chars()
        .map(|c| if is_safe(c) { c } else { '_' })
        .collect();
    // A dot at the start hides the file on Unix. A device name is one with any
    // extension and in any folder on Windows.
    if name.is_empty() || name.starts_with(['.', ' ']) || is_device(&name) {
        name.insert(0, '_');
    }
    let mut length = name.len().min(max_bytes);
    while !name.is_char_boundary(length) {
        length -= 1;
    }
    // Windows drops dots and spaces at the end: two names would be one file.
    name.truncate(name[..length].trim_end_matches(['.', ' ']).len());
    name
}

fn is_safe(c: char) -> bool {
    match c {
        '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => false,
        '\u{FFFE}' | '\u{FFFF}' => false,
        // Controlling, invisible or turning the direction of text: names that do not
        // read as what they are, in a listing or in a log line with the file's path.
        _ => {
            let (mut text, mut buffer) = (String::new(), [0; 4]);
            let plain: &str = c.encode_utf8(&mut buffer);
            write!(text, "{}", shown(plain)).is_ok() && text == plain
        }
    }
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let stem = stem.to_ascii_uppercase();
    match stem.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" => true,
        _ => stem
            .strip_prefix("COM")
            .or_else(|| stem.strip_prefix("LPT"))
            .is_some_and(|port| {
                let mut port = port.chars();
                // Windows takes superscript 1 to 3 for digits here.
                matches!(port.next(), Some('0'..='9' | '¹' | '²' | '³')) && port.next().is_none()
            }),
    }
}

/// Whole seconds since 1970-01-01 in UTC.
pub(crate) fn unix_seconds(wall: SystemTime) -> i64 {
    match wall.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => whole_seconds(since),
        Err(before) => {
            let before = before.duration();
            -whole_seconds(before) - i64::from(before.subsec_nanos() > 0)
        }
    }
}

/// `YYYY-MM-DD` and `HH-MM-SS`.
fn date_and_time(seconds: i64) -> (String, String) {
    let (year, month, day) = civil_date(seconds.div_euclid(SECONDS_PER_DAY));
    let second = seconds.rem_euclid(SECONDS_PER_DAY);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    (
        format!("{year:04}-{month:02}-{day:02}"),
        format!("{hour:02}-{minute:02}-{second:02}"),
    )
}

/// Bounded so that sums with it cannot overflow; still far beyond any clock.
fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).map_or(i64::MAX / 2, |seconds| seconds.min(i64::MAX / 2))
}

/// Year, month and day of a day counted from 1970-01-01 in the Gregorian
/// calendar.
///
/// Counts in years that begin on 1 March, so that the leap day is the last of
/// its year, and in eras of 400 years, after which the calendar repeats.
fn civil_date(days: i64) -> (i64, i64, i64) {
    const DAYS_PER_ERA: i64 = 146_097;
    /// From 0000-03-01 to 1970-01-01.
    const EPOCH: i64 = 719_468;

    let day = days + EPOCH;
    let (era, day) = (day.div_euclid(DAYS_PER_ERA), day.rem_euclid(DAYS_PER_ERA));
    let year = (day - day / 1_460 + day / 36_524 - day / (DAYS_PER_ERA - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months from March on have 31, 30, 31, 30, 31 days, 153 in five, over again.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year;
    if month < 10 {
        (year, month + 3, day)
    } else {
        (year + 1, month - 9, day)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;

    const TEMPLATE: &str = "{app}/{name}-{date}-{time}";

    fn path(template: &str, app: &str, name: &str, index: u32) -> String {
        // 2024-02-29 23:59:59 UTC.
        let path = file_path(
            Path::new("rec"),
            template,
            app,
            name,
            1_709_251_199,
            index,
            "flv",
        );
        path.to_str().expect("UTF-8").replace('\\', "/")
    }

    #[test]
    fn placeholders_are_replaced() {
        assert_eq!(
            path(TEMPLATE, "live", "cam", 0),
            "rec/live/cam-2024-02-29-23-59-59.flv"
        );
        assert_eq!(
            path("{name}.{index}{x}{", "live", "cam", 7),
            "rec/cam.7{x}{.flv"
        );
    }

    #[test]
    fn a_misspelt_placeholder_is_told_and_the_known_ones_with_it() {
        for template in [TEMPLATE, "x", "{index}", "a/{app}{name}/{date}_{time}"] {
            assert_eq!(check(template), Ok(()), "{template}");
        }
        for (template, found) in [
            ("{app}/{nmae}", "{nmae}"),
            ("{Name}", "{Name}"),
            ("{name", "{name"),
            ("name}", "}"),
            ("{{name}}", "{{name}"),
            ("{name}{}", "{}"),
            ("%Y-{name}-{year}.flv", "{year}"),
        ] {
            let error = check(template).unwrap_err();
            let end = format!("{{index}} in braces, not {found}");
            assert!(error.ends_with(&end), "{template}: {error}");
        }
    }

    #[test]
    fn later_parts_get_their_index_only_if_the_template_has_none() {
        assert_eq!(path("{name}", "live", "cam", 0), "rec/cam.flv");
        assert_eq!(path("{name}", "live", "cam", 2), "rec/cam-2.flv");
        assert_eq!(path("{index}/{name}", "live", "cam", 2), "rec/2/cam.flv");
    }

    #[test]
    fn an_app_makes_folders_and_a_name_does_not() {
        assert_eq!(
            path("{app}/{name}", "/live//studio/", "a/b", 0),
            "rec/live/studio/a_b.flv"
        );
        assert_eq!(
            path("{app}/{name}", "a/b/c/d/e/f", "x", 0),
            "rec/a/b/c/d_e_f/x.flv"
        );
        assert_eq!(path("{app}/{name}", "", "x", 0), "rec/x.flv");
    }

    #[test]
    fn placeholders_inside_names_are_plain_text() {
        assert_eq!(
            path("{app}/{name}", "{date}", "{app}", 0),
            "rec/{date}/{app}.flv"
        );
    }

    #[test]
    fn names_cannot_leave_the_folder() {
        for (name, file) in [
            ("..", "_"),
            ("../../etc/passwd", "_.._.._etc_passwd"),
            ("/etc/passwd", "_etc_passwd"),
            ("..\\..\\x", "_.._.._x"),
            ("C:\\x", "C__x"),
            ("file:stream", "file_stream"),
            ("a\0b\r\nc\u{7f}\u{9b}", "a_b__c__"),
            ("<>:\"/\\|?*", "_________"),
            (".hidden", "_.hidden"),
            ("name. . .", "name"),
            (" ", "_"),
            ("", "_"),
            ("\u{202E}vlf.exe", "_vlf.exe"),
            ("h\u{E0041}tag\u{AD}\u{FE0F}", "h_tag__"),
        ] {
            assert_eq!(
                path("{name}", "", name, 0),
                format!("rec/{file}.flv"),
                "{name:?}"
            );
        }
        assert_eq!(path("{app}/x", "../..//.", "", 0), "rec/_/_/_/x.flv");
        assert_eq!(path("../{name}", "", "x", 0), "rec/_/x.flv");
    }

    #[test]
    fn device_names_of_windows_are_not_used() {
        for name in [
            "CON", "nul", "Aux.txt", "com1", "LPT9.a.b", "COM¹", "CONIN$", "PRN .x",
        ] {
            assert_eq!(path("{name}", "", name, 0), format!("rec/_{name}.flv"));
        }
        for name in ["CONTROL", "COM", "COM10", "LPTx", "xNUL"] {
            assert_eq!(path("{name}", "", name, 0), format!("rec/{name}.flv"));
        }
        assert_eq!(path("C{name}", "", "ON", 0), "rec/_CON.flv");
    }

    #[test]
    fn long_names_are_cut_between_characters_and_keep_the_date() {
        let long = "é".repeat(500);
        assert_eq!(
            path("{name}-{date}", "", &format!("x{long}"), 0),
            format!("rec/x{}-2024-02-29.flv", "é".repeat(49))
        );
    }

    #[test]
    fn known_dates() {
        for (seconds, date, time) in [
            (0, "1970-01-01", "00-00-00"),
            (951_782_400, "2000-02-29", "00-00-00"),
            (951_868_800, "2000-03-01", "00-00-00"),
            (1_000_000_000, "2001-09-09", "01-46-40"),
            (1_234_567_890, "2009-02-13", "23-31-30"),
            (1_735_689_599, "2024-12-31", "23-59-59"),
            (1_735_689_600, "2025-01-01", "00-00-00"),
            (4_107_542_399, "2100-02-28", "23-59-59"),
            // 2100 is no leap year.
            (4_107_542_400, "2100-03-01", "00-00-00"),
            (253_402_300_799, "9999-12-31", "23-59-59"),
        ] {
            assert_eq!(
                date_and_time(seconds),
                (date.to_owned(), time.to_owned()),
                "{seconds}"
            );
        }
    }

    #[test]
    fn a_clock_before_1970_counts_backwards() {
        for (before, date, time) in [
            (Duration::from_millis(1), "1969-12-31", "23-59-59"),
            (Duration::from_secs(86_400), "1969-12-31", "00-00-00"),
        ] {
            let Some(wall) = SystemTime::UNIX_EPOCH.checked_sub(before) else {
                continue;
            };
            assert_eq!(
                date_and_time(unix_seconds(wall)),
                (date.to_owned(), time.to_owned())
            );
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut last = civil_date(-200_000);
        for day in -199_999..200_000 {
            let (year, month, date) = civil_date(day);
            let (last_year, last_month, last_date) = last;
            let days_in_month = match last_month {
                2 if last_year % 4 == 0 && (last_year % 100 != 0 || last_year % 400 == 0) => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            let expected = match (last_month, last_date) {
                (12, 31) => (last_year + 1, 1, 1),
                (_, last) if last == days_in_month => (last_year, last_month + 1, 1),
                _ => (last_year, last_month, last_date + 1),
            };
            assert_eq!((year, month, date), expected);
            last = (year, month, date);
        }
    }

    proptest! {
        #[test]
        fn any_name_is_a_plain_file_below_the_folder(
            template in "[{}a-z/.\\\\: ]{0,20}|\\{app\\}/\\{name\\}",
            app in "\\PC{0,300}|[./\\\\ \0:]{0,20}",
            name in "\\PC{0,300}|[./\\\\ \0:]{0,20}|(?i:con|nul|com[0-9])[.a ]{0,3}",
        ) {
            let path = file_path(Path::new("rec"), &template, &app, &name, 0, 3, "flv");
            let below = path.strip_prefix("rec").expect("below the folder");
            prop_assert!(below.components().count() >= 1);
            for component in below.components() {
                let Component::Normal(part) = component else {
                    panic!("{path:?}");
                };
                let part = part.to_str().expect("UTF-8");
                prop_assert!(part.len() <= 255);
                prop_assert!(part.chars().all(is_safe), "{part:?}");
                prop_assert!(!part.starts_with('.') && !part.ends_with(['.', ' ']));
                prop_assert!(!is_device(part));
            }
            prop_assert!(path.to_str().expect("UTF-8").ends_with(".flv"));
        }
    }
}
