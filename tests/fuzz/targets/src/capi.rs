//! The C ABI called in any order, with handles that are there, gone or NULL, ids that
//! are stale, texts that are not UTF-8, and structs of any version.
//!
//! - Every call returns a code it may return, never the one for a caught panic, and a
//!   failure leaves a message.
//! - A failure leaves its outputs as they were; a text that is written ends with NUL.
//! - `on_closed` is called once for every table of callbacks that was taken.
//! - Files of a recording stay below the folder it was given, and read wholly.
//!
//! Handles are used as the header demands: none after it was freed. Servers listen on
//! a free port of the loopback interface.
#![allow(unsafe_code, reason = "it calls the library as C does")]

mod arguments;
mod callbacks;

use std::ffi::{CStr, c_char};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::ptr::{null, null_mut};
use std::time::Duration;

use arbitrary::Unstructured;
use openrtmp::access::{openrtmp_request_accept, openrtmp_request_reject};
use openrtmp::config::*;
use openrtmp::error::{
    OPENRTMP_ERROR_INVALID_ARGUMENT, OPENRTMP_ERROR_PANIC, OPENRTMP_ERROR_TIMEOUT, OPENRTMP_OK,
    openrtmp_last_error_message, openrtmp_strerror,
};
use openrtmp::inspect::{
    openrtmp_server_connections, openrtmp_server_disconnect, openrtmp_server_end_stream,
    openrtmp_server_set_write_coalesce, openrtmp_server_streams, openrtmp_server_subscribers,
};
use openrtmp::keys::{
    openrtmp_key_add, openrtmp_key_generate, openrtmp_key_list, openrtmp_key_revoke,
};
use openrtmp::logging::{OpenrtmpLogCallbacks, openrtmp_log_set};
use openrtmp::metrics::{OpenrtmpMetrics, openrtmp_server_metrics, openrtmp_server_metrics_json};
use openrtmp::publisher::*;
use openrtmp::reach::*;
use openrtmp::recording::{openrtmp_record_start, openrtmp_record_stop};
use openrtmp::server::*;
use openrtmp::tap::*;
use openrtmp::version::{
    OPENRTMP_ABI_VERSION, openrtmp_abi_version, openrtmp_version, openrtmp_version_string,
};
use openrtmp_protocol::flv::FlvReader;

use self::arguments::{Output, Struct, Text};
use self::callbacks::Guest;
use crate::input::{Piece, take};
use crate::peer::{Sender, command, greeting, media};

/// Operations: a number, then its arguments.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mut host = Host::new();
    let mut calls = 0;
    while !input.is_empty() && calls < 64 {
        calls += 1;
        host.call(&mut input);
    }
    host.leave();
}

/// Objects of a kind that may live at one time.
const SLOTS: usize = 2;

struct Host {
    configs: [*mut OpenrtmpConfig; SLOTS],
    servers: [*mut OpenrtmpServer; SLOTS],
    publishers: [*mut OpenrtmpPublisher; SLOTS],
    taps: [*mut OpenrtmpTap; SLOTS],
    guest: Guest,
    /// Starting takes a while; enough of them are tried by other tests.
    starts: usize,
    peers: Vec<TcpStream>,
    /// Holds `files`, which holds everything that recordings write.
    folder: tempfile::TempDir,
}

impl Host {
    fn new() -> Host {
        Host {
            configs: [null_mut(); SLOTS],
            servers: [null_mut(); SLOTS],
            publishers: [null_mut(); SLOTS],
            taps: [null_mut(); SLOTS],
            guest: Guest::new(),
            starts: 0,
            peers: Vec::new(),
            folder: tempfile::tempdir().expect("a folder for recordings"),
        }
    }

    fn call(&mut self, input: &mut Unstructured<'_>) {
        match take::<u8>(input) % 32 {
            0 => self.new_config(input),
            1..=5 => self.config(input),
            6 | 7 => self.new_server(input),
            8 | 9 => self.start(input),
            10 => self.stop(input),
            11..=14 => self.look(input),
            15 => self.keys(input),
            16 => self.record(input),
            17 => self.answer(input),
            18 | 19 => self.tap(input),
            20 => self.open_publisher(input),
            21..=25 => self.publish(input),
            26..=28 => self.peer(input),
            29 => self.free(input),
            30 => self.log(input),
            _ => self.adjust(input),
        }
    }

