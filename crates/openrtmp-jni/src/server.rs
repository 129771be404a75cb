//! Methods of a server.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jni::objects::{JClass, JObject, JObjectArray, JString};
use jni::sys::{jboolean, jint, jlong};
use jni::{Env, NativeMethod, native_method};
use openrtmp_core::{
    Config, ConnectionId, DrainOptions, Format, KeyRing, Listen, ListenTransport, PullRule,
    PullStart, PushRule, RecordConfig, RelayDirection, RelayId, RelayRule, RelayState, Server,
    StreamId, Summary, reachable_hosts,
};
use serde_json::{Value, json};

use crate::failure::{Code, Failure, Throw};
use crate::host::{HOSTS, Host};

pub(crate) const METHODS: &[NativeMethod] = &[
    native_method! {
        static fn version() -> java.lang.String, fn = version, error_policy = Throw
    },
    native_method! {
        static fn server_new(
            mobile: jboolean, steps: java.lang.String[], callbacks: java.lang.Object,
            asks: jboolean
        ) -> jlong, fn = server_new, error_policy = Throw
    },
    native_method! {
        static fn server_close(server: jlong), fn = server_close, error_policy = Throw
    },
    native_method! {
        static fn server_start(server: jlong), fn = server_start, error_policy = Throw
    },
    native_method! {
        static fn server_stop(server: jlong, grace_ms: jlong) -> java.lang.String,
        fn = server_stop, error_policy = Throw
    },
    native_method! {
        static fn server_drain(server: jlong, grace_ms: jlong, to: java.lang.String)
            -> java.lang.String, fn = server_drain, error_policy = Throw
    },
    native_method! {
        static fn server_state(server: jlong) -> jint, fn = server_state, error_policy = Throw
    },
    native_method! {
        static fn server_id(server: jlong) -> jlong, fn = server_id, error_policy = Throw
    },
    native_method! {
        static fn server_reconfigure(server: jlong, steps: java.lang.String[]) -> java.lang.String,
        fn = server_reconfigure, error_policy = Throw
    },
    native_method! {
        static fn server_config(server: jlong, path: java.lang.String) -> java.lang.String,
        fn = server_config, error_policy = Throw
    },
    native_method! {
        static fn server_listeners(server: jlong) -> java.lang.String,
        fn = server_listeners, error_policy = Throw
    },
    native_method! {
        static fn server_urls(server: jlong, stream: java.lang.String) -> java.lang.String,
        fn = server_urls, error_policy = Throw
    },
    native_method! {
        static fn server_health(server: jlong) -> java.lang.String,
        fn = server_health, error_policy = Throw
    },
    native_method! {
        static fn server_metrics(server: jlong) -> java.lang.String,
        fn = server_metrics, error_policy = Throw
    },
    native_method! {
        static fn server_metrics_text(server: jlong) -> java.lang.String,
        fn = server_metrics_text, error_policy = Throw
    },
    native_method! {
        static fn server_snapshot(server: jlong) -> java.lang.String,
        fn = server_snapshot, error_policy = Throw
    },
    native_method! {
        static fn server_taps(server: jlong) -> java.lang.String,
        fn = server_taps, error_policy = Throw
    },
    native_method! {
        static fn server_publishers(server: jlong) -> java.lang.String,
        fn = server_publishers, error_policy = Throw
    },
    native_method! {
        static fn set_background(server: jlong, on: jboolean),
        fn = set_background, error_policy = Throw
    },
    native_method! {
        static fn disconnect(server: jlong, connection: jlong, reason: java.lang.String)
            -> jboolean, fn = disconnect, error_policy = Throw
    },
    native_method! {
        static fn set_write_coalesce(server: jlong, connection: jlong, millis: jlong) -> jboolean,
        fn = set_write_coalesce, error_policy = Throw
    },
    native_method! {
        static fn end_stream(server: jlong, stream: java.lang.String, reason: java.lang.String)
            -> jboolean, fn = end_stream, error_policy = Throw
    },
    native_method! {
        static fn end_stream_id(server: jlong, stream: jlong, reason: java.lang.String)
            -> jboolean, fn = end_stream_id, error_policy = Throw
    },
    native_method! {
        static fn stream_name(server: jlong, stream: jlong) -> java.lang.String,
        fn = stream_name, error_policy = Throw
    },
    native_method! {
        static fn answer(server: jlong, request: jlong, kind: jint, text: java.lang.String)
            -> jboolean, fn = answer, error_policy = Throw
    },
    native_method! {
        static fn key_add(server: jlong, publish: jboolean, key: java.lang.String),
        fn = key_add, error_policy = Throw
    },
    native_method! {
        static fn key_revoke(server: jlong, publish: jboolean, key: java.lang.String) -> jboolean,
        fn = key_revoke, error_policy = Throw
    },
    native_method! {
        static fn key_list(server: jlong, publish: jboolean) -> java.lang.String,
        fn = key_list, error_policy = Throw
    },
    native_method! {
        static fn key_generate() -> java.lang.String, fn = key_generate, error_policy = Throw
    },
    native_method! {
        static fn relay_add(
            server: jlong, kind: jint, pattern: java.lang.String, url: java.lang.String,
            idle_ms: jlong
        ) -> jlong, fn = relay_add, error_policy = Throw
    },
    native_method! {
        static fn relay_remove(server: jlong, relay: jlong) -> jboolean,
        fn = relay_remove, error_policy = Throw
    },
    native_method! {
        static fn relay_list(server: jlong) -> java.lang.String,
        fn = relay_list, error_policy = Throw
    },
    native_method! {
        static fn record_start(
            server: jlong, stream: java.lang.String, folder: java.lang.String
        ), fn = record_start, error_policy = Throw
    },
    native_method! {
        static fn record_stop(server: jlong, stream: java.lang.String) -> java.lang.String,
        fn = record_stop, error_policy = Throw
    },
    native_method! {
        static fn record_list(server: jlong) -> java.lang.String,
        fn = record_list, error_policy = Throw
    },
    native_method! {
        static fn tls_set_certificate(
            server: jlong, chain: java.lang.String, key: java.lang.String
        ), fn = tls_set_certificate, error_policy = Throw
    },
    native_method! {
        static fn tls_set_challenge(
            server: jlong, name: java.lang.String, chain: java.lang.String, key: java.lang.String
        ), fn = tls_set_challenge, error_policy = Throw
    },
    native_method! {
        static fn tls_reload(server: jlong), fn = tls_reload, error_policy = Throw
    },
    native_method! {
        static fn tls_pin(server: jlong) -> java.lang.String, fn = tls_pin, error_policy = Throw
    },
];

