//! The library's threads, for hosts whose runtime has to know them.

use std::ffi::c_void;
use std::mem::offset_of;

use openrtmp_core::{clear_thread_hooks, set_thread_hooks};

use crate::boundary;
use crate::callback::UserData;
use crate::convert::{OpenrtmpStr, Versioned, must_be_zero, versioned};

/// What is called on each thread of the library. Any member may be NULL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OpenrtmpThreadHooks {
    /// sizeof(openrtmp_thread_hooks_table).
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Handed to both. It has to live until every thread has ended.
    pub user_data: *mut c_void,
    /// The first call on a thread, with its name: to attach it to a virtual machine, or
    /// to set its priority.
    pub on_begin: Option<unsafe extern "C" fn(user_data: *mut c_void, name: OpenrtmpStr)>,
    /// The last call on it.
    pub on_end: Option<unsafe extern "C" fn(user_data: *mut c_void, name: OpenrtmpStr)>,
}

// SAFETY: pointers, nullable functions and integers without padding.
unsafe impl Versioned for OpenrtmpThreadHooks {
    const FIRST: usize = offset_of!(OpenrtmpThreadHooks, on_end) + size_of::<usize>();
}

/// Sets what is called on every thread that the library starts from now on, in the whole
/// process, in place of what was set before; NULL: nothing. To be called before the first
/// server is made. A thread that began with hooks ends with the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_thread_hooks(hooks: *const OpenrtmpThreadHooks) -> i32 {
    boundary::status(|| {
        if hooks.is_null() {
            clear_thread_hooks();
            return Ok(());
        }
        // SAFETY: the contract of the header.
        let hooks = unsafe { versioned(hooks)? };
        must_be_zero(hooks.reserved)?;
        let user_data = UserData(hooks.user_data);
        let calling = |hook: Option<unsafe extern "C" fn(*mut c_void, OpenrtmpStr)>| {
            move |name: &str| {
                let user_data = user_data;
                if let Some(hook) = hook {
                    // SAFETY: the host's function; the name outlives the call.
                    unsafe { hook(user_data.0, OpenrtmpStr::new(name)) };
                }
            }
        };
        set_thread_hooks(calling(hooks.on_begin), calling(hooks.on_end));
        Ok(())
    })
}
