//! What becomes of another server's settings: some of ours, and a list of what was left.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

use openrtmp_core::protocol::text::shown;
use openrtmp_core::{Config, Format, MAX_DOCUMENT};
use serde_json::{Value, json};

/// Elements of one list. Whoever has more makes them by a program.
const MOST_ELEMENTS: usize = 1000;

/// Programs that are told of.
const MOST_HOOKS: usize = 1000;

/// What stands above the programs that were started there.
const HOOKS: &str = "\n# Programs that were started there. A hook of ours is a program and its \
                     arguments as they are,\n# without variables: what it is about stands in its \
                     environment (OPENRTMP_APP, OPENRTMP_STREAM, ...).\n";

pub(super) const NO_SETTING: &str = "there is no such setting";
pub(super) const DELIVERY: &str =
    "every stream is delivered in HLS and DASH, see http.listen, http.preset and http.window";
pub(super) const RTMP_ALONE: &str = "RTMP alone is spoken";
pub(super) const LOGS: &str =
    "what is logged, and where to, is set by log.level, log.output and log.file";
pub(super) const SERVICE: &str = "that is for whoever starts it, see openrtmp service";
pub(super) const INCLUDE: &str = "files that are included are not read: import them, too";
pub(super) const PROXY: &str =
    "proxy_protocol needs access.trusted_proxies: the networks from which the proxies come";

/// Settings on their way from there to here.
#[derive(Default)]
pub(super) struct Draft {
    values: BTreeMap<&'static str, Named>,
    lists: BTreeMap<&'static str, Vec<Named>>,
    left: Vec<Left>,
    hooks: Vec<Hook>,
    /// How many need nothing to be set.
    held: usize,
    /// How many say again what is taken already.
    again: usize,
    /// What keeps people out there and cannot be taken over: the first, with its place. Without
    /// it there are no settings.
    opening: Option<String>,
}

/// Something of theirs, with its place.
#[derive(Clone)]
struct Named {
    line: usize,
    what: String,
    value: Value,
    /// Somebody wrote it: it does not merely follow from something.
    is_written: bool,
}

struct Left {
    line: usize,
    what: String,
    why: Cow<'static, str>,
}

struct Hook {
    line: usize,
    what: String,
    setting: Option<&'static str>,
    command: Value,
}

/// What an import gives.
#[derive(Debug)]
pub(crate) struct Imported {
    /// Settings as YAML, with what was left as comments.
    pub(crate) document: String,
    /// The same comments, a line each.
    pub(crate) left: Vec<String>,
    /// How much is what.
    pub(crate) summary: String,
}

impl Draft {
    /// Takes over a value. What was taken before for the same stays: there is one of each.
    pub(super) fn set(&mut self, line: usize, what: &str, path: &'static str, value: Value) {
        match self.values.get(path) {
            Some(before) if before.value != value => {
                let why = format!("{path} is one for all, and is as line {} says", before.line);
                self.left(line, what, why);
            }
            Some(_) => self.again += 1,
            None => {
                let named = Named {
                    line,
                    what: what.to_owned(),
                    value,
                    is_written: true,
                };
                self.values.insert(path, named);
            }
        }
    }

    /// The same of one that may not be readable as what it has to be.
    pub(super) fn set_if(
        &mut self,
        line: usize,
        what: &str,
        path: &'static str,
        value: Option<impl Into<Value>>,
    ) {
        match value {
            Some(value) => self.set(line, what, path, value.into()),
            None => self.left(line, what, "its value is none that is understood"),
        }
    }

    /// Adds to a list.
    pub(super) fn add(&mut self, line: usize, what: &str, path: &'static str, value: Value) {
        self.append(line, what, path, value, true);
    }

    /// Adds what nobody wrote there, and follows from something.
    pub(super) fn imply(&mut self, line: usize, what: &str, path: &'static str, value: Value) {
        self.append(line, what, path, value, false);
    }

    fn append(
        &mut self,
        line: usize,
        what: &str,
        path: &'static str,
        value: Value,
        is_written: bool,
    ) {
        let list = self.lists.entry(path).or_default();
        if list.iter().any(|named| named.value == value) {
            self.again += usize::from(is_written);
        } else if list.len() >= MOST_ELEMENTS {
            let why = format!("more than {MOST_ELEMENTS} of {path}");
            self.lose(line, what, path, why);
        } else {
            list.push(Named {
                line,
                what: what.to_owned(),
                value,
                is_written,
            });
        }
    }

