//! What is said to an authority: HTTPS requests, one after the other, on the thread that
//! makes them.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient, Problem};
use openrtmp_core::AcmeConfig;
use ureq::http::{Method, Request};

use crate::http::client::{self, Options};

/// For one request and its answer.
const REQUEST_TIME: Duration = Duration::from_secs(30);

/// Bytes of an answer: a chain of certificates is a hundredth.
const ANSWER_BYTES: u64 = 1 << 20;

/// How often one step is tried again because its nonce was not taken (RFC 8555 section
/// 6.5), each time of which is three requests.
const BAD_NONCES: usize = 8;

/// Why there is no certificate.
#[derive(Debug)]
pub(super) enum Failure {
    /// The authority cannot be reached, or speaks gibberish.
    Unreachable(String),
    /// It does not want to, or did not find what it looked for.
    Refused(String),
    /// Something is wrong on this machine.
    Here(String),
    /// The account that is kept here is none of its.
    NoAccount,
    /// The server stops.
    Stopped,
}

/// Characters of a failure that are shown.
const LONGEST_TEXT: usize = 1000;

impl Failure {
    /// For the log: much of it may be the authority's text.
    pub(super) fn shown(&self) -> String {
        let text = self.to_string();
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        text.chars().map(plain).take(LONGEST_TEXT).collect()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Unreachable(why) => write!(f, "the authority cannot be asked: {why}"),
            Failure::Refused(why) => write!(f, "the authority refuses: {why}"),
            Failure::Here(why) => f.write_str(why),
            Failure::NoAccount => f.write_str("the authority does not know the account"),
            Failure::Stopped => f.write_str("the server stops"),
        }
    }
}

/// What stands in front of an error of RFC 8555 section 6.7.
const ERRORS: &str = "urn:ietf:params:acme:error:";

fn is(problem: &Problem, name: &str) -> bool {
    let of = problem.r#type.as_deref();
    of.and_then(|of| of.strip_prefix(ERRORS)) == Some(name)
}

impl From<instant_acme::Error> for Failure {
    fn from(error: instant_acme::Error) -> Failure {
        match error {
            instant_acme::Error::Api(problem) if is(&problem, "accountDoesNotExist") => {
                Failure::NoAccount
            }
            instant_acme::Error::Api(problem) => Failure::Refused(problem.to_string()),
            error => Failure::Unreachable(error.to_string()),
        }
    }
}

/// Takes a step, again and again as long as nothing is wrong with it but its nonce.
pub(super) fn step<T>(
    mut step: impl AsyncFnMut() -> Result<T, instant_acme::Error>,
) -> Result<T, Failure> {
    let mut left = BAD_NONCES;
    loop {
        match block_on(step()) {
            Err(instant_acme::Error::Api(problem)) if is(&problem, "badNonce") && left > 0 => {
                left -= 1;
            }
            result => return Ok(result?),
        }
    }
}

/// Requests are made where they are asked for: there is nothing to wait for.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::yield_now();
    }
}

/// Speaks HTTPS with an authority.
#[derive(Clone, Debug)]
pub(super) struct Https {
    agent: ureq::Agent,
}

impl Https {
    pub(super) fn new(config: &AcmeConfig) -> Result<Https, Failure> {
        let agent = client::agent(&Options {
            timeout: REQUEST_TIME,
            https_only: true,
            proxies: true,
            tls: Some((config.ca.as_ref(), "tls.acme.ca")),
        });
        Ok(Https {
            agent: agent.map_err(Failure::Here)?,
        })
    }

    fn exchange(
        &self,
        parts: ureq::http::request::Parts,
        body: Bytes,
    ) -> Result<BytesResponse, ureq::Error> {
        let response = match parts.method {
            Method::POST => self.agent.run(Request::from_parts(parts, body.to_vec()))?,
            _ => self.agent.run(Request::from_parts(parts, ()))?,
        };
        let (parts, body) = response.into_parts();
        let body = body.into_with_config().limit(ANSWER_BYTES).read_to_vec()?;
        let body = Box::new(Bytes::from(body));
        Ok(BytesResponse { parts, body })
    }
}

impl HttpClient for Https {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let https = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            // It is in memory: that cannot fail.
            let Ok(body) = body.collect().await;
            https
                .exchange(parts, body.to_bytes())
                .map_err(|error| instant_acme::Error::Other(Box::new(error)))
        })
    }
}

#[cfg(test)]
mod tests {
    use openrtmp_core::Pem;

    use super::*;

    fn problem(kind: &str, detail: &str) -> instant_acme::Error {
        let json = serde_json::json!({"type": format!("{ERRORS}{kind}"), "detail": detail});
        instant_acme::Error::Api(serde_json::from_value(json).expect("a problem"))
    }

    #[test]
    fn a_step_whose_nonce_was_not_taken_is_taken_again_and_no_other() {
        let mut taken = 0;
        let result = step(async || {
            taken += 1;
            match taken {
                1..=5 => Err(problem("badNonce", "")),
                _ => Ok(taken),
            }
        });
        assert!(matches!(result, Ok(6)));
        for (kind, most) in [("badNonce", BAD_NONCES + 1), ("rateLimited", 1)] {
            let mut taken = 0;
            let result: Result<(), Failure> = step(async || {
                taken += 1;
                Err(problem(kind, "no"))
            });
            assert!(matches!(result, Err(Failure::Refused(_))));
            assert_eq!(taken, most, "{kind}");
        }
        let result: Result<(), Failure> = step(async || Err(problem("accountDoesNotExist", "")));
        assert!(matches!(result, Err(Failure::NoAccount)));
    }

    #[test]
    fn what_an_authority_says_is_one_line() {
        let evil = format!("a\n[2026 ERROR] forged \x1b[2J{}", "x".repeat(5000));
        let shown = Failure::from(problem("unauthorized", &evil)).shown();
        assert!(!shown.contains(char::is_control), "{shown}");
        assert!(shown.starts_with("the authority refuses: ") && shown.contains("forged"));
        assert_eq!(shown.chars().count(), LONGEST_TEXT);
    }

    #[test]
    fn an_authority_that_nobody_believes_is_said() {
        let mut config = AcmeConfig::default();
        config.ca = Some(Pem::Text("-----BEGIN junk".to_owned()));
        let failure = Https::new(&config).expect_err("there is none");
        assert!(failure.to_string().contains("tls.acme.ca"), "{failure}");
        config.ca = Some(Pem::File("/nowhere/ca.pem".into()));
        let failure = Https::new(&config).expect_err("there is none");
        assert!(
            failure.to_string().starts_with("tls.acme.ca: "),
            "{failure}"
        );
    }
}
