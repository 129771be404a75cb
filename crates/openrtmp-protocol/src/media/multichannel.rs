use super::{Cursor, MediaError};

/// The body of an [`AudioPacketKind::MultichannelConfig`] packet: which speaker
/// each channel feeds.
///
/// [`AudioPacketKind::MultichannelConfig`]: super::AudioPacketKind::MultichannelConfig
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MultichannelConfig<'a> {
    /// Number of channels.
    pub channels: u8,
    /// Their order.
    pub layout: ChannelLayout<'a>,
}

/// AudioChannelOrder and what comes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelLayout<'a> {
    /// Only the count is known.
    Unspecified,
    /// The channels whose AudioChannelMask bits are set, in the order of the
    /// bits: 1 front left, 2 front right, 4 front centre, ...
    Native(u32),
    /// One AudioChannel per channel: 0 front left, 1 front right, ...,
    /// 0xFE unused, 0xFF unknown.
    Custom(&'a [u8]),
}

impl MultichannelConfig<'_> {
    /// Reads the body of the packet.
    ///
    /// # Errors
    /// [`MediaError::Truncated`] if it is too short, [`MediaError::Layout`] if
    /// the channel order is not known.
    pub fn parse(body: &[u8]) -> Result<MultichannelConfig<'_>, MediaError> {
        let mut cursor = Cursor::new(body);
        let order = cursor.u8()?;
        let channels = cursor.u8()?;
        let layout = match order {
            0 => ChannelLayout::Unspecified,
            1 => ChannelLayout::Native(u32::from_be_bytes(cursor.array()?)),
            2 => ChannelLayout::Custom(cursor.take(usize::from(channels))?),
            unknown => return Err(MediaError::Layout(unknown)),
        };
        Ok(MultichannelConfig { channels, layout })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_order_is_read() {
        assert_eq!(
            MultichannelConfig::parse(&[0, 2]),
            Ok(MultichannelConfig {
                channels: 2,
                layout: ChannelLayout::Unspecified
            })
        );
        // 5.1: left, right, centre, low frequency, side left, side right.
        assert_eq!(
            MultichannelConfig::parse(&[1, 6, 0x00, 0x00, 0x06, 0x0F]),
            Ok(MultichannelConfig {
                channels: 6,
                layout: ChannelLayout::Native(0x60F)
            })
        );
        assert_eq!(
            MultichannelConfig::parse(&[2, 3, 1, 0, 0xFE]),
            Ok(MultichannelConfig {
                channels: 3,
                layout: ChannelLayout::Custom(&[1, 0, 0xFE])
            })
        );
    }

    #[test]
    fn a_short_or_unknown_configuration_is_refused() {
        for short in [&[][..], &[0], &[1, 6, 0, 0, 6], &[2, 3, 1, 0]] {
            assert_eq!(MultichannelConfig::parse(short), Err(MediaError::Truncated));
        }
        assert_eq!(
            MultichannelConfig::parse(&[3, 2]),
            Err(MediaError::Layout(3))
        );
    }
}
