//! A program that embeds a server.

use std::ffi::{CStr, c_void};
use std::ptr::{null, null_mut};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use openrtmp::OpenrtmpStr;
use openrtmp::config::{
    OPENRTMP_PROFILE_MOBILE, OpenrtmpConfig, openrtmp_config_free, openrtmp_config_new,
    openrtmp_config_set,
};
use openrtmp::error::{OPENRTMP_OK, openrtmp_last_error_message};
use openrtmp::event::OpenrtmpEvent;
use openrtmp::publisher::{OpenrtmpPublisher, openrtmp_publisher_free, openrtmp_publisher_open};
use openrtmp::reach::openrtmp_server_address;
use openrtmp::server::{
    OpenrtmpCallbacks, OpenrtmpServer, openrtmp_server_free, openrtmp_server_new,
    openrtmp_server_start,
};

pub(crate) fn last_error() -> String {
    // SAFETY: never NULL, ends with NUL, read before the next failure.
    let message = unsafe { CStr::from_ptr(openrtmp_last_error_message()) };
    message.to_string_lossy().into_owned()
}

#[track_caller]
pub(crate) fn ok(code: i32) {
    assert_eq!(code, OPENRTMP_OK, "{}", last_error());
}

/// # Safety
/// The text lives during the call.
pub(crate) unsafe fn owned(text: OpenrtmpStr) -> String {
    // SAFETY: the caller's promise.
    let bytes = unsafe { std::slice::from_raw_parts(text.data.cast::<u8>(), text.length) };
    String::from_utf8(bytes.to_vec()).expect("all texts are UTF-8")
}

/// What one event said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) kind: u32,
    pub(crate) connection: u64,
    pub(crate) stream: u64,
    pub(crate) number: u64,
    pub(crate) json: String,
}

impl Told {
    /// # Safety
    /// The event lives during the call.
    pub(crate) unsafe fn of(event: *const OpenrtmpEvent) -> Told {
        // SAFETY: the caller's promise.
        let event = unsafe { &*event };
        Told {
            kind: event.kind,
            connection: event.connection_id,
            stream: event.stream_id,
            number: event.number,
            // SAFETY: the caller's promise.
            json: unsafe { owned(event.json) },
        }
    }
}

type OnEvent = Box<dyn FnMut(*mut OpenrtmpServer, &Told) + Send>;
type OnClosed = Box<dyn FnOnce(*mut OpenrtmpServer) + Send>;

/// The host's side of a server's callbacks; on_closed drops it.
pub(crate) struct Side {
    server: Mutex<usize>,
    on_event: Mutex<OnEvent>,
    on_closed: Mutex<Option<OnClosed>>,
    /// Ends when it is dropped.
    _alive: Sender<()>,
}

impl Side {
    fn server(&self) -> *mut OpenrtmpServer {
        *self.server.lock().unwrap() as *mut OpenrtmpServer
    }
}

unsafe extern "C" fn on_event(user_data: *mut c_void, event: *const OpenrtmpEvent) {
    // SAFETY: the side lives until on_closed, the event during the call.
    let (side, told) = unsafe { (&*user_data.cast::<Side>(), Told::of(event)) };
    (side.on_event.lock().unwrap())(side.server(), &told);
}

unsafe extern "C" fn on_closed(user_data: *mut c_void) {
    // SAFETY: made by `Host::with`, and this is the last call.
    let side = unsafe { Box::from_raw(user_data.cast::<Side>()) };
    if let Some(call) = side.on_closed.lock().unwrap().take() {
        call(side.server());
    }
}

/// A server and its host.
pub(crate) struct Host {
    pub(crate) server: *mut OpenrtmpServer,
    /// Ends once on_closed has returned.
    pub(crate) closed: Receiver<()>,
}

impl Host {
    pub(crate) fn new(
        settings: &[(&str, &str)],
        on_event: impl FnMut(*mut OpenrtmpServer, &Told) + Send + 'static,
    ) -> Host {
        Host::with(settings, on_event, |_| {})
    }

