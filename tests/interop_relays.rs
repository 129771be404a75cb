//! Streams passed on and fetched, with programs that we did not write at both ends and in
//! between.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use openrtmp_core::{Config, Pem, PullRule, PushRule, Roots};
use openrtmp_tests::tls::{Authority, Certificate, file};
use openrtmp_tests::{Ending, Media, Player, Process, Publisher, Server, Tool};

fn push(config: &mut Config, to: &str) {
    config.relay.push = vec![PushRule::new("live/*", format!("{to}/{{app}}/{{name}}"))];
}

fn pull(config: &mut Config, from: &str) {
    config.relay.pull = vec![PullRule::new("live/*", format!("{from}/{{app}}/{{name}}"))];
}

/// Publishes to one server and plays from another.
fn pass(near: &Server, far: &Server, publisher: Publisher, media: Media, players: &[Player]) {
    let path = format!("live/{media:?}");
    let folder = tempfile::tempdir().expect("a folder");
    // They wait for the stream, which has to be fetched.
    let url = far.url(&path);
    let playing: Vec<_> = players
        .iter()
        .map(|player| player.start(&url, folder.path()))
        .collect();
    far.wait_for_players(&path, players.len());
    publisher.start(media, &near.url(&path)).wait();
    for player in playing {
        player.wait_and_check(media, Ending::Complete);
    }
}

fn root(url: &str) -> &str {
    url.trim_end_matches('/')
}

#[test]
fn payloads_are_unaltered_through_push_and_pull_over_tls() {
    let authority = Authority::new("Test");
    let certificate = authority.sign(&["127.0.0.1"]);
    let folder = tempfile::tempdir().expect("a folder");
    let ca = file(folder.path(), "ca.pem", authority.pem());
    let middle = Server::start_with(|config| certificate.apply(config));
    let at_middle = middle.url("");
    assert!(at_middle.starts_with("rtmps://"), "{at_middle}");
    let trust = |config: &mut Config| {
        config.tls.client.roots = Roots::Pem(Pem::File(ca.clone()));
    };
    let near = Server::start_with(|config| {
        trust(config);
        push(config, root(&at_middle));
    });
    let far = Server::start_with(|config| {
        trust(config);
        pull(config, root(&at_middle));
    });
    pass(
        &near,
        &far,
        Publisher::Ffmpeg,
        Media::H264Aac,
        &[Player::Ffmpeg, Player::Rtmpdump],
    );
    let media = Media::Hevc;
    pass(
        &near,
        &far,
        Publisher::FfmpegCurrent,
        media,
        &[Player::FfmpegCurrent],
    );
}

/// nginx with its RTMP module, in a folder.
struct Nginx {
    _process: Process,
    address: SocketAddr,
}

/// An address that nobody listens on.
fn free_address() -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    free.local_addr().expect("it is bound")
}

fn wait_until_open(what: &str, address: SocketAddr) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "{what} does not listen");
        thread::yield_now();
    }
}

impl Nginx {
    fn start(folder: &Path) -> Nginx {
        let address = free_address();
        let config = format!(
            "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;\n\
             daemon off; master_process off; pid {0}/pid; error_log {0}/error.log;\n\
             events {{}}\n\
             rtmp {{ server {{ listen {address}; application live {{ live on; }} }} }}\n",
            folder.display()
        );
        let config = file(folder, "nginx.conf", &config);
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder).arg("-c").arg(config);
        let process = Process::start("nginx", command);
        wait_until_open("nginx", address);
        Nginx {
            _process: process,
            address,
        }
    }

    fn url(&self) -> String {
        format!("rtmp://{}", self.address)
    }
}

/// stunnel, which speaks TLS for somebody who does not.
fn stunnel(folder: &Path, certificate: &Certificate, before: SocketAddr) -> (Process, SocketAddr) {
    let address = free_address();
    let pem = format!("{}{}", certificate.certificate, certificate.key);
    let pem = file(folder, "stunnel.pem", &pem);
    let config = format!(
        "foreground = yes\npid =\ndebug = 3\n\
         [rtmps]\naccept = {address}\nconnect = {before}\ncert = {}\n",
        pem.display()
    );
    let mut command = Tool::Stunnel.command();
    command.arg(file(folder, "stunnel.conf", &config));
    let process = Process::start("stunnel", command);
    wait_until_open("stunnel", address);
    (process, address)
}

#[test]
fn nginx_is_a_target_and_a_source() {
    let folder = tempfile::tempdir().expect("a folder");
    let nginx = Nginx::start(folder.path());
    let near = Server::start_with(|config| push(config, &nginx.url()));
    let far = Server::start_with(|config| pull(config, &nginx.url()));
    pass_by_nginx(near, far, folder.path());
}

#[test]
fn nginx_behind_stunnel_is_a_target_and_a_source() {
    let folder = tempfile::tempdir().expect("a folder");
    let nginx = Nginx::start(folder.path());
    let authority = Authority::new("Test");
    let certificate = authority.sign(&["127.0.0.1"]);
    let (_stunnel, address) = stunnel(folder.path(), &certificate, nginx.address);
    let ca = file(folder.path(), "ca.pem", authority.pem());
    let trust = |config: &mut Config| {
        config.tls.client.roots = Roots::Pem(Pem::File(ca.clone()));
    };
    let url = format!("rtmps://{address}");
    let near = Server::start_with(|config| {
        trust(config);
        push(config, &url);
    });
    let far = Server::start_with(|config| {
        trust(config);
        pull(config, &url);
    });
    pass_by_nginx(near, far, folder.path());
}

/// A stream from one server to another, with nginx between them.
fn pass_by_nginx(near: Server, far: Server, folder: &Path) {
    let path = "live/cam";
    let media = Media::H264Aac;
    let mut publishing = Publisher::Ffmpeg.start(media, &near.url(path));
    near.wait_until_published(path);
    publishing.wait_until_sent(1000);
    let mut playing = Player::Ffmpeg.start(&far.url(path), folder);
    far.wait_until_published(path);
    playing.wait_until_flowing();
    publishing.wait();
    // nginx tells its players nothing of the end.
    playing.wait_until_received(1000);
    drop(far);
    playing.wait_and_check(media, Ending::Cut);
}
