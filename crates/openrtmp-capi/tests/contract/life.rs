//! How a server ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvError, channel};

use openrtmp::error::{OPENRTMP_ERROR_RECURSIVE, OPENRTMP_ERROR_STATE, OPENRTMP_OK};
use openrtmp::event::OPENRTMP_EVENT_STREAM_PUBLISHED as PUBLISHED;
use openrtmp::server::{
    OpenrtmpSummary, openrtmp_server_config, openrtmp_server_free, openrtmp_server_start,
    openrtmp_server_state, openrtmp_server_stop,
};

use crate::host::{Door, Host, ok};

#[test]
fn after_free_nothing_is_called_but_on_closed() {
    let calls = Arc::new(AtomicUsize::new(0));
    let (entered, inside) = channel();
    let (counter, door) = (calls.clone(), Door::default());
    let held = door.clone();
    let host = Host::new(&[], move |_, _| {
        counter.fetch_add(1, Ordering::SeqCst);
        let _ = entered.send(());
        held.wait();
    });
    host.start();
    // Events wait behind the one whose call hangs.
    for n in 0..50 {
        drop(host.publisher(&format!("live/{n}")));
    }
    inside.recv().unwrap();
    assert_eq!(host.free(), OPENRTMP_OK);
    assert!(
        host.closed
            .try_recv()
            .is_err_and(|e| e == std::sync::mpsc::TryRecvError::Empty)
    );
    door.open();
    // on_closed follows the end of the call.
    assert_eq!(host.closed.recv(), Err(RecvError));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn free_waits_for_the_call_that_runs_and_for_on_closed() {
    let (entered, inside) = channel();
    let door = Door::default();
    let held = door.clone();
    let host = Host::new(&[], move |_, _| {
        let _ = entered.send(());
        held.wait();
    });
    host.start();
    inside.recv().unwrap();
    // Opened while free waits, or before: either way the call is over when it returns.
    let opener = std::thread::spawn(move || door.open());
    assert_eq!(host.free(), OPENRTMP_OK);
    assert_eq!(
        host.closed.try_recv(),
        Err(std::sync::mpsc::TryRecvError::Disconnected)
    );
    opener.join().unwrap();
}

#[test]
fn free_inside_a_callback_returns_and_what_is_late_answers_state() {
    let (tell, told) = channel();
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let host = Host::with(
        &[],
        move |server, event| {
            if event.kind != PUBLISHED {
                return;
            }
            counter.fetch_add(1, Ordering::SeqCst);
            let (mut state, mut config) = (0, std::ptr::null_mut());
            // SAFETY: the handle lives as long as its callbacks.
            let codes = unsafe {
                [
                    openrtmp_server_free(server),
                    openrtmp_server_free(server),
                    openrtmp_server_state(server, &mut state),
                    openrtmp_server_start(server),
                    openrtmp_server_config(server, &mut config),
                ]
            };
            tell.send(codes).unwrap();
        },
        |_| {},
    );
    host.start();
    let publishers = [host.publisher("live/a"), host.publisher("live/b")];
    let [free, rest @ ..] = told.recv().unwrap();
    assert_eq!(free, OPENRTMP_OK);
    assert_eq!(rest, [OPENRTMP_ERROR_STATE; 4]);
    assert_eq!(host.closed.recv(), Err(RecvError));
    assert_eq!(calls.load(Ordering::SeqCst), 1, "nothing new began");
    drop(publishers);
}

#[test]
fn free_in_on_closed_is_recursive_and_frees_nothing_twice() {
    let (tell, told) = channel();
    let host = Host::with(
        &[],
        |_, _| {},
        move |server| {
            let name = std::thread::current().name().map(str::to_owned);
            let mut state = 0;
            // SAFETY: the handle lives as long as its callbacks.
            let codes = unsafe {
                (
                    openrtmp_server_free(server),
                    openrtmp_server_state(server, &mut state),
                )
            };
            tell.send((name, codes)).unwrap();
        },
    );
    host.start();
    assert_eq!(host.free(), OPENRTMP_OK);
    let (thread, codes) = told.recv().unwrap();
    assert_eq!(thread.as_deref(), Some("openrtmp-closed"));
    assert_eq!(codes, (OPENRTMP_ERROR_RECURSIVE, OPENRTMP_ERROR_STATE));
}

#[test]
fn a_stop_has_a_deadline_and_tells_what_it_left_behind() {
    let (entered, inside) = channel();
    let door = Door::default();
    let held = door.clone();
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let host = Host::new(&[], move |_, _| {
        if counter.fetch_add(1, Ordering::SeqCst) == 0 {
            let _ = entered.send(());
            held.wait();
        }
    });
    host.start();
    drop(host.publisher("live/cam"));
    inside.recv().unwrap();
    let mut summary = summary();
    // SAFETY: the handle lives, and the struct is whole.
    ok(unsafe { openrtmp_server_stop(host.server, 0, &mut summary) });
    assert_eq!(summary.left_behind, 1);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    // Another run has a thread of its own for its events.
    door.open();
    host.start();
    drop(host.publisher("live/cam"));
    // SAFETY: as before.
    ok(unsafe { openrtmp_server_stop(host.server, 0, &mut summary) });
    assert_eq!(summary.left_behind, 0);
    assert!(calls.load(Ordering::SeqCst) > 1);
    assert_eq!(host.free(), OPENRTMP_OK);
    assert_eq!(host.closed.recv(), Err(RecvError));
}

#[test]
fn events_are_told_before_a_stop_returns() {
    let (tell, told) = channel();
    let host = Host::new(&[], move |_, event| {
        let _ = tell.send(event.kind);
    });
    host.start();
    let publishers: Vec<_> = (0..3)
        .map(|n| host.publisher(&format!("live/{n}")))
        .collect();
    let mut summary = summary();
    // SAFETY: the handle lives, and the struct is whole.
    ok(unsafe { openrtmp_server_stop(host.server, 0, &mut summary) });
    let told: Vec<u32> = told.try_iter().collect();
    let published = told.iter().filter(|kind| **kind == PUBLISHED);
    assert_eq!(published.count(), 3, "{told:?}");
    assert_eq!(summary.publishers, 3);
    drop(publishers);
    assert_eq!(host.free(), OPENRTMP_OK);
}

fn summary() -> OpenrtmpSummary {
    // SAFETY: integers.
    let mut summary: OpenrtmpSummary = unsafe { std::mem::zeroed() };
    summary.struct_size = size_of::<OpenrtmpSummary>() as u32;
    summary
}
