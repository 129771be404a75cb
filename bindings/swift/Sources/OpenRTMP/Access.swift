import COpenRTMP

/// What a peer wants to do.
public struct AccessRequest: Sendable, Equatable {
    /// Kinds of requests.
    public enum Action: UInt32, Sendable {
        /// Something that a newer library asks.
        case other = 0
        /// To connect to an app.
        case connect = 1
        /// To publish a stream.
        case publish = 2
        /// To play a stream.
        case play = 3
    }

    /// What a peer's certificate says (`tls.client_auth`).
    public struct Certificate: Sendable, Equatable {
        /// Its common name, if it has one.
        public let commonName: String?
        /// The names that it is for: hosts, addresses, mailboxes, URIs.
        public let names: [String]
        /// The pin of its key.
        public let pin: String
    }

    public let action: Action
    public let connectionID: UInt64
    public let app: String
    /// The stream's path, app included; empty when connecting. The whole of it: it may be a
    /// key.
    public let stream: String
    /// Query of the URL, without "?". It may hold keys.
    public let query: String
    /// The peer's address and port.
    public let peer: String
    /// How long the answer is waited for.
    public let timeout: Duration
    public let isTLS: Bool
    public let certificate: Certificate?
    /// The user that the peer showed to be (`access.users`).
    public let user: String?
    /// The URL of the app that it gave when it connected, with its query, which may hold keys.
    public let tcURL: String?
    /// The program that it says that it is.
    public let client: String?

    let id: UInt64

    init(_ request: openrtmp_access_request) {
        action = Action(rawValue: request.action) ?? .other
        connectionID = request.connection_id
        app = String(request.app)
        stream = String(request.stream)
        query = String(request.query)
        peer = String(request.peer)
        timeout = .whole(request.timeout_ms)
        isTLS = request.tls != 0
        let pin = String(request.certificate_pin)
        certificate = pin.isEmpty ? nil : Certificate(
            commonName: String(request.certificate_common_name).nonEmpty,
            names: String(request.certificate_names).split(separator: "\n").map(String.init),
            pin: pin
        )
        user = String(request.user).nonEmpty
        tcURL = String(request.tc_url).nonEmpty
        client = String(request.client).nonEmpty
        id = request.request_id
    }
}

/// An answer to an ``AccessRequest``.
public struct AccessDecision: Sendable, Equatable {
    enum Answer: Sendable, Equatable {
        case accept, pass
        case acceptAs(String), reject(String), fail(String)
    }

    let answer: Answer
    let hidesName: Bool

    private init(_ answer: Answer, hidesName: Bool = false) {
        (self.answer, self.hidesName) = (answer, hidesName)
    }

    public static let accept = AccessDecision(.accept)

    /// The rules of the settings have nothing against it: it is granted, and says nothing of
    /// who asks (`access.failed_attempts`), where ``accept`` makes earlier failures of that
    /// address forgotten.
    public static let pass = AccessDecision(.pass)

    /// Granted under another name: the stream is published, or played, as this path
    /// ("app/name"), and the one that was asked for is shown no more. What names nothing is
    /// a refusal.
    public static func accept(as path: String) -> AccessDecision {
        AccessDecision(.acceptAs(path))
    }

    /// The peer sees the reason.
    public static func reject(_ reason: String) -> AccessDecision {
        AccessDecision(.reject(reason))
    }

    /// It cannot be decided: refused, and no guess of who asks.
    public static func fail(_ reason: String) -> AccessDecision {
        AccessDecision(.fail(reason))
    }

    /// The same, and the last segment of the stream's name is a key: it is not shown in logs,
    /// events, numbers and file names.
    public var hidingName: AccessDecision { AccessDecision(answer, hidesName: true) }
}

/// Decides who may connect, publish and play. Each request runs in a task of its own, which
/// is cancelled when the time for the answer is over and when the server goes. Peers wait,
/// streams do not.
public typealias AccessHandler = @Sendable (AccessRequest) async -> AccessDecision

/// The keys of one kind of a server, which may change while it runs. Once there is one,
/// peers without a key are refused.
public struct KeyRing: Sendable {
    enum Kind: UInt32 { case publish = 0, play = 1 }

    let core: ServerCore
    let kind: Kind

    /// The running server believes it from now on.
    public func add(_ key: String) throws {
        try check(key.withC { openrtmp_key_add(core.pointer, kind.rawValue, $0) })
    }

    /// What it opened ends. Without the last key nobody may: taking a key away opens nothing.
    public func revoke(_ key: String) throws {
        try check(key.withC { openrtmp_key_revoke(core.pointer, kind.rawValue, $0) })
    }

    /// They are secrets.
    public func all() throws -> [String] {
        try texts { openrtmp_key_list(core.pointer, kind.rawValue, $0, $1) }
    }

    /// A new key of 128 random bits, 32 characters; it is not added anywhere.
    public static func generate() throws -> String { try readText { openrtmp_key_generate($0, $1, $2) } }
}

extension String {
    var nonEmpty: String? { isEmpty ? nil : self }
}