    pub(super) fn left(&mut self, line: usize, what: &str, why: impl Into<Cow<'static, str>>) {
        let (what, why) = (shown(what).to_string(), why.into());
        self.left.push(Left { line, what, why });
    }

    /// Leaves what was to be set. What keeps people out is not merely left.
    fn lose(&mut self, line: usize, what: &str, path: &str, why: String) {
        if path.starts_with("access.") {
            self.opening.get_or_insert_with(|| {
                let what = shown(what);
                format!("line {line}: {what}: {why}; nothing is made, as others could get in")
            });
        }
        self.left(line, what, why);
    }

    /// It is so here without anything being set.
    pub(super) fn holds(&mut self) {
        self.held += 1;
    }

    /// A program that is started there, and the setting that is for such, if there is one. It
    /// is not set: it would run for every app, and with other words for what it is about.
    pub(super) fn hook(
        &mut self,
        line: usize,
        what: &str,
        setting: Option<&'static str>,
        command: Value,
    ) {
        let why = match setting {
            Some(_) => "a hook is run for every app: see the end of the file",
            None => "no program is run then: see the end of the file",
        };
        self.left(line, what, why);
        if self.hooks.len() < MOST_HOOKS {
            let what = shown(what).to_string();
            self.hooks.push(Hook {
                line,
                what,
                setting,
                command,
            });
        }
    }

    /// An address to listen on, or a port of both families.
    pub(super) fn listen(&mut self, line: usize, what: &str, address: &str, tls: bool) {
        let port = address.strip_prefix(':').unwrap_or(address);
        let addresses = match port.parse::<u16>() {
            Ok(port) => vec![format!("0.0.0.0:{port}"), format!("[::]:{port}")],
            Err(_) => vec![
                address
                    .replace("*:", "0.0.0.0:")
                    .replace("localhost:", "127.0.0.1:"),
            ],
        };
        let is_address = |a: &String| a.parse::<std::net::SocketAddr>().is_ok();
        if !addresses.iter().all(is_address) {
            self.left(line, what, "an address such as 0.0.0.0:1935 is expected");
            return;
        }
        for (number, address) in addresses.iter().enumerate() {
            let scheme = if tls { "rtmps://" } else { "" };
            let value = json!(format!("{scheme}{address}"));
            self.append(line, what, "listen", value, number == 0);
        }
    }

    /// A rule about addresses; `all`, one, or a network of which bits may be set behind its
    /// prefix.
    pub(super) fn rule(&mut self, line: usize, what: &str, rule: &Rule<'_>) -> bool {
        let Some(network) = network(rule.network) else {
            let why = "a network such as 10.0.0.0/8 is expected";
            match rule.allow {
                true => self.left(line, what, why),
                false => self.lose(line, what, "access.rules", why.to_owned()),
            }
            return false;
        };
        let mut value = json!({ if rule.allow { "allow" } else { "deny" }: network });
        if let Some(app) = rule.app {
            value["app"] = app.into();
        }
        if let Some(action) = rule.action {
            value["action"] = action.into();
        }
        self.add(line, what, "access.rules", value);
        true
    }

    /// The settings, checked; of what may not be so here, it is told why.
    pub(super) fn finish(mut self, from: &str) -> Result<Imported, String> {
        let base = Config::desktop();
        let config = loop {
            let config = self.config(&base);
            match config.validate() {
                Ok(()) => break config,
                Err(fault) if !self.leave(fault.path, fault.to_string()) => {
                    return Err(format!("{fault}: a bug"));
                }
                Err(_) => {}
            }
        };
        let config = match config.check_files() {
            Ok(()) => config,
            Err(error) => {
                self.leave_tls(&error.to_string());
                self.config(&base)
            }
        };
        if let Some(why) = self.opening {
            return Err(why);
        }
        self.left.sort_by_key(|left| left.line);
        let left = lines(&self.left);
        let mut document = format!("# Imported from {}.\n", shown(from));
        document.push_str("# What is one for all here holds for every app and stream.\n");
        if !left.is_empty() {
            document.push_str("# Left, with its lines there:\n");
        }
        for line in &left {
            // Writing to a String cannot fail.
            let _ = writeln!(document, "# - {line}");
        }
        document.push('\n');
        document.push_str(&config.dump_changes(&base, Format::Yaml));
        if !self.hooks.is_empty() {
            document.push_str(HOOKS);
        }
        for hook in &self.hooks {
            let setting = hook.setting.unwrap_or("nothing here");
            let _ = writeln!(
                document,
                "# {setting}: {} # {}, line {}",
                hook.command, hook.what, hook.line
            );
        }
        if document.len() > MAX_DOCUMENT {
            let (taken, told) = (self.lists.values().map(Vec::len).sum::<usize>(), left.len());
            return Err(format!(
                "a file of settings is at most {MAX_DOCUMENT} bytes, and this would be one of {}: \
                 {taken} elements of lists, and comments on {told} places that are left",
                document.len()
            ));
        }
        let mut read = base.clone();
        let merged = read.merge(&document, Format::Yaml);
        merged.map_err(|error| format!("what was made is not right: {error}: a bug"))?;
        let lists = self.lists.values().flatten();
        let taken = self.values.values().chain(lists).filter(|n| n.is_written);
        let taken = taken.count() + self.again;
        let (held, left_count) = (self.held, self.left.len());
        let summary = format!("{taken} taken, {held} need nothing, {left_count} left");
        Ok(Imported {
            document,
            left,
            summary,
        })
    }

