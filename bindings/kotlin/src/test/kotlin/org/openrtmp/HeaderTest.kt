package org.openrtmp

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.File
import java.lang.reflect.Modifier

/** What this library has in common with the C library. */
class HeaderTest {
    private val header = File(System.getProperty("openrtmp.header")).readText()

    private fun defined(pattern: String): Map<String, Long> =
        Regex("#define $pattern (-?\\d+)").findAll(header)
            .associate { it.groupValues[1] to it.groupValues[2].toLong() }

    @Test
    fun `codes are those of the header`() {
        val codes = ErrorCode.entries.filter { it != ErrorCode.UNKNOWN }.associate { it.name to it.number.toLong() }
        assertEquals(defined("OPENRTMP_ERROR_(\\w+)"), codes)
        assertEquals(ErrorCode.UNKNOWN, OpenRtmpException(-99, "").code)
    }

    @Test
    fun `kinds and codecs are those of the header`() {
        assertEquals(defined("OPENRTMP_MEDIA_([A-Z]+)"), MediaKind.entries.associate { it.name to it.number.toLong() })
        val codecs = Codec.Companion::class.java.enclosingClass.fields
            .filter { it.type == Codec::class.java }
            .associate { it.name to (it.get(null) as Codec).fourCc.toLong() }
        assertEquals(defined("OPENRTMP_FOURCC_(\\w+)"), codecs)
        val relays = RelayKind.entries.associate { it.name to it.ordinal.toLong() }
        assertEquals(relays, defined("OPENRTMP_RELAY_(\\w+)").filterKeys { it in relays })
        assertEquals(defined("OPENRTMP_STATE_(\\w+)"), ServerState.entries.associate { it.name to it.ordinal.toLong() })
    }

    @Test
    fun `what phones tell and are told has the numbers of the header`() {
        fun <E : Enum<E>> numbers(all: List<E>, number: (E) -> Int) = all.associate { it.name to number(it).toLong() }
        val networks = numbers(NetworkKind.entries) { it.ordinal }
        assertEquals(networks, defined("OPENRTMP_NETWORK_(\\w+)").filterKeys { it in networks })
        val permissions = numbers(Permission.entries) { it.number }
        val states = numbers(PermissionState.entries) { it.ordinal }
        assertEquals(permissions + states, defined("OPENRTMP_PERMISSION_(\\w+)"))
        assertEquals(numbers(ThermalState.entries) { it.ordinal }, defined("OPENRTMP_THERMAL_(\\w+)"))
        assertEquals(numbers(MemoryLevel.entries) { it.ordinal }, defined("OPENRTMP_MEMORY_(\\w+)"))
        val services = numbers(ServiceState.entries) { it.number }
        assertEquals(services, defined("OPENRTMP_SERVICE_(\\w+)").filterKeys { it in services })
        assertEquals(numbers(ServiceAction.entries) { it.number }, defined("OPENRTMP_SERVICE_ORDER_(\\w+)"))
        val orders = HostOrder::class.sealedNames() - "OTHER"
        assertEquals(defined("OPENRTMP_ORDER_(\\w+)").keys, orders.toSet())
    }

    /** Of its cases, as the header writes them. */
    private fun kotlin.reflect.KClass<HostOrder>.sealedNames() = java.declaredClasses.map {
        it.simpleName.replace(Regex("(?<=.)[A-Z]"), "_$0").uppercase()
    }

    @Test
    fun `every function of the header is here, or has a reason not to be`() {
        val declared = Regex("^[a-z].*?\\b(openrtmp_\\w+)\\(", RegexOption.MULTILINE).findAll(header)
            .filter { !it.value.startsWith("static") && !it.value.startsWith("typedef") }
            .map { it.groupValues[1] }.toSortedSet()
        val table = javaClass.getResource("/header.txt")!!.readText().lines()
            .filter { it.isNotBlank() && !it.startsWith("#") }
            .associate { it.substringBefore(' ') to it.substringAfter(' ') }
        assertTrue(declared.size > 60, "$declared")
        assertEquals(declared, table.keys.toSortedSet())
        val native = Native::class.java.declaredMethods.filter { Modifier.isNative(it.modifiers) }.map { it.name }
        val missing = table.values.filter { !it.startsWith("- ") && it !in native }
        assertEquals(emptyList<String>(), missing)
    }

    @Test
    fun `events are those of the schema`() {
        val schema = Json.fields(File(System.getProperty("openrtmp.events")).readText())
        val told = schema.list("oneOf").map { it.fields("properties")!!.fields("event")!!.text("const") }
        val kinds = ServerEvent.Kind.entries.filter { it != ServerEvent.Kind.OTHER }.map { it.name.lowercase() }
        assertEquals(told.toSortedSet(), kinds.toSortedSet())
    }
}
