//! Other settings for a running server.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};

use crate::access::{KeyFileError, KeyRecord, Replaced, read_keys};
use crate::config::{Applies, Config, Listen};
use crate::error::StartError;
use crate::events::Event;
use crate::inbox::{Command, Revocable};
use crate::mobile::Signal;
use crate::record::selected;
use crate::server::{Recording, Server, Unanswered, answer_in_time, check_recordable, system};
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
    /// A worker is busy. If that was the one that listens and `listen` was to change,
    /// everything is as it was; otherwise the settings are in force, but for that worker,
    /// which follows when it can.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

impl Server {
    /// Puts other settings in force, all of them or, after an error, none. When it
    /// returns every worker uses them, and [`Event::ConfigChanged`] is on its way.
    ///
    /// - `workers` needs a restart: connections and streams are bound to theirs. So do the
    ///   others that a running server does not read again ([`Applies::Restart`]):
    ///   `http.listen`, `http.tokens.keys`.
    /// - `listen`: addresses that stay keep their sockets, and connections stay
    ///   whatever goes. Addresses on the same port as a new one are closed first;
    ///   if the new one cannot be had, they are opened again.
    /// - `tls`: for connections that come from now on; certificates are read again.
    /// - `rtmp`, but `ping_interval`, and `limits.session`: for connections that
    ///   come from now on; `queue.unsent_bytes`: for players that do;
    ///   `streams.republish_grace`, `streams.goodbye_grace` and `access.decision_timeout`: for what begins from
    ///   now on. Lower limits close nobody.
    /// - `queue.worker_bytes` and `queue.worker_messages`: for publishers, and for streams
    ///   that are first played on a worker, from now on.
    /// - `access`: keys that are no longer named are revoked, as by
    ///   [`Server::revoke_publish_key`] and [`Server::revoke_play_key`]; those added or revoked
    ///   at run time stay so.
    ///   No key named any more, and none added: open, as after a start, and everybody goes on.
    ///   The connections of users that are no longer named, or have another password, end.
    /// - `access.keys_file` is read again, whatever else is the same, as by
    ///   [`Server::reload_keys`].
    /// - `relay`: rules that are the same go on; the connections of those that are gone end.
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
        if config.check_callback(self.shared.access.is_none()).is_err() {
            let paths = vec!["access.callback.url".to_owned()];
            return Err(ReconfigureError::NeedsRestart { paths });
        }
        let before = self.config();
        let records = read_keys(config.access.keys_file.as_deref()).map_err(StartError::from)?;
        let changed = before.changes(&config);
        if changed.is_empty() {
            self.replace_key_records(records);
            return Ok(Reconfigured::default());
        }
        let as_many_workers = config.worker_count() == self.shared.inboxes.len();
        let is_read_once = |path: &&String| {
            let mut settings = Config::settings().iter();
            let setting = settings.find(|setting| setting.path() == path.as_str());
            let is_read_once = setting.is_some_and(|it| it.applies() == Applies::Restart);
            is_read_once && !(as_many_workers && path.as_str() == "workers")
        };
        let paths: Vec<String> = changed.iter().filter(is_read_once).cloned().collect();
        if !paths.is_empty() {
            return Err(ReconfigureError::NeedsRestart { paths });
        }
        let is_recorded_otherwise = before.record != config.record;
        let recorder = match is_recorded_otherwise {
            true => self.prepare_recorder(&config)?,
            false => None,
        };
        #[cfg(feature = "tls")]
        let tls = match self.prepare_tls(&before, &config) {
            Ok(tls) => tls,
            Err(error) => {
                if let Some(recorder) = recorder {
                    recorder.complete();
                }
                return Err(StartError::from(error).into());
            }
        };
        // A new listener must not find none.
        #[cfg(feature = "tls")]
        let tls_before = std::mem::replace(&mut *lock(&self.shared.tls), tls);
        if before.listen != config.listen
            && let Err(error) = self.listen_on(config.listen.clone())
        {
            #[cfg(feature = "tls")]
            {
                *lock(&self.shared.tls) = tls_before;
            }
            if let Some(recorder) = recorder {
                recorder.complete();
            }
            return Err(error);
        }

