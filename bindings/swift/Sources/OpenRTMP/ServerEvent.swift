import COpenRTMP
import Foundation

/// Something that happened in a server. Which members mean something stands at each kind of
/// `OPENRTMP_EVENT_*` in `openrtmp.h`; the others are 0 or empty.
public struct ServerEvent: Sendable, Equatable {
    /// Kinds of events, by the numbers of `openrtmp.h`.
    public enum Kind: UInt32, Sendable, CaseIterable {
        /// Of a newer library; ``ServerEvent/json`` tells.
        case other = 0
        case serverStarted = 1
        case serverStopping = 2
        case workerRestarted = 3
        case acceptFailed = 4
        case connectionOpened = 5
        case connectionClosed = 6
        case streamPublished = 7
        case streamTracks = 8
        case streamUnpublished = 9
        case streamEnded = 10
        case subscriberJoined = 11
        case subscriberLeft = 12
        case subscriberDropping = 13
        case access = 14
        case limitReached = 15
        case recordingStarted = 16
        case recordingFinished = 17
        case recordingFailed = 18
        /// ``ServerEvent/number`` events are missing here: the reader was too slow.
        case lost = 19
        case configChanged = 20
        case internalError = 21
        case serverStopped = 22
        case recordingLost = 30
        case recorderRestarted = 31
        case publisherLost = 40
        case outgoingFailed = 41
        case relayStarted = 42
        case relayFailed = 43
        case relayEnded = 44
        case certificateExpires = 50
        case addressBlocked = 60
        case videoStopped = 70
        case videoResumed = 71
        case background = 90
        case foreground = 91
        case remainingTime = 92
        case suspended = 93
        case resumed = 94
        case urlsChanged = 95
        case networkLost = 96
        case networkBack = 97
        case cellularUsed = 98
        case permission = 99
        case power = 100
        case memory = 101
        case service = 102
        case listenerLost = 103
        case listenerRestored = 104
    }

    /// Why a connection was closed, by the numbers of `openrtmp.h`.
    public enum CloseReason: UInt32, Sendable, CaseIterable {
        case other = 0
        case peer = 1
        case network = 2
        case `protocol` = 3
        case refused = 4
        case tooSlow = 5
        case limit = 6
        case host = 7
        case serverStopped = 8
        case `internal` = 9
        case suspended = 10
        case socketLost = 11
    }

    public let kind: Kind
    /// 0: none.
    public let connectionID: UInt64
    /// 0: none.
    public let streamID: UInt64
    public let number: UInt64
    public let reason: CloseReason
    public let flag: Bool
    /// The stream's path, keys masked.
    public let stream: String
    /// The peer's address and port.
    public let peer: String
    public let text: String
    /// The whole event as a JSON object (`docs/schema/events.json`).
    public let json: String

    /// ``json``, read. `null` for ``Kind/lost``.
    public var details: SettingValue {
        (try? JSONDecoder().decode(SettingValue.self, from: Data(json.utf8))) ?? .null
    }

    init(_ event: openrtmp_event) {
        kind = Kind(rawValue: event.kind) ?? .other
        connectionID = event.connection_id
        streamID = event.stream_id
        number = event.number
        reason = CloseReason(rawValue: event.reason) ?? .other
        flag = event.flag != 0
        stream = String(event.stream)
        peer = String(event.peer)
        text = String(event.text)
        json = String(event.json)
    }

    /// So many are missing.
    init(lost: UInt64) {
        kind = .lost
        connectionID = 0
        streamID = 0
        number = lost
        reason = .other
        flag = false
        stream = ""
        peer = ""
        text = ""
        json = #"{"event":"lost","count":\#(lost)}"#
    }
}

/// Hands each element to everybody who listens, each with a bounded queue.
final class Broadcast<Element: Sendable>: Sendable {
    private struct Listener {
        let continuation: AsyncStream<Element>.Continuation
        var lost: UInt64 = 0
    }

    private struct State {
        var listeners: [UInt64: Listener] = [:]
        var next: UInt64 = 0
        var finished = false
    }

    private let state = Locked(State())
    /// What tells a listener that so many are missing; `nil`: nothing does.
    private let missing: (@Sendable (UInt64) -> Element)?

    init(missing: (@Sendable (UInt64) -> Element)? = nil) { self.missing = missing }

    /// Everything from now on. What does not fit is lost, the newest first.
    func stream(limit: Int) -> AsyncStream<Element> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Element.self, bufferingPolicy: .bufferingOldest(max(2, limit)))
        let id: UInt64? = state.withLock { state in
            guard !state.finished else { return nil }
            state.next += 1
            state.listeners[state.next] = Listener(continuation: continuation)
            return state.next
        }
        guard let id else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            // Only what was taken out is released, after the lock: it may be what ends us.
            _ = self?.state.withLock { $0.listeners.removeValue(forKey: id) }
        }
        return stream
    }

    /// By one thread at a time, so that the order is that of the calls.
    func send(_ element: Element) {
        // A continuation that ends calls back to us: never within the lock.
        for id in state.withLock({ Array($0.listeners.keys) }) {
            guard var listener = state.withLock({ $0.listeners[id] }) else { continue }
            if listener.lost > 0, let missing {
                // It takes the place of one, so that two have to be free.
                guard case .enqueued(let free) = listener.continuation.yield(missing(listener.lost)) else {
                    count(id, listener.lost + 1)
                    continue
                }
                listener.lost = 0
                if free == 0 {
                    count(id, 1)
                    continue
                }
            }
            if case .dropped = listener.continuation.yield(element) { listener.lost += 1 }
            count(id, listener.lost)
        }
    }

    /// Nothing follows.
    func finish() {
        let all = state.withLock { state in
            state.finished = true
            defer { state.listeners = [:] }
            return state.listeners.values.map(\.continuation)
        }
        for continuation in all { continuation.finish() }
    }

    private func count(_ id: UInt64, _ lost: UInt64) {
        state.withLock { $0.listeners[id]?.lost = lost }
    }
}
