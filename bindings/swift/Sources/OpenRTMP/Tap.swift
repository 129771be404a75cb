import COpenRTMP
import Dispatch

/// What a tap did not get.
public struct TapLoss: Sendable, Equatable {
    /// Frames; those of several tracks in one message count as one.
    public let frames: UInt64
    /// Their bytes.
    public let bytes: UInt64
    /// Decoding time of the earliest, on the stream's clock.
    public let from: Duration
    /// Decoding time of the latest.
    public let to: Duration
}

/// What a tap has.
public enum TapEvent: Sendable {
    case frame(Frame)
    /// A stream has a publisher; its frames follow.
    case started(streamID: UInt64, stream: String)
    /// A stream is over. It may start again.
    case ended(streamID: UInt64, stream: String)
    /// A stream goes on with another publisher: its configuration comes, and video starts at
    /// a key frame; time goes on.
    case republished(streamID: UInt64, stream: String)
    /// Frames are missing before the next one: the reader was too slow.
    case lost(streamID: UInt64, stream: String, TapLoss)
}

/// The frames of one stream or of all, and what becomes of the streams. Ends when the server
/// stops, and for a task that is cancelled. Closed with the last copy of it.
public struct Tap: AsyncSequence, Sendable {
    public typealias Element = TapEvent
    let reader: TapReader

    public struct AsyncIterator: AsyncIteratorProtocol {
        let reader: TapReader
        public mutating func next() async -> TapEvent? { await reader.next() }
        public mutating func next(isolation actor: isolated (any Actor)?) async -> TapEvent? {
            await reader.next()
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(reader: reader) }

    /// Ends it now, for everybody who reads.
    public func close() { reader.close() }
}

/// The frames of a ``Tap`` alone.
public struct FrameSequence: AsyncSequence, Sendable {
    public typealias Element = Frame
    let tap: Tap

    public struct AsyncIterator: AsyncIteratorProtocol {
        let reader: TapReader
        public mutating func next() async -> Frame? { await next(isolation: nil) }
        public mutating func next(isolation actor: isolated (any Actor)?) async -> Frame? {
            while let event = await reader.next() {
                if case .frame(let frame) = event { return frame }
            }
            return nil
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(reader: tap.reader) }

    /// Ends it now, for everybody who reads.
    public func close() { tap.close() }
}

/// Fetches from the library when somebody asks for it, and not before: what is not asked for
/// waits in the library's queue, which drops as for any slow player. Nobody's thread waits:
/// Dispatch tells when the tap's descriptor is readable.
final class TapReader: Sendable {
    private struct State {
        /// `nil` once it is closed.
        var tap: Handle?
        var source: (any DispatchSourceRead)?
        /// The source is resumed: it will call.
        var isArmed = false
        var isOver = false
        var waiting: [(id: UInt64, continuation: CheckedContinuation<TapEvent?, Never>)] = []
        /// Who gave up before they waited.
        var cancelled: Set<UInt64> = []
        var next: UInt64 = 0
    }

    private enum Fetched { case event(TapEvent), nothing, over }

    private let state = Locked(State())

    init(_ core: ServerCore, stream: String) throws {
        var made: OpaquePointer?
        try check(stream.withC { openrtmp_tap_open(core.pointer, $0, nil, &made) })
        guard let made else { throw OpenRTMPError(.memory) }
        let tap = Handle(pointer: made)
        var descriptor = 0
        do {
            try check(openrtmp_tap_descriptor(made, &descriptor))
        } catch {
            openrtmp_tap_free(made)
            throw error
        }
        let source = DispatchSource.makeReadSource(
            fileDescriptor: Int32(truncatingIfNeeded: descriptor),
            queue: DispatchQueue(label: "org.openrtmp.tap"))
        source.setEventHandler { [weak self] in self?.readable() }
        // The descriptor is the tap's: it must not go while Dispatch looks at it.
        source.setCancelHandler { openrtmp_tap_free(tap.pointer) }
        state.withLock { state in
            state.tap = tap
            state.source = source
        }
    }

