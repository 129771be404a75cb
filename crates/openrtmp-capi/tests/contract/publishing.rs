//! Publishing, over and over, and without copies.

use std::ptr::null_mut;

use openrtmp::OpenrtmpStr;
use openrtmp::error::{OPENRTMP_ERROR_BUSY, OPENRTMP_ERROR_INVALID_ARGUMENT, OPENRTMP_OK};
use openrtmp::fetch::{OPENRTMP_TAP_FRAME, OPENRTMP_TAP_STARTED};
use openrtmp::publisher::{
    OpenrtmpMedia, OpenrtmpTrack, openrtmp_publisher_configure, openrtmp_publisher_lend,
    openrtmp_publisher_write,
};
use openrtmp::tap::{
    OPENRTMP_FOURCC_AVC, OPENRTMP_FRAME_KEY, OPENRTMP_MEDIA_VIDEO, openrtmp_tap_free,
    openrtmp_tap_open,
};

use crate::host::{Host, ok};
use crate::taps::{Item, next};

#[test]
fn a_name_is_free_and_a_seat_too_when_its_publisher_was_freed() {
    let host = Host::new(&[("limits.publishers", "1"), ("workers", "2")], |_, _| {});
    host.start();
    for n in 0..1000 {
        let publisher = host
            .publisher("live/cam")
            .unwrap_or_else(|code| panic!("{n}: {code}"));
        assert_eq!(host.publisher("live/cam").err(), Some(OPENRTMP_ERROR_BUSY));
        drop(publisher);
        // Another name, for which there is one seat.
        let other = host.publisher(&format!("live/{n}"));
        drop(other.unwrap_or_else(|code| panic!("{n}: {code}")));
    }
    assert_eq!(host.free(), OPENRTMP_OK);
}

#[test]
fn a_frame_in_a_lent_buffer_is_what_is_published() {
    let host = Host::new(&[], |_, _| {});
    host.start();
    let mut tap = null_mut();
    let publisher = host.publisher("live/cam").unwrap();
    // SAFETY: the handles live, the structs are whole, and the buffer is written within
    // its bounds.
    unsafe {
        ok(openrtmp_tap_open(
            host.server,
            OpenrtmpStr::new(""),
            std::ptr::null(),
            &mut tap,
        ));
        let mut track: OpenrtmpTrack = std::mem::zeroed();
        track.struct_size = size_of::<OpenrtmpTrack>() as u32;
        (track.kind, track.codec) = (OPENRTMP_MEDIA_VIDEO, OPENRTMP_FOURCC_AVC);
        ok(openrtmp_publisher_configure(publisher.0, &track));
        let mut media: OpenrtmpMedia = std::mem::zeroed();
        media.struct_size = size_of::<OpenrtmpMedia>() as u32;
        (media.kind, media.flags) = (OPENRTMP_MEDIA_VIDEO, OPENRTMP_FRAME_KEY);
        let mut buffer = null_mut();
        for (n, capacity) in [1usize, 100, 70_000].into_iter().enumerate() {
            ok(openrtmp_publisher_lend(publisher.0, capacity, &mut buffer));
            std::slice::from_raw_parts_mut(buffer, capacity).fill(n as u8 + 1);
            media.payload = buffer;
            media.payload_length = capacity + 1;
            let code = openrtmp_publisher_write(publisher.0, &media);
            assert_eq!(code, OPENRTMP_ERROR_INVALID_ARGUMENT);
            // It is lent still. A frame may be shorter than the buffer.
            media.payload_length = capacity - n;
            ok(openrtmp_publisher_write(publisher.0, &media));
        }
        for (n, capacity) in [1usize, 100, 70_000].into_iter().enumerate() {
            let payload = loop {
                match next(tap).unwrap() {
                    Item {
                        kind: OPENRTMP_TAP_FRAME,
                        payload,
                        ..
                    } => break payload,
                    Item { kind, .. } => assert_eq!(kind, OPENRTMP_TAP_STARTED),
                }
            };
            assert_eq!(payload, vec![n as u8 + 1; capacity - n]);
        }
        ok(openrtmp_tap_free(tap));
    }
    drop(publisher);
    assert_eq!(host.free(), OPENRTMP_OK);
}
