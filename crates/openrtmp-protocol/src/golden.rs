//! Golden vectors: hex written from the specifications, in `tests/golden`.
//!
//! A `#` begins a comment. A line that ends with `:` names the bytes below it.

use std::fs;
use std::path::PathBuf;

/// One vector file: its sections in order.
pub(crate) struct Vector {
    pub(crate) name: String,
    sections: Vec<(String, Vec<u8>)>,
}

/// All vectors of an area, sorted by file name.
pub(crate) fn vectors(area: &str) -> Vec<Vector> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder(area))
        .expect("the folder exists")
        .map(|entry| entry.expect("the folder is readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "hex"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no vectors for {area}");
    files.into_iter().map(read).collect()
}

/// One vector, by its file name without `.hex`.
pub(crate) fn vector(area: &str, name: &str) -> Vector {
    read(folder(area).join(name).with_extension("hex"))
}

impl Vector {
    /// The bytes of a section.
    pub(crate) fn bytes(&self, section: &str) -> &[u8] {
        self.sections()
            .find(|(name, _)| *name == section)
            .unwrap_or_else(|| panic!("{} has no section {section}", self.name))
            .1
    }

    /// Names and bytes of all sections.
    pub(crate) fn sections(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.sections
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }
}

fn folder(area: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/golden")
        .join(area)
}

fn read(path: PathBuf) -> Vector {
    let name = path.file_stem().expect("it has a name");
    let name = name.to_string_lossy().into_owned();
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut sections: Vec<(String, Vec<u8>)> = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(section) = line.strip_suffix(':') {
            sections.push((section.to_owned(), Vec::new()));
        } else if !line.is_empty() {
            let (_, bytes) = sections
                .last_mut()
                .unwrap_or_else(|| panic!("{name}: bytes before a section"));
            for word in line.split_whitespace() {
                assert!(word.len() % 2 == 0, "{name}: {word}");
                bytes.extend((0..word.len()).step_by(2).map(|at| {
                    u8::from_str_radix(&word[at..at + 2], 16)
                        .unwrap_or_else(|_| panic!("{name}: {word}"))
                }));
            }
        }
    }
    Vector { name, sections }
}
