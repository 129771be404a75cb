//! Certificates by the handle of a server.

use std::sync::Arc;

use super::{ClientTls, ServerTls, Surroundings, TlsError};
use crate::config::{CertificateConfig, Config, Pem, TlsConfig};
use crate::inbox::Command;
use crate::interfaces::local_addresses;
use crate::reconfigure::ReconfigureError;
use crate::server::Server;
use crate::shared::Shared;
use crate::sync::lock;

impl Server {
    /// Reads the certificates again that the settings name, for connections from now on;
    /// those that there are go on with theirs. True if what listeners show is another than
    /// before. What connections to other servers believe and show is read again as well.
    ///
    /// # Errors
    /// What is wrong with a file. Then those in use stay.
    pub fn reload_certificates(&self) -> Result<bool, TlsError> {
        let _turn = lock(&self.reconfiguring);
        let _here = self.works_for();
        self.shared.renew_client_tls()?;
        let current = lock(&self.shared.tls).clone().ok_or(TlsError::NotSpoken)?;
        let config = self.config();
        let here = self.shared.surroundings();
        let renewed = self.shared.renew_tls(&config.tls, &here, &current)?;
        if renewed {
            log::info!("certificates read again, others than before");
        }
        Ok(renewed)
    }

    /// Gives listeners with TLS another certificate, as PEM, for connections from now on:
    /// it with those between it and its authority, and its private key. It takes the
    /// place of `tls.certificate` and `tls.key`.
    ///
    /// # Errors
    /// What is wrong with it, or that no listener speaks TLS. Then the one in use stays.
    pub fn set_certificate(&self, chain: &str, key: &str) -> Result<(), ReconfigureError> {
        if lock(&self.shared.tls).is_none() {
            return Err(ReconfigureError::Start(TlsError::NotSpoken.into()));
        }
        let mut config = Config::clone(&self.config());
        config.tls.certificate = Some(Pem::Text(chain.to_owned()));
        config.tls.key = Some(Pem::Text(key.to_owned()));
        self.reconfigure(config).map(drop)
    }

    /// Shows a certificate to the authority that asks whether `name` leads here, by
    /// TLS-ALPN-01 (RFC 8737): one for that name alone, signed with its own key, with the
    /// extension `acmeIdentifier`. It is shown to clients that offer the protocol
    /// `acme-tls/1` and no other; everybody else is served as always. `None` ends it.
    ///
    /// Any thread; connections that come from now on.
    ///
    /// # Errors
    /// What is wrong with it. Then the answer of before stays.
    pub fn set_challenge_certificate(
        &self,
        name: &str,
        certificate: Option<&CertificateConfig>,
    ) -> Result<(), TlsError> {
        let now = self.shared.time_of_day();
        lock(&self.shared.challenges).set(name, certificate, now)
    }

    /// SHA-256 of the certificate that is shown to clients that name no host, as
    /// hexadecimal bytes with colons between them. `None` if no listener speaks TLS, or there
    /// is no certificate yet ([`AcmeConfig`](crate::AcmeConfig)).
    pub fn certificate_fingerprint(&self) -> Option<String> {
        lock(&self.shared.tls).as_ref()?.fingerprint()
    }

    /// What rustls needs to speak TLS on connections of another protocol, with the
    /// certificates of this server as they are now; to be asked for each. `protocols`: what
    /// can be spoken, the best first (ALPN). `None` if nobody said that TLS is spoken
    /// (`listen`, `http.listen`).
    #[doc(hidden)]
    pub fn tls_for(&self, protocols: &[&[u8]]) -> Option<Arc<rustls::ServerConfig>> {
        let tls = lock(&self.shared.tls).clone()?;
        Some(tls.for_protocols(protocols))
    }

    /// The pin of the key of that certificate, `sha256//BASE64`: what clients may be given
    /// in place of an authority. It stays the same when the certificate is renewed with
    /// the same key. `None` as above.
    pub fn certificate_pin(&self) -> Option<String> {
        lock(&self.shared.tls).as_ref()?.pin()
    }

    /// The files that the settings of TLS name: for who watches them, to call
    /// [`Server::reload_certificates`] when one changes.
    pub fn certificate_files(&self) -> Vec<std::path::PathBuf> {
        super::server::files(&self.config().tls)
    }

    /// What other settings make of TLS; `None` if no listener speaks it.
    pub(crate) fn prepare_tls(
        &self,
        before: &Config,
        config: &Config,
    ) -> Result<Option<Arc<ServerTls>>, TlsError> {
        if !config.speaks_tls() {
            return Ok(None);
        }
        let current = lock(&self.shared.tls).clone();
        if before.tls == config.tls && current.is_some() {
            return Ok(current);
        }
        let here = self.shared.surroundings();
        let tls = ServerTls::new(&config.tls, &here, current.as_deref())?;
        Ok(Some(Arc::new(tls)))
    }
}

impl Shared {
    fn surroundings(&self) -> Surroundings {
        Surroundings {
            addresses: local_addresses(),
            now: self.time_of_day(),
        }
    }

    /// The client's side of TLS, as the settings have it by now: for a server that is named
    /// here, or for one that another sends us to. Its files are read once: the authorities
    /// of a system are many.
    pub(crate) fn client_tls(&self, is_redirect: bool) -> Result<ClientTls, TlsError> {
        let named = self.config().tls.client.clone();
        let redirect = named.for_redirect();
        let wanted = if is_redirect { &redirect } else { &named };
        let mut kept = lock(&self.client_tls);
        if let Some((_, tls)) = kept.iter().find(|(of, _)| of == wanted) {
            return Ok(tls.clone());
        }
        let tls = ClientTls::new(wanted)?;
        kept.retain(|(of, _)| *of == named || *of == redirect);
        kept.push((wanted.clone(), tls.clone()));
        Ok(tls)
    }

    /// Reads its files again, if they were read.
    fn renew_client_tls(&self) -> Result<(), TlsError> {
        let mut kept = lock(&self.client_tls);
        let renewed: Result<Vec<_>, TlsError> = kept
            .iter()
            .map(|(config, _)| Ok((config.clone(), ClientTls::new(config)?)))
            .collect();
        *kept = renewed?;
        Ok(())
    }

    /// Builds what takes the place of `current`, and puts it there, unless it is the
    /// same or something else is there by now. True if it did.
    pub(crate) fn renew_tls(
        &self,
        config: &TlsConfig,
        here: &Surroundings,
        current: &Arc<ServerTls>,
    ) -> Result<bool, TlsError> {
        let renewed = ServerTls::new(config, here, Some(current))?;
        if renewed.shows_the_same(current) && config.client_auth == Default::default() {
            return Ok(false);
        }
        let mut tls = lock(&self.tls);
        let is_current = tls.as_ref().is_some_and(|tls| Arc::ptr_eq(tls, current));
        if is_current {
            *tls = Some(Arc::new(renewed));
            drop(tls);
            self.inboxes[0].send(Command::LookAtCertificates);
        }
        Ok(is_current)
    }
}
