import CoreImage.CIFilterBuiltins
import OpenRTMP
import SwiftUI

struct ServerView: View {
    let model: ServerModel

    var body: some View {
        NavigationStack {
            List {
                if let failure = model.failure {
                    Text(failure).foregroundStyle(.red)
                }
                Section("Publish to") {
                    ForEach(model.urls, id: \.url) { url in
                        HStack {
                            Text(url.url).textSelection(.enabled)
                            Spacer()
                            if url.rank == 0, let code = qrCode(url.url) {
                                Image(decorative: code, scale: 1)
                                    .interpolation(.none).resizable().frame(width: 120, height: 120)
                            }
                        }
                    }
                }
                Section("Live") {
                    ForEach(model.streams) { stream in
                        NavigationLink("\(stream.name)  \(stream.width) x \(stream.height)") {
                            if let server = model.server {
                                PlayerView(server: server, stream: stream.name)
                            }
                        }
                    }
                }
            }
            .navigationTitle("OpenRTMP")
        }
    }

    /// For a camera that reads one. There is no key in it.
    private func qrCode(_ text: String) -> CGImage? {
        let filter = CIFilter.qrCodeGenerator()
        filter.message = Data(text.utf8)
        guard let image = filter.outputImage else { return nil }
        return CIContext().createCGImage(image, from: image.extent)
    }
}
