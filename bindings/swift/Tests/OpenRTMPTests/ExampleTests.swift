import Foundation
import XCTest

@testable import OpenRTMP

/// The example, as a program of its own.
final class ExampleTests: XCTestCase {
    func testTheExampleServesCopiesAStreamAndStops() async throws {
        guard let path = ProcessInfo.processInfo.environment["OPENRTMP_EXAMPLE"],
            FileManager.default.isExecutableFile(atPath: path)
        else { throw XCTSkip("OPENRTMP_EXAMPLE names no program") }
        try await withFolder { folder in
            let file = folder.appendingPathComponent("played.flv").path
            try await inTime {
                let program = try Program(path, ["127.0.0.1:0"])
                let lines = program.lines()
                func line(_ text: String) async throws -> String {
                    for await line in lines where line.contains(text) { return line }
                    throw Late()
                }
                let found = try await line("publish to ")
                let url = String(found.dropFirst("publish to ".count))
                let copy = url.replacingOccurrences(of: "live/cam", with: "live/copy")
                let player = try Ffmpeg.run("-i", copy, "-c", "copy", "-f", "flv", file)
                _ = try await line("subscriberJoined live/copy")
                try await Ffmpeg.publish(url, seconds: 2).finish()
                _ = try await line("avc1: ")
                _ = try await line("streamEnded live/cam")
                program.closeInput()
                let last = try await line("accepted ")
                XCTAssertEqual(last, "accepted 2 connections")
                try await player.finish()
                // Nothing was said of failures.
                XCTAssertEqual(program.said, "")
            }
            let pictures = try await Ffmpeg.count(file, "v")
            XCTAssertEqual(pictures, 50)
        }
    }
}
