//! What `connect` says, and what its answer says.

use super::ConnectRequest;
use crate::amf::{Object, Value};
use crate::command::{Status, code};
use crate::session::{AuthRequest, Capabilities, route};

/// Version and capabilities that clients know from other servers; some parse
/// the version and take what it is for a condition.
const FMS_VERSION: &str = "FMS/3,5,7,7009";
const FMS_CAPABILITIES: f64 = 31.0;

impl ConnectRequest {
    /// Reads the command object of `connect`. Tolerates quotes, queries and
    /// slashes wherever clients put them.
    pub(super) fn from_object(object: Object) -> ConnectRequest {
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        let tc_url = unquoted(text("tcUrl").or_else(|| text("tcurl")).unwrap_or_default());
        let (tc_path, tc_query) = split_query(tc_url);
        let (app, app_query) = match text("app") {
            Some(app) => split_query(unquoted(app)),
            None => (path_of(tc_path), ""),
        };
        let mut query = join_queries(&[app_query, tc_query]);
        let auth = AuthRequest::take(&mut query);
        let mut tc_query = tc_query.to_owned();
        AuthRequest::take(&mut tc_query);
        let join = if tc_query.is_empty() { "" } else { "?" };
        ConnectRequest {
            app: unquoted(app).trim_matches('/').to_owned(),
            tc_url: format!("{tc_path}{join}{tc_query}").into(),
            query: query.into(),
            flash_version: text("flashVer").unwrap_or_default().to_owned(),
            capabilities: Capabilities::from_object(&object),
            via: route::read_via(&object),
            auth,
            object,
        }
    }

    /// Whether it says that it will publish, as encoders do: by `type` (`nonprivate`), or
    /// as Adobe's encoder. What is neither plays, as far as anybody can tell.
    pub fn announces_publish(&self) -> bool {
        self.object.get("type").and_then(Value::as_str) == Some("nonprivate")
            || self.flash_version.starts_with("FMLE/")
    }

    /// `objectEncoding`: 0 or 3; AMF0 if the client does not say.
    pub(super) fn object_encoding(&self) -> f64 {
        let encoding = self.object.get("objectEncoding").and_then(Value::as_f64);
        encoding.filter(|encoding| *encoding == 3.0).unwrap_or(0.0)
    }
}

/// Properties and information of the `_result` of `connect` (section 7.2.1.1). `id` is
/// told to relays.
pub(super) fn connect_result(object_encoding: f64, id: Option<u64>) -> (Value, Value) {
    let mut properties = Object::new()
        .with("fmsVer", FMS_VERSION)
        .with("capabilities", FMS_CAPABILITIES)
        .with("mode", 1.0);
    Capabilities::server().write_to(&mut properties);
    if let Some(id) = id {
        properties = route::write_id(properties, id);
    }
    let information = Status::status(code::CONNECT_SUCCESS, "Connection succeeded.")
        .to_object()
        .with("objectEncoding", object_encoding);
    (properties.into(), information.into())
}

/// A text and what follows its first `?`.
pub(super) fn split_query(text: &str) -> (&str, &str) {
    text.split_once('?').unwrap_or((text, ""))
}

/// Queries joined with `&`, each once: clients repeat the app's in tcUrl.
pub(super) fn join_queries(queries: &[&str]) -> String {
    let mut parts = Vec::new();
    for &part in queries {
        if !part.is_empty() && !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts.join("&")
}

/// Without the quotes and spaces that some encoders put around what users typed.
fn unquoted(text: &str) -> &str {
    text.trim_matches(|c: char| c == '"' || c == '\'' || c.is_whitespace())
}

/// The path of a URL without its query.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split_once('/').map_or("", |(_, path)| path)
}
