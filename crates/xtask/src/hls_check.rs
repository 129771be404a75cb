//! `cargo xtask hls-check`: the playlists of a stream, held against the rules of HLS while it
//! goes on, or as they were kept.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use crate::{EXIT_SETUP, workspace};

/// Looks at a URL, or at a folder that `openrtmp probe --save` filled; what stands behind it is
/// for `openrtmp probe`.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let mut command = workspace::cargo();
    command.args(["run", "--release", "--quiet", "--package", "openrtmp-cli"]);
    command.args(["--bin", "openrtmp", "--", "probe", "--check"]);
    // It runs in the folder of the repository.
    let absolute = |argument: &String| match Path::new(argument).is_dir() {
        true => std::path::absolute(argument).map_or(argument.into(), OsString::from),
        false => OsString::from(argument),
    };
    match command.args(arguments.iter().map(absolute)).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        // As it says itself: 1 for rules that are broken, 2 for what cannot be looked at.
        Ok(status) => ExitCode::from(status.code().map_or(1, |code| code as u8)),
        Err(error) => {
            eprintln!("error: cargo cannot be run: {error}");
            ExitCode::from(EXIT_SETUP)
        }
    }
}
