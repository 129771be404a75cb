import COpenRTMP

/// What a device tells a server that is on it (`docs/mobile.md`). In any order, more than
/// once, from any thread.
public enum DeviceSignal: Sendable, Equatable {
    /// The program went to the background, where it may run for so long; `nil`: nobody said.
    case background(remaining: Duration?)
    /// So much of that time is left.
    case remainingTime(Duration)
    /// The program is about to be frozen.
    case suspend(within: Duration)
    /// The program runs again, after it was away for so long by the clock on the wall.
    case resume(away: Duration)
    /// The program is in front.
    case foreground
    /// The networks there are, all of them each time.
    case networks([DeviceNetwork])
    case permission(DevicePermission, PermissionState)
    case power(isLow: Bool, isIdle: Bool, thermal: ThermalState)
    case memory(MemoryLevel)
    /// The program plays audible sound, or no longer.
    case audio(isActive: Bool)
    /// What became of the service that was asked for (Android has them).
    case service(ServiceState)
    /// The system lets the program look after itself in the background for so long.
    case refresh(within: Duration)
}

/// What the host of a server is to do.
public enum DeviceOrder: Sendable, Equatable {
    /// Something is streamed: the device is to stay awake, or may sleep again.
    case keepAwake(Bool, cpu: Bool, wifi: Bool)
    /// About the service that keeps the program running (Android has them).
    case service(ServiceOrder, streams: UInt64, connections: UInt64)
    /// Ask the system for time in the background, or give it back.
    case backgroundTask(Bool)
    /// Tell the local network of the server; `nil`: stop that.
    case advertise(Advertisement?)
    /// The user has not been asked for a permission that is needed.
    case askPermission(DevicePermission)
    /// ``DeviceLink`` suspends the server; the system has nothing to do.
    case suspendNow
    /// What ``DeviceSignal/refresh(within:)`` began is over.
    case refreshEnded(success: Bool)

    /// What is told of a server in the local network.
    public struct Advertisement: Sendable, Equatable {
        public let port: UInt16
        /// Such as "v=1 app=live tls=0": pairs with spaces between them.
        public let text: String

        public init(port: UInt16, text: String) { (self.port, self.text) = (port, text) }
    }

    public enum ServiceOrder: UInt32, Sendable, CaseIterable { case start = 1, update = 2, stop = 3 }

    /// `nil` for one of a newer library.
    init?(_ order: openrtmp_order) {
        let isOn = order.on != 0
        switch Int32(bitPattern: order.kind) {
        case OPENRTMP_ORDER_KEEP_AWAKE:
            self = .keepAwake(isOn, cpu: order.cpu != 0, wifi: order.wifi != 0)
        case OPENRTMP_ORDER_SERVICE:
            guard let action = ServiceOrder(rawValue: order.action) else { return nil }
            self = .service(action, streams: order.streams, connections: order.connections)
        case OPENRTMP_ORDER_TASK:
            self = .backgroundTask(isOn)
        case OPENRTMP_ORDER_ADVERTISE:
            let port = UInt16(truncatingIfNeeded: order.port)
            self = .advertise(isOn ? Advertisement(port: port, text: String(order.txt)) : nil)
        case OPENRTMP_ORDER_ASK_PERMISSION:
            guard let permission = DevicePermission(rawValue: order.permission) else { return nil }
            self = .askPermission(permission)
        case OPENRTMP_ORDER_SUSPEND_NOW:
            self = .suspendNow
        default:
            return nil
        }
    }
}

/// A network that the system says the device is connected to.
public struct DeviceNetwork: Sendable, Equatable {
    public enum Kind: UInt32, Sendable, CaseIterable {
        case other = 0, wifi = 1, ethernet = 2, cellular = 3, hotspot = 4, usb = 5, vpn = 6
    }

    public struct Flags: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        /// What is sent there costs money, or counts.
        public static let metered = Flags(rawValue: 1)
        /// The user asked programs to send little there.
        public static let constrained = Flags(rawValue: 2)
        /// Where the system sends what has no better way.
        public static let `default` = Flags(rawValue: 4)
    }

    /// Its interface, such as "en0".
    public var name: String
    public var kind: Kind
    public var flags: Flags
    /// This device's addresses there, as far as the system says.
    public var addresses: [String]

    public init(name: String, kind: Kind, flags: Flags = [], addresses: [String] = []) {
        (self.name, self.kind, self.flags, self.addresses) = (name, kind, flags, addresses)
    }
}

public enum DevicePermission: UInt32, Sendable, CaseIterable { case localNetwork = 1, notifications = 2 }
public enum PermissionState: UInt32, Sendable, CaseIterable { case unknown = 0, granted = 1, denied = 2 }
public enum ThermalState: UInt32, Sendable, CaseIterable { case nominal = 0, fair = 1, serious = 2, critical = 3 }
public enum MemoryLevel: UInt32, Sendable, CaseIterable { case normal = 0, moderate = 1, critical = 2 }
public enum ServiceState: UInt32, Sendable, CaseIterable { case started = 1, refused = 2, timedOut = 3, stopped = 4 }

/// What a suspension did.
public struct SuspendReport: Sendable, Equatable {
    /// All was done in time.
    public let isInTime: Bool
    /// Listening sockets that were closed.
    public let listeners: UInt64
    /// Connections that were told.
    public let told: UInt64
    /// Connections that are closed.
    public let closed: UInt64
    /// Recorders whose files are on the disk as far as they were written.
    public let recordings: UInt64

    init(_ report: openrtmp_suspend_report) {
        isInTime = report.in_time != 0
        listeners = report.listeners
        told = report.told
        closed = report.closed
        recordings = report.recordings
    }
}

/// What was found when listeners were looked after.
public struct ResumeReport: Sendable, Equatable {
    /// All was done in time, and nothing came in between.
    public let isInTime: Bool
    /// Listening sockets that were there still.
    public let alive: UInt64
    /// Those that were bound again, on the same ports.
    public let remade: UInt64
    /// Those that could not be had yet; they are tried again.
    public let failed: UInt64
    /// Connections whose sockets the system had taken.
    public let connectionsLost: UInt64

    init(_ report: openrtmp_resume_report) {
        isInTime = report.in_time != 0
        alive = report.alive
        remade = report.remade
        failed = report.failed
        connectionsLost = report.connections_lost
    }
}

/// A URL under which others reach a server.
public struct ReachableURL: Sendable, Equatable {
    /// Such as "rtmp://192.168.1.5:1935/live/cam".
    public let url: String
    public let kind: DeviceNetwork.Kind
    /// 0 for the one that others are most likely to reach, and so on.
    public let rank: Int
    public let isMetered: Bool
    /// The interface that has its address, if that is known.
    public let interface: String?

    init(_ info: openrtmp_reachable_info) {
        url = String(info.url)
        kind = DeviceNetwork.Kind(rawValue: info.kind) ?? .other
        rank = Int(info.rank)
        isMetered = info.metered != 0
        interface = String(info.interface_name).nonEmpty
    }

    /// URLs that are left out unless asked for.
    public struct Extra: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        public static let cellular = Extra(rawValue: 1)
        public static let vpn = Extra(rawValue: 2)
        public static let loopback = Extra(rawValue: 4)
    }
}

/// What a server costs in power, since its start.
public struct PowerStats: Sendable, Equatable {
    /// How often a worker thread went on after waiting.
    public let wakeUps: UInt64
    /// Calls of the system for sockets.
    public let systemCalls: UInt64
    /// Time that worker threads did not wait, of all together.
    public let active: Duration
}
