//! Marks in the header for pointers that may be NULL.

use std::collections::BTreeMap;

/// The mark.
pub(crate) const MARK: &str = "OPENRTMP_NULLABLE";

/// Pointers that may be NULL wherever they stand.
const EVERYWHERE: [&str; 2] = ["user_data", "out_length"];

/// `line_length` of cbindgen.toml.
const WIDTH: usize = 90;

/// What ends the header, before which compilers are told that the marks end.
const GUARD: &str = "#endif  /* OPENRTMP_H */";

const END: &str = "#if defined(__clang__)
#if __has_feature(nullability)
#pragma clang assume_nonnull end
#pragma clang diagnostic pop
#endif
#endif

";

/// The header with its marks. `list` says where they are: a struct or a function, a colon,
/// and names.
///
/// # Panics
/// If the list names what is not there.
pub(crate) fn mark(header: &str, list: &str) -> String {
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    let mut wanted: BTreeMap<&str, Vec<&str>> = lines
        .map(|line| line.split_once(": ").expect("a name, a colon, names"))
        .map(|(place, names)| (place, names.split(' ').collect()))
        .collect();
    let (mut place, mut marked) = (String::new(), String::new());
    // How far marks have moved the parameters of the declaration that goes on.
    let mut moved = 0;
    for line in header.lines() {
        if line.trim_start().starts_with("//") {
            marked += line;
            marked.push('\n');
            continue;
        }
        if let Some(name) = declared(line) {
            place = name.to_owned();
        }
        let plain = line;
        let mut line = " ".repeat(moved) + plain;
        for name in EVERYWHERE {
            line = marked_at(&line, name).unwrap_or(line);
        }
        // Compilers ask it of pointers to pointers, one by one.
        line = line.replace("**out_", &format!("*{MARK} *OPENRTMP_NONNULL out_"));
        if let Some(names) = wanted.get_mut(place.as_str()) {
            names.retain(|&name| {
                let found = match name {
                    "return" => marked_at(&line, &place),
                    name => marked_at(&line, name),
                };
                found.map(|marked| line = marked).is_none()
            });
        }
        if line.ends_with(',') && moved == 0 {
            let places = opening(&line).zip(opening(plain));
            moved = places.map_or(0, |(now, before)| now - before);
        } else if line.ends_with(';') {
            moved = 0;
        }
        marked += &wrapped(&line);
        marked.push('\n');
    }
    wanted.retain(|_, names| !names.is_empty());
    assert!(wanted.is_empty(), "not in the header: {wanted:?}");
    marked.replace(GUARD, &format!("{END}{GUARD}"))
}

/// Where the parameters of a function begin, or of a pointer to one.
fn opening(line: &str) -> Option<usize> {
    let pointed = line.find(")(").map(|at| at + 2);
    pointed.or_else(|| line.find('(').map(|at| at + 1))
}

/// A declaration that the marks have made long: one parameter a line, as the generator
/// writes them.
fn wrapped(line: &str) -> String {
    match opening(line).filter(|_| line.ends_with(';')) {
        Some(at) if line.len() > WIDTH => {
            let separator = format!(",\n{}", " ".repeat(at));
            let parameters: Vec<&str> = line[at..].split(", ").collect();
            line[..at].to_owned() + &parameters.join(&separator)
        }
        _ => line.to_owned(),
    }
}

/// The struct or function whose declaration begins with this line.
fn declared(line: &str) -> Option<&str> {
    if let Some(rest) = line.strip_prefix("typedef struct ") {
        return rest.split(' ').next();
    }
    if line.starts_with([' ', '#', '}']) || line.starts_with("typedef") {
        return None;
    }
    let head = &line[..line.find('(')?];
    Some(&head[head.rfind("openrtmp_")?..])
}

/// The line with the mark before the declarator of this name; `None` if it declares no
/// pointer so named.
fn marked_at(line: &str, name: &str) -> Option<String> {
    let mut found = None;
    for (at, _) in line.match_indices(name) {
        let (before, after) = line.split_at(at);
        let ends = after[name.len()..].starts_with([',', ')', ';', '(']);
        if ends && (before.ends_with('*') || before.ends_with("openrtmp_visit_text ")) {
            found = Some(at);
        }
    }
    let (before, after) = line.split_at(found?);
    Some(format!("{before}{MARK} {after}"))
}
