use std::sync::mpsc::{Sender, channel};

use openrtmp_core::{Config, DrainOptions, Server};
use serde_json::{Value, json};

use super::super::operator::{Hands, Reloaded};
use super::super::socket::connect;
use super::*;
use crate::exit::Failure;

const PATIENCE: Duration = Duration::from_secs(60);

/// Hands that tell what they were asked for.
struct Told(Mutex<Sender<DrainOptions>>);

impl Hands for Told {
    fn reload(&self) -> Result<Reloaded, Refusal> {
        Ok(Reloaded {
            needs_restart: vec!["workers".to_owned()],
            ..Reloaded::default()
        })
    }

    fn drain(&self, options: DrainOptions) -> Result<(), Refusal> {
        let sent = lock(&self.0).send(options);
        sent.map_err(|_| Refusal::new(Code::Conflict, "once"))
    }
}

/// A server in its operator's hands.
struct Bench {
    server: Arc<Server>,
    control: Control,
    config: ControlConfig,
    drained: std::sync::mpsc::Receiver<DrainOptions>,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(change: impl FnOnce(&mut Config, &Path)) -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = Config::desktop();
        config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
        config.control.listen = ControlListen::At(socket(&folder));
        change(&mut config, folder.path());
        let server = Arc::new(Server::start(config).expect("it starts"));
        let (sender, drained) = channel();
        let hands = Box::new(Told(Mutex::new(sender)));
        let control = Control::new(Operator::new(&server, hands));
        let config = server.config().control.clone();
        control.follow(&config).expect("a socket");
        Bench {
            server,
            control,
            config,
            drained,
            folder,
        }
    }

    fn connect(&self) -> Client {
        Client(connect(&socket(&self.folder), PATIENCE).expect("it listens"))
    }

    fn ask(&self, request: Value) -> Result<Value, Refusal> {
        self.connect().ask(&request.to_string())
    }

    fn refusal(&self, request: Value) -> Code {
        let text = request.to_string();
        match self.ask(request) {
            Ok(result) => panic!("{text}: {result}"),
            Err(refusal) => refusal.code,
        }
    }
}

/// A name that no other test has.
fn socket(folder: &tempfile::TempDir) -> PathBuf {
    match cfg!(windows) {
        true => {
            let name = folder.path().file_name().expect("it has a name");
            Path::new(r"\\.\pipe").join(name)
        }
        false => folder.path().join("ctl.sock"),
    }
}

struct Client(Stream);

impl Client {
    fn send(&self, bytes: &[u8]) {
        self.0.write_all(bytes, PATIENCE).expect("it takes them");
    }

    /// The next answer; `None` at the end.
    fn answer(&self) -> Option<Result<Value, Refusal>> {
        let (mut line, mut byte) = (Vec::new(), [0]);
        while !line.ends_with(b"\n") {
            match self.0.read(&mut byte, PATIENCE) {
                Ok(1) => line.push(byte[0]),
                _ => return None,
            }
        }
        let line = String::from_utf8(line).expect("UTF-8");
        Some(answer::read(&line).expect("an answer"))
    }

    fn ask(&self, line: &str) -> Result<Value, Refusal> {
        // One that is turned away has its answer, though nobody takes what it says.
        let _ = self.0.write_all(format!("{line}\n").as_bytes(), PATIENCE);
        self.answer().expect("an answer")
    }
}

#[test]
fn requests_are_answered_one_after_the_other_whatever_is_wrong_with_them() {
    let bench = Bench::new(|_, _| {});
    let client = bench.connect();
    client.send(b"\n{\"verb\": \"hea");
    client.send(b"lth\"}\nnonsense\n{\"verb\": \"none\"}\n\xFF\n{\"verb\": \"streams\"}\r\n");
    let health = client.answer().expect("an answer").expect("it is well");
    assert_eq!(health["live"], true);
    for code in [Code::BadRequest, Code::UnknownVerb, Code::BadRequest] {
        let refusal = client
            .answer()
            .expect("an answer")
            .expect_err("it is wrong");
        assert_eq!(refusal.code, code, "{refusal}");
    }
    let streams = client.answer().expect("an answer");
    assert_eq!(streams, Ok(json!({"streams": []})));
}

#[test]
fn a_request_has_a_length_and_others_are_answered_meanwhile() {
    let bench = Bench::new(|config, _| config.control.request_bytes = 1024);
    for end in [&b""[..], b"\n"] {
        let client = bench.connect();
        assert!(bench.ask(json!({"verb": "health"})).is_ok());
        client.send(&[&[b' '; 1025], end].concat());
        let refusal = client.answer().expect("an answer").expect_err("too long");
        assert_eq!(refusal.code, Code::TooLong, "{refusal}");
        assert!(client.answer().is_none(), "it is closed");
    }
}

