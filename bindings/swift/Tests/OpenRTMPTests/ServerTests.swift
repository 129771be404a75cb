import Foundation
import XCTest

@testable import OpenRTMP

final class ServerTests: XCTestCase {
    func testAPublishedStreamIsTappedAndCanBeDecoded() async throws {
        try await served { server in
            let frames = try server.frames(of: "live/cam")
            let publisher = try Ffmpeg.publish(server.url("live/cam"), seconds: 2)
            var video = Data()
            var audio = Data()
            var format: [MediaKind: DecoderConfiguration] = [:]
            var pictures = 0
            for await frame in frames {
                if let configuration = frame.decoderConfiguration {
                    format[frame.kind] = configuration
                } else if frame.isMedia, frame.kind == .video, let configuration = format[.video] {
                    XCTAssertEqual(frame.codec, .avc)
                    video.append(try XCTUnwrap(
                        configuration.annexB(frame, withParameterSets: pictures == 0)))
                    pictures += 1
                    if pictures == 1 {
                        XCTAssertTrue(frame.isKey)
                        XCTAssertEqual(frame.stream, "live/cam")
                    }
                    if pictures == 50 { break }
                } else if frame.isMedia, frame.kind == .audio, let aac = format[.audio]?.aac {
                    XCTAssertEqual(aac.sampleRate, 44_100)
                    XCTAssertEqual(aac.channels, 1)
                    audio.append(try XCTUnwrap(aac.adtsHeader(frameBytes: frame.count)))
                    audio.append(frame.data)
                }
            }
            try await publisher.finish()
            XCTAssertEqual(format[.video]?.parameterSets.map { ($0.first ?? 0) & 0x1F }, [7, 8])
            XCTAssertEqual(format[.video]?.lengthSize, 4)
            let (h264, aac) = (video, audio)
            try await withFolder { folder in
                let (picture, sound) = (folder.appendingPathComponent("a.h264"), folder.appendingPathComponent("a.aac"))
                try h264.write(to: picture)
                try aac.write(to: sound)
                let counts = try await (Ffmpeg.count(picture.path, "v"), Ffmpeg.count(sound.path, "a"))
                XCTAssertEqual(counts.0, 50)
                XCTAssertGreaterThan(counts.1, 70)
            }
        }
    }

    func testWhatTheProgramPublishesIsPlayed() async throws {
        try await withFolder { folder in
            let file = folder.appendingPathComponent("played.flv").path
            try await served { server in
                let events = server.events()
                let copy = try server.publisher("live/copy")
                let source = try server.frames(of: "live/cam")
                let copying = Task {
                    for await frame in source { try copy.write(frame) }
                }
                let player = try Ffmpeg.run("-i", server.url("live/copy"), "-c", "copy", "-f", "flv", file)
                _ = try await events.next(.subscriberJoined)
                try await Ffmpeg.publish(server.url("live/cam"), seconds: 2).finish()
                _ = try await events.next(.streamEnded) { $0.stream == "live/cam" }
                copy.close()
                copy.close()
                try await player.finish()
                source.close()
                try await copying.value
                await assertThrows(.state) { try copy.write(.video, [0 as UInt8], at: .zero, isKey: true) }
            }
            let pictures = try await Ffmpeg.count(file, "v")
            XCTAssertEqual(pictures, 50)
        }
    }

    func testWhoMayComeIsDecidedLater() async throws {
        let asked = Locked<[AccessRequest]>([])
        try await served(access: { request in
            asked.withLock { $0.append(request) }
            // An answer that takes its time, as one that asks a server would.
            await Task.yield()
            try? await Task.sleep(for: .milliseconds(20))
            switch request.action {
            case .publish where request.stream.hasSuffix("no"): return .reject("not this one")
            case .publish: return .accept.hidingName
            default: return .accept
            }
        }) { server in
            let events = server.events()
            let refused = try Ffmpeg.publish(server.url("live/no"), seconds: 1)
            let no = try await events.next(.access) { $0.number == 2 }
            XCTAssertFalse(no.flag)
            XCTAssertEqual(no.text, "not this one")
            try await refused.finish(checked: false)
            let granted = try Ffmpeg.publish(server.url("live/secret?a=b"), seconds: 1)
            let published = try await events.next(.streamPublished)
            XCTAssertNotEqual(published.stream, "live/secret")
            XCTAssertEqual(try server.streamName(published.streamID), "live/secret")
            try await granted.finish()
            let requests = asked.withLock { $0 }
            XCTAssertEqual(Set(requests.map(\.action)), [.connect, .publish])
            XCTAssertTrue(requests.contains { $0.query == "a=b" && $0.app == "live" && !$0.isTLS })
        }
    }

