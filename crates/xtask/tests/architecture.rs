//! `docs/architecture.md` is held to the code: which module of the core may use which, so that
//! they form no circle; and pages name no file that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The repository's root.
fn root() -> &'static Path {
    let two_below = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    two_below.expect("xtask stands two folders below the root")
}

fn read(path: &Path) -> String {
    let text = fs::read_to_string(path);
    text.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a folder with this ending, in order.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|is| is == ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What stands between the first `{` of a text and the `}` that belongs to it.
fn inside(text: &str) -> Option<&str> {
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return text[..at].strip_prefix('{');
        }
    }
    None
}

/// What commas part, but for those within braces.
fn branches(tree: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut found) = (0, 0, Vec::new());
    for (at, letter) in tree.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(tree[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    found.push(tree[begin..].trim());
    found.retain(|branch| !branch.is_empty());
    found
}

/// The paths that a text begins with: `a::{b::C, d}` gives `a::b::C` and `a::d`.
fn paths(text: &str) -> Vec<String> {
    let is_of_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let end = text.find(|c| !is_of_path(c)).unwrap_or(text.len());
    let (head, rest) = text.split_at(end);
    match inside(rest).filter(|_| head.is_empty() || head.ends_with("::")) {
        Some(tree) => {
            let ends = branches(tree).into_iter().flat_map(paths);
            ends.map(|end| format!("{head}{end}")).collect()
        }
        None => vec![head.trim_end_matches("::").to_owned()],
    }
}

/// A module that is built into the library, without its tests and comments.
struct Module {
    /// `a::b`
    name: String,
    text: String,
}

fn without_tests(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let is_end = |at: &usize| {
        let of_tests = lines[*at].starts_with("#[cfg(") && lines[*at].contains("test");
        of_tests
            && lines[*at + 1..]
                .iter()
                .take(2)
                .any(|line| line.contains("mod tests {"))
    };
    let end = (0..lines.len()).find(is_end).unwrap_or(lines.len());
    let code = lines[..end]
        .iter()
        .map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}

/// The modules of the core. `lib.rs` is the one without a name.
fn modules() -> Vec<Module> {
    let source = root().join("crates/openrtmp-core/src");
    let module = |file: PathBuf| {
        let name = file
            .strip_prefix(&source)
            .expect("below it")
            .with_extension("");
        let parts = name.iter().map(|part| part.to_str().expect("a name"));
        let parts: Vec<&str> = parts
            .filter(|part| !["mod", "lib"].contains(part))
            .collect();
        let for_tests =
            |part: &&str| *part == "tests" || part.ends_with("_tests") || *part == "loom_models";
        if parts.iter().any(for_tests) {
            return None;
        }
        Some(Module {
            name: parts.join("::"),
            text: without_tests(&read(&file)),
        })
    };
    files(&source, "rs")
        .into_iter()
        .filter_map(module)
        .collect()
}

fn below(module: &str, path: &str) -> String {
    format!("{module}::{path}")
        .trim_start_matches("::")
        .to_owned()
}

/// Where each item is that a module gives out as its own though it is of a module below.
fn facades(modules: &[Module], names: &BTreeSet<&str>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for module in modules {
        for statement in module.text.split(';') {
            let Some((_, used)) = statement.rsplit_once("use ") else {
                continue;
            };
            for path in paths(used.trim_start_matches("self::")) {
                let path = below(&module.name, &path);
                let Some((home, item)) = path.rsplit_once("::") else {
                    continue;
                };
                if names.contains(home) && home != module.name {
                    found.insert(below(&module.name, item), home.to_owned());
                }
            }
        }
    }
    found
}

/// Every module of the core that a module uses, by the paths in its text.
fn uses(
    module: &Module,
    names: &BTreeSet<&str>,
    facades: &BTreeMap<String, String>,
) -> Vec<String> {
    let text = &module.text;
    let begins = text
        .match_indices("crate::")
        .chain(text.match_indices("super::"));
    let paths = begins.flat_map(|(at, word)| {
        let is_whole = !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        let paths = paths(&text[at + word.len()..]);
        let from = match word {
            "crate::" => "",
            _ => module.name.rsplit_once("::").map_or("", |(above, _)| above),
        };
        let paths = paths.into_iter().filter(move |_| is_whole);
        paths.map(move |path| {
            let (mut from, mut path) = (from, path.as_str());
            while let Some(rest) = path.strip_prefix("super::") {
                (from, path) = (from.rsplit_once("::").map_or("", |(above, _)| above), rest);
            }
            below(from, path)
        })
    });
    let home = |path: String| {
        let mut path = path.as_str();
        loop {
            if let Some(home) = facades.get(path) {
                return Some(home.clone());
            }
            if names.contains(path) {
                return Some(path.to_owned());
            }
            path = path.rsplit_once("::")?.0;
        }
    };
    paths.filter_map(home).collect()
}

/// A line of the table of modules.
struct Row {
    modules: Vec<String>,
    /// `None`: all modules of the lines above.
    may_touch: Option<Vec<String>>,
}

/// What stands in a text between backticks, as names of modules.
fn quoted(text: &str) -> Vec<String> {
    let names = text.split('`').skip(1).step_by(2);
    names
        .map(|name| name.trim_end_matches('/').replace('/', "::"))
        .collect()
}

fn table(page: &str) -> Vec<Row> {
    let from = page
        .find("| module (`openrtmp-core/src`) |")
        .expect("the table of modules");
    let lines = page[from..]
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        assert_eq!(cells.len(), 3, "{line}");
        let may_touch = (!cells[2].contains("all above")).then(|| quoted(cells[2]));
        Row {
            modules: quoted(cells[0]),
            may_touch,
        }
    };
    lines.map(row).collect()
}

