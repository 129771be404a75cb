//! What a program is told: variables of its environment.

use std::ffi::OsString;
use std::net::IpAddr;
use std::process::Command;

use openrtmp_core::{Listen, ListenTransport, Server, StreamName};

use super::super::lives::{Notice, What};

/// What the server's own settings begin with: keys may be in them.
const SETTINGS: &str = "OPENRTMP_";

/// A program, told what it is about, and nothing of the server's own settings.
pub(super) fn command(argv: &[String], event: &str, about: &Notice, server: &Server) -> Command {
    let (program, arguments) = argv.split_first().map_or(("", &[][..]), |(p, a)| (p, a));
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with(SETTINGS) {
            command.env_remove(name);
        }
    }
    let path = about.name.reveal();
    let (app, stream) = path.rsplit_once('/').unwrap_or(("", path));
    let mut set = |name: &str, value: OsString| {
        command.env(format!("{SETTINGS}{name}"), value);
    };
    set("EVENT", event.into());
    // No variable holds NUL: one in a name must not keep its program from being run.
    set("APP", app.replace('\0', "%00").into());
    set("STREAM", stream.replace('\0', "%00").into());
    if let Some(url) = url(server, &about.name) {
        set("URL", url.into());
    }
    if let Some(connection) = about.connection {
        set("CONNECTION", connection.as_u64().to_string().into());
    }
    if let Some(address) = about.address {
        set("ADDRESS", address.to_string().into());
    }
    if let What::Recorded(file) = &about.what {
        set("FILE", file.into());
    }
    command
}

/// Under which URL a program on this machine reaches a stream: without TLS, or not at all.
fn url(server: &Server, name: &StreamName) -> Option<String> {
    let is_plain = |it: &Listen| it.transport == ListenTransport::Plain && !it.proxy_protocol;
    let plain = server.listeners().into_iter().find(is_plain)?;
    let (ip, port) = (plain.address.ip(), plain.address.port());
    let host = match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
        IpAddr::V6(ip) if ip.is_unspecified() => "[::1]".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    Some(format!("rtmp://{host}:{port}/{}", encoded(name.reveal())))
}

/// A path as it stands in a URL (RFC 3986 section 2.1). What it keeps of escapes stays.
pub(super) fn encoded(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~/%".contains(&byte) {
            true => text.push(byte.into()),
            false => text += &format!("%{byte:02X}"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stands_in_a_url() {
        for (path, expected) in [
            ("live/cam", "live/cam"),
            ("a/b c?d", "a/b%20c%3Fd"),
            ("é", "%C3%A9"),
            ("a%3F", "a%3F"),
        ] {
            assert_eq!(encoded(path), expected);
        }
    }

    #[test]
    fn no_name_keeps_its_program_from_being_run() {
        let mut config = openrtmp_core::Config::desktop();
        config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
        let server = Server::start(config).expect("it starts");
        let publisher = server.publish("li\0ve/a\0b").expect("it is free");
        let name = server.stream_name(publisher.stream());
        let about = Notice {
            what: What::Joined,
            name: name.expect("it is published"),
            connection: None,
            address: None,
        };
        let argv = [std::env::current_exe()
            .expect("a name")
            .display()
            .to_string()];
        let mut command = command(&argv, "on_play", &about, &server);
        let variables: Vec<_> = command.get_envs().collect();
        let of = |wanted: &str| {
            let mut found = variables.iter().filter(|(name, _)| *name == wanted);
            found.find_map(|(_, value)| value.and_then(|value| value.to_str()))
        };
        assert_eq!(of("OPENRTMP_APP"), Some("li%00ve"));
        assert_eq!(of("OPENRTMP_STREAM"), Some("a%00b"));
        let ran = command.arg("--list").output().expect("it is run");
        assert!(ran.status.success());
    }
}
