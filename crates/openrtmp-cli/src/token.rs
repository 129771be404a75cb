//! `openrtmp token`: a token for viewers of a stream that is not public, made by whoever knows a
//! secret of the server (`http.tokens.keys`).

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openrtmp_core::Network;
use openrtmp_live::{Form, Pass};
use openrtmp_media::parse_date;

use crate::console;
use crate::exit::Failure;
use crate::units::parse_span;

/// Bytes of a secret in a file, at most: a device goes on without an end.
const LONGEST_SECRET: u64 = 64 << 10;

/// Flags of `openrtmp token`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    group(clap::ArgGroup::new("secret").required(true).args(["key", "key_file"])),
    group(clap::ArgGroup::new("end").required(true).args(["for", "until"]))
)]
pub(crate) struct Arguments {
    /// A secret of the server's `http.tokens.keys`; whoever is on this machine can see it while
    /// the command runs
    #[arg(long, value_name = "SECRET")]
    key: Option<Secret>,
    /// File whose first line is that secret
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// What it opens, such as live/cam
    #[arg(long, value_name = "PATH")]
    stream: String,
    /// It opens all streams below that path too
    #[arg(long)]
    prefix: bool,
    /// How long it is good from now on, such as 2h
    #[arg(long, value_parser = parse_span, value_name = "TIME")]
    r#for: Option<Duration>,
    /// Until when it is good, in UTC, such as 2026-11-29T16:45:00Z
    #[arg(long, value_parser = parse_end, value_name = "DATE")]
    until: Option<SystemTime>,
    /// It is good from there alone: 192.0.2.7, or 2001:db8::/64
    #[arg(long, value_parser = parse_network, value_name = "ADDRESS")]
    address: Option<Network>,
    /// Print the URL of the stream's HLS at this server, such as http://host:8080; with --prefix
    /// the folder that streams are in
    #[arg(long, value_parser = parse_base, value_name = "URL")]
    url: Option<String>,
}

/// What tokens are signed with, which is not shown.
#[derive(Clone)]
struct Secret(String);

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

fn parse_end(text: &str) -> Result<SystemTime, String> {
    let wall = parse_date(text).and_then(|wall| u64::try_from(wall).ok());
    wall.map(|wall| UNIX_EPOCH + Duration::from_millis(wall))
        .ok_or_else(|| format!("{text:?} is not a date in UTC such as 2026-11-29T16:45:00Z"))
}

fn parse_network(text: &str) -> Result<Network, String> {
    Network::parse(text)
        .ok_or_else(|| format!("{text:?} is not an address such as 192.0.2.7 or 2001:db8::/64"))
}

/// What stands in front of paths, without a slash at its end.
fn parse_base(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://");
    let rest = rest.or_else(|| text.strip_prefix("https://"));
    let is_odd = |c: char| matches!(c, '?' | '#') || c.is_whitespace() || c.is_control();
    let is_base = |rest: &str| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(is_odd);
    match rest.is_some_and(is_base) {
        true => Ok(text.trim_end_matches('/').to_owned()),
        false => Err("that is not a URL such as http://host:8080".to_owned()),
    }
}

/// Prints the token, or the URL with it.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut line = made(arguments, SystemTime::now())?;
    line.push('\n');
    console::write(line.as_bytes()).map_err(|e| Failure::Runtime(format!("cannot write: {e}")))
}

fn made(arguments: &Arguments, now: SystemTime) -> Result<String, Failure> {
    let end = match (arguments.r#for, arguments.until) {
        (Some(span), _) => now.checked_add(span),
        (None, end) => end,
    };
    let end = end.filter(|end| *end > now);
    let end = end.ok_or_else(|| Failure::Usage("--until is over: nobody could play".to_owned()))?;
    let end = end.duration_since(UNIX_EPOCH).unwrap_or_default();
    // Of whole seconds: one that has begun is good to its end.
    let end = end.as_secs() + u64::from(end.subsec_nanos() > 0);
    let mut pass = Pass::new(&arguments.stream, end);
    if pass.path.is_empty() {
        return Err(Failure::Usage("--stream is no path".to_owned()));
    }
    pass.is_prefix = arguments.prefix;
    pass.from = arguments.address;
    let secret = match (&arguments.key, &arguments.key_file) {
        (Some(Secret(secret)), _) => secret.clone(),
        (None, Some(file)) => first_line(file)?,
        (None, None) => String::new(),
    };
    let token = pass.sign(&secret);
    let token = token.map_err(|error| Failure::Usage(error.to_string()))?;
    let Some(base) = &arguments.url else {
        return Ok(token);
    };
    let path = Form::Hls.path(&arguments.stream).ok_or_else(|| {
        Failure::Usage("--stream has a name that means something else in a URL".to_owned())
    })?;
    let path = match arguments.prefix {
        true => path.trim_end_matches("index.m3u8"),
        false => &path,
    };
    Ok(format!("{base}/v/{token}{path}"))
}

