//! A server, and all that hear of it in this process.

use std::sync::Arc;

use openrtmp_core::{Config, Event, Server, StartError};

#[cfg(feature = "tls")]
use super::callback::Callback;
use super::hooks::Hooks;
use super::metrics::CallbackStatus;
use super::witness::{Notice, Witness};
use crate::service::sockets;

/// Who hears of what happens.
pub(super) struct Audience {
    #[cfg(feature = "tls")]
    callback: Option<Callback>,
    hooks: Hooks,
}

impl Audience {
    fn hear(&self, event: &Event, notices: Vec<Notice>) {
        if let Event::Lost { .. } = event {
            self.hooks.missed();
        }
        #[cfg(feature = "tls")]
        if let Some(callback) = &self.callback {
            callback.hear(event);
        }
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
    });
    let hearing = audience.clone();
    let mut witness = Witness::default();
    let builder = Server::builder(config).sockets(sockets);
    let builder = builder.on_event(move |event| {
        let notices = witness.hear(&event);
        hearing.hear(&event, notices);
    });
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
    #[cfg(feature = "tls")]
    if let Some(callback) = &audience.callback {
        callback.follow(&server);
    }
    audience.hooks.follow(&server);
    Ok((server, audience))
}