    func testAStreamCanBeGivenAnotherNameOrNoDecision() async throws {
        let asked = Locked<[AccessRequest]>([])
        try await served(access: { request in
            asked.withLock { $0.append(request) }
            switch (request.action, request.stream) {
            case (.publish, "live/key"): return .accept(as: "live/cam")
            case (.publish, "live/odd"): return .accept(as: "/")
            case (.publish, _): return .fail("not now")
            default: return .pass
            }
        }) { server in
            let events = server.events()
            for (name, reason) in [("odd", "the name that it was given is none"), ("x", "not now")] {
                let refused = try Ffmpeg.publish(server.url("live/\(name)"), seconds: 1)
                let no = try await events.next(.access) { $0.number == 2 }
                XCTAssertFalse(no.flag)
                XCTAssertEqual(no.text, reason)
                try await refused.finish(checked: false)
            }
            let granted = try Ffmpeg.publish(server.url("live/key"), seconds: 1)
            let published = try await events.next(.streamPublished)
            XCTAssertEqual(published.stream, "live/cam")
            try await granted.finish()
            let requests = asked.withLock { $0 }
            XCTAssertTrue(requests.allSatisfy { $0.tcURL?.hasSuffix("/live") == true })
            XCTAssertTrue(requests.contains { $0.client?.isEmpty == false })
        }
    }

    func testAnAnswerThatNeverComesIsARefusal() async throws {
        let cancelled = AsyncStream.makeStream(of: Void.self)
        try await served(settings(["access.decision_timeout": 200]), access: { request in
            guard request.action == .publish else { return .accept }
            try? await Task.sleep(for: patience)
            cancelled.continuation.yield()
            return .accept
        }) { server in
            let events = server.events()
            let publisher = try Ffmpeg.publish(server.url("live/cam"), seconds: 1)
            let access = try await events.next(.access) { $0.number == 2 }
            XCTAssertFalse(access.flag)
            // Its task was told that nobody waits any more.
            for await _ in cancelled.stream { break }
            try await publisher.finish(checked: false)
        }
    }

    func testKeysComeAndGo() async throws {
        try await served { server in
            let key = try KeyRing.generate()
            XCTAssertEqual(key.count, 32)
            try server.publishKeys.add(key)
            XCTAssertEqual(try server.publishKeys.all(), [key])
            XCTAssertEqual(try server.playKeys.all(), [])
            let events = server.events()
            try await Ffmpeg.publish(server.url("live/cam"), seconds: 1).finish(checked: false)
            let access = try await events.next(.access) { $0.number == 2 }
            XCTAssertFalse(access.flag)
            let publisher = try Ffmpeg.publish(server.url("live/cam?key=\(key)"), seconds: 30)
            _ = try await events.next(.streamPublished)
            let ending = server.events()
            try server.publishKeys.revoke(key)
            _ = try await ending.next(.streamUnpublished)
            try await publisher.finish(checked: false)
            await assertThrows(.notFound) { try server.publishKeys.revoke(key) }
        }
    }

    func testWhatThereIsIsListed() async throws {
        try await served { server in
            let events = server.events()
            let tap = try server.tap("live/cam")
            let publisher = try Ffmpeg.publish(server.url("live/cam"), seconds: 30)
            let player = try Ffmpeg.run("-i", server.url("live/cam"), "-f", "null", "-")
            let joined = try await events.next(.subscriberJoined)
            _ = try await tap.first { if case .frame(let frame) = $0 { frame.isMedia } else { false } }

            let streams = try await server.streams()
            XCTAssertEqual(streams.map(\.name), ["live/cam"])
            XCTAssertEqual(streams[0].width, 192)
            XCTAssertEqual(streams[0].codecs.count, 2)
            let connections = try await server.connections()
            XCTAssertEqual(connections.count, 2)
            let players = try await server.subscribers(of: "live/cam")
            XCTAssertEqual(players.map(\.connectionID), [joined.connectionID])
            XCTAssertEqual(try server.taps().map(\.stream), ["live/cam"])
            XCTAssertEqual(try server.publishers().map(\.streamID), [streams[0].id])
            let metrics = try await server.metrics()
            XCTAssertEqual(metrics.publishers, 1)
            XCTAssertEqual(metrics.accepted, 2)
            let json = try await server.metricsJSON()
            XCTAssertTrue(json.contains("\"live/cam\""))
            let prometheus = try await server.metricsText()
            XCTAssertTrue(prometheus.contains("live/cam"))
            let health = try await server.health()
            XCTAssertEqual(health, Health(isLive: true, isReady: true, reasons: []))
            XCTAssertEqual(try server.addresses, ["127.0.0.1:\(try server.port())"])
            XCTAssertEqual(try server.urls(for: "live/cam"), [try server.url("live/cam")])
            let reachable = try server.reachableURLs(for: "live/cam", including: .loopback)
            XCTAssertEqual(reachable.map(\.url), [try server.url("live/cam")])
            let power = try await server.powerStats()
            XCTAssertGreaterThan(power.wakeUps, 0)

            try await server.setWriteCoalesce(.milliseconds(100), for: joined.connectionID)
            try await server.setWriteCoalesce(nil, for: joined.connectionID)
            let closing = server.events()
            try await server.disconnect(joined.connectionID, reason: "enough")
            let closed = try await closing.next(.connectionClosed) { $0.connectionID == joined.connectionID }
            XCTAssertEqual(closed.reason, .host)
            await assertThrows(.notFound) { try await server.disconnect(joined.connectionID) }
            await assertThrows(.notFound) { try await server.subscribers(of: "live/none") }
            try server.endStream(id: streams[0].id, reason: "over")
            await assertThrows(.notFound) { try server.endStream("live/none") }
            try await player.finish(checked: false)
            try await publisher.finish(checked: false)
        }
    }

