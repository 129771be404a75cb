import COpenRTMP
import Foundation

// Everything that the compiler is asked to believe about threads stands in this file, each
// with the reason. Nothing else in the module says `@unchecked` or `nonisolated(unsafe)`.

/// A handle of the C library.
///
/// Sendable: every function of the C library may be called from any thread, and from several
/// at once ("THREADS" in `openrtmp.h`), but for those that free and those that fetch. Who
/// owns a handle sees to these: `ServerCore` frees in its `deinit`, when nobody can call any
/// more; the others keep theirs in a `Locked`.
struct Handle: @unchecked Sendable {
    let pointer: OpaquePointer
}

/// A frame that was retained, released with the last reference.
///
/// Sendable: the C library says that a retained frame is read only and is released once, from
/// any thread. Nothing here changes after `init`.
final class RetainedFrame: @unchecked Sendable {
    let pointer: UnsafePointer<openrtmp_frame>

    /// `nil` for a frame that the library could not retain.
    init?(_ frame: UnsafePointer<openrtmp_frame>) {
        guard let retained = openrtmp_frame_retain(frame) else { return nil }
        pointer = retained
    }

    deinit { openrtmp_frame_release(pointer) }
}

/// A value behind a lock (`Mutex` needs iOS 18).
///
/// Sendable: the value is reached in `withLock` only, by one thread at a time. `body` must
/// not let parts of it out that others change.
final class Locked<Value>: @unchecked Sendable {
    private var value: Value
    private let lock = NSLock()

    init(_ value: Value) { self.value = value }

    func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        lock.lock()
        defer { lock.unlock() }
        return try body(&value)
    }
}

#if canImport(dnssd)
import dnssd
#elseif canImport(CDNSSD)
import CDNSSD
#endif

#if canImport(dnssd) || canImport(CDNSSD)
/// A registration on its way out.
///
/// Sendable: whoever makes one has taken the reference out of the `Locked` that held it, and
/// gives it to the queue that was the only one to use it.
struct Ended: @unchecked Sendable {
    let service: DNSServiceRef
}
#endif
