//! Streams over HTTP: settings that a library can keep, and those that it cannot.

use std::ptr::null_mut;

use openrtmp::OpenrtmpStr;
use openrtmp::config::{
    OpenrtmpConfig, openrtmp_config_free, openrtmp_config_set, openrtmp_config_validate,
};
#[cfg(feature = "live")]
use openrtmp::error::OPENRTMP_ERROR_STATE;
use openrtmp::http::{
    OPENRTMP_FORM_HLS, OPENRTMP_TOKEN_PREFIX, OpenrtmpHttpStats, openrtmp_http_token,
    openrtmp_server_http_port, openrtmp_server_http_stats, openrtmp_server_http_urls,
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

/// What is written of a token, or the error.
fn token(secret: &str, stream: &str, flags: u32, expires: u64, from: &str) -> Result<String, i32> {
    let mut buffer = [0; 256];
    let mut length = 0;
    let [secret, stream, from] = [secret, stream, from].map(OpenrtmpStr::new);
    // SAFETY: texts and a buffer that live as long as the call.
    let code = unsafe {
        let place = buffer.as_mut_ptr().cast();
        openrtmp_http_token(
            secret,
            stream,
            flags,
            expires,
            from,
            place,
            buffer.len(),
            &mut length,
        )
    };
    match code {
        0 => Ok(String::from_utf8_lossy(&buffer[..length]).into_owned()),
        code => Err(code),
    }
}

const SECRET: &str = "sixteen-and-more-bytes";

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
    let token = token(SECRET, "live/cam", OPENRTMP_TOKEN_PREFIX, 1, "");
    assert_eq!(token, Err(OPENRTMP_ERROR_UNSUPPORTED));
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

#[cfg(feature = "live")]
#[test]
fn a_token_is_that_of_rust_and_what_makes_none_is_refused() {
    use openrtmp::error::OPENRTMP_ERROR_INVALID_ARGUMENT;
    use openrtmp_core::Network;
    use openrtmp_live::Pass;

    let mut pass = Pass::new("live/cam", 4_000_000_000);
    let expected = pass.sign(SECRET).unwrap();
    assert_eq!(
        token(SECRET, "live/cam", 0, 4_000_000_000, ""),
        Ok(expected)
    );
    pass.is_prefix = true;
    pass.from = Network::parse("2001:db8::/64");
    let expected = pass.sign(SECRET).unwrap();
    let prefix = OPENRTMP_TOKEN_PREFIX;
    let made = token(SECRET, "live/cam", prefix, 4_000_000_000, "2001:db8::/64");
    assert_eq!(made, Ok(expected));
    for (secret, stream, flags, expires, from) in [
        ("too-short", "live/cam", 0, 1, ""),
        (SECRET, "", 0, 1, ""),
        (SECRET, "live/cam", 0, 0, ""),
        (SECRET, "live/cam", 2, 1, ""),
        (SECRET, "live/cam", 0, 1, "here"),
    ] {
        let refused = token(secret, stream, flags, expires, from);
        assert_eq!(
            refused,
            Err(OPENRTMP_ERROR_INVALID_ARGUMENT),
            "{secret} {stream} {from}"
        );
        assert!(!last_error().contains(secret), "{}", last_error());
    }
}
