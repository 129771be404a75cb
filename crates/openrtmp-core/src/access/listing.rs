//! Which streams somebody may be told of who comes over another protocol than RTMP.

use std::sync::atomic::Ordering;

use super::KeyKind;
use super::action::AccessAction;
use super::keys::{is_equal, key_in};
use super::visitor::{PlayGranted, PlayRequest, attempt};
use crate::secret::StreamName;
use crate::server::Server;

/// Who asks for a list came with a key that opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongKey;

impl Server {
    /// A stream's name as a list may have it. `None`: a key stands in it, or may. Where
    /// publishing takes no key the name of a stream is none, though log lines mask it as long
    /// as playing takes one.
    pub fn listed_name<'a>(&self, stream: &'a StreamName) -> Option<&'a str> {
        let shared = &self.shared;
        let takes_key = shared.asks_for_key(KeyKind::Publish);
        let may_be_key = takes_key || shared.secret_names.load(Ordering::Relaxed);
        let shown = match may_be_key {
            true => stream.shown(),
            false => stream.without_keys(),
        };
        (shown == stream.reveal()).then_some(shown)
    }

    /// Of these streams, those that somebody may play, as far as that is known without asking
    /// the host: none where a host is asked, nor where users log in, nor while nobody new is
    /// taken ([`Server::takes_players`]). `request` says who it is
    /// and has its key in the query; its path is of no meaning.
    ///
    /// Nothing is written in the log, and who may play is not taken for somebody who does:
    /// lists are asked for again and again. May be called from any thread.
    ///
    /// # Errors
    /// [`WrongKey`] if keys are asked for and its own is none of them; that counts for
    /// `access.failed_attempts`, as does any other guess.
    pub fn playable(
        &self,
        request: &PlayRequest,
        streams: &[StreamName],
    ) -> Result<Vec<PlayGranted>, WrongKey> {
        let shared = &self.shared;
        let asks_others = !shared.access.is_none() || shared.users.demands(false);
        if asks_others || !self.takes_players() {
            return Ok(Vec::new());
        }
        let _here = self.works_for();
        let asks_for_key = shared.asks_for_key(KeyKind::Play);
        let query = request.query.as_str();
        match key_in(query) {
            None if asks_for_key => return Ok(Vec::new()),
            Some(key) if asks_for_key && !self.opens_something(key) => {
                let nowhere = shared.host_name("");
                shared.wrong_keys.fetch_add(1, Ordering::Relaxed);
                shared.note_failure(&attempt(shared, request, nowhere, None));
                return Err(WrongKey);
            }
            _ => {}
        }
        let granted = streams.iter().filter_map(|stream| {
            let path = stream.reveal();
            let (protocol, action) = (request.protocol, AccessAction::Play);
            let (_, record) = shared.requested(protocol, action, path, query);
            let request = PlayRequest {
                path: path.to_owned(),
                ..request.clone()
            };
            let attempt = attempt(shared, &request, stream.clone(), record);
            let (stream, by) = (stream.clone(), shared.would_grant(&attempt).ok()?);
            Some(PlayGranted { stream, by })
        });
        Ok(granted.collect())
    }

    /// Whether a key opens any stream for players now.
    fn opens_something(&self, key: &str) -> bool {
        let shared = &self.shared;
        let ring = !shared.play_keys.is_open() && shared.play_keys.allows(key);
        let (records, now) = (&shared.key_records, shared.time_of_day());
        // It meets every key, so that time does not tell which it is like.
        let all = records.of_kind(KeyKind::Play);
        all.iter()
            .filter(|record| records.opens(record, now))
            .fold(ring, |found, record| found | is_equal(key, &record.key))
    }
}
