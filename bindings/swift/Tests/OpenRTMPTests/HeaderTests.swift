import Foundation
import XCTest

@testable import OpenRTMP

/// What this module has in common with the C library.
final class HeaderTests: XCTestCase {
    private func header() throws -> String { try read("include/openrtmp.h") }

    private func defined(_ prefix: String) throws -> [String: Int64] {
        var found: [String: Int64] = [:]
        for line in try header().split(separator: "\n") where line.hasPrefix("#define \(prefix)") {
            let words = line.split(separator: " ")
            if words.count == 3, let number = Int64(words[2]) {
                found[String(words[1].dropFirst(prefix.count))] = number
            }
        }
        return found
    }

    /// "invalidUTF8" as the header has it: "INVALID_UTF8".
    private func screaming(_ name: String) -> String {
        var out = ""
        var wasLower = false
        for character in name {
            if character.isUppercase, wasLower { out += "_" }
            wasLower = character.isLowercase
            out += character.uppercased()
        }
        return out
    }

    private func assertSame<Kind: CaseIterable & RawRepresentable>(
        _ prefix: String, _ kind: Kind.Type, without: Set<String> = [], only: Bool = false,
        file: StaticString = #filePath, line: UInt = #line
    ) throws where Kind.RawValue: BinaryInteger {
        let ours = Dictionary(
            uniqueKeysWithValues: Kind.allCases.map { (screaming("\($0)"), Int64($0.rawValue)) })
        let theirs = try defined(prefix).filter { name, _ in
            !without.contains(name) && (!only || ours[name] != nil)
        }
        XCTAssertEqual(ours, theirs, prefix, file: file, line: line)
    }

    func testCodesAreThoseOfTheHeader() throws {
        try assertSame("OPENRTMP_ERROR_", OpenRTMPError.Code.self)
        let unknown = OpenRTMPError(number: -99, message: "")
        XCTAssertNil(unknown.code)
        XCTAssertEqual(unknown.number, -99)
        XCTAssertFalse(unknown.message.isEmpty)
    }

    func testConstantsAreThoseOfTheHeader() throws {
        try assertSame("OPENRTMP_EVENT_", ServerEvent.Kind.self)
        try assertSame("OPENRTMP_CLOSE_", ServerEvent.CloseReason.self)
        try assertSame("OPENRTMP_MEDIA_", MediaKind.self)
        try assertSame("OPENRTMP_STATE_", ServerState.self)
        try assertSame("OPENRTMP_RELAY_", Relay.Kind.self, only: true)
        try assertSame("OPENRTMP_RELAY_", RelayInfo.State.self, only: true)
        try assertSame("OPENRTMP_LOG_", LogRecord.Level.self)
        try assertSame("OPENRTMP_NETWORK_", DeviceNetwork.Kind.self, without: ["METERED", "CONSTRAINED", "DEFAULT"])
        try assertSame("OPENRTMP_PERMISSION_", DevicePermission.self, only: true)
        try assertSame("OPENRTMP_PERMISSION_", PermissionState.self, only: true)
        try assertSame("OPENRTMP_THERMAL_", ThermalState.self)
        try assertSame("OPENRTMP_MEMORY_", MemoryLevel.self)
        try assertSame("OPENRTMP_SERVICE_ORDER_", DeviceOrder.ServiceOrder.self)
        let service = try defined("OPENRTMP_SERVICE_").filter { !$0.key.hasPrefix("ORDER_") }
        XCTAssertEqual(Set(service.values), Set(ServiceState.allCases.map { Int64($0.rawValue) }))
        XCTAssertEqual(
            try defined("OPENRTMP_FOURCC_"), Codec.all.mapValues { Int64($0.fourCC) })
        XCTAssertEqual("\(Codec.avc) \(Codec.opus)", "avc1 Opus")
        XCTAssertEqual(
            try defined("OPENRTMP_FRAME_"),
            [
                "KEY": Int64(Frame.Content.key.rawValue), "CONFIG": Int64(Frame.Content.configuration.rawValue),
                "METADATA": Int64(Frame.Content.metadata.rawValue), "END": Int64(Frame.Content.end.rawValue),
                "OTHER": Int64(Frame.Content.other.rawValue),
            ])
        XCTAssertEqual(
            try defined("OPENRTMP_REACHABLE_"),
            [
                "CELLULAR": Int64(ReachableURL.Extra.cellular.rawValue),
                "VPN": Int64(ReachableURL.Extra.vpn.rawValue),
                "LOOPBACK": Int64(ReachableURL.Extra.loopback.rawValue),
            ])
    }

    func testEveryFunctionOfTheHeaderIsCalledOrHasAReasonNotToBe() throws {
        let pattern = try NSRegularExpression(
            pattern: #"^[a-z].*?\b(openrtmp_\w+)\("#, options: .anchorsMatchLines)
        let header = try header()
        var declared: Set<String> = []
        for match in pattern.matches(in: header, range: NSRange(header.startIndex..., in: header)) {
            guard let line = Range(match.range, in: header), let name = Range(match.range(at: 1), in: header)
            else { continue }
            if !header[line].hasPrefix("static"), !header[line].hasPrefix("typedef") {
                declared.insert(String(header[name]))
            }
        }
        XCTAssertGreaterThan(declared.count, 60)

        let sources = try sources().joined()
        let called = declared.filter { sources.contains("\($0)(") }
        let excused = try read("bindings/swift/Tests/OpenRTMPTests/header.txt").split(separator: "\n")
            .filter { !$0.hasPrefix("#") }
            .map { String($0.prefix { $0 != " " }) }
        XCTAssertEqual(declared.subtracting(called).sorted(), excused.sorted())
    }

    func testWhatTheCompilerIsAskedToBelieveStandsInOneFile() throws {
        let folder = repository.appendingPathComponent("bindings/swift/Sources/OpenRTMP")
        for file in try FileManager.default.subpathsOfDirectory(atPath: folder.path)
        where file.hasSuffix(".swift") && file != "Unchecked.swift" {
            let text = try String(contentsOf: folder.appendingPathComponent(file), encoding: .utf8)
            for word in ["@unchecked", "nonisolated(unsafe)", "@preconcurrency", "try!", "fatalError"] {
                XCTAssertFalse(text.contains(word), "\(file) has \(word)")
            }
        }
    }

    private func sources() throws -> [String] {
        let folder = repository.appendingPathComponent("bindings/swift/Sources/OpenRTMP")
        return try FileManager.default.subpathsOfDirectory(atPath: folder.path)
            .filter { $0.hasSuffix(".swift") }
            .map { try String(contentsOf: folder.appendingPathComponent($0), encoding: .utf8) }
    }
}
