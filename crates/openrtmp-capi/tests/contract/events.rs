//! Events: where some are missing, and fetched.

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::ptr::{null, null_mut};
use std::sync::mpsc::channel;

use openrtmp::error::{OPENRTMP_ERROR_STATE, OPENRTMP_ERROR_TIMEOUT, OPENRTMP_OK};
use openrtmp::event::{
    OPENRTMP_EVENT_LOST as LOST, OPENRTMP_EVENT_SERVER_STARTED as STARTED,
    OPENRTMP_EVENT_STREAM_ENDED as ENDED, OPENRTMP_EVENT_STREAM_PUBLISHED as PUBLISHED,
};
use openrtmp::events::{
    OpenrtmpEvents, openrtmp_events_close, openrtmp_events_descriptor, openrtmp_events_next,
    openrtmp_events_open,
};
use openrtmp::inspect::{OpenrtmpStreamInfo, openrtmp_server_streams};
use openrtmp::server::{OpenrtmpServer, openrtmp_server_stop};

use crate::host::{Door, Host, Told, ok};

unsafe extern "C" fn collect(user_data: *mut c_void, stream: *const OpenrtmpStreamInfo) {
    // SAFETY: the set of the caller, and a struct that lives during the call.
    unsafe { (*user_data.cast::<BTreeSet<u64>>()).insert((*stream).stream_id) };
}

fn listed(server: *mut OpenrtmpServer) -> BTreeSet<u64> {
    loop {
        let mut found = BTreeSet::new();
        let set = (&raw mut found).cast();
        // SAFETY: the handle lives, and the set during the call.
        match unsafe { openrtmp_server_streams(server, Some(collect), set) } {
            // The machine is busy: it is asked again.
            OPENRTMP_ERROR_TIMEOUT => assert!(found.is_empty()),
            code => {
                ok(code);
                return found;
            }
        }
    }
}

#[test]
fn a_host_that_lists_where_events_are_missing_ends_with_what_there_is() {
    let door = Door::default();
    let held = door.clone();
    let (mut live, mut lost, mut seen) = (BTreeSet::new(), 0_u64, 0_u64);
    let (tell, told) = channel();
    let settings = [("limits.publishers", "100"), ("workers", "2")];
    let host = Host::new(&settings, move |server, event| {
        match event.kind {
            STARTED => held.wait(),
            PUBLISHED => drop(live.insert(event.stream)),
            ENDED => drop(live.remove(&event.stream)),
            LOST => {
                lost += event.number;
                live = listed(server);
            }
            _ => {}
        }
        seen += u64::from(event.kind != LOST);
        let _ = tell.send((seen + lost, lost, live.clone()));
    });
    host.start();
    // Three events each: more than the queue of 4,096 holds, though the host will be
    // called for some while others come.
    let mut publishers = std::collections::VecDeque::new();
    for n in 0..3000 {
        if n == 2000 {
            // The workers have told of all there was until now.
            assert_eq!(listed(host.server).len(), 20);
            door.open();
        }
        if publishers.len() == 20 {
            publishers.pop_front();
        }
        publishers.push_back(host.publisher(&format!("live/{n}")).ok().unwrap());
    }
    let expected = listed(host.server);
    assert_eq!(expected.len(), 20);
    // The start; three of each publisher that is gone, one of each that is not.
    let all = 1 + 3 * (3000 - 20) + 20;
    let (_, lost, live) = told.iter().find(|(told, ..)| *told == all).unwrap();
    assert!(lost > 0);
    assert_eq!(live, expected);
    drop(publishers);
    assert_eq!(host.free(), OPENRTMP_OK);
}

fn next(events: *mut OpenrtmpEvents, timeout_ms: u32) -> Result<Told, i32> {
    let mut event = null();
    // SAFETY: the queue lives; so does the event until the next call.
    unsafe {
        match openrtmp_events_next(events, timeout_ms, &mut event) {
            OPENRTMP_OK => Ok(Told::of(event)),
            code => Err(code),
        }
    }
}

/// Long enough for anything.
const LONG: u32 = 60_000;

#[test]
fn events_can_be_fetched_beside_the_callback() {
    let (tell, called) = channel();
    let host = Host::new(&[], move |_, event| drop(tell.send(event.clone())));
    let mut events = null_mut();
    // SAFETY: the handles live as long as they are used.
    unsafe {
        ok(openrtmp_events_open(host.server, &mut events));
        assert_eq!(next(events, 0), Err(OPENRTMP_ERROR_TIMEOUT));
        host.start();
        let mut late = null_mut();
        let code = openrtmp_events_open(host.server, &mut late);
        assert_eq!(code, OPENRTMP_ERROR_STATE);
        let mut fetched = vec![next(events, LONG).unwrap()];
        assert_eq!(fetched[0].kind, STARTED);
        drop(host.publisher("live/cam").ok().unwrap());
        while fetched.last().unwrap().kind != ENDED {
            fetched.push(next(events, LONG).unwrap());
        }
        ok(openrtmp_server_stop(host.server, 0, null_mut()));
        assert_eq!(host.free(), OPENRTMP_OK);
        loop {
            match next(events, LONG) {
                Ok(event) => fetched.push(event),
                Err(code) => break assert_eq!(code, OPENRTMP_ERROR_STATE),
            }
        }
        assert_eq!(fetched, called.try_iter().collect::<Vec<_>>());
        openrtmp_events_close(events);
        openrtmp_events_close(null_mut());
    }
}

#[cfg(unix)]
#[test]
fn an_event_loop_can_wait_for_events() {
    let host = Host::new(&[], |_, _| {});
    let mut events = null_mut();
    let mut descriptor = -1;
    // SAFETY: the handles live as long as they are used.
    unsafe {
        ok(openrtmp_events_open(host.server, &mut events));
        ok(openrtmp_events_descriptor(events, &mut descriptor));
        assert!(!readable(descriptor, 0));
        host.start();
        assert!(readable(descriptor, -1));
        let mut fetched = 0;
        while readable(descriptor, 0) {
            next(events, 0).unwrap();
            fetched += 1;
        }
        assert!(fetched > 0);
        assert_eq!(next(events, 0), Err(OPENRTMP_ERROR_TIMEOUT));
        assert_eq!(host.free(), OPENRTMP_OK);
        // It stays so: there will be nothing to wait for.
        assert!(readable(descriptor, -1));
        while next(events, 0).is_ok() {}
        assert!(readable(descriptor, 0));
        openrtmp_events_close(events);
    }
}

/// poll(2) for input.
#[cfg(unix)]
pub(crate) fn readable(descriptor: isize, timeout_ms: i32) -> bool {
    let mut entry = libc::pollfd {
        fd: descriptor as i32,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one entry, which lives during the call.
    unsafe { libc::poll(&raw mut entry, 1, timeout_ms) == 1 }
}
