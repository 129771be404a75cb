//! A server behind proxies that we did not write: who peers are is what those say.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use openrtmp_core::{AccessAction, AddressRule, Config};
use openrtmp_tests::tls::{Authority, file};
use openrtmp_tests::{Media, Player, Process, Publisher, Server, Tool, pass_through_at};

/// From where the peer comes, as the last proxy sees it.
const PEER: &str = "127.0.0.7";

fn free_address() -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    free.local_addr().expect("it is bound")
}

fn behind_a_proxy(config: &mut Config) {
    config.access.trusted_proxies = vec!["127.0.0.1".to_owned()];
    for listen in &mut config.listen {
        *listen = listen.with_proxy_protocol();
    }
}

#[track_caller]
fn wait_for(address: SocketAddr) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "nobody listens on {address}");
        thread::yield_now();
    }
}

/// HAProxy in front of a server: twice, for the first to give the peer an address of its
/// own.
fn haproxy(server: &Server, send: &str, folder: &Path) -> (Process, SocketAddr) {
    let (near, far) = (free_address(), free_address());
    let target = server.address();
    let config = format!(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
         listen near\n bind {near}\n server far {far} source {PEER}\n\
         listen far\n bind {far}\n server openrtmp {target} {send}\n"
    );
    let config = file(folder, "haproxy.cfg", &config);
    let mut command = Tool::Haproxy.command();
    command.arg("-db").arg("-f").arg(config);
    let process = Process::start("haproxy", command);
    wait_for(near);
    (process, near)
}

#[test]
fn haproxy_tells_the_peer_in_both_versions() {
    for send in ["send-proxy", "send-proxy-v2"] {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start_with(behind_a_proxy);
        let (_haproxy, address) = haproxy(&server, send, folder.path());
        let players = [Player::Ffmpeg];
        let base = format!("rtmp://{address}/");
        let (publisher, media) = (Publisher::Ffmpeg, Media::H264Aac);
        pass_through_at(&server, &base, publisher, media, &players, "", None);
        let peers = server.granted_from(AccessAction::Publish);
        let expected: IpAddr = PEER.parse().expect("an address");
        assert_eq!(peers, [expected], "{send}");
    }
}

#[test]
fn the_header_stands_in_front_of_tls() {
    let authority = Authority::new("Test");
    let certificate = authority.sign(&["127.0.0.1"]);
    let folder = tempfile::tempdir().expect("a folder");
    let ca = file(folder.path(), "ca.pem", authority.pem());
    let server = Server::start_with(|config| {
        certificate.apply(config);
        behind_a_proxy(config);
    });
    let (_haproxy, address) = haproxy(&server, "send-proxy-v2 check-send-proxy", folder.path());
    let players = [Player::Ffmpeg];
    let base = format!("rtmps://{address}/");
    let (publisher, media) = (Publisher::Ffmpeg, Media::H264Aac);
    pass_through_at(&server, &base, publisher, media, &players, "", Some(&ca));
    let peers = server.granted_from(AccessAction::Publish);
    assert_eq!(peers, [PEER.parse::<IpAddr>().expect("an address")]);
}

#[test]
fn a_rule_is_about_the_peer_behind_the_proxy() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start_with(|config| {
        behind_a_proxy(config);
        config.access.rules = vec![AddressRule::deny(PEER).for_action(AccessAction::Publish)];
    });
    let (_haproxy, address) = haproxy(&server, "send-proxy-v2", folder.path());
    let url = format!("rtmp://{address}/live/cam");
    Publisher::Ffmpeg
        .start(Media::H264Aac, &url)
        .wait_for_failure();
    server.wait_until_closed_for(&["your address may not do this"]);
}

#[test]
fn stunnel_takes_tls_off_and_tells_the_peer() {
    let authority = Authority::new("Test");
    let signed = authority.sign(&["127.0.0.1"]);
    let folder = tempfile::tempdir().expect("a folder");
    let ca = file(folder.path(), "ca.pem", authority.pem());
    let certificate = file(
        folder.path(),
        "stunnel.pem",
        &format!("{}\n{}", signed.certificate, signed.key),
    );
    let server = Server::start_with(behind_a_proxy);
    let (accept, connect) = (free_address(), server.address());
    let config = format!(
        "foreground = yes\npid =\n[rtmps]\naccept = {accept}\nconnect = {connect}\n\
         cert = {}\nprotocol = proxy\n",
        certificate.display()
    );
    let config = file(folder.path(), "stunnel.conf", &config);
    let mut command = Tool::Stunnel.command();
    command.arg(config);
    let _stunnel = Process::start("stunnel", command);
    wait_for(accept);
    let base = format!("rtmps://{accept}/");
    let players = [Player::Ffmpeg];
    let (publisher, media) = (Publisher::Ffmpeg, Media::H264Aac);
    pass_through_at(&server, &base, publisher, media, &players, "", Some(&ca));
}
