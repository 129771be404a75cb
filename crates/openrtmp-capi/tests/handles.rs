//! Handles, texts and structs as C hands them over, right and wrong, without a
//! server that runs: small enough for Miri, which sees what no test could.

#![allow(unsafe_code, reason = "it calls the library as C does")]

use std::ffi::{CStr, c_char, c_void};
use std::ptr::{null, null_mut};

use openrtmp::OpenrtmpStr;
use openrtmp::config::{
    OPENRTMP_FORMAT_JSON, OPENRTMP_FORMAT_YAML, OPENRTMP_PROFILE_DESKTOP, OPENRTMP_PROFILE_MOBILE,
    OpenrtmpConfig, openrtmp_config_dump, openrtmp_config_free, openrtmp_config_get,
    openrtmp_config_load_text, openrtmp_config_new, openrtmp_config_set, openrtmp_config_validate,
};
use openrtmp::error::{
    OPENRTMP_ERROR_BUFFER_TOO_SMALL, OPENRTMP_ERROR_CONFIG, OPENRTMP_ERROR_INVALID_ARGUMENT,
    OPENRTMP_ERROR_INVALID_UTF8, OPENRTMP_ERROR_PANIC, OPENRTMP_ERROR_STATE,
    OPENRTMP_ERROR_STRUCT_SIZE, OPENRTMP_OK, openrtmp_last_error_message, openrtmp_strerror,
};
use openrtmp::reach::openrtmp_server_port;
use openrtmp::server::{
    OPENRTMP_STATE_STOPPED, OpenrtmpCallbacks, OpenrtmpServer, openrtmp_server_free,
    openrtmp_server_new, openrtmp_server_state, openrtmp_server_stop,
};

fn last_error() -> String {
    // SAFETY: never NULL, ends with NUL, good until the next failure.
    let message = unsafe { CStr::from_ptr(openrtmp_last_error_message()) };
    message.to_string_lossy().into_owned()
}

/// Settings that are freed at the end.
struct Settings(*mut OpenrtmpConfig);

impl Settings {
    fn new(profile: u32) -> Settings {
        let mut handle = null_mut();
        // SAFETY: the handle may be written.
        let code = unsafe { openrtmp_config_new(profile, &mut handle) };
        assert_eq!(code, OPENRTMP_OK);
        Settings(handle)
    }

    fn set(&self, path: &str, value: &str) -> i32 {
        let (path, value) = (OpenrtmpStr::new(path), OpenrtmpStr::new(value));
        // SAFETY: the handle lives, and the texts outlive the call.
        unsafe { openrtmp_config_set(self.0, path, value) }
    }

    fn load(&self, document: &str, format: u32) -> i32 {
        // SAFETY: as above.
        unsafe { openrtmp_config_load_text(self.0, OpenrtmpStr::new(document), format) }
    }

    fn get(&self, path: &str) -> String {
        self.text(|buffer, capacity, length| {
            // SAFETY: as above, and the buffer is as large as is said.
            unsafe { openrtmp_config_get(self.0, OpenrtmpStr::new(path), buffer, capacity, length) }
        })
    }

    fn dump(&self, format: u32) -> String {
        self.text(|buffer, capacity, length| {
            // SAFETY: as above.
            unsafe { openrtmp_config_dump(self.0, format, buffer, capacity, length) }
        })
    }

    /// Asks for the length, then for the text, as the header shows.
    fn text(&self, call: impl Fn(*mut c_char, usize, *mut usize) -> i32) -> String {
        let mut length = 0;
        assert_eq!(call(null_mut(), 0, &mut length), OPENRTMP_OK);
        let mut buffer = vec![0u8; length + 1];
        let too_small = call(buffer.as_mut_ptr().cast(), length, &mut length);
        assert_eq!(too_small, OPENRTMP_ERROR_BUFFER_TOO_SMALL);
        let code = call(buffer.as_mut_ptr().cast(), length + 1, &mut length);
        assert_eq!(code, OPENRTMP_OK);
        assert_eq!(buffer.pop(), Some(0), "it ends with NUL");
        String::from_utf8(buffer).expect("all texts are UTF-8")
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        // SAFETY: made above, freed once.
        unsafe { openrtmp_config_free(self.0) };
    }
}

#[test]
fn a_setting_reads_as_it_was_set() {
    let settings = Settings::new(OPENRTMP_PROFILE_DESKTOP);
    assert_eq!(settings.set("limits.connections", "7"), OPENRTMP_OK);
    assert_eq!(settings.get("limits.connections"), "7");
}

#[test]
#[cfg_attr(miri, ignore = "minutes in an interpreter")]
fn settings_are_carried_over_by_their_documents() {
    let settings = Settings::new(OPENRTMP_PROFILE_DESKTOP);
    assert_eq!(settings.set("limits.connections", "7"), OPENRTMP_OK);
    assert_eq!(settings.set("listen", "127.0.0.1:0"), OPENRTMP_OK);

    for format in [OPENRTMP_FORMAT_JSON, OPENRTMP_FORMAT_YAML] {
        let copy = Settings::new(OPENRTMP_PROFILE_MOBILE);
        assert_eq!(copy.load(&settings.dump(format), format), OPENRTMP_OK);
        assert_eq!(copy.get("limits.connections"), "7");
        assert_eq!(copy.dump(format), settings.dump(format));
        // SAFETY: the handle lives.
        assert_eq!(unsafe { openrtmp_config_validate(copy.0) }, OPENRTMP_OK);
    }
}

