//! A panic inside an export becomes a code, a message and a log record; the handle
//! goes on working.

#![allow(unsafe_code, reason = "it calls the library as C does")]

use std::ffi::{CStr, c_void};
use std::ptr::{null, null_mut};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use openrtmp::error::{OPENRTMP_ERROR_PANIC, OPENRTMP_OK, openrtmp_last_error_message};
use openrtmp::logging::{
    OPENRTMP_LOG_ERROR, OpenrtmpLogCallbacks, OpenrtmpLogRecord, openrtmp_log_set,
};
use openrtmp::{config, panic_on_purpose};

unsafe extern "C" fn on_record(user_data: *mut c_void, record: *const OpenrtmpLogRecord) {
    // SAFETY: the sender outlives the log callback; the record lives during the call.
    let (sender, record) = unsafe { (&*user_data.cast::<Sender<String>>(), &*record) };
    // SAFETY: the text lives during the call.
    let text = unsafe {
        std::slice::from_raw_parts(record.message.data.cast::<u8>(), record.message.length)
    };
    let _ = sender.send(String::from_utf8_lossy(text).into_owned());
}

#[test]
fn a_panic_is_a_code_a_message_and_a_log_record() {
    let (sender, records) = channel::<String>();
    let callbacks = OpenrtmpLogCallbacks {
        struct_size: size_of::<OpenrtmpLogCallbacks>() as u32,
        max_level: OPENRTMP_LOG_ERROR,
        user_data: std::ptr::from_ref(&sender).cast_mut().cast(),
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

    // SAFETY: as above; what was made is freed once.
    unsafe {
        assert_eq!(config::openrtmp_config_new(0, &mut handle), OPENRTMP_OK);
        assert_eq!(config::openrtmp_config_validate(handle), OPENRTMP_OK);
        panic_on_purpose();
        config::openrtmp_config_free(handle);
        config::openrtmp_config_free(handle);
        assert_eq!(openrtmp_log_set(null()), OPENRTMP_OK);
    }
}
