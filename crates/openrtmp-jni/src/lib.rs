//! `libopenrtmp_jni`: the server for programs on a Java virtual machine, Android's among
//! them. The only symbol is `JNI_OnLoad`, which registers the methods of the Kotlin object
//! `org.openrtmp.Native`; what each does stands there, and in the classes that call it.
//!
//! - `jvm`: the machine, its threads, and what of its classes is called.
//! - `failure`: errors and panics as exceptions.
//! - `handles`: what Java names by a number.
//! - `host`: a server and what it calls back.
//! - `server`, `phone`, `tap`, `publisher`, `codec`, `logging`: the methods.
//!
//! Lists and structures go to Kotlin as JSON, frames as direct buffers.
#![allow(
    unsafe_code,
    reason = "calls into the virtual machine and memory lent to it are this crate's work"
)]
#![allow(
    clippy::too_many_arguments,
    reason = "native methods take plain values, and the machine's two besides"
)]

#[cfg(all(target_os = "android", feature = "own-unwinder"))]
extern crate unwinding as _;

mod codec;
mod failure;
mod handles;
mod host;
mod jvm;
mod logging;
mod phone;
mod publisher;
mod server;
mod tap;

use std::ffi::c_void;

use jni::sys::jint;

/// Called by `System.loadLibrary`. What goes wrong is told as an exception; of Java 17 and
/// before only that the library does not fit.
///
/// # Safety
/// For the virtual machine alone.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn JNI_OnLoad(machine: *mut jni::sys::JavaVM, _: *mut c_void) -> jint {
    // SAFETY: the machine's own, valid for the whole process.
    let loaded = unsafe { jvm::load(machine) };
    match loaded {
        Ok(()) => jni::sys::JNI_VERSION_1_6,
        Err(_) => jni::sys::JNI_ERR,
    }
}
