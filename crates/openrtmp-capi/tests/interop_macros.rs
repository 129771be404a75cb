//! The headers behind other people's macros, and with compilers that warn of everything.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use support::{crate_dir, include_dir};

const IN_C: &str = "#include <openrtmp.h>
int main(void) {
    openrtmp_callbacks callbacks = OPENRTMP_CALLBACKS_INIT;
    openrtmp_media media = OPENRTMP_MEDIA_INIT;
    openrtmp_tap_item item = OPENRTMP_TAP_ITEM_INIT;
    openrtmp_thread_hooks_table hooks = OPENRTMP_THREAD_HOOKS_INIT;
    openrtmp_summary summary = OPENRTMP_SUMMARY_INIT;
    return (int) (callbacks.struct_size + media.struct_size + item.struct_size
                  + hooks.struct_size + summary.struct_size + OPENRTMP_STR(\"x\").length);
}
";

/// Uses what a template would hide from the compiler.
const IN_CPP: &str = "#include <openrtmp.hpp>
int main() {
    openrtmp::Config config;
    (void) config.set(\"workers\", \"1\");
    openrtmp::Server server(config);
    openrtmp::Tap tap(server, \"live/cam\");
    openrtmp::Events events(server);
    openrtmp::Publisher publisher(server, \"live/cam\");
    (void) openrtmp::set_log(OPENRTMP_LOG_INFO, [](const openrtmp_log_record &) {});
    return server.start() ? 0 : 1;
}
";

/// The standard headers, which do not like such macros either.
const STANDARD: &str = "#include <stdint.h>
#include <stddef.h>
#include <string.h>
#ifdef __cplusplus
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#endif
";

#[derive(Clone, Copy)]
enum Language {
    C,
    Cpp,
}

fn compile(language: Language, flags: &[&str], text: &str) -> Output {
    let (variable, default) = match language {
        Language::C => ("CC", "cc"),
        Language::Cpp => ("CXX", "c++"),
    };
    let compiler = std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    compile_with(&compiler, language, flags, text)
}

fn compile_with(compiler: &str, language: Language, flags: &[&str], text: &str) -> Output {
    let (name, standard) = match language {
        Language::C => ("program.c", "-std=c99"),
        Language::Cpp => ("program.cpp", "-std=c++17"),
    };
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join(name);
    fs::write(&source, text).unwrap();
    let output = Command::new(compiler)
        .args([standard, "-fsyntax-only", "-I"])
        .arg(include_dir())
        .args(flags)
        .arg(&source)
        .output();
    output.unwrap()
}

#[track_caller]
fn compiles(what: &str, language: Language, flags: &[&str], text: &str) {
    let output = compile(language, flags, text);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {said}");
}

#[test]
fn the_headers_are_read_behind_macros_of_all_kinds() {
    let folder = crate_dir().join("tests/programs/macros");
    let mut lists = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let macros = fs::read_to_string(&path).unwrap();
        let name = path.display().to_string();
        compiles(
            &name,
            Language::C,
            &[],
            &format!("{STANDARD}{macros}{IN_C}"),
        );
        compiles(
            &name,
            Language::Cpp,
            &[],
            &format!("{STANDARD}{macros}{IN_CPP}"),
        );
        lists += 1;
    }
    assert_eq!(lists, 5);
}

#[test]
fn the_headers_are_read_before_and_behind_those_of_x11() {
    let xlib = "#include <X11/Xlib.h>\n#include <X11/Xutil.h>\n";
    let is_there = Path::new("/usr/include/X11/Xutil.h").exists();
    if !is_there {
        return eprintln!("left out: no <X11/Xlib.h> here, see macros/x11.h");
    }
    for (language, text) in [(Language::C, IN_C), (Language::Cpp, IN_CPP)] {
        compiles("behind", language, &[], &format!("{xlib}{text}"));
        let header = text.lines().next().unwrap();
        compiles("before", language, &[], &format!("{header}\n{xlib}{text}"));
    }
}

#[test]
fn no_compiler_has_anything_to_say() {
    let strict: [&[&str]; 4] = [
        &["-Wall", "-Wextra", "-Werror", "-pedantic"],
        &["-Werror", "-Wconversion", "-Wshadow"],
        &["-Werror", "-Wundef"],
        &["-Werror", "-Wc++-compat", "-Wstrict-prototypes"],
    ];
    for flags in strict {
        compiles("in C", Language::C, flags, IN_C);
    }
    for flags in [strict[0], strict[1], &["-fno-rtti", "-Werror"]] {
        compiles("in C++", Language::Cpp, flags, IN_CPP);
    }
}

/// What a compiler that knows of NULL says of a wrong call, and of no other.
#[test]
fn a_compiler_that_knows_of_null_is_told_where_it_may_be() {
    let clang = std::env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    if Command::new(&clang).arg("--version").output().is_err() {
        return eprintln!("left out: no clang here");
    }
    let strict = ["-Wall", "-Wextra", "-Werror", "-pedantic"];
    for (language, text) in [(Language::C, IN_C), (Language::Cpp, IN_CPP)] {
        let output = compile_with(&clang, language, &strict, text);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
    let calls =
        |calls: &str| format!("#include <openrtmp.h>\nint main(void) {{ {calls} return 0; }}\n");
    let fine = calls("openrtmp_config_free(NULL); openrtmp_log_set(NULL);");
    let output = compile_with(&clang, Language::C, &strict, &fine);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for wrong in [
        "openrtmp_config_validate(NULL);",
        "openrtmp_config_new(0, NULL);",
    ] {
        let output = compile_with(&clang, Language::C, &strict, &calls(wrong));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("-Wnonnull"), "{wrong} {said}");
    }
}
