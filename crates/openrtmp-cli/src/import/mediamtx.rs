//! MediaMTX, by its mediamtx.yml.

use serde_json::{Value, json};

use super::draft::{DELIVERY, Draft, LOGS, NO_SETTING, PROXY, RTMP_ALONE, Rule};
use super::yaml::{Member, Node};

/// Words in front of settings of what is not spoken.
const OTHERS: [&str; 14] = [
    "rtsp",
    "rtp",
    "rtcp",
    "srtp",
    "srtcp",
    "multicast",
    "webrtc",
    "srt",
    "moq",
    "whep",
    "rpi",
    "udp",
    "ice",
    "playback",
];

#[derive(Default)]
struct Mediamtx {
    draft: Draft,
    /// Paths that are named, by their lines; `None` if all are good.
    apps: Option<Vec<(usize, String)>>,
    defaults: Option<Node>,
}

pub(super) fn import(document: &Node) -> Draft {
    let mut mtx = Mediamtx {
        apps: Some(Vec::new()),
        defaults: document.get("pathDefaults").map(|m| m.value.clone()),
        ..Mediamtx::default()
    };
    let encryption = document.text_of("rtmpEncryption").to_owned();
    let encryption = match encryption.as_str() {
        "true" => "optional",
        "" | "false" => "no",
        said => said,
    };
    let method = document.text_of("authMethod");
    let asks = method == "http" || !document.text_of("externalAuthenticationURL").is_empty();
    for member in document.members() {
        let Member { line, name, value } = member;
        match name.as_str() {
            "rtmp" if value.is_off() => {
                mtx.draft
                    .left(*line, name, "RTMP is what this server speaks");
            }
            "rtmp" | "rtmpEncryption" => mtx.draft.holds(),
            "rtmpAddress" if encryption != "strict" => {
                mtx.draft.listen(*line, name, value.text(), false);
            }
            "rtmpsAddress" if encryption != "no" => {
                mtx.draft.listen(*line, name, value.text(), true);
            }
            "rtmpServerCert" if encryption != "no" => mtx.text(member, "tls.certificate"),
            "rtmpServerKey" if encryption != "no" => mtx.text(member, "tls.key"),
            "rtmpAddress" | "rtmpsAddress" | "rtmpServerCert" | "rtmpServerKey" => {
                mtx.draft.holds();
            }
            "rtmpTrustedProxies" if !value.is_off() => {
                for network in value.list() {
                    let network = network.text().into();
                    mtx.draft
                        .add(*line, name, "access.trusted_proxies", network);
                }
                mtx.draft.left(*line, name, PROXY);
            }
            "readTimeout" => mtx.time(member, "streams.media_timeout"),
            "writeTimeout" => mtx.time(member, "queue.stall_timeout"),
            "metrics" if value.is_on() => mtx.metrics(document, *line),
            "metrics" | "metricsAddress" => mtx.draft.holds(),
            "authMethod" if method == "jwt" => {
                mtx.draft.left(
                    *line,
                    name,
                    "tokens are read by an HTTP server that is asked",
                );
            }
            "authMethod" => mtx.draft.holds(),
            "authHTTPAddress" | "externalAuthenticationURL" if asks && !value.is_off() => {
                mtx.text(member, "access.callback.url");
                let format: Value = "mediamtx".into();
                mtx.draft.set(*line, name, "access.callback.format", format);
                for event in ["publish", "play"] {
                    mtx.draft
                        .imply(*line, name, "access.callback.events", event.into());
                }
            }
            "authInternalUsers" if method != "http" && method != "jwt" => mtx.users(member),
            "authInternalUsers" => mtx.draft.holds(),
            "pathDefaults" => {
                for member in value.members() {
                    mtx.of_path(None, member, value);
                }
            }
            "paths" => {
                for path in value.members() {
                    mtx.path(path);
                }
            }
            _ => mtx.other(member),
        }
    }
    mtx.refuse_other_apps();
    mtx.draft
}

impl Mediamtx {
    fn text(&mut self, member: &Member, path: &'static str) {
        let value = Value::from(member.value.text());
        self.draft.set(member.line, &member.name, path, value);
    }

