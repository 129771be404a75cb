import Foundation

/// What a decoder is given before the first frame, as RTMP has it: of H.264 an
/// AVCDecoderConfigurationRecord, of H.265 an HEVCDecoderConfigurationRecord
/// (ISO/IEC 14496-15), of AAC an AudioSpecificConfig (ISO/IEC 14496-3), of Opus its
/// identification header.
public struct DecoderConfiguration: Sendable, Equatable {
    public let kind: MediaKind
    public let codec: Codec
    public let bytes: Data

    public init(kind: MediaKind, codec: Codec, bytes: Data) {
        (self.kind, self.codec, self.bytes) = (kind, codec, bytes)
    }

    /// Of H.264 sequence and picture parameter sets, of H.265 all parameter sets, in the
    /// order of the record, without start codes: what
    /// `CMVideoFormatDescriptionCreateFromH264ParameterSets` takes. Empty for other codecs,
    /// and for what cannot be read.
    public var parameterSets: [Data] {
        switch codec {
        case .avc: Self.setsOfAVC(bytes) ?? []
        case .hevc: Self.setsOfHEVC(bytes) ?? []
        default: []
        }
    }

    /// Bytes of the length before each NAL unit; `nil` for codecs without.
    public var lengthSize: Int? {
        switch codec {
        // Section 5.3.3.1.2: the low bits of the fifth byte; of H.265 those of byte 21.
        case .avc: bytes.count > 4 ? Int(bytes[bytes.startIndex + 4] & 3) + 1 : nil
        case .hevc: bytes.count > 21 ? Int(bytes[bytes.startIndex + 21] & 3) + 1 : nil
        default: nil
        }
    }

    /// What an AudioSpecificConfig says; `nil` for other codecs, and for what cannot be read.
    public var aac: AudioSpecificConfig? { codec == .aac ? AudioSpecificConfig(bytes) : nil }

    /// The MPEG-4 descriptor that holds an AudioSpecificConfig (ISO/IEC 14496-1, section
    /// 7.2.6.5), as MP4's box "esds" has it: what Apple calls a magic cookie. `nil` for other
    /// codecs, and for what is too long for one.
    public var esDescriptor: Data? {
        // Each has its tag, its length in one byte, and what is in it.
        guard codec == .aac, (1...80).contains(bytes.count) else { return nil }
        func descriptor(_ tag: UInt8, _ content: Data) -> Data { Data([tag, UInt8(content.count)]) + content }
        let specific = descriptor(5, bytes)
        // Audio of ISO/IEC 14496-3 (0x40), an audio stream; sizes and rates that nobody knows.
        let decoder = descriptor(4, Data([0x40, 0x15] + [UInt8](repeating: 0, count: 11)) + specific)
        // No flags; the layer of synchronisation is that of MP4.
        return descriptor(3, Data([0, 0, 0]) + decoder + descriptor(6, Data([2])))
    }

    /// The configuration for parameter sets without start codes, as
    /// `CMVideoFormatDescriptionGetH264ParameterSetAtIndex` gives those of an encoder: lengths
    /// of 4 bytes. `nil` without a sequence and a picture parameter set.
    public static func avc(parameterSets: [Data]) -> DecoderConfiguration? {
        let sequences = parameterSets.filter { ($0.first ?? 0) & 0x1F == 7 }
        let pictures = parameterSets.filter { ($0.first ?? 0) & 0x1F == 8 }
        guard let first = sequences.first, first.count > 3, !pictures.isEmpty,
            sequences.count < 32, pictures.count < 256,
            parameterSets.allSatisfy({ $0.count < 0x1_0000 })
        else { return nil }
        // Version, profile, compatibility, level; lengths of 4 bytes, reserved bits set.
        var record = Data([1]) + first.dropFirst().prefix(3) + [0xFF, 0xE0 | UInt8(sequences.count)]
        func append(_ set: Data) {
            record.append(contentsOf: [UInt8(set.count >> 8), UInt8(set.count & 0xFF)])
            record.append(set)
        }
        sequences.forEach(append)
        record.append(UInt8(pictures.count))
        pictures.forEach(append)
        return DecoderConfiguration(kind: .video, codec: .avc, bytes: record)
    }

    /// NAL units behind lengths, with start codes in place of these, the parameter sets in
    /// front where they are asked for: for programs that take no others. `nil` for codecs
    /// without NAL units, and for what is cut short.
    public func annexB(_ frame: Frame, withParameterSets: Bool = false) -> Data? {
        frame.withBytes { annexB($0, withParameterSets: withParameterSets) }
    }

    func annexB(_ bytes: UnsafeRawBufferPointer, withParameterSets: Bool) -> Data? {
        guard let lengthSize else { return nil }
        let start: [UInt8] = [0, 0, 0, 1]
        var out = Data(capacity: bytes.count + 64)
        if withParameterSets {
            for set in parameterSets { out.append(contentsOf: start + set) }
        }
        var place = 0
        while place < bytes.count {
            guard bytes.count - place >= lengthSize else { return nil }
            let length = bytes[place..<place + lengthSize].reduce(0) { $0 << 8 | Int($1) }
            place += lengthSize
            guard length <= bytes.count - place else { return nil }
            out.append(contentsOf: start)
            out.append(contentsOf: bytes[place..<place + length])
            place += length
        }
        return out
    }

