//! The C library as cargo builds it: for which systems, with which linker, and what
//! a program that links it statically needs beside it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::runner::Tally;
use crate::tools::{self, Tool};
use crate::{EXIT_SETUP, workspace};

/// A system the library is built for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    shared: Shared,
}

/// What links the shared library.
#[derive(Debug, PartialEq, Eq)]
enum Shared {
    /// The machine's own linker.
    Native,
    /// A program on the path, if this tool works.
    Program(&'static str, Tool),
    /// This program of an Android NDK, if there is one.
    Ndk(&'static str),
    /// Nothing here: why.
    Nothing(&'static str),
}

const APPLE: Shared = Shared::Nothing("it takes Apple's linker");

/// Its C parts are compiled by clang, with the headers of mingw-w64.
const ARM_WINDOWS: Shared =
    Shared::Nothing("Debian has no C library of Windows on ARM to link with");

/// Where mingw-w64 has its headers, which are those of every processor.
const WINDOWS_HEADERS: &str = "/usr/share/mingw-w64/include";

pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "x86_64-unknown-linux-gnu",
        shared: Shared::Native,
    },
    Target {
        name: "x86_64-unknown-linux-musl",
        shared: Shared::Nothing("programs with musl are static"),
    },
    Target {
        name: "aarch64-unknown-linux-gnu",
        shared: Shared::Program("aarch64-linux-gnu-gcc", Tool::Aarch64Gcc),
    },
    Target {
        name: "x86_64-pc-windows-gnu",
        shared: Shared::Program("x86_64-w64-mingw32-gcc", Tool::Mingw),
    },
    Target {
        name: "aarch64-pc-windows-gnullvm",
        shared: ARM_WINDOWS,
    },
    Target {
        name: "aarch64-linux-android",
        shared: Shared::Ndk("aarch64-linux-android24-clang"),
    },
    Target {
        name: "x86_64-linux-android",
        shared: Shared::Ndk("x86_64-linux-android24-clang"),
    },
    Target {
        name: "aarch64-apple-darwin",
        shared: APPLE,
    },
    Target {
        name: "aarch64-apple-ios",
        shared: APPLE,
    },
    Target {
        name: "aarch64-apple-ios-sim",
        shared: APPLE,
    },
];

/// The oldest of Apple's systems that the library is for, as the Swift package names them.
const OLDEST_APPLE: [(&str, &str); 2] = [
    ("IPHONEOS_DEPLOYMENT_TARGET", "16.0"),
    ("MACOSX_DEPLOYMENT_TARGET", "13.0"),
];

/// The other halves of Apple's fat libraries: for the processors of older Macs.
pub(crate) const APPLE_INTEL: [Target; 2] = [
    Target {
        name: "x86_64-apple-ios",
        shared: APPLE,
    },
    Target {
        name: "x86_64-apple-darwin",
        shared: APPLE,
    },
];

/// The target of this name.
pub(crate) fn target(name: &str) -> Result<&'static Target, String> {
    TARGETS.iter().find(|t| t.name == name).ok_or_else(|| {
        let names: Vec<&str> = TARGETS.iter().map(|t| t.name).collect();
        format!("no target `{name}`; there are {}", names.join(", "))
    })
}

/// How the library is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// For development: in less time.
    Dev,
    /// What is shipped, and what the size budget is about.
    Dist,
    /// The same for phones.
    Phone,
}

impl Profile {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Profile::Dev => "dev",
            Profile::Dist => "dist",
            Profile::Phone => "phone",
        }
    }

    pub(crate) fn folder(self) -> &'static str {
        match self {
            Profile::Dev => "debug",
            Profile::Dist => "dist",
            Profile::Phone => "phone",
        }
    }
}

/// A library that was built.
pub(crate) struct Built {
    /// Where the files are.
    pub(crate) folder: PathBuf,
    pub(crate) files: Files,
    pub(crate) linker: Linker,
    /// What a program that links it statically needs too, as rustc says.
    pub(crate) native_libraries: String,
}

