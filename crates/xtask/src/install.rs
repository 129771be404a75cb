//! `cargo xtask install`: the library, its headers, and what CMake and pkg-config
//! need to find them, below one folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::library::{self, Linker, Profile, Refusal, Target};
use crate::{EXIT_SETUP, workspace};

/// What ThreadSanitizer is told of the library.
const SUPPRESSIONS: &str = "tsan.supp";

/// What the user asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) prefix: PathBuf,
    pub(crate) profile: Profile,
    /// The system it is for, if not this one.
    pub(crate) target: Option<&'static Target>,
    /// With streams over HTTP.
    pub(crate) live: bool,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Options, String> {
        let (mut prefix, mut profile, mut target) = (None, Profile::Dist, None);
        let mut live = false;
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--prefix" => {
                    prefix = Some(arguments.next().ok_or("--prefix needs a folder")?.into());
                }
                "--target" => {
                    let name = arguments.next().ok_or("--target needs a name")?;
                    target = Some(library::target(name)?);
                }
                "--debug" => profile = Profile::Dev,
                "--live" => live = true,
                other => return Err(format!("unknown option `{other}`")),
            }
        }
        Ok(Options {
            prefix: prefix.ok_or("install needs --prefix DIR")?,
            profile,
            target,
            live,
        })
    }
}

pub(crate) fn run(options: &Options) -> ExitCode {
    match install(options) {
        Ok(()) => {
            println!("installed below {}", options.prefix.display());
            ExitCode::SUCCESS
        }
        Err(Refusal::Unavailable(why) | Refusal::Failed(why)) => {
            eprintln!("error: {why}");
            ExitCode::from(EXIT_SETUP)
        }
    }
}

fn features(live: bool) -> &'static [&'static str] {
    if live { &["live"] } else { &[] }
}

/// Builds and copies.
pub(crate) fn install(options: &Options) -> Result<(), Refusal> {
    let built = library::build(options.target, options.profile, features(options.live))?;
    place(&built, &options.prefix).map_err(|e| Refusal::Failed(e.to_string()))
}

fn place(built: &library::Built, prefix: &Path) -> io::Result<()> {
    let (files, native) = (&built.files, &built.native_libraries);
    let lib = prefix.join("lib");
    let cmake = lib.join("cmake/openrtmp");
    let pkgconfig = lib.join("pkgconfig");
    let include = prefix.join("include");
    let share = prefix.join("share/openrtmp");
    for folder in [&cmake, &pkgconfig, &include, &share] {
        fs::create_dir_all(folder)?;
    }
    let suppressions = workspace::root().join("bindings").join(SUPPRESSIONS);
    copy(&suppressions, &share.join(SUPPRESSIONS))?;
    for header in ["openrtmp.h", "openrtmp.hpp"] {
        let source = workspace::root().join("include").join(header);
        copy(&source, &include.join(header))?;
    }
    copy(&built.folder.join(files.archive), &lib.join(files.archive))?;
    if let Linker::Native | Linker::Program(_) = built.linker {
        let shared = prefix.join(&files.installed);
        if let Some(folder) = shared.parent() {
            fs::create_dir_all(folder)?;
        }
        copy(&built.folder.join(files.shared), &shared)?;
        if let Some(link) = files.link {
            relink(&shared, &lib.join(link))?;
        }
        if let Some(implib) = files.implib {
            copy(&built.folder.join(implib), &lib.join(implib))?;
        }
    }

    let fill = |template: &str| {
        template
            .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
            .replace("@LIBS_PRIVATE@", native)
            .replace("@LIBS_PRIVATE_CMAKE@", &cmake_list(native))
            .replace("@SHARED@", &files.installed)
            .replace("@STATIC@", files.archive)
            .replace("@IMPLIB@", files.implib.unwrap_or(""))
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

/// Linker options as CMake lists them. It drops what it has seen before, so that an
/// Apple framework must be one entry and not two.
fn cmake_list(options: &str) -> String {
    let mut list = options.split_whitespace().collect::<Vec<_>>().join(";");
    list = list.replace("-framework;", "-framework ");
    list
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

    for kind in [Kind::Shared, Kind::Static] {
        let program = folder.join(format!("c_server_{kind:?}"));
        compile("cc", prefix, kind, folder, &program)?;
        start(&program, Some(&prefix.join("lib")))?;
    }
    Ok(())
}

/// How a program links the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Shared,
    Static,
}

/// Builds the C example with what pkg-config says of an installation, in a shell, as
/// its manual has it. `folder` is for what this takes.
pub(crate) fn compile(
    cc: &str,
    prefix: &Path,
    kind: Kind,
    folder: &Path,
    program: &Path,
) -> Result<(), String> {
    const SCRIPT: &str = r#"
        flags=$(pkg-config $KIND --cflags --libs openrtmp) || exit
        eval "set -- \"\$@\" $flags"
        exec "$@""#;
    let mut command = Command::new("sh");
    let prefix = match kind {
        Kind::Shared => prefix.to_owned(),
        Kind::Static => {
            command.env("KIND", "--static");
            // The linker prefers the shared library: a folder without it.
            let alone = folder.join("static");
            let wanted = |name: &str| !name.contains(".so") && !name.contains(".dll");
            copy_tree(prefix, &alone, &wanted).map_err(|e| e.to_string())?;
            alone
        }
    };
    command
        .env("PKG_CONFIG_LIBDIR", prefix.join("lib/pkgconfig"))
        .args(["-c", SCRIPT, "sh", cc, "-std=c99", "-Wall", "-Werror"])
        .arg(workspace::root().join("examples/c/server.c"))
        .arg("-o")
        .arg(program);
    succeed(&mut command)
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
    fn a_framework_is_one_entry_of_a_cmake_list() {
        let list = cmake_list("-lc -framework Security -framework Foundation");
        assert_eq!(list, "-lc;-framework Security;-framework Foundation");
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
        assert!(parse(&["--prefix", "x", "--target", "pdp11"]).is_err());
        let options = parse(&["--prefix", "x", "--debug"]).unwrap();
        assert_eq!(options.prefix, PathBuf::from("x"));
        assert_eq!(options.profile, Profile::Dev);
        assert_eq!(parse(&["--prefix", "x"]).unwrap().profile, Profile::Dist);
    }
}
