//! Names and passwords, as Adobe's authentication add-in asks for them (`authmod=adobe`).
//!
//! RTMP itself knows none. The add-in refuses `connect`, and says in the description of
//! the refusal what it wants to hear, as a query behind the app, over the next connection:
//!
//! 1. `connect` says nothing: refused with `code=403 need auth; authmod=adobe`.
//! 2. `?authmod=adobe&user=U`: refused with
//!    `?reason=needauth&user=U&salt=S&challenge=C&opaque=O`.
//! 3. `?authmod=adobe&user=U&challenge=D&response=R&opaque=O`, D a challenge of the client:
//!    accepted if R is `base64(md5(base64(md5(U + S + password)) + O + D))`, else refused
//!    with `?reason=authfailed`. Without an O, C stands in its place.
//!
//! MD5 is what the add-in speaks: it keeps a password from being read off the wire, not
//! from being guessed from what was. On a network that strangers listen to it belongs
//! inside TLS.

use std::fmt;

use md5::{Digest, Md5};

use crate::text::shown;
use crate::{Credentials, Secret};

/// The one module that is spoken.
const ADOBE: &str = "adobe";

/// How the query begins.
const AUTHMOD: &str = "authmod=";

/// Connections in a row that a client makes to show who it is. Two are enough; a server
/// behind others may have to ask anew.
const MAX_CONNECTIONS: u8 = 5;

/// What a client says of who it is, behind the app (`?authmod=adobe&user=...`). Closed on
/// purpose: encoders that are out there say no more.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthRequest {
    /// What it speaks: `adobe` is known here.
    pub module: String,
    /// Who it says it is.
    pub user: String,
    /// Its answer to a challenge, if it gives one.
    pub answer: Option<AuthAnswer>,
}

/// A client's answer to a challenge. What it left out is empty. Closed on purpose, as
/// [`AuthRequest`] is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AuthAnswer {
    /// The client's own challenge.
    pub challenge: String,
    /// What shows that it knows the password.
    pub response: String,
    /// What the server gave it to give back.
    pub opaque: String,
}

/// Who it is may be shown; the answer is good for guesses.
impl fmt::Debug for AuthRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthRequest")
            .field("module", &self.module)
            .field("user", &self.user)
            .field("has_answer", &self.answer.is_some())
            .finish()
    }
}

impl fmt::Debug for AuthAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthAnswer").finish_non_exhaustive()
    }
}

impl AuthRequest {
    /// Takes it out of a query. Clients write it behind whatever the app ends with, a
    /// query of its own too.
    pub(super) fn take(query: &mut String) -> Option<AuthRequest> {
        let starts = query.match_indices(AUTHMOD).map(|(at, _)| at);
        let start = starts
            .into_iter()
            .find(|at| *at == 0 || query[..*at].ends_with(['&', '?']))?;
        let said = query.split_off(start);
        query.truncate(query.trim_end_matches(['&', '?']).len());
        let mut request = AuthRequest {
            module: String::new(),
            user: String::new(),
            answer: None,
        };
        for pair in said.split(['&', '?']) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let answer = &mut request.answer;
            let slot = match name {
                "authmod" => &mut request.module,
                "user" => &mut request.user,
                "challenge" => &mut answer.get_or_insert_default().challenge,
                "response" => &mut answer.get_or_insert_default().response,
                "opaque" => &mut answer.get_or_insert_default().opaque,
                _ => {
                    if !query.is_empty() && !pair.is_empty() {
                        query.push('&');
                    }
                    query.push_str(pair);
                    continue;
                }
            };
            // The first counts.
            if slot.is_empty() {
                value.clone_into(slot);
            }
        }
        Some(request)
    }

    /// Whether it speaks what is known here.
    pub fn is_adobe(&self) -> bool {
        self.module == ADOBE
    }
}

/// What a server answers a `connect` that does not show who it is: the description of a
/// refusal (`NetConnection.Connect.Rejected`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthDemand<'a> {
    /// Who are you?
    Name,
    /// Show that you know the password.
    Password {
        /// Who the client says it is, a [user's name](Credentials::is_user).
        user: &'a str,
        /// Hashed with the password.
        salt: &'a str,
        /// For clients that give nothing back.
        challenge: &'a str,
        /// To be given back.
        opaque: &'a str,
    },
    /// It was not the password, or there is no such user.
    Wrong,
}

impl fmt::Display for AuthDemand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[ AccessManager.Reject ] : [ ")?;
        match self {
            AuthDemand::Name => f.write_str("code=403 need auth; authmod=adobe ] : "),
            AuthDemand::Password {
                user,
                salt,
                challenge,
                opaque,
            } => write!(
                f,
                "authmod=adobe ] : ?reason=needauth&user={user}&salt={salt}\
                 &challenge={challenge}&opaque={opaque}"
            ),
            AuthDemand::Wrong => f.write_str("authmod=adobe ] : ?reason=authfailed"),
        }
    }
}