    pub(crate) fn with(
        settings: &[(&str, &str)],
        call: impl FnMut(*mut OpenrtmpServer, &Told) + Send + 'static,
        last: impl FnOnce(*mut OpenrtmpServer) + Send + 'static,
    ) -> Host {
        let (alive, closed) = channel();
        let side = Box::into_raw(Box::new(Side {
            server: Mutex::new(0),
            on_event: Mutex::new(Box::new(call)),
            on_closed: Mutex::new(Some(Box::new(last))),
            _alive: alive,
        }));
        let table = OpenrtmpCallbacks {
            struct_size: size_of::<OpenrtmpCallbacks>() as u32,
            reserved: 0,
            user_data: side.cast(),
            on_event: Some(on_event),
            on_access: None,
            on_closed: Some(on_closed),
            on_order: None,
        };
        let server = made(settings, &raw const table);
        // SAFETY: it lives until on_closed, which is not before the server is freed.
        unsafe { *(*side).server.lock().unwrap() = server as usize };
        Host { server, closed }
    }

    /// One that starts.
    pub(crate) fn start(&self) {
        // SAFETY: the handle lives.
        ok(unsafe { openrtmp_server_start(self.server) });
    }

    pub(crate) fn publisher(&self, name: &str) -> Result<Publisher, i32> {
        Publisher::open(self.server, name)
    }

    pub(crate) fn address(&self) -> String {
        address(self.server)
    }

    /// Frees it and waits until nothing of it is left.
    pub(crate) fn end(self) {
        ok(self.free());
        assert!(self.closed.recv().is_err());
    }

    pub(crate) fn free(&self) -> i32 {
        // SAFETY: freed once, or where the header allows more.
        unsafe { openrtmp_server_free(self.server) }
    }
}

/// The first address that a server listens on.
pub(crate) fn address(server: *mut OpenrtmpServer) -> String {
    let (mut text, mut length) = ([0u8; 64], 0);
    // SAFETY: the handle lives, and there is room for any address.
    unsafe {
        let room = text.len();
        let text = text.as_mut_ptr().cast();
        ok(openrtmp_server_address(server, 0, text, room, &mut length));
    }
    String::from_utf8_lossy(&text[..length]).into_owned()
}

/// A server without callbacks.
pub(crate) fn plain(settings: &[(&str, &str)]) -> *mut OpenrtmpServer {
    made(settings, null())
}

pub(crate) fn made(
    settings: &[(&str, &str)],
    table: *const OpenrtmpCallbacks,
) -> *mut OpenrtmpServer {
    let (mut config, mut server): (*mut OpenrtmpConfig, _) = (null_mut(), null_mut());
    // SAFETY: places and texts that live during the calls; the config is freed once.
    unsafe {
        ok(openrtmp_config_new(OPENRTMP_PROFILE_MOBILE, &mut config));
        for (path, value) in [("listen", "127.0.0.1:0")].iter().chain(settings) {
            let (path, value) = (OpenrtmpStr::new(path), OpenrtmpStr::new(value));
            ok(openrtmp_config_set(config, path, value));
        }
        ok(openrtmp_server_new(config, table, &mut server));
        openrtmp_config_free(config);
    }
    server
}

/// A publisher, freed at the end.
pub(crate) struct Publisher(pub(crate) *mut OpenrtmpPublisher);

impl Publisher {
    pub(crate) fn open(server: *mut OpenrtmpServer, name: &str) -> Result<Publisher, i32> {
        let mut publisher = null_mut();
        // SAFETY: the handle lives, the text during the call.
        match unsafe { openrtmp_publisher_open(server, OpenrtmpStr::new(name), &mut publisher) } {
            OPENRTMP_OK => Ok(Publisher(publisher)),
            code => Err(code),
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // SAFETY: opened above, freed once.
        unsafe { openrtmp_publisher_free(self.0) };
    }
}

/// A door that a callback waits at until it is opened.
#[derive(Clone, Default)]
pub(crate) struct Door(Arc<(Mutex<bool>, std::sync::Condvar)>);

impl Door {
    pub(crate) fn wait(&self) {
        let (open, opened) = &*self.0;
        let guard = open.lock().unwrap();
        drop(opened.wait_while(guard, |open| !*open).unwrap());
    }

    pub(crate) fn open(&self) {
        let (open, opened) = &*self.0;
        *open.lock().unwrap() = true;
        opened.notify_all();
    }
}
