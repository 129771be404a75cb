//! A small HTTP server: GET and HEAD, answered from memory, on one thread of its own.
//!
//! It is for what a server tells about itself (RFC 9110, RFC 9112): what each answer is made
//! of is a value, a [`Routes`], so that whoever has something to tell mounts it. It reads no
//! bodies, keeps one request of a connection at a time, and never more of a peer's bytes
//! than the head of a request may have; the rest waits in the system. Whoever does not read
//! its answer is not asked for more.
//!
//! And what clients of other servers share.

#[cfg(feature = "tls")]
pub(crate) mod client;
mod connection;
mod mount;
mod request;
mod server;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;

pub(crate) use mount::Mount;
pub(crate) use request::Request;
#[cfg(feature = "tls")]
pub(crate) use server::BindError;

/// A status of RFC 9110 section 15, with its phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u16, pub(crate) &'static str);

impl Status {
    pub(crate) const OK: Status = Status(200, "OK");
    pub(crate) const BAD_REQUEST: Status = Status(400, "Bad Request");
    pub(crate) const FORBIDDEN: Status = Status(403, "Forbidden");
    pub(crate) const NOT_FOUND: Status = Status(404, "Not Found");
    pub(crate) const METHOD_NOT_ALLOWED: Status = Status(405, "Method Not Allowed");
    pub(crate) const REQUEST_TIMEOUT: Status = Status(408, "Request Timeout");
    pub(crate) const FIELDS_TOO_LARGE: Status = Status(431, "Request Header Fields Too Large");
    pub(crate) const INTERNAL_ERROR: Status = Status(500, "Internal Server Error");
    pub(crate) const UNAVAILABLE: Status = Status(503, "Service Unavailable");
    pub(crate) const VERSION_NOT_SUPPORTED: Status = Status(505, "HTTP Version Not Supported");
}

/// What a request is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: Status,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

/// Plain text for people and programs.
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

impl Answer {
    pub(crate) fn new(
        status: Status,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Answer {
        Answer {
            status,
            content_type,
            body: body.into(),
        }
    }

    /// A status and no more to tell than its phrase.
    pub(crate) fn status(status: Status) -> Answer {
        Answer::new(status, TEXT, format!("{}\n", status.1))
    }
}

/// What answers requests for a path, on the server's thread: it must not wait.
pub(crate) type Handler = Arc<dyn Fn(&Request<'_>) -> Answer + Send + Sync>;

/// Which requests a handler answers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Path {
    Whole(String),
    #[cfg(any(feature = "tls", test))]
    Below(String),
}

impl Path {
    fn holds(&self, path: &str) -> bool {
        match self {
            Path::Whole(whole) => whole == path,
            #[cfg(any(feature = "tls", test))]
            Path::Below(folder) => path.starts_with(folder.as_str()),
        }
    }
}

/// Handlers by their paths; the first that fits answers.
#[derive(Clone, Default)]
pub(crate) struct Routes(Vec<(Path, Handler)>);

impl Routes {
    /// Mounts a handler at a path.
    pub(crate) fn at(
        mut self,
        path: &str,
        handler: impl Fn(&Request<'_>) -> Answer + Send + Sync + 'static,
    ) -> Routes {
        self.0
            .push((Path::Whole(path.to_owned()), Arc::new(handler)));
        self
    }

    /// Mounts a handler at all paths that begin so, for which a slash stands at the end.
    #[cfg(any(feature = "tls", test))]
    pub(crate) fn below(
        mut self,
        folder: &str,
        handler: impl Fn(&Request<'_>) -> Answer + Send + Sync + 'static,
    ) -> Routes {
        self.0
            .push((Path::Below(folder.to_owned()), Arc::new(handler)));
        self
    }

    /// The answer to a request. A handler that panics costs its request alone.
    fn answer(&self, request: &Request<'_>) -> Answer {
        let Some((_, handler)) = self.0.iter().find(|(path, _)| path.holds(request.path)) else {
            return Answer::status(Status::NOT_FOUND);
        };
        let answer = catch_unwind(AssertUnwindSafe(|| handler(request)));
        answer.unwrap_or_else(|_| {
            log::error!("an answer to {:?} could not be made: a bug", request.path);
            Answer::status(Status::INTERNAL_ERROR)
        })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn tests_that_security_md_names_exist() {
        let text = include_str!("../../../../SECURITY.md");
        let mut sections = text.split("\n## ");
        let section = sections.find(|section| section.starts_with("The command's HTTP server"));
        let sources = [
            include_str!("connection/tests.rs"),
            include_str!("server/tests.rs"),
            include_str!("request.rs"),
            include_str!("../../../openrtmp-core/src/access/proxies.rs"),
        ];
        let quoted = section
            .expect("it is told of")
            .split('`')
            .skip(1)
            .step_by(2);
        // Names of tests are the only ones with so many words.
        let named = quoted.filter(|word| word.matches('_').count() > 3);
        let missing: Vec<&str> = named
            .clone()
            .filter(|name| {
                let function = format!("fn {name}()");
                !sources.iter().any(|source| source.contains(&function))
            })
            .collect();
        assert!(named.count() > 5);
        assert!(missing.is_empty(), "{missing:?}");
    }
}
