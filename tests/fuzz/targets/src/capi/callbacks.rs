//! Callbacks, and what they have seen.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use openrtmp::OpenrtmpStr;
use openrtmp::access::OpenrtmpAccessRequest;
use openrtmp::event::OpenrtmpEvent;
use openrtmp::inspect::{OpenrtmpConnectionInfo, OpenrtmpStreamInfo, OpenrtmpSubscriberInfo};
use openrtmp::logging::{OpenrtmpLogCallbacks, OpenrtmpLogRecord};
use openrtmp::server::{OpenrtmpCallbacks, OpenrtmpVisitText};
use openrtmp::tap::{
    OpenrtmpFrame, OpenrtmpTapCallbacks, openrtmp_frame_release, openrtmp_frame_retain,
};

use super::readable;

/// What the callbacks of one run share.
#[derive(Default)]
pub(super) struct Seen {
    state: Mutex<State>,
    closed: Condvar,
}

#[derive(Default)]
struct State {
    last_request: u64,
    frames: Vec<Retained>,
    closed: usize,
    /// A callback got something that it cannot read: told on the test's own thread,
    /// as a panic must not leave a callback.
    unreadable: bool,
}

struct Retained(*const OpenrtmpFrame);

// SAFETY: a retained frame may be released from any thread.
unsafe impl Send for Retained {}

/// Frames kept at one time.
const KEPT: usize = 8;

impl Seen {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, texts: &[OpenrtmpStr]) {
        let good = texts.iter().all(|text| readable(text.data, text.length));
        self.lock().unreadable |= !good;
    }
}

/// Gives out tables of callbacks. The user data of each is a reference to what was
/// seen, which its `on_closed` gives back.
pub(super) struct Guest {
    seen: Arc<Seen>,
    /// The reference that the table made last holds, until it is known whether it was
    /// taken.
    offered: *mut c_void,
    taken: usize,
}

impl Guest {
    pub(super) fn new() -> Guest {
        Guest {
            seen: Arc::default(),
            offered: null_mut(),
            taken: 0,
        }
    }

    fn offer(&mut self) -> *mut c_void {
        self.offered = Arc::into_raw(self.seen.clone()).cast_mut().cast();
        self.offered
    }

    /// Whether the call took the table that was offered last.
    pub(super) fn taken(&mut self, taken: bool) {
        self.taken += usize::from(taken);
        if !taken {
            // SAFETY: made by `offer`, and nobody has it.
            drop(unsafe { Arc::from_raw(self.offered.cast::<Seen>().cast_const()) });
        }
    }

    pub(super) fn server_callbacks(&mut self, which: u8) -> OpenrtmpCallbacks {
        OpenrtmpCallbacks {
            struct_size: 0,
            reserved: 0,
            user_data: self.offer(),
            on_event: (which & 1 == 0).then_some(on_event),
            on_access: (which & 2 == 0).then_some(on_access),
            on_closed: Some(on_closed),
            on_order: None,
        }
    }

    pub(super) fn tap_callbacks(&mut self, which: u8) -> OpenrtmpTapCallbacks {
        OpenrtmpTapCallbacks {
            struct_size: 0,
            reserved: 0,
            user_data: self.offer(),
            on_frame: (which & 7 != 7).then_some(on_frame),
            on_started: (which & 8 == 0).then_some(on_stream),
            on_ended: (which & 16 == 0).then_some(on_stream),
            on_closed: Some(on_closed),
            on_republished: (which & 16 == 0).then_some(on_stream),
            on_lost: None,
        }
    }

    pub(super) fn log_callbacks(&mut self, level: u32) -> OpenrtmpLogCallbacks {
        OpenrtmpLogCallbacks {
            struct_size: 0,
            max_level: level,
            user_data: self.offer(),
            on_record: Some(on_record),
            on_closed: Some(on_closed),
        }
    }

    pub(super) fn last_request(&self) -> u64 {
        self.seen.lock().last_request
    }

    pub(super) fn release_frames(&self) {
        let frames = std::mem::take(&mut self.seen.lock().frames);
        for Retained(frame) in frames {
            // SAFETY: retained once, released once.
            unsafe { openrtmp_frame_release(frame) };
        }
    }

