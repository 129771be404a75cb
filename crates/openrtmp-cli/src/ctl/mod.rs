//! `openrtmp ctl`: a running server in its operator's hands.

mod tables;

use std::path::{Path, PathBuf};
use std::time::Duration;

use openrtmp_core::{ControlListen, KeyRecord, PullRule, PullStart, PushRule};
use serde_json::Value;

use self::tables::Table;
use crate::console::{print, say};
use crate::control::{Code, KeyFile, Kind, NewKey, Refusal, Request, StreamRef, ask};
use crate::exit::Failure;
use crate::units::parse_duration;

/// Flags of `openrtmp ctl`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// The socket of the server (`control.listen`) [default: OPENRTMP_CONTROL__LISTEN, or
    /// /run/openrtmp/ctl.sock, on Windows \\.\pipe\openrtmp]
    #[arg(long, global = true, value_name = "PATH")]
    control: Option<PathBuf>,
    /// Print what the server answers, as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Verb {
    /// The streams there are
    Streams,
    /// The connections there are
    Connections,
    /// End a connection, or what is published as a stream
    Kick {
        /// The connection's id, as connections tells it
        #[arg(required_unless_present = "stream", conflicts_with = "stream")]
        connection: Option<u64>,
        /// The stream: its path (live/cam), or its id
        #[arg(long, value_name = "STREAM")]
        stream: Option<String>,
        /// What the log is to say
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Keys of apps, in the file that `access.keys_file` names
    #[command(subcommand)]
    Keys(Keys),
    /// Streams passed on to other servers, and fetched from them
    #[command(subcommand)]
    Relay(Relay),
    /// Recordings of single streams
    #[command(subcommand)]
    Record(Record),
    /// Read settings, keys and certificates again, and tell what has changed
    Reload,
    /// Take nobody new, and stop when all have left
    Drain {
        /// Where those go that can be asked to: rtmp://host, for the same app, or
        /// rtmp://host/app
        #[arg(long, value_name = "URL")]
        to: Option<String>,
        /// How long they may take
        #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "30s")]
        grace: Duration,
    },
    /// Whether the server works, and would take another peer: exit code 0 if it would
    Health,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Keys {
    /// Put a key on record, and print it
    Add(AddKey),
    /// Show the records, without their keys
    List {
        #[command(flatten)]
        file: File,
    },
    /// Take keys away; what was begun with them ends
    Revoke {
        #[command(flatten)]
        file: File,
        /// What names the records
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

/// Where the records stand.
#[derive(Clone, Debug, clap::Args)]
struct File {
    /// Work on this file (JSON, or YAML: .yaml, .yml) without asking a server, which follows
    /// when it watches it; comments in it are lost [default: the server's, by way of it]
    #[arg(long = "keys-file", value_name = "FILE", conflicts_with = "control")]
    path: Option<PathBuf>,
}

#[derive(Clone, Debug, clap::Args)]
struct AddKey {
    #[command(flatten)]
    file: File,
    /// What the key is good for: publish or play
    #[arg(value_parser = parse_kind)]
    kind: Kind,
    /// In which app
    #[arg(long, value_name = "APP", default_value = "live")]
    app: String,
    /// Of which stream [default: every stream of the app]
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// What names the record [default: the kind, and the stream or the app]
    #[arg(long)]
    id: Option<String>,
    /// The key [default: 32 random characters]
    #[arg(long)]
    key: Option<String>,
    /// When it is no longer good: 2027-01-31, 2027-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_expires)]
    expires: Option<String>,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Relay {
    /// Relay streams from now on
    #[command(subcommand)]
    Add(Add),
    /// End what add began
    Remove {
        /// The rule's id, as list tells it
        relay: u64,
    },
    /// The rules, and what becomes of each stream
    List,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Add {
    /// From here to another server, as soon as a stream is published
    Push {
        /// Which streams: live/cam, live/*
        streams: String,
        /// Where to: rtmp://host/{app}/{name}
        url: String,
    },
    /// From another server to here, while somebody plays
    Pull {
        /// Which streams: live/cam, live/*
        streams: String,
        /// Where from: rtmp://host/{app}/{name}
        url: String,
        /// From now on, whether or not anybody plays
        #[arg(long, conflicts_with = "idle_timeout")]
        always: bool,
        /// How long after the last player it is left
        #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "30s")]
        idle_timeout: Duration,
    },
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Record {
    /// Record a stream, live or still to come, to FLV files
    Start {
        /// Its path (live/cam), or its id
        stream: String,
        /// Where to, on the server's machine [default: `record.directory`]
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
        /// The files' names, as `record.template`
        #[arg(long, value_name = "TEXT")]
        template: Option<String>,
    },
    /// Complete what start began
    Stop {
        /// The stream's path, or its id
        stream: String,
    },
    /// The streams that start began to record
    List,
}

fn parse_kind(text: &str) -> Result<Kind, String> {
    match text {
        "publish" => Ok(Kind::Publish),
        "play" => Ok(Kind::Play),
        _ => Err("a key is for publish or for play".to_owned()),
    }
}

fn parse_expires(text: &str) -> Result<String, String> {
    match KeyRecord::parse_expires(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("a time is such as 2027-01-31 or 2027-01-31T12:00:00Z".to_owned()),
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let request = arguments.verb.request();
    let result = match arguments.verb.keys_file() {
        Some(file) => of_file(file, &request)?,
        None => ask(&socket(arguments.control.as_deref())?, &request)?,
    };
    if arguments.json {
        print(&format!("{result}\n"));
    } else {
        tell(&request, &result);
    }
    verdict(&request, &result)
}

/// Where the server is.
fn socket(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let set = || std::env::var("OPENRTMP_CONTROL__LISTEN").ok();
    let listen = match named {
        Some(path) => ControlListen::At(path.to_owned()),
        None => set().map_or(ControlListen::Auto, |text| text.as_str().into()),
    };
    match listen {
        ControlListen::At(path) => Ok(path),
        ControlListen::Auto => Ok(ControlListen::DEFAULT.into()),
        _ => Err(Failure::Usage(
            "OPENRTMP_CONTROL__LISTEN is off: --control names a server's socket".to_owned(),
        )),
    }
}

/// What a request about keys does to a file.
fn of_file(file: &Path, request: &Request) -> Result<Value, Failure> {
    let file = KeyFile(file.to_owned());
    let done = match request {
        Request::KeysAdd(wanted) => file.add(wanted),
        Request::KeysRevoke { ids } => file.revoke(ids),
        _ => file.list(),
    };
    done.map_err(|refusal: Refusal| match refusal.code {
        Code::Failed => Failure::Runtime(refusal.message),
        _ => Failure::Usage(refusal.message),
    })
}

impl Verb {
    /// The file that is worked on in place of a server's.
    fn keys_file(&self) -> Option<&Path> {
        match self {
            Verb::Keys(Keys::Add(AddKey { file, .. }))
            | Verb::Keys(Keys::List { file } | Keys::Revoke { file, .. }) => file.path.as_deref(),
            _ => None,
        }
    }

    fn request(&self) -> Request {
        match self.clone() {
            Verb::Streams => Request::Streams {},
            Verb::Connections => Request::Connections {},
            Verb::Kick {
                connection,
                stream,
                reason,
            } => Request::Kick {
                connection,
                stream: stream.as_deref().map(StreamRef::parse),
                reason,
            },
            Verb::Keys(Keys::Add(add)) => Request::KeysAdd(NewKey {
                kind: add.kind,
                app: add.app,
                stream: add.stream,
                id: add.id,
                key: add.key,
                expires: add.expires,
            }),
            Verb::Keys(Keys::List { .. }) => Request::KeysList {},
            Verb::Keys(Keys::Revoke { ids, .. }) => Request::KeysRevoke { ids },
            Verb::Relay(Relay::Add(Add::Push { streams, url })) => Request::RelayAdd {
                push: Some(PushRule::new(streams, url)),
                pull: None,
            },
            Verb::Relay(Relay::Add(Add::Pull {
                streams,
                url,
                always,
                idle_timeout,
            })) => {
                let mut rule = PullRule::new(streams, url);
                rule.idle_timeout = idle_timeout;
                if always {
                    rule.start = PullStart::Always;
                }
                Request::RelayAdd {
                    push: None,
                    pull: Some(rule),
                }
            }
            Verb::Relay(Relay::Remove { relay }) => Request::RelayRemove { relay },
            Verb::Relay(Relay::List) => Request::RelayList {},
            Verb::Record(Record::Start {
                stream,
                directory,
                template,
            }) => Request::RecordStart {
                stream: StreamRef::parse(&stream),
                // The server has a working folder of its own.
                directory: directory.map(|it| std::path::absolute(&it).unwrap_or(it)),
                template,
            },
            Verb::Record(Record::Stop { stream }) => Request::RecordStop {
                stream: StreamRef::parse(&stream),
            },
            Verb::Record(Record::List) => Request::RecordList {},
            Verb::Reload => Request::Reload {},
            Verb::Drain { to, grace } => Request::Drain {
                to,
                grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
            },
            Verb::Health => Request::Health {},
        }
    }
}

/// Tells people what was answered: data to standard output, the rest to standard error.
fn tell(request: &Request, result: &Value) {
    let text = |name: &str| result[name].as_str().unwrap_or_default();
    match request {
        Request::Streams {} => print(&Table::of_streams(result).to_string()),
        Request::Connections {} => print(&Table::of_connections(result).to_string()),
        Request::KeysList {} => print(&Table::of_keys(result).to_string()),
        Request::RelayList {} => print(&Table::of_relays(result).to_string()),
        Request::RecordList {} => print(&Table::of_recordings(result).to_string()),
        Request::KeysAdd(_) => {
            let (id, kind, app) = (text("id"), text("kind"), text("app"));
            say(&format!(
                "{id}: to {kind} {app}/KEY, which is {}",
                text("path")
            ));
            print(&format!("{}\n", text("key")));
        }
        Request::RelayAdd { .. } => print(&format!("{}\n", result["relay"])),
        Request::RecordStop { .. } => say(&tables::recording(result)),
        Request::Reload {} => say(&tables::reloaded(result)),
        Request::Health {} => print(&tables::health(result)),
        Request::Drain { grace_ms, .. } => {
            let grace = Duration::from_millis(*grace_ms);
            say(&format!(
                "it takes nobody new, and stops in {grace:?} at the latest"
            ));
        }
        Request::Kick { .. }
        | Request::KeysRevoke { .. }
        | Request::RelayRemove { .. }
        | Request::RecordStart { .. } => {}
    }
}

/// What was answered, as an exit code.
fn verdict(request: &Request, result: &Value) -> Result<(), Failure> {
    let list = |name: &str| {
        let texts = result[name].as_array().into_iter().flatten();
        let texts: Vec<&str> = texts.filter_map(Value::as_str).collect();
        texts.join(", ")
    };
    match request {
        Request::Health {} if result["ready"] != true => {
            Err(Failure::Runtime(format!("not ready: {}", list("reasons"))))
        }
        Request::Reload {} if !list("needs_restart").is_empty() => {
            let what = list("needs_restart");
            Err(Failure::Runtime(format!(
                "the settings stay as they are: only a restart changes {what}"
            )))
        }
        Request::Reload {} if !list("failed").is_empty() => {
            Err(Failure::Runtime(format!("not done: {}", list("failed"))))
        }
        _ => Ok(()),
    }
}
