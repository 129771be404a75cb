// For Apple's decoders. Compiled there alone; what it hands over is tested on Linux:
// `DecoderConfiguration.parameterSets`, `aac`, `lengthSize`, and the bytes of frames.

#if canImport(CoreMedia)
import CoreMedia
import Foundation

extension DecoderConfiguration {
    /// What `AVSampleBufferDisplayLayer`, VideoToolbox and audio converters are told of a
    /// track: of H.264, H.265 and AAC; `nil` for other codecs, and for what cannot be read.
    public func formatDescription() -> CMFormatDescription? {
        switch codec {
        case .avc: video(CMVideoFormatDescriptionCreateFromH264ParameterSets)
        case .hevc:
            video { allocator, count, sets, sizes, length, out in
                CMVideoFormatDescriptionCreateFromHEVCParameterSets(
                    allocator: allocator, parameterSetCount: count, parameterSetPointers: sets,
                    parameterSetSizes: sizes, nalUnitHeaderLength: length, extensions: nil,
                    formatDescriptionOut: out)
            }
        case .aac: audio()
        default: nil
        }
    }

    private typealias Make = (
        CFAllocator?, Int, UnsafePointer<UnsafePointer<UInt8>>, UnsafePointer<Int>, Int32,
        UnsafeMutablePointer<CMFormatDescription?>
    ) -> OSStatus

    private func video(_ make: Make) -> CMFormatDescription? {
        let sets = parameterSets
        guard let lengthSize, !sets.isEmpty else { return nil }
        // One behind the other, so that one pointer serves all.
        let bytes = sets.reduce(into: [UInt8]()) { $0.append(contentsOf: $1) }
        var made: CMFormatDescription?
        let status = bytes.withUnsafeBufferPointer { buffer -> OSStatus in
            guard let start = buffer.baseAddress else { return -1 }
            var place = 0
            let starts = sets.map { set in
                defer { place += set.count }
                return start + place
            }
            return make(kCFAllocatorDefault, sets.count, starts, sets.map(\.count), Int32(lengthSize), &made)
        }
        return status == noErr ? made : nil
    }

    private func audio() -> CMFormatDescription? {
        guard let aac, let channels = aac.channels else { return nil }
        var description = AudioStreamBasicDescription(
            mSampleRate: Double(aac.sampleRate), mFormatID: kAudioFormatMPEG4AAC,
            mFormatFlags: AudioFormatFlags(aac.objectType), mBytesPerPacket: 0,
            mFramesPerPacket: UInt32(aac.samplesPerFrame), mBytesPerFrame: 0,
            mChannelsPerFrame: UInt32(channels), mBitsPerChannel: 0, mReserved: 0)
        let cookie = esDescriptor ?? Data()
        var made: CMFormatDescription?
        let status = cookie.withUnsafeBytes { bytes in
            CMAudioFormatDescriptionCreate(
                allocator: kCFAllocatorDefault, asbd: &description, layoutSize: 0, layout: nil,
                magicCookieSize: bytes.count, magicCookie: bytes.baseAddress, extensions: nil,
                formatDescriptionOut: &made)
        }
        return status == noErr ? made : nil
    }
}

extension Frame {
    /// The frame as Apple's decoders take it, without a copy: the buffer holds this frame's
    /// memory. `nil` for configurations and metadata, and where Core Media fails.
    ///
    /// - Parameter format: of ``DecoderConfiguration/formatDescription()``, of the latest
    ///   configuration of the same track.
    public func sampleBuffer(format: CMFormatDescription) -> CMSampleBuffer? {
        guard isMedia, count > 0 else { return nil }
        let kept = Unmanaged.passRetained(retained)
        var source = CMBlockBufferCustomBlockSource(
            version: kCMBlockBufferCustomBlockSourceVersion, AllocateBlock: nil,
            FreeBlock: { context, _, _ in
                guard let context else { return }
                Unmanaged<RetainedFrame>.fromOpaque(context).release()
            },
            refCon: kept.toOpaque())
        var block: CMBlockBuffer?
        let status = withBytes { bytes in
            CMBlockBufferCreateWithMemoryBlock(
                allocator: kCFAllocatorDefault,
                memoryBlock: UnsafeMutableRawPointer(mutating: bytes.baseAddress),
                blockLength: bytes.count, blockAllocator: kCFAllocatorNull,
                customBlockSource: &source, offsetToData: 0, dataLength: bytes.count, flags: 0,
                blockBufferOut: &block)
        }
        guard status == noErr, let block else {
            kept.release()
            return nil
        }
        var timing = CMSampleTimingInfo(
            duration: .invalid,
            presentationTimeStamp: CMTime(value: presentationTime.microseconds, timescale: 1_000_000),
            decodeTimeStamp: CMTime(value: decodeTime.microseconds, timescale: 1_000_000))
        var size = count
        var sample: CMSampleBuffer?
        guard
            CMSampleBufferCreateReady(
                allocator: kCFAllocatorDefault, dataBuffer: block, formatDescription: format,
                sampleCount: 1, sampleTimingEntryCount: 1, sampleTimingArray: &timing,
                sampleSizeEntryCount: 1, sampleSizeArray: &size, sampleBufferOut: &sample) == noErr
        else { return nil }
        if let sample, kind == .video, !isKey { mark(sample) }
        return sample
    }

    /// A decoder cannot start here.
    private func mark(_ sample: CMSampleBuffer) {
        guard
            let attachments = CMSampleBufferGetSampleAttachmentsArray(sample, createIfNecessary: true)
                as? [NSMutableDictionary], let first = attachments.first
        else { return }
        first[kCMSampleAttachmentKey_NotSync] = true
    }
}
#endif
