//! SRS, by its full.conf.

use serde_json::{Value, json};

use super::block::Directive;
use super::draft::{DELIVERY, Draft, INCLUDE, LOGS, NO_SETTING, RTMP_ALONE, Rule, SERVICE};

/// The host of whoever names none.
const DEFAULT_VHOST: &str = "__defaultVhost__";

#[derive(Default)]
struct Srs {
    draft: Draft,
    /// `utc_time`, which names of files are made of.
    local_time: Option<usize>,
}

pub(super) fn import(directives: &[Directive]) -> Draft {
    let mut srs = Srs {
        local_time: directives
            .iter()
            .find(|d| d.name == "utc_time" && !d.is_on())
            .map(|d| d.line),
        ..Srs::default()
    };
    let hosts = directives
        .iter()
        .filter(|d| d.name == "vhost" && is_enabled(d));
    let default = hosts.clone().find(|d| d.argument() == DEFAULT_VHOST);
    let host = default.or(hosts.clone().next()).map(|d| d.line);
    for directive in directives {
        match directive.name.as_str() {
            "vhost" if !is_enabled(directive) => srs.draft.holds(),
            "vhost" if Some(directive.line) != host => {
                let why = "there are no virtual hosts: one server for each, or one for all";
                let what = format!("vhost {}", directive.argument());
                srs.draft.left(directive.line, &what, why);
            }
            "vhost" => directive.block().iter().for_each(|d| srs.of_host(d)),
            _ => srs.of_server(directive),
        }
    }
    srs.draft
}

/// A block that says `enabled off` says nothing else. Without a word SRS's blocks are off,
/// its hosts on.
fn is_enabled(block: &Directive) -> bool {
    let said = block.block().iter().find(|d| d.name == "enabled");
    said.map_or(block.name == "vhost", Directive::is_on)
}

impl Srs {
    fn of_server(&mut self, directive: &Directive) {
        let Directive { line, name, .. } = directive;
        let (line, name) = (*line, name.as_str());
        match name {
            "listen" => self.listen(directive, false),
            "rtmp" => directive.block().iter().for_each(|d| self.of_server(d)),
            "rtmps" if is_enabled(directive) => self.rtmps(directive),
            "max_connections" => self.number(directive, "limits.connections", 1),
            "chunk_size" => self.number(directive, "rtmp.chunk_size", 1),
            "exporter" if is_enabled(directive) => {
                let listen = directive.block().iter().find(|d| d.name == "listen");
                let port = listen.map_or("9972", Directive::argument);
                let address = match port.contains(':') {
                    true => port.to_owned(),
                    false => format!("0.0.0.0:{port}"),
                };
                self.draft.add(line, name, "metrics.listen", address.into());
            }
            "utc_time" | "enabled" => self.draft.holds(),
            "include" => self.draft.left(line, name, INCLUDE),
            "http_api" | "stats" | "heartbeat" => {
                let why = "numbers and health are told at metrics.listen; there is no HTTP API yet";
                self.draft.left(line, name, why);
            }
            "http_server" => self.draft.left(line, name, DELIVERY),
            "rtc_server" | "srt_server" | "stream_caster" | "rtsp_server" => {
                match is_enabled(directive) {
                    true => self.draft.left(line, name, RTMP_ALONE),
                    false => self.draft.holds(),
                }
            }
            "grace_final_wait" | "force_grace_quit" | "grace_start_wait" => {
                let why = "how long it takes to stop is said with --stop-timeout";
                self.draft.left(line, name, why);
            }
            "daemon"
            | "pid"
            | "work_dir"
            | "asprocess"
            | "in_docker"
            | "server_id"
            | "disable_daemon_for_docker"
            | "empty_ip_ok" => self.draft.left(line, name, SERVICE),
            "inotify_auto_reload" | "auto_reload_for_docker" if directive.is_on() => {
                // Files are watched.
                self.draft.holds();
            }
            _ if name.starts_with("srs_log") || name.starts_with("ff_log") => {
                self.draft.left(line, name, LOGS);
            }
            _ => self.unknown(directive),
        }
    }