pub(crate) type Text<'l> = Result<JString<'l>, Failure>;
pub(crate) type Done = Result<(), Failure>;
type Answer = Result<jboolean, Failure>;

pub(crate) fn running(server: jlong) -> Result<Arc<Server>, Failure> {
    HOSTS.get(server)?.running()
}

pub(crate) fn text(env: &Env<'_>, text: &JString<'_>) -> Result<String, Failure> {
    Ok(text.try_to_string(env)?)
}

pub(crate) fn json_text<'l>(env: &mut Env<'l>, value: &Value) -> Text<'l> {
    Ok(env.new_string(value.to_string())?)
}

fn version<'l>(env: &mut Env<'l>, _: JClass<'l>) -> Text<'l> {
    Ok(env.new_string(env!("CARGO_PKG_VERSION"))?)
}

/// Settings, changed by steps of three texts: "set", path, value; "json" or "yaml", a
/// document, nothing; "file", its name, nothing.
fn apply(env: &mut Env<'_>, mut config: Config, steps: &Steps<'_>) -> Result<Config, Failure> {
    let mut words = Vec::new();
    for index in 0..steps.len(env)? {
        let word = steps.get_element(env, index)?;
        words.push(text(env, &word)?);
    }
    for step in words.chunks_exact(3) {
        let [kind, first, second] = step else {
            continue;
        };
        match kind.as_str() {
            "set" => config.set(first, second)?,
            "json" => config.merge(first, Format::Json)?,
            "yaml" => config.merge(first, Format::Yaml)?,
            "file" => config.merge_file(&PathBuf::from(first))?,
            other => return Err(Failure::argument(format!("no step {other}"))),
        }
    }
    config.validate()?;
    config.check_no_delivery()?;
    Ok(config)
}

