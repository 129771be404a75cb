//! Taps that are fetched from.

use std::ffi::c_void;
use std::ptr::null_mut;

use openrtmp::OpenrtmpStr;
use openrtmp::error::{OPENRTMP_ERROR_GONE, OPENRTMP_ERROR_TIMEOUT, OPENRTMP_OK};
use openrtmp::fetch::{
    OPENRTMP_TAP_ENDED, OPENRTMP_TAP_FRAME, OPENRTMP_TAP_STARTED, OpenrtmpTapItem,
    openrtmp_tap_descriptor, openrtmp_tap_next,
};
use openrtmp::inspect::{
    OpenrtmpPublisherInfo, OpenrtmpTapInfo, openrtmp_publisher_list, openrtmp_tap_list,
};
use openrtmp::publisher::openrtmp_publisher_write_message;
use openrtmp::server::openrtmp_server_stop;
use openrtmp::tap::{
    OPENRTMP_MEDIA_DATA, OpenrtmpTap, openrtmp_frame_release, openrtmp_frame_retain,
    openrtmp_tap_free, openrtmp_tap_open,
};

use crate::host::{Host, ok, owned};

/// What a tap told.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) kind: u32,
    pub(crate) stream: String,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn next_in(tap: *mut OpenrtmpTap, timeout_ms: u32) -> Result<Item, i32> {
    // SAFETY: the tap lives, and so does what it lends until the next call.
    unsafe {
        let mut item: OpenrtmpTapItem = std::mem::zeroed();
        item.struct_size = size_of::<OpenrtmpTapItem>() as u32;
        match openrtmp_tap_next(tap, timeout_ms, &mut item) {
            OPENRTMP_OK => {}
            code => return Err(code),
        }
        let payload = item.frame.as_ref().map_or_else(Vec::new, |frame| {
            std::slice::from_raw_parts(frame.payload, frame.payload_length).to_vec()
        });
        Ok(Item {
            kind: item.kind,
            stream: owned(item.stream),
            payload,
        })
    }
}

pub(crate) fn next(tap: *mut OpenrtmpTap) -> Result<Item, i32> {
    next_in(tap, 60_000)
}

/// onMetaData with nothing in it.
const METADATA: &[u8] = b"\x02\x00\x0aonMetaData\x08\x00\x00\x00\x00\x00\x00\x09";

#[test]
fn a_tap_is_fetched_from_to_the_end_of_its_server() {
    let host = Host::new(&[], |_, _| {});
    host.start();
    let mut tap = null_mut();
    // SAFETY: the handles live as long as they are used.
    unsafe {
        let name = OpenrtmpStr::new("live/cam");
        ok(openrtmp_tap_open(
            host.server,
            name,
            std::ptr::null(),
            &mut tap,
        ));
        assert_eq!(next_in(tap, 0).unwrap_err(), OPENRTMP_ERROR_TIMEOUT);
        let publisher = host.publisher("live/cam").unwrap();
        let started = next(tap).unwrap();
        assert_eq!(
            (started.kind, &*started.stream),
            (OPENRTMP_TAP_STARTED, "live/cam")
        );
        ok(openrtmp_publisher_write_message(
            publisher.0,
            OPENRTMP_MEDIA_DATA,
            0,
            METADATA.as_ptr(),
            METADATA.len(),
        ));
        let mut item: OpenrtmpTapItem = std::mem::zeroed();
        item.struct_size = size_of::<OpenrtmpTapItem>() as u32;
        ok(openrtmp_tap_next(tap, 60_000, &mut item));
        assert_eq!(item.kind, OPENRTMP_TAP_FRAME);
        let kept = openrtmp_frame_retain(item.frame);
        drop(publisher);
        assert_eq!(next(tap).unwrap().kind, OPENRTMP_TAP_ENDED);
        ok(openrtmp_server_stop(host.server, 0, null_mut()));
        assert_eq!(next(tap).unwrap_err(), OPENRTMP_ERROR_GONE);
        ok(openrtmp_tap_free(tap));
        let payload = std::slice::from_raw_parts((*kept).payload, (*kept).payload_length);
        assert_eq!(payload, METADATA);
        openrtmp_frame_release(kept);
    }
    assert_eq!(host.free(), OPENRTMP_OK);
}

