package org.openrtmp

import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.launch

/** What a peer wants to do. */
public enum class AccessAction {
    /** Something that a newer library asks. */
    OTHER,

    /** To connect to an app. */
    CONNECT,

    /** To publish a stream. */
    PUBLISH,

    /** To play a stream. */
    PLAY,
}

/** What a peer showed of itself (`tls.client_auth`). */
public data class PeerCertificate internal constructor(
    /** The common name, if it has one. */
    val commonName: String?,
    /** The names it is for: hosts, addresses, mailboxes, URIs. */
    val names: List<String>,
    /** The pin of its key. */
    val pin: String,
)

/**
 * A question to the program. Answered once, in the handler or later, from any thread,
 * within [timeoutMillis]; then it is refused. Answers return false if they come too late.
 */
public class AccessRequest internal constructor(
    private val server: Long,
    private val number: Long,
    fields: Fields,
) {
    /** What the peer wants. */
    public val action: AccessAction =
        AccessAction.entries.firstOrNull { it.name.lowercase() == fields.text("action") } ?: AccessAction.OTHER

    /** Which connection asks; `null` for somebody who came without one. */
    public val connectionId: Long? = fields.longOrNull("connection")

    /** Its address and port. */
    public val peer: String = fields.text("peer")

    /** The app. It may hold a key. */
    public val app: String = fields.text("app")

    /** The stream's path, app included; empty when connecting. It may be a key. */
    public val stream: String = fields.text("stream")

    /** The query of the URL, without `?`. It may hold keys. */
    public val query: String = fields.text("query")

    /** The URL of the app as the peer has it, query included; empty if it said none. */
    public val tcUrl: String = fields.text("tc_url")

    /** What the peer said that it is (`flashVer`); empty if nothing. */
    public val client: String = fields.text("client")

    /** It came over TLS. */
    public val isTls: Boolean = fields.flag("tls")

    /** The user that the peer showed to be (`access.users`). */
    public val user: String? = fields.textOrNull("user")

    /** What the peer showed of itself, if it was asked to. */
    public val certificate: PeerCertificate? = fields.fields("certificate")?.let {
        PeerCertificate(it.textOrNull("common_name"), it.texts("names"), it.text("pin"))
    }

    /** How long the answer is waited for (`access.decision_timeout`). */
    public val timeoutMillis: Long = fields.long("timeout_ms")

    /** A parameter of [query], decoded as little as the query is; `null` if it has none of the name. */
    public fun parameter(name: String): String? =
        query.split('&').firstOrNull { it.substringBefore('=') == name }?.substringAfter('=', "")

    /** Grants it. */
    public fun accept(): Boolean = answer(ACCEPT, "")

    /** Grants it under another path (`app/name`), by which the stream is known from then on. */
    public fun acceptAs(path: String): Boolean = answer(ACCEPT_AS, path)

    /** Refuses it; the peer sees the reason. */
    public fun reject(reason: String): Boolean = answer(REJECT, reason)

    /** Refuses it because it cannot be decided now, which is not held against who asks. */
    public fun fail(reason: String): Boolean = answer(FAIL, reason)

    /**
     * Says that the last segment of the name is a key: it is not shown in logs, events,
     * numbers and file names. To be called before the answer.
     */
    public fun markSecret(): Boolean = answer(SECRET, "")

    override fun toString(): String = "AccessRequest($action from $peer)"

    internal fun answer(decision: AccessDecision): Boolean = when (decision) {
        is AccessDecision.Accept -> accept()
        is AccessDecision.AcceptAs -> acceptAs(decision.path)
        is AccessDecision.Reject -> reject(decision.reason)
    }

    private fun answer(kind: Int, text: String) = Native.answer(server, number, kind, text)

    private companion object {
        const val ACCEPT = 0
        const val ACCEPT_AS = 1
        const val REJECT = 2
        const val FAIL = 3
        const val SECRET = 4
    }
}

/** An answer, for handlers that suspend. */
public sealed interface AccessDecision {
    /** Granted. */
    public object Accept : AccessDecision

    /** Granted under another path. */
    public data class AcceptAs(val path: String) : AccessDecision

    /** Refused; the peer sees the reason. */
    public data class Reject(val reason: String) : AccessDecision
}

/** Decides who may come. */
public fun interface AccessHandler {
    /**
     * Called on one thread, for one request after the other, of those that the keys allow.
     * What this throws is logged, and the request refused.
     */
    public fun decide(request: AccessRequest)
}

/** A handler that suspends, in a scope; what it leaves open is refused. */
internal class SuspendingAccess(
    private val scope: CoroutineScope,
    private val handler: suspend (AccessRequest) -> AccessDecision,
) : AccessHandler {
    override fun decide(request: AccessRequest) {
        val decision = scope.launch {
            @Suppress("TooGenericExceptionCaught")
            try {
                request.answer(handler(request))
            } catch (cancelled: CancellationException) {
                throw cancelled
            } catch (thrown: Throwable) {
                guarded("an access handler") { throw thrown }
            }
        }
        // Thrown, cancelled, or never begun, for the scope is over.
        decision.invokeOnCompletion { request.fail("not decided") }
    }
}