/// Why something was not done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It cannot be had on this machine.
    Unavailable(String),
    Failed(String),
}

/// Tells how something went, and the exit code for that.
pub(crate) fn finish(outcome: Result<Tally, Refusal>) -> ExitCode {
    match outcome {
        Ok(tally) => {
            println!("{tally}");
            match tally.failed {
                0 => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            }
        }
        Err(Refusal::Unavailable(why)) => {
            eprintln!("error: {why}");
            ExitCode::from(EXIT_SETUP)
        }
        Err(Refusal::Failed(why)) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Builds the library for a system, `None` being this machine, with these features beside
/// those that it has by itself.
pub(crate) fn build(
    target: Option<&Target>,
    profile: Profile,
    features: &[&str],
) -> Result<Built, Refusal> {
    let (mut command, linker) = match target {
        None => {
            let mut command = workspace::cargo();
            command.arg("rustc");
            (command, Linker::Native)
        }
        Some(target) => cargo_for(target, "rustc")?,
    };
    let kinds = match linker {
        Linker::Native | Linker::Program(_) => "staticlib,cdylib",
        Linker::Nothing(_) | Linker::Missing(_) => "staticlib",
    };
    command.args(["--package", "openrtmp-capi", "--lib"]);
    command.args(["--profile", profile.name(), "--crate-type", kinds]);
    command.args(["--features", &features.join(",")]);
    command.args(["--", "--print", "native-static-libs"]);
    let said = output(&mut command).map_err(Refusal::Failed)?;
    let native_libraries = native_libraries(&said).ok_or_else(|| {
        Refusal::Failed("rustc did not say what a static library needs".to_owned())
    })?;
    let folder = match target {
        None => workspace::target(),
        Some(target) => workspace::target().join(target.name),
    };
    Ok(Built {
        folder: folder.join(profile.folder()),
        files: Files::of(System::of(target)),
        linker,
        native_libraries,
    })
}

/// What linked the shared library, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Linker {
    Native,
    Program(PathBuf),
    /// It is never built here.
    Nothing(&'static str),
    /// It would be, with what this machine lacks.
    Missing(&'static str),
}

/// One of cargo's commands, for a target.
pub(crate) fn cargo_for(target: &Target, command: &str) -> Result<(Command, Linker), Refusal> {
    let mut cargo = workspace::cargo();
    cargo.args([command, "--target", target.name]);
    // Nobody debugs these here.
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "0");
    if target.shared == APPLE {
        cargo.envs(OLDEST_APPLE);
    }
    match target.shared {
        APPLE if cfg!(target_os = "macos") => {}
        // TLS has parts in C and assembly, and these systems' compilers come with their
        // makers' kits.
        Shared::Ndk(_) => {
            cargo.arg("--no-default-features");
        }
        APPLE => {
            cargo.arg("--no-default-features");
            // Only the feature `oslog` has a part in C: it is looked at with a stand-in for
            // the one header of Apple's that it takes.
            use_clang(&mut cargo, target.name);
            cargo.env("SDKROOT", workspace::root().join("crates/xtask/apple"));
        }
        ARM_WINDOWS => {
            Tool::ArmWindows
                .try_out()
                .map_err(|why| Refusal::Unavailable(format!("clang does not work here: {why}")))?;
            use_clang(&mut cargo, target.name);
            let variable = target.name.replace('-', "_");
            let headers = format!("-isystem {WINDOWS_HEADERS}");
            cargo.env(format!("CFLAGS_{variable}"), headers);
        }
        // What those parts need of a C library is declared by any.
        Shared::Nothing(_) => {
            let variable = target.name.replace('-', "_");
            cargo.env(format!("CC_{variable}"), "cc");
        }
        Shared::Native | Shared::Program(..) => {}
    }
    provide_std(&mut cargo, target.name).map_err(Refusal::Unavailable)?;
    let linker = linker(target).map_err(Refusal::Unavailable)?;
    if let Linker::Program(path) = &linker {
        let variable = target.name.to_uppercase().replace('-', "_");
        cargo.env(format!("CARGO_TARGET_{variable}_LINKER"), path);
    }
    Ok((cargo, linker))
}

/// Parts in C are compiled by clang, which knows all systems.
pub(crate) fn use_clang(cargo: &mut Command, target: &str) {
    let variable = target.replace('-', "_");
    cargo.env(format!("CC_{variable}"), "clang");
    cargo.env(format!("AR_{variable}"), "llvm-ar");
}

/// Sees to it that a call of cargo's for a target has its standard library.
pub(crate) fn provide_std(cargo: &mut Command, target: &str) -> Result<(), String> {
    if let Std::Source = provide(target)? {
        build_std(cargo);
    }
    Ok(())
}

/// The same for what is to be small: built as the rest is, and without what finds the names of
/// a backtrace's functions, if the source is to be had.
pub(crate) fn provide_small_std(cargo: &mut Command, target: &str) -> Result<(), String> {
    if !has_source() {
        return provide_std(cargo, target);
    }
    build_std(cargo);
    cargo.arg("-Zbuild-std-features=");
    Ok(())
}

fn build_std(cargo: &mut Command) {
    // Stable cargo builds the standard library only when told to behave like
    // a nightly one. Compiler and source are of one version either way.
    cargo.env("RUSTC_BOOTSTRAP", "1");
    cargo.arg("-Zbuild-std=std,panic_unwind");
}

/// Where a target's standard library comes from.
enum Std {
    Installed,
    Source,
}

fn provide(name: &str) -> Result<Std, String> {
    let is_there = || has(&["target", "list", "--installed"], name);
    if is_there() || tools::may_install() && rustup(&["target", "add", name]).is_some() {
        return Ok(Std::Installed);
    }
    match has_source() {
        true => Ok(Std::Source),
        false => Err(format!(
            "neither `rustup target add {name}` nor `rustup component add rust-src` worked"
        )),
    }
}

/// Whether the source of the standard library is there, or could be had.
fn has_source() -> bool {
    let add = || rustup(&["component", "add", "rust-src"]).is_some();
    has(&["component", "list", "--installed"], "rust-src") || tools::may_install() && add()
}

fn has(list: &[&str], entry: &str) -> bool {
    rustup(list).is_some_and(|all| all.lines().any(|line| line.trim() == entry))
}

/// What rustup says; `None` if it fails.
fn rustup(arguments: &[&str]) -> Option<String> {
    let output = Command::new("rustup")
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(said)
}

fn linker(target: &Target) -> Result<Linker, String> {
    match target.shared {
        Shared::Native => Ok(Linker::Native),
        Shared::Nothing(why) => Ok(Linker::Nothing(why)),
        Shared::Program(name, tool) => match tool.try_out() {
            Ok(()) => Ok(Linker::Program(name.into())),
            Err(why) => Err(format!("{} does not work here: {why}", tool.name())),
        },
        Shared::Ndk(name) => {
            let linker = env::var_os("ANDROID_NDK_HOME").map(|ndk| ndk_program(&ndk, name));
            Ok(match linker.filter(|path| path.is_file()) {
                Some(path) => Linker::Program(path),
                None => Linker::Missing("ANDROID_NDK_HOME names no NDK"),
            })
        }
    }
}

/// A program of an NDK's.
pub(crate) fn ndk_program(ndk: impl AsRef<Path>, name: &str) -> PathBuf {
    let system = if cfg!(target_os = "macos") {
        "darwin-x86_64"
    } else {
        "linux-x86_64"
    };
    ndk.as_ref()
        .join("toolchains/llvm/prebuilt")
        .join(system)
        .join("bin")
        .join(name)
}

/// What a program said on standard error; all it said if it fails.
fn output(command: &mut Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{:?}: {e}", command.get_program()))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.success() {
        true => Ok(said),
        false => Err(said),
    }
}

fn native_libraries(said: &str) -> Option<String> {
    said.lines()
        .find_map(|line| line.split_once("native-static-libs: "))
        .map(|(_, libraries)| libraries.trim().to_owned())
}

/// Systems whose files are called differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    Unix,
    Android,
    Apple,
    WindowsGnu,
    WindowsMsvc,
}

