import COpenRTMP
import Foundation

/// What a frame is of.
public enum MediaKind: UInt32, Sendable, CaseIterable {
    /// Sound.
    case audio = 1
    /// Pictures.
    case video = 2
    /// AMF0 values, the name first.
    case data = 3
}

/// A codec, by its four-character code.
public struct Codec: Sendable, Hashable, CustomStringConvertible {
    /// The code as a number, the first character in the highest byte; 0: none.
    public let fourCC: UInt32

    public init(fourCC: UInt32) { self.fourCC = fourCC }

    public static let avc = Codec(fourCC: 1_635_148_593)
    public static let hevc = Codec(fourCC: 1_752_589_105)
    public static let vvc = Codec(fourCC: 1_987_470_129)
    public static let av1 = Codec(fourCC: 1_635_135_537)
    public static let vp8 = Codec(fourCC: 1_987_063_864)
    public static let vp9 = Codec(fourCC: 1_987_063_865)
    public static let aac = Codec(fourCC: 1_836_069_985)
    public static let mp3 = Codec(fourCC: 778_924_083)
    public static let opus = Codec(fourCC: 1_332_770_163)
    public static let flac = Codec(fourCC: 1_716_281_667)
    public static let ac3 = Codec(fourCC: 1_633_889_587)
    public static let eac3 = Codec(fourCC: 1_700_998_451)

    static let all = [
        "AVC": avc, "HEVC": hevc, "VVC": vvc, "AV1": av1, "VP8": vp8, "VP9": vp9, "AAC": aac,
        "MP3": mp3, "OPUS": opus, "FLAC": flac, "AC3": ac3, "EAC3": eac3,
    ]

    /// The code as text, such as "avc1".
    public var description: String {
        let bytes = stride(from: 24, through: 0, by: -8).map { UInt8(truncatingIfNeeded: fourCC >> $0) }
        return fourCC == 0 ? "none" : String(decoding: bytes, as: UTF8.self)
    }
}

/// A frame of a stream as the library holds it: nothing was copied. It holds the memory of
/// its whole message as long as a copy of this value is there.
public struct Frame: Sendable {
    /// What the bytes are.
    public struct Content: OptionSet, Sendable, Hashable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        /// Decoding can start here; set for every audio frame.
        public static let key = Content(rawValue: 1)
        /// A decoder configuration: see ``Frame/decoderConfiguration``.
        public static let configuration = Content(rawValue: 2)
        /// onMetaData, HDR metadata, channel layouts.
        public static let metadata = Content(rawValue: 4)
        /// The end of a sequence.
        public static let end = Content(rawValue: 8)
        /// A command to players, silence without a codec, or what cannot be read.
        public static let other = Content(rawValue: 16)
    }

    let retained: RetainedFrame

    private var frame: openrtmp_frame { retained.pointer.pointee }

    /// Data, too, for what a newer library has beside.
    public var kind: MediaKind { MediaKind(rawValue: frame.kind) ?? .data }
    public var codec: Codec { Codec(fourCC: frame.codec) }
    public var content: Content { Content(rawValue: frame.flags) }
    /// The track; 0 is the default one.
    public var track: Int { Int(frame.track) }
    public var streamID: UInt64 { frame.stream_id }
    /// The stream's path, keys masked.
    public var stream: String { String(frame.stream) }
    /// When it is decoded, on the stream's clock.
    public var decodeTime: Duration { .microseconds(frame.dts_us) }
    /// When it is shown or heard.
    public var presentationTime: Duration { .microseconds(frame.pts_us) }
    /// Frames of the stream that this tap lost so far because it was too slow.
    public var dropped: UInt64 { frame.dropped }
    /// Bytes.
    public var count: Int { frame.payload_length }
    /// A decoder can start here.
    public var isKey: Bool { content.contains(.key) }
    /// Something to decode: neither configuration nor metadata, end or anything else.
    public var isMedia: Bool { content.isDisjoint(with: [.configuration, .metadata, .end, .other]) }

    /// The codec's bytes, without a copy: H.264 and H.265 as NAL units behind lengths, AAC
    /// without ADTS. They are not to be used after `body` has returned.
    public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try withExtendedLifetime(retained) {
            try body(UnsafeRawBufferPointer(start: frame.payload, count: frame.payload_length))
        }
    }

    /// The same bytes as `Data`, without a copy: it keeps the frame.
    public var data: Data {
        let start = UnsafeMutableRawPointer(mutating: UnsafeRawPointer(frame.payload))
        guard count > 0 else { return Data() }
        let retained = retained
        return Data(bytesNoCopy: start, count: count, deallocator: .custom { _, _ in
            withExtendedLifetime(retained) {}
        })
    }

    /// The decoder configuration that the frame is; `nil` for anything else.
    public var decoderConfiguration: DecoderConfiguration? {
        guard content.contains(.configuration) else { return nil }
        return DecoderConfiguration(kind: kind, codec: codec, bytes: withBytes { Data($0) })
    }
}
