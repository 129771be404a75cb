//! A child process and what it has of its parent.

use std::ptr::null_mut;
use std::sync::mpsc::RecvError;

use openrtmp::OpenrtmpStr;
use openrtmp::error::{OPENRTMP_ERROR_STATE, OPENRTMP_OK};
use openrtmp::events::{openrtmp_events_close, openrtmp_events_next, openrtmp_events_open};
use openrtmp::publisher::openrtmp_publisher_write_message;
use openrtmp::reach::openrtmp_server_port;
use openrtmp::server::{
    openrtmp_server_free, openrtmp_server_start, openrtmp_server_state, openrtmp_server_stop,
};
use openrtmp::tap::{openrtmp_tap_free, openrtmp_tap_open};

use crate::host::{Host, plain};

#[test]
fn a_child_is_told_that_its_parents_handles_are_not_its_own() {
    let host = Host::new(&[], |_, _| {});
    let mut events = null_mut();
    // SAFETY: the handle lives.
    let opened = unsafe { openrtmp_events_open(host.server, &mut events) };
    assert_eq!(opened, OPENRTMP_OK);
    host.start();
    let publisher = host.publisher("live/cam").unwrap();
    let mut tap = null_mut();
    // SAFETY: the handle lives; a tap without callbacks.
    let opened = unsafe {
        openrtmp_tap_open(
            host.server,
            OpenrtmpStr::new(""),
            std::ptr::null(),
            &mut tap,
        )
    };
    assert_eq!(opened, OPENRTMP_OK);
    // SAFETY: the child calls this library, and ends without running what its parent
    // registered.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let (mut state, mut port, mut event) = (0, 0, std::ptr::null());
        // SAFETY: the handles are there, as they were in the parent.
        let codes = unsafe {
            [
                openrtmp_server_state(host.server, &mut state),
                openrtmp_server_port(host.server, 0, &mut port),
                openrtmp_server_start(host.server),
                openrtmp_server_stop(host.server, 0, null_mut()),
                openrtmp_server_free(host.server),
                openrtmp_events_next(events, 60_000, &mut event),
                openrtmp_publisher_write_message(publisher.0, 2, 0, std::ptr::null(), 0),
                openrtmp_tap_free(tap),
            ]
        };
        let refused = codes == [OPENRTMP_ERROR_STATE; 8];
        // SAFETY: nothing of the parent's is touched.
        unsafe { libc::_exit(if refused { 0 } else { 1 }) };
    }
    let mut status = -1;
    // SAFETY: the child made above.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
    // The parent's works on.
    drop(publisher);
    // SAFETY: freed once.
    unsafe {
        assert_eq!(openrtmp_tap_free(tap), OPENRTMP_OK);
        openrtmp_events_close(events);
    }
    assert_eq!(host.free(), OPENRTMP_OK);
    assert_eq!(host.closed.recv(), Err(RecvError));
}

#[test]
fn a_child_may_have_a_server_of_its_own() {
    // SAFETY: as above.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let server = plain(&[]);
        // SAFETY: the handle lives, and is freed once.
        let worked = unsafe {
            openrtmp_server_start(server) == OPENRTMP_OK
                && openrtmp_server_free(server) == OPENRTMP_OK
        };
        // SAFETY: nothing of the parent's is touched.
        unsafe { libc::_exit(if worked { 0 } else { 1 }) };
    }
    let mut status = -1;
    // SAFETY: the child made above.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
}
