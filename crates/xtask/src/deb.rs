//! `cargo xtask deb`: the command as a Debian package, below `dist` in the target folder.

use std::env::consts::ARCH;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::install::succeed;
use crate::{EXIT_SETUP, workspace};

/// Files of the repository, where the package has them, and their modes.
const FILES: [(&str, &str, &str); 7] = [
    (
        "platforms/openrtmp.yaml",
        "etc/openrtmp/openrtmp.yaml",
        "0640",
    ),
    (
        "platforms/linux/openrtmp.service",
        "usr/lib/systemd/system/openrtmp.service",
        "0644",
    ),
    (
        "platforms/linux/openrtmp@.service",
        "usr/lib/systemd/system/openrtmp@.service",
        "0644",
    ),
    (
        "platforms/linux/openrtmp.socket",
        "usr/lib/systemd/system/openrtmp.socket",
        "0644",
    ),
    (
        "platforms/linux/openrtmp.sysusers",
        "usr/lib/sysusers.d/openrtmp.conf",
        "0644",
    ),
    ("README.md", "usr/share/doc/openrtmp/README.md", "0644"),
    ("LICENSE-MIT", "usr/share/doc/openrtmp/copyright", "0644"),
];

const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// What an upgrade does not write over where somebody changed it.
const CONFFILES: &str = "/etc/openrtmp/openrtmp.yaml\n";

pub(crate) fn run(options: &[String]) -> ExitCode {
    let profile = match options {
        [] => "dist",
        [option] if option == "--debug" => "dev",
        _ => {
            eprintln!("error: deb takes --debug, or nothing");
            return ExitCode::from(EXIT_SETUP);
        }
    };
    match build(profile) {
        Ok(package) => {
            println!("{}", package.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Builds the command and the package, and tells where that is.
pub(crate) fn build(profile: &str) -> Result<PathBuf, String> {
    let architecture = match ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    succeed(workspace::cargo().args([
        "build",
        "--package",
        "openrtmp-cli",
        "--bin",
        "openrtmp",
        "--profile",
        profile,
    ]))?;
    let folder = if profile == "dev" { "debug" } else { profile };
    let program = workspace::target().join(folder).join("openrtmp");
    let dist = workspace::target().join("dist");
    let name = format!("openrtmp_{}_{architecture}", env!("CARGO_PKG_VERSION"));
    let stage = dist.join(&name);
    // What an older run left must not be in this package.
    let _ = fs::remove_dir_all(&stage);
    let failed = |error: io::Error| format!("{}: {error}", stage.display());
    place(&stage, &program, architecture).map_err(failed)?;
    let package = dist.join(format!("{name}.deb"));
    succeed(
        Command::new("dpkg-deb")
            .args(["--build", "--root-owner-group"])
            .args([&stage, &package]),
    )
    .map_err(|error| format!("{error} (dpkg-deb is a part of Debian)"))?;
    fs::remove_dir_all(&stage).map_err(failed)?;
    Ok(package)
}

fn place(stage: &Path, program: &Path, architecture: &str) -> io::Result<()> {
    copy(program, &stage.join("usr/bin/openrtmp"), "0755")?;
    let pages = stage.join("usr/share/man/man1");
    let made = Command::new(program).arg("man").arg(&pages).status()?;
    if !made.success() {
        return Err(io::Error::other("the manual pages cannot be written"));
    }
    for (from, to, mode) in FILES {
        copy(&workspace::root().join(from), &stage.join(to), mode)?;
    }
    let control = stage.join("DEBIAN");
    for script in SCRIPTS {
        let from = workspace::root()
            .join("platforms/linux/debian")
            .join(script);
        copy(&from, &control.join(script), "0755")?;
    }
    fs::write(control.join("conffiles"), CONFFILES)?;
    let (version, bytes) = (env!("CARGO_PKG_VERSION"), fs::read(program)?);
    let glibc = newest_glibc(&bytes).map_or(String::new(), |of| format!(" (>= {of})"));
    let size = bytes.len().div_ceil(1024);
    fs::write(
        control.join("control"),
        format!(
            "Package: openrtmp\n\
             Version: {version}\n\
             Architecture: {architecture}\n\
             Maintainer: The OpenRTMP authors <openrtmp@localhost>\n\
             Installed-Size: {size}\n\
             Depends: libc6{glibc}, libgcc-s1, systemd | systemd-standalone-sysusers\n\
             Section: video\n\
             Priority: optional\n\
             Description: RTMP server\n \
             Receives live streams over RTMP and RTMPS and hands them to players.\n"
        ),
    )
}

fn copy(from: &Path, to: &Path, mode: &str) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    let named = |error| io::Error::other(format!("{}: {error}", from.display()));
    fs::copy(from, to).map_err(named)?;
    let made = Command::new("chmod").arg(mode).arg(to).status()?;
    match made.success() {
        true => Ok(()),
        false => Err(io::Error::other("chmod failed")),
    }
}

/// The newest version of the C library whose symbols a program uses: their names stand in it
/// (`GLIBC_2.34`).
fn newest_glibc(program: &[u8]) -> Option<String> {
    const MARK: &[u8] = b"GLIBC_2.";
    let places = program.windows(MARK.len()).enumerate();
    let found = places.filter(|(_, bytes)| *bytes == MARK);
    let minor = found.filter_map(|(at, _)| {
        let rest = &program[at + MARK.len()..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(&rest[..digits])
            .ok()?
            .parse::<u32>()
            .ok()
    });
    minor.max().map(|minor| format!("2.{minor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_symbols_say_which_library_it_takes() {
        let program = b"\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.\0GLIBC_2.17\0GLIBC_PRIVATE";
        assert_eq!(newest_glibc(program).as_deref(), Some("2.34"));
        assert_eq!(newest_glibc(b"static"), None);
    }

    #[test]
    fn every_file_is_there() {
        for (from, ..) in FILES {
            assert!(workspace::root().join(from).exists(), "{from}");
        }
        for script in SCRIPTS {
            let path = workspace::root()
                .join("platforms/linux/debian")
                .join(script);
            assert!(path.exists(), "{script}");
        }
    }
}
