import COpenRTMP
import Foundation

/// Settings of a server: the same JSON as the C library's and the command's, by `Codable`.
///
/// It holds every setting, those of a newer library too. `configuration["limits.connections"]`
/// reaches each by its path; `docs/settings.yaml` lists them with what may stand there. Names
/// and values are checked where the settings are used: by ``validate()``, by a server's
/// `init`, by ``RTMPServer/reconfigure(_:)``.
public struct ServerConfiguration: Codable, Sendable, Equatable {
    /// Which defaults to begin with.
    public enum Profile: UInt32, Sendable {
        /// For a desktop or server machine.
        case desktop = 0
        /// For a phone or tablet: one worker thread, smaller limits.
        case mobile = 1
    }

    /// All of them, a group.
    public var settings: SettingValue

    /// The defaults of a profile.
    public init(profile: Profile = .mobile) throws {
        let config = try Config(profile)
        self = try config.dump()
    }

    /// The defaults of a profile, with what a document names in their place: JSON, or YAML.
    public init(document: String, isYAML: Bool = false, profile: Profile = .mobile) throws {
        let config = try Config(profile)
        try config.load(document, UInt32(isYAML ? OPENRTMP_FORMAT_YAML : OPENRTMP_FORMAT_JSON))
        self = try config.dump()
    }

    /// The same from a file: YAML if its name ends with .yaml or .yml, otherwise JSON.
    public init(file: URL, profile: Profile = .mobile) throws {
        let config = try Config(profile)
        try config.load(file: file.path)
        self = try config.dump()
    }

    /// The settings of a document; what it does not name gets its default where it is used.
    public init(from decoder: any Decoder) throws { settings = try SettingValue(from: decoder) }

    public func encode(to encoder: any Encoder) throws { try settings.encode(to: encoder) }

    /// A setting, or a whole group, by its dotted path. `nil` takes it out: its default holds.
    public subscript(path: String) -> SettingValue? {
        get { settings[path.split(separator: ".")[...]] }
        set { settings[path.split(separator: ".")[...]] = newValue }
    }

    /// Checks every name and value. ``OpenRTMPError`` with path, value and what is allowed.
    public func validate() throws {
        try Config(self).call { try check(openrtmp_config_validate($0)) }
    }

    /// As the library writes it, every setting with its value. It holds the keys.
    public func json() throws -> String { try Config(self).text(UInt32(OPENRTMP_FORMAT_JSON)) }

    /// The same as YAML.
    public func yaml() throws -> String { try Config(self).text(UInt32(OPENRTMP_FORMAT_YAML)) }
}

extension ServerConfiguration {
    /// Where to listen: "0.0.0.0:1935", "[::]:0" (a free port), "rtmps://0.0.0.0:1936".
    public var listen: [String] {
        get { texts("listen") }
        set { self["listen"] = .list(newValue.map { .text($0) }) }
    }

    /// Keys that may publish; none: everybody may.
    public var publishKeys: [String] {
        get { texts("access.publish_keys") }
        set { self["access.publish_keys"] = .list(newValue.map { .text($0) }) }
    }

    /// The same for playing.
    public var playKeys: [String] {
        get { texts("access.play_keys") }
        set { self["access.play_keys"] = .list(newValue.map { .text($0) }) }
    }

    /// What the background means for a server on a phone.
    public enum BackgroundPolicy: String, Sendable, CaseIterable {
        case stop, grace, audio, service, app
    }

    /// `mobile.background`; `nil` if it is one that this module does not know.
    public var background: BackgroundPolicy? {
        get { self["mobile.background"]?.text.flatMap(BackgroundPolicy.init) }
        set { self["mobile.background"] = newValue.map { .text($0.rawValue) } }
    }

    private func texts(_ path: String) -> [String] { self[path]?.list?.compactMap(\.text) ?? [] }
}

/// Settings as C has them. One thread at a time: it does not leave the function that made it.
final class Config {
    private let pointer: OpaquePointer

    init(_ profile: ServerConfiguration.Profile) throws {
        var made: OpaquePointer?
        try check(openrtmp_config_new(profile.rawValue, &made))
        guard let made else { throw OpenRTMPError(.memory) }
        pointer = made
    }

    /// What the settings do not name has the defaults of the mobile profile.
    convenience init(_ configuration: ServerConfiguration) throws {
        try self.init(.mobile)
        let json: Data
        do {
            json = try JSONEncoder().encode(configuration.settings)
        } catch {
            throw OpenRTMPError(.config, "no JSON can be made of the settings: \(error)")
        }
        try load(String(decoding: json, as: UTF8.self), UInt32(OPENRTMP_FORMAT_JSON))
    }

    /// Takes over what was made by C.
    init(owning made: OpaquePointer) { pointer = made }

    deinit { openrtmp_config_free(pointer) }

    /// Nothing that is freed with this object is used but in here: without a name it would be
    /// gone before C had read it.
    func call<Result>(_ body: (OpaquePointer) throws -> Result) rethrows -> Result {
        try withExtendedLifetime(self) { try body(pointer) }
    }

    func load(_ document: String, _ format: UInt32) throws {
        try call { pointer in
            try check(document.withC { openrtmp_config_load_text(pointer, $0, format) })
        }
    }

    func load(file: String) throws {
        try call { pointer in
            try check(file.withC { openrtmp_config_load_file(pointer, $0) })
        }
    }

    func text(_ format: UInt32) throws -> String {
        try call { pointer in
            try readText { openrtmp_config_dump(pointer, format, $0, $1, $2) }
        }
    }

    func dump() throws -> ServerConfiguration {
        let json = try text(UInt32(OPENRTMP_FORMAT_JSON))
        return try JSONDecoder().decode(ServerConfiguration.self, from: Data(json.utf8))
    }
}
