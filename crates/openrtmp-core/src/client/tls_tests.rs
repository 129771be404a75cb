//! The client and a server, with TLS between them.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use openrtmp_protocol::RtmpUrl;
use openrtmp_protocol::session::AuthError;

use super::{Client, ClientConfig, ClientError, ClientEvent, ClientMode, Deadline, MediaKind};
use crate::config::{Config, Pem, Roots, UserConfig};
use crate::sim_tests::tls::{Made, made};
use crate::{Server, TlsError};

const HALF_A_MINUTE: Duration = Duration::from_secs(30);

fn minute() -> Deadline {
    Deadline::after(HALF_A_MINUTE * 2)
}

fn usual(names: &[&str]) -> Made {
    let day = Duration::from_secs(86_400);
    made(names, std::time::SystemTime::now() - day, day * 10)
}

fn server(change: impl FnOnce(&mut Config)) -> Server {
    let mut config = Config::desktop();
    config.workers = 1;
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    config.listen = vec![crate::Listen::from(any_port).with_tls()];
    change(&mut config);
    Server::start(config).expect("it starts")
}

fn with(made: &Made) -> impl FnOnce(&mut Config) {
    let (certificate, key) = (made.certificate.clone(), made.key.clone());
    move |config| {
        config.tls.certificate = Some(Pem::Text(certificate));
        config.tls.key = Some(Pem::Text(key));
    }
}

fn to(server: &Server, host: &str, mode: ClientMode) -> ClientConfig {
    let port = server.addresses()[0].port();
    let url = format!("rtmps://{host}:{port}/live/camera");
    ClientConfig::new(RtmpUrl::parse(&url).expect("a URL"), mode)
}

/// Sends more than buffers hold, and looks at what comes out at the other end.
fn pass(server: &Server, change: impl Fn(&mut ClientConfig)) {
    let connect = |mode| {
        let mut config = to(server, "127.0.0.1", mode);
        change(&mut config);
        Client::connect(config).expect("it connects")
    };
    let mut publisher = connect(ClientMode::Publish);
    let mut player = connect(ClientMode::Play);
    let payload = |n: u32| {
        let mut payload = vec![0xAF, 1];
        payload.resize(20_000, n as u8);
        payload
    };
    let header = [0xAF, 0x00, 0x12, 0x10];
    publisher.send(MediaKind::Audio, 0, &header).expect("sent");
    for n in 1..200 {
        publisher
            .send(MediaKind::Audio, n * 20, &payload(n))
            .expect("sent");
        loop {
            match player
                .next_event(minute())
                .expect("it goes on")
                .expect("in time")
            {
                ClientEvent::Media(media) if media.payload.len() > 4 => {
                    assert!(media.payload.into_bytes() == payload(n), "message {n}");
                    break;
                }
                _ => {}
            }
        }
    }
    publisher.close(minute()).expect("it says goodbye");
    player.close(minute()).expect("it says goodbye");
}

/// Each socket shakes hands anew.
#[test]
fn a_password_is_shown_over_as_many_sockets_as_it_takes() {
    let server = server(|config| {
        config.tls.self_signed = true;
        config.access.users = vec![UserConfig::new("ann", "s3cret")];
    });
    let pin = server.certificate_pin().expect("it speaks TLS");
    let who = |userinfo: &str| {
        let mut config = to(&server, "127.0.0.1", ClientMode::Publish);
        config.tls.pins = vec![pin.clone()];
        let url = config.session.url.reveal();
        let url = url.replacen("://", &format!("://{userinfo}"), 1);
        config.session.url = RtmpUrl::parse(&url).expect("a URL");
        config
    };
    pass(&server, |config| {
        let mode = config.session.mode;
        *config = who("ann:s3cret@");
        config.session.mode = mode;
    });
    for (userinfo, error) in [
        ("ann:gue55@", AuthError::Wrong),
        ("", AuthError::NoCredentials),
    ] {
        let failed = Client::connect(who(userinfo)).expect_err("not let in");
        assert!(!failed.to_string().contains("gue55"), "{failed}");
        let ClientError::Unauthenticated(found) = failed else {
            panic!("{failed}");
        };
        assert_eq!(found, error);
    }
}

#[test]
fn a_pin_is_enough_for_a_certificate_of_the_servers_making() {
    let server = server(|config| config.tls.self_signed = true);
    let pin = server.certificate_pin().expect("it speaks TLS");
    pass(&server, |config| config.tls.pins = vec![pin.clone()]);
    let mut config = to(&server, "127.0.0.1", ClientMode::Play);
    config.tls.pins = vec!["sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".to_owned()];
    let error = Client::connect(config).expect_err("another key");
    assert!(
        error.to_string().contains("none of those that are pinned"),
        "{error}"
    );
    pass(&server, |config| config.tls.insecure = true);
}

