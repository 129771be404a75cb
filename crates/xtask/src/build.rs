//! `cargo xtask build`: the C library for other systems, from a Linux box.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::install::succeed;
use crate::workspace;

/// A system the library is built for.
struct Target {
    name: &'static str,
    /// The linker of a shared library; `None`: the static one only.
    linker: Linker,
    strip: &'static str,
    shared: &'static str,
}

enum Linker {
    /// The machine's own.
    Native,
    /// A program on the path.
    Program(&'static str),
    /// This program of an Android NDK, if there is one.
    Ndk(&'static str),
    /// Apple's, which is not to be had elsewhere.
    None,
}

const TARGETS: &[Target] = &[
    Target {
        name: "x86_64-unknown-linux-gnu",
        linker: Linker::Native,
        strip: "strip",
        shared: "libopenrtmp.so",
    },
    Target {
        name: "aarch64-unknown-linux-gnu",
        linker: Linker::Program("aarch64-linux-gnu-gcc"),
        strip: "aarch64-linux-gnu-strip",
        shared: "libopenrtmp.so",
    },
    Target {
        name: "x86_64-pc-windows-gnu",
        linker: Linker::Program("x86_64-w64-mingw32-gcc"),
        strip: "x86_64-w64-mingw32-strip",
        shared: "openrtmp.dll",
    },
    Target {
        name: "aarch64-linux-android",
        linker: Linker::Ndk("aarch64-linux-android21-clang"),
        strip: "llvm-strip",
        shared: "libopenrtmp.so",
    },
    Target {
        name: "x86_64-linux-android",
        linker: Linker::Ndk("x86_64-linux-android21-clang"),
        strip: "llvm-strip",
        shared: "libopenrtmp.so",
    },
    Target {
        name: "aarch64-apple-darwin",
        linker: Linker::None,
        strip: "",
        shared: "",
    },
    Target {
        name: "aarch64-apple-ios",
        linker: Linker::None,
        strip: "",
        shared: "",
    },
    Target {
        name: "aarch64-apple-ios-sim",
        linker: Linker::None,
        strip: "",
        shared: "",
    },
];

/// What the user asked for.
pub(crate) struct Options {
    targets: Vec<&'static Target>,
    check: bool,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options {
            targets: Vec::new(),
            check: false,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--all" => options.targets = TARGETS.iter().collect(),
                "--check" => options.check = true,
                "--target" => {
                    let name = arguments.next().ok_or("--target needs a name")?;
                    let known = TARGETS.iter().find(|t| t.name == name);
                    options.targets.push(known.ok_or_else(unknown(name))?);
                }
                other => return Err(format!("unknown option `{other}`")),
            }
        }
        match options.targets.is_empty() {
            true => Err("build needs --target T or --all".to_owned()),
            false => Ok(options),
        }
    }
}

fn unknown(name: &str) -> impl Fn() -> String {
    move || {
        let names: Vec<&str> = TARGETS.iter().map(|t| t.name).collect();
        format!("no target `{name}`; there are {}", names.join(", "))
    }
}

/// What became of one target.
enum Outcome {
    Done(String),
    /// It cannot be had on this machine: why.
    Skipped(String),
    Failed(String),
}

