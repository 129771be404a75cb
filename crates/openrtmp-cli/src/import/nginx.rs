//! nginx with its RTMP module, by the directives that its wiki lists.

use serde_json::{Value, json};

use super::block::Directive;
use super::draft::{DELIVERY, Draft, INCLUDE, LOGS, NO_SETTING, PROXY, Rule, SERVICE};

/// Where nginx records unless it is told.
const RECORD_PATH: &str = "/tmp";

const EXEC: [&str; 10] = [
    "exec",
    "exec_push",
    "exec_pull",
    "exec_static",
    "exec_publish",
    "exec_publish_done",
    "exec_play",
    "exec_play_done",
    "exec_record_done",
    "exec_options",
];

#[derive(Default)]
struct Nginx {
    draft: Draft,
    calls: Vec<Call>,
    /// Rules about addresses apply to apps, and these are the apps.
    apps: Vec<(usize, String)>,
    servers: usize,
}

/// A URL that is asked about something.
struct Call {
    line: usize,
    what: String,
    event: &'static str,
    url: String,
}

/// What an app has of its server.
#[derive(Clone, Default)]
struct Scope {
    app: Option<String>,
    /// Innermost first, which is how nginx asks them.
    rules: Vec<Directive>,
    record: Record,
}

/// What is recorded, and how. Each with its line.
#[derive(Clone, Default)]
struct Record {
    what: Option<Directive>,
    directory: Option<Directive>,
    unique: Option<Directive>,
    suffix: Option<Directive>,
    size: Option<Directive>,
    interval: Option<Directive>,
}

pub(super) fn import(directives: &[Directive]) -> Draft {
    let mut nginx = Nginx::default();
    for directive in directives {
        let Directive { line, name, .. } = directive;
        match name.as_str() {
            "rtmp" => nginx.block(directive, &Scope::default()),
            "worker_processes" if directive.argument() == "auto" => nginx.draft.holds(),
            "worker_processes" => nginx.number(directive, "workers"),
            "rtmp_auto_push" | "rtmp_auto_push_reconnect" | "rtmp_socket_dir" => {
                // One process serves on all cores.
                nginx.draft.holds();
            }
            "include" => nginx.draft.left(*line, name, INCLUDE),
            "http" => {
                let why = "numbers and health are told at metrics.listen, other HTTP is nginx's";
                nginx.draft.left(*line, "http { ... }", why);
            }
            "error_log" => nginx.draft.left(*line, name, LOGS),
            "events"
            | "user"
            | "pid"
            | "daemon"
            | "load_module"
            | "worker_rlimit_nofile"
            | "master_process" => nginx.draft.left(*line, name, SERVICE),
            _ => nginx.draft.left(*line, name, NO_SETTING),
        }
    }
    nginx.refuse_other_apps();
    nginx.callback();
    nginx.draft
}

impl Nginx {
    /// `rtmp`, `server`, `application` or `recorder`.
    fn block(&mut self, block: &Directive, outer: &Scope) {
        let mut scope = outer.clone();
        let inner = || block.block().iter();
        if block.name == "application" {
            scope.app = Some(block.argument().to_owned());
        }
        // Rules within come first, those around them after.
        scope.rules = inner()
            .filter(|d| d.name == "allow" || d.name == "deny")
            .cloned()
            .collect();
        scope.rules.extend(outer.rules.iter().cloned());
        let is_live = inner().any(|d| d.name == "live" && d.is_on());
        for directive in inner() {
            match directive.name.as_str() {
                "server" => {
                    self.servers += 1;
                    if self.servers == 2 {
                        let why = "every app is served on every address";
                        self.draft.left(directive.line, "server", why);
                    }
                }
                "application" | "recorder" | "allow" | "deny" => {}
                _ => self.setting(directive, &mut scope),
            }
        }
        // Once all is known that they have of this.
        for directive in inner() {
            if ["server", "application", "recorder"].contains(&directive.name.as_str()) {
                self.block(directive, &scope);
            }
        }
        if block.name == "application" {
            self.rules(&scope);
            if is_live {
                self.apps.push((block.line, block.argument().to_owned()));
            } else {
                let why = "without \"live on\" nothing is published or played there; it is refused";
                self.draft.left(block.line, block.argument(), why);
            }
        }
        if block.name == "application" || block.name == "recorder" {
            self.record(&scope);
        }
    }

