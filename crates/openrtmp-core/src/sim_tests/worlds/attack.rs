//! Attacks that take part in the random worlds, each once and at its own length.

use openrtmp_attacks::Script;
use openrtmp_protocol::message::kind;

use super::plan::STREAMS;
use crate::platform::sim::Random;

/// Kinds of attack.
pub(super) const KINDS: u32 = 19;

/// The bytes of an attack; `amount` makes it longer.
pub(super) fn script(attack: u32, amount: u32, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut script = Script::default();
    let amount = amount.clamp(1, 2000);
    match attack % KINDS {
        // Not RTMP at all.
        0 => garbage(&mut script, amount, &mut random),
        // A handshake that does not get on.
        1 => script.0.extend([3, 0, 0, 0, 0]),
        2 => {
            script.handshake();
            script.0.truncate(amount as usize * 2);
        }
        // Garbage where chunks should be.
        3 => {
            script.handshake();
            garbage(&mut script, amount, &mut random);
        }
        4 => {
            script.connect();
            garbage(&mut script, amount, &mut random);
        }
        // A command nested deeply, and one of elements without end.
        5 => {
            script.connect();
            let mut body = b"\x02\x00\x04play\x00\0\0\0\0\0\0\0\0".to_vec();
            for _ in 0..amount {
                body.extend(b"\x03\x00\x01a");
            }
            script.message(kind::COMMAND_AMF0, 0, &body);
        }
        6 => {
            script.connect();
            let body = b"\x02\x00\x04play\x00\0\0\0\0\0\0\0\0\x0a\xff\xff\xff\xff";
            script.message(kind::COMMAND_AMF0, 0, body);
        }
        // Claims of 16 MiB each, on as many chunk streams, and little of them.
        7 => {
            script.connect();
            for n in 0..amount.min(60) as u8 {
                let header = [3 + n, 0, 0, 0, 0xFF, 0xFF, 0xFF, 9, 1, 0, 0, 0];
                script.0.extend(header);
                script.0.extend([0x17; 128]);
            }
        }
        // Messages without a body, and of types nobody knows.
        8 => {
            script.connect();
            for n in 0..amount {
                script.message((n % 24) as u8, n % 3, &[]);
            }
        }
        // Chunks of one byte.
        9 => {
            script.connect();
            script.message(kind::SET_CHUNK_SIZE, 0, &[0, 0, 0, 1]);
            for _ in 0..amount.min(200) {
                script.0.extend([3, 0, 0, 0, 0, 0, 3, 99, 0, 0, 0, 0, 7]);
                script.0.extend([0xC3, 7, 0xC3, 7]);
            }
        }
        // Questions without end.
        10 => {
            script.connect();
            for _ in 0..amount {
                script.command(0, "createStream", &[]);
                script.command(0, "nobodyKnowsThis", &["x".into()]);
            }
        }
        // Storms of publishing and playing.
        11 | 12 => {
            script.connect();
            script.command(0, "createStream", &[]);
            let name = STREAMS[amount as usize % 2].trim_start_matches("live/");
            let what = ["publish", "play"][attack as usize % KINDS as usize - 11];
            for _ in 0..amount.min(300) {
                script.command(1, what, &[name.into()]);
                script.command(1, "closeStream", &[]);
            }
        }
        // Windows, bandwidths and chunk sizes of every size.
        13 => {
            script.connect();
            for _ in 0..amount {
                let value = random.next() as u32 >> (random.next() % 32);
                let mut bytes = value.to_be_bytes().to_vec();
                script.message(kind::WINDOW_ACK_SIZE, 0, &bytes);
                bytes.push(random.next() as u8 % 5);
                script.message(kind::SET_PEER_BANDWIDTH, 0, &bytes);
            }
        }
        14 => {
            script.connect();
            script.message(kind::SET_CHUNK_SIZE, 0, &[0, 0, 0, 0]);
        }
        // Media and commands that fit no state.
        15 => {
            script.connect();
            script.message(kind::VIDEO, 1, &[0x17, 1, 0, 0, 0]);
            script.message(kind::AUDIO, 7, &[]);
            script.command(5, "pause", &[true.into()]);
            script.command(0, "deleteStream", &[77.0.into()]);
            script.command(0, "connect", &[]);
            script.command(1, "receiveVideo", &[false.into()]);
            script.command(0, "FCUnpublish", &["a".into()]);
        }
        // Plays one stream on many message streams.
        16 => {
            script.connect();
            for n in 1..=amount.min(40) {
                script.command(0, "createStream", &[]);
                script.command(n, "play", &["a".into()]);
            }
        }
        // Publishes one name after the other.
        17 => {
            script.connect();
            for n in 0..amount.min(200) {
                script.command(0, "createStream", &[]);
                script.command(1, "publish", &[format!("name{n}").as_str().into()]);
            }
        }
        // Nothing at all after connect.
        _ => script.connect(),
    }
    script.0
}

fn garbage(script: &mut Script, amount: u32, random: &mut Random) {
    let mut bytes = vec![0; amount as usize * 16];
    random.fill(&mut bytes);
    script.0.extend(bytes);
}
