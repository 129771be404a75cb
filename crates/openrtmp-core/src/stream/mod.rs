//! Streams: one clock, one GOP cache, one set of tracks each; packets shared by
//! reference with every subscriber.

mod capacity;
pub(crate) mod class;
pub(crate) mod clock;
pub(crate) mod directory;
pub(crate) mod feed;
pub(crate) mod frame;
pub(crate) mod gate;
pub(crate) mod gop;
pub(crate) mod listed;
pub(crate) mod message;
pub(crate) mod packet;
pub(crate) mod picture;
pub(crate) mod pulse;
pub(crate) mod queue;
#[allow(clippy::module_inception)]
pub(crate) mod stream;
pub(crate) mod tap_queue;
pub(crate) mod tracks;

#[cfg(test)]
pub(crate) fn test_packet(
    class: class::Class,
    timestamp: u32,
    length: usize,
) -> packet::SharedPacket {
    make_packet(class, 0, timestamp, length)
}

#[cfg(test)]
pub(crate) fn test_track_packet(
    class: class::Class,
    track: u8,
    timestamp: u32,
) -> packet::SharedPacket {
    make_packet(class, track, timestamp, 1)
}

#[cfg(test)]
pub(crate) fn make_packet(
    class: class::Class,
    track: u8,
    timestamp: u32,
    length: usize,
) -> packet::SharedPacket {
    use openrtmp_protocol::session::MediaKind;
    let kind = match class {
        class::Class::Audio => MediaKind::Audio,
        class::Class::Metadata | class::Class::Data => MediaKind::Data,
        _ => MediaKind::Video,
    };
    packet::Packet::new(
        kind,
        class::Classified {
            track,
            leads: track == 0,
            ..class::plain(class)
        },
        timestamp,
        openrtmp_protocol::Time::ZERO,
        vec![0u8; length].into(),
        &crate::budget::StreamMemory::new(&crate::budget::Budget::new(usize::MAX)),
    )
    .expect("memory")
}
