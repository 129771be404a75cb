//! What people see: a page of the streams that there are, a player, and what these are made
//! of. No word of a request stands in them: they ask by themselves for what they show.

use std::sync::LazyLock;

use axum::body::Body;
use http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use openrtmp_core::HttpConfig;
use qrcodegen::{QrCode, QrCodeEcc};
use sha2::{Digest, Sha256};

use super::answer::{self, Keep, status, value};
use super::path::percent_decoded;
use super::{App, Asked};
use crate::store::Text;

mod files {
    include!(concat!(env!("OUT_DIR"), "/assets.rs"));
}

/// What stands in pages for the folder of what they are made of.
const FOLDER: &str = "{assets}";
/// What stands in the player's page for the script of its engine.
const SCRIPT: &str = "{script}";
/// The scripts of engines, by what these are called in the page's URL; that of the first is
/// what most play with.
const SCRIPTS: [(&str, &str); 3] = [
    ("hls", "hls.min.js"),
    ("flv", "mpegts.min.js"),
    ("dash", "dash.min.js"),
];
/// Light modules around a code (ISO/IEC 18004).
const QUIET: i32 = 4;
/// Bytes of what is put into a code, at most: cameras read no finer ones from a screen.
const LONGEST_CODE: usize = 1024;

/// What people see, or it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// The streams that there are.
    Streams,
    /// A player; of which stream it finds in its own path.
    Player,
    /// What pages are made of.
    File {
        /// Which state of all files.
        digest: String,
        name: String,
    },
    /// A URL as a code for cameras.
    Code,
}

impl Page {
    /// What a path names, if it is anything of this.
    pub(super) fn of(segments: &[String]) -> Option<Page> {
        let words: Vec<&str> = segments.iter().map(String::as_str).collect();
        match words[..] {
            ["api", "qr"] => Some(Page::Code),
            ["assets", digest, _, ..] => Some(Page::File {
                digest: digest.to_owned(),
                name: words[2..].join("/"),
            }),
            // Whoever asks for these has taken a player's path for the stream's.
            ["play", .., last]
                if [".m3u8", ".mpd", ".flv"]
                    .iter()
                    .any(|it| last.ends_with(it)) =>
            {
                None
            }
            ["play", _, ..] => Some(Page::Player),
            _ => None,
        }
    }
}

/// A file as it is sent.
#[derive(Debug)]
struct File {
    name: &'static str,
    text: Text,
}

/// What pages are made of.
static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let files = files::FILES.iter();
    let file = |&(name, gzip): &(&'static str, &'static [u8])| File {
        name,
        text: Text::compressed(gzip),
    };
    files.map(file).collect()
});

/// The pages.
static STREAMS: LazyLock<Text> = LazyLock::new(|| page("streams.html", ""));
/// One for each engine: its script is what takes longest to be there.
static PLAYERS: LazyLock<[Text; 3]> =
    LazyLock::new(|| SCRIPTS.map(|(_, script)| page("player.html", script)));

/// The place of the engine that a page's query wants, in [`SCRIPTS`].
fn engine(query: &str) -> usize {
    let mut parameters = query.split('&');
    let wanted = parameters.find_map(|parameter| parameter.strip_prefix("engine="));
    let place = SCRIPTS.iter().position(|(name, _)| Some(*name) == wanted);
    place.unwrap_or(0)
}

/// A page that knows where its files are.
fn page(name: &str, script: &str) -> Text {
    let file = FILES.iter().find(|file| file.name == name);
    let plain = file.map(|file| file.text.plain()).unwrap_or_default();
    let folder = format!("/assets/{}", files::DIGEST);
    let text = String::from_utf8_lossy(&plain);
    Text::new(text.replace(FOLDER, &folder).replace(SCRIPT, script))
}

/// Answers with it.
pub(super) fn answer(
    app: &App,
    asked: &Asked,
    wanted: &Page,
) -> Result<Response<Body>, Response<Body>> {
    const HTML: &str = "text/html; charset=utf-8";
    // Another is there when this program is another.
    let keep = Keep::for_seconds(0, false);
    let policy = policy(&app.server.config().http);
    // Who has a page has the policy that came with it (RFC 9111, 4.3.4): of another, another
    // page.
    let tag = tag(&policy);
    let html = |text, tag: &str| answer::text(&asked.headers, text, HTML, tag, keep);
    let mut response = match wanted {
        Page::Streams => html(&STREAMS, &tag),
        Page::Player => {
            let engine = engine(&asked.query);
            html(&PLAYERS[engine], &format!("{tag}-{engine}"))
        }
        Page::File { digest, name } => return file(asked, digest, name),
        Page::Code => return code(&asked.query),
    };
    for (name, text) in [
        (CONTENT_SECURITY_POLICY, policy.as_str()),
        // Keys stand in queries of pages.
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response.headers_mut().insert(name, value(text));
    }
    Ok(response)
}

