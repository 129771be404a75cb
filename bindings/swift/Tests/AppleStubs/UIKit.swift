@_exported import Foundation

public struct UIBackgroundTaskIdentifier: Sendable, Equatable {
    public let rawValue: Int
    public static let invalid = UIBackgroundTaskIdentifier(rawValue: 0)
}

@MainActor
open class UIApplication: NSObject {
    public class var shared: UIApplication { UIApplication() }
    open var isIdleTimerDisabled = false
    open var backgroundTimeRemaining: TimeInterval { 0 }
    nonisolated public static let didEnterBackgroundNotification = Notification.Name("a")
    nonisolated public static let willEnterForegroundNotification = Notification.Name("b")
    nonisolated public static let didBecomeActiveNotification = Notification.Name("c")
    nonisolated public static let didReceiveMemoryWarningNotification = Notification.Name("d")
    open func beginBackgroundTask(
        withName name: String?, expirationHandler handler: (@MainActor @Sendable () -> Void)? = nil
    ) -> UIBackgroundTaskIdentifier { .invalid }
    open func endBackgroundTask(_ identifier: UIBackgroundTaskIdentifier) {}
}
