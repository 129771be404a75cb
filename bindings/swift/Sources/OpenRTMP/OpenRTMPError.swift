import COpenRTMP

/// Why a call failed.
public struct OpenRTMPError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kinds of failures there are, as `openrtmp.h` numbers them.
    public enum Code: Int32, Sendable, CaseIterable {
        /// An argument has a value that means nothing.
        case invalidArgument = -1
        /// A text is not UTF-8.
        case invalidUTF8 = -2
        /// The library and this module are not of one version.
        case structSize = -3
        /// Never seen: buffers grow.
        case bufferTooSmall = -4
        /// There is no such thing, or no longer.
        case notFound = -5
        /// Not possible in this state: not started, already started, closed.
        case state = -6
        /// Called from inside a callback that the call would wait for.
        case recursive = -7
        /// A setting is unknown or its value is not allowed; the message names the path.
        case config = -8
        /// An address cannot be listened on.
        case listen = -9
        /// A file, or another thing of the system, failed.
        case io = -10
        /// Somebody else has it: the stream has a publisher, or is being recorded.
        case busy = -11
        /// A limit is reached.
        case limit = -12
        /// Too much is waiting; try again later.
        case wouldBlock = -13
        /// A bug in the library, caught. What it was called on still works.
        case panic = -14
        /// A publisher's stream is another's now, or was ended.
        case gone = -15
        /// Only a restart can change these settings; the message names them.
        case needsRestart = -16
        /// The system has no memory for it.
        case memory = -17
        /// Nobody answered in time. What was asked for may still happen.
        case timeout = -18
        /// This library was built without it.
        case unsupported = -19
    }

    /// The number of the code, of a newer library too.
    public let number: Int32

    /// What went wrong, in English; the code's meaning if there is no detail.
    public let message: String

    /// The code; `nil` if this module does not know it.
    public var code: Code? { Code(rawValue: number) }

    public var description: String { message }

    init(number: Int32, message: String) {
        self.number = number
        self.message = message.isEmpty ? String(cString: openrtmp_strerror(number)) : message
    }

    init(_ code: Code, _ message: String = "") { self.init(number: code.rawValue, message: message) }
}