        // Nothing below can fail.
        #[cfg(feature = "tls")]
        if before.tls != config.tls || before.listen != config.listen {
            self.shared.inboxes[0].send(Command::LookAtCertificates);
        }
        let config = Arc::new(config);
        let is_listen_other = before.listen != config.listen;
        // What closes is closed before anything else opens.
        let opens = records.is_none();
        let mut records = Some(records);
        if !opens && let Some(records) = records.take() {
            self.replace_key_records(records);
        }
        let everywhere = self.put_in_force(&before, &config);
        if let Some(records) = records {
            self.replace_key_records(records);
        }
        if is_listen_other {
            self.shared.inboxes[0].send(Command::LookAround);
        }
        if is_recorded_otherwise {
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

    /// Reads the keys of `access.keys_file` again, for all who come from now on. What was
    /// begun with a record that is no longer there, or is another by now but for its end,
    /// ends; what is being played only if `access.revoke_ends_play` says so. True if any
    /// is another than before.
    ///
    /// # Errors
    /// What is wrong with the file. Then the keys stay as they are.
    pub fn reload_keys(&self) -> Result<bool, KeyFileError> {
        let _turn = lock(&self.reconfiguring);
        let _here = self.works_for();
        let records = read_keys(self.config().access.keys_file.as_deref())?;
        Ok(self.replace_key_records(records))
    }

    fn replace_key_records(&self, records: Option<Vec<KeyRecord>>) -> bool {
        let Replaced { added, revoked } = self.shared.key_records.replace(records);
        if added + revoked == 0 {
            return false;
        }
        log::info!("keys read again: {added} new or other, {revoked} revoked");
        self.end_what_nothing_opens();
        true
    }

    /// Sends settings that may differ in all but `workers`, `listen` and `record`
    /// to the workers. What it returns ends once all of them use these.
    pub(crate) fn put_in_force(&self, before: &Config, config: &Arc<Config>) -> Receiver<()> {
        *lock(&self.shared.config) = config.clone();
        self.shared.budget.set_limit(config.limits.memory);
        self.shared.log_limit.set(config.limits.log_lines);
        self.shared.address_rules.set(&config.access);
        let secret_names = config.access.secret_names;
        self.shared
            .secret_names
            .store(secret_names, Ordering::Relaxed);
        if before.mobile != config.mobile {
            self.shared
                .notify_mobile(Signal::Configure(config.mobile.clone()));
        }
        let (in_force, everywhere) = channel();
        for inbox in &self.shared.inboxes {
            inbox.send(Command::Configure(config.clone(), in_force.clone()));
        }
        self.change_users(before, config);
        self.change_keys(before, config);
        let (old, new) = (&before.limits, &config.limits);
        let is_limit_other =
            old.relay_redirects != new.relay_redirects || old.relay_hops != new.relay_hops;
        if before.relay != config.relay || is_limit_other {
            self.shared.configure_relays(config);
        }
        everywhere
    }

    fn listen_on(&self, addresses: Vec<Listen>) -> Result<(), ReconfigureError> {
        let (answer, answered) = channel();
        let order = Revocable::default();
        self.shared.inboxes[0].send(Command::Listen {
            addresses,
            order: order.clone(),
            answer,
        });
        let bound = match answer_in_time(&answered) {
            // The worker is at it by now.
            Err(Unanswered) if !order.claim() => answer_in_time(&answered),
            answered => answered,
        };
        match bound? {
            Some(Ok(bound)) => {
                *lock(&self.shared.listening) = bound;
                Ok(())
            }
            Some(Err((address, source))) => Err(StartError::Listen { address, source }.into()),
            None => Err(ReconfigureError::Stopping),
        }
    }

    fn change_keys(&self, before: &Config, config: &Config) {
        let (before, after) = (&before.access, &config.access);
        let keys = [
            (&self.shared.play_keys, &before.play_keys, &after.play_keys),
            (
                &self.shared.publish_keys,
                &before.publish_keys,
                &after.publish_keys,
            ),
        ];
        let are_others = keys.iter().any(|(_, before, after)| before != after);
        for (ring, before, after) in keys {
            ring.reconfigure(before, after);
        }
        if are_others || before.revoke_ends_play != after.revoke_ends_play {
            self.end_what_nothing_opens();
        }
    }

    fn change_users(&self, before: &Config, config: &Config) {
        let users = &self.shared.users;
        if before.limits.challenges != config.limits.challenges {
            users.set_challenges(config.limits.challenges);
        }
        if before.access == config.access {
            return;
        }
        for user in users.reconfigure(&config.access) {
            for inbox in &self.shared.inboxes {
                let user = user.clone();
                inbox.send(Command::EndUser { user });
            }
        }
    }

    fn prepare_recorder(&self, config: &Config) -> Result<Option<Recording>, StartError> {
        let Some(record) = &config.record else {
            return Ok(None);
        };
        check_recordable(record)?;
        let selection = selected(record);
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
