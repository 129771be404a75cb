use std::time::Duration;

use openrtmp_protocol::{Credentials, StreamName};

use super::network::Network;
use super::pin::Pin;
use super::schema::{Kind, kind_of};
use super::settings::SETTINGS;
use super::{CallbackConfig, ClientAuth, Config, web_url};
use crate::record::template;

/// A setting that is not allowed: where, what it is, what may stand there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} = {value}: expected {allowed}")]
#[non_exhaustive]
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
    for setting in SETTINGS {
        let (path, kind) = (setting.path(), setting.kind);
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
    // A server that fetches streams may have no peers of its own.
    if c.listen.is_empty() && c.relay.pull.is_empty() {
        let allowed = "at least one address, for example 0.0.0.0:1935";
        faults.push(wrong("listen", "[]", allowed));
    }
    if cfg!(not(feature = "tls"))
        && let Some(listen) = c.listen.iter().find(|listen| listen.is_tls())
    {
        let allowed = "a plain address: built without TLS";
        faults.push(wrong("listen", listen.to_string(), allowed));
    }
    if cfg!(not(feature = "tls"))
        && let Some(listen) = c.http.listen.iter().find(|listen| listen.is_tls())
    {
        let allowed = "a plain address: built without TLS";
        faults.push(wrong("http.listen", listen.to_string(), allowed));
    }
    http_faults(c, &mut faults);
    tls_faults(c, &mut faults);
    let log = c.log.faults().into_iter();
    faults.extend(log.map(|(path, value, allowed)| wrong(path, value, allowed)));
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
    for (rule, number) in c.access.rules.iter().zip(1..) {
        if rule.network().is_none() {
            let allowed =
                "either allow or deny, with a network such as 10.0.0.0/8 or 2001:db8::/32";
            faults.push(wrong("access.rules", format!("rule {number}"), allowed));
        }
        // Compared with an app as names are read.
        let app = rule.app.as_deref().unwrap_or("live");
        if StreamName::join(app, "x").reveal() != format!("{app}/x") {
            let allowed = "an app such as live: no slash at its ends, no escape (%41), no query";
            faults.push(wrong("access.rules", format!("rule {number}"), allowed));
        }
    }
    let proxies = c.access.trusted_proxies.iter();
    if let Some(proxy) = proxies.clone().find(|text| Network::parse(text).is_none()) {
        let allowed = "networks such as 10.0.0.0/8 or 2001:db8::/32";
        faults.push(wrong("access.trusted_proxies", proxy, allowed));
    }
    let callback = &c.access.callback;
    let url = callback.url.as_ref();
    if let Some(allowed) = url.and_then(|url| web_url::fault(url, &["http", "https"])) {
        faults.push(wrong("access.callback.url", "***", allowed));
    }
    let known = |event: &&String| CallbackConfig::EVENTS.contains(&event.as_str());
    if let Some(event) = callback.events.iter().find(|event| !known(event)) {
        let allowed = format!("names among {}", CallbackConfig::EVENTS.join(", "));
        faults.push(wrong("access.callback.events", event, allowed));
    }
    for (path, command) in c.hooks.commands() {
        let wrong_word = |word: &String| word.contains('\0');
        if command.first().is_some_and(String::is_empty) || command.iter().any(wrong_word) {
            let allowed = "the path or name of a program, then its arguments, without NUL";
            faults.push(wrong(path, "***", allowed));
        }
    }
    if !c.hooks.on_demand.is_empty() && !c.streams.wait_for_publisher {
        let allowed = "true: players wait for what hooks.on_demand publishes";
        faults.push(wrong("streams.wait_for_publisher", "false", allowed));
    }
    if c.listen.iter().any(|listen| listen.proxy_protocol) && c.access.trusted_proxies.is_empty() {
        let allowed = "the networks of the proxies that connect where listen says proxy_protocol";
        faults.push(wrong("access.trusted_proxies", "[]", allowed));
    }
    user_faults(c, &mut faults);
    let push = c.relay.push.iter().map(|rule| rule.check());
    let pull = c.relay.pull.iter().map(|rule| rule.check());
    let push = (1..).zip(push).map(|(n, rule)| ("relay.push", n, rule));
    let pull = (1..).zip(pull).map(|(n, rule)| ("relay.pull", n, rule));
    for (path, number, rule) in push.chain(pull) {
        if let Err(error) = rule {
            faults.push(wrong(path, format!("rule {number}"), error.to_string()));
        }
    }
    if c.relay.retry_max < c.relay.retry_min {
        let value = format!("{:?}", c.relay.retry_max);
        let allowed = format!("at least relay.retry_min, {:?}", c.relay.retry_min);
        faults.push(wrong("relay.retry_max", value, allowed));
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

impl Config {
    /// Nobody may believe that an HTTP server is asked where nobody asks it.
    pub(crate) fn check_callback(&self, nobody_decides: bool) -> Result<(), ConfigError> {
        if !nobody_decides || self.access.callback.url.is_none() {
            return Ok(());
        }
        let allowed = "none: the library asks no HTTP server, and nobody does in on_access";
        Err(wrong("access.callback.url", "***", allowed))
    }
}

fn user_faults(c: &Config, faults: &mut Vec<ConfigError>) {
    let users = &c.access.users;
    for (number, user) in (1..).zip(users) {
        let is_password = |text: &str| !text.is_empty() && !text.contains(char::is_control);
        let allowed = if !Credentials::is_user(&user.user) {
            "a name of 1 to 64 bytes without spaces, quotes and & ? # % / \\"
        } else if !is_password(user.password.reveal()) {
            "a password without control characters"
        } else if users[..number - 1].iter().any(|u| u.user == user.user) {
            "each user once"
        } else {
            continue;
        };
        faults.push(wrong("access.users", format!("user {number}"), allowed));
    }
}

/// Streams that are joined to one, at most, beside itself.
const MOST_VARIANTS: usize = 8;
/// Bytes of what their names end with.
const MOST_ENDING: usize = 32;

/// Of the delivery of streams.
fn http_faults(c: &Config, faults: &mut Vec<ConfigError>) {
    let base = c.http.base_url.as_str();
    if !base.is_empty()
        && let Some(allowed) = web_url::fault(base, &["http", "https"])
    {
        faults.push(wrong("http.base_url", base, allowed));
    }
    let is_origin = |origin: &&String| {
        let (scheme, host) = origin.split_once("://").unwrap_or_default();
        let is_plain = |c: char| c.is_ascii_graphic() && !"/?#@,;\"".contains(c);
        *origin == "*" || (!scheme.is_empty() && !host.is_empty() && host.chars().all(is_plain))
    };
    if let Some(origin) = c.http.cors.origins.iter().find(|o| !is_origin(o)) {
        let allowed = "origins such as https://www.example.org, without a path, or *";
        faults.push(wrong("http.cors.origins", origin, allowed));
    }
    let is_ending = |ending: &String| {
        let is_plain = |c: char| !c.is_control() && !c.is_whitespace() && !"/\\?#,".contains(c);
        (1..=MOST_ENDING).contains(&ending.len()) && ending.chars().all(is_plain)
    };
    let variants = &c.http.variants;
    let wrong_one = variants.iter().enumerate().find(|(place, ending)| {
        !is_ending(ending) || variants[..*place].contains(ending) || *place >= MOST_VARIANTS
    });
    if let Some((_, ending)) = wrong_one {
        let allowed = format!(
            "up to {MOST_VARIANTS} different endings of names, of 1 to {MOST_ENDING} bytes without slashes and spaces"
        );
        faults.push(wrong("http.variants", ending, allowed));
    }
    if c.http.tokens.keys.iter().any(|key| key.len() < 16) {
        faults.push(wrong("http.tokens.keys", "***", "keys of 16 bytes or more"));
    }
}

/// What of `tls` can be told without looking at files.
fn tls_faults(c: &Config, faults: &mut Vec<ConfigError>) {
    let (auth, client) = (&c.tls.client_auth, &c.tls.client);
    let lists = [
        ("tls.client_auth.pins", &auth.pins),
        ("tls.client.pins", &client.pins),
    ];
    for (path, pins) in lists {
        if let Some(pin) = pins.iter().find(|pin| Pin::parse(pin).is_none()) {
            let allowed = "pins such as sha256//BASE64, of 32 bytes";
            faults.push(wrong(path, pin, allowed));
        }
    }
    if auth.mode != ClientAuth::Off && auth.ca.is_none() && auth.pins.is_empty() {
        let allowed = "off, or tls.client_auth.ca or tls.client_auth.pins beside it";
        let mode = format!("{:?}", auth.mode).to_lowercase();
        faults.push(wrong("tls.client_auth.mode", mode, allowed));
    }
    let keys = [
        ("tls.key", &c.tls.key, &c.tls.certificate),
        ("tls.client.key", &client.key, &client.certificate),
    ];
    for (path, key, certificate) in keys {
        if key.is_some() && certificate.is_none() {
            faults.push(wrong(path, "***", "nothing without its certificate"));
        }
    }
    let acme = c.tls.acme.faults().into_iter();
    faults.extend(acme.map(|(path, value, allowed)| wrong(path, value, allowed)));
    #[cfg(feature = "tls")]
    if let Err(unknown) = crate::tls::suites::cipher_suites(&c.tls.cipher_suites) {
        let value = c.tls.cipher_suites.join(", ");
        faults.push(wrong("tls.cipher_suites", value, unknown));
    }
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
    use crate::config::UserConfig;

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
    fn pauses_of_relays_grow() {
        let mut config = Config::desktop();
        config.relay.retry_min = Duration::from_secs(31);
        let error = config.validate().unwrap_err();
        assert_eq!(error.path, "relay.retry_max");
        config.relay.retry_max = Duration::from_secs(31);
        assert_eq!(config.validate(), Ok(()));
    }

    #[test]
    fn users_have_names_that_can_be_said_and_passwords() {
        let mut config = Config::desktop();
        let valid = |config: &mut Config, users: &[(&str, &str)]| {
            let users = users.iter();
            let users = users.map(|(user, password)| UserConfig::new(*user, *password));
            config.access.users = users.collect();
            config.validate().map_err(|error| error.to_string())
        };
        assert_eq!(
            valid(&mut config, &[("ann", "s3cret"), ("bob", "p ss")]),
            Ok(())
        );
        for users in [
            &[("a b", "s3cret")][..],
            &[("a&b", "s3cret")],
            &[("", "s3cret")],
            &[("ann", "")],
            &[("ann", "s3cret\n")],
            &[("ann", "s3cret"), ("ann", "s3cret")],
        ] {
            let error = valid(&mut config, users).unwrap_err();
            assert!(error.starts_with("access.users = user "), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
        assert!(!format!("{config:?}").contains("s3cret"));
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
