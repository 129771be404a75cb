//! Users with passwords: who somebody is, asked the way of Adobe's authentication add-in
//! (`authmod=adobe`, see [`AuthDemand`]).
//!
//! A challenge is made of numbers and a code over them and the user's name, so that nothing
//! is kept for whoever asks for one: only, of each of the latest challenges, whether it was
//! answered. An answer counts once, and for a while.

use std::fmt;
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use openrtmp_protocol::session::{AuthAnswer, AuthDemand, AuthRequest, auth_response};
use openrtmp_protocol::text::shown;
use openrtmp_protocol::{Credentials, Secret, Time};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::keys::is_equal;
use crate::config::{AccessConfig, Authenticate, UserConfig};
use crate::limit::Limit;
use crate::sync::{lock, read, write};

/// Bytes of a client's challenge that are read; other programs send 8 or 10.
const CHALLENGE_BYTES: usize = 64;

/// Of 80 bits and more it takes more tries than a server can answer to find one by chance.
const TAG_BYTES: usize = 12;

/// Who somebody is, as far as `connect` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Login {
    /// Nobody asked.
    #[default]
    Unasked,
    /// A user, who showed it.
    User(Arc<str>),
    /// It has to say more: the words of the question, for its program, and for people.
    Asked(String, Why),
    /// It says that it is this user, and it is not. Fit to be shown.
    Wrong(String),
}

/// Why somebody is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It did not say who it is, or not so that it is understood.
    Name,
    /// It said who it is.
    Password,
    /// It answered what it was not asked, was asked too long ago, or was answered.
    Again(Option<Limit>),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Name => "a user name and a password are asked for (authmod=adobe)",
            Why::Password => "the password is asked for",
            Why::Again(_) => "the password is asked for again: no answer to a challenge of now",
        })
    }
}

/// The users of a server, and its challenges.
pub(crate) struct Users {
    key: [u8; 32],
    present: RwLock<Present>,
    challenges: Mutex<Challenges>,
}

struct Present {
    users: Vec<(Arc<str>, Secret)>,
    authenticate: Authenticate,
    timeout: Duration,
}

/// Which of the latest challenges were answered.
struct Challenges {
    issued: u64,
    /// A bit for each, in a ring.
    answered: Vec<u64>,
}

impl Challenges {
    /// All answered, as far as anybody asks.
    fn new(count: usize, issued: u64) -> Challenges {
        Challenges {
            issued,
            answered: vec![u64::MAX; count.div_ceil(64).max(1)],
        }
    }

    fn place(&self, number: u64) -> (usize, u64) {
        let words = self.answered.len() as u64;
        ((number / 64 % words) as usize, 1 << (number % 64))
    }

    fn issue(&mut self) -> u64 {
        let number = self.issued;
        let (word, bit) = self.place(number);
        self.answered[word] &= !bit;
        self.issued += 1;
        number
    }

    /// True for the first answer to one of the latest.
    fn answer(&mut self, number: u64) -> Answer {
        let latest = 64 * self.answered.len() as u64;
        if number >= self.issued || self.issued - number > latest {
            return Answer::Forgotten;
        }
        let (word, bit) = self.place(number);
        let before = self.answered[word];
        self.answered[word] |= bit;
        match before & bit {
            0 => Answer::First,
            _ => Answer::Second,
        }
    }
}

#[derive(Debug, PartialEq)]
enum Answer {
    First,
    Second,
    Forgotten,
}

/// A challenge, as its client sees it.
struct Challenge {
    salt: String,
    challenge: String,
    opaque: String,
}

impl Users {
    /// `key`: random.
    pub(crate) fn new(key: [u8; 32], access: &AccessConfig, challenges: usize) -> Users {
        Users {
            key,
            present: RwLock::new(Present::of(access)),
            challenges: Mutex::new(Challenges::new(challenges, 0)),
        }
    }

    /// Other settings. Tells the users that are gone, or have another password.
    pub(crate) fn reconfigure(&self, access: &AccessConfig) -> Vec<Arc<str>> {
        let present = Present::of(access);
        let mut before = write(&self.present);
        let before = std::mem::replace(&mut *before, present);
        let stays = |(user, password): &(Arc<str>, Secret)| {
            let mut now = access.users.iter();
            now.any(|now| *now.user == **user && now.password == *password)
        };
        let gone = before.users.into_iter().filter(|user| !stays(user));
        gone.map(|(user, _)| user).collect()
    }

    /// How many challenges are known from now on: those before are forgotten.
    pub(crate) fn set_challenges(&self, count: usize) {
        let mut challenges = lock(&self.challenges);
        *challenges = Challenges::new(count, challenges.issued);
    }

