//! The settings of a server: its file, then the environment, then flags.

use openrtmp_core::{Config, RecordConfig, UnknownVariable};

use super::Arguments;
use super::listen::Listening;
use crate::logs;
use crate::service::sockets;

/// The settings, or one line on what is wrong with them.
pub(crate) fn effective(arguments: &Arguments) -> Result<Config, String> {
    merged(arguments, std::env::vars_os())
}

/// What of the environment looks like a setting and is none.
pub(super) fn warn_of_unknown_variables() {
    let unknown: Vec<UnknownVariable> = Config::desktop()
        .merge_environment(std::env::vars_os())
        .unwrap_or_default();
    for variable in unknown {
        log::warn!("{variable}");
    }
}

fn merged(
    arguments: &Arguments,
    environment: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
) -> Result<Config, String> {
    let mut config = Config::desktop();
    config.log.output = logs::default_output();
    if let Some(file) = &arguments.config {
        config.merge_file(file).map_err(|e| e.to_string())?;
    }
    config
        .merge_environment(environment)
        .map_err(|e| e.to_string())?;
    if !arguments.listen.is_empty() {
        let listeners = arguments.listen.iter().flat_map(Listening::listeners);
        config.listen = listeners.collect();
    }
    let given = sockets::given();
    let listeners = given.listen(&config.listen);
    if !listeners.is_empty() {
        config.listen = listeners;
    }
    arguments.tls.apply(&mut config);
    arguments.delivery.apply(&mut config);
    arguments.log.apply(&mut config.log);
    if !arguments.metrics.is_empty() {
        let addresses = arguments.metrics.iter().flat_map(|m| &m.addresses);
        config.metrics.listen = addresses.copied().collect();
    }
    let http = given.http();
    if !http.is_empty() {
        config.metrics.listen = http;
    }
    if let Some(listen) = &arguments.control {
        config.control.listen = listen.as_str().into();
    }
    if let Some(workers) = arguments.workers {
        config.workers = workers.into();
    }
    if !arguments.publish_keys.is_empty() {
        config
            .access
            .publish_keys
            .clone_from(&arguments.publish_keys);
    }
    if !arguments.play_keys.is_empty() {
        config.access.play_keys.clone_from(&arguments.play_keys);
    }
    if let Some(directory) = &arguments.record {
        config
            .record
            .get_or_insert_with(|| RecordConfig::new(directory))
            .directory
            .clone_from(directory);
    }
    Ok(config)
}

#[cfg(test)]
pub(super) fn from_file_and_flags(arguments: &Arguments) -> Result<Config, String> {
    merged(arguments, [])
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use openrtmp_core::{LogFormat, LogLevel};

    use super::super::ipv4_only;
    use super::super::tests::arguments;
    use super::from_file_and_flags as config;
    use super::*;

    #[test]
    fn without_flags_it_listens_on_both_families_and_is_open() {
        let config = config(&arguments()).unwrap();
        let listen: Vec<_> = config.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["0.0.0.0:1935", "[::]:1935"]);
        assert!(config.access.publish_keys.is_empty() && config.record.is_none());
        let only = ipv4_only(config);
        assert_eq!(only.listen.len(), 1);
        assert!(only.listen[0].address.is_ipv4());
    }

    #[test]
    fn flags_become_settings() {
        let config = config(&Arguments {
            config: None,
            listen: vec![
                Listening::parse("127.0.0.1:1936").unwrap(),
                Listening::parse(":1937").unwrap(),
            ],
            record: Some("films".into()),
            publish_keys: vec!["secret".into()],
            play_keys: vec!["guest".into()],
            workers: Some(3),
            metrics: vec![super::super::metrics::parse("127.0.0.1:9090").unwrap()],
            log: super::super::log_flags::Logging {
                level: Some(log::LevelFilter::Debug),
                format: Some(LogFormat::Json),
                file: Some("a.log".into()),
            },
            ..arguments()
        })
        .unwrap();
        let listen: Vec<_> = config.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["127.0.0.1:1936", "0.0.0.0:1937", "[::]:1937"]);
        assert_eq!(config.access.play_keys, ["guest"]);
        assert_eq!(config.record, Some(RecordConfig::new("films")));
        assert_eq!(config.access.publish_keys, ["secret"]);
        assert_eq!(config.workers, 3);
        assert_eq!(config.metrics.listen, ["127.0.0.1:9090".parse().unwrap()]);
        let log = &config.log;
        assert_eq!((log.level, log.format), (LogLevel::Debug, LogFormat::Json));
        assert_eq!((log.output.len(), log.goes_to("file")), (1, true));
        assert_eq!(log.file.path, Some(PathBuf::from("a.log")));
    }

    #[test]
    fn flags_win_over_the_file_and_leave_the_rest_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("server.yml");
        let text = "workers: 2\nrecord: {directory: films, template: '{name}'}\n\
                    access: {publish_keys: [file]}\n";
        std::fs::write(&file, text).unwrap();
        let with_file = Arguments {
            config: Some(file.clone()),
            record: Some("elsewhere".into()),
            ..arguments()
        };
        let config = config(&with_file).unwrap();
        assert_eq!(config.workers, 2);
        assert_eq!(config.access.publish_keys, ["file"]);
        let record = config.record.unwrap();
        assert_eq!(record.directory, PathBuf::from("elsewhere"));
        assert_eq!(record.template, "{name}");

        std::fs::write(&file, "worker: 2\n").unwrap();
        let error = super::from_file_and_flags(&with_file).unwrap_err();
        assert!(
            error.contains("server.yml: line 1: worker: no such setting"),
            "{error}"
        );
    }

    #[test]
    fn the_environment_wins_over_the_file_and_flags_over_both() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("server.yml");
        std::fs::write(
            &file,
            "workers: 2\ngop: {max_frames: 2}\nlimits: {tracks: 2}\n",
        )
        .unwrap();
        let arguments = Arguments {
            config: Some(file),
            workers: Some(4),
            ..arguments()
        };
        let environment = [("OPENRTMP_WORKERS", "3"), ("OPENRTMP_GOP__MAX_FRAMES", "3")];
        let environment = environment.map(|(name, value)| (name.into(), value.into()));
        let config = merged(&arguments, environment).unwrap();
        assert_eq!(config.workers, 4);
        assert_eq!(config.gop.max_frames, 3);
        assert_eq!(config.limits.tracks, 2);
    }
}
