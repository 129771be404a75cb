// An RTMP server in Swift: Server [ADDRESS:PORT]; Enter, or the end of input, stops it.
// It publishes what it receives as live/cam once more, as live/copy.
import Foundation
import OpenRTMP

@main
struct Server {
    static func main() async throws {
        var settings = try ServerConfiguration()
        settings.listen = [CommandLine.arguments.dropFirst().first ?? "0.0.0.0:1935"]
        let server = try RTMPServer(settings, access: decide)

        let telling = Task { [events = server.events()] in
            for await event in events { say("\(event.kind) \(event.stream) \(event.text)") }
        }
        try await server.start()
        for url in try server.urls(for: "live/cam") { say("publish to \(url)") }
        let copying = Task { try await copy(server) }

        await enter()
        let summary = try await server.stop(grace: .seconds(2))
        try await copying.value
        telling.cancel()
        say("accepted \(summary.accepted) connections")
    }

    /// Publishing is for the app "live".
    @Sendable static func decide(_ request: AccessRequest) async -> AccessDecision {
        request.action == .publish && request.app != "live" ? .reject("use the app live") : .accept
    }

    /// Until the server stops.
    static func copy(_ server: RTMPServer) async throws {
        let copy = try server.publisher("live/copy")
        defer { copy.close() }
        for await frame in try server.frames(of: "live/cam") {
            if let configuration = frame.decoderConfiguration {
                say("\(configuration.codec): \(configuration.bytes.count) bytes")
            }
            do {
                try copy.write(frame)
            } catch let error as OpenRTMPError where error.code == .state {
                return  // it stops
            }
        }
    }

    /// Lines are waited for on a thread of their own, not on one that runs tasks.
    static func enter() async {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                _ = readLine()
                continuation.resume()
            }
        }
    }

    /// At once, also where nobody reads from a terminal.
    static func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }
}