/// What shows that somebody knows a password. `given`: what the server gave, `opaque` or,
/// without it, `challenge`; `own`: the client's challenge.
pub fn auth_response(user: &str, salt: &str, password: &Secret, given: &str, own: &str) -> String {
    let salted = hash(&[user, salt, password.reveal()]);
    hash(&[&salted, given, own])
}

fn hash(parts: &[&str]) -> String {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(part);
    }
    base64(&md5.finalize())
}

/// RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |index: usize| usize::from(three.get(index).copied().unwrap_or(0));
        let all = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4 {
            text.push(match index > three.len() {
                true => '=',
                false => DIGITS[all >> (18 - 6 * index) & 63].into(),
            });
        }
    }
    text
}

/// What a client says of who it is in its next `connect`, by what servers answered those
/// before. Nothing at first.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClientLogin {
    /// Behind the app, without `?`.
    query: String,
    /// Connections that a server asked for.
    connections: u8,
}

impl fmt::Debug for ClientLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientLogin")
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

/// Why a client does not get in where a name and a password are asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// It was given none.
    #[error("a user name and a password are asked for: rtmp://USER:PASSWORD@host/app/name")]
    NoCredentials,
    /// They are not right.
    #[error("the user name or the password is wrong")]
    Wrong,
    /// The server asks in another way.
    #[error("authmod={} is asked for; authmod=adobe is spoken", shown(.0))]
    Module(String),
    /// The server asks again and again.
    #[error("the user name and the password were asked for {MAX_CONNECTIONS} times")]
    Endless,
    /// What the server asks for cannot be read.
    #[error("the server asks for a password in a way that cannot be read")]
    Unreadable,
}

impl ClientLogin {
    /// What stands behind an app or a `tcUrl`.
    pub(super) fn behind(&self, app: &str) -> String {
        let join = match (self.query.is_empty(), app.contains('?')) {
            (true, _) => "",
            (false, true) => "&",
            (false, false) => "?",
        };
        format!("{app}{join}{}", self.query)
    }

    /// What to say next to a server that refused with `description`; `None` if that asks
    /// for nothing. `own`: eight random bytes.
    pub(super) fn next(
        &self,
        credentials: Option<&Credentials>,
        description: &str,
        own: [u8; 8],
    ) -> Option<Result<ClientLogin, AuthError>> {
        let (_, said) = description.split_once(AUTHMOD)?;
        let end = said.find(|c: char| c.is_whitespace() || ";]&".contains(c));
        let module = end.map_or(said, |end| &said[..end]);
        Some(self.answer(credentials, module, description, own))
    }

