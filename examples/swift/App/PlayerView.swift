import AVFoundation
import OpenRTMP
import SwiftUI

/// The picture of a stream, as it comes.
struct PlayerView: UIViewRepresentable {
    let server: RTMPServer
    let stream: String

    func makeUIView(context: Context) -> LayerView {
        let view = LayerView()
        view.play(server, stream)
        return view
    }

    func updateUIView(_ view: LayerView, context: Context) {}

    static func dismantleUIView(_ view: LayerView, coordinator: ()) { view.stop() }
}

final class LayerView: UIView {
    override class var layerClass: AnyClass { AVSampleBufferDisplayLayer.self }

    private var display: AVSampleBufferDisplayLayer? { layer as? AVSampleBufferDisplayLayer }
    private var task: Task<Void, Never>?

    func play(_ server: RTMPServer, _ stream: String) {
        task = Task { [weak self] in
            guard let frames = try? server.frames(of: stream) else { return }
            var format: CMFormatDescription?
            for await frame in frames where frame.kind == .video && frame.track == 0 {
                guard let display = self?.display else { return }
                if let configuration = frame.decoderConfiguration {
                    format = configuration.formatDescription()
                } else if let format, let sample = frame.sampleBuffer(format: format) {
                    // As soon as it is there: what waits, waits in the library.
                    sample.showAtOnce()
                    if display.status == .failed { display.flush() }
                    display.enqueue(sample)
                }
            }
        }
    }

    func stop() { task?.cancel() }
}

extension CMSampleBuffer {
    /// Live pictures have no clock to wait for.
    fileprivate func showAtOnce() {
        guard
            let attachments = CMSampleBufferGetSampleAttachmentsArray(self, createIfNecessary: true)
                as? [NSMutableDictionary], let first = attachments.first
        else { return }
        first[kCMSampleAttachmentKey_DisplayImmediately] = true
    }
}