    /// Every table that was taken has its last call, and it is the last.
    pub(super) fn wait_until_closed(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut state = self.seen.lock();
        while state.closed < self.taken {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} of {} closed", state.closed, self.taken);
            let waited = self.seen.closed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        assert_eq!(state.closed, self.taken);
        assert!(!state.unreadable, "a callback was given what is not UTF-8");
    }
}

/// # Safety
/// `user_data` was made by [`Guest::offer`] and not given back.
unsafe fn seen<'a>(user_data: *mut c_void) -> &'a Seen {
    // SAFETY: the caller's promise.
    unsafe { &*user_data.cast::<Seen>() }
}

unsafe extern "C" fn on_event(user_data: *mut c_void, event: *const OpenrtmpEvent) {
    // SAFETY: the user data is a table's; the event lives as long as the call.
    let (seen, event) = unsafe { (seen(user_data), &*event) };
    seen.look(&[event.stream, event.peer, event.text, event.json]);
}

unsafe extern "C" fn on_access(user_data: *mut c_void, request: *const OpenrtmpAccessRequest) {
    // SAFETY: the user data is a table's; the request lives as long as the call.
    let (seen, request) = unsafe { (seen(user_data), &*request) };
    seen.look(&[request.app, request.stream, request.query, request.peer]);
    seen.lock().last_request = request.request_id;
}

unsafe extern "C" fn on_frame(user_data: *mut c_void, frame: *const OpenrtmpFrame) {
    // SAFETY: the user data is a table's; the frame lives as long as the call.
    let (seen, head) = unsafe { (seen(user_data), &*frame) };
    seen.look(&[head.stream]);
    let mut state = seen.lock();
    if state.frames.len() < KEPT {
        // SAFETY: the frame is the one of this callback.
        state
            .frames
            .push(Retained(unsafe { openrtmp_frame_retain(frame) }));
    }
}

unsafe extern "C" fn on_stream(user_data: *mut c_void, _stream_id: u64, stream: OpenrtmpStr) {
    // SAFETY: the user data is a table's.
    unsafe { seen(user_data) }.look(&[stream]);
}

unsafe extern "C" fn on_record(user_data: *mut c_void, record: *const OpenrtmpLogRecord) {
    // SAFETY: the user data is a table's; the record lives as long as the call.
    let (seen, record) = unsafe { (seen(user_data), &*record) };
    seen.look(&[record.target, record.message, record.fields]);
}

unsafe extern "C" fn on_closed(user_data: *mut c_void) {
    // SAFETY: made by `offer`; this is the last call with it.
    let seen = unsafe { Arc::from_raw(user_data.cast::<Seen>().cast_const()) };
    seen.lock().closed += 1;
    seen.closed.notify_all();
}

/// A visitor of texts, or none.
pub(super) fn text_visitor(which: u8) -> OpenrtmpVisitText {
    (which != 0).then_some(visit_text)
}

/// As [`text_visitor`].
pub(super) fn stream_visitor(
    which: u8,
) -> Option<unsafe extern "C" fn(*mut c_void, *const OpenrtmpStreamInfo)> {
    (which != 0).then_some(visit::<OpenrtmpStreamInfo>)
}

/// As [`text_visitor`].
pub(super) fn connection_visitor(
    which: u8,
) -> Option<unsafe extern "C" fn(*mut c_void, *const OpenrtmpConnectionInfo)> {
    (which != 0).then_some(visit::<OpenrtmpConnectionInfo>)
}

/// As [`text_visitor`].
pub(super) fn subscriber_visitor(
    which: u8,
) -> Option<unsafe extern "C" fn(*mut c_void, *const OpenrtmpSubscriberInfo)> {
    (which != 0).then_some(visit::<OpenrtmpSubscriberInfo>)
}

unsafe extern "C" fn visit_text(_: *mut c_void, text: OpenrtmpStr) {
    // A visitor runs on the thread that asked; a wrong text ends the whole program.
    assert!(readable(text.data, text.length));
}

unsafe extern "C" fn visit<T>(_: *mut c_void, info: *const T) {
    // SAFETY: every struct that the library fills begins with its size.
    let size = unsafe { info.cast::<u32>().read() } as usize;
    assert_eq!(size, size_of::<T>());
}
