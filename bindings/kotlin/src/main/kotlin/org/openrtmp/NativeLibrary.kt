package org.openrtmp

import java.io.File
import java.io.IOException

/** Where `libopenrtmp_jni` comes from. */
internal object NativeLibrary {
    private const val NAME = "openrtmp_jni"

    /**
     * From the app on Android, elsewhere from `java.library.path`; if it is not there, out of a
     * jar with the classifier `natives-` and the system's name on the class path.
     */
    fun load() {
        try {
            System.loadLibrary(NAME)
        } catch (missing: UnsatisfiedLinkError) {
            val file = unpacked() ?: throw missing
            System.load(file.path)
        }
    }

    /** In a file of its own, which goes when the machine ends; `null`: no jar has one for here. */
    private fun unpacked(): File? {
        val library = System.mapLibraryName(NAME)
        val system = "${system()}-${System.getProperty("os.arch").orEmpty().lowercase()}"
        val packed = NativeLibrary::class.java.getResourceAsStream("/org/openrtmp/native/$system/$library")
        return packed?.use { bytes ->
            val file = try {
                File.createTempFile("openrtmp", library)
            } catch (failed: IOException) {
                throw UnsatisfiedLinkError("no room to unpack $library: $failed")
            }
            file.deleteOnExit()
            file.outputStream().use { bytes.copyTo(it) }
            file
        }
    }

    private fun system(): String {
        val name = System.getProperty("os.name").orEmpty().lowercase()
        return when {
            name.startsWith("mac") -> "macos"
            name.startsWith("windows") -> "windows"
            else -> name
        }
    }
}