    /// What can be set of it; the rest is left.
    fn config(&mut self, base: &Config) -> Config {
        let mut config = base.clone();
        let mut wrong = Vec::new();
        for (path, named) in &self.values {
            if let Err(error) = config.set(path, &named.value.to_string()) {
                wrong.push((*path, error.to_string()));
            }
        }
        for (path, why) in wrong {
            self.leave(path, why);
        }
        let mut lists = std::mem::take(&mut self.lists);
        for (path, list) in &mut lists {
            let set = |config: &mut Config, list: &[Named]| {
                let values: Value = list.iter().map(|named| named.value.clone()).collect();
                config.set(path, &values.to_string())
            };
            if list.is_empty() || set(&mut config, list).is_ok() {
                continue;
            }
            list.retain(|named| {
                let fits = set(&mut base.clone(), std::slice::from_ref(named));
                fits.map_err(|error| {
                    self.lose(named.line, &named.what, path, error.to_string());
                })
                .is_ok()
            });
            if let Err(error) = set(&mut config, list) {
                for named in list.drain(..) {
                    self.lose(named.line, &named.what, path, error.to_string());
                }
            }
        }
        self.lists = lists;
        config
    }

    /// Leaves all of TLS: its files are not here, or not right. It may be so on the machine
    /// for which this is.
    fn leave_tls(&mut self, error: &str) {
        let named = self.values.get("tls.certificate");
        let named = named.map_or(Value::Null, |named| named.value.clone());
        let why = format!("{error}; where it is, set tls.certificate ({named}) and tls.key");
        for path in ["tls.key", "tls.certificate"] {
            self.leave(path, why.clone());
        }
        let listeners = self.lists.remove("listen").unwrap_or_default();
        let (tls, plain): (Vec<_>, _) = listeners.into_iter().partition(|named| {
            named
                .value
                .as_str()
                .is_some_and(|a| a.starts_with("rtmps://"))
        });
        for named in tls {
            let why = format!(
                "there is no certificate: add {} to listen then",
                named.value
            );
            self.left(named.line, &named.what, why);
        }
        self.lists.insert("listen", plain);
    }

    /// Leaves what was taken after all. False if nothing was.
    fn leave(&mut self, path: &str, why: String) -> bool {
        if let Some(named) = self.values.remove(path) {
            self.lose(named.line, &named.what, path, why);
            return true;
        }
        let list = self.lists.remove(path).unwrap_or_default();
        for named in &list {
            self.lose(named.line, &named.what, path, why.clone());
        }
        !list.is_empty()
    }
}

/// A rule about addresses.
pub(super) struct Rule<'a> {
    pub(super) allow: bool,
    pub(super) network: &'a str,
    pub(super) app: Option<&'a str>,
    pub(super) action: Option<&'static str>,
}

/// A network as we write it: without bits behind its prefix.
fn network(text: &str) -> Option<String> {
    if text == "all" {
        return Some("::/0".to_owned());
    }
    let Some((address, prefix)) = text.split_once('/') else {
        return text
            .parse::<std::net::IpAddr>()
            .ok()
            .map(|ip| ip.to_string());
    };
    let prefix: u32 = prefix.parse().ok()?;
    match address.parse().ok()? {
        std::net::IpAddr::V4(ip) if prefix <= 32 => {
            let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or_default();
            let first = std::net::Ipv4Addr::from_bits(ip.to_bits() & mask);
            Some(format!("{first}/{prefix}"))
        }
        std::net::IpAddr::V6(ip) if prefix <= 128 => {
            let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or_default();
            let first = std::net::Ipv6Addr::from_bits(ip.to_bits() & mask);
            Some(format!("{first}/{prefix}"))
        }
        _ => None,
    }
}