    fn setting(&mut self, directive: &Directive, scope: &mut Scope) {
        let Directive {
            line,
            name,
            arguments,
            ..
        } = directive;
        let (line, argument) = (*line, directive.argument());
        let app = scope.app.as_deref();
        let record = &mut scope.record;
        match name.as_str() {
            "listen" => self.listen(directive),
            "chunk_size" => self.size(directive, "rtmp.chunk_size"),
            "ack_window" => self.size(directive, "rtmp.window_ack_size"),
            "max_message" => self.size(directive, "limits.session.message_bytes"),
            "max_streams" => self.number(directive, "limits.session.message_streams"),
            "max_connections" => self.number(directive, "limits.connections"),
            "timeout" => self.time(directive, "queue.stall_timeout"),
            "ping" => self.time(directive, "rtmp.ping_interval"),
            "drop_idle_publisher" => self.time(directive, "streams.media_timeout"),
            "push_reconnect" | "pull_reconnect" => self.time(directive, "relay.retry_min"),
            "notify_update_timeout" => self.time(directive, "access.callback.update_interval"),
            "idle_streams" if argument == "off" => {
                self.draft
                    .set(line, name, "streams.wait_for_publisher", json!(false));
            }
            "gop_cache" if argument == "off" => {
                self.draft.set(line, name, "gop.max_duration", json!(0));
            }
            // So it is.
            "live" | "idle_streams" | "wait_key" | "gop_cache" | "tcp_nodelay" | "so_keepalive"
                if argument == "on" =>
            {
                self.draft.holds();
            }
            "live" => {}
            "hls" | "dash" | "session_relay" | "publish_notify" if argument == "off" => {
                self.draft.holds();
            }
            "meta" if argument != "off" => self.draft.holds(),
            "notify_method" if argument == "post" => self.draft.holds(),
            "notify_method" => self.draft.left(line, name, "it is asked with POST"),
            "push" | "pull" => self.relay(directive, app.unwrap_or("*")),
            "record" => record.what = Some(directive.clone()),
            "record_path" => record.directory = Some(directive.clone()),
            "record_unique" => record.unique = Some(directive.clone()),
            "record_suffix" => record.suffix = Some(directive.clone()),
            "record_max_size" => record.size = Some(directive.clone()),
            "record_interval" => record.interval = Some(directive.clone()),
            "on_connect" | "on_publish" | "on_play" | "on_publish_done" | "on_play_done"
            | "on_record_done" | "on_update" => self.calls.push(Call {
                line,
                what: name.clone(),
                event: event(name),
                url: argument.to_owned(),
            }),
            "on_done" => {
                let why = "publish_done and play_done are told of";
                self.draft.left(line, name, why);
            }
            "on_disconnect" => self.draft.left(line, name, "nobody is told of that"),
            name if EXEC.contains(&name) => {
                self.draft.hook(line, name, hook(name), json!(arguments));
            }
            "play" => self.draft.left(line, name, "files are not played"),
            name if name.starts_with("hls") || name.starts_with("dash") => {
                self.draft.left(line, name, DELIVERY);
            }
            "access_log" | "log_format" => self.draft.left(line, name, LOGS),
            "include" => self.draft.left(line, name, INCLUDE),
            _ => self.draft.left(line, name, NO_SETTING),
        }
    }

    fn listen(&mut self, directive: &Directive) {
        let Directive {
            line,
            name,
            arguments,
            ..
        } = directive;
        let address = directive.argument();
        // nginx's own port for an address without one.
        let address = match address.parse::<std::net::IpAddr>() {
            Ok(ip) => std::net::SocketAddr::from((ip, 1935)).to_string(),
            Err(_) => address.to_owned(),
        };
        // nginx listens on IPv4 alone if only a port is named.
        match address.parse::<u16>() {
            Ok(port) => self
                .draft
                .listen(*line, name, &format!("0.0.0.0:{port}"), false),
            Err(_) => self.draft.listen(*line, name, &address, false),
        }
        for option in arguments.iter().skip(1) {
            match option.as_str() {
                "proxy_protocol" => self.draft.left(*line, option, PROXY),
                "ipv6only=off" => {
                    let why = "IPv4 is listened on where listen has 0.0.0.0";
                    self.draft.left(*line, option, why);
                }
                // The first is as it is here, the other how nginx shares its work.
                _ => {}
            }
        }
    }