    func testAStreamIsRecorded() async throws {
        try await withFolder { folder in
            try await served { server in
                try server.record("live/cam", to: folder.path)
                await assertThrows(.busy) { try server.record("live/cam", to: folder.path) }
                XCTAssertEqual(try server.recordings(), ["live/cam"])
                let events = server.events()
                try await Ffmpeg.publish(server.url("live/cam"), seconds: 1, quickly: true).finish()
                _ = try await events.next(.streamEnded)
                let recording = try await server.stopRecording("live/cam")
                XCTAssertEqual(recording.files, 1)
                await assertThrows(.notFound) { try await server.stopRecording("live/cam") }
                let files = try FileManager.default.subpathsOfDirectory(atPath: folder.path)
                    .filter { $0.hasSuffix(".flv") }
                XCTAssertEqual(files.count, 1)
                let pictures = try await Ffmpeg.count(folder.appendingPathComponent(files[0]).path, "v")
                XCTAssertEqual(pictures, 25)
            }
        }
    }

    func testAStreamIsRelayed() async throws {
        try await served { there in
            try await served { here in
                let id = try here.addRelay(Relay(.push, pattern: "live/*", url: there.url("copy/{name}")))
                XCTAssertEqual(try here.relays().map(\.relayID), [id])
                let events = there.events()
                let publisher = try Ffmpeg.publish(here.url("live/cam"), seconds: 30)
                let published = try await events.next(.streamPublished)
                XCTAssertEqual(published.stream, "copy/cam")
                try here.removeRelay(id)
                _ = try await events.next(.streamEnded)
                await assertThrows(.notFound) { try here.removeRelay(id) }
                try await here.stop(grace: .zero)
                try await publisher.finish(checked: false)
            }
        }
    }

    func testACertificateFromMemory() async throws {
        try await withFolder { folder in
            let (key, chain) = (folder.appendingPathComponent("key"), folder.appendingPathComponent("chain"))
            try await Program("/usr/bin/openssl", [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", key.path, "-out", chain.path, "-days", "2", "-subj", "/CN=localhost",
            ]).finish()
            let pem = (try String(contentsOf: chain, encoding: .utf8), try String(contentsOf: key, encoding: .utf8))
            let server = try RTMPServer(try settings(["listen": ["rtmps://127.0.0.1:0"]]))
            try await inTime {
                await assertThrows(.invalidArgument) { try await server.setCertificate(chain: pem.0, key: "nonsense") }
                try await server.setCertificate(chain: pem.0, key: pem.1)
                try await server.start()
                XCTAssertTrue(try server.pin().hasPrefix("sha256//"))
                let events = server.events()
                let url = "rtmps://127.0.0.1:\(try server.port())/live/cam"
                let publisher = try Ffmpeg.publish(url, seconds: 1)
                _ = try await events.next(.streamPublished)
                try await publisher.finish()
                try server.setChallenge(name: "localhost", chain: "", key: "")
                try await server.stop(grace: .zero)
            }
        }
    }

    func testTheLogIsTold() async throws {
        let (lines, line) = AsyncStream.makeStream(of: LogRecord.self)
        let server = try RTMPServer(try settings())
        try await server.setLog(.info) { line.yield($0) }
        try await inTime {
            try await server.start()
            for await record in lines where record.serverID == (try server.id) { break }
            try await server.setLog(handler: nil)
            try await server.stop(grace: .zero)
        }
        try await OpenRTMPLibrary.setLog(.warn) { _ in }
        try await OpenRTMPLibrary.setLog(handler: nil)
    }

    func testFramesAreNotCopied() async throws {
        try await served { server in
            let taps = try (server.frames(of: "live/cam"), server.frames(of: "live/cam"))
            let publisher = try server.publisher("live/cam")
            let message: [UInt8] = [0x17, 1, 0, 0, 0] + [UInt8](repeating: 7, count: 100_000)
            try publisher.writeMessage(.video, message, at: .zero)
            let first = try await taps.0.first { $0.kind == .video }
            let second = try await taps.1.first { $0.kind == .video }
            // Two readers and all who look at what they read see the same memory.
            let addresses = Set([
                first.withBytes { UInt(bitPattern: $0.baseAddress) },
                second.withBytes { UInt(bitPattern: $0.baseAddress) },
                first.data.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) },
            ])
            XCTAssertEqual(addresses.count, 1)
            XCTAssertEqual(first.count, 100_000)
            // It outlives everything that it came from.
            let data = first.data
            publisher.close()
            taps.0.close()
            try await server.stop(grace: .zero)
            XCTAssertTrue(data.allSatisfy { $0 == 7 })
        }
    }
}
