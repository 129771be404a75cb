import COpenRTMP

/// A server of the C library, freed with the last reference to it: a server, its key rings,
/// a decision that is being made.
final class ServerCore: Sendable {
    private let handle: Handle
    let callbacks: Callbacks

    /// Only for calls during which somebody holds this object: a stored property of who calls,
    /// or what a closure captured.
    var pointer: OpaquePointer { handle.pointer }

    init(_ configuration: ServerConfiguration, access: AccessHandler?) throws {
        let config = try Config(configuration)
        let callbacks = Callbacks(access)
        var table = openrtmp_callbacks()
        table.struct_size = size(of: openrtmp_callbacks.self)
        table.user_data = Unmanaged.passRetained(callbacks).toOpaque()
        table.on_event = { Callbacks.of($0)?.on($1.pointee) }
        table.on_order = { Callbacks.of($0)?.on($1.pointee) }
        if access != nil {
            table.on_access = { Callbacks.of($0)?.on($1.pointee) }
        }
        // The last call: what the table was given is let go of.
        table.on_closed = { context in
            guard let context else { return }
            let callbacks = Unmanaged<Callbacks>.fromOpaque(context).takeRetainedValue()
            callbacks.end()
        }
        var made: OpaquePointer?
        do {
            try config.call { try check(openrtmp_server_new($0, &table, &made)) }
        } catch {
            Unmanaged.passUnretained(callbacks).release()
            throw error
        }
        guard let made else { throw OpenRTMPError(.memory) }
        handle = Handle(pointer: made)
        self.callbacks = callbacks
        callbacks.core.withLock { $0.core = self }
    }

    deinit {
        // It waits, and the last reference may go anywhere, in a callback too.
        let handle = handle
        Waiting.later { openrtmp_server_free(handle.pointer) }
    }

    func answer(_ request: UInt64, _ decision: AccessDecision) {
        // Who is late, or whose peer has left, has nobody to tell.
        if decision.hidesName { openrtmp_request_mark_secret(pointer, request) }
        switch decision.answer {
        case .accept: openrtmp_request_accept(pointer, request)
        case .pass: openrtmp_request_pass(pointer, request)
        case .reject(let why): _ = why.withC { openrtmp_request_reject(pointer, request, $0) }
        case .fail(let why): _ = why.withC { openrtmp_request_fail(pointer, request, $0) }
        case .acceptAs(let path):
            let code = path.withC { openrtmp_request_accept_as(pointer, request, $0) }
            if code == OPENRTMP_ERROR_INVALID_ARGUMENT {
                let why = "the name that it was given is none"
                _ = why.withC { openrtmp_request_fail(pointer, request, $0) }
            }
        }
    }
}

/// What the library calls back, each on a thread of its own. Lives until `on_closed`.
final class Callbacks: Sendable {
    struct Back { weak var core: ServerCore? }

    /// The server, as long as somebody else holds it.
    let core = Locked(Back())
    let events = Broadcast<ServerEvent>(missing: { ServerEvent(lost: $0) })
    let orders = Broadcast<DeviceOrder>()
    private let access: AccessHandler?
    private let decisions = Locked<[UInt64: Task<Void, Never>]>([:])

    init(_ access: AccessHandler?) { self.access = access }

    static func of(_ context: UnsafeMutableRawPointer?) -> Callbacks? {
        context.map { Unmanaged<Callbacks>.fromOpaque($0).takeUnretainedValue() }
    }

    func on(_ event: openrtmp_event) { events.send(ServerEvent(event)) }

    func on(_ order: openrtmp_order) {
        if let order = DeviceOrder(order) { orders.send(order) }
    }

    func on(_ request: openrtmp_access_request) {
        guard let access else { return }
        let request = AccessRequest(request)
        // A task that is over before it stands in the table takes nothing out of it.
        decisions.withLock { decisions in
            decisions[request.id] = Task { [weak self] in
                let decision = await access(request)
                self?.decided(request.id, decision)
            }
        }
        Waiting.after(request.timeout) { [weak self] in
            self?.decisions.withLock { $0.removeValue(forKey: request.id) }?.cancel()
        }
    }

    private func decided(_ request: UInt64, _ decision: AccessDecision) {
        let isWaited = decisions.withLock { $0.removeValue(forKey: request) } != nil
        guard isWaited, let core = core.withLock({ $0.core }) else { return }
        core.answer(request, decision)
    }

    /// Nothing is called back any more.
    func end() {
        events.finish()
        orders.finish()
        let left = decisions.withLock { decisions in
            defer { decisions = [:] }
            return decisions.values.map { $0 }
        }
        for decision in left { decision.cancel() }
    }
}
