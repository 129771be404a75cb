import Foundation
import XCTest

@testable import OpenRTMP

/// What decoders are told: the bytes that Core Media gets on Apple's systems.
final class MediaTests: XCTestCase {
    /// Publishes with an encoder, and gives the configuration and the frames of a track.
    private func track(
        _ kind: MediaKind, _ count: Int, _ encode: [String]
    ) async throws -> (DecoderConfiguration, [Frame]) {
        try await served { server in
            let frames = try server.frames(of: "live/cam")
            let publisher = try Ffmpeg.run(
                ["-re", "-f", "lavfi", "-i", kind == .video
                    ? "testsrc2=size=192x108:rate=25:duration=2" : "sine=sample_rate=48000:duration=2"]
                    + encode + ["-f", "flv", server.url("live/cam")])
            var configuration: DecoderConfiguration?
            var found: [Frame] = []
            for await frame in frames where frame.kind == kind {
                if let new = frame.decoderConfiguration { configuration = new }
                if frame.isMedia { found.append(frame) }
                if found.count == count { break }
            }
            frames.close()
            try await publisher.finish(checked: false)
            return (try XCTUnwrap(configuration), found)
        }
    }

    func testHEVCHasItsParameterSetsAndIsDecoded() async throws {
        let (configuration, frames) = try await track(.video, 20, [
            "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:bframes=0",
        ])
        XCTAssertEqual(configuration.codec, .hevc)
        XCTAssertEqual(configuration.parameterSets.map { $0[$0.startIndex] >> 1 & 0x3F }, [32, 33, 34])
        try await withFolder { folder in
            let file = folder.appendingPathComponent("a.h265")
            var stream = Data()
            for (place, frame) in frames.enumerated() {
                stream += try XCTUnwrap(configuration.annexB(frame, withParameterSets: place == 0))
            }
            try stream.write(to: file)
            let count = try await Ffmpeg.count(file.path, "v")
            XCTAssertEqual(count, 20)
        }
    }

    func testAConfigurationMadeOfParameterSetsIsTheEncoders() async throws {
        let (configuration, frames) = try await track(.video, 10, [
            "-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline", "-pix_fmt", "yuv420p",
        ])
        let made = try XCTUnwrap(DecoderConfiguration.avc(parameterSets: configuration.parameterSets))
        XCTAssertEqual(made.bytes.prefix(4), configuration.bytes.prefix(4))
        XCTAssertEqual(made.parameterSets, configuration.parameterSets)
        XCTAssertEqual(made.lengthSize, 4)
        // And ffmpeg plays what is published with it.
        try await withFolder { folder in
            let file = folder.appendingPathComponent("a.flv").path
            try await served { server in
                let events = server.events()
                let player = try Ffmpeg.run("-i", server.url("live/made"), "-c", "copy", "-f", "flv", file)
                _ = try await events.next(.subscriberJoined)
                let publisher = try server.publisher("live/made")
                try publisher.configure(made)
                for (place, frame) in frames.enumerated() {
                    try publisher.write(
                        .video, frame.data, at: .milliseconds(40 * place), isKey: frame.isKey)
                }
                publisher.close()
                try await player.finish()
            }
            let count = try await Ffmpeg.count(file, "v")
            XCTAssertEqual(count, 10)
        }
    }

    func testTheESDescriptorIsTheOneOfMP4() async throws {
        let (configuration, _) = try await track(.audio, 5, ["-c:a", "aac", "-ac", "2"])
        let aac = try XCTUnwrap(configuration.aac)
        XCTAssertEqual(aac.objectType, 2)
        XCTAssertEqual(aac.sampleRate, 48_000)
        XCTAssertEqual(aac.channels, 2)
        XCTAssertEqual(aac.samplesPerFrame, 1024)
        // ffmpeg's own, from a file: the AudioSpecificConfig stands in both behind tag 5.
        let descriptor = try XCTUnwrap(configuration.esDescriptor)
        XCTAssertEqual(descriptor.first, 3)
        XCTAssertEqual(Int(descriptor[1]), descriptor.count - 2)
        let inner = Data([5, UInt8(configuration.bytes.count)]) + configuration.bytes
        XCTAssertNotNil(descriptor.range(of: inner))
        XCTAssertEqual(descriptor.suffix(3), Data([6, 1, 2]))
    }

    func testWhatIsCutShortIsNotRead() throws {
        let record = Data([1, 66, 0, 30, 0xFF, 0xE1, 0, 2, 0x67, 1, 1, 0, 2, 0x68, 1])
        let whole = DecoderConfiguration(kind: .video, codec: .avc, bytes: record)
        XCTAssertEqual(whole.parameterSets, [Data([0x67, 1]), Data([0x68, 1])])
        for length in 0..<record.count {
            let cut = DecoderConfiguration(kind: .video, codec: .avc, bytes: record.prefix(length))
            XCTAssertEqual(cut.parameterSets, [], "\(length)")
        }
        // A piece of other data begins elsewhere than at 0.
        let piece = (Data([9, 9, 9]) + record).dropFirst(3)
        XCTAssertEqual(
            DecoderConfiguration(kind: .video, codec: .avc, bytes: piece).parameterSets, whole.parameterSets)
        XCTAssertEqual(DecoderConfiguration(kind: .video, codec: .avc, bytes: piece).lengthSize, 4)
        for length in 0..<40 {
            let zeros = DecoderConfiguration(kind: .video, codec: .hevc, bytes: Data(count: length))
            XCTAssertEqual(zeros.parameterSets, [])
            let ones = DecoderConfiguration(kind: .video, codec: .hevc, bytes: Data(repeating: 0xFF, count: length))
            XCTAssertEqual(ones.parameterSets, [])
            XCTAssertEqual(zeros.lengthSize, length > 21 ? 1 : nil)
        }
        for (bytes, expected) in [
            ([0x00, 0x00, 0x00, 0x02, 7, 8], Data([0, 0, 0, 1, 7, 8])), ([0, 0, 0, 3, 7, 8], nil),
            ([0, 0, 0], nil), ([0xFF, 0xFF, 0xFF, 0xFF], nil), ([], Data()),
        ] as [([UInt8], Data?)] {
            XCTAssertEqual(bytes.withUnsafeBytes { whole.annexB($0, withParameterSets: false) }, expected)
        }
        XCTAssertNil(AudioSpecificConfig(Data()))
        XCTAssertNil(AudioSpecificConfig(Data([0x12])))
        XCTAssertNil(AudioSpecificConfig(Data([0x16, 0x90])))
        // HE-AAC told in front: the core's rate, and what it is built on.
        let he = AudioSpecificConfig(Data([0x2B, 0x92, 0x08, 0x00]))
        XCTAssertEqual(he?.objectType, 2)
        XCTAssertEqual(he?.sampleRate, 22_050)
        XCTAssertNil(DecoderConfiguration.avc(parameterSets: [Data([0x67, 1, 2, 3])]))
        XCTAssertNil(DecoderConfiguration.avc(parameterSets: [Data([0x67]), Data([0x68])]))
        XCTAssertNil(DecoderConfiguration(kind: .audio, codec: .aac, bytes: Data(count: 100)).esDescriptor)
    }
}