/// The line of a module and what it is called there: the longest name that it begins with.
fn place<'a>(rows: &'a [Row], module: &str) -> Option<(usize, &'a str)> {
    let is_in = |name: &str| {
        let rest = module.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let named = rows.iter().enumerate();
    let named = named.flat_map(|(row, of)| of.modules.iter().map(move |name| (row, &**name)));
    let named = named.filter(|(_, name)| is_in(name));
    named.max_by_key(|(_, name)| name.len())
}

#[test]
fn modules_of_the_core_use_what_the_table_lets_them() {
    let modules = modules();
    let names: BTreeSet<&str> = modules.iter().map(|module| module.name.as_str()).collect();
    let facades = facades(&modules, &names);
    let rows = table(&read(&root().join("docs/architecture.md")));
    let mut faults = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for module in modules.iter().filter(|module| !module.name.is_empty()) {
        let Some((row, _)) = place(&rows, &module.name) else {
            faults.insert(format!("the table does not have {}", module.name));
            continue;
        };
        for used in uses(module, &names, &facades) {
            let Some((other, name)) = place(&rows, &used) else {
                continue;
            };
            seen.insert((row, name));
            // The table goes from the bottom up: without a use downwards in it there is no
            // circle but within a line.
            let may_touch = rows[row].may_touch.as_ref();
            let is_named = || may_touch.is_none_or(|may| may.iter().any(|may| may == name));
            if other > row || other < row && !is_named() {
                faults.insert(format!("{} uses {used}", module.name));
            }
        }
    }
    for (row, of) in rows.iter().enumerate() {
        for name in of
            .modules
            .iter()
            .filter(|name| !names.contains(name.as_str()))
        {
            faults.insert(format!("there is no {name}"));
        }
        let may_touch = of.may_touch.iter().flatten();
        for name in may_touch.filter(|name| !seen.contains(&(row, name.as_str()))) {
            faults.insert(format!("none of {:?} uses {name}", of.modules));
        }
    }
    let faults: Vec<String> = faults.into_iter().collect();
    assert!(
        faults.is_empty(),
        "docs/architecture.md, bottom up:\n{}",
        faults.join("\n")
    );
}

/// Folders of the repository whose files pages name by their paths.
const NAMED: [&str; 6] = [
    "crates/",
    "tests/",
    "bindings/",
    "docs/",
    "examples/",
    "packaging/",
];

/// What no clone has, but is made there.
const MADE: [&str; 1] = ["tests/fuzz/artifacts"];

/// The words of a text that may be paths, freed from what is around them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_end = |c: char| c.is_whitespace() || "`()[]\"'<>,;|".contains(c);
    text.split(is_end)
        .map(|word| word.trim_end_matches(['.', ':', '!', '?']))
}

/// True if a path in the text is a file or folder, perhaps with `::item`, `#anchor` or
/// `:line` behind it.
fn is_there(word: &str) -> bool {
    let path = word.split(['#', ':']).next().unwrap_or_default();
    root().join(path).exists()
}

#[test]
fn files_that_pages_name_are_there() {
    let mut pages = files(&root().join("docs"), "md");
    let tops = [
        "README.md",
        "SECURITY.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
    ];
    pages.extend(
        tops.iter()
            .map(|page| root().join(page))
            .filter(|page| page.exists()),
    );
    // A page may leave out where the sources are: `worker/mod.rs` stands for a file that ends so.
    let sources = ["crates", "tests", "bindings"].map(|folder| files(&root().join(folder), "rs"));
    let sources: Vec<String> = sources
        .iter()
        .flatten()
        .map(|file| file.display().to_string().replace('\\', "/"))
        .collect();
    let mut missing = Vec::new();
    let mut seen = 0;
    for page in &pages {
        let text = read(page);
        for word in words(&text) {
            let is_whole = NAMED.iter().any(|folder| word.starts_with(folder));
            let is_source = word.ends_with(".rs");
            let is_pattern = word.contains(['*', '{']) || MADE.contains(&word);
            if is_pattern || !is_whole && !is_source {
                continue;
            }
            seen += 1;
            let found = match is_whole {
                true => is_there(word),
                false => sources
                    .iter()
                    .any(|file| file.ends_with(&format!("/{word}"))),
            };
            if !found {
                missing.push(format!("{}: {word}", page.display()));
            }
        }
    }
    assert!(
        seen > 100,
        "{seen} names were found: the reading is at fault"
    );
    assert!(
        missing.is_empty(),
        "named and not there:\n{}",
        missing.join("\n")
    );
}
