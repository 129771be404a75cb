import Foundation
import XCTest

@testable import OpenRTMP

/// Starting, stopping, cancelling, letting go: in the wrong order, too.
final class LifeTests: XCTestCase {
    func testInTheWrongState() async throws {
        let server = try RTMPServer(try settings())
        try await inTime {
            await assertThrows(.state) { try await server.stop() }
            await assertThrows(.state) { try server.port() }
            await assertThrows(.state) { try server.publisher("live/a") }
            await assertThrows(.state) { try await server.suspend() }
            XCTAssertEqual(try server.state, .stopped)
            try await server.start()
            await assertThrows(.state) { try await server.start() }
            XCTAssertEqual(try server.state, .running)
            await assertThrows(.notFound) { try server.port(at: 1) }
            await assertThrows(.notFound) { try server.port(at: -1) }
            try await server.stop()
            await assertThrows(.state) { try await server.stop() }
            await assertThrows(.state) { try await server.drain(grace: .zero) }
            // It may be started again, elsewhere.
            try await server.start()
            XCTAssertEqual(try server.addresses.count, 1)
            try await server.stop()
        }
    }

    func testTwoOnOnePort() async throws {
        try await served { first in
            let port = try first.port()
            let second = try RTMPServer(try settings(["listen": ["127.0.0.1:\(port)"]]))
            await assertThrows(.listen) { try await second.start() }
            XCTAssertEqual(try second.state, .stopped)
        }
    }

    func testSettingsChangeWhileItRuns() async throws {
        try await served { server in
            let events = server.events()
            var configuration = try server.configuration
            configuration["limits.connections"] = 5
            let changed = try await server.reconfigure(configuration)
            XCTAssertEqual(changed, ["limits.connections"])
            let event = try await events.next(.configChanged)
            XCTAssertEqual(event.details["paths"], ["limits.connections"])
            XCTAssertEqual(try server.configuration["limits.connections"], 5)
            configuration["workers"] = 3
            await assertThrows(.needsRestart) { [configuration] in try await server.reconfigure(configuration) }
            configuration["limits.connections"] = "many"
            await assertThrows(.config) { [configuration] in try await server.reconfigure(configuration) }
            XCTAssertEqual(try server.configuration["limits.connections"], 5)
        }
    }

    func testAStopThatIsCancelledIsForced() async throws {
        try await served { server in
            let events = server.events()
            // It does not leave by itself for a minute and more.
            let publisher = try Ffmpeg.publish(server.url("live/cam"), seconds: 300)
            _ = try await events.next(.streamPublished)
            let stopping = Task { try await server.drain(grace: .seconds(3600)) }
            while try server.state == .running { await Task.yield() }
            stopping.cancel()
            let summary = try await stopping.value
            XCTAssertEqual(summary.publishers, 1)
            XCTAssertEqual(try server.state, .stopped)
            try await publisher.finish(checked: false)
        }
    }

    func testACancelledReaderLeavesTheTapToOthers() async throws {
        try await served { server in
            let tap = try server.tap("live/cam")
            let first = Task { for await _ in tap {} }
            let second = Task { try await tap.first { if case .started = $0 { true } else { false } } }
            first.cancel()
            await first.value
            // One that is cancelled before it reads gets nothing either.
            let third = Task { () -> Bool in
                while !Task.isCancelled { await Task.yield() }
                for await _ in tap { return false }
                return true
            }
            third.cancel()
            let isEmpty = await third.value
            XCTAssertTrue(isEmpty)
            let publisher = try server.publisher("live/cam")
            try publisher.writeMessage(.video, [0x17, 1, 0, 0, 0, 9] as [UInt8], at: .zero)
            _ = try await second.value
        }
    }

    func testATapEndsWithTheServerAndWhenItIsClosed() async throws {
        let server = try RTMPServer(try settings())
        try await inTime {
            try await server.start()
            let (stopped, closed) = (try server.tap(), try server.tap())
            let readers = [stopped, closed].map { tap in Task { for await _ in tap {} } }
            closed.close()
            closed.close()
            await readers[1].value
            try await server.stop(grace: .zero)
            await readers[0].value
            // There is nothing more to be had, at once.
            for await _ in stopped { XCTFail("something came") }
        }
    }

