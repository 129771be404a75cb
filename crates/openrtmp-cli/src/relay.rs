use std::time::Duration;

use openrtmp_core::{Config, PullRule, PullStart, PushRule, RelayDirection, RelayState, Server};
use openrtmp_protocol::RtmpUrl;

use crate::connection::Trust;
use crate::console::say;
use crate::exit::Failure;
use crate::progress::Progress;
use crate::signal::Stop;
use crate::units::{clock, size};

/// The stream's path within this process.
const STREAM: &str = "relay/stream";

/// How long the other servers have to hear a goodbye.
const GRACE: Duration = Duration::from_secs(1);

/// How often the status line changes.
const INTERVAL: Duration = Duration::from_secs(1);

/// Flags of `openrtmp relay`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to fetch: rtmp://host[:port]/app/stream[?query], or rtmps://
    #[arg(value_name = "FROM", value_parser = url)]
    from: String,
    /// Where to publish it: rtmp://host[:port]/app/stream[?query], or rtmps://
    #[arg(value_name = "TO", value_parser = url)]
    to: String,
    #[command(flatten)]
    trust: Trust,
}

/// The text of a URL, as the rules have it.
fn url(text: &str) -> Result<String, String> {
    RtmpUrl::parse(text).map_err(|error| error.to_string())?;
    match text.contains(['{', '}']) {
        true => Err("braces are to be written as %7B and %7D".to_owned()),
        false => Ok(text.to_owned()),
    }
}

/// Passes the stream on until Ctrl-C, whatever happens to either server.
pub(crate) fn run(arguments: &Arguments, stop: &Stop) -> Result<(), Failure> {
    let mut pull = PullRule::new(STREAM, &arguments.from);
    pull.start = PullStart::Always;
    let mut config = Config::desktop();
    config.listen.clear();
    config.workers = 1;
    config.tls.client = arguments.trust.settings()?;
    config.relay.pull = vec![pull];
    config.relay.push = vec![PushRule::new(STREAM, &arguments.to)];
    let started = Server::start(config);
    let server = started.map_err(|error| Failure::Usage(error.to_string()))?;
    // The first signal ends the wait, the second the process.
    stop.handle(vec![Box::new(|| {})]);
    let mut progress = Progress::new(None);
    while !stop.wait(Some(INTERVAL)) {
        let metrics = server.metrics();
        let uptime = Duration::from_secs_f64(metrics.uptime_seconds);
        let states = states(&server);
        progress.show(uptime, metrics.bytes_out, || states);
    }
    drop(progress);
    let summary = server.stop(GRACE);
    say(&format!(
        "relayed for {}: {} in, {} out",
        clock(summary.uptime),
        size(summary.bytes_in),
        size(summary.bytes_out)
    ));
    Ok(())
}

/// How both sides stand.
fn states(server: &Server) -> String {
    let of = |direction| {
        let mut rules = server.relays().into_iter();
        let rule = rules.find(|rule| rule.direction == direction);
        let link = rule.and_then(|rule| rule.links.into_iter().next());
        link.map_or("idle", |link| match link.state {
            RelayState::Running => "on",
            other => other.as_str(),
        })
    };
    let (from, to) = (of(RelayDirection::Pull), of(RelayDirection::Push));
    format!("from: {from}  to: {to}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_no_template() {
        assert!(url("rtmp://host/live/cam?key=1").is_ok());
        for text in [
            "rtmp://host/live/{name}",
            "http://host/live/cam",
            "rtmp://host",
        ] {
            assert!(url(text).is_err(), "{text}");
        }
    }
}
