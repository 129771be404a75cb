//! What scanners for weaknesses of TLS find.

use openrtmp_tests::tls::{Authority, file};
use openrtmp_tests::{Process, Server, Tool};

fn server(authority: &Authority) -> Server {
    let certificate = authority.sign(&["127.0.0.1", "localhost"]);
    Server::start_with(|config| certificate.apply(config))
}

#[test]
fn testssl_finds_nothing_above_low() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new("Test");
    let server = server(&authority);
    let ca = file(folder.path(), "ca.pem", authority.pem());
    let found = folder.path().join("found.json");
    let mut command = Tool::Testssl.command();
    command.args(["-p", "-s", "-f", "-P", "-U", "--quiet", "--color", "0"]);
    command.args(["--warnings", "batch", "--add-ca"]).arg(ca);
    command.arg("--jsonfile").arg(&found);
    command.arg(server.address().to_string());
    // Its exit code counts what it finds, of any severity.
    let finished = Process::start_within("testssl", command, std::time::Duration::from_secs(600));
    let finished = finished.wait();
    let text = std::fs::read_to_string(&found).unwrap_or_default();
    let findings: Vec<serde_json::Value> = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}\n{}", finished.output.join("\n")));
    assert!(findings.len() > 40, "{text}");
    for finding in findings {
        let severity = finding["severity"].as_str().unwrap_or_default();
        let id = finding["id"].as_str().unwrap_or_default();
        let is_bad = ["MEDIUM", "HIGH", "CRITICAL", "FATAL"].contains(&severity);
        assert!(!is_bad || id.starts_with("cert_"), "{finding}");
    }
}

#[test]
fn sslscan_finds_the_two_versions_and_no_weakness() {
    let server = server(&Authority::new("Test"));
    let mut command = Tool::Sslscan.command();
    command.args(["--no-colour", &server.address().to_string()]);
    let finished = Process::start("sslscan", command).wait().expect_success();
    let output = finished.output.join("\n");
    for (version, state) in [
        ("SSLv2", "disabled"),
        ("SSLv3", "disabled"),
        ("TLSv1.0", "disabled"),
        ("TLSv1.1", "disabled"),
        ("TLSv1.2", "enabled"),
        ("TLSv1.3", "enabled"),
    ] {
        let line = finished.output.iter().find(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some(version) && words.next() == Some(state)
        });
        assert!(line.is_some(), "{version} is not {state}:\n{output}");
    }
    for line in &finished.output {
        let is_bad = line.contains("Compression enabled")
            || line.contains("vulnerable to heartbleed") && !line.contains("not vulnerable")
            || line.contains("Insecure");
        assert!(!is_bad, "{line}\n{output}");
    }
}
