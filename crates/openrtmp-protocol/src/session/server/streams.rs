use super::media::Waiting;
use super::{RequestId, ServerEvent};
use crate::StreamName;
use crate::amf::Encoding;

/// What a message stream is used for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Role {
    Idle,
    /// Waits for the host's answer.
    Pending {
        request: RequestId,
        publish: bool,
        name: StreamName,
    },
    Publishing(StreamName),
    Playing(StreamName),
}

#[derive(Debug)]
pub(super) struct MessageStream {
    pub(super) id: u32,
    /// Of the command that gave it its role; statuses follow it.
    pub(super) encoding: Encoding,
    pub(super) role: Role,
    /// Media that came before the answer to its publish.
    pub(super) waiting: Waiting,
}

impl MessageStream {
    /// Makes the stream idle; the event that says what ended with it.
    pub(super) fn end(&mut self) -> Option<ServerEvent> {
        let stream = self.id;
        match std::mem::replace(&mut self.role, Role::Idle) {
            Role::Idle => None,
            Role::Pending { request, .. } => Some(ServerEvent::Withdrawn { request }),
            Role::Publishing(_) => Some(ServerEvent::PublishEnd { stream }),
            Role::Playing(_) => Some(ServerEvent::PlayEnd { stream }),
        }
    }
}

/// The message streams of a connection, few: searched from the front.
#[derive(Debug, Default)]
pub(super) struct MessageStreams {
    streams: Vec<MessageStream>,
}

impl MessageStreams {
    pub(super) fn get(&self, id: u32) -> Option<&MessageStream> {
        self.streams.iter().find(|stream| stream.id == id)
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut MessageStream> {
        self.streams.iter_mut().find(|stream| stream.id == id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &MessageStream> {
        self.streams.iter()
    }

    /// A new message stream with the lowest free id from 1, unless there are
    /// `limit` already.
    pub(super) fn create(&mut self, limit: usize) -> Option<u32> {
        let id = (1..).find(|id| self.get(*id).is_none())?;
        self.ensure(id, limit).map(|stream| stream.id)
    }

    /// The message stream of this id, made if it is not there: some clients
    /// publish without createStream, or on message stream 0.
    pub(super) fn ensure(&mut self, id: u32, limit: usize) -> Option<&mut MessageStream> {
        if self.get(id).is_none() {
            if self.streams.len() >= limit {
                return None;
            }
            self.streams.push(MessageStream {
                id,
                encoding: Encoding::Amf0,
                role: Role::Idle,
                waiting: Waiting::default(),
            });
        }
        self.get_mut(id)
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<MessageStream> {
        let index = self.streams.iter().position(|stream| stream.id == id)?;
        Some(self.streams.remove(index))
    }

    pub(super) fn pending(&mut self, wanted: RequestId) -> Option<&mut MessageStream> {
        self.streams.iter_mut().find(
            |stream| matches!(stream.role, Role::Pending { request, .. } if request == wanted),
        )
    }

    /// The one stream that fits, if there is exactly one.
    pub(super) fn only(&self, fits: impl Fn(&Role) -> bool) -> Option<u32> {
        let mut found = self.streams.iter().filter(|stream| fits(&stream.role));
        match (found.next(), found.next()) {
            (Some(stream), None) => Some(stream.id),
            _ => None,
        }
    }

    pub(super) fn any(&self, fits: impl Fn(&Role) -> bool) -> bool {
        self.streams.iter().any(|stream| fits(&stream.role))
    }
}

impl Role {
    pub(super) fn is_publish(&self) -> bool {
        matches!(
            self,
            Role::Publishing(_) | Role::Pending { publish: true, .. }
        )
    }

    pub(super) fn is_pending(&self) -> bool {
        matches!(self, Role::Pending { .. })
    }

    pub(super) fn name(&self) -> Option<&StreamName> {
        match self {
            Role::Idle => None,
            Role::Pending { name, .. } | Role::Publishing(name) | Role::Playing(name) => Some(name),
        }
    }
}