type Steps<'l> = JObjectArray<'l, JString<'l>>;

fn server_new<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    mobile: jboolean,
    steps: Steps<'l>,
    callbacks: JObject<'l>,
    asks: jboolean,
) -> Result<jlong, Failure> {
    let config = match mobile {
        true => Config::mobile(),
        false => Config::desktop(),
    };
    let config = apply(env, config, &steps)?;
    let callbacks = env.new_global_ref(callbacks)?;
    Ok(HOSTS.insert_with(|_| Host::new(config, callbacks, asks)))
}

fn server_close<'l>(_: &mut Env<'l>, _: JClass<'l>, server: jlong) -> Done {
    if let Some(host) = HOSTS.remove(server) {
        host.close();
    }
    Ok(())
}

fn server_start<'l>(_: &mut Env<'l>, _: JClass<'l>, server: jlong) -> Done {
    HOSTS.get(server)?.start()
}

fn server_stop<'l>(env: &mut Env<'l>, _: JClass<'l>, server: jlong, grace_ms: jlong) -> Text<'l> {
    let grace = duration(grace_ms)?;
    let stopped = HOSTS
        .get(server)?
        .end(grace, |server| Ok(server.stop(grace)));
    json_text(env, &summary(&stopped?))
}

/// An empty address: where peers are already.
fn server_drain<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    server: jlong,
    grace_ms: jlong,
    to: JString<'l>,
) -> Text<'l> {
    let (grace, to) = (duration(grace_ms)?, text(env, &to)?);
    let mut options = DrainOptions::new(grace);
    if !to.is_empty() {
        options = options.to(to);
    }
    let drain = |server: &Server| Ok(server.drain(&options)?);
    let drained = HOSTS.get(server)?.end(grace, drain)?;
    json_text(env, &summary(&drained))
}

fn summary(summary: &Summary) -> Value {
    json!({
        "uptime_ms": millis(summary.uptime),
        "connections": summary.connections,
        "publishers": summary.publishers,
        "streams": summary.streams,
        "subscribers": summary.subscribers,
        "forced": summary.forced,
        "left_behind": summary.left_behind,
        "accepted": summary.accepted,
        "bytes_in": summary.bytes_in,
        "bytes_out": summary.bytes_out,
    })
}

fn server_state<'l>(_: &mut Env<'l>, _: JClass<'l>, server: jlong) -> Result<jint, Failure> {
    Ok(HOSTS.get(server)?.state())
}

fn server_id<'l>(_: &mut Env<'l>, _: JClass<'l>, server: jlong) -> Result<jlong, Failure> {
    Ok(HOSTS.get(server)?.id as jlong)
}

fn server_reconfigure<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    server: jlong,
    steps: Steps<'l>,
) -> Text<'l> {
    let host = HOSTS.get(server)?;
    let config = apply(env, host.config(), &steps)?;
    let changed = host.reconfigure(&config)?;
    json_text(env, &json!(changed))
}

fn server_config<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    server: jlong,
    path: JString<'l>,
) -> Text<'l> {
    let config = HOSTS.get(server)?.config();
    let path = text(env, &path)?;
    let value = match path.as_str() {
        "" => config.dump(Format::Json),
        path => config.get(path)?,
    };
    Ok(env.new_string(value)?)
}

fn server_listeners<'l>(env: &mut Env<'l>, _: JClass<'l>, server: jlong) -> Text<'l> {
    let listeners = running(server)?.listeners();
    let listeners = listeners.iter().map(|listener| {
        json!({
            "host": listener.address.ip(),
            "port": listener.address.port(),
            "tls": is_tls(listener),
        })
    });
    json_text(env, &listeners.collect())
}

fn is_tls(listener: &Listen) -> bool {
    listener.transport == ListenTransport::Tls
}

