#!/usr/bin/env python3
"""Writes the handshake vectors in this folder, from the description alone.

RTMP 1.0 section 5.2 gives the layout and the simple handshake. The digest
handshake is not in it; what is implemented here:

- C1 and S1: time (4), version (4), then two blocks of 764 bytes. The digest
  block begins at 772 (scheme 0) or at 8 (scheme 1). The sum of its first four
  bytes, mod 728, plus the block's start, plus 4, is where the digest stands.
- The digest is HMAC-SHA256 over the packet without the digest, keyed with
  "Genuine Adobe Flash Player 001" (C1) or "Genuine Adobe Flash Media Server 001"
  (S1).
- The last 32 bytes of S2 sign the 1504 before: the key is the HMAC-SHA256 of
  C1's digest, keyed with the server's text and 32 constant bytes. C2 mirrors
  it with the client's text and S1's digest.

The digest leaves the other bytes of S2 and C2 free. The vectors have the
peer's packet there, which is what OpenRTMP sends.

    python3 generate.py
"""

import hashlib
import hmac
from pathlib import Path

CLIENT = b"Genuine Adobe Flash Player 001"
SERVER = b"Genuine Adobe Flash Media Server 001"
TAIL = bytes.fromhex(
    "F0EEC24A8068BEE82E00D0D1029E7E576EEC5D2D29806FAB93B8E636CFEB31AE"
)
CLIENT_VERSION = bytes([9, 0, 124, 2])
SERVER_VERSION = bytes([4, 5, 0, 1])


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def noise(seed):
    """1528 bytes that look random and are the same every time."""
    blocks = (hashlib.sha256(f"{seed} {i}".encode()).digest() for i in range(48))
    return b"".join(blocks)[:1528]


def with_digest(scheme, text, version, data):
    """C1 or S1, and its digest."""
    packet = bytearray(bytes(4) + version + data)
    block = {0: 772, 1: 8}[scheme]
    at = block + 4 + sum(packet[block : block + 4]) % 728
    digest = mac(text, bytes(packet[:at] + packet[at + 32 :]))
    packet[at : at + 32] = digest
    return bytes(packet), digest


def signed(text, peer_packet, peer_digest):
    """C2 or S2."""
    body = peer_packet[:1504]
    return body + mac(mac(text + TAIL, peer_digest), body)


def write(name, about, sections):
    lines = [f"# {line}" for line in about.strip().splitlines()]
    lines.append("# Written by generate.py beside this file, which says from what.")
    for section, data in sections.items():
        lines += ["", f"{section}:"]
        lines += [data[i : i + 32].hex() for i in range(0, len(data), 32)]
    Path(__file__).with_name(name + ".hex").write_text("\n".join(lines) + "\n")


def digest_vector(name, about, client_scheme, server_scheme):
    c1, c1_digest = with_digest(client_scheme, CLIENT, CLIENT_VERSION, noise(name + " c1"))
    s1, s1_digest = with_digest(server_scheme, SERVER, SERVER_VERSION, noise(name + " s1"))
    sections = {
        "c1 random": noise(name + " c1"),
        "c0 c1": b"\x03" + c1,
        "s1 random": noise(name + " s1"),
        "s0 s1 s2": b"\x03" + s1 + signed(SERVER, c1, c1_digest),
        "c2": signed(CLIENT, s1, s1_digest),
    }
    write(name, about, sections)


digest_vector(
    "digest_scheme_0",
    "Client and server with digests in the second block (base 772).",
    0,
    0,
)
digest_vector(
    "digest_scheme_1",
    "Client and server with digests in the first block (base 8).",
    1,
    1,
)
digest_vector(
    "digest_scheme_1_answered_in_0",
    "A server that answers a scheme 1 client with its own digest in scheme 0.",
    1,
    0,
)

# A time field in C1, as clients send it: S2 must give it back (section 5.2.4).
c1 = bytes.fromhex("00012345") + bytes(4) + noise("simple c1")
s1 = bytes(8) + noise("simple s1")
write(
    "simple",
    "RTMP 1.0 section 5.2: version fields zero, S2 echoes C1, C2 echoes S1.",
    {
        "c0 c1": b"\x03" + c1,
        "s1 random": s1[8:],
        "s0 s1 s2": b"\x03" + s1 + c1,
        "c2": s1,
    },
)

c1, c1_digest = with_digest(1, CLIENT, CLIENT_VERSION, noise("damaged c1"))
at = c1.index(c1_digest)
c1 = c1[:at] + bytes([c1[at] ^ 1]) + c1[at + 1 :]
s1 = bytes(8) + noise("damaged s1")
write(
    "invalid_digest_in_c1",
    """C1 announces a digest, but one bit of it is wrong: no scheme fits, so the
server answers as in the simple handshake.""",
    {
        "c0 c1": b"\x03" + c1,
        "s1 random": s1[8:],
        "s0 s1 s2": b"\x03" + s1 + c1,
        "c2": s1,
    },
)

c1, c1_digest = with_digest(1, CLIENT, CLIENT_VERSION, noise("unsigned c1"))
s1, s1_digest = with_digest(1, SERVER, SERVER_VERSION, noise("unsigned s1"))
c2 = bytearray(signed(CLIENT, s1, s1_digest))
c2[-1] ^= 1
write(
    "invalid_signature_in_c2",
    "A digest client whose C2 carries a signature with one wrong bit.",
    {
        "c0 c1": b"\x03" + c1,
        "s1 random": noise("unsigned s1"),
        "s0 s1 s2": b"\x03" + s1 + signed(SERVER, c1, c1_digest),
        "c2": bytes(c2),
    },
)
