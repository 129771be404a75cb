//! Settings: told, checked, taken from files and the environment, and read again.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

fn openrtmp(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openrtmp"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OPENRTMP_") {
            command.env_remove(name);
        }
    }
    command
}

fn run(command: &mut Command) -> Output {
    command.output().expect("the command starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A server at work, ended with its test.
struct Server {
    process: Child,
    log: Lines<BufReader<ChildStderr>>,
}

impl Server {
    fn start(command: &mut Command) -> Server {
        let mut process = command.spawn().expect("the command starts");
        let stderr = process.stderr.take().expect("a pipe");
        Server {
            process,
            log: BufReader::new(stderr).lines(),
        }
    }

    /// Waits for a line of its log.
    fn wait_for(&mut self, part: &str) -> String {
        let mut lines = self.log.by_ref().map_while(Result::ok);
        let found = lines.find(|line| line.contains(part));
        found.unwrap_or_else(|| panic!("it ended without {part:?}"))
    }

    /// Waits until it has told where it listens: then it watches its files.
    fn wait_until_ready(&mut self) {
        let stdout = self.process.stdout.take().expect("a pipe");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.starts_with("Ctrl-C")));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_reference_and_the_schema_are_those_of_the_repository() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for (action, file) in [
        ("reference", "settings.yaml"),
        ("schema", "schema/settings.json"),
    ] {
        let output = run(&mut openrtmp(&["config", action]));
        assert_eq!(output.status.code(), Some(0));
        let file = docs.join(file);
        if std::env::var_os("OPENRTMP_BLESS").is_some() {
            fs::write(&file, &output.stdout).expect("it is written");
        }
        // Git may have given it the line ends of the machine.
        let committed = fs::read_to_string(&file).expect("it is there");
        let told = text(&output.stdout);
        assert!(
            committed.replace('\r', "") == told,
            "{}: run the test with OPENRTMP_BLESS=1",
            file.display()
        );
    }
    let reference = docs.join("settings.yaml");
    let reference = reference.to_str().expect("UTF-8");
    let output = run(&mut openrtmp(&["config", "check", reference]));
    let told = text(&output.stdout);
    assert!(
        told.ends_with("right, with nothing but defaults\n"),
        "{told}"
    );
}

#[test]
fn a_file_is_checked_with_an_exit_code_and_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = |name: &str, content: &[u8]| {
        let file = folder.path().join(name);
        fs::write(&file, content).expect("it is written");
        let output = run(&mut openrtmp(&[
            "config",
            "check",
            file.to_str().expect("UTF-8"),
        ]));
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (code, told, _) = check("good.yaml", b"workers: 2\nrecord: {directory: films}\n");
    assert_eq!(code, Some(0));
    assert!(
        told.ends_with("good.yaml: right, 2 settings other than the defaults\n"),
        "{told}"
    );
    let large = format!("access: {{publish_keys: [{}]}}", "k, ".repeat(4 << 20));
    let long_name = format!("{}: 1", "x".repeat(1 << 19));
    let deep = "[".repeat(1 << 19);
    let ten = |name: char| format!("[{}]", vec![format!("*{name}"); 10].join(", "));
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, before) in ('b'..='i').zip('a'..) {
        bomb.push_str(&format!("{name}: &{name} {}\n", ten(before)));
    }
    for (name, content, expected) in [
        (
            "range.yaml",
            "workers: 65",
            "line 1: workers = 65: expected a whole number",
        ),
        ("kind.yaml", "listen: {a: 1}", "line 1: listen = "),
        (
            "twice.yaml",
            "workers: 1\nworkers: 2\n",
            "line 2: the same name twice",
        ),
        (
            "twice.json",
            r#"{"workers": 1, "workers": 2}"#,
            "line 1: the same name twice",
        ),
        (
            "clash.yaml",
            "queue: {max_delay: 10ms, write_coalesce: 50ms}",
            "three quarters",
        ),
        (
            "folder.yaml",
            "record: {template: '{name}'}",
            "record.directory",
        ),
        ("large.yaml", &large, "longer than 1048576 bytes"),
        ("long.yaml", &long_name, "not YAML"),
        (
            "long.json",
            &format!("{{\"{}\": 1}}", "x".repeat(1 << 19)),
            "no such setting",
        ),
        ("deep.yaml", &deep, "deep.yaml"),
        ("deep.json", &deep, "deep.json"),
        (
            "bomb.yaml",
            &bomb,
            "an alias that stands for nothing, or for too much",
        ),
    ] {
        let (code, told, wrong) = check(name, content.as_bytes());
        assert_eq!((code, told.as_str()), (Some(2), ""), "{name}: {wrong}");
        assert!(wrong.contains(expected), "{name}: {wrong}");
        assert!(wrong.contains(name), "{name}: {wrong}");
        assert_eq!(wrong.lines().count(), 1, "{name}: {wrong}");
        assert!(wrong.len() < 1000, "{name}: {}", wrong.len());
    }
    let output = run(&mut openrtmp(&["config", "check", "no-such-file.yaml"]));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn what_is_in_force_is_dumped_without_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("server.yaml");
    fs::write(
        &file,
        "workers: 2\ngop: {max_frames: 2}\nlimits: {tracks: 2}\n",
    )
    .expect("it is written");
    let secret = folder.path().join("secret");
    fs::write(&secret, "hidden\n").expect("it is written");
    let file = file.to_str().expect("UTF-8");
    let mut command = openrtmp(&[
        "config",
        "dump",
        "--json",
        "--config",
        file,
        "--workers",
        "4",
    ]);
    command
        .env("OPENRTMP_WORKERS", "3")
        .env("OPENRTMP_GOP__MAX_FRAMES", "3")
        .env("OPENRTMP_ACCESS__PLAY_KEYS_FILE", &secret)
        .env("OPENRTMP_PORT", "tcp://10.0.0.1:1935");
    let output = run(&mut command);
    let dumped: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(dumped["workers"], 4, "flags win");
    assert_eq!(
        dumped["gop"]["max_frames"], 3,
        "over the environment, and that"
    );
    assert_eq!(dumped["limits"]["tracks"], 2, "over the file");
    assert_eq!(dumped["access"]["play_keys"][0], "***");
    let output = run(command.env("OPENRTMP_GOP__MAX_FRAMES", "many"));
    assert_eq!(output.status.code(), Some(2));
    let wrong = text(&output.stderr);
    assert!(
        wrong.contains("OPENRTMP_GOP__MAX_FRAMES: gop.max_frames"),
        "{wrong}"
    );
}

