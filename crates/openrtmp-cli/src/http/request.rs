//! The head of a request, read.

use std::net::IpAddr;

use httparse::{Error, Header};
use openrtmp_core::Proxies;

use super::Status;

/// A request for something: its head, as far as anybody asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    /// From the first slash on, without a query, as it was sent: nothing is decoded.
    pub(crate) path: &'a str,
    /// From where it comes, as far as trusted proxies tell.
    pub(crate) address: IpAddr,
}

/// A head that is complete.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub(super) request: Request<'a>,
    /// The answer's head is wanted alone.
    pub(super) is_head: bool,
    /// The connection is for this request alone.
    pub(super) is_last: bool,
    /// Bytes of it.
    pub(super) length: usize,
}

/// What bytes are the beginning of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read<'a> {
    Complete(Head<'a>),
    /// More has to come.
    Partial,
    /// A request that is answered with a status, after which nothing is read: where the
    /// next would begin is not known.
    Refused(Status),
}

/// Reads the head of a request of `peer`, with so many fields at most.
pub(super) fn read<'a>(
    bytes: &'a [u8],
    fields: usize,
    peer: IpAddr,
    proxies: &Proxies,
) -> Read<'a> {
    let mut headers = vec![httparse::EMPTY_HEADER; fields];
    let mut parsed = httparse::Request::new(&mut headers);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Read::Partial,
        Err(Error::TooManyHeaders) => return Read::Refused(Status::FIELDS_TOO_LARGE),
        Err(Error::Version) => return Read::Refused(Status::VERSION_NOT_SUPPORTED),
        Err(_) => return Read::Refused(Status::BAD_REQUEST),
    };
    // They are there once it is complete.
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Read::Refused(Status::BAD_REQUEST);
    };
    let is_head = match method {
        "GET" => false,
        "HEAD" => true,
        _ => return Read::Refused(Status::METHOD_NOT_ALLOWED),
    };
    let fields = Fields(parsed.headers);
    // RFC 9112 section 3.2: one and no more, since 1.1.
    let hosts = fields.values("host").count();
    if hosts > 1 || (hosts == 0 && minor > 0) {
        return Read::Refused(Status::BAD_REQUEST);
    }
    // A body means nothing here (RFC 9110 section 9.3.1), and would be taken for a request.
    let has_body = fields.values("content-length").any(|value| value != b"0");
    if has_body || fields.values("transfer-encoding").next().is_some() {
        return Read::Refused(Status::BAD_REQUEST);
    }
    let Some(path) = path(target) else {
        return Read::Refused(Status::BAD_REQUEST);
    };
    let is_last = match minor {
        0 => !fields.connection("keep-alive"),
        _ => fields.connection("close"),
    };
    let forwarded: Vec<&[u8]> = fields.values("x-forwarded-for").collect();
    let address = proxies.origin(peer, forwarded.into_iter());
    Read::Complete(Head {
        request: Request { path, address },
        is_head,
        is_last,
        length,
    })
}

/// The path of a request's target: in origin-form or in absolute-form (RFC 9112 section
/// 3.2).
fn path(target: &str) -> Option<&str> {
    let origin = match target.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => {
            &rest[rest.find('/').unwrap_or(rest.len())..]
        }
        _ => target,
    };
    let path = origin.split(['?', '#']).next().unwrap_or_default();
    path.starts_with('/').then_some(path)
}

struct Fields<'h, 'b>(&'h [Header<'b>]);

impl<'b> Fields<'_, 'b> {
    fn values(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        let named = |header: &&Header<'b>| header.name.eq_ignore_ascii_case(name);
        self.0.iter().filter(named).map(|header| header.value)
    }

    /// True if that is among the options of the connection (RFC 9110 section 7.6.1).
    fn connection(&self, option: &str) -> bool {
        self.values("connection").any(|value| {
            let mut options = value.split(|byte| *byte == b',');
            options.any(|named| named.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn read_all(text: &str) -> Read<'_> {
        read(text.as_bytes(), 8, PEER, &Proxies::default())
    }

    #[test]
    fn a_proxy_says_for_whom_it_asks_if_it_is_trusted() {
        let mut config = openrtmp_core::AccessConfig::default();
        let text = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 127.0.0.9\r\n\
                    x-forwarded-for: 192.0.2.7\r\n\r\n";
        for (trusted, expected) in [("10.0.0.0/8", "127.0.0.1"), ("127.0.0.0/8", "192.0.2.7")] {
            config.trusted_proxies = vec![trusted.to_owned()];
            let Read::Complete(head) = read(text.as_bytes(), 8, PEER, &Proxies::new(&config))
            else {
                panic!("{text}");
            };
            assert_eq!(head.request.address.to_string(), expected);
        }
    }

    #[test]
    fn the_path_is_read_from_every_form_of_a_target() {
        for (target, expected) in [
            ("/", "/"),
            ("/metrics?x=1", "/metrics"),
            ("/a%20b", "/a%20b"),
            ("http://host:80/metrics", "/metrics"),
            ("HTTP://host/metrics?/x", "/metrics"),
        ] {
            let text = format!("GET {target} HTTP/1.1\r\nHost: host\r\n\r\nGET");
            let Read::Complete(head) = read_all(&text) else {
                panic!("{target}");
            };
            assert_eq!(head.request.path, expected);
            assert_eq!(head.length, text.len() - 3);
            assert!(!head.is_head && !head.is_last);
        }
    }

    #[test]
    fn what_the_connection_is_for_is_said_by_version_and_option() {
        for (version, field, is_last) in [
            ("1.1", "", false),
            ("1.1", "Connection: x, Close\r\n", true),
            ("1.0", "", true),
            ("1.0", "connection: Keep-Alive\r\n", false),
        ] {
            let text = format!("HEAD / HTTP/{version}\r\nHost: a\r\n{field}\r\n");
            let Read::Complete(head) = read_all(&text) else {
                panic!("{text}");
            };
            assert!(head.is_head);
            assert_eq!(head.is_last, is_last, "{text}");
        }
    }

    #[test]
    fn what_is_no_plain_request_is_refused() {
        let many = "a: b\r\n".repeat(9);
        for (text, status) in [
            (
                "POST / HTTP/1.1\r\nHost: a\r\n\r\n",
                Status::METHOD_NOT_ALLOWED,
            ),
            (
                "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                Status::VERSION_NOT_SUPPORTED,
            ),
            ("GET / HTTP/1.1\r\n\r\n", Status::BAD_REQUEST),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                Status::BAD_REQUEST,
            ),
            ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", Status::BAD_REQUEST),
            ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", Status::BAD_REQUEST),
            (
                "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n",
                Status::BAD_REQUEST,
            ),
            (
                "GET ftp://a/b HTTP/1.1\r\nHost: a\r\n\r\n",
                Status::BAD_REQUEST,
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
                Status::BAD_REQUEST,
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                Status::BAD_REQUEST,
            ),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Status::BAD_REQUEST),
            ("\x16\x03\x01\x02\x00\x01", Status::BAD_REQUEST),
            (
                format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n").as_str(),
                Status::FIELDS_TOO_LARGE,
            ),
        ] {
            assert_eq!(read_all(text), Read::Refused(status), "{text:?}");
        }
        let text = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
        assert!(matches!(read_all(text), Read::Complete(_)));
    }

    #[test]
    fn a_head_may_be_cut_anywhere() {
        let text = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
        for end in 0..text.len() {
            assert_eq!(read_all(&text[..end]), Read::Partial, "{end}");
        }
    }
}
