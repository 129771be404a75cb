//! Keys that may publish and play.

use std::ffi::{c_char, c_void};

use openrtmp_core::KeyRing;
use openrtmp_core::Server;

use crate::boundary;
use crate::convert::{OpenrtmpStr, borrow, copy_out, text};
use crate::error::Failure;
use crate::server::{OpenrtmpServer, OpenrtmpVisitText, required, visit_texts};

/// Keys that may publish.
pub const OPENRTMP_KEY_PUBLISH: u32 = 0;
/// Keys that may play.
pub const OPENRTMP_KEY_PLAY: u32 = 1;

/// Adds a key of a kind (OPENRTMP_KEY_*) to a running server. Once there is one, peers
/// without a key are refused. A peer gives one: the first "key" or "token" of the query
/// ("name?key=KEY", "app?key=KEY"), or, without one, the last segment of the name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_key_add(
    server: *mut OpenrtmpServer,
    kind: u32,
    key: OpenrtmpStr,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, key) = unsafe { (borrow(server)?.running()?, text(key)?) };
        if key.is_empty() || key.contains(['&', '?', '/', '#', ' ']) {
            return Err(Failure::argument("a key has no spaces and no & ? / #"));
        }
        ring(&server, kind)?.add(key.to_owned());
        Ok(())
    })
}

/// Takes a key away. What is being published that it opened ends; so does what is being
/// played, unless access.revoke_ends_play is false. Without the last key nobody may: taking
/// a key away opens nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_key_revoke(
    server: *mut OpenrtmpServer,
    kind: u32,
    key: OpenrtmpStr,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, key) = unsafe { (borrow(server)?.running()?, text(key)?) };
        let removed = match kind {
            OPENRTMP_KEY_PUBLISH => server.revoke_publish_key(key),
            OPENRTMP_KEY_PLAY => server.revoke_play_key(key),
            _ => return Err(unknown(kind)),
        };
        if !removed {
            return Err(Failure::not_found("there is no such key"));
        }
        Ok(())
    })
}

/// Visits the keys of a kind. They are secrets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_key_list(
    server: *const OpenrtmpServer,
    kind: u32,
    visit: OpenrtmpVisitText,
    user_data: *mut c_void,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? }.running()?;
        let visit = required(visit)?;
        // SAFETY: the contract of the header.
        unsafe { visit_texts(ring(&server, kind)?.list(), visit, user_data) };
        Ok(())
    })
}

/// Writes a new key of 128 random bits, 32 characters; it is not added anywhere.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_key_generate(
    buffer: *mut c_char,
    capacity: usize,
    out_length: *mut usize,
) -> i32 {
    boundary::status(|| {
        let key = KeyRing::generate()?;
        // SAFETY: the contract of the header.
        unsafe { copy_out(&key, buffer, capacity, out_length) }
    })
}

fn ring(server: &Server, kind: u32) -> Result<&KeyRing, Failure> {
    match kind {
        OPENRTMP_KEY_PUBLISH => Ok(server.publish_keys()),
        OPENRTMP_KEY_PLAY => Ok(server.play_keys()),
        other => Err(unknown(other)),
    }
}

fn unknown(kind: u32) -> Failure {
    Failure::argument(format!("no kind of key {kind}"))
}
