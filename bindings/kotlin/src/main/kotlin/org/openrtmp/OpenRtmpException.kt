package org.openrtmp

/** Why a call failed, in general; the exception's message tells the detail. */
public enum class ErrorCode(
    /** The number that the C library has for it. */
    public val number: Int,
) {
    /** An argument means nothing. */
    INVALID_ARGUMENT(-1),

    /** A text is not UTF-8; in Java none is. */
    INVALID_UTF8(-2),

    /** Of the C library alone. */
    STRUCT_SIZE(-3),

    /** Of the C library alone. */
    BUFFER_TOO_SMALL(-4),

    /** There is no such thing, or no longer. */
    NOT_FOUND(-5),

    /** Not possible in this state: not started, already started, closed, not configured. */
    STATE(-6),

    /** Of the C library alone. */
    RECURSIVE(-7),

    /** A setting is unknown, or its value not allowed; the message names its path. */
    CONFIG(-8),

    /** An address cannot be listened on. */
    LISTEN(-9),

    /** A file, or another thing of the system, failed. */
    IO(-10),

    /** Somebody else has it: the stream has a publisher, or is being recorded. */
    BUSY(-11),

    /** A limit is reached. */
    LIMIT(-12),

    /** Too much is waiting; try again later. */
    WOULD_BLOCK(-13),

    /** A bug in the library, caught. What the call was made on still works. */
    PANIC(-14),

    /** A publisher's stream is another's now, or was ended. */
    GONE(-15),

    /** Only a restart changes these settings; the message names their paths. */
    NEEDS_RESTART(-16),

    /** The system has no memory for it. */
    MEMORY(-17),

    /** Nobody answered in time. What was asked for may still happen. */
    TIMEOUT(-18),

    /** This library was built without it. */
    UNSUPPORTED(-19),

    /** A code of a library that is newer than this class. */
    UNKNOWN(Int.MIN_VALUE),
    ;

    internal companion object {
        fun of(number: Int): ErrorCode = entries.firstOrNull { it.number == number } ?: UNKNOWN
    }
}

/** A call that failed. The message tells why, without keys. */
public class OpenRtmpException internal constructor(
    /** The number, also of a code that this class does not know. */
    public val number: Int,
    message: String,
) : RuntimeException(message) {
    /** What it is, in general. */
    public val code: ErrorCode
        get() = ErrorCode.of(number)
}
