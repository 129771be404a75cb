import Foundation
import XCTest

@testable import OpenRTMP

final class ConfigurationTests: XCTestCase {
    func testItsJSONIsTheLibrarys() throws {
        for profile in [ServerConfiguration.Profile.desktop, .mobile] {
            var configuration = try ServerConfiguration(profile: profile)
            configuration.listen = ["127.0.0.1:0", "rtmps://[::1]:0"]
            configuration["tls.self_signed"] = true
            configuration["limits.connections"] = 7
            configuration["relay.push"] = [["match": "live/*", "to": "rtmp://localhost/{app}/{name}"]]
            // What Swift writes, and what the library makes of that.
            let ours = try JSONEncoder().encode(configuration)
            let theirs = Data(try configuration.json().utf8)
            let read = try JSONDecoder().decode(ServerConfiguration.self, from: theirs)
            XCTAssertEqual(try JSONDecoder().decode(ServerConfiguration.self, from: ours), configuration)
            XCTAssertEqual(read["limits"], configuration["limits"])
            XCTAssertEqual(read["tls"], configuration["tls"])
            XCTAssertEqual(read.listen.count, 2)
            // The library's own is a fixed point.
            let again = try ServerConfiguration(document: try read.json())
            XCTAssertEqual(again, read)
            XCTAssertEqual(try ServerConfiguration(document: try read.yaml(), isYAML: true), read)
        }
    }

    func testEverySettingOfTheSchemaIsThereWithItsDefault() throws {
        let schema = try JSONDecoder().decode(
            SettingValue.self, from: Data(try read("docs/schema/settings.json").utf8))
        // Nothing is recorded unless it is said where: only then is there such a group.
        var defaults = try ServerConfiguration(
            document: #"{"record": {"directory": "somewhere"}}"#, profile: .desktop)
        defaults["record.directory"] = ""
        var leaves = 0
        func compare(_ group: SettingValue, _ path: [String]) {
            for (name, entry) in group["properties"]?.group ?? [:] {
                let path = path + [name]
                if entry["properties"] != nil, entry["default"] == nil {
                    compare(entry, path)
                } else if let value = entry["default"] {
                    leaves += 1
                    XCTAssertEqual(defaults[path.joined(separator: ".")], value, path.joined(separator: "."))
                }
            }
        }
        compare(schema, [])
        XCTAssertGreaterThan(leaves, 150)
    }

    func testWhatIsWrongIsNamed() async throws {
        var configuration = try settings(["limits.conections": 5])
        do {
            try configuration.validate()
            XCTFail("taken")
        } catch let error as OpenRTMPError {
            XCTAssertEqual(error.code, .config)
            XCTAssertTrue(error.message.contains("limits.conections"), error.message)
        }
        configuration = try settings(["limits.connections": 0])
        await assertThrows(.config) { [configuration] in try RTMPServer(configuration) }
        await assertThrows(.config) { try ServerConfiguration(document: "{") }
        await assertThrows(.io) {
            try ServerConfiguration(file: URL(fileURLWithPath: "/nowhere/at.all"))
        }
        // A group in the place of a value, and a number that JSON has no word for.
        await assertThrows(.config) { try settings(["listen.port": 1]).validate() }
        await assertThrows(.config) { try settings(["limits.connections": .double(.nan)]).validate() }
    }

    func testAFileIsRead() async throws {
        try await withFolder { folder in
            let file = folder.appendingPathComponent("a.yaml")
            try Data("limits:\n  connections: 9\nmobile:\n  background: audio\n".utf8).write(to: file)
            let read = try ServerConfiguration(file: file)
            XCTAssertEqual(read["limits.connections"], 9)
            XCTAssertEqual(read.background, .audio)
            XCTAssertNil(read["limits.nothing"])
            XCTAssertNil(read["limits.connections.nothing"])
        }
    }

    func testBackgroundPoliciesAreThoseOfTheSchema() throws {
        let schema = try JSONDecoder().decode(
            SettingValue.self, from: Data(try read("docs/schema/settings.json").utf8))
        let names = schema["properties"]?["mobile"]?["properties"]?["background"]?["enum"]?.list
        XCTAssertEqual(
            names?.compactMap(\.text).sorted(),
            ServerConfiguration.BackgroundPolicy.allCases.map(\.rawValue).sorted())
    }

    func testTextsAreCarriedWhole() throws {
        for text in ["schlüssel🔑", "a\u{0}b", "\"\\\n", String(repeating: "k", count: 4000)] {
            let configuration = try settings(["record.directory": .text(text)])
            let read = try ServerConfiguration(document: try configuration.json())
            XCTAssertEqual(read["record.directory"]?.text, text)
        }
    }
}
