//! An authority that gives certificates by itself: Pebble, with a name server beside it that
//! says of every name that it is here.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::{TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::tls::{Authority, file};
use crate::{Process, Tool, free_ports};

/// Tests wait for certificates to be renewed.
const LIMIT: Duration = Duration::from_secs(150);

/// Until a program listens.
const READY: Duration = Duration::from_secs(30);

/// Of a hundred nonces that are good, so many are refused.
const REFUSED_NONCES: &str = "30";

/// What an authority is like.
#[derive(Clone, Debug)]
pub struct Terms {
    /// How long its certificates are good.
    pub life: Duration,
    /// It knows these accounts alone: a key's name, and the key as base64url.
    pub accounts: Option<(&'static str, &'static str)>,
}

/// Where an authority is to be found, and where it looks for others.
#[derive(Debug)]
pub struct Place {
    folder: tempfile::TempDir,
    port: u16,
    management: u16,
    /// Where it looks for answers to HTTP-01.
    pub http: u16,
    /// The same of TLS-ALPN-01.
    pub tls: u16,
}

/// An authority at work.
#[derive(Debug)]
pub struct Pebble {
    _names: Process,
    process: Process,
    management: u16,
    ca: PathBuf,
}

/// Waits until somebody listens: what programs say of that they say before.
fn wait_for_port(port: u16) {
    let begun = Instant::now();
    while let Err(error) = TcpStream::connect(("127.0.0.1", port)) {
        assert!(begun.elapsed() < READY, "port {port}: {error}");
        std::thread::yield_now();
    }
}

/// Waits until a name server answers.
fn wait_for_names(address: &str) {
    // The address of "a" (RFC 1035 section 4.1).
    const QUERY: &[u8] = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01";
    let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a free port");
    let pause = Some(Duration::from_millis(50));
    socket.set_read_timeout(pause).expect("it is a socket");
    socket.connect(address).expect("an address");
    let begun = Instant::now();
    loop {
        // Nobody is there yet, and the system says so or not.
        let asked = socket.send(QUERY);
        if asked.and_then(|_| socket.recv(&mut [0; 512])).is_ok() {
            return;
        }
        assert!(begun.elapsed() < READY, "{address} answers nothing");
    }
}

impl Place {
    /// Finds one.
    ///
    /// # Panics
    /// If there is no room for a folder.
    pub fn find() -> Place {
        let [port, management, http, tls] = free_ports();
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::new("Pebble's server");
        let own = authority.sign(&["127.0.0.1", "localhost"]);
        for (name, text) in [
            ("ca.pem", authority.pem()),
            ("cert.pem", &own.certificate),
            ("key.pem", &own.key),
        ] {
            file(folder.path(), name, text);
        }
        Place {
            folder,
            port,
            management,
            http,
            tls,
        }
    }

    /// A folder for what belongs to it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// URL of its directory.
    pub fn directory(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.port)
    }

    /// The authority of its own HTTPS server.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Starts it there.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn open(&self, terms: &Terms) -> Pebble {
        let [names] = free_ports();
        let names_at = format!("127.0.0.1:{names}");
        let mut command = Tool::PebbleNames.command();
        command
            .args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""])
            .args(["-dns01", &names_at, "-management", "127.0.0.1:0"])
            .args(["-http01", "", "-https01", "", "-tlsalpn01", ""]);
        let names = Process::start_within("names", command, LIMIT);
        wait_for_names(&names_at);

        let path = |name: &str| self.folder.path().join(name);
        let accounts: BTreeMap<_, _> = terms.accounts.into_iter().collect();
        let config = serde_json::json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{}", self.port),
            "managementListenAddress": format!("127.0.0.1:{}", self.management),
            "certificate": path("cert.pem"),
            "privateKey": path("key.pem"),
            "httpPort": self.http,
            "tlsPort": self.tls,
            "ocspResponderURL": "",
            "certificateValidityPeriod": terms.life.as_secs(),
            "externalAccountBindingRequired": terms.accounts.is_some(),
            "externalAccountMACKeys": accounts,
        }});
        let config = file(self.folder.path(), "pebble.json", &config.to_string());
        let mut command = Tool::Pebble.command();
        command
            .args(["-strict", "-dnsserver", &names_at, "-config"])
            .arg(config)
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", REFUSED_NONCES)
            .env("PEBBLE_AUTHZREUSE", "0");
        let process = Process::start_within("pebble", command, LIMIT);
        for port in [self.port, self.management] {
            wait_for_port(port);
        }
        Pebble {
            _names: names,
            process,
            management: self.management,
            ca: self.ca(),
        }
    }
}

impl Pebble {
    /// The root of its certificates, as PEM.
    ///
    /// # Panics
    /// If it does not tell.
    pub fn root(&self) -> String {
        let mut command = Tool::Openssl.command();
        let address = format!("127.0.0.1:{}", self.management);
        command
            .args(["s_client", "-quiet", "-verify_return_error", "-ign_eof"])
            .args(["-connect", &address, "-CAfile"])
            .arg(&self.ca)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("OpenSSL is there");
        let mut stdin = child.stdin.take().expect("it was piped");
        stdin
            .write_all(b"GET /roots/0 HTTP/1.0\r\n\r\n")
            .expect("it listens");
        let output = child.wait_with_output().expect("it ends");
        let text = String::from_utf8(output.stdout).expect("text");
        let (_, pem) = text.split_once("\r\n\r\n").expect("an answer");
        assert!(pem.contains("BEGIN CERTIFICATE"), "{text}");
        pem.to_owned()
    }

    /// Closes it, at once; what it said.
    pub fn close(self) -> Vec<String> {
        self.process.kill().output
    }
}

/// The settings of a server that asks an authority for certificates, and its folder.
#[derive(Debug)]
pub struct Settings<'a> {
    /// The authority.
    pub place: &'a Place,
    /// Names of the certificate.
    pub domains: &'a [&'a str],
    /// `http-01` or `tls-alpn-01`.
    pub challenge: &'a str,
    /// Where answers to HTTP-01 are given.
    pub http: u16,
    /// More settings of `tls.acme`, each with a comma in front.
    pub more: &'a str,
}

impl Settings<'_> {
    /// Writes them to the file of that name; its path.
    pub fn write(&self, name: &str) -> PathBuf {
        let Settings {
            place,
            domains,
            challenge,
            http,
            more,
        } = self;
        let text = format!(
            "listen: [\"127.0.0.1:0\", \"rtmps://127.0.0.1:{}\"]\n\
             tls: {{acme: {{directory: \"{}\", ca: {:?}, domains: {domains:?},\n\
             email: admin@example.test, challenge: {challenge}, storage: {:?},\n\
             http_listen: [\"127.0.0.1:{http}\"]{more}}}}}\n\
             streams: {{media_timeout: 0, message_timeout: 0}}\n",
            place.tls,
            place.directory(),
            place.ca(),
            place.folder().join("state"),
        );
        file(place.folder(), name, &text)
    }

    /// What the server keeps of the authority.
    ///
    /// # Panics
    /// If it keeps nothing.
    pub fn kept(&self, name: &str) -> String {
        let mut config = openrtmp_core::Config::desktop();
        config.tls.acme.directory = self.place.directory();
        config.tls.acme.domains = vec!["x.example.test".to_owned()];
        config.tls.acme.storage = Some(self.place.folder().join("state"));
        let folder = config.tls.acme.folder().expect("it is on");
        fs::read_to_string(folder.join(name)).expect("it is kept")
    }
}
