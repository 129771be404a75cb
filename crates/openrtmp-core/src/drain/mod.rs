//! Going out of service without cutting anybody off: nobody new is taken, and those who
//! are there leave in their own time, to another server if they can.

pub(crate) mod state;
pub(crate) mod target;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use self::target::Target;
use crate::inbox::Command;
use crate::server::{LONGEST_GRACE, Server, Summary};

/// How [`Server::drain`] goes about it.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainOptions {
    /// How long peers may take to leave. Zero stops at once.
    pub grace: Duration,
    /// Where those go that can be asked to, and those who come meanwhile: the URL of an app, `rtmp://host/app` or
    /// `rtmps://host/app`, in which `{app}` stands for the app that a peer is in; a URL
    /// without a path leads to the same app. `None`: they come back to the address that
    /// they know, and who comes is told of no other.
    pub to: Option<String>,
}

impl DrainOptions {
    /// Peers may take so long, and are sent nowhere else.
    pub fn new(grace: Duration) -> DrainOptions {
        DrainOptions { grace, to: None }
    }

    /// Sends those that can be asked to another server.
    #[must_use]
    pub fn to(mut self, url: impl Into<String>) -> DrainOptions {
        self.to = Some(url.into());
        self
    }

    /// Checks it, as [`Server::drain`] does.
    ///
    /// # Errors
    /// [`DrainError::Url`].
    pub fn check(&self) -> Result<(), DrainError> {
        self.target().map(drop)
    }

    fn target(&self) -> Result<Option<Target>, DrainError> {
        let to = self.to.as_deref().map(Target::parse).transpose();
        to.map_err(DrainError::Url)
    }
}

/// A user and a password in the URL are not shown.
impl std::fmt::Debug for DrainOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DrainOptions")
            .field("grace", &self.grace)
            .field("to", &self.target().ok().flatten())
            .finish()
    }
}

/// Why a server is not drained. The text holds neither user nor password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DrainError {
    /// The URL is none that a peer could be sent to.
    #[error("the URL: {0}")]
    Url(String),
    /// It is being drained already.
    #[error("the server is being drained already")]
    Busy,
    /// The server is stopping, or has stopped.
    #[error("the server is stopping")]
    Stopping,
}

impl Server {
    /// Goes out of service and stops, without cutting anybody off before the grace is
    /// over. From now on:
    ///
    /// - who connects, or asks to publish or play, is refused and told that the server is
    ///   being drained, and who connects, where to go (`ex.redirect`), if
    ///   [`DrainOptions::to`] is set; connections that do nothing are closed; it goes on listening, and
    ///   [`Health::ready`](crate::Health::ready) is false;
    /// - peers that announced that they know it (`capsEx` of Enhanced RTMP v2) are asked
    ///   to connect again, at [`DrainOptions::to`] if that is set: a player or an encoder
    ///   is elsewhere in a moment. The others publish and play on until they leave;
    /// - what the server relays and the host itself publishes goes on, and is not waited
    ///   for.
    ///
    /// When all peers have left, or after the grace, it stops as [`Server::stop`] does
    /// with a grace of zero. Waits for that, at the latest a second beyond the grace.
    /// [`Server::stop`] and [`Server::force`] from another thread end the waiting; after
    /// the former, the summary is that call's, and this one returns an empty one.
    ///
    /// # Errors
    /// Then nothing has changed.
    pub fn drain(&self, options: &DrainOptions) -> Result<Summary, DrainError> {
        let begun = Instant::now();
        let until = begun.checked_add(options.grace);
        let until = until.unwrap_or_else(|| begun + LONGEST_GRACE);
        self.begin_drain(options)?;
        self.shared.drain.wait(until);
        Ok(self.stop(Duration::ZERO))
    }