    /// A block that is off asks for nothing.
    fn unknown(&mut self, directive: &Directive) {
        match directive.block.is_some() && !is_enabled(directive) {
            true => self.draft.holds(),
            false => self.draft.left(directive.line, &directive.name, NO_SETTING),
        }
    }

    fn of_host(&mut self, directive: &Directive) {
        let Directive { line, name, .. } = directive;
        let (line, name) = (*line, name.as_str());
        let enabled = is_enabled(directive);
        match name {
            "enabled" => self.draft.holds(),
            "chunk_size" => self.number(directive, "rtmp.chunk_size", 1),
            "out_ack_size" if directive.argument() != "0" => {
                self.number(directive, "rtmp.window_ack_size", 1);
            }
            "tcp_nodelay" if directive.is_on() => self.draft.holds(),
            "play" => directive.block().iter().for_each(|d| self.of_play(d)),
            "publish" => directive.block().iter().for_each(|d| self.of_publish(d)),
            "security" if enabled => self.security(directive),
            "http_hooks" if enabled => self.hooks(directive),
            "forward" if enabled => self.forward(directive),
            "cluster" => self.cluster(directive),
            "dvr" if enabled => self.dvr(directive),
            "exec" if enabled => {
                for program in directive.block().iter().filter(|d| d.name != "enabled") {
                    let setting = (program.name == "publish").then_some("hooks.on_publish");
                    let command = json!(program.arguments);
                    self.draft.hook(program.line, "exec", setting, command);
                }
            }
            "hls" | "dash" | "http_remux" if enabled => {
                self.draft.left(line, name, DELIVERY);
            }
            "rtc" | "srt" | "rtsp" if enabled => self.draft.left(line, name, RTMP_ALONE),
            "transcode" | "ingest" if enabled => {
                self.draft.left(
                    line,
                    name,
                    "nothing is transcoded, and no program is run for it",
                );
            }
            _ => self.unknown(directive),
        }
    }

    fn number(&mut self, directive: &Directive, path: &'static str, unit: u64) {
        let value = directive.argument().parse::<u64>().ok();
        let value = value.and_then(|value| value.checked_mul(unit));
        self.draft
            .set_if(directive.line, &directive.name, path, value);
    }

    fn listen(&mut self, directive: &Directive, tls: bool) {
        for address in &directive.arguments {
            self.draft
                .listen(directive.line, &directive.name, address, tls);
        }
    }

    fn rtmps(&mut self, block: &Directive) {
        for directive in block.block() {
            let value = || Value::from(directive.argument());
            match directive.name.as_str() {
                "enabled" => {}
                "listen" => self.listen(directive, true),
                "cert" => self
                    .draft
                    .set(directive.line, "cert", "tls.certificate", value()),
                "key" => self.draft.set(directive.line, "key", "tls.key", value()),
                name => self.draft.left(directive.line, name, NO_SETTING),
            }
        }
    }

    fn of_play(&mut self, directive: &Directive) {
        let Directive { line, name, .. } = directive;
        match name.as_str() {
            "gop_cache" if directive.is_on() => self.draft.holds(),
            "gop_cache" => self.draft.set(*line, name, "gop.max_duration", json!(0)),
            "gop_cache_max_frames" if directive.argument() == "0" => self.draft.holds(),
            "gop_cache_max_frames" => self.number(directive, "gop.max_frames", 1),
            "queue_length" => self.number(directive, "queue.max_delay", 1000),
            "mw_latency" => self.number(directive, "queue.write_coalesce", 1),
            "time_jitter" | "mix_correct" | "atc" | "atc_auto" => {
                let why = "the clock of a stream is its publisher's, see streams.start_at_zero";
                self.draft.left(*line, name, why);
            }
            _ => self.draft.left(*line, name, NO_SETTING),
        }
    }

    fn of_publish(&mut self, directive: &Directive) {
        match directive.name.as_str() {
            "normal_timeout" => self.number(directive, "streams.media_timeout", 1),
            name => self.draft.left(directive.line, name, NO_SETTING),
        }
    }

