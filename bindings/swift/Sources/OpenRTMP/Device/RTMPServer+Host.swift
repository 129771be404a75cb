import COpenRTMP

// What the host of a server on a phone tells it. ``DeviceLink`` does all of it for a program
// that does not want to.
extension RTMPServer {
    /// What the server wants of its host, from now on.
    public nonisolated func orders() -> AsyncStream<DeviceOrder> {
        // As many as the library itself keeps for who is slow.
        core.callbacks.orders.stream(limit: 4096)
    }

    /// The program went to the background, where it may run for so long; `nil`: nobody said.
    public nonisolated func background(remaining: Duration? = nil) throws {
        try check(openrtmp_host_background(core.pointer, remaining?.milliseconds ?? .max))
    }

    /// So much of that time is left.
    public nonisolated func remainingTime(_ time: Duration) throws {
        try check(openrtmp_host_remaining_time(core.pointer, time.milliseconds))
    }

    /// Closes listeners and connections, keeps streams. 700 ms are enough; 10 s at most.
    @discardableResult
    public func suspend(within time: Duration = .milliseconds(700)) async throws -> SuspendReport {
        try await Waiting.call { [core] in try Self.suspend(core, time) }
    }

    /// Binds the same ports again, or looks after listeners. Waits at most 2 s.
    @discardableResult
    public func resume(away time: Duration) async throws -> ResumeReport {
        try await Waiting.call { [core] in
            var report = openrtmp_resume_report()
            report.struct_size = size(of: openrtmp_resume_report.self)
            try check(openrtmp_host_resume(core.pointer, time.milliseconds, &report))
            return ResumeReport(report)
        }
    }

    /// Asks the system whether the listening sockets are there still, and binds those again
    /// that are not. Waits at most 1 s.
    @discardableResult
    public func checkListeners() async throws -> ResumeReport {
        try await Waiting.call { [core] in
            var report = openrtmp_resume_report()
            report.struct_size = size(of: openrtmp_resume_report.self)
            try check(openrtmp_server_check_listeners(core.pointer, &report))
            return ResumeReport(report)
        }
    }

    /// The program is in front.
    public nonisolated func foreground() throws { try check(openrtmp_host_foreground(core.pointer)) }

    /// The networks there are, all of them each time.
    public nonisolated func networks(_ networks: [DeviceNetwork]) throws {
        // The texts have to live until the call: each in a buffer of its own.
        let texts = networks.map { ($0.name, $0.addresses.joined(separator: ",")) }
        var all: [openrtmp_network] = []
        func add(_ place: Int) throws {
            guard place < networks.count else {
                try check(openrtmp_host_network(core.pointer, all, all.count))
                return
            }
            try texts[place].0.withC { name in
                try texts[place].1.withC { addresses in
                    var network = openrtmp_network()
                    network.struct_size = size(of: openrtmp_network.self)
                    network.kind = networks[place].kind.rawValue
                    network.flags = networks[place].flags.rawValue
                    network.name = name
                    network.addresses = addresses
                    all.append(network)
                    try add(place + 1)
                }
            }
        }
        // Each stands on the stack of the one before.
        guard networks.count <= 256 else { throw OpenRTMPError(.limit, "more than 256 networks") }
        try add(0)
    }

    /// What the user says about a permission.
    public nonisolated func permission(_ permission: DevicePermission, _ state: PermissionState) throws {
        try check(openrtmp_host_permission(core.pointer, permission.rawValue, state.rawValue))
    }

    /// How the device is off for power.
    public nonisolated func power(isLow: Bool, isIdle: Bool = false, thermal: ThermalState = .nominal) throws {
        try check(openrtmp_host_power(core.pointer, isLow ? 1 : 0, isIdle ? 1 : 0, thermal.rawValue))
    }

    /// How the device is off for memory.
    public nonisolated func memory(_ level: MemoryLevel) throws {
        try check(openrtmp_host_memory(core.pointer, level.rawValue))
    }

    /// The program plays audible sound, or no longer.
    public nonisolated func audio(isActive: Bool) throws {
        try check(openrtmp_host_audio(core.pointer, isActive ? 1 : 0))
    }

    /// What became of the service that was asked for.
    public nonisolated func service(_ state: ServiceState) throws {
        try check(openrtmp_host_service(core.pointer, state.rawValue))
    }

    /// URLs under which other devices reach a stream ("app/name", or empty), the best first.
    /// To be asked again every few seconds while they are shown: no system tells of a hotspot
    /// that it opens.
    public nonisolated func reachableURLs(
        for stream: String = "", including extra: ReachableURL.Extra = []
    ) throws -> [ReachableURL] {
        var found: [ReachableURL] = []
        try Visitor<openrtmp_reachable_info>.each({ found.append(ReachableURL($0)) }) { context in
            stream.withC {
                openrtmp_server_reachable(
                    core.pointer, $0, extra.rawValue,
                    { Visitor<openrtmp_reachable_info>.visit($0, $1) }, context)
            }
        }
        return found
    }

    /// What the server costs in power. Waits up to 1 s.
    public func powerStats() async throws -> PowerStats {
        try await Waiting.call { [core] in
            var stats = openrtmp_power_stats()
            stats.struct_size = size(of: openrtmp_power_stats.self)
            try check(openrtmp_server_power_stats(core.pointer, &stats))
            return PowerStats(
                wakeUps: stats.wake_ups, systemCalls: stats.system_calls,
                active: .microseconds(Int64(clamping: stats.active_us)))
        }
    }

    static func suspend(_ core: ServerCore, _ time: Duration) throws -> SuspendReport {
        var report = openrtmp_suspend_report()
        report.struct_size = size(of: openrtmp_suspend_report.self)
        try check(openrtmp_host_suspend(core.pointer, time.milliseconds, &report))
        return SuspendReport(report)
    }
}
