use super::*;
use crate::golden::{Vector, vector};

const DIGESTS: [(&str, HandshakeKind); 2] = [
    ("digest_scheme_0", HandshakeKind::Digest0),
    ("digest_scheme_1", HandshakeKind::Digest1),
];

#[test]
fn server_answers_every_kind_of_client() {
    for (name, kind) in [("simple", HandshakeKind::Simple)]
        .into_iter()
        .chain(DIGESTS)
    {
        let summary = serve(&vector("handshake", name), usize::MAX, true).unwrap();
        let echo_matched = true;
        assert_eq!(summary, HandshakeSummary { kind, echo_matched }, "{name}");
    }
}

#[test]
fn server_takes_its_input_in_any_pieces() {
    for name in ["simple", "digest_scheme_0", "digest_scheme_1"] {
        for piece in [1, 2, 7, 1535, 1536, 1537, 3072, 3073] {
            let summary = serve(&vector("handshake", name), piece, true).unwrap();
            assert!(summary.echo_matched, "{name} in pieces of {piece}");
        }
    }
}

#[test]
fn server_answers_with_the_last_byte_of_c1_and_not_before() {
    let vector = vector("handshake", "simple");
    let mut server = server(&vector, false);
    let mut output = BytesMut::new();
    let (last, first) = vector.bytes("c0 c1").split_last().unwrap();
    server.handle_input(first, &mut output).unwrap();
    assert!(output.is_empty());
    server.handle_input(&[*last], &mut output).unwrap();
    assert_eq!(output, vector.bytes("s0 s1 s2"));
}

#[test]
fn server_leaves_what_follows_c2() {
    let vector = vector("handshake", "digest_scheme_1");
    let input = [vector.bytes("c0 c1"), vector.bytes("c2"), b"connect"].concat();
    let mut server = server(&vector, true);
    let (used, summary) = server.handle_input(&input, &mut BytesMut::new()).unwrap();
    assert_eq!(&input[used..], b"connect");
    assert!(summary.is_some());
    let after = server.handle_input(b"connect", &mut BytesMut::new());
    assert_eq!(after, Ok((0, None)));
}

#[test]
fn server_takes_a_damaged_digest_for_a_simple_client() {
    let summary = serve(
        &vector("handshake", "invalid_digest_in_c1"),
        usize::MAX,
        true,
    )
    .unwrap();
    assert_eq!(summary.kind, HandshakeKind::Simple);
}

#[test]
fn wrong_c2_is_reported_and_an_error_only_if_strict() {
    let vector = vector("handshake", "invalid_signature_in_c2");
    let summary = serve(&vector, usize::MAX, false).unwrap();
    assert_eq!(summary.kind, HandshakeKind::Digest1);
    assert!(!summary.echo_matched);
    assert_eq!(serve(&vector, usize::MAX, true), Err(HandshakeError::Echo));
}

#[test]
fn digest_client_may_answer_with_an_echo() {
    let vector = vector("handshake", "digest_scheme_1");
    let mut server = server(&vector, true);
    let mut output = BytesMut::new();
    server
        .handle_input(vector.bytes("c0 c1"), &mut output)
        .unwrap();
    let s1 = output[1..=PACKET_SIZE].to_vec();
    let (_, summary) = server.handle_input(&s1, &mut output).unwrap();
    assert!(summary.unwrap().echo_matched);
}

#[test]
fn echo_may_carry_times_of_its_own() {
    let vector = vector("handshake", "simple");
    let mut server = server(&vector, true);
    server
        .handle_input(vector.bytes("c0 c1"), &mut BytesMut::new())
        .unwrap();
    let mut c2 = vector.bytes("c2").to_vec();
    c2[..8].copy_from_slice(&[0, 0, 1, 2, 0, 0, 3, 4]);
    let (_, summary) = server.handle_input(&c2, &mut BytesMut::new()).unwrap();
    assert!(summary.unwrap().echo_matched);
}

#[test]
fn any_other_version_fails_on_its_first_byte() {
    let input = vector("handshake", "invalid_version_6");
    let mut output = BytesMut::new();
    let mut server = ServerHandshake::new(&mut |_| {}, false);
    let result = server.handle_input(input.bytes("c0 c1"), &mut output);
    assert_eq!(result, Err(HandshakeError::Version(6)));
    assert!(output.is_empty());
    let mut client = ClientHandshake::new(&mut |_| {}, false, &mut output);
    let result = client.handle_input(&[0x48], &mut output);
    assert_eq!(result, Err(HandshakeError::Version(0x48)));
}

#[test]
fn client_speaks_digest_with_a_server_of_either_scheme() {
    for (name, kind) in [
        ("digest_scheme_1", HandshakeKind::Digest1),
        ("digest_scheme_1_answered_in_0", HandshakeKind::Digest0),
    ] {
        let vector = vector("handshake", name);
        for piece in [1, 1536, usize::MAX] {
            let (sent, summary) = connect(&vector, true, vector.bytes("s0 s1 s2"), piece);
            let expected = [vector.bytes("c0 c1"), vector.bytes("c2")].concat();
            assert!(sent == expected, "{name}");
            let echo_matched = true;
            assert_eq!(summary, HandshakeSummary { kind, echo_matched }, "{name}");
        }
    }
}

