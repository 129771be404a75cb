//! One certificate: from the account to the file.

use std::fmt::Display;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use instant_acme::{
    Account, AccountCredentials, AuthorizationHandle, AuthorizationStatus, ChallengeStatus,
    ChallengeType, Error, ExternalAccountKey, Identifier, KeyAuthorization, NewAccount, NewOrder,
    OrderStatus,
};
use openrtmp_core::{AcmeChallenge, AcmeConfig, CertificateConfig, CertificateInfo, Pem, Server};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use serde::{Deserialize, Serialize};

use super::answers::{Answers, Tokens};
use super::authority::{Failure, Https, step};
use super::pause::Pause;
use super::storage::{ACCOUNT, ORDER, Storage};

/// For an authority to look at all names, and to make a certificate.
const ORDER_TIME: Duration = Duration::from_secs(600);

/// Between two looks at an order, the first time and at most.
const POLL: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(10)];

/// An order on its way, as it is kept. Its key is a secret, so it is not shown.
#[derive(Serialize, Deserialize)]
struct Kept {
    url: String,
    names: Vec<String>,
    /// Of the certificate, as PEM.
    key: String,
}

/// What it takes to obtain a certificate.
pub(super) struct Ordering<'a> {
    pub(super) server: &'a Server,
    pub(super) acme: &'a AcmeConfig,
    pub(super) storage: &'a Storage,
    pub(super) tokens: &'a Tokens,
    pub(super) pause: &'a Pause,
}

/// What there is to do for a name.
enum Task {
    Nothing,
    /// No challenge of the kind wanted.
    Missing(String),
    Answer {
        name: String,
        token: String,
        text: KeyAuthorization,
        is_ready: bool,
    },
}