    /// ISO/IEC 14496-15, section 5.3.3.1.2.
    private static func setsOfAVC(_ bytes: Data) -> [Data]? {
        var reader = ByteReader(bytes)
        guard reader.skip(5), let sequences = reader.byte() else { return nil }
        var sets: [Data] = []
        for _ in 0..<(sequences & 0x1F) {
            guard let set = reader.sized() else { return nil }
            sets.append(set)
        }
        guard let pictures = reader.byte() else { return nil }
        for _ in 0..<pictures {
            guard let set = reader.sized() else { return nil }
            sets.append(set)
        }
        return sets
    }

    /// ISO/IEC 14496-15, section 8.3.3.1.2.
    private static func setsOfHEVC(_ bytes: Data) -> [Data]? {
        var reader = ByteReader(bytes)
        guard reader.skip(22), let arrays = reader.byte() else { return nil }
        var sets: [Data] = []
        for _ in 0..<arrays {
            guard let type = reader.byte(), let count = reader.short() else { return nil }
            for _ in 0..<count {
                guard let set = reader.sized() else { return nil }
                // VPS, SPS and PPS; what else is there (SEI) no format description takes.
                if (32...34).contains(type & 0x3F) { sets.append(set) }
            }
        }
        return sets
    }
}

/// What an AudioSpecificConfig says (ISO/IEC 14496-3, section 1.6.2.1).
public struct AudioSpecificConfig: Sendable, Equatable {
    /// 2: AAC LC.
    public let objectType: Int
    /// Samples per second of the core, without what SBR adds.
    public let sampleRate: Int
    /// As the configuration has it; 0: defined in the stream.
    public let channelConfiguration: Int
    /// Samples of each channel in a frame: 1024 or 960, of the core.
    public let samplesPerFrame: Int

    /// Channels; `nil` if the stream defines them.
    public var channels: Int? {
        switch channelConfiguration {
        case 1...6: channelConfiguration
        case 7, 12, 14: 8
        case 11: 7
        default: nil
        }
    }

    private static let rates = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025,
        8_000, 7_350,
    ]

    init?(_ bytes: Data) {
        var bits = BitReader(bytes)
        func objectType() -> Int? {
            guard let type = bits.read(5) else { return nil }
            return type == 31 ? bits.read(6).map { 32 + $0 } : type
        }
        func rate() -> Int? {
            guard let index = bits.read(4) else { return nil }
            if index == 15 { return bits.read(24) }
            return index < Self.rates.count ? Self.rates[index] : nil
        }
        guard var type = objectType(), let core = rate(), let channels = bits.read(4) else { return nil }
        if type == 5 || type == 29 {
            // SBR told in front: its rate, then what it is built on.
            guard rate() != nil, let inner = objectType() else { return nil }
            type = inner
        }
        self.objectType = type
        sampleRate = core
        channelConfiguration = channels
        samplesPerFrame = bits.read(1) == 1 ? 960 : 1024
    }

    /// The header that stands before each frame where AAC is a file or a stream of its own
    /// (ADTS, section 1.A.2.2); `nil` for what that cannot say.
    public func adtsHeader(frameBytes: Int) -> Data? {
        let length = frameBytes + 7
        guard let rate = Self.rates.firstIndex(of: sampleRate), (1...4).contains(objectType),
            channelConfiguration < 8, length < 1 << 13
        else { return nil }
        return Data([
            0xFF, 0xF1,
            UInt8((objectType - 1) << 6 | rate << 2 | channelConfiguration >> 2),
            UInt8((channelConfiguration & 3) << 6 | length >> 11),
            UInt8(length >> 3 & 0xFF), UInt8((length & 7) << 5 | 0x1F), 0xFC,
        ])
    }
}

/// Reads bytes, never beyond the end.
private struct ByteReader {
    private var rest: Data.SubSequence

    init(_ bytes: Data) { rest = bytes[...] }

    mutating func skip(_ count: Int) -> Bool {
        guard rest.count >= count else { return false }
        rest = rest.dropFirst(count)
        return true
    }

    mutating func byte() -> UInt8? { rest.popFirst() }

    mutating func short() -> Int? {
        guard rest.count >= 2, let high = byte(), let low = byte() else { return nil }
        return Int(high) << 8 | Int(low)
    }

    /// What stands behind its length in two bytes.
    mutating func sized() -> Data? {
        guard let length = short(), rest.count >= length else { return nil }
        defer { rest = rest.dropFirst(length) }
        return Data(rest.prefix(length))
    }
}

/// Reads bits, the highest first.
private struct BitReader {
    private let bytes: [UInt8]
    private var place = 0

    init(_ bytes: Data) { self.bytes = Array(bytes.prefix(64)) }

    mutating func read(_ count: Int) -> Int? {
        guard place + count <= bytes.count * 8 else { return nil }
        var value = 0
        for _ in 0..<count {
            value = value << 1 | Int(bytes[place / 8] >> (7 - place % 8) & 1)
            place += 1
        }
        return value
    }
}
