/// What a peer may make a session hold or do. Every field is a default that a
/// host may change in either direction, not a ceiling.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Largest message, in bytes. The wire's own maximum is 16 MiB - 1, and a
    /// 50 Mbit/s stream with one key frame in ten seconds stays far below it.
    pub message_bytes: usize,
    /// Bytes of unfinished messages over all chunk streams of one connection: what
    /// came of each, rounded up to 1 KiB, 2 KiB, 4 KiB and so on, but not above its
    /// length. Bounds what interleaving can hold: one full message and some more.
    pub partial_bytes: usize,
    /// The same for a peer that does not publish and has not asked to: commands
    /// are small, and whoever was not let in yet shall not hold more than they
    /// take. Longer messages may be announced; they end the connection once so
    /// much of them has come.
    pub command_bytes: usize,
    /// Chunk streams one peer may open. Encoders use 3 to 8.
    pub chunk_streams: usize,
    /// Message streams one connection may create.
    pub message_streams: usize,
    /// Bytes of an app or a stream's name, its query (`?token=...`) included.
    pub name_bytes: usize,
    /// Requests (connect, publish, play) waiting for the host's answer.
    pub pending_requests: usize,
    /// Messages, mostly media, that may wait for such an answer: what comes within
    /// seconds.
    pub waiting_messages: usize,
    /// Limits of AMF decoding.
    pub amf: AmfLimits,
}

/// What one AMF message may contain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AmfLimits {
    /// Levels of nesting, at most 64: decoding recurses, and threads of a host may
    /// have small stacks.
    pub depth: usize,
    /// Bytes of one string, XML document or byte array.
    pub string_bytes: usize,
    /// Values in one message, members and elements included.
    pub elements: usize,
    /// Bytes that the decoded values of one message may take, references
    /// expanded.
    pub decoded_bytes: usize,
    /// Values for each byte of a message, and [`values_base`](Self::values_base)
    /// more, references expanded: decoding costs in proportion to what came, however
    /// often a message refers to itself. A text, names included, counts as one value
    /// more, and every 32 bytes of it as another. At 2 and above no message without references runs into it.
    pub values_per_byte: usize,
    /// See [`values_per_byte`](Self::values_per_byte): short messages, in which a few
    /// references are many, get by with it.
    pub values_base: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            message_bytes: 0xFF_FFFF,
            partial_bytes: 20 * 1024 * 1024,
            command_bytes: 256 * 1024,
            chunk_streams: 64,
            message_streams: 16,
            name_bytes: 4096,
            pending_requests: 16,
            waiting_messages: 4096,
            amf: AmfLimits::default(),
        }
    }
}

impl Default for AmfLimits {
    fn default() -> AmfLimits {
        AmfLimits {
            depth: 32,
            string_bytes: 64 * 1024,
            elements: 16 * 1024,
            decoded_bytes: 1024 * 1024,
            values_per_byte: 4,
            values_base: 64,
        }
    }
}
