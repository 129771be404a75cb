package org.openrtmp.android

import android.util.Log
import org.openrtmp.LogLevel
import java.util.logging.Handler
import java.util.logging.Level
import java.util.logging.LogRecord
import java.util.logging.Logger

/** Records of the library's logger, in Logcat under a tag of their own. */
internal object LogcatHandler : Handler() {
    private const val TAG = "OpenRTMP"

    /** Logcat cuts what is longer than some 4,000 bytes: characters have up to 3. */
    private const val LINE = 1_300

    private val logger = Logger.getLogger("org.openrtmp")

    fun install(level: LogLevel) {
        logger.removeHandler(this)
        // Android's own handler would show it once more, under another tag.
        logger.useParentHandlers = level == LogLevel.OFF
        if (level == LogLevel.OFF) return
        logger.level = Level.ALL
        logger.addHandler(this)
    }

    override fun publish(record: LogRecord) {
        val priority = when {
            record.level.intValue() >= Level.SEVERE.intValue() -> Log.ERROR
            record.level.intValue() >= Level.WARNING.intValue() -> Log.WARN
            record.level.intValue() >= Level.INFO.intValue() -> Log.INFO
            record.level.intValue() >= Level.FINE.intValue() -> Log.DEBUG
            else -> Log.VERBOSE
        }
        val text = buildString {
            append(record.message)
            record.thrown?.let { append('\n').append(Log.getStackTraceString(it)) }
        }
        text.chunked(LINE).forEach { Log.println(priority, TAG, it) }
    }

    override fun flush() = Unit

    override fun close() = Unit
}
