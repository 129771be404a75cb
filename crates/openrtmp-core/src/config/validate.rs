use std::fmt;
use std::time::Duration;

use openrtmp_protocol::StreamName;

use super::Config;
use crate::record::template;

/// A setting that is not allowed: where, what it is, what may stand there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} = {value}: {allowed}")]
pub struct ConfigError {
    /// Dotted path, for example `rtmp.chunk_size`.
    pub path: &'static str,
    /// The value found.
    pub value: String,
    /// What is allowed.
    pub allowed: String,
}

pub(super) fn validate(c: &Config) -> Result<(), ConfigError> {
    let ms = Duration::from_millis;
    let ten_minutes = Duration::from_secs(600);
    let day = Duration::from_secs(86_400);

    if c.listen.is_empty() {
        return Err(wrong(
            "listen",
            "[]",
            "at least one address, for example 0.0.0.0:1935",
        ));
    }
    range("workers", c.workers, 0, 64)?;
    range("rtmp.chunk_size", c.rtmp.chunk_size, 128, 65_536)?;
    range(
        "rtmp.window_ack_size",
        c.rtmp.window_ack_size,
        1024,
        u32::MAX,
    )?;
    time(
        "rtmp.handshake_timeout",
        c.rtmp.handshake_timeout,
        ms(100),
        ten_minutes,
    )?;
    time(
        "rtmp.connect_timeout",
        c.rtmp.connect_timeout,
        ms(100),
        ten_minutes,
    )?;
    time("rtmp.idle_timeout", c.rtmp.idle_timeout, ms(100), day)?;
    if !c.rtmp.ping_interval.is_zero() {
        time("rtmp.ping_interval", c.rtmp.ping_interval, ms(1000), day)?;
    }
    time(
        "streams.publisher_timeout",
        c.streams.publisher_timeout,
        ms(100),
        day,
    )?;
    for (path, limit) in [
        ("streams.media_timeout", c.streams.media_timeout),
        ("streams.message_timeout", c.streams.message_timeout),
    ] {
        if !limit.is_zero() {
            time(path, limit, ms(100), day)?;
        }
    }
    time("streams.goodbye_grace", c.streams.goodbye_grace, ms(0), day)?;
    time(
        "streams.republish_grace",
        c.streams.republish_grace,
        ms(0),
        day,
    )?;
    time(
        "gop.min_duration",
        c.gop.min_duration,
        ms(0),
        Duration::from_secs(60),
    )?;
    time("gop.max_duration", c.gop.max_duration, ms(0), ten_minutes)?;
    time("queue.max_delay", c.queue.max_delay, ms(10), ten_minutes)?;
    range("queue.max_bytes", c.queue.max_bytes, 64 << 10, usize::MAX)?;
    time("queue.stall_timeout", c.queue.stall_timeout, ms(100), day)?;
    let bytes = c.queue.worker_bytes;
    range("queue.worker_bytes", bytes, 64 << 10, usize::MAX)?;
    let messages = c.queue.worker_messages;
    range("queue.worker_messages", messages, 16, usize::MAX)?;
    time(
        "queue.write_coalesce",
        c.queue.write_coalesce,
        ms(0),
        ms(350).min(c.queue.longest_window()),
    )?;
    time(
        "queue.background_coalesce",
        c.queue.background_coalesce,
        ms(0),
        ms(350),
    )?;
    if c.queue.unsent_bytes > 0 {
        let bytes = c.queue.unsent_bytes;
        range("queue.unsent_bytes", bytes, 16 << 10, u32::MAX)?;
    }
    if !c.access.decision_timeout.is_zero() {
        time(
            "access.decision_timeout",
            c.access.decision_timeout,
            ms(100),
            ten_minutes,
        )?;
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
            return Err(wrong(
                path,
                "***",
                "keys without spaces and without & ? / #, escapes (%41) and file types (.mp4)",
            ));
        }
    }
    if let Some(record) = &c.record
        && (record.template.is_empty() || record.template.split('/').any(|part| part == ".."))
    {
        return Err(wrong(
            "record.template",
            &record.template,
            "a relative file name such as {app}/{name}-{date}-{time}, without ..",
        ));
    }
    if let Some(record) = &c.record
        && let Err(unknown) = template::check(&record.template)
    {
        return Err(wrong("record.template", &record.template, &unknown));
    }
    if let Some(record) = &c.record
        && record.directory.as_os_str().is_empty()
    {
        return Err(wrong("record.directory", "\"\"", "a folder"));
    }
    if let Some(record) = &c.record {
        let bytes = record.queue_bytes;
        range("record.queue_bytes", bytes, 1 << 20, usize::MAX)?;
    }
    range("limits.connections", c.limits.connections, 1, 1 << 24)?;
    time(
        "limits.handshake_grace",
        c.limits.handshake_grace,
        ms(0),
        ten_minutes,
    )?;
    let minute = Duration::from_secs(60);
    range(
        "limits.answer_bytes",
        c.limits.answer_bytes,
        64 << 10,
        usize::MAX,
    )?;
    time("limits.linger", c.limits.linger, ms(0), minute)?;
    time("limits.accept_retry", c.limits.accept_retry, ms(10), minute)?;
    if !c.limits.connection_work.is_zero() {
        let work = c.limits.connection_work;
        time("limits.connection_work", work, ms(1), ms(1000))?;
    }
    range("limits.publishers", c.limits.publishers, 1, 1 << 24)?;
    range(
        "limits.publishers_per_connection",
        c.limits.publishers_per_connection,
        1,
        65_536,
    )?;
    range("limits.memory", c.limits.memory, 1 << 20, usize::MAX)?;
    range(
        "limits.session.message_bytes",
        c.limits.session.message_bytes,
        1024,
        0xFF_FFFF,
    )?;
    range(
        "limits.session.partial_bytes",
        c.limits.session.partial_bytes,
        1024,
        usize::MAX,
    )?;
    range(
        "limits.session.chunk_streams",
        c.limits.session.chunk_streams,
        4,
        65_598,
    )?;
    range(
        "limits.session.message_streams",
        c.limits.session.message_streams,
        1,
        65_536,
    )?;
    range(
        "limits.session.pending_requests",
        c.limits.session.pending_requests,
        1,
        65_536,
    )?;
    range(
        "limits.session.waiting_messages",
        c.limits.session.waiting_messages,
        16,
        1 << 20,
    )?;
    range(
        "limits.session.amf.depth",
        c.limits.session.amf.depth,
        1,
        64,
    )?;
    range(
        "limits.session.amf.values_per_byte",
        c.limits.session.amf.values_per_byte,
        2,
        1024,
    )?;
    Ok(())
}

fn range<T: PartialOrd + fmt::Display>(
    path: &'static str,
    value: T,
    min: T,
    max: T,
) -> Result<(), ConfigError> {
    if value < min || value > max {
        return Err(wrong(
            path,
            &value.to_string(),
            &format!("from {min} to {max}"),
        ));
    }
    Ok(())
}

/// Checks a time to collect packets for.
pub(crate) fn write_coalesce(window: Duration) -> Result<(), ConfigError> {
    let ms = Duration::from_millis;
    time("queue.write_coalesce", window, ms(0), ms(350))
}

fn time(
    path: &'static str,
    value: Duration,
    min: Duration,
    max: Duration,
) -> Result<(), ConfigError> {
    if value < min || value > max {
        return Err(wrong(
            path,
            &format!("{value:?}"),
            &format!("from {min:?} to {max:?}"),
        ));
    }
    Ok(())
}

fn wrong(path: &'static str, value: &str, allowed: &str) -> ConfigError {
    ConfigError {
        path,
        value: value.to_owned(),
        allowed: allowed.to_owned(),
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
        assert_eq!(text, "rtmp.chunk_size = 64: from 128 to 65536");
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
