//! Wrong arguments for every function of the header: the calls are made out of its
//! declarations, so that a new function is tested by being there.
#![cfg(target_os = "linux")]

mod support;

use std::fmt::Write;
use std::fs;
use std::process::Command;

use support::{SANITIZE, build, crate_dir, include_dir, run};

/// What stands before the name of a pointer that may be NULL, and of one that must not.
const NULLABLE: &str = "OPENRTMP_NULLABLE ";
const NONNULL: &str = "OPENRTMP_NONNULL ";

struct Function {
    result: String,
    name: String,
    parameters: Vec<Parameter>,
}

struct Parameter {
    /// The whole declaration, without marks.
    text: String,
    name: String,
    may_be_null: bool,
}

impl Parameter {
    fn new(text: &str) -> Parameter {
        let words = |text: &str| -> Vec<String> {
            let split = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let words = split.filter(|word| !word.is_empty());
            words.map(ToOwned::to_owned).collect()
        };
        let marked = text;
        let text = marked.replace(NULLABLE, "").replace(NONNULL, "");
        let name = match text.split_once("(*") {
            Some((_, rest)) => words(rest)[0].clone(),
            None => words(&text).pop().unwrap(),
        };
        Parameter {
            may_be_null: marked.contains(&format!("{NULLABLE}{name}")),
            text,
            name,
        }
    }

    fn is_text(&self) -> bool {
        self.text.starts_with("openrtmp_str ")
    }

    fn is_pointer(&self) -> bool {
        self.text.contains('*') || self.text.starts_with("openrtmp_visit_text ")
    }

    /// NULL asks for nothing to be written, or stands for nothing at all: with a length
    /// that is not 0 it is wrong.
    fn may_be_null_here(&self) -> bool {
        self.may_be_null && !["buffer", "body", "networks"].contains(&self.name.as_str())
    }

    fn is_id(&self) -> bool {
        !self.is_pointer() && self.text.starts_with("uint64_t ") && self.name.ends_with("_id")
    }

    /// What a right call gives: a variable of the program, mostly.
    fn right(&self, function: &str) -> String {
        let text = self.text.as_str();
        let named = |name: &str| name.to_owned();
        match self.name.as_str() {
            "user_data" => named("NULL"),
            "buffer" if text.contains("uint8_t ") => named("(uint8_t *) buffer"),
            "buffer" | "body" => self.name.clone(),
            "codec" => named("OPENRTMP_FOURCC_AAC"),
            "length_size" => named("4"),
            "secret" => named("S(\"0123456789abcdef\")"),
            "expires" => named("4102444800"),
            "address" if function.contains("token") => named("S(\"\")"),
            "out_format" => named("&format"),
            "capacity" => named("sizeof buffer"),
            "body_length" => named("sizeof body"),
            "out_length" => named("&length"),
            "callbacks" if function.starts_with("openrtmp_tap") => named("&tap_callbacks"),
            "callbacks" if function.contains("log_set") => named("&log_callbacks"),
            "callbacks" => named("&callbacks"),
            "profile" | "format" | "index" | "grace_ms" | "timestamp_ms" | "window_ms"
            | "background" | "timeout_ms" | "form" => named("0"),
            "kind" if function.starts_with("openrtmp_key") => named("OPENRTMP_KEY_PLAY"),
            "kind" => named("OPENRTMP_MEDIA_AUDIO"),
            "networks" => named("&network"),
            "count" => named("1"),
            "remaining_ms" | "away_ms" | "within_ms" | "low_power" | "device_idle" | "thermal"
            | "level" | "max_level" | "active" | "flags" => named("0"),
            "permission" | "state" if !self.is_pointer() => named("1"),
            "path" if function.starts_with("openrtmp_config") => named("S(\"workers\")"),
            "to" => named("S(\"rtmp://host\")"),
            "visit" => {
                let info = text.find("struct openrtmp_").map(|at| &text[at + 16..]);
                let info = info.and_then(|rest| rest.split(' ').next());
                format!("visit_{}", info.unwrap_or("text"))
            }
            _ if self.is_text() => named("S(\"live/cam\")"),
            _ if self.is_id() => named("12345"),
            _ if text.contains("uint32_t *") => named("&number"),
            _ if text.contains("openrtmp_metrics ") => named("&metrics"),
            _ if text.contains("openrtmp_health ") => named("&health"),
            _ if text.contains("openrtmp_summary ") => named("&summary"),
            _ if text.contains("openrtmp_recording ") => named("&recording"),
            _ if text.contains("uint64_t *") => named("&id"),
            _ if text.contains("ptr_t *") || text.contains("ptrdiff_t *") => named("&descriptor"),
            _ if text.contains("openrtmp_relay ") => named("&relay"),
            _ if text.contains("openrtmp_tap_item ") => named("&item"),
            _ if text.contains("openrtmp_thread_hooks_table ") => named("&hooks"),
            _ if text.contains("openrtmp_track ") => named("&track"),
            _ if text.contains("openrtmp_suspend_report ") => named("&suspended"),
            _ if text.contains("openrtmp_resume_report ") => named("&resumed"),
            _ if text.contains("openrtmp_power_stats ") => named("&power"),
            _ if text.contains("openrtmp_http_stats ") => named("&http_stats"),
            _ if text.contains("openrtmp_media ") => named("&media"),
            name if text.contains("**") => format!("&{name}"),
            name if self.is_pointer() => named(name),
            name => panic!("{function}: what is a right {name}?"),
        }
    }
}

