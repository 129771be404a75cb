//! `openrtmp config`: what can be set, what is in force, whether a file is right.

use std::io::Read;
use std::path::{Path, PathBuf};

use log::LevelFilter;
use openrtmp_core::{Config, Format, MAX_DOCUMENT, private_file, regular_file};

use crate::console::{self, say};
use crate::exit::Failure;
use crate::{import, serve};

/// Flags of `openrtmp config`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Action {
    /// Every setting as commented YAML: what it does, its default, what may stand there,
    /// and from when on a change holds
    Reference,
    /// The settings that `openrtmp serve` would have with the same flags, here and now, keys
    /// masked
    Dump {
        /// As JSON, not YAML
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        serve: Box<serve::Arguments>,
    },
    /// Tell whether a file of settings is right: exit code 0 if it is, 2 if not
    Check {
        /// JSON, or YAML (.yaml, .yml)
        file: PathBuf,
    },
    /// Make a file of settings out of another server's: nginx.conf with an rtmp block,
    /// srs.conf or mediamtx.yml. What cannot be taken over is told, on standard error and
    /// as comments
    Import {
        /// The other server's file; files that it includes are not read
        file: PathBuf,
        /// Whose it is [default: what it looks like]
        #[arg(long, value_enum)]
        from: Option<import::Kind>,
        /// Where to, as YAML; nothing may be there yet [default: standard output]
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// The JSON Schema (2020-12) of such files, with which editors complete them
    Schema,
}

/// `level`: that of `--log`.
pub(crate) fn run(arguments: Arguments, level: Option<LevelFilter>) -> Result<(), Failure> {
    let text = match arguments.action {
        Action::Reference => Config::reference(),
        Action::Schema => Config::json_schema(),
        Action::Import { file, from, output } => {
            let document = import(&file, from)?;
            let Some(output) = output else {
                return write_out(&document);
            };
            // It may hold keys.
            return private_file::create(&output, document.as_bytes())
                .map_err(|e| Failure::Usage(format!("{}: {e}", output.display())));
        }
        Action::Dump { json, serve } => {
            let config = serve::effective(&serve.with_level(level)).map_err(Failure::Usage)?;
            config
                .validate()
                .map_err(|e| Failure::Usage(e.to_string()))?;
            let text = config.dump_masked(if json { Format::Json } else { Format::Yaml });
            format!("{}\n", text.trim_end())
        }
        Action::Check { file } => {
            let mut config = Config::desktop();
            let usage = |error: &dyn std::fmt::Display| Failure::Usage(error.to_string());
            config.merge_file(&file).map_err(|e| usage(&e))?;
            let name = file.display();
            let wrong = |error: &dyn std::fmt::Display| usage(&format!("{name}: {error}"));
            config.validate().map_err(|e| wrong(&e))?;
            config.check_files().map_err(|e| wrong(&e))?;
            let others = config.differences(&Config::desktop()).len();
            format!(
                "{name}: right, {}\n",
                match others {
                    0 => "with nothing but defaults".to_owned(),
                    1 => "1 setting other than the default".to_owned(),
                    n => format!("{n} settings other than the defaults"),
                }
            )
        }
    };
    write_out(&text)
}

/// Makes our settings of another server's.
fn import(file: &Path, from: Option<import::Kind>) -> Result<String, Failure> {
    let name = file.display();
    let usage = |error: &dyn std::fmt::Display| Failure::Usage(format!("{name}: {error}"));
    let mut text = String::new();
    let open = regular_file::open(file).map_err(|e| usage(&e))?;
    let mut open = open.take(MAX_DOCUMENT as u64 + 1);
    open.read_to_string(&mut text).map_err(|e| usage(&e))?;
    if text.len() > MAX_DOCUMENT {
        return Err(usage(&format!("longer than {MAX_DOCUMENT} bytes")));
    }
    let imported = import::import(file, &text, from).map_err(|e| usage(&e))?;
    for line in &imported.left {
        say(&format!("{name}: {line}"));
    }
    say(&format!("{name}: {}", imported.summary));
    Ok(imported.document)
}

fn write_out(text: &str) -> Result<(), Failure> {
    console::write(text.as_bytes()).map_err(|e| Failure::Runtime(format!("cannot write: {e}")))
}
