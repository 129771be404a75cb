import COpenRTMP

extension RTMPServer {
    // MARK: What there is

    /// All streams. Waits up to 1 s.
    public func streams() async throws -> [StreamInfo] {
        try await Waiting.call { [core] in
            var found: [StreamInfo] = []
            try Visitor<openrtmp_stream_info>.each({ found.append(StreamInfo($0)) }) {
                openrtmp_server_streams(core.pointer, { Visitor<openrtmp_stream_info>.visit($0, $1) }, $0)
            }
            return found
        }
    }

    /// All connections. Waits up to 1 s.
    public func connections() async throws -> [ConnectionInfo] {
        try await Waiting.call { [core] in
            var found: [ConnectionInfo] = []
            try Visitor<openrtmp_connection_info>.each({ found.append(ConnectionInfo($0)) }) {
                openrtmp_server_connections(
                    core.pointer, { Visitor<openrtmp_connection_info>.visit($0, $1) }, $0)
            }
            return found
        }
    }

    /// The players of a stream ("app/name"). Waits up to 1 s.
    public func subscribers(of stream: String) async throws -> [SubscriberInfo] {
        try await Waiting.call { [core] in
            var found: [SubscriberInfo] = []
            try Visitor<openrtmp_subscriber_info>.each({ found.append(SubscriberInfo($0)) }) { context in
                stream.withC {
                    openrtmp_server_subscribers(
                        core.pointer, $0, { Visitor<openrtmp_subscriber_info>.visit($0, $1) }, context)
                }
            }
            return found
        }
    }

    /// The taps that are open, recordings' included.
    public nonisolated func taps() throws -> [TapInfo] {
        var found: [TapInfo] = []
        try Visitor<openrtmp_tap_info>.each({ found.append(TapInfo($0)) }) {
            openrtmp_tap_list(core.pointer, { Visitor<openrtmp_tap_info>.visit($0, $1) }, $0)
        }
        return found
    }

    /// Who publishes, the program's own included.
    public nonisolated func publishers() throws -> [PublisherInfo] {
        var found: [PublisherInfo] = []
        try Visitor<openrtmp_publisher_info>.each({ found.append(PublisherInfo($0)) }) {
            openrtmp_publisher_list(core.pointer, { Visitor<openrtmp_publisher_info>.visit($0, $1) }, $0)
        }
        return found
    }

    /// The whole name of a stream, key included where it is one.
    public nonisolated func streamName(_ id: UInt64) throws -> String {
        try readText { openrtmp_server_stream_name(core.pointer, id, $0, $1, $2) }
    }

    // MARK: Numbers

    /// Waits up to 1 s for workers that are busy, then goes without them.
    public func metrics() async throws -> Metrics {
        try await Waiting.call { [core] in
            var metrics = openrtmp_metrics()
            metrics.struct_size = size(of: openrtmp_metrics.self)
            try check(openrtmp_server_metrics(core.pointer, &metrics))
            return Metrics(metrics)
        }
    }

    /// All numbers, those of each worker, stream, connection and player too, as JSON
    /// (`docs/schema/metrics.json`).
    public func metricsJSON() async throws -> String {
        try await Waiting.call { [core] in
            try readText { openrtmp_server_metrics_json(core.pointer, $0, $1, $2) }
        }
    }

    /// As text for Prometheus.
    public func metricsText() async throws -> String {
        try await Waiting.call { [core] in
            try readText { openrtmp_server_metrics_text(core.pointer, $0, $1, $2) }
        }
    }

    // MARK: Ending things

    /// Ends a connection, publishing or playing. The reason is for logs and events.
    public func disconnect(_ connection: UInt64, reason: String = "") async throws {
        try await Waiting.call { [core] in
            try check(reason.withC { openrtmp_server_disconnect(core.pointer, connection, $0) })
        }
    }

    /// Ends a stream ("app/name"). Returns before that; events tell when it is done.
    public nonisolated func endStream(_ stream: String, reason: String = "") throws {
        try check(stream.withC { stream in
            reason.withC { openrtmp_server_end_stream(core.pointer, stream, $0) }
        })
    }

    /// The same by its id.
    public nonisolated func endStream(id: UInt64, reason: String = "") throws {
        try check(reason.withC { openrtmp_server_end_stream_id(core.pointer, id, $0) })
    }