#[test]
fn an_authority_vouches_for_names_and_for_no_others() {
    let made = usual(&["127.0.0.1"]);
    let server = server(with(&made));
    let roots = Roots::Pem(Pem::Text(made.certificate.clone()));
    pass(&server, |config| config.tls.roots = roots.clone());
    let connect = |host: &str, roots: &Roots| {
        let mut config = to(&server, host, ClientMode::Play);
        config.tls.roots = roots.clone();
        let error = Client::connect(config).expect_err("not believed");
        assert!(matches!(error, ClientError::TlsFailed(_)), "{error}");
        error.to_string()
    };
    let text = connect("localhost", &roots);
    assert!(
        text.contains("connect to a name that the certificate is for"),
        "{text}"
    );
    let other = usual(&["other.example"]);
    let text = connect("127.0.0.1", &Roots::Pem(Pem::Text(other.certificate)));
    assert!(text.contains("--tls-ca"), "{text}");
}

#[test]
fn a_server_that_speaks_no_tls_is_told() {
    let server = server(|config| config.listen = vec![config.listen[0].address.into()]);
    let mut config = to(&server, "127.0.0.1", ClientMode::Play);
    config.tls.insecure = true;
    let error = Client::connect(config).expect_err("it speaks RTMP");
    // It closes as soon as it has seen that this is none.
    let told = matches!(
        error,
        ClientError::TlsFailed(_) | ClientError::Closed { .. }
    );
    assert!(told, "{error}");
}

#[test]
fn files_that_are_not_what_they_should_be_are_named_before_anything_is_sent() {
    let url = RtmpUrl::parse("rtmps://127.0.0.1:1/live/camera").expect("a URL");
    let mut config = ClientConfig::new(url, ClientMode::Play);
    config.tls.roots = Roots::Pem("no/such/file.pem".into());
    let error = Client::connect(config).expect_err("there is none");
    let ClientError::Tls(TlsError::Read { path, .. }) = error else {
        panic!("{error}");
    };
    assert_eq!(path.to_str(), Some("no/such/file.pem"));
}

#[test]
fn a_server_may_ask_who_its_clients_are() {
    use crate::config::ClientAuth;
    use std::sync::{Arc, Mutex};

    let (mine, theirs) = (
        usual(&["127.0.0.1"]),
        usual(&["camera-7.example", "10.0.0.7"]),
    );
    for mode in [ClientAuth::Required, ClientAuth::Optional] {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        let mut config = Config::desktop();
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        config.listen = vec![crate::Listen::from(any_port).with_tls()];
        with(&mine)(&mut config);
        config.tls.client_auth.mode = mode;
        config.tls.client_auth.ca = Some(Pem::Text(theirs.certificate.clone()));
        let server = Server::builder(config).on_access(move |request| {
            let names = request.certificate.as_ref().map(|c| c.names.clone());
            seen.lock()
                .expect("not poisoned")
                .push((request.protocol, names));
            request.accept();
        });
        let server = server.start().expect("it starts");
        let roots = Roots::Pem(Pem::Text(mine.certificate.clone()));
        pass(&server, |config| {
            config.tls.roots = roots.clone();
            config.tls.certificate = Some(Pem::Text(theirs.certificate.clone()));
            config.tls.key = Some(Pem::Text(theirs.key.clone()));
        });
        let names = vec!["camera-7.example".to_owned(), "10.0.0.7".to_owned()];
        let expected = (crate::Protocol::Rtmps, Some(names));
        assert!(
            asked
                .lock()
                .expect("not poisoned")
                .iter()
                .all(|seen| *seen == expected)
        );
        let connect = |change: &dyn Fn(&mut ClientConfig)| {
            let mut config = to(&server, "127.0.0.1", ClientMode::Publish);
            config.tls.roots = roots.clone();
            change(&mut config);
            Client::connect(config)
        };
        match (connect(&|_| {}), mode) {
            (Ok(_), ClientAuth::Optional) => {
                let last = asked.lock().expect("not poisoned").last().cloned();
                assert_eq!(last, Some((crate::Protocol::Rtmps, None)));
            }
            (Err(error), ClientAuth::Required) => {
                assert!(
                    error.to_string().contains("tls.client.certificate"),
                    "{error}"
                );
            }
            (other, _) => panic!("{mode:?}: {other:?}"),
        }
        let stranger = usual(&["somebody.example"]);
        let error = connect(&|config| {
            config.tls.certificate = Some(Pem::Text(stranger.certificate.clone()));
            config.tls.key = Some(Pem::Text(stranger.key.clone()));
        });
        assert!(matches!(error, Err(ClientError::TlsFailed(_))), "{error:?}");
    }
}
