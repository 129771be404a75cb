use std::time::Duration;

use openrtmp_protocol::StreamName;

use super::Config;
use super::schema::{Kind, SETTINGS, kind_of};
use crate::record::template;

/// A setting that is not allowed: where, what it is, what may stand there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} = {value}: expected {allowed}")]
pub struct ConfigError {
    /// Dotted path, for example `rtmp.chunk_size`.
    pub path: &'static str,
    /// The value found.
    pub value: String,
    /// What is allowed.
    pub allowed: String,
}

/// Everything that is not allowed, the least of it first.
pub(super) fn faults(c: &Config) -> Vec<ConfigError> {
    let mut faults = Vec::new();
    let tree = c.plain_tree();
    for &(path, kind) in SETTINGS {
        let Some(range) = kind.range() else { continue };
        let value = path
            .split('.')
            .try_fold(&tree, |group, name| group.get(name));
        if let Some(value) = value
            && value.as_u64().is_some_and(|n| !range.holds(n))
        {
            faults.push(wrong(path, kind.show(value), kind.to_string()));
        }
    }
    if c.listen.is_empty() {
        let allowed = "at least one address, for example 0.0.0.0:1935";
        faults.push(wrong("listen", "[]", allowed));
    }
    let longest = c.queue.longest_window();
    if c.queue.write_coalesce > longest {
        let value = format!("{:?}", c.queue.write_coalesce);
        let allowed = format!("at most three quarters of queue.max_delay, {longest:?}");
        faults.push(wrong("queue.write_coalesce", value, allowed));
    }
    for (path, keys) in [
        ("access.publish_keys", &c.access.publish_keys),
        ("access.play_keys", &c.access.play_keys),
    ] {
        // A key that comes as the name of a stream is compared as that name is read.
        let unfit = |k: &String| {
            k.is_empty()
                || k.contains(['&', '?', '/', '#', ' '])
                || StreamName::join("", k).reveal() != k
        };
        if keys.iter().any(unfit) {
            let allowed =
                "keys without spaces and without & ? / #, escapes (%41) and file types (.mp4)";
            faults.push(wrong(path, "***", allowed));
        }
    }
    if let Some(record) = &c.record {
        let template = &record.template;
        if template.is_empty() || template.split('/').any(|part| part == "..") {
            let allowed = "a relative file name such as {app}/{name}-{date}-{time}, without ..";
            faults.push(wrong("record.template", template, allowed));
        }
        if let Err(unknown) = template::check(template) {
            faults.push(wrong("record.template", template, unknown));
        }
        if record.directory.as_os_str().is_empty() {
            faults.push(wrong("record.directory", "\"\"", "a folder"));
        }
    }
    faults
}

/// Checks a time to collect packets for.
pub(crate) fn write_coalesce(window: Duration) -> Result<(), ConfigError> {
    let path = "queue.write_coalesce";
    let most = kind_of(path).and_then(Kind::range).map(|range| range.most);
    if most.is_some_and(|most| window > Duration::from_millis(most)) {
        let allowed = kind_of(path).map(|kind| kind.to_string());
        return Err(wrong(
            path,
            format!("{window:?}"),
            allowed.unwrap_or_default(),
        ));
    }
    Ok(())
}

fn wrong(path: &'static str, value: impl Into<String>, allowed: impl Into<String>) -> ConfigError {
    ConfigError {
        path,
        value: value.into(),
        allowed: allowed.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_profiles_are_valid() {
        assert_eq!(Config::desktop().validate(), Ok(()));
        assert_eq!(Config::mobile().validate(), Ok(()));
    }

    #[test]
    fn an_error_names_path_value_and_what_is_allowed() {
        let mut config = Config::desktop();
        config.rtmp.chunk_size = 64;
        let text = config.validate().unwrap_err().to_string();
        let expected =
            "rtmp.chunk_size = 64: expected bytes from 128 to 65536, as a number or such as 64KiB";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_key_in_an_error_is_not_shown() {
        let mut config = Config::desktop();
        config.access.publish_keys = vec!["se cret".into()];
        assert!(!config.validate().unwrap_err().to_string().contains("cret"));
    }

    #[test]
    fn a_template_cannot_leave_the_folder() {
        let mut config = Config::desktop();
        let mut record = crate::config::RecordConfig::new("rec");
        record.template = "../{name}".into();
        config.record = Some(record);
        assert_eq!(config.validate().unwrap_err().path, "record.template");
        let mut config = Config::desktop();
        config.record = Some(crate::config::RecordConfig::new("rec"));
        config.record.as_mut().unwrap().template = "{app}/{nmae}".into();
        let error = config.validate().unwrap_err();
        assert_eq!(error.path, "record.template");
        assert!(error.allowed.contains("{nmae}"), "{error}");
    }
}
