package org.openrtmp

/** What the library calls, on threads of its own. */
internal class ServerCallbacks(private val hub: EventHub, private val handler: AccessHandler?) {
    /** Set before the server is started. */
    @Volatile
    var server: Long = 0

    /** Does what the server wants of a phone's program. */
    @Volatile
    var orders: OrderListener? = null

    fun order(text: String) = guarded("an order listener") {
        orders?.onOrder(orderOf(Json.fields(text)))
    }

    fun event(text: String) = guarded("the library's event") {
        hub.tell(ServerEvent(Json.fields(text)))
    }

    fun access(number: Long, text: String) {
        val request = AccessRequest(server, number, Json.fields(text))
        var decided = false
        guarded("an access handler") {
            handler?.decide(request)
            decided = true
        }
        if (!decided) request.fail("not decided")
    }
}
