//! `cargo xtask winservice`: the command as a service of Windows, under wine: installed, started,
//! stopped, with settings that are wrong, uninstalled. `tests/service/windows.sh` says what is
//! looked at.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{ExitCode, Stdio};

use crate::library::{self, Profile, Refusal};
use crate::runner::Tally;
use crate::{service, wine, workspace};

const TARGET: &str = "x86_64-pc-windows-gnu";

pub(crate) fn run() -> ExitCode {
    library::finish(check())
}

fn check() -> Result<Tally, Refusal> {
    let tree = wine::provide().map_err(Refusal::Unavailable)?;
    let target = library::target(TARGET).map_err(Refusal::Failed)?;
    let (mut build, _) = library::cargo_for(target, "build")?;
    build.args(["--package", "openrtmp-cli", "--bin", "openrtmp"]);
    match build.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => {}
        Ok(_) => return Err(Refusal::Failed("the command does not build".to_owned())),
        Err(e) => return Err(Refusal::Failed(format!("cargo: {e}"))),
    }
    let programs = workspace::target().join(TARGET).join(Profile::Dev.folder());
    look_at(&tree, &programs.join("openrtmp.exe")).map_err(Refusal::Failed)
}

/// Shows what the script says as it comes.
fn look_at(tree: &Path, program: &Path) -> Result<Tally, String> {
    let script = workspace::root().join("tests/service/windows.sh");
    let mut command = wine::beside(tree)?;
    command.arg(script).arg(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    let output = child.stdout.take().ok_or("no output")?;
    let mut said = String::new();
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        println!("{line}");
        said += &line;
        said.push('\n');
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    service::tally(&said).ok_or_else(|| format!("it was not looked at everything: {status}"))
}
