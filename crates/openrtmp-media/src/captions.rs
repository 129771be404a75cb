//! Closed captions that are inside pictures: CTA-608 and CTA-708, in the SEI messages that
//! ATSC A/53, part 4, has for them. Playlists and manifests say which there are, for players
//! that are told of none do not look, and some that are told nothing look for too long.

use openrtmp_protocol::media::VideoCodec;
use openrtmp_protocol::media::codec::BitReader;

use crate::mp4::read::units;

/// So many NAL units of a frame are looked at, at most.
const UNITS: usize = 32;
/// And so many bytes of one of them: captions have a tenth of that.
const UNIT_BYTES: usize = 4096;
/// Captions of one picture have no more: 31 pairs of bytes and what is around them.
const MESSAGE_BYTES: usize = 112;

/// Which captions there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Captions {
    /// CTA-608 in the first field. Nothing said there counts too: who sends that will speak.
    pub first_field: bool,
    /// CTA-608 in the second field, with anything said.
    pub second_field: bool,
    /// CTA-708.
    pub services: bool,
}

impl Captions {
    /// All that one can know of.
    const ALL: Captions = Captions {
        first_field: true,
        second_field: true,
        services: true,
    };

    /// What a frame has, whose NAL units are behind lengths of so many bytes. Only SEI messages
    /// in front of the picture are read, and not much of them. Of other codecs than H.264 and
    /// HEVC nothing is known.
    pub fn of_frame(codec: VideoCodec, length_size: usize, frame: &[u8]) -> Captions {
        let mut found = Captions::default();
        for unit in units(frame, length_size).take(UNITS) {
            let (is_picture, messages) = match codec {
                VideoCodec::Avc => {
                    let kind = unit[0] & 0x1F;
                    ((1..=5).contains(&kind), (kind == 6).then_some(1))
                }
                VideoCodec::Hevc => {
                    let kind = unit[0] >> 1 & 0x3F;
                    (kind < 32, (kind == 39).then_some(2))
                }
                _ => break,
            };
            if is_picture {
                break;
            }
            let unit = &unit[..unit.len().min(UNIT_BYTES)];
            if let Some(messages) = messages.and_then(|head| unit.get(head..)) {
                found.read_messages(&mut BitReader::of_nal(messages));
            }
        }
        found
    }

    /// Both together.
    pub fn or(self, other: Captions) -> Captions {
        Captions {
            first_field: self.first_field || other.first_field,
            second_field: self.second_field || other.second_field,
            services: self.services || other.services,
        }
    }

    /// There is nothing more to find out.
    pub(crate) fn is_all(self) -> bool {
        self == Captions::ALL
    }

    /// There are none.
    pub fn is_none(self) -> bool {
        self == Captions::default()
    }

    /// The channels of CTA-608 that they are in, the first of each field.
    pub fn channels(self) -> impl Iterator<Item = &'static str> + Clone {
        let channels = [(self.first_field, "CC1"), (self.second_field, "CC3")];
        channels.into_iter().filter(|(is, _)| *is).map(|(_, it)| it)
    }

    /// SEI messages (H.264, 7.3.2.3.1; H.265, 7.3.2.4), as far as they go.
    fn read_messages(&mut self, reader: &mut BitReader<'_>) -> Option<()> {
        /// user_data_registered_itu_t_t35
        const REGISTERED: u32 = 4;
        loop {
            let (kind, size) = (coded(reader)?, coded(reader)?);
            let mut message = [0; MESSAGE_BYTES];
            let of_interest = match kind {
                REGISTERED => MESSAGE_BYTES.min(size as usize),
                _ => 0,
            };
            let message = &mut message[..of_interest];
            for byte in message.iter_mut() {
                *byte = reader.bits(8)? as u8;
            }
            self.read_message(message);
            reader.skip((size - of_interest as u32) * 8)?;
        }
    }

    fn read_message(&mut self, message: &[u8]) {
        /// The United States, ATSC, `GA94`, cc_data.
        const CC_DATA: &[u8] = b"\xB5\x00\x31GA94\x03";
        let Some([head, _, pairs @ ..]) = message.strip_prefix(CC_DATA) else {
            return;
        };
        let (is_processed, count) = (head & 0x40 != 0, usize::from(head & 0x1F));
        for pair in pairs.chunks_exact(3).take(count) {
            let is_valid = is_processed && pair[0] & 4 != 0;
            // Without their parity bits.
            let is_said = pair[1..].iter().any(|byte| byte & 0x7F != 0);
            match pair[0] & 3 {
                0 => self.first_field |= is_valid,
                1 => self.second_field |= is_valid && is_said,
                // The first of a packet.
                3 => self.services |= is_valid && is_said,
                _ => {}
            }
        }
    }
}