    fn time(&mut self, member: &Member, path: &'static str) {
        // Both write 1h30m0s.
        self.text(member, path);
    }

    /// Something that is no setting here.
    fn other(&mut self, member: &Member) {
        let Member { line, name, value } = member;
        if value.is_off() {
            return self.draft.holds();
        }
        let why = if name.starts_with("hls") {
            DELIVERY
        } else if OTHERS.iter().any(|other| name.starts_with(other)) {
            RTMP_ALONE
        } else if name.starts_with("log") || name.starts_with("sysLog") {
            LOGS
        } else if name.starts_with("api") || name.starts_with("pprof") {
            "there is no HTTP API yet"
        } else if name.starts_with("metrics") {
            "metrics are told over HTTP, to everybody who reaches metrics.listen"
        } else if name.starts_with("runOn") && !name.ends_with("Restart") && !is_time(value) {
            let command = command(value.text());
            return self.draft.hook(*line, name, hook(name), command);
        } else {
            NO_SETTING
        };
        self.draft.left(*line, name, why);
    }

    fn metrics(&mut self, document: &Node, line: usize) {
        let address = match document.text_of("metricsAddress") {
            "" => "0.0.0.0:9998".to_owned(),
            address if address.starts_with(':') => format!("0.0.0.0{address}"),
            address => address.to_owned(),
        };
        self.draft
            .add(line, "metrics", "metrics.listen", address.into());
    }

    /// Who may do what: ours may publish and play everywhere.
    fn users(&mut self, member: &Member) {
        let line = member.line;
        let may = |user: &Node, action: &str| {
            let permissions = user.get("permissions").map_or(&[][..], |m| m.value.list());
            permissions.iter().any(|p| p.text_of("action") == action)
        };
        let users = member.value.list();
        let is_anybody =
            |user: &&Node| user.text_of("user") == "any" && user.text_of("pass").is_empty();
        let from_anywhere = |user: &&Node| user.get("ips").is_none_or(|m| m.value.is_off());
        let anybody = |action: &str| {
            let mut anybody = users.iter().filter(is_anybody).filter(from_anywhere);
            anybody.any(|user| may(user, action))
        };
        let (all_publish, all_play) = (anybody("publish"), anybody("read"));
        let mut publishers = 0;
        for user in users {
            let at = user.members().first().map_or(line, |m| m.line);
            if !may(user, "publish") && !may(user, "read") {
                // What it may besides is not asked about here.
                self.draft.holds();
                continue;
            }
            let permissions = user.get("permissions").map_or(&[][..], |m| m.value.list());
            if permissions.iter().any(|p| !p.text_of("path").is_empty()) {
                let why = "who may do something may do it with every stream";
                self.draft.left(at, "path", why);
            }
            if is_anybody(&user) {
                match from_anywhere(&user) {
                    true => self.draft.holds(),
                    false => self.addresses(at, user, [all_publish, all_play], may),
                }
                continue;
            }
            let password = user.text_of("pass");
            let why = if password.starts_with("sha256:") || password.starts_with("argon2:") {
                "a password is compared with what an encoder makes of it: it is needed itself"
            } else if !may(user, "publish") {
                "a user who may not publish: ours may do both"
            } else if all_publish {
                "anybody may publish, so nobody is asked who it is"
            } else {
                publishers += 1;
                let user = json!({"user": user.text_of("user"), "password": password});
                self.draft.add(at, "user", "access.users", user);
                continue;
            };
            self.draft.left(at, "user", why);
        }
        if publishers > 0 {
            if all_play {
                let publishers: Value = "publishers".into();
                self.draft
                    .set(line, &member.name, "access.authenticate", publishers);
            }
            let why = "passwords are asked for with authmod=adobe (rtmp://USER:PASSWORD@HOST/...), not in the query";
            self.draft.left(line, &member.name, why);
        } else if !all_publish {
            for action in ["publish", "play"] {
                if action == "publish" || !all_play {
                    let rule = json!({"deny": "::/0", "action": action});
                    self.draft.imply(line, &member.name, "access.rules", rule);
                }
            }
        }
    }

