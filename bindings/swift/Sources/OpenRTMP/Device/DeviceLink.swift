/// The device that a server is on: what its system says, and what it is to do. For Apple's
/// systems there is `AppleDeviceSystem`; a program may bring its own, and tests do.
public protocol DeviceSystem: Sendable {
    /// What happens from now on. Ends with the task that reads it.
    func signals() -> AsyncStream<DeviceSignal>

    /// Does what a server wants, or does not: it goes on either way. Never called with
    /// ``DeviceOrder/suspendNow``.
    func obey(_ order: DeviceOrder) async
}

/// Ties a server to the device that it is on: hands on what the system says, has orders
/// obeyed, suspends when it is time. To be made before the server is started, whose first orders
/// would be missed, and kept as long as the server, which it keeps; the tie is undone with the
/// last reference.
///
/// Signals are handed on one after the other, in the order in which they come. What the
/// server refuses (it is stopped, for example) is told by ``reports()``, and nothing else
/// follows from it.
public final class DeviceLink: Sendable {
    /// What became of signals.
    public enum Report: Sendable, Equatable {
        case suspended(SuspendReport)
        case resumed(ResumeReport)
        /// What a ``DeviceSignal/refresh(within:)`` found; `nil`: nothing, in its time.
        case refreshed(ResumeReport?)
        /// The server was told.
        case told(DeviceSignal)
        /// The server did not take it.
        case refused(DeviceSignal, OpenRTMPError)
    }

    private let tie: Tie
    private let tasks: [Task<Void, Never>]

    public init(_ server: RTMPServer, system: any DeviceSystem) {
        let tie = Tie(server: server, system: system)
        self.tie = tie
        // Both are there before either is waited for: nothing is missed.
        let (signals, orders) = (system.signals(), server.orders())
        tasks = [
            // What waits in a stream is given out after the task was cancelled, too.
            Task { for await signal in signals where !Task.isCancelled { await tie.hand(on: signal) } },
            Task { for await order in orders where !Task.isCancelled { await tie.carry(out: order) } },
        ]
    }

    deinit {
        for task in tasks { task.cancel() }
        tie.reports.finish()
    }

    /// What becomes of signals from now on; who falls 256 behind misses some.
    public func reports() -> AsyncStream<Report> { tie.reports.stream(limit: 256) }
}

/// What the tasks of a link share; the link itself is not kept by them.
final class Tie: Sendable {
    /// Time for a suspension that the server orders. Systems give about a second where their
    /// time is over.
    static let suspension = Duration.milliseconds(700)

    let server: RTMPServer
    let system: any DeviceSystem
    let reports = Broadcast<DeviceLink.Report>()

    /// The system said that the program's time ends, and not yet that it is back.
    private let isLeaving = Locked(false)

    init(server: RTMPServer, system: any DeviceSystem) { (self.server, self.system) = (server, system) }

    func hand(on signal: DeviceSignal) async {
        // Before the server hears of it: what it orders then is not stale.
        switch signal {
        case .background, .remainingTime, .service(.timedOut): isLeaving.withLock { $0 = true }
        case .resume, .foreground: isLeaving.withLock { $0 = false }
        default: break
        }
        await tell(signal)
    }

    private func tell(_ signal: DeviceSignal) async {
        do {
            switch signal {
            case .background(let remaining): try server.background(remaining: remaining)
            case .remainingTime(let time): try server.remainingTime(time)
            case .suspend(let time):
                reports.send(.suspended(try await server.suspend(within: time)))
                return
            case .resume(let away):
                reports.send(.resumed(try await server.resume(away: away)))
                return
            case .foreground: try server.foreground()
            case .networks(let networks): try server.networks(networks)
            case .permission(let permission, let state): try server.permission(permission, state)
            case .power(let isLow, let isIdle, let thermal):
                try server.power(isLow: isLow, isIdle: isIdle, thermal: thermal)
            case .memory(let level): try server.memory(level)
            case .audio(let isActive): try server.audio(isActive: isActive)
            case .service(let state): try server.service(state)
            case .refresh(let time):
                await refresh(within: time)
                return
            }
            reports.send(.told(signal))
        } catch let error as OpenRTMPError {
            reports.send(.refused(signal, error))
        } catch {
            // Nothing else is thrown by this module.
        }
    }

    func carry(out order: DeviceOrder) async {
        guard case .suspendNow = order else {
            await system.obey(order)
            return
        }
        // Not behind it: what follows is the order to give the system's time back.
        Task { await self.suspendNow() }
    }

    /// As ordered, unless the program is back. A server that was suspended all the same, while
    /// the system said so, is brought back: nobody would say it again.
    func suspendNow() async {
        guard isLeaving.withLock({ $0 }) else { return }
        await tell(.suspend(within: Self.suspension))
        guard !isLeaving.withLock({ $0 }) else { return }
        await tell(.resume(away: .zero))
        guard !isLeaving.withLock({ $0 }) else { return }
        await tell(.foreground)
        // Left again between the two: that was said last.
        if isLeaving.withLock({ $0 }) { await tell(.background(remaining: nil)) }
    }

    /// Listeners are looked after. Whatever happens, it ends in time, once.
    private func refresh(within time: Duration) async {
        let found = Locked<ResumeReport?>(nil)
        let isOver = Locked(false)
        let (ends, end) = AsyncStream.makeStream(of: Bool.self)
        @Sendable func finish(_ success: Bool) {
            let isFirst = isOver.withLock { over in
                defer { over = true }
                return !over
            }
            guard isFirst else { return }
            end.yield(success)
            end.finish()
        }
        Task {
            let report = try? await server.checkListeners()
            found.withLock { $0 = report }
            finish(report.map { $0.failed == 0 } ?? false)
        }
        Waiting.after(time) { finish(false) }
        for await success in ends { await system.obey(.refreshEnded(success: success)) }
        reports.send(.refreshed(found.withLock { $0 }))
    }
}
