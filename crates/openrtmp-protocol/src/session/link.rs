use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::{SessionError, work};
use crate::Limits;
use crate::amf::{Encoder, Encoding, Value};
use crate::chunk::{ChunkHeaders, ChunkReader, ChunkWriter, INITIAL_CHUNK_SIZE, Message};
use crate::command::{Command, Status};
use crate::message::{Control, UserControl, kind};

/// Chunk streams we write on. Which number carries what is free but for control
/// (section 5.4); these are the ones players know from other servers.
pub(super) mod chunk_stream {
    pub(in crate::session) const CONTROL: u32 = 2;
    pub(in crate::session) const CONNECTION: u32 = 3;
    pub(in crate::session) const AUDIO: u32 = 4;
    pub(in crate::session) const STREAM: u32 = 5;
    pub(in crate::session) const VIDEO: u32 = 6;
}

/// Output is cut into pieces of about this size, however much a peer asks for at
/// once: no buffer has to be large, or to be moved while it grows.
const PIECE: usize = 16 * 1024;

/// Work for a byte of a handshake: two hashes over C1, two over S1 and S2.
const HANDSHAKE_BYTE: usize = 8;

/// Chunks of less are copied: that costs less than a piece of output of their own.
const WORTH_SHARING: usize = 1024;

/// What both sides of a connection do alike once the handshake is over: cut and
/// join chunks, count and acknowledge bytes, obey control messages.
pub(super) struct Link {
    reader: ChunkReader,
    writer: ChunkWriter,
    /// Written and not yet full.
    output: BytesMut,
    /// Full pieces of output, in front of it.
    pieces: VecDeque<Bytes>,
    /// All bytes received, the handshake included.
    received: u64,
    /// `received` when the last Acknowledgement was sent.
    acknowledged: u64,
    /// Acknowledge after this many bytes; 0 is never.
    window: u32,
    /// The Window Acknowledgement Size we sent last.
    announced: u32,
    /// What was done since the caller asked last, in the unit of [`work`].
    work: u64,
    /// Messages read so far, those in aggregates included.
    messages: u64,
}

impl Link {
    /// `window` is acknowledged after until the peer sets its own.
    pub(super) fn new(limits: &Limits, window: u32) -> Link {
        Link {
            reader: ChunkReader::new(limits),
            writer: ChunkWriter::new(),
            output: BytesMut::new(),
            pieces: VecDeque::new(),
            received: 0,
            acknowledged: 0,
            window,
            announced: 0,
            work: 0,
            messages: 0,
        }
    }

    /// Counts work that is done elsewhere.
    pub(super) fn spend(&mut self, work: u64) {
        self.work = self.work.saturating_add(work);
    }

    /// What was done since [`take_work`](Self::take_work).
    pub(super) fn work(&self) -> u64 {
        self.work
    }

    /// Messages read so far, those in aggregates included.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// Type and message stream of the message that the last bytes were of, if it is not
    /// complete.
    pub(super) fn under_way(&self) -> Option<(u8, u32)> {
        self.reader.under_way()
    }

    pub(super) fn take_work(&mut self) -> u64 {
        std::mem::take(&mut self.work)
    }

    /// Counts the bytes of a handshake.
    pub(super) fn count_handshake(&mut self, bytes: usize) {
        self.received += bytes as u64;
        self.spend((bytes * HANDSHAKE_BYTE) as u64);
    }

    /// Where the handshake writes to.
    pub(super) fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// What is to be sent next; its buffer goes with it.
    pub(super) fn take_output(&mut self) -> Option<Bytes> {
        if let Some(piece) = self.pieces.pop_front() {
            return Some(piece);
        }
        if self.output.is_empty() {
            return None;
        }
        Some(std::mem::take(&mut self.output).freeze())
    }

    pub(super) fn buffered_bytes(&self) -> usize {
        self.reader.buffered_bytes()
    }

    /// Gives back what is held of the peer: nothing more is read.
    pub(super) fn release_input(&mut self) {
        self.reader.release();
    }

    /// Changes how many bytes of unfinished messages may be held.
    pub(super) fn set_partial_limit(&mut self, bytes: usize) {
        self.reader.set_partial_limit(bytes);
    }

    pub(super) fn chunk_size(&self) -> u32 {
        self.writer.chunk_size()
    }

    /// Reads up to the end of one message, or as much as is read at once.
    pub(super) fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, SessionError> {
        let most = match self.reader.chunk_size() < INITIAL_CHUNK_SIZE as usize {
            true => work::SMALL_CHUNKS_INPUT,
            false => usize::MAX,
        };
        let mut now = &input[..most.min(input.len())];
        let before = now.len();
        let message = self.reader.read(&mut now);
        let used = before - now.len();
        *input = &input[used..];
        self.received += used as u64;
        let headers = u64::from(self.reader.take_headers());
        self.spend(work::MESSAGE + headers * work::HEADER + (used / work::BYTES) as u64);
        let message = message?;
        self.messages += u64::from(message.is_some());
        Ok(message)
    }

