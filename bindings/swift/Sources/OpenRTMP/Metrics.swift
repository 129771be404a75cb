import COpenRTMP

/// A server at one moment. Counters grow from its start.
public struct Metrics: Sendable, Equatable {
    /// Since the start.
    public let uptime: Duration
    /// Connections now.
    public let connections: UInt64
    /// Publishers now, those of ``StreamPublisher`` included.
    public let publishers: UInt64
    /// Players now, waiting ones included.
    public let subscribers: UInt64
    /// Streams now.
    public let streams: UInt64
    /// Connections accepted.
    public let accepted: UInt64
    /// Connections refused at a limit.
    public let refused: UInt64
    /// Bytes read from sockets.
    public let bytesIn: UInt64
    /// Bytes written to sockets.
    public let bytesOut: UInt64
    /// Bit/s read, over the last seconds.
    public let bitrateIn: UInt64
    /// Bit/s written, over the last seconds.
    public let bitrateOut: UInt64
    /// Frames that slow players did not get.
    public let droppedFrames: UInt64
    /// Bytes held for peers.
    public let memory: UInt64
    /// Peers that broke the protocol.
    public let errorsProtocol: UInt64
    /// Peers that did not get on in time.
    public let errorsTimeout: UInt64
    /// Sockets that failed.
    public let errorsNetwork: UInt64
    /// Requests refused.
    public let errorsRefused: UInt64
    /// Players disconnected for taking nothing.
    public let errorsTooSlow: UInt64
    /// Bugs of this library, caught.
    public let errorsInternal: UInt64
    /// Of ``errorsRefused``, those that came with a wrong key, or with none where one is
    /// needed.
    public let errorsWrongKeys: UInt64
    /// Rules by which streams are relayed, now.
    public let relaysRules: UInt64
    /// Streams of theirs that are tried again soon.
    public let relaysWaiting: UInt64
    /// Those whose connection is being made.
    public let relaysConnecting: UInt64
    /// Those that the other server granted.
    public let relaysRunning: UInt64
    /// Those for which nothing is tried.
    public let relaysParked: UInt64
    /// Connections to other servers that relays tried.
    public let relaysAttempts: UInt64
    /// Those that failed or broke.
    public let relaysFailures: UInt64
    /// Messages of media that came from other servers.
    public let relaysMessagesIn: UInt64
    /// Those that were passed on to other servers.
    public let relaysMessagesOut: UInt64
    /// Messages of a type that is not known, left out.
    public let ignoredUnknown: UInt64
    /// Commands that cannot be read, left out.
    public let ignoredUnreadable: UInt64
    /// Media where nothing is published, more of it than may wait, and data that no player
    /// can read, left out.
    public let ignoredDropped: UInt64
    /// Log records that were held back (`limits.log_lines`).
    public let logLinesSuppressed: UInt64
    public let delays: Delays

    init(_ metrics: openrtmp_metrics) {
        uptime = .whole(metrics.uptime_ms)
        connections = metrics.connections
        publishers = metrics.publishers
        subscribers = metrics.subscribers
        streams = metrics.streams
        accepted = metrics.accepted
        refused = metrics.refused
        bytesIn = metrics.bytes_in
        bytesOut = metrics.bytes_out
        bitrateIn = metrics.bitrate_in
        bitrateOut = metrics.bitrate_out
        droppedFrames = metrics.dropped_frames
        memory = metrics.memory
        errorsProtocol = metrics.errors_protocol
        errorsTimeout = metrics.errors_timeout
        errorsNetwork = metrics.errors_network
        errorsRefused = metrics.errors_refused
        errorsTooSlow = metrics.errors_too_slow
        errorsInternal = metrics.errors_internal
        errorsWrongKeys = metrics.errors_wrong_keys
        relaysRules = metrics.relays_rules
        relaysWaiting = metrics.relays_waiting
        relaysConnecting = metrics.relays_connecting
        relaysRunning = metrics.relays_running
        relaysParked = metrics.relays_parked
        relaysAttempts = metrics.relays_attempts
        relaysFailures = metrics.relays_failures
        relaysMessagesIn = metrics.relays_messages_in
        relaysMessagesOut = metrics.relays_messages_out
        ignoredUnknown = metrics.ignored_unknown
        ignoredUnreadable = metrics.ignored_unreadable
        ignoredDropped = metrics.ignored_dropped
        logLinesSuppressed = metrics.log_lines_suppressed
        delays = Delays(
            metrics.delay_p50_us, metrics.delay_p95_us, metrics.delay_p99_us, metrics.delay_frames)
    }
}
