//! Certificates from an authority that we did not write: Pebble, which refuses three of ten
//! nonces that are good.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use openrtmp_core::client::{Client, ClientConfig, ClientEvent, ClientMode, Deadline, MediaKind};
use openrtmp_core::protocol::RtmpUrl;
use openrtmp_tests::acme::{Pebble, Place, Settings, Terms};
use openrtmp_tests::{Process, Tool, openrtmp};

const NAMES: [&str; 2] = ["live.example.test", "www.example.test"];

/// Long enough for what a test does before it is renewed.
const LONG: Terms = Terms {
    life: Duration::from_secs(86_400),
    accounts: None,
};

/// Short enough to see it renewed.
const SHORT: Terms = Terms {
    life: Duration::from_secs(24),
    accounts: None,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// `openrtmp serve` with a file of settings.
fn serve(config: &Path) -> Process {
    let mut command = openrtmp();
    command
        .args(["serve", "--log", "info", "--config"])
        .arg(config);
    Process::start_within("openrtmp serve", command, Duration::from_secs(150))
}

/// Waits for a certificate that is obtained at the first try.
fn wait_for_certificate(server: &mut Process) {
    let line = server.wait_for("a certificate", |line| {
        line.contains("ACME: a certificate for") || line.contains("ACME: no certificate for")
    });
    assert!(!line.contains("ACME: no "), "{line}");
    wait_until_shown(server);
}

fn wait_until_shown(server: &mut Process) {
    server.wait_for("it to be shown", |line| line.contains("others than before"));
}

fn hang_up(server: &Process) {
    let pid = server.id().to_string();
    let told = Command::new("sh")
        .args(["-c", &format!("kill -HUP {pid}")])
        .status();
    assert!(told.expect("a shell").success());
}

/// What OpenSSL sees on the port for TLS, asking for a name and offering a protocol.
fn look(place: &Place, name: &str, more: &[&str]) -> Vec<String> {
    let mut command = Tool::Openssl.command();
    let address = format!("127.0.0.1:{}", place.tls);
    command
        .args(["s_client", "-connect", &address, "-servername", name])
        .args(more);
    Process::start(format!("s_client {name}"), command)
        .wait()
        .output
}

/// It believes the certificate of the port for TLS for each name; the certificate.
fn believe(place: &Place, pebble: &Pebble) -> String {
    let root = openrtmp_tests::tls::file(place.folder(), "root.pem", &pebble.root());
    let root = root.to_str().expect("ASCII");
    let mut seen = BTreeSet::new();
    for name in NAMES {
        let flags = [
            "-CAfile",
            root,
            "-verify_return_error",
            "-verify_hostname",
            name,
            "-alpn",
            "h2",
        ];
        let output = look(place, name, &flags);
        let verified = |line: &String| line.contains("Verify return code: 0 (ok)");
        assert!(output.iter().any(verified), "{}", output.join("\n"));
        // What it says of its checks may stand between.
        let lines = output
            .iter()
            .skip_while(|line| !line.starts_with("-----BEGIN"))
            .skip(1);
        let lines = lines.take_while(|line| !line.starts_with("-----END"));
        let of_base64 = lines.filter(|line| !line.contains([' ', ':']) && *line != "DONE");
        seen.insert(of_base64.cloned().collect::<Vec<_>>().join("\n"));
    }
    assert_eq!(seen.len(), 1, "one for both names");
    seen.pop_first().expect("there is one")
}

/// A client over TLS. The names of the certificate lead nowhere here: OpenSSL looks at them.
fn client(place: &Place, mode: ClientMode) -> Client {
    let url = format!("rtmps://127.0.0.1:{}/live/cam", place.tls);
    let mut config = ClientConfig::new(RtmpUrl::parse(&url).expect("a URL"), mode);
    config.tls.insecure = true;
    Client::connect(config).expect("the server accepts")
}

/// Publishes so many messages, and sees them arrive.
fn pass(publisher: &mut Client, player: &mut Client, messages: std::ops::Range<u32>) {
    for n in messages.clone() {
        let payload = [&b"\xAF\x01"[..], &n.to_be_bytes()].concat();
        let sent = publisher.send(MediaKind::Audio, n * 20, &payload);
        sent.expect("it is taken");
    }
    publisher.flush().expect("it is sent");
    for n in messages {
        loop {
            let event = player.next_event(Deadline::after(PATIENCE));
            if let Some(ClientEvent::Media(media)) = event.expect("it goes on")
                && media.kind == MediaKind::Audio
            {
                assert_eq!(media.payload[2..], n.to_be_bytes(), "in order");
                break;
            }
        }
    }
}

/// A certificate is obtained and renewed, under a stream that goes on.
fn obtain_and_renew(challenge: &str) {
    let place = Place::find();
    let pebble = place.open(&SHORT);
    let settings = Settings {
        place: &place,
        domains: &NAMES,
        challenge,
        http: place.http,
        more: "",
    };
    let mut server = serve(&settings.write("server.yml"));
    wait_for_certificate(&mut server);
    let first = believe(&place, &pebble);
    assert!(settings.kept("certificate.pem").contains(&first));
    let account = settings.kept("account.json");
    let mut publisher = client(&place, ClientMode::Publish);
    let mut player = client(&place, ClientMode::Play);
    pass(&mut publisher, &mut player, 0..50);

    wait_for_certificate(&mut server);
    let second = believe(&place, &pebble);
    assert_ne!(first, second);
    assert!(settings.kept("certificate.pem").contains(&second));
    pass(&mut publisher, &mut player, 50..100);
    assert_eq!(settings.kept("account.json"), account);
    server.kill();
    let accounts = pebble.close();
    let accounts = accounts
        .iter()
        .filter(|line| line.contains("accounts in memory"));
    assert_eq!(accounts.count(), 1);
}

#[test]
fn http_01_obtains_and_renews() {
    obtain_and_renew("http-01");
}

#[test]
fn tls_alpn_01_obtains_and_renews() {
    obtain_and_renew("tls-alpn-01");
}

#[test]
fn ten_orders_in_a_row_come_through() {
    let place = Place::find();
    let pebble = place.open(&LONG);
    let mut seen = BTreeSet::new();
    for round in 0..10 {
        let name = format!("n{round}.example.test");
        let settings = Settings {
            place: &place,
            domains: &[&name],
            challenge: ["http-01", "tls-alpn-01"][round % 2],
            http: place.http,
            more: "",
        };
        let mut server = serve(&settings.write("server.yml"));
        wait_for_certificate(&mut server);
        assert!(seen.insert(settings.kept("certificate.pem")));
        // It is there the next time, and nothing is asked for.
        if round == 0 {
            server.kill();
            let server = serve(&settings.write("server.yml"));
            let finished = stop_when_ready(server);
            assert!(!finished.iter().any(|line| line.contains("ACME: asking")));
        }
    }
    pebble.close();
}

/// Ends a server in good order once it serves; what it said.
fn stop_when_ready(mut server: Process) -> Vec<String> {
    server.wait_for("readiness", |line| line.contains("Ctrl-C stops"));
    let pid = server.id().to_string();
    let told = Command::new("sh")
        .args(["-c", &format!("kill -TERM {pid}")])
        .status();
    assert!(told.expect("a shell").success());
    server.wait().expect_success().output
}

#[test]
fn an_authority_that_is_down_is_asked_again() {
    let place = Place::find();
    let settings = Settings {
        place: &place,
        domains: &NAMES,
        challenge: "tls-alpn-01",
        http: place.http,
        more: "",
    };
    let mut server = serve(&settings.write("server.yml"));
    let line = server.wait_for("a failure", |line| line.contains("ACME: no certificate"));
    assert!(line.contains("the authority cannot be asked"), "{line}");
    assert!(line.contains("; again in "), "{line}");
    // Who comes meanwhile is told, and hears nothing of the challenge.
    let output = look(&place, NAMES[0], &[]).join("\n");
    assert!(output.contains("no peer certificate available"), "{output}");
    let pebble = place.open(&LONG);
    wait_until_shown(&mut server);
    believe(&place, &pebble);
}

#[test]
fn an_authority_that_has_forgotten_the_account_is_given_another() {
    let place = Place::find();
    let pebble = place.open(&LONG);
    let mut settings = Settings {
        place: &place,
        domains: &NAMES[..1],
        challenge: "http-01",
        http: place.http,
        more: "",
    };
    let mut server = serve(&settings.write("server.yml"));
    wait_for_certificate(&mut server);
    let account = settings.kept("account.json");
    // It remembers as long as it lives.
    pebble.close();
    let pebble = place.open(&LONG);
    settings.domains = &NAMES;
    settings.write("server.yml");
    hang_up(&server);
    server.wait_for("that", |line| line.contains("does not know the account"));
    wait_for_certificate(&mut server);
    assert_ne!(settings.kept("account.json"), account);
    believe(&place, &pebble);
}

/// Stands where the authority looks, and gives what it is told to.
struct Stand {
    answer: Arc<Mutex<String>>,
}

impl Stand {
    /// `first` is called when the authority looks for the first time, with what it asks for.
    fn open(port: u16, first: impl FnOnce(&str) -> String + Send + 'static) -> Stand {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        let answer = Arc::new(Mutex::new(String::new()));
        let told = answer.clone();
        thread::spawn(move || {
            let mut first = Some(first);
            for socket in listener.incoming() {
                let mut socket = socket.expect("a connection");
                let request = head(&mut socket);
                let path = request.split(' ').nth(1).unwrap_or_default();
                let mut answer = told.lock().expect("nobody panicked");
                if let Some(first) = first.take() {
                    *answer = first(path);
                }
                let length = answer.len();
                let text = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{answer}"
                );
                // Who has gone wants nothing.
                let _ = socket.write_all(text.as_bytes());
            }
        });
        Stand { answer }
    }

    fn answer(&self) -> String {
        self.answer.lock().expect("nobody panicked").clone()
    }
}

