//! Heads of requests, told from everything else that a viewer says.

/// What HTTP/2 begins with (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes in front of each frame (4.1 of the RFC).
const FRAME_HEADER: usize = 9;
/// Kinds of frames that heads are in.
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

/// What comes next on a connection.
#[derive(Debug)]
pub(super) enum Heads {
    /// HTTP/2, if the preface goes on behind so many bytes of it.
    Preface(usize),
    /// HTTP/1.1. Bodies are not taken, so all of it may be heads.
    Text,
    /// A frame's header, of which so many bytes were there.
    Frame([u8; FRAME_HEADER], usize),
    /// So many bytes of a frame.
    Payload { left: usize, is_head: bool },
}

impl Heads {
    /// A connection on which nothing was said.
    pub(super) fn new() -> Heads {
        Heads::Preface(0)
    }

    /// How many of these bytes are of heads, with the headers of their frames.
    pub(super) fn among(&mut self, mut bytes: &[u8]) -> usize {
        let mut heads = 0;
        while !bytes.is_empty() {
            let length = match self {
                Heads::Preface(seen) => {
                    let rest = &PREFACE[*seen..];
                    let length = rest.len().min(bytes.len());
                    if rest[..length] != bytes[..length] {
                        heads += *seen;
                        *self = Heads::Text;
                        continue;
                    }
                    *seen += length;
                    if *seen == PREFACE.len() {
                        *self = Heads::Frame([0; FRAME_HEADER], 0);
                    }
                    length
                }
                Heads::Text => {
                    heads += bytes.len();
                    bytes.len()
                }
                Heads::Frame(header, seen) => {
                    let length = (FRAME_HEADER - *seen).min(bytes.len());
                    header[*seen..][..length].copy_from_slice(&bytes[..length]);
                    *seen += length;
                    if *seen == FRAME_HEADER {
                        let left = u32::from_be_bytes([0, header[0], header[1], header[2]]);
                        let is_head = matches!(header[3], HEADERS | CONTINUATION);
                        heads += if is_head { FRAME_HEADER } else { 0 };
                        *self = Heads::Payload {
                            left: left as usize,
                            is_head,
                        };
                    }
                    length
                }
                Heads::Payload { left, is_head } => {
                    let length = bytes.len().min(*left);
                    heads += if *is_head { length } else { 0 };
                    *left -= length;
                    if *left == 0 {
                        *self = Heads::Frame([0; FRAME_HEADER], 0);
                    }
                    length
                }
            };
            bytes = &bytes[length..];
        }
        heads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes are of heads if so many come at once.
    fn heads(said: &[u8], at_once: usize) -> usize {
        let mut heads = Heads::new();
        said.chunks(at_once).map(|bytes| heads.among(bytes)).sum()
    }

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![0, (length >> 8) as u8, length as u8, kind, 0, 0, 0, 0, 1];
        frame.resize(FRAME_HEADER + length, 0);
        frame
    }

    #[test]
    fn frames_of_heads_are_told_from_others_however_they_come() {
        const SETTINGS: u8 = 4;
        const PING: u8 = 6;
        let said = [
            PREFACE.to_vec(),
            frame(SETTINGS, 0),
            frame(HEADERS, 300),
            frame(CONTINUATION, 1),
            frame(PING, 8),
            frame(CONTINUATION, 0),
            frame(PING, 8),
        ];
        let said = said.concat();
        for at_once in 1..=said.len() {
            assert_eq!(heads(&said, at_once), 309 + 10 + 9, "{at_once}");
        }
    }

    #[test]
    fn all_of_http_1_may_be_heads() {
        for said in [
            &b"PRI * HTTP/1.1\r\n\r\n"[..],
            b"PUT /",
            b"GET /time",
            b"P\0",
        ] {
            for at_once in 1..=said.len() {
                assert_eq!(heads(said, at_once), said.len(), "{at_once}");
            }
        }
    }
}
