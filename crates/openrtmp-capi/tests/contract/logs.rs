//! Log records of the process and of one server; the library's threads.

use std::ffi::c_void;
use std::sync::mpsc::{Receiver, Sender, channel};

use openrtmp::OpenrtmpStr;
use openrtmp::error::{
    OPENRTMP_ERROR_INVALID_ARGUMENT, OPENRTMP_ERROR_STATE, OPENRTMP_OK, openrtmp_last_error_message,
};
use openrtmp::logging::{
    OPENRTMP_LOG_INFO, OpenrtmpLogCallbacks, OpenrtmpLogRecord, openrtmp_log_set,
    openrtmp_log_to_system, openrtmp_server_log_set,
};
use openrtmp::server::openrtmp_server_id;
use openrtmp::threads::{OpenrtmpThreadHooks, openrtmp_thread_hooks};

use crate::host::{Host, ok, owned};

type Record = (u64, String);

unsafe extern "C" fn on_record(user_data: *mut c_void, record: *const OpenrtmpLogRecord) {
    // SAFETY: the sender lives until on_closed, the record during the call.
    let (sender, record) = unsafe { (&*user_data.cast::<Sender<Record>>(), &*record) };
    // SAFETY: the text lives during the call.
    let _ = sender.send((record.server_id, unsafe { owned(record.message) }));
}

unsafe extern "C" fn on_closed(user_data: *mut c_void) {
    // SAFETY: made by `sink`, and this is the last call.
    drop(unsafe { Box::from_raw(user_data.cast::<Sender<Record>>()) });
}

fn sink() -> (OpenrtmpLogCallbacks, Receiver<Record>) {
    let (sender, receiver) = channel();
    let table = OpenrtmpLogCallbacks {
        struct_size: size_of::<OpenrtmpLogCallbacks>() as u32,
        max_level: OPENRTMP_LOG_INFO,
        user_data: Box::into_raw(Box::new(sender)).cast(),
        on_record: Some(on_record),
        on_closed: Some(on_closed),
    };
    (table, receiver)
}

#[test]
fn a_server_has_a_log_of_its_own_and_records_name_their_server() {
    let hosts = [(); 2].map(|()| Host::new(&[], |_, _| {}));
    let ids = hosts.each_ref().map(|host| {
        let mut id = 0;
        // SAFETY: the handle lives.
        ok(unsafe { openrtmp_server_id(host.server, &mut id) });
        id
    });
    assert_ne!(ids[0], ids[1]);
    let (all, of_all) = sink();
    let (one, of_one) = sink();
    // SAFETY: whole tables; the handle lives.
    unsafe {
        ok(openrtmp_log_set(&all));
        ok(openrtmp_server_log_set(hosts[1].server, &one));
    }
    for (n, host) in hosts.iter().enumerate() {
        host.start();
        drop(host.publisher(&format!("live/{n}")).unwrap());
        assert_eq!(host.free(), OPENRTMP_OK);
    }
    // Its last call came with the server's end.
    let of_one: Vec<_> = of_one.iter().collect();
    assert!(
        of_one.iter().any(|(_, message)| message == "published"),
        "{of_one:?}"
    );
    assert!(of_one.iter().all(|(id, _)| *id == ids[1]), "{of_one:?}");
    // SAFETY: to nobody.
    ok(unsafe { openrtmp_log_set(std::ptr::null()) });
    let of_all: Vec<_> = of_all.iter().collect();
    for id in ids {
        let published = |(of, message): &&Record| *of == id && message == "published";
        assert_eq!(of_all.iter().filter(published).count(), 1, "{of_all:?}");
    }
}

#[test]
fn a_system_without_a_log_says_so_and_levels_are_checked() {
    assert_eq!(openrtmp_log_to_system(6), OPENRTMP_ERROR_INVALID_ARGUMENT);
    let has_one = cfg!(any(
        all(target_vendor = "apple", feature = "oslog"),
        all(target_os = "android", feature = "android_logger")
    ));
    match openrtmp_log_to_system(OPENRTMP_LOG_INFO) {
        OPENRTMP_OK => assert!(has_one),
        status => {
            assert!(!has_one);
            assert_eq!(status, OPENRTMP_ERROR_STATE);
            // SAFETY: of this thread, and no other call comes between.
            let why = unsafe { std::ffi::CStr::from_ptr(openrtmp_last_error_message()) };
            let why = why.to_str().unwrap();
            assert!(why.contains("os_log") || why.contains("feature"), "{why}");
        }
    }
    ok(openrtmp_log_to_system(0));
}

unsafe extern "C" fn on_begin(user_data: *mut c_void, name: OpenrtmpStr) {
    // SAFETY: the sender is never freed, the name lives during the call.
    let (sender, name) = unsafe { (&*user_data.cast::<Sender<(bool, String)>>(), owned(name)) };
    let _ = sender.send((true, name));
}

unsafe extern "C" fn on_end(user_data: *mut c_void, name: OpenrtmpStr) {
    // SAFETY: as above.
    let (sender, name) = unsafe { (&*user_data.cast::<Sender<(bool, String)>>(), owned(name)) };
    let _ = sender.send((false, name));
}

#[test]
fn hooks_are_called_first_and_last_on_every_thread() {
    let (sender, threads) = channel::<(bool, String)>();
    let hooks = OpenrtmpThreadHooks {
        struct_size: size_of::<OpenrtmpThreadHooks>() as u32,
        reserved: 0,
        user_data: Box::into_raw(Box::new(sender)).cast(),
        on_begin: Some(on_begin),
        on_end: Some(on_end),
    };
    // SAFETY: a whole table, whose sender is there for good.
    ok(unsafe { openrtmp_thread_hooks(&hooks) });
    let host = Host::new(&[("workers", "2")], |_, _| {});
    host.start();
    assert_eq!(host.free(), OPENRTMP_OK);
    // SAFETY: nothing more.
    ok(unsafe { openrtmp_thread_hooks(std::ptr::null()) });
    // Other tests may start servers meanwhile: as many ends as beginnings, and what ours
    // has among them. The last end comes after on_closed has returned.
    let mut open = Vec::new();
    let mut seen = Vec::new();
    let wanted = [
        "openrtmp-closed",
        "openrtmp-events",
        "openrtmp-0",
        "openrtmp-1",
    ];
    while !open.is_empty() || !wanted.iter().all(|name| seen.iter().any(|s| s == name)) {
        let (begins, name) = threads.recv().unwrap();
        match begins {
            true => {
                open.push(name.clone());
                seen.push(name);
            }
            false => {
                let place = open.iter().position(|begun| *begun == name);
                open.swap_remove(place.unwrap());
            }
        }
    }
}
