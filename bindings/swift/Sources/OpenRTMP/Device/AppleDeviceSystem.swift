// Compiled for Apple's systems alone, and not run by the project's own tests, which run on
// Linux: `platforms/ios/README.md` says what was seen of it. Everything that decides stands
// in `DeviceLink` and in the library.

#if canImport(Network)
import Foundation
import Network

#if canImport(UIKit)
import AVFAudio
import UIKit
#endif
#if canImport(BackgroundTasks)
import BackgroundTasks
#endif
#if canImport(AppKit) && !canImport(UIKit)
import AppKit
#endif

/// The device that the program runs on: UIKit's and AVFAudio's notifications, the paths of
/// Network, and `ProcessInfo`.
///
/// It declares no background mode, plays no sound and asks for no permission by itself.
public final class AppleDeviceSystem: DeviceSystem {
    /// What it may do beside.
    public struct Options: Sendable {
        /// The screen stays on while something is streamed.
        public var keepsScreenOn: Bool
        /// The name of the server in the local network; `nil`: the device's.
        public var serviceName: String?

        public init(keepsScreenOn: Bool = false, serviceName: String? = nil) {
            (self.keepsScreenOn, self.serviceName) = (keepsScreenOn, serviceName)
        }
    }

    private struct State {
        var observers: [any NSObjectProtocol] = []
        var paths: NWPathMonitor?
        var pressure: (any DispatchSourceMemoryPressure)?
        /// When the program went away, by the clock on the wall.
        var left: Date?
        var bonjour: BonjourService?
        #if canImport(UIKit)
        var task = UIBackgroundTaskIdentifier.invalid
        #endif
        #if canImport(BackgroundTasks) && os(iOS)
        var refreshes: [BGTask] = []
        #endif
    }

    private let options: Options
    private let heard = Broadcast<DeviceSignal>()
    private let state = Locked(State())
    /// Raised when the system's time is given back: its last second waits for that.
    private let givenBack = DispatchSemaphore(value: 0)

    @MainActor
    public init(_ options: Options = Options()) {
        self.options = options
        observe()
        watchPaths()
        watchMemory()
    }

    deinit {
        state.withLock { state in
            for observer in state.observers {
                NotificationCenter.default.removeObserver(observer)
            }
            state.paths?.cancel()
            state.pressure?.cancel()
            state.bonjour?.stop()
        }
    }

    public func signals() -> AsyncStream<DeviceSignal> {
        let stream = heard.stream(limit: 256)
        // Whoever comes later has to be told how things are.
        tellPower()
        if let path = state.withLock({ $0.paths?.currentPath }) { tell(path) }
        return stream
    }

    public func obey(_ order: DeviceOrder) async {
        switch order {
        case .keepAwake(let isOn, _, _):
            #if canImport(UIKit)
            guard options.keepsScreenOn else { return }
            await MainActor.run { UIApplication.shared.isIdleTimerDisabled = isOn }
            #endif
        case .backgroundTask(let isOn):
            #if canImport(UIKit)
            isOn ? await beginTask() : endTask()
            #endif
        case .advertise(let advertisement):
            advertise(advertisement)
        case .refreshEnded(let success):
            #if canImport(BackgroundTasks) && os(iOS)
            let tasks = state.withLock { state in
                defer { state.refreshes = [] }
                return state.refreshes
            }
            for task in tasks { task.setTaskCompleted(success: success) }
            #endif
        case .askPermission, .service, .suspendNow:
            // When to ask is the program's to say; services are Android's.
            break
        }
    }

    /// The program's audio session became active with audible sound, or no longer: to be told
    /// by the program that plays it.
    public func audio(isActive: Bool) { heard.send(.audio(isActive: isActive)) }

    // MARK: Notifications

    private func on(_ name: Notification.Name, _ body: @escaping @Sendable () -> Void) {
        let observer = NotificationCenter.default.addObserver(forName: name, object: nil, queue: nil) { _ in
            body()
        }
        state.withLock { $0.observers.append(observer) }
    }