/// What names this state of pages.
fn tag(policy: &str) -> String {
    let digest = Sha256::digest(policy);
    let short: String = digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{}-{short}", files::DIGEST)
}

/// What a page may fetch, run, and be shown in: what is its server's own, and media from
/// where `http.base_url` has them.
fn policy(config: &HttpConfig) -> String {
    let base = origin(&config.base_url).map_or(String::new(), |origin| format!(" {origin}"));
    let within: Vec<&str> = config.cors.origins.iter().map(String::as_str).collect();
    let is_plain = |origin: &&str| *origin == "*" || self::origin(origin).is_some();
    let within: Vec<&str> = within.into_iter().filter(is_plain).collect();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
         connect-src 'self'{base}; media-src 'self' blob:{base}; worker-src 'self' blob:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'self' {}",
        within.join(" ")
    )
}

/// The origin of a URL, if nothing in it could be another word of a policy.
fn origin(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split('/').next()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte);
    let is_whole = !host.is_empty() && host.bytes().all(is_plain);
    let is_web = matches!(scheme, "http" | "https");
    (is_web && is_whole).then(|| &url[..scheme.len() + 3 + host.len()])
}

fn file(asked: &Asked, digest: &str, name: &str) -> Result<Response<Body>, Response<Body>> {
    let missing = || status(StatusCode::NOT_FOUND, "there is no such file, or no longer");
    let found = FILES.iter().find(|file| file.name == name);
    let found = found
        .filter(|_| digest == files::DIGEST)
        .ok_or_else(missing)?;
    let content_type = content_type(name).ok_or_else(missing)?;
    let tag = format!("{digest}-{}", name.replace('/', "-"));
    let keep = Keep::always(false);
    let mut response = answer::text(&asked.headers, &found.text, content_type, &tag, keep);
    let no_sniff = HeaderValue::from_static("nosniff");
    response
        .headers_mut()
        .insert(X_CONTENT_TYPE_OPTIONS, no_sniff);
    Ok(response)
}

/// Of files that are served as they are; pages are not.
fn content_type(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')?.1 {
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "txt" => Some("text/plain; charset=utf-8"),
        _ => None,
    }
}