    fn answer(
        &self,
        credentials: Option<&Credentials>,
        module: &str,
        description: &str,
        own: [u8; 8],
    ) -> Result<ClientLogin, AuthError> {
        if module != ADOBE {
            return Err(AuthError::Module(module.to_owned()));
        }
        let credentials = credentials.ok_or(AuthError::NoCredentials)?;
        let user = &credentials.user;
        let asked = description.split_once("?reason=").map(|(_, asked)| asked);
        let mut fields = asked.unwrap_or_default().trim_end().split('&');
        let reason = fields.next().unwrap_or_default();
        let query = match reason {
            "authfailed" | "nosuchuser" => return Err(AuthError::Wrong),
            "needauth" => {
                let fields: Vec<_> = fields.filter_map(|pair| pair.split_once('=')).collect();
                let field = |name| fields.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
                let (salt, opaque) = (field("salt").unwrap_or_default(), field("opaque"));
                let given = opaque.or(field("challenge")).ok_or(AuthError::Unreadable)?;
                let own = format!("{:016x}", u64::from_be_bytes(own));
                let response = auth_response(user, salt, &credentials.password, given, &own);
                let back = opaque.map_or(String::new(), |opaque| format!("&opaque={opaque}"));
                format!("{AUTHMOD}{ADOBE}&user={user}&challenge={own}&response={response}{back}")
            }
            _ if description.contains("need auth") => format!("{AUTHMOD}{ADOBE}&user={user}"),
            _ => return Err(AuthError::Unreadable),
        };
        match self.connections < MAX_CONNECTIONS {
            true => Ok(ClientLogin {
                query,
                connections: self.connections + 1,
            }),
            false => Err(AuthError::Endless),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(query: &str) -> (String, Option<AuthRequest>) {
        let mut rest = query.to_owned();
        let request = AuthRequest::take(&mut rest);
        (rest, request)
    }

    #[test]
    fn what_a_client_says_is_taken_out_of_its_query() {
        let (rest, request) = taken("a=1?authmod=adobe&user=ann");
        let request = request.unwrap();
        assert_eq!(
            (&*rest, &*request.user, request.answer),
            ("a=1", "ann", None)
        );
        let (rest, request) =
            taken("authmod=adobe&user=ann&challenge=c==&response=r+/=&opaque=o&key=k&user=bob");
        let answer = AuthAnswer {
            challenge: "c==".to_owned(),
            response: "r+/=".to_owned(),
            opaque: "o".to_owned(),
        };
        let request = request.unwrap();
        assert_eq!((&*rest, &*request.user), ("key=k", "ann"));
        assert_eq!(request.answer, Some(answer));
        // Part of an answer is one.
        let (_, request) = taken("authmod=adobe&response=r");
        let request = request.unwrap();
        assert_eq!(request.user, "");
        assert_eq!(request.answer.unwrap().response, "r");
        let (rest, request) = taken("authmod=llnw&user=ann");
        assert_eq!((&*rest, request.unwrap().is_adobe()), ("", false));
        for none in ["", "user=ann", "xauthmod=adobe", "key=authmod=adobe"] {
            assert_eq!(taken(none), (none.to_owned(), None));
        }
    }

    /// Hashed by other programs (`openssl md5 -binary | base64`), step by step.
    #[test]
    fn a_response_is_what_other_programs_compute() {
        let response = auth_response("ann", "salt", &"secret".into(), "opaque", "own");
        assert_eq!(hash(&["ann", "salt", "secret"]), SALTED);
        assert_eq!(response, RESPONSE);
    }

    const SALTED: &str = "Vp8GD+gjlTgtotvt2VjngQ==";
    const RESPONSE: &str = "Mh2JUuaNT7q1CXqx8yHHcQ==";

    /// librtmp 2.4 (Debian 12), on the wire.
    #[test]
    fn a_response_is_what_librtmp_answers() {
        let opaque = "000000000000000000000609b87d730a11ee59f8663ba4b6";
        let response = auth_response("ann", "3e36d9fd", &"s3cret".into(), opaque, "rOH4Qw==");
        assert_eq!(response, "8C5aL8QYjrbGt5L5rCJ9aw==");
    }

    #[test]
    fn a_client_answers_each_demand_of_a_server() {
        let credentials = Credentials {
            user: "ann".to_owned(),
            password: "secret".into(),
        };
        let first = ClientLogin::default();
        let next = |auth: &ClientLogin, text: &str| auth.next(Some(&credentials), text, [7; 8]);
        assert_eq!(next(&first, "no such app"), None);
        let named = next(&first, &AuthDemand::Name.to_string())
            .unwrap()
            .unwrap();
        assert_eq!(named.behind("live"), "live?authmod=adobe&user=ann");
        assert_eq!(named.behind("live?a=1"), "live?a=1&authmod=adobe&user=ann");
        let demand = AuthDemand::Password {
            user: "ann",
            salt: "salt",
            challenge: "challenge",
            opaque: "opaque",
        };
        let shows = next(&named, &demand.to_string()).unwrap().unwrap();
        let (_, request) = taken(&shows.query);
        let answer = request.unwrap().answer.unwrap();
        assert_eq!(answer.opaque, "opaque");
        assert_eq!(
            answer.response,
            auth_response("ann", "salt", &"secret".into(), "opaque", &answer.challenge)
        );
        // A server that gives nothing to give back.
        let text = "[ authmod=adobe ] : ?reason=needauth&user=ann&salt=s&challenge=c";
        let shows = next(&named, text).unwrap().unwrap();
        let answer = taken(&shows.query).1.unwrap().answer.unwrap();
        assert_eq!(answer.opaque, "");
        assert_eq!(
            answer.response,
            auth_response("ann", "s", &"secret".into(), "c", &answer.challenge)
        );
    }

    #[test]
    fn a_client_knows_when_it_is_of_no_use() {
        let credentials = Credentials {
            user: "ann".to_owned(),
            password: "secret".into(),
        };
        let first = ClientLogin::default();
        let asked = AuthDemand::Name.to_string();
        assert_eq!(
            first.next(None, &asked, [0; 8]),
            Some(Err(AuthError::NoCredentials))
        );
        let next = |text: &str| first.next(Some(&credentials), text, [0; 8]).unwrap();
        assert_eq!(next(&AuthDemand::Wrong.to_string()), Err(AuthError::Wrong));
        assert_eq!(
            next("[ authmod=adobe ] : ?reason=nosuchuser"),
            Err(AuthError::Wrong)
        );
        assert_eq!(
            next("[ code=403 need auth; authmod=llnw ]"),
            Err(AuthError::Module("llnw".to_owned()))
        );
        for text in ["authmod=adobe", "authmod=adobe ?reason=needauth&salt=s"] {
            assert_eq!(next(text), Err(AuthError::Unreadable), "{text}");
        }
        let mut auth = first.clone();
        for _ in 0..MAX_CONNECTIONS {
            auth = auth
                .next(Some(&credentials), &asked, [0; 8])
                .unwrap()
                .unwrap();
        }
        let endless = auth.next(Some(&credentials), &asked, [0; 8]);
        assert_eq!(endless, Some(Err(AuthError::Endless)));
    }

    /// FFmpeg reads 255 characters of a description.
    #[test]
    fn a_demand_is_short() {
        let demand = AuthDemand::Password {
            user: &"u".repeat(64),
            salt: &"s".repeat(8),
            challenge: &"c".repeat(8),
            opaque: &"o".repeat(48),
        };
        assert!(demand.to_string().len() <= 255);
    }
}
