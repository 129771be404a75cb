//! Settings as documents and by dotted path.
//!
//! - What fails changes nothing.
//! - What is dumped reads back as the same settings, whatever they were before.
//! - A value that was told can be set.
//! - No document takes much memory.

use arbitrary::Unstructured;
use openrtmp_core::{Config, DocumentError, Format};

use crate::input::{Piece, take};
use crate::memory;

/// Paths by the number that an input names them with.
pub const PATHS: [&str; 16] = [
    "",
    "listen",
    "workers",
    "rtmp",
    "rtmp.chunk_size",
    "rtmp.idle_timeout",
    "streams.second_publisher",
    "queue.write_coalesce",
    "access.publish_keys",
    "record",
    "record.directory",
    "record.apps",
    "record.split_bytes",
    "limits.memory",
    "limits.session.amf.depth",
    "limits.disconnect_over_bitrate",
];

/// Profile (bit 0), then what is done: a JSON document, a YAML document, a value set
/// by a path of the list, or by one of its own.
pub fn run(data: &[u8]) {
    memory::within(MEMORY + 64 * data.len(), || change(data));
}

/// Settings are small; so is what a document of a few kilobytes may unfold to, aliases
/// of YAML included.
const MEMORY: usize = 1 << 20;

fn change(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mut config = match take::<u8>(&mut input) & 1 {
        0 => Config::desktop(),
        _ => Config::mobile(),
    };
    let mut steps = 0;
    while !input.is_empty() && steps < 8 {
        steps += 1;
        step(&mut config, &mut input);
    }
    check(&config, data.len());
}

fn step(config: &mut Config, input: &mut Unstructured<'_>) {
    let before = config.clone();
    let what: u8 = take(input);
    let path = match what & 4 {
        0 => PATHS[usize::from(what >> 4)].to_owned(),
        _ if what & 3 >= 2 => take::<Piece<'_>>(input).text(),
        _ => String::new(),
    };
    let text = take::<Piece<'_>>(input).text();
    let done = match what & 3 {
        0 => config.merge(&text, Format::Json),
        1 => config.merge(&text, Format::Yaml),
        _ => config.set(&path, &text),
    };
    match done {
        Ok(()) if what & 3 >= 2 => {
            let told = config.get(&path).expect("it was just set");
            put_back(config, &path, &told);
        }
        Ok(()) => {}
        Err(error) => {
            assert_eq!(*config, before, "{error}");
            tells(&error);
        }
    }
}

fn put_back(config: &Config, path: &str, told: &str) {
    let mut again = config.clone();
    // A text that looks like a JSON text is taken for one.
    if told.starts_with('"') {
        return;
    }
    // What is off has no value to set.
    if told == "null" && path != "record" {
        return;
    }
    again.set(path, told).expect("what is told can be set");
    assert_eq!(again, *config, "{path} = {told}");
}

/// `pick` says which format and which settings it is read into, if any: all of them
/// each time would take long.
fn check(config: &Config, pick: usize) {
    if pick.is_multiple_of(4) {
        let format = match pick & 4 {
            0 => Format::Json,
            _ => Format::Yaml,
        };
        let mut other = match pick & 8 {
            0 => Config::desktop(),
            _ => Config::mobile(),
        };
        let document = config.dump(format);
        if let Err(error) = other.merge(&document, format) {
            panic!("{error}\n{document}");
        }
        assert_eq!(other, *config, "{document}");
    }
    if let Err(error) = config.validate() {
        assert!(!error.path.is_empty() && !error.allowed.is_empty());
        assert!(config.get(error.path).is_ok(), "{error}");
    }
}

/// An error names what it is about, and never a key.
fn tells(error: &DocumentError) {
    let told = error.to_string();
    assert!(!told.is_empty());
    if let DocumentError::Value { path, value, .. } = error {
        let holds_keys = path.contains("_keys") || path == "access.users";
        assert!(!holds_keys || !path.starts_with("access.") || value == "***");
    }
}
