package org.openrtmp

/** What concerns the library as a whole. Any thread may call. */
public object OpenRtmp {
    /** Its version, `1.2.3`. */
    @JvmStatic
    public val version: String
        get() = Native.version()

    /** A new key of 128 random bits, 32 characters; it is not added anywhere. */
    @JvmStatic
    public fun generateKey(): String = Native.keyGenerate()

    /**
     * Up to which level the library logs, to the logger `org.openrtmp` of `java.util.logging`
     * (on Android: Logcat), on a thread of its own. [LogLevel.OFF] until this is called. Of
     * more than 1,024 records that wait the newest are dropped. That logger's own level
     * decides, too.
     */
    @JvmStatic
    public fun setLogLevel(level: LogLevel): Unit = Native.logLevel(level.ordinal)
}

/** How much is logged. Names of streams and addresses stand in the log, keys do not. */
public enum class LogLevel {
    /** Nothing. */
    OFF,

    /** What failed. */
    ERROR,

    /** What may be wrong. */
    WARN,

    /** Who came and went. */
    INFO,

    /** What developers of programs want to know. */
    DEBUG,

    /** Everything. */
    TRACE,
}