    @MainActor
    private func observe() {
        on(.NSProcessInfoPowerStateDidChange) { [weak self] in self?.tellPower() }
        on(ProcessInfo.thermalStateDidChangeNotification) { [weak self] in self?.tellPower() }
        #if canImport(UIKit)
        on(UIApplication.didEnterBackgroundNotification) { [weak self] in self?.leave() }
        on(UIApplication.willEnterForegroundNotification) { [weak self] in self?.comeBack() }
        on(UIApplication.didBecomeActiveNotification) { [weak self] in self?.heard.send(.foreground) }
        on(UIApplication.didReceiveMemoryWarningNotification) { [weak self] in
            self?.heard.send(.memory(.moderate))
        }
        on(AVAudioSession.interruptionNotification) { [weak self] in
            // Whoever plays tells when it goes on; until then nothing is heard.
            self?.heard.send(.audio(isActive: false))
        }
        #elseif canImport(AppKit)
        let center = NSWorkspace.shared.notificationCenter
        for (name, isAway) in [
            (NSWorkspace.willSleepNotification, true), (NSWorkspace.didWakeNotification, false),
        ] {
            let observer = center.addObserver(forName: name, object: nil, queue: nil) { [weak self] _ in
                if isAway {
                    self?.leave()
                    self?.heard.send(.suspend(within: .milliseconds(700)))
                } else {
                    self?.comeBack()
                    self?.heard.send(.foreground)
                }
            }
            state.withLock { $0.observers.append(observer) }
        }
        #endif
    }

    private func leave() {
        state.withLock { $0.left = Date() }
        heard.send(.background(remaining: nil))
    }

    private func comeBack() {
        let left = state.withLock { state in
            defer { state.left = nil }
            return state.left
        }
        let away = left.map { max(0, Date().timeIntervalSince($0)) } ?? 0
        heard.send(.resume(away: .seconds(away)))
    }

    private func tellPower() {
        let info = ProcessInfo.processInfo
        let thermal: ThermalState =
            switch info.thermalState {
            case .nominal: .nominal
            case .fair: .fair
            case .serious: .serious
            case .critical: .critical
            @unknown default: .serious
            }
        heard.send(.power(isLow: info.isLowPowerModeEnabled, isIdle: false, thermal: thermal))
    }

    // MARK: Networks and memory

    private func watchPaths() {
        let monitor = NWPathMonitor()
        monitor.pathUpdateHandler = { [weak self] path in self?.tell(path) }
        monitor.start(queue: DispatchQueue(label: "org.openrtmp.paths"))
        state.withLock { $0.paths = monitor }
    }

    private func tell(_ path: NWPath) {
        guard path.status == .satisfied else {
            heard.send(.networks([]))
            return
        }
        var flags: DeviceNetwork.Flags = []
        if path.isExpensive { flags.insert(.metered) }
        if path.isConstrained { flags.insert(.constrained) }
        let networks = path.availableInterfaces.enumerated().map { place, interface in
            let kind: DeviceNetwork.Kind =
                switch interface.type {
                case .wifi: .wifi
                case .cellular: .cellular
                case .wiredEthernet: .ethernet
                default: interface.name.hasPrefix("utun") || interface.name.hasPrefix("ipsec") ? .vpn : .other
                }
            return DeviceNetwork(
                name: interface.name, kind: kind, flags: place == 0 ? flags.union(.default) : flags)
        }
        heard.send(.networks(networks))
    }

    private func watchMemory() {
        let source = DispatchSource.makeMemoryPressureSource(
            eventMask: [.normal, .warning, .critical], queue: DispatchQueue(label: "org.openrtmp.memory"))
        source.setEventHandler { [weak self] in
            guard let self else { return }
            let pressure = self.state.withLock { $0.pressure?.data ?? .normal }
            self.heard.send(.memory(
                pressure.contains(.critical) ? .critical : pressure.contains(.warning) ? .moderate : .normal))
        }
        source.resume()
        state.withLock { $0.pressure = source }
    }

