//! Reads the golden files: hex with `#` comments, in named cases.

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