    deinit { close() }

    func next() async -> TapEvent? {
        let id = state.withLock { state in
            state.next += 1
            return state.next
        }
        // A task that was cancelled when it had its answer already leaves nothing behind.
        defer { state.withLock { _ = $0.cancelled.remove(id) } }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: TapEvent?? = state.withLock { state in
                    guard state.cancelled.remove(id) == nil else { return .some(nil) }
                    // Who came first gets the first.
                    if state.waiting.isEmpty {
                        switch Self.fetch(&state) {
                        case .event(let event): return event
                        case .over: return .some(nil)
                        case .nothing: break
                        }
                    }
                    state.waiting.append((id, continuation))
                    Self.arm(&state)
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let waiting = state.withLock { state -> CheckedContinuation<TapEvent?, Never>? in
                guard let place = state.waiting.firstIndex(where: { $0.id == id }) else {
                    state.cancelled.insert(id)
                    return nil
                }
                return state.waiting.remove(at: place).continuation
            }
            waiting?.resume(returning: nil)
        }
    }

    func close() {
        let waiting = state.withLock { state in
            guard let source = state.source else { return [] as [CheckedContinuation<TapEvent?, Never>] }
            state.tap = nil
            state.source = nil
            state.isOver = true
            // One that is suspended would never be cancelled.
            if !state.isArmed { source.resume() }
            source.cancel()
            defer { state.waiting = [] }
            return state.waiting.map(\.continuation)
        }
        for continuation in waiting { continuation.resume(returning: nil) }
    }

    private func readable() {
        var answers: [(CheckedContinuation<TapEvent?, Never>, TapEvent?)] = []
        state.withLock { state in
            guard let source = state.source, state.isArmed else { return }
            source.suspend()
            state.isArmed = false
            while let first = state.waiting.first {
                let event: TapEvent?
                switch Self.fetch(&state) {
                case .event(let fetched): event = fetched
                case .over: event = nil
                case .nothing:
                    Self.arm(&state)
                    return
                }
                answers.append((first.continuation, event))
                state.waiting.removeFirst()
            }
        }
        for (continuation, event) in answers { continuation.resume(returning: event) }
    }

    private static func arm(_ state: inout State) {
        guard let source = state.source, !state.isArmed else { return }
        state.isArmed = true
        source.resume()
    }

    /// Within the lock: one thread at a time may fetch, and nobody once it is freed.
    private static func fetch(_ state: inout State) -> Fetched {
        guard let tap = state.tap, !state.isOver else { return .over }
        var item = openrtmp_tap_item()
        item.struct_size = size(of: openrtmp_tap_item.self)
        while true {
            switch openrtmp_tap_next(tap.pointer, 0, &item) {
            case OPENRTMP_OK: break
            case OPENRTMP_ERROR_TIMEOUT: return .nothing
            default:
                state.isOver = true
                return .over
            }
            // What a newer library tells is passed over.
            if let event = TapEvent(item) { return .event(event) }
        }
    }
}

extension TapEvent {
    init?(_ item: openrtmp_tap_item) {
        switch Int32(bitPattern: item.kind) {
        case OPENRTMP_TAP_FRAME:
            guard let frame = item.frame.flatMap(RetainedFrame.init) else { return nil }
            self = .frame(Frame(retained: frame))
        case OPENRTMP_TAP_STARTED:
            self = .started(streamID: item.stream_id, stream: String(item.stream))
        case OPENRTMP_TAP_ENDED:
            self = .ended(streamID: item.stream_id, stream: String(item.stream))
        case OPENRTMP_TAP_REPUBLISHED:
            self = .republished(streamID: item.stream_id, stream: String(item.stream))
        case OPENRTMP_TAP_LOST:
            guard let loss = item.loss?.pointee else { return nil }
            self = .lost(streamID: item.stream_id, stream: String(item.stream), TapLoss(
                frames: loss.frames, bytes: loss.bytes,
                from: .microseconds(loss.from_us), to: .microseconds(loss.to_us)))
        default:
            return nil
        }
    }
}
