//! A panic inside an export becomes a code, a message, a log record and an event of
//! each server that runs; the handle goes on working.

#![allow(unsafe_code, reason = "it calls the library as C does")]

use std::ffi::{CStr, c_void};
use std::ptr::{from_ref, null, null_mut};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use openrtmp::config::OpenrtmpConfig;
use openrtmp::error::{OPENRTMP_ERROR_PANIC, OPENRTMP_OK, openrtmp_last_error_message};
use openrtmp::event::{OPENRTMP_EVENT_INTERNAL_ERROR, OpenrtmpEvent};
use openrtmp::logging::{
    OPENRTMP_LOG_ERROR, OpenrtmpLogCallbacks, OpenrtmpLogRecord, openrtmp_log_set,
};
use openrtmp::server::{
    OPENRTMP_STATE_RUNNING, OpenrtmpCallbacks, OpenrtmpServer, openrtmp_server_free,
    openrtmp_server_new, openrtmp_server_start, openrtmp_server_state,
};
use openrtmp::{OpenrtmpStr, config, panic_on_purpose};

/// # Safety
/// The text lives during the call.
unsafe fn text(text: OpenrtmpStr) -> String {
    // SAFETY: the caller's promise.
    let bytes = unsafe { std::slice::from_raw_parts(text.data.cast::<u8>(), text.length) };
    String::from_utf8_lossy(bytes).into_owned()
}

unsafe extern "C" fn on_record(user_data: *mut c_void, record: *const OpenrtmpLogRecord) {
    // SAFETY: the sender outlives the log callback; the record lives during the call.
    let (sender, record) = unsafe { (&*user_data.cast::<Sender<String>>(), &*record) };
    // SAFETY: the text lives during the call.
    let _ = sender.send(unsafe { text(record.message) });
}

unsafe extern "C" fn on_event(user_data: *mut c_void, event: *const OpenrtmpEvent) {
    // SAFETY: the sender outlives the server; the event lives during the call.
    let (sender, event) = unsafe { (&*user_data.cast::<Sender<(u32, String)>>(), &*event) };
    // SAFETY: the text lives during the call.
    let _ = sender.send((event.kind, unsafe { text(event.text) }));
}

fn start(settings: *const OpenrtmpConfig, events: &Sender<(u32, String)>) -> *mut OpenrtmpServer {
    let callbacks = OpenrtmpCallbacks {
        struct_size: size_of::<OpenrtmpCallbacks>() as u32,
        reserved: 0,
        user_data: from_ref(events).cast_mut().cast(),
        on_event: Some(on_event),
        on_access: None,
        on_closed: None,
        on_order: None,
    };
    let mut server = null_mut();
    // SAFETY: live settings, a whole table, a place for the handle.
    unsafe {
        assert_eq!(
            openrtmp_server_new(settings, &callbacks, &mut server),
            OPENRTMP_OK
        );
        assert_eq!(openrtmp_server_start(server), OPENRTMP_OK);
    }
    server
}

fn told(events: &Receiver<(u32, String)>) -> String {
    loop {
        let (kind, text) = events.recv_timeout(Duration::from_secs(10)).unwrap();
        if kind == OPENRTMP_EVENT_INTERNAL_ERROR {
            return text;
        }
    }
}

#[test]
fn a_panic_is_a_code_a_message_a_log_record_and_an_event() {
    let (sender, records) = channel::<String>();
    let callbacks = OpenrtmpLogCallbacks {
        struct_size: size_of::<OpenrtmpLogCallbacks>() as u32,
        max_level: OPENRTMP_LOG_ERROR,
        user_data: from_ref(&sender).cast_mut().cast(),
        on_record: Some(on_record),
        on_closed: None,
    };
    // SAFETY: the table is whole, and the sender stays until the callback is gone.
    assert_eq!(unsafe { openrtmp_log_set(&callbacks) }, OPENRTMP_OK);

    let mut handle = null_mut();
    panic_on_purpose();
    // SAFETY: the place for the handle can be written.
    let code = unsafe { config::openrtmp_config_new(0, &mut handle) };
    assert_eq!(code, OPENRTMP_ERROR_PANIC);
    assert!(handle.is_null());
    // SAFETY: the message is text that ends with NUL, good until the next failure.
    let message = unsafe { CStr::from_ptr(openrtmp_last_error_message()) };
    assert!(message.to_string_lossy().contains("on purpose"));
    let record = records.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(record.contains("on purpose"), "{record}");

    // SAFETY: as above.
    unsafe {
        assert_eq!(config::openrtmp_config_new(0, &mut handle), OPENRTMP_OK);
        assert_eq!(config::openrtmp_config_validate(handle), OPENRTMP_OK);
        let (path, value) = (OpenrtmpStr::new("listen"), OpenrtmpStr::new("127.0.0.1:0"));
        assert_eq!(
            config::openrtmp_config_set(handle, path, value),
            OPENRTMP_OK
        );
    }
    let (first, second) = (channel(), channel());
    let servers = [start(handle, &first.0), start(handle, &second.0)];
    let mut state = 0;
    panic_on_purpose();
    // SAFETY: a live handle, and a place for the state.
    let code = unsafe { openrtmp_server_state(servers[0], &mut state) };
    assert_eq!((code, state), (OPENRTMP_ERROR_PANIC, 0));
    for events in [&first.1, &second.1] {
        assert!(told(events).contains("on purpose"));
    }
    // One that returns nothing tells too.
    panic_on_purpose();
    // SAFETY: live handles; what was made is freed once.
    unsafe {
        config::openrtmp_config_free(handle);
        config::openrtmp_config_free(handle);
        assert!(told(&first.1).contains("on purpose"));
        assert_eq!(openrtmp_server_state(servers[0], &mut state), OPENRTMP_OK);
        assert_eq!(state, OPENRTMP_STATE_RUNNING);
        for server in servers {
            assert_eq!(openrtmp_server_free(server), OPENRTMP_OK);
        }
        assert_eq!(openrtmp_log_set(null()), OPENRTMP_OK);
    }
}
