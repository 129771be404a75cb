//! What a peer showed of itself.

use serde::Serialize;

/// The certificate of a peer, whose authority or pin was checked, and whose key it has
/// (`tls.client_auth`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PeerCertificate {
    /// The common name of its subject, if it has one.
    pub common_name: Option<String>,
    /// The names it is for (subject alternative names): hosts, addresses, mailboxes and
    /// URIs, at most 64.
    pub names: Vec<String>,
    /// The pin of its key, `sha256//BASE64`.
    pub pin: String,
}

impl PeerCertificate {
    /// Bytes that it holds.
    pub(crate) fn held_bytes(&self) -> usize {
        let texts = self
            .names
            .iter()
            .chain(&self.common_name)
            .chain([&self.pin]);
        let held = texts.map(|text| text.capacity() + size_of::<String>());
        size_of::<PeerCertificate>() + held.sum::<usize>()
    }
}