fn server_urls<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    server: jlong,
    stream: JString<'l>,
) -> Text<'l> {
    let (server, stream) = (running(server)?, text(env, &stream)?);
    let mut urls = Vec::new();
    for listener in &server.listeners() {
        let scheme = if is_tls(listener) { "rtmps" } else { "rtmp" };
        let port = listener.address.port();
        for host in reachable_hosts(listener.address) {
            urls.push(format!("{scheme}://{host}:{port}/{stream}"));
        }
    }
    json_text(env, &json!(urls))
}

fn server_health<'l>(env: &mut Env<'l>, _: JClass<'l>, server: jlong) -> Text<'l> {
    let health = running(server)?.health();
    json_text(env, &json!(health))
}

fn server_metrics<'l>(env: &mut Env<'l>, _: JClass<'l>, server: jlong) -> Text<'l> {
    let metrics = running(server)?.metrics().to_json();
    Ok(env.new_string(metrics)?)
}

fn server_metrics_text<'l>(env: &mut Env<'l>, _: JClass<'l>, server: jlong) -> Text<'l> {
    let text = running(server)?.metrics().to_prometheus();
    Ok(env.new_string(text)?)
}

fn server_snapshot<'l>(env: &mut Env<'l>, _: JClass<'l>, server: jlong) -> Text<'l> {
    let snapshot = running(server)?.snapshot()?.to_json();
    Ok(env.new_string(snapshot)?)
}

fn server_taps<'l>(env: &mut Env<'l>, _: JClass<'l>, server: jlong) -> Text<'l> {
    let taps = running(server)?.taps();
    json_text(env, &json!(taps))
}

fn server_publishers<'l>(env: &mut Env<'l>, _: JClass<'l>, server: jlong) -> Text<'l> {
    let publishers = running(server)?.publishers();
    json_text(env, &json!(publishers))
}

fn set_background<'l>(_: &mut Env<'l>, _: JClass<'l>, server: jlong, on: jboolean) -> Done {
    running(server)?.set_background(on);
    Ok(())
}

fn disconnect<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    server: jlong,
    connection: jlong,
    reason: JString<'l>,
) -> Answer {
    let (connection, reason) = (connection_id(connection), text(env, &reason)?);
    Ok(running(server)?.disconnect(connection, &reason)?)
}

/// A negative time: what the settings say.
fn set_write_coalesce<'l>(
    _: &mut Env<'l>,
    _: JClass<'l>,
    server: jlong,
    connection: jlong,
    millis: jlong,
) -> Answer {
    let window = u64::try_from(millis).ok().map(Duration::from_millis);
    let connection = connection_id(connection);
    Ok(running(server)?.set_write_coalesce(connection, window)?)
}

fn end_stream<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    server: jlong,
    stream: JString<'l>,
    reason: JString<'l>,
) -> Answer {
    let (stream, reason) = (text(env, &stream)?, text(env, &reason)?);
    Ok(running(server)?.end_stream(stream, &reason))
}

fn end_stream_id<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    server: jlong,
    stream: jlong,
    reason: JString<'l>,
) -> Answer {
    let (stream, reason) = (stream_id(stream), text(env, &reason)?);
    Ok(running(server)?.end_stream(stream, &reason))
}

/// The whole name, keys included; `null` if there is no such stream.
fn stream_name<'l>(env: &mut Env<'l>, _: JClass<'l>, server: jlong, stream: jlong) -> Text<'l> {
    match running(server)?.stream_name(stream_id(stream)) {
        Some(name) => Ok(env.new_string(name.reveal())?),
        None => Ok(JString::null()),
    }
}