    /// Whether who does this has to be a user. `publishes`: it says that it will.
    pub(crate) fn demands(&self, publishes: bool) -> bool {
        let present = self.read();
        !present.users.is_empty() && (publishes || present.authenticate == Authenticate::Everybody)
    }

    /// True if there is such a user.
    pub(crate) fn knows(&self, user: &str) -> bool {
        self.read().users.iter().any(|(known, _)| **known == *user)
    }

    /// Who somebody is that says this of itself.
    pub(crate) fn login(&self, now: Time, request: Option<&AuthRequest>) -> Login {
        let Some(request) = request.filter(|request| request.is_adobe()) else {
            return Login::Asked(AuthDemand::Name.to_string(), Why::Name);
        };
        let user = &*request.user;
        if !Credentials::is_user(user) {
            return Login::Wrong(shown(user).to_string());
        }
        let Some(answer) = &request.answer else {
            return self.ask(now, user, Why::Password);
        };
        let salt = match self.take_challenge(now, user, &answer.opaque) {
            Ok(salt) => salt,
            Err(limit) => return self.ask(now, user, Why::Again(limit)),
        };
        match self.is_right(user, &salt, answer) {
            Some(user) => Login::User(user),
            None => Login::Wrong(shown(user).to_string()),
        }
    }

    fn ask(&self, now: Time, user: &str, why: Why) -> Login {
        let number = lock(&self.challenges).issue();
        let Challenge {
            salt,
            challenge,
            opaque,
        } = self.challenge(number, now.as_millis(), user);
        let demand = AuthDemand::Password {
            user,
            salt: &salt,
            challenge: &challenge,
            opaque: &opaque,
        };
        Login::Asked(demand.to_string(), why)
    }

    /// The salt of a challenge of ours that nobody answered yet; else the limit that it is
    /// beyond, if it is one.
    fn take_challenge(&self, now: Time, user: &str, opaque: &str) -> Result<String, Option<Limit>> {
        let number = |range| u64::from_str_radix(opaque.get(range)?, 16).ok();
        let (Some(number), Some(at)) = (number(0..12), number(12..24)) else {
            return Err(None);
        };
        let challenge = self.challenge(number, at, user);
        let is_ours = challenge.opaque.as_bytes().ct_eq(opaque.as_bytes());
        if !bool::from(is_ours) {
            return Err(None);
        }
        let timeout = self.read().timeout.as_millis();
        if u128::from(now.as_millis().saturating_sub(at)) > timeout {
            return Err(Some(Limit::ChallengeTimeout));
        }
        match lock(&self.challenges).answer(number) {
            Answer::First => Ok(challenge.salt),
            Answer::Second => Err(None),
            Answer::Forgotten => Err(Some(Limit::Challenges)),
        }
    }

    fn challenge(&self, number: u64, at: u64, user: &str) -> Challenge {
        // 48 bits each: of challenges and of milliseconds enough for thousands of years.
        let front = format!("{:012x}{:012x}", number & MASK, at & MASK);
        let bytes = mac(&self.key, &[front.as_bytes(), user.as_bytes()]);
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        Challenge {
            salt: hex(&bytes[TAG_BYTES..TAG_BYTES + 4]),
            challenge: hex(&bytes[TAG_BYTES + 4..TAG_BYTES + 8]),
            opaque: front + &hex(&bytes[..TAG_BYTES]),
        }
    }

    /// The user, if the answer shows the password. The same is done for a user that there
    /// is not, and every user is looked at.
    fn is_right(&self, user: &str, salt: &str, answer: &AuthAnswer) -> Option<Arc<str>> {
        let present = self.read();
        let nobody = Secret::from("no password");
        let mut found = (None, &nobody);
        for (known, password) in &present.users {
            if is_equal(known, user) {
                found = (Some(known), password);
            }
        }
        let (known, password) = found;
        let own = &answer.challenge;
        let own = if own.len() > CHALLENGE_BYTES { "" } else { own };
        let expected = auth_response(user, salt, password, &answer.opaque, own);
        let is_right = is_equal(&expected, &answer.response) && !own.is_empty();
        known.filter(|_| is_right).cloned()
    }

    fn read(&self) -> RwLockReadGuard<'_, Present> {
        read(&self.present)
    }
}

const MASK: u64 = (1 << 48) - 1;

impl Present {
    fn of(access: &AccessConfig) -> Present {
        let users = access.users.iter().map(|user| {
            let UserConfig { user, password } = user;
            (Arc::from(&**user), password.clone())
        });
        Present {
            users: users.collect(),
            authenticate: access.authenticate,
            timeout: access.challenge_timeout,
        }
    }
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mac) => mac,
        // A key of HMAC may have any length (RFC 2104 section 3).
        Err(_) => return [0; 32],
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests;
