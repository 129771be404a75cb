//! Certificates that are about to expire: made anew if they are of our making, and told
//! of if they are not. On worker 0, where the listeners are.

use std::sync::Arc;

use openrtmp_protocol::Time;

use super::Worker;
use super::timers::Timer;
use crate::events::Event;
use crate::platform::Platform;
use crate::sync::lock;
use crate::tls::{Surroundings, Told};

/// What was told of the certificates that are shown.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    told: Told,
    armed: Option<Time>,
}

impl Certificates {
    /// Nothing was told yet.
    pub(super) fn begin_anew(&mut self) {
        self.told = Told::default();
    }
}

impl<P: Platform> Worker<P> {
    /// The timers were lost; what was told stays told.
    pub(super) fn watch_certificates_again(&mut self) {
        self.certificates.armed = None;
        self.context
            .timers
            .set(self.context.now, Timer::Certificates);
    }

    /// Tells of certificates what there is to tell by now, and sees to it that this is
    /// done again in time.
    pub(super) fn look_at_certificates(&mut self) {
        let shared = self.context.shared.clone();
        let Some(tls) = lock(&shared.tls).clone() else {
            return;
        };
        let now = self.context.platform.wall_clock();
        if tls.needs_renewal(now) {
            let interfaces = self.context.platform.interfaces().unwrap_or_default();
            let here = Surroundings {
                addresses: interfaces.iter().map(|i| i.address).collect(),
                now,
            };
            match shared.renew_tls(&shared.config().tls, &here, &tls) {
                Ok(_) => log::info!("the certificate of this server's making was made anew"),
                Err(error) => log::error!("{error}"),
            }
        }
        let tls = lock(&shared.tls)
            .clone()
            .unwrap_or_else(|| Arc::clone(&tls));
        let (notices, wait) = tls.notices(&mut self.certificates.told, now);
        for notice in notices {
            log::warn!("{notice}");
            self.context.emit(Event::CertificateExpires {
                certificate: notice.certificate,
                source: notice.source,
                left: notice.left,
            });
        }
        let (timers, armed) = (&mut self.context.timers, &mut self.certificates.armed);
        timers.disarm(Timer::Certificates, armed);
        timers.arm(Timer::Certificates, armed, self.context.now + wait);
    }
}
