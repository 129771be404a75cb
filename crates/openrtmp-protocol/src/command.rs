//! Commands, their answers and status codes.

use crate::AmfLimits;
use crate::amf::{AmfError, AmfErrorKind, Decoder, Encoder, Encoding, Object, Value};

/// One command message: name, transaction id, command object, arguments. Closed on purpose: a
/// message has these four parts, and whoever sends one says each.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// Name, for example `connect`.
    pub name: String,
    /// Transaction id; 0 means no answer is wanted.
    pub transaction: f64,
    /// The command object, often Null.
    pub object: Value,
    /// What follows.
    pub arguments: Vec<Value>,
}

impl Command {
    /// Reads the body of a message of type 20, or of type 17 after its format byte.
    ///
    /// Only the name is required. A transaction id that is missing, null or
    /// undefined is 0, a missing command object Null.
    ///
    /// # Errors
    /// If the body is not AMF, exceeds a limit, or does not begin with a
    /// string and a number.
    pub fn decode(payload: &[u8], limits: &AmfLimits) -> Result<Command, AmfError> {
        let mut decoder = Decoder::new(payload, limits);
        let mut command = Command::read_head(&mut decoder)?;
        command.read_body(&mut decoder, usize::MAX)?;
        Ok(command)
    }

    /// Reads name and transaction id from the front of a message. Whoever does not
    /// know the name need not read on.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn read_head(decoder: &mut Decoder<'_>) -> Result<Command, AmfError> {
        let Value::String(name) = decoder.value()? else {
            return Err(expected("a command name", 0));
        };
        let at = decoder.position();
        let transaction = match next_or_null(decoder)? {
            Value::Null | Value::Undefined => 0.0,
            value => value
                .as_f64()
                .ok_or_else(|| expected("a transaction id", at))?,
        };
        Ok(Command {
            name,
            transaction,
            object: Value::Null,
            arguments: Vec::new(),
        })
    }

    /// Reads, behind [`read_head`](Self::read_head), the command object and at most
    /// so many arguments.
    ///
    /// # Errors
    /// Of the first value that cannot be read; those in front of it are there.
    pub fn read_body(&mut self, decoder: &mut Decoder<'_>, most: usize) -> Result<(), AmfError> {
        self.object = next_or_null(decoder)?;
        while !decoder.is_empty() && self.arguments.len() < most {
            self.arguments.push(decoder.value()?);
        }
        Ok(())
    }

    /// The body in an encoding; AMF3 bodies start with the format byte 0.
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        let mut encoder = Encoder::new(encoding);
        encoder.value(&Value::from(self.name.as_str()));
        encoder.value(&Value::Number(self.transaction));
        encoder.value(&self.object);
        for argument in &self.arguments {
            encoder.value(argument);
        }
        let mut body = encoder.finish();
        if encoding == Encoding::Amf3 {
            body.insert(0, 0);
        }
        body
    }

    /// `_result` of a transaction.
    pub fn result(transaction: f64, object: Value, argument: Value) -> Command {
        Command {
            name: "_result".into(),
            transaction,
            object,
            arguments: vec![argument],
        }
    }

    /// `_error` of a transaction with a status object.
    pub fn error(transaction: f64, status: &Status) -> Command {
        Command::error_with(transaction, status.to_object())
    }

    /// The same with more in it than a status.
    pub(crate) fn error_with(transaction: f64, information: Object) -> Command {
        Command {
            name: "_error".into(),
            transaction,
            object: Value::Null,
            arguments: vec![information.into()],
        }
    }

    /// `onStatus`, transaction 0.
    pub fn on_status(status: &Status) -> Command {
        Command {
            name: "onStatus".into(),
            transaction: 0.0,
            object: Value::Null,
            arguments: vec![status.to_object().into()],
        }
    }
}

fn next_or_null(decoder: &mut Decoder<'_>) -> Result<Value, AmfError> {
    match decoder.is_empty() {
        true => Ok(Value::Null),
        false => decoder.value(),
    }
}

fn expected(what: &'static str, offset: usize) -> AmfError {
    AmfError {
        kind: AmfErrorKind::Expected(what),
        offset,
        depth: 0,
    }
}

/// A status object: level, code, description. Closed on purpose: whoever sends one says each
/// part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Level.
    pub level: Level,
    /// A code of [`code`].
    pub code: String,
    /// Text for people.
    pub description: String,
}

/// Level of a [`Status`]. Closed on purpose: the wire has no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// `status`
    Status,
    /// `warning`
    Warning,
    /// `error`
    Error,
}