    fn new_config(&mut self, input: &mut Unstructured<'_>) {
        let slot = self.configs.iter_mut().find(|slot| slot.is_null());
        let profile = u32::from(take::<u8>(input) % 3);
        let out = match (slot, take::<u8>(input) % 8) {
            (Some(slot), 1..) => slot,
            _ => null_mut(),
        };
        // SAFETY: the place is NULL or a slot of ours.
        check(unsafe { openrtmp_config_new(profile, out) });
    }

    fn config(&mut self, input: &mut Unstructured<'_>) {
        let config = pick(&self.configs, input);
        let what: u8 = take(input);
        let format = u32::from(what >> 4 & 3);
        // SAFETY: the handle is NULL or lives, and belongs to this thread; texts and
        // buffers live until the call is over.
        unsafe {
            match what % 8 {
                0 | 1 => {
                    let text = Text::take(input);
                    check(openrtmp_config_load_text(config, text.lend(), format));
                }
                2 | 3 => {
                    let (path, value) = (Text::take(input), Text::take(input));
                    check(openrtmp_config_set(config, path.lend(), value.lend()));
                }
                4 => {
                    let (path, mut out) = (Text::take(input), Output::take(input));
                    let code = openrtmp_config_get(
                        config,
                        path.lend(),
                        out.buffer(),
                        out.capacity(),
                        out.length(),
                    );
                    out.check(check(code));
                }
                5 => {
                    let mut out = Output::take(input);
                    let code = openrtmp_config_dump(
                        config,
                        format,
                        out.buffer(),
                        out.capacity(),
                        out.length(),
                    );
                    out.check(check(code));
                }
                6 => drop(check(openrtmp_config_validate(config))),
                _ => {
                    let file = self.folder.path().join("settings.yaml");
                    fs::write(&file, take::<Piece<'_>>(input).0).expect("there is room");
                    let text = Text::take_path(input, &file);
                    check(openrtmp_config_load_file(config, text.lend()));
                }
            }
        }
    }

    fn new_server(&mut self, input: &mut Unstructured<'_>) {
        let config = pick(&self.configs, input);
        let callbacks = self.guest.server_callbacks(take(input));
        let callbacks = Struct::take(input, callbacks);
        let slot = self.servers.iter_mut().find(|slot| slot.is_null());
        let out = slot.map_or(null_mut(), |slot| slot);
        // SAFETY: the handle is NULL or lives; the table is as long as it says; the
        // place is NULL or a slot of ours.
        unsafe {
            tame(config);
            let code = check(openrtmp_server_new(config, callbacks.lend(), out));
            self.guest
                .taken(code == OPENRTMP_OK && callbacks.is_there());
        }
    }

    fn start(&mut self, input: &mut Unstructured<'_>) {
        let server = pick(&self.servers, input);
        self.starts += 1;
        if self.starts <= 3 {
            // SAFETY: the handle is NULL or lives.
            check(unsafe { openrtmp_server_start(server) });
        }
    }

    fn stop(&mut self, input: &mut Unstructured<'_>) {
        let server = pick(&self.servers, input);
        let grace = u64::from(take::<u8>(input) % 4);
        let summary = Struct::<OpenrtmpSummary>::empty(input);
        // SAFETY: the handle is NULL or lives; the struct is as long as it says.
        summary.check(check(unsafe {
            openrtmp_server_stop(server, grace, summary.lend_mut())
        }));
    }

    fn look(&mut self, input: &mut Unstructured<'_>) {
        let server = pick(&self.servers, input);
        let what: u8 = take(input);
        let index = u32::from(what >> 4 & 3);
        let mut out = Output::take(input);
        let (buffer, capacity, length) = (out.buffer(), out.capacity(), out.length());
        let visit = callbacks::text_visitor(what >> 6);
        let user_data = null_mut();
        let mut number = u32::MAX;
        // SAFETY: the handle is NULL or lives; structs are as long as they say; texts
        // and buffers live until the call is over; the visitors ask for no user data.
        unsafe {
            match what % 12 {
                0 => {
                    let code = check(openrtmp_server_state(server, &mut number));
                    assert!(code != OPENRTMP_OK || number <= OPENRTMP_STATE_STOPPING);
                }
                1 => {
                    let code = check(openrtmp_server_port(server, index, &mut number));
                    assert_eq!(code == OPENRTMP_OK, (1..=65_535).contains(&number));
                }
                2 => {
                    let code = openrtmp_server_address(server, index, buffer, capacity, length);
                    out.check(check(code));
                }
                3 => {
                    let stream = Text::take(input);
                    let code = openrtmp_server_urls(server, stream.lend(), visit, user_data);
                    check(code);
                }
                4 => {
                    let health = Struct::<OpenrtmpHealth>::empty(input);
                    let code = openrtmp_server_health(server, health.lend_mut(), visit, user_data);
                    health.check(check(code));
                }
                5 => {
                    let metrics = Struct::<OpenrtmpMetrics>::empty(input);
                    let code = check(openrtmp_server_metrics(server, metrics.lend_mut()));
                    metrics.check(code);
                }
                6 => {
                    let code = openrtmp_server_metrics_json(server, buffer, capacity, length);
                    out.check(check(code));
                }
                7 => {
                    let visit = callbacks::stream_visitor(what >> 6);
                    check(openrtmp_server_streams(server, visit, user_data));
                }
                8 => {
                    let visit = callbacks::connection_visitor(what >> 6);
                    check(openrtmp_server_connections(server, visit, user_data));
                }
                9 => {
                    let visit = callbacks::subscriber_visitor(what >> 6);
                    let stream = Text::take(input);
                    let code = openrtmp_server_subscribers(server, stream.lend(), visit, user_data);
                    check(code);
                }
                10 => {
                    let (id, reason) = (take::<u64>(input), Text::take(input));
                    check(openrtmp_server_disconnect(server, id, reason.lend()));
                }
                _ => {
                    let (stream, reason) = (Text::take(input), Text::take(input));
                    let code = openrtmp_server_end_stream(server, stream.lend(), reason.lend());
                    check(code);
                }
            }
        }
    }

    /// What changes a server while it runs.
    fn adjust(&mut self, input: &mut Unstructured<'_>) {
        let server = pick(&self.servers, input);
        let what: u8 = take(input);
        // SAFETY: handles are NULL or live, configs belong to this thread; the place is
        // NULL or a slot of ours; the visitor asks for no user data.
        unsafe {
            match what % 8 {
                0 => constants(input),
                1 => {
                    let id = take(input);
                    let window = u32::from(take::<u16>(input));
                    check(openrtmp_server_set_write_coalesce(server, id, window));
                }
                2 => drop(check(openrtmp_server_set_background(
                    server,
                    u32::from(what >> 4),
                ))),
                3 | 4 => {
                    let slot = self.configs.iter_mut().find(|slot| slot.is_null());
                    let out = slot.map_or(null_mut(), |slot| slot);
                    check(openrtmp_server_config(server, out));
                }
                _ => {
                    let config = pick(&self.configs, input);
                    tame(config);
                    let visit = callbacks::text_visitor(what >> 6);
                    let code = openrtmp_server_reconfigure(server, config, visit, null_mut());
                    check(code);
                }
            }
        }
    }

    fn keys(&mut self, input: &mut Unstructured<'_>) {
        let server = pick(&self.servers, input);
        let what: u8 = take(input);
        let kind = u32::from(what >> 4) % 3;
        let key = Text::take(input);
        // SAFETY: the handle is NULL or lives; texts and buffers live until the call is
        // over; the visitor asks for no user data.
        unsafe {
            match what % 4 {
                0 => drop(check(openrtmp_key_add(server, kind, key.lend()))),
                1 => drop(check(openrtmp_key_revoke(server, kind, key.lend()))),
                2 => {
                    let visit = callbacks::text_visitor(what >> 6);
                    check(openrtmp_key_list(server, kind, visit, null_mut()));
                }
                _ => {
                    let mut out = Output::take(input);
                    let code = openrtmp_key_generate(out.buffer(), out.capacity(), out.length());
                    out.check(check(code));
                }
            }
        }
    }

    fn record(&mut self, input: &mut Unstructured<'_>) {
        let server = pick(&self.servers, input);
        let start = !take::<u8>(input).is_multiple_of(3);
        let stream = Text::take(input);
        let folder = Text::take_path(input, &self.files());
        // SAFETY: the handle is NULL or lives; texts live until the call is over.
        unsafe {
            if start {
                let code = openrtmp_record_start(server, stream.lend(), folder.lend());
                check(code);
            } else {
                check(openrtmp_record_stop(server, stream.lend(), null_mut()));
            }
        }
    }

    fn answer(&mut self, input: &mut Unstructured<'_>) {
        let server = pick(&self.servers, input);
        let what: u8 = take(input);
        let request = match what & 2 {
            0 => self.guest.last_request(),
            _ => take(input),
        };
        // SAFETY: the handle is NULL or lives; the text lives until the call is over.
        unsafe {
            if what & 1 == 0 {
                check(openrtmp_request_accept(server, request));
            } else {
                let reason = Text::take(input);
                check(openrtmp_request_reject(server, request, reason.lend()));
            }
        }
    }

    fn tap(&mut self, input: &mut Unstructured<'_>) {
        let server = pick(&self.servers, input);
        let stream = Text::take(input);
        let callbacks = self.guest.tap_callbacks(take(input));
        let callbacks = Struct::take(input, callbacks);
        let slot = self.taps.iter_mut().find(|slot| slot.is_null());
        let out = slot.map_or(null_mut(), |slot| slot);
        // SAFETY: the handle is NULL or lives; the text lives until the call is over;
        // the table is as long as it says; the place is NULL or a slot of ours.
        let code = unsafe { openrtmp_tap_open(server, stream.lend(), callbacks.lend(), out) };
        self.guest
            .taken(check(code) == OPENRTMP_OK && callbacks.is_there());
    }

    fn open_publisher(&mut self, input: &mut Unstructured<'_>) {
        let server = pick(&self.servers, input);
        let stream = Text::take(input);
        let slot = self.publishers.iter_mut().find(|slot| slot.is_null());
        let out = slot.map_or(null_mut(), |slot| slot);
        // SAFETY: the handle is NULL or lives; the text lives until the call is over;
        // the place is NULL or a slot of ours.
        check(unsafe { openrtmp_publisher_open(server, stream.lend(), out) });
    }

    fn publish(&mut self, input: &mut Unstructured<'_>) {
        let publisher = pick(&self.publishers, input);
        let what: u8 = take(input);
        let kind = u32::from(what >> 4 & 3);
        let track = u32::from(take::<u8>(input) % 4) * 100;
        let dts_us = i64::from(take::<i32>(input)) << (what >> 6 << 3);
        let codecs = [
            0,
            OPENRTMP_FOURCC_AVC,
            OPENRTMP_FOURCC_HEVC,
            OPENRTMP_FOURCC_AV1,
            OPENRTMP_FOURCC_VP9,
            OPENRTMP_FOURCC_AAC,
            OPENRTMP_FOURCC_OPUS,
            OPENRTMP_FOURCC_MP3,
        ];
        let codec = codecs[usize::from(take::<u8>(input) % 8)];
        let bytes = take::<Piece<'_>>(input).0;
        // SAFETY: the handle is NULL or lives, and belongs to this thread; structs are
        // as long as they say, and the bytes live until the call is over.
        unsafe {
            match what % 4 {
                0 => {
                    let track = OpenrtmpTrack {
                        struct_size: 0,
                        kind,
                        track,
                        codec,
                        config: bytes.as_ptr(),
                        config_length: bytes.len(),
                        dts_us,
                    };
                    let track = Struct::take(input, track);
                    check(openrtmp_publisher_configure(publisher, track.lend()));
                }
                1 | 2 => {
                    let media = OpenrtmpMedia {
                        struct_size: 0,
                        kind,
                        track,
                        flags: codec & 1,
                        dts_us,
                        pts_us: dts_us.saturating_add(i64::from(codec as i16) * 1000),
                        payload: bytes.as_ptr(),
                        payload_length: bytes.len(),
                    };
                    let media = Struct::take(input, media);
                    check(openrtmp_publisher_write(publisher, media.lend()));
                }
                _ => {
                    let (body, length) = match bytes {
                        // NULL, with a length that is a lie at times.
                        [length] => (null(), usize::from(*length)),
                        _ => (bytes.as_ptr(), bytes.len()),
                    };
                    let time = dts_us as u32;
                    let code =
                        openrtmp_publisher_write_message(publisher, kind, time, body, length);
                    check(code);
                }
            }
        }
    }

    /// A client that greets, says two commands and sends two messages. Waits for what
    /// the server answers to the greeting, so that it has begun to listen to it.
    fn peer(&mut self, input: &mut Unstructured<'_>) {
        let server = pick(&self.servers, input);
        let mut port = 0;
        // SAFETY: the handle is NULL or lives; the place can be written.
        let code = check(unsafe { openrtmp_server_port(server, 0, &mut port) });
        if code != OPENRTMP_OK || self.peers.len() >= 3 {
            return;
        }
        let port = u16::try_from(port).expect("a port");
        let Ok(mut peer) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
            return;
        };
        let mut sender = Sender::default();
        let mut bytes = greeting();
        for _ in 0..2 {
            bytes.extend(sender.write(&command(input)));
        }
        for _ in 0..2 {
            bytes.extend(sender.write(&media(input)));
        }
        peer.set_read_timeout(Some(Duration::from_secs(1)))
            .expect("longer than nothing");
        // The server may close it at any time.
        let mut answer = [0; 3073];
        let _ = peer.write_all(&bytes);
        let _ = peer.read_exact(&mut answer);
        self.peers.push(peer);
    }

