//! URLs, and what they are called without the keys that are in them.

use std::collections::HashMap;

use openrtmp_media::hls::session::Variant;

/// What a URL ends with: before that may be keys, as there may be in its query, and in front of
/// its host (RFC 3986, 3.2.1).
pub(super) fn named(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or("");
    let path = path.split_once("://").map_or(path, |(_, rest)| {
        let host = rest.find('/').unwrap_or(rest.len());
        rest[..host].rfind('@').map_or(rest, |at| &rest[at + 1..])
    });
    let mut last: Vec<&str> = path.rsplit('/').take(2).collect();
    last.reverse();
    last.join("/")
}

/// What variants are called, each in its own way.
pub(super) fn names(variants: &[Variant]) -> Vec<String> {
    let mut times = HashMap::new();
    let name = |variant: &Variant| {
        let name = named(&variant.uri);
        let times = times.entry(name.clone()).or_insert(0);
        *times += 1;
        match *times {
            1 => name,
            times => format!("{name} ({times})"),
        }
    };
    variants.iter().map(name).collect()
}

/// A URI as it is meant where this URL was (RFC 3986, 5.2, as far as playlists need it).
pub(super) fn resolved(base: &str, uri: &str) -> String {
    let base = base.split(['?', '#']).next().unwrap_or("");
    let host = base.find("://").map_or(0, |at| at + 3);
    let end = base[host..].find('/').map_or(base.len(), |at| host + at);
    let is_scheme = |text: &str| text.bytes().all(|it| it.is_ascii_alphanumeric());
    if uri
        .split_once("://")
        .is_some_and(|(scheme, _)| is_scheme(scheme))
    {
        return uri.to_owned();
    }
    if uri.starts_with("//") {
        return format!("{}{uri}", &base[..host.saturating_sub(2)]);
    }
    if uri.starts_with('/') {
        return format!("{}{uri}", &base[..end]);
    }
    let folder = base[end..]
        .rfind('/')
        .map_or("/", |at| &base[end..=end + at]);
    let mut segments: Vec<&str> = folder.split('/').collect();
    segments.pop();
    let mut rest = uri;
    loop {
        if let Some(up) = rest.strip_prefix("../") {
            if segments.len() > 1 {
                segments.pop();
            }
            rest = up;
        } else if let Some(here) = rest.strip_prefix("./") {
            rest = here;
        } else {
            break;
        }
    }
    format!("{}{}/{rest}", &base[..end], segments.join("/"))
}

pub(super) fn with_query(url: &str, directives: &str) -> String {
    match url.contains('?') {
        _ if directives.is_empty() => url.to_owned(),
        true => format!("{url}&{directives}"),
        false => format!("{url}?{directives}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_meant_where_their_playlist_is() {
        let base = "https://host:8080/v/token/live/cam/index.m3u8?key=a/b";
        for (uri, expected) in [
            ("e/v0.m3u8", "https://host:8080/v/token/live/cam/e/v0.m3u8"),
            ("./a.ts", "https://host:8080/v/token/live/cam/a.ts"),
            ("../x/a.ts?b=1", "https://host:8080/v/token/live/x/a.ts?b=1"),
            ("../../../../../a", "https://host:8080/a"),
            ("/live/v0.m3u8", "https://host:8080/live/v0.m3u8"),
            ("//cdn/a", "https://cdn/a"),
            ("http://other/a", "http://other/a"),
            (
                "a.ts?b=http://c",
                "https://host:8080/v/token/live/cam/a.ts?b=http://c",
            ),
        ] {
            assert_eq!(resolved(base, uri), expected, "{uri}");
        }
        assert_eq!(resolved("http://host", "a"), "http://host/a");
        assert_eq!(named(base), "cam/index.m3u8");
        assert_eq!(named("v0.m3u8"), "v0.m3u8");
        for (url, expected) in [
            ("https://me:secret@host/a.m3u8?key=x", "host/a.m3u8"),
            ("http://me:secret@host", "host"),
            ("http://host/cam@home/a.m3u8", "cam@home/a.m3u8"),
        ] {
            assert_eq!(named(url), expected);
        }
        let variants = ["my list.m3u8?a", "my list.m3u8?b", "v0.m3u8"].map(|uri| Variant {
            uri: uri.to_owned(),
            ..Variant::default()
        });
        let expected = ["my list.m3u8", "my list.m3u8 (2)", "v0.m3u8"];
        assert_eq!(names(&variants), expected);
        assert_eq!(
            with_query("http://h/a?key=x", "_HLS_msn=1"),
            "http://h/a?key=x&_HLS_msn=1"
        );
        assert_eq!(with_query("http://h/a", ""), "http://h/a");
    }
}
