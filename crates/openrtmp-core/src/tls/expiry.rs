//! Certificates that come to their end, and who is told when.

use std::time::{Duration, SystemTime};

use super::ServerTls;
use super::identity::{Identity, Keeper, span};
use crate::metrics::CertificateMetrics;

const DAY: Duration = Duration::from_secs(86_400);

/// Before the end of a certificate people are told at these times, the last of all
/// closest to it; none of a certificate that lives no more than four times as long: who
/// has that renewed does so later.
const WARNINGS: [Duration; 3] = [
    Duration::from_secs(30 * 86_400),
    Duration::from_secs(7 * 86_400),
    DAY,
];

/// Beyond this share of a life no warning makes sense.
const LIVES: u32 = 4;

/// One that lives too short for any of these, and one that an authority gives by itself,
/// should have been renewed when a third of its life was left. People are told when it is
/// this part.
const OVERDUE: u32 = 6;

/// The longest wait between two looks: the wall clock may be set meanwhile.
const LONGEST_WAIT: Duration = DAY;

/// A certificate about which somebody is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    /// Whose it is.
    pub(crate) certificate: String,
    /// Where it comes from.
    pub(crate) source: String,
    /// From now on; zero if it has expired.
    pub(crate) left: Duration,
}

/// How much people were told of each certificate: of so many warnings, and of its end.
#[derive(Debug, Default)]
pub(crate) struct Told(Vec<usize>);

impl Identity {
    /// The warnings that apply to it.
    fn warnings(&self) -> impl Iterator<Item = Duration> + Clone + use<> {
        let life = self.certificate.life();
        let is_renewed = self.keeper == Keeper::Acme;
        let usual = WARNINGS.into_iter();
        let usual = usual.filter(move |w| !is_renewed && *w * LIVES < life);
        let overdue = usual.clone().next().is_none().then_some(life / OVERDUE);
        usual.chain(overdue)
    }

    fn left(&self, now: SystemTime) -> Duration {
        self.certificate
            .not_after
            .duration_since(now)
            .unwrap_or_default()
    }

    /// One of this server's making is made anew before anybody is warned.
    pub(super) fn needs_renewal(&self, now: SystemTime) -> bool {
        self.keeper == Keeper::Server && self.left(now) <= WARNINGS[0]
    }
}

impl ServerTls {
    /// True if a certificate of this server's making is to be made anew.
    pub(crate) fn needs_renewal(&self, now: SystemTime) -> bool {
        self.identities()
            .iter()
            .any(|identity| identity.needs_renewal(now))
    }

    /// When each is over.
    pub(crate) fn expiries(&self) -> Vec<CertificateMetrics> {
        let of = |identity: &Identity| {
            let after = &identity.certificate.not_after;
            let since = after.duration_since(SystemTime::UNIX_EPOCH);
            CertificateMetrics {
                certificate: identity.certificate.label(),
                source: identity.source.clone(),
                expires_at: since.unwrap_or_default().as_secs(),
            }
        };
        self.identities().iter().map(of).collect()
    }

    /// What people are to be told by now and were not yet, and when to look again.
    pub(crate) fn notices(&self, told: &mut Told, now: SystemTime) -> (Vec<Notice>, Duration) {
        let mut notices = Vec::new();
        let mut wait = LONGEST_WAIT;
        told.0.resize(self.identities().len(), 0);
        for (identity, told) in self.identities().iter().zip(&mut told.0) {
            let left = identity.left(now);
            // Its end is the last of what there is to tell.
            let steps = identity.warnings().chain([Duration::ZERO]);
            let come = steps.clone().filter(|step| left <= *step).count();
            if come > *told {
                *told = come;
                notices.push(identity.notice(left));
            }
            for step in steps.filter(|step| left > *step) {
                wait = wait.min(left - step);
            }
        }
        (notices, wait)
    }

    /// Those that have expired.
    pub(crate) fn expired(&self, now: SystemTime) -> Vec<Notice> {
        let identities = self.identities().iter();
        let expired = identities.filter(|identity| identity.left(now).is_zero());
        expired
            .map(|identity| identity.notice(Duration::ZERO))
            .collect()
    }
}

impl Identity {
    fn notice(&self, left: Duration) -> Notice {
        Notice {
            certificate: self.certificate.label(),
            source: self.source.clone(),
            left,
        }
    }
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Notice {
            certificate,
            source,
            left,
        } = self;
        match left.is_zero() {
            true => write!(
                f,
                "the certificate for {certificate} ({source}) has expired"
            ),
            false => write!(
                f,
                "the certificate for {certificate} ({source}) expires in {}",
                span(*left)
            ),
        }
    }
}