impl System {
    fn of(target: Option<&Target>) -> System {
        match target {
            Some(target) if target.name.contains("android") => System::Android,
            Some(target) if target.name.contains("apple") => System::Apple,
            Some(target) if target.name.contains("windows") => System::WindowsGnu,
            Some(_) => System::Unix,
            None if cfg!(target_vendor = "apple") => System::Apple,
            None if cfg!(all(windows, target_env = "gnu")) => System::WindowsGnu,
            None if cfg!(windows) => System::WindowsMsvc,
            None => System::Unix,
        }
    }
}

/// `OPENRTMP_ABI_VERSION`: part of the shared library's name on Linux and macOS.
const ABI: u32 = 2;

/// How the library's files are called.
pub(crate) struct Files {
    pub(crate) archive: &'static str,
    pub(crate) shared: &'static str,
    /// The shared library below an installation's prefix.
    pub(crate) installed: String,
    /// A link to it, beside it.
    pub(crate) link: Option<&'static str>,
    pub(crate) implib: Option<&'static str>,
}

impl Files {
    fn of(system: System) -> Files {
        let unix = Files {
            archive: "libopenrtmp.a",
            shared: "libopenrtmp.so",
            installed: format!("lib/libopenrtmp.so.{ABI}"),
            link: Some("libopenrtmp.so"),
            implib: None,
        };
        let windows = Files {
            archive: "libopenrtmp.a",
            shared: "openrtmp.dll",
            installed: "bin/openrtmp.dll".to_owned(),
            link: None,
            implib: Some("libopenrtmp.dll.a"),
        };
        match system {
            System::Unix => unix,
            // Android loads by plain names only.
            System::Android => Files {
                installed: "lib/libopenrtmp.so".to_owned(),
                link: None,
                ..unix
            },
            System::Apple => Files {
                shared: "libopenrtmp.dylib",
                installed: format!("lib/libopenrtmp.{ABI}.dylib"),
                link: Some("libopenrtmp.dylib"),
                ..unix
            },
            System::WindowsGnu => windows,
            System::WindowsMsvc => Files {
                archive: "openrtmp.lib",
                implib: Some("openrtmp.dll.lib"),
                ..windows
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_target_is_refused_with_those_there_are() {
        let error = target("pdp11").unwrap_err();
        assert!(error.contains("aarch64-apple-ios"), "{error}");
    }

    #[test]
    fn what_rustc_says_is_found() {
        let said = "note: link against\n\nnote: native-static-libs: -lgcc_s -lc\n\nFinished";
        assert_eq!(native_libraries(said).as_deref(), Some("-lgcc_s -lc"));
        assert_eq!(native_libraries("Finished"), None);
    }

    #[test]
    fn files_are_called_as_their_system_has_it() {
        let installed = |name: &str| Files::of(System::of(target(name).ok())).installed;
        assert_eq!(
            installed("x86_64-unknown-linux-gnu"),
            "lib/libopenrtmp.so.2"
        );
        assert_eq!(installed("aarch64-linux-android"), "lib/libopenrtmp.so");
        assert_eq!(installed("aarch64-apple-ios"), "lib/libopenrtmp.2.dylib");
        assert_eq!(installed("x86_64-pc-windows-gnu"), "bin/openrtmp.dll");
    }
}