pub(crate) fn run(options: &Options) -> ExitCode {
    let mut failed = false;
    let mut lines = Vec::new();
    for target in &options.targets {
        println!("=== {}", target.name);
        let outcome = match options.check {
            true => check(target),
            false => build(target),
        };
        lines.push(match outcome {
            Outcome::Done(what) => format!("{:<28} {what}", target.name),
            Outcome::Skipped(why) => format!("{:<28} SKIPPED: {why}", target.name),
            Outcome::Failed(why) => {
                failed = true;
                format!("{:<28} FAILED: {why}", target.name)
            }
        });
    }
    println!("\n{}", lines.join("\n"));
    match failed {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

/// Lints the library's crates for a target.
fn check(target: &Target) -> Outcome {
    if let Err(why) = provide(target) {
        return Outcome::Skipped(why);
    }
    let mut command = workspace::cargo();
    command
        .args(["clippy", "--target", target.name])
        .args(["-p", "openrtmp-protocol", "-p", "openrtmp-core"])
        .args(["-p", "openrtmp-capi", "--", "-D", "warnings"]);
    match succeed(&mut command) {
        Ok(()) => Outcome::Done("clippy is content".to_owned()),
        Err(why) => Outcome::Failed(why),
    }
}

fn build(target: &Target) -> Outcome {
    if let Err(why) = provide(target) {
        return Outcome::Skipped(why);
    }
    let linker = match linker(target) {
        Ok(linker) => linker,
        Err(why) => return Outcome::Skipped(why),
    };
    let shared = linker.is_some() || matches!(target.linker, Linker::Native);
    let kinds = if shared {
        "staticlib,cdylib"
    } else {
        "staticlib"
    };
    let mut command = workspace::cargo();
    command
        .args(["rustc", "--release", "--package", "openrtmp-capi", "--lib"])
        .args(["--target", target.name, "--crate-type", kinds]);
    if let Some(linker) = &linker {
        let variable = target.name.to_uppercase().replace('-', "_");
        command.env(format!("CARGO_TARGET_{variable}_LINKER"), linker);
    }
    if let Err(why) = succeed(&mut command) {
        return Outcome::Failed(why);
    }
    let folder = workspace::target().join(target.name).join("release");
    let archive = folder.join("libopenrtmp.a");
    let mut said = format!("static {}", mebibytes(size(&archive)));
    if !shared {
        let why = match target.linker {
            Linker::Ndk(_) => "no shared library: ANDROID_NDK_HOME names no NDK",
            _ => "no shared library: it takes Apple's linker",
        };
        return Outcome::Done(format!("{said}; {why}"));
    }
    match stripped(
        &folder.join(target.shared),
        &strip(target, linker.as_deref()),
    ) {
        Ok(bytes) => {
            said.push_str(&format!(", shared {} stripped", mebibytes(bytes)));
            match budget(target.name) {
                Some(most) if bytes > most => {
                    Outcome::Failed(format!("{said}, over its budget of {}", mebibytes(most)))
                }
                Some(most) => Outcome::Done(format!("{said} of {}", mebibytes(most))),
                None => Outcome::Done(said),
            }
        }
        Err(why) => Outcome::Failed(why),
    }
}

/// Gets Rust's standard library for a target.
fn provide(target: &Target) -> Result<(), String> {
    let added = Command::new("rustup")
        .args(["target", "add", target.name])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match added {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!("`rustup target add {}` failed", target.name)),
    }
}

fn linker(target: &Target) -> Result<Option<PathBuf>, String> {
    match target.linker {
        Linker::Native | Linker::None => Ok(None),
        Linker::Program(name) => match Command::new(name).arg("--version").output() {
            Ok(output) if output.status.success() => Ok(Some(name.into())),
            _ => Err(format!("{name} is not installed")),
        },
        Linker::Ndk(name) => Ok(env::var_os("ANDROID_NDK_HOME")
            .map(|ndk| {
                Path::new(&ndk)
                    .join("toolchains/llvm/prebuilt/linux-x86_64/bin")
                    .join(name)
            })
            .filter(|linker| linker.is_file())),
    }
}

/// Beside the linker, where that is named by its folder.
fn strip(target: &Target, linker: Option<&Path>) -> PathBuf {
    match linker.and_then(Path::parent) {
        Some(folder) => folder.join(target.strip),
        None => target.strip.into(),
    }
}

fn stripped(library: &Path, strip: &Path) -> Result<u64, String> {
    let copy = library.with_extension("stripped");
    succeed(Command::new(strip).arg("-o").arg(&copy).arg(library))?;
    Ok(size(&copy))
}

fn size(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |m| m.len())
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.2} MiB", bytes as f64 / f64::from(1 << 20))
}

/// What a target's shared library may have.
fn budget(target: &str) -> Option<u64> {
    let file = workspace::root().join("crates/openrtmp-capi/size-budget.txt");
    allowed(&fs::read_to_string(file).ok()?, target)
}

fn allowed(file: &str, target: &str) -> Option<u64> {
    file.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [name, "shared", bytes] if name == target => bytes.parse().ok(),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_found_by_target() {
        let file = "# shared\na-b shared 100\nc-d shared 200\n";
        assert_eq!(allowed(file, "c-d"), Some(200));
        assert_eq!(allowed(file, "e-f"), None);
    }

    #[test]
    fn an_unknown_target_is_refused_with_those_there_are() {
        let words = ["--target", "pdp11"].map(str::to_owned);
        let error = Options::parse(&words).err().unwrap();
        assert!(error.contains("aarch64-apple-ios"), "{error}");
    }
}
