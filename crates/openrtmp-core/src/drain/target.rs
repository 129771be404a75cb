//! Where those who leave a server go.

use std::sync::Arc;

use crate::relay::template::UrlTemplate;

/// Where peers are asked to connect (`tcUrl` of Enhanced RTMP v2, "Reconnect Request").
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target(Arc<UrlTemplate>);

impl Target {
    /// Of the URL of an app, or of a server, or what is wrong with it.
    pub(crate) fn parse(url: &str) -> Result<Target, String> {
        let wrong = |what: &str| what.to_owned();
        if url.contains(['?', '#']) {
            return Err(wrong("a query may not stand in it"));
        }
        if url.contains("{name}") {
            return Err(wrong("only {app} may stand in braces"));
        }
        let place = url.trim_end_matches('/');
        let host = url
            .split_once("://")
            .map(|(_, rest)| rest.trim_matches('/'));
        if host.is_some_and(str::is_empty) {
            return Err(wrong("it names no host: rtmp://host is expected"));
        }
        let names_app = place
            .split_once("://")
            .is_some_and(|(_, rest)| rest.contains('/'));
        let app = if names_app { "" } else { "/{app}" };
        let template = UrlTemplate::parse(&format!("{place}{app}/{{name}}"));
        match template {
            Ok(template) => Ok(Target(Arc::new(template))),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The `tcUrl` for a peer that is in an app.
    pub(crate) fn tc_url(&self, app: &str) -> Option<String> {
        let url = self.0.of(&format!("{app}/name")).ok()?;
        Some(url.tc_url())
    }
}
