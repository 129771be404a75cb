//! Digests inside C1 and S1, signatures at the end of C2 and S2.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{PACKET_SIZE, Packet};

/// Bytes of a digest or signature.
pub(super) const SIZE: usize = 32;

pub(super) type Digest = [u8; SIZE];

/// Whose digest or signature it is.
#[derive(Clone, Copy)]
pub(super) enum Role {
    Client,
    Server,
}

/// Where the digest block stands: base 772 or base 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Zero,
    One,
}

/// The text is the key of the digest; text and tail are that of the signature.
const CLIENT_KEY: [u8; 62] = key(b"Genuine Adobe Flash Player 001");
const SERVER_KEY: [u8; 68] = key(b"Genuine Adobe Flash Media Server 001");
const TAIL: Digest = [
    0xF0, 0xEE, 0xC2, 0x4A, 0x80, 0x68, 0xBE, 0xE8, 0x2E, 0x00, 0xD0, 0xD1, 0x02, 0x9E, 0x7E, 0x57,
    0x6E, 0xEC, 0x5D, 0x2D, 0x29, 0x80, 0x6F, 0xAB, 0x93, 0xB8, 0xE6, 0x36, 0xCF, 0xEB, 0x31, 0xAE,
];

const fn key<const N: usize>(text: &[u8]) -> [u8; N] {
    assert!(text.len() + SIZE == N);
    let mut key = [0; N];
    let mut i = 0;
    while i < N {
        key[i] = if i < text.len() {
            text[i]
        } else {
            TAIL[i - text.len()]
        };
        i += 1;
    }
    key
}

impl Role {
    fn key(self) -> &'static [u8] {
        match self {
            Role::Client => &CLIENT_KEY,
            Role::Server => &SERVER_KEY,
        }
    }

    fn text(self) -> &'static [u8] {
        let key = self.key();
        &key[..key.len() - SIZE]
    }
}

/// The digest in a C1 or S1 and the scheme by which it was found.
pub(super) fn find(role: Role, packet: &Packet) -> Option<(Scheme, Digest)> {
    let keyed = keyed(role.text());
    [Scheme::Zero, Scheme::One].into_iter().find_map(|scheme| {
        let at = position(scheme, packet);
        let digest = compute(keyed.clone(), packet, at);
        (packet[at..at + SIZE] == digest).then_some((scheme, digest))
    })
}

/// Puts the digest into our C1 or S1.
pub(super) fn embed(role: Role, scheme: Scheme, packet: &mut Packet) -> Digest {
    let at = position(scheme, packet);
    let digest = compute(keyed(role.text()), packet, at);
    packet[at..at + SIZE].copy_from_slice(&digest);
    digest
}

/// Signs a packet that answers a packet with `peer_digest`.
pub(super) fn sign(role: Role, peer_digest: &Digest, packet: &mut Packet) {
    let signature = signature(role, peer_digest, packet);
    packet[PACKET_SIZE - SIZE..].copy_from_slice(&signature);
}

/// Whether the packet is `role`'s answer to our packet with `own_digest`.
pub(super) fn is_signed(role: Role, own_digest: &Digest, packet: &Packet) -> bool {
    packet[PACKET_SIZE - SIZE..] == signature(role, own_digest, packet)
}

/// Where the digest stands: its block begins with four bytes whose sum says how
/// far behind them. At most 772 + 4 + 727, so that 32 bytes follow.
fn position(scheme: Scheme, packet: &Packet) -> usize {
    let base = match scheme {
        Scheme::Zero => 772,
        Scheme::One => 8,
    };
    let sum: usize = packet[base..base + 4]
        .iter()
        .copied()
        .map(usize::from)
        .sum();
    base + 4 + sum % 728
}

/// The digest covers the packet without itself.
fn compute(keyed: Hmac<Sha256>, packet: &Packet, at: usize) -> Digest {
    hmac(keyed, &[&packet[..at], &packet[at + SIZE..]])
}

fn signature(role: Role, digest: &Digest, packet: &Packet) -> Digest {
    let key = hmac(keyed(role.key()), &[digest]);
    hmac(keyed(&key), &[&packet[..PACKET_SIZE - SIZE]])
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn hmac(mut mac: Hmac<Sha256>, parts: &[&[u8]]) -> Digest {
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
