//! Asks again about what goes on (`access.callback.update_interval`), one after the other on
//! a thread of its own. A refusal ends the connection; without an answer it goes on.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use openrtmp_core::{CallbackConfig, ConnectionId, Event};

use super::formats::{Matter, Update, Verdict};
use super::{Shared, Wish, is_wanted, lock};
use crate::serve::lives::{Lives, Notice, What};

/// What is asked about again. Beyond that nobody asks about the newest.
const MOST: usize = 16_384;

/// How often it is looked what is due, while something goes on.
const LOOK: Duration = Duration::from_secs(1);

/// The thread that asks. It ends with this value.
pub(super) struct Updates(Arc<Shared>);

/// What goes on and is asked about again.
#[derive(Default)]
pub(super) struct Going {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    granted: BTreeMap<Key, Grant>,
    is_over: bool,
}

/// A connection, `publish` or `play`, and the path of the stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    connection: ConnectionId,
    event: &'static str,
    path: String,
}

struct Grant {
    matter: Matter,
    since: Instant,
    asked: Instant,
    has_begun: bool,
}

/// Whether it is asked again at all.
pub(super) fn are_wanted(config: &CallbackConfig) -> bool {
    !config.update_interval.is_zero() && is_wanted(config, "update")
}

impl Key {
    /// `None` for what does not go on.
    pub(super) fn of(
        connection: Option<ConnectionId>,
        event: &'static str,
        path: &str,
    ) -> Option<Key> {
        Some(Key {
            connection: connection.filter(|_| ["publish", "play"].contains(&event))?,
            event,
            path: path.to_owned(),
        })
    }
}

impl Updates {
    pub(super) fn start(shared: &Arc<Shared>) -> std::io::Result<Updates> {
        let asking = shared.clone();
        let thread = thread::Builder::new().name("callback-update".to_owned());
        thread.spawn(move || asking.going.run(&asking))?;
        Ok(Updates(shared.clone()))
    }
}

impl Drop for Updates {
    fn drop(&mut self) {
        lock(&self.0.going.state).is_over = true;
        self.0.going.changed.notify_one();
    }
}

impl Going {
    /// Somebody may; whether it begins is told by events. False if there are too many.
    pub(super) fn grant(&self, key: Key, matter: &Matter) -> bool {
        let now = Instant::now();
        let mut state = lock(&self.state);
        if state.granted.len() >= MOST && !state.granted.contains_key(&key) {
            return false;
        }
        let grant = Grant {
            matter: matter.clone(),
            since: now,
            asked: now,
            has_begun: false,
        };
        state.granted.insert(key, grant);
        self.changed.notify_one();
        true
    }

    /// It came too late.
    pub(super) fn withdraw(&self, key: &Key) {
        lock(&self.state).granted.remove(key);
    }

    /// Follows what begins and ends.
    pub(super) fn follow(&self, notice: &Notice) {
        let key = |event| Key::of(notice.connection, event, notice.name.reveal());
        let mut state = lock(&self.state);
        match &notice.what {
            What::Published(_) => state.begin(key("publish")),
            What::Joined => state.begin(key("play")),
            What::Unpublished(_) => state.end(key("publish")),
            What::Left => state.end(key("play")),
            What::Recorded(_) => {}
        }
    }

    /// A connection is over, with all that it did.
    pub(super) fn hear(&self, event: &Event) {
        if let Event::ConnectionClosed { connection, .. } = event {
            lock(&self.state).end_all(*connection);
        }
    }

    /// Of connections that are not there, some may have gone untold. Who came since then may
    /// not have been seen; what began and ended is told in notices.
    pub(super) fn looked(&self, there: &Lives, then: Instant) {
        let mut state = lock(&self.state);
        state
            .granted
            .retain(|key, grant| grant.since >= then || there.is_open(key.connection));
    }
}

