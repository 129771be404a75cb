import Foundation
import XCTest

@testable import OpenRTMP

/// Longer than anything takes here: a test that hangs fails.
let patience = Duration.seconds(60)

/// The repository.
let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../../..").standardizedFileURL

func read(_ path: String) throws -> String {
    try String(contentsOf: repository.appendingPathComponent(path), encoding: .utf8)
}

struct Late: Error {}

func inTime<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
    try await withThrowingTaskGroup(of: Value.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: patience)
            throw Late()
        }
        defer { group.cancelAll() }
        guard let first = try await group.next() else { throw Late() }
        return first
    }
}

/// Settings of a server on a port of its own, on this machine only.
func settings(_ changes: [String: SettingValue] = [:]) throws -> ServerConfiguration {
    var configuration = try ServerConfiguration()
    configuration.listen = ["127.0.0.1:0"]
    for (path, value) in changes { configuration[path] = value }
    return configuration
}

/// A server that runs, for the time of the body.
func served<Value: Sendable>(
    _ configuration: ServerConfiguration? = nil, access: AccessHandler? = nil,
    _ body: @escaping @Sendable (RTMPServer) async throws -> Value
) async throws -> Value {
    let server = try RTMPServer(configuration ?? settings(), access: access)
    return try await inTime {
        try await server.start()
        let value = try await body(server)
        if try server.state == .running { try await server.stop(grace: .zero) }
        return value
    }
}

extension RTMPServer {
    nonisolated func url(_ stream: String) throws -> String { "rtmp://127.0.0.1:\(try port())/\(stream)" }
}

extension AsyncSequence where Self: Sendable {
    /// The first that fits; what came before is gone.
    func first(_ fits: @escaping @Sendable (Element) -> Bool) async throws -> Element {
        for try await element in self where fits(element) { return element }
        throw Late()
    }
}

extension AsyncStream where Element == ServerEvent {
    /// The next of this kind. The stream goes on behind it.
    func next(_ kind: ServerEvent.Kind, _ fits: (ServerEvent) -> Bool = { _ in true }) async throws -> ServerEvent {
        for await event in self where event.kind == kind && fits(event) { return event }
        throw Late()
    }
}

func assertThrows<Value>(
    _ code: OpenRTMPError.Code, file: StaticString = #filePath, line: UInt = #line,
    _ body: () async throws -> Value
) async {
    do {
        _ = try await body()
        XCTFail("nothing was thrown", file: file, line: line)
    } catch {
        XCTAssertEqual((error as? OpenRTMPError)?.code, code, "\(error)", file: file, line: line)
    }
}

/// A program. Ended with the last reference to it.
final class Program: @unchecked Sendable {
    private let process = Process()
    private let output = Pipe()
    private let input = Pipe()
    private let errors: URL

    init(_ path: String, _ arguments: [String]) throws {
        errors = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try Data().write(to: errors)
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.standardOutput = output
        process.standardInput = input
        process.standardError = try FileHandle(forWritingTo: errors)
        try process.run()
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        try? FileManager.default.removeItem(at: errors)
    }

    var said: String { (try? String(contentsOf: errors, encoding: .utf8)) ?? "" }

    var isRunning: Bool { process.isRunning }

    func closeInput() { try? input.fileHandleForWriting.close() }

    func interrupt() { process.interrupt() }

    /// Whatever it writes, once it is done; well, unless that is of no interest.
    @discardableResult
    func finish(checked: Bool = true) async throws -> Data {
        let data: Data = await withCheckedContinuation { continuation in
            DispatchQueue.global().async { [self] in
                let data = output.fileHandleForReading.readDataToEndOfFile()
                process.waitUntilExit()
                continuation.resume(returning: data)
            }
        }
        if checked { XCTAssertEqual(process.terminationStatus, 0, said) }
        return data
    }

    /// Its lines, as they come.
    func lines() -> AsyncStream<String> {
        let (stream, continuation) = AsyncStream.makeStream(of: String.self)
        DispatchQueue.global().async { [self] in
            var rest = Data()
            while case let data = output.fileHandleForReading.availableData, !data.isEmpty {
                rest.append(data)
                while let end = rest.firstIndex(of: 10) {
                    continuation.yield(String(decoding: rest[..<end], as: UTF8.self))
                    rest = Data(rest[(end + 1)...])
                }
            }
            continuation.finish()
        }
        return stream
    }
}

enum Ffmpeg {
    private static let path = ProcessInfo.processInfo.environment["OPENRTMP_FFMPEG"] ?? "/usr/bin/ffmpeg"

    static func run(_ arguments: String...) throws -> Program { try run(arguments) }

    static func run(_ arguments: [String]) throws -> Program {
        try Program(path, ["-nostdin", "-v", "error", "-y"] + arguments)
    }

    /// Publishes a test picture and tone, so many seconds of it, as fast as time goes.
    static func publish(_ url: String, seconds: Int, quickly: Bool = false) throws -> Program {
        try run(
            (quickly ? [] : ["-re"]) + [
                "-f", "lavfi", "-i", "testsrc2=size=192x108:rate=25:duration=\(seconds)",
                "-f", "lavfi", "-i", "sine=sample_rate=44100:duration=\(seconds)",
                "-c:v", "libx264", "-preset", "ultrafast", "-g", "12", "-bf", "0", "-pix_fmt", "yuv420p",
                "-c:a", "aac", "-f", "flv", url,
            ])
    }

    /// How many pictures, or frames of sound, are decoded from a file.
    static func count(_ file: String, _ kind: String) async throws -> Int {
        let output = try await run("-i", file, "-map", "0:\(kind)", "-f", "framemd5", "-").finish()
        return String(decoding: output, as: UTF8.self).split(separator: "\n")
            .filter { !$0.hasPrefix("#") }.count
    }
}

/// A folder of its own, gone afterwards.
func withFolder<Value>(_ body: (URL) async throws -> Value) async throws -> Value {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try await body(folder)
}
