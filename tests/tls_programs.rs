//! RTMP over TLS with programs that we did not write.

use std::path::Path;
use std::process::Command;

use openrtmp_core::{CertificateConfig, ClientAuth, Pem, TlsVersion};
use openrtmp_tests::tls::{Authority, file};
use openrtmp_tests::{Finished, Media, Player, Process, Publisher, Server, Tool, pass_through};

/// A server with a certificate for its address.
fn server(authority: &Authority) -> Server {
    let certificate = authority.sign(&["127.0.0.1", "localhost"]);
    Server::start_with(|config| certificate.apply(config))
}

/// All players that speak TLS; Debian's rtmpdump is built without.
const PLAYERS: [Player; 3] = [Player::Ffmpeg, Player::FfmpegCurrent, Player::Gstreamer];

/// Passes a stream through a server with TLS, to and from programs that know its
/// authority.
fn pass(publisher: Publisher, media: Media, players: &[Player]) {
    let authority = Authority::new("Test");
    let folder = tempfile::tempdir().expect("a folder");
    let ca = file(folder.path(), "ca.pem", authority.pem());
    pass_through(
        &server(&authority),
        publisher,
        media,
        players,
        "",
        Some(&ca),
    );
}

#[test]
fn what_ffmpeg_publishes_arrives_unaltered() {
    pass(Publisher::Ffmpeg, Media::H264Aac, &PLAYERS);
}

#[test]
fn what_a_current_ffmpeg_publishes_arrives_unaltered() {
    pass(Publisher::FfmpegCurrent, Media::BFrames, &PLAYERS);
}

#[test]
fn what_gstreamer_publishes_arrives_unaltered() {
    pass(Publisher::Gstreamer, Media::H264Aac, &PLAYERS);
}

#[test]
fn twenty_megabits_a_second_arrive_unaltered() {
    pass(Publisher::Ffmpeg, Media::TwentyMegabits, &[Player::Ffmpeg]);
}

/// `openssl s_client`, which ends as soon as the handshake is over.
fn s_client(server: &Server, arguments: &[&str]) -> Finished {
    let mut command = openssl(server);
    command.args(arguments);
    Process::start(format!("s_client {arguments:?}"), command).wait()
}

fn openssl(server: &Server) -> Command {
    let mut command = Tool::Openssl.command();
    let address = server.address().to_string();
    command.args(["s_client", "-brief", "-connect", &address]);
    command
}

fn path(folder: &Path, name: &str, text: &str) -> String {
    file(folder, name, text).to_str().expect("ASCII").to_owned()
}

#[track_caller]
fn assert_said(finished: &Finished, part: &str) {
    let output = finished.output.join("\n");
    assert!(output.contains(part), "{part:?} is not in\n{output}");
}

#[test]
fn openssl_speaks_both_versions_and_believes_the_authority() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new("Test");
    let server = server(&authority);
    let ca = path(folder.path(), "ca.pem", authority.pem());
    for (flag, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let flags = [
            flag,
            "-CAfile",
            &ca,
            "-verify_return_error",
            "-verify_ip",
            "127.0.0.1",
        ];
        let finished = s_client(&server, &flags);
        assert_said(&finished, &format!("Protocol version: {version}"));
        assert_said(&finished, "Verification: OK");
    }
    for flag in ["-tls1", "-tls1_1"] {
        let old = [flag, "-cipher", "DEFAULT@SECLEVEL=0"];
        assert!(!s_client(&server, &old).status.success(), "{flag}");
    }
}

#[test]
fn the_server_chooses_the_cipher_suite_among_those_that_are_allowed() {
    let certificate = Authority::new("Test").sign(&["127.0.0.1"]);
    let server = Server::start_with(|config| {
        certificate.apply(config);
        config.tls.cipher_suites = vec![
            "TLS_CHACHA20_POLY1305_SHA256".to_owned(),
            "TLS_AES_128_GCM_SHA256".to_owned(),
        ];
        config.tls.min_version = TlsVersion::Tls13;
    });
    let theirs = [
        "-ciphersuites",
        "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256",
    ];
    let finished = s_client(&server, &theirs);
    assert_said(&finished, "Ciphersuite: TLS_CHACHA20_POLY1305_SHA256");
    assert!(!s_client(&server, &["-tls1_2"]).status.success());
    let none = ["-ciphersuites", "TLS_AES_256_GCM_SHA384"];
    assert!(!s_client(&server, &none).status.success());
    server.wait_until_closed_for(&["TLS:", "no version, cipher suite or signature"]);
}

