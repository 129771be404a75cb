//! Certificates that a program gives, and those that its peers show.

use std::ffi::c_void;
use std::fs;
use std::ptr::null_mut;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use openrtmp::OpenrtmpStr;
use openrtmp::access::{OpenrtmpAccessRequest, openrtmp_request_accept};
use openrtmp::config::{
    OPENRTMP_PROFILE_MOBILE, openrtmp_config_free, openrtmp_config_new, openrtmp_config_set,
};
use openrtmp::error::{OPENRTMP_ERROR_INVALID_ARGUMENT, OPENRTMP_ERROR_IO, OPENRTMP_ERROR_STATE};
use openrtmp::reach::openrtmp_server_address;
use openrtmp::server::{
    OpenrtmpCallbacks, OpenrtmpServer, openrtmp_server_free, openrtmp_server_new,
    openrtmp_server_start,
};
use openrtmp::tls::{
    openrtmp_tls_pin, openrtmp_tls_reload, openrtmp_tls_set_certificate, openrtmp_tls_set_challenge,
};
use openrtmp_core::Pem;
use openrtmp_core::client::{Client, ClientConfig, ClientMode};
use openrtmp_core::protocol::RtmpUrl;

use super::host::{Host, last_error, ok, owned};

/// A certificate and its key, as PEM.
fn made(name: &str) -> (String, String) {
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "Camera 7");
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

fn pin(server: *mut OpenrtmpServer) -> String {
    let (mut buffer, mut length) = ([0u8; 128], 0);
    // SAFETY: the handle lives, the places too.
    ok(unsafe {
        openrtmp_tls_pin(
            server,
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            &mut length,
        )
    });
    String::from_utf8(buffer[..length].to_vec()).expect("ASCII")
}

fn set(server: *mut OpenrtmpServer, chain: &str, key: &str) -> i32 {
    let (chain, key) = (OpenrtmpStr::new(chain), OpenrtmpStr::new(key));
    // SAFETY: the handle lives, the texts during the call.
    unsafe { openrtmp_tls_set_certificate(server, chain, key) }
}

fn reload(server: *mut OpenrtmpServer) -> i32 {
    // SAFETY: the handle lives.
    unsafe { openrtmp_tls_reload(server) }
}

const TLS: (&str, &str) = ("listen", "rtmps://127.0.0.1:0");

#[test]
fn a_certificate_may_come_from_memory_before_a_start_and_later() {
    let host = Host::new(&[TLS], |_, _| {});
    let (one, other) = (made("127.0.0.1"), made("127.0.0.1"));
    assert_eq!(
        set(host.server, "a.pem", "a.key"),
        OPENRTMP_ERROR_INVALID_ARGUMENT
    );
    ok(set(host.server, &one.0, &one.1));
    host.start();
    let before = pin(host.server);
    assert!(before.starts_with("sha256//"), "{before}");
    assert_eq!(set(host.server, &other.0, &one.1), OPENRTMP_ERROR_IO);
    assert!(
        last_error().contains("is not the key of the certificate"),
        "{}",
        last_error()
    );
    assert_eq!(pin(host.server), before);
    ok(set(host.server, &other.0, &other.1));
    assert_ne!(pin(host.server), before);
    ok(host.free());
}

#[test]
fn a_server_may_begin_without_a_certificate_and_answer_its_authority() {
    let folder = tempfile::tempdir().expect("a folder");
    let storage = folder.path().to_str().expect("ASCII");
    let settings = [
        TLS,
        ("tls.acme.domains", "live.example.org"),
        ("tls.acme.storage", storage),
    ];
    let host = Host::new(&settings, |_, _| {});
    let answer = made("live.example.org");
    let set_challenge = |chain: &str, key: &str| {
        let [name, chain, key] = ["live.example.org", chain, key].map(OpenrtmpStr::new);
        // SAFETY: the handle lives, the texts during the call.
        unsafe { openrtmp_tls_set_challenge(host.server, name, chain, key) }
    };
    assert_eq!(set_challenge(&answer.0, &answer.1), OPENRTMP_ERROR_STATE);
    host.start();
    let mut length = 0;
    // SAFETY: the handle lives, the place too.
    let code = unsafe { openrtmp_tls_pin(host.server, null_mut(), 0, &mut length) };
    assert_eq!(code, OPENRTMP_ERROR_STATE);
    ok(set_challenge(&answer.0, &answer.1));
    let other = made("live.example.org");
    assert_eq!(set_challenge(&answer.0, &other.1), OPENRTMP_ERROR_IO);
    assert!(
        last_error().contains("is not the key of"),
        "{}",
        last_error()
    );
    ok(set_challenge("", ""));
    ok(set(host.server, &other.0, &other.1));
    assert!(pin(host.server).starts_with("sha256//"));
    ok(host.free());
}