    /// The part of [`Server::drain`] that does not wait.
    pub(crate) fn begin_drain(&self, options: &DrainOptions) -> Result<(), DrainError> {
        let to = options.target()?;
        let shared = &self.shared;
        if shared.stopping.load(Ordering::Acquire) {
            return Err(DrainError::Stopping);
        }
        if !shared.drain.begin(to.clone()) {
            return Err(DrainError::Busy);
        }
        let _here = self.works_for();
        let there = shared.drain.guests();
        log::info!(
            "draining: nobody new is taken, {there} connections have {:?} to leave",
            options.grace
        );
        for inbox in &shared.inboxes {
            inbox.send(Command::AskToLeave { to: to.clone() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn a_target_is_for_every_app() {
        for (url, app, expected) in [
            ("rtmp://b", "live", "rtmp://b/live"),
            ("rtmp://b:1936/", "a/b", "rtmp://b:1936/a/b"),
            ("rtmps://b/{app}", "live", "rtmps://b/live"),
            ("rtmp://b/x-{app}", "li/ve", "rtmp://b/x-li/ve"),
            ("rtmp://b/other", "live", "rtmp://b/other"),
            ("rtmp://b/live", "", "rtmp://b/live"),
            ("rtmp://b", "", "rtmp://b/"),
        ] {
            let target = Target::parse(url).expect(url);
            assert_eq!(target.tc_url(app).as_deref(), Some(expected), "{url}");
        }
    }

    #[test]
    fn what_no_peer_could_be_sent_to_is_refused() {
        for url in [
            "",
            "b",
            "http://b/live",
            "rtmp://",
            "rtmp://b/live?key=SECRET",
            "rtmp://b/{name}",
            "rtmp://{app}/live",
            "rtmp://me:SECRET@/live",
        ] {
            let options = DrainOptions::new(Duration::ZERO).to(url);
            let Err(DrainError::Url(what)) = options.check() else {
                panic!("{url} is taken");
            };
            assert!(!what.contains("SECRET"), "{what}");
            assert_eq!(
                what.contains("it names no host"),
                url == "rtmp://",
                "{what}"
            );
        }
        let options = DrainOptions::new(Duration::ZERO).to("rtmp://me:SECRET@b/live");
        assert_eq!(options.check(), Ok(()));
        assert!(!format!("{options:?}").contains("SECRET"));
    }

    fn server() -> Server {
        let mut config = Config::desktop();
        config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
        Server::start(config).expect("it starts")
    }

    #[test]
    fn with_nobody_there_it_is_over_at_once() {
        let server = server();
        let hours = DrainOptions::new(Duration::from_secs(3600));
        let summary = server.drain(&hours).expect("it is drained");
        assert_eq!(summary.left_behind, 0);
        assert_eq!(server.drain(&hours), Err(DrainError::Stopping));
    }

    #[test]
    fn who_waits_for_the_last_is_told_or_cut_short() {
        for ends in [Server::force, |server: &Server| {
            server.stop(Duration::ZERO);
        }] {
            let server = server();
            let _guest = std::net::TcpStream::connect(server.addresses()[0]).expect("it listens");
            while server.shared.drain.guests() == 0 {
                std::thread::yield_now();
            }
            let hours = DrainOptions::new(Duration::from_secs(3600));
            std::thread::scope(|scope| {
                let drained = scope.spawn(|| server.drain(&hours));
                while !server.shared.drain.is_on() {
                    std::thread::yield_now();
                }
                let again = server.drain(&DrainOptions::default());
                assert_eq!(again, Err(DrainError::Busy));
                ends(&server);
                assert!(drained.join().expect("no panic").is_ok());
            });
        }
    }

    #[test]
    fn when_the_last_has_left_it_stops() {
        let server = server();
        let guest = std::net::TcpStream::connect(server.addresses()[0]).expect("it listens");
        while server.shared.drain.guests() == 0 {
            std::thread::yield_now();
        }
        let hours = DrainOptions::new(Duration::from_secs(3600));
        std::thread::scope(|scope| {
            let drained = scope.spawn(|| server.drain(&hours));
            while !server.shared.drain.is_on() {
                std::thread::yield_now();
            }
            let health = server.health();
            assert!(health.live && !health.ready, "{health:?}");
            assert_eq!(health.reasons, ["the server is being drained"]);
            drop(guest);
            let summary = drained.join().expect("no panic").expect("it is drained");
            assert_eq!((summary.accepted, summary.forced), (1, 0));
        });
    }
}
