//! In a program that has a logger of its own the log callback is refused, and is not
//! called then, not even to be closed: its user data may be gone.

#![allow(unsafe_code, reason = "it calls the library as C does")]

use std::ffi::c_void;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use openrtmp::error::OPENRTMP_ERROR_STATE;
use openrtmp::logging::{
    OPENRTMP_LOG_ERROR, OpenrtmpLogCallbacks, OpenrtmpLogRecord, openrtmp_log_set,
};

struct Own;

impl log::Log for Own {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        false
    }

    fn log(&self, _: &log::Record<'_>) {}

    fn flush(&self) {}
}

unsafe extern "C" fn on_record(_: *mut c_void, _: *const OpenrtmpLogRecord) {}

unsafe extern "C" fn on_closed(user_data: *mut c_void) {
    // SAFETY: the sender lives as long as the program.
    let _ = unsafe { &*user_data.cast::<Sender<()>>() }.send(());
}

#[test]
fn a_refused_log_callback_is_never_called() {
    log::set_logger(&Own).expect("the first one");
    // Static: should the callback come late, it must find what it uses.
    static SENDER: OnceLock<Sender<()>> = OnceLock::new();
    let (sender, closed) = channel();
    let sender = SENDER.get_or_init(|| sender);
    let callbacks = OpenrtmpLogCallbacks {
        struct_size: size_of::<OpenrtmpLogCallbacks>() as u32,
        max_level: OPENRTMP_LOG_ERROR,
        user_data: std::ptr::from_ref(sender).cast_mut().cast(),
        on_record: Some(on_record),
        on_closed: Some(on_closed),
    };
    // SAFETY: the table is whole, and the sender stays.
    let code = unsafe { openrtmp_log_set(&callbacks) };
    assert_eq!(code, OPENRTMP_ERROR_STATE);
    let nothing = closed.recv_timeout(Duration::from_millis(200));
    assert!(nothing.is_err(), "it was refused");
}