#[test]
fn a_server_tells_how_its_settings_differ_and_of_variables_that_are_none() {
    let mut command = openrtmp(&["serve", "--listen", "127.0.0.1:0"]);
    command
        .env("OPENRTMP_ACCESS__PUBLISH_KEYS", "hidden")
        .env("OPENRTMP_LIMITS__CONECTIONS", "5")
        .env("OPENRTMP_PORT", "tcp://10.0.0.1:1935");
    let mut server = Server::start(&mut command);
    let line = server.wait_for("settings other than the defaults");
    assert!(
        line.contains("listen = [\"127.0.0.1:0\"], access.publish_keys = ***"),
        "{line}"
    );
    let line = server.wait_for("no such setting");
    assert!(
        line.contains("OPENRTMP_LIMITS__CONECTIONS")
            && line.ends_with("did you mean OPENRTMP_LIMITS__CONNECTIONS?"),
        "{line}"
    );
}

/// As a ConfigMap of Kubernetes: the file is a link into a folder that is a link.
#[cfg(unix)]
#[test]
fn a_file_behind_links_that_are_swapped_is_read_again() {
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let version = |name: &str, content: &str| {
        fs::create_dir(at(name)).expect("a folder");
        fs::write(at(name).join("server.yaml"), content).expect("it is written");
        symlink(name, at("..tmp")).expect("a link");
        fs::rename(at("..tmp"), at("..data")).expect("the link is replaced");
    };
    let settings =
        |frames: u32| format!("listen: ['127.0.0.1:0']\ngop: {{max_frames: {frames}}}\n");
    version("..v1", &settings(1));
    symlink("..data/server.yaml", at("server.yaml")).expect("a link");
    let file = at("server.yaml");
    let file = file.to_str().expect("UTF-8");
    let mut server = Server::start(&mut openrtmp(&["serve", "--config", file]));
    server.wait_until_ready();
    version("..v2", &settings(2));
    server.wait_for("settings changed: gop.max_frames");
    // Also where the folder is another by now.
    fs::write(at("..v2").join("server.yaml"), settings(3)).expect("it is written");
    server.wait_for("settings changed: gop.max_frames");
    // All or nothing: what only a restart changes is named, and nothing is in force.
    let both = settings(4) + "workers: 63\n";
    fs::write(at("..v2").join("server.yaml"), both).expect("it is written");
    let line = server.wait_for("the settings stay as they are");
    assert!(line.ends_with("only a restart changes workers"), "{line}");
    fs::write(at("..v2").join("server.yaml"), settings(4)).expect("it is written");
    server.wait_for("settings changed: gop.max_frames");
}