impl Level {
    /// The word of the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Status => "status",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

impl Status {
    /// A status of level `status`.
    #[expect(
        clippy::self_named_constructors,
        reason = "named by its level, as `error` is"
    )]
    pub fn status(code: &str, description: impl Into<String>) -> Status {
        Status {
            level: Level::Status,
            code: code.to_owned(),
            description: description.into(),
        }
    }

    /// A status of level `error`.
    pub fn error(code: &str, description: impl Into<String>) -> Status {
        Status {
            level: Level::Error,
            code: code.to_owned(),
            description: description.into(),
        }
    }

    /// As the AMF object peers expect.
    pub fn to_object(&self) -> Object {
        Object::new()
            .with("level", self.level.as_str())
            .with("code", self.code.as_str())
            .with("description", self.description.as_str())
    }

    /// Reads the object of an `onStatus` or `_error`; missing members are
    /// empty, a missing or unknown level is `status`. A bare string, which some
    /// servers send, is the description.
    pub fn from_value(value: &Value) -> Status {
        let text = |name| {
            let member = value.as_object().and_then(|object| object.get(name));
            member.and_then(Value::as_str).unwrap_or_default()
        };
        Status {
            level: match text("level") {
                "error" => Level::Error,
                "warning" => Level::Warning,
                _ => Level::Status,
            },
            code: text("code").to_owned(),
            description: value
                .as_str()
                .unwrap_or_else(|| text("description"))
                .to_owned(),
        }
    }
}

/// Status codes.
pub mod code {
    #![allow(missing_docs)]
    pub const CONNECT_SUCCESS: &str = "NetConnection.Connect.Success";
    pub const CONNECT_REJECTED: &str = "NetConnection.Connect.Rejected";
    pub const CONNECT_LOOP: &str = "NetConnection.Connect.Loop";
    pub const CONNECT_FAILED: &str = "NetConnection.Connect.Failed";
    pub const CONNECT_CLOSED: &str = "NetConnection.Connect.Closed";
    pub const CONNECT_APP_SHUTDOWN: &str = "NetConnection.Connect.AppShutdown";
    pub const CONNECT_INVALID_APP: &str = "NetConnection.Connect.InvalidApp";
    pub const CONNECT_RECONNECT_REQUEST: &str = "NetConnection.Connect.ReconnectRequest";
    pub const CALL_FAILED: &str = "NetConnection.Call.Failed";
    pub const PUBLISH_START: &str = "NetStream.Publish.Start";
    pub const PUBLISH_BAD_NAME: &str = "NetStream.Publish.BadName";
    pub const PUBLISH_UNAUTHORIZED: &str = "NetStream.Publish.Unauthorized";
    pub const UNPUBLISH_SUCCESS: &str = "NetStream.Unpublish.Success";
    pub const PLAY_RESET: &str = "NetStream.Play.Reset";
    pub const PLAY_START: &str = "NetStream.Play.Start";
    pub const PLAY_STOP: &str = "NetStream.Play.Stop";
    pub const PLAY_COMPLETE: &str = "NetStream.Play.Complete";
    pub const PLAY_STREAM_NOT_FOUND: &str = "NetStream.Play.StreamNotFound";
    pub const PLAY_NO_SUPPORTED_TRACK: &str = "NetStream.Play.NoSupportedTrackFound";
    pub const PLAY_FAILED: &str = "NetStream.Play.Failed";
    pub const PLAY_PUBLISH_NOTIFY: &str = "NetStream.Play.PublishNotify";
    pub const PLAY_UNPUBLISH_NOTIFY: &str = "NetStream.Play.UnpublishNotify";
    pub const PAUSE_NOTIFY: &str = "NetStream.Pause.Notify";
    pub const UNPAUSE_NOTIFY: &str = "NetStream.Unpause.Notify";
    pub const SEEK_NOTIFY: &str = "NetStream.Seek.Notify";
    pub const DATA_START: &str = "NetStream.Data.Start";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amf::tests::golden::{COMMANDS, vector};

    fn golden(name: &str) -> Vec<u8> {
        vector(COMMANDS, name)
    }

    fn decode(payload: &[u8]) -> Result<Command, AmfError> {
        Command::decode(payload, &AmfLimits::default())
    }

    fn command(name: &str, transaction: f64, object: Value, arguments: &[Value]) -> Command {
        Command {
            name: name.to_owned(),
            transaction,
            object,
            arguments: arguments.to_vec(),
        }
    }

