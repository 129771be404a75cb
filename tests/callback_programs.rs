//! HTTP servers that we did not write are asked who may do what.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use openrtmp_tests::tls::{Authority, file};
use openrtmp_tests::{Media, Player, Process, Publisher, ServerProcess};

fn free_address() -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    free.local_addr().expect("it is bound")
}

#[track_caller]
fn wait_for(address: SocketAddr) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "nobody listens on {address}");
        thread::yield_now();
    }
}

/// nginx with static answers, over TLS.
fn nginx(folder: &Path, certificate: &str, key: &str) -> (Process, SocketAddr) {
    let address = free_address();
    let certificate = file(folder, "web.pem", certificate);
    let key = file(folder, "web.key", key);
    let config = format!(
        "daemon off; master_process off; pid {0}/pid; error_log stderr;\n\
         events {{}}\n\
         http {{ access_log off; client_body_temp_path {0}/body; proxy_temp_path {0}/proxy;\n\
         fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;\n\
         server {{ listen {address} ssl; ssl_certificate {1}; ssl_certificate_key {2};\n\
         location /allow {{ return 204; }}\n\
         location /deny {{ return 403 \"the studio is closed\"; }}\n\
         location /rename {{ return 302 renamed; }} }} }}\n",
        folder.display(),
        certificate.display(),
        key.display()
    );
    let config = file(folder, "nginx.conf", &config);
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).arg("-c").arg(config);
    let process = Process::start("nginx", command);
    wait_for(address);
    (process, address)
}

/// A server that asks there. Its settings are in a file.
fn asking(folder: &Path, callback: &str) -> ServerProcess {
    let config = format!("access: {{callback: {{events: [publish], {callback}}}}}\n");
    let config = file(folder, "server.yaml", &config);
    ServerProcess::start(&["--config", config.to_str().expect("UTF-8")])
}

#[test]
fn nginx_allows_refuses_and_renames_over_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new("Test");
    let ca = file(folder.path(), "ca.pem", authority.pem());
    let signed = authority.sign(&["127.0.0.1"]);
    let (_nginx, address) = nginx(folder.path(), &signed.certificate, &signed.key);
    let server = |answer: &str| {
        let ca = ca.display();
        let callback = format!("format: nginx, url: 'https://{address}/{answer}', ca: '{ca}'");
        asking(folder.path(), &callback)
    };
    let media = Media::H264Aac;
    // Its reason is what ffmpeg prints.
    let finished = Publisher::Ffmpeg
        .start(media, &server("deny").url("live/cam"))
        .wait_for_failure();
    let output = finished.output.join("\n");
    assert!(output.contains("the studio is closed"), "{output}");
    for (answer, plays) in [("allow", "live/cam"), ("rename", "live/renamed")] {
        let server = server(answer);
        let mut playing = Player::Ffmpeg.start(&server.url(plays), folder.path());
        let publishing = Publisher::Ffmpeg.start(media, &server.url("live/cam"));
        playing.wait_until_flowing();
        publishing.wait();
        playing.wait();
    }
}

#[test]
fn a_server_that_only_serves_files_is_no_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = free_address();
    let mut command = Command::new("python3");
    let port = address.port().to_string();
    command.args(["-m", "http.server", &port, "--bind", "127.0.0.1"]);
    command.arg("--directory").arg(folder.path());
    let _python = Process::start("http.server", command);
    wait_for(address);
    let url = format!("url: 'http://{address}/'");
    let media = Media::H264Aac;
    let server = asking(folder.path(), &url);
    let finished = Publisher::Ffmpeg
        .start(media, &server.url("live/cam"))
        .wait_for_failure();
    let output = finished.output.join("\n");
    assert!(output.contains("cannot decide at the moment"), "{output}");
    let server = asking(folder.path(), &format!("{url}, fallback: allow"));
    Publisher::Ffmpeg
        .start(media, &server.url("live/cam"))
        .wait();
}

/// What an endpoint for MediaMTX looks like, with Python's HTTP server.
const ENDPOINT: &str = r#"
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        good = asked["action"] == "publish" and asked["password"] == "right"
        self.send_response(200 if good else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;

#[test]
fn an_endpoint_for_mediamtx_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = free_address();
    let script = file(folder.path(), "endpoint.py", ENDPOINT);
    let mut command = Command::new("python3");
    command.arg(script).arg(address.port().to_string());
    let _python = Process::start("endpoint", command);
    wait_for(address);
    let callback = format!("format: mediamtx, url: 'http://{address}/auth'");
    let server = asking(folder.path(), &callback);
    let publish = |pass: &str| {
        let url = server.url(&format!("live/cam?user=ann&pass={pass}"));
        Publisher::Ffmpeg.start(Media::H264Aac, &url)
    };
    publish("right").wait();
    publish("wrong").wait_for_failure();
}
