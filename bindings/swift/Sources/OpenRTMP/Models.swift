import COpenRTMP

/// What was going on when a server was stopped.
public struct StopSummary: Sendable, Equatable {
    /// Since the start.
    public let uptime: Duration
    /// Connections when the stop began.
    public let connections: UInt64
    /// Publishers when the stop began.
    public let publishers: UInt64
    /// Players when the stop began.
    public let subscribers: UInt64
    /// Streams when the stop began, those within their grace included.
    public let streams: UInt64
    /// Connections that were there at the deadline and were closed by force.
    public let forced: UInt64
    /// Connections accepted since the start.
    public let accepted: UInt64
    /// Bytes read from sockets.
    public let bytesIn: UInt64
    /// Bytes written to sockets.
    public let bytesOut: UInt64
    /// Threads that did not end in time, and do so by themselves.
    public let leftBehind: UInt64

    init(_ summary: openrtmp_summary) {
        uptime = .whole(summary.uptime_ms)
        connections = summary.connections
        publishers = summary.publishers
        subscribers = summary.subscribers
        streams = summary.streams
        forced = summary.forced
        accepted = summary.accepted
        bytesIn = summary.bytes_in
        bytesOut = summary.bytes_out
        leftBehind = summary.left_behind
    }
}

/// Whether a server works.
public struct Health: Sendable, Equatable {
    /// Every worker answers.
    public let isLive: Bool
    /// It takes new connections.
    public let isReady: Bool
    /// Why it is not live or not ready.
    public let reasons: [String]
}

/// Where a server is between start and stop.
public enum ServerState: UInt32, Sendable, CaseIterable {
    /// Made, or stopped: it can be started.
    case stopped = 0
    /// It listens.
    case running = 1
    /// A stop is on its way.
    case stopping = 2
}

/// Times from a frame's arrival to its last byte handed to a player's socket, over the last
/// one to two minutes, to within a quarter.
public struct Delays: Sendable, Equatable {
    /// Half of all frames.
    public let half: Duration
    /// 95 % of them.
    public let most: Duration
    /// 99 % of them.
    public let nearlyAll: Duration
    /// How many they are.
    public let frames: UInt64

    init(_ half: UInt64, _ most: UInt64, _ nearlyAll: UInt64, _ frames: UInt64) {
        func time(_ us: UInt64) -> Duration { .microseconds(Int64(clamping: us)) }
        (self.half, self.most, self.nearlyAll, self.frames) = (time(half), time(most), time(nearlyAll), frames)
    }
}

/// A stream.
public struct StreamInfo: Sendable, Equatable, Identifiable {
    public let id: UInt64
    /// False within the grace after a publisher left.
    public let isLive: Bool
    /// Its path, keys masked.
    public let name: String
    /// Codec strings (RFC 6381) of its tracks.
    public let codecs: [String]
    /// Pixels of the first video track, 0 if not known.
    public let width: UInt32
    public let height: UInt32
    /// Since it began.
    public let uptime: Duration
    /// Payload bytes published.
    public let bytes: UInt64
    /// Bit/s published, over the last seconds.
    public let bitrate: UInt64
    public let videoFrames: UInt64
    public let audioFrames: UInt64
    public let keyframes: UInt64
    /// Players.
    public let subscribers: UInt64
    /// Who publishes it; `nil`: a ``StreamPublisher``, or nobody.
    public let connectionID: UInt64?
    /// Taps on it, recordings included.
    public let taps: UInt64
    public let delays: Delays

    init(_ info: openrtmp_stream_info) {
        id = info.stream_id
        isLive = info.live != 0
        name = String(info.name)
        codecs = String(info.codecs).split(separator: ",").map(String.init)
        width = info.width
        height = info.height
        uptime = .whole(info.uptime_ms)
        bytes = info.bytes
        bitrate = info.bitrate
        videoFrames = info.video_frames
        audioFrames = info.audio_frames
        keyframes = info.keyframes
        subscribers = info.subscribers
        connectionID = info.connection_id == 0 ? nil : info.connection_id
        taps = info.taps
        delays = Delays(info.delay_p50_us, info.delay_p95_us, info.delay_p99_us, info.delay_frames)
    }
}

/// A connection.
public struct ConnectionInfo: Sendable, Equatable, Identifiable {
    public let id: UInt64
    /// Address and port.
    public let peer: String
    /// How far it has come: handshake, connect, connected, publishing, playing.
    public let stage: String
    /// Since it was accepted.
    public let uptime: Duration
    public let bytesIn: UInt64
    public let bytesOut: UInt64
    /// Bytes waiting to be written.
    public let queueBytes: UInt64
    /// A stream that it publishes.
    public let publishes: UInt64?
    /// A stream that it plays.
    public let plays: UInt64?

    init(_ info: openrtmp_connection_info) {
        id = info.connection_id
        peer = String(info.peer)
        stage = String(info.stage)
        uptime = .whole(info.uptime_ms)
        bytesIn = info.bytes_in
        bytesOut = info.bytes_out
        queueBytes = info.queue_bytes
        publishes = info.publishes == 0 ? nil : info.publishes
        plays = info.plays == 0 ? nil : info.plays
    }
}