    fn free(&mut self, input: &mut Unstructured<'_>) {
        let what: u8 = take(input);
        let slot = usize::from(what >> 4) % SLOTS;
        // SAFETY: each handle is NULL or lives, and is forgotten as it is freed.
        unsafe {
            match what % 5 {
                0 => openrtmp_config_free(std::mem::replace(&mut self.configs[slot], null_mut())),
                1 => {
                    let server = std::mem::replace(&mut self.servers[slot], null_mut());
                    assert_eq!(openrtmp_server_free(server), OPENRTMP_OK);
                }
                2 => {
                    let tap = std::mem::replace(&mut self.taps[slot], null_mut());
                    assert_eq!(openrtmp_tap_free(tap), OPENRTMP_OK);
                }
                3 => {
                    let publisher = std::mem::replace(&mut self.publishers[slot], null_mut());
                    openrtmp_publisher_free(publisher);
                }
                _ => self.guest.release_frames(),
            }
        }
    }

    fn log(&mut self, input: &mut Unstructured<'_>) {
        let level = u32::from(take::<u8>(input) % 8);
        let callbacks = self.guest.log_callbacks(level);
        let callbacks = Struct::<OpenrtmpLogCallbacks>::take(input, callbacks);
        // SAFETY: the table is as long as it says; its functions live forever.
        let code = check(unsafe { openrtmp_log_set(callbacks.lend()) });
        self.guest
            .taken(code == OPENRTMP_OK && callbacks.is_there());
    }

