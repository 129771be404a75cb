package org.openrtmp

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test

class JsonTest {
    @Test
    fun `values of every kind are read`() {
        val text = """ {"a": [1, -2.5, 1e3, true, false, null], "b": {"\u00e9\n\"": "\\\/"}, "c": [], "d": {}} """
        val expected = mapOf(
            "a" to listOf(1L, -2.5, 1000.0, true, false, null),
            "b" to mapOf("\u00e9\n\"" to "\\/"),
            "c" to emptyList<Any>(),
            "d" to emptyMap<String, Any>(),
        )
        assertEquals(expected, Json.parse(text))
        assertEquals(9_007_199_254_740_991L, Json.parse("9007199254740991"))
    }

    @Test
    fun `what is no JSON is refused`() {
        for (text in listOf("", "{", "[1", "\"a", "{\"a\" 1}", "nul", "1 2", "?")) {
            assertThrows(RuntimeException::class.java, { Json.parse(text) }, text)
        }
    }
}
