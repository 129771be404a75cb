//! Relays, carried on by worker 0: it carries out what they want and wakes when they do.

use openrtmp_protocol::Time;
use openrtmp_protocol::session::ClientLogin;

use super::context::Context;
use super::timers::Timer;
use crate::errand::Errand;
use crate::events::{CloseReason, Event};
use crate::inbox::Command;
use crate::log_limit::Cause;
use crate::platform::Platform;
use crate::relay::{Order, Streams};
use crate::secret::StreamName;
use crate::shared::Shared;

impl Streams for Shared {
    fn is_live(&self, name: &StreamName) -> bool {
        self.directory.lock().is_live(name)
    }

    fn is_played(&self, name: &StreamName) -> bool {
        self.directory.lock().is_played(name)
    }
}

impl Shared {
    /// Wakes who carries on the relays, if that is needed.
    pub(crate) fn wake_relays(&self, needed: bool) {
        if needed {
            self.inboxes[0].send(Command::Relays);
        }
    }
}

/// When relays have something to do next. On worker 0.
#[derive(Default)]
pub(super) struct Relaying {
    due: Option<Time>,
}

impl Relaying {
    /// Does what relays want done by now, and sees to it that they are asked again.
    pub(super) fn carry_on<P: Platform>(&mut self, context: &mut Context<P>) {
        if context.is_stopping() || context.asleep {
            return;
        }
        let shared = context.shared.clone();
        // Locked until all is done: no connection ends before its relay knows of it.
        let mut relays = shared.relays.lock();
        let next = loop {
            let (orders, next) = relays.poll(context.now, &*shared);
            if orders.is_empty() {
                break next;
            }
            for order in orders {
                match order {
                    Order::Connect {
                        link,
                        mode,
                        url,
                        is_redirect,
                        via,
                    } => {
                        let errand = Errand {
                            mode,
                            url: *url,
                            name: link.0.clone(),
                            via,
                            is_relay: true,
                            is_redirect,
                            login: ClientLogin::default(),
                        };
                        match shared.go_out(errand) {
                            Ok(connection) => relays.connecting(&link, connection),
                            Err(error) => {
                                relays.failed(context.now, &link, error.to_string());
                            }
                        }
                    }
                    Order::Disconnect(connection) => {
                        let reason = CloseReason::Host("no longer relayed".to_owned());
                        shared.disconnect(connection, reason);
                    }
                    Order::Emit(event) => {
                        report_relay(context, &event);
                        context.emit(*event);
                    }
                }
            }
        };
        drop(relays);
        if let Some(at) = next {
            context.timers.arm(Timer::Relays, &mut self.due, at);
        }
    }

    /// The time has come for which they asked.
    pub(super) fn on_due<P: Platform>(&mut self, context: &mut Context<P>) {
        self.due = None;
        self.carry_on(context);
    }
}

fn report_relay<P: Platform>(context: &Context<P>, event: &Event) {
    match event {
        Event::RelayStarted {
            connection,
            name,
            url,
            ..
        } if context.may_log(Cause::Stream, log::Level::Info) => {
            log::info!(stream:% = name, connection:% = connection; "relaying with {url}");
        }
        Event::RelayFailed {
            name,
            url,
            reason,
            retry_in,
            ..
        } if context.may_log(Cause::Relay, log::Level::Warn) => {
            let next = match retry_in {
                Some(pause) => format!("again in {:.1} s", pause.as_secs_f64()),
                None => "not tried again".to_owned(),
            };
            log::warn!(stream:% = name; "relaying with {url} failed: {reason}; {next}");
        }
        Event::RelayEnded { name, .. } if context.may_log(Cause::Stream, log::Level::Info) => {
            log::info!(stream:% = name; "relayed no longer");
        }
        _ => {}
    }
}