fn first_line(file: &Path) -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::Usage(format!("{}: {error}", file.display()));
    let open = File::open(file).map_err(failed)?;
    let line = BufReader::new(open.take(LONGEST_SECRET)).lines().next();
    let line = line.transpose().map_err(failed)?.unwrap_or_default();
    match line.len() as u64 {
        LONGEST_SECRET => Err(failed(io::Error::other("its first line does not end"))),
        _ => Ok(line),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        arguments: Arguments,
    }

    const KEY: &str = "sixteen-bytes-or-more";

    fn read(words: &[&str]) -> Result<Arguments, clap::Error> {
        let words = ["token", "--stream", "live/cäm"].iter().chain(words);
        Command::try_parse_from(words).map(|command| command.arguments)
    }

    fn run(words: &[&str]) -> Result<String, String> {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let arguments = read(words).expect("they can be read");
        made(&arguments, now).map_err(|failure| {
            let (code, text) = failure.told();
            assert_eq!(code, 2, "{text}");
            text
        })
    }

    fn signed(change: impl FnOnce(&mut Pass)) -> String {
        let mut pass = Pass::new("live/cäm", 1_000_007_200);
        change(&mut pass);
        pass.sign(KEY).expect("a token")
    }

    #[test]
    fn a_token_says_what_the_flags_say() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        // What stands behind it is no text.
        std::fs::write(&file, [KEY.as_bytes(), b"\r\n\xff\n"].concat()).expect("a file");
        let file = file.to_str().expect("a path");
        for words in [
            &["--key", KEY, "--for", "2h"][..],
            &["--key-file", file, "--until", "2001-09-09T03:46:40Z"],
        ] {
            assert_eq!(run(words), Ok(signed(|_| {})), "{words:?}");
        }
        let from = ["--key", KEY, "--for", "2h", "--address", "192.0.2.7"];
        let there = signed(|pass| pass.from = Network::parse("192.0.2.7"));
        assert_eq!(run(&from), Ok(there.clone()));
        // The same address, as one of IPv6.
        let mapped = ["--key", KEY, "--for", "2h", "--address", "::ffff:192.0.2.7"];
        assert_eq!(run(&mapped), Ok(there));
    }

    #[test]
    fn no_token_is_over_when_it_is_made() {
        let whole = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        for (later, span, expires) in [
            (0, "1s", 1_000_000_001),
            (999, "1ms", 1_000_000_001),
            (200, "500ms", 1_000_000_001),
            (999, "1s", 1_000_000_002),
        ] {
            let arguments = read(&["--key", KEY, "--for", span]).expect("they can be read");
            let token = made(&arguments, whole + Duration::from_millis(later));
            assert_eq!(
                token.ok(),
                Some(signed(|pass| pass.expires = expires)),
                "{later} {span}"
            );
        }
    }

    #[test]
    fn a_url_is_that_of_the_stream_or_of_what_is_below_it() {
        let url = ["--key", KEY, "--for", "2h", "--url", "https://host:8443/"];
        let token = signed(|_| {});
        let expected = format!("https://host:8443/v/{token}/live/c%C3%A4m/index.m3u8");
        assert_eq!(run(&url), Ok(expected));
        let below = signed(|pass| pass.is_prefix = true);
        let expected = format!("https://host:8443/v/{below}/live/c%C3%A4m/");
        assert_eq!(run(&[&url[..], &["--prefix"]].concat()), Ok(expected));
    }

    #[test]
    fn what_makes_no_token_is_told_without_the_secret() {
        let over = ["--key", KEY, "--until", "2001-09-09T01:46:40Z"];
        assert!(run(&over).is_err_and(|text| text.contains("--until is over")));
        let short = run(&["--key", "short-secret", "--for", "1s"]);
        let told = short.expect_err("it is too short");
        assert!(told.contains("16 bytes"), "{told}");
        assert!(!told.contains("short-secret"), "{told}");
        let none = run(&["--key-file", "/nowhere/at/all", "--for", "1s"]);
        assert!(none.is_err_and(|text| text.contains("/nowhere/at/all")));
        #[cfg(unix)]
        {
            let endless = run(&["--key-file", "/dev/zero", "--for", "1s"]);
            assert!(endless.is_err_and(|text| text.contains("does not end")));
        }
        for wrong in [
            &["--for", "1h"][..],
            &["--key", KEY],
            &["--key", KEY, "--key-file", "x", "--for", "1h"],
            &["--key", KEY, "--for", "0"],
            &[
                "--key",
                KEY,
                "--for",
                "1h",
                "--until",
                "2030-01-01T00:00:00Z",
            ],
            &["--key", KEY, "--until", "tomorrow"],
            &["--key", KEY, "--for", "1h", "--address", "here"],
            &["--key", KEY, "--for", "1h", "--url", "host:8080"],
            &["--key", KEY, "--for", "1h", "--url", "http:///"],
            &["--key", KEY, "--for", "1h", "--url", "http://host/\n"],
        ] {
            let told = read(wrong).expect_err("it is wrong").to_string();
            assert!(!told.contains(KEY), "{told}");
        }
        assert!(!format!("{:?}", read(&over)).contains(KEY));
    }
}
