//! A type of the public face has one path: `openrtmp-core` gives out the protocol crate as a
//! whole, so what they name is looked at together, with the crates that stand on them. And one
//! that may have more in it one day says so, or says that it will not.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What has two paths on purpose, or stands for two types.
const TWICE: [(&str, &str); 16] = [
    ("Broken", "by a manifest of DASH, and by a playlist of HLS"),
    ("Checker", "of manifests, and of playlists"),
    (
        "ClientConfig",
        "of a session, and of the connection around it",
    ),
    ("ClientEvent", "part of the blocking client's own interface"),
    ("ClientMode", "the same"),
    ("Event", "of the server, and of a packager"),
    ("Form", "over HTTP, and of a playlist"),
    ("Frame", "of a tap, and in a file"),
    (
        "Held",
        "what a delivery keeps, and a segment that a checker was given",
    ),
    ("Listed", "in a manifest, and in a playlist"),
    (
        "Media",
        "of a session, of the blocking client, and of a track in a file",
    ),
    ("MediaKind", "of a session, and of the blocking client"),
    ("Message", "of a chunk stream, and of a tap"),
    (
        "StreamName",
        "which spellings are one stream, and what of one may be seen",
    ),
    ("Track", "of a stream, and in a file"),
    ("Unreadable", "a manifest, and a playlist"),
];

/// The names that a `pub use` gives out: of `a::{b::C, D as E}` they are `C` and `E`.
fn given_out(statement: &str) -> Vec<&str> {
    let is_of_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = statement.split(|c| !is_of_path(c));
    let words: Vec<&str> = words
        .filter(|word| !word.is_empty() && !word.ends_with("::"))
        .collect();
    let is_renamed = |at: usize| words.get(at + 1) == Some(&"as");
    let named = (0..words.len()).filter(|&at| words[at] != "as" && !is_renamed(at));
    named
        .filter_map(|at| words[at].rsplit("::").next())
        .collect()
}

/// Adds every public type of a module and of those below it, with their paths.
fn collect(file: &Path, path: &str, found: &mut BTreeMap<String, Vec<String>>) {
    let text = fs::read_to_string(file).expect("a source file");
    let code = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    let code = code.collect::<Vec<_>>().join("\n");
    let mut names = Vec::new();
    for statement in code.split("\npub use ").skip(1) {
        names.extend(given_out(statement.split(';').next().unwrap_or_default()));
    }
    for word in ["struct", "enum", "trait", "type"] {
        for item in code.split(&format!("\npub {word} ")).skip(1) {
            names.extend(item.split(|c: char| !c.is_alphanumeric()).next());
        }
    }
    for name in names
        .into_iter()
        .filter(|name| name.starts_with(char::is_uppercase))
    {
        found
            .entry(name.to_owned())
            .or_default()
            .push(format!("{path}::{name}"));
    }
    let folder = match file.file_stem().and_then(|stem| stem.to_str()) {
        Some("lib" | "mod") | None => file.parent().expect("a folder").to_owned(),
        Some(_) => file.with_extension(""),
    };
    for (before, module) in code
        .match_indices("\npub mod ")
        .map(|(at, _)| code.split_at(at))
    {
        let name = module["\npub mod ".len()..]
            .split(';')
            .next()
            .unwrap_or_default();
        let is_hidden = before.trim_end().ends_with("#[doc(hidden)]");
        if is_hidden || name.contains('{') {
            continue;
        }
        let [file, within] =
            [format!("{name}.rs"), format!("{name}/mod.rs")].map(|file| folder.join(file));
        let file = if file.exists() { file } else { within };
        collect(&file, &format!("{path}::{name}"), found);
    }
}

/// The crates that a program is built with.
const LIBRARIES: [&str; 4] = ["protocol", "core", "live", "media"];

fn sources(library: &str) -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let crates = crates.expect("the folder of crates");
    crates.join(format!("openrtmp-{library}/src"))
}

#[test]
fn a_public_type_has_one_path() {
    let mut found = BTreeMap::new();
    for library in LIBRARIES {
        collect(&sources(library).join("lib.rs"), library, &mut found);
    }
    assert!(
        found.len() > 300,
        "{} types were found: the reading is at fault",
        found.len()
    );
    found.retain(|_, paths| paths.len() > 1);
    let twice: Vec<&str> = TWICE.iter().map(|(name, _)| *name).collect();
    let found_twice: Vec<&String> = found.keys().collect();
    assert_eq!(found_twice, twice, "{found:#?}");
}

/// Every source file in a folder and below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let (folders, files): (Vec<_>, Vec<_>) = entries
        .map(|entry| entry.path())
        .partition(|path| path.is_dir());
    let is_source = |path: &PathBuf| path.extension().is_some_and(|it| it == "rs");
    let below = folders.iter().flat_map(|folder| self::files(folder));
    files.into_iter().filter(is_source).chain(below).collect()
}

/// Whether a type of such lines (its own, and those of its documentation and attributes
/// before it) would break those who use it if it had one more part: an enum, or a struct of
/// public fields alone, that does not say so.
fn is_open(before: &[&str], item: &[&str]) -> bool {
    let is_struct = item[0].starts_with("pub struct ");
    let fields = item[1..].iter().filter(|line| {
        let is_field = |line: &str| line.starts_with(|c: char| c.is_lowercase() || c == '_');
        line.strip_prefix("    ").is_some_and(is_field)
    });
    let mut fields = fields.peekable();
    let has_fields = item[0].ends_with('{') && fields.peek().is_some();
    if is_struct && !(has_fields && fields.all(|field| field.starts_with("    pub "))) {
        return false;
    }
    let said = before.join(" ").replace(" /// ", " ").to_lowercase();
    !said.contains("#[non_exhaustive]") && !said.contains("closed on purpose")
}

#[test]
fn a_public_type_says_whether_more_may_come() {
    let mut open = Vec::new();
    for library in LIBRARIES {
        let root = sources(library).join("lib.rs");
        let text = fs::read_to_string(&root).expect("a source file");
        let all = text.lines().take_while(|line| line.starts_with("//!"));
        let all: Vec<&str> = all
            .map(|line| line.trim_start_matches("//!").trim())
            .collect();
        if all.join(" ").contains("closed on purpose") {
            continue;
        }
        let mut public = BTreeMap::new();
        collect(&root, library, &mut public);
        for file in files(&sources(library)) {
            let text = fs::read_to_string(&file).expect("a source file");
            let lines: Vec<&str> = text.lines().collect();
            for (at, line) in lines.iter().enumerate() {
                let words = ["pub enum ", "pub struct "].iter();
                let Some(rest) = words.filter_map(|word| line.strip_prefix(word)).next() else {
                    continue;
                };
                let name = rest.split(|c: char| !c.is_alphanumeric()).next();
                if !name.is_some_and(|name| public.contains_key(name)) {
                    continue;
                }
                let first = lines[..at].iter().rposition(|line| line.is_empty());
                let last = lines[at..].iter().position(|line| *line == "}");
                let before = &lines[first.map_or(0, |first| first + 1)..at];
                if is_open(before, &lines[at..at + last.unwrap_or(1)]) {
                    open.push(format!("{}:{}: {line}", file.display(), at + 1));
                }
            }
        }
    }
    assert_eq!(open, [""; 0]);
}
