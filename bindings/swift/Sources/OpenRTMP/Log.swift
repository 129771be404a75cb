import COpenRTMP

/// A record of the library's log.
public struct LogRecord: Sendable, Equatable {
    /// How important a record is.
    public enum Level: UInt32, Sendable, CaseIterable, Comparable {
        /// Something failed that should not.
        case error = 1
        /// Something to look at.
        case warn = 2
        /// What goes on.
        case info = 3
        /// For finding faults.
        case debug = 4
        /// Everything.
        case trace = 5

        public static func < (one: Level, other: Level) -> Bool { one.rawValue < other.rawValue }
    }

    public let level: Level
    /// The part of the library.
    public let target: String
    public let message: String
    /// What it is about (peer, stream, ...), as a JSON object of texts; empty if nothing.
    public let fields: String
    /// Records lost before this one because the handler was too slow.
    public let lost: UInt64
    /// The server that it is of (``RTMPServer/id``); 0: none, or not known.
    public let serverID: UInt64

    init(_ record: openrtmp_log_record) {
        level = Level(rawValue: record.level) ?? .trace
        target = String(record.target)
        message = String(record.message)
        fields = String(record.fields)
        lost = record.lost
        serverID = record.server_id
    }
}

/// Takes records, one after the other, on a thread of the library.
public typealias LogHandler = @Sendable (LogRecord) -> Void

extension OpenRTMPLibrary {
    /// Sends the records of all servers of the process to a handler, in place of the one
    /// before; `nil`: to nobody. Waits up to 1 s for the one before.
    public static func setLog(_ level: LogRecord.Level = .info, handler: LogHandler?) async throws {
        try await Waiting.call { try LogTable.set(level, handler) { openrtmp_log_set($0) } }
    }
}

extension RTMPServer {
    /// Sends the records of this server to a handler of its own, besides that of the process.
    public func setLog(_ level: LogRecord.Level = .info, handler: LogHandler?) async throws {
        try await Waiting.call { [core] in
            try LogTable.set(level, handler) { openrtmp_server_log_set(core.pointer, $0) }
        }
    }
}

/// A handler as C calls it.
private final class LogTable: Sendable {
    let handler: LogHandler

    init(_ handler: @escaping LogHandler) { self.handler = handler }

    static func set(
        _ level: LogRecord.Level, _ handler: LogHandler?,
        _ set: (UnsafePointer<openrtmp_log_callbacks>?) -> Int32
    ) throws {
        guard let handler else {
            try check(set(nil))
            return
        }
        let context = Unmanaged.passRetained(LogTable(handler))
        var table = openrtmp_log_callbacks(
            struct_size: size(of: openrtmp_log_callbacks.self),
            max_level: level.rawValue,
            user_data: context.toOpaque(),
            on_record: { context, record in
                guard let context else { return }
                Unmanaged<LogTable>.fromOpaque(context).takeUnretainedValue()
                    .handler(LogRecord(record.pointee))
            },
            on_closed: { context in
                guard let context else { return }
                Unmanaged<LogTable>.fromOpaque(context).release()
            })
        let result = set(&table)
        // After a time-out it is in place all the same; after another failure it never was.
        if result < 0, result != OPENRTMP_ERROR_TIMEOUT { context.release() }
        try check(result)
    }
}

#if canImport(os)
import os

extension OpenRTMPLibrary {
    /// Sends the records of all servers to the system's log: the subsystem "org.openrtmp",
    /// with the part of the library as category. What a record is about is private there.
    public static func logToSystem(_ level: LogRecord.Level = .info) async throws {
        try await setLog(level) { record in
            let logger = Logger(subsystem: "org.openrtmp", category: record.target)
            let type: OSLogType =
                switch record.level {
                case .error: .error
                case .warn: .default
                case .info: .info
                case .debug, .trace: .debug
                }
            logger.log(level: type, "\(record.message, privacy: .public) \(record.fields, privacy: .private)")
        }
    }
}
#endif
