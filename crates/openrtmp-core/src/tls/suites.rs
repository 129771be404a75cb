//! The names of cipher suites.

use rustls::crypto::ring;

/// The cipher suites of these names, or all if there are none; or what is wrong with one.
pub(crate) fn cipher_suites(names: &[String]) -> Result<Vec<rustls::SupportedCipherSuite>, String> {
    let all = ring::default_provider().cipher_suites;
    if names.is_empty() {
        return Ok(all);
    }
    // rustls writes TLS13_AES_128_GCM_SHA256 where IANA writes TLS_AES_128_GCM_SHA256.
    let iana = |suite: &rustls::SupportedCipherSuite| {
        format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1)
    };
    let find = |name: &String| {
        let found = all.iter().find(|suite| iana(suite) == *name).copied();
        found.ok_or_else(|| {
            let known: Vec<String> = all.iter().map(iana).collect();
            format!("names among {}", known.join(", "))
        })
    };
    names.iter().map(find).collect()
}
