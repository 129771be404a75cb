// swift-tools-version: 6.0
import PackageDescription

// In an app of one's own the package that `cargo xtask xcframework` makes stands here.
let package = Package(
    name: "Server",
    platforms: [.macOS(.v13)],
    dependencies: [.package(name: "OpenRTMP", path: "../../bindings/swift")],
    targets: [.executableTarget(name: "Server", dependencies: ["OpenRTMP"])],
    swiftLanguageModes: [.v6]
)
