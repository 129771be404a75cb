import CoreMedia
import Observation
import OpenRTMP

/// What the views show of a server.
@MainActor
@Observable
final class ServerModel {
    private(set) var urls: [ReachableURL] = []
    private(set) var streams: [StreamInfo] = []
    private(set) var failure: String?
    private(set) var server: RTMPServer?
    private var link: DeviceLink?

    /// Until the task is cancelled.
    func serve() async {
        do {
            let server = try RTMPServer { request in
                request.app == "live" ? .accept : .reject("use the app live")
            }
            // Before the start: the first orders are not missed.
            link = DeviceLink(server)
            let events = server.events()
            try await server.start()
            self.server = server
            async let refreshing: Void = refresh(server)
            for await event in events {
                switch event.kind {
                case .streamPublished, .streamTracks, .streamUnpublished, .streamEnded, .resumed:
                    streams = try await server.streams()
                default: break
                }
            }
            await refreshing
        } catch {
            failure = "\(error)"
        }
    }

    /// No system tells of a hotspot that it opens.
    private func refresh(_ server: RTMPServer) async {
        while !Task.isCancelled {
            urls = (try? server.reachableURLs(for: "live/cam")) ?? []
            try? await Task.sleep(for: .seconds(3))
        }
    }
}
