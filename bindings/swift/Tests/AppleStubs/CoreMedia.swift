@_exported import Foundation

public typealias OSStatus = Int32
public typealias AudioFormatFlags = UInt32
public let noErr: OSStatus = 0
public let kAudioFormatMPEG4AAC: UInt32 = 1

public final class CFAllocator: @unchecked Sendable {}
public typealias CFString = NSString
public typealias CFArray = NSArray
public typealias CFDictionary = NSDictionary
public let kCFAllocatorDefault: CFAllocator? = nil
public let kCFAllocatorNull: CFAllocator? = nil
nonisolated(unsafe) public let kCMSampleAttachmentKey_NotSync: CFString = "a"

public class CMFormatDescription {}
public class CMBlockBuffer {}
public class CMSampleBuffer {}

public struct CMTime: Sendable {
    public init(value: Int64, timescale: Int32) {}
    public static let invalid = CMTime(value: 0, timescale: 0)
}

public struct CMSampleTimingInfo {
    public init(duration: CMTime, presentationTimeStamp: CMTime, decodeTimeStamp: CMTime) {}
}

public struct AudioStreamBasicDescription {
    public init(
        mSampleRate: Double, mFormatID: UInt32, mFormatFlags: UInt32, mBytesPerPacket: UInt32,
        mFramesPerPacket: UInt32, mBytesPerFrame: UInt32, mChannelsPerFrame: UInt32,
        mBitsPerChannel: UInt32, mReserved: UInt32
    ) {}
}

public struct AudioChannelLayout {}

public let kCMBlockBufferCustomBlockSourceVersion: UInt32 = 0

public struct CMBlockBufferCustomBlockSource {
    public init(
        version: UInt32,
        AllocateBlock: (@convention(c) (UnsafeMutableRawPointer?, Int) -> UnsafeMutableRawPointer?)?,
        FreeBlock: (@convention(c) (UnsafeMutableRawPointer?, UnsafeMutableRawPointer, Int) -> Void)?,
        refCon: UnsafeMutableRawPointer?
    ) {}
}

public func CMVideoFormatDescriptionCreateFromH264ParameterSets(
    allocator: CFAllocator?, parameterSetCount: Int,
    parameterSetPointers: UnsafePointer<UnsafePointer<UInt8>>, parameterSetSizes: UnsafePointer<Int>,
    nalUnitHeaderLength: Int32, formatDescriptionOut: UnsafeMutablePointer<CMFormatDescription?>
) -> OSStatus { -1 }

public func CMVideoFormatDescriptionCreateFromHEVCParameterSets(
    allocator: CFAllocator?, parameterSetCount: Int,
    parameterSetPointers: UnsafePointer<UnsafePointer<UInt8>>, parameterSetSizes: UnsafePointer<Int>,
    nalUnitHeaderLength: Int32, extensions: CFDictionary?,
    formatDescriptionOut: UnsafeMutablePointer<CMFormatDescription?>
) -> OSStatus { -1 }

public func CMAudioFormatDescriptionCreate(
    allocator: CFAllocator?, asbd: UnsafePointer<AudioStreamBasicDescription>, layoutSize: Int,
    layout: UnsafePointer<AudioChannelLayout>?, magicCookieSize: Int,
    magicCookie: UnsafeRawPointer?, extensions: CFDictionary?,
    formatDescriptionOut: UnsafeMutablePointer<CMFormatDescription?>
) -> OSStatus { -1 }

public func CMBlockBufferCreateWithMemoryBlock(
    allocator: CFAllocator?, memoryBlock: UnsafeMutableRawPointer?, blockLength: Int,
    blockAllocator: CFAllocator?,
    customBlockSource: UnsafePointer<CMBlockBufferCustomBlockSource>?, offsetToData: Int,
    dataLength: Int, flags: UInt32, blockBufferOut: UnsafeMutablePointer<CMBlockBuffer?>
) -> OSStatus { -1 }

public func CMSampleBufferCreateReady(
    allocator: CFAllocator?, dataBuffer: CMBlockBuffer?, formatDescription: CMFormatDescription?,
    sampleCount: Int, sampleTimingEntryCount: Int, sampleTimingArray: UnsafePointer<CMSampleTimingInfo>?,
    sampleSizeEntryCount: Int, sampleSizeArray: UnsafePointer<Int>?,
    sampleBufferOut: UnsafeMutablePointer<CMSampleBuffer?>
) -> OSStatus { -1 }

public func CMSampleBufferGetSampleAttachmentsArray(
    _ buffer: CMSampleBuffer, createIfNecessary: Bool
) -> CFArray? { nil }