/// A number as SEI messages have it: a sum of bytes up to the first that is not 255.
fn coded(reader: &mut BitReader<'_>) -> Option<u32> {
    let mut sum: u32 = 0;
    loop {
        let byte = reader.bits(8)?;
        sum += byte;
        if byte != 0xFF {
            return Some(sum);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONE: Captions = Captions {
        first_field: false,
        second_field: false,
        services: false,
    };
    const FIRST: Captions = Captions {
        first_field: true,
        ..NONE
    };

    /// An SEI message with captions of these pairs, each behind its type.
    pub(crate) fn message(pairs: &[[u8; 3]]) -> Vec<u8> {
        let mut message = b"\xB5\x00\x31GA94\x03".to_vec();
        message.extend([0x40 | pairs.len() as u8, 0xFF]);
        message.extend(pairs.concat());
        message.push(0xFF);
        let mut out = vec![4, message.len() as u8];
        out.extend(message);
        out
    }

    /// As bytes are in a NAL unit (H.264, 7.4.1).
    fn escaped(bytes: &[u8]) -> Vec<u8> {
        let mut out: Vec<u8> = Vec::new();
        for &byte in bytes {
            if byte <= 3 && out.ends_with(&[0, 0]) {
                out.push(3);
            }
            out.push(byte);
        }
        out
    }

    /// Units behind their lengths.
    pub(crate) fn frame(units: &[&[u8]]) -> Vec<u8> {
        let unit = |unit: &&[u8]| [&(unit.len() as u32).to_be_bytes()[..], unit].concat();
        units.iter().flat_map(unit).collect()
    }

    pub(crate) fn sei(head: &[u8], messages: &[&[u8]]) -> Vec<u8> {
        [head, &escaped(&messages.concat()), &[0x80]].concat()
    }

    fn found(units: &[&[u8]]) -> Captions {
        Captions::of_frame(VideoCodec::Avc, 4, &frame(units))
    }

    const DELIMITER: &[u8] = &[9, 0xF0];
    const SLICE: &[u8] = &[0x65, 0x88, 0x84];
    const PADDING: [u8; 3] = [0xFC, 0x80, 0x80];

    #[test]
    fn what_is_said_where_is_told() {
        for (pairs, expected) in [
            (&[][..], NONE),
            (&[PADDING], FIRST),
            (&[[0xFC, 0x94, 0x20], [0xFD, 0x80, 0x80]], FIRST),
            (
                &[[0xFC, 0x94, 0x20], [0xFD, 0x15, 0x2C]],
                Captions {
                    second_field: true,
                    ..FIRST
                },
            ),
            // Not valid.
            (&[[0xF8, 0x94, 0x20], [0xFB, 1, 2]], NONE),
            (
                &[[0xFA, 0, 0], [0xFF, 0x02, 0x21], [0xFE, 0x41, 0x42]],
                Captions {
                    services: true,
                    ..NONE
                },
            ),
        ] {
            let unit = sei(&[6], &[&message(pairs)]);
            assert_eq!(found(&[DELIMITER, &unit, SLICE]), expected, "{pairs:?}");
            let unit = sei(&[39 << 1, 1], &[&message(pairs)]);
            let slice: &[u8] = &[19 << 1, 1, 0xAF];
            let frame = frame(&[&unit, slice]);
            let found = Captions::of_frame(VideoCodec::Hevc, 4, &frame);
            assert_eq!(found, expected, "HEVC {pairs:?}");
        }
    }

    #[test]
    fn only_what_is_meant_for_them_is_read() {
        let captions = message(&[PADDING]);
        let unit = sei(&[6], &[&captions]);
        // Behind what else there is, also what is longer than 254 bytes.
        let mut long = vec![5, 0xFF, 45];
        long.resize(3 + 300, 0);
        assert_eq!(found(&[&sei(&[6], &[&[1, 1, 0], &long, &captions])]), FIRST);
        assert_eq!(found(&[&sei(&[6], &[&long]), &unit]), FIRST);
        // Behind the picture, where there is none for it.
        assert_eq!(found(&[DELIMITER, SLICE, &unit]), NONE);
        // In a unit of another kind, and of another codec.
        assert_eq!(found(&[&sei(&[7], &[&captions])]), NONE);
        let frame = frame(&[&unit]);
        assert_eq!(Captions::of_frame(VideoCodec::Av1, 4, &frame), NONE);
        // Of somebody else, and of something else.
        for (place, byte) in [(2, 0xB4), (4, 0x2F), (5, b'D'), (9, 6), (10, 0x01)] {
            let mut other = captions.clone();
            other[place] = byte;
            assert_eq!(found(&[&sei(&[6], &[&other])]), NONE, "{place}");
        }
        // What is cut off tells of what is there.
        for end in 0..unit.len() {
            found(&[&unit[..end]]);
        }
        let huge = [&[6, 5][..], &[0xFF; 9000]].concat();
        assert_eq!(found(&[&huge, &unit]), FIRST);
    }

    #[test]
    fn channels_have_their_names() {
        let names = |captions: Captions| captions.channels().collect::<Vec<_>>();
        assert_eq!(names(NONE), [""; 0]);
        assert_eq!(names(FIRST), ["CC1"]);
        assert_eq!(names(Captions::ALL), ["CC1", "CC3"]);
        assert!(FIRST.or(Captions::ALL).is_all() && NONE.or(NONE).is_none());
    }

    proptest! {
        #[test]
        fn captions_are_found_among_any_messages_and_in_no_others(
            before in prop::collection::vec((0u8..255, prop::collection::vec(0u8..6, 0..90)), 0..6),
            pairs in prop::collection::vec(any::<[u8; 3]>(), 0..31),
            cut in 0usize..400,
        ) {
            let others = before.iter().filter(|(kind, _)| *kind != 4);
            let others = others.flat_map(|(kind, body)| {
                [&[*kind, body.len() as u8][..], body].concat()
            });
            let others: Vec<u8> = others.collect();
            let mut expected = NONE;
            for [kind, first, second] in &pairs {
                let is_said = (first | second) & 0x7F != 0;
                let is_valid = kind & 4 != 0;
                expected.first_field |= is_valid && kind & 3 == 0;
                expected.second_field |= is_valid && is_said && kind & 3 == 1;
                expected.services |= is_valid && is_said && kind & 3 == 3;
            }
            prop_assert_eq!(found(&[&sei(&[6], &[&others])]), NONE);
            let unit = sei(&[6], &[&others, &message(&pairs)]);
            prop_assert_eq!(found(&[DELIMITER, &unit, SLICE]), expected);
            // What is cut off says no more than the whole.
            let cut = found(&[&unit[..cut.min(unit.len())]]);
            prop_assert_eq!(cut.or(expected), expected);
        }

        #[test]
        fn any_bytes_are_read(codec in 0..2, length_size in 1usize..5, bytes: Vec<u8>) {
            let codec = [VideoCodec::Avc, VideoCodec::Hevc][codec as usize];
            Captions::of_frame(codec, length_size, &bytes);
        }
    }
}