/// The head of a message.
fn head(socket: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        match socket.read(&mut byte) {
            Ok(1) => text.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8(text).expect("text")
}

#[test]
fn a_wrong_answer_is_told_and_made_good() {
    let place = Place::find();
    let elsewhere = Place::find();
    let pebble = place.open(&LONG);
    let stand = Stand::open(place.http, |_| "not it".to_owned());
    let mut settings = Settings {
        place: &place,
        domains: &NAMES,
        challenge: "http-01",
        http: elsewhere.http,
        more: "",
    };
    let config = settings.write("server.yml");
    let mut server = serve(&config);
    let line = server.wait_for("a failure", |line| line.contains("ACME: no certificate"));
    for part in [
        "the authority refuses: ",
        NAMES[0],
        "unauthorized",
        "; again in ",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert_eq!(stand.answer(), "not it");
    // The other way works, and is tried when the settings say so.
    settings.challenge = "tls-alpn-01";
    settings.write("server.yml");
    hang_up(&server);
    wait_for_certificate(&mut server);
    believe(&place, &pebble);
}

#[test]
fn an_order_that_a_crash_cut_off_is_gone_on_with() {
    let place = Place::find();
    let own = Place::find();
    let pebble = place.open(&LONG);
    let settings = Settings {
        place: &place,
        domains: &NAMES[..1],
        challenge: "http-01",
        http: own.http,
        more: "",
    };
    let config = settings.write("server.yml");
    let server = Arc::new(Mutex::new(None));
    let victim = server.clone();
    let from = own.http;
    let (told, killed) = std::sync::mpsc::channel();
    // The authority looks: it is given the answer of a server that is no more by then.
    let _stand = Stand::open(place.http, move |path| {
        let mut socket = TcpStream::connect(("127.0.0.1", from)).expect("it answers");
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        socket.write_all(request.as_bytes()).expect("it answers");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("it answers");
        let victim: Option<Process> = victim.lock().expect("nobody panicked").take();
        victim.expect("it was started").kill();
        told.send(()).expect("it is waited for");
        let (_, text) = answer.split_once("\r\n\r\n").expect("a head and a body");
        text.to_owned()
    });
    let mut held = server.lock().expect("nobody panicked");
    *held = Some(serve(&config));
    drop(held);
    killed.recv_timeout(PATIENCE).expect("the authority looks");
    let (account, order) = (settings.kept("account.json"), settings.kept("order.json"));

    let mut server = serve(&config);
    server.wait_for("the order", |line| {
        line.contains("goes on with the order of before")
    });
    wait_for_certificate(&mut server);
    assert_eq!(settings.kept("account.json"), account);
    let certificate = settings.kept("certificate.pem");
    let order: serde_json::Value = serde_json::from_str(&order).expect("JSON");
    let key = order["key"].as_str().expect("it is kept");
    assert!(certificate.contains(key.trim()), "the key of before");
    server.kill();
    let said = pebble.close();
    let count = |part: &str| said.iter().filter(|line| line.contains(part)).count();
    let made = ["accounts in memory", "Added order", "Issued certificate"].map(count);
    assert_eq!(made, [1; 3]);
}

#[test]
fn an_account_may_have_to_be_known_before() {
    const KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let place = Place::find();
    let pebble = place.open(&Terms {
        accounts: Some(("kid-1", KEY)),
        ..LONG
    });
    let mut settings = Settings {
        place: &place,
        domains: &NAMES,
        challenge: "http-01",
        http: place.http,
        more: "",
    };
    let config = settings.write("server.yml");
    let mut server = serve(&config);
    let line = server.wait_for("a failure", |line| line.contains("ACME: no certificate"));
    assert!(line.contains("externalAccountRequired"), "{line}");
    let more = format!(", eab: {{kid: kid-1, key: {KEY}}}");
    settings.more = &more;
    settings.write("server.yml");
    hang_up(&server);
    wait_for_certificate(&mut server);
    believe(&place, &pebble);
    let output = server.kill().output.join("\n");
    assert!(!output.contains(KEY), "{output}");
}