    /// Frees everything in an order of its own, and looks at what is left.
    fn leave(self) {
        // SAFETY: each handle is NULL or lives, and is not used again.
        unsafe {
            for publisher in self.publishers {
                openrtmp_publisher_free(publisher);
            }
            for server in self.servers {
                assert_eq!(openrtmp_server_free(server), OPENRTMP_OK);
            }
            for tap in self.taps {
                assert_eq!(openrtmp_tap_free(tap), OPENRTMP_OK);
            }
            for config in self.configs {
                openrtmp_config_free(config);
            }
            assert_eq!(openrtmp_log_set(null()), OPENRTMP_OK);
        }
        self.guest.release_frames();
        self.guest.wait_until_closed();
        let outside: Vec<_> = fs::read_dir(self.folder.path())
            .expect("it is ours")
            .map(|entry| entry.expect("it is ours").file_name())
            .filter(|name| name != "files" && name != "settings.yaml")
            .collect();
        assert!(outside.is_empty(), "{outside:?} was not asked for");
        if self.files().exists() {
            check_recordings(&self.files());
        }
    }

    fn files(&self) -> std::path::PathBuf {
        self.folder.path().join("files")
    }
}

/// One of the handles, or NULL.
fn pick<T>(slots: &[*mut T; SLOTS], input: &mut Unstructured<'_>) -> *mut T {
    match take::<u8>(input) % 8 {
        7 => null_mut(),
        6 | 5 => slots[1],
        _ => slots[0],
    }
}