    /// Who is denied is; then, if anybody is allowed anything, who is allowed it, and nobody
    /// else.
    fn security(&mut self, block: &Directive) {
        let of = |kind: &'static str| block.block().iter().filter(move |d| d.name == kind);
        for directive in of("deny").chain(of("allow")) {
            let Directive {
                line,
                name,
                arguments,
                ..
            } = directive;
            let (action, network) = match arguments.as_slice() {
                [action, network] if action == "publish" => ("publish", network),
                [action, network] if action == "play" => ("play", network),
                _ => {
                    self.draft
                        .left(*line, name, "publish or play, and an address are expected");
                    continue;
                }
            };
            let rule = Rule {
                allow: name == "allow",
                network,
                app: None,
                action: Some(action),
            };
            self.draft.rule(*line, name, &rule);
        }
        let has_rules = of("deny").chain(of("allow")).next().is_some();
        if of("allow").next().is_some() || !has_rules {
            for action in ["publish", "play"] {
                let rule = json!({"deny": "::/0", "action": action});
                self.draft
                    .imply(block.line, "security", "access.rules", rule);
            }
        }
        for directive in block.block() {
            if !["enabled", "deny", "allow"].contains(&directive.name.as_str()) {
                self.draft.left(directive.line, &directive.name, NO_SETTING);
            }
        }
    }

    fn hooks(&mut self, block: &Directive) {
        let mut chosen: Option<&str> = None;
        for directive in block.block() {
            let Directive {
                line,
                name,
                arguments,
                ..
            } = directive;
            let event = match name.as_str() {
                "enabled" => continue,
                "on_connect" => "connect",
                "on_publish" => "publish",
                "on_play" => "play",
                "on_unpublish" => "publish_done",
                "on_stop" => "play_done",
                "on_dvr" => "record_done",
                "on_hls" | "on_hls_notify" => {
                    self.draft.left(*line, name, NO_SETTING);
                    continue;
                }
                _ => {
                    self.draft.left(*line, name, "nobody is told of that");
                    continue;
                }
            };
            let of_host = chosen.or(arguments.first().map(String::as_str));
            chosen = of_host;
            for url in arguments {
                if Some(url.as_str()) == of_host {
                    self.draft
                        .set(*line, name, "access.callback.url", url.as_str().into());
                    self.draft
                        .imply(*line, name, "access.callback.events", event.into());
                } else {
                    let why = "one URL is asked about everything: its field action says what";
                    self.draft.left(*line, name, why);
                }
            }
        }
        if chosen.is_some() {
            let format: Value = "srs".into();
            self.draft
                .set(block.line, "http_hooks", "access.callback.format", format);
        }
    }

    fn forward(&mut self, block: &Directive) {
        for directive in block.block() {
            match directive.name.as_str() {
                "enabled" => {}
                "destination" => {
                    for host in &directive.arguments {
                        let to = format!("rtmp://{host}/{{app}}/{{name}}");
                        let rule = json!({"match": "*", "to": to});
                        self.draft
                            .add(directive.line, "destination", "relay.push", rule);
                    }
                }
                name => self.draft.left(directive.line, name, NO_SETTING),
            }
        }
    }

    fn cluster(&mut self, block: &Directive) {
        let mode = block.block().iter().find(|d| d.name == "mode");
        let is_edge = mode.is_some_and(|d| d.argument() == "remote");
        for directive in block.block() {
            let Directive {
                line,
                name,
                arguments,
                ..
            } = directive;
            match name.as_str() {
                "mode" => self.draft.holds(),
                "origin" if is_edge => {
                    let Some((host, others)) = arguments.split_first() else {
                        continue;
                    };
                    let from = format!("rtmp://{host}/{{app}}/{{name}}");
                    let rule = json!({"match": "*", "from": from});
                    self.draft.add(*line, name, "relay.pull", rule);
                    if !others.is_empty() {
                        let why = "a stream is fetched from one server: the first";
                        self.draft.left(*line, name, why);
                    }
                }
                _ => self.draft.left(*line, name, NO_SETTING),
            }
        }
    }

