//! `cargo xtask install`: the library, its headers, and what CMake and pkg-config
//! need to find them, below one folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::{EXIT_SETUP, workspace};

/// `OPENRTMP_ABI_VERSION`: part of the shared library's name on Linux and macOS.
const ABI: u32 = 1;

/// What the user asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) prefix: PathBuf,
    /// The development profile, which builds in less time.
    pub(crate) debug: bool,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Options, String> {
        let (mut prefix, mut debug) = (None, false);
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--prefix" => {
                    prefix = Some(arguments.next().ok_or("--prefix needs a folder")?.into());
                }
                "--debug" => debug = true,
                other => return Err(format!("unknown option `{other}`")),
            }
        }
        let prefix = prefix.ok_or("install needs --prefix DIR")?;
        Ok(Options { prefix, debug })
    }
}

pub(crate) fn run(options: &Options) -> ExitCode {
    match install(options) {
        Ok(()) => {
            println!("installed below {}", options.prefix.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(EXIT_SETUP)
        }
    }
}

/// Builds and copies.
pub(crate) fn install(options: &Options) -> io::Result<()> {
    let native = build(options.debug)?;
    let built = workspace::target().join(if options.debug { "debug" } else { "release" });
    let names = Names::of_this_machine();
    let prefix = &options.prefix;
    let lib = prefix.join("lib");
    let cmake = lib.join("cmake/openrtmp");
    let pkgconfig = lib.join("pkgconfig");
    let include = prefix.join("include");
    for folder in [&cmake, &pkgconfig, &include] {
        fs::create_dir_all(folder)?;
    }
    for header in ["openrtmp.h", "openrtmp.hpp"] {
        copy(
            &workspace::root().join("include").join(header),
            &include.join(header),
        )?;
    }
    copy(&built.join(names.archive), &lib.join(names.archive))?;
    let shared = prefix.join(&names.installed);
    if let Some(folder) = shared.parent() {
        fs::create_dir_all(folder)?;
    }
    copy(&built.join(names.shared), &shared)?;
    if let Some(link) = names.link {
        relink(&shared, &lib.join(link))?;
    }
    if let Some(implib) = names.implib {
        copy(&built.join(implib), &lib.join(implib))?;
    }

    let fill = |template: &str| {
        template
            .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
            .replace("@LIBS_PRIVATE@", &native)
            .replace("@LIBS_PRIVATE_CMAKE@", &native.replace(' ', ";"))
            .replace("@SHARED@", &names.installed)
            .replace("@STATIC@", names.archive)
            .replace("@IMPLIB@", names.implib.unwrap_or(""))
    };
    for (name, folder) in [
        ("openrtmp.pc", &pkgconfig),
        ("openrtmp-config.cmake", &cmake),
        ("openrtmp-config-version.cmake", &cmake),
    ] {
        let template = workspace::root().join(format!("bindings/cpp/{name}.in"));
        fs::write(folder.join(name), fill(&fs::read_to_string(template)?))?;
    }
    Ok(())
}

/// Builds the library; returns what a program that links it statically needs too,
/// as rustc says.
fn build(debug: bool) -> io::Result<String> {
    let mut command = workspace::cargo();
    command.args(["rustc", "--package", "openrtmp-capi", "--lib"]);
    if !debug {
        command.arg("--release");
    }
    command.args(["--", "--print", "native-static-libs"]);
    let output = command.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(io::Error::other(said.into_owned()));
    }
    native_libraries(&said)
        .ok_or_else(|| io::Error::other("rustc did not say what a static library needs"))
}

fn native_libraries(said: &str) -> Option<String> {
    said.lines()
        .find_map(|line| line.split_once("native-static-libs: "))
        .map(|(_, libraries)| libraries.trim().to_owned())
}

/// How libraries are called where this runs.
struct Names {
    archive: &'static str,
    shared: &'static str,
    /// Below the prefix.
    installed: String,
    link: Option<&'static str>,
    implib: Option<&'static str>,
}