/// Answers a request: 0 accepts, 1 accepts under the name in `text`, 2 refuses, 3 cannot
/// decide; 4 says that the name is a key, and answers nothing. False if it comes too late.
fn answer<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    server: jlong,
    request: jlong,
    kind: jint,
    argument: JString<'l>,
) -> Answer {
    let argument = text(env, &argument)?;
    let Ok(host) = HOSTS.get(server) else {
        return Ok(false);
    };
    if kind == 4 {
        return Ok(host.mark_secret(request));
    }
    let Some(request) = host.take_request(request) else {
        return Ok(false);
    };
    match kind {
        0 => Ok(request.accept()),
        1 => Ok(request.accept_as(argument)),
        2 => Ok(request.reject(argument)),
        3 => Ok(request.fail(argument)),
        other => Err(Failure::argument(format!("no answer {other}"))),
    }
}

fn ring(server: &Server, publish: jboolean) -> &KeyRing {
    match publish {
        true => server.publish_keys(),
        false => server.play_keys(),
    }
}

fn key_add<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    server: jlong,
    publish: jboolean,
    key: JString<'l>,
) -> Done {
    let (server, key) = (running(server)?, text(env, &key)?);
    if key.is_empty() || key.contains(['&', '?', '/', '#', ' ']) {
        return Err(Failure::argument("a key has no spaces and no & ? / #"));
    }
    ring(&server, publish).add(key);
    Ok(())
}

fn key_revoke<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    server: jlong,
    publish: jboolean,
    key: JString<'l>,
) -> Answer {
    let (server, key) = (running(server)?, text(env, &key)?);
    Ok(match publish {
        true => server.revoke_publish_key(&key),
        false => server.revoke_play_key(&key),
    })
}

fn key_list<'l>(env: &mut Env<'l>, _: JClass<'l>, server: jlong, publish: jboolean) -> Text<'l> {
    let server = running(server)?;
    json_text(env, &json!(ring(&server, publish).list()))
}

fn key_generate<'l>(env: &mut Env<'l>, _: JClass<'l>) -> Text<'l> {
    Ok(env.new_string(KeyRing::generate()?)?)
}

/// 0 pushes, 1 pulls while somebody plays, 2 pulls always: `OPENRTMP_RELAY_*`.
fn relay_add<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    server: jlong,
    kind: jint,
    pattern: JString<'l>,
    url: JString<'l>,
    idle_ms: jlong,
) -> Result<jlong, Failure> {
    let (pattern, url) = (text(env, &pattern)?, text(env, &url)?);
    let pull = |start| {
        let mut rule = PullRule::new(pattern.as_str(), url.as_str());
        (rule.start, rule.idle_timeout) = (start, duration(idle_ms)?);
        Ok::<_, Failure>(RelayRule::Pull(rule))
    };
    let rule = match kind {
        0 => RelayRule::Push(PushRule::new(pattern.as_str(), url.as_str())),
        1 => pull(PullStart::Demand)?,
        2 => pull(PullStart::Always)?,
        other => return Err(Failure::argument(format!("no relay of kind {other}"))),
    };
    Ok(running(server)?.add_relay(&rule)?.as_u64() as jlong)
}

fn relay_remove<'l>(_: &mut Env<'l>, _: JClass<'l>, server: jlong, relay: jlong) -> Answer {
    Ok(running(server)?.remove_relay(RelayId::from_u64(relay as u64)))
}

fn relay_list<'l>(env: &mut Env<'l>, _: JClass<'l>, server: jlong) -> Text<'l> {
    let rules = running(server)?.relays();
    let rules = rules.iter().map(|rule| {
        let links = rule.links.iter().map(|link| {
            json!({
                "stream": link.stream.shown(),
                "state": link.state.as_str(),
                "wait_ms": match link.state {
                    RelayState::Waiting(pause) => millis(pause),
                    _ => 0,
                },
                "connection": link.connection,
                "attempts": link.attempts,
                "failures": link.failures,
                "last_error": link.last_error,
            })
        });
        json!({
            "id": rule.id,
            "push": rule.direction == RelayDirection::Push,
            "pattern": rule.pattern,
            "url": rule.url,
            "configured": rule.configured,
            "links": links.collect::<Value>(),
        })
    });
    json_text(env, &rules.collect())
}