impl State {
    fn begin(&mut self, key: Option<Key>) {
        if let Some(grant) = key.and_then(|key| self.granted.get_mut(&key)) {
            grant.has_begun = true;
        }
    }

    fn end(&mut self, key: Option<Key>) {
        if let Some(key) = key {
            self.granted.remove(&key);
        }
    }

    fn end_all(&mut self, connection: ConnectionId) {
        let first = Key {
            connection,
            event: "",
            path: String::new(),
        };
        let of_it = self.granted.range(first..).map(|(key, _)| key.clone());
        let of_it: Vec<Key> = of_it.take_while(|k| k.connection == connection).collect();
        for key in of_it {
            self.granted.remove(&key);
        }
    }

    /// What is to be asked about by now.
    fn due(&mut self, interval: Duration) -> Vec<(Key, Matter)> {
        let now = Instant::now();
        let is_due = |grant: &Grant| grant.has_begun && now - grant.asked >= interval;
        let due = self.granted.iter_mut().filter(|(_, grant)| is_due(grant));
        let due = due.map(|(key, grant)| {
            grant.asked = now;
            let update = Update {
                of: key.event,
                seconds: (now - grant.since).as_secs(),
            };
            let matter = Matter {
                event: "update",
                update: Some(update),
                ..grant.matter.clone()
            };
            (key.clone(), matter)
        });
        due.collect()
    }
}

impl Going {
    fn run(&self, shared: &Shared) {
        while self.wait() {
            let config = shared.config();
            if !are_wanted(&config) {
                // Settings are others by now. Without anything to ask about nothing wakes it.
                lock(&self.state).granted.clear();
                continue;
            }
            let Some(server) = shared.server() else {
                continue;
            };
            let due = lock(&self.state).due(config.update_interval);
            for (key, matter) in due {
                // It may be over meanwhile.
                if !lock(&self.state).granted.contains_key(&key) {
                    continue;
                }
                let Verdict::Refused(reason) = shared.put(&config, &matter) else {
                    continue;
                };
                // Who comes again is asked about.
                shared.forget(&Wish::of(&matter));
                log::info!(
                    connection:% = key.connection;
                    "{} of connection {} is no longer allowed: {reason}", key.event, key.connection
                );
                let ended =
                    server.disconnect(key.connection, &format!("no longer allowed: {reason}"));
                if let Err(error) = ended {
                    // Asked about again, and ended then.
                    log::warn!("connection {} goes on: {error}", key.connection);
                }
            }
        }
    }

    /// Waits until something may be due; false if it is over.
    fn wait(&self) -> bool {
        let state = lock(&self.state);
        let idle = |state: &mut State| state.granted.is_empty() && !state.is_over;
        let state = self.changed.wait_while(state, idle);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        let goes_on = |state: &mut State| !state.is_over;
        let waited = self.changed.wait_timeout_while(state, LOOK, goes_on);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_is_to_be_asked_about_again_is_not_kept() {
        let mut config = CallbackConfig::default();
        config.url = Some("http://h/".to_owned());
        assert!(!are_wanted(&config), "the default");
        config.update_interval = Duration::from_secs(1);
        assert!(are_wanted(&config));
        config.events.retain(|event| event != "update");
        assert!(!are_wanted(&config));
    }

    #[test]
    fn what_went_untold_is_not_asked_about_again() {
        let going = Going::default();
        let matter = Matter::default();
        let key = |connection, path| {
            let connection = Some(ConnectionId::from_u64(connection));
            Key::of(connection, "play", path).expect("it goes on")
        };
        assert!(going.grant(key(1, "live/a"), &matter));
        let then = Instant::now();
        assert!(going.grant(key(2, "live/a"), &matter));
        // Nobody is there by now; the second came after that was seen.
        going.looked(&Lives::default(), then);
        let state = lock(&going.state);
        assert_eq!(
            state.granted.keys().collect::<Vec<_>>(),
            [&key(2, "live/a")]
        );
    }
}