/// A line for each run of things that are left for the same reason.
fn lines(left: &[Left]) -> Vec<String> {
    let runs = left.chunk_by(|a, b| a.why == b.why);
    let told = runs.map(|run| {
        let (first, last) = (&run[0], &run[run.len() - 1]);
        let place = match first.line == last.line {
            true => format!("line {}", first.line),
            false => format!("lines {} to {}", first.line, last.line),
        };
        let mut names: Vec<&str> = run.iter().map(|left| left.what.as_str()).collect();
        names.dedup();
        let names = names.join(", ");
        // What a fault says may quote a value.
        let why: String = first.why.chars().filter(|c| !c.is_control()).collect();
        format!("{place}: {names}: {why}")
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_written_without_bits_behind_their_prefix() {
        for (text, expected) in [
            ("all", Some("::/0")),
            ("127.0.0.1", Some("127.0.0.1")),
            ("10.1.2.3/8", Some("10.0.0.0/8")),
            ("2001:db8::1/32", Some("2001:db8::/32")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("10.0.0.0/33", None),
            ("unix:", None),
        ] {
            assert_eq!(network(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn nothing_is_made_without_what_keeps_people_out() {
        let denied = |network: String| json!({ "deny": network });
        let mut many = Draft::default();
        for n in 0..MOST_ELEMENTS {
            let network = format!("10.0.{}.{}", n / 256, n % 256);
            many.add(1, "deny", "access.rules", denied(network));
        }
        many.imply(2, "application", "access.rules", denied("::/0".to_owned()));
        let mut odd = Draft::default();
        odd.add(
            2,
            "deny",
            "access.rules",
            json!({"deny": "::/0", "app": "a%41"}),
        );
        let mut unread = Draft::default();
        let rule = Rule {
            allow: false,
            network: "a.example",
            app: None,
            action: None,
        };
        unread.rule(2, "deny", &rule);
        let mut asked = Draft::default();
        asked.set(
            2,
            "on_publish",
            "access.callback.url",
            json!("http://h:99999/"),
        );
        for draft in [many, odd, unread, asked] {
            let error = draft.finish("x").expect_err("it would be open");
            assert!(error.starts_with("line 2: "), "{error}");
            assert!(error.ends_with("as others could get in"), "{error}");
        }
    }

    #[test]
    fn what_is_too_long_is_said() {
        let mut draft = Draft::default();
        for line in 0..20_000 {
            let what = format!("directive number {line} and so on");
            draft.left(line, &what, format!("for reason {line}"));
        }
        let error = draft.finish("x").expect_err("it is too long");
        assert!(
            error.contains("at most 1048576 bytes") && !error.contains("a bug"),
            "{error}"
        );
    }

    #[test]
    fn what_may_not_be_set_is_left_with_its_place_and_the_rest_is_taken() {
        let mut draft = Draft::default();
        draft.set(3, "chunk_size", "rtmp.chunk_size", json!(64));
        draft.set(4, "max", "limits.connections", json!(7));
        draft.set(5, "max", "limits.connections", json!(8));
        draft.add(
            6,
            "push",
            "relay.push",
            json!({"match": "a/*", "to": "rtmp://h/{app}/{name}"}),
        );
        draft.add(
            7,
            "push",
            "relay.push",
            json!({"match": "a/*", "to": "rtmp://{h}/a"}),
        );
        draft.left(9, "a\nb", NO_SETTING);
        let made = draft.finish("x\nlisten: 7").expect("settings");
        assert_eq!(made.summary, "2 taken, 0 need nothing, 4 left");
        assert_eq!(made.left.len(), 4, "{:?}", made.left);
        assert!(
            made.left[0].starts_with("line 3: chunk_size: "),
            "{:?}",
            made.left
        );
        assert!(made.left[1].ends_with("as line 4 says"), "{:?}", made.left);
        let mut config = Config::desktop();
        config.merge(&made.document, Format::Yaml).expect("right");
        assert_eq!(config.limits.connections, 7);
        assert_eq!(config.relay.push.len(), 1);
        assert_eq!(config.listen, Config::desktop().listen);
    }
}