#[test]
fn the_certificate_is_that_of_the_name_asked_for() {
    let authority = Authority::new("Test");
    let first = authority.sign(&["first.example"]);
    let second = authority.sign(&["second.example", "*.third.example"]);
    let server = Server::start_with(|config| {
        first.apply(config);
        let certificate = Pem::Text(second.certificate.clone());
        let key = Pem::Text(second.key.clone());
        let second = CertificateConfig::new(certificate, key);
        config.tls.certificates.push(second);
    });
    for (flags, name) in [
        (&["-servername", "first.example"][..], "first.example"),
        (&["-servername", "second.example"], "second.example"),
        (&["-servername", "a.third.example"], "second.example"),
        (&["-servername", "unknown.example"], "first.example"),
        (&["-noservername"], "first.example"),
    ] {
        let finished = s_client(&server, flags);
        assert_said(&finished, &format!("CN = {name}"));
    }
}

#[test]
fn a_client_without_the_right_certificate_is_turned_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let (authority, stranger) = (Authority::new("Test"), Authority::new("Stranger"));
    let (mine, theirs) = (
        authority.sign(&["127.0.0.1"]),
        authority.sign(&["camera.example"]),
    );
    let server = Server::start_with(|config| {
        mine.apply(config);
        config.tls.client_auth.mode = ClientAuth::Required;
        config.tls.client_auth.ca = Some(Pem::Text(authority.pem().to_owned()));
    });
    let certificate = path(folder.path(), "it.pem", &theirs.certificate);
    let key = path(folder.path(), "it.key", &theirs.key);
    // In TLS 1.3 a client hears of it after its handshake: 1.2 tells by the exit code.
    let good = s_client(&server, &["-tls1_2", "-cert", &certificate, "-key", &key]);
    good.expect_success();
    assert!(!s_client(&server, &["-tls1_2"]).status.success());
    server.wait_until_closed_for(&["TLS:", "tls.client_auth.mode is required"]);
    let other = stranger.sign(&["camera.example"]);
    let certificate = path(folder.path(), "other.pem", &other.certificate);
    let key = path(folder.path(), "other.key", &other.key);
    let bad = s_client(&server, &["-tls1_2", "-cert", &certificate, "-key", &key]);
    assert!(!bad.status.success());
    server.wait_until_closed_for(&["TLS:", "none of tls.client_auth.ca"]);
}

#[test]
fn a_session_is_resumed_with_a_ticket() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server(&Authority::new("Test"));
    let session = folder.path().join("session");
    let session = session.to_str().expect("ASCII");
    s_client(&server, &["-tls1_2", "-sess_out", session]).expect_success();
    // Not brief: that says nothing of it.
    let mut command = Tool::Openssl.command();
    let address = server.address().to_string();
    command.args([
        "s_client", "-tls1_2", "-sess_in", session, "-connect", &address,
    ]);
    let finished = Process::start("s_client -sess_in", command).wait();
    assert_said(&finished, "Reused, TLSv1.2");
}

#[test]
fn who_does_not_know_the_authority_is_told_apart_in_the_log() {
    let server = server(&Authority::new("Test"));
    let finished = s_client(&server, &["-verify_return_error"]);
    assert!(!finished.status.success());
    server.wait_until_closed_for(&["TLS:", "does not know the authority"]);
}

#[test]
fn tls_to_a_plain_port_is_told() {
    let server = Server::start();
    assert!(!s_client(&server, &[]).status.success());
    server.wait_until_closed_for(&["this is TLS"]);
}
