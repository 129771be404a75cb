//! What a proxy says of a peer before the peer's first byte: the PROXY protocol, versions 1
//! and 2 ("The PROXY protocol", HAProxy, sections 2.1 and 2.2).

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What version 1 begins with. Its shortest line, "PROXY UNKNOWN\r\n", is longer than the
/// signature of version 2: so much can be read of either.
const WORD: &[u8] = b"PROXY ";

/// The longest line of version 1.
const LONGEST_LINE: usize = 107;

/// Bytes in front of the addresses of version 2.
const HEAD: usize = 16;

/// Bytes of addresses and of what may follow them, certificates among it. More is nothing
/// that a proxy has to say.
const MOST: usize = 2048;

/// A header on its way. Not a byte behind it is read: that is the peer's.
#[derive(Debug, Default)]
pub(crate) struct ProxyHeader {
    bytes: Vec<u8>,
}

/// What a proxy said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Where the peer comes from.
    Peer(SocketAddr),
    /// The connection is the proxy's own, to see whether we are here, or it does not know.
    Nothing,
}

impl ProxyHeader {
    /// Reads on. `WouldBlock` as long as there is more to come, `InvalidData` for what is no
    /// header, `UnexpectedEof` at the connection's end.
    pub(crate) fn read(&mut self, from: &mut impl Read) -> io::Result<Told> {
        loop {
            let there = self.bytes.len();
            let wanted = self.wanted()?;
            if wanted == 0 {
                let told = match self.bytes.starts_with(WORD) {
                    true => line(&self.bytes),
                    false => binary(&self.bytes),
                };
                return told.ok_or_else(wrong);
            }
            self.bytes.resize(there + wanted, 0);
            let read = from.read(&mut self.bytes[there..]);
            self.bytes
                .truncate(there + read.as_ref().copied().unwrap_or_default());
            if read? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Bytes that are certainly of the header and are not there yet.
    fn wanted(&self) -> io::Result<usize> {
        let there = self.bytes.len();
        let begins = |with: &[u8]| self.bytes.iter().zip(with).all(|(a, b)| a == b);
        if !begins(WORD) && !begins(SIGNATURE) {
            return Err(wrong());
        }
        if there < SIGNATURE.len() {
            return Ok(SIGNATURE.len() - there);
        }
        if begins(WORD) {
            return match self.bytes.ends_with(b"\r\n") {
                true => Ok(0),
                false if there < LONGEST_LINE => Ok(1),
                false => Err(wrong()),
            };
        }
        let Some(length) = self.bytes.get(HEAD - 2..HEAD) else {
            return Ok(HEAD - there);
        };
        let length = usize::from(length[0]) << 8 | usize::from(length[1]);
        match length > MOST {
            true => Err(wrong()),
            false => Ok(HEAD + length - there),
        }
    }
}

fn wrong() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// A line of version 1, which is complete.
fn line(bytes: &[u8]) -> Option<Told> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix("\r\n")?;
    let mut words = text.split(' ');
    words.next()?;
    let family = words.next()?;
    if family == "UNKNOWN" {
        // Whatever follows is to be ignored.
        return Some(Told::Nothing);
    }
    let (source, destination): (IpAddr, IpAddr) =
        (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let port = port(words.next()?)?;
    self::port(words.next()?)?;
    let fits = match family {
        "TCP4" => source.is_ipv4() && destination.is_ipv4(),
        "TCP6" => source.is_ipv6() && destination.is_ipv6(),
        _ => false,
    };
    (fits && words.next().is_none()).then(|| Told::Peer(SocketAddr::new(source, port)))
}

fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// A header of version 2, which is complete.
fn binary(bytes: &[u8]) -> Option<Told> {
    let (command, family, addresses) = (bytes[12], bytes[13], &bytes[HEAD..]);
    let port_at = |at: usize| {
        let bytes = addresses.get(at..at + 2)?;
        Some(u16::from_be_bytes(bytes.try_into().ok()?))
    };
    match (command, family) {
        (0x20, _) => Some(Told::Nothing),
        // TCP over IPv4: source, destination, and their ports.
        (0x21, 0x11) => {
            let source: [u8; 4] = addresses.get(..4)?.try_into().ok()?;
            let port = port_at(8)?;
            port_at(10)?;
            Some(Told::Peer((Ipv4Addr::from(source), port).into()))
        }
        // The same over IPv6.
        (0x21, 0x21) => {
            let source: [u8; 16] = addresses.get(..16)?.try_into().ok()?;
            let port = port_at(32)?;
            port_at(34)?;
            Some(Told::Peer((Ipv6Addr::from(source), port).into()))
        }
        // Of another kind, or of none: nothing that we could use.
        (0x21, 0x00 | 0x12 | 0x22 | 0x31 | 0x32) => Some(Told::Nothing),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What comes in pieces, and what is left of it.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let count = to.len().min(self.1).min(self.0.len());
            if count == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            to[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn read(bytes: &[u8], piece: usize) -> (io::Result<Told>, usize) {
        let mut from = Pieces(bytes, piece);
        let told = ProxyHeader::default().read(&mut from);
        (told, from.0.len())
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    fn peer(text: &str) -> Told {
        Told::Peer(text.parse().expect("an address"))
    }

    #[test]
    fn both_versions_tell_the_peer_and_leave_what_follows() {
        let four = [192, 0, 2, 7, 192, 0, 2, 1, 0x30, 0x39, 0x07, 0x8f];
        let mut six = [0; 36];
        six[..16].copy_from_slice(&"2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        six[32..34].copy_from_slice(&12345_u16.to_be_bytes());
        let extra = [&four[..], &[0x04, 0, 1, 0]].concat();
        for (header, expected) in [
            (
                b"PROXY TCP4 192.0.2.7 192.0.2.1 12345 1935\r\n".to_vec(),
                peer("192.0.2.7:12345"),
            ),
            (
                b"PROXY TCP6 2001:db8::7 2001:db8::1 12345 1935\r\n".to_vec(),
                peer("[2001:db8::7]:12345"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), Told::Nothing),
            (
                b"PROXY UNKNOWN ffff:: ffff:: 1 2\r\n".to_vec(),
                Told::Nothing,
            ),
            (v2(0x21, 0x11, &four), peer("192.0.2.7:12345")),
            (v2(0x21, 0x11, &extra), peer("192.0.2.7:12345")),
            (v2(0x21, 0x21, &six), peer("[2001:db8::7]:12345")),
            (v2(0x20, 0x00, &[]), Told::Nothing),
            (v2(0x21, 0x31, &[0; 216]), Told::Nothing),
            (v2(0x21, 0x00, &[1, 2, 3]), Told::Nothing),
        ] {
            let whole = [&header[..], b"\x03what the peer says"].concat();
            for piece in [1, 2, 7, 1000] {
                let (told, left) = read(&whole, piece);
                assert_eq!(told.expect("a header"), expected);
                assert_eq!(left, whole.len() - header.len());
            }
            // Not all of it is there yet.
            for end in 0..header.len() {
                let (told, _) = read(&header[..end], 1000);
                assert_eq!(
                    told.expect_err("not whole").kind(),
                    io::ErrorKind::WouldBlock
                );
            }
        }
    }

    #[test]
    fn what_is_no_header_is_told_at_its_first_wrong_byte() {
        for bytes in [
            &b"\x03"[..],
            b"PROXYX",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 12345\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 12345 1935 7\r\n",
            b"PROXY TCP4 2001:db8::7 2001:db8::1 12345 1935\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 +1234 1935\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 65536 1935\r\n",
            b"PROXY TCP5 192.0.2.7 192.0.2.1 12345 1935\r\n",
            b"PROXY  TCP4 192.0.2.7 192.0.2.1 12345 1935\r\n",
            &[b"PROXY TCP4 ", &b"1"[..], &[b'1'; 200]].concat(),
            &v2(0x11, 0x11, &[0; 12]),
            &v2(0x22, 0x11, &[0; 12]),
            &v2(0x21, 0x11, &[0; 11]),
            &v2(0x21, 0x21, &[0; 35]),
            &v2(0x21, 0x77, &[0; 36]),
            &v2(0x21, 0x11, &[0; MOST + 1]),
        ] {
            let (told, _) = read(bytes, 1000);
            let kind = told.expect_err("no header").kind();
            assert_eq!(kind, io::ErrorKind::InvalidData, "{bytes:?}");
        }
        assert_eq!(
            ProxyHeader::default()
                .read(&mut io::empty())
                .unwrap_err()
                .kind(),
            io::ErrorKind::UnexpectedEof
        );
    }

    proptest! {
        #[test]
        fn no_bytes_do_more_than_fail(
            begin in 0_usize..=16,
            version in 0_usize..3,
            mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
            piece in 1_usize..100,
        ) {
            let good = [&b"PROXY TCP4 192.0.2.7"[..], SIGNATURE, b""][version];
            let begin = begin.min(good.len());
            bytes.splice(..0, good[..begin].iter().copied());
            let _ = read(&bytes, piece);
        }
    }
}
