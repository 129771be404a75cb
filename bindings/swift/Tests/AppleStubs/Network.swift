import Dispatch
@_exported import Foundation

public struct NWInterface: Sendable {
    public enum InterfaceType: Sendable { case other, wifi, cellular, wiredEthernet, loopback }
    public let type: InterfaceType
    public let name: String
}

public struct NWPath: Sendable {
    public enum Status: Sendable { case satisfied, unsatisfied, requiresConnection }
    public let status: Status
    public let availableInterfaces: [NWInterface]
    public let isExpensive: Bool
    public let isConstrained: Bool
}

public final class NWPathMonitor {
    public init() {}
    public final var pathUpdateHandler: (@Sendable (NWPath) -> Void)?
    public final var currentPath: NWPath {
        NWPath(status: .unsatisfied, availableInterfaces: [], isExpensive: false, isConstrained: false)
    }
    public final func start(queue: DispatchQueue) {}
    public final func cancel() {}
}

// What Foundation and Dispatch have on Apple's systems alone.

extension ProcessInfo {
    public enum ThermalState: Int, Sendable { case nominal, fair, serious, critical }
    public var thermalState: ThermalState { .nominal }
    public var isLowPowerModeEnabled: Bool { false }
    public class var thermalStateDidChangeNotification: Notification.Name { Notification.Name("f") }
}

extension Notification.Name {
    public static let NSProcessInfoPowerStateDidChange = Notification.Name("g")
}

public protocol DispatchSourceMemoryPressure: DispatchSourceProtocol {
    var data: DispatchSource.MemoryPressureEvent { get }
}

extension DispatchSource {
    public struct MemoryPressureEvent: OptionSet, Sendable {
        public let rawValue: UInt
        public init(rawValue: UInt) { self.rawValue = rawValue }
        public static let normal = MemoryPressureEvent(rawValue: 1)
        public static let warning = MemoryPressureEvent(rawValue: 2)
        public static let critical = MemoryPressureEvent(rawValue: 4)
    }

    public class func makeMemoryPressureSource(
        eventMask: MemoryPressureEvent, queue: DispatchQueue? = nil
    ) -> any DispatchSourceMemoryPressure { fatalError("there is none here") }
}