    /// Whoever comes from some addresses.
    fn addresses(
        &mut self,
        line: usize,
        user: &Node,
        everybody: [bool; 2],
        may: impl Fn(&Node, &str) -> bool,
    ) {
        let ips = user.get("ips").map_or(&[][..], |m| m.value.list());
        let actions = [("publish", "publish"), ("read", "play")];
        for ((theirs, ours), everybody) in actions.into_iter().zip(everybody) {
            if everybody || !may(user, theirs) {
                continue;
            }
            for ip in ips {
                let rule = Rule {
                    allow: true,
                    network: ip.text(),
                    app: None,
                    action: Some(ours),
                };
                self.draft.rule(line, "ips", &rule);
            }
        }
    }

    fn path(&mut self, path: &Member) {
        let Member { line, name, value } = path;
        if name == "all" || name == "all_others" || name == "~^.*$" {
            self.apps = None;
            for member in value.members() {
                self.of_path(None, member, value);
            }
            return;
        }
        if name.starts_with('~') {
            let why = "there are no patterns of paths: every app is served";
            self.draft.left(*line, name, why);
            // Who refuses what it cannot read refuses too much.
            self.apps = None;
            return;
        }
        let (app, stream) = name.rsplit_once('/').unwrap_or(("live", name));
        if !name.contains('/') {
            let why = format!("a stream has an app in front of its name: live/{stream}");
            self.draft.left(*line, name, why);
        }
        if let Some(apps) = &mut self.apps {
            apps.push((*line, app.to_owned()));
        }
        let path = format!("{app}/{stream}");
        for member in value.members() {
            self.of_path(Some(&path), member, value);
        }
    }

    /// What stands below a path; `None` is every path.
    fn of_path(&mut self, path: Option<&str>, member: &Member, around: &Node) {
        let Member { line, name, value } = member;
        let of = path.unwrap_or("*");
        let app = path
            .and_then(|path| path.rsplit_once('/'))
            .map(|(app, _)| app);
        match name.as_str() {
            "source" => self.source(of, member, around),
            // They go with what they are about.
            "sourceOnDemand" | "sourceOnDemandCloseAfter" => self.draft.holds(),
            "forward" => {
                for target in value.list() {
                    let url = match target.text() {
                        "" => target.text_of("dest"),
                        url => url,
                    };
                    match rtmp_url(url) {
                        Some(to) => {
                            let rule = json!({"match": of, "to": to});
                            self.draft.add(*line, name, "relay.push", rule);
                        }
                        None => self.draft.left(*line, name, RTMP_ALONE),
                    }
                }
            }
            "overridePublisher" => {
                let who = if value.is_on() { "takeover" } else { "reject" };
                self.draft
                    .set(*line, name, "streams.second_publisher", who.into());
            }
            "record" if value.is_on() => self.record(member, app, around),
            "recordPath"
            | "recordSegmentDuration"
            | "recordFormat"
            | "recordPartDuration"
            | "recordMaxPartSize" => self.draft.holds(),
            "recordDeleteAfter" if self.records(around) && value.text() != "0s" => {
                self.draft.left(*line, name, "recordings are not deleted");
            }
            "recordDeleteAfter" => self.draft.holds(),
            _ => self.other(member),
        }
    }

    fn records(&self, around: &Node) -> bool {
        let said = around
            .get("record")
            .or_else(|| self.defaults.as_ref()?.get("record"));
        said.is_some_and(|member| member.value.is_on())
    }

    fn source(&mut self, of: &str, member: &Member, around: &Node) {
        let Member { line, name, value } = member;
        let url = value.text();
        if url.is_empty() || url == "publisher" {
            return self.draft.holds();
        }
        let Some(from) = rtmp_url(url) else {
            let why = "streams are published here, or fetched over RTMP";
            return self.draft.left(*line, name, why);
        };
        let mut rule = json!({"match": of, "from": from});
        let default = |name: &str| self.defaults.as_ref().and_then(|node| node.get(name));
        let on_demand = around.get("sourceOnDemand").or(default("sourceOnDemand"));
        if on_demand.is_some_and(|m| m.value.is_on()) {
            let after = around.get("sourceOnDemandCloseAfter");
            if let Some(after) = after.or(default("sourceOnDemandCloseAfter")) {
                rule["idle_timeout"] = after.value.text().into();
            }
        } else {
            rule["start"] = "always".into();
        }
        self.draft.add(*line, name, "relay.pull", rule);
    }

