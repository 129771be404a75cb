//! `cargo xtask service`: the package in a Debian tree that a real systemd runs: installed,
//! watched, started again, locked in, purged. `tests/service/check.sh` says what is looked at.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::runner::Tally;
use crate::tools::{self, Tool};
use crate::wine::{as_root, root_command};
use crate::{EXIT_SETUP, deb, workspace};

const SUITE: &str = "bookworm";

/// What it has beside the least of a Debian.
const PACKAGES: &str = "--include=systemd,systemd-sysv,dbus,udev,kmod,iproute2,python3-minimal";

/// Seconds that the whole may take; then it and all it started are killed.
const PATIENCE: &str = "300";

/// Where the script writes what it found.
const RESULT: &str = "var/tmp/result.txt";

/// How the last line of a script is.
const END: &str = "END";

const UNIT: &str = "[Unit]\n\
    After=basic.target dbus.service\n\
    [Service]\n\
    Type=oneshot\n\
    ExecStart=/bin/bash /var/tmp/check.sh\n\
    ExecStopPost=/bin/systemctl --no-block poweroff\n";

/// `--dist`: the package as it is shipped.
pub(crate) fn run(options: &[String]) -> ExitCode {
    let profile = match options {
        [] => "dev",
        [option] if option == "--dist" => "dist",
        _ => {
            eprintln!("error: service takes --dist, or nothing");
            return ExitCode::from(EXIT_SETUP);
        }
    };
    let tree = match provide() {
        Ok(tree) => tree,
        Err(why) => {
            eprintln!("error: {why}");
            return ExitCode::from(EXIT_SETUP);
        }
    };
    match check(&tree, profile) {
        Ok(tally) => {
            println!("{tally}");
            match tally.failed {
                0 => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Makes the tree if it is not there.
fn provide() -> Result<PathBuf, String> {
    let tree = workspace::target().join("tools/systemd");
    let mark = tree.with_extension("txt");
    if fs::read_to_string(&mark).is_ok_and(|made| made == PACKAGES) {
        return Ok(tree);
    }
    if !tools::may_install() {
        return Err("there is no Debian tree with systemd yet".to_owned());
    }
    tools::provide(&[Tool::Debootstrap, Tool::Nspawn], true)?;
    println!("=== making a Debian tree with systemd");
    let path = tree.display().to_string();
    fs::create_dir_all(workspace::target().join("tools")).map_err(|e| e.to_string())?;
    as_root(&["rm", "-rf", &path])?;
    as_root(&["debootstrap", "--variant=minbase", PACKAGES, SUITE, &path])?;
    fs::write(&mark, PACKAGES).map_err(|e| e.to_string())?;
    Ok(tree)
}

fn check(tree: &Path, profile: &str) -> Result<Tally, String> {
    let package = deb::build(profile)?;
    let folder = workspace::target().join("service");
    fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    let root = folder.join("root");
    let path = |path: &Path| path.display().to_string();
    // What an older run left must not be what this one finds; and the tree stays as it is.
    as_root(&["rm", "-rf", &path(&root)])?;
    as_root(&["cp", "-a", "--reflink=auto", &path(tree), &path(&root)])?;
    let unit = folder.join("check.service");
    fs::write(&unit, UNIT).map_err(|e| e.to_string())?;
    let scripts = workspace::root().join("tests/service");
    let wants = root.join("etc/systemd/system/multi-user.target.wants/check.service");
    for (from, to) in [
        (&*package, "var/tmp/openrtmp.deb"),
        (&scripts.join("lib.sh"), "var/tmp/lib.sh"),
        (&scripts.join("check.sh"), "var/tmp/check.sh"),
        (&unit, "etc/systemd/system/check.service"),
    ] {
        as_root(&[
            "install",
            "-D",
            "-m",
            "0644",
            &path(from),
            &path(&root.join(to)),
        ])?;
    }
    as_root(&["ln", "-s", "../check.service", &path(&wants)])?;
    let booted = boot(&root)?;
    let result = fs::read_to_string(root.join(RESULT));
    as_root(&["rm", "-rf", &path(&root)])?;
    let result = result.map_err(|e| format!("nothing was found: {e}\n{booted}"))?;
    print!("{result}");
    tally(&result).ok_or_else(|| format!("it was not looked at everything\n{booted}"))
}

/// Boots it, without a network, and waits for its end. What its console said.
fn boot(root: &Path) -> Result<String, String> {
    let machine = format!("openrtmp-{}", std::process::id());
    let mut command = root_command("timeout")?;
    command
        .args([
            "-s",
            "KILL",
            PATIENCE,
            "systemd-nspawn",
            "--quiet",
            "--boot",
        ])
        .args([
            "--register=no",
            "--keep-unit",
            "--private-network",
            "--console=pipe",
        ])
        .args(["--link-journal=no", "--machine", &machine, "-D"])
        .arg(root)
        .stdin(Stdio::null());
    let output = command.output().map_err(|e| e.to_string())?;
    // It leaves the folders of its groups behind, which are empty, where no manager has them.
    let leavings = format!(
        "find /sys/fs/cgroup -depth -type d -path '*{machine}*' -exec rmdir {{}} + 2>/dev/null"
    );
    let _ = Command::new("sh").args(["-c", &leavings]).status();
    let said = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// Counts what a script says of each thing that it looked at; none if it did not come to its
/// end.
pub(crate) fn tally(result: &str) -> Option<Tally> {
    let count = |word: &str| result.lines().filter(|line| line.starts_with(word)).count() as u64;
    (result.lines().last() == Some(END)).then(|| Tally {
        passed: count("ok: "),
        failed: count("FAILED: "),
        skipped: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_came_to_its_end_is_counted() {
        let tally_of = |passed, failed| Tally {
            passed,
            failed,
            skipped: 0,
        };
        let said = "ok: one\nFAILED: two: ok: no\nmore of that\nok: three\nEND\n";
        assert_eq!(tally(said), Some(tally_of(2, 1)));
        assert_eq!(tally("ok: one\n"), None);
        assert_eq!(tally(""), None);
    }
}
