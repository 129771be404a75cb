//! The `openrtmp` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    openrtmp_cli::main()
}
