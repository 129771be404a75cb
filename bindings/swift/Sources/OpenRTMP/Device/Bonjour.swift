// Bonjour by the functions of dns_sd.h: part of Apple's systems; on Linux Avahi has a library
// with the same ones, which is linked if OPENRTMP_DNS_SD is set when the package is built.

#if canImport(dnssd)
import dnssd
#elseif canImport(CDNSSD)
import CDNSSD
#endif

#if canImport(dnssd) || canImport(CDNSSD)
import Dispatch

/// Tells the local network of a server: `_rtmp._tcp`. Nothing does so unless it is asked to.
///
/// On iOS it needs the Local Network permission, which the user is asked for at the first
/// call, and `_rtmp._tcp` in `NSBonjourServices`. A registration does not live through a
/// suspension: stop before, make another one after.
public final class BonjourService: Sendable {
    /// What became of it.
    public enum Outcome: Sendable, Equatable {
        /// Under this name, which is another one if somebody else had it.
        case registered(name: String)
        /// The user does not let the program into the local network.
        case refused
        /// A code of dns_sd.h.
        case failed(Int32)
    }

    /// What Apple's systems answer a program that may not (`kDNSServiceErr_PolicyDenied`).
    static let policyDenied: Int32 = -65570

    private struct State {
        var service: DNSServiceRef?
        var source: (any DispatchSourceRead)?
        var report: Unmanaged<Report>?
    }

    private final class Report: Sendable {
        let tell: @Sendable (Outcome) -> Void
        init(_ tell: @escaping @Sendable (Outcome) -> Void) { self.tell = tell }
    }

    private let state = Locked(State())

    /// - Parameters:
    ///   - name: empty: the device's.
    ///   - port: where the server listens.
    ///   - text: pairs with spaces between them, such as "v=1 app=live". Never a key: everybody
    ///     reads it.
    ///   - tell: on a queue of its own.
    public init(
        name: String = "", port: UInt16, text: String = "", tell: @escaping @Sendable (Outcome) -> Void
    ) throws {
        let record = Self.record(text)
        let report = Unmanaged.passRetained(Report(tell))
        var service: DNSServiceRef?
        let result = DNSServiceRegister(
            &service, 0, 0, name.isEmpty ? nil : name, "_rtmp._tcp", nil, nil, port.bigEndian,
            UInt16(record.count), record,
            { _, _, error, name, _, _, context in
                guard let context else { return }
                let report = Unmanaged<Report>.fromOpaque(context).takeUnretainedValue()
                switch error {
                case 0: report.tell(.registered(name: name.map { String(cString: $0) } ?? ""))
                case BonjourService.policyDenied: report.tell(.refused)
                default: report.tell(.failed(error))
                }
            },
            report.toOpaque())
        guard result == 0, let service else {
            report.release()
            if result == Self.policyDenied { tell(.refused) }
            throw OpenRTMPError(.io, "DNSServiceRegister says \(result)")
        }
        let source = DispatchSource.makeReadSource(
            fileDescriptor: DNSServiceRefSockFD(service),
            queue: DispatchQueue(label: "org.openrtmp.bonjour"))
        source.setEventHandler { [weak self] in
            // One that was stopped meanwhile is gone.
            guard let self, let service = self.state.withLock({ $0.service }) else { return }
            DNSServiceProcessResult(service)
        }
        state.withLock { $0 = State(service: service, source: source, report: report) }
        source.resume()
    }

    deinit { stop() }

    /// Nobody finds it any more.
    public func stop() {
        state.withLock { state in
            guard let service = state.service, let source = state.source else { return }
            let (last, report) = (Ended(service: service), state.report)
            state = State()
            // On the queue that reads from it, after what runs there.
            source.setCancelHandler {
                DNSServiceRefDeallocate(last.service)
                report?.release()
            }
            source.cancel()
        }
    }

    /// The text record: each pair behind its length, of a byte (RFC 6763, section 6).
    static func record(_ text: String) -> [UInt8] {
        var record: [UInt8] = []
        for pair in text.split(separator: " ") {
            let bytes = Array(pair.utf8.prefix(255))
            guard record.count + bytes.count + 1 <= 1300 else { break }
            record.append(UInt8(bytes.count))
            record.append(contentsOf: bytes)
        }
        return record.isEmpty ? [0] : record
    }
}
#endif
