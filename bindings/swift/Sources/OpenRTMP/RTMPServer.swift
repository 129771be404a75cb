import COpenRTMP

/// An RTMP server inside the program.
///
/// Any task may call anything; what the library has to wait for is waited for on threads of
/// Dispatch's, so that no task of the program is held up. When the last reference goes the
/// server stops by force, and its streams of events and taps end.
///
/// Failures are ``OpenRTMPError``s.
public actor RTMPServer {
    nonisolated let core: ServerCore

    /// Keys that may publish.
    public nonisolated let publishKeys: KeyRing
    /// Keys that may play.
    public nonisolated let playKeys: KeyRing

    /// Makes a server, not yet started.
    ///
    /// - Parameters:
    ///   - configuration: its settings; `nil`: the defaults for a phone.
    ///   - access: who may come, of those that the keys let through; `nil`: all of them.
    public init(_ configuration: ServerConfiguration? = nil, access: AccessHandler? = nil) throws {
        core = try ServerCore(configuration ?? ServerConfiguration(), access: access)
        publishKeys = KeyRing(core: core, kind: .publish)
        playKeys = KeyRing(core: core, kind: .play)
    }

    // MARK: Life

    /// Binds, starts the threads, and returns once peers can connect. After a failure nothing
    /// is left running, and it may be tried again.
    public func start() async throws {
        try await Waiting.call { [core] in try check(openrtmp_server_start(core.pointer)) }
    }

    /// Tells peers, gives them the grace, closes the rest, completes recordings. Returns 1 s
    /// after the grace at the latest; a task that is cancelled meanwhile forces the stop at
    /// once. The server may be started again.
    @discardableResult
    public func stop(grace: Duration = .seconds(5)) async throws -> StopSummary {
        try await end(grace) { openrtmp_server_stop($0, $1, &$2) }
    }

    /// Takes nobody new, and stops when all peers have left, or after the grace. Those that
    /// know Enhanced RTMP's reconnect request are sent to `url` ("rtmp://host/{app}"; empty:
    /// the address that they know).
    @discardableResult
    public func drain(grace: Duration, to url: String = "") async throws -> StopSummary {
        try await end(grace) { pointer, grace, summary in
            url.withC { openrtmp_server_drain(pointer, grace, $0, &summary) }
        }
    }

    private func end(
        _ grace: Duration,
        _ how: @escaping @Sendable (OpaquePointer, UInt64, inout openrtmp_summary) -> Int32
    ) async throws -> StopSummary {
        let core = core
        return try await withTaskCancellationHandler {
            let grace = Task.isCancelled ? .zero : grace
            return try await Waiting.call {
                var summary = openrtmp_summary()
                summary.struct_size = size(of: openrtmp_summary.self)
                try check(how(core.pointer, grace.milliseconds, &summary))
                return StopSummary(summary)
            }
        } onCancel: {
            // It cuts short the stop that is waited for.
            Waiting.later { openrtmp_server_stop(core.pointer, 0, nil) }
        }
    }

    /// Puts other settings in force, all of them or, after a failure, none. What changed, by
    /// its paths. `listen` may change while it runs; `workers` may not.
    @discardableResult
    public func reconfigure(_ configuration: ServerConfiguration) async throws -> [String] {
        try await Waiting.call { [core] in
            let config = try Config(configuration)
            return try texts { visit, context in
                config.call { openrtmp_server_reconfigure(core.pointer, $0, visit, context) }
            }
        }
    }

    /// The settings in force, or, while it is stopped, those for its next start. Keys that
    /// were added or revoked at run time are not in it.
    public nonisolated var configuration: ServerConfiguration {
        get throws {
            var made: OpaquePointer?
            try check(openrtmp_server_config(core.pointer, &made))
            guard let made else { throw OpenRTMPError(.memory) }
            return try Config(owning: made).dump()
        }
    }

    // MARK: What it says of itself

    /// A number that names the server in log records: of no other in this process.
    public nonisolated var id: UInt64 {
        get throws {
            var id: UInt64 = 0
            try check(openrtmp_server_id(core.pointer, &id))
            return id
        }
    }

    public nonisolated var state: ServerState {
        get throws {
            var state: UInt32 = 0
            try check(openrtmp_server_state(core.pointer, &state))
            return ServerState(rawValue: state) ?? .stopping
        }
    }

    /// The port of the address at an index of `listen`, the real one where 0 was asked for.
    public nonisolated func port(at index: Int = 0) throws -> UInt16 {
        var port: UInt32 = 0
        guard let index = UInt32(exactly: index) else { throw OpenRTMPError(.notFound) }
        try check(openrtmp_server_port(core.pointer, index, &port))
        return UInt16(truncatingIfNeeded: port)
    }

    /// The addresses and ports that it listens on.
    public nonisolated var addresses: [String] {
        get throws {
            var found: [String] = []
            while true {
                do {
                    let index = UInt32(found.count)
                    found.append(try readText { openrtmp_server_address(core.pointer, index, $0, $1, $2) })
                } catch let error as OpenRTMPError where error.code == .notFound {
                    return found
                }
            }
        }
    }

    /// URLs under which other devices, then this one, reach a stream ("app/name", or empty).
    public nonisolated func urls(for stream: String = "") throws -> [String] {
        try texts { visit, context in
            stream.withC { openrtmp_server_urls(core.pointer, $0, visit, context) }
        }
    }

    /// Whether it works, and why not. Waits up to 1 s.
    public func health() async throws -> Health {
        try await Waiting.call { [core] in
            var health = openrtmp_health()
            health.struct_size = size(of: openrtmp_health.self)
            let reasons = try texts { openrtmp_server_health(core.pointer, &health, $0, $1) }
            return Health(isLive: health.live != 0, isReady: health.ready != 0, reasons: reasons)
        }
    }

    // MARK: What happens

    /// What happens from now on, through stops and starts, until the server goes. Everybody
    /// who calls has a queue of so many events of their own; who falls behind loses the
    /// newest, and is told where (``ServerEvent/Kind/lost``).
    public nonisolated func events(limit: Int = 256) -> AsyncStream<ServerEvent> {
        core.callbacks.events.stream(limit: limit)
    }

    /// A tap on a stream ("app/name"), live or still to come; `nil`: on every stream.
    ///
    /// Its frames wait in the library, bounded as those of a player, and nowhere else: a slow
    /// reader loses video up to the next key frame, and is told; nobody else waits. It ends
    /// when the server stops.
    public nonisolated func tap(_ stream: String? = nil) throws -> Tap {
        Tap(reader: try TapReader(core, stream: stream ?? ""))
    }

    /// The frames of a tap alone.
    public nonisolated func frames(of stream: String? = nil) throws -> FrameSequence {
        FrameSequence(tap: try tap(stream))
    }

    /// Publishes a stream ("app/name") from inside the program. ``OpenRTMPError/Code/busy`` if
    /// it has a publisher.
    public nonisolated func publisher(_ stream: String) throws -> StreamPublisher {
        try StreamPublisher(core, stream: stream)
    }
}
