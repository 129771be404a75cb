//! A type of the public face has one path: `openrtmp-core` gives out the protocol crate as a
//! whole, so what either names is looked at together.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What has two paths on purpose, or stands for two types.
const TWICE: [(&str, &str); 7] = [
    (
        "ClientConfig",
        "of a session, and of the connection around it",
    ),
    ("ClientEvent", "part of the blocking client's own interface"),
    ("ClientMode", "the same"),
    ("Media", "the same"),
    ("MediaKind", "the same"),
    ("Message", "of a chunk stream, and of a tap"),
    (
        "StreamName",
        "which spellings are one stream, and what of one may be seen",
    ),
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

#[test]
fn a_public_type_has_one_path() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the folder of crates");
    let mut found = BTreeMap::new();
    collect(
        &crates.join("openrtmp-protocol/src/lib.rs"),
        "protocol",
        &mut found,
    );
    collect(&crates.join("openrtmp-core/src/lib.rs"), "core", &mut found);
    assert!(
        found.len() > 200,
        "{} types were found: the reading is at fault",
        found.len()
    );
    found.retain(|_, paths| paths.len() > 1);
    let twice: Vec<&str> = TWICE.iter().map(|(name, _)| *name).collect();
    let found_twice: Vec<&String> = found.keys().collect();
    assert_eq!(found_twice, twice, "{found:#?}");
}