    func testAServerThatNobodyHoldsStops() async throws {
        try await inTime {
            let left = try await Self.leaveAServer()
            // Everything that came from it ends.
            for await _ in left.events {}
            for await _ in left.tap {}
            do {
                try left.publisher.write(.audio, [1] as [UInt8], at: .zero, isKey: true)
                XCTFail("written")
            } catch let error as OpenRTMPError {
                XCTAssertTrue([.state, .gone].contains(error.code), "\(error)")
            }
            try await left.ffmpeg.finish(checked: false)
        }
    }

    private struct Left {
        let events: AsyncStream<ServerEvent>
        let tap: Tap
        let publisher: StreamPublisher
        let ffmpeg: Program
    }

    /// What is left of a server at work that nobody holds any more.
    private static func leaveAServer() async throws -> Left {
        let server = try RTMPServer(try settings())
        try await server.start()
        let left = Left(
            events: server.events(), tap: try server.tap(), publisher: try server.publisher("live/app"),
            ffmpeg: try Ffmpeg.publish(server.url("live/cam"), seconds: 300))
        _ = try await left.events.next(.streamPublished) { $0.stream == "live/cam" }
        return left
    }

    func testWhoIsSlowIsToldWhatIsMissing() async throws {
        let broadcast = Broadcast<ServerEvent>(missing: { ServerEvent(lost: $0) })
        let stream = broadcast.stream(limit: 4)
        for _ in 0..<10 { broadcast.send(ServerEvent(lost: 0)) }
        var taken = stream.makeAsyncIterator()
        for _ in 0..<4 {
            let event = await taken.next()
            XCTAssertEqual(event?.number, 0)
        }
        // Where they are missing, before the next.
        broadcast.send(ServerEvent(lost: 0))
        var event = await taken.next()
        XCTAssertEqual(event?.number, 6)
        event = await taken.next()
        XCTAssertEqual(event?.number, 0)
        broadcast.finish()
        event = await taken.next()
        XCTAssertNil(event)
        for await _ in broadcast.stream(limit: 4) { XCTFail("it is over") }
    }

    func testDurations() {
        XCTAssertEqual(Duration.milliseconds(1500).milliseconds, 1500)
        XCTAssertEqual(Duration.seconds(-1).milliseconds, 0)
        XCTAssertEqual(Duration.seconds(Int64.max).milliseconds, .max)
        XCTAssertEqual(Duration.seconds(Int64.max).microseconds, .max)
        XCTAssertEqual(Duration.seconds(Int64.min / 2).microseconds, .min)
        XCTAssertEqual(Duration.microseconds(-7).microseconds, -7)
        XCTAssertEqual(Duration.whole(.max), .milliseconds(Int64.max))
    }

    func testWhatAPublisherRefuses() async throws {
        try await served { server in
            let publisher = try server.publisher("live/cam")
            await assertThrows(.busy) { try server.publisher("live/cam") }
            await assertThrows(.invalidArgument) { try server.publisher("") }
            await assertThrows(.state) {
                try publisher.write(.video, [1] as [UInt8], at: .zero, isKey: true)
            }
            let aac = DecoderConfiguration(kind: .audio, codec: .aac, bytes: Data([0x12, 0x10]))
            try publisher.configure(aac)
            let frames = try server.frames(of: "live/cam")
            try publisher.write(.audio, capacity: 4, at: .zero, isKey: true) { buffer in
                buffer.copyBytes(from: [1, 2, 3])
                return 3
            }
            await assertThrows(.invalidArgument) {
                try publisher.write(.audio, capacity: 4, at: .zero, isKey: true) { _ in 5 }
            }
            await assertThrows(.invalidArgument) {
                try publisher.write(.audio, capacity: 1 << 30, at: .zero, isKey: true) { _ in 0 }
            }
            await assertThrows(.invalidArgument) {
                try publisher.write(.audio, [1] as [UInt8], at: .seconds(-1), isKey: true)
            }
            let frame = try await frames.first { $0.isMedia }
            XCTAssertEqual(frame.data, Data([1, 2, 3]))
            try server.endStream("live/cam")
            // It is told at the next write after that was done.
            var code: OpenRTMPError.Code?
            while code == nil {
                do {
                    try publisher.write(.audio, [1] as [UInt8], at: .zero, isKey: true)
                    await Task.yield()
                } catch let error as OpenRTMPError { code = error.code }
            }
            XCTAssertEqual(code, .gone)
        }
    }
}
