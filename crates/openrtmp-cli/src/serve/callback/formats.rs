//! In whose words an HTTP server is asked, and what its answer says.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use openrtmp_core::CallbackFormat;
use openrtmp_core::protocol::text::shown;
use serde_json::{Value, json};

/// Something to ask about or to tell of.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(Default))]
pub(super) struct Matter {
    /// One of [`CallbackConfig::EVENTS`](openrtmp_core::CallbackConfig::EVENTS).
    pub(super) event: &'static str,
    /// `rtmp` or `rtmps`; of what is over nobody asks any more.
    pub(super) protocol: &'static str,
    pub(super) connection: Option<u64>,
    pub(super) app: String,
    /// Without its app; empty for `connect`.
    pub(super) name: String,
    /// Without `?`. It may hold a key.
    pub(super) query: String,
    /// The URL of the app as the peer has it. It may hold a key.
    pub(super) tc_url: String,
    /// The user that it showed to be.
    pub(super) user: Option<Arc<str>>,
    /// What the peer says that it is.
    pub(super) client: Arc<str>,
    /// What is asked about again, with `update`.
    pub(super) update: Option<Update>,
    pub(super) address: Option<SocketAddr>,
    /// Of a recording.
    pub(super) file: Option<String>,
}

/// What goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Update {
    /// `publish` or `play`.
    pub(super) of: &'static str,
    /// Since it was granted.
    pub(super) seconds: u64,
}

/// What to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) content_type: &'static str,
    pub(super) text: String,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was not asked.
    Unasked,
    /// It may, perhaps under another name.
    Allowed(Option<String>),
    /// It may not, for this reason.
    Refused(String),
    /// It says nothing that could be understood.
    Garbage(String),
}

impl Matter {
    /// Nobody waits for what is said to it.
    pub(super) fn is_notice(&self) -> bool {
        self.event.ends_with("_done")
    }

    fn ip(&self) -> String {
        let ip = self.address.map(|address| address.ip().to_canonical());
        ip.map_or(String::new(), |ip| ip.to_string())
    }
}

/// How a matter is put; `None` where a format has no words for it.
pub(super) fn body(format: CallbackFormat, matter: &Matter) -> Option<Body> {
    let json = |value: Value| Body {
        content_type: "application/json",
        text: value.to_string(),
    };
    match format {
        CallbackFormat::Nginx => Some(Body {
            content_type: "application/x-www-form-urlencoded",
            text: nginx(matter),
        }),
        CallbackFormat::Srs => srs(matter).map(json),
        CallbackFormat::Mediamtx => mediamtx(matter).map(json),
        _ => Some(json(own(matter))),
    }
}

fn own(matter: &Matter) -> Value {
    let mut value = json!({
        "action": matter.event,
        "connection": matter.connection,
        "app": matter.app,
        "stream": matter.name,
        "address": matter.address.map(|address| address.to_string()),
    });
    if !matter.is_notice() {
        value["protocol"] = matter.protocol.into();
        value["query"] = matter.query.clone().into();
        value["tc_url"] = matter.tc_url.clone().into();
        value["user"] = matter.user.as_deref().into();
        value["client"] = (&*matter.client).into();
    }
    if let Some(update) = matter.update {
        value["of"] = update.of.into();
        value["seconds"] = update.seconds.into();
    }
    if let Some(file) = &matter.file {
        value["file"] = file.clone().into();
    }
    value
}

