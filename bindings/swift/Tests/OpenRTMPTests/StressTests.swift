import Foundation
import XCTest

@testable import OpenRTMP

/// Everything at once, from many tasks: nothing is lost, hangs or crashes. Under
/// ThreadSanitizer this is what it looks at.
final class StressTests: XCTestCase {
    func testReadersWritersAndListersAtOnce() async throws {
        try await served(settings(["limits.publishers": 20, "access.decision_timeout": "2s"])) { server in
            let streams = 4
            let frames = 300
            try await withThrowingTaskGroup(of: Void.self) { group in
                for stream in 0..<streams {
                    let publisher = try server.publisher("live/\(stream)")
                    try publisher.configure(
                        DecoderConfiguration(kind: .audio, codec: .aac, bytes: Data([0x12, 0x10])))
                    let (reader, whole) = (try server.frames(of: "live/\(stream)"), try server.tap())
                    // Reads until all came, which they do: sound is not dropped from so little.
                    group.addTask {
                        var next: UInt32 = 0
                        for await frame in reader where frame.isMedia {
                            let number = frame.withBytes { $0.loadUnaligned(as: UInt32.self) }
                            XCTAssertEqual(number, next)
                            next += 1
                            if next == frames { break }
                        }
                        XCTAssertEqual(next, UInt32(frames))
                    }
                    // Gives up in the middle.
                    group.addTask {
                        let task = Task {
                            var kept: [Frame] = []
                            for await event in whole {
                                if case .frame(let frame) = event { kept.append(frame) }
                                if kept.count > 16 { kept.removeAll() }
                            }
                        }
                        for _ in 0..<stream * 50 { await Task.yield() }
                        task.cancel()
                        await task.value
                    }
                    group.addTask {
                        for number in 0..<UInt32(frames) {
                            try withUnsafeBytes(of: number) { bytes in
                                try publisher.write(
                                    .audio, Data(bytes), at: .milliseconds(Int(number) * 20), isKey: true)
                            }
                            if number % 16 == 0 { await Task.yield() }
                        }
                    }
                }
                for lister in 0..<4 {
                    group.addTask {
                        for round in 0..<20 {
                            _ = try await server.streams()
                            _ = try await server.metrics()
                            _ = try server.taps()
                            let key = "key-\(lister)-\(round)"
                            try server.playKeys.add(key)
                            try server.playKeys.revoke(key)
                            let events = server.events(limit: 2)
                            let task = Task { for await _ in events {} }
                            task.cancel()
                            await task.value
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    func testServersComeAndGo() async throws {
        try await inTime {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for turn in 0..<16 {
                    group.addTask {
                        let server = try RTMPServer(try settings(), access: { _ in .accept })
                        let events = server.events()
                        try await server.start()
                        let tap = try server.tap()
                        let reader = Task { for await _ in tap {} }
                        let publisher = try server.publisher("live/\(turn)")
                        try publisher.writeMessage(.data, [2, 0, 1, 97] as [UInt8], at: .zero)
                        if turn % 2 == 0 { try await server.stop(grace: .zero) }
                        if turn % 3 == 0 { reader.cancel() }
                        if turn % 4 == 0 { tap.close() }
                        // The others are let go of as they are.
                        withExtendedLifetime(events) {}
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    func testSuspensionsFromManyTasks() async throws {
        try await served { server in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for task in 0..<6 {
                    group.addTask {
                        for _ in 0..<5 {
                            switch task % 3 {
                            case 0: _ = try? await server.suspend(within: .milliseconds(50))
                            case 1: _ = try? await server.resume(away: .seconds(1))
                            default: _ = try? await server.checkListeners()
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            let report = try await server.resume(away: .zero)
            XCTAssertEqual(report.failed, 0)
            let health = try await server.health()
            XCTAssertTrue(health.isReady, "\(health)")
        }
    }
}