    /// Sends an Acknowledgement if one is due (section 5.4.3): the number of all
    /// bytes received so far, mod 2^32.
    pub(super) fn acknowledge(&mut self) {
        let since = self.received - self.acknowledged;
        if self.window != 0 && since >= u64::from(self.window) {
            self.acknowledged = self.received;
            self.send_control(Control::Acknowledgement(self.received as u32));
        }
    }

    /// Obeys a message of type 1 to 6; returns a user control event that is not
    /// settled here.
    ///
    /// Only the types that change how we read or write must be well formed.
    pub(super) fn handle_control(
        &mut self,
        message: &Message,
    ) -> Result<Option<UserControl>, SessionError> {
        let control = match Control::decode(message.kind, &message.payload) {
            Ok(control) => control,
            Err(error) => {
                return match message.kind {
                    kind::SET_CHUNK_SIZE | kind::ABORT | kind::WINDOW_ACK_SIZE => Err(error.into()),
                    _ => Ok(None),
                };
            }
        };
        match control {
            Control::SetChunkSize(bytes) => self.reader.set_chunk_size(bytes)?,
            Control::Abort(chunk_stream) => self.reader.abort(chunk_stream),
            // Peers count in ways of their own; nothing here waits for it.
            Control::Acknowledgement(_) => {}
            Control::WindowAckSize(bytes) => self.window = bytes,
            // Section 5.4.5: answer with the window if it is not the one in force.
            Control::SetPeerBandwidth(bytes, _) => {
                if bytes != self.announced && bytes != 0 {
                    self.announce_window(bytes);
                }
            }
            Control::UserControl(UserControl::PingRequest(timestamp)) => {
                self.send_control(Control::UserControl(UserControl::PingResponse(timestamp)));
            }
            Control::UserControl(event) => return Ok(Some(event)),
        }
        Ok(None)
    }

    /// Sends Window Acknowledgement Size.
    pub(super) fn announce_window(&mut self, bytes: u32) {
        self.announced = bytes;
        self.send_control(Control::WindowAckSize(bytes));
    }

    /// Sends Set Chunk Size and obeys it.
    pub(super) fn announce_chunk_size(&mut self, bytes: u32) {
        self.send_control(Control::SetChunkSize(bytes));
        self.writer.set_chunk_size(bytes);
    }

    pub(super) fn send_control(&mut self, control: Control) {
        self.write(
            chunk_stream::CONTROL,
            control.kind(),
            0,
            0,
            &control.encode(),
        );
    }

    /// Sends a command on a message stream, 0 for the connection's own.
    pub(super) fn send_command(&mut self, stream: u32, command: &Command, encoding: Encoding) {
        let kind = match encoding {
            Encoding::Amf0 => kind::COMMAND_AMF0,
            Encoding::Amf3 => kind::COMMAND_AMF3,
        };
        let payload = command.encode(encoding);
        self.write(chunk_stream_of(stream), kind, stream, 0, &payload);
    }

    pub(super) fn send_status(&mut self, stream: u32, status: &Status, encoding: Encoding) {
        self.send_command(stream, &Command::on_status(status), encoding);
    }

    /// Sends AMF0 values as a data message.
    pub(super) fn send_data(&mut self, stream: u32, values: &[Value]) {
        let mut encoder = Encoder::new(Encoding::Amf0);
        for value in values {
            encoder.value(value);
        }
        let payload = encoder.finish();
        self.write(
            chunk_stream_of(stream),
            kind::DATA_AMF0,
            stream,
            0,
            &payload,
        );
    }

    /// Appends any message to the output.
    pub(super) fn write(
        &mut self,
        chunk_stream: u32,
        kind: u8,
        stream: u32,
        timestamp: u32,
        payload: &[u8],
    ) {
        self.spend(work::ANSWER + (payload.len() / work::BYTES) as u64);
        self.writer.write(
            chunk_stream,
            kind,
            stream,
            timestamp,
            payload,
            &mut self.output,
        );
        if self.output.len() >= PIECE {
            self.end_piece();
        }
    }

    /// The same without a copy of the payload: its chunks become pieces of their
    /// own.
    pub(super) fn write_shared(
        &mut self,
        chunk_stream: u32,
        kind: u8,
        stream: u32,
        timestamp: u32,
        payload: Bytes,
    ) {
        let chunk_size = self.writer.chunk_size() as usize;
        if payload.len().min(chunk_size) < WORTH_SHARING {
            return self.write(chunk_stream, kind, stream, timestamp, &payload);
        }
        self.spend(work::ANSWER);
        let headers = ChunkHeaders::new(chunk_stream, kind, stream, timestamp, payload.len());
        let mut rest = payload;
        let mut header = headers.first();
        while !rest.is_empty() {
            self.output.extend_from_slice(header);
            let chunk = rest.split_to(rest.len().min(chunk_size));
            self.end_piece();
            self.pieces.push_back(chunk);
            header = headers.next();
        }
    }

    /// What was written so far goes out before what follows.
    fn end_piece(&mut self) {
        if !self.output.is_empty() {
            let piece = self.output.split().freeze();
            self.pieces.push_back(piece);
        }
    }
}

fn chunk_stream_of(stream: u32) -> u32 {
    match stream {
        0 => chunk_stream::CONNECTION,
        _ => chunk_stream::STREAM,
    }
}
