//! What outgoing connections are for: begun when the other server grants it, and taken
//! elsewhere when it says so.

use openrtmp_protocol::RtmpUrl;
use openrtmp_protocol::command::code;
use openrtmp_protocol::session::{ClientMode, RequestId, SessionError};
use openrtmp_protocol::text::shown;

use super::Worker;
use super::requests::Request;
use super::serve::attempt;
use super::session::{PLAYED, Session};
use crate::access::AccessAction;
use crate::errand::Errand;
use crate::events::CloseReason;
use crate::log_limit::Cause;
use crate::platform::Platform;
use crate::relay::Refusal;

impl Errand {
    /// What is wrong with the other server, without the key of our URL, which it may
    /// repeat; and where it sends a relay to.
    pub(super) fn told_of(&self, error: &SessionError) -> (String, Option<RtmpUrl>) {
        let text = self.url.masked_in(&error.to_string());
        match error {
            SessionError::Refused {
                redirect: Some(to), ..
            } if self.is_relay => match self.url.redirected(to) {
                Ok(url) => (text, Some(url)),
                Err(error) => (format!("{text}; {error}"), None),
            },
            _ => (text, None),
        }
    }
}

impl<P: Platform> Worker<P> {
    /// The other server granted what we connected for: the rest is ours to do.
    pub(super) fn begin_errand(&mut self, slot: usize) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let Some(errand) = connection.cold.session.errand() else {
            return;
        };
        let (action, message_stream) = match errand.mode {
            ClientMode::Play => (AccessAction::Publish, PLAYED),
            ClientMode::Publish => {
                let media_stream = connection.cold.session.media_stream();
                (AccessAction::Play, media_stream.unwrap_or_default())
            }
        };
        // The other server may say more than once that it is ready.
        if !connection.cold.publishing.is_empty() || !connection.cold.playing.is_empty() {
            return;
        }
        if let Session::Client(client) = &connection.cold.session
            && let (ClientMode::Play, Some(id)) = (errand.mode, client.session.server_id())
        {
            self.context
                .shared
                .came_through(connection.cold.id, vec![id]);
        }
        let attempt = attempt(connection, action, errand.name.clone());
        self.grant(slot, Request::new(RequestId(0), message_stream, attempt));
    }

    /// The other server asks to connect again. A relay does.
    pub(super) fn reconnect(&mut self, slot: usize, tc_url: Option<&str>) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let Some(errand) = connection.cold.session.errand().filter(|e| e.is_relay) else {
            return;
        };
        let url = match tc_url.map(|tc_url| errand.url.redirected(tc_url)) {
            None => errand.url.clone(),
            Some(Ok(url)) => url,
            // It goes on until the other server goes away.
            Some(Err(error)) => {
                if self.context.may_log(Cause::Relay, log::Level::Warn) {
                    log::warn!(
                        peer:% = connection.cold.peer, connection:% = connection.cold.id;
                        "the other server asks to connect where that cannot be: {error}"
                    );
                }
                return;
            }
        };
        self.notify_relay(slot, code::CONNECT_RECONNECT_REQUEST, Some(url));
        let reason = "the other server asked to connect again".to_owned();
        self.end(slot, CloseReason::Refused(reason));
    }

    /// What the other server said before its connection ends, for the relay that it is
    /// of, if any.
    pub(super) fn notify_relay(&mut self, slot: usize, code: &str, redirect: Option<RtmpUrl>) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let Some(errand) = connection.cold.session.errand().filter(|e| e.is_relay) else {
            return;
        };
        let refusal = Refusal {
            code: errand.url.masked_in(&shown(code).to_string()),
            redirect,
        };
        let mut relays = self.context.shared.relays.lock();
        relays.refused(connection.cold.id, refusal);
    }
}
