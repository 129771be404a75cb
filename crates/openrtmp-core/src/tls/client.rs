//! What connections to other servers speak.

use std::sync::Arc;

use rustls::ClientConnection;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;

use super::identity::{certificates, private_key};
use super::{TlsError, UNSENT, trust};
use crate::config::TlsClientConfig;

/// The client's side of TLS, for any number of connections.
#[derive(Clone, Debug)]
pub(crate) struct ClientTls {
    config: Arc<rustls::ClientConfig>,
    insecure: bool,
}

impl ClientTls {
    pub(crate) fn new(config: &TlsClientConfig) -> Result<ClientTls, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let verifier = trust::servers(config, &provider)?;
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Other(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let client = match &config.certificate {
            Some(certificate) => {
                let chain = certificates(certificate)?;
                let key = private_key(config.key.as_ref().unwrap_or(certificate))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| TlsError::Given(format!("cannot be shown: {error}")))?
            }
            None => builder.with_no_client_auth(),
        };
        // Tests go on from a handshake with records of their own.
        #[cfg(test)]
        let client = {
            let mut client = client;
            client.enable_secret_extraction = true;
            client
        };
        Ok(ClientTls {
            config: Arc::new(client),
            insecure: config.insecure,
        })
    }

    /// The same, offering protocols (RFC 7301).
    #[cfg(test)]
    pub(crate) fn offering(&self, protocols: &[&[u8]]) -> ClientTls {
        let mut config = rustls::ClientConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        ClientTls {
            config: Arc::new(config),
            insecure: self.insecure,
        }
    }

    /// For a connection to a host, by the name or address that its certificate has to be
    /// for.
    pub(crate) fn connect(&self, host: &str) -> Result<rustls::Connection, TlsError> {
        if self.insecure {
            log::warn!("TLS to {host} is insecure: any certificate is taken");
        }
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        // A zone is this machine's own business (RFC 6874).
        let bare = bare.unwrap_or(host).split('%').next().unwrap_or_default();
        let name = ServerName::try_from(bare.trim_end_matches('.').to_owned())
            .map_err(|_| TlsError::HostName(host.to_owned()))?;
        let mut connection = ClientConnection::new(self.config.clone(), name)
            .map_err(|error| TlsError::Other(error.to_string()))?;
        connection.set_buffer_limit(Some(UNSENT));
        Ok(connection.into())
    }
}