/// A code that a call may return; after a failure there is a message.
fn check(code: i32) -> i32 {
    assert_ne!(code, OPENRTMP_ERROR_PANIC, "{}", last_message());
    assert!((OPENRTMP_ERROR_TIMEOUT..=OPENRTMP_OK).contains(&code));
    assert!(code == OPENRTMP_OK || !last_message().is_empty());
    code
}

fn last_message() -> String {
    // SAFETY: it is never NULL, ends with NUL, and lives until the next failure.
    let message = unsafe { CStr::from_ptr(openrtmp_last_error_message()) };
    message.to_str().expect("messages are UTF-8").to_owned()
}

/// Settles what must not depend on the input: where a server listens and writes.
///
/// # Safety
///
/// The handle is NULL or lives, and belongs to this thread.
unsafe fn tame(config: *mut OpenrtmpConfig) {
    if config.is_null() {
        return;
    }
    for (path, value) in [
        (c"listen", c"127.0.0.1:0"),
        (c"workers", c"1"),
        (c"record", c"null"),
    ] {
        let [path, value] = [path, value].map(arguments::constant);
        // SAFETY: as the caller says; the texts are static.
        let code = unsafe { openrtmp_config_set(config, path, value) };
        assert_eq!(code, OPENRTMP_OK);
    }
}