#[test]
fn a_request_that_does_not_come_to_its_end_is_not_waited_for() {
    let bench = Bench::new(|config, _| config.control.timeout = Duration::from_millis(100));
    let client = bench.connect();
    client.send(b"{");
    let refusal = client.answer().expect("an answer").expect_err("too late");
    assert_eq!(refusal.code, Code::TimeOut, "{refusal}");
    assert!(client.answer().is_none(), "it is closed");
}

#[test]
fn one_too_many_is_told_so_and_those_who_are_there_go_on() {
    let bench = Bench::new(|config, _| config.control.clients = 1);
    let first = bench.connect();
    assert!(first.ask(r#"{"verb": "health"}"#).is_ok());
    let second = bench.connect();
    let refusal = second.answer().expect("an answer").expect_err("too many");
    assert_eq!(refusal.code, Code::Busy);
    assert!(first.ask(r#"{"verb": "health"}"#).is_ok());
    drop(first);
    // Its place is free once its end was seen.
    while bench.ask(json!({"verb": "health"})).is_err() {}
}

#[test]
fn it_answers_where_the_settings_say_by_now() {
    let bench = Bench::new(|_, _| {});
    let there = bench.connect();
    let mut config = bench.config.clone();
    assert!(bench.control.follow(&config).is_ok());
    assert!(there.ask(r#"{"verb": "health"}"#).is_ok(), "nothing is new");
    config.clients = 3;
    assert!(bench.control.follow(&config).is_ok());
    assert!(there.answer().is_none(), "it is another socket");
    assert!(bench.ask(json!({"verb": "health"})).is_ok());
    config.listen = ControlListen::Off;
    assert!(bench.control.follow(&config).is_ok());
    let nobody = super::super::client::ask(&socket(&bench.folder), &Request::Health {});
    let Err(Failure::Runtime(told)) = nobody else {
        panic!("somebody answers");
    };
    let path = socket(&bench.folder).display().to_string();
    assert!(
        told.starts_with(&path) && told.contains("no server"),
        "{told}"
    );
    #[cfg(unix)]
    {
        config.listen = ControlListen::At(bench.folder.path().join("none/ctl.sock"));
        let error = bench.control.follow(&config).expect_err("no such folder");
        assert!(error.contains("none/ctl.sock"), "{error}");
    }
}

#[test]
fn streams_are_told_and_ended() {
    let bench = Bench::new(|_, _| {});
    let mut publisher = bench.server.publish("live/cam").expect("it is free");
    let told = bench.ask(json!({"verb": "streams"})).expect("streams");
    assert_eq!(told["streams"][0]["name"], "live/cam");
    assert_eq!(told["streams"][0]["live"], true);
    let id = told["streams"][0]["stream_id"].clone();
    for wrong in [
        json!({"verb": "kick"}),
        json!({"verb": "kick", "stream": "a/b", "connection": 1}),
    ] {
        assert_eq!(bench.refusal(wrong), Code::BadRequest);
    }
    for missing in [
        json!({"verb": "kick", "stream": "live/none"}),
        json!({"verb": "kick", "stream": 12_345_678}),
        json!({"verb": "kick", "connection": 12_345_678}),
    ] {
        assert_eq!(bench.refusal(missing), Code::NotFound);
    }
    let kick = json!({"verb": "kick", "stream": id, "reason": "enough"});
    assert_eq!(bench.ask(kick), Ok(json!({})));
    let payload = bytes::Bytes::from_static(&[0xAF, 0, 0x11, 0x90]);
    let kind = openrtmp_core::protocol::session::MediaKind::Audio;
    // Its end is on its way.
    while publisher.write_message(kind, 0, payload.clone()).is_ok() {}
    let connections = bench.ask(json!({"verb": "connections"}));
    assert_eq!(connections, Ok(json!({"connections": []})));
}

#[test]
fn relays_come_and_go_and_keys_in_them_are_not_told() {
    let bench = Bench::new(|_, _| {});
    let push = json!({"match": "live/*", "to": "rtmp://127.0.0.1:9/x/SECRET?k=SECRET"});
    let add = json!({"verb": "relay_add", "push": push});
    let added = bench.ask(add.clone()).expect("a rule");
    assert_eq!(bench.refusal(add), Code::Conflict);
    let list = bench.ask(json!({"verb": "relay_list"})).expect("rules");
    assert_eq!(list["relays"][0]["match"], "live/*");
    assert_eq!(list["relays"][0]["relay"], added["relay"]);
    assert!(!list.to_string().contains("SECRET"), "{list}");
    let wrong = json!({"match": "", "to": "rtmp://h/SECRET"});
    let wrong = bench.ask(json!({"verb": "relay_add", "push": wrong}));
    let wrong = wrong.expect_err("no pattern");
    assert_eq!(wrong.code, Code::BadRequest);
    assert!(!wrong.message.contains("SECRET"));
    // As an element of relay.pull, with its units and its bounds.
    let pull = |time: Value| {
        let from = "rtmp://127.0.0.1:1/{app}/{name}";
        json!({"verb": "relay_add", "pull": {"match": "far/*", "from": from, "idle_timeout": time}})
    };
    assert_eq!(bench.refusal(pull(json!(1_u64 << 63))), Code::BadRequest);
    assert!(bench.ask(pull(json!("2m"))).is_ok());
    assert_eq!(
        bench.refusal(json!({"verb": "relay_add"})),
        Code::BadRequest
    );
    let remove = json!({"verb": "relay_remove", "relay": added["relay"]});
    assert!(bench.ask(remove.clone()).is_ok());
    assert_eq!(bench.refusal(remove), Code::NotFound);
}

#[test]
fn a_stream_is_recorded_while_it_is_wanted() {
    let bench = Bench::new(|_, _| {});
    let start = json!({"verb": "record_start", "stream": "live/cam"});
    let refused = bench.ask(start).expect_err("nobody said where");
    assert!(refused.message.contains("record.directory"), "{refused}");
    let films = bench.folder.path().join("films");
    let start = json!({
        "verb": "record_start", "stream": "live/cam", "directory": films, "template": "{name}",
    });
    assert_eq!(bench.ask(start.clone()), Ok(json!({})));
    assert_eq!(bench.refusal(start), Code::Conflict);
    let list = bench.ask(json!({"verb": "record_list"}));
    assert_eq!(list, Ok(json!({"streams": ["live/cam"]})));
    let stop = json!({"verb": "record_stop", "stream": "live/cam"});
    let made = bench.ask(stop.clone()).expect("it was recorded");
    assert_eq!((&made["files"], &made["error"]), (&json!(0), &Value::Null));
    assert_eq!(bench.refusal(stop), Code::NotFound);
    let wrong = json!({
        "verb": "record_start", "stream": "live/cam", "directory": films, "template": "../x",
    });
    assert_eq!(bench.refusal(wrong), Code::Invalid);
}

#[test]
fn keys_hold_at_once_and_are_told_once() {
    let bench = Bench::new(|config, folder| {
        let file = folder.join("keys.json");
        std::fs::write(&file, "[]").expect("it is written");
        config.access.keys_file = Some(file);
    });
    let add = json!({"verb": "keys_add", "kind": "publish", "app": "live", "stream": "cam"});
    let added = bench.ask(add).expect("a key");
    let key = added["key"].as_str().expect("a text").to_owned();
    assert_eq!((key.len(), &added["path"]), (32, &json!("live/cam")));
    let list = bench.ask(json!({"verb": "keys_list"})).expect("records");
    assert_eq!(list["keys"][0]["id"], "publish-cam");
    assert!(!list.to_string().contains(&key));
    // It is in force: read again, the file has nothing new.
    assert!(!bench.server.reload_keys().expect("it can be read"));
    let again = json!({"verb": "keys_add", "kind": "publish", "app": "live", "key": key});
    assert_eq!(bench.refusal(again), Code::Conflict);
    let revoke = json!({"verb": "keys_revoke", "ids": ["publish-cam"]});
    assert!(bench.ask(revoke.clone()).is_ok());
    assert!(!bench.server.reload_keys().expect("it can be read"));
    assert_eq!(bench.refusal(revoke), Code::NotFound);
    let without = Bench::new(|_, _| {});
    assert_eq!(without.refusal(json!({"verb": "keys_list"})), Code::Invalid);
}

#[test]
fn what_the_process_does_it_is_asked_for() {
    let bench = Bench::new(|_, _| {});
    let reloaded = bench.ask(json!({"verb": "reload"})).expect("an answer");
    assert_eq!(reloaded["needs_restart"], json!(["workers"]));
    let wrong = json!({"verb": "drain", "to": "http://b"});
    assert_eq!(bench.refusal(wrong), Code::Invalid);
    let drain = json!({"verb": "drain", "to": "rtmp://b", "grace_ms": 5});
    assert_eq!(bench.ask(drain), Ok(json!({})));
    let asked = bench.drained.recv().expect("it was asked for");
    let expected = DrainOptions::new(Duration::from_millis(5)).to("rtmp://b");
    assert_eq!(asked, expected);
    bench.server.stop(Duration::ZERO);
    let health = bench.ask(json!({"verb": "health"})).expect("an answer");
    assert_eq!(health["ready"], false);
    assert_eq!(bench.refusal(json!({"verb": "streams"})), Code::Unavailable);
}