#[test]
fn keys_are_put_on_record_and_taken_away_while_a_server_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys.yaml");
    let file = file.to_str().expect("UTF-8");
    let keys = |arguments: &[&str]| {
        let all = [&["ctl", "keys"], arguments, &["--keys-file", file]].concat();
        let output = run(&mut openrtmp(&all));
        let (told, wrong) = (text(&output.stdout), text(&output.stderr));
        (output.status.code(), told, wrong)
    };
    let (code, key, told) = keys(&["add", "publish", "--stream", "cam1"]);
    assert_eq!(code, Some(0), "{told}");
    let key = key.trim();
    assert_eq!(key.len(), 32, "a key and nothing else: {key}");
    assert_eq!(
        told,
        "publish-cam1: to publish live/KEY, which is live/cam1\n"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(file)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let mut command = openrtmp(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("OPENRTMP_ACCESS__KEYS_FILE", file);
    let mut server = Server::start(&mut command);
    server.wait_until_ready();
    let (code, ..) = keys(&["add", "play", "--expires", "2099-12-31", "--key", "GUEST"]);
    assert_eq!(code, Some(0));
    server.wait_for("keys read again: 1 new or other, 0 revoked");
    let (_, table, _) = keys(&["list"]);
    assert!(
        table.contains("publish-cam1") && table.contains("live/cam1"),
        "{table}"
    );
    assert!(table.contains("2099-12-31T00:00:00Z"), "{table}");
    let (_, json, _) = keys(&["list", "--json"]);
    assert!(!(table + &json).contains(key));
    let listed: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(listed["keys"][1]["id"], "play-live");
    let (code, ..) = keys(&["revoke", "publish-cam1"]);
    assert_eq!(code, Some(0));
    server.wait_for("keys read again: 0 new or other, 1 revoked");
    for (wrong, expected) in [
        (&["revoke", "publish-cam1"][..], "no record has this id"),
        (&["add", "play", "--id", "play-live"], "has this id already"),
        (&["add", "play", "--key", "GUEST"], "has this key already"),
        (&["add", "play", "--key", "a b"], "key: expected"),
        (&["add", "record"], "for publish or for play"),
    ] {
        let (code, _, told) = keys(wrong);
        assert_eq!(code, Some(2), "{told}");
        assert!(told.contains(expected), "{told}");
        assert!(!told.contains("GUEST"), "{told}");
    }
}

#[test]
fn files_that_settings_name_are_looked_at_and_none_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let other = rcgen::generate_simple_self_signed(["other".to_owned()]).expect("a certificate");
    for (name, content) in [
        ("good.pem", own.cert.pem()),
        ("good.key", own.signing_key.serialize_pem()),
        ("other.key", other.signing_key.serialize_pem()),
        ("junk.pem", "junk".to_owned()),
        (
            "keys.yaml",
            "- {id: a, kind: publish, app: live, key: SECRET}\n".to_owned(),
        ),
        (
            "twice.yaml",
            "- {id: a, kind: publish, app: live, key: SECRET}\n".repeat(2),
        ),
    ] {
        fs::write(at(name), content).expect("it is written");
    }
    let check = |settings: &str| {
        let file = at("settings.yaml");
        fs::write(&file, settings).expect("it is written");
        let output = run(&mut openrtmp(&["config", "check", &file]));
        (output.status.code(), text(&output.stderr))
    };
    let tls = |certificate: &str, key: &str| {
        format!(
            "tls: {{certificate: '{}', key: '{}'}}\n",
            at(certificate),
            at(key)
        )
    };
    let keys = |file: &str| format!("access: {{keys_file: '{}'}}\n", at(file));
    let ca = |file: &str| format!("access: {{callback: {{ca: '{}'}}}}\n", at(file));
    for (settings, wrong) in [
        (tls("good.pem", "good.key"), None),
        (
            tls("good.pem", "other.key"),
            Some("is not the key of the certificate"),
        ),
        (tls("nowhere.pem", "good.key"), Some("nowhere.pem")),
        (tls("junk.pem", "good.key"), Some("holds no certificate")),
        (
            "listen: ['rtmps://127.0.0.1:1936']\n".to_owned(),
            Some("certificate"),
        ),
        (keys("keys.yaml"), None),
        (keys("nowhere.yaml"), Some("nowhere.yaml")),
        (keys("twice.yaml"), Some("stands twice")),
        (ca("good.pem"), None),
        (ca("junk.pem"), Some("junk.pem")),
        (
            format!("tls: {{client: {{roots: '{}'}}}}\n", at("junk.pem")),
            Some("junk.pem"),
        ),
        (
            format!(
                "tls: {{self_signed: true, state_directory: '{}'}}\n",
                at("state")
            ),
            None,
        ),
    ] {
        let (code, told) = check(&settings);
        match wrong {
            None => assert_eq!((code, &*told), (Some(0), ""), "{settings}"),
            Some(wrong) => {
                assert_eq!(code, Some(2), "{settings}: {told}");
                assert!(
                    told.contains("settings.yaml: ") && told.contains(wrong),
                    "{told}"
                );
                assert!(!told.contains("SECRET"), "{told}");
            }
        }
    }
    assert!(!folder.path().join("state").exists());
}
