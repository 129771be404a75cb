//! What a request is answered with.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Why a request came to nothing, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Code {
    /// It is no request: no JSON, a field that there is not, a value that means nothing.
    BadRequest,
    /// There is no such verb.
    UnknownVerb,
    /// It is longer than `control.request_bytes`.
    TooLong,
    /// It did not come in time.
    TimeOut,
    /// As many connections as `control.clients` allows.
    Busy,
    /// What it is about is not there, or no longer.
    NotFound,
    /// There is such a thing already.
    Conflict,
    /// A value is not allowed.
    Invalid,
    /// The server cannot do it now: it stops, or a worker does not answer.
    Unavailable,
    /// A file, or another thing of the system, failed.
    Failed,
}

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(code: Code, message: impl fmt::Display) -> Refusal {
        Refusal {
            code,
            message: message.to_string(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// An answer as it goes over the socket: one line.
pub(super) fn line(answer: Result<Value, Refusal>) -> String {
    let answer = match answer {
        Ok(result) => json!({ "ok": result }),
        Err(refusal) => json!({ "error": refusal }),
    };
    format!("{answer}\n")
}

/// The answer that a line holds; `None` if it is none.
pub(super) fn read(line: &str) -> Option<Result<Value, Refusal>> {
    let mut answer: Value = serde_json::from_str(line).ok()?;
    match answer.get_mut("ok") {
        Some(result) => Some(Ok(result.take())),
        None => Some(Err(
            serde_json::from_value(answer.get_mut("error")?.take()).ok()?
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_one_line_either_way() {
        for answer in [
            Ok(json!({"streams": ["a\nb"]})),
            Ok(Value::Null),
            Err(Refusal::new(Code::NotFound, "no such\nthing")),
        ] {
            let text = line(answer.clone());
            assert_eq!(text.matches('\n').count(), 1, "{text}");
            assert_eq!(read(&text), Some(answer));
        }
        for none in [
            "",
            "1",
            "{}",
            r#"{"error": {"code": "new_one", "message": ""}}"#,
        ] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