impl Names {
    fn of_this_machine() -> Names {
        if cfg!(target_os = "macos") {
            Names {
                archive: "libopenrtmp.a",
                shared: "libopenrtmp.dylib",
                installed: format!("lib/libopenrtmp.{ABI}.dylib"),
                link: Some("libopenrtmp.dylib"),
                implib: None,
            }
        } else if cfg!(windows) {
            let gnu = cfg!(target_env = "gnu");
            Names {
                archive: if gnu { "libopenrtmp.a" } else { "openrtmp.lib" },
                shared: "openrtmp.dll",
                installed: "bin/openrtmp.dll".to_owned(),
                link: None,
                implib: Some(if gnu {
                    "libopenrtmp.dll.a"
                } else {
                    "openrtmp.dll.lib"
                }),
            }
        } else {
            Names {
                archive: "libopenrtmp.a",
                shared: "libopenrtmp.so",
                installed: format!("lib/libopenrtmp.so.{ABI}"),
                link: Some("libopenrtmp.so"),
                implib: None,
            }
        }
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)
        .map(drop)
        .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", from.display())))
}

#[cfg(unix)]
fn relink(library: &Path, link: &Path) -> io::Result<()> {
    match fs::remove_file(link) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let name = library.file_name().unwrap_or_default();
    std::os::unix::fs::symlink(name, link)
}

#[cfg(not(unix))]
fn relink(_: &Path, _: &Path) -> io::Result<()> {
    Ok(())
}

/// Builds the examples against an installation as their users would, with CMake and
/// with pkg-config, and starts what came out.
pub(crate) fn try_out(prefix: &Path, folder: &Path) -> Result<(), String> {
    let root = workspace::root();
    let build = folder.join("cmake");
    let path = |path: &Path| path.display().to_string();
    succeed(
        Command::new("cmake")
            .args(["-S", &path(&root.join("examples/cpp")), "-B", &path(&build)])
            .arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display())),
    )?;
    succeed(Command::new("cmake").args(["--build", &path(&build)]))?;
    for kind in ["shared", "static"] {
        for name in ["server", "c_server"] {
            start(&build.join(format!("{name}_{kind}")), None)?;
        }
    }

    // The linker prefers the shared library: a folder without it links statically.
    let alone = folder.join("static");
    let lib = prefix.join("lib");
    copy_tree(prefix, &alone, &|name| !name.contains(".so")).map_err(|e| e.to_string())?;
    for (prefix, kind) in [(prefix, "--shared"), (alone.as_path(), "--static")] {
        let flags = pkg_config(prefix, kind)?;
        let program = folder.join(format!("c_server{kind}"));
        let source = root.join("examples/c/server.c");
        succeed(
            Command::new("cc")
                .args(["-std=c99", &path(&source), "-o", &path(&program)])
                .args(&flags),
        )?;
        start(&program, Some(&lib))?;
    }
    Ok(())
}

fn pkg_config(prefix: &Path, kind: &str) -> Result<Vec<String>, String> {
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
    if kind == "--static" {
        command.arg("--static");
    }
    let output = command
        .args(["--cflags", "--libs", "openrtmp"])
        .output()
        .map_err(|e| format!("pkg-config: {e}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let flags = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(flags.split_whitespace().map(str::to_owned).collect())
}

/// Starts a server with nothing to read: it listens, and stops.
fn start(program: &Path, library_path: Option<&Path>) -> Result<(), String> {
    let mut command = Command::new(program);
    command.arg("127.0.0.1:0").stdin(Stdio::null());
    if let Some(path) = library_path {
        command.env("LD_LIBRARY_PATH", path);
    }
    succeed(&mut command)
}

/// Runs a program to its end; what it said if that is bad.
pub(crate) fn succeed(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|e| format!("{:?}: {e}", command.get_program()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

fn copy_tree(from: &Path, to: &Path, wanted: &dyn Fn(&str) -> bool) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target, wanted)?;
        } else if wanted(&entry.file_name().to_string_lossy()) {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rustc_says_is_found() {
        let said = "note: link against\n\nnote: native-static-libs: -lgcc_s -lc\n\nFinished";
        assert_eq!(native_libraries(said).as_deref(), Some("-lgcc_s -lc"));
        assert_eq!(native_libraries("Finished"), None);
    }

    #[test]
    fn a_prefix_is_demanded() {
        let parse = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|&w| w.to_owned()).collect();
            Options::parse(&words)
        };
        assert!(parse(&[]).is_err());
        assert!(parse(&["--prefix"]).is_err());
        assert!(parse(&["--prefix", "x", "--fast"]).is_err());
        let options = parse(&["--prefix", "x", "--debug"]).unwrap();
        assert_eq!((options.prefix, options.debug), (PathBuf::from("x"), true));
    }
}
