package org.openrtmp

/**
 * What the library tells as JSON (RFC 8259): objects as maps, arrays as lists, numbers as
 * [Long] where they are whole, else as [Double].
 */
internal class Json private constructor(private val text: String) {
    private var at = 0

    companion object {
        fun parse(text: String): Any? {
            val json = Json(text)
            val value = json.value()
            json.skipSpace()
            require(json.at == text.length) { "text behind the JSON value at ${json.at}" }
            return value
        }

        fun fields(text: String): Fields = Fields.of(parse(text))

        fun texts(text: String): List<String> = (parse(text) as List<*>).map { it as String }

        fun list(text: String): List<Fields> = (parse(text) as List<*>).map { Fields.of(it) }
    }

    private fun value(): Any? {
        skipSpace()
        return when (val first = text[at]) {
            '{' -> members()
            '[' -> elements()
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> number(first)
        }
    }

    private fun members(): Map<String, Any?> {
        val members = LinkedHashMap<String, Any?>()
        at++
        while (!ends('}')) {
            skipSpace()
            val name = string()
            skipSpace()
            require(text[at++] == ':') { "no colon at ${at - 1}" }
            members[name] = value()
        }
        return members
    }

    private fun elements(): List<Any?> {
        val elements = ArrayList<Any?>()
        at++
        while (!ends(']')) elements.add(value())
        return elements
    }

    /** Steps over a comma, or the end. */
    private fun ends(bracket: Char): Boolean {
        skipSpace()
        if (text[at] == ',') at++
        if (text[at] != bracket) return false
        at++
        return true
    }

    private fun string(): String {
        require(text[at++] == '"') { "no text at ${at - 1}" }
        val out = StringBuilder()
        while (true) {
            when (val next = text[at++]) {
                '"' -> return out.toString()
                '\\' -> out.append(escaped())
                else -> out.append(next)
            }
        }
    }

    private fun escaped(): Char = when (val kind = text[at++]) {
        'n' -> '\n'
        't' -> '\t'
        'r' -> '\r'
        'b' -> '\b'
        'f' -> '\u000C'
        'u' -> text.substring(at, at + 4).toInt(16).toChar().also { at += 4 }
        else -> kind
    }

    private fun word(word: String, value: Any?): Any? {
        require(text.startsWith(word, at)) { "no JSON at $at" }
        at += word.length
        return value
    }

    private fun number(first: Char): Any {
        require(first == '-' || first.isDigit()) { "no JSON at $at" }
        val start = at
        while (at < text.length && text[at] in "+-.eE0123456789") at++
        val digits = text.substring(start, at)
        return digits.toLongOrNull() ?: digits.toDouble()
    }

    private fun skipSpace() {
        while (at < text.length && text[at] in " \t\r\n") at++
    }
}

/** The fields of a JSON object. */
internal class Fields(val map: Map<String, Any?>) {
    fun text(name: String): String = textOrNull(name).orEmpty()

    fun textOrNull(name: String): String? = map[name] as? String

    fun long(name: String): Long = longOrNull(name) ?: 0

    fun longOrNull(name: String): Long? = (map[name] as? Number)?.toLong()

    fun int(name: String): Int = long(name).toInt()

    fun intOrNull(name: String): Int? = longOrNull(name)?.toInt()

    fun doubleOrNull(name: String): Double? = (map[name] as? Number)?.toDouble()

    fun flag(name: String): Boolean = map[name] == true

    fun fields(name: String): Fields? = map[name]?.let { of(it) }

    fun texts(name: String): List<String> = (map[name] as? List<*>).orEmpty().map { it.toString() }

    fun list(name: String): List<Fields> = (map[name] as? List<*>).orEmpty().map { of(it) }

    companion object {
        @Suppress("UNCHECKED_CAST")
        fun of(value: Any?): Fields = Fields(value as Map<String, Any?>)
    }
}
