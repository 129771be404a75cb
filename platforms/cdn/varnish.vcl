# Varnish in front of `openrtmp serve`: a cache for streams in HLS and DASH, for any number of
# viewers. Varnish speaks neither TLS nor, unless it is told to (-p feature=+http2), HTTP/2: in
# front of it stands what does (hitch, haproxy). docs/delivery.md, "Behind a cache", tells what
# it does and why; the project's tests run it.
#
# The server has to be told which requests come through it, so that it counts and blocks
# viewers and not the proxy: access.trusted_proxies: [127.0.0.1]

vcl 4.1;

backend openrtmp {
    .host = "127.0.0.1";
    .port = "8080";
    # A reload waits up to three target durations, and 9 s at most.
    .first_byte_timeout = 20s;
    .between_bytes_timeout = 60s;
}

sub vcl_recv {
    if (req.restarts == 0) {
        unset req.http.X-May-Play;
        unset req.http.X-Asked;
        unset req.http.X-Shared;
        unset req.http.X-Query;
    } elsif (req.http.X-Asked) {
        # The token was good: on with what was asked for.
        set req.url = req.http.X-Asked;
        unset req.http.X-Asked;
        set req.http.X-May-Play = "1";
    }
    if (req.method != "GET" && req.method != "HEAD") {
        return (pass);
    }
    if (req.http.Upgrade ~ "(?i)^websocket$") {
        return (pipe);
    }
    # FLV goes on without end.
    if (req.url ~ "^[^?]+\.flv(\?|$)") {
        return (pass);
    }
    # A token that is not in the path: what it opens may be its viewer's alone.
    if (req.url !~ "^/v/" && (req.http.Authorization ~ "(?i)^bearer " || req.http.Cookie ~ "(^|;\s*)__Host-openrtmp=")) {
        return (pass);
    }
    unset req.http.Cookie;

    # Private streams, /v/TOKEN/app/name/RUN/...: what is below a run of a stream is the same
    # for all viewers. It is kept once, for whoever has a token that is good.
    if (req.url ~ "^/v/[^/?]+/[^?]+/[0-9a-f]+-[0-9a-f]+/((ts|[va][0-9]+)/[^?]+|(ts|[va][0-9]+)\.m3u8)(\?|$)") {
        if (!req.http.X-May-Play) {
            set req.http.X-Asked = req.url;
            set req.url = regsub(req.url,
                "^(/v/[^/?]+)/([^?]+)/[0-9a-f]+-[0-9a-f]+/.*$", "\1/api/streams/\2");
            return (hash);
        }
        set req.http.X-Shared = regsub(req.url, "^/v/[^/?]+(/[^?]+).*$", "\1");
    } elsif (req.url ~ "^/v/") {
        # Everything else with a token is a viewer's own.
        return (pass);
    }
    # The three directives of HLS are all of a query that matters, in one order.
    if (req.url ~ "\?") {
        set req.http.X-Query = "";
        if (req.url ~ "[?&]_HLS_msn=[0-9]+(&|$)") {
            set req.http.X-Query = "&" + regsub(req.url, "^.*?[?&](_HLS_msn=[0-9]+)(&.*)?$", "\1");
        }
        if (req.url ~ "[?&]_HLS_part=[0-9]+(&|$)") {
            set req.http.X-Query = req.http.X-Query + "&" + regsub(req.url, "^.*?[?&](_HLS_part=[0-9]+)(&.*)?$", "\1");
        }
        if (req.url ~ "[?&]_HLS_skip=(YES|v2)(&|$)") {
            set req.http.X-Query = req.http.X-Query + "&" + regsub(req.url, "^.*?[?&](_HLS_skip=(YES|v2))(&.*)?$", "\1");
        }
    } else {
        unset req.http.X-Query;
    }
    return (hash);
}

sub vcl_hash {
    if (req.http.X-Shared) {
        hash_data("private " + req.http.X-Shared);
    } else {
        hash_data(regsub(req.url, "\?.*$", ""));
    }
    if (req.http.X-Asked) {
        # A token may be good from one address alone: from that which the server goes by, of whom
        # it is told by what stands before Varnish, and by Varnish of that.
        hash_data(req.http.X-Forwarded-For);
    }
    hash_data(req.http.X-Query);
    hash_data(req.http.Host);
    return (lookup);
}

sub vcl_backend_fetch {
    unset bereq.http.X-May-Play;
    unset bereq.http.X-Asked;
    unset bereq.http.X-Query;
}

sub vcl_backend_response {
    # Nothing is given out after its time.
    set beresp.grace = 0s;
    set beresp.keep = 0s;
    if (bereq.uncacheable) {
        return (deliver);
    }
    # Errors are not kept. Those who ask for the same do not wait for each other for a second.
    if (beresp.status != 200) {
        set beresp.ttl = 1s;
        set beresp.uncacheable = true;
        return (deliver);
    }
    if (bereq.http.X-Shared) {
        # `private` is about caches that do not ask who may.
        if (bereq.url !~ "\.m3u8(\?|$)") {
            set beresp.ttl = 10m;
        } elsif (bereq.url ~ "[?&]_HLS_msn=[0-9]") {
            set beresp.ttl = 12s;
        } else {
            # Which state is meant it does not say: it is another soon.
            set beresp.ttl = 1s;
        }
        return (deliver);
    }
    if (bereq.url ~ "^/v/[^/?]+/api/streams/") {
        # Whether a token opens a stream, asked once in 5 s for each, from each address: so long a
        # key that is revoked is good here.
        set beresp.ttl = 5s;
        return (deliver);
    }
    if (beresp.http.Cache-Control ~ "(?i)\b(no-store|private)\b") {
        set beresp.ttl = 1s;
        set beresp.uncacheable = true;
    }
    return (deliver);
}

sub vcl_deliver {
    # A token that was asked about.
    if (req.http.X-Asked && resp.status == 200) {
        return (restart);
    }
}
