//! Streams over HTTP: settings that a library can keep, and those that it cannot.

use std::ptr::null_mut;

use openrtmp::OpenrtmpStr;
use openrtmp::config::{
    OpenrtmpConfig, openrtmp_config_free, openrtmp_config_set, openrtmp_config_validate,
};
#[cfg(feature = "live")]
use openrtmp::error::OPENRTMP_ERROR_STATE;
use openrtmp::http::{
    OPENRTMP_FORM_HLS, OpenrtmpHttpStats, openrtmp_server_http_port, openrtmp_server_http_stats,
    openrtmp_server_http_urls,
};
use openrtmp::server::{
    OpenrtmpServer, openrtmp_server_config, openrtmp_server_free, openrtmp_server_reconfigure,
    openrtmp_server_start,
};

use super::host::{last_error, ok, plain};

/// Settings of a server, some of them others.
struct Settings(*mut OpenrtmpConfig);

impl Settings {
    fn of(server: *mut OpenrtmpServer, path: &str, value: &str) -> Settings {
        let mut config = null_mut();
        // SAFETY: live handles, and texts that live as long as the calls.
        unsafe {
            ok(openrtmp_server_config(server, &mut config));
            let (path, value) = (OpenrtmpStr::new(path), OpenrtmpStr::new(value));
            ok(openrtmp_config_set(config, path, value));
        }
        Settings(config)
    }

    fn validate(&self) -> i32 {
        // SAFETY: a live handle.
        unsafe { openrtmp_config_validate(self.0) }
    }

    fn put_in_force(&self, server: *mut OpenrtmpServer) -> i32 {
        // SAFETY: live handles.
        unsafe { openrtmp_server_reconfigure(server, self.0, None, null_mut()) }
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        // SAFETY: freed once.
        unsafe { openrtmp_config_free(self.0) };
    }
}

fn start(server: *mut OpenrtmpServer) -> i32 {
    // SAFETY: a live handle.
    unsafe { openrtmp_server_start(server) }
}

fn free(server: *mut OpenrtmpServer) {
    // SAFETY: freed once.
    ok(unsafe { openrtmp_server_free(server) });
}

fn stats(server: *mut OpenrtmpServer) -> Result<OpenrtmpHttpStats, i32> {
    let mut stats = OpenrtmpHttpStats {
        struct_size: size_of::<OpenrtmpHttpStats>() as u32,
        ..OpenrtmpHttpStats::default()
    };
    // SAFETY: a live handle and a place that can be filled.
    match unsafe { openrtmp_server_http_stats(server, &mut stats) } {
        0 => Ok(stats),
        code => Err(code),
    }
}

fn port(server: *mut OpenrtmpServer, index: u32) -> Result<u32, i32> {
    let mut port = 0;
    // SAFETY: a live handle and a place that can be written.
    match unsafe { openrtmp_server_http_port(server, index, &mut port) } {
        0 => Ok(port),
        code => Err(code),
    }
}

extern "C" fn ignore(_: *mut std::ffi::c_void, _: OpenrtmpStr) {}

fn urls(server: *mut OpenrtmpServer, form: u32) -> i32 {
    let stream = OpenrtmpStr::new("live/cam");
    // SAFETY: a live handle and a function that takes any text.
    unsafe { openrtmp_server_http_urls(server, stream, form, Some(ignore), null_mut()) }
}

#[cfg(not(feature = "live"))]
#[test]
fn a_library_that_does_not_deliver_says_so() {
    use openrtmp::error::OPENRTMP_ERROR_UNSUPPORTED;

    let server = plain(&[("http.listen", "http://127.0.0.1:0")]);
    assert_eq!(start(server), OPENRTMP_ERROR_UNSUPPORTED);
    assert!(
        last_error().contains("http.listen is http://127.0.0.1:0")
            && last_error().contains("without `live`"),
        "{}",
        last_error()
    );
    // What names no address is as good as before.
    for harmless in ["auto", ""] {
        let settings = Settings::of(server, "http.listen", harmless);
        ok(settings.validate());
        ok(settings.put_in_force(server));
    }
    ok(start(server));
    let settings = Settings::of(server, "http.listen", "auto, https://[::1]:0");
    let refused = [settings.validate(), settings.put_in_force(server)];
    assert_eq!(refused, [OPENRTMP_ERROR_UNSUPPORTED; 2]);
    assert_eq!(stats(server).err(), Some(OPENRTMP_ERROR_UNSUPPORTED));
    assert_eq!(port(server, 0), Err(OPENRTMP_ERROR_UNSUPPORTED));
    assert_eq!(urls(server, OPENRTMP_FORM_HLS), OPENRTMP_ERROR_UNSUPPORTED);
    free(server);
}

#[cfg(feature = "live")]
#[test]
fn what_needs_a_restart_is_told_and_the_rest_holds_at_once() {
    use openrtmp::error::{
        OPENRTMP_ERROR_INVALID_ARGUMENT, OPENRTMP_ERROR_LISTEN, OPENRTMP_ERROR_NEEDS_RESTART,
        OPENRTMP_ERROR_NOT_FOUND,
    };

    // None is named: nothing listens.
    let server = plain(&[]);
    assert_eq!(port(server, 0), Err(OPENRTMP_ERROR_STATE));
    ok(start(server));
    assert_eq!(port(server, 0), Err(OPENRTMP_ERROR_NOT_FOUND));
    assert_eq!(stats(server).unwrap().listeners, 0);
    ok(urls(server, OPENRTMP_FORM_HLS));
    free(server);

    let listen = "http://127.0.0.1:0, http://127.0.0.1:0";
    let server = plain(&[("http.listen", listen)]);
    ok(start(server));
    let (one, two) = (port(server, 0).unwrap(), port(server, 1).unwrap());
    assert!(one != two && one > 0 && two > 0, "{one} {two}");
    assert_eq!(stats(server).unwrap().listeners, 2);
    assert_eq!(urls(server, 9), OPENRTMP_ERROR_INVALID_ARGUMENT);
    for (path, value) in [
        ("http.listen", "http://127.0.0.1:0"),
        ("http.tokens.keys", "sixteen-and-more-bytes"),
    ] {
        let code = Settings::of(server, path, value).put_in_force(server);
        assert_eq!(code, OPENRTMP_ERROR_NEEDS_RESTART);
        assert!(last_error().contains(path), "{}", last_error());
    }
    let unlisted = Settings::of(server, "http.list", "none");
    ok(unlisted.validate());
    ok(unlisted.put_in_force(server));

    // What another has is told, and nothing is left running.
    let late = plain(&[("http.listen", &format!("http://127.0.0.1:{one}"))]);
    assert_eq!(start(late), OPENRTMP_ERROR_LISTEN);
    assert!(last_error().contains(&one.to_string()), "{}", last_error());
    assert_eq!(port(late, 0), Err(OPENRTMP_ERROR_STATE));
    free(server);
    ok(start(late));
    free(late);
}
