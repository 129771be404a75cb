//! Flags of the log.

use std::path::PathBuf;

use log::LevelFilter;
use openrtmp_core::{LogConfig, LogFormat};

/// What of the settings of the log is set by hand.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Logging {
    /// `--log`, which all commands have.
    #[arg(skip)]
    pub(super) level: Option<LevelFilter>,
    /// What a line of the log looks like: text, or json (an object a line)
    #[arg(long = "log-format", value_name = "FORMAT", value_parser = parse_format)]
    pub(super) format: Option<LogFormat>,
    /// Log to this file, not to standard error; log.file of the settings says when another
    /// is begun
    #[arg(long = "log-file", value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
}

impl Logging {
    pub(super) fn apply(&self, config: &mut LogConfig) {
        if let Some(level) = self.level {
            config.level = level.into();
        }
        if let Some(format) = self.format {
            config.format = format;
        }
        if let Some(file) = &self.file {
            config.file.path = Some(file.clone());
            config.output = vec!["file".to_owned()];
        }
    }
}

fn parse_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("text or json".to_owned()),
    }
}
