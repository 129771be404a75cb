//! Other settings for a running server.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};

use crate::config::{Config, Listen};
use crate::error::StartError;
use crate::events::Event;
use crate::inbox::Command;
use crate::server::{Recording, Server, Unanswered, answer_in_time, check_recordable, system};
use crate::stream::tap_queue::Selection;
use crate::sync::lock;

/// What [`Server::reconfigure`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reconfigured {
    /// Dotted paths of the settings that are different now.
    pub changed: Vec<String>,
}

/// Why a server keeps the settings it has, all of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconfigureError {
    /// What would keep a server from starting: a value that is not allowed, an
    /// address that is taken, a folder that cannot be written.
    #[error(transparent)]
    Start(#[from] StartError),
    /// These settings are read when a server starts.
    #[error("only a restart changes {}", paths.join(", "))]
    NeedsRestart {
        /// Their dotted paths.
        paths: Vec<String>,
    },
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
    /// A worker is busy. If that was the one that listens, the addresses may change
    /// later, or not, and everything else is as it was; otherwise the settings are in
    /// force, but for that worker, which follows when it can.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

impl Server {
    /// Puts other settings in force, all of them or, after an error, none. When it
    /// returns every worker uses them, and [`Event::ConfigChanged`] is on its way.
    ///
    /// - `workers` needs a restart: connections and streams are bound to theirs.
    /// - `listen`: addresses that stay keep their sockets, and connections stay
    ///   whatever goes. Addresses on the same port as a new one are closed first;
    ///   if the new one cannot be had, they are opened again.
    /// - `rtmp`, but `ping_interval`, and `limits.session`: for connections that
    ///   come from now on; `queue.unsent_bytes`: for players that do;
    ///   `streams.republish_grace`, `streams.goodbye_grace` and `access.decision_timeout`: for what begins from
    ///   now on. Lower limits close nobody.
    /// - `queue.worker_bytes` and `queue.worker_messages`: for publishers, and for streams
    ///   that are first played on a worker, from now on.
    /// - `access`: keys that are no longer named are revoked, as by
    ///   [`Server::revoke_publish_key`]; those added or revoked at run time stay so.
    ///   No key named any more, and none added: open, as after a start.
    /// - `record`: what is being recorded is completed, and files after the new
    ///   settings begin at each stream's newest key frame.
    ///
    /// It waits at most 1 s for the workers, and 5 s for recordings to be completed.
    pub fn reconfigure(&self, config: Config) -> Result<Reconfigured, ReconfigureError> {
        let _turn = lock(&self.reconfiguring);
        let _here = self.works_for();
        if self.shared.stopping.load(Ordering::Acquire) {
            return Err(ReconfigureError::Stopping);
        }
        config.validate().map_err(StartError::from)?;
        let before = self.config();
        let changed = before.changes(&config);
        if changed.is_empty() {
            return Ok(Reconfigured::default());
        }
        if config.worker_count() != self.shared.inboxes.len() {
            let paths = vec!["workers".to_owned()];
            return Err(ReconfigureError::NeedsRestart { paths });
        }
        let records = before.record != config.record;
        let recorder = match records {
            true => self.prepare_recorder(&config)?,
            false => None,
        };
        if before.listen != config.listen
            && let Err(error) = self.listen_on(config.listen.clone())
        {
            if let Some(recorder) = recorder {
                recorder.complete();
            }
            return Err(error);
        }

        // Nothing below can fail.
        let config = Arc::new(config);
        let everywhere = self.put_in_force(&before, &config);
        if records {
            self.replace_recorder(recorder);
        }
        // Never a message: the last worker drops the last sender.
        let in_force = answer_in_time(&everywhere);
        log::info!("settings changed: {}", changed.join(", "));
        self.shared.events.send(Event::ConfigChanged {
            paths: changed.clone(),
            listen: self.addresses(),
        });
        in_force?;
        Ok(Reconfigured { changed })
    }

    /// Sends settings that may differ in all but `workers`, `listen` and `record`
    /// to the workers. What it returns ends once all of them use these.
    pub(crate) fn put_in_force(&self, before: &Config, config: &Arc<Config>) -> Receiver<()> {
        *lock(&self.shared.config) = config.clone();
        self.shared.budget.set_limit(config.limits.memory);
        self.shared.log_limit.set(config.limits.log_lines);
        let secret_names = config.access.secret_names;
        self.shared
            .secret_names
            .store(secret_names, Ordering::Relaxed);
        let (in_force, everywhere) = channel();
        for inbox in &self.shared.inboxes {
            inbox.send(Command::Configure(config.clone(), in_force.clone()));
        }
        self.change_keys(before, config);
        everywhere
    }

    fn listen_on(&self, addresses: Vec<Listen>) -> Result<(), ReconfigureError> {
        let (answer, answered) = channel();
        self.shared.inboxes[0].send(Command::Listen { addresses, answer });
        match answer_in_time(&answered)? {
            Some(Ok(bound)) => {
                *lock(&self.addresses) = bound;
                Ok(())
            }
            Some(Err((address, source))) => Err(StartError::Listen { address, source }.into()),
            None => Err(ReconfigureError::Stopping),
        }
    }

    fn change_keys(&self, before: &Config, config: &Config) {
        let (before, after) = (&before.access, &config.access);
        let shared = &self.shared;
        if before.play_keys != after.play_keys {
            let ring = &shared.play_keys;
            ring.reconfigure(&before.play_keys, &after.play_keys);
        }
        if before.publish_keys != after.publish_keys {
            let ring = &shared.publish_keys;
            for key in ring.reconfigure(&before.publish_keys, &after.publish_keys) {
                self.end_publishers_with(&key);
            }
        }
    }

    fn prepare_recorder(&self, config: &Config) -> Result<Option<Recording>, StartError> {
        let Some(record) = &config.record else {
            return Ok(None);
        };
        check_recordable(record)?;
        let selection = Selection::Apps(record.apps.clone());
        let recorder = self.spawn_recorder(record.clone(), selection);
        recorder.map(Some).map_err(system("thread"))
    }

    /// The new one begins before the old one ends: a frame between them is in both
    /// rather than in neither.
    fn replace_recorder(&self, recorder: Option<Recording>) {
        let mut running = lock(&self.running);
        let Some(running) = &mut *running else {
            // Stopped meanwhile: nothing came, and nothing will.
            if let Some(recorder) = recorder {
                recorder.complete();
            }
            return;
        };
        if let Some(recorder) = &recorder {
            recorder.tap().attach(&self.shared);
        }
        if let Some(old) = std::mem::replace(&mut running.recorder, recorder) {
            old.tap().detach(&self.shared);
            old.complete();
        }
    }
}