    fn number(&mut self, directive: &Directive, path: &'static str) {
        let value = directive.argument().parse::<u64>().ok();
        self.draft
            .set_if(directive.line, &directive.name, path, value);
    }

    fn size(&mut self, directive: &Directive, path: &'static str) {
        let value = size(directive.argument());
        self.draft
            .set_if(directive.line, &directive.name, path, value);
    }

    fn time(&mut self, directive: &Directive, path: &'static str) {
        let value = milliseconds(directive.argument());
        self.draft
            .set_if(directive.line, &directive.name, path, value);
    }

    /// `push URL key=value...`.
    fn relay(&mut self, directive: &Directive, app: &str) {
        let Directive {
            line,
            name,
            arguments,
            ..
        } = directive;
        let option = |of: &str| {
            let mut pairs = arguments.iter().skip(1).filter_map(|a| a.split_once('='));
            pairs.find(|(key, _)| *key == of).map(|(_, value)| value)
        };
        for argument in arguments.iter().skip(1) {
            let key = argument.split('=').next().unwrap_or_default();
            if !["name", "app", "playPath", "static", "live"].contains(&key) {
                self.draft.left(*line, &format!("{name} {key}"), NO_SETTING);
            }
        }
        let url = directive.argument();
        let rest = url.strip_prefix("rtmp://").unwrap_or(url);
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (of_url, play_path) = path.split_once('/').unwrap_or((path, ""));
        let chosen = |first: Option<&str>, second: &str, third: &str| match first {
            Some(first) => first.to_owned(),
            None if second.is_empty() => third.to_owned(),
            None => second.to_owned(),
        };
        let there = chosen(option("app"), of_url, "{app}");
        let stream = chosen(option("playPath"), play_path, "{name}");
        let url = format!("rtmp://{host}/{there}/{stream}");
        let here = format!("{app}/{}", option("name").unwrap_or("*"));
        let is_static = arguments.iter().any(|argument| argument == "static");
        let (path, rule) = match name.as_str() {
            "push" => ("relay.push", json!({"match": here, "to": url})),
            _ if is_static => (
                "relay.pull",
                json!({"match": here, "from": url, "start": "always"}),
            ),
            _ => ("relay.pull", json!({"match": here, "from": url})),
        };
        self.draft.add(*line, name, path, rule);
    }

    /// Rules about addresses, in the order in which they are asked.
    fn rules(&mut self, scope: &Scope) {
        for directive in &scope.rules {
            let Directive {
                line,
                name,
                arguments,
                ..
            } = directive;
            let (action, network) = match arguments.as_slice() {
                [action, network] if action == "publish" => (Some("publish"), network.as_str()),
                [action, network] if action == "play" => (Some("play"), network.as_str()),
                _ => (None, directive.argument()),
            };
            let rule = Rule {
                allow: name == "allow",
                network,
                app: scope.app.as_deref(),
                action,
            };
            self.draft.rule(*line, name, &rule);
        }
    }

    /// nginx serves the apps that are named, and no others.
    fn refuse_other_apps(&mut self) {
        let apps = std::mem::take(&mut self.apps);
        for (line, app) in &apps {
            let rule = json!({"allow": "::/0", "app": app});
            self.draft.add(*line, "application", "access.rules", rule);
        }
        if let Some((line, _)) = apps.first() {
            let rule = json!({"deny": "::/0"});
            self.draft.imply(*line, "application", "access.rules", rule);
        }
    }