#[test]
fn a_document_with_one_mistake_changes_nothing() {
    let settings = Settings::new(OPENRTMP_PROFILE_DESKTOP);
    let before = settings.get("workers");
    let document = r#"{"workers": 3, "limits": {"connektions": 1}}"#;
    let code = settings.load(document, OPENRTMP_FORMAT_JSON);
    assert_eq!(code, OPENRTMP_ERROR_CONFIG);
    assert!(last_error().contains("connektions"), "{}", last_error());
    assert_eq!(settings.get("workers"), before);
}

#[test]
fn wrong_pointers_and_texts_are_codes() {
    let settings = Settings::new(OPENRTMP_PROFILE_DESKTOP);
    let name = OpenrtmpStr::new("workers");
    let without_place = OpenrtmpStr {
        data: null(),
        length: 3,
    };
    let endless = OpenrtmpStr {
        length: usize::MAX,
        ..name
    };
    let latin1 = OpenrtmpStr {
        data: c"work\xE9rs".as_ptr(),
        length: 7,
    };
    let mut bytes = [0u64; 2];
    // SAFETY: one byte into an array of them.
    let odd = unsafe { bytes.as_mut_ptr().cast::<u8>().add(1) };
    let invalid = OPENRTMP_ERROR_INVALID_ARGUMENT;
    // SAFETY: what is wrong is told before anything is followed.
    unsafe {
        assert_eq!(openrtmp_config_new(0, null_mut()), invalid);
        assert_eq!(openrtmp_config_new(0, odd.cast()), invalid);
        assert_eq!(openrtmp_config_new(77, bytes.as_mut_ptr().cast()), invalid);
        assert_eq!(openrtmp_config_validate(null()), invalid);
        assert_eq!(openrtmp_config_validate(odd.cast()), invalid);
        assert_eq!(
            openrtmp_config_set(settings.0, without_place, name),
            invalid
        );
        assert_eq!(openrtmp_config_set(settings.0, endless, name), invalid);
        let code = openrtmp_config_set(settings.0, latin1, name);
        assert_eq!(code, OPENRTMP_ERROR_INVALID_UTF8);
        assert!(last_error().contains("byte 4"), "{}", last_error());
        let code = openrtmp_config_get(settings.0, name, null_mut(), 5, null_mut());
        assert_eq!(code, invalid);
        openrtmp_config_free(null_mut());
    }
    assert_eq!(settings.load("{}", 77), invalid);
}

#[test]
fn every_code_has_a_text_of_its_own() {
    let text = |code| {
        // SAFETY: never NULL, static.
        unsafe { CStr::from_ptr(openrtmp_strerror(code)) }
    };
    let mut texts: Vec<&CStr> = (OPENRTMP_ERROR_PANIC..=OPENRTMP_OK).map(text).collect();
    let count = texts.len();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), count);
    assert!(!texts.contains(&text(1)), "a code that is none");
}

unsafe extern "C" fn count_closed(user_data: *mut c_void) {
    // SAFETY: the counter of the test, which lives until the server is gone.
    unsafe { *user_data.cast::<u32>() += 1 };
}

fn callbacks(closed: &mut u32) -> OpenrtmpCallbacks {
    OpenrtmpCallbacks {
        struct_size: size_of::<OpenrtmpCallbacks>() as u32,
        reserved: 0,
        user_data: std::ptr::from_mut(closed).cast(),
        on_event: None,
        on_access: None,
        on_closed: Some(count_closed),
        on_order: None,
    }
}

#[test]
fn a_server_that_never_ran_says_so_and_closes_once() {
    let settings = Settings::new(OPENRTMP_PROFILE_MOBILE);
    let mut closed = 0;
    let table = callbacks(&mut closed);
    let mut server: *mut OpenrtmpServer = null_mut();
    let (mut state, mut port) = (u32::MAX, 0);
    // SAFETY: all places live, and the server is freed once.
    unsafe {
        let code = openrtmp_server_new(settings.0, &table, &mut server);
        assert_eq!(code, OPENRTMP_OK);
        assert_eq!(openrtmp_server_state(server, &mut state), OPENRTMP_OK);
        assert_eq!(state, OPENRTMP_STATE_STOPPED);
        let code = openrtmp_server_port(server, 0, &mut port);
        assert_eq!(code, OPENRTMP_ERROR_STATE);
        let code = openrtmp_server_stop(server, 0, null_mut());
        assert_eq!(code, OPENRTMP_ERROR_STATE);
        assert_eq!(openrtmp_server_free(server), OPENRTMP_OK);
        assert_eq!(openrtmp_server_free(null_mut()), OPENRTMP_OK);
    }
    assert_eq!(closed, 1);
}

#[test]
fn a_server_that_could_not_be_made_does_not_call_back() {
    let settings = Settings::new(OPENRTMP_PROFILE_MOBILE);
    let mut closed = 0;
    let mut table = callbacks(&mut closed);
    table.struct_size = 4;
    let mut server: *mut OpenrtmpServer = null_mut();
    // SAFETY: all places live.
    let code = unsafe { openrtmp_server_new(settings.0, &table, &mut server) };
    assert_eq!(code, OPENRTMP_ERROR_STRUCT_SIZE);
    assert!(server.is_null());
    assert_eq!(closed, 0);
}