#[test]
fn files_are_read_again_when_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let [certificate, key] = ["a.pem", "a.key"].map(|name| folder.path().join(name));
    let write = |made: &(String, String)| {
        fs::write(&certificate, &made.0).expect("it is written");
        fs::write(&key, &made.1).expect("it is written");
    };
    write(&made("127.0.0.1"));
    let [certificate, key] = [&certificate, &key].map(|path| path.to_str().expect("ASCII"));
    let settings = [TLS, ("tls.certificate", certificate), ("tls.key", key)];
    let host = Host::new(&settings, |_, _| {});
    assert_eq!(reload(host.server), OPENRTMP_ERROR_STATE);
    host.start();
    let before = pin(host.server);
    ok(reload(host.server));
    assert_eq!(pin(host.server), before);
    write(&made("127.0.0.1"));
    ok(reload(host.server));
    let after = pin(host.server);
    assert_ne!(after, before);
    fs::write(certificate, "junk").expect("it is written");
    assert_eq!(reload(host.server), OPENRTMP_ERROR_IO);
    assert!(last_error().contains(certificate), "{}", last_error());
    assert_eq!(pin(host.server), after);
    ok(host.free());
}

#[test]
fn without_a_listener_that_speaks_tls_there_is_nothing_to_tell() {
    let host = Host::new(&[], |_, _| {});
    host.start();
    assert_eq!(reload(host.server), OPENRTMP_ERROR_STATE);
    let mut length = 0;
    // SAFETY: the handle lives, the place too.
    let code = unsafe { openrtmp_tls_pin(host.server, null_mut(), 0, &mut length) };
    assert_eq!(code, OPENRTMP_ERROR_STATE);
    ok(host.free());
}

/// What a request said of the peer's certificate.
#[derive(Debug, PartialEq)]
struct Asked {
    tls: u32,
    common_name: String,
    names: String,
    pin: String,
}

struct Side {
    server: *mut OpenrtmpServer,
    asked: Sender<Asked>,
}

unsafe extern "C" fn on_access(user_data: *mut c_void, request: *const OpenrtmpAccessRequest) {
    // SAFETY: both live during the call.
    let (side, request) = unsafe { (&*user_data.cast::<Side>(), &*request) };
    // SAFETY: its texts live as long.
    let asked = unsafe {
        Asked {
            tls: request.tls,
            common_name: owned(request.certificate_common_name),
            names: owned(request.certificate_names),
            pin: owned(request.certificate_pin),
        }
    };
    side.asked.send(asked).expect("the test listens");
    // SAFETY: the server lives.
    ok(unsafe { openrtmp_request_accept(side.server, request.request_id) });
}

#[test]
fn a_request_tells_who_its_peer_is() {
    let (asked, answers) = channel();
    let server = null_mut();
    let side = Box::into_raw(Box::new(Side { server, asked }));
    let (mine, theirs) = (made("127.0.0.1"), made("camera.example"));
    let table = OpenrtmpCallbacks {
        struct_size: size_of::<OpenrtmpCallbacks>() as u32,
        reserved: 0,
        user_data: side.cast(),
        on_event: None,
        on_access: Some(on_access),
        on_closed: None,
        on_order: None,
    };
    let (mut config, mut server) = (null_mut(), null_mut());
    // SAFETY: places and texts live during the calls.
    unsafe {
        ok(openrtmp_config_new(OPENRTMP_PROFILE_MOBILE, &mut config));
        let ca = ("tls.client_auth.ca", theirs.0.as_str());
        for (path, value) in [TLS, ca, ("tls.client_auth.mode", "optional")] {
            ok(openrtmp_config_set(
                config,
                OpenrtmpStr::new(path),
                OpenrtmpStr::new(value),
            ));
        }
        ok(openrtmp_server_new(config, &raw const table, &mut server));
        openrtmp_config_free(config);
        (*side).server = server;
    }
    ok(set(server, &mine.0, &mine.1));
    // SAFETY: the handle lives.
    ok(unsafe { openrtmp_server_start(server) });
    let (mut buffer, mut length) = ([0u8; 64], 0);
    // SAFETY: the handle lives, the places too.
    ok(unsafe {
        openrtmp_server_address(
            server,
            0,
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            &mut length,
        )
    });
    let address = String::from_utf8(buffer[..length].to_vec()).expect("ASCII");
    let connect = |shows: bool| {
        let url = RtmpUrl::parse(&format!("rtmps://{address}/live/cam")).expect("a URL");
        let mut config = ClientConfig::new(url, ClientMode::Play);
        config.tls.pins = vec![pin(server)];
        if shows {
            config.tls.certificate = Some(Pem::Text(theirs.0.clone()));
            config.tls.key = Some(Pem::Text(theirs.1.clone()));
        }
        Client::connect(config).expect("it is let in")
    };
    let wait = || {
        answers
            .recv_timeout(Duration::from_secs(30))
            .expect("it is asked")
    };
    let known = connect(true);
    let told = wait();
    assert_eq!((told.tls, told.common_name.as_str()), (1, "Camera 7"));
    assert_eq!(told.names, "camera.example");
    assert!(told.pin.starts_with("sha256//"), "{told:?}");
    assert_eq!(wait(), told, "to play is asked as well");
    let unknown = connect(false);
    let nothing = String::new;
    let expected = Asked {
        tls: 1,
        common_name: nothing(),
        names: nothing(),
        pin: nothing(),
    };
    assert_eq!(wait(), expected);
    drop((known, unknown));
    // SAFETY: freed once; after it no callback runs, and the side is nobody's.
    unsafe {
        ok(openrtmp_server_free(server));
        drop(Box::from_raw(side));
    }
}