    #[test]
    fn golden_commands_read_and_write() {
        let connect = Object::new()
            .with("app", "live")
            .with("objectEncoding", 3.0);
        for (name, expected) in [
            ("connect", command("connect", 1.0, connect.into(), &[])),
            (
                "create_stream",
                command("createStream", 2.0, Value::Null, &[]),
            ),
            (
                "publish",
                command("publish", 0.0, Value::Null, &["cam".into(), "live".into()]),
            ),
            ("on_status", Command::on_status(&Status::error("A.B", "no"))),
        ] {
            let bytes = golden(name);
            assert_eq!(decode(&bytes).as_ref(), Ok(&expected), "{name}");
            assert_eq!(expected.encode(Encoding::Amf0), bytes, "{name}");
        }
    }

    #[test]
    fn amf3_commands_begin_with_a_format_byte_and_switch_where_they_must() {
        let expected = Command::on_status(&Status::error("A.B", "no"));
        let bytes = golden("on_status_amf3");
        assert_eq!(expected.encode(Encoding::Amf3), bytes);
        assert_eq!(decode(&bytes[1..]), Ok(expected));
    }

    #[test]
    fn commands_with_every_value_in_amf3_are_read() {
        let expected = command("publish", 5.0, Value::Null, &["cam".into(), "cam".into()]);
        assert_eq!(decode(&golden("publish_all_amf3")), Ok(expected));
    }

    #[test]
    fn only_the_name_is_required() {
        let whole = golden("create_stream");
        let expected = |transaction| Ok(command("createStream", transaction, Value::Null, &[]));
        let (name, transaction) = (15, 15 + 9);
        assert_eq!(decode(&whole[..name]), expected(0.0));
        assert_eq!(decode(&whole[..transaction]), expected(2.0));
        for nothing in [0x05, 0x06] {
            let body = [&whole[..name], &[nothing]].concat();
            assert_eq!(decode(&body), expected(0.0));
        }
    }

    #[test]
    fn what_is_no_command_is_an_error_that_says_where() {
        let error = |payload: &[u8]| decode(payload).expect_err("no command");
        assert_eq!(error(&[]).kind, AmfErrorKind::Truncated);
        assert_eq!(error(&[0x05]), expected("a command name", 0));
        let body = [&golden("create_stream")[..15], &[0x01, 0x01]].concat();
        assert_eq!(error(&body), expected("a transaction id", 15));
        let cut = golden("publish");
        let cut = &cut[..cut.len() - 1];
        assert_eq!(error(cut).kind, AmfErrorKind::Truncated);
    }

    #[test]
    fn what_stands_before_a_fault_is_read() {
        let limits = AmfLimits::default();
        let read = |bytes: &[u8], most: usize| {
            let mut decoder = Decoder::new(bytes, &limits);
            let mut command = Command::read_head(&mut decoder).expect("a head");
            let fault = command.read_body(&mut decoder, most).err();
            (command.arguments, fault.map(|fault| fault.kind))
        };
        let whole = golden("publish");
        let cam = Value::from("cam");
        assert_eq!(
            read(&whole[..whole.len() - 1], 4),
            (vec![cam.clone()], Some(AmfErrorKind::Truncated))
        );
        let padded = [&whole[..], &[0x2A]].concat();
        let both = vec![cam, "live".into()];
        assert_eq!(
            read(&padded, 4),
            (both.clone(), Some(AmfErrorKind::Marker(0x2A)))
        );
        assert_eq!(read(&padded, 2), (both, None), "the rest is not looked at");
    }

    #[test]
    fn a_status_reads_back_from_its_object() {
        for level in [Level::Status, Level::Warning, Level::Error] {
            let status = Status {
                level,
                code: code::PUBLISH_START.to_owned(),
                description: "cam is live".to_owned(),
            };
            assert_eq!(Status::from_value(&status.to_object().into()), status);
        }
    }

    #[test]
    fn a_status_is_read_from_whatever_a_peer_sends() {
        assert_eq!(Status::from_value(&Value::Null), Status::status("", ""));
        assert_eq!(
            Status::from_value(&"no such app".into()),
            Status::status("", "no such app")
        );
        let odd = Object::new()
            .with("level", "fatal")
            .with("code", 5.0)
            .with("description", "x");
        assert_eq!(
            Status::from_value(&Value::EcmaArray(odd)),
            Status::status("", "x")
        );
    }

    #[test]
    fn answers_carry_the_transaction() {
        let result = Command::result(4.0, Value::Null, Value::Number(1.0));
        assert_eq!(
            result,
            command("_result", 4.0, Value::Null, &[Value::Number(1.0)])
        );
        let status = Status::error(code::CALL_FAILED, "unknown");
        let error = Command::error(4.0, &status);
        assert_eq!((error.name.as_str(), error.transaction), ("_error", 4.0));
        assert_eq!(Status::from_value(&error.arguments[0]), status);
    }
}