fn constants(input: &mut Unstructured<'_>) {
    let code: i32 = take(input);
    for text in [openrtmp_strerror(code), openrtmp_version_string()] {
        // SAFETY: both are static and end with NUL.
        assert!(!unsafe { CStr::from_ptr(text) }.is_empty());
    }
    assert_eq!(openrtmp_abi_version(), OPENRTMP_ABI_VERSION);
    assert_eq!(openrtmp_version(), 1000);
    // SAFETY: NULL is fine for all of them.
    unsafe {
        assert!(openrtmp_frame_retain(null()).is_null());
        openrtmp_frame_release(null());
        assert_eq!(openrtmp_server_free(null_mut()), OPENRTMP_OK);
        let nobody = openrtmp_server_start(null_mut());
        assert_eq!(nobody, OPENRTMP_ERROR_INVALID_ARGUMENT);
    }
}

fn check_recordings(folder: &Path) {
    for entry in fs::read_dir(folder).expect("it can be read") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            check_recordings(&path);
            continue;
        }
        let file = fs::read(&path).expect("it can be read");
        let mut reader = FlvReader::new();
        reader.push(&file);
        while reader.next_tag().expect("a recording is FLV").is_some() {}
        assert_eq!(reader.offset(), file.len() as u64, "{}", path.display());
    }
}

/// First inputs: lives of a server as they usually are.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    // Config 0, made and given to server 0, which all callbacks are for, started.
    let begin = [&[0, 0, 1][..], &[6, 0, 0, 0], &[8, 0]].concat();
    let name = |index: u8| [3, index];
    let publisher = [&[20, 0][..], &name(0)].concat();
    let record = [&[16, 0, 1][..], &name(0), &[0]].concat();
    let tap = [&[18, 0][..], &name(0), &[0, 0]].concat();
    // H.264 on track 0, then a key frame, then a message.
    let configure = [21, 0, 0x20, 0, 0, 0, 0, 0, 1, 4, 0, 1, 100, 0, 31, 0];
    let frame = [21, 0, 0x21, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0, 1, 0];
    let message = [21, 0, 0x23, 0, 9, 0, 0, 0, 1, 3, 0, 0x2F, 1, 2];
    // connect and publish, then media.
    let client = [
        26, 0, 0x00, 0, 1, 0x1A, 0, 3, 0, 0x11, 2, 0, 0, 3, 1, 5, 10, 0, 1, 4, 10, 0, 2,
    ];
    let look: Vec<u8> = (0..12)
        .flat_map(|what| [11, 0, 0x40 | what, 3, 3, 0, 3, 0])
        .collect();
    let stop = [10, 0, 2, 0];
    vec![
        ("start_stop", [&begin[..], &stop].concat()),
        (
            "publish",
            [
                &begin[..],
                &tap,
                &record,
                &publisher,
                &configure,
                &frame,
                &message,
            ]
            .concat(),
        ),
        ("look", [&begin[..], &publisher, &frame, &look].concat()),
        (
            "client",
            [&begin[..], &client, &[17, 0, 0], &look, &stop].concat(),
        ),
        ("log", [&[30, 4, 0][..], &begin, &client, &stop].concat()),
        (
            "settings",
            [
                &[0, 0, 1][..],
                &[1, 0, 2, 3, 6, 3, 7],
                &[1, 0, 4, 3, 6, 3],
                &[1, 0, 5, 3],
            ]
            .concat(),
        ),
        (
            "keys",
            [
                &begin[..],
                &[
                    15, 0, 0, 3, 1, 15, 0, 2, 3, 1, 15, 0, 1, 3, 1, 15, 0, 3, 3, 1,
                ],
            ]
            .concat(),
        ),
    ]
}

/// What a visitor or a callback must be able to read.
pub(crate) fn readable(data: *const c_char, length: usize) -> bool {
    // SAFETY: a text given to a callback lives as long as the call.
    let bytes = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) };
    std::str::from_utf8(bytes).is_ok()
}
