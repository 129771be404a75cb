import COpenRTMP
import Foundation

/// Publishes a stream from inside the program. Any task may write; nothing waits. The stream
/// ends when it is closed, or with the last reference to it.
///
/// A write fails with ``OpenRTMPError/Code/gone`` once another publisher has the stream or it
/// was ended, with ``OpenRTMPError/Code/wouldBlock`` while 16 MiB wait.
public final class StreamPublisher: Sendable {
    private let handle: Locked<Handle?>

    init(_ core: ServerCore, stream: String) throws {
        var made: OpaquePointer?
        try check(stream.withC { openrtmp_publisher_open(core.pointer, $0, &made) })
        guard let made else { throw OpenRTMPError(.memory) }
        handle = Locked(Handle(pointer: made))
    }

    deinit { close() }

    /// Ends the stream. Once more does nothing.
    public func close() {
        handle.withLock { handle in
            openrtmp_publisher_free(handle?.pointer)
            handle = nil
        }
    }

    /// Adds a track, or changes its configuration, before the first frame of it.
    ///
    /// - Parameters:
    ///   - configuration: what its decoder is told.
    ///   - track: 0 to 255; 0 is the default track, the only one many players know.
    ///   - time: decoding time of the first frame that it is for.
    public func configure(
        _ configuration: DecoderConfiguration, track: UInt8 = 0, at time: Duration = .zero
    ) throws {
        var description = openrtmp_track()
        description.struct_size = size(of: openrtmp_track.self)
        description.kind = configuration.kind.rawValue
        description.track = UInt32(track)
        description.codec = configuration.codec.fourCC
        description.dts_us = time.microseconds
        try open { pointer in
            try check(configuration.bytes.withUnsafeBytes { bytes in
                description.config = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
                description.config_length = bytes.count
                return openrtmp_publisher_configure(pointer, &description)
            })
        }
    }

    /// Writes a frame, which is copied.
    ///
    /// - Parameters:
    ///   - kind: sound or pictures.
    ///   - bytes: the codec's: H.264 and H.265 as NAL units behind lengths, AAC without ADTS.
    ///   - time: decoding time, 0 or later. RTMP carries milliseconds.
    ///   - presentation: `nil`: the same.
    ///   - isKey: a decoder can start there; always so for sound.
    ///   - track: one that was configured.
    public func write(
        _ kind: MediaKind, _ bytes: some ContiguousBytes, at time: Duration,
        presentation: Duration? = nil, isKey: Bool, track: UInt8 = 0
    ) throws {
        try open { pointer in
            try bytes.withUnsafeBytes { bytes in
                try Self.write(
                    pointer, kind, bytes.baseAddress, bytes.count, time, presentation, isKey, track)
            }
        }
    }

    /// Writes a frame that `fill` puts into the library's own memory: nothing is copied.
    ///
    /// - Parameters:
    ///   - kind: sound or pictures.
    ///   - capacity: bytes that `fill` may write.
    ///   - time: decoding time, 0 or later. RTMP carries milliseconds.
    ///   - presentation: `nil`: the same.
    ///   - isKey: a decoder can start there; always so for sound.
    ///   - track: one that was configured.
    ///   - fill: returns how many it has written; throws if there is to be no frame.
    public func write(
        _ kind: MediaKind, capacity: Int, at time: Duration, presentation: Duration? = nil,
        isKey: Bool, track: UInt8 = 0, fill: (UnsafeMutableRawBufferPointer) throws -> Int
    ) throws {
        try open { pointer in
            var lent: UnsafeMutablePointer<UInt8>?
            try check(openrtmp_publisher_lend(pointer, capacity, &lent))
            let buffer = UnsafeMutableRawBufferPointer(start: lent, count: capacity)
            let count = try fill(buffer)
            guard (0...capacity).contains(count) else { throw OpenRTMPError(.invalidArgument) }
            try Self.write(
                pointer, kind, UnsafeRawPointer(lent), count, time, presentation, isKey, track)
        }
    }

    /// Writes a frame of a tap once more: a frame, or the configuration of a track.
    public func write(_ frame: Frame) throws {
        guard let track = UInt8(exactly: frame.track), frame.kind != .data else { return }
        if let configuration = frame.decoderConfiguration {
            try configure(configuration, track: track, at: frame.decodeTime)
        } else if frame.isMedia {
            try open { pointer in
                try frame.withBytes {
                    try Self.write(
                        pointer, frame.kind, $0.baseAddress, $0.count, frame.decodeTime,
                        frame.presentationTime, frame.isKey, track)
                }
            }
        }
    }

    /// Writes the body of an RTMP message as it is: an FLV or Enhanced RTMP audio or video tag
    /// body, or AMF0 values, the name first. Needs no configured track.
    public func writeMessage(_ kind: MediaKind, _ body: some ContiguousBytes, at time: Duration) throws {
        try open { pointer in
            try check(body.withUnsafeBytes { bytes in
                openrtmp_publisher_write_message(
                    pointer, kind.rawValue, UInt32(truncatingIfNeeded: time.milliseconds),
                    bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count)
            })
        }
    }

    private static func write(
        _ pointer: OpaquePointer, _ kind: MediaKind, _ start: UnsafeRawPointer?, _ count: Int,
        _ time: Duration, _ presentation: Duration?, _ isKey: Bool, _ track: UInt8
    ) throws {
        var media = openrtmp_media()
        media.struct_size = size(of: openrtmp_media.self)
        media.kind = kind.rawValue
        media.track = UInt32(track)
        media.flags = isKey ? UInt32(OPENRTMP_FRAME_KEY) : 0
        media.dts_us = time.microseconds
        media.pts_us = (presentation ?? time).microseconds
        media.payload = start?.assumingMemoryBound(to: UInt8.self)
        media.payload_length = count
        try check(openrtmp_publisher_write(pointer, &media))
    }

    /// Calls follow one another: nobody writes to one that is being freed.
    private func open<Result>(_ body: (OpaquePointer) throws -> Result) throws -> Result {
        try handle.withLock { handle in
            guard let handle else { throw OpenRTMPError(.state, "the publisher is closed") }
            return try body(handle.pointer)
        }
    }
}
