//! What shells complete, and manual pages: made from the command's own arguments.

use std::path::PathBuf;

use clap::Command;
use clap_complete::Shell;

use crate::console;
use crate::exit::Failure;

/// Flags of `openrtmp completions`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Completions {
    /// For which shell
    shell: Shell,
}

/// Flags of `openrtmp man`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Pages {
    /// Where to, made if missing: a page for each command, openrtmp.1, openrtmp-serve.1, ...
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Writes a script to standard output.
pub(crate) fn completions(wanted: &Completions, mut command: Command) -> Result<(), Failure> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(wanted.shell, &mut command, name, &mut script);
    console::write(&script).map_err(|e| Failure::Runtime(format!("cannot write: {e}")))
}

/// Writes the pages to a folder.
pub(crate) fn pages(wanted: &Pages, command: Command) -> Result<(), Failure> {
    let directory = &wanted.directory;
    let written = std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(command, directory));
    written.map_err(|e| Failure::Usage(format!("{}: {e}", directory.display())))
}