/// Declarations of the header, without comments, on one line each.
fn functions() -> Vec<Function> {
    let header = fs::read_to_string(include_dir().join("openrtmp.h")).unwrap();
    let (_, declarations) = header.rsplit_once("extern \"C\" {").unwrap();
    let (declarations, _) = declarations.split_once("#ifdef __cplusplus").unwrap();
    let (_, declarations) = declarations.split_once("__cplusplus\n").unwrap();
    let code = declarations.lines().filter(|line| !line.starts_with("//"));
    let code = code.flat_map(str::split_whitespace);
    let code = code.collect::<Vec<_>>().join(" ");
    code.split(';')
        .map(str::trim)
        .filter(|declaration| !declaration.is_empty())
        .map(|declaration| {
            let (head, rest) = declaration.split_once('(').unwrap();
            let at = head.rfind("openrtmp_").unwrap();
            let parameters = split(rest.strip_suffix(')').unwrap());
            Function {
                result: head[..at].trim().to_owned(),
                name: head[at..].to_owned(),
                parameters: parameters.iter().map(|text| Parameter::new(text)).collect(),
            }
        })
        .collect()
}

/// At the commas that stand in no brackets.
fn split(parameters: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in parameters.chars() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        match c {
            ',' if depth == 0 => parts.push(String::new()),
            _ => parts.last_mut().unwrap().push(c),
        }
    }
    let parts = parts.into_iter().map(|part| part.trim().to_owned());
    parts.filter(|part| part != "void").collect()
}

/// A call with one argument replaced.
fn call(function: &Function, place: usize, argument: &str) -> String {
    let arguments = function.parameters.iter().enumerate().map(|(index, p)| {
        if index == place {
            argument.to_owned()
        } else {
            p.right(&function.name)
        }
    });
    let arguments: Vec<String> = arguments.collect();
    format!("{}({})", function.name, arguments.join(", "))
}

#[test]
fn every_wrong_argument_of_every_function_is_refused() {
    let functions = functions();
    assert!(functions.len() > 45, "{}", functions.len());
    let mut cases = String::new();
    let (mut nulls, mut ids) = (0, 0);
    let mut case = |call: &str, code: &str, word: &str| {
        writeln!(
            cases,
            "    CASE({call}, OPENRTMP_ERROR_{code}, \"{word}\");"
        )
        .unwrap();
    };
    for function in functions.iter().filter(|f| f.result == "int32_t") {
        for (place, parameter) in function.parameters.iter().enumerate() {
            if parameter.is_text() {
                case(
                    &call(function, place, "null_text"),
                    "INVALID_ARGUMENT",
                    "NULL",
                );
                case(&call(function, place, "bad_text"), "INVALID_UTF8", "UTF-8");
                nulls += 1;
            } else if parameter.is_id() {
                for id in ["0", "77", "UINT64_MAX"] {
                    case(&call(function, place, id), "NOT_FOUND", "no ");
                }
                ids += 1;
            } else if parameter.is_pointer() && !parameter.may_be_null_here() {
                case(&call(function, place, "NULL"), "INVALID_ARGUMENT", "NULL");
                nulls += 1;
            }
        }
    }
    for function in &functions {
        let name = &function.name;
        match function.result.as_str() {
            "void" => writeln!(cases, "    {name}(NULL);").unwrap(),
            "int32_t" if name.ends_with("_free") => {
                writeln!(cases, "    FINE({name}(NULL) == OPENRTMP_OK);").unwrap();
            }
            _ if name == "openrtmp_frame_retain" => {
                writeln!(cases, "    FINE({name}(NULL) == NULL);").unwrap();
            }
            _ => {}
        }
    }
    assert!(nulls > 70, "{nulls}");
    let of_ids = "disconnect, accept, accept_as, pass, fail, reject, set_write_coalesce, \
                  mark_secret, stream_name, end_stream_id, relay_remove";
    assert_eq!(ids, 11, "{of_ids}");

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cases.inc"), cases).unwrap();
    let program = folder.path().join("arguments");
    let include = format!("-I{}", folder.path().display());
    let mut flags = SANITIZE.to_vec();
    // It is done on purpose.
    flags.extend([&*include, "-Wno-nonnull"]);
    let source = crate_dir().join("tests/programs/arguments.c");
    build(&source, &program, &flags);
    run(Command::new("timeout").arg("120").arg(program));
}
