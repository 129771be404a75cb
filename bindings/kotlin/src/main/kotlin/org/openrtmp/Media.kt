package org.openrtmp

/** What a frame is of. */
public enum class MediaKind(internal val number: Int) {
    /** Sound. */
    AUDIO(1),

    /** Pictures. */
    VIDEO(2),

    /** AMF0 values, the name first. */
    DATA(3),
    ;

    internal companion object {
        fun of(number: Int): MediaKind = entries.first { it.number == number }
    }
}

/** What a frame's bytes are. */
public enum class Content {
    /** Something else, or what cannot be read. */
    OTHER,

    /** A decoder configuration: see [Frame.configuration]. */
    HEADER,

    /** A frame that decoding can start at; every audio frame is one. */
    KEY,

    /** A frame that needs earlier ones. */
    INTER,

    /** onMetaData, HDR metadata, channel layouts. */
    METADATA,

    /** The end of a sequence. */
    END,
}

/** A codec, by its four-character code. */
public data class Codec(
    /** The code as a number, the first character in the highest byte; 0: none. */
    val fourCc: Int,
) {
    /** The code as text, such as `avc1`. */
    public val name: String
        get() = String(CharArray(4) { (fourCc ushr (24 - 8 * it) and 0xFF).toChar() })

    /** What Android's `MediaFormat` calls it; `null` if it has no name for it. */
    public val mime: String?
        get() = MIMES[this]

    override fun toString(): String = if (fourCc == 0) "none" else name

    public companion object {
        /** H.264. */
        @JvmField public val AVC: Codec = of("avc1")

        /** H.265. */
        @JvmField public val HEVC: Codec = of("hvc1")

        /** H.266. */
        @JvmField public val VVC: Codec = of("vvc1")

        /** AV1. */
        @JvmField public val AV1: Codec = of("av01")

        /** VP8. */
        @JvmField public val VP8: Codec = of("vp08")

        /** VP9. */
        @JvmField public val VP9: Codec = of("vp09")

        /** AAC. */
        @JvmField public val AAC: Codec = of("mp4a")

        /** MP3. */
        @JvmField public val MP3: Codec = of(".mp3")

        /** Opus. */
        @JvmField public val OPUS: Codec = of("Opus")

        /** FLAC. */
        @JvmField public val FLAC: Codec = of("fLaC")

        /** AC-3. */
        @JvmField public val AC3: Codec = of("ac-3")

        /** E-AC-3. */
        @JvmField public val EAC3: Codec = of("ec-3")

        private val MIMES = mapOf(
            AVC to "video/avc",
            HEVC to "video/hevc",
            AV1 to "video/av01",
            VP8 to "video/x-vnd.on2.vp8",
            VP9 to "video/x-vnd.on2.vp9",
            AAC to "audio/mp4a-latm",
            MP3 to "audio/mpeg",
            OPUS to "audio/opus",
            FLAC to "audio/flac",
            AC3 to "audio/ac3",
            EAC3 to "audio/eac3",
        )

        /** The codec of a code of four characters, such as `avc1`. */
        @JvmStatic
        public fun of(name: String): Codec {
            require(name.length == 4 && name.all { it.code < 0x100 }) { "$name is no code of four characters" }
            return Codec(name.fold(0) { code, character -> code shl 8 or character.code })
        }
    }
}

/** A track of a stream, found from its packets. What is not known yet is `null`. */
public data class Track internal constructor(
    /** [MediaKind.AUDIO] or [MediaKind.VIDEO]. */
    val kind: MediaKind,
    /** Its number, 0 to 255; 0 is the default track. */
    val id: Int,
    /** Its codec. */
    val codec: Codec,
    /** RFC 6381 codec string, such as `avc1.64001f`. */
    val codecString: String?,
    /** Pixels. */
    val width: Int?,
    /** Pixels. */
    val height: Int?,
    /** Frames per second that the configuration promises. */
    val frameRate: Double?,
    /** Samples per second. */
    val sampleRate: Int?,
    /** Channels. */
    val channels: Int?,
) {
    internal constructor(fields: Fields) : this(
        if (fields.flag("video")) MediaKind.VIDEO else MediaKind.AUDIO,
        fields.int("id"),
        fields.text("codec").let { if (it.length == 4) Codec.of(it) else Codec(0) },
        fields.textOrNull("codec_string"),
        fields.intOrNull("width"),
        fields.intOrNull("height"),
        fields.doubleOrNull("frame_rate"),
        fields.intOrNull("sample_rate"),
        fields.intOrNull("channels"),
    )
}

/**
 * What a decoder is given before the first frame, as RTMP has it: of H.264 an
 * AVCDecoderConfigurationRecord, of H.265 an HEVCDecoderConfigurationRecord, of AAC an
 * AudioSpecificConfig, of Opus its identification header.
 */
public class DecoderConfiguration(
    /** [MediaKind.AUDIO] or [MediaKind.VIDEO]. */
    public val kind: MediaKind,
    /** The codec. */
    public val codec: Codec,
    /** Its bytes. */
    public val bytes: ByteArray,
) {
    private val format by lazy { Json.fields(Native.mediaFormat(isVideo, codec.fourCc, bytes)) }

    /**
     * What Android's MediaCodec takes as `csd-0`, `csd-1` and so on: of H.264 sequence and
     * picture parameter sets, of H.265 all parameter sets, with start codes; of AAC the
     * AudioSpecificConfig; of Opus the header and two times. Empty if there is none.
     */
    public val codecSpecificData: List<ByteArray> by lazy {
        Native.decoderParts(isVideo, codec.fourCc, bytes).asList()
    }

    /** RFC 6381 codec string, such as `mp4a.40.2`. */
    public val codecString: String? get() = format.textOrNull("codec_string")

    /** Pixels, cropping applied. */
    public val width: Int? get() = format.intOrNull("width")

    /** Pixels, cropping applied. */
    public val height: Int? get() = format.intOrNull("height")

    /** Samples per second. */
    public val sampleRate: Int? get() = format.intOrNull("sample_rate")

    /** Channels. */
    public val channels: Int? get() = format.intOrNull("channels")

    /** Bytes of the length before each NAL unit; `null` for codecs without. */
    public val lengthSize: Int? get() = format.intOrNull("length_size")

    private val isVideo get() = kind == MediaKind.VIDEO

    override fun equals(other: Any?): Boolean =
        other is DecoderConfiguration && kind == other.kind && codec == other.codec && bytes.contentEquals(other.bytes)

    override fun hashCode(): Int = bytes.contentHashCode()

    public companion object {
        /**
         * The configuration for parameter sets with start codes, in any order, as encoders
         * give them (MediaCodec's buffer with `BUFFER_FLAG_CODEC_CONFIG`, or `csd-0` and
         * `csd-1` together), of H.264 and H.265.
         */
        @JvmStatic
        public fun ofParameterSets(codec: Codec, sets: ByteArray): DecoderConfiguration =
            DecoderConfiguration(MediaKind.VIDEO, codec, Native.configOfSets(codec.fourCc, sets))
    }
}

/** NAL units in the two forms there are. */
public object NalUnits {
    /** Units behind lengths of so many bytes, 1 to 4, with start codes in their place. */
    @JvmStatic
    @JvmOverloads
    public fun toAnnexB(frame: ByteArray, lengthSize: Int = 4): ByteArray =
        Native.toAnnexB(null, frame, 0, frame.size, lengthSize)

    /** Units behind start codes, with lengths of 4 bytes in their place. */
    @JvmStatic
    public fun fromAnnexB(stream: ByteArray): ByteArray = Native.fromAnnexB(null, stream, 0, stream.size)
}
