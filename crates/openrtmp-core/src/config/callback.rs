//! Asking an HTTP server who may do what.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::document::milliseconds;
use super::tls::{Pem, text_or_none};

/// What an HTTP server is asked and told. The `openrtmp` command does it; a program that
/// embeds the server decides in `on_access`, and may do it there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CallbackConfig {
    /// Where it is asked, `http://` or `https://`; `None`: nowhere.
    #[serde(with = "text_or_none")]
    pub url: Option<String>,
    /// In whose words.
    pub format: CallbackFormat,
    /// What it is asked about and told of, see [`CallbackConfig::EVENTS`].
    pub events: Vec<String>,
    /// For one answer, 100 ms to 1 min.
    #[serde(with = "milliseconds")]
    pub timeout: Duration,
    /// What holds where there is no answer, or one that says nothing.
    pub fallback: CallbackFallback,
    /// How long a consent holds for the same wish from the same address; zero: not at all.
    /// Up to 1 day.
    #[serde(with = "milliseconds")]
    pub cache: Duration,
    /// How often it is asked again about what is being published and played, which a refusal
    /// ends: 1 s to 1 day; zero: never. About what began while it was zero nobody asks later.
    #[serde(with = "milliseconds")]
    pub update_interval: Duration,
    /// With it each request is signed.
    #[serde(with = "text_or_none")]
    pub secret: Option<String>,
    /// The authorities whose servers are believed, in place of those of the operating
    /// system.
    #[serde(with = "text_or_none")]
    pub ca: Option<Pem>,
}

/// The words in which an HTTP server is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CallbackFormat {
    /// Our own: JSON.
    #[default]
    Json,
    /// The form fields of nginx-rtmp's `on_connect`, `on_publish`, ...
    Nginx,
    /// The JSON of SRS's HTTP hooks.
    Srs,
    /// The JSON of MediaMTX's `authHTTPAddress`.
    Mediamtx,
}

/// What holds where nobody answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CallbackFallback {
    /// Nobody may.
    #[default]
    Deny,
    /// Everybody may.
    Allow,
}

impl CallbackConfig {
    /// What it can be asked about and told of.
    pub const EVENTS: [&'static str; 7] = [
        "connect",
        "publish",
        "play",
        "update",
        "publish_done",
        "play_done",
        "record_done",
    ];
}

impl Default for CallbackConfig {
    fn default() -> CallbackConfig {
        CallbackConfig {
            url: None,
            format: CallbackFormat::Json,
            events: CallbackConfig::EVENTS.map(str::to_owned).into(),
            timeout: Duration::from_secs(5),
            fallback: CallbackFallback::Deny,
            cache: Duration::ZERO,
            update_interval: Duration::ZERO,
            secret: None,
            ca: None,
        }
    }
}

/// The secret is not shown, nor what may be one in the URL.
impl fmt::Debug for CallbackConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackConfig")
            .field("url", &self.url.as_deref().map(shown))
            .field("format", &self.format)
            .field("events", &self.events)
            .field("timeout", &self.timeout)
            .field("fallback", &self.fallback)
            .field("cache", &self.cache)
            .field("update_interval", &self.update_interval)
            .field("secret", &self.secret.as_ref().map(|_| "***"))
            .field("ca", &self.ca)
            .finish()
    }
}

/// A URL without what may be a secret: user, password and query.
pub(super) fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return "***".to_owned();
    };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, _)) => (rest, "?***"),
        None => (rest, ""),
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let (user, rest) = match authority.rsplit_once('@') {
        Some((user, _)) => ("***", &rest[user.len()..]),
        None => ("", rest),
    };
    format!("{scheme}://{user}{rest}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_may_be_secret() {
        for (url, expected) in [
            ("http://auth:8000/rtmp", "http://auth:8000/rtmp"),
            (
                "https://me:SECRET@auth/a?b=SECRET",
                "https://***@auth/a?***",
            ),
            ("https://SECRET@auth", "https://***@auth"),
            ("SECRET", "***"),
        ] {
            assert_eq!(shown(url), expected);
        }
        let config = CallbackConfig {
            url: Some("http://me:SECRET@auth/".to_owned()),
            secret: Some("SECRET".to_owned()),
            ..CallbackConfig::default()
        };
        assert!(!format!("{config:?}").contains("SECRET"));
    }
}