/// The fields of nginx-rtmp's notify module, and behind them the arguments of the URL, as
/// there. None of these may take the place of a field.
fn nginx(matter: &Matter) -> String {
    let connection = matter.connection.map(|id| id.to_string());
    let call = match matter.update {
        Some(update) => format!("update_{}", update.of),
        None => matter.event.to_owned(),
    };
    let mut fields = vec![
        ("call", call),
        ("app", matter.app.clone()),
        ("addr", matter.ip()),
        ("clientid", connection.unwrap_or_default()),
    ];
    if matter.event != "connect" {
        fields.push(("name", matter.name.clone()));
    }
    if !matter.is_notice() {
        fields.push(("flashver", (*matter.client).to_owned()));
        fields.push(("tcurl", matter.tc_url.clone()));
    }
    if matter.event == "publish" {
        fields.push(("type", "live".to_owned()));
    }
    if let Some(update) = matter.update {
        fields.push(("time", update.seconds.to_string()));
    }
    if let Some(file) = &matter.file {
        fields.push(("path", file.clone()));
    }
    let mut text = String::new();
    for (name, value) in &fields {
        let join = if text.is_empty() { "" } else { "&" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{join}{name}={}", encoded(value, ""));
    }
    for argument in matter.query.split('&').filter(|a| !a.is_empty()) {
        let name = argument.split('=').next().unwrap_or_default();
        // However it is written.
        let is_plain = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        if is_plain
            && fields
                .iter()
                .all(|(field, _)| !name.eq_ignore_ascii_case(field))
        {
            let _ = write!(text, "&{}", encoded(argument, "=%+"));
        }
    }
    text
}

/// Percent-encoded (RFC 3986 section 2.1), but for unreserved characters and these.
fn encoded(text: &str, kept: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric()
            || b"-._~".contains(&byte)
            || kept.as_bytes().contains(&byte)
        {
            true => out.push(byte.into()),
            false => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// What SRS posts to its HTTP hooks.
fn srs(matter: &Matter) -> Option<Value> {
    let action = match matter.event {
        "connect" => "on_connect",
        "publish" => "on_publish",
        "play" => "on_play",
        "publish_done" => "on_unpublish",
        "play_done" => "on_stop",
        "record_done" => "on_dvr",
        _ => return None,
    };
    let tc_url = match matter.tc_url.as_str() {
        "" => format!("{}://__defaultVhost__/{}", matter.protocol, matter.app),
        said => said.to_owned(),
    };
    let param = match matter.query.as_str() {
        "" => String::new(),
        query => format!("?{query}"),
    };
    let mut value = json!({
        "server_id": "openrtmp",
        "action": action,
        "client_id": matter.connection.map_or(String::new(), |id| id.to_string()),
        "ip": matter.ip(),
        "vhost": "__defaultVhost__",
        "app": matter.app,
        "tcUrl": tc_url,
    });
    if matter.event != "connect" {
        value["stream"] = matter.name.clone().into();
        value["param"] = param.into();
    }
    if let Some(file) = &matter.file {
        value["file"] = file.clone().into();
    }
    Some(value)
}

/// What MediaMTX posts to `authHTTPAddress`. It knows of publishing and of reading alone.
fn mediamtx(matter: &Matter) -> Option<Value> {
    let action = match matter.event {
        "publish" => "publish",
        "play" => "read",
        _ => return None,
    };
    let argument = |name: &str| {
        let mut pairs = matter
            .query
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        let found = pairs.find(|(of, _)| *of == name);
        found.map_or("", |(_, value)| value)
    };
    Some(json!({
        "user": matter.user.as_deref().unwrap_or(argument("user")),
        "password": argument("pass"),
        "token": argument("token"),
        "ip": matter.ip(),
        "action": action,
        "path": format!("{}/{}", matter.app, matter.name),
        "protocol": matter.protocol,
        "id": matter.connection.map_or(String::new(), |id| id.to_string()),
        "query": matter.query,
    }))
}

/// What an answer says: its status, its Location, what was read of its body.
pub(super) fn verdict(
    format: CallbackFormat,
    status: u16,
    location: Option<&str>,
    body: &[u8],
) -> Verdict {
    match status {
        200..=299 if format == CallbackFormat::Srs => match srs_code(body) {
            Some(0) => Verdict::Allowed(None),
            Some(code) => Verdict::Refused(reason(body, &format!("code {code}"))),
            None => Verdict::Garbage("an answer that is no code".to_owned()),
        },
        200..=299 => Verdict::Allowed(None),
        300..=399 => match location {
            Some(to) if to.starts_with("rtmp://") || to.starts_with("rtmps://") => {
                let reason = "the callback sends to another server, which is not done";
                Verdict::Refused(reason.to_owned())
            }
            Some(name) if is_plain_name(name) => Verdict::Allowed(Some(name.to_owned())),
            _ => Verdict::Garbage(format!("status {status}, which is not followed")),
        },
        400..=499 => Verdict::Refused(reason(body, "refused")),
        _ => Verdict::Garbage(format!("status {status}")),
    }
}

/// SRS takes a number, or an object with one.
fn srs_code(body: &[u8]) -> Option<i64> {
    let value: Value = serde_json::from_slice(body).ok()?;
    value.as_i64().or_else(|| value.get("code")?.as_i64())
}

fn is_plain_name(name: &str) -> bool {
    let special = |c: char| c.is_control() || "/?#&%: ".contains(c);
    !name.is_empty() && name.len() <= 255 && !name.contains(special) && !name.starts_with('.')
}

/// What the peer is told: the first line of a plain text, or what JSON calls a reason.
fn reason(body: &[u8], otherwise: &str) -> String {
    let text = String::from_utf8_lossy(body);
    let value: Option<Value> = serde_json::from_str(&text).ok();
    let named = value.as_ref().and_then(|value| {
        let mut names = ["reason", "error", "message", "msg"].iter();
        names.find_map(|name| value.get(name)?.as_str())
    });
    let line = match (named, &value) {
        (Some(named), _) => named,
        (None, Some(_)) => "",
        (None, None) => text.lines().next().unwrap_or_default(),
    };
    let line = line.trim();
    match line.is_empty() || line.starts_with('<') {
        true => otherwise.to_owned(),
        false => shown(line).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matter(event: &'static str) -> Matter {
        Matter {
            event,
            protocol: "rtmp",
            connection: Some(7),
            app: "live".to_owned(),
            name: "a b".to_owned(),
            tc_url: "rtmp://host/live?key=K1".to_owned(),
            user: None,
            client: "FMLE/3.0".into(),
            update: None,
            query: "key=K1&addr=10.0.0.1&call=play&x=1 2&user=u&pass=p".to_owned(),
            address: Some("[::ffff:192.0.2.7]:4000".parse().expect("an address")),
            file: None,
        }
    }

    fn text(format: CallbackFormat, event: &'static str) -> String {
        body(format, &matter(event))
            .expect("it has words for it")
            .text
    }

    #[test]
    fn each_format_has_its_words() {
        let own: Value =
            serde_json::from_str(&text(CallbackFormat::Json, "publish")).expect("JSON");
        assert_eq!(own["action"], "publish");
        assert_eq!(
            (&own["app"], &own["stream"]),
            (&json!("live"), &json!("a b"))
        );
        assert_eq!(own["query"], matter("publish").query);
        assert_eq!(own["tc_url"], "rtmp://host/live?key=K1");
        assert_eq!(
            (&own["user"], &own["client"]),
            (&Value::Null, &json!("FMLE/3.0"))
        );
        assert_eq!(
            text(CallbackFormat::Nginx, "publish"),
            "call=publish&app=live&addr=192.0.2.7&clientid=7&name=a%20b\
             &flashver=FMLE%2F3.0&tcurl=rtmp%3A%2F%2Fhost%2Flive%3Fkey%3DK1&type=live\
             &key=K1&x=1%202&user=u&pass=p"
        );
        let update = Matter {
            event: "update",
            user: Some("ann".into()),
            update: Some(Update {
                of: "play",
                seconds: 30,
            }),
            ..matter("play")
        };
        let of = |format| body(format, &update).expect("it has words for it").text;
        let own: Value = serde_json::from_str(&of(CallbackFormat::Json)).expect("JSON");
        assert_eq!(
            (&own["action"], &own["of"]),
            (&json!("update"), &json!("play"))
        );
        assert_eq!((&own["seconds"], &own["user"]), (&json!(30), &json!("ann")));
        let nginx = of(CallbackFormat::Nginx);
        assert!(nginx.starts_with("call=update_play&app=live&"), "{nginx}");
        assert!(nginx.contains("&time=30&"), "{nginx}");
        for format in [CallbackFormat::Srs, CallbackFormat::Mediamtx] {
            assert_eq!(body(format, &update), None);
        }
        let srs: Value =
            serde_json::from_str(&text(CallbackFormat::Srs, "play_done")).expect("JSON");
        assert_eq!(srs["action"], "on_stop");
        assert_eq!(srs["ip"], "192.0.2.7");
        let mtx: Value =
            serde_json::from_str(&text(CallbackFormat::Mediamtx, "play")).expect("JSON");
        assert_eq!(
            (&mtx["action"], &mtx["path"]),
            (&json!("read"), &json!("live/a b"))
        );
        assert_eq!((&mtx["user"], &mtx["password"]), (&json!("u"), &json!("p")));
        assert_eq!(body(CallbackFormat::Mediamtx, &matter("connect")), None);
    }

    #[test]
    fn an_answer_allows_refuses_renames_or_says_nothing() {
        use CallbackFormat::{Json, Nginx, Srs};
        let allowed = Verdict::Allowed(None);
        let refused = |text: &str| Verdict::Refused(text.to_owned());
        for (format, status, location, body, expected) in [
            (Json, 200, None, &b""[..], allowed.clone()),
            (Nginx, 204, None, b"anything", allowed.clone()),
            (
                Nginx,
                302,
                Some("other"),
                b"",
                Verdict::Allowed(Some("other".to_owned())),
            ),
            (
                Json,
                403,
                None,
                b"no such key\nand more",
                refused("no such key"),
            ),
            (
                Json,
                401,
                None,
                br#"{"reason": "not today"}"#,
                refused("not today"),
            ),
            (Json, 404, None, b"<html>", refused("refused")),
            (Json, 404, None, b"a\x1b[2Jb", refused("a\\u{1b}[2Jb")),
            (Srs, 200, None, b"0", allowed.clone()),
            (Srs, 200, None, br#"{"code": 0, "msg": "fine"}"#, allowed),
            (
                Srs,
                200,
                None,
                br#"{"code": 9, "msg": "no"}"#,
                refused("no"),
            ),
            (Srs, 200, None, b"1", refused("code 1")),
        ] {
            assert_eq!(verdict(format, status, location, body), expected);
        }
        let elsewhere = verdict(Nginx, 302, Some("rtmp://h/live/a"), b"");
        assert!(matches!(elsewhere, Verdict::Refused(_)));
        for (format, status, location, body) in [
            (Json, 302, Some("http://h/other"), &b""[..]),
            (Json, 302, Some("../other"), b""),
            (Json, 302, Some("a?key=b"), b""),
            (Json, 301, None, b""),
            (Json, 500, None, b"no such key"),
            (Json, 101, None, b""),
            (Srs, 200, None, b"OK"),
            (Srs, 200, None, b""),
        ] {
            let verdict = verdict(format, status, location, body);
            assert!(
                matches!(verdict, Verdict::Garbage(_)),
                "{status} {location:?}: {verdict:?}"
            );
        }
    }
}
