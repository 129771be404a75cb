import OpenRTMP
import SwiftUI

@main
struct OpenRTMPApp: App {
    @State private var model = ServerModel()

    var body: some Scene {
        WindowGroup {
            ServerView(model: model)
                .task { await model.serve() }
        }
    }
}