#[test]
fn digest_client_accepts_a_simple_server() {
    let vector = vector("handshake", "digest_scheme_1");
    let s1 = [&[0; 8], vector.bytes("s1 random")].concat();
    let c1 = &vector.bytes("c0 c1")[1..];
    let answer = [&[3], &s1[..], c1].concat();
    let (sent, summary) = connect(&vector, true, &answer, usize::MAX);
    assert!(sent[1 + PACKET_SIZE..] == s1, "C2 echoes S1");
    let (kind, echo_matched) = (HandshakeKind::Simple, true);
    assert_eq!(summary, HandshakeSummary { kind, echo_matched });
}

#[test]
fn client_reports_an_s2_that_answers_nothing() {
    let vector = vector("handshake", "digest_scheme_1");
    let mut answer = vector.bytes("s0 s1 s2").to_vec();
    *answer.last_mut().unwrap() ^= 1;
    let (_, summary) = connect(&vector, true, &answer, usize::MAX);
    assert_eq!(summary.kind, HandshakeKind::Digest1);
    assert!(!summary.echo_matched);
}

#[test]
fn simple_client_sends_a_zero_version_and_echoes() {
    let vector = vector("handshake", "digest_scheme_1");
    let (sent, summary) = connect(&vector, false, vector.bytes("s0 s1 s2"), usize::MAX);
    assert_eq!(sent[..9], [3, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert!(sent[9..=PACKET_SIZE] == *vector.bytes("c1 random"));
    assert!(sent[1 + PACKET_SIZE..] == vector.bytes("s0 s1 s2")[1..=PACKET_SIZE]);
    assert_eq!(summary.kind, HandshakeKind::Simple);
    assert!(!summary.echo_matched, "S2 answered another C1");
}

#[test]
fn our_client_and_our_server_agree() {
    for (digest, kind) in [
        (true, HandshakeKind::Digest1),
        (false, HandshakeKind::Simple),
    ] {
        let (mut up, mut down) = (BytesMut::new(), BytesMut::new());
        let mut client = ClientHandshake::new(&mut |bytes| bytes.fill(7), digest, &mut up);
        let mut server = ServerHandshake::new(&mut |bytes| bytes.fill(9), true);
        let mut drained = BytesMut::new();
        server.handle_input(&up.split(), &mut down).unwrap();
        let (_, client) = client.handle_input(&down, &mut drained).unwrap();
        let (_, server) = server.handle_input(&drained, &mut up).unwrap();
        let expected = HandshakeSummary {
            kind,
            echo_matched: true,
        };
        assert_eq!((client, server), (Some(expected), Some(expected)));
    }
}

#[test]
fn finished_handshake_holds_no_packets() {
    let vector = vector("handshake", "simple");
    let mut server = server(&vector, true);
    let input = [vector.bytes("c0 c1"), vector.bytes("c2")].concat();
    server.handle_input(&input, &mut BytesMut::new()).unwrap();
    assert!(server.exchange.is_none());
    assert!(size_of::<ServerHandshake>() <= 16);
    assert!(size_of::<ClientHandshake>() <= 16);
}

fn server(vector: &Vector, strict: bool) -> ServerHandshake {
    ServerHandshake::new(
        &mut |bytes| bytes.copy_from_slice(vector.bytes("s1 random")),
        strict,
    )
}

/// Plays the vector's client in pieces, and checks the answer.
fn serve(vector: &Vector, piece: usize, strict: bool) -> Result<HandshakeSummary, HandshakeError> {
    let input = [vector.bytes("c0 c1"), vector.bytes("c2")].concat();
    let mut server = server(vector, strict);
    let mut output = BytesMut::new();
    let mut finished = None;
    for bytes in input.chunks(piece) {
        assert_eq!(finished, None, "over before the last byte of C2");
        let (used, summary) = server.handle_input(bytes, &mut output)?;
        assert_eq!(used, bytes.len());
        finished = summary;
    }
    assert!(output == vector.bytes("s0 s1 s2"), "{}", vector.name);
    Ok(finished.expect("C2 is whole"))
}

/// Plays a server's `answer` in pieces. Returns what our client sent.
fn connect(
    vector: &Vector,
    digest: bool,
    answer: &[u8],
    piece: usize,
) -> (BytesMut, HandshakeSummary) {
    let mut output = BytesMut::new();
    let mut client = ClientHandshake::new(
        &mut |bytes| bytes.copy_from_slice(vector.bytes("c1 random")),
        digest,
        &mut output,
    );
    let mut finished = None;
    for bytes in answer.chunks(piece) {
        assert_eq!(finished, None, "over before the last byte of S2");
        let (used, summary) = client.handle_input(bytes, &mut output).unwrap();
        assert_eq!(used, bytes.len());
        finished = summary;
    }
    (output, finished.expect("S2 is whole"))
}
