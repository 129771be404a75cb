//! What others ask a worker to do: it is read from its inbox, and goes to who does it.

use super::timers::Timer;
use super::{Worker, work};
use crate::id::ConnectionId;
use crate::inbox::{Command, ConnectionCommand};
use crate::platform::Platform;
use crate::stream::message::StreamNews;

/// Commands carried out in one turn before sockets are looked at again.
const COMMANDS_PER_TURN: usize = 4096;

impl<P: Platform> Worker<P> {
    pub(super) fn carry_out_commands(&mut self) {
        let began = self.context.work;
        self.inbox.begin();
        for _ in 0..COMMANDS_PER_TURN {
            if self.context.work - began >= work::TURN {
                break;
            }
            let Some(command) = self.inbox.next() else {
                return;
            };
            self.context.work += work::COMMAND;
            self.carry_out(command);
        }
        // There may be more: come back without waiting for a wake-up.
        self.context.send(self.context.index, Command::Adopt);
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Adopt => self.adopt(),
            Command::Connection(id, command) => self.carry_out_for(id, command),
            Command::Relays => self.relaying.carry_on(&mut self.context),
            Command::GoOut { connection, errand } => self.go_out(connection, errand),
            Command::Resolved {
                connection,
                addresses,
            } => self.on_resolved(connection, addresses),
            Command::Publish(grant) => self.start_stream(*grant),
            Command::Media {
                message,
                credit,
                publisher,
            } => {
                self.ingest(message);
                if credit.give_back()
                    && let Some(id) = publisher
                {
                    self.context.shared.send_to(id, ConnectionCommand::ReadOn);
                }
            }
            Command::PublisherLeft {
                stream,
                epoch,
                departure,
            } => self.on_publisher_left(stream, epoch, departure),
            Command::Join {
                stream,
                worker,
                join,
            } => self.join(stream, worker, join),
            Command::Leave { stream, worker } => {
                self.streams.forget_worker(&self.context, stream, worker);
            }
            Command::Snapshot {
                stream,
                join,
                packets,
                charge,
            } => {
                self.players.deliver_snapshot(
                    &mut self.context,
                    &mut self.connections,
                    stream,
                    join,
                    &packets,
                );
                drop(charge);
            }
            Command::Packet {
                stream,
                packet,
                credit,
            } => {
                self.players
                    .fan_out(&mut self.context, &mut self.connections, stream, &packet);
                drop(credit);
            }
            Command::ForgetCache(stream) => self.streams.forget_cache(&self.context, stream),
            Command::StreamNews { stream, news } => self.notify_players(stream, news),
            Command::Tap { stream, tap } => self.streams.attach_tap(&self.context, stream, tap),
            Command::SetConditions(conditions) => self.set_conditions(&conditions),
            Command::Suspend { deadline, answer } => self.fall_asleep(deadline, answer),
            Command::Resume(answer) => self.wake_up(answer),
            Command::HostDue(at) => self.context.timers.set(at, Timer::Host),
            Command::LookAround => self.look_around(),
            Command::EndStream { stream, reason } => {
                if self.streams.end_stream(&mut self.context, stream, &reason) {
                    self.notify_players(stream, StreamNews::Ended);
                }
            }
            Command::Revoke => self.revoke(),
            Command::EndUser { user } => self.end_user(&user),
            Command::Configure(config, in_force) => {
                self.configure(config);
                drop(in_force);
            }
            Command::Listen {
                addresses,
                order,
                answer,
            } => {
                // None while stopping: the drop of the sender says so.
                if !self.context.is_stopping() && order.claim() {
                    // Who came before is served before the socket it came through is
                    // closed.
                    self.accept_all();
                    let listening = self.listeners.listen_on(&mut self.context, &addresses);
                    let _ = answer.send(listening);
                }
            }
            #[cfg(feature = "tls")]
            Command::LookAtCertificates => {
                self.certificates.begin_anew();
                self.look_at_certificates();
            }
            Command::CheckListeners(answer) => {
                let _ = answer.send(self.listeners.check(&mut self.context));
            }
            Command::Inspect(answer) => {
                // The host may have given up waiting.
                let _ = answer.send(self.report());
            }
            Command::AskToLeave { to } => self.ask_all_to_leave(to.as_ref()),
            Command::Stop { deadline } => self.stop(deadline),
            #[cfg(test)]
            Command::Panic => panic!("asked for by a test"),
        }
    }

    /// Carries out what is for one connection, under its guard; or sends it on, if the
    /// connection has gone to another worker meanwhile.
    fn carry_out_for(&mut self, id: ConnectionId, command: ConnectionCommand) {
        if let Some(slot) = self.connections.slot_of(id) {
            return self.guarded(slot, |worker, slot| worker.obey(slot, command));
        }
        if let Some(slot) = self.dialing.slot_of(id) {
            if let ConnectionCommand::Disconnect { reason, answer } = command {
                self.dialing.fail(&mut self.context, slot, reason.detail());
                let _ = answer.map(|answer| answer.send(true));
            }
            return;
        }
        match self.context.shared.locations.of(id) {
            Some(worker) if worker != self.context.index => {
                self.context.send(worker, Command::Connection(id, command));
            }
            // It is over: nobody to tell. Senders of answers are dropped, which says so.
            _ => {
                if let ConnectionCommand::RetryPublish { stream, .. } = command {
                    self.call_next(stream);
                }
            }
        }
    }

    fn obey(&mut self, slot: usize, command: ConnectionCommand) {
        match command {
            ConnectionCommand::EndPublication {
                message_stream,
                reason,
            } => {
                self.end_publication(slot, message_stream, reason);
            }
            ConnectionCommand::RetryPublish { request, stream } => {
                self.retry(slot, request);
                // It may have been refused: then it is another's turn.
                self.call_next(stream);
            }
            ConnectionCommand::Decide { request, decision } => {
                self.decide(slot, request, decision);
            }
            ConnectionCommand::MakeRoom => self.give_way(slot),
            ConnectionCommand::Disconnect { reason, answer } => {
                let found = self.disconnect(slot, reason);
                if let Some(answer) = answer {
                    let _ = answer.send(found);
                }
            }
            ConnectionCommand::ReadOn => self.connections.mark_unread(slot),
            ConnectionCommand::GiveWay => {
                let over = self.connections.give_way(&mut self.context, slot);
                self.end_if_over(slot, over);
            }
            ConnectionCommand::SetWriteCoalesce { window, answer } => {
                if let Some(connection) = self.connections.get_mut(slot) {
                    connection.write_coalesce = window;
                    let _ = answer.send(true);
                }
            }
        }
    }
}
