#if canImport(CDNSSD)
import Foundation
import XCTest

@testable import OpenRTMP

/// By Avahi's library of the functions of dns_sd.h.
final class BonjourTests: XCTestCase {
    func testWithoutAServiceOfTheSystemItIsRefused() async {
        // No Avahi runs where the tests do.
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
