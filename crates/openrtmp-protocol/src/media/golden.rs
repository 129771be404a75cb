//! Reads the golden files: hex with `#` comments, in named cases.

use proptest::prelude::*;

/// One case of a golden file.
#[derive(Debug, Default)]
pub(crate) struct Case {
    /// What the case is about.
    pub(crate) name: String,
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
    /// Lines that are not hex, in order: `expect: ...`, `error: ...`, flags.
    pub(crate) notes: Vec<String>,
}

impl Case {
    /// The values of the notes `key: value`.
    pub(crate) fn values<'a>(&'a self, key: &'a str) -> Vec<&'a str> {
        self.notes
            .iter()
            .filter_map(|note| note.strip_prefix(key)?.strip_prefix(": "))
            .collect()
    }

    /// Whether the note `flag` stands in the case.
    pub(crate) fn flag(&self, flag: &str) -> bool {
        self.notes.iter().any(|note| note == flag)
    }
}

/// The cases of a golden file. `repeat N XX` stands for N bytes XX.
pub(crate) fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("case: ") {
            cases.push(Case {
                name: name.to_owned(),
                ..Case::default()
            });
            continue;
        }
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let case = cases.last_mut().expect("a case comes first");
        if let Some(bytes) = hex_line(line) {
            case.bytes.extend(bytes);
        } else {
            case.notes.push(line.to_owned());
        }
    }
    assert!(!cases.is_empty());
    cases
}

/// Bytes of the cases of some files, cut off and damaged in a few places.
pub(crate) fn damaged(files: &[&str]) -> impl Strategy<Value = Vec<u8>> {
    let cases: Vec<Vec<u8>> = files
        .iter()
        .flat_map(|text| cases(text))
        .map(|case| case.bytes)
        .collect();
    let index = any::<prop::sample::Index>;
    let damage = prop::collection::vec((index(), any::<u8>()), 0..6);
    (prop::sample::select(cases), index(), damage).prop_map(|(mut bytes, cut, damage)| {
        bytes.truncate(cut.index(bytes.len() + 1));
        for (at, byte) in damage {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        bytes
    })
}

/// Bytes as lower-case hex without spaces.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hex_line(line: &str) -> Option<Vec<u8>> {
    let byte = |word: &str| match word.len() {
        2 => u8::from_str_radix(word, 16).ok(),
        _ => None,
    };
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["repeat", count, word] => Some(vec![byte(word)?; count.parse().ok()?]),
        _ => words.into_iter().map(byte).collect(),
    }
}
