//! A certificate that this server makes for itself.
//!
//! Its key lasts: it is kept in a folder, so that a pin of it stays good however often
//! the certificate is made anew, for other addresses or because it was about to expire.

use std::fs;
use std::io;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::sign::CertifiedKey;

use super::TlsError;
use super::identity::{Identity, Keeper};
use super::x509::Certificate;
use crate::private_file;
use crate::regular_file;

/// How long one is good. Browsers and Apple's systems take none of more than 398 days.
const LIFE: Duration = Duration::from_secs(397 * 86_400);

/// How far clocks of others may be behind.
const LENIENCE: Duration = Duration::from_secs(86_400);

/// The key's name in the folder.
const KEY_FILE: &str = "self-signed.key";

/// Makes a certificate for this machine: its names and its addresses.
pub(super) fn make(
    addresses: &[IpAddr],
    directory: Option<&Path>,
    provider: &CryptoProvider,
    now: SystemTime,
) -> Result<Identity, TlsError> {
    let failed = |error: &dyn std::fmt::Display| TlsError::SelfSigned(error.to_string());
    let (der, source) = match directory {
        Some(directory) => {
            let file = directory.join(KEY_FILE);
            let der = kept_key(&file)
                .map_err(|error| TlsError::SelfSigned(format!("{}: {error}", file.display())))?;
            (
                der,
                format!("made here, with the key in {}", file.display()),
            )
        }
        None => (new_key().map_err(|e| failed(&e))?, "made here".to_owned()),
    };
    let pkcs8 = PrivatePkcs8KeyDer::from(der);
    let key = KeyPair::try_from(&pkcs8).map_err(|e| {
        let file = directory.map(|d| d.join(KEY_FILE)).unwrap_or_default();
        TlsError::SelfSigned(format!("{} holds no key: {e}", file.display()))
    })?;
    let mut names = vec!["localhost".to_owned()];
    names.extend(host_name());
    names.extend(addresses.iter().map(ToString::to_string));
    names.dedup();
    let mut params = CertificateParams::new(names).map_err(|e| failed(&e))?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "OpenRTMP");
    params.not_before = (now - LENIENCE).into();
    params.not_after = (now + LIFE - LENIENCE).into();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&key).map_err(|e| failed(&e))?;
    let chain = vec![certificate.der().clone()];
    let read = Certificate::read(certificate.der())
        .ok_or_else(|| TlsError::SelfSigned("it cannot be read".to_owned()))?;
    let certified =
        CertifiedKey::from_der(chain, pkcs8.into(), provider).map_err(|e| failed(&e))?;
    Ok(Identity {
        certified: Arc::new(certified),
        certificate: Arc::new(read),
        source,
        keeper: Keeper::Server,
    })
}

/// The machine's own name, if it can stand in a certificate.
fn host_name() -> Option<String> {
    let name = gethostname::gethostname().into_string().ok()?;
    let is_fit = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    (!name.is_empty() && name != "localhost" && name.chars().all(is_fit)).then_some(name)
}

/// A key of P-256, as PKCS #8.
fn new_key() -> Result<Vec<u8>, rcgen::Error> {
    KeyPair::generate().map(|key| key.serialize_der())
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut key = Vec::new();
    let mut open = regular_file::open(file)?;
    if is_open_to_others(&open.metadata()?) {
        log::warn!(
            "{}: others than its owner may read this key",
            file.display()
        );
    }
    open.read_to_end(&mut key)?;
    Ok(key)
}

#[cfg(unix)]
fn is_open_to_others(file: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o077 != 0
}

#[cfg(not(unix))]
fn is_open_to_others(_: &fs::Metadata) -> bool {
    false
}

/// The key in a file, which is made if it is not there yet.
fn kept_key(file: &Path) -> io::Result<Vec<u8>> {
    match read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read,
    }
    let key = new_key().map_err(io::Error::other)?;
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    match private_file::create(file, &key) {
        // Another server may have been quicker: its key is the one that lasts.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => read(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_key_that_is_kept_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        let key = kept_key(&file).expect("it is made");
        let is_open = || is_open_to_others(&fs::metadata(&file).expect("it is there"));
        assert!(!is_open());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("it is ours");
        assert!(is_open(), "the log tells");
        assert_eq!(kept_key(&file).expect("it is read"), key);
    }

    #[test]
    fn the_key_stays_and_the_certificate_follows_the_addresses() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state");
        let provider = rustls::crypto::ring::default_provider();
        let now = SystemTime::now();
        let made = |addresses: &[IpAddr]| {
            make(addresses, Some(&state), &provider, now).expect("a certificate")
        };
        let one = made(&["127.0.0.1".parse().expect("an address")]);
        let other = made(&["10.0.0.7".parse().expect("an address")]);
        assert_eq!(one.certificate.pin, other.certificate.pin);
        assert!(one.certificate.names.contains(&"127.0.0.1".to_owned()));
        assert!(other.certificate.names.contains(&"10.0.0.7".to_owned()));
        assert!(one.certificate.names.contains(&"localhost".to_owned()));
        assert!(one.certificate.not_before < now && one.certificate.not_after > now);
        let files: Vec<_> = fs::read_dir(&state).expect("the folder").collect();
        assert_eq!(files.len(), 1, "nothing is left behind");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(state.join(KEY_FILE))
                .expect("the key")
                .permissions();
            assert_eq!(mode.mode() & 0o777, 0o600);
        }
        let without = make(&[], None, &provider, now).expect("a certificate");
        assert_ne!(without.certificate.pin, one.certificate.pin);
    }

    #[test]
    fn a_key_file_that_holds_none_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(KEY_FILE), "junk").expect("a file");
        let provider = rustls::crypto::ring::default_provider();
        let error = make(&[], Some(folder.path()), &provider, SystemTime::now());
        let text = error.expect_err("no key").to_string();
        assert!(text.contains(KEY_FILE), "{text}");
    }
}