/// The URL that stands in the query as `text`, as a picture.
fn code(query: &str) -> Result<Response<Body>, Response<Body>> {
    let bad = |text| status(StatusCode::BAD_REQUEST, text);
    let mut parameters = query.split('&');
    let text = parameters.find_map(|parameter| parameter.strip_prefix("text="));
    let text = text.and_then(percent_decoded);
    let is_url = |text: &String| text.starts_with("http://") || text.starts_with("https://");
    let text = text.filter(is_url).ok_or_else(|| bad("no URL as text"))?;
    let code = (text.len() <= LONGEST_CODE).then(|| QrCode::encode_text(&text, QrCodeEcc::Low));
    let Some(Ok(code)) = code else {
        return Err(bad("a URL that is too long for a code"));
    };
    let mut response = status(StatusCode::OK, "");
    for (name, text) in [
        (CONTENT_TYPE, "image/svg+xml"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ] as [(HeaderName, &'static str); 3]
    {
        let text = HeaderValue::from_static(text);
        response.headers_mut().insert(name, text);
    }
    *response.body_mut() = Body::from(drawn(&code));
    Ok(response)
}

/// A code as SVG, dark on light: light on dark, many cameras see nothing.
fn drawn(code: &QrCode) -> String {
    let mut path = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|&x| code.get_module(x, y)) {
            path.push_str(&format!("M{},{}h1v1h-1z", x + QUIET, y + QUIET));
        }
    }
    let size = code.size() + 2 * QUIET;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {size} {size}\" \
         shape-rendering=\"crispEdges\"><rect width=\"{size}\" height=\"{size}\" \
         fill=\"#fff\"/><path d=\"{path}\"/></svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_others_are_as_they_published_them() {
        let sums = include_str!("../../assets/vendor/SHA256SUMS");
        let mut named = Vec::new();
        for line in sums.lines() {
            let (sum, name) = line.split_once("  ").unwrap();
            let name = format!("vendor/{name}");
            let file = FILES.iter().find(|file| file.name == name).unwrap();
            let digest = Sha256::digest(file.text.plain());
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(digest, sum, "{name}");
            named.push(name);
        }
        let scripts = FILES.iter().map(|file| file.name);
        let scripts = scripts.filter(|name| name.starts_with("vendor/") && name.ends_with(".js"));
        assert_eq!(scripts.collect::<Vec<_>>(), named);
        let licences = include_str!("../../assets/vendor/LICENSES.txt");
        for name in &named {
            let name = name.strip_prefix("vendor/").unwrap();
            assert!(licences.contains(&format!("\n{name}: ")), "{name}");
        }
    }

    #[test]
    fn pages_name_files_that_are_there_and_run_nothing_of_their_own() {
        for page in [&*STREAMS].into_iter().chain(&*PLAYERS) {
            let plain = page.plain();
            let text = std::str::from_utf8(&plain).unwrap();
            let folder = format!("\"/assets/{}/", files::DIGEST);
            let mut named = text.split(&folder).skip(1).peekable();
            assert!(named.peek().is_some());
            for name in named {
                let name = name.split(['"', '#']).next().unwrap();
                let is_it = |file: &File| file.name == name;
                assert!(FILES.iter().any(is_it), "{name}");
                assert!(content_type(name).is_some(), "{name}");
            }
            assert!(!text.contains(FOLDER) && !text.contains(SCRIPT));
            for tag in text.split("<script").skip(1) {
                let plain = tag.strip_prefix(" type=\"module\"").unwrap_or(tag);
                assert!(plain.starts_with(" src="), "{tag}");
                assert!(plain.contains("></script>"), "{tag}");
            }
            for inline in [" style=", "<style", " onclick", " onload", "javascript:"] {
                assert!(!text.contains(inline), "{inline}");
            }
        }
    }

    #[test]
    fn a_page_begins_with_the_script_of_the_engine_that_is_asked_for() {
        for (query, script) in [
            ("", "/vendor/hls.min.js"),
            ("muted=1&engine=flv", "/vendor/mpegts.min.js"),
            ("engine=dash", "/vendor/dash.min.js"),
            ("engine=native", "/vendor/hls.min.js"),
            ("engine=../x", "/vendor/hls.min.js"),
        ] {
            let plain = PLAYERS[engine(query)].plain();
            let text = std::str::from_utf8(&plain).unwrap();
            assert!(text.contains(script), "{query}");
            assert_eq!(text.matches("/vendor/").count(), 1, "{query}");
        }
    }

    #[test]
    fn only_the_origin_of_a_url_gets_into_a_policy() {
        for (url, expected) in [
            (
                "https://cdn.example.org/a b;c",
                Some("https://cdn.example.org"),
            ),
            ("http://[::1]:80", Some("http://[::1]:80")),
            ("https://cdn.example.org; script-src *", None),
            ("https://a,b/", None),
            ("https://", None),
            ("javascript://x", None),
            ("", None),
        ] {
            assert_eq!(origin(url), expected, "{url}");
        }
        let mut config = HttpConfig::default();
        let policy = |config: &HttpConfig| super::policy(config);
        assert!(policy(&config).ends_with("frame-ancestors 'self' *"));
        config.base_url = "https://cdn.example.org/x".to_owned();
        config.cors.origins = vec!["https://a.example".to_owned(), "x; y".to_owned()];
        let said = policy(&config);
        assert!(said.contains("connect-src 'self' https://cdn.example.org;"));
        assert!(said.ends_with("frame-ancestors 'self' https://a.example"));
        assert!(!said.contains("unsafe"));
        // Another policy is another page, to who has kept one.
        assert_ne!(tag(&said), tag(&policy(&HttpConfig::default())));
    }

    #[test]
    fn a_code_is_of_a_url_and_of_nothing_else() {
        let said = |query: &str| code(query).map_or_else(|it| it.status(), |it| it.status());
        for (query, expected) in [
            ("text=http%3A%2F%2Fa.example%2Fplay%2Fa", StatusCode::OK),
            ("a=b&text=https://a.example/", StatusCode::OK),
            ("text=javascript:alert(1)", StatusCode::BAD_REQUEST),
            ("text=http%3", StatusCode::BAD_REQUEST),
            ("text=http://%ff", StatusCode::BAD_REQUEST),
            ("", StatusCode::BAD_REQUEST),
        ] {
            assert_eq!(said(query), expected, "{query}");
        }
        let long = format!("text=https://{}", "x".repeat(LONGEST_CODE));
        assert_eq!(said(&long), StatusCode::BAD_REQUEST);
    }
}
