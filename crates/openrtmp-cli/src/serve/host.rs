//! A server, and all that hear of it in this process.

use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use openrtmp_core::{Config, Event, Server, StartError};

#[cfg(feature = "tls")]
use super::callback::Callback;
use super::hooks::Hooks;
use super::lives::{Lives, Notice};
use super::metrics::CallbackStatus;
use crate::service::sockets;

/// What there is is looked at no sooner again: events wait meanwhile.
const AGAIN: Duration = Duration::from_secs(1);

/// Who hears of what happens.
pub(super) struct Audience {
    #[cfg(feature = "tls")]
    callback: Option<Callback>,
    hooks: Hooks,
    /// Once it has started.
    server: OnceLock<Weak<Server>>,
}

/// Who publishes and plays, on the thread of events.
#[derive(Default)]
struct Hearing {
    lives: Lives,
    /// Events were lost, and nobody has looked yet what there is.
    is_behind: bool,
    /// It was tried last.
    looked: Option<Instant>,
}

impl Audience {
    fn hear(&self, hearing: &mut Hearing, event: &Event) {
        let server = self.server.get().and_then(Weak::upgrade);
        hearing.is_behind |= matches!(event, Event::Lost { .. });
        let is_time = |looked: &Option<Instant>| looked.is_none_or(|it| it.elapsed() >= AGAIN);
        if hearing.is_behind
            && is_time(&hearing.looked)
            && let Some(server) = &server
        {
            self.look(hearing, server);
            hearing.looked = Some(Instant::now());
        }
        #[cfg(feature = "tls")]
        if let Some(callback) = &self.callback {
            callback.hear(event);
        }
        self.tell(hearing.lives.hear(event, server.as_deref()));
    }

    /// What has happened since is seen by what there is.
    fn look(&self, hearing: &mut Hearing, server: &Server) {
        #[cfg(feature = "tls")]
        let begun = Instant::now();
        let Ok(now) = Lives::of(server) else {
            log::warn!("events were lost, and a worker does not answer");
            // It is looked again with an event a little later.
            return;
        };
        hearing.is_behind = false;
        #[cfg(feature = "tls")]
        if let Some(callback) = &self.callback {
            callback.looked(&now, begun);
        }
        self.tell(hearing.lives.follow(now));
    }

    fn tell(&self, notices: Vec<Notice>) {
        for notice in notices {
            #[cfg(feature = "tls")]
            if let Some(callback) = &self.callback {
                callback.tell(&notice);
            }
            self.hooks.tell(notice);
        }
    }

    /// How it goes with the HTTP server that is asked, if one is.
    pub(super) fn callback_status(&self) -> Option<CallbackStatus> {
        #[cfg(feature = "tls")]
        return self.callback.as_ref().map(Callback::status);
        #[cfg(not(feature = "tls"))]
        None
    }

    /// The server has stopped: what is still to be told is told, and programs end, each
    /// within its time.
    pub(super) fn finish(&self, config: &Config) {
        #[cfg(feature = "tls")]
        if let Some(callback) = &self.callback {
            callback.finish();
        }
        self.hooks.finish(config.hooks.stop_timeout);
    }
}

/// Starts a server, and who hears of it.
pub(super) fn start(config: Config) -> Result<(Arc<Server>, Arc<Audience>), StartError> {
    let system = |source| StartError::System {
        what: "thread",
        source,
    };
    // Those of the service manager.
    let sockets = sockets::given().rtmp_sockets();
    let sockets = sockets.map_err(|source| StartError::System {
        what: "socket",
        source,
    })?;
    #[cfg(feature = "tls")]
    let callback = match config.access.callback.url {
        Some(_) => Some(Callback::start(&config.access.callback).map_err(system)?),
        None => None,
    };
    let audience = Arc::new(Audience {
        #[cfg(feature = "tls")]
        callback,
        hooks: Hooks::start().map_err(system)?,
        server: OnceLock::new(),
    });
    let who = audience.clone();
    let mut hearing = Hearing::default();
    let builder = Server::builder(config).sockets(sockets);
    let builder = builder.on_event(move |event| who.hear(&mut hearing, &event));
    #[cfg(feature = "tls")]
    let builder = match audience.callback {
        None => builder,
        Some(_) => {
            let asking = audience.clone();
            builder.on_access(move |request| {
                // It is there.
                if let Some(callback) = &asking.callback {
                    callback.ask(request);
                }
            })
        }
    };
    let server = Arc::new(builder.start()?);
    // Nobody else sets it.
    let _ = audience.server.set(Arc::downgrade(&server));
    #[cfg(feature = "tls")]
    if let Some(callback) = &audience.callback {
        callback.follow(&server);
    }
    audience.hooks.follow(&server);
    Ok((server, audience))
}