fn record_start<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    server: jlong,
    stream: JString<'l>,
    folder: JString<'l>,
) -> Done {
    let (stream, folder) = (text(env, &stream)?, PathBuf::from(text(env, &folder)?));
    let server = running(server)?;
    let record = server.config().record.clone();
    let mut record = record.unwrap_or_else(|| RecordConfig::new(&folder));
    record.directory = folder;
    Ok(server.record(stream, record)?)
}

fn record_stop<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    server: jlong,
    stream: JString<'l>,
) -> Text<'l> {
    let stream = text(env, &stream)?;
    let summary = running(server)?.stop_recording(stream);
    let summary = summary
        .ok_or_else(|| Failure::not_found("the stream is not being recorded by the host"))?;
    let told = json!({
        "files": summary.files,
        "last": summary.last.map(|path| path.display().to_string()),
        "duration_ms": millis(summary.duration),
        "bytes": summary.bytes,
        "lost_frames": summary.lost_frames,
        "lost_bytes": summary.lost_bytes,
        "error": summary.error,
    });
    json_text(env, &told)
}

fn record_list<'l>(env: &mut Env<'l>, _: JClass<'l>, server: jlong) -> Text<'l> {
    let names = running(server)?.recorded();
    json_text(env, &json!(names))
}

fn tls_set_certificate<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    server: jlong,
    chain: JString<'l>,
    key: JString<'l>,
) -> Done {
    let (chain, key) = (text(env, &chain)?, text(env, &key)?);
    HOSTS.get(server)?.set_certificate(&chain, &key)
}

/// An empty chain ends it.
fn tls_set_challenge<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    server: jlong,
    name: JString<'l>,
    chain: JString<'l>,
    key: JString<'l>,
) -> Done {
    let name = text(env, &name)?;
    let (chain, key) = (text(env, &chain)?, text(env, &key)?);
    tls::set_challenge(&*running(server)?, &name, chain, key)
}

fn tls_reload<'l>(_: &mut Env<'l>, _: JClass<'l>, server: jlong) -> Done {
    tls::reload(&*running(server)?)
}

fn tls_pin<'l>(env: &mut Env<'l>, _: JClass<'l>, server: jlong) -> Text<'l> {
    let pin = tls::pin(&*running(server)?)
        .ok_or_else(|| Failure::state("no listener speaks TLS, or there is no certificate yet"))?;
    Ok(env.new_string(pin)?)
}

#[cfg(feature = "tls")]
mod tls {
    use openrtmp_core::{CertificateConfig, Pem, Server};

    use crate::failure::Failure;

    pub(super) fn set_challenge(
        server: &Server,
        name: &str,
        chain: String,
        key: String,
    ) -> Result<(), Failure> {
        let ends = chain.is_empty();
        let answer = CertificateConfig::new(Pem::Text(chain), Pem::Text(key));
        let answer = (!ends).then_some(&answer);
        Ok(server.set_challenge_certificate(name, answer)?)
    }

    pub(super) fn reload(server: &Server) -> Result<(), Failure> {
        server.reload_certificates()?;
        Ok(())
    }

    pub(super) fn pin(server: &Server) -> Option<String> {
        server.certificate_pin()
    }
}

#[cfg(not(feature = "tls"))]
mod tls {
    use openrtmp_core::Server;

    use crate::failure::Failure;

    pub(super) fn set_challenge(_: &Server, _: &str, _: String, _: String) -> Result<(), Failure> {
        Err(without())
    }

    pub(super) fn reload(_: &Server) -> Result<(), Failure> {
        Err(without())
    }

    pub(super) fn pin(_: &Server) -> Option<String> {
        None
    }

    fn without() -> Failure {
        Failure::state("built without TLS")
    }
}

fn connection_id(id: jlong) -> ConnectionId {
    ConnectionId::from_u64(id as u64)
}

pub(crate) fn stream_id(id: jlong) -> StreamId {
    StreamId::from_u64(id as u64)
}

pub(crate) fn duration(millis: jlong) -> Result<Duration, Failure> {
    let millis = u64::try_from(millis);
    let millis = millis.map_err(|_| Failure::new(Code::InvalidArgument, "a time is before 0"))?;
    Ok(Duration::from_millis(millis))
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
