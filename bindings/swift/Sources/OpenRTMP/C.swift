import COpenRTMP
import Dispatch

// How Swift and C hand each other texts, lists and results.

/// Throws what a negative result means. To be called on the thread that called C, at once:
/// the message is kept for each thread.
func check(_ result: Int32) throws {
    guard result < 0 else { return }
    throw OpenRTMPError(number: result, message: String(cString: openrtmp_last_error_message()))
}

extension String {
    init(_ text: openrtmp_str) {
        self.init(decoding: UnsafeRawBufferPointer(start: text.data, count: text.length), as: UTF8.self)
    }

    /// The text as C takes it, for the time of the call.
    func withC<Result>(_ body: (openrtmp_str) throws -> Result) rethrows -> Result {
        var copy = self
        return try copy.withUTF8 { bytes in
            let start = UnsafeRawPointer(bytes.baseAddress)?.assumingMemoryBound(to: CChar.self)
            return try body(openrtmp_str(data: start, length: bytes.count))
        }
    }
}

/// The text that a function writes to a buffer; it may be longer each time it is asked.
func readText(
    _ write: (UnsafeMutablePointer<CChar>?, Int, UnsafeMutablePointer<Int>?) -> Int32
) throws -> String {
    var capacity = 1024
    while true {
        var length = 0
        var result: Int32 = 0
        let text = String(unsafeUninitializedCapacity: capacity) { bytes in
            bytes.withMemoryRebound(to: CChar.self) { buffer in
                result = write(buffer.baseAddress, capacity, &length)
            }
            return result == 0 ? length : 0
        }
        guard result == OPENRTMP_ERROR_BUFFER_TOO_SMALL else {
            try check(result)
            return text
        }
        // Numbers and settings may have grown by the next call.
        capacity = length + length / 4 + 1
    }
}

/// What a function visits is handed to a closure of Swift by the pointer to one of these.
final class Visitor<Info> {
    private let body: (Info) -> Void

    private init(_ body: @escaping (Info) -> Void) { self.body = body }

    /// `call` gets the context that `visit` is then called with.
    static func each(
        _ body: (Info) -> Void, _ call: (UnsafeMutableRawPointer) -> Int32
    ) throws {
        try withoutActuallyEscaping(body) { body in
            let visitor = Visitor(body)
            let result = call(Unmanaged.passUnretained(visitor).toOpaque())
            try withExtendedLifetime(visitor) { try check(result) }
        }
    }

    static func visit(_ context: UnsafeMutableRawPointer?, _ info: Info) {
        guard let context else { return }
        Unmanaged<Visitor>.fromOpaque(context).takeUnretainedValue().body(info)
    }

    static func visit(_ context: UnsafeMutableRawPointer?, _ info: UnsafePointer<Info>) {
        visit(context, info.pointee)
    }
}

/// The texts that a function visits.
func texts(
    _ call: (@escaping @convention(c) (UnsafeMutableRawPointer?, openrtmp_str) -> Void, UnsafeMutableRawPointer) -> Int32
) throws -> [String] {
    var found: [String] = []
    try Visitor<openrtmp_str>.each({ found.append(String($0)) }) { context in
        call({ Visitor<openrtmp_str>.visit($0, $1) }, context)
    }
    return found
}

/// Sizes as C wants to be told of them.
func size<T>(of type: T.Type) -> UInt32 { UInt32(MemoryLayout<T>.size) }

/// Calls that wait are made on threads of Dispatch's, never on those that run Swift's tasks,
/// of which there are only as many as cores.
enum Waiting {
    private static let queue = DispatchQueue(label: "org.openrtmp.calls", attributes: .concurrent)

    static func call<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result { try body() }) }
        }
    }

    static func later(_ body: @escaping @Sendable () -> Void) { queue.async(execute: body) }

    static func after(_ time: Duration, _ body: @escaping @Sendable () -> Void) {
        queue.asyncAfter(deadline: .now() + .milliseconds(Int(clamping: time.milliseconds)), execute: body)
    }
}

extension Duration {
    /// Whole milliseconds, not below 0.
    var milliseconds: UInt64 {
        let parts = components
        guard parts.seconds >= 0, parts.attoseconds >= 0 else { return 0 }
        let (ms, over) = UInt64(parts.seconds).multipliedReportingOverflow(by: 1000)
        return over ? .max : ms.addingReportingOverflow(UInt64(parts.attoseconds) / 1_000_000_000_000_000).partialValue
    }

    /// Whole microseconds; what does not fit becomes the nearest that does.
    var microseconds: Int64 {
        let parts = components
        let (us, over) = parts.seconds.multipliedReportingOverflow(by: 1_000_000)
        let (sum, beyond) = us.addingReportingOverflow(parts.attoseconds / 1_000_000_000_000)
        return over || beyond ? (parts.seconds < 0 ? .min : .max) : sum
    }

    static func whole(_ milliseconds: UInt64) -> Duration { .milliseconds(Int64(clamping: milliseconds)) }
}