    /// Collects packets for one player for up to 350 ms before they are written together;
    /// `nil`: as the settings say.
    public func setWriteCoalesce(_ window: Duration?, for connection: UInt64) async throws {
        let window = window.map { UInt32(clamping: $0.milliseconds) } ?? openrtmp_coalesce_default
        try await Waiting.call { [core] in
            try check(openrtmp_server_set_write_coalesce(core.pointer, connection, window))
        }
    }

    // MARK: Recordings

    /// Records a stream ("app/name"), live or still to come, to files in a folder, which is
    /// made if missing. Events tell their names.
    public nonisolated func record(_ stream: String, to folder: String) throws {
        try check(stream.withC { stream in
            folder.withC { openrtmp_record_start(core.pointer, stream, $0) }
        })
    }

    /// Completes what ``record(_:to:)`` began: its files are whole then. Waits up to 5 s.
    @discardableResult
    public func stopRecording(_ stream: String) async throws -> Recording {
        try await Waiting.call { [core] in
            var recording = openrtmp_recording()
            recording.struct_size = size(of: openrtmp_recording.self)
            try check(stream.withC { openrtmp_record_stop(core.pointer, $0, &recording) })
            return Recording(recording)
        }
    }

    /// The streams that ``record(_:to:)`` records, keys masked.
    public nonisolated func recordings() throws -> [String] {
        try texts { openrtmp_record_list(core.pointer, $0, $1) }
    }

    // MARK: Relays

    /// Relays streams from now on. What it returns names the rule.
    public nonisolated func addRelay(_ relay: Relay) throws -> UInt64 {
        var id: UInt64 = 0
        var rule = openrtmp_relay()
        rule.struct_size = size(of: openrtmp_relay.self)
        rule.kind = relay.kind.rawValue
        rule.idle_timeout_ms = relay.idleTimeout.milliseconds
        try check(relay.pattern.withC { pattern in
            relay.url.withC { url in
                rule.pattern = pattern
                rule.url = url
                return openrtmp_relay_add(core.pointer, &rule, &id)
            }
        })
        return id
    }

    /// Ends a rule that ``addRelay(_:)`` made, and its connections.
    public nonisolated func removeRelay(_ id: UInt64) throws {
        try check(openrtmp_relay_remove(core.pointer, id))
    }

    /// The relayed streams, and the rules that have none at present.
    public nonisolated func relays() throws -> [RelayInfo] {
        var found: [RelayInfo] = []
        try Visitor<openrtmp_relay_info>.each({ found.append(RelayInfo($0)) }) {
            openrtmp_relay_list(core.pointer, { Visitor<openrtmp_relay_info>.visit($0, $1) }, $0)
        }
        return found
    }

    // MARK: TLS

    /// Gives the server a certificate, as PEM text: it with those between it and its
    /// authority, and its private key. For those who connect from now on.
    public func setCertificate(chain: String, key: String) async throws {
        try await Waiting.call { [core] in
            try check(chain.withC { chain in
                key.withC { openrtmp_tls_set_certificate(core.pointer, chain, $0) }
            })
        }
    }

    /// Shows a certificate to the authority that asks by TLS-ALPN-01 whether a name leads
    /// here; an empty chain ends it.
    public nonisolated func setChallenge(name: String, chain: String, key: String) throws {
        try check(name.withC { name in
            chain.withC { chain in
                key.withC { openrtmp_tls_set_challenge(core.pointer, name, chain, $0) }
            }
        })
    }

    /// Reads the files again that the settings of TLS name.
    public func reloadCertificates() async throws {
        try await Waiting.call { [core] in try check(openrtmp_tls_reload(core.pointer)) }
    }

    /// The pin of the key of the certificate, as `tls.client.pins` takes it.
    public nonisolated func pin() throws -> String {
        try readText { openrtmp_tls_pin(core.pointer, $0, $1, $2) }
    }
}

/// `OPENRTMP_COALESCE_DEFAULT`, which is not imported: its type is C's.
let openrtmp_coalesce_default = UInt32.max

/// What library this is.
public enum OpenRTMPLibrary {
    /// Its version, such as "0.1.0".
    public static var version: String { String(cString: openrtmp_version_string()) }
}