    fn record(&mut self, member: &Member, app: Option<&str>, around: &Node) {
        let Member { line, name, .. } = member;
        let defaults = self.defaults.clone();
        let said = |name: &str| {
            let default = || defaults.as_ref().and_then(|node| node.get(name)).cloned();
            around.get(name).cloned().or_else(default)
        };
        let path = said("recordPath");
        let given = path
            .as_ref()
            .map_or("./recordings/%path/%Y-%m-%d_%H-%M-%S-%f", |m| {
                m.value.text()
            });
        let at = path.as_ref().map_or(*line, |m| m.line);
        let directory = given.split('%').next().unwrap_or_default();
        let directory = directory
            .rsplit_once('/')
            .map_or(".", |(directory, _)| directory);
        let directory = if directory.is_empty() { "/" } else { directory };
        self.draft
            .set(at, "recordPath", "record.directory", directory.into());
        let template: Value = "{app}/{name}/{date}-{time}".into();
        self.draft
            .set(at, "recordPath", "record.template", template);
        if let Some(duration) = said("recordSegmentDuration").filter(|m| !m.value.is_off()) {
            self.time(&duration, "record.split_duration");
        }
        if let Some(app) = app {
            self.draft.add(*line, name, "record.apps", app.into());
            self.draft
                .left(*line, name, "every stream of the app is recorded");
        }
        // Fragmented MP4 is what it writes unless something else is said.
        let format = said("recordFormat");
        let is_mp4 = format.as_ref().is_none_or(|m| m.value.text() == "fmp4");
        let (at, what) = format.map_or((*line, name.clone()), |m| (m.line, m.name));
        self.draft.set(at, &what, "record.format", "mp4".into());
        if !is_mp4 {
            self.draft.left(at, &what, "MP4 is what is written");
        }
    }

    /// Paths that nobody names are refused, unless all are taken.
    fn refuse_other_apps(&mut self) {
        let apps = self.apps.take().unwrap_or_default();
        for (line, app) in &apps {
            let rule = json!({"allow": "::/0", "app": app});
            self.draft.imply(*line, "paths", "access.rules", rule);
        }
        if let Some((line, _)) = apps.first() {
            let rule = json!({"deny": "::/0"});
            self.draft.imply(*line, "paths", "access.rules", rule);
        }
    }
}

/// The setting for a program that is started then.
fn hook(name: &str) -> Option<&'static str> {
    match name {
        "runOnPublish" | "runOnReady" | "runOnAvailable" => Some("hooks.on_publish"),
        "runOnNotReady" | "runOnUnavailable" => Some("hooks.on_publish_done"),
        "runOnRead" => Some("hooks.on_play"),
        "runOnRecordSegmentComplete" => Some("hooks.on_record_done"),
        "runOnDemand" => Some("hooks.on_demand"),
        _ => None,
    }
}

/// A program and its arguments, as far as that can be told without a shell.
fn command(line: &str) -> Value {
    match line.contains(['"', '\'', '\\']) {
        true => line.into(),
        false => line.split_whitespace().collect(),
    }
}

fn is_time(value: &Node) -> bool {
    let text = value.text();
    text.starts_with(|c: char| c.is_ascii_digit()) && text.ends_with(['s', 'm', 'h'])
}

/// Ours, if it is one of RTMP: its key is behind `#` there, and variables have other names.
fn rtmp_url(url: &str) -> Option<String> {
    if !url.starts_with("rtmp://") && !url.starts_with("rtmps://") {
        return None;
    }
    let url = url
        .replacen('#', "/", 1)
        .replace("$MTX_PATH", "{app}/{name}");
    (!url.contains('$')).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_url_of_ours() {
        for (url, expected) in [
            (
                "rtmp://u:p@h:1936/app#KEY",
                Some("rtmp://u:p@h:1936/app/KEY"),
            ),
            ("rtmps://h/$MTX_PATH", Some("rtmps://h/{app}/{name}")),
            ("rtmp://h/$G1", None),
            ("rtsp://h/a", None),
        ] {
            assert_eq!(rtmp_url(url).as_deref(), expected, "{url}");
        }
    }
}
