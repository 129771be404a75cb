use bytes::BytesMut;
use openrtmp_protocol::amf::{Encoding, Object, Value};
use openrtmp_protocol::chunk::ChunkWriter;
use openrtmp_protocol::command::Command;
use openrtmp_protocol::message::kind;

/// Bytes of a client that waits for nothing.
#[derive(Clone, Debug, Default)]
pub struct Script(pub Vec<u8>);

impl Script {
    /// C0, C1, C2 (RTMP 1.0 section 5.2).
    pub fn handshake(&mut self) {
        self.0.push(3);
        self.0.resize(self.0.len() + 2 * 1536, 0);
    }

    /// The handshake and `connect` to the app `live`.
    pub fn connect(&mut self) {
        self.handshake();
        let object = Object::new()
            .with("app", "live")
            .with("tcUrl", "rtmp://x/live");
        let connect = Command {
            name: "connect".to_owned(),
            transaction: 1.0,
            object: object.into(),
            arguments: Vec::new(),
        };
        self.message(kind::COMMAND_AMF0, 0, &connect.encode(Encoding::Amf0));
    }

    /// A command on a message stream.
    pub fn command(&mut self, stream: u32, name: &str, arguments: &[Value]) {
        let command = command(name, arguments);
        self.message(kind::COMMAND_AMF0, stream, &command);
    }

    /// A message of a type, in chunks of the initial size.
    pub fn message(&mut self, kind: u8, stream: u32, payload: &[u8]) {
        message(kind, stream, payload, &mut self.0);
    }
}

/// The body of a command.
pub fn command(name: &str, arguments: &[Value]) -> Vec<u8> {
    let command = Command {
        name: name.to_owned(),
        transaction: 9.0,
        object: Value::Null,
        arguments: arguments.to_vec(),
    };
    command.encode(Encoding::Amf0).to_vec()
}

/// Appends a message in chunks of the initial size.
pub fn message(kind: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    let mut bytes = BytesMut::new();
    ChunkWriter::new().write(3, kind, stream, 0, payload, &mut bytes);
    out.extend_from_slice(&bytes);
}