impl Ordering<'_> {
    /// Obtains a certificate: it, those between it and its authority, and its key, as PEM.
    pub(super) fn obtain(&self) -> Result<String, Failure> {
        let https = Https::new(self.acme)?;
        match self.obtain_once(&https) {
            Err(Failure::NoAccount) => {
                log::warn!("ACME: the authority does not know the account of before: a new one");
                self.forget(ACCOUNT)?;
                self.forget(ORDER)?;
                self.obtain_once(&https)
            }
            result => result,
        }
    }

    fn obtain_once(&self, https: &Https) -> Result<String, Failure> {
        let account = self.account(https)?;
        let (mut order, key) = self.order(&account)?;
        let mut answers = Answers::new(self.server, self.tokens, self.acme.challenge);
        let pem = self.complete(&mut order, &key, &mut answers);
        // What was refused stays so.
        if matches!(pem, Err(Failure::Refused(_))) {
            self.forget(ORDER)?;
        }
        pem
    }

    fn here(&self, what: &str, error: &dyn Display) -> Failure {
        let folder = self.storage.folder().display();
        Failure::Here(format!("{what} in {folder}: {error}"))
    }

    fn forget(&self, name: &str) -> Result<(), Failure> {
        let forgotten = self.storage.forget(name);
        forgotten.map_err(|e| self.here(name, &e))
    }

    /// The account that is kept, or a new one.
    fn account(&self, https: &Https) -> Result<Account, Failure> {
        let builder = || Account::builder_with_http(Box::new(https.clone()));
        let kept = self.storage.read(ACCOUNT);
        if let Some(text) = kept.map_err(|e| self.here(ACCOUNT, &e))? {
            // It is read for each try, and the first time to know whether it can be.
            let read = || serde_json::from_str::<AccountCredentials>(&text);
            read().map(drop).map_err(|e| self.here(ACCOUNT, &e))?;
            return step(async || builder().from_credentials(read()?).await);
        }
        let mail = format!("mailto:{}", self.acme.email);
        let contact = if self.acme.email.is_empty() {
            &[][..]
        } else {
            &[&*mail]
        };
        let account = NewAccount {
            contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let external = self.external_account()?;
        let directory = &self.acme.directory;
        let (account, credentials) = step(async || {
            let made = builder().create(&account, directory.clone(), external.as_ref());
            made.await
        })?;
        let text = serde_json::to_string(&credentials).map_err(|e| self.here(ACCOUNT, &e))?;
        let written = self.storage.write(ACCOUNT, &text);
        written.map_err(|e| self.here(ACCOUNT, &e))?;
        log::info!("ACME: account {} at {directory}", account.id());
        Ok(account)
    }

    fn external_account(&self) -> Result<Option<ExternalAccountKey>, Failure> {
        let eab = &self.acme.eab;
        if eab.kid.is_empty() {
            return Ok(None);
        }
        let key = BASE64_URL_SAFE_NO_PAD.decode(eab.key.trim_end_matches('='));
        let key = key.map_err(|_| Failure::Here("tls.acme.eab.key is no base64url".to_owned()))?;
        Ok(Some(ExternalAccountKey::new(eab.kid.clone(), &key)))
    }

    /// The order that is on its way, or a new one, and the key of its certificate.
    fn order(&self, account: &Account) -> Result<(instant_acme::Order, KeyPair), Failure> {
        let names = self.names();
        if let Some((kept, key)) = self.kept_order(&names)? {
            let order = step(async || {
                let mut order = account.order(kept.url.clone()).await?;
                let is_over = order.state().status == OrderStatus::Invalid;
                Ok(Some(order).filter(|_| !is_over))
            });
            match order {
                Ok(Some(order)) => {
                    log::info!("ACME: goes on with the order of before");
                    return Ok((order, key));
                }
                Ok(None) | Err(Failure::Refused(_)) => self.forget(ORDER)?,
                Err(failure) => return Err(failure),
            }
        }
        let identifiers: Vec<_> = names.iter().cloned().map(Identifier::Dns).collect();
        let order = step(async || account.new_order(&NewOrder::new(&identifiers)).await)?;
        let key = KeyPair::generate().map_err(|e| self.here("a key", &e))?;
        let kept = Kept {
            url: order.url().to_owned(),
            names,
            key: key.serialize_pem(),
        };
        let text = serde_json::to_string(&kept).map_err(|e| self.here(ORDER, &e))?;
        let written = self.storage.write(ORDER, &text);
        written.map_err(|e| self.here(ORDER, &e))?;
        Ok((order, key))
    }

    /// The order that was on its way for these names. What cannot be read is none.
    fn kept_order(&self, names: &[String]) -> Result<Option<(Kept, KeyPair)>, Failure> {
        let text = self.storage.read(ORDER);
        let Some(text) = text.map_err(|e| self.here(ORDER, &e))? else {
            return Ok(None);
        };
        let kept = serde_json::from_str::<Kept>(&text).ok();
        let kept = kept.filter(|kept| kept.names == names);
        Ok(kept.and_then(|kept| {
            let key = KeyPair::from_pem(&kept.key).ok()?;
            Some((kept, key))
        }))
    }

    /// Sees an order through.
    fn complete(
        &self,
        order: &mut instant_acme::Order,
        key: &KeyPair,
        answers: &mut Answers<'_>,
    ) -> Result<String, Failure> {
        let end = Instant::now() + ORDER_TIME;
        if order.state().status == OrderStatus::Pending {
            self.answer(order, answers)?;
            self.poll(order, end, OrderStatus::Pending)?;
        }
        if order.state().status == OrderStatus::Ready {
            let request = self.request(key)?;
            step(async || order.finalize_csr(&request).await)?;
        }
        self.poll(order, end, OrderStatus::Processing)?;
        let chain = step(async || order.certificate().await)?
            .ok_or_else(|| Failure::Refused("it gives no certificate".to_owned()))?;
        let pem = format!("{}{chain}", key.serialize_pem());
        check(&pem, self.acme)?;
        Ok(pem)
    }

    /// Answers for all names that the authority has not looked at.
    fn answer(
        &self,
        order: &mut instant_acme::Order,
        answers: &mut Answers<'_>,
    ) -> Result<(), Failure> {
        let wanted = match self.acme.challenge {
            AcmeChallenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
            _ => ChallengeType::Http01,
        };
        for index in 0..order.state().authorizations.len() {
            let task = step(async || {
                look_at(order, index, async |mut authorization| {
                    let name = authorization.identifier().to_string();
                    if authorization.status != AuthorizationStatus::Pending {
                        return Ok(Task::Nothing);
                    }
                    let Some(challenge) = authorization.challenge(wanted.clone()) else {
                        return Ok(Task::Missing(name));
                    };
                    Ok(Task::Answer {
                        name,
                        token: challenge.token.clone(),
                        text: challenge.key_authorization(),
                        is_ready: challenge.status != ChallengeStatus::Pending,
                    })
                })
                .await
            })?;
            let is_ready = match task.unwrap_or(Task::Nothing) {
                Task::Nothing => continue,
                Task::Missing(name) => {
                    let why = format!("it does not look for {name} that way: tls.acme.challenge");
                    return Err(Failure::Refused(why));
                }
                Task::Answer {
                    name,
                    token,
                    text,
                    is_ready,
                } => {
                    answers.give(&name, &token, &text)?;
                    is_ready
                }
            };
            if !is_ready {
                step(async || {
                    look_at(order, index, async |mut authorization| match authorization
                        .challenge(wanted.clone())
                    {
                        Some(mut challenge) => challenge.set_ready().await,
                        None => Ok(()),
                    })
                    .await
                })?;
            }
        }
        Ok(())
    }

    /// Waits for an order to be no longer what it is.
    fn poll(
        &self,
        order: &mut instant_acme::Order,
        end: Instant,
        status: OrderStatus,
    ) -> Result<(), Failure> {
        let [mut wait, longest] = POLL;
        loop {
            step(async || order.refresh().await.map(drop))?;
            let now = order.state().status;
            if now == OrderStatus::Invalid {
                return Err(Failure::Refused(why(order)?));
            }
            if now != status {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(Failure::Unreachable("it takes too long".to_owned()));
            }
            self.pause.sleep(wait)?;
            wait = (wait * 2).min(longest);
        }
    }

    /// The request for a certificate (RFC 2986).
    fn request(&self, key: &KeyPair) -> Result<Vec<u8>, Failure> {
        let failed = |e| self.here("a request for a certificate", &e);
        let mut params = CertificateParams::new(self.names()).map_err(failed)?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(key).map_err(failed)?;
        Ok(request.der().to_vec())
    }

    fn names(&self) -> Vec<String> {
        let names = self.acme.domains.iter();
        names.map(|name| name.to_lowercase()).collect()
    }
}

