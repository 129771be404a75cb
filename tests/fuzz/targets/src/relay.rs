//! Where relays lead: URLs with places for a stream's name, and redirects.
//!
//! - A stream's name changes neither scheme, user, host nor port, and where it fills a
//!   segment it fills that one only.
//! - What is shown of it holds no query, no user and no password.
//! - A redirect leads to the same stream, from TLS to TLS, and takes neither query nor
//!   user to another server.

use arbitrary::Unstructured;
use openrtmp_core::internals::RelayUrl;
use openrtmp_protocol::{RtmpUrl, StreamName};

use crate::input::{Piece, take};

/// A rule's URL, a stream's path, and where the other server sends us.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let template = take::<Piece<'_>>(&mut input).text();
    let path = take::<Piece<'_>>(&mut input).text();
    let redirect = String::from_utf8_lossy(input.take_rest()).into_owned();
    let Some(rule) = RelayUrl::parse(&template) else {
        return;
    };
    let shown = rule.to_string();
    assert!(!shown.contains('?'), "{shown}");
    let plain = rule.of("app/name").expect("it was checked with this");
    if plain.credentials.is_some() {
        let (_, rest) = shown.split_once("://").expect("a URL");
        let authority = rest.split('/').next().unwrap_or_default();
        assert!(!authority.contains('@'), "{shown}");
    }
    let name = StreamName::join("", &path);
    if name.reveal().is_empty() {
        return;
    }
    // A name that is longer than what it stands for may be no URL; it is never another.
    let Some(url) = rule.of(name.reveal()) else {
        return;
    };
    assert_eq!(
        (url.tls, &url.host, url.port, &url.credentials),
        (plain.tls, &plain.host, plain.port, &plain.credentials)
    );
    let segments = |app: &str| app.split('/').filter(|s| !s.is_empty()).count();
    if !template.contains("{app}") {
        assert_eq!(
            segments(&url.app),
            segments(&plain.app),
            "{template} {path}"
        );
    }
    if let Ok(elsewhere) = url.redirected(&redirect) {
        leads_elsewhere(&url, &redirect, &elsewhere);
    }
}

fn leads_elsewhere(url: &RtmpUrl, redirect: &str, elsewhere: &RtmpUrl) {
    let parts = |url: &RtmpUrl| {
        let (name, query) = url.stream.split_once('?').unwrap_or((&url.stream, ""));
        (name.to_owned(), query.to_owned())
    };
    let ((name, _), (name_there, query_there)) = (parts(url), parts(elsewhere));
    assert_eq!(name_there, name, "{redirect}");
    assert!(elsewhere.tls || !url.tls, "{redirect}");
    if !url.is_same_server(elsewhere) {
        assert!(
            query_there.is_empty() || redirect.contains(&query_there),
            "{redirect}"
        );
        let user = elsewhere.credentials.as_ref();
        assert!(user.is_none() || redirect.contains('@'), "{redirect}");
    }
}
