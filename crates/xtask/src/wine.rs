//! `cargo xtask wine`: runs a Windows program in a Debian tree that has wine.
//!
//! The wine of an older distribution will not do: Rust programs need that of Debian
//! 13. The tree is made once and kept below the target folder.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::install::succeed;
use crate::tools::{self, Tool};
use crate::{EXIT_SETUP, workspace};

const SUITE: &str = "trixie";

/// Seconds that a program may take; then it and all it started are killed.
const PATIENCE: &str = "600";

/// In namespaces of its own: what is mounted goes, and what was started ends, with the shell
/// that this is, however that ends. Takes the tree, and two folders to show in it under their
/// own names.
const SHOW: &str = r#"
    set -e
    tree=$1 root=$2 target=$3
    shift 3
    for place in "$root" "$target"; do
        mkdir -p "$tree$place"
        mount --bind "$place" "$tree$place"
    done
    mount -t proc proc "$tree/proc"
    mount --bind /dev "$tree/dev"
    [ -e "$tree/etc/hosts" ] || printf '127.0.0.1 localhost\n::1 localhost\n' > "$tree/etc/hosts"
"#;

/// Then runs a program. Takes the working folder, the program.
const ENTER: &str = r#"
    folder=$1
    shift
    exec chroot "$tree" /usr/bin/env -i HOME=/root PATH=/usr/bin:/bin WINEDEBUG=-all \
        RUST_BACKTRACE=1 sh -c 'cd "$1"; shift; exec /usr/lib/wine/wine64 "$@"' sh "$folder" "$@"
"#;

/// Then runs a script beside the tree, where no network is but a loopback of its own. Takes the
/// script and its arguments behind the tree.
const BESIDE: &str = r#"
    ip link set lo up
    script=$1
    shift
    exec bash "$script" "$tree" "$@"
"#;

pub(crate) fn run(program: &[String]) -> ExitCode {
    let status = provide().and_then(|tree| {
        let folder = env::current_dir().map_err(|e| e.to_string())?;
        let mut command = inside(&tree, &folder)?;
        command.args(program).status().map_err(|e| e.to_string())
    });
    match status {
        Ok(status) => status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .map_or(ExitCode::FAILURE, ExitCode::from),
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(EXIT_SETUP)
        }
    }
}

/// Makes the tree if it is not there.
pub(crate) fn provide() -> Result<PathBuf, String> {
    let tree = workspace::target().join("tools/wine");
    let mark = tree.with_extension("txt");
    if fs::read_to_string(&mark).is_ok_and(|suite| suite == SUITE) {
        return Ok(tree);
    }
    if !tools::may_install() {
        return Err("there is no Debian tree with wine yet".to_owned());
    }
    tools::provide(&[Tool::Debootstrap], true)?;
    println!("=== making a Debian tree with wine");
    let path = tree.display().to_string();
    fs::create_dir_all(workspace::target().join("tools")).map_err(|e| e.to_string())?;
    as_root(&["rm", "-rf", &path])?;
    as_root(&["debootstrap", "--variant=minbase", SUITE, &path])?;
    let apt = |arguments: &[&str]| {
        let mut words = vec!["chroot", &path, "env", "DEBIAN_FRONTEND=noninteractive"];
        words.push("apt-get");
        words.extend(arguments);
        as_root(&words)
    };
    apt(&["update", "-q"])?;
    apt(&[
        "install",
        "-q",
        "-y",
        "--no-install-recommends",
        "wine",
        "wine64",
    ])?;
    apt(&["clean"])?;
    // Wine sets up its folders at the first start: here, and not in a test's time.
    let root = workspace::root();
    succeed(inside(&tree, root)?.args(["wineboot", "--init"]))?;
    fs::write(&mark, SUITE).map_err(|e| e.to_string())?;
    Ok(tree)
}

/// A command that runs the Windows program whose name is added to it.
fn inside(tree: &Path, folder: &Path) -> Result<Command, String> {
    let mut command = shown(tree, &[], ENTER)?;
    command.arg(absolute(folder)?);
    Ok(command)
}

/// A command that runs the script whose name is added to it, with the tree as the first of its
/// arguments.
pub(crate) fn beside(tree: &Path) -> Result<Command, String> {
    shown(tree, &["--net"], BESIDE)
}

/// A shell to which the tree is shown, and whose next arguments are for `then`.
fn shown(tree: &Path, namespaces: &[&str], then: &str) -> Result<Command, String> {
    let target = workspace::target();
    fs::create_dir_all(&target).map_err(|e| e.to_string())?;
    let mut command = root_command("timeout")?;
    command
        .args(["-s", "KILL", PATIENCE])
        .args(["unshare", "--mount", "--pid", "--fork", "--kill-child"])
        .args(namespaces)
        .args(["sh", "-c", &format!("{SHOW}{then}"), "sh"]);
    for path in [tree, workspace::root(), &target] {
        command.arg(absolute(path)?);
    }
    Ok(command)
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    path.canonicalize()
        .map_err(|e| format!("{}: {e}", path.display()))
}

pub(crate) fn as_root(words: &[&str]) -> Result<(), String> {
    let (program, arguments) = words.split_first().ok_or("no command")?;
    succeed(root_command(program)?.args(arguments))
}

pub(crate) fn root_command(program: &str) -> Result<Command, String> {
    let prefix = tools::root_prefix().ok_or("it takes root, or sudo that asks for no password")?;
    let mut words = prefix.iter().copied().chain([program]);
    let mut command = Command::new(words.next().ok_or("no command")?);
    command.args(words);
    Ok(command)
}