/// A player of a stream.
public struct SubscriberInfo: Sendable, Equatable {
    public let connectionID: UInt64
    /// Packets waiting to be written.
    public let queuePackets: UInt64
    /// Bytes waiting to be written.
    public let queueBytes: UInt64
    /// How long the oldest frame that may be dropped has waited.
    public let queueDelay: Duration
    /// Frames it did not get because it was too slow.
    public let droppedFrames: UInt64
    /// From play to the first key frame queued; `nil` before that.
    public let joined: Duration?
    /// Messages of streams that its connection was sent whole.
    public let messages: UInt64
    /// Their payload's bytes.
    public let bytes: UInt64
    public let delays: Delays

    init(_ info: openrtmp_subscriber_info) {
        connectionID = info.connection_id
        queuePackets = info.queue_packets
        queueBytes = info.queue_bytes
        queueDelay = .whole(info.queue_delay_ms)
        droppedFrames = info.dropped_frames
        joined = info.join_ms == .max ? nil : .whole(info.join_ms)
        messages = info.messages
        bytes = info.bytes
        delays = Delays(info.delay_p50_us, info.delay_p95_us, info.delay_p99_us, info.delay_frames)
    }
}

/// A tap that is open.
public struct TapInfo: Sendable, Equatable {
    /// A recorder's.
    public let isRecording: Bool
    /// The stream's path, keys masked; `nil`: every stream, or several.
    public let stream: String?
    /// Streams that are live for it.
    public let live: UInt64
    /// Bytes that wait to be taken.
    public let waitingBytes: UInt64

    init(_ info: openrtmp_tap_info) {
        isRecording = info.recording != 0
        stream = String(info.stream).nonEmpty
        live = info.live
        waitingBytes = info.waiting_bytes
    }
}

/// A publisher at work.
public struct PublisherInfo: Sendable, Equatable {
    public let streamID: UInt64
    /// The stream's path, keys masked.
    public let stream: String
    /// Who publishes; `nil`: a ``StreamPublisher``.
    public let connectionID: UInt64?
    /// How long nothing has come from it, once that is `streams.publisher_timeout`.
    public let silence: Duration

    init(_ info: openrtmp_publisher_info) {
        streamID = info.stream_id
        stream = String(info.stream)
        connectionID = info.connection_id == 0 ? nil : info.connection_id
        silence = .whole(info.silence_ms)
    }
}

/// A rule by which streams are relayed.
public struct Relay: Sendable, Equatable {
    /// Which way streams go.
    public enum Kind: UInt32, Sendable, CaseIterable {
        /// From this server to another.
        case push = 0
        /// From another server to this one, while somebody plays a stream that nobody
        /// publishes.
        case pull = 1
        /// From another server to this one, from now on; the pattern names one stream.
        case pullAlways = 2
    }

    public var kind: Kind
    /// Which streams, by their paths here: "live/*".
    public var pattern: String
    /// The other server: "rtmp://host/{app}/{name}".
    public var url: String
    /// ``Kind/pull``: so long after the last player left the other server is left, too.
    public var idleTimeout: Duration

    public init(_ kind: Kind, pattern: String, url: String, idleTimeout: Duration = .seconds(30)) {
        (self.kind, self.pattern, self.url, self.idleTimeout) = (kind, pattern, url, idleTimeout)
    }
}

/// A relayed stream, or a rule that has none at present.
public struct RelayInfo: Sendable, Equatable {
    /// How far a relayed stream has come.
    public enum State: UInt32, Sendable, CaseIterable {
        case waiting = 0, connecting = 1, running = 2, parked = 3
    }

    /// The rule.
    public let relayID: UInt64
    /// Both kinds of pull are ``Relay/Kind/pull``.
    public let kind: Relay.Kind
    /// The settings name the rule.
    public let isConfigured: Bool
    public let state: State
    public let pattern: String
    /// The other server, without names of streams and queries.
    public let url: String
    /// The stream's path, keys masked; `nil`: the rule has none at present.
    public let stream: String?
    /// The connection to the other server.
    public let connectionID: UInt64?
    /// Until it is tried again.
    public let wait: Duration
    /// Connections that were tried.
    public let attempts: UInt64
    /// Those that failed or broke.
    public let failures: UInt64
    /// What the last failure was; empty if there was none.
    public let lastError: String

    init(_ info: openrtmp_relay_info) {
        relayID = info.relay_id
        kind = Relay.Kind(rawValue: info.kind) ?? .pull
        isConfigured = info.configured != 0
        state = State(rawValue: info.state) ?? .parked
        pattern = String(info.pattern)
        url = String(info.url)
        stream = String(info.stream).nonEmpty
        connectionID = info.connection_id == 0 ? nil : info.connection_id
        wait = .whole(info.wait_ms)
        attempts = info.attempts
        failures = info.failures
        lastError = String(info.last_error)
    }
}

/// What a recording has made.
public struct Recording: Sendable, Equatable {
    /// Files that are complete.
    public let files: UInt64
    /// Time in them.
    public let duration: Duration
    /// Bytes in them.
    public let bytes: UInt64
    /// Frames that are missing because the disk was too slow.
    public let lostFrames: UInt64
    /// Their bytes.
    public let lostBytes: UInt64

    init(_ recording: openrtmp_recording) {
        files = recording.files
        duration = .whole(recording.duration_ms)
        bytes = recording.bytes
        lostFrames = recording.lost_frames
        lostBytes = recording.lost_bytes
    }
}
