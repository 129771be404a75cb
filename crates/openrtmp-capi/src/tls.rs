//! Certificates.

use std::ffi::c_char;

use crate::boundary;
use crate::convert::{OpenrtmpStr, borrow, check_buffer, copy_out, text};
use crate::error::Failure;
use crate::server::OpenrtmpServer;

/// Gives the server a certificate, as PEM text: it with those between it and its authority
/// behind it, and its private key. It takes the place of "tls.certificate" and "tls.key",
/// before a start too; of a running server, for those who connect from now on: connections
/// go on as they are. OPENRTMP_ERROR_IO tells what is wrong with it, and the one in use
/// stays.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_tls_set_certificate(
    server: *mut OpenrtmpServer,
    chain: OpenrtmpStr,
    key: OpenrtmpStr,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, chain, key) = unsafe { (borrow(server)?, text(chain)?, text(key)?) };
        server.set_certificate(chain, key)
    })
}

/// Shows a certificate, as PEM text, to the authority that asks whether name leads here, by
/// TLS-ALPN-01 (RFC 8737), from now on: one for that name alone, signed with its own key,
/// with the extension acmeIdentifier. It is shown to clients that offer acme-tls/1 and
/// nothing else; all others are served as always. An empty chain ends it. A server with names in
/// "tls.acme.domains" starts without a certificate; what an authority gave goes to
/// "tls.acme.storage" or to openrtmp_tls_set_certificate(). OPENRTMP_ERROR_IO tells what is
/// wrong.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_tls_set_challenge(
    server: *mut OpenrtmpServer,
    name: OpenrtmpStr,
    chain: OpenrtmpStr,
    key: OpenrtmpStr,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)?.running()? };
        // SAFETY: the contract of the header.
        let (name, chain, key) = unsafe { (text(name)?, text(chain)?, text(key)?) };
        set_challenge(&server, name, chain, key)
    })
}

/// Reads the files again that the settings of TLS name, for those who connect from now on:
/// connections go on as they are. OPENRTMP_ERROR_IO tells which file is not right, and
/// those in use stay. OPENRTMP_ERROR_STATE if no listener speaks TLS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_tls_reload(server: *mut OpenrtmpServer) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)?.running()? };
        reload(&server)
    })
}

/// Writes the pin of the key of the certificate that is shown to clients that name no host,
/// as "tls.client.pins" takes it. OPENRTMP_ERROR_STATE if no listener speaks TLS, or
/// there is no certificate yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_tls_pin(
    server: *const OpenrtmpServer,
    buffer: *mut c_char,
    capacity: usize,
    out_length: *mut usize,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)?.running()? };
        check_buffer(buffer, capacity)?;
        let pin = pin(&server)?;
        // SAFETY: the contract of the header.
        unsafe { copy_out(&pin, buffer, capacity, out_length) }
    })
}

#[cfg(feature = "tls")]
fn set_challenge(
    server: &openrtmp_core::Server,
    name: &str,
    chain: &str,
    key: &str,
) -> Result<(), Failure> {
    use openrtmp_core::{CertificateConfig, Pem};

    let (certificate, key) = (Pem::Text(chain.to_owned()), Pem::Text(key.to_owned()));
    let answer = CertificateConfig::new(certificate, key);
    let answer = (!chain.is_empty()).then_some(&answer);
    Ok(server.set_challenge_certificate(name, answer)?)
}

#[cfg(not(feature = "tls"))]
fn set_challenge(_: &openrtmp_core::Server, _: &str, _: &str, _: &str) -> Result<(), Failure> {
    Err(Failure::state("built without TLS"))
}

#[cfg(feature = "tls")]
fn reload(server: &openrtmp_core::Server) -> Result<(), Failure> {
    server.reload_certificates()?;
    Ok(())
}

#[cfg(not(feature = "tls"))]
fn reload(_: &openrtmp_core::Server) -> Result<(), Failure> {
    Err(Failure::state("built without TLS"))
}

#[cfg(feature = "tls")]
fn pin(server: &openrtmp_core::Server) -> Result<String, Failure> {
    server
        .certificate_pin()
        .ok_or_else(|| Failure::state("no listener speaks TLS, or there is no certificate yet"))
}

#[cfg(not(feature = "tls"))]
fn pin(_: &openrtmp_core::Server) -> Result<String, Failure> {
    Err(Failure::state("built without TLS"))
}

#[cfg(feature = "tls")]
impl From<openrtmp_core::TlsError> for Failure {
    fn from(error: openrtmp_core::TlsError) -> Failure {
        Failure::new(openrtmp_core::Coded::code(&error) as i32, error.to_string())
    }
}