#[cfg(unix)]
#[test]
fn an_event_loop_can_wait_for_frames() {
    use crate::events::readable;

    let host = Host::new(&[], |_, _| {});
    host.start();
    let (mut tap, mut descriptor) = (null_mut(), -1);
    // SAFETY: the handles live as long as they are used.
    unsafe {
        let name = OpenrtmpStr::new("live/cam");
        ok(openrtmp_tap_open(
            host.server,
            name,
            std::ptr::null(),
            &mut tap,
        ));
        ok(openrtmp_tap_descriptor(tap, &mut descriptor));
        for _ in 0..20 {
            // Fetched to the end, it waits.
            while next_in(tap, 0).is_ok() {}
            assert_eq!(next_in(tap, 0).unwrap_err(), OPENRTMP_ERROR_TIMEOUT);
            assert!(!readable(descriptor, 0));
            let publisher = host.publisher("live/cam").unwrap();
            assert!(readable(descriptor, -1));
            assert_eq!(next(tap).unwrap().kind, OPENRTMP_TAP_STARTED);
            drop(publisher);
            assert!(readable(descriptor, -1));
            assert_eq!(next(tap).unwrap().kind, OPENRTMP_TAP_ENDED);
        }
        ok(openrtmp_tap_free(tap));
    }
    assert_eq!(host.free(), OPENRTMP_OK);
}

unsafe extern "C" fn note_tap(user_data: *mut c_void, tap: *const OpenrtmpTapInfo) {
    // SAFETY: a list that lives during the visit, and what is visited.
    unsafe {
        let (list, tap) = (&mut *user_data.cast::<Vec<(String, u64, bool)>>(), &*tap);
        assert_eq!(tap.struct_size as usize, size_of::<OpenrtmpTapInfo>());
        assert_eq!(tap.recording, 0);
        list.push((owned(tap.stream), tap.live, tap.waiting_bytes > 0));
    }
}

unsafe extern "C" fn note_publisher(user_data: *mut c_void, info: *const OpenrtmpPublisherInfo) {
    // SAFETY: as above.
    unsafe {
        let (list, info) = (&mut *user_data.cast::<Vec<String>>(), &*info);
        assert_eq!(
            info.struct_size as usize,
            size_of::<OpenrtmpPublisherInfo>()
        );
        assert_eq!((info.connection_id, info.reserved), (0, 0));
        assert!(info.stream_id > 0);
        list.push(owned(info.stream));
    }
}

#[test]
fn a_host_lists_what_it_has_opened() {
    let host = Host::new(&[], |_, _| {});
    host.start();
    let taps = || {
        let mut list: Vec<(String, u64, bool)> = Vec::new();
        // SAFETY: the handle lives, and the list during the call.
        ok(unsafe { openrtmp_tap_list(host.server, Some(note_tap), (&raw mut list).cast()) });
        list
    };
    let publishers = || {
        let (mut list, visit): (Vec<String>, _) = (Vec::new(), Some(note_publisher as _));
        // SAFETY: as above.
        ok(unsafe { openrtmp_publisher_list(host.server, visit, (&raw mut list).cast()) });
        list
    };
    let open = |name| {
        let mut tap = null_mut();
        let name = OpenrtmpStr::new(name);
        // SAFETY: the handle lives, the text during the call.
        ok(unsafe { openrtmp_tap_open(host.server, name, std::ptr::null(), &mut tap) });
        tap
    };
    assert!(taps().is_empty() && publishers().is_empty());
    let (one, all) = (open("live/cam"), open(""));
    let idle = |name: &str| (name.to_owned(), 0, false);
    assert_eq!(taps(), [idle("live/cam"), idle("")]);
    let publisher = host.publisher("live/cam").unwrap();
    assert_eq!(publishers(), ["live/cam"]);
    assert_eq!(next(all).unwrap().kind, OPENRTMP_TAP_STARTED);
    assert_eq!(taps().last(), Some(&(String::new(), 1, false)));
    drop(publisher);
    assert!(publishers().is_empty());
    // SAFETY: each is freed once.
    unsafe {
        ok(openrtmp_tap_free(one));
        assert_eq!(taps().len(), 1);
        ok(openrtmp_tap_free(all));
    }
    assert!(taps().is_empty());
    assert_eq!(host.free(), OPENRTMP_OK);
}