/// Looks at what an authority gave, before it takes the place of what is there.
fn check(pem: &str, acme: &AcmeConfig) -> Result<(), Failure> {
    let text = Pem::Text(pem.to_owned());
    let given = CertificateConfig::new(text.clone(), text);
    let checked = CertificateInfo::check(&given, SystemTime::now());
    let info = checked.map_err(|e| Failure::Refused(format!("what it gives is wrong: {e}")))?;
    match is_for(&info, acme) {
        true => Ok(()),
        false => {
            let names = info.names.join(", ");
            let why = format!("its certificate is for other names: {names}");
            Err(Failure::Refused(why))
        }
    }
}

/// True if a certificate is for all names that are wanted, and for no other.
pub(super) fn is_for(info: &CertificateInfo, acme: &AcmeConfig) -> bool {
    let sorted = |names: &[String]| {
        let mut names: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
        names.sort();
        names.dedup();
        names
    };
    sorted(&info.names) == sorted(&acme.domains)
}

/// Looks at one of an order's names. `None` if it has fewer.
async fn look_at<T>(
    order: &mut instant_acme::Order,
    index: usize,
    look: impl AsyncFnOnce(AuthorizationHandle<'_>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let mut all = order.authorizations();
    let mut left = index;
    while let Some(authorization) = all.next().await {
        let authorization = authorization?;
        if left == 0 {
            return look(authorization).await.map(Some);
        }
        left -= 1;
    }
    Ok(None)
}

/// What the authority says of an order that came to nothing.
fn why(order: &mut instant_acme::Order) -> Result<String, Failure> {
    let mut reasons = Vec::new();
    for index in 0..order.state().authorizations.len() {
        let reason = step(async || {
            look_at(order, index, async |authorization| {
                let mut challenges = authorization.challenges.iter();
                let problem = challenges.find_map(|challenge| challenge.error.as_ref());
                let name = authorization.identifier().to_string();
                Ok(problem.map(|problem| format!("{name}: {problem}")))
            })
            .await
        });
        reasons.extend(reason?.flatten());
    }
    match (reasons.is_empty(), &order.state().error) {
        (true, Some(problem)) => Ok(problem.to_string()),
        (true, None) => Ok("it says no more than that".to_owned()),
        _ => Ok(reasons.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate for names, and its key.
    fn made(names: &[&str], days: u32) -> (String, String) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("names");
        let day = Duration::from_secs(86_400);
        let begin = SystemTime::now() - day * 30;
        params.not_before = begin.into();
        params.not_after = (begin + day * days).into();
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    #[test]
    fn what_an_authority_gives_is_looked_at_before_it_is_used() {
        let names = ["Live.example.org", "www.example.org"];
        let mut acme = AcmeConfig::default();
        acme.domains = names.map(str::to_owned).to_vec();
        let (right, key) = made(&["www.example.org", "live.example.org"], 90);
        assert!(check(&format!("{key}{right}"), &acme).is_ok());
        let (other, other_key) = made(&["live.example.org"], 90);
        let (more, more_key) = made(&["live.example.org", "www.example.org", "x.org"], 90);
        let (over, over_key) = made(&["live.example.org", "www.example.org"], 20);
        for (pem, why) in [
            (
                format!("{other_key}{other}"),
                "for other names: live.example.org",
            ),
            (format!("{more_key}{more}"), "x.org"),
            (format!("{over_key}{over}"), "expired"),
            (format!("{other_key}{right}"), "is not the key"),
            (key, "no certificate"),
            ("<html>".to_owned(), "no certificate"),
        ] {
            let error = check(&pem, &acme).expect_err(why);
            assert!(matches!(error, Failure::Refused(_)), "{error}");
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
