//! A second, naive writer of chunks and AMF0, so that sessions are not tested
//! with their own encoder.

/// A message in chunks of 128 bytes: fmt 0 (RTMP 1.0, section 5.3.1.2.1), then
/// fmt 3. Timestamps below 0xFFFFFF.
pub(crate) fn message(
    chunk_stream: u8,
    kind: u8,
    stream: u32,
    timestamp: u32,
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![chunk_stream];
    bytes.extend(&timestamp.to_be_bytes()[1..]);
    bytes.extend(&(payload.len() as u32).to_be_bytes()[1..]);
    bytes.push(kind);
    bytes.extend(stream.to_le_bytes());
    for (index, chunk) in payload.chunks(128).enumerate() {
        if index > 0 {
            bytes.push(0xC0 | chunk_stream);
        }
        bytes.extend(chunk);
    }
    bytes
}

/// A command on message stream `stream`, type 20; `values` are AMF0 values.
pub(crate) fn command(stream: u32, name: &str, transaction: f64, values: &[Vec<u8>]) -> Vec<u8> {
    message(3, 20, stream, 0, &command_body(name, transaction, values))
}

pub(crate) fn command_body(name: &str, transaction: f64, values: &[Vec<u8>]) -> Vec<u8> {
    [vec![string(name), number(transaction)], values.to_vec()]
        .concat()
        .concat()
}

pub(crate) fn connect(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    command(0, "connect", 1.0, &[object(members)])
}

/// AMF0 section 2.2.
pub(crate) fn number(value: f64) -> Vec<u8> {
    [&[0x00][..], &value.to_be_bytes()].concat()
}

/// Section 2.3.
pub(crate) fn boolean(value: bool) -> Vec<u8> {
    vec![0x01, u8::from(value)]
}

/// Section 2.4.
pub(crate) fn string(text: &str) -> Vec<u8> {
    [&[0x02][..], &name(text)].concat()
}

/// Section 2.5.
pub(crate) fn object(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![0x03];
    for (key, value) in members {
        bytes.extend(name(key));
        bytes.extend(value);
    }
    bytes.extend([0, 0, 0x09]);
    bytes
}

/// Section 2.7.
pub(crate) fn null() -> Vec<u8> {
    vec![0x05]
}

fn name(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}
