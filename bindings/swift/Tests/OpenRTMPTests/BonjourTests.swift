#if canImport(CDNSSD)
import Foundation
import XCTest

@testable import OpenRTMP

/// By Avahi's library of the functions of dns_sd.h.
final class BonjourTests: XCTestCase {
    /// Where an Avahi runs, and `avahi-browse -rpk` writes what it finds to a file.
    func testAServerIsFoundUntilItIsToldOfNoMore() async throws {
        guard let file = ProcessInfo.processInfo.environment["OPENRTMP_FOUND"] else {
            throw XCTSkip("OPENRTMP_FOUND names no file of what is found")
        }
        // The first line of the browser's that begins so.
        let line = { @Sendable (kind: String) async throws -> [Substring] in
            while true {
                let found = try String(contentsOfFile: file, encoding: .utf8)
                let lines = found.split(separator: "\n").dropLast(found.hasSuffix("\n") ? 0 : 1)
                if let line = lines.first(where: { $0.hasPrefix(kind) }) {
                    return line.split(separator: ";")
                }
                try await Task.sleep(for: .milliseconds(50))
            }
        }
        try await served { server in
            let port = try server.port()
            let (told, tell) = AsyncStream.makeStream(of: BonjourService.Outcome.self)
            let service = try BonjourService(name: "Drone", port: port, text: "v=1 app=live") {
                tell.yield($0)
            }
            let outcome = try await told.first { _ in true }
            XCTAssertEqual(outcome, .registered(name: "Drone"))
            // Interface, protocol, name, type, domain, host, address, port, text.
            let found = try await line("=")
            XCTAssertEqual(found[3...5], ["Drone", "_rtmp._tcp", "local"])
            XCTAssertEqual(found[8], "\(port)")
            XCTAssertEqual(Set(found[9].split(separator: " ")), ["\"v=1\"", "\"app=live\""])
            service.stop()
            let lost = try await line("-")
            XCTAssertEqual(lost[3], "Drone")
        }
    }

    func testWithoutAServiceOfTheSystemItIsRefused() async throws {
        try XCTSkipIf(ProcessInfo.processInfo.environment["OPENRTMP_FOUND"] != nil, "there is one")
        // No Avahi runs where the tests do, but for the one above.
        await assertThrows(.io) { try BonjourService(name: "Drone", port: 1935) { _ in } }
    }

    func testTextRecords() {
        XCTAssertEqual(BonjourService.record(""), [0])
        XCTAssertEqual(BonjourService.record("v=1 a=b"), [3, 118, 61, 49, 3, 97, 61, 98])
        XCTAssertLessThanOrEqual(BonjourService.record(String(repeating: "x ", count: 5000)).count, 1300)
        XCTAssertEqual(BonjourService.record(String(repeating: "x", count: 300)).count, 256)
    }
}
#endif