    fn dvr(&mut self, block: &Directive) {
        let named = |of: &str| block.block().iter().find(|d| d.name == of);
        let plan = named("dvr_plan").map_or("session", Directive::argument);
        let path = named("dvr_path");
        let given = path.map_or("./objs/nginx/html/[app]/[stream].[timestamp].flv", |d| {
            d.argument()
        });
        let line = path.map_or(block.line, |d| d.line);
        let (directory, template) = record_path(given);
        self.draft
            .set(line, "dvr_path", "record.directory", directory.into());
        self.draft
            .set(line, "dvr_path", "record.template", template.into());
        if given.ends_with(".mp4") {
            self.draft
                .set(line, "dvr_path", "record.format", "mp4".into());
        } else if !given.ends_with(".flv") {
            self.draft.left(line, "dvr_path", "FLV is what is written");
        }
        if let Some(line) = self.local_time {
            self.draft
                .set(line, "utc_time", "record.time_zone", "local".into());
        }
        for directive in block.block() {
            let Directive {
                line,
                name,
                arguments,
                ..
            } = directive;
            match name.as_str() {
                "enabled" | "dvr_path" | "dvr_plan" => {}
                "dvr_duration" if plan == "segment" => {
                    self.number(directive, "record.split_duration", 1000);
                }
                "dvr_duration" => self.draft.holds(),
                "dvr_wait_keyframe" if directive.is_on() => self.draft.holds(),
                "dvr_apply" if directive.argument() == "all" => self.draft.holds(),
                "dvr_apply" => {
                    let apps = arguments.iter().filter_map(|of| of.split_once('/'));
                    for (app, _) in apps {
                        self.draft.add(*line, name, "record.apps", app.into());
                    }
                    self.draft
                        .left(*line, name, "every stream of these apps is recorded");
                }
                _ => self.draft.left(*line, name, NO_SETTING),
            }
        }
    }
}

/// A folder and a name below it, of a path with variables in brackets.
fn record_path(path: &str) -> (String, String) {
    let variable = path.find('[').unwrap_or(path.len());
    let split = path[..variable].rfind('/').map_or(0, |slash| slash + 1);
    let (directory, name) = path.split_at(split);
    let directory = match directory.trim_end_matches('/') {
        "" if directory.is_empty() => ".",
        "" => "/",
        directory => directory,
    };
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let mut template = String::new();
    let (mut rest, mut has_time) = (stem, false);
    while let Some((before, after)) = rest.split_once('[') {
        let (variable, behind) = after.split_once(']').unwrap_or((after, ""));
        template.push_str(before);
        match variable {
            "app" => template.push_str("{app}"),
            "stream" => template.push_str("{name}"),
            // Years to milliseconds: all at the place of the first.
            _ if !has_time && variable != "vhost" => {
                template.push_str("{date}-{time}");
                has_time = true;
            }
            _ => {}
        }
        rest = behind;
    }
    template.push_str(rest);
    // What stood between parts of the time.
    let parts = template
        .split('/')
        .map(|part| part.trim_matches(['.', '-', '_']));
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    (directory.to_owned(), parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_variables_is_a_folder_and_a_template() {
        for (path, directory, template) in [
            (
                "./html/[app]/[stream].[timestamp].flv",
                "./html",
                "{app}/{name}.{date}-{time}",
            ),
            ("/rec/[stream].flv", "/rec", "{name}"),
            ("/[app].flv", "/", "{app}"),
            ("[app]-[stream].mp4", ".", "{app}-{name}"),
            (
                "./r/[app]/[stream]/[2006]/[01]/[02]/[15].[04].[05].[999].flv",
                "./r",
                "{app}/{name}/{date}-{time}",
            ),
            ("/a/b.flv", "/a", "b"),
        ] {
            let expected = (directory.to_owned(), template.to_owned());
            assert_eq!(record_path(path), expected, "{path}");
        }
    }
}