    fn record(&mut self, scope: &Scope) {
        let record = &scope.record;
        let Some(what) = &record.what else { return };
        let words: Vec<&str> = what.arguments.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["off"] => return self.draft.holds(),
            ["all"] | ["audio", "video"] | ["video", "audio"] => {}
            _ => {
                let why = "a stream is recorded as a whole and from its beginning, or not";
                return self.draft.left(what.line, "record", why);
            }
        }
        let (line, directory) = match &record.directory {
            Some(directive) => (directive.line, directive.argument()),
            None => (what.line, RECORD_PATH),
        };
        self.draft
            .set(line, "record_path", "record.directory", directory.into());
        if let Some(app) = &scope.app {
            self.draft
                .add(what.line, "record", "record.apps", app.as_str().into());
        }
        let has_time = |d: &Directive| d.argument().contains('%');
        let unique = record.unique.as_ref().filter(|d| d.is_on());
        let template = match unique.or(record.suffix.as_ref().filter(|d| has_time(d))) {
            Some(directive) => (
                directive.line,
                directive.name.as_str(),
                "{name}-{date}-{time}",
            ),
            None => (what.line, "record_unique", "{name}"),
        };
        let (line, named, template) = template;
        self.draft
            .set(line, named, "record.template", template.into());
        if let Some(suffix) = record.suffix.as_ref().filter(|d| d.argument() != ".flv") {
            let why = "names are as record.template says, and end with .flv";
            self.draft.left(suffix.line, "record_suffix", why);
        }
        if let Some(directive) = &record.size {
            self.size(directive, "record.split_bytes");
        }
        if let Some(directive) = &record.interval {
            self.time(directive, "record.split_duration");
        }
    }

    /// One URL is asked about everything: the one that decides most.
    fn callback(&mut self) {
        let calls = std::mem::take(&mut self.calls);
        let decides = |call: &&Call| ["publish", "play", "connect"].contains(&call.event);
        let Some(first) = calls.iter().find(decides).or(calls.first()) else {
            return;
        };
        let (line, url) = (first.line, first.url.clone());
        self.draft.set(
            line,
            &first.what,
            "access.callback.url",
            url.as_str().into(),
        );
        self.draft.imply(
            line,
            &first.what,
            "access.callback.events",
            first.event.into(),
        );
        let format: Value = "nginx".into();
        self.draft
            .set(line, &first.what, "access.callback.format", format);
        for call in &calls {
            if call.url == url {
                let event = call.event.into();
                self.draft
                    .add(call.line, &call.what, "access.callback.events", event);
            } else {
                let why =
                    "one URL is asked about everything, for every app: its field call says what";
                self.draft.left(call.line, &call.what, why);
            }
        }
    }
}

/// What we call it.
fn event(directive: &str) -> &'static str {
    match directive {
        "on_connect" => "connect",
        "on_publish" => "publish",
        "on_play" => "play",
        "on_publish_done" => "publish_done",
        "on_play_done" => "play_done",
        "on_update" => "update",
        _ => "record_done",
    }
}

/// The setting for a program that is started then.
fn hook(directive: &str) -> Option<&'static str> {
    match directive {
        "exec" | "exec_push" | "exec_publish" => Some("hooks.on_publish"),
        "exec_publish_done" => Some("hooks.on_publish_done"),
        "exec_play" => Some("hooks.on_play"),
        "exec_record_done" => Some("hooks.on_record_done"),
        "exec_pull" => Some("hooks.on_demand"),
        _ => None,
    }
}

/// `1M`, `128k`, `4000`.
fn size(text: &str) -> Option<u64> {
    let (number, unit) = match text.chars().next_back()? {
        'k' | 'K' => (&text[..text.len() - 1], 1 << 10),
        'm' | 'M' => (&text[..text.len() - 1], 1 << 20),
        'g' | 'G' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// `30s`, `1h30m`, `500ms`; a number alone is seconds.
fn milliseconds(text: &str) -> Option<u64> {
    let (mut total, mut rest) = (0_u64, text);
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit = match unit {
            "ms" => 1,
            "" | "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_read_as_nginx_writes_them() {
        for (text, expected) in [
            ("30s", Some(30_000)),
            ("1h30m", Some(5_400_000)),
            ("500ms", Some(500)),
            ("60", Some(60_000)),
            ("", None),
            ("x", None),
            ("1y", None),
        ] {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
        for (text, expected) in [
            ("4000", Some(4000)),
            ("128k", Some(131_072)),
            ("1M", Some(1_048_576)),
            ("", None),
            ("M", None),
            ("é", None),
        ] {
            assert_eq!(size(text), expected, "{text}");
        }
    }
}
