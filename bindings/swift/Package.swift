// swift-tools-version: 6.0
import PackageDescription

// For building in this repository, on Linux: the C library is found where `-Xlinker -L`
// says. `cargo xtask xcframework` makes the package for Apple's systems, with the library
// in it.

/// Programs that link a Rust library statically need these of the system.
let system: [LinkerSetting] =
    ["gcc_s", "util", "rt", "pthread", "m", "dl"].map {
        .linkedLibrary($0, .when(platforms: [.linux]))
    } + [
        .linkedFramework("Security", .when(platforms: [.macOS, .iOS])),
        .linkedLibrary("iconv", .when(platforms: [.macOS, .iOS])),
    ]

/// Apple's systems have dns_sd.h; on Linux it is Avahi's, where it is wanted.
let bonjour: [Target] = Context.environment["OPENRTMP_DNS_SD"] == nil ? [] : [
    .systemLibrary(name: "CDNSSD", providers: [.apt(["libavahi-compat-libdnssd-dev"])])
]

let package = Package(
    name: "OpenRTMP",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "OpenRTMP", targets: ["OpenRTMP"])],
    targets: [
        .systemLibrary(name: "COpenRTMP"),
        .target(
            name: "OpenRTMP",
            dependencies: ["COpenRTMP"] + bonjour.map { .target(name: $0.name) },
            resources: [.copy("PrivacyInfo.xcprivacy")],
            linkerSettings: system
        ),
    ] + bonjour + [
        .testTarget(name: "OpenRTMPTests", dependencies: ["OpenRTMP"], exclude: ["header.txt"]),
    ],
    swiftLanguageModes: [.v6]
)