    private func advertise(_ advertisement: DeviceOrder.Advertisement?) {
        state.withLock { state in
            state.bonjour?.stop()
            state.bonjour = nil
        }
        guard let advertisement else { return }
        let service = try? BonjourService(
            name: options.serviceName ?? "", port: advertisement.port, text: advertisement.text
        ) { [weak self] result in
            switch result {
            case .registered: self?.heard.send(.permission(.localNetwork, .granted))
            case .refused: self?.heard.send(.permission(.localNetwork, .denied))
            case .failed: break
            }
        }
        state.withLock { $0.bonjour = service }
    }

    // MARK: Time in the background

    #if canImport(UIKit)
    @MainActor
    private func beginTask() {
        guard state.withLock({ $0.task == .invalid }) else { return }
        let task = UIApplication.shared.beginBackgroundTask(withName: "OpenRTMP") { [weak self] in
            self?.timeIsOver()
        }
        // None was given: there is not even a second.
        guard task != .invalid else {
            heard.send(.suspend(within: .milliseconds(700)))
            return
        }
        state.withLock { $0.task = task }
        watchTime()
    }

    /// Once a second while the task is held.
    @MainActor
    private func watchTime() {
        guard state.withLock({ $0.task != .invalid }) else { return }
        let remaining = UIApplication.shared.backgroundTimeRemaining
        // Nobody knows while the program is in front.
        if remaining < 24 * 3600 { heard.send(.remainingTime(.seconds(remaining))) }
        Task { [weak self] in
            try? await Task.sleep(for: .seconds(1))
            self?.watchTime()
        }
    }

    /// Called by the system, on the main thread, about a second before it is over. When this
    /// returns everything has to be done.
    private func timeIsOver() {
        heard.send(.suspend(within: .milliseconds(600)))
        _ = givenBack.wait(timeout: .now() + .milliseconds(850))
        endTask()
    }

    private func endTask() {
        let task = state.withLock { state in
            defer { state.task = .invalid }
            return state.task
        }
        guard task != .invalid else { return }
        UIApplication.shared.endBackgroundTask(task)
        givenBack.signal()
    }
    #endif

    // MARK: Background App Refresh

    #if canImport(BackgroundTasks) && os(iOS)
    /// Has the listeners looked after when the system lets the program refresh itself. To be
    /// called before `application(_:didFinishLaunchingWithOptions:)` returns, with an
    /// identifier of `BGTaskSchedulerPermittedIdentifiers`.
    @MainActor
    public func registerRefresh(_ identifier: String) {
        BGTaskScheduler.shared.register(forTaskWithIdentifier: identifier, using: nil) { [weak self] task in
            guard let self else {
                task.setTaskCompleted(success: false)
                return
            }
            task.expirationHandler = { [weak self] in
                Task { await self?.obey(.refreshEnded(success: false)) }
            }
            self.state.withLock { $0.refreshes.append(task) }
            // Half a minute is usual; this takes a second.
            self.heard.send(.refresh(within: .seconds(20)))
        }
    }

    /// Asks for the next refresh, not before this time has passed. The system says when, if
    /// ever.
    public func askForRefresh(_ identifier: String, after time: Duration) throws {
        let request = BGAppRefreshTaskRequest(identifier: identifier)
        request.earliestBeginDate = Date(timeIntervalSinceNow: Double(time.milliseconds) / 1000)
        try BGTaskScheduler.shared.submit(request)
    }
    #endif
}

extension DeviceLink {
    /// Ties a server to the device that it is on.
    @MainActor
    public convenience init(_ server: RTMPServer) { self.init(server, system: AppleDeviceSystem()) }
}
#endif
